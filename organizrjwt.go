// Package organizrjwt is a Traefik middleware that admits visitors to a service by their Organizr login. It reads the
// session cookie that Organizr set, checks its signature with Organizr's own secret, compares the visitor's group with
// the one that the service requires, and tells the service who is there. It never calls Organizr.
package organizrjwt

// This file is the middleware. From top to bottom: what a request meets, up to its refusal; how the options are parsed;
// what a service's tab and the rules require of a request; and the page.
//
//   - Configuration: the options, and New.
//   - Requests: ServeHTTP lets in visitors it knows; decide handles all others.
//   - Visitors: who sent a request, and what they may do here.
//   - Keys: how programs that can't keep cookies get in.
//   - The cache: visitors whose session or key was checked before.
//   - Forwarding: what the service gets, and what it never gets.
//   - Cross-site requests: what other sites' pages may do with a visitor's session.
//   - Refusals: what everybody else is told, and the log.
//   - Logging in: where browsers are sent, and when that can't help.
//   - Options: how each one but rules is parsed.
//   - A service's tab: which group it requires.
//   - Rules: which group a path requires.
//   - Paths: what services may take a path for.
//   - Patterns: which pattern matches a path.
//   - The option rules: how it is parsed, and becomes what a path is looked up in.
//   - The page that people see.
//
// Traefik interprets this file by Yaegi, and that decides the form of some functions. A call allocates a slot for every
// expression in the function, reached or not, and a call of a method takes five times as many allocations as one of a
// function. So what runs for most requests is in short plain functions: for returning visitors, for those whose other
// cookies change, for paths with rules, and for refused programs. Their first parameter is often what would be the
// receiver, under a receiver's short name. Most of what runs seldom is in methods. CONTRIBUTING.md says more about
// Yaegi.

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"log"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"reflect"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// ---------------------------------------------------------------------------------------------------------------------
// Configuration

// Config has the middleware's options, as Traefik decodes them. The readme describes each.
type Config struct {
	ConfigFile     string            `json:"configFile,omitempty"`
	DatabaseFile   string            `json:"databaseFile,omitempty"`
	UUID           string            `json:"uuid,omitempty"`
	Secret         string            `json:"secret,omitempty"`
	SecretFile     string            `json:"secretFile,omitempty"`
	OrganizrURL    string            `json:"organizrURL,omitempty"`
	Group          string            `json:"group,omitempty"`
	Rules          []string          `json:"rules,omitempty"`
	Allow          []string          `json:"allow,omitempty"`
	Deny           []string          `json:"deny,omitempty"`
	Headers        map[string]string `json:"headers,omitempty"`
	Keys           []string          `json:"keys,omitempty"`
	ForwardToken   bool              `json:"forwardToken,omitempty"`
	AcceptBearer   bool              `json:"acceptBearer,omitempty"`
	AllowCrossSite bool              `json:"allowCrossSite,omitempty"`

	Unknown map[string]any `json:"-" mapstructure:",remain"` // options that don't exist
}

// CreateConfig returns the default options. New doesn't accept them as they are, since group has no default. The
// headers are those with which Organizr's own check answers (its api/v2/auth).
func CreateConfig() *Config {
	return &Config{Headers: map[string]string{
		"X-Organizr-User": "{username}", "X-Organizr-Email": "{email}", "X-Organizr-Group": "{groupID}",
	}}
}

// A middleware is a checked configuration with its cache.
type middleware struct {
	name           string
	next           http.Handler
	groupRule      *rule      // what the option group requires; Guest if that is a tab, which then decides
	tabOption      *tabOption // nil unless the option group is a tab
	rules          *rules     // nil if there are none
	allow, deny    conditions
	keys           keyring // nil if there are none
	headers        *headerPolicy
	login          *login // nil if nobody is redirected
	acceptBearer   bool
	allowCrossSite bool

	// What follows from the fields above. Requests read these in fewer allocations.
	headerNames     []string // headers.names
	hasTab          bool
	hasRules        bool
	hasConditions   bool // there is an allow or a deny
	acceptsPrograms bool // there are keys, or acceptBearer is on

	sessionCache
}

// New returns the middleware, or one error that lists every mistake in its configuration.
func New(_ context.Context, next http.Handler, config *Config, name string) (http.Handler, error) {
	variablesChecked.Do(func() { warnOfVariables(name) })
	m := &middleware{name: name, next: next, acceptBearer: config.AcceptBearer, allowCrossSite: config.AllowCrossSite}
	errs := &configErrors{}
	checkUnknown(errs, config.Unknown)
	followed := parseSource(errs, config)
	hasDatabase := followed.databaseFile != ""
	m.login = parseLogin(errs, optionOrVariable("organizrURL", config.OrganizrURL, "ORGANIZR_URL"))
	m.keys = parseKeys(errs, config.Keys)
	m.headers = parseHeaderPolicy(errs, config, m.keys)
	m.tabOption = parseTab(errs, config.Group, hasDatabase)
	if m.tabOption == nil {
		m.groupRule = newRule(parseGroup(errs, "group", config.Group))
	} else {
		m.groupRule = newRule(guestGroup) // a tab can require any group
	}
	m.rules = parseRules(errs, config.Rules, m.groupRule)
	m.allow = parseConditions(errs, "allow", config.Allow, hasDatabase)
	m.deny = parseConditions(errs, "deny", config.Deny, hasDatabase)
	if err := errs.join(); err != nil {
		return nil, err
	}
	if m.login != nil {
		m.login.warnOfStrangers(name)
	}
	if m.rules != nil && m.tabOption == nil { // a tab's group can change, and with it which rules close
		m.rules.warnOfOpenFolders(name)
	}
	m.deriveFields()
	m.poller = watch(followed, name)
	if m.acceptsPrograms {
		return &programMiddleware{m}, nil
	}
	return m, nil
}

// deriveFields sets the fields that follow from the options.
func (m *middleware) deriveFields() {
	m.headerNames = m.headers.names
	m.harmlessHeaders = m.headers.harmless
	m.hasTab = m.tabOption != nil
	m.hasRules = m.rules != nil
	m.hasConditions = len(m.allow) > 0 || len(m.deny) > 0
	m.freeRank = m.findFreeRank()
	m.acceptsPrograms = m.acceptBearer || m.keys != nil
	if m.acceptsPrograms {
		m.guestCredentials = "\x01\x01" // as programMiddleware joins what isn't there
	}
}

// findFreeRank returns the rank at and above which visitors get in, whatever the path and the tab.
func (m *middleware) findFreeRank() int {
	switch {
	case m.tabOption != nil:
		return maxRank
	case m.rules != nil:
		return maxRank - m.rules.strictest.group
	default:
		return maxRank - m.groupRule.group
	}
}

// ---------------------------------------------------------------------------------------------------------------------
// Requests

// ServeHTTP forwards the request to the service if the visitor may enter, and refuses it otherwise. A returning visitor
// is looked up by their cookies, which some clients send in several lines. Two functions do the rest: decide, for
// visitors who aren't in the cache or whose path must be looked up; screen, for methods other than GET and for headers
// that need a closer look.
func (m *middleware) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	headers := req.Header
	credentials := strings.Join(headers["Cookie"], "; ")
	m.RLock()
	sender := m.admitted[credentials]
	m.RUnlock()
	if sender == nil {
		sender = decide(m, rw, req, credentials)
		if sender == nil {
			return
		}
	}
	if req.Method != "GET" || headers.WriteSubset(failingWriter, sender.harmlessHeaders) != nil {
		sender = screen(m, sender, rw, req)
		if sender == nil {
			return
		}
	}
	for i, values := range sender.values {
		headers[m.headerNames[i]] = values
	}
	req.URL.User = sender.urlUser
	m.next.ServeHTTP(rw, req)
}

// A programMiddleware is a middleware that also lets in programs that can't keep cookies: there are keys, or
// acceptBearer is on.
type programMiddleware struct{ *middleware }

// ServeHTTP does the same as the one of middleware, but looks visitors up by all headers that can say who they are. Two
// lookups, the first by the cookies alone, would take a program 128 allocations instead of 93. A function that both
// ServeHTTPs share would take every visitor ten more.
func (p *programMiddleware) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	m := p.middleware
	headers := req.Header
	// No header can contain the bytes between them, so none can look like two.
	credentials := strings.Join(headers["Authorization"], "\x00") + "\x01" + strings.Join(headers[keyHeader], "\x00") +
		"\x01" + strings.Join(headers["Cookie"], "; ")
	m.RLock()
	sender := m.admitted[credentials]
	m.RUnlock()
	if sender == nil {
		sender = decide(m, rw, req, credentials)
		if sender == nil {
			return
		}
	}
	if req.Method != "GET" || headers.WriteSubset(failingWriter, sender.harmlessHeaders) != nil {
		sender = screen(m, sender, rw, req)
		if sender == nil {
			return
		}
	}
	for i, values := range sender.values {
		headers[m.headerNames[i]] = values
	}
	req.URL.User = sender.urlUser
	m.next.ServeHTTP(rw, req)
}

// failingWriter makes WriteSubset report, in one compiled call, whether a request has a header that isn't harmless.
// WriteSubset skips the harmless ones, and fails at the first other one, since nothing can be written to a nil file. A
// loop over the headers takes 34 allocations, this takes 14.
var failingWriter = (*os.File)(nil)

// decide finds out who sent the request and which group it requires. It returns the sender if they may enter. Otherwise
// it refuses the request and returns nil.
func decide(m *middleware, rw http.ResponseWriter, req *http.Request, credentials string) *visitor {
	m.RLock()
	sender := m.byCredentials[credentials]
	current := m.verifiedBy
	m.RUnlock()
	if sender == nil {
		sender = identify(m, req, credentials, current)
	}
	required := m.groupRule
	if m.hasTab {
		required = requiredByTab(m, req, sender)
	}
	if m.hasRules {
		required = requiredByRules(m, req, sender, required)
	}
	if sender.rank < maxRank-required.group {
		refuse(m, sender, required, rw, req)
		return nil
	}
	return sender
}

// screen handles an unusual request of a visitor who may enter. If it comes from another site's page, or has too many
// headers, screen refuses it and returns nil. Otherwise it removes forged headers, and returns the visitor whose values
// the service gets.
func screen(m *middleware, sender *visitor, rw http.ResponseWriter, req *http.Request) *visitor {
	why := checkRequest(m, sender, req)
	if why != nil {
		sendRefusal(&exchange{m, sender, rw, req}, why)
		return nil
	}
	if req.Header.WriteSubset(failingWriter, m.harmlessHeaders) != nil {
		removeReserved(m.headers, req.Header)
	}
	if sender.values == nil { // a guest or a restricted visitor, of whom nothing but the values is needed from here on
		return &visitor{values: guestValues(m.headers, req.Header, m.cachedVerifier())}
	}
	return sender
}

// checkRequest returns why an unusual request is refused although the visitor may enter, or nil.
func checkRequest(m *middleware, sender *visitor, req *http.Request) *refusal {
	if len(req.Header) > maxHeaders {
		return tooManyHeaders
	}
	isAtRisk := sender.fromBrowser && !m.allowCrossSite
	if isAtRisk && isCrossSite(m.login, req) && requiredFor(m, req, sender).group != guestGroup {
		return fromAnotherSite
	}
	return nil
}

// requiredFor returns what a visitor's request requires. decide repeats these lines, since a call would take every
// visitor under rules 14 allocations more.
func requiredFor(m *middleware, req *http.Request, sender *visitor) *rule {
	required := m.groupRule
	if m.hasTab {
		required = requiredByTab(m, req, sender)
	}
	if m.hasRules {
		required = requiredByRules(m, req, sender, required)
	}
	return required
}

// ---------------------------------------------------------------------------------------------------------------------
// Visitors

const (
	maxHeaders     = 200      // different names in a request; browsers send some twenty
	maxCookies     = 4        // of Organizr's name that are tried; Organizr sets two
	maxCredentials = 32 << 10 // bytes of cookies and Authorization in which a session is looked for
)

// A visitor's rank is 1000 minus the number of their group, 1000 for Admin and 1 for guests, unless allow, deny or a
// restriction changes it. What isn't set opens nothing: rank 0 gets in nowhere, and group 0 lets in nobody but Admin.
const (
	maxRank   = 1000
	guestRank = maxRank - guestGroup
)

// errLongCredentials is why a visitor has no session if their credentials are too long to be looked through.
var errLongCredentials = errors.New("the request's cookies and Authorization are longer than 32 KiB")

// A visitor is somebody who sends requests. Variables called owner are visitors as their session or key describes them;
// those called sender are visitors as one request shows them.
type visitor struct {
	account     *account      // nil if nobody is logged in
	session     *session      // nil if account is nil
	rank        int           // see maxRank
	restriction *refusal      // why they get in only where guests do, or nowhere, whatever their group; usually nil
	values      [][]string    // of headerPolicy.names; nil for guests and after newRestricted: they get theirs in screen
	urlUser     *url.Userinfo // the name, for Traefik's access log

	harmlessHeaders map[string]bool // names of headers that screen needn't look at; nil for none

	cacheKey       string // by which the cache knows them: the token, or \x01 and the hash of their key
	fromBrowser    bool   // a browser may have sent the session or key unasked, with a request of any site's page
	whyNoSession   error  // nil if there is a session, or if Organizr's files aren't there to tell
	badCredentials bool   // what was sent as a token or, where there are keys, as a key isn't good
}

// identify returns who sent the request. Nearly all requests with a session have it in one cookie, and nothing else
// that could say who sent them.
func identify(m *middleware, req *http.Request, credentials string, current *verifier) *visitor {
	if current == nil {
		return pollAndIdentify(m, req, credentials)
	}
	candidates := req.CookiesNamed(current.cookieName)
	if m.acceptsPrograms || current.isBound || len(candidates) != 1 || len(credentials) > maxCredentials {
		return identifyUnusual(m, req, credentials, current, candidates)
	}
	owner := ownerOf(m, candidates[0].Value, current)
	if owner.account == nil {
		return owner
	}
	return cacheSender(m, req, credentials, owner, true)
}

// pollAndIdentify returns who sent a request that comes while no verifier is in use: the cache is set aside, or
// Organizr's files weren't usable. It refreshes the cache first.
func pollAndIdentify(m *middleware, req *http.Request, credentials string) *visitor {
	current := m.refresh()
	if current == nil {
		return &visitor{rank: guestRank, restriction: notReady}
	}
	m.RLock()
	cached := m.byCredentials[credentials]
	m.RUnlock()
	if cached != nil {
		return cached
	}
	return identify(m, req, credentials, current)
}

// identifyUnusual returns who sent a request that doesn't have exactly one session cookie, that may have a bearer token
// or a key, or whose session may be bound to an address or a browser. The first good session counts, and a key if there
// is none. Organizr sets two cookies, one for its domain and one for its host, and one of them can be stale.
func identifyUnusual(
	m *middleware, req *http.Request, credentials string, current *verifier, candidates []*http.Cookie,
) *visitor {
	sender := &visitor{rank: guestRank, whyNoSession: current.errNoCookie}
	if len(credentials) > maxCredentials {
		sender.whyNoSession = errLongCredentials
		return sender
	}
	if len(candidates) == 0 && strings.Contains(credentials, cookiePrefix) {
		m.reportOtherOrganizr(req, current)
	}
	if len(candidates) > maxCookies {
		candidates = candidates[:maxCookies]
	}
	if m.acceptBearer {
		candidates = addBearerToken(candidates, req)
	}
	for _, candidate := range candidates {
		owner := ownerOf(m, candidate.Value, current)
		if owner.account != nil && current.isBound {
			owner = checkBinding(current.binding, owner, req)
		}
		if owner.account != nil {
			return cacheSender(m, req, credentials, owner, candidate.Name != "")
		}
		sender = owner
	}
	if m.keys != nil {
		return identifyByKey(m, req, credentials, current, sender)
	}
	return sender
}

// reportOtherOrganizr logs, once, that a browser opens a page with the cookie of another Organizr. If the uuid is
// wrong, nothing else would say so: visitors are sent to log in where they are logged in already.
func (m *middleware) reportOtherOrganizr(req *http.Request, current *verifier) {
	if acceptsHTML(req.Header.Get("Accept")) && isNavigation(req) {
		m.reportOnce("a visitor has the cookie of another Organizr, so perhaps the uuid is wrong; "+
			"compare it with the one in Organizr's config.php", current.errNoCookie)
	}
}

// bearerToken matches the one line of Authorization that carries a token (RFC 6750, section 2.1).
var bearerToken = regexp.MustCompile(`^[ \t]*(?i:Bearer)[ \t]+(\S+)[ \t]*$`)

// addBearerToken adds the bearer token to the cookies that may be a session's, as a cookie without a name. A cookie
// with a name counts as sent by a browser.
func addBearerToken(candidates []*http.Cookie, req *http.Request) []*http.Cookie {
	bearer := bearerToken.FindStringSubmatch(strings.Join(req.Header["Authorization"], "\n"))
	if bearer == nil {
		return candidates
	}
	return append(candidates, &http.Cookie{Value: bearer[1]})
}

// ownerOf returns the owner of the session that a token stands for: from the cache if they are there, otherwise after
// verifying it. If the token stands for no session, it returns a guest with what is wrong with it.
func ownerOf(m *middleware, token string, current *verifier) *visitor {
	m.RLock()
	entry := m.entries[token]
	m.RUnlock()
	if entry != nil {
		return entry.owner
	}
	verified, err := verify(current, token)
	switch err {
	case nil:
		return newVisitor(m, verified)
	case errNotListed: //nolint:errorlint // verify returns it as it is
		return ownerOfNewcomer(m, token)
	}
	return newBadGuest(err)
}

// ownerOfNewcomer returns the owner of a session that the database didn't list when it was read last, or a guest. The
// database is read again: the visitor may have logged in a moment ago.
func ownerOfNewcomer(m *middleware, token string) *visitor {
	verified, err := m.poller.readAndVerify(token)
	m.setAside() // so that refresh takes over what was read, and until when it counts
	m.refresh()
	if err != nil {
		return newBadGuest(err)
	}
	return newVisitor(m, verified)
}

// newBadGuest returns a guest who sent a token or a key that isn't good, with what is wrong with it.
func newBadGuest(err error) *visitor {
	return &visitor{rank: guestRank, whyNoSession: err, badCredentials: true}
}

// checkBinding returns a session's owner if the request comes from the address and the browser that it is bound to, and
// otherwise a guest.
func checkBinding(bound *binding, owner *visitor, req *http.Request) *visitor {
	err := bound.check(owner.session.listed, clientAddress(req), strings.Join(req.Header["User-Agent"], ", "))
	if err != nil {
		return newBadGuest(err)
	}
	return owner
}

// newVisitor returns the owner of a session, with the rights that it gives them here. deny isn't asked about restricted
// visitors, who get in only where guests do.
func newVisitor(m *middleware, verified *session) *visitor {
	user := verified.account
	if user.locked {
		return newRestricted(verified, accountLocked)
	}
	for _, name := range m.headers.checkedClaims {
		if isUnprintable(user.claims[name]) {
			return newRestricted(verified, unprintableClaim(user, name))
		}
	}
	values := make([][]string, len(m.headerNames))
	for i, configured := range m.headers.configured {
		text := user.claims[configured.onlyClaim]
		if configured.onlyClaim == "" {
			text = configured.expand(verified)
		}
		if text != "" {
			values[i] = []string{text}
		}
	}
	owner := &visitor{
		account: user, session: verified, rank: maxRank - user.groupID, cacheKey: verified.token,
		values: values, urlUser: url.User(user.claims["username"]), harmlessHeaders: m.headers.harmlessIfIdentified,
	}
	if m.hasConditions {
		applyConditions(m, owner)
	}
	return owner
}

// newRestricted returns the visitor of a session that gives no more rights than a guest has.
func newRestricted(verified *session, restriction *refusal) *visitor {
	return &visitor{
		account: verified.account, session: verified, rank: guestRank, restriction: restriction, cacheKey: verified.token,
	}
}

