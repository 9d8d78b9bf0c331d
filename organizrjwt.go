// Package organizrjwt is a Traefik middleware that admits visitors to a service by their Organizr login.
//
// It reads the session cookie that Organizr set, checks its signature with Organizr's own key, compares the
// visitor's group with the one that the service asks for, and tells the service who is there. It never calls
// Organizr.
package organizrjwt

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net"
	"net/http"
	"net/textproto"
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
	// ConfigFile is the path of Organizr's config.php, which supplies uuid and secret.
	ConfigFile string `json:"configFile,omitempty"`
	// UUID is Organizr's uuid, or the full name of its cookie.
	UUID string `json:"uuid,omitempty"`
	// Secret is Organizr's organizrHash.
	Secret string `json:"secret,omitempty"`
	// SecretFile is the path of a file that holds the secret. A final newline doesn't count.
	SecretFile string `json:"secretFile,omitempty"`
	// OrganizrURL is where visitors log in: absolute, http or https. Without one nobody is redirected.
	OrganizrURL string `json:"organizrURL,omitempty"`
	// Group is the least privileged group that gets in: a number from 0 to 999, or one of Organizr's names.
	Group string `json:"group,omitempty"`
	// Rules are PATTERN=GROUP, another group for part of the service. A pattern is one of http.ServeMux.
	Rules []string `json:"rules,omitempty"`
	// Allow are claim=value: whoever matches one gets in whatever their group.
	Allow []string `json:"allow,omitempty"`
	// Deny are claim=value: whoever matches one never gets in.
	Deny []string `json:"deny,omitempty"`
	// Headers are what the service is told: names of headers, and texts with placeholders such as {username}.
	Headers map[string]string `json:"headers,omitempty"`
	// ForwardToken leaves the session cookie in the request to the service.
	ForwardToken bool `json:"forwardToken,omitempty"`
	// AcceptBearer takes a session from Authorization: Bearer as well.
	AcceptBearer bool `json:"acceptBearer,omitempty"`
	// AllowCrossSite lets other sites' pages send changing requests and open WebSockets with the visitor's session.
	AllowCrossSite bool `json:"allowCrossSite,omitempty"`
}

// defaultHeaders are those with which Organizr's own check answers (its api/v2/auth).
func defaultHeaders() map[string]string {
	return map[string]string{
		"X-Organizr-User":  "{username}",
		"X-Organizr-Email": "{email}",
		"X-Organizr-Group": "{groupID}",
	}
}

// CreateConfig returns the configuration of a middleware that is given none. It lets nobody in: group is required.
func CreateConfig() *Config {
	return &Config{Headers: defaultHeaders()}
}

// middleware is the configuration of one middleware, checked and ready.
type middleware struct {
	logged         string // its name, quoted for the log
	ring           *keyring
	key            *key     // the only one ever in force; nil if files are followed
	organizr       *url.URL // nil if nobody is redirected
	organizrURL    string   // the same as text, or nothing
	login          string   // Organizr's host, without port
	near           string   // a domain, with a dot before it, in which Organizr's cookie may reach all hosts; never empty
	group          int
	rules          *rules // nil if there are none
	allow, deny    []condition
	exceptions     bool // there is any allow or deny
	headers        []*header
	told           []string        // names of the headers that the service gets from us
	harmless       map[string]bool // names of headers that need no closer look
	forged         map[string]bool // what the names of headers that must not come from the visitor mean
	forwardToken   bool
	acceptBearer   bool
	allowCrossSite bool
	next           http.Handler
}

// New returns the middleware, or one error that lists all mistakes of its configuration.
func New(_ context.Context, next http.Handler, config *Config, name string) (http.Handler, error) {
	var mistakes []string
	noted := func(err error) {
		if err != nil {
			mistakes = append(mistakes, err.Error())
		}
	}
	m := &middleware{
		logged:         strconv.Quote(name),
		next:           next,
		forwardToken:   config.ForwardToken,
		acceptBearer:   config.AcceptBearer,
		allowCrossSite: config.AllowCrossSite,
	}
	var err error
	m.ring, err = openKeyring(config, name)
	noted(err)
	if err == nil && !m.ring.source.follows() {
		m.key = m.ring.key
	}
	m.organizr, err = parseOrganizrURL(orEnvironment(config.OrganizrURL, "ORGANIZR_URL"))
	noted(err)
	m.near = "\x00" // no host ends so, and all get the closer look that finds that there is nowhere to log in
	if m.organizr != nil {
		m.organizrURL = m.organizr.String()
		m.login = hostname(m.organizr)
		m.near = nearDomain(m.login)
	}
	m.group, err = parseGroup("group", config.Group)
	noted(err)
	if len(config.Rules) > 0 {
		m.rules, err = parseRules(config.Rules, m.group)
		noted(err)
	}
	m.allow, err = parseConditions("allow", config.Allow)
	noted(err)
	m.deny, err = parseConditions("deny", config.Deny)
	noted(err)
	m.exceptions = len(m.allow)+len(m.deny) > 0
	m.headers, err = parseHeaders(config.Headers)
	noted(err)
	m.forged = forgedHeaders(m.headers, m.rules)
	m.harmless = harmlessHeaders(m.forged)
	m.told = toldHeaders(m)
	if len(mistakes) > 0 {
		return nil, errors.New("organizrjwt: " + strings.Join(mistakes, "; "))
	}
	return m, nil
}

// ServeHTTP forwards the request to the service if the visitor may enter, and else refuses it. Whoever is remembered
// by the same cookies is known, unless the session has expired or it is time to look at the files.
//
// Traefik interprets it. Then each expression of a function takes memory at every call, whether it is reached or not, so
// what few requests need is in functions of its own.
func (m *middleware) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	group := m.group
	if m.rules != nil {
		group = groupByRules(m.rules, req)
	}
	headers := req.Header
	name := strings.Join(headers["Cookie"], "; ") // only HTTP/1 clients send more than one line, against RFC 6265
	if m.acceptBearer {
		name = withBearer(name, headers)
	}
	at := since(epoch)
	ring := m.ring
	ring.RLock()
	who := ring.remembered[name]
	lookAgain := ring.lookAgain
	ring.RUnlock()
	if who == nil || at >= who.expires || at >= lookAgain {
		who = identify(m, req, name, group, at)
	}
	if who.standing+group < everyone {
		refuse(m, who, group, rw, req)
		return
	}
	if req.Method != "GET" || headers.WriteSubset(unwritable, m.harmless) != nil {
		if lookCloser(m, who, group, req) {
			refuse(m, who, group, rw, req)
			return
		}
	}
	for i, values := range who.values {
		headers[m.told[i]] = values
	}
	m.next.ServeHTTP(rw, req)
}

