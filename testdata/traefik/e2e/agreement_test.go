package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/realorganizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/service"
)

// Organizr counts a change at once. The plugin may take a second, and is given half of another on a busy machine.
const soon = 1500 * time.Millisecond

// needsOrganizr skips the test where there is nothing to run a real Organizr from.
func needsOrganizr(t *testing.T) {
	t.Helper()
	if realorganizr.Source() == "" {
		t.Skip(realorganizr.Variable + " names no folder with Organizr's source, which this test runs")
	}
	needs(t, "php")
}

// realOrganizr returns a real Organizr with all of fakeorganizr.Accounts. The test is skipped where there is no source
// of it.
func realOrganizr(t *testing.T) *realorganizr.Organizr {
	t.Helper()
	o := emptyOrganizr(t, realorganizr.Options{})
	if err := o.SetUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	return o
}

// emptyOrganizr returns a real Organizr that nobody has set up yet.
func emptyOrganizr(t *testing.T, options realorganizr.Options) *realorganizr.Organizr {
	t.Helper()
	needsOrganizr(t)
	o, err := realorganizr.Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Stop)
	return o
}

// followOrganizr returns a scene whose middlewares, named for their hosts, follow an Organizr's files: config.php, and
// the database that it names.
func followOrganizr(t *testing.T, configFile string, hosts map[string]table) *scene {
	t.Helper()
	backend := httptest.NewServer(http.HandlerFunc(service.Handler))
	t.Cleanup(backend.Close)
	routers, middlewares := table{}, table{}
	for host, options := range hosts {
		routers[host] = table{"rule": "Host(`" + host + ".example.com`)", "service": "service", "middlewares": []string{host}}
		middlewares[host] = table{"plugin": table{"organizrjwt": options}}
	}
	return setUp(t, nil, func(options *proxy.Options) {
		options.Env = []string{
			"ORGANIZR_CONFIG_FILE=" + configFile, "ORGANIZR_DATABASE_FILE=auto", "ORGANIZR_URL=https://organizr.example.com",
		}
		options.Dynamic = table{"http": table{
			"routers": routers, "middlewares": middlewares,
			"services": table{"service": table{"loadBalancer": table{"servers": []table{{"url": backend.URL}}}}},
		}}
	})
}

// thresholds are the groups that the services of TestAgreement ask for.
var thresholds = []int{0, 1, 2, 3, 4, 5, 998, 999}

// An agreement compares the plugin's answers with Organizr's.
type agreement struct {
	*scene
	organizr *realorganizr.Organizr
	table    strings.Builder
	cells    int
	slowest  time.Duration // that the plugin took to follow a change
}

// A verdict is what a check says about a request: whether it is let through, and who that is.
type verdict struct {
	status             int
	user, email, group string
}

// said returns Organizr's verdict, as the plugin would say it. Of what is different only these two are known, and both
// are about a request of nobody to a service for Guests: Organizr calls nobody Guest, where the plugin names nobody;
// and it answers 401 to a locked account, which gets in as nobody as soon as it leaves its cookie away.
func (a *agreement) said(group int, session string, locked bool) (says, want verdict) {
	a.t.Helper()
	resp, err := a.organizr.Check(a.t.Context(), group, session)
	if err != nil {
		a.t.Fatal(err)
	}
	says = verdict{
		resp.StatusCode, resp.Header.Get("X-Organizr-User"), resp.Header.Get("X-Organizr-Email"),
		resp.Header.Get("X-Organizr-Group"),
	}
	want = says
	if group == 999 && (says.user == "Guest" && says.group == "999" || locked && says.status == http.StatusUnauthorized) {
		want = verdict{status: http.StatusOK}
	}
	return says, want
}

// answered returns the plugin's verdict, and the status as it came. Organizr answers 401 to all whom it refuses, the
// plugin 403 to those whom another login wouldn't help.
func (a *agreement) answered(group int, session string) (says verdict, asItCame int) {
	a.t.Helper()
	var headers []string
	if session != "" {
		headers = []string{"Cookie", a.organizr.CookieName() + "=" + session}
	}
	got := a.ask("GET", fmt.Sprintf("group-%d.example.com", group), "/", headers...)
	told := got.seen().Header
	status := got.StatusCode
	if status == http.StatusForbidden {
		status = http.StatusUnauthorized
	}
	says = verdict{status, told.Get("X-Organizr-User"), told.Get("X-Organizr-Email"), told.Get("X-Organizr-Group")}
	return says, got.StatusCode
}

// compare compares all thresholds for each account's session of the same state, which a change some time ago brought
// about.
func (a *agreement) compare(state string, sessions map[string]string, changed time.Time) {
	a.t.Helper()
	for _, account := range fakeorganizr.Accounts {
		session, ok := sessions[account.Username]
		if !ok {
			continue
		}
		a.t.Run(account.Username+", "+state, func(t *testing.T) {
			part := &agreement{scene: a.in(t), organizr: a.organizr}
			fmt.Fprintf(&a.table, "%s\t%s", account.Username, state)
			for _, group := range thresholds {
				says, want := part.said(group, session, state == "locked")
				got, status := part.answered(group, session)
				for got != want && time.Since(changed) < soon {
					got, status = part.answered(group, session)
					a.slowest = max(a.slowest, time.Since(changed))
				}
				a.cells++
				fmt.Fprintf(&a.table, "\t%d %d", says.status, status)
				if got != want {
					fmt.Fprint(&a.table, " !")
					t.Errorf("group %d: Organizr says %+v, the plugin %+v (%d)", group, says, got, status)
				}
			}
			fmt.Fprintln(&a.table)
		})
	}
}

