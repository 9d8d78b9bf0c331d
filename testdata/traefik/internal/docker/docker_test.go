package docker

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/programs"
)

// needsEngine skips the test where no engine can be started, but fails it in CI.
func needsEngine(t *testing.T) {
	t.Helper()
	reason := ""
	for _, program := range programs.Docker() {
		if !program.Installed() {
			reason = program.Name + " is missing"
		}
	}
	if os.Getenv(Variable) == "" && os.Geteuid() != 0 {
		reason = "starting an engine takes root"
	}
	switch {
	case reason != "" && programs.InCI():
		t.Fatal(reason)
	case reason != "":
		t.Skip(reason)
	}
}

func TestNothingIsLeftInTheEngine(t *testing.T) {
	needsEngine(t)
	ctx := t.Context()
	engine, err := Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	image, err := engine.Image(ctx, "image", map[string]string{"file": file}, "FROM scratch", "COPY file /")
	if err != nil {
		t.Fatal(err)
	}
	compose := filepath.Join(t.TempDir(), "docker-compose.yml")
	text := "services:\n  one:\n    image: " + image + "\n    entrypoint: [/file]\n" +
		"    volumes: [\"some:/some\"]\nvolumes:\n  some:\n"
	if err := os.WriteFile(compose, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := engine.Project("project", compose).Compose(ctx, "up", "--no-start"); err != nil {
		t.Fatal(err)
	}
	all := func() (found []string) {
		for _, kind := range [][]string{{"container", "ls", "--all"}, {"network", "ls"}, {"volume", "ls"}, {"image", "ls"}} {
			format := "{{.Name}}"
			switch kind[0] {
			case "container":
				format = "{{.Names}}"
			case "image":
				format = "{{.Repository}}"
			}
			list, err := engine.Docker(ctx, append(kind, "--format", format)...)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range strings.Fields(list) {
				if strings.Contains(name, engine.run) {
					found = append(found, kind[0])
				}
			}
		}
		return found
	}
	if found := all(); strings.Join(found, " ") != "container network volume image" {
		t.Errorf("the engine has %v", found)
	}
	if err := engine.Clear(ctx); err != nil {
		t.Error(err)
	}
	if found := all(); len(found) > 0 {
		t.Errorf("left are %v", found)
	}
	if err := engine.Stop(); err != nil {
		t.Error(err)
	}
}

// If the tests are killed, they can't clean up themselves.
func TestTheEngineEndsWithTheTests(t *testing.T) {
	const child = "ENGINE_OF_A_CHILD"
	needsEngine(t)
	if os.Getenv(Variable) != "" {
		t.Skip("the engine isn't one of our own")
	}
	if os.Getenv(child) != "" {
		engine, err := Start(t.Context())
		fmt.Println(engine.Socket(), err)
		time.Sleep(time.Hour)
	}
	tests := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$")
	tests.Env = append(os.Environ(), child+"=1")
	output, err := tests.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := tests.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	socket := strings.Fields(line)[0]
	if _, err := os.Stat(socket); err != nil {
		t.Fatal(line, err)
	}
	_ = tests.Process.Kill()
	_ = tests.Wait()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if _, err := os.Stat(filepath.Dir(socket)); os.IsNotExist(err) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the engine's folder is still there")
		}
	}
}