// groupByRules returns the group that the rules ask for at the request's path. Nearly all paths are plain: then the
// reading of careless services is the only one, and one look-up tells.
func groupByRules(all *rules, req *http.Request) int {
	address := req.URL
	if address.RawPath == "" && usualMethods[req.Method] && len(address.Path) <= longestPlain && plainPath.MatchString(address.Path) {
		_, pattern := all.careless.mux.Handler(req)
		if group, settled := all.settled[pattern]; settled {
			return group
		}
	}
	return strictestGroup(all, req)
}

// usualMethods are methods that need no folding.
var usualMethods = map[string]bool{"GET": true, "HEAD": true, "POST": true, "PUT": true, "PATCH": true, "DELETE": true, "OPTIONS": true}

// plainPath matches a path that every service reads as the rules do: no upper case, no final slash, nothing that could
// be decoded, cleaned or cut off.
var plainPath = regexp.MustCompile(`^(?:/|(?:/[a-z0-9_~-](?:[a-z0-9._~-]*[a-z0-9_~-])?)+)$`)

// lookCloser takes out of an unusual request the headers that a service could take for those that must not come from
// the visitor, and reports whether it could do harm.
//
// It could if another site's page made it, as the visitor's browser says, to change something or to open a WebSocket by
// the visitor's session: Organizr's cookie is SameSite=None, so it came along without the visitor's doing. It doesn't
// count on a route for guests, nor with a bearer token, which is sent by whoever holds it.
func lookCloser(m *middleware, who *visitor, group int, req *http.Request) bool {
	for name := range req.Header {
		if !m.harmless[name] && m.forged[foldHeader(name)] {
			delete(req.Header, name)
		}
	}
	if req.Header.Get("Sec-Fetch-Site") != "cross-site" || group == guest || m.allowCrossSite || !who.byCookie {
		return false
	}
	return req.Method != http.MethodGet && req.Method != http.MethodHead && req.Method != http.MethodOptions ||
		len(req.Header["Upgrade"]) > 0
}

// unwritable fails at the first write, so WriteSubset says by its error whether there is anything to write.
var unwritable = closedPipe()

func closedPipe() io.Writer {
	_, writer := io.Pipe()
	_ = writer.Close()
	return writer
}

// withBearer returns the name under which a visitor is remembered whose session may be in the Authorization header. With
// too many cookies nobody is.
func withBearer(cookies string, headers http.Header) string {
	if len(cookies) > longestRemembered {
		return cookies
	}
	return cookies + "\x00" + strings.Join(headers["Authorization"], "\x00")
}

// identify finds out who sent a request that is remembered by the name, if it has a session: whoever has the first good
// session in the cookies of Organizr's name. A browser can send more than one: Organizr sets one for its domain and one
// for its host, and one of them can be stale.
func identify(m *middleware, req *http.Request, name string, group int, at time.Duration) *visitor {
	by := m.key
	if by == nil {
		by = current(m.ring, at)
	}
	if len(name) > longestCookies {
		return identifyOther(m, req, name, by, group, at, strangers[errCookies])
	}
	who := by.nobody
	for i, cookie := range req.CookiesNamed(by.cookie) {
		if i == mostCookies {
			break
		}
		found, err := verify(cookie.Value, by, at)
		if err == nil {
			return acquaint(m, req, name, by, found)
		}
		who = strangers[err]
	}
	if m.acceptBearer || group == guest {
		return identifyOther(m, req, name, by, group, at, who)
	}
	return who
}

const (
	mostCookies    = 4        // of the same name that are tried; Organizr sets two
	longestCookies = 32 << 10 // bytes of the Cookie header in which a session is looked for
)

// identifyOther is identify for a request without a session in its cookies, where that isn't the end of it: the session
// may be a bearer token, and guests may enter without one.
func identifyOther(m *middleware, req *http.Request, name string, by *key, group int, at time.Duration, who *visitor) *visitor {
	if m.acceptBearer {
		found, err := sessionInBearer(req.Header, by, at)
		if found != nil {
			who = newVisitor(m, found)
			forwardOthers(m, who, req, by)
			remember(m.ring, by, name, who)
			return who
		}
		if err != nil && !who.hadToken {
			who = strangers[err]
		}
	}
	if group != guest || !strings.Contains(name, by.cookie) {
		return who
	}
	cleaned := *who
	cleaned.values = make([][]string, len(m.told))
	forwardOthers(m, &cleaned, req, by)
	return &cleaned
}

// sessionInBearer returns the session in the Authorization header (RFC 6750, section 2.1), or what is wrong with it, or
// neither if there is none: other tokens may be the service's own.
func sessionInBearer(headers http.Header, by *key, at time.Duration) (*session, error) {
	lines := headers["Authorization"]
	if len(lines) != 1 {
		return nil, nil
	}
	scheme, token, _ := strings.Cut(lines[0], " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return nil, nil
	}
	if strings.ContainsAny(token, "\r\n") {
		return nil, errForm
	}
	return verify(token, by, at)
}

// acquaint returns the visitor whose session was found in a cookie, and remembers them.
func acquaint(m *middleware, req *http.Request, name string, by *key, found *session) *visitor {
	who := newVisitor(m, found)
	who.byCookie = true
	if len(name) > len(by.cookie)+1+len(found.token) {
		forwardOthers(m, who, req, by)
	}
	remember(m.ring, by, name, who)
	return who
}

// newVisitor returns the visitor whose session it is.
func newVisitor(m *middleware, found *session) *visitor {
	who := &visitor{session: found, standing: everyone - found.groupID, expires: found.expires, values: make([][]string, len(m.told))}
	if m.exceptions {
		who.standing = standing(m, found)
	}
	for i, one := range m.headers {
		text, ok := found.claims[one.single].(string)
		if !ok {
			text = headerText(one, found)
		}
		if text != "" {
			who.values[i] = []string{text}
		}
	}
	return who
}

// standing returns the standing of the visitor whose session it is, where allow and deny make exceptions.
func standing(m *middleware, found *session) int {
	switch {
	case matches(found, m.deny):
		return 0
	case matches(found, m.allow):
		return everyone
	}
	return everyone - found.groupID
}

// matches reports whether the session meets one of the conditions.
func matches(of *session, conditions []condition) bool {
	for _, one := range conditions {
		if claim(of, one.claim) == one.value {
			return true
		}
	}
	return false
}

// headerText returns the header's text with the claims in it, or nothing if it has placeholders and all their claims
// are empty.
func headerText(of *header, found *session) string {
	value := of.literals[0]
	told := len(of.claims) == 0
	for i, name := range of.claims {
		text := claim(found, name)
		told = told || text != ""
		value += text + of.literals[i+1]
	}
	if !told {
		return ""
	}
	return value
}