// applyConditions gives the visitor every right that allow gives them, and none if deny says so.
func applyConditions(m *middleware, owner *visitor) {
	if m.allow.matchesAny(owner.account) {
		owner.rank = maxRank
	}
	if m.deny.matchesAny(owner.account) {
		owner.rank = 0
		owner.restriction = denied
	}
}

// conditions match an account that meets any of them.
type conditions []condition

// A condition is one claim=value of the options allow and deny.
type condition struct {
	claim, value string
	ignoresCase  bool // many services ignore the case of names, so deny does
}

// matchesAny reports whether the account meets one of the conditions.
func (c conditions) matchesAny(user *account) bool {
	for _, wanted := range c {
		value := user.claims[wanted.claim]
		if value == wanted.value || wanted.ignoresCase && strings.EqualFold(value, wanted.value) {
			return true
		}
	}
	return false
}

// ---------------------------------------------------------------------------------------------------------------------
// Keys
//
// Programs that can't keep cookies get in with a key that the administrator made. The option keys has the SHA-256 of
// each, so reading a label gives nobody a key. A key is looked for where there is no session, and it never reaches the
// service.

const (
	keyHeader    = "X-Organizr-Key"
	minKeyLength = 20 // bytes; shorter ones can be guessed
)

// A key is an entry of the option keys: whoever has its text gets in as this user.
type key struct {
	name  string
	group int
}

// A keyring has the keys by their SHA-256, in lower-case hexadecimal digits.
type keyring map[string]*key

// What can be wrong with a request without a session, where there are keys.
var (
	errNoKey     = errors.New("the request has neither a session nor a key that the option keys lists")
	errKeyUser   = errors.New("the key was sent with another name than the one it belongs to")
	errKeyAsHash = errors.New("the key was sent as it stands in the option keys, which must hold its SHA-256; if it " +
		"does, give the program the key itself, and otherwise make a new key and put its hash there: " +
		"printf %s KEY | sha256sum")
)

// identifyByKey returns who sent a request without a session: the program whose key it has, or a guest. That is the
// given one, who knows what is wrong with the session, unless something is wrong with a key. A key that came by Basic
// counts as sent by a browser, since browsers send Basic unasked, like a cookie.
func identifyByKey(m *middleware, req *http.Request, credentials string, current *verifier, guest *visitor) *visitor {
	authorization, keyLines := req.Header["Authorization"], req.Header[keyHeader]
	user, text, isBasic := parseAuthorization(strings.Join(authorization, "\n"))
	found, hash := findKey(m.keys, text)
	err := errNoKey
	if isBasic && found != nil && found.name != user {
		found = nil
		err = errKeyUser
	}
	if found == nil && len(keyLines) == 1 {
		isBasic = false
		text = keyLines[0]
		found, hash = findKey(m.keys, text)
	}
	if found != nil {
		return cacheSender(m, req, credentials, newKeyHolder(m, found, hash, current), isBasic)
	}
	sentNoKey := len(authorization) == 0 && len(keyLines) == 0
	switch {
	case m.keys[strings.ToLower(text)] != nil:
		err = errKeyAsHash
		m.reportOnce("a program was refused", err)
	case sentNoKey || guest.badCredentials:
		return guest
	}
	return newBadGuest(err)
}

// basicCredentials matches the one line of Authorization that carries a name and a password (RFC 7617, section 2). A
// service gets it without the spaces around it, which HTTP/2 can have.
var basicCredentials = regexp.MustCompile(`^[ \t]*(?i:Basic)[ \t]+([^ \t\n=]+)=*[ \t]*$`)

// parseAuthorization returns the user and the password in a line of Authorization. Bearer has no user, and its token is
// the password. All results are empty for any other line.
func parseAuthorization(line string) (user, password string, isBasic bool) {
	if bearer := bearerToken.FindStringSubmatch(line); bearer != nil {
		return "", bearer[1], false
	}
	basic := basicCredentials.FindStringSubmatch(line)
	if basic == nil {
		return "", "", false
	}
	decoded, _ := base64.RawStdEncoding.DecodeString(basic[1]) // up to the first mistake, as lenient services do
	user, password, _ = strings.Cut(string(decoded), ":")
	return user, password, true
}

// findKey returns the key with this text, or nil, and the text's hash.
func findKey(keys keyring, text string) (found *key, hash string) {
	if len(text) < minKeyLength {
		return nil, ""
	}
	sum := sha256.Sum256([]byte(text))
	hash = hex.EncodeToString(sum[:])
	return keys[hash], hash
}

// newKeyHolder returns the visitor who has a key: a user with its name and group, and without email, id and image.
func newKeyHolder(m *middleware, held *key, hash string, current *verifier) *visitor {
	number := strconv.Itoa(held.group)
	claims := map[string]string{"username": held.name, "groupID": number, "email": "", "image": "", "userID": ""}
	if current.database != nil {
		claims["group"] = current.database.groups[number]
	}
	holder := newVisitor(m, &session{
		cookie: current.cookieStart + "; ", account: newAccount(claims), verifier: current, validUntil: math.Inf(1),
	})
	holder.cacheKey = "\x01" + hash // no token begins like this, so sending the hash, which labels show, finds nobody
	return holder
}

// ---------------------------------------------------------------------------------------------------------------------
// The cache
//
// A session that was verified once is found by one lookup afterwards: by all credentials of the request, or, for
// visitors whose other cookies change with every request, by the token. What wasn't verified never takes memory.
//
// Every second a timer sets the cache aside. The next request polls the files, drops everything if they have changed or
// a session has expired, and otherwise takes the cache back and sets the next timer. So no request pays for a clock,
// and nothing is left running once no more requests come.

const (
	maxEntries           = 1000    // sessions and keys
	maxCachedCredentials = 4 << 10 // bytes
	maxCachedRules       = 1000    // by paths, and by hosts
	maxCachedPath        = 256     // bytes
)

// A sessionCache has the visitors of one middleware. Requests look them up in the embedded knownVisitors, which are
// empty while the cache is set aside.
type sessionCache struct {
	poller   *poller
	freeRank int // at this rank and above, no path and no tab can refuse a visitor

	harmlessHeaders  map[string]bool // headers.harmless, of guests
	guestCredentials string          // those of a request that has none

	sync.RWMutex                         // guards all that follows
	knownVisitors                        // those in use: all that are cached, or none
	cached        knownVisitors          // all, also while the cache is set aside
	tabs          *tabs                  // nil unless the option group is a tab
	setAsideAt    float64                // when the newest timer sets the cache aside, in Unix seconds
	entries       map[string]*cacheEntry // by visitor.cacheKey
	firstExpiry   float64                // of a session in the cache, in Unix seconds
	pathRules     map[string]*rule       // what the option rules require for GET of a path
	tabRules      map[string]*rule       // what the tab requires for a host
	reported      map[string]bool        // what reportOnce has logged
}

// knownVisitors are visitors by the credentials they sent.
type knownVisitors struct {
	verifiedBy    *verifier           // the one verifier of all of them; nil if Organizr's files can't be used
	admitted      map[string]*visitor // get in whatever the path
	byCredentials map[string]*visitor
}

// A cacheEntry is a session or a key in the cache.
type cacheEntry struct {
	owner       *visitor
	credentials string // that it came with last
	hasSender   bool   // a sender is cached by those credentials
}

// refresh polls the files if it is time to, puts the cache back in use, and returns the verifier that is in force, or
// nil for none.
func (c *sessionCache) refresh() *verifier {
	c.poller.poll()
	c.Lock()
	defer c.Unlock()
	current, currentTabs, validFor := c.poller.inForce()
	if c.cached.verifiedBy != current || c.entries == nil || c.firstExpiry <= unixNow() {
		c.reset(current)
	}
	if c.tabs != currentTabs {
		c.tabs = currentTabs
		c.tabRules = map[string]*rule{}
	}
	if c.verifiedBy == nil && current != nil { // the cache is set aside
		c.knownVisitors = c.cached
		c.setAsideAfter(validFor)
	}
	return current
}

// setAsideAfter sets the cache aside after a while, or when a session in it expires if that is sooner.
func (c *sessionCache) setAsideAfter(duration time.Duration) {
	unixTime := unixNow()
	planned := unixTime + duration.Seconds()
	if c.firstExpiry < planned {
		planned = c.firstExpiry
	}
	c.setAsideAt = planned
	afterFunc(time.Duration((planned-unixTime)*1e9), func() {
		c.Lock()
		if c.setAsideAt == planned { // otherwise another timer has been set since
			c.knownVisitors = knownVisitors{}
		}
		c.Unlock()
	})
}

// setAside makes the next request refresh the cache.
func (c *sessionCache) setAside() {
	c.Lock()
	c.knownVisitors = knownVisitors{}
	c.Unlock()
}

// reset empties the cache and goes on with this verifier.
func (c *sessionCache) reset(current *verifier) {
	before := c.cached.verifiedBy
	if before == nil || current == nil || string(before.secret) != string(current.secret) {
		c.reported = map[string]bool{}
	}
	c.cached = knownVisitors{
		verifiedBy: current, admitted: map[string]*visitor{}, byCredentials: map[string]*visitor{},
	}
	if c.verifiedBy != nil { // the cache is in use
		c.knownVisitors = c.cached
	}
	c.entries = map[string]*cacheEntry{}
	c.pathRules = map[string]*rule{}
	c.tabRules = map[string]*rule{}
	c.firstExpiry = math.Inf(1)
	if current == nil {
		return
	}
	guest := &visitor{rank: guestRank, whyNoSession: current.errNoCookie, harmlessHeaders: c.harmlessHeaders}
	c.cached.byCredentials[c.guestCredentials] = guest
	if c.freeRank == guestRank {
		c.cached.admitted[c.guestCredentials] = guest
	}
}

// cachedVerifier returns the verifier of the cache, or nil while Organizr's files can't be used.
func (c *sessionCache) cachedVerifier() *verifier {
	c.RLock()
	defer c.RUnlock()
	return c.cached.verifiedBy
}

// cacheSender returns the sender of this request: a session's owner, with what the service gets of the request's other
// cookies and Authorization, and whether a browser sent the session.
//
// It caches the owner by their session, and the sender by their credentials once these have come twice in a row. So a
// client whose other cookies change with every request can't evict others. Nothing is cached of an owner who was
// verified before the files changed.
func cacheSender(
	m *middleware, req *http.Request, credentials string, owner *visitor, fromBrowser bool,
) *visitor {
	sender := *owner
	sender.fromBrowser = fromBrowser
	if owner.values != nil {
		sender.values = valuesForRequest(m.headers, owner, req.Header)
	}
	m.Lock()
	if m.cached.verifiedBy == owner.session.verifier {
		entry := m.entries[owner.cacheKey]
		if entry == nil {
			entry = newEntry(m, owner)
		}
		switch {
		case entry.credentials == credentials:
			addCredentials(m, entry, &sender)
		case entry.hasSender:
			replaceCredentials(m, entry, credentials)
		case len(credentials) <= maxCachedCredentials:
			entry.credentials = credentials
		}
	}
	m.Unlock()
	return &sender
}

// newEntry adds a session or a key to the cache and returns its entry. At maxEntries the cache is emptied first.
func newEntry(m *middleware, owner *visitor) *cacheEntry {
	if len(m.entries) >= maxEntries {
		m.reset(m.cached.verifiedBy)
	}
	entry := &cacheEntry{owner: owner}
	m.entries[owner.cacheKey] = entry
	if owner.session.validUntil < m.firstExpiry {
		m.expireAt(owner.session.validUntil)
	}
	return entry
}

// expireAt notes that a session expires before all others in the cache.
func (c *sessionCache) expireAt(end float64) {
	c.firstExpiry = end
	if end < c.setAsideAt {
		c.setAsideAfter(pollInterval) // or rather at that end, which is sooner
	}
}

// addCredentials lets the sender be found by all their credentials. If sessions are bound to an address or a browser,
// credentials alone don't say who is there, so it does nothing.
func addCredentials(m *middleware, entry *cacheEntry, sender *visitor) {
	if m.cached.verifiedBy.isBound {
		return
	}
	entry.hasSender = true
	m.cached.byCredentials[entry.credentials] = sender
	if sender.rank >= m.freeRank {
		m.cached.admitted[entry.credentials] = sender
	}
}

// replaceCredentials undoes addCredentials, and notes the latest credentials instead.
func replaceCredentials(m *middleware, entry *cacheEntry, latest string) {
	delete(m.cached.byCredentials, entry.credentials)
	delete(m.cached.admitted, entry.credentials)
	entry.hasSender = false
	entry.credentials = ""
	if len(latest) <= maxCachedCredentials {
		entry.credentials = latest
	}
}

// cachePathRule keeps what the rules require for a path. At maxCachedRules all are dropped.
func (c *sessionCache) cachePathRule(requested string, required *rule) {
	c.Lock()
	defer c.Unlock()
	if len(c.pathRules) >= maxCachedRules {
		c.pathRules = map[string]*rule{}
	}
	c.pathRules[requested] = required
}

// cacheTabRule keeps the rule that these tabs have for a host, unless other tabs are in use by now. At maxCachedRules
// all are dropped.
func (c *sessionCache) cacheTabRule(host string, required *rule, known *tabs) {
	c.Lock()
	defer c.Unlock()
	if c.tabs != known {
		return
	}
	if len(c.tabRules) >= maxCachedRules {
		c.tabRules = map[string]*rule{}
	}
	c.tabRules[host] = required
}

// ---------------------------------------------------------------------------------------------------------------------
// Forwarding
//
// The service gets the headers of the option headers, and nothing else that could say who is there. It doesn't get the
// session, unless forwardToken is on or a header has {token}. A service on CGI, PHP or WSGI reads X_Organizr_User as
// X-Organizr-User, so names of headers are compared as such services read them.

const (
	maxHeaderName     = 200 // bytes of a name that the plugin can set
	maxOtherCookies   = 200 // beside a session; browsers keep no more than 180 of a domain
	maxAuthorizations = 4   // lines that are searched for sessions
	maxTokenPrefixes  = 8   // beginnings of tokens in one line; a token has two
)

// A headerPolicy says which headers of a request reach the service.
type headerPolicy struct {
	configured          []*header       // the option headers
	names               []string        // of the headers that the plugin sets: the configured ones, then credentials
	cookieIndex         int             // of Cookie in names, or -1 if it is forwarded as it came
	authorizationIndex  int             // likewise of Authorization
	setsAuthorization   bool            // the option headers has it
	stripsAuthorization bool            // Authorization may contain a session or a key that the service mustn't get
	stripsSessions      bool            // acceptBearer without forwardToken
	keys                keyring         // nil if there are none
	reserved            map[string]bool // names of headers that only the plugin may set, as canonicalForCGI writes them
	reservedLengths     map[int]bool    // lengths of those names
	harmless            map[string]bool // names of headers that need no closer look
	checkedClaims       []string        // those that the service gets and that must be printable: all but groupID

	// harmlessIfIdentified also has the headers that a session or a key comes in. An identified visitor's values replace
	// what the service mustn't get of them.
	harmlessIfIdentified map[string]bool
}

// A header is an entry of the option headers.
type header struct {
	name                string   // in canonical form
	text                string   // with placeholders; empty if the header is only removed
	withoutPlaceholders string   // the text without them
	claims              []string // those of its placeholders that are claims
	onlyClaim           string   // the one of them that is all of the text; or empty
}

// expand returns the header's text for a session or a key, or nothing if it has placeholders and all of them are empty.
func (h *header) expand(verified *session) string {
	pairs := []string{"{token}", verified.token}
	for name, claim := range verified.account.claims {
		pairs = append(pairs, "{"+name+"}", claim)
	}
	text := strings.NewReplacer(pairs...).Replace(h.text)
	if text == h.withoutPlaceholders && h.withoutPlaceholders != h.text {
		return ""
	}
	return text
}

// guestValues returns the values of the headers that the plugin sets for a guest or a restricted visitor. Their own
// Authorization reaches the service, even if the option headers replaces everybody else's.
func guestValues(policy *headerPolicy, headers http.Header, v *verifier) [][]string {
	values := make([][]string, len(policy.names))
	if policy.cookieIndex >= 0 {
		others := stripSessionCookies(strings.Join(headers["Cookie"], "; "), v)
		if others != "" {
			values[policy.cookieIndex] = []string{others}
		}
	}
	if policy.stripsAuthorization {
		values[policy.authorizationIndex] = policy.stripAuthorization(headers["Authorization"], v)
	} else if policy.setsAuthorization {
		values[policy.authorizationIndex] = headers["Authorization"]
	}
	return values
}

// valuesForRequest returns the values of the headers that the plugin sets for a session's owner, with what came beside
// the session as Cookie and Authorization.
//
// It runs for each request of visitors whose other cookies change. stripSessionCookies would add a third to what they
// cost, and isn't needed if the only cookie of Organizr's name is that of the session.
func valuesForRequest(policy *headerPolicy, owner *visitor, headers http.Header) [][]string {
	verified := owner.session
	values := append([][]string{}, owner.values...)
	if policy.cookieIndex >= 0 {
		cookies := strings.Join(headers["Cookie"], "; ")
		others := strings.Replace("; "+cookies+"; ", verified.cookie, "; ", 1)
		others = strings.TrimPrefix(strings.TrimSuffix(others, "; "), "; ")
		if strings.Contains(others, verified.verifier.cookieName) {
			others = stripSessionCookies(cookies, verified.verifier)
		}
		if others != "" {
			values[policy.cookieIndex] = []string{others}
		}
	}
	if policy.stripsAuthorization {
		keepOtherAuthorization(policy, values, headers, verified.verifier)
	}
	return values
}

// keepOtherAuthorization sets Authorization, among the values, to what came beside a session, unless the option headers
// sets it.
func keepOtherAuthorization(policy *headerPolicy, values [][]string, headers http.Header, v *verifier) {
	if !policy.setsAuthorization {
		values[policy.authorizationIndex] = policy.stripAuthorization(headers["Authorization"], v)
	}
}

// isAnySessionCookie reports whether a cookie has the name of any Organizr's session.
var isAnySessionCookie = cookieMatcher(regexp.QuoteMeta(cookiePrefix) + "[^ \t=]*")

// stripSessionCookies returns the Cookie header without the cookies of Organizr's name, and with all others byte for
// byte. If there is such a cookie in more than 32 KiB, or among more than 200, it returns nothing. Without a verifier
// it removes the cookies of every Organizr, and returns nothing of more than 32 KiB.
func stripSessionCookies(cookies string, v *verifier) string {
	if len(cookies) > maxCredentials && (v == nil || strings.Contains(cookies, v.cookieName)) {
		return ""
	}
	isSessionCookie := isAnySessionCookie
	name := cookiePrefix
	if v != nil {
		isSessionCookie = v.isSessionCookie
		name = v.cookieName
	}
	if !strings.Contains(cookies, name) {
		return cookies
	}
	if strings.Count(cookies, ";") >= maxOtherCookies {
		return ""
	}
	var others []string
	for _, cookie := range strings.Split(cookies, ";") {
		if !isSessionCookie(cookie) {
			others = append(others, cookie)
		}
	}
	return strings.TrimLeft(strings.Join(others, ";"), " \t")
}

// stripAuthorization returns the lines of Authorization that contain no key and, if stripsSessions, no session of this
// Organizr, be it the visitor's or another. It drops lines of more than 16 KiB, and all lines if there
// are more than four.
func (p *headerPolicy) stripAuthorization(lines []string, v *verifier) []string {
	if len(lines) > maxAuthorizations {
		return nil
	}
	var others []string
	for _, line := range lines {
		if len(line) > 2*maxTokenLength || p.containsKey(line) || p.stripsSessions && containsSession(line, v) {
			continue
		}
		others = append(others, line)
	}
	return others[:len(others):len(others)] // it is cached, so an append by a later handler must not write into it
}

// containsKey reports whether a line of Authorization has a key as its password or as its user.
func (p *headerPolicy) containsKey(line string) bool {
	if p.keys == nil {
		return false
	}
	user, password, _ := parseAuthorization(line)
	asPassword, _ := findKey(p.keys, password)
	asUser, _ := findKey(p.keys, user)
	return asPassword != nil || asUser != nil
}

// tokenPrefix matches what a token begins with: the beginning of a JSON object in base64url.
var tokenPrefix = regexp.MustCompile(`ey`)

