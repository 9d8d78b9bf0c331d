package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/realorganizr"
)

type tab = realorganizr.Tab

// A tabAgreement compares what the plugin makes of Organizr's tabs with what Organizr makes of them.
type tabAgreement struct {
	*agreement
	sessions map[string]string // of all accounts; nobody has none
	table    *strings.Builder
}

// everybody returns the names of all accounts, and "nobody" for a visitor without one.
func everybody() []string {
	names := []string{}
	for _, account := range fakeorganizr.Accounts {
		names = append(names, account.Username)
	}
	return append(names, "nobody")
}

// A tabName is asked for by group: tab=NAME.
type tabName struct {
	name  string
	why   string // the plugin asks for another group than Organizr on purpose; empty if it doesn't
	group int    // for which it asks then
}

// Organizr's own tabs, tabs of services, and texts that are the name of no tab.
var tabNames = []tabName{
	{name: "Settings"},
	{name: "Sonarr 4K"},
	{name: "sONARR 4k"},
	{name: "Radarr"},
	{name: "Public"},
	{name: "Members"},
	{name: "100% or_more"},
	{name: "Müller"},
	{name: "Nothing"},
	{name: "Sonarr", why: "Organizr takes the first tab whose name holds the text", group: 4},
	{name: "Sonar", why: "Organizr takes a part of a name for the name"},
	{name: "%", why: "Organizr takes a part of a name for the name"},
	{name: "MÜLLER", why: "Organizr ignores case in ASCII only", group: 4},
	{name: "R&D <b>", why: "Organizr looks for the text among names that are escaped as HTML", group: 4},
	{name: "R&amp;D &lt;b&gt;", why: "Organizr looks for the text among names that are escaped as HTML"},
	{name: "4", why: "Organizr takes a number for a group", group: 1},
	{name: "Lidarr"}, // which is made later
	{name: "Music"},
}

// servicesTabs are made in this order.
var servicesTabs = []tab{
	{"name": "Sonarr 4K", "url": "https://sonarr4k.example.com", "enabled": 1, "group_id": 2},
	{"name": "Sonarr", "url": "https://sonarr.lan", "enabled": 1, "group_id": 4},
	{"name": "Radarr", "url": "https://radarr.lan", "enabled": 0, "group_id": 5},
	{"name": "Public", "url": "https://public.lan", "enabled": 1, "group_id": 999},
	{"name": "Members", "url": "https://members.lan", "enabled": 1, "group_id": 998},
	{"name": "100% or_more", "url": "https://more.lan", "enabled": 1, "group_id": 3},
	{"name": "Müller", "url": "https://mueller.lan", "enabled": 1, "group_id": 4},
	{"name": "R&D <b>", "url": "https://rd.lan", "enabled": 1, "group_id": 4},
	{"name": "4", "url": "https://four.lan", "enabled": 1, "group_id": 1},
}

// Organizr's own check and the plugin are asked the same about tabs, before and after every change of them.
func TestAgreementOnTabs(t *testing.T) {
	o := realOrganizr(t)
	hosts := map[string]table{"navidrome": {"group": "tab"}, "xn--msik-0ra": {"group": "tab"}, "shared": {"group": "tab"}}
	for i, one := range tabNames {
		hosts[fmt.Sprint("name-", i)] = table{"group": "tab=" + one.name}
	}
	a := &tabAgreement{
		agreement: &agreement{scene: followOrganizr(t, o.ConfigFile(), hosts), organizr: o}, table: &strings.Builder{},
	}
	defer a.report()
	a.sessions = a.each(func(account fakeorganizr.Account) (string, error) {
		return o.LogIn(t.Context(), account.Username)
	})
	t.Run("by name", func(t *testing.T) { a.in(t).byName() })
	t.Run("by host", func(t *testing.T) { a.in(t).byHost() })
	t.Run("who changes tabs", func(t *testing.T) { a.in(t).whoChanges() })
}