// forwardOthers lets the service have the visitor's other cookies, and the Authorization header unless it holds the
// session.
func forwardOthers(m *middleware, who *visitor, req *http.Request, by *key) {
	if m.forwardToken {
		return
	}
	cookies := withoutCookie(strings.Join(req.Header["Cookie"], "; "), by.cookie)
	if cookies != "" {
		who.values[len(m.headers)] = []string{cookies}
	}
	if len(m.told) > len(m.headers)+1 && (who.session == nil || who.byCookie) {
		who.values[len(m.headers)+1] = req.Header["Authorization"]
	}
}

// withoutCookie returns the Cookie header without the cookies of the name, and leaves the others byte for byte. Nearly
// all browsers send one of the name; whatever else there may be is left to cutCookies.
func withoutCookie(line, name string) string {
	before, rest, found := strings.Cut(line, name+"=")
	if !found || before != "" && !strings.HasSuffix(before, "; ") || strings.Count(line, name) > 1 {
		return cutCookies(line, name)
	}
	end := strings.IndexByte(rest, ';')
	switch {
	case before == "" && end < 0:
		return ""
	case before == "":
		return strings.TrimLeft(rest[end+1:], " \t")
	case end < 0:
		return before[:len(before)-2]
	}
	return before[:len(before)-2] + rest[end:]
}

// mostMentions is how often the name of our cookie may be in a Cookie header. No browser comes near it; from there on
// the header is cut off, so that nobody makes Traefik work by sending it again and again.
const mostMentions = 32

// cutCookies is withoutCookie for all headers (RFC 6265, section 4.2.1).
func cutCookies(line, name string) string {
	from := 0
	for i := 0; i <= mostMentions; i++ {
		at := strings.Index(line[from:], name)
		if at < 0 {
			return line
		}
		at += from
		before := strings.TrimRight(line[:at], " \t")
		after := strings.TrimLeft(line[at+len(name):], " \t")
		if before != "" && !strings.HasSuffix(before, ";") || after != "" && after[0] != '=' && after[0] != ';' {
			from = at + len(name)
			continue
		}
		_, rest, more := strings.Cut(line[at:], ";")
		switch {
		case before == "":
			line, from = strings.TrimLeft(rest, " \t"), 0
		case more:
			line, from = before+rest, len(before)-1
		default:
			return before[:len(before)-1]
		}
	}
	return line[:from]
}

// refuse answers a request that may not go on to the service, and logs it. A person waits for the answer if a browser
// opens a page; else a script, an image or an application does.
func refuse(m *middleware, who *visitor, group int, rw http.ResponseWriter, req *http.Request) {
	person := htmlType.MatchString(req.Header.Get("Accept")) && navigates(req)
	switch {
	case who.session != nil:
		answer(m, who, refusalOf(m, who, group), person, rw, req)
	case person:
		sendToLogin(m, who, group, rw, req)
	default:
		turnAway(m, who, rw, req)
	}
}

// turnAway refuses a program that has no session: what a scanner gets, so it costs little.
func turnAway(m *middleware, who *visitor, rw http.ResponseWriter, req *http.Request) {
	fmt.Printf(refusalLine, m.logged, http.StatusUnauthorized, req.Method, req.Host, req.URL.Path, who.reason, "")
	headers := rw.Header()
	headers["Cache-Control"] = noStore
	headers["Www-Authenticate"] = challenges[who.hadToken]
	headers["X-Content-Type-Options"] = asIs
	headers["Content-Type"] = asJSON
	rw.WriteHeader(http.StatusUnauthorized)
	if req.Method != "HEAD" {
		_, _ = rw.Write(loginProblem)
	}
}

const (
	loginTitle = "Please log in"
	loginText  = "This service is for people who are logged in to Organizr. Log in there, then come back."
)

// loginProblem is what programs are told that have no session.
var loginProblem = problemJSON(refusal{Status: http.StatusUnauthorized, Text: loginText})

// challenges are what 401 carries, by whether there was a token (RFC 6750, section 3).
var challenges = map[bool][]string{false: {`Bearer realm="Organizr"`}, true: {`Bearer realm="Organizr", error="invalid_token"`}}

// refusalLine is the one line of a refusal. What a visitor chose is quoted, so that it can't look like another. Each of
// the three answers writes it itself, as one more interpreted call would show in what a refusal costs.
const refusalLine = "organizrjwt: middleware=%s status=%d method=%q host=%q path=%q reason=%s visitor=%q\n"

// noStore keeps answers to one visitor, or to nobody, from being shown to another.
var noStore = []string{"no-store"}

// sendToLogin sends a browser to Organizr, to come back logged in, or says why it doesn't.
func sendToLogin(m *middleware, who *visitor, group int, rw http.ResponseWriter, req *http.Request) {
	host := req.Host
	if forwarded := req.Header.Get("X-Forwarded-Host"); forwarded != host {
		host = forwardedHost(forwarded, host)
	}
	if host == m.login || req.Method != "GET" || !strings.HasSuffix(host, m.near) {
		if kept(m, who, group, host, rw, req) {
			return
		}
	}
	fmt.Printf(refusalLine, m.logged, http.StatusFound, req.Method, req.Host, req.URL.Path, who.reason, "")
	headers := rw.Header()
	headers["Cache-Control"] = noStore
	headers["Location"] = []string{loginAddress(m.organizrURL, wantedAddress(req, host))}
	rw.WriteHeader(http.StatusFound)
}

// kept takes a closer look at a browser that would be sent to Organizr. If a login can't help, or nobody comes back to
// the same request, it says so, and reports true.
func kept(m *middleware, who *visitor, group int, host string, rw http.ResponseWriter, req *http.Request) bool {
	why := refusalOf(m, who, group)
	if m.organizr != nil && (req.Method == http.MethodGet || req.Method == http.MethodHead) {
		advice, ownAddress := loginCantHelp(m.organizr, host, req)
		if advice == "" {
			return false
		}
		why.Title, why.Advice = "A login can't help here", advice
		if ownAddress {
			why.Login = ""
		}
	}
	answer(m, who, why, true, rw, req)
	return true
}

// A refusal is what a visitor is told who may not enter, and what the log says.
type refusal struct {
	Status int
	Title  string
	Text   string // without anything that JSON would have to escape
	Advice string // for whoever configures Traefik; empty if there is nothing to mend
	Who    string // the visitor's name
	Group  string // the visitor's group
	Wanted string // the group that is asked for
	Login  string // Organizr's address
	reason string // quoted, for the log
}

