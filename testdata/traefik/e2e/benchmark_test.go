package e2e

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/load"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
	"github.com/traefik/yaegi/interp"
	"github.com/traefik/yaegi/stdlib"
)

// A maker makes handlers with a plugin's New, which Yaegi interprets as in Traefik.
type maker struct{ createConfig, construct reflect.Value }

// interpret returns the maker of the plugin in the folder.
func interpret(t testing.TB, module, folder string) maker {
	t.Helper()
	gopath := t.TempDir()
	plugin := filepath.Join(gopath, "src", filepath.FromSlash(module))
	if err := os.MkdirAll(filepath.Dir(plugin), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(folder, plugin); err != nil {
		t.Fatal(err)
	}
	silent, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	yaegi := interp.New(interp.Options{GoPath: gopath, Stdout: silent, Stderr: silent})
	if err := yaegi.Use(stdlib.Symbols); err != nil {
		t.Fatal(err)
	}
	evaluate := func(expression string) reflect.Value {
		value, err := yaegi.Eval(expression)
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	evaluate(`import "` + module + `"`)
	return maker{evaluate(filepath.Base(module) + ".CreateConfig"), evaluate(filepath.Base(module) + ".New")}
}

// handler returns a handler with the options. Its next handler does nothing.
func (m maker) handler(t testing.TB, options map[string]any) http.Handler {
	t.Helper()
	config := m.createConfig.Call(nil)[0]
	for option, value := range options {
		field := config.Elem().FieldByName(option)
		if !field.IsValid() {
			t.Fatal("there is no option " + option)
		}
		field.Set(reflect.ValueOf(value))
	}
	var next http.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	results := m.construct.Call([]reflect.Value{
		reflect.ValueOf(t.Context()), reflect.ValueOf(&next).Elem(), config, reflect.ValueOf("bench"),
	})
	if !results[1].IsNil() {
		t.Fatal(results[1].Interface())
	}
	handler, ok := results[0].Interface().(http.Handler)
	if !ok {
		t.Fatal("no handler")
	}
	return handler
}

// plugin and floor are the plugins that are measured: this one, and one that does nothing.
func plugin(t testing.TB) maker { return interpret(t, proxy.PluginModule, proxy.Checkout()) }

func floor(t testing.TB) maker {
	return interpret(t, filepath.Dir(proxy.PluginModule)+"/floor", filepath.Join(proxy.Module(), "bench", "floor"))
}

// inForce returns these options and those that every middleware here has.
func inForce(options map[string]any) map[string]any {
	all := map[string]any{
		"UUID": fakeorganizr.UUID, "Secret": hash, "Group": "User", "OrganizrURL": "https://organizr.example.com",
	}
	maps.Copy(all, options)
	return all
}

// answered is a response writer that costs nothing.
type answered struct {
	header http.Header
	status int
}

func (a *answered) Header() http.Header            { return a.header }
func (a *answered) WriteHeader(status int)         { a.status = status }
func (a *answered) Write(text []byte) (int, error) { return len(text), nil }

// reportCPU makes the benchmark report allocations and, once the function that it returns is called, the CPU time of
// this process. Unlike wall-clock time that includes the garbage collector on other cores, but not other processes.
func reportCPU(b *testing.B) func() {
	b.ReportAllocs()
	before := ownCPU(b)
	return func() { b.ReportMetric(float64((ownCPU(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/op") }
}

// ownCPU returns the CPU time that this process has used.
func ownCPU(b *testing.B) time.Duration {
	b.Helper()
	used, err := load.CPU(os.Getpid())
	if err != nil {
		b.Fatal(err)
	}
	return used
}

// An interpretedRequest is a row of the benchmark: the request, and the status of the response, or 0 if the request
// reaches the service.
type interpretedRequest struct {
	name    string
	options map[string]any
	cookies []string // Cookie headers, sent in turn
	accept  string   // a browser's if empty
	target  string
	header  http.Header // other headers
	status  int
}

// sender returns a function that sends the request to the handler once.
func (request interpretedRequest) sender(t testing.TB, handler http.Handler) func() {
	t.Helper()
	address, err := url.ParseRequestURI(cmp.Or(request.target, "/some/path"))
	if err != nil {
		t.Fatal(err)
	}
	template := load.Browser()
	if request.accept != "" {
		template.Set("Accept", request.accept)
	}
	maps.Copy(template, request.header)
	sent := 0
	return func() {
		header := maps.Clone(template)
		if len(request.cookies) > 0 {
			header["Cookie"] = []string{request.cookies[sent%len(request.cookies)]}
		}
		sent++
		rw := &answered{header: http.Header{}}
		handler.ServeHTTP(rw, &http.Request{
			Method: http.MethodGet, Host: "sonarr.example.com", URL: address, Header: header, RemoteAddr: "192.0.2.1:40000",
		})
		if rw.status != request.status {
			t.Fatalf("%s: got status %d, want %d", request.name, rw.status, request.status)
		}
	}
}

// run sends the request again and again.
func (request interpretedRequest) run(b *testing.B, handler http.Handler) {
	send := request.sender(b, handler)
	defer reportCPU(b)()
	for b.Loop() {
		send()
	}
}

// BenchmarkInterpreted measures the plugin under Yaegi without Traefik, beside one that does nothing.
func BenchmarkInterpreted(b *testing.B) {
	bob, _ := fakeorganizr.Find("bob")
	cookie := fakeorganizr.Cookie(bob.Token(hash))
	one := []string{cookie}
	changing := load.Changing(cookie)
	firstSeen := load.Sessions(bob, hash)
	forged := load.Sessions(bob, "another-key-that-is-long-enough-for-HS256")
	rule := map[string]any{"Rules": []string{"/api/=Guest"}}
	tenRules := map[string]any{"Rules": load.Rules(10)}
	keys := map[string]any{"Keys": []string{ofRadio}}
	byBearer := func(key string) http.Header { return http.Header{"Authorization": {"Bearer " + key}} }
	byBasic := func(key string) http.Header { return http.Header{"Authorization": {basic("radio", key)}} }
	byHeader := func(key string) http.Header { return http.Header{"X-Organizr-Key": {key}} }
	listed, ended := firstSeen[:1000], firstSeen[1000:]
	database := map[string]any{"DatabaseFile": databaseWith(b, bob, listed)}
	made := plugin(b)
	b.Run("does nothing", func(b *testing.B) {
		interpretedRequest{cookies: one}.run(b, floor(b).handler(b, nil))
	})
	for _, request := range []interpretedRequest{
		{name: "remembered", cookies: one},
		{name: "remembered, five other cookies", cookies: []string{"a=1; b=2; c=3; d=4; e=5; " + cookie}},
		{name: "remembered, other cookies change", cookies: changing},
		{name: "remembered, one rule", options: rule, cookies: one},
		{name: "remembered, ten rules", options: tenRules, cookies: one},
		{
			name: "remembered, ten rules, a song", options: tenRules, cookies: one,
			target: "/Ludwig/05%20Symphony%20No.%205.mp3",
		},
		{name: "remembered, one rule, other cookies change", options: rule, cookies: changing},
		{name: "remembered, one rule, a folder", options: rule, cookies: one, target: "/some/path/"},
		{name: "remembered, opened by a rule", options: rule, cookies: one, target: "/api/x"},
		{name: "remembered, a path in capitals", options: rule, cookies: one, target: "/Some/Path"},
		{name: "remembered, an ambiguous path", options: rule, cookies: one, target: "/a%2fb"},
		{name: "remembered, by a tab", options: tabWith(b, bob, one), cookies: one},
		{name: "first sight", cookies: firstSeen},
		{name: "with a database, remembered", options: database, cookies: listed[:1]},
		{name: "with a database, other cookies change", options: database, cookies: load.Changing(listed[0])},
		{
			name: "with a database, first sight", options: map[string]any{"DatabaseFile": databaseWith(b, bob, firstSeen)},
			cookies: firstSeen,
		},
		{
			name: "with a database, a token that Organizr has ended", options: database, cookies: ended, status: 401,
			accept: "*/*",
		},
		{name: "forged", cookies: forged, status: 401, accept: "*/*"},
		{name: "forged, a page", cookies: forged, status: 401},
		{name: "remembered, keys", options: keys, cookies: one},
		{name: "a key by Bearer", options: keys, header: byBearer(radioKey), accept: "*/*"},
		{name: "a key by Basic", options: keys, header: byBasic(radioKey), accept: "*/*"},
		{name: "a key by the header", options: keys, header: byHeader(radioKey), accept: "*/*"},
		{name: "a wrong key by Bearer", options: keys, header: byBearer(monitorKey), status: 401, accept: "*/*"},
		{name: "a wrong key by Basic", options: keys, header: byBasic(monitorKey), status: 401, accept: "*/*"},
		{name: "a wrong key by the header", options: keys, header: byHeader(monitorKey), status: 401, accept: "*/*"},
		{name: "nobody, keys, a program", options: keys, status: 401, accept: "*/*"},
		{name: "nobody, a program", status: 401, accept: "*/*"},
		{name: "nobody, redirected", status: 302},
		{name: "nobody, a guest", options: map[string]any{"Group": "Guest"}},
		{name: "the wrong group, a page", options: map[string]any{"Group": "Admin"}, cookies: one, status: 403},
		{
			name: "the wrong group, a program", options: map[string]any{"Group": "Admin"}, cookies: one, status: 403,
			accept: "*/*",
		},
	} {
		b.Run(request.name, func(b *testing.B) { request.run(b, made.handler(b, inForce(request.options))) })
	}
}

// databaseWith returns the path of an Organizr database that lists these sessions.
func databaseWith(b testing.TB, account fakeorganizr.Account, cookies []string) string {
	b.Helper()
	file := filepath.Join(b.TempDir(), "organizr.db")
	if err := load.Database(file, account, cookies); err != nil {
		b.Fatal(err)
	}
	return file
}

// tabWith returns options by which a tab lets users in, with a database that lists these sessions.
func tabWith(b testing.TB, account fakeorganizr.Account, cookies []string) map[string]any {
	b.Helper()
	file := databaseWith(b, account, cookies)
	tab := fakeorganizr.Tab{Name: "Sonarr", URL: "https://sonarr.example.com", GroupID: 4, Enabled: true}
	if err := fakeorganizr.OpenDatabase(file).SetTab(tab); err != nil {
		b.Fatal(err)
	}
	return map[string]any{"DatabaseFile": file, "Group": "tab"}
}

// BenchmarkInterpretedDatabase measures two things for a database in which years of logins have left so many sessions:
// what it takes to make a middleware, which then reads all of it at the first request; and the first request after
// another login, for which the middleware reads what has changed.
func BenchmarkInterpretedDatabase(b *testing.B) {
	const secret = "a key that is long enough, and not the documented one"
	bob, _ := fakeorganizr.Find("bob")
	made := plugin(b)
	for _, count := range []int{100, 1000, 10_000, 100_000} {
		database, session := yearsOfLogins(b, secret, count)
		options := inForce(map[string]any{"Secret": secret})
		first := func(b *testing.B, path string) http.Handler {
			b.Helper()
			options["DatabaseFile"] = path
			handler := made.handler(b, options)
			mustBeAdmitted(b, handler, session)
			return handler
		}
		b.Run(fmt.Sprintf("%d sessions, first reading", count), func(b *testing.B) {
			defer reportCPU(b)()
			for i := 0; b.Loop(); i++ {
				unread := fmt.Sprintf("%s.%d", database.Path(), i) // middlewares share what one of them has read
				if err := os.Link(database.Path(), unread); err != nil {
					b.Fatal(err)
				}
				first(b, unread)
			}
		})
		b.Run(fmt.Sprintf("%d sessions, a login", count), func(b *testing.B) {
			handler := first(b, database.Path())
			var used time.Duration
			for b.Loop() {
				b.StopTimer()
				fresh := bob.Token(secret)
				if err := database.Begin(bob, fresh); err != nil {
					b.Fatal(err)
				}
				before := ownCPU(b)
				b.StartTimer()
				mustBeAdmitted(b, handler, fresh)
				used += ownCPU(b) - before
			}
			b.ReportMetric(float64(used.Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}

// mustBeAdmitted sends a request with a session, which must reach the service.
func mustBeAdmitted(b *testing.B, handler http.Handler, session string) {
	b.Helper()
	if status := statusOf(handler, session); status != 0 {
		b.Fatalf("got %d", status)
	}
}

// statusOf returns the status of the response to a session, or 0 if the request reaches the service.
func statusOf(handler http.Handler, session string) int {
	header := http.Header{"Accept": {"*/*"}, "Cookie": {fakeorganizr.Cookie(session)}}
	rw := &answered{header: http.Header{}}
	req := &http.Request{Method: http.MethodGet, Host: "sonarr.example.com", URL: &url.URL{Path: "/"}, Header: header}
	handler.ServeHTTP(rw, req)
	return rw.status
}

// yearsOfLogins returns a database that lists so many sessions of bob, and a valid one of them. Nine of ten have
// expired: Organizr never deletes those.
func yearsOfLogins(b *testing.B, secret string, count int) (database *fakeorganizr.Database, session string) {
	b.Helper()
	bob, _ := fakeorganizr.Find("bob")
	path := filepath.Join(b.TempDir(), "organizr.db")
	database, err := fakeorganizr.NewDatabase(path, fakeorganizr.Groups, fakeorganizr.Accounts)
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now().UTC()
	sessions := make([]fakeorganizr.Session, count)
	for i := range sessions {
		began := now.Add(-time.Duration(count-i) * time.Hour / 10)
		end := now.AddDate(-1, 0, 0)
		if i >= count*9/10 {
			end = now.AddDate(0, 0, 2)
		}
		sessions[i] = fakeorganizr.Session{
			Token:   fakeorganizr.Sign(fakeorganizr.Header, bob.Claims(began, end.Sub(began)), secret),
			Browser: load.Browser().Get("User-Agent"), Address: "203.0.113.5", Expires: end.Format(time.DateTime),
		}
	}
	if err := database.List(bob, sessions...); err != nil {
		b.Fatal(err)
	}
	return database, sessions[count-1].Token
}

// BenchmarkInterpretedHostile measures requests that are meant to be expensive, in this plugin and in one that does
// nothing.
func BenchmarkInterpretedHostile(b *testing.B) {
	bob, _ := fakeorganizr.Find("bob")
	odd := http.Header{}
	for i := range 40_000 {
		odd[fmt.Sprintf("X_%d", i)] = []string{"1"}
	}
	rules := map[string]any{"Rules": []string{"/secret/=Admin", "/api/=Guest"}}
	tenRules := map[string]any{"Rules": load.Rules(10)}
	overlapping := map[string]any{"Rules": []string{
		"/secret/=Admin", "/api/=Guest", "/{user}/private/=Admin", "/files/{name}=Guest", "OPTIONS /=Guest",
	}}
	manyOverlapping := map[string]any{"Rules": []string{
		"/api/=Guest", "/{a}/private/=Admin", "POST /=Guest", "/files/{name}/x=Guest", "/{a}/{b}/secret=2",
		"/api/{v}/tokens/{t}=Admin", "GET /{a}/{b}/{c}/private/=1", "/x/{b}/{c}/files/=3", "/files/=Guest",
		"/{a}/secret/{b}=Admin",
	}}
	mixed := "/%3B;x%5C%2e%2e" + strings.Repeat("%E6%97%A5", 153) + "settings" + strings.Repeat("日", 155) + ".php/" +
		strings.Repeat("日", 94) + "7" + strings.Repeat("a", 205) + "/.php/%3F%20%25u" + strings.Repeat("日", 17) + "A"
	closable := strings.Replace(mixed, "settings", "secret", 1)
	protocols := http.Header{"Upgrade": {load.Fill(",", 900_000)}}
	destination := http.Header{"Destination": {"https://" + load.Fill("a", 900_000)}}
	var wildcards []string
	for i := range 10 {
		names := "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/private/" + strings.Repeat("x", 60)
		wildcards = append(wildcards, fmt.Sprintf("%s%d=Admin", names, i))
	}
	longNames := "/" + strings.Repeat(strings.Repeat("y", 340)+"/", 8) + "private/" + strings.Repeat("x", 60) + "0-0%23%3b"
	overruled := map[string]any{"Rules": []string{
		"/n0/{b}/{c}/=Admin", "/{a}/n1/{c}/=Admin", "/{a}/{b}/n2/=Admin", "/n0/n1/n2/=Guest",
	}}
	slowest := "/files/.json/.PHP/%23::$DAT" + strings.Repeat("%E6%97%A5", 368) + "/" + strings.Repeat("%E6%97%A5", 148) +
		"/" + strings.Repeat("%E6%97%A5", 172) + "/A/secret.json.php/;x=1%253F%25"
	proxied := "https://example.com/" + strings.Repeat("c", 1600) + "%3Fb"
	forgery := fakeorganizr.Cookie(bob.Token("another-key-that-is-long-enough-for-HS256"))
	nothing, made := floor(b), plugin(b)
	for _, request := range []interpretedRequest{
		{name: "an ordinary request", status: 401},
		{name: "32 KiB of other cookies", cookies: []string{load.Fill("c=1; ", 32<<10)}, status: 401},
		{name: "32 KiB of empty sessions", cookies: []string{load.Fill(fakeorganizr.CookieName+"=; ", 32<<10)}, status: 401},
		{name: "32 KiB of forged sessions", cookies: []string{load.Fill(forgery+"; ", 32<<10)}, status: 401},
		{
			name: "the same where nobody needs to log in", options: map[string]any{"Group": "Guest"},
			cookies: []string{load.Fill(forgery+"; ", 32<<10)},
		},
		{
			name: "200 small sessions where nobody needs to log in", options: map[string]any{"Group": "Guest"},
			cookies: []string{strings.Repeat(fakeorganizr.CookieName+"=x; ", 199)},
		},
		{name: "1 KiB of slashes that are encoded once", options: rules, target: "/" + load.Fill("%2f", 1020), status: 401},
		{
			name: "1 KiB of slashes that are encoded twice", options: rules, target: "/" + load.Fill("%252f", 1020), status: 401,
		},
		{
			name: "1 KiB of parameters, capitals and dots", options: rules, target: "/" + load.Fill("A.%2f;x", 1020),
			status: 401,
		},
		{
			name: "8 KiB of a percent sign encoded again and again", options: rules, target: "/%" + strings.Repeat("25", 4<<10),
			status: 401,
		},
		{
			name: "8 KiB of slashes that are encoded nine times", options: rules,
			target: "/" + load.Fill("%25252525252525252f", 8<<10), status: 401,
		},
		{
			name: "as many encoded slashes as are read", options: rules, target: "/" + strings.Repeat("%252f", 127),
			status: 401,
		},
		{
			name: "as many parameters, capitals and dots as are read", options: rules,
			target: "/" + strings.Repeat("A.%2f;x", 42), status: 401,
		},
		{
			name: "the same in an opened folder", options: rules, target: "/api/" + strings.Repeat("A.%2f;x", 41),
		},
		{
			name: "a path with too many variants", options: tenRules, target: "/x/y/..;/tokens%253b.json",
			status: 401,
		},
		{
			name: "a path with sixteen variants, and overlapping rules", options: overlapping,
			target: "/files/..%23%2F%252f..", status: 401,
		},
		{
			name: "a path with eight variants, and many overlapping rules", options: manyOverlapping,
			target: "/a/b/secret.%3Ffiles%23:/private.%253F%2E%2etokenssecret::$DATAapi", status: 401,
		},
		{
			name: "4 KiB of Japanese names", options: rules,
			target: "/" + load.Fill(strings.Repeat("%E6%AD%8C", 10)+"/", 11<<10) + "%E6%AD%8C%3F.mp3", status: 401,
		},
		{name: "Japanese mixed with marks", options: rules, target: mixed, status: 401},
		{name: "the same, and overlapping rules", options: overlapping, target: mixed, status: 401},
		{name: "the same with the name of a closed folder", options: rules, target: closable, status: 401},
		{name: "that, and overlapping rules", options: overlapping, target: closable, status: 401},
		{name: "a long address that a proxy reads", options: overlapping, target: "/proxy/" + proxied, status: 401},
		{name: "the same by an opened proxy", options: overlapping, target: "/api/" + proxied, status: 401},
		{
			name: "an opened path that can be read in many ways", options: overlapping, target: "/api/%23%252f%255cA::$DATA",
		},
		{
			name: "a closed name that can be read in many ways", options: overlapping,
			target: "/secret%2F/%20/%E6%97%A5%25%20/%2eyprivate%253b%2e%23" + strings.Repeat("y", 12), status: 401,
		},
		{
			name: "long names, and rules of many wildcards", options: map[string]any{"Rules": wildcards}, target: longNames,
			status: 401,
		},
		{name: "the slowest path that a random search found", options: rules, target: slowest, status: 401},
		{
			name: "an opened folder under three rules that overlap", options: overruled,
			target: "/n0/n1/n2/%23%252f%25z..%20%E6%97%A5..;a.%20", status: 401,
		},
		{
			name: "many scripts", options: overlapping, status: 401,
			target: "/files/private%C3%89" + strings.Repeat("A", 51) + strings.Repeat(".php", 95) +
				"a.%20%252e/x.php$.tar.gz.a.b.a.b$..;//ax.",
		},
		{name: "8 KiB of encoded slashes", options: rules, target: "/" + load.Fill("%2f", 8<<10), status: 401},
		{name: "8 KiB of capitals", options: rules, target: "/" + load.Fill("A", 8<<10), status: 401},
		{
			name: "a query of 900 KB", accept: load.Browser().Get("Accept"), target: "/?" + load.Fill("%", 900_000), status: 302,
		},
		{name: "a list of 900,000 protocols", accept: load.Browser().Get("Accept"), header: protocols, status: 401},
		{name: "a destination of 900 KB", options: rules, header: destination, status: 401},
		{name: "40,000 odd headers, to log in", header: odd, status: 401},
		{name: "40,000 odd headers, where nobody needs to log in", options: rules, target: "/api/", header: odd, status: 431},
	} {
		request.accept = cmp.Or(request.accept, "*/*")
		b.Run(request.name, func(b *testing.B) { request.run(b, made.handler(b, inForce(request.options))) })
		request.status = 0
		b.Run(request.name+", does nothing", func(b *testing.B) { request.run(b, nothing.handler(b, nil)) })
	}
}
