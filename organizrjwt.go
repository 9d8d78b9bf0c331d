// Package organizrjwt is a Traefik middleware that admits visitors to a service by their Organizr login. It reads the session
// cookie that Organizr set, checks its signature with Organizr's own key, compares the visitor's group with the one that the
// service asks for, and tells the service who is there. It never calls Organizr.
package organizrjwt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"os"
	"path"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Config is the middleware's configuration, as Traefik decodes it.
type Config struct {
	ConfigFile     string            `json:"configFile,omitempty"`     // the path of Organizr's config.php, which supplies uuid and secret
	UUID           string            `json:"uuid,omitempty"`           // Organizr's uuid, or the full name of its cookie
	Secret         string            `json:"secret,omitempty"`         // Organizr's organizrHash
	SecretFile     string            `json:"secretFile,omitempty"`     // the path of a file that holds it; a final newline doesn't count
	DatabaseFile   string            `json:"databaseFile,omitempty"`   // the path of Organizr's SQLite database; auto: the one that config.php names
	OrganizrURL    string            `json:"organizrURL,omitempty"`    // where visitors log in: absolute, http or https; without one nobody is redirected
	Group          string            `json:"group,omitempty"`          // the least privileged group that gets in: 0 to 999, or one of Organizr's names
	Rules          []string          `json:"rules,omitempty"`          // PATTERN=GROUP, as http.ServeMux has patterns: another group for a part
	Allow          []string          `json:"allow,omitempty"`          // claim=value: whoever matches one gets in whatever their group
	Deny           []string          `json:"deny,omitempty"`           // claim=value: whoever matches one never gets in
	Headers        map[string]string `json:"headers,omitempty"`        // what the service is told: texts with placeholders such as {username}
	ForwardToken   bool              `json:"forwardToken,omitempty"`   // leave the session cookie in the request to the service
	AcceptBearer   bool              `json:"acceptBearer,omitempty"`   // take a session from Authorization: Bearer as well
	AllowCrossSite bool              `json:"allowCrossSite,omitempty"` // let other sites' pages change things with the visitor's session
	Unknown        map[string]any    `json:"-" mapstructure:",remain"` // what else Traefik was given, of which nothing is an option
}

// CreateConfig returns the configuration of a middleware that is given none. It lets nobody in: group is required. The
// headers are those with which Organizr's own check answers (its api/v2/auth).
func CreateConfig() *Config {
	return &Config{Headers: map[string]string{"X-Organizr-User": "{username}", "X-Organizr-Email": "{email}", "X-Organizr-Group": "{groupID}"}}
}

// A middleware is a configuration, checked and ready.
type middleware struct {
	quotedName string // for the log
	memory     *memory
	access
	forwarding
	login *login // nil if nobody is redirected
	next  http.Handler
}

// access is who gets in.
type access struct {
	group                        int
	rules                        *rules // nil if there are none
	allow, deny                  []condition
	acceptBearer, allowCrossSite bool
}

// forwarding is what is forwarded to the service.
type forwarding struct {
	headers      []*forwardedHeader
	names        []string        // of headers that the service gets from us: these, Cookie and Authorization
	forged       map[string]bool // names, as foldHeader has them, of headers that must not come from the visitor
	harmless     map[string]bool // names of headers that need no closer look
	forwardToken bool
}

// login is where visitors log in.
type login struct {
	parsed  *url.URL
	address string // the same as text
	host    string // without port
	domain  string // in which all hosts get Organizr's cookie, with a dot before it
}

// New returns the middleware, or one error that lists all mistakes of its configuration.
func New(_ context.Context, next http.Handler, config *Config, name string) (http.Handler, error) {
	found := &mistakes{}
	source := findSource(found, config)
	login := parseLogin(found, or(config.OrganizrURL, os.Getenv("ORGANIZR_URL")))
	forwarding := parseForwarding(found, config)
	access := access{acceptBearer: config.AcceptBearer, allowCrossSite: config.AllowCrossSite, group: parseGroup(found, "group", config.Group)}
	access.rules = parseRules(found, config.Rules, access.group)
	access.allow = parseConditions(found, "allow", config.Allow, source.databaseFile != "")
	access.deny = parseConditions(found, "deny", config.Deny, source.databaseFile != "")
	for name := range config.Unknown {
		found.addf("%s: no such option; the readme lists those that there are", name)
	}
	if len(found.list) > 0 {
		return nil, errors.New("organizrjwt: " + strings.Join(found.list, "; "))
	}
	known := newMemory(source, name, since(epoch))
	return &middleware{quotedName: strconv.Quote(name), memory: known, access: access, forwarding: forwarding, login: login, next: next}, nil
}

// ServeHTTP forwards the request to the service if the visitor may enter, and else refuses it. Whoever is remembered
// by the same credentials is known, unless the session has expired or it is time to look at the files.
//
// Interpreted, each expression of a function takes memory at every call, reached or not: what few requests need is elsewhere.
func (m *middleware) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	group := m.group
	if m.rules != nil {
		group = groupByRules(m.rules, req)
	}
	headers := req.Header
	credentials := strings.Join(headers["Cookie"], "; ") // only HTTP/1 clients send more than one line, against RFC 6265
	if m.acceptBearer {
		credentials += "\x00" + strings.Join(headers["Authorization"], "\x00")
	}
	now := since(epoch)
	known := m.memory
	known.RLock()
	who := known.visitors[credentials]
	lookAgain := known.lookAgain
	known.RUnlock()
	if who == nil || now >= who.expires || now >= lookAgain {
		who = identify(m, req, credentials, group, now)
	}
	if who.standing+group < admitted {
		refuse(m, who, group, rw, req)
		return
	}
	if req.Method != "GET" || len(headers) > mostHeaders || headers.WriteSubset(unwritable, m.harmless) != nil {
		if !passesCloserLook(m, who, group, rw, req) {
			return
		}
	}
	for i, values := range who.values {
		headers[m.names[i]] = values
	}
	m.next.ServeHTTP(rw, req)
}

// groupByRules returns the group that the rules ask for. Nearly all paths are plain: they read in one way only, and one look-up tells.
func groupByRules(all *rules, req *http.Request) int {
	address := req.URL
	if address.RawPath == "" && usualMethods[req.Method] && len(address.Path) <= longestPlain && all.plain.MatchString(address.Path) {
		_, pattern := all.careless.Handler(req)
		if all.settled[pattern] {
			return all.carelessGroups[pattern]
		}
	}
	return strictestGroup(all, req.Method, req.URL)
}

