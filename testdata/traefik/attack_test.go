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
			s := setUp(t, nil, func(options *proxy.Options) {
				options.Dynamic = routes(map[string]table{"sonarr": {"group": paths.Group, "rules": paths.Rules}}, backend.URL)
				options.Flags = flags
			})
			served := map[string]int{}
			for _, attack := range paths.Cases {
				t.Run(attack.Why+": "+attack.Method+" "+attack.Target, func(t *testing.T) {
					for _, visitor := range []string{"", "bob", "pat", "alice"} {
						var headers []string
						if visitor != "" {
							headers = as(visitor)
						}
						got := s.in(t).ask(attack.Method, attack.Host, attack.Target, headers...)
						for i, only := range got.Header["X-Only-For"] {
							served[visitor]++
							if !slices.Contains(strings.Fields(only), visitor) {
								t.Errorf("%q was served the file %s", visitor, got.Header["X-Served"][i])
							}
						}
					}
				})
			}
			if served["alice"] < 50 || served["pat"] == 0 || served["bob"] == 0 {
				t.Errorf("hardly anything was served to those who may see it: %v", served)
			}
		})
	}
}

func TestAttacksOnHosts(t *testing.T) {
	s := setUp(t, map[string]table{"admin": {"group": "Admin"}})
	for _, host := range []string{"admin.example.com", "ADMIN.example.COM", "admin.example.com:80", "admin.example.com.", "Admin.Example.Com.:8443"} {
		t.Run(host, func(t *testing.T) {
			if got := s.in(t).ask("GET", host, "/", as("bob")...).StatusCode; got != 403 && got != 404 {
				t.Errorf("got %d, want 403", got)
			}
		})
	}
	t.Run("who may enter does, in whatever case", func(t *testing.T) {
		if got := s.in(t).ask("GET", "ADMIN.example.com", "/", as("alice")...).StatusCode; got != 200 {
			t.Errorf("got %d, want 200", got)
		}
	})
}

func TestHostileTokensInTraefik(t *testing.T) {
	type trick struct{ Trick, Why, Token string }
	var tokens struct{ Fail, Pass []trick }
	readData(t, &tokens, "tokens.json")
	if len(tokens.Fail) < 150 || len(tokens.Pass) < 15 {
		t.Errorf("only %d and %d tokens", len(tokens.Fail), len(tokens.Pass))
	}
	s := setUp(t, map[string]table{"all": {"group": "998", "acceptBearer": true}})
	for want, tricks := range map[int][]trick{http.StatusUnauthorized: tokens.Fail, http.StatusOK: tokens.Pass} {
		for _, one := range tricks {
			if strings.ContainsAny(one.Token, "\r\n") {
				continue // it would be another header
			}
			t.Run(one.Trick+": "+one.Why, func(t *testing.T) {
				for _, headers := range [][]string{{"Cookie", organizr.CookieName + "=" + one.Token}, {"Authorization", "Bearer " + one.Token}} {
					if got := s.in(t).ask("GET", "all.example.com", "/", headers...).StatusCode; got != want {
						t.Errorf("in %s: got %d, want %d", headers[0], got, want)
					}
				}
			})
		}
	}
	t.Run("a megabyte", func(t *testing.T) {
		token := strings.Repeat("eyJh.", 1<<20/5)
		got := s.in(t).ask("GET", "all.example.com", "/", "Cookie", organizr.CookieName+"="+token).StatusCode
		if got != http.StatusUnauthorized && got != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("got %d", got)
		}
	})
}

func TestNobodyPretendsToBeSomebodyElse(t *testing.T) {
	s := setUp(t, map[string]table{"user": {"group": "User"}, "guest": {"group": "Guest"}})
	for _, host := range []string{"user.example.com", "guest.example.com"} {
		spellings := []string{"X-Organizr-User", "x-organizr-user", "x_organizr_user", "X-Organizr_User", "X.Organizr.User", "X_ORGANIZR-GROUP"}
		for _, spelling := range spellings {
			t.Run(spelling+" at "+host, func(t *testing.T) {
				headers := []string{spelling, "forged"}
				if host == "user.example.com" {
					headers = append(headers, as("bob")...)
				}
				if got := s.in(t).ask("GET", host, "/", headers...); got.StatusCode != 200 || strings.Contains(got.Body, "forged") {
					t.Errorf("%d, the service was told %v", got.StatusCode, got.seen().Header)
				}
			})
		}
	}
}

func TestAVisitorCantHideWhoTheyAre(t *testing.T) {
	s := setUp(t, map[string]table{"user": {"group": "User"}})
	for _, value := range []string{"X-Organizr-User", "x-organizr-user, X-Organizr-Group", "close, X-Organizr-Email"} {
		t.Run("Connection: "+value, func(t *testing.T) {
			told := s.in(t).ask("GET", "user.example.com", "/", append([]string{"Connection", value}, as("bob")...)...).seen().Header
			if told.Get("X-Organizr-User") != "bob" || told.Get("X-Organizr-Group") != "4" || told.Get("X-Organizr-Email") == "" {
				t.Errorf("the service was told %v", told)
			}
		})
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
		t.Run(name, func(t *testing.T) {
			if got := s.in(t).ask("GET", "user.example.com", "/", headers...).StatusCode; got != 401 {
				t.Errorf("got %d, want 401", got)
			}
		})
	}
}
