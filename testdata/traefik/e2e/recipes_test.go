package e2e

import (
	"cmp"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/service"
	"github.com/traefik/traefik/v3/pkg/config/label"
	"golang.org/x/net/publicsuffix"
)

// fromLabels returns the dynamic configuration that Traefik makes of labels, with a router for each middleware that
// has none, and the service behind all of them.
func fromLabels(t *testing.T, given map[string]string, backend string) table {
	t.Helper()
	decoded, err := label.DecodeConfiguration(given)
	if err != nil {
		t.Fatal(err)
	}
	routers, middlewares := table{}, table{}
	for name, middleware := range decoded.HTTP.Middlewares {
		middlewares[name] = table{"plugin": middleware.Plugin}
		if pages := middleware.Errors; pages != nil {
			middlewares[name] = table{"errors": table{"status": pages.Status, "query": pages.Query, "service": "service"}}
		}
	}
	for name, router := range decoded.HTTP.Routers {
		rule := cmp.Or(router.Rule, "Host(`"+name+".example.com`)")
		routers[name] = table{"rule": rule, "middlewares": router.Middlewares, "service": "service"}
	}
	return table{"http": table{
		"routers": routers, "middlewares": middlewares,
		"services": table{"service": table{"loadBalancer": table{"servers": []table{{"url": backend}}}}},
	}}
}

// Headings of recipes that more than one test reads.
const (
	singleSignOn = "Single sign-on for Grafana, Navidrome, Radicale and koel"
	apiKeys      = "Apps that send a service's API key"
)

// A visit is what somebody, or nobody, asks of a host, and the status of the answer.
type visit struct {
	who, method, host, path string
	want                    int
}

// labelRecipes are those of the readme's recipes that consist of labels for one service.
var labelRecipes = []struct {
	heading string
	visits  []visit
	told    map[string]string // to bob at the first host
}{
	{"A public API path on a private service", []visit{
		{"", "GET", "sonarr", "/api", 200},
		{"", "GET", "sonarr", "/api/x", 200},
		{"", "GET", "sonarr", "/feed/", 200},
		{"", "GET", "sonarr", "/", 401},
		{"bob", "GET", "sonarr", "/", 200},
	}, nil},
	{"Only one group, or one more user", []visit{
		{"fay", "GET", "photos", "/", 200},
		{"bob", "GET", "photos", "/", 200},
		{"alice", "GET", "photos", "/", 200},
		{"pat", "GET", "photos", "/", 403},
	}, nil},
	{"A whole service open to the home network", []visit{
		{"", "GET", "plex", "/", 401},
		{"bob", "GET", "plex", "/", 200},
	}, nil},
	{"CORS preflight", []visit{
		{"", "OPTIONS", "api", "/x", 200},
		{"", "GET", "api", "/x", 401},
		{"", "POST", "api", "/x", 401},
	}, nil},
	{"A web app's manifest and icons", []visit{
		{"", "GET", "app", "/manifest.json", 200},
		{"", "GET", "app", "/icons/1.png", 200},
		{"", "GET", "app", "/favicon.ico", 200},
		{"", "GET", "app", "/", 401},
	}, nil},
	{singleSignOn, []visit{
		{"bob", "GET", "grafana", "/", 200},
	}, map[string]string{"X-Webauth-User": "bob", "Remote-User": "bob", "X-Remote-User": "bob"}},
	{"Passing the token on", []visit{
		{"bob", "GET", "backend", "/", 200},
	}, map[string]string{"Authorization": "Bearer eyJ"}},
	{"A service with one login for everybody", []visit{
		{"bob", "GET", "transmission", "/", 200},
	}, map[string]string{"Authorization": "Basic bmFtZTpwYXNzd29yZA=="}},
	{"Services under paths of Organizr's host", []visit{
		{"bob", "GET", "home", "/sonarr/x", 200},
		{"", "GET", "home", "/sonarr/x", 401},
		{"", "GET", "home", "/", 404},
	}, nil},
}

