package organizrjwt

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// organizr is what a real Organizr wrote: its key, and a session of each of its users.
var organizr struct {
	UUID         string
	OrganizrHash string
	ValidAt      int64
	Sessions     []struct {
		Username string
		Group    string
		GroupID  int
		Token    string
	}
}

const cookie = "organizr_token_e36ed245-38cc-4d7f-ab53-7987549d1e2d"

func init() {
	text, err := os.ReadFile("testdata/organizr/sessions.json")
	if err == nil {
		err = json.Unmarshal(text, &organizr)
	}
	if err != nil {
		panic(err)
	}
	setClock(0)
}

// setClock sets the clock to so many seconds after the sessions of testdata were good.
func setClock(seconds float64) {
	since = func(_ time.Time) time.Duration {
		return time.Duration(organizr.ValidAt)*time.Second + time.Duration(seconds*float64(time.Second))
	}
}

// tokenOf returns the session that Organizr made for the user.
func tokenOf(t *testing.T, username string) string {
	t.Helper()
	for _, session := range organizr.Sessions {
		if session.Username == username {
			return session.Token
		}
	}
	t.Fatalf("no session of %q in testdata", username)
	return ""
}

// sign returns the token of the header and the claims, signed with the secret.
func sign(header, claims, secret string) string {
	text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// claimed returns a token with Organizr's header and key, and these claims besides iss, aud and exp.
func claimed(claims string) string {
	return sign(`{"typ":"JWT","alg":"HS256"}`, fmt.Sprintf(`{"iss":"Organizr","aud":"Organizr","exp":%d.5,%s}`, organizr.ValidAt+3600, claims), organizr.OrganizrHash)
}

// A door is a middleware with a service behind it.
type door struct {
	t       *testing.T
	handler http.Handler
	seen    *http.Request // the request that the service got last
}

// newDoor returns the middleware that the options describe, given the uuid, the secret and the group User.
func newDoor(t *testing.T, options func(config *Config)) *door {
	t.Helper()
	config := CreateConfig()
	config.UUID, config.Secret, config.Group = organizr.UUID, organizr.OrganizrHash, "User"
	config.OrganizrURL = "https://organizr.example.com"
	if options != nil {
		options(config)
	}
	d := &door{t: t}
	handler, err := New(context.Background(), http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) { d.seen = req }), config, "door@test")
	if err != nil {
		t.Fatal(err)
	}
	d.handler = handler
	return d
}

// knock sends a request with the headers, given as name and value by turns. A Cookie of "alice" stands for her session.
func (d *door) knock(method, target string, headers ...string) *httptest.ResponseRecorder {
	d.t.Helper()
	if strings.HasPrefix(target, "/") {
		target = "http://sonarr.example.com" + target
	}
	req := httptest.NewRequest(method, target, http.NoBody)
	for i := 0; i < len(headers); i += 2 {
		value := headers[i+1]
		if headers[i] == "Cookie" && !strings.ContainsAny(value, "=;") {
			value = cookie + "=" + tokenOf(d.t, value)
		}
		req.Header.Add(headers[i], value)
	}
	d.seen = nil
	rec := httptest.NewRecorder()
	d.handler.ServeHTTP(rec, req)
	if (d.seen != nil) != (rec.Code == http.StatusOK) {
		d.t.Errorf("%s %s: status %d, but the service saw the request: %v", method, target, rec.Code, d.seen != nil)
	}
	return rec
}

const html = "text/html,application/xhtml+xml"

func TestEachGroupAgainstEachThreshold(t *testing.T) {
	for _, threshold := range []int{0, 1, 2, 3, 4, 5, 6, 997, 998, 999} {
		d := newDoor(t, func(config *Config) { config.Group = fmt.Sprint(threshold) })
		for _, session := range organizr.Sessions {
			want := http.StatusForbidden
			if session.GroupID <= threshold {
				want = http.StatusOK
			}
			for _, visit := range []string{"first", "remembered"} {
				if got := d.knock("GET", "/", "Cookie", session.Username).Code; got != want {
					t.Errorf("%s (%d) at a service for %d, %s visit: got %d, want %d", session.Username, session.GroupID, threshold, visit, got, want)
				}
			}
		}
		want := http.StatusUnauthorized
		if threshold == 999 {
			want = http.StatusOK
		}
		if got := d.knock("GET", "/").Code; got != want {
			t.Errorf("nobody at a service for %d: got %d, want %d", threshold, got, want)
		}
	}
}

func TestGroupNames(t *testing.T) {
	for given, want := range map[string]int{
		"0": 0, "4": 4, "999": 999, " 3 ": 3, "Admin": 0, "ADMIN": 0, "Co-Admin": 1, "coadmin": 1, "co_admin": 1, "Super User": 2,
		"super-user": 2, "poweruser": 3, "User": 4, "Logged In": 998, "logged_in": 998, "loggedin": 998, "guest": 999,
	} {
		if got, err := parseGroup("group", given); got != want || err != nil {
			t.Errorf("%q: got %d and %v, want %d", given, got, err, want)
		}
	}
}

