// Command bench measures what the plugin costs a real Traefik, beside the other ways to do the same.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/load"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/organizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/proxy"
)

const (
	hash        = organizr.Hash
	connections = 8
	manyTokens  = 20_000 // twenty times what the plugin remembers
)

type table = map[string]any

func main() {
	quick := flag.Bool("quick", false, "fewer and shorter rounds: under five minutes")
	program := flag.String("traefik", "", "path of a Traefik to use instead of building one")
	picture := flag.String("picture", filepath.Join(proxy.Checkout(), "testdata", "benchmark.svg"), "where to draw the picture; empty for none")
	only := flag.String("only", "", "measure only the routes whose names match this regular expression, and bare")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *program, *picture, *only, *quick)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// A route is one way to reach the service.
type route struct {
	name  string
	about string
	next  func(hit int64) load.Request
	runs  []load.Result
}

func run(ctx context.Context, program, picture, only string, quick bool) error {
	rounds, duration := 25, time.Second
	if quick {
		rounds, duration = 10, 800*time.Millisecond
	}
	backend := httptest.NewServer(http.HandlerFunc(load.Service))
	defer backend.Close()
	asked := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("X-Organizr-User", "bob")
	}))
	defer asked.Close()
	traefik, err := proxy.Start(ctx, proxy.Options{
		Program: program,
		Dynamic: configuration(backend.URL, asked.URL),
		Beside:  filepath.Join(proxy.Module(), "bench", "floor"),
		Flags:   []string{"--log.level=ERROR", "--api=true", "--api.debug=true"},
	})
	if err != nil {
		return err
	}
	defer traefik.Stop()
	routes, err := selected(only)
	if err != nil {
		return err
	}
	for round := range rounds + 1 { // the first warms up
		for _, i := range rand.Perm(len(routes)) { // so that none always comes after the same
			if ctx.Err() != nil {
				return ctx.Err()
			}
			fmt.Fprintf(os.Stderr, "\r\033[Kround %d of %d: %s", round, rounds, routes[i].name)
			attack := load.Attack{Addr: traefik.Addr, Pid: traefik.Pid(), Connections: connections, Duration: duration, Next: routes[i].next}
			result, err := attack.Run()
			if err != nil {
				return err
			}
			if result.Wrong > 0 {
				return fmt.Errorf("%s: %d of %d answers are wrong; the first: %s", routes[i].name, result.Wrong, result.Requests, result.First)
			}
			if round > 0 {
				routes[i].runs = append(routes[i].runs, result)
			}
		}
	}
	fmt.Fprint(os.Stderr, "\r\033[K")
	about := fmt.Sprintf("%s, %d cores, %s, Traefik %s, %d rounds of %s, %d connections", processor(), runtime.NumCPU(), runtime.Version(),
		version(), rounds, duration, connections)
	fmt.Println(about)
	report(os.Stdout, routes)
	if only != "" {
		return nil
	}
	if err := flood(traefik); err != nil {
		return err
	}
	if picture == "" {
		return nil
	}
	return draw(picture, about, routes)
}

// report prints a table of the routes.
func report(out io.Writer, routes []route) {
	bare := medians(routes[0])
	columns := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(columns, "route\tCPU µs/request\tmin to max\tagainst bare\trequests/s\tp50 ms\tp99 ms\t")
	for _, one := range routes {
		cpu := medians(one)
		var rates, p50, p99 []float64
		for _, result := range one.runs {
			rates, p50, p99 = append(rates, result.Rate), append(p50, result.P50.Seconds()*1000), append(p99, result.P99.Seconds()*1000)
		}
		fmt.Fprintf(columns, "%s\t%.0f\t%.0f to %.0f\t%.2f\t%.0f\t%.2f\t%.2f\t%s\n", one.name, cpu.median, cpu.least, cpu.most,
			ratio(one, routes[0]), median(rates), median(p50), median(p99), one.about)
	}
	_ = columns.Flush()
	fmt.Fprintf(out, "bare: %.0f µs; ratios are medians over the rounds\n", bare.median)
}

