package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/organizr"
)

func TestOneLogLineForEachRefusal(t *testing.T) {
	s := setUp(t, map[string]table{"admin": {"group": "Admin"}})
	const ours = "organizrjwt: middleware="
	odd := organizr.Account{Username: "x\"\n middleware=\"\u202eevil\" <b>", Group: "User", GroupID: 4}
	for i, headers := range [][]string{nil, {"Accept", pageAccept}, as("bob"), {"Cookie", organizr.CookieName + "=" + odd.Token(hash)}} {
		s.ask("GET", "admin.example.com", `/x%0aorganizrjwt:%20middleware="y"`, headers...)
		if got := s.logged(ours, i+1); len(got) != i+1 {
			t.Fatalf("after %d refusals: %d lines: %q", i+1, len(got), got)
		}
	}
	got := strings.Join(s.logged(ours, 4), "\n")
	for _, part := range []string{`admin@file`, "status=401", "status=302", "status=403", "GET", "admin.example.com", "group 4, and 0 is asked for", "bob"} {
		if !strings.Contains(got, part) {
			t.Errorf("no %s in\n%s", part, got)
		}
	}
	if strings.Contains(got, "\u202e") || strings.Contains(got, "eyJ") || strings.Contains(got, hash) {
		t.Errorf("the log holds what it must not:\n%s", got)
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
	if got := s.logged("the secret has 5 bytes; give Organizr an organizrHash of at least 32", 1); len(got) != 1 {
		t.Errorf("it is warned of %d times", len(got))
	}
	for _, line := range regexp.MustCompile(`.*organizrjwt: .*`).FindAllString(s.traefik.Log(), -1) {
		if strings.Contains(line, "short\"") || strings.Contains(line, "=short") {
			t.Errorf("a line of ours holds the secret: %s", line)
		}
	}
}
