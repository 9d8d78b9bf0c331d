package organizrjwt

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// Hooks into the plugin: all that these tests use of it besides CreateConfig and New.

// usePluginClock makes the plugin take the time, the Unix time, from now, until restore is called.
func usePluginClock(now func() time.Duration) (restore func()) {
	before := since
	since = func(_ time.Time) time.Duration { return now() }
	return func() { since = before }
}

// pluginOf returns the middleware that New made.
func pluginOf(t testing.TB, handler http.Handler) *middleware {
	t.Helper()
	plugin, ok := handler.(*middleware)
	if !ok {
		t.Fatalf("New made a %T", handler)
	}
	return plugin
}

// cachedEntries returns the number of entries in a middleware's cache.
func cachedEntries(t testing.TB, handler http.Handler) int {
	t.Helper()
	cache := pluginOf(t, handler).memory
	return len(cache.visitors) + len(cache.holders)
}

// cachedSession returns a function that puts the session of a token, as it is cached now, into the cache once more: as a
// slow request does that has verified it before the files changed.
func cachedSession(t testing.TB, handler http.Handler, token string) (cacheAgain func(credentials string)) {
	t.Helper()
	cache := pluginOf(t, handler).memory
	session := cache.holders[token]
	return func(credentials string) { remember(cache, credentials, session, session) }
}

// blockPolling makes each look at a middleware's files wait until unblock is called, as if another request were reading them.
func blockPolling(t testing.TB, handler http.Handler) (unblock func()) {
	t.Helper()
	files := pluginOf(t, handler).memory.follower
	files.Lock()
	return files.Unlock
}

// readConfigPHP returns the texts in the outermost array of a config.php.
func readConfigPHP(text string) (map[string]string, error) { return parseConfig(text) }

// A listedUser is the user whose session the database lists.
type listedUser struct {
	claims  map[string]string // with their group's name, by the names that placeholders have
	groupID int
	locked  bool
}

// readDatabaseAt returns the users that the database at a path lists sessions of, by their tokens.
func readDatabaseAt(path string) (map[string]listedUser, error) {
	fingerprint, walHeader, _, err := glimpseOf(path)
	if err != nil {
		return nil, err
	}
	return listedUsers(readDatabase(path, fingerprint, walHeader))
}

// readDatabaseFrom does the same for the content of a database, which has so many bytes, and of its write-ahead log.
func readDatabaseFrom(content, wal io.ReaderAt, size int64) (map[string]listedUser, error) {
	return listedUsers(parseDatabase(content, wal, size))
}

func listedUsers(read *database, err error) (map[string]listedUser, error) {
	if err != nil {
		return nil, err
	}
	users := map[string]listedUser{}
	for token, user := range read.accounts {
		users[token] = listedUser{user.claims, user.groupID, errors.Is(user.refused, errLocked)}
	}
	return users, nil
}

// Helpers: the Organizr of testdata, its tokens, the clock, files, a site behind the middleware.

// organizr is what a real Organizr wrote: its key, and a session of each of its users.
var organizr struct {
	UUID         string
	OrganizrHash string
	ValidAt      int64
	Sessions     []struct {
		Username string
		GroupID  int
		Token    string
	}
}

// Organizr's address, and its cookie.
const (
	organizrURL = "https://organizr.example.com"
	cookieName  = "organizr_token_e36ed245-38cc-4d7f-ab53-7987549d1e2d"
)

// What browsers send that open a page: Accept.
const browserAccept = "text/html,application/xhtml+xml"

// The group of those who aren't logged in.
const guestGroup = 999

// builtInGroupNames has the groups that have the same number in every Organizr.
var builtInGroupNames = map[int]string{0: "Admin", 1: "Co-Admin", 2: "Super User", 3: "Power User", 4: "User", 998: "Logged In", 999: "Guest"}

// The header of Organizr's tokens.
const tokenHeader = `{"typ":"JWT","alg":"HS256"}`

// signToken returns the token of the header and the claims, signed with the secret.
func signToken(header, claims, secret string) string {
	text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// tokenWith returns a token with Organizr's header and key, and these claims besides iss, aud, nbf and exp.
func tokenWith(claims string) string {
	const whole = `{"iss":"Organizr","aud":"Organizr","nbf":%d,"exp":%d.5,%s}`
	return signToken(tokenHeader, fmt.Sprintf(whole, organizr.ValidAt, organizr.ValidAt+3600, claims), organizr.OrganizrHash)
}

// tokenOf returns the session that Organizr made for the user.
func tokenOf(t testing.TB, username string) string {
	t.Helper()
	for _, session := range organizr.Sessions {
		if session.Username == username {
			return session.Token
		}
	}
	t.Fatalf("no session of %q in testdata", username)
	return ""
}

// configPHP returns a config.php as Organizr writes it, with these values and uuid and hash of the sessions of testdata.
func configPHP(pairs ...string) string {
	values := "<?php\nreturn [\n"
	for i := 0; i < len(pairs); i += 2 {
		values += "\t'" + pairs[i] + "' => '" + pairs[i+1] + "',\n"
	}
	return values + "\t'organizrHash' => '" + organizr.OrganizrHash + "',\n\t'uuid' => '" + organizr.UUID + "'\n];"
}

func init() {
	text, err := os.ReadFile("testdata/organizr/sessions.json")
	if err == nil {
		err = json.Unmarshal(text, &organizr)
	}
	if err != nil {
		panic(err)
	}
	usePluginClock(testTime)
	turnClock(0)
}

// testClock is the time: the Unix time, in nanoseconds.
var testClock atomic.Int64

// testTime is what the clock shows.
func testTime() time.Duration { return time.Duration(testClock.Load()) }

// turnClock sets the clock to so many seconds after the sessions of testdata were good.
func turnClock(seconds float64) { testClock.Store(organizr.ValidAt*1e9 + int64(seconds*1e9)) }

// setClock is turnClock until the test ends.
func setClock(t *testing.T, seconds float64) {
	t.Helper()
	t.Cleanup(func() { turnClock(0) })
	turnClock(seconds)
}

// setenv sets an environment variable until the test ends. Unlike t.Setenv it does so for interpreted code too.
func setenv(t *testing.T, variable, value string) {
	t.Helper()
	if err := os.Setenv(variable, value); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Unsetenv(variable) })
}

// readTestdata returns a file of testdata.
func readTestdata(t testing.TB, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// decodeTestdata decodes a file of testdata.
func decodeTestdata(t testing.TB, file string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(readTestdata(t, file)), into); err != nil {
		t.Fatal(err)
	}
}

// fileTexts are texts by the names of files.
type fileTexts map[string]string

// writeFile writes a file of the test.
func writeFile(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// removeFile removes a file of the test.
func removeFile(t *testing.T, file string) {
	t.Helper()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
}

// A site is a service behind the middleware.
type site struct {
	t         testing.TB
	handler   http.Handler
	forwarded *http.Request // the request that the service got last; nil if the last one was refused
}

// newSite returns the site that a configuration describes.
func newSite(t testing.TB, config Config) *site {
	t.Helper()
	s := &site{t: t}
	s.handler = newHandler(t, config, func(_ http.ResponseWriter, req *http.Request) { s.forwarded = req })
	return s
}

// newHandler returns the middleware that a configuration describes, before a service. If the configuration doesn't say it,
// the key is that of testdata, the group is User, and headers are added to the default ones, as Traefik does.
func newHandler(t testing.TB, config Config, service http.HandlerFunc) http.Handler {
	t.Helper()
	showOutputOfFailure(t)
	if config.Secret+config.SecretFile+config.ConfigFile == "" {
		config.Secret = organizr.OrganizrHash
	}
	if config.UUID == "" && config.ConfigFile == "" {
		config.UUID = organizr.UUID
	}
	if config.Group == "" {
		config.Group = "User"
	}
	headers := CreateConfig().Headers
	for name, text := range config.Headers {
		headers[name] = text
	}
	config.Headers = headers
	handler, err := New(context.Background(), service, &config, "site@test")
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

// newRequest returns a request such as "GET /", with headers given as name and value by turns. A Cookie or a bearer token of
// "bob" stands for his session.
func newRequest(t testing.TB, request string, headers ...string) *http.Request {
	t.Helper()
	method, target, _ := strings.Cut(request, " ")
	if strings.HasPrefix(target, "/") {
		target = "http://sonarr.example.com" + target
	}
	req := httptest.NewRequest(method, target, http.NoBody)
	for i := 0; i < len(headers); i += 2 {
		name, value := headers[i], headers[i+1]
		if name == "Cookie" && !strings.ContainsAny(value, "=;") {
			value = cookieName + "=" + tokenOf(t, value)
		} else if name == "Authorization" && value == "Bearer bob" {
			value = "Bearer " + tokenOf(t, "bob")
		}
		req.Header.Add(name, value)
	}
	return req
}

// in lets another test go on with the site.
func (s *site) in(t testing.TB) {
	showOutputOfFailure(t)
	s.t = t
}

// serve answers a request.
func (s *site) serve(req *http.Request) *httptest.ResponseRecorder {
	s.t.Helper()
	s.forwarded = nil
	rec := httptest.NewRecorder()
	s.handler.ServeHTTP(rec, req)
	if (s.forwarded != nil) != (rec.Code == http.StatusOK) {
		s.t.Errorf("%s %s: status %d, but the service saw the request: %v", req.Method, req.URL, rec.Code, s.forwarded != nil)
	}
	return rec
}

// send answers a request that newRequest describes.
func (s *site) send(request string, headers ...string) *httptest.ResponseRecorder {
	s.t.Helper()
	return s.serve(newRequest(s.t, request, headers...))
}

// forwardedHeader returns what the service got in a header, its lines joined.
func (s *site) forwardedHeader(name string) string {
	if s.forwarded == nil {
		return "(the request was refused)"
	}
	return strings.Join(s.forwarded.Header[name], " | ")
}

// caches reports whether the middleware knows the visitor without verifying the session: it does so before the session
// is valid.
func (s *site) caches(headers ...string) bool {
	s.t.Helper()
	before := testClock.Load()
	defer testClock.Store(before)
	turnClock(-1000)
	return s.send("GET /", headers...).Code == http.StatusOK
}

// requiredGroup returns the least privileged of the groups, given from the most privileged one, that gets in, or -1.
func (s *site) requiredGroup(request string, groups ...int) int {
	s.t.Helper()
	method, target, _ := strings.Cut(request, " ")
	for i := len(groups) - 1; i >= 0; i-- {
		var headers []string
		if groups[i] != guestGroup {
			headers = []string{"Cookie", cookieName + "=" + tokenWith(fmt.Sprintf(`"groupID":%d`, groups[i]))}
		}
		req := newRequest(s.t, "GET /", headers...)
		address, err := url.ParseRequestURI(target)
		if err != nil {
			s.t.Fatal(err)
		}
		req.Method, req.URL, req.RequestURI = method, address, target
		if s.serve(req).Code == http.StatusOK {
			return groups[i]
		}
	}
	return -1
}

// A accessCase is a request to a site, and the status that it gets.
type accessCase struct {
	name    string
	config  Config
	request string // "GET /" if empty
	headers []string
	want    int
}

// checkAccess pays each visit twice, since the second time the visitor may be remembered.
func checkAccess(t *testing.T, visits []accessCase) {
	t.Helper()
	for _, one := range visits {
		run(t, one.name, func(t *testing.T) {
			s := newSite(t, one.config)
			if one.request == "" {
				one.request = "GET /"
			}
			for _, turn := range []string{"first", "second"} {
				if got := s.send(one.request, one.headers...).Code; got != one.want {
					t.Errorf("the %s time: got %d, want %d", turn, got, one.want)
				}
			}
		})
	}
}

// run runs a subtest, which shows what the plugin printed meanwhile only if it fails.
func run(t *testing.T, name string, test func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		showOutputOfFailure(t)
		test(t)
	})
}

// quietTest is the test that standard output and the log are kept for.
var quietTest testing.TB

// showOutputOfFailure keeps what the plugin prints and logs until the test ends, and shows the end of it if the test has
// failed. Under Yaegi it is the log alone: there fmt.Printf writes to Yaegi's own standard output, whatever os.Stdout is.
func showOutputOfFailure(t testing.TB) {
	t.Helper()
	if quietTest == t {
		return
	}
	file := unnamedFile(t)
	outerTest, stdout, logWriter := quietTest, os.Stdout, log.Writer()
	quietTest, os.Stdout = t, file
	log.SetOutput(file)
	t.Cleanup(func() {
		quietTest, os.Stdout = outerTest, stdout
		log.SetOutput(logWriter)
		output := contentOf(file)
		if len(output) > 4<<10 {
			output = "…" + output[len(output)-4<<10:]
		}
		if t.Failed() && output != "" {
			t.Logf("meanwhile the plugin printed:\n%s", output)
		}
	})
}

// unnamedFile returns an empty file that is gone after the test.
func unnamedFile(t testing.TB) *os.File {
	t.Helper()
	file, err := os.CreateTemp("", "organizrjwt")
	if err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(file.Name())
	t.Cleanup(func() { file.Close() })
	return file
}

// contentOf returns all that was written to a file.
func contentOf(file *os.File) string {
	_, _ = file.Seek(0, io.SeekStart)
	text, _ := io.ReadAll(file)
	return string(text)
}

// loggedBy returns what is logged meanwhile about files and keys.
func loggedBy(t *testing.T, do func()) string {
	t.Helper()
	var lines bytes.Buffer
	before := log.Writer()
	log.SetOutput(&lines)
	do()
	log.SetOutput(before)
	return lines.String()
}

// printedBy returns what is printed meanwhile: the lines of refusals. Under Yaegi it can't be caught.
func printedBy(t *testing.T, do func()) string {
	t.Helper()
	file, before := unnamedFile(t), os.Stdout
	os.Stdout = file
	fmt.Println("begin")
	do()
	os.Stdout = before
	text, begun := strings.CutPrefix(contentOf(file), "begin\n")
	if !begun {
		t.Skip("under Yaegi what is printed can't be caught")
	}
	return text
}

// Who gets in: groups.

func TestGroupThresholds(t *testing.T) {
	for _, threshold := range []int{0, 1, 2, 3, 4, 5, 6, 997, 998, 999} {
		s := newSite(t, Config{Group: fmt.Sprint(threshold)})
		for _, session := range organizr.Sessions {
			run(t, fmt.Sprintf("%s of group %d where %d is asked for", session.Username, session.GroupID, threshold), func(t *testing.T) {
				want := http.StatusForbidden
				if session.GroupID <= threshold {
					want = http.StatusOK
				}
				for _, turn := range []string{"first", "second"} {
					if got := s.send("GET /", "Cookie", session.Username).Code; got != want {
						t.Errorf("the %s time: got %d, want %d", turn, got, want)
					}
				}
			})
		}
		run(t, fmt.Sprintf("nobody where %d is asked for", threshold), func(t *testing.T) {
			want := http.StatusUnauthorized
			if threshold == guestGroup {
				want = http.StatusOK
			}
			if got := s.send("GET /").Code; got != want {
				t.Errorf("got %d, want %d", got, want)
			}
		})
	}
}

func TestGroupNames(t *testing.T) {
	for given, want := range map[string]int{
		"0": 0, "4": 4, "998": 998, "999": 999, " 3 ": 3, "Admin": 0, "ADMIN": 0, "Co-Admin": 1, "coadmin": 1, "co_admin": 1, "Super User": 2,
		"super-user": 2, "poweruser": 3, "User": 4, "Logged In": 998, "logged_in": 998, "loggedin": 998, "guest": 999,
	} {
		run(t, given, func(t *testing.T) {
			if got := newSite(t, Config{Group: given}).requiredGroup("GET /", 0, 1, 2, 3, 4, 5, 998, 999); got != want {
				t.Errorf("asks for %d, want %d", got, want)
			}
		})
	}
}

// Who gets in: rules for parts of a service.

// pathTable is testdata/paths.json: how paths are read.
type pathTable struct {
	Group string
	Rules []string
	Cases []struct{ Why, Method, Target, Group string }
}

func TestPathVariants(t *testing.T) {
	var table pathTable
	decodeTestdata(t, "paths.json", &table)
	s := newSite(t, Config{Group: table.Group, Rules: table.Rules})
	for _, test := range table.Cases {
		run(t, test.Why, func(t *testing.T) {
			want := newSite(t, Config{Group: test.Group}).requiredGroup("GET /", 0, 1, 3, 4, 998, 999)
			if got := s.requiredGroup(test.Method+" "+test.Target, 0, 1, 3, 4, 998, 999); got != want {
				t.Errorf("%s %.200s asks for %d, want %d", test.Method, test.Target, got, want)
			}
		})
	}
}

func TestRules(t *testing.T) {
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
		{"a closed folder in an opened root, in another case", "User", []string{"/=Guest", "/api/=998"}, map[string]int{
			"/api/x": 998, "/API/x": 998, "/api": 998, "/x": 999,
		}},
		{"an opened file in a closed root, in another case", "Guest", []string{"/=Admin", "/status=Guest"}, map[string]int{
			"/status": 999, "/STATUS": 0, "/status/": 0,
		}},
		{"closed patterns that differ in case", "User", []string{"/a=0", "/A=3"}, map[string]int{"/a": 0, "/A": 0, "/a/": 0}},
		{"the same the other way round", "User", []string{"/A=3", "/a=0"}, map[string]int{"/a": 0, "/A": 0, "/a/": 0}},
		{"the root only", "User", []string{"/{$}=Guest"}, map[string]int{"/": 999, "/x": 4, "/x/": 4}},
		{"everything below a wildcard", "User", []string{"/{user}/public/=Guest"}, map[string]int{
			"/bob/public/": 999, "/bob/public/x": 999, "/bob/public": 4, "/bob/": 4,
		}},
		{"the rest as a wildcard", "User", []string{"/api/{rest...}=Guest"}, map[string]int{"/api/": 999, "/api/x/y": 999, "/api": 4}},
		{"a rule for the group itself closes what another opens", "User", []string{"/=Guest", "/me/=User"}, map[string]int{"/ME/": 4, "/me": 4, "/you": 999}},
		{"rules for both spellings", "User", []string{"/api/=Guest", "/API/=Guest"}, map[string]int{"/api/x": 999, "/API/x": 999, "/Api/x": 4}},
		{"a folder under an opened one", "User", []string{"/a/=Guest", "/a/b/=998"}, map[string]int{"/a/b": 998, "/a/b/": 998, "/a/b/c": 998, "/a/c": 999}},
		{"methods", "User", []string{"GET /=Guest", "POST /=Admin", "get /x=3"}, map[string]int{"/": 999, "/x": 3}},
		{"a group that anybody may have", "Guest", []string{"/admin/=Admin"}, map[string]int{"/": 999, "/ADMIN/": 0, "/admin;x/": 0, "/x;y": 999}},
		{"opening in a middleware for Admin", "0", []string{"/api/=3", "/api/x=Guest"}, map[string]int{
			"/": 0, "/api/": 3, "/api/x": 999, "/api/X": 3, "/API/x": 0,
		}},
		{"a pattern that is escaped", "User", []string{"/a%20b=0", "/%C3%BC/=Guest"}, map[string]int{"/a%20b": 0, "/A%20B": 0, "/%c3%bc/x": 999, "/%C3%9C/x": 4}},
		{"another folder by way of an opened one", "User", []string{"/api/=Guest"}, map[string]int{
			"/api/x": 999, "/api/a%2fb": 999, "/api/..%2fx": 4, "/api/..%2fAPI/x": 4, "/api/..%2fapi./x": 4,
		}},
		{"what no closing rule touches stays open", "User", []string{"/music/=Guest", "/secret=0"}, map[string]int{
			"/music/Who%3F": 999, "/music/a%2Fb": 999, "/music/50%25": 999, "/music/AC%5CDC": 999, "/music/R.E.M.": 999, "/music/a;b": 999, "/music/%23": 999,
		}},
		{"a wildcard, where a service splits a path before it decodes its names", "User", []string{"/u/{id}/secret=Admin"}, map[string]int{
			"/u/1/secret": 0, "/u/%2F/secret": 0, "/u/%2f/secret": 0, "/u/%2F%2f/secret": 0, "/u/a%2Fb/secret": 0, "/U/%2F/Secret": 0, "/U/a%2Fb/SECRET": 0,
			"/u/%252F/secret": 0, "/U/%252f/SECRET": 0, "/u/a%2Fb/%2573ecret": 0, "/u/%2F/secret/": 0, "/u/%2F/public": 4, "/u/%2F/": 4,
		}},
		{"a wildcard at the end", "User", []string{"/u/{id}=Admin"}, map[string]int{"/u/%2F": 0, "/u/%2f/": 0, "/U/%2F": 0, "/u/": 4}},
		{"a closed file, as careless services find it", "Guest", []string{"/secret=0"}, map[string]int{
			"/secret": 0, "/secret%0a": 0, "/secret%3fx": 0, "/;%2fx/%2573ecret": 0, "/x;%2f../secret": 0, "/secret;x": 0, "/Secret": 0, "/secret.": 0,
			"/secret%20": 0, "/%5csecret": 0, "/x%2f..%2fsecret": 0, "/secret%23": 0, "/secret%00": 0, "/secret/": 0, "/x": 999, "/secrets": 999, "/secret/x": 999,
		}},
	} {
		run(t, test.name, func(t *testing.T) {
			s := newSite(t, Config{Group: test.group, Rules: test.rules})
			for path, want := range test.paths {
				if got := s.requiredGroup("GET "+path, 0, 3, 4, 998, 999); got != want {
					t.Errorf("%s asks for %d, want %d", path, got, want)
				}
			}
		})
	}
}

