package organizrjwt

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
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
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// What the plugin does, in the order in which it meets a request and then a configuration. After the hooks and helpers:
//
//	Who gets in: groups
//	Who gets in: rules for parts of a service
//	Who gets in: allow and deny
//	Which session counts: cookies and bearer tokens
//	Which session counts: keys
//	What is a session: the token and its claims
//	What is forwarded to the service
//	Forged headers, and the cookies that the service gets
//	Cross-site requests
//	Refusals: the redirect to the login
//	Refusals: where a login can't help
//	Refusals: pages and problem JSON
//	Refusals: log lines
//	Configuration mistakes
//	Where the secret comes from
//	config.php
//	Files that aren't there yet, and files that change
//	Organizr's tabs
//	The database
//	The session cache
//	The module path
//	Allocations
//	Fuzz targets

// Hooks into the plugin: nearly all that these tests use of it besides CreateConfig and New.

// usePluginClock makes the plugin take the Unix time from a function, and its timers from testTimers, until restore is
// called.
func usePluginClock(clock func() time.Duration) (restore func()) {
	nowBefore, afterFuncBefore := now, afterFunc
	now = func() time.Time { return time.Unix(0, int64(clock())) }
	afterFunc = startTestTimer
	return func() { now, afterFunc = nowBefore, afterFuncBefore }
}

// useFastClock makes the plugin's time pass faster than ours by a factor, from what the test's clock shows on, until
// restore is called.
func useFastClock(factor int64) (restore func()) {
	begun := time.Now()
	restore = usePluginClock(func() time.Duration {
		return testTime() + time.Duration(factor*time.Since(begun).Nanoseconds())
	})
	afterFunc = func(duration time.Duration, do func()) *time.Timer {
		return time.AfterFunc(duration/time.Duration(factor), do)
	}
	return restore
}

// pluginOf returns the middleware that New made.
func pluginOf(t testing.TB, handler http.Handler) *middleware {
	t.Helper()
	if forPrograms, ok := handler.(*programMiddleware); ok {
		return forPrograms.middleware
	}
	plugin, ok := handler.(*middleware)
	if !ok {
		t.Fatalf("New made a %T", handler)
	}
	return plugin
}

// cachedEntries returns the number of entries in a middleware's cache.
func cachedEntries(t testing.TB, handler http.Handler) int {
	t.Helper()
	cache := pluginOf(t, handler)
	return len(cache.cached.byCredentials) + len(cache.entries)
}

// cachedSession returns a function that puts the session of a token, as it is cached now, into the cache once more: as
// a slow request does that verified it before the files changed.
func cachedSession(t testing.TB, handler http.Handler, token string) (cacheAgain func(credentials string)) {
	t.Helper()
	cache := pluginOf(t, handler)
	owner := cache.entries[token].owner
	return func(credentials string) {
		cacheSender(cache, newRequest(t, "GET /", "Cookie", credentials), credentials, owner, true)
	}
}

// blockPolling keeps requests from looking at a middleware's files until unblock is called, as if another request were
// reading them.
func blockPolling(t testing.TB, handler http.Handler) (unblock func()) {
	t.Helper()
	poller := pluginOf(t, handler).poller
	poller.Lock()
	return poller.Unlock
}

// readConfigPHP returns the texts in the outermost array of a config.php.
func readConfigPHP(text string) (map[string]string, error) { return parseConfigPHP(text) }

// A listedUser is the user whose session the database lists.
type listedUser struct {
	claims  map[string]string // with their group's name, by the names that placeholders have
	groupID int
	locked  bool
}

// readDatabaseAt returns the users that the database at a path lists sessions of, by their tokens.
func readDatabaseAt(path string) (map[string]listedUser, error) {
	reader := newDatabaseReader(false)
	return listedUsers(reader.read(path))
}

// readDatabaseFrom does the same for the content of a database, which has so many bytes, and of its write-ahead log.
func readDatabaseFrom(content, wal io.ReaderAt, size int64) (map[string]listedUser, error) {
	reader := newDatabaseReader(false)
	pages := newPageSource(content, wal, size, reader.latest)
	if err := pages.readHeaders(); err != nil {
		return nil, err
	}
	err := reader.takeExtract(pages)
	if err == nil {
		reader.interpret()
	}
	return listedUsers(reader.database, err)
}

func listedUsers(read *database, err error) (map[string]listedUser, error) {
	if err != nil {
		return nil, err
	}
	users := map[string]listedUser{}
	for token, row := range read.sessions {
		if user := read.accounts[row[1]]; user != nil {
			users[token] = listedUser{user.claims, user.groupID, user.locked}
		}
	}
	return users, nil
}

// Helpers: the Organizr of testdata, its tokens, the clock, files, a site behind the middleware, the plugin's output.

// organizr is what a real Organizr wrote: its secret, and a session of each of its users.
var organizr struct {
	UUID         string
	OrganizrHash string
	ValidAt      int64 // the Unix time, in seconds
	Sessions     []struct {
		Username string
		GroupID  int
		Token    string
	}
}

const (
	organizrURL   = "https://organizr.example.com"
	cookieName    = "organizr_token_e36ed245-38cc-4d7f-ab53-7987549d1e2d"
	tokenHeader   = `{"typ":"JWT","alg":"HS256"}`     // of Organizr's tokens
	browserAccept = "text/html,application/xhtml+xml" // what browsers send as Accept when they open a page
)

// builtInGroupNames are the names of the groups whose numbers are the same in every Organizr.
var builtInGroupNames = map[int]string{
	0: "Admin", 1: "Co-Admin", 2: "Super User", 3: "Power User", 4: "User", 998: "Logged In", guestGroup: "Guest",
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

// tokenOf returns the token that Organizr made for a user.
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

// cookieWith returns the cookie that carries a token.
func cookieWith(token string) string { return cookieName + "=" + token }

// signToken returns the token of a header and claims, signed with a secret.
func signToken(header, claims, secret string) string {
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(header)) + "." + encode([]byte(claims))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return text + "." + encode(mac.Sum(nil))
}

// tokenWith returns a token that is valid for 3600.5 seconds, with these claims besides iss, aud, nbf and exp.
func tokenWith(claims string) string {
	const whole = `{"iss":"Organizr","aud":"Organizr","nbf":%d,"exp":%d.5,%s}`
	validAt := organizr.ValidAt
	return signToken(tokenHeader, fmt.Sprintf(whole, validAt, validAt+3600, claims), organizr.OrganizrHash)
}

// configPHP returns a config.php as Organizr writes it, with these keys and values besides organizrHash and uuid.
func configPHP(pairs ...string) string {
	values := "<?php\nreturn [\n"
	for i := 0; i < len(pairs); i += 2 {
		values += "\t'" + pairs[i] + "' => '" + pairs[i+1] + "',\n"
	}
	return values + "\t'organizrHash' => '" + organizr.OrganizrHash + "',\n\t'uuid' => '" + organizr.UUID + "'\n];"
}

// testClock shows the Unix time, in nanoseconds.
var testClock atomic.Int64

func testTime() time.Duration { return time.Duration(testClock.Load()) }

// turnClock sets the clock to so many seconds after the sessions of testdata were valid, and runs the timers that are
// due then.
func turnClock(seconds float64) {
	resetClock(seconds)
	runTestTimers(false)
}

// resetClock does the same without any timer.
func resetClock(seconds float64) { testClock.Store(organizr.ValidAt*1e9 + int64(seconds*1e9)) }

// A testTimer is a timer that the plugin has set.
type testTimer struct {
	due time.Duration // the Unix time
	do  func()
}

var testTimers struct {
	sync.Mutex
	pending []testTimer
}

// startTestTimer stands for time.AfterFunc. The timer that it returns can be stopped like any other, which has no
// effect.
func startTestTimer(duration time.Duration, do func()) *time.Timer {
	testTimers.Lock()
	testTimers.pending = append(testTimers.pending, testTimer{testTime() + duration, do})
	testTimers.Unlock()
	return time.NewTimer(0)
}

// runTestTimers runs the timers that are due, or all of them.
func runTestTimers(all bool) {
	testTimers.Lock()
	var due, later []testTimer
	for _, timer := range testTimers.pending {
		if all || timer.due <= testTime() {
			due = append(due, timer)
		} else {
			later = append(later, timer)
		}
	}
	testTimers.pending = later
	testTimers.Unlock()
	for _, timer := range due {
		timer.do()
	}
}

// setClock is turnClock until the test ends.
func setClock(t *testing.T, seconds float64) {
	t.Helper()
	t.Cleanup(func() { resetClock(0) })
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

// readTestdata returns the text of a file in testdata.
func readTestdata(t testing.TB, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// decodeTestdata decodes a JSON file in testdata.
func decodeTestdata(t testing.TB, file string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(readTestdata(t, file)), into); err != nil {
		t.Fatal(err)
	}
}

func writeFile(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

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

// newHandler returns the middleware that a configuration describes, in front of a service. Unless it is configured, the
// secret is that of testdata and the group is User. Headers are added to the default ones, as Traefik does.
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

// newRequest returns a request such as "GET /", with the names and values of its headers. The name of a user stands for
// their session in Cookie, and "Bearer bob" for bob's in Authorization.
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
			value = cookieWith(tokenOf(t, value))
		} else if name == "Authorization" && value == "Bearer bob" {
			value = "Bearer " + tokenOf(t, "bob")
		}
		req.Header.Add(name, value)
	}
	return req
}

// headerLines returns a header for newRequest, with the lines that are separated by |; none if the text is empty.
func headerLines(name, text string) []string {
	var headers []string
	for _, line := range strings.Split(text, "|") {
		if line != "" {
			headers = append(headers, name, line)
		}
	}
	return headers
}

// describe returns what a failure says of a request.
func describe(request string, headers []string) string {
	text := fmt.Sprintf("%.200s", request)
	for i := 0; i < len(headers) && i < 8; i += 2 {
		text += fmt.Sprintf(", %s %.60q", headers[i], headers[i+1])
	}
	return text
}

// in lets another test use the site.
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
		s.t.Errorf("%s %s: got %d, and the request reached the service: %v",
			req.Method, req.URL, rec.Code, s.forwarded != nil)
	}
	return rec
}

// send answers a request that newRequest describes.
func (s *site) send(request string, headers ...string) *httptest.ResponseRecorder {
	s.t.Helper()
	return s.serve(newRequest(s.t, request, headers...))
}

// expect answers a request that newRequest describes, and checks the status.
func (s *site) expect(t *testing.T, status int, request string, headers ...string) {
	t.Helper()
	if got := s.send(request, headers...).Code; got != status {
		t.Errorf("%s: got %d, want %d", describe(request, headers), got, status)
	}
}

// expectTwice does so twice, since the second time the visitor may be cached.
func (s *site) expectTwice(t *testing.T, status int, request string, headers ...string) {
	t.Helper()
	for _, turn := range []string{"first", "second"} {
		if got := s.send(request, headers...).Code; got != status {
			t.Errorf("%s, the %s time: got %d, want %d", describe(request, headers), turn, got, status)
		}
	}
}

// forwardedHeader returns a header of the request that the service got, its lines joined.
func (s *site) forwardedHeader(name string) string {
	if s.forwarded == nil {
		return "(the request was refused)"
	}
	return strings.Join(s.forwarded.Header[name], " | ")
}

// expectForwarded checks a header of the request that the service got.
func (s *site) expectForwarded(t *testing.T, name, want string) {
	t.Helper()
	if got := s.forwardedHeader(name); got != want {
		t.Errorf("the service got %s %.200q, want %.200q", name, got, want)
	}
}

// caches reports whether the session is cached: only then does it count before its time, when it isn't valid yet.
func (s *site) caches(headers ...string) bool {
	s.t.Helper()
	before := testClock.Load()
	defer testClock.Store(before)
	turnClock(-1000)
	return s.send("GET /", headers...).Code == http.StatusOK
}