const (
	longestName        = 200      // bytes of the name of a header that the plugin can set
	mostHeaders        = 200      // names of headers that a request can have; browsers send some twenty
	mostCookies        = 4        // of the same name that are tried; Organizr sets two
	longestCredentials = 32 << 10 // bytes of credentials in which a session is looked for
	mostBeginnings     = 8        // of tokens in a line of Authorization; each has two
	longestReturn      = 2 << 10  // bytes of an address that a visitor comes back to
	longestPath        = 1 << 10  // bytes of a path that isn't plain, for which the rules are asked
	longestPlain       = 4 << 10  // and of one that is
	mostReadings       = 12       // of one path, that none costs half a millisecond
	plainNames         = "^/$|^(?:/[a-z0-9_~-](?:[a-z0-9._~-]*[a-z0-9_~-])?)+"
)

var (
	usualMethods = map[string]bool{"GET": true, "HEAD": true, "POST": true, "PUT": true, "PATCH": true, "DELETE": true, "OPTIONS": true}
	plainPath    = regexp.MustCompile(plainNames + "/?$") // no upper case, nothing to decode, clean or cut off
	plainFile    = regexp.MustCompile(plainNames + "$")   // and no slash at the end
	unwritable   = (*os.File)(nil)                        // fails at the first write: is there one?
)

// passesCloserLook takes forged headers out of an unusual request of somebody who may enter, or refuses one that could do harm.
func passesCloserLook(m *middleware, who *visitor, group int, rw http.ResponseWriter, req *http.Request) bool {
	switch {
	case len(req.Header) > mostHeaders:
		explain(m, who, tooManyHeaders, rw, req)
	case group != guest && !m.allowCrossSite && who.byCookie && crossSite(m.login, req):
		explain(m, who, fromAnotherSite, rw, req)
	default:
		for name := range req.Header {
			if !m.harmless[name] && len(name) <= longestName && m.forged[foldHeader(name)] {
				delete(req.Header, name)
			}
		}
		return true
	}
	return false
}

// crossSite reports whether the request may change things, or opens a WebSocket, and a browser says that another site's page
// made it. Organizr's cookie is SameSite=None, so it came along without the visitor's doing. Programs say nothing.
//
// Chromium sends no Sec-Fetch-Site with a WebSocket's handshake, and same-site covers more hosts than Organizr's cookie does:
// organizr.home.example.com shares it with home.example.com, but a form on evil.example.com is same-site. In both cases Origin
// decides: its host must be the request's own, or get Organizr's cookie too. It is "null" in sandboxed frames. Under Organizr's own
// host the cookie comes along even if browsers refused the one for the domain above, so there no other name is trusted.
func crossSite(organizr *login, req *http.Request) bool {
	if (req.Method == http.MethodGet || req.Method == http.MethodHead || req.Method == http.MethodOptions) && len(req.Header["Upgrade"]) == 0 {
		return false
	}
	site, origin := strings.Join(req.Header["Sec-Fetch-Site"], ","), req.Header["Origin"]
	if strings.Contains(site, "cross-site") {
		return true
	}
	if site != "" && !strings.Contains(site, "same-site") || site == "" && len(origin) == 0 {
		return false
	}
	if len(origin) == 0 {
		return true
	}
	address, err := url.Parse(origin[0])
	if err != nil || address.Host == "" || len(origin) > 1 {
		return true
	}
	host, own := hostname(address), hostname(&url.URL{Host: browserHost(req)})
	if host == own || organizr == nil {
		return host != own
	}
	domain := "." + organizr.host
	if !strings.HasSuffix("."+own, domain) {
		domain = organizr.domain
	}
	return !strings.HasSuffix("."+host, domain)
}

// browserHost returns the host, with its port, that the browser asked for: trusted proxies may say another than the request.
func browserHost(req *http.Request) string {
	if forwarded := req.Header.Get("X-Forwarded-Host"); forwarded != "" && !strings.Contains(forwarded, ",") {
		return forwarded
	}
	return req.Host
}

// identify finds out who sent a request: whoever has the first good session in the cookies of Organizr's name, or in Authorization if
// that is accepted. Organizr sets one cookie for its domain and one for its host, so a browser can send two, and one can be stale.
func identify(m *middleware, req *http.Request, credentials string, group int, now time.Duration) *visitor {
	known := m.memory
	known.RLock()
	authority := known.authority
	overdue := now - known.lookAgain
	known.RUnlock()
	if overdue >= 0 || overdue < -lookEvery { // the clock was set back
		authority = look(known, authority, overdue, now)
	}
	if authority == nil {
		return withoutSession(m, req, notReady, nil, group)
	}
	if len(credentials) > longestCredentials {
		return withoutSession(m, req, longCredentials, authority, group)
	}
	who := authority.nobody
	candidates := req.CookiesNamed(authority.cookie)
	if len(candidates) > mostCookies || m.acceptBearer {
		candidates = fewerOrBearer(m, req, candidates)
	}
	for _, candidate := range candidates {
		known.RLock()
		holder := known.holders[candidate.Value]
		known.RUnlock()
		if holder == nil || now >= holder.expires {
			holder = verify(candidate.Value, authority, now)
			if holder == ended {
				holder = verifyAtOnce(known, candidate.Value, now)
			}
			if holder.account == nil {
				who = holder
				continue
			}
			authorize(m, holder)
		}
		return recognize(m, req, credentials, holder, candidate.Name != "")
	}
	if group == guest {
		return withoutSession(m, req, who, authority, group)
	}
	return who
}

// fewerOrBearer returns the first four cookies, and behind them the bearer token if that is accepted, as a cookie without name.
func fewerOrBearer(m *middleware, req *http.Request, candidates []*http.Cookie) []*http.Cookie {
	if len(candidates) > mostCookies {
		candidates = candidates[:mostCookies]
	}
	bearer := bearerToken.FindStringSubmatch(strings.Join(req.Header["Authorization"], "\n"))
	if m.acceptBearer && bearer != nil {
		candidates = append(candidates, &http.Cookie{Value: bearer[1]})
	}
	return candidates
}

// recognize returns the visitor whose session the request carries, and remembers them. A holder may be in use elsewhere, so
// what is forwarded beside other cookies stands in a visitor of its own.
func recognize(m *middleware, req *http.Request, credentials string, holder *visitor, byCookie bool) *visitor {
	who := holder
	if !byCookie || len(credentials) != len(holder.authority.cookie)+1+len(holder.token) { // there is more than the session
		who = &visitor{account: holder.account, token: holder.token, expires: holder.expires, standing: holder.standing, byCookie: byCookie}
		who.values = append(who.values, holder.values...)
		forwardOthers(m, who, req, holder.authority, holder.token)
	}
	remember(m.memory, credentials, holder, who)
	return who
}

// withoutSession returns the visitor who has no session, whose other cookies a service for guests gets.
func withoutSession(m *middleware, req *http.Request, who *visitor, authority *authority, group int) *visitor {
	if group != guest {
		return who
	}
	other := *who
	other.values = make([][]string, len(m.names))
	forwardOthers(m, &other, req, authority, "\x00")
	return &other
}