// Who gets in: allow and deny.

func TestAllowAndDeny(t *testing.T) {
	visits := []accessCase{
		{"an allowed group gets in whatever its number", Config{Group: "0", Allow: []string{"groupID=5"}}, "", []string{"Cookie", "fay"}, 200},
		{"others don't", Config{Group: "0", Allow: []string{"groupID=5"}}, "", []string{"Cookie", "bob"}, 403},
		{"an allowed user", Config{Group: "0", Allow: []string{"username=pat", "username=bob"}}, "", []string{"Cookie", "bob"}, 200},
		{"spaces around claim and value don't count", Config{Group: "0", Allow: []string{" username = bob "}}, "", []string{"Cookie", "bob"}, 200},
		{"not for deny either", Config{Deny: []string{"username=eve", "\tusername=bob "}}, "", []string{"Cookie", "bob"}, 403},
		{"a space within a value counts", Config{Group: "0", Allow: []string{"username=Zoë Müller"}}, "", []string{"Cookie", "Zoë Müller"}, 200},
		{"an equals sign within a value", Config{Allow: []string{"username=a=b"}}, "", []string{"Cookie", cookieName + "=" + tokenWith(`"name":"a=b","groupID":5`)}, 200},
		{"case counts for allow", Config{Group: "0", Allow: []string{"username=Bob", "groupID=6"}}, "", []string{"Cookie", "bob"}, 403},
		{"and not for deny, as it doesn't for many services", Config{Deny: []string{"username=BOB"}}, "", []string{"Cookie", "bob"}, 403},
		{"a mail address", Config{Group: "0", Allow: []string{"email=bob@example.com"}}, "", []string{"Cookie", "bob"}, 200},
		{"a group's number, and that one only", Config{Group: "0", Allow: []string{"groupID=4"}}, "", []string{"Cookie", "pat"}, 403},
		{"a user's number", Config{Group: "0", Allow: []string{"userID=2"}}, "", []string{"Cookie", "bob"}, 200},
		{"allow lets nobody in who isn't logged in", Config{Group: "0", Allow: []string{"username=bob"}}, "", nil, 401},
		{"deny refuses a user", Config{Deny: []string{"username=bob"}}, "", []string{"Cookie", "bob"}, 403},
		{"deny refuses only that user", Config{Deny: []string{"username=bob"}}, "", []string{"Cookie", "pat"}, 200},
		{"deny wins over allow", Config{Group: "0", Allow: []string{"username=bob"}, Deny: []string{"groupID=4"}}, "", []string{"Cookie", "bob"}, 403},
		{"deny wins over Admin", Config{Group: "0", Deny: []string{"groupID=0"}}, "", []string{"Cookie", "alice"}, 403},
		{"deny wins on Guest routes", Config{Group: "Guest", Deny: []string{"username=bob"}}, "", []string{"Cookie", "bob"}, 403},
		{"deny can't know who isn't logged in", Config{Group: "Guest", Deny: []string{"username=bob"}}, "", nil, 200},
	}
	checkAccess(t, visits)
}

// Which session counts: cookies and bearer tokens.

func TestSessionCookies(t *testing.T) {
	good, stale := cookieName+"="+tokenOf(t, "bob"), cookieName+"="+tokenWith(`"groupID":1000`)
	checkAccess(t, []accessCase{
		{"no cookie", Config{}, "", nil, 401},
		{"a good one", Config{}, "", []string{"Cookie", good}, 200},
		{"a stale one before a good one", Config{}, "", []string{"Cookie", stale + "; " + good}, 200},
		{"a stale one after a good one", Config{}, "", []string{"Cookie", good + "; " + stale}, 200},
		{"the first of two good ones", Config{Group: "0"}, "", []string{"Cookie", good + "; " + cookieName + "=" + tokenOf(t, "alice")}, 403},
		{"stale ones only", Config{}, "", []string{"Cookie", stale + "; " + stale}, 401},
		{"the fourth is good", Config{}, "", []string{"Cookie", strings.Repeat(stale+"; ", 3) + good}, 200},
		{"the fifth is good", Config{}, "", []string{"Cookie", strings.Repeat(stale+"; ", 4) + good}, 401},
		{"on two lines", Config{}, "", []string{"Cookie", stale, "Cookie", good}, 200},
		{"in quotes", Config{}, "", []string{"Cookie", cookieName + `="` + tokenOf(t, "bob") + `"`}, 200},
		{"under another uuid", Config{}, "", []string{"Cookie", cookieName + "2=" + tokenOf(t, "bob")}, 401},
		{"an empty one", Config{}, "", []string{"Cookie", cookieName + "="}, 401},
		{"a token that isn't a cookie", Config{}, "", []string{"Cookie", tokenOf(t, "bob") + ";"}, 401},
		{"after 32 KiB of others", Config{}, "", []string{"Cookie", strings.Repeat("a=1; ", 32<<10/5) + good}, 401},
	})
}

func TestBearerTokens(t *testing.T) {
	bob, other := "Bearer "+tokenOf(t, "bob"), "Bearer eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.e30.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	expired := "Bearer " + signToken(tokenHeader, `{"iss":"Organizr","aud":"Organizr","exp":1,"groupID":4}`, organizr.OrganizrHash)
	eight := strings.TrimSpace(strings.Repeat("a.b.c ", 7)) + " " + tokenOf(t, "bob")
	for _, test := range []struct {
		name    string
		config  Config
		headers []string
		want    int
		left    string // of Authorization, for the service
	}{
		{"Organizr's token", Config{}, []string{"Authorization", bob}, 200, ""},
		{"the scheme in another case", Config{}, []string{"Authorization", "bearer " + tokenOf(t, "bob")}, 200, ""},
		{"left for the service with forwardToken", Config{ForwardToken: true}, []string{"Authorization", bob}, 200, bob},
		{"another's token", Config{}, []string{"Authorization", other}, 401, ""},
		{"an expired one", Config{}, []string{"Authorization", expired}, 401, ""},
		{"a good cookie counts first", Config{Group: "Admin"}, []string{"Authorization", bob, "Cookie", "alice"}, 200, ""},
		{"beside a stale cookie", Config{}, []string{"Authorization", bob, "Cookie", cookieName + "=x; a=1"}, 200, ""},
		{"another scheme", Config{}, []string{"Authorization", "Basic " + tokenOf(t, "bob")}, 401, ""},
		{"two lines", Config{}, []string{"Authorization", bob, "Authorization", bob}, 401, ""},
		{"not in the cookie's place", Config{}, []string{"Cookie", bob + ";"}, 401, ""},
		{
			"replaced by a header of ours",
			Config{Headers: map[string]string{"Authorization": "Token {token}"}},
			[]string{"Authorization", bob},
			200,
			"Token " + tokenOf(t, "bob"),
		},

		{"another's token stays beside a good cookie", Config{}, []string{"Authorization", other, "Cookie", "bob"}, 200, other},
		{"a second session beside a good cookie goes", Config{}, []string{"Authorization", "Bearer " + tokenOf(t, "alice"), "Cookie", "bob"}, 200, ""},
		{"an expired one beside a good cookie goes", Config{}, []string{"Authorization", expired, "Cookie", "bob"}, 200, ""},
		{"in another scheme it goes too", Config{}, []string{"Authorization", "Token token=\"" + tokenOf(t, "bob") + "\"", "Cookie", "bob"}, 200, ""},
		{"behind another token's beginning it goes", Config{}, []string{"Authorization", "Bearer eyJh." + tokenOf(t, "alice") + "x", "Cookie", "bob"}, 200, ""},
		{"of more than 16 KiB nothing stays", Config{Group: "Guest"}, []string{"Authorization", "Basic " + strings.Repeat("a", 16<<10)}, 200, ""},
		{"of less it does", Config{Group: "Guest"}, []string{"Authorization", "Basic " + strings.Repeat("a", 15<<10)}, 200, "Basic " + strings.Repeat("a", 15<<10)},
		{"only its line goes", Config{}, []string{"Authorization", bob, "Authorization", "Basic eDp5", "Cookie", "bob"}, 200, "Basic eDp5"},
		{"behind seven others in a line it goes", Config{}, []string{"Authorization", eight, "Cookie", "bob"}, 200, ""},

		{"another's token stays on a Guest route", Config{Group: "Guest"}, []string{"Authorization", other}, 200, other},
		{"a session goes on a Guest route", Config{Group: "Guest"}, []string{"Authorization", bob}, 200, ""},
		{"two sessions go on a Guest route", Config{Group: "Guest"}, []string{"Authorization", bob, "Authorization", bob}, 200, ""},
		{"an expired one goes on a Guest route", Config{Group: "Guest"}, []string{"Authorization", expired}, 200, ""},
		{"in another scheme it goes on a Guest route", Config{Group: "Guest"}, []string{"Authorization", "Digest " + tokenOf(t, "bob")}, 200, ""},
		{"behind seven others it goes on a Guest route", Config{Group: "Guest"}, []string{"Authorization", eight}, 200, ""},
	} {
		run(t, test.name, func(t *testing.T) {
			test.config.AcceptBearer = true
			s := newSite(t, test.config)
			for _, turn := range []string{"first", "second"} {
				got := s.send("GET /", test.headers...).Code
				if got != test.want {
					t.Errorf("the %s time: got %d, want %d", turn, got, test.want)
				} else if got == 200 && s.forwardedHeader("Authorization") != test.left {
					t.Errorf("the %s time: the service got Authorization %q", turn, s.forwardedHeader("Authorization"))
				}
			}
		})
	}
	run(t, "what a later middleware adds to the lines stays with its request", func(t *testing.T) {
		var got []string
		handler := newHandler(t, Config{AcceptBearer: true}, func(_ http.ResponseWriter, req *http.Request) {
			got = append(got, strings.Join(req.Header["Authorization"], " "))
			req.Header.Add("Authorization", fmt.Sprint(len(got)))
		})
		var first http.Header
		for i := 0; i < 3; i++ {
			req := newRequest(t, "GET /", "Cookie", "bob", "Authorization", "a", "Authorization", "b", "Authorization", "c")
			handler.ServeHTTP(httptest.NewRecorder(), req)
			if first == nil {
				first = req.Header
			}
		}
		if lines := strings.Join(first["Authorization"], " "); lines != "a b c 1" {
			t.Errorf("the first request's lines are %q", lines)
		}
	})
	run(t, "beside other cookies of any length", func(t *testing.T) {
		s := newSite(t, Config{AcceptBearer: true})
		for length := 1; length < 100; length++ {
			cookies := "a=" + strings.Repeat("x", length)
			if s.send("POST /", "Authorization", bob, "Cookie", cookies, "Sec-Fetch-Site", "cross-site"); s.forwardedHeader("Cookie") != cookies {
				t.Errorf("the service got the cookies %q of %q", s.forwardedHeader("Cookie"), cookies)
			}
		}
	})
	run(t, "not unless it is switched on", func(t *testing.T) {
		if got := newSite(t, Config{}).send("GET /", "Authorization", bob).Code; got != 401 {
			t.Errorf("got %d, want 401", got)
		}
	})
}

// What is a session: the token and its claims.

