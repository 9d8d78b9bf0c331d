// Command test runs all tests of the plugin: natively, under Yaegi, and in a real Traefik with a real browser. First it
// installs the programs that they need and this machine lacks, if it can. It passes its arguments on to go test.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/programs"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
)

func main() {
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	err := run(os.Args[1:])
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		os.Exit(failed.ExitCode()) // go test has said what is wrong
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run runs go test with these arguments, and then shows what the runners that the tests start have reported.
func run(arguments []string) error {
	report, err := os.CreateTemp("", "organizrjwt-tests-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(report.Name()) }()
	defer report.Close()
	if err := os.Setenv(programs.ReportVariable, report.Name()); err != nil {
		return err
	}
	fmt.Println("Running all tests. They take about ten minutes on two cores, and a package says nothing before all " +
		"its tests are through.")
	failure := loudly(append([]string{"go", "test", "-timeout", "60m", "./..."}, arguments...)...)
	if _, err := io.Copy(os.Stdout, report); err != nil {
		return err
	}
	return failure
}

// prepare installs the programs that the tests need, where this machine allows it, and builds Traefik.
func prepare() error {
	if os.Getenv("CGO_ENABLED") == "" { // as Traefik is built, so that what the tests share with it is compiled once
		if err := os.Setenv("CGO_ENABLED", "0"); err != nil {
			return err
		}
	}
	if missing := programs.Missing(); len(missing) > 0 {
		if err := install(missing); err != nil {
			fmt.Printf("Can't install what is missing: %s.\n", err)
		}
	}
	consequence := "the tests that need it are skipped"
	if programs.InCI() {
		consequence = "the tests that need it fail, since this is CI"
	}
	for _, program := range programs.Missing() {
		fmt.Printf("%s is missing, so %s. Debian's packages: %s.\n", program.Name, consequence,
			strings.Join(program.Packages, " "))
	}
	_, err := proxy.Build(os.Stdout) // here its progress can be seen, which go test would hide
	return err
}

// install installs the programs with apt, or returns why it can't.
func install(missing []programs.Program) error {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return errors.New("there is no apt-get on this machine")
	}
	var asRoot []string
	if os.Geteuid() != 0 {
		if exec.Command("sudo", "-n", "true").Run() != nil {
			return errors.New("that needs root, or sudo without a password")
		}
		asRoot = []string{"sudo", "-n"}
	}
	var packages []string
	for _, program := range missing {
		packages = append(packages, program.Packages...)
	}
	fmt.Println("Installing what the tests need and this machine lacks. This takes some minutes, and only this once.")
	if err := quietly(slices.Concat(asRoot, []string{"apt-get", "update"})...); err != nil {
		fmt.Println(err) // the package lists from before may be enough
	}
	options := []string{"env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "--no-install-recommends"}
	return quietly(slices.Concat(asRoot, options, packages)...)
}

// quietly runs a command. What it prints is in the error if it fails.
func quietly(command ...string) error {
	fmt.Println("+", strings.Join(command, " "))
	printed, err := exec.Command(command[0], command[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, printed)
	}
	return nil
}

// loudly runs a command in this module's folder, and shows its output.
func loudly(command ...string) error {
	fmt.Println("+", strings.Join(command, " "))
	process := exec.Command(command[0], command[1:]...)
	process.Dir = proxy.Module()
	process.Stdin, process.Stdout, process.Stderr = os.Stdin, os.Stdout, os.Stderr
	return process.Run()
}
