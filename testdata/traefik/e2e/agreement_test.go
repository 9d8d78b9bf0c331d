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
func followOrganizr(t *testing.T, configFile string, hosts map[string]table, flags ...string) *scene {
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
			"ORGANIZR_CONFIG_FILE=" + configFile, "ORGANIZR_DATABASE_FILE=auto",
			"ORGANIZR_URL=https://organizr.example.com",
		}
		options.Flags = flags
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

// The states in which the plugin's answer differs on purpose.
const (
	locked      = "locked"
	anotherID   = "they gave themselves another id"
	anotherHash = "signed with the hash before"
)

// said returns Organizr's verdict, and the one that the plugin is to give. They differ in four cases only:
//   - To a service that Guests may use, Organizr introduces a stranger as Guest, and the plugin as nobody.
//   - There Organizr refuses a locked account, which could get in by leaving its cookie away.
//   - Organizr believes the token where the user has no row, since they gave themselves another id.
//   - Organizr doesn't check the signature of a token that it lists.
func (a *agreement) said(group int, visit realorganizr.Visit, state string) (says, want verdict) {
	a.t.Helper()
	resp, err := a.organizr.Check(a.t.Context(), group, visit)
	if err != nil {
		a.t.Fatal(err)
	}
	says = organizrsVerdict(resp)
	switch {
	case state == anotherID, state == anotherHash, state == locked && says.status == http.StatusUnauthorized,
		group == 999 && says.user == "Guest" && says.group == "999":
	default:
		return says, says
	}
	if group == 999 {
		return says, verdict{status: http.StatusOK}
	}
	return says, verdict{status: http.StatusUnauthorized}
}

// organizrsVerdict returns what an answer of Organizr's check says.
func organizrsVerdict(resp *http.Response) verdict {
	told := resp.Header
	return verdict{
		resp.StatusCode, told.Get("X-Organizr-User"), told.Get("X-Organizr-Email"), told.Get("X-Organizr-Group"),
	}
}

// answered returns the plugin's verdict, and the status as it came.
func (a *agreement) answered(group int, visit realorganizr.Visit) (says verdict, asItCame int) {
	a.t.Helper()
	return a.answeredAt(fmt.Sprintf("group-%d.example.com", group), visit)
}

// answeredAt is answered for a host. Organizr answers 401 to everyone it refuses, the plugin 403 where another login
// wouldn't help.
func (a *agreement) answeredAt(host string, visit realorganizr.Visit) (says verdict, asItCame int) {
	a.t.Helper()
	var headers []string
	if visit.Session != "" {
		headers = append(headers, "Cookie", a.organizr.CookieName()+"="+visit.Session)
	}
	if visit.Address != "" {
		headers = append(headers, "X-Forwarded-For", visit.Address)
	}
	if visit.Browser != "" {
		headers = append(headers, "User-Agent", visit.Browser)
	}
	got := a.ask("GET", host, "/", headers...)
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
	a.compareVisits(state, visits(sessions, realorganizr.Visit{}), changed)
}

// visits returns visits like the one that is given, with these sessions.
func visits(sessions map[string]string, like realorganizr.Visit) map[string]realorganizr.Visit {
	all := map[string]realorganizr.Visit{}
	for username, session := range sessions {
		like.Session = session
		all[username] = like
	}
	return all
}

