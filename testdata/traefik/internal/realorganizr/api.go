package realorganizr

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
)

// newClient returns what asks Organizr. It keeps no cookies: each call says whose session it is made with.
func newClient() *http.Client {
	return &http.Client{
		Timeout:       30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// A Visit is how somebody comes to Organizr. What is empty isn't sent.
type Visit struct {
	Session string // the token that the cookie holds
	Address string // from which they come, as a proxy before Organizr says it
	Browser string // its User-Agent
}

// prepare lets a request come as the visit says.
func (o *Organizr) prepare(req *http.Request, visit Visit) {
	if visit.Session != "" {
		req.AddCookie(&http.Cookie{Name: o.CookieName(), Value: visit.Session})
	}
	if visit.Address != "" {
		req.Header.Set("X-Forwarded-For", visit.Address)
	}
	req.Header.Set("User-Agent", visit.Browser) // where it is empty, Go sends none
}

// call asks Organizr's API with a session, with the API key, which is the administrator's, or with none (empty), and
// decodes the data of the answer unless into is nil. Whatever Organizr doesn't call a success is an error.
func (o *Organizr) call(ctx context.Context, credential, method, path string, body, into any) (*http.Response, error) {
	return o.callAs(ctx, Visit{Session: credential}, method, path, body, into)
}

// callAs is call for a visit, whose session may be the API key.
func (o *Organizr) callAs(
	ctx context.Context, visit Visit, method, path string, body, into any,
) (*http.Response, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, o.URL+"/api/v2/"+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if visit.Session != "" && visit.Session == o.key {
		req.Header.Set("Token", o.key)
		visit.Session = ""
	}
	o.prepare(req, visit)
	resp, err := o.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	var known struct {
		Response struct {
			Result, Message string
			Data            json.RawMessage
		}
	}
	switch err := json.Unmarshal(answer, &known); {
	case resp.StatusCode == http.StatusNoContent:
		return resp, nil
	case err != nil:
		return nil, fmt.Errorf("%s %s: %d, no JSON: %.200s", method, path, resp.StatusCode, answer)
	case resp.StatusCode > 299 || known.Response.Result != "success":
		return nil, fmt.Errorf("%s %s: %d, %s", method, path, resp.StatusCode, known.Response.Message)
	case into != nil:
		return resp, json.Unmarshal(known.Response.Data, into)
	}
	return resp, nil
}

// SetUp runs Organizr's wizard, which makes config.php, the database and the administrator, and then adds all other of
// fakeorganizr.Accounts and the group that isn't Organizr's own, as an administrator does.
func (o *Organizr) SetUp(ctx context.Context) error {
	if err := o.Wizard(ctx); err != nil {
		return err
	}
	for _, group := range fakeorganizr.Groups {
		if group.ID > 4 && group.ID < 998 {
			added := map[string]any{"group": group.Name, "image": "x"}
			if _, err := o.call(ctx, o.key, http.MethodPost, "groups", added, nil); err != nil {
				return err
			}
		}
	}
	for _, account := range fakeorganizr.Accounts {
		if account.GroupID == 0 {
			continue
		}
		if err := o.Add(ctx, account); err != nil {
			return err
		}
	}
	return nil
}

// Wizard does what a new owner does in Organizr's wizard, with the database where it suggests it.
func (o *Organizr) Wizard(ctx context.Context) error {
	admin := fakeorganizr.Accounts[0]
	o.key = rand.Text()[:20]
	folder := filepath.Join(o.Web, "data", strings.ToLower(rand.Text()[:10])) + "/"
	_, err := o.call(ctx, "", http.MethodPost, "wizard", map[string]any{
		"license": "personal", "username": admin.Username, "password": Password, "email": admin.Email(),
		"hashKey": rand.Text() + "0123", "registrationPassword": rand.Text(), "api": o.key,
		"driver": "sqlite3", "dbPath": folder, "dbName": "organizr.db",
	}, nil)
	if err != nil {
		return err
	}
	if o.uuid, err = o.Setting("uuid"); err != nil {
		return err
	}
	return o.learn(ctx)
}

// Add makes an account and moves it to its group.
func (o *Organizr) Add(ctx context.Context, account fakeorganizr.Account) error {
	_, err := o.call(ctx, o.key, http.MethodPost, "users", map[string]any{
		"username": account.Username, "password": Password, "email": account.Email(),
	}, nil)
	if err != nil {
		return err
	}
	if err := o.learn(ctx); err != nil {
		return err
	}
	return o.Move(ctx, account.Username, account.GroupID)
}

// Password is what all accounts log in with.
const Password = "a password for tests"

// learn asks for the ids of all accounts.
func (o *Organizr) learn(ctx context.Context) error {
	var users []struct {
		ID       int
		Username string
	}
	if _, err := o.call(ctx, o.key, http.MethodGet, "users", nil, &users); err != nil {
		return err
	}
	o.mutex.Lock()
	defer o.mutex.Unlock()
	for _, user := range users {
		o.ids[user.Username] = user.ID
	}
	return nil
}

// ID returns the id of an account; 0 if there is none.
func (o *Organizr) ID(username string) int {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.ids[username]
}

// LogIn logs in with an account's name or address, and "remember me". It returns the session: the token that Organizr's
// cookie holds.
func (o *Organizr) LogIn(ctx context.Context, account string) (string, error) {
	return o.LogInAs(ctx, account, Visit{})
}

// LogInAs is LogIn for somebody who comes as the visit says.
func (o *Organizr) LogInAs(ctx context.Context, account string, visit Visit) (string, error) {
	form := map[string]any{"username": account, "password": Password, "remember": true}
	resp, err := o.callAs(ctx, visit, http.MethodPost, "login", form, nil)
	if err != nil {
		return "", err
	}
	for _, cookie := range resp.Cookies() {
		if cookie.Name == o.CookieName() {
			return cookie.Value, nil
		}
	}
	return "", errors.New("the login set no cookie")
}

// LogOut ends the session, as a click on "Logout" does.
func (o *Organizr) LogOut(ctx context.Context, session string) error {
	_, err := o.call(ctx, session, http.MethodGet, "logout", nil, nil)
	return err
}

// Revoke ends the session as its owner does from another of their devices, in Organizr's list of sessions.
func (o *Organizr) Revoke(ctx context.Context, session, other string) error {
	var me struct {
		TokenList []struct {
			ID    int
			Token string
		}
	}
	if _, err := o.call(ctx, other, http.MethodGet, "token/me", nil, &me); err != nil {
		return err
	}
	for _, listed := range me.TokenList {
		if listed.Token == session {
			_, err := o.call(ctx, other, http.MethodDelete, fmt.Sprint("token/", listed.ID), nil, nil)
			return err
		}
	}
	return errors.New("Organizr doesn't list the session")
}

// Lock locks an account.
func (o *Organizr) Lock(ctx context.Context, username string) error {
	_, err := o.call(ctx, o.key, http.MethodPost, fmt.Sprint("users/lock/", o.ID(username)), nil, nil)
	return err
}

// Unlock unlocks an account.
func (o *Organizr) Unlock(ctx context.Context, username string) error {
	_, err := o.call(ctx, o.key, http.MethodPost, fmt.Sprint("users/unlock/", o.ID(username)), nil, nil)
	return err
}

// Move moves an account to the group of that number.
func (o *Organizr) Move(ctx context.Context, username string, group int) error {
	_, err := o.call(ctx, o.key, http.MethodPut, fmt.Sprint("users/", o.ID(username)), map[string]any{"group_id": group},
		nil)
	return err
}

// Rename gives an account another name and address.
func (o *Organizr) Rename(ctx context.Context, username, name, email string) error {
	change := map[string]any{"username": name, "email": email}
	if _, err := o.call(ctx, o.key, http.MethodPut, fmt.Sprint("users/", o.ID(username)), change, nil); err != nil {
		return err
	}
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.ids[name] = o.ids[username]
	if name != username {
		delete(o.ids, username)
	}
	return nil
}

// Change changes an account as its owner does, with a session of theirs.
func (o *Organizr) Change(ctx context.Context, session string, id int, change map[string]any) error {
	_, err := o.call(ctx, session, http.MethodPut, fmt.Sprint("users/", id), change, nil)
	return err
}

// Renumber gives an account another id, as an administrator does.
func (o *Organizr) Renumber(ctx context.Context, id, another int) error {
	return o.Change(ctx, o.key, id, map[string]any{"id": another})
}

// Configure changes settings, which are keys of config.php.
func (o *Organizr) Configure(ctx context.Context, settings map[string]any) error {
	_, err := o.call(ctx, o.key, http.MethodPut, "config", settings, nil)
	return err
}

// Delete deletes an account.
func (o *Organizr) Delete(ctx context.Context, username string) error {
	_, err := o.call(ctx, o.key, http.MethodDelete, fmt.Sprint("users/", o.ID(username)), nil, nil)
	return err
}

// Check asks Organizr's own check whether a visit is enough for the group. The answer's body is closed.
func (o *Organizr) Check(ctx context.Context, group int, visit Visit) (*http.Response, error) {
	return o.CheckTab(ctx, strconv.Itoa(group), visit)
}

// CheckTab asks Organizr's own check whether a visit is enough for the group of a tab. Organizr takes a number for a
// group.
func (o *Organizr) CheckTab(ctx context.Context, name string, visit Visit) (*http.Response, error) {
	address := o.URL + "/api/v2/auth/" + url.PathEscape(name)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, err
	}
	o.prepare(req, visit)
	resp, err := o.client.Do(req)
	if err != nil {
		return nil, err
	}
	return resp, resp.Body.Close()
}

// A Tab is what changes of a tab, by the names of Organizr's columns. What it lacks stays, or is Organizr's default.
type Tab map[string]any

// errLost says that Organizr hasn't stored what it said it had. It says so even if its database was locked meanwhile.
var errLost = errors.New("Organizr has not stored the tab")

// untilStored makes a change again while Organizr loses it.
func untilStored(change func() error) error {
	err := change()
	for tries := 1; errors.Is(err, errLost) && tries < 5; tries++ {
		err = change()
	}
	return err
}

// AddTab makes a tab as the administrator does, and returns its number.
func (o *Organizr) AddTab(ctx context.Context, tab Tab) (id int, err error) {
	added := maps.Clone(tab)
	added["image"] = "x" // without which Organizr makes none
	return id, untilStored(func() error {
		if _, err := o.call(ctx, o.key, http.MethodPost, "tabs", added, nil); err != nil {
			return err
		}
		id, err = o.stored(ctx, func(one Tab) bool { return one.has(tab) })
		return err
	})
}

// ChangeTab changes a tab as the administrator does.
func (o *Organizr) ChangeTab(ctx context.Context, id int, change Tab) error {
	return untilStored(func() error {
		if err := o.ChangeTabAs(ctx, o.key, id, change); err != nil {
			return err
		}
		_, err := o.stored(ctx, func(one Tab) bool { return one.id() == id && one.has(change) })
		return err
	})
}

// stored returns the number of the tab that is looked for.
func (o *Organizr) stored(ctx context.Context, isIt func(one Tab) bool) (int, error) {
	var listed struct{ Tabs []Tab }
	if _, err := o.call(ctx, o.key, http.MethodGet, "tabs", nil, &listed); err != nil {
		return 0, err
	}
	for _, one := range listed.Tabs {
		if isIt(one) {
			return one.id(), nil
		}
	}
	return 0, errLost
}

// id returns the number of a tab that Organizr lists.
func (tab Tab) id() int {
	number, _ := tab["id"].(float64)
	return int(number)
}

// has reports whether a tab that Organizr lists is as the change says. Names are listed escaped as HTML.
func (tab Tab) has(change Tab) bool {
	for column, value := range change {
		got, want := fmt.Sprint(cmp.Or[any](tab[column], "")), fmt.Sprint(value)
		if column == "name" {
			got, want = html.UnescapeString(got), strings.TrimSpace(want)
		}
		if got != want && !strings.Contains(want, "{") { // it lists what a placeholder stands for
			return false
		}
	}
	return true
}

// ChangeTabAs changes a tab with somebody's session.
func (o *Organizr) ChangeTabAs(ctx context.Context, session string, id int, change Tab) error {
	_, err := o.call(ctx, session, http.MethodPut, fmt.Sprint("tabs/", id), change, nil)
	return err
}

// DeleteTab deletes a tab.
func (o *Organizr) DeleteTab(ctx context.Context, id int) error {
	_, err := o.call(ctx, o.key, http.MethodDelete, fmt.Sprint("tabs/", id), nil, nil)
	return err
}

// Session signs a token for the account with Organizr's own key, but for a time of one's own. Organizr doesn't list it.
func (o *Organizr) Session(account fakeorganizr.Account, began time.Time, lifetime time.Duration) (string, error) {
	hash, err := o.Setting("organizrHash")
	if err != nil {
		return "", err
	}
	account.UserID = o.ID(account.Username)
	return fakeorganizr.Sign(fakeorganizr.Header, account.Claims(began, lifetime), hash), nil
}
