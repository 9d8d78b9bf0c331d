// Package writeload writes Organizr's database as fast as one ordinary user can make Organizr write it, beside a real
// Traefik, and measures what other people notice: how long a log-out takes to count, how many are refused right after a
// login, and how long visitors wait whose session hasn't changed.
package writeload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/load"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
)

// Options say what the user does.
type Options struct {
	Megabytes float64       // what the file grows to by a Plex token that is set and removed
	Sessions  int           // how many sessions the user has
	Browser   int           // bytes of the User-Agent of each session
	Writers   int           // how many loops write
	Ended     int           // how many clients send the token of an ended session without a pause
	PerSecond int           // how often each of them writes
	Journal   string        // SQLite's journal mode; DELETE if empty
	Duration  time.Duration // how long others go on logging in and out
	Program   string        // the path of Traefik; one is built if it is empty
	Organizr  Organizr      // what writes; SQLite itself, with the same statements, if nil
}

// A Result is what other people noticed.
type Result struct {
	Size   int64 // of the file at the end, in bytes
	Writes int

	LogOuts       int
	LongestLogOut time.Duration // from the end of the session in Organizr to the first refusal
	Uncounted     int           // log-outs that hadn't counted when patience was over

	LogIns       int
	TurnedAway   int           // logins whose first request was refused
	LongestLogIn time.Duration // from the beginning of the session in Organizr to the first request that was admitted

	Visits            int // requests with a session that doesn't change
	Refused           int
	P50, P99, Longest time.Duration

	Memory int64 // of Traefik at the end, in bytes
}

// The accounts that take part: one writes, one visits a service again and again, and the others log in and out.
const (
	writer  = "bob"
	visitor = "alice"
)

var others = []string{"sue", "pat"}

// patience is how long a login or a log-out is waited for. The writing goes on until then.
const patience = 30 * time.Second

// A run is what is going on.
type run struct {
	Options
	traefik *proxy.Traefik
	client  *http.Client

	mutex   sync.Mutex
	result  Result
	visits  []time.Duration
	failure error
}

type table = map[string]any

// Run does all that the options say.
func Run(ctx context.Context, options Options) (Result, error) {
	if options.Organizr == nil {
		folder, err := os.MkdirTemp("", "organizrjwt-writeload-")
		if err != nil {
			return Result{}, err
		}
		defer os.RemoveAll(folder)
		if options.Organizr, err = newStatements(folder); err != nil {
			return Result{}, err
		}
	}
	r := &run{Options: options}
	r.client = &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer r.client.CloseIdleConnections()
	if err := r.prepare(); err != nil {
		return Result{}, err
	}
	backend := httptest.NewServer(http.HandlerFunc(load.Service))
	defer backend.Close()
	var err error
	if r.traefik, err = proxy.Start(ctx, proxy.Options{
		Program: options.Program,
		Env:     []string{"ORGANIZR_CONFIG_FILE=" + options.Organizr.ConfigFile(), "ORGANIZR_DATABASE_FILE=auto"},
		Flags:   []string{"--log.level=ERROR"},
		Dynamic: table{"http": table{
			"routers":     table{"all": table{"rule": "PathPrefix(`/`)", "service": "all", "middlewares": []string{"all"}}},
			"middlewares": table{"all": table{"plugin": table{"organizrjwt": table{"group": "Logged In"}}}},
			"services":    table{"all": table{"loadBalancer": table{"servers": []table{{"url": backend.URL}}}}},
		}},
	}); err != nil {
		return Result{}, err
	}
	defer r.traefik.Stop()
	if err := r.all(ctx); err != nil {
		return Result{}, err
	}
	return r.summary()
}

// prepare gives the user sessions, and the file its size.
func (r *run) prepare() error {
	path, err := r.Organizr.DatabaseFile()
	if err != nil {
		return err
	}
	database := fakeorganizr.OpenDatabase(path)
	if r.Journal != "" {
		if err := database.SetJournalMode(r.Journal); err != nil {
			return err
		}
	}
	users, err := database.Users()
	if err != nil {
		return err
	}
	at := slices.IndexFunc(users, func(user fakeorganizr.User) bool { return user.Username == writer })
	if at < 0 {
		return errors.New("there is no " + writer)
	}
	account := users[at].Account
	sessions := make([]fakeorganizr.Session, r.Sessions)
	for i := range sessions {
		claims := account.Claims(time.Now(), 7*24*time.Hour+time.Duration(i)*time.Millisecond)
		sessions[i] = fakeorganizr.Session{
			Token:   fakeorganizr.Sign(fakeorganizr.Header, claims, fakeorganizr.Hash), // which is never sent
			Browser: strings.Repeat("x", r.Browser), Address: "127.0.0.1",
			Expires: time.Now().AddDate(0, 0, 7).UTC().Format(time.DateTime),
		}
	}
	if err := database.List(account, sessions...); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if missing := int(r.Megabytes*1e6) - int(info.Size()); missing > 0 {
		err = database.Swell(account.UserID, missing)
	}
	return err
}

// all lets everybody begin, and returns when they have ended.
func (r *run) all(ctx context.Context) error {
	sessions := map[string]string{}
	for _, username := range append([]string{writer, visitor}, others...) {
		session, err := r.Organizr.LogIn(ctx, username)
		if err != nil {
			return err
		}
		_, status, err := r.visitUntil(ctx, session, admitted)
		if err != nil {
			return err
		}
		if !admitted(status) {
			return fmt.Errorf("before anybody writes, %s is answered %d", username, status)
		}
		sessions[username] = session
	}
	ended, err := r.endedSession(ctx)
	if err != nil {
		return err
	}
	writing, end := context.WithCancel(ctx)
	defer end()
	var background, foreground sync.WaitGroup
	for range r.Ended {
		background.Go(func() { r.check(r.sendEnded(writing, ended)) })
	}
	for number := range r.Writers {
		background.Go(func() { r.check(r.write(writing, number, sessions[writer])) })
	}
	background.Go(func() { r.check(r.visitAgainAndAgain(writing, sessions[visitor])) })
	until := time.Now().Add(r.Duration)
	for _, username := range others {
		foreground.Go(func() { r.check(r.logOutAndIn(ctx, username, sessions[username], until)) })
	}
	foreground.Wait()
	end()
	background.Wait()
	return r.failure
}

