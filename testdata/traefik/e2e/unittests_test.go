package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/programs"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
)

func TestUnitTestsNatively(t *testing.T) {
	runUnitTests(t, "natively", "go", "test", "-count=1", "-v", "./...")
}

func TestUnitTestsUnderYaegi(t *testing.T) {
	find := exec.CommandContext(t.Context(), "go", "tool", "-n", "yaegi")
	yaegi, err := find.Output()
	if err != nil {
		t.Fatal(err)
	}
	runUnitTests(t, "under Yaegi", strings.TrimSpace(string(yaegi)), "test", "-v", ".")
}

// closingLine matches the last line that go test and Yaegi print when all tests have passed.
var closingLine = regexp.MustCompile(`(?m)^(ok\s.*|PASS)\n?\z`)

// runUnitTests runs the plugin's own tests, and fails unless the command's last line says that they have passed. Only
// the output of failed tests is shown.
func runUnitTests(t *testing.T, how string, command ...string) {
	t.Helper()
	runner := exec.CommandContext(t.Context(), command[0], command[1:]...)
	runner.Dir = proxy.Checkout()
	output, err := runner.CombinedOutput()
	closing := closingLine.Find(output)
	if err != nil || closing == nil {
		t.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, outputOfFailures(t, output))
	}
	report, err := os.OpenFile(os.Getenv(programs.ReportVariable), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return // the command test isn't running, so no one reads the report
	}
	defer report.Close()
	fmt.Fprintf(report, "%s\t(the unit tests, %s)\n", bytes.TrimSpace(closing), how)
}

// maxShown limits the output of one failed test to its last bytes, where the reason is.
const maxShown = 8 << 10

// outputOfFailures returns the part of the output of go test -v that failed tests printed: the reasons, and beside them
// the plugin's own lines. Tests that didn't end count as failed. It also returns lines that belong to no test, such as
// the compiler's.
func outputOfFailures(t *testing.T, output []byte) string {
	t.Helper()
	converter := exec.CommandContext(t.Context(), "go", "tool", "test2json")
	converter.Stdin = bytes.NewReader(output)
	events, err := converter.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	tests := []string{""} // in the order in which they began; the empty name stands for the package
	printed := map[string]string{}
	decoder := json.NewDecoder(bytes.NewReader(events))
	for decoder.More() {
		var event struct{ Action, Test, Output string }
		if err := decoder.Decode(&event); err != nil {
			t.Fatal(err)
		}
		switch event.Action {
		case "run":
			tests = append(tests, event.Test)
		case "output":
			if !strings.HasPrefix(event.Output, "=== ") {
				printed[event.Test] += event.Output
			}
		case "pass", "skip":
			delete(printed, event.Test)
		}
	}
	var shown strings.Builder
	for _, name := range tests {
		text := printed[name]
		if len(text) > maxShown {
			text = "…" + text[len(text)-maxShown:]
		}
		shown.WriteString(text)
	}
	return shown.String()
}

func TestOnlyFailedTestsShowTheirOutput(t *testing.T) {
	got := outputOfFailures(t, []byte(`# pkg
=== RUN   TestGood
the plugin in a good test
--- PASS: TestGood (0.00s)
=== RUN   TestBad
the plugin before the parts
=== RUN   TestBad/good
the plugin in the good part
=== RUN   TestBad/bad
the plugin in the bad part
    bad_test.go:1: the reason
--- FAIL: TestBad (0.00s)
    --- PASS: TestBad/good (0.00s)
    --- FAIL: TestBad/bad (0.00s)
=== RUN   TestSkipped
the plugin before the skip
    skipped_test.go:1: not here
--- SKIP: TestSkipped (0.00s)
=== RUN   TestPanics
the plugin before the panic
panic: the cause
FAIL	pkg	0.1s
`))
	want := `# pkg
FAIL	pkg	0.1s
the plugin before the parts
--- FAIL: TestBad (0.00s)
the plugin in the bad part
    bad_test.go:1: the reason
    --- FAIL: TestBad/bad (0.00s)
the plugin before the panic
panic: the cause
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