func TestTellsTheServiceWhoIsThere(t *testing.T) {
	d := newDoor(t, nil)
	d.knock("GET", "/", "Cookie", "Zoë Müller")
	for name, want := range map[string]string{"X-Organizr-User": "Zoë Müller", "X-Organizr-Email": "Zo@example.com", "X-Organizr-Group": "4"} {
		if got := d.seen.Header[name]; len(got) != 1 || got[0] != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestForgedHeadersAreGone(t *testing.T) {
	spellings := []string{
		"X-Organizr-User", "x-organizr-user", "X_Organizr_User", "X-Organizr_User", "x_organizr-Group", "X.Organizr.Email",
		"X-ORGANIZR-GROUP", "X~Organizr-User", "X-Webauth-Role", "X_WEBAUTH_ROLE",
	}
	d := newDoor(t, func(config *Config) {
		config.Rules = []string{"/public/=Guest"}
		config.Headers["X-WEBAUTH-ROLE"] = ""
	})
	for _, spelling := range spellings {
		for _, visit := range []struct{ path, who string }{{"/", "bob"}, {"/public/", "bob"}, {"/public/", ""}} {
			headers := []string{spelling, "forged", "X-Else", "kept"}
			if visit.who != "" {
				headers = append(headers, "Cookie", visit.who)
			}
			d.knock("GET", visit.path, headers...)
			if d.seen == nil {
				t.Fatalf("%s as %q was refused", visit.path, visit.who)
			}
			for name, values := range d.seen.Header {
				if strings.Contains(strings.Join(values, ""), "forged") {
					t.Errorf("%s as %q at %s reached the service as %s", spelling, visit.who, visit.path, name)
				}
			}
			if d.seen.Header.Get("X-Else") != "kept" {
				t.Error("another header was taken away")
			}
		}
	}
}

func TestHeadersOption(t *testing.T) {
	set := func(headers ...string) func(*Config) {
		return func(config *Config) {
			for i := 0; i < len(headers); i += 2 {
				config.Headers[headers[i]] = headers[i+1]
			}
		}
	}
	odd := claimed(`"name":"evil {email}","email":"","group":"Family","groupID":4,"userID":7`)
	for _, test := range []struct {
		name    string
		options func(*Config)
		token   string
		header  string
		want    string
	}{
		{"all placeholders", set("X-All", "{username}|{email}|{group}|{groupID}|{userID}"), tokenOf(t, "fay"), "X-All", "fay|fay@example.com|5|5|6"},
		{"the picture", set("X-Image", "{image}"), tokenOf(t, "bob"), "X-Image", "https://www.gravatar.com/avatar/4b9bb80620f03eb3719e0a061c14283d?s=100&d=mm"},
		{"the token as a bearer token", set("Authorization", "Bearer {token}"), tokenOf(t, "bob"), "Authorization", "Bearer " + tokenOf(t, "bob")},
		{"a text without placeholders", set("X-Via", "organizr"), tokenOf(t, "bob"), "X-Via", "organizr"},
		{"an empty claim is not sent", set("X-Mail", "mail {email}"), odd, "X-Mail", ""},
		{"one of two claims is enough", set("X-Both", "{email}/{userID}"), odd, "X-Both", "/7"},
		{"claims are not placeholders", set(), odd, "X-Organizr-User", "evil {email}"},
		{"an empty text switches a default header off", set("X-Organizr-Email", ""), tokenOf(t, "bob"), "X-Organizr-Email", ""},
		{"another spelling of a default header takes its place", set("x-organizr-user", "<{username}>"), tokenOf(t, "bob"), "X-Organizr-User", "<bob>"},
		{"the default headers stay beside others", set("Remote-User", "{username}"), tokenOf(t, "bob"), "X-Organizr-User", "bob"},
	} {
		d := newDoor(t, func(config *Config) {
			config.Group = "998"
			test.options(config)
		})
		d.knock("GET", "/", "Cookie", cookie+"="+test.token, "Authorization", "Basic eDp5")
		if d.seen == nil {
			t.Errorf("%s: refused", test.name)
		} else if got := d.seen.Header.Get(test.header); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

func TestOnlyTheSessionCookieIsTakenOut(t *testing.T) {
	session := cookie + "=" + tokenOf(t, "bob")
	for _, test := range []struct{ came, forwarded string }{
		{session, ""},
		{session + "; a=1", "a=1"},
		{"a=1; " + session, "a=1"},
		{"a=1; " + session + "; b=\"2 3\"", "a=1; b=\"2 3\""},
		{"a=1;" + session + ";b=2", "a=1;b=2"},
		{cookie + "=stale; " + session + "; a=1", "a=1"},
		{"a=1; " + session + "; " + cookie + "=stale; b=%3B", "a=1; b=%3B"},
		{"x" + cookie + "=1; " + session + "; " + cookie + "2=3", "x" + cookie + "=1; " + cookie + "2=3"},
		{"a=" + cookie + "; " + session, "a=" + cookie},
		{"odd,;;cookies; " + session + ";=;", "odd,;;cookies;=;"},
		{"a=1; " + cookie + "; " + session + "; b=2", "a=1; b=2"},
		{"a=1; " + cookie + " = stale ; " + session, "a=1"},
		{session + "; a=1; " + strings.Repeat(cookie+"=stale; ", 100) + "b=2", "a=1; b=2"},
	} {
		d := newDoor(t, nil)
		for _, visit := range []string{"first", "remembered"} {
			d.knock("GET", "/", "Cookie", test.came)
			if d.seen == nil {
				t.Errorf("%s visit with %q: refused", visit, test.came)
			} else if got := strings.Join(d.seen.Header["Cookie"], " | "); got != test.forwarded {
				t.Errorf("%s visit with %q: forwarded %q, want %q", visit, test.came, got, test.forwarded)
			}
		}
		d = newDoor(t, func(config *Config) { config.ForwardToken = true })
		d.knock("GET", "/", "Cookie", test.came)
		if got := d.seen.Header.Get("Cookie"); got != test.came {
			t.Errorf("with forwardToken: forwarded %q, want %q", got, test.came)
		}
	}
	d := newDoor(t, nil)
	d.knock("GET", "/", "Cookie", session+"; a=1")
	d.knock("GET", "/", "Cookie", session+"; a=1", "Cookie", "b=2")
	if got := d.seen.Header["Cookie"]; !reflect.DeepEqual(got, []string{"a=1; b=2"}) {
		t.Errorf("of a line that is remembered and another: forwarded %q", got)
	}
	d = newDoor(t, func(config *Config) { config.Group = "Guest" })
	d.knock("GET", "/", "Cookie", "a=1; "+cookie+"=stale", "Cookie", "b=2", "Cookie", session)
	if got := d.seen.Header["Cookie"]; !reflect.DeepEqual(got, []string{"a=1; b=2"}) {
		t.Errorf("of several lines: forwarded %q", got)
	}
}

func TestWhichCookieCounts(t *testing.T) {
	good, stale := cookie+"="+tokenOf(t, "bob"), cookie+"="+claimed(`"groupID":0,"nbf":9999999999`)
	for _, test := range []struct {
		name    string
		headers []string
		want    int
	}{
		{"no cookie", nil, 401},
		{"a good one", []string{"Cookie", good}, 200},
		{"a stale one before a good one", []string{"Cookie", stale + "; " + good}, 200},
		{"a stale one after a good one", []string{"Cookie", good + "; " + stale}, 200},
		{"stale ones only", []string{"Cookie", stale + "; " + stale}, 401},
		{"the fourth is good", []string{"Cookie", strings.Repeat(stale+"; ", 3) + good}, 200},
		{"the fifth is good", []string{"Cookie", strings.Repeat(stale+"; ", 4) + good}, 401},
		{"on two lines", []string{"Cookie", stale, "Cookie", good}, 200},
		{"in quotes", []string{"Cookie", cookie + `="` + tokenOf(t, "bob") + `"`}, 200},
		{"under another uuid", []string{"Cookie", cookie + "2=" + tokenOf(t, "bob")}, 401},
		{"an empty one", []string{"Cookie", cookie + "="}, 401},
		{"a token that isn't a cookie", []string{"Cookie", tokenOf(t, "bob") + ";"}, 401},
	} {
		if got := newDoor(t, nil).knock("GET", "/", test.headers...).Code; got != test.want {
			t.Errorf("%s: got %d, want %d", test.name, got, test.want)
		}
	}
}

func TestWhatIsASession(t *testing.T) {
	const header = `{"typ":"JWT","alg":"HS256"}`
	exp := fmt.Sprintf(`"exp":%d.25`, organizr.ValidAt+10)
	for _, test := range []struct {
		name   string
		header string
		claims string
		want   int
	}{
		{"what Organizr 2.1 makes", header, `{"iss":"Organizr","aud":"Organizr",` + exp + `,"name":"x","groupID":4}`, 200},
		{"a list of audiences", header, `{"iss":"Organizr","aud":["x","Organizr"],` + exp + `,"groupID":4}`, 200},
		{"whole seconds and a group in digits, from PHP before 8.1", header, `{"iss":"Organizr","aud":"Organizr","exp":` + fmt.Sprint(organizr.ValidAt+10) + `,"groupID":"4"}`, 200},
		{"no typ", `{"alg":"HS256"}`, `{"iss":"Organizr","aud":"Organizr",` + exp + `,"groupID":4}`, 200},
		{"valid in a minute", header, `{"iss":"Organizr","aud":"Organizr",` + exp + `,"groupID":4,"nbf":` + fmt.Sprint(organizr.ValidAt+60) + `}`, 200},
		{"valid in more than a minute", header, `{"iss":"Organizr","aud":"Organizr",` + exp + `,"groupID":4,"nbf":` + fmt.Sprint(organizr.ValidAt+60) + `.1}`, 401},
		{"nbf as text", header, `{"iss":"Organizr","aud":"Organizr",` + exp + `,"groupID":4,"nbf":"1"}`, 401},
		{"another issuer", header, `{"iss":"organizr","aud":"Organizr",` + exp + `,"groupID":4}`, 401},
		{"no issuer", header, `{"aud":"Organizr",` + exp + `,"groupID":4}`, 401},
		{"another audience", header, `{"iss":"Organizr","aud":["organizr"],` + exp + `,"groupID":4}`, 401},
		{"no exp", header, `{"iss":"Organizr","aud":"Organizr","groupID":4}`, 401},
		{"exp as text", header, `{"iss":"Organizr","aud":"Organizr","exp":"9999999999","groupID":4}`, 401},
		{"exp is now", header, `{"iss":"Organizr","aud":"Organizr","exp":` + fmt.Sprint(organizr.ValidAt) + `.0,"groupID":4}`, 401},
		{"exp after the end of time", header, `{"iss":"Organizr","aud":"Organizr","exp":1e300,"groupID":4}`, 200},
		{"exp beyond numbers", header, `{"iss":"Organizr","aud":"Organizr","exp":1e400,"groupID":4}`, 401},
		{"no group is not Admin", header, `{"iss":"Organizr","aud":"Organizr",` + exp + `}`, 401},
		{"group null is not Admin", header, `{"iss":"Organizr","aud":"Organizr",` + exp + `,"groupID":null}`, 401},
		{"group empty is not Admin", header, `{"iss":"Organizr","aud":"Organizr",` + exp + `,"groupID":""}`, 401},
		{"group false is not Admin", header, `{"iss":"Organizr","aud":"Organizr",` + exp + `,"groupID":false}`, 401},
		{"group -0 is not Admin", header, `{"iss":"Organizr","aud":"Organizr",` + exp + `,"groupID":-0}`, 401},
		{"group 0x0 is not Admin", header, `{"iss":"Organizr","aud":"Organizr",` + exp + `,"groupID":"0x0"}`, 401},
		{"group 4.5", header, `{"iss":"Organizr","aud":"Organizr",` + exp + `,"groupID":3.5}`, 401},
		{"group -1", header, `{"iss":"Organizr","aud":"Organizr",` + exp + `,"groupID":-1}`, 401},
		{"group 1000", header, `{"iss":"Organizr","aud":"Organizr",` + exp + `,"groupID":1000}`, 401},
		{"group in a list", header, `{"iss":"Organizr","aud":"Organizr",` + exp + `,"groupID":[0]}`, 401},
		{"group spelled in another case", header, `{"iss":"Organizr","aud":"Organizr",` + exp + `,"groupid":0}`, 401},
		{"claims that are a list", header, `[]`, 401},
		{"claims that are null", header, `null`, 401},
		{"no claims", header, ``, 401},
		{"alg in another case", `{"typ":"JWT","alg":"hs256"}`, `{"iss":"Organizr","aud":"Organizr",` + exp + `,"groupID":4}`, 401},
		{"Alg instead of alg", `{"typ":"JWT","Alg":"HS256"}`, `{"iss":"Organizr","aud":"Organizr",` + exp + `,"groupID":4}`, 401},
		{"typ JWE", `{"typ":"JWE","alg":"HS256"}`, `{"iss":"Organizr","aud":"Organizr",` + exp + `,"groupID":4}`, 401},
		{"crit", `{"typ":"JWT","alg":"HS256","crit":["exp"]}`, `{"iss":"Organizr","aud":"Organizr",` + exp + `,"groupID":4}`, 401},
	} {
		token := sign(test.header, test.claims, organizr.OrganizrHash)
		if got := newDoor(t, nil).knock("GET", "/", "Cookie", cookie+"="+token).Code; got != test.want {
			t.Errorf("%s: got %d, want %d", test.name, got, test.want)
		}
	}
}

func TestUsernameComesFirst(t *testing.T) {
	d := newDoor(t, nil)
	for claims, want := range map[string]string{
		`"name":"new","groupID":4`:                  "new",
		`"username":"old","groupID":4`:              "old",
		`"username":"old","name":"new","groupID":4`: "old",
		`"username":null,"name":"new","groupID":4`:  "new",
		`"name":"","groupID":4`:                     "",
		`"name":null,"groupID":"4"`:                 "",
	} {
		d.knock("GET", "/", "Cookie", cookie+"="+claimed(claims))
		if got := d.seen.Header.Get("X-Organizr-User"); got != want {
			t.Errorf("%s: got %q, want %q", claims, got, want)
		}
	}
}

func TestForgedTokens(t *testing.T) {
	good := tokenOf(t, "alice")
	parts := strings.Split(good, ".")
	unsigned := parts[0] + "." + parts[1] + "."
	for name, token := range map[string]string{
		"another key":                  sign(`{"typ":"JWT","alg":"HS256"}`, `{}`, "another"),
		"an empty key":                 sign(`{"typ":"JWT","alg":"HS256"}`, `{}`, ""),
		"no signature":                 unsigned,
		"two parts":                    parts[0] + "." + parts[1],
		"four parts":                   good + ".x",
		"one part":                     parts[1],
		"dots only":                    "..",
		"a changed signature":          good[:len(good)-2] + "AA",
		"stray bits in the signature":  good[:len(good)-1] + "5",
		"padding":                      good + "=",
		"another's signature":          unsigned + strings.Split(tokenOf(t, "bob"), ".")[2],
		"longer than 8 KiB":            good + strings.Repeat("A", 8<<10),
		"the standard alphabet":        strings.NewReplacer("-", "+", "_", "/").Replace(tokenOf(t, "sue")),
		"spaces around":                "%20" + good,
		"alg none":                     sign(`{"alg":"none"}`, `{}`, organizr.OrganizrHash),
		"alg none without a signature": base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".",
	} {
		if got := newDoor(t, nil).knock("GET", "/", "Cookie", cookie+"="+token).Code; got != 401 {
			t.Errorf("%s: got %d, want 401", name, got)
		}
		d := newDoor(t, func(config *Config) { config.AcceptBearer = true })
		if got := d.knock("GET", "/", "Authorization", "Bearer "+token).Code; got != 401 {
			t.Errorf("%s as a bearer token: got %d, want 401", name, got)
		}
	}
}

func TestASessionEnds(t *testing.T) {
	defer setClock(0)
	d := newDoor(t, nil)
	token := claimed(`"groupID":4`) // for 3600.5 seconds
	for _, moment := range []struct {
		seconds float64
		want    int
	}{{0, 200}, {3600, 200}, {3600.499, 200}, {3600.5, 401}, {3601, 401}, {10, 200}} {
		setClock(moment.seconds)
		if got := d.knock("GET", "/", "Cookie", cookie+"="+token).Code; got != moment.want {
			t.Errorf("after %v seconds: got %d, want %d", moment.seconds, got, moment.want)
		}
	}
}

func TestRedirectComesBackToTheSameAddress(t *testing.T) {
	for _, test := range []struct {
		name, target string
		headers      []string
		want         string // what Organizr goes back to
	}{
		{"the root", "http://sonarr.example.com", nil, "http://sonarr.example.com/"},
		{"a query", "/s?q=1&x=2", nil, "http://sonarr.example.com/s?q=1&x=2"},
		{"percent signs", "/s?q=100%25&x=a%2Fb", nil, "http://sonarr.example.com/s?q=100%25&x=a%2Fb"},
		{"an encoded slash in the path", "/a%2Fb/%25", nil, "http://sonarr.example.com/a%2Fb/%25"},
		{"plus signs", "/s?q=a+b%2Bc", nil, "http://sonarr.example.com/s?q=a+b%2Bc"},
		{"beyond ASCII", "/%C3%BC?c=%C3%BC", nil, "http://sonarr.example.com/%C3%BC?c=%C3%BC"},
		{"an empty query", "/s?", nil, "http://sonarr.example.com/s?"},
		{"an address in the query", "/s?return=https://x/?return=y", nil, "http://sonarr.example.com/s?return=https://x/?return=y"},
		{"https and a port, as Traefik tells", "/s", []string{"X-Forwarded-Proto", "https", "X-Forwarded-Host", "sonarr.example.com:8443"}, "https://sonarr.example.com:8443/s"},
		{"a prefix that Traefik cut off", "/s", []string{"X-Forwarded-Prefix", "/sonarr"}, "http://sonarr.example.com/sonarr/s"},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			rec := newDoor(t, nil).knock(method, test.target, append(test.headers, "Accept", html)...)
			location, isOrganizr := strings.CutPrefix(rec.Header().Get("Location"), "https://organizr.example.com/?return=")
			if rec.Code != 302 || !isOrganizr || rec.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("%s %s: got %d to %q", method, test.name, rec.Code, rec.Header().Get("Location"))
			}
			if strings.ContainsAny(location, "&#+") {
				t.Errorf("%s: Organizr would cut %q", test.name, location)
			}
			for i := 0; i < 3; i++ { // decodeURI twice, then decodeURIComponent
				location, _ = url.PathUnescape(location)
			}
			if location != test.want {
				t.Errorf("%s: comes back to %q, want %q", test.name, location, test.want)
			}
		}
	}
	rec := newDoor(t, nil).knock("GET", "/s?q=100%25&x=a%2Fb", "Accept", html)
	if got, want := rec.Header().Get("Location"), "https://organizr.example.com/?return=http%25253A%25252F%25252Fsonarr.example.com%25252Fs%25253Fq%25253D100%25252525%252526x%25253Da%2525252Fb"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	d := newDoor(t, func(config *Config) { config.OrganizrURL = "https://home.example.com/organizr" })
	if got := d.knock("GET", "/", "Accept", html).Header().Get("Location"); !strings.HasPrefix(got, "https://home.example.com/organizr/?return=http") {
		t.Errorf("with a path: %s", got)
	}
}

func TestWhoIsRedirected(t *testing.T) {
	for _, test := range []struct {
		name    string
		method  string
		headers []string
		want    int
	}{
		{"a browser that opens a page", "GET", []string{"Accept", html, "Sec-Fetch-Mode", "navigate"}, 302},
		{"an old browser", "GET", []string{"Accept", "TEXT/HTML"}, 302},
		{"a frame", "GET", []string{"Accept", html, "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}, 302},
		{"a program", "GET", []string{"Accept", "application/json"}, 401},
		{"a program that says nothing", "GET", nil, 401},
		{"a script", "GET", []string{"Accept", html, "Sec-Fetch-Mode", "cors"}, 401},
		{"an image", "GET", []string{"Accept", "image/webp,*/*", "Sec-Fetch-Mode", "no-cors"}, 401},
		{"a form", "POST", []string{"Accept", html, "Sec-Fetch-Mode", "navigate"}, 401},
		{"a WebSocket", "GET", []string{"Accept", html, "Upgrade", "websocket"}, 401},
	} {
		if got := newDoor(t, nil).knock(test.method, "/", test.headers...).Code; got != test.want {
			t.Errorf("%s: got %d, want %d", test.name, got, test.want)
		}
	}
	d := newDoor(t, func(config *Config) { config.OrganizrURL = "" })
	if got := d.knock("GET", "/", "Accept", html).Code; got != 401 {
		t.Errorf("without organizrURL: got %d, want 401", got)
	}
}

func TestWhereLoginCantHelp(t *testing.T) {
	for _, test := range []struct {
		organizr, target string
		says             string // empty for a redirect
	}{
		{"https://organizr.example.com", "https://organizr.example.com/", "Organizr's own address"},
		{"https://organizr.example.com", "https://ORGANIZR.example.com.:443/?return=x", "Organizr's own address"},
		{"https://example.com/organizr", "https://example.com/organizr", "Organizr's own address"},
		{"https://Organizr.Example.com", "https://organizr.example.com/", "Organizr's own address"},
		{"https://organizr.example.com:443", "https://organizr.example.com/", "Organizr's own address"},
		{"https://organizr.example.com:8443", "https://organizr.example.com/", ""},
		{"https://example.com/organizr", "https://example.com/sonarr/", ""},
		{"https://organizr.example.com", "https://organizr.example.com/sonarr/", ""},
		{"https://organizr.example.com", "https://organizr.example.com:8443/", ""},
		{"https://organizr.example.com", "https://sonarr.example.com/", ""},
		{"https://organizr.home.example.com", "https://sonarr.example.com/", "reaches names that end in .home.example.com, and not sonarr.example.com"},
		{"https://organizr.home.example.com", "https://sonarr.home.example.com/", ""},
		{"https://organizr.home.me.example.com", "https://sonarr.home.me.example.com/", "reaches that name and names under it"},
		{"https://organizr.home.me.example.com", "https://sonarr.organizr.home.me.example.com/", ""},
		{"https://example.com", "https://sonarr.example.com/", ""},
		{"https://www.example.com", "https://sonarr.example.com/", ""},
		{"https://organizr.example.co.uk", "https://sonarr.example.co.uk/", ""},
		{"https://example.co.uk", "https://sonarr.co.uk/", "reaches that name"},
		{"https://example.com.au", "https://sonarr.com.au/", "reaches that name"},
		{"https://organizr.synology.me", "https://sonarr.synology.me/", "reaches that name"},
		{"http://localhost:8000", "http://localhost:8001/", ""},
		{"http://organizr.lan", "http://sonarr.lan/", "browsers share a cookie only"},
		{"http://organizr.lan", "http://sonarr.organizr.lan/", ""},
		{"https://organizr.example.com", "https://sonarr.example.org/", "browsers share a cookie only"},
		{"http://192.168.1.5", "http://192.168.1.6/", "browsers share a cookie only"},
		{"http://192.168.1.5:80", "http://192.168.1.5:8989/", ""},
		{"https://organizr.duckdns.org", "https://sonarr.duckdns.org/", "reaches that name and names under it, and not sonarr.duckdns.org"},
		{"https://organizr.me.duckdns.org", "https://sonarr.me.duckdns.org/", ""},
		{"https://me.duckdns.org", "https://sonarr.me.duckdns.org/", ""},
		{"https://organizr.me.ddns.net", "https://sonarr.me.ddns.net/", "reaches that name and names under it, and not sonarr.me.ddns.net"},
		{"https://me.ddns.net", "https://sonarr.me.ddns.net/", ""},
		{"https://organizr.zapto.org", "https://sonarr.zapto.org/", "reaches that name"},
		{"https://organizr.notzapto.org", "https://sonarr.notzapto.org/", ""},
	} {
		d := newDoor(t, func(config *Config) { config.OrganizrURL = test.organizr })
		target, err := url.Parse(test.target)
		if err != nil {
			t.Fatal(err)
		}
		rec := d.knock("GET", test.target, "Accept", html, "X-Forwarded-Proto", target.Scheme)
		body := strings.ReplaceAll(rec.Body.String(), "&#39;", "'")
		if test.says == "" && rec.Code != 302 || test.says != "" && (rec.Code != 401 || !strings.Contains(body, test.says)) {
			t.Errorf("%s behind %s: got %d, want %q", test.target, test.organizr, rec.Code, test.says)
		}
	}
}

func TestAnswers(t *testing.T) {
	for _, test := range []struct {
		name        string
		method      string
		headers     []string
		status      int
		contentType string
		body        []string // empty for no body
		challenge   string
	}{
		{
			"too low a group, for a person", "GET",
			[]string{"Cookie", "bob", "Accept", html},
			403, "text/html; charset=utf-8",
			[]string{"<dd>bob</dd>", "<dd>User</dd>", "Power User or higher", `href="https://organizr.example.com/"`, `<html lang="en">`, "<main>"},
			"",
		},
		{"too low a group, for a program", "GET", []string{"Cookie", "bob"}, 403, "application/problem+json", []string{`"status":403`, `"type":"about:blank"`, `"title":"Forbidden"`}, ""},
		{"too low a group, HEAD", "HEAD", []string{"Cookie", "bob", "Accept", html}, 403, "text/html; charset=utf-8", nil, ""},
		{"nobody, for a program", "GET", nil, 401, "application/problem+json", []string{`"status":401`, `"title":"Unauthorized"`}, `Bearer realm="Organizr"`},
		{"nobody, HEAD", "HEAD", nil, 401, "application/problem+json", nil, `Bearer realm="Organizr"`},
		{"nobody, with a form", "POST", []string{"Accept", html}, 401, "text/html; charset=utf-8", []string{"Please log in"}, `Bearer realm="Organizr"`},
		{"a bad token", "GET", []string{"Cookie", cookie + "=x"}, 401, "application/problem+json", []string{"401"}, `Bearer realm="Organizr", error="invalid_token"`},
	} {
		d := newDoor(t, func(config *Config) { config.Group = "Power User" })
		rec := d.knock(test.method, "/", test.headers...)
		header := rec.Header()
		if rec.Code != test.status || header.Get("Content-Type") != test.contentType || header.Get("Cache-Control") != "no-store" ||
			header.Get("WWW-Authenticate") != test.challenge {
			t.Errorf("%s: got %d %v", test.name, rec.Code, header)
		}
		for _, part := range test.body {
			if !strings.Contains(rec.Body.String(), part) {
				t.Errorf("%s: no %q in %s", test.name, part, rec.Body)
			}
		}
		if len(test.body) == 0 && rec.Body.Len() > 0 {
			t.Errorf("%s: has a body", test.name)
		}
		if test.contentType == "application/problem+json" && rec.Body.Len() > 0 && !json.Valid(rec.Body.Bytes()) {
			t.Errorf("%s: isn't JSON: %s", test.name, rec.Body)
		}
	}
}

func TestPagesHoldWhateverVisitorsAreCalled(t *testing.T) {
	d := newDoor(t, func(config *Config) { config.Group = "Admin" })
	rec := d.knock("GET", "/", "Accept", html, "Cookie", cookie+"="+claimed(`"name":"<script>alert(1)</script>\"'&\u202e","group":"<b>","groupID":4`))
	if body := rec.Body.String(); strings.Contains(body, "<script") || strings.Contains(body, "<b>") || !strings.Contains(body, "&lt;script&gt;") {
		t.Error(body)
	}
}

func TestAllowAndDeny(t *testing.T) {
	for _, test := range []struct {
		name  string
		group string
		allow []string
		deny  []string
		who   string
		want  int
	}{
		{"an allowed group gets in whatever its number", "Admin", []string{"groupID=5"}, nil, "fay", 200},
		{"others don't", "Admin", []string{"groupID=5"}, nil, "bob", 403},
		{"an allowed user", "0", []string{"username=pat", "username=bob"}, nil, "bob", 200},
		{"an allowed name beyond ASCII", "0", []string{"username=Zoë Müller"}, nil, "Zoë Müller", 200},
		{"case counts", "0", []string{"username=Bob", "groupID=6"}, nil, "bob", 403},
		{"a mail address", "0", []string{"email=bob@example.com"}, nil, "bob", 200},
		{"a group's number, and that one only", "0", []string{"groupID=4"}, nil, "pat", 403},
		{"a user's number", "0", []string{"userID=2"}, nil, "bob", 200},
		{"allow lets nobody in who isn't logged in", "0", []string{"username=bob"}, nil, "", 401},
		{"deny refuses a user", "User", nil, []string{"username=bob"}, "bob", 403},
		{"deny refuses only that user", "User", nil, []string{"username=bob"}, "pat", 200},
		{"deny wins over allow", "0", []string{"username=bob"}, []string{"groupID=4"}, "bob", 403},
		{"deny wins over Admin", "0", nil, []string{"groupID=0"}, "alice", 403},
		{"deny wins on Guest routes", "Guest", nil, []string{"username=bob"}, "bob", 403},
		{"deny can't know who isn't logged in", "Guest", nil, []string{"username=bob"}, "", 200},
	} {
		d := newDoor(t, func(config *Config) { config.Group, config.Allow, config.Deny = test.group, test.allow, test.deny })
		var headers []string
		if test.who != "" {
			headers = []string{"Cookie", test.who}
		}
		if got := d.knock("GET", "/", headers...).Code; got != test.want {
			t.Errorf("%s: got %d, want %d", test.name, got, test.want)
		}
	}
}

func TestBearer(t *testing.T) {
	bob := "Bearer " + tokenOf(t, "bob")
	for _, test := range []struct {
		name    string
		options func(*Config)
		headers []string
		want    int
		left    string // of Authorization, for the service
	}{
		{"not unless it is switched on", func(c *Config) { c.AcceptBearer = false }, []string{"Authorization", bob}, 401, ""},
		{"Organizr's token", nil, []string{"Authorization", bob}, 200, ""},
		{"the scheme in another case", nil, []string{"Authorization", "bearer " + tokenOf(t, "bob")}, 200, ""},
		{"left for the service with forwardToken", func(c *Config) { c.ForwardToken = true }, []string{"Authorization", bob}, 200, bob},
		{"another's token", nil, []string{"Authorization", "Bearer abc"}, 401, ""},
		{"another's token on a Guest route", func(c *Config) { c.Group = "Guest" }, []string{"Authorization", "Bearer abc"}, 200, "Bearer abc"},
		{"another's token beside a good cookie", nil, []string{"Authorization", "Bearer abc", "Cookie", "bob"}, 200, "Bearer abc"},
		{"a good cookie counts first", func(c *Config) { c.Group = "Admin" }, []string{"Authorization", bob, "Cookie", "alice"}, 200, ""},
		{"beside a stale cookie", nil, []string{"Authorization", bob, "Cookie", cookie + "=x; a=1"}, 200, ""},
		{"another scheme", nil, []string{"Authorization", "Basic " + tokenOf(t, "bob")}, 401, ""},
		{"two lines", nil, []string{"Authorization", bob, "Authorization", bob}, 401, ""},
		{"replaced by a header of ours", func(c *Config) { c.Headers["Authorization"] = "Token {token}" }, []string{"Authorization", bob}, 200, "Token " + tokenOf(t, "bob")},
		{"not in the cookie's place", nil, []string{"Cookie", bob + ";"}, 401, ""},
	} {
		d := newDoor(t, func(config *Config) {
			config.AcceptBearer = true
			if test.options != nil {
				test.options(config)
			}
		})
		for _, visit := range []string{"first", "remembered"} {
			got := d.knock("GET", "/", test.headers...).Code
			if got != test.want {
				t.Errorf("%s, %s visit: got %d, want %d", test.name, visit, got, test.want)
			} else if got == 200 && d.seen.Header.Get("Authorization") != test.left {
				t.Errorf("%s, %s visit: the service got Authorization %q", test.name, visit, d.seen.Header.Get("Authorization"))
			}
		}
		if d.seen != nil && strings.Contains(d.seen.Header.Get("Cookie"), cookie) && !strings.Contains(test.name, "forwardToken") {
			t.Errorf("%s: the service got the cookie", test.name)
		}
	}
}

func TestCrossSite(t *testing.T) {
	for _, test := range []struct {
		name    string
		method  string
		options func(*Config)
		headers []string
		want    int
	}{
		{"a form of another site", "POST", nil, []string{"Cookie", "bob", "Sec-Fetch-Site", "cross-site"}, 403},
		{"a form of another of our hosts", "POST", nil, []string{"Cookie", "bob", "Sec-Fetch-Site", "same-site"}, 200},
		{"a form of our own", "POST", nil, []string{"Cookie", "bob", "Sec-Fetch-Site", "same-origin"}, 200},
		{"a form from nowhere", "POST", nil, []string{"Cookie", "bob", "Sec-Fetch-Site", "none"}, 200},
		{"a program, which says nothing", "POST", nil, []string{"Cookie", "bob"}, 200},
		{"a link on another site", "GET", nil, []string{"Cookie", "bob", "Sec-Fetch-Site", "cross-site"}, 200},
		{"a preflight", "OPTIONS", nil, []string{"Cookie", "bob", "Sec-Fetch-Site", "cross-site"}, 200},
		{"DELETE", "DELETE", nil, []string{"Cookie", "bob", "Sec-Fetch-Site", "cross-site"}, 403},
		{"an unknown method", "FROB", nil, []string{"Cookie", "bob", "Sec-Fetch-Site", "cross-site"}, 403},
		{"a WebSocket of another site", "GET", nil, []string{"Cookie", "bob", "Sec-Fetch-Site", "cross-site", "Upgrade", "websocket"}, 403},
		{"a WebSocket of our own", "GET", nil, []string{"Cookie", "bob", "Sec-Fetch-Site", "same-origin", "Upgrade", "websocket"}, 200},
		{"with allowCrossSite", "POST", func(c *Config) { c.AllowCrossSite = true }, []string{"Cookie", "bob", "Sec-Fetch-Site", "cross-site"}, 200},
		{"on a Guest route", "POST", func(c *Config) { c.Group = "Guest" }, []string{"Cookie", "bob", "Sec-Fetch-Site", "cross-site"}, 200},
		{"with a bearer token", "POST", func(c *Config) { c.AcceptBearer = true }, []string{"Authorization", "Bearer " + tokenOf(t, "bob"), "Sec-Fetch-Site", "cross-site"}, 200},
	} {
		d := newDoor(t, test.options)
		for _, visit := range []string{"first", "remembered"} {
			if got := d.knock(test.method, "/", test.headers...).Code; got != test.want {
				t.Errorf("%s, %s visit: got %d, want %d", test.name, visit, got, test.want)
			}
		}
	}
}

// asked returns the least privileged of the groups, given from the most privileged one, that gets in.
func asked(d *door, method, host, target string, groups []int) int {
	for i := len(groups) - 1; i >= 0; i-- {
		req := httptest.NewRequest(http.MethodGet, "http://sonarr.example.com/", http.NoBody)
		req.Method, req.Host, req.RequestURI = method, host, target
		var err error
		if req.URL, err = url.ParseRequestURI(target); err != nil {
			d.t.Fatal(err)
		}
		if groups[i] != guest {
			req.Header.Set("Cookie", cookie+"="+claimed(fmt.Sprintf(`"groupID":%d`, groups[i])))
		}
		d.seen = nil
		d.handler.ServeHTTP(httptest.NewRecorder(), req)
		if d.seen != nil {
			return groups[i]
		}
	}
	return -1
}

// paths is testdata/paths.json: how paths are read.
type paths struct {
	Group string
	Rules []string
	Cases []struct{ Why, Method, Host, Target, Group string }
}

func pathTable(t testing.TB) (table paths) {
	t.Helper()
	readData(t, "testdata/paths.json", &table)
	return table
}

// A trick is one token of testdata/tokens.json.
type trick struct{ Trick, Why, Token string }

// tokenTable returns the tokens of testdata/tokens.json that must fail, and those that must pass.
func tokenTable(t testing.TB) (fail, pass []trick) {
	t.Helper()
	var table struct{ Fail, Pass []trick }
	readData(t, "testdata/tokens.json", &table)
	return table.Fail, table.Pass
}

func TestHostileTokens(t *testing.T) {
	fail, pass := tokenTable(t)
	fail = append(fail, trick{"a megabyte", "a token is at most 8 KiB", strings.Repeat("eyJh.", 1<<20/5)})
	d := newDoor(t, func(config *Config) { config.AcceptBearer, config.Group = true, "998" })
	for want, tricks := range map[int][]trick{http.StatusUnauthorized: fail, http.StatusOK: pass} {
		for _, one := range tricks {
			for _, headers := range [][]string{{"Cookie", cookie + "=" + one.Token}, {"Authorization", "Bearer " + one.Token}} {
				if got := d.knock("GET", "/", headers...).Code; got != want {
					t.Errorf("%s (%s) in %s: got %d, want %d", one.Trick, one.Why, headers[0], got, want)
				}
				if want == http.StatusOK && d.seen != nil && d.seen.Header.Get("X-Organizr-Group") != "0" {
					t.Errorf("%s: the service was told group %q", one.Trick, d.seen.Header.Get("X-Organizr-Group"))
				}
			}
		}
	}
}

func TestNamesOfClaimsMatchExactly(t *testing.T) {
	const header = `{"typ":"JWT","alg":"HS256"}`
	good := []struct{ name, value, other string }{
		{"iss", `"Organizr"`, `"another"`},
		{"aud", `"Organizr"`, `"another"`},
		{"exp", fmt.Sprint(organizr.ValidAt + 60), "1"},
		{"nbf", fmt.Sprint(organizr.ValidAt - 60), fmt.Sprint(organizr.ValidAt + 3600)},
		{"groupID", "4", "0"},
		{"name", `"bob"`, `"alice"`},
		{"username", `"bob"`, `"alice"`},
		{"email", `"bob@example.com"`, `"alice@example.com"`},
		{"group", `"User"`, `"Admin"`},
		{"userID", "2", "1"},
		{"image", `"https://example.com/bob.png"`, `"https://example.com/alice.png"`},
	}
	d := newDoor(t, func(config *Config) {
		config.Headers["X-All"] = "{username} {email} {group} {groupID} {userID} {image}"
	})
	for i, claim := range good {
		var whole []string
		for _, one := range good {
			if claim.name != "name" || one.name != "username" { // which counts first
				whole = append(whole, fmt.Sprintf("%q:%s", one.name, one.value))
			}
		}
		for _, name := range []string{strings.ToUpper(claim.name), strings.ToUpper(claim.name[:1]) + claim.name[1:], strings.ToLower(claim.name[:2]) + strings.ToUpper(claim.name[2:])} {
			other := fmt.Sprintf("%q:%s", name, claim.other)
			for _, claims := range []string{other + "," + strings.Join(whole, ","), strings.Join(whole, ",") + "," + other} {
				d.knock("GET", "/", "Cookie", cookie+"="+sign(header, "{"+claims+"}", organizr.OrganizrHash))
				if d.seen == nil {
					t.Errorf("%s beside the right claims makes them no session", name)
				} else if told := d.seen.Header.Get("X-All"); told != "bob bob@example.com User 4 2 https://example.com/bob.png" {
					t.Errorf("%s beside the right claims: the service was told %q", name, told)
				}
			}
			if i < 5 && claim.name != "nbf" {
				renamed := strings.Replace(strings.Join(whole, ","), `"`+claim.name+`"`, `"`+name+`"`, 1)
				if got := d.knock("GET", "/", "Cookie", cookie+"="+sign(header, "{"+renamed+"}", organizr.OrganizrHash)).Code; got != 401 {
					t.Errorf("%s in the place of %s: got %d, want 401", name, claim.name, got)
				}
			}
		}
	}
}

// readData decodes a file of JSON.
func readData(t testing.TB, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestHowPathsAreRead(t *testing.T) {
	table := pathTable(t)
	d := newDoor(t, func(config *Config) { config.Group, config.Rules = table.Group, table.Rules })
	for _, test := range table.Cases {
		want, err := parseGroup("group", test.Group)
		if err != nil {
			t.Fatal(err)
		}
		if got := asked(d, test.Method, test.Host, test.Target, []int{0, 1, 3, 4, 999}); got != want {
			t.Errorf("%s: %s %s at %s asks for %d, want %d", test.Why, test.Method, test.Target, test.Host, got, want)
		}
	}
}

func TestTheMostSpecificRuleWins(t *testing.T) {
	for _, test := range []struct {
		name  string
		group string
		rules []string
		paths map[string]int
	}{
		{"open within closed within open", "User", []string{"/=Guest", "/admin/=Admin", "/admin/login=Guest"}, map[string]int{
			"/": 999, "/x": 999, "/X": 999, "/admin": 0, "/admin/": 0, "/admin/x": 0, "/ADMIN/x": 0, "/admin/login": 999, "/admin/Login": 0, "/Admin/login": 999,
		}},
		{"a closed wildcard in an opened root", "User", []string{"/=Guest", "/{user}/=User"}, map[string]int{"/": 999, "/bob": 4, "/bob/": 4, "/bob/x": 4}},
		{"a closed wildcard as a file", "User", []string{"/=Guest", "/{user}=3"}, map[string]int{"/": 999, "/bob": 3, "/bob/": 3, "/bob/x": 999}},
		{"a rule in another case closes what the root opens", "User", []string{"/=Guest", "/api/=998"}, map[string]int{"/api/x": 998, "/API/x": 998, "/api": 998, "/x": 999}},
		{"a rule that opens, in another case, stays closed by the root", "Guest", []string{"/=Admin", "/status=Guest"}, map[string]int{"/status": 999, "/STATUS": 0, "/status/": 0}},
		{"closed patterns that differ in case", "User", []string{"/a=0", "/A=3"}, map[string]int{"/a": 0, "/A": 0, "/a/": 0}},
		{"the root only", "User", []string{"/{$}=Guest"}, map[string]int{"/": 999, "/x": 4, "/x/": 4}},
		{"everything below a wildcard", "User", []string{"/{user}/public/=Guest"}, map[string]int{"/bob/public/": 999, "/bob/public/x": 999, "/bob/public": 4, "/bob/": 4}},
		{"the rest as a wildcard", "User", []string{"/api/{rest...}=Guest"}, map[string]int{"/api/": 999, "/api/x/y": 999, "/api": 4}},
		{"a rule for the group itself closes what another opens", "User", []string{"/=Guest", "/me/=User"}, map[string]int{"/ME/": 4, "/me": 4, "/you": 999}},
		{"rules for both spellings", "User", []string{"/api/=Guest", "/API/=Guest"}, map[string]int{"/api/x": 999, "/API/x": 999, "/Api/x": 4}},
		{"a folder under an opened one", "User", []string{"/a/=Guest", "/a/b/=998"}, map[string]int{"/a/b": 998, "/a/b/": 998, "/a/b/c": 998, "/a/c": 999}},
		{"methods", "User", []string{"GET /=Guest", "POST /=Admin", "get /x=3"}, map[string]int{"/": 999, "/x": 3}},
		{"a group that anybody may have", "Guest", []string{"/admin/=Admin"}, map[string]int{"/": 999, "/ADMIN/": 0, "/admin;x/": 0, "/x;y": 999}},
		{"opening in a middleware for Admin", "0", []string{"/api/=3", "/api/x=Guest"}, map[string]int{"/": 0, "/api/": 3, "/api/x": 999, "/api/X": 3, "/API/x": 0}},
	} {
		d := newDoor(t, func(config *Config) { config.Group, config.Rules = test.group, test.rules })
		for path, want := range test.paths {
			if got := asked(d, "GET", "sonarr.example.com", path, []int{0, 3, 4, 998, 999}); got != want {
				t.Errorf("%s: %s asks for %d, want %d", test.name, path, got, want)
			}
		}
	}
}

func TestHeadersThatNameAnotherPathAreGone(t *testing.T) {
	d := newDoor(t, func(config *Config) { config.Rules = []string{"/public/=Guest"} })
	d.knock("GET", "/public/", "X-Original-URL", "/admin", "X_Rewrite_Url", "/admin")
	if len(d.seen.Header) != 0 {
		t.Errorf("the service got %v", d.seen.Header)
	}
}

func TestMistakesAreReported(t *testing.T) {
	for _, test := range []struct {
		name    string
		options func(*Config)
		says    []string
	}{
		{"no group", func(c *Config) { c.Group = "" }, []string{"group: missing", "Logged In"}},
		{"group -1", func(c *Config) { c.Group = "-1" }, []string{`group: "-1" isn't a group; give a number from 0 to 999`}},
		{"group 1000", func(c *Config) { c.Group = "1000" }, []string{`group: "1000" isn't a group`}},
		{"group 4.5", func(c *Config) { c.Group = "4.5" }, []string{`group: "4.5" isn't a group`}},
		{"group admins", func(c *Config) { c.Group = "admins" }, []string{`group: "admins" isn't a group`, "Admin, Co-Admin"}},
		{"no uuid", func(c *Config) { c.UUID = "" }, []string{"uuid: missing"}},
		{"a uuid that can't be in a cookie's name", func(c *Config) { c.UUID = "a b;c" }, []string{`uuid: "a b;c" can't be part of a cookie's name`}},
		{"no secret", func(c *Config) { c.Secret = "" }, []string{"secret: missing"}},
		{"a blank secret", func(c *Config) { c.Secret = " \t" }, []string{"secret: blank"}},
		{"a blank secret and no uuid", func(c *Config) { c.UUID, c.Secret = "", " " }, []string{"uuid: missing", "secret: blank"}},
		{"two secrets", func(c *Config) { c.SecretFile = "/run/secrets/hash" }, []string{"secret: more than one source; give only one of secret, secretFile and configFile"}},
		{"an address without scheme", func(c *Config) { c.OrganizrURL = "organizr.example.com" }, []string{`organizrURL: "organizr.example.com"`, "https://organizr.example.com"}},
		{"an address without host", func(c *Config) { c.OrganizrURL = "https:///x" }, []string{`organizrURL: "https:///x"`}},
		{"an address of another scheme", func(c *Config) { c.OrganizrURL = "ftp://x.example" }, []string{"organizrURL:"}},
		{"an address with a query", func(c *Config) { c.OrganizrURL = "https://x.example/?a" }, []string{"organizrURL:"}},
		{"a rule without group", func(c *Config) { c.Rules = []string{"/api/"} }, []string{`rules: "/api/" isn't PATTERN=GROUP`}},
		{"a rule with an unknown group", func(c *Config) { c.Rules = []string{"/api/=gast"} }, []string{`rules: "/api/=gast": "gast" isn't a group`}},
		{"a pattern without a slash", func(c *Config) { c.Rules = []string{"api=Guest"} }, []string{`rules: parsing "api"`, "missing /"}},
		{"a pattern that ServeMux can't read", func(c *Config) { c.Rules = []string{"/{=Guest"} }, []string{`rules: parsing "/{"`}},
		{"the same pattern twice", func(c *Config) { c.Rules = []string{"/a=1", "/a=2"} }, []string{`rules: pattern "/a" conflicts with pattern "/a"`}},
		{"patterns of which neither is more specific", func(c *Config) { c.Rules = []string{"/a/{x}=1", "/{y}/b=2"} }, []string{`rules: pattern "/{y}/b" conflicts with pattern "/a/{x}"`}},
		{"a closed file whose folder another rule shares", func(c *Config) { c.Rules = []string{"/a/{x}=1", "/{y}/b/=Guest"} }, []string{`rules: pattern "/{y}/b" conflicts with pattern "/a/{x}"`}},
		{"a pattern with a host", func(c *Config) { c.Rules = []string{"GET admin.example.com/=1"} }, []string{`rules: "GET admin.example.com/=1" has a host`, "Traefik's routers"}},
		{"an unknown claim", func(c *Config) { c.Allow, c.Deny = []string{"name=x"}, []string{"groups=1"} }, []string{`allow: "name=x"`, `deny: "groups=1"`, "username, email, group, groupID or userID"}},
		{"a claim without value", func(c *Config) { c.Deny = []string{"username=", "email"} }, []string{`deny: "username="`, `deny: "email"`}},
		{"an unknown placeholder", func(c *Config) { c.Headers["X-A"] = "{name}" }, []string{`headers: "X-A" has the unknown placeholder "{name}"`, "{username}"}},
		{"an impossible header", func(c *Config) { c.Headers["X A"] = "" }, []string{`headers: "X A" can't be the name of a header`}},
		{"a header on two lines", func(c *Config) { c.Headers["X-A"] = "1\r\nX-B: 2" }, []string{`headers: "X-A" has a control character`}},
		{"a header of the connection", func(c *Config) { c.Headers["host"] = "x" }, []string{`headers: "host" can't be set`}},
		{"one header twice", func(c *Config) { c.Headers["X-A"], c.Headers["x_a"] = "1", "2" }, []string{`headers: "X-A" and "x_a" are the same header`}},
		{"everything at once", func(c *Config) {
			*c = Config{Rules: []string{"/"}, OrganizrURL: "x", Headers: map[string]string{"": "x"}}
		}, []string{"uuid:", "secret:", "organizrURL:", "group:", "rules:", "headers:"}},
	} {
		config := CreateConfig()
		config.UUID, config.Secret, config.Group = organizr.UUID, organizr.OrganizrHash, "User"
		test.options(config)
		handler, err := New(context.Background(), http.NotFoundHandler(), config, "door")
		if err == nil || handler != nil {
			t.Errorf("%s: no error", test.name)
			continue
		}
		for _, part := range test.says {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %v\ndoesn't say %s", test.name, err, part)
			}
		}
		for _, never := range []string{"registered at", ".go:", organizr.OrganizrHash, "\n"} {
			if strings.Contains(err.Error(), never) {
				t.Errorf("%s: %v\nsays %s", test.name, err, never)
			}
		}
	}
}

// write writes a file of the test.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// configOf returns a config.php as Organizr writes it.
func configOf(uuid, hash string) string {
	return "<?php\nreturn [\n\t'organizrHash' => '" + hash + "',\n\t'uuid' => '" + uuid + "'\n];"
}

func TestConfigFileAsOrganizrWritesIt(t *testing.T) {
	text, err := os.ReadFile("testdata/organizr/config.php")
	if err != nil {
		t.Fatal(err)
	}
	values, err := parseConfig(string(text))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"organizrHash": organizr.OrganizrHash,
		"uuid":         organizr.UUID,
		"title":        "Home's Organizr",
		"customCss":    "body{}\n\t'organizrHash' => 'attacker-chosen-secret-000000000000',\n\t'uuid' => '00000000-0000-0000-0000-000000000000',\n/* it's \\ done */",
	} {
		if values[name] != want {
			t.Errorf("%s: got %q, want %q", name, values[name], want)
		}
	}
	for length := range text {
		if values, err := parseConfig(string(text[:length])); err == nil {
			t.Fatalf("the first %d bytes pass for the whole: %v", length, values)
		}
	}
}

func TestConfigFilesAsPHPReadsThem(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       string // the hash; empty if the file isn't one that Organizr writes
	}{
		{"one line", `<?php return ['organizrHash' => 'x'];`, "x"},
		{"the old spelling of arrays", "<?php\nreturn array(\n'organizrHash' => 'x',\n'a' => array('organizrHash' => 'y'),\n);\n", "x"},
		{"a comma at the end", `<?php return ['organizrHash' => 'x',];`, "x"},
		{"escapes", `<?php return ['organizrHash' => 'a\'b\\c\n'];`, `a'b\c\n`},
		{"the last of two keys", `<?php return ['organizrHash' => 'x', 'organizrHash' => 'y'];`, "y"},
		{"a number after a text", `<?php return ['organizrHash' => 'x', 'organizrHash' => 5];`, ""},
		{"every kind of value", `<?php return ['a' => true, 'b' => null, 'c' => -1.5e3, 'd' => [], 'e' => ['f' => [0 => 'g']], 7 => 'h', 'organizrHash' => 'x'];`, "x"},
		{"a nested key only", `<?php return ['a' => ['organizrHash' => 'x']];`, ""},
		{"a key within a text", `<?php return ['a' => '\'organizrHash\' => \'x\','];`, ""},
		{"no array", `<?php return 'x';`, ""},
		{"something before", `x<?php return ['organizrHash' => 'x'];`, ""},
		{"something after", `<?php return ['organizrHash' => 'x']; echo 1;`, ""},
		{"a value that PHP works out", `<?php return ['organizrHash' => 'x' . 'y'];`, ""},
		{"a text that PHP works out", `<?php return ['organizrHash' => "x$y"];`, ""},
		{"mixed brackets", `<?php return ['organizrHash' => 'x');`, ""},
		{"no arrow", `<?php return ['organizrHash', 'x'];`, ""},
		{"no end of the text", `<?php return ['organizrHash' => 'x];`, ""},
		{"deep nesting", `<?php return ` + strings.Repeat("['a' => ", 10000) + "1" + strings.Repeat("]", 10000) + ";", ""},
		{"empty", "", ""},
		{"YAML", "organizrHash: x", ""},
	} {
		values, err := parseConfig(test.text)
		if got := values["organizrHash"]; got != test.want {
			t.Errorf("%s: got %q and %v, want %q", test.name, got, err, test.want)
		}
	}
}

// databases is testdata/databases/databases.json: what a right reader finds in the files beside it.
type databases struct {
	Read []struct {
		File, About string
		Content     struct {
			Users []struct {
				ID                     int
				Username, Email, Image string
				GroupID                *int
				Locked                 bool
			}
			Groups map[string]string
			Tokens map[string]int
		}
	}
	Busy, Refused, Ends []struct{ File, About string }
}

func databaseText(t testing.TB, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata/databases", file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestDatabasesAsSQLiteReadsThem(t *testing.T) {
	var table databases
	readData(t, "testdata/databases/databases.json", &table)
	for _, test := range table.Read {
		t.Run(test.File+", "+test.About, func(t *testing.T) {
			read, err := parseDatabase(databaseText(t, test.File))
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]*account{}
			for token, id := range test.Content.Tokens {
				for _, user := range test.Content.Users {
					if user.ID != id || user.GroupID == nil {
						continue
					}
					number := fmt.Sprint(*user.GroupID)
					group := test.Content.Groups[number]
					if group == "" {
						group = number
					}
					want[token] = &account{groupID: *user.GroupID, claims: map[string]string{
						"userID": fmt.Sprint(id), "username": user.Username, "email": user.Email, "image": user.Image, "groupID": number, "group": group,
					}}
					if user.Locked {
						want[token].refused = errLocked
					}
				}
			}
			if !reflect.DeepEqual(read.accounts, want) {
				t.Errorf("got %d accounts, want %d", len(read.accounts), len(want))
				for token, account := range want {
					if !reflect.DeepEqual(read.accounts[token], account) {
						t.Errorf("got %v, want %v", read.accounts[token], account)
					}
				}
			}
		})
	}
	for _, test := range table.Refused {
		t.Run(test.File+" is refused, "+test.About, func(t *testing.T) {
			if read, err := parseDatabase(databaseText(t, test.File)); err == nil {
				t.Errorf("got %d accounts", len(read.accounts))
			}
		})
	}
	for _, test := range table.Ends {
		t.Run(test.File+" ends, "+test.About, func(t *testing.T) {
			_, _ = parseDatabase(databaseText(t, test.File))
		})
	}
}

// setenv sets an environment variable until the test ends. Unlike t.Setenv it does so for interpreted code too.
func setenv(t *testing.T, variable, value string) {
	t.Helper()
	if err := os.Setenv(variable, value); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Unsetenv(variable) })
}

