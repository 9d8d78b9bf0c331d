// Package proxy runs a real Traefik as a process, with this checkout as its local plugin.
package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// PluginModule is the plugin's module path, by which Traefik loads it.
const PluginModule = "github.com/organizrjwt/organizrjwt"

// Options say how to run Traefik.
type Options struct {
	Program      string            // Build if empty
	Listen       string            // address of the entry point web; a free port of 127.0.0.1 if empty
	TLS          bool              // web speaks HTTPS, with Traefik's self-signed certificate
	Ready        string            // address that tells whether Traefik is ready, if not that of web
	Dynamic      map[string]any    // the dynamic configuration, as in a file of Traefik's file provider
	Flags        []string          // more of Traefik's flags
	Env          []string          // more of Traefik's environment
	AsEnv        bool              // pass the flags as variables, since Traefik reads either, not both
	Log          io.Writer         // receives a copy of Traefik's log; may be nil
	Plugin       string            // folder of the plugin; Checkout if empty
	OtherPlugins map[string]string // folders of other plugins to load, by module path
}

// Traefik is a running Traefik.
type Traefik struct {
	Addr string // of the entry point web

	client  *http.Client
	ready   string
	folder  string
	process *exec.Cmd
	ended   chan struct{}
	failure error // set once it has ended
	log     *buffer
	writes  int
}

// FreeAddr returns an address of 127.0.0.1 on which nobody listens.
func FreeAddr() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}

// Start starts Traefik, and returns when the configuration is in force. It runs until Stop.
func Start(ctx context.Context, options Options) (*Traefik, error) {
	var err error
	if options.Program == "" {
		if options.Program, err = Build(os.Stderr); err != nil {
			return nil, err
		}
	}
	if options.Plugin == "" {
		options.Plugin = Checkout()
	}
	if options.Listen == "" {
		if options.Listen, err = FreeAddr(); err != nil {
			return nil, err
		}
	}
	folder, err := os.MkdirTemp("", "organizrjwt-traefik-")
	if err != nil {
		return nil, err
	}
	traefik := &Traefik{Addr: options.Listen, folder: folder, ended: make(chan struct{}), log: &buffer{copy: options.Log}}
	traefik.client = &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // Traefik makes a new certificate at each start
	}}
	traefik.ready = "http://" + options.Listen
	if options.TLS {
		traefik.ready = "https://" + options.Listen
		options.Flags = append([]string{"--entryPoints.web.http.tls=true"}, options.Flags...)
	}
	if options.Ready != "" {
		traefik.ready = options.Ready
	}
	if err := traefik.start(ctx, options); err != nil {
		os.RemoveAll(folder)
		return nil, err
	}
	if err := traefik.Configure(ctx, options.Dynamic); err != nil {
		traefik.Stop()
		return nil, err
	}
	return traefik, nil
}

func (t *Traefik) start(ctx context.Context, options Options) error {
	if err := link(t.folder, PluginModule, options.Plugin); err != nil {
		return err
	}
	for module, folder := range options.OtherPlugins {
		if err := link(t.folder, module, folder); err != nil {
			return err
		}
		options.Flags = append(options.Flags, "--experimental.localPlugins."+path.Base(module)+".moduleName="+module)
	}
	if err := os.Mkdir(filepath.Join(t.folder, "dynamic"), 0o755); err != nil {
		return err
	}
	flags := append([]string{
		"--entryPoints.web.address=" + options.Listen,
		"--entryPoints.web.transport.lifeCycle.graceTimeOut=1s",
		"--experimental.localPlugins.organizrjwt.moduleName=" + PluginModule,
		"--providers.file.directory=" + filepath.Join(t.folder, "dynamic"),
		"--providers.providersThrottleDuration=50ms",
		"--ping.manualRouting=true",
		"--log.level=DEBUG", "--log.noColor=true",
		"--global.checkNewVersion=false", "--global.sendAnonymousUsage=false",
	}, options.Flags...)
	environment := append(os.Environ(), options.Env...)
	if options.AsEnv {
		environment = append(environment, asEnvironment(flags)...)
		flags = nil
	}
	t.process = exec.CommandContext(ctx, options.Program, flags...)
	t.process.Dir = t.folder
	t.process.Env = environment
	t.process.Stdout, t.process.Stderr = t.log, t.log
	t.process.Cancel = func() error { return t.process.Process.Signal(syscall.SIGTERM) }
	t.process.WaitDelay = 10 * time.Second
	if err := t.process.Start(); err != nil {
		return fmt.Errorf("starting Traefik: %w", err)
	}
	go func() {
		t.failure = t.process.Wait()
		close(t.ended)
	}()
	return nil
}

