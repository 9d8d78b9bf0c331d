package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/service"
)

// readings are the ways in which services read a path that a proxy has passed on unchanged.
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
	"as a server does that cuts parameters off before it decodes, twice": func(escaped string) string {
		return path.Clean(once(once(regexp.MustCompile(`;[^/]*`).ReplaceAllString(escaped, ""))))
	},
	"as a proxy does that decodes, then cuts at what looks like a query": func(escaped string) string {
		return path.Clean(regexp.MustCompile(`[?#].*`).ReplaceAllString(once(escaped), ""))
	},
	"as PHP does whose patterns end in $": func(escaped string) string {
		return path.Clean(strings.TrimSuffix(once(escaped), "\n")) // preg_match lets it match before a final newline
	},
	"as .NET does": func(escaped string) string {
		return path.Clean(strings.ToLower(strings.ReplaceAll(once(escaped), `\`, "/")))
	},
	"as .NET on Windows does, decoding twice": func(escaped string) string {
		cleaned := path.Clean(strings.ToLower(strings.ReplaceAll(once(once(escaped)), `\`, "/")))
		return regexp.MustCompile(`([^/. ])[. ]+(/|$)`).ReplaceAllString(cleaned, "$1$2")
	},
}

// once decodes a path as lenient services do: what can't be decoded stays as it is.
func once(escaped string) string {
	return regexp.MustCompile(`%[0-9A-Fa-f]{2}`).ReplaceAllStringFunc(escaped, func(escape string) string {
		decoded, _ := url.PathUnescape(escape)
		return decoded
	})
}

// protected are the files that only these visitors may see.
var protected = []struct {
	pattern  *regexp.Regexp
	visitors []string
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
					rw.Header().Add("X-Only-For", strings.Join(one.visitors, " "))
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
			s := setUp(t, nil, func(options *proxy.Options) {
				options.Dynamic = routes(map[string]table{"sonarr": {"group": paths.Group, "rules": paths.Rules}}, backend.URL)
				options.Flags = flags
			})
			served := map[string]int{}
			for _, attack := range paths.Cases {
				t.Run(attack.Why+": "+attack.Method+" "+attack.Target, func(t *testing.T) {
					for _, visitor := range []string{"", "bob", "pat", "alice"} {
						var headers []string
						if visitor != "" {
							headers = as(visitor)
						}
						got := s.in(t).ask(attack.Method, attack.Host, attack.Target, headers...)
						for i, only := range got.Header["X-Only-For"] {
							served[visitor]++
							if !slices.Contains(strings.Fields(only), visitor) {
								t.Errorf("%q was served the file %s", visitor, got.Header["X-Served"][i])
							}
						}
					}
				})
			}
			if served["alice"] < 50 || served["pat"] == 0 || served["bob"] == 0 {
				t.Errorf("too few files were served to visitors who may see them: %v", served)
			}
		})
	}
}

func TestPathsThatServicesReadAsClosedOnes(t *testing.T) {
	s := setUp(t, map[string]table{
		"files":  {"group": "User", "rules": []string{"/secret=Admin", "/vault/=Admin"}},
		"folder": {"group": "User", "rules": []string{"/=Guest", "/api/=998"}},
		"status": {"group": "Guest", "rules": []string{"/=Admin", "/status=Guest"}},
		"spaces": {"group": "User", "rules": []string{"/secret%20=Admin", "/vault%20/=Admin"}},
		"names":  {"group": "User", "rules": []string{"/api/=Admin", "/api/{name}=Guest"}},
	})
	for _, test := range []struct {
		name, host, target string
		visitor            string
		want               int
	}{
		{"the closed file itself", "files", "/secret", "bob", 403},
		{"a visitor that the rule admits", "files", "/secret", "alice", 200},
		{"with a slash", "files", "/secret/", "bob", 403},
		{"in capitals", "files", "/SECRET", "bob", 403},
		{"a letter encoded", "files", "/s%65cret", "bob", 403},
		{"a letter encoded twice", "files", "/%2573ecret", "bob", 403},
		{"a letter encoded three times", "files", "/%252573ecret", "bob", 403},
		{"a capital encoded", "files", "/%53ecret", "bob", 403},
		{"a letter that is an s in capitals", "files", "/%C5%BFecret", "bob", 403},
		{"a newline at its end, which PHP's patterns don't see", "files", "/secret%0a", "bob", 403},
		{"a newline at its end, encoded twice", "files", "/secret%250a", "bob", 403},
		{"a NUL, at which C ends", "files", "/secret%00.jpg", "bob", 403},
		{"a question mark, at which a proxy cuts", "files", "/secret%3fx", "bob", 403},
		{"a question mark encoded twice", "files", "/secret%253fx", "bob", 403},
		{"a hash, at which a proxy cuts", "files", "/secret%23x", "bob", 403},
		{"a parameter, which Tomcat cuts off", "files", "/secret;x=1", "bob", 403},
		{"a parameter, encoded", "files", "/secret%3bx", "bob", 403},
		{"a parameter with a slash in it, before a name encoded twice", "files", "/;%2fx/%2573ecret", "bob", 403},
		{"a parameter before it", "files", "/;x/secret", "bob", 403},
		{"dots at its end, which Windows drops", "files", "/secret...", "bob", 403},
		{"spaces at its end, which Windows drops", "files", "/secret%20%20", "bob", 403},
		{"a folder before it that is left again", "files", "/songs/..%2fsecret", "bob", 403},
		{"a folder before it that is left again, with backslashes", "files", "/songs%5c..%5csecret", "bob", 403},
		{"a folder that is left again by dots with a parameter", "files", "/songs/..;/secret", "bob", 403},
		{"a folder that is left again by dots with an encoded parameter", "files", "/songs/..%3b/secret", "bob", 403},
		{"a folder that is left again, all of it encoded twice", "files", "/songs/%252e%252e%252f%2573ecret", "bob", 403},
		{"a dot at its end as a folder", "files", "/secret/.", "bob", 403},
		{"a next line, a control character beyond ASCII", "files", "/secret%c2%85", "bob", 403},
		{"a dot encoded", "files", "/songs/%252e%252e/secret", "bob", 403},
		{"a slash too many", "files", "/%2fsecret", "bob", 403},
		{"a closed folder by its encoded slash", "files", "/vault%2fkeys", "bob", 403},
		{"a closed folder's name alone", "files", "/vault", "bob", 403},
		{"a control character, which services read differently", "files", "/songs/a%09b", "bob", 403},
		{"encoded more often than anybody needs", "files", "/songs/%25252541", "bob", 403},
		{"five kilobytes once decoded", "files", "/songs/" + strings.Repeat("la%20", 5<<10/3), "bob", 403},
		{"eight kilobytes of nested encodings", "files", "/songs/%" + strings.Repeat("25", 8<<10/2) + "41", "bob", 403},

		{"a name that ends in a space, with an extension", "spaces", "/secret%20.json", "bob", 403},
		{"the same, encoded twice", "spaces", "/secret%2520.json", "bob", 403},
		{"a folder whose name ends in a space, with an extension", "spaces", "/vault%20.json", "bob", 403},
		{"a visitor whom the rule of that folder admits", "spaces", "/vault%20.json", "alice", 200},

		{"a song with a question mark", "files", "/songs/Who%3F", "bob", 200},
		{"a song with a slash", "files", "/songs/a%2Fb", "bob", 200},
		{"a song with a percent sign", "files", "/songs/100%25", "bob", 200},
		{"a song with a semicolon", "files", "/songs/Love;%20Hate", "bob", 200},
		{"a song with a hash", "files", "/songs/No.%20%231", "bob", 200},
		{"a song beyond ASCII", "files", "/songs/%E2%98%83%20%C3%BC", "bob", 200},
		{"a song of that name", "files", "/songs/secret", "bob", 200},
		{"a name that begins with it", "files", "/secretary", "bob", 200},
		{"a kilobyte that isn't plain", "files", "/songs/" + strings.Repeat("la%20", 300), "bob", 200},
		{"three kilobytes of percent signs", "files", "/songs/" + strings.Repeat("%25", 3<<10) + "41", "bob", 200},
		{"two kilobytes that are plain", "files", "/songs/" + strings.Repeat("la/", 700), "bob", 200},

		{"an opened page", "folder", "/", "", 200},
		{"a folder that is closed again", "folder", "/api/x", "", 401},
		{"that folder in capitals", "folder", "/API/x", "", 401},
		{"that folder in capitals, for a visitor who is logged in", "folder", "/API/x", "fay", 200},
		{"an opened name in a closed folder", "names", "/api/status", "", 200},
		{"one with a dot and a space", "names", "/api/Sales%20report.pdf", "", 200},
		{"one that is an encoded slash", "names", "/api/%2f", "bob", 403},
		{"one with a slash, which makes two names of it", "names", "/api/status%2fkeys", "bob", 403},
		{"below an opened name", "names", "/api/status/keys", "bob", 403},
		{"below it, for a visitor that the folder's rule admits", "names", "/api/status/keys", "alice", 200},
		{"the closed folder around it", "names", "/api/", "bob", 403},
		{"that folder without its slash", "names", "/api", "bob", 403},
		{"a page that is opened again", "status", "/status", "", 200},
		{"that page in capitals isn't the one that the rule says", "status", "/STATUS", "", 401},
	} {
		t.Run(test.name, func(t *testing.T) {
			var headers []string
			if test.visitor != "" {
				headers = as(test.visitor)
			}
			if got := s.in(t).ask("GET", test.host+".example.com", test.target, headers...).StatusCode; got != test.want {
				t.Errorf("%s at %.80s: got %d, want %d", cmp.Or(test.visitor, "nobody"), test.target, got, test.want)
			}
		})
	}
}

func TestNoServiceGetsTheSession(t *testing.T) {
	s := setUp(t, map[string]table{
		"user":  {"group": "User", "acceptBearer": true},
		"guest": {"group": "Guest", "acceptBearer": true},
	})
	bob, _ := fakeorganizr.Find("bob")
	alice, _ := fakeorganizr.Find("alice")
	session, other := bob.Token(hash), alice.Token(hash)
	ended := fakeorganizr.Sign(fakeorganizr.Header, bob.Claims(time.Now().Add(-48*time.Hour), 24*time.Hour), hash)
	cookie := fakeorganizr.Cookie("")
	for _, test := range []struct {
		name    string
		headers []string
	}{
		{"a cookie", []string{"Cookie", cookie + session}},
		{"two cookies", []string{"Cookie", cookie + session + "; a=1; " + cookie + other}},
		{"two lines of cookies", []string{"Cookie", cookie + session, "Cookie", cookie + other}},
		{"a quoted cookie beside a good one", []string{"Cookie", cookie + session + "; " + cookie + `"` + other + `"`}},
		{
			"spaces around the cookie's name",
			[]string{"Cookie", cookie + session + ";  \t" + fakeorganizr.CookieName + " =" + other},
		},
		{"five cookies", []string{"Cookie", strings.Repeat(cookie+session+"; ", 4) + cookie + other}},
		{"a bearer", []string{"Authorization", "Bearer " + session}},
		{"a bearer in capitals", []string{"Authorization", "BEARER " + session}},
		{"a bearer after a tab", []string{"Authorization", "Bearer\t" + session, "Cookie", cookie + session}},
		{"a cookie and a bearer", []string{"Cookie", cookie + session, "Authorization", "Bearer " + session}},
		{"a cookie and somebody else's bearer", []string{"Cookie", cookie + session, "Authorization", "Bearer " + other}},
		{
			"a cookie and two bearers",
			[]string{"Cookie", cookie + session, "Authorization", "Bearer x", "Authorization", "Bearer " + other},
		},
		{
			"a cookie and two bearers in a line",
			[]string{"Cookie", cookie + session, "Authorization", "Bearer x, Bearer " + other},
		},
		{"a cookie and another scheme", []string{"Cookie", cookie + session, "Authorization", "Token token=" + other}},
		{"a cookie and an ended bearer", []string{"Cookie", cookie + session, "Authorization", "Bearer " + ended}},
		{
			"a bearer behind another token's beginning",
			[]string{"Cookie", cookie + session, "Authorization", "Bearer eyJh." + other},
		},
		{
			"a bearer with something before and behind it",
			[]string{"Cookie", cookie + session, "Authorization", "Bearer x-" + other + "x"},
		},
		{
			"a bearer beside a password",
			[]string{"Cookie", cookie + session, "Authorization", "Basic eDp5", "Authorization", "Bearer " + other},
		},
	} {
		for _, host := range []string{"user.example.com", "guest.example.com"} {
			for _, visit := range []string{"first", "second"} {
				t.Run(test.name+" at "+host+", "+visit+" visit", func(t *testing.T) {
					got := s.in(t).ask("GET", host, "/", test.headers...)
					if got.StatusCode != 200 {
						t.Fatalf("got %d, want 200: %s", got.StatusCode, got.Body)
					}
					for _, token := range []string{session, other, ended} {
						if signature := token[strings.LastIndexByte(token, '.')+1:]; strings.Contains(got.Body, signature) {
							t.Errorf("the service received %v", got.seen().Header)
						}
					}
				})
			}
		}
	}
	t.Run("of somebody whose name can't be passed on", func(t *testing.T) {
		unprintable := bob
		unprintable.Username = "bob "
		token := unprintable.Token(hash)
		for range 3 {
			headers := []string{"Cookie", cookie + token, "Authorization", "Basic eDp5"}
			got := s.in(t).ask("GET", "guest.example.com", "/", headers...)
			if got.StatusCode != 200 || strings.Contains(got.Body, token[strings.LastIndexByte(token, '.')+1:]) {
				t.Errorf("got %d, and the service received %v", got.StatusCode, got.seen().Header)
			}
		}
	})
	t.Run("a password stays", func(t *testing.T) {
		headers := []string{"Cookie", cookie + session + "; a=1", "Authorization", "Basic eDp5"}
		got := s.in(t).ask("GET", "user.example.com", "/", headers...).seen().Header
		if got.Get("Authorization") != "Basic eDp5" || got.Get("Cookie") != "a=1" {
			t.Errorf("the service received %v", got)
		}
	})
}

func TestNamesThatUsersChoose(t *testing.T) {
	s := setUp(t, map[string]table{
		"user":  {"group": "User", "headers": table{"X-Group": "{group}"}},
		"admin": {"group": "Admin"},
		"guest": {"group": "Guest"},
		"deny":  {"group": "User", "deny": "username=bob , username = eve"},
	})
	named := func(username string) fakeorganizr.Account {
		return fakeorganizr.Account{Username: username, GroupID: 4}
	}
	eve := fakeorganizr.Account{Username: "eve", Group: "Admin", GroupID: 4}
	for _, test := range []struct {
		name     string
		account  fakeorganizr.Account
		host     string
		want     int
		received string // X-Organizr-User, if the request reached the service
	}{
		{"a control character at the end of somebody else's name", named("alice\u0007"), "user", 403, ""},
		{"a newline", named("alice\nX-Organizr-Group: 0"), "user", 403, ""},
		{"a NUL", named("alice\x00"), "user", 403, ""},
		{"a space at the end", named("alice "), "user", 403, ""},
		{"a space at the beginning", named(" alice"), "user", 403, ""},
		{"a space at the end that can't break", named("alice\u00a0"), "user", 403, ""},
		{"a character without width", named("al\u200bice"), "user", 403, ""},
		{"a hyphen that isn't seen", named("al\u00adice"), "user", 403, ""},
		{"text from right to left", named("\u202eecila"), "user", 403, ""},
		{"a tag that isn't seen", named("alice\U000e0041"), "user", 403, ""},
		{"on a guests' page they count as nobody", named("alice\u0007"), "guest", 200, ""},
		{"an administrator too", fakeorganizr.Account{Username: "alice\u0007", GroupID: 0}, "admin", 403, ""},
		{"a name beyond ASCII is told as it is", named("Zoë Müller 雪"), "user", 200, "Zoë Müller 雪"},
		{"a name as Organizr escapes it is told as it is", named("O&#039;Brien"), "user", 200, "O&#039;Brien"},
		{"the name of a group opens nothing", eve, "admin", 403, ""},
		{"who is denied", named("bob"), "deny", 403, ""},
		{"who is denied after a space", named("eve"), "deny", 403, ""},
		{"who isn't denied", fakeorganizr.Account{Username: "pat", GroupID: 3}, "deny", 200, "pat"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cookie := fakeorganizr.Cookie(test.account.Token(hash))
			got := s.in(t).ask("GET", test.host+".example.com", "/", "Cookie", cookie)
			if received := got.seen().Header.Get("X-Organizr-User"); got.StatusCode != test.want || received != test.received {
				t.Errorf("got %d and %q, want %d and %q", got.StatusCode, received, test.want, test.received)
			}
		})
	}
	t.Run("a service is told the group by its number", func(t *testing.T) {
		cookie := fakeorganizr.Cookie(eve.Token(hash))
		received := s.in(t).ask("GET", "user.example.com", "/", "Cookie", cookie).seen().Header
		if received.Get("X-Group") != "User" {
			t.Errorf("the service received %q", received.Get("X-Group"))
		}
	})
	t.Run("a person reads what to do", func(t *testing.T) {
		cookie := fakeorganizr.Cookie(named("alice\u0007").Token(hash))
		got := s.in(t).ask("GET", "user.example.com", "/", "Accept", pageAccept, "Cookie", cookie)
		if got.StatusCode != 403 || !strings.Contains(html.UnescapeString(got.Body), "can't be printed") ||
			strings.Contains(got.Body, "\u0007") {
			t.Errorf("%d:\n%s", got.StatusCode, got.Body)
		}
	})
}

func TestExpensiveRequests(t *testing.T) {
	s := setUp(t, map[string]table{
		"user":  {"group": "User", "rules": []string{"/secret=Admin"}},
		"guest": {"group": "Guest"},
	})
	var odd []string
	for i := range 40_000 {
		odd = append(odd, fmt.Sprintf("x_%d", i), "")
	}
	person, fromElsewhere := []string{"Accept", pageAccept}, []string{"Sec-Fetch-Site", "cross-site"}
	protocols := []string{"Upgrade", strings.Repeat(",", 900_000)}
	destination := []string{"Destination", "/" + strings.Repeat("a", 900_000)}
	percents := strings.Repeat("%25", 300<<10)
	longest := "/?" + strings.Repeat("a", 2<<10-len("http://user.example.com/?"))
	for _, test := range []struct {
		name, host, target string
		headers            []string
		want               int
		longest            int // of the answer's Location
	}{
		{"900 KB of percent signs as a query", "user", "/?" + percents, person, 302, 64},
		{"900 KB of percent signs as a path", "user", "/" + percents, person, 302, 64},
		{"the longest address to come back to", "user", longest, person, 302, 8 << 10},
		{"one byte more", "user", longest + "a", person, 302, 64},
		{"40,000 odd headers of somebody who may enter", "user", "/", append(as("bob"), odd...), 431, 0},
		{"40,000 odd headers on a guests' page", "guest", "/", odd, 431, 0},
		{"40,000 odd headers of nobody", "user", "/", odd, 401, 0},
		{"900,000 protocols of somebody who may enter", "user", "/", append(as("bob"), protocols...), 200, 0},
		{"the same from another site", "user", "/", append(as("bob"), append(protocols, fromElsewhere...)...), 403, 0},
		{"a destination of 900 KB where a rule is for Admin", "user", "/", append(as("bob"), destination...), 403, 0},
		{"a hundred headers of somebody who may enter", "user", "/", append(as("bob"), odd[:200]...), 200, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := s.in(t).ask("GET", test.host+".example.com", test.target, test.headers...)
			location := got.Header.Get("Location")
			if got.StatusCode != test.want || len(location) > test.longest {
				t.Errorf("got %d and a Location of %d bytes, want %d and at most %d",
					got.StatusCode, len(location), test.want, test.longest)
			}
			if test.want == 302 && strings.Contains(location, "return=") != (test.longest > 64) {
				t.Errorf("got a Location that begins with %.80s", location)
			}
		})
	}
}

func TestAttacksOnHosts(t *testing.T) {
	s := setUp(t, map[string]table{"admin": {"group": "Admin"}})
	for _, host := range []string{
		"admin.example.com", "ADMIN.example.COM", "admin.example.com:80", "admin.example.com.", "Admin.Example.Com.:8443",
	} {
		t.Run(host, func(t *testing.T) {
			if got := s.in(t).ask("GET", host, "/", as("bob")...).StatusCode; got != 403 && got != 404 {
				t.Errorf("got %d, want 403", got)
			}
		})
	}
	t.Run("a visitor who may enter does, whatever the case of the host", func(t *testing.T) {
		if got := s.in(t).ask("GET", "ADMIN.example.com", "/", as("alice")...).StatusCode; got != 200 {
			t.Errorf("got %d, want 200", got)
		}
	})
}

func TestHostileTokens(t *testing.T) {
	type trick struct{ Trick, Why, Token string }
	var tokens struct{ Fail, Pass []trick }
	readData(t, &tokens, "tokens.json")
	if len(tokens.Fail) < 150 || len(tokens.Pass) < 15 {
		t.Errorf("only %d and %d tokens", len(tokens.Fail), len(tokens.Pass))
	}
	s := setUp(t, map[string]table{"all": {"group": "998", "acceptBearer": true}})
	for want, tricks := range map[int][]trick{http.StatusUnauthorized: tokens.Fail, http.StatusOK: tokens.Pass} {
		for _, trick := range tricks {
			if strings.ContainsAny(trick.Token, "\r\n") {
				continue // it would start another header
			}
			t.Run(trick.Trick+": "+trick.Why, func(t *testing.T) {
				for _, headers := range [][]string{
					{"Cookie", fakeorganizr.Cookie(trick.Token)},
					{"Authorization", "Bearer " + trick.Token},
				} {
					if got := s.in(t).ask("GET", "all.example.com", "/", headers...).StatusCode; got != want {
						t.Errorf("in %s: got %d, want %d", headers[0], got, want)
					}
				}
			})
		}
	}
	t.Run("a megabyte", func(t *testing.T) {
		token := strings.Repeat("eyJh.", 1<<20/5)
		got := s.in(t).ask("GET", "all.example.com", "/", "Cookie", fakeorganizr.Cookie(token)).StatusCode
		if got != http.StatusUnauthorized && got != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("got %d", got)
		}
	})
}

func TestForgedIdentityHeaders(t *testing.T) {
	s := setUp(t, map[string]table{"user": {"group": "User"}, "guest": {"group": "Guest"}})
	for _, host := range []string{"user.example.com", "guest.example.com"} {
		spellings := []string{
			"X-Organizr-User", "x-organizr-user", "x_organizr_user", "X-Organizr_User", "X.Organizr.User", "X!Organizr~User",
			"X_ORGANIZR-GROUP",
		}
		for _, spelling := range spellings {
			t.Run(spelling+" at "+host, func(t *testing.T) {
				headers := []string{spelling, "forged"}
				if host == "user.example.com" {
					headers = append(headers, as("bob")...)
				}
				if got := s.in(t).ask("GET", host, "/", headers...); got.StatusCode != 200 || strings.Contains(got.Body, "forged") {
					t.Errorf("%d, the service received %v", got.StatusCode, got.seen().Header)
				}
			})
		}
	}
}

func TestTheSameOverHTTP2(t *testing.T) {
	s := setUp(t, map[string]table{"user": {"group": "User"}, "guest": {"group": "Guest"}},
		func(options *proxy.Options) { options.TLS = true })
	session := as("bob")[1]
	for _, test := range []struct {
		name, host, received string
		cookies              []string
		want                 string // Cookie header at the service
	}{
		{"cookies in one field", "user", "bob", []string{"a=1; " + session + "; b=2"}, "a=1; b=2"},
		{"each cookie in a field of its own", "user", "bob", []string{"a=1", session, "b=2"}, "a=1; b=2"},
		{"cookies on a guests' page", "guest", "bob", []string{session, "a=1"}, "a=1"},
		{"nobody on a guests' page", "guest", "", []string{"a=1"}, "a=1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			url := "https://" + test.host + ".example.com/"
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			req.Header["Cookie"] = test.cookies
			for _, forged := range []string{"x-organizr-user", "x_organizr_user", "x-organizr_email", "x.organizr.group"} {
				req.Header[forged] = []string{"forged"}
			}
			resp, err := s.in(t).client("HTTP/2.0").Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != 200 || resp.ProtoMajor != 2 {
				t.Fatalf("%s %d and %v: %s", resp.Proto, resp.StatusCode, err, body)
			}
			received := answer{Response: resp, Body: string(body)}.seen().Header
			if strings.Contains(string(body), "forged") || received.Get("X-Organizr-User") != test.received ||
				strings.Join(received["Cookie"], "; ") != test.want {
				t.Errorf("the service received %v", received)
			}
		})
	}
}

func TestForgedPathHeaders(t *testing.T) {
	s := setUp(t, map[string]table{"rules": {"group": "User", "rules": []string{"/api/=Guest"}}})
	for _, name := range []string{"X-Original-URL", "X-Rewrite-URL", "x_original_url", "X_REWRITE-URL"} {
		t.Run(name, func(t *testing.T) {
			got := s.in(t).ask("GET", "rules.example.com", "/api/", name, "/settings")
			if got.StatusCode != 200 || strings.Contains(got.Body, "settings") {
				t.Errorf("%d, the service received %v", got.StatusCode, got.seen().Header)
			}
		})
	}
}

// Traefik's middleware errors sends a refused request, with its headers, to a service of its own. Traefik's detailed
// tracing copies a request between errors and the login, and both copies share their headers.
func TestErrorPagesGetNoSession(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(service.Handler))
	t.Cleanup(backend.Close)
	router := func(host string) table {
		return table{
			"rule": "Host(`" + host + ".example.com`)", "service": "service", "middlewares": []string{"pages", host},
		}
	}
	plugin := func(group string) table {
		return table{"plugin": table{"organizrjwt": table{
			"uuid": fakeorganizr.UUID, "secret": hash, "group": group, "acceptBearer": true,
		}}}
	}
	s := setUp(t, nil, func(options *proxy.Options) {
		options.Flags = append(options.Flags, "--tracing.otlp.http.endpoint=http://127.0.0.1:1/v1/traces",
			"--entrypoints.web.observability.traceverbosity=detailed")
		options.Dynamic = table{"http": table{
			"routers": table{"user": router("user"), "admin": router("admin")},
			"middlewares": table{
				"user": plugin("User"), "admin": plugin("Admin"),
				"pages": table{
					"errors": table{"status": []string{"401-403"}, "query": "/refused", "service": "service"},
				},
			},
			"services": table{"service": table{"loadBalancer": table{"servers": []table{{"url": backend.URL}}}}},
		}}
	})
	token := strings.TrimPrefix(as("bob")[1], fakeorganizr.Cookie(""))
	many := []string{"X_Organizr-User", "alice"}
	for i := range 230 {
		many = append(many, fmt.Sprintf("X-%d", i), "1")
	}
	for _, test := range []struct {
		name, host string
		status     int
		headers    []string
	}{
		{"nobody with forged names among 230 headers", "user", 401, many},
		{"the wrong group among 230 headers", "admin", 403, append(as("bob"), many...)},
		{"nobody with forged names", "user", 401, []string{"X-Organizr-User", "alice", "x_organizr_group", "0"}},
		{"a forged session", "user", 401, []string{"Cookie", fakeorganizr.Cookie(token+"x") + "; a=1"}},
		{"the wrong group", "admin", 403, append(as("bob"), "X-Organizr-User", "alice")},
		{"the wrong group by Bearer", "admin", 403, []string{"Authorization", "Bearer " + token}},
		{"another site's form", "user", 403, append(as("bob"), "Sec-Fetch-Site", "cross-site", "X.Organizr.User", "alice")},
	} {
		t.Run(test.name, func(t *testing.T) {
			method := "GET"
			if slices.Contains(test.headers, "cross-site") {
				method = "POST"
			}
			got := s.in(t).ask(method, test.host+".example.com", "/", test.headers...)
			var seen service.Seen
			if err := json.Unmarshal([]byte(got.Body), &seen); err != nil || got.StatusCode != test.status {
				t.Fatalf("got %d and %q, want %d and a page of the service", got.StatusCode, got.Body, test.status)
			}
			text := strings.ToLower(fmt.Sprint(seen.Header))
			if seen.Target != "/refused" || strings.Contains(text, "alice") || strings.Contains(text, "organizr") ||
				strings.Contains(text, "eyj") {
				t.Errorf("the error page's request to %s had the headers %v", seen.Target, seen.Header)
			}
		})
	}
}

func TestConnectionHeaderCantRemoveIdentity(t *testing.T) {
	s := setUp(t, map[string]table{"user": {"group": "User"}})
	for _, value := range []string{"X-Organizr-User", "x-organizr-user, X-Organizr-Group", "close, X-Organizr-Email"} {
		t.Run("Connection: "+value, func(t *testing.T) {
			headers := append([]string{"Connection", value}, as("bob")...)
			received := s.in(t).ask("GET", "user.example.com", "/", headers...).seen().Header
			if received.Get("X-Organizr-User") != "bob" || received.Get("X-Organizr-Group") != "4" ||
				received.Get("X-Organizr-Email") == "" {
				t.Errorf("the service received %v", received)
			}
		})
	}
}

func TestExcessiveRequestsAreRefused(t *testing.T) {
	s := setUp(t, map[string]table{"user": {"group": "User", "acceptBearer": true}})
	many := strings.TrimSuffix(strings.Repeat(fakeorganizr.CookieName+"=x.y.z; ", 9000), "; ")
	for name, headers := range map[string][]string{
		"nine thousand cookies of the name":  {"Cookie", many},
		"a token of 64 KiB":                  {"Cookie", fakeorganizr.Cookie(strings.Repeat("A", 64<<10))},
		"a bearer token of 64 KiB":           {"Authorization", "Bearer " + strings.Repeat("A", 64<<10)},
		"a thousand lines of Authorization":  slices.Repeat([]string{"Authorization", "Bearer x"}, 1000),
		"a thousand lines of Cookie":         slices.Repeat([]string{"Cookie", fakeorganizr.CookieName + "=x.y.z"}, 1000),
		"a thousand headers of other names":  slices.Repeat([]string{"X_Organizr-User", "x"}, 1000),
		"a cookie that is nothing but dots":  {"Cookie", fakeorganizr.Cookie(strings.Repeat(".", 8000))},
		"a bearer token of nothing but dots": {"Authorization", "Bearer " + strings.Repeat(".", 8000)},
	} {
		t.Run(name, func(t *testing.T) {
			if got := s.in(t).ask("GET", "user.example.com", "/", headers...).StatusCode; got != 401 {
				t.Errorf("got %d, want 401", got)
			}
		})
	}
}
