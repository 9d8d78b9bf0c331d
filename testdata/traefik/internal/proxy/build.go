package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"
)

// traefikPackage is what this module's go.mod pins as a tool.
const traefikPackage = "github.com/traefik/traefik/v3/cmd/traefik"

// Module returns the folder of this module, and Checkout that of the plugin.
func Module() string {
	_, file, _, _ := runtime.Caller(0) //nolint:dogsled // the rest of what it returns is of no use here
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// Checkout returns the folder of the plugin that Traefik is given.
func Checkout() string { return filepath.Dir(filepath.Dir(Module())) }

var (
	building sync.Mutex
	built    string // the path of Traefik's program, once it is known to be there
)

// Build returns the path of Traefik's program, and builds it first if it isn't there. The first build compiles
// some thousand packages, so it says how far it is. Even to find out that nothing has to be built takes the go command
// a second or two, so a process asks it only once.
func Build(progress io.Writer) (string, error) {
	building.Lock()
	defer building.Unlock()
	if built != "" {
		return built, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	program := filepath.Join(cache, "organizrjwt", "traefik")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	build := exec.Command("go", "build", "-v", "-o", program, traefikPackage)
	build.Dir = Module()
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // so that it also runs in a container with nothing else
	output, err := build.StderrPipe()
	if err != nil {
		return "", err
	}
	if err := build.Start(); err != nil {
		return "", fmt.Errorf("building Traefik: %w", err)
	}
	problems := follow(output, progress)
	if err := build.Wait(); err != nil {
		return "", fmt.Errorf("building Traefik: %w: %s", err, problems)
	}
	built = program
	return built, nil
}

// follow reports the packages that are compiled, and returns the other lines as one.
func follow(output io.Reader, progress io.Writer) string {
	var problems []string
	var compiled int
	var total string
	began := time.Now()
	reported := began
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		line := lines.Text()
		if strings.Contains(line, " ") || strings.HasPrefix(line, "#") {
			if !strings.HasPrefix(line, "go: downloading ") {
				problems = append(problems, line)
			}
			continue
		}
		compiled++
		if compiled == 1 {
			fmt.Fprintln(progress, "Building Traefik from its source. This takes some minutes, and only this once.")
			total = countPackages()
		}
		if time.Since(reported) > 5*time.Second {
			reported = time.Now()
			fmt.Fprintf(progress, "  %s: %d of at most %s packages\n", time.Since(began).Round(time.Second), compiled, total)
		}
	}
	return strings.Join(problems, " ")
}

// countPackages returns how many packages Traefik is made of.
func countPackages() string {
	list := exec.Command("go", "list", "-deps", traefikPackage)
	list.Dir = Module()
	names, err := list.Output()
	if err != nil {
		return "some thousand"
	}
	return fmt.Sprint(bytes.Count(names, []byte("\n")))
}
