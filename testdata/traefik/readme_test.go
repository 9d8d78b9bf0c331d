package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/organizrjwt/organizrjwt"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/organizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/proxy"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/service"
	"github.com/traefik/traefik/v3/pkg/config/label"
	"gopkg.in/yaml.v3"
)

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(proxy.Checkout(), "readme.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// section returns the part of the readme under the heading.
func section(t *testing.T, heading string) string {
	t.Helper()
	_, rest, ok := strings.Cut(readme(t), "# "+heading+"\n")
	if !ok {
		t.Fatalf("the readme has no heading %q", heading)
	}
	if end := regexp.MustCompile(`(?m)^##+ `).FindStringIndex(rest); end != nil {
		return rest[:end[0]]
	}
	return rest
}

// yamlBlocks returns the blocks of YAML in a text.
func yamlBlocks(text string) []string {
	var blocks []string
	for _, match := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(text, -1) {
		blocks = append(blocks, match[1])
	}
	return blocks
}

// labels returns the labels of the first block under the heading.
func labels(t *testing.T, heading string) map[string]string {
	t.Helper()
	var block struct{ Labels map[string]string }
	if err := yaml.Unmarshal([]byte(yamlBlocks(section(t, heading))[0]), &block); err != nil {
		t.Fatal(err)
	}
	return block.Labels
}

// fromLabels returns the dynamic configuration that Traefik makes of labels, with a router for each middleware that
// has none, and the service behind all of them.
func fromLabels(t *testing.T, given map[string]string, backend string) table {
	t.Helper()
	decoded, err := label.DecodeConfiguration(given)
	if err != nil {
		t.Fatal(err)
	}
	routers, middlewares := table{}, table{}
	for name, middleware := range decoded.HTTP.Middlewares {
		middlewares[name] = table{"plugin": middleware.Plugin}
	}
	for name, router := range decoded.HTTP.Routers {
		rule := or(router.Rule, "Host(`"+name+".example.com`)")
		routers[name] = table{"rule": rule, "middlewares": router.Middlewares, "service": "service"}
	}
	return table{"http": table{
		"routers": routers, "middlewares": middlewares,
		"services": table{"service": table{"loadBalancer": table{"servers": []table{{"url": backend}}}}},
	}}
}

func TestTheReadmesBlocks(t *testing.T) {
	text := readme(t)
	for file, heading := range map[string]string{"docker-compose.yml": "Docker Compose", "kubernetes.yml": "Kubernetes"} {
		want, err := os.ReadFile(data(file))
		if err != nil {
			t.Fatal(err)
		}
		if got := yamlBlocks(section(t, heading))[0]; got != string(want) {
			t.Errorf("under %s the readme differs from testdata/%s", heading, file)
		}
	}
	blocks := yamlBlocks(text)
	if len(blocks) < 15 {
		t.Errorf("only %d blocks of YAML", len(blocks))
	}
	for _, block := range blocks {
		for _, document := range strings.Split(block, "\n---\n") {
			var parsed map[string]any
			if err := yaml.Unmarshal([]byte(document), &parsed); err != nil || len(parsed) == 0 {
				t.Errorf("%v:\n%s", err, document)
			}
		}
	}
	for _, file := range regexp.MustCompile(`\]\(([a-z.][^)#:]*)\)`).FindAllStringSubmatch(text, -1) {
		if _, err := os.Stat(filepath.Join(proxy.Checkout(), file[1])); err != nil {
			t.Error(err)
		}
	}
	for _, anchor := range regexp.MustCompile(`\]\(#([^)]*)\)`).FindAllStringSubmatch(text, -1) {
		found := false
		for _, heading := range regexp.MustCompile(`(?m)^##+ (.*)$`).FindAllStringSubmatch(text, -1) {
			plain := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(heading[1]), "")
			found = found || strings.ReplaceAll(plain, " ", "-") == anchor[1]
		}
		if !found {
			t.Errorf("no heading for #%s", anchor[1])
		}
	}
}

func TestTheReadmeHasEveryOption(t *testing.T) {
	text := section(t, "Options")
	decoded, err := label.DecodeConfiguration(labels(t, "Options"))
	if err != nil {
		t.Fatal(err)
	}
	shown := decoded.HTTP.Middlewares["door"].Plugin["organizrjwt"]
	config := reflect.TypeFor[organizrjwt.Config]()
	for i := range config.NumField() {
		option, _, _ := strings.Cut(config.Field(i).Tag.Get("json"), ",")
		if !strings.Contains(text, "\n| `"+option+"` | ") {
			t.Errorf("the table lacks %s", option)
		}
		if _, ok := shown[option]; !ok {
			t.Errorf("no label for %s", option)
		}
	}
	if len(shown) != config.NumField() {
		t.Errorf("the labels show %d options of %d", len(shown), config.NumField())
	}
	// What the readme says of the errors is what they say.
	source, err := os.ReadFile(filepath.Join(proxy.Checkout(), "organizrjwt.go"))
	if err != nil {
		t.Fatal(err)
	}
	more, err := os.ReadFile(filepath.Join(proxy.Checkout(), "hs256.go"))
	if err != nil {
		t.Fatal(err)
	}
	_, errors, _ := strings.Cut(text, "| option | errors |")
	for _, message := range regexp.MustCompile("`([a-zA-Z'][^`]* [^`]*)`").FindAllStringSubmatch(errors, -1) {
		if message[1] != "conflicts with pattern" && !strings.Contains(string(source)+string(more), message[1]) {
			t.Errorf("no error says %q", message[1])
		}
	}
}