// refusalOf says why the visitor may not enter.
func refusalOf(m *middleware, who *visitor, group int) refusal {
	why := refusal{Status: http.StatusForbidden, Wanted: groupName(group, ""), Login: m.organizrURL}
	if group > 0 {
		why.Wanted += " or higher"
	}
	if who.session == nil {
		why.Status = http.StatusUnauthorized
		why.Title, why.Text = loginTitle, loginText
		why.reason = who.reason
		return why
	}
	why.Who = claim(who.session, "username")
	why.Group = groupName(who.session.groupID, claim(who.session, "group"))
	switch {
	case who.standing == 0:
		why.Title, why.Text = "Not for you", "The settings of this service don't let you in."
		why.Wanted, why.reason = "", `"matched by deny"`
	case who.standing+group < everyone:
		why.Title, why.Text = "Not for your group", "You are logged in, but this service is for another group."
		why.reason = fmt.Sprintf(`"group %d, and %d is asked for"`, who.session.groupID, group)
	default:
		why.Title, why.Text = "Stopped for your safety", "Another website tried to use this service in your name. If that was you, open the service itself and try again."
		why.Wanted, why.reason = "", `"cross-site request, and allowCrossSite is off"`
	}
	return why
}

// groupName returns the group's name, or its number in words if it has none.
func groupName(number int, name string) string {
	if name == "" {
		name = groupNames[number]
	}
	if name == "" {
		return "Group " + strconv.Itoa(number)
	}
	return name
}

// htmlType matches what a browser accepts that opens a page.
var htmlType = regexp.MustCompile(`(?i)text/html`)

// opening are the values of Sec-Fetch-Mode with which a browser opens what it asks for. Not all browsers send one.
var opening = map[string]bool{"navigate": true, "": true}

// navigates reports whether a browser opens what it asks for, rather than a script or a WebSocket.
func navigates(req *http.Request) bool {
	return opening[req.Header.Get("Sec-Fetch-Mode")] && req.Header["Upgrade"] == nil
}

// forwardedHost returns the host, and the port if there is one, that the browser asked for, where the proxies before
// say another than the request.
func forwardedHost(forwarded, host string) string {
	if forwarded == "" || strings.Contains(forwarded, ",") {
		return host
	}
	return forwarded
}

// schemes are what the values of X-Forwarded-Proto mean.
var schemes = map[string]string{"http": "http://", "ws": "http://", "https": "https://", "wss": "https://"}

// wantedAddress returns the address of the request as the browser knows it: Traefik says in X-Forwarded-* how it
// was reached, and which prefix a middleware before this one has cut off. It takes those from trusted proxies only.
func wantedAddress(req *http.Request, host string) string {
	scheme := schemes[req.Header.Get("X-Forwarded-Proto")]
	if scheme == "" {
		scheme = ownScheme(req)
	}
	if prefix := req.Header["X-Forwarded-Prefix"]; prefix != nil {
		host += strings.Join(prefix, "")
	}
	return scheme + host + req.URL.RequestURI()
}

// ownScheme returns the scheme of a request of which nobody says how Traefik was reached.
func ownScheme(req *http.Request) string {
	if req.TLS != nil {
		return "https://"
	}
	return "http://"
}

// loginAddress returns where to log in and come back from. Organizr decodes the value of return three times, and
// not in the same way; escaped like this it comes back exactly, whatever is in it (Organizr's js/custom.js).
func loginAddress(organizrURL, wanted string) string {
	return organizrURL + "?return=" + strings.ReplaceAll(url.QueryEscape(wanted), "%", "%2525")
}

// loginCantHelp says why a login would not let the visitor in, and whether that is since the request is for
// Organizr's own address. It returns nothing if a login could help.
func loginCantHelp(organizr *url.URL, host string, req *http.Request) (advice string, ownAddress bool) {
	wanted, err := url.Parse(wantedAddress(req, host))
	if err != nil {
		return "", false
	}
	if address(wanted) == address(organizr) && path.Clean("/"+wanted.Path) == path.Clean("/"+organizr.Path) {
		return "This is Organizr's own address, and nobody can log in where a login is asked for first. Take this middleware off Organizr's own router.", true
	}
	return outOfReach(hostname(organizr), hostname(wanted)), false
}

// hostname returns the host of the address in lower case, without port and final dot.
func hostname(of *url.URL) string {
	return strings.TrimSuffix(strings.ToLower(of.Hostname()), ".")
}

// address returns host and port.
func address(of *url.URL) string {
	port := of.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[of.Scheme]
	}
	return net.JoinHostPort(hostname(of), port)
}

// outOfReach says why the cookie that Organizr sets under its own host certainly can't reach the other one, or
// returns nothing if it may.
func outOfReach(organizr, host string) string {
	if host == organizr || strings.HasSuffix(host, "."+organizr) {
		return ""
	}
	wayOut := " Put this service under a path of " + organizr + ", or use a domain of your own."
	shared := sharedDomain(organizr, host)
	if strings.Count(shared, ".") < 1 || net.ParseIP(organizr) != nil || net.ParseIP(host) != nil {
		return fmt.Sprintf("Organizr's login at %s can't reach %s: browsers share a cookie only between names under one domain, like organizr.example.com and service.example.com.", organizr, host) + wayOut
	}
	for _, provider := range sharingProviders {
		if shared == provider {
			return fmt.Sprintf("Organizr's login at %s can't reach %s: %s doesn't let two of its names share a cookie.", organizr, host, provider) + wayOut
		}
		if provider != "duckdns.org" && strings.HasSuffix(shared, "."+provider) {
			return fmt.Sprintf("Organizr's login at %s can't reach %s: under %s Organizr keeps its cookie to its own name.", organizr, host, provider) + wayOut
		}
	}
	return ""
}

// nearDomain returns a domain, with a dot before it, in which Organizr's cookie may reach all hosts: that above its
// own, or else its own. It saves most requests a closer look.
func nearDomain(organizr string) string {
	_, domain, _ := strings.Cut(organizr, ".")
	if outOfReach(organizr, "any."+domain) != "" {
		return "." + organizr
	}
	return "." + domain
}

// sharedDomain returns the labels at the end that two hosts have in common.
func sharedDomain(one, other string) string {
	shared := ""
	for {
		label, theirs := lastLabel(one), lastLabel(other)
		if label == "" || label != theirs {
			return strings.TrimPrefix(shared, ".")
		}
		shared = "." + label + shared
		one, other = strings.TrimSuffix(strings.TrimSuffix(one, label), "."), strings.TrimSuffix(strings.TrimSuffix(other, label), ".")
	}
}

// lastLabel returns what follows the last dot of a host.
func lastLabel(host string) string {
	return host[strings.LastIndexByte(host, '.')+1:]
}

// sharingProviders are the providers of dynamic DNS of which Organizr's documentation says that two of their
// subdomains can't share a cookie.
var sharingProviders = []string{
	"duckdns.org", "ddns.net", "ddnsking.com", "3utilities.com", "bounceme.net", "freedynamicdns.net",
	"freedynamicdns.org", "gotdns.ch", "hopto.org", "myddns.me", "myds.me", "myftp.biz", "myftp.org", "myvnc.com",
	"noip.com", "onthewifi.com", "redirectme.net", "serveblog.net", "servecounterstrike.com", "serveftp.com",
	"servegame.com", "servehalflife.com", "servehttp.com", "serveirc.com", "serveminecraft.net", "servemp3.com",
	"servepics.com", "servequake.com", "sytes.net", "viewdns.net", "webhop.me", "zapto.org",
}