// authorize decides what a session is worth here, and what is forwarded for its holder. One whose account is refused counts as nobody.
func authorize(m *middleware, holder *visitor) {
	described := holder.account
	holder.byCookie = true
	holder.standing = admitted - guest
	holder.values = make([][]string, len(m.names))
	if described.refused != nil {
		return
	}
	holder.standing = standingOf(described, m.allow, m.deny)
	for i, one := range m.headers {
		text, single := described.claims[one.single]
		if !single {
			text = headerText(one, holder)
		}
		if text != "" {
			holder.values[i] = []string{text}
		}
	}
}

// standingOf returns the standing that an account gives, where allow and deny make exceptions.
func standingOf(described *account, allow, deny []condition) int {
	standing := admitted - described.groupID
	for _, one := range allow {
		if described.claims[one.claim] == one.value {
			standing = admitted
		}
	}
	for _, one := range deny { // many services know names whatever their case
		if strings.EqualFold(described.claims[one.claim], one.value) {
			return 0
		}
	}
	return standing
}

// headerText returns the header's text with the claims in it, or nothing if it has placeholders and all of them are empty.
func headerText(one *forwardedHeader, holder *visitor) string {
	pairs := []string{"{token}", holder.token}
	for name, claim := range holder.account.claims {
		pairs = append(pairs, "{"+name+"}", claim)
	}
	text := strings.NewReplacer(pairs...).Replace(one.text)
	if text == one.bare && one.bare != one.text {
		return ""
	}
	return text
}

// forwardOthers lets the service have the visitor's other cookies, and what else is in Authorization.
func forwardOthers(m *middleware, who *visitor, req *http.Request, authority *authority, token string) {
	if m.forwardToken {
		return
	}
	place := len(m.headers)
	if others := withoutSessions(strings.Join(req.Header["Cookie"], "; "), token, authority); others != "" {
		who.values[place] = []string{others}
	}
	if len(who.values) > place+1 {
		who.values[place+1] = linesWithoutSession(req.Header["Authorization"], authority)
	}
}

var (
	bearerToken    = regexp.MustCompile(`^(?i:Bearer) +(\S+) *$`)               // the line of Authorization (RFC 6750, section 2.1)
	tokenBeginning = regexp.MustCompile(`ey`)                                   // of a JSON object in base64url
	anySession     = cookiesNamed(regexp.QuoteMeta(cookiePrefix) + "[^ \t;=]*") // the cookies of any Organizr
)

// withoutSessions returns the Cookie header without the cookies of Organizr's name, and leaves the others byte for byte; nothing of more
// than 32 KiB. An expression takes a quarter of what a request costs whose other cookies are new, and isn't needed for one session.
func withoutSessions(cookies, token string, authority *authority) string {
	sessions := anySession
	if authority != nil {
		others := strings.Replace("; "+cookies+"; ", "; "+authority.cookie+"="+token+"; ", "; ", 1)
		if !strings.Contains(others, authority.cookie) {
			return strings.TrimPrefix(strings.TrimSuffix(others, "; "), "; ")
		}
		sessions = authority.cookiePattern
	}
	if len(cookies) > longestCredentials {
		return ""
	}
	return strings.TrimLeft(strings.TrimPrefix(sessions.ReplaceAllString(";"+cookies, "$1"), ";"), " \t")
}

// linesWithoutSession returns the lines of Authorization that hold no session of this Organizr: of up to four, those of up to 16 KiB.
func linesWithoutSession(lines []string, authority *authority) []string {
	var others []string
	for _, line := range lines {
		if len(lines) <= mostCookies && len(line) <= 2*longestToken && !holdsSession(line, authority) {
			others = append(others, line)
		}
	}
	return others[:len(others):len(others)] // remembered: whoever adds a line writes it elsewhere
}

// holdsSession reports whether a text holds a token that this Organizr signed, or may have signed as long as its files aren't
// there, whatever is before and behind it; or so much that could be one that it isn't worth looking.
func holdsSession(text string, authority *authority) bool {
	beginnings := tokenBeginning.FindAllStringIndex(text, mostBeginnings)
	for _, place := range beginnings {
		parts := strings.SplitN(text[place[0]:], ".", 4) // of a token (RFC 7515, section 7.1), and the rest
		sender := malformed
		if authority != nil && len(parts) > 2 && len(parts[2]) >= signatureLength-1 {
			sender = verify(parts[0]+"."+parts[1]+"."+parts[2][:signatureLength-1], authority, 0)
		}
		if authority == nil && parts[0] == organizrHeader || sender != tokenTooLong && sender != malformed && sender != wrongSignature {
			return true
		}
	}
	return len(beginnings) == mostBeginnings
}

// A refusal is what a visitor is told who may not enter, and what the log says.
type refusal struct {
	Status             int
	Title              string
	Text               string // without anything that JSON would have to escape
	Hint               string // what a person can do
	reason             string // quoted, for the log; empty if it is the visitor's
	Login              string // Organizr's address
	Who, Group, Wanted string // the visitor's name and group, and the group that is asked for
}

func newRefusal(status int, reason, title, text, hint string) refusal {
	return refusal{Status: status, Title: title, Text: text, Hint: hint, reason: reason}
}

var (
	hintToAsk     = "Ask whoever runs this Organizr for access. To come as somebody else, log out of Organizr first."
	loginNeeded   = newRefusal(401, "", "Please log in", "This service is for people who are logged in to Organizr.", "Log in there, then come back.")
	loginCantHelp = newRefusal(401, `"a login can't help here, as the page says"`, "A login can't help here",
		"This service is for people who are logged in to Organizr, but nobody's login can reach it as it is set up.", "")
	loginNotReady = newRefusal(503, "", "The login isn't ready yet",
		"This service is for people who are logged in to Organizr, which isn't set up yet, or can't be seen from here.",
		"This page loads itself again. If it stays, ask whoever runs this service: Traefik's log says what is missing.")
	notForGroup     = newRefusal(403, "", "Not for your group", "You are logged in, but this service is for another group.", hintToAsk)
	refusedByDeny   = newRefusal(403, `"matched by deny"`, "Not for you", "The settings of this service don't let you in.", hintToAsk)
	fromAnotherSite = newRefusal(403, `"cross-site request, and allowCrossSite is off"`, "Stopped for your safety",
		"Another website tried to use this service in your name.", "If that was you, open the service itself and try again.")
	tooManyHeaders = newRefusal(431, `"more than 200 headers"`, "Too many headers", "The request has more headers than any browser sends.", "")
	accountRefused = map[error]refusal{
		errLocked: newRefusal(403, strconv.Quote(errLocked.Error()), "Your account is locked",
			"Your account is locked in Organizr, so you get in only where guests do.", "Ask whoever runs this Organizr to unlock it."),
		errUnprintable: newRefusal(403, strconv.Quote(errUnprintable.Error()), "Your name can't be passed on", "Your name or address in Organizr has "+
			"characters that can't be printed, or a space at an end, so services could take you for somebody else.", "Change it in Organizr, then log in again."),
	}

	noStore = []string{"no-store"} // so that nobody is shown what was for another
	asJSON  = []string{"application/problem+json"}
	asIs    = []string{"nosniff"}

	// challenges are what 401 carries, by whether there was a token (RFC 6750, section 3).
	challenges = map[bool][]string{false: {`Bearer realm="Organizr"`}, true: {`Bearer realm="Organizr", error="invalid_token"`}}

	loginProblem = problemJSON(loginNeeded)                      // what programs are told that have no session
	htmlType     = regexp.MustCompile(`(?is)^.{0,99}?text/html`) // what a browser accepts that opens a page
)

