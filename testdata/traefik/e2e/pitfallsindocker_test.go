package e2e

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// healthCheckOff is what the Compose file has because of the image's health check.
const healthCheckOff = "    healthcheck:\n      disable: true\n"

// Each health check is why a line is in the Compose file or in the readme: Traefik serves no container, and takes no
// middleware from one, while it is starting.
func TestHealthChecksInDocker(t *testing.T) {
	t.Parallel()
	s := newStack(t, "health", healthCheckOff, "")
	s.override("health.yml", table{"traefik": table{
		"healthcheck": table{"test": []string{"CMD", "/traefik", "version"}, "interval": "5s"},
		"labels":      table{"traefik.docker.allownonrunning": "true"},
	}})
	s.compose("up", "-d")
	began := time.Now()
	s.await(http.StatusServiceUnavailable, "GET", "navidrome", "/", "")
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("a Traefik with a health check and allownonrunning takes %v to serve", took)
	}
	for time.Since(began) < 20*time.Second {
		if got := s.ask("GET", "organizr", "/", "").StatusCode; got != http.StatusNotFound {
			t.Fatalf("after %v an Organizr that is starting is answered %d", time.Since(began), got)
		}
		time.Sleep(time.Second)
	}
	s.await(http.StatusOK, "GET", "organizr", "/", "")
	t.Logf("with the health check of its image, Organizr is 404 for %.0f s", time.Since(began).Seconds())

	s.project.Files = s.project.Files[:len(s.project.Files)-1]
	s.override("health.yml", table{"traefik": table{
		"healthcheck": table{"test": []string{"CMD", "/traefik", "version"}, "interval": "5s"},
	}})
	s.compose("up", "-d", "traefik")
	began = time.Now()
	s.await(http.StatusNotFound, "GET", "navidrome", "/", "")
	s.await(http.StatusServiceUnavailable, "GET", "navidrome", "/", "")
	t.Logf("without allownonrunning all services are 404 for %.1f s", time.Since(began).Seconds())
}

// With the host's network Docker shows no port of Traefik's container, and the middlewares on it need one all the same.
func TestTraefikInTheHostsNetwork(t *testing.T) {}

// Who comes to a published port over IPv6 comes from the gateway of Docker's network, and that can be in a home's range.
func TestARangeThatHoldsDockersNetworkInDocker(t *testing.T) {
	if listener, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skip("this machine has no IPv6")
	} else {
		listener.Close()
	}
}

// A folder that Organizr's is replaced by isn't the one that Traefik has mounted.
func TestAFolderPutInPlaceOfOrganizrsInDocker(t *testing.T) {
	s := newStack(t, "replaced")
	s.setUp()
	bob := s.logIn("bob")
	s.await(http.StatusOK, "GET", "navidrome", "/", bob)
	s.compose("stop", "organizr")
	own := filepath.Join(s.folder, "organizr")
	if err := os.Rename(own, own+".old"); err != nil {
		t.Fatal(err)
	}
	s.compose("up", "-d", "--force-recreate", "organizr")
	s.await(http.StatusOK, "GET", "organizr", "/", "")
	s.post("/wizard", "", nil)
	bob = s.logIn("bob")
	time.Sleep(2 * soon)
	if got := s.ask("GET", "navidrome", "/", bob).StatusCode; got != http.StatusUnauthorized {
		t.Errorf("before Traefik's restart: got %d", got)
	}
	s.compose("restart", "traefik")
	s.await(http.StatusOK, "GET", "navidrome", "/", bob)
}

// A folder in Organizr's volume that another container mounts is made before Organizr's first start.
func TestAFolderInOrganizrsVolumeInDocker(t *testing.T) {
	s := newStack(t, "folder", "- ./organizr:/config:ro",
		"- ./organizr/www/organizr/data/config:/config/www/organizr/data/config:ro")
	s.compose("up", "-d")
	s.await(http.StatusServiceUnavailable, "GET", "navidrome", "/", "")
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if log := s.compose("logs", "--no-color", "organizr"); strings.Contains(log, "isn't empty") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("Organizr has started")
		}
	}
}
