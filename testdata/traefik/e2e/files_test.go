package e2e

import (
	"html"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/service"
)

func TestConfigFileIsRewrittenUnderLoad(t *testing.T) {
	o, err := fakeorganizr.New(data("organizr", "config.php"), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	backend := httptest.NewServer(http.HandlerFunc(service.Handler))
	t.Cleanup(backend.Close)
	s := setUp(t, nil, func(options *proxy.Options) {
		options.Env = []string{"ORGANIZR_CONFIG_FILE=" + o.ConfigFile(), "ORGANIZR_URL=https://organizr.example.com"}
		options.Dynamic = table{"http": table{
			"routers": table{
				"user": table{"rule": "Host(`user.example.com`)", "service": "service", "middlewares": []string{"user"}},
			},
			"middlewares": table{"user": table{"plugin": table{"organizrjwt": table{"group": "User"}}}},
			"services":    table{"service": table{"loadBalancer": table{"servers": []table{{"url": backend.URL}}}}},
		}}
	})
	bob, _ := fakeorganizr.Find("bob")
	oldCookie := fakeorganizr.Cookie(bob.Token(o.Hash()))
	if got := s.ask("GET", "user.example.com", "/", "Cookie", oldCookie).StatusCode; got != 200 {
		t.Fatalf("at first: got %d", got)
	}

	stop, done := make(chan struct{}), make(chan struct{})
	var sent, refused int64
	go func() {
		sent, refused = s.poll("user.example.com", oldCookie, 500, stop)
		close(done)
	}()
	for i := range 200 {
		err := o.Rewrite(func(string) {
			// Most rewrites are quick. In some, each state lasts long enough for the plugin to see it.
			pause := 5 * time.Millisecond
			if i%40 == 0 {
				pause = 1200 * time.Millisecond
			}
			time.Sleep(pause)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	<-done
	t.Logf("%d requests during 200 rewrites, %d refused", sent, refused)
	if refused > 0 || sent < 1000 {
		t.Errorf("%d of %d requests with a good session were refused", refused, sent)
	}

	if err := o.TurnKey(); err != nil {
		t.Fatal(err)
	}
	turned := time.Now()
	newCookie := fakeorganizr.Cookie(bob.Token(o.Hash()))
	for {
		before := s.ask("GET", "user.example.com", "/", "Cookie", oldCookie).StatusCode
		after := s.ask("GET", "user.example.com", "/", "Cookie", newCookie).StatusCode
		if before == 401 && after == 200 {
			break
		}
		if time.Since(turned) > 2*time.Second {
			t.Fatalf("two seconds after the key has changed an old session gets %d and a new one %d", before, after)
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Logf("the new key was in force after %s", time.Since(turned).Round(time.Millisecond))
	if err := os.Remove(o.ConfigFile()); err != nil {
		t.Fatal(err)
	}
}

// A lateFile is a file that the plugin reads, and that is missing or incomplete when Traefik starts.
type lateFile struct {
	option  string
	path    string
	session []string // good once the file is complete
}

// start starts Traefik, with a service for users and one for guests, which have the file as the only source of what it
// holds.
func (file lateFile) start(t *testing.T) *scene {
	t.Helper()
	hosts := map[string]table{"user": {"group": "User"}, "guest": {"group": "Guest"}}
	for _, options := range hosts {
		options[file.option] = file.path
		if file.option != "databaseFile" {
			options["secret"] = ""
		}
	}
	return setUp(t, hosts)
}

// write replaces the file atomically, so that the plugin sees no half of it but those that the test writes.
func (file lateFile) write(t *testing.T, text string) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(file.path), 0o700)
	if err == nil {
		err = os.WriteFile(file.path+".new", []byte(text), 0o600)
	}
	if err == nil {
		err = os.Rename(file.path+".new", file.path)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// isMissed fails unless all responses say for a while that the login isn't ready, and guests enter without an identity.
// The while is long enough for the plugin to poll the file more than once.
func (file lateFile) isMissed(t *testing.T, s *scene) {
	t.Helper()
	s = s.in(t)
	const user, guest = "user.example.com", "guest.example.com"
	for began := time.Now(); time.Since(began) < 1500*time.Millisecond; time.Sleep(50 * time.Millisecond) {
		for _, headers := range [][]string{file.session, nil} {
			got := s.ask("GET", user, "/", headers...)
			again, err := strconv.Atoi(got.Header.Get("Retry-After"))
			if got.StatusCode != http.StatusServiceUnavailable || err != nil || again < 1 ||
				got.Header.Get("Content-Type") != "application/problem+json" || got.Header.Get("Cache-Control") != "no-store" {
				t.Fatalf("a program gets %d %v: %s", got.StatusCode, got.Header, got.Body)
			}
		}
		page := s.ask("GET", user, "/", append([]string{"Accept", pageAccept}, file.session...)...)
		if page.StatusCode != http.StatusServiceUnavailable || page.Header.Get("Retry-After") == "" ||
			!strings.Contains(html.UnescapeString(page.Body), "isn't ready") ||
			!strings.Contains(page.Body, `http-equiv="refresh"`) {
			t.Fatalf("a person gets %d %v: %s", page.StatusCode, page.Header, page.Body)
		}
		if got := s.ask("HEAD", user, "/", file.session...); got.StatusCode != http.StatusServiceUnavailable ||
			got.Body != "" {
			t.Fatalf("HEAD gets %d and %q", got.StatusCode, got.Body)
		}
		opened := s.ask("GET", guest, "/", append([]string{"X-Organizr-User", "forged"}, file.session...)...)
		received := opened.seen().Header
		if opened.StatusCode != http.StatusOK || received.Get("X-Organizr-User") != "" || received.Get("Cookie") != "" {
			t.Fatalf("a guests' page answers %d, and the service received %v", opened.StatusCode, received)
		}
	}
}

// isFound fails unless the file counts within seconds.
func (file lateFile) isFound(t *testing.T, s *scene) {
	t.Helper()
	s = s.in(t)
	s.becomes(200, map[string]string{"X-Organizr-User": "bob", "Cookie": ""}, "user.example.com", file.session...)
	s.becomes(200, map[string]string{"X-Organizr-User": "bob"}, "guest.example.com", file.session...)
	s.becomes(401, nil, "user.example.com")
}

// isLogged fails unless the log has one line about the file that matches.
func (file lateFile) isLogged(t *testing.T, s *scene, pattern string) {
	t.Helper()
	if lines := s.in(t).logged("ERR.*"+file.option+": .*"+pattern, 1); len(lines) != 1 {
		t.Errorf("the log says so %d times: %q", len(lines), lines)
	}
}

// Traefik starts first. Each file that the plugin reads is complete only later, without a restart or a new
// configuration.
func TestFilesThatArentThereYet(t *testing.T) {
	config, err := os.ReadFile(data("organizr", "config.php"))
	if err != nil {
		t.Fatal(err)
	}
	bob, _ := fakeorganizr.Find("bob")
	session := as("bob")
	database := newDatabase(t, filepath.Join(t.TempDir(), "orgdb.db"))
	if err := database.Begin(bob, strings.TrimPrefix(session[1], fakeorganizr.Cookie(""))); err != nil {
		t.Fatal(err)
	}
	tables, err := os.ReadFile(database.Path())
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		option string
		whole  string
		halves map[string]string // incomplete contents
	}{
		{"configFile", string(config), map[string]string{
			"an empty file":                "",
			"a half-written file":          string(config[:len(config)/2]),
			"a file from before the setup": "<?php\nreturn [\n\t'branch' => 'v2-master'\n];",
			"a file of something else":     "organizrHash=" + hash,
		}},
		{"secretFile", hash + "\n", map[string]string{"an empty file": "", "a file with nothing but a newline": "\n"}},
		{"databaseFile", string(tables), map[string]string{
			"an empty file":           "",
			"a file that is cut off":  string(tables[:len(tables)/2]),
			"a file without tables":   "SQLite format 3\x00" + strings.Repeat("\x00", 4080),
			"a file of anything else": strings.Repeat("organizr ", 1000),
		}},
	} {
		inFolder := func(t *testing.T) lateFile {
			return lateFile{option: test.option, path: filepath.Join(t.TempDir(), "organizr", "file"), session: session}
		}
		for name, half := range test.halves {
			t.Run(test.option+", "+name+" at first", func(t *testing.T) {
				file := inFolder(t)
				file.write(t, half)
				s := file.start(t)
				file.isMissed(t, s)
				file.isLogged(t, s, regexp.QuoteMeta(file.path))
				file.write(t, test.whole)
				file.isFound(t, s)
			})
		}
		t.Run(test.option+", one state after another", func(t *testing.T) {
			file := inFolder(t)
			s := file.start(t)
			t.Run("no folder", func(t *testing.T) {
				file.isMissed(t, s)
				file.isLogged(t, s, regexp.QuoteMeta(file.path))
			})
			t.Run("a folder in its place", func(t *testing.T) {
				if err := os.MkdirAll(file.path, 0o700); err != nil {
					t.Fatal(err)
				}
				file.isMissed(t, s)
				if err := os.Remove(file.path); err != nil {
					t.Fatal(err)
				}
			})
			for name, half := range test.halves {
				t.Run(name, func(t *testing.T) {
					file.write(t, half)
					file.isMissed(t, s)
				})
			}
			t.Run("the file itself", func(t *testing.T) {
				file.write(t, test.whole)
				file.isFound(t, s)
			})
			t.Run("gone again: its content stays in force", func(t *testing.T) {
				if err := os.Remove(file.path); err != nil {
					t.Fatal(err)
				}
				s := s.in(t)
				for began := time.Now(); time.Since(began) < 2500*time.Millisecond; time.Sleep(50 * time.Millisecond) {
					if got := s.ask("GET", "user.example.com", "/", session...).StatusCode; got != 200 {
						t.Fatalf("got %d, want 200", got)
					}
				}
				file.isLogged(t, s, "keeping the last good version")
			})
		})
	}
}

// Accounts are as the database has them: a change in Organizr counts a second later, and a login at once.
func TestDatabaseFile(t *testing.T) {
	folder := t.TempDir()
	database := newDatabase(t, filepath.Join(folder, "orgdb.db"))
	text, err := os.ReadFile(data("organizr", "database", "config.php"))
	if err != nil {
		t.Fatal(err)
	}
	const uuid, key = "bc659f4e-ece8-42f9-ad2d-6088689e8ebd",
		"612081b769410060fa68b3cfcc63836fd4faab739d8dad3fedb52ce40b3b53c5"
	config := filepath.Join(folder, "config.php")
	moved := strings.Replace(string(text), "/config/www/organizr/data/Kq2xN7vRtB/", folder+"/", 1)
	if err := os.WriteFile(config, []byte(moved), 0o600); err != nil {
		t.Fatal(err)
	}
	hosts := map[string]table{
		"user":   {"group": "User", "headers": table{"X-Group": "{group}"}},
		"power":  {"group": "Power User"},
		"family": {"group": "Admin", "allow": "group=Family"},
		"guest":  {"group": "Guest"},
	}
	for _, options := range hosts {
		options["secret"], options["uuid"] = "", ""
	}
	sources := map[string]func(options *proxy.Options){
		"of that path": func(options *proxy.Options) {
			options.Env = []string{"ORGANIZR_CONFIG_FILE=" + config, "ORGANIZR_DATABASE_FILE=" + database.Path()}
		},
		"that config.php names": func(options *proxy.Options) {
			options.Env = []string{"ORGANIZR_CONFIG_FILE=" + config, "ORGANIZR_DATABASE_FILE=auto"}
		},
	}
	for name, source := range sources {
		t.Run(name, func(t *testing.T) {
			s := setUp(t, hosts, source)
			began := time.Now().Add(-time.Minute)
			// login returns a session that the database doesn't list yet.
			login := func(username string) (fakeorganizr.Account, string, []string) {
				account, _ := fakeorganizr.Find(username)
				began = began.Add(time.Millisecond)
				token := fakeorganizr.Sign(fakeorganizr.Header, account.Claims(began, time.Hour), key)
				return account, token, []string{"Cookie", "organizr_token_" + uuid + "=" + token}
			}
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			const user, power, family, guest = "user.example.com", "power.example.com", "family.example.com", "guest.example.com"
			bob, token, session := login("bob")
			fay, fayToken, fays := login("fay")
			alice, _, _ := login("alice")
			rename := func(group int, name string) func() error {
				return func() error { return database.RenameGroup(group, name) }
			}

			for _, step := range []struct {
				name     string
				change   func() error
				host     string
				as       []string
				want     int
				received map[string]string
			}{
				{name: "a session that Organizr never listed", host: user, as: session, want: 401},
				{
					name: "nobody, on a guests' page", host: guest, as: session, want: 200,
					received: map[string]string{"X-Organizr-User": ""},
				},
				{
					name: "a login", change: func() error { return database.Begin(bob, token) }, host: user, as: session, want: 200,
					received: map[string]string{
						"X-Organizr-User": "bob", "X-Organizr-Email": "bob@example.com", "X-Organizr-Group": "4", "X-Group": "User",
						"Cookie": "",
					},
				},
				{name: "too low a group", host: power, as: session, want: 403},
				{
					name: "moved up", change: func() error { return database.Move(bob.UserID, 3) }, host: power, as: session,
					want:     200,
					received: map[string]string{"X-Organizr-Group": "3"},
				},
				{
					name: "moved down", change: func() error { return database.Move(bob.UserID, 5) }, host: user, as: session,
					want: 403,
				},
				{name: "in a group that is allowed by its name", host: family, as: session, want: 200},
				{name: "that group has another name", change: rename(5, "Relatives"), host: family, as: session, want: 403},
				{name: "and its old one again", change: rename(5, "Family"), host: family, as: session, want: 200},
				{
					name: "moved back", change: func() error { return database.Move(bob.UserID, 4) }, host: user, as: session,
					want: 200,
				},
				{
					name: "renamed", change: func() error { return database.Rename(bob.UserID, "robert") }, host: user, as: session,
					want:     200,
					received: map[string]string{"X-Organizr-User": "robert"},
				},
				{
					name: "renamed to what can't be printed", change: func() error { return database.Rename(bob.UserID, "alice\a") },
					host: user, as: session, want: 403,
				},
				{
					name: "and back", change: func() error { return database.Rename(bob.UserID, "bob") }, host: user, as: session,
					want: 200,
				},
				{
					name: "locked", change: func() error { return database.Lock(bob.UserID, true) }, host: user, as: session,
					want: 403,
				},
				{
					name: "locked, on a guests' page", host: guest, as: session, want: 200,
					received: map[string]string{"X-Organizr-User": ""},
				},
				{
					name: "unlocked", change: func() error { return database.Lock(bob.UserID, false) }, host: user, as: session,
					want: 200,
				},
				{name: "logged out", change: func() error { return database.End(token) }, host: user, as: session, want: 401},
				{
					name: "the same session of another account", change: func() error { return database.Begin(alice, token) },
					host: user, as: session, want: 401,
				},
				{
					name: "in a group of one's own", change: func() error { return database.Begin(fay, fayToken) }, host: family,
					as: fays, want: 200,
				},
				{name: "deleted", change: func() error { return database.Delete(fay.UserID) }, host: family, as: fays, want: 401},
			} {
				t.Run(step.name, func(t *testing.T) {
					if step.change != nil {
						must(step.change())
					}
					s.in(t).becomes(step.want, step.received, step.host, step.as...)
				})
			}
			t.Run("a new session is never refused", func(t *testing.T) {
				s := s.in(t)
				for range 50 {
					_, fresh, headers := login("pat")
					pat, _ := fakeorganizr.Find("pat")
					must(database.Begin(pat, fresh))
					if got := s.ask("GET", user, "/", headers...).StatusCode; got != 200 {
						t.Fatalf("got %d, want 200", got)
					}
				}
			})
			t.Run("a locked account has its own page", func(t *testing.T) {
				pat, fresh, headers := login("pat")
				must(database.Begin(pat, fresh))
				must(database.Lock(pat.UserID, true))
				got := s.in(t).becomes(403, nil, user, append([]string{"Accept", pageAccept}, headers...)...)
				if !strings.Contains(got.Body, "Your account is locked") {
					t.Errorf("it says:\n%s", got.Body)
				}
				must(database.Lock(pat.UserID, false))
			})
			// The next source begins where this one did.
			must(os.Remove(database.Path()))
			database = newDatabase(t, database.Path())
		})
	}
}