func TestTheRecipes(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(service.Handler))
	t.Cleanup(backend.Close)
	base := setUp(t, nil, func(options *proxy.Options) {
		options.Env = []string{
			"ORGANIZR_UUID=" + fakeorganizr.UUID, "ORGANIZR_SECRET=" + hash, "ORGANIZR_URL=https://organizr.example.com",
		}
	})
	for _, recipe := range labelRecipes {
		t.Run(recipe.heading, func(t *testing.T) {
			s := &scene{t: t, traefik: base.traefik, backend: backend.URL}
			if err := s.traefik.Configure(t.Context(), fromLabels(t, labels(t, recipe.heading), backend.URL)); err != nil {
				t.Fatal(err)
			}
			for _, one := range recipe.visits {
				var headers []string
				if one.who != "" {
					headers = as(one.who)
				}
				got := s.ask(one.method, one.host+".example.com", one.path, headers...)
				if got.StatusCode != one.want {
					t.Errorf("%q: %s %s at %s: got %d, want %d", one.who, one.method, one.path, one.host, got.StatusCode, one.want)
				}
				for name, want := range recipe.told {
					if told := got.seen().Header.Get(name); !strings.HasPrefix(told, want) {
						t.Errorf("the service was told %s: %q, want %q", name, told, want)
					}
				}
			}
		})
	}

	t.Run("A name that only the service has", func(t *testing.T) {
		s := &scene{t: t, traefik: base.traefik, backend: backend.URL}
		given := labels(t, singleSignOn)
		if err := s.traefik.Configure(t.Context(), fromLabels(t, given, backend.URL)); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]int{"admin": 403, "Admin": 403, "administrator": 200} {
			renamed := fakeorganizr.Account{Username: name, Group: "User", GroupID: 4, UserID: 2}
			cookie := fakeorganizr.Cookie(renamed.Token(hash))
			if got := s.ask("GET", "grafana.example.com", "/", "Cookie", cookie).StatusCode; got != want {
				t.Errorf("a user who chose the name %s: got %d, want %d", name, got, want)
			}
		}
	})

	t.Run("at home", func(t *testing.T) {
		s := &scene{t: t, traefik: base.traefik, backend: backend.URL}
		given := labels(t, "A whole service open to the home network")
		for name, value := range given {
			given[name] = strings.Replace(value, "192.168.1.0/24", "127.0.0.0/8", 1)
		}
		if err := s.traefik.Configure(t.Context(), fromLabels(t, given, backend.URL)); err != nil {
			t.Fatal(err)
		}
		got := s.ask("GET", "plex.example.com", "/", "X-Organizr-User", "alice")
		if name := got.seen().Header.Get("X-Organizr-User"); got.StatusCode != http.StatusOK || name != "" {
			t.Errorf("nobody at home: got %d, and the service was told %q", got.StatusCode, name)
		}
	})

	t.Run("the service's API key", func(t *testing.T) {
		s := &scene{t: t, traefik: base.traefik, backend: backend.URL}
		if err := s.traefik.Configure(t.Context(), fromLabels(t, labels(t, apiKeys), backend.URL)); err != nil {
			t.Fatal(err)
		}
		for key, want := range map[string]int{"YOUR-API-KEY": http.StatusOK, "another": http.StatusUnauthorized} {
			got := s.ask("GET", "sonarr.example.com", "/", "X-Api-Key", key, "X-Organizr-User", "alice")
			if got.StatusCode != want {
				t.Errorf("%s: got %d, want %d", key, got.StatusCode, want)
			}
			if name := got.seen().Header.Get("X-Organizr-User"); name != "" {
				t.Errorf("%s: the service was told %q", key, name)
			}
		}
		if got := s.ask("GET", "sonarr.example.com", "/", as("bob")...); got.StatusCode != http.StatusOK {
			t.Errorf("bob without the key: got %d", got.StatusCode)
		}
		got := s.ask("GET", "sonarr.example.com", "/", append(as("bob"), "X-Api-Key", "YOUR-API-KEY")...)
		if cookie := got.seen().Header.Get("Cookie"); cookie != "" {
			t.Errorf("the service got the session: %q", cookie)
		}
	})

	t.Run("Your own error pages", func(t *testing.T) {
		s := &scene{t: t, traefik: base.traefik, backend: backend.URL}
		given := labels(t, "Your own error pages")
		if err := s.traefik.Configure(t.Context(), fromLabels(t, given, backend.URL)); err != nil {
			t.Fatal(err)
		}
		refused := s.ask("GET", "sonarr.example.com", "/", as("fay")...)
		if refused.StatusCode != http.StatusForbidden || !strings.Contains(refused.Body, "/403.html") {
			t.Errorf("another group: got %d %q", refused.StatusCode, refused.Body)
		}
		if got := s.ask("GET", "sonarr.example.com", "/", "Accept", pageAccept); got.StatusCode != http.StatusFound {
			t.Errorf("nobody: got %d", got.StatusCode)
		}
		if got := s.ask("GET", "sonarr.example.com", "/", as("bob")...); got.StatusCode != http.StatusOK {
			t.Errorf("bob: got %d", got.StatusCode)
		}
	})

	t.Run("Two Organizrs", func(t *testing.T) {
		s := &scene{t: t, traefik: base.traefik, backend: backend.URL}
		given := labels(t, "Two Organizrs")
		organizrs := map[string]*fakeorganizr.Organizr{}
		for _, name := range []string{"family", "club"} {
			one, err := fakeorganizr.New(data("organizr", "config.php"), t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			organizrs[name] = one
			prefix := "traefik.http.middlewares." + name + ".plugin.organizrjwt."
			for option, file := range map[string]string{"configFile": one.ConfigFile(), "databaseFile": databaseOf(t, one)} {
				if !strings.HasPrefix(given[prefix+option], "/organizr-"+name+"/") {
					t.Errorf("%s of %s is %s", option, name, given[prefix+option])
				}
				given[prefix+option] = file
			}
			given["traefik.http.routers."+name+"-films.middlewares"] = name
		}
		if err := s.traefik.Configure(t.Context(), fromLabels(t, given, backend.URL)); err != nil {
			t.Fatal(err)
		}
		for name := range organizrs {
			for other, one := range organizrs {
				want := http.StatusUnauthorized
				if name == other {
					want = http.StatusOK
				}
				if got := s.ask("GET", name+"-films.example.com", "/", "Cookie", loggedIn(t, one, "bob")).StatusCode; got != want {
					t.Errorf("a session of %s at %s: got %d, want %d", other, name, got, want)
				}
			}
		}
	})
}

