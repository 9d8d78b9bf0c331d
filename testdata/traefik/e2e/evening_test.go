package e2e

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/realorganizr"
)

// A household uses the Organizr of a stack as people use its pages.
type household interface {
	setUp()                       // goes through the wizard and adds the accounts
	tab(name string, group int)   // makes a service's tab, or moves it
	logIn(username string) string // returns a Cookie header
	logOut(cookie string)
	lock(username string, locked bool)
	move(username string, group int)
	fallIll() // makes Organizr's health check fail until recover
	recover()
}

// fakeHousehold uses the stand-in for Organizr.
type fakeHousehold struct {
	*stack
	tabs []string // in the order of their numbers, from 1
}

func (h *fakeHousehold) setUp() {
	h.post("/wizard", "", nil)
	h.tabs = nil
}

func (h *fakeHousehold) tab(name string, group int) {
	at := slices.Index(h.tabs, name)
	if at < 0 {
		h.tabs = append(h.tabs, name)
		h.addTab(name, group)
		return
	}
	h.post("/tabs/save", "", url.Values{
		"id": {strconv.Itoa(at + 1)}, "name": {name}, "url": {"https://" + name + ".example.com"},
		"group": {strconv.Itoa(group)}, "enabled": {"1"},
	})
}

func (h *fakeHousehold) logOut(cookie string) { h.post("/api/v2/logout", cookie, nil) }
func (h *fakeHousehold) fallIll()             { h.post("/fall-ill", "", nil) }
func (h *fakeHousehold) recover()             { h.compose("restart", "organizr") }

func (h *fakeHousehold) lock(username string, locked bool) {
	path := "/accounts/unlock"
	if locked {
		path = "/accounts/lock"
	}
	h.post(path, "", url.Values{"id": {numberOf(username)}})
}

func (h *fakeHousehold) move(username string, group int) {
	h.post("/accounts/move", "", url.Values{"id": {numberOf(username)}, "group": {strconv.Itoa(group)}})
}

// numberOf returns the account's number in the stand-in's database.
func numberOf(username string) string {
	account, _ := fakeorganizr.Find(username)
	return strconv.Itoa(account.UserID)
}

// realHousehold uses a real Organizr.
type realHousehold struct {
	*stack
	organizr *realorganizr.Organizr
	tabs     map[string]int // their numbers
}

func (h *realHousehold) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// php runs a line of PHP in Organizr's container, and returns what it prints.
func (h *realHousehold) php(line string) string {
	return h.compose("exec", "-T", "organizr", "/usr/bin/php", "-r", line)
}

func (h *realHousehold) setUp() {
	client := *h.client
	client.Timeout = 0
	read := func(path string) ([]byte, error) { return []byte(h.php("readfile('" + path + "');")), nil }
	h.organizr = realorganizr.At("https://organizr.example.com", "/config/www/organizr", &client, read)
	h.must(h.organizr.SetUp(h.t.Context()))
	h.tabs = map[string]int{}
}

func (h *realHousehold) tab(name string, group int) {
	id := h.tabs[name]
	if id != 0 {
		h.must(h.organizr.ChangeTab(h.t.Context(), id, tab{"group_id": group}))
		return
	}
	id, err := h.organizr.AddTab(h.t.Context(), tab{
		"name": name, "url": "https://" + name + ".example.com", "group_id": group, "enabled": 1,
	})
	h.must(err)
	h.tabs[name] = id
}

func (h *realHousehold) logIn(username string) string {
	session, err := h.organizr.LogIn(h.t.Context(), username)
	h.must(err)
	return h.organizr.CookieName() + "=" + session
}

func (h *realHousehold) logOut(cookie string) {
	_, session, _ := strings.Cut(cookie, "=")
	h.must(h.organizr.LogOut(h.t.Context(), session))
}

func (h *realHousehold) lock(username string, locked bool) {
	if locked {
		h.must(h.organizr.Lock(h.t.Context(), username))
	} else {
		h.must(h.organizr.Unlock(h.t.Context(), username))
	}
}

func (h *realHousehold) move(username string, group int) {
	h.must(h.organizr.Move(h.t.Context(), username, group))
}

func (h *realHousehold) fallIll() {
	h.php("rename('/config/www/organizr/index.php', '/config/index.php');")
}

func (h *realHousehold) recover() {
	h.php("rename('/config/index.php', '/config/www/organizr/index.php');")
}

func TestTheFirstEveningInDocker(t *testing.T) {
	t.Run("with the stand-in for Organizr", func(t *testing.T) {
		s := newStack(t, "evening")
		h := &fakeHousehold{stack: s}
		changeLabels(liveThrough(s, h), h)
	})
	t.Run("with a real Organizr", func(t *testing.T) {
		needsOrganizr(t)
		const volume = "      - ./organizr:/config\n"
		s := newStack(t, "realevening", "image: organizr/organizr\n", "image: "+realImage(t)+"\n",
			volume, volume+"      - "+realorganizr.Source()+":/organizr:ro\n")
		liveThrough(s, &realHousehold{stack: s})
	})
}

