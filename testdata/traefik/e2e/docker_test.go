package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/docker"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/programs"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
	"gopkg.in/yaml.v3"
)

// An engine is Docker's, with an image for each one that the readme's Compose file names.
type engine struct {
	*docker.Engine
	images map[string]string
}

// started is the engine that all tests of this package share. TestMain stops it.
var started struct {
	once sync.Once
	engine
	failure error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if started.Engine != nil {
		if err := started.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// needsDocker returns the engine, and starts it for the first test that needs it. Where there can't be one, the test is
// skipped; in CI it fails.
func needsDocker(t *testing.T) engine {
	t.Helper()
	for _, program := range programs.Docker() {
		needs(t, program.Name)
	}
	started.once.Do(func() { started.failure = startEngine() })
	if started.failure != nil {
		if !programs.InCI() && errors.Is(started.failure, docker.ErrUnsupported) {
			t.Skip(started.failure)
		}
		t.Fatal(started.failure)
	}
	return started.engine
}

// startEngine starts the engine and builds the images, each of a static program of this module.
func startEngine() error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	var err error
	if started.Engine, err = docker.Start(ctx); err != nil {
		return err
	}
	traefik, err := proxy.Build(os.Stderr)
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "organizrjwt-container-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	container := filepath.Join(folder, "container")
	build := exec.CommandContext(ctx, "go", "build", "-o", container, "./internal/docker/container")
	build.Dir = proxy.Module()
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building what runs in containers: %w: %s", err, output)
	}
	started.images = map[string]string{}
	for image, lines := range map[string]string{
		"traefik:v3.7": "COPY traefik /\nEXPOSE 80\nENTRYPOINT [\"/traefik\"]",
		"organizr/organizr": "COPY container config.php /\nEXPOSE 80\nVOLUME /config\n" +
			"HEALTHCHECK --interval=30s --start-period=60s CMD [\"/container\", \"check\"]\n" + // as in the real image
			"ENTRYPOINT [\"/container\", \"organizr\"]",
		"linuxserver/sonarr": serviceOn("8989"),
		"linuxserver/radarr": serviceOn("7878"),
		"deluan/navidrome":   serviceOn("4533"),
		"traefik/whoami":     serviceOn("80"),
	} {
		files := map[string]string{"container": container, "config.php": data("organizr", "config.php")}
		if strings.HasPrefix(image, "traefik:") {
			files = map[string]string{"traefik": traefik}
		}
		name := strings.NewReplacer("/", "-", ":", "-").Replace(image)
		if started.images[image], err = started.Image(ctx, name, files, "FROM scratch", lines); err != nil {
			return err
		}
	}
	return nil
}

// serviceOn returns the lines of an image with a service that listens on the port.
func serviceOn(port string) string {
	return "COPY container /\nEXPOSE " + port + "\nENTRYPOINT [\"/container\", \"service\", \"" + port + "\"]"
}

// A stack is a Compose project with a Traefik. It also serves other projects, if their names begin with the stack's.
type stack struct {
	t       *testing.T
	name    string
	engine  engine
	folder  string
	project *docker.Project
	plain   string // Traefik's address for http
	addr    string // and for https
	client  *http.Client
	scheme  string
	domain  string // of all hosts, with a dot before it
}

// catalogPlugin are the variables that load the plugin from the catalog.
const catalogPlugin = "      TRAEFIK_EXPERIMENTAL_PLUGINS_ORGANIZRJWT_MODULENAME: " + proxy.PluginModule + "\n" +
	"      TRAEFIK_EXPERIMENTAL_PLUGINS_ORGANIZRJWT_VERSION: v1.0.0\n"

// newStack returns a project of the readme's Compose file, which isn't up yet, with changes to its text: old and new
// by turns. Besides, the ports, the socket and the names of images are the tests' own, Traefik leaves other projects
// alone, and the plugin is loaded without the catalog, by the readme's recipe.
func newStack(t *testing.T, name string, changes ...string) *stack {
	t.Helper()
	e := needsDocker(t)
	folder := filepath.Join(t.TempDir(), name)
	s := &stack{t: t, name: name, engine: e, folder: folder, scheme: "https", domain: ".example.com"}
	for _, addr := range []*string{&s.plain, &s.addr} {
		var err error
		if *addr, err = proxy.FreeAddr(); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(s.folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(proxy.Checkout(), filepath.Join(s.folder, "organizrjwt")); err != nil {
		t.Fatal(err)
	}
	own := "LabelRegex(`com.docker.compose.project`, `^" + e.Name(name) + "`)"
	text := replaceAll(t, yamlBlocks(section(t, "Docker Compose"))[0], append(changes,
		catalogPlugin, "      TRAEFIK_PROVIDERS_DOCKER_CONSTRAINTS: "+own+"\n",
		`"80:80"`, `"`+s.plain+`:80"`,
		"/var/run/docker.sock:/", e.Socket()+":/")...)
	text = strings.Replace(text, `"443:443"`, `"`+s.addr+`:443"`, 1) // a change may have removed this port
	s.project = e.Project(name, s.file("docker-compose.yml", text),
		s.file("without-catalog.yml", yamlBlocks(section(t, "The plugin without the catalog"))[0]))
	s.client = e.clientOf(t, s.addr)
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := s.project.Compose(context.Background(), "logs", "--no-color")
			noise := regexp.MustCompile("(?m)^.*(ACME|dashboard).*\n") // of a Traefik that was built without them
			t.Log(noise.ReplaceAllString(log, ""))
		}
		if err := s.project.Down(context.Background()); err != nil {
			t.Error(err)
		}
		s.empty(s.folder)
	})
	return s
}

