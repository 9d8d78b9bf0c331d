package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/load"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/realorganizr"
)

// A scene is a running Traefik, or two with different settings, and what their routes need.
type scene struct {
	routes       []*route
	traefiks     []*proxy.Traefik
	settings     map[*proxy.Traefik]string // an environment variable that it has; empty for the first
	otherPlugins map[string]string         // folders by module path
	stops        []func()
}

// newScene starts what the arguments ask for.
func newScene(ctx context.Context, args arguments) (*scene, error) {
	s := &scene{
		routes: visitorRoutes(), settings: map[*proxy.Traefik]string{},
		otherPlugins: map[string]string{
			path.Dir(proxy.PluginModule) + "/floor": filepath.Join(proxy.Module(), "bench", "floor"),
		},
	}
	if err := s.start(ctx, args); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func (s *scene) start(ctx context.Context, args arguments) error {
	if args.jwtMiddleware != "" {
		if err := s.addJWTMiddleware(args.jwtMiddleware); err != nil {
			return err
		}
	}
	if err := s.addForwardAuth(ctx); err != nil {
		return err
	}
	if err := s.addDatabase(); err != nil {
		return err
	}
	if realorganizr.Source() != "" {
		if err := s.addOrganizr(ctx); err != nil {
			return err
		}
	}
	s.routes = append(s.routes, hostileRoutes()...)
	s.routes = selected(s.routes, args.only)
	backend := httptest.NewServer(http.HandlerFunc(load.Service))
	s.stops = append(s.stops, backend.Close)
	dynamic := configuration(s.routes, backend.URL)
	routes := s.routes
	if err := s.startTraefik(ctx, args.program, dynamic, routes, ""); err != nil {
		return err
	}
	if args.gogc > 0 {
		return s.startTraefik(ctx, args.program, dynamic, s.twins(), fmt.Sprintf("GOGC=%d", args.gogc))
	}
	return nil
}

// stop ends everything that was started, in reverse order.
func (s *scene) stop() {
	for _, stop := range slices.Backward(s.stops) {
		stop()
	}
}

// startTraefik starts a Traefik for the routes, with the setting in its environment unless that is empty.
func (s *scene) startTraefik(ctx context.Context, program string, dynamic table, routes []*route,
	setting string,
) error {
	var environment []string
	if setting != "" {
		environment = []string{setting}
	}
	traefik, err := proxy.Start(ctx, proxy.Options{
		Program: program, Dynamic: dynamic, OtherPlugins: s.otherPlugins, Env: environment,
		Flags: []string{"--log.level=ERROR", "--api=true", "--api.debug=true"},
	})
	if err != nil {
		return err
	}
	s.stops = append(s.stops, traefik.Stop)
	s.traefiks = append(s.traefiks, traefik)
	s.settings[traefik] = setting
	for _, r := range routes {
		r.traefik = traefik
		if setting != "" {
			r.name += ", " + setting
		}
	}
	return nil
}

// twins adds copies of some routes, which are measured in a Traefik with another setting, and returns them.
func (s *scene) twins() []*route {
	var twins []*route
	for _, r := range s.routes {
		if slices.Contains([]string{"bare", "noop", "remembered", "changing", "first", "forwardauth"}, r.name) {
			twin := *r
			twins = append(twins, &twin)
			twin.base = twins[0]
		}
	}
	s.routes = append(s.routes, twins...)
	return twins
}

// addJWTMiddleware adds a route through the general JWT plugin of that folder.
func (s *scene) addJWTMiddleware(folder string) error {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return err
	}
	s.otherPlugins["github.com/agilezebra/jwt-middleware"] = folder
	s.routes = append(s.routes, &route{
		name: "jwt-middleware", about: "a general JWT plugin: one cookie, one claim, one header",
		middleware: table{"plugin": table{"jwt-middleware": table{
			"secret":       hash,
			"validMethods": []string{"HS256"},
			"cookieName":   fakeorganizr.CookieName,
			"require":      table{"aud": "Organizr"},
			"headerMap":    table{"X-Organizr-User": "name"},
		}}},
		cookies: []string{fakeorganizr.Cookie(bob.Token(hash))}, user: "bob",
	})
	return nil
}

