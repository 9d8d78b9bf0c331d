package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"testing"
	"time"
)

// TestMain lets the test binary be the server that answers at once, as the benchmark's binary is.
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

// Each route must measure what its name says, whatever changes in the plugin.
func TestEachRouteAnswersAsItSays(t *testing.T) {
	scene, err := newScene(t.Context(), arguments{only: regexp.MustCompile("")})
	if err != nil {
		t.Fatal(err)
	}
	defer scene.stop()
	for _, r := range scene.routes {
		t.Run(r.name+": "+r.about, func(t *testing.T) {
			result, err := r.measure(t.Context(), 2, 50*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			if result.Requests == 0 || result.CPU == 0 {
				t.Errorf("measured %d requests and %s of CPU time", result.Requests, result.CPU)
			}
		})
	}
}
