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
	for _, r := range routes {
		least, most := extremes(r.underLoad, cpu)
		fmt.Fprintf(columns, "%s\t%.0f\t%.0f to %.0f\t%.2f\t%s\t%.0f\t%.0f\t%.2f\t%.2f\t%s\n",
			r.name, medianOf(r.underLoad, cpu), least, most, ratio(r, r.base), r.base.name,
			medianOf(r.underLoad, cpuOfAll), medianOf(r.underLoad, rate), medianOf(r.underLoad, p99),
			medianOf(r.alone, p50), r.about)
	}
	_ = columns.Flush()
	fmt.Fprintln(out, `CPU: of Traefik, for one request, and how many times that of another route in the same round.
CPU of all: with the server that Traefik asks about the request.
Alone: how long a request takes if it is the only one. Each figure is the median over the rounds.`)
	byName := map[string]*route{}
	for _, r := range routes {
		byName[r.name] = r
	}
	if plugin, forwardAuth := byName["remembered"], byName["forwardauth"]; plugin != nil && forwardAuth != nil {
		ours, theirs := added(plugin), added(forwardAuth)
		fmt.Fprintf(out,
			"A returning visitor adds %.0f µs to the CPU time, which is %.2f of the %.0f µs that ForwardAuth to a server "+
				"that answers at once adds.\n",
			ours, ours/theirs, theirs)
	}
}

// The values of a result, in the units of the table.
func cpu(result load.Result) float64      { return microseconds(result.CPU) }
func cpuOfAll(result load.Result) float64 { return microseconds(result.CPU + result.UpstreamCPU) }
func rate(result load.Result) float64     { return result.Rate }
func p99(result load.Result) float64      { return milliseconds(result.P99) }
func p50(result load.Result) float64      { return milliseconds(result.P50) }

func microseconds(duration time.Duration) float64 { return float64(duration.Nanoseconds()) / 1e3 }
func milliseconds(duration time.Duration) float64 { return float64(duration.Nanoseconds()) / 1e6 }

// medianOf returns the median of that value of the results.
func medianOf(results []load.Result, value func(load.Result) float64) float64 {
	return median(each(results, value))
}

// extremes returns the least and the greatest of that value of the results.
func extremes(results []load.Result, value func(load.Result) float64) (least, most float64) {
	numbers := each(results, value)
	return slices.Min(numbers), slices.Max(numbers)
}

func each(results []load.Result, value func(load.Result) float64) []float64 {
	numbers := make([]float64, len(results))
	for i, result := range results {
		numbers[i] = value(result)
	}
	return numbers
}

// ratio returns the route's CPU time as a multiple of the other's in the same round: the median over the rounds.
func ratio(one, other *route) float64 {
	ratios := make([]float64, len(one.underLoad))
	for i := range one.underLoad {
		ratios[i] = cpu(one.underLoad[i]) / cpu(other.underLoad[i])
	}
	return median(ratios)
}

// added returns how much more CPU time the route takes than its base in the same round: the median over the rounds.
func added(one *route) float64 {
	differences := make([]float64, len(one.underLoad))
	for i := range one.underLoad {
		differences[i] = cpu(one.underLoad[i]) - cpu(one.base.underLoad[i])
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
