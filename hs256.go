package organizrjwt

// This file turns a token into a session: it checks who the token says its bearer is, and whether Organizr's files
// still say the same. From top to bottom:
//
//   - Sessions: what a token is checked against, what can be wrong with it, and what it says.
//   - Accounts: one of Organizr's users, as a token or the database describes it.
//   - Following the files: how a change in Organizr counts within a second, without a goroutine that always runs.
//   - The secret: Organizr's organizrHash and uuid, from an option, a file or config.php.
//   - config.php: reading a PHP array without PHP.
//   - The database: what counts of it, and how often it is read.
//   - Bound sessions: from where, and with which browser, a session may be used.
//   - Tabs: which group Organizr shows a service to.
//   - SQLite: reading a database that somebody else may be writing.
//   - Pages: what SQLite's file and its write-ahead log consist of.
//   - Tables: the rows on those pages.
//
// The middleware follows a source by watch and poll, gets what is in force by inForce, and turns a token into a session
// by verify. verify and what it calls are plain functions, since calls of methods are slow in Yaegi. Groups, accounts
// and which texts are printable are here too, since tokens and the database need them.

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// ---------------------------------------------------------------------------------------------------------------------
// Sessions
//
// A token becomes a session only if this Organizr signed it, its claims hold now, and, where the database is followed,
// Organizr still lists it. Nothing but the signature is looked at before the signature is right.

const (
	cookiePrefix = "organizr_token_"                      // then the uuid (Organizr's api/classes/organizr.class.php)
	joseHeader   = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9" // of Organizr's tokens: {"typ":"JWT","alg":"HS256"}

	maxTokenLength  = 8 << 10     // bytes
	signatureSize   = sha256.Size // bytes
	signatureLength = 43          // characters of base64url, for so many bytes
	nbfLeeway       = 60          // seconds by which Organizr's clock may be ahead of ours
)

// What can be wrong with a token. No text quotes any of it, since texts are logged.
var (
	errMalformed      = errors.New("the token isn't three parts of base64url of at most 8 KiB")
	errWrongSignature = errors.New("the token isn't signed by HS256 with this secret, " +
		"which must be the organizrHash of the Organizr where visitors log in")
	errWrongHeader = errors.New("the token's header isn't that of a JWT signed by HS256")
	errWrongClaims = errors.New("the token's claims aren't a JSON object with the types that Organizr gives them")
	errWrongIssuer = errors.New("the token's issuer or audience isn't Organizr")
	errExpired     = errors.New("the session has expired")
	errNotYetValid = errors.New("the session isn't valid yet; do the clocks of Organizr and Traefik agree?")
	errOddGroup    = errors.New("the token's groupID isn't a whole number from 0 to 999")
	errNotListed   = errors.New("Organizr's database doesn't list the session: " +
		"it was ended there, or the database belongs to another Organizr")
)

// errEnded says the same as errNotListed, but of a session that was listed until the last change. Nobody has just
// logged in with it, so the database isn't read again.
var errEnded = errors.New(errNotListed.Error())

// base64url is how a token's parts are encoded (RFC 7515, section 2). Strict refuses stray bits in the last character.
var base64url = base64.RawURLEncoding.Strict()

// A verifier is what tokens are checked against: one Organizr's secret, and what its database says. It doesn't change.
// When a file does, the poller makes another.
type verifier struct {
	cookieName      string                   // of the cookie that carries a session
	cookieStart     string                   // what stands between another cookie and the value of that one
	isSessionCookie func(cookie string) bool // see cookieMatcher; whether or not the session is good
	secret          []byte                   // organizrHash as it stands, never blank
	database        *database                // nil if no database is followed: then the token alone counts
	isBound         bool                     // sessions are bound to an address or a browser
	binding         *binding                 // nil unless isBound
	errNoCookie     error                    // what is wrong with a request without that cookie
}

// newVerifier returns the verifier of sessions that come in this cookie. The database and the binding can be nil.
func newVerifier(cookieName, secret string, db *database, bound *binding) *verifier {
	return &verifier{
		cookieName: cookieName, cookieStart: "; " + cookieName + "=",
		isSessionCookie: cookieMatcher(regexp.QuoteMeta(cookieName)),
		errNoCookie:     errors.New("the request has no cookie " + cookieName),
		secret:          []byte(secret), database: db, binding: bound, isBound: bound != nil,
	}
}

// cookieMatcher returns a function that reports whether a cookie has a name that the regular expression matches. The
// function takes one element of a Cookie header, with the spaces around it.
func cookieMatcher(nameExpression string) func(cookie string) bool {
	return regexp.MustCompile(`^[ \t]*` + nameExpression + `[ \t]*(?:=|$)`).MatchString
}

// A session is what a verified token stands for. One without a token stands for a key.
type session struct {
	token      string
	cookie     string // that carries it, with what separates it from other cookies; without a value for a key
	account    *account
	verifier   *verifier // that verified it
	listed     listedSession
	validUntil float64 // when it ends or must be checked again, in Unix seconds; infinite for a key
}

// verify returns the session that the token stands for now, or an error that says what is wrong with it. The third part
// of a token must be the HMAC-SHA256 of the first two, its header and its claims, with Organizr's secret (RFC 7515,
// section 5.2; RFC 7518, section 3.2). They are compared in constant time.
func verify(v *verifier, token string) (*session, error) {
	parts := strings.SplitN(token, ".", 4)
	if len(parts) != 3 || len(token) > maxTokenLength {
		return nil, errMalformed
	}
	mac := hmac.New(sha256.New, v.secret)
	_, _ = io.WriteString(mac, parts[0]+"."+parts[1])
	signature, _ := base64url.DecodeString(parts[2]) // never to 32 bytes if there is a mistake in it
	if hmac.Equal(mac.Sum(nil), signature) {
		return verifyClaims(v, token, parts)
	}
	if len(signature) < signatureSize {
		return nil, errMalformed
	}
	return nil, errWrongSignature
}

// verifyClaims returns the session that a token with a right signature stands for now, or an error that says what is
// wrong with its header or its claims: Organizr must have issued them for itself, and they must hold now.
func verifyClaims(v *verifier, token string, parts []string) (*session, error) {
	if parts[0] != joseHeader && !isHS256Header(parts[0]) {
		return nil, errWrongHeader
	}
	decoded, err := base64url.DecodeString(parts[1])
	claims := &tokenClaims{NotBefore: 0.0}
	if err != nil || json.Unmarshal(decoded, claims) != nil {
		return nil, errWrongClaims
	}
	unixTime := unixNow()
	notBefore, isNumber := claims.NotBefore.(float64)
	switch {
	case claims.Issuer != "Organizr" || claims.Audience != "Organizr" && !isInList(claims.Audience, "Organizr"):
		return nil, errWrongIssuer
	case claims.ExpiresAt <= unixTime: // it is 0 if the token has none
		return nil, errExpired
	case !isNumber:
		return nil, errWrongClaims
	case notBefore > unixTime+nbfLeeway:
		return nil, errNotYetValid
	}
	user := accountFromClaims(claims)
	if user == nil {
		return nil, errOddGroup
	}
	verified := &session{
		token: token, cookie: v.cookieStart + token + "; ", account: user, verifier: v, validUntil: claims.ExpiresAt,
	}
	if v.database != nil {
		return checkListing(v.database, verified, unixTime)
	}
	return verified, nil
}

// isHS256Header reports whether the header of a token means the same as joseHeader, in whatever words. Names of
// parameters match exactly. A header with crit is refused: it lists extensions that must be understood (RFC 7515,
// section 4.1.11), and none are understood here.
func isHS256Header(part string) bool {
	var parameters map[string]any
	text, err := base64url.DecodeString(part)
	if err != nil || json.Unmarshal(text, &parameters) != nil {
		return false
	}
	typ, typed := parameters["typ"]
	_, critical := parameters["crit"]
	return parameters["alg"] == "HS256" && !critical && (!typed || typ == "JWT")
}

// tokenClaims are what counts of a token's payload (RFC 7519, section 4.1, and Organizr's own).
type tokenClaims struct {
	// encoding/json ignores case, so {"Exp": …} would set ExpiresAt. A name in the same case wins, and otherwise the
	// first field that matches. So these must stand first, and take such claims. Nothing reads them.
	ISS, AUD, EXP, NBF, NAME, USERNAME, EMAIL, GROUPID, USERID, IMAGE any

	Issuer    string      `json:"iss"`
	Audience  any         `json:"aud"`      // a string, or a list of them
	ExpiresAt float64     `json:"exp"`      // seconds; Organizr's times have fractions
	NotBefore any         `json:"nbf"`      // 0.0 if the token has none; null isn't a time
	Username  string      `json:"username"` // of an older Organizr
	Name      string      `json:"name"`     // of today's
	Email     string      `json:"email"`
	Image     string      `json:"image"`
	GroupID   any         `json:"groupID"` // a number, or its digits if PHP is older than 8.1
	UserID    json.Number `json:"userID"`  // likewise
}

// isInList reports whether a claim is a list with this text in it.
func isInList(claim any, text string) bool {
	list, _ := claim.([]any)
	return slices.Contains(list, any(text))
}

// accountFromClaims returns the account that the claims describe, or nil if groupID isn't a group's number. The claim
// group is left out, since users can set that text themselves.
func accountFromClaims(claims *tokenClaims) *account {
	name := claims.Username
	if name == "" {
		name = claims.Name
	}
	return newAccount(map[string]string{
		"username": name, "email": claims.Email, "image": claims.Image,
		"userID": string(claims.UserID), "groupID": fmt.Sprint(claims.GroupID),
	})
}

// ---------------------------------------------------------------------------------------------------------------------
// Accounts
//
// Group 0 is Organizr's administrator, so a groupID that is missing or odd must never become 0.

// guestGroup is the group of people who aren't logged in.
const guestGroup = 999

