package e2e

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/realorganizr"
)

// A timeline records which values something has had, and when. While a change is under way, both values count.
type timeline struct {
	mutex sync.Mutex
	spans []span
}

type span struct {
	value       string
	from, until time.Time // until is zero for the current value
}

// change records the change to the value that act makes.
func (line *timeline) change(value string, act func() error) error {
	line.mutex.Lock()
	line.spans = append(line.spans, span{value: value, from: time.Now()})
	before := len(line.spans) - 2
	line.mutex.Unlock()
	err := act()
	line.mutex.Lock()
	defer line.mutex.Unlock()
	if before >= 0 {
		line.spans[before].until = time.Now()
	}
	return err
}

// had reports whether something had the value at some moment between the two.
func (line *timeline) had(value string, from, until time.Time) bool {
	line.mutex.Lock()
	defer line.mutex.Unlock()
	return slices.ContainsFunc(line.spans, func(one span) bool {
		return one.value == value && one.from.Before(until) && (one.until.IsZero() || one.until.After(from))
	})
}

// Organizr writes as fast as it can: logins, log-outs, new names and groups. It does so one after the other, since it
// fails if two of its own processes write at once. Every answer that the plugin gives meanwhile was right within the
// last second, or before the write that was under way. ORGANIZR_RACE sets the duration.
func TestReadersBesideWriters(t *testing.T) {
	length, err := time.ParseDuration(cmp.Or(os.Getenv("ORGANIZR_RACE"), "8s"))
	if err != nil {
		t.Fatal(err)
	}
	o := realOrganizr(t)
	path, err := o.DatabaseFile()
	if err != nil {
		t.Fatal(err)
	}
	s := followOrganizr(t, o.ConfigFile(), map[string]table{"everyone": {"group": 998}, "power": {"group": 3}})
	for _, test := range []struct {
		name, mode string
		held       bool
	}{
		{"with a rollback journal", "DELETE", false},
		{"with a write-ahead log", "WAL", false},
		{"with a write-ahead log that stays, since another program has the database open", "WAL", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			db := fakeorganizr.OpenDatabase(path)
			if err := db.SetJournalMode(test.mode); err != nil {
				t.Fatal(err)
			}
			if test.held {
				release, err := db.Hold()
				if err != nil {
					t.Fatal(err)
				}
				defer func() {
					if err := release(); err != nil {
						t.Error(err)
					}
				}()
			}
			race(&racers{t: t, organizr: o, visitor: newVisitor(s.traefik), counts: map[string]int{}}, length)
		})
	}
}

// race runs the writers and the readers for the duration.
func race(r *racers, length time.Duration) {
	t, o := r.t, r.organizr
	begun := map[string]*http.Cookie{}
	if err := o.Move(t.Context(), "pat", 3); err != nil {
		t.Fatal(err)
	}
	for _, username := range []string{"sue", "bob", "pat", "fay"} {
		begun[username] = r.logIn(username)
	}
	if err := o.LogOut(t.Context(), begun["fay"].Value); err != nil {
		t.Fatal(err)
	}
	names, groups := &timeline{}, &timeline{}
	_ = names.change("bob", func() error { return nil })
	_ = groups.change("3", func() error { return nil })
	ended := time.Now()
	until := ended.Add(length)

	r.each(until, func(int) {
		carol := r.logIn("carol")
		for _, host := range []string{"everyone", "power"} {
			r.expect("just logged in", host, carol,
				func(status int, user string, _ time.Time) bool { return status == 200 && user == "carol" })
		}
		r.write("rename", func() error {
			return names.change("robert", func() error { return o.Rename(t.Context(), "bob", "robert", "robert@example.com") })
		})
		r.write("move", func() error { return groups.change("5", func() error { return o.Move(t.Context(), "pat", 5) }) })
		r.write("log-out", func() error { return o.LogOut(t.Context(), carol.Value) })
		r.write("move", func() error { return groups.change("3", func() error { return o.Move(t.Context(), "pat", 3) }) })
		r.write("rename", func() error {
			return names.change("bob", func() error { return o.Rename(t.Context(), "robert", "bob", "bob@example.com") })
		})
	})
	for range 2 {
		r.each(until, func(int) {
			r.expect("sue stays", "everyone", begun["sue"],
				func(status int, user string, _ time.Time) bool { return status == 200 && user == "sue" })
			r.expect("fay is out", "everyone", begun["fay"], func(status int, _ string, asked time.Time) bool {
				return status == 401 || status == 200 && asked.Before(ended.Add(r.patience()))
			})
			r.expect("bob's name", "everyone", begun["bob"], func(status int, user string, asked time.Time) bool {
				return status == 200 && names.had(user, asked.Add(-r.patience()), time.Now())
			})
			r.expect("pat's group", "power", begun["pat"], func(status int, _ string, asked time.Time) bool {
				group := map[int]string{200: "3", 403: "5"}[status]
				return groups.had(group, asked.Add(-r.patience()), time.Now())
			})
		})
	}
	r.running.Wait()
	t.Logf("in %v, the longest write %v: %v", length, r.longest.Round(time.Millisecond), r.counts)
	for _, what := range []string{
		"rename", "move", "log-out", "just logged in", "sue stays", "fay is out", "bob's name", "pat's group",
	} {
		if r.counts[what] < 3 {
			t.Errorf("%s: only %d times", what, r.counts[what])
		}
	}
}