// requiredGroup returns the last of the groups, given from the most privileged one on, that a request is let in with;
// -1 if there is none.
func (s *site) requiredGroup(request string, groups ...int) int {
	s.t.Helper()
	method, target, _ := strings.Cut(request, " ")
	for i := len(groups) - 1; i >= 0; i-- {
		var headers []string
		if groups[i] != guestGroup {
			headers = []string{"Cookie", cookieWith(tokenWith(fmt.Sprintf(`"groupID":%d`, groups[i])))}
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

// An accessCase is a request to a site, and the status that it gets.
type accessCase struct {
	name    string
	config  Config
	request string // "GET /" if empty
	headers []string
	status  int
}

// checkAccess checks each case on a site of its own.
func checkAccess(t *testing.T, cases []accessCase) {
	t.Helper()
	for _, test := range cases {
		run(t, test.name, func(t *testing.T) {
			if test.request == "" {
				test.request = "GET /"
			}
			newSite(t, test.config).expectTwice(t, test.status, test.request, test.headers...)
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

// showOutputOfFailure keeps what the plugin prints and logs until the test ends, and shows the last of it if the test
// has failed. Under Yaegi it is the log alone: there fmt.Printf ignores os.Stdout.
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

// loggedBy returns what the plugin logs meanwhile: warnings and errors about files and keys.
func loggedBy(t *testing.T, do func()) string {
	t.Helper()
	var lines bytes.Buffer
	before := log.Writer()
	log.SetOutput(&lines)
	do()
	log.SetOutput(before)
	return lines.String()
}

// printedBy returns what the plugin prints meanwhile: one line for each refusal.
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
	for _, required := range []int{0, 1, 2, 3, 4, 5, 6, 997, 998, 999} {
		s := newSite(t, Config{Group: fmt.Sprint(required)})
		for _, session := range organizr.Sessions {
			name := fmt.Sprintf("%s of group %d where %d is required", session.Username, session.GroupID, required)
			run(t, name, func(t *testing.T) {
				status := http.StatusForbidden
				if session.GroupID <= required {
					status = http.StatusOK
				}
				s.expectTwice(t, status, "GET /", "Cookie", session.Username)
			})
		}
		run(t, fmt.Sprintf("nobody where %d is required", required), func(t *testing.T) {
			status := http.StatusUnauthorized
			if required == guestGroup {
				status = http.StatusOK
			}
			s.expect(t, status, "GET /")
		})
	}
}

func TestGroupNames(t *testing.T) {
	for group, required := range map[string]int{
		"0": 0, "4": 4, "998": 998, "999": 999, " 3 ": 3, "Admin": 0, "ADMIN": 0, "Co-Admin": 1, "coadmin": 1,
		"co_admin": 1, "Super User": 2, "super-user": 2, "poweruser": 3, "User": 4, "Logged In": 998, "logged_in": 998,
		"loggedin": 998, "guest": 999,
	} {
		run(t, group, func(t *testing.T) {
			got := newSite(t, Config{Group: group}).requiredGroup("GET /", 0, 1, 2, 3, 4, 5, 998, 999)
			if got != required {
				t.Errorf("group %q: requires %d, want %d", group, got, required)
			}
		})
	}
}

// Who gets in: rules for parts of a service.

// A pathTable is testdata/paths.json: the group that each path requires, however services may read it.
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
				t.Errorf("%s %.200s: requires %d, want %d", test.Method, test.Target, got, want)
			}
		})
	}
}

func TestRules(t *testing.T) {
	manyRules := []string{"/api/=Guest"}
	for i := 0; i <= 50; i++ {
		manyRules = append(manyRules, fmt.Sprintf("/service%d/=Admin", i))
	}
	for _, test := range []struct {
		name     string
		group    string
		rules    []string
		required map[string]int // the group that each path requires
	}{
		{"opened within closed", "User", []string{"/=Guest", "/admin/=Admin", "/admin/login=Guest"}, map[string]int{
			"/": 999, "/x": 999, "/X": 999, "/admin": 0, "/admin/": 0, "/admin/x": 0, "/ADMIN/x": 0,
			"/admin/login": 999, "/admin/Login": 0, "/Admin/login": 999,
		}},
		{"patterns that end in spaces and dots, and a path's extension", "User", []string{
			"/secret%20=Admin", "/vault%20/=Admin", "/a/=3", "/a/{x}/b%20=Admin", "/c%20./=Admin",
		}, map[string]int{
			"/secret%20.json": 0, "/secret%20.tar.gz/": 0, "/secret%2520.json": 0, "/vault%20.json": 0, "/a/1/b%20.json": 0,
			"/c%20..json": 0, "/a/1/c": 3,
		}},
		{"characters that a rule has encoded", "User", []string{"/c%2B%2B/=Admin", "/%5Bold%5D/=Admin"}, map[string]int{
			"/c++/x": 0, "/c%2b%2B/x": 0, "/C++/": 0, "/c/x": 4, "/[old]/": 0, "/%5Bold%5D/x": 0,
		}},
		{"names of which one reading cuts the end", "User", []string{"/secret=Admin", "/api/=Guest"}, map[string]int{
			"/secret%2F%3B": 0, "/secret%2F%23": 0, "/secret%2F%3F": 0,
			"/api/%5C:x": 999, "/api/%5C$x": 999, "/api//./x:": 999,
		}},
		{"no literal name in any pattern", "User", []string{"/=Admin"}, map[string]int{
			"/%20/" + strings.Repeat("a", 300): 0, "/" + strings.Repeat("a", 300) + "/%20/x": 0,
			"/" + strings.Repeat("%20", 300) + "/x": 0,
		}},
		{"many closed folders", "User", manyRules, map[string]int{
			"/api/..%2fservice50": 0, "/x/..%2fService50.json": 0, "/x%2fservice50": 4, "/api/service50": 999,
		}},
		{"a closed wildcard in an opened root", "User", []string{"/=Guest", "/{user}/=User"}, map[string]int{
			"/": 999, "/bob": 4, "/bob/": 4, "/bob/x": 4,
		}},
		{"a closed wildcard as a file", "User", []string{"/=Guest", "/{user}=3"}, map[string]int{
			"/": 999, "/bob": 3, "/bob/": 3, "/bob/x": 999,
		}},
		{"a closed folder in an opened root, in another case", "User", []string{"/=Guest", "/api/=998"}, map[string]int{
			"/api/x": 998, "/API/x": 998, "/api": 998, "/x": 999,
		}},
		{"an opened file in another case", "Guest", []string{"/=Admin", "/status=Guest"}, map[string]int{
			"/status": 999, "/STATUS": 0, "/status/": 0,
		}},
		{"closed patterns that differ in case", "User", []string{"/a=0", "/A=3"}, map[string]int{
			"/a": 0, "/A": 0, "/a/": 0,
		}},
		{"the same the other way round", "User", []string{"/A=3", "/a=0"}, map[string]int{
			"/a": 0, "/A": 0, "/a/": 0,
		}},
		{"the root only", "User", []string{"/{$}=Guest"}, map[string]int{
			"/": 999, "/x": 4, "/x/": 4,
		}},
		{"a closed wildcard around a name, whose case counts", "User", []string{"/api/me=3", "/{a}/me/=0"}, map[string]int{
			"/api/me": 3, "/ApI/me": 0, "/API/me/": 0, "/x/me": 0, "/API/me.json": 0, "/api/x": 4,
		}},
		{"the same for a pattern with capitals", "User", []string{"/API/me=3", "/{a}/me/=0"}, map[string]int{
			"/API/me": 3, "/api/me": 0,
		}},
		{"everything below a wildcard", "User", []string{"/{user}/public/=Guest"}, map[string]int{
			"/bob/public/": 999, "/bob/public/x": 999, "/bob/public": 4, "/bob/": 4,
		}},
		{"the rest as a wildcard", "User", []string{"/api/{rest...}=Guest"}, map[string]int{
			"/api/": 999, "/api/x/y": 999, "/api": 4,
		}},
		{"a rule for the site's own group closes", "User", []string{"/=Guest", "/me/=User"}, map[string]int{
			"/ME/": 4, "/me": 4, "/you": 999,
		}},
		{"rules for both spellings", "User", []string{"/api/=Guest", "/API/=Guest"}, map[string]int{
			"/api/x": 999, "/API/x": 999, "/Api/x": 4,
		}},
		{"a folder under an opened one", "User", []string{"/a/=Guest", "/a/b/=998"}, map[string]int{
			"/a/b": 998, "/a/b/": 998, "/a/b/c": 998, "/a/c": 999,
		}},
		{"methods", "User", []string{"GET /=Guest", "POST /=Admin", "get /x=3"}, map[string]int{
			"/": 999, "/x": 3,
		}},
		{"a closed folder where everyone gets in", "Guest", []string{"/admin/=Admin"}, map[string]int{
			"/": 999, "/ADMIN/": 0, "/admin;x/": 0, "/x;y": 999,
		}},
		{"opened parts of a site for Admin", "0", []string{"/api/=3", "/api/x=Guest"}, map[string]int{
			"/": 0, "/api/": 3, "/api/x": 999, "/api/X": 3, "/API/x": 0,
		}},
		{"a pattern that is escaped", "User", []string{"/a%20b=0", "/%C3%BC/=Guest"}, map[string]int{
			"/a%20b": 0, "/A%20B": 0, "/%c3%bc/x": 999, "/%C3%9C/x": 4,
		}},
		{"another folder by way of an opened one", "User", []string{"/api/=Guest"}, map[string]int{
			"/api/x": 999, "/api/a%2fb": 999, "/api/..%2fx": 4, "/api/..%2fAPI/x": 4, "/api/..%2fapi./x": 4,
		}},
		{"what no closing rule touches stays open", "User", []string{"/music/=Guest", "/secret=0"}, map[string]int{
			"/music/Who%3F": 999, "/music/a%2Fb": 999, "/music/50%25": 999, "/music/AC%5CDC": 999, "/music/R.E.M.": 999,
			"/music/a;b": 999, "/music/%23": 999,
		}},
		{"a wildcard, if names are decoded last", "User", []string{"/u/{id}/secret=Admin"}, map[string]int{
			"/u/1/secret": 0, "/u/%2F/secret": 0, "/u/%2f/secret": 0, "/u/%2F%2f/secret": 0, "/u/a%2Fb/secret": 0,
			"/U/%2F/Secret": 0, "/U/a%2Fb/SECRET": 0, "/u/%252F/secret": 0, "/U/%252f/SECRET": 0,
			"/u/a%2Fb/%2573ecret": 0, "/u/%2F/secret/": 0, "/u/%2F/public": 4, "/u/%2F/": 4,
		}},
		{"a wildcard at the end", "User", []string{"/u/{id}=Admin"}, map[string]int{
			"/u/%2F": 0, "/u/%2f/": 0, "/U/%2F": 0, "/u/": 4,
		}},
		{"a closed file, as lenient services find it", "Guest", []string{"/secret=0"}, map[string]int{
			"/secret": 0, "/secret%0a": 0, "/secret%3fx": 0, "/;%2fx/%2573ecret": 0, "/x;%2f../secret": 0,
			"/secret;x": 0, "/Secret": 0, "/secret.": 0, "/secret%20": 0, "/%5csecret": 0, "/x%2f..%2fsecret": 0,
			"/secret%23": 0, "/secret%00": 0, "/secret/": 0, "/x": 999, "/secrets": 999, "/secret/x": 999,
		}},
	} {
		run(t, test.name, func(t *testing.T) {
			s := newSite(t, Config{Group: test.group, Rules: test.rules})
			for path, required := range test.required {
				if got := s.requiredGroup("GET "+path, 0, 3, 4, 998, 999); got != required {
					t.Errorf("group %s, rules %v: %s requires %d, want %d", test.group, test.rules, path, got, required)
				}
			}
		})
	}
}

// A long path requires what a short one does, until it has more names, dots and the like than anybody needs.
func TestLongPaths(t *testing.T) {
	s := newSite(t, Config{
		Group: "User",
		Rules: []string{"/music/=Guest", "/u/{id}/secret=Admin", "/closed/=Power User", "/closed.json=Admin"},
	})
	name := strings.Repeat("Ab", 1<<10)
	names := strings.Repeat("Abcdefghijklmnopqrstuvwxyz/", 100)
	const proxied = "/https%3A%2F%2Fexample.com%2Fa%3Fb%3D"
	for _, test := range []struct {
		why      string
		path     string
		required int
	}{
		{"a long name in an opened folder", "/music/" + name, 999},
		{"many names in it", "/music/" + names, 999},
		{"a file below many names", "/music/" + names + "Who%3F.mp3", 999},
		{"no rule for many names", "/x/" + names, 4},
		{"a long name for a wildcard", "/u/" + name + "/secret", 0},
		{"the same as a folder in another case", "/U/" + name + "/Secret/", 0},
		{"below that", "/u/" + name + "/secret/x", 4},
		{"another name below a long one", "/u/" + name + "/secrets", 4},
		{"many names in a closed folder", "/Closed/" + names, 3},
		{"a way up from sixty names", "/x/" + names[:60*27] + strings.Repeat("..%2f", 2) + "closed", 4},
		{"a way up from a hundred, which takes too long to read", "/x/" + names + strings.Repeat("..%2f", 2) + "closed", 0},
		{"a way up into a closed folder", "/music/" + name + "/..%2f..%2fclosed", 3},
		{"a closed name that goes on", "/closed" + name, 4},
		{"with a long extension", "/closed." + name, 3},
		{"a closed file with a long extension", "/closed.json." + name, 0},
		{"and a final dot", "/closed.json." + name + ".", 0},
		{"with a long parameter", "/closed;" + name, 3},
		{"before a long query", "/closed%3f" + name, 3},
		{"behind a long script's name", "/" + name + ".php/closed", 3},
		{"128 dots", "/music/" + strings.Repeat("A.b", 128), 999},
		{"129 dots", "/music/" + strings.Repeat("A.b", 129), 0},
		{"the same, encoded", "/music/" + strings.Repeat("A%2eb", 129), 0},
		{"1,024 slashes", "/music/" + strings.Repeat("A/", 1022), 999},
		{"1,025 slashes", "/music/" + strings.Repeat("A/", 1023), 0},
		{"1,025 slashes, encoded", "/music/" + strings.Repeat("A%2F", 1023), 0},
		{"a song with eight variants", "/music/" + strings.Repeat("%E6%97%A5", 200) + "/AC%2FDC/Re%3A%20Who%3F.mp3", 999},
		{"a file with sixteen variants", "/music/" + strings.Repeat("a", 300) + "/a%2Fb%3F%23c;d.txt", 999},
		{"the same, seven times as long", "/music/" + strings.Repeat("a", 2100) + "/a%2Fb%3F%23c;d.txt", 0},
		{"a page that is read by a proxy", "/music" + proxied + strings.Repeat("c", 600), 999},
		{"a closed name before many spaces", "/closed" + strings.Repeat("%20", 300), 3},
		{"and something behind them", "/closed" + strings.Repeat("%20", 300) + "x", 4},
		{"names that begin with two colons or dollars", "/music/::1/$$", 999},
		{"three", "/music/::$", 0},
		{"a name that is nothing on Windows before a stream", "/music/...:x", 0},
		{"the same behind a closed name", "/closed::$DATA", 3},
		{"a longer one that no rule is about", "/x" + proxied + strings.Repeat("c", 3000), 4},
		{"the same with a name that a rule closes", "/x" + proxied + "Secret" + strings.Repeat("c", 3000), 0},
	} {
		if got := s.requiredGroup("GET "+test.path, 0, 3, 4, 998, 999); got != test.required {
			t.Errorf("%s: %.50s requires %d, want %d", test.why, test.path, got, test.required)
		}
	}
}

// The more patterns overlap, the longer each way of reading a path takes, so the fewer there may be.
func TestVariantsUnderOverlappingRules(t *testing.T) {
	rules := []string{
		"/music/=Guest", "/{a}/2/{c}/{d}/{e}/closed=Admin", "/{a}/{b}/3/{d}/{e}/closed=Admin",
		"/{a}/{b}/{c}/4/{e}/closed=Admin", "/{a}/{b}/{c}/{d}/5/closed=Admin",
	}
	const song = "/music/AC%2FDC/Re%3A%20Who%3F.mp3"
	file := "/music/" + strings.Repeat("a", 550) + "%2Fb%3F%23c;d%252e.txt"
	for _, test := range []struct {
		rules    int // of those above
		path     string
		required int
	}{
		{3, file, 999},
		{5, file, 0},
		{5, "/music/a%2Fb%3F%23c;d.txt", 999},
		{5, song, 999},
		{4, "/music/" + strings.Repeat("%E6%AD%8C", 20) + song[len("/music"):], 999},
		{5, "/music/2/3/4/5/closed", 0},
	} {
		s := newSite(t, Config{Group: "User", Rules: rules[:test.rules]})
		if got := s.requiredGroup("GET "+test.path, 0, 4, 999); got != test.required {
			t.Errorf("%d rules: %s requires %d, want %d", test.rules, test.path, got, test.required)
		}
	}
}

// A path is judged exactly even if it can be read in many ways, but not if many patterns are compared for each of them.
func TestEffortOfLookups(t *testing.T) {
	overlapping := []string{
		"/secret/=Admin", "/api/=Guest", "/{user}/private/=Admin", "/files/{name}=Guest", "OPTIONS /=Guest",
	}
	overruled := []string{"/n0/{b}/{c}/=Admin", "/{a}/n1/{c}/=Admin", "/{a}/{b}/n2/=Admin", "/n0/n1/n2/=Guest"}
	for _, test := range []struct {
		rules    []string
		path     string
		required int
	}{
		{overlapping, "/api/%23%252f%255cA::$DATA", 999},
		{overruled, "/n0/n1/n2/Who%3F.mp3", 999},
		{overruled, "/n0/n1/n2/%23%252f%25z..%20%E6%97%A5..;a.%20", 0},
	} {
		s := newSite(t, Config{Group: "User", Rules: test.rules})
		if got := s.requiredGroup("GET "+test.path, 0, 4, 999); got != test.required {
			t.Errorf("%s requires %d, want %d", test.path, got, test.required)
		}
	}
}

// A middleware in front can cut off a path's first slash.
func TestPathsWithoutFirstSlash(t *testing.T) {
	s := newSite(t, Config{Group: "User", Rules: []string{"/{$}=Admin", "/closed/=Admin"}})
	for path, required := range map[string]int{":x": 0, "$x": 0, ";x": 0, "closed/x": 0, "x": 4} {
		for _, group := range []int{0, 4} {
			req := newRequest(t, "GET /", "Cookie", cookieWith(tokenWith(fmt.Sprintf(`"groupID":%d`, group))))
			req.URL = &url.URL{Path: path}
			if got := s.serve(req).Code == http.StatusOK; got != (group <= required) {
				t.Errorf("%s: group %d gets in: %v; it requires %d", path, group, got, required)
			}
		}
	}
}

// WebDAV's COPY and MOVE have a second path, to which they write.
func TestDestinations(t *testing.T) {
	s := newSite(t, Config{Group: "User", Rules: []string{"/closed/=Admin", "PUT /readable/=Admin", "/open/=Guest"}})
	for _, test := range []struct {
		destination string
		want        int
	}{
		{"http://dav.example.com/open/x", 200},
		{"/open/x", 200},
		{"http://dav.example.com/closed/x", 403},
		{"/closed/x", 403},
		{"/%63losed/x", 403},
		{"/Closed/x", 403},
		{"/open/..%2fclosed/x", 403},
		{"/open/../closed/x", 403},
		{"/closed?x", 403},
		{"http://dav.example.com/readable/x", 403},
		{"closed/x", 403},
		{"//closed/x", 403},
		{`http://x\@y/open/x`, 403},
		{"", 403},
	} {
		for _, method := range []string{"COPY", "MOVE", "GET"} {
			s.expect(t, test.want, method+" /open/x", "Cookie", "bob", "Destination", test.destination)
		}
	}
	s.expect(t, 200, "COPY /open/x", "Destination", "/open/y")
	s.expect(t, 401, "COPY /open/x", "Destination", "/open/y", "Destination", "/closed/y")
	s.expect(t, 401, "COPY /open/x", "Destination", "/open/y", "Destination", "/open/y")
	s.expect(t, 403, "COPY /open/x", "Cookie", "bob", "Destination", "/sonarr/closed/y",
		"X-Forwarded-Prefix", "/sonarr")
	s.expect(t, 200, "COPY /open/x", "Cookie", "bob", "Destination", "/sonarr/closed/y")
	newSite(t, Config{Group: "User"}).expect(t, 200, "COPY /open/x", "Cookie", "bob", "Destination", "/closed/y")
}

// Where two rules overlap and neither is the more specific, the more privileged group of both counts.
func TestOverlappingRules(t *testing.T) {
	for _, test := range []struct {
		name     string
		rules    []string
		requests map[string]int // the groups that they require
	}{
		{"a method for all beside a folder", []string{"OPTIONS /=Guest", "/settings/=Admin"}, map[string]int{
			"OPTIONS /x": 999, "OPTIONS /settings/x": 0, "GET /settings/x": 0, "GET /x": 4,
		}},
		{"a method in a folder beside a folder in it", []string{"GET /api/=Guest", "/api/settings/=Admin"}, map[string]int{
			"GET /api/x": 999, "GET /api/settings/x": 0, "GET /api/settings/": 0, "POST /api/x": 4,
		}},
		{"a folder beside a wildcard", []string{"/api/=Guest", "/{id}/api=Power User"}, map[string]int{
			"GET /api/api": 3, "GET /api/x": 999, "GET /x/api": 3, "GET /x/y": 4,
		}},
		{"a name in a folder", []string{"/api/=Admin", "/api/{name}=Guest"}, map[string]int{
			"GET /api/status": 999, "GET /api/Status": 999, "GET /api/v1.0": 999, "GET /api/a%20b": 999, "GET /api/a;b": 999,
			"GET /api/": 0, "GET /api/status/": 0, "GET /api/status/x": 0, "GET /api/status%2Fx": 0,
		}},
		{"the same the other way", []string{"/api/=Guest", "/api/{name}=Admin"}, map[string]int{
			"GET /api/Status": 0, "GET /api/status/": 0, "GET /api/": 999, "GET /api/status/x": 999,
		}},
		{"for one group", []string{"/api/=Guest", "/{id}/api=Guest"}, map[string]int{
			"GET /api/api": 999, "GET /x/api": 999, "GET /x/y": 4,
		}},
		{"the same pattern twice", []string{"/a=3", "/a=1"}, map[string]int{"GET /a": 1, "GET /b": 4}},
		{"the same requests by another name", []string{"/u/{a}=3", "/u/{b}=1"}, map[string]int{"GET /u/x": 1, "GET /u": 4}},
		{"wildcards that cross", []string{"/a/{x}=1", "/{y}/b=2"}, map[string]int{
			"GET /a/b": 1, "GET /a/c": 1, "GET /c/b": 2, "GET /c/d": 4,
		}},
		{"a wildcard that crosses an opened folder", []string{"/a/{x}=1", "/{y}/b/=Guest"}, map[string]int{
			"GET /a/b": 1, "GET /a/b/": 1, "GET /a/b/c": 999, "GET /x/b/": 999, "GET /x/b": 4,
		}},
		{
			"a more specific one opens where two overlap",
			[]string{"/a/{x}=1", "/{y}/b=2", "/a/b=Guest"},
			map[string]int{"GET /a/b": 999, "GET /a/c": 1, "GET /c/b": 2},
		},
		{
			"a more specific one than one of two",
			[]string{"GET /=Guest", "/a/=1", "GET /a/b/=3"},
			map[string]int{"GET /a/b/c": 3, "GET /a/c": 1, "GET /c": 999, "POST /a/b/c": 1},
		},
		{"names with a colon", []string{"/:/=Guest", "/video/:/transcode/=Guest"}, map[string]int{
			"GET /:/timeline": 999, "GET /video/:/transcode/x": 999, "GET /video/x": 4,
		}},
		{
			"a folder of wildcards that goes deeper than a folder without",
			[]string{"/u/{id}/=Admin", "GET /u/=Guest", "/{a}/{b}/=Admin", "/api/=Guest"},
			map[string]int{
				"GET /u/": 999, "GET /u/7": 0, "GET /u/7/": 0, "GET /u/7/x": 0, "GET /u/7/x/y": 0, "POST /u/7/x/y": 0,
				"GET /api/": 999, "GET /api/x": 0, "GET /api/z/q": 0, "GET /api/z/q/r": 0, "GET /a/b/c/d/": 0,
			},
		},
		{"names that begin with dots", []string{"/api/=Guest"}, map[string]int{
			"GET /api/..x": 999, "GET /api/.x": 999, "GET /api/x..y": 999, "GET /api/..data": 999,
		}},
		{
			"a file's extension in a variant of an opened file",
			[]string{"/settings/api/open=Admin", "/{user}/open.json=Guest"},
			map[string]int{
				"GET /bob/open.json": 999, "GET /settings/api/open.json": 0, "GET /%2573ettings%2Fapi/open.json": 0,
			},
		},
		{
			"closed names beside one that is all wildcards",
			[]string{"/{a}/{b}=Admin", "/x/=Power User"},
			map[string]int{"GET /%2579/z": 0, "GET /y": 4},
		},
		{
			"closed names that aren't ASCII, or end in a dot, or have a slash",
			[]string{"/Ünï=Admin", "/kiosk=Admin", "/x./{y}=Admin", "/a%2Fbcd=Admin"},
			map[string]int{
				"GET /%25C3%259CN%25C3%258F": 0, "GET /%E2%84%AAiosk": 0, "GET /X/1": 0, "GET /x../1": 0, "GET /a%252Fbcd": 0,
			},
		},
		{
			"a long name that begins like another one",
			[]string{"/{id}/Secret=Admin", "/opened/secret=Guest"},
			map[string]int{
				"GET /opened/secret": 999, "GET /x/secret": 0,
				"GET /opened" + strings.Repeat("%20", 1000) + "x/secret": 0,
			},
		},
		{"a wildcard called below", []string{"/x/{below}/=Guest"}, map[string]int{
			"GET /x/1/": 999, "GET /x/1/2": 999, "GET /x/1": 4,
		}},
	} {
		run(t, test.name, func(t *testing.T) {
			s := newSite(t, Config{Rules: test.rules})
			for request, want := range test.requests {
				if got := s.requiredGroup(request, 0, 1, 2, 3, 4, 998, 999); got != want {
					t.Errorf("%s requires %d, want %d", request, got, want)
				}
			}
		})
	}
}

// What careless services take for a path under /settings/, each seen with one of them.
func TestCarelessServices(t *testing.T) {
	s := newSite(t, Config{
		Group: "User", Rules: []string{
			"/settings/=Admin", "/u/{id}/secret=Admin", "/report.json=Guest", "/report=Admin", "/{show}/poster.jpg=Guest",
		},
	})
	for target, want := range map[string]int{
		"/index.php/settings/users": 0, "/x/index.php/settings/users": 0, "/INDEX.PHP/settings/x": 0, "/index.php/x": 4,
		"/settings.json": 0, "/settings.anything": 0, "/settings.tar.gz": 0, "/Settings.json": 0, "/xsettings.json": 4,
		"/settings/users.json": 0, "/u/1/secret.json": 0, "/report.json": 999, "/report.xml": 0, "/report": 0,
		"/REPORT.json": 0, "/files/x.json": 4, "/.settings": 4,
		"/x/poster.jpg": 999, "/settings.json%3f/poster.jpg": 0, "/settings.json%23/poster.jpg": 0,
		"/settin%ffgs/x": 0, "/%c0%afsettings/x": 0, "/files/%ff": 0,
		"/settings::$INDEX_ALLOCATION/x": 0, "/settings:$I30:$INDEX_ALLOCATION/x": 0, "/settings::$DATA": 0,
		"/u/..%2Fsecret": 0, "/u/.%2Fsecret": 0, "/u%2F./secret": 0, "/u%2F..%2Fsecret": 0, "/u/%2e%2E%2fsecret": 0,
		"/U/..%2FSecret": 0, "/u/./secret": 0, "/u/../secret": 0, "/u/../../secret": 4, "/u/./public": 4,
		"/files/a:b": 4, "/u/%2F/secret": 0, "/u/%2f%2F/secret": 0, "/files/Who%3F": 4, "/files/AC%2FDC": 4,
	} {
		if got := s.requiredGroup("GET "+target, 0, 4, 998, 999); got != want {
			t.Errorf("GET %s requires %d, want %d", target, got, want)
		}
	}
}

// Behind the name of a script, many services have the path that counts.
func TestScriptNames(t *testing.T) {
	s := newSite(t, Config{Group: "User", Rules: []string{"/settings/=Admin"}})
	for _, extension := range strings.Fields(`
		php php5 phtml phar cgi fcgi pl py wsgi rb asp aspx ashx cfm jsp jspx do dll exe lua sh
	`) {
		target := "/x." + extension + "/settings/"
		if got := s.requiredGroup("GET "+target, 0, 4); got != 0 {
			t.Errorf("GET %s requires %d, want 0", target, got)
		}
	}
	if got := s.requiredGroup("GET /x.html/settings/", 0, 4); got != 4 {
		t.Errorf("GET /x.html/settings/ requires %d, want 4", got)
	}
}

// What the rules require for a path is remembered, and that must never change an answer.
func TestRememberedRules(t *testing.T) {
	s := newSite(t, Config{Rules: []string{"/closed/=Admin", "POST /open/=Admin", "/open/..%2fx=3"}})
	for i := 0; i < 3; i++ {
		s.expect(t, 200, "GET /open/x", "Cookie", "bob")
		s.expect(t, 403, "GET /closed/x", "Cookie", "bob")
		s.expect(t, 200, "GET /closed/x", "Cookie", "alice")
		s.expect(t, 401, "GET /open/x")
		s.expect(t, 403, "POST /open/x", "Cookie", "bob")
		s.expect(t, 403, "get /closed/x", "Cookie", "bob")
		s.expect(t, 403, "GET /open/x", "Cookie", "bob", "Destination", "/closed/x")
		s.expect(t, 200, "GET /x", "Cookie", "bob")
		s.expect(t, 403, "GET /open/..%2fx", "Cookie", "bob")
		s.expect(t, 403, "GET /open%2f..%2fclosed/x", "Cookie", "bob")
	}
	remembered := func() int { return len(pluginOf(t, s.handler).pathRules) }
	before := remembered()
	for i := 0; i < 50; i++ {
		s.send(fmt.Sprint("GET /of-nobody/", i))
		s.send(fmt.Sprint("GET /forged/", i), "Cookie", cookieWith("a.b.c"))
		s.send("GET /long/"+strings.Repeat("x", 300+i), "Cookie", "bob")
	}
	if got := remembered(); got != before {
		t.Errorf("%d paths are remembered, want %d: no long ones, and none of people without a session", got, before)
	}
	for i := 0; i < 1500; i++ {
		s.send(fmt.Sprint("GET /of-bob/", i), "Cookie", "bob")
	}
	if got := remembered(); got > 1000 {
		t.Errorf("%d paths are remembered, want at most 1000", got)
	}
}

// Who gets in: allow and deny.

func TestAllowAndDeny(t *testing.T) {
	adminsAnd := func(conditions ...string) Config { return Config{Group: "0", Allow: conditions} }
	usersBut := func(conditions ...string) Config { return Config{Deny: conditions} }
	guestsBut := func(conditions ...string) Config { return Config{Group: "Guest", Deny: conditions} }
	for _, test := range []struct {
		name   string
		config Config
		cookie string // or the name of whose it is
		status int
	}{
		{"an allowed group gets in", adminsAnd("groupID=5"), "fay", 200},
		{"others don't", adminsAnd("groupID=5"), "bob", 403},
		{"an allowed user gets in", adminsAnd("username=pat", "username=bob"), "bob", 200},
		{"spaces around claim and value don't count", adminsAnd(" username = bob "), "bob", 200},
		{"nor do they for deny", usersBut("username=eve", "\tusername=bob "), "bob", 403},
		{"a space within a value counts", adminsAnd("username=Zoë Müller"), "Zoë Müller", 200},
		{
			"a value may hold an equals sign",
			Config{Allow: []string{"username=a=b"}},
			cookieWith(tokenWith(`"name":"a=b","groupID":5`)), 200,
		},
		{"case counts for allow", adminsAnd("username=Bob", "groupID=6"), "bob", 403},
		{"it doesn't for deny, since many services ignore it", usersBut("username=BOB"), "bob", 403},
		{"an email address is allowed", adminsAnd("email=bob@example.com"), "bob", 200},
		{"a group is allowed by its number, and no other group is", adminsAnd("groupID=4"), "pat", 403},
		{"a user is allowed by their number", adminsAnd("userID=2"), "bob", 200},
		{"allow lets nobody in who isn't logged in", adminsAnd("username=bob"), "", 401},
		{"deny refuses a user", usersBut("username=bob"), "bob", 403},
		{"deny refuses only that user", usersBut("username=bob"), "pat", 200},
		{
			"deny wins over allow",
			Config{Group: "0", Allow: []string{"username=bob"}, Deny: []string{"groupID=4"}},
			"bob", 403,
		},
		{"deny wins over Admin", Config{Group: "0", Deny: []string{"groupID=0"}}, "alice", 403},
		{"deny wins on Guest routes", guestsBut("username=bob"), "bob", 403},
		{"deny can't match anyone who isn't logged in", guestsBut("username=bob"), "", 200},
	} {
		checkAccess(t, []accessCase{{test.name, test.config, "", headerLines("Cookie", test.cookie), test.status}})
	}
}

// Which session counts: cookies and bearer tokens.

func TestSessionCookies(t *testing.T) {
	bob, alice := cookieWith(tokenOf(t, "bob")), cookieWith(tokenOf(t, "alice"))
	stale := cookieWith(tokenWith(`"groupID":1000`))
	for _, test := range []struct {
		name    string
		group   string
		cookies string // lines are separated by |
		status  int
	}{
		{"no cookie", "", "", 401},
		{"a good one", "", bob, 200},
		{"a stale one before a good one", "", stale + "; " + bob, 200},
		{"a stale one after a good one", "", bob + "; " + stale, 200},
		{"the first of two good ones counts", "0", bob + "; " + alice, 403},
		{"stale ones only", "", stale + "; " + stale, 401},
		{"the fourth is good", "", strings.Repeat(stale+"; ", 3) + bob, 200},
		{"the fifth is good, and isn't tried", "", strings.Repeat(stale+"; ", 4) + bob, 401},
		{"on two lines", "", stale + "|" + bob, 200},
		{"in quotes", "", cookieWith(`"` + tokenOf(t, "bob") + `"`), 200},
		{"under another uuid", "", cookieName + "2=" + tokenOf(t, "bob"), 401},
		{"an empty one", "", cookieWith(""), 401},
		{"a token that isn't a cookie", "", tokenOf(t, "bob") + ";", 401},
		{"after 32 KiB of others", "", strings.Repeat("a=1; ", 32<<10/5) + bob, 401},
	} {
		config := Config{Group: test.group}
		checkAccess(t, []accessCase{{test.name, config, "", headerLines("Cookie", test.cookies), test.status}})
	}
}

func TestBearerTokens(t *testing.T) {
	const othersToken = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.e30.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	bobsToken, bob, others := tokenOf(t, "bob"), "Bearer "+tokenOf(t, "bob"), "Bearer "+othersToken
	const expiredClaims = `{"iss":"Organizr","aud":"Organizr","exp":1,"groupID":4}`
	expired := "Bearer " + signToken(tokenHeader, expiredClaims, organizr.OrganizrHash)
	afterSeven := strings.TrimSpace(strings.Repeat("a.b.c ", 7)) + " " + bobsToken
	on, guests := Config{}, Config{Group: "Guest"} // besides acceptBearer
	for _, test := range []struct {
		name          string
		config        Config
		authorization string // lines are separated by |
		cookies       string
		status        int
		forwarded     string // of Authorization
	}{
		{"Organizr's token", on, bob, "", 200, ""},
		{"the scheme in another case", on, "bearer " + bobsToken, "", 200, ""},
		{"forwarded with forwardToken", Config{ForwardToken: true}, bob, "", 200, bob},
		{"another's token", on, others, "", 401, ""},
		{"an expired one", on, expired, "", 401, ""},
		{"a good cookie counts first", Config{Group: "Admin"}, bob, "alice", 200, ""},
		{"beside a stale cookie", on, bob, cookieWith("x; a=1"), 200, ""},
		{"in another scheme", on, "Basic " + bobsToken, "", 401, ""},
		{"on two lines", on, bob + "|" + bob, "", 401, ""},
		{"in the place of a cookie", on, "", bob + ";", 401, ""},
		{
			"replaced by a configured header",
			Config{Headers: map[string]string{"Authorization": "Token {token}"}},
			bob, "", 200, "Token " + bobsToken,
		},

		{"beside a good cookie another's token is forwarded", on, others, "bob", 200, others},
		{"beside a good cookie a second session is not", on, "Bearer " + tokenOf(t, "alice"), "bob", 200, ""},
		{"nor an expired one", on, expired, "bob", 200, ""},
		{"nor one in another scheme", on, `Token token="` + bobsToken + `"`, "bob", 200, ""},
		{"nor one after another token's beginning", on, "Bearer eyJh." + tokenOf(t, "alice") + "x", "bob", 200, ""},
		{"a line of more than 16 KiB isn't forwarded", guests, "Basic " + strings.Repeat("a", 16<<10), "", 200, ""},
		{
			"a shorter one is",
			guests, "Basic " + strings.Repeat("a", 15<<10), "", 200,
			"Basic " + strings.Repeat("a", 15<<10),
		},
		{"only the session's line isn't forwarded", on, bob + "|Basic eDp5", "bob", 200, "Basic eDp5"},
		{"a session after seven others in a line isn't forwarded", on, afterSeven, "bob", 200, ""},

		{"on a Guest route another's token is forwarded", guests, others, "", 200, others},
		{"on a Guest route a session is not", guests, bob, "", 200, ""},
		{"nor are two sessions on a Guest route", guests, bob + "|" + bob, "", 200, ""},
		{"nor an expired one on a Guest route", guests, expired, "", 200, ""},
		{"nor one in another scheme on a Guest route", guests, "Digest " + bobsToken, "", 200, ""},
		{"nor one after seven others on a Guest route", guests, afterSeven, "", 200, ""},
	} {
		run(t, test.name, func(t *testing.T) {
			test.config.AcceptBearer = true
			s := newSite(t, test.config)
			headers := append(headerLines("Authorization", test.authorization), headerLines("Cookie", test.cookies)...)
			for i := 0; i < 2; i++ { // the second time the visitor is cached
				s.expect(t, test.status, "GET /", headers...)
				if s.forwarded != nil {
					s.expectForwarded(t, "Authorization", test.forwarded)
				}
			}
		})
	}
	run(t, "a line that a later middleware adds stays with its request", func(t *testing.T) {
		requests := 0
		handler := newHandler(t, Config{AcceptBearer: true}, func(_ http.ResponseWriter, req *http.Request) {
			requests++
			req.Header.Add("Authorization", fmt.Sprint(requests))
		})
		var first http.Header
		for i := 0; i < 3; i++ {
			lines := []string{"Authorization", "a", "Authorization", "b", "Authorization", "c"}
			req := newRequest(t, "GET /", append(lines, "Cookie", "bob")...)
			handler.ServeHTTP(httptest.NewRecorder(), req)
			if first == nil {
				first = req.Header
			}
		}
		if lines := strings.Join(first["Authorization"], " "); lines != "a b c 1" {
			t.Errorf("after three requests the first one's lines of Authorization are %q, want %q", lines, "a b c 1")
		}
	})
	run(t, "beside other cookies of any length", func(t *testing.T) {
		s := newSite(t, Config{AcceptBearer: true})
		for length := 1; length < 100; length++ {
			cookies := "a=" + strings.Repeat("x", length)
			s.send("POST /", "Authorization", bob, "Cookie", cookies, "Sec-Fetch-Site", "cross-site")
			s.expectForwarded(t, "Cookie", cookies)
		}
	})
	run(t, "not without acceptBearer", func(t *testing.T) {
		newSite(t, Config{}).expect(t, 401, "GET /", "Authorization", bob)
	})
}

// Which session counts: keys.

// Keys of two programs, as openssl rand -hex 32 makes them.
const (
	lunaseaKey = "27f0a2f4ac04e8a5a8cd1a3f4a5b2c8fd31a5d4cf50a2cf6bc1d9ad7ad0d2a43"
	monitorKey = "monitor-key-of-20byt"
)

// keyItem returns an item of the option keys.
func keyItem(nameAndGroup, key string) string {
	return fmt.Sprintf("%s:%x", nameAndGroup, sha256.Sum256([]byte(key)))
}

// basic returns an Authorization header's value with a name and a password.
func basic(name, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
}

func TestKeys(t *testing.T) {
	both := []string{keyItem("lunasea=User", lunaseaKey), keyItem("monitor = Power User ", monitorKey)}
	short := lunaseaKey[:19]
	const others = "Basic c2VydmljZTpwYXNzd29yZA=="
	for _, test := range []struct {
		name      string
		config    Config
		headers   []string
		status    int
		user      string // as the service is told
		forwarded string // of Authorization
	}{
		{"by Bearer", Config{}, []string{"Authorization", "Bearer " + lunaseaKey}, 200, "lunasea 4", ""},
		{"the scheme in another case", Config{}, []string{"Authorization", "bEARER  " + lunaseaKey}, 200, "lunasea 4", ""},
		{"by Basic", Config{}, []string{"Authorization", basic("lunasea", lunaseaKey)}, 200, "lunasea 4", ""},
		{
			"by Basic after spaces, as HTTP/2 can have it",
			Config{},
			[]string{"Authorization", " \t" + basic("lunasea", lunaseaKey)},
			200, "lunasea 4", "",
		},
		{
			"by Bearer after a space, beside a session",
			Config{},
			[]string{"Authorization", " Bearer " + lunaseaKey, "Cookie", "alice"},
			200, "alice 0", "",
		},
		{"by a header", Config{}, []string{"X-Organizr-Key", lunaseaKey}, 200, "lunasea 4", ""},
		{"a key of 20 bytes", Config{}, []string{"X-Organizr-Key", monitorKey}, 200, "monitor 3", ""},
		{
			"by a header, beside what is the service's own",
			Config{},
			[]string{"X-Organizr-Key", lunaseaKey, "Authorization", others},
			200, "lunasea 4", others,
		},
		{
			"by a header, beside another key",
			Config{},
			[]string{"X-Organizr-Key", lunaseaKey, "Authorization", "Bearer " + monitorKey},
			200, "monitor 3", "",
		},
		{
			"a key of 19 bytes",
			Config{Keys: []string{keyItem("a=User", short)}},
			[]string{"X-Organizr-Key", short},
			401, "", "",
		},
		{"a wrong key", Config{}, []string{"X-Organizr-Key", lunaseaKey + "0"}, 401, "", ""},
		{"no key", Config{}, []string{"X-Organizr-Key", ""}, 401, "", ""},
		{"its hash", Config{}, []string{"X-Organizr-Key", strings.Split(both[0], ":")[1]}, 401, "", ""},
		{"in another case", Config{}, []string{"X-Organizr-Key", strings.ToUpper(lunaseaKey)}, 401, "", ""},
		{"another's name by Basic", Config{}, []string{"Authorization", basic("monitor", lunaseaKey)}, 401, "", ""},
		{"no name by Basic", Config{}, []string{"Authorization", basic("", lunaseaKey)}, 401, "", ""},
		{"Basic that isn't base64", Config{}, []string{"Authorization", "Basic =" + lunaseaKey}, 401, "", ""},
		{"another scheme", Config{}, []string{"Authorization", "Token " + lunaseaKey}, 401, "", ""},
		{
			"two lines of Authorization",
			Config{},
			[]string{"Authorization", "Bearer " + lunaseaKey, "Authorization", "Bearer " + lunaseaKey},
			401, "", "",
		},
		{
			"Basic that goes on in a second line",
			Config{},
			[]string{"Authorization", basic("lunasea", lunaseaKey)[:26], "Authorization", basic("lunasea", lunaseaKey)[26:]},
			401, "", "",
		},
		{"two headers", Config{}, []string{"X-Organizr-Key", lunaseaKey, "X-Organizr-Key", lunaseaKey}, 401, "", ""},
		{"another spelling of the header", Config{}, []string{"X_organizr_key", lunaseaKey}, 401, "", ""},
		{"a cookie", Config{}, []string{"Cookie", cookieWith(lunaseaKey)}, 401, "", ""},
		{
			"beside a session, which counts",
			Config{},
			[]string{"X-Organizr-Key", lunaseaKey, "Cookie", "alice"},
			200, "alice 0", "",
		},
		{
			"beside a stale session",
			Config{},
			[]string{"X-Organizr-Key", lunaseaKey, "Cookie", cookieWith("x")},
			200, "lunasea 4", "",
		},
		{
			"beside a session, what is the service's own",
			Config{},
			[]string{"Authorization", others, "Cookie", "bob"},
			200, "bob 4", others,
		},
		{
			"beside a session, a key in Authorization",
			Config{},
			[]string{"Authorization", basic("x", lunaseaKey), "Cookie", "bob"},
			200, "bob 4", "",
		},
		{"another group", Config{Group: "3"}, []string{"X-Organizr-Key", lunaseaKey}, 403, "", ""},
		{"the same group", Config{Group: "3"}, []string{"X-Organizr-Key", monitorKey}, 200, "monitor 3", ""},
		{
			"matched by allow",
			Config{Group: "0", Allow: []string{"username=lunasea"}},
			[]string{"X-Organizr-Key", lunaseaKey},
			200, "lunasea 4", "",
		},
		{
			"matched by deny",
			Config{Deny: []string{"username=Lunasea"}},
			[]string{"X-Organizr-Key", lunaseaKey},
			403, "", "",
		},
		{"matched by a rule", Config{Rules: []string{"/=3"}}, []string{"X-Organizr-Key", lunaseaKey}, 403, "", ""},
		{"where everyone gets in", Config{Group: "Guest"}, []string{"X-Organizr-Key", lunaseaKey}, 200, "lunasea 4", ""},
		{
			"a wrong one where everyone gets in",
			Config{Group: "Guest"},
			[]string{"X-Organizr-Key", "x" + lunaseaKey, "Authorization", others},
			200, " ", others,
		},
		{
			"a key in the wrong form where everyone gets in",
			Config{Group: "Guest"},
			[]string{"Authorization", basic("x", lunaseaKey), "X_Organizr_Key", lunaseaKey},
			200, " ", "",
		},
		{
			"with acceptBearer, which takes tokens",
			Config{AcceptBearer: true},
			[]string{"Authorization", "Bearer bob"},
			200, "bob 4", "",
		},
		{
			"with acceptBearer",
			Config{AcceptBearer: true},
			[]string{"Authorization", "Bearer " + lunaseaKey},
			200, "lunasea 4", "",
		},
		{
			"with forwardToken",
			Config{ForwardToken: true},
			[]string{"Authorization", "Bearer " + lunaseaKey},
			200, "lunasea 4", "",
		},
		{
			"with an Authorization of the option headers",
			Config{Headers: map[string]string{
				"Authorization": "Basic {username}", "X-Organizr-User": "{username}", "X-Organizr-Group": "{groupID}",
			}},
			[]string{"Authorization", "Bearer " + lunaseaKey},
			200, "lunasea 4", "Basic lunasea",
		},
		{
			"claims that a key doesn't have",
			Config{Headers: map[string]string{
				"Authorization": "{token}", "X-Organizr-User": "{username}", "X-Organizr-Group": "{email}{image}{userID}4",
			}},
			[]string{"Authorization", "Bearer " + lunaseaKey},
			200, "lunasea ", "",
		},
	} {
		run(t, test.name, func(t *testing.T) {
			if test.config.Keys == nil {
				test.config.Keys = both
			}
			s := newSite(t, test.config)
			for i := 0; i < 2; i++ { // the second time the program is cached
				s.expect(t, test.status, "GET /", test.headers...)
				if s.forwarded == nil {
					continue
				}
				user := s.forwardedHeader("X-Organizr-User") + " " + s.forwardedHeader("X-Organizr-Group")
				if user != test.user {
					t.Errorf("the service is told %q, want %q", user, test.user)
				}
				s.expectForwarded(t, "Authorization", test.forwarded)
				if text := fmt.Sprint(s.forwarded.Header, s.forwarded.URL); strings.Contains(text, lunaseaKey) ||
					strings.Contains(text, monitorKey) {
					t.Errorf("the service gets a key: %s", text)
				}
			}
		})
	}
	run(t, "Basic, which browsers send unasked, from another site", func(t *testing.T) {
		s := newSite(t, Config{Keys: both})
		crossSite := []string{"Sec-Fetch-Site", "cross-site", "Authorization"}
		s.expectTwice(t, 403, "POST /", append(crossSite, basic("lunasea", lunaseaKey))...)
		s.expectTwice(t, 200, "POST /", append(crossSite, "Bearer "+lunaseaKey)...)
	})
	run(t, "each without the other", func(t *testing.T) {
		s := newSite(t, Config{Keys: both[:1]})
		s.expectTwice(t, 200, "GET /", "X-Organizr-Key", lunaseaKey)
		s.expectTwice(t, 401, "GET /", "X-Organizr-Key", monitorKey)
	})
	run(t, "a hash that is sent as a session, when the key's holder is cached", func(t *testing.T) {
		s := newSite(t, Config{Keys: both, AcceptBearer: true})
		hash := strings.Split(both[0], ":")[1]
		s.expect(t, 200, "GET /", "X-Organizr-Key", lunaseaKey)
		for _, text := range []string{hash, lunaseaKey} {
			s.expectTwice(t, 401, "GET /", "Cookie", cookieWith(text))
		}
		s.expectTwice(t, 401, "GET /", "Authorization", "Bearer "+hash)
	})
	run(t, "never passed on, where there are no keys either", func(t *testing.T) {
		for _, group := range []string{"User", "Guest"} {
			s := newSite(t, Config{Group: group})
			for _, name := range []string{"X-Organizr-Key", "X_organizr_key"} {
				s.expectTwice(t, 200, "GET /", "Cookie", "bob", name, lunaseaKey)
				s.expectForwarded(t, name, "")
			}
		}
	})
	run(t, "two of one name", func(t *testing.T) {
		s := newSite(t, Config{Keys: []string{keyItem("a=4", lunaseaKey), keyItem("a=0", monitorKey)}, Group: "0"})
		s.expectTwice(t, 403, "GET /", "X-Organizr-Key", lunaseaKey)
		s.expectTwice(t, 200, "GET /", "X-Organizr-Key", monitorKey)
	})
	run(t, "Organizr's files aren't there yet", func(t *testing.T) {
		s := newSite(t, Config{Keys: both, DatabaseFile: filepath.Join(t.TempDir(), "db")})
		s.expectTwice(t, 503, "GET /", "X-Organizr-Key", lunaseaKey)
	})
	run(t, "a program is asked for Basic, a browser isn't", func(t *testing.T) {
		s := newSite(t, Config{Keys: both})
		const bearer, asked = `Bearer realm="Organizr"`, `Basic realm="Organizr", charset="UTF-8"`
		for agent, want := range map[string][]string{
			"Wget/1.21": {bearer, asked}, "Mozilla/5.0 (X11) Thunderbird/140.0": {bearer, asked}, "": {bearer, asked},
			"Mozilla/5.0 (X11) Firefox/153": {bearer},
		} {
			for _, accept := range []string{"*/*", browserAccept} {
				got := s.send("GET /", "User-Agent", agent, "Accept", accept).Header()["Www-Authenticate"]
				if !reflect.DeepEqual(got, want) {
					t.Errorf("%q that accepts %s is asked for %q, want %q", agent, accept, got, want)
				}
			}
		}
	})
	run(t, "a browser isn't asked for Basic, even if the service never gets its name", func(t *testing.T) {
		s := newSite(t, Config{Keys: both, Headers: map[string]string{"User-Agent": ""}})
		for _, accept := range []string{"*/*", browserAccept} {
			got := s.send("GET /", "User-Agent", "Mozilla/5.0 (X11) Firefox/153", "Accept", accept).Header()["Www-Authenticate"]
			if len(got) != 1 {
				t.Errorf("a browser that accepts %s is asked for %q", accept, got)
			}
		}
	})
	run(t, "a wrong key is never sent to log in, unless a browser sent it by Basic", func(t *testing.T) {
		s := newSite(t, Config{Keys: both, OrganizrURL: organizrURL})
		page := []string{"Accept", browserAccept, "User-Agent"}
		wrongBasic := basic("lunasea", "wrong-key-of-some-program")
		s.expectTwice(t, 401, "GET /", append(page, "FeedReader/1.0", "Authorization", wrongBasic)...)
		s.expectTwice(t, 401, "GET /", append(page, "Mozilla/5.0", "X-Organizr-Key", "wrong-key-of-some-program")...)
		s.expectTwice(t, 302, "GET /", append(page, "Mozilla/5.0", "Authorization", wrongBasic)...)
		s.expectTwice(t, 302, "GET /", append(page, "FeedReader/1.0")...)
		s.expectTwice(t, 302, "GET /", append(page, "Lynx/2.9", "Cookie", cookieWith(tokenWith(`"exp":1`)))...)
	})
	run(t, "a key in the place of its hash is logged once", func(t *testing.T) {
		s := newSite(t, Config{Keys: []string{"lunasea=User:" + lunaseaKey}})
		for _, want := range []string{"the key was sent as it stands in the option keys, which must hold its SHA-256", ""} {
			logged := loggedBy(t, func() { s.expect(t, 401, "GET /", "X-Organizr-Key", lunaseaKey) })
			if !strings.Contains(logged, want) || (logged == "") != (want == "") || strings.Contains(logged, lunaseaKey[:8]) {
				t.Errorf("logged %q, want %q", logged, want)
			}
		}
	})
	run(t, "a hash that is sent as a key is logged, too where tokens come by Bearer", func(t *testing.T) {
		s := newSite(t, Config{Keys: both, AcceptBearer: true})
		hash := strings.TrimPrefix(keyItem("lunasea=User", lunaseaKey), "lunasea=User:")
		logged := loggedBy(t, func() { s.expect(t, 401, "GET /", "Authorization", "Bearer "+hash) })
		if !strings.Contains(logged, "the key was sent as it stands") || strings.Contains(logged, hash[:8]) {
			t.Errorf("logged %q", logged)
		}
	})
	run(t, "no line of the log has a key", func(t *testing.T) {
		s := newSite(t, Config{Keys: []string{keyItem("lunasea=User", lunaseaKey)}, Group: "0"})
		lines := printedBy(t, func() {
			s.send("GET /", "X-Organizr-Key", lunaseaKey)
			s.send("GET /", "Authorization", basic("x", lunaseaKey))
			s.send("GET /", "Authorization", "Bearer x"+lunaseaKey)
		})
		for _, part := range []string{
			`reason="group 4, but Admin (0) is required" visitor="lunasea"`,
			`reason="the request has neither a session nor a key that the option keys lists" visitor=""`,
		} {
			if !strings.Contains(lines, part) {
				t.Errorf("the log has no %s: %s", part, lines)
			}
		}
		if strings.Contains(lines, lunaseaKey[:8]) {
			t.Errorf("the log has a part of a key: %s", lines)
		}
	})
	run(t, "the group's name in the database", func(t *testing.T) {
		s := newSite(t, Config{
			Keys: []string{keyItem("lunasea=5", lunaseaKey)}, DatabaseFile: "testdata/organizr/database/orgdb.db", Group: "5",
			Headers: map[string]string{"X-Group": "{group}"},
		})
		s.expectTwice(t, 200, "GET /", "X-Organizr-Key", lunaseaKey)
		s.expectForwarded(t, "X-Group", "Family")
	})
}

// What is a session: the token and its claims.

func TestTokenHeadersAndClaims(t *testing.T) {
	expiry := fmt.Sprintf(`"exp":%d.25`, organizr.ValidAt+10)
	now, later := fmt.Sprint(organizr.ValidAt), fmt.Sprint(organizr.ValidAt+10)
	inAMinute := fmt.Sprint(organizr.ValidAt + 60)
	common := `"iss":"Organizr","aud":"Organizr",` + expiry
	for _, test := range []struct {
		name   string
		header string
		claims string
		status int
	}{
		{"what Organizr 2.1 makes", tokenHeader, `{` + common + `,"name":"x","groupID":4}`, 200},
		{
			"a list of audiences", tokenHeader,
			`{"iss":"Organizr","aud":["x","Organizr"],` + expiry + `,"groupID":4}`, 200,
		},
		{"a group in digits, from PHP before 8.1", tokenHeader, `{` + common + `,"groupID":"4"}`, 200},
		{
			"whole seconds, from older Organizr", tokenHeader,
			`{"iss":"Organizr","aud":"Organizr","exp":` + later + `,"groupID":4}`, 200,
		},
		{"no typ", `{"alg":"HS256"}`, `{` + common + `,"groupID":4}`, 200},
		{"valid in a minute", tokenHeader, `{` + common + `,"groupID":4,"nbf":` + inAMinute + `}`, 200},
		{"valid in more than a minute", tokenHeader, `{` + common + `,"groupID":4,"nbf":` + inAMinute + `.1}`, 401},
		{"nbf as text", tokenHeader, `{` + common + `,"groupID":4,"nbf":"1"}`, 401},
		{"another issuer", tokenHeader, `{"iss":"organizr","aud":"Organizr",` + expiry + `,"groupID":4}`, 401},
		{"no issuer", tokenHeader, `{"aud":"Organizr",` + expiry + `,"groupID":4}`, 401},
		{"another audience", tokenHeader, `{"iss":"Organizr","aud":["organizr"],` + expiry + `,"groupID":4}`, 401},
		{"no exp", tokenHeader, `{"iss":"Organizr","aud":"Organizr","groupID":4}`, 401},
		{
			"exp as text", tokenHeader,
			`{"iss":"Organizr","aud":"Organizr","exp":"9999999999","groupID":4}`, 401,
		},
		{
			"exp is now", tokenHeader,
			`{"iss":"Organizr","aud":"Organizr","exp":` + now + `.0,"groupID":4}`, 401,
		},
		{
			"exp after the end of time", tokenHeader,
			`{"iss":"Organizr","aud":"Organizr","exp":1e300,"groupID":4}`, 200,
		},
		{
			"exp beyond numbers", tokenHeader,
			`{"iss":"Organizr","aud":"Organizr","exp":1e400,"groupID":4}`, 401,
		},
		{"no group is not Admin", tokenHeader, `{` + common + `}`, 401},
		{"group null is not Admin", tokenHeader, `{` + common + `,"groupID":null}`, 401},
		{"group empty is not Admin", tokenHeader, `{` + common + `,"groupID":""}`, 401},
		{"group false is not Admin", tokenHeader, `{` + common + `,"groupID":false}`, 401},
		{"group -0 is not Admin", tokenHeader, `{` + common + `,"groupID":-0}`, 401},
		{"group 0x0 is not Admin", tokenHeader, `{` + common + `,"groupID":"0x0"}`, 401},
		{"group 3.5", tokenHeader, `{` + common + `,"groupID":3.5}`, 401},
		{"group -1", tokenHeader, `{` + common + `,"groupID":-1}`, 401},
		{"group 1000", tokenHeader, `{` + common + `,"groupID":1000}`, 401},
		{"group in a list", tokenHeader, `{` + common + `,"groupID":[0]}`, 401},
		{"group spelled in another case", tokenHeader, `{` + common + `,"groupid":0}`, 401},
		{"claims that are a list", tokenHeader, `[]`, 401},
		{"claims that are null", tokenHeader, `null`, 401},
		{"no claims", tokenHeader, ``, 401},
		{"alg in another case", `{"typ":"JWT","alg":"hs256"}`, `{` + common + `,"groupID":4}`, 401},
		{"Alg instead of alg", `{"typ":"JWT","Alg":"HS256"}`, `{` + common + `,"groupID":4}`, 401},
		{"typ JWE", `{"typ":"JWE","alg":"HS256"}`, `{` + common + `,"groupID":4}`, 401},
		{"crit", `{"typ":"JWT","alg":"HS256","crit":["exp"]}`, `{` + common + `,"groupID":4}`, 401},
	} {
		run(t, test.name, func(t *testing.T) {
			token := signToken(test.header, test.claims, organizr.OrganizrHash)
			if got := newSite(t, Config{}).send("GET /", "Cookie", cookieWith(token)).Code; got != test.status {
				t.Errorf("header %s, claims %s: got %d, want %d", test.header, test.claims, got, test.status)
			}
		})
	}
}

// A tokenCase is one token of testdata/tokens.json.
type tokenCase struct{ Trick, Why, Token string }

// tokenCases returns the tokens of testdata/tokens.json that must be refused, and those that must be accepted.
func tokenCases(t testing.TB) (refused, accepted []tokenCase) {
	t.Helper()
	var table struct{ Fail, Pass []tokenCase }
	decodeTestdata(t, "tokens.json", &table)
	return table.Fail, table.Pass
}

func TestHostileTokens(t *testing.T) {
	refused, accepted := tokenCases(t)
	good, bob := tokenOf(t, "alice"), tokenOf(t, "bob")
	parts := strings.Split(good, ".")
	for name, token := range map[string]string{
		"a megabyte":                  strings.Repeat("eyJh.", 1<<20/5),
		"an empty key":                signToken(tokenHeader, `{}`, ""),
		"a changed signature":         good[:len(good)-2] + "AA",
		"stray bits in the signature": good[:len(good)-1] + "5",
		"padding":                     good + "=",
		"another's signature":         parts[0] + "." + parts[1] + "." + strings.Split(bob, ".")[2],
		"longer than 8 KiB":           good + strings.Repeat("A", 8<<10),
		"the standard alphabet":       strings.NewReplacer("-", "+", "_", "/").Replace(tokenOf(t, "sue")),
		"an encoded space before":     "%20" + good,
	} {
		refused = append(refused, tokenCase{Trick: name, Token: token})
	}
	s := newSite(t, Config{AcceptBearer: true, Group: "998"})
	for status, cases := range map[int][]tokenCase{http.StatusUnauthorized: refused, http.StatusOK: accepted} {
		for _, test := range cases {
			for _, header := range [][]string{
				{"Cookie", cookieWith(test.Token)},
				{"Authorization", "Bearer " + test.Token},
			} {
				run(t, test.Trick+" in "+header[0], func(t *testing.T) {
					if got := s.send("GET /", header...).Code; got != status {
						t.Errorf("%s: got %d, want %d: %s", describe("GET /", header), got, status, test.Why)
					}
					if status == http.StatusOK {
						s.expectForwarded(t, "X-Organizr-Group", "0")
					}
				})
			}
		}
	}
}

func TestSessionExpiry(t *testing.T) {
	sameCookies, changingCookies := newSite(t, Config{}), newSite(t, Config{})
	session := cookieWith(tokenWith(`"groupID":4`)) // for 3600.5 seconds
	for _, test := range []struct {
		seconds float64
		status  int
	}{
		{0, 200},
		{3600, 200},
		{3600.499, 200},
		{3600.5, 401},
		{3601, 401},
		{10, 200},
	} {
		run(t, fmt.Sprintf("after %v seconds", test.seconds), func(t *testing.T) {
			setClock(t, test.seconds)
			sameCookies.expect(t, test.status, "GET /", "Cookie", session)
			changingCookies.expect(t, test.status, "GET /", "Cookie", fmt.Sprint(session, "; a=", test.seconds))
		})
	}
}

func TestClaimNamesAreCaseSensitive(t *testing.T) {
	claims := fmt.Sprintf(`"iss":"Organizr","aud":"Organizr","exp":%d,"nbf":%d,"groupID":4,"name":"bob",`+
		`"email":"bob@example.com","userID":2,"image":"bob.png"`, organizr.ValidAt+60, organizr.ValidAt-60)
	cookieOf := func(claims string) string {
		return cookieWith(signToken(tokenHeader, "{"+claims+"}", organizr.OrganizrHash))
	}
	s := newSite(t, Config{
		Headers: map[string]string{"X-All": "{username} {email} {group} {groupID} {userID} {image}"},
	})
	for _, other := range []string{
		`"ISS":"another"`, `"Iss":"another"`, `"AUD":"another"`, `"aUD":"another"`, `"EXP":1`, `"Exp":1`,
		`"NBF":9999999999`, `"nBf":9999999999`, `"GROUPID":0`, `"GroupID":0`, `"groupid":0`, `"groupId":0`,
		`"NAME":"alice"`, `"Name":"alice"`, `"USERNAME":"alice"`, `"userName":"alice"`,
		`"EMAIL":"alice@example.com"`, `"eMail":"alice@example.com"`, `"group":"Admin"`, `"GROUP":"Admin"`,
		`"USERID":1`, `"userid":1`, `"IMAGE":"alice.png"`, `"Image":"alice.png"`,
		`"` + "i\u017fs" + `":"another"`, // which is iss to Unicode's case folding
	} {
		for place, text := range map[string]string{"before": other + "," + claims, "after": claims + "," + other} {
			run(t, other+" "+place+" the right claims changes nothing", func(t *testing.T) {
				s.send("GET /", "Cookie", cookieOf(text))
				s.expectForwarded(t, "X-All", "bob bob@example.com User 4 2 bob.png")
			})
		}
	}
	for _, renaming := range []string{
		"iss->ISS", "iss->Iss", "aud->AUD", "aud->Aud", "exp->EXP", "exp->eXP",
		"groupID->GROUPID", "groupID->groupid", "groupID->groupId",
	} {
		run(t, renaming+" makes it no session", func(t *testing.T) {
			right, wrong, _ := strings.Cut(renaming, "->")
			renamed := strings.Replace(claims, `"`+right+`"`, `"`+wrong+`"`, 1)
			s.expect(t, 401, "GET /", "Cookie", cookieOf(renamed))
		})
	}
}

func TestUsernameBeforeName(t *testing.T) {
	s := newSite(t, Config{})
	for claims, username := range map[string]string{
		`"name":"new","groupID":4`:                  "new",
		`"username":"old","groupID":4`:              "old",
		`"username":"old","name":"new","groupID":4`: "old",
		`"username":null,"name":"new","groupID":4`:  "new",
		`"name":"","groupID":4`:                     "",
		`"name":null,"groupID":"4"`:                 "",
	} {
		run(t, claims, func(t *testing.T) {
			s.send("GET /", "Cookie", cookieWith(tokenWith(claims)))
			s.expectForwarded(t, "X-Organizr-User", username)
		})
	}
}

// A session that is worth nothing here is still one at Organizr, so no service may get it.
func TestCredentialsOfRestrictedVisitors(t *testing.T) {
	token := tokenWith(`"name":"alice ","groupID":4`)
	session, bearer := []string{"Cookie", cookieWith(token)}, []string{"Authorization", "Bearer " + token}
	keys := []string{keyItem("monitor=User", monitorKey)}
	for _, test := range []struct {
		name    string
		config  Config
		headers []string
		want    string // what the service gets as Authorization
	}{
		{"a cookie", Config{}, session, ""},
		{"a cookie, where Bearer is accepted", Config{AcceptBearer: true}, session, ""},
		{"a cookie and Basic", Config{AcceptBearer: true}, append(session, "Authorization", "Basic eDp5"), "Basic eDp5"},
		{"Bearer", Config{AcceptBearer: true}, bearer, ""},
		{"a cookie and Bearer", Config{AcceptBearer: true}, append(session, bearer...), ""},
		{"a cookie and a key", Config{Keys: keys}, append(session, "X-Organizr-Key", monitorKey), ""},
		{"a cookie and a key by Bearer", Config{Keys: keys}, append(session, "Authorization", "Bearer "+monitorKey), ""},
	} {
		run(t, test.name, func(t *testing.T) {
			test.config.Group = "Guest"
			s := newSite(t, test.config)
			for i := 0; i < 4; i++ { // the visitor is cached meanwhile
				s.send("GET /", test.headers...)
				s.expectForwarded(t, "Cookie", "")
				s.expectForwarded(t, "X-Organizr-Key", "")
				s.expectForwarded(t, "Authorization", test.want)
				s.expectForwarded(t, "X-Organizr-User", "")
			}
		})
	}
}

// A user can choose a name that looks like the administrator's to a service that strips or hides what isn't printable.
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
		{"a character for private use", `"name":"alice\ue000"`},
		{"a tabulator", `"name":"alice\t"`},
		{"what broken UTF-8 becomes", `"name":"alice\ufffd"`},
		{"a space before", `"name":" alice"`},
		{"a space behind", `"name":"alice "`},
		{"in the older claim", `"username":"alice\u0007","name":"alice"`},
		{"a control character in the email address", `"name":"bob","email":"alice@example.com\u0007"`},
		{"a space behind the email address", `"name":"bob","email":"alice@example.com "`},
		{"a space before the email address", `"name":"bob","email":" alice@example.com"`},
		{"right to left in the email address", `"name":"bob","email":"\u202emoc.elpmaxe@ecila"`},
	} {
		session := cookieWith(tokenWith(test.claims + `,"groupID":0`))
		run(t, test.name+" is 403, with a page that says so", func(t *testing.T) {
			s := newSite(t, Config{OrganizrURL: organizrURL, Allow: []string{"groupID=0"}})
			for i := 0; i < 2; i++ { // the second time the visitor is cached
				rec := s.send("GET /", "Cookie", session, "Accept", browserAccept)
				body := rec.Body.String()
				const reason = "characters that can&#39;t be printed, or begins or ends with a space"
				const link = `href="https://organizr.example.com/"`
				if rec.Code != 403 || !strings.Contains(body, reason) {
					t.Errorf("claims %s: got %d, want 403 and a page with %q: %s", test.claims, rec.Code, reason, body)
				}
				if strings.Contains(body, "Asked for") || !strings.Contains(body, link) {
					t.Errorf("claims %s: the page gives another reason, or no link to Organizr: %s", test.claims, body)
				}
			}
		})
		run(t, test.name+" counts as nobody on a Guest route", func(t *testing.T) {
			s := newSite(t, Config{
				Group: "Guest", Deny: []string{"groupID=0"},
				Headers: map[string]string{"X-All": "{username}{email}{group}{image}{userID}{token}"},
			})
			for _, cookies := range []string{session, session, session + "; a=1"} {
				s.send("GET /", "Cookie", cookies)
				for _, header := range []string{"X-Organizr-User", "X-Organizr-Email", "X-Organizr-Group", "X-All"} {
					s.expectForwarded(t, header, "")
				}
			}
		})
	}
	run(t, "only claims that the service gets count", func(t *testing.T) {
		session := cookieWith(tokenWith(`"name":"bob","image":"https://x/\u200dy.png","groupID":4`))
		newSite(t, Config{}).expect(t, 200, "GET /", "Cookie", session)
		image := Config{Headers: map[string]string{"X-Image": "{image}"}}
		s := newSite(t, image)
		s.expect(t, 403, "GET /", "Cookie", session)
		page := s.send("GET /", "Cookie", session, "Accept", browserAccept).Body.String()
		if !strings.Contains(page, "Your picture in Organizr is too long") || !strings.Contains(page, "<dd>bob</dd>") {
			t.Errorf("the page doesn't blame the picture: %s", page)
		}
		both := cookieWith(tokenWith(`"name":"bob\u0007","email":"bob\u0007@example.com","groupID":4`))
		page = newSite(t, Config{}).send("GET /", "Cookie", both, "Accept", browserAccept).Body.String()
		if strings.Contains(page, "\a") || !strings.Contains(page, `bob\a`) {
			t.Errorf("the page doesn't quote the name beside an address that can't be printed: %s", page)
		}
	})
	for _, name := range []string{"Zoë Müller", "李雷", "🦊", "O&#039;Hara", "a&amp;b", "x  y", "e\u0301"} {
		run(t, name+" is forwarded as it is", func(t *testing.T) {
			s := newSite(t, Config{})
			s.send("GET /", "Cookie", cookieWith(tokenWith(`"name":"`+name+`","groupID":4`)))
			s.expectForwarded(t, "X-Organizr-User", name)
		})
	}
}