// each returns a session of every account, as obtain returns it.
func (a *agreement) each(obtain func(account fakeorganizr.Account) (string, error)) map[string]string {
	a.t.Helper()
	sessions := map[string]string{}
	for _, account := range fakeorganizr.Accounts {
		session, err := obtain(account)
		if err != nil {
			a.t.Fatalf("%s: %v", account.Username, err)
		}
		sessions[account.Username] = session
	}
	return sessions
}

// change does something to every account.
func (a *agreement) change(what func(account fakeorganizr.Account) error) time.Time {
	a.t.Helper()
	a.each(func(account fakeorganizr.Account) (string, error) { return "", what(account) })
	return time.Now()
}

// Organizr's own check and the plugin are asked the same: seven accounts of seven groups, all thresholds, and all that
// can become of a session.
func TestAgreement(t *testing.T) {
	o := realOrganizr(t)
	hosts := map[string]table{}
	for _, group := range thresholds {
		hosts[fmt.Sprintf("group-%d", group)] = table{"group": group}
	}
	a := &agreement{scene: followOrganizr(t, o.ConfigFile(), hosts), organizr: o}
	path, err := o.DatabaseFile()
	if err != nil {
		t.Fatal(err)
	}
	listed := fakeorganizr.OpenDatabase(path)
	ctx, never := t.Context(), time.Time{}
	logIn := func(account fakeorganizr.Account) (string, error) { return o.LogIn(ctx, account.Username) }

	good := a.each(logIn)
	a.compare("good", good, never)
	a.compare("none", a.each(func(fakeorganizr.Account) (string, error) { return "", nil }), never)
	a.compare("expired, though listed", a.each(func(account fakeorganizr.Account) (string, error) {
		session, err := o.Session(account, time.Now().Add(-8*24*time.Hour), 8*24*time.Hour-time.Second)
		account.UserID = o.ID(account.Username)
		return session, errors.Join(err, listed.Begin(account, session))
	}), time.Now())
	a.compare("forged", a.each(func(account fakeorganizr.Account) (string, error) {
		// The claims of the administrator, with the signature of one's own.
		parts, admin := strings.Split(good[account.Username], "."), strings.Split(good["alice"], ".")
		if account.GroupID == 0 {
			parts[2] = strings.Repeat("A", len(parts[2]))
		}
		return parts[0] + "." + admin[1] + "." + parts[2], nil
	}), never)
	a.compare("signed with another key", a.each(func(account fakeorganizr.Account) (string, error) {
		account.UserID = o.ID(account.Username)
		return account.Token("not Organizr's key"), nil
	}), never)
	a.compare("signed, but not listed", a.each(func(account fakeorganizr.Account) (string, error) {
		return o.Session(account, time.Now().Add(-time.Minute), time.Hour)
	}), never)
	a.compare("signed and listed, but for somebody else", a.each(func(account fakeorganizr.Account) (string, error) {
		session, err := o.Session(account, time.Now().Add(-time.Minute), 2*time.Hour)
		other := fakeorganizr.Account{UserID: o.ID(account.Username)%len(fakeorganizr.Accounts) + 1}
		return session, errors.Join(err, listed.Begin(other, session))
	}), time.Now())

	loggedOut := a.each(logIn)
	a.compare("about to log out", loggedOut, never)
	a.compare("logged out", loggedOut,
		a.change(func(account fakeorganizr.Account) error { return o.LogOut(ctx, loggedOut[account.Username]) }))
	revoked := a.each(logIn)
	a.compare("revoked", revoked, a.change(func(account fakeorganizr.Account) error {
		return o.Revoke(ctx, revoked[account.Username], good[account.Username])
	}))
	a.compare("another session of theirs was revoked", good, never)

	a.compare("locked", good, a.change(func(account fakeorganizr.Account) error { return o.Lock(ctx, account.Username) }))
	a.compare("unlocked", good,
		a.change(func(account fakeorganizr.Account) error { return o.Unlock(ctx, account.Username) }))
	a.compare("moved down", good, a.change(func(account fakeorganizr.Account) error {
		group := account.GroupID + 1
		if group > 5 {
			group = 999
		}
		return o.Move(ctx, account.Username, group)
	}))
	a.compare("moved down, new login", a.each(logIn), never)
	a.compare("moved up", good, a.change(func(account fakeorganizr.Account) error {
		return o.Move(ctx, account.Username, max(0, account.GroupID-1))
	}))
	a.compare("moved back", good,
		a.change(func(account fakeorganizr.Account) error { return o.Move(ctx, account.Username, account.GroupID) }))

	a.compare("renamed", good, a.change(func(account fakeorganizr.Account) error {
		return o.Rename(ctx, account.Username, account.Username+" & Söhne", "new."+account.Email())
	}))
	a.compare("renamed, new login",
		a.each(func(account fakeorganizr.Account) (string, error) { return o.LogIn(ctx, "new."+account.Email()) }), never)
	a.compare("deleted", good,
		a.change(func(account fakeorganizr.Account) error { return o.Delete(ctx, account.Username+" & Söhne") }))

	var text strings.Builder
	columns := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprint(columns, "Organizr's answer and the plugin's\t")
	for _, group := range thresholds {
		fmt.Fprintf(columns, "\t%d", group)
	}
	fmt.Fprintf(columns, "\n%s", a.table.String())
	_ = columns.Flush()
	t.Logf("%d answers and their headers compared; the slowest change counted after %v\n%s", a.cells,
		a.slowest.Round(10*time.Millisecond), text.String())
}