// refusalOf says why a visitor with a session may not enter.
func refusalOf(who *visitor, group int) refusal {
	if who.account.refused != nil {
		return accountRefused[who.account.refused]
	}
	if who.standing == 0 {
		return refusedByDeny
	}
	why := notForGroup
	why.reason = fmt.Sprintf(`"group %d, and %d is asked for"`, who.account.groupID, group)
	why.Wanted = numbered(groupNames[group], group)
	if group > 0 {
		why.Wanted += " or a smaller number"
	}
	return why
}

// numbered returns the group's name with its number, by which groups are compared.
func numbered(name string, group int) string {
	number := strconv.Itoa(group)
	if name == number {
		return "Group " + number
	}
	return name + " (" + number + ")"
}

// refuse answers a request that may not go on to the service, and logs it.
func refuse(m *middleware, who *visitor, group int, rw http.ResponseWriter, req *http.Request) {
	switch {
	case who.account != nil:
		explain(m, who, refusalOf(who, group), rw, req)
	case who == notReady:
		explain(m, who, loginNotReady, rw, req)
	case htmlType.MatchString(req.Header.Get("Accept")) && opensPage(req):
		sendToLogin(m, who, rw, req)
	default: // a program that has no session: what a scanner gets, so it costs little
		rw.Header()["Content-Type"] = asJSON
		send(m, who, http.StatusUnauthorized, who.reason, "", loginProblem, rw, req)
	}
}

// opensPage reports whether a browser opens it, rather than a script or a WebSocket. Not all browsers send Sec-Fetch-Mode.
func opensPage(req *http.Request) bool {
	mode := req.Header.Get("Sec-Fetch-Mode")
	return (mode == "" || mode == "navigate") && req.Header["Upgrade"] == nil
}

// sendToLogin sends a browser to Organizr, to come back logged in, or says why it doesn't: nobody comes back to a form
// that was sent, and where a login can't help it would only lead around in a circle. Organizr decodes the value of return
// three times, and not in the same way; escaped like this it comes back exactly, whatever is in it (its js/custom.js).
func sendToLogin(m *middleware, who *visitor, rw http.ResponseWriter, req *http.Request) {
	organizr := m.login
	if organizr == nil || req.Method != "GET" && req.Method != "HEAD" {
		explain(m, who, loginNeeded, rw, req)
		return
	}
	host := browserHost(req)
	wanted := wantedAddress(req, host)
	if host == organizr.host || !strings.HasSuffix(host, organizr.domain) {
		why := loginCantHelp
		if why.Hint = whyNoLogin(organizr, wanted); why.Hint != "" {
			explain(m, who, why, rw, req)
			return
		}
	}
	location := organizr.address
	if len(wanted) <= longestReturn {
		location += "?return=" + strings.ReplaceAll(url.QueryEscape(wanted), "%", "%2525")
	}
	rw.Header()["Location"] = []string{location}
	send(m, who, http.StatusFound, who.reason, "", nil, rw, req)
}

// wantedAddress returns the address of the request as the browser knows it: Traefik says in X-Forwarded-* how it
// was reached, and which prefix a middleware before this one has cut off. It takes those from trusted proxies only.
func wantedAddress(req *http.Request, host string) string {
	scheme := "http://"
	proto := req.Header.Get("X-Forwarded-Proto")
	if proto == "https" || proto == "wss" || proto == "" && req.TLS != nil {
		scheme = "https://"
	}
	return scheme + host + strings.Join(req.Header["X-Forwarded-Prefix"], "") + req.URL.RequestURI()
}

// whyNoLogin says why a login would not let the visitor in to the address that they want, or nothing if it could.
func whyNoLogin(organizr *login, wanted string) string {
	address, err := url.Parse(wanted)
	if err != nil {
		return ""
	}
	host := hostname(address)
	if host == organizr.host && portOf(address) == portOf(organizr.parsed) && path.Clean("/"+address.Path) == path.Clean("/"+organizr.parsed.Path) {
		return "This is Organizr's own address, and nobody can log in where a login is asked for first. Take this middleware off Organizr's own router."
	}
	if strings.HasSuffix("."+host, organizr.domain) {
		return ""
	}
	return fmt.Sprintf("Organizr's login at %s reaches %s and names under it, and not %s: browsers share a cookie only between names under one domain "+
		"of your own, like organizr.example.com and service.example.com. Use such names, or put this service under a path of %s.",
		organizr.host, organizr.domain[1:], host, organizr.host)
}

// keptToItself matches hosts of Organizr that share its cookie with none but those under them. Its parseDomain (in its
// api/functions/normal-functions.php) takes the domain above, but not always, and not always one that browsers take.
var keptToItself = regexp.MustCompile(`^[^.]*(\.[^.]*)?$|(\..*){4}|` + // of five labels it takes the second to fourth
	`^[0-9][^.]*(\.[^.]*){3}$|^[^.]*\.co\.[^.]*$|` +
	// under these providers of dynamic DNS, Organizr doesn't share it
	`\.((ddns|bounceme|freedynamicdns|redirectme|serveblog|serveminecraft|sytes|viewdns)\.net|(freedynamicdns|hopto|myftp|zapto)\.org|` +
	`(ddnsking|3utilities|myvnc|noip|onthewifi|serve(counterstrike|ftp|game|halflife|http|irc|mp3|pics|quake))\.com|` +
	`(myddns|myds|webhop)\.me|gotdns\.ch|myftp\.biz)$|` +
	// and in these, browsers set none, since anybody can have a name there: more providers, and the usual public suffixes
	`^[^.]*\.((duckdns|dedyn|no-ip)\.org|dedyn\.io|synology\.me|(dynv6|myfritz)\.net|home\.arpa|(ac|co|com|edu|gov|mil|net|org)\.[a-z]{2})$`)

// hostname returns the host of the address in lower case, without port and final dot.
func hostname(address *url.URL) string {
	return strings.TrimSuffix(strings.ToLower(address.Hostname()), ".")
}

func portOf(address *url.URL) string {
	return or(address.Port(), map[string]string{"http": "80", "https": "443"}[address.Scheme])
}