// containsSession reports whether a text has a token in it that this Organizr signed. Without a verifier, any token
// with the header of Organizr's tokens counts. A text with maxTokenPrefixes beginnings of tokens counts too, since
// there may be more.
func containsSession(text string, v *verifier) bool {
	prefixes := tokenPrefix.FindAllStringIndex(text, maxTokenPrefixes)
	for _, prefix := range prefixes {
		parts := strings.SplitN(text[prefix[0]:], ".", 4)
		if v == nil && parts[0] == joseHeader || v != nil && isSigned(v, parts) {
			return true
		}
	}
	return len(prefixes) == maxTokenPrefixes
}

// isSigned reports whether the first three parts are a token that this Organizr signed, apart from what follows its
// signature. Any other error than these two means that the signature is right.
func isSigned(v *verifier, parts []string) bool {
	if len(parts) < 3 || len(parts[2]) < signatureLength {
		return false
	}
	_, err := verify(v, parts[0]+"."+parts[1]+"."+parts[2][:signatureLength])
	return !errors.Is(err, errMalformed) && !errors.Is(err, errWrongSignature)
}

// removeReserved removes the headers that only the plugin may set, in every spelling that a service could take for one.
// It leaves Authorization to its callers, since a part of that may be for the service.
func removeReserved(policy *headerPolicy, headers http.Header) {
	for name := range headers {
		if !policy.harmless[name] && name != "Authorization" && policy.reservedLengths[len(name)] &&
			policy.reserved[canonicalForCGI(name)] {
			delete(headers, name)
		}
	}
}

// notAlphanumeric matches what a service may take for a hyphen in a header's name.
var notAlphanumeric = regexp.MustCompile(`[^0-9A-Za-z]`)

// canonicalForCGI returns what a header's name means to a service that ignores case and kinds of separators.
func canonicalForCGI(name string) string {
	return strings.ToLower(notAlphanumeric.ReplaceAllString(name, "-"))
}

// ---------------------------------------------------------------------------------------------------------------------
// Cross-site requests
//
// Behind https Organizr's cookie is SameSite=None, so browsers send it with requests that other sites' pages make:
// forms, scripts and WebSocket handshakes. The page can't read the answer, but the service may act on the request. So
// only requests that just read may pass (RFC 9110, section 9.2.1), but no WebSockets: through them the page could read.
// What guests may do may pass, too, since the page could do it without the visitor.

const (
	maxForwarded = 1 << 10 // bytes of X-Forwarded-For, and of a host in X-Forwarded-Host
	maxUpgrade   = 256     // bytes of the protocols in Upgrade
)

// isCrossSite reports whether the request may change something and a browser says that it comes from a page that
// doesn't get Organizr's cookie itself. Programs send neither Sec-Fetch-Site nor Origin, and pass.
//
// Sec-Fetch-Site decides where it can. Origin does where it is missing, as with Chromium's WebSockets, or same-site,
// which covers more hosts than the cookie: evil.example.com is on the same site as home.example.com, whose cookie it
// doesn't get. It also does where a browser says something that none says today. Sandboxed frames send the Origin
// "null", which has no host, so they are refused.
func isCrossSite(organizr *login, req *http.Request) bool {
	isRead := req.Method == http.MethodGet || req.Method == http.MethodHead || req.Method == http.MethodOptions
	if isRead && !isWebSocket(req) {
		return false
	}
	site, origins := strings.Join(req.Header["Sec-Fetch-Site"], ","), req.Header["Origin"]
	switch {
	case site == "same-origin" || site == "none": // the service's own page, or no page
		return false
	case strings.Contains(site, "cross-site"):
		return true
	case site == "" && len(origins) == 0: // a program
		return false
	case len(origins) != 1:
		return true
	}
	origin, err := url.Parse(origins[0])
	if err != nil || origin.Host == "" {
		return true
	}
	own := hostname(&url.URL{Host: browserHost(req)})
	return hostname(origin) != own && (organizr == nil || !organizr.shareCookie(own, hostname(origin)))
}

// isWebSocket reports whether the request opens a WebSocket (RFC 6455, section 4.1). A list of protocols longer than
// anybody sends isn't looked through, and counts as one.
func isWebSocket(req *http.Request) bool {
	protocols := strings.Join(req.Header["Upgrade"], ",")
	return len(protocols) > maxUpgrade || listsWebSocket(protocols)
}

// listsWebSocket reports whether WebSocket is in a list of protocols.
var listsWebSocket = regexp.MustCompile(`(?i)(?:^|,)\s*websocket\s*(?:,|$)`).MatchString

// browserHost returns the host, with its port, that the browser asked for. A trusted proxy in front of Traefik may have
// been asked for another one than Traefik, which it says in X-Forwarded-Host. What isn't a host there is ignored.
func browserHost(req *http.Request) string {
	lines := req.Header["X-Forwarded-Host"]
	if len(lines) == 0 || lines[0] == req.Host {
		return req.Host
	}
	return firstNonEmpty(firstHost(lines[0]), req.Host)
}

// firstHost returns the first element of a list with commas, to which each of several proxies has added, or nothing if
// it isn't a host.
func firstHost(list string) string {
	first, _, _ := strings.Cut(list, ",")
	if len(first) > maxForwarded {
		return ""
	}
	return hostAndPort.FindString(strings.TrimSpace(first))
}

// hostAndPort matches a name or an address, with or without a port.
var hostAndPort = regexp.MustCompile(`^([0-9A-Za-z._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?$`)

// hostname returns the host of a URL in lower case, without port and final dot. Only IPv6 addresses lose their
// brackets.
func hostname(parsed *url.URL) string {
	name := strings.ToLower(parsed.Hostname())
	if strings.HasPrefix(parsed.Host, "[") && !strings.Contains(name, ":") {
		return "[" + name + "]"
	}
	return strings.TrimSuffix(name, ".")
}

// ---------------------------------------------------------------------------------------------------------------------
// Refusals
//
// People get a small page, programs a problem document (RFC 9457), and browsers without a session are sent to Organizr.
// Each refusal is one line on standard output, which Traefik logs at DEBUG: a scanner makes thousands. What an
// administrator must know is logged by package log on standard error, which Traefik logs at ERROR.

// A refusal is what a visitor who may not enter is told. What the page shows is exported for its template.
type refusal struct {
	Status      int
	Title, Text string
	Hint        string // what a person can do
	Reloads     bool   // the page loads itself again
	Rule        *rule  // that requires another group; nil unless the group is why
	offersLogin bool   // the page has a button that leads to Organizr
	quotesUser  bool   // the page shows the user's name as a quoted text, since it may not be printable
	reason      string // for the log alone; if empty, the log says why the visitor has no session
}

const (
	askForAccess = "Ask whoever runs this Organizr for access. To come as somebody else, log out of Organizr first."
	askOperator  = "ask whoever runs this service: Traefik's log says what is wrong."
)

// All visitors share these, so a function that adds something copies one first, as insufficientGroup does.
var (
	loginNeeded = &refusal{
		Status: http.StatusUnauthorized, offersLogin: true,
		Title: "Please log in",
		Text:  "This service is for people who are logged in to Organizr.",
		Hint:  "Log in there, then come back.",
	}
	loginUnreachable = &refusal{
		Status: http.StatusUnauthorized,
		reason: "a login can't help here",
		Title:  "A login can't help here",
		Text: "This service is for people who are logged in to Organizr, " +
			"but as it is set up, no login at Organizr reaches it.",
	}
	sessionUnverifiable = &refusal{
		Status: http.StatusUnauthorized, offersLogin: true,
		Title: "Your login can't be checked here",
		Text:  "You seem to be logged in to Organizr, but this service can't check that.",
		Hint:  "Log out of Organizr and in again, then come back. If that doesn't help, " + askOperator,
	}
	notReady = &refusal{
		Status: http.StatusServiceUnavailable, Reloads: true,
		reason: "Organizr's files can't be used, or its database is being written; an error in the log says which",
		Title:  "The login isn't ready yet",
		Text: "This service is for people who are logged in to Organizr, " +
			"which isn't set up yet, is busy, or can't be seen from here.",
		Hint: "This page loads itself again. If it stays, " + askOperator,
	}
	wrongGroup = refusal{ // a template: insufficientGroup adds the rule and the reason
		Status: http.StatusForbidden, offersLogin: true,
		Title: "Not for your group",
		Text:  "You are logged in, but this service is for another group.",
		Hint:  askForAccess,
	}
	denied = &refusal{
		Status: http.StatusForbidden, offersLogin: true,
		reason: "matched by deny",
		Title:  "Not for you",
		Text:   "The settings of this service don't let you in.",
		Hint:   askForAccess,
	}
	accountLocked = &refusal{
		Status: http.StatusForbidden, offersLogin: true,
		reason: "the account is locked in Organizr",
		Title:  "Your account is locked",
		Text:   "Your account is locked in Organizr, so you get in only where guests do.",
		Hint:   "Ask whoever runs this Organizr to unlock it.",
	}
	fromAnotherSite = &refusal{
		Status: http.StatusForbidden,
		reason: "cross-site request, and allowCrossSite is off",
		Title:  "Stopped for your safety",
		Text:   "Another website tried to use this service in your name.",
		Hint:   "If that was you, open the service itself and try again.",
	}
	tooManyHeaders = &refusal{
		Status: http.StatusRequestHeaderFieldsTooLarge,
		reason: "more than 200 headers",
		Title:  "Too many headers",
		Text:   "The request has more headers than any browser sends.",
	}
)

// claimLabels has what people call the claims that services get.
var claimLabels = map[string]string{
	"username": "name", "email": "email address", "image": "picture", "group": "group's name", "userID": "number",
}

// unprintableClaim returns the refusal of an account with a claim that can't be passed on.
func unprintableClaim(user *account, claim string) *refusal {
	label := claimLabels[claim]
	return &refusal{
		Status: http.StatusForbidden, offersLogin: true, quotesUser: isUnprintable(user.claims["username"]),
		reason: "the account's " + label + " is too long, isn't printable text, or begins or ends with a space",
		Title:  "Your account can't be passed on",
		Text: "Your " + label + " in Organizr is too long, has characters that can't be printed, or begins or ends with a " +
			"space, so services could take you for somebody else.",
		Hint: "Change it in Organizr, then log in again.",
	}
}

// Values of response headers. All responses share them, since scanners cause thousands of refusals, so nothing may
// write into these slices.
var (
	noStore          = []string{"no-store"} // nobody is shown what was for somebody else
	nosniff          = []string{"nosniff"}
	problemType      = []string{"application/problem+json"}
	pageType         = []string{"text/html; charset=utf-8"}
	pagePolicy       = []string{"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"}
	retryAfter       = []string{"5"}                       // seconds; the page loads itself again as often
	challenge        = []string{`Bearer realm="Organizr"`} // RFC 6750, section 3; every 401 has one
	challengeInvalid = []string{`Bearer realm="Organizr", error="invalid_token"`}

	basicChallenge = `Basic realm="Organizr", charset="UTF-8"` // RFC 7617, section 2

	loginProblem = problemOf(loginNeeded)
)

// The statuses of nearly all refusals. A constant of another package would take an allocation wherever it stands.
const (
	statusFound        = http.StatusFound
	statusUnauthorized = http.StatusUnauthorized
	statusForbidden    = http.StatusForbidden
)

// acceptsHTML reports whether HTML is among the first types of an Accept header.
var acceptsHTML = regexp.MustCompile(`(?is)^.{0,99}?text/html`).MatchString

// An exchange is a request that is refused: who sent it, and where to answer.
type exchange struct {
	m      *middleware
	sender *visitor
	rw     http.ResponseWriter
	req    *http.Request
}

// refuse answers a request of a visitor who may not enter. With a session, or while nobody can tell, the visitor is
// told what is wrong. Without one, people are sent to log in, and programs are told that they need a session.
func refuse(m *middleware, sender *visitor, required *rule, rw http.ResponseWriter, req *http.Request) {
	switch {
	case sender.whyNoSession == nil:
		refuseVisitor(m, sender, required, rw, req)
	case acceptsHTML(req.Header.Get("Accept")) && isNavigation(req):
		sendToLogin(m, sender, rw, req)
	default:
		refuseProgram(m, sender, rw, req)
	}
}

// isNavigation reports whether a browser opens a page with the request, rather than a script or a WebSocket. Not every
// browser sends Sec-Fetch-Mode, and over plain http none does. Pages in an Android app have the app's name in
// X-Requested-With, so only XMLHttpRequest counts there.
func isNavigation(req *http.Request) bool {
	headers := req.Header
	modes := headers["Sec-Fetch-Mode"]
	if len(modes) > 0 && modes[0] != "navigate" {
		return false
	}
	if headers["Upgrade"] != nil && isWebSocket(req) {
		return false
	}
	return headers["Hx-Request"] == nil && headers.Get("X-Requested-With") != "XMLHttpRequest"
}

// refuseVisitor answers a visitor whose session doesn't let them in, or can't be checked while Organizr's files aren't
// there.
func refuseVisitor(m *middleware, sender *visitor, required *rule, rw http.ResponseWriter, req *http.Request) {
	why := sender.restriction
	if why == nil {
		why = insufficientGroup(sender.account, required)
	}
	sendRefusal(&exchange{m, sender, rw, req}, why)
}

// insufficientGroup returns the refusal of an account whose group is less privileged than a rule requires.
func insufficientGroup(user *account, required *rule) *refusal {
	why := wrongGroup
	why.Rule = required
	why.reason = fmt.Sprintf("group %d, but %s is required%s", user.groupID, required.Label, required.origin)
	if required.tabProblem != "" {
		why.Text = required.tabProblem + ", so only its administrator gets in."
	}
	return &why
}

// sendRefusal answers with a page if a person waits for it, and with a problem document otherwise. refuse tests the
// headers in the same way: a function for both would take every refused program four allocations more.
func sendRefusal(e *exchange, why *refusal) {
	sendRefusalAs(e, why, acceptsHTML(e.req.Header.Get("Accept")) && isNavigation(e.req))
}

// sendRefusalAs sends a refusal as a page or as a problem document, and logs it with the visitor's name.
func sendRefusalAs(e *exchange, why *refusal, isPage bool) {
	headers := e.rw.Header()
	headers["Content-Type"] = problemType
	headers["Cache-Control"] = noStore
	headers["X-Content-Type-Options"] = nosniff
	if isPage {
		headers["Content-Type"] = pageType
		headers["Content-Security-Policy"] = pagePolicy
	}
	if why.Status != statusForbidden {
		setRetryHeaders(e, why, headers)
	}
	sender := e.sender
	name := ""
	if sender.account != nil {
		name = sender.account.claims["username"]
	}
	var reason any = why.reason
	if reason == "" {
		reason = sender.whyNoSession
	}
	logAndStrip(e.m, e.req, why.Status, reason, name)
	e.rw.WriteHeader(why.Status)
	switch {
	case e.req.Method == "HEAD":
	case isPage:
		_ = refusalPage.Execute(e.rw, pageData(e, why))
	default:
		_, _ = e.rw.Write(problemOf(why))
	}
}

// setRetryHeaders sets the headers that say how the same request may succeed.
func setRetryHeaders(e *exchange, why *refusal, headers http.Header) {
	switch why.Status {
	case statusUnauthorized:
		headers["Www-Authenticate"] = challenge
		if e.sender.badCredentials {
			headers["Www-Authenticate"] = challengeInvalid
		}
		offerBasic(e.m, headers, e.req)
	case http.StatusServiceUnavailable:
		headers["Retry-After"] = retryAfter
	}
}

// offerBasic says in a refusal that a key may come by Basic, if there are keys: many programs send a name and a
// password only then. It doesn't tell browsers, which would show a password dialog.
func offerBasic(m *middleware, headers http.Header, req *http.Request) {
	if m.keys != nil && !isBrowser(req) {
		headers.Add("Www-Authenticate", basicChallenge)
	}
}

// isBrowser reports whether a browser sent the request. All browsers call themselves Mozilla. So does Thunderbird, but
// it counts as a program, since it can send a key by Basic.
func isBrowser(req *http.Request) bool {
	agent := req.Header.Get("User-Agent")
	return strings.HasPrefix(agent, "Mozilla/") && !strings.Contains(agent, "Thunderbird/")
}

// printf writes on standard output. Called by its own name, fmt.Printf takes eight allocations more.
var printf = fmt.Printf

// logAndStrip logs a refusal in one line, and takes out of the request what the service must not get: Traefik's
// middleware errors may send a refused request to a service of its own. Nothing may read a header afterwards.
//
// Everything that a visitor chose is quoted and cut in the line, so it can't look like another line. The reason is an
// error or a string. A function for each of the two steps would take eight allocations more, and calling clientAddress
// for everybody five.
func logAndStrip(m *middleware, req *http.Request, status int, reason any, name string) {
	headers := req.Header
	address := firstAddress(req.RemoteAddr)
	if headers["X-Forwarded-For"] != nil {
		address = clientAddress(req)
	}
	_, _ = printf("organizrjwt: middleware=%q status=%d method=%.20q host=%.256q path=%.256q address=%.64q reason=%.512q "+
		"visitor=%.256q\n", m.name, status, req.Method, req.Host, req.URL.Path, address, reason, name)
	req.URL.User = nil // a visitor can choose it, and the access log has it
	delete(headers, "Cookie")
	if headers.WriteSubset(failingWriter, m.harmlessHeaders) != nil {
		stripHeaders(m, headers)
	}
}

// stripHeaders takes out of a refused request the headers that only the plugin may set, and Authorization where a
// session or a key may come in it. If there are too many headers to look at one by one, it takes out all. It changes
// the map itself, since another middleware's request may share it.
func stripHeaders(m *middleware, headers http.Header) {
	if m.acceptsPrograms {
		delete(headers, "Authorization")
		delete(headers, keyHeader)
		if headers.WriteSubset(failingWriter, m.harmlessHeaders) == nil { // removeReserved would take 30 allocations more
			return
		}
	}
	if len(headers) > maxHeaders {
		reflect.ValueOf(headers).Clear()
		return
	}
	removeReserved(m.headers, headers)
}

// clientAddress returns the visitor's address: the first in X-Forwarded-For, which Traefik takes from trusted proxies
// only, or the connection's. A list of more than 1 KiB doesn't count. Where a trusted proxy appends to what it got,
// visitors choose the first one. Client-IP, which Organizr believes, doesn't count, since anybody can send it.
func clientAddress(req *http.Request) string {
	list := strings.Join(req.Header["X-Forwarded-For"], ",")
	if len(list) > maxForwarded {
		return firstAddress(req.RemoteAddr)
	}
	return firstAddress(list + "," + req.RemoteAddr)
}

// firstAddress returns the first in a list that has the form of an IP address, without its port.
var firstAddress = regexp.MustCompile(`[0-9]+(?:\.[0-9]+){3}|[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*`).FindString

// pageData returns what the page shows.
func pageData(e *exchange, why *refusal) *refusalPageData {
	data := &refusalPageData{Refusal: why}
	if e.sender.account != nil {
		claims := e.sender.account.claims
		data.User = claims["username"]
		data.Group = groupLabel(claims["group"], claims["groupID"])
	}
	if why.quotesUser {
		data.User = strconv.Quote(data.User)
	}
	if why.offersLogin && e.m.login != nil {
		data.Login = e.m.login.url
	}
	return data
}

// groupLabel returns a group's name with its number, by which groups are compared.
func groupLabel(name, number string) string {
	if name == number {
		return "Group " + number
	}
	return name + " (" + number + ")"
}

// problemOf returns the problem document of a refusal.
func problemOf(why *refusal) []byte {
	document, _ := json.Marshal(struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}{"about:blank", http.StatusText(why.Status), why.Status, why.Text})
	return append(document, '\n')
}