func TestWhereTheKeyComesFrom(t *testing.T) {
	folder := t.TempDir()
	hashFile, phpFile := filepath.Join(folder, "hash"), filepath.Join(folder, "config.php")
	write(t, hashFile, organizr.OrganizrHash+"\n")
	write(t, phpFile, configOf(organizr.UUID, organizr.OrganizrHash))
	other := filepath.Join(folder, "other.php")
	write(t, other, configOf("other", "another-hash-that-is-long-enough-for-HS256"))
	for _, test := range []struct {
		name        string
		config      Config
		environment map[string]string
		mistake     string // empty if bob gets in
	}{
		{"secret and uuid", Config{UUID: organizr.UUID, Secret: organizr.OrganizrHash}, nil, ""},
		{"the cookie's full name", Config{UUID: cookie, Secret: organizr.OrganizrHash}, nil, ""},
		{"secretFile and uuid", Config{UUID: organizr.UUID, SecretFile: hashFile}, nil, ""},
		{"configFile", Config{ConfigFile: phpFile}, nil, ""},
		{"all from the environment", Config{}, map[string]string{"ORGANIZR_UUID": organizr.UUID, "ORGANIZR_SECRET": organizr.OrganizrHash}, ""},
		{"a secret file from the environment", Config{}, map[string]string{"ORGANIZR_UUID": organizr.UUID, "ORGANIZR_SECRET_FILE": hashFile}, ""},
		{"a config file from the environment", Config{}, map[string]string{"ORGANIZR_CONFIG_FILE": phpFile}, ""},
		{"uuid of one's own, secret from the environment", Config{UUID: organizr.UUID}, map[string]string{"ORGANIZR_UUID": "x", "ORGANIZR_SECRET": organizr.OrganizrHash}, ""},
		{"secret of one's own, uuid from the environment", Config{Secret: organizr.OrganizrHash}, map[string]string{"ORGANIZR_UUID": organizr.UUID, "ORGANIZR_SECRET": "x"}, ""},
		{"a config file of one's own wins over the environment", Config{ConfigFile: phpFile}, map[string]string{"ORGANIZR_UUID": "x", "ORGANIZR_SECRET": "x", "ORGANIZR_CONFIG_FILE": other}, ""},
		{"a uuid of one's own wins over the config file's", Config{UUID: organizr.UUID, ConfigFile: phpFile}, nil, ""},
		{"a uuid from the environment doesn't name the secret's option", Config{Secret: organizr.OrganizrHash}, nil, "uuid: missing"},
		{"two in the environment", Config{UUID: "x"}, map[string]string{"ORGANIZR_SECRET": "x", "ORGANIZR_CONFIG_FILE": phpFile}, "give only one of ORGANIZR_SECRET, ORGANIZR_SECRET_FILE and ORGANIZR_CONFIG_FILE"},
		{"two of one's own", Config{ConfigFile: phpFile, Secret: "x"}, nil, "give only one of secret, secretFile and configFile"},
		{"a blank one in the environment", Config{UUID: "x"}, map[string]string{"ORGANIZR_SECRET": " "}, "secret: blank"},
	} {
		for _, variable := range []string{"ORGANIZR_UUID", "ORGANIZR_SECRET", "ORGANIZR_SECRET_FILE", "ORGANIZR_CONFIG_FILE"} {
			setenv(t, variable, test.environment[variable])
		}
		config := test.config
		config.Group = "User"
		d := &door{t: t}
		handler, err := New(context.Background(), http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) { d.seen = req }), &config, "door")
		if test.mistake != "" {
			if err == nil || !strings.Contains(err.Error(), test.mistake) {
				t.Errorf("%s: got %v, want %s", test.name, err, test.mistake)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		d.handler = handler
		if got := d.knock("GET", "/", "Cookie", "bob").Code; got != 200 {
			t.Errorf("%s: got %d", test.name, got)
		}
	}
}

