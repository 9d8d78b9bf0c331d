package organizrjwt

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
)

const (
	cookiePrefix    = "organizr_token_" // and then the uuid: Organizr's api/classes/organizr.class.php
	longestToken    = 8 << 10           // bytes
	signatureLength = 44                // bytes: 32 in base64, and the dot before them
	longestFile     = 1 << 20           // bytes
	shortestSecret  = 32                // bytes, RFC 7518 section 3.2
	nbfLeeway       = 60                // seconds by which Organizr's clock may be ahead
	longestTime     = 9e9               // seconds since the epoch, the year 2255: later ones mean the same
)

// The clock: at any moment since(epoch) is the Unix time. Tests set it.
var (
	since = time.Since
	epoch = time.Unix(0, 0)
)

// A key is what one Organizr signs its sessions with.
type key struct {
	cookie string   // the name of the cookie that carries a session
	secret []byte   // organizrHash, its text as it stands
	nobody *visitor // whoever comes without one
}

// A visitor is who sent a request, and what is forwarded to the service for them.
type visitor struct {
	session *session // nil if nobody is logged in

	// standing is 1000 less the group that the visitor counts as: 1000 for Admin, 1 for nobody, and 0 for those
	// who never get in. So what isn't set opens nothing.
	standing int

	values   [][]string    // of the headers that the service gets from us, in the order of told; nil for none
	byCookie bool          // the session came in a cookie, so a browser sends it whoever asks
	expires  time.Duration // the Unix time
	reason   string        // why there is no session, quoted for the log
	hadToken bool          // but a token that isn't one
}

const everyone = 1000 // what standing and group add up to for whoever may enter

const guest = 999 // the group of those who aren't logged in (Organizr's api/classes/organizr.class.php)

// A session is a token that verify found good.
type session struct {
	token   string
	claims  map[string]any // by the names that the options have for them; groupID is text
	groupID int            // 0 to 999
	expires time.Duration  // the Unix time
}

// What can be wrong with a token. None of them holds any part of it.
var (
	errTooLong   = errors.New("the token is longer than 8 KiB")
	errForm      = errors.New("the token isn't three parts of base64url")
	errSignature = errors.New("the signature isn't made with this secret; it must be the organizrHash of the Organizr that visitors log in to")
	errHeader    = errors.New("the token's header isn't that of a JWT signed with HS256")
	errClaims    = errors.New("the token's claims aren't a JSON object")
	errIssuer    = errors.New("the token's issuer or audience isn't Organizr")
	errExpired   = errors.New("the session has expired")
	errNotYet    = errors.New("the session isn't valid yet; do the clocks of Organizr and Traefik agree?")
	errGroup     = errors.New("the token's groupID isn't a whole number from 0 to 999")
)

var errCookies = errors.New("the Cookie header is longer than 32 KiB")

// strangers are the visitors with a token that isn't a session, by what is wrong with it.
var strangers = newStrangers(errTooLong, errForm, errSignature, errHeader, errClaims, errIssuer, errExpired, errNotYet, errGroup, errCookies)

func newStrangers(problems ...error) map[error]*visitor {
	strangers := map[error]*visitor{}
	for _, problem := range problems {
		strangers[problem] = &visitor{standing: everyone - guest, reason: strconv.Quote(problem.Error()), hadToken: true}
	}
	return strangers
}

// verify returns the session that the token stands for at the given Unix time, or the error that says why it stands
// for none. The token has no line breaks: the decoder would skip them.
//
// The signature is the HMAC-SHA256 of all that is before it (RFC 7518, section 3.2), and is compared in constant time.
// Nothing else is decoded before that, so a forger reaches no more code than this. The secret of a key is never blank.
func verify(token string, by *key, at time.Duration) (*session, error) {
	if len(token) > longestToken {
		return nil, errTooLong
	}
	end := len(token) - signatureLength
	if end < 0 || token[end] != '.' {
		return nil, errForm
	}
	text := token[:end]
	mac := hmac.New(sha256.New, by.secret)
	_, _ = io.WriteString(mac, text)
	signature, _ := strict.DecodeString(token[end+1:]) // to less than 32 bytes if there is any mistake
	if hmac.Equal(mac.Sum(nil), signature) {
		return open(token, text, at)
	}
	return nil, errSignature
}