var (
	asHTML  = []string{"text/html; charset=utf-8"}
	asJSON  = []string{"application/problem+json"}
	asIs    = []string{"nosniff"}
	allowed = []string{"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"}
)

// answer tells the visitor why: with a page if a person waits for it, else as RFC 9457 has it for programs.
func answer(m *middleware, who *visitor, why refusal, person bool, rw http.ResponseWriter, req *http.Request) {
	fmt.Printf(refusalLine, m.logged, why.Status, req.Method, req.Host, req.URL.Path, why.reason, why.Who)
	headers := rw.Header()
	headers["Cache-Control"] = noStore
	headers["X-Content-Type-Options"] = asIs
	if why.Status == http.StatusUnauthorized {
		headers["Www-Authenticate"] = challenges[who.hadToken]
	}
	if person {
		answerPerson(why, rw, req)
		return
	}
	headers["Content-Type"] = asJSON
	rw.WriteHeader(why.Status)
	if req.Method != http.MethodHead {
		_, _ = rw.Write(problemJSON(why))
	}
}

// answerPerson shows the page.
func answerPerson(why refusal, rw http.ResponseWriter, req *http.Request) {
	headers := rw.Header()
	headers["Content-Type"] = asHTML
	headers["Content-Security-Policy"] = allowed
	rw.WriteHeader(why.Status)
	if req.Method != http.MethodHead {
		_ = page.Execute(rw, why)
	}
}

// problemJSON returns what programs are told (RFC 9457).
func problemJSON(why refusal) []byte {
	return []byte(`{"type":"about:blank","title":"` + http.StatusText(why.Status) + `","status":` + strconv.Itoa(why.Status) +
		`,"detail":"` + why.Text + `"}` + "\n")
}

// orEnvironment returns the value, or if it is empty, that of Traefik's environment variable.
func orEnvironment(value, variable string) string {
	if value == "" {
		return os.Getenv(variable)
	}
	return value
}

// openKeyring finds where uuid and secret come from: the middleware's own configuration, and what that doesn't say,
// Traefik's environment. In one configuration the secret can have one source only.
func openKeyring(config *Config, name string) (*keyring, error) {
	own := source{uuid: config.UUID, secret: config.Secret, secretFile: config.SecretFile, configFile: config.ConfigFile}
	environment := source{
		uuid: os.Getenv("ORGANIZR_UUID"), secret: os.Getenv("ORGANIZR_SECRET"),
		secretFile: os.Getenv("ORGANIZR_SECRET_FILE"), configFile: os.Getenv("ORGANIZR_CONFIG_FILE"),
	}
	from, names := own, "secret, secretFile and configFile"
	if secretSources(own) == 0 {
		from, names = environment, "ORGANIZR_SECRET, ORGANIZR_SECRET_FILE and ORGANIZR_CONFIG_FILE"
		if own.uuid != "" {
			from.uuid = own.uuid
		}
	} else if own.uuid == "" && own.configFile == "" {
		from.uuid = environment.uuid
	}
	from.uuid = strings.TrimPrefix(from.uuid, cookiePrefix)

	var mistakes []string
	if from.uuid == "" && from.configFile == "" {
		mistakes = append(mistakes, "uuid: missing; give Organizr's uuid, or its config.php as configFile")
	} else if from.uuid != "" && !cookieName.MatchString(from.uuid) {
		mistakes = append(mistakes, fmt.Sprintf("uuid: %q can't be part of a cookie's name; give Organizr's uuid as its config.php has it", from.uuid))
	}
	switch count := secretSources(from); {
	case count == 0:
		mistakes = append(mistakes, "secret: missing; give Organizr's organizrHash as secret or secretFile, or its config.php as configFile")
	case count > 1:
		mistakes = append(mistakes, "secret: more than one source; give only one of "+names)
	case from.secret != "" && strings.TrimSpace(from.secret) == "":
		mistakes = append(mistakes, "secret: blank; give Organizr's organizrHash")
	}
	if len(mistakes) > 0 {
		return nil, joined(mistakes)
	}
	nobody := ""
	if config.AcceptBearer {
		nobody = withBearer(nobody, nil)
	}
	return newKeyring(from, name, nobody)
}

// secretSources counts the sources that are given for the secret.
func secretSources(from source) int {
	count := 0
	for _, one := range []string{from.secret, from.secretFile, from.configFile} {
		if one != "" {
			count++
		}
	}
	return count
}

// parseOrganizrURL returns where visitors log in, with a slash at its end, or nil if no address is given.
func parseOrganizrURL(given string) (*url.URL, error) {
	if given == "" {
		return nil, nil
	}
	address, err := url.Parse(given)
	if err != nil || address.Scheme != "http" && address.Scheme != "https" || address.Hostname() == "" ||
		address.User != nil || address.RawQuery != "" || address.Fragment != "" || strings.ContainsAny(given, " \t\r\n") {
		return nil, fmt.Errorf("organizrURL: %q isn't an address to log in at; give one like https://organizr.example.com", given)
	}
	if !strings.HasSuffix(address.Path, "/") {
		address = address.JoinPath("/")
	}
	return address, nil
}

var (
	groupNumber     = regexp.MustCompile(`^[0-9]{1,3}$`)
	groupSeparators = strings.NewReplacer(" ", "", "-", "", "_", "")
)

// parseGroup returns the number of a group, 0 to 999, that is given as number or name. Case, spaces, - and _ in
// names don't matter. The error names the option.
func parseGroup(option, given string) (int, error) {
	given = strings.TrimSpace(given)
	if groupNumber.MatchString(given) {
		return strconv.Atoi(given)
	}
	for number, name := range groupNames {
		if given != "" && strings.EqualFold(groupSeparators.Replace(name), groupSeparators.Replace(given)) {
			return number, nil
		}
	}
	const right = "a number from 0 to 999, or Admin, Co-Admin, Super User, Power User, User, Logged In or Guest"
	if given == "" {
		return 0, fmt.Errorf("%s: missing; give the least privileged group that gets in: %s", option, right)
	}
	return 0, fmt.Errorf("%s: %q isn't a group; give %s", option, given, right)
}

// groupNames are Organizr's groups that have the same number everywhere. Its administrator can rename the groups
// that the first five numbers stand for; these names go on meaning the numbers.
var groupNames = map[int]string{
	0: "Admin", 1: "Co-Admin", 2: "Super User", 3: "Power User", 4: "User", 998: "Logged In", guest: "Guest",
}

// A condition is one claim=value of the options allow and deny.
type condition struct{ claim, value string }