func TestTheFilesAreFollowed(t *testing.T) {
	defer setClock(0)
	const newHash = "the-new-hash-that-is-long-enough-for-HS256"
	file := filepath.Join(t.TempDir(), "config.php")
	good := configOf(organizr.UUID, organizr.OrganizrHash)
	write(t, file, good)
	options := func(config *Config) { config.UUID, config.Secret, config.ConfigFile = "", "", file }
	d := newDoor(t, options)
	oldSession := cookie + "=" + tokenOf(t, "bob")
	newSession := cookie + "=" + sign(`{"typ":"JWT","alg":"HS256"}`, fmt.Sprintf(`{"iss":"Organizr","aud":"Organizr","exp":%d,"groupID":4}`, organizr.ValidAt+3600), newHash)
	second := 0.0
	check := func(state string, oldWants, newWants int) {
		t.Helper()
		second += 1.5
		setClock(second)
		for _, handler := range []*door{d, newDoor(t, options)} {
			if got := handler.knock("GET", "/", "Cookie", oldSession).Code; got != oldWants {
				t.Errorf("%s: a session of the old key gets %d, want %d", state, got, oldWants)
			}
			if got := handler.knock("GET", "/", "Cookie", newSession).Code; got != newWants {
				t.Errorf("%s: a session of the new key gets %d, want %d", state, got, newWants)
			}
		}
	}
	check("at first", 200, 401)
	for _, state := range []struct{ name, text string }{{"empty", ""}, {"half written", good[:len(good)/2]}, {"without a key", "<?php return [];"}, {"with a blank key", configOf("x", " ")}} {
		write(t, file, state.text)
		check(state.name, 200, 401)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	check("missing", 200, 401)
	write(t, file, configOf(organizr.UUID, newHash))
	check("with a new key", 401, 200)
	write(t, file, configOf("another-uuid", newHash))
	check("with a new uuid", 401, 401)
	write(t, file, good)
	check("with the old key again", 200, 401)
	write(t, file, configOf(organizr.UUID, newHash))
	setClock(second + 0.5)
	if got := d.knock("GET", "/", "Cookie", oldSession).Code; got != 200 {
		t.Errorf("within a second of the last look the file is looked at again: got %d", got)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	d := newDoor(t, func(config *Config) { config.AcceptBearer = true })
	session := cookie + "=" + tokenOf(t, "bob")
	inside, ok := d.handler.(*middleware)
	if !ok {
		t.Fatal("the handler is another one")
	}
	size := func() int { return len(inside.memory.visitors) + len(inside.memory.holders) - 1 } // nobody is always remembered
	for i := 0; i < 20; i++ {
		d.knock("GET", "/", "Cookie", session+strings.Repeat("x", i+1))
		d.knock("GET", "/", "Cookie", "a="+fmt.Sprint(i))
		d.knock("GET", "/", "Authorization", "Bearer x"+fmt.Sprint(i))
	}
	if size() != 0 {
		t.Errorf("%d visitors are remembered who weren't verified", size())
	}
	for i := 0; i < 20; i++ {
		d.knock("GET", "/", "Cookie", session+"; long="+strings.Repeat("x", 5000+i))
		d.knock("GET", "/", "Cookie", session+"; a="+fmt.Sprint(i))
	}
	if size() != 2 {
		t.Errorf("of one session %d entries are remembered, want the token and its last cookies", size())
	}
	for i := 0; i < 1100; i++ {
		d.knock("GET", "/", "Cookie", cookie+"="+claimed(fmt.Sprintf(`"groupID":4,"userID":%d`, i)))
	}
	if size() < 150 || size() > 2000 {
		t.Errorf("%d entries are remembered, want those of at most 1,000 sessions", size())
	}
}

func TestOneModulePath(t *testing.T) {
	const path = "github.com/organizrjwt/organizrjwt"
	for file, part := range map[string]string{
		"go.mod":       "module " + path + "\n",
		".traefik.yml": "import: " + path + "\n",
		"readme.md":    path,
	} {
		text, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(text), part) {
			t.Errorf("%s doesn't have %q: %v", file, part, err)
		}
	}
	text, err := os.ReadFile("go.mod")
	if err != nil || strings.Contains(string(text), "require") {
		t.Errorf("go.mod requires something: %s %v", text, err)
	}
}

// BenchmarkRefusals shows that whatever a stranger sends costs no more than a few times an ordinary refusal.
func BenchmarkRefusals(b *testing.B) {
	forged := sign(`{"typ":"JWT","alg":"HS256"}`, `{"iss":"Organizr"}`, "another-key-that-is-long-enough-for-HS256")
	for _, bench := range []struct {
		name   string
		header http.Header
	}{
		{"ordinary, without a cookie", http.Header{}},
		{"a forged token", http.Header{"Cookie": {cookie + "=" + forged}}},
		{"a token of 64 KiB", http.Header{"Cookie": {cookie + "=" + strings.Repeat("A", 64<<10)}}},
		{"ten thousand cookies", http.Header{"Cookie": {strings.Repeat("a=1; ", 10000)}}},
		{"ten thousand cookies of the name", http.Header{"Cookie": {strings.Repeat(cookie+"=a.b.c; ", 10000)}}},
		{"a thousand lines of Authorization", http.Header{"Authorization": strings.Split(strings.Repeat("Bearer a.b.c\n", 1000), "\n")}},
		{"a bearer token of 64 KiB", http.Header{"Authorization": {"Bearer " + strings.Repeat(".", 64<<10)}}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			config := CreateConfig()
			config.UUID, config.Secret, config.Group, config.AcceptBearer = organizr.UUID, organizr.OrganizrHash, "User", true
			handler, err := New(context.Background(), http.NotFoundHandler(), config, "door")
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for i := 0; i < b.N; i++ {
				req := httptest.NewRequest(http.MethodGet, "http://sonarr.example.com/", http.NoBody)
				req.Header = bench.header.Clone()
				rec := httptest.NewRecorder()
				handler.ServeHTTP(rec, req)
				if rec.Code != http.StatusUnauthorized {
					b.Fatal(rec.Code)
				}
			}
		})
	}
}

