package e2e

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
)

// Traefik makes all middlewares anew at every change of its configuration, and doesn't stop the old ones.
func TestReloadsUnderLoad(t *testing.T) {
	const reloads, routers = 500, 50
	hosts := func(round int) map[string]table {
		given := map[string]table{}
		for i := range routers {
			given[fmt.Sprintf("service-%d", i)] = table{
				"group": "User", "rules": []string{"/api/=Guest"}, "headers": table{"X-Round": fmt.Sprint(round)},
			}
		}
		return given
	}
	s := setUp(t, nil, func(options *proxy.Options) {
		options.Flags = []string{"--api=true", "--api.debug=true", "--log.level=ERROR"}
		options.Dynamic = table{}
	})
	configure := func(round int) {
		t.Helper()
		dynamic := routes(hosts(round), s.backend)
		withDebug(dynamic)
		if err := s.traefik.Configure(t.Context(), dynamic); err != nil {
			t.Fatal(err)
		}
	}
	configure(0)
	stop, done := make(chan struct{}), make(chan struct{})
	var sent, refused int64
	go func() {
		sent, refused = s.poll("service-7.example.com", as("bob")[1], 100, stop)
		close(done)
	}()
	var report strings.Builder
	columns := tabwriter.NewWriter(&report, 0, 0, 2, ' ', 0)
	fmt.Fprintln(columns, "reloads\tgoroutines\theap in use, MB")
	var goroutines, heaps []float64
	for round := 1; round <= reloads; round++ {
		configure(round)
		if round%100 == 0 {
			count := s.figure("/debug/pprof/goroutine?debug=1", `goroutine profile: total (\d+)`)
			heap := s.figure("/debug/pprof/heap?gc=1&debug=1", `# HeapInuse = (\d+)`) / (1 << 20)
			goroutines, heaps = append(goroutines, count), append(heaps, heap)
			fmt.Fprintf(columns, "%d\t%.0f\t%.1f\n", round, count, heap)
		}
	}
	close(stop)
	<-done
	_ = columns.Flush()
	t.Logf("%d routers, %d requests meanwhile, %d of them refused\n%s", routers, sent, refused, report.String())
	if refused > 0 || sent < 1000 {
		t.Errorf("%d of %d requests were refused", refused, sent)
	}
	first, last := 0, len(goroutines)-1
	if goroutines[last] > goroutines[first]+reloads/4 { // connections come and go; a leak is one for each reload
		t.Errorf("goroutines grow from %.0f to %.0f", goroutines[first], goroutines[last])
	}
	if heaps[last] > heaps[first]*1.25+10 {
		t.Errorf("memory grows from %.1f to %.1f MB", heaps[first], heaps[last])
	}
}

// withDebug adds a router for Traefik's own metrics.
func withDebug(dynamic table) {
	section, ok := dynamic["http"].(table)
	if !ok {
		return
	}
	if routers, ok := section["routers"].(table); ok {
		routers["debug"] = table{"rule": "Host(`debug.example.com`)", "service": "api@internal"}
	}
}

func TestSoakForTwentySeconds(t *testing.T) {
	command := exec.CommandContext(t.Context(), "go", "run", "./soak", "-for", "20s")
	command.Dir = proxy.Module()
	var complaint strings.Builder
	command.Stderr = &complaint
	report, err := command.Output()
	if err != nil {
		t.Errorf("%v: %s", err, complaint.String())
	}
	t.Logf("\n%s", report)
}
