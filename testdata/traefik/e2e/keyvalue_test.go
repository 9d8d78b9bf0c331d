package e2e

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"testing"
	"time"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/service"
	"github.com/redis/go-redis/v9"
)

func TestTwoTraefiksReadTheirConfigurationFromRedis(t *testing.T) {
	needs(t, "redis-server")
	address, err := proxy.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(address)
	server := exec.CommandContext(t.Context(), "redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "",
		"--dir", t.TempDir(),
		"--notify-keyspace-events", "KEA")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	client := redis.NewClient(&redis.Options{Addr: address})
	defer func() { _ = client.Close() }()
	backend := httptest.NewServer(http.HandlerFunc(service.Handler))
	t.Cleanup(backend.Close)

	deadline := time.Now().Add(20 * time.Second)
	for ; client.Ping(t.Context()).Err() != nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("redis doesn't answer")
		}
	}
	set := func(key, value string) {
		if err := client.Set(t.Context(), "traefik/http/"+key, value, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	set("services/service/loadBalancer/servers/0/url", backend.URL)
	set("middlewares/users/plugin/organizrjwt/uuid", fakeorganizr.UUID)
	set("middlewares/users/plugin/organizrjwt/secret", hash)
	set("routers/sonarr/rule", "Host(`sonarr.example.com`)")
	set("routers/sonarr/service", "service")
	lines := regexp.MustCompile(`(?m)^redis-cli set traefik/http/(\S+) (\S+)$`).FindAllStringSubmatch(section(t,
		"Redis, Consul, etcd, ZooKeeper"), -1)
	if len(lines) != 2 {
		t.Fatalf("the readme sets %d keys", len(lines))
	}
	for _, line := range lines {
		set(line[1], line[2])
	}

	var scenes []*scene
	for range 2 {
		scenes = append(scenes, setUp(t, nil, func(options *proxy.Options) {
			options.Flags = []string{"--providers.redis.endpoints=" + address}
		}))
	}
	await := func(who string, want int) {
		t.Helper()
		headers := as(who)
		for i, s := range scenes {
			got := 0
			for deadline := time.Now().Add(20 * time.Second); got != want; time.Sleep(20 * time.Millisecond) {
				if got = s.ask("GET", "sonarr.example.com", "/", headers...).StatusCode; time.Now().After(deadline) {
					t.Fatalf("%s at Traefik %d: got %d, want %d\n%s", who, i+1, got, want, s.traefik.Log())
				}
			}
		}
	}
	await("bob", 200)
	await("fay", 403)
	set("middlewares/users/plugin/organizrjwt/group", "Power User")
	await("bob", 403)
	await("pat", 200)
}