// strict is the encoding of a token's parts (RFC 7515, section 2), with no stray bits in the last character.
var strict = base64.RawURLEncoding.Strict()

// open decodes the text of a token whose signature is right, and returns the session that it stands for. Control
// characters are taken out of the claims only after those were validated, since that makes others of them.
func open(token, text string, at time.Duration) (*session, error) {
	encoded, usual := strings.CutPrefix(text, organizrHeader)
	if !usual {
		return openOther(token, text, at)
	}
	decoded, err := strict.DecodeString(encoded)
	if err != nil {
		return nil, errForm
	}
	given := new(payload)
	given.NotBefore = 0.0 // unless it says otherwise
	if json.Unmarshal(decoded, given) != nil {
		return nil, errClaims
	}
	found, err := validate(given, at)
	if err != nil {
		return nil, err
	}
	found.token = token
	if bytes.ContainsAny(decoded, controls) {
		dropControls(found.claims)
	}
	return found, nil
}

// A payload is what counts of a token's claims (RFC 7519, section 4.1, and Organizr's own). Names match exactly.
type payload struct {
	// A claim whose name is one of those below but for its case is given to the first field of the same letters, since
	// encoding/json overlooks case: to one of these, which nobody reads.
	ISS, AUD, EXP, NBF, NAME, USERNAME, EMAIL, GROUP, GROUPID, USERID, IMAGE any

	Issuer    any `json:"iss"`
	Audience  any `json:"aud"`
	ExpiresAt any `json:"exp"`
	NotBefore any `json:"nbf"`
	Username  any `json:"username"` // of an older Organizr
	Name      any `json:"name"`     // of a newer one
	Email     any `json:"email"`
	Group     any `json:"group"`
	GroupID   any `json:"groupID"`
	UserID    any `json:"userID"`
	Image     any `json:"image"`
}

// controls are the characters that stand for control characters in JSON: those themselves that it allows in a text,
// and the backslash that all others begin with (RFC 8259, section 7).
const controls = "\\\x7f\u0080\u0081\u0082\u0083\u0084\u0085\u0086\u0087\u0088\u0089\u008a\u008b\u008c\u008d\u008e\u008f" +

	"\u0090\u0091\u0092\u0093\u0094\u0095\u0096\u0097\u0098\u0099\u009a\u009b\u009c\u009d\u009e\u009f"

// dropControls takes the control characters out of the claims that are text, as no header or log can hold them.
func dropControls(claims map[string]any) {
	for name, value := range claims {
		if text, ok := value.(string); ok {
			claims[name] = strings.Join(strings.FieldsFunc(text, unicode.IsControl), "")
		}
	}
}

// organizrHeader is what every token that Organizr makes begins with: {"typ":"JWT","alg":"HS256"}, and a dot.
const organizrHeader = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9."

// openOther is open for a token whose header isn't Organizr's own.
func openOther(token, text string, at time.Duration) (*session, error) {
	header, encoded, _ := strings.Cut(text, ".")
	if !acceptable(header) {
		return nil, errHeader
	}
	return open(token, organizrHeader+encoded, at)
}

// acceptable reports whether another header than Organizr's means the same. Names of header parameters match
// exactly, and crit lists extensions that must be understood (RFC 7515, section 4.1.11): there are none here.
func acceptable(header string) bool {
	text, err := strict.DecodeString(header)
	if err != nil {
		return false
	}
	var parameters map[string]any
	if json.Unmarshal(text, &parameters) != nil {
		return false
	}
	typ, typed := parameters["typ"]
	_, critical := parameters["crit"]
	return parameters["alg"] == "HS256" && !critical && (!typed || typ == "JWT")
}

// validate returns the session that a payload stands for whose signature is right. Organizr's times have fractions of
// a second.
func validate(given *payload, at time.Duration) (*session, error) {
	if given.Issuer != "Organizr" || given.Audience != "Organizr" && !listed(given.Audience) {
		return nil, errIssuer
	}
	now := at.Seconds()
	expires, _ := given.ExpiresAt.(float64)
	if expires <= now {
		return nil, errExpired
	}
	from, ok := given.NotBefore.(float64)
	if !ok || from > now+nbfLeeway {
		return nil, errNotYet
	}
	if number, ok := given.GroupID.(float64); ok {
		given.GroupID = strconv.FormatFloat(number, 'f', -1, 64)
	}
	digits, _ := given.GroupID.(string)
	group, ok := groupNumbers[digits]
	if !ok {
		return nil, errGroup
	}
	if expires > longestTime {
		expires = longestTime
	}
	if name, _ := given.Username.(string); name == "" {
		given.Username = given.Name
	}
	claims := map[string]any{
		"username": given.Username, "email": given.Email, "group": given.Group, "groupID": digits,
		"userID": given.UserID, "image": given.Image,
	}
	return &session{claims: claims, groupID: group, expires: time.Duration(expires * 1e9)}, nil
}