// explain tells the visitor why: with a page if a person waits for it, else as RFC 9457 has it for programs.
func explain(m *middleware, who *visitor, why refusal, rw http.ResponseWriter, req *http.Request) {
	if who.account != nil {
		why.Who = who.account.claims["username"]
		why.Group = numbered(who.account.claims["group"], who.account.groupID)
	}
	visitor, headers := why.Who, rw.Header()
	if why.Status == http.StatusServiceUnavailable {
		headers.Set("Retry-After", "5") // seconds, as the page does
	}
	var body bytes.Buffer
	if htmlType.MatchString(req.Header.Get("Accept")) && opensPage(req) {
		if who.account != nil && errors.Is(who.account.refused, errUnprintable) {
			why.Who = strconv.Quote(why.Who)
		}
		if m.login != nil && why.Title != loginNotReady.Title && why.Title != loginCantHelp.Title && why.Title != fromAnotherSite.Title {
			why.Login = m.login.address
		}
		headers.Set("Content-Type", "text/html; charset=utf-8")
		headers.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'")
		_ = refusalPage.Execute(&body, why)
	} else {
		headers["Content-Type"] = asJSON
		body.Write(problemJSON(why))
	}
	send(m, who, why.Status, or(why.reason, who.reason), visitor, body.Bytes(), rw, req)
}

// send sends an answer, and logs it in one line. What a visitor chose is quoted and cut there, so that it can't look like another.
func send(m *middleware, who *visitor, status int, reason, visitor string, body []byte, rw http.ResponseWriter, req *http.Request) {
	fmt.Printf("organizrjwt: middleware=%s status=%d method=%.20q host=%.256q path=%.256q reason=%s visitor=%.256q\n",
		m.quotedName, status, req.Method, req.Host, req.URL.Path, reason, visitor)
	headers := rw.Header()
	headers["Cache-Control"] = noStore
	headers["X-Content-Type-Options"] = asIs
	if status == http.StatusUnauthorized {
		headers["Www-Authenticate"] = challenges[who.hadToken]
	}
	rw.WriteHeader(status)
	if body != nil && req.Method != "HEAD" {
		_, _ = rw.Write(body)
	}
}

// problemJSON returns what programs are told (RFC 9457).
func problemJSON(why refusal) []byte {
	return []byte(`{"type":"about:blank","title":"` + http.StatusText(why.Status) + `","status":` + strconv.Itoa(why.Status) +
		`,"detail":"` + why.Text + `"}` + "\n")
}

// mistakes are what is wrong with a configuration. Each names the option, what was given, and what would be right.
type mistakes struct{ list []string }

func (m *mistakes) addf(format string, given ...any) {
	m.list = append(m.list, fmt.Sprintf(format, given...))
}

// findSource finds where uuid, secret and database come from: the middleware's own configuration, and what that doesn't
// say, Traefik's environment. In one configuration the secret can have one source only.
func findSource(found *mistakes, config *Config) source {
	source := source{uuid: config.UUID, secret: config.Secret, secretFile: config.SecretFile, configFile: config.ConfigFile}
	names := "secret, secretFile and configFile"
	if source.secret+source.secretFile+source.configFile == "" {
		source.secret, source.secretFile, source.configFile = os.Getenv("ORGANIZR_SECRET"), os.Getenv("ORGANIZR_SECRET_FILE"), os.Getenv("ORGANIZR_CONFIG_FILE")
		names = "ORGANIZR_SECRET, ORGANIZR_SECRET_FILE and ORGANIZR_CONFIG_FILE"
	}
	if config.ConfigFile == "" {
		source.uuid = or(source.uuid, os.Getenv("ORGANIZR_UUID"))
	}
	source.uuid = strings.TrimPrefix(source.uuid, cookiePrefix)
	source.databaseFile = strings.TrimSpace(or(config.DatabaseFile, os.Getenv("ORGANIZR_DATABASE_FILE")))
	if source.databaseFile == "none" {
		source.databaseFile = ""
	}
	if source.uuid+source.configFile == "" {
		found.addf("uuid: missing; give Organizr's uuid, or its config.php as configFile or ORGANIZR_CONFIG_FILE")
	} else if !httpName.MatchString(cookiePrefix + source.uuid) {
		found.addf("uuid: %q can't be part of a cookie's name; give Organizr's uuid as its config.php has it", source.uuid)
	}
	switch {
	case source.secret+source.secretFile+source.configFile == "":
		found.addf("secret: missing; give Organizr's organizrHash as secret or secretFile, or its config.php as configFile or ORGANIZR_CONFIG_FILE")
	case source.secret != "" && source.secretFile+source.configFile != "" || source.secretFile != "" && source.configFile != "":
		found.addf("secret: more than one source; give only one of %s", names)
	case source.secret != "" && strings.TrimSpace(source.secret) == "":
		found.addf("secret: blank; give Organizr's organizrHash")
	}
	if source.databaseFile == "auto" && source.configFile == "" {
		found.addf(`databaseFile: "auto" goes by Organizr's config.php; give that as configFile, ` +
			"or the database's path, or none if ORGANIZR_DATABASE_FILE is for others")
	}
	return source
}

// parseLogin returns where visitors log in, with a slash at its end, or nil if no address is given.
func parseLogin(found *mistakes, given string) *login {
	if given == "" {
		return nil
	}
	address, err := url.Parse(given)
	if err != nil || address.Scheme != "http" && address.Scheme != "https" || address.Hostname() == "" ||
		address.User != nil || address.RawQuery != "" || address.Fragment != "" || strings.ContainsAny(given, " \t\r\n") {
		found.addf("organizrURL: %q isn't an address to log in at; give one like https://organizr.example.com", given)
		return nil
	}
	address = address.JoinPath("/")
	host := hostname(address)
	domain := host
	if !keptToItself.MatchString(host) {
		_, domain, _ = strings.Cut(host, ".")
	}
	return &login{parsed: address, address: address.String(), host: host, domain: "." + domain}
}

// parseGroup returns the number of a group that is given as number, or as name whatever its case, spaces, - and _.
func parseGroup(found *mistakes, option, given string) int {
	given = strings.TrimSpace(given)
	if number, ok := groupNumbers[given]; ok {
		return number
	}
	cramped := strings.NewReplacer(" ", "", "-", "", "_", "")
	for number, name := range groupNames {
		if name != strconv.Itoa(number) && strings.EqualFold(cramped.Replace(name), cramped.Replace(given)) {
			return number
		}
	}
	problem := strconv.Quote(given) + " isn't a group; give "
	if given == "" {
		problem = "missing; give the least privileged group that gets in: "
	}
	found.addf("%s: %sa number from 0 to 999, or Admin, Co-Admin, Super User, Power User, User, Logged In or Guest; groups of your own go by their number",
		option, problem)
	return 0
}

// A condition is one claim=value of the options allow and deny.
type condition struct{ claim, value string }

