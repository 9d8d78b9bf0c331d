// Package registration registers nobody.
package registration

import (
	"context"

	"github.com/go-acme/lego/v5/acme"
)

// RegisterOptions are those of a new account.
type RegisterOptions struct {
	TermsOfServiceAgreed bool
}

// RegisterEABOptions are those of a new account that is bound to another.
type RegisterEABOptions struct {
	TermsOfServiceAgreed bool
	Kid                  string
	HmacEncoded          string
}

// Registrar registers nobody.
type Registrar struct{}

// Register always fails.
func (*Registrar) Register(context.Context, RegisterOptions) (*acme.ExtendedAccount, error) {
	return nil, acme.ErrLeftOut
}

// RegisterWithExternalAccountBinding always fails.
func (*Registrar) RegisterWithExternalAccountBinding(context.Context, RegisterEABOptions) (*acme.ExtendedAccount, error) {
	return nil, acme.ErrLeftOut
}
