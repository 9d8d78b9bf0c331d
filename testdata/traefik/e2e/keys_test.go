package e2e

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/gorilla/websocket"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/load"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/service"
)

// The keys of two programs, as openssl rand -hex 32 makes them.
const (
	radioKey   = "71e23ce2fceadaeffc377cd7259bd3f628fd0a6b4412c07ba451f030f1eb6845"
	monitorKey = "f0febc059781d64295e03a42c720bb00e38c5989340ca84b568fbe20e48e3da8"
)

// ofRadio and ofMonitor are those keys as items of the option keys.
var (
	ofRadio   = "radio=User:" + hashOf(radioKey)
	ofMonitor = "monitor=5:" + hashOf(monitorKey)
)

// hashOf returns what sha256sum prints of a key.
func hashOf(key string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(key))) }

// basic returns the value of an Authorization header with a name and a password.
func basic(name, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
}

// keyWays are the ways in which a program can send its key.
var keyWays = []struct {
	name    string
	headers func(name, key string) []string
}{
	{"Bearer", func(_, key string) []string { return []string{"Authorization", "Bearer " + key} }},
	{"Basic", func(name, key string) []string { return []string{"Authorization", basic(name, key)} }},
	{"X-Organizr-Key", func(_, key string) []string { return []string{"X-Organizr-Key", key} }},
}

// keyPart returns a part of a key, plain or in Basic, that stands in a text; empty if there is none.
func keyPart(text string) string {
	const length = 8
	forms := []string{
		radioKey, monitorKey, strings.ToUpper(radioKey), strings.ToUpper(monitorKey),
		strings.TrimRight(basic("radio", radioKey)[len("Basic cmFkaW86"):], "="),
		strings.TrimRight(basic("monitor", monitorKey)[len("Basic bW9uaXRvcjp"):], "="),
	}
	for _, form := range forms {
		for i := 0; i+length <= len(form); i++ {
			if part := form[i : i+length]; strings.Contains(text, part) {
				return part
			}
		}
	}
	return ""
}

