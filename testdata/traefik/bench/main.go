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

// options are what the flags say.
type options struct {
	quick         bool
	program       string
	pictures      string
	only          *regexp.Regexp
	jwtMiddleware string
	gogc          int
}

func main() {
	var given options
	flag.BoolVar(&given.quick, "quick", false, "fewer and shorter rounds: under five minutes")
	flag.StringVar(&given.program, "traefik", "", "path of a Traefik to use instead of building one")
	flag.StringVar(&given.pictures, "pictures", filepath.Join(proxy.Checkout(), "testdata"),
		"folder for the picture, as SVG and PNG; empty for none")
	only := flag.String("only", "", "measure only the routes whose names match this regular expression, and bare")
	flag.StringVar(&given.jwtMiddleware, "jwt-middleware", "",
		"folder of a checkout of github.com/agilezebra/jwt-middleware, to measure it too")
	flag.IntVar(&given.gogc, "gogc", 0,
		"measure some routes also on a Traefik whose garbage collector is given this GOGC, such as 1000")
	answer := flag.Bool("answer", false,
		"only answer what ForwardAuth asks, at once, until standard input ends; the benchmark starts itself so")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	var err error
	if *answer {
		err = answerAtOnce(os.Stdin, os.Stdout)
	} else if given.only, err = regexp.Compile(*only); err == nil {
		err = run(ctx, given)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run measures all routes round after round, and reports what came out.
func run(ctx context.Context, given options) error {
	rounds, together, alone := 25, 700*time.Millisecond, 250*time.Millisecond
	if given.quick {
		rounds, together, alone = 5, 400*time.Millisecond, 150*time.Millisecond
	}
	scene, err := setUp(ctx, given)
	if err != nil {
		return err
	}
	defer scene.stop()
	for round := range rounds + 1 { // the first warms up
		for _, i := range rand.Perm(len(scene.routes)) { // so that none always comes after the same
			one := scene.routes[i]
			fmt.Fprintf(os.Stderr, "\r\033[Kround %d of %d: %s", round, rounds, one.name)
			crowd, err := one.measure(ctx, connections, together)
			if err != nil {
				return err
			}
			visitor, err := one.measure(ctx, 1, alone)
			if err != nil {
				return err
			}
			if round > 0 {
				one.crowd, one.visitor = append(one.crowd, crowd), append(one.visitor, visitor)
			}
		}
	}
	fmt.Fprint(os.Stderr, "\r\033[K")
	about := fmt.Sprintf("%s, %d cores, %s, Traefik %s", processor(), runtime.NumCPU(), runtime.Version(), version())
	fmt.Printf("%s; %d rounds of %s with %d connections and %s with one\n", about, rounds, together, connections, alone)
	report(os.Stdout, scene.routes)
	for _, one := range scene.traefiks {
		octets, err := load.Memory(one.Pid())
		if err != nil {
			return err
		}
		fmt.Printf("Traefik %s: %.0f MB in memory\n", scene.settings[one], float64(octets)/(1<<20))
	}
	if given.only.String() == "" {
		if err := flood(ctx, scene.traefiks[0]); err != nil {
			return err
		}
	}
	return picture(given.pictures, about, scene.routes)
}

// measure sends the route's requests over so many connections for the time.
func (r *route) measure(ctx context.Context, connections int, duration time.Duration) (load.Result, error) {
	if ctx.Err() != nil {
		return load.Result{}, ctx.Err()
	}
	result, err := load.Attack{
		Addr: r.traefik.Addr, Pid: r.traefik.Pid(), Others: r.asks, Connections: connections, Duration: duration,
		// Each run goes on where the last one stopped, so that no cookie comes again before its turn.
		Next: func(hit int64) load.Request { return r.request(r.sent + hit) },
	}.Run()
	r.sent += result.Requests
	if err == nil && result.Wrong > 0 {
		err = fmt.Errorf("%s: %d of %d answers are wrong; the first: %s", r.name, result.Wrong, result.Requests, result.First)
	}
	return result, err
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