// refuseProgram answers a request without a session with a problem document. sendRefusalAs would send the same for
// loginNeeded, but take 293 allocations for a scanner's request instead of 207.
func refuseProgram(m *middleware, sender *visitor, rw http.ResponseWriter, req *http.Request) {
	headers := rw.Header()
	headers["Content-Type"] = problemType
	headers["Cache-Control"] = noStore
	headers["X-Content-Type-Options"] = nosniff
	headers["Www-Authenticate"] = challenge
	if sender.badCredentials {
		headers["Www-Authenticate"] = challengeInvalid
	}
	if m.acceptsPrograms {
		offerBasic(m, headers, req)
	}
	logAndStrip(m, req, statusUnauthorized, sender.whyNoSession, "")
	rw.WriteHeader(statusUnauthorized)
	if req.Method != "HEAD" {
		_, _ = rw.Write(loginProblem)
	}
}

// ---------------------------------------------------------------------------------------------------------------------
// Logging in

const maxReturnURL = 2 << 10 // bytes of an address that a visitor comes back to

// A login is the Organizr where visitors log in, and the hosts that its cookie reaches.
type login struct {
	url          string
	parsedURL    *url.URL
	host         string // without port
	cookieDomain string // this host and all under it get Organizr's cookie
	hostOnly     bool   // only the host itself gets it

	// siblingSuffix is what every other host under cookieDomain ends in. Nearly all visitors come from such a host, and
	// then no address needs to be parsed.
	siblingSuffix string
}

// sendToLogin sends a browser to Organizr, from where it comes back logged in, or refuses the request if that wouldn't
// help.
//
// Organizr decodes the value of return three times, each time a little differently (its js/custom.js). Escaped like
// this, any address comes back exactly as it was.
func sendToLogin(m *middleware, sender *visitor, rw http.ResponseWriter, req *http.Request) {
	organizr := m.login
	e := &exchange{m, sender, rw, req}
	if sender.badCredentials && refuseBadCredentials(e) {
		return
	}
	if organizr == nil || req.Method != "GET" && req.Method != "HEAD" {
		sendRefusalAs(e, loginNeeded, true)
		return
	}
	host := browserHost(req)
	if !strings.HasSuffix(host, organizr.siblingSuffix) || host == organizr.host {
		host = withoutFinalDot(host)
		if refuseUnreachable(e, host) {
			return
		}
	}
	returnURL := externalURL(req, host)
	location := organizr.url
	if len(returnURL) <= maxReturnURL {
		location += "?return=" + strings.ReplaceAll(url.QueryEscape(returnURL), "%", "%2525")
	}
	logAndStrip(m, req, statusFound, sender.whyNoSession, "")
	headers := rw.Header()
	headers["Location"] = []string{location}
	headers["Cache-Control"] = noStore
	rw.WriteHeader(statusFound)
}

// refuseBadCredentials refuses a request with a bad token or key if a login wouldn't help, and reports whether it did.
// It wouldn't help somebody who is logged in already: they would only see Organizr's home page. Nor would it help a
// program, which gets a problem document. A browser that sent the service's own Basic isn't refused.
func refuseBadCredentials(e *exchange) bool {
	err := e.sender.whyNoSession
	headers := e.req.Header
	isProgram := len(headers[keyHeader]) > 0 || len(headers["Authorization"]) > 0 && !isBrowser(e.req)
	switch {
	case e.m.keys != nil && isProgram:
		sendRefusalAs(e, loginNeeded, false)
		return true
	case slices.Contains(unverifiable, err):
		e.m.reportOnce("a visitor who seems to be logged in to Organizr was refused", err)
		sendRefusalAs(e, sessionUnverifiable, true)
		return true
	}
	return false
}

// unverifiable has the errors for tokens of people who may well be logged in to Organizr.
var unverifiable = []error{
	errWrongSignature, errWrongHeader, errWrongClaims, errWrongIssuer, errNotYetValid, errOddGroup,
}

// reportOnce logs that somebody was refused for an error that an option may be to blame for. It logs each error once,
// until the secret changes or Organizr's files can't be used for a while.
func (m *middleware) reportOnce(what string, err error) {
	m.Lock()
	isNew := !m.reported[err.Error()]
	m.reported[err.Error()] = true
	m.Unlock()
	if isNew {
		log.Printf("organizrjwt: middleware=%q %s: %v", m.name, what, err)
	}
}

// finalDot matches the dot at the end of a host, in front of its port.
var finalDot = regexp.MustCompile(`\.(:[0-9]+)?$`)

// withoutFinalDot returns the host without its final dot: to a name with it, browsers send no cookies of the name
// without it.
func withoutFinalDot(host string) string { return finalDot.ReplaceAllString(host, "$1") }

// refuseUnreachable refuses a request if no login can reach its address, at this host, and reports whether it did.
func refuseUnreachable(e *exchange, host string) bool {
	obstacle := e.m.login.obstacle(externalURL(e.req, host))
	if obstacle == "" {
		return false
	}
	unreachable := *loginUnreachable
	unreachable.Hint = obstacle
	unreachable.reason += ": " + obstacle
	sendRefusalAs(e, &unreachable, true)
	return true
}

// externalURL returns the address of the request as the browser knows it. Traefik says in X-Forwarded-… how it was
// reached, and which prefix an earlier middleware has cut off. It takes those headers from trusted proxies only, the
// prefix since 2.11.14 and 3.2.1.
func externalURL(req *http.Request, host string) string {
	scheme := "http://"
	if isSecure(req) {
		scheme = "https://"
	}
	if len(req.Header["X-Forwarded-Prefix"]) > 0 {
		host += forwardedPrefix(req)
	}
	return scheme + host + req.URL.RequestURI()
}

// forwardedPrefix returns the beginning of the path that an earlier middleware has cut off, or nothing if the header
// isn't the beginning of a path.
func forwardedPrefix(req *http.Request) string {
	prefix := strings.Join(req.Header["X-Forwarded-Prefix"], "")
	if !strings.HasPrefix(prefix, "/") {
		return ""
	}
	return prefix
}

// isSecure reports whether the browser used https.
func isSecure(req *http.Request) bool {
	lines := req.Header["X-Forwarded-Proto"]
	if len(lines) == 0 {
		return req.TLS != nil
	}
	return isSecureProtocol(lines[0])
}

// isSecureProtocol reports whether the first protocol in a list is https or wss.
var isSecureProtocol = regexp.MustCompile(`^\s*(?i:https|wss)\s*(?:,|$)`).MatchString

// obstacle returns why a login can't let a visitor in at an address, or nothing if it can or the address can't be
// parsed.
func (l *login) obstacle(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return ""
	}
	host := hostname(parsed)
	samePath := path.Clean("/"+parsed.Path) == path.Clean("/"+l.parsedURL.Path)
	if host == l.host && givenPort(parsed) == givenPort(l.parsedURL) && samePath {
		return "This is Organizr's own address, and nobody can log in where a login is asked for first. " +
			"Take this middleware off Organizr's own router and off its entry point."
	}
	if l.reaches(host) {
		return ""
	}
	reach := l.cookieDomain + " and names under it"
	advice := "Use such names, or one under " + l.cookieDomain
	if l.hostOnly {
		reach = l.cookieDomain + " alone"
		advice = "Use such names"
	}
	return fmt.Sprintf("Organizr's login at %s reaches %s, and not %s: browsers share a cookie only between names "+
		"under one domain of your own, like organizr.example.com and service.example.com. "+
		"%s, or put this service under a path of %s.", l.host, reach, host, advice, l.host)
}

// givenPort returns the port of a URL, or nothing if it is the one that the scheme implies: behind a proxy that
// ends TLS, http and https are the same address.
func givenPort(parsed *url.URL) string {
	port := parsed.Port()
	if parsed.Scheme == "https" && port == "443" || parsed.Scheme == "http" && port == "80" {
		return ""
	}
	return port
}

// reaches reports whether a host gets Organizr's cookie.
func (l *login) reaches(host string) bool {
	return host == l.host || !l.hostOnly && isUnder(host, l.cookieDomain)
}

// shareCookie reports whether a page of the other host may act on the own one, since both get Organizr's cookie. If the
// own host is Organizr's or under it, so must the other be: there the cookie comes along even if browsers refused the
// one for the domain above.
func (l *login) shareCookie(own, other string) bool {
	domain := l.cookieDomain
	if isUnder(own, l.host) {
		domain = l.host
	}
	return !l.hostOnly && isUnder(own, domain) && isUnder(other, domain)
}

// isUnder reports whether a host is a domain or under it.
func isUnder(host, domain string) bool {
	return host == domain || strings.HasSuffix(host, "."+domain)
}

// domainOfCookie returns the domain of Organizr's cookie if Organizr is opened at this host: the host or the domain
// above it, and whether the host alone gets the cookie. It does what Organizr's parseDomain does (in its
// api/functions/normal-functions.php), minus what browsers refuse.
func domainOfCookie(host string) (domain string, hostOnly bool) {
	labels := strings.Split(host, ".")
	count := len(labels)
	beginsWithDigit := host[0] >= '0' && host[0] <= '9'
	if net.ParseIP(host) != nil || count == 1 || count >= 4 && beginsWithDigit {
		return host, true // parseDomain returns nothing, so PHP sets a cookie for the host alone
	}
	// Of five labels and more it returns the second to fourth, a domain that the host isn't under. Browsers refuse that
	// cookie, and keep the one for the host.
	isProvider := providersOrganizrKnows[strings.Join(labels[count-2:], ".")]
	if count == 2 || count > 4 || isProvider || count == 3 && labels[1] == "co" {
		return host, false
	}
	parent := strings.Join(labels[1:], ".")
	if publicSuffixes[parent] || secondLevelSuffix.MatchString(parent) {
		return host, false
	}
	return parent, false
}

// secondLevelSuffix matches names like com.au, under which anybody can have a name.
var secondLevelSuffix = regexp.MustCompile(`^(ac|co|com|edu|gov|mil|net|org)\.[a-z]{2}$`)

// nameSet returns a set of the names in a list.
func nameSet(list string) map[string]bool {
	names := map[string]bool{}
	for _, name := range strings.Fields(list) {
		names[name] = true
	}
	return names
}

// providersOrganizrKnows has the providers of dynamic DNS where Organizr's parseDomain returns the host itself.
var providersOrganizrKnows = nameSet(`
	3utilities.com bounceme.net ddns.net ddnsking.com freedynamicdns.net freedynamicdns.org gotdns.ch hopto.org
	myddns.me myds.me myftp.biz myftp.org myvnc.com noip.com onthewifi.com redirectme.net serveblog.net
	servecounterstrike.com serveftp.com servegame.com servehalflife.com servehttp.com serveirc.com serveminecraft.net
	servemp3.com servepics.com servequake.com sytes.net viewdns.net webhop.me zapto.org
`)

// publicSuffixes has providers of dynamic DNS where browsers refuse a cookie for the provider's domain, since anybody
// can have a name there (publicsuffix.org).
var publicSuffixes = nameSet(`
	0am.jp 0g0.jp 0j0.jp 0t0.jp 1cooldns.com 3utilities.com abrdns.com accesscam.org ath.cx blogdns.com blogdns.net
	blogdns.org blogsyte.com bounceme.net brasilia.me bumbleshrimp.com cable-modem.org camdvr.org casacam.net cc.cd
	ccwu.cc ciscofreak.com cloud-ip.biz cloud-ip.cc cloudns.asia cloudns.be cloudns.biz cloudns.cc cloudns.ch
	cloudns.cl cloudns.club cloudns.cx cloudns.eu cloudns.in cloudns.info cloudns.nz cloudns.org cloudns.ph
	cloudns.pro cloudns.pw cloudns.us collegefan.org couchpotatofries.org daemon.asia damnserver.com ddns-ip.net
	ddns.berlin ddns.me ddns.net ddns.wtf ddnsfree.com ddnsgeek.com ddnsguru.com ddnsking.com ddnss.de ddnss.org
	ddnssec.de de5.net dedyn.io diskstation.me ditchyourip.com dix.asia dns-cloud.net dns-dynamic.net dnsabr.com
	dnsalias.com dnsalias.net dnsalias.org dnsdojo.com dnsdojo.net dnsdojo.org dnsfor.me dnshome.at dnshome.cloud
	dnshome.de dnshome.eu dnshome.it dnsiskinky.com dnsking.ch dnsup.net dnsupdate.info dnsupdater.de doesntexist.com
	doesntexist.org dontexist.com dontexist.net dontexist.org doomdns.com doomdns.org dpdns.org drayddns.com
	dscloud.biz dscloud.me dscloud.mobi dsmynas.com dsmynas.net dsmynas.org duckdns.org dvrcam.info dvrdns.org dy.fi
	dyn-berlin.de dyn-ip24.de dyn.addr.tools dyn.cosidns.de dyn.ddnss.de dyn.home-webserver.de dyn.now dynalias.com
	dynalias.net dynalias.org dynamic-dns.info dynamisches-dns.de dynathome.net dyndns-at-home.com dyndns-at-work.com
	dyndns-blog.com dyndns-free.com dyndns-home.com dyndns-ip.com dyndns-mail.com dyndns-office.com dyndns-pics.com
	dyndns-remote.com dyndns-server.com dyndns-web.com dyndns-wiki.com dyndns-work.com dyndns.biz dyndns.dappnode.io
	dyndns.ddnss.de dyndns.info dyndns.org dyndns.tv dyndns.ws dyndns1.de dyndnssec.de dynns.com dynserv.org dynu.net
	dynuddns.com dynuddns.net dynuhosting.com dynv6.net eating-organic.net eero.online eu.org f5.si familyds.com
	familyds.net familyds.org fantasyleague.cc fbx-os.fr fbxos.fr feste-ip.net firewall-gateway.com
	firewall-gateway.de firewall-gateway.net forumz.info freebox-os.com freebox-os.fr freeboxos.com freeboxos.fr
	freeddns.org freeddns.us freemyip.com ftpaccess.cc game-host.org game-server.cc geekgalaxy.com getmyip.com
	giize.com gleeze.com goip.de golffan.us gotdns.ch gotdns.com gotdns.org health-carereform.com heimdns.de
	heimdns.online hicam.net hobby-site.com hobby-site.org home-webserver.de home.arpa home64.de homedns.org
	homeftp.net homeftp.org homeip.net homelinux.com homelinux.net homelinux.org homesecuritymac.com
	homesecuritypc.com homeunix.com homeunix.net homeunix.org hopto.me hopto.org i234.me ibxos.it iliadboxos.it
	ilovecollege.info internet-dns.de iobb.net ip-ddns.com ip-dynamic.org ipv64.de ipv64.net is-a-geek.com
	is-a-geek.net is-a-geek.org isa-geek.com isa-geek.net isa-geek.org keenetic.io keenetic.link keenetic.name
	keenetic.pro keyword-on.net kicks-ass.net kicks-ass.org knx-server.net kozow.com l-o-g-i-n.de live-on.net
	loginto.me logoip.com logoip.de loseyourip.com merseine.nu mine.nu mlbfan.org mmafan.biz my-firewall.org
	my-gateway.de my-router.de myactivedirectory.com myaddr.dev myaddr.io myaddr.tools myasustor.com mycloudnas.com
	myddns.rocks mydissent.net mydns.bz mydns.jp mydns.tw mydns.vc myds.me myeffect.net myfirewall.org myfritz.link
	myfritz.net myftp.biz myftp.org myhome-server.de myiphost.com mymediapc.net mynascloud.com mypets.ws myphotos.cc
	mypi.co mypsx.net myqnapcloud.cn myqnapcloud.com mysecuritycamera.com mysecuritycamera.net mysecuritycamera.org
	mysynology.net myvnc.com mywire.org nerdpol.ovh net-freaks.com nflfan.org ngrok-free.app ngrok-free.dev ngrok.app
	ngrok.dev ngrok.io ngrok.pizza ngrok.pro nhlfan.net no-ip.biz no-ip.ca no-ip.co.uk no-ip.info no-ip.net no-ip.org
	noho.st nohost.me noip.me noip.us now-dns.net now-dns.org nsupdate.info ntdll.top office-on-the.net onthewifi.com
	ooguy.com opik.net ownip.net pgafan.net pgw.jp pivohosting.com podzone.net podzone.org point2this.com pointto.us
	pp.ua privatizehealthinsurance.net quicksytes.com qzz.io read-books.org redirectme.net remotewd.com
	routingthecloud.com routingthecloud.net routingthecloud.org roxa.org sandcats.io securitytactics.com selfip.biz
	selfip.com selfip.info selfip.net selfip.org servebbs.com servebbs.net servebbs.org servebeer.com serveblog.net
	servecounterstrike.com serveexchange.com serveftp.com serveftp.net serveftp.org servegame.com servegame.org
	servehalflife.com servehttp.com servehumour.com serveirc.com serveminecraft.net servemp3.com servep2p.com
	servepics.com servequake.com server-on.net servesarcasm.com shacknet.nu sn.mynetname.net soundcast.me spdns.de
	spdns.eu spdns.org spryt.net srvdns.de static-access.net stufftoread.com syncloud.it synology.me sytes.net
	taifun-dns.de tcp4.me telebit.io theworkpc.com thruhere.net trycloudflare.com ts.net tunnelmole.net ufcfan.org
	ui.nabu.casa unusualperson.com us.ci us.kg vicp.fun vpndns.net vpnplus.to webhop.biz webhop.info webhop.me
	webhop.net webhop.org webredirect.org wiredbladehosting.com wjg.jp workisboring.com x443.pw xx.kg yicp.fun ynh.fr
	zapto.org zicp.fun
`)

// strangersDomains has domains where anybody can have a name but browsers don't know it, so Organizr's cookie reaches
// strangers.
var strangersDomains = nameSet(`
	3322.org asuscomm.com bot.nu chickenkiller.com crabdance.com ddns.info ddns.us ddo.jp dlinkddns.com dns.army
	dns.navy dynamic-dns.net f3322.net fortiddns.com glddns.com hldns.ru homenet.org ignorelist.com jumpingcrab.com
	line.pm linkpc.net mooo.com my-wan.de mynetgear.com nip.io publicvm.com run.place selfhost.bz selfhost.de
	selfhost.eu selfhost.me sslip.io strangled.net tplinkdns.com traefik.me twilightparadox.com twodns.de uk.to
	undo.it us.to v6.army v6.navy v6.rocks work.gd
`)

// warnOfStrangers logs, once for each domain, that Organizr's cookie reaches strangers, if it does.
func (l *login) warnOfStrangers(name string) {
	if strangersDomains[l.cookieDomain] {
		logOnce(name, fmt.Sprintf("organizrURL: anybody can have a name under %s, and browsers send Organizr's cookie to "+
			"all of them; use a domain of your own", l.cookieDomain))
	}
}

// loggedOnce has the texts that logOnce has logged.
var loggedOnce sync.Map

// logOnce logs a text about a middleware's options, unless it has been logged for any middleware before: Traefik makes
// new ones all the time.
func logOnce(name, text string) {
	if _, logged := loggedOnce.LoadOrStore(text, true); !logged {
		log.Printf("organizrjwt: middleware=%q %s", name, text)
	}
}

// ---------------------------------------------------------------------------------------------------------------------
// Options

// configErrors are the mistakes in a configuration. Each names the option, what was given, and what would be right.
type configErrors struct{ texts []string }

// addf adds a mistake.
func (e *configErrors) addf(format string, arguments ...any) {
	e.texts = append(e.texts, fmt.Sprintf(format, arguments...))
}

// join returns all mistakes as one error, or nil if there are none.
func (e *configErrors) join() error {
	if len(e.texts) == 0 {
		return nil
	}
	return errors.New("organizrjwt: " + strings.Join(e.texts, " | "))
}

// variablesChecked has warnOfVariables called once, by the first middleware.
var variablesChecked sync.Once

// warnOfVariables logs which variables of Traefik's environment look like the plugin's but aren't. If, for instance,
// ORGANIZR_DATABASE_FILE is misspelled, log-outs don't count, and nothing else would say so.
func warnOfVariables(name string) {
	for _, assignment := range os.Environ() {
		variable, _, _ := strings.Cut(assignment, "=")
		if meant := meantByVariable(variable); meant != "" {
			log.Printf("organizrjwt: middleware=%q the environment has %s, which means nothing to this plugin; %s",
				name, variable, meant)
		}
	}
}

