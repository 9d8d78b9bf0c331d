// Command container is the program in the tests' images: a stand-in for Organizr, the start of a real one, or a service
// that shows what it was told.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/service"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

var errUsage = errors.New(
	"want organizr, real-organizr, check, service PORT, read FILE, open FOLDER, or empty FOLDER")

// run does what the arguments say.
func run(ctx context.Context, arguments []string) error {
	switch len(arguments) {
	case 1:
		return runCommand(ctx, arguments[0])
	case 2:
		return runCommandWith(ctx, arguments[0], arguments[1])
	}
	return errUsage
}

func runCommand(ctx context.Context, name string) error {
	switch name {
	case "organizr":
		handler, err := newOrganizr("/config/www/organizr")
		if err != nil {
			return err
		}
		return serve(ctx, "80", handler)
	case "real-organizr":
		return runRealOrganizr(ctx, "/config/www/organizr")
	case "check":
		return check(ctx)
	}
	return errUsage
}

func runCommandWith(ctx context.Context, name, argument string) error {
	switch name {
	case "service":
		return serve(ctx, argument, http.HandlerFunc(service.Handler))
	case "read":
		_, err := os.ReadFile(argument)
		return err
	case "open": // to its group
		return os.Chmod(argument, 0o770)
	case "empty":
		return empty(argument)
	}
	return errUsage
}

// serve answers on the port until the container is stopped.
func serve(ctx context.Context, port string, handler http.Handler) error {
	server := &http.Server{Addr: ":" + port, Handler: handler, ReadHeaderTimeout: time.Minute}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// check asks the Organizr in this container whether it is well, as its image's health check does.
func check(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/", http.NoBody)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// empty removes all that is in a folder, which a container may do with what containers have written.
func empty(folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := os.RemoveAll(filepath.Join(folder, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}
