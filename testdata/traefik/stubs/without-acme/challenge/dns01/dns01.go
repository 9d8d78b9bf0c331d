// Package dns01 has the options of a DNS challenge that is never made.
package dns01

import (
	"strings"
	"time"
)

// ChallengeOption changes nothing.
type ChallengeOption func()

// Options are those of a client.
type Options struct {
	RecursiveNameservers []string
}

// Client asks nobody.
type Client struct{}

// NewClient returns a client that asks nobody.
func NewClient(*Options) *Client { return &Client{} }

// SetDefaultClient does nothing.
func SetDefaultClient(*Client) {}

// CondOptions changes nothing.
func CondOptions(bool, ...ChallengeOption) ChallengeOption { return func() {} }

// DisableAuthoritativeNssPropagationRequirement changes nothing.
func DisableAuthoritativeNssPropagationRequirement() ChallengeOption { return func() {} }

// DisableRecursiveNSsPropagationRequirement changes nothing.
func DisableRecursiveNSsPropagationRequirement() ChallengeOption { return func() {} }

// PropagationWait changes nothing.
func PropagationWait(time.Duration, bool) ChallengeOption { return func() {} }

// UnFqdn cuts the final dot from a domain name. Traefik also uses it for certificates that it has from files.
func UnFqdn(name string) string { return strings.TrimSuffix(name, ".") }