// variableNames has the variables that options come from.
var variableNames = []string{
	"ORGANIZR_CONFIG_FILE", "ORGANIZR_DATABASE_FILE", "ORGANIZR_UUID", "ORGANIZR_SECRET", "ORGANIZR_SECRET_FILE",
	"ORGANIZR_URL",
}

// variableParts matches what begins like one of them, and has the rest.
var variableParts = regexp.MustCompile(`^(?i)ORGANI[SZ]E?R_?(.*)$`)

// otherWords has the plugin's words for those that people use in names of variables.
var otherWords = strings.NewReplacer(
	"DB", "DATABASE", "SQLITE", "DATABASE", "PATH", "FILE", "HASH", "SECRET", "URI", "URL",
)

// meantByVariable returns what somebody probably meant by a variable that isn't the plugin's, or nothing if it is or
// isn't like one.
func meantByVariable(variable string) string {
	parts := variableParts.FindStringSubmatch(variable)
	if parts == nil || slices.Contains(variableNames, variable) {
		return ""
	}
	corrected := "ORGANIZR_" + otherWords.Replace(strings.ToUpper(parts[1]))
	for _, meant := range variableNames {
		if editDistance(corrected, meant) <= 2 || strings.HasPrefix(meant, corrected+"_") {
			return "did you mean " + meant + "?"
		}
	}
	for option := range optionNames {
		if strings.EqualFold(option, strings.ReplaceAll(parts[1], "_", "")) {
			return "give the option " + option + " to each middleware instead"
		}
	}
	return ""
}

// checkUnknown reports options that don't exist, and what was probably meant.
func checkUnknown(errs *configErrors, given map[string]any) {
	var unknown []string
	for option := range given {
		unknown = append(unknown, option)
	}
	sort.Strings(unknown)
	for _, option := range unknown {
		errs.addf("%s: unknown option; see the readme%s", option, didYouMean(option, optionNames))
	}
}

// optionNames has the names of the options: those of the fields of Config.
var optionNames = func() map[string]bool {
	names := map[string]bool{}
	fields := reflect.TypeOf(Config{})
	for i := 0; i < fields.NumField(); i++ {
		name, _, _ := strings.Cut(fields.Field(i).Tag.Get("json"), ",")
		if name != "-" {
			names[name] = true
		}
	}
	return names
}()

// maxTypos is how many bytes may be wrong in a name for didYouMean to recognize it.
const maxTypos = 3

// didYouMean returns the end of an error, which asks whether the most similar name was meant, or nothing if no name is
// similar to the word.
func didYouMean(word string, names map[string]bool) string {
	best, least := "", maxTypos+1
	for name := range names {
		distance := editDistance(word, name)
		if distance < least || distance == least && name < best {
			best = name
			least = distance
		}
	}
	if best == "" || least >= len(word) { // any short name is similar to a short word
		return ""
	}
	return "; did you mean " + best + "?"
}

// editDistance returns how many bytes must be added, removed or replaced to turn one word into the other.
func editDistance(one, other string) int {
	row := make([]int, len(other)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(one); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(other); j++ {
			cost := diagonal
			if one[i-1] != other[j-1] {
				cost++
			}
			diagonal = row[j]
			if row[j]+1 < cost {
				cost = row[j] + 1
			}
			if row[j-1]+1 < cost {
				cost = row[j-1] + 1
			}
			row[j] = cost
		}
	}
	return row[len(other)]
}

// A setting is a value with the name under which it was given: that of an option, or of a variable in Traefik's
// environment.
type setting struct{ name, value string }

// optionOrVariable returns the option, or the variable if only that was given.
func optionOrVariable(option, value, variable string) setting {
	fromEnvironment := os.Getenv(variable)
	if value == "" && fromEnvironment != "" {
		return setting{variable, fromEnvironment}
	}
	return setting{option, value}
}

// checkSetting reports a value in quotes, which the list form of Compose's environment passes on, or with a line end of
// Windows, and whether it did. It may be a secret, so it isn't shown.
func checkSetting(errs *configErrors, given setting) bool {
	switch {
	case inQuotes(given.value):
		errs.addf("%s: its value has quotes around it; write it without", given.name)
	case strings.HasSuffix(given.value, "\r"):
		errs.addf("%s: its value ends in a line end of Windows; save the file that it comes from with those of Unix",
			given.name)
	default:
		return false
	}
	return true
}

// inQuotes reports whether a value begins and ends with a quotation mark.
var inQuotes = regexp.MustCompile("^\\s*(?:\".*\"|'.*'|`.*`)\\s*$").MatchString

// parseSource returns what to follow: what the middleware's own options say, or what Traefik's environment says where
// they say nothing. A secret, a secret file or a config.php of its own replaces all three of the environment.
func parseSource(errs *configErrors, config *Config) source {
	parsed := source{
		secret: config.Secret, secretFile: config.SecretFile, configFile: config.ConfigFile,
		tabs: tabText.MatchString(config.Group),
	}
	names := []string{"secret", "secretFile", "configFile"}
	if parsed.secret == "" && parsed.secretFile == "" && parsed.configFile == "" {
		names = []string{"ORGANIZR_SECRET", "ORGANIZR_SECRET_FILE", "ORGANIZR_CONFIG_FILE"}
		parsed.secret = os.Getenv(names[0])
		parsed.secretFile = os.Getenv(names[1])
		parsed.configFile = os.Getenv(names[2])
	}
	uuid := setting{"uuid", config.UUID}
	if config.ConfigFile == "" { // a given config.php has a uuid, which may not be that of the variable
		uuid = optionOrVariable("uuid", config.UUID, "ORGANIZR_UUID")
	}
	parsed.uuid = strings.TrimPrefix(uuid.value, cookiePrefix)
	databaseFile := optionOrVariable("databaseFile", config.DatabaseFile, "ORGANIZR_DATABASE_FILE")
	for _, given := range []setting{
		uuid, {names[0], parsed.secret}, {names[1], parsed.secretFile}, {names[2], parsed.configFile}, databaseFile,
	} {
		checkSetting(errs, given)
	}
	checkUUID(errs, parsed, uuid.name)
	checkSecretSource(errs, parsed, names)
	parsed.databaseFile = strings.TrimSpace(databaseFile.value)
	switch strings.ToLower(parsed.databaseFile) {
	case "none":
		parsed.databaseFile = ""
	case "auto":
		parsed.databaseFile = "auto"
		if parsed.configFile == "" {
			errs.addf(`%s: "auto" needs Organizr's config.php, which says where the database is; give configFile, `+
				`or the database's path as databaseFile, or "none"`, databaseFile.name)
		}
	}
	return parsed
}

// checkUUID reports a uuid that is missing, or that no cookie's name can have.
func checkUUID(errs *configErrors, parsed source, name string) {
	isMissing := parsed.uuid == "" && parsed.configFile == ""
	switch {
	case isMissing && os.Getenv("ORGANIZR_CONFIG_FILE") != "":
		errs.addf("uuid: missing; ORGANIZR_CONFIG_FILE doesn't count for a middleware with a secret or secretFile of its " +
			"own; take that away, or give Organizr's uuid too")
	case isMissing:
		errs.addf("uuid: missing; give Organizr's uuid, or its config.php as configFile or ORGANIZR_CONFIG_FILE")
	case !httpToken.MatchString(cookiePrefix + parsed.uuid):
		errs.addf("%s: %q can't be part of a cookie's name; give Organizr's uuid as its config.php has it", name, parsed.uuid)
	}
}

// checkSecretSource reports a secret that is missing or blank, or has more than one source. The names are those of the
// secret, its file and config.php, as options or as variables.
func checkSecretSource(errs *configErrors, parsed source, names []string) {
	sources := 0
	for _, given := range []string{parsed.secret, parsed.secretFile, parsed.configFile} {
		if given != "" {
			sources++
		}
	}
	switch {
	case sources == 0:
		errs.addf("secret: missing; give Organizr's organizrHash as secret or secretFile, " +
			"or its config.php as configFile or ORGANIZR_CONFIG_FILE")
	case sources > 1:
		errs.addf("secret: more than one source; give only one of %s, %s and %s", names[0], names[1], names[2])
	case parsed.secret != "" && strings.TrimSpace(parsed.secret) == "":
		errs.addf("%s: blank; give Organizr's organizrHash", names[0])
	case strings.ContainsAny(parsed.secret, "\r\n"):
		errs.addf("%s: has a line break; give Organizr's organizrHash in one line", names[0])
	}
}

// parseLogin returns where visitors log in, or nil if no address is given. Its URL ends in a slash.
func parseLogin(errs *configErrors, given setting) *login {
	raw := given.value
	if raw == "" || strings.EqualFold(raw, "none") || checkSetting(errs, given) {
		return nil
	}
	parsed, err := url.Parse(raw)
	if err == nil && parsed.User != nil {
		errs.addf("%s: it has a user or a password; give it without, like https://organizr.example.com", given.name)
		return nil
	}
	if err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || !isHost(parsed.Hostname()) ||
		parsed.RawQuery != "" || parsed.Fragment != "" || strings.ContainsAny(raw, " \t\r\n") {
		errs.addf("%s: %q must be an http or https URL without query and fragment, "+
			"like https://organizr.example.com", given.name, raw)
		return nil
	}
	if strings.Contains(parsed.Path, "/api/v2/") {
		errs.addf("%s: %q is the address of Organizr's check; give the one where people open Organizr, "+
			"like https://organizr.example.com", given.name, raw)
		return nil
	}
	parsed = parsed.JoinPath("/")
	parsed.Host = withoutFinalDot(parsed.Host)
	l := &login{url: parsed.String(), parsedURL: parsed, host: hostname(parsed)}
	l.cookieDomain, l.hostOnly = domainOfCookie(l.host)
	l.siblingSuffix = "." + l.cookieDomain
	if l.hostOnly {
		l.siblingSuffix = "/" // no host has it
	}
	return l
}

// isHost reports whether a text can be a host: there is a name between all its dots, apart from a final one.
func isHost(text string) bool {
	return text != "" && text[0] != '.' && !strings.Contains(text, "..")
}

