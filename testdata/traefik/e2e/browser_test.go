package e2e

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/demo"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
)

// newBrowser returns a fresh headless Chromium. It connects to this machine only, and sends third-party cookies, as
// Chromium with a window does.
func newBrowser(t *testing.T, more ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	needs(t, "chromium")
	profile := t.TempDir()
	preferences := filepath.Join(profile, "Default", "Preferences")
	if err := os.MkdirAll(filepath.Dir(preferences), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(preferences, []byte(`{"profile":{"cookie_controls_mode":0}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	flags := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.Flag("no-sandbox", os.Geteuid() == 0),
		chromedp.Flag("ignore-certificate-errors", true),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.UserDataDir(profile),
	)
	flags = append(flags, more...)
	allocator, stopAllocator := chromedp.NewExecAllocator(t.Context(), flags...)
	browser, stop := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		_ = chromedp.Cancel(browser)
		stop()
		stopAllocator()
	})
	if err := chromedp.Do(browser, chromedp.Navigate("about:blank")); err != nil {
		t.Fatal(err)
	}
	return browser
}

type step = chromedp.Action[chromedp.Void]

// do takes steps in the browser, and fails if they take longer than a visitor would wait.
func do(t *testing.T, browser context.Context, steps ...step) {
	t.Helper()
	ctx, cancel := context.WithTimeout(browser, 30*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		at, body := look(browser)
		t.Fatalf("at %s: %v\n%s", at, err, body)
	}
}

// look returns the page's address and text.
func look(browser context.Context) (at, body string) {
	at, _ = chromedp.Run(browser, chromedp.Location())
	body, _ = chromedp.Run(browser, chromedp.Evaluate[string](`document.body ? document.body.innerText : ""`))
	return at, body
}

// shows fails unless the browser is at the address and shows all the texts.
func shows(t *testing.T, browser context.Context, address string, texts ...string) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		at, body := look(browser)
		missing := at != address
		for _, text := range texts {
			missing = missing || !strings.Contains(body, text)
		}
		if !missing {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the browser is at %s, want %s with %q; it shows:\n%s", at, address, texts, body)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func open(address string) step   { return chromedp.Navigate(address) }
func click(selector string) step { return chromedp.Click(chromedp.CSS(selector)) }
func wait(selector string) step  { return chromedp.WaitVisible(chromedp.CSS(selector)) }

// signIn clicks the account's button.
func signIn(username string) step { return click(`button[data-username="` + username + `"]`) }

func newDemo(t *testing.T, options proxy.Options) *demo.Demo {
	t.Helper()
	d, err := demo.Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Stop)
	return d
}

func TestLoginAndLogout(t *testing.T) {
	d := newDemo(t, proxy.Options{})
	browser := newBrowser(t)

	do(t, browser, open(d.URL("public")))
	shows(t, browser, d.URL("public")+"/", "This service was asked to GET /")

	deep := d.URL("admin") + "/deep/%2F?a=1&b=%2F%25&c=%C3%BC&d=x+y&e=http%3A%2F%2Fx%2F%3Fq#part"
	do(t, browser, open(strings.Replace(deep, "%C3%BC", "ü", 1)))
	do(t, browser, wait("#accounts"))
	do(t, browser, signIn("bob"))
	wanted := strings.TrimSuffix(deep, "#part") // browsers send no fragment, and keep it only while they follow redirects
	shows(t, browser, wanted, "Not for your group", "bob", "User", "Required")

	do(t, browser, click("main a"))
	shows(t, browser, d.URL("organizr")+"/", "You are logged in as bob")
	do(t, browser, click("#logout"))
	shows(t, browser, d.URL("organizr")+"/", "Nobody is logged in")

	do(t, browser, open(wanted), wait("#accounts"), signIn("alice"))
	shows(t, browser, wanted, "GET /deep/%2F?a=1&b=%2F%25&c=%C3%BC&d=x+y&e=http%3A%2F%2Fx%2F%3Fq",
		"X-Organizr-User\talice")

	do(t, browser, open(d.URL("organizr")), click("#logout"), wait("#accounts"))
	do(t, browser, open(d.URL("admin")+"/"), wait("#accounts"))
}

func TestNewKeyEndsSessions(t *testing.T) {
	d := newDemo(t, proxy.Options{})
	browser := newBrowser(t)
	do(t, browser, open(d.URL("everyone")+"/x"), wait("#accounts"), signIn("Zoë Müller"))
	shows(t, browser, d.URL("everyone")+"/x", "Zoë Müller")
	do(t, browser, open(d.URL("organizr")), click("#turn-key"), wait("#accounts"))
	began := time.Now()
	for text := ""; !strings.Contains(text, "Your login can't be checked here"); _, text = look(browser) {
		if time.Since(began) > 5*time.Second {
			t.Fatalf("a session of the old key is still good after %s: %s", time.Since(began), text)
		}
		do(t, browser, open(d.URL("everyone")+"/x"))
	}
	do(t, browser, click("main a"), wait("#accounts"), signIn("fay"), wait("#logout"))
	do(t, browser, open(d.URL("everyone")+"/x"))
	shows(t, browser, d.URL("everyone")+"/x", "fay")
}

func TestServiceInAFrameOfOrganizr(t *testing.T) {
	d := newDemo(t, proxy.Options{})
	browser := newBrowser(t)
	do(t, browser, open(d.URL("organizr")), wait("#accounts"), signIn("bob"), wait("#logout"))
	for name, text := range map[string]string{"everyone": "This service was asked to GET", "admin": "Not for your group"} {
		do(t, browser, click(`a[target="tab"][href="`+d.URL(name)+`"]`))
		deadline := time.Now().Add(20 * time.Second)
		for shown := ""; !strings.Contains(shown, text); shown = frameText(browser) {
			if time.Now().After(deadline) {
				t.Fatalf("the frame of %s shows %q, want %q", name, shown, text)
			}
		}
	}
}

// frameText returns what the page's frame shows.
func frameText(browser context.Context) string {
	ctx, cancel := context.WithTimeout(browser, time.Second)
	defer cancel()
	frames, err := chromedp.Run(ctx, chromedp.Nodes(chromedp.CSS("iframe")))
	if err != nil || len(frames) == 0 {
		return ""
	}
	text, _ := chromedp.Run(ctx, chromedp.Text(chromedp.CSS("body"), chromedp.FromNode(frames[0])))
	return text
}

func TestStaleSecondCookie(t *testing.T) {
	d := newDemo(t, proxy.Options{})
	browser := newBrowser(t)
	do(t, browser, open(d.URL("power")+"/x"), wait("#accounts"), signIn("pat"))
	shows(t, browser, d.URL("power")+"/x", "pat")
	stale := (fakeorganizr.Account{Username: "old", GroupID: 0}).Token("a-key-of-an-earlier-installation-of-it")
	cookies, err := chromedp.Run(browser,
		chromedp.Evaluate[string]("document.cookie = '"+fakeorganizr.CookieName+"="+stale+"; path=/x'; document.cookie"))
	if err != nil || strings.Count(cookies, fakeorganizr.CookieName) < 2 {
		t.Fatalf("the browser doesn't keep both cookies: %v %s", err, cookies)
	}
	do(t, browser, chromedp.Reload())
	shows(t, browser, d.URL("power")+"/x", "pat")
	do(t, browser, open(d.URL("organizr")), click("#logout"), wait("#accounts"))
	do(t, browser, open(d.URL("power")+"/x"))
	shows(t, browser, d.URL("power")+"/x", "Your login can't be checked here")
	do(t, browser, click("main a"), wait("#accounts"), signIn("pat"), wait("#logout"))
	do(t, browser, open(d.URL("power")+"/x"))
	shows(t, browser, d.URL("power")+"/x", "pat")
}

// newSite returns the address of a site that doesn't belong to the demo, with this body.
func newSite(t *testing.T, body string) string {
	t.Helper()
	other := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/html")
		_, _ = rw.Write([]byte(`<!DOCTYPE html><body>` + body))
	}))
	t.Cleanup(other.Close)
	return strings.Replace(other.URL, "127.0.0.1", "elsewhere.localhost", 1) + "/"
}

func TestFormOfAnotherSite(t *testing.T) {
	d := newDemo(t, proxy.Options{TLS: true})
	browser := newBrowser(t)
	do(t, browser, open(d.URL("everyone")+"/x"), wait("#accounts"), signIn("bob"))
	shows(t, browser, d.URL("everyone")+"/x", "bob")
	do(t, browser, click("form button"))
	shows(t, browser, d.URL("everyone")+"/x", "asked to POST /x", "bob")

	elsewhere := newSite(t, `<a href="`+d.URL("everyone")+`/x">link</a>
		<form method="post" action="`+d.URL("everyone")+`/delete"><button id="refused">win</button></form>
		<form method="post" action="`+d.URL("cross-site")+`/delete"><button id="allowed">win</button></form>`)
	do(t, browser, open(elsewhere), click("#refused"))
	shows(t, browser, d.URL("everyone")+"/delete", "Stopped for your safety", "bob")
	do(t, browser, open(elsewhere), click("#allowed"))
	shows(t, browser, d.URL("cross-site")+"/delete", "asked to POST /delete", "bob")
	do(t, browser, open(elsewhere), click("a"))
	shows(t, browser, d.URL("everyone")+"/x", "asked to GET /x", "bob")
}

// A page of another site opens a WebSocket with the visitor's cookie, which is SameSite=None. Chromium says where the
// request comes from in Origin only.
func TestWebSocketOfAnotherSite(t *testing.T) {
	d := newDemo(t, proxy.Options{TLS: true})
	browser := newBrowser(t)
	do(t, browser, open(d.URL("everyone")+"/x"), wait("#accounts"), signIn("bob"))
	shows(t, browser, d.URL("everyone")+"/x", "bob")
	elsewhere := newSite(t, `a page of another site`)
	const framed = "the frame without an origin of "
	for _, test := range []struct {
		from, page string
		to, says   string
	}{
		{"the service's own page", d.URL("everyone") + "/x", "everyone", "hello from bob"},
		{"a page of Organizr", d.URL("organizr") + "/", "everyone", "hello from bob"},
		{"a page of another service", d.URL("public") + "/", "everyone", "hello from bob"},
		{"a page of another site", elsewhere, "everyone", "refused"},
		{framed + "a page of another site", elsewhere, "everyone", "refused"},
		{"a page of another site, where it may", elsewhere, "cross-site", "hello from bob"},
		{framed + "a page of another site, where it may", elsewhere, "cross-site", "hello from bob"},
	} {
		t.Run(test.from, func(t *testing.T) {
			script := `const socket = new WebSocket("` + strings.Replace(d.URL(test.to), "https", "wss", 1) + `/live")
				socket.onopen = () => socket.send("hello")
				socket.onmessage = event => done(event.data)
				socket.onerror = () => done("refused")`
			promise := `new Promise(done => {` + script + `})`
			if strings.HasPrefix(test.from, framed) {
				promise = `new Promise(done => {
					onmessage = event => done(event.data)
					const frame = document.createElement("iframe")
					frame.sandbox = "allow-scripts"
					frame.srcdoc = '<script>const done = text => parent.postMessage(text, "*");' +
						` + "`" + script + "`" + ` + '</scr' + 'ipt>'
					document.body.append(frame)
				})`
			}
			do(t, browser, open(test.page))
			got, err := chromedp.Run(browser, chromedp.Evaluate[string](promise, chromedp.EvalAwaitPromise))
			if err != nil || got != test.says {
				t.Errorf("got %q and %v, want %q", got, err, test.says)
			}
		})
	}
}

// A change is what somebody does on the demo's page, and what a service shows then.
type change struct {
	name  string
	steps []step
	shown string
}

// follows makes changes on the demo's page. Each counts when the service is loaded again a second later.
func follows(t *testing.T, browser context.Context, d *demo.Demo, service string, changes []change) {
	t.Helper()
	for _, change := range changes {
		steps := append([]step{open(d.URL("organizr")), chromedp.Evaluate[chromedp.Void](`document.body.id = "before"`)},
			change.steps...)
		do(t, browser, append(steps, wait("body:not(#before) #people"))...)
		for changed := time.Now(); ; {
			after := time.Since(changed)
			do(t, browser, open(d.URL(service)+"/x"))
			_, body := look(browser)
			if strings.Contains(body, change.shown) {
				t.Logf("%s: seen by a page that was asked for %v later", change.name, after.Round(10*time.Millisecond))
				break
			}
			if after > soon {
				t.Fatalf("%s: %v later the service shows\n%s", change.name, after, body)
			}
		}
	}
}

func TestAccountsOfTheDemo(t *testing.T) {
	d := newDemo(t, proxy.Options{})
	browser := newBrowser(t)
	do(t, browser, open(d.URL("admin")+"/x"), wait("#accounts"), signIn("bob"))
	shows(t, browser, d.URL("admin")+"/x", "Not for your group", "bob")
	follows(t, browser, d, "admin", []change{
		{"moved to Admin", []step{
			chromedp.SetValue(chromedp.CSS(`select[aria-label="Group of bob"]`), "0"), click(`button[data-move="bob"]`),
		}, "asked to GET /x"},
		{"locked", []step{click(`button[data-lock="bob"]`)}, "locked"},
		{"unlocked", []step{click(`button[data-lock="bob"]`)}, "asked to GET /x"},
	})
}

func TestTabsOfTheDemo(t *testing.T) {
	d := newDemo(t, proxy.Options{})
	browser := newBrowser(t)
	do(t, browser, open(d.URL("sonarr")+"/x"), wait("#accounts"), signIn("bob"))
	shows(t, browser, d.URL("sonarr")+"/x", "asked to GET /x", "bob")
	group := func(name, value string) step {
		return chromedp.SetValue(chromedp.CSS(`select[aria-label="Group of the tab `+name+`"]`), value)
	}
	save, onOff := click(`button[data-save="Sonarr"]`), click(`input[aria-label="The tab Sonarr is on"]`)
	follows(t, browser, d, "sonarr", []change{
		{"moved to Admin", []step{group("Sonarr", "0"), save}, "By the tab\nSonarr"},
		{"moved to Guest", []step{group("Sonarr", "999"), save}, "asked to GET /x"},
		{"switched off", []step{onOff, save}, "Organizr's tab Sonarr is switched off"},
		{"switched on", []step{onOff, save}, "asked to GET /x"},
		{"removed", []step{click(`button[data-remove="Sonarr"]`)}, "Organizr has no tab for sonarr.demo.localhost"},
	})
	added := `form:has(button[data-add]) `
	follows(t, browser, d, "lidarr", []change{
		{"added", []step{
			chromedp.SendKeys(chromedp.CSS(added+`[name="name"]`), "R&D <b>"),
			chromedp.SendKeys(chromedp.CSS(added+`[name="url"]`), d.URL("lidarr")), click(added + "button"),
		}, "Organizr's tab R&D <b> is switched off"},
		{"moved to Power User and switched on", []step{
			group("R&D <b>", "3"), click(`input[aria-label="The tab R&D <b> is on"]`), click(`button[data-save="R&D <b>"]`),
		}, "By the tab\nR&D <b>"},
	})
}

func TestPagesOfTheDemo(t *testing.T) {
	d := newDemo(t, proxy.Options{})
	browser := newBrowser(t)
	do(t, browser, open(d.URL("own-router")))
	shows(t, browser, d.URL("own-router")+"/", "A login can't help here", "Organizr's own address")
	do(t, browser, open(d.URL("apart")))
	shows(t, browser, d.URL("apart")+"/", "browsers share a cookie only between names under one domain")
	do(t, browser, open(d.URL("provider")))
	shows(t, browser, d.URL("provider")+"/",
		"organizr.duckdns.org reaches organizr.duckdns.org and names under it, and not sonarr.duckdns.org")
	do(t, browser, open(d.URL("denied")+"/"), wait("#accounts"), signIn("bob"))
	shows(t, browser, d.URL("denied")+"/", "Not for you", "The settings of this service don't let you in")
}
