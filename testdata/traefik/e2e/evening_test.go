package e2e

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
)

func TestTheFirstEveningInDocker(t *testing.T) {
	s := newStack(t, "evening")
	alice := &watcher{name: "alice at sonarr", host: "sonarr"}
	bob := &watcher{name: "bob at navidrome", host: "navidrome"}
	nobody := &watcher{name: "nobody at navidrome", host: "navidrome"}
	guest := &watcher{name: "nobody at whoami", host: "whoami"}
	owner := &watcher{name: "Organizr", host: "organizr"}
	l := newLife(t, s.client, alice, bob, nobody, guest, owner)
	number := func(username string) string {
		account, _ := fakeorganizr.Find(username)
		return strconv.Itoa(account.UserID)
	}
	starting := []int{refused, 404, 502}

	l.event("docker compose up", func() { s.compose("up", "-d") },
		alice.gets(503, starting...), bob.gets(503, starting...), nobody.gets(503, starting...),
		guest.gets(200, starting...), owner.gets(200, starting...))
	l.event("the wizard", func() { s.post("/wizard", "", nil) }, alice.gets(401), bob.gets(401), nobody.gets(401))
	l.event("alice and bob log in", func() {
		alice.logIn(s.logIn("alice"))
		bob.logIn(s.logIn("bob"))
	}, alice.gets(200), bob.gets(200))
	l.event("bob logs out", func() { s.post("/api/v2/logout", bob.session(), nil) }, bob.gets(401))
	l.event("bob logs in", func() { bob.logIn(s.logIn("bob")) }, bob.gets(200))
	l.event("bob is locked", func() { s.post("/accounts/lock", "", url.Values{"id": {number("bob")}}) }, bob.gets(403))
	l.event("bob is unlocked", func() { s.post("/accounts/unlock", "", url.Values{"id": {number("bob")}}) }, bob.gets(200))
	move := func(username, group string) {
		s.post("/accounts/move", "", url.Values{"id": {number(username)}, "group": {group}})
	}
	l.event("bob's group is Family", func() { move("bob", "5") }, bob.gets(403))
	l.event("bob's group is User", func() { move("bob", "4") }, bob.gets(200))

	l.event("Organizr is restarted", func() { s.compose("restart", "organizr") }, owner.during(refused, 404, 502, 504))
	l.event("Organizr is stopped", func() { s.compose("stop", "organizr") }, owner.gets(404, 502, 504))
	l.event("Organizr is started", func() { s.compose("start", "organizr") }, owner.gets(200, 404, 502, 504))
	l.event("Organizr falls ill", func() { s.post("/fall-ill", "", nil) }, owner.gets(502))
	l.event("Organizr is restarted", func() { s.compose("restart", "organizr") }, owner.gets(200, 404, 502, 504))

	l.event("Traefik is restarted", func() { s.compose("restart", "traefik") },
		alice.during(starting...), bob.during(starting...), nobody.during(starting...), guest.during(starting...), owner.during(starting...))

	change := func(changes ...string) func() {
		return func() {
			path := filepath.Join(s.folder, "docker-compose.yml")
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			s.file("docker-compose.yml", replaceAll(t, string(text), changes...))
			s.compose("up", "-d")
		}
	}
	const label = "traefik.http.routers.navidrome.middlewares: "
	stopped := []int{refused, 404, 502, 504}
	l.event("navidrome is for admins", change(label+"user", label+"admin"), bob.gets(403, stopped...), nobody.during(stopped...))
	l.event("navidrome's middleware is misspelt", change(label+"admin", label+"admim"), bob.gets(404, stopped...), nobody.gets(404, stopped...))
	l.event("navidrome has no labels", change("    labels:\n      traefik.enable: \"true\"\n      "+label+"admim\n", ""))
	l.event("navidrome is as before", change("    image: "+s.engine.images["deluan/navidrome"]+"\n    restart: unless-stopped\n",
		"    image: "+s.engine.images["deluan/navidrome"]+"\n    restart: unless-stopped\n    labels:\n      traefik.enable: \"true\"\n      "+label+"user\n"),
		bob.gets(200, stopped...), nobody.gets(401, stopped...))

	l.event("Organizr is recreated with an empty volume", func() {
		s.compose("rm", "--stop", "--force", "organizr")
		s.empty(filepath.Join(s.folder, "organizr"))
		s.compose("up", "-d")
	}, owner.during(stopped...))
	l.event("the wizard", func() { s.post("/wizard", "", nil) }, alice.gets(401), bob.gets(401))
	l.event("alice and bob log in", func() {
		alice.logIn(s.logIn("alice"))
		bob.logIn(s.logIn("bob"))
	}, alice.gets(200), bob.gets(200))

	resp, err := s.engine.clientOf(t, s.plain).Get("http://organizr.example.com/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMovedPermanently {
		t.Error(resp.Status)
	}
}
