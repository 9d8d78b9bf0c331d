// Package programs lists the programs that the tests run, and Debian's packages that have them.
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
	Names    []string   // under which it can be found, if not under its own
	Modules  []string   // of PHP, which have to be there too
	Trials   [][]string // commands, one of which has to succeed, for libraries and for commands of other programs
	Packages []string   // of Debian and its kin
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
		{Name: "curl", Packages: []string{"curl"}},
		{Name: "wget", Packages: []string{"wget"}},
		{Name: "newsboat", Packages: []string{"newsboat"}},
		{Name: "vdirsyncer", Packages: []string{"vdirsyncer"}},
		{Name: "cadaver", Packages: []string{"cadaver"}},
		{Name: "supysonic-server", Packages: []string{"supysonic", "python3-waitress"}},
		{Name: "fail2ban-regex", Packages: []string{"fail2ban"}},
		{Name: "fail2ban-server", Packages: []string{"fail2ban"}},
		{Name: "fail2ban-client", Packages: []string{"fail2ban"}},
		{Name: "firefox", Names: []string{"firefox", "firefox-esr"}, Packages: []string{"firefox-esr"}},
		{Name: "nginx", Packages: []string{"nginx"}},
		{
			Name: "php-fpm", Names: []string{"php-fpm", "php-fpm8.2", "php-fpm8.3", "php-fpm8.4"},
			Packages: []string{"php-fpm"},
		},
		{Name: "node", Packages: []string{"nodejs"}},
		{Name: "npm", Packages: []string{"npm"}},
		{Name: "flask", Trials: [][]string{{DebiansPython, "-c", "import flask"}}, Packages: []string{"python3-flask"}},
		{
			Name: "rails", Trials: [][]string{{"ruby", "-e", `require "action_controller"; require "puma"`}},
			Packages: []string{"ruby-actionpack", "puma"},
		},
		{
			Name: "symfony", Trials: [][]string{{"php", "-r", "require 'Symfony/Component/Routing/autoload.php';"}},
			Packages: []string{"php-cli", "php-symfony-http-foundation", "php-symfony-routing"},
		},
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
			Trials:   [][]string{{"docker", "compose", "version"}, {"docker-compose", "version"}},
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
	if len(program.Trials) > 0 {
		return slices.ContainsFunc(program.Trials, func(command []string) bool {
			return exec.Command(command[0], command[1:]...).Run() == nil
		})
	}
	return program.path() != ""
}

// Path returns the path of the program of that name, or nothing if this machine lacks it.
func Path(name string) string {
	for _, program := range All() {
		if program.Name == name {
			return program.path()
		}
	}
	return ""
}

func (program Program) path() string {
	names := program.Names
	if len(names) == 0 {
		names = []string{program.Name}
	}
	for _, name := range names {
		for _, place := range []string{name, "/usr/sbin/" + name} { // which only root's PATH has
			if path, err := exec.LookPath(place); err == nil && hasModules(path, program.Modules) {
				return path
			}
		}
	}
	return ""
}

// DebiansPython is the Python for which Debian's packages are, even where another comes first.
const DebiansPython = "/usr/bin/python3"

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
