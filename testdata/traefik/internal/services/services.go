// Package services runs services that are written with what people use: Express on Node, Flask, Rails' router behind
// Puma, Symfony's behind nginx and PHP-FPM, and Gin. All have the same resources. The header X-Protected of a response
// names the protected one that the path was taken for: settings (/settings and all below), secret (/u/{id}/secret),
// admin (/admin/ and all below) or deleted (DELETE /u/{id}). Open are GET and POST of /u/{id}, /, and all below /opds/.
// Frameworks that can take the method from a header do so here.
package services

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/npm"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/programs"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
)

// Header is the one in which a service says which protected resource it served.
const Header = "X-Protected"

// A Service is one that runs.
type Service struct {
	URL     string
	closers []func()
}

// Stop ends the service.
func (s *Service) Stop() {
	for _, closer := range s.closers {
		closer()
	}
}

// Framework is what a service is written with: how to start it, and the programs that it takes.
type Framework struct {
	Name     string
	Programs []string
	start    func(ctx context.Context, s *Service) error
}

// Frameworks are all that there are.
var Frameworks = []Framework{
	{"Express", []string{"node", "npm"}, startExpress},
	{"Flask", []string{"flask"}, startFlask},
	{"Gin", nil, startGin},
	{"Rails", []string{"rails"}, startRails},
	{"Symfony", []string{"nginx", "php-fpm", "symfony"}, startSymfony},
}

// Start runs a service until Stop.
func (f Framework) Start(ctx context.Context) (*Service, error) {
	s := &Service{}
	if err := f.start(ctx, s); err != nil {
		s.Stop()
		return nil, fmt.Errorf("starting the service with %s: %w", f.Name, err)
	}
	return s, nil
}

func source(names ...string) string {
	return filepath.Join(append([]string{proxy.Module(), "internal", "services"}, names...)...)
}

func startExpress(ctx context.Context, s *Service) error {
	folder, err := npm.Install(ctx, source("express"))
	if err != nil {
		return err
	}
	return s.run(exec.CommandContext(ctx, "node", filepath.Join(folder, "app.js")))
}

func startFlask(ctx context.Context, s *Service) error {
	return s.run(exec.CommandContext(ctx, programs.DebiansPython, source("flask", "app.py")))
}

func startRails(ctx context.Context, s *Service) error {
	return s.run(exec.CommandContext(ctx, "ruby", source("rails", "app.rb")))
}

var listening = regexp.MustCompile(`^listening on ([0-9]+)$`)

// run starts a program that says on which port it listens, until the service is stopped.
func (s *Service) run(program *exec.Cmd) error {
	said := &strings.Builder{}
	output, err := program.StdoutPipe()
	if err != nil {
		return err
	}
	program.Stderr = said
	if err := s.keep(program); err != nil {
		return err
	}
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if port := listening.FindStringSubmatch(lines.Text()); port != nil {
			s.URL = "http://127.0.0.1:" + port[1]
			go func() { _, _ = io.Copy(io.Discard, output) }()
			return nil
		}
	}
	return errors.New("it doesn't say where it listens, but: " + said.String())
}

// keep starts a program, and ends it when the service is stopped.
func (s *Service) keep(program *exec.Cmd) error {
	program.WaitDelay = 5 * time.Second
	if err := program.Start(); err != nil {
		return err
	}
	s.closers = append(s.closers, func() {
		_ = program.Process.Signal(syscall.SIGTERM)
		_ = program.Wait()
	})
	return nil
}

func startSymfony(ctx context.Context, s *Service) error {
	folder, err := os.MkdirTemp("", "organizrjwt-symfony-")
	if err != nil {
		return err
	}
	s.closers = append(s.closers, func() { os.RemoveAll(folder) })
	address, err := proxy.FreeAddr()
	if err != nil {
		return err
	}
	socket := filepath.Join(folder, "php.sock")
	pool := "[global]\nerror_log = /dev/stderr\n[www]\nlisten = " + socket + "\npm = static\npm.max_children = 2\n"
	asRoot := []string{}
	if os.Geteuid() == 0 { // PHP-FPM and nginx want to be told that this is meant
		asRoot = []string{"--allow-to-run-as-root"}
		pool += "user = root\ngroup = root\n"
	}
	site, err := os.ReadFile(source("symfony", "nginx.conf"))
	if err != nil {
		return err
	}
	values := strings.NewReplacer("ADDRESS", address, "PUBLIC", source("symfony", "public"), "SOCKET", socket)
	text := values.Replace(string(site))
	if os.Geteuid() == 0 {
		text = "user root;\n" + text
	}
	for name, text := range map[string]string{"nginx.conf": text, "php-fpm.conf": pool} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	fpm := append([]string{"--nodaemonize", "--fpm-config", filepath.Join(folder, "php-fpm.conf")}, asRoot...)
	if err := s.keep(exec.CommandContext(ctx, programs.Path("php-fpm"), fpm...)); err != nil {
		return err
	}
	nginx := []string{"-p", folder, "-c", filepath.Join(folder, "nginx.conf"), "-g", "daemon off;"}
	if err := s.keep(exec.CommandContext(ctx, programs.Path("nginx"), nginx...)); err != nil {
		return err
	}
	s.URL = "http://" + address
	return s.answers(ctx)
}

// answers returns as soon as the service answers with what its root is.
func (s *Service) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/", http.NoBody)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it doesn't answer: %w", ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// startGin runs a service with Gin, as Gin is told to match what is percent-encoded as it came and to decode it then.
func startGin(_ context.Context, s *Service) error {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.UseRawPath = true
	serve := func(protected string) gin.HandlerFunc {
		return func(c *gin.Context) {
			if protected != "" {
				c.Header(Header, protected)
			}
			c.JSON(http.StatusOK, c.Params)
		}
	}
	engine.GET("/settings", serve("settings"))
	engine.GET("/settings/*rest", serve("settings"))
	engine.GET("/u/:id/secret", serve("secret"))
	engine.GET("/u/:id", serve(""))
	engine.POST("/u/:id", serve(""))
	engine.DELETE("/u/:id", serve("deleted"))
	engine.GET("/admin/*rest", serve("admin"))
	engine.GET("/opds/*rest", serve(""))
	engine.GET("/", serve(""))
	server := httptest.NewServer(engine)
	s.closers = append(s.closers, server.Close)
	s.URL = server.URL
	return nil
}
