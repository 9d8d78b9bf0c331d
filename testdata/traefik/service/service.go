// Package service is a service that shows what it was told.
package service

import (
	"encoding/json"
	"html/template"
	"net/http"
	"strings"
)

// Seen is what reached the service.
type Seen struct {
	Method string
	Host   string
	Target string // as it stood in the request line
	Header http.Header
}

// Handler answers with what reached it: browsers with a page, others with JSON.
func Handler(rw http.ResponseWriter, req *http.Request) {
	seen := Seen{Method: req.Method, Host: req.Host, Target: req.RequestURI, Header: req.Header}
	rw.Header().Set("Cache-Control", "no-store")
	if !strings.Contains(req.Header.Get("Accept"), "text/html") {
		rw.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(rw).Encode(seen)
		return
	}
	rw.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = page.Execute(rw, seen)
}

var page = template.Must(template.New("service").Parse(`<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Host}}</title>
<style>
body { margin: 2rem auto; max-width: 60rem; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif }
td, th { padding: .25rem .75rem .25rem 0; text-align: left; vertical-align: top; overflow-wrap: anywhere }
</style>
<h1>{{.Host}}</h1>
<p>This service was asked to <code id="request">{{.Method}} {{.Target}}</code>, and told:
<table>
{{range $name, $values := .Header}}{{range $values}}<tr><th>{{$name}}<td data-header="{{$name}}">{{.}}
{{end}}{{end}}</table>
<form method="post"><button>Post a form to it</button></form>
</html>
`))