// addDatabase adds routes on which the plugin follows Organizr's database.
func (s *scene) addDatabase() error {
	folder, err := os.MkdirTemp("", "organizrjwt-bench-")
	if err != nil {
		return err
	}
	s.stops = append(s.stops, func() { os.RemoveAll(folder) })
	all := load.Sessions(bob, hash)
	listed, ended := all[:1000], all[1000:]
	usual, large := filepath.Join(folder, "usual.db"), filepath.Join(folder, "large.db")
	if err := errors.Join(load.Database(usual, bob, listed), load.Database(large, bob, all)); err != nil {
		return err
	}
	tab := fakeorganizr.Tab{Name: "Tab", URL: "https://tab.example.com", GroupID: 4, Enabled: true}
	if err := fakeorganizr.OpenDatabase(usual).SetTab(tab); err != nil {
		return err
	}
	followed := plugin(table{"databaseFile": usual})
	s.routes = append(
		s.routes,
		&route{
			name: "database", about: "with a database of a thousand sessions, a returning visitor", middleware: followed,
			cookies: listed[:1], user: "bob",
		},
		&route{
			name: "database-changing", about: "the same, whose other cookies change every time", middleware: followed,
			cookies: load.Changing(listed[0]), user: "bob",
		},
		&route{
			name: "tab", about: "the same as database, where Organizr's tab requires the group", cookies: listed[:1],
			middleware: plugin(table{"databaseFile": usual, "group": "tab"}), user: "bob",
		},
		&route{
			name: "database-sessions", about: "the same, all thousand by turns", middleware: followed, cookies: listed,
			user: "bob",
		},
		&route{
			name: "database-first", about: "the same, seen for the first time, in a database of many", cookies: all, user: "bob",
			middleware: plugin(table{"databaseFile": large}),
		},
		&route{
			name: "ended", about: "a token that Organizr has ended", middleware: followed, cookies: ended, header: program(),
			status: 401,
		},
	)
	return nil
}

// addOrganizr adds two routes with a real Organizr: ForwardAuth to it, and the plugin with its files.
func (s *scene) addOrganizr(ctx context.Context) error {
	running, err := realorganizr.Start(ctx, realorganizr.Options{})
	if err != nil {
		return err
	}
	s.stops = append(s.stops, running.Stop)
	if err := running.SetUp(ctx); err != nil {
		return err
	}
	session, err := running.LogIn(ctx, bob.Username)
	if err != nil {
		return err
	}
	database, err := running.DatabaseFile()
	if err != nil {
		return err
	}
	cookies := []string{running.CookieName() + "=" + session}
	s.routes = append(
		s.routes,
		&route{
			name: "organizr-files", about: "this plugin with the files of a real Organizr, a returning visitor",
			cookies: cookies, user: bob.Username,
			middleware: table{"plugin": table{"organizrjwt": table{
				"configFile": running.ConfigFile(), "databaseFile": database, "group": "User",
				"organizrURL": "https://organizr.example.com",
			}}},
		},
		&route{
			name: "organizr", about: "ForwardAuth to that Organizr",
			middleware: forwardAuth("http://" + running.Addr + "/api/v2/auth/4"),
			cookies:    cookies, user: bob.Username, upstreamCPU: running.CPU,
		},
	)
	return nil
}

// addForwardAuth adds a route on which Traefik asks a server that answers at once. That is a process of its own, so
// that its CPU time can be measured.
func (s *scene) addForwardAuth(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	server := exec.CommandContext(ctx, self, "-answer")
	server.Stderr = os.Stderr
	hold, err := server.StdinPipe()
	if err != nil {
		return err
	}
	output, err := server.StdoutPipe()
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return err
	}
	s.stops = append(s.stops, func() {
		_ = hold.Close()
		_ = server.Wait()
	})
	address, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		return errors.New("the server that answers at once didn't start")
	}
	s.routes = append(s.routes, &route{
		name: "forwardauth", about: "ForwardAuth to a server that answers at once",
		middleware: forwardAuth(strings.TrimSpace(address)),
		cookies:    []string{fakeorganizr.Cookie(bob.Token(hash))}, user: "bob",
		upstreamCPU: func() (time.Duration, error) { return load.CPU(server.Process.Pid) },
	})
	return nil
}

// answerAtOnce answers each request that bob is logged in, until the input ends. It writes its address to the output.
func answerAtOnce(input io.Reader, output io.Writer) error {
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("X-Organizr-User", "bob")
	}))
	defer server.Close()
	fmt.Fprintln(output, server.URL)
	_, err := io.Copy(io.Discard, input)
	return err
}