func TestTokenHeadersAndClaims(t *testing.T) {
	const organizrs = `"iss":"Organizr","aud":"Organizr",`
	exp, now := fmt.Sprintf(`"exp":%d.25`, organizr.ValidAt+10), fmt.Sprint(organizr.ValidAt)
	for _, test := range []struct {
		name   string
		header string
		claims string
		want   int
	}{
		{"what Organizr 2.1 makes", tokenHeader, `{` + organizrs + exp + `,"name":"x","groupID":4}`, 200},
		{"a list of audiences", tokenHeader, `{"iss":"Organizr","aud":["x","Organizr"],` + exp + `,"groupID":4}`, 200},
		{"a group in digits, from PHP before 8.1", tokenHeader, `{` + organizrs + exp + `,"groupID":"4"}`, 200},
		{"whole seconds, from older Organizr", tokenHeader, fmt.Sprintf(`{%s"exp":%d,"groupID":4}`, organizrs, organizr.ValidAt+10), 200},
		{"no typ", `{"alg":"HS256"}`, `{` + organizrs + exp + `,"groupID":4}`, 200},
		{"valid in a minute", tokenHeader, fmt.Sprintf(`{%s%s,"groupID":4,"nbf":%d}`, organizrs, exp, organizr.ValidAt+60), 200},
		{"valid in more than a minute", tokenHeader, fmt.Sprintf(`{%s%s,"groupID":4,"nbf":%d.1}`, organizrs, exp, organizr.ValidAt+60), 401},
		{"nbf as text", tokenHeader, `{` + organizrs + exp + `,"groupID":4,"nbf":"1"}`, 401},
		{"another issuer", tokenHeader, `{"iss":"organizr","aud":"Organizr",` + exp + `,"groupID":4}`, 401},
		{"no issuer", tokenHeader, `{"aud":"Organizr",` + exp + `,"groupID":4}`, 401},
		{"another audience", tokenHeader, `{"iss":"Organizr","aud":["organizr"],` + exp + `,"groupID":4}`, 401},
		{"no exp", tokenHeader, `{` + organizrs + `"groupID":4}`, 401},
		{"exp as text", tokenHeader, `{` + organizrs + `"exp":"9999999999","groupID":4}`, 401},
		{"exp is now", tokenHeader, `{` + organizrs + `"exp":` + now + `.0,"groupID":4}`, 401},
		{"exp after the end of time", tokenHeader, `{` + organizrs + `"exp":1e300,"groupID":4}`, 200},
		{"exp beyond numbers", tokenHeader, `{` + organizrs + `"exp":1e400,"groupID":4}`, 401},
		{"no group is not Admin", tokenHeader, `{` + organizrs + exp + `}`, 401},
		{"group null is not Admin", tokenHeader, `{` + organizrs + exp + `,"groupID":null}`, 401},
		{"group empty is not Admin", tokenHeader, `{` + organizrs + exp + `,"groupID":""}`, 401},
		{"group false is not Admin", tokenHeader, `{` + organizrs + exp + `,"groupID":false}`, 401},
		{"group -0 is not Admin", tokenHeader, `{` + organizrs + exp + `,"groupID":-0}`, 401},
		{"group 0x0 is not Admin", tokenHeader, `{` + organizrs + exp + `,"groupID":"0x0"}`, 401},
		{"group 3.5", tokenHeader, `{` + organizrs + exp + `,"groupID":3.5}`, 401},
		{"group -1", tokenHeader, `{` + organizrs + exp + `,"groupID":-1}`, 401},
		{"group 1000", tokenHeader, `{` + organizrs + exp + `,"groupID":1000}`, 401},
		{"group in a list", tokenHeader, `{` + organizrs + exp + `,"groupID":[0]}`, 401},
		{"group spelled in another case", tokenHeader, `{` + organizrs + exp + `,"groupid":0}`, 401},
		{"claims that are a list", tokenHeader, `[]`, 401},
		{"claims that are null", tokenHeader, `null`, 401},
		{"no claims", tokenHeader, ``, 401},
		{"alg in another case", `{"typ":"JWT","alg":"hs256"}`, `{` + organizrs + exp + `,"groupID":4}`, 401},
		{"Alg instead of alg", `{"typ":"JWT","Alg":"HS256"}`, `{` + organizrs + exp + `,"groupID":4}`, 401},
		{"typ JWE", `{"typ":"JWE","alg":"HS256"}`, `{` + organizrs + exp + `,"groupID":4}`, 401},
		{"crit", `{"typ":"JWT","alg":"HS256","crit":["exp"]}`, `{` + organizrs + exp + `,"groupID":4}`, 401},
	} {
		run(t, test.name, func(t *testing.T) {
			token := signToken(test.header, test.claims, organizr.OrganizrHash)
			if got := newSite(t, Config{}).send("GET /", "Cookie", cookieName+"="+token).Code; got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}

// A tokenCase is one token of testdata/tokens.json.
type tokenCase struct{ Trick, Why, Token string }

// tokenCases returns the tokens of testdata/tokens.json that must fail, and those that must pass.
func tokenCases(t testing.TB) (fail, pass []tokenCase) {
	t.Helper()
	var table struct{ Fail, Pass []tokenCase }
	decodeTestdata(t, "tokens.json", &table)
	return table.Fail, table.Pass
}

func TestHostileTokens(t *testing.T) {
	fail, pass := tokenCases(t)
	good := tokenOf(t, "alice")
	parts := strings.Split(good, ".")
	for name, token := range map[string]string{
		"a megabyte":                  strings.Repeat("eyJh.", 1<<20/5),
		"an empty key":                signToken(tokenHeader, `{}`, ""),
		"a changed signature":         good[:len(good)-2] + "AA",
		"stray bits in the signature": good[:len(good)-1] + "5",
		"padding":                     good + "=",
		"another's signature":         parts[0] + "." + parts[1] + "." + strings.Split(tokenOf(t, "bob"), ".")[2],
		"longer than 8 KiB":           good + strings.Repeat("A", 8<<10),
		"the standard alphabet":       strings.NewReplacer("-", "+", "_", "/").Replace(tokenOf(t, "sue")),
		"an encoded space before":     "%20" + good,
	} {
		fail = append(fail, tokenCase{Trick: name, Token: token})
	}
	s := newSite(t, Config{AcceptBearer: true, Group: "998"})
	for want, tricks := range map[int][]tokenCase{http.StatusUnauthorized: fail, http.StatusOK: pass} {
		for _, one := range tricks {
			for _, headers := range [][]string{{"Cookie", cookieName + "=" + one.Token}, {"Authorization", "Bearer " + one.Token}} {
				run(t, one.Trick+" in "+headers[0], func(t *testing.T) {
					if got := s.send("GET /", headers...).Code; got != want {
						t.Errorf("got %d, want %d: %s", got, want, one.Why)
					}
					if want == http.StatusOK && s.forwardedHeader("X-Organizr-Group") != "0" {
						t.Errorf("the service was told group %q", s.forwardedHeader("X-Organizr-Group"))
					}
				})
			}
		}
	}
}

func TestSessionExpiry(t *testing.T) {
	same, changing := newSite(t, Config{}), newSite(t, Config{})
	session := cookieName + "=" + tokenWith(`"groupID":4`) // for 3600.5 seconds
	for _, moment := range []struct {
		seconds float64
		want    int
	}{{0, 200}, {3600, 200}, {3600.499, 200}, {3600.5, 401}, {3601, 401}, {10, 200}} {
		run(t, fmt.Sprintf("after %v seconds", moment.seconds), func(t *testing.T) {
			setClock(t, moment.seconds)
			if got := same.send("GET /", "Cookie", session).Code; got != moment.want {
				t.Errorf("got %d, want %d", got, moment.want)
			}
			if got := changing.send("GET /", "Cookie", fmt.Sprint(session, "; a=", moment.seconds)).Code; got != moment.want {
				t.Errorf("with other cookies: got %d, want %d", got, moment.want)
			}
		})
	}
}

func TestClaimNamesAreCaseSensitive(t *testing.T) {
	claims := func(changes string) string {
		text := fmt.Sprintf(`"iss":"Organizr","aud":"Organizr","exp":%d,"nbf":%d,"groupID":4,"name":"bob","email":"bob@example.com","userID":2,"image":"bob.png"`,
			organizr.ValidAt+60, organizr.ValidAt-60)
		if old, renamed, rename := strings.Cut(changes, "->"); rename {
			return strings.Replace(text, `"`+old+`"`, `"`+renamed+`"`, 1)
		}
		return text
	}
	s := newSite(t, Config{Headers: map[string]string{"X-All": "{username} {email} {group} {groupID} {userID} {image}"}})
	for _, other := range []string{
		`"ISS":"another"`, `"Iss":"another"`, `"AUD":"another"`, `"aUD":"another"`, `"EXP":1`, `"Exp":1`, `"NBF":9999999999`, `"nBf":9999999999`,
		`"GROUPID":0`, `"GroupID":0`, `"groupid":0`, `"groupId":0`, `"NAME":"alice"`, `"Name":"alice"`, `"USERNAME":"alice"`, `"userName":"alice"`,
		`"EMAIL":"alice@example.com"`, `"eMail":"alice@example.com"`, `"group":"Admin"`, `"GROUP":"Admin"`, `"USERID":1`, `"userid":1`, `"IMAGE":"alice.png"`,
		`"Image":"alice.png"`, `"` + "i\u017fs" + `":"another"`,
	} {
		for place, text := range map[string]string{"before": other + "," + claims(""), "behind": claims("") + "," + other} {
			run(t, other+" "+place+" the right claims changes nothing", func(t *testing.T) {
				s.send("GET /", "Cookie", cookieName+"="+signToken(tokenHeader, "{"+text+"}", organizr.OrganizrHash))
				if got := s.forwardedHeader("X-All"); got != "bob bob@example.com User 4 2 bob.png" {
					t.Errorf("the service was told %q", got)
				}
			})
		}
	}
	for _, change := range []string{
		"iss->ISS", "iss->Iss", "aud->AUD", "aud->Aud", "exp->EXP", "exp->eXP", "groupID->GROUPID", "groupID->groupid", "groupID->groupId",
	} {
		run(t, change+" makes it no session", func(t *testing.T) {
			if got := s.send("GET /", "Cookie", cookieName+"="+signToken(tokenHeader, "{"+claims(change)+"}", organizr.OrganizrHash)).Code; got != 401 {
				t.Errorf("got %d, want 401", got)
			}
		})
	}
}

func TestUsernameBeforeName(t *testing.T) {
	s := newSite(t, Config{})
	for claims, want := range map[string]string{
		`"name":"new","groupID":4`:                  "new",
		`"username":"old","groupID":4`:              "old",
		`"username":"old","name":"new","groupID":4`: "old",
		`"username":null,"name":"new","groupID":4`:  "new",
		`"name":"","groupID":4`:                     "",
		`"name":null,"groupID":"4"`:                 "",
	} {
		run(t, claims, func(t *testing.T) {
			s.send("GET /", "Cookie", cookieName+"="+tokenWith(claims))
			if got := s.forwardedHeader("X-Organizr-User"); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestUnprintableNames(t *testing.T) {
	for _, test := range []struct{ name, claims string }{
		{"a control character", `"name":"alice\u0007"`},
		{"NUL", `"name":"alice\u0000"`},
		{"a line feed", `"name":"alice\nX-Organizr-Group: 0"`},
		{"DEL", `"name":"alice\u007f"`},
		{"a control character of Latin-1", `"name":"alice\u0085"`},
		{"right to left", `"name":"\u202ealice"`},
		{"a zero-width space", `"name":"ali\u200bce"`},
		{"a soft hyphen", `"name":"ali\u00adce"`},
		{"a byte order mark", `"name":"\ufeffalice"`},
		{"a no-break space", `"name":"alice\u00a0"`},
		{"a line separator", `"name":"ali\u2028ce"`},
		{"a character that Unicode leaves to others", `"name":"alice\ue000"`},
		{"a tabulator", `"name":"alice\t"`},
		{"a space before", `"name":" alice"`},
		{"a space behind", `"name":"alice "`},
		{"in the older claim", `"username":"alice\u0007","name":"alice"`},
		{"a control character in the address", `"name":"bob","email":"alice@example.com\u0007"`},
		{"a space behind the address", `"name":"bob","email":"alice@example.com "`},
		{"a space before the address", `"name":"bob","email":" alice@example.com"`},
		{"right to left in the address", `"name":"bob","email":"\u202emoc.elpmaxe@ecila"`},
		{"a line feed in the picture", `"name":"bob","image":"x\ny"`},
	} {
		session := cookieName + "=" + tokenWith(test.claims+`,"groupID":0`)
		run(t, test.name+" is 403, with a page that says so", func(t *testing.T) {
			s := newSite(t, Config{OrganizrURL: organizrURL, Allow: []string{"groupID=0"}})
			for i := 0; i < 2; i++ {
				rec := s.send("GET /", "Cookie", session, "Accept", browserAccept)
				body := rec.Body.String()
				if rec.Code != 403 || !strings.Contains(body, "characters that can&#39;t be printed, or a space at an end") {
					t.Errorf("got %d with %s", rec.Code, body)
				}
				if strings.Contains(body, "Asked for") || !strings.Contains(body, `href="https://organizr.example.com/"`) {
					t.Errorf("the page gives another reason, or no way to Organizr: %s", body)
				}
			}
		})
		run(t, test.name+" is nobody on a Guest route", func(t *testing.T) {
			s := newSite(t, Config{Group: "Guest", Deny: []string{"groupID=0"}, Headers: map[string]string{"X-All": "{username}{email}{group}{image}{userID}{token}"}})
			for _, cookies := range []string{session, session, session + "; a=1"} {
				s.send("GET /", "Cookie", cookies)
				if got := s.forwardedHeader("X-Organizr-User") + s.forwardedHeader("X-Organizr-Email") + s.forwardedHeader("X-Organizr-Group") + s.forwardedHeader("X-All"); got != "" {
					t.Errorf("the service was told %q", got)
				}
			}
		})
	}
	for _, name := range []string{"Zoë Müller", "李雷", "🦊", "O&#039;Hara", "a&amp;b", "x  y", "e\u0301"} {
		run(t, name+" is told as it is", func(t *testing.T) {
			s := newSite(t, Config{})
			s.send("GET /", "Cookie", cookieName+"="+tokenWith(`"name":"`+name+`","groupID":4`))
			if got := s.forwardedHeader("X-Organizr-User"); got != name {
				t.Errorf("the service was told %q", got)
			}
		})
	}
}

// What the service is told.

func TestForwardedHeaders(t *testing.T) {
	const nobody = `"name":"evil {email}","email":"","group":"Family","groupID":7,"userID":7`
	one := func(name, text string) map[string]string { return map[string]string{name: text} }
	for _, test := range []struct {
		name    string
		headers map[string]string
		token   string
		header  string
		want    string
	}{
		{"the name", nil, tokenOf(t, "Zoë Müller"), "X-Organizr-User", "Zoë Müller"},
		{"the address", nil, tokenOf(t, "Zoë Müller"), "X-Organizr-Email", "Zo@example.com"},
		{"the group's number", nil, tokenOf(t, "Zoë Müller"), "X-Organizr-Group", "4"},
		{"all placeholders", one("X-All", "{username}|{email}|{group}|{groupID}|{userID}"), tokenOf(t, "bob"), "X-All", "bob|bob@example.com|User|4|2"},
		{"the picture", one("X-Image", "{image}"), tokenWith(`"groupID":4,"image":"https://x/?s=1&d=mm"`), "X-Image", "https://x/?s=1&d=mm"},
		{"the token as a bearer token", one("Authorization", "Bearer {token}"), tokenOf(t, "bob"), "Authorization", "Bearer " + tokenOf(t, "bob")},
		{"a text without placeholders", one("X-Via", "organizr"), tokenOf(t, "bob"), "X-Via", "organizr"},
		{"an empty claim is not sent", one("X-Mail", "mail {email}"), tokenWith(nobody), "X-Mail", ""},
		{"one of two claims is enough", one("X-Both", "{email}/{userID}"), tokenWith(nobody), "X-Both", "/7"},
		{"claims are not placeholders", nil, tokenWith(nobody), "X-Organizr-User", "evil {email}"},
		{"a group of the administrator's own by its number, not by the user's text", one("X-Group", "{group}"), tokenWith(nobody), "X-Group", "7"},
		{"one of Organizr's groups by its name, not by the user's text", one("X-Group", "{group}"), tokenWith(`"group":"Admin","groupID":4`), "X-Group", "User"},
		{"any logged-in user", one("X-Group", "{group}"), tokenWith(`"groupID":998`), "X-Group", "Logged In"},
		{"an empty text switches a default header off", one("X-Organizr-Email", ""), tokenOf(t, "bob"), "X-Organizr-Email", ""},
		{"another spelling of a default header takes its place", one("x-organizr-user", "<{username}>"), tokenOf(t, "bob"), "X-Organizr-User", "<bob>"},
		{"the default headers stay beside others", one("Remote-User", "{username}"), tokenOf(t, "bob"), "X-Organizr-User", "bob"},
	} {
		run(t, test.name, func(t *testing.T) {
			s := newSite(t, Config{Group: "998", Headers: test.headers})
			for _, turn := range []string{"first", "second"} {
				s.send("GET /", "Cookie", cookieName+"="+test.token, "Authorization", "Basic eDp5")
				if got := s.forwardedHeader(test.header); got != test.want {
					t.Errorf("the %s time: got %q, want %q", turn, got, test.want)
				}
			}
		})
	}
}

// Forged headers, and the cookies that the service gets.

func TestForgedHeadersStripped(t *testing.T) {
	s := newSite(t, Config{Rules: []string{"/public/=Guest"}, Headers: map[string]string{"X-WEBAUTH-ROLE": ""}})
	for _, spelling := range []string{
		"X-Organizr-User", "x-organizr-user", "X_Organizr_User", "X-Organizr_User", "x_organizr-Group", "X.Organizr.Email",
		"X-ORGANIZR-GROUP", "X~Organizr-User", "X-Webauth-Role", "X_WEBAUTH_ROLE", "X-Original-URL", "X_Rewrite_Url",
	} {
		for name, visit := range map[string][]string{
			"of bob":                  {"GET /", "Cookie", "bob"},
			"of bob on a Guest route": {"GET /public/", "Cookie", "bob"},
			"of nobody":               {"GET /public/", "Accept", "*/*"},
			"of bob with a form":      {"POST /", "Cookie", "bob"},
		} {
			run(t, spelling+" "+name, func(t *testing.T) {
				req := newRequest(t, visit[0], visit[1:]...)
				req.Header[spelling], req.Header["X-Else"] = []string{"forged"}, []string{"kept"}
				s.serve(req)
				for name, values := range s.forwarded.Header {
					if strings.Contains(strings.Join(values, ""), "forged") {
						t.Errorf("it reached the service as %s", name)
					}
				}
				if s.forwardedHeader("X-Else") != "kept" {
					t.Error("another header was taken away")
				}
			})
		}
	}
}

func TestTooManyHeaders(t *testing.T) {
	odd := func(count int) []string {
		headers := []string{"Cookie", "bob"}
		for i := 1; i < count; i++ {
			headers = append(headers, fmt.Sprintf("X-%d", i), "x")
		}
		return headers
	}
	checkAccess(t, []accessCase{
		{"200 headers", Config{}, "GET /", odd(200), 200},
		{"more than 200", Config{}, "GET /", odd(201), 431},
		{"more than 200 on a Guest route", Config{Group: "Guest"}, "GET /", odd(201), 431},
		{"more than 200 of a stranger on a Guest route", Config{Group: "Guest"}, "GET /", odd(203)[2:], 431},
		{"40,000", Config{AllowCrossSite: true}, "POST /", odd(40000), 431},
		{"many lines of one", Config{}, "GET /", append([]string{"Cookie", "bob"}, strings.Split(strings.Repeat("X-Else:x:", 300), ":")[:600]...), 200},
	})
}

func TestSessionCookieStripped(t *testing.T) {
	session := cookieName + "=" + tokenOf(t, "bob")
	for _, test := range []struct {
		name      string
		came      string // lines are parted by |
		forwarded string
	}{
		{"nothing else", session, ""},
		{"another behind it", session + "; a=1", "a=1"},
		{"another before it", "a=1; " + session, "a=1"},
		{"others around it", "a=1; " + session + "; b=\"2 3\"", "a=1; b=\"2 3\""},
		{"another right behind it", session + ";b=2", "b=2"},
		{"a space behind it", session + " ;b=2", "b=2"},
		{"without spaces", "a=1;" + session + ";b=2", "a=1;b=2"},
		{"a stale one goes too", cookieName + "=stale; " + session + "; a=1", "a=1"},
		{"wherever it is", "a=1; " + session + "; " + cookieName + "=stale; b=%3B", "a=1; b=%3B"},
		{"names that only contain it", "x" + cookieName + "=1; " + session + "; " + cookieName + "2=3", "x" + cookieName + "=1; " + cookieName + "2=3"},
		{"a value that is its name", "a=" + cookieName + "; " + session, "a=" + cookieName},
		{"what isn't a cookie", "odd,;;cookies; " + session + ";=;", "odd,;;cookies;=;"},
		{"the name alone", "a=1; " + cookieName + "; " + session + "; b=2", "a=1; b=2"},
		{"spaces around the name", "a=1; " + cookieName + " = stale ; " + session, "a=1"},
		{"a hundred of them", session + "; a=1; " + strings.Repeat(cookieName+"=stale; ", 100) + "b=2", "a=1; b=2"},
		{"on two lines", session + "; a=1|b=2", "a=1; b=2"},
	} {
		headers := []string{"Cookie", strings.Split(test.came, "|")[0]}
		for _, line := range strings.Split(test.came, "|")[1:] {
			headers = append(headers, "Cookie", line)
		}
		run(t, test.name, func(t *testing.T) {
			s := newSite(t, Config{})
			for _, turn := range []string{"first", "second"} {
				s.send("GET /", headers...)
				if got := s.forwardedHeader("Cookie"); got != test.forwarded {
					t.Errorf("the %s time: forwarded %q, want %q", turn, got, test.forwarded)
				}
			}
		})
		run(t, test.name+", on a Guest route", func(t *testing.T) {
			s := newSite(t, Config{Group: "Guest"})
			s.send("GET /", "Cookie", strings.ReplaceAll(strings.ReplaceAll(test.came, session, cookieName+"=stale"), "|", "; "))
			if got := s.forwardedHeader("Cookie"); got != test.forwarded {
				t.Errorf("forwarded %q, want %q", got, test.forwarded)
			}
		})
		run(t, test.name+", with forwardToken", func(t *testing.T) {
			s := newSite(t, Config{ForwardToken: true})
			s.send("GET /", headers...)
			if got := strings.Join(s.forwarded.Header["Cookie"], "|"); got != test.came {
				t.Errorf("forwarded %q, want %q", got, test.came)
			}
		})
	}
	run(t, "one line that is remembered, and another", func(t *testing.T) {
		s := newSite(t, Config{})
		s.send("GET /", "Cookie", session+"; a=1")
		s.send("GET /", "Cookie", session+"; a=1", "Cookie", "b=2")
		if got := s.forwardedHeader("Cookie"); got != "a=1; b=2" {
			t.Errorf("forwarded %q", got)
		}
	})
	run(t, "more than 32 KiB on a Guest route: nothing is forwarded", func(t *testing.T) {
		s := newSite(t, Config{Group: "Guest"})
		s.send("GET /", "Cookie", strings.Repeat("a=1; ", 32<<10/5)+session)
		if got := s.forwardedHeader("Cookie"); got != "" {
			t.Errorf("forwarded %.100q", got)
		}
	})
}

// Cross-site requests.

func TestCrossSiteRequests(t *testing.T) {
	bob := func(headers ...string) []string { return append([]string{"Cookie", "bob"}, headers...) }
	checkAccess(t, []accessCase{
		{"a form of another site", Config{}, "POST /", bob("Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"), 403},
		{
			"a form of another of our hosts",
			Config{OrganizrURL: organizrURL},
			"POST /",
			bob("Sec-Fetch-Site", "same-site", "Origin", "http://radarr.example.com"), 200,
		},
		{"a form of a sibling, where nobody says where Organizr is", Config{}, "POST /", bob("Sec-Fetch-Site", "same-site", "Origin", "http://radarr.example.com"), 403},
		{
			"a form of the same site, outside the domain of Organizr's cookie",
			Config{OrganizrURL: "https://organizr.home.example.com"},
			"POST http://sonarr.home.example.com/",
			bob("Sec-Fetch-Site", "same-site", "Origin", "https://evil.example.com"), 403,
		},
		{
			"a form of a neighbour under a provider that is no public suffix",
			Config{OrganizrURL: "https://victim.myddns.me"},
			"POST http://victim.myddns.me/",
			bob("Sec-Fetch-Site", "same-site", "Origin", "https://evil.myddns.me"), 403,
		},
		{"a sandboxed form of the same site", Config{OrganizrURL: organizrURL}, "POST /", bob("Sec-Fetch-Site", "same-site", "Origin", "null"), 403},
		{"a form of the same site that doesn't say where it is from", Config{OrganizrURL: organizrURL}, "POST /", bob("Sec-Fetch-Site", "same-site"), 403},
		{"a form of our own", Config{}, "POST /", bob("Sec-Fetch-Site", "same-origin", "Origin", "http://sonarr.example.com"), 200},
		{"a form from nowhere", Config{}, "POST /", bob("Sec-Fetch-Site", "none"), 200},
		{"a program, which says nothing", Config{}, "POST /", bob(), 200},
		{"a link on another site", Config{}, "GET /", bob("Sec-Fetch-Site", "cross-site"), 200},
		{"a script of another site that reads", Config{}, "GET /", bob("Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"), 200},
		{"a preflight", Config{}, "OPTIONS /", bob("Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"), 200},
		{"HEAD", Config{}, "HEAD /", bob("Sec-Fetch-Site", "cross-site"), 200},
		{"DELETE", Config{}, "DELETE /", bob("Sec-Fetch-Site", "cross-site"), 403},
		{"an unknown method", Config{}, "FROB /", bob("Sec-Fetch-Site", "cross-site"), 403},
		{"with allowCrossSite", Config{AllowCrossSite: true}, "POST /", bob("Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"), 200},
		{"on a Guest route", Config{Group: "Guest"}, "POST /", bob("Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"), 200},
		{"with a bearer token", Config{AcceptBearer: true}, "POST /", []string{"Authorization", "Bearer bob", "Sec-Fetch-Site", "cross-site"}, 200},
		{"a stranger is asked to log in", Config{}, "POST /", []string{"Sec-Fetch-Site", "cross-site"}, 401},
		{
			"Firefox's WebSocket of another site",
			Config{},
			"GET /",
			bob("Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example", "Upgrade", "websocket"), 403,
		},
	})
}

// Chromium sends no Sec-Fetch-Site with a WebSocket, and older browsers never do.
func TestOriginWithoutSecFetchSite(t *testing.T) {
	siblings := Config{OrganizrURL: organizrURL}
	for _, test := range []struct {
		name    string
		config  Config
		target  string
		origins []string
		want    int
	}{
		{"the service's own page", Config{}, "/", []string{"http://sonarr.example.com"}, 200},
		{"the service's own page on another port", Config{}, "/", []string{"https://sonarr.example.com:8443"}, 200},
		{"the service's own page, asked with a port", Config{}, "http://sonarr.example.com:8080/", []string{"http://sonarr.example.com:8080"}, 200},
		{"the service's own page, its host spelled otherwise", Config{}, "http://SONARR.example.com./", []string{"http://sonarr.example.com"}, 200},
		{"another site", siblings, "/", []string{"https://evil.example"}, 403},
		{"a sandboxed frame", siblings, "/", []string{"null"}, 403},
		{"Organizr itself", siblings, "/", []string{"https://organizr.example.com"}, 200},
		{"a sibling in the domain of Organizr's cookie", siblings, "/", []string{"https://radarr.example.com:8443"}, 200},
		{"the domain of Organizr's cookie itself", siblings, "/", []string{"https://example.com"}, 200},
		{"a name that only ends like it", siblings, "/", []string{"https://notexample.com"}, 403},
		{"a name that only begins like it", siblings, "/", []string{"https://sonarr.example.com.evil.example"}, 403},
		{"a sibling, where nobody says where Organizr is", Config{}, "/", []string{"https://radarr.example.com"}, 403},
		{"something that is no address", siblings, "/", []string{"https://%"}, 403},
		{"something without a host", siblings, "/", []string{"file://"}, 403},
		{"an empty one", siblings, "/", []string{""}, 403},
		{"two of them, one another site's", siblings, "/", []string{"http://sonarr.example.com", "https://evil.example"}, 403},
		{"a neighbour under an unknown suffix", Config{OrganizrURL: "https://me.dynu.net"}, "http://a.me.dynu.net/", []string{"https://evil.dynu.net"}, 403},
		{"a neighbour under com.au", Config{OrganizrURL: "https://example.com.au"}, "http://example.com.au/", []string{"https://evil.com.au"}, 403},
		{"a sibling under com.au", Config{OrganizrURL: "https://example.com.au"}, "http://sonarr.example.com.au/", []string{"https://radarr.example.com.au"}, 200},
		{"a neighbour under duckdns.org", Config{OrganizrURL: "https://me.duckdns.org"}, "http://me.duckdns.org/", []string{"https://evil.duckdns.org"}, 403},
		{"a neighbour under synology.me", Config{OrganizrURL: "https://me.synology.me"}, "http://a.me.synology.me/", []string{"https://evil.synology.me"}, 403},
		{"no origin, as programs", siblings, "/", nil, 200},
	} {
		var origins []string
		for _, origin := range test.origins {
			origins = append(origins, "Origin", origin)
		}
		checkAccess(t, []accessCase{
			{test.name + " posts", test.config, "POST " + test.target, append([]string{"Cookie", "bob"}, origins...), test.want},
			{test.name + " opens a WebSocket", test.config, "GET " + test.target, append([]string{"Cookie", "bob", "Upgrade", "websocket"}, origins...), test.want},
			{test.name + " reads", test.config, "GET " + test.target, append([]string{"Cookie", "bob"}, origins...), 200},
		})
	}
	socket := []string{"Cookie", "bob", "Upgrade", "websocket", "Origin", "https://evil.example"}
	checkAccess(t, []accessCase{
		{"on a Guest route", Config{Group: "Guest"}, "GET /", socket, 200},
		{"with allowCrossSite", Config{AllowCrossSite: true}, "GET /", socket, 200},
		{"with a bearer token", Config{AcceptBearer: true}, "POST /", []string{"Authorization", "Bearer bob", "Origin", "https://evil.example"}, 200},
		{"where Sec-Fetch-Site says same-origin", Config{}, "POST /", []string{"Cookie", "bob", "Sec-Fetch-Site", "same-origin", "Origin", "null"}, 200},
		{
			"a host that a trusted proxy tells",
			Config{},
			"POST http://10.0.0.2/",
			[]string{"Cookie", "bob", "X-Forwarded-Host", "sonarr.example.com", "Origin", "https://sonarr.example.com"},
			200,
		},
	})
	run(t, "a sandboxed frame, and the request names no host", func(t *testing.T) {
		req := newRequest(t, "POST /", "Cookie", "bob", "Origin", "null")
		req.Host = ""
		if got := newSite(t, Config{}).serve(req).Code; got != 403 {
			t.Errorf("got %d", got)
		}
	})
}

// Refusals: the redirect to the login.

func TestRedirectToLogin(t *testing.T) {
	here := Config{OrganizrURL: organizrURL}
	checkAccess(t, []accessCase{
		{"a browser that opens a page", here, "", []string{"Accept", browserAccept, "Sec-Fetch-Mode", "navigate"}, 302},
		{"an old browser", here, "", []string{"Accept", "TEXT/HTML"}, 302},
		{"a frame", here, "", []string{"Accept", browserAccept, "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}, 302},
		{"a program", here, "", []string{"Accept", "application/json"}, 401},
		{"a program that says nothing", here, "", nil, 401},
		{"a script", here, "", []string{"Accept", browserAccept, "Sec-Fetch-Mode", "cors"}, 401},
		{"an image", here, "", []string{"Accept", "image/webp,*/*", "Sec-Fetch-Mode", "no-cors"}, 401},
		{"a form", here, "POST /", []string{"Accept", browserAccept, "Sec-Fetch-Mode", "navigate"}, 401},
		{"a WebSocket", here, "", []string{"Accept", browserAccept, "Upgrade", "websocket"}, 401},
		{"where organizrURL isn't given", Config{}, "", []string{"Accept", browserAccept}, 401},
	})
}

func TestReturnAddress(t *testing.T) {
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
		{
			"https and a port, as Traefik tells", "/s",
			[]string{"X-Forwarded-Proto", "https", "X-Forwarded-Host", "sonarr.example.com:8443"},
			"https://sonarr.example.com:8443/s",
		},
		{"a prefix that Traefik cut off", "/s", []string{"X-Forwarded-Prefix", "/sonarr"}, "http://sonarr.example.com/sonarr/s"},
		{"2 KiB, of which the host has 26", "/" + strings.Repeat("x", 2022), nil, "http://sonarr.example.com/" + strings.Repeat("x", 2022)},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			run(t, test.name+" by "+method, func(t *testing.T) {
				rec := newSite(t, Config{OrganizrURL: organizrURL}).send(method+" "+test.target, append(test.headers, "Accept", browserAccept)...)
				location, isOrganizr := strings.CutPrefix(rec.Header().Get("Location"), "https://organizr.example.com/?return=")
				if rec.Code != 302 || !isOrganizr || rec.Header().Get("Cache-Control") != "no-store" {
					t.Errorf("got %d to %q", rec.Code, rec.Header().Get("Location"))
				}
				if strings.ContainsAny(location, "&#+") {
					t.Errorf("Organizr would cut %q", location)
				}
				for i := 0; i < 3; i++ { // decodeURI twice, then decodeURIComponent
					location, _ = url.PathUnescape(location)
				}
				if location != test.want {
					t.Errorf("comes back to %q, want %q", location, test.want)
				}
			})
		}
	}
	for _, test := range []struct{ name, organizr, target, want string }{
		{
			"as it came back from a real Organizr", organizrURL, "/s?q=100%25&x=a%2Fb",
			"https://organizr.example.com/?return=http%25253A%25252F%25252Fsonarr.example.com%25252Fs%25253Fq%25253D100%25252525%252526x%25253Da%2525252Fb",
		},
		{
			"an Organizr with a path", "https://home.example.com/organizr", "/",
			"https://home.example.com/organizr/?return=http%25253A%25252F%25252Fsonarr.example.com%25252F",
		},
		{"more than 2 KiB is left out", organizrURL, "/" + strings.Repeat("x", 2023), "https://organizr.example.com/"},
		{"900 KB of percent signs are left out", organizrURL, "/?" + strings.Repeat("%", 900_000), "https://organizr.example.com/"},
	} {
		run(t, test.name, func(t *testing.T) {
			rec := newSite(t, Config{OrganizrURL: test.organizr}).send("GET "+test.target, "Accept", browserAccept)
			if got := rec.Header().Get("Location"); rec.Code != 302 || got != test.want {
				t.Errorf("got %d to %.300s\nwant %s", rec.Code, got, test.want)
			}
		})
	}
}

// Refusals: where a login can't help.

func TestUnreachableLogin(t *testing.T) {
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
		{"https://organizr.home.example.com", "https://sonarr.example.com/", "reaches home.example.com and names under it, and not sonarr.example.com"},
		{"https://organizr.home.example.com", "https://sonarr.home.example.com/", ""},
		{"https://organizr.home.me.example.com", "https://sonarr.home.me.example.com/", "reaches organizr.home.me.example.com and names under it"},
		{"https://organizr.home.me.example.com", "https://sonarr.organizr.home.me.example.com/", ""},
		{"https://example.com", "https://sonarr.example.com/", ""},
		{"https://www.example.com", "https://sonarr.example.com/", ""},
		{"https://organizr.example.co.uk", "https://sonarr.example.co.uk/", ""},
		{"https://example.co.uk", "https://sonarr.co.uk/", "reaches example.co.uk and names under it"},
		{"https://example.com.au", "https://sonarr.com.au/", "reaches example.com.au and names under it"},
		{"https://organizr.synology.me", "https://sonarr.synology.me/", "reaches organizr.synology.me and names under it"},
		{"http://localhost:8000", "http://localhost:8001/", ""},
		{"http://organizr.lan", "http://sonarr.lan/", "browsers share a cookie only"},
		{"http://organizr.lan", "http://sonarr.organizr.lan/", ""},
		{"https://organizr.example.com", "https://sonarr.example.org/", "browsers share a cookie only"},
		{"http://192.168.1.5", "http://192.168.1.6/", "browsers share a cookie only"},
		{"http://192.168.1.5:80", "http://192.168.1.5:8989/", ""},
		{"https://organizr.duckdns.org", "https://sonarr.duckdns.org/", "reaches organizr.duckdns.org and names under it, and not sonarr.duckdns.org"},
		{"https://organizr.me.duckdns.org", "https://sonarr.me.duckdns.org/", ""},
		{"https://me.duckdns.org", "https://sonarr.me.duckdns.org/", ""},
		{"https://organizr.me.ddns.net", "https://sonarr.me.ddns.net/", "reaches organizr.me.ddns.net and names under it, and not sonarr.me.ddns.net"},
		{"https://me.ddns.net", "https://sonarr.me.ddns.net/", ""},
		{"https://organizr.zapto.org", "https://sonarr.zapto.org/", "reaches organizr.zapto.org and names under it"},
		{"https://organizr.notzapto.org", "https://sonarr.notzapto.org/", ""},
	} {
		run(t, test.target+" with "+test.organizr, func(t *testing.T) {
			scheme, _, _ := strings.Cut(test.target, "://")
			s := newSite(t, Config{OrganizrURL: test.organizr})
			rec := s.send("GET "+test.target, "Accept", browserAccept, "X-Forwarded-Proto", scheme)
			body := strings.ReplaceAll(rec.Body.String(), "&#39;", "'")
			if test.says == "" {
				if rec.Code != 302 {
					t.Errorf("got %d, want a redirect", rec.Code)
				}
				return
			}
			if rec.Code != 401 || !strings.Contains(body, test.says) {
				t.Errorf("got %d without %q: %s", rec.Code, test.says, body)
			}
			for _, contradiction := range []string{"<a ", "href", "button\"", "Please log in", "Log in there", "come back"} {
				if strings.Contains(body, contradiction) {
					t.Errorf("the page has %q: %s", contradiction, body)
				}
			}
		})
	}
}

// Refusals: pages and problem JSON.

func TestRefusals(t *testing.T) {
	const challenge = `Bearer realm="Organizr"`
	for _, test := range []struct {
		name      string
		config    Config
		request   string
		headers   []string
		status    int
		body      string // parts of it, a line each; empty for no body
		challenge string
	}{
		{
			"too low a group, for a person",
			Config{},
			"GET /",
			[]string{"Cookie", "bob", "Accept", browserAccept},
			403,
			"<dd>bob</dd>\n<dd>User (4)</dd>\n<dd>Power User (3) or a smaller number</dd>\n" +
				"href=\"https://organizr.example.com/\"\n<html lang=\"en\">\n<main>\nNot for your group", "",
		},
		{
			"too low a group, for a program",
			Config{},
			"GET /",
			[]string{"Cookie", "bob"},
			403,
			`"status":403` + "\n" + `"type":"about:blank"` + "\n" + `"title":"Forbidden"`, "",
		},
		{"too low a group, HEAD", Config{}, "HEAD /", []string{"Cookie", "bob", "Accept", browserAccept}, 403, "", ""},
		{
			"a group without a name is asked for",
			Config{Group: "3", Rules: []string{"/x=2"}},
			"GET /x",
			[]string{"Cookie", "bob", "Accept", browserAccept},
			403,
			"<dd>Super User (2) or a smaller number</dd>", "",
		},
		{"administrators only", Config{Group: "0"}, "GET /", []string{"Cookie", "bob", "Accept", browserAccept}, 403, "<dd>Admin (0)</dd>", ""},
		{
			"matched by deny",
			Config{Deny: []string{"userID=2"}},
			"GET /",
			[]string{"Cookie", "bob", "Accept", browserAccept},
			403,
			"Not for you</h1>\nAsk whoever runs this Organizr", "",
		},
		{"nobody, for a program", Config{}, "GET /", nil, 401, `"status":401` + "\n" + `"title":"Unauthorized"`, challenge},
		{"nobody, HEAD", Config{}, "HEAD /", nil, 401, "", challenge},
		{"nobody, with a form", Config{}, "POST /", []string{"Accept", browserAccept}, 401, "Please log in\nhref=\"https://organizr.example.com/\"", challenge},
		{"a bad token", Config{}, "GET /", []string{"Cookie", cookieName + "=x"}, 401, "401", challenge + `, error="invalid_token"`},
		{"a bad bearer token", Config{AcceptBearer: true}, "GET /", []string{"Authorization", "Bearer x"}, 401, "401", challenge + `, error="invalid_token"`},
		{
			"another site's form",
			Config{Group: "User"},
			"POST /",
			[]string{"Cookie", "bob", "Sec-Fetch-Site", "cross-site", "Accept", browserAccept, "Sec-Fetch-Mode", "navigate"},
			403, "Another website", "",
		},
	} {
		run(t, test.name, func(t *testing.T) {
			test.config.OrganizrURL = organizrURL
			if test.config.Group == "" {
				test.config.Group = "Power User"
			}
			rec := newSite(t, test.config).send(test.request, test.headers...)
			header, body := rec.Header(), rec.Body.String()
			contentType := "application/problem+json"
			if strings.Contains(strings.Join(test.headers, " "), browserAccept) {
				contentType = "text/html; charset=utf-8"
			}
			if rec.Code != test.status || header.Get("Content-Type") != contentType || header.Get("Cache-Control") != "no-store" ||
				header.Get("X-Content-Type-Options") != "nosniff" || header.Get("WWW-Authenticate") != test.challenge {
				t.Errorf("got %d %v", rec.Code, header)
			}
			for _, part := range strings.Split(test.body, "\n") {
				if !strings.Contains(body, part) {
					t.Errorf("no %q in %s", part, body)
				}
			}
			if test.body == "" && body != "" {
				t.Errorf("has a body: %s", body)
			}
			if contentType == "application/problem+json" && body != "" && !json.Valid([]byte(body)) {
				t.Errorf("isn't JSON: %s", body)
			}
		})
	}
}

func TestPageEscapesNames(t *testing.T) {
	for name, claims := range map[string]string{
		"markup":               `"name":"<script>alert(1)</script>\"'&"`,
		"markup, and a bell":   `"name":"<script>alert(1)</script>\u0007"`,
		"markup for a picture": `"name":"bob","image":"<script>","email":"<script>"`,
	} {
		run(t, name, func(t *testing.T) {
			rec := newSite(t, Config{Group: "Admin"}).send("GET /", "Accept", browserAccept, "Cookie", cookieName+"="+tokenWith(claims+`,"group":"<script>","groupID":4`))
			if body := rec.Body.String(); rec.Code != 403 || strings.Contains(body, "<script") || strings.Contains(body, "\u0007") {
				t.Errorf("got %d with %s", rec.Code, body)
			}
		})
	}
}

// Refusals: log lines.

func TestRefusalLogLines(t *testing.T) {
	long := strings.Repeat("\U0001f98a", 20_000)
	for _, test := range []struct {
		name    string
		config  Config
		request *http.Request
		want    string // a regular expression
	}{
		{
			"too low a group",
			Config{Group: "3"},
			newRequest(t, "GET /x", "Cookie", "Zoë Müller"),
			`organizrjwt: middleware="site@test" status=403 method="GET" host="sonarr.example.com" path="/x" reason="group 4, and 3 is asked for" ` +
				`visitor="Zoë Müller"`,
		},
		{"no cookie", Config{}, newRequest(t, "GET /"), `status=401 .* reason="the request has no cookie organizr_token_e36ed245-[-0-9a-f]*" visitor=""`},
		{"a redirect", Config{OrganizrURL: organizrURL}, newRequest(t, "GET /", "Accept", browserAccept), `status=302 .* reason="the request has no cookie .*" visitor=""`},
		{
			"a token of another key",
			Config{},
			newRequest(t, "GET /", "Cookie", cookieName+"="+signToken(tokenHeader, "{}", "another")),
			`status=401 .* reason="the signature isn't made with this secret.*`,
		},
		{"an expired session", Config{}, newRequest(t, "GET /", "Cookie", cookieName+"="+tokenWith(`"exp":1`)), `status=401 .* reason="the session has expired"`},
		{"matched by deny", Config{Deny: []string{"userID=2"}}, newRequest(t, "GET /", "Cookie", "bob"), `status=403 .* reason="matched by deny" visitor="bob"`},
		{
			"another site",
			Config{},
			newRequest(t, "POST /", "Cookie", "bob", "Sec-Fetch-Site", "cross-site"),
			`status=403 .* reason="cross-site request, and allowCrossSite is off" visitor="bob"`,
		},
		{
			"a name that would forge a line",
			Config{},
			newRequest(t, "GET /", "Cookie", cookieName+"="+tokenWith(`"groupID":0,"name":"x\"\norganizrjwt: status=200"`)),
			`status=403 .* reason="the account's name or address isn't printable text, or has a space at an end" visitor="x\\"\\norganizrjwt: status=200"`,
		},
		{"a path that would forge a line", Config{}, newRequest(t, "GET /%0aorganizrjwt:%22"), `path="/\\norganizrjwt:\\""`},
		{"an endless path", Config{}, newRequest(t, "GET /"+strings.Repeat("x", 100_000)), `path="/x{255}" `},
		{"an endless path beyond ASCII", Config{}, newRequest(t, "GET /"+url.PathEscape(long)), `path="/\x{1f98a}{255}" `},
		{"a long name", Config{}, newRequest(t, "GET /", "Cookie", cookieName+"="+tokenWith(`"groupID":5,"name":"`+strings.Repeat("x", 5000)+`"`)), `visitor="x{256}"`},
		{"an endless method", Config{}, newRequest(t, strings.Repeat("GET", 1000)+" /"), `method="(GET){6}GE"`},
		{"an endless host", Config{}, newRequest(t, "GET http://"+strings.Repeat("x", 5000)+"/"), `host="x{256}"`},
	} {
		run(t, test.name, func(t *testing.T) {
			line := printedBy(t, func() { newSite(t, test.config).serve(test.request) })
			if !regexp.MustCompile(test.want).MatchString(line) {
				t.Errorf("got %s", line)
			}
			if strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "\n") || len(line) > 4096 {
				t.Errorf("got %d bytes, want one line of at most 4 KiB: %s", len(line), line)
			}
			if strings.Contains(line, "eyJ") || strings.Contains(line, organizr.OrganizrHash) {
				t.Errorf("got a part of a token or the secret: %s", line)
			}
		})
	}
}

// Configuration mistakes.

func TestConfigurationMistakes(t *testing.T) {
	for _, test := range []struct {
		name    string
		options func(*Config)
		says    string // parts, a line each
	}{
		{"no group", func(c *Config) { c.Group = "" }, "group: missing\nLogged In"},
		{"group -1", func(c *Config) { c.Group = "-1" }, `group: "-1" isn't a group; give a number from 0 to 999`},
		{"group 1000", func(c *Config) { c.Group = "1000" }, `group: "1000" isn't a group`},
		{"group 4.5", func(c *Config) { c.Group = "4.5" }, `group: "4.5" isn't a group`},
		{"a range of groups", func(c *Config) { c.Group = "1-3" }, `group: "1-3" isn't a group`},
		{"a rule with a range of groups", func(c *Config) { c.Rules = []string{"/a/=9-97"} }, `rules: "/a/=9-97": "9-97" isn't a group`},
		{"group admins", func(c *Config) { c.Group = "admins" }, `group: "admins" isn't a group` + "\nAdmin, Co-Admin"},
		{"a misspelled option", func(c *Config) { c.Unknown = map[string]any{"denny": "username=bob"} }, "denny: no such option"},
		{"no uuid", func(c *Config) { c.UUID = "" }, "uuid: missing"},
		{"a uuid that can't be in a cookie's name", func(c *Config) { c.UUID = "a b;c" }, `uuid: "a b;c" can't be part of a cookie's name`},
		{"no secret", func(c *Config) { c.Secret = "" }, "secret: missing"},
		{"a blank secret", func(c *Config) { c.Secret = " \t" }, "secret: blank"},
		{"a blank secret and no uuid", func(c *Config) { c.UUID, c.Secret = "", " " }, "uuid: missing\nsecret: blank"},
		{"two secrets", func(c *Config) { c.SecretFile = "/run/secrets/hash" }, "secret: more than one source; give only one of secret, secretFile and configFile"},
		{"databaseFile auto without configFile", func(c *Config) { c.DatabaseFile = "auto" }, `databaseFile: "auto"` + "\nconfigFile"},
		{"no scheme", func(c *Config) { c.OrganizrURL = "organizr.example.com" }, `organizrURL: "organizr.example.com"` + "\nhttps://organizr.example.com"},
		{"an address without host", func(c *Config) { c.OrganizrURL = "https:///x" }, `organizrURL: "https:///x"`},
		{"an address of another scheme", func(c *Config) { c.OrganizrURL = "ftp://x.example" }, "organizrURL:"},
		{"an address with a query", func(c *Config) { c.OrganizrURL = "https://x.example/?a" }, "organizrURL:"},
		{"a rule without group", func(c *Config) { c.Rules = []string{"/api/"} }, `rules: "/api/" isn't PATTERN=GROUP`},
		{"a rule with an unknown group", func(c *Config) { c.Rules = []string{"/api/=gast"} }, `rules: "/api/=gast": "gast" isn't a group`},
		{"a pattern without a slash", func(c *Config) { c.Rules = []string{"api=Guest"} }, `rules: "api=Guest" has a host, or doesn't begin with /`},
		{"a quoted pattern", func(c *Config) { c.Rules = []string{"'/api/'=Guest"} }, `doesn't begin with /`},
		{"a wildcard as elsewhere", func(c *Config) { c.Rules = []string{"/settings/*=Admin"} }, `rules: "/settings/*=Admin" has "*" in its path`},
		{"two rules in one", func(c *Config) { c.Rules = []string{"/a/=Admin;/b/=Admin"} }, `has "=" in its path`},
		{"two patterns in one", func(c *Config) { c.Rules = []string{"/a/,/b/=Admin"} }, `has ",/" in its path`},
		{"a name as other routers write it", func(c *Config) { c.Rules = []string{"/users/:id=Admin"} }, `has "/:" in its path`},
		{"a name as manuals write it", func(c *Config) { c.Rules = []string{"/users/<id>=Admin"} }, `has "<" in its path`},
		{"a query", func(c *Config) { c.Rules = []string{"/settings?tab=Admin"} }, `has "?" in its path`},
		{"an end as expressions have it", func(c *Config) { c.Rules = []string{"/api/$=Guest"} }, `has "$" in its path`},
		{"a path that leads up", func(c *Config) { c.Rules = []string{"/api/../x=Guest"} }, `has "/../" in its path`},
		{"a group's name for its number", func(c *Config) { c.Deny = []string{"groupID=User"} }, `deny: "groupID=User" isn't a whole number`},
		{"a number with a zero before it", func(c *Config) { c.Allow = []string{"groupID=04"} }, `allow: "groupID=04" isn't a whole number`},
		{"a quoted value", func(c *Config) { c.Deny = []string{`username="bob"`} }, `has quotes around its value`},
		{"a pattern that ServeMux can't read", func(c *Config) { c.Rules = []string{"/{=Guest"} }, `rules: parsing "/{"`},
		{"the same pattern twice", func(c *Config) { c.Rules = []string{"/a=1", "/a=2"} }, `rules: pattern "/a" conflicts with pattern "/a"`},
		{"neither more specific", func(c *Config) { c.Rules = []string{"/a/{x}=1", "/{y}/b=2"} }, `rules: pattern "/{y}/b" conflicts with pattern "/a/{x}"`},
		{
			"a closed file whose folder another rule shares", func(c *Config) { c.Rules = []string{"/a/{x}=1", "/{y}/b/=Guest"} },
			`rules: pattern "/{y}/b" conflicts with pattern "/a/{x}"`,
		},
		{
			"a pattern with a host", func(c *Config) { c.Rules = []string{"GET admin.example.com/=1"} },
			`rules: "GET admin.example.com/=1" has a host` + "\nTraefik's routers",
		},
		{
			"unknown claims", func(c *Config) { c.Allow, c.Deny = []string{"name=x"}, []string{"groups=1"} },
			`allow: "name=x"` + "\n" + `deny: "groups=1"` + "\nusername, email",
		},
		{"a claim without value", func(c *Config) { c.Deny = []string{"username= ", "email"} }, `deny: "username= "` + "\n" + `deny: "email"`},
		{
			"a group's name without a database", func(c *Config) { c.Allow, c.Deny = []string{"group=Family"}, []string{" group = Kids"} },
			`allow: "group=Family" needs databaseFile` + "\n" + `deny: " group = Kids" needs databaseFile` + "\nlike groupID=5\nusers can choose that text",
		},
		{"an unknown placeholder", func(c *Config) { c.Headers["X-A"] = "{name}" }, `headers: "X-A" has the unknown placeholder "{name}"` + "\n{username}"},
		{
			"a brace that isn't closed", func(c *Config) { c.Headers["X-A"] = "{username" },
			`headers: "X-A" has a brace without its partner in its text "{username"` + "\n{username}",
		},
		{"a brace that isn't opened", func(c *Config) { c.Headers["X-A"] = "{username}}" }, `headers: "X-A" has a brace without its partner`},
		{"a brace within braces", func(c *Config) { c.Headers["X-A"] = "{{username}" }, `headers: "X-A" has a brace without its partner`},
		{"empty braces", func(c *Config) { c.Headers["X-A"] = "{}" }, `headers: "X-A" has the unknown placeholder "{}"`},
		{"an impossible header", func(c *Config) { c.Headers["X A"] = "" }, `headers: "X A" can't be the name of a header`},
		{"a header on two lines", func(c *Config) { c.Headers["X-A"] = "1\r\nX-B: 2" }, `headers: "X-A" has a control character`},
		{"a header of the connection", func(c *Config) { c.Headers["host"] = "x" }, `headers: "host" can't be set`},
		{"one header twice", func(c *Config) { c.Headers["X-A"], c.Headers["x_a"] = "1", "2" }, `headers: "X-A" and "x_a" are the same header`},
		{"one header twice, once without a text", func(c *Config) { c.Headers["X-A"], c.Headers["x_a"] = "", "2" }, `headers: "X-A" and "x_a" are the same header`},
		{"the other way", func(c *Config) { c.Headers["X-A"], c.Headers["x_a"] = "1", "" }, `headers: "X-A" and "x_a" are the same header`},
		{
			"everything at once", func(c *Config) {
				*c = Config{Rules: []string{"/"}, OrganizrURL: "x", Headers: map[string]string{"": "x"}, DatabaseFile: "auto"}
			},
			"uuid:\nsecret:\ndatabaseFile:\norganizrURL:\ngroup:\nrules:\nheaders:",
		},
	} {
		run(t, test.name, func(t *testing.T) {
			config := CreateConfig()
			config.UUID, config.Secret, config.Group = organizr.UUID, organizr.OrganizrHash, "User"
			test.options(config)
			handler, err := New(context.Background(), http.NotFoundHandler(), config, "site")
			if err == nil || handler != nil {
				t.Fatal("no error")
			}
			for _, part := range strings.Split(test.says, "\n") {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%v\ndoesn't say %s", err, part)
				}
			}
			for _, never := range []string{"registered at", ".go:", organizr.OrganizrHash, "\n"} {
				if strings.Contains(err.Error(), never) {
					t.Errorf("%v\nsays %s", err, never)
				}
			}
		})
	}
}

// Where the key comes from.

func TestKeySources(t *testing.T) {
	folder := t.TempDir()
	hashFile, phpFile, other := filepath.Join(folder, "hash"), filepath.Join(folder, "config.php"), filepath.Join(folder, "other.php")
	writeFile(t, hashFile, organizr.OrganizrHash+"\n")
	writeFile(t, phpFile, configPHP())
	writeFile(t, other, strings.Replace(configPHP(), organizr.OrganizrHash, "another-hash-that-is-long-enough", 1))
	for _, test := range []struct {
		name        string
		config      Config
		environment string // variables, a line each
		mistake     string // empty if bob gets in
	}{
		{"secret and uuid", Config{UUID: organizr.UUID, Secret: organizr.OrganizrHash}, "", ""},
		{"the cookie's full name", Config{UUID: cookieName, Secret: organizr.OrganizrHash}, "", ""},
		{"secretFile and uuid", Config{UUID: organizr.UUID, SecretFile: hashFile}, "", ""},
		{"configFile", Config{ConfigFile: phpFile}, "", ""},
		{"all from the environment", Config{}, "UUID=" + organizr.UUID + "\nSECRET=" + organizr.OrganizrHash, ""},
		{"a secret file from the environment", Config{}, "UUID=" + organizr.UUID + "\nSECRET_FILE=" + hashFile, ""},
		{"a config file from the environment", Config{}, "CONFIG_FILE=" + phpFile, ""},
		{"uuid of one's own, secret from the environment", Config{UUID: organizr.UUID}, "UUID=x\nSECRET=" + organizr.OrganizrHash, ""},
		{"secret of one's own, uuid from the environment", Config{Secret: organizr.OrganizrHash}, "SECRET=x\nUUID=" + organizr.UUID, ""},
		{"a config file of one's own wins over the environment", Config{ConfigFile: phpFile}, "UUID=x\nSECRET=x\nCONFIG_FILE=" + other, ""},
		{"a uuid of one's own wins over the config file's", Config{UUID: organizr.UUID, ConfigFile: phpFile}, "", ""},
		{"a secret alone", Config{Secret: organizr.OrganizrHash}, "", "uuid: missing"},
		{
			"two in the environment",
			Config{UUID: "x"},
			"SECRET=x\nCONFIG_FILE=" + phpFile,
			"give only one of ORGANIZR_SECRET, ORGANIZR_SECRET_FILE and ORGANIZR_CONFIG_FILE",
		},
		{"two of one's own", Config{ConfigFile: phpFile, Secret: "x"}, "", "give only one of secret, secretFile and configFile"},
		{"a blank one in the environment", Config{UUID: "x"}, "SECRET= ", "secret: blank"},
		{"a database that goes by no config file", Config{UUID: organizr.UUID, SecretFile: hashFile}, "DATABASE_FILE=auto", `databaseFile: "auto"`},
	} {
		run(t, test.name, func(t *testing.T) {
			for _, line := range strings.Split(test.environment, "\n") {
				if variable, value, ok := strings.Cut(line, "="); ok {
					setenv(t, "ORGANIZR_"+variable, value)
				}
			}
			test.config.Group = "User"
			handler, err := New(context.Background(), http.NotFoundHandler(), &test.config, "site")
			if test.mistake != "" || err != nil {
				if err == nil || test.mistake == "" || !strings.Contains(err.Error(), test.mistake) {
					t.Errorf("got %v, want %s", err, test.mistake)
				}
				return
			}
			rec := httptest.NewRecorder()
			if handler.ServeHTTP(rec, newRequest(t, "GET /", "Cookie", "bob")); rec.Code != 404 { // as NotFoundHandler has it
				t.Errorf("got %d", rec.Code)
			}
		})
	}
}

func TestURLAndDatabaseFromEnvironment(t *testing.T) {
	file := filepath.Join(t.TempDir(), "organizr.db")
	writeFile(t, file, readTestdata(t, "databases/page-512.db"))
	setenv(t, "ORGANIZR_URL", "https://login.example.com")
	setenv(t, "ORGANIZR_DATABASE_FILE", file)
	for _, test := range []struct {
		name    string
		config  Config
		session string // of bob
		want    int
		login   string
	}{
		{"a session that the database lists", Config{}, sampleSessions(t)["bob"], 200, ""},
		{"one that it doesn't list is nobody's, who logs in at that address", Config{}, "bob", 302, "https://login.example.com/?"},
		{"an address of one's own wins", Config{OrganizrURL: organizrURL}, "bob", 302, "https://organizr.example.com/?"},
		{"a database of one's own wins", Config{DatabaseFile: file + "-is-missing"}, sampleSessions(t)["bob"], 503, ""},
	} {
		run(t, test.name, func(t *testing.T) {
			rec := newSite(t, test.config).send("GET /", "Cookie", test.session, "Accept", browserAccept)
			if got := rec.Header().Get("Location"); rec.Code != test.want || !strings.HasPrefix(got, test.login) {
				t.Errorf("got %d to %q", rec.Code, got)
			}
		})
	}
}

func TestUnsafeSecretWarnings(t *testing.T) {
	for i, test := range []struct{ name, secret, says string }{
		{"the one that the documentation shows", organizr.OrganizrHash, "is the one that the documentation shows, so anyone can sign in as administrator"},
		{"19 bytes", "0123456789abcdefghi", "has 19 bytes"},
		{"20 bytes", "0123456789abcdefghij", ""},
	} {
		run(t, test.name, func(t *testing.T) {
			for turn, says := range []string{test.says, ""} { // the same source again is not warned of again
				line := loggedBy(t, func() { newSite(t, Config{UUID: fmt.Sprint("warned-", i), Secret: test.secret}) })
				if says == "" && line != "" || !strings.Contains(line, says) || strings.Contains(line, test.secret) {
					t.Errorf("time %d: logged %q, want %q", turn+1, line, says)
				}
			}
		})
	}
}

// config.php.

func TestRealConfigPHP(t *testing.T) {
	text := readTestdata(t, "organizr/config.php")
	values, err := readConfigPHP(text)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"organizrHash": organizr.OrganizrHash,
		"uuid":         organizr.UUID,
		"title":        "Home's Organizr",
		"customCss": "body{}\n\t'organizrHash' => 'attacker-chosen-secret-000000000000',\n\t'uuid' => '00000000-0000-0000-0000-000000000000',\n" +
			"/* it's \\ done */",
	} {
		run(t, name, func(t *testing.T) {
			if values[name] != want {
				t.Errorf("got %q, want %q", values[name], want)
			}
		})
	}
	run(t, "no part of it passes for the whole", func(t *testing.T) {
		for length := range text {
			if values, err := readConfigPHP(text[:length]); err == nil {
				t.Fatalf("the first %d bytes do: %v", length, values)
			}
		}
	})
}

func TestConfigPHPSyntax(t *testing.T) {
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
		{
			"all kinds of values",
			`<?php return ['a' => true, 'b' => null, 'c' => -1.5e3, 'd' => [], 'e' => ['f' => [0 => 'g']], 7 => 'h', 'organizrHash' => 'x'];`, "x",
		},
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
		run(t, test.name, func(t *testing.T) {
			values, err := readConfigPHP(test.text)
			if got := values["organizrHash"]; got != test.want {
				t.Errorf("got %q and %v, want %q", got, err, test.want)
			}
		})
	}
}

// Files that aren't there yet, and files that change.

func TestFilesNotThereYet(t *testing.T) {
	folder := t.TempDir() + "/"
	php, db := configPHP(), readTestdata(t, "databases/page-512.db")
	located, elsewhere := configPHP("dbLocation", "{}", "dbName", "db", "driver", "sqlite3"), configPHP("dbLocation", "{}", "dbName", "db", "driver", "mysqli")
	key, secret, database := Config{ConfigFile: "{}config.php"}, Config{SecretFile: "{}hash"}, Config{DatabaseFile: "{}db"}
	auto, both := Config{ConfigFile: "{}config.php", DatabaseFile: "auto"}, Config{ConfigFile: "{}config.php", DatabaseFile: "{}db"}
	for i, test := range []struct {
		name   string
		config Config // {} stands for the folder
		before fileTexts
		says   string
		after  fileTexts
	}{
		{"config.php is missing", key, nil, "configFile: can't read", fileTexts{"config.php": php}},
		{"config.php is empty", key, fileTexts{"config.php": ""}, "doesn't begin with", fileTexts{"config.php": php}},
		{"config.php is half written", key, fileTexts{"config.php": php[:90]}, "half written", fileTexts{"config.php": php}},
		{"config.php is without a key", key, fileTexts{"config.php": "<?php\nreturn [\n];"}, "has Organizr been set up?", fileTexts{"config.php": php}},
		{"config.php is a folder, as Docker makes it", key, fileTexts{"config.php/": ""}, "isn't a file", fileTexts{"config.php": php}},
		{"the secret's file is missing", secret, nil, "secretFile: can't read", fileTexts{"hash": organizr.OrganizrHash}},
		{"the secret's file is empty", secret, fileTexts{"hash": ""}, "has no organizrHash", fileTexts{"hash": organizr.OrganizrHash + "\r\n"}},
		{"the secret's file is blank", secret, fileTexts{"hash": " \n"}, "has no organizrHash", fileTexts{"hash": organizr.OrganizrHash + "\n"}},
		{"the database is missing", database, nil, "databaseFile:", fileTexts{"db": db}},
		{"the database is empty", database, fileTexts{"db": ""}, "isn't an SQLite database", fileTexts{"db": db}},
		{"the database is cut off", database, fileTexts{"db": db[:512]}, "it is damaged or cut off", fileTexts{"db": db}},
		{"the database has no tables", database, fileTexts{"db": readTestdata(t, "databases/no-tables.db")}, "it has no table", fileTexts{"db": db}},
		{"the database is just being written", database, fileTexts{"db": db, "db-journal": "x"}, "", fileTexts{"db-journal": ""}},
		{"both are missing", auto, nil, "configFile: can't read", fileTexts{"config.php": located, "db": db}},
		{"the database alone is missing", auto, fileTexts{"config.php": located}, "db\" isn't a file", fileTexts{"db": db}},
		{"it is MySQL", auto, fileTexts{"config.php": elsewhere, "db": db}, "database is mysqli, and only SQLite", fileTexts{"config.php": located}},
		{"it is MySQL, and a path is given", both, fileTexts{"config.php": elsewhere, "db": db}, "database is mysqli", fileTexts{"config.php": php}},
		{"config.php doesn't say where it is", auto, fileTexts{"config.php": php, "db": db}, "doesn't say where the database is", fileTexts{"config.php": located}},
	} {
		place := fmt.Sprint(folder, i, "/")
		here := func(text string) string { return strings.ReplaceAll(text, "{}", place) }
		put := func(given fileTexts) {
			for name, text := range given {
				if strings.HasSuffix(name, "/") {
					_ = os.Mkdir(place+name, 0o700)
					continue
				}
				_ = os.Remove(place + name) // if it is a folder
				writeFile(t, place+name, here(text))
			}
		}
		run(t, test.name, func(t *testing.T) {
			_ = os.Mkdir(place, 0o700)
			put(test.before)
			config := test.config
			config.ConfigFile, config.SecretFile, config.DatabaseFile = here(config.ConfigFile), here(config.SecretFile), here(config.DatabaseFile)
			config.AcceptBearer, config.OrganizrURL, config.Rules = true, organizrURL, []string{"/public/=Guest"}
			session := sampleSessions(t)["bob"]
			turnClock(float64(100 * i))
			defer turnClock(0)
			var s *site
			line := loggedBy(t, func() {
				s = newSite(t, config)
				checkNotReady(t, s, session)
			})
			want := 1 // line beside the one that the secret is known
			if test.says == "" {
				want = 0
			}
			if !strings.Contains(line, test.says) || strings.Count(line, "answered 503") != want {
				t.Errorf("logged %q, want one line with %q", line, test.says)
			}
			put(test.after)
			turnClock(float64(100*i) + 0.9)
			soon := 503
			if test.before["db-journal"] != "" {
				soon = 200 // what is being written is looked for sooner
			}
			if got := s.send("GET /", "Cookie", session).Code; got != soon {
				t.Errorf("within the same second: got %d, want %d", got, soon)
			}
			turnClock(float64(100*i) + 1)
			if got := s.send("GET /", "Cookie", session).Code; got != 200 {
				t.Errorf("a second later: got %d", got)
			}
			if got := s.send("GET /", "Accept", browserAccept).Code; got != 302 {
				t.Errorf("somebody else: got %d", got)
			}
		})
	}
}

// checkNotReady checks what is answered as long as files aren't there.
func checkNotReady(t *testing.T, s *site, session string) {
	t.Helper()
	const reload = `<meta http-equiv="refresh" content="5">`
	for _, headers := range [][]string{{"Accept", browserAccept}, {"Accept", browserAccept, "Cookie", session}} {
		rec := s.send("GET /", headers...)
		body := rec.Body.String()
		if rec.Code != 503 || rec.Header().Get("Retry-After") != "5" || rec.Header().Get("Cache-Control") != "no-store" ||
			!strings.Contains(body, "The login isn&#39;t ready yet") || !strings.Contains(body, reload) || strings.Contains(body, "<a ") {
			t.Errorf("a person gets %d %v %s", rec.Code, rec.Header(), body)
		}
		rec = s.send("GET /", headers[2:]...)
		if rec.Code != 503 || rec.Header().Get("Retry-After") != "5" || rec.Header().Get("Content-Type") != "application/problem+json" ||
			rec.Header().Get("WWW-Authenticate") != "" || !strings.Contains(rec.Body.String(), `"status":503`) || !json.Valid(rec.Body.Bytes()) {
			t.Errorf("a program gets %d %v %s", rec.Code, rec.Header(), rec.Body)
		}
		if rec = s.send("HEAD /", headers...); rec.Code != 503 || rec.Header().Get("Retry-After") != "5" || rec.Body.Len() > 0 {
			t.Errorf("HEAD gets %d %v %s", rec.Code, rec.Header(), rec.Body)
		}
	}
	token := strings.TrimPrefix(session, cookieName+"=")
	s.send("GET /public/", "Cookie", "a=1; "+session+"; organizr_token_x=y; b=2; organizr_token_=z", "Authorization", "Bearer "+token,
		"Authorization", "Basic eDp5", "X-Organizr-User", "alice")
	if got := s.forwardedHeader("Cookie") + " " + s.forwardedHeader("Authorization"); got != "a=1; b=2 Basic eDp5" || s.forwardedHeader("X-Organizr-User") != "" {
		t.Errorf("a Guest route's service gets %q and %q", got, s.forwardedHeader("X-Organizr-User"))
	}
}

func TestConfigPHPChanges(t *testing.T) {
	const newHash = "the-new-hash-that-is-long-enough"
	file := filepath.Join(t.TempDir(), "config.php")
	newKey := strings.Replace(configPHP(), organizr.OrganizrHash, newHash, 1)
	writeFile(t, file, configPHP())
	s := newSite(t, Config{ConfigFile: file})
	newSession := cookieName + "=" + signToken(tokenHeader, fmt.Sprintf(`{"iss":"Organizr","aud":"Organizr","exp":%d,"groupID":4}`, organizr.ValidAt+3600), newHash)
	for i, state := range []struct {
		name, text string
		old, new   int // what sessions of the old and the new key get
		says       string
	}{
		{"at first", configPHP(), 200, 401, ""},
		{"empty", "", 200, 401, "it doesn't begin with"},
		{"still empty", "", 200, 401, ""},
		{"half written", configPHP()[:100], 200, 401, "half written"},
		{"without a key", "<?php return [];", 200, 401, "has no organizrHash, or no uuid"},
		{"with a blank key", strings.Replace(configPHP(), organizr.OrganizrHash, " ", 1), 200, 401, ""}, // for the same reason
		{"missing", "", 200, 401, "can't read"},
		{"with a new key", newKey, 401, 200, ""},
		{"with a new uuid", strings.Replace(newKey, organizr.UUID, "another-uuid", 1), 401, 401, ""},
		{"with the old key again", configPHP(), 200, 401, ""},
		{"empty again", "", 200, 401, "it doesn't begin with"},
	} {
		run(t, state.name, func(t *testing.T) {
			writeFile(t, file, state.text)
			if state.name == "missing" {
				removeFile(t, file)
			}
			setClock(t, 1.5*float64(i+1))
			line := loggedBy(t, func() {
				for _, one := range []*site{s, newSite(t, Config{ConfigFile: file})} {
					if got := one.send("GET /", "Cookie", "bob").Code; got != state.old {
						t.Errorf("a session of the old key gets %d, want %d", got, state.old)
					}
					if got := one.send("GET /", "Cookie", newSession).Code; got != state.new {
						t.Errorf("a session of the new key gets %d, want %d", got, state.new)
					}
				}
			})
			problem, warned := strings.Contains(line, "what was read before stays in force"), strings.Contains(line, "documentation shows")
			if (state.says != "") != problem || !strings.Contains(line, state.says) || warned != (state.name == "with the old key again") {
				t.Errorf("logged %q, want %q", line, state.says)
			}
			if strings.Count(line, "\n") > 1 || strings.Contains(line, newHash) {
				t.Errorf("logged %q, want one line and no secret", line)
			}
		})
	}
	run(t, "it isn't looked at again within a second", func(t *testing.T) {
		writeFile(t, file, newKey)
		setClock(t, 17.4) // the last look was at 16.5
		if got := s.send("GET /", "Cookie", "bob").Code; got != 200 {
			t.Errorf("got %d", got)
		}
		setClock(t, 17.5)
		if got := s.send("GET /", "Cookie", "bob").Code; got != 401 {
			t.Errorf("a second later: got %d", got)
		}
	})
}

// sampleSessions returns the sessions that testdata/databases/page-512.db lists, as cookies, by their users' names.
func sampleSessions(t *testing.T) map[string]string {
	t.Helper()
	var table databaseTable
	decodeTestdata(t, "databases/databases.json", &table)
	sessions := map[string]string{}
	for token, id := range table.Read[0].Content.Tokens {
		sessions[table.Read[0].Content.Users[id-1].Username] = cookieName + "=" + token
	}
	return sessions
}

func TestDatabaseChanges(t *testing.T) {
	sue := sampleSessions(t)["sue"]
	before, later := readTestdata(t, "databases/page-512.db"), readTestdata(t, "databases/later.db") // which lists sue's session no more
	log := readTestdata(t, "databases/log.db-wal")                                                   // in which that session is somebody else's
	file := filepath.Join(t.TempDir(), "organizr.db")
	writeFile(t, file, before)
	s := newSite(t, Config{DatabaseFile: file})
	for _, state := range []struct {
		name   string
		clock  float64 // seconds
		change func()
		want   int
		says   string // in the log
	}{
		{"at first", 0, func() {}, 200, ""},
		{"logged out, within the same second", 0.9, func() { writeFile(t, file, later) }, 200, ""},
		{"a second later", 1, func() {}, 401, ""},
		{"logged in again, within the same second", 1.1, func() { writeFile(t, file, before) }, 200, ""},

		{"logged out, and the journal is still there", 10, func() { writeFile(t, file, later); writeFile(t, file+"-journal", "x") }, 200, ""},
		{"for five seconds", 15, func() {}, 200, ""},
		{"for more than five seconds", 16, func() {}, 200, "is being written for more than 5s"},
		{"for long", 60, func() {}, 200, ""},
		{"and the journal is empty", 62, func() { writeFile(t, file+"-journal", "") }, 401, ""},
		{"and gone", 64, func() { removeFile(t, file+"-journal"); writeFile(t, file, before) }, 200, ""},
		{"logged out, and the write-ahead log is still there", 70, func() { writeFile(t, file, later); writeFile(t, file+"-wal", "x") }, 200, ""},
		{"for more than five seconds again", 76, func() {}, 200, "is being written for more than 5s"},
		{"and empty", 78, func() { writeFile(t, file+"-wal", "") }, 401, ""},
		{"and gone again", 80, func() { removeFile(t, file+"-wal"); writeFile(t, file, before) }, 200, ""},
		{"written now and then isn't written for long", 84, func() { writeFile(t, file+"-journal", "x") }, 200, ""},
		{"between two writes", 88, func() { removeFile(t, file+"-journal"); writeFile(t, file, readTestdata(t, "databases/page-1024.db")) }, 200, ""},
		{"written again", 92, func() { writeFile(t, file+"-journal", "x") }, 200, ""},
		{"at rest", 94, func() { removeFile(t, file+"-journal") }, 200, ""},
		{"logged out, and the last commit of the log is just being written", 96, func() {
			writeFile(t, file, readTestdata(t, "databases/log.db"))
			writeFile(t, file+"-wal", log[:len(log)-100]+"x"+log[len(log)-99:])
		}, 200, ""},
		{"committed, in the log alone", 97, func() { writeFile(t, file+"-wal", log) }, 401, ""},
		{"and in the log no more", 98, func() { removeFile(t, file+"-wal") }, 200, ""},
		{"logged out, and the log can't be read", 98.5, func() {
			writeFile(t, file, later)
			_ = os.Mkdir(file+"-wal", 0o700)
		}, 200, ""},
		{"a second later", 99, func() {}, 200, "can't read"},
		{"and can", 99.9, func() { removeFile(t, file+"-wal") }, 200, ""},
		{"after another second", 100, func() {}, 401, ""},

		{"logged in again", 101, func() { writeFile(t, file, before) }, 200, ""},

		{"missing", 102, func() { removeFile(t, file) }, 200, "isn't a file that can be read"},
		{"still missing", 103, func() {}, 200, ""},
		{"empty", 104, func() { writeFile(t, file, "") }, 200, "isn't an SQLite database, or it is cut off"},
		{"cut off", 106, func() { writeFile(t, file, before[:2816]) }, 200, "it is damaged or cut off"},
		{"still cut off", 107, func() {}, 200, ""},
		{"cut off elsewhere", 108, func() { writeFile(t, file, before[:5120]) }, 200, ""},
		{"garbage", 109, func() { writeFile(t, file, readTestdata(t, "databases/garbage.db")) }, 200, "isn't an SQLite database"},
		{"without a table", 110, func() { writeFile(t, file, readTestdata(t, "databases/no-users.db")) }, 200, `no table "users"`},
		{"in UTF-16", 112, func() { writeFile(t, file, readTestdata(t, "databases/utf-16.db")) }, 200, "isn't UTF-8"},
		{"a folder", 114, func() { removeFile(t, file); _ = os.Mkdir(file, 0o700) }, 200, "isn't a file that can be read"},
		{"of gigabytes", 116, func() { removeFile(t, file); writeFile(t, file, before); _ = os.Truncate(file, 8<<30) }, 200, ""},
		{"good, and logged out", 120, func() { writeFile(t, file, later) }, 401, ""},
		{"missing again", 122, func() { removeFile(t, file) }, 401, "isn't a file that can be read"},
		{"logged in, while the file was missing", 122.5, func() { writeFile(t, file, before) }, 200, ""},
	} {
		run(t, state.name, func(t *testing.T) {
			state.change()
			setClock(t, state.clock)
			line := loggedBy(t, func() {
				for i := 0; i < 2; i++ {
					if got := s.send("GET /", "Cookie", sue).Code; got != state.want {
						t.Errorf("got %d, want %d", got, state.want)
					}
				}
			})
			if state.says == "" && line != "" || state.says != "" && (strings.Count(line, state.says) != 1 || strings.Count(line, "\n") != 1) {
				t.Errorf("logged %q, want one line with %q", line, state.says)
			}
			if line != "" && !strings.Contains(line, "what was read before stays in force") {
				t.Errorf("logged %q", line)
			}
		})
	}
}

func TestUUIDAndDatabaseChangeTogether(t *testing.T) {
	folder := t.TempDir() + "/"
	writeFile(t, folder+"config.php", configPHP())
	writeFile(t, folder+"db", readTestdata(t, "databases/later.db"))
	s := newSite(t, Config{ConfigFile: folder + "config.php", DatabaseFile: folder + "db"})
	writeFile(t, folder+"config.php", strings.Replace(configPHP(), organizr.UUID, "other", 1))
	writeFile(t, folder+"db", readTestdata(t, "databases/page-512.db"))
	setClock(t, 0.5)
	sue := sampleSessions(t)["sue"]
	s.send("GET /", "Cookie", sue+"; organizr_token_other="+strings.TrimPrefix(sue, cookieName+"="))
	if s.forwardedHeader("X-Organizr-User") != "sue" || strings.Contains(s.forwardedHeader("Cookie"), "organizr_token_other") {
		t.Errorf("the service is told %q, and gets %.40q", s.forwardedHeader("X-Organizr-User"), s.forwardedHeader("Cookie"))
	}
}

// A file is as it was if its size, its modification time and its first 100 bytes are, in which SQLite counts changes.
func TestUnchangedDatabaseNotReadAgain(t *testing.T) {
	sue := sampleSessions(t)["sue"]
	good := readTestdata(t, "databases/page-512.db")
	other := strings.ReplaceAll(good, sue[len(sue)-20:], strings.Repeat("x", 20)) // which doesn't list sue's session
	broken := good[:100] + strings.Repeat("x", len(good)-100)
	for _, test := range []struct {
		name          string
		before, after string
		later         time.Duration // by which the second is
		first, second int           // what sue gets
	}{
		{"nothing tells a good one from what it was", good, other, 0, 200, 200},
		{"nor one that doesn't list a session, asked for that", other, good, 0, 401, 401},
		{"nor a broken one, asked for a session that isn't listed", broken, good, 0, 401, 401},
		{"another time", good, other, time.Nanosecond, 200, 401},
		{"another counter of changes", good, other[:27] + "x" + other[28:], 0, 200, 401},
		{"another size", good, other + strings.Repeat("\x00", 512), 0, 200, 401},
	} {
		run(t, test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "organizr.db")
			writeFile(t, file, readTestdata(t, "databases/later.db"))
			s := newSite(t, Config{DatabaseFile: file})
			yesterday := time.Now().Add(-24 * time.Hour)
			for i, want := range []int{test.first, test.second} {
				writeFile(t, file, []string{test.before, test.after}[i])
				changed := yesterday.Add(time.Duration(i) * test.later)
				if err := os.Chtimes(file, changed, changed); err != nil {
					t.Fatal(err)
				}
				setClock(t, 2*float64(i+1))
				if got := s.send("GET /", "Cookie", sue).Code; got != want {
					t.Errorf("time %d: got %d, want %d", i+1, got, want)
				}
			}
		})
	}
}

