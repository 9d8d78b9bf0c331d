package docker

import (
	"context"
	"strings"
	"time"
)

// Swarm makes the engine a swarm with a single node, unless it is in one already. The address is the one on which it
// would listen for other nodes.
func (engine *Engine) Swarm(ctx context.Context, address string) error {
	state, err := engine.Docker(ctx, "info", "--format", "{{.Swarm.LocalNodeState}}")
	if err != nil || strings.TrimSpace(state) == "active" {
		return err
	}
	engine.inSwarm = true
	_, err = engine.Docker(ctx, "swarm", "init",
		"--listen-addr", address, "--advertise-addr", address, "--data-path-addr", "127.0.0.1")
	return err
}

// Deploy deploys the stack of a file, and returns the stack's name in this run.
func (engine *Engine) Deploy(ctx context.Context, name, file string) (string, error) {
	name = engine.Name(name)
	engine.stacks = append(engine.stacks, name)
	_, err := engine.Docker(ctx, "stack", "deploy", "--resolve-image", "never", "--compose-file", file, name)
	return name, err
}

// removeStack removes a stack, and returns when its containers are gone.
func (engine *Engine) removeStack(ctx context.Context, name string) error {
	_, err := engine.Docker(ctx, "stack", "rm", name)
	for err == nil {
		var left string
		left, err = engine.Docker(ctx, "container", "ls", "--all", "--quiet",
			"--filter", "label=com.docker.stack.namespace="+name)
		if left == "" {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	return err
}
