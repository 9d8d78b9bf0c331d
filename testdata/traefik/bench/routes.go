package main

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/load"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/organizr"
)

// configuration returns Traefik's dynamic configuration: a router for each way to reach the service.
func configuration(backend, asked string) table {
	plugin := func(options table) table {
		given := table{"uuid": organizr.UUID, "secret": hash, "group": "User", "organizrURL": "https://organizr.example.com"}
		for option, value := range options {
			given[option] = value
		}
		return table{"plugin": table{"organizrjwt": given}}
	}
	floor := func(does string) table {
		return table{"plugin": table{"floor": table{"does": does, "cookie": organizr.CookieName, "secret": hash}}}
	}
	middlewares := table{
		"headers":     table{"headers": table{"customRequestHeaders": table{"X-Organizr-User": "bob", "X-Organizr-Email": "bob@example.com", "X-Organizr-Group": "4"}}},
		"noop":        floor("nothing"),
		"refuse":      floor("refuse"),
		"disprove":    floor("disprove"),
		"verify":      floor("verify"),
		"remembered":  plugin(nil),
		"first":       plugin(nil),
		"forged":      plugin(nil),
		"guest":       plugin(table{"rules": []string{"/=Guest"}}),
		"forwardauth": table{"forwardAuth": table{"address": asked, "authResponseHeaders": []string{"X-Organizr-User"}}},
	}
	for _, count := range growth {
		var rules []string
		for i := range count {
			rules = append(rules, fmt.Sprintf("/part-%d/=Admin", i))
		}
		middlewares[fmt.Sprintf("rules-%d", count)] = plugin(table{"rules": rules})
	}
	routers := table{
		"bare":  table{"rule": "Host(`bare.example.com`)", "service": "service"},
		"debug": table{"rule": "Host(`debug.example.com`)", "service": "api@internal"},
	}
	for name := range middlewares {
		routers[name] = table{"rule": "Host(`" + name + ".example.com`)", "service": "service", "middlewares": []string{name}}
	}
	return table{"http": table{
		"routers": routers, "middlewares": middlewares,
		"services": table{"service": table{"loadBalancer": table{"servers": []table{{"url": backend}}}}},
	}}
}

// growth are the numbers of rules, and of sessions, that are measured.
var growth = []int{1, 10, 100, 1000}

// selected returns the routes to measure, bare first.
func selected(only string) ([]route, error) {
	pattern, err := regexp.Compile(only)
	if err != nil {
		return nil, err
	}
	bob, _ := organizr.Find("bob")
	now := time.Now().Add(-time.Second)
	session := bob.Token(hash)
	tokens := func(count int, key string) []string {
		list := make([]string, count)
		for i := range list {
			list[i] = organizr.Sign(organizr.Header, bob.Claims(now, 24*time.Hour+time.Duration(i)*time.Millisecond), key)
		}
		return list
	}
	always := func(request load.Request) func(int64) load.Request {
		return func(int64) load.Request { return request }
	}
	inTurn := func(host string, status int, user string, list []string) func(int64) load.Request {
		return func(hit int64) load.Request { return with(host, status, user, list[hit%int64(len(list))]) }
	}
	forged := tokens(manyTokens, "another-key-that-is-long-enough-for-HS256")
	all := []route{
		{name: "bare", about: "no middleware", next: always(with("bare", 200, "", session))},
		{name: "headers", about: "Traefik's own headers middleware", next: always(with("headers", 200, "bob", session))},
		{name: "noop", about: "an interpreted plugin that does nothing", next: always(with("noop", 200, "", session))},
		{name: "remembered", about: "this plugin, a returning visitor", next: always(with("remembered", 200, "bob", session))},
		{name: "verify", about: "an interpreted plugin that does little but verify", next: always(with("verify", 200, "bob", session))},
		{name: "first", about: "this plugin, a token seen for the first time", next: inTurn("first", 200, "bob", tokens(manyTokens, hash))},
		{name: "refuse", about: "an interpreted plugin that refuses all", next: always(with("refuse", 401, "", session))},
		{name: "nobody", about: "this plugin, a program without a token", next: always(with("remembered", 401, "", ""))},
		{name: "redirect", about: "this plugin, a browser sent to log in", next: always(with("remembered", 302, "", ""))},
		{name: "disprove", about: "an interpreted plugin that checks the signature, and refuses", next: inTurn("disprove", 401, "", forged)},
		{name: "forged", about: "this plugin, a forged token", next: inTurn("forged", 401, "", forged)},
		{name: "guest", about: "this plugin, nobody on a path that a rule opens", next: always(with("guest", 200, "", ""))},
		{name: "forwardauth", about: "ForwardAuth to a server that answers at once", next: always(with("forwardauth", 200, "bob", session))},
	}
	for _, count := range growth {
		all = append(all, route{name: fmt.Sprintf("rules-%d", count), about: "so many rules", next: always(with(fmt.Sprintf("rules-%d", count), 200, "bob", session))})
	}
	for _, count := range []int{1, 100, 1000} {
		all = append(all, route{name: fmt.Sprintf("sessions-%d", count), about: "so many returning visitors", next: inTurn("remembered", 200, "bob", tokens(count, hash))})
	}
	for _, count := range []int{1, 5, 20} {
		var cookies []string
		for i := range count {
			cookies = append(cookies, fmt.Sprintf("cookie_%d=%s", i, strings.Repeat("x", 30)))
		}
		all = append(all, route{name: fmt.Sprintf("cookies-%d", count), about: "so many other cookies", next: always(with("remembered", 200, "bob", session, cookies...))})
	}
	routes := all[:1]
	for _, one := range all[1:] {
		if pattern.MatchString(one.name) {
			routes = append(routes, one)
		}
	}
	return routes, nil
}
