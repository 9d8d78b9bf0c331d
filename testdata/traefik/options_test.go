package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/organizr"
	"github.com/traefik/traefik/v3/pkg/config/label"
)

func TestEveryOptionFromLabels(t *testing.T) {
	const prefix = "traefik.http.middlewares.door.plugin.organizrjwt."
	door := setUp(t, nil)
	for _, test := range []struct {
		option string
		labels map[string]string
		who    string
		method string
		target string
		more   []string
		want   int
		told   map[string]string
	}{
		{option: "group as name", labels: map[string]string{"group": "Power User"}, who: "bob", want: 403},
		{option: "group as number", labels: map[string]string{"group": "4"}, who: "bob", want: 200},
		{option: "key case doesn't matter", labels: map[string]string{"GROUP": "4", "organizrurl": "https://organizr.example.com"}, who: "bob", want: 200},
		{option: "rules with commas", labels: map[string]string{"group": "0", "rules": "/api/=Guest,/manifest.json=User"}, target: "/api/x", want: 200},
		{option: "rules with commas, the second", labels: map[string]string{"group": "0", "rules": "/api/=Guest,/manifest.json=User"}, who: "bob", target: "/manifest.json", want: 200},
		{option: "rules by number", labels: map[string]string{"group": "0", "rules[0]": "/api/=Guest", "rules[1]": "GET sonarr.example.com/x.json=Guest"}, target: "/x.json", want: 200},
		{option: "allow", labels: map[string]string{"group": "0", "allow": "group=Family,username=bob"}, who: "fay", want: 200},
		{option: "deny", labels: map[string]string{"group": "User", "deny[0]": "username=bob"}, who: "bob", want: 403},
		{
			option: "headers", labels: map[string]string{"group": "User", "headers.X-WEBAUTH-USER": "{username}", "headers.X-Organizr-Email": ""}, who: "bob", want: 200,
			told: map[string]string{"X-Webauth-User": "bob", "X-Organizr-User": "bob", "X-Organizr-Email": ""},
		},
		{
			option: "headers with the token", labels: map[string]string{"group": "User", "headers.Authorization": "Bearer {group}"}, who: "bob", want: 200,
			more: []string{"Authorization", "Basic eDp5"}, told: map[string]string{"Authorization": "Bearer User"},
		},
		{option: "forwardToken", labels: map[string]string{"group": "User", "forwardToken": "true"}, who: "bob", want: 200, told: map[string]string{"Cookie": "*"}},
		{option: "acceptBearer", labels: map[string]string{"group": "User", "acceptBearer": "true"}, more: []string{"Authorization", "Bearer *"}, want: 200, told: map[string]string{"Authorization": ""}},
		{option: "no acceptBearer", labels: map[string]string{"group": "User"}, more: []string{"Authorization", "Bearer *"}, want: 401},
		{option: "no allowCrossSite", labels: map[string]string{"group": "User"}, who: "bob", method: "POST", more: []string{"Sec-Fetch-Site", "cross-site"}, want: 403},
		{option: "allowCrossSite", labels: map[string]string{"group": "User", "allowCrossSite": "true"}, who: "bob", method: "POST", more: []string{"Sec-Fetch-Site", "cross-site"}, want: 200},
		{option: "secretFile", labels: map[string]string{"group": "User", "secret": "", "secretFile": "$secret"}, who: "bob", want: 200},
		{option: "configFile", labels: map[string]string{"group": "User", "secret": "", "uuid": "", "configFile": data("organizr", "config.php")}, who: "bob", want: 200},
		{option: "the cookie's full name", labels: map[string]string{"group": "User", "uuid": organizr.CookieName}, who: "bob", want: 200},
	} {
		t.Run(test.option, func(t *testing.T) {
			labels := map[string]string{prefix + "uuid": organizr.UUID, prefix + "secret": hash}
			for option, value := range test.labels {
				if value == "$secret" {
					value = t.TempDir() + "/secret"
					if err := os.WriteFile(value, []byte(hash+"\n"), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				labels[prefix+option] = value
			}
			decoded, err := label.DecodeConfiguration(labels)
			if err != nil {
				t.Fatal(err)
			}
			options := table{}
			for option, value := range decoded.HTTP.Middlewares["door"].Plugin["organizrjwt"] {
				options[option] = value
			}
			s := &scene{t: t, traefik: door.traefik, backend: door.backend}
			s.configure(map[string]table{"sonarr": options})
			headers := slices.Clone(test.more)
			bob, _ := organizr.Find("bob")
			token := bob.Token(hash)
			for i := range headers {
				headers[i] = strings.Replace(headers[i], "*", token, 1)
			}
			if test.who != "" {
				headers = append(headers, as(test.who)...)
			}
			got := s.ask(or(test.method, "GET"), "sonarr.example.com", or(test.target, "/"), headers...)
			if got.StatusCode != test.want {
				t.Fatalf("got %d, want %d: %s\n%s", got.StatusCode, test.want, got.Body, s.traefik.Log()[max(0, len(s.traefik.Log())-2000):])
			}
			for name, want := range test.told {
				told := got.seen().Header.Get(name)
				if want == "*" && !strings.Contains(told, organizr.CookieName) || want != "*" && told != want {
					t.Errorf("the service was told %s: %q, want %q", name, told, want)
				}
			}
		})
	}
}

func TestMisconfiguredMeansNotFoundAndALogLine(t *testing.T) {
	s := setUp(t, map[string]table{
		"right":   {"group": "User"},
		"blank":   {"group": "User", "secret": "  "},
		"group":   {"group": "admins"},
		"number":  {"group": "4.5"},
		"unknown": {"grup": "User"},
		"address": {"group": "User", "organizrURL": "organizr.example.com"},
		"rules":   {"group": "User", "rules": "/a/{x}=1,/{y}/b=2"},
	})
	for host, line := range map[string]string{
		"blank":   "secret: blank; give Organizr's organizrHash",
		"group":   `group: \"admins\" isn't a group; give a number from 0 to 999, or Admin`,
		"number":  `group: \"4.5\" isn't a group`,
		"unknown": "group: missing; give the least privileged group that gets in",
		"address": `organizrURL: \"organizr.example.com\" isn't an address to log in at; give one like https://organizr.example.com`,
		"rules":   `rules: pattern \"/{y}/b\" conflicts with pattern \"/a/{x}\"`,
	} {
		if got := s.ask("GET", host+".example.com", "/", as("alice")...).StatusCode; got != 404 {
			t.Errorf("%s: got %d, want 404", host, got)
		}
		if len(s.logged(regexp.QuoteMeta(line), 1)) == 0 {
			t.Errorf("%s: the log has no line with %s", host, line)
		}
	}
	if got := s.ask("GET", "right.example.com", "/", as("alice")...).StatusCode; got != 200 {
		t.Errorf("beside them: got %d, want 200", got)
	}
	if t.Failed() {
		t.Log(s.traefik.Log())
	}
}
