// Package acme has the names that Traefik's code mentions, and no ACME behind them.
package acme

import "errors"

// ErrLeftOut is what everything in this module that could reach a certificate authority returns.
var ErrLeftOut = errors.New("this Traefik was built for tests, without ACME: it can't request certificates")

// Account is what a certificate authority keeps of an account.
type Account struct{}

// ExtendedAccount is an account and its address.
type ExtendedAccount struct {
	Account

	Location string
}
