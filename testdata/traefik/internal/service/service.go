// Package service is a service that shows the requests that reach it.
package service

import (
	"encoding/json"
	"html/template"
	"net/http"
	"strings"

	"github.com/gorilla/websocket"
)

// Seen is a request that reached the service.
type Seen struct {
	Method string
	Host   string
	Target string // as it stood in the request line
	From   string // the address of who connected
	Header http.Header
}

// Handler answers with the request that reached it: a page for browsers, JSON for programs, an echo for WebSockets.
func Handler(rw http.ResponseWriter, req *http.Request) {
	if websocket.IsWebSocketUpgrade(req) {
		Echo(rw, req)
		return
	}
	seen := Seen{Method: req.Method, Host: req.Host, Target: req.RequestURI, From: req.RemoteAddr, Header: req.Header}
	rw.Header().Set("Cache-Control", "no-store")
	if !strings.Contains(req.Header.Get("Accept"), "text/html") {
		rw.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(rw).Encode(seen)
		return
	}
	rw.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = page.Execute(rw, seen)
}

// Echo sends back each message of a WebSocket, with the name of the user.
func Echo(rw http.ResponseWriter, req *http.Request) {
	upgrader := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	conn, err := upgrader.Upgrade(rw, req, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	for {
		kind, message, err := conn.ReadMessage()
		if err != nil || conn.WriteMessage(kind, append(message, " from "+req.Header.Get("X-Organizr-User")...)) != nil {
			return
		}
	}
}

// Identity returns the headers that name the visitor.
func (seen Seen) Identity() http.Header { return seen.headers(true) }

// Others returns all other headers.
func (seen Seen) Others() http.Header { return seen.headers(false) }

func (seen Seen) headers(identity bool) http.Header {
	found := http.Header{}
	for name, values := range seen.Header {
		if strings.HasPrefix(name, "X-Organizr-") == identity {
			found[name] = values
		}
	}
	return found
}

var page = template.Must(template.New("service").Parse(`<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Host}}</title>
<style>
:root { color-scheme: light dark; background: canvas }
body { margin: 2rem auto; max-width: 50rem; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif }
h1 { font-size: 1.5rem; overflow-wrap: anywhere }
h2 { margin: 2rem 0 .5rem; font-size: 1.125rem }
table { border-collapse: collapse; width: 100% }
td, th { padding: .375rem .75rem .375rem 0; text-align: left; vertical-align: top }
td, th { border-top: 1px solid color-mix(in srgb, currentcolor 20%, transparent) }
th { width: 11rem; font-weight: 600 }
td { overflow-wrap: anywhere }
.others { font-size: .875rem }
button { padding: .5rem 1rem; font: inherit }
code { overflow-wrap: anywhere }
@media (max-width: 30rem) { th { width: 8rem; overflow-wrap: anywhere } }
</style>
<h1>{{.Host}}</h1>
<p>This service was asked to <code id="request">{{.Method}} {{.Target}}</code>
<h2>What the plugin says about the visitor</h2>
{{with .Identity}}<table id="identity">
{{range $name, $values := .}}{{range $values}}<tr><th>{{$name}}<td data-header="{{$name}}">{{.}}
{{end}}{{end}}</table>
{{else}}<p>Nothing: this visitor has no session.
{{end}}<h2>All other headers</h2>
<table class="others">
{{range $name, $values := .Others}}{{range $values}}<tr><th>{{$name}}<td data-header="{{$name}}">{{.}}
{{end}}{{end}}</table>
<form method="post"><p><button>Post a form to this service</button></form>
</html>
`))
