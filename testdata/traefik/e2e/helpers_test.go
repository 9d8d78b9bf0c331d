package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/programs"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/service"
)

// insecure accepts the certificate that Traefik makes for itself at each start.
var insecure = &tls.Config{InsecureSkipVerify: true}

// hash is the key of the Organizr that wrote testdata/organizr.
const hash = fakeorganizr.Hash

type table = map[string]any

// A scene is a real Traefik with a middleware for each host, and a service behind them.
type scene struct {
	t       *testing.T
	traefik *proxy.Traefik
	backend string // the service's address
}

// setUp returns a scene with these hosts under example.com. Each has a middleware with its options, besides the key and
// organizr.example.com as the login address.
func setUp(t *testing.T, hosts map[string]table, change ...func(options *proxy.Options)) *scene {
	t.Helper()
	backend := httptest.NewServer(http.HandlerFunc(service.Handler))
	t.Cleanup(backend.Close)
	options := proxy.Options{Dynamic: routes(hosts, backend.URL)}
	for _, one := range change {
		one(&options)
	}
	traefik, err := proxy.Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(traefik.Stop)
	return &scene{t: t, traefik: traefik, backend: backend.URL}
}

// configure replaces the hosts.
func (s *scene) configure(hosts map[string]table) {
	s.t.Helper()
	if err := s.traefik.Configure(s.t.Context(), routes(hosts, s.backend)); err != nil {
		s.t.Fatal(err)
	}
}

// in returns the scene for a subtest.
func (s *scene) in(t *testing.T) *scene { return &scene{t: t, traefik: s.traefik, backend: s.backend} }

// routes returns a dynamic configuration with a router and a middleware for each host.
func routes(hosts map[string]table, backend string) table {
	if len(hosts) == 0 {
		return table{} // Traefik accepts no empty sections
	}
	routers, middlewares := table{}, table{}
	for host, options := range hosts {
		given := table{"uuid": fakeorganizr.UUID, "secret": hash, "organizrURL": "https://organizr.example.com"}
		for option, value := range options {
			given[option] = value
		}
		middlewares[host] = table{"plugin": table{"organizrjwt": given}}
		routers[host] = table{"rule": "Host(`" + host + ".example.com`)", "service": "service", "middlewares": []string{host}}
	}
	return table{"http": table{
		"routers": routers, "middlewares": middlewares,
		"services": table{"service": table{"loadBalancer": table{"servers": []table{{"url": backend}}}}},
	}}
}

// An answer is a response with its body.
type answer struct {
	*http.Response
	Body string
}

// seen returns the request as the service received it; the zero value if it didn't reach the service.
func (a answer) seen() service.Seen {
	var seen service.Seen
	if a.StatusCode == http.StatusOK {
		_ = json.Unmarshal([]byte(a.Body), &seen)
	}
	return seen
}

const pageAccept = "text/html,application/xhtml+xml"

// ask sends a request just as it is written here, with headers as name and value by turns.
func (s *scene) ask(method, host, target string, headers ...string) answer {
	s.t.Helper()
	return askRaw(s.t, s.traefik.Addr, method, host, target, headers...)
}

// askRaw is ask for any server.
func askRaw(t *testing.T, addr, method, host, target string, headers ...string) answer {
	t.Helper()
	var text strings.Builder
	text.WriteString(method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n")
	for i := 0; i < len(headers); i += 2 {
		text.WriteString(headers[i] + ": " + headers[i+1] + "\r\n")
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(conn, text.String()+"\r\n"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{Response: resp, Body: string(body)}
}

// becomes sends requests until the status is the wanted one and the service receives these headers. It fails after two
// seconds: the plugin polls its files once a second, and the other one is for a slow machine.
func (s *scene) becomes(want int, received map[string]string, host string, headers ...string) answer {
	s.t.Helper()
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		got := s.ask("GET", host, "/", headers...)
		seen := got.seen().Header
		right := got.StatusCode == want
		for name, text := range received {
			right = right && seen.Get(name) == text
		}
		if right {
			return got
		}
		if time.Since(began) > 2*time.Second {
			s.t.Fatalf("after two seconds %s still answers %d and the service receives %v, want %d and %v: %s\n%s",
				host, got.StatusCode, seen, want, received, got.Body, s.logged("ERR", 1))
		}
	}
}

// client returns a client that connects to Traefik for all hosts, over TLS, by HTTP/1.1 or HTTP/2.0.
func (s *scene) client(protocol string) *http.Client {
	transport := &http.Transport{
		TLSClientConfig:   insecure.Clone(),
		ForceAttemptHTTP2: protocol == "HTTP/2.0",
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", s.traefik.Addr)
		},
	}
	s.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// A visitor sends requests to Traefik's services over connections that stay open, as a browser's do.
type visitor struct {
	client *http.Client
	addr   string
}

func newVisitor(traefik *proxy.Traefik) *visitor {
	return &visitor{client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{}}, addr: traefik.Addr}
}

// ask returns the host's response, and the user that the service received.
func (v *visitor) ask(
	ctx context.Context, host string, cookie *http.Cookie,
) (resp *http.Response, user string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+v.addr+"/", http.NoBody)
	if err != nil {
		return nil, "", err
	}
	req.Host = host
	if cookie != nil {
		req.AddCookie(cookie)
	}
	if resp, err = v.client.Do(req); err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, answer{Response: resp, Body: string(body)}.seen().Header.Get("X-Organizr-User"), err
}