// realImage builds an image that runs a real Organizr in this machine's PHP, and returns its name.
func realImage(t *testing.T) string {
	t.Helper()
	e := needsDocker(t)
	root := t.TempDir()
	if err := realorganizr.Layout(root); err != nil {
		t.Fatal(err)
	}
	name, err := e.Image(t.Context(), "real-organizr", map[string]string{"root": root},
		"FROM "+e.images["organizr/organizr"], "COPY root /", `ENTRYPOINT ["/container", "real-organizr"]`)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// A householdsLife is what happens to the readme's Compose file, and the visitors of its services.
type householdsLife struct {
	*life
	*stack
	alice, bob, other, nobody, guest, owner *watcher
}

// away are the statuses while a container stops or starts.
var away = []int{refused, 404, 502, 504}

// restarting returns the outcomes of an event that restarts Traefik: for everybody, but for the exceptions.
func (l *householdsLife) restarting(exceptions ...outcome) []outcome {
	for _, w := range l.watchers {
		exceptions = append(exceptions, w.during(away...)) // the first outcome of a watcher counts
	}
	return exceptions
}

// liveThrough begins the life, and goes on to what can happen to Organizr and its accounts.
func liveThrough(s *stack, h household) *householdsLife {
	alice := &watcher{name: "alice at sonarr", host: "sonarr"}
	bob := &watcher{name: "bob at navidrome", host: "navidrome"}
	other := &watcher{name: "bob at radarr", host: "radarr"}
	nobody := &watcher{name: "nobody at navidrome", host: "navidrome"}
	guest := &watcher{name: "nobody at whoami", host: "whoami"}
	owner := &watcher{name: "Organizr", host: "organizr"}
	l := &householdsLife{
		life: newLife(s.t, s.client, alice, bob, other, nobody, guest, owner), stack: s,
		alice: alice, bob: bob, other: other, nobody: nobody, guest: guest, owner: owner,
	}
	logIn := func() {
		session := h.logIn("bob")
		alice.logIn(h.logIn("alice"))
		bob.logIn(session)
		other.logIn(session)
	}

	begin := func() {
		l.event("the wizard", h.setUp, alice.gets(401), bob.gets(401), nobody.gets(401), guest.gets(401))
		l.event("alice and bob log in", logIn, alice.gets(200), bob.gets(403))
		l.event("navidrome gets a tab for User", func() { h.tab("navidrome", 4) }, bob.gets(200))
		l.event("whoami gets a tab for Guest", func() { h.tab("whoami", 999) }, guest.gets(200))
	}

	l.event("docker compose up", func() { s.compose("up", "-d") },
		alice.gets(503, away...), bob.gets(503, away...), other.gets(404), nobody.gets(503, away...),
		guest.gets(503, away...), owner.gets(200, away...))
	begin()
	l.event("navidrome's tab is for Admin", func() { h.tab("navidrome", 0) }, bob.gets(403))
	l.event("navidrome's tab is for User", func() { h.tab("navidrome", 4) }, bob.gets(200))
	l.event("bob logs out", func() { h.logOut(bob.session()) }, bob.gets(401))
	l.event("bob logs in", logIn, bob.gets(200))
	l.event("bob is locked", func() { h.lock("bob", true) }, bob.gets(403))
	l.event("bob is unlocked", func() { h.lock("bob", false) }, bob.gets(200))
	l.event("bob's group is Family", func() { h.move("bob", 5) }, bob.gets(403))
	l.event("bob's group is User", func() { h.move("bob", 4) }, bob.gets(200))

	l.event("Organizr is restarted", func() { s.compose("restart", "organizr") }, owner.during(away...))
	l.event("Organizr is stopped", func() { s.compose("stop", "organizr") }, owner.gets(404, away...))
	l.event("Organizr is started", func() { s.compose("start", "organizr") }, owner.gets(200, away...))
	const quick = "    healthcheck:\n      test: [CMD, /container, check]\n      interval: 1s\n      retries: 1\n"
	l.event("Organizr gets a health check", func() { s.change(healthCheckOff, quick) }, owner.during(away...))
	l.event("Organizr is unhealthy", func() {
		h.fallIll()
		s.awaitHealth("unhealthy")
	}, owner.gets(404, away...))
	l.event("Organizr is healthy again", func() {
		h.recover()
		s.awaitHealth("healthy")
	}, owner.gets(200, away...))
	l.event("Organizr loses its health check", func() { s.change(quick, healthCheckOff) }, owner.during(away...))

	l.event("Traefik is restarted", func() { s.compose("restart", "traefik") }, l.restarting()...)

	l.event("Organizr is recreated with an empty volume", func() {
		s.compose("rm", "--stop", "--force", "organizr")
		s.empty(filepath.Join(s.folder, "organizr"))
		s.compose("up", "-d")
	}, owner.during(away...))
	begin()

	l.event("a named volume", func() {
		s.change("- ./organizr:/config:ro", "- organizr:/config:ro",
			"      - ./organizr:/config\n", "      - organizr:/config\n",
			"\nvolumes:\n", "\nvolumes:\n  organizr:\n")
	}, l.restarting(alice.gets(503, away...), bob.gets(503, away...), nobody.gets(503, away...),
		guest.gets(503, away...))...)
	begin()

	return l
}

// changeLabels goes on with what can happen to services and middlewares.
func changeLabels(l *householdsLife, h household) {
	s, t := l.stack, l.stack.t
	bob, nobody := l.bob, l.nobody
	const router = "traefik.http.routers.navidrome.middlewares: "
	users := s.line(router)
	const admins = router + "admins\n      traefik.http.middlewares.admins.plugin.organizrjwt.group: Admin\n"
	const misspelt = router + "admims\n"
	labels := "    labels:\n      traefik.enable: \"true\"\n      "
	l.event("navidrome is for admins", func() { s.change(users, admins) },
		bob.gets(403, away...), nobody.during(away...))
	l.event("navidrome's middleware is misspelt", func() { s.change(admins, misspelt) },
		bob.gets(404, away...), nobody.gets(404, away...))
	l.event("navidrome names no middleware", func() { s.change(misspelt, "unused: \"\"\n") },
		bob.gets(200, away...), nobody.gets(200, away...))
	l.event("navidrome has no labels", func() { s.change(labels+"unused: \"\"\n", "    # no labels\n") },
		bob.gets(404, away...), nobody.gets(404, away...))
	l.event("navidrome is as before", func() { s.change("    # no labels\n", labels+users) },
		bob.gets(200, away...), nobody.gets(401, away...))

	middleware := strings.TrimSpace(strings.TrimPrefix(users, router))
	group := s.line("traefik.http.middlewares." + middleware + ".plugin.organizrjwt.group: ")
	wrong := strings.Replace(group, "group: ", "group: un", 1)
	var shut, opened []outcome
	for _, w := range l.watchers {
		if strings.HasSuffix(s.line("traefik.http.routers."+w.host+".middlewares: "), ": "+middleware+"\n") {
			shut, opened = append(shut, w.gets(404, away...)), append(opened, w.during(away...))
		}
	}
	l.event("a group is misspelt", func() { s.change(group, wrong) }, l.restarting(shut...)...)
	complaint := regexp.MustCompile(`ERR.*organizrjwt: group: .*isn't a group`)
	if log := s.compose("logs", "--no-color", "traefik"); !complaint.MatchString(log) {
		t.Errorf("the log doesn't complain about the group:\n%s", log)
	}
	l.event("the group is right again", func() { s.change(wrong, group) }, l.restarting(opened...)...)

	blocks := yamlBlocks(section(t, "Services of another Compose project"))
	network := "    name: " + s.engine.Name(s.name+"-proxy") + "\n"
	own := s.file("network.yml", replaceAll(t, blocks[0], "    name: proxy\n", network))
	s.project.Files = append(s.project.Files, own)
	l.event("a network for other projects", func() { s.compose("up", "-d") }, l.restarting()...)
	second := s.engine.Project(s.name+"-second",
		s.file("second.yml", replaceAll(t, blocks[1], "    external: true\n", "    external: true\n"+network)))
	t.Cleanup(func() {
		if err := second.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
	l.event("radarr in another project", func() {
		if _, err := second.Compose(t.Context(), "up", "-d"); err != nil {
			t.Fatal(err)
		}
	}, l.other.gets(403, 502))
	l.event("radarr gets a tab for User", func() { h.tab("radarr", 4) }, l.other.gets(200))
	l.event("that project is removed", func() {
		if err := second.Down(t.Context()); err != nil {
			t.Fatal(err)
		}
	}, l.other.gets(404, away...))

	resp, err := s.engine.clientOf(t, s.plain).Get("http://organizr.example.com/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	location := resp.Header.Get("Location")
	if resp.StatusCode != http.StatusMovedPermanently || location != "https://organizr.example.com/" {
		t.Errorf("over http: %s, to %s", resp.Status, location)
	}
}

// change replaces texts of the project's Compose file, and brings the project up again.
func (s *stack) change(changes ...string) {
	s.t.Helper()
	text, err := os.ReadFile(s.project.Files[0])
	if err != nil {
		s.t.Fatal(err)
	}
	s.file(filepath.Base(s.project.Files[0]), replaceAll(s.t, string(text), changes...))
	s.compose("up", "-d")
}

// line returns what is left of a line of the Compose file from the words on, with its end; empty if there is no such
// line.
func (s *stack) line(words string) string {
	s.t.Helper()
	text, err := os.ReadFile(s.project.Files[0])
	if err != nil {
		s.t.Fatal(err)
	}
	return regexp.MustCompile(regexp.QuoteMeta(words) + ".*\n").FindString(string(text))
}

// awaitHealth waits until Organizr's container has that health.
func (s *stack) awaitHealth(want string) {
	s.t.Helper()
	id := strings.TrimSpace(s.compose("ps", "--quiet", "organizr"))
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		got, err := s.engine.Docker(s.t.Context(), "inspect", "--format", "{{.State.Health.Status}}", id)
		if err == nil && strings.TrimSpace(got) == want {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("Organizr is %q, %v", got, err)
		}
	}
}