// link puts a plugin's folder where Traefik, running in its own folder, looks for the module.
func link(folder, module, plugin string) error {
	place := filepath.Join(folder, "plugins-local", "src", filepath.FromSlash(module))
	if err := os.MkdirAll(filepath.Dir(place), 0o755); err != nil {
		return err
	}
	return os.Symlink(plugin, place)
}

// asEnvironment returns the environment variables that mean the same as the flags.
func asEnvironment(flags []string) []string {
	var variables []string
	for _, flag := range flags {
		name, value, _ := strings.Cut(strings.TrimPrefix(flag, "--"), "=")
		variables = append(variables, "TRAEFIK_"+strings.ToUpper(strings.ReplaceAll(name, ".", "_"))+"="+value)
	}
	return variables
}

// Configure replaces the dynamic configuration, and returns when it is in force.
func (t *Traefik) Configure(ctx context.Context, dynamic map[string]any) error {
	t.writes++
	marker := fmt.Sprintf("configuration-%d.invalid", t.writes)
	text, err := json.Marshal(withMarker(dynamic, marker))
	if err != nil {
		return err
	}
	file := filepath.Join(t.folder, "dynamic", "dynamic.yml")
	if err := os.WriteFile(file+".new", text, 0o600); err != nil {
		return err
	}
	if err := os.Rename(file+".new", file); err != nil {
		return err
	}
	return t.await(ctx, marker)
}

// withMarker returns the configuration with one more router, for a host that answers once the configuration is in
// force.
func withMarker(dynamic map[string]any, host string) map[string]any {
	marked := map[string]any{}
	for name, part := range dynamic {
		marked[name] = part
	}
	httpPart := map[string]any{}
	if given, ok := marked["http"].(map[string]any); ok {
		for name, part := range given {
			httpPart[name] = part
		}
	}
	routers := map[string]any{"marker": map[string]any{"rule": "Host(`" + host + "`)", "service": "ping@internal"}}
	if given, ok := httpPart["routers"].(map[string]any); ok {
		for name, part := range given {
			routers[name] = part
		}
	}
	httpPart["routers"] = routers
	marked["http"] = httpPart
	return marked
}

// await returns when the host answers.
func (t *Traefik) await(ctx context.Context, host string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.ready+"/", http.NoBody)
		if err != nil {
			return err
		}
		req.Host = host
		if resp, err := t.client.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-t.ended:
			return t.Failure()
		case <-ctx.Done():
			return errors.New("Traefik doesn't apply the configuration; its log says: " + t.lastError())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Ended returns a channel that is closed when Traefik has ended. Failure then says why.
func (t *Traefik) Ended() <-chan struct{} { return t.ended }

// Failure returns why Traefik ended by itself.
func (t *Traefik) Failure() error {
	return fmt.Errorf("Traefik ended by itself: %w; its log says: %s", t.failure, t.lastError())
}

// Stop ends Traefik.
func (t *Traefik) Stop() {
	_ = t.process.Process.Signal(syscall.SIGTERM)
	select {
	case <-t.ended:
	case <-time.After(15 * time.Second):
		_ = t.process.Process.Kill()
		<-t.ended
	}
	os.RemoveAll(t.folder)
}

// Pid returns Traefik's process id.
func (t *Traefik) Pid() int { return t.process.Process.Pid }

// Log returns what Traefik has logged so far.
func (t *Traefik) Log() string { return t.log.String() }

// lastError returns the last error in the log, or else its last line.
func (t *Traefik) lastError() string {
	lines := strings.Split(strings.TrimSpace(t.Log()), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if strings.Contains(lines[i], " ERR ") || strings.Contains(lines[i], " FTL ") {
			return lines[i]
		}
	}
	return lines[len(lines)-1]
}

// A buffer keeps what is written to it, and copies it to another writer if there is one.
type buffer struct {
	mutex sync.Mutex
	text  bytes.Buffer
	copy  io.Writer
}

// maxLog is how many bytes of the log are kept: under load Traefik writes more than can be kept.
const maxLog = 16 << 20

func (b *buffer) Write(text []byte) (int, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if b.text.Len() > maxLog {
		b.text.Next(b.text.Len() / 2)
	}
	b.text.Write(text)
	if b.copy != nil {
		_, _ = b.copy.Write(text)
	}
	return len(text), nil
}

func (b *buffer) String() string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.text.String()
}
