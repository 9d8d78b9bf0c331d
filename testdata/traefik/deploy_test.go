package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/mitchellh/mapstructure"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/organizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/proxy"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/service"
	"github.com/redis/go-redis/v9"
	"github.com/traefik/traefik/v3/pkg/provider/kubernetes/crd/traefikio/v1alpha1"
	"github.com/traefik/yaegi/interp"
	"github.com/traefik/yaegi/stdlib"
	"gopkg.in/yaml.v3"
	kyaml "sigs.k8s.io/yaml"
)

// A dockerEngine answers what Traefik asks of a Docker engine, for the containers of a compose project.
type dockerEngine struct {
	project string
	mutex   sync.Mutex
	running map[string]container
	events  map[chan string]bool
}

// A container is what the engine knows of one.
type container struct {
	labels map[string]string
	port   string // on 127.0.0.1, in place of the one that the image exposes on its own address
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
		_ = json.NewEncoder(rw).Encode(table{"Version": "28.2.2", "ApiVersion": "1.44", "MinAPIVersion": "1.24", "Os": "linux", "Arch": "amd64"})
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
		list = append(list, table{"Id": name, "Names": []string{"/" + engine.project + "-" + name + "-1"}, "Labels": one.labels, "State": "running"})
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
		"State":           table{"Status": "running", "Running": true},
		"Config":          table{"Labels": one.labels, "ExposedPorts": table{one.port + "/tcp": table{}}},
		"HostConfig":      table{"NetworkMode": engine.project + "_default"},
		"NetworkSettings": table{"Ports": ports, "Networks": table{engine.project + "_default": table{"IPAddress": "127.0.0.1", "NetworkID": "n"}}},
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
	event, _ := json.Marshal(table{"Type": "container", "Action": action, "Actor": table{"ID": name}, "time": time.Now().Unix()})
	for events := range engine.events {
		events <- string(event)
	}
}

