package e2e

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/service"
)

// Organizr's own check answers some requests of strangers with 200, and so ForwardAuth admits them. The plugin doesn't.
func TestWhereForwardAuthLetsStrangersIn(t *testing.T) {
	o := realOrganizr(t)
	backend := httptest.NewServer(http.HandlerFunc(service.Handler))
	t.Cleanup(backend.Close)
	forwardAuth := table{"forwardAuth": table{"address": o.URL + "/api/v2/auth/0", "trustForwardHeader": true}}
	s := setUp(t, nil, func(options *proxy.Options) {
		options.Env = []string{"ORGANIZR_CONFIG_FILE=" + o.ConfigFile(), "ORGANIZR_DATABASE_FILE=auto"}
		options.Flags = []string{trustAddresses}
		options.Dynamic = table{"http": table{
			"routers": table{
				"asked": table{"rule": "Host(`asked.example.com`)", "service": "service", "middlewares": []string{"asked"}},
				"known": table{"rule": "Host(`known.example.com`)", "service": "service", "middlewares": []string{"known"}},
				"without-client-ip": table{
					"rule": "Host(`without-client-ip.example.com`)", "service": "service",
					"middlewares": []string{"no-client-ip", "asked"},
				},
			},
			"middlewares": table{
				"asked":        forwardAuth,
				"known":        table{"plugin": table{"organizrjwt": table{"group": "Admin"}}},
				"no-client-ip": table{"headers": table{"customRequestHeaders": table{"Client-IP": ""}}},
			},
			"services": table{"service": table{"loadBalancer": table{"servers": []table{{"url": backend.URL}}}}},
		}}
	})
	blacklist := func() error {
		return o.Configure(t.Context(), map[string]any{"blacklisted": "203.0.113.66"})
	}
	emptyConfig := func() error {
		before, err := os.ReadFile(o.ConfigFile())
		t.Cleanup(func() {
			if err := os.WriteFile(o.ConfigFile(), before, 0o600); err != nil {
				t.Error(err)
			}
		})
		return errors.Join(err, os.Truncate(o.ConfigFile(), 0))
	}
	nothing := func() error { return nil }
	const asked, withoutClientIP = "asked.example.com", "without-client-ip.example.com"
	for _, test := range []struct {
		name     string
		host     string
		change   func() error
		headers  []string
		organizr int
	}{
		{"a stranger", asked, nothing, []string{"X-Forwarded-For", "203.0.113.66"}, 401},
		{"a stranger, while others are in the blacklist", asked, blacklist, []string{"X-Forwarded-For", "203.0.113.7"}, 401},
		{"a stranger in the blacklist", asked, nothing, []string{"X-Forwarded-For", "203.0.113.66"}, 200},
		{
			"a stranger who says that they are in it", asked, nothing,
			[]string{"X-Forwarded-For", "203.0.113.7", "Client-IP", "203.0.113.66"},
			200,
		},
		{
			"a stranger who says so, where Traefik removes that", withoutClientIP, nothing,
			[]string{"X-Forwarded-For", "203.0.113.7", "Client-IP", "203.0.113.66"},
			401,
		},
		{
			"a stranger, while config.php is being written", asked, emptyConfig,
			[]string{"X-Forwarded-For", "203.0.113.7"},
			200,
		},
	} {
		if err := test.change(); err != nil {
			t.Fatal(err)
		}
		t.Run(test.name, func(t *testing.T) {
			part := s.in(t)
			for began := time.Now(); ; time.Sleep(50 * time.Millisecond) { // PHP looks at config.php again after two seconds
				asked := part.ask("GET", test.host, "/", test.headers...)
				if asked.StatusCode == test.organizr {
					break
				}
				if time.Since(began) > 5*time.Second {
					t.Fatalf("ForwardAuth answers %d, want %d", asked.StatusCode, test.organizr)
				}
			}
			if known := part.ask("GET", "known.example.com", "/", test.headers...); known.StatusCode != http.StatusUnauthorized {
				t.Errorf("the plugin answers %d", known.StatusCode)
			}
		})
	}
}