// in returns the agreement for a subtest.
func (a *tabAgreement) in(t *testing.T) *tabAgreement {
	part := &agreement{scene: a.scene.in(t), organizr: a.organizr}
	return &tabAgreement{agreement: part, sessions: a.sessions, table: a.table}
}

// byName compares tab=NAME with Organizr's check for that name.
func (a *tabAgreement) byName() {
	for _, one := range tabNames {
		if one.name != "4" { // which Organizr takes for a group even where no tab is called so
			a.compareName(tabName{name: one.name}, "without tabs of services", time.Time{})
		}
	}
	for _, tab := range servicesTabs {
		a.add(tab)
	}
	added := time.Now()
	for _, one := range tabNames {
		a.compareName(one, "with tabs of services", added)
	}

	lidarr := a.add(tab{"name": "Lidarr", "url": "https://lidarr.lan"})
	a.compareName(tabName{name: "Lidarr"}, "new, so off and of the default group", time.Now())
	partOfName := tabName{name: "Lidarr", why: "Organizr takes a part of a name for the name"}
	for _, step := range []struct {
		state  string
		change tab
		name   tabName
	}{
		{"for Co-Admins", tab{"group_id": 1}, tabName{name: "Lidarr"}},
		{"for Power Users", tab{"group_id": 3}, tabName{name: "Lidarr"}},
		{"for Family", tab{"group_id": 5}, tabName{name: "Lidarr"}},
		{"for guests", tab{"group_id": 999}, tabName{name: "Lidarr"}},
		{"for all who are logged in", tab{"group_id": 998}, tabName{name: "Lidarr"}},
		{"for Users", tab{"group_id": 4}, tabName{name: "Lidarr"}},
		{"with a maximum group", tab{"group_id_max": 3}, tabName{name: "Lidarr"}},
		{"without one, switched on", tab{"group_id_max": 0, "enabled": 1}, tabName{name: "Lidarr"}},
		{"switched off", tab{"enabled": 0}, tabName{name: "Lidarr"}},
		{"for Admins", tab{"group_id": 0}, tabName{name: "Lidarr"}},
		{"for Family again", tab{"group_id": 5}, tabName{name: "Lidarr"}},
		{"called Music", tab{"name": "Music"}, tabName{name: "Lidarr"}},
		{"called Music", tab{}, tabName{name: "Music"}},
		{"called Lidarr & more", tab{"name": "Lidarr & more"}, partOfName},
		{"called Lidarr again", tab{"name": " lidarr "}, tabName{name: "Lidarr"}},
	} {
		if len(step.change) > 0 {
			a.change(lidarr, step.change)
		}
		a.compareName(step.name, step.state, time.Now())
	}
	a.delete(lidarr)
	a.compareName(tabName{name: "Lidarr"}, "deleted", time.Now())
}