func TestTheRecipes(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(service.Handler))
	t.Cleanup(backend.Close)
	base := setUp(t, nil, func(options *proxy.Options) {
		options.Env = []string{"ORGANIZR_UUID=" + organizr.UUID, "ORGANIZR_SECRET=" + hash, "ORGANIZR_URL=https://organizr.example.com"}
	})
	type visit struct {
		who, method, host, path string
		want                    int
	}
	for _, recipe := range []struct {
		heading string
		visits  []visit
		told    map[string]string // to bob at the first host
	}{
		{"A public API path on a private service", []visit{
			{"", "GET", "sonarr", "/api/x", 200}, {"", "GET", "sonarr", "/feed/", 200}, {"", "GET", "sonarr", "/", 401}, {"bob", "GET", "sonarr", "/", 200},
		}, nil},
		{"Only one custom group", []visit{{"fay", "GET", "photos", "/", 200}, {"bob", "GET", "photos", "/", 403}, {"alice", "GET", "photos", "/", 200}}, nil},
		{"One more user", []visit{{"bob", "GET", "radarr", "/", 200}, {"pat", "GET", "radarr", "/", 403}}, nil},
		{"A whole service open to the home network", []visit{{"", "GET", "plex", "/", 401}, {"bob", "GET", "plex", "/", 200}}, nil},
		{"CORS preflight", []visit{{"", "OPTIONS", "api", "/x", 200}, {"", "GET", "api", "/x", 401}, {"", "POST", "api", "/x", 401}}, nil},
		{"A web app's manifest and icons", []visit{
			{"", "GET", "app", "/manifest.json", 200}, {"", "GET", "app", "/icons/1.png", 200}, {"", "GET", "app", "/favicon.ico", 200}, {"", "GET", "app", "/", 401},
		}, nil},
		{"Telling Grafana, Navidrome, Radicale or koel who is there", []visit{{"bob", "GET", "grafana", "/", 200}}, map[string]string{
			"X-Webauth-User": "bob", "Remote-User": "bob", "Remote-Email": "bob@example.com", "X-Remote-User": "bob",
		}},
		{"Handing the token on", []visit{{"bob", "GET", "backend", "/", 200}}, map[string]string{"Authorization": "Bearer eyJ"}},
		{"Organizr under a path of the same host", []visit{{"bob", "GET", "home", "/sonarr/x", 200}, {"", "GET", "home", "/sonarr/x", 401}, {"", "GET", "home", "/", 404}}, nil},
	} {
		t.Run(recipe.heading, func(t *testing.T) {
			s := &scene{t: t, traefik: base.traefik, backend: backend.URL}
			if err := s.traefik.Configure(t.Context(), fromLabels(t, labels(t, recipe.heading), backend.URL)); err != nil {
				t.Fatal(err)
			}
			for _, one := range recipe.visits {
				var headers []string
				if one.who != "" {
					headers = as(one.who)
				}
				got := s.ask(one.method, one.host+".example.com", one.path, headers...)
				if got.StatusCode != one.want {
					t.Errorf("%q: %s %s at %s: got %d, want %d", one.who, one.method, one.path, one.host, got.StatusCode, one.want)
				}
				for name, want := range recipe.told {
					if told := got.seen().Header.Get(name); !strings.HasPrefix(told, want) {
						t.Errorf("the service was told %s: %q, want %q", name, told, want)
					}
				}
			}
		})
	}

	t.Run("at home", func(t *testing.T) {
		s := &scene{t: t, traefik: base.traefik, backend: backend.URL}
		given := labels(t, "A whole service open to the home network")
		for name, value := range given {
			given[name] = strings.Replace(value, "192.168.1.0/24", "127.0.0.0/8", 1)
		}
		if err := s.traefik.Configure(t.Context(), fromLabels(t, given, backend.URL)); err != nil {
			t.Fatal(err)
		}
		if got := s.ask("GET", "plex.example.com", "/").StatusCode; got != 200 {
			t.Errorf("nobody at home: got %d, want 200", got)
		}
	})

	t.Run("Two Organizrs", func(t *testing.T) {
		s := &scene{t: t, traefik: base.traefik, backend: backend.URL}
		given := labels(t, "Two Organizrs")
		organizrs := map[string]*organizr.Organizr{}
		for _, name := range []string{"family", "club"} {
			one, err := organizr.New(data("organizr", "config.php"), t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			organizrs[name] = one
			for option, value := range given {
				given[option] = strings.Replace(value, "/organizr-"+name+"/config.php", one.ConfigFile(), 1)
			}
			given["traefik.http.routers."+name+"-films.middlewares"] = name
		}
		if err := s.traefik.Configure(t.Context(), fromLabels(t, given, backend.URL)); err != nil {
			t.Fatal(err)
		}
		bob, _ := organizr.Find("bob")
		for name := range organizrs {
			for other, one := range organizrs {
				want := http.StatusUnauthorized
				if name == other {
					want = http.StatusOK
				}
				if got := s.ask("GET", name+"-films.example.com", "/", "Cookie", organizr.CookieName+"="+bob.Token(one.Hash())).StatusCode; got != want {
					t.Errorf("a session of %s at %s: got %d, want %d", other, name, got, want)
				}
			}
		}
	})
}