// A second passes at each look at the clock, so that reading the database takes one, and the next three are its rest.
func TestSlowDatabaseBacksOff(t *testing.T) {
	sue := sampleSessions(t)["sue"]
	file := filepath.Join(t.TempDir(), "organizr.db")
	writeFile(t, file, readTestdata(t, "databases/page-512.db"))
	setClock(t, 0)
	moment := testTime()
	t.Cleanup(usePluginClock(func() time.Duration {
		moment += time.Second
		return moment
	}))
	s := newSite(t, Config{DatabaseFile: file}) // which reads it at 1, until 2
	writeFile(t, file, readTestdata(t, "databases/later.db"))
	for _, want := range []int{200, 200, 401} { // at 3, 4 and 5
		if got := s.send("GET /", "Cookie", sue).Code; got != want {
			t.Errorf("got %d, want %d", got, want)
		}
	}
}

func TestLoginWhileDatabaseIsWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "organizr.db")
	writeFile(t, file, readTestdata(t, "databases/later.db"))
	s := newSite(t, Config{DatabaseFile: file})
	writeFile(t, file+"-journal", "x")
	done := make(chan bool)
	time.AfterFunc(50*time.Millisecond, func() {
		writeFile(t, file, readTestdata(t, "databases/page-512.db"))
		turnClock(0.4)
		removeFile(t, file+"-journal")
		done <- true
	})
	sue := sampleSessions(t)["sue"]
	if got := s.send("GET /", "Cookie", sue).Code; got != 200 {
		t.Errorf("got %d", got)
	}
	<-done
	writeFile(t, file, readTestdata(t, "databases/later.db"))
	setClock(t, 1.5)
	if got := s.send("GET /", "Cookie", sue).Code; got != 401 {
		t.Errorf("got %d after a log-out, as if it had been read for so long as it was waited for", got)
	}
}