// parseConditions returns the conditions that an option lists.
func parseConditions(option string, given []string) ([]condition, error) {
	var conditions []condition
	var mistakes []string
	for _, one := range given {
		claim, value, _ := strings.Cut(one, "=")
		claim = strings.TrimSpace(claim)
		if !namedClaims[claim] || value == "" {
			mistakes = append(mistakes, fmt.Sprintf("%s: %q isn't claim=value; give one like username=alice, with username, email, group, groupID or userID", option, one))
			continue
		}
		conditions = append(conditions, condition{claim, value})
	}
	return conditions, joined(mistakes)
}

var namedClaims = map[string]bool{"username": true, "email": true, "group": true, "groupID": true, "userID": true}

// joined returns one error that lists the mistakes, or nil if there are none.
func joined(mistakes []string) error {
	if len(mistakes) == 0 {
		return nil
	}
	return errors.New(strings.Join(mistakes, "; "))
}

// A header is one of those that tell the service who is there.
type header struct {
	name     string   // in canonical form
	text     string   // as it was given; empty if the header is only removed
	literals []string // what stands around the placeholders of text, one more than there are claims
	claims   []string // what the placeholders mean
	single   string   // the claim, if text is one placeholder and nothing else
}

var (
	headerName  = regexp.MustCompile("^[-!#$%&'*+.^_`|~0-9A-Za-z]+$") // RFC 9110, section 5.6.2
	placeholder = regexp.MustCompile(`\{([^{}]*)\}`)
)

// ownedHeaders are those that belong to the connection, to the request's form or to the plugin.
var ownedHeaders = map[string]bool{
	"Host": true, "Connection": true, "Content-Length": true, "Content-Type": true, "Content-Encoding": true,
	"Transfer-Encoding": true, "Trailer": true, "Te": true, "Upgrade": true, "Keep-Alive": true,
	"Proxy-Connection": true, "Cookie": true, "Expect": true,
}

// parseHeaders returns the headers that the option lists, sorted by name. Traefik adds the given ones to the default
// ones: one that means the same as a default one takes its place.
func parseHeaders(given map[string]string) ([]*header, error) {
	var mistakes []string
	names := make([]string, 0, len(given))
	for name := range given {
		names = append(names, name)
	}
	sort.Strings(names)
	byMeaning := map[string]*header{}
	for _, name := range names {
		added, err := parseHeader(name, given[name])
		if err != nil {
			mistakes = append(mistakes, err.Error())
			continue
		}
		other, twice := byMeaning[foldHeader(name)]
		switch {
		case twice && defaultHeaders()[name] == added.text:
			continue
		case twice && defaultHeaders()[other.name] != other.text:
			mistakes = append(mistakes, fmt.Sprintf("headers: %q and %q are the same header to many services; give only one", other.name, name))
			continue
		}
		byMeaning[foldHeader(name)] = added
	}
	headers := make([]*header, 0, len(byMeaning))
	for _, one := range byMeaning {
		headers = append(headers, one)
	}
	sort.Slice(headers, func(i, j int) bool { return headers[i].name < headers[j].name })
	return headers, joined(mistakes)
}

// parseHeader returns one header of the option.
func parseHeader(name, text string) (*header, error) {
	canonical := textproto.CanonicalMIMEHeaderKey(name)
	if !headerName.MatchString(name) {
		return nil, fmt.Errorf("headers: %q can't be the name of a header; use letters, digits and -", name)
	}
	if ownedHeaders[canonical] {
		return nil, fmt.Errorf("headers: %q can't be set by a middleware; use another name", name)
	}
	if strings.IndexFunc(text, unicode.IsControl) >= 0 {
		return nil, fmt.Errorf("headers: %q has a control character in its text %q; take it out", name, text)
	}
	added := &header{name: canonical, text: text, literals: placeholder.Split(text, -1)}
	for _, match := range placeholder.FindAllStringSubmatch(text, -1) {
		if match[1] != "image" && match[1] != "token" && !namedClaims[match[1]] {
			return nil, fmt.Errorf("headers: %q has the unknown placeholder %q; there are {username}, {email}, {group}, {groupID}, {userID}, {image} and {token}", name, match[0])
		}
		added.claims = append(added.claims, match[1])
		if match[0] == text {
			added.single = match[1]
		}
	}
	return added, nil
}

// headerSeparators matches what services may read as the hyphen of a header's name: CGI, PHP and WSGI turn hyphens
// into underscores, and some turn all but letters and digits into them.
var headerSeparators = regexp.MustCompile(`[^0-9A-Za-z]`)

// foldHeader returns what a header's name means to a service that knows neither case nor kinds of separators.
func foldHeader(name string) string {
	return strings.ToLower(headerSeparators.ReplaceAllString(name, "-"))
}

// forgedHeaders returns what the names mean of headers that a visitor must not send: ours, and where rules decide by
// the path, those by which some services take another path than the request's.
func forgedHeaders(headers []*header, decidedBy *rules) map[string]bool {
	forged := map[string]bool{}
	for _, one := range headers {
		forged[foldHeader(one.name)] = true
	}
	if decidedBy != nil {
		forged["x-original-url"], forged["x-rewrite-url"] = true, true
	}
	return forged
}

// harmlessHeaders returns the names that nearly all requests are made of, less the forged ones and Upgrade. A request
// that has no others, and changes nothing, needs no closer look.
func harmlessHeaders(forged map[string]bool) map[string]bool {
	harmless := map[string]bool{}
	for _, name := range []string{
		"Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language", "Authorization", "Cache-Control", "Connection",
		"Content-Length", "Content-Type", "Cookie", "Dnt", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range",
		"Last-Event-Id", "Origin", "Pragma", "Priority", "Range", "Referer", "Sec-Ch-Ua", "Sec-Ch-Ua-Mobile",
		"Sec-Ch-Ua-Platform", "Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "Sec-Fetch-Storage-Access",
		"Sec-Fetch-User", "Sec-Gpc", "Sec-Websocket-Extensions", "Sec-Websocket-Key", "Sec-Websocket-Protocol",
		"Sec-Websocket-Version", "Te", "Upgrade-Insecure-Requests", "User-Agent", "X-Api-Key",
		"X-Csrf-Token", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix",
		"X-Forwarded-Proto", "X-Forwarded-Server", "X-Real-Ip", "X-Requested-With",
	} {
		if !forged[foldHeader(name)] {
			harmless[name] = true
		}
	}
	return harmless
}

// toldHeaders returns the names of the headers that the service gets from the middleware: those of the option, Cookie if
// the session is to be taken out of it, and Authorization if it can be there and isn't one of the option's.
func toldHeaders(m *middleware) []string {
	var told []string
	for _, one := range m.headers {
		told = append(told, one.name)
	}
	if !m.forwardToken {
		told = append(told, "Cookie")
		if m.acceptBearer && !m.forged["authorization"] {
			told = append(told, "Authorization")
		}
	}
	return told
}

