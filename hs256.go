package organizrjwt

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
)

const (
	organizrHeader    = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9" // of every token that Organizr makes: {"typ":"JWT","alg":"HS256"}
	cookiePrefix      = "organizr_token_"                      // and then the uuid: Organizr's api/classes/organizr.class.php
	longestToken      = 8 << 10                                // bytes
	signatureLength   = 44                                     // bytes: 32 in base64, and the dot before them
	nbfLeeway         = 60                                     // seconds by which Organizr's clock may be ahead
	longestTime       = 9e9                                    // seconds since the epoch, the year 2255: later ones mean the same
	admitted          = 1000                                   // what standing and group add up to for whoever may enter
	guest             = 999                                    // the group of those who aren't logged in (also in Organizr's class)
	mostHolders       = 1000                                   // of a memory; each is known by one more set of credentials at most
	longestRemembered = 4096                                   // bytes of what a visitor is remembered by
	lookEvery         = time.Second
	longestWriting    = 5 * time.Second                    // of a database, that needs no line in the log
	shownSecret       = "kQ9vRt2LmX7pZw4BnYc6Hd8JfGs3Ta5E" // which the documentation shows
	weakSecret        = 20                                 // bytes; fewer can be found by trying (RFC 7518, section 3.2)
	mostOfKey         = 1 << 20                            // bytes of a file that holds a key
	mostInMemory      = 64 << 20                           // and of a database that is copied before it is read
	deepestArray      = 100                                // in config.php
	headerSize        = 100                                // bytes of a database's header
	logHeaderSize     = 32                                 // and of its write-ahead log's
	frameHeaderSize   = 24                                 // and of each page in that
	mostOfRow         = 4 * longestToken                   // bytes that are read of a row, and a page more
	unprintable       = "\x00"                             // stands for what is too long, or no text
	configPlaces      = "data/config/config.php (in its container /config/www/organizr/data/config/config.php; " +
		"api/config/config.php in older installs), and Traefik must see the folder that holds it"
)

// An authority is what counts of one Organizr at a moment: what it signs sessions with, and what its database says.
type authority struct {
	cookie        string         // the name of the cookie that carries a session
	secret        []byte         // organizrHash, its text as it stands; never blank
	cookiePattern *regexp.Regexp // all cookies of that name in a Cookie header that a semicolon was put before
	nobody        *visitor       // whoever comes without one
	database      *database      // nil if it isn't followed
}

// An account is one of Organizr's users, as the token or the database describes it.
type account struct {
	claims  map[string]string // by the names that the options have for them
	groupID int               // 0 to 999
	refused error             // errLocked or errUnprintable, or nil
}

// A visitor is who sent a request, and what is forwarded to the service for them. Their standing is 1000 less the group that they
// count as: 1000 for Admin, 1 for nobody, and 0 for those who never get in. So what isn't set opens nothing.
type visitor struct {
	account     *account      // whose session the token is; nil if nobody is logged in
	token       string        // of the session
	authority   *authority    // by which it is one
	expires     time.Duration // the Unix time
	standing    int
	values      [][]string // of the headers that are forwarded, in the order of their names; nil for none
	byCookie    bool       // the session came in a cookie, so a browser sends it whoever asks
	reason      string     // why there is no session, quoted for the log
	hadToken    bool       // whether a token came all the same
	credentials string     // of the holder of a session: the last that came with it
}

var (
	// The clock: at any moment since(epoch) is the Unix time. Tests set it.
	since = time.Since
	epoch = time.Unix(0, 0)

	// groupNumbers are what a groupID can be: a whole number from 0 to 999, or, from Organizr on PHP before 8.1, its
	// digits. In Organizr 0 is the administrator, so whatever is missing or odd must not become 0.
	groupNumbers = map[string]int{}

	// groupNames are Organizr's groups that have the same number everywhere, and the digits of all others. Where an
	// administrator gives the first five other names, these go on meaning the numbers.
	groupNames = map[int]string{0: "Admin", 1: "Co-Admin", 2: "Super User", 3: "Power User", 4: "User", 998: "Logged In", guest: "Guest"}

	// Who has no session, whatever they sent: whoever comes while Organizr's files aren't there yet, or with too much to look for one.
	notReady        = &visitor{standing: admitted - guest, reason: `"organizr's files aren't there yet"`}
	longCredentials = &visitor{standing: admitted - guest, reason: `"the request's cookies and Authorization are longer than 32 KiB"`}

	// What can be wrong with a token, as the visitor who sends it. No reason holds any part of it.
	tokenTooLong   = stranger("the token is longer than 8 KiB")
	malformed      = stranger("the token isn't three parts of base64url")
	wrongSignature = stranger("the signature isn't made with this secret; it must be the organizrHash of the Organizr that visitors log in to")
	wrongHeader    = stranger("the token's header isn't that of a JWT signed with HS256")
	wrongClaims    = stranger("the token's claims aren't a JSON object with the types that Organizr gives them")
	wrongIssuer    = stranger("the token's issuer or audience isn't Organizr")
	expired        = stranger("the session has expired")
	notYetValid    = stranger("the session isn't valid yet; do the clocks of Organizr and Traefik agree?")
	wrongGroup     = stranger("the token's groupID isn't a whole number from 0 to 999")
	ended          = stranger("Organizr's database doesn't list the session: it was ended there, or the database is another's")

	// What can be wrong with a session, so that it counts for nothing.
	errLocked      = errors.New("the account is locked in Organizr")
	errUnprintable = errors.New("the account's name or address isn't printable text, or has a space at an end")

	base64url = base64.RawURLEncoding.Strict()                      // of a token's parts (RFC 7515, section 2), with no stray bits in the last character
	httpName  = regexp.MustCompile("^[-!#$%&'*+.^_`|~0-9A-Za-z]+$") // of a header, or the end of one of a cookie (RFC 9110, section 5.6.2)
)

