//go:build !linux

package docker

import (
	"context"
	"net"
)

// DialContext connects to an address as programs beside the engine do.
func (*Engine) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, network, address)
}
