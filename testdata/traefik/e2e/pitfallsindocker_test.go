package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// healthCheckOff is what the Compose file has because of the image's health check.
const healthCheckOff = "    healthcheck:\n      disable: true\n"

// Traefik doesn't serve a container that is starting, and takes no middlewares from its labels. That is why the
// Compose file switches Organizr's health check off.
func TestHealthChecksInDocker(t *testing.T) {
	s := newStack(t, "health", healthCheckOff, "")
	checked := table{"test": []string{"CMD", "/traefik", "version"}, "interval": "5s"}
	s.override("traefik.yml", table{"traefik": table{
		"healthcheck": checked, "labels": table{"traefik.docker.allownonrunning": "true"},
	}})
	s.compose("up", "-d")
	began := time.Now()
	s.await(http.StatusServiceUnavailable, "navidrome", "")
	t.Logf("a Traefik with a health check and allownonrunning serves after %.1f s", time.Since(began).Seconds())
	for time.Since(began) < 10*time.Second {
		if got := s.ask("GET", "organizr", "/", "").StatusCode; got != http.StatusNotFound {
			t.Fatalf("after %v an Organizr that is starting is answered %d", time.Since(began), got)
		}
		time.Sleep(time.Second)
	}

	s.override("traefik.yml", table{"traefik": table{"healthcheck": checked}})
	s.compose("up", "-d", "traefik")
	restarted := time.Now()
	s.await(http.StatusNotFound, "navidrome", "")
	s.await(http.StatusServiceUnavailable, "navidrome", "")
	took := time.Since(restarted)
	t.Logf("without allownonrunning all services are 404 for %.1f s", took.Seconds())
	if took < 2*time.Second {
		t.Errorf("before its health check has passed, a Traefik's middlewares count after %v", took)
	}

	s.await(http.StatusOK, "organizr", "")
	t.Logf("with the health check of its image Organizr is 404 for %.1f s", time.Since(began).Seconds())
}

// In the host's network Docker shows Traefik no port of Traefik's own container. Without one Traefik drops all labels
// of the container, the middlewares among them.
func TestTheHostsNetworkInDocker(t *testing.T) {
	s := newStack(t, "host")
	text := document(t, "testdata/docker-compose.yml")
	ports := text[strings.Index(text, "    ports:\n"):strings.Index(text, "    environment:\n")]
	ports = strings.NewReplacer(`"80:80"`, `"`+s.plain+`:80"`, `"443:443"`, `"`+s.addr+`:443"`).Replace(ports)
	s.change(ports, "    network_mode: host\n",
		`ADDRESS: ":80"`, "ADDRESS: "+s.plain, `ADDRESS: ":443"`, "ADDRESS: "+s.addr)
	s.await(http.StatusOK, "organizr", "")
	if got := s.ask("GET", "navidrome", "/", "").StatusCode; got != http.StatusNotFound {
		t.Errorf("without the port: got %d", got)
	}
	if log := s.compose("logs", "--no-color", "traefik"); !strings.Contains(log, "port is missing") {
		t.Errorf("the log doesn't say so:\n%s", log)
	}
	s.override("port.yml", table{"traefik": table{
		"labels": table{"traefik.http.services.traefik.loadbalancer.server.port": "80"},
	}})
	s.setUp()
	s.await(http.StatusOK, "navidrome", s.logIn("bob"))
}

// If another folder takes the place of Organizr's, Traefik still has the old one mounted.
func TestAReplacedFolderInDocker(t *testing.T) {
	s := newStack(t, "replaced")
	s.setUp()
	s.await(http.StatusOK, "navidrome", s.logIn("bob"))
	s.compose("stop", "organizr")
	own := filepath.Join(s.folder, "organizr")
	if err := os.Rename(own, own+".old"); err != nil {
		t.Fatal(err)
	}
	s.compose("up", "-d", "--force-recreate", "organizr")
	s.await(http.StatusOK, "organizr", "")
	s.post("/wizard", "", nil)
	s.addTab("navidrome", 4)
	bob := s.logIn("bob")
	time.Sleep(2 * soon)
	if got := s.ask("GET", "navidrome", "/", bob).StatusCode; got != http.StatusUnauthorized {
		t.Errorf("before Traefik's restart: got %d", got)
	}
	s.compose("restart", "traefik")
	s.await(http.StatusOK, "navidrome", bob)
}

// If Traefik mounts a folder inside Organizr's volume, Docker creates it before Organizr's first start, which then
// fails.
func TestAFolderInOrganizrsVolumeInDocker(t *testing.T) {
	s := newStack(t, "folder", "- ./organizr:/config:ro",
		"- ./organizr/www/organizr/data/config:/config/www/organizr/data/config:ro")
	s.compose("up", "-d")
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if log := s.compose("logs", "--no-color", "organizr"); strings.Contains(log, "isn't empty") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("Organizr has started")
		}
	}
}

// Organizr's data folder has mode 0760: its group can list it, but not enter it.
func TestWhoMayReadOrganizrsFilesInDocker(t *testing.T) {
	s := newStack(t, "readers")
	s.compose("up", "-d", "traefik", "organizr")
	s.await(http.StatusOK, "organizr", "")
	s.post("/wizard", "", nil)
	folder := filepath.Join(s.folder, "organizr")
	read := func(options ...string) error {
		return s.runContainer(folder+":/config:ro", options, "read", "/config/www/organizr/data/config/config.php")
	}
	for _, one := range []struct {
		who     string
		options []string
		may     bool
	}{
		{"root", nil, true},
		{"Organizr's own user", []string{"--user", "1000:1000"}, true},
		{"another user of Organizr's group", []string{"--user", "65532:1000"}, false},
		{"root without its capabilities", []string{"--cap-drop", "ALL"}, false},
	} {
		if err := read(one.options...); (err == nil) != one.may {
			t.Errorf("%s: %v", one.who, err)
		}
	}
	if err := s.runContainer(folder+":/config", nil, "open", "/config/www/organizr/data"); err != nil {
		t.Fatal(err)
	}
	if err := read("--user", "65532:1000"); err != nil {
		t.Errorf("another user of Organizr's group, after chmod g+x: %v", err)
	}
}
