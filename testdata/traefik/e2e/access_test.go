package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
)

func TestEachAccountAgainstEachThreshold(t *testing.T) {
	thresholds := map[int]string{
		0: "0", 1: "1", 2: "Super User", 3: "3", 4: "User", 5: "5", 997: "997", 998: "Logged In", 999: "guest",
	}
	hosts := map[string]table{}
	for number, threshold := range thresholds {
		hosts[fmt.Sprintf("for-%d", number)] = table{"group": threshold}
	}
	s := setUp(t, hosts)
	for number, threshold := range thresholds {
		host := fmt.Sprintf("for-%d.example.com", number)
		for _, account := range fakeorganizr.Accounts {
			name := fmt.Sprintf("%s of group %d where %s is asked for", account.Username, account.GroupID, threshold)
			t.Run(name, func(t *testing.T) {
				got := s.in(t).ask("GET", host, "/", as(account.Username)...)
				if account.GroupID > number {
					if got.StatusCode != http.StatusForbidden {
						t.Errorf("got %d, want 403", got.StatusCode)
					}
					return
				}
				if got.StatusCode != http.StatusOK {
					t.Fatalf("got %d, want 200", got.StatusCode)
				}
				received := got.seen().Header
				if received.Get("X-Organizr-User") != account.Username ||
					received.Get("X-Organizr-Group") != fmt.Sprint(account.GroupID) ||
					!strings.HasSuffix(received.Get("X-Organizr-Email"), "@example.com") || received.Get("Cookie") != "" {
					t.Errorf("the service received %v", received)
				}
			})
		}
		t.Run("nobody where "+threshold+" is asked for", func(t *testing.T) {
			want := http.StatusUnauthorized
			if number == 999 {
				want = http.StatusOK
			}
			if got := s.in(t).ask("GET", host, "/").StatusCode; got != want {
				t.Errorf("got %d, want %d", got, want)
			}
		})
	}
}

func TestSeveralCookiesOfTheName(t *testing.T) {
	s := setUp(t, map[string]table{"user": {"group": "User"}})
	bob, _ := fakeorganizr.Find("bob")
	alice, _ := fakeorganizr.Find("alice")
	cookie := fakeorganizr.Cookie("")
	good := cookie + bob.Token(hash)
	ended := bob.Claims(time.Now().Add(-48*time.Hour), 24*time.Hour)
	expired := cookie + fakeorganizr.Sign(fakeorganizr.Header, ended, hash)
	forged := cookie + alice.Token("another-key-that-is-long-enough-for-HS256")
	for _, test := range []struct {
		name, cookies string
		want          int
	}{
		{"a good one", good, 200},
		{"a forged one", forged, 401},
		{"an expired one", expired, 401},
		{"a stale one before a good one", expired + "; " + good, 200},
		{"a good one before a stale one", good + "; " + expired, 200},
		{"a forged one before a good one", forged + "; " + good, 200},
	} {
		for _, visit := range []string{"first", "second"} {
			t.Run(test.name+", "+visit+" visit", func(t *testing.T) {
				got := s.in(t).ask("GET", "user.example.com", "/", "Cookie", "a=1; "+test.cookies+"; b=\"2\"")
				if got.StatusCode != test.want {
					t.Fatalf("got %d, want %d", got.StatusCode, test.want)
				}
				received := got.seen().Header
				if test.want == 200 && (received.Get("Cookie") != `a=1; b="2"` || received.Get("X-Organizr-User") != "bob") {
					t.Errorf("the service received %v", received)
				}
			})
		}
	}
}

func TestRedirectReturnsToTheAddress(t *testing.T) {
	s := setUp(t, map[string]table{"sonarr": {"group": "User"}})
	const home = "http%25253A%25252F%25252Fsonarr.example.com"
	for target, want := range map[string]string{
		"/":                           home + "%25252F",
		"/s?q=1&x=2":                  home + "%25252Fs%25253Fq%25253D1%252526x%25253D2",
		"/s?q=100%25&x=a%2Fb":         home + "%25252Fs%25253Fq%25253D100%25252525%252526x%25253Da%2525252Fb",
		"/a%2Fb":                      home + "%25252Fa%2525252Fb",
		"/s?q=a+b":                    home + "%25252Fs%25253Fq%25253Da%25252Bb",
		"/%C3%BC?c=%C3%BC":            home + "%25252F%252525C3%252525BC%25253Fc%25253D%252525C3%252525BC",
		"http://sonarr.example.com":   home + "%25252F",
		"http://sonarr.example.com/x": home + "%25252Fx",
	} {
		t.Run(target, func(t *testing.T) {
			got := s.in(t).ask("GET", "sonarr.example.com", target, "Accept", pageAccept)
			location, want := got.Header.Get("Location"), "https://organizr.example.com/?return="+want
			if got.StatusCode != 302 || location != want {
				t.Errorf("%d\ngot  %s\nwant %s", got.StatusCode, location, want)
			}
		})
	}
}
