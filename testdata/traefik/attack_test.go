package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/organizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/proxy"
)

// The ways in which services read a path that a proxy has let through as it came.
var readings = map[string]func(escaped string) string{
	"as PHP does":                    func(escaped string) string { return path.Clean(once(escaped)) },
	"as PHP that decodes again does": func(escaped string) string { return path.Clean(once(once(escaped))) },
	"as C does, up to a NUL": func(escaped string) string {
		before, _, _ := strings.Cut(once(escaped), "\x00")
		return path.Clean(before)
	},
	"as Tomcat does": func(escaped string) string {
		return path.Clean(strings.ReplaceAll(once(regexp.MustCompile(`;[^/]*`).ReplaceAllString(escaped, "")), `\`, "/"))
	},
	"as .NET does": func(escaped string) string {
		return path.Clean(strings.ToLower(strings.ReplaceAll(once(escaped), `\`, "/")))
	},
	"as .NET on Windows does, decoding twice": func(escaped string) string {
		cleaned := path.Clean(strings.ToLower(strings.ReplaceAll(once(once(escaped)), `\`, "/")))
		return regexp.MustCompile(`([^/. ])[. ]+(/|$)`).ReplaceAllString(cleaned, "$1$2")
	},
}

// once decodes a path as lenient services do: what can't be decoded stays.
func once(escaped string) string {
	return regexp.MustCompile(`%[0-9A-Fa-f]{2}`).ReplaceAllStringFunc(escaped, func(escape string) string {
		decoded, _ := url.PathUnescape(escape)
		return decoded
	})
}

// protected are the files that only some may see: a pattern, and who may.
var protected = []struct {
	pattern *regexp.Regexp
	visitor []string
}{
	{regexp.MustCompile(`(?i)^/admin(/|$)`), []string{"alice"}},
	{regexp.MustCompile(`(?i)^/vault/?$`), []string{"alice"}},
	{regexp.MustCompile(`(?i)^/api/private/?$`), []string{"alice", "pat"}},
	{regexp.MustCompile(`(?i)^/($|[^ahstfv])`), []string{"alice", "pat", "bob"}},
}

func TestAttacksOnPaths(t *testing.T) {
	var paths struct {
		Group string
		Rules []string
		Cases []struct{ Why, Method, Host, Target string }
	}
	readData(t, &paths, "paths.json")
	backend := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		target, _, _ := strings.Cut(req.RequestURI, "?")
		for name, read := range readings {
			file := read(target)
			for _, one := range protected {
				if one.pattern.MatchString(file) {
					rw.Header().Add("X-Only-For", strings.Join(one.visitor, " "))
					rw.Header().Add("X-Served", fmt.Sprintf("%q read %s", file, name))
				}
			}
		}
	}))
	t.Cleanup(backend.Close)
	for name, flags := range map[string][]string{
		"paths cleaned by Traefik":     nil,
		"paths not cleaned by Traefik": {"--entryPoints.web.http.sanitizePath=false"},
	} {
		t.Run(name, func(t *testing.T) {
			s := setUp(t, map[string]table{"sonarr": {"group": paths.Group, "rules": paths.Rules}}, func(options *proxy.Options) {
				options.Dynamic = routes(map[string]table{"sonarr": {"group": paths.Group, "rules": paths.Rules}}, backend.URL)
				options.Flags = flags
			})
			served := map[string]int{}
			for _, attack := range paths.Cases {
				if !strings.HasPrefix(attack.Host, "sonarr") {
					continue
				}
				for _, visitor := range []string{"", "bob", "pat", "alice"} {
					var headers []string
					if visitor != "" {
						headers = as(visitor)
					}
					got := s.ask(attack.Method, attack.Host, attack.Target, headers...)
					for i, only := range got.Header["X-Only-For"] {
						served[visitor]++
						if !slices.Contains(strings.Fields(only), visitor) {
							t.Errorf("%s: %s %s served %q the file %s", attack.Why, attack.Method, attack.Target, visitor, got.Header["X-Served"][i])
						}
					}
				}
			}
			if served["alice"] < 50 || served["pat"] == 0 || served["bob"] == 0 {
				t.Errorf("hardly anything was served to those who may see it: %v", served)
			}
		})
	}
}

func TestAttacksOnHosts(t *testing.T) {
	s := setUp(t, map[string]table{"admin": {"group": "Guest", "rules": []string{"admin.example.com/=Admin"}}})
	for _, host := range []string{"admin.example.com", "ADMIN.example.COM", "admin.example.com:80", "admin.example.com.", "Admin.Example.Com.:8443"} {
		if got := s.ask("GET", host, "/", as("bob")...).StatusCode; got != 403 && got != 404 {
			t.Errorf("bob at %s: got %d, want 403", host, got)
		}
	}
	if got := s.ask("GET", "ADMIN.example.com", "/", as("alice")...).StatusCode; got != 200 {
		t.Errorf("alice: got %d, want 200", got)
	}
}

func TestHostileTokensInTraefik(t *testing.T) {
	type trick struct{ Trick, Why, Token string }
	var tokens struct{ Fail, Pass []trick }
	readData(t, &tokens, "tokens.json")
	s := setUp(t, map[string]table{"all": {"group": "998", "acceptBearer": true}})
	for want, tricks := range map[int][]trick{http.StatusUnauthorized: tokens.Fail, http.StatusOK: tokens.Pass} {
		for _, one := range tricks {
			if strings.ContainsAny(one.Token, "\r\n") {
				continue // it would be another header
			}
			for _, headers := range [][]string{{"Cookie", organizr.CookieName + "=" + one.Token}, {"Authorization", "Bearer " + one.Token}} {
				if got := s.ask("GET", "all.example.com", "/", headers...).StatusCode; got != want {
					t.Errorf("%s (%s) in %s: got %d, want %d", one.Trick, one.Why, headers[0], got, want)
				}
			}
		}
	}
	megabyte := s.ask("GET", "all.example.com", "/", "Cookie", organizr.CookieName+"="+strings.Repeat("eyJh.", 1<<20/5)).StatusCode
	if megabyte != http.StatusUnauthorized && megabyte != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a megabyte: got %d", megabyte)
	}
	if len(tokens.Fail) < 150 || len(tokens.Pass) < 15 {
		t.Error(fmt.Sprint("only ", len(tokens.Fail), " and ", len(tokens.Pass), " tokens"))
	}
}

func TestAVisitorCantHideWhoTheyAre(t *testing.T) {
	s := setUp(t, map[string]table{"user": {"group": "User"}})
	for _, name := range []string{"X-Organizr-User", "x-organizr-user, X-Organizr-Group", "close, X-Organizr-Email"} {
		headers := append([]string{"Connection", name}, as("bob")...)
		if told := s.ask("GET", "user.example.com", "/", headers...).seen().Header; told.Get("X-Organizr-User") != "bob" || told.Get("X-Organizr-Group") != "4" || told.Get("X-Organizr-Email") == "" {
			t.Errorf("with Connection: %s the service was told %v", name, told)
		}
	}
}

func TestExcessIsRefused(t *testing.T) {
	s := setUp(t, map[string]table{"user": {"group": "User", "acceptBearer": true}})
	many := strings.TrimSuffix(strings.Repeat(organizr.CookieName+"=x.y.z; ", 9000), "; ")
	for name, headers := range map[string][]string{
		"nine thousand cookies of the name":  {"Cookie", many},
		"a token of 64 KiB":                  {"Cookie", organizr.CookieName + "=" + strings.Repeat("A", 64<<10)},
		"a bearer token of 64 KiB":           {"Authorization", "Bearer " + strings.Repeat("A", 64<<10)},
		"a thousand lines of Authorization":  slices.Repeat([]string{"Authorization", "Bearer x"}, 1000),
		"a thousand lines of Cookie":         slices.Repeat([]string{"Cookie", organizr.CookieName + "=x.y.z"}, 1000),
		"a thousand headers of other names":  slices.Repeat([]string{"X_Organizr-User", "x"}, 1000),
		"a cookie that is nothing but dots":  {"Cookie", organizr.CookieName + "=" + strings.Repeat(".", 8000)},
		"a bearer token of nothing but dots": {"Authorization", "Bearer " + strings.Repeat(".", 8000)},
	} {
		if got := s.ask("GET", "user.example.com", "/", headers...).StatusCode; got != 401 {
			t.Errorf("%s: got %d, want 401", name, got)
		}
	}
}