var (
	keyParts = regexp.MustCompile(`(?s)^([^=]*)=(.*):([^:]*)$`)
	keyHash  = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// parseKeys returns the keys that the option lists, or nil for none. No error shows what was given: it may be a key.
func parseKeys(errs *configErrors, raw []string) keyring {
	if len(raw) == 0 {
		return nil
	}
	const advice = `make a key with "openssl rand -hex 32", its hash with "printf %s KEY | sha256sum", ` +
		`and give NAME=GROUP:HASH, like lunasea=User:9f86d0…`
	keys := keyring{}
	items := map[string]int{} // by hash
	for i, text := range raw {
		item := i + 1
		parts := keyParts.FindStringSubmatch(text)
		if parts == nil {
			errs.addf("keys: item %d isn't NAME=GROUP:HASH; %s", item, advice)
			continue
		}
		name, hash := strings.TrimSpace(parts[1]), strings.ToLower(strings.TrimSpace(parts[3]))
		group, isGroup := groupNumber(strings.TrimSpace(parts[2]))
		switch {
		case name == "" || strings.Contains(name, ":") || isUnprintable(name):
			errs.addf("keys: item %d has no name, or one with a colon or a character that can't be printed; %s", item, advice)
		case !isGroup:
			errs.addf("keys: item %d has no group between = and the last colon; give a number from 0 to 999, or Admin, "+
				"Co-Admin, Super User, Power User, User, Logged In or Guest", item)
		case !keyHash.MatchString(hash):
			errs.addf("keys: item %d has no hash of 64 hexadecimal digits at its end: the option holds the SHA-256 of "+
				"a key, never the key; %s", item, advice)
		case items[hash] > 0:
			errs.addf("keys: items %d and %d have the same hash; make a key for each", items[hash], item)
		}
		items[hash] = item
		keys[hash] = &key{name: name, group: group}
	}
	return keys
}

// namesOfGroups returns the names of the groups that have one.
func namesOfGroups() map[string]bool {
	names := map[string]bool{}
	for _, name := range namedGroups {
		names[name] = true
	}
	return names
}

// groupNumber returns the number of a group that is given as number or name, or false if it is neither. Case, spaces,
// hyphens and underscores of a name don't matter.
func groupNumber(text string) (int, bool) {
	if number, ok := groupNumbers[text]; ok {
		return number, true
	}
	compact := strings.NewReplacer(" ", "", "-", "", "_", "")
	for number, name := range namedGroups {
		if strings.EqualFold(compact.Replace(name), compact.Replace(text)) {
			return number, true
		}
	}
	return 0, false
}

// parseHeaderPolicy returns what the options headers, keys, forwardToken, acceptBearer and rules mean for a request's
// headers.
func parseHeaderPolicy(errs *configErrors, config *Config, keys keyring) *headerPolicy {
	p := &headerPolicy{
		configured: parseHeaders(errs, config.Headers), keys: keys, cookieIndex: -1, authorizationIndex: -1,
	}
	p.addConfigured()
	p.addCredentialHeaders(config)
	p.reserve(len(config.Rules) > 0)
	p.setHarmless(config.AcceptBearer || keys != nil)
	return p
}

// parseHeaders returns the headers that the option lists, in the order of their names. One that means the same to
// services as a default one replaces it.
func parseHeaders(errs *configErrors, raw map[string]string) []*header {
	names := make([]string, 0, len(raw))
	for name := range raw {
		names = append(names, name)
	}
	sort.Strings(names)
	var headers []*header
	defaults := CreateConfig().Headers
	isDefault := func(name, text string) bool { return text != "" && defaults[name] == text }
	indexes := map[string]int{}
	for _, name := range names {
		added := parseHeader(errs, name, raw[name])
		index, isKnown := indexes[canonicalForCGI(name)]
		switch {
		case !isKnown:
			indexes[canonicalForCGI(name)] = len(headers)
			headers = append(headers, added)
		case isDefault(headers[index].name, headers[index].text):
			headers[index] = added
		case !isDefault(name, added.text): // a default one gives way
			errs.addf("headers: %q and %q are the same header to many services; give only one",
				headers[index].name, name)
		}
	}
	return headers
}

var (
	// claimPlaceholder matches those placeholders of the option headers that stand for a claim; placeholder matches all.
	claimPlaceholder = regexp.MustCompile(`\{(username|email|group|groupID|userID|image)\}`)
	placeholder      = regexp.MustCompile(claimPlaceholder.String() + `|\{token\}`)

	anyBraces = regexp.MustCompile(`\{[^{}]*\}`)

	// unsettableHeaders matches headers that belong to the connection, to the form of the request, or to the plugin.
	unsettableHeaders = regexp.MustCompile(`(?i)^(Host|Connection|Content-(Length|Type|Encoding)|Transfer-Encoding|` +
		`Trailer|Te|Upgrade|Keep-Alive|Proxy-Connection|Cookie|Expect|` + keyHeader + `)$`)
)

// parseHeader returns one header of the option.
func parseHeader(errs *configErrors, name, text string) *header {
	const advice = "there are {username}, {email}, {group}, {groupID}, {userID}, {image} and {token}"
	h := &header{name: http.CanonicalHeaderKey(name), text: text}
	h.withoutPlaceholders = placeholder.ReplaceAllString(text, "")
	for _, found := range claimPlaceholder.FindAllStringSubmatch(text, -1) {
		h.claims = append(h.claims, found[1])
		if found[0] == text {
			h.onlyClaim = found[1]
		}
	}
	switch {
	case !httpToken.MatchString(name) || len(name) > maxHeaderName:
		errs.addf("headers: %q can't be the name of a header; use letters, digits and -", name)
	case unsettableHeaders.MatchString(name):
		errs.addf("headers: %q can't be set by a middleware; use another name", name)
	case strings.IndexFunc(text, unicode.IsControl) >= 0:
		errs.addf("headers: %q has a control character in its text %q; take it out", name, text)
	case anyBraces.MatchString(h.withoutPlaceholders):
		errs.addf("headers: %q has the unknown placeholder %q; %s", name, anyBraces.FindString(h.withoutPlaceholders), advice)
	case strings.Contains(text, "${"):
		errs.addf("headers: %q has a $ before a placeholder in its text; write it without, like {username}", name)
	case strings.ContainsAny(h.withoutPlaceholders, "{}"):
		errs.addf("headers: %q has a brace without its partner in its text %q; %s", name, text, advice)
	}
	return h
}

// addConfigured adds the configured headers to those that the plugin sets.
func (p *headerPolicy) addConfigured() {
	for i, configured := range p.configured {
		p.names = append(p.names, configured.name)
		for _, claim := range configured.claims {
			if claim != "groupID" && !slices.Contains(p.checkedClaims, claim) {
				p.checkedClaims = append(p.checkedClaims, claim)
			}
		}
		if configured.name == "Authorization" {
			p.authorizationIndex = i
			p.setsAuthorization = true
		}
	}
}

// addCredentialHeaders adds the headers that may contain a session or a key to those that the plugin sets.
func (p *headerPolicy) addCredentialHeaders(config *Config) {
	if !config.ForwardToken {
		p.cookieIndex = len(p.names)
		p.names = append(p.names, "Cookie")
	}
	p.stripsSessions = config.AcceptBearer && !config.ForwardToken
	p.stripsAuthorization = p.stripsSessions || p.keys != nil
	if p.stripsAuthorization && !p.setsAuthorization {
		p.authorizationIndex = len(p.names)
		p.names = append(p.names, "Authorization")
	}
	if p.keys != nil {
		p.names = append(p.names, keyHeader) // without a value for anybody
	}
}

// pathHeaders has headers that tell some services another path or method than the request has. With them, a visitor
// could get around the rules.
var pathHeaders = strings.Fields(`
	X-Script-Name Script-Name X-Original-Uri X-Original-Url X-Rewrite-Url X-Request-Uri X-Path-Info Path-Info
	X-Forwarded-Path X-Forwarded-Uri X-Original-Path
	X-Http-Method-Override X-Http-Method X-Method-Override
`)

// reserve sets which headers only the plugin may set.
func (p *headerPolicy) reserve(hasRules bool) {
	names := []string{keyHeader} // also where there are no keys: programs send theirs everywhere
	for _, configured := range p.configured {
		names = append(names, configured.name)
	}
	if hasRules {
		names = append(names, pathHeaders...)
	}
	p.reserved = map[string]bool{}
	p.reservedLengths = map[int]bool{}
	for _, name := range names {
		p.reserved[canonicalForCGI(name)] = true
		p.reservedLengths[len(name)] = true
	}
}

// ordinaryHeaders has the headers that nearly all requests are made of, apart from Upgrade. A request with any other
// one gets a closer look.
var ordinaryHeaders = strings.Fields(`
	Accept Accept-Charset Accept-Encoding Accept-Language Authorization Cache-Control Connection Content-Length
	Content-Type Cookie Dnt If-Match If-Modified-Since If-None-Match If-Range Last-Event-Id Origin Pragma Priority
	Range Referer Sec-Ch-Ua Sec-Ch-Ua-Mobile Sec-Ch-Ua-Platform Sec-Fetch-Dest Sec-Fetch-Mode Sec-Fetch-Site
	Sec-Fetch-Storage-Access Sec-Fetch-User Sec-Gpc Sec-Websocket-Extensions Sec-Websocket-Key Sec-Websocket-Protocol
	Sec-Websocket-Version Te Upgrade-Insecure-Requests User-Agent X-Api-Key X-Csrf-Token X-Forwarded-For
	X-Forwarded-Host X-Forwarded-Port X-Forwarded-Prefix X-Forwarded-Proto X-Forwarded-Server X-Real-Ip
	X-Requested-With
`)

// setHarmless notes which headers need no closer look.
func (p *headerPolicy) setHarmless(acceptsPrograms bool) {
	p.harmless = map[string]bool{}
	p.harmlessIfIdentified = map[string]bool{keyHeader: p.keys != nil}
	for _, name := range ordinaryHeaders {
		p.harmless[name] = !p.reserved[canonicalForCGI(name)]
		p.harmlessIfIdentified[name] = p.harmless[name]
	}
	if acceptsPrograms {
		p.harmless["Authorization"] = false
	}
}

// tabText matches tab and tab=NAME.
var tabText = regexp.MustCompile(`(?is)^\s*tab\s*(=.*)?$`)

// parseTab returns the tab that the option group gives, or nil if it gives a group.
func parseTab(errs *configErrors, raw string, hasDatabase bool) *tabOption {
	parts := tabText.FindStringSubmatch(raw)
	if parts == nil {
		return nil
	}
	name := strings.TrimSpace(strings.TrimPrefix(parts[1], "="))
	if !hasDatabase {
		errs.addf("group: %q needs databaseFile, since Organizr has its tabs there; give it, or a group", raw)
	}
	if parts[1] != "" && name == "" {
		errs.addf("group: %q has no name; give one like tab=Sonarr, or tab for the tab of the request's host", raw)
	}
	return &tabOption{name: name}
}

// parseGroup returns the number of the group that an option gives as number or name. After a mistake it returns 0,
// which lets in nobody but Admin.
func parseGroup(errs *configErrors, option, raw string) int {
	raw = strings.TrimSpace(raw)
	if number, ok := groupNumber(raw); ok {
		return number
	}
	advice := "a number from 0 to 999, or Admin, Co-Admin, Super User, Power User, User, Logged In or Guest; " +
		"groups of your own go by the number that Organizr's list of groups shows"
	if option == "group" {
		advice += "; or tab or tab=NAME, for the group that Organizr's tab has"
	}
	switch {
	case raw == "":
		errs.addf("%s: missing; give the least privileged group that gets in: %s", option, advice)
	case inQuotes(raw):
		errs.addf("%s: %s has quotes around it; write the group without", option, raw)
	default:
		errs.addf("%s: %q isn't a group; give %s%s", option, raw, advice, didYouMean(raw, namesOfGroups()))
	}
	return 0
}

var (
	conditionParts = regexp.MustCompile(`(?s)^\s*(username|email|group|groupID|userID)\s*=\s*(\S|\S.*\S)\s*$`)
	nextCondition  = regexp.MustCompile(`^=|[;,|&\s]\s*(username|email|group|groupID|userID)\s*=`)
	wholeNumber    = regexp.MustCompile(`^(0|[1-9][0-9]*)$`)
)

// parseConditions returns the conditions that an option lists. Without a database it takes none on the claim group,
// since users can set that text themselves.
func parseConditions(errs *configErrors, option string, raw []string, hasDatabase bool) conditions {
	var parsed conditions
	for _, text := range raw {
		parts := conditionParts.FindStringSubmatch(text)
		switch {
		case parts == nil:
			errs.addf("%s: %q isn't claim=value; give one like username=alice, "+
				"with username, email, group, groupID or userID", option, text)
		case parts[1] == "group" && !hasDatabase:
			errs.addf("%s: %q needs databaseFile, since without it users can choose that text themselves; "+
				"give the group's number instead, like groupID=5", option, text)
		case strings.ContainsAny(parts[2][:1], "\"'`"):
			errs.addf("%s: %q has quotes around its value; give one like username=alice", option, text)
		case nextCondition.MatchString(parts[2]):
			errs.addf("%s: %q isn't one claim=value; give each in an item of its own", option, text)
		case isUnprintable(parts[2]):
			errs.addf("%s: %q has an invisible character in its value; take it out", option, text)
		case strings.Contains(parts[2], "*"):
			errs.addf("%s: %q has a * in its value, which would match that character alone; give each value in full",
				option, text)
		case strings.HasSuffix(parts[1], "ID") && !wholeNumber.MatchString(parts[2]):
			errs.addf("%s: %q isn't a whole number; give one like groupID=5", option, text)
		default:
			parsed = append(parsed, condition{claim: parts[1], value: parts[2], ignoresCase: option == "deny"})
		}
	}
	return parsed
}

// ---------------------------------------------------------------------------------------------------------------------
// A service's tab
//
// If the option group is a tab, that tab of Organizr requires what the option would. Where no tab decides, only the
// administrator gets in.

// A tabOption says which tab decides. By name, a tab counts even if it is switched off, as in Organizr's own check; by
// host only one that people see.
type tabOption struct {
	name string // empty for the tab of the request's host
}

// maxHost is how long a host's name can be, in bytes (RFC 1035, section 2.3.4).
const maxHost = 253

// requiredByTab returns what the tab requires, for the host that Traefik routed by, never for one in another header.
func requiredByTab(m *middleware, req *http.Request, sender *visitor) *rule {
	m.RLock()
	required := m.tabRules[req.Host]
	m.RUnlock()
	if required == nil {
		return findTabRule(m, req, sender)
	}
	return required
}

// findTabRule looks up what the tab requires for a host, and caches it. Hosts of somebody without a session never take
// memory.
func findTabRule(m *middleware, req *http.Request, sender *visitor) *rule {
	m.RLock()
	known := m.tabs
	m.RUnlock()
	required := m.tabOption.ruleFor(known, req.Host)
	if sender.account != nil && len(req.Host) <= maxHost {
		m.cacheTabRule(req.Host, required, known)
	}
	return required
}

// ruleFor returns what the tab requires, for requests to a host.
func (o *tabOption) ruleFor(known *tabs, requestHost string) *rule {
	if known == nil {
		return adminOnly("Organizr's tabs aren't known yet")
	}
	if o.name == "" {
		return ruleOfHost(known, requestHost)
	}
	found := known.byName[strings.ToLower(o.name)]
	if found == nil {
		return adminOnly("Organizr has no tab called " + o.name)
	}
	return ruleOfTab(found)
}

// ruleOfHost returns what the tab of a host requires.
func ruleOfHost(known *tabs, requestHost string) *rule {
	host := hostname(&url.URL{Host: requestHost})
	found := known.byHost[requestHost]
	if found == nil {
		found = known.byHost[host]
	}
	switch {
	case found == nil && len(host) > maxHost:
		return adminOnly("Organizr has no tab for such a long host")
	case found == nil:
		return adminOnly("Organizr has no tab for " + host)
	case !found.enabled:
		return adminOnly("Organizr's tab " + found.name + " is switched off")
	}
	return ruleOfTab(found)
}

// ruleOfTab returns what a tab requires.
func ruleOfTab(found *tab) *rule {
	if !found.hasGroup {
		return adminOnly("Organizr's tab " + found.name + " has no group")
	}
	required := newRule(found.group)
	required.Tab = found.name
	required.origin = " by the tab " + found.name
	return required
}

// adminOnly returns what is required where no tab decides, because of this problem.
func adminOnly(tabProblem string) *rule {
	required := newRule(0)
	required.tabProblem = tabProblem
	required.origin = ": " + tabProblem
	return required
}

// ---------------------------------------------------------------------------------------------------------------------
// Rules
//
// A rule requires another group in a part of the service than the fallback does, which is what the option group or a
// tab requires. With a less privileged group it opens that part, with a more privileged one it closes it.
//
// Services read paths leniently, each in its own way: /settings%2f, /Settings, /settings;x, /index.php/settings and
// /settings.json may all be /settings to them. What some service may take a path for are its variants; the first is the
// path as it came. All of them are looked up in two ways: exactly, where case, extension and final slash count, and
// leniently, where they don't. The strictest rule that is found holds, and the fallback where none is found. So a path
// is open only if all its variants are, in both ways, and closed if one of them is, in one way.
//
// Each step of a lookup is slower than the one before, and the last ones are seldom reached:
//
//  1. requiredByRules has the answers of the cache.
//  2. requiredByPath looks up simple paths, which can be read in one way only.
//  3. requiredByVariants looks up the path as it came, exactly. That is enough for most: no rule opens them, and they
//     don't hold a name that the pattern of a closing rule needs.
//  4. strictestOfVariants looks up the variants for which a stricter rule may hold, first exactly, then leniently.
//
// Some paths are unpredictable: nobody can foresee what services make of them. The strictest rule of all holds there.
//
// A function whose name begins with required returns the rule that holds. One whose name begins with strictest is given
// the rule that holds so far, and returns that or a stricter one.

// A rule is one of the option rules, or what the option group or a tab requires. What the page shows is exported for
// its template.
type rule struct {
	Text       string // as it was given, without spaces around it; empty unless it is one of the option rules
	Tab        string // the name of the tab that requires the group, if one does
	Label      string // the groups that get in
	origin     string // where it comes from, for the log; empty for the option group
	tabProblem string // why no tab decides, so only the administrator gets in; empty otherwise
	group      int
}

// newRule returns a rule that requires a group, from the option group unless it says otherwise.
func newRule(group int) *rule {
	label := groupLabel(groupNames[group], strconv.Itoa(group))
	if group > 0 {
		label += " or a smaller number"
	}
	return &rule{group: group, Label: label}
}

// stricter returns the one of two rules that requires the more privileged group.
func stricter(one, other *rule) *rule {
	if other.group < one.group {
		return other
	}
	return one
}

// rules are the option rules, as paths are looked up in them.
type rules struct {
	fallback  *rule
	strictest *rule // the most privileged of all, the fallback among them
	patterns  []*rulePattern

	// Each set has the patterns that can match the paths it is for, in the form in which those match. The first two are
	// for exact lookups, the others for lenient ones.
	exactFolders patternSet // for paths that end in a slash
	exactFiles   patternSet // for all others
	unslashed    patternSet // for paths without their final slash
	folded       patternSet // for those that are folded, too
	allFolded    bool       // folding changes no pattern, so the last two sets have the same ones

	simple     *http.ServeMux // all of folded, unless patterns overlap
	simplePath *regexp.Regexp // matches the simple paths; none if simple is nil

	// closingNames has one literal name of each closing pattern, and takes these names out of a folded path. It is nil if
	// a closing pattern has none. Where a tab decides, any pattern could be a closing one, so it has names of all.
	closingNames *strings.Replacer

	prefilters     []prefilter // one for each group that rules require
	prefilterLimit int         // bytes; paths that are longer, taken together, aren't filtered

	maxDepth int // slashes in the deepest pattern, as measure counts them
	maxName  int // bytes; a name that is longer is no literal one of a pattern, whatever its case
}

// requiredByRules returns the rule that holds for a request.
func requiredByRules(m *middleware, req *http.Request, sender *visitor, fallback *rule) *rule {
	target := req.URL
	m.RLock()
	cached := m.pathRules[target.Path]
	m.RUnlock()
	if cached != nil && target.RawPath == "" && req.Method == "GET" && req.Header["Destination"] == nil {
		return cached
	}
	return findPathRule(m, req, sender, fallback)
}

// findPathRule looks up the rule that holds for a request, and caches it. Only rules for GET are cached, since nearly
// all requests are GET, and none beside a tab, since it can require another group a second later. Paths of somebody
// without a session never take memory.
func findPathRule(m *middleware, req *http.Request, sender *visitor, fallback *rule) *rule {
	r := m.rules
	if r.fallback != fallback {
		r = r.withFallback(fallback)
	}
	required := requiredByPath(r, req)
	if len(req.Header["Destination"]) > 0 {
		return stricter(required, r.requiredByDestination(req))
	}
	requested := req.URL.Path
	isPlain := req.Method == "GET" && req.URL.RawPath == "" && len(requested) <= maxCachedPath
	if isPlain && sender.account != nil && !m.hasTab {
		m.cachePathRule(requested, required)
	}
	return required
}

// withFallback returns the same rules with another fallback.
func (r *rules) withFallback(fallback *rule) *rules {
	all := *r
	all.fallback = fallback
	all.strictest = stricter(r.strictest, fallback)
	return &all
}

// requiredByDestination returns the rule that holds for the address to which WebDAV's COPY and MOVE write (RFC 4918,
// section 10.3): it is the request's second path. The strictest rule of all holds if the header isn't a single address
// or path.
func (r *rules) requiredByDestination(req *http.Request) *rule {
	destinations, prefixes := req.Header["Destination"], req.Header["X-Forwarded-Prefix"]
	if len(destinations) > 1 || len(prefixes) > 1 || len(destinations[0]) > maxEscaped {
		return ruleOfUnpredictable(r.strictest)
	}
	parts := destinationParts.FindStringSubmatch(destinations[0])
	if parts == nil {
		return ruleOfUnpredictable(r.strictest)
	}
	required := r.requiredToWrite(req.Method, parts[1])
	if len(prefixes) > 0 {
		required = stricter(required, r.requiredToWrite(req.Method, "/"+strings.TrimPrefix(parts[1], prefixes[0])))
	}
	return required
}

// requiredToWrite returns the rule that holds for writing to an escaped path by COPY or MOVE. A rule for PUT holds too.
func (r *rules) requiredToWrite(method, escaped string) *rule {
	return stricter(requiredByVariants(r, method, escaped), requiredByVariants(r, http.MethodPut, escaped))
}

// destinationParts matches an address or a path, and has the path.
var destinationParts = regexp.MustCompile(`^(?:(?i:https?)://[0-9A-Za-z.:\[\]_-]+)?(/(?:[^/].*)?)$`)

// requiredByPath returns the rule that holds for a request's path. Nearly all paths are simple. One lookup is enough
// for them, among the folded patterns, unless it finds one that differs from what the rule says.
func requiredByPath(r *rules, req *http.Request) *rule {
	target := req.URL
	isSimple := target.RawPath == "" && len(target.Path) <= maxSimple && r.simplePath.MatchString(target.Path)
	if isSimple && knownMethods[req.Method] {
		handler, _ := r.simple.Handler(req)
		found, ok := handler.(*rulePattern)
		switch {
		case ok && found.rule == nil:
			return r.fallback
		case ok && found.isVerbatim:
			return found.rule
		}
	}
	return requiredByVariants(r, req.Method, target.EscapedPath())
}

// knownMethods has the methods that a rule can have: those of HTTP and of WebDAV.
var knownMethods = nameSet(`
	GET HEAD POST PUT PATCH DELETE OPTIONS CONNECT TRACE
	ACL BASELINE-CONTROL BIND CHECKIN CHECKOUT COPY LABEL LINK LOCK MERGE MKACTIVITY MKCALENDAR MKCOL MKREDIRECTREF
	MKWORKSPACE MOVE ORDERPATCH PRI PROPFIND PROPPATCH QUERY REBIND REPORT SEARCH UNBIND UNCHECKOUT UNLINK UNLOCK
	UPDATE UPDATEREDIRECTREF VERSION-CONTROL
`)

// A simple path has no upper case, and nothing to decode, to clean or to cut off. Where the pattern of a rule is a
// file, a path with a final slash isn't simple, since some service may take it for that file. Nor is a long one: to
// look at all of it would take as long as the other lookups.
var (
	simpleFolder = regexp.MustCompile(`^(?:/[a-z0-9_~-]+)+/?$|^/$`)
	simpleFile   = regexp.MustCompile(`^(?:/[a-z0-9_~-]+)+$|^/$`)
	noPath       = regexp.MustCompile(`$.`)
)

const maxSimple = 512 // bytes

// requiredByVariants returns the rule that holds for an escaped path, in whatever way a service reads it.
func requiredByVariants(r *rules, method, escaped string) *rule {
	if len(escaped) > maxEscaped {
		return ruleOfUnpredictable(r.strictest)
	}
	once := decode(escaped)
	twice := decode(once)
	if isUnpredictable(twice) {
		return ruleOfUnpredictable(r.strictest)
	}
	required, isNamed := requiredExactly(r, method, normalize(r, escaped))
	isOpened := required.group > r.fallback.group
	if required.group == r.strictest.group || !isOpened && !holdsClosingName(r, once, twice) {
		return required
	}
	all := newVariants(r, method, escaped)
	if all == nil {
		return ruleOfUnpredictable(r.strictest)
	}
	all.isNamed = isNamed
	return strictestOfVariants(r, all, required)
}

// ruleOfUnpredictable returns the rule that holds for unpredictable paths. It requires what the strictest one does, and
// says that the path is why.
func ruleOfUnpredictable(strictest *rule) *rule {
	unpredictable := newRule(strictest.group)
	unpredictable.origin = ", since nobody can foresee how a service reads this path"
	return unpredictable
}

// requiredExactly returns the rule that holds for a path that is read exactly. It also reports whether the pattern
// names the path: it ends in a literal name, not in a slash or a wildcard.
func requiredExactly(r *rules, method, clean string) (required *rule, isNamed bool) {
	patterns := &r.exactFiles
	if strings.HasSuffix(clean, "/") {
		patterns = &r.exactFolders
	}
	found := findPattern(patterns, &http.Request{Method: method, URL: &url.URL{Path: clean}})
	if found == nil {
		return r.fallback, false
	}
	return found.rule, !strings.HasSuffix(found.pattern, "/") && !strings.HasSuffix(found.pattern, "}")
}

// holdsClosingName reports whether a path, decoded once or twice, holds a name of a closing pattern. Without one no
// closing pattern can match the path or any variant: services drop names, or the end of a name, but never join or
// change what is left.
func holdsClosingName(r *rules, once, twice string) bool {
	if r.closingNames == nil {
		return true
	}
	text := once
	if once != twice {
		text += "\n" + twice
	}
	folded := foldCase(text)
	return r.closingNames.Replace(folded) != folded
}

// variants are the variants of a request's path, or those of them that are still to be looked up.
type variants struct {
	method  string
	paths   []string
	folded  []string // the same, folded
	isNamed bool     // the pattern of a rule names the first of them
	effort  int      // that they have taken so far; see maxEffort
}

// strictestOfVariants returns the strictest rule that holds for any of the paths, or what is required already if that
// is stricter.
func strictestOfVariants(r *rules, all *variants, required *rule) *rule {
	closable := closableVariants(r, all, required)
	if closable == nil {
		return required
	}
	required = strictestExactly(r, closable, required)
	closable = closableVariants(r, closable, required)
	if closable == nil {
		return required
	}
	return strictestLeniently(r, closable, required)
}

// closableVariants returns those of the paths for which something stricter may hold than what is required already, or
// nil if there are none. Where finding that out takes longer than it saves, it returns all.
func closableVariants(r *rules, all *variants, required *rule) *variants {
	switch {
	case required.group == r.strictest.group:
		return nil
	case required.group > r.fallback.group: // even the fallback is stricter
		return all
	case len(strings.Join(all.folded, "")) > r.prefilterLimit:
		return all
	}
	return prefiltered(r, all, required)
}

// A prefilter tells for all rules that require a group whether one of their patterns may match a path. It takes a tenth
// of the time of looking the path up in all sets.
type prefilter struct {
	group    int
	mayMatch func(folded string) bool // also true of some paths that none matches, but never false of one that does
}

// prefiltered returns those of the paths that the pattern of a stricter rule may match, or nil if there are none.
func prefiltered(r *rules, all *variants, required *rule) *variants {
	closable := &variants{method: all.method, effort: all.effort}
	for i, folded := range all.folded {
		for _, filter := range r.prefilters {
			if filter.group < required.group && filter.mayMatch(folded) {
				closable.paths = append(closable.paths, all.paths[i])
				closable.folded = append(closable.folded, folded)
				closable.isNamed = closable.isNamed || all.isNamed && i == 0
				break
			}
		}
	}
	if closable.paths == nil {
		return nil
	}
	return closable
}

// strictestExactly returns the strictest rule that holds for any of the paths if they are read exactly, or what is
// required already if that is stricter.
func strictestExactly(r *rules, closable *variants, required *rule) *rule {
	var files, folders []string
	for _, clean := range closable.paths {
		if strings.HasSuffix(clean, "/") {
			folders = append(folders, clean)
		} else {
			files = append(files, clean)
		}
	}
	required = strictestInSet(r, &r.exactFiles, closable, files, required)
	return strictestInSet(r, &r.exactFolders, closable, folders, required)
}

// strictestLeniently returns the strictest rule that holds for any of the paths in services that ignore final slashes
// and extensions, and perhaps case, or what is required already if that is stricter.
func strictestLeniently(r *rules, closable *variants, required *rule) *rule {
	closable.method = strings.ToUpper(closable.method) // some of them take get for GET
	paths, isNamed := closable.paths, closable.isNamed
	required = strictestInSet(r, &r.folded, closable, withoutEndings(closable.folded, isNamed), required)
	if r.allFolded { // then both sets have the same patterns, and paths that folding doesn't change have been looked up
		isNamed = isNamed && closable.folded[0] != paths[0]
		paths = changedPaths(paths, closable.folded)
	}
	return strictestInSet(r, &r.unslashed, closable, withoutEndings(paths, isNamed), required)
}

// changedPaths returns those of the paths that folding has changed.
func changedPaths(paths, folded []string) []string {
	var changed []string
	for i, clean := range paths {
		if clean != folded[i] {
			changed = append(changed, clean)
		}
	}
	return changed
}

// withoutEndings returns each path without its final slash, and again without its extensions: Rails, Django and others
// find /settings for /settings.json. If a pattern names the first path, that keeps its extensions.
func withoutEndings(paths []string, isNamed bool) []string {
	var shortened []string
	seen := map[string]bool{}
	for i, clean := range paths {
		if clean != "/" {
			clean = strings.TrimSuffix(clean, "/")
		}
		if seen[clean] {
			continue
		}
		seen[clean] = true
		shortened = append(shortened, clean)
		keepsExtensions := isNamed && i == 0
		if strings.Contains(clean, ".") && !keepsExtensions {
			shortened = append(shortened, withoutExtensions(clean)...)
		}
	}
	return shortened
}

// withoutExtensions returns a path without its last extension, and without all of them. The name of a file has no
// extension if there is nothing, or nothing but dots, before its last dot.
func withoutExtensions(clean string) []string {
	nameStart := strings.LastIndexByte(clean, '/') + 1
	lastDot := strings.LastIndexByte(clean, '.')
	if lastDot <= nameStart || strings.Trim(clean[nameStart:lastDot], ".") == "" {
		return nil
	}
	firstDot := nameStart + strings.IndexByte(clean[nameStart:], '.')
	if firstDot == nameStart || firstDot == lastDot {
		return []string{clean[:lastDot]}
	}
	return []string{clean[:lastDot], clean[:firstDot]}
}

// strictestInSet returns the strictest rule that a set has for any of the paths, with the fallback for those without a
// match, or what is required already if that is stricter. If the lookups would take too much effort, it returns the
// strictest rule of all. It looks up all paths in each ServeMux, and asks findPattern only where it found a stricter
// rule: another ServeMux may have a more specific one. Asking findPattern about every path would take three times as
// long.
func strictestInSet(r *rules, patterns *patternSet, of *variants, paths []string, required *rule) *rule {
	of.effort += (lookupEffort*len(paths) + matchEffort*len(strings.Join(paths, ""))) * len(patterns.muxes)
	if of.effort > maxEffort {
		return ruleOfUnpredictable(r.strictest)
	}
	target := &url.URL{}
	req := &http.Request{Method: of.method, URL: target}
	matched := map[string]bool{}
	for _, mux := range patterns.muxes {
		for _, decoded := range paths {
			target.Path = decoded
			handler, _ := mux.Handler(req)
			found, ok := handler.(*rulePattern)
			if !ok || found.rule == nil {
				continue
			}
			matched[decoded] = true
			if found.rule.group < required.group {
				of.effort += findEffort * len(patterns.muxes) // or else many patterns of other rules could take long
				if of.effort > maxEffort {
					return ruleOfUnpredictable(r.strictest)
				}
				required = stricter(required, findPattern(patterns, req).rule)
				if required.group == r.strictest.group {
					return required
				}
			}
		}
	}
	for _, decoded := range paths {
		if !matched[decoded] {
			return stricter(required, r.fallback)
		}
	}
	return required
}

// ---------------------------------------------------------------------------------------------------------------------
// Paths
//
// Services decode paths up to twice, clean them before or after that, and read some characters as more than a part of a
// name. Those are the marks:
//
//	\     is a slash on Windows
//	.     begins an extension; with another it is the way up; /index.php/ is a script
//	;     ends a name for Java services: parameters follow
//	: $   end a name on NTFS: a stream follows
//	? #   end a path for services that decode too early: a query or a fragment follows
//
// derivedPaths, withoutEndings (for extensions) and fold (for final dots) say what becomes of a path at each mark.
// withoutMarks counts them, and emptyName knows those at which a name ends.
//
// Attackers can write paths that have many long variants, and interpreted steps are slow. So variants have limits, and
// most functions take several paths at once, as lines of one text, so that each step is one compiled call for all.
//
// A path that holds a control character is unpredictable, so beside the line feed four others are free to stand for
// something: \x01 for a slash within a name, \x02 for a name of nothing but dots, and \x03 and \x04 for a colon and a
// dollar that a name begins with.

// decode undoes one percent-encoding. What isn't an encoding stays as it is.
func decode(escaped string) string {
	if decoded, err := url.PathUnescape(escaped); err == nil {
		return decoded
	}
	return lenientDecoder.Replace(escaped)
}

var lenientDecoder = func() *strings.Replacer {
	const digits = "0123456789abcdefABCDEF"
	var pairs []string
	for _, first := range digits {
		for _, second := range digits {
			code := "%" + string(first) + string(second)
			octet, _ := url.PathUnescape(code)
			pairs = append(pairs, code, octet)
		}
	}
	return strings.NewReplacer(pairs...)
}()

const (
	maxPath    = 4 << 10     // bytes, decoded twice
	maxEscaped = 9 * maxPath // bytes; an octet that is encoded twice has nine
	maxSlashes = 1 << 10     // decoded twice
	maxMarks   = 128         // addresses that anybody uses have a few dozen
)

// isUnpredictable reports whether nobody can foresee what services make of a path, given decoded twice, or whether its
// variants would take too long.
func isUnpredictable(decoded string) bool {
	slashed := strings.ReplaceAll(decoded, `\`, "/")
	return len(decoded) > maxPath ||
		strings.Count(decoded, "/") > maxSlashes ||
		len(decoded)-len(withoutMarks.Replace(decoded)) > maxMarks ||
		!utf8.ValidString(decoded) ||
		strings.IndexFunc(decoded, unicode.IsControl) >= 0 || // PHP's ~^/x$~ matches "/x\n"
		strings.Contains(decoded, "%") && decode(decoded) != decoded || // somebody may decode it a third time
		strings.Contains(decoded, ".") && emptyName.MatchString(slashed) ||
		strings.ContainsAny(decoded, ":$") && manyFirstMarks.MatchString(slashed)
}

// withoutMarks removes all marks.
var withoutMarks = strings.NewReplacer(`\`, "", ".", "", ";", "", ":", "", "$", "", "?", "", "#", "")

// emptyName matches a name that is nothing on Windows, perhaps once a service has cut it off at one of ;:$?#. It has
// nothing but dots and spaces, a dot among them, and isn't . or .. .
var emptyName = regexp.MustCompile(`/(?:\.{3,}|[. ]*(?:\. | \.)[. ]*)(?:[/;:$?#]|$)`)

// manyFirstMarks matches a name that begins with more of : and $ than hideFirstMarks hides.
var manyFirstMarks = regexp.MustCompile(`/[:$]{3}`)

// normalize returns escaped paths as they are looked up: clean, then decoded once, and without what makes no difference
// to any pattern.
func normalize(r *rules, paths string) string {
	return shortenPaths(r, decode(protectNames(cleanPaths(paths))))
}

// cleanPaths returns paths without names that are . or .., and with one slash for many. They keep their final slash.
func cleanPaths(paths string) string {
	allSlashed := strings.HasPrefix(paths, "/") && strings.Count(paths, "\n") == strings.Count(paths, "\n/")
	if allSlashed && !strings.Contains(paths, "//") && !strings.Contains(paths, "/.") {
		return paths // they are clean
	}
	lines := strings.Split(paths, "\n")
	for i, dirty := range lines {
		lines[i] = path.Clean("/" + dirty)
		if strings.HasSuffix(dirty, "/") && lines[i] != "/" {
			lines[i] += "/"
		}
	}
	return strings.Join(lines, "\n")
}

// protectNames returns escaped paths in which no name decodes to something that ServeMux gives a meaning to: a slash,
// which stands for the end of a path there, and dots, which it cleans away. Wildcards match those names like any other.
func protectNames(escaped string) string {
	if !strings.Contains(escaped, "%2") {
		return escaped
	}
	protected := strings.ReplaceAll(strings.ReplaceAll(escaped, "%2f", "%01"), "%2F", "%01")
	if !strings.Contains(protected, "/%2") && !strings.Contains(protected, "/.%2") { // the expression takes long
		return protected
	}
	return protectDots(encodedDots, protected)
}

// encodedDots matches a name that decodes to "." or ".." and isn't that yet.
var encodedDots = regexp.MustCompile(`(?m)/(?:(?i:%2e)\.?|\.(?i:%2e)|(?i:%2e){2})(/|$)`)

// protectDots returns escaped paths in which the names that an expression matches aren't cleaned away.
func protectDots(expression *regexp.Regexp, escaped string) string {
	for expression.MatchString(escaped) { // a slash that ends one name begins the next
		escaped = expression.ReplaceAllString(escaped, "/\x02$1")
	}
	return escaped
}

const (
	maxUnshortened = 256 // bytes of paths that aren't shortened, since that would take longer than it saves
	minShortened   = 16  // bytes of a shortened name, so that it is still a name, and neither . nor ..
)

// shortenPaths returns paths without what makes no difference to any pattern: the names that are deeper than a pattern
// goes, and the rest of long names.
func shortenPaths(r *rules, paths string) string {
	if len(paths) < maxUnshortened {
		return paths
	}
	lines := strings.Split(paths, "\n")
	shortened := map[string]string{} // the variants of a path share most names
	for i, clean := range lines {
		names := strings.SplitN(clean, "/", r.maxDepth+2) // the first is empty, the last is all the rest
		if len(names) == r.maxDepth+2 {
			names[r.maxDepth+1] = "_"
		}
		for j, name := range names {
			if len(name) > r.maxName {
				if shortened[name] == "" {
					shortened[name] = shortenName(name, r.maxName)
				}
				names[j] = shortened[name]
			}
		}
		lines[i] = strings.Join(names, "/")
	}
	return strings.Join(lines, "\n")
}

// shortenName cuts a name that is longer than any of a pattern. What is left is longer too, unless only dots and spaces
// were cut, which don't count on Windows. It has an extension if the name has one.
func shortenName(name string, longest int) string {
	short, trimmed := name[:longest], strings.TrimRight(name, ". ")
	switch {
	case len(trimmed) <= longest:
		return short
	case strings.Contains(trimmed[longest:], "."):
		return short + "_._"
	}
	return short + "_"
}

// A path may take half a millisecond at most, and many variants, or long ones, take longer. So the effort that a path
// takes is counted, and a path that takes too much is unpredictable. A unit is about 10 ns under Yaegi. A song with a
// long Japanese name and several marks takes two thirds of maxEffort.
const (
	maxEffort     = 29_000
	variantEffort = 440 // of each variant, beside one for each of its bytes
	readingEffort = 375 // of each way of reading that is tried, on however many variants
	foldEffort    = 3   // of each byte that is folded
	dotEffort     = 30  // of each dot in a variant, where a script's name may end
	slashEffort   = 12  // of each slash
	percentEffort = 10  // of each percent sign that is encoded
	lookupEffort  = 80  // of each lookup in a ServeMux
	matchEffort   = 2   // of each byte of a path that is looked up
	findEffort    = 400 // of findPattern, for each ServeMux
)

// newVariants returns the variants of a path that is to be looked up, or nil if they take too much effort.
func newVariants(r *rules, method, escaped string) *variants {
	clean, effort := cleanVariants(escaped)
	if clean == nil {
		return nil
	}
	decoded := withoutDuplicates(strings.Split(decode(protectNames(strings.Join(clean, "\n"))), "\n"))
	lines := strings.Join(decoded, "\n")
	short := shortenPaths(r, lines)
	effort += len(lines) + foldEffort*len(short)
	if effort > maxEffort {
		return nil
	}
	paths := withoutDuplicates(strings.Split(short, "\n"))
	return &variants{method: method, paths: paths, folded: foldPaths(paths), effort: effort}
}

// cleanVariants returns what services may take an escaped path for, and the effort that it took to find out, or nil if
// that would be too much. All are clean, first the path itself: where a reading makes one that isn't, what that is once
// it is clean is among them.
func cleanVariants(escaped string) ([]string, int) {
	effort := slashEffort*strings.Count(escaped, "/") + percentEffort*strings.Count(escaped, "%25")
	var clean []string
	seen := map[string]bool{escaped: true}
	latest := []string{escaped}
	for len(latest) > 0 {
		lines := strings.Join(latest, "\n")
		effortOfThese := variantEffort*len(latest) + len(lines)
		effort += effortOfThese
		if effort+effortOfThese > maxEffort { // what is derived from them takes as much
			return nil, effort
		}
		derived := derivedPaths(lines)
		effort += readingEffort*len(derived) + dotEffort*strings.Count(lines, ".")
		for i, cleaned := range strings.Split(derived[0], "\n") {
			if cleaned == latest[i] {
				clean = append(clean, cleaned)
			}
		}
		latest = unseenPaths(derived, lines, seen)
	}
	return clean, effort
}

// unseenPaths returns those of the derived paths that haven't been seen before, and notes that they have been. Where a
// reading changed no line, all have been.
func unseenPaths(derived []string, lines string, seen map[string]bool) []string {
	var unseen []string
	for _, changed := range derived {
		if changed == lines {
			continue
		}
		for _, variant := range strings.Split(changed, "\n") {
			if !seen[variant] {
				seen[variant] = true
				unseen = append(unseen, variant)
			}
		}
	}
	return unseen
}

// withoutDuplicates returns each of the paths once.
func withoutDuplicates(paths []string) []string {
	var distinct []string
	seen := map[string]bool{}
	for _, clean := range paths {
		if !seen[clean] {
			seen[clean] = true
			distinct = append(distinct, clean)
		}
	}
	return distinct
}

// derivedPaths returns what escaped paths, each a line, are to services that do one thing to them: first what they are
// once they are clean.
func derivedPaths(paths string) []string {
	derived := []string{cleanPaths(paths)}
	if strings.Contains(paths, "%") {
		derived = append(derived, decode(paths))
		if strings.Contains(paths, "%2F") || strings.Contains(paths, "%2f") { // some decode all but slashes
			encodedTwice := strings.ReplaceAll(strings.ReplaceAll(paths, "%2f", "%252f"), "%2F", "%252F")
			derived = append(derived, decode(encodedTwice))
		}
	}
	if strings.Contains(paths, `\`) {
		derived = append(derived, strings.ReplaceAll(paths, `\`, "/"))
	}
	if strings.ContainsAny(paths, "?#") {
		derived = append(derived, withoutQueries(paths))
	}
	if strings.Contains(paths, ";") {
		derived = append(derived, afterSemicolon.ReplaceAllString(paths, ""))
	}
	if strings.ContainsAny(paths, ":$") {
		derived = append(derived, withoutStreams(paths))
	}
	if strings.Contains(paths, "/.") {
		// Some don't clean: to them /u/../secret is the secret of somebody called "..". To others /u/../x is below /u,
		// since it begins so.
		derived = append(derived, protectDots(dots, paths), upToWayUp(paths))
	}
	if strings.Contains(paths, ".") {
		derived = append(derived, withoutScripts(paths))
	}
	return derived
}

// withoutQueries returns paths up to their first ? or #. An expression would take ten times as long for a long query.
func withoutQueries(paths string) string {
	lines := strings.Split(paths, "\n")
	for i, line := range lines {
		if end := strings.IndexAny(line, "?#"); end >= 0 {
			lines[i] = line[:end]
		}
	}
	return strings.Join(lines, "\n")
}

// What is cut off at a mark, up to the end of the name. Each expression begins with a literal, as one for two marks
// couldn't: that would take ten times as long.
var (
	afterSemicolon = regexp.MustCompile(`;[^/\n]*`)
	afterColon     = regexp.MustCompile(`:[^/\n]*`)
	afterDollar    = regexp.MustCompile(`\$[^/\n]*`)
)

// dots matches a name that is "." or "..".
var dots = regexp.MustCompile(`(?m)/\.\.?(/|$)`)

// upToWayUp returns paths up to their first name that is "..".
func upToWayUp(paths string) string {
	lines := strings.Split(paths, "\n")
	for i, line := range lines {
		before, _, hasWayUp := strings.Cut(line+"/", "/../")
		if hasWayUp {
			lines[i] = firstNonEmpty(before, "/")
		}
	}
	return strings.Join(lines, "\n")
}

// withoutStreams returns paths without the streams that their names end in on NTFS: /settings::$DATA is /settings. A
// mark that a name begins with doesn't end it.
func withoutStreams(paths string) string {
	hidden := paths
	if strings.Contains(paths, "/:") || strings.Contains(paths, "/$") {
		hidden = hideFirstMarks.Replace(paths)
	}
	return showFirstMarks.Replace(afterDollar.ReplaceAllString(afterColon.ReplaceAllString(hidden, ""), ""))
}

// hideFirstMarks hides up to two : and $ that a name begins with, and showFirstMarks undoes that.
var (
	hideFirstMarks = strings.NewReplacer(
		"/::", "/\x03\x03", "/:$", "/\x03\x04", "/$:", "/\x04\x03", "/$$", "/\x04\x04", "/:", "/\x03", "/$", "/\x04",
	)
	showFirstMarks = strings.NewReplacer("\x03", ":", "\x04", "$")
)

// withoutScripts returns paths without the first name that is a script's, and all before it: CGI and PHP have the path
// that counts after one, as in /index.php/settings.
func withoutScripts(paths string) string {
	// A file called .php is no script, and neither is x.aſp, although expressions take ſ for s.
	// Both replacements keep all offsets.
	searched := strings.ReplaceAll(strings.ReplaceAll(paths, "/.", "//"), "ſ", "__")
	if !scriptEnd.MatchString(searched) {
		return paths
	}
	lines := strings.Split(paths, "\n")
	for i, line := range strings.Split(searched, "\n") {
		if end := scriptEnd.FindStringIndex(line); end != nil {
			lines[i] = lines[i][end[1]-1:]
		}
	}
	return strings.Join(lines, "\n")
}

// scriptEnd matches how the name of a script ends, and the slash after it.
var scriptEnd = regexp.MustCompile(
	`\.(?i:php[0-9]?|phtml|phar|f?cgi|pl|py|wsgi|rb|aspx?|ashx|cfm|jspx?|do|dll|exe|lua|sh)/`)

// foldPaths returns each of the paths as fold does.
func foldPaths(paths []string) []string {
	return strings.Split(fold(strings.Join(paths, "\n")), "\n")
}

// fold returns what paths are to a service that ignores case and runs on Windows, where dots and spaces at the end of a
// name don't count.
func fold(paths string) string {
	folded := foldCase(paths)
	if !strings.ContainsAny(folded, ". ") { // the expression takes long
		return folded
	}
	return looseEnds.ReplaceAllString(folded, "$1$2")
}

// looseEnds matches the dots and spaces that a name ends in, with what is around them, unless the name is nothing else.
var looseEnds = regexp.MustCompile(`(?m)([^/\n. ])[. ]+(/|$)`)

// foldCase returns a text in which letters that differ in nothing but their case are the same.
func foldCase(text string) string { return strings.ToLower(strings.ToUpper(text)) }

// ---------------------------------------------------------------------------------------------------------------------
// Patterns
//
// Go's ServeMux finds the most specific of the patterns that match a request. It refuses two patterns that can match
// the same request if neither is more specific, like OPTIONS / and /settings/. A patternSet takes those, too.

// A rulePattern is a pattern that belongs to a rule, as a handler, since that is what ServeMux finds.
type rulePattern struct {
	rule       *rule // nil for what addCatchAll adds
	pattern    string
	isVerbatim bool // the pattern is just what the rule says, so no lookup of a simple path finds anything else
}

// ServeHTTP makes a rulePattern a handler. It is never called.
func (p *rulePattern) ServeHTTP(http.ResponseWriter, *http.Request) {}

// A patternSet has its patterns in several ServeMuxes, each pattern in the first that takes it.
type patternSet struct {
	muxes  []*http.ServeMux
	chosen *sync.Map // what findOverlapping chose, by all patterns that matched
}

// findPattern returns the most specific pattern that matches a request, or nil. If several match and none is more
// specific than the others, it returns the one whose rule requires the most privileged group.
func findPattern(patterns *patternSet, req *http.Request) *rulePattern {
	var only *rulePattern
	for _, mux := range patterns.muxes {
		handler, _ := mux.Handler(req)
		found, ok := handler.(*rulePattern)
		if !ok || found.rule == nil {
			continue
		}
		if only != nil {
			return findOverlapping(patterns, req)
		}
		only = found
	}
	return only
}

// findOverlapping is findPattern where several patterns match. Comparing them takes long, so it remembers the result.
func findOverlapping(patterns *patternSet, req *http.Request) *rulePattern {
	var found []*rulePattern
	matches := ""
	for _, mux := range patterns.muxes {
		handler, _ := mux.Handler(req)
		if matched, ok := handler.(*rulePattern); ok && matched.rule != nil {
			found = append(found, matched)
			matches += matched.pattern + "\n"
		}
	}
	remembered, _ := patterns.chosen.Load(matches)
	best, ok := remembered.(*rulePattern)
	if !ok {
		best = mostSpecific(found)
		patterns.chosen.Store(matches, best)
	}
	return best
}

// mostSpecific returns the match that counts among several.
func mostSpecific(found []*rulePattern) *rulePattern {
	var best *rulePattern
	for _, matched := range found {
		if !matched.hasMoreSpecific(found) && (best == nil || matched.rule.group < best.rule.group) {
			best = matched
		}
	}
	return best
}

// hasMoreSpecific reports whether one of the other patterns is more specific.
func (p *rulePattern) hasMoreSpecific(others []*rulePattern) bool {
	for _, other := range others {
		if other != p && p.includes(other) && !other.includes(p) {
			return true
		}
	}
	return false
}

// includes reports whether every request that the other pattern matches is one of this pattern's. It tries examples of
// the other pattern: each wildcard as a name that no pattern has, and for a folder also a path deeper than this
// pattern.
func (p *rulePattern) includes(other *rulePattern) bool {
	method, example, hasMethod := strings.Cut(other.pattern, " ")
	if !hasMethod {
		method, example = "\x03", other.pattern
	}
	example = endOfPattern.ReplaceAllString(wildcard.ReplaceAllString(example, "%03"), "")
	examples := []string{example}
	if strings.HasSuffix(other.pattern, "/") {
		examples = append(examples, example+strings.Repeat("%03/", strings.Count(p.pattern, "/")))
	}
	mux := http.NewServeMux()
	if handle(mux, p) != nil {
		return false
	}
	for _, escaped := range examples {
		target := &url.URL{Path: decode(escaped), RawPath: escaped}
		handler, _ := mux.Handler(&http.Request{Method: method, URL: target})
		if _, ok := handler.(*rulePattern); !ok {
			return false
		}
	}
	return true
}

var (
	wildcard     = regexp.MustCompile(`\{[^{}/$]*\}`)
	endOfPattern = regexp.MustCompile(`\{\$\}$`)
)

// add registers a pattern, or returns what is wrong with it. If another one matches the same requests, that one stays.
// ServeMux says only in words which of these it is.
func (s *patternSet) add(added *rulePattern) error {
	for _, mux := range s.muxes {
		err := handle(mux, added)
		if err == nil || strings.Contains(err.Error(), "matches the same requests as") {
			return nil
		}
		if !strings.Contains(err.Error(), "conflicts with") {
			return err
		}
	}
	mux := http.NewServeMux()
	s.muxes = append(s.muxes, mux)
	s.chosen = &sync.Map{}
	return handle(mux, added)
}

// addCatchAll adds a pattern of no rule for the requests that no other pattern matches. For them ServeMux would look
// for methods that the path has a pattern for, which takes three times as long as the rest of the lookup.
func (s *patternSet) addCatchAll() {
	for _, mux := range s.muxes {
		_ = handle(mux, &rulePattern{pattern: "/"}) // fails if a rule has that pattern
	}
}

// handle registers a pattern, or returns as an error what ServeMux panics with.
func handle(mux *http.ServeMux, added *rulePattern) (err error) {
	defer func() {
		if problem := recover(); problem != nil {
			text := registeredAt.ReplaceAllString(fmt.Sprint(problem), "")
			err = errors.New(strings.Join(strings.Fields(text), " "))
		}
	}()
	mux.Handle(added.pattern, added)
	return nil
}

// registeredAt matches what ServeMux says about lines of this file.
var registeredAt = regexp.MustCompile(` \(registered at [^)]*\)`)

// ---------------------------------------------------------------------------------------------------------------------
// The option rules
//
// Each rule's pattern is registered in every set whose paths it can match, in each as it matches them: /x/{$}, which
// matches no file, isn't in exactFiles. What saves lookups is made of all patterns together.

// parseRules returns the rules that the option lists, or nil for none.
func parseRules(errs *configErrors, raw []string, fallback *rule) *rules {
	if len(raw) == 0 {
		return nil
	}
	before := len(errs.texts)
	r := &rules{
		fallback: fallback, strictest: fallback, simplePath: simpleFolder, allFolded: true,
		maxName: minShortened,
	}
	for _, text := range raw {
		if given := parseRule(errs, text); given != nil {
			r.patterns = append(r.patterns, given)
		}
	}
	patterns := r.patterns
	// Of two that match the same requests, the more privileged one is registered.
	sort.SliceStable(patterns, func(i, j int) bool { return patterns[i].rule.group < patterns[j].rule.group })
	for _, given := range patterns {
		r.strictest = stricter(r.strictest, given.rule)
		if err := r.addPattern(given); err != nil {
			errs.addf("rules: %q: %v", given.rule.Text, err)
		}
	}
	if len(errs.texts) > before { // what follows takes the patterns for good ones
		return nil
	}
	for _, given := range patterns { // after the patterns of files: /api/{name} is more specific than /api/
		if err := r.addFilesOfFolder(given); err != nil {
			errs.addf("rules: %q: %v", given.rule.Text, err)
		}
	}
	for _, set := range []*patternSet{&r.exactFolders, &r.exactFiles, &r.unslashed, &r.folded} {
		set.addCatchAll()
	}
	r.closingNames = newClosingNames(patterns, fallback)
	r.prefilterLimit = newPrefilterLimit(patterns)
	if r.prefilterLimit > 0 {
		r.prefilters = newPrefilters(patterns)
	}
	if len(r.folded.muxes) == 1 {
		r.simple = r.folded.muxes[0]
	} else {
		r.simplePath = noPath
	}
	return r
}

// parseRule returns the pattern of one rule, [METHOD ]/PATH=GROUP, or nil if there is a mistake in it.
func parseRule(errs *configErrors, raw string) *rulePattern {
	parts := ruleParts.FindStringSubmatch(raw)
	if parts == nil {
		errs.addf("rules: %q isn't PATTERN=GROUP, as in /api/=Guest", raw)
		return nil
	}
	before := len(errs.texts)
	group := parseGroup(errs, fmt.Sprintf("rules: %q", raw), parts[3])
	method, pattern := strings.ToUpper(parts[1]), parts[2]
	odd := oddPattern.FindString(strings.ReplaceAll(pattern, "{$}", ""))
	invisible := strings.IndexFunc(pattern, func(char rune) bool { return !unicode.IsPrint(char) })
	switch {
	case strings.Contains(strings.TrimSpace(raw), "\n"):
		errs.addf("rules: %q has a line break; give each rule in an item of its own", raw)
	case !strings.HasPrefix(pattern, "/"):
		errs.addf("rules: %q has a host, or doesn't begin with /; write [METHOD ]/PATH=GROUP, "+
			"as in /api/=Guest or GET /api/=Guest, and leave hosts to Traefik's routers", raw)
	case invisible >= 0:
		char, _ := utf8.DecodeRuneInString(pattern[invisible:])
		errs.addf("rules: %q has the invisible character %U in its path; take it out", raw, char)
	case odd != "":
		errs.addf("rules: %q has %q in its path, which isn't a regular expression; /api/ is the folder and all in it, "+
			"/api that path alone, /api/{name} any one name in it; give each rule in an item of its own, and write "+
			"characters that are meant as they are encoded, like %%2B for +", raw, odd)
	case partialWildcard.MatchString(pattern):
		errs.addf("rules: %q has braces around a part of a name, or around nothing; /api/{name} is any one name in "+
			"/api/, and what stands between the braces is only what you call it", raw)
	case method != "" && !knownMethods[method]:
		errs.addf("rules: %q has the unknown method %q%s; for a method of the service's own, write a rule without method",
			raw, method, didYouMean(method, knownMethods))
	}
	if len(errs.texts) > before {
		return nil
	}
	pattern = strings.TrimLeft(method+" "+anyRest.ReplaceAllString(pattern, "/"), " ")
	parsed := newRule(group)
	parsed.Text = strings.TrimSpace(raw)
	parsed.origin = " by the rule " + parsed.Text
	return &rulePattern{rule: parsed, pattern: pattern}
}

var (
	// ruleParts matches the method, the path and the group of a rule.
	ruleParts = regexp.MustCompile(`(?s)^\s*(?:([^\s/]+)[ \t]+)?(.*?)\s*=([^=]*)$`)

	// oddPattern matches what regular expressions and other routers have and ServeMux takes literally, and what no
	// request has in its path.
	oddPattern = regexp.MustCompile(
		`[*?#;=$^"'\\|<>()\[\]+ \t]|,/|/:[\pL_][^/]*|//|/\.\.?(?:/|$)|%(?:[0-9A-Fa-f]?(?:[^0-9A-Fa-f]|$))`)

	// partialWildcard matches braces that aren't all of a name, or have nothing in them.
	partialWildcard = regexp.MustCompile(`[^/]\{|\}[^/]|\{\}`)

	// anyRest matches what means the same as a slash at the end.
	anyRest = regexp.MustCompile(`/\{[^{}/]*\.\.\.\}$`)
)

// warnOfOpenFolders logs, once for each, the rules that close a page and leave what is below it open: nearly everybody
// who writes /admin=Admin wants to close all of /admin/, too.
func (r *rules) warnOfOpenFolders(name string) {
	for _, given := range r.patterns {
		if given.rule.group >= r.fallback.group || !namesPage.MatchString(given.pattern) {
			continue
		}
		method, page, hasMethod := strings.Cut(given.pattern, " ")
		if !hasMethod {
			method, page = http.MethodGet, given.pattern
		}
		below, _ := requiredExactly(r, method, normalize(r, wildcard.ReplaceAllString(page, "x")+"/x"))
		if below.group > given.rule.group {
			logOnce(name, fmt.Sprintf("rules: %q closes that page alone, and %s/… stays open; end the path in / to close all "+
				"of it, or in /{$} if you mean that page alone", given.rule.Text, page))
		}
	}
}

// namesPage matches a pattern that ends in a literal name without an extension.
var namesPage = regexp.MustCompile(`/[^/{}.]+$`)

// addPattern registers the pattern of a rule in the sets, apart from a folder's in exactFiles, which addFilesOfFolder
// does later.
func (r *rules) addPattern(given *rulePattern) error {
	pattern := protectNames(given.pattern)
	r.measure(pattern)
	if !strings.HasSuffix(pattern, "/") {
		r.simplePath = simpleFile
	}
	if err := r.exactFolders.add(&rulePattern{rule: given.rule, pattern: pattern}); err != nil {
		return err
	}
	if !strings.HasSuffix(pattern, "/") && !strings.HasSuffix(pattern, "/{$}") {
		if err := r.exactFiles.add(&rulePattern{rule: given.rule, pattern: pattern}); err != nil {
			return err
		}
	}
	if err := r.unslashed.addUnslashed(&rulePattern{rule: given.rule, pattern: pattern}); err != nil {
		return err
	}
	folded := foldPattern(pattern)
	r.allFolded = r.allFolded && folded == pattern
	return r.folded.addUnslashed(&rulePattern{rule: given.rule, pattern: folded, isVerbatim: folded == given.pattern})
}

// measure notes how deep a pattern is, and how long its literal names are, for shortenPaths.
func (r *rules) measure(pattern string) {
	const extra = 1   // slash that addFilesOfFolder adds
	const folding = 3 // U+212A, the sign for Kelvin, has three bytes, and k, to which it is folded, has one

	names := strings.Split(pattern, "/")[1:] // the first is the method
	if depth := len(names) + extra; depth > r.maxDepth {
		r.maxDepth = depth
	}
	for _, name := range names {
		if longest := folding * len(name); longest > r.maxName && !strings.HasPrefix(name, "{") {
			r.maxName = longest
		}
	}
}

// addFilesOfFolder registers what the pattern of a folder is among files: /api/ is /api/{below} and /api/{below}/. With
// one ServeMux for files and folders, /api would be a redirect to /api/, and the rule around it couldn't be found.
func (r *rules) addFilesOfFolder(given *rulePattern) error {
	const below = "{below_by_organizrjwt}" // a name that no rule has
	pattern := protectNames(given.pattern)
	if !strings.HasSuffix(pattern, "/") {
		return nil
	}
	if err := r.exactFiles.add(&rulePattern{rule: given.rule, pattern: pattern + below}); err != nil {
		return err
	}
	return r.exactFiles.add(&rulePattern{rule: given.rule, pattern: pattern + below + "/"})
}

// addUnslashed registers a pattern, and for that of a folder also the one without its final slash.
func (s *patternSet) addUnslashed(added *rulePattern) error {
	if err := s.add(added); err != nil {
		return err
	}
	file := strings.TrimSuffix(strings.TrimSuffix(added.pattern, "{$}"), "/")
	if file == added.pattern || !strings.Contains(file, "/") { // the root has no name
		return nil
	}
	return s.add(&rulePattern{rule: added.rule, pattern: file})
}

// foldPattern returns a pattern as it matches folded paths. The method and the wildcards stay as they are.
func foldPattern(pattern string) string {
	return literalPart.ReplaceAllStringFunc(pattern, func(part string) string {
		return (&url.URL{Path: fold(decode(part))}).EscapedPath()
	})
}

// literalPart matches a part of a pattern between wildcards.
var literalPart = regexp.MustCompile(`/[^{}]*`)

// newClosingNames returns what removes one literal name of each pattern that requires a more privileged group than the
// fallback, or nil if one of those has none.
func newClosingNames(patterns []*rulePattern, fallback *rule) *strings.Replacer {
	var pairs []string
	for _, given := range patterns {
		if given.rule.group >= fallback.group {
			continue
		}
		name := longestName(given.pattern)
		if name == "" {
			return nil
		}
		pairs = append(pairs, name, "")
	}
	return strings.NewReplacer(pairs...)
}

// longestName returns the longest literal name of a pattern, folded, or nothing if there is none.
func longestName(pattern string) string {
	longest := ""
	for _, part := range literalPart.FindAllString(foldPattern(protectNames(pattern)), -1) {
		for _, name := range literalName.FindAllString(decode(part), -1) {
			if len(name) > len(longest) {
				longest = name
			}
		}
	}
	return longest
}

// literalName matches a name of a decoded pattern, or a part of one between what protectNames has replaced.
var literalName = regexp.MustCompile(`[^/\x01\x02]+`)

// Beyond these limits, prefilters would take longer than they save.
const (
	maxPrefilterPatterns = 20
	maxPrefilterBytes    = 4 << 10 // of paths, times the patterns that an expression may have to follow through them
)

// newPrefilterLimit returns how many bytes of paths are filtered, or 0 if none ever are. An expression may have to
// follow every pattern with a wildcard through a whole path.
func newPrefilterLimit(patterns []*rulePattern) int {
	if len(patterns) > maxPrefilterPatterns {
		return 0
	}
	followed := 1
	for _, given := range patterns {
		if strings.Contains(given.pattern, "{") {
			followed++
		}
	}
	return maxPrefilterBytes / followed
}

// newPrefilters returns one prefilter for each group that rules require.
func newPrefilters(patterns []*rulePattern) []prefilter {
	expressions := map[int][]string{}
	for _, given := range patterns {
		group := given.rule.group
		expressions[group] = append(expressions[group], expressionOf(given.pattern))
	}
	var prefilters []prefilter
	for group, ofGroup := range expressions {
		expression := regexp.MustCompile("^(?:" + strings.Join(ofGroup, "|") + ")")
		prefilters = append(prefilters, prefilter{group: group, mayMatch: expression.MatchString})
	}
	return prefilters
}

// expressionOf returns an expression that matches every folded path that a pattern may match. For /settings/ these are
// all that begin with /settings/, and for /settings that path alone. In both cases services may also cut off a slash
// at the end, or an extension: /settings.json.
func expressionOf(pattern string) string {
	withoutMethod := pattern[strings.IndexByte(pattern, '/'):]
	names := strings.TrimSuffix(strings.TrimSuffix(foldPattern(protectNames(withoutMethod)), "{$}"), "/")
	expression := ""
	for _, part := range patternPart.FindAllString(names, -1) {
		if strings.HasPrefix(part, "{") {
			expression += "[^/]*"
		} else {
			expression += regexp.QuoteMeta(decode(part))
		}
	}
	ending := `[. ]*(?:\.[^/]*)?/?$` // foldPattern has cut off dots and spaces, which stand before an extension here
	if strings.HasSuffix(withoutMethod, "/") {
		ending = "(?:/|" + ending + ")"
	}
	return expression + ending
}

// patternPart matches a wildcard of a pattern, or what stands between two.
var patternPart = regexp.MustCompile(`\{[^}]*\}|[^{}]+`)

// ---------------------------------------------------------------------------------------------------------------------
// The page
//
// It needs nothing but itself: no script, no other file. It works on a phone, in the dark, and in Organizr's iframes.

// refusalPageData is what the page shows. What is empty isn't shown.
type refusalPageData struct {
	Refusal     *refusal
	User, Group string // who is there
	Login       string // Organizr's address
}

// refusalPage is the template of the page, for refusalPageData.
var refusalPage = template.Must(template.New("page").Parse(`<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="dark light">
<meta name="robots" content="noindex">
{{if .Refusal.Reloads}}<meta http-equiv="refresh" content="5">{{end}}
<title>{{.Refusal.Title}}</title>
<style>
:root {
	--back: #141414; --card: #1f1f1f; --line: #353535; --text: #f2f2f2; --soft: #b4b4b4; --link: #2cabe3; --on: #06141b;
}
@media (prefers-color-scheme: light) {
	:root {
		--back: #eef1f4; --card: #fff; --line: #d5dbe1; --text: #1d2329; --soft: #55606b; --link: #0a6c99; --on: #fff;
	}
}
* { box-sizing: border-box; margin: 0; overflow-wrap: anywhere }
body {
	min-height: 100vh; display: grid; place-items: center; padding: 1rem;
	background: var(--back); color: var(--text); font: 1rem/1.5 system-ui, sans-serif;
}
main {
	width: 100%; max-width: 28rem; padding: 1.75rem;
	background: var(--card); border-top: 4px solid var(--link); border-radius: .5rem;
}
h1, p, dl { margin-bottom: 1rem }
h1 { font-size: 1.5rem; line-height: 1.25 }
dl {
	display: grid; grid-template-columns: auto 1fr; gap: .25rem 1rem; padding: .75rem 0;
	border-block: 1px solid var(--line);
}
dt, small { color: var(--soft) }
dd { font-weight: 600; unicode-bidi: isolate }
a {
	display: block; padding: .75rem; border-radius: .5rem;
	background: var(--link); color: var(--on); text-align: center; text-decoration: none;
}
a:focus-visible { outline: 3px solid var(--text); outline-offset: 2px }
</style>
<main>
<small>{{.Refusal.Status}}</small>
<h1>{{.Refusal.Title}}</h1>
<p>{{.Refusal.Text}}</p>
{{with .Refusal.Hint}}<p>{{.}}</p>{{end}}
{{with .User}}<dl>
<dt>You are</dt><dd>{{.}}</dd>
<dt>Your group</dt><dd>{{$.Group}}</dd>
{{with $.Refusal.Rule}}<dt>Required</dt><dd>{{.Label}}</dd>
{{with .Text}}<dt>By the rule</dt><dd>{{.}}</dd>{{end}}
{{with .Tab}}<dt>By the tab</dt><dd>{{.}}</dd>{{end}}{{end}}
</dl>{{end}}
{{with .Login}}<a href="{{.}}" target="_top">Go to Organizr</a>{{end}}
</main>
`))
