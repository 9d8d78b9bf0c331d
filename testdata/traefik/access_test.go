package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/organizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/proxy"
	"github.com/traefik/traefik/v3/pkg/config/label"
)

const pageAccept = "text/html,application/xhtml+xml"

// runInCheckout runs a command of the go tool in the plugin's folder.
func runInCheckout(t *testing.T, environment []string, arguments ...string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), arguments[0], arguments[1:]...)
	command.Dir = proxy.Checkout()
	command.Env = append(os.Environ(), environment...)
	output, err := command.CombinedOutput()
	if err != nil || !regexp.MustCompile(`(?m)^(ok\s|PASS$)`).Match(output) {
		t.Errorf("%s: %v\n%s", strings.Join(arguments, " "), err, output)
	}
}

func TestUnitTestsNatively(t *testing.T) {
	runInCheckout(t, nil, "go", "test", "-count=1", "./...")
}

func TestUnitTestsUnderYaegi(t *testing.T) {
	find := exec.CommandContext(t.Context(), "go", "tool", "-n", "yaegi")
	yaegi, err := find.Output()
	if err != nil {
		t.Fatal(err)
	}
	runInCheckout(t, nil, strings.TrimSpace(string(yaegi)), "test", ".")
}

func TestEachAccountAgainstEachThreshold(t *testing.T) {
	thresholds := []string{"0", "1", "Super User", "3", "User", "5", "997", "Logged In", "guest"}
	numbers := []int{0, 1, 2, 3, 4, 5, 997, 998, 999}
	hosts := map[string]table{}
	for i, threshold := range thresholds {
		hosts[fmt.Sprintf("for-%d", numbers[i])] = table{"group": threshold}
	}
	s := setUp(t, hosts)
	for _, number := range numbers {
		host := fmt.Sprintf("for-%d.example.com", number)
		for _, account := range organizr.Accounts {
			want := http.StatusForbidden
			if account.GroupID <= number {
				want = http.StatusOK
			}
			got := s.ask("GET", host, "/", as(account.Username)...)
			if got.StatusCode != want {
				t.Errorf("%s (%d) at %s: got %d, want %d", account.Username, account.GroupID, host, got.StatusCode, want)
			}
			if got.StatusCode != http.StatusOK {
				continue
			}
			told := got.seen().Header
			if told.Get("X-Organizr-User") != account.Username || told.Get("X-Organizr-Group") != fmt.Sprint(account.GroupID) ||
				!strings.HasSuffix(told.Get("X-Organizr-Email"), "@example.com") || told.Get("Cookie") != "" {
				t.Errorf("%s at %s: the service was told %v", account.Username, host, told)
			}
		}
		want := http.StatusUnauthorized
		if number == 999 {
			want = http.StatusOK
		}
		if got := s.ask("GET", host, "/").StatusCode; got != want {
			t.Errorf("nobody at %s: got %d, want %d", host, got, want)
		}
	}
}

func TestCookiesAndForgeries(t *testing.T) {
	s := setUp(t, map[string]table{"user": {"group": "User"}, "guest": {"group": "Guest"}})
	bob, _ := organizr.Find("bob")
	alice, _ := organizr.Find("alice")
	cookie := organizr.CookieName + "="
	good := cookie + bob.Token(hash)
	expired := cookie + organizr.Sign(organizr.Header, bob.Claims(time.Now().Add(-48*time.Hour), 24*time.Hour), hash)
	forged := cookie + alice.Token("another-key-that-is-long-enough-for-HS256")
	for _, test := range []struct {
		name, cookie string
		want         int
	}{
		{"good", good, 200},
		{"forged", forged, 401},
		{"expired", expired, 401},
		{"stale before good", expired + "; " + good, 200},
		{"good before stale", good + "; " + expired, 200},
		{"forged before good", forged + "; " + good, 200},
	} {
		for _, visit := range []string{"first", "second"} {
			got := s.ask("GET", "user.example.com", "/", "Cookie", "a=1; "+test.cookie+"; b=\"2\"")
			if got.StatusCode != test.want {
				t.Errorf("%s, %s visit: got %d, want %d", test.name, visit, got.StatusCode, test.want)
			}
			if told := got.seen().Header; got.StatusCode == 200 && (told.Get("Cookie") != `a=1; b="2"` || told.Get("X-Organizr-User") != "bob") {
				t.Errorf("%s, %s visit: the service was told %v", test.name, visit, told)
			}
		}
	}
	for _, host := range []string{"user.example.com", "guest.example.com"} {
		for _, spelling := range []string{"X-Organizr-User", "x-organizr-user", "x_organizr_user", "X-Organizr_User", "X.Organizr.User", "X_ORGANIZR-GROUP"} {
			headers := []string{spelling, "forged"}
			if host == "user.example.com" {
				headers = append(headers, "Cookie", good)
			}
			if got := s.ask("GET", host, "/", headers...); got.StatusCode != 200 || strings.Contains(got.Body, "forged") {
				t.Errorf("%s at %s: %d, the service was told %v", spelling, host, got.StatusCode, got.seen().Header)
			}
		}
	}
}

