// Command traefik shows the plugin at work: a real Traefik with this checkout as its local plugin, and behind it an
// Organizr of which only the login works, and services that show what they were told.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"text/tabwriter"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/organizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/proxy"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/service"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8000", "address to listen on")
	program := flag.String("traefik", "", "path of a Traefik to use instead of building one")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *listen, *program)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run shows the demo until the context ends.
func run(ctx context.Context, listen, program string) error {
	if err := free(listen); err != nil {
		return err
	}
	if program == "" {
		var err error
		if program, err = proxy.Build(os.Stderr); err != nil {
			return err
		}
	}
	demo, err := startDemo(ctx, proxy.Options{Listen: listen, Program: program})
	if err != nil {
		return err
	}
	defer demo.stop()
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "%s\tOrganizr: begin here; it says what there is to try\n", demo.url("organizr"))
	for _, link := range demo.organizr.Links {
		fmt.Fprintf(table, "%s\t%s\n", link.URL, link.About)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Println("Press Ctrl-C to stop.")
	select {
	case <-ctx.Done():
		return nil
	case <-demo.traefik.Ended():
		if ctx.Err() != nil {
			return nil
		}
		return demo.traefik.Failure()
	}
}

// free returns an error if somebody listens on the address already.
func free(listen string) error {
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("can't listen on %s: %w; choose another address with -listen", listen, err)
	}
	return listener.Close()
}

// A demo is everything that the command runs.
type demo struct {
	organizr *organizr.Organizr
	traefik  *proxy.Traefik
	scheme   string
	port     string
	closers  []func()
}

// startDemo starts everything, on the address that the options say.
func startDemo(ctx context.Context, options proxy.Options) (_ *demo, err error) {
	d := &demo{scheme: "http"}
	defer func() {
		if err != nil {
			d.stop()
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
	d.organizr, err = organizr.New(filepath.Join(proxy.Checkout(), "testdata", "organizr", "config.php"), folder)
	if err != nil {
		return nil, err
	}
	login := httptest.NewServer(d.organizr)
	backend := httptest.NewServer(http.HandlerFunc(service.Handler))
	d.closers = append(d.closers, login.Close, backend.Close)
	if options.TLS {
		d.scheme = "https"
	}
	options.Env = append(options.Env, "ORGANIZR_CONFIG_FILE="+d.organizr.ConfigFile(), "ORGANIZR_DATABASE_FILE=auto", "ORGANIZR_URL="+d.url("organizr"))
	options.Dynamic = d.configuration(login.URL, backend.URL)
	d.traefik, err = proxy.Start(ctx, options)
	return d, err
}

// stop ends everything that was started.
func (d *demo) stop() {
	if d.traefik != nil {
		d.traefik.Stop()
	}
	for _, closer := range d.closers {
		closer()
	}
}

// url returns the address of one of the demo's hosts.
func (d *demo) url(name string) string { return d.scheme + "://" + d.host(name) }

func (d *demo) host(name string) string { return name + ".demo.localhost:" + d.port }

// guarded are the demo's services: what the plugin is told for each, and what there is to see.
func (d *demo) guarded() []struct {
	name    string
	about   string
	options map[string]any
} {
	type options = map[string]any
	return []struct {
		name    string
		about   string
		options map[string]any
	}{
		{"admin", "for Admin (0)", options{"group": "Admin"}},
		{"power", "for Power User (3) and higher", options{"group": "Power User"}},
		{"everyone", "for whoever is logged in (998)", options{"group": "998"}},
		{"public", "for everybody (999)", options{"group": "Guest"}},
		{"cross-site", "for whoever is logged in, and for other sites' pages in their name", options{"group": "998", "allowCrossSite": true}},
		{"denied", "for whoever is logged in, but not for bob", options{"group": "Logged In", "deny": []string{"username=bob"}}},
		{"own-router", "a mistake: the middleware hangs on Organizr itself", options{"group": "User", "organizrURL": d.url("own-router")}},
		{"apart", "a mistake: Organizr is under another domain", options{"group": "User", "organizrURL": "http://organizr.lan"}},
		{"provider", "a mistake: a provider that lets no two names share a cookie", options{"group": "User", "organizrURL": "https://organizr.duckdns.org"}},
	}
}

// configuration returns Traefik's dynamic configuration.
func (d *demo) configuration(login, backend string) map[string]any {
	type table = map[string]any
	address := func(url string) table {
		return table{"loadBalancer": table{"servers": []table{{"url": url}}}}
	}
	routers := table{"organizr": table{"rule": "Host(`organizr.demo.localhost`)", "service": "organizr"}}
	middlewares := table{
		// As if this host were reached under another name, which no browser on this machine could open.
		"as-duckdns": table{"headers": table{"customRequestHeaders": table{"X-Forwarded-Host": "sonarr.duckdns.org"}}},
	}
	for _, one := range d.guarded() {
		chain := []string{one.name}
		if one.name == "provider" {
			chain = []string{"as-duckdns", one.name}
		}
		routers[one.name] = table{"rule": "Host(`" + one.name + ".demo.localhost`)", "service": "service", "middlewares": chain}
		middlewares[one.name] = table{"plugin": table{"organizrjwt": one.options}}
		d.organizr.Links = append(d.organizr.Links, organizr.Link{Name: one.name, URL: d.url(one.name), About: one.about})
	}
	return table{"http": table{
		"routers":     routers,
		"middlewares": middlewares,
		"services":    table{"organizr": address(login), "service": address(backend)},
	}}
}