// rules say which group is asked for, for parts of the service. Go's ServeMux finds the most specific pattern.
//
// A path is looked up in two ways, and the more privileged group holds: as it came, among the patterns as they were
// given, so a rule that opens opens exactly what it says; and as careless services may read it, among the patterns in
// lower case, so a rule that closes closes all that could be taken for it.
type rules struct {
	group     int            // where no rule matches
	strictest int            // the most privileged of group and all rules' groups
	folders   *ruleset       // the patterns as given, for paths that end in a slash
	files     *ruleset       // the same, for other paths
	careless  *ruleset       // the patterns in lower case, for paths without their final slash
	settled   map[string]int // groups by patterns of careless that were given in lower case, and by "" for none
}

// A ruleset is a ServeMux and the groups that its patterns ask for.
type ruleset struct {
	mux      *http.ServeMux
	groups   map[string]int    // by pattern
	patterns map[string]string // by what they are but for the names of their wildcards
}

// A rule is one PATTERN=GROUP.
type rule struct {
	pattern string // [METHOD ]/PATH
	group   int
}

// parseRules returns the rules that the option lists. Paths that end in a slash are matched among folders, others among
// files, where /api/ is /api/{name} and /api/{name}/: a single ServeMux would redirect /api to /api/, and not say which
// rule there is around it.
func parseRules(given []string, group int) (*rules, error) {
	all := &rules{group: group, strictest: group, folders: newRuleset(), files: newRuleset(), careless: newRuleset()}
	var list []rule
	var mistakes []string
	for _, one := range given {
		added, err := parseRule(one)
		if err == nil {
			err = register(all.folders, added.pattern, added.group)
		}
		if err == nil && !strings.HasSuffix(strings.TrimSuffix(added.pattern, "{$}"), "/") {
			err = register(all.files, added.pattern, added.group)
		}
		if err != nil {
			mistakes = append(mistakes, err.Error())
			continue
		}
		list = append(list, added)
		if added.group < all.strictest {
			all.strictest = added.group
		}
	}
	if len(mistakes) > 0 {
		return nil, joined(mistakes)
	}
	for _, one := range list {
		if strings.HasSuffix(one.pattern, "/") {
			mistakes = append(mistakes, registerUnlessTaken(all.files, one.pattern+"{organizrjwt}", one.group)...)
			mistakes = append(mistakes, registerUnlessTaken(all.files, one.pattern+"{organizrjwt}/", one.group)...)
		}
		mistakes = append(mistakes, registerCareless(all.careless, one)...)
	}
	all.settled = map[string]int{"": group}
	for _, one := range list {
		pattern, found := all.careless.patterns[shapeOf(one.pattern)]
		if found && foldPattern(one.pattern) == one.pattern {
			all.settled[pattern] = all.careless.groups[pattern]
		}
	}
	return all, joined(mistakes)
}

// parseRule returns one rule of the option.
func parseRule(given string) (rule, error) {
	equals := strings.LastIndexByte(given, '=')
	if equals < 0 {
		return rule{}, fmt.Errorf("rules: %q isn't PATTERN=GROUP, as in /api/=Guest", given)
	}
	group, err := parseGroup(fmt.Sprintf("rules: %q", given), given[equals+1:])
	if err != nil {
		return rule{}, err
	}
	pattern := anyRest.ReplaceAllString(strings.TrimSpace(given[:equals]), "/")
	method, path, hasMethod := strings.Cut(pattern, " ")
	if hasMethod {
		path = strings.TrimLeft(path, " \t")
		pattern = strings.ToUpper(method) + " " + path
	} else {
		path = pattern
	}
	if strings.Index(path, "/") > 0 {
		return rule{}, fmt.Errorf("rules: %q has a host; give a path like /api/, and leave hosts to Traefik's routers", given)
	}
	return rule{pattern, group}, nil
}

// anyRest matches what at the end of a pattern means the same as a slash.
var anyRest = regexp.MustCompile(`/\{[^{}/]*\.\.\.\}$`)

func newRuleset() *ruleset {
	return &ruleset{mux: http.NewServeMux(), groups: map[string]int{}, patterns: map[string]string{}}
}

// register adds the pattern to the set. It returns as an error what ServeMux panics with: what is wrong with the
// pattern, or with which other one it conflicts.
func register(set *ruleset, pattern string, group int) (err error) {
	defer func() {
		if problem := recover(); problem != nil {
			err = errors.New("rules: " + strings.Join(strings.Fields(registeredAt.ReplaceAllString(fmt.Sprint(problem), "")), " "))
		}
	}()
	set.mux.Handle(pattern, http.NotFoundHandler())
	set.groups[pattern], set.patterns[shapeOf(pattern)] = group, pattern
	return nil
}

// registeredAt matches where in this file a pattern was registered, which ServeMux adds to its messages.
var registeredAt = regexp.MustCompile(` \(registered at [^)]*\)`)

// registerUnlessTaken adds the pattern, unless the set has one that matches the same requests.
func registerUnlessTaken(set *ruleset, pattern string, group int) []string {
	if _, taken := set.patterns[shapeOf(pattern)]; taken {
		return nil
	}
	if err := register(set, pattern, group); err != nil {
		return []string{err.Error()}
	}
	return nil
}

// registerCareless adds a rule in lower case to those for careless services, to which /api/ and /api are the same. Where
// two patterns are the same to them, the more privileged group holds.
func registerCareless(set *ruleset, one rule) []string {
	folded := foldPattern(one.pattern)
	folder, isFolder := strings.CutSuffix(strings.TrimSuffix(folded, "{$}"), "/")
	patterns := []string{folded}
	switch {
	case isFolder && !strings.Contains(folder, "/"):
	case strings.HasSuffix(folded, "{$}"):
		patterns = []string{folder}
	case isFolder:
		patterns = []string{folded, folder}
	}
	var mistakes []string
	for _, pattern := range patterns {
		mistakes = append(mistakes, registerUnlessTaken(set, pattern, one.group)...)
		if same := set.patterns[shapeOf(pattern)]; one.group < set.groups[same] {
			set.groups[same] = one.group
		}
	}
	return mistakes
}

var (
	wildcard    = regexp.MustCompile(`\{[^{}$]*\}`)
	patternPart = regexp.MustCompile(`\{[^{}]*\}|[^{}]+`)
)

// shapeOf returns what two patterns have in common that match the same requests.
func shapeOf(pattern string) string { return wildcard.ReplaceAllString(pattern, "{}") }

// foldPattern returns the pattern for paths that went through foldPath. Method and names of wildcards stay as they are.
func foldPattern(pattern string) string {
	slash := strings.Index(pattern, "/")
	if slash < 0 {
		return pattern
	}
	return pattern[:slash] + patternPart.ReplaceAllStringFunc(pattern[slash:], func(part string) string {
		if part[0] == '{' {
			return part
		}
		return (&url.URL{Path: foldPath(decoder.Replace(part))}).EscapedPath()
	})
}