func TestRedirectOfEveryAddress(t *testing.T) {
	s := setUp(t, map[string]table{"sonarr": {"group": "User"}})
	for target, want := range map[string]string{
		"/":                           "http%25253A%25252F%25252Fsonarr.example.com%25252F",
		"/s?q=1&x=2":                  "http%25253A%25252F%25252Fsonarr.example.com%25252Fs%25253Fq%25253D1%252526x%25253D2",
		"/s?q=100%25&x=a%2Fb":         "http%25253A%25252F%25252Fsonarr.example.com%25252Fs%25253Fq%25253D100%25252525%252526x%25253Da%2525252Fb",
		"/a%2Fb":                      "http%25253A%25252F%25252Fsonarr.example.com%25252Fa%2525252Fb",
		"/s?q=a+b":                    "http%25253A%25252F%25252Fsonarr.example.com%25252Fs%25253Fq%25253Da%25252Bb",
		"/%C3%BC?c=%C3%BC":            "http%25253A%25252F%25252Fsonarr.example.com%25252F%252525C3%252525BC%25253Fc%25253D%252525C3%252525BC",
		"http://sonarr.example.com":   "http%25253A%25252F%25252Fsonarr.example.com%25252F",
		"http://sonarr.example.com/x": "http%25253A%25252F%25252Fsonarr.example.com%25252Fx",
	} {
		got := s.ask("GET", "sonarr.example.com", target, "Accept", pageAccept)
		if location := got.Header.Get("Location"); got.StatusCode != 302 || location != "https://organizr.example.com/?return="+want {
			t.Errorf("%s: %d\ngot  %s\nwant %s", target, got.StatusCode, location, "https://organizr.example.com/?return="+want)
		}
	}
}

func TestMisconfiguredMeansNotFoundAndALogLine(t *testing.T) {
	s := setUp(t, map[string]table{
		"right":   {"group": "User"},
		"blank":   {"group": "User", "secret": "  "},
		"group":   {"group": "admins"},
		"number":  {"group": "4.5"},
		"unknown": {"grup": "User"},
		"address": {"group": "User", "organizrURL": "organizr.example.com"},
		"rules":   {"group": "User", "rules": "/a/{x}=1,/{y}/b=2"},
	})
	for host, line := range map[string]string{
		"blank":   "secret: blank; give Organizr's organizrHash",
		"group":   `group: \"admins\" isn't a group; give a number from 0 to 999, or Admin`,
		"number":  `group: \"4.5\" isn't a group`,
		"unknown": "group: missing; give the least privileged group that gets in",
		"address": `organizrURL: \"organizr.example.com\" isn't an address to log in at; give one like https://organizr.example.com`,
		"rules":   `rules: pattern \"/{y}/b\" conflicts with pattern \"/a/{x}\"`,
	} {
		if got := s.ask("GET", host+".example.com", "/", as("alice")...).StatusCode; got != 404 {
			t.Errorf("%s: got %d, want 404", host, got)
		}
		if len(s.logged(regexp.QuoteMeta(line), 1)) == 0 {
			t.Errorf("%s: the log has no line with %s", host, line)
		}
	}
	if got := s.ask("GET", "right.example.com", "/", as("alice")...).StatusCode; got != 200 {
		t.Errorf("beside them: got %d, want 200", got)
	}
	if t.Failed() {
		t.Log(s.traefik.Log())
	}
}

