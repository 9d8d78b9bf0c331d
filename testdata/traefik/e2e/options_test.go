package e2e

import (
	"cmp"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
	"github.com/traefik/traefik/v3/pkg/config/label"
)

func TestEveryOptionFromLabels(t *testing.T) {
	const prefix = "traefik.http.middlewares.door.plugin.organizrjwt."
	door := setUp(t, nil)
	secret := t.TempDir() + "/secret"
	if err := os.WriteFile(secret, []byte(hash+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	bob, _ := fakeorganizr.Find("bob")
	token := bob.Token(hash)
	bearer := []string{"Authorization", "Bearer " + token}
	database := newDatabase(t, filepath.Join(t.TempDir(), "orgdb.db"))
	if err := database.Begin(bob, token); err != nil {
		t.Fatal(err)
	}
	crossSite := []string{"Origin", "https://elsewhere.test", "Sec-Fetch-Site", "cross-site"}
	for _, test := range []struct {
		name     string
		labels   []string // besides uuid and secret
		method   string
		target   string
		visitor  string
		headers  []string
		want     int
		received map[string]string
	}{
		{name: "group by name", labels: []string{"group=Power User"}, visitor: "bob", want: 403},
		{name: "group by number", labels: []string{"group=4"}, visitor: "bob", want: 200},
		{
			name: "the case of a label doesn't matter", labels: []string{"GROUP=4", "acceptbearer=true"}, visitor: "bob",
			want: 200,
		},
		{
			name: "rules with commas", labels: []string{"group=0", "rules=/api/=Guest,/x.json=User"}, target: "/api/x",
			want: 200,
		},
		{
			name: "rules with commas, the second", labels: []string{"group=0", "rules=/api/=Guest,/x.json=User"},
			visitor: "bob", target: "/x.json", want: 200,
		},
		{
			name: "rules by number", labels: []string{"group=0", "rules[0]=/api/=Guest", "rules[1]=GET /x.json=Guest"},
			target: "/x.json", want: 200,
		},
		{name: "allow", labels: []string{"group=0", "allow=groupID=5,username=bob"}, visitor: "fay", want: 200},
		{name: "deny", labels: []string{"group=User", "deny[0]=username=bob"}, visitor: "bob", want: 403},
		{
			name: "headers besides the default ones, one of which is removed", visitor: "bob", want: 200,
			labels:   []string{"group=User", "headers.X-WEBAUTH-USER={username}", "headers.X-Organizr-Email="},
			received: map[string]string{"X-Webauth-User": "bob", "X-Organizr-User": "bob", "X-Organizr-Email": ""},
		},
		{
			name: "a header that the visitor sent is replaced", visitor: "bob", want: 200,
			labels:   []string{"group=User", "headers.Authorization=Bearer {group}"},
			headers:  []string{"Authorization", "Basic eDp5"},
			received: map[string]string{"Authorization": "Bearer User"},
		},
		{
			name: "forwardToken", labels: []string{"group=User", "forwardToken=true"},
			headers: []string{"Cookie", fakeorganizr.Cookie(token)}, want: 200,
			received: map[string]string{"Cookie": fakeorganizr.Cookie(token)},
		},
		{
			name: "acceptBearer", labels: []string{"group=User", "acceptBearer=true"}, headers: bearer, want: 200,
			received: map[string]string{"Authorization": ""},
		},
		{name: "a bearer without acceptBearer", labels: []string{"group=User"}, headers: bearer, want: 401},
		{
			name: "cross-site without allowCrossSite", labels: []string{"group=User"}, method: "POST", visitor: "bob",
			headers: crossSite, want: 403,
		},
		{
			name: "allowCrossSite", labels: []string{"group=User", "allowCrossSite=true"}, method: "POST", visitor: "bob",
			headers: crossSite, want: 200,
		},
		{
			name: "keys with commas", labels: []string{"group=User", "keys=" + ofRadio + "," + ofMonitor}, want: 200,
			headers: []string{"X-Organizr-Key", radioKey}, received: map[string]string{"X-Organizr-User": "radio"},
		},
		{
			name: "keys by number", labels: []string{"group=5", "keys[0]=" + ofRadio, "KEYS[1]=" + ofMonitor}, want: 200,
			headers: []string{"X-Organizr-Key", monitorKey}, received: map[string]string{"X-Organizr-User": "monitor"},
		},
		{name: "secretFile", labels: []string{"group=User", "secret=", "secretFile=" + secret}, visitor: "bob", want: 200},
		{
			name: "configFile", labels: []string{
				"group=User", "secret=", "uuid=", "configFile=" + data("organizr", "config.php"),
			},
			visitor: "bob", want: 200,
		},
		{
			name: "databaseFile, of a session that it lists", labels: []string{"group=User", "databaseFile=" + database.Path()},
			headers: []string{"Cookie", fakeorganizr.Cookie(token)}, want: 200,
		},
		{
			name: "databaseFile, of a session that it doesn't list", labels: []string{
				"group=User", "databaseFile=" + database.Path(),
			},
			visitor: "bob", want: 401,
		},
		{
			name: "the cookie's full name as uuid", labels: []string{"group=User", "uuid=" + fakeorganizr.CookieName},
			visitor: "bob", want: 200,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			labels := map[string]string{prefix + "uuid": fakeorganizr.UUID, prefix + "secret": hash}
			for _, one := range test.labels {
				option, value, _ := strings.Cut(one, "=")
				labels[prefix+option] = value
			}
			decoded, err := label.DecodeConfiguration(labels)
			if err != nil {
				t.Fatal(err)
			}
			s := door.in(t)
			s.configure(map[string]table{"sonarr": table(decoded.HTTP.Middlewares["door"].Plugin["organizrjwt"])})
			headers := slices.Clone(test.headers)
			if test.visitor != "" {
				headers = append(headers, as(test.visitor)...)
			}
			got := s.ask(cmp.Or(test.method, "GET"), "sonarr.example.com", cmp.Or(test.target, "/"), headers...)
			if got.StatusCode != test.want {
				t.Fatalf("got %d, want %d: %s\n%s", got.StatusCode, test.want, got.Body,
					s.traefik.Log()[max(0, len(s.traefik.Log())-2000):])
			}
			for name, want := range test.received {
				if received := got.seen().Header.Get(name); received != want {
					t.Errorf("the service received %s: %q, want %q", name, received, want)
				}
			}
		})
	}
}

func TestMisconfigurationIsNotFoundAndLogged(t *testing.T) {
	tests := map[string]struct {
		options table
		line    string
	}{
		"a misspelled option": {table{"group": "User", "denny": "username=bob"}, "denny: unknown option; see the readme"},
		"a blank secret":      {table{"group": "User", "secret": "  "}, "secret: blank; give Organizr's organizrHash"},
		"a name that no group has": {
			table{"group": "admins"}, `group: \"admins\" isn't a group; give a number from 0 to 999, or Admin`,
		},
		"a number that isn't whole": {table{"group": "4.5"}, `group: \"4.5\" isn't a group`},
		"an option that there isn't, instead of the one that must be": {
			table{"grup": "User"}, "group: missing; give the least privileged group that gets in",
		},
		"an address to log in at without its scheme": {
			table{"group": "User", "organizrURL": "organizr.example.com"},
			`organizrURL: \"organizr.example.com\" must be an http or https URL`,
		},
		"a rule with half a wildcard": {
			table{"group": "User", "rules": "/a/{x=Admin"}, `rules: \"/a/{x=Admin\": parsing \"/a/{x\"`,
		},
		"a rule with a host": {
			table{"group": "User", "rules": "admin.example.com/=Admin"}, `rules: \"admin.example.com/=Admin\" has a host`,
		},
		"a condition on the group's text, which users choose, without the database that knows better": {
			table{"group": "Admin", "allow": "group=Family"}, "give the group's number instead, like groupID=5",
		},
		"a brace without its partner": {
			table{"group": "User", "headers": table{"X-User": "{username"}},
			`has a brace without its partner in its text \"{username\"`,
		},
		"a brace that closes what isn't open": {
			table{"group": "User", "headers": table{"X-User": "username}"}},
			`has a brace without its partner in its text \"username}\"`,
		},
		"a database that only config.php could name, without config.php": {
			table{"group": "User", "databaseFile": "auto"}, `databaseFile: \"auto\" needs Organizr's config.php`,
		},
		"two sources for the secret": {
			table{"group": "User", "secretFile": "/run/secrets/hash"}, "secret: more than one source",
		},
	}
	hosts, names := map[string]table{"right": {"group": "User"}}, map[string]string{}
	for name, test := range tests {
		names[name] = strings.ReplaceAll(regexp.MustCompile(`[^a-z ]`).ReplaceAllString(name, ""), " ", "-")
		hosts[names[name]] = test.options
	}
	s := setUp(t, hosts)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := s.in(t)
			if got := s.ask("GET", names[name]+".example.com", "/", as("alice")...).StatusCode; got != 404 {
				t.Errorf("got %d, want 404", got)
			}
			if len(s.logged(regexp.QuoteMeta(test.line), 1)) == 0 {
				t.Errorf("the log has no line with %s:\n%s", test.line, s.traefik.Log())
			}
		})
	}
	t.Run("a right one beside them works", func(t *testing.T) {
		if got := s.in(t).ask("GET", "right.example.com", "/", as("alice")...).StatusCode; got != 200 {
			t.Errorf("got %d, want 200", got)
		}
	})
}
