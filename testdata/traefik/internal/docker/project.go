package docker

import (
	"context"
	"os/exec"
	"path/filepath"
)

// Project is a Compose project in the engine.
type Project struct {
	Name   string
	Files  []string // Compose files, the later ones over the earlier ones
	engine *Engine
}

// Project returns the project of the Compose files.
func (engine *Engine) Project(name string, files ...string) *Project {
	project := &Project{Name: engine.Name(name), engine: engine, Files: files}
	engine.projects = append(engine.projects, project.Name)
	return project
}

// Compose runs a command of Docker Compose in the project, and returns what it prints.
func (project *Project) Compose(ctx context.Context, arguments ...string) (string, error) {
	command := append(compose(), "--project-name", project.Name, "--project-directory", filepath.Dir(project.Files[0]))
	for _, file := range project.Files {
		command = append(command, "--file", file)
	}
	command = append(command, arguments...)
	return project.engine.Run(ctx, command[0], command[1:]...)
}

// compose returns how Docker Compose is called here: as Docker's own command, or as the one of its first version.
func compose() []string {
	if exec.Command("docker", "compose", "version").Run() == nil {
		return []string{"docker", "compose"}
	}
	return []string{"docker-compose"}
}

// Down removes the project's containers, networks and volumes.
func (project *Project) Down(ctx context.Context) error {
	_, err := project.Compose(ctx, "down", "--volumes", "--remove-orphans", "--timeout", "1")
	return err
}
