package e2e

import (
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
	runUnitTests(t, "natively", "go", "test", "-count=1", "./...")
}

func TestUnitTestsUnderYaegi(t *testing.T) {
	find := exec.CommandContext(t.Context(), "go", "tool", "-n", "yaegi")
	yaegi, err := find.Output()
	if err != nil {
		t.Fatal(err)
	}
	runUnitTests(t, "under Yaegi", strings.TrimSpace(string(yaegi)), "test", ".")
}

// closingLine matches what go test and Yaegi say last of tests that have passed.
var closingLine = regexp.MustCompile(`(?m)^(ok\s.*|PASS)$`)

// runUnitTests runs the plugin's own tests by the command, and fails unless its closing line says that they have
// passed.
func runUnitTests(t *testing.T, how string, command ...string) {
	t.Helper()
	runner := exec.CommandContext(t.Context(), command[0], command[1:]...)
	runner.Dir = proxy.Checkout()
	output, err := runner.CombinedOutput()
	closing := closingLine.Find(output)
	if err != nil || closing == nil {
		t.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, output)
	}
	report, err := os.OpenFile(os.Getenv(programs.ReportVariable), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return // nobody asked
	}
	defer report.Close()
	fmt.Fprintf(report, "%s\t(the unit tests, %s)\n", closing, how)
}