// racers are the writers and the readers.
type racers struct {
	t        *testing.T
	organizr *realorganizr.Organizr
	visitor  *visitor
	running  sync.WaitGroup
	mutex    sync.Mutex
	counts   map[string]int
	began    time.Time     // when the current write began; zero without one
	longest  time.Duration // the longest write so far
}

// each runs the function again and again, concurrently with the others.
func (r *racers) each(until time.Time, act func(turn int)) {
	r.running.Go(func() {
		for turn := 0; time.Now().Before(until) && !r.t.Failed(); turn++ {
			act(turn)
		}
	})
}

// check counts what was done, and reports its error.
func (r *racers) check(what string, err error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.counts[what]++
	if err != nil {
		r.t.Errorf("%s: %v", what, err)
	}
}

// write does something that makes Organizr write, and counts it.
func (r *racers) write(what string, act func() error) {
	r.mutex.Lock()
	r.began = time.Now()
	r.mutex.Unlock()
	err := act()
	r.mutex.Lock()
	r.longest, r.began = max(r.longest, time.Since(r.began)), time.Time{}
	r.mutex.Unlock()
	r.check(what, err)
}

// patience returns how old an answer may be. The database can't be read while Organizr writes.
func (r *racers) patience() time.Duration {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.began.IsZero() {
		return soon + r.longest
	}
	return soon + max(r.longest, time.Since(r.began))
}

// expect sends a request to the host, and checks the answer by the time at which it was sent.
func (r *racers) expect(what, host string, cookie *http.Cookie,
	right func(status int, user string, asked time.Time) bool,
) {
	asked := time.Now()
	resp, user, err := r.visitor.ask(r.t.Context(), host+".example.com", cookie)
	if err == nil && !right(resp.StatusCode, user, asked) {
		err = fmt.Errorf("%d %q", resp.StatusCode, user)
	}
	r.check(what, err)
}

// logIn returns the cookie of a new session.
func (r *racers) logIn(username string) *http.Cookie {
	cookie := &http.Cookie{Name: r.organizr.CookieName()}
	r.write("log-in", func() (err error) {
		cookie.Value, err = r.organizr.LogIn(r.t.Context(), username)
		return err
	})
	return cookie
}

