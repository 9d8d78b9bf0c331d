package e2e

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/service"
	"github.com/traefik/paerser/cli"
	"github.com/traefik/traefik/v3/cmd"
	traefikcli "github.com/traefik/traefik/v3/pkg/cli"
	"github.com/traefik/traefik/v3/pkg/config/label"
	"github.com/traefik/traefik/v3/pkg/config/static"
	"gopkg.in/yaml.v3"
)

// staticOf returns the static configuration that Traefik takes from its flags and its environment. They are asked as
// Traefik's own command asks them: one after the other, until one has something to say.
func staticOf(t *testing.T, flags, environment []string) static.Configuration {
	t.Helper()
	for _, variable := range environment {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	taken := cmd.NewTraefikConfiguration()
	for _, loader := range []cli.ResourceLoader{
		&traefikcli.FileLoader{}, &traefikcli.FlagLoader{}, &traefikcli.EnvLoader{},
	} {
		loaded, err := loader.Load(flags, &cli.Command{Configuration: taken})
		if err != nil {
			t.Fatal(err)
		}
		if loaded {
			break
		}
	}
	return taken.Configuration
}

func TestThePluginInAStaticConfiguration(t *testing.T) {
	flags := blockOf(t, "The plugin", 0).Command
	var environment []string
	for name, value := range blockOf(t, "The plugin", 2).Environment {
		environment = append(environment, name+"="+value)
	}
	for _, one := range []struct {
		sentence           string
		flags, environment []string
		named              bool
	}{
		{"flags name the plugin", flags, nil, true},
		{"a file names the plugin", []string{"--configFile=" + fileOf(t, "The plugin", 1)}, nil, true},
		{"variables name the plugin", nil, environment, true},
		{"variables are ignored beside any flag", []string{"--log.level=DEBUG"}, environment, false},
	} {
		t.Run(one.sentence, func(t *testing.T) {
			taken := staticOf(t, one.flags, one.environment)
			if !one.named {
				if taken.Experimental != nil {
					t.Errorf("got %+v", taken.Experimental.Plugins)
				}
				return
			}
			if taken.Experimental == nil {
				t.Fatal("no plugin is named")
			}
			if plugin := taken.Experimental.Plugins["organizrjwt"]; plugin.ModuleName != proxy.PluginModule ||
				plugin.Version != "v1.0.0" {
				t.Errorf("got %+v", plugin)
			}
		})
	}
}

// The middlewares are defined once, by labels or in a file, and services of any provider use them.
func TestServicesUseMiddlewaresOfOtherProviders(t *testing.T) {
	o, err := fakeorganizr.New(data("organizr", "config.php"), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	backend := httptest.NewServer(http.HandlerFunc(service.Handler))
	t.Cleanup(backend.Close)
	engine := newEngine(t, "home", backend.URL)
	engine.run("traefik", blockOf(t, "The middlewares", 0).Labels)
	engine.run("radarr", blockOf(t, "The middlewares", 3).Services["radarr"].Labels)
	engine.run("lidarr", map[string]string{"traefik.http.routers.lidarr.middlewares": "users@file"})
	engine.run("bazarr", map[string]string{"traefik.http.routers.bazarr.middlewares": "admin"})

	text := strings.NewReplacer("/config/www/organizr/data/config/config.php", o.ConfigFile(), "http://sonarr:8989",
		backend.URL).
		Replace(yamlBlocks(section(t, "File provider"))[0])
	var dynamic table
	if err := yaml.Unmarshal([]byte(text), &dynamic); err != nil {
		t.Fatal(err)
	}
	s := setUp(t, nil, func(options *proxy.Options) {
		options.Dynamic = dynamic
		options.Flags = []string{
			"--providers.docker.endpoint=unix://" + engine.serve(t),
			"--providers.docker.defaultRule=Host(`{{ index .Labels \"com.docker.compose.service\" }}.example.com`)",
		}
		options.Env = []string{
			"ORGANIZR_CONFIG_FILE=" + o.ConfigFile(), "ORGANIZR_DATABASE_FILE=auto", "ORGANIZR_URL=https://organizr.example.com",
		}
	})
	for host, least := range map[string]int{"sonarr": 4, "radarr": 4, "lidarr": 4, "bazarr": 0} {
		for _, username := range []string{"alice", "bob", "fay"} {
			t.Run(username+" at "+host, func(t *testing.T) {
				account, _ := fakeorganizr.Find(username)
				want := http.StatusForbidden
				if account.GroupID <= least {
					want = http.StatusOK
				}
				s.in(t).await(want, host+".example.com", "Cookie", loggedIn(t, o, username))
			})
		}
	}
}

// fileOf writes the block of YAML that has the number under the heading into a file, and returns its path.
func fileOf(t *testing.T, heading string, number int) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "block.yml")
	if err := os.WriteFile(file, []byte(yamlBlocks(section(t, heading))[number]), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestANetworkInCommon(t *testing.T) {
	traefik := composeFiles(t, data("docker-compose.yml"), fileOf(t, "The middlewares", 2))
	other := composeFiles(t, fileOf(t, "The middlewares", 3))
	networks := func(project *types.Project, name string) []string {
		return slices.Sorted(maps.Keys(project.Services[name].Networks))
	}
	if got := networks(traefik, "traefik"); !slices.Equal(got, []string{"default", "proxy"}) ||
		traefik.Networks["proxy"].Name != "proxy" {
		t.Errorf("Traefik is in %v, of %v", got, traefik.Networks)
	}
	if got := networks(other, "radarr"); !slices.Equal(got, []string{"proxy"}) ||
		!bool(other.Networks["proxy"].External) ||
		other.Networks["proxy"].Name != traefik.Networks["proxy"].Name {
		t.Errorf("the service is in %v, of %v", got, other.Networks)
	}
}

func TestTheHelmValues(t *testing.T) {
	var values struct {
		Experimental struct {
			Plugins map[string]struct {
				ModuleName string `yaml:"moduleName"`
				Version    string
			}
		}
		Volumes []struct {
			Name      string
			MountPath string `yaml:"mountPath"`
			Type      string
		}
	}
	decoder := yaml.NewDecoder(strings.NewReader(yamlBlocks(section(t, "Kubernetes"))[0]))
	decoder.KnownFields(true)
	if err := decoder.Decode(&values); err != nil {
		t.Fatal(err)
	}
	if plugin := values.Experimental.Plugins["organizrjwt"]; plugin.ModuleName != proxy.PluginModule ||
		plugin.Version != "v1.0.0" {
		t.Errorf("the plugin is %+v", plugin)
	}
	// What is mounted is the Secret of the block below, where its middleware looks for it.
	documents := strings.Split(yamlBlocks(section(t, "Kubernetes"))[1], "\n---\n")
	var secret struct {
		Metadata struct{ Name string }
	}
	var middleware struct {
		Spec struct {
			Plugin map[string]struct {
				SecretFile string `yaml:"secretFile"`
			}
		}
	}
	for i, into := range []any{&secret, &middleware} {
		if err := yaml.Unmarshal([]byte(documents[i]), into); err != nil {
			t.Fatal(err)
		}
	}
	if len(values.Volumes) != 1 || values.Volumes[0].Type != "secret" || values.Volumes[0].Name != secret.Metadata.Name ||
		filepath.Dir(middleware.Spec.Plugin["organizrjwt"].SecretFile) != values.Volumes[0].MountPath {
		t.Errorf("mounted %+v", values.Volumes)
	}
}

// The file that Traefik is to read is one of the secrets that the stack gives it.
func TestTheSwarmsStack(t *testing.T) {
	stack := blockOf(t, "Docker Swarm", 0)
	traefik := stack.Services["traefik"]
	name, ok := strings.CutPrefix(traefik.Environment["ORGANIZR_SECRET_FILE"], "/run/secrets/")
	defined, _ := stack.Secrets.(table)
	if given, _ := traefik.Secrets.([]any); !ok || !slices.Contains(given, any(name)) || defined[name] == nil {
		t.Errorf("Traefik has the secrets %v of %v, and the file of %q", traefik.Secrets, stack.Secrets, name)
	}
	decoded, err := label.DecodeConfiguration(stack.Services["sonarr"].Deploy.Labels)
	if err != nil || !slices.Equal(decoded.HTTP.Routers["sonarr"].Middlewares, []string{"users"}) ||
		decoded.HTTP.Middlewares["users"].Plugin["organizrjwt"]["group"] != "User" {
		t.Errorf("%v %v", decoded, err)
	}
}

// What the readme's variables name is in what it mounts, under the path that Organizr itself has for it.
func TestTheFilesLieInTheMounts(t *testing.T) {
	for heading, number := range map[string]int{"The plugin": 3, "Organizr outside Docker": 0} {
		t.Run(heading, func(t *testing.T) {
			shown := blockOf(t, heading, number)
			_, mounted, _ := strings.Cut(strings.TrimSuffix(shown.Volumes[0], ":ro"), ":")
			if len(shown.Volumes) != 1 || !strings.HasSuffix(shown.Volumes[0], ":ro") {
				t.Errorf("mounted are %v", shown.Volumes)
			}
			if file := shown.Environment["ORGANIZR_CONFIG_FILE"]; !strings.HasPrefix(file, mounted+"/") ||
				!strings.HasSuffix(file, "/data/config/config.php") {
				t.Errorf("%s isn't in %s", file, mounted)
			}
			if file := shown.Environment["ORGANIZR_DATABASE_FILE"]; file != "auto" {
				t.Errorf("the database is %s", file)
			}
		})
	}
}

// The command that reads uuid and hash is run here by the PHP of this machine instead of that of the image.
func TestUUIDAndHashReadByPHP(t *testing.T) {
	needs(t, "php")
	_, command, ok := strings.Cut(section(t, "Organizr outside Docker"), "php -r '\n")
	if !ok {
		t.Fatal("the readme has no such command")
	}
	code, _, _ := strings.Cut(command, "'\n```")
	named := blockOf(t, "Organizr outside Docker", 0).Environment["ORGANIZR_CONFIG_FILE"]
	code = strings.Replace(code, named, data("organizr", "config.php"), 1)
	output, err := exec.CommandContext(t.Context(), "php", "-r", code).Output()
	if err != nil {
		t.Fatal(err)
	}
	if want := fakeorganizr.UUID + "\n" + hash + "\n"; string(output) != want {
		t.Errorf("got %q, want %q", output, want)
	}
}

// loggedIn returns the Cookie header of somebody who has just logged in to the Organizr.
func loggedIn(t *testing.T, o *fakeorganizr.Organizr, username string) string {
	t.Helper()
	server := httptest.NewServer(o)
	defer server.Close()
	resp, err := http.PostForm(server.URL+"/api/v2/login", map[string][]string{"username": {username}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for _, cookie := range resp.Cookies() {
		if cookie.Name == fakeorganizr.CookieName {
			return cookie.Name + "=" + cookie.Value
		}
	}
	t.Fatalf("no session for %s: %s", username, resp.Status)
	return ""
}
