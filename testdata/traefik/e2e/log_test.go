package e2e

import (
	"strings"
	"testing"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
)

func TestOneLogLineForEachRefusal(t *testing.T) {
	s := setUp(t, map[string]table{"admin": {"group": "Admin"}})
	const line = `organizrjwt: middleware=\S+ status=`
	odd := fakeorganizr.Account{Username: "x\"\n middleware=\"\u202eevil\" <b>", Group: "User", GroupID: 4}
	for i, test := range []struct {
		name    string
		headers []string
		says    []string
	}{
		{
			"a program without a session", nil,
			[]string{"admin@file", "status=401", "GET", "admin.example.com", "no cookie"},
		},
		{"a browser that is sent to log in", []string{"Accept", pageAccept}, []string{"status=302"}},
		{"a group too low", as("bob"), []string{"status=403", "group 4, but Admin (0) is required", "bob"}},
		{
			"a name that looks like a line",
			[]string{"Cookie", fakeorganizr.Cookie(odd.Token(hash))},
			[]string{"status=403"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := s.in(t)
			s.ask("GET", "admin.example.com", `/x%0aorganizrjwt:%20middleware="y"`, test.headers...)
			got := s.logged(line, i+1)
			if len(got) != i+1 {
				t.Fatalf("after %d refusals: %d lines: %q", i+1, len(got), got)
			}
			for _, part := range test.says {
				if !strings.Contains(got[i], part) {
					t.Errorf("no %s in\n%s", part, got[i])
				}
			}
			for _, never := range []string{"\u202e", "eyJ", hash} {
				if strings.Contains(got[i], never) {
					t.Errorf("the log holds %q, which it must not:\n%s", never, got[i])
				}
			}
		})
	}
}

func TestWeakSecretsAreWarnedOfOnce(t *testing.T) {
	const nineteen, twenty = "abcdefghijklmnopqrs", "abcdefghijklmnopqrst"
	secrets := map[string]string{"short": "short", "nineteen": nineteen, "twenty": twenty, "shown": hash}
	hosts := map[string]table{}
	for name, secret := range secrets {
		for _, router := range []string{"one", "other"} {
			hosts[name+"-"+router] = table{"group": "User", "secret": secret}
		}
	}
	s := setUp(t, hosts)
	bob, _ := fakeorganizr.Find("bob")
	for _, test := range []struct {
		name, secret, warning string
		count                 int
	}{
		{"five bytes", "short", "the secret has only 5 bytes", 1},
		{"nineteen bytes", "nineteen", "the secret has only 19 bytes", 1},
		{"twenty bytes are enough", "twenty", "the secret has only 20 bytes", 0},
		{"one that the documentation shows", "shown", "the secret is the one in the documentation", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := s.in(t)
			for _, router := range []string{"one", "other"} {
				session := fakeorganizr.Cookie(bob.Token(secrets[test.secret]))
				if got := s.ask("GET", test.secret+"-"+router+".example.com", "/", "Cookie", session).StatusCode; got != 200 {
					t.Errorf("at %s: got %d, want 200", router, got)
				}
			}
			if got := s.logged("ERR.*"+test.warning, test.count); len(got) != test.count {
				t.Errorf("it is warned of %d times, want %d", len(got), test.count)
			}
		})
	}
	for _, line := range s.logged("organizrjwt: ", 3) {
		for _, secret := range []string{"short\"", "=short", nineteen, hash} {
			if strings.Contains(line, secret) {
				t.Errorf("a line of ours holds the secret: %s", line)
			}
		}
	}
}