// compareVisits is compare for sessions that come from an address, or by a browser.
func (a *agreement) compareVisits(state string, visits map[string]realorganizr.Visit, changed time.Time) {
	a.t.Helper()
	for _, account := range fakeorganizr.Accounts {
		visit, ok := visits[account.Username]
		if !ok {
			continue
		}
		a.t.Run(account.Username+", "+state, func(t *testing.T) {
			part := &agreement{scene: a.in(t), organizr: a.organizr}
			fmt.Fprintf(&a.table, "%s\t%s", account.Username, state)
			for _, group := range thresholds {
				says, want := part.said(group, visit, state)
				got, status := part.answered(group, visit)
				for got != want && time.Since(changed) < soon {
					got, status = part.answered(group, visit)
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

// obtain returns a session of the account.
type obtain func(account fakeorganizr.Account) (session string, err error)

// each obtains a session of every account.
func (a *agreement) each(obtain obtain) map[string]string {
	a.t.Helper()
	return a.eachOf(fakeorganizr.Accounts, obtain)
}

// eachOf is each for some accounts.
func (a *agreement) eachOf(accounts []fakeorganizr.Account, obtain obtain) map[string]string {
	a.t.Helper()
	sessions := map[string]string{}
	for _, account := range accounts {
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

// configure changes settings of Organizr.
func (a *agreement) configure(settings map[string]any) time.Time {
	a.t.Helper()
	if err := a.organizr.Configure(a.t.Context(), settings); err != nil {
		a.t.Fatal(err)
	}
	return time.Now()
}

// trustAddresses lets Traefik take the address that a request says it comes from.
const trustAddresses = "--entryPoints.web.forwardedHeaders.insecure=true"

// Organizr's own check and the plugin are asked the same: seven accounts of seven groups, all thresholds, and all that
// can become of a session.
func TestAgreement(t *testing.T) {
	o := realOrganizr(t)
	hosts := map[string]table{}
	for _, group := range thresholds {
		hosts[fmt.Sprintf("group-%d", group)] = table{"group": group}
	}
	a := &agreement{scene: followOrganizr(t, o.ConfigFile(), hosts, trustAddresses), organizr: o}
	defer a.report()
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
	first, second := a.each(logIn), a.each(logIn)
	ended := a.change(func(account fakeorganizr.Account) error { return o.LogOut(ctx, first[account.Username]) })
	a.compare("the first of two, logged out", first, ended)
	a.compare("the second of two", second, ended)

	a.compareExpiry(listed)
	a.compareBound(listed)
	a.compareKeys(good)
	a.compareOwnChanges()

	a.compare(locked, good, a.change(func(account fakeorganizr.Account) error { return o.Lock(ctx, account.Username) }))
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
	a.compare("renamed, new login", a.each(func(account fakeorganizr.Account) (string, error) {
		return o.LogIn(ctx, "new."+account.Email())
	}), never)
	a.compare("deleted", good,
		a.change(func(account fakeorganizr.Account) error { return o.Delete(ctx, account.Username+" & Söhne") }))
}

// administratorAndUser are enough for what doesn't depend on the group.
var administratorAndUser = []fakeorganizr.Account{fakeorganizr.Accounts[0], fakeorganizr.Accounts[4]}

// list adds a row like the one that is given for a session of the administrator and of a user. Their tokens are valid
// for a week.
func (a *agreement) list(database *fakeorganizr.Database, row fakeorganizr.Session) map[string]string {
	a.t.Helper()
	return a.eachOf(administratorAndUser, func(account fakeorganizr.Account) (string, error) {
		session, err := a.organizr.Session(account, time.Now().Add(-time.Minute), 7*24*time.Hour)
		account.UserID = a.organizr.ID(account.Username)
		row.Token = session
		return session, errors.Join(err, database.List(account, row))
	})
}

// How Organizr writes when a session expires, and how it once did. It compares both with the time as text.
const (
	expiryNow    = time.DateTime
	expiryBefore = "2006-01-02T15:04:05Z"
)

// compareExpiry compares what becomes of a session by what the database says of its end.
func (a *agreement) compareExpiry(database *fakeorganizr.Database) {
	a.t.Helper()
	now := time.Now().UTC()
	lastSecond := time.Date(now.Year(), now.Month(), now.Day(), 23, 59, 59, 0, time.UTC)
	for _, test := range []struct {
		state   string
		expires any
	}{
		{"listed until today", lastSecond.Format(expiryNow)},
		{"listed until tomorrow", lastSecond.AddDate(0, 0, 1).Format(expiryNow)},
		{"listed until long ago", "2019-05-04 03:02:01"},
		{"listed until the next hour, as it once was", now.Add(time.Hour).Format(expiryBefore)},
		{"listed until the last minute, as it once was", now.Add(-time.Minute).Format(expiryBefore)},
		{"listed until long ago, as it once was", "2019-05-04T03:02:01Z"},
		{"listed until NULL", nil},
		{"listed until an empty text", ""},
		{"listed until a number", "2099"},
	} {
		a.compare(test.state, a.list(database, fakeorganizr.Session{Expires: test.expires}), time.Now())
	}

	end := time.Now().Add(5 * time.Second).UTC().Truncate(time.Second)
	ending := a.list(database, fakeorganizr.Session{Expires: end.Format(expiryBefore)})
	for username, session := range ending {
		if got, _ := a.answered(998, realorganizr.Visit{Session: session}); got.user != username {
			a.t.Errorf("%s, whose session is listed until %s, is %+v before", username, end.Format(expiryBefore), got)
		}
	}
	time.Sleep(time.Until(end))
	a.compare("remembered, and listed until this second", ending, end)
}

// compareBound compares what becomes of sessions that Organizr binds to addresses and browsers.
func (a *agreement) compareBound(database *fakeorganizr.Database) {
	a.t.Helper()
	const browser = "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0"
	at := func(address string) realorganizr.Visit { return realorganizr.Visit{Address: address, Browser: browser} }
	logIn := func(visit realorganizr.Visit) map[string]string {
		return a.eachOf(administratorAndUser, func(account fakeorganizr.Account) (string, error) {
			return a.organizr.LogInAs(a.t.Context(), account.Username, visit)
		})
	}
	home, newer := logIn(at("203.0.113.5")), logIn(at("2001:db8::5"))
	tomorrow := time.Now().AddDate(0, 0, 2).UTC().Format(expiryNow)
	unknown := a.list(database, fakeorganizr.Session{Expires: tomorrow})

	type step struct {
		state    string
		sessions map[string]string
		visit    realorganizr.Visit
	}
	// The first step after each change has another answer than before it, so that the others don't meet the old setting.
	compare := func(setting string, changed time.Time, steps ...step) {
		for _, step := range steps {
			a.compareVisits(setting+step.state, visits(step.sessions, step.visit), changed)
		}
	}
	compare("nothing is bound: ", time.Now(),
		step{"at home", home, at("203.0.113.5")},
		step{"elsewhere, in another browser", home, realorganizr.Visit{Address: "198.51.100.7", Browser: "curl/8"}},
	)
	compare("the address is bound: ", a.configure(map[string]any{"matchUserIP": true}),
		step{"elsewhere", home, at("198.51.100.7")},
		step{"at home", home, at("203.0.113.5")},
		step{"at home, in another browser", home, realorganizr.Visit{Address: "203.0.113.5", Browser: "curl/8"}},
		step{"at home, by a second proxy", home, at("203.0.113.5, 198.51.100.7")},
		step{"elsewhere, by a second proxy at home", home, at("198.51.100.7, 203.0.113.5")},
		step{"by IPv6", home, at("2001:db8::5")},
		step{"at 10.0.0.0", home, at("10.0.0.0")},
		step{"at 11.0.0.0", home, at("11.0.0.0")},
		step{"at 172.31.255.255", home, at("172.31.255.255")},
		step{"at 172.32.0.0", home, at("172.32.0.0")},
		step{"at 192.168.1.7", home, at("192.168.1.7")},
		step{"at 127.0.0.1", home, at("127.0.0.1")},
		step{"at 127.0.0.0", home, at("127.0.0.0")},
		step{"at 100.64.0.1", home, at("100.64.0.1")},
		step{"at ::1", home, at("::1")},
		step{"at fd00::1", home, at("fd00::1")},
		step{"at what is no address", home, at("unknown")},
		step{"at 10.0.0.1 with a zero before it", home, at("010.0.0.1")},
		step{"at home by IPv6", newer, at("2001:db8::5")},
		step{"elsewhere by IPv6", newer, at("2001:db8::6")},
		step{"at home by IPv6, written another way", newer, at("2001:DB8:0::5")},
		step{"listed without an address", unknown, at("203.0.113.5")},
		step{"listed without an address, at 10.1.2.3", unknown, at("10.1.2.3")},
	)
	local := map[string]any{"localIPList": "198.51.100.7/24, 192.0.2.9,192.0.2.16/28, nonsense"}
	compare("the address is bound, and more is local: ", a.configure(local),
		step{"in a range", home, at("198.51.100.200")},
		step{"beside the range", home, at("198.51.101.0")},
		step{"at the one", home, at("192.0.2.9")},
		step{"beside the one", home, at("192.0.2.10")},
		step{"in what Organizr makes of a small range", home, at("192.0.2.15")},
		step{"in the small range", home, at("192.0.2.17")},
		step{"by IPv6", home, at("2001:db8::5")},
	)
	browsers := map[string]any{"matchUserIP": false, "matchUserAgents": true, "localIPList": ""}
	compare("the browser is bound: ", a.configure(browsers),
		step{"the same, elsewhere", home, at("198.51.100.7")},
		step{"another", home, realorganizr.Visit{Address: "203.0.113.5", Browser: "curl/8"}},
		step{"another at a local address", home, realorganizr.Visit{Address: "10.1.2.3", Browser: "curl/8"}},
		step{"the same in capitals", home, realorganizr.Visit{Address: "203.0.113.5", Browser: strings.ToUpper(browser)}},
		step{"none", home, realorganizr.Visit{Address: "203.0.113.5"}},
		step{"listed without one", unknown, at("203.0.113.5")},
		step{"listed without one, and there is none", unknown, realorganizr.Visit{Address: "203.0.113.5"}},
	)
	compare("both are bound: ", a.configure(map[string]any{"matchUserIP": true}),
		step{"elsewhere", home, at("198.51.100.7")},
		step{"both right", home, at("203.0.113.5")},
		step{"another browser", home, realorganizr.Visit{Address: "203.0.113.5", Browser: "curl/8"}},
	)
	for _, value := range []any{"0", "1", 0, 1, "", "no", false, true} {
		changed := a.configure(map[string]any{"matchUserIP": value, "matchUserAgents": false})
		compare(fmt.Sprintf("matchUserIP is %#v: ", value), changed, step{"elsewhere", home, at("198.51.100.7")})
	}
	compare("nothing is bound any more: ", a.configure(map[string]any{"matchUserIP": false}),
		step{"elsewhere, in another browser", home, realorganizr.Visit{Address: "198.51.100.7", Browser: "curl/8"}})
}

// compareKeys compares what becomes of good sessions while Organizr has another hash.
func (a *agreement) compareKeys(good map[string]string) {
	a.t.Helper()
	before, err := a.organizr.Setting("organizrHash")
	if err != nil {
		a.t.Fatal(err)
	}
	changed := a.configure(map[string]any{"organizrHash": "another hash of Organizr's owner"})
	a.compare(anotherHash, good, changed)
	a.compare("signed with the new hash", a.each(func(account fakeorganizr.Account) (string, error) {
		return a.organizr.LogIn(a.t.Context(), account.Username)
	}), changed)
	a.compare("signed with a hash that is back", good, a.configure(map[string]any{"organizrHash": before}))
}

// compareOwnChanges compares what becomes of somebody who changes their own account as far as Organizr lets them.
func (a *agreement) compareOwnChanges() {
	a.t.Helper()
	const username = "bob"
	id := a.organizr.ID(username)
	session, err := a.organizr.LogIn(a.t.Context(), username)
	if err != nil {
		a.t.Fatal(err)
	}
	own := map[string]string{username: session}
	change := func(id int, change map[string]any) time.Time {
		if err := a.organizr.Change(a.t.Context(), session, id, change); err != nil {
			a.t.Fatal(err)
		}
		return time.Now()
	}
	a.compare("they gave themselves another name", own,
		change(id, map[string]any{"username": "root", "email": "root@example.com"}))
	a.compare("they gave themselves the name of a group", own, change(id, map[string]any{"group": "Admin"}))
	if err := a.organizr.Change(a.t.Context(), session, id, map[string]any{"group_id": 0}); err == nil {
		a.t.Error("Organizr let a user choose their group")
	}
	a.compare("they asked for another group", own, time.Time{})
	a.compare("they are who they were", own,
		change(id, map[string]any{"username": username, "email": "bob@example.com", "group": "User"}))
	a.compare(anotherID, own, change(id, map[string]any{"id": 1000}))
	if err := a.organizr.Renumber(a.t.Context(), 1000, id); err != nil {
		a.t.Fatal(err)
	}
	a.compare("they have their id again", own, time.Now())
}

// report logs all answers.
func (a *agreement) report() {
	var text strings.Builder
	columns := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprint(columns, "Organizr's answer and the plugin's\t")
	for _, group := range thresholds {
		fmt.Fprintf(columns, "\t%d", group)
	}
	fmt.Fprintf(columns, "\n%s", a.table.String())
	_ = columns.Flush()
	a.t.Logf("%d answers and their headers compared; the slowest change counted after %v\n%s",
		a.cells, a.slowest.Round(10*time.Millisecond), text.String())
}