// foldPath returns what the path means to a service that doesn't tell upper from lower case.
func foldPath(path string) string {
	return endOfName.ReplaceAllString(strings.ToLower(strings.ToUpper(path)), "$1$2")
}

// endOfName matches the dots and spaces with which no name ends on Windows, so that its services overlook them.
var endOfName = regexp.MustCompile(`([^/. ])[. ]+(/|$)`)

const (
	longestPath  = 1 << 10 // bytes of a path that isn't plain, for which the rules are asked
	longestPlain = 8 << 10 // and of one that is
	mostReadings = 24      // of one path
)

// strictestGroup is groupByRules for all other paths: the most privileged group of all readings. If it can't be said
// what a service makes of the path, it is the most privileged of all.
func strictestGroup(all *rules, req *http.Request) int {
	escaped := req.URL.EscapedPath()
	if len(escaped) > longestPath && (len(escaped) > longestPlain || !plainPath.MatchString(strings.TrimSuffix(escaped, "/"))) {
		return all.strictest
	}
	readings, complete := readingsOf(escaped)
	if !complete {
		return all.strictest
	}
	group := groupAsGiven(all, req, escaped)
	method := strings.ToUpper(req.Method)
	for _, reading := range readings {
		if group == all.strictest {
			break
		}
		probe := &http.Request{Method: method, URL: &url.URL{Path: foldPath(path.Clean("/" + reading))}}
		if other := find(all, all.careless, probe); other < group {
			group = other
		}
	}
	return group
}

// groupAsGiven returns the group that the rules ask for where a service reads the path as ServeMux does.
func groupAsGiven(all *rules, req *http.Request, escaped string) int {
	probe := &http.Request{Method: req.Method, URL: req.URL}
	if strings.HasSuffix(escaped, "/") {
		return find(all, all.folders, probe)
	}
	return find(all, all.files, probe)
}

// find returns the group of the most specific pattern of the set that matches the request.
func find(all *rules, set *ruleset, req *http.Request) int {
	_, pattern := set.mux.Handler(req)
	if pattern == "" {
		return all.group
	}
	return set.groups[pattern]
}

// cuts are what services cut off a path that they get: ;parameters, and what follows ? or #. Others go by how it begins,
// whatever .. may follow.
var cuts = []*regexp.Regexp{regexp.MustCompile(`;[^/]*`), regexp.MustCompile(`(?s)[?#].*`), regexp.MustCompile(`(?s)/\.\.(/.*)?$`)}

// readingsOf returns what careless services may take an escaped path for: they decode it up to two times, cut parts of
// it off before or after that, and turn \ into /. It reports false if nobody can foresee what they make of it: after two
// decodings it has another, or a control character (PHP's ~^/x$~ matches "/x\n"), or there are more than 24 readings.
func readingsOf(escaped string) ([]string, bool) {
	decoded := decoder.Replace(decoder.Replace(escaped))
	if decoder.Replace(decoded) != decoded || strings.IndexFunc(decoded, unicode.IsControl) >= 0 {
		return nil, false
	}
	var readings []string
	known := map[string]bool{escaped: true}
	for queue := []string{escaped}; len(queue) > 0; queue = queue[1:] {
		once := decoder.Replace(queue[0])
		if once == queue[0] {
			readings = append(readings, once)
		}
		others := []string{once, strings.ReplaceAll(queue[0], `\`, "/")}
		for _, cut := range cuts {
			others = append(others, cut.ReplaceAllString(queue[0], ""))
		}
		for _, other := range others {
			if !known[other] {
				known[other] = true
				queue = append(queue, other)
			}
		}
		if len(known) > mostReadings {
			return nil, false
		}
	}
	return readings, true
}

// decoder undoes one percent-encoding. What isn't a percent-encoding stays as it is.
var decoder = newDecoder()

func newDecoder() *strings.Replacer {
	const digits = "0123456789abcdefABCDEF"
	var pairs []string
	for _, high := range digits {
		for _, low := range digits {
			octet, _ := strconv.ParseUint(string(high)+string(low), 16, 8)
			pairs = append(pairs, "%"+string(high)+string(low), string([]byte{byte(octet)}))
		}
	}
	return strings.NewReplacer(pairs...)
}

// page is what a person sees. It needs nothing but itself, and works in Organizr's iframes.
var page = template.Must(template.New("page").Parse(`<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="dark light">
<meta name="robots" content="noindex">
<title>{{.Title}}</title>
<style>
:root { --back: #141414; --card: #1f1f1f; --line: #353535; --text: #f2f2f2; --soft: #b4b4b4; --link: #2cabe3; --on: #06141b }
@media (prefers-color-scheme: light) {
  :root { --back: #eef1f4; --card: #fff; --line: #d5dbe1; --text: #1d2329; --soft: #55606b; --link: #0a6c99; --on: #fff }
}
* { box-sizing: border-box }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1rem;
  background: var(--back); color: var(--text); font: 1rem/1.5 system-ui, sans-serif }
main { width: 100%; max-width: 28rem; padding: 1.75rem; background: var(--card);
  border: 1px solid var(--line); border-top: 4px solid var(--link); border-radius: .5rem; overflow-wrap: anywhere }
.status { margin: 0; color: var(--soft); font-size: .875rem; letter-spacing: .05em }
h1 { margin: 0 0 .75rem; font-size: 1.5rem; line-height: 1.25 }
p { margin: 0 0 1rem }
dl { display: grid; grid-template-columns: auto 1fr; gap: .25rem 1rem; margin: 0 0 1.25rem; padding: .75rem 0;
  border-block: 1px solid var(--line) }
dt { color: var(--soft) }
dd { margin: 0; font-weight: 600; unicode-bidi: isolate }
.advice { padding: .75rem 1rem; border: 1px solid var(--line); border-radius: .5rem }
.button { display: block; padding: .75rem 1rem; border-radius: .5rem; background: var(--link); color: var(--on);
  font-weight: 600; text-align: center; text-decoration: none }
.button:focus-visible { outline: 3px solid var(--text); outline-offset: 2px }
</style>
<main>
<p class="status">{{.Status}}</p>
<h1>{{.Title}}</h1>
<p>{{.Text}}</p>
{{with .Advice}}<p class="advice">{{.}}</p>
{{end}}{{if .Who}}<dl>
<dt>You are</dt><dd>{{.Who}}</dd>
<dt>Your group</dt><dd>{{.Group}}</dd>
{{with .Wanted}}<dt>Asked for</dt><dd>{{.}}</dd>
{{end}}</dl>
{{end}}{{with .Login}}<a class="button" href="{{.}}" target="_top">Go to Organizr</a>
{{end}}</main>
</html>
`))
