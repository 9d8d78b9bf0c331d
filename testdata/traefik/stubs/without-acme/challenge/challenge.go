// Package challenge has the interface of those who answer a certificate authority's challenges.
package challenge

import "context"

// Provider answers a challenge.
type Provider interface {
	Present(ctx context.Context, domain, token, keyAuth string) error
	CleanUp(ctx context.Context, domain, token, keyAuth string) error
}
