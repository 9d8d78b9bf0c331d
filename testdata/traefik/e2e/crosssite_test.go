package e2e

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/service"
)

// Browsers say where a request comes from in Origin. Newer ones say it in Sec-Fetch-Site too, except for WebSockets.
func TestCrossSiteRequests(t *testing.T) {
	s := setUp(t, map[string]table{
		"user":    {"group": "User", "acceptBearer": true},
		"guest":   {"group": "Guest"},
		"allowed": {"group": "User", "allowCrossSite": true},
	})
	bearer := []string{"Authorization", "Bearer " + as("bob")[1][len(fakeorganizr.CookieName)+1:]}
	for _, test := range []struct {
		name, method, host string
		origin, fetchSite  string
		credentials        []string
		want               int
	}{
		{"a form of the service's own page", "POST", "user", "http://user.example.com", "same-origin", as("bob"), 200},
		{"a form of a page of Organizr", "POST", "user", "https://organizr.example.com", "same-site", as("bob"), 200},
		{"a form of another site", "POST", "user", "https://elsewhere.test", "cross-site", as("bob"), 403},
		{"another method of another site", "DELETE", "user", "https://elsewhere.test", "cross-site", as("bob"), 403},
		{"a form of a frame that has no origin", "POST", "user", "null", "cross-site", as("bob"), 403},
		{"a form of the service's own page, an older browser", "POST", "user", "http://user.example.com", "", as("bob"), 200},
		{
			"a form of the service's own page on another port, an older browser", "POST", "user",
			"http://user.example.com:8080", "", as("bob"), 200,
		},
		{
			"a form of a page of Organizr, an older browser", "POST", "user", "https://organizr.example.com", "", as("bob"), 200,
		},
		{"a form of another site, an older browser", "POST", "user", "https://elsewhere.test", "", as("bob"), 403},
		{"a form of a frame that has no origin, an older browser", "POST", "user", "null", "", as("bob"), 403},
		{"a site whose name ends in ours", "POST", "user", "https://evilexample.com", "", as("bob"), 403},
		{"a site whose name begins with ours", "POST", "user", "https://user.example.com.elsewhere.test", "", as("bob"), 403},
		{"a site that is only our domain's end", "POST", "user", "https://com", "", as("bob"), 403},
		{"a page view of another site's link", "GET", "user", "", "cross-site", as("bob"), 200},
		{"a script of another site that reads", "GET", "user", "https://elsewhere.test", "cross-site", as("bob"), 200},
		{
			"a preflight request of another site's script", "OPTIONS", "user", "https://elsewhere.test", "cross-site",
			as("bob"), 200,
		},
		{"a program, which says nothing", "POST", "user", "", "", as("bob"), 200},
		{"another site that has a bearer token", "POST", "user", "https://elsewhere.test", "cross-site", bearer, 200},
		{"another site at a guests' page", "POST", "guest", "https://elsewhere.test", "cross-site", as("bob"), 200},
		{"another site where it is allowed", "POST", "allowed", "https://elsewhere.test", "cross-site", as("bob"), 200},
	} {
		t.Run(test.name, func(t *testing.T) {
			headers := append([]string{"Content-Length", "0"}, test.credentials...)
			if test.origin != "" {
				headers = append(headers, "Origin", test.origin)
			}
			if test.fetchSite != "" {
				headers = append(headers, "Sec-Fetch-Site", test.fetchSite)
			}
			if got := s.in(t).ask(test.method, test.host+".example.com", "/", headers...); got.StatusCode != test.want {
				t.Errorf("got %d, want %d: %s", got.StatusCode, test.want, got.Body)
			}
		})
	}
}

func TestCrossSiteWebSockets(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(service.Echo))
	t.Cleanup(backend.Close)
	s := setUp(t, nil, func(options *proxy.Options) {
		options.Dynamic = routes(map[string]table{
			"live": {"group": "User"}, "allowed": {"group": "User", "allowCrossSite": true},
		}, backend.URL)
	})
	for _, test := range []struct {
		name, host, origin string
		open               bool
	}{
		{"a page of the service itself", "live", "https://live.example.com", true},
		{"a page of Organizr", "live", "https://organizr.example.com", true},
		{"a page of another site", "live", "https://elsewhere.test", false},
		{"a page of a site whose name ends in ours", "live", "https://evilexample.com", false},
		{"a frame that has no origin", "live", "null", false},
		{"a program, which says nothing", "live", "", true},
		{"a page of another site where it is allowed", "allowed", "https://elsewhere.test", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			header := http.Header{"Cookie": {as("bob")[1]}, "Host": {test.host + ".example.com"}}
			if test.origin != "" {
				header.Set("Origin", test.origin)
			}
			conn, resp, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+s.traefik.Addr+"/", header)
			if resp == nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if !test.open {
				if err == nil || resp.StatusCode != http.StatusForbidden {
					t.Errorf("got %d and %v, want 403", resp.StatusCode, err)
				}
				return
			}
			if err != nil {
				t.Fatalf("%d: %v", resp.StatusCode, err)
			}
			defer conn.Close()
			for _, message := range []string{"one", "two", "three"} {
				if err := conn.WriteMessage(websocket.TextMessage, []byte(message)); err != nil {
					t.Fatal(err)
				}
				if _, got, err := conn.ReadMessage(); err != nil || string(got) != message+" from bob" {
					t.Fatalf("got %q and %v", got, err)
				}
			}
		})
	}
}