func FuzzToken(f *testing.F) {
	validAt := time.Duration(organizr.ValidAt) * time.Second
	for _, session := range organizr.Sessions {
		f.Add(session.Token)
	}
	fail, pass := tokenTable(f)
	for _, trick := range append(fail, pass...) {
		f.Add(trick.Token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		found, err := verify(token, &authority{secret: []byte(organizr.OrganizrHash)}, validAt)
		if (found == nil) == (err == nil) {
			t.Fatalf("%q: a session and an error, or neither: %v", token, err)
		}
		if err != nil && strangers[err] == nil {
			t.Fatalf("%q: nobody stands for %v", token, err)
		}
		if found == nil {
			return
		}
		parts := strings.Split(token, ".")
		mac := hmac.New(sha256.New, []byte(organizr.OrganizrHash))
		mac.Write([]byte(parts[0] + "." + parts[1]))
		if len(parts) != 3 || parts[2] != base64.RawURLEncoding.EncodeToString(mac.Sum(nil)) {
			t.Fatalf("%q isn't signed", token)
		}
		if unsigned, _ := verify(token, &authority{secret: []byte("another-key")}, validAt); unsigned != nil {
			t.Fatalf("%q is a session by another key", token)
		}
	})
}

func FuzzClaims(f *testing.F) {
	validAt := time.Duration(organizr.ValidAt) * time.Second
	f.Add(`{"typ":"JWT","alg":"HS256"}`, `{"iss":"Organizr","aud":["Organizr"],"exp":9999999999,"nbf":1.5,"groupID":"4","name":"x"}`)
	told, err := parseHeader("X", "{username}")
	if err != nil {
		f.Fatal(err)
	}
	fail, pass := tokenTable(f)
	for _, trick := range append(fail, pass...) {
		parts := strings.Split(trick.Token, ".")
		if len(parts) == 3 && len(trick.Token) < longestToken {
			header, _ := base64.RawURLEncoding.DecodeString(parts[0])
			claims, _ := base64.RawURLEncoding.DecodeString(parts[1])
			f.Add(string(header), string(claims))
		}
	}
	f.Fuzz(func(t *testing.T, head, claims string) {
		found, _ := verify(sign(head, claims, organizr.OrganizrHash), &authority{secret: []byte(organizr.OrganizrHash)}, validAt)
		if found == nil {
			return
		}
		var read struct {
			Alg, Typ, Iss string
			Exp           float64
		}
		if json.Unmarshal([]byte(head), &read) != nil || json.Unmarshal([]byte(claims), &read) != nil {
			t.Fatalf("%q %q is a session and isn't JSON", head, claims)
		}
		if !strings.Contains(head, "HS256") && !strings.Contains(head, `\u`) || found.expires <= validAt {
			t.Fatalf("%q %q is a session", head, claims)
		}
		if found.groupID == 0 && !strings.Contains(claims, "0") {
			t.Fatalf("%q makes an administrator of nobody", claims)
		}
		if found.groupID < 0 || found.groupID > 999 || found.claims["groupID"] != fmt.Sprint(found.groupID) {
			t.Fatalf("%q is of group %d", claims, found.groupID)
		}
		who := newVisitor(&middleware{forwarding: forwarding{headers: []*header{told}, names: []string{"X", "Cookie"}}}, found)
		for _, value := range who.values[0] {
			if strings.ContainsAny(value, "\x00\r\n\x7f") || value != strings.TrimSpace(value) {
				t.Fatalf("%q gets into a header", value)
			}
		}
	})
}

