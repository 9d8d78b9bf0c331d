package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/organizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/proxy"
)

func TestEachAccountAgainstEachThreshold(t *testing.T) {
	thresholds := []string{"0", "1", "Super User", "3", "User", "5", "997", "Logged In", "guest"}
	numbers := []int{0, 1, 2, 3, 4, 5, 997, 998, 999}
	hosts := map[string]table{}
	for i, threshold := range thresholds {
		hosts[fmt.Sprintf("for-%d", numbers[i])] = table{"group": threshold}
	}
	s := setUp(t, hosts)
	for _, number := range numbers {
		host := fmt.Sprintf("for-%d.example.com", number)
		for _, account := range organizr.Accounts {
			want := http.StatusForbidden
			if account.GroupID <= number {
				want = http.StatusOK
			}
			got := s.ask("GET", host, "/", as(account.Username)...)
			if got.StatusCode != want {
				t.Errorf("%s (%d) at %s: got %d, want %d", account.Username, account.GroupID, host, got.StatusCode, want)
			}
			if got.StatusCode != http.StatusOK {
				continue
			}
			told := got.seen().Header
			if told.Get("X-Organizr-User") != account.Username || told.Get("X-Organizr-Group") != fmt.Sprint(account.GroupID) ||
				!strings.HasSuffix(told.Get("X-Organizr-Email"), "@example.com") || told.Get("Cookie") != "" {
				t.Errorf("%s at %s: the service was told %v", account.Username, host, told)
			}
		}
		want := http.StatusUnauthorized
		if number == 999 {
			want = http.StatusOK
		}
		if got := s.ask("GET", host, "/").StatusCode; got != want {
			t.Errorf("nobody at %s: got %d, want %d", host, got, want)
		}
	}
}

func TestCookiesAndForgeries(t *testing.T) {
	s := setUp(t, map[string]table{"user": {"group": "User"}, "guest": {"group": "Guest"}})
	bob, _ := organizr.Find("bob")
	alice, _ := organizr.Find("alice")
	cookie := organizr.CookieName + "="
	good := cookie + bob.Token(hash)
	expired := cookie + organizr.Sign(organizr.Header, bob.Claims(time.Now().Add(-48*time.Hour), 24*time.Hour), hash)
	forged := cookie + alice.Token("another-key-that-is-long-enough-for-HS256")
	for _, test := range []struct {
		name, cookie string
		want         int
	}{
		{"good", good, 200},
		{"forged", forged, 401},
		{"expired", expired, 401},
		{"stale before good", expired + "; " + good, 200},
		{"good before stale", good + "; " + expired, 200},
		{"forged before good", forged + "; " + good, 200},
	} {
		for _, visit := range []string{"first", "second"} {
			got := s.ask("GET", "user.example.com", "/", "Cookie", "a=1; "+test.cookie+"; b=\"2\"")
			if got.StatusCode != test.want {
				t.Errorf("%s, %s visit: got %d, want %d", test.name, visit, got.StatusCode, test.want)
			}
			if told := got.seen().Header; got.StatusCode == 200 && (told.Get("Cookie") != `a=1; b="2"` || told.Get("X-Organizr-User") != "bob") {
				t.Errorf("%s, %s visit: the service was told %v", test.name, visit, told)
			}
		}
	}
	for _, host := range []string{"user.example.com", "guest.example.com"} {
		for _, spelling := range []string{"X-Organizr-User", "x-organizr-user", "x_organizr_user", "X-Organizr_User", "X.Organizr.User", "X_ORGANIZR-GROUP"} {
			headers := []string{spelling, "forged"}
			if host == "user.example.com" {
				headers = append(headers, "Cookie", good)
			}
			if got := s.ask("GET", host, "/", headers...); got.StatusCode != 200 || strings.Contains(got.Body, "forged") {
				t.Errorf("%s at %s: %d, the service was told %v", spelling, host, got.StatusCode, got.seen().Header)
			}
		}
	}
}

func TestRedirectOfEveryAddress(t *testing.T) {
	s := setUp(t, map[string]table{"sonarr": {"group": "User"}})
	for target, want := range map[string]string{
		"/":                           "http%25253A%25252F%25252Fsonarr.example.com%25252F",
		"/s?q=1&x=2":                  "http%25253A%25252F%25252Fsonarr.example.com%25252Fs%25253Fq%25253D1%252526x%25253D2",
		"/s?q=100%25&x=a%2Fb":         "http%25253A%25252F%25252Fsonarr.example.com%25252Fs%25253Fq%25253D100%25252525%252526x%25253Da%2525252Fb",
		"/a%2Fb":                      "http%25253A%25252F%25252Fsonarr.example.com%25252Fa%2525252Fb",
		"/s?q=a+b":                    "http%25253A%25252F%25252Fsonarr.example.com%25252Fs%25253Fq%25253Da%25252Bb",
		"/%C3%BC?c=%C3%BC":            "http%25253A%25252F%25252Fsonarr.example.com%25252F%252525C3%252525BC%25253Fc%25253D%252525C3%252525BC",
		"http://sonarr.example.com":   "http%25253A%25252F%25252Fsonarr.example.com%25252F",
		"http://sonarr.example.com/x": "http%25253A%25252F%25252Fsonarr.example.com%25252Fx",
	} {
		got := s.ask("GET", "sonarr.example.com", target, "Accept", pageAccept)
		if location := got.Header.Get("Location"); got.StatusCode != 302 || location != "https://organizr.example.com/?return="+want {
			t.Errorf("%s: %d\ngot  %s\nwant %s", target, got.StatusCode, location, "https://organizr.example.com/?return="+want)
		}
	}
}

func TestWebSocketsOfOurOwnOnly(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(echoWebSocket))
	t.Cleanup(backend.Close)
	s := setUp(t, nil, func(options *proxy.Options) {
		options.Dynamic = routes(map[string]table{"live": {"group": "User"}}, backend.URL)
	})
	dial := func(site string) (*websocket.Conn, *http.Response, error) {
		header := http.Header{"Cookie": {as("bob")[1]}, "Sec-Fetch-Site": {site}, "Host": {"live.example.com"}}
		conn, resp, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+s.traefik.Addr+"/", header)
		if resp != nil {
			resp.Body.Close()
		}
		return conn, resp, err
	}
	conn, _, err := dial("same-site")
	if err != nil {
		t.Fatal(err)
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
	if _, resp, err := dial("cross-site"); err == nil || resp == nil || resp.StatusCode != http.StatusForbidden {
		t.Errorf("a WebSocket of another site: got %v and %v", resp, err)
	}
}