// byHost compares the tab that has a host with Organizr's check for the group that the tab has.
func (a *tabAgreement) byHost() {
	const host, administrator = "navidrome.example.com", 0
	a.compareHost(host, "without a tab", administrator, time.Time{})
	navidrome := a.add(tab{"name": "Navidrome", "url": "https://" + host, "group_id": 4})
	a.compareHost(host, "with a new tab, which is off", administrator, time.Now())
	for _, step := range []struct {
		state  string
		change tab
		group  int
	}{
		{"switched on", tab{"enabled": 1}, 4},
		{"for Co-Admins", tab{"group_id": 1}, 1},
		{"for Power Users", tab{"group_id": 3}, 3},
		{"for Family", tab{"group_id": 5}, 5},
		{"for Admins", tab{"group_id": 0}, 0},
		{"for guests", tab{"group_id": 999}, 999},
		{"for all who are logged in", tab{"group_id": 998}, 998},
		{"for Users", tab{"group_id": 4}, 4},
		{"with a maximum group", tab{"group_id_max": 2}, 4},
		{"with another name", tab{"name": "Hits & More", "group_id_max": 0, "group_id": 3}, 3},
		{"with another host", tab{"url": "https://music.example.com"}, administrator},
		{"with the host as its local address", tab{"url_local": "http://" + host + ":4533"}, 3},
		{
			"with the host in capitals, and no local address",
			tab{"url": "HTTPS://Navidrome.EXAMPLE.com/x?y#z", "url_local": "", "group_id": 5},
			5,
		},
		{"with the host, but no scheme", tab{"url": host + "/app", "group_id": 4}, 4},
		{"with a name and a password before the host", tab{"url": "https://bob:secret@" + host}, administrator},
		{"with a placeholder behind the host", tab{"url": "https://" + host + "/{username}"}, 4},
		{"with a placeholder for the host", tab{"url": "https://{domain}"}, administrator},
		{"with a path alone", tab{"url": "/" + host}, administrator},
		{"with the host", tab{"url": "https://" + host}, 4},
		{"switched off", tab{"enabled": 0}, administrator},
		{"switched on again", tab{"enabled": 1}, 4},
	} {
		a.change(navidrome, step.change)
		a.compareHost(host, step.state, step.group, time.Now())
	}
	second := a.add(tab{"name": "Navidrome's settings", "url": "https://" + host + "/app", "enabled": 1, "group_id": 1})
	a.compareHost(host, "with a second tab for Co-Admins", 1, time.Now())
	a.change(second, tab{"enabled": 0})
	a.compareHost(host, "whose second tab is switched off", 4, time.Now())
	a.change(second, tab{"enabled": 1})
	a.compareHost(host, "whose second tab is switched on", 1, time.Now())
	a.delete(second)
	a.compareHost(host, "whose second tab is deleted", 4, time.Now())
	a.delete(navidrome)
	a.compareHost(host, "whose tab is deleted", administrator, time.Now())

	const inASCII = "xn--msik-0ra.example.com" // as browsers send it
	music := a.add(tab{"name": "Müsik", "url": "https://müsik.example.com", "enabled": 1, "group_id": 4})
	a.compareHost(inASCII, "with an umlaut in the tab's address", administrator, time.Now())
	a.change(music, tab{"url": "https://" + inASCII})
	a.compareHost(inASCII, "without one", 4, time.Now())
	a.delete(music)
}

// Administrators and Co-Admins change tabs, and nobody else.
func (a *tabAgreement) whoChanges() {
	const host = "shared.example.com"
	shared := a.add(tab{"name": "Shared", "url": "https://" + host, "enabled": 1, "group_id": 998})
	for _, account := range fakeorganizr.Accounts {
		err := a.organizr.ChangeTabAs(a.t.Context(), a.sessions[account.Username], shared, tab{"group_id": account.GroupID})
		if (err == nil) != (account.GroupID <= 1) {
			a.t.Errorf("%s of group %d changes a tab: %v", account.Username, account.GroupID, err)
		}
	}
	a.compareHost(host, "moved to Co-Admin by a Co-Admin", 1, time.Now())
	a.delete(shared)
}

func (a *tabAgreement) add(added tab) int {
	a.t.Helper()
	id, err := a.organizr.AddTab(a.t.Context(), added)
	if err != nil {
		a.t.Fatal(err)
	}
	return id
}

func (a *tabAgreement) change(id int, change tab) {
	a.t.Helper()
	if err := a.organizr.ChangeTab(a.t.Context(), id, change); err != nil {
		a.t.Fatal(err)
	}
}

func (a *tabAgreement) delete(id int) {
	a.t.Helper()
	if err := a.organizr.DeleteTab(a.t.Context(), id); err != nil {
		a.t.Fatal(err)
	}
}

