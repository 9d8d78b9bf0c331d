package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/proxy"
)

func TestUnitTestsNatively(t *testing.T) {
	runInCheckout(t, nil, "go", "test", "-count=1", "./...")
}

func TestUnitTestsUnderYaegi(t *testing.T) {
	find := exec.CommandContext(t.Context(), "go", "tool", "-n", "yaegi")
	yaegi, err := find.Output()
	if err != nil {
		t.Fatal(err)
	}
	runInCheckout(t, nil, strings.TrimSpace(string(yaegi)), "test", ".")
}

// runInCheckout runs a command of the go tool in the plugin's folder.
func runInCheckout(t *testing.T, environment []string, arguments ...string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), arguments[0], arguments[1:]...)
	command.Dir = proxy.Checkout()
	command.Env = append(os.Environ(), environment...)
	output, err := command.CombinedOutput()
	if err != nil || !regexp.MustCompile(`(?m)^(ok\s|PASS$)`).Match(output) {
		t.Errorf("%s: %v\n%s", strings.Join(arguments, " "), err, output)
	}
}