func FuzzConfigFile(f *testing.F) {
	text, err := os.ReadFile("testdata/organizr/config.php")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text), "hash", "body{}")
	f.Add("<?php return ['a' => ['b' => 1]];", `\'`, "',\n'organizrHash' => 'mine',\n'")
	f.Add("<?php return array(", "*/", "];")
	f.Fuzz(func(t *testing.T, text, hash, css string) {
		if values, err := parseConfig(text); err == nil {
			if again, err := parseConfig(text + " "); err != nil || !reflect.DeepEqual(values, again) {
				t.Fatalf("%q is read in two ways", text)
			}
			if _, err := parseConfig(text[:len(strings.TrimRight(text, "; \t\r\n\v\f\u0085\u00a0"))]); err == nil {
				t.Fatalf("half of %q passes for the whole", text)
			}
		}
		quote := func(text string) string { return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'" }
		whole := "<?php\nreturn [\n\t'a' => " + quote(css) + ",\n\t'b' => [\n\t\t'organizrHash' => " + quote(css) + "\n\t],\n\t'organizrHash' => " + quote(hash) + ",\n\t'z' => " + quote(css) + "\n];"
		values, err := parseConfig(whole)
		if err != nil || values["organizrHash"] != hash || values["a"] != css || values["z"] != css {
			t.Fatalf("got %q and %v from %s", values, err, whole)
		}
	})
}

