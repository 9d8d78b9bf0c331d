package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/organizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/proxy"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/service"
)

func TestConfigFileIsRewrittenUnderLoad(t *testing.T) {
	o, err := organizr.New(data("organizr", "config.php"), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	backend := httptest.NewServer(http.HandlerFunc(service.Handler))
	t.Cleanup(backend.Close)
	s := setUp(t, nil, func(options *proxy.Options) {
		options.Env = []string{"ORGANIZR_CONFIG_FILE=" + o.ConfigFile(), "ORGANIZR_URL=https://organizr.example.com"}
		options.Dynamic = table{"http": table{
			"routers":     table{"user": table{"rule": "Host(`user.example.com`)", "service": "service", "middlewares": []string{"user"}}},
			"middlewares": table{"user": table{"plugin": table{"organizrjwt": table{"group": "User"}}}},
			"services":    table{"service": table{"loadBalancer": table{"servers": []table{{"url": backend.URL}}}}},
		}}
	})
	bob, _ := organizr.Find("bob")
	oldCookie := organizr.CookieName + "=" + bob.Token(o.Hash())
	if got := s.ask("GET", "user.example.com", "/", "Cookie", oldCookie).StatusCode; got != 200 {
		t.Fatalf("at first: got %d", got)
	}

	stop, done := make(chan struct{}), make(chan struct{})
	var sent, refused int64
	go func() {
		sent, refused = poll(t, s.traefik.Addr, "user.example.com", oldCookie, 500, stop)
		close(done)
	}()
	for i := range 200 {
		err := o.Rewrite(func(string) {
			// Most rewrites are quick. Some leave each state long enough for a look to meet it.
			pause := 5 * time.Millisecond
			if i%40 == 0 {
				pause = 1200 * time.Millisecond
			}
			time.Sleep(pause)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	<-done
	t.Logf("%d requests during 200 rewrites, %d refused", sent, refused)
	if refused > 0 || sent < 1000 {
		t.Errorf("%d of %d requests with a good session were refused", refused, sent)
	}

	if err := o.TurnKey(); err != nil {
		t.Fatal(err)
	}
	turned := time.Now()
	newCookie := organizr.CookieName + "=" + bob.Token(o.Hash())
	for {
		before := s.ask("GET", "user.example.com", "/", "Cookie", oldCookie).StatusCode
		after := s.ask("GET", "user.example.com", "/", "Cookie", newCookie).StatusCode
		if before == 401 && after == 200 {
			break
		}
		if time.Since(turned) > 2*time.Second {
			t.Fatalf("two seconds after the key was turned over an old session gets %d and a new one %d", before, after)
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Logf("the new key was in force after %s", time.Since(turned).Round(time.Millisecond))
	if err := os.Remove(o.ConfigFile()); err != nil {
		t.Fatal(err)
	}
}
