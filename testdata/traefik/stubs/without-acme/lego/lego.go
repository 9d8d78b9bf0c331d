// Package lego has a client that reaches no certificate authority.
package lego

import (
	"crypto/x509"
	"net/http"
	"time"

	"github.com/go-acme/lego/v5/acme"
	"github.com/go-acme/lego/v5/certificate"
	"github.com/go-acme/lego/v5/challenge"
	"github.com/go-acme/lego/v5/challenge/dns01"
	"github.com/go-acme/lego/v5/challenge/http01"
	"github.com/go-acme/lego/v5/challenge/tlsalpn01"
	"github.com/go-acme/lego/v5/registration"
)

// DirectoryURLLetsEncrypt is the default that Traefik writes into its configuration.
const DirectoryURLLetsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

// Config is that of a client.
type Config struct {
	CADirURL    string
	UserAgent   string
	Certificate struct{ Timeout time.Duration }
	HTTPClient  *http.Client
}

// NewConfig returns an empty one.
func NewConfig(any) *Config { return &Config{} }

// Client reaches no certificate authority.
type Client struct {
	Certificate  *certificate.Certifier
	Challenge    *SolverManager
	Registration *registration.Registrar
}

// NewClient always fails.
func NewClient(*Config) (*Client, error) { return nil, acme.ErrLeftOut }

// CreateCertPool always fails.
func CreateCertPool([]string, bool) (*x509.CertPool, error) { return nil, acme.ErrLeftOut }

// SolverManager answers no challenges.
type SolverManager struct{}

// SetDNS01Provider always fails.
func (*SolverManager) SetDNS01Provider(challenge.Provider, ...dns01.ChallengeOption) error {
	return acme.ErrLeftOut
}

// SetHTTP01Provider always fails.
func (*SolverManager) SetHTTP01Provider(challenge.Provider, ...http01.ChallengeOption) error {
	return acme.ErrLeftOut
}

// SetTLSALPN01Provider always fails.
func (*SolverManager) SetTLSALPN01Provider(challenge.Provider, ...tlsalpn01.ChallengeOption) error {
	return acme.ErrLeftOut
}