func stranger(reason string) *visitor {
	return &visitor{standing: admitted - guest, reason: strconv.Quote(reason), hadToken: true}
}

// verify returns the visitor whose session the token is at the given Unix time, or whom else it makes of its sender. The signature is
// the HMAC-SHA256 of all before it (RFC 7518, section 3.2), and is compared in constant time. Nothing else is decoded before
// that, so a forger reaches no more code than this. The token has no line breaks: the decoder would skip them.
func verify(token string, authority *authority, now time.Duration) *visitor {
	if len(token) > longestToken {
		return tokenTooLong
	}
	end := len(token) - signatureLength
	if end < 0 || token[end] != '.' {
		return malformed
	}
	text := token[:end]
	mac := hmac.New(sha256.New, authority.secret)
	_, _ = io.WriteString(mac, text)
	signature, _ := base64url.DecodeString(token[end+1:]) // to less than 32 bytes if there is any mistake
	if hmac.Equal(mac.Sum(nil), signature) {
		return open(token, text, authority, now)
	}
	return wrongSignature
}

// open returns the visitor with a token whose signature is right: its text is what was signed. Organizr's times have
// fractions of a second. The token's own claim group is left out: its owner can choose that text.
func open(token, text string, authority *authority, now time.Duration) *visitor {
	header, encoded, _ := strings.Cut(text, ".")
	if header != organizrHeader && !acceptable(header) {
		return wrongHeader
	}
	given := &payload{NotBefore: 0.0} // unless it says otherwise
	decoded, err := base64url.DecodeString(encoded)
	if err != nil || json.Unmarshal(decoded, given) != nil {
		return wrongClaims
	}
	seconds := now.Seconds()
	notBefore, ok := given.NotBefore.(float64)
	audiences, _ := given.Audience.([]any) // or it is one text (RFC 7519, section 4.1.3)
	switch {
	case given.Issuer != "Organizr" || given.Audience != "Organizr" && !slices.Contains(audiences, any("Organizr")):
		return wrongIssuer
	case given.ExpiresAt <= seconds:
		return expired
	case !ok:
		return wrongClaims
	case notBefore > seconds+nbfLeeway:
		return notYetValid
	}
	described := newAccount(or(given.Username, given.Name), given.Email, given.Image, string(given.UserID), fmt.Sprint(given.GroupID), "")
	if described == nil {
		return wrongGroup
	}
	if authority.database != nil { // as Organizr's own check does it (validateToken in its api/classes/organizr.class.php)
		listed := authority.database.accounts[token]
		if listed == nil || listed.claims["userID"] != described.claims["userID"] {
			return ended
		}
		described = listed
	}
	return &visitor{account: described, token: token, authority: authority, expires: time.Duration(math.Min(given.ExpiresAt, longestTime) * 1e9)}
}

// acceptable reports whether another header than Organizr's means the same. Names of header parameters match
// exactly, and crit lists extensions that must be understood (RFC 7515, section 4.1.11): there are none here.
func acceptable(header string) bool {
	var parameters map[string]any
	text, err := base64url.DecodeString(header)
	if err != nil || json.Unmarshal(text, &parameters) != nil {
		return false
	}
	typ, typed := parameters["typ"]
	_, critical := parameters["crit"]
	return parameters["alg"] == "HS256" && !critical && (!typed || typ == "JWT")
}

// A payload is what counts of a token's claims (RFC 7519, section 4.1, and Organizr's own). Names match exactly.
type payload struct {
	// encoding/json overlooks case: a claim called Exp is given to the first field of these letters, which nobody reads.
	ISS, AUD, EXP, NBF, NAME, USERNAME, EMAIL, GROUPID, USERID, IMAGE any

	Issuer    string      `json:"iss"`
	Audience  any         `json:"aud"` // text, or a list
	ExpiresAt float64     `json:"exp"`
	NotBefore any         `json:"nbf"`
	Username  string      `json:"username"` // of an older Organizr
	Name      string      `json:"name"`     // of a newer one
	Email     string      `json:"email"`
	GroupID   any         `json:"groupID"` // a number, or digits
	Image     string      `json:"image"`
	UserID    json.Number `json:"userID"` // or digits, too
}

