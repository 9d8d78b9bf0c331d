// Package steps has the single steps of a request, each in the spelling that the plugin uses and in others, so that a
// benchmark can tell what each costs under Yaegi.
//
// There a call takes a frame with room for every variable and every intermediate result of the function, reached or not,
// and a call into the standard library goes through reflection.
package steps

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Steps are what the benchmark runs, by name.
var Steps = map[string]func(){
	"call of a function":                         func() { function(req) },
	"call of a method":                           func() { some.method(req) },
	"call of a function with a branch unreached": func() { branched(req) },
	"clock":                                     func() { clock() },
	"cookies, joined":                           func() { joined(req) },
	"cookies, the first line by Get":            func() { got(req) },
	"cookies, the one of a name":                func() { named(req) },
	"look-up under a lock":                      func() { locked() },
	"look-up in a sync.Map":                     func() { synced() },
	"other headers, by an error":                func() { otherByError(req) },
	"other headers, by a length":                func() { otherByLength(req) },
	"other headers, by a loop":                  func() { otherByLoop(req) },
	"four headers, from slices":                 func() { tellFromSlices(req) },
	"four headers, from a map":                  func() { tellFromMap(req) },
	"signature, compared as bytes":              func() { signedBytes() },
	"signature, compared as text":               func() { signedText() },
	"claims, into a struct":                     func() { claimsToStruct() },
	"claims, into a map":                        func() { claimsToMap() },
	"line of the log, its reason quoted before": func() { logQuoted(req) },
	"line of the log, all of it quoted":         func() { logQuoting(req) },
}

type visitor struct{ values [][]string }

type thing struct{}

var (
	req = &http.Request{Method: http.MethodGet, Host: "sonarr.example.com", Header: http.Header{
		"Accept": {"*/*"}, "Accept-Encoding": {"gzip"}, "Accept-Language": {"en"}, "Cookie": {"a=1; b=2; organizr_token_x=" + token},
		"Sec-Fetch-Dest": {"document"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Site": {"none"}, "User-Agent": {"Mozilla/5.0"},
	}}
	harmless = map[string]bool{
		"Accept": true, "Accept-Encoding": true, "Accept-Language": true, "Cookie": true,
		"Sec-Fetch-Dest": true, "Sec-Fetch-Mode": true, "Sec-Fetch-Site": true, "User-Agent": true, "X-1": true, "X-2": true, "X-3": true,
	}
	some       = &thing{}
	who        = &visitor{[][]string{{"1"}, {"2"}, {"3"}, {"a=1; b=2"}}}
	told       = []string{"X-1", "X-2", "X-3", "Cookie"}
	byName     = map[string][]string{"X-1": {"1"}, "X-2": {"2"}, "X-3": {"3"}, "Cookie": {"a=1; b=2"}}
	epoch      = time.Unix(0, 0)
	mutex      sync.RWMutex
	remembered = map[string]*visitor{"a=1": who}
	store      = newStore()
	unwritable = closedPipe()
	secret     = []byte("a-key-that-is-long-enough-for-HS256")
	strict     = base64.RawURLEncoding.Strict()
	reason     = "the signature isn't made with this secret; it must be the organizrHash of the Organizr that visitors log in to"
	quoted     = strconv.Quote(reason)
)

const (
	claims = `{"iss":"Organizr","aud":"Organizr","jti":"4f1g23a12aa","iat":1795284470.792391,"nbf":1795284470.792391,` +
		`"exp":1795889270.792391,"name":"bob","group":"User","groupID":4,"email":"bob@example.com","image":"https://example.com/bob.png","userID":2}`
	text      = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJPcmdhbml6ciIsImF1ZCI6Ik9yZ2FuaXpyIn0"
	signature = "nDWwVpZ7aDM6gnw3QvhW1oayUCA3Kg1kYQ8J8S6mY2g"
	token     = text + "." + signature
)

func newStore() *sync.Map {
	made := &sync.Map{}
	made.Store("a=1", who)
	return made
}

func closedPipe() io.Writer {
	_, writer := io.Pipe()
	_ = writer.Close()
	return writer
}

func function(_ *http.Request) {}

func (t *thing) method(_ *http.Request) {}

func branched(req *http.Request) {
	if req == nil {
		names := []string{"a", "b"}
		for i, name := range names {
			text := strings.ToLower(name) + strconv.Itoa(i)
			if strings.Contains(text, "a") && len(text) > 1 {
				fmt.Println(text)
			}
		}
	}
}

func clock() time.Duration { return time.Since(epoch) }

func joined(req *http.Request) string { return strings.Join(req.Header["Cookie"], "; ") }

func got(req *http.Request) string { return req.Header.Get("Cookie") }

func named(req *http.Request) []*http.Cookie { return req.CookiesNamed("organizr_token_x") }

func locked() *visitor {
	mutex.RLock()
	known := remembered["a=1"]
	mutex.RUnlock()
	return known
}

func synced() *visitor {
	value, _ := store.Load("a=1")
	known, _ := value.(*visitor)
	return known
}

func otherByError(req *http.Request) bool { return req.Header.WriteSubset(unwritable, harmless) != nil }

func otherByLength(req *http.Request) bool {
	var others strings.Builder
	return req.Header.WriteSubset(&others, harmless) != nil || others.Len() > 0
}

func otherByLoop(req *http.Request) bool {
	for name := range req.Header {
		if !harmless[name] {
			return true
		}
	}
	return false
}

func tellFromSlices(req *http.Request) {
	for i, values := range who.values {
		req.Header[told[i]] = values
	}
}

func tellFromMap(req *http.Request) {
	for name, values := range byName {
		req.Header[name] = values
	}
}

func signedBytes() bool {
	mac := hmac.New(sha256.New, secret)
	_, _ = io.WriteString(mac, text)
	given, _ := strict.DecodeString(signature)
	return hmac.Equal(mac.Sum(nil), given)
}

func signedText() bool {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(text))
	return hmac.Equal([]byte(strict.EncodeToString(mac.Sum(nil))), []byte(signature))
}

type payload struct {
	Issuer    any `json:"iss"`
	Audience  any `json:"aud"`
	ExpiresAt any `json:"exp"`
	NotBefore any `json:"nbf"`
	Name      any `json:"name"`
	Email     any `json:"email"`
	Group     any `json:"group"`
	GroupID   any `json:"groupID"`
	UserID    any `json:"userID"`
	Image     any `json:"image"`
}

func claimsToStruct() bool {
	given := new(payload)
	return json.Unmarshal([]byte(claims), given) == nil
}

func claimsToMap() bool {
	var given map[string]any
	return json.Unmarshal([]byte(claims), &given) == nil
}

func logQuoted(req *http.Request) {
	fmt.Printf("status=%d method=%q host=%q reason=%s\n", http.StatusUnauthorized, req.Method, req.Host, quoted)
}

func logQuoting(req *http.Request) {
	fmt.Printf("status=%d method=%q host=%q reason=%q\n", http.StatusUnauthorized, req.Method, req.Host, reason)
}