// Only what has changed in a large database is parsed. Whatever SQLite changes, and on whichever of a row's pages,
// counts.
func TestChangesOfALargeDatabase(t *testing.T) {
	const secret = "a key that is long enough, and not the documented one"
	bob, _ := fakeorganizr.Find("bob")
	made := plugin(t)
	sign := func(number int) string {
		claims := bob.Claims(time.Now(), 24*time.Hour+time.Duration(number)*time.Millisecond)
		return fakeorganizr.Sign(fakeorganizr.Header, claims, secret)
	}
	for _, test := range []struct {
		name, mode string
		held       bool
	}{
		{"with a rollback journal", "DELETE", false},
		{"with a write-ahead log", "WAL", false},
		{"with a write-ahead log that stays", "WAL", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "organizr.db")
			database, err := fakeorganizr.NewDatabase(path, fakeorganizr.Groups, fakeorganizr.Accounts)
			must(t, err)
			must(t, database.SetJournalMode(test.mode))
			sessions := make([]fakeorganizr.Session, 1000) // every other one has overflow pages
			for i := range sessions {
				sessions[i] = fakeorganizr.Session{
					Token: sign(i), Browser: strings.Repeat("x", i%2*7000), Address: "127.0.0.1",
					Expires: time.Now().AddDate(0, 0, 2).UTC().Format(time.DateTime),
				}
			}
			must(t, database.List(bob, sessions...))
			if test.held {
				release, err := database.Hold()
				must(t, err)
				defer func() { must(t, release()) }()
			}
			handler := made.handler(t, inForce(map[string]any{"Secret": secret, "DatabaseFile": path}))
			for turn := range 30 {
				ended, expired, fresh := sessions[turn*31].Token, sessions[turn*31+16].Token, sign(1000+turn)
				for _, token := range []string{ended, expired} {
					if got := statusOf(handler, token); got != 0 {
						t.Fatalf("turn %d: got status %d, want the service's answer", turn, got)
					}
				}
				must(t, database.End(ended))
				must(t, database.Expire(expired))
				must(t, database.Begin(bob, fresh))
				if turn%10 == 9 && !test.held {
					must(t, database.Vacuum())
				}
				got := []int{
					statusOf(handler, fresh), // for whom the database is read again
					statusOf(handler, ended), statusOf(handler, expired), statusOf(handler, sessions[999].Token),
				}
				if want := []int{0, 401, 401, 0}; !slices.Equal(got, want) {
					t.Fatalf("turn %d: got the statuses %v, want %v", turn, got, want)
				}
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A browser is back at the service within milliseconds of the login.
func TestNewSessionIsAdmittedAtOnce(t *testing.T) {
	o := realOrganizr(t)
	s := followOrganizr(t, o.ConfigFile(), map[string]table{"everyone": {"group": 998}, "users": {"group": "User"}})
	visitor := newVisitor(s.traefik)
	for i := range 28 {
		account := fakeorganizr.Accounts[i%len(fakeorganizr.Accounts)]
		t.Run(fmt.Sprintf("%s, %d", account.Username, i), func(t *testing.T) {
			session, err := o.LogIn(t.Context(), account.Username)
			if err != nil {
				t.Fatal(err)
			}
			resp, user, err := visitor.ask(t.Context(), "everyone.example.com",
				&http.Cookie{Name: o.CookieName(), Value: session})
			if err != nil || resp.StatusCode != http.StatusOK || user != account.Username {
				t.Fatalf("%v %q: %v", resp, user, err)
			}
		})
	}
}

// The fake Organizr writes its database with a real SQLite. Its changes count within seconds too.
func TestDatabaseIsFollowed(t *testing.T) {
	o, err := fakeorganizr.New(data("organizr", "config.php"), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := followOrganizr(t, o.ConfigFile(), map[string]table{
		"users":  {"group": "User", "headers": map[string]string{"X-User": "{username} of {group} ({groupID})"}},
		"family": {"group": "Admin", "allow": "group=Relatives"},
		"guests": {"group": "Guest"},
	})
	bob, _ := fakeorganizr.Find("bob")
	fay, _ := fakeorganizr.Find("fay")
	session, other := bob.Token(o.Hash()), fay.Token(o.Hash())
	db := o.Database
	steps := []struct {
		what   string
		change func() error
		host   string
		token  string
		status int
		user   string // X-User at the service
	}{
		{"a token that isn't listed is no session", func() error { return nil }, "users", session, 401, ""},
		{"a session begins", func() error { return db.Begin(bob, session) }, "users", session, 200, "bob of User (4)"},
		{
			"an account gets another name", func() error { return db.Rename(bob.UserID, "robert") }, "users", session, 200,
			"robert of User (4)",
		},
		{
			"a group gets another name", func() error { return db.RenameGroup(4, "Friends") }, "users", session, 200,
			"robert of Friends (4)",
		},
		{
			"an account moves up", func() error { return db.Move(bob.UserID, 2) }, "users", session, 200,
			"robert of Super User (2)",
		},
		{"an account moves down", func() error { return db.Move(bob.UserID, 5) }, "users", session, 403, ""},
		{"and back", func() error { return db.Move(bob.UserID, 4) }, "users", session, 200, "robert of Friends (4)"},
		{"an account is locked", func() error { return db.Lock(bob.UserID, true) }, "users", session, 403, ""},
		{"a locked account is nobody to a service for Guests", func() error { return nil }, "guests", session, 200, ""},
		{
			"an account is unlocked", func() error { return db.Lock(bob.UserID, false) }, "users", session, 200,
			"robert of Friends (4)",
		},
		{
			"a name that isn't printable", func() error { return db.Rename(bob.UserID, "alice\u0007") }, "users",
			session, 403, "",
		},
		{
			"and a good one again", func() error { return db.Rename(bob.UserID, "bob") }, "users", session, 200,
			"bob of Friends (4)",
		},
		{"a condition goes by the table of groups", func() error { return db.Begin(fay, other) }, "family", other, 403, ""},
		{"as soon as a group has the name", func() error { return db.RenameGroup(5, "Relatives") }, "family", other, 200, ""},
		{
			"a user fills the database with 80 MB", func() error { return db.Fill(fay.UserID, 40_000_000) }, "users", session,
			200, "bob of Friends (4)",
		},
		{"who then moves, too", func() error { return db.Move(fay.UserID, 4) }, "family", other, 403, ""},
		{"and back", func() error { return db.Move(fay.UserID, 5) }, "users", session, 200, "bob of Friends (4)"},
		{"a session ends", func() error { return db.End(session) }, "users", session, 401, ""},
		{"an account is deleted", func() error { return db.Delete(fay.UserID) }, "family", other, 401, ""},
	}
	for _, step := range steps {
		if err := step.change(); err != nil {
			t.Fatal(err)
		}
		changed := time.Now()
		t.Run(step.what, func(t *testing.T) {
			for {
				got := s.in(t).ask("GET", step.host+".example.com", "/", "Cookie", fakeorganizr.Cookie(step.token))
				user := got.seen().Header.Get("X-User")
				if got.StatusCode == step.status && user == step.user {
					return
				}
				if time.Since(changed) > soon {
					t.Fatalf("got %d %q, want %d %q", got.StatusCode, user, step.status, step.user)
				}
			}
		})
	}
}

// Somebody whose session was ended while nobody came must not get in because Organizr is writing just now.
func TestVisitorComesBackWhileOrganizrWrites(t *testing.T) {
	o, err := fakeorganizr.New(data("organizr", "config.php"), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := followOrganizr(t, o.ConfigFile(), map[string]table{"users": {"group": "User"}})
	journal := o.Database.Path() + "-journal"
	for _, test := range []struct {
		name     string
		username string
		writes   time.Duration // from the moment when the visitor comes
		status   int
	}{
		{"for a second", "bob", time.Second, 401},
		{"without an end", "sue", time.Minute, 503},
	} {
		t.Run(test.name, func(t *testing.T) {
			visitor, _ := fakeorganizr.Find(test.username)
			session := visitor.Token(o.Hash())
			if err := o.Database.Begin(visitor, session); err != nil {
				t.Fatal(err)
			}
			ask := func() int {
				return s.in(t).ask("GET", "users.example.com", "/", "Cookie", fakeorganizr.Cookie(session)).StatusCode
			}
			if got := ask(); got != http.StatusOK {
				t.Fatalf("got %d, want 200", got)
			}
			time.Sleep(5100 * time.Millisecond)
			if err := errors.Join(o.Database.End(session), os.WriteFile(journal, []byte("x"), 0o644)); err != nil {
				t.Fatal(err)
			}
			end := time.AfterFunc(test.writes, func() { _ = os.Remove(journal) })
			if got := ask(); got != test.status {
				t.Errorf("got %d, want %d", got, test.status)
			}
			end.Stop()
			_ = os.Remove(journal)
		})
	}
}
