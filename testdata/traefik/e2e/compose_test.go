package e2e

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/service"
)

func TestTheComposeFile(t *testing.T) {
	project := compose(t, "docker-compose.yml", "docker-compose.local.yml")
	catalog := compose(t, "docker-compose.yml")

	// The plugin of the catalog, or this one, and nothing else differs.
	given := func(project *types.Project) map[string]string {
		environment := map[string]string{}
		for name, value := range project.Services["traefik"].Environment {
			if value != nil {
				environment[name] = *value
			}
		}
		return environment
	}
	if module := given(catalog)["TRAEFIK_EXPERIMENTAL_PLUGINS_ORGANIZRJWT_MODULENAME"]; module != proxy.PluginModule {
		t.Errorf("the catalog's plugin is %q", module)
	}
	environment := given(project)
	if environment["TRAEFIK_EXPERIMENTAL_LOCALPLUGINS_ORGANIZRJWT_MODULENAME"] != proxy.PluginModule {
		t.Error("the override doesn't name the plugin")
	}
	for name := range environment {
		if strings.HasPrefix(name, "TRAEFIK_EXPERIMENTAL_PLUGINS_") {
			t.Errorf("the override leaves %s", name)
		}
	}

	for name, one := range project.Services {
		for label, value := range one.Labels {
			if strings.Contains(strings.ToLower(label), "secret") || strings.Contains(label, "uuid") {
				t.Errorf("%s has a secret in a label: %s=%s", name, label, value)
			}
		}
	}

	o, err := fakeorganizr.New(data("organizr", "config.php"), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	backend := httptest.NewServer(http.HandlerFunc(service.Handler))
	t.Cleanup(backend.Close)
	engine := newEngine(t, project.Name, backend.URL)
	for name, one := range project.Services {
		engine.run(name, one.Labels)
	}
	engine.run("unlabelled", nil)

	// What is of the machine is replaced: addresses, the engine's socket, and paths in containers.
	secure, err := proxy.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	s := setUp(t, nil, func(options *proxy.Options) {
		for name, value := range environment {
			options.Env = append(options.Env, name+"="+value)
		}
		options.AsEnv = true
		options.Env = append(options.Env, "ORGANIZR_CONFIG_FILE="+o.ConfigFile(),
			"TRAEFIK_CERTIFICATESRESOLVERS_LETSENCRYPT_ACME_STORAGE="+filepath.Join(t.TempDir(), "acme.json"))
		options.Flags = []string{
			"--providers.docker.endpoint=unix://" + engine.serve(t),
			"--entryPoints.websecure.address=" + secure,
		}
		options.Ready = "https://" + secure
	})
	client := &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "tcp", secure)
			},
			TLSClientConfig: insecure,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	sessions := map[string]string{}
	visitAt := func(name, path, username string) (int, service.Seen) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+name+".example.com"+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if username == "" {
			req.Header.Set("Accept", pageAccept)
		} else {
			if sessions[username] == "" {
				sessions[username] = loggedIn(t, o, username)
			}
			req.Header.Set("Cookie", sessions[username])
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var seen service.Seen
		_ = json.NewDecoder(resp.Body).Decode(&seen)
		location := resp.Header.Get("Location")
		want := "https%25253A%25252F%25252F" + name + ".example.com%25252Fx%25253Fa%25253D1"
		if resp.StatusCode == http.StatusFound && location != "https://organizr.example.com/?return="+want {
			t.Errorf("nobody at %s is sent to %s", name, location)
		}
		return resp.StatusCode, seen
	}
	visit := func(name, username string) (int, service.Seen) {
		t.Helper()
		return visitAt(name, "/x?a=1", username)
	}
	await := func(name, username string, want int) {
		t.Helper()
		deadline := time.Now().Add(20 * time.Second)
		for {
			got, _ := visit(name, username)
			if got == want {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%q at %s: got %d, want %d\n%s", username, name, got, want, s.traefik.Log())
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	await("sonarr", "alice", 200)
	for name, least := range map[string]int{"sonarr": 0, "navidrome": 4, "whoami": 999, "organizr": 999} {
		for _, account := range fakeorganizr.Accounts {
			want := http.StatusForbidden
			if account.GroupID <= least {
				want = http.StatusOK
			}
			t.Run(account.Username+" at "+name, func(t *testing.T) {
				got, seen := visit(name, account.Username)
				if got != want {
					t.Errorf("got %d, want %d", got, want)
				}
				if user := seen.Header.Get("X-Organizr-User"); got == 200 && name != "organizr" && user != account.Username {
					t.Errorf("the service was told %q", user)
				}
			})
		}
		want := http.StatusFound
		if least == 999 {
			want = http.StatusOK
		}
		t.Run("nobody at "+name, func(t *testing.T) {
			if got, _ := visit(name, ""); got != want {
				t.Errorf("got %d, want %d", got, want)
			}
		})
	}
	for username, want := range map[string]int{"alice": http.StatusOK, "bob": http.StatusForbidden} {
		t.Run(username+" at the data of Traefik's dashboard", func(t *testing.T) {
			if got, _ := visitAt("traefik", "/api/overview", username); got != want {
				t.Errorf("got %d, want %d", got, want)
			}
		})
	}
	t.Run("nobody at Traefik's dashboard", func(t *testing.T) {
		if got, _ := visit("traefik", ""); got != http.StatusFound {
			t.Errorf("got %d, want %d", got, http.StatusFound)
		}
	})
	t.Run("nobody at a container without labels", func(t *testing.T) {
		if got, _ := visit("unlabelled", ""); got != http.StatusNotFound {
			t.Errorf("got %d, want %d", got, http.StatusNotFound)
		}
	})
	t.Run("a container that stops and starts again", func(*testing.T) {
		engine.change("sonarr", nil)
		await("sonarr", "alice", 404)
		engine.run("sonarr", project.Services["sonarr"].Labels)
		await("sonarr", "alice", 200)
		await("sonarr", "bob", 403)
	})
}

// compose reads the compose files of testdata, the later ones over the earlier ones.
func compose(t *testing.T, files ...string) *types.Project {
	t.Helper()
	for i, file := range files {
		files[i] = data(file)
	}
	return composeFiles(t, files...)
}

// composeFiles reads compose files, the later ones over the earlier ones.
func composeFiles(t *testing.T, paths ...string) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions(paths, cli.WithName("home"), cli.WithWorkingDirectory(data()))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

// A dockerEngine answers what Traefik asks of a Docker engine, for the containers of a compose project.
type dockerEngine struct {
	project string
	port    string // of what runs in the containers
	mutex   sync.Mutex
	running map[string]container
	events  map[chan string]bool
}

// A container is what the engine knows of one.
type container struct {
	labels map[string]string
	port   string // on 127.0.0.1, in place of the one that the image exposes on its own address
}

// newEngine returns an engine without containers. What shall run on it is the service at the address.
func newEngine(t *testing.T, project, address string) *dockerEngine {
	t.Helper()
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return &dockerEngine{
		project: project, port: parsed.Port(), running: map[string]container{}, events: map[chan string]bool{},
	}
}

// run starts a container of the project with the labels.
func (engine *dockerEngine) run(name string, labels map[string]string) {
	all := map[string]string{"com.docker.compose.project": engine.project, "com.docker.compose.service": name}
	for label, value := range labels {
		all[label] = value
	}
	engine.change(name, &container{labels: all, port: engine.port})
}

// serve answers on a unix socket until the test ends, and returns its path.
func (engine *dockerEngine) serve(t *testing.T) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "docker.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: engine, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return socket
}

func (engine *dockerEngine) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	rw.Header().Set("Api-Version", "1.44")
	rw.Header().Set("Content-Type", "application/json")
	path := strings.TrimPrefix(req.URL.Path, "/v1.44")
	id, isContainer := strings.CutPrefix(strings.TrimSuffix(path, "/json"), "/containers/")
	switch {
	case path == "/_ping":
		rw.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(rw, "OK")
	case path == "/version":
		_ = json.NewEncoder(rw).Encode(table{
			"Version": "28.2.2", "ApiVersion": "1.44", "MinAPIVersion": "1.24", "Os": "linux", "Arch": "amd64",
		})
	case path == "/containers/json":
		_ = json.NewEncoder(rw).Encode(engine.list())
	case path == "/events":
		engine.announce(rw, req)
	case isContainer:
		_ = json.NewEncoder(rw).Encode(engine.inspect(id))
	default:
		http.NotFound(rw, req)
	}
}