// What is forwarded to the service.

func TestForwardedHeaders(t *testing.T) {
	const ownGroup = `"name":"evil {email}","email":"","group":"Family","groupID":7,"userID":7`
	bob, zoe := tokenOf(t, "bob"), tokenOf(t, "Zoë Müller")
	for _, test := range []struct {
		name       string
		configured string // a header: name and text are separated by a colon
		token      string
		header     string
		value      string
	}{
		{"the name", "", zoe, "X-Organizr-User", "Zoë Müller"},
		{"the email address", "", zoe, "X-Organizr-Email", "Zo@example.com"},
		{"the group's number", "", zoe, "X-Organizr-Group", "4"},
		{
			"all placeholders", "X-All:{username}|{email}|{group}|{groupID}|{userID}",
			bob, "X-All", "bob|bob@example.com|User|4|2",
		},
		{
			"the image", "X-Image:{image}",
			tokenWith(`"groupID":4,"image":"https://x/?s=1&d=mm"`), "X-Image", "https://x/?s=1&d=mm",
		},
		{"the token as a bearer token", "Authorization:Bearer {token}", bob, "Authorization", "Bearer " + bob},
		{"a text without placeholders", "X-Via:organizr", bob, "X-Via", "organizr"},
		{"a header of empty claims isn't sent", "X-Mail:mail {email}", tokenWith(ownGroup), "X-Mail", ""},
		{"one claim of two is enough", "X-Both:{email}/{userID}", tokenWith(ownGroup), "X-Both", "/7"},
		{"claims are not placeholders", "", tokenWith(ownGroup), "X-Organizr-User", "evil {email}"},
		{
			"the administrator's own group by its number, not by the user's text", "X-Group:{group}",
			tokenWith(ownGroup), "X-Group", "7",
		},
		{
			"a built-in group by its name, not by the user's text", "X-Group:{group}",
			tokenWith(`"group":"Admin","groupID":4`), "X-Group", "User",
		},
		{"any logged-in user", "X-Group:{group}", tokenWith(`"groupID":998`), "X-Group", "Logged In"},
		{"an empty text switches a default header off", "X-Organizr-Email:", bob, "X-Organizr-Email", ""},
		{
			"another spelling of a default header takes its place", "x-organizr-user:<{username}>",
			bob, "X-Organizr-User", "<bob>",
		},
		{"the default headers stay beside others", "Remote-User:{username}", bob, "X-Organizr-User", "bob"},
	} {
		run(t, test.name, func(t *testing.T) {
			config := Config{Group: "998"}
			if name, text, configured := strings.Cut(test.configured, ":"); configured {
				config.Headers = map[string]string{name: text}
			}
			s := newSite(t, config)
			for i := 0; i < 2; i++ { // the second time the visitor is cached
				s.send("GET /", "Cookie", cookieWith(test.token), "Authorization", "Basic eDp5")
				s.expectForwarded(t, test.header, test.value)
			}
		})
	}
}

// Traefik's access log has the name that the address of the request has, which a visitor can write there too.
func TestNameForAccessLog(t *testing.T) {
	for _, test := range []struct {
		name, group, username string
		want                  string
	}{
		{"a visitor who gets in", "User", "bob", "bob"},
		{"one who is refused", "Admin", "bob", ""},
		{"nobody", "User", "", ""},
		{"a guest", "Guest", "", ""},
		{"a visitor where guests get in", "Guest", "bob", "bob"},
	} {
		run(t, test.name, func(t *testing.T) {
			s := newSite(t, Config{Group: test.group})
			for i := 0; i < 2; i++ { // the second time the visitor is cached
				req := newRequest(t, "GET /", headerLines("Cookie", test.username)...)
				req.URL.User = url.User("alice")
				s.serve(req)
				if got := req.URL.User.Username(); got != test.want {
					t.Errorf("the access log has %q, want %q", got, test.want)
				}
			}
		})
	}
	run(t, "a visitor who posts to a service that gets no headers", func(t *testing.T) {
		next := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
		handler, err := New(context.Background(), next, &Config{
			UUID: organizr.UUID, Secret: organizr.OrganizrHash, Group: "User", ForwardToken: true,
		}, "site@test")
		if err != nil {
			t.Fatal(err)
		}
		req := newRequest(t, "POST /", "Cookie", "bob")
		handler.ServeHTTP(httptest.NewRecorder(), req)
		if got := req.URL.User.Username(); got != "bob" {
			t.Errorf("the access log has %q, want bob", got)
		}
	})
}

// Forged headers, and the cookies that the service gets.

func TestForgedHeadersStripped(t *testing.T) {
	s := newSite(t, Config{Rules: []string{"/public/=Guest"}, Headers: map[string]string{"X-WEBAUTH-ROLE": ""}})
	for _, spelling := range []string{
		"X-Organizr-User", "x-organizr-user", "X_Organizr_User", "X-Organizr_User", "x_organizr-Group",
		"X.Organizr.Email", "X-ORGANIZR-GROUP", "X~Organizr-User", "X-Webauth-Role", "X_WEBAUTH_ROLE",
		"X-Original-URL", "X_Rewrite_Url",
	} {
		for sender, request := range map[string][]string{
			"of bob":                  {"GET /", "Cookie", "bob"},
			"of bob on a Guest route": {"GET /public/", "Cookie", "bob"},
			"of nobody":               {"GET /public/", "Accept", "*/*"},
			"of bob with a form":      {"POST /", "Cookie", "bob"},
		} {
			run(t, spelling+" "+sender, func(t *testing.T) {
				req := newRequest(t, request[0], request[1:]...)
				req.Header[spelling], req.Header["X-Else"] = []string{"forged"}, []string{"kept"}
				s.serve(req)
				for name, values := range s.forwarded.Header {
					if strings.Contains(strings.Join(values, ""), "forged") {
						t.Errorf("the forged %s reached the service as %s", spelling, name)
					}
				}
				s.expectForwarded(t, "X-Else", "kept")
			})
		}
	}
}

func TestTooManyHeaders(t *testing.T) {
	numbered := func(count int) []string {
		var headers []string
		for i := 1; i <= count; i++ {
			headers = append(headers, fmt.Sprintf("X-%d", i), "x")
		}
		return headers
	}
	ofBob := func(others []string) []string { return append([]string{"Cookie", "bob"}, others...) }
	linesOfOne := strings.Split(strings.Repeat("X-Else:x:", 300), ":")[:600]
	checkAccess(t, []accessCase{
		{"200 headers", Config{}, "GET /", ofBob(numbered(199)), 200},
		{"more than 200", Config{}, "GET /", ofBob(numbered(200)), 431},
		{"more than 200 on a Guest route", Config{Group: "Guest"}, "GET /", ofBob(numbered(200)), 431},
		{"more than 200 of nobody on a Guest route", Config{Group: "Guest"}, "GET /", numbered(202), 431},
		{"40,000", Config{AllowCrossSite: true}, "POST /", ofBob(numbered(39_999)), 431},
		{"300 lines of one header", Config{}, "GET /", ofBob(linesOfOne), 200},
	})
	run(t, "a refused request keeps none of more than 200, and up to 200 all but forged ones", func(t *testing.T) {
		s := newSite(t, Config{})
		for count, want := range map[int]int{199: 199, 200: 0} {
			req := newRequest(t, "GET /", append(numbered(count), "X-Organizr-User", "forged")...)
			s.serve(req)
			if got := len(req.Header); got != want {
				t.Errorf("of %d headers and a forged one a refused request keeps %d, want %d", count, got, want)
			}
		}
	})
}