// Each way to send a key, with every option that could change what it opens or what the service is told.
func TestKeysWithEveryOption(t *testing.T) {
	type headers = map[string]string
	radio := headers{
		"X-Organizr-User": "radio", "X-Organizr-Group": "4", "X-Organizr-Email": "", "Authorization": "", "Cookie": "",
		"X-Organizr-Key": "",
	}
	tests := []struct {
		name       string
		options    table
		tab        int // the group of the tab for the host; without a tab, -1
		target     string
		byMonitor  bool // the key is the monitor's, in group 5, and not the radio's, in group 4
		want       int
		told       headers
		byDatabase headers // what the service is told instead where there is a database
	}{
		{name: "its group", options: table{"group": "User"}, want: 200, told: radio},
		{name: "a less privileged group", options: table{"group": "998"}, want: 200, told: radio},
		{name: "a more privileged group", options: table{"group": "Power User"}, want: 403},
		{name: "everyone", options: table{"group": "Guest"}, want: 200, told: radio},
		{name: "allowed by name", options: table{"group": "Admin", "allow": "username=radio"}, want: 200, told: radio},
		{name: "allowed by group", options: table{"group": "Admin", "allow": "groupID=4"}, want: 200, told: radio},
		{name: "allowed by another name", options: table{"group": "Admin", "allow": "username=Radio"}, want: 403},
		{name: "allowed by an id", options: table{"group": "Admin", "allow": "userID=2"}, want: 403},
		{name: "denied by name", options: table{"group": "User", "deny": "username=RADIO"}, want: 403},
		{name: "denied by group", options: table{"group": "User", "deny": "groupID=4"}, want: 403},
		{name: "another one is denied", options: table{"group": "User", "deny": "username=bob"}, want: 200, told: radio},
		{
			name: "a rule that closes", options: table{"group": "User", "rules": "/settings/=Admin"},
			target: "/settings/x", want: 403,
		},
		{
			name: "beside a rule that closes", options: table{"group": "User", "rules": "/settings/=Admin"},
			target: "/x", want: 200, told: radio,
		},
		{
			name: "a rule that opens to everyone", options: table{"group": "Admin", "rules": "/api/=Guest"},
			target: "/api/x", want: 200, told: radio,
		},
		{
			name: "a rule that opens to its group", options: table{"group": "Admin", "rules": "/api/=User"},
			target: "/api/x", want: 200, told: radio,
		},
		{
			name: "beside a rule that opens", options: table{"group": "Admin", "rules": "/api/=User"},
			target: "/x", want: 403,
		},
		{
			name: "a group of one's own", byMonitor: true, want: 200,
			options:    table{"group": "5", "headers": table{"X-Told": "{group}, {username}"}},
			told:       headers{"X-Told": "5, monitor", "X-Organizr-User": "monitor", "X-Organizr-Group": "5"},
			byDatabase: headers{"X-Told": "Family, monitor"},
		},
		{
			name: "what a key doesn't have", want: 200,
			options: table{"group": "User", "headers": table{
				"X-Token": "{token}", "X-Id": "{userID}", "X-Image": "{image}", "X-Told": "<{email}{token}>{username}",
			}},
			told: headers{"X-Token": "", "X-Id": "", "X-Image": "", "X-Told": "<>radio", "X-Organizr-User": "radio"},
		},
		{
			name: "an Authorization for the service", want: 200,
			options: table{"group": "User", "headers": table{"Authorization": "Basic {username}"}},
			told:    headers{"Authorization": "Basic radio", "X-Organizr-User": "radio"},
		},
		{
			name: "the token as Authorization for the service", want: 200,
			options: table{"group": "User", "headers": table{"Authorization": "Bearer {token}"}},
			told:    headers{"Authorization": "", "X-Organizr-User": "radio"},
		},
		{name: "a tab of its group", options: table{"group": "tab"}, tab: 4, want: 200, told: radio},
		{name: "a tab of another group", options: table{"group": "tab"}, tab: 3, want: 403},
		{name: "a tab for everyone", options: table{"group": "tab"}, tab: 999, want: 200, told: radio},
		{name: "no tab", options: table{"group": "tab"}, tab: -1, want: 403},
		{
			name: "a tab of another group, and a rule", options: table{"group": "tab", "rules": "/api/=User"}, tab: 0,
			target: "/api/x", want: 200, told: radio,
		},
		{
			name: "a tab of its group, and a rule", options: table{"group": "tab", "rules": "/settings/=Admin"}, tab: 4,
			target: "/settings/x", want: 403,
		},
	}
	database := newDatabase(t, filepath.Join(t.TempDir(), "orgdb.db"))
	host := func(number, beside int) string { return fmt.Sprintf("door-%d-%d", number, beside) }
	const withDatabase, withBearer, withToken, combinations = 1, 2, 4, 8
	hosts := map[string]table{}
	for number, test := range tests {
		for beside := range combinations {
			isTab := test.options["group"] == "tab"
			if isTab && beside&withDatabase == 0 {
				continue // tabs are in the database
			}
			given := table{"keys": []string{ofRadio, ofMonitor}}
			for option, value := range test.options {
				given[option] = value
			}
			if beside&withDatabase != 0 {
				given["databaseFile"] = database.Path()
			}
			given["acceptBearer"] = beside&withBearer != 0
			given["forwardToken"] = beside&withToken != 0
			hosts[host(number, beside)] = given
			if isTab && test.tab >= 0 {
				name := host(number, beside)
				tab := fakeorganizr.Tab{Name: name, URL: "https://" + name + ".example.com/x", GroupID: test.tab, Enabled: true}
				if err := database.SetTab(tab); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	s := setUp(t, hosts)
	for number, test := range tests {
		for beside := range combinations {
			options, ok := hosts[host(number, beside)]
			if !ok {
				continue
			}
			for _, way := range keyWays {
				name := fmt.Sprintf("%s, by %s, database %t, acceptBearer %t, forwardToken %t", test.name, way.name,
					beside&withDatabase != 0, beside&withBearer != 0, beside&withToken != 0)
				t.Run(name, func(t *testing.T) {
					program, key := "radio", radioKey
					if test.byMonitor {
						program, key = "monitor", monitorKey
					}
					for _, visit := range []string{"first", "second"} { // from the second on the program is cached
						target := "/" + strings.TrimPrefix(test.target, "/")
						got := s.in(t).ask("GET", host(number, beside)+".example.com", target, way.headers(program, key)...)
						if got.StatusCode != test.want {
							t.Fatalf("%s visit: got %d, want %d with %v: %s", visit, got.StatusCode, test.want, options, got.Body)
						}
						if part := keyPart(got.Body); part != "" {
							t.Errorf("%s visit: the answer holds %s of the key: %s", visit, part, got.Body)
						}
						told := got.seen().Header
						for name, want := range test.told {
							if text, ok := test.byDatabase[name]; ok && beside&withDatabase != 0 {
								want = text
							}
							if received := strings.Join(told[name], "|"); received != want {
								t.Errorf("%s visit: the service is told %s: %q, want %q", visit, name, received, want)
							}
						}
					}
				})
			}
		}
	}
}

// What somebody might try who has a key, who has read a label, or who has neither. The service answers with all that it
// received, so nothing of a key may stand in any answer.
func TestAttacksWithKeys(t *testing.T) {
	both := []string{ofRadio, ofMonitor}
	database := newDatabase(t, filepath.Join(t.TempDir(), "orgdb.db"))
	missing := filepath.Join(t.TempDir(), "config.php")
	s := setUp(t, map[string]table{
		"user":     {"group": "User", "keys": both},
		"admin":    {"group": "Admin", "keys": both},
		"guest":    {"group": "Guest", "keys": both},
		"bearer":   {"group": "User", "keys": both, "acceptBearer": true},
		"listed":   {"group": "User", "keys": both, "databaseFile": database.Path()},
		"rules":    {"group": "User", "keys": both, "rules": []string{"/api/=Guest", "/settings/=Admin"}},
		"notready": {"group": "User", "keys": both, "secret": "", "configFile": missing},
		"open":     {"group": "Guest", "keys": both, "secret": "", "configFile": missing},
	})
	const others = "Basic c2VydmljZTpwYXNzd29yZA==" // a name and a password of the service's own
	hashOnly := hashOf(radioKey)
	cookie := fakeorganizr.Cookie
	session := as("bob")
	forged := []string{"Cookie", cookie("x" + strings.TrimPrefix(session[1], cookie("")))}
	unlisted := session // no database lists it
	type headers = map[string]string
	isRadio := headers{"X-Organizr-User": "radio"}
	for _, test := range []struct {
		name    string
		host    string
		headers []string
		want    int
		told    headers
	}{
		{"the program itself", "user", []string{"X-Organizr-Key", radioKey}, 200, isRadio},
		{"the same with acceptBearer", "bearer", []string{"X-Organizr-Key", radioKey}, 200, isRadio},
		// The hash stands in a label, and since the program was here it is in the cache.
		{"its hash as a cookie", "user", []string{"Cookie", cookie(hashOnly)}, 401, nil},
		{"its hash as a quoted cookie", "user", []string{"Cookie", cookie(`"` + hashOnly + `"`)}, 401, nil},
		{"its hash by Bearer", "user", []string{"Authorization", "Bearer " + hashOnly}, 401, nil},
		{"its hash by Bearer, with acceptBearer", "bearer", []string{"Authorization", "Bearer " + hashOnly}, 401, nil},
		{"its hash as a cookie, with acceptBearer", "bearer", []string{"Cookie", cookie(hashOnly)}, 401, nil},
		{"its hash by Basic", "user", []string{"Authorization", basic("radio", hashOnly)}, 401, nil},
		{"its hash by the header", "user", []string{"X-Organizr-Key", hashOnly}, 401, nil},
		{"the key as a cookie", "user", []string{"Cookie", cookie(radioKey)}, 401, nil},
		{
			"the key as a cookie where everyone gets in", "guest",
			[]string{"Cookie", cookie(radioKey)},
			200,
			headers{"Cookie": ""},
		},

		{"underscores in the header's name", "user", []string{"X_Organizr_Key", radioKey}, 401, nil},
		{"one underscore", "user", []string{"X-Organizr_Key", radioKey}, 401, nil},
		{"dots in the header's name", "user", []string{"X.Organizr.Key", radioKey}, 401, nil},
		{"another case of the header's name", "user", []string{"x-oRGANIZR-kEY", radioKey}, 200, isRadio},
		{
			"every spelling at once where everyone gets in", "guest",
			[]string{
				"X_Organizr_Key", radioKey, "x-organizr_key", radioKey, "X.Organizr.Key", radioKey, "X~Organizr!Key", radioKey,
			},
			200,
			headers{"X-Organizr-User": ""},
		},
		{
			"every spelling beside a session", "user",
			append([]string{"X_Organizr_Key", radioKey, "x-organizr_key", monitorKey, "X.Organizr.Key", radioKey}, session...),
			200,
			headers{"X-Organizr-User": "bob"},
		},
		{"two lines of the header", "user", []string{"X-Organizr-Key", radioKey, "X-Organizr-Key", radioKey}, 401, nil},
		{
			"two lines of the header where everyone gets in", "guest",
			[]string{"X-Organizr-Key", radioKey, "X-Organizr-Key", monitorKey},
			200,
			headers{"X-Organizr-User": ""},
		},
		{"two keys in one line", "user", []string{"X-Organizr-Key", radioKey + ", " + monitorKey}, 401, nil},
		{
			"two lines of Authorization", "user",
			[]string{"Authorization", "Bearer " + radioKey, "Authorization", basic("radio", radioKey)},
			401, nil,
		},
		{
			"two lines of Authorization where everyone gets in", "guest",
			[]string{"Authorization", "Bearer " + radioKey, "Authorization", others},
			200,
			headers{"Authorization": others},
		},
		{
			"a key in each of them beside a session", "user",
			append([]string{"Authorization", "Bearer " + radioKey, "Authorization", basic("x", monitorKey)}, session...),
			200,
			headers{"X-Organizr-User": "bob", "Authorization": ""},
		},
		{
			"a key beside a session, which counts", "admin",
			append([]string{"X-Organizr-Key", radioKey}, session...), 403, nil,
		},
		{
			"a key beside the administrator's session", "admin",
			append([]string{"Authorization", "Bearer " + radioKey}, as("alice")...), 200,
			headers{"X-Organizr-User": "alice", "Authorization": ""},
		},
		{
			"a key beside a forged session", "user", append([]string{"X-Organizr-Key", radioKey}, forged...), 200,
			headers{"X-Organizr-User": "radio", "Cookie": ""},
		},
		{
			"a key beside a session that Organizr has ended", "listed",
			append([]string{"Authorization", "Bearer " + radioKey}, unlisted...), 200,
			headers{"X-Organizr-User": "radio", "Cookie": ""},
		},
		{
			"what is the service's own beside a session", "user", append([]string{"Authorization", others}, session...), 200,
			headers{"X-Organizr-User": "bob", "Authorization": others},
		},
		{
			"what is the service's own beside a key", "user",
			[]string{"X-Organizr-Key", radioKey, "Authorization", others},
			200,
			headers{"X-Organizr-User": "radio", "Authorization": others},
		},
		{
			"what is the service's own where everyone gets in", "guest",
			[]string{"Authorization", others},
			200,
			headers{"X-Organizr-User": "", "Authorization": others},
		},
		{
			"another's name where everyone gets in", "guest",
			[]string{"Authorization", basic("monitor", radioKey)},
			200,
			headers{"X-Organizr-User": "", "Authorization": ""},
		},
		{"another's name", "user", []string{"Authorization", basic("monitor", radioKey)}, 401, nil},
		{"its name in another case", "user", []string{"Authorization", basic("Radio", radioKey)}, 401, nil},
		{"no name", "user", []string{"Authorization", basic("", radioKey)}, 401, nil},
		{"a colon after the key", "user", []string{"Authorization", basic("radio", radioKey+":")}, 401, nil},
		{"the key as the name", "user", []string{"Authorization", basic(radioKey, "")}, 401, nil},
		{"a key of another kind of Authorization", "user", []string{"Authorization", "Token " + radioKey}, 401, nil},
		{"the key alone", "user", []string{"Authorization", radioKey}, 401, nil},
		{"nothing but the kind", "user", []string{"Authorization", "Basic"}, 401, nil},
		{"a key that is too short by a letter", "user", []string{"X-Organizr-Key", radioKey[:63]}, 401, nil},
		{"a key in capitals", "user", []string{"X-Organizr-Key", strings.ToUpper(radioKey)}, 401, nil},
		{"spaces around it, which HTTP cuts off", "user", []string{"X-Organizr-Key", "  " + radioKey + "\t "}, 200, isRadio},
		{
			"the headers that name a user", "user",
			[]string{"X-Organizr-Key", radioKey, "X-Organizr-User", "alice", "X_Organizr_Group", "0"},
			200,
			headers{"X-Organizr-User": "radio", "X-Organizr-Group": "4", "X_Organizr_Group": ""},
		},
		{
			"the header named in Connection", "user",
			[]string{"X-Organizr-Key", radioKey, "Connection", "X-Organizr-Key"},
			401, nil,
		},
		{
			"Authorization named in Connection", "user",
			[]string{"Authorization", "Bearer " + radioKey, "Connection", "Authorization"},
			401, nil,
		},
		{
			"40 KiB of cookies beside a key", "user",
			[]string{"X-Organizr-Key", radioKey, "Cookie", "a=" + strings.Repeat("x", 40<<10)},
			401, nil,
		},
		{
			"40 KiB of Authorization with a key where everyone gets in", "guest",
			[]string{"Authorization", "Basic " + strings.Repeat("x", 40<<10) + radioKey},
			200,
			headers{"Authorization": ""},
		},
		{
			"Basic without the = at its end, which careless services read", "user",
			[]string{"Authorization", strings.TrimRight(basic("radio", radioKey), "=")},
			200,
			headers{"X-Organizr-User": "radio"},
		},
		{
			"Basic after a tab, which careless services read", "user",
			[]string{"Authorization", strings.Replace(basic("radio", radioKey), " ", "\t", 1)},
			200,
			headers{"Authorization": ""},
		},
		{
			"Basic without the = at its end, with another's name, beside a session", "user",
			append([]string{"Authorization", strings.TrimRight(basic("radix", radioKey), "=")}, session...), 200,
			headers{"X-Organizr-User": "bob", "Authorization": ""},
		},
		{
			"the header, and a Basic without name and password, as nzb360 sends it", "user",
			[]string{"X-Organizr-Key", radioKey, "Authorization", basic("", "")},
			200,
			headers{"X-Organizr-User": "radio", "Authorization": basic("", "")},
		},
		{
			"a wrong key of a monitor that wants a page", "user",
			[]string{"Authorization", basic("radio", monitorKey), "Accept", pageAccept, "User-Agent", "Uptime-Kuma/2.0"},
			401, nil,
		},
		{
			"a monitor that wants a page, without a key", "user",
			[]string{"Accept", pageAccept, "User-Agent", "Uptime-Kuma/2.0"},
			302, nil,
		},
		{
			"a browser that sends another service's password", "user",
			[]string{"Authorization", others, "Accept", pageAccept, "User-Agent", "Mozilla/5.0"},
			302, nil,
		},
		{
			"a wrong key by the header, in an app that is a browser", "user",
			[]string{"X-Organizr-Key", "x" + radioKey, "Accept", pageAccept, "User-Agent", "Mozilla/5.0"},
			401, nil,
		},
		{"while Organizr's files aren't there", "notready", []string{"X-Organizr-Key", radioKey}, 503, nil},
		{"its hash while Organizr's files aren't there", "notready", []string{"Cookie", cookie(hashOnly)}, 503, nil},
		{
			"where everyone gets in while Organizr's files aren't there", "open",
			[]string{"X-Organizr-Key", radioKey, "X_Organizr_Key", radioKey, "Authorization", basic("x", radioKey)},
			200,
			headers{"Authorization": ""},
		},
	} {
		for _, visit := range []string{"first", "second"} {
			t.Run(test.name+", "+visit+" visit", func(t *testing.T) {
				got := s.in(t).ask("GET", test.host+".example.com", "/", test.headers...)
				if got.StatusCode != test.want {
					t.Fatalf("got %d, want %d: %s", got.StatusCode, test.want, got.Body)
				}
				if part := keyPart(got.Body); part != "" {
					t.Errorf("the service gets %s of a key: %s", part, got.Body)
				}
				for name, want := range test.told {
					if received := strings.Join(got.seen().Header[name], "|"); received != want {
						t.Errorf("the service is told %s: %q, want %q", name, received, want)
					}
				}
			})
		}
	}
	t.Run("a rule's paths, read as careless services read them", func(t *testing.T) {
		for target, want := range map[string]int{
			"/api/x": 200, "/x": 200, "/settings/x": 403, "/SETTINGS/x": 403, "/api/..%2fsettings/x": 403,
		} {
			if got := s.in(t).ask("GET", "rules.example.com", target, "X-Organizr-Key", radioKey); got.StatusCode != want {
				t.Errorf("%s: got %d, want %d", target, got.StatusCode, want)
			}
		}
	})
	t.Run("what is the service's own on a path that a rule opens", func(t *testing.T) {
		for _, beside := range [][]string{nil, {"X-Organizr-Key", radioKey}, {"X-Organizr-Key", "wrong"}, session} {
			got := s.in(t).ask("GET", "rules.example.com", "/api/x", append([]string{"Authorization", others}, beside...)...)
			if received := got.seen().Header; received.Get("Authorization") != others || len(received["X-Organizr-Key"]) > 0 {
				t.Errorf("beside %q: got %d, and the service %v", beside, got.StatusCode, received)
			}
		}
	})
	t.Run("as soon as Organizr's files are there", func(t *testing.T) {
		text, err := os.ReadFile(data("organizr", "config.php"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(missing, text, 0o600); err != nil {
			t.Fatal(err)
		}
		s.in(t).becomes(200, headers{"X-Organizr-User": "radio"}, "notready.example.com", "X-Organizr-Key", radioKey)
	})
	t.Run("50,000 lines of it, on any path", func(t *testing.T) {
		for _, line := range []string{"X-Organizr-Key", "Authorization"} {
			for _, host := range []string{"user.example.com", "guest.example.com", "bearer.example.com"} {
				before, err := load.CPU(s.traefik.Pid())
				if err != nil {
					t.Fatal(err)
				}
				_ = s.in(t).ask("GET", host, "/", slices.Repeat([]string{line, "a"}, 50_000)...)
				after, err := load.CPU(s.traefik.Pid())
				if err != nil {
					t.Fatal(err)
				}
				// Traefik alone takes some 15 ms to read them.
				if used := after - before; used > 200*time.Millisecond {
					t.Errorf("%s at %s: one request takes %s of CPU", line, host, used)
				}
			}
		}
	})
	t.Run("in the address, as no client sends it", func(t *testing.T) {
		for host, want := range map[string]int{"user": 401, "guest": 200} {
			got := s.in(t).ask("GET", host+".example.com", "http://radio:"+radioKey+"@"+host+".example.com/x")
			if got.StatusCode != want {
				t.Errorf("%s: got %d, want %d", host, got.StatusCode, want)
			}
			if part := keyPart(got.Body); part != "" {
				t.Errorf("%s: the service gets %s of a key: %s", host, part, got.Body)
			}
		}
	})
	t.Run("after the body, in a trailer", func(t *testing.T) {
		for host, want := range map[string]string{"user": "401", "guest": "200"} {
			got := trailing(t, s.traefik.Addr, host+".example.com", "X-Organizr-Key: "+radioKey)
			if !strings.HasPrefix(got, "HTTP/1.1 "+want) {
				t.Errorf("%s: got %.100s, want %s", host, got, want)
			}
		}
	})
	t.Run("over HTTP/2", func(t *testing.T) {
		client := overHTTP2(t, s)
		for _, way := range keyWays {
			for host, want := range map[string]int{"user": 200, "guest": 200, "admin": 403} {
				req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+host+".example.com/", http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				sent := way.headers("radio", radioKey)
				req.Header.Set(sent[0], sent[1])
				req.Header["x_organizr_key"] = []string{radioKey}
				got := answerTo(t, client, req)
				if got.ProtoMajor != 2 || got.StatusCode != want {
					t.Errorf("%s by %s: got %s %d, want %d", host, way.name, got.Proto, got.StatusCode, want)
				}
				if user := got.seen().Header.Get("X-Organizr-User"); want == 200 && user != "radio" {
					t.Errorf("%s by %s: the service is told %q", host, way.name, user)
				}
				if part := keyPart(got.Body); part != "" {
					t.Errorf("%s by %s: the service gets %s of a key: %s", host, way.name, part, got.Body)
				}
			}
		}
	})
	t.Run("methods and WebSockets", func(t *testing.T) {
		for _, way := range keyWays {
			for _, method := range []string{"HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"} {
				headers := append(way.headers("radio", radioKey), "Content-Length", "0")
				if got := s.in(t).ask(method, "user.example.com", "/", headers...); got.StatusCode != 200 {
					t.Errorf("%s by %s: got %d", method, way.name, got.StatusCode)
				}
			}
			sent := way.headers("radio", radioKey)
			header := http.Header{"Host": {"user.example.com"}, sent[0]: {sent[1]}}
			conn, resp, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+s.traefik.Addr+"/", header)
			if err != nil {
				t.Fatalf("by %s: %v %v", way.name, err, resp)
			}
			_ = conn.WriteMessage(websocket.TextMessage, []byte("hello"))
			if _, got, err := conn.ReadMessage(); err != nil || string(got) != "hello from radio" {
				t.Errorf("by %s: got %q and %v", way.name, got, err)
			}
			conn.Close()
			resp.Body.Close()
		}
	})
}

// overHTTP2 returns a client that connects to Traefik for all hosts by HTTP/2 without TLS.
func overHTTP2(t *testing.T, s *scene) *http.Client {
	transport := &http.Transport{Protocols: &http.Protocols{}}
	transport.Protocols.SetUnencryptedHTTP2(true)
	transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", s.traefik.Addr)
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// answerTo returns what the client is answered.
func answerTo(t *testing.T, client *http.Client, req *http.Request) answer {
	t.Helper()
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{Response: resp, Body: string(body)}
}

// trailing sends a header after a request's body, and returns all that comes back.
func trailing(t *testing.T, addr, host, header string) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	name, _, _ := strings.Cut(header, ":")
	fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"+
		"Trailer: %s\r\n\r\n1\r\nx\r\n0\r\n%s\r\n\r\n", host, name, header)
	text, err := io.ReadAll(bufio.NewReader(conn))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Nothing of a key gets into a log: neither of a program's key, nor of one that is refused or comes in a wrong form.
// Traefik's access log has the headers that the service gets, if it is told to keep them. So only what isn't a key of
// the middleware can stand there.
func TestKeysInLogs(t *testing.T) {
	folder := t.TempDir()
	for name, flags := range map[string][]string{
		"as the access log is":                    nil,
		"with all headers kept in the access log": {"--accesslog.fields.headers.defaultMode=keep"},
	} {
		t.Run(name, func(t *testing.T) {
			accessLog := filepath.Join(folder, strings.ReplaceAll(name, " ", "-"))
			s := setUp(t, map[string]table{
				"user":   {"group": "User", "keys": ofRadio},
				"admin":  {"group": "Admin", "keys": ofRadio},
				"guest":  {"group": "Guest", "keys": ofRadio},
				"bearer": {"group": "User", "keys": ofRadio, "acceptBearer": true},
			}, func(options *proxy.Options) {
				options.Flags = append([]string{
					"--accesslog=true", "--accesslog.format=json", "--accesslog.filePath=" + accessLog,
				}, flags...)
			})
			sent := 0
			for _, host := range []string{"user.example.com", "admin.example.com", "guest.example.com", "bearer.example.com"} {
				for _, accept := range []string{"*/*", pageAccept} {
					ask := func(target string, headers ...string) {
						s.ask("GET", host, target, append(headers, "Accept", accept)...)
						sent++
					}
					for _, way := range keyWays {
						ask("/x", way.headers("radio", radioKey)...)
						ask("/x", way.headers("Radio", radioKey)...)
						if host != "guest.example.com" { // there the service gets it
							ask("/x", way.headers("radio", monitorKey)...)
						}
					}
					ask("/x", "X_Organizr_Key", radioKey)
					ask("/x", "X-Organizr-Key", radioKey, "X-Organizr-Key", monitorKey)
					ask("http://radio:" + radioKey + "@" + host + "/x")
				}
			}
			lines := awaitLines(t, accessLog, sent)
			if part := keyPart(lines); part != "" {
				t.Errorf("the access log holds %s of a key:\n%s", part, lines)
			}
			if !strings.Contains(lines, `"ClientUsername":"radio"`) {
				t.Error("the access log doesn't name the program")
			}
			if len(s.logged("reason=.*the request has neither a session nor a key", 1)) == 0 {
				t.Error("Traefik's log doesn't say that a key is wrong")
			}
			if part := keyPart(s.traefik.Log()); part != "" {
				t.Errorf("Traefik's log holds %s of a key", part)
			}
		})
	}
	t.Run("a key as the option, instead of its hash", func(t *testing.T) {
		s := setUp(t, map[string]table{
			"user": {"group": "User", "keys": []string{ofMonitor, "radio=User:" + radioKey[:60], radioKey}},
		})
		if got := s.ask("GET", "user.example.com", "/", "X-Organizr-Key", monitorKey).StatusCode; got != 404 {
			t.Errorf("got %d, want 404", got)
		}
		own := strings.Join(s.logged("keys: item 2 has no hash.*keys: item 3 isn't NAME=GROUP:HASH.*openssl rand", 1), "\n")
		if part := keyPart(own); own == "" || part != "" {
			t.Errorf("the plugin's error holds %q of a key: %s", part, own)
		}
	})
}

// awaitLines returns the file's text as soon as it has so many lines.
func awaitLines(t *testing.T, file string, count int) string {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		text, _ := os.ReadFile(file)
		lines := strings.Count(string(text), "\n")
		if lines >= count {
			return string(text)
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s has %d lines, want %d", file, lines, count)
		}
	}
}

// Two programs come all the time. One loses its key by a changed label: it is out with the first request that the new
// configuration gets, and the other one notices nothing.
func TestKeyTakenAway(t *testing.T) {
	given := func(keys ...string) map[string]table {
		return map[string]table{"user": {"group": "User", "keys": keys}}
	}
	s := setUp(t, given(ofRadio, ofMonitor, "other=User:"+hashOf(radioKey+"0")))
	stop, done := make(chan struct{}), make(chan struct{})
	statuses := map[int]int{}
	go func() {
		defer close(done)
		other := newVisitor(s.traefik)
		for {
			select {
			case <-stop:
				return
			default:
				statuses[other.withKey(t, "user.example.com", radioKey+"0")]++
			}
		}
	}()
	radio := newVisitor(s.traefik)
	for round := range 10 {
		if got := radio.withKey(t, "user.example.com", radioKey); got != 200 {
			t.Fatalf("round %d: with its key, got %d", round, got)
		}
		s.configure(given(ofMonitor, "other=User:"+hashOf(radioKey+"0")))
		for range 20 { // over a connection that is open already
			if got := radio.withKey(t, "user.example.com", radioKey); got != 401 {
				t.Fatalf("round %d: once its key is taken away, got %d, want 401", round, got)
			}
		}
		s.configure(given("other=User:"+hashOf(radioKey+"0"), ofRadio))
	}
	close(stop)
	<-done
	if len(statuses) != 1 || statuses[200] < 100 {
		t.Errorf("meanwhile the other program got %v, want only 200, and often", statuses)
	}
}

// withKey returns the status of the host's response to a program's request.
func (v *visitor) withKey(t *testing.T, host, key string) int {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+v.addr+"/", http.NoBody)
	if err != nil {
		t.Error(err)
		return 0
	}
	req.Host = host
	req.Header.Set("X-Organizr-Key", key)
	resp, err := v.client.Do(req)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// A browser has learnt a key as a password, since a service behind an opened path asked for one. From then on it sends
// Basic authentication by itself, whatever page asks, as it does with a cookie.
func TestBasicFromAnotherSite(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/login" && req.Header.Get("X-Organizr-User") == "" {
			rw.Header().Set("WWW-Authenticate", `Basic realm="service"`)
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
		service.Handler(rw, req)
	}))
	t.Cleanup(backend.Close)
	s := setUp(t, nil, func(options *proxy.Options) {
		options.TLS = true
		options.Dynamic = routes(map[string]table{
			"user":    {"group": "User", "keys": ofRadio, "rules": "/login=Guest"},
			"allowed": {"group": "User", "keys": ofRadio, "rules": "/login=Guest", "allowCrossSite": true},
		}, backend.URL)
	})
	_, port, _ := net.SplitHostPort(s.traefik.Addr)
	browser := newBrowser(t, chromedp.Flag("host-resolver-rules", "MAP *.example.com 127.0.0.1"))
	forms := ""
	for _, host := range []string{"user", "allowed"} {
		site := host + ".example.com:" + port
		do(t, browser, open("https://radio:"+radioKey+"@"+site+"/login"))
		shows(t, browser, "https://"+site+"/login", "asked to GET /login", "radio")
		do(t, browser, open("https://"+site+"/x"))
		shows(t, browser, "https://"+site+"/x", "asked to GET /x", "radio") // it sends the key by itself
		do(t, browser, click("form button"))
		shows(t, browser, "https://"+site+"/x", "asked to POST /x", "radio")
		forms += `<form method="post" action="https://` + site + `/delete"><button id="` + host + `">win</button></form>`
	}
	elsewhere := newSite(t, forms)
	do(t, browser, open(elsewhere), click("#user"))
	shows(t, browser, "https://user.example.com:"+port+"/delete", "403", "Stopped for your safety", "radio")
	do(t, browser, open(elsewhere), click("#allowed"))
	shows(t, browser, "https://allowed.example.com:"+port+"/delete", "asked to POST /delete", "radio")
	for host, says := range map[string]string{"user": "refused", "allowed": "hello from radio"} {
		do(t, browser, open(elsewhere))
		got, err := chromedp.Run(browser, chromedp.Evaluate[string](`new Promise(done => {
			const socket = new WebSocket("wss://`+host+`.example.com:`+port+`/live")
			socket.onopen = () => socket.send("hello")
			socket.onmessage = event => done(event.data)
			socket.onerror = () => done("refused")
		})`, chromedp.EvalAwaitPromise))
		if err != nil || got != says {
			t.Errorf("a WebSocket of another site to %s: got %q and %v, want %q", host, got, err, says)
		}
	}
}