func TestOneLogLineForEachRefusal(t *testing.T) {
	s := setUp(t, map[string]table{"admin": {"group": "Admin"}})
	const ours = "organizrjwt: middleware="
	odd := organizr.Account{Username: "x\"\n middleware=\"\u202eevil\" <b>", Group: "User", GroupID: 4}
	for i, headers := range [][]string{nil, {"Accept", pageAccept}, as("bob"), {"Cookie", organizr.CookieName + "=" + odd.Token(hash)}} {
		s.ask("GET", "admin.example.com", `/x%0aorganizrjwt:%20middleware="y"`, headers...)
		if got := s.logged(ours, i+1); len(got) != i+1 {
			t.Fatalf("after %d refusals: %d lines: %q", i+1, len(got), got)
		}
	}
	got := strings.Join(s.logged(ours, 4), "\n")
	for _, part := range []string{`admin@file`, "status=401", "status=302", "status=403", "GET", "admin.example.com", "group 4, and 0 is asked for", "bob"} {
		if !strings.Contains(got, part) {
			t.Errorf("no %s in\n%s", part, got)
		}
	}
	if strings.Contains(got, "\u202e") || strings.Contains(got, "eyJ") || strings.Contains(got, hash) {
		t.Errorf("the log holds what it must not:\n%s", got)
	}
}

func TestAShortSecretWorksAndIsWarnedOfOnce(t *testing.T) {
	s := setUp(t, map[string]table{"one": {"group": "User", "secret": "short"}, "other": {"group": "User", "secret": "short"}})
	bob, _ := organizr.Find("bob")
	for _, host := range []string{"one.example.com", "other.example.com"} {
		if got := s.ask("GET", host, "/", "Cookie", organizr.CookieName+"="+bob.Token("short")).StatusCode; got != 200 {
			t.Errorf("%s: got %d, want 200", host, got)
		}
	}
	if got := s.logged("the secret has 5 bytes; give Organizr an organizrHash of at least 32", 1); len(got) != 1 {
		t.Errorf("it is warned of %d times", len(got))
	}
	for _, line := range regexp.MustCompile(`.*organizrjwt: .*`).FindAllString(s.traefik.Log(), -1) {
		if strings.Contains(line, "short\"") || strings.Contains(line, "=short") {
			t.Errorf("a line of ours holds the secret: %s", line)
		}
	}
}

