// Package fakeorganizr stands in for Organizr 2.1: its tokens, cookies, config.php, database, login and log-out.
package fakeorganizr

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// An Account can log in.
type Account struct {
	Username string
	Group    string
	GroupID  int
	UserID   int
}

// Accounts has one account in each of Organizr's groups, one in a group that an administrator added, and one whose name
// isn't ASCII.
var Accounts = []Account{
	{"alice", "Admin", 0, 1},
	{"carol", "Co-Admin", 1, 3},
	{"sue", "Super User", 2, 4},
	{"pat", "Power User", 3, 5},
	{"bob", "User", 4, 2},
	{"fay", "Family", 5, 6},
	{"Zoë Müller", "User", 4, 7},
}

// Find returns the account of that name.
func Find(username string) (Account, bool) {
	at := slices.IndexFunc(Accounts, func(account Account) bool { return account.Username == username })
	if at < 0 {
		return Account{}, false
	}
	return Accounts[at], true
}

// Claims returns the claims of the account's token, in Organizr's order, for a session that began at that time.
func (account Account) Claims(began time.Time, lifetime time.Duration) string {
	numeric := func(at time.Time) string { return fmt.Sprintf("%d.%06d", at.Unix(), at.Nanosecond()/1000) }
	return fmt.Sprintf(`{"iss":"Organizr","aud":"Organizr","jti":"4f1g23a12aa","iat":%s,"nbf":%s,"exp":%s,`+
		`"name":%s,"group":%s,"groupID":%d,"email":%s,"image":"%s","userID":%d}`,
		numeric(began), numeric(began), numeric(began.Add(lifetime)), quote(account.Username), quote(account.Group),
		account.GroupID, quote(account.Email()), Image, account.UserID)
}

// Email returns the account's address, in letters that Organizr accepts.
func (account Account) Email() string {
	first, _, _ := strings.Cut(strings.ToLower(account.Username), " ")
	return strings.ReplaceAll(first, "ë", "e") + "@example.com"
}

// Image is the picture of every account.
const Image = "https://www.gravatar.com/avatar/0?s=100&d=mm"

func quote(text string) string {
	quoted, _ := json.Marshal(text)
	return string(quoted)
}

// Header is the header of every token that Organizr makes.
const Header = `{"typ":"JWT","alg":"HS256"}`

// Sign returns the token of the header and the claims.
func Sign(header, claims, hash string) string {
	encode := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	return SignText(encode(header)+"."+encode(claims), hash)
}

// SignText returns the text and its signature.
func SignText(text, hash string) string {
	mac := hmac.New(sha256.New, []byte(hash))
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// Token returns a token of the account that is valid for a week.
func (account Account) Token(hash string) string {
	return Sign(Header, account.Claims(time.Now().Add(-time.Second), 7*24*time.Hour), hash)
}

// Cookie returns the Cookie header that a browser sends with the token and no other cookies.
func Cookie(token string) string { return CookieName + "=" + token }

// hostOnlyProviders are the providers under which Organizr sets its cookie for its own host only (its parseDomain).
var hostOnlyProviders = []string{
	"ddns.net", "ddnsking.com", "3utilities.com", "bounceme.net", "freedynamicdns.net", "freedynamicdns.org",
	"gotdns.ch", "hopto.org", "myddns.me", "myds.me", "myftp.biz", "myftp.org", "myvnc.com", "noip.com",
	"onthewifi.com", "redirectme.net", "serveblog.net", "servecounterstrike.com", "serveftp.com", "servegame.com",
	"servehalflife.com", "servehttp.com", "serveirc.com", "serveminecraft.net", "servemp3.com", "servepics.com",
	"servequake.com", "sytes.net", "viewdns.net", "webhop.me", "zapto.org",
}

// CookieDomain returns the first domain that Organizr sets its cookie for when it is opened under the host; empty for
// none.
func CookieDomain(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	labels := strings.Split(host, ".")
	switch {
	case len(labels) < 2 || net.ParseIP(host) != nil:
		return ""
	case len(labels) == 2:
		return "." + host
	}
	labels = labels[max(0, len(labels)-4):]
	if slices.Contains(hostOnlyProviders, strings.Join(labels[len(labels)-2:], ".")) {
		return "." + strings.Join(labels, ".")
	}
	return "." + strings.Join(labels[1:], ".")
}

// SetCookie sets the session cookie as Organizr does, for its domain and for its host. Without a token it deletes it.
func SetCookie(rw http.ResponseWriter, req *http.Request, name, token string) {
	host := req.Host
	if only, _, err := net.SplitHostPort(host); err == nil {
		host = only
	}
	expires := time.Now().Add(7 * 24 * time.Hour)
	if token == "" {
		expires = time.Now().Add(-time.Hour)
	}
	for _, domain := range []string{CookieDomain(host), host} {
		cookie := name + "=" + token + "; expires=" + expires.UTC().Format("Mon, 02-Jan-2006 15:04:05 GMT") + "; path=/"
		if domain != "" {
			cookie += "; domain=" + domain
		}
		if req.Header.Get("X-Forwarded-Proto") == "https" {
			cookie += "; SameSite=None; Secure; HttpOnly"
		}
		rw.Header().Add("Set-Cookie", cookie)
	}
}