// listed reports whether aud is a list with Organizr in it (RFC 7519, section 4.1.3).
func listed(aud any) bool {
	list, _ := aud.([]any)
	for _, one := range list {
		if one == "Organizr" {
			return true
		}
	}
	return false
}

// groupNumbers are what a groupID can be: a whole number from 0 to 999, or, from Organizr on PHP before 8.1, its
// digits. In Organizr 0 is the administrator, so whatever is missing or odd must not become 0.
var groupNumbers = numbersTo(guest)

func numbersTo(last int) map[string]int {
	numbers := map[string]int{}
	for number := 0; number <= last; number++ {
		numbers[strconv.Itoa(number)] = number
	}
	return numbers
}

// claim returns a session's claim as text without control characters, by the name that the options have for it, or the
// empty text if the token doesn't say, or says neither text nor a number.
func claim(of *session, name string) string {
	if name == "token" {
		return of.token
	}
	if number, ok := of.claims[name].(float64); ok {
		return strconv.FormatFloat(number, 'f', -1, 64)
	}
	text, _ := of.claims[name].(string)
	return text
}

// A source is where the key comes from: one of secret, secretFile and configFile is set, and uuid unless
// configFile supplies it.
type source struct {
	uuid, secret, secretFile, configFile string
}

// follows reports whether the key can change while Traefik runs.
func (s source) follows() bool { return s.secret == "" }

// load returns the key as the source has it now. All keys come from here, and none has a blank secret: not from a file,
// and openKeyring takes no other blank one.
func (s source) load() (*key, error) {
	uuid, secret := s.uuid, s.secret
	switch {
	case s.configFile != "":
		text, err := readFile("configFile", s.configFile)
		if err != nil {
			return nil, fmt.Errorf("%w; it is Organizr's %s", err, configPlaces)
		}
		values, err := parseConfig(text)
		if err != nil {
			return nil, fmt.Errorf("configFile: %q isn't a config.php as Organizr writes it: %w; give Organizr's %s", s.configFile, err, configPlaces)
		}
		if uuid == "" {
			uuid = values["uuid"]
		}
		secret = values["organizrHash"]
		if !cookieName.MatchString(uuid) || strings.TrimSpace(secret) == "" {
			return nil, fmt.Errorf("configFile: %q has no uuid or no organizrHash; has Organizr been set up?", s.configFile)
		}
	case s.secretFile != "":
		text, err := readFile("secretFile", s.secretFile)
		if err != nil {
			return nil, err
		}
		secret = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
		if strings.TrimSpace(secret) == "" {
			return nil, fmt.Errorf("secretFile: %q is blank; it must hold Organizr's organizrHash", s.secretFile)
		}
	}
	cookie := cookiePrefix + uuid
	nobody := &visitor{standing: everyone - guest, reason: strconv.Quote("the request has no cookie " + cookie), expires: math.MaxInt64}
	return &key{cookie: cookie, secret: []byte(secret), nobody: nobody}, nil
}

// configPlaces names the documented places of Organizr's configuration.
const configPlaces = "data/config/config.php (in its container /config/www/organizr/data/config/config.php; api/config/config.php in older installs), and Traefik must see the folder that holds it"

// cookieName matches a uuid that can end the name of a cookie (RFC 6265, section 4.1.1).
var cookieName = regexp.MustCompile("^[-!#$%&'*+.^_`|~0-9A-Za-z]+$")

// readFile returns the text of a regular file of at most 1 MiB. Its errors name the option.
func readFile(option, path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("%s: can't read %q: %w", option, path, errors.Unwrap(err))
	}
	if !info.Mode().IsRegular() || info.Size() > longestFile {
		return "", fmt.Errorf("%s: %q isn't a file of at most 1 MiB", option, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("%s: can't read %q: %w", option, path, errors.Unwrap(err))
	}
	return string(text), nil
}

