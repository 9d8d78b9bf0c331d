// Package tlsalpn01 has the options of a TLS challenge that is never made.
package tlsalpn01

import (
	"time"

	"github.com/go-acme/lego/v5/acme"
)

// ACMETLS1Protocol is the protocol's name in a TLS handshake (RFC 8737, section 6.2).
const ACMETLS1Protocol = "acme-tls/1"

// ChallengeOption changes nothing.
type ChallengeOption func()

// SetDelay changes nothing.
func SetDelay(time.Duration) ChallengeOption { return func() {} }

// ChallengeBlocks always fails.
func ChallengeBlocks(string, string) (certificate, key []byte, err error) {
	return nil, nil, acme.ErrLeftOut
}