func TestSessionCookieStripped(t *testing.T) {
	session, stale := cookieWith(tokenOf(t, "bob")), cookieWith("stale")
	for _, test := range []struct {
		name      string
		cookies   string // lines are separated by |
		forwarded string
	}{
		{"nothing else", session, ""},
		{"another behind it", session + "; a=1", "a=1"},
		{"another before it", "a=1; " + session, "a=1"},
		{"others around it", "a=1; " + session + "; b=\"2 3\"", "a=1; b=\"2 3\""},
		{"another right behind it", session + ";b=2", "b=2"},
		{"a space behind it", session + " ;b=2", "b=2"},
		{"without spaces", "a=1;" + session + ";b=2", "a=1;b=2"},
		{"a stale one goes too", stale + "; " + session + "; a=1", "a=1"},
		{"wherever it is", "a=1; " + session + "; " + stale + "; b=%3B", "a=1; b=%3B"},
		{
			"names that only contain the cookie's name stay",
			"x" + cookieName + "=1; " + session + "; " + cookieName + "2=3",
			"x" + cookieName + "=1; " + cookieName + "2=3",
		},
		{"a value that is its name stays", "a=" + cookieName + "; " + session, "a=" + cookieName},
		{"what isn't a cookie stays", "odd,;;cookies; " + session + ";=;", "odd,;;cookies;=;"},
		{"the name alone", "a=1; " + cookieName + "; " + session + "; b=2", "a=1; b=2"},
		{"spaces around the name", "a=1; " + cookieName + " = stale ; " + session, "a=1"},
		{"a hundred of them", session + "; a=1; " + strings.Repeat(stale+"; ", 100) + "b=2", "a=1; b=2"},
		{"on two lines", session + "; a=1|b=2", "a=1; b=2"},
	} {
		headers := headerLines("Cookie", test.cookies)
		run(t, test.name, func(t *testing.T) {
			s := newSite(t, Config{})
			for i := 0; i < 2; i++ { // the second time the visitor is cached
				s.send("GET /", headers...)
				s.expectForwarded(t, "Cookie", test.forwarded)
			}
		})
		run(t, test.name+", on a Guest route", func(t *testing.T) {
			s := newSite(t, Config{Group: "Guest"})
			s.send("GET /", "Cookie", strings.ReplaceAll(strings.ReplaceAll(test.cookies, session, stale), "|", "; "))
			s.expectForwarded(t, "Cookie", test.forwarded)
		})
		run(t, test.name+", with forwardToken", func(t *testing.T) {
			s := newSite(t, Config{ForwardToken: true})
			s.send("GET /", headers...)
			s.expectForwarded(t, "Cookie", strings.ReplaceAll(test.cookies, "|", " | "))
		})
	}
	run(t, "cookies that only hold the session's text stay, when the session comes by Bearer", func(t *testing.T) {
		s := newSite(t, Config{AcceptBearer: true})
		for _, cookies := range []string{"x" + session, "x" + session + "; b=2", "c=" + session, "a=1; x" + session} {
			for i := 0; i < 3; i++ {
				s.send("GET /", "Cookie", cookies, "Authorization", "Bearer "+tokenOf(t, "bob"))
				s.expectForwarded(t, "Cookie", cookies)
			}
		}
	})
	run(t, "one line that is cached, and another", func(t *testing.T) {
		s := newSite(t, Config{})
		s.send("GET /", "Cookie", session+"; a=1")
		s.send("GET /", "Cookie", session+"; a=1", "Cookie", "b=2")
		s.expectForwarded(t, "Cookie", "a=1; b=2")
	})
	run(t, "of more than 32 KiB on a Guest route nothing is forwarded", func(t *testing.T) {
		s := newSite(t, Config{Group: "Guest"})
		s.send("GET /", "Cookie", strings.Repeat("a=1; ", 32<<10/5)+session)
		s.expectForwarded(t, "Cookie", "")
	})
	run(t, "of more than 200 cookies with a session nothing is forwarded", func(t *testing.T) {
		s := newSite(t, Config{Group: "Guest"})
		s.send("GET /", "Cookie", strings.Repeat("a=1; ", 199)+stale)
		s.expectForwarded(t, "Cookie", strings.TrimSuffix(strings.Repeat("a=1; ", 199), " ")[:199*5-2])
		s.send("GET /", "Cookie", strings.Repeat("a=1; ", 200)+stale)
		s.expectForwarded(t, "Cookie", "")
		s.send("GET /", "Cookie", strings.Repeat("a=1; ", 400)+"b=2")
		s.expectForwarded(t, "Cookie", strings.Repeat("a=1; ", 400)+"b=2")
	})
}

// Cross-site requests.

func TestCrossSiteRequests(t *testing.T) {
	const radarr, evil = "http://radarr.example.com", "https://evil.example"
	on, located, off := Config{}, Config{OrganizrURL: organizrURL}, Config{AllowCrossSite: true}
	opened := Config{Rules: []string{"/public/=Guest"}}
	for _, test := range []struct {
		name      string
		config    Config
		request   string
		fetchSite string // Sec-Fetch-Site
		origin    string
		status    int
	}{
		{"another site's form", on, "POST /", "cross-site", evil, 403},
		{"a form of another host of ours", located, "POST /", "same-site", radarr, 200},
		{"a form of a sibling, without organizrURL", on, "POST /", "same-site", radarr, 403},
		{
			"a form of the same site, outside the domain of Organizr's cookie",
			Config{OrganizrURL: "https://organizr.home.example.com"},
			"POST http://sonarr.home.example.com/",
			"same-site", "https://evil.example.com", 403,
		},
		{
			"a form of a neighbour under a provider that is no public suffix",
			Config{OrganizrURL: "https://victim.myddns.me"},
			"POST http://victim.myddns.me/",
			"same-site", "https://evil.myddns.me", 403,
		},
		{"a sandboxed form of the same site", located, "POST /", "same-site", "null", 403},
		{"a form of the same site without Origin", located, "POST /", "same-site", "", 403},
		{"the service's own form", on, "POST /", "same-origin", "http://sonarr.example.com", 200},
		{"a form from nowhere", on, "POST /", "none", "", 200},
		{"a program, which sends neither", on, "POST /", "", "", 200},
		{"a link on another site", on, "GET /", "cross-site", "", 200},
		{"a script of another site that reads", on, "GET /", "cross-site", evil, 200},
		{"a preflight", on, "OPTIONS /", "cross-site", evil, 200},
		{"HEAD", on, "HEAD /", "cross-site", "", 200},
		{"DELETE", on, "DELETE /", "cross-site", "", 403},
		{"an unknown method", on, "FROB /", "cross-site", "", 403},
		{"with allowCrossSite", off, "POST /", "cross-site", evil, 200},
		{"on a Guest route", Config{Group: "Guest"}, "POST /", "cross-site", evil, 200},
		{"on a path that a rule opens", opened, "POST /public/", "cross-site", evil, 200},
		{"on a path beside it", opened, "POST /", "cross-site", evil, 403},
		{"a word that no browser says", on, "POST /", "elsewhere", evil, 403},
		{"the same from the service's own page", on, "POST /", "elsewhere", "http://sonarr.example.com", 200},
		{
			"a page in the domain of Organizr's cookie, at a service outside of it",
			located, "POST http://sonarr.example.org/", "", "https://evil.example.com", 403,
		},
	} {
		headers := append([]string{"Cookie", "bob"}, headerLines("Sec-Fetch-Site", test.fetchSite)...)
		headers = append(headers, headerLines("Origin", test.origin)...)
		checkAccess(t, []accessCase{{test.name, test.config, test.request, headers, test.status}})
	}
	checkAccess(t, []accessCase{
		{
			"with a bearer token",
			Config{AcceptBearer: true},
			"POST /",
			[]string{"Authorization", "Bearer bob", "Sec-Fetch-Site", "cross-site"},
			200,
		},
		{"without a session the login comes first", on, "POST /", []string{"Sec-Fetch-Site", "cross-site"}, 401},
		{
			"Firefox's WebSocket of another site", on, "GET /",
			[]string{"Cookie", "bob", "Sec-Fetch-Site", "cross-site", "Origin", evil, "Upgrade", "websocket"},
			403,
		},
		{
			"another protocol", on, "GET /",
			[]string{"Cookie", "bob", "Sec-Fetch-Site", "cross-site", "Origin", evil, "Upgrade", "h2c, websockets"},
			200,
		},
		{
			"WebSocket among protocols, in several lines", on, "GET /",
			[]string{
				"Cookie", "bob", "Sec-Fetch-Site", "cross-site", "Origin", evil, "Upgrade", "h2c", "Upgrade", "x, WebSocket ,y",
			},
			403,
		},
		{
			"more protocols than anybody sends", on, "GET /",
			[]string{
				"Cookie", "bob", "Sec-Fetch-Site", "cross-site", "Origin", evil, "Upgrade", strings.Repeat(",", 300),
			},
			403,
		},
	})
}

// Chromium sends no Sec-Fetch-Site with a WebSocket, and older browsers never do.
func TestOriginWithoutSecFetchSite(t *testing.T) {
	const sonarr, evil = "http://sonarr.example.com", "https://evil.example"
	from := func(origins ...string) []string { return origins }
	for _, test := range []struct {
		name     string
		organizr string // organizrURL
		target   string
		origins  []string
		status   int // of what isn't just read
	}{
		{"the service's own page", "", "/", from(sonarr), 200},
		{"the service's own page on another port", "", "/", from("https://sonarr.example.com:8443"), 200},
		{"the service's own page, both on a port", "", sonarr + ":8080/", from(sonarr + ":8080"), 200},
		{"the service's own page, its host spelled otherwise", "", "http://SONARR.example.com./", from(sonarr), 200},
		{"another site", organizrURL, "/", from(evil), 403},
		{"a sandboxed frame", organizrURL, "/", from("null"), 403},
		{"Organizr itself", organizrURL, "/", from("https://organizr.example.com"), 200},
		{"a sibling that gets Organizr's cookie", organizrURL, "/", from("https://radarr.example.com:8443"), 200},
		{"the domain of Organizr's cookie itself", organizrURL, "/", from("https://example.com"), 200},
		{"a name that only ends like it", organizrURL, "/", from("https://notexample.com"), 403},
		{"a name that only begins like it", organizrURL, "/", from("https://sonarr.example.com.evil.example"), 403},
		{"a sibling, without organizrURL", "", "/", from("https://radarr.example.com"), 403},
		{"something that is no address", organizrURL, "/", from("https://%"), 403},
		{"something without a host", organizrURL, "/", from("file://"), 403},
		{"an empty one", organizrURL, "/", from(""), 403},
		{"two of them, one another site's", organizrURL, "/", from(sonarr, evil), 403},
		{
			"a neighbour under an unknown suffix",
			"https://me.dynu.net", "http://a.me.dynu.net/", from("https://evil.dynu.net"), 403,
		},
		{
			"a neighbour under com.au",
			"https://example.com.au", "http://example.com.au/", from("https://evil.com.au"), 403,
		},
		{
			"a sibling under com.au",
			"https://example.com.au", "http://sonarr.example.com.au/", from("https://radarr.example.com.au"), 200,
		},
		{
			"a neighbour under duckdns.org",
			"https://me.duckdns.org", "http://me.duckdns.org/", from("https://evil.duckdns.org"), 403,
		},
		{
			"a neighbour under synology.me",
			"https://me.synology.me", "http://a.me.synology.me/", from("https://evil.synology.me"), 403,
		},
		{"no origin, as programs", organizrURL, "/", nil, 200},
	} {
		config := Config{OrganizrURL: test.organizr}
		page := []string{"Cookie", "bob"}
		for _, origin := range test.origins {
			page = append(page, "Origin", origin)
		}
		socket := append([]string{"Upgrade", "websocket"}, page...)
		checkAccess(t, []accessCase{
			{test.name + " posts", config, "POST " + test.target, page, test.status},
			{test.name + " opens a WebSocket", config, "GET " + test.target, socket, test.status},
			{test.name + " reads", config, "GET " + test.target, page, 200},
		})
	}
	socket := []string{"Cookie", "bob", "Upgrade", "websocket", "Origin", evil}
	checkAccess(t, []accessCase{
		{"on a Guest route", Config{Group: "Guest"}, "GET /", socket, 200},
		{"with allowCrossSite", Config{AllowCrossSite: true}, "GET /", socket, 200},
		{
			"with a bearer token",
			Config{AcceptBearer: true},
			"POST /",
			[]string{"Authorization", "Bearer bob", "Origin", evil},
			200,
		},
		{
			"where Sec-Fetch-Site says same-origin",
			Config{},
			"POST /",
			[]string{"Cookie", "bob", "Sec-Fetch-Site", "same-origin", "Origin", "null"},
			200,
		},
		{
			"a host that a trusted proxy forwards",
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
			t.Errorf("POST / without a host, Origin null: got %d, want 403", got)
		}
	})
}

// Refusals: the redirect to the login.

func TestRedirectToLogin(t *testing.T) {
	config := Config{OrganizrURL: organizrURL}
	checkAccess(t, []accessCase{
		{"a browser", config, "", []string{"Accept", browserAccept, "Sec-Fetch-Mode", "navigate"}, 302},
		{"an old browser", config, "", []string{"Accept", "TEXT/HTML"}, 302},
		{
			"a frame", config, "",
			[]string{"Accept", browserAccept, "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"},
			302,
		},
		{"a program", config, "", []string{"Accept", "application/json"}, 401},
		{"a program without Accept", config, "", nil, 401},
		{"a script", config, "", []string{"Accept", browserAccept, "Sec-Fetch-Mode", "cors"}, 401},
		{"an image", config, "", []string{"Accept", "image/webp,*/*", "Sec-Fetch-Mode", "no-cors"}, 401},
		{"a form", config, "POST /", []string{"Accept", browserAccept, "Sec-Fetch-Mode", "navigate"}, 401},
		{"a WebSocket", config, "", []string{"Accept", browserAccept, "Upgrade", "websocket"}, 401},
		{"another protocol", config, "", []string{"Accept", browserAccept, "Upgrade", "h2c"}, 302},
		{"endless protocols", config, "", []string{"Accept", browserAccept, "Upgrade", strings.Repeat(",", 9999)}, 401},
		{"without organizrURL", Config{}, "", []string{"Accept", browserAccept}, 401},
	})
}

// Traefik makes a middleware for each router, and all of them again at each change of its configuration.
func TestStrangersDomainWarning(t *testing.T) {
	loggedOnce = sync.Map{} // another test may have come first
	lines := loggedBy(t, func() {
		for i := 0; i < 3; i++ {
			config := Config{
				UUID: organizr.UUID, Secret: organizr.OrganizrHash, Group: "User",
				OrganizrURL: "https://me.chickenkiller.com",
			}
			if _, err := New(context.Background(), http.NotFoundHandler(), &config, "site@test"); err != nil {
				t.Fatal(err)
			}
		}
	})
	if got := strings.Count(lines, "anybody can have a name under chickenkiller.com"); got != 1 {
		t.Errorf("warned %d times, want once: %s", got, lines)
	}
}

// Organizr would only show its home page to somebody who is logged in there already.
func TestNoRedirectWhereAlreadyLoggedIn(t *testing.T) {
	signed := func(claims string) string { return signToken(tokenHeader, claims, organizr.OrganizrHash) }
	for _, test := range []struct {
		name, token string
		logged      string // a part of the line at ERROR; empty for none, and for a redirect
	}{
		{"a token of another secret", signToken(tokenHeader, "{}", "another"), "isn't signed by HS256 with this secret"},
		{"a token of somebody else", signed(`{"iss":"x","aud":"Organizr","exp":9999999999}`), "isn't Organizr"},
		{"claims of other types", signed(`{"iss":"Organizr","aud":"Organizr","exp":"soon"}`), "claims aren't a JSON object"},
		{"no group", signed(`{"iss":"Organizr","aud":"Organizr","exp":9999999999}`), "groupID isn't a whole number"},
		{"an ended session", signed(`{"iss":"Organizr","aud":"Organizr","exp":1,"groupID":4}`), ""},
		{"no token at all", "a.b", ""},
	} {
		run(t, test.name, func(t *testing.T) {
			s := newSite(t, Config{OrganizrURL: organizrURL})
			status := 0
			logged := loggedBy(t, func() {
				status = s.send("GET /", "Accept", browserAccept, "Cookie", cookieWith(test.token)).Code
			})
			if isRedirect := status == 302; isRedirect != (test.logged == "") || !strings.Contains(logged, test.logged) ||
				isRedirect && logged != "" {
				t.Errorf("got %d, and logged %q", status, logged)
			}
		})
	}
}

func TestOtherOrganizrsCookie(t *testing.T) {
	s := newSite(t, Config{OrganizrURL: organizrURL})
	const problem = "so perhaps the uuid is wrong; compare it with the one in Organizr's config.php: the request has no "
	for _, want := range []string{problem, ""} {
		logged := loggedBy(t, func() {
			s.expect(t, 302, "GET /", "Accept", browserAccept, "Cookie", "a=1; organizr_token_other="+tokenOf(t, "bob"))
		})
		if !strings.Contains(logged, want) || (logged == "") != (want == "") {
			t.Errorf("logged %q, want %q", logged, want)
		}
	}
}

func TestReturnAddress(t *testing.T) {
	const sonarr = "http://sonarr.example.com"
	for _, test := range []struct {
		name    string
		target  string
		headers []string
		returns string // the address that Organizr goes back to
	}{
		{"the root", sonarr, nil, sonarr + "/"},
		{"a query", "/s?q=1&x=2", nil, sonarr + "/s?q=1&x=2"},
		{"percent signs", "/s?q=100%25&x=a%2Fb", nil, sonarr + "/s?q=100%25&x=a%2Fb"},
		{"an encoded slash in the path", "/a%2Fb/%25", nil, sonarr + "/a%2Fb/%25"},
		{"plus signs", "/s?q=a+b%2Bc", nil, sonarr + "/s?q=a+b%2Bc"},
		{"beyond ASCII", "/%C3%BC?c=%C3%BC", nil, sonarr + "/%C3%BC?c=%C3%BC"},
		{"an empty query", "/s?", nil, sonarr + "/s?"},
		{"an address in the query", "/s?return=https://x/?return=y", nil, sonarr + "/s?return=https://x/?return=y"},
		{
			"https and a port, as Traefik forwards them", "/s",
			[]string{"X-Forwarded-Proto", "https", "X-Forwarded-Host", "sonarr.example.com:8443"},
			"https://sonarr.example.com:8443/s",
		},
		{"a prefix that Traefik cut off", "/s", []string{"X-Forwarded-Prefix", "/sonarr"}, sonarr + "/sonarr/s"},
		{
			"2 KiB, with the host's 26 bytes",
			"/" + strings.Repeat("x", 2022), nil, sonarr + "/" + strings.Repeat("x", 2022),
		},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			run(t, test.name+" by "+method, func(t *testing.T) {
				headers := append([]string{"Accept", browserAccept}, test.headers...)
				rec := newSite(t, Config{OrganizrURL: organizrURL}).send(method+" "+test.target, headers...)
				location, control := rec.Header().Get("Location"), rec.Header().Get("Cache-Control")
				value, toOrganizr := strings.CutPrefix(location, "https://organizr.example.com/?return=")
				if rec.Code != 302 || !toOrganizr || control != "no-store" {
					t.Errorf("%s %s: got %d to %q with Cache-Control %q, want 302 to Organizr with no-store",
						method, test.target, rec.Code, location, control)
				}
				if strings.ContainsAny(value, "&#+") {
					t.Errorf("%s %s: Organizr would change the value of return in %q", method, test.target, location)
				}
				for i := 0; i < 3; i++ { // decodeURI twice, then decodeURIComponent
					value, _ = url.PathUnescape(value)
				}
				if value != test.returns {
					t.Errorf("%s %s: returns to %q, want %q", method, test.target, value, test.returns)
				}
			})
		}
	}
	for _, test := range []struct{ name, organizr, target, location string }{
		{
			"as it came back from a real Organizr", organizrURL, "/s?q=100%25&x=a%2Fb",
			"https://organizr.example.com/?return=http%25253A%25252F%25252Fsonarr.example.com%25252Fs" +
				"%25253Fq%25253D100%25252525%252526x%25253Da%2525252Fb",
		},
		{
			"an Organizr with a path", "https://home.example.com/organizr", "/",
			"https://home.example.com/organizr/?return=http%25253A%25252F%25252Fsonarr.example.com%25252F",
		},
		{
			"an Organizr with a final dot", "https://organizr.example.com.:8443", "/",
			"https://organizr.example.com:8443/?return=http%25253A%25252F%25252Fsonarr.example.com%25252F",
		},
		{"more than 2 KiB is left out", organizrURL, "/" + strings.Repeat("x", 2023), "https://organizr.example.com/"},
		{
			"900 KB of percent signs are left out", organizrURL, "/?" + strings.Repeat("%", 900_000),
			"https://organizr.example.com/",
		},
	} {
		run(t, test.name, func(t *testing.T) {
			rec := newSite(t, Config{OrganizrURL: test.organizr}).send("GET "+test.target, "Accept", browserAccept)
			if got := rec.Header().Get("Location"); rec.Code != 302 || got != test.location {
				t.Errorf("GET %.100s: got %d to %.300s\nwant 302 to %s", test.target, rec.Code, got, test.location)
			}
		})
	}
}

// Refusals: where a login can't help.