type spread struct{ least, median, most float64 }

// medians returns the CPU time of the route, in microseconds.
func medians(one route) spread {
	var cpu []float64
	for _, result := range one.runs {
		cpu = append(cpu, float64(result.CPU.Nanoseconds())/1000)
	}
	return spread{slices.Min(cpu), median(cpu), slices.Max(cpu)}
}

// ratio returns the median over the rounds of what the route costs against the other in the same round.
func ratio(one, other route) float64 {
	var ratios []float64
	for i := range one.runs {
		ratios = append(ratios, float64(one.runs[i].CPU)/float64(other.runs[i].CPU))
	}
	return median(ratios)
}

func median(numbers []float64) float64 {
	sorted := slices.Sorted(slices.Values(numbers))
	middle := len(sorted) / 2
	if len(sorted)%2 == 0 {
		return (sorted[middle-1] + sorted[middle]) / 2
	}
	return sorted[middle]
}

// flood sends 100,000 forged tokens, no two the same, and prints what memory does.
func flood(traefik *proxy.Traefik) error {
	const forgeries = 100_000
	before, err := heap(traefik)
	if err != nil {
		return err
	}
	bob, _ := organizr.Find("bob")
	claims := bob.Claims(time.Now(), time.Hour)
	var sent int64
	for sent < forgeries {
		attack := load.Attack{Addr: traefik.Addr, Pid: traefik.Pid(), Connections: connections, Duration: 2 * time.Second, Next: func(hit int64) load.Request {
			return with("remembered", 401, "", organizr.Sign(organizr.Header, claims, "forged"+strconv.FormatInt(sent+hit, 10)))
		}}
		result, err := attack.Run()
		if err != nil {
			return err
		}
		if result.Wrong > 0 {
			return fmt.Errorf("flood: %s", result.First)
		}
		sent += result.Requests
		fmt.Fprintf(os.Stderr, "\r\033[K%d forged tokens", sent)
	}
	fmt.Fprint(os.Stderr, "\r\033[K")
	after, err := heap(traefik)
	if err != nil {
		return err
	}
	fmt.Printf("%d different forged tokens: heap in use %.1f MB before, %.1f MB after\n", sent, before, after)
	return nil
}

// heap returns how many megabytes Traefik's heap has in use after a collection.
func heap(traefik *proxy.Traefik) (float64, error) {
	req, err := http.NewRequest(http.MethodGet, "http://"+traefik.Addr+"/debug/pprof/heap?gc=1&debug=1", http.NoBody)
	if err != nil {
		return 0, err
	}
	req.Host = "debug.example.com"
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	match := regexp.MustCompile(`# HeapInuse = (\d+)`).FindSubmatch(text)
	if match == nil {
		return 0, fmt.Errorf("no figures of the heap: %s", resp.Status)
	}
	octets, err := strconv.ParseFloat(string(match[1]), 64)
	return octets / (1 << 20), err
}

// processor returns the name of this machine's processor.
func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	match := regexp.MustCompile(`(?m)^model name\s*: (.*)$`).FindSubmatch(text)
	if match == nil {
		return runtime.GOARCH
	}
	return string(match[1])
}

// version returns Traefik's version, as this module's go.mod has it.
func version() string {
	text, _ := os.ReadFile(filepath.Join(proxy.Module(), "go.mod"))
	match := regexp.MustCompile(`github.com/traefik/traefik/v3 (v\S+)`).FindSubmatch(text)
	if match == nil {
		return ""
	}
	return string(match[1])
}

// with returns a request to the host with the session and a browser's headers.
func with(host string, status int, user, token string, cookies ...string) load.Request {
	header := load.Browser()
	if token != "" {
		cookies = append(cookies, organizr.CookieName+"="+token)
	}
	if len(cookies) > 0 {
		header["Cookie"] = []string{strings.Join(cookies, "; ")}
	}
	if status == 401 {
		header.Set("Accept", "application/json")
	}
	return load.Request{Host: host + ".example.com", Header: header, Status: status, User: user}
}