func FuzzCookieRemoval(f *testing.F) {
	f.Add("a=1; N=2; b=3")
	f.Add("N=2;N=3; N = 4 ;;; aN=1;N2=1;N")
	f.Add("\t N=\"x;y\"; c")
	f.Add("; ")
	f.Add(strings.Repeat("N", 32) + "0")
	f.Fuzz(func(t *testing.T, line string) {
		var left []string
		for _, part := range strings.Split(line, ";") {
			name, _, _ := strings.Cut(part, "=")
			if strings.Trim(name, " \t") != "N" {
				left = append(left, part)
			}
		}
		got := withoutSessions(line, "1", &authority{cookie: "N", cookies: cookiesNamed("N")})
		if want := strings.Join(left, ";"); strings.TrimLeft(got, " \t") != strings.TrimLeft(want, " \t") {
			t.Fatalf("%q: got %q, want %q", line, got, want)
		}
		if !strings.Contains(line, "N") && got != line {
			t.Fatalf("%q: became %q", line, got)
		}
	})
}

func FuzzPaths(f *testing.F) {
	table := pathTable(f)
	for _, test := range table.Cases {
		f.Add(test.Target)
	}
	group, err := parseGroup("group", table.Group)
	if err != nil {
		f.Fatal(err)
	}
	all, err := parseRules(table.Rules, group)
	if err != nil {
		f.Fatal(err)
	}
	ask := func(target *url.URL) int {
		return groupByRules(all, &http.Request{Method: http.MethodGet, Host: "sonarr.example.com", URL: target})
	}
	f.Fuzz(func(t *testing.T, target string) {
		address, err := url.ParseRequestURI(target)
		if err != nil || !strings.HasPrefix(address.Path, "/") {
			return
		}
		asked := ask(address)
		cleaned := func(text string) string {
			if strings.HasSuffix(text, "/") && path.Clean(text) != "/" {
				return path.Clean(text) + "/"
			}
			return path.Clean(text)
		}
		for name, reading := range map[string]string{
			"cleaned":                   cleaned(address.Path),
			"with backslashes":          cleaned(strings.ReplaceAll(address.Path, `\`, "/")),
			"decoded again":             cleaned(decoder.Replace(address.Path)),
			"without parameters":        cleaned(parameters.ReplaceAllString(address.Path, "")),
			"parameters cut before":     cleaned(decoder.Replace(parameters.ReplaceAllString(address.EscapedPath(), ""))),
			"up to a NUL":               cleaned(strings.Split(address.Path, "\x00")[0]),
			"in lower case":             cleaned(strings.ToLower(address.Path)),
			"backslashes, no parameter": cleaned(strings.ReplaceAll(parameters.ReplaceAllString(address.Path, ""), `\`, "/")),
		} {
			cleaner := &url.URL{Path: reading}
			if len(cleaner.EscapedPath()) > longestPath {
				continue // too long to say, so that the strictest rule holds
			}
			closed := ask(cleaner)
			if name == "in lower case" && closed >= group {
				continue // what is opened is opened as it is written
			}
			if asked > closed && asked > group {
				t.Fatalf("%q asks for %d, but as a service may read it, %s, %q, for %d", target, asked, name, reading, closed)
			}
			if asked > closed && closed < group {
				t.Fatalf("%q asks for %d, but %s it is %q, which asks for %d", target, asked, name, reading, closed)
			}
		}
	})
}
