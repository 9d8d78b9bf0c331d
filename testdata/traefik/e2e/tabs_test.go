package e2e

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
	"gopkg.in/yaml.v3"
)

// The recipe's router serves all hosts, so a visitor chooses the host, and with it the tab. A visitor who gets in by a
// service's tab must reach that service and no other, whatever the request looks like.
func TestManyServicesBehindOneRule(t *testing.T) {
	database := newDatabase(t, filepath.Join(t.TempDir(), "organizr.db"))
	for _, tab := range []fakeorganizr.Tab{
		{Name: "Sonarr", URL: "https://sonarr.example.com", GroupID: 4, Enabled: true},
		{Name: "Radarr", URL: "https://radarr.example.com", GroupID: 3, Enabled: true},
		{Name: "Open", URL: "https://open.example.com", GroupID: 999, Enabled: true},
		{Name: "Off", URL: "https://off.example.com", GroupID: 999},
	} {
		if err := database.SetTab(tab); err != nil {
			t.Fatal(err)
		}
	}
	sessions := map[string][]string{"": nil}
	for _, username := range []string{"alice", "pat", "bob"} {
		account, _ := fakeorganizr.Find(username)
		token := account.Token(hash)
		if err := database.Begin(account, token); err != nil {
			t.Fatal(err)
		}
		sessions[username] = []string{"Cookie", fakeorganizr.Cookie(token)}
	}
	s := setUp(t, nil)
	var recipe struct {
		HTTP table `yaml:"http"`
	}
	text := strings.NewReplacer("organizr@docker", "organizr", "http://192.168.1.20", s.backend).
		Replace(yamlBlocks(section(t, "Many services behind one rule"))[0])
	if err := yaml.Unmarshal([]byte(text), &recipe); err != nil {
		t.Fatal(err)
	}
	plugin := table{"organizrjwt": table{
		"uuid": fakeorganizr.UUID, "secret": hash, "group": "tab", "databaseFile": database.Path(),
	}}
	recipe.HTTP["middlewares"] = table{"organizr": table{"plugin": plugin}}
	if err := s.traefik.Configure(t.Context(), table{"http": recipe.HTTP}); err != nil {
		t.Fatal(err)
	}

	for _, one := range []struct {
		who, host string
		want      int
	}{
		{"bob", "sonarr.example.com", 200},
		{"", "sonarr.example.com", 401},
		{"pat", "radarr.example.com", 200},
		{"bob", "radarr.example.com", 403},
		{"", "open.example.com", 200},
		{"bob", "off.example.com", 403},
		{"bob", "lidarr.example.com", 403},
		{"alice", "lidarr.example.com", 200},
		{"bob", "SONARR.Example.com", 200},
		{"bob", "sonarr.example.com.", 404}, // the recipe's rule has no final dot
		{"bob", "sonarr.example.com:8443", 200},
		{"bob", "RADARR.example.com:8443", 403},
	} {
		t.Run(one.who+" at "+one.host, func(t *testing.T) {
			got := s.in(t).ask("GET", one.host, "/", sessions[one.who]...)
			if got.StatusCode != one.want {
				t.Errorf("got %d, want %d", got.StatusCode, one.want)
			}
		})
	}

	const open, closed = "sonarr.example.com", "radarr.example.com"
	for _, host := range []string{
		closed, closed + ":", closed + ":" + open, closed + ".:abc", closed + "@" + open, open + "@" + closed,
		open + ":80@" + closed, closed + "," + open, open + ", " + closed, closed + "/" + open, closed + "?" + open,
		closed + "#@" + open, "[" + open + "]", "[" + open + "]:80", "[" + closed + "]", "[" + open + "]" + closed,
		open + "%00" + closed, closed + "%2e" + open, open + `\` + closed, closed + "\t", " " + closed, "x." + open,
		open + "." + closed, closed + ":80:" + open, "user:password@" + open,
	} {
		for _, headers := range [][]string{
			nil,
			{"Host", open},
			{"X-Forwarded-Host", open},
			{"X-Forwarded-Host", closed},
			{"X-Original-Host", open},
			{"X-Host", open},
			{"Forwarded", "host=" + open},
			{"X-Forwarded-Server", open},
		} {
			for _, target := range []string{"/", "//" + open + "/", "http://" + open + "/", "http://" + closed + "/"} {
				got := s.ask("GET", host, target, append(headers, sessions["bob"]...)...)
				reached := got.seen().Host
				name, _, _ := strings.Cut(reached, ":")
				if got.StatusCode == http.StatusOK && name != open {
					t.Errorf("Host %q, %q, %q: bob reaches %q", host, headers, target, reached)
				}
			}
		}
	}
}
