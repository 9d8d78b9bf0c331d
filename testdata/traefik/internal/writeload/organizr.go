package writeload

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/realorganizr"
)

// An Organizr writes the database.
type Organizr interface {
	ConfigFile() string
	DatabaseFile() (string, error)
	CookieName() string

	// LogIn begins a session of the account of that name.
	LogIn(ctx context.Context, username string) (session string, err error)
	// LogOut ends a session.
	LogOut(ctx context.Context, session string) error
	// SetEmail gives the account of that name another address, as its owner does with a session of theirs.
	SetEmail(ctx context.Context, username, session, email string) error
}

// statements sends SQLite the statements that Organizr's PHP does, without PHP.
type statements struct{ *fakeorganizr.Organizr }

func newStatements(folder string) (*statements, error) {
	model := filepath.Join(proxy.Checkout(), "testdata", "organizr", "config.php")
	organizr, err := fakeorganizr.New(model, folder)
	return &statements{organizr}, err
}

func (s *statements) DatabaseFile() (string, error) { return s.Database.Path(), nil }

func (s *statements) CookieName() string { return fakeorganizr.CookieName }

func (s *statements) LogIn(_ context.Context, username string) (string, error) {
	account, found := fakeorganizr.Find(username)
	if !found {
		return "", errors.New("there is no " + username)
	}
	token := account.Token(s.Hash())
	return token, s.Database.Begin(account, token)
}

func (s *statements) LogOut(_ context.Context, session string) error { return s.Database.End(session) }

func (s *statements) SetEmail(_ context.Context, username, _, email string) error {
	account, found := fakeorganizr.Find(username)
	if !found {
		return errors.New("there is no " + username)
	}
	return s.Database.SetEmail(account.UserID, email)
}

// php lets a real Organizr write. Where two of its processes write at once, one of them fails, often without reporting
// it, so a login and a log-out are repeated until the database shows that they have happened.
type php struct{ *realorganizr.Organizr }

// PHP returns a real Organizr as one that writes. It must have been set up.
func PHP(organizr *realorganizr.Organizr) Organizr { return &php{organizr} }

func (p *php) LogIn(ctx context.Context, username string) (session string, err error) {
	return session, p.repeat(ctx, func() (bool, error) {
		if session, err = p.Organizr.LogIn(ctx, username); err != nil {
			return false, err
		}
		return p.lists(session)
	})
}

func (p *php) LogOut(ctx context.Context, session string) error {
	return p.repeat(ctx, func() (bool, error) {
		if err := p.Organizr.LogOut(ctx, session); err != nil {
			return false, err
		}
		listed, err := p.lists(session)
		return !listed, err
	})
}

// SetEmail doesn't report that a write failed: the next one comes soon.
func (p *php) SetEmail(ctx context.Context, username, session, email string) error {
	_ = p.Change(ctx, session, p.ID(username), map[string]any{"email": email})
	return nil
}

// lists looks whether the database has a row for the session.
func (p *php) lists(session string) (bool, error) {
	path, err := p.DatabaseFile()
	if err != nil {
		return false, err
	}
	return fakeorganizr.OpenDatabase(path).Lists(session)
}

// repeat tries until it has happened.
func (p *php) repeat(ctx context.Context, try func() (happened bool, err error)) error {
	var last error
	for until := time.Now().Add(time.Minute); time.Now().Before(until); {
		happened, err := try()
		if happened && err == nil {
			return nil
		}
		last = err
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return errors.Join(errors.New("Organizr didn't do it within a minute"), last)
}