// parseConditions returns the conditions that an option lists. Without a database, users can choose the text of the claim group.
func parseConditions(found *mistakes, option string, given []string, byDatabase bool) []condition {
	var conditions []condition
	for _, one := range given {
		parts := conditionParts.FindStringSubmatch(one)
		switch {
		case parts == nil:
			found.addf("%s: %q isn't claim=value; give one like username=alice, with username, email, group, groupID or userID", option, one)
		case parts[1] == "group" && !byDatabase:
			found.addf("%s: %q needs databaseFile, since without it users can choose that text themselves; "+
				"give the group's number instead, like groupID=5", option, one)
		case strings.ContainsAny(parts[2][:1], "\"'`"):
			found.addf("%s: %q has quotes around its value; give one like username=alice", option, one)
		case strings.HasSuffix(parts[1], "ID") && !wholeNumber.MatchString(parts[2]):
			found.addf("%s: %q isn't a whole number; give one like groupID=5", option, one)
		default:
			conditions = append(conditions, condition{parts[1], parts[2]})
		}
	}
	return conditions
}

// A forwardedHeader is one of those that tell the service who is there.
type forwardedHeader struct {
	name   string // in canonical form
	text   string // as it was given; empty if the header is only removed
	bare   string // the text without placeholders
	single string // the claim, if the text is one placeholder and nothing else
}

func parseForwarding(found *mistakes, config *Config) forwarding {
	parsed := forwarding{headers: parseHeaders(found, config.Headers), forwardToken: config.ForwardToken, forged: map[string]bool{}, harmless: map[string]bool{}}
	for _, one := range parsed.headers {
		parsed.names = append(parsed.names, one.name)
		parsed.forged[foldHeader(one.name)] = true
	}
	if !config.ForwardToken {
		parsed.names = append(parsed.names, "Cookie")
		if config.AcceptBearer && !parsed.forged["authorization"] {
			parsed.names = append(parsed.names, "Authorization")
		}
	}
	if len(config.Rules) > 0 { // then some services must not be told another path
		parsed.forged["x-original-url"], parsed.forged["x-rewrite-url"] = true, true
	}
	for _, name := range usualHeaders {
		parsed.harmless[name] = !parsed.forged[foldHeader(name)]
	}
	return parsed
}

// usualHeaders are those that nearly all requests are made of, but for Upgrade. Whatever has others needs a closer look.
var usualHeaders = strings.Fields(`Accept Accept-Charset Accept-Encoding Accept-Language Authorization Cache-Control Connection Content-Length Content-Type
	Cookie Dnt If-Match If-Modified-Since If-None-Match If-Range Last-Event-Id Origin Pragma Priority Range Referer Sec-Ch-Ua Sec-Ch-Ua-Mobile Sec-Ch-Ua-Platform
	Sec-Fetch-Dest Sec-Fetch-Mode Sec-Fetch-Site Sec-Fetch-Storage-Access Sec-Fetch-User Sec-Gpc Sec-Websocket-Extensions Sec-Websocket-Key
	Sec-Websocket-Protocol Sec-Websocket-Version Te Upgrade-Insecure-Requests User-Agent X-Api-Key X-Csrf-Token X-Forwarded-For X-Forwarded-Host
	X-Forwarded-Port X-Forwarded-Prefix X-Forwarded-Proto X-Forwarded-Server X-Real-Ip X-Requested-With`)

// parseHeaders returns the headers that the option lists. One that means the same as a default one takes its place.
func parseHeaders(found *mistakes, given map[string]string) []*forwardedHeader {
	names := make([]string, 0, len(given))
	for name := range given {
		names = append(names, name)
	}
	sort.Strings(names)
	var headers []*forwardedHeader
	defaults := CreateConfig().Headers
	places := map[string]int{}
	for _, name := range names {
		added := parseHeader(found, name, given[name])
		place, twice := places[foldHeader(name)]
		switch {
		case !twice:
			places[foldHeader(name)] = len(headers)
			headers = append(headers, added)
		case headers[place].text != "" && defaults[headers[place].name] == headers[place].text:
			headers[place] = added
		case added.text == "" || defaults[name] != added.text:
			found.addf("headers: %q and %q are the same header to many services; give only one", headers[place].name, name)
		}
	}
	return headers
}

var (
	conditionParts = regexp.MustCompile(`(?s)^\s*(username|email|group|groupID|userID)\s*=\s*(\S|\S.*\S)\s*$`)
	wholeNumber    = regexp.MustCompile(`^(0|[1-9][0-9]*)$`) // as Organizr writes it
	braces         = regexp.MustCompile(`\{[^{}]*\}`)
	placeholder    = regexp.MustCompile(`\{(?:username|email|group|groupID|userID|image|token)\}`)
	separators     = regexp.MustCompile(`[^0-9A-Za-z]`) // what services may read as a header's hyphens: CGI, PHP and WSGI underscores, some anything else
	ownedHeaders   = regexp.MustCompile(`(?i)^(Host|Connection|Content-(Length|Type|Encoding)|Transfer-Encoding|Trailer|Te|Upgrade|` +
		`Keep-Alive|Proxy-Connection|Cookie|Expect)$`) // which belong to the connection, to the request's form or to the plugin
)

func parseHeader(found *mistakes, name, text string) *forwardedHeader {
	const right = "there are {username}, {email}, {group}, {groupID}, {userID}, {image} and {token}"
	added := &forwardedHeader{name: http.CanonicalHeaderKey(name), text: text, bare: placeholder.ReplaceAllString(text, "")}
	switch {
	case !httpName.MatchString(name) || len(name) > longestName:
		found.addf("headers: %q can't be the name of a header; use letters, digits and -", name)
	case ownedHeaders.MatchString(name):
		found.addf("headers: %q can't be set by a middleware; use another name", name)
	case strings.IndexFunc(text, unicode.IsControl) >= 0:
		found.addf("headers: %q has a control character in its text %q; take it out", name, text)
	case braces.MatchString(added.bare):
		found.addf("headers: %q has the unknown placeholder %q; %s", name, braces.FindString(added.bare), right)
	case strings.ContainsAny(added.bare, "{}"):
		found.addf("headers: %q has a brace without its partner in its text %q; %s", name, text, right)
	case added.bare == "" && strings.Count(text, "{") == 1:
		added.single = strings.Trim(text, "{}")
	}
	return added
}

// foldHeader returns what a header's name means to a service that knows neither case nor kinds of separators.
func foldHeader(name string) string {
	return strings.ToLower(separators.ReplaceAllString(name, "-"))
}

// rules say which group is asked for, for parts of the service. Go's ServeMux finds the most specific pattern.
//
// A path is looked up in two ways, and the more privileged group holds: as it came, among the patterns as they were
// given, so a rule that opens opens exactly what it says; and as careless services may read it, among the patterns in
// lower case, so a rule that closes closes all that could be taken for it.
type rules struct {
	strictest      int             // the most privileged group of all
	folders        *http.ServeMux  // the patterns as given, for paths that end in a slash
	files          *http.ServeMux  // the same, for other paths
	groups         map[string]int  // that these patterns ask for, and "" where none matches
	careless       *http.ServeMux  // the patterns in lower case, for paths without their final slash
	carelessGroups map[string]int  // the groups that those ask for
	plain          *regexp.Regexp  // paths for which careless does: those with a final slash only if all patterns have one
	settled        map[string]bool // the patterns of careless that were given in lower case, and "" for none: they alone tell
}

