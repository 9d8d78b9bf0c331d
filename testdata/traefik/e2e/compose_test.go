package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
)

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

func TestTheComposeFile(t *testing.T) {
	catalog := compose(t, "docker-compose.yml")
	module := catalog.Services["traefik"].Environment["TRAEFIK_EXPERIMENTAL_PLUGINS_ORGANIZRJWT_MODULENAME"]
	if module == nil || *module != proxy.PluginModule {
		t.Error("the catalog's plugin isn't this one")
	}
	project := compose(t, "docker-compose.yml", "docker-compose.local.yml")
	environment := project.Services["traefik"].Environment
	module = environment["TRAEFIK_EXPERIMENTAL_LOCALPLUGINS_ORGANIZRJWT_MODULENAME"]
	if module == nil || *module != proxy.PluginModule {
		t.Error("the override doesn't name the plugin")
	}
	for name, value := range environment {
		if strings.HasPrefix(name, "TRAEFIK_EXPERIMENTAL_PLUGINS_") && value != nil {
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
	own := project.Services["organizr"].Volumes[0].Source
	for _, mount := range project.Services["traefik"].Volumes {
		if mount.Source == own && !mount.ReadOnly {
			t.Error("Traefik could write into Organizr's volume")
		}
	}
}

// Each account gets in where its group does.
func TestTheGroupsInDocker(t *testing.T) {
	s := newStack(t, "groups")
	s.override("unlabelled.yml", table{"unlabelled": table{"image": "traefik/whoami"}})
	s.setUp()
	for _, account := range fakeorganizr.Accounts {
		session := s.logIn(account.Username)
		for name, least := range map[string]int{"sonarr": 0, "navidrome": 4, "whoami": 999, "organizr": 999} {
			want := http.StatusForbidden
			if account.GroupID <= least {
				want = http.StatusOK
			}
			got := s.ask("GET", name, "/", session)
			if got.StatusCode != want {
				t.Errorf("%s at %s: got %d, want %d", account.Username, name, got.StatusCode, want)
			}
			user := got.seen().Header.Get("X-Organizr-User")
			if want == http.StatusOK && name != "organizr" && user != account.Username {
				t.Errorf("%s is told that %q is there", name, user)
			}
		}
	}
	for name, want := range map[string]int{
		"sonarr": 302, "navidrome": 302, "whoami": 200, "traefik": 302, "unlabelled": 404,
	} {
		got := s.ask("GET", name, "/x?a=1", "", "Accept", pageAccept)
		back := "https%25253A%25252F%25252F" + name + ".example.com%25252Fx%25253Fa%25253D1"
		location := "https://organizr.example.com/?return=" + back
		if got.StatusCode != want || want == http.StatusFound && got.Header.Get("Location") != location {
			t.Errorf("nobody at %s: got %d, to %q", name, got.StatusCode, got.Header.Get("Location"))
		}
	}
	for username, want := range map[string]int{"alice": http.StatusOK, "bob": http.StatusForbidden} {
		if got := s.ask("GET", "traefik", "/api/overview", s.logIn(username)).StatusCode; got != want {
			t.Errorf("%s at the data of Traefik's dashboard: got %d, want %d", username, got, want)
		}
	}
}
