package fakeorganizr

import (
	"crypto/rand"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

const (
	// UUID is the uuid in the config.php of testdata/organizr, which a real Organizr wrote.
	UUID = "e36ed245-38cc-4d7f-ab53-7987549d1e2d"
	// CookieName is the name of the cookie that carries a session.
	CookieName = "organizr_token_" + UUID

	// Hash is the organizrHash in that config.php.
	Hash = "kQ9vRt2LmX7pZw4BnYc6Hd8JfGs3Ta5E"
)

// Link is a service that the home page shows.
type Link struct{ Name, URL, About string }

// Organizr is an Organizr of which only the login, the accounts and the tabs work.
type Organizr struct {
	Links    []Link
	Command  string // that the home page shows, by which a program gets in; empty for none
	Database *Database

	folder string // of config.php
	model  string // a config.php that a real Organizr wrote
	mutex  sync.Mutex
	hash   string
}

// New returns an Organizr with the config.php that the model says, but a key and a database of its own, in the folder.
func New(model, folder string) (*Organizr, error) { return Install(model, folder, folder) }

// Install is New with a folder for config.php and another for the database.
func Install(model, folder, databaseFolder string) (*Organizr, error) {
	o, err := inFolders(model, folder, databaseFolder)
	if err != nil {
		return nil, err
	}
	if o.Database, err = NewDatabase(o.Database.Path(), Groups, Accounts); err != nil {
		return nil, err
	}
	return o, o.TurnKey()
}

// Open returns the Organizr that Install left in the folders.
func Open(model, folder, databaseFolder string) (*Organizr, error) {
	o, err := inFolders(model, folder, databaseFolder)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(o.ConfigFile())
	if err != nil {
		return nil, err
	}
	found := regexp.MustCompile(`(?m)^\t'organizrHash' => '(.*)',$`).FindSubmatch(text)
	if found == nil {
		return nil, fmt.Errorf("%s has no organizrHash", o.ConfigFile())
	}
	o.hash = string(found[1])
	return o, nil
}

func inFolders(model, folder, databaseFolder string) (*Organizr, error) {
	text, err := os.ReadFile(model)
	if err != nil {
		return nil, err
	}
	return &Organizr{
		Database: OpenDatabase(filepath.Join(databaseFolder, "orgdb.db")),
		folder:   folder,
		model:    strings.Replace(string(text), "'/config/db/'", "'"+databaseFolder+"/'", 1),
	}, nil
}

// ConfigFile returns the path of config.php.
func (o *Organizr) ConfigFile() string { return filepath.Join(o.folder, "config.php") }

// Hash returns the key that sessions are signed with.
func (o *Organizr) Hash() string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.hash
}

// TurnKey makes a new key, which ends all sessions.
func (o *Organizr) TurnKey() error {
	random := make([]byte, 24)
	_, _ = rand.Read(random)
	o.mutex.Lock()
	o.hash = base64.RawURLEncoding.EncodeToString(random)
	o.mutex.Unlock()
	return o.Rewrite(nil)
}

// Rewrite writes config.php the way Organizr does at every change of a setting: it renames the old one, then makes
// a new one and fills it. If meanwhile isn't nil it is called when the file is missing, empty, and half written.
func (o *Organizr) Rewrite(meanwhile func(state string)) error {
	if meanwhile == nil {
		meanwhile = func(string) {}
	}
	text := strings.Replace(o.model, Hash, o.Hash(), 1)
	if err := os.Rename(o.ConfigFile(), filepath.Join(o.folder, "config.bak.php")); err != nil && !os.IsNotExist(err) {
		return err
	}
	meanwhile("missing")
	file, err := os.Create(o.ConfigFile())
	if err != nil {
		return err
	}
	meanwhile("empty")
	half := strings.Index(text, "'organizrHash' => '"+o.Hash()) + len("'organizrHash' => '") + 5
	if _, err := file.WriteString(text[:half]); err != nil {
		return err
	}
	meanwhile("half written")
	if _, err := file.WriteString(text[half:]); err != nil {
		return err
	}
	return file.Close()
}

