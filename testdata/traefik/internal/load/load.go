// Package load sends requests to a Traefik and measures what they cost it.
package load

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"fortio.org/fortio/periodic"
	"fortio.org/log"
)

// A Request is what one hit sends, and what must come back.
type Request struct {
	Host   string
	Target string // path and query; / if empty
	Header http.Header
	Status int
	User   string // that the service was told, and answers with; empty for nobody
}

// Result is what an attack measured.
type Result struct {
	Requests int64
	Wrong    int64  // answers that weren't what the request asked for
	First    string // the first of those
	Rate     float64
	P50, P99 time.Duration
	CPU      time.Duration // of Traefik, user and system, for each request
	Others   time.Duration // the same of whoever Traefik asks meanwhile
}

// An Attack is a way to send requests.
type Attack struct {
	Addr        string                        // of Traefik
	Pid         int                           // of its process
	Others      func() (time.Duration, error) // the CPU time of whoever it asks so far; nil if it asks nobody
	Connections int
	Duration    time.Duration
	Next        func(hit int64) Request
}

// Run sends one request after the other over each connection, as fast as they are answered, and measures the CPU
// time of the process meanwhile.
func (attack Attack) Run() (Result, error) {
	if attack.Others == nil {
		attack.Others = func() (time.Duration, error) { return 0, nil }
	}
	before, err := CPU(attack.Pid)
	if err != nil {
		return Result{}, err
	}
	othersBefore, err := attack.Others()
	if err != nil {
		return Result{}, err
	}
	log.SetLogLevelQuiet(log.Error)
	shared := &progress{}
	runner := periodic.NewPeriodicRunner(&periodic.RunnerOptions{
		QPS: -1, NumThreads: attack.Connections, Duration: attack.Duration, Percentiles: []float64{50, 99},
		Resolution: 0.00001, Out: io.Discard,
	})
	for i := range runner.Options().Runners {
		runner.Options().Runners[i] = &connection{
			attack: attack, progress: shared, transport: &http.Transport{DisableCompression: true},
		}
	}
	outcome := runner.Run()
	for _, one := range runner.Options().Runners {
		if used, ok := one.(*connection); ok {
			used.transport.CloseIdleConnections()
		}
	}
	after, err := CPU(attack.Pid)
	if err != nil {
		return Result{}, err
	}
	othersAfter, err := attack.Others()
	if err != nil {
		return Result{}, err
	}
	result := Result{
		Requests: shared.hits.Load(), Wrong: shared.wrong.Load(), First: shared.first, Rate: outcome.ActualQPS,
	}
	seconds := func(number float64) time.Duration { return time.Duration(number * float64(time.Second)) }
	for _, percentile := range outcome.DurationHistogram.Percentiles {
		if percentile.Percentile == 50 {
			result.P50 = seconds(percentile.Value)
		} else {
			result.P99 = seconds(percentile.Value)
		}
	}
	if result.Requests > 0 {
		result.CPU = (after - before) / time.Duration(result.Requests)
		result.Others = (othersAfter - othersBefore) / time.Duration(result.Requests)
	}
	return result, nil
}

// progress is what all connections have in common.
type progress struct {
	hits, wrong atomic.Int64
	mutex       sync.Mutex
	first       string
}

// A connection sends one request after the other.
type connection struct {
	attack    Attack
	progress  *progress
	transport *http.Transport
}

// Run sends one request.
func (c *connection) Run(ctx context.Context, _ periodic.ThreadID) (bool, string) {
	want := c.attack.Next(c.progress.hits.Add(1) - 1)
	got, user, err := c.send(ctx, want)
	if err == nil && got == want.Status && (got != http.StatusOK || user == want.User) {
		return true, ""
	}
	c.progress.wrong.Add(1)
	c.progress.mutex.Lock()
	if c.progress.first == "" {
		c.progress.first = fmt.Sprintf("%s: got %d %q %v, want %d %q", want.Host, got, user, err, want.Status, want.User)
	}
	c.progress.mutex.Unlock()
	return false, "wrong"
}

func (c *connection) send(ctx context.Context, want Request) (status int, user string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.attack.Addr+cmp.Or(want.Target, "/"),
		http.NoBody)
	if err != nil {
		return 0, "", err
	}
	req.Host = want.Host
	for name, values := range want.Header {
		req.Header[name] = values
	}
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, resp.Header.Get("X-User"), err
}

// Service answers whom it was told of.
func Service(rw http.ResponseWriter, req *http.Request) {
	rw.Header()["X-User"] = req.Header["X-Organizr-User"]
	_, _ = io.WriteString(rw, "Hello")
}

// CPU returns the time that the process has used, user and system: that of its threads (Linux' sched-stats), since the
// ticks of its own are too coarse for short runs.
func CPU(pid int) (time.Duration, error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		return 0, err
	}
	if len(threads) == 0 {
		return 0, fmt.Errorf("there is no process %d", pid)
	}
	var used int64
	for _, thread := range threads {
		text, err := os.ReadFile(thread)
		if err != nil {
			return 0, err
		}
		nanoseconds, err := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
		if err != nil {
			return 0, err
		}
		used += nanoseconds
	}
	return time.Duration(used), nil
}

// Memory returns how many bytes of the process are in memory.
func Memory(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}
