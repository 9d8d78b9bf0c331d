package e2e

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/service"
)

// transportBackend is a service that shows whether anything on the way was held back or changed.
func transportBackend(t *testing.T, hungUp chan<- struct{}, read <-chan struct{}) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/count", func(rw http.ResponseWriter, req *http.Request) {
		sum := sha256.New()
		size, _ := io.Copy(sum, req.Body)
		fmt.Fprintf(rw, "%d %s %s", size, hex.EncodeToString(sum.Sum(nil)), req.Header.Get("X-Organizr-User"))
	})
	mux.HandleFunc("/echo", func(rw http.ResponseWriter, req *http.Request) {
		flush := http.NewResponseController(rw)
		_ = flush.EnableFullDuplex()
		lines := bufio.NewScanner(req.Body)
		for lines.Scan() {
			fmt.Fprintln(rw, "got", lines.Text())
			_ = flush.Flush()
		}
	})
	mux.HandleFunc("/events", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(rw, "data: %d\n", i)
			_ = http.NewResponseController(rw).Flush()
			<-read
		}
	})
	mux.HandleFunc("/large", func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.CopyN(rw, rand.Reader, 100<<20) })
	mux.HandleFunc("/wait", func(rw http.ResponseWriter, req *http.Request) {
		rw.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(rw).Flush()
		<-req.Context().Done()
		hungUp <- struct{}{}
	})
	mux.HandleFunc("/live", service.Echo)
	mux.HandleFunc("/", func(rw http.ResponseWriter, req *http.Request) { fmt.Fprint(rw, req.Method, " ", req.Proto) })
	backend := httptest.NewServer(mux)
	t.Cleanup(backend.Close)
	return backend
}

func TestTransport(t *testing.T) {
	hungUp, read := make(chan struct{}, 1), make(chan struct{}, 1)
	backend := transportBackend(t, hungUp, read)
	hosts := map[string]table{"user": {"group": "User"}}
	s := setUp(t, nil, func(options *proxy.Options) {
		options.TLS = true
		options.Dynamic = routes(hosts, backend.URL)
	})
	request := func(ctx context.Context, method, path string, body io.Reader) *http.Request {
		req, err := http.NewRequestWithContext(ctx, method, "https://user.example.com"+path, body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Cookie", as("bob")[1])
		return req
	}
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(protocol, func(t *testing.T) {
			browser := s.in(t).client(protocol)
			do := func(t *testing.T, req *http.Request) *http.Response {
				t.Helper()
				resp, err := browser.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				if resp.Proto != protocol || resp.StatusCode != http.StatusOK {
					t.Fatalf("got %s %d", resp.Proto, resp.StatusCode)
				}
				return resp
			}
			t.Run("an upload of 100 MB", func(t *testing.T) {
				sum := sha256.New()
				resp := do(t, request(t.Context(), "POST", "/count", io.TeeReader(io.LimitReader(rand.Reader, 100<<20), sum)))
				defer resp.Body.Close()
				text, _ := io.ReadAll(resp.Body)
				if want := fmt.Sprintf("%d %x bob", 100<<20, sum.Sum(nil)); string(text) != want {
					t.Errorf("got %s, want %s", text, want)
				}
			})
			t.Run("a response of 100 MB", func(t *testing.T) {
				resp := do(t, request(t.Context(), "GET", "/large", http.NoBody))
				defer resp.Body.Close()
				if size, err := io.Copy(io.Discard, resp.Body); size != 100<<20 || err != nil {
					t.Errorf("got %d bytes and %v", size, err)
				}
			})
			t.Run("events, one by one", func(t *testing.T) {
				resp := do(t, request(t.Context(), "GET", "/events", http.NoBody))
				defer resp.Body.Close()
				lines := bufio.NewReader(resp.Body)
				for i := range 3 {
					if line, err := lines.ReadString('\n'); err != nil || line != fmt.Sprintf("data: %d\n", i) {
						t.Fatalf("got %q and %v", line, err)
					}
					read <- struct{}{} // the service sends the next only now
				}
			})
			if protocol == "HTTP/2.0" { // over HTTP/1.1 Traefik itself waits for the end of the request
				t.Run("both ways at once, line by line", func(t *testing.T) {
					reader, writer := io.Pipe()
					go func() { _, _ = io.WriteString(writer, "first\n") }()
					resp := do(t, request(t.Context(), "POST", "/echo", reader))
					defer resp.Body.Close()
					lines := bufio.NewReader(resp.Body)
					for _, next := range []string{"second", "third", ""} {
						line, err := lines.ReadString('\n')
						if err != nil || !strings.HasPrefix(line, "got ") {
							t.Fatalf("got %q and %v before the rest was sent", line, err)
						}
						if next != "" {
							_, _ = io.WriteString(writer, next+"\n")
						}
					}
					_ = writer.Close()
				})
			}
			t.Run("a client that hangs up", func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				resp := do(t, request(ctx, "GET", "/wait", http.NoBody))
				cancel()
				resp.Body.Close()
				select {
				case <-hungUp:
				case <-time.After(10 * time.Second):
					t.Error("the service doesn't notice")
				}
			})
			t.Run("HEAD", func(t *testing.T) {
				resp := do(t, request(t.Context(), "HEAD", "/", http.NoBody))
				resp.Body.Close()
			})
		})
	}
	t.Run("HTTP/1.0", func(t *testing.T) {
		conn, err := tls.Dial("tcp", s.traefik.Addr, insecure)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		fmt.Fprintf(conn, "GET /x HTTP/1.0\r\nHost: user.example.com\r\nCookie: %s\r\n\r\n", as("bob")[1])
		text, _ := io.ReadAll(conn)
		if !strings.HasPrefix(string(text), "HTTP/1.0 200") || !strings.HasSuffix(string(text), "GET HTTP/1.1") {
			t.Errorf("got %s", text)
		}
	})
	t.Run("a WebSocket that stays open while Traefik is configured anew", func(t *testing.T) {
		dialer := websocket.Dialer{TLSClientConfig: insecure}
		conn, resp, err := dialer.DialContext(t.Context(), "wss://"+s.traefik.Addr+"/live",
			http.Header{"Host": {"user.example.com"}, "Cookie": {as("bob")[1]}})
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		defer conn.Close()
		for round := range 5 {
			hosts["user"] = table{"group": "User", "headers": table{"X-Round": fmt.Sprint(round)}}
			if err := s.traefik.Configure(t.Context(), routes(hosts, backend.URL)); err != nil {
				t.Fatal(err)
			}
			if err := conn.WriteMessage(websocket.TextMessage, []byte("still there")); err != nil {
				t.Fatal(err)
			}
			if _, got, err := conn.ReadMessage(); err != nil || string(got) != "still there from bob" {
				t.Fatalf("got %q and %v", got, err)
			}
		}
	})
}
