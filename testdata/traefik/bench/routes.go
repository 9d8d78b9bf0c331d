package main

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/load"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
)

// A route is one way to reach the service, with the requests that are sent on it.
type route struct {
	name, about string
	middleware  table       // nil for none
	cookies     []string    // Cookie headers, sent in turn
	header      http.Header // other headers; a browser's if nil
	target      string
	status      int    // expected; 200 if 0
	user        string // that the service must receive

	base        *route                        // that this one is compared with
	upstreamCPU func() (time.Duration, error) // CPU time of the server that Traefik asks; nil without one
	traefik     *proxy.Traefik
	host        string

	sent             int64         // the number of requests
	underLoad, alone []load.Result // with many connections at once, and with one
}

// request returns the request of that number.
func (r *route) request(number int64) load.Request {
	header := r.header
	if len(r.cookies) > 0 {
		header = maps.Clone(header)
		header["Cookie"] = []string{r.cookies[number%int64(len(r.cookies))]}
	}
	return load.Request{Host: r.host, Target: r.target, Header: header, Status: r.status, User: r.user}
}

// bob is the visitor of nearly all routes.
var bob, _ = fakeorganizr.Find("bob")

// plugin returns this plugin as a middleware with these options and those that all routes have.
func plugin(more table) table {
	options := table{
		"uuid": fakeorganizr.UUID, "secret": hash, "group": "User", "organizrURL": "https://organizr.example.com",
	}
	maps.Copy(options, more)
	return table{"plugin": table{"organizrjwt": options}}
}

// floor returns a plugin that does as little as possible.
func floor(does string) table {
	return table{"plugin": table{"floor": table{"does": does, "cookie": fakeorganizr.CookieName, "secret": hash}}}
}

// forwardAuth returns Traefik's ForwardAuth, which asks the server at the address about each request.
func forwardAuth(address string) table {
	return table{
		"forwardAuth": table{
			"address": address, "authResponseHeaders": []string{"X-Organizr-User", "X-Organizr-Email", "X-Organizr-Group"},
		},
	}
}

// program returns the headers of a program's request.
func program() http.Header {
	header := load.Browser()
	header.Set("Accept", "application/json")
	return header
}

// programWith returns the same with one more header.
func programWith(name, value string) http.Header {
	header := program()
	header.Set(name, value)
	return header
}

// visitorRoutes returns the routes with requests of visitors and programs, bare first.
func visitorRoutes() []*route {
	cookie := fakeorganizr.Cookie(bob.Token(hash))
	same, changing := []string{cookie}, load.Changing(cookie)
	forged := load.Sessions(bob, "another-key-that-is-long-enough-for-HS256")
	const key, wrongKey = "a-key-that-is-long-enough-for-a-program", "a-key-that-no-option-lists"
	keys := table{"keys": fmt.Sprintf("radio=User:%x", sha256.Sum256([]byte(key)))}
	identity := table{"headers": table{"customRequestHeaders": table{
		"X-Organizr-User": "bob", "X-Organizr-Email": "bob@example.com", "X-Organizr-Group": "4",
	}}}
	routes := []*route{
		{name: "bare", about: "no middleware", cookies: same},
		{name: "headers", about: "Traefik's own headers middleware", middleware: identity, cookies: same, user: "bob"},
		{name: "noop", about: "an interpreted plugin that does nothing", middleware: floor("nothing"), cookies: same},
		{name: "remembered", about: "this plugin, a returning visitor", middleware: plugin(nil), cookies: same, user: "bob"},
		{
			name: "changing", about: "the same, whose other cookies change every time", middleware: plugin(nil),
			cookies: changing, user: "bob",
		},
		{
			name: "verify", about: "an interpreted plugin that does little but verify", middleware: floor("verify"),
			cookies: same,
			user:    "bob",
		},
		{
			name: "first", about: "this plugin, a token seen for the first time", middleware: plugin(nil),
			cookies: load.Sessions(bob, hash), user: "bob",
		},
		{
			name: "refuse", about: "an interpreted plugin that refuses all", middleware: floor("refuse"), cookies: same,
			header: program(), status: 401,
		},
		{
			name: "nobody", about: "this plugin, a program without a token", middleware: plugin(nil), header: program(),
			status: 401,
		},
		{name: "redirect", about: "this plugin, a browser sent to log in", middleware: plugin(nil), status: 302},
		{
			name: "disprove", about: "an interpreted plugin that checks the signature, and refuses",
			middleware: floor("disprove"),
			cookies:    forged, header: program(), status: 401,
		},
		{
			name: "forged", about: "this plugin, a forged token", middleware: plugin(nil), cookies: forged, header: program(),
			status: 401,
		},
		{
			name: "key", about: "this plugin, a returning program with a key", middleware: plugin(keys),
			header: programWith("Authorization", "Bearer "+key), user: "radio",
		},
		{
			name: "wrong-key", about: "this plugin, a program with a wrong key", middleware: plugin(keys),
			header: programWith("Authorization", "Bearer "+wrongKey), status: 401,
		},
		{
			name: "keys", about: "this plugin, a returning visitor where programs have keys", middleware: plugin(keys),
			cookies: same, user: "bob",
		},
		{
			name: "guest", about: "this plugin, nobody on a path that a rule opens",
			middleware: plugin(table{"rules": []string{"/=Guest"}}),
		},
	}
	for _, count := range []int{1, 10, 100, 1000} {
		routes = append(routes, &route{
			name: fmt.Sprintf("rules-%d", count), about: "so many rules", middleware: plugin(table{"rules": load.Rules(count)}),
			cookies: same, user: "bob",
		})
	}
	for _, count := range []int{100, 1000} {
		routes = append(routes, &route{
			name: fmt.Sprintf("sessions-%d", count), about: "so many returning visitors", middleware: plugin(nil),
			cookies: load.Sessions(bob, hash)[:count], user: "bob",
		})
	}
	for _, count := range []int{5, 20} {
		var others strings.Builder
		for i := range count {
			fmt.Fprintf(&others, "cookie_%d=%s; ", i, strings.Repeat("x", 30))
		}
		routes = append(routes, &route{
			name: fmt.Sprintf("cookies-%d", count), about: "so many other cookies", middleware: plugin(nil),
			cookies: []string{others.String() + cookie}, user: "bob",
		})
	}
	return routes
}

