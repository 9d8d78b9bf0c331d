package e2e

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/realorganizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/service"
)

// A home is a Traefik in front of a real Organizr, which needn't run yet, and of services that follow its files.
type home struct {
	traefik  *proxy.Traefik
	port     string
	web      string // Organizr's web root, as Traefik sees it
	organizr string // the address for Organizr to listen on
}

func newHome(t *testing.T) *home {
	t.Helper()
	needsOrganizr(t)
	backend := httptest.NewServer(http.HandlerFunc(service.Handler))
	t.Cleanup(backend.Close)
	addrs := make([]string, 2)
	for i := range addrs {
		var err error
		if addrs[i], err = proxy.FreeAddr(); err != nil {
			t.Fatal(err)
		}
	}
	h := &home{
		web: filepath.Join(t.TempDir(), "www", "organizr"), organizr: addrs[1],
		port: addrs[0][strings.LastIndex(addrs[0], ":"):],
	}
	server := func(url string) table { return table{"loadBalancer": table{"servers": []table{{"url": url}}}} }
	guarded := func(name string) table {
		return table{"rule": "Host(`" + name + ".demo.localhost`)", "service": "service", "middlewares": []string{name}}
	}
	plugin := func(group string) table { return table{"plugin": table{"organizrjwt": table{"group": group}}} }
	traefik, err := proxy.Start(t.Context(), proxy.Options{
		Listen: addrs[0],
		Env: []string{
			"ORGANIZR_CONFIG_FILE=" + filepath.Join(h.web, "data", "config", "config.php"), "ORGANIZR_DATABASE_FILE=auto",
			"ORGANIZR_URL=" + h.url("organizr"),
		},
		Dynamic: table{"http": table{
			"routers": table{
				"organizr": table{"rule": "Host(`organizr.demo.localhost`)", "service": "organizr"},
				"everyone": guarded("everyone"), "public": guarded("public"),
			},
			"middlewares": table{"everyone": plugin("Logged In"), "public": plugin("Guest")},
			"services":    table{"organizr": server("http://" + h.organizr), "service": server(backend.URL)},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(traefik.Stop)
	h.traefik = traefik
	return h
}

func (h *home) url(name string) string { return "http://" + name + ".demo.localhost" + h.port }

// start starts the home's Organizr, before its setup.
func (h *home) start(t *testing.T) *realorganizr.Organizr {
	t.Helper()
	return emptyOrganizr(t, realorganizr.Options{Folder: h.web, Listen: h.organizr})
}

// logIn logs in on Organizr's page, which the browser shows.
func logIn(t *testing.T, browser context.Context, username string) {
	t.Helper()
	do(t, browser, wait("#login-username-Input"),
		chromedp.Poll[chromedp.Void]("document.readyState === 'complete' && jQuery.active === 0"),
		chromedp.SendKeys(chromedp.CSS("#login-username-Input"), username),
		chromedp.SendKeys(chromedp.CSS("#login-password-Input"), realorganizr.Password),
		press("#organizr-login-collapse .login-button"))
}

// press presses a button of Organizr's page by script, since much there moves while the page appears.
func press(selector string) step {
	return chromedp.Poll[chromedp.Void]("(button => button && (button.click(), true))(document.querySelector(`" +
		selector + "`))")
}

// On the first evening Traefik starts before everything else. Without a restart and without a click the service's page
// turns into Organizr's login once that exists, and then into the service.
func TestFirstEvening(t *testing.T) {
	h := newHome(t)
	browser := newBrowser(t)
	began := time.Now()
	tell := func(what string) { t.Logf("%6.1fs %s", time.Since(began).Seconds(), what) }

	do(t, browser, open(h.url("everyone")+"/films?year=1999"))
	shows(t, browser, h.url("everyone")+"/films?year=1999", "isn't ready")
	tell("Traefik is there, Organizr's folder isn't: the service says that the login isn't ready")
	visitor := newVisitor(h.traefik)
	if resp := visitor.get(t, "everyone.demo.localhost", nil); resp.StatusCode != http.StatusServiceUnavailable ||
		resp.Header.Get("Retry-After") == "" {
		t.Errorf("a program gets %s, Retry-After %q", resp.Status, resp.Header.Get("Retry-After"))
	}
	if resp := visitor.get(t, "public.demo.localhost", nil); resp.StatusCode != http.StatusOK {
		t.Errorf("a service for Guests answers %s", resp.Status)
	}

	o := h.start(t)
	tell("Organizr runs, and nobody has set it up")
	if resp := visitor.get(t, "everyone.demo.localhost", nil); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("before the wizard a program gets %s", resp.Status)
	}
	shows(t, browser, h.url("everyone")+"/films?year=1999", "isn't ready")

	if err := o.Wizard(t.Context()); err != nil {
		t.Fatal(err)
	}
	tell("the wizard is done")
	do(t, browser, wait("#login-username-Input"))
	tell("the page that waited has become Organizr's login")
	logIn(t, browser, fakeorganizr.Accounts[0].Username)
	shows(t, browser, h.url("everyone")+"/films?year=1999", "X-Organizr-User", fakeorganizr.Accounts[0].Username)
	tell("the service opens, at the address that was wanted")

	complaints := regexp.MustCompile(".* ERR .*configFile: .*").FindAllString(h.traefik.Log(), -1)
	if len(complaints) != 1 {
		t.Errorf("the log complains %d times about config.php, want once: %q", len(complaints), complaints)
	}
}

// A log-out at Organizr ends the session everywhere.
func TestLogOutAtOrganizr(t *testing.T) {
	h := newHome(t)
	o := h.start(t)
	if err := o.SetUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	browser := newBrowser(t)
	wanted := h.url("everyone") + "/x?a=b%26c"
	do(t, browser, open(wanted))
	logIn(t, browser, "bob")
	shows(t, browser, wanted, "X-Organizr-User", "bob")
	do(t, browser, open(h.url("organizr")), press(`a[onclick="logout();"]`), wait("#login-username-Input"))
	ended := time.Now()
	for {
		after := time.Since(ended)
		do(t, browser, open(wanted))
		if at, _ := look(browser); at != wanted {
			t.Logf("asked for %v after the log-out, the service asks for a login", after.Round(10*time.Millisecond))
			break
		}
		if after > soon {
			t.Fatalf("the service is still open %v after the log-out", after)
		}
	}
	do(t, browser, wait("#login-username-Input"))
}
