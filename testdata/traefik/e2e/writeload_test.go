package e2e

import (
	"testing"
	"time"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/writeload"
)

// One ordinary user makes the database large and writes to it without a pause. Nobody else may notice: every log-out
// counts, no login is turned away, and nobody who stays logged in is refused. What the times are is measured by
// `go run ./writeload`, which tries more combinations, and for longer; here they only end in time.
func TestLogOutsCountWhateverUsersWrite(t *testing.T) {
	const (
		longest = 15 * time.Second // the five after which what is known is too old, and what a slow machine takes
		agent   = 7000             // bytes of a User-Agent, nearly as long as Organizr's web server takes one
	)
	for _, test := range []struct {
		name    string
		options writeload.Options
		byPHP   bool
	}{
		{"a small file", writeload.Options{Sessions: 100, Writers: 1}, false},
		{"years of sessions", writeload.Options{Sessions: 9000, Browser: 100, Writers: 1}, false},
		{"a large file", writeload.Options{Megabytes: 75, Sessions: 1000, Browser: agent, Writers: 1}, false},
		{
			"a large file with a write-ahead log",
			writeload.Options{Megabytes: 44, Sessions: 1000, Browser: agent, Writers: 2, Journal: "WAL"},
			false,
		},
		{"two writers", writeload.Options{Megabytes: 44, Sessions: 5000, Browser: agent, Writers: 2}, false},
		{"by Organizr's API", writeload.Options{Megabytes: 44, Sessions: 5000, Browser: agent, Writers: 2}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.options.Duration, test.options.PerSecond = 6*time.Second, 100/test.options.Writers
			if test.byPHP {
				test.options.Organizr = writeload.PHP(realOrganizr(t))
			}
			got, err := writeload.Run(t.Context(), test.options)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%+v", got)
			if got.Writes < 10 || got.LogOuts == 0 || got.LogIns == 0 || got.Visits < 10 {
				t.Error("hardly anything happened")
			}
			if got.LongestLogOut > longest || got.Uncounted > 0 {
				t.Errorf("a log-out counted after %v, and %d never did", got.LongestLogOut, got.Uncounted)
			}
			if got.TurnedAway > 0 || got.LongestLogIn > longest {
				t.Errorf("%d of %d were refused right after a login, for up to %v",
					got.TurnedAway, got.LogIns, got.LongestLogIn)
			}
			if got.Refused > 0 {
				t.Errorf("%d of %d visits were refused", got.Refused, got.Visits)
			}
		})
	}
}
