package e2e

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
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

// fileOf writes the block of YAML that has the number under the heading into a file, and returns its path.
func fileOf(t *testing.T, heading string, number int) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "block.yml")
	if err := os.WriteFile(file, []byte(yamlBlocks(section(t, heading))[number]), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
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