// parseRules returns the rules that the option lists, or nil for none. Paths that end in a slash are matched among folders,
// others among files, where /api/ is /api/{anything_below} and /api/{anything_below}/: a single ServeMux would redirect /api
// to /api/, and not say which rule there is around it. To careless services /api/ and /api are the same.
func parseRules(found *mistakes, given []string, group int) *rules {
	if len(given) == 0 {
		return nil
	}
	all := &rules{
		strictest: group, folders: http.NewServeMux(), files: http.NewServeMux(), groups: map[string]int{"": group},
		careless: http.NewServeMux(), carelessGroups: map[string]int{"": group}, plain: plainPath, settled: map[string]bool{"": true},
	}
	var patterns []string
	for _, one := range given {
		if pattern := parseRule(found, all, one); pattern != "" {
			patterns = append(patterns, pattern)
		}
	}
	// The more privileged come first, since of two patterns that are the same the first holds.
	sort.SliceStable(patterns, func(i, j int) bool { return all.groups[patterns[i]] < all.groups[patterns[j]] })
	for _, pattern := range patterns {
		asked := all.groups[pattern]
		if asked < all.strictest {
			all.strictest = asked
		}
		if strings.HasSuffix(pattern, "/") {
			derive(found, all.files, all.groups, pattern+"{anything_below}", asked)
			derive(found, all.files, all.groups, pattern+"{anything_below}/", asked)
		} else {
			all.plain = plainFile
		}
		folder := foldPattern(pattern)
		file := strings.TrimSuffix(strings.TrimSuffix(folder, "{$}"), "/")
		derive(found, all.careless, all.carelessGroups, folder, asked)
		if strings.Contains(file, "/") { // as the root has no name
			derive(found, all.careless, all.carelessGroups, file, asked)
		}
		all.settled[folder] = all.settled[folder] || folder == pattern
	}
	return all
}

// parseRule adds one rule, [METHOD ]/PATH=GROUP, to those as given, and returns its pattern, or nothing if there is a mistake in it.
func parseRule(found *mistakes, all *rules, given string) string {
	parts := ruleParts.FindStringSubmatch(given)
	if parts == nil {
		found.addf("rules: %q isn't PATTERN=GROUP, as in /api/=Guest", given)
		return ""
	}
	before := len(found.list)
	group := parseGroup(found, fmt.Sprintf("rules: %q", given), parts[3])
	odd := oddPattern.FindString(strings.ReplaceAll(parts[2], "{$}", ""))
	if !strings.HasPrefix(parts[2], "/") {
		found.addf("rules: %q has a host, or doesn't begin with /; write [METHOD ]/PATH=GROUP, as in /api/=Guest or GET /api/=Guest, "+
			"and leave hosts to Traefik's routers", given)
	} else if odd != "" {
		found.addf("rules: %q has %q in its path; /api/ is the folder and all in it, /api that path alone, /api/{name} any one name in it", given, odd)
	}
	pattern := strings.TrimLeft(strings.ToUpper(parts[1])+" "+anyRest.ReplaceAllString(parts[2], "/"), " ")
	if len(found.list) == before {
		if err := register(all.folders, all.groups, pattern, group); err != nil {
			found.addf("%v", err)
		} else if !strings.HasSuffix(strings.TrimSuffix(pattern, "{$}"), "/") {
			derive(found, all.files, all.groups, pattern, group)
		}
	}
	if len(found.list) > before {
		return ""
	}
	return pattern
}

var (
	ruleParts       = regexp.MustCompile(`(?s)^\s*(?:([^\s/]+)[ \t]+)?(.*?)\s*=([^=]*)$`) // method, path and group
	oddPattern      = regexp.MustCompile(`[*?#;=$^"'\\|<>]|,/|/:|//|/\.\.?(?:/|$)`)       // what nobody means who knows the patterns
	registeredAt    = regexp.MustCompile(` \(registered at [^)]*\)`)                      // in this file, which ServeMux adds to its messages
	anyRest         = regexp.MustCompile(`/\{[^{}/]*\.\.\.\}$`)                           // what at the end means the same as a slash
	literalPart     = regexp.MustCompile(`/[^{}]*`)
	anyName         = regexp.MustCompile(`/[^/]*`)
	encodedSlash    = regexp.MustCompile(`(?i)%2f`)
	oddPath         = regexp.MustCompile(`[%;?#\\]|/\.\.`) // which can be decoded or cut
	parameters      = regexp.MustCompile(`;[^/]*`)         // what some services cut off each name in a path
	queryOrFragment = regexp.MustCompile(`[?#].*`)
	endOfName       = regexp.MustCompile(`([^/. ])[. ]+(/|$)`)                                  // the dots and spaces with which no name ends on Windows
	emptyName       = regexp.MustCompile(`[/\\](?:\.{3,}|[. ]*(?:\. | \.)[. ]*)(?:[/\\;?#]|$)`) // on Windows: but dots and spaces, other than . and ..
)

// register adds the pattern to the set, or returns as an error what ServeMux panics with: what is wrong, or conflicts with it.
func register(mux *http.ServeMux, groups map[string]int, pattern string, group int) (err error) {
	defer func() {
		if problem := recover(); problem != nil {
			err = errors.New("rules: " + strings.Join(strings.Fields(registeredAt.ReplaceAllString(fmt.Sprint(problem), "")), " "))
		}
	}()
	mux.Handle(pattern, http.NotFoundHandler())
	groups[pattern] = group
	return nil
}

// derive registers a pattern that follows from a rule. Where another matches the same requests, that one holds.
func derive(found *mistakes, mux *http.ServeMux, groups map[string]int, pattern string, group int) {
	if err := register(mux, groups, pattern, group); err != nil && !strings.Contains(err.Error(), "matches the same requests as") {
		found.addf("%v", err)
	}
}

// foldPattern returns the pattern for paths that went through foldPath. Method and names of wildcards stay as they are.
func foldPattern(pattern string) string {
	return literalPart.ReplaceAllStringFunc(pattern, func(part string) string {
		return (&url.URL{Path: foldPath(decoder.Replace(part))}).EscapedPath()
	})
}

// foldPath returns what the path means to a service that doesn't tell upper from lower case, on Windows.
func foldPath(reading string) string {
	return endOfName.ReplaceAllString(strings.ToLower(strings.ToUpper(reading)), "$1$2")
}

