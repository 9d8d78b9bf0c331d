package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
)

// The stack differs from the file as a project of newStack does. Besides, its services are found by the addresses of
// their containers (dnsrr), since the kernel of a test machine may lack IPVS.
func TestTheStackInSwarm(t *testing.T) {
	e := needsDocker(t)
	s := &stack{t: t, engine: e, folder: t.TempDir(), scheme: "https", domain: ".example.com"}
	var address string
	for _, addr := range []*string{&s.plain, &s.addr, &address} {
		var err error
		if *addr, err = proxy.FreeAddr(); err != nil {
			t.Fatal(err)
		}
	}
	s.client = e.clientOf(t, s.addr)
	if err := e.Swarm(t.Context(), address); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(s.folder, "hash")
	if err := os.WriteFile(secret, []byte(hash+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Docker(t.Context(), "secret", "create", e.Name("hash"), secret); err != nil {
		t.Fatal(err)
	}
	_, plain, _ := strings.Cut(s.plain, ":")
	_, secure, _ := strings.Cut(s.addr, ":")
	const mount = "      - letsencrypt:/letsencrypt\n"
	text := replaceAll(t, document(t, "testdata/docker-stack.yml"),
		catalogPlugin, "      TRAEFIK_EXPERIMENTAL_LOCALPLUGINS_ORGANIZRJWT_MODULENAME: "+proxy.PluginModule+"\n"+
			"      TRAEFIK_PROVIDERS_SWARM_CONSTRAINTS: Label(`com.docker.stack.namespace`, `"+e.Name("stack")+"`)\n",
		mount, mount+"      - "+proxy.Checkout()+":/plugins-local/src/"+proxy.PluginModule+":ro\n",
		"/var/run/docker.sock:/", e.Socket()+":/",
		"published: 80\n", "published: "+plain+"\n", "published: 443\n", "published: "+secure+"\n",
		"    external: true\n", "    external: true\n    name: "+e.Name("hash")+"\n")
	text = strings.ReplaceAll(text, "    deploy:\n", "    deploy:\n      endpoint_mode: dnsrr\n")
	name, err := e.Deploy(t.Context(), "stack", s.file("docker-stack.yml", text))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			log, err := e.Docker(context.Background(), "service", "logs", name+"_traefik")
			t.Log(log, err)
		}
	})
	cookie := func(username string) string {
		if username == "" {
			return ""
		}
		return as(username)[1]
	}
	s.await(200, "sonarr", cookie("alice"))
	for _, one := range []visit{
		{"bob", "GET", "sonarr", "/", 200},
		{"fay", "GET", "sonarr", "/", 403},
		{"", "GET", "sonarr", "/", 401},
		{"alice", "GET", "traefik", "/api/overview", 200},
		{"bob", "GET", "traefik", "/api/overview", 403},
	} {
		if got := s.ask(one.method, one.host, one.path, cookie(one.who)).StatusCode; got != one.want {
			t.Errorf("%q at %s: got %d, want %d", one.who, one.host, got, one.want)
		}
	}
}
