// Package docker runs containers for tests, in the engine that DOCKER_HOST names or in one of its own. Everything that
// it creates there carries a label and is removed when the engine is stopped.
package docker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// label marks the images of the tests, and so their containers.
const label = "organizrjwt.tests"

// Variable is the environment variable with the address of the engine to use.
const Variable = "DOCKER_HOST"

// Engine is a running engine on this machine.
type Engine struct {
	run      string // names this run of the tests among all others
	host     string // the engine's address
	daemon   *exec.Cmd
	lifeline io.Closer // the daemon ends when it is closed
	projects []string  // Compose projects that have been started
	stacks   []string  // that have been deployed
	inSwarm  bool      // whether this run has made the engine a swarm
}

// ErrUnsupported means that there can't be an engine here.
var ErrUnsupported = errors.New("there can't be a Docker engine here")

// Start connects to the engine that DOCKER_HOST names, or starts one in folders of its own, until Stop.
func Start(ctx context.Context) (*Engine, error) {
	engine := &Engine{run: strings.ToLower(rand.Text()[:8]), host: os.Getenv(Variable)}
	if engine.host != "" {
		if _, found := strings.CutPrefix(engine.host, "unix://"); !found {
			return nil, fmt.Errorf("%s is %s, but the tests need the socket of an engine on this machine: "+
				"they mount files and connect to ports", Variable, engine.host)
		}
		_, err := engine.Docker(ctx, "version")
		return engine, err
	}
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("%w: starting one takes root, and %s names none that runs", ErrUnsupported, Variable)
	}
	folder, err := os.MkdirTemp("", "organizrjwt-docker-")
	if err != nil {
		return nil, err
	}
	engine.host = "unix://" + filepath.Join(folder, "docker.sock")
	if err := engine.startDaemon(ctx, folder); err != nil {
		return nil, errors.Join(err, engine.endDaemon())
	}
	return engine, nil
}

// supervise runs the engine until standard input is closed. That happens however the tests end, so the folder never
// stays behind.
const supervise = `ip link set lo up
dockerd "$@" & engine=$!
read -r _
kill $engine; wait $engine
umount "$FOLDER"/run/netns/* 2>/dev/null # the engine leaves that of the host's network
rm -rf "$FOLDER"`

// startDaemon starts the engine in a network namespace of its own, so that it doesn't touch this machine's packet
// filter, bridges and ports. If a containerd is running already, the engine has a namespace of its own there too.
func (engine *Engine) startDaemon(ctx context.Context, folder string) error {
	log, err := os.Create(filepath.Join(folder, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	engine.daemon = exec.Command("unshare", "--net", "sh", "-c", supervise, "sh",
		"--host", engine.host, "--pidfile", filepath.Join(folder, "pid"),
		"--data-root", filepath.Join(folder, "data"), "--exec-root", filepath.Join(folder, "run"),
		"--containerd-namespace", engine.Name("containers"), "--containerd-plugins-namespace", engine.Name("plugins"),
		"--bridge", "none")
	engine.daemon.Env = append(os.Environ(), "FOLDER="+folder)
	engine.daemon.Stdout, engine.daemon.Stderr = log, log
	engine.daemon.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C ends the tests, and they end the engine
	if engine.lifeline, err = engine.daemon.StdinPipe(); err != nil {
		return err
	}
	if err := engine.daemon.Start(); err != nil {
		return err
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if _, err = engine.Docker(ctx, "version"); err == nil {
			return nil
		}
		text, _ := os.ReadFile(log.Name())
		if strings.Contains(string(text), "failed to start") || time.Now().After(deadline) {
			lines := strings.Split(strings.TrimSpace(string(text)), "\n")
			return fmt.Errorf("%w: %s", ErrUnsupported, lines[len(lines)-1])
		}
	}
}

// endDaemon ends the engine, if it is one of our own, and removes its folders.
func (engine *Engine) endDaemon() error {
	if engine.lifeline == nil {
		return nil
	}
	return errors.Join(engine.lifeline.Close(), engine.daemon.Wait())
}

// Stop removes all that was made in the engine, and ends it if it is one of our own.
func (engine *Engine) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return errors.Join(engine.Clear(ctx), engine.endDaemon())
}

// Clear removes all that was made in the engine.
func (engine *Engine) Clear(ctx context.Context) error {
	var problems []error
	filters := []string{"label=" + label + "=" + engine.run}
	for _, stack := range engine.stacks {
		problems = append(problems, engine.removeStack(ctx, stack))
		filters = append(filters, "label=com.docker.stack.namespace="+stack)
	}
	if engine.inSwarm {
		_, leaving := engine.Docker(ctx, "swarm", "leave", "--force")
		_, bridge := engine.Docker(ctx, "network", "rm", "docker_gwbridge")
		problems = append(problems, leaving, bridge)
	}
	for _, project := range engine.projects {
		filters = append(filters, "label=com.docker.compose.project="+project)
	}
	for _, kind := range []struct{ list, remove []string }{
		{[]string{"container", "ls", "--all"}, []string{"container", "rm", "--force", "--volumes"}},
		{[]string{"network", "ls"}, []string{"network", "rm"}},
		{[]string{"volume", "ls"}, []string{"volume", "rm", "--force"}},
		{[]string{"image", "ls"}, []string{"image", "rm", "--force"}},
	} {
		for _, filter := range filters {
			found, err := engine.Docker(ctx, append(kind.list, "--quiet", "--filter", filter)...)
			if ids := strings.Fields(found); err == nil && len(ids) > 0 {
				_, err = engine.Docker(ctx, append(kind.remove, ids...)...)
			}
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

// Socket returns the path of the engine's socket.
func (engine *Engine) Socket() string { return strings.TrimPrefix(engine.host, "unix://") }

// Docker runs the docker command, and returns what it prints.
func (engine *Engine) Docker(ctx context.Context, arguments ...string) (string, error) {
	return engine.Run(ctx, "docker", arguments...)
}

// Run runs a program that talks to the engine, and returns what it prints.
func (engine *Engine) Run(ctx context.Context, name string, arguments ...string) (string, error) {
	program := exec.CommandContext(ctx, name, arguments...)
	program.Env = append(os.Environ(), Variable+"="+engine.host)
	var complaints strings.Builder
	program.Stderr = &complaints
	printed, err := program.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(arguments, " "), err,
			strings.TrimSpace(complaints.String()))
	}
	return string(printed), nil
}

// Name returns a name that no other run of the tests uses in the engine.
func (engine *Engine) Name(name string) string { return "organizrjwt-" + engine.run + "-" + name }

// Image builds an image from the lines of a Dockerfile, and from files and folders by their names in it. It returns the
// image's name.
func (engine *Engine) Image(
	ctx context.Context, name string, files map[string]string, lines ...string,
) (string, error) {
	folder, err := os.MkdirTemp("", "organizrjwt-image-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(folder)
	for file, path := range files {
		output, err := exec.CommandContext(ctx, "cp", "-R", path, filepath.Join(folder, file)).CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("copying %s: %w: %s", path, err, output)
		}
	}
	dockerfile := strings.Join(append(lines, "LABEL "+label+"="+engine.run), "\n")
	if err := os.WriteFile(filepath.Join(folder, "Dockerfile"), []byte(dockerfile), 0o600); err != nil {
		return "", err
	}
	name = engine.Name(name)
	_, err = engine.Docker(ctx, "build", "--quiet", "--tag", name, folder)
	return name, err
}