// A database that is just being written is awaited, however it was found before.
func TestLoginAfterDatabaseWasMissing(t *testing.T) {
	sessions := sampleSessions(t)
	file := filepath.Join(t.TempDir(), "organizr.db")
	writeFile(t, file, readTestdata(t, "databases/later.db"))
	s := newSite(t, Config{DatabaseFile: file})
	writeFile(t, file+"-journal", "x")
	setClock(t, 2)
	s.send("GET /", "Cookie", sessions["bob"])
	removeFile(t, file+"-journal")
	removeFile(t, file)
	setClock(t, 4)
	s.send("GET /", "Cookie", sessions["bob"])
	writeFile(t, file, readTestdata(t, "databases/later.db"))
	writeFile(t, file+"-journal", "x")
	setClock(t, 100)
	done := make(chan bool)
	time.AfterFunc(50*time.Millisecond, func() {
		writeFile(t, file, readTestdata(t, "databases/page-512.db"))
		removeFile(t, file+"-journal")
		done <- true
	})
	if said := loggedBy(t, func() {
		if got := s.send("GET /", "Cookie", sessions["sue"]).Code; got != 200 {
			t.Errorf("sue, who logs in just now, gets %d", got)
		}
	}); said != "" {
		t.Errorf("the log says %s", said)
	}
	<-done
}