var (
	// groupNumbers has what a groupID can be: the digits of a number from 0 to 999.
	groupNumbers = map[string]int{}

	// namedGroups has the names of the groups that are the same in every Organizr. An administrator can rename the first
	// five; here these names go on meaning the numbers.
	namedGroups = map[int]string{
		0: "Admin", 1: "Co-Admin", 2: "Super User", 3: "Power User", 4: "User", 998: "Logged In", guestGroup: "Guest",
	}

	// groupNames has those names, and digits for all other groups.
	groupNames = map[int]string{}
)

func init() {
	for number := 0; number <= guestGroup; number++ {
		digits := strconv.Itoa(number)
		groupNumbers[digits] = number
		groupNames[number] = firstNonEmpty(namedGroups[number], digits)
	}
}

// An account is one of Organizr's users.
type account struct {
	claims  map[string]string // username, email, image, userID, groupID and group
	groupID int               // 0 to 999
	locked  bool              // by Organizr's administrator
}

// newAccount returns the account with these claims, or nil if groupID isn't a group's number. A group without a name
// gets Organizr's name for it, or its number.
func newAccount(claims map[string]string) *account {
	number, ok := groupNumbers[claims["groupID"]]
	if !ok {
		return nil
	}
	if claims["group"] == "" {
		claims["group"] = groupNames[number]
	}
	return &account{claims: claims, groupID: number}
}

// isUnprintable reports whether services may read a text differently: if it has a character that isn't printable (as in
// unicode.IsPrint), one that stands for broken UTF-8, or a space at its beginning or end. A user can choose the name
// "alice\a", and a service that strips the last character takes them for alice.
var isUnprintable = regexp.MustCompile(`[^\pL\pM\pN\pP\pS ]|\x{FFFD}|^ | $`).MatchString

