package e2e

import (
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// withLabels returns a service of a Compose file that has the labels, and that Traefik is to serve.
func withLabels(labels map[string]string) table {
	all := map[string]string{"traefik.enable": "true"}
	maps.Copy(all, labels)
	return table{"image": "traefik/whoami", "labels": all}
}

func TestTheRecipesInDocker(t *testing.T) {
	s := newStack(t, "recipes")
	chain := blockOf(t, "The middlewares", 1).Labels["traefik.http.routers.sonarr.middlewares"]
	services := table{
		"compress": withLabels(map[string]string{"traefik.http.middlewares.compress.compress": "true"}),
		"chain":    withLabels(map[string]string{"traefik.http.routers.chain.middlewares": chain}),
		"lidarr":   withLabels(map[string]string{"traefik.http.routers.lidarr.middlewares": "users@file"}),
		"traefik": table{
			"environment": table{"TRAEFIK_PROVIDERS_FILE_FILENAME": "/middlewares.yml"},
			"volumes":     []string{"./middlewares.yml:/middlewares.yml:ro"},
		},
	}
	for _, recipe := range labelRecipes {
		given := labels(t, recipe.heading)
		switch host := recipe.visits[0].host; host {
		case "home": // Sonarr's container has another recipe's labels already
			renamed := map[string]string{}
			for name, value := range given {
				renamed[strings.Replace(name, ".routers.sonarr.", ".routers.home.", 1)] = value
			}
			services[host] = withLabels(renamed)
		case "sonarr":
			services[host] = table{"labels": given}
		default:
			services[host] = withLabels(given)
		}
	}
	file := strings.ReplaceAll(yamlBlocks(section(t, "File provider"))[0], "sonarr.example.com", "films.example.com")
	if err := os.WriteFile(filepath.Join(s.folder, "middlewares.yml"), []byte(file), 0o644); err != nil {
		t.Fatal(err)
	}
	s.override("recipes.yml", services)
	logged := blockOf(t, "Names in the access log", 0).Environment
	s.override("accesslog.yml", table{"traefik": table{"environment": logged}})
	s.setUp()
	s.addTab("chain", 4)
	sessions := map[string]string{"": ""}
	for _, username := range []string{"alice", "bob", "pat", "fay"} {
		sessions[username] = s.logIn(username)
	}
	s.await(http.StatusOK, "lidarr", sessions["bob"]) // the file is read in its own time
	s.await(http.StatusOK, "chain", sessions["bob"])
	for _, recipe := range labelRecipes {
		t.Run(recipe.heading, func(t *testing.T) {
			s := s.in(t)
			for _, one := range recipe.visits {
				got := s.ask(one.method, one.host, one.path, sessions[one.who])
				if got.StatusCode != one.want {
					t.Errorf("%q: %s %s at %s: got %d, want %d",
						one.who, one.method, one.path, one.host, got.StatusCode, one.want)
				}
				for name, want := range recipe.told {
					if told := got.seen().Header.Get(name); !strings.HasPrefix(told, want) {
						t.Errorf("the service was told %s: %q, want %q", name, told, want)
					}
				}
			}
		})
	}
	for _, one := range []visit{
		{"bob", "GET", "chain", "/", 200},
		{"", "GET", "chain", "/", 401},
		{"bob", "GET", "lidarr", "/", 200},
		{"fay", "GET", "lidarr", "/", 403},
		{"", "GET", "lidarr", "/", 401},
		{"bob", "GET", "films", "/", 200},
		{"fay", "GET", "films", "/", 403},
		{"", "GET", "films", "/", 401},
		{"", "GET", "compress", "/", 200},
	} {
		t.Run(one.who+" at "+one.host, func(t *testing.T) {
			if got := s.in(t).ask(one.method, one.host, one.path, sessions[one.who]).StatusCode; got != one.want {
				t.Errorf("got %d, want %d", got, one.want)
			}
		})
	}
	t.Run("Names in the access log", func(t *testing.T) {
		log := s.in(t).compose("logs", "--no-color", "traefik")
		if !strings.Contains(log, " - bob [") {
			t.Errorf("bob isn't in the log:\n%s", log)
		}
	})
}