func TestLoginWhileConfigPHPIsMissing(t *testing.T) {
	folder := t.TempDir() + "/"
	writeFile(t, folder+"config.php", configPHP())
	writeFile(t, folder+"db", readTestdata(t, "databases/later.db"))
	begun := time.Now()
	t.Cleanup(usePluginClock(func() time.Duration { return testTime() + time.Since(begun) })) // as it is beside each request
	s := newSite(t, Config{ConfigFile: folder + "config.php", DatabaseFile: folder + "db"})
	removeFile(t, folder+"config.php")
	writeFile(t, folder+"db-journal", "x")
	done := make(chan bool)
	time.AfterFunc(50*time.Millisecond, func() {
		writeFile(t, folder+"db", readTestdata(t, "databases/page-512.db"))
		removeFile(t, folder+"db-journal")
		done <- true
	})
	if got := s.send("GET /", "Cookie", sampleSessions(t)["sue"]).Code; got != 200 {
		t.Errorf("got %d", got)
	}
	<-done
}

func TestRequestsDontWaitForPolling(t *testing.T) {
	file := filepath.Join(t.TempDir(), "organizr.db")
	sue := sampleSessions(t)["sue"]
	writeFile(t, file, readTestdata(t, "databases/page-512.db"))
	s := newSite(t, Config{DatabaseFile: file})
	s.send("GET /", "Cookie", sue)
	writeFile(t, file, readTestdata(t, "databases/later.db"))
	for _, test := range []struct {
		name  string
		clock float64
		looks time.Duration // how long the other one looks, unless this one is answered before
		want  int
	}{
		{"with what is known", 1.1, 10 * time.Second, 200},
		{"but not for long", 1.3, 50 * time.Millisecond, 401},
	} {
		run(t, test.name, func(t *testing.T) {
			setClock(t, test.clock)
			unblock := blockPolling(t, s.handler)
			looking := time.AfterFunc(test.looks, unblock)
			if got := s.send("GET /", "Cookie", sue).Code; got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
			if looking.Stop() {
				unblock()
			}
		})
	}
}

