// Package demo runs a real Traefik with this checkout as its local plugin. Behind it are an Organizr of which only the
// login, the accounts and the tabs work, and services that show the requests that reach them.
package demo

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/service"
)

// A Demo is a running demo.
type Demo struct {
	Organizr *fakeorganizr.Organizr
	Traefik  *proxy.Traefik
	key      string // of a program
	scheme   string
	port     string
	closers  []func()
}

// Start starts the demo on the address in the options, or on a free one.
func Start(ctx context.Context, options proxy.Options) (_ *Demo, err error) {
	d := &Demo{scheme: "http", key: newKey()}
	defer func() {
		if err != nil {
			d.Stop()
		}
	}()
	if options.Listen == "" {
		if options.Listen, err = proxy.FreeAddr(); err != nil {
			return nil, err
		}
	}
	if _, d.port, err = net.SplitHostPort(options.Listen); err != nil {
		return nil, fmt.Errorf("-listen: %w", err)
	}
	folder, err := os.MkdirTemp("", "organizrjwt-demo-")
	if err != nil {
		return nil, err
	}
	d.closers = append(d.closers, func() { os.RemoveAll(folder) })
	d.Organizr, err = fakeorganizr.New(filepath.Join(proxy.Checkout(), "testdata", "organizr", "config.php"), folder)
	if err != nil {
		return nil, err
	}
	if options.TLS {
		d.scheme = "https"
	}
	for _, tab := range d.tabs() {
		if err := d.Organizr.Database.SetTab(tab); err != nil {
			return nil, err
		}
	}
	login := httptest.NewServer(d.Organizr)
	backend := httptest.NewServer(http.HandlerFunc(service.Handler))
	d.closers = append(d.closers, login.Close, backend.Close)
	options.Env = append(options.Env, "ORGANIZR_CONFIG_FILE="+d.Organizr.ConfigFile(), "ORGANIZR_DATABASE_FILE=auto",
		"ORGANIZR_URL="+d.URL("organizr"))
	options.Dynamic = d.configuration(login.URL, backend.URL)
	d.Organizr.Command = "curl -u radio:" + d.key + " " + d.URL("keys") + "/"
	if options.TLS {
		d.Organizr.Command = strings.Replace(d.Organizr.Command, "curl", "curl --insecure", 1)
	}
	d.Traefik, err = proxy.Start(ctx, options)
	return d, err
}

// newKey returns a key as openssl rand -hex 32 makes it.
func newKey() string {
	random := make([]byte, 32)
	_, _ = rand.Read(random) // it never fails
	return hex.EncodeToString(random)
}

// Stop stops everything that was started.
func (d *Demo) Stop() {
	if d.Traefik != nil {
		d.Traefik.Stop()
	}
	for _, closer := range d.closers {
		closer()
	}
}

// URL returns the address of one of the demo's hosts.
func (d *Demo) URL(name string) string { return d.scheme + "://" + d.host(name) }

func (d *Demo) host(name string) string { return name + ".demo.localhost:" + d.port }

// tabs are those that the demo begins with.
func (d *Demo) tabs() []fakeorganizr.Tab {
	return []fakeorganizr.Tab{
		{Name: "Sonarr", URL: d.URL("sonarr"), GroupID: 4, Enabled: true},
		{Name: "Radarr", URL: d.URL("radarr"), GroupID: 0, Enabled: true},
	}
}

// byTabs is the middleware of services whose tabs say who may open them.
const byTabs = "organizr"

// A demoService is one of the demo's services, with the plugin's options and with what there is to see.
type demoService struct {
	name    string
	about   string
	options map[string]any // nil if the middleware is byTabs
}

func (d *Demo) services() []demoService {
	type options = map[string]any
	return []demoService{
		{"sonarr", "for those who may see its tab, at first User (4) and higher", nil},
		{"radarr", "for those who may see its tab, at first Admin (0)", nil},
		{"lidarr", "for Admin (0), since it has no tab at first", nil},
		{"admin", "for Admin (0)", options{"group": "Admin"}},
		{"power", "for Power User (3) and higher", options{"group": "Power User"}},
		{"everyone", "for everyone who is logged in (998)", options{"group": "998"}},
		{"public", "for everyone (999)", options{"group": "Guest"}},
		{
			"keys", "for User (4) and higher, and for a program with a key",
			options{"group": "User", "keys": []string{fmt.Sprintf("radio=User:%x", sha256.Sum256([]byte(d.key)))}},
		},
		{
			"cross-site", "for everyone who is logged in, and for requests that other sites' pages make with their session",
			options{"group": "998", "allowCrossSite": true},
		},
		{
			"denied", "for everyone who is logged in, except bob",
			options{"group": "Logged In", "deny": []string{"username=bob"}},
		},
		{
			"own-router", "a mistake: the middleware is on Organizr itself",
			options{"group": "User", "organizrURL": d.URL("own-router")},
		},
		{
			"apart", "a mistake: Organizr is under another domain",
			options{"group": "User", "organizrURL": "http://organizr.lan"},
		},
		{
			"provider", "a mistake: under this provider no two names can share a cookie",
			options{"group": "User", "organizrURL": "https://organizr.duckdns.org"},
		},
	}
}

// configuration returns Traefik's dynamic configuration.
func (d *Demo) configuration(login, backend string) map[string]any {
	type table = map[string]any
	address := func(url string) table {
		return table{"loadBalancer": table{"servers": []table{{"url": url}}}}
	}
	routers := table{"organizr": table{"rule": "Host(`organizr.demo.localhost`)", "service": "organizr"}}
	middlewares := table{
		byTabs: table{"plugin": table{"organizrjwt": table{"group": "tab"}}},
		// Makes this host look like another one, which no browser on this machine could open.
		"as-duckdns": table{"headers": table{"customRequestHeaders": table{"X-Forwarded-Host": "sonarr.duckdns.org"}}},
	}
	for _, service := range d.services() {
		chain := []string{service.name}
		switch {
		case service.name == "provider":
			chain = []string{"as-duckdns", service.name}
		case service.options == nil:
			chain = []string{byTabs}
		}
		routers[service.name] = table{
			"rule": "Host(`" + service.name + ".demo.localhost`)", "service": "service", "middlewares": chain,
		}
		if service.options != nil {
			middlewares[service.name] = table{"plugin": table{"organizrjwt": service.options}}
		}
		d.Organizr.Links = append(d.Organizr.Links,
			fakeorganizr.Link{Name: service.name, URL: d.URL(service.name), About: service.about})
	}
	return table{"http": table{
		"routers":     routers,
		"middlewares": middlewares,
		"services":    table{"organizr": address(login), "service": address(backend)},
	}}
}
