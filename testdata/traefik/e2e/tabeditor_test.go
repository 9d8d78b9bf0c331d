package e2e

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/realorganizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/service"
)

// screenshotsVariable names the environment variable with the folder for the screenshots of TestTheTabEditor. Without
// one they are removed with the test.
const screenshotsVariable = "ORGANIZRJWT_SCREENSHOTS"

// A person sits at a browser of their own.
type person struct {
	t       *testing.T
	name    string
	browser context.Context
	folder  string // of the screenshots
}

func (p *person) do(steps ...step) {
	p.t.Helper()
	do(p.t, p.browser, steps...)
}

// press clicks until something is shown, since Organizr's pages ignore clicks while their scripts are being loaded.
func (p *person) press(selector, shown string) {
	p.t.Helper()
	var err error
	for range 10 {
		ctx, cancel := context.WithTimeout(p.browser, 5*time.Second)
		err = chromedp.Do(ctx, click(selector), wait(shown))
		cancel()
		if err == nil {
			return
		}
	}
	_, body := look(p.browser)
	p.t.Fatalf("a click on %s doesn't lead to %s: %v\n%s", selector, shown, err, body)
}

// shoot takes a screenshot.
func (p *person) shoot(name string) {
	p.t.Helper()
	p.do(chromedp.Sleep(time.Second)) // Organizr's pages slide in
	picture, err := chromedp.Run(p.browser, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(filepath.Join(p.folder, name+".png"), picture, 0o600)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// becomes loads the page until it shows the texts, and logs how long after the change that page was asked for. The
// change is a click, upon which Organizr's page asks Organizr.
func (p *person) becomes(change string, texts ...string) {
	p.t.Helper()
	for clicked := time.Now(); ; {
		asked := time.Since(clicked)
		p.do(chromedp.Reload())
		_, body := look(p.browser)
		missing := false
		for _, text := range texts {
			missing = missing || !strings.Contains(body, text)
		}
		if !missing {
			p.t.Logf("%s: seen by a page that was asked for %v later", change, asked.Round(10*time.Millisecond))
			return
		}
		if asked > 5*time.Second {
			p.t.Fatalf("%s: %v later %s sees\n%s", change, asked, p.name, body)
		}
	}
}

// logIn logs in on Organizr's page, on which the person is.
func (p *person) logIn(screenshot string) {
	p.t.Helper()
	p.do(wait("#login-username-Input"),
		chromedp.SendKeys(chromedp.CSS("#login-username-Input"), p.name),
		chromedp.SendKeys(chromedp.CSS("#login-password-Input"), realorganizr.Password),
	)
	p.shoot(screenshot)
	p.do(click("#organizr-login-collapse .login-button"))
}

// The administrator makes the tab of a service in Organizr's own page, and a friend gets in. Then the administrator
// moves the tab to another group, and the friend is refused.
func TestTheTabEditor(t *testing.T) {
	needs(t, "chromium")
	o := realOrganizr(t)
	backend := httptest.NewServer(http.HandlerFunc(service.Handler))
	t.Cleanup(backend.Close)
	listen, err := proxy.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(listen)
	if err != nil {
		t.Fatal(err)
	}
	organizr, sonarr := "https://organizr.demo.localhost:"+port+"/", "https://sonarr.demo.localhost:"+port+"/"
	address := func(url string) table { return table{"loadBalancer": table{"servers": []table{{"url": url}}}} }
	traefik, err := proxy.Start(t.Context(), proxy.Options{
		Listen: listen, TLS: true,
		Env: []string{
			"ORGANIZR_CONFIG_FILE=" + o.ConfigFile(), "ORGANIZR_DATABASE_FILE=auto", "ORGANIZR_URL=" + organizr,
		},
		Dynamic: table{"http": table{
			"routers": table{
				"organizr": table{"rule": "Host(`organizr.demo.localhost`)", "service": "organizr"},
				"sonarr": table{
					"rule": "Host(`sonarr.demo.localhost`)", "service": "service", "middlewares": []string{"organizr"},
				},
			},
			"middlewares": table{"organizr": table{"plugin": table{"organizrjwt": table{"group": "tab"}}}},
			"services":    table{"organizr": address(o.URL), "service": address(backend.URL)},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(traefik.Stop)
	folder := os.Getenv(screenshotsVariable)
	if folder == "" {
		folder = t.TempDir()
	}
	window := chromedp.WindowSize(1500, 900)
	alice := &person{t: t, name: "alice", browser: newBrowser(t, window), folder: folder}
	fay := &person{t: t, name: "fay", browser: newBrowser(t, window), folder: folder}

	alice.do(open(sonarr))
	alice.logIn("01-login")
	shows(t, alice.browser, sonarr, "asked to GET /", "alice")
	alice.shoot("02-the-administrator-gets-in-without-a-tab")
	fay.do(open(sonarr))
	fay.logIn("03-login")
	shows(t, fay.browser, sonarr, "Organizr has no tab for sonarr.demo.localhost, so only its administrator gets in.")
	fay.shoot("04-refused-without-a-tab")

	alice.do(open(organizr + "#Settings"))
	alice.press("#settings-main-tab-editor-anchor a", "#settings-tab-editor-tabs-anchor")
	alice.press("#settings-tab-editor-tabs-anchor", `#tabEditorTable tr[data-name="Settings"]`)
	alice.shoot("05-tab-editor")
	alice.press(`[href="#new-tab-form"]`, "#new-tab-form")
	field := func(name, text string) step {
		return chromedp.SendKeys(chromedp.CSS(`#new-tab-form [name="`+name+`"]`), text)
	}
	alice.do(field("name", "Sonarr"), field("url", sonarr), field("image", "fontawesome::tv"))
	alice.shoot("06-new-tab")
	const row = `#tabEditorTable tr[data-name="Sonarr"] `
	alice.do(click("#new-tab-form .addNewTab"), wait(row))
	fay.becomes("made", "Organizr's tab Sonarr is switched off, so only its administrator gets in.")
	alice.shoot("07-tab-made")
	fay.shoot("08-refused-since-the-tab-is-off")

	alice.do(click(row + ".enabledSwitch + .switchery"))
	fay.becomes("switched on", "User (4) or a smaller number", "By the tab\nSonarr")
	alice.shoot("09-switched-on")

	alice.do(choose(row+".tabGroupSelectMin", "5"))
	fay.becomes("moved to Family", "asked to GET /", "fay")
	alice.shoot("10-moved-to-Family")
	fay.shoot("11-gets-in")
	fay.do(open(organizr+"#Sonarr"), wait("iframe"))
	fay.shoot("12-as-a-tab")

	fay.do(open(sonarr))
	alice.do(choose(row+".tabGroupSelectMin", "0"))
	fay.becomes("moved to Admin", "Admin (0)", "By the tab\nSonarr")
	alice.shoot("13-moved-to-Admin")
	fay.shoot("14-refused-by-the-tab")
}

// choose chooses an option of a select box, as a click on it does.
func choose(selector, value string) step {
	return chromedp.Evaluate[chromedp.Void](`{
		const box = document.querySelector('` + selector + `')
		box.value = '` + value + `'
		box.dispatchEvent(new Event('change', {bubbles: true}))
	}`)
}