// A keyring holds the key in force, and what it knows by it.
//
// Traefik builds a new middleware for each router at every change of its configuration and doesn't tell the old
// ones, so nothing here runs by itself: the files are looked at by the requests.
type keyring struct {
	middleware string // its name, for the log
	source     source
	nobody     string // what nobody is remembered by

	sync.RWMutex
	key        *key
	lookAgain  time.Duration       // when a request must look at the files
	remembered map[string]*visitor // by their cookies, and their bearer token if that counts
}

const (
	mostRemembered    = 1000 // visitors a middleware
	longestRemembered = 4096 // bytes of what a visitor is remembered by
	lookEvery         = time.Second
)

// The keys that files gave last, by source, and the sources that gave none when they were last looked at.
// They outlive the middlewares: Organizr rewrites its file while Traefik may be building new ones.
var (
	filesMutex sync.Mutex
	lastGood   = map[source]*key{}
	failing    = map[source]bool{}
)

// newKeyring returns a keyring with the source's key, or with the last that it gave since Traefik started.
func newKeyring(from source, middleware, nobody string) (*keyring, error) {
	ring := &keyring{middleware: middleware, source: from, nobody: nobody}
	loaded, err := from.load()
	if from.follows() {
		loaded, err = orLastGood(from, loaded, err, middleware)
	}
	if err != nil {
		return nil, err
	}
	if !from.follows() {
		ring.lookAgain = math.MaxInt64
	}
	turnTo(ring, loaded)
	return ring, nil
}

// turnTo puts a key in force, by which nobody is known yet but nobody: whoever comes without a session.
func turnTo(ring *keyring, loaded *key) {
	warnOfShort(string(loaded.secret), ring.middleware)
	ring.Lock()
	ring.key = loaded
	ring.remembered = map[string]*visitor{ring.nobody: loaded.nobody}
	ring.Unlock()
}

// orLastGood returns what was loaded, or if that failed the last good key of that source and logs the failure,
// once until it is mended. It returns the error if there was never a good one.
func orLastGood(from source, loaded *key, err error, middleware string) (*key, error) {
	filesMutex.Lock()
	defer filesMutex.Unlock()
	if err == nil {
		lastGood[from] = loaded
		delete(failing, from)
		return loaded, nil
	}
	good, ok := lastGood[from]
	if !ok {
		return nil, err
	}
	if !failing[from] {
		failing[from] = true
		log.Printf("organizrjwt: middleware=%q %v; the key read before stays in force", middleware, err)
	}
	return good, nil
}

// current returns the key in force. The first request of a second in which the files were not looked at does so.
func current(ring *keyring, at time.Duration) *key {
	ring.RLock()
	by := ring.key
	due := at >= ring.lookAgain
	ring.RUnlock()
	if due {
		return look(ring, at)
	}
	return by
}

// look reads the files again, unless another request has begun to, and returns the key in force. A new key forgets
// all sessions.
func look(ring *keyring, at time.Duration) *key {
	ring.Lock()
	before := ring.key
	due := at >= ring.lookAgain
	if due {
		ring.lookAgain = at + lookEvery
	}
	ring.Unlock()
	if !due {
		return before
	}
	loaded, err := ring.source.load()
	loaded, err = orLastGood(ring.source, loaded, err, ring.middleware)
	if err != nil || loaded.cookie == before.cookie && bytes.Equal(loaded.secret, before.secret) {
		return before
	}
	turnTo(ring, loaded)
	return loaded
}

// remember keeps a visitor whose session the key verified, in place of any other if there are already 1,000.
func remember(ring *keyring, by *key, name string, known *visitor) {
	if len(name) > longestRemembered {
		return
	}
	ring.Lock()
	if len(ring.remembered) >= mostRemembered {
		forgetOne(ring.remembered)
	}
	if ring.key == by {
		ring.remembered[name] = known
	}
	ring.Unlock()
}

// forgetOne forgets somebody.
func forgetOne(remembered map[string]*visitor) {
	for name, known := range remembered {
		if known.session != nil {
			delete(remembered, name)
			return
		}
	}
}

// The secrets that were warned of, since Traefik builds the same middleware again and again.
var (
	warnedMutex sync.Mutex
	warned      = map[string]bool{}
)

