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

// A Request is what is sent, and what must come back.
type Request struct {
	Host   string
	Target string // path and query; / if empty
	Header http.Header
	Status int
	User   string // that the service received, and answers with; empty without a session
}

// A Result is what an attack measured.
type Result struct {
	Requests    int64
	Wrong       int64  // answers that weren't what the request asked for
	FirstWrong  string // what was wrong with the first of those
	Rate        float64
	P50, P99    time.Duration
	CPU         time.Duration // of Traefik, user and system, for each request
	UpstreamCPU time.Duration // the same of the server that Traefik asks about each request
}

// An Attack is a way to send requests.
type Attack struct {
	Addr        string                        // of Traefik
	Pid         int                           // of its process
	UpstreamCPU func() (time.Duration, error) // the CPU time so far of the server that it asks; nil without one
	Connections int
	Duration    time.Duration
	Next        func(hit int64) Request
}

// Run sends requests over all connections, one after the other on each, as fast as they are answered. Meanwhile it
// measures the CPU time of the process.
func (attack Attack) Run() (Result, error) {
	if attack.UpstreamCPU == nil {
		attack.UpstreamCPU = func() (time.Duration, error) { return 0, nil }
	}
	before, err := CPU(attack.Pid)
	if err != nil {
		return Result{}, err
	}
	upstreamBefore, err := attack.UpstreamCPU()
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
	for _, worker := range runner.Options().Runners {
		if used, ok := worker.(*connection); ok {
			used.transport.CloseIdleConnections()
		}
	}
	after, err := CPU(attack.Pid)
	if err != nil {
		return Result{}, err
	}
	upstreamAfter, err := attack.UpstreamCPU()
	if err != nil {
		return Result{}, err
	}
	result := Result{
		Requests: shared.hits.Load(), Wrong: shared.wrong.Load(), FirstWrong: shared.firstWrong, Rate: outcome.ActualQPS,
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
		result.UpstreamCPU = (upstreamAfter - upstreamBefore) / time.Duration(result.Requests)
	}
	return result, nil
}

// progress is shared by all connections.
type progress struct {
	hits, wrong atomic.Int64
	mutex       sync.Mutex
	firstWrong  string
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
	if c.progress.firstWrong == "" {
		c.progress.firstWrong = fmt.Sprintf("%s: got %d %q %v, want %d %q", want.Host, got, user, err, want.Status, want.User)
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

// Service answers with the name of the user that it received.
func Service(rw http.ResponseWriter, req *http.Request) {
	rw.Header()["X-User"] = req.Header["X-Organizr-User"]
	_, _ = io.WriteString(rw, "Hello")
}

// CPU returns the CPU time that the process has used, user and system. It adds up that of the threads, by Linux's
// schedstat, since the ticks in the process's own stat are too coarse for short runs.
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

// Memory returns the resident memory of the process in bytes.
func Memory(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}
