package main

import (
	"cmp"
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

// A route is one way to reach the service, and what is sent on it again and again.
type route struct {
	name, about string
	through     table       // the middleware; nil for none
	cookies     []string    // Cookie headers, by turns
	header      http.Header // the others; a browser's if nil
	target      string
	status      int    // that is right; 200 if 0
	user        string // that the service is told of

	base    *route                        // what it is compared with
	asks    func() (time.Duration, error) // CPU time of whoever Traefik asks; nil if it asks nobody
	traefik *proxy.Traefik
	host    string

	sent           int64         // how many requests
	crowd, visitor []load.Result // of many connections at once, and of one alone
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

// through returns this plugin with the options, beside those that all routes have.
func through(more table) table {
	options := table{
		"uuid": fakeorganizr.UUID, "secret": hash, "group": "User", "organizrURL": "https://organizr.example.com",
	}
	maps.Copy(options, more)
	return table{"plugin": table{"organizrjwt": options}}
}

// floor returns the plugin that does as little as one can.
func floor(does string) table {
	return table{"plugin": table{"floor": table{"does": does, "cookie": fakeorganizr.CookieName, "secret": hash}}}
}

// forwardAuth returns Traefik's own way to ask a server about each request.
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

// ordinary returns the routes of visitors, bare first.
func ordinary() []*route {
	cookie := fakeorganizr.CookieName + "=" + bob.Token(hash)
	one, changing := []string{cookie}, load.Changing(cookie)
	forged := load.Sessions(bob, "another-key-that-is-long-enough-for-HS256")
	told := table{"headers": table{"customRequestHeaders": table{
		"X-Organizr-User": "bob", "X-Organizr-Email": "bob@example.com", "X-Organizr-Group": "4",
	}}}
	routes := []*route{
		{name: "bare", about: "no middleware", cookies: one},
		{name: "headers", about: "Traefik's own headers middleware", through: told, cookies: one, user: "bob"},
		{name: "noop", about: "an interpreted plugin that does nothing", through: floor("nothing"), cookies: one},
		{name: "remembered", about: "this plugin, a returning visitor", through: through(nil), cookies: one, user: "bob"},
		{
			name: "changing", about: "the same, whose other cookies change every time", through: through(nil),
			cookies: changing, user: "bob",
		},
		{
			name: "verify", about: "an interpreted plugin that does little but verify", through: floor("verify"), cookies: one,
			user: "bob",
		},
		{
			name: "first", about: "this plugin, a token seen for the first time", through: through(nil),
			cookies: load.Sessions(bob, hash), user: "bob",
		},
		{
			name: "refuse", about: "an interpreted plugin that refuses all", through: floor("refuse"), cookies: one,
			header: program(), status: 401,
		},
		{
			name: "nobody", about: "this plugin, a program without a token", through: through(nil), header: program(),
			status: 401,
		},
		{name: "redirect", about: "this plugin, a browser sent to log in", through: through(nil), status: 302},
		{
			name: "disprove", about: "an interpreted plugin that checks the signature, and refuses", through: floor("disprove"),
			cookies: forged, header: program(), status: 401,
		},
		{
			name: "forged", about: "this plugin, a forged token", through: through(nil), cookies: forged, header: program(),
			status: 401,
		},
		{
			name: "guest", about: "this plugin, nobody on a path that a rule opens",
			through: through(table{"rules": []string{"/=Guest"}}),
		},
	}
	for _, count := range []int{1, 10, 100, 1000} {
		routes = append(routes, &route{
			name: fmt.Sprintf("rules-%d", count), about: "so many rules", through: through(table{"rules": load.Rules(count)}),
			cookies: one, user: "bob",
		})
	}
	for _, count := range []int{100, 1000} {
		routes = append(routes, &route{
			name: fmt.Sprintf("sessions-%d", count), about: "so many returning visitors", through: through(nil),
			cookies: load.Sessions(bob, hash)[:count], user: "bob",
		})
	}
	for _, count := range []int{5, 20} {
		var others strings.Builder
		for i := range count {
			fmt.Fprintf(&others, "cookie_%d=%s; ", i, strings.Repeat("x", 30))
		}
		routes = append(routes, &route{
			name: fmt.Sprintf("cookies-%d", count), about: "so many other cookies", through: through(nil),
			cookies: []string{others.String() + cookie}, user: "bob",
		})
	}
	return routes
}

// hostile returns what strangers can send to make Traefik work, each once without the plugin and once with it.
func hostile() []*route {
	odd := program()
	for i := range 40_000 {
		odd[fmt.Sprintf("x_%d", i)] = []string{"1"}
	}
	forgery := fakeorganizr.CookieName + "=" + bob.Token("another-key-that-is-long-enough-for-HS256")
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
			name: "hostile-headers", about: "40,000 odd headers, where nobody needs to log in", target: "/api/", header: odd,
			status: 431,
		},
	} {
		if request.header == nil {
			request.header = program()
		}
		bare := request
		bare.name, bare.about, bare.status = "bare-"+request.name, request.about+", no middleware", 0
		request.through = through(table{"rules": []string{"/secret/=Admin", "/api/=Guest"}})
		request.base = &bare
		routes = append(routes, &bare, &request)
	}
	return routes
}

// selected returns the routes whose names match, those that they are compared with, and bare.
func selected(all []*route, only *regexp.Regexp) []*route {
	wanted := map[*route]bool{all[0]: true}
	for _, one := range all {
		if only.MatchString(one.name) {
			wanted[one] = true
			if one.base != nil {
				wanted[one.base] = true
			}
		}
	}
	var routes []*route
	for _, one := range all {
		if wanted[one] {
			one.host = one.name + ".example.com"
			one.status = cmp.Or(one.status, http.StatusOK)
			one.base = cmp.Or(one.base, all[0])
			if one.header == nil {
				one.header = load.Browser()
			}
			routes = append(routes, one)
		}
	}
	return routes
}

// configuration returns Traefik's dynamic configuration: a router for each route.
func configuration(routes []*route, backend string) table {
	routers, middlewares := table{"debug": table{"rule": "Host(`debug.example.com`)", "service": "api@internal"}}, table{}
	for _, one := range routes {
		router := table{"rule": "Host(`" + one.host + "`)", "service": "service"}
		if one.through != nil {
			middlewares[one.name] = one.through
			router["middlewares"] = []string{one.name}
		}
		routers[one.name] = router
	}
	sections := table{
		"routers":  routers,
		"services": table{"service": table{"loadBalancer": table{"servers": []table{{"url": backend}}}}},
	}
	if len(middlewares) > 0 { // Traefik takes no empty sections
		sections["middlewares"] = middlewares
	}
	return table{"http": sections}
}