// endedSession returns a session of the writer's that has ended.
func (r *run) endedSession(ctx context.Context) (string, error) {
	session, err := r.Organizr.LogIn(ctx, writer)
	if err != nil {
		return "", err
	}
	return session, r.Organizr.LogOut(ctx, session)
}

// sendEnded sends requests with an ended session without a pause.
func (r *run) sendEnded(ctx context.Context, session string) error {
	for ctx.Err() == nil {
		if _, _, err := r.visit(context.WithoutCancel(ctx), session); err != nil {
			return err
		}
	}
	return nil
}

// summary adds to the result what is known at the end.
func (r *run) summary() (Result, error) {
	if r.result.Visits = len(r.visits); r.result.Visits > 0 {
		slices.Sort(r.visits)
		r.result.P50 = r.visits[r.result.Visits/2]
		r.result.P99 = r.visits[r.result.Visits*99/100]
		r.result.Longest = r.visits[r.result.Visits-1]
	}
	path, err := r.Organizr.DatabaseFile()
	if err != nil {
		return Result{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return Result{}, err
	}
	r.result.Size = info.Size()
	r.result.Memory, err = load.Memory(r.traefik.Pid())
	return r.result, err
}

// check keeps the first error.
func (r *run) check(err error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.failure == nil {
		r.failure = err
	}
}

// count changes the result.
func (r *run) count(change func(result *Result)) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	change(&r.result)
}

// write changes the writer's address again and again.
func (r *run) write(ctx context.Context, number int, session string) error {
	ticker := time.NewTicker(time.Second / time.Duration(r.PerSecond))
	defer ticker.Stop()
	for turn := 0; ctx.Err() == nil; turn++ {
		email := fmt.Sprintf("bob-%d-%d@example.com", number, turn)
		if err := r.Organizr.SetEmail(context.WithoutCancel(ctx), writer, session, email); err != nil {
			return err
		}
		r.count(func(result *Result) { result.Writes++ })
		<-ticker.C
	}
	return nil
}

// logOutAndIn ends a session, sends requests until one is refused, begins another session, sends requests until one is
// admitted, and so on.
func (r *run) logOutAndIn(ctx context.Context, username, session string, until time.Time) error {
	for {
		time.Sleep(time.Second / 5)
		if err := r.Organizr.LogOut(ctx, session); err != nil {
			return err
		}
		ended := time.Now()
		_, last, err := r.visitUntil(ctx, session, refused)
		if err != nil {
			return err
		}
		r.count(func(result *Result) {
			result.LogOuts++
			result.LongestLogOut = max(result.LongestLogOut, time.Since(ended))
			if !refused(last) {
				result.Uncounted++
			}
		})
		if time.Now().After(until) {
			return nil
		}
		if session, err = r.logIn(ctx, username); err != nil || session == "" {
			return err
		}
	}
}

// logIn begins a session, and sends requests until one is admitted. It returns no session if none ever is.
func (r *run) logIn(ctx context.Context, username string) (string, error) {
	session, err := r.Organizr.LogIn(ctx, username)
	if err != nil {
		return "", err
	}
	began := time.Now()
	first, last, err := r.visitUntil(ctx, session, admitted)
	if err != nil {
		return "", err
	}
	r.count(func(result *Result) {
		result.LogIns++
		result.LongestLogIn = max(result.LongestLogIn, time.Since(began))
		if !admitted(first) {
			result.TurnedAway++
		}
	})
	if !admitted(last) {
		return "", nil
	}
	return session, nil
}

func admitted(status int) bool { return status == http.StatusOK }
func refused(status int) bool  { return status != http.StatusOK }

// visitUntil sends requests until an answer is the right one or patience is over. It returns the first status and the
// last.
func (r *run) visitUntil(
	ctx context.Context, session string, right func(status int) bool,
) (first, last int, err error) {
	for until := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		last, _, err = r.visit(ctx, session)
		if first == 0 {
			first = last
		}
		if err != nil || right(last) || time.Now().After(until) {
			return first, last, err
		}
	}
}

// visitAgainAndAgain sends fifty requests a second, whether or not those before have been answered.
func (r *run) visitAgainAndAgain(ctx context.Context, session string) error {
	ticker := time.NewTicker(time.Second / 50)
	defer ticker.Stop()
	var waiting sync.WaitGroup
	defer waiting.Wait()
	for ctx.Err() == nil {
		<-ticker.C
		waiting.Go(func() {
			status, took, err := r.visit(context.WithoutCancel(ctx), session)
			r.check(err)
			r.count(func(result *Result) {
				r.visits = append(r.visits, took)
				if !admitted(status) {
					result.Refused++
				}
			})
		})
	}
	return nil
}

// visit sends a request, and returns how long the answer took.
func (r *run) visit(ctx context.Context, session string) (status int, took time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.traefik.Addr+"/", http.NoBody)
	if err != nil {
		return 0, 0, err
	}
	req.AddCookie(&http.Cookie{Name: r.Organizr.CookieName(), Value: session})
	began := time.Now()
	resp, err := r.client.Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, time.Since(began), err
}