// file writes a Compose file with the names that the images have in the engine, and returns its path.
func (s *stack) file(name, text string) string {
	s.t.Helper()
	for image, own := range s.engine.images {
		text = strings.ReplaceAll(text, "image: "+image+"\n", "image: "+own+"\n")
	}
	path := filepath.Join(s.folder, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// replaceAll replaces texts: old and new by turns. Each old one must be there exactly once.
func replaceAll(t *testing.T, text string, changes ...string) string {
	t.Helper()
	for i := 0; i < len(changes); i += 2 {
		if strings.Count(text, changes[i]) != 1 {
			t.Fatalf("%q is %d times in\n%s", changes[i], strings.Count(text, changes[i]), text)
		}
		text = strings.Replace(text, changes[i], changes[i+1], 1)
	}
	return text
}

// clientOf returns a client that looks for all hosts at the address.
func (e engine) clientOf(t *testing.T, addr string) *http.Client {
	transport := &http.Transport{
		TLSClientConfig: insecure,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return e.DialContext(ctx, "tcp", addr)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport: transport, Timeout: 5 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// empty empties a folder into which containers have written, perhaps as other users.
func (s *stack) empty(folder string) {
	s.t.Helper()
	if err := s.runContainer(folder+":/folder", nil, "empty", "/folder"); err != nil {
		s.t.Error(err)
	}
}

// runContainer runs the program of the images with a folder mounted, and with more of Docker's options.
func (s *stack) runContainer(mount string, options []string, arguments ...string) error {
	command := slices.Concat([]string{"run", "--rm", "--network", "none", "--volume", mount}, options,
		[]string{"--entrypoint", "/container", s.engine.images["traefik/whoami"]}, arguments)
	_, err := s.engine.Docker(context.Background(), command...) // a test's own context ends before its cleanup
	return err
}

// compose runs a command of Docker Compose.
func (s *stack) compose(arguments ...string) string {
	s.t.Helper()
	printed, err := s.project.Compose(s.t.Context(), arguments...)
	if err != nil {
		s.t.Fatal(err)
	}
	return printed
}

// post sends Organizr a form through Traefik, as a click on its page does.
func (s *stack) post(path, cookie string, form url.Values) {
	s.t.Helper()
	s.postTo("organizr", path, cookie, form)
}

// postTo sends a form to the Organizr of that name.
func (s *stack) postTo(name, path, cookie string, form url.Values) *http.Response {
	s.t.Helper()
	address := s.scheme + "://" + name + s.domain + path
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Cookie", cookie)
	resp, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode >= http.StatusBadRequest {
		s.t.Fatalf("%s: %s %s", path, resp.Status, body)
	}
	return resp
}

// logIn returns the Cookie header of somebody who has just logged in at Organizr.
func (s *stack) logIn(username string) string {
	s.t.Helper()
	return s.logInAt("organizr", username)
}

// logInAt is logIn at the Organizr of that name.
func (s *stack) logInAt(name, username string) string {
	s.t.Helper()
	for _, cookie := range s.postTo(name, "/api/v2/login", "", url.Values{"username": {username}}).Cookies() {
		if cookie.Name == fakeorganizr.CookieName {
			return cookie.Name + "=" + cookie.Value
		}
	}
	s.t.Fatalf("no session for %s", username)
	return ""
}

// override writes a Compose file that adds to the project's.
func (s *stack) override(name string, services table) {
	s.t.Helper()
	text, err := yaml.Marshal(table{"services": services})
	if err != nil {
		s.t.Fatal(err)
	}
	s.project.Files = append(s.project.Files, s.file(name, string(text)))
}

// setUp brings the project up with an Organizr that is set up and has tabs.
func (s *stack) setUp() {
	s.t.Helper()
	s.compose("up", "-d")
	s.await(http.StatusOK, "organizr", "")
	s.post("/wizard", "", nil)
	s.addTabs()
}

// addTabs adds tabs of two services, and waits until they count. Sonarr has none, so it is for the administrator.
func (s *stack) addTabs() {
	s.t.Helper()
	s.addTab("navidrome", 4)
	s.addTab("whoami", 999)
	s.await(http.StatusOK, "whoami", "")
}

// addTab adds the tab of a service, which is switched on.
func (s *stack) addTab(name string, group int) {
	s.t.Helper()
	s.post("/tabs/save", "", url.Values{
		"id": {"0"}, "name": {name}, "url": {s.scheme + "://" + name + s.domain},
		"group": {strconv.Itoa(group)}, "enabled": {"1"},
	})
}

// ask sends a request to one of the hosts under example.com, with headers as name and value by turns.
func (s *stack) ask(method, host, path, cookie string, headers ...string) answer {
	s.t.Helper()
	got, err := s.request(method, host, path, cookie, headers...)
	if err != nil {
		s.t.Fatal(err)
	}
	return got
}

// await asks for the first page of the host until the status is the one that is wanted.
func (s *stack) await(want int, host, cookie string, headers ...string) answer {
	s.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		got, err := s.request("GET", host, "/", cookie, headers...)
		if err == nil && got.StatusCode == want {
			return got
		}
		if time.Now().After(deadline) {
			if err == nil {
				err = errors.New(got.Status)
			}
			s.t.Fatalf("%s: %v, want %d", host, err, want)
		}
	}
}

func (s *stack) request(method, host, path, cookie string, headers ...string) (answer, error) {
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.scheme+"://"+host+s.domain+path, http.NoBody)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Cookie", cookie)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{Response: resp, Body: string(body)}, err
}

// in returns the stack for a part of its test.
func (s *stack) in(t *testing.T) *stack {
	part := *s
	part.t = t
	return &part
}
