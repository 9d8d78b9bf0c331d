package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
)

// composeMistakes returns what in a project would keep Organizr from starting, or services from being found, as real
// containers do it:
//   - Organizr's clones itself into its web root at the first start, and ends if that isn't empty. Docker makes the
//     folders that another container mounts first.
//   - Traefik drops the labels of a container whose health check hasn't passed, with all middlewares on them.
//   - A file that a variable names must lie in a mount. By "auto" the plugin finds the database at the path that it has
//     in Organizr's container.
func composeMistakes(project *types.Project) []string {
	var mistakes []string
	own := project.Services["organizr"].Volumes[0]
	for name, one := range project.Services {
		for _, mount := range one.Volumes {
			if strings.HasPrefix(mount.Source, own.Source+"/") {
				mistakes = append(mistakes, name+" mounts a folder inside Organizr's volume: "+mount.Source)
			}
			if name != "organizr" && mount.Source == own.Source && !mount.ReadOnly {
				mistakes = append(mistakes, name+" could write into Organizr's volume")
			}
		}
		if one.HealthCheck != nil || hasHealthCheck(one.Image) {
			for label := range one.Labels {
				if strings.Contains(label, ".middlewares.") {
					mistakes = append(mistakes, name+" has a health check, and the middleware "+label)
				}
			}
		}
		for variable, value := range one.Environment {
			if strings.HasPrefix(variable, "ORGANIZR_") && strings.HasSuffix(variable, "_FILE") && value != nil &&
				!visible(one, own, *value) {
				mistakes = append(mistakes, name+" doesn't see the file of "+variable)
			}
		}
	}
	return mistakes
}

// hasHealthCheck reports whether the image brings a health check of its own. A test can't ask the images, so these are
// the ones of which it is known.
func hasHealthCheck(image string) bool {
	name, _, _ := strings.Cut(image, ":")
	return name == "organizr/organizr"
}

// visible reports whether a service sees the file in one of its mounts; "auto" is a file of Organizr's volume, under
// the path that it has in Organizr's container.
func visible(service types.ServiceConfig, own types.ServiceVolumeConfig, file string) bool {
	return slices.ContainsFunc(service.Volumes, func(mount types.ServiceVolumeConfig) bool {
		if file == "auto" {
			return mount.Source == own.Source && mount.Target == own.Target
		}
		return strings.HasPrefix(file, mount.Target+"/")
	})
}

func TestOrganizrStartsWithTheComposeFile(t *testing.T) {
	text, err := os.ReadFile(data("docker-compose.yml"))
	if err != nil {
		t.Fatal(err)
	}
	const mount = "- ./organizr:/config:ro"
	for _, one := range []struct{ sentence, old, changed, mistake string }{
		{"the file as it is has no mistake", "", "", ""},
		{
			"a folder of Organizr's web root is mounted", mount,
			"- ./organizr/www/organizr/data/config:/config/www/organizr/data/config:ro", "inside Organizr's volume",
		},
		{"Organizr's volume can be written", mount, "- ./organizr:/config", "could write"},
		{
			"a middleware is defined on Organizr's container", "      - ./organizr:/config\n    labels:\n",
			"      - ./organizr:/config\n    labels:\n      traefik.http.middlewares.x.plugin.organizrjwt.group: User\n",
			"has a health check",
		},
		{
			"Traefik's container gets a health check", "image: traefik:v3.7",
			"image: traefik:v3.7\n    healthcheck: {test: [CMD, traefik, healthcheck]}", "has a health check",
		},
		{
			"config.php is outside of all mounts", "ORGANIZR_CONFIG_FILE: /config/", "ORGANIZR_CONFIG_FILE: /organizr/",
			"ORGANIZR_CONFIG_FILE",
		},
		{
			"the volume is mounted under another path than Organizr's", mount, "- ./organizr:/organizr:ro",
			"ORGANIZR_DATABASE_FILE",
		},
	} {
		t.Run(one.sentence, func(t *testing.T) {
			if !strings.Contains(string(text), one.old) {
				t.Fatalf("the file has no %q", one.old)
			}
			file := filepath.Join(t.TempDir(), "docker-compose.yml")
			if err := os.WriteFile(file, []byte(strings.Replace(string(text), one.old, one.changed, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			mistakes := strings.Join(composeMistakes(composeFiles(t, file)), "; ")
			if (one.mistake == "") != (mistakes == "") || !strings.Contains(mistakes, one.mistake) {
				t.Errorf("found %q, want %q", mistakes, one.mistake)
			}
		})
	}
}
