package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/organizrjwt/organizrjwt"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/realorganizr"
	"golang.org/x/net/publicsuffix"
)

// organizrKeeps are the domains under which Organizr's parseDomain gives its cookie to its own host alone.
var organizrKeeps = strings.Fields(`
	ddns.net ddnsking.com 3utilities.com bounceme.net freedynamicdns.net freedynamicdns.org gotdns.ch hopto.org
	myddns.me myds.me myftp.biz myftp.org myvnc.com noip.com onthewifi.com redirectme.net serveblog.net
	servecounterstrike.com serveftp.com servegame.com servehalflife.com servehttp.com serveirc.com serveminecraft.net
	servemp3.com servepics.com servequake.com sytes.net viewdns.net webhop.me zapto.org`)

// parseDomain returns the domain that Organizr gives the first of its two cookies, or nothing for none. It is the
// function of that name in Organizr's api/functions/normal-functions.php.
func parseDomain(host string) string {
	host, _, _ = strings.Cut(host, ":")
	labels := strings.Split(host, ".")
	kept := func(first int) bool {
		return slices.Contains(organizrKeeps, strings.ToLower(labels[first]+"."+labels[first+1]))
	}
	switch {
	case len(labels) == 1, len(labels) > 3 && '0' <= host[0] && host[0] <= '9':
		return ""
	case len(labels) == 2:
		return "." + host
	case len(labels) > 3 && kept(2):
		return "." + strings.Join(labels[:4], ".")
	case len(labels) > 3:
		return "." + strings.Join(labels[1:4], ".")
	case kept(1), labels[0] != "www" && labels[1] == "co":
		return "." + host
	}
	return "." + strings.Join(labels[1:], ".")
}

// suffixes is the list of public suffixes, with those that a browser knows although the list here is too old for them.
type suffixes map[string]bool

func (newer suffixes) PublicSuffix(domain string) string {
	for name := domain; name != ""; _, name, _ = strings.Cut(name, ".") {
		if newer[name] {
			return name
		}
	}
	return publicsuffix.List.PublicSuffix(domain)
}

func (newer suffixes) String() string { return publicsuffix.List.String() }

// reaches reports whether a browser that logged in at Organizr's host sends its cookie to the service's.
func (newer suffixes) reaches(t *testing.T, organizr, service string) bool {
	t.Helper()
	jar, err := cookiejar.New(&cookiejar.Options{PublicSuffixList: newer})
	if err != nil {
		t.Fatal(err)
	}
	first := &http.Cookie{Name: "session", Value: "x", Path: "/"}
	second := &http.Cookie{Name: "session", Value: "x", Path: "/"}
	if domain := parseDomain(organizr); domain != "" {
		first.Domain, second.Domain = domain, organizr
	}
	jar.SetCookies(&url.URL{Scheme: "https", Host: organizr, Path: "/"}, []*http.Cookie{first, second})
	return len(jar.Cookies(&url.URL{Scheme: "https", Host: service, Path: "/"})) > 0
}

// sendsToLogin reports whether the plugin sends a visitor of the service to log in at Organizr. If not, the page must
// say why a login can't help.
func sendsToLogin(t *testing.T, organizr, service string) bool {
	t.Helper()
	config := organizrjwt.CreateConfig()
	config.UUID, config.Secret, config.Group, config.OrganizrURL = fakeorganizr.UUID, hash, "User", "https://"+organizr
	handler, err := organizrjwt.New(context.Background(), http.NotFoundHandler(), config, "provider")
	if err != nil {
		t.Fatal(err)
	}
	req := httptest.NewRequest(http.MethodGet, "https://"+service+"/", http.NoBody)
	req.Header.Set("Accept", pageAccept)
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, req)
	switch recorder.Code {
	case http.StatusFound:
		return true
	case http.StatusUnauthorized:
		if !strings.Contains(recorder.Body.String(), "help here") {
			t.Errorf("the page doesn't say that a login can't help: %s", recorder.Body)
		}
		return false
	}
	t.Fatalf("got %d", recorder.Code)
	return false
}