func TestClockSetBack(t *testing.T) {
	sessions := sampleSessions(t)
	file := filepath.Join(t.TempDir(), "organizr.db")
	writeFile(t, file, readTestdata(t, "databases/page-512.db"))
	setClock(t, 3600)
	s := newSite(t, Config{DatabaseFile: file})
	if got := s.send("GET /", "Cookie", sessions["sue"]).Code; got != 200 {
		t.Fatalf("got %d", got)
	}
	writeFile(t, file, readTestdata(t, "databases/later.db"))
	setClock(t, 0)
	s.send("GET /", "Cookie", "a=1") // whoever isn't remembered finds that out
	if got := s.send("GET /", "Cookie", sessions["sue"]).Code; got != 401 {
		t.Errorf("an hour before, after a log-out: got %d", got)
	}
}

// The database.

// An accountCase is what becomes of a user's session: the status that it gets from a service for group 3 and the group
// Family, and what a service for all is told.
type accountCase struct {
	name, username string
	want           int
	told           string
}

func TestDatabaseOverridesToken(t *testing.T) {
	sessions := sampleSessions(t)
	file := filepath.Join(t.TempDir(), "organizr.db")
	config := Config{
		DatabaseFile: file, Group: "Power User", Allow: []string{"group=Family"}, Rules: []string{"/public/=Guest", "/all/=998"},
		Headers: map[string]string{"X-All": "{username}|{email}|{group}|{groupID}|{userID}"},
	}
	writeFile(t, file, readTestdata(t, "databases/page-512.db"))
	s := newSite(t, config)
	for i, state := range []struct {
		file   string
		visits []accountCase
	}{
		{"page-512.db", []accountCase{
			{"an Admin", "alice", 200, "alice|alice@example.com|Admin|0|1"},
			{"a User", "bob", 403, "bob|bob@example.com|User|4|2"},
			{"a Co-Admin", "carol", 200, "carol|carol@example.com|Co-Admin|1|3"},
			{"a Super User", "sue", 200, "sue|sue@example.com|Super User|2|4"},
			{"a Power User", "pat", 200, "pat|pat@example.com|Power User|3|5"},
			{"somebody of the allowed group Family", "fay", 200, "fay|fay@example.com|Family|5|6"},
			{"another User", "Zoë Müller", 403, "Zoë Müller|zoe@example.com|User|4|7"},
		}},
		{"later.db", []accountCase{
			{"moved down", "alice", 403, "alice|alice@example.com|User|4|1"},
			{"moved up", "bob", 200, "bob|bob@example.com|Co-Admin|1|2"},
			{"locked", "carol", 403, ""},
			{"logged out", "sue", 401, ""},
			{"deleted", "pat", 401, ""},
			{"renamed, and the group is no longer called Family", "fay", 403, "Frances|frances@example.com|Kin|5|6"},
			{"a session that is listed for somebody else", "Zoë Müller", 401, ""},
		}},
		{"unprintable.db", []accountCase{
			{"a bell in the name", "alice", 403, ""},
			{"right to left in the name", "bob", 403, ""},
			{"a zero-width space in the name", "carol", 403, ""},
			{"a space before the name", "sue", 403, ""},
			{"a space behind the address", "pat", 403, ""},
			{"a line feed in the address", "fay", 403, ""},
			{"a no-break space in the name", "Zoë Müller", 403, ""},
		}},
		{"numbers-as-text.db", []accountCase{{"back, with numbers as text", "sue", 200, "sue|sue@example.com|Super User|2|4"}}},
		{"empty-tables.db", []accountCase{{"no session is listed", "alice", 401, ""}, {"nor this one", "bob", 401, ""}}},
	} {
		writeFile(t, file, readTestdata(t, "databases/"+state.file))
		for _, one := range state.visits {
			run(t, one.name+" ("+state.file+")", func(t *testing.T) {
				setClock(t, 2*float64(i))
				session := sessions[one.username]
				for _, each := range []*site{s, newSite(t, config)} {
					if got := each.send("GET /", "Cookie", session).Code; got != one.want {
						t.Errorf("got %d, want %d", got, one.want)
					}
					if got := each.send("GET /public/", "Cookie", session).Code; got != 200 || each.forwardedHeader("X-All") != one.told {
						t.Errorf("on a Guest route: got %d, and the service was told %q", got, each.forwardedHeader("X-All"))
					}
					if got := each.send("GET /all/", "Cookie", session).Code; (got == 200) != (one.told != "") {
						t.Errorf("for all who are logged in: got %d", got)
					}
				}
			})
		}
	}
	run(t, "a name that isn't UTF-8", func(t *testing.T) {
		writeFile(t, file, strings.ReplaceAll(readTestdata(t, "databases/page-512.db"), "Zo\u00eb", "Zo\xeb\xeb"))
		setClock(t, 18)
		if got := s.send("GET /all/", "Cookie", sessions["Zo\u00eb M\u00fcller"]).Code; got != 403 {
			t.Errorf("got %d", got)
		}
	})
	run(t, "a locked account's page says so", func(t *testing.T) {
		setClock(t, 20)
		writeFile(t, file, readTestdata(t, "databases/later.db"))
		body := s.send("GET /", "Cookie", sessions["carol"], "Accept", browserAccept).Body.String()
		if !strings.Contains(body, "Your account is locked") || strings.Contains(body, "Asked for") {
			t.Error(body)
		}
	})
	run(t, "a token that Organizr never made is no session, even if it is signed", func(t *testing.T) {
		setClock(t, 22)
		if got := s.send("GET /all/", "Cookie", cookieName+"="+tokenWith(`"groupID":0,"userID":1,"name":"alice"`)).Code; got != 401 {
			t.Errorf("got %d", got)
		}
	})
}

// A real Organizr's config.php says where its database is, for databaseFile auto.
func TestRealDatabase(t *testing.T) {
	var sessions map[string]string
	decodeTestdata(t, "organizr/database/sessions.json", &sessions)
	folder := t.TempDir() + "/"
	writeFile(t, folder+"orgdb.db", readTestdata(t, "organizr/database/orgdb.db"))
	config := readTestdata(t, "organizr/database/config.php")
	writeFile(t, folder+"config.php", strings.Replace(config, "/config/www/organizr/data/Kq2xN7vRtB/", folder, 1))
	setClock(t, float64(1795320700-organizr.ValidAt))
	s := newSite(t, Config{
		ConfigFile: folder + "config.php", DatabaseFile: "auto", Allow: []string{"group=Family"},
		Headers: map[string]string{"X-All": "{username}|{email}|{group}|{groupID}|{userID}"},
	})
	for _, test := range []struct{ name, told string }{
		{"alice", "alice|alice@example.com|Admin|0|1"},
		{"bob", "bob|bob@example.com|User|4|2"},
		{"carol", "carol|carol@example.com|Co-Admin|1|3"},
		{"sue", "sue|sue@example.com|Super User|2|4"},
		{"pat", "pat|pat@example.com|Power User|3|5"},
		{"fay", "fay|fay@example.com|Family|5|6"},
		{"Zoë Müller", "Zoë Müller|zoe@example.com|User|4|7"},
	} {
		run(t, test.name, func(t *testing.T) {
			s.send("GET /", "Cookie", "organizr_token_bc659f4e-ece8-42f9-ad2d-6088689e8ebd="+sessions[test.name])
			if got := s.forwardedHeader("X-All"); got != test.told {
				t.Errorf("the service was told %q", got)
			}
		})
	}
}

// databaseTable is testdata/databases/databases.json: what a right reader finds in the files beside it.
type databaseTable struct {
	Read []struct {
		File, About string
		Content     struct {
			Users []struct {
				ID                     int64 // on machines of 32 bits, too
				Username, Email, Image string
				GroupID                *int
				Locked                 bool
			}
			Groups map[string]string
			Tokens map[string]int64
		}
	}
	Busy, Refused, Ends []struct{ File, About string }
}

// readSample reads one of the databases in testdata.
func readSample(name string) (map[string]listedUser, error) {
	return readDatabaseAt("testdata/databases/" + name)
}

// shrinkingFile is a log that is emptied when it was read so many times.
type shrinkingFile struct {
	text       string
	disappears int
}

func (s *shrinkingFile) ReadAt(content []byte, at int64) (int, error) {
	if s.disappears--; s.disappears < 0 {
		return 0, io.EOF
	}
	return strings.NewReader(s.text).ReadAt(content, at)
}

