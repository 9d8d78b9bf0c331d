// Command writeload writes Organizr's database as fast as one ordinary user can make Organizr write it, and reports how
// long log-outs of other people take to count in Traefik, how many people are refused right after a login, and how long
// visitors wait. It combines all sizes, numbers of sessions and numbers of writers that it is given.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/realorganizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/writeload"
)

func main() {
	var options writeload.Options
	var combined combinations
	flag.Func("megabytes", "what the database grows to by a Plex token that is set and removed (0.1,44,75,79)",
		combined.sizes.parse)
	flag.Func("sessions", "how many sessions the user has (1000,5000,9000)", combined.sessions.parse)
	flag.Func("writers", "how many loops write (1,4)", combined.writers.parse)
	flag.IntVar(&options.Browser, "browser", 7000, "bytes of the User-Agent of each session")
	flag.IntVar(&options.Ended, "ended", 0, "how many clients send the token of an ended session without a pause")
	flag.IntVar(&options.PerSecond, "per-second", 100, "how often each loop writes")
	flag.StringVar(&options.Journal, "journal", "DELETE", "SQLite's journal mode: DELETE, TRUNCATE or WAL")
	flag.DurationVar(&options.Duration, "for", 30*time.Second, "how long each combination takes")
	flag.StringVar(&options.Program, "traefik", "", "path of a Traefik to use instead of building one")
	flag.BoolVar(&combined.api, "api", false, "let a real Organizr write, whose source "+realorganizr.Variable+" names")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := combined.run(ctx, os.Stdout, options)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// numbers are given with commas between them.
type numbers []float64

func (n *numbers) parse(text string) error {
	for one := range strings.SplitSeq(text, ",") {
		number, err := strconv.ParseFloat(one, 64)
		if err != nil {
			return err
		}
		*n = append(*n, number)
	}
	return nil
}

// or returns the numbers, or others if none are given.
func (n numbers) or(others ...float64) numbers {
	if len(n) == 0 {
		return others
	}
	return n
}

// combinations are what to run.
type combinations struct {
	sizes, sessions, writers numbers
	api                      bool
}

// run runs all combinations, and reports each as soon as it is over.
func (c combinations) run(ctx context.Context, out io.Writer, options writeload.Options) error {
	fmt.Fprintln(out, "    MB sessions writers writes | log-outs  longest never | logins refused  longest |"+
		" visits refused       p50       p99   longest | Traefik")
	for _, options.Megabytes = range c.sizes.or(0.1, 44, 75, 79) {
		for _, sessions := range c.sessions.or(1000, 5000, 9000) {
			for _, writers := range c.writers.or(1, 4) {
				options.Sessions, options.Writers = int(sessions), int(writers)
				result, err := one(ctx, options, c.api)
				if err != nil {
					return err
				}
				report(out, options, result)
			}
		}
	}
	return nil
}

// one runs one combination.
func one(ctx context.Context, options writeload.Options, api bool) (writeload.Result, error) {
	if api {
		organizr, err := realorganizr.Start(ctx, realorganizr.Options{Workers: options.Writers + 4})
		if err != nil {
			return writeload.Result{}, err
		}
		defer organizr.Stop()
		if err := organizr.SetUp(ctx); err != nil {
			return writeload.Result{}, err
		}
		options.Organizr = writeload.PHP(organizr)
	}
	return writeload.Run(ctx, options)
}

// report writes one line.
func report(out io.Writer, options writeload.Options, result writeload.Result) {
	ms := func(duration time.Duration) string { return fmt.Sprintf("%.1f ms", duration.Seconds()*1000) }
	seconds := func(duration time.Duration) string { return fmt.Sprintf("%.2f s", duration.Seconds()) }
	fmt.Fprintf(out, "%6.1f %8d %7d %6d | %8d %8s %5d | %6d %7d %8s | %6d %7d %9s %9s %9s | %4d MB\n",
		float64(result.Size)/1e6, options.Sessions, options.Writers, result.Writes,
		result.LogOuts, seconds(result.LongestLogOut), result.Uncounted,
		result.LogIns, result.TurnedAway, seconds(result.LongestLogIn),
		result.Visits, result.Refused, ms(result.P50), ms(result.P99), ms(result.Longest), result.Memory>>20)
}