// compose reads the compose files of testdata, the later ones over the earlier ones.
func compose(t *testing.T, files ...string) *types.Project {
	t.Helper()
	for i, file := range files {
		files[i] = data(file)
	}
	options, err := cli.NewProjectOptions(files, cli.WithName("home"), cli.WithWorkingDirectory(data()))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

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

	// Traefik sees Organizr's folder, and the path in the environment is there.
	mounts := project.Services["traefik"].Volumes
	at := slices.IndexFunc(mounts, func(mount types.ServiceVolumeConfig) bool { return mount.Target == "/organizr" })
	organizrMount := project.Services["organizr"].Volumes[0]
	if at < 0 || !mounts[at].ReadOnly || mounts[at].Source != organizrMount.Source+"/www/organizr/data/config" || organizrMount.Target != "/config" ||
		environment["ORGANIZR_CONFIG_FILE"] != "/organizr/config.php" {
		t.Errorf("Traefik doesn't see Organizr's folder: %v", mounts)
	}
	for name, one := range project.Services {
		for label, value := range one.Labels {
			if strings.Contains(strings.ToLower(label), "secret") || strings.Contains(label, "uuid") {
				t.Errorf("%s has a secret in a label: %s=%s", name, label, value)
			}
		}
	}

	o, err := organizr.New(data("organizr", "config.php"), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	backend := httptest.NewServer(http.HandlerFunc(service.Handler))
	t.Cleanup(backend.Close)
	address, err := url.Parse(backend.URL)
	if err != nil {
		t.Fatal(err)
	}
	engine := &dockerEngine{project: project.Name, running: map[string]container{}, events: map[chan string]bool{}}
	start := func(name string) {
		labels := map[string]string{"com.docker.compose.project": project.Name, "com.docker.compose.service": name}
		for label, value := range project.Services[name].Labels {
			labels[label] = value
		}
		engine.change(name, &container{labels: labels, port: address.Port()})
	}
	for name := range project.Services {
		start(name)
	}

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
	visit := func(name, username string) (int, service.Seen) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+name+".example.com/x?a=1", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if username == "" {
			req.Header.Set("Accept", pageAccept)
		} else {
			account, _ := organizr.Find(username)
			req.Header.Set("Cookie", organizr.CookieName+"="+account.Token(o.Hash()))
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var seen service.Seen
		_ = json.NewDecoder(resp.Body).Decode(&seen)
		if location := resp.Header.Get("Location"); resp.StatusCode == http.StatusFound &&
			location != "https://organizr.example.com/?return=https%25253A%25252F%25252F"+name+".example.com%25252Fx%25253Fa%25253D1" {
			t.Errorf("nobody at %s is sent to %s", name, location)
		}
		return resp.StatusCode, seen
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
		for _, account := range organizr.Accounts {
			want := http.StatusForbidden
			if account.GroupID <= least {
				want = http.StatusOK
			}
			got, seen := visit(name, account.Username)
			if got != want {
				t.Errorf("%s at %s: got %d, want %d", account.Username, name, got, want)
			}
			if user := seen.Header.Get("X-Organizr-User"); got == 200 && name != "organizr" && user != account.Username {
				t.Errorf("%s at %s: the service was told %q", account.Username, name, user)
			}
		}
		want := http.StatusFound
		if least == 999 {
			want = http.StatusOK
		}
		if got, _ := visit(name, ""); got != want {
			t.Errorf("nobody at %s: got %d, want %d", name, got, want)
		}
	}
	if got, _ := visit("traefik", "alice"); got != 404 {
		t.Errorf("Traefik itself is reachable: %d", got)
	}
	engine.change("sonarr", nil)
	await("sonarr", "alice", 404)
	start("sonarr")
	await("sonarr", "alice", 200)
	await("sonarr", "bob", 403)
}

func TestTheKubernetesFile(t *testing.T) {
	text, err := os.ReadFile(data("kubernetes.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var secret struct{ StringData map[string]string }
	var middleware v1alpha1.Middleware
	var route v1alpha1.IngressRoute
	for i, into := range []any{&secret, &middleware, &route} {
		if err := kyaml.UnmarshalStrict([]byte(strings.Split(string(text), "\n---\n")[i]), into); err != nil && i > 0 {
			t.Fatal(err)
		} else if i == 0 {
			_ = kyaml.Unmarshal([]byte(strings.Split(string(text), "\n---\n")[i]), into)
		}
	}
	if reference := route.Spec.Routes[0].Middlewares[0]; reference.Name != middleware.Name || route.Namespace != middleware.Namespace {
		t.Errorf("the route refers to %v", reference)
	}
	var options table
	if err := json.Unmarshal(middleware.Spec.Plugin["organizrjwt"].Raw, &options); err != nil {
		t.Fatal(err)
	}
	mounted := filepath.Join(t.TempDir(), "hash")
	if err := os.WriteFile(mounted, []byte(secret.StringData["hash"]), 0o600); err != nil {
		t.Fatal(err)
	}
	if options["secretFile"] != "/organizr/hash" {
		t.Errorf("the secret is at %v", options["secretFile"])
	}
	options["secretFile"], options["secret"] = mounted, ""
	s := setUp(t, map[string]table{"sonarr": options})
	for who, want := range map[string]int{"bob": 200, "fay": 403} {
		if got := s.ask("GET", "sonarr.example.com", "/", as(who)...).StatusCode; got != want {
			t.Errorf("%s: got %d, want %d", who, got, want)
		}
	}
	if got := s.ask("GET", "sonarr.example.com", "/api/x").StatusCode; got != 200 {
		t.Errorf("nobody at an opened path: got %d", got)
	}
}

func TestTwoTraefiksTakeTheirConfigurationFromRedis(t *testing.T) {
	address, err := proxy.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(address)
	server := exec.CommandContext(t.Context(), "redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--dir", t.TempDir(),
		"--notify-keyspace-events", "KEA")
	if err := server.Start(); err != nil {
		t.Fatalf("redis-server, of Debian's package of that name: %v", err)
	}
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	client := redis.NewClient(&redis.Options{Addr: address})
	defer func() { _ = client.Close() }()
	backend := httptest.NewServer(http.HandlerFunc(service.Handler))
	t.Cleanup(backend.Close)

	for deadline := time.Now().Add(20 * time.Second); client.Ping(t.Context()).Err() != nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("redis doesn't answer")
		}
	}
	set := func(key, value string) {
		if err := client.Set(t.Context(), "traefik/http/"+key, value, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	set("services/service/loadBalancer/servers/0/url", backend.URL)
	set("middlewares/users/plugin/organizrjwt/uuid", organizr.UUID)
	set("middlewares/users/plugin/organizrjwt/secret", hash)
	set("middlewares/users/plugin/organizrjwt/group", "User")
	set("routers/sonarr/rule", "Host(`sonarr.example.com`)")
	set("routers/sonarr/service", "service")
	set("routers/sonarr/middlewares/0", "users")

	var scenes []*scene
	for range 2 {
		scenes = append(scenes, setUp(t, nil, func(options *proxy.Options) {
			options.Flags = []string{"--providers.redis.endpoints=" + address}
		}))
	}
	await := func(who string, want int) {
		t.Helper()
		headers := as(who)
		for i, s := range scenes {
			got := 0
			for deadline := time.Now().Add(20 * time.Second); got != want; time.Sleep(20 * time.Millisecond) {
				if got = s.ask("GET", "sonarr.example.com", "/", headers...).StatusCode; time.Now().After(deadline) {
					t.Fatalf("%s at Traefik %d: got %d, want %d\n%s", who, i+1, got, want, s.traefik.Log())
				}
			}
		}
	}
	await("bob", 200)
	await("fay", 403)
	set("middlewares/users/plugin/organizrjwt/group", "Power User")
	await("bob", 403)
	await("pat", 200)
}

// manifest is what the plugin catalog reads.
type manifest struct {
	DisplayName string         `yaml:"displayName"`
	Type        string         `yaml:"type"`
	Import      string         `yaml:"import"`
	BasePkg     string         `yaml:"basePkg"`
	Summary     string         `yaml:"summary"`
	IconPath    string         `yaml:"iconPath"`
	BannerPath  string         `yaml:"bannerPath"`
	TestData    map[string]any `yaml:"testData"`
}

// archive unpacks what users download, the files of HEAD, and returns the folder.
func archive(t *testing.T, into string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "git", "-C", proxy.Checkout(), "archive", "HEAD")
	text, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(into, "src", filepath.FromSlash(proxy.PluginModule))
	for reader := tar.NewReader(bytes.NewReader(text)); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return folder
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(folder, filepath.FromSlash(header.Name))
		if header.Typeflag != tar.TypeReg {
			continue
		}
		content, err := io.ReadAll(reader)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(path), 0o755)
		}
		if err == nil {
			err = os.WriteFile(path, content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhatTheCatalogChecks(t *testing.T) {
	gopath := t.TempDir()
	folder := archive(t, gopath)
	text, err := os.ReadFile(filepath.Join(folder, ".traefik.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var m manifest
	if err := yaml.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	if m.DisplayName == "" || m.Summary == "" || m.Type != "middleware" || len(m.TestData) == 0 || m.Import != proxy.PluginModule {
		t.Errorf("the manifest lacks something: %+v", m)
	}
	module, err := os.ReadFile(filepath.Join(folder, "go.mod"))
	if err != nil || !strings.HasPrefix(string(module), "module "+m.Import+"\n") || strings.Contains(string(module), "require") {
		t.Errorf("go.mod: %v\n%s", err, module)
	}
	for _, file := range []string{"readme.md", "LICENSE", m.IconPath, m.BannerPath} {
		if _, err := os.Stat(filepath.Join(folder, file)); err != nil {
			t.Error(err)
		}
	}

	// An interpreter with nothing but the standard library.
	yaegi := interp.New(interp.Options{GoPath: gopath})
	if err := yaegi.Use(stdlib.Symbols); err != nil {
		t.Fatal(err)
	}
	if _, err := yaegi.Eval(`import "` + m.Import + `"`); err != nil {
		t.Fatal(err)
	}
	name := filepath.Base(m.Import)
	createConfig, err := yaegi.Eval(name + ".CreateConfig")
	if err != nil {
		t.Fatal(err)
	}
	created := createConfig.Call(nil)
	if len(created) != 1 || created[0].Kind() != reflect.Pointer {
		t.Fatalf("CreateConfig returned %v", created)
	}
	decoder, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		DecodeHook: mapstructure.StringToSliceHookFunc(","), WeaklyTypedInput: true, ErrorUnused: true, Result: created[0].Interface(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := decoder.Decode(m.TestData); err != nil {
		t.Fatal(err)
	}
	construct, err := yaegi.Eval(name + ".New")
	if err != nil {
		t.Fatal(err)
	}
	kind := construct.Type()
	if kind.NumIn() != 4 || kind.NumOut() != 2 || kind.In(0) != reflect.TypeFor[context.Context]() || kind.In(1) != reflect.TypeFor[http.Handler]() ||
		kind.In(3).Kind() != reflect.String || kind.Out(0) != reflect.TypeFor[http.Handler]() || kind.Out(1) != reflect.TypeFor[error]() {
		t.Fatalf("New is a %s", kind)
	}
	results := construct.Call([]reflect.Value{
		reflect.ValueOf(t.Context()), reflect.ValueOf(http.HandlerFunc(service.Handler)), created[0], reflect.ValueOf("test"),
	})
	if !results[1].IsNil() {
		t.Fatal(results[1].Interface())
	}
	handler, ok := results[0].Interface().(http.Handler)
	if !ok {
		t.Fatalf("New returned %v", results[0])
	}
	rec := httptest.NewRecorder()
	handler.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "http://sonarr.example.com/", http.NoBody))
	if rec.Code != http.StatusUnauthorized {
		t.Errorf("nobody gets %d", rec.Code)
	}
}

func TestTheDownloadRunsInTraefik(t *testing.T) {
	folder := archive(t, t.TempDir())
	s := setUp(t, map[string]table{"user": {"group": "User"}}, func(options *proxy.Options) { options.Plugin = folder })
	for who, want := range map[string]int{"bob": 200, "fay": 403} {
		if got := s.ask("GET", "user.example.com", "/", as(who)...).StatusCode; got != want {
			t.Errorf("%s: got %d, want %d", who, got, want)
		}
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
