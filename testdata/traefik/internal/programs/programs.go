// Package programs knows the programs that tests run, and how a machine comes by them.
package programs

import (
	"os"
	"os/exec"
	"slices"
	"strings"
)

// A Program is something that tests run.
type Program struct {
	Name     string
	Names    []string // under which it can be found, if not under its own
	Modules  []string // of PHP, which have to be there too
	Commands []string // one of which has to succeed, if more than the program has to be there
	Packages []string // of Debian and its kin
}

// All are the programs that the tests need on this machine.
func All() []Program {
	all := []Program{
		{
			Name: "chromium",
			Names: []string{ // under which chromedp looks for it
				"headless_shell", "headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable",
				"/Applications/Chromium.app/Contents/MacOS/Chromium",
				"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
			},
			Packages: []string{"chromium", "fonts-dejavu-core"},
		},
		{Name: "redis-server", Packages: []string{"redis-server"}},
		{Name: "radicale", Packages: []string{"radicale"}},
	}
	php := Program{Name: "php", Packages: []string{"php-cli"}}
	if os.Getenv("ORGANIZR_SOURCE") != "" { // the tests that run a real Organizr
		php.Modules = []string{"curl", "mbstring", "pdo_sqlite", "SimpleXML", "sqlite3", "zip"}
		php.Packages = append(php.Packages, "php-curl", "php-mbstring", "php-sqlite3", "php-xml", "php-zip")
	}
	return append(append(all, php), Docker()...)
}

// Docker are the programs that run containers. The engine is one of them unless DOCKER_HOST names one that runs
// already.
func Docker() []Program {
	all := []Program{
		{Name: "docker", Packages: []string{"docker.io"}},
		{
			Name:     "docker-compose",
			Commands: []string{"docker compose version", "docker-compose version"},
			Packages: []string{"docker-compose"},
		},
	}
	if os.Getenv("DOCKER_HOST") == "" {
		all = append(all, Program{Name: "dockerd", Packages: []string{"docker.io", "iproute2", "iptables"}})
	}
	return all
}

// Missing returns those of all programs that this machine lacks.
func Missing() []Program {
	return slices.DeleteFunc(All(), Program.Installed)
}

// Installed reports whether the program can be run.
func (program Program) Installed() bool {
	if len(program.Commands) > 0 {
		return slices.ContainsFunc(program.Commands, func(command string) bool {
			words := strings.Fields(command)
			return exec.Command(words[0], words[1:]...).Run() == nil
		})
	}
	names := program.Names
	if len(names) == 0 {
		names = []string{program.Name}
	}
	return slices.ContainsFunc(names, func(name string) bool {
		path, err := exec.LookPath(name)
		return err == nil && hasModules(path, program.Modules)
	})
}

// hasModules reports whether a PHP has all the modules. Any program has all of none.
func hasModules(php string, modules []string) bool {
	if len(modules) == 0 {
		return true
	}
	list, err := exec.Command(php, "-m").Output()
	if err != nil {
		return false
	}
	present := strings.Fields(string(list))
	return !slices.ContainsFunc(modules, func(module string) bool { return !slices.Contains(present, module) })
}

// InCI reports whether this runs where no test may be left out. CI services set the variable, and so does .ci/run.
func InCI() bool { return os.Getenv("CI") != "" }

// ReportVariable names the environment variable with the file into which tests write what the runners that they started
// said last. go test itself shows nothing of tests that pass.
const ReportVariable = "TEST_REPORT"
