package e2e

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/npm"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/programs"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
)

// There is no library for Go that drives Firefox and needs no other program for that, so this is Puppeteer's.
func TestAJourneyInFirefox(t *testing.T) {
	for _, program := range []string{"firefox", "node", "npm"} {
		needs(t, program)
	}
	folder, err := npm.Install(t.Context(), filepath.Join(proxy.Module(), "internal", "firefox"))
	if err != nil {
		t.Fatal(err)
	}
	d := newDemo(t, proxy.Options{TLS: true})
	service := d.URL("everyone")
	elsewhere := newSite(t, `<a href="`+service+`/deep">link</a>
		<form method="post" action="`+service+`/delete"><button>win</button></form>`)
	given, err := json.Marshal(map[string]string{
		"firefox": programs.Path("firefox"), "organizr": d.URL("organizr"), "service": service, "admin": d.URL("admin"),
		"open": d.URL("cross-site"), "elsewhere": elsewhere, "username": "bob",
	})
	if err != nil {
		t.Fatal(err)
	}
	journey := exec.CommandContext(t.Context(), "node", filepath.Join(folder, "journey.js"), string(given))
	var complaints bytes.Buffer
	journey.Stderr = &complaints
	printed, err := journey.Output()
	if err != nil {
		t.Errorf("%v: %s", err, complaints.String())
	}
	var seen map[string]struct {
		URL    string
		Status int
		Text   string
	}
	if err := json.Unmarshal(printed, &seen); err != nil {
		t.Fatalf("%v: %s", err, printed)
	}
	for _, step := range []struct {
		name, url string
		status    int
		shows     string
	}{
		{"nobody opens a page", d.URL("organizr") + "/?return=", 0, "Nobody is logged in"},
		{"logged in", service + "/deep?q=100%25&x=a%2Fb", 0, "GET /deep?q=100%25&x=a%2Fb"},
		{"a script asks", "", 200, `"X-Organizr-User":["bob"]`},
		{"a WebSocket", "", 0, "hello from bob"},
		{"a form", service + "/deep", 0, "asked to POST /deep"},
		{"another group's service", d.URL("admin") + "/", 0, "Not for your group"},
		{"a frame of Organizr", "", 0, "This service was asked to GET /"},
		{"a frame of Organizr with another group's service", "", 0, "Not for your group"},
		{"a WebSocket of another site", "", 0, "refused"},
		{"a WebSocket of another site, where it may", "", 0, "hello from bob"},
		{"a form of another site", service + "/delete", 0, "Stopped for your safety"},
		{"a link of another site", service + "/deep", 0, "asked to GET /deep"},
		{"a script asks after the log-out", "", 401, `"status":401`},
		{"a page after the log-out", d.URL("organizr") + "/?return=", 0, "Nobody is logged in"},
	} {
		t.Run(step.name, func(t *testing.T) {
			got := seen[step.name]
			if !strings.HasPrefix(got.URL, step.url) || got.Status != step.status || !strings.Contains(got.Text, step.shows) {
				t.Errorf("at %s, status %d, want %s, %d and %q; Firefox shows\n%s",
					got.URL, got.Status, step.url, step.status, step.shows, got.Text)
			}
		})
	}
}