func TestWhereALoginReaches(t *testing.T) {
	for _, test := range []struct {
		organizr, service string
		reached           bool
	}{
		{"organizr.example.com", "sonarr.example.com", true},
		{"organizr.example.com", "example.com", true},
		{"organizr.example.com", "a.b.example.com", true},
		{"organizr.example.com", "sonarr.example.org", false},
		{"example.com", "sonarr.example.com", true},
		{"www.example.com", "sonarr.example.com", true},
		{"organizr.home.example.com", "sonarr.home.example.com", true},
		{"organizr.home.example.com", "sonarr.example.com", false},
		{"organizr.home.me.example.com", "sonarr.home.me.example.com", false},
		{"organizr.home.me.example.com", "sonarr.organizr.home.me.example.com", true},
		{"organizr.me.duckdns.org", "sonarr.me.duckdns.org", true},
		{"organizr.duckdns.org", "sonarr.duckdns.org", false},
		{"me.duckdns.org", "sonarr.me.duckdns.org", true},
		{"organizr.me.ddns.net", "sonarr.me.ddns.net", false},
		{"organizr.me.ddns.net", "sonarr.organizr.me.ddns.net", true},
		{"me.ddns.net", "sonarr.me.ddns.net", true},
		{"organizr.example.co.uk", "sonarr.example.co.uk", true},
		{"example.co.uk", "sonarr.example.co.uk", true},
		{"example.com.au", "sonarr.example.com.au", true},
		{"example.com.au", "other.com.au", false},
		{"organizr.co.de", "sonarr.co.de", false},
		{"organizr.home.arpa", "sonarr.home.arpa", false},
		{"organizr.box.home.arpa", "sonarr.box.home.arpa", true},
		{"organizr.lan", "sonarr.lan", false},
		{"organizr.demo.localhost", "sonarr.demo.localhost", true},
		{"localhost", "sonarr.localhost", false},
		{"4k.example.com", "sonarr.example.com", true},
		{"4k.home.example.com", "sonarr.home.example.com", false},
		{"4k.home.example.com", "sonarr.4k.home.example.com", false},
		{"organizr.box.ts.net", "sonarr.box.ts.net", true},
		{"box.ts.net", "other.ts.net", false},
	} {
		t.Run(test.organizr+" to "+test.service, func(t *testing.T) {
			if got := (suffixes{}).reaches(t, test.organizr, test.service); got != test.reached {
				t.Errorf("a browser sends the cookie: %v, want %v", got, test.reached)
			}
			if got := sendsToLogin(t, test.organizr, test.service); got != test.reached {
				t.Errorf("the plugin sends to the login: %v, want %v", got, test.reached)
			}
		})
	}
}

func TestProvidersAreHeldToThePublicSuffixList(t *testing.T) {
	names := providersOfPlugin(t)
	if len(names) < 60 {
		t.Fatalf("the plugin's source lists only %d providers: %q", len(names), names)
	}
	newer := suffixes{}
	var unknown []string
	for _, name := range names {
		if publicsuffix.List.PublicSuffix(name) != name {
			unknown = append(unknown, name)
		}
	}
	for _, name := range refusedByChromium(t, unknown) {
		newer[name] = true
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			for _, pair := range [][2]string{
				{"organizr." + name, "sonarr." + name},
				{"organizr." + name, "sonarr.organizr." + name},
				{"organizr.house." + name, "sonarr.house." + name},
				{"organizr.house." + name, "sonarr.neighbour." + name},
			} {
				reached := newer.reaches(t, pair[0], pair[1])
				if got := sendsToLogin(t, pair[0], pair[1]); got != reached {
					t.Errorf("from %s to %s the cookie goes: %v; the plugin sends to the login: %v", pair[0], pair[1], reached, got)
				}
			}
		})
	}
}

