package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/load"
)

// report prints a table of the routes.
func report(out io.Writer, routes []*route) {
	columns := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(columns, "route\tCPU µs\tmin to max\ttimes\tthat of\tCPU of all µs\trequests/s\tp99 ms\talone ms\t")
	for _, one := range routes {
		least, most := extremes(one.crowd, cpu)
		fmt.Fprintf(columns, "%s\t%.0f\t%.0f to %.0f\t%.2f\t%s\t%.0f\t%.0f\t%.2f\t%.2f\t%s\n",
			one.name, medianOf(one.crowd, cpu), least, most, ratio(one, one.base), one.base.name,
			medianOf(one.crowd, ofAll), medianOf(one.crowd, rate), medianOf(one.crowd, slow),
			medianOf(one.visitor, wait), one.about)
	}
	_ = columns.Flush()
	fmt.Fprintln(out, `CPU: of Traefik, for one request, and how many times that of another route in the same round.
CPU of all: with whoever Traefik asks.
Alone: how long a request takes if it is the only one. Each figure is the median over the rounds.`)
	byName := map[string]*route{}
	for _, one := range routes {
		byName[one.name] = one
	}
	if plugin, forwardAuth := byName["remembered"], byName["forwardauth"]; plugin != nil && forwardAuth != nil {
		ours, theirs := added(plugin), added(forwardAuth)
		fmt.Fprintf(out,
			"A returning visitor adds %.0f µs to the CPU time, which is %.2f of the %.0f µs that ForwardAuth to a server "+
				"that answers at once adds.\n",
			ours, ours/theirs, theirs)
	}
}

// What a result says, in the units of the table.
func cpu(result load.Result) float64   { return microseconds(result.CPU) }
func ofAll(result load.Result) float64 { return microseconds(result.CPU + result.Others) }
func rate(result load.Result) float64  { return result.Rate }
func slow(result load.Result) float64  { return milliseconds(result.P99) }
func wait(result load.Result) float64  { return milliseconds(result.P50) }

func microseconds(duration time.Duration) float64 { return float64(duration.Nanoseconds()) / 1e3 }
func milliseconds(duration time.Duration) float64 { return float64(duration.Nanoseconds()) / 1e6 }

// medianOf returns the median of what the results say.
func medianOf(results []load.Result, says func(load.Result) float64) float64 {
	return median(each(results, says))
}

// extremes returns the least and the most of what the results say.
func extremes(results []load.Result, says func(load.Result) float64) (least, most float64) {
	numbers := each(results, says)
	return slices.Min(numbers), slices.Max(numbers)
}

func each(results []load.Result, says func(load.Result) float64) []float64 {
	numbers := make([]float64, len(results))
	for i, result := range results {
		numbers[i] = says(result)
	}
	return numbers
}

// ratio returns the median over the rounds of what the route costs against the other in the same round.
func ratio(one, other *route) float64 {
	ratios := make([]float64, len(one.crowd))
	for i := range one.crowd {
		ratios[i] = cpu(one.crowd[i]) / cpu(other.crowd[i])
	}
	return median(ratios)
}

// added returns the median over the rounds of what the route costs more than the one that it is compared with.
func added(one *route) float64 {
	differences := make([]float64, len(one.crowd))
	for i := range one.crowd {
		differences[i] = cpu(one.crowd[i]) - cpu(one.base.crowd[i])
	}
	return median(differences)
}

func median(numbers []float64) float64 {
	sorted := slices.Sorted(slices.Values(numbers))
	middle := len(sorted) / 2
	if len(sorted)%2 == 0 {
		return (sorted[middle-1] + sorted[middle]) / 2
	}
	return sorted[middle]
}
