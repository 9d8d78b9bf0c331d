package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/organizr"
)

func TestOneLogLineForEachRefusal(t *testing.T) {
	s := setUp(t, map[string]table{"admin": {"group": "Admin"}})
	const line = `organizrjwt: middleware=\S+ status=`
	odd := organizr.Account{Username: "x\"\n middleware=\"\u202eevil\" <b>", Group: "User", GroupID: 4}
	for i, test := range []struct {
		name    string
		headers []string
		says    []string
	}{
		{"a program that nobody is logged in at", nil, []string{"admin@file", "status=401", "GET", "admin.example.com", "no cookie"}},
		{"a browser that is sent to log in", []string{"Accept", pageAccept}, []string{"status=302"}},
		{"a group too low", as("bob"), []string{"status=403", "group 4, and 0 is asked for", "bob"}},
		{"a name that looks like a line", []string{"Cookie", organizr.CookieName + "=" + odd.Token(hash)}, []string{"status=403"}},
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

func TestAShortSecretWorksAndIsWarnedOfOnce(t *testing.T) {
	s := setUp(t, map[string]table{"one": {"group": "User", "secret": "short"}, "other": {"group": "User", "secret": "short"}})
	bob, _ := organizr.Find("bob")
	for _, host := range []string{"one.example.com", "other.example.com"} {
		if got := s.ask("GET", host, "/", "Cookie", organizr.CookieName+"="+bob.Token("short")).StatusCode; got != 200 {
			t.Errorf("%s: got %d, want 200", host, got)
		}
	}
	if got := s.logged("the secret has 5 bytes", 1); len(got) != 1 {
		t.Errorf("it is warned of %d times", len(got))
	}
	for _, line := range regexp.MustCompile(`.*organizrjwt: .*`).FindAllString(s.traefik.Log(), -1) {
		if strings.Contains(line, "short\"") || strings.Contains(line, "=short") {
			t.Errorf("a line of ours holds the secret: %s", line)
		}
	}
}
