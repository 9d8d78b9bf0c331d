package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/realorganizr"
)

// fixedAddress is a Compose file that gives Traefik an address of its own.
const fixedAddress = `
services:
  traefik:
    networks:
      default:
        ipv4_address: 172.30.0.2
networks:
  default:
    ipam:
      config:
        - subnet: 172.30.0.0/24
          ip_range: 172.30.0.128/25
`

// pageAt returns where a browser is sent that opens sonarr by that scheme through another proxy.
func (s *stack) pageAt(scheme string) string {
	s.t.Helper()
	page := s.await(http.StatusFound, "sonarr", "", "Accept", pageAccept, "X-Forwarded-Proto", scheme)
	return page.Header.Get("Location")
}

func TestAtHomeWithoutTLSInDocker(t *testing.T) {
	// What the recipe says to remove from the Compose file.
	var removed []string
	text := yamlBlocks(section(t, "Docker Compose"))[0]
	for _, word := range regexp.MustCompile("`([A-Z]+)`").FindAllStringSubmatch(section(t, "At home without TLS"), -1) {
		for _, line := range regexp.MustCompile(`(?m)^ +TRAEFIK_\w*`+word[1]+`.*\n`).FindAllString(text, -1) {
			removed = append(removed, line, "")
			text = strings.Replace(text, line, "", 1)
		}
	}
	s := newStack(t, "home", append(removed, "      - \"443:443\"\n", "")...)
	s.client, s.scheme, s.domain = s.engine.clientOf(t, s.plain), "http", ".home.lan"
	s.project.Files = append(s.project.Files, s.file("address.yml", fixedAddress))
	s.override("home.yml", table{
		"traefik": table{"environment": blockOf(t, "At home without TLS", 0).Environment},
		"near": withLabels(map[string]string{
			"traefik.http.routers.near.middlewares": "near", "traefik.http.middlewares.near.plugin.organizrjwt.group": "User",
			"traefik.http.routers.near-home.rule": "Host(`near.home.lan`) && ClientIP(`172.16.0.0/12`)",
		}),
	})
	s.setUp()
	back := func(scheme string) string {
		return "http://organizr.home.lan/?return=" + scheme + "%25253A%25252F%25252Fsonarr.home.lan%25252F"
	}
	if got := s.pageAt("http"); got != back("http") {
		t.Errorf("sent to %s", got)
	}
	alice := s.await(http.StatusOK, "sonarr", s.logIn("alice"))

	t.Run("Traefik has its own address", func(t *testing.T) {
		if from := alice.seen().From; !strings.HasPrefix(from, "172.30.0.2:") {
			t.Errorf("the service is asked by %s", from)
		}
	})
	t.Run("a range that holds Docker's networks lets everybody in", func(t *testing.T) {
		// Visitors over this machine's loopback reach Traefik from the gateway of Docker's network, as those over IPv6 do.
		if got := s.in(t).ask("GET", "near", "/", "").StatusCode; got != http.StatusOK {
			t.Errorf("got %d", got)
		}
	})
	t.Run("another proxy", func(t *testing.T) {
		s := s.in(t)
		const variable = "TRAEFIK_ENTRYPOINTS_WEB_FORWARDEDHEADERS_TRUSTEDIPS"
		if _, ok := blockOf(t, "Behind a tunnel or another proxy", 0).Environment[variable]; !ok {
			t.Fatalf("the recipe has no %s", variable)
		}
		trust := func(addresses string) {
			s.override("proxy.yml", table{"traefik": table{"environment": table{variable: addresses}}})
		}
		trust("127.0.0.1/32") // the address from which this test itself comes as such a proxy on Traefik's machine
		s.compose("up", "-d")
		if got := s.pageAt("https"); got != back("http") {
			t.Errorf("with its own address: sent to %s", got)
		}
		trust("172.30.0.0/24")
		s.compose("restart", "traefik")
		if got := s.pageAt("https"); got != back("http") {
			t.Errorf("after a restart, which keeps the old variables: sent to %s", got)
		}
		s.compose("up", "-d")
		if got := s.pageAt("https"); got != back("https") {
			t.Errorf("with the network that is Docker's: sent to %s", got)
		}
	})
}

