package e2e

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
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
	environment := environmentOf(compose(t, "docker-compose.yml"), "traefik")
	environment = slices.DeleteFunc(environment, func(variable string) bool {
		return !strings.HasPrefix(variable, "TRAEFIK_EXPERIMENTAL_")
	})
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

// environmentOf returns the environment of a project's service, as a process takes it.
func environmentOf(project *types.Project, service string) []string {
	var list []string
	for name, value := range project.Services[service].Environment {
		if value != nil {
			list = append(list, name+"="+*value)
		}
	}
	return list
}

// hasSecret fails the test unless the file that Traefik reads the hash from is a secret that it is given.
func hasSecret(t *testing.T, project *types.Project) {
	t.Helper()
	traefik := project.Services["traefik"]
	name, ok := strings.CutPrefix(*traefik.Environment["ORGANIZR_SECRET_FILE"], "/run/secrets/")
	_, defined := project.Secrets[name]
	if len(traefik.Secrets) != 1 || !ok || traefik.Secrets[0].Source != name || !defined {
		t.Errorf("Traefik has the secrets %v of %v, and the file of %q", traefik.Secrets, project.Secrets, name)
	}
}

func TestTheHashAsASecret(t *testing.T) {
	hasSecret(t, composeFiles(t, data("docker-compose.yml"), fileOf(t, "Without Organizr's files", 0)))
}

// In a swarm Docker shows no ports, expands double braces itself, and each router needs its rule.
func TestTheSwarmsStack(t *testing.T) {
	if strings.Contains(yamlBlocks(section(t, "Docker Swarm"))[0], "{{") {
		t.Error("Docker would expand the double braces")
	}
	stack := composeFiles(t, fileOf(t, "Docker Swarm", 0))
	hasSecret(t, stack)
	all := map[string]string{}
	for name, one := range stack.Services {
		decoded, err := label.DecodeConfiguration(one.Deploy.Labels)
		if err != nil {
			t.Fatal(err)
		}
		if one.Deploy.Labels["traefik.enable"] != "true" || decoded.HTTP.Services[name].LoadBalancer.Servers[0].Port == "" {
			t.Errorf("Traefik doesn't read %s, or doesn't know its port", name)
		}
		for router, options := range decoded.HTTP.Routers {
			if options.Rule == "" {
				t.Errorf("the router %s has no rule", router)
			}
		}
		maps.Copy(all, one.Deploy.Labels)
	}
	decoded, err := label.DecodeConfiguration(all)
	if err != nil {
		t.Fatal(err)
	}
	for router, group := range map[string]string{"sonarr": "User", "traefik": "Admin"} {
		names := decoded.HTTP.Routers[router].Middlewares
		if len(names) != 1 || decoded.HTTP.Middlewares[names[0]].Plugin["organizrjwt"]["group"] != group {
			t.Errorf("%s has the middlewares %v of %v", router, names, decoded.HTTP.Middlewares)
		}
	}
	taken := staticOf(t, nil, environmentOf(stack, "traefik"))
	if taken.Providers.Swarm == nil || taken.Providers.Swarm.ExposedByDefault || taken.Providers.Docker != nil ||
		taken.Experimental.Plugins["organizrjwt"].ModuleName != proxy.PluginModule {
		t.Errorf("Traefik takes %+v and %+v", taken.Providers.Swarm, taken.Experimental)
	}
}

// Traefik's fixed address is one that Docker gives to no other container, and the one that the services trust.
func TestTheFixedAddress(t *testing.T) {
	project := composeFiles(t, data("docker-compose.yml"), fileOf(t, singleSignOn, 1))
	fixed := project.Services["traefik"].Networks["default"].Ipv4Address
	pool := project.Networks["default"].Ipam.Config[0]
	address := netip.MustParseAddr(fixed)
	if !netip.MustParsePrefix(pool.Subnet).Contains(address) || netip.MustParsePrefix(pool.IPRange).Contains(address) {
		t.Errorf("%s, of %+v", fixed, pool)
	}
	settings := strings.Split(section(t, singleSignOn), "```yaml")[1]
	trusted := regexp.MustCompile(`\b[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+\b`).FindAllString(settings, -1)
	if len(trusted) < 4 || slices.ContainsFunc(trusted, func(one string) bool { return one != fixed }) {
		t.Errorf("the services trust %v", trusted)
	}
}

// The file provider reads the file that the Compose file mounts.
func TestTheFileProvidersFile(t *testing.T) {
	project := composeFiles(t, data("docker-compose.yml"), fileOf(t, "File provider", 1))
	traefik := project.Services["traefik"]
	name := *traefik.Environment["TRAEFIK_PROVIDERS_FILE_FILENAME"]
	if !slices.ContainsFunc(traefik.Volumes, func(mount types.ServiceVolumeConfig) bool { return mount.Target == name }) {
		t.Errorf("nothing is mounted at %s", name)
	}
	taken := staticOf(t, nil, environmentOf(project, "traefik"))
	if taken.Providers.File == nil || taken.Providers.File.Filename != name || taken.Providers.Docker == nil {
		t.Errorf("Traefik takes %+v", taken.Providers)
	}
}

// What the readme's variables name is in what it mounts, under the path that Organizr itself has for it.
func TestTheFilesLieInTheMounts(t *testing.T) {
	for heading, number := range map[string]int{"The plugin": 2, "Organizr outside Docker": 0} {
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