func TestUnreachableLogin(t *testing.T) {
	const own, shared = "Organizr's own address", "browsers share a cookie only"
	for _, test := range []struct {
		organizr string // organizrURL
		target   string
		reason   string // a part of the page, which is shown instead of a redirect; empty for a redirect
	}{
		{"https://organizr.example.com", "https://organizr.example.com/", own},
		{"https://organizr.example.com", "https://ORGANIZR.example.com.:443/?return=x", own},
		{"https://example.com/organizr", "https://example.com/organizr", own},
		{"https://Organizr.Example.com", "https://organizr.example.com/", own},
		{"https://organizr.example.com:443", "https://organizr.example.com/", own},
		{"https://organizr.example.com:8443", "https://organizr.example.com/", ""},
		{"https://example.com/organizr", "https://example.com/sonarr/", ""},
		{"https://organizr.example.com", "https://organizr.example.com/sonarr/", ""},
		{"https://organizr.example.com", "https://organizr.example.com:8443/", ""},
		{"https://organizr.example.com", "https://sonarr.example.com/", ""},
		{
			"https://organizr.home.example.com", "https://sonarr.example.com/",
			"reaches home.example.com and names under it, and not sonarr.example.com",
		},
		{"https://organizr.home.example.com", "https://sonarr.home.example.com/", ""},
		{
			"https://organizr.home.me.example.com", "https://sonarr.home.me.example.com/",
			"reaches organizr.home.me.example.com and names under it",
		},
		{"https://organizr.home.me.example.com", "https://sonarr.organizr.home.me.example.com/", ""},
		{"https://example.com", "https://sonarr.example.com/", ""},
		{"https://www.example.com", "https://sonarr.example.com/", ""},
		{"https://organizr.example.co.uk", "https://sonarr.example.co.uk/", ""},
		{"https://example.co.uk", "https://sonarr.co.uk/", "reaches example.co.uk and names under it"},
		{"https://example.com.au", "https://sonarr.com.au/", "reaches example.com.au and names under it"},
		{
			"https://organizr.synology.me", "https://sonarr.synology.me/",
			"reaches organizr.synology.me and names under it",
		},
		{"https://organizr.example.com.", "https://organizr.example.com/", own},
		{"https://organizr.example.com", "http://organizr.example.com/", own},
		{"http://localhost:8000", "http://localhost:8001/", ""},
		{"http://localhost:8000", "http://sonarr.localhost:8000/", "reaches localhost alone, and not sonarr.localhost"},
		{"http://organizr", "http://sonarr.organizr/", "reaches organizr alone, and not sonarr.organizr"},
		{"http://1.home.example.com", "http://x.1.home.example.com/", "reaches 1.home.example.com alone"},
		{"http://organizr.lan", "http://sonarr.lan/", shared},
		{"http://organizr.lan", "http://sonarr.organizr.lan/", ""},
		{"https://organizr.example.com", "https://sonarr.example.org/", shared},
		{"http://192.168.1.5", "http://192.168.1.6/", shared},
		{"http://192.168.1.5:80", "http://192.168.1.5:8989/", ""},
		{
			"https://organizr.duckdns.org", "https://sonarr.duckdns.org/",
			"Use such names, or one under organizr.duckdns.org, or put this service under a path",
		},
		{"https://organizr.me.duckdns.org", "https://sonarr.me.duckdns.org/", ""},
		{"https://me.duckdns.org", "https://sonarr.me.duckdns.org/", ""},
		{
			"https://organizr.me.ddns.net", "https://sonarr.me.ddns.net/",
			"reaches organizr.me.ddns.net and names under it, and not sonarr.me.ddns.net",
		},
		{"https://me.ddns.net", "https://sonarr.me.ddns.net/", ""},
		{"https://organizr.zapto.org", "https://sonarr.zapto.org/", "reaches organizr.zapto.org and names under it"},
		{"https://organizr.notzapto.org", "https://sonarr.notzapto.org/", ""},
	} {
		run(t, test.target+" with "+test.organizr, func(t *testing.T) {
			scheme, _, _ := strings.Cut(test.target, "://")
			headers := []string{"Accept", browserAccept, "X-Forwarded-Proto", scheme}
			s := newSite(t, Config{OrganizrURL: test.organizr})
			if test.reason == "" {
				s.expect(t, 302, "GET "+test.target, headers...)
				return
			}
			rec := s.send("GET "+test.target, headers...)
			body := strings.ReplaceAll(rec.Body.String(), "&#39;", "'")
			if rec.Code != 401 || !strings.Contains(body, test.reason) {
				t.Errorf("GET %s: got %d, want 401 and a page with %q: %s", test.target, rec.Code, test.reason, body)
			}
			for _, offer := range []string{"<a ", "href", "button\"", "Please log in", "Log in there", "come back"} {
				if strings.Contains(body, offer) {
					t.Errorf("GET %s: the page offers a login all the same, by %q: %s", test.target, offer, body)
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
		body      string // parts of it, one a line; empty for no body
		challenge string // WWW-Authenticate
	}{
		{
			"a group that isn't privileged enough, for a person",
			Config{},
			"GET /",
			[]string{"Cookie", "bob", "Accept", browserAccept},
			403, "<dd>bob</dd>\n<dd>User (4)</dd>\n<dd>Power User (3) or a smaller number</dd>\n" +
				"href=\"https://organizr.example.com/\"\n<html lang=\"en\">\n<main>\nNot for your group", "",
		},
		{
			"a group that isn't privileged enough, for a program",
			Config{},
			"GET /",
			[]string{"Cookie", "bob"},
			403, `"status":403` + "\n" + `"type":"about:blank"` + "\n" + `"title":"Forbidden"`, "",
		},
		{
			"a group that isn't privileged enough, HEAD",
			Config{},
			"HEAD /",
			[]string{"Cookie", "bob", "Accept", browserAccept},
			403, "", "",
		},
		{
			"a rule requires another group",
			Config{Group: "3", Rules: []string{"/x=2"}},
			"GET /x",
			[]string{"Cookie", "bob", "Accept", browserAccept},
			403, "<dd>Super User (2) or a smaller number</dd>\n<dt>By the rule</dt><dd>/x=2</dd>", "",
		},
		{
			"administrators only",
			Config{Group: "0"},
			"GET /",
			[]string{"Cookie", "bob", "Accept", browserAccept},
			403, "<dd>Admin (0)</dd>", "",
		},
		{
			"matched by deny",
			Config{Deny: []string{"userID=2"}},
			"GET /",
			[]string{"Cookie", "bob", "Accept", browserAccept},
			403, "Not for you</h1>\nAsk whoever runs this Organizr", "",
		},
		{
			"nobody, for a program",
			Config{},
			"GET /", nil, 401, `"status":401` + "\n" + `"title":"Unauthorized"`, challenge,
		},
		{"nobody, HEAD", Config{}, "HEAD /", nil, 401, "", challenge},
		{
			"nobody, with a form",
			Config{},
			"POST /",
			[]string{"Accept", browserAccept},
			401, "Please log in\nhref=\"https://organizr.example.com/\"", challenge,
		},
		{
			"a bad token",
			Config{},
			"GET /",
			[]string{"Cookie", cookieWith("x")},
			401, "401", challenge + `, error="invalid_token"`,
		},
		{
			"a bad bearer token",
			Config{AcceptBearer: true},
			"GET /",
			[]string{"Authorization", "Bearer x"},
			401, "401", challenge + `, error="invalid_token"`,
		},
		{
			"another site's form",
			Config{Group: "User"},
			"POST /",
			[]string{
				"Cookie", "bob", "Accept", browserAccept, "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate",
			},
			403, "Another website", "",
		},
	} {
		run(t, test.name, func(t *testing.T) {
			test.config.OrganizrURL = organizrURL
			if test.config.Group == "" {
				test.config.Group = "Power User"
			}
			rec := newSite(t, test.config).send(test.request, test.headers...)
			body := rec.Body.String()
			if rec.Code != test.status {
				t.Errorf("%s: got %d, want %d", describe(test.request, test.headers), rec.Code, test.status)
			}
			contentType := "application/problem+json"
			if strings.Contains(strings.Join(test.headers, " "), browserAccept) {
				contentType = "text/html; charset=utf-8"
			}
			for name, want := range map[string]string{
				"Content-Type":           contentType,
				"Cache-Control":          "no-store",
				"X-Content-Type-Options": "nosniff",
				"WWW-Authenticate":       test.challenge,
			} {
				if got := rec.Header().Get(name); got != want {
					t.Errorf("%s: got %s %q, want %q", describe(test.request, test.headers), name, got, want)
				}
			}
			for _, part := range strings.Split(test.body, "\n") {
				if !strings.Contains(body, part) {
					t.Errorf("%s: no %q in the body: %s", describe(test.request, test.headers), part, body)
				}
			}
			if test.body == "" && body != "" {
				t.Errorf("%s: got a body, want none: %s", describe(test.request, test.headers), body)
			}
			if contentType == "application/problem+json" && body != "" && !json.Valid([]byte(body)) {
				t.Errorf("%s: the body isn't JSON: %s", describe(test.request, test.headers), body)
			}
		})
	}
}

func TestPageEscapesNames(t *testing.T) {
	for name, claims := range map[string]string{
		"markup":              `"name":"<script>alert(1)</script>\"'&"`,
		"markup, and a bell":  `"name":"<script>alert(1)</script>\u0007"`,
		"markup for an image": `"name":"bob","image":"<script>","email":"<script>"`,
	} {
		run(t, name, func(t *testing.T) {
			session := cookieWith(tokenWith(claims + `,"group":"<script>","groupID":4`))
			rec := newSite(t, Config{Group: "Admin"}).send("GET /", "Accept", browserAccept, "Cookie", session)
			body := rec.Body.String()
			if rec.Code != 403 || strings.Contains(body, "<script") || strings.Contains(body, "\u0007") {
				t.Errorf("claims %s: got %d, want 403 and a page without <script or a bell: %s", claims, rec.Code, body)
			}
		})
	}
}

// Refusals: log lines.

func TestRefusalLogLines(t *testing.T) {
	foxes := strings.Repeat("\U0001f98a", 20_000)
	request := func(request string, headers ...string) *http.Request { return newRequest(t, request, headers...) }
	session := func(claims string) string { return cookieWith(tokenWith(claims)) }
	for _, test := range []struct {
		name    string
		config  Config
		request *http.Request
		line    string // a regular expression
	}{
		{
			"a group that isn't privileged enough",
			Config{Group: "3"},
			request("GET /x", "Cookie", "Zoë Müller"),
			`organizrjwt: middleware="site@test" status=403 method="GET" host="sonarr.example.com" path="/x" ` +
				`address="192.0.2.1" reason="group 4, but Power User \(3\) or a smaller number is required" visitor="Zoë Müller"`,
		},
		{
			"a path of which nobody can say what a service takes it for",
			Config{Rules: []string{"/settings/=Admin"}},
			request("GET /.../x", "Cookie", "bob"),
			`reason="group 4, but Admin \(0\) is required, since nobody can foresee how a service reads this path"`,
		},
		{
			"the same where the rules are laxer than group",
			Config{Group: "3", Rules: []string{"/open/=Guest"}},
			request("GET /open/%00", "Cookie", "bob"),
			`reason="group 4, but Power User \(3\) or a smaller number is required, since nobody can foresee how a service`,
		},
		{
			"no cookie",
			Config{},
			request("GET /"),
			`status=401 .* reason="the request has no cookie organizr_token_e36ed245-[-0-9a-f]*" visitor=""`,
		},
		{
			"a redirect",
			Config{OrganizrURL: organizrURL},
			request("GET /", "Accept", browserAccept),
			`status=302 .* reason="the request has no cookie .*" visitor=""`,
		},
		{
			"a token of another secret",
			Config{},
			request("GET /", "Cookie", cookieWith(signToken(tokenHeader, "{}", "another"))),
			`status=401 .* reason="the token isn't signed by HS256 with this secret.*`,
		},
		{
			"an expired session",
			Config{},
			request("GET /", "Cookie", session(`"exp":1`)),
			`status=401 .* reason="the session has expired"`,
		},
		{
			"matched by deny",
			Config{Deny: []string{"userID=2"}},
			request("GET /", "Cookie", "bob"),
			`status=403 .* reason="matched by deny" visitor="bob"`,
		},
		{
			"another site",
			Config{},
			request("POST /", "Cookie", "bob", "Sec-Fetch-Site", "cross-site"),
			`status=403 .* reason="cross-site request, and allowCrossSite is off" visitor="bob"`,
		},
		{
			"a name that would forge a line",
			Config{},
			request("GET /", "Cookie", session(`"groupID":0,"name":"x\"\norganizrjwt: status=200"`)),
			`status=403 .* reason="the account's name is too long, isn't printable text, or begins or ends with a space" ` +
				`visitor="x\\"\\norganizrjwt: status=200"`,
		},
		{
			"a path that would forge a line",
			Config{},
			request("GET /%0aorganizrjwt:%22"),
			`path="/\\norganizrjwt:\\""`,
		},
		{"an endless path", Config{}, request("GET /" + strings.Repeat("x", 100_000)), `path="/x{255}" `},
		{"an endless path beyond ASCII", Config{}, request("GET /" + url.PathEscape(foxes)), `path="/\x{1f98a}{255}" `},
		{
			"a long name",
			Config{},
			request("GET /", "Cookie", session(`"groupID":5,"name":"`+strings.Repeat("x", 5000)+`"`)),
			`visitor="x{256}"`,
		},
		{"an endless method", Config{}, request(strings.Repeat("GET", 1000) + " /"), `method="(GET){6}GE"`},
		{"an endless host", Config{}, request("GET http://" + strings.Repeat("x", 5000) + "/"), `host="x{256}"`},
	} {
		run(t, test.name, func(t *testing.T) {
			s := newSite(t, test.config)
			line := printedBy(t, func() { s.serve(test.request) })
			if !regexp.MustCompile(test.line).MatchString(line) {
				t.Errorf("printed %s\nwant %s", line, test.line)
			}
			if strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "\n") || len(line) > 4096 {
				t.Errorf("printed %d bytes, want one line of at most 4 KiB: %s", len(line), line)
			}
			if strings.Contains(line, "eyJ") || strings.Contains(line, organizr.OrganizrHash) {
				t.Errorf("printed a part of a token or the secret: %s", line)
			}
		})
	}
}

func TestLoggedAddress(t *testing.T) {
	for _, test := range []struct{ name, connection, forwarded, want string }{
		{"the connection's", "192.0.2.1:40000", "", "192.0.2.1"},
		{"the connection's, by IPv6", "[2001:db8::1]:40000", "", "2001:db8::1"},
		{"the connection's, by IPv6 with a zone", "[fe80::1%eth0]:40000", "", "fe80::1"},
		{"the one that a proxy forwards", "192.0.2.1:40000", "203.0.113.5", "203.0.113.5"},
		{"the first of several proxies", "192.0.2.1:40000", " 203.0.113.5 , 198.51.100.9", "203.0.113.5"},
		{"the first of several lines", "192.0.2.1:40000", "203.0.113.5|198.51.100.9", "203.0.113.5"},
		{"one with a port", "192.0.2.1:40000", "203.0.113.5:1234", "203.0.113.5"},
		{"IPv6", "192.0.2.1:40000", "2001:db8::5", "2001:db8::5"},
		{"IPv6 with a port", "192.0.2.1:40000", "[2001:db8::5]:1234, 198.51.100.9", "2001:db8::5"},
		{"IPv4 as IPv6", "192.0.2.1:40000", "::ffff:203.0.113.5", "::ffff:203.0.113.5"},
		{"the next one if the first isn't an address", "192.0.2.1:40000", "unknown, 203.0.113.5", "203.0.113.5"},
		{"the next one if the first is a name with a port", "192.0.2.1:40000", "bad:1, 203.0.113.5", "203.0.113.5"},
		{"the connection's if none is an address", "192.0.2.1:40000", `x" reason="y, :`, "192.0.2.1"},
		{"the connection's if there are too many", "192.0.2.1:40000", strings.Repeat("1.1.1.1,", 200), "192.0.2.1"},
	} {
		run(t, test.name, func(t *testing.T) {
			s := newSite(t, Config{})
			request := newRequest(t, "GET /", headerLines("X-Forwarded-For", test.forwarded)...)
			request.RemoteAddr = test.connection
			line := printedBy(t, func() { s.serve(request) })
			if !strings.Contains(line, ` address="`+test.want+`" `) {
				t.Errorf("%s, forwarded for %q: printed %s\nwant the address %s",
					test.connection, test.forwarded, line, test.want)
			}
		})
	}
}

// Traefik's middleware errors has another copy of the request, with the same headers.
func TestRefusedRequestWithTooManyHeaders(t *testing.T) {
	request := newRequest(t, "GET /", "X-Organizr-User", "alice", "Cookie", cookieWith("x"))
	for i := 0; i <= maxHeaders; i++ {
		request.Header.Set(fmt.Sprint("X-", i), "1")
	}
	outer := request.WithContext(context.Background())
	if got := newSite(t, Config{}).serve(request).Code; got != 401 || len(outer.Header) > 0 {
		t.Errorf("got %d, and a request with the headers %v, want 401 and none", got, outer.Header)
	}
}

// Configuration mistakes.

func TestConfigurationMistakes(t *testing.T) {
	rules := func(rules ...string) func(*Config) { return func(c *Config) { c.Rules = rules } }
	group := func(group string) func(*Config) { return func(c *Config) { c.Group = group } }
	keys := func(keys ...string) func(*Config) { return func(c *Config) { c.Keys = keys } }
	address := func(address string) func(*Config) { return func(c *Config) { c.OrganizrURL = address } }
	header := func(name, text string) func(*Config) { return func(c *Config) { c.Headers[name] = text } }
	for _, test := range []struct {
		name    string
		mistake func(*Config)
		message string // parts of the error, one a line
	}{
		{"no group", group(""), "group: missing\nLogged In"},
		{"group -1", group("-1"), `group: "-1" isn't a group; give a number from 0 to 999`},
		{"group 1000", group("1000"), `group: "1000" isn't a group`},
		{"group 4.5", group("4.5"), `group: "4.5" isn't a group`},
		{"a range of groups", group("1-3"), `group: "1-3" isn't a group`},
		{"a rule with a range of groups", rules("/a/=9-97"), `rules: "/a/=9-97": "9-97" isn't a group`},
		{"group admins", group("admins"), `group: "admins" isn't a group` + "\nAdmin, Co-Admin\ndid you mean Admin?"},
		{"a rule with a group in German", rules("/a/=gast"), `"gast" isn't a group` + "\ndid you mean Guest?"},
		{
			"a misspelled option",
			func(c *Config) { c.Unknown = map[string]any{"denny": "username=bob"} },
			"denny: unknown option; see the readme; did you mean deny?",
		},
		{"a key instead of its hash", keys("a=User:" + monitorKey), "keys: item 1 has no hash of 64 hexadecimal digits"},
		{"a hash that is too long", keys(keyItem("a=User", monitorKey) + "0"), "keys: item 1 has no hash"},
		{"a key without group", keys("a=:" + strings.Repeat("0", 64)), "keys: item 1 has no group"},
		{"a key of an unknown group", keys(keyItem("a=monitor-key", monitorKey)), "keys: item 1 has no group"},
		{"a key of a tab's group", keys(keyItem("a=tab", monitorKey)), "keys: item 1 has no group"},
		{"a key without name", keys(keyItem("=User", monitorKey)), "keys: item 1 has no name"},
		{"a key whose name has a colon", keys(keyItem("a:b=User", monitorKey)), "keys: item 1 has no name, or one with a"},
		{"a key whose name can't be printed", keys(keyItem("a\u200b=User", monitorKey)), "keys: item 1 has no name"},
		{"a key alone", keys(monitorKey), "keys: item 1 isn't NAME=GROUP:HASH; make a key with \"openssl rand -hex 32\""},
		{
			"two keys of one hash", keys(keyItem("a=User", monitorKey), "b=User:x", keyItem("c=User", monitorKey)),
			"keys: item 2 has no hash\nkeys: items 1 and 3 have the same hash",
		},
		{"a tab without a database", group("tab"), `group: "tab" needs databaseFile`},
		{"a tab without a name", group("tab= "), `group: "tab= " has no name`},
		{"a rule with a tab", rules("/a/=tab"), `rules: "/a/=tab": "tab" isn't a group`},
		{"a group in quotes", group(`"User"`), `group: "User" has quotes around it`},
		{"a rule's group in quotes", rules("/api/='Guest'"), `rules: "/api/='Guest'": 'Guest' has quotes around it`},
		{"an address in quotes", address(`"` + organizrURL + `"`), "organizrURL: its value has quotes around it"},
		{"a uuid in quotes", func(c *Config) { c.UUID = "'" + c.UUID + "'" }, "uuid: its value has quotes around it"},
		{"a secret in quotes", func(c *Config) { c.Secret = `"` + c.Secret + `"` }, "secret: its value has quotes"},
		{
			"a file in quotes", func(c *Config) { c.DatabaseFile = `"auto"` }, "databaseFile: its value has quotes around it",
		},
		{"no uuid", func(c *Config) { c.UUID = "" }, "uuid: missing"},
		{
			"a uuid that can't be in a cookie's name",
			func(c *Config) { c.UUID = "a b;c" }, `uuid: "a b;c" can't be part of a cookie's name`,
		},
		{"no secret", func(c *Config) { c.Secret = "" }, "secret: missing"},
		{"a blank secret", func(c *Config) { c.Secret = " \t" }, "secret: blank"},
		{"a secret with a line break", func(c *Config) { c.Secret += "\n" }, "secret: has a line break"},
		{"a blank secret and no uuid", func(c *Config) { c.UUID, c.Secret = "", " " }, "uuid: missing\nsecret: blank"},
		{
			"two secrets", func(c *Config) { c.SecretFile = "/run/secrets/hash" },
			"secret: more than one source; give only one of secret, secretFile and configFile",
		},
		{
			"databaseFile auto without configFile",
			func(c *Config) { c.DatabaseFile = "auto" }, `databaseFile: "auto"` + "\nconfigFile",
		},

		{
			"no scheme",
			address("organizr.example.com"), `organizrURL: "organizr.example.com"` + "\nhttps://organizr.example.com",
		},
		{"an address without host", address("https:///x"), `organizrURL: "https:///x"`},
		{"an address of another scheme", address("ftp://x.example"), "organizrURL:"},
		{"an address whose host is a dot", address("http://."), `organizrURL: "http://."`},
		{"an address whose host is two dots", address("https://..:80/"), `organizrURL: "https://..:80/"`},
		{"an address with a name that is empty", address("https://organizr..example.com"), `organizrURL:`},
		{"an address whose host is a dot and a port", address("https://.:443/"), `organizrURL: "https://.:443/"`},
		{
			"the address for ForwardAuth",
			address("https://organizr.example.com/api/v2/auth/4"), "is the address of Organizr's check",
		},
		{"an address with a password", address("https://bob:" + organizr.OrganizrHash + "@x.example"), "it has a user"},
		{"an address with a query", address("https://x.example/?a"), "organizrURL:"},

		{"a rule without group", rules("/api/"), `rules: "/api/" isn't PATTERN=GROUP`},
		{"a rule with an unknown group", rules("/api/=gast"), `rules: "/api/=gast": "gast" isn't a group`},
		{"a pattern without a slash", rules("api=Guest"), `rules: "api=Guest" has a host, or doesn't begin with /`},
		{"a quoted pattern", rules("'/api/'=Guest"), `doesn't begin with /`},
		{"a wildcard as elsewhere", rules("/settings/*=Admin"), `rules: "/settings/*=Admin" has "*" in its path`},
		{"two rules in one", rules("/a/=Admin;/b/=Admin"), `has "=" in its path`},
		{"two patterns in one", rules("/a/,/b/=Admin"), `has ",/" in its path`},
		{"a name as other routers write it", rules("/users/:id=Admin"), `has "/:id" in its path`},
		{"a name as manuals write it", rules("/users/<id>=Admin"), `has "<" in its path`},
		{"a query", rules("/settings?tab=Admin"), `has "?" in its path`},
		{"an end as expressions have it", rules("/api/$=Guest"), `has "$" in its path`},
		{"a path that leads up", rules("/api/../x=Guest"), `has "/../" in its path`},
		{"a pattern that ServeMux can't read", rules("/{=Guest"), `rules: "/{=Guest": parsing "/{"`},
		{"an octet behind a wildcard", rules("/{a-b}/%9e/=Admin"), `rules: "/{a-b}/%9e/=Admin": parsing "/{a-b}/%9e/"`},
		{"an octet in a wildcard", rules("/{%9e=Admin"), `rules: "/{%9e=Admin": parsing "/{%9e"`},
		{"any character of an expression", rules("/settings/.+=Admin"), `rules: "/settings/.+=Admin" has "+" in its path`},
		{"a class of an expression", rules("/admin/[a-z]/=Admin"), `has "[" in its path`},
		{"a group of an expression", rules("/(settings)/=Admin"), `has "(" in its path`},
		{"a repetition", rules("/settings/{1,3}x=Admin"), `has braces around a part of a name`},
		{"a part of a name", rules("/{name}.json=Admin"), `has braces around a part of a name`},
		{"a wildcard without a name", rules("/{}/=Admin"), `has braces around a part of a name`},
		{"two paths for one group", rules("/a/, /b/=Admin"), `has " " in its path`},
		{"a percent sign that encodes nothing", rules("/100%/=Admin"), `has "%/" in its path`},
		{"half an encoded character", rules("/a%2=Admin"), `has "%2" in its path`},
		{"rules in lines", rules("/a/=Admin\n/b/=Guest"), `has a line break; give each rule in an item of its own`},
		{"a dash as in a file", rules("- /api/=Guest"), `has the unknown method "-"; for a method of`},
		{"a method that there isn't", rules("POSTS /settings/=Admin"), `has the unknown method "POSTS"; did you mean POST?`},
		{
			"two letters of a method in the wrong order",
			rules("PSOT /=Admin"),
			`has the unknown method "PSOT"; did you mean POST?`,
		},
		{"a word like no method", rules("FROBNICATE /=Admin"), `has the unknown method "FROBNICATE"; for a method of`},
		{"a no-break space", rules("/settings/\u00a0=Admin"), `has the invisible character U+00A0 in its path`},
		{"a zero-width space", rules("/set\u200btings/=Admin"), `has the invisible character U+200B in its path`},
		{
			"a pattern with a host",
			rules("GET admin.example.com/=1"), `rules: "GET admin.example.com/=1" has a host` + "\nTraefik's routers",
		},

		{
			"a group's name for its number",
			func(c *Config) { c.Deny = []string{"groupID=User"} }, `deny: "groupID=User" isn't a whole number`,
		},
		{
			"an invisible character in a condition",
			func(c *Config) { c.Deny = []string{"username=bob\u00a0"} },
			`deny: "username=bob\u00a0" has an invisible character in its value`,
		},
		{
			"two conditions with a space between",
			func(c *Config) { c.Deny = []string{"username=bob username=sue"} },
			`deny: "username=bob username=sue" isn't one claim=value`,
		},
		{
			"a number with a zero before it",
			func(c *Config) { c.Allow = []string{"groupID=04"} }, `allow: "groupID=04" isn't a whole number`,
		},
		{"a quoted value", func(c *Config) { c.Deny = []string{`username="bob"`} }, `has quotes around its value`},
		{"a pattern", func(c *Config) { c.Deny = []string{"email=*@example.com"} }, `has a * in its value`},
		{
			"unknown claims", func(c *Config) { c.Allow, c.Deny = []string{"name=x"}, []string{"groups=1"} },
			`allow: "name=x"` + "\n" + `deny: "groups=1"` + "\nusername, email",
		},
		{
			"a claim without value", func(c *Config) { c.Deny = []string{"username= ", "email"} },
			`deny: "username= "` + "\n" + `deny: "email"`,
		},
		{
			"a group's name without a database",
			func(c *Config) { c.Allow, c.Deny = []string{"group=Family"}, []string{" group = Kids"} },
			`allow: "group=Family" needs databaseFile` + "\n" + `deny: " group = Kids" needs databaseFile` +
				"\nlike groupID=5\nusers can choose that text",
		},

		{
			"an unknown placeholder",
			header("X-A", "{name}"), `headers: "X-A" has the unknown placeholder "{name}"` + "\n{username}",
		},
		{
			"a brace that isn't closed",
			header("X-A", "{username"),
			`headers: "X-A" has a brace without its partner in its text "{username"` + "\n{username}",
		},
		{"a brace that isn't opened", header("X-A", "{username}}"), `headers: "X-A" has a brace without its partner`},
		{"a brace within braces", header("X-A", "{{username}"), `headers: "X-A" has a brace without its partner`},
		{
			"a placeholder as shells write it",
			header("X-A", "${username}"), `headers: "X-A" has a $ before a placeholder in its text; write it without`,
		},
		{"empty braces", header("X-A", "{}"), `headers: "X-A" has the unknown placeholder "{}"`},
		{"an impossible header", header("X A", ""), `headers: "X A" can't be the name of a header`},
		{"a header on two lines", header("X-A", "1\r\nX-B: 2"), `headers: "X-A" has a control character`},
		{"a header of the connection", header("host", "x"), `headers: "host" can't be set`},
		{"the header of keys", header("x-organizr-key", "x"), `headers: "x-organizr-key" can't be set`},
		{
			"one header twice", func(c *Config) { c.Headers["X-A"], c.Headers["x_a"] = "1", "2" },
			`headers: "X-A" and "x_a" are the same header`,
		},
		{
			"one header twice, once without a text", func(c *Config) { c.Headers["X-A"], c.Headers["x_a"] = "", "2" },
			`headers: "X-A" and "x_a" are the same header`,
		},
		{
			"the other way", func(c *Config) { c.Headers["X-A"], c.Headers["x_a"] = "1", "" },
			`headers: "X-A" and "x_a" are the same header`,
		},
		{
			"everything at once", func(c *Config) {
				*c = Config{
					Rules: []string{"/"}, OrganizrURL: "x", Headers: map[string]string{"": "x"}, DatabaseFile: "auto",
				}
			},
			"uuid:\nsecret:\ndatabaseFile:\norganizrURL:\ngroup:\nrules:\nheaders:",
		},
	} {
		run(t, test.name, func(t *testing.T) {
			config := CreateConfig()
			config.UUID, config.Secret, config.Group = organizr.UUID, organizr.OrganizrHash, "User"
			test.mistake(config)
			handler, err := New(context.Background(), http.NotFoundHandler(), config, "site")
			if err == nil || handler != nil {
				t.Fatalf("New returned %T and %v, want an error alone", handler, err)
			}
			for _, part := range strings.Split(test.message, "\n") {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("got the error %v\nwithout %s", err, part)
				}
			}
			for _, never := range []string{
				"registered at", ".go:", "by_organizrjwt", organizr.OrganizrHash, "monitor-key", "\n",
			} {
				if strings.Contains(err.Error(), never) {
					t.Errorf("got the error %v\nwith %s", err, never)
				}
			}
		})
	}
}

// Where the secret comes from.

func TestSecretSources(t *testing.T) {
	folder := t.TempDir()
	hashFile, phpFile := filepath.Join(folder, "hash"), filepath.Join(folder, "config.php")
	otherPHPFile := filepath.Join(folder, "other.php")
	writeFile(t, hashFile, organizr.OrganizrHash+"\n")
	writeFile(t, phpFile, configPHP())
	otherSecret := strings.Replace(configPHP(), organizr.OrganizrHash, "another-hash-that-is-long-enough", 1)
	writeFile(t, otherPHPFile, otherSecret)
	uuid, hash := organizr.UUID, organizr.OrganizrHash
	for _, test := range []struct {
		name        string
		config      Config
		environment string // variables without ORGANIZR_, one a line
		mistake     string // a part of the error; empty if bob gets in
	}{
		{"secret and uuid", Config{UUID: uuid, Secret: hash}, "", ""},
		{"the cookie's full name", Config{UUID: cookieName, Secret: hash}, "", ""},
		{"secretFile and uuid", Config{UUID: uuid, SecretFile: hashFile}, "", ""},
		{"configFile", Config{ConfigFile: phpFile}, "", ""},
		{"all from the environment", Config{}, "UUID=" + uuid + "\nSECRET=" + hash, ""},
		{"a secret file from the environment", Config{}, "UUID=" + uuid + "\nSECRET_FILE=" + hashFile, ""},
		{"a config file from the environment", Config{}, "CONFIG_FILE=" + phpFile, ""},
		{"its own uuid, secret from the environment", Config{UUID: uuid}, "UUID=x\nSECRET=" + hash, ""},
		{"its own secret, uuid from the environment", Config{Secret: hash}, "SECRET=x\nUUID=" + uuid, ""},
		{
			"its own config file wins over the environment",
			Config{ConfigFile: phpFile},
			"UUID=x\nSECRET=x\nCONFIG_FILE=" + otherPHPFile, "",
		},
		{"its own uuid wins over the config file's", Config{UUID: uuid, ConfigFile: phpFile}, "", ""},
		{"a secret alone", Config{Secret: hash}, "", "uuid: missing; give"},
		{
			"a secret beside the config file of the environment",
			Config{Secret: hash},
			"CONFIG_FILE=" + phpFile,
			"uuid: missing; ORGANIZR_CONFIG_FILE doesn't count for a middleware with a secret",
		},
		{
			"two in the environment",
			Config{UUID: "x"},
			"SECRET=x\nCONFIG_FILE=" + phpFile,
			"give only one of ORGANIZR_SECRET, ORGANIZR_SECRET_FILE and ORGANIZR_CONFIG_FILE",
		},
		{
			"two of its own",
			Config{ConfigFile: phpFile, Secret: "x"},
			"",
			"give only one of secret, secretFile and configFile",
		},
		{"a URL in the environment", Config{UUID: "x", Secret: hash}, "URL=x", `ORGANIZR_URL: "x" must be an http`},
		{"a uuid in the environment", Config{Secret: hash}, "UUID=a b", `ORGANIZR_UUID: "a b" can't be part`},
		{
			"quotes in the environment",
			Config{},
			"UUID=" + uuid + "\nSECRET_FILE='" + hashFile + "'",
			"ORGANIZR_SECRET_FILE: its value has quotes around it",
		},
		{"a blank one in the environment", Config{UUID: "x"}, "SECRET= ", "ORGANIZR_SECRET: blank"},
		{
			"databaseFile auto without a config file",
			Config{UUID: uuid, SecretFile: hashFile},
			"DATABASE_FILE=auto", `ORGANIZR_DATABASE_FILE: "auto"`,
		},
		{"the same in capitals", Config{UUID: uuid, SecretFile: hashFile}, "DATABASE_FILE=AUTO", `"auto" needs`},
		{"none in capitals", Config{UUID: uuid, SecretFile: hashFile}, "DATABASE_FILE=None\nURL=NONE", ""},
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
					t.Errorf("got the error %v, want %q", err, test.mistake)
				}
				return
			}
			rec := httptest.NewRecorder()
			handler.ServeHTTP(rec, newRequest(t, "GET /", "Cookie", "bob"))
			if rec.Code != 404 { // from NotFoundHandler
				t.Errorf("GET / of bob: got %d, want 404 from the service", rec.Code)
			}
		})
	}
}

func TestURLAndDatabaseFromEnvironment(t *testing.T) {
	file := filepath.Join(t.TempDir(), "organizr.db")
	writeFile(t, file, readTestdata(t, "databases/page-512.db"))
	setenv(t, "ORGANIZR_URL", "https://login.example.com")
	setenv(t, "ORGANIZR_DATABASE_FILE", file)
	listed := sampleSessions(t)["bob"]
	for _, test := range []struct {
		name   string
		config Config
		cookie string // bob's
		status int
		login  string // how the redirect begins
	}{
		{"a session that the database lists", Config{}, listed, 200, ""},
		{"one that it doesn't list is sent to that URL", Config{}, "bob", 302, "https://login.example.com/?"},
		{"its own URL wins", Config{OrganizrURL: organizrURL}, "bob", 302, "https://organizr.example.com/?"},
		{"its own database wins", Config{DatabaseFile: file + "-is-missing"}, listed, 503, ""},
	} {
		run(t, test.name, func(t *testing.T) {
			rec := newSite(t, test.config).send("GET /", "Cookie", test.cookie, "Accept", browserAccept)
			if got := rec.Header().Get("Location"); rec.Code != test.status || !strings.HasPrefix(got, test.login) {
				t.Errorf("GET / of bob: got %d to %q, want %d to %q", rec.Code, got, test.status, test.login)
			}
		})
	}
}

// What a middleware follows is logged once for each source, and variables that are nearly ours.
func TestSourceLogLines(t *testing.T) {
	folder := t.TempDir()
	phpFile := filepath.Join(folder, "config.php")
	writeFile(t, phpFile, configPHP())
	for _, test := range []struct {
		name   string
		config Config
		want   string
	}{
		{
			"without a database",
			Config{UUID: "followed-1", Secret: "a secret of 20 bytes or more"},
			"follows the given secret and no database, so a log-out in Organizr doesn't end a session here\n",
		},
		{
			"with one",
			Config{ConfigFile: phpFile, DatabaseFile: filepath.Join(folder, "organizr.db")},
			fmt.Sprintf("follows configFile %q and databaseFile %q\n", phpFile, filepath.Join(folder, "organizr.db")),
		},
	} {
		run(t, test.name, func(t *testing.T) {
			if line := printedBy(t, func() { newSite(t, test.config) }); !strings.HasSuffix(line, test.want) {
				t.Errorf("printed %q, want %q", line, test.want)
			}
			if line := printedBy(t, func() { newSite(t, test.config) }); line != "" {
				t.Errorf("printed %q for the second middleware", line)
			}
		})
	}
	for variable, want := range map[string]string{
		"ORGANIZR_DATABASEFILE": "did you mean ORGANIZR_DATABASE_FILE?",
		"ORGANIZR_CONFIG":       "did you mean ORGANIZR_CONFIG_FILE?",
		"ORGANIZR_SECRETS":      "did you mean ORGANIZR_SECRET?",
		"ORGANIZER_URL":         "did you mean ORGANIZR_URL?",
		"ORGANIZR_DB_FILE":      "did you mean ORGANIZR_DATABASE_FILE?",
		"ORGANIZR_DB":           "did you mean ORGANIZR_DATABASE_FILE?",
		"ORGANIZR_CONFIG_PATH":  "did you mean ORGANIZR_CONFIG_FILE?",
		"ORGANIZR_HASH_FILE":    "did you mean ORGANIZR_SECRET_FILE?",
		"ORGANIZR_URI":          "did you mean ORGANIZR_URL?",
		"Organizr_Url":          "did you mean ORGANIZR_URL?",
		"ORGANISR_CONFIG":       "did you mean ORGANIZR_CONFIG_FILE?",
		"ORGANIZRURL":           "did you mean ORGANIZR_URL?",
		"ORGANIZR_GROUP":        "give the option group to each middleware instead",
		"ORGANIZR_ACCEPTBEARER": "give the option acceptBearer to each middleware instead",
		"ORGANIZER_RULES":       "give the option rules to each middleware instead",
		"ORGANIZER":             "",
		"ORGANIZR_PORT":         "",
		"ORGANIZR_URL":          "",
		"OTHER_ORGANIZR_UR":     "",
	} {
		run(t, variable, func(t *testing.T) {
			setenv(t, variable, "x")
			logged := loggedBy(t, func() { warnOfVariables("site") })
			if !strings.Contains(logged, want) || (logged == "") != (want == "") {
				t.Errorf("logged %q, want %q", logged, want)
			}
		})
	}
}