// strictestGroup is groupByRules for all other paths: the most privileged group of the path as it came, among the patterns as
// given, and of all readings, among those in lower case. A reading that isn't the path itself is looked up among both:
// /api/..%2fAPI/x is in /api/ as it came, and in lower case too, but not where a service reads /API/x. If it can't be said
// what a service makes of the path, it is the most privileged group of all.
func strictestGroup(all *rules, method string, address *url.URL) int {
	escaped := address.EscapedPath()
	readings := readingsOf(escaped)
	if readings == nil {
		return all.strictest
	}
	groups := []int{groupAsGiven(all, method, escaped)}
	for _, reading := range readings {
		folded := anyName.ReplaceAllStringFunc(path.Clean("/"+reading), func(name string) string {
			return escapeName(foldPath(decoder.Replace(name)))
		})
		groups = append(groups, groupIn(all.careless, all.carelessGroups, strings.ToUpper(method), folded))
		if reading != escaped {
			decoded := anyName.ReplaceAllStringFunc(cleaned(reading), func(name string) string { return escapeName(decoder.Replace(name)) })
			groups = append(groups, groupAsGiven(all, method, decoded))
		}
	}
	sort.Ints(groups)
	return groups[0]
}

// groupAsGiven returns the group that the patterns as given ask for at an escaped path.
func groupAsGiven(all *rules, method, escaped string) int {
	if strings.HasSuffix(escaped, "/") {
		return groupIn(all.folders, all.groups, method, escaped)
	}
	return groupIn(all.files, all.groups, method, escaped)
}

// groupIn returns the group of the pattern that matches an escaped path. ServeMux takes a name that is an encoded slash for its own
// mark of a final slash, which no wildcard matches. Here it is a name that no other path has, and wildcards match it like any other.
func groupIn(mux *http.ServeMux, groups map[string]int, method, escaped string) int {
	escaped = anyName.ReplaceAllStringFunc(escaped, func(name string) string {
		if strings.EqualFold(name, "/%2f") {
			return "/%00"
		}
		return name
	})
	decoded, _ := url.PathUnescape(escaped)
	_, pattern := mux.Handler(&http.Request{Method: method, URL: &url.URL{Path: decoded, RawPath: escaped}})
	return groups[pattern]
}

// escapeName escapes a name behind its slash, so that a slash within it stays a part of it.
func escapeName(name string) string {
	return "/" + url.PathEscape(name[1:])
}

// cleaned returns the path without . and .., and with one slash for many.
func cleaned(reading string) string {
	whole := path.Clean("/" + reading)
	if strings.HasSuffix(reading, "/") && whole != "/" {
		return whole + "/"
	}
	return whole
}

// readingsOf returns what careless services may take an escaped path for: they decode it up to two times, cut parts of it
// off and clean it before or after that, and turn \ into /. It returns none if nobody can foresee what they make of it: after
// two decodings it has another, or a control character (PHP's ~^/x$~ matches "/x\n"), or a name like "... " that is none on
// Windows, or there are more than 12 readings, on the way to them or in the end, or as many semicolons, or it is too long.
func readingsOf(escaped string) []string {
	if len(escaped) > longestPath && (len(escaped) > longestPlain || !plainPath.MatchString(escaped)) {
		return nil
	}
	if !oddPath.MatchString(escaped) {
		return []string{escaped}
	}
	decoded := decoder.Replace(decoder.Replace(escaped))
	if decoder.Replace(decoded) != decoded || strings.Count(decoded, ";") > mostReadings ||
		strings.IndexFunc(decoded, unicode.IsControl) >= 0 || emptyName.MatchString(decoded) {
		return nil
	}
	var readings []string
	seen := map[string]bool{escaped: true}
	for queue := []string{escaped}; len(queue) > 0; queue = queue[1:] {
		readings = append(readings, queue[0])
		once := decoder.Replace(queue[0])
		untilUp, _, _ := strings.Cut(queue[0]+"/", "/../") // some go by how a path begins, whatever follows
		for _, other := range []string{
			once, decoder.Replace(encodedSlash.ReplaceAllString(queue[0], "%252F")), // of the whole, or of each name
			strings.ReplaceAll(queue[0], `\`, "/"), queryOrFragment.ReplaceAllString(queue[0], ""), strings.TrimSuffix(untilUp, "/"),
			parameters.ReplaceAllString(queue[0], ""), cleaned(queue[0]),
		} {
			if !seen[other] {
				seen[other] = true
				queue = append(queue, other)
			}
		}
		if len(seen) > mostReadings {
			return nil
		}
	}
	return readings
}

// decoder undoes one percent-encoding. What isn't a percent-encoding stays as it is.
var decoder = func() *strings.Replacer {
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

// refusalPage is what a person sees. It needs nothing but itself, and works in Organizr's iframes.
var refusalPage = template.Must(template.New("page").Parse(`<!DOCTYPE html><html lang="en">
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="dark light"><meta name="robots" content="noindex">
{{if eq .Status 503}}<meta http-equiv="refresh" content="5">{{end}}<title>{{.Title}}</title>
<style>
:root { --back: #141414; --card: #1f1f1f; --line: #353535; --text: #f2f2f2; --soft: #b4b4b4; --link: #2cabe3; --on: #06141b }
@media (prefers-color-scheme: light) { :root { --back: #eef1f4; --card: #fff; --line: #d5dbe1; --text: #1d2329; --soft: #55606b; --link: #0a6c99; --on: #fff } }
* { box-sizing: border-box; margin: 0; overflow-wrap: anywhere }
body { min-height: 100vh; display: grid; place-items: center; padding: 1rem; background: var(--back); color: var(--text); font: 1rem/1.5 system-ui, sans-serif }
main { width: 100%; max-width: 28rem; padding: 1.75rem; background: var(--card); border-top: 4px solid var(--link); border-radius: .5rem }
h1, p, dl { margin-bottom: 1rem } h1 { font-size: 1.5rem; line-height: 1.25 }
dl { display: grid; grid-template-columns: auto 1fr; gap: .25rem 1rem; padding: .75rem 0; border-block: 1px solid var(--line) }
dt, small { color: var(--soft) } dd { font-weight: 600; unicode-bidi: isolate }
a { display: block; padding: .75rem; border-radius: .5rem; background: var(--link); color: var(--on); text-align: center; text-decoration: none }
a:focus-visible { outline: 3px solid var(--text); outline-offset: 2px }
</style><main><small>{{.Status}}</small><h1>{{.Title}}</h1><p>{{.Text}}</p>{{with .Hint}}<p>{{.}}</p>{{end}}
{{with .Who}}<dl><dt>You are</dt><dd>{{.}}</dd><dt>Your group</dt><dd>{{$.Group}}</dd>{{with $.Wanted}}<dt>Asked for</dt><dd>{{.}}</dd>{{end}}</dl>{{end}}
{{with .Login}}<a href="{{.}}" target="_top">Go to Organizr</a>{{end}}</main>
`))