// compareName compares a name in some state of the tabs, which a change some time ago brought about.
func (a *tabAgreement) compareName(one tabName, state string, changed time.Time) {
	a.t.Helper()
	at := slices.IndexFunc(tabNames, func(other tabName) bool { return other.name == one.name })
	a.t.Run(one.name+", "+state, func(t *testing.T) {
		part := a.in(t)
		differs := false
		want := func(visit realorganizr.Visit) verdict {
			says := part.said(one.name, visit)
			if one.why == "" {
				return says
			}
			plugins := part.said(strconv.Itoa(one.group), visit)
			differs = differs || plugins != says
			return plugins
		}
		part.compareEach(fmt.Sprint("name-", at, ".example.com"), one.name, state, changed, want)
		if one.why != "" && !differs {
			t.Errorf("there is no difference, though %s", one.why)
		}
	})
}

// compareHost compares a host in some state of the tabs with the group that the tab has then.
func (a *tabAgreement) compareHost(host, state string, group int, changed time.Time) {
	a.t.Helper()
	a.t.Run(host+" "+state, func(t *testing.T) {
		part := a.in(t)
		want := func(visit realorganizr.Visit) verdict { return part.said(strconv.Itoa(group), visit) }
		part.compareEach(host, host, state, changed, want)
	})
}

// said returns the verdict that the plugin is to give where Organizr is asked for a group or a tab. To a service that
// Guests may use, Organizr introduces a stranger as Guest, and the plugin as nobody.
func (a *tabAgreement) said(groupOrTab string, visit realorganizr.Visit) verdict {
	a.t.Helper()
	resp, err := a.organizr.CheckTab(a.t.Context(), groupOrTab, visit)
	if err != nil {
		a.t.Fatal(err)
	}
	says := organizrsVerdict(resp)
	if says.user == "Guest" && says.group == "999" {
		return verdict{status: http.StatusOK}
	}
	return says
}

// compareEach compares what is wanted with the plugin's verdict, for all accounts and nobody. Where a change isn't to
// make a difference, it waits until the change must count.
func (a *tabAgreement) compareEach(
	host, asked, state string, changed time.Time, want func(visit realorganizr.Visit) verdict,
) {
	a.t.Helper()
	counted := a.compareNow(host, asked, state, changed, want)
	if counted == 0 && time.Since(changed) < soon {
		time.Sleep(time.Until(changed.Add(soon)))
		a.compareNow(host, asked, state+", a while later", changed, want)
	}
}

// compareNow compares what is wanted with the plugin's verdict, and returns how long the change took to count, or 0 if
// it counted at once or made no difference.
func (a *tabAgreement) compareNow(
	host, asked, state string, changed time.Time, want func(visit realorganizr.Visit) verdict,
) (counted time.Duration) {
	a.t.Helper()
	statuses := ""
	for _, username := range everybody() {
		visit := realorganizr.Visit{Session: a.sessions[username]}
		wanted := want(visit)
		got, status := a.answeredAt(host, visit)
		for got != wanted && time.Since(changed) < soon {
			time.Sleep(5 * time.Millisecond)
			got, status = a.answeredAt(host, visit)
			counted = time.Since(changed)
		}
		if got != wanted {
			a.t.Errorf("%s: got %+v (%d), want %+v", username, got, status, wanted)
		}
		statuses += fmt.Sprintf("\t%d %d", wanted.status, status)
	}
	when := ""
	if counted > 0 {
		when = counted.Round(time.Millisecond).String()
	}
	fmt.Fprintf(a.table, "%s\t%s\t%s%s\n", asked, state, when, statuses)
	return counted
}

// report logs all statuses: the plugin's beside the one that is wanted.
func (a *tabAgreement) report() {
	var text strings.Builder
	columns := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintf(columns, "tab\tin this state\tafter\t%s\n%s", strings.Join(everybody(), "\t"), a.table.String())
	_ = columns.Flush()
	a.t.Logf("the status that is wanted and the plugin's, and when the change counted\n%s", text.String())
}