// Nearly everybody who writes /admin=Admin wants to close /admin/ too, so the log says that this stays open.
func TestOpenFolderWarnings(t *testing.T) {
	const line = `rules: "/one=Admin" closes that page alone, and /one/… stays open; end the path in / to close all of ` +
		"it, or in /{$} if you mean that page alone"
	for _, test := range []struct {
		name   string
		config Config
		want   string // a part of the log line; empty for none
	}{
		{"a page that a rule closes", Config{Group: "User", Rules: []string{"/one=Admin"}}, line},
		{"the same again, since Traefik makes new middlewares all the time", Config{
			Group: "User", Rules: []string{"/one=Admin"},
		}, ""},
		{"a page in an opened service", Config{Group: "Guest", Rules: []string{"POST /two=User"}}, "/two/… stays open"},
		{"a page below a wildcard", Config{Group: "User", Rules: []string{"/u/{id}/keys=1"}}, "/u/{id}/keys/… stays open"},
		{"beside another page's folder", Config{Group: "User", Rules: []string{"/three=1", "/four/=1"}}, "/three/… stays"},
		{"beside a laxer rule for the folder", Config{Group: "998", Rules: []string{"/five=1", "/five/=3"}}, "/five/…"},
		{"with the folder's rule beside it", Config{Group: "User", Rules: []string{"/six=1", "/six/=1"}}, ""},
		{"the same for one method", Config{Group: "Guest", Rules: []string{"POST /a6=4", "POST /a6/=4"}}, ""},
		{"in a closed folder", Config{Group: "User", Rules: []string{"/seven/a=1", "/seven/=1"}}, ""},
		{"the folder's rule", Config{Group: "User", Rules: []string{"/eight/=Admin"}}, ""},
		{"the page alone, and meant so", Config{Group: "User", Rules: []string{"/nine/{$}=Admin"}}, ""},
		{"a file", Config{Group: "User", Rules: []string{"/ten.json=Admin"}}, ""},
		{"any name", Config{Group: "User", Rules: []string{"/eleven/{id}=Admin"}}, ""},
		{"a rule that opens", Config{Group: "User", Rules: []string{"/twelve=Guest"}}, ""},
	} {
		run(t, test.name, func(t *testing.T) {
			logged := loggedBy(t, func() { newSite(t, test.config) })
			if !strings.Contains(logged, test.want) || (logged == "") != (test.want == "") {
				t.Errorf("logged %q, want %q", logged, test.want)
			}
		})
	}
}

