// Package realorganizr runs a real Organizr, on PHP's built-in server, and uses it over its API as its pages do.
//
// Organizr's source isn't part of this project. The environment variable ORGANIZR_SOURCE names a folder with it: a
// clone of https://github.com/causefx/Organizr. Besides, PHP is needed, with its extensions sqlite3, curl, xml, zip and
// mbstring.
package realorganizr

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/load"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
)

// Variable is the name of the environment variable that names the folder with Organizr's source.
const Variable = "ORGANIZR_SOURCE"

// Source returns the folder with Organizr's source, empty if the environment names none.
func Source() string { return os.Getenv(Variable) }

// Options say how to run Organizr.
type Options struct {
	Source  string // a folder with Organizr's source, which is copied before it runs; Source() if empty
	Folder  string // the web root to run it in; a temporary folder if empty
	Listen  string // its address; a free port of 127.0.0.1 if empty
	Workers int    // how many processes answer requests; 4 if 0
}

// Organizr is a running Organizr.
type Organizr struct {
	Addr string // on which it listens, host and port
	URL  string
	Web  string // its web root

	client *http.Client
	read   func(path string) ([]byte, error) // a file of its own
	uuid   string
	key    string // the API key, which makes its holder administrator

	mutex sync.Mutex
	ids   map[string]int // by name; guarded by mutex

	folder  string // what Stop removes
	process *exec.Cmd
	ended   chan struct{}
	log     bytes.Buffer
}

//go:embed router.php
var router []byte

// Start runs an Organizr that nobody has set up yet, until Stop.
func Start(ctx context.Context, options Options) (_ *Organizr, err error) {
	if options.Source == "" {
		options.Source = Source()
	}
	if options.Workers == 0 {
		options.Workers = 4
	}
	php, err := exec.LookPath("php")
	if err != nil {
		return nil, err
	}
	o := &Organizr{client: newClient(), read: os.ReadFile, ended: make(chan struct{}), ids: map[string]int{}}
	if o.folder, err = os.MkdirTemp("", "organizrjwt-organizr-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			o.Stop()
		}
	}()
	if o.Web = options.Folder; o.Web == "" {
		o.Web = filepath.Join(o.folder, "web")
	}
	if err := CopySource(o.Web, options.Source); err != nil {
		return nil, err
	}
	script := filepath.Join(o.folder, "router.php")
	if err := os.WriteFile(script, router, 0o600); err != nil {
		return nil, err
	}
	if o.Addr = options.Listen; o.Addr == "" {
		if o.Addr, err = proxy.FreeAddr(); err != nil {
			return nil, err
		}
	}
	o.URL = "http://" + o.Addr
	o.process = exec.Command(php, "-d", "error_reporting=0", "-d", "display_errors=0",
		"-d", "opcache.revalidate_freq=0", // else a change of config.php counts up to two seconds later
		"-S", o.Addr, "-t", o.Web, script)
	o.process.Dir = o.Web
	o.process.Env = append(os.Environ(), "ORGANIZR_ROOT="+o.Web, "PHP_CLI_SERVER_WORKERS="+strconv.Itoa(options.Workers))
	o.process.Stdout, o.process.Stderr = &o.log, &o.log
	o.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // its workers are processes too, and Stop ends all of them
	if err := o.process.Start(); err != nil {
		o.process = nil
		return nil, fmt.Errorf("starting PHP: %w", err)
	}
	go func() {
		_ = o.process.Wait()
		close(o.ended)
	}()
	return o, o.await(ctx)
}

// At returns an Organizr that runs in a container. The web root is a path in there, and read returns a file from there.
func At(address, web string, client *http.Client, read func(path string) ([]byte, error)) *Organizr {
	return &Organizr{URL: address, Web: web, client: client, read: read, ids: map[string]int{}}
}

// CopySource copies Organizr's source to the web root, without what Git keeps beside it and without what an Organizr
// that runs there has written.
func CopySource(web, source string) error {
	if _, err := os.Stat(filepath.Join(source, "api", "v2", "index.php")); err != nil {
		return fmt.Errorf("%s names no folder with Organizr's source: %w", Variable, err)
	}
	return filepath.WalkDir(source, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(source, path)
		if err != nil {
			return err
		}
		target := filepath.Join(web, name)
		switch {
		case name == ".git" || name == "data":
			return filepath.SkipDir
		case entry.IsDir():
			return os.MkdirAll(target, 0o755)
		case !entry.Type().IsRegular():
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, content, 0o644)
	})
}

// await returns when Organizr answers.
func (o *Organizr) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, o.URL+"/api/v2/auth/999", http.NoBody)
		if err != nil {
			return err
		}
		if resp, err := o.client.Do(req); err == nil {
			return resp.Body.Close()
		}
		select {
		case <-o.ended:
			return fmt.Errorf("PHP ended by itself; it says: %s", strings.TrimSpace(o.log.String()))
		case <-ctx.Done():
			return errors.New("Organizr doesn't answer")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Stop ends Organizr with all of its processes, and removes its folder unless it was named.
func (o *Organizr) Stop() {
	if o.process != nil {
		all := -o.process.Process.Pid
		_ = syscall.Kill(all, syscall.SIGINT) // upon which the first process waits for the others
		select {
		case <-o.ended:
		case <-time.After(5 * time.Second):
			_ = syscall.Kill(all, syscall.SIGKILL)
			<-o.ended
		}
		o.process = nil
	}
	os.RemoveAll(o.folder)
}

// Pids returns the numbers of all of Organizr's processes.
func (o *Organizr) Pids() ([]int, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, stat := range stats {
		text, err := os.ReadFile(stat)
		if err != nil {
			continue // it has ended meanwhile
		}
		// The name in parentheses can hold anything. After it come the state, the parent and the group.
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if len(fields) < 3 || fields[2] != strconv.Itoa(o.process.Process.Pid) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(stat)))
		if err != nil {
			return nil, err
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// CPU returns the time that all of Organizr's processes together have used so far.
func (o *Organizr) CPU() (time.Duration, error) {
	pids, err := o.Pids()
	if err != nil {
		return 0, err
	}
	var used time.Duration
	for _, pid := range pids {
		one, err := load.CPU(pid)
		if err != nil {
			return 0, err
		}
		used += one
	}
	return used, nil
}

// ConfigFile returns the path of config.php, which is there once Organizr is set up.
func (o *Organizr) ConfigFile() string { return filepath.Join(o.Web, "data", "config", "config.php") }

// Setting returns the text of a key of config.php.
func (o *Organizr) Setting(key string) (string, error) {
	text, err := o.read(o.ConfigFile())
	if err != nil {
		return "", err
	}
	found := regexp.MustCompile(`(?m)^\t'` + regexp.QuoteMeta(key) + `' => '(.*)',?$`).FindSubmatch(text)
	if found == nil {
		return "", fmt.Errorf("config.php has no %s", key)
	}
	return strings.NewReplacer(`\\`, `\`, `\'`, `'`).Replace(string(found[1])), nil
}

// DatabaseFile returns the path of the database, as config.php names it.
func (o *Organizr) DatabaseFile() (string, error) {
	folder, err := o.Setting("dbLocation")
	if err != nil {
		return "", err
	}
	name, err := o.Setting("dbName")
	return folder + name, err
}

// CookieName returns the name of the cookie that carries a session. Organizr must have been set up.
func (o *Organizr) CookieName() string { return "organizr_token_" + o.uuid }
