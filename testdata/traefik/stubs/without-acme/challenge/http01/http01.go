// Package http01 has the options of an HTTP challenge that is never made.
package http01

import "time"

// PathPrefix is where a certificate authority would look (RFC 8555, section 8.3).
const PathPrefix = "/.well-known/acme-challenge/"

// ChallengeOption changes nothing.
type ChallengeOption func()

// SetDelay changes nothing.
func SetDelay(time.Duration) ChallengeOption { return func() {} }