// ServeHTTP answers requests to log in and out as Organizr does. It also has a page with forms to change accounts
// and tabs, which anyone may use.
func (o *Organizr) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	var err error
	switch req.Method + " " + req.URL.Path {
	case "GET /":
		o.home(rw, req)
		return
	case "POST /api/v2/login":
		o.logIn(rw, req)
		return
	case "POST /api/v2/logout":
		for _, cookie := range req.CookiesNamed(CookieName) {
			err = errors.Join(err, o.Database.End(cookie.Value))
		}
		SetCookie(rw, req, CookieName, "")
	case "POST /accounts/move":
		err = o.Database.Move(number(req, "id"), number(req, "group"))
	case "POST /accounts/lock":
		err = o.Database.Lock(number(req, "id"), true)
	case "POST /accounts/unlock":
		err = o.Database.Lock(number(req, "id"), false)
	case "POST /tabs/save":
		err = o.Database.SetTab(Tab{
			ID: number(req, "id"), Name: req.PostFormValue("name"), URL: req.PostFormValue("url"),
			GroupID: number(req, "group"), Enabled: req.PostFormValue("enabled") != "",
		})
	case "POST /tabs/remove":
		err = o.Database.RemoveTab(number(req, "id"))
	case "POST /turn-key":
		err = o.TurnKey()
	default:
		http.NotFound(rw, req)
		return
	}
	if err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
		return
	}
	http.Redirect(rw, req, "/", http.StatusSeeOther)
}

// number returns a number of the form, or -1, which no account and no group has.
func number(req *http.Request, name string) int {
	value, err := strconv.Atoi(req.PostFormValue(name))
	if err != nil {
		return -1
	}
	return value
}

// logIn begins a session of the named account. The plugin never sees passwords, so there are none.
func (o *Organizr) logIn(rw http.ResponseWriter, req *http.Request) {
	users, err := o.Database.Users()
	if err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
		return
	}
	at := slices.IndexFunc(users, func(user User) bool { return user.Username == req.PostFormValue("username") })
	if at < 0 {
		http.Error(rw, "no such account", http.StatusUnauthorized)
		return
	}
	token := users[at].Token(o.Hash())
	if err := o.Database.Begin(users[at].Account, token); err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
		return
	}
	SetCookie(rw, req, CookieName, token)
	rw.Header().Set("Content-Type", "application/json")
	fmt.Fprintln(rw, `{"response":{"result":"success"}}`)
}

//go:embed home.html
var homeText string

var homePage = template.Must(template.New("home").Funcs(template.FuncMap{
	"groups": func() []Group { return Groups },
}).Parse(homeText))

func (o *Organizr) home(rw http.ResponseWriter, req *http.Request) {
	users, err := o.Database.Users()
	if err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
		return
	}
	tabs, err := o.Database.Tabs()
	if err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
		return
	}
	groups := slices.DeleteFunc(slices.Clone(Groups), func(group Group) bool { return group.ID == 999 })
	rw.Header().Set("Content-Type", "text/html; charset=utf-8")
	rw.Header().Set("Cache-Control", "no-store")
	_ = homePage.Execute(rw, map[string]any{
		"User": o.loggedIn(req), "Users": users, "Groups": groups, "Links": o.Links, "Command": o.Command,
		"Tabs": tabs, "NewTab": Tab{GroupID: 4}, // Organizr's default group; new tabs are off
	})
}

// loggedIn returns the account of the request's first valid session, or nil.
func (o *Organizr) loggedIn(req *http.Request) *User {
	for _, cookie := range req.CookiesNamed(CookieName) {
		parts := strings.Split(cookie.Value, ".")
		if len(parts) != 3 || SignText(parts[0]+"."+parts[1], o.Hash()) != cookie.Value {
			continue
		}
		if user, found := o.Database.Find(cookie.Value); found {
			return &user
		}
	}
	return nil
}
