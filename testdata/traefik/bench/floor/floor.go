// Package floor is a Traefik plugin that does as little as possible. With it the benchmark shows which part of a cost
// is the interpreter's and the standard library's. It protects nothing: it checks too little.
package floor

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Config says what the plugin does.
type Config struct {
	Does   string // nothing, refuse, disprove or verify
	Cookie string
	Secret string
}

// CreateConfig returns the configuration of a plugin that does nothing.
func CreateConfig() *Config { return &Config{} }

// New returns a handler that does what the configuration says.
func New(_ context.Context, next http.Handler, config *Config, _ string) (http.Handler, error) {
	switch config.Does {
	case "refuse":
		return &refuser{}, nil
	case "disprove":
		return &disprover{config.Cookie, []byte(config.Secret)}, nil
	case "verify":
		return &verifier{next, config.Cookie, []byte(config.Secret)}, nil
	}
	return &nothing{next}, nil
}

type nothing struct{ next http.Handler }

// ServeHTTP calls the next handler.
func (n *nothing) ServeHTTP(rw http.ResponseWriter, req *http.Request) { n.next.ServeHTTP(rw, req) }

type refuser struct{}

// ServeHTTP refuses every request, with a line for the log.
func (r *refuser) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	refuse(rw, req)
}

var (
	asJSON  = []string{"application/problem+json"}
	problem = []byte(`{"type":"about:blank","title":"Unauthorized","status":401,` +
		`"detail":"Please log in, then come back."}` + "\n")
)

func refuse(rw http.ResponseWriter, req *http.Request) {
	fmt.Printf("refused method=%q host=%q path=%q\n", req.Method, req.Host, req.URL.Path)
	rw.Header()["Content-Type"] = asJSON
	rw.WriteHeader(http.StatusUnauthorized)
	_, _ = rw.Write(problem)
}

type disprover struct {
	cookie string
	secret []byte
}

// ServeHTTP refuses a token after it has checked the signature.
func (d *disprover) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	cookie, err := req.Cookie(d.cookie)
	if err != nil {
		return
	}
	end := strings.LastIndexByte(cookie.Value, '.')
	mac := hmac.New(sha256.New, d.secret)
	mac.Write([]byte(cookie.Value[:end]))
	signature, err := base64.RawURLEncoding.DecodeString(cookie.Value[end+1:])
	if err != nil || !hmac.Equal(mac.Sum(nil), signature) {
		refuse(rw, req)
	}
}

type verifier struct {
	next   http.Handler
	cookie string
	secret []byte
}

// ServeHTTP verifies one token: one cookie, one signature, one expiry, one group, three headers. It has no cache, and
// removes nothing from the request.
func (v *verifier) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	cookie, err := req.Cookie(v.cookie)
	if err != nil {
		return
	}
	parts := strings.Split(cookie.Value, ".")
	mac := hmac.New(sha256.New, v.secret)
	mac.Write([]byte(cookie.Value[:len(parts[0])+1+len(parts[1])]))
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || !hmac.Equal(mac.Sum(nil), signature) {
		return
	}
	decoded, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return
	}
	var claims map[string]any
	if json.Unmarshal(decoded, &claims) != nil || claims["iss"] != "Organizr" || claims["aud"] != "Organizr" {
		return
	}
	exp, ok := claims["exp"].(float64)
	if !ok || exp < float64(time.Now().Unix()) {
		return
	}
	group, ok := claims["groupID"].(float64)
	if !ok || group > 4 {
		return
	}
	name, _ := claims["name"].(string)
	email, _ := claims["email"].(string)
	req.Header["X-Organizr-User"] = []string{name}
	req.Header["X-Organizr-Email"] = []string{email}
	req.Header["X-Organizr-Group"] = []string{"4"}
	v.next.ServeHTTP(rw, req)
}