func TestTwoOrganizrsInDocker(t *testing.T) {
	s := newStack(t, "two")
	names := []string{"family", "club"}
	given := labels(t, "Two Organizrs")
	for name, value := range given { // the folder that the stand-in's wizard chooses for the database
		given[name] = regexp.MustCompile(`/data/\w{10}/`).ReplaceAllString(value, "/data/kq2xn7vrtb/")
	}
	var mounts []string
	services := table{"traefik": table{"labels": given}}
	for _, name := range names {
		folder := "./organizr-" + name
		mounts = append(mounts, folder+":/organizr-"+name+":ro")
		services[name] = table{
			"image": "organizr/organizr", "labels": table{"traefik.enable": "true"},
			"volumes": []string{folder + ":/config"}, "healthcheck": table{"disable": true},
		}
		services[name+"-films"] = withLabels(map[string]string{"traefik.http.routers." + name + "-films.middlewares": name})
	}
	services["traefik"] = table{"labels": given, "volumes": mounts}
	s.override("two.yml", services)
	s.compose("up", "-d")
	sessions := map[string]string{}
	for _, name := range names {
		s.await(http.StatusOK, name, "")
		s.postTo(name, "/wizard", "", nil)
		sessions[name] = s.logInAt(name, "bob")
	}
	for _, name := range names {
		s.await(http.StatusOK, name+"-films", sessions[name])
		for other, session := range sessions {
			want := http.StatusUnauthorized
			if name == other {
				want = http.StatusOK
			}
			if got := s.ask("GET", name+"-films", "/", session).StatusCode; got != want {
				t.Errorf("a session of %s at %s: got %d, want %d", other, name, got, want)
			}
		}
	}
}

func TestOrganizrElsewhereInDocker(t *testing.T) {
	const files = "      ORGANIZR_CONFIG_FILE: /config/www/organizr/data/config/config.php\n" +
		"      ORGANIZR_DATABASE_FILE: auto\n"
	const mount = "      - ./organizr:/config:ro\n"

	t.Run("on this machine", func(t *testing.T) {
		s := newStack(t, "outside", files, "", mount, "")
		web := filepath.Join(t.TempDir(), "organizr")
		settings, database := filepath.Join(web, "data", "config"), filepath.Join(web, "data", "kq2xn7vrtb")
		for _, folder := range []string{settings, database} {
			if err := os.MkdirAll(folder, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		o, err := fakeorganizr.Install(data("organizr", "config.php"), settings, database)
		if err != nil {
			t.Fatal(err)
		}
		recipe := strings.ReplaceAll(yamlBlocks(section(t, "Organizr outside Docker"))[0], "/var/www/organizr", web)
		s.project.Files = append(s.project.Files, s.file("outside.yml", "services:\n  traefik:\n    "+
			strings.ReplaceAll(strings.TrimSpace(recipe), "\n", "\n    ")+"\n"))
		s.compose("up", "-d", "traefik", "navidrome")
		navidrome := fakeorganizr.Tab{Name: "Navidrome", URL: "https://navidrome.example.com", GroupID: 4, Enabled: true}
		if err := o.Database.SetTab(navidrome); err != nil {
			t.Fatal(err)
		}
		bob := loggedIn(t, o, "bob")
		s.await(http.StatusOK, "navidrome", bob)
		_, session, _ := strings.Cut(bob, "=")
		if err := o.Database.End(session); err != nil {
			t.Fatal(err)
		}
		s.await(http.StatusUnauthorized, "navidrome", bob)

		t.Run("uuid and hash, read by PHP", func(t *testing.T) {
			needs(t, "php")
			root := t.TempDir()
			if err := realorganizr.Layout(root); err != nil {
				t.Fatal(err)
			}
			php, err := s.engine.Image(t.Context(), "php", map[string]string{"root": root}, "FROM scratch", "COPY root /")
			if err != nil {
				t.Fatal(err)
			}
			_, command, ok := strings.Cut(section(t, "Without Organizr's files"), "```sh\n")
			command, _, closed := strings.Cut(command, "```")
			if !ok || !closed {
				t.Fatal("the readme has no such command")
			}
			printed, err := s.engine.Run(t.Context(), "sh", "-c",
				strings.NewReplacer("/var/www/organizr", web, "php:cli", php).Replace(command))
			if want := fakeorganizr.UUID + "\n" + o.Hash() + "\n"; err != nil || printed != want {
				t.Errorf("got %q, want %q: %v", printed, want, err)
			}
		})
	})

	t.Run("on another machine", func(t *testing.T) {
		s := newStack(t, "elsewhere", files, "", mount, "")
		s.project.Files = append(s.project.Files, s.file("secret.yml", yamlBlocks(section(t, "Without Organizr's files"))[0]))
		if err := os.WriteFile(filepath.Join(s.folder, "organizr_hash"), []byte(hash+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		s.override("user.yml", table{"navidrome": table{
			"labels": table{"traefik.http.routers.navidrome.middlewares": "user"},
		}})
		s.compose("up", "-d", "traefik", "navidrome", "sonarr")
		s.await(http.StatusOK, "navidrome", as("bob")[1])
		s.await(http.StatusUnauthorized, "navidrome", "")
		s.await(http.StatusForbidden, "navidrome", as("fay")[1])
		s.await(http.StatusForbidden, "sonarr", as("carol")[1])
		s.await(http.StatusOK, "sonarr", as("alice")[1])
	})
}