func TestRadicale(t *testing.T) {
	needs(t, "radicale")
	address, err := proxy.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	settings := filepath.Join(t.TempDir(), "config")
	text := fmt.Sprintf("[server]\nhosts = %s\n[auth]\ntype = http_x_remote_user\n[storage]\nfilesystem_folder = %s\n", address, t.TempDir())
	if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	radicale := exec.CommandContext(t.Context(), "radicale", "--config", settings)
	if err := radicale.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = radicale.Process.Kill(); _ = radicale.Wait() })
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("radicale doesn't answer")
		}
	}
	s := setUp(t, nil, func(options *proxy.Options) {
		options.Env = []string{"ORGANIZR_UUID=" + organizr.UUID, "ORGANIZR_SECRET=" + hash, "ORGANIZR_URL=https://organizr.example.com"}
		options.Dynamic = fromLabels(t, labels(t, "Telling Grafana, Navidrome, Radicale or koel who is there"), "http://"+address)
	})
	ask := func(who, path string, headers ...string) answer {
		if who != "" {
			headers = append(headers, as(who)...)
		}
		return s.ask("PROPFIND", "grafana.example.com", path, append(headers, "Content-Length", "0", "Depth", "0")...)
	}
	if got := ask("bob", "/bob/"); got.StatusCode != http.StatusMultiStatus || !strings.Contains(got.Body, "/bob/") {
		t.Errorf("bob at his own: %d %s", got.StatusCode, got.Body)
	}
	if got := ask("bob", "/alice/"); got.StatusCode != http.StatusForbidden {
		t.Errorf("bob at alice's: %d", got.StatusCode)
	}
	for _, spelling := range []string{"X-Remote-User", "X_Remote_User", "x_remote-user"} {
		if got := ask("bob", "/alice/", spelling, "alice"); got.StatusCode != http.StatusForbidden {
			t.Errorf("bob at alice's with %s: alice: %d", spelling, got.StatusCode)
		}
	}
	if got := ask("", "/alice/", "X-Remote-User", "alice"); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("nobody at alice's: %d", got.StatusCode)
	}
}

func TestTheReadmesOtherConfigurations(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(service.Handler))
	t.Cleanup(backend.Close)
	var file table
	if err := yaml.Unmarshal([]byte(yamlBlocks(section(t, "File provider"))[0]), &file); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	replaced := strings.NewReplacer("/organizr/config.php", data("organizr", "config.php"), "http://sonarr:8989", backend.URL).Replace(string(text))
	var dynamic table
	if err := json.Unmarshal([]byte(replaced), &dynamic); err != nil {
		t.Fatal(err)
	}
	s := setUp(t, nil, func(options *proxy.Options) { options.Dynamic = dynamic })
	for who, want := range map[string]int{"bob": 200, "fay": 403} {
		if got := s.ask("GET", "sonarr.example.com", "/", as(who)...).StatusCode; got != want {
			t.Errorf("file provider, %s: got %d, want %d", who, got, want)
		}
	}

	var static struct {
		Experimental struct {
			Plugins map[string]struct{ ModuleName, Version string }
		}
	}
	if err := yaml.Unmarshal([]byte(strings.ReplaceAll(yamlBlocks(section(t, "File provider"))[1], "moduleName", "modulename")), &static); err != nil {
		t.Fatal(err)
	}
	if plugin := static.Experimental.Plugins["organizrjwt"]; plugin.ModuleName != proxy.PluginModule || plugin.Version == "" {
		t.Errorf("the static configuration names %v", plugin)
	}

	var swarm struct {
		Services map[string]struct {
			Deploy struct{ Labels map[string]string }
		}
	}
	if err := yaml.Unmarshal([]byte(yamlBlocks(section(t, "Docker Swarm"))[0]), &swarm); err != nil {
		t.Fatal(err)
	}
	decoded, err := label.DecodeConfiguration(swarm.Services["sonarr"].Deploy.Labels)
	if err != nil || !slices.Equal(decoded.HTTP.Routers["sonarr"].Middlewares, []string{"users"}) ||
		decoded.HTTP.Middlewares["users"].Plugin["organizrjwt"]["group"] != "User" {
		t.Errorf("swarm: %v %v", decoded, err)
	}
}
