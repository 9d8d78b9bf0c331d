// Command traefik is the demo: a real Traefik with this checkout as its local plugin. Behind it are an Organizr of
// which only the login, the accounts and the tabs work, and services that show the requests that reach them.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
	"text/tabwriter"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/demo"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8000", "address to listen on")
	program := flag.String("traefik", "", "path of a Traefik to use instead of building one")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *listen, *program)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run runs the demo until the context ends.
func run(ctx context.Context, listen, program string) error {
	if err := checkFree(listen); err != nil {
		return err
	}
	if program == "" {
		var err error
		if program, err = proxy.Build(os.Stderr); err != nil {
			return err
		}
	}
	running, err := demo.Start(ctx, proxy.Options{Listen: listen, Program: program})
	if err != nil {
		return err
	}
	defer running.Stop()
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "%s\tOrganizr: start here; it says what to try\n", running.URL("organizr"))
	for _, link := range running.Organizr.Links {
		fmt.Fprintf(table, "%s\t%s\n", link.URL, link.About)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Println("A program with a key: " + running.Organizr.Command)
	fmt.Println("Press Ctrl-C to stop.")
	select {
	case <-ctx.Done():
		return nil
	case <-running.Traefik.Ended():
		if ctx.Err() != nil {
			return nil
		}
		return running.Traefik.Failure()
	}
}

// checkFree returns an error if something listens on the address already.
func checkFree(listen string) error {
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("can't listen on %s: %w; choose another address with -listen", listen, err)
	}
	return listener.Close()
}
