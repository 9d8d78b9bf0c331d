// Command soak sends requests of a thousand users, with good sessions, forged ones and none, as many as Traefik can
// answer on one core. Meanwhile others log in and out. It looks for wrong answers and for memory that grows.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/load"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
)

const (
	hash        = fakeorganizr.Hash
	users       = 1000
	connections = 16
	parts       = 10 // of the duration; after each the memory is measured
)

type table = map[string]any

func main() {
	duration := flag.Duration("for", 10*time.Minute, "how long")
	program := flag.String("traefik", "", "path of a Traefik to use instead of building one")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := soak(ctx, os.Stdout, *program, *duration)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// soak runs for the duration, and returns an error if an answer was wrong or memory grew.
func soak(ctx context.Context, out io.Writer, program string, duration time.Duration) error {
	backend := httptest.NewServer(http.HandlerFunc(load.Service))
	defer backend.Close()
	folder, err := os.MkdirTemp("", "organizrjwt-soak-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	list := newUsers()
	database, err := newDatabase(filepath.Join(folder, "organizr.db"), list)
	if err != nil {
		return err
	}
	plugin := func(group string) table {
		return table{"plugin": table{"organizrjwt": table{
			"uuid": fakeorganizr.UUID, "secret": hash, "databaseFile": database.Path(), "group": group,
			"rules": []string{"/api/=Guest"}, "organizrURL": "https://organizr.example.com",
		}}}
	}
	traefik, err := proxy.Start(ctx, proxy.Options{
		Program: program,
		Env:     []string{"GOMAXPROCS=1"},
		Flags:   []string{"--log.level=ERROR"},
		Dynamic: table{"http": table{
			"routers": table{
				"user":  table{"rule": "Host(`user.example.com`)", "service": "service", "middlewares": []string{"user"}},
				"admin": table{"rule": "Host(`admin.example.com`)", "service": "service", "middlewares": []string{"admin"}},
				"guest": table{"rule": "Host(`guest.example.com`)", "service": "service", "middlewares": []string{"guest"}},
			},
			"middlewares": table{"user": plugin("User"), "admin": plugin("Admin"), "guest": plugin("Guest")},
			"services":    table{"service": table{"loadBalancer": table{"servers": []table{{"url": backend.URL}}}}},
		}},
	})
	if err != nil {
		return err
	}
	defer traefik.Stop()
	stop := comeAndGo(ctx, database, list[0].account)
	err = measure(ctx, out, traefik, duration, mixture(list))
	return errors.Join(err, stop())
}

// measure sends the requests for the duration, and returns an error if an answer was wrong or memory grew.
func measure(ctx context.Context, out io.Writer, traefik *proxy.Traefik, duration time.Duration,
	next func(hit int64) load.Request,
) error {
	columns := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(columns, "time\trequests\twrong\trequests/s\tp50 ms\tp99 ms\tCPU µs/request\tmemory, MB")
	var memory []float64
	var wrong, sent int64
	for part := range parts {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		result, err := load.Attack{
			Addr: traefik.Addr, Pid: traefik.Pid(), Connections: connections, Duration: duration / parts, Next: next,
		}.Run()
		if err != nil {
			return err
		}
		bytes, err := load.Memory(traefik.Pid())
		if err != nil {
			return err
		}
		sent += result.Requests
		wrong += result.Wrong
		memory = append(memory, float64(bytes)/(1<<20))
		fmt.Fprintf(columns, "%s\t%d\t%d\t%.0f\t%.2f\t%.2f\t%.0f\t%.1f\n", duration*time.Duration(part+1)/parts, sent, wrong,
			result.Rate,
			result.P50.Seconds()*1000, result.P99.Seconds()*1000, float64(result.CPU.Nanoseconds())/1000, memory[part])
		fmt.Fprintf(os.Stderr, "\r\033[K%s of %s, %d requests, %d wrong", duration*time.Duration(part+1)/parts, duration,
			sent, wrong)
		if result.Wrong > 0 {
			fmt.Fprintln(columns, "the first wrong answer:", result.FirstWrong)
		}
	}
	fmt.Fprint(os.Stderr, "\r\033[K")
	_ = columns.Flush()
	if wrong > 0 {
		return fmt.Errorf("%d of %d answers were wrong", wrong, sent)
	}
	if last, middle := memory[parts-1], memory[parts/2]; last > middle*1.2+10 {
		return fmt.Errorf("memory grew from %.1f to %.1f MB in the second half", middle, last)
	}
	return nil
}

// A user has a good session and a forged one.
type user struct {
	account      fakeorganizr.Account
	good, forged string
}

// newUsers returns a thousand users of six groups.
func newUsers() []user {
	list := make([]user, users)
	for i := range list {
		account := fakeorganizr.Account{Username: fmt.Sprintf("user-%d", i), Group: "Some", GroupID: i % 6, UserID: i + 1}
		list[i] = user{account, account.Token(hash), account.Token("another-key-that-is-long-enough-for-HS256")}
	}
	return list
}

// newDatabase returns a database with these users and their good sessions.
func newDatabase(path string, list []user) (*fakeorganizr.Database, error) {
	var accounts []fakeorganizr.Account
	for _, user := range list {
		accounts = append(accounts, user.account)
	}
	database, err := fakeorganizr.NewDatabase(path, fakeorganizr.Groups, accounts)
	if err != nil {
		return nil, err
	}
	for _, user := range list {
		if err := database.Begin(user.account, user.good); err != nil {
			return nil, err
		}
	}
	return database, nil
}

// comeAndGo logs the account in and out every second, so that Traefik has to read the database again and again. That
// ends when the function that it returns is called, which returns the error if one occurred.
func comeAndGo(ctx context.Context, database *fakeorganizr.Database, account fakeorganizr.Account) func() error {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error)
	go func() {
		for ctx.Err() == nil {
			token := account.Token(hash)
			if err := errors.Join(database.Begin(account, token), database.End(token)); err != nil {
				ended <- err
				return
			}
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
		ended <- nil
	}()
	return func() error {
		cancel()
		return <-ended
	}
}

// mixture returns the requests to send: two thirds with good sessions, and the rest with forged sessions, with sessions
// of other groups, or without one.
func mixture(list []user) func(hit int64) load.Request {
	return func(hit int64) load.Request {
		user := list[hit*7919%users]
		request := load.Request{Host: "user.example.com", Header: load.Browser(), Status: http.StatusForbidden}
		token := user.good
		switch hit % 12 {
		case 0:
			request.Host = "admin.example.com"
			if user.account.GroupID == 0 {
				request.Status, request.User = http.StatusOK, user.account.Username
			}
		case 1:
			request.Host, request.Status, request.User = "guest.example.com", http.StatusOK, user.account.Username
		case 2:
			token, request.Status = user.forged, http.StatusUnauthorized
		case 3:
			token, request.Status = "", http.StatusFound
		case 4:
			request.Host, token, request.Status = "guest.example.com", user.forged, http.StatusOK
		default:
			if user.account.GroupID <= 4 {
				request.Status, request.User = http.StatusOK, user.account.Username
			}
		}
		if token != "" {
			request.Header["Cookie"] = []string{"theme=dark; " + fakeorganizr.Cookie(token)}
		}
		return request
	}
}