var domainName = regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)+$`)

// providersOfPlugin returns the words of all lists of domain names in the plugin's source.
func providersOfPlugin(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(proxy.Checkout(), "organizrjwt.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	ast.Inspect(file, func(node ast.Node) bool {
		variable, ok := node.(*ast.ValueSpec)
		if !ok {
			return true
		}
		var words []string
		ast.Inspect(variable, func(node ast.Node) bool {
			if literal, ok := node.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				text, _ := strconv.Unquote(literal.Value)
				words = append(words, strings.Fields(text)...)
			}
			return true
		})
		isOther := func(word string) bool { return !domainName.MatchString(word) }
		if len(words) > 5 && !slices.ContainsFunc(words, isOther) {
			names = append(names, words...)
		}
		return true
	})
	slices.Sort(names)
	return slices.Compact(names)
}

// refusedByChromium returns the domains for which Chromium takes no cookie from a host under them.
func refusedByChromium(t *testing.T, domains []string) []string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		_, domain, _ := strings.Cut(req.Host, ".")
		http.SetCookie(rw, &http.Cookie{Name: "above", Value: "x", Domain: domain})
		http.SetCookie(rw, &http.Cookie{Name: "own", Value: "x"})
		rw.Header().Set("Content-Type", "text/html")
	}))
	t.Cleanup(server.Close)
	browser := newBrowser(t, chromedp.Flag("host-resolver-rules", "MAP * "+server.Listener.Addr().String()))
	var refused []string
	for _, domain := range domains {
		do(t, browser, open("http://organizr."+domain+"/"))
		cookies, err := chromedp.Run(browser, chromedp.Evaluate[string]("document.cookie"))
		if err != nil || !strings.Contains(cookies, "own=x") {
			t.Fatalf("%s: %v, and the cookies are %q", domain, err, cookies)
		}
		if !strings.Contains(cookies, "above=x") {
			refused = append(refused, domain)
		}
	}
	return refused
}

// Where Organizr's source is at hand, parseDomain here answers as Organizr's own.
func TestParseDomainIsOrganizrs(t *testing.T) {
	if realorganizr.Source() == "" {
		t.Skip(realorganizr.Variable + " names no folder with Organizr's source, which this test runs")
	}
	needs(t, "php")
	hosts := []string{
		"organizr.example.com", "example.com", "www.example.com", "www.co.uk", "localhost", "192.168.1.10",
		"10.0.0.1:8080", "[::1]:80", "a.b.c.d.e.example.com", "4k.example.com", "4k.home.example.com", "organizr.co.de",
		"Organizr.DDNS.net", "a.b.ddns.net.x",
	}
	for _, name := range append(providersOfPlugin(t), organizrKeeps...) {
		hosts = append(hosts, name, "organizr."+name, "organizr.house."+name, "organizr.home.house."+name)
	}
	const script = `
		preg_match('/public function parseDomain\(.*?\n\t\}\n/s', file_get_contents($argv[1]), $source);
		eval("class Organizr { $source[0] }");
		echo json_encode(array_map([new Organizr, "parseDomain"], json_decode(stream_get_contents(STDIN))));`
	given, err := json.Marshal(hosts)
	if err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(realorganizr.Source(), "api", "functions", "normal-functions.php")
	php := exec.Command("php", "-r", script, "--", source)
	php.Stdin = strings.NewReader(string(given))
	output, err := php.Output()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	if err := json.Unmarshal(output, &want); err != nil || len(want) != len(hosts) {
		t.Fatal(fmt.Errorf("%d domains of %d hosts: %w", len(want), len(hosts), err))
	}
	for i, host := range hosts {
		if got := parseDomain(host); got != want[i] {
			t.Errorf("of %s: got %q, want %q", host, got, want[i])
		}
	}
}