// warnOfShort logs, once for each, that a secret is shorter than HS256 wants: anyone who has a token can try out
// short ones at home (RFC 7518, section 3.2).
func warnOfShort(secret, middleware string) {
	warnedMutex.Lock()
	defer warnedMutex.Unlock()
	if len(secret) >= shortestSecret || warned[secret] {
		return
	}
	warned[secret] = true
	log.Printf("organizrjwt: middleware=%q the secret has %d bytes; give Organizr an organizrHash of at least %d, or anyone with a session can find it out by trying", middleware, len(secret), shortestSecret)
}

// parseConfig returns the texts of the outermost array of a config.php as Organizr writes it: <?php, return, an
// array of 'key' => value, a semicolon, and nothing else. As in PHP, the last of two equal keys counts.
//
// Only the outermost keys count, since others than the administrator can choose what stands in the values: a line
// of customCss may look just like one of the file's own.
func parseConfig(text string) (map[string]string, error) {
	rest, ok := strings.CutPrefix(text, "<?php")
	file := &phpFile{rest: rest}
	if !ok || nextToken(file) != "return" {
		return nil, errors.New(`it doesn't begin with "<?php return"`)
	}
	values := map[string]string{}
	opening := nextToken(file)
	if err := readArray(file, opening, values, 1); err != nil {
		return nil, err
	}
	if nextToken(file) != ";" || strings.TrimSpace(file.rest) != "" {
		return nil, errors.New(`it doesn't end with "];"; it may be half written`)
	}
	return values, nil
}

// A phpFile is what is left to read of a config.php.
type phpFile struct {
	rest string
}

// phpToken matches the next thing in a config.php: a text in single quotes, in which only \\ and \' are escapes,
// a number, a word, or a mark.
var phpToken = regexp.MustCompile(`^\s*('(?:[^'\\]|\\(?s:.))*'|-?[0-9][0-9.eE+-]*|[A-Za-z]+|=>|[\[\](),;])`)

// nextToken returns the next token, or nothing if there is none.
func nextToken(file *phpFile) string {
	match := phpToken.FindStringSubmatch(file.rest)
	if match == nil {
		return ""
	}
	file.rest = file.rest[len(match[0]):]
	return match[1]
}

const deepestArray = 100

// readArray reads an array whose first token is given, and keeps its texts in values if that isn't nil.
func readArray(file *phpFile, opening string, values map[string]string, depth int) error {
	closing := "]"
	if strings.EqualFold(opening, "array") {
		closing = ")"
		opening = nextToken(file)
	}
	if opening != "[" && opening != "(" || (opening == "(") != (closing == ")") {
		return errors.New("an array is missing; it may be half written")
	}
	if depth > deepestArray {
		return errors.New("its arrays are nested too deep")
	}
	next := nextToken(file)
	for next != closing {
		if err := readEntry(file, next, values, depth); err != nil {
			return err
		}
		next = nextToken(file)
		if next == "," {
			next = nextToken(file)
		} else if next != closing {
			return errors.New("a line has no comma at its end; it may be half written")
		}
	}
	return nil
}

// readEntry reads one 'key' => value whose first token is given.
func readEntry(file *phpFile, first string, values map[string]string, depth int) error {
	name, named := phpText(first)
	if !named && !phpNumber.MatchString(first) || nextToken(file) != "=>" {
		return errors.New("a line isn't 'key' => value; it may be half written")
	}
	value := nextToken(file)
	text, isText := phpText(value)
	if !isText && !phpNumber.MatchString(value) && !phpWord.MatchString(value) {
		if err := readArray(file, value, nil, depth+1); err != nil {
			return err
		}
	}
	if isText && values != nil {
		values[name] = text
	} else if values != nil {
		delete(values, name)
	}
	return nil
}

var (
	phpNumber = regexp.MustCompile(`^-?[0-9]`)
	phpWord   = regexp.MustCompile(`^(?i:true|false|null)$`)
)

// phpUnescape undoes the two escapes of a text in single quotes.
var phpUnescape = strings.NewReplacer(`\\`, `\`, `\'`, `'`)

// phpText returns what a text in single quotes says, and whether the token is one.
func phpText(token string) (string, bool) {
	if !strings.HasPrefix(token, "'") {
		return "", false
	}
	return phpUnescape.Replace(token[1 : len(token)-1]), true
}
