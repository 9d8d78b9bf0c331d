package e2e

import (
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
)

// boundOrganizr returns an Organizr whose config.php says that sessions are bound to their address.
func boundOrganizr(t *testing.T) *fakeorganizr.Organizr {
	t.Helper()
	text, err := os.ReadFile(data("organizr", "config.php"))
	if err != nil {
		t.Fatal(err)
	}
	before, after, found := strings.Cut(string(text), "return [\n")
	model := t.TempDir() + "/config.php"
	bound := before + "return [\n\t'matchUserIP' => true,\n" + after
	if err := errors.Join(err, os.WriteFile(model, []byte(bound), 0o600)); err != nil || !found {
		t.Fatal(err, text)
	}
	o, err := fakeorganizr.New(model, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// With matchUserIP, the address is the one that Traefik vouches for: what a trusted proxy says, else that of the
// connection. No header of a stranger changes it.
func TestBoundSessionsGoByTheAddressThatTraefikVouchesFor(t *testing.T) {
	o := boundOrganizr(t)
	listener, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	strangers := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	s := followOrganizr(t, o.ConfigFile(), map[string]table{"users": {"group": "User"}, "guests": {"group": "Guest"}},
		"--entryPoints.web.forwardedHeaders.trustedIPs=127.0.0.1/32", "--entryPoints.strangers.address="+strangers)
	throughProxy := s.traefik.Addr
	bob, _ := fakeorganizr.Find("bob")
	sessions := map[string]string{}
	for _, address := range []string{"203.0.113.5", "::1"} {
		token := bob.Token(o.Hash())
		end := time.Now().AddDate(0, 0, 2).UTC().Format(time.DateTime)
		row := fakeorganizr.Session{Token: token, Browser: "Mozilla/5.0", Address: address, Expires: end}
		if err := o.Database.List(bob, row); err != nil {
			t.Fatal(err)
		}
		sessions[address] = token
	}
	for _, test := range []struct {
		name    string
		listed  string // the address that the session is bound to
		via     string // the entry point
		headers []string
		want    int
	}{
		{"a proxy that is trusted says it", "203.0.113.5", throughProxy, []string{"X-Forwarded-For", "203.0.113.5"}, 200},
		{"a proxy says another", "203.0.113.5", throughProxy, []string{"X-Forwarded-For", "203.0.113.6"}, 401},
		{
			"several proxies say it", "203.0.113.5", throughProxy,
			[]string{"X-Forwarded-For", "203.0.113.5, 198.51.100.1", "X-Forwarded-For", "198.51.100.2"},
			200,
		},
		{"a proxy says nothing, and is local", "203.0.113.5", throughProxy, nil, 200},
		{"the connection's own", "::1", strangers, nil, 200},
		{"another connection's", "203.0.113.5", strangers, nil, 401},
		{"a stranger says it", "203.0.113.5", strangers, []string{"X-Forwarded-For", "203.0.113.5"}, 401},
		{"a stranger says that they are local", "203.0.113.5", strangers, []string{"X-Forwarded-For", "10.0.0.1"}, 401},
		{"a stranger says another", "::1", strangers, []string{"X-Forwarded-For", "203.0.113.5"}, 200},
		{"a stranger says it in Client-IP", "203.0.113.5", strangers, []string{"Client-IP", "203.0.113.5"}, 401},
		{"a stranger says local in Client-IP", "203.0.113.5", strangers, []string{"Client-IP", "10.0.0.1"}, 401},
		{"a stranger says it in X-Real-Ip", "203.0.113.5", strangers, []string{"X-Real-Ip", "203.0.113.5"}, 401},
		{"a stranger says it in Forwarded", "203.0.113.5", strangers, []string{"Forwarded", "for=203.0.113.5"}, 401},
	} {
		t.Run(test.name, func(t *testing.T) {
			part := s.in(t)
			at := *part.traefik
			at.Addr = test.via
			part.traefik = &at
			headers := append([]string{"Cookie", fakeorganizr.CookieName + "=" + sessions[test.listed]}, test.headers...)
			for turn := range 2 { // the first may be the one that the plugin remembers
				if got := part.ask("GET", "users.example.com", "/", headers...); got.StatusCode != test.want {
					t.Errorf("request %d: got %d, want %d", turn+1, got.StatusCode, test.want)
				}
			}
			user := part.ask("GET", "guests.example.com", "/", headers...).seen().Header.Get("X-Organizr-User")
			if (user == "bob") != (test.want == 200) {
				t.Errorf("where guests are, the service sees %q", user)
			}
		})
	}
}

// A key has no address in Organizr's database. So it works from everywhere, also where sessions are bound.
func TestKeysWhereSessionsAreBound(t *testing.T) {
	s := followOrganizr(t, boundOrganizr(t).ConfigFile(), map[string]table{"users": {"group": "User", "keys": ofRadio}},
		"--entryPoints.web.forwardedHeaders.trustedIPs=127.0.0.1/32")
	for _, address := range []string{"203.0.113.5", "198.51.100.7", "203.0.113.5"} {
		got := s.ask("GET", "users.example.com", "/", "X-Forwarded-For", address, "X-Organizr-Key", radioKey)
		if user := got.seen().Header.Get("X-Organizr-User"); user != "radio" {
			t.Errorf("from %s: got %d, and the service is told %q", address, got.StatusCode, user)
		}
	}
}