// databaseOf returns the path of the database that the Organizr's config.php names.
func databaseOf(t *testing.T, o *fakeorganizr.Organizr) string {
	t.Helper()
	text, err := os.ReadFile(o.ConfigFile())
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]string{}
	setting := regexp.MustCompile(`(?m)^\t'(db[A-Z][a-z]+)' => '(.*)',$`)
	for _, item := range setting.FindAllStringSubmatch(string(text), -1) {
		named[item[1]] = item[2]
	}
	return filepath.Join(named["dbLocation"], named["dbName"])
}

func TestAWildcardCertificate(t *testing.T) {
	taken := staticOf(t, nil, variables(t, "A wildcard certificate"))
	resolver := taken.CertificatesResolvers["letsencrypt"]
	if resolver.ACME == nil || resolver.ACME.DNSChallenge == nil || resolver.ACME.DNSChallenge.Provider != "cloudflare" {
		t.Errorf("the resolver is %+v", resolver)
	}
	entryPoint := taken.EntryPoints["websecure"]
	if entryPoint == nil || entryPoint.HTTP.TLS == nil || len(entryPoint.HTTP.TLS.Domains) != 1 ||
		fmt.Sprint(entryPoint.HTTP.TLS.Domains[0].ToStrArray()) != "[example.com *.example.com]" {
		t.Errorf("the entry point is %+v", entryPoint)
	}
}

// A reach is whether a login at an Organizr of one name works at a service of another.
type reach struct {
	organizr, service string
	works             bool
}

// tryLogins sees that visitors are sent to log in where the login works, and elsewhere are told why it wouldn't help.
func tryLogins(t *testing.T, cases []reach) {
	t.Helper()
	backend := httptest.NewServer(http.HandlerFunc(service.Handler))
	t.Cleanup(backend.Close)
	routers, middlewares := table{}, table{}
	for i, one := range cases {
		name := fmt.Sprint("case", i)
		options := table{"group": "User", "uuid": fakeorganizr.UUID, "secret": hash, "organizrURL": "https://" + one.organizr}
		middlewares[name] = table{"plugin": table{"organizrjwt": options}}
		rule := fmt.Sprintf("Host(`%s`) && Header(`X-Case`, `%d`)", one.service, i)
		routers[name] = table{"rule": rule, "service": "service", "middlewares": []string{name}}
	}
	s := setUp(t, nil, func(options *proxy.Options) {
		options.Dynamic = table{"http": table{
			"routers": routers, "middlewares": middlewares,
			"services": table{"service": table{"loadBalancer": table{"servers": []table{{"url": backend.URL}}}}},
		}}
	})
	for i, one := range cases {
		t.Run("Organizr is "+one.organizr+" and the service "+one.service, func(t *testing.T) {
			want := http.StatusUnauthorized
			if one.works {
				want = http.StatusFound
			}
			headers := []string{"Accept", pageAccept, "X-Case", fmt.Sprint(i)}
			if got := s.in(t).ask("GET", one.service, "/", headers...).StatusCode; got != want {
				t.Errorf("got %d, want %d", got, want)
			}
		})
	}
}