// hostileRoutes returns the routes with requests that are meant to be expensive, each without the plugin and with it.
func hostileRoutes() []*route {
	headers := program()
	for i := range 40_000 {
		headers[fmt.Sprintf("x_%d", i)] = []string{"1"}
	}
	forgery := fakeorganizr.Cookie(bob.Token("another-key-that-is-long-enough-for-HS256"))
	var routes []*route
	for _, request := range []route{
		{
			name: "hostile-cookies", about: "32 KiB of forged sessions", cookies: []string{load.Fill(forgery+"; ", 32<<10)},
			status: 401,
		},
		{
			name: "hostile-path", about: "8 KiB of slashes that are encoded nine times",
			target: "/" + load.Fill("%25252525252525252f", 8<<10), status: 401,
		},
		{
			name: "hostile-query", about: "a query of 900 KB", target: "/?" + load.Fill("%", 900_000), header: load.Browser(),
			status: 302,
		},
		{
			name: "hostile-headers", about: "40,000 odd headers, where nobody needs to log in", target: "/api/", header: headers,
			status: 431,
		},
	} {
		if request.header == nil {
			request.header = program()
		}
		bare := request
		bare.name, bare.about, bare.status = "bare-"+request.name, request.about+", no middleware", 0
		request.middleware = plugin(table{"rules": []string{"/secret/=Admin", "/api/=Guest"}})
		request.base = &bare
		routes = append(routes, &bare, &request)
	}
	return routes
}

// selected returns the routes whose names match, the bases of these, and bare.
func selected(all []*route, only *regexp.Regexp) []*route {
	wanted := map[*route]bool{all[0]: true}
	for _, r := range all {
		if only.MatchString(r.name) {
			wanted[r] = true
			if r.base != nil {
				wanted[r.base] = true
			}
		}
	}
	var routes []*route
	for _, r := range all {
		if wanted[r] {
			r.host = r.name + ".example.com"
			r.status = cmp.Or(r.status, http.StatusOK)
			r.base = cmp.Or(r.base, all[0])
			if r.header == nil {
				r.header = load.Browser()
			}
			routes = append(routes, r)
		}
	}
	return routes
}

// configuration returns Traefik's dynamic configuration, with a router for each route.
func configuration(routes []*route, backend string) table {
	routers, middlewares := table{"debug": table{"rule": "Host(`debug.example.com`)", "service": "api@internal"}}, table{}
	for _, r := range routes {
		router := table{"rule": "Host(`" + r.host + "`)", "service": "service"}
		if r.middleware != nil {
			middlewares[r.name] = r.middleware
			router["middlewares"] = []string{r.name}
		}
		routers[r.name] = router
	}
	sections := table{
		"routers":  routers,
		"services": table{"service": table{"loadBalancer": table{"servers": []table{{"url": backend}}}}},
	}
	if len(middlewares) > 0 { // Traefik accepts no empty sections
		sections["middlewares"] = middlewares
	}
	return table{"http": sections}
}
