package main

import (
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/load"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/organizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/proxy"
	"github.com/traefik/yaegi/interp"
	"github.com/traefik/yaegi/stdlib"
)

// interpret evaluates a package under Yaegi, as Traefik would, and returns the interpreter.
func interpret(b *testing.B, module, folder string) *interp.Interpreter {
	b.Helper()
	gopath := b.TempDir()
	plugin := filepath.Join(gopath, "src", filepath.FromSlash(module))
	if err := os.MkdirAll(filepath.Dir(plugin), 0o755); err != nil {
		b.Fatal(err)
	}
	if err := os.Symlink(folder, plugin); err != nil {
		b.Fatal(err)
	}
	silent, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	yaegi := interp.New(interp.Options{GoPath: gopath, Stdout: silent})
	if err := yaegi.Use(stdlib.Symbols); err != nil {
		b.Fatal(err)
	}
	if _, err := yaegi.Eval(`import "` + module + `"`); err != nil {
		b.Fatal(err)
	}
	return yaegi
}

// interpreted returns the handler that a plugin makes under Yaegi.
func interpreted(b *testing.B, module, folder string, options map[string]any, next http.Handler) http.Handler {
	b.Helper()
	yaegi := interpret(b, module, folder)
	name := filepath.Base(module)
	createConfig, err := yaegi.Eval(name + ".CreateConfig")
	if err != nil {
		b.Fatal(err)
	}
	config := createConfig.Call(nil)[0]
	for option, value := range options {
		config.Elem().FieldByName(option).Set(reflect.ValueOf(value))
	}
	construct, err := yaegi.Eval(name + ".New")
	if err != nil {
		b.Fatal(err)
	}
	results := construct.Call([]reflect.Value{reflect.ValueOf(b.Context()), reflect.ValueOf(&next).Elem(), config, reflect.ValueOf("bench")})
	if !results[1].IsNil() {
		b.Fatal(results[1].Interface())
	}
	handler, ok := results[0].Interface().(http.Handler)
	if !ok {
		b.Fatal("no handler")
	}
	return handler
}

// answered is a response that costs nothing.
type answered struct {
	header http.Header
	status int
}

func (a *answered) Header() http.Header            { return a.header }
func (a *answered) WriteHeader(status int)         { a.status = status }
func (a *answered) Write(text []byte) (int, error) { return len(text), nil }

// BenchmarkInterpreted measures the plugin under Yaegi without Traefik, beside one that does nothing.
func BenchmarkInterpreted(b *testing.B) {
	bob, _ := organizr.Find("bob")
	session := bob.Token(hash)
	tokens := func(key string) []string {
		list := make([]string, 20000)
		for i := range list {
			list[i] = organizr.Sign(organizr.Header, bob.Claims(time.Now().Add(-time.Second), time.Hour+time.Duration(i)*time.Millisecond), key)
		}
		return list
	}
	one := func(token string) []string { return []string{token} }
	for _, bench := range []struct {
		name    string
		options map[string]any
		tokens  []string
		accept  string
		cookies string
		path    string
		status  int
	}{
		{name: "does nothing", status: 0, tokens: one(session)},
		{name: "remembered", options: map[string]any{}, tokens: one(session)},
		{name: "remembered, five other cookies", options: map[string]any{}, tokens: one(session), cookies: "a=1; b=2; c=3; d=4; e=5; "},
		{name: "remembered, one rule", options: map[string]any{"Rules": []string{"/api/=Guest"}}, tokens: one(session)},
		{name: "remembered, opened by a rule", options: map[string]any{"Rules": []string{"/api/=Guest"}}, tokens: one(session), path: "/api/x"},
		{name: "remembered, a path in capitals", options: map[string]any{"Rules": []string{"/api/=Guest"}}, tokens: one(session), path: "/Some/Path"},
		{name: "remembered, an ambiguous path", options: map[string]any{"Rules": []string{"/api/=Guest"}}, tokens: one(session), path: "/a%2fb"},
		{name: "first sight", options: map[string]any{}, tokens: tokens(hash)},
		{name: "forged", options: map[string]any{}, tokens: tokens("another"), status: 401, accept: "*/*"},
		{name: "forged, a page", options: map[string]any{}, tokens: tokens("another"), status: 302},
		{name: "nobody, a program", options: map[string]any{}, tokens: one(""), status: 401, accept: "*/*"},
		{name: "nobody, redirected", options: map[string]any{}, tokens: one(""), status: 302},
		{name: "nobody, a guest", options: map[string]any{"Group": "Guest"}, tokens: one("")},
		{name: "the wrong group, a page", options: map[string]any{"Group": "Admin"}, tokens: one(session), status: 403},
		{name: "the wrong group, a program", options: map[string]any{"Group": "Admin"}, tokens: one(session), status: 403, accept: "*/*"},
	} {
		b.Run(bench.name, func(b *testing.B) {
			next := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
			var handler http.Handler
			if bench.options == nil {
				handler = interpreted(b, filepath.Dir(proxy.PluginModule)+"/floor", filepath.Join(proxy.Module(), "bench", "floor"), nil, next)
			} else {
				options := map[string]any{"UUID": organizr.UUID, "Secret": hash, "Group": "User", "OrganizrURL": "https://organizr.example.com"}
				for option, value := range bench.options {
					options[option] = value
				}
				handler = interpreted(b, proxy.PluginModule, proxy.Checkout(), options, next)
			}
			address, err := url.ParseRequestURI(or(bench.path, "/some/path"))
			if err != nil {
				b.Fatal(err)
			}
			template := load.Browser()
			if bench.accept != "" {
				template.Set("Accept", bench.accept)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				header := template.Clone()
				if token := bench.tokens[i%len(bench.tokens)]; token != "" {
					header["Cookie"] = []string{bench.cookies + organizr.CookieName + "=" + token}
				}
				rw := &answered{header: http.Header{}}
				handler.ServeHTTP(rw, &http.Request{Method: http.MethodGet, Host: "sonarr.example.com", URL: address, Header: header})
				if rw.status != bench.status {
					b.Fatal("got " + strconv.Itoa(rw.status))
				}
			}
		})
	}
}

// BenchmarkSteps measures the single steps of a request under Yaegi, in more than one spelling.
func BenchmarkSteps(b *testing.B) {
	yaegi := interpret(b, filepath.Dir(proxy.PluginModule)+"/steps", filepath.Join(proxy.Module(), "bench", "steps"))
	value, err := yaegi.Eval("steps.Steps")
	if err != nil {
		b.Fatal(err)
	}
	steps, ok := value.Interface().(map[string]func())
	if !ok {
		b.Fatal("no steps")
	}
	for _, name := range slices.Sorted(maps.Keys(steps)) {
		step := steps[name]
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				step()
			}
		})
	}
}