func TestWhichNamesCanShareALogin(t *testing.T) {
	text := section(t, "Which names can share a login")
	cases := []reach{
		{"organizr.example.com", "sonarr.example.com", true},
		{"organizr.example.com", "sonarr.elsewhere.com", false},
		{"organizr.home.example.com", "sonarr.home.example.com", true},
		{"organizr.home.example.com", "sonarr.example.com", false},
		{"example.com", "sonarr.example.com", true},
		{"www.example.com", "sonarr.example.com", true},
		{"organizr.example.co.uk", "sonarr.example.co.uk", true},
		{"organizr.home.me.example.com", "sonarr.organizr.home.me.example.com", true},
		{"organizr.home.me.example.com", "sonarr.home.me.example.com", false},
		{"4k.home.example.com", "sonarr.home.example.com", false},
		{"4k.home.example.com", "sonarr.4k.home.example.com", false},
		{"organizr.lan", "sonarr.organizr.lan", true},
		{"organizr.lan", "sonarr.lan", false},
		{"organizr.home.lan", "sonarr.home.lan", true},
	}
	for _, one := range cases {
		if !strings.Contains(text, "`"+one.organizr+"`") {
			t.Errorf("the readme doesn't name %s", one.organizr)
		}
	}
	tryLogins(t, cases)
}

// Each provider that the readme names is of the kind that it says: by the list that browsers have, and by what the
// plugin does.
func TestProvidersThatKeepNamesApart(t *testing.T) {
	text := regexp.MustCompile(`\s+`).ReplaceAllString(section(t, "Dynamic DNS providers"), " ")
	found := regexp.MustCompile(`The best known are (.*?)\. - .* It doesn't work under (.*?)\. There .* ` +
		`Strangers get Organizr's cookie, too, under (.*?)\. Everybody`).FindStringSubmatch(text)
	if found == nil {
		t.Fatal("RECIPES.md has no such lists")
	}
	split := func(list string) []string { return strings.Split(list, ", ") }
	apart, kept, strangers := split(found[1]), split(found[2]), split(found[3])
	if len(apart) < 50 || len(kept) < 30 || len(strangers) < 10 {
		t.Errorf("only %d, %d and %d providers", len(apart), len(kept), len(strangers))
	}
	isSuffix := func(provider string) bool {
		suffix, _ := publicsuffix.PublicSuffix("organizr." + provider)
		return suffix == provider
	}
	var cases []reach
	for _, provider := range apart {
		if !isSuffix(provider) {
			t.Errorf("browsers don't take %s for a public suffix", provider)
		}
		cases = append(cases, reach{"organizr." + provider, "sonarr." + provider, false})
		if !slices.Contains(kept, provider) {
			cases = append(cases, reach{"organizr.me." + provider, "sonarr.me." + provider, true})
		}
	}
	for _, provider := range kept {
		cases = append(cases,
			reach{"organizr." + provider, "sonarr." + provider, false},
			reach{"organizr.me." + provider, "sonarr.me." + provider, false},
			reach{"organizr.me." + provider, "sonarr.organizr.me." + provider, true})
	}
	for _, provider := range strangers {
		if isSuffix(provider) {
			t.Errorf("browsers take %s for a public suffix", provider)
		}
		cases = append(cases, reach{"organizr." + provider, "sonarr." + provider, true})
	}
	tryLogins(t, cases)
}

func TestRadicale(t *testing.T) {
	address := startRadicale(t)
	s := setUp(t, nil, func(options *proxy.Options) {
		options.Env = []string{
			"ORGANIZR_UUID=" + fakeorganizr.UUID, "ORGANIZR_SECRET=" + hash, "ORGANIZR_URL=https://organizr.example.com",
		}
		options.Dynamic = fromLabels(t, labels(t, singleSignOn), address)
	})
	ask := func(who, path string, headers ...string) answer {
		if who != "" {
			headers = append(headers, as(who)...)
		}
		return s.ask("PROPFIND", "grafana.example.com", path, append(headers, "Content-Length", "0", "Depth", "0")...)
	}
	if got := ask("bob", "/bob/"); got.StatusCode != http.StatusMultiStatus || !strings.Contains(got.Body, "/bob/") {
		t.Errorf("bob at his own: %d %s", got.StatusCode, got.Body)
	}
	if got := ask("bob", "/alice/"); got.StatusCode != http.StatusForbidden {
		t.Errorf("bob at alice's: %d", got.StatusCode)
	}
	for _, spelling := range []string{"X-Remote-User", "X_Remote_User", "x_remote-user"} {
		if got := ask("bob", "/alice/", spelling, "alice"); got.StatusCode != http.StatusForbidden {
			t.Errorf("bob at alice's with %s: alice: %d", spelling, got.StatusCode)
		}
	}
	if got := ask("", "/alice/", "X-Remote-User", "alice"); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("nobody at alice's: %d", got.StatusCode)
	}
}