// get returns the host's response.
func (v *visitor) get(t *testing.T, host string, cookie *http.Cookie) *http.Response {
	t.Helper()
	resp, _, err := v.ask(t.Context(), host, cookie)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// logged returns the lines of Traefik's log that match, once there are that many. It waits for them, since the log
// comes through a pipe and can lag behind the responses.
func (s *scene) logged(pattern string, count int) []string {
	s.t.Helper()
	match := regexp.MustCompile(`(?m)^.*` + pattern + `.*$`)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		lines := match.FindAllString(s.traefik.Log(), -1)
		if len(lines) >= count || time.Now().After(deadline) {
			return lines
		}
	}
}

// figure returns the number that the pattern matches in one of Traefik's own pages.
func (s *scene) figure(path, pattern string) float64 {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://"+s.traefik.Addr+path, http.NoBody)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Host = "debug.example.com"
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	match := regexp.MustCompile(pattern).FindSubmatch(text)
	if match == nil {
		s.t.Fatalf("%s: no %s in %.300s", path, pattern, text)
	}
	number, err := strconv.ParseFloat(string(match[1]), 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return number
}

// poll sends that many requests a second to the host until stop is closed. It returns the number of requests, and how
// many of them were refused.
func (s *scene) poll(host, cookie string, perSecond int, stop <-chan struct{}) (sent, refused int64) {
	s.t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	url := "http://" + s.traefik.Addr + "/"
	var running sync.WaitGroup
	ticker := time.NewTicker(time.Second / time.Duration(perSecond))
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			running.Wait()
			return sent, refused
		case <-ticker.C:
			sent++
			running.Add(1)
			go func() {
				defer running.Done()
				req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, url, http.NoBody)
				if err != nil {
					s.t.Error(err)
					return
				}
				req.Host = host
				req.Header.Set("Cookie", cookie)
				resp, err := client.Do(req)
				if err != nil {
					s.t.Error(err)
					return
				}
				resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					atomic.AddInt64(&refused, 1)
				}
			}()
		}
	}
}

// newDatabase makes a database at the path with the fake Organizr's groups and accounts, and without sessions.
func newDatabase(t *testing.T, path string) *fakeorganizr.Database {
	t.Helper()
	database, err := fakeorganizr.NewDatabase(path, fakeorganizr.Groups, fakeorganizr.Accounts)
	if err != nil {
		t.Fatal(err)
	}
	return database
}

// as returns a Cookie header with a new session of the account, for ask.
func as(username string) []string {
	account, ok := fakeorganizr.Find(username)
	if !ok {
		panic("no account " + username)
	}
	return []string{"Cookie", fakeorganizr.Cookie(account.Token(hash))}
}

// needs skips the test if this machine lacks the program. In CI, where no test may be skipped, the test fails.
func needs(t *testing.T, name string) {
	t.Helper()
	all := programs.All()
	at := slices.IndexFunc(all, func(program programs.Program) bool { return program.Name == name })
	switch {
	case at < 0:
		t.Fatalf("package programs doesn't know %s", name)
	case all[at].Installed():
	case programs.InCI():
		t.Fatalf("%s is missing; `go run -C testdata/traefik ./test` installs it where it can", name)
	default:
		t.Skipf("%s is missing; `go run -C testdata/traefik ./test` installs it where it can", name)
	}
}

// data returns the path of a file in testdata.
func data(names ...string) string {
	return filepath.Join(append([]string{proxy.Checkout(), "testdata"}, names...)...)
}

// readData decodes a JSON file in testdata.
func readData(t *testing.T, into any, names ...string) {
	t.Helper()
	text, err := os.ReadFile(data(names...))
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}
