package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"testing"
	"time"
)

// TestMain lets the test's own program be the server that answers at once, as the benchmark's is.
func TestMain(m *testing.M) {
	if slices.Contains(os.Args, "-answer") {
		if err := answerAtOnce(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// What the benchmark measures must be what it says, also after the plugin has changed.
func TestEachRouteAnswersAsItSays(t *testing.T) {
	scene, err := setUp(t.Context(), options{only: regexp.MustCompile("")})
	if err != nil {
		t.Fatal(err)
	}
	defer scene.stop()
	for _, one := range scene.routes {
		t.Run(one.name+": "+one.about, func(t *testing.T) {
			result, err := one.measure(t.Context(), 2, 50*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			if result.Requests == 0 || result.CPU == 0 {
				t.Errorf("measured %d requests and %s of CPU time", result.Requests, result.CPU)
			}
		})
	}
}