// firstNonEmpty returns the text, or the other one if it is empty.
func firstNonEmpty(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// ---------------------------------------------------------------------------------------------------------------------
// Following the files
//
// Traefik makes a new middleware for every router at each change of its configuration, and doesn't say when an old one
// is no longer used. A goroutine or ticker per middleware would leak. So requests poll the files: once a second, and
// more often while somebody is writing the database. Middlewares with the same source share one poller.
//
// Until every file of a source is there and good, nothing is in force. After that, what was good last stays in force
// while a file is missing or broken, and the log says so once. Only what was read of the database more than maxAge ago
// isn't in force while somebody is writing it: Organizr may have ended sessions since. Then requests wait for the
// writer, and get 503 if that takes longer than maxWait.

const (
	pollInterval     = time.Second           // between two polls
	busyPollInterval = 50 * time.Millisecond // while somebody is writing the database
	maxAge           = 5 * time.Second       // of what is in force while somebody is writing the database
	maxIdle          = 2 * time.Second       // after a poll was due, for which the result of the last one still counts
	maxWait          = 3 * time.Second       // of a visitor for those who are writing the database
	waitInterval     = 20 * time.Millisecond // between two looks at the database meanwhile
)

// The clock, which tests replace where nothing waits for real. What time.Now returns is compared by Go's monotonic
// clock, so a system's clock that is set back delays nothing.
var (
	now       = time.Now
	afterFunc = time.AfterFunc
)

// unixNow returns the time in Unix seconds, in which a session's end is given.
func unixNow() float64 { return float64(now().UnixNano()) / 1e9 }

// A source says what a poller follows, and all else that decides whom its verifier accepts. Middlewares with equal
// sources share a poller. Exactly one of secret, secretFile and configFile is set. The uuid wins over the one in
// config.php.
type source struct {
	uuid, secret, secretFile, configFile, databaseFile string
	tabs                                               bool // the table of tabs counts too
}

// describe returns what the log says of the source, which is never the secret.
func (s source) describe() string {
	text := "the given secret"
	if option, path := s.secretPath(); path != "" {
		text = fmt.Sprintf("%s %q", option, path)
	}
	if s.databaseFile == "" {
		return text + " and no database, so a log-out in Organizr doesn't end a session here"
	}
	text += fmt.Sprintf(" and databaseFile %q", s.databaseFile)
	if s.tabs {
		text += " with its tabs"
	}
	return text
}

// A poller follows the files of one source.
type poller struct {
	source     source
	middleware string // the first that had this source, for the log

	current struct { // what is in force
		sync.RWMutex
		verifier *verifier // nil as long as there is none
		tabs     *tabs     // nil unless the source has them
		until    time.Time // when the next poll is due, by the clock
		maxUntil time.Time // from when on none of this must count before the next poll
	}
	due   atomic.Bool  // set by a timer when the next poll is due, so that requests needn't read the clock
	polls atomic.Int64 // how many have begun

	sync.Mutex                     // held while the files are read, and for what is below
	settings     map[string]string // of config.php, or just uuid and organizrHash
	settingsText string            // the file that settings come from, as it was read
	reader       *databaseReader
	database     *database
	databaseBusy bool      // somebody was writing it at the last poll
	databaseOld  bool      // what was read of it isn't in force any more, since they didn't stop
	lastFreePoll int64     // the number of the last poll at which nobody was
	freeAt       time.Time // the time of that poll; at first, when the poller was made
	throttled    bool      // newcomers don't have the database read again, since that would keep a core busy
	lastLogged   string    // what was wrong with the files at the last poll
}

// The pollers by their source. They outlive the middlewares: Organizr may be rewriting a file while Traefik makes new
// middlewares, and then what was good before must stay in force.
var (
	pollersMutex sync.Mutex
	pollers      = map[source]*poller{}
)

// watch returns the poller that follows the source. A new one looks at the files first, so that the log says what is
// wrong with them before anybody comes.
func watch(followed source, name string) *poller {
	pollersMutex.Lock()
	p, isKnown := pollers[followed]
	if !isKnown {
		p = &poller{source: followed, middleware: name, reader: newDatabaseReader(followed.tabs), freeAt: now()}
		p.due.Store(true)
		pollers[followed] = p
	}
	pollersMutex.Unlock()
	if !isKnown {
		fmt.Printf("organizrjwt: middleware=%q follows %s\n", name, followed.describe())
		p.poll()
	}
	return p
}

// poll looks at the files if that is due. While one request does, others go on with what is in force, and wait only if
// that must not count any more.
func (p *poller) poll() {
	if p.isOverdue() {
		p.Lock()
	} else if !p.due.Load() || !p.TryLock() {
		return
	}
	defer p.Unlock()
	if p.due.Load() || p.isOverdue() {
		p.pollFiles()
	}
}

// isOverdue reports whether what the last poll found must not count any more.
func (p *poller) isOverdue() bool {
	p.current.RLock()
	defer p.current.RUnlock()
	return now().After(p.current.maxUntil)
}

// inForce returns the verifier that is in force, or nil if there is none; Organizr's tabs, if the source has them; and
// for how long both count before the next poll, from busyPollInterval to pollInterval.
func (p *poller) inForce() (v *verifier, known *tabs, validFor time.Duration) {
	p.current.RLock()
	defer p.current.RUnlock()
	validFor = p.current.until.Sub(now())
	if validFor < busyPollInterval { // it is about to be polled
		validFor = busyPollInterval
	} else if validFor > pollInterval { // the clock was set back
		validFor = pollInterval
	}
	return p.current.verifier, p.current.tabs, validFor
}

// readAndVerify returns what verify does for a token that the database didn't list when it was read last, after reading
// it again. Organizr lists a session before it answers the login, so somebody who has just logged in can be here within
// milliseconds. A poll that began after this call will do. While somebody is writing the database or newcomers are
// throttled, it waits for up to maxWait, and as long again if what was read before gets too old meanwhile.
func (p *poller) readAndVerify(token string) (*session, error) {
	pollsBefore := p.polls.Load()
	arrived := time.Now()
	for !p.readSince(pollsBefore) && time.Since(arrived) < maxWait {
		time.Sleep(waitInterval)
	}
	v, _, _ := p.inForce()
	if v == nil {
		return nil, errNotListed
	}
	return verify(v, token)
}

// readSince reports whether a poll after the one with this number found nobody writing the database. If none has, it
// polls first, unless newcomers are throttled.
func (p *poller) readSince(pollNumber int64) bool {
	p.Lock()
	defer p.Unlock()
	if p.lastFreePoll <= pollNumber && !p.throttled {
		p.pollFiles()
	}
	return p.lastFreePoll > pollNumber
}

// pollFiles looks at the files, puts what they say in force, and logs what is wrong with them.
func (p *poller) pollFiles() {
	p.due.Store(false)
	pollNumber := p.polls.Add(1)
	interval := pollInterval
	defer func() {
		afterFunc(interval, func() {
			if p.polls.Load() == pollNumber { // a later poll has a timer of its own
				p.due.Store(true)
			}
		})
	}()
	err := p.readSecret()
	p.databaseBusy = false
	if p.source.databaseFile != "" && p.settings != nil {
		err = errors.Join(err, p.readDatabase())
	}
	if p.databaseBusy {
		interval = busyPollInterval
	} else {
		p.databaseOld = false
		p.freeAt = now()
		p.lastFreePoll = pollNumber
	}
	p.publish(now().Add(interval))
	p.report(err)
}

// publish puts in force what was read last of each file, if every file of the source has been good once, and nothing
// otherwise or if the database is old. It keeps the verifier if nothing has changed.
func (p *poller) publish(until time.Time) {
	p.current.Lock()
	defer p.current.Unlock()
	p.current.until = until
	p.current.maxUntil = until.Add(maxIdle)
	if old := p.freeAt.Add(maxAge); p.databaseBusy && !p.databaseOld && old.Before(p.current.maxUntil) {
		p.current.maxUntil = old
	}
	if p.settings == nil || p.source.databaseFile != "" && (p.database == nil || p.databaseOld) {
		p.current.verifier = nil
		p.current.tabs = nil
		return
	}
	p.current.tabs = p.reader.tabs
	secret, cookieName := p.settings["organizrHash"], cookiePrefix+p.settings["uuid"]
	var bound *binding
	if p.source.databaseFile != "" {
		bound = newBinding(p.settings)
	}
	before := p.current.verifier // compared with all that can change while the source stays the same
	if before != nil && string(before.secret) == secret && before.cookieName == cookieName &&
		before.database == p.database && reflect.DeepEqual(before.binding, bound) {
		return
	}
	p.current.verifier = newVerifier(cookieName, secret, p.database, bound)
}

// report logs what is wrong with the files, once until that changes.
func (p *poller) report(err error) {
	text := ""
	if err != nil {
		text = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	if text != "" && text != p.lastLogged {
		consequence := "requests that need a session get 503 until that is corrected"
		if p.current.verifier != nil {
			consequence = "keeping the last good version"
		}
		log.Printf("organizrjwt: middleware=%q %s; %s", p.middleware, text, consequence)
	}
	p.lastLogged = text
}

// ---------------------------------------------------------------------------------------------------------------------
// The secret

const (
	exampleSecret     = "kQ9vRt2LmX7pZw4BnYc6Hd8JfGs3Ta5E" // in the documentation
	minSecretLength   = 20                                 // bytes; organizrHash has 30 characters
	maxSecretFileSize = 1 << 20                            // bytes
	configPlaces      = "data/config/config.php (/config/www/organizr/data/config/config.php in its container, " +
		"api/config/config.php in older installs), and Traefik must see the folder that holds it"
)

// httpToken matches what a cookie's or a header's name is made of (RFC 9110, section 5.6.2).
var httpToken = regexp.MustCompile("^[-!#$%&'*+.^_`|~0-9A-Za-z]+$")

// readSecret reads uuid and secret again if their file has changed. It returns an error if the file can't be read, is
// half written, or has no uuid or a blank secret; then the last good ones stay.
func (p *poller) readSecret() error {
	text, err := p.source.secretText()
	if err != nil {
		return err
	}
	if text == p.settingsText && p.settings != nil {
		return nil
	}
	settings, err := p.parseSettings(text)
	if err != nil {
		return err
	}
	p.warnOfSecret(settings["organizrHash"])
	p.settings = settings
	p.settingsText = text
	return nil
}

// secretText returns the secret, or the text of the file that it is in, without newlines at its end.
func (s source) secretText() (string, error) {
	if s.secret != "" {
		return s.secret, nil
	}
	option, path := s.secretPath()
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return "", fmt.Errorf("%s: %q isn't a file but a folder; give the path of the file in it, or mount the file "+
			"if Docker made this folder because it was missing", option, path)
	case err == nil && (!info.Mode().IsRegular() || info.Size() > maxSecretFileSize):
		return "", fmt.Errorf("%s: %q isn't a file of at most %d MiB", option, path, maxSecretFileSize>>20)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		advice := "give the path of a file that holds organizrHash, and list a secret of Docker's in Traefik's service too"
		if option == "configFile" {
			advice = "finish Organizr's setup, or give its " + configPlaces
		}
		switch {
		case errors.Is(err, os.ErrPermission):
			advice = "let Traefik's user read it and its folders"
		case errors.Is(err, os.ErrNotExist):
			advice += fmt.Sprintf("; of that path, Traefik sees only %q", visiblePart(path))
		}
		return "", fmt.Errorf("%s: can't read %q: %w; %s", option, path, errors.Unwrap(err), advice)
	}
	return strings.TrimRight(string(content), "\r\n"), nil
}

// visiblePart returns the longest beginning of a path that exists: what is missing behind it may not be mounted.
func visiblePart(path string) string {
	for parent := filepath.Dir(path); path != parent; parent = filepath.Dir(path) {
		if _, err := os.Stat(path); err == nil {
			return path
		}
		path = parent
	}
	return path
}

// secretPath returns the path of the file that the secret is in, with the option that names it. The path is empty if
// the secret itself was given.
func (s source) secretPath() (option, path string) {
	if s.configFile != "" {
		return "configFile", s.configFile
	}
	return "secretFile", s.secretFile
}

// parseSettings returns the settings of the source, given what secretText returned: uuid and organizrHash, neither of
// them blank, and all others that config.php has.
func (p *poller) parseSettings(text string) (map[string]string, error) {
	path := p.source.configFile
	if path == "" {
		if problem := secretFileProblem(text); problem != "" {
			return nil, fmt.Errorf("secretFile: %q %s", p.source.secretFile, problem)
		}
		return map[string]string{"uuid": p.source.uuid, "organizrHash": text}, nil
	}
	settings, err := parseConfigPHP(text)
	if err != nil {
		return nil, fmt.Errorf("configFile: %q isn't a config.php as Organizr writes it: %w; give Organizr's %s",
			path, err, configPlaces)
	}
	if p.source.uuid != "" && settings["uuid"] != "" && p.source.uuid != settings["uuid"] {
		log.Printf("organizrjwt: middleware=%q uuid: %q is given, but %q has %q; take the option or "+
			"ORGANIZR_UUID away, or no session will be found", p.middleware, p.source.uuid, path, settings["uuid"])
	}
	settings["uuid"] = firstNonEmpty(p.source.uuid, settings["uuid"])
	if strings.TrimSpace(settings["organizrHash"]) == "" {
		return nil, fmt.Errorf("configFile: %q has no organizrHash; has Organizr been set up?", path)
	}
	if !httpToken.MatchString(settings["uuid"]) {
		return nil, fmt.Errorf("configFile: %q has no uuid that can be part of a cookie's name; "+
			"has Organizr been set up?", path)
	}
	return settings, nil
}

// secretFileProblem returns why the text of a secret file can't be a secret and what to do, or nothing if it can.
func secretFileProblem(text string) string {
	switch {
	case strings.HasPrefix(text, "\uFEFF") || strings.Contains(text, "\x00"):
		return "isn't plain text in UTF-8, as Windows may have saved it; save it as UTF-8 without a byte order mark"
	case strings.TrimSpace(text) == "":
		return "is blank; write Organizr's organizrHash into it"
	case strings.Contains(text, "\n"):
		return "has more than one line; write Organizr's organizrHash alone into it"
	case inQuotes(text):
		return "has quotes around its text; write Organizr's organizrHash without them"
	}
	return ""
}

// warnOfSecret logs that a new secret isn't safe, if everybody knows it, or can find it by trying guesses on a token.
func (p *poller) warnOfSecret(secret string) {
	switch {
	case secret == p.settings["organizrHash"]: // it was there before
	case secret == exampleSecret:
		log.Printf("organizrjwt: middleware=%q the secret is the one in the documentation, "+
			"so anyone can sign in as administrator; give Organizr an organizrHash of your own", p.middleware)
	case len(secret) < minSecretLength:
		log.Printf("organizrjwt: middleware=%q the secret has only %d bytes, so anyone with a session may find it "+
			"out by trying; give Organizr an organizrHash of 30 random characters", p.middleware, len(secret))
	}
}

// ---------------------------------------------------------------------------------------------------------------------
// config.php
//
// Organizr writes a PHP array: <?php, return, [, lines of 'key' => value, and ];. Only the outermost array counts,
// since any Co-Admin can put a line like 'organizrHash' => 'mine' into the text of customCss or into an inner array.

const maxArrayDepth = 100

var (
	phpBeginning = regexp.MustCompile(`^<\?php\s+return\s*(?:(\[)|(?i:array)\s*(\())`)

	// phpItem matches a key with its value, or a closing bracket, and the comma behind it. A value is a text in single
	// quotes (whose only escapes are \\ and \'), a number, a word, or the beginning of an array. Its groups are 1 the key,
	// 2 =>, 3 the text, 4 the number, 5 the word, 6 and 7 an opening bracket, 8 a closing one, 9 the comma.
	phpItem = regexp.MustCompile(`^\s*(?:(?:'((?:[^'\\]|\\(?s:.))*)'|-?[0-9]+)\s*(=>)\s*` +
		`(?:'((?:[^'\\]|\\(?s:.))*)'|(-?[0-9][0-9.eE+-]*)|((?i:true|false|null))|(\[)|(?i:array)\s*(\())|([\])]))\s*(,?)`)

	openingBracket = map[string]string{"]": "[", ")": "("}
	phpUnescape    = strings.NewReplacer(`\\`, `\`, `\'`, `'`)

	// phpWords has what PHP makes of a word where it needs a text.
	phpWords = map[string]string{"true": "1", "false": "", "null": ""}
)

// parseConfigPHP returns the texts, numbers and words of the outermost array of a config.php, by their keys. As in PHP,
// the last of two equal keys counts. It returns an error for anything that Organizr doesn't write.
func parseConfigPHP(text string) (map[string]string, error) {
	beginning := phpBeginning.FindStringSubmatch(text)
	if beginning == nil {
		return nil, errors.New(`it doesn't begin with "<?php return ["`)
	}
	values := map[string]string{}
	openBrackets := beginning[1] + beginning[2]
	rest := text[len(beginning[0]):]
	separated := true // by a bracket or a comma from what is before
	for openBrackets != "" {
		item := phpItem.FindStringSubmatch(rest)
		if item == nil || len(openBrackets) > maxArrayDepth {
			understood := text[:len(text)-len(strings.TrimLeft(rest, " \t\r\n"))]
			line := 1 + strings.Count(understood, "\n")
			return nil, fmt.Errorf("line %d isn't 'key' => value, with single quotes as Organizr writes it; "+
				"it may be half written", line)
		}
		rest = rest[len(item[0]):]
		hasKey, opened, closed, hasComma := item[2] != "", item[6]+item[7], item[8], item[9] != ""
		if hasKey && !separated || opened != "" && hasComma || !strings.HasSuffix(openBrackets, openingBracket[closed]) {
			return nil, errors.New("a comma or a bracket is missing or too many; it may be half written")
		}
		if hasKey && len(openBrackets) == 1 {
			value := phpUnescape.Replace(item[3]) + item[4] + phpWords[strings.ToLower(item[5])]
			values[phpUnescape.Replace(item[1])] = value
		}
		openBrackets = strings.TrimSuffix(openBrackets, openingBracket[closed]) + opened
		separated = hasComma || opened != ""
	}
	if separated || strings.TrimSpace(rest) != ";" {
		return nil, errors.New(`it doesn't end with "];"; it may be half written`)
	}
	return values, nil
}

// ---------------------------------------------------------------------------------------------------------------------
// The database
//
// Organizr admits a session that its table tokens lists, with the name and group that its table users has now (its
// validateToken in api/classes/organizr.class.php).

// A database is what counts of Organizr's database at a moment. It doesn't change.
type database struct {
	groups   map[string]string   // the names of the groups, by their numbers
	accounts map[string]*account // by the user's id
	sessions http.Header         // rows of the table tokens, by the token's text; a Header, whose Clone is compiled
	ended    map[string]bool     // tokens that the last change has ended
}

// A listedSession is a row of the table tokens.
type listedSession struct {
	userID, expires  string // as Organizr writes them; see endOfListing
	browser, address string // with which it was made
}

// checkListing returns the session as the database has it, or an error if Organizr doesn't list it for its user, or has
// ended it. Name, group and lock are what the database says, not the token. Times are in Unix seconds.
func checkListing(db *database, verified *session, unixTime float64) (*session, error) {
	row := db.sessions[verified.token]
	if row == nil && db.ended[verified.token] {
		return nil, errEnded
	}
	if row == nil {
		return nil, errNotListed
	}
	listed := listedSession{userID: row[1], expires: row[2], browser: row[3], address: row[4]}
	user := db.accounts[listed.userID]
	if user == nil || listed.userID != verified.account.claims["userID"] {
		return nil, errNotListed
	}
	end, err := endOfListing(listed.expires, unixTime)
	if err != nil {
		return nil, err
	}
	verified.account = user
	verified.listed = listed
	if end < verified.validUntil {
		verified.validUntil = end
	}
	return verified, nil
}

// endOfListing returns when a session with this tokens.expires ends in the database or must be looked up again, or
// errExpired if it has ended. Times are in Unix seconds.
//
// Organizr compares tokens.expires, which is like 2026-11-27 23:59:59, as text with its clock, which is like
// 2026-11-27T08:00:00Z (getAllUserTokens in its class). A space comes before T, so the session ends at midnight UTC
// when that day begins. Very old rows have a T. A number, which SQLite makes of digits, comes before every text.
func endOfListing(expires string, unixTime float64) (float64, error) {
	const organizrClock = "2006-01-02T15:04:05Z"
	isNumberOrEmpty := strings.Trim(expires, "0123456789") == ""
	if isNumberOrEmpty || expires <= time.Unix(int64(unixTime), 0).UTC().Format(organizrClock) {
		return 0, errExpired
	}
	if end, err := time.Parse(organizrClock, expires); err == nil {
		return float64(end.Unix()), nil
	}
	if len(expires) >= 10 && (len(expires) == 10 || expires[10] < 'T') {
		if day, err := time.Parse("2006-01-02", expires[:10]); err == nil {
			return float64(day.Unix()), nil
		}
	}
	return unixTime + 1, nil // it is compared again then
}

// readDatabase reads the database if it has changed. While somebody is writing it, it keeps what was read before, and
// returns no error until that is old.
func (p *poller) readDatabase() error {
	path, err := p.databasePath()
	if err != nil {
		p.throttled = false // throttle, which decides otherwise, isn't called
		return err
	}
	read, err := p.readOrWait(path)
	p.databaseBusy = errors.Is(err, errBusy)
	switch {
	case p.databaseBusy && !p.databaseOld:
		return nil
	case p.databaseBusy:
		return fmt.Errorf("databaseFile: %q has been locked by a writer for more than %v; "+
			"if that isn't Organizr, another program left a -journal or -wal file beside it", path, maxWait)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("databaseFile: %q, or the -wal beside it, can't be read: permission denied; let Traefik's user "+
			"read all of Organizr's data folder", path)
	case errors.Is(err, errNoFile) && p.source.databaseFile == "auto":
		return fmt.Errorf("databaseFile: %q %w, though config.php names it; mount Organizr's volume into Traefik at the "+
			"path where Organizr has it, or give the path that the database has there instead of auto", path, err)
	case errors.Is(err, errNoFile):
		return fmt.Errorf("databaseFile: %q %w; give the path of Organizr's database as Traefik sees it, or auto for the "+
			"one that config.php names", path, err)
	case err != nil:
		return fmt.Errorf("databaseFile: %q can't be read: %w; give the path of Organizr's own database, and see whether "+
			"Organizr itself still works with it", path, err)
	}
	p.database = read
	return nil
}

// databasePath returns where the database is: as databaseFile says, or as config.php does. For a link it is the target,
// beside which SQLite puts its journal and its log.
func (p *poller) databasePath() (string, error) {
	path, folder, name := p.source.databaseFile, p.settings["dbLocation"], p.settings["dbName"]
	driver := p.settings["driver"]
	switch {
	case driver != "" && driver != "sqlite3":
		return "", fmt.Errorf("databaseFile: %q says that Organizr's database is %s, and only SQLite can be followed; "+
			`set databaseFile to "none"`, p.source.configFile, driver)
	case path == "auto" && (folder == "" || name == ""):
		return "", fmt.Errorf("databaseFile: %q doesn't say where the database is; give its path", p.source.configFile)
	case path == "auto":
		path = folder + name // as Organizr joins them
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	return path, nil
}

// throttle makes newcomers wait before the database is read for them again: three times as long as the last reading
// took, up to a second, or not at all if it took less than a third of a millisecond.
func (p *poller) throttle(took time.Duration) {
	pause := 3 * took
	if pause < time.Millisecond {
		p.throttled = false
		return
	}
	if pause > pollInterval {
		pause = pollInterval
	}
	p.throttled = true
	pollNumber := p.polls.Load()
	afterFunc(pause, func() {
		p.Lock()
		if p.polls.Load() == pollNumber { // otherwise a later reading decides
			p.throttled = false
		}
		p.Unlock()
	})
}

// readOrWait reads the database, or returns errBusy while somebody is writing it. If what was read before is older than
// maxAge, it waits for the writer for up to maxWait, and then that is old. Newcomers aren't throttled meanwhile.
func (p *poller) readOrWait(path string) (*database, error) {
	arrived := time.Now()
	for {
		begun := now()
		read, err := p.reader.read(path)
		switch {
		case !errors.Is(err, errBusy):
			p.throttle(now().Sub(begun))
			return read, err
		case p.databaseOld || now().Sub(p.freeAt) <= maxAge:
			return nil, err
		case time.Since(arrived) > maxWait:
			p.databaseOld = true
			return nil, err
		}
		time.Sleep(waitInterval)
	}
}

// groupsFromRows returns the names of the groups by their numbers, from rows of the table groups (group_id, group). A
// group whose name isn't printable counts as one without a name; see newAccount.
func groupsFromRows(rows [][]string) map[string]string {
	groups := map[string]string{}
	for _, row := range rows {
		if !isUnprintable(row[1]) {
			groups[row[0]] = row[1]
		}
	}
	return groups
}

// accountsFromRows returns the accounts by the user's id, from rows of the table users (id, username, email, image,
// group_id, locked).
func accountsFromRows(rows [][]string, groups map[string]string) map[string]*account {
	accounts := map[string]*account{}
	for _, row := range rows {
		user := newAccount(map[string]string{
			"userID": row[0], "username": row[1], "email": row[2], "image": row[3], "groupID": row[4],
			"group": groups[row[4]],
		})
		if user != nil {
			user.locked = row[5] == "1" || row[5] == unreadable
			accounts[row[0]] = user
		}
	}
	return accounts
}

// sessionsAfter returns the sessions after the table tokens lost some rows and got others (token, user_id, expires,
// browser, ip). No two rows have the same token: Organizr made that column UNIQUE.
func sessionsAfter(sessions http.Header, lost, got [][]string) http.Header {
	sessions = sessions.Clone()
	for _, row := range lost {
		delete(sessions, row[0])
	}
	for _, row := range got {
		if row[0] != "" {
			sessions[row[0]] = row
		}
	}
	return sessions
}

// ---------------------------------------------------------------------------------------------------------------------
// Bound sessions
//
// Organizr can bind a session to the address or the browser with which it was made (its validateToken).

// A binding says what Organizr binds sessions to: an address if its setting matchUserIP is on, a browser if
// matchUserAgents is. Both are off unless somebody switches them on.
type binding struct {
	address, browser bool
	localRanges      []addressRange // from these addresses, sessions of any address are accepted
}

// An addressRange is a range of IPv4 addresses, both included.
type addressRange struct{ first, last int64 }

// organizrLocalRanges has the addresses that every Organizr takes for local (its localIPRanges).
var organizrLocalRanges = []addressRange{
	{0x0a000000, 0x0affffff}, // 10.0.0.0/8
	{0xac100000, 0xac1fffff}, // 172.16.0.0/12
	{0xc0a80000, 0xc0a8ffff}, // 192.168.0.0/16
	{0x7f000001, 0x7fffffff}, // 127.0.0.0/8 without its first address
}

// newBinding returns what the settings of config.php bind sessions to, or nil if to nothing.
func newBinding(settings map[string]string) *binding {
	isOn := func(name string) bool { return settings[name] != "" && settings[name] != "0" } // as in PHP
	b := &binding{address: isOn("matchUserIP"), browser: isOn("matchUserAgents"), localRanges: organizrLocalRanges}
	if !b.address && !b.browser {
		return nil
	}
	for _, text := range strings.Split(settings["localIPList"], ",") {
		if local, ok := parseAddressRange(strings.TrimSpace(text)); ok {
			b.localRanges = append(b.localRanges[:len(b.localRanges):len(b.localRanges)], local)
		}
	}
	return b
}

// parseAddressRange returns the range that an entry of localIPList stands for, as Organizr's convertIPToRange does: it
// replaces the last part by 0 unless the prefix has 32 bits, and counts from there.
func parseAddressRange(text string) (addressRange, bool) {
	base, bits, hasPrefix := strings.Cut(text, "/")
	first, ok := ipv4Number(base)
	if !hasPrefix || !ok {
		return addressRange{first, first}, ok
	}
	prefix, err := strconv.Atoi(bits)
	if err != nil || prefix < 0 || prefix > 32 {
		return addressRange{}, false
	}
	if prefix < 32 {
		first -= first % 256
	}
	size := int64(1) << uint(32-prefix)
	return addressRange{first, first + size - 1}, true
}

// ipv4Number returns an IPv4 address of four decimal parts as a number.
func ipv4Number(text string) (int64, bool) {
	address := net.ParseIP(text).To4()
	if address == nil || strings.Contains(text, ":") {
		return 0, false
	}
	return int64(binary.BigEndian.Uint32(address)), true
}

// What can be wrong with a visitor whose session is good.
var (
	errOtherAddress = errors.New("the session was made from another address, and Organizr's matchUserIP is on")
	errOtherBrowser = errors.New("the session was made with another browser, and Organizr's matchUserAgents is on")
)

// check returns nil if a visitor with this address and this browser may use the session (Organizr's validateToken).
func (b *binding) check(listed listedSession, address, browser string) error {
	if b.browser && listed.browser != browser {
		return errOtherBrowser
	}
	if b.address && listed.address != address && !b.isLocal(address) {
		return errOtherAddress
	}
	return nil
}

// isLocal reports whether an address is in one of localRanges. No IPv6 address is.
func (b *binding) isLocal(address string) bool {
	number, ok := ipv4Number(address)
	for _, local := range b.localRanges {
		if ok && local.first <= number && number <= local.last {
			return true
		}
	}
	return false
}

// ---------------------------------------------------------------------------------------------------------------------
// Tabs
//
// Organizr's tab editor says which group sees a service. Here that group may also enter it. Nothing opens by mistake:
// what has no tab, or a tab without a group, is for the administrator alone, as Organizr's own check has it (its
// getTabGroupByTabName).

// A tab is one of Organizr's tabs.
type tab struct {
	name     string // as people see it
	group    int    // that may enter; 0 if there is none
	hasGroup bool
	enabled  bool
}

// tabs are Organizr's tabs, by host and by name. Of several with the same name, the one with the most privileged group
// counts; of several with the same host, so does the one of those that are enabled, if any is.
type tabs struct {
	byHost map[string]*tab // in lower case, without port
	byName map[string]*tab // in lower case; enabled or not
}

// newTabs returns the tabs from rows of the table tabs (name, url, url_local, enabled, group_id). Organizr stores names
// escaped as HTML.
func newTabs(rows [][]string) *tabs {
	all := &tabs{byHost: map[string]*tab{}, byName: map[string]*tab{}}
	for _, row := range rows {
		group, hasGroup := groupNumbers[row[4]]
		shown := &tab{name: html.UnescapeString(row[0]), group: group, hasGroup: hasGroup, enabled: row[3] == "1"}
		if isUnprintable(shown.name) {
			shown.name = "(a name that is too long or can't be printed)"
		} else {
			name := strings.ToLower(shown.name)
			if other := all.byName[name]; other == nil || shown.group < other.group {
				all.byName[name] = shown
			}
		}
		for _, address := range row[1:3] {
			host := hostOfTab(address)
			if other := all.byHost[host]; other == nil || shown.isBefore(other) {
				all.byHost[host] = shown
			}
		}
	}
	delete(all.byHost, "")
	return all
}

// isBefore reports whether the tab counts rather than another one of the same host.
func (t *tab) isBefore(other *tab) bool {
	if t.enabled != other.enabled {
		return t.enabled
	}
	return t.group < other.group
}

// tabAddress matches the address of a tab that has a host: https://host/, //host/ or host/, each with or without a port
// and with anything behind it. What a browser might read otherwise has none: users and passwords, backslashes, spaces,
// percent signs, and Organizr's own placeholders, like {username}.
var tabAddress = regexp.MustCompile(
	`^(?:(?i:https?:)?//)?(?:([0-9a-zA-Z_.-]+)|\[([0-9a-fA-F:.]+)\])(?::[0-9]+)?(?:[/?#]|$)`)

// hostOfTab returns the host in the address of a tab, in lower case, without port and final dot. It returns nothing for
// what has no host: a path, Organizr's own pages, which begin with api/, and null, which Organizr takes for no address.
func hostOfTab(address string) string {
	address = strings.TrimSpace(address)
	parts := tabAddress.FindStringSubmatch(address)
	if parts == nil || strings.HasPrefix(address, "api/") || address == "null" {
		return ""
	}
	host := strings.TrimSuffix(strings.ToLower(parts[1]+parts[2]), ".")
	if host == "http" || host == "https" { // https:8080 isn't a host with a port to browsers
		return ""
	}
	return host
}

// ---------------------------------------------------------------------------------------------------------------------
// SQLite
//
// The file format is described at sqlite.org/fileformat2.html; section numbers below are that page's. The file can be
// read without SQLite's locks. What was read is one state of the database if, at some moment, there was no rollback
// journal, and nothing of what was read changed around that moment. With a write-ahead log it is one state if the log
// has at most grown since.
//
// The file is read in chunks of 64 KiB. A reading first compares the chunks that the tables are in with what they were,
// which takes milliseconds even for a large database. Only for the few chunks that somebody is writing does it wait for
// such a moment, and it parses only pages in chunks that have changed.
//
// Nothing in the file is trusted. Whatever is out of place ends the reading with an error. A user can make rows long
// (their picture, their browser's name), so of a row that doesn't fit into its page, not much more than 32 KiB is read.

const (
	maxReadings   = 4   // in a row, while somebody is writing
	headerSize    = 100 // bytes at the beginning of the file
	walHeaderSize = 32  // bytes at the beginning of the write-ahead log
)

var (
	errBusy    = errors.New("somebody is writing it")
	errDamaged = errors.New("it is damaged or cut off")
	errNoFile  = errors.New("isn't a file that can be read")
	errNoLog   = errors.New("the -wal beside it isn't a file that can be read")
	errFormat  = errors.New("it isn't an SQLite database, or it is cut off, or of a format that Organizr doesn't " +
		"write: its text isn't UTF-8, it is newer, or a big-endian machine wrote it")
)

// A databaseReader reads one database again and again.
type databaseReader struct {
	wantsTabs bool

	identity string // of the state that was read last; empty if that may not identify it
	err      error  // what was wrong with that state

	wanted   map[int64]bool // the chunks that the tables are in, by their numbers
	latest   *extract
	roots    map[string]*tablePage // of the latest extract that was one state of the database
	database *database
	tabs     *tabs // nil unless they are wanted
}

// An extract is what one reading found in the database's pages. If somebody was writing meanwhile, the database may
// never have been like this. The next reading still takes over what hasn't changed since.
type extract struct {
	chunks    map[int64][]byte      // that the tables are in, by their numbers
	walHeader string                // of the write-ahead log
	logged    map[int]int64         // see pageSource
	tables    map[string]*table     // by their names
	roots     map[string]*tablePage // of the schema and of these tables
}

// newDatabaseReader returns a reader that has read nothing yet.
func newDatabaseReader(wantsTabs bool) *databaseReader {
	return &databaseReader{
		wantsTabs: wantsTabs, wanted: map[int64]bool{}, latest: &extract{},
		database: &database{sessions: http.Header{}},
	}
}

// read returns what counts of the database at the path, or errBusy if somebody is writing. The pointer is the same as
// before if nothing has changed, so callers compare it.
func (r *databaseReader) read(path string) (*database, error) {
	for reading := 1; ; reading++ {
		state, err := stateOf(path)
		if err != nil {
			return nil, err
		}
		if state.identity != "" && state.identity == r.identity {
			return r.database, r.err
		}
		err = r.readState(path, state)
		if !errors.Is(err, errBusy) {
			r.err = err
			r.identity = ""
			if state.isReliable {
				r.identity = state.identity
			}
			return r.database, err
		}
		if reading == maxReadings {
			return nil, err
		}
	}
}

// A databaseState identifies what is in the file at a moment.
type databaseState struct {
	identity   string // size, modification time and header of the file and of its log; empty while it is being written
	walHeader  string // empty if there is no log, or nothing in it
	isReliable bool   // the same identity means the same content
	usesLog    bool   // there can be a write-ahead log
}

// stateOf returns the state of the database at the path, or an error if its files can't be read.
//
// With a write-ahead log the file's header needn't count changes (section 1.3.1), and a file that changes twice within
// a tick of the file system's clock keeps its modification time. So there the identity counts only if the last change
// is more than a second ago.
func stateOf(path string) (databaseState, error) {
	isWritten := hasJournal(path)
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrPermission) {
		return databaseState{}, err
	}
	if err != nil || !info.Mode().IsRegular() {
		return databaseState{}, errNoFile
	}
	fileHeader := beginningOf(path, headerSize)
	state := databaseState{
		identity: fmt.Sprint(path, " ", info.Size(), " ", info.ModTime().UnixNano(), " ", fileHeader),
	}
	walInfo, walHeader, err := readWALHeader(path + "-wal")
	if err != nil {
		return databaseState{}, err
	}
	if walHeader != "" {
		state.walHeader = walHeader
		state.identity += fmt.Sprint(" ", walInfo.Size(), " ", walInfo.ModTime().UnixNano(), " ", walHeader)
		info = walInfo
	}
	const rollbackJournal = 1
	state.usesLog = bigEndian(fileHeader, 18, 1) != rollbackJournal
	state.isReliable = !state.usesLog || time.Since(info.ModTime()) > time.Second
	if isWritten {
		state.identity = ""
	}
	return state, nil
}

// readWALHeader returns what is known of the write-ahead log at the path, and its header, which is empty if there is no
// log or nothing in it. SQLite may replace the log at any moment, so both are of one open file.
func readWALHeader(path string) (os.FileInfo, string, error) {
	file, err := os.Open(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, "", nil
	case err != nil:
		return nil, "", err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, "", errNoLog
	}
	return info, textAt(file, 0, walHeaderSize), nil
}

// hasJournal reports whether there is a rollback journal: a transaction may be half written.
func hasJournal(path string) bool {
	journal, err := os.Stat(path + "-journal")
	return err == nil && journal.Size() > 0
}

// readState reads the database, which was in this state a moment ago. It returns errBusy if what it read may not be one
// state of the database.
func (r *databaseReader) readState(path string, state databaseState) error {
	file, err := os.Open(path)
	if err != nil {
		return errors.Unwrap(err)
	}
	defer func() { _ = file.Close() }()
	wal, _ := os.Open(path + "-wal") // nothing can be read from a nil file
	defer func() { _ = wal.Close() }()
	size, _ := file.Seek(0, io.SeekEnd)
	pages := newPageSource(file, wal, size, r.latest)
	copied, err := r.copyPages(pages, path, state)
	if err != nil {
		return err
	}
	err = r.takeExtract(pages)
	if !isOneState(pages, path, copied) {
		return errBusy
	}
	if err == nil {
		r.interpret()
	}
	return err
}

// copyPages copies the chunks that the tables were in last time, and returns the state that they belong to. It returns
// errBusy if they belong to none, and an error if it isn't a database.
func (r *databaseReader) copyPages(pages *pageSource, path string, state databaseState) (databaseState, error) {
	if state.walHeader != "" {
		pages.copyChunks(r.wanted, nil)
	} else if err := pages.settle(path, r.wanted); err != nil {
		return state, err
	}
	headerErr := pages.readHeaders()
	copied, err := stateOf(path)
	if err != nil {
		return copied, err
	}
	hadLog := state.walHeader == "" && len(pages.logged) > 0 // one that was there only in between
	if copied.walHeader != state.walHeader || hadLog {
		return copied, errBusy
	}
	if state.walHeader == "" && copied.identity != state.identity {
		if state.usesLog { // which is written back into the file without a journal
			return copied, errBusy
		}
		copied.identity = "" // what is copied later belongs to another state
	}
	return copied, headerErr
}

// isOneState reports whether all pages that were read belong to the state that was copied.
func isOneState(pages *pageSource, path string, copied databaseState) bool {
	if !pages.hasLatePages && copied.walHeader == "" {
		return true // as settle has found
	}
	parsed, err := stateOf(path)
	isSame := parsed.identity == copied.identity && copied.identity != ""
	return err == nil && (isSame || parsed.continues(copied) && !pages.hasLatePages)
}

// continues reports whether the log has at most grown since an earlier state. Pages that SQLite copies from the log
// into the file stay in the log until a new one begins. So what was read of the file in the earlier state, and of the
// log since, belongs together.
func (s databaseState) continues(earlier databaseState) bool {
	return earlier.walHeader != "" && s.walHeader == earlier.walHeader
}

// takeExtract replaces the latest extract by one of these pages. What is the same in both has the same pointer.
func (r *databaseReader) takeExtract(pages *pageSource) error {
	next, err := r.readTables(pages)
	if err != nil {
		for chunk := range pages.chunks {
			r.wanted[chunk] = true // so that all is copied at once the next time
		}
		return err
	}
	r.wanted = map[int64]bool{}
	for _, root := range next.roots {
		for chunk := range root.chunks {
			r.wanted[chunk] = true
			next.chunks[chunk] = pages.chunks[chunk]
		}
	}
	r.latest = next
	return nil
}

// tablesThatCount has the name of each table that counts, with its columns in the order in which a row has them.
var tablesThatCount = [][]string{
	{"groups", "group_id", "group"},
	{"users", "id", "username", "email", "image", "group_id", "locked"},
	{"tokens", "token", "user_id", "expires", "browser", "ip"},
	{"tabs", "name", "url", "url_local", "enabled", "group_id"},
}

// readTables reads the schema and the tables.
func (r *databaseReader) readTables(pages *pageSource) (*extract, error) {
	next := &extract{
		chunks: map[int64][]byte{}, walHeader: pages.walHeader, logged: pages.logged,
		tables: map[string]*table{}, roots: map[string]*tablePage{},
	}
	before := r.latest.roots
	schema, err := schemaTable.readPage(pages, schemaTable.root, before[schemaTable.name], 1)
	if err != nil {
		return nil, err
	}
	next.roots[schemaTable.name] = schema
	hasSameTables := schema == before[schemaTable.name]
	var missing error
	for _, names := range tablesThatCount {
		name, columns := names[0], names[1:]
		if name == "tabs" && !r.wantsTabs {
			continue
		}
		found, rootBefore := r.latest.tables[name], before[name]
		if !hasSameTables {
			rootBefore = nil
			found, err = findTable(schema.rowsNotIn(nil), name, columns)
			if err != nil {
				missing = errors.Join(missing, err)
				continue
			}
		}
		root, err := found.readPage(pages, found.root, rootBefore, 1)
		if err != nil {
			return nil, err
		}
		next.tables[name] = found
		next.roots[name] = root
	}
	return next, missing
}

// interpret makes the database and the tabs of the latest extract. What hasn't changed keeps its pointer.
func (r *databaseReader) interpret() {
	before, after := r.roots, r.latest.roots
	r.roots = after
	if before["tabs"] != after["tabs"] {
		r.tabs = newTabs(after["tabs"].rowsNotIn(nil))
	}
	if before["groups"] == after["groups"] && before["users"] == after["users"] && before["tokens"] == after["tokens"] {
		return
	}
	lost, got := before["tokens"].rowsNotIn(after["tokens"]), after["tokens"].rowsNotIn(before["tokens"])
	groups := groupsFromRows(after["groups"].rowsNotIn(nil))
	read := &database{
		groups: groups, accounts: accountsFromRows(after["users"].rowsNotIn(nil), groups),
		sessions: sessionsAfter(r.database.sessions, lost, got), ended: r.database.ended,
	}
	if reflect.DeepEqual(read, r.database) { // rows have only moved to other pages
		return
	}
	read.ended = map[string]bool{}
	for _, row := range lost {
		read.ended[row[0]] = read.sessions[row[0]] == nil
	}
	r.database = read
}

// ---------------------------------------------------------------------------------------------------------------------
// Pages
//
// SQLite's file consists of pages of one size, and is read in chunks of several. A page may have a newer version in the
// write-ahead log.

const (
	chunkSize       = 64 << 10 // bytes that are copied at once; a multiple of every page size
	maxRounds       = 4        // of one reading, each with more chunks that somebody is writing
	maxSettlings    = 100      // attempts to catch a moment at which nobody writes
	settlingPause   = 200 * time.Microsecond
	frameHeaderSize = 24 // bytes before each page in the write-ahead log
)

// A pageSource returns the pages of a database.
type pageSource struct {
	file, wal    io.ReaderAt
	size         int64            // of the file, in bytes
	pageSize     int              // bytes
	usable       int              // bytes of a page that aren't reserved
	walHeader    string           // of the write-ahead log
	logged       map[int]int64    // offsets in the log of the pages that it has committed
	last         *extract         // of the last reading
	chunks       map[int64][]byte // by their numbers
	changed      map[int64]bool   // numbers of those with pages that may have changed since the last reading
	relogged     map[int]bool     // pages that since then have come into the log or left it, or are elsewhere in it
	seen         map[int]bool     // the pages of tables that have been looked at
	hasLatePages bool             // some were read after the others were copied
	overflowLeft int64            // bytes of overflow pages that may still be read: in a damaged file, rows can share them
}

// newPageSource returns a source of the pages in a file of this size and in its log. Nothing has been read yet.
func newPageSource(file, wal io.ReaderAt, size int64, last *extract) *pageSource {
	return &pageSource{
		file: file, wal: wal, size: size, last: last,
		chunks: map[int64][]byte{}, changed: map[int64]bool{}, relogged: map[int]bool{}, seen: map[int]bool{},
	}
}

// copyChunks copies the wanted chunks, apart from the excepted ones. It returns those that had been copied before, in
// this reading or the last one, and have changed since. Of a chunk that hasn't changed it keeps the earlier copy.
func (s *pageSource) copyChunks(wanted, except map[int64]bool) (rewritten map[int64]bool) {
	rewritten = map[int64]bool{}
	buffer := make([]byte, chunkSize)
	for chunk := range wanted {
		if except[chunk] {
			continue
		}
		length, _ := s.file.ReadAt(buffer, chunk*chunkSize)
		content := buffer[:length]
		before := s.chunks[chunk]
		if before == nil {
			before = s.last.chunks[chunk]
		}
		if before != nil && bytes.Equal(before, content) {
			s.chunks[chunk] = before
			continue
		}
		s.chunks[chunk] = bytes.Clone(content)
		s.changed[chunk] = true
		if before != nil {
			rewritten[chunk] = true
		}
	}
	return rewritten
}

// settle copies the wanted chunks as they were at a moment when no transaction was half written. It returns errBusy if
// there was no such moment.
//
// In a large file, most chunks don't change around that moment. Those that somebody is writing are few enough to be
// copied between two transactions.
func (s *pageSource) settle(path string, wanted map[int64]bool) error {
	written := s.copyChunks(wanted, nil) // since the last reading, and maybe right now
	for round := 0; round < maxRounds; round++ {
		if len(wanted) > 0 && !s.settleWritten(path, written) {
			return errBusy
		}
		rewritten := s.copyChunks(wanted, written)
		if len(rewritten) == 0 {
			return nil
		}
		for chunk := range rewritten {
			written[chunk] = true
		}
	}
	return errBusy
}

// settleWritten does what settle does for the few chunks that somebody is writing. It reports whether there was such a
// moment.
func (s *pageSource) settleWritten(path string, written map[int64]bool) bool {
	for attempt := 0; attempt < maxSettlings; attempt++ {
		s.copyChunks(written, nil)
		if !hasJournal(path) && len(s.copyChunks(written, nil)) == 0 {
			return true
		}
		time.Sleep(settlingPause)
	}
	return false
}

// readHeaders reads the file's header and which pages the log has (sections 1.3 and 4). It returns errFormat if this
// isn't a database as Organizr has one, and errBusy while the log is being written.
func (s *pageSource) readHeaders() error {
	s.walHeader = textAt(s.wal, 0, walHeaderSize)
	logged, err := readLog(s.wal, s.walHeader)
	if err != nil {
		return err
	}
	s.logged = logged
	fileHeader := textAt(s.file, 0, headerSize)
	if offset, ok := logged[1]; ok {
		fileHeader = textAt(s.wal, offset, headerSize)
	}
	const (
		maxReadVersion  = 2 // the write-ahead log
		maxSchemaFormat = 4
		utf8Text        = 1
	)
	s.pageSize = bigEndian(fileHeader, 16, 2)
	if s.pageSize == 1 {
		s.pageSize = 1 << 16
	}
	s.usable = s.pageSize - bigEndian(fileHeader, 20, 1)
	s.overflowLeft = 8 * (s.size + int64(len(logged)*s.pageSize))
	if !strings.HasPrefix(fileHeader, "SQLite format 3\x00") || s.usable < 480 || s.pageSize&(s.pageSize-1) != 0 ||
		bigEndian(fileHeader, 19, 1) > maxReadVersion || bigEndian(fileHeader, 44, 4) > maxSchemaFormat ||
		bigEndian(fileHeader, 56, 4) != utf8Text {
		return errFormat
	}
	s.noteRelogged()
	return nil
}

// readLog returns the offsets of the pages that a write-ahead log has committed (section 4). The last frame of a commit
// is written last: if its checksum is wrong, the log is being written.
func readLog(wal io.ReaderAt, walHeader string) (map[int]int64, error) {
	const magic, magicOfBigEndian = 0x377f0682, 0x377f0683
	if walHeader == "" {
		return nil, nil
	}
	length := frameHeaderSize + bigEndian(walHeader, 8, 4)
	if bigEndian(walHeader, 0, 4) == magicOfBigEndian {
		return nil, errFormat
	}
	if len(walHeader) < walHeaderSize || bigEndian(walHeader, 0, 4) != magic || length < 512 || length > 1<<17 {
		return nil, errBusy
	}
	salts, sums := walHeader[16:24], walHeader[24:]
	logged, uncommitted := map[int]int64{}, map[int]int64{}
	last, sumsBeforeLast := int64(0), "" // of the last commit
	for offset := int64(walHeaderSize); ; offset += int64(length) {
		frame := textAt(wal, offset, frameHeaderSize)
		if len(frame) < frameHeaderSize || frame[8:16] != salts {
			break
		}
		uncommitted[bigEndian(frame, 0, 4)] = offset + frameHeaderSize
		if isCommit := bigEndian(frame, 4, 4) > 0; isCommit {
			for page, newer := range uncommitted {
				logged[page] = newer
			}
			uncommitted = map[int]int64{}
			last, sumsBeforeLast = offset, sums
		}
		sums = frame[16:]
	}
	if last > 0 && !isValidFrame(textAt(wal, last, length), sumsBeforeLast, length) {
		return nil, errBusy
	}
	return logged, nil
}

// isValidFrame reports whether a frame is whole and has the right checksum, which continues that of the frame before
// (section 4.2).
func isValidFrame(frame, sumsBefore string, length int) bool {
	if len(frame) < length {
		return false
	}
	first, second := uint32(bigEndian(sumsBefore, 0, 4)), uint32(bigEndian(sumsBefore, 4, 4))
	for words := []byte(frame[:8] + frame[frameHeaderSize:]); len(words) > 7; words = words[8:] {
		first += binary.LittleEndian.Uint32(words) + second
		second += binary.LittleEndian.Uint32(words[4:]) + first
	}
	return int(first) == bigEndian(frame, 16, 4) && int(second) == bigEndian(frame, 20, 4)
}

// noteRelogged notes the pages that have come into the log since the last reading or left it, or are elsewhere in it.
func (s *pageSource) noteRelogged() {
	for _, logged := range []map[int]int64{s.logged, s.last.logged} {
		for page := range logged {
			if s.logged[page] != s.last.logged[page] || s.walHeader != s.last.walHeader {
				s.relogged[page] = true
				s.changed[s.chunkOf(page)] = true
			}
		}
	}
}

// chunkOf returns the number of the chunk that has a page.
func (s *pageSource) chunkOf(page int) int64 {
	return int64(page-1) * int64(s.pageSize) / chunkSize
}

// haveChanged reports whether pages in any of these chunks may have changed since the last reading.
func (s *pageSource) haveChanged(chunks map[int64]bool) bool {
	for chunk := range chunks {
		if s.changed[chunk] {
			return true
		}
	}
	return false
}

// areSame reports whether pages are what they were in the last reading.
func (s *pageSource) areSame(pages []int) bool {
	for _, page := range pages {
		isInFile := s.logged[page] == 0
		if s.relogged[page] || isInFile && !bytes.Equal(s.pageIn(s.chunks, page), s.pageIn(s.last.chunks, page)) {
			return false
		}
	}
	return true
}

// pageIn returns a page from these chunks, or nothing if it isn't there.
func (s *pageSource) pageIn(chunks map[int64][]byte, page int) []byte {
	chunk := chunks[s.chunkOf(page)]
	begin := int(int64(page-1) * int64(s.pageSize) % chunkSize)
	if begin+s.pageSize > len(chunk) {
		return nil
	}
	return chunk[begin : begin+s.pageSize]
}

// page returns the text of a page, the first of which is 1. It returns errDamaged if there is no such page.
func (s *pageSource) page(number int) (string, error) {
	text := ""
	if offset, ok := s.logged[number]; ok {
		text = textAt(s.wal, offset, s.pageSize)
	} else if number > 0 {
		chunk := s.chunkOf(number)
		if s.chunks[chunk] == nil {
			s.chunks[chunk] = []byte(textAt(s.file, chunk*chunkSize, chunkSize))
			s.changed[chunk] = true
			s.hasLatePages = true
		}
		text = string(s.pageIn(s.chunks, number))
	}
	if len(text) < s.pageSize {
		return "", errDamaged
	}
	return text, nil
}

// ---------------------------------------------------------------------------------------------------------------------
// Tables

const (
	maxRowLength   = 32 << 10       // bytes of a row, after which no further page is read for it
	maxValueLength = maxTokenLength // bytes
	maxTreeDepth   = 20             // of a tree of pages, as in SQLite
	unreadable     = "\x00"         // stands for a value that is too long
)

// A table is a B-tree of pages (section 1.6). Only some of its columns count.
type table struct {
	name    string
	root    int // the number of its first page
	columns []string
	indexes []int // for each column, its place in a row, or -1 if it doesn't count
	id      int   // the column called id, or -1; where it is NULL, it is the row's own number (section 2.3)
	width   int   // how many columns count
}

// schemaTable is the table that lists all tables (section 2.6). Of its columns type, name, rootpage and sql count.
var schemaTable = &table{name: "sqlite_schema", root: 1, indexes: []int{0, 1, -1, 2, 3}, id: -1, width: 4}

// A tablePage is what a page of a table and all pages below it say. It doesn't change. Its rows are in no order, and
// have the columns that count, as text. What is missing, NULL, or neither text nor a whole number is empty.
type tablePage struct {
	numbers  []int // of the page, and of those where its rows go on
	rows     [][]string
	children []int              // numbers of the pages below it
	below    map[int]*tablePage // these pages
	chunks   map[int64]bool     // numbers of the chunks that all this is in
}

// findTable returns the table with this name, given the rows of the schema and the columns that count.
func findTable(schema [][]string, name string, columns []string) (*table, error) {
	found := &table{name: name}
	for _, row := range schema {
		kind, rowName, root, sql := row[0], row[1], row[2], row[3]
		if kind == "table" && strings.EqualFold(rowName, name) {
			found.root, _ = strconv.Atoi(root)
			found.columns = columnsOf(sql)
		}
	}
	if err := found.selectColumns(columns); err != nil {
		return nil, err
	}
	return found, nil
}

// selectColumns sets the columns that count, in the order in which a row has them. It returns an error if the table
// lacks one.
func (t *table) selectColumns(names []string) error {
	t.width = len(names)
	t.id = slices.Index(t.columns, "id")
	last := -1
	t.indexes = make([]int, len(t.columns))
	for column, name := range t.columns {
		t.indexes[column] = slices.Index(names, name)
		if t.indexes[column] >= 0 {
			last = column
		}
	}
	t.indexes = t.indexes[:last+1]
	for _, name := range names {
		if !slices.Contains(t.columns, name) {
			return fmt.Errorf("it has no table %q with a column %q, as Organizr's has once it is set up", t.name, name)
		}
	}
	return nil
}

var (
	// sqlPart matches what a definition of a column is made of, so that only commas between definitions are left.
	sqlPart = regexp.MustCompile(`--[^\n]*|/\*(?s:.*?)\*/|'(?:[^']|'')*'|"(?:[^"]|"")*"|` + "`[^`]*`" +
		`|\[[^\]]*\]|\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)|[^,()'"\[` + "`" + `]`)
	sqlComment = regexp.MustCompile(`--[^\n]*|/\*(?s:.*?)\*/`)
	sqlName    = regexp.MustCompile("^\\s*(?:\"([^\"]+)\"|`([^`]+)`|\\[([^\\]]+)\\]|'([^']+)'|([\\pL\\pN_$]+))")

	// sqlGenerated matches a column that rows may not have.
	sqlGenerated = regexp.MustCompile(`(?i)\bas\s*\(|\bgenerated\b`)
)

// columnsOf returns the names of the columns that a CREATE TABLE defines, in lower case, or none if it isn't
// understood: with a column too many or too few, somebody's name might be read as their group. A constraint of the
// table counts as a column: it comes after all of them, so it moves none.
func columnsOf(sql string) []string {
	_, body, _ := strings.Cut(sql, "(")
	end := strings.LastIndexByte(body, ')')
	if end < 0 {
		return nil
	}
	body = body[:end]
	var columns []string
	for len(body) > 0 {
		definition := ""
		for part := sqlPart.FindStringIndex(body); part != nil && part[0] == 0; part = sqlPart.FindStringIndex(body) {
			definition += body[:part[1]]
			body = body[part[1]:]
		}
		if body != "" && body[0] != ',' {
			return nil
		}
		body = strings.TrimPrefix(body, ",")
		definition = sqlComment.ReplaceAllString(definition, " ")
		name := sqlName.FindStringSubmatch(definition)
		if name == nil || sqlGenerated.MatchString(definition) {
			return nil
		}
		columns = append(columns, strings.ToLower(strings.Join(name[1:], "")))
	}
	return columns
}

// rowsNotIn returns the rows of a page and of those below it, apart from pages that the other page has too. Both can be
// nil.
func (p *tablePage) rowsNotIn(other *tablePage) [][]string {
	if p == nil || p == other {
		return nil
	}
	rows := p.rows
	for number, page := range p.below {
		var same *tablePage
		if other != nil {
			same = other.below[number]
		}
		if page != same {
			rows = append(rows, page.rowsNotIn(same)...)
		}
	}
	return rows
}

// readPage reads a page and all below it. It returns what was there before if that is the same, and doesn't look at
// chunks that haven't changed.
func (t *table) readPage(pages *pageSource, number int, before *tablePage, depth int) (*tablePage, error) {
	if before != nil && !pages.haveChanged(before.chunks) {
		return before, nil
	}
	if depth > maxTreeDepth || pages.seen[number] { // no page has two parents
		return nil, errDamaged
	}
	pages.seen[number] = true
	page := before
	if before == nil || !pages.areSame(before.numbers) {
		parsed, err := t.parsePage(pages, number)
		if err != nil {
			return nil, err
		}
		page = parsed
	}
	if len(page.children) > 0 {
		withBelow, err := t.readBelow(pages, page, before, depth)
		if err != nil {
			return nil, err
		}
		page = withBelow
	}
	if before != nil && reflect.DeepEqual(page, before) {
		return before, nil
	}
	return page, nil
}

// readBelow returns an interior page with those below it.
func (t *table) readBelow(pages *pageSource, interior, before *tablePage, depth int) (*tablePage, error) {
	page := &tablePage{
		numbers: interior.numbers, children: interior.children, below: make(map[int]*tablePage, len(interior.children)),
		chunks: map[int64]bool{pages.chunkOf(interior.numbers[0]): true},
	}
	known := map[int]*tablePage{}
	if before != nil {
		known = before.below
	}
	for _, child := range page.children {
		below, err := t.readPage(pages, child, known[child], depth+1)
		if err != nil {
			return nil, err
		}
		page.below[child] = below
		for chunk := range below.chunks {
			page.chunks[chunk] = true
		}
	}
	return page, nil
}

// parsePage returns what is on a page of the table, without the pages below it.
func (t *table) parsePage(pages *pageSource, number int) (*tablePage, error) {
	const interior, leaf = 5, 13
	content, err := pages.page(number)
	if err != nil {
		return nil, err
	}
	page := &tablePage{numbers: []int{number}, chunks: map[int64]bool{pages.chunkOf(number): true}}
	start := 0
	if number == 1 {
		start = headerSize
	}
	kind, count, pointer := content[start], bigEndian(content, start+3, 2), start+8
	if kind == interior {
		page.children = append(page.children, bigEndian(content, pointer, 4))
		pointer += 4
	} else if kind != leaf {
		return nil, errDamaged
	}
	if pointer+2*count > len(content) {
		return nil, errDamaged
	}
	cells := make([]int, count)
	for i := range cells {
		cells[i] = int(content[pointer])<<8 | int(content[pointer+1])
		pointer += 2
		if kind == interior {
			page.children = append(page.children, bigEndian(content, cells[i], 4))
		}
	}
	if kind == leaf {
		records, err := readRecords(pages, page, content, cells)
		if err != nil {
			return nil, err
		}
		page.rows, err = t.rowsOf(records)
		if err != nil {
			return nil, err
		}
	}
	return page, nil
}

// A record is a row as it is stored (section 2.1).
type record struct {
	rowid     int64
	length    int64  // bytes
	text      string // all of it, or its beginning
	types     int    // the offset of its columns' types
	headerEnd int64  // the offset behind them, where the values begin
}

// readRecords returns the records in these cells of a leaf page.
func readRecords(pages *pageSource, page *tablePage, content string, cells []int) ([]record, error) {
	var err error
	records := make([]record, len(cells))
	for i, cell := range cells {
		length, next := varint(content, cell)
		rowid, begin := varint(content, next)
		if begin < 0 || length < 1 {
			return nil, errDamaged
		}
		text := content[begin:]
		isOverflowing := length > int64(pages.usable-35)
		if !isOverflowing && length > int64(len(text)) {
			return nil, errDamaged
		}
		if !isOverflowing {
			text = text[:length]
		} else if text, err = readOverflowing(pages, page, text, length); err != nil {
			return nil, err
		}
		headerEnd, types := varint(text, 0)
		if headerEnd < 1 || headerEnd > int64(len(text)) {
			return nil, errDamaged
		}
		records[i] = record{rowid: rowid, length: length, text: text, types: types, headerEnd: headerEnd}
	}
	return records, nil
}

// readOverflowing returns a record of this length that begins in the rest of its leaf page and goes on in overflow
// pages (section 1.6). It reads no page beyond the first 32 KiB, and returns the last page whole. It adds the numbers
// of the overflow pages to the leaf page.
func readOverflowing(pages *pageSource, page *tablePage, rest string, length int64) (string, error) {
	minLocal := (pages.usable-12)*32/255 - 23
	local := minLocal + int((length-int64(minLocal))%int64(pages.usable-4))
	if local > pages.usable-35 {
		local = minLocal
	}
	if local+4 > len(rest) {
		return "", errDamaged
	}
	text := rest[:local]
	for next := bigEndian(rest, local, 4); int64(len(text)) < length && len(text) < maxRowLength; {
		overflow, err := pages.page(next)
		pages.overflowLeft -= int64(pages.pageSize)
		if err != nil || pages.overflowLeft < 0 {
			return "", errDamaged
		}
		page.numbers = append(page.numbers, next)
		page.chunks[pages.chunkOf(next)] = true
		next = bigEndian(overflow, 0, 4)
		text += overflow[4:pages.usable]
	}
	return text, nil
}

// rowsOf returns the columns that count of each record. A column's type is a number of one to nine bytes, seven bits in
// each. Behind the last type there may be columns that were added later. Nothing is called for most columns: calls are
// slow in Yaegi, and there can be a hundred thousand rows.
func (t *table) rowsOf(records []record) ([][]string, error) {
	rows := make([][]string, len(records))
	for i, stored := range records {
		row := make([]string, t.width)
		column := 0
		serialType := int64(0)
		value := stored.headerEnd // the offset of the column's value
		for next := stored.types; int64(next) < stored.headerEnd && column < len(t.indexes); next++ {
			octet := stored.text[next]
			serialType = serialType<<7 | int64(octet&0x7f)
			if octet >= 0x80 && serialType < math.MaxInt32 {
				continue
			}
			size := (serialType - 12) / 2 // of a text or a blob
			if serialType < 12 {
				size = serialTypeSize[serialType]
			}
			if size > stored.length-value {
				return nil, errDamaged
			}
			if index := t.indexes[column]; index >= 0 {
				switch {
				case size > maxValueLength || value+size > int64(len(stored.text)):
					row[index] = unreadable
				case serialType >= 13 && serialType&1 == 1:
					row[index] = stored.text[value : value+size]
				case serialType == 0 && column == t.id:
					row[index] = strconv.FormatInt(stored.rowid, 10)
				default:
					row[index] = numberOf(stored.text[value:value+size], serialType)
				}
			}
			value += size
			serialType = 0
			column++
		}
		rows[i] = row
	}
	return rows, nil
}

// serialTypeSize has the size in bytes of what isn't a text or a blob, by its type (section 2.1). What has no size fits
// into no record.
var serialTypeSize = []int64{0, 1, 2, 3, 4, 6, 8, 8, 0, 0, math.MaxInt64, math.MaxInt64}

// numberOf returns a whole number of a type as text, and nothing for any other value. No number that counts is
// negative.
func numberOf(value string, serialType int64) string {
	switch {
	case serialType == 8 || serialType == 9: // the numbers 0 and 1
		return strconv.FormatInt(serialType-8, 10)
	case serialType > 0 && serialType < 7 && value[0] < 0x80:
		number := int64(0)
		for _, octet := range []byte(value) {
			number = number<<8 | int64(octet)
		}
		return strconv.FormatInt(number, 10)
	}
	return ""
}

// beginningOf returns the first bytes of a file, or nothing if it can't be read.
func beginningOf(path string, length int) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = file.Close() }()
	return textAt(file, 0, length)
}

// textAt returns so many bytes at an offset, or fewer at the end.
func textAt(reader io.ReaderAt, offset int64, length int) string {
	content := make([]byte, length)
	read, _ := reader.ReadAt(content, offset)
	return string(content[:read])
}

// bigEndian returns the number that these bytes are, or -1 if they aren't all there.
func bigEndian(text string, offset, length int) int {
	if offset < 0 || offset+length > len(text) {
		return -1
	}
	value := 0
	for _, octet := range []byte(text[offset : offset+length]) {
		value = value<<8 | int(octet)
	}
	return value
}

// varint returns a number of one to nine bytes, and the offset behind it, or -1 if it isn't all there (section 1.6).
func varint(text string, offset int) (int64, int) {
	value := int64(0)
	for i := offset; i >= 0 && i < len(text); i++ {
		if i == offset+8 {
			return value<<8 | int64(text[i]), i + 1
		}
		value = value<<7 | int64(text[i]&0x7f)
		if text[i] < 0x80 {
			return value, i + 1
		}
	}
	return 0, -1
}