func or(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// newAccount returns the account that these texts describe, or nil if the groupID isn't one. A group without a name has Organizr's, or
// its number. All must read a name alike: a user can choose "alice\a", and whoever strips that makes it the administrator's.
func newAccount(username, email, image, userID, groupID, group string) *account {
	number, ok := groupNumbers[groupID]
	if !ok {
		return nil
	}
	if group == "" {
		group = groupNames[number]
	}
	described := &account{groupID: number, claims: map[string]string{
		"username": username, "email": email, "image": image, "userID": userID, "groupID": groupID, "group": group,
	}}
	if strings.TrimFunc(username+email+image+userID, unicode.IsPrint) != "" || strings.TrimSpace(username) != username || strings.TrimSpace(email) != email {
		described.refused = errUnprintable
	}
	return described
}

func init() {
	for number := 0; number <= guest; number++ {
		digits := strconv.Itoa(number)
		groupNumbers[digits] = number
		groupNames[number] = or(groupNames[number], digits)
	}
}

// A memory is what a middleware knows: the authority in force, and who was verified by it. One source has one follower.
type memory struct {
	follower *follower

	sync.RWMutex
	authority *authority          // nil as long as the files aren't there
	lookAgain time.Duration       // when a request must look at the files
	visitors  map[string]*visitor // by all credentials that they sent
	holders   map[string]*visitor // by their token alone, as whoever sends it
}

func newMemory(source source, middleware string, now time.Duration) *memory {
	followersMutex.Lock()
	if followers[source] == nil {
		followers[source] = &follower{source: source, middleware: middleware}
	}
	known := &memory{follower: followers[source]}
	followersMutex.Unlock()
	look(known, nil, 0, now)
	return known
}

// look returns the authority in force after a look at the files, or nil for none yet. While somebody else looks, that before will do.
func look(known *memory, authority *authority, overdue, now time.Duration) *authority {
	if authority == nil || overdue > lookEvery/4 {
		known.follower.Lock()
	} else if !known.follower.TryLock() {
		return authority
	}
	defer known.follower.Unlock()
	refresh(known.follower, now)
	return putInForce(known, known.follower)
}

// verifyAtOnce is verify for a session that the database didn't list: the files are looked at again, by this request or one beside it,
// since whoever has just logged in comes before the second is over. It waits up to a second while the database is written, or rests.
func verifyAtOnce(known *memory, token string, now time.Duration) *visitor {
	follower := known.follower
	for tries := 50; ; tries-- {
		follower.Lock()
		moment := since(epoch)
		waiting := follower.lookAgain-lookEvery <= now // for a look that begins after the request came
		if waiting && moment >= follower.resting {
			follower.lookAgain = moment
			refresh(follower, moment)
			waiting = follower.writingSince > 0 && moment-follower.writingSince < lookEvery
		}
		authority := putInForce(known, follower)
		follower.Unlock()
		if !waiting || tries == 0 {
			return verify(token, authority, now)
		}
		time.Sleep(lookEvery / 50)
	}
}

// putInForce puts what the files say in force, once all of them were good, and returns it. A change forgets whoever was verified.
func putInForce(known *memory, follower *follower) *authority {
	secret, cookie := follower.settings["organizrHash"], cookiePrefix+follower.settings["uuid"]
	before := follower.authority
	ready := follower.settings != nil && (follower.source.databaseFile == "" || follower.database != nil)
	if ready && (before == nil || string(before.secret) != secret || before.cookie != cookie || before.database != follower.database) {
		follower.authority = &authority{
			cookie: cookie, secret: []byte(secret), database: follower.database, cookiePattern: cookiesNamed(regexp.QuoteMeta(cookie)),
			nobody: &visitor{standing: admitted - guest, reason: strconv.Quote("the request has no cookie " + cookie), expires: math.MaxInt64},
		}
	}
	known.Lock()
	defer known.Unlock()
	known.lookAgain = follower.lookAgain
	if known.authority != follower.authority {
		known.authority = follower.authority
		forgetAll(known)
	}
	return follower.authority
}

func forgetAll(known *memory) {
	known.visitors = map[string]*visitor{"": known.authority.nobody}
	known.holders = map[string]*visitor{}
}

// remember keeps a visitor by their token and by their credentials of at most 4 KiB, of which only the last of a token are
// kept: so those whose other cookies change at every request don't drive out others. When there are 1,000, all begin anew.
func remember(known *memory, credentials string, holder, who *visitor) {
	known.Lock()
	if known.authority == holder.authority {
		before := known.holders[holder.token] // the holder, or another of the same token that came at the same time
		if before == nil && len(known.holders) >= mostHolders {
			forgetAll(known)
		}
		known.holders[holder.token] = holder
		if before != nil && before.credentials != "" { // else it is nobody's
			delete(known.visitors, before.credentials)
		}
		if len(credentials) <= longestRemembered {
			holder.credentials = credentials
			known.visitors[credentials] = who
		}
	}
	known.Unlock()
}

// cookiesNamed matches the cookies of a name in a header that a semicolon was put before, and the semicolon that ends them.
func cookiesNamed(name string) *regexp.Regexp {
	return regexp.MustCompile(`(?:;[ \t]*` + name + `[ \t]*(?:=[^;]*)?)+(;|$)`)
}

// A source is where an authority comes from: one of secret, secretFile and configFile, and uuid, which wins over configFile's.
type source struct {
	uuid, secret, secretFile, configFile, databaseFile string
}

// A follower follows the files of one source. Traefik builds a new middleware for each router at every change of its
// configuration and doesn't tell the old ones, so nothing here runs by itself: the requests look at the files.
type follower struct {
	source     source
	middleware string // the first that had the source, for the log

	sync.Mutex
	authority    *authority // by what the files said when they last were good; nil if they never were
	lookAgain    time.Duration
	keyText      string            // of the file with the key, as it was read
	settings     map[string]string // of config.php, or uuid and organizrHash alone
	glimpse      string            // of the database, as it was read
	database     *database
	broken       error         // what was wrong with it then
	writingSince time.Duration // when the database was first found being written, or 0
	resting      time.Duration // until when it isn't read again
	problem      string        // what the log says is wrong
}

// The followers by their sources. They outlive middlewares: Organizr may be rewriting its file while Traefik builds new ones.
var (
	followersMutex sync.Mutex
	followers      = map[source]*follower{}
)

// refresh looks at the files once a second. While one is missing or can't be read, what it said last holds, and the log says so once.
func refresh(follower *follower, now time.Duration) {
	if now < follower.lookAgain-lookEvery { // the clock was set back
		follower.resting = 0
	} else if now < follower.lookAgain || now < follower.resting {
		return
	}
	follower.lookAgain = now + lookEvery
	err := refreshKey(follower)
	if follower.source.databaseFile != "" && follower.settings != nil {
		err = errors.Join(err, refreshDatabase(follower, now))
	}
	if follower.writingSince > 0 && now-follower.writingSince <= longestWriting {
		follower.lookAgain = now + lookEvery/20 // so that what is being written counts soon after it
	}
	state := "until then requests that need a session are answered 503"
	if follower.authority != nil {
		state = "what was read before stays in force"
	}
	problem := strings.ReplaceAll(fmt.Sprint(err), "\n", "; ")
	if err != nil && problem != follower.problem {
		log.Printf("organizrjwt: middleware=%q %s; %s", follower.middleware, problem, state)
	}
	follower.problem = problem
}

// refreshKey reads uuid and secret, if their file has changed, and has the log say if a secret isn't safe. A blank one is none.
func refreshKey(follower *follower) error {
	source := follower.source
	text := source.secret
	path := or(source.configFile, source.secretFile)
	option := map[bool]string{true: "configFile", false: "secretFile"}[source.configFile != ""]
	help := map[bool]string{true: "; it is Organizr's " + configPlaces}[source.configFile != ""]
	if text == "" {
		info, err := os.Stat(path)
		if err == nil && (!info.Mode().IsRegular() || info.Size() > mostOfKey) {
			return fmt.Errorf("%s: %q isn't a file of at most %d MiB; is it the folder that Docker makes where a mounted file is missing?", option, path, mostOfKey>>20)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("%s: can't read %q: %w%s", option, path, errors.Unwrap(err), help)
		}
		text = strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r")
	}
	if text == follower.keyText && follower.settings != nil {
		return nil
	}
	values := map[string]string{"uuid": source.uuid, "organizrHash": text}
	if source.configFile != "" {
		parsed, err := parseConfig(text)
		if err != nil {
			return fmt.Errorf("configFile: %q isn't a config.php as Organizr writes it: %w; give Organizr's %s", path, err, configPlaces)
		}
		values = parsed
		values["uuid"] = or(source.uuid, values["uuid"])
	}
	secret := values["organizrHash"]
	if strings.TrimSpace(secret) == "" || !httpName.MatchString(values["uuid"]) {
		return fmt.Errorf("%s: %q has no organizrHash, or no uuid; has Organizr been set up?", option, path)
	}
	switch {
	case secret == follower.settings["organizrHash"]: // which the log has had
	case secret == shownSecret:
		log.Printf("organizrjwt: middleware=%q the secret is the one that the documentation shows, so anyone can sign in as administrator; "+
			"give Organizr an organizrHash of your own", follower.middleware)
	case len(secret) < weakSecret:
		log.Printf("organizrjwt: middleware=%q the secret has %d bytes, so anyone with a session can find it out by trying; "+
			"give Organizr an organizrHash of 30 random characters", follower.middleware, len(secret))
	}
	follower.settings, follower.keyText = values, text
	return nil
}

// parseConfig returns the texts of the outermost array of a config.php as Organizr writes it: <?php, return, an array of
// 'key' => value, a semicolon, and nothing else. As in PHP, the last of two equal keys counts. No inner key does, since others
// than the administrator can choose what stands in the values: a line of customCss may look just like one of the file's own.
func parseConfig(text string) (map[string]string, error) {
	beginning := phpBeginning.FindStringSubmatch(text)
	if beginning == nil {
		return nil, errors.New(`it doesn't begin with "<?php return ["`)
	}
	values := map[string]string{}
	brackets := beginning[1] + beginning[2] // that are open
	rest := text[len(beginning[0]):]
	separated := true // by a bracket or a comma from what is before
	for brackets != "" {
		item := phpItem.FindStringSubmatch(rest)
		if item == nil || len(brackets) > deepestArray {
			return nil, errors.New("a line isn't 'key' => value; it may be half written")
		}
		rest = rest[len(item[0]):]
		keyed, opened, closed, comma := item[2] != "", item[4]+item[5], item[6], item[7] != ""
		if keyed && !separated || opened != "" && comma || !strings.HasSuffix(brackets, opening[closed]) {
			return nil, errors.New("a comma or a bracket is missing or too many; it may be half written")
		}
		if keyed && len(brackets) == 1 {
			values[phpUnescape.Replace(item[1])] = phpUnescape.Replace(item[3])
		}
		brackets = strings.TrimSuffix(brackets, opening[closed]) + opened
		separated = comma || opened != ""
	}
	if separated || strings.TrimSpace(rest) != ";" {
		return nil, errors.New(`it doesn't end with "];"; it may be half written`)
	}
	return values, nil
}

// A config.php is made of keys, each with a text in single quotes (whose only escapes are \\ and \'), a number, a word, or an array.
var (
	phpBeginning = regexp.MustCompile(`^<\?php\s+return\s*(?:(\[)|(?i:array)\s*(\())`)
	phpItem      = regexp.MustCompile(`^\s*(?:(?:'((?:[^'\\]|\\(?s:.))*)'|-?[0-9]+)\s*(=>)\s*(?:'((?:[^'\\]|\\(?s:.))*)'|` +
		`-?[0-9][0-9.eE+-]*|(?i:true|false|null)|(\[)|(?i:array)\s*(\())|([\])]))\s*(,?)`)
	opening     = map[string]string{"]": "[", ")": "("}
	phpUnescape = strings.NewReplacer(`\\`, `\`, `\'`, `'`)
)

// A database is what counts of Organizr's database.
type database struct {
	accounts map[string]*account // by the text of each token that Organizr lists
}

// refreshDatabase reads the database, if it has changed and nobody is writing. Then it rests for three times as long as that took, so
// that nobody keeps more than a quarter of a core busy by writing, or with a session that has ended.
func refreshDatabase(follower *follower, now time.Duration) error {
	path, err := databasePath(follower)
	if err != nil {
		return err
	}
	glimpse, writeAhead, settled, err := glimpseOf(path)
	if err != nil || glimpse != "" && glimpse == follower.glimpse {
		follower.writingSince = 0
		return errors.Join(err, follower.broken)
	}
	read, err := readDatabase(path, glimpse, writeAhead)
	if done := since(epoch); glimpse != "" {
		follower.resting = done + 3*(done-now)%time.Minute // and never longer, as the clock may have been set meanwhile
	}
	if errors.Is(err, errUnfinished) {
		if follower.writingSince == 0 {
			follower.writingSince = now
		}
		if now-follower.writingSince > longestWriting {
			return fmt.Errorf("databaseFile: %q is being written for more than %v; "+
				"if Organizr isn't, another program left a -journal or -wal file beside it", path, longestWriting)
		}
		return nil
	}
	follower.writingSince = 0
	if err != nil {
		err = fmt.Errorf("databaseFile: %q can't be read: %w", path, err)
	} else if !reflect.DeepEqual(read, follower.database) {
		follower.database = read
	}
	follower.broken, follower.glimpse = err, ""
	if settled {
		follower.glimpse = glimpse
	}
	return err
}

// databasePath returns where the database is, by the option or config.php: a link's target, beside which SQLite puts journal and log.
func databasePath(follower *follower) (string, error) {
	path, folder, name, driver := follower.source.databaseFile, follower.settings["dbLocation"], follower.settings["dbName"], follower.settings["driver"]
	switch {
	case driver != "" && driver != "sqlite3":
		return "", fmt.Errorf("databaseFile: %q says that Organizr's database is %s, and only SQLite can be followed; give none as databaseFile",
			follower.source.configFile, driver)
	case path == "auto" && (folder == "" || name == ""):
		return "", fmt.Errorf("databaseFile: %q doesn't say where the database is; give its path", follower.source.configFile)
	case path == "auto":
		path = folder + name
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	return path, nil
}

// glimpseOf returns what tells a database from what it was before: size, modification time and beginning, of it and of its
// write-ahead log, and the beginning of that alone, if there is anything in it; or nothing if there is something in a
// rollback journal. It reports false if that doesn't settle it: with a write-ahead log SQLite doesn't always count its changes
// in the beginning (its file format, section 1.3), and within one tick of its clock a file can change and keep its time.
func glimpseOf(path string) (string, string, bool, error) {
	if info, err := os.Stat(path + "-journal"); err == nil && info.Size() > 0 {
		return "", "", false, nil
	}
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return "", "", false, fmt.Errorf("databaseFile: %q isn't a file that can be read; "+
			"give the path of Organizr's database, or mount its volume into Traefik, for auto under the path that config.php names", path)
	}
	beginning := beginningOf(path, headerSize)
	glimpse := fmt.Sprint(path, " ", info.Size(), " ", info.ModTime().UnixNano(), " ", beginning)
	writeAhead := beginningOf(path+"-wal", logHeaderSize)
	logInfo, err := os.Stat(path + "-wal")
	if err == nil && logInfo.Size() > 0 && writeAhead == "" {
		return "", "", false, fmt.Errorf("databaseFile: can't read %q; let Traefik's user read all of Organizr's data folder", path+"-wal")
	}
	if err == nil && writeAhead != "" {
		glimpse += fmt.Sprint(" ", logInfo.Size(), " ", logInfo.ModTime().UnixNano(), " ", writeAhead)
		info = logInfo
	}
	return glimpse, writeAhead, bigEndian(beginning, 18, 1) == 1 || time.Since(info.ModTime()) > time.Second, nil
}

func beginningOf(path string, length int) string {
	file, _ := os.Open(path) // nothing can be read from none
	beginning := bytesAt(file, 0, length)
	_ = file.Close()
	return beginning
}

func bytesAt(file io.ReaderAt, offset int64, length int) string {
	content := make([]byte, length)
	got, _ := file.ReadAt(content, offset)
	return string(content[:got])
}

// readDatabase returns what counts of the database at the path, whose glimpse and log are given, or errUnfinished if it is
// being written. SQLite needs no lock for that (its file format, sections 3 and 4): what was read is one of its states if there
// is no rollback journal with anything in it, and file and log are the same before and after. A copy may also have a log that
// grew meanwhile, but didn't begin anew: until then SQLite copies only pages into the file that are in the log.
func readDatabase(path, glimpse, writeAhead string) (*database, error) {
	if glimpse == "" {
		return nil, errUnfinished
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	logFile, _ := os.Open(path + "-wal") // nothing can be read from none
	defer func() { _, _ = file.Close(), logFile.Close() }()
	size, _ := file.Seek(0, io.SeekEnd)
	logSize, _ := logFile.Seek(0, io.SeekEnd)
	if size+logSize > mostInMemory {
		read, err := parseDatabase(file, logFile, size)
		if changed(path, glimpse, "") {
			return nil, errUnfinished
		}
		return read, err
	}
	content := bytesAt(file, 0, int(size)) // a copy is made faster than it is read, so that fewer changes come between
	logSize, _ = logFile.Seek(0, io.SeekEnd)
	logContent := bytesAt(logFile, 0, int(logSize)) // with all that was copied into the file meanwhile
	if changed(path, glimpse, writeAhead) {
		return nil, errUnfinished
	}
	return parseDatabase(strings.NewReader(content), strings.NewReader(logContent), size)
}

// changed reports whether what was read may be no state of the database: its glimpse is another, and so is its log, or there is none.
func changed(path, glimpse, writeAhead string) bool {
	after, writeAheadAfter, _, _ := glimpseOf(path)
	return glimpse != after && (writeAhead == "" || writeAhead != writeAheadAfter)
}

// parseDatabase returns what counts of a database of so many bytes and of its log: users with a group from 0 to 999, by their tokens.
func parseDatabase(content, writeAhead io.ReaderAt, size int64) (*database, error) {
	file := openTables(content, writeAhead, size)
	names := map[string]string{}
	for _, row := range readTable(file, "groups", "group_id", "group") {
		if strings.TrimFunc(row[1], unicode.IsPrint) == "" {
			names[row[0]] = row[1]
		}
	}
	users := map[string]*account{}
	for _, row := range readTable(file, "users", "id", "username", "email", "image", "group_id", "locked") {
		user := newAccount(row[1], row[2], row[3], row[0], row[4], names[row[4]])
		if user != nil && (row[5] == "1" || row[5] == unprintable) {
			user.refused = errLocked
		}
		users[row[0]] = user
	}
	read := &database{accounts: map[string]*account{}}
	for _, row := range readTable(file, "tokens", "token", "user_id") {
		if user := users[row[1]]; user != nil && row[0] != "" {
			read.accounts[row[0]] = user
		}
	}
	return read, file.err
}

// An sqliteFile is an SQLite database (sqlite.org/fileformat2.html, to which the sections below belong).
//
// Nothing in it is trusted: what is out of place ends the reading with an error. Pages and rows are bounded by the size of the
// file, so pages that point to each other end it too; no page is read for what lies behind 32 KiB of a row.
type sqliteFile struct {
	content, writeAhead io.ReaderAt
	logged              map[int]int64       // where in the log the pages are that it has committed
	left                int64               // bytes that pages and rows can still have
	roots               map[string]int      // the first pages of the tables
	columns             map[string][]string // the names of their columns, in lower case
	pageSize, usable    int                 // bytes of a page, and those of them that aren't reserved
	err                 error
}

var (
	errDamaged    = errors.New("it is damaged or cut off")
	errUnfinished = errors.New("it is being written")

	sizes      = []int64{0, 1, 2, 3, 4, 6, 8, 8, 0, 0, -1, -1} // bytes of what isn't text, by its type (section 2.1)
	columnName = regexp.MustCompile(`[\pL\pN_$]+`)
	notNames   = regexp.MustCompile(`--[^\n]*|/\*(?s:.*?)\*/|(?i:default)\s*'[^']*'|\((?:[^()]|\([^()]*\))*\)`) // what of a definition may hold commas
)

// openTables finds the tables of a database by its schema (sections 1.3 and 2.6).
func openTables(content, writeAhead io.ReaderAt, size int64) *sqliteFile {
	logged, err := readLog(writeAhead)
	header := bytesAt(content, 0, headerSize)
	if place, newer := logged[1]; newer {
		header = bytesAt(writeAhead, place, headerSize)
	}
	pageSize := bigEndian(header, 16, 2)
	if pageSize == 1 {
		pageSize = 1 << 16
	}
	usable := pageSize - bigEndian(header, 20, 1)
	if err == nil && (!strings.HasPrefix(header, "SQLite format 3\x00") || usable < 480 || pageSize&(pageSize-1) != 0 ||
		bigEndian(header, 19, 1) > 2 || bigEndian(header, 44, 4) > 4 || bigEndian(header, 56, 4) != 1) {
		err = errors.New("it isn't an SQLite database, or it is cut off, or of a format that Organizr doesn't write: its text isn't UTF-8, or it is newer")
	}
	file := &sqliteFile{
		content: content, writeAhead: writeAhead, logged: logged, pageSize: pageSize, usable: usable, err: err,
		left:    8 * (size + int64(len(logged)*pageSize)),
		roots:   map[string]int{"sqlite_schema": 1},
		columns: map[string][]string{"sqlite_schema": {"type", "name", "tbl_name", "rootpage", "sql"}},
	}
	for _, row := range readTable(file, "sqlite_schema", "type", "name", "rootpage", "sql") {
		if row[0] == "table" {
			name := strings.ToLower(row[1])
			root, _ := strconv.Atoi(row[2])
			file.roots[name] = root
			_, definitions, _ := strings.Cut(row[3], "(")
			for _, definition := range strings.Split(notNames.ReplaceAllString(definitions, ""), ",") {
				file.columns[name] = append(file.columns[name], strings.ToLower(columnName.FindString(definition)))
			}
		}
	}
	return file
}

// readLog returns where in a write-ahead log the pages are that it has committed (section 4). Of its frames the last of the
// last commit is written last: the log is unfinished as long as the checksum of that one is wrong.
func readLog(writeAhead io.ReaderAt) (map[int]int64, error) {
	header := bytesAt(writeAhead, 0, logHeaderSize)
	length := frameHeaderSize + bigEndian(header, 8, 4)
	if header == "" {
		return nil, nil
	}
	if len(header) < logHeaderSize || bigEndian(header, 0, 4) != 0x377f0682 || length < 512 || length > 1<<17 {
		return nil, errUnfinished
	}
	logged, uncommitted := map[int]int64{}, map[int]int64{}
	last, lastSums, sums := int64(0), "", header[24:] // the checksums before the last commit's last frame, and before this one
	for place := int64(logHeaderSize); ; place += int64(length) {
		frame := bytesAt(writeAhead, place, frameHeaderSize)
		if len(frame) < frameHeaderSize || frame[8:16] != header[16:24] {
			break
		}
		uncommitted[bigEndian(frame, 0, 4)] = place + frameHeaderSize
		if bigEndian(frame, 4, 4) > 0 {
			for page, newer := range uncommitted {
				logged[page] = newer
			}
			uncommitted = map[int]int64{}
			last, lastSums = place, sums
		}
		sums = frame[16:]
	}
	if last > 0 && !sound(bytesAt(writeAhead, last, length), lastSums, length) {
		return nil, errUnfinished
	}
	return logged, nil
}

// sound reports whether a frame is whole, and its checksum right, which begins with the sums of the frame before (section 4.2).
func sound(frame, sums string, length int) bool {
	if len(frame) < length {
		return false
	}
	first, second := uint32(bigEndian(sums, 0, 4)), uint32(bigEndian(sums, 4, 4))
	for words := []byte(frame[:8] + frame[frameHeaderSize:]); len(words) > 7; words = words[8:] {
		first += binary.LittleEndian.Uint32(words) + second
		second += binary.LittleEndian.Uint32(words[4:]) + first
	}
	return int(first) == bigEndian(frame, 16, 4) && int(second) == bigEndian(frame, 20, 4)
}

// readTable returns the named columns of all rows of a table as text, in no order (section 1.6).
func readTable(file *sqliteFile, table string, names ...string) [][]string {
	const interior, leaf = 5, 13
	columns := file.columns[table]
	places := map[int]int{}
	for place, name := range names {
		column := slices.Index(columns, name)
		if column < 0 && file.err == nil {
			file.err = fmt.Errorf("it has no table %q with a column %q", table, name)
		}
		places[column] = place
	}
	identity := slices.Index(columns, "id") // the column of the row's own number
	var rows [][]string
	pages := []int{file.roots[table]}
	for ; len(pages) > 0 && file.err == nil; pages = pages[1:] {
		page := pageOf(file, pages[0])
		header := 0
		if pages[0] == 1 {
			header = headerSize
		}
		kind, pointer := bigEndian(page, header, 1), header+8
		if kind == interior {
			pages = append(pages, bigEndian(page, pointer, 4))
			pointer += 4
		}
		for cells := bigEndian(page, header+3, 2); cells > 0 && file.err == nil; cells-- {
			cell := bigEndian(page, pointer, 2)
			pointer += 2
			if kind == leaf {
				rows = append(rows, readRow(file, page, cell, places, identity))
			} else {
				pages = append(pages, bigEndian(page, cell, 4))
			}
		}
		if kind != interior && kind != leaf || int64(len(pages)*file.pageSize) > file.left+int64(file.pageSize) {
			file.err = errDamaged
		}
	}
	return rows
}

// pageOf returns the text of a page, the first of which is 1; of zeros if there is none.
func pageOf(file *sqliteFile, page int) string {
	reader := file.writeAhead
	place, logged := file.logged[page]
	if !logged {
		reader = file.content
		place = int64(page-1) * int64(file.pageSize)
	}
	file.left -= int64(file.pageSize)
	text := bytesAt(reader, place, file.pageSize)
	if page < 1 || len(text) < file.pageSize || file.left < 0 {
		file.err = errDamaged
		return strings.Repeat("\x00", file.pageSize)
	}
	return text
}

// readRow returns one row (section 2.1). What is missing, NULL, or neither text nor a whole number, is nothing.
func readRow(file *sqliteFile, page string, cell int, places map[int]int, identity int) []string {
	length, next := varint(page, cell)
	id, next := varint(page, next)
	record := readPayload(file, page, next, length)
	row := make([]string, len(places))
	end, next := varint(record, 0)
	value := end
	for column, left := 0, len(places); left > 0 && int64(next) < end && file.err == nil; column++ {
		kind, following := varint(record, next)
		size := (kind - 12) / 2 // bytes of a text, if it isn't negative
		if kind >= 0 && kind < 12 {
			size = sizes[kind]
		}
		if following < 0 || size < 0 || size > length-value {
			file.err = errDamaged
			break
		}
		if place, wanted := places[column]; wanted {
			left--
			row[place] = unprintable
			if size <= longestToken && value+size <= int64(len(record)) {
				row[place] = valueOf(record[value:value+size], kind)
			}
			if column == identity && kind == 0 {
				row[place] = strconv.FormatInt(id, 10)
			}
		}
		next, value = following, value+size
	}
	return row
}

// valueOf returns a value of a type as text (section 2.1).
func valueOf(value string, kind int64) string {
	switch {
	case kind == 8 || kind == 9:
		return strconv.FormatInt(kind-8, 10)
	case kind > 0 && kind < 7 && value[0] < 0x80: // no number that counts is negative
		return strconv.Itoa(bigEndian(value, 0, len(value)))
	case kind >= 13 && kind&1 == 1:
		return strings.ToValidUTF8(value, unprintable)
	}
	return ""
}

// readPayload returns a record, or its first 32 KiB and more, that begins in a leaf and goes on in overflow pages (section 1.6).
func readPayload(file *sqliteFile, leaf string, offset int, size int64) string {
	local, most := size, int64(file.usable-35)
	if size > most {
		least := int64(file.usable-12)*32/255 - 23
		local = least + (size-least)%int64(file.usable-4)
		if local > most {
			local = least
		}
	}
	if size < 1 || file.left < 0 || offset < 0 || int64(offset)+local > int64(len(leaf)) {
		file.err = errDamaged
		return ""
	}
	end := offset + int(local)
	record := leaf[offset:end]
	for next := bigEndian(leaf, end, 4); int64(len(record)) < size && len(record) < mostOfRow && file.err == nil; {
		page := pageOf(file, next)
		next = bigEndian(page, 0, 4)
		record += page[4:file.usable]
	}
	file.left -= int64(len(record))
	return record
}

// bigEndian returns the number that so many bytes of the text are, the first counting most, or -1 if they aren't all there.
func bigEndian(text string, offset, count int) int {
	if offset < 0 || offset+count > len(text) {
		return -1
	}
	value := 0
	for _, octet := range []byte(text[offset : offset+count]) {
		value = value<<8 | int(octet)
	}
	return value
}

// varint returns a number of one to nine bytes, and where the next begins, or -1 if it isn't all there (section 1.6).
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
