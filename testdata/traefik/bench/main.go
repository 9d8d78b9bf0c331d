// Command bench measures what the plugin costs a real Traefik, beside the other ways to do the same.
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"time"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/load"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
)

const (
	hash        = fakeorganizr.Hash
	connections = 8
)

type table = map[string]any

// arguments are the values of the flags.
type arguments struct {
	quick         bool
	program       string
	pictures      string
	only          *regexp.Regexp
	jwtMiddleware string
	gogc          int
}

func main() {
	var args arguments
	flag.BoolVar(&args.quick, "quick", false, "fewer and shorter rounds: under five minutes")
	flag.StringVar(&args.program, "traefik", "", "path of a Traefik to use instead of building one")
	flag.StringVar(&args.pictures, "pictures", filepath.Join(proxy.Checkout(), "testdata"),
		"folder for the picture, as SVG and PNG; empty for none")
	only := flag.String("only", "", "measure only the routes whose names match this regular expression, and bare")
	flag.StringVar(&args.jwtMiddleware, "jwt-middleware", "",
		"folder of a checkout of github.com/agilezebra/jwt-middleware, to measure it too")
	flag.IntVar(&args.gogc, "gogc", 0,
		"measure some routes also on a Traefik whose garbage collector is given this GOGC, such as 1000")
	answer := flag.Bool("answer", false,
		"only answer what ForwardAuth asks, at once, until standard input ends; the benchmark starts itself so")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	var err error
	if *answer {
		err = answerAtOnce(os.Stdin, os.Stdout)
	} else if args.only, err = regexp.Compile(*only); err == nil {
		err = run(ctx, args)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run measures all routes, round after round, and reports the results.
func run(ctx context.Context, args arguments) error {
	rounds, loadTime, aloneTime := 25, 700*time.Millisecond, 250*time.Millisecond
	if args.quick {
		rounds, loadTime, aloneTime = 5, 400*time.Millisecond, 150*time.Millisecond
	}
	scene, err := newScene(ctx, args)
	if err != nil {
		return err
	}
	defer scene.stop()
	for round := range rounds + 1 { // the first warms up
		for _, i := range rand.Perm(len(scene.routes)) { // so that no route always follows the same one
			r := scene.routes[i]
			fmt.Fprintf(os.Stderr, "\r\033[Kround %d of %d: %s", round, rounds, r.name)
			underLoad, err := r.measure(ctx, connections, loadTime)
			if err != nil {
				return err
			}
			alone, err := r.measure(ctx, 1, aloneTime)
			if err != nil {
				return err
			}
			if round > 0 {
				r.underLoad, r.alone = append(r.underLoad, underLoad), append(r.alone, alone)
			}
		}
	}
	fmt.Fprint(os.Stderr, "\r\033[K")
	about := fmt.Sprintf("%s, %d cores, %s, Traefik %s", processor(), runtime.NumCPU(), runtime.Version(), version())
	fmt.Printf("%s; %d rounds of %s with %d connections and %s with one\n", about, rounds, loadTime, connections,
		aloneTime)
	report(os.Stdout, scene.routes)
	for _, traefik := range scene.traefiks {
		bytes, err := load.Memory(traefik.Pid())
		if err != nil {
			return err
		}
		fmt.Printf("Traefik %s: %.0f MB in memory\n", scene.settings[traefik], float64(bytes)/(1<<20))
	}
	if args.only.String() == "" {
		if err := flood(ctx, scene.traefiks[0]); err != nil {
			return err
		}
	}
	return picture(args.pictures, about, scene.routes)
}

// measure sends the route's requests over that many connections for the duration.
func (r *route) measure(ctx context.Context, connections int, duration time.Duration) (load.Result, error) {
	if ctx.Err() != nil {
		return load.Result{}, ctx.Err()
	}
	result, err := load.Attack{
		Addr: r.traefik.Addr, Pid: r.traefik.Pid(), UpstreamCPU: r.upstreamCPU,
		Connections: connections, Duration: duration,
		// Each run goes on where the last one stopped, so that no cookie comes again before its turn.
		Next: func(hit int64) load.Request { return r.request(r.sent + hit) },
	}.Run()
	r.sent += result.Requests
	if err == nil && result.Wrong > 0 {
		err = fmt.Errorf("%s: %d of %d answers are wrong; the first: %s", r.name, result.Wrong, result.Requests,
			result.FirstWrong)
	}
	return result, err
}

// processor returns the model of this machine's processor.
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