// The ways in which services read a path that a proxy has let through as it came.
var readings = map[string]func(escaped string) string{
	"as PHP does":                    func(escaped string) string { return path.Clean(once(escaped)) },
	"as PHP that decodes again does": func(escaped string) string { return path.Clean(once(once(escaped))) },
	"as C does, up to a NUL": func(escaped string) string {
		before, _, _ := strings.Cut(once(escaped), "\x00")
		return path.Clean(before)
	},
	"as Tomcat does": func(escaped string) string {
		return path.Clean(strings.ReplaceAll(once(regexp.MustCompile(`;[^/]*`).ReplaceAllString(escaped, "")), `\`, "/"))
	},
	"as .NET does": func(escaped string) string {
		return path.Clean(strings.ToLower(strings.ReplaceAll(once(escaped), `\`, "/")))
	},
	"as .NET on Windows does, decoding twice": func(escaped string) string {
		cleaned := path.Clean(strings.ToLower(strings.ReplaceAll(once(once(escaped)), `\`, "/")))
		return regexp.MustCompile(`([^/. ])[. ]+(/|$)`).ReplaceAllString(cleaned, "$1$2")
	},
}

// once decodes a path as lenient services do: what can't be decoded stays.
func once(escaped string) string {
	return regexp.MustCompile(`%[0-9A-Fa-f]{2}`).ReplaceAllStringFunc(escaped, func(escape string) string {
		decoded, _ := url.PathUnescape(escape)
		return decoded
	})
}

// protected are the files that only some may see: a pattern, and who may.
var protected = []struct {
	pattern *regexp.Regexp
	visitor []string
}{
	{regexp.MustCompile(`(?i)^/admin(/|$)`), []string{"alice"}},
	{regexp.MustCompile(`(?i)^/vault/?$`), []string{"alice"}},
	{regexp.MustCompile(`(?i)^/api/private/?$`), []string{"alice", "pat"}},
	{regexp.MustCompile(`(?i)^/($|[^ahstfv])`), []string{"alice", "pat", "bob"}},
}

func TestAttacksOnPaths(t *testing.T) {
	var paths struct {
		Group string
		Rules []string
		Cases []struct{ Why, Method, Host, Target string }
	}
	readData(t, &paths, "paths.json")
	backend := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		target, _, _ := strings.Cut(req.RequestURI, "?")
		for name, read := range readings {
			file := read(target)
			for _, one := range protected {
				if one.pattern.MatchString(file) {
					rw.Header().Add("X-Only-For", strings.Join(one.visitor, " "))
					rw.Header().Add("X-Served", fmt.Sprintf("%q read %s", file, name))
				}
			}
		}
	}))
	t.Cleanup(backend.Close)
	for name, flags := range map[string][]string{
		"paths cleaned by Traefik":     nil,
		"paths not cleaned by Traefik": {"--entryPoints.web.http.sanitizePath=false"},
	} {
		t.Run(name, func(t *testing.T) {
			s := setUp(t, map[string]table{"sonarr": {"group": paths.Group, "rules": paths.Rules}}, func(options *proxy.Options) {
				options.Dynamic = routes(map[string]table{"sonarr": {"group": paths.Group, "rules": paths.Rules}}, backend.URL)
				options.Flags = flags
			})
			served := map[string]int{}
			for _, attack := range paths.Cases {
				if !strings.HasPrefix(attack.Host, "sonarr") {
					continue
				}
				for _, visitor := range []string{"", "bob", "pat", "alice"} {
					var headers []string
					if visitor != "" {
						headers = as(visitor)
					}
					got := s.ask(attack.Method, attack.Host, attack.Target, headers...)
					for i, only := range got.Header["X-Only-For"] {
						served[visitor]++
						if !slices.Contains(strings.Fields(only), visitor) {
							t.Errorf("%s: %s %s served %q the file %s", attack.Why, attack.Method, attack.Target, visitor, got.Header["X-Served"][i])
						}
					}
				}
			}
			if served["alice"] < 50 || served["pat"] == 0 || served["bob"] == 0 {
				t.Errorf("hardly anything was served to those who may see it: %v", served)
			}
		})
	}
}

func TestAttacksOnHosts(t *testing.T) {
	s := setUp(t, map[string]table{"admin": {"group": "Guest", "rules": []string{"admin.example.com/=Admin"}}})
	for _, host := range []string{"admin.example.com", "ADMIN.example.COM", "admin.example.com:80", "admin.example.com.", "Admin.Example.Com.:8443"} {
		if got := s.ask("GET", host, "/", as("bob")...).StatusCode; got != 403 && got != 404 {
			t.Errorf("bob at %s: got %d, want 403", host, got)
		}
	}
	if got := s.ask("GET", "ADMIN.example.com", "/", as("alice")...).StatusCode; got != 200 {
		t.Errorf("alice: got %d, want 200", got)
	}
}

func TestEveryOptionFromLabels(t *testing.T) {
	const prefix = "traefik.http.middlewares.door.plugin.organizrjwt."
	door := setUp(t, nil)
	for _, test := range []struct {
		option string
		labels map[string]string
		who    string
		method string
		target string
		more   []string
		want   int
		told   map[string]string
	}{
		{option: "group as name", labels: map[string]string{"group": "Power User"}, who: "bob", want: 403},
		{option: "group as number", labels: map[string]string{"group": "4"}, who: "bob", want: 200},
		{option: "key case doesn't matter", labels: map[string]string{"GROUP": "4", "organizrurl": "https://organizr.example.com"}, who: "bob", want: 200},
		{option: "rules with commas", labels: map[string]string{"group": "0", "rules": "/api/=Guest,/manifest.json=User"}, target: "/api/x", want: 200},
		{option: "rules with commas, the second", labels: map[string]string{"group": "0", "rules": "/api/=Guest,/manifest.json=User"}, who: "bob", target: "/manifest.json", want: 200},
		{option: "rules by number", labels: map[string]string{"group": "0", "rules[0]": "/api/=Guest", "rules[1]": "GET sonarr.example.com/x.json=Guest"}, target: "/x.json", want: 200},
		{option: "allow", labels: map[string]string{"group": "0", "allow": "group=Family,username=bob"}, who: "fay", want: 200},
		{option: "deny", labels: map[string]string{"group": "User", "deny[0]": "username=bob"}, who: "bob", want: 403},
		{
			option: "headers", labels: map[string]string{"group": "User", "headers.X-WEBAUTH-USER": "{username}", "headers.X-Organizr-Email": ""}, who: "bob", want: 200,
			told: map[string]string{"X-Webauth-User": "bob", "X-Organizr-User": "bob", "X-Organizr-Email": ""},
		},
		{
			option: "headers with the token", labels: map[string]string{"group": "User", "headers.Authorization": "Bearer {group}"}, who: "bob", want: 200,
			more: []string{"Authorization", "Basic eDp5"}, told: map[string]string{"Authorization": "Bearer User"},
		},
		{option: "forwardToken", labels: map[string]string{"group": "User", "forwardToken": "true"}, who: "bob", want: 200, told: map[string]string{"Cookie": "*"}},
		{option: "acceptBearer", labels: map[string]string{"group": "User", "acceptBearer": "true"}, more: []string{"Authorization", "Bearer *"}, want: 200, told: map[string]string{"Authorization": ""}},
		{option: "no acceptBearer", labels: map[string]string{"group": "User"}, more: []string{"Authorization", "Bearer *"}, want: 401},
		{option: "no allowCrossSite", labels: map[string]string{"group": "User"}, who: "bob", method: "POST", more: []string{"Sec-Fetch-Site", "cross-site"}, want: 403},
		{option: "allowCrossSite", labels: map[string]string{"group": "User", "allowCrossSite": "true"}, who: "bob", method: "POST", more: []string{"Sec-Fetch-Site", "cross-site"}, want: 200},
		{option: "secretFile", labels: map[string]string{"group": "User", "secret": "", "secretFile": "$secret"}, who: "bob", want: 200},
		{option: "configFile", labels: map[string]string{"group": "User", "secret": "", "uuid": "", "configFile": data("organizr", "config.php")}, who: "bob", want: 200},
		{option: "the cookie's full name", labels: map[string]string{"group": "User", "uuid": organizr.CookieName}, who: "bob", want: 200},
	} {
		t.Run(test.option, func(t *testing.T) {
			labels := map[string]string{prefix + "uuid": organizr.UUID, prefix + "secret": hash}
			for option, value := range test.labels {
				if value == "$secret" {
					value = t.TempDir() + "/secret"
					if err := os.WriteFile(value, []byte(hash+"\n"), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				labels[prefix+option] = value
			}
			decoded, err := label.DecodeConfiguration(labels)
			if err != nil {
				t.Fatal(err)
			}
			options := table{}
			for option, value := range decoded.HTTP.Middlewares["door"].Plugin["organizrjwt"] {
				options[option] = value
			}
			s := &scene{t: t, traefik: door.traefik, backend: door.backend}
			s.configure(map[string]table{"sonarr": options})
			headers := slices.Clone(test.more)
			bob, _ := organizr.Find("bob")
			token := bob.Token(hash)
			for i := range headers {
				headers[i] = strings.Replace(headers[i], "*", token, 1)
			}
			if test.who != "" {
				headers = append(headers, as(test.who)...)
			}
			got := s.ask(or(test.method, "GET"), "sonarr.example.com", or(test.target, "/"), headers...)
			if got.StatusCode != test.want {
				t.Fatalf("got %d, want %d: %s\n%s", got.StatusCode, test.want, got.Body, s.traefik.Log()[max(0, len(s.traefik.Log())-2000):])
			}
			for name, want := range test.told {
				told := got.seen().Header.Get(name)
				if want == "*" && !strings.Contains(told, organizr.CookieName) || want != "*" && told != want {
					t.Errorf("the service was told %s: %q, want %q", name, told, want)
				}
			}
		})
	}
}

// or returns the first of two texts that isn't empty.
func or(one, other string) string {
	if one == "" {
		return other
	}
	return one
}

func TestWebSocketsOfOurOwnOnly(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(echoWebSocket))
	t.Cleanup(backend.Close)
	s := setUp(t, nil, func(options *proxy.Options) {
		options.Dynamic = routes(map[string]table{"live": {"group": "User"}}, backend.URL)
	})
	dial := func(site string) (*websocket.Conn, *http.Response, error) {
		header := http.Header{"Cookie": {as("bob")[1]}, "Sec-Fetch-Site": {site}, "Host": {"live.example.com"}}
		conn, resp, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+s.traefik.Addr+"/", header)
		if resp != nil {
			resp.Body.Close()
		}
		return conn, resp, err
	}
	conn, _, err := dial("same-site")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, message := range []string{"one", "two", "three"} {
		if err := conn.WriteMessage(websocket.TextMessage, []byte(message)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := conn.ReadMessage(); err != nil || string(got) != message+" from bob" {
			t.Fatalf("got %q and %v", got, err)
		}
	}
	if _, resp, err := dial("cross-site"); err == nil || resp == nil || resp.StatusCode != http.StatusForbidden {
		t.Errorf("a WebSocket of another site: got %v and %v", resp, err)
	}
}

func TestAVisitorCantHideWhoTheyAre(t *testing.T) {
	s := setUp(t, map[string]table{"user": {"group": "User"}})
	for _, name := range []string{"X-Organizr-User", "x-organizr-user, X-Organizr-Group", "close, X-Organizr-Email"} {
		headers := append([]string{"Connection", name}, as("bob")...)
		if told := s.ask("GET", "user.example.com", "/", headers...).seen().Header; told.Get("X-Organizr-User") != "bob" || told.Get("X-Organizr-Group") != "4" || told.Get("X-Organizr-Email") == "" {
			t.Errorf("with Connection: %s the service was told %v", name, told)
		}
	}
}

func TestExcessIsRefused(t *testing.T) {
	s := setUp(t, map[string]table{"user": {"group": "User", "acceptBearer": true}})
	many := strings.TrimSuffix(strings.Repeat(organizr.CookieName+"=x.y.z; ", 9000), "; ")
	for name, headers := range map[string][]string{
		"nine thousand cookies of the name":  {"Cookie", many},
		"a token of 64 KiB":                  {"Cookie", organizr.CookieName + "=" + strings.Repeat("A", 64<<10)},
		"a bearer token of 64 KiB":           {"Authorization", "Bearer " + strings.Repeat("A", 64<<10)},
		"a thousand lines of Authorization":  slices.Repeat([]string{"Authorization", "Bearer x"}, 1000),
		"a thousand lines of Cookie":         slices.Repeat([]string{"Cookie", organizr.CookieName + "=x.y.z"}, 1000),
		"a thousand headers of other names":  slices.Repeat([]string{"X_Organizr-User", "x"}, 1000),
		"a cookie that is nothing but dots":  {"Cookie", organizr.CookieName + "=" + strings.Repeat(".", 8000)},
		"a bearer token of nothing but dots": {"Authorization", "Bearer " + strings.Repeat(".", 8000)},
	} {
		if got := s.ask("GET", "user.example.com", "/", headers...).StatusCode; got != 401 {
			t.Errorf("%s: got %d, want 401", name, got)
		}
	}
}