func (engine *dockerEngine) list() []table {
	engine.mutex.Lock()
	defer engine.mutex.Unlock()
	list := []table{}
	for name, one := range engine.running {
		names := []string{"/" + engine.project + "-" + name + "-1"}
		list = append(list, table{"Id": name, "Names": names, "Labels": one.labels, "State": "running"})
	}
	return list
}

func (engine *dockerEngine) inspect(name string) table {
	engine.mutex.Lock()
	defer engine.mutex.Unlock()
	one := engine.running[name]
	ports := table{one.port + "/tcp": nil}
	return table{
		"Id": name, "Name": "/" + engine.project + "-" + name + "-1",
		"State":      table{"Status": "running", "Running": true},
		"Config":     table{"Labels": one.labels, "ExposedPorts": table{one.port + "/tcp": table{}}},
		"HostConfig": table{"NetworkMode": engine.project + "_default"},
		"NetworkSettings": table{
			"Ports": ports, "Networks": table{engine.project + "_default": table{"IPAddress": "127.0.0.1", "NetworkID": "n"}},
		},
	}
}

// announce sends the starts and stops that happen from now on.
func (engine *dockerEngine) announce(rw http.ResponseWriter, req *http.Request) {
	events := make(chan string, 16)
	engine.mutex.Lock()
	engine.events[events] = true
	engine.mutex.Unlock()
	flush := http.NewResponseController(rw)
	_ = flush.Flush()
	for {
		select {
		case event := <-events:
			_, _ = io.WriteString(rw, event+"\n")
			_ = flush.Flush()
		case <-req.Context().Done():
			engine.mutex.Lock()
			delete(engine.events, events)
			engine.mutex.Unlock()
			return
		}
	}
}

// change starts a container, or stops it if it isn't given.
func (engine *dockerEngine) change(name string, started *container) {
	engine.mutex.Lock()
	defer engine.mutex.Unlock()
	action := "die"
	delete(engine.running, name)
	if started != nil {
		engine.running[name] = *started
		action = "start"
	}
	event, _ := json.Marshal(table{
		"Type": "container", "Action": action, "Actor": table{"ID": name}, "time": time.Now().Unix(),
	})
	for events := range engine.events {
		events <- string(event)
	}
}
