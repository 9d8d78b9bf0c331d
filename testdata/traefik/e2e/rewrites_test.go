package e2e

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
	"golang.org/x/net/webdav"
)

// Rules are about the paths that reach the plugin, so what changes a path comes before it.
func TestRulesBehindPathRewriting(t *testing.T) {
	s := setUp(t, nil, func(options *proxy.Options) {
		backend := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
			rw.Header().Set("X-Path", req.URL.Path)
		}))
		t.Cleanup(backend.Close)
		router := func(host string) table {
			return table{
				"rule": "Host(`" + host + ".example.com`)", "service": "service", "middlewares": []string{host, "closed"},
			}
		}
		options.Dynamic = table{"http": table{
			"routers": table{"strip": router("strip"), "replace": router("replace")},
			"middlewares": table{
				"strip":   table{"stripPrefix": table{"prefixes": []string{"/app"}}},
				"replace": table{"replacePathRegex": table{"regex": "^/app/(.*)", "replacement": "/$1"}},
				"closed": table{"plugin": table{"organizrjwt": table{
					"uuid": fakeorganizr.UUID, "secret": hash, "group": "User", "rules": []string{"/settings/=Admin"},
				}}},
			},
			"services": table{"service": table{"loadBalancer": table{"servers": []table{{"url": backend.URL}}}}},
		}}
	})
	for _, host := range []string{"strip", "replace"} {
		for _, target := range []string{
			"/app/settings/x", "/app%2Fsettings/x", "/app%2fsettings%2fx", "/app/%2Fsettings/x", "/appsettings/x",
			"/app//settings/x", "/app/..%2fsettings/x", "/%61pp/settings/x", "/settings/x", "/app%2F..%2Fsettings/x",
			"/app/app/../settings/x",
		} {
			t.Run(host+" "+target, func(t *testing.T) {
				got := s.in(t).ask("GET", host+".example.com", target, as("bob")...)
				served := got.Header.Get("X-Path")
				if got.StatusCode == http.StatusOK && strings.HasPrefix(path.Clean(served), "/settings") {
					t.Errorf("bob was served %q", served)
				}
			})
		}
		got := s.ask("GET", host+".example.com", "/app/settings/x", as("alice")...)
		if served := got.Header.Get("X-Path"); served != "/settings/x" {
			t.Errorf("alice gets %d and %q at %s", got.StatusCode, served, host)
		}
	}
}

// MOVE and COPY name a second path, in a header.
func TestDestinationsOfWebDAV(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(folder, filepath.FromSlash(name)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"open", "closed"} {
		if err := os.Mkdir(filepath.Join(folder, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	backend := httptest.NewServer(&webdav.Handler{FileSystem: webdav.Dir(folder), LockSystem: webdav.NewMemLS()})
	t.Cleanup(backend.Close)
	s := setUp(t, nil, func(options *proxy.Options) {
		closed := table{"group": "User", "rules": []string{"/closed/=Admin"}}
		options.Dynamic = routes(map[string]table{"dav": closed}, backend.URL)
	})
	for _, test := range []struct {
		visitor, method, destination string
		want                         int
	}{
		{"bob", "MOVE", "http://dav.example.com/open/y", http.StatusCreated},
		{"bob", "MOVE", "http://dav.example.com/closed/y", http.StatusForbidden},
		{"bob", "COPY", "http://dav.example.com/closed/y", http.StatusForbidden},
		{"bob", "COPY", "/closed/y", http.StatusForbidden},
		{"bob", "COPY", "/open/../closed/y", http.StatusForbidden},
		{"bob", "COPY", "/open/..%2fclosed/y", http.StatusForbidden},
		{"bob", "COPY", "http://dav.example.com/%63losed/y", http.StatusForbidden},
		{"alice", "COPY", "http://dav.example.com/closed/y", http.StatusNoContent},
	} {
		t.Run(test.visitor+" "+test.method+" to "+test.destination, func(t *testing.T) {
			write("open/x", "of bob")
			write("closed/y", "of alice")
			_ = os.Remove(filepath.Join(folder, "open", "y"))
			headers := slices.Concat(as(test.visitor), []string{"Destination", test.destination})
			got := s.in(t).ask(test.method, "dav.example.com", "/open/x", headers...)
			if got.StatusCode != test.want {
				t.Errorf("got %d, want %d: %s", got.StatusCode, test.want, got.Body)
			}
			text, err := os.ReadFile(filepath.Join(folder, "closed", "y"))
			if test.visitor == "bob" && (err != nil || string(text) != "of alice") {
				t.Errorf("bob changed the closed file to %q: %v", text, err)
			}
		})
	}
}