func TestUnsafeSecretWarnings(t *testing.T) {
	for i, test := range []struct{ name, secret, warning string }{
		{
			"the one in the documentation", organizr.OrganizrHash,
			"is the one in the documentation, so anyone can sign in as administrator",
		},
		{"19 bytes", "0123456789abcdefghi", "has only 19 bytes"},
		{"20 bytes", "0123456789abcdefghij", ""},
	} {
		run(t, test.name, func(t *testing.T) {
			for turn, warning := range []string{test.warning, ""} { // the second time the source is known
				config := Config{UUID: fmt.Sprint("warned-", i), Secret: test.secret}
				logged := loggedBy(t, func() { newSite(t, config) })
				if !strings.Contains(logged, warning) || (logged == "") != (warning == "") {
					t.Errorf("middleware %d of secret %q: logged %q, want %q", turn+1, test.secret, logged, warning)
				}
				if strings.Contains(logged, test.secret) {
					t.Errorf("logged the secret: %q", logged)
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
	for key, want := range map[string]string{
		"organizrHash": organizr.OrganizrHash,
		"uuid":         organizr.UUID,
		"title":        "Home's Organizr",
		"customCss": "body{}\n\t'organizrHash' => 'attacker-chosen-secret-000000000000',\n" +
			"\t'uuid' => '00000000-0000-0000-0000-000000000000',\n/* it's \\ done */",
	} {
		run(t, key, func(t *testing.T) {
			if values[key] != want {
				t.Errorf("%s: got %q, want %q", key, values[key], want)
			}
		})
	}
	run(t, "no beginning of it is taken for all of it", func(t *testing.T) {
		for length := range text {
			if values, err := readConfigPHP(text[:length]); err == nil {
				t.Fatalf("the first %d bytes are read as %v, want an error", length, values)
			}
		}
	})
}

func TestConfigPHPErrorNamesLine(t *testing.T) {
	for text, want := range map[string]string{
		"<?php\nreturn [\n\t'a' => 'b',\n\t'organizrHash' => \"x\",\n];\n": "line 4 isn't 'key' => value",
		`<?php return ['organizrHash' => "x"];`:                            "line 1 isn't 'key' => value",
	} {
		if _, err := readConfigPHP(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngot %v, want %s", text, err, want)
		}
	}
}

func TestConfigPHPSyntax(t *testing.T) {
	deep := `<?php return ` + strings.Repeat("['a' => ", 10_000) + "1" + strings.Repeat("]", 10_000) + ";"
	for _, test := range []struct {
		name, text string
		hash       string // empty if the file isn't one that Organizr writes
	}{
		{"one line", `<?php return ['organizrHash' => 'x'];`, "x"},
		{
			"the old spelling of arrays",
			"<?php\nreturn array(\n'organizrHash' => 'x',\n'a' => array('organizrHash' => 'y'),\n);\n", "x",
		},
		{"a comma at the end", `<?php return ['organizrHash' => 'x',];`, "x"},
		{"escapes", `<?php return ['organizrHash' => 'a\'b\\c\n'];`, `a'b\c\n`},
		{"the last of two keys", `<?php return ['organizrHash' => 'x', 'organizrHash' => 'y'];`, "y"},
		{"a number after a text", `<?php return ['organizrHash' => 'x', 'organizrHash' => 5];`, "5"},
		{
			"all kinds of values",
			`<?php return ['a' => true, 'b' => null, 'c' => -1.5e3, 'd' => [], ` +
				`'e' => ['f' => [0 => 'g']], 7 => 'h', 'organizrHash' => 'x'];`, "x",
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
		{"deep nesting", deep, ""},
		{"empty", "", ""},
		{"YAML", "organizrHash: x", ""},
	} {
		run(t, test.name, func(t *testing.T) {
			values, err := readConfigPHP(test.text)
			if got := values["organizrHash"]; got != test.hash {
				t.Errorf("%.200s\ngot the hash %q and the error %v, want the hash %q", test.text, got, err, test.hash)
			}
		})
	}
}

// Files that aren't there yet, and files that change.

// fileTexts are the texts of files, by their names; those of folders end in a slash.
type fileTexts map[string]string

func TestFilesNotThereYet(t *testing.T) {
	folder := t.TempDir() + "/"
	php, db := configPHP(), readTestdata(t, "databases/page-512.db")
	noTables := readTestdata(t, "databases/no-tables.db")
	// In all that follows, {} stands for the folder of the case.
	sqlite := configPHP("dbLocation", "{}", "dbName", "db", "driver", "sqlite3")
	mysql := configPHP("dbLocation", "{}", "dbName", "db", "driver", "mysqli")
	config, secret := Config{ConfigFile: "{}config.php"}, Config{SecretFile: "{}hash"}
	database, auto := Config{DatabaseFile: "{}db"}, Config{ConfigFile: "{}config.php", DatabaseFile: "auto"}
	both := Config{ConfigFile: "{}config.php", DatabaseFile: "{}db"}
	hash := organizr.OrganizrHash
	for i, test := range []struct {
		name    string
		config  Config
		before  fileTexts
		problem string // a part of the log line; empty for no line
		after   fileTexts
	}{
		{
			"config.php is missing",
			config,
			nil,
			"no such file or directory; finish Organizr's setup, or give its data/config/config.php",
			fileTexts{"config.php": php},
		},
		{
			"config.php is empty",
			config,
			fileTexts{"config.php": ""},
			"doesn't begin with",
			fileTexts{"config.php": php},
		},
		{
			"config.php is half written",
			config,
			fileTexts{"config.php": php[:90]},
			"half written",
			fileTexts{"config.php": php},
		},
		{
			"config.php is without a secret",
			config,
			fileTexts{"config.php": "<?php\nreturn [\n];"},
			"has Organizr been set up?",
			fileTexts{"config.php": php},
		},
		{
			"config.php is a folder, as Docker makes it",
			config,
			fileTexts{"config.php/": ""},
			"isn't a file",
			fileTexts{"config.php": php},
		},

		{"config.php is missing", config, nil, "; of that path, Traefik sees only ", fileTexts{"config.php": php}},

		{"the secret's file is missing", secret, nil, "secretFile: can't read", fileTexts{"hash": hash}},
		{"the secret's file has quotes", secret, fileTexts{"hash": `"` + hash + `"`}, "has quotes around its text", fileTexts{
			"hash": hash + "\n\n",
		}},
		{
			"the secret's file begins as Notepad has it begin", secret,
			fileTexts{"hash": "\uFEFF" + hash},
			"isn't plain text in UTF-8",
			fileTexts{"hash": hash},
		},
		{
			"the secret's file has the uuid too",
			secret,
			fileTexts{"hash": organizr.UUID + "\n" + hash + "\n"},
			"has more than one line; write Organizr's organizrHash alone into it",
			fileTexts{"hash": hash + "\n"},
		},
		{
			"the secret's file is empty",
			secret,
			fileTexts{"hash": ""},
			"is blank; write Organizr's organizrHash into it",
			fileTexts{"hash": hash + "\r\n"},
		},
		{
			"the secret's file is blank",
			secret,
			fileTexts{"hash": " \n"},
			"is blank; write Organizr's organizrHash into it",
			fileTexts{"hash": hash + "\n"},
		},

		{
			"the database is missing",
			database,
			nil,
			"isn't a file that can be read; give the path of Organizr's database as Traefik sees it",
			fileTexts{"db": db},
		},
		{"the database is empty", database, fileTexts{"db": ""}, "isn't an SQLite database", fileTexts{"db": db}},
		{
			"the database is cut off",
			database,
			fileTexts{"db": db[:512]},
			"it is damaged or cut off",
			fileTexts{"db": db},
		},
		{"the database has no tables", database, fileTexts{"db": noTables}, "it has no table", fileTexts{"db": db}},
		{
			"the database is just being written",
			database,
			fileTexts{"db": db, "db-journal": "x"},
			"",
			fileTexts{"db-journal": ""},
		},

		{"both are missing", auto, nil, "configFile: can't read", fileTexts{"config.php": sqlite, "db": db}},
		{
			"the database alone is missing",
			auto,
			fileTexts{"config.php": sqlite},
			"db\" isn't a file that can be read, though config.php names it; mount Organizr's volume",
			fileTexts{"db": db},
		},
		{
			"it is MySQL",
			auto,
			fileTexts{"config.php": mysql, "db": db},
			"database is mysqli, and only SQLite",
			fileTexts{"config.php": sqlite},
		},
		{
			"it is MySQL, and a path is given",
			both,
			fileTexts{"config.php": mysql, "db": db},
			"database is mysqli",
			fileTexts{"config.php": php},
		},
		{
			"config.php doesn't say where it is",
			auto,
			fileTexts{"config.php": php, "db": db},
			"doesn't say where the database is",
			fileTexts{"config.php": sqlite},
		},
	} {
		caseFolder := fmt.Sprint(folder, i, "/")
		inFolder := func(text string) string { return strings.ReplaceAll(text, "{}", caseFolder) }
		writeFiles := func(texts fileTexts) {
			for name, text := range texts {
				if strings.HasSuffix(name, "/") {
					_ = os.Mkdir(caseFolder+name, 0o700)
					continue
				}
				_ = os.Remove(caseFolder + name) // if it is a folder
				writeFile(t, caseFolder+name, inFolder(text))
			}
		}
		run(t, test.name, func(t *testing.T) {
			_ = os.Mkdir(caseFolder, 0o700)
			writeFiles(test.before)
			config := test.config
			config.ConfigFile, config.SecretFile = inFolder(config.ConfigFile), inFolder(config.SecretFile)
			config.DatabaseFile = inFolder(config.DatabaseFile)
			config.AcceptBearer, config.OrganizrURL, config.Rules = true, organizrURL, []string{"/public/=Guest"}
			session := sampleSessions(t)["bob"]
			begin := float64(100 * i)
			setClock(t, begin)
			var s *site
			logged := loggedBy(t, func() {
				s = newSite(t, config)
				checkNotReady(t, s, session)
			})
			lines := 1 // besides a warning of the secret
			if test.problem == "" {
				lines = 0
			}
			if !strings.Contains(logged, test.problem) || strings.Count(logged, "get 503") != lines {
				t.Errorf("logged %q, want %d line with %q", logged, lines, test.problem)
			}
			writeFiles(test.after)
			turnClock(begin + 0.9)
			statusWithinTheSecond := 503
			if test.before["db-journal"] != "" {
				statusWithinTheSecond = 200 // a database that is being written is looked at again sooner
			}
			s.expect(t, statusWithinTheSecond, "GET /", "Cookie", session)
			turnClock(begin + 1)
			s.expect(t, 200, "GET /", "Cookie", session)
			s.expect(t, 302, "GET /", "Accept", browserAccept)
		})
	}
}

// checkNotReady checks what is answered as long as files aren't there, with a session and without.
func checkNotReady(t *testing.T, s *site, session string) {
	t.Helper()
	const reload = `<meta http-equiv="refresh" content="5">`
	for _, headers := range [][]string{{"Accept", browserAccept}, {"Accept", browserAccept, "Cookie", session}} {
		rec := s.send("GET /", headers...)
		header, body := rec.Header(), rec.Body.String()
		if rec.Code != 503 || header.Get("Retry-After") != "5" || header.Get("Cache-Control") != "no-store" ||
			!strings.Contains(body, "The login isn&#39;t ready yet") || !strings.Contains(body, reload) ||
			strings.Contains(body, "<a ") {
			t.Errorf("%s: got %d %v %s\nwant 503 with a page that reloads itself, and has no links",
				describe("GET /", headers), rec.Code, header, body)
		}
		rec = s.send("GET /", headers[2:]...)
		header, body = rec.Header(), rec.Body.String()
		if rec.Code != 503 || header.Get("Retry-After") != "5" ||
			header.Get("Content-Type") != "application/problem+json" || header.Get("WWW-Authenticate") != "" ||
			!strings.Contains(body, `"status":503`) || !json.Valid(rec.Body.Bytes()) {
			t.Errorf("%s: got %d %v %s\nwant 503 with problem JSON, and no challenge",
				describe("GET /", headers[2:]), rec.Code, header, body)
		}
		rec = s.send("HEAD /", headers...)
		if rec.Code != 503 || rec.Header().Get("Retry-After") != "5" || rec.Body.Len() > 0 {
			t.Errorf("%s: got %d %v %s\nwant 503 without a body",
				describe("HEAD /", headers), rec.Code, rec.Header(), rec.Body)
		}
	}
	token := strings.TrimPrefix(session, cookieName+"=")
	s.send("GET /public/", "Cookie", "a=1; "+session+"; organizr_token_x=y; b=2; organizr_token_=z",
		"Authorization", "Bearer "+token, "Authorization", "Basic eDp5", "X-Organizr-User", "alice")
	s.expectForwarded(t, "Cookie", "a=1; b=2")
	s.expectForwarded(t, "Authorization", "Basic eDp5")
	s.expectForwarded(t, "X-Organizr-User", "")
}

func TestConfigPHPChanges(t *testing.T) {
	const newHash = "the-new-hash-that-is-long-enough"
	file := filepath.Join(t.TempDir(), "config.php")
	newSecret := strings.Replace(configPHP(), organizr.OrganizrHash, newHash, 1)
	blankSecret := strings.Replace(configPHP(), organizr.OrganizrHash, " ", 1)
	writeFile(t, file, configPHP())
	s := newSite(t, Config{ConfigFile: file})
	newClaims := fmt.Sprintf(`{"iss":"Organizr","aud":"Organizr","exp":%d,"groupID":4}`, organizr.ValidAt+3600)
	newSession := cookieWith(signToken(tokenHeader, newClaims, newHash))
	for i, state := range []struct {
		name, text           string
		oldSecret, newSecret int    // the status of sessions by either secret
		problem              string // a part of the log line; empty for no line
	}{
		{"at first", configPHP(), 200, 401, ""},
		{"empty", "", 200, 401, "it doesn't begin with"},
		{"still empty", "", 200, 401, ""},
		{"half written", configPHP()[:100], 200, 401, "half written"},
		{"without a secret", "<?php return [];", 200, 401, "has no organizrHash; has Organizr been set up?"},
		{"with a blank secret, the same problem", blankSecret, 200, 401, ""},
		{"missing", "", 200, 401, "can't read"},
		{"with a new secret", newSecret, 401, 200, ""},
		{"with a new uuid", strings.Replace(newSecret, organizr.UUID, "another-uuid", 1), 401, 401, ""},
		{"with the old secret again", configPHP(), 200, 401, ""},
		{"empty again", "", 200, 401, "it doesn't begin with"},
	} {
		run(t, state.name, func(t *testing.T) {
			writeFile(t, file, state.text)
			if state.name == "missing" {
				removeFile(t, file)
			}
			setClock(t, 1.5*float64(i+1))
			logged := loggedBy(t, func() {
				for _, each := range []*site{s, newSite(t, Config{ConfigFile: file})} {
					each.expect(t, state.oldSecret, "GET /", "Cookie", "bob")
					each.expect(t, state.newSecret, "GET /", "Cookie", newSession)
				}
			})
			hasProblem := strings.Contains(logged, "keeping the last good version")
			if hasProblem != (state.problem != "") || !strings.Contains(logged, state.problem) {
				t.Errorf("logged %q, want a problem: %q", logged, state.problem)
			}
			isWarned := strings.Contains(logged, "in the documentation")
			if isWarned != (state.name == "with the old secret again") {
				t.Errorf("logged %q: warned of the secret that the documentation shows: %v", logged, isWarned)
			}
			if strings.Count(logged, "\n") > 1 || strings.Contains(logged, newHash) {
				t.Errorf("logged %q, want one line and no secret", logged)
			}
		})
	}
	run(t, "it isn't looked at again within a second", func(t *testing.T) {
		writeFile(t, file, configPHP())
		setClock(t, 30)
		s.expect(t, 200, "GET /", "Cookie", "bob")
		writeFile(t, file, newSecret)
		setClock(t, 30.9)
		s.expect(t, 200, "GET /", "Cookie", "bob")
		setClock(t, 31)
		s.expect(t, 401, "GET /", "Cookie", "bob")
	})
}

// sampleSessions returns the sessions that testdata/databases/page-512.db lists, as cookies, by their users' names.
func sampleSessions(t *testing.T) map[string]string {
	t.Helper()
	var table databaseTable
	decodeTestdata(t, "databases/databases.json", &table)
	sample := table.Read[0].Content
	sessions := map[string]string{}
	for token, id := range sample.Tokens {
		sessions[sample.Users[id-1].Username] = cookieWith(token)
	}
	return sessions
}

// Of sue's session, page-512.db and page-1024.db list it, later.db doesn't, and in the log of log.db it is another's.
func TestDatabaseChanges(t *testing.T) {
	sue := sampleSessions(t)["sue"]
	before, later := readTestdata(t, "databases/page-512.db"), readTestdata(t, "databases/later.db")
	wal := readTestdata(t, "databases/log.db-wal")
	file := filepath.Join(t.TempDir(), "organizr.db")
	write := func(text string) { writeFile(t, file, text) }
	writeJournal := func(text string) { writeFile(t, file+"-journal", text) }
	writeWAL := func(text string) { writeFile(t, file+"-wal", text) }
	write(before)
	s := newSite(t, Config{DatabaseFile: file})
	for _, state := range []struct {
		name    string
		seconds float64
		change  func()
		status  int
		problem string // a part of the log line; empty for no line
	}{
		{"at first", 0, func() {}, 200, ""},
		{"logged out, within the same second", 0.9, func() { write(later) }, 200, ""},
		{"a second later", 1, func() {}, 401, ""},
		{"listed again, within the same second", 1.9, func() { write(before) }, 401, ""},
		{"another second later", 2, func() {}, 200, ""},

		{"at rest", 9.95, func() {}, 200, ""},
		{"logged out, and the journal is still there", 10, func() { write(later); writeJournal("x") }, 200, ""},
		{"for nearly five seconds", 14.9, func() {}, 200, ""},
		{"for more than five seconds", 16, func() {}, 503, "has been locked by a writer for more than 3s"},
		{"for long", 60, func() {}, 503, ""},
		{"and the journal is empty", 62, func() { writeJournal("") }, 401, ""},
		{"and gone", 64, func() { removeFile(t, file+"-journal"); write(before) }, 200, ""},
		{"at rest again", 69, func() {}, 200, ""},
		{"logged out, and the write-ahead log is still there", 70, func() { write(later); writeWAL("x") }, 200, ""},
		{"for more than five seconds again", 76, func() {}, 503, "has been locked by a writer for more than 3s"},
		{"and empty", 78, func() { writeWAL("") }, 401, ""},
		{"and gone again", 80, func() { removeFile(t, file+"-wal"); write(before) }, 200, ""},
		{"written now and then isn't written for long", 84, func() { writeJournal("x") }, 200, ""},
		{"between two writes", 88, func() {
			removeFile(t, file+"-journal")
			write(readTestdata(t, "databases/page-1024.db"))
		}, 200, ""},
		{"written again", 92, func() { writeJournal("x") }, 200, ""},
		{"at rest", 94, func() { removeFile(t, file+"-journal") }, 200, ""},
		{"logged out, and the last commit of the log is just being written", 96, func() {
			write(readTestdata(t, "databases/log.db"))
			writeWAL(wal[:len(wal)-100] + "x" + wal[len(wal)-99:])
		}, 200, ""},
		{"committed, in the log alone", 97, func() { writeWAL(wal) }, 401, ""},
		{"and in the log no more", 98, func() { removeFile(t, file+"-wal") }, 200, ""},
		{"logged out, and the log can't be read", 98.5, func() {
			write(later)
			_ = os.Mkdir(file+"-wal", 0o700)
		}, 200, ""},
		{"a second later", 99, func() {}, 200, "isn't a file that can be read"},
		{"and can", 99.9, func() { removeFile(t, file+"-wal") }, 200, ""},
		{"after another second", 100, func() {}, 401, ""},

		{"logged in again", 101, func() { write(before) }, 200, ""},

		{"missing", 102, func() { removeFile(t, file) }, 200, "isn't a file that can be read"},
		{"still missing", 103, func() {}, 200, ""},
		{"empty", 104, func() { write("") }, 200, "isn't an SQLite database, or it is cut off"},
		{"cut off", 106, func() { write(before[:2816]) }, 200, "it is damaged or cut off"},
		{"still cut off", 107, func() {}, 200, ""},
		{"cut off elsewhere", 108, func() { write(before[:5120]) }, 200, ""},
		{"garbage", 109, func() { write(readTestdata(t, "databases/garbage.db")) }, 200, "isn't an SQLite database"},
		{"without a table", 110, func() { write(readTestdata(t, "databases/no-users.db")) }, 200, `no table "users"`},
		{"in UTF-16", 112, func() { write(readTestdata(t, "databases/utf-16.db")) }, 200, "isn't UTF-8"},
		{"a folder", 114, func() {
			removeFile(t, file)
			_ = os.Mkdir(file, 0o700)
		}, 200, "isn't a file that can be read"},
		{"of gigabytes", 116, func() {
			removeFile(t, file)
			write(before)
			_ = os.Truncate(file, 8<<30)
		}, 200, ""},
		{"good, and logged out", 120, func() { write(later) }, 401, ""},
		{"missing again", 122, func() { removeFile(t, file) }, 401, "isn't a file that can be read"},
		{"listed again", 123, func() { write(before) }, 200, ""},
	} {
		run(t, state.name, func(t *testing.T) {
			state.change()
			setClock(t, state.seconds)
			logged := loggedBy(t, func() { s.expectTwice(t, state.status, "GET /", "Cookie", sue) })
			if state.problem == "" && logged != "" || strings.Count(logged, "\n") > 1 ||
				state.problem != "" && strings.Count(logged, state.problem) != 1 {
				t.Errorf("logged %q, want one line with %q, or none for nothing", logged, state.problem)
			}
			consequence := "keeping the last good version"
			if state.status == 503 {
				consequence = "requests that need a session get 503"
			}
			if logged != "" && !strings.Contains(logged, consequence) {
				t.Errorf("logged %q, without what is in force meanwhile", logged)
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
	s.expectForwarded(t, "X-Organizr-User", "sue")
	if got := s.forwardedHeader("Cookie"); strings.Contains(got, "organizr_token_other") {
		t.Errorf("the service got the session under the new uuid: %.100q", got)
	}
}

// A database counts as unchanged if its size, its modification time and its first 100 bytes, in which SQLite counts
// changes, are the same.
func TestUnchangedDatabaseNotReadAgain(t *testing.T) {
	sue := sampleSessions(t)["sue"]
	good := readTestdata(t, "databases/page-512.db")
	other := strings.ReplaceAll(good, sue[len(sue)-20:], strings.Repeat("x", 20)) // doesn't list sue's session
	broken := good[:100] + strings.Repeat("x", len(good)-100)
	for _, test := range []struct {
		name          string
		before, after string
		age           time.Duration // between the modification times
		statuses      []int         // of sue's session before and after
	}{
		{"a good one looks as it was", good, other, 0, []int{200, 200}},
		{"one that doesn't list a session, asked for that", other, good, 0, []int{401, 401}},
		{"a broken one, asked for a session that isn't listed", broken, good, 0, []int{401, 401}},
		{"another modification time", good, other, time.Nanosecond, []int{200, 401}},
		{"another counter of changes", good, other[:27] + "x" + other[28:], 0, []int{200, 401}},
		{"another size", good, other + strings.Repeat("\x00", 512), 0, []int{200, 401}},
	} {
		run(t, test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "organizr.db")
			writeFile(t, file, readTestdata(t, "databases/later.db"))
			s := newSite(t, Config{DatabaseFile: file})
			yesterday := time.Now().Add(-24 * time.Hour)
			for i, text := range []string{test.before, test.after} {
				writeFile(t, file, text)
				modified := yesterday.Add(time.Duration(i) * test.age)
				if err := os.Chtimes(file, modified, modified); err != nil {
					t.Fatal(err)
				}
				setClock(t, 2*float64(i+1))
				s.expect(t, test.statuses[i], "GET /", "Cookie", sue)
			}
		})
	}
}

// Tokens that Organizr ended some time ago have the database read again. To keep that from taking all of a core, it is
// read for nobody else for three times as long as the last reading took.
func TestSlowDatabaseBacksOff(t *testing.T) {
	sessions := sampleSessions(t)
	file := filepath.Join(t.TempDir(), "organizr.db")
	writeFile(t, file, readTestdata(t, "databases/later.db"))
	setClock(t, 0)
	slowness := time.Duration(0)
	t.Cleanup(usePluginClock(func() time.Duration {
		testClock.Add(int64(slowness))
		return testTime()
	}))
	s := newSite(t, Config{DatabaseFile: file})
	s.expect(t, 403, "GET /", "Cookie", sessions["carol"]) // locked, but listed: nothing is read for her
	slowness = 100 * time.Millisecond
	s.expect(t, 401, "GET /", "Cookie", sessions["sue"]) // ended: the database is looked at, which takes a moment
	slowness = 0
	writeFile(t, file, readTestdata(t, "databases/page-512.db"))
	done := make(chan bool)
	time.AfterFunc(100*time.Millisecond, func() {
		runTestTimers(true)
		done <- true
	})
	begun := time.Now()
	s.expect(t, 200, "GET /", "Cookie", sessions["sue"])
	if waited := time.Since(begun); waited < 80*time.Millisecond {
		t.Errorf("sue, logged in again, waited %v, want until the pause is over", waited)
	}
	<-done
}

// What was read of the database more than five seconds ago isn't in force any more while somebody is writing it. Then
// visitors wait for that.
func TestDatabaseIsWrittenForLong(t *testing.T) {
	file := filepath.Join(t.TempDir(), "organizr.db")
	sue := sampleSessions(t)["sue"]
	for i, test := range []struct {
		name    string
		visits  []float64     // seconds after the last reading, at which somebody found the writer, and got in
		seconds float64       // after the last reading
		written time.Duration // for how long from then on
		status  int           // for sue, whose session was ended
	}{
		{"a second after the last reading", nil, 1, time.Hour, 200},
		{"nearly five seconds after", nil, 4.9, time.Hour, 200},
		{"more than five seconds after", nil, 5.1, time.Hour, 503},
		{"the same, when others found the writer before", []float64{1, 2.9, 4.4}, 5.1, time.Hour, 503},
		{"an hour after, and the writer takes less than three seconds", nil, 3600, 800 * time.Millisecond, 401},
		{"the same when others found it before", []float64{4.4}, 5.1, 800 * time.Millisecond, 401},
	} {
		run(t, test.name, func(t *testing.T) {
			begin := float64(10_000 * i)
			setClock(t, begin)
			writeFile(t, file, readTestdata(t, "databases/page-512.db"))
			s := newSite(t, Config{DatabaseFile: file})
			s.expect(t, 200, "GET /", "Cookie", sue)
			writeFile(t, file, readTestdata(t, "databases/later.db"))
			writeFile(t, file+"-journal", "x")
			for _, visit := range test.visits {
				turnClock(begin + visit)
				s.expect(t, 200, "GET /", "Cookie", sue)
			}
			turnClock(begin + test.seconds)
			removed := make(chan bool)
			writer := time.AfterFunc(test.written, func() {
				removeFile(t, file+"-journal")
				close(removed)
			})
			s.expect(t, test.status, "GET /", "Cookie", sue)
			if writer.Stop() {
				removeFile(t, file+"-journal")
			} else {
				<-removed
			}
			turnClock(begin + test.seconds + 0.1) // what they wrote counts as soon as they are done
			s.expect(t, 401, "GET /", "Cookie", sue)
		})
	}
}

// A user who has just logged in is never turned away: while the database is being written, their request waits for it.
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
	s.expect(t, 200, "GET /", "Cookie", sue)
	<-done
	// The wait doesn't count as the time that it took to read the database, so it is read again soon.
	writeFile(t, file, readTestdata(t, "databases/later.db"))
	setClock(t, 1.5)
	s.expect(t, 401, "GET /", "Cookie", sue)
}

// A session that was listed until now has ended. Its owner is refused at once, without another look at the database.
func TestEndedSessionIsntWaitedFor(t *testing.T) {
	file := filepath.Join(t.TempDir(), "organizr.db")
	writeFile(t, file, readTestdata(t, "databases/page-512.db"))
	s := newSite(t, Config{DatabaseFile: file})
	sue := sampleSessions(t)["sue"]
	s.expect(t, 200, "GET /", "Cookie", sue)
	writeFile(t, file, readTestdata(t, "databases/later.db"))
	setClock(t, 1)
	slowness := 100 * time.Millisecond // which has newcomers wait
	t.Cleanup(usePluginClock(func() time.Duration {
		testClock.Add(int64(slowness))
		return testTime()
	}))
	begun := time.Now()
	s.expect(t, 401, "GET /", "Cookie", sue)
	slowness = 0
	if waited := time.Since(begun); waited > maxWait/2 {
		t.Errorf("sue waited %v", waited)
	}
}

// A slow reading, and then a config.php that names no database to read: nobody waits for the next reading.
func TestNewcomersDontWaitForADatabaseThatIsntRead(t *testing.T) {
	folder := t.TempDir() + "/"
	writeFile(t, folder+"config.php", configPHP("dbLocation", folder, "dbName", "db"))
	writeFile(t, folder+"db", readTestdata(t, "databases/later.db"))
	s := newSite(t, Config{ConfigFile: folder + "config.php", DatabaseFile: "auto"})
	s.send("GET /", "Cookie", sampleSessions(t)["bob"])
	pluginOf(t, s.handler).poller.throttled = true
	writeFile(t, folder+"config.php", configPHP("driver", "mysqli"))
	setClock(t, 1)
	begun := time.Now()
	s.expect(t, 401, "GET /", "Cookie", sampleSessions(t)["sue"])
	s.expect(t, 401, "GET /", "Cookie", sampleSessions(t)["sue"])
	if waited := time.Since(begun); waited > maxWait/2 {
		t.Errorf("sue waited %v", waited)
	}
}

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
	logged := loggedBy(t, func() { s.expect(t, 200, "GET /", "Cookie", sessions["sue"]) })
	if logged != "" {
		t.Errorf("logged %q, want nothing", logged)
	}
	<-done
}

func TestLoginWhileConfigPHPIsMissing(t *testing.T) {
	folder := t.TempDir() + "/"
	writeFile(t, folder+"config.php", configPHP())
	writeFile(t, folder+"db", readTestdata(t, "databases/later.db"))
	t.Cleanup(useFastClock(1))
	s := newSite(t, Config{ConfigFile: folder + "config.php", DatabaseFile: folder + "db"})
	removeFile(t, folder+"config.php")
	writeFile(t, folder+"db-journal", "x")
	done := make(chan bool)
	time.AfterFunc(50*time.Millisecond, func() {
		writeFile(t, folder+"db", readTestdata(t, "databases/page-512.db"))
		removeFile(t, folder+"db-journal")
		done <- true
	})
	s.expect(t, 200, "GET /", "Cookie", sampleSessions(t)["sue"])
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
		name    string
		seconds float64
		polling time.Duration // how long another request reads the files, unless this one is answered before
		status  int
	}{
		{"what is known counts meanwhile", 1.1, 10 * time.Second, 200},
		{"however long that takes", 1.3, 10 * time.Second, 200},
		{"unless nobody has come for so long that it is too old", 10, 50 * time.Millisecond, 401},
	} {
		run(t, test.name, func(t *testing.T) {
			setClock(t, test.seconds)
			unblock := blockPolling(t, s.handler)
			polling := time.AfterFunc(test.polling, unblock)
			s.expect(t, test.status, "GET /", "Cookie", sue)
			if polling.Stop() {
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
		t.Fatalf("sue, logged in: got %d, want 200", got)
	}
	writeFile(t, file, readTestdata(t, "databases/later.db"))
	setClock(t, 0)
	runTestTimers(true) // a second later: timers don't go by the clock
	if got := s.send("GET /", "Cookie", sessions["sue"]).Code; got != 401 {
		t.Errorf("sue, logged out, an hour earlier: got %d, want 401", got)
	}
}

// Organizr's tabs.

// leastPrivileged returns the least privileged user who gets in, "nobody" if a stranger does, and "" if not even the
// administrator does.
func leastPrivileged(s *site, sessions map[string]string, request string) string {
	for _, username := range []string{"nobody", "fay", "bob", "pat", "sue", "carol", "alice"} {
		if s.send(request, headerLines("Cookie", sessions[username])...).Code == 200 {
			return username
		}
	}
	return ""
}

func TestTabs(t *testing.T) {
	sessions := sampleSessions(t) // of groups 0 (alice) to 5 (fay)
	folder := t.TempDir()
	file := filepath.Join(folder, "organizr.db")
	byHost := newSiteAt(t, file, "tabs.db", Config{Group: "tab"})
	for target, want := range map[string]string{
		"https://sonarr.example.com/":             "bob",
		"http://SONARR.Example.com.:8443/x?y":     "bob",
		"http://sonarr.lan/":                      "bob",
		"http://radarr.example.com/":              "pat",
		"http://radarr.example.com:7878/":         "pat",
		"http://navidrome.example.com/":           "bob",
		"http://slashes.example.com/":             "bob",
		"http://slashes.lan/":                     "bob",
		"http://[2001:db8::1]/":                   "bob",
		"http://[2001:DB8::1]:9/":                 "bob",
		"http://192.168.1.5/":                     "bob",
		"http://192.168.1.50/":                    "alice",
		"http://rd.example.com/":                  "bob",
		"http://public.example.com/":              "nobody",
		"http://loggedin.example.com/":            "fay",
		"http://twice.example.com/":               "sue",
		"http://off.example.com/":                 "alice",
		"http://nogroup.example.com/":             "alice",
		"http://oddgroup.example.com/":            "alice",
		"http://fargroup.example.com/":            "alice",
		"http://x.sonarr.example.com/":            "alice",
		"http://example.com/":                     "alice",
		"http://xsonarr.example.com/":             "alice",
		"http://sonarr.example.com.evil.example/": "alice",
		"http://odd.example.com/":                 "alice",
		"http://api/":                             "alice",
		"http://path/":                            "alice",
		"http://https/":                           "alice",
		"http://javascript/":                      "alice",
		"http://null/":                            "alice",
	} {
		if got := leastPrivileged(byHost, sessions, "GET "+target); got != want {
			t.Errorf("group tab: %s lets %q in, want %q", target, got, want)
		}
	}
	for name, want := range map[string]string{
		"Sonarr": "bob", " sONARR ": "bob", "R&D <b>": "bob", "Off": "bob", "Twice": "carol", "No Group": "alice",
		"Sonar": "alice", "R&amp;D &lt;b&gt;": "alice", "Odd": "nobody", "Path": "nobody", "Settings": "carol",
	} {
		s := newSite(t, Config{Group: "tab=" + name, DatabaseFile: file})
		if got := leastPrivileged(s, sessions, "GET http://anywhere.example.com/"); got != want {
			t.Errorf("group tab=%s lets %q in, want %q", name, got, want)
		}
	}
	run(t, "brackets are for IPv6 addresses", func(t *testing.T) {
		for host, want := range map[string]int{"sonarr.example.com:80": 200, "[sonarr.example.com]:80": 403} {
			req := newRequest(t, "GET /", "Cookie", sessions["bob"])
			req.Host = host
			if got := byHost.serve(req).Code; got != want {
				t.Errorf("Host %s: got %d, want %d", host, got, want)
			}
		}
	})
	run(t, "no header says what the host is", func(t *testing.T) {
		for _, name := range []string{"X-Forwarded-Host", "X-Original-Host", "X-Host", "Forwarded", "Host"} {
			byHost.expectTwice(t, 403, "GET http://off.example.com/", "Cookie", sessions["bob"],
				name, "sonarr.example.com")
		}
	})
	run(t, "around it rules, allow and deny", func(t *testing.T) {
		s := newSite(t, Config{
			Group: "tab", DatabaseFile: file, Rules: []string{"/api/=Guest", "/settings/=1", "/all/=998"},
			Allow: []string{"username=fay"}, Deny: []string{"username=sue"},
		})
		for target, want := range map[string]string{
			"http://radarr.example.com/api/x": "nobody", "http://radarr.example.com/settings/": "fay",
			"http://radarr.example.com/all/": "fay", "http://radarr.example.com/": "fay",
			"http://off.example.com/api/x": "nobody", "http://off.example.com/": "fay",
		} {
			if got := leastPrivileged(s, sessions, "GET "+target); got != want {
				t.Errorf("%s lets %q in, want %q", target, got, want)
			}
		}
		for target, want := range map[string]int{
			"http://radarr.example.com/": 200, "http://radarr.example.com/settings/": 403,
			"http://radarr.example.com/%00": 403, "http://off.example.com/": 403, "http://off.example.com/all/": 200,
			"http://radarr.example.com/x/..%2fSETTINGS;x": 403, "http://radarr.example.com/x/..%2fSETTING;x": 200,
		} {
			s.expectTwice(t, want, "GET "+target, "Cookie", sessions["pat"])
		}
		s.expectTwice(t, 403, "GET http://public.example.com/", "Cookie", sessions["sue"])
		s.expectTwice(t, 200, "COPY http://radarr.example.com/", "Cookie", sessions["pat"], "Destination", "/x")
		s.expectTwice(t, 403, "COPY http://radarr.example.com/", "Cookie", sessions["pat"], "Destination", "/settings/")
		s.expectTwice(t, 403, "COPY http://radarr.example.com/all/", "Cookie", sessions["bob"], "Destination", "/x")
	})
	run(t, "what the page and the log say", func(t *testing.T) {
		named := newSite(t, Config{Group: "tab=Sonar", DatabaseFile: file})
		for _, test := range []struct {
			site   *site
			target string
			page   []string
			logged string
		}{
			{
				byHost, "http://radarr.example.com/",
				[]string{"Power User (3) or a smaller number", "<dt>By the tab</dt><dd>Radarr</dd>"},
				`reason="group 4, but Power User (3) or a smaller number is required by the tab Radarr"`,
			},
			{
				byHost, "http://None.example.com:8443/",
				[]string{"Organizr has no tab for none.example.com, so only its administrator gets in.", "Admin (0)<"},
				`reason="group 4, but Admin (0) is required: Organizr has no tab for none.example.com"`,
			},
			{
				byHost, "http://off.example.com/",
				[]string{"Organizr&#39;s tab Off is switched off, so only its administrator gets in."},
				`required: Organizr's tab Off is switched off"`,
			},
			{
				byHost, "http://nogroup.example.com/",
				[]string{"Organizr&#39;s tab No Group has no group, so only its administrator gets in."},
				`required: Organizr's tab No Group has no group"`,
			},
			{
				named, "/",
				[]string{"Organizr has no tab called Sonar, so only its administrator gets in."},
				`required: Organizr has no tab called Sonar"`,
			},
		} {
			headers := []string{"Cookie", sessions["bob"], "Accept", browserAccept}
			page := test.site.send("GET "+test.target, headers...).Body.String()
			for _, part := range test.page {
				if !strings.Contains(page, part) {
					t.Errorf("%s: the page has no %s: %s", test.target, part, page)
				}
			}
			run(t, "the log of "+test.target, func(t *testing.T) {
				line := printedBy(t, func() { test.site.send("GET "+test.target, headers...) })
				if !strings.Contains(line, test.logged) {
					t.Errorf("the log has no %s: %s", test.logged, line)
				}
			})
		}
	})
}

// newSiteAt returns a site that follows a file, which is first one of the sample databases.
func newSiteAt(t *testing.T, file, sample string, config Config) *site {
	t.Helper()
	writeFile(t, file, readTestdata(t, "databases/"+sample))
	config.DatabaseFile = file
	return newSite(t, config)
}

// What a tab requires is remembered by host, and that must never outlast the tab or take memory for nobody.
func TestRememberedTabs(t *testing.T) {
	sessions := sampleSessions(t)
	file := filepath.Join(t.TempDir(), "organizr.db")
	s := newSiteAt(t, file, "tabs.db", Config{Group: "tab"})
	s.expectTwice(t, 200, "GET http://sonarr.example.com/", "Cookie", sessions["bob"])
	m := pluginOf(t, s.handler)
	before := len(m.tabRules)
	for i := 0; i < 50; i++ {
		s.send(fmt.Sprintf("GET http://of-nobody-%d.example.com/", i))
		s.send(fmt.Sprintf("GET http://%s-%d.example.com/", strings.Repeat("x", 300), i), "Cookie", sessions["bob"])
	}
	if got := len(m.tabRules); got != before {
		t.Errorf("%d hosts are remembered, want %d: no long ones, and none of people without a session", got, before)
	}
	for i := 0; i < 1500; i++ {
		s.send(fmt.Sprintf("GET http://of-bob-%d.example.com/", i), "Cookie", sessions["bob"])
	}
	if got := len(m.tabRules); got > 1000 {
		t.Errorf("%d hosts are remembered, want at most 1000", got)
	}
	outdated := m.tabs
	writeFile(t, file, readTestdata(t, "databases/tabs-later.db"))
	turnClock(1)
	s.send("GET /", "Cookie", sessions["bob"])
	m.cacheTabRule("sonarr.example.com", newRule(guestGroup), outdated) // by a request that began before the change
	s.expectTwice(t, 403, "GET http://sonarr.example.com/", "Cookie", sessions["bob"])
	turnClock(0)
}

func TestTabsChange(t *testing.T) {
	sessions := sampleSessions(t)
	file := filepath.Join(t.TempDir(), "organizr.db")
	s := newSiteAt(t, file, "tabs.db", Config{Group: "tab"})
	key := newSite(t, Config{Group: "tab", DatabaseFile: file, Keys: []string{keyItem("monitor=Guest", monitorKey)}})
	open := newSite(t, Config{Group: "Guest", DatabaseFile: file})
	for i, state := range []struct {
		database string // nothing is written if it is empty
		who      map[string]string
		logged   string
	}{
		{"", map[string]string{
			"sonarr": "bob", "radarr": "pat", "off": "alice", "navidrome": "bob", "public": "nobody",
		}, ""},
		{"tabs-later.db", map[string]string{
			"sonarr": "alice", "radarr": "alice", "off": "bob", "navidrome": "alice", "public": "nobody",
		}, ""},
		{
			"page-512.db",
			map[string]string{"sonarr": "alice", "off": "bob", "public": "nobody"},
			`has no table "tabs" with a column "name"`,
		},
		{"tabs.db", map[string]string{"sonarr": "bob", "radarr": "pat", "off": "alice", "public": "nobody"}, ""},
	} {
		run(t, fmt.Sprint(i, " ", state.database), func(t *testing.T) {
			turnClock(float64(10 * i))
			if state.database != "" {
				writeFile(t, file, readTestdata(t, "databases/"+state.database))
			}
			logged := loggedBy(t, func() { turnClock(float64(10*i) + 1); s.send("GET /") })
			if !strings.Contains(logged, state.logged) || (logged == "") != (state.logged == "") {
				t.Errorf("logged %q, want %q", logged, state.logged)
			}
			for name, want := range state.who {
				if got := leastPrivileged(s, sessions, "GET http://"+name+".example.com/"); got != want {
					t.Errorf("%s lets %q in, want %q", name, got, want)
				}
			}
		})
	}
	turnClock(0)
	run(t, "a database without tabs from the beginning", func(t *testing.T) {
		other := filepath.Join(t.TempDir(), "organizr.db")
		without := newSiteAt(t, other, "page-512.db", Config{Group: "tab", Keys: []string{keyItem("a=Admin", monitorKey)}})
		without.expectTwice(t, 503, "GET http://sonarr.example.com/", "Cookie", sessions["alice"])
		without.expectTwice(t, 503, "GET http://sonarr.example.com/")
		without.expectTwice(t, 503, "GET http://sonarr.example.com/", "X-Organizr-Key", monitorKey)
		newSite(t, Config{Group: "User", DatabaseFile: other}).expectTwice(t, 200, "GET /", "Cookie", sessions["bob"])
	})
	key.expectTwice(t, 200, "GET http://public.example.com/", "X-Organizr-Key", monitorKey)
	key.expectForwarded(t, "X-Organizr-User", "monitor")
	key.expectTwice(t, 403, "GET http://sonarr.example.com/", "X-Organizr-Key", monitorKey)
	open.expectTwice(t, 200, "GET http://sonarr.example.com/")
}

// The database.

// An accountCase is what becomes of a user's session.
type accountCase struct {
	name, username string
	status         int    // of a site for Power Users and the group Family
	forwarded      string // to a service for all who are logged in, and on a Guest route
}

func TestDatabaseOverridesToken(t *testing.T) {
	sessions := sampleSessions(t)
	file := filepath.Join(t.TempDir(), "organizr.db")
	config := Config{
		DatabaseFile: file, Group: "Power User", Allow: []string{"group=Family"},
		Rules:   []string{"/public/=Guest", "/all/=998"},
		Headers: map[string]string{"X-All": "{username}|{email}|{group}|{groupID}|{userID}"},
	}
	writeFile(t, file, readTestdata(t, "databases/page-512.db"))
	s := newSite(t, config)
	for i, state := range []struct {
		database string
		cases    []accountCase
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
			{"a space behind the email address", "pat", 403, ""},
			{"a line feed in the email address", "fay", 403, ""},
			{"a no-break space in the name", "Zoë Müller", 403, ""},
		}},
		{"numbers-as-text.db", []accountCase{
			{"back, with numbers as text", "sue", 200, "sue|sue@example.com|Super User|2|4"},
		}},
		{"empty-tables.db", []accountCase{
			{"no session is listed", "alice", 401, ""},
			{"nor this one", "bob", 401, ""},
		}},
	} {
		writeFile(t, file, readTestdata(t, "databases/"+state.database))
		for _, test := range state.cases {
			run(t, test.name+" ("+state.database+")", func(t *testing.T) {
				setClock(t, 2*float64(i))
				session := sessions[test.username]
				for _, each := range []*site{s, newSite(t, config)} { // before and after the change
					each.expect(t, test.status, "GET /", "Cookie", session)
					each.expect(t, 200, "GET /public/", "Cookie", session)
					each.expectForwarded(t, "X-All", test.forwarded)
					got := each.send("GET /all/", "Cookie", session).Code
					if (got == 200) != (test.forwarded != "") {
						t.Errorf("GET /all/ of %s: got %d, want 200: %v", test.username, got, test.forwarded != "")
					}
				}
			})
		}
	}
	run(t, "a name that isn't UTF-8", func(t *testing.T) {
		writeFile(t, file, strings.ReplaceAll(readTestdata(t, "databases/page-512.db"), "Zo\u00eb", "Zo\xeb\xeb"))
		setClock(t, 18)
		s.expect(t, 403, "GET /all/", "Cookie", sessions["Zo\u00eb M\u00fcller"])
	})
	run(t, "a locked account's page says so", func(t *testing.T) {
		setClock(t, 20)
		writeFile(t, file, readTestdata(t, "databases/later.db"))
		body := s.send("GET /", "Cookie", sessions["carol"], "Accept", browserAccept).Body.String()
		if !strings.Contains(body, "Your account is locked") || strings.Contains(body, "Asked for") {
			t.Errorf("GET / of carol, locked: got %s\nwant a page with that reason and no other", body)
		}
	})
	run(t, "a token that Organizr never made is no session, even if it is signed", func(t *testing.T) {
		setClock(t, 22)
		s.expect(t, 401, "GET /all/", "Cookie", cookieWith(tokenWith(`"groupID":0,"userID":1,"name":"alice"`)))
	})
}

// Organizr compares tokens.expires with its clock as text, so 2026-12-24 23:59:59 is over when that day begins.
func TestDatabaseExpiry(t *testing.T) {
	sessions := sampleSessions(t)
	file := filepath.Join(t.TempDir(), "organizr.db")
	writeFile(t, file, readTestdata(t, "databases/expires.db"))
	s := newSite(t, Config{DatabaseFile: file, Group: "998"})
	at := func(clock string) float64 {
		moment, err := time.Parse(time.RFC3339Nano, clock)
		if err != nil {
			t.Fatal(err)
		}
		return float64(moment.UnixNano())/1e9 - float64(organizr.ValidAt)
	}
	for _, test := range []struct {
		username, about string
		last, first     string // moments when the session is good for the last time, and isn't for the first
	}{
		{"carol", "2026-12-24 00:00:00", "2026-12-23T23:59:59.9Z", "2026-12-24T00:00:00Z"},
		{"sue", "2026-12-24 23:59:59", "2026-12-23T23:59:59.9Z", "2026-12-24T00:00:00Z"},
		{"pat", "2026-12-24T12:00:00Z, as very old rows have it", "2026-12-24T11:59:59.9Z", "2026-12-24T12:00:00Z"},
		{"Zoë Müller", "2026-12-24", "2026-12-23T23:59:59.9Z", "2026-12-24T00:00:00Z"},
		{"alice", "NULL", "", "2026-11-30T00:00:00Z"},
		{"bob", "an empty text", "", "2026-11-30T00:00:00Z"},
		{"fay", "a number", "", "2026-11-30T00:00:00Z"},
	} {
		run(t, test.about, func(t *testing.T) {
			for _, each := range []*site{s, newSite(t, Config{DatabaseFile: file, Group: "998"})} {
				if test.last != "" {
					setClock(t, at(test.last))
					each.expectTwice(t, 200, "GET /", "Cookie", sessions[test.username])
				}
				setClock(t, at(test.first))
				each.expectTwice(t, 401, "GET /", "Cookie", sessions[test.username])
			}
		})
	}
}

// Organizr's settings matchUserIP and matchUserAgents bind a session to the address and the browser that its row has.
// carol logged in with Firefox from 203.0.113.5, and sue from 2001:db8::1.
func TestBoundSessions(t *testing.T) {
	sessions := sampleSessions(t)
	folder := t.TempDir() + "/"
	writeFile(t, folder+"db", readTestdata(t, "databases/expires.db"))
	for i, test := range []struct {
		name      string
		settings  string // lines of config.php
		username  string
		address   string // in X-Forwarded-For; empty for that of the connection, 192.0.2.1
		userAgent string
		status    int
	}{
		{"both are off", "", "carol", "198.51.100.9", "curl", 200},
		{
			"both are off, as the settings page writes it",
			"'matchUserIP' => false, 'matchUserAgents' => false,", "carol", "", "", 200,
		},
		{"the right browser", "'matchUserAgents' => true,", "carol", "198.51.100.9", "Firefox", 200},
		{"another browser", "'matchUserAgents' => true,", "carol", "203.0.113.5", "firefox", 401},
		{"no browser", "'matchUserAgents' => '1',", "carol", "203.0.113.5", "", 401},
		{"the right address", "'matchUserIP' => true,", "carol", "203.0.113.5", "curl", 200},
		{"the right address behind proxies", "'matchUserIP' => true,", "carol", "203.0.113.5, 10.0.0.1", "curl", 200},
		{"the right address with a port", "'matchUserIP' => true,", "carol", "203.0.113.5:1234", "curl", 200},
		{"another address", "'matchUserIP' => true,", "carol", "198.51.100.9", "Firefox", 401},
		{"the right address behind another", "'matchUserIP' => true,", "carol", "198.51.100.9, 203.0.113.5", "", 401},
		{"the connection's address, which is another", "'matchUserIP' => true,", "carol", "", "Firefox", 401},
		{"a local address", "'matchUserIP' => true,", "carol", "10.1.2.3", "", 200},
		{"another local address", "'matchUserIP' => true,", "carol", "172.31.255.255", "", 200},
		{"an address beside the local ones", "'matchUserIP' => true,", "carol", "172.32.0.0", "", 401},
		{"the first address of 127.0.0.0/8, which isn't local", "'matchUserIP' => true,", "carol", "127.0.0.0", "", 401},
		{"the right IPv6 address", "'matchUserIP' => true,", "sue", "2001:db8::1", "", 200},
		{"the same address, spelt otherwise", "'matchUserIP' => true,", "sue", "2001:DB8::1", "", 401},
		{"a local IPv6 address", "'matchUserIP' => true,", "sue", "::ffff:10.0.0.1", "", 401},
		{
			"an address that Organizr was told is local",
			"'matchUserIP' => true, 'localIPList' => '198.51.100.77/24, 192.0.2.9',", "carol", "198.51.100.9", "", 200,
		},
		{
			"a single address that Organizr was told is local",
			"'matchUserIP' => true, 'localIPList' => '198.51.100.77/24, 192.0.2.9',", "carol", "192.0.2.9", "", 200,
		},
		{
			"nonsense among them",
			"'matchUserIP' => true, 'localIPList' => 'x/33, /, 1.2.3.4/99',", "carol", "1.2.3.4", "", 401,
		},
		{
			"both, and both are right",
			"'matchUserIP' => true, 'matchUserAgents' => true,", "carol", "203.0.113.5", "Firefox", 200,
		},
		{
			"both, and one is wrong",
			"'matchUserIP' => true, 'matchUserAgents' => true,", "carol", "203.0.113.5", "curl", 401,
		},
	} {
		run(t, test.name, func(t *testing.T) {
			file := fmt.Sprint(folder, i, ".php")
			writeFile(t, file, strings.Replace(configPHP(), "return [", "return ["+test.settings, 1))
			s := newSite(t, Config{ConfigFile: file, DatabaseFile: folder + "db", Group: "998"})
			headers := []string{"Cookie", sessions[test.username], "Client-Ip", "203.0.113.5"}
			if test.address != "" {
				headers = append(headers, "X-Forwarded-For", test.address)
			}
			if test.userAgent != "" {
				headers = append(headers, "User-Agent", test.userAgent)
			}
			s.expectTwice(t, test.status, "GET /", headers...)
		})
	}
	run(t, "a visitor who is cached isn't taken for one at another address", func(t *testing.T) {
		file := folder + "cached.php"
		writeFile(t, file, strings.Replace(configPHP(), "return [", "return ['matchUserIP' => true,", 1))
		s := newSite(t, Config{ConfigFile: file, DatabaseFile: folder + "db", Group: "998"})
		s.expect(t, 200, "GET /", "Cookie", sessions["carol"], "X-Forwarded-For", "203.0.113.5")
		s.expect(t, 401, "GET /", "Cookie", sessions["carol"], "X-Forwarded-For", "198.51.100.9")
		s.expect(t, 200, "GET /", "Cookie", sessions["carol"], "X-Forwarded-For", "203.0.113.5")
		writeFile(t, file, configPHP())
		setClock(t, 1.1)
		s.expect(t, 200, "GET /", "Cookie", sessions["carol"], "X-Forwarded-For", "198.51.100.9")
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
	for username, forwarded := range map[string]string{
		"alice":      "alice|alice@example.com|Admin|0|1",
		"bob":        "bob|bob@example.com|User|4|2",
		"carol":      "carol|carol@example.com|Co-Admin|1|3",
		"sue":        "sue|sue@example.com|Super User|2|4",
		"pat":        "pat|pat@example.com|Power User|3|5",
		"fay":        "fay|fay@example.com|Family|5|6",
		"Zoë Müller": "Zoë Müller|zoe@example.com|User|4|7",
	} {
		run(t, username, func(t *testing.T) {
			s.send("GET /", "Cookie", "organizr_token_bc659f4e-ece8-42f9-ad2d-6088689e8ebd="+sessions[username])
			s.expectForwarded(t, "X-All", forwarded)
		})
	}
}

// A databaseTable is testdata/databases/databases.json: what a correct reader finds in the files beside it.
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

// A shrinkingFile is emptied when it has been read so many times.
type shrinkingFile struct {
	text  string
	reads int
}

func (s *shrinkingFile) ReadAt(content []byte, at int64) (int, error) {
	if s.reads--; s.reads < 0 {
		return 0, io.EOF
	}
	return strings.NewReader(s.text).ReadAt(content, at)
}

// A byte that a disk or somebody else's writing changed never stops the reader.
func TestDamagedDatabase(t *testing.T) {
	whole := readTestdata(t, "databases/page-4096.db")
	for offset := 0; offset < len(whole); offset += 73 {
		damaged := whole[:offset] + "\x01" + whole[offset+1:]
		_, _ = readDatabaseFrom(strings.NewReader(damaged), strings.NewReader(""), int64(len(damaged)))
	}
}

func TestDatabaseFormat(t *testing.T) {
	var table databaseTable
	decodeTestdata(t, "databases/databases.json", &table)
	for _, test := range table.Read {
		run(t, test.File+", "+test.About, func(t *testing.T) {
			sessions, err := readSample(test.File)
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
					if group == "" {
						group = builtInGroupNames[*user.GroupID]
					}
					if group == "" {
						group = number
					}
					want := listedUser{
						claims: map[string]string{
							"username": user.Username, "email": user.Email, "image": user.Image,
							"userID": fmt.Sprint(id), "groupID": number, "group": group,
						},
						groupID: *user.GroupID,
						locked:  user.Locked,
					}
					if got := sessions[token]; !reflect.DeepEqual(got, want) {
						t.Errorf("a session of user %d: got %v, want %v", id, got, want)
					}
				}
			}
			if len(sessions) != listed {
				t.Errorf("got %d sessions, want %d", len(sessions), listed)
			}
		})
	}
	run(t, "one after the other, of which a reader parses only what has changed", func(t *testing.T) {
		reader := newDatabaseReader(false)
		for i := range table.Read {
			for _, test := range []int{i, len(table.Read) - 1 - i, i} {
				file := table.Read[test].File
				want, err := readSample(file)
				if err != nil {
					t.Fatal(err)
				}
				got, err := listedUsers(reader.read("testdata/databases/" + file))
				if err != nil || !reflect.DeepEqual(got, want) {
					t.Errorf("%s: got %v and %v, want %v", file, got, err, want)
				}
			}
		}
	})
	run(t, "of a row that is longer than Organizr writes any, the group isn't read", func(t *testing.T) {
		usual, err := readSample("page-4096.db")
		long, longErr := readSample("long-row.db")
		if err != nil || longErr != nil {
			t.Fatal(err, longErr)
		}
		for token, user := range usual {
			userID := user.claims["userID"]
			if got, listed := long[token]; listed != (userID != "2") {
				t.Errorf("a session of user %s: got %v, want it listed: %v", userID, got, userID != "2")
			}
		}
	})
	run(t, "a write-ahead log that is emptied while it is read", func(t *testing.T) {
		content, wal := readTestdata(t, "databases/log.db"), readTestdata(t, "databases/log.db-wal")
		for reads := 0; reads < 20; reads++ {
			emptied := &shrinkingFile{text: wal, reads: reads}
			_, err := readDatabaseFrom(strings.NewReader(content), emptied, int64(len(content)))
			t.Log(reads, err)
		}
	})
	run(t, "a link, beside whose target the write-ahead log is", func(t *testing.T) {
		link := filepath.Join(t.TempDir(), "organizr.db")
		target, err := filepath.Abs("testdata/databases/log.db")
		if err == nil {
			err = os.Symlink(target, link)
		}
		if err != nil {
			t.Fatal(err)
		}
		sue := sampleSessions(t)["sue"] // a session that is somebody else's in the log
		newSite(t, Config{DatabaseFile: link}).expect(t, 401, "GET /", "Cookie", sue)
	})
	for _, test := range table.Refused {
		run(t, test.File+" is refused, "+test.About, func(t *testing.T) {
			if sessions, err := readSample(test.File); err == nil {
				t.Errorf("got %d sessions, want an error", len(sessions))
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

// The session cache.

func TestSessionCache(t *testing.T) {
	bob, session := tokenOf(t, "bob"), cookieWith(tokenOf(t, "bob"))
	forever := cookieWith(tokenWith(`"name":"bob","groupID":4,"exp":1e300`))
	for _, test := range []struct {
		name   string
		config Config
		first  string // cookies
		then   string // the cookies after them
		cached bool
	}{
		{"with the same cookies", Config{}, session, session, true},
		{"with the same cookies, among them others", Config{}, "a=1; " + session, "a=1; " + session, true},
		{"with other cookies", Config{}, session + "; a=1", session + "; a=2; c=3", true},
		{"with cookies of 6 KiB", Config{}, session, session + "; a=" + strings.Repeat("x", 6<<10), true},
		{"on a Guest route", Config{Group: "Guest"}, session + "; a=1", session + "; a=2", true},
		{"with a stale one before it", Config{}, cookieWith("stale") + "; " + session, session, true},
		{"with a session that never ends", Config{}, forever, forever, true},
		{"under another name", Config{}, session, "x=" + bob, false},
		{"with one byte more", Config{}, session, session + "x", false},
		{"with one byte less", Config{}, session, session[:len(session)-1], false},
		{"another user", Config{}, session, cookieWith(tokenOf(t, "alice")), false},
		{"nobody before", Config{}, "a=1", session, false},
	} {
		run(t, test.name, func(t *testing.T) {
			s := newSite(t, test.config)
			s.send("GET /", "Cookie", test.first)
			if got := s.caches("Cookie", test.then); got != test.cached && test.config.Group == "" {
				t.Errorf("%.20s… after %.20s…: cached: %v, want %v", test.then, test.first, got, test.cached)
			}
			if test.cached {
				s.expectForwarded(t, "X-Organizr-User", "bob")
			}
			if got := s.forwardedHeader("Cookie"); strings.Contains(got, cookieName) {
				t.Errorf("the service got the session in Cookie %.100q", got)
			}
		})
	}
	run(t, "by a bearer token", func(t *testing.T) {
		s := newSite(t, Config{AcceptBearer: true})
		s.send("GET /", "Authorization", "Bearer bob", "Cookie", "a=1")
		if s.caches("Authorization", "Bearer x"+bob) {
			t.Error("another token is cached too")
		}
		if !s.caches("Authorization", "Bearer bob", "Cookie", "a=2") {
			t.Error("the token isn't cached beside other cookies")
		}
		s.expectForwarded(t, "Authorization", "")
	})
	run(t, "a session in a cookie isn't taken for the same one as a bearer token", func(t *testing.T) {
		s := newSite(t, Config{AcceptBearer: true})
		s.send("POST /", "Authorization", "Bearer bob", "Sec-Fetch-Site", "cross-site")
		s.expect(t, 403, "POST /", "Cookie", "bob", "Sec-Fetch-Site", "cross-site")
	})
	run(t, "lines of a header aren't taken for one line with a space", func(t *testing.T) {
		s := newSite(t, Config{AcceptBearer: true, Keys: []string{keyItem("lunasea=User", lunaseaKey)}})
		for range [2]int{} {
			s.send("GET /", "Cookie", "alice", "Authorization", "Bearer", "Authorization", lunaseaKey)
			s.send("GET /", "Cookie", "x=1 "+session, "X-Organizr-Key", lunaseaKey)
			s.send("GET /", "Authorization", basic("lunasea", lunaseaKey))
		}
		s.send("GET /", "Cookie", "alice", "Authorization", "Bearer "+lunaseaKey)
		s.expectForwarded(t, "Authorization", "")
		s.send("GET /", "Cookie", "x=1", "Cookie", session, "X-Organizr-Key", lunaseaKey)
		s.expectForwarded(t, "X-Organizr-User", "bob")
		s.expectForwarded(t, "Cookie", "x=1")
		scheme, credentials, _ := strings.Cut(basic("lunasea", lunaseaKey), " ")
		s.expect(t, 401, "GET /", "Authorization", scheme, "Authorization", credentials)
	})
	run(t, "a thousand sessions, and changing cookies of one evict no other", func(t *testing.T) {
		s := newSite(t, Config{})
		s.send("GET /", "Cookie", "alice")
		for i := 0; i < 1500; i++ {
			s.send("GET /", "Cookie", session+"; a="+fmt.Sprint(i))
		}
		if !s.caches("Cookie", "alice") {
			t.Error("alice isn't cached any more after 1,500 requests of bob")
		}
		if got := cachedEntries(t, s.handler); got > 5 { // for nobody, and two for each of them
			t.Errorf("alice and bob take %d entries, want at most 5", got)
		}
		sessions := make([]string, 998) // with alice's and bob's a thousand
		for i := range sessions {
			sessions[i] = cookieWith(tokenWith(fmt.Sprintf(`"groupID":4,"userID":%d`, i)))
			s.send("GET /", "Cookie", sessions[i])
		}
		s.send("GET /", "Cookie", session+"; a=1500")
		for i, each := range append(sessions, cookieWith(tokenOf(t, "alice")), session) {
			if !s.caches("Cookie", each) {
				t.Fatalf("session %d of a thousand isn't cached", i)
			}
		}
		for _, username := range []string{"carol", "sue", "pat"} {
			if s.send("GET /", "Cookie", username); !s.caches("Cookie", username) {
				t.Errorf("%s isn't cached, after a thousand others", username)
			}
			if got := cachedEntries(t, s.handler); got > 2001 {
				t.Errorf("after a thousand others and %s: %d entries, want at most 2001", username, got)
			}
		}
	})
	run(t, "nothing that wasn't verified", func(t *testing.T) {
		s := newSite(t, Config{AcceptBearer: true})
		s.send("GET /")
		before := cachedEntries(t, s.handler)
		for i := 0; i < 20; i++ {
			s.send("GET /", "Cookie", session+strings.Repeat("x", i+1))
			s.send("GET /", "Cookie", fmt.Sprint("a=", i))
			s.send("GET /", "Authorization", fmt.Sprint("Bearer x", i))
			s.send("GET /", "Cookie", cookieWith(tokenWith(fmt.Sprintf(`"groupID":%d`, 1000+i))))
		}
		if got := cachedEntries(t, s.handler); got != before {
			t.Errorf("%d entries after requests without a session, want %d as before", got, before)
		}
	})
}

func TestCacheInvalidation(t *testing.T) {
	sessions := sampleSessions(t)
	bob := sessions["bob"]
	folder := t.TempDir() + "/"
	php, file := folder+"config.php", folder+"db"
	writeFile(t, php, configPHP())
	writeFile(t, file, readTestdata(t, "databases/page-512.db"))
	s := newSite(t, Config{ConfigFile: php, DatabaseFile: file})
	writePHP := func(text string) { writeFile(t, php, text) }
	writeDatabase := func(sample string) { writeFile(t, file, readTestdata(t, "databases/"+sample)) }
	for i, state := range []struct {
		name   string
		change func()
		cached bool // after the change
	}{
		{"nothing changes", func() {}, true},
		{"config.php is written anew with the same secret", func() { writePHP(configPHP("title", "Home")) }, true},
		{"the database is written anew with the same accounts", func() { writeDatabase("page-1024.db") }, true},
		{"the database is missing", func() { removeFile(t, file) }, true},
		{"somebody else's account changes", func() { writeDatabase("later.db") }, false},
		{"the uuid changes", func() { writePHP(strings.Replace(configPHP(), organizr.UUID, "other", 1)) }, false},
		{"the uuid changes back", func() { writePHP(configPHP()) }, false},
	} {
		run(t, state.name, func(t *testing.T) {
			setClock(t, 2*float64(i))
			s.send("GET /", "Cookie", bob)
			s.send("GET /", "Cookie", bob+"; a=1")
			state.change()
			setClock(t, 2*float64(i)+1.5)
			s.send("GET /")
			for _, cookies := range []string{bob, bob + "; a=1", bob + "; a=2"} {
				if got := s.caches("Cookie", cookies); got != state.cached {
					t.Errorf("…%s: cached: %v, want %v", cookies[len(cookies)-20:], got, state.cached)
				}
			}
		})
	}
	run(t, "a session that was verified before a change isn't cached after it", func(t *testing.T) {
		setClock(t, 14)
		s.send("GET /", "Cookie", bob)
		cacheAgain := cachedSession(t, s.handler, strings.TrimPrefix(bob, cookieName+"="))
		writeDatabase("empty-tables.db")
		setClock(t, 15.5)
		s.send("GET /")
		cacheAgain(bob)
		s.expect(t, 401, "GET /", "Cookie", bob)
	})
}

// Two sites serve requests while their database is replaced again and again, and a minute passes in 0.6 seconds.
func TestConcurrentRequests(t *testing.T) {
	sessions := sampleSessions(t)
	sessions["nobody"] = cookieWith("x")
	file := filepath.Join(t.TempDir(), "organizr.db")
	writeFile(t, file, readTestdata(t, "databases/page-512.db"))
	defer useFastClock(100)()
	config := Config{DatabaseFile: file, Group: "998"}
	service := func(_ http.ResponseWriter, _ *http.Request) {}
	handlers := []http.Handler{newHandler(t, config, service), newHandler(t, config, service)}
	finished := make(chan string)
	// send is given all that it needs: Yaegi's loops have one variable for all turns.
	send := func(handler http.Handler, username, session string, status int) {
		for i := 0; i < 200; i++ {
			rec := httptest.NewRecorder()
			handler.ServeHTTP(rec, newRequest(t, "GET /", "Cookie", fmt.Sprint(session, "; a=", i/2)))
			if rec.Code != status && status > 0 {
				t.Errorf("request %d of %s: got %d, want %d", i, username, rec.Code, status)
			}
		}
		finished <- username
	}
	// Zoë's session is listed for her only half of the time.
	for username, status := range map[string]int{"alice": 200, "bob": 200, "Zoë Müller": 0, "nobody": 401} {
		for _, handler := range append(handlers, handlers...) {
			go send(handler, username, sessions[username], status)
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
				t.Errorf("%s doesn't have %q", file, part)
			}
		})
	}
	run(t, "go.mod requires nothing", func(t *testing.T) {
		if text := readTestdata(t, "../go.mod"); strings.Contains(text, "require") {
			t.Errorf("go.mod requires something:\n%s", text)
		}
	})
}

// Allocations.

func TestAllocationsOfCachedSessions(t *testing.T) {
	var changing, unseen []string
	for i := 0; i <= 100; i++ {
		changing = append(changing, fmt.Sprintf("%s; a=%03d", cookieWith(tokenOf(t, "bob")), i))
		claims := fmt.Sprintf(`"groupID":4,"userID":%d`, i)
		unseen = append(unseen, fmt.Sprintf("%s; a=%03d", cookieWith(tokenWith(claims)), i))
	}
	s := newSite(t, Config{})
	allocations := func(cookies []string) float64 {
		next := 0
		return testing.AllocsPerRun(100, func() {
			s.send("GET /", "Cookie", cookies[next%len(cookies)])
			next++
		})
	}
	same, other, first := allocations(changing[:1]), allocations(changing), allocations(unseen)
	if same+5 > other || other+5 > first {
		t.Errorf("got %v allocations with the same cookies, %v with changing ones and %v at first sight, "+
			"want each at least 5 above the one before", same, other, first)
	}
}

// BenchmarkRefusals shows that no request of a stranger costs more than a few times an ordinary refusal.
func BenchmarkRefusals(b *testing.B) {
	forged := signToken(tokenHeader, `{"iss":"Organizr"}`, "another-key-that-is-long-enough-for-HS256")
	manyHeaders := http.Header{}
	for i := 0; i < 40_000; i++ {
		manyHeaders[fmt.Sprint("X-", i)] = []string{"x"}
	}
	page := http.Header{"Accept": {browserAccept}}
	manyLines := http.Header{"Authorization": strings.Split(strings.Repeat("Bearer a.b.c\n", 1000), "\n")}
	cookies := func(text string) http.Header { return http.Header{"Cookie": {text}} }
	for _, bench := range []struct {
		name   string
		target string
		header http.Header
	}{
		{"ordinary, without a cookie", "/", nil},
		{"a forged token", "/", cookies(cookieWith(forged))},
		{"a token of 64 KiB", "/", cookies(cookieWith(strings.Repeat("A", 64<<10)))},
		{"ten thousand cookies", "/", cookies(strings.Repeat("a=1; ", 10_000))},
		{"ten thousand cookies of the name", "/", cookies(strings.Repeat(cookieWith("a.b.c; "), 10_000))},
		{"a thousand lines of Authorization", "/", manyLines},
		{"a bearer token of 64 KiB", "/", http.Header{"Authorization": {"Bearer " + strings.Repeat(".", 64<<10)}}},
		{"a path encoded seven times, of 8 KiB", "/" + strings.Repeat("%2525252525252e", 546), nil},
		{"a path of 1 KiB with all that is cut off", "/" + strings.Repeat("%253b%2f;%5c..%3f%23", 51), nil},
		{"a plain path of more than 4 KiB", "/" + strings.Repeat("x/", 2100), nil},
		{"a query of 900 KB of percent signs", "/?" + strings.Repeat("%", 900_000), page},
		{"40,000 headers", "/", manyHeaders},
	} {
		b.Run(bench.name, func(b *testing.B) {
			s := newSite(b, Config{
				AcceptBearer: true, OrganizrURL: organizrURL, Rules: []string{"/api/=Guest", "/api/private/=Admin"},
			})
			req := newRequest(b, "GET "+bench.target)
			req.Header = bench.header
			b.ReportAllocs()
			for i := 0; i < b.N; i++ {
				if got := s.serve(req).Code; got != http.StatusUnauthorized && got != http.StatusFound {
					b.Fatalf("GET %.100s: got %d, want 401 or 302", bench.target, got)
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
	refused, accepted := tokenCases(f)
	for _, test := range append(refused, accepted...) {
		f.Add(test.Token)
	}
	config := Config{AcceptBearer: true, Group: "998"}
	s := newSite(f, config)
	config.Secret = "another-key-that-is-long-enough"
	otherSecret := newSite(f, config)
	f.Fuzz(func(t *testing.T, token string) {
		s.in(t)
		otherSecret.in(t)
		for name, value := range map[string]string{"Authorization": "Bearer " + token, "Cookie": cookieWith(token)} {
			if s.send("GET /", name, value).Code != http.StatusOK {
				continue
			}
			// A cookie may hold bytes that no token is made of, and net/http leaves them out.
			sent := strings.TrimRight(token, " ")
			if name == "Cookie" {
				sent = newRequest(t, "GET /", name, value).CookiesNamed(cookieName)[0].Value
			}
			parts := strings.Split(sent, ".")
			mac := hmac.New(sha256.New, []byte(organizr.OrganizrHash))
			mac.Write([]byte(parts[0] + "." + parts[1]))
			if len(parts) != 3 || parts[2] != base64.RawURLEncoding.EncodeToString(mac.Sum(nil)) {
				t.Fatalf("%q gets in, and isn't signed", token)
			}
			if otherSecret.send("GET /", name, value).Code == http.StatusOK {
				t.Fatalf("%q gets in by another secret", token)
			}
		}
	})
}

func FuzzClaims(f *testing.F) {
	f.Add(tokenHeader, `{"iss":"Organizr","aud":["Organizr"],"exp":9999999999,"nbf":1.5,"groupID":"4","name":"x"}`)
	refused, accepted := tokenCases(f)
	for _, test := range append(refused, accepted...) {
		parts := strings.Split(test.Token, ".")
		if len(parts) == 3 && len(test.Token) < 8<<10 {
			header, _ := base64.RawURLEncoding.DecodeString(parts[0])
			claims, _ := base64.RawURLEncoding.DecodeString(parts[1])
			f.Add(string(header), string(claims))
		}
	}
	groupID := regexp.MustCompile(`^(0|[1-9][0-9]{0,2})$`)
	s := newSite(f, Config{Group: "Guest", Headers: map[string]string{"X-Group": "{group}"}})
	f.Fuzz(func(t *testing.T, header, claims string) {
		s.in(t)
		s.send("GET /", "Cookie", cookieWith(signToken(header, claims, organizr.OrganizrHash)))
		group := s.forwardedHeader("X-Organizr-Group")
		if group == "" {
			return
		}
		var decoded struct {
			Alg, Typ, Iss string
			Exp           float64
		}
		if json.Unmarshal([]byte(header), &decoded) != nil || json.Unmarshal([]byte(claims), &decoded) != nil {
			t.Fatalf("%q %q is a session and isn't JSON", header, claims)
		}
		isHS256 := strings.Contains(header, "HS256") || strings.Contains(header, `\u`)
		if !isHS256 || decoded.Exp <= float64(organizr.ValidAt) {
			t.Fatalf("%q %q is a session", header, claims)
		}
		if group == "0" && !strings.Contains(claims, "0") {
			t.Fatalf("%q makes an administrator of nobody", claims)
		}
		number, _ := strconv.Atoi(group)
		name := builtInGroupNames[number]
		if name == "" {
			name = group
		}
		if !groupID.MatchString(group) || s.forwardedHeader("X-Group") != name {
			t.Fatalf("%q is of group %q, called %q", claims, group, s.forwardedHeader("X-Group"))
		}
		for _, name := range []string{"X-Organizr-User", "X-Organizr-Email"} {
			value := s.forwardedHeader(name)
			isPrintable := strings.TrimFunc(value, unicode.IsPrint) == "" && utf8.ValidString(value)
			if !isPrintable || value != strings.TrimSpace(value) {
				t.Fatalf("%q is forwarded as %s", value, name)
			}
		}
	})
}

// FuzzPaths asks of each path that a service may take for something protected whether somebody gets in whose group is
// one too low. The steps are what that service does to the path. With an r among them it has a router that matches
// names, as those of Express, Rails, Gin and Spring do: it splits the path at its slashes as they came, and decodes
// each name afterwards, so a name can hold a slash.
func FuzzPaths(f *testing.F) {
	var table pathTable
	decodeTestdata(f, "paths.json", &table)
	for _, test := range table.Cases {
		secret := strings.Replace(test.Target, "admin", "secret", 1)
		vault := strings.Replace(test.Target, "admin", "api/vault", 1)
		wildcard := strings.Replace(test.Target, "admin", "u/x/secret", 1)
		for _, target := range []string{test.Target, secret, vault, wildcard} {
			for _, steps := range []string{
				"dc", "dncl", "d?c", ";dc", "dd;cw", "dbcl", "?d;d#bcwl", "cdcdc", "pdc", "dc.", "d:c", "d",
				"rd", "rdl", "prd.", "crd", "urd",
			} {
				f.Add(target, steps)
			}
		}
	}
	f.Add("/files/..%2fadmin.json%23/raw", "d#c.")
	for _, name := range []string{
		"%2F", "%2f%2F", "a%2fb", ".%2F", "..%2f", "%2F.", "%2F..", ".%2F..", "%2e%2e%2f", "x%2F..%2F..", ".", "..",
		"%5C", ":", "$", "%7B$%7D", "{id}", "%23", "%3F", "%25", "%252F", "%252e", "a.b", "x.php", "%2e%2e;",
	} {
		for _, steps := range []string{"rd", "rdd", "rdl", "crd", "prd", "rd.", "rd:", "r;d", "d", "dd", "dl", "dc", "ddc"} {
			for _, path := range []string{
				"/u/%s/secret", "/u/%s/secret/", "/u%%2F%s/secret", "/u/%s%%2Fsecret", "/u/%s/secret.json", "/files/%s",
				"/home/%s/private/x", "/%s/private/x", "/index.php/u/%s/secret",
			} {
				f.Add(fmt.Sprintf(path, name), steps)
			}
		}
	}
	var rules []string
	for _, rule := range fuzzRules {
		rules = append(rules, fmt.Sprint(rule.pattern, "=", rule.group))
	}
	s := newSite(f, Config{Rules: rules})
	f.Fuzz(func(t *testing.T, target, steps string) {
		s.in(t)
		address, err := url.ParseRequestURI(target)
		if err != nil || !strings.HasPrefix(address.Path, "/") {
			return
		}
		names, ok := serviceNames(address.EscapedPath(), steps)
		if !ok {
			return
		}
		for _, method := range []string{"GET", "OPTIONS"} {
			group := groupByFuzzRules(method, names)
			if group == guestGroup {
				continue
			}
			req := newRequest(t, method+" /", "Cookie", cookieWith(tokenWith(fmt.Sprintf(`"groupID":%d`, group+1))))
			req.URL = address
			if s.serve(req).Code == http.StatusOK {
				t.Fatalf("%s %q lets group %d in, but a service can read it as %q, which require %d (steps %q)",
					method, target, group+1, names, group, steps)
			}
		}
	})
}

// serviceNames returns the names that a service reads in an escaped path, and false if it answers nothing there. A
// final slash is no name.
func serviceNames(escaped, steps string) ([]string, bool) {
	before, after, hasRouter := strings.Cut(steps, "r")
	if !strings.Contains(steps, "d") {
		after += "d" // no service leaves a path as it came
	}
	read := applySteps(escaped, before)
	if !hasRouter {
		read = applySteps(read, after)
	}
	names := strings.Split(strings.TrimPrefix(strings.TrimSuffix(read, "/"), "/"), "/")
	if hasRouter {
		for i, name := range names {
			if name == "" && len(names) > 1 {
				return nil, false
			}
			names[i] = applyToName(name, after, i == len(names)-1)
		}
		return names, true
	}
	if groupByFuzzRules("GET", names) == 4 { // a path that isn't clean is nothing to a service
		read = withoutDots(read)
		names = strings.Split(strings.TrimPrefix(strings.TrimSuffix(read, "/"), "/"), "/")
	}
	return names, true
}

func applySteps(path, steps string) string {
	for i, step := range steps {
		transform := pathTransformations[step]
		once := strings.ContainsRune(".p:", step) && strings.ContainsRune(steps[:i], step)
		if transform != nil && !once {
			path = transform(path)
		}
	}
	return path
}

// applyToName does to one name what a router does after it has split the path.
func applyToName(name, steps string, isLast bool) string {
	for i, step := range steps {
		once := strings.ContainsRune(".:", step) && strings.ContainsRune(steps[:i], step)
		isForNames := strings.ContainsRune("dl;u", step) || step == ':' && !once || step == '.' && !once && isLast
		if isForNames {
			name = strings.TrimPrefix(pathTransformations[step]("/"+name), "/")
		}
	}
	return name
}

// A fuzzRule is a rule of FuzzPaths. Its pattern ends in a slash if it is a folder.
type fuzzRule struct {
	pattern string
	group   int
}

// fuzzRules are the rules of FuzzPaths. Some overlap without one being more specific.
var fuzzRules = []fuzzRule{
	{"/secret", 0},
	{"/admin/", 1},
	{"/api/", 999},
	{"/api/private", 3},
	{"/api/vault/", 2},
	{"/home/feed", 999},
	{"/u/{id}/secret", 0},
	{"/{owner}/private/", 1},
	{"/files/{name}", 999},
	{"/files/{name}/raw", 2},
	{"/{a}/{b}/delete", 1},
	{"OPTIONS /", 998},
	{"/songs/{name...}", 4},
}

// names returns the method of a rule, the names of its pattern, with nothing for a wildcard, and whether it is a
// folder.
func (r fuzzRule) names() (method string, names []string, isFolder bool) {
	method, pattern, hasMethod := strings.Cut(r.pattern, " ")
	if !hasMethod {
		method, pattern = "", r.pattern
	}
	pattern = strings.TrimSuffix(pattern, "{name...}")
	pattern, isFolder = strings.CutSuffix(pattern, "/")
	for _, name := range strings.Split(pattern, "/")[1:] {
		if strings.HasPrefix(name, "{") {
			name = ""
		}
		names = append(names, name)
	}
	if pattern == "" {
		names = nil
	}
	return method, names, isFolder
}

// matches reports whether a service takes names for something that the rule is about. To it, /x and /x/ are the same.
func (r fuzzRule) matches(method string, names []string) bool {
	wanted, pattern, isFolder := r.names()
	if wanted != "" && wanted != method || len(names) < len(pattern) || len(names) > len(pattern) && !isFolder {
		return false
	}
	for i, name := range pattern {
		if names[i] == "" || name != "" && name != names[i] {
			return false
		}
	}
	return true
}

// includes reports whether all that the other rule matches is matched by this one.
func (r fuzzRule) includes(other fuzzRule) bool {
	wanted, pattern, isFolder := r.names()
	otherWanted, otherPattern, otherIsFolder := other.names()
	if wanted != "" && wanted != otherWanted || len(otherPattern) < len(pattern) ||
		!isFolder && (otherIsFolder || len(otherPattern) > len(pattern)) {
		return false
	}
	for i, name := range pattern {
		if name != "" && name != otherPattern[i] {
			return false
		}
	}
	return true
}

// groupByFuzzRules returns the group that the rules ask for, for what a service reads: the most privileged of the
// matching rules of which none is more specific.
func groupByFuzzRules(method string, names []string) int {
	var matching []fuzzRule
	for _, rule := range fuzzRules {
		if rule.matches(method, names) {
			matching = append(matching, rule)
		}
	}
	group := guestGroup + 1
	for _, rule := range matching {
		isGeneral := slices.ContainsFunc(matching, func(other fuzzRule) bool {
			return other != rule && rule.includes(other) && !other.includes(rule)
		})
		if !isGeneral && rule.group < group {
			group = rule.group
		}
	}
	if len(matching) == 0 {
		return 4
	}
	return group
}

// pathTransformations are what services do to a path before they look at it, each by a letter.
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
	'u': func(path string) string { return strings.ToValidUTF8(path, "") },                        // PHP's iconv
	'p': func(path string) string { return scriptBefore.ReplaceAllString(path, "/") },
	'.': func(path string) string { return extensionOfLast.ReplaceAllString(path, "$1$2") }, // Rails, Django REST
	':': func(path string) string { return streams.ReplaceAllString(path, "$1") },           // NTFS
}

var (
	percentEncoded        = regexp.MustCompile(`%[0-9a-fA-F]{2}`)
	matrixParameters      = regexp.MustCompile(`;[^/]*`)
	trailingDotsAndSpaces = regexp.MustCompile(`([^/. ])[. ]+(/|$)`)
	scriptBefore          = regexp.MustCompile(`^/[a-z]+\.(?:php|cgi|py)/`)
	extensionOfLast       = regexp.MustCompile(`(/[^/.]+)\.[^/.]+(/?)$`)
	streams               = regexp.MustCompile(`([^/:$])[:$][^/]*`)
)

// decodeOctet decodes one percent-encoded octet.
func decodeOctet(encoded string) string {
	octet, _ := url.PathUnescape(encoded)
	return octet
}

// withoutDots returns a path without . and .. and double slashes. A final slash stays.
func withoutDots(given string) string {
	clean := path.Clean("/" + given)
	if clean != "/" && strings.HasSuffix(given, "/") {
		clean += "/"
	}
	return clean
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
		var others []string
		for _, part := range strings.Split(line, ";") {
			name, _, _ := strings.Cut(part, "=")
			if strings.Trim(name, " \t") != cookieName {
				others = append(others, part)
			}
		}
		req := newRequest(t, "GET /")
		req.Header["Cookie"] = []string{line}
		s.serve(req)
		got, want := s.forwardedHeader("Cookie"), strings.Join(others, ";")
		if got == "" && strings.Count(line, ";") >= 200 && strings.Contains(line, cookieName) {
			return // of so many cookies none is forwarded
		}
		if strings.TrimLeft(got, " \t") != strings.TrimLeft(want, " \t") {
			t.Fatalf("of the cookies %q the service got %q, want %q", line, got, want)
		}
		if !strings.Contains(line, cookieName) && got != line {
			t.Fatalf("the cookies %q without a session became %q", line, got)
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
				t.Fatalf("%q is read in two ways: %v and %v", text, values, again)
			}
			half := strings.TrimRight(text, "; \t\r\n\v\f\u0085\u00a0")
			if _, err := readConfigPHP(half); err == nil {
				t.Fatalf("%q, without the end of the file, is read without an error", half)
			}
		}
		escaper := strings.NewReplacer(`\`, `\\`, `'`, `\'`)
		quotedHash, quotedCSS := "'"+escaper.Replace(hash)+"'", "'"+escaper.Replace(css)+"'"
		whole := "<?php\nreturn [\n\t'a' => " + quotedCSS + ",\n\t'b' => [\n\t\t'organizrHash' => " + quotedCSS +
			"\n\t],\n\t'organizrHash' => " + quotedHash + ",\n\t'z' => " + quotedCSS + "\n];"
		values, err := readConfigPHP(whole)
		if err != nil || values["organizrHash"] != hash || values["a"] != css || values["z"] != css {
			t.Fatalf("got %q and the error %v from %s", values, err, whole)
		}
	})
}

// Reading any database comes to an end, every session is of a user with a group, and no file becomes a multiple of it.
func FuzzDatabase(f *testing.F) {
	var table databaseTable
	decodeTestdata(f, "databases/databases.json", &table)
	var names []string
	for _, sample := range table.Read {
		names = append(names, sample.File)
	}
	for _, sample := range append(append(table.Busy, table.Refused...), table.Ends...) {
		names = append(names, sample.File)
	}
	for _, name := range names {
		if text := readTestdata(f, "databases/"+name); len(text) < 10_000 {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		sessions, err := readDatabaseFrom(strings.NewReader(text), strings.NewReader(""), int64(len(text)))
		if err != nil {
			return
		}
		size, seen := 0, map[string]bool{}
		for token, user := range sessions {
			checkListed(t, token, user)
			userID := user.claims["userID"]
			if userID == "" {
				t.Fatalf("%q is a session of a user without a number: %v", token, user)
			}
			size += len(token)
			if !seen[userID] {
				seen[userID] = true
				size += len(user.claims["username"]) + len(user.claims["email"]) + len(user.claims["image"])
			}
		}
		if size > 3*len(text) || len(sessions) > len(text) { // a number of eight bytes has up to 20 digits
			t.Fatalf("%d bytes of %d sessions come from a file of %d bytes", size, len(sessions), len(text))
		}
	})
}

// The same holds for any write-ahead log.
func FuzzDatabaseLog(f *testing.F) {
	content := readTestdata(f, "databases/log.db")
	for _, name := range []string{
		"log.db", "log-unfinished.db", "log-begun-anew.db", "log-of-a-smaller.db", "log-of-all.db",
	} {
		f.Add(readTestdata(f, "databases/"+name+"-wal"))
	}
	f.Fuzz(func(t *testing.T, wal string) {
		sessions, err := readDatabaseFrom(strings.NewReader(content), strings.NewReader(wal), int64(len(content)))
		if err != nil {
			return
		}
		for token, user := range sessions {
			checkListed(t, token, user)
		}
	})
}

// checkListed checks that a session that a database lists is of a user with a group.
func checkListed(t *testing.T, token string, user listedUser) {
	t.Helper()
	isGroup := user.groupID >= 0 && user.groupID <= 999 && user.claims["groupID"] == fmt.Sprint(user.groupID)
	if token == "" || !isGroup {
		t.Fatalf("%q is a session of %v, want a token and a group from 0 to 999", token, user)
	}
}