func TestDatabaseFormat(t *testing.T) {
	var table databaseTable
	decodeTestdata(t, "databases/databases.json", &table)
	for _, test := range table.Read {
		run(t, test.File+", "+test.About, func(t *testing.T) {
			read, err := readSample(test.File)
			if err != nil {
				t.Fatal(err)
			}
			listed := 0
			for token, id := range test.Content.Tokens {
				for _, user := range test.Content.Users {
					if user.ID != id || user.GroupID == nil {
						continue
					}
					listed++
					number := fmt.Sprint(*user.GroupID)
					group := test.Content.Groups[number]
					if group == "" { // which the table doesn't name
						group = builtInGroupNames[*user.GroupID]
					}
					if group == "" {
						group = number
					}
					want := map[string]string{
						"userID": fmt.Sprint(id), "username": user.Username, "email": user.Email, "image": user.Image, "groupID": number, "group": group,
					}
					if got := read[token]; !reflect.DeepEqual(got, listedUser{want, *user.GroupID, user.Locked}) {
						t.Errorf("got %v, want %v", got, want)
					}
				}
			}
			if len(read) != listed {
				t.Errorf("got %d sessions, want %d", len(read), listed)
			}
		})
	}
	run(t, "of a row as long as no Organizr writes it, the group isn't read", func(t *testing.T) {
		usual, err := readSample("page-4096.db")
		long, problem := readSample("long-row.db")
		if err != nil || problem != nil {
			t.Fatal(err, problem)
		}
		for token, user := range usual {
			if got, listed := long[token]; listed == (user.claims["userID"] == "2") {
				t.Errorf("account %s: got %v", user.claims["userID"], got)
			}
		}
	})
	run(t, "a log that is emptied while it is read", func(t *testing.T) {
		content, log := readTestdata(t, "databases/log.db"), readTestdata(t, "databases/log.db-wal")
		for readings := 0; readings < 20; readings++ {
			emptied := &shrinkingFile{text: log, disappears: readings}
			_, err := readDatabaseFrom(strings.NewReader(content), emptied, int64(len(content)))
			t.Log(readings, err)
		}
	})
	run(t, "a link, beside whose target the log is", func(t *testing.T) {
		link := filepath.Join(t.TempDir(), "organizr.db")
		target, err := filepath.Abs("testdata/databases/log.db")
		if err == nil {
			err = os.Symlink(target, link)
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := newSite(t, Config{DatabaseFile: link}).send("GET /", "Cookie", sampleSessions(t)["sue"]).Code; got != 401 {
			t.Errorf("got %d for a session that is another's in the log", got)
		}
	})
	for _, test := range table.Refused {
		run(t, test.File+" is refused, "+test.About, func(t *testing.T) {
			if read, err := readSample(test.File); err == nil {
				t.Errorf("got %d sessions", len(read))
			}
		})
	}
	for _, test := range table.Ends {
		run(t, test.File+" ends, "+test.About, func(t *testing.T) {
			_, err := readSample(test.File)
			t.Log(err)
		})
	}
}

// What is remembered.

func TestSessionCache(t *testing.T) {
	bob, session := tokenOf(t, "bob"), cookieName+"="+tokenOf(t, "bob")
	forever := cookieName + "=" + tokenWith(`"name":"bob","groupID":4,"exp":1e300`)
	for _, test := range []struct {
		name       string
		config     Config
		came, asks string // cookies, and those with which bob comes back
		remembered bool
	}{
		{"with the same cookies", Config{}, session, session, true},
		{"with the same cookies, among them others", Config{}, "a=1; " + session, "a=1; " + session, true},
		{"with other cookies", Config{}, session + "; a=1", session + "; a=2; c=3", true},
		{"with cookies of 6 KiB", Config{}, session, session + "; a=" + strings.Repeat("x", 6<<10), true},
		{"where all may come in", Config{Group: "Guest"}, session + "; a=1", session + "; a=2", true},
		{"with a stale one before it", Config{}, cookieName + "=stale; " + session, session, true},
		{"with a session that never ends", Config{}, forever, forever, true},
		{"under another name", Config{}, session, "x=" + bob, false},
		{"with one byte more", Config{}, session, session + "x", false},
		{"with one byte less", Config{}, session, session[:len(session)-1], false},
		{"another user", Config{}, session, cookieName + "=" + tokenOf(t, "alice"), false},
		{"nobody before", Config{}, "a=1", session, false},
	} {
		run(t, test.name, func(t *testing.T) {
			s := newSite(t, test.config)
			s.send("GET /", "Cookie", test.came)
			if got := s.caches("Cookie", test.asks); got != test.remembered && test.config.Group == "" {
				t.Errorf("remembered: %v, want %v", got, test.remembered)
			}
			if test.remembered && s.forwardedHeader("X-Organizr-User") != "bob" {
				t.Errorf("the service was told %q", s.forwardedHeader("X-Organizr-User"))
			}
			if strings.Contains(s.forwardedHeader("Cookie"), cookieName) {
				t.Errorf("the service got the session")
			}
		})
	}
	run(t, "by a bearer token", func(t *testing.T) {
		s := newSite(t, Config{AcceptBearer: true})
		s.send("GET /", "Authorization", "Bearer bob", "Cookie", "a=1")
		if s.caches("Authorization", "Bearer x"+bob) || !s.caches("Authorization", "Bearer bob", "Cookie", "a=2") {
			t.Error("it isn't remembered by the token alone")
		}
		if s.forwardedHeader("Authorization") != "" {
			t.Error("the service got the session")
		}
	})
	run(t, "a session in the cookie after the same one as a bearer token, for which cross-site counts", func(t *testing.T) {
		s := newSite(t, Config{AcceptBearer: true})
		s.send("POST /", "Authorization", "Bearer bob", "Sec-Fetch-Site", "cross-site")
		if got := s.send("POST /", "Cookie", "bob", "Sec-Fetch-Site", "cross-site").Code; got != 403 {
			t.Errorf("got %d", got)
		}
	})
	run(t, "not beyond a thousand, and those whose other cookies change don't drive out others", func(t *testing.T) {
		s := newSite(t, Config{})
		s.send("GET /", "Cookie", "alice")
		for i := 0; i < 1500; i++ {
			s.send("GET /", "Cookie", session+"; a="+fmt.Sprint(i))
		}
		if !s.caches("Cookie", "alice") || cachedEntries(t, s.handler) > 5 { // nobody, and two for each of them
			t.Errorf("alice isn't remembered, or too much is: %d entries", cachedEntries(t, s.handler))
		}
		sessions := make([]string, 998) // alice and bob make it a thousand
		for i := range sessions {
			sessions[i] = cookieName + "=" + tokenWith(fmt.Sprintf(`"groupID":4,"userID":%d`, i))
			s.send("GET /", "Cookie", sessions[i])
		}
		s.send("GET /", "Cookie", session+"; a=1500")
		for _, one := range append(sessions, cookieName+"="+tokenOf(t, "alice"), session) {
			if !s.caches("Cookie", one) {
				t.Fatal("of a thousand not all are remembered")
			}
		}
		for _, username := range []string{"carol", "sue", "pat"} {
			if s.send("GET /", "Cookie", username); !s.caches("Cookie", username) || cachedEntries(t, s.handler) > 2001 {
				t.Errorf("%s isn't remembered, or more than a thousand are: %d entries", username, cachedEntries(t, s.handler))
			}
		}
	})
	run(t, "with the same cookies at less cost than with others, and that at less than at first sight", func(t *testing.T) {
		var others, firsts []string
		for i := 0; i <= 100; i++ {
			others = append(others, fmt.Sprintf("%s; a=%03d", session, i))
			firsts = append(firsts, fmt.Sprintf("%s=%s; a=%03d", cookieName, tokenWith(fmt.Sprintf(`"groupID":4,"userID":%d`, i)), i))
		}
		s := newSite(t, Config{})
		cost := func(cookies []string) float64 {
			next := 0
			return testing.AllocsPerRun(100, func() {
				s.send("GET /", "Cookie", cookies[next%len(cookies)])
				next++
			})
		}
		same, other, first := cost(others[:1]), cost(others), cost(firsts)
		if same+5 > other || other+5 > first {
			t.Errorf("%v, %v and %v allocations", same, other, first)
		}
	})
	run(t, "not who wasn't verified", func(t *testing.T) {
		s := newSite(t, Config{AcceptBearer: true})
		before := cachedEntries(t, s.handler)
		for i := 0; i < 20; i++ {
			s.send("GET /", "Cookie", session+strings.Repeat("x", i+1))
			s.send("GET /", "Cookie", fmt.Sprint("a=", i))
			s.send("GET /", "Authorization", fmt.Sprint("Bearer x", i))
			s.send("GET /", "Cookie", cookieName+"="+tokenWith(fmt.Sprintf(`"groupID":%d`, 1000+i)))
		}
		if cachedEntries(t, s.handler) != before {
			t.Errorf("%d entries, and %d before", cachedEntries(t, s.handler), before)
		}
	})
}

func TestCacheInvalidation(t *testing.T) {
	sessions := sampleSessions(t)
	folder := t.TempDir() + "/"
	key, file := folder+"config.php", folder+"db"
	writeFile(t, key, configPHP())
	writeFile(t, file, readTestdata(t, "databases/page-512.db"))
	s := newSite(t, Config{ConfigFile: key, DatabaseFile: file})
	for i, state := range []struct {
		name      string
		change    func()
		forgotten bool
	}{
		{"when nothing changes", func() {}, false},
		{"when config.php is written anew with the same key", func() { writeFile(t, key, configPHP("title", "Home")) }, false},
		{"when the database is written anew with the same accounts", func() { writeFile(t, file, readTestdata(t, "databases/page-1024.db")) }, false},
		{"when the database is missing", func() { removeFile(t, file) }, false},
		{"when somebody else's account changes", func() { writeFile(t, file, readTestdata(t, "databases/later.db")) }, true},
		{"when the uuid changes", func() { writeFile(t, key, strings.Replace(configPHP(), organizr.UUID, "other", 1)) }, true},
		{"when the uuid changes back", func() { writeFile(t, key, configPHP()) }, true},
	} {
		run(t, state.name, func(t *testing.T) {
			setClock(t, 2*float64(i))
			s.send("GET /", "Cookie", sessions["bob"])
			s.send("GET /", "Cookie", sessions["bob"]+"; a=1")
			state.change()
			setClock(t, 2*float64(i)+1.5)
			s.send("GET /")
			for _, cookies := range []string{sessions["bob"], sessions["bob"] + "; a=1", sessions["bob"] + "; a=2"} {
				if got := s.caches("Cookie", cookies); got == state.forgotten {
					t.Errorf("%.20s…: remembered: %v", cookies[len(cookies)-20:], got)
				}
			}
		})
	}
	run(t, "and nobody is remembered later who was verified by what counts no more", func(t *testing.T) {
		setClock(t, 14)
		s.send("GET /", "Cookie", sessions["bob"])
		cacheAgain := cachedSession(t, s.handler, strings.TrimPrefix(sessions["bob"], cookieName+"="))
		writeFile(t, file, readTestdata(t, "databases/empty-tables.db"))
		setClock(t, 15.5)
		s.send("GET /")
		cacheAgain(sessions["bob"])
		if got := s.send("GET /", "Cookie", sessions["bob"]).Code; got != 401 {
			t.Errorf("got %d", got)
		}
	})
}

func TestConcurrentRequests(t *testing.T) {
	sessions := sampleSessions(t)
	sessions["nobody"] = cookieName + "=x"
	file := filepath.Join(t.TempDir(), "organizr.db")
	writeFile(t, file, readTestdata(t, "databases/page-512.db"))
	begun := time.Now()
	defer usePluginClock(func() time.Duration { return testTime() + 100*time.Since(begun) })()
	config := Config{DatabaseFile: file, Group: "998"}
	service := func(_ http.ResponseWriter, _ *http.Request) {}
	handlers := []http.Handler{newHandler(t, config, service), newHandler(t, config, service)}
	finished := make(chan string)
	// send is given all that it needs: Yaegi's loops have one variable for all turns.
	send := func(handler http.Handler, username, session string, want int) {
		for i := 0; i < 200; i++ {
			rec := httptest.NewRecorder()
			handler.ServeHTTP(rec, newRequest(t, "GET /", "Cookie", fmt.Sprint(session, "; a=", i/2)))
			if rec.Code != want && want > 0 {
				t.Errorf("%s gets %d, want %d", username, rec.Code, want)
			}
		}
		finished <- username
	}
	for username, want := range map[string]int{"alice": 200, "bob": 200, "Zoë Müller": 0, "nobody": 401} { // Zoë comes and goes
		for _, handler := range append(handlers, handlers...) {
			go send(handler, username, sessions[username], want)
		}
	}
	for i := 0; i < 16; i++ {
		writeFile(t, file+".new", readTestdata(t, "databases/"+[]string{"later.db", "page-512.db"}[i%2]))
		if err := os.Rename(file+".new", file); err != nil {
			t.Error(err)
		}
		<-finished
	}
}

// The module path.

func TestModulePath(t *testing.T) {
	const path = "github.com/organizrjwt/organizrjwt"
	for file, part := range map[string]string{
		"go.mod":       "module " + path + "\n",
		".traefik.yml": "import: " + path + "\n",
		"readme.md":    path,
	} {
		run(t, file, func(t *testing.T) {
			if text := readTestdata(t, "../"+file); !strings.Contains(text, part) {
				t.Errorf("doesn't have %q", part)
			}
		})
	}
	run(t, "go.mod requires nothing", func(t *testing.T) {
		if text := readTestdata(t, "../go.mod"); strings.Contains(text, "require") {
			t.Error(text)
		}
	})
}

// What refusals cost.

// BenchmarkRefusals shows that whatever a stranger sends costs no more than a few times an ordinary refusal.
func BenchmarkRefusals(b *testing.B) {
	forged := signToken(tokenHeader, `{"iss":"Organizr"}`, "another-key-that-is-long-enough-for-HS256")
	odd := http.Header{}
	for i := 0; i < 40_000; i++ {
		odd[fmt.Sprint("X-", i)] = []string{"x"}
	}
	for _, bench := range []struct {
		name   string
		target string
		header http.Header
	}{
		{"ordinary, without a cookie", "/", nil},
		{"a forged token", "/", http.Header{"Cookie": {cookieName + "=" + forged}}},
		{"a token of 64 KiB", "/", http.Header{"Cookie": {cookieName + "=" + strings.Repeat("A", 64<<10)}}},
		{"ten thousand cookies", "/", http.Header{"Cookie": {strings.Repeat("a=1; ", 10000)}}},
		{"ten thousand cookies of the name", "/", http.Header{"Cookie": {strings.Repeat(cookieName+"=a.b.c; ", 10000)}}},
		{"a thousand lines of Authorization", "/", http.Header{"Authorization": strings.Split(strings.Repeat("Bearer a.b.c\n", 1000), "\n")}},
		{"a bearer token of 64 KiB", "/", http.Header{"Authorization": {"Bearer " + strings.Repeat(".", 64<<10)}}},
		{"a path encoded seven times, of 8 KiB", "/" + strings.Repeat("%2525252525252e", 546), nil},
		{"a path of 1 KiB with all that is cut off", "/" + strings.Repeat("%253b%2f;%5c..%3f%23", 51), nil},
		{"a plain path of more than 4 KiB", "/" + strings.Repeat("x/", 2100), nil},
		{"a query of 900 KB of percent signs", "/?" + strings.Repeat("%", 900_000), http.Header{"Accept": {browserAccept}}},
		{"40,000 odd headers", "/", odd},
	} {
		b.Run(bench.name, func(b *testing.B) {
			s := newSite(b, Config{AcceptBearer: true, OrganizrURL: organizrURL, Rules: []string{"/api/=Guest", "/api/private/=Admin"}})
			req := newRequest(b, "GET "+bench.target)
			req.Header = bench.header
			b.ReportAllocs()
			for i := 0; i < b.N; i++ {
				if rec := s.serve(req); rec.Code != http.StatusUnauthorized && rec.Code != http.StatusFound {
					b.Fatal(rec.Code)
				}
			}
		})
	}
}

// Fuzz targets.

func FuzzToken(f *testing.F) {
	for _, session := range organizr.Sessions {
		f.Add(session.Token)
	}
	fail, pass := tokenCases(f)
	for _, trick := range append(fail, pass...) {
		f.Add(trick.Token)
	}
	config := Config{AcceptBearer: true, Group: "998"}
	s := newSite(f, config)
	config.Secret = "another-key-that-is-long-enough"
	other := newSite(f, config)
	f.Fuzz(func(t *testing.T, token string) {
		s.in(t)
		other.in(t)
		for name, value := range map[string]string{"Authorization": "Bearer " + token, "Cookie": cookieName + "=" + token} {
			if s.send("GET /", name, value).Code != http.StatusOK {
				continue
			}
			// A cookie may hold other bytes than a token can be made of, and net/http leaves them out.
			sent := strings.TrimRight(token, " ")
			if name == "Cookie" {
				sent = newRequest(t, "GET /", name, value).CookiesNamed(cookieName)[0].Value
			}
			parts := strings.Split(sent, ".")
			mac := hmac.New(sha256.New, []byte(organizr.OrganizrHash))
			mac.Write([]byte(parts[0] + "." + parts[1]))
			if len(parts) != 3 || parts[2] != base64.RawURLEncoding.EncodeToString(mac.Sum(nil)) {
				t.Fatalf("%q isn't signed", token)
			}
			if other.send("GET /", name, value).Code == http.StatusOK {
				t.Fatalf("%q is a session by another key", token)
			}
		}
	})
}

func FuzzClaims(f *testing.F) {
	f.Add(tokenHeader, `{"iss":"Organizr","aud":["Organizr"],"exp":9999999999,"nbf":1.5,"groupID":"4","name":"x"}`)
	fail, pass := tokenCases(f)
	for _, trick := range append(fail, pass...) {
		parts := strings.Split(trick.Token, ".")
		if len(parts) == 3 && len(trick.Token) < 8<<10 {
			header, _ := base64.RawURLEncoding.DecodeString(parts[0])
			claims, _ := base64.RawURLEncoding.DecodeString(parts[1])
			f.Add(string(header), string(claims))
		}
	}
	s := newSite(f, Config{Group: "Guest", Headers: map[string]string{"X-Group": "{group}"}})
	f.Fuzz(func(t *testing.T, head, claims string) {
		s.in(t)
		s.send("GET /", "Cookie", cookieName+"="+signToken(head, claims, organizr.OrganizrHash))
		group := s.forwardedHeader("X-Organizr-Group")
		if group == "" {
			return
		}
		var read struct {
			Alg, Typ, Iss string
			Exp           float64
		}
		if json.Unmarshal([]byte(head), &read) != nil || json.Unmarshal([]byte(claims), &read) != nil {
			t.Fatalf("%q %q is a session and isn't JSON", head, claims)
		}
		if !strings.Contains(head, "HS256") && !strings.Contains(head, `\u`) || read.Exp <= float64(organizr.ValidAt) {
			t.Fatalf("%q %q is a session", head, claims)
		}
		if group == "0" && !strings.Contains(claims, "0") {
			t.Fatalf("%q makes an administrator of nobody", claims)
		}
		number, _ := strconv.Atoi(group)
		called := builtInGroupNames[number]
		if called == "" {
			called = group
		}
		if !regexp.MustCompile(`^(0|[1-9][0-9]{0,2})$`).MatchString(group) || s.forwardedHeader("X-Group") != called {
			t.Fatalf("%q is of group %q, called %q", claims, group, s.forwardedHeader("X-Group"))
		}
		for _, name := range []string{"X-Organizr-User", "X-Organizr-Email"} {
			if value := s.forwardedHeader(name); strings.TrimFunc(value, unicode.IsPrint) != "" || value != strings.TrimSpace(value) || !utf8.ValidString(value) {
				t.Fatalf("%q gets into a header", value)
			}
		}
	})
}

func FuzzPaths(f *testing.F) {
	var table pathTable
	decodeTestdata(f, "paths.json", &table)
	for _, test := range table.Cases {
		for _, target := range []string{test.Target, strings.Replace(test.Target, "admin", "secret", 1), strings.Replace(test.Target, "admin", "api/vault", 1)} {
			for _, steps := range []string{"dc", "dncl", "d?c", ";dc", "dd;cw", "dbcl", "?d;d#bcwl", "cdcdc"} {
				f.Add(target, steps)
			}
		}
	}
	var rules []string
	for _, one := range fuzzRules {
		rules = append(rules, fmt.Sprint(one.path, "=", one.group))
	}
	s := newSite(f, Config{Rules: rules})
	f.Fuzz(func(t *testing.T, target, steps string) {
		s.in(t)
		address, err := url.ParseRequestURI(target)
		if err != nil || !strings.HasPrefix(address.Path, "/") {
			return
		}
		reading := address.EscapedPath()
		if !strings.Contains(steps, "d") {
			steps += "d" // no service leaves a path as it came
		}
		for _, step := range steps {
			if does := pathTransformations[step]; does != nil {
				reading = does(reading)
			}
		}
		group := groupByFuzzRules(reading)
		if group == 4 {
			group = groupByFuzzRules(withoutDots(reading)) // what no rule closes is nothing to a service unless it is clean
		}
		if group == guestGroup {
			return
		}
		req := newRequest(t, "GET /", "Cookie", cookieName+"="+tokenWith(fmt.Sprintf(`"groupID":%d`, group+1)))
		req.URL = address
		if s.serve(req).Code == http.StatusOK {
			t.Fatalf("%q lets group %d in, but a service takes it for %q, for which %d is asked", target, group+1, reading, group)
		}
	})
}

// fuzzRules are rules by which FuzzPaths asks what services make of a path: folders end in a slash.
var fuzzRules = []struct {
	path  string
	group int
}{
	{"/secret", 0}, {"/admin/", 1}, {"/api/", 999}, {"/api/private", 3}, {"/api/vault/", 2}, {"/home/feed", 999},
}

// groupByFuzzRules returns the group that the rules mean for what a service takes a path for: that of the longest rule that it
// falls under. To such services /x and /x/ are the same.
func groupByFuzzRules(reading string) int {
	group, length := 4, 0
	for _, rule := range fuzzRules {
		name, isFolder := strings.CutSuffix(rule.path, "/")
		under := strings.TrimSuffix(reading, "/") == name || isFolder && strings.HasPrefix(reading, rule.path)
		if under && len(rule.path) > length {
			group, length = rule.group, len(rule.path)
		}
	}
	return group
}

// What services do to a path before they look at it, each by a letter.
var pathTransformations = map[rune]func(string) string{
	'd': func(path string) string { return percentEncoded.ReplaceAllStringFunc(path, decodeOctet) },
	';': func(path string) string { return matrixParameters.ReplaceAllString(path, "") },
	'?': func(path string) string { before, _, _ := strings.Cut(path, "?"); return before },
	'#': func(path string) string { before, _, _ := strings.Cut(path, "#"); return before },
	'0': func(path string) string { before, _, _ := strings.Cut(path, "\x00"); return before },
	'n': func(path string) string { return strings.TrimSuffix(path, "\n") }, // PHP's preg_match('~^/x$~')
	'b': func(path string) string { return strings.ReplaceAll(path, `\`, "/") },
	'c': withoutDots,
	'l': strings.ToLower,
	'w': func(path string) string { return trailingDotsAndSpaces.ReplaceAllString(path, "$1$2") }, // Windows
}

var (
	percentEncoded        = regexp.MustCompile(`%[0-9a-fA-F]{2}`)
	matrixParameters      = regexp.MustCompile(`;[^/]*`)
	trailingDotsAndSpaces = regexp.MustCompile(`([^/. ])[. ]+(/|$)`)
)

// decodeOctet returns the octet that is percent-encoded.
func decodeOctet(encoded string) string {
	octet, _ := url.PathUnescape(encoded)
	return octet
}

// withoutDots takes . and .. and double slashes out of a path, and leaves its final slash.
func withoutDots(given string) string {
	if cleaned := path.Clean("/" + given); cleaned == "/" || !strings.HasSuffix(given, "/") {
		return cleaned
	}
	return path.Clean("/"+given) + "/"
}

func FuzzCookieRemoval(f *testing.F) {
	f.Add("a=1; N=2; b=3")
	f.Add("N=2;N=3; N = 4 ;;; aN=1;N2=1;N")
	f.Add("\t N=\"x;y\"; c")
	f.Add("; ")
	f.Add(strings.Repeat("N", 32) + "0")
	f.Add("a=1; N=T; b=2")
	f.Add("N=T; N=T;\tNT=1; aN=T")
	s := newSite(f, Config{Group: "Guest"})
	f.Fuzz(func(t *testing.T, short string) {
		s.in(t)
		line := strings.NewReplacer("N", cookieName, "T", tokenOf(t, "bob")).Replace(short)
		if len(line) > 32<<10 {
			return
		}
		var left []string
		for _, part := range strings.Split(line, ";") {
			name, _, _ := strings.Cut(part, "=")
			if strings.Trim(name, " \t") != cookieName {
				left = append(left, part)
			}
		}
		req := newRequest(t, "GET /")
		req.Header["Cookie"] = []string{line}
		s.serve(req)
		got, want := s.forwardedHeader("Cookie"), strings.Join(left, ";")
		if strings.TrimLeft(got, " \t") != strings.TrimLeft(want, " \t") {
			t.Fatalf("%q: got %q, want %q", line, got, want)
		}
		if !strings.Contains(line, cookieName) && got != line {
			t.Fatalf("%q: became %q", line, got)
		}
	})
}

func FuzzConfigFile(f *testing.F) {
	f.Add(readTestdata(f, "organizr/config.php"), "hash", "body{}")
	f.Add("<?php return ['a' => ['b' => 1]];", `\'`, "',\n'organizrHash' => 'mine',\n'")
	f.Add("<?php return array(", "*/", "];")
	f.Fuzz(func(t *testing.T, text, hash, css string) {
		if values, err := readConfigPHP(text); err == nil {
			if again, err := readConfigPHP(text + " "); err != nil || !reflect.DeepEqual(values, again) {
				t.Fatalf("%q is read in two ways", text)
			}
			if _, err := readConfigPHP(text[:len(strings.TrimRight(text, "; \t\r\n\v\f\u0085\u00a0"))]); err == nil {
				t.Fatalf("half of %q passes for the whole", text)
			}
		}
		quote := func(text string) string { return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'" }
		whole := "<?php\nreturn [\n\t'a' => " + quote(css) + ",\n\t'b' => [\n\t\t'organizrHash' => " + quote(css) + "\n\t],\n\t'organizrHash' => " +
			quote(hash) + ",\n\t'z' => " + quote(css) + "\n];"
		values, err := readConfigPHP(whole)
		if err != nil || values["organizrHash"] != hash || values["a"] != css || values["z"] != css {
			t.Fatalf("got %q and %v from %s", values, err, whole)
		}
	})
}

func FuzzDatabase(f *testing.F) {
	var table databaseTable
	decodeTestdata(f, "databases/databases.json", &table)
	for _, sample := range table.Read {
		if text := readTestdata(f, "databases/"+sample.File); len(text) < 10_000 {
			f.Add(text)
		}
	}
	for _, sample := range append(append(table.Busy, table.Refused...), table.Ends...) {
		if text := readTestdata(f, "databases/"+sample.File); len(text) < 10_000 {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		read, err := readDatabaseFrom(strings.NewReader(text), strings.NewReader(""), int64(len(text)))
		if err != nil {
			return
		}
		size, users := 0, map[string]bool{}
		for token, user := range read {
			size += len(token)
			if token == "" || user.groupID < 0 || user.groupID > 999 || user.claims["groupID"] != fmt.Sprint(user.groupID) || user.claims["userID"] == "" {
				t.Fatalf("%q is a session of %v", token, user)
			}
			if !users[user.claims["userID"]] {
				users[user.claims["userID"]] = true
				size += len(user.claims["username"]) + len(user.claims["email"]) + len(user.claims["image"])
			}
		}
		if size > 3*len(text) || len(read) > len(text) { // a number of eight bytes has up to 20 digits
			t.Fatalf("%d bytes of %d sessions come from a file of %d", size, len(read), len(text))
		}
	})
}

// Whatever the log says, reading comes to an end, and every session is that of an account with a group.
func FuzzDatabaseLog(f *testing.F) {
	content := readTestdata(f, "databases/log.db")
	for _, name := range []string{"log.db", "log-unfinished.db", "log-begun-anew.db", "log-of-a-smaller.db", "log-of-all.db"} {
		f.Add(readTestdata(f, "databases/"+name+"-wal"))
	}
	f.Fuzz(func(t *testing.T, log string) {
		read, err := readDatabaseFrom(strings.NewReader(content), strings.NewReader(log), int64(len(content)))
		if err != nil {
			return
		}
		for token, user := range read {
			if token == "" || user.groupID < 0 || user.groupID > 999 || user.claims["groupID"] != fmt.Sprint(user.groupID) {
				t.Fatalf("%q is a session of %v", token, user)
			}
		}
	})
}
