package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/realorganizr"
)

// model is where the image has a config.php that a real Organizr wrote.
const model = "/config.php"

// owner is the user and group of Organizr's files, as PUID and PGID of the real image say.
const owner = 1000

// An organizr installs itself into its web root, and has a wizard until it is set up. From then on it is
// fakeorganizr's.
type organizr struct {
	web   string
	mutex sync.Mutex
	setUp *fakeorganizr.Organizr // nil until the wizard is done
	ill   bool
}

// newOrganizr returns the Organizr in the web root. As in the real image, the first start needs an empty folder, and
// the group of the data folder can list it but not enter it.
func newOrganizr(web string) (*organizr, error) {
	o := &organizr{web: web}
	if _, err := os.Stat(o.page()); err != nil {
		if err := mustBeEmpty(web); err != nil {
			return nil, err
		}
		if err := os.MkdirAll(filepath.Join(web, "data"), 0o755); err != nil {
			return nil, err
		}
		if err := os.Chmod(filepath.Join(web, "data"), 0o760); err != nil {
			return nil, err
		}
		if err := os.Chown(filepath.Join(web, "data"), owner, owner); err != nil {
			return nil, err
		}
		return o, os.WriteFile(o.page(), []byte("<!DOCTYPE html>Organizr's wizard"), 0o644)
	}
	_, err := os.Stat(filepath.Join(o.settings(), "config.php"))
	if errors.Is(err, fs.ErrNotExist) {
		return o, nil
	}
	if err != nil {
		return nil, err
	}
	o.setUp, err = fakeorganizr.Open(model, o.settings(), o.database())
	return o, err
}

func (o *organizr) page() string     { return filepath.Join(o.web, "index.html") }
func (o *organizr) settings() string { return filepath.Join(o.web, "data", "config") }
func (o *organizr) database() string { return filepath.Join(o.web, "data", "kq2xn7vrtb") }

func (o *organizr) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	o.mutex.Lock()
	setUp, ill := o.setUp, o.ill
	o.mutex.Unlock()
	switch {
	case ill:
		http.Error(rw, "as if PHP had ended", http.StatusBadGateway)
	case req.URL.Path == "/fall-ill":
		o.mutex.Lock()
		o.ill = true
		o.mutex.Unlock()
	case setUp != nil:
		setUp.ServeHTTP(rw, req)
	case req.URL.Path == "/wizard":
		if err := o.wizard(); err != nil {
			http.Error(rw, err.Error(), http.StatusInternalServerError)
		}
	default:
		http.ServeFile(rw, req, o.page())
	}
}

// wizard sets Organizr up, as its owner does on the first evening.
func (o *organizr) wizard() error {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	for _, folder := range []string{o.settings(), o.database()} {
		if err := os.Mkdir(folder, 0o755); err != nil {
			return err
		}
	}
	var err error
	o.setUp, err = fakeorganizr.Install(model, o.settings(), o.database())
	return err
}

// mustBeEmpty returns an error as git clone has it, unless the folder is empty or isn't there.
func mustBeEmpty(web string) error {
	if entries, err := os.ReadDir(web); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s isn't empty, so Organizr can't be cloned into it", web)
	}
	return nil
}

// runRealOrganizr copies Organizr's source from where it is mounted to the web root at the first start, and runs it in
// PHP's own server.
func runRealOrganizr(ctx context.Context, web string) error {
	if _, err := os.Stat(filepath.Join(web, "index.php")); err != nil {
		if err := mustBeEmpty(web); err != nil {
			return err
		}
		if err := realorganizr.CopySource(web, "/organizr"); err != nil {
			return err
		}
	}
	php := exec.CommandContext(ctx, "/usr/bin/php", "-d", "error_reporting=0", "-d", "display_errors=0",
		"-S", "0.0.0.0:80", "-t", web, "/router.php")
	php.Dir = web
	php.Env = append(os.Environ(), "ORGANIZR_ROOT="+web, "PHP_CLI_SERVER_WORKERS=4")
	php.Stdout, php.Stderr = os.Stdout, os.Stderr
	php.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // its workers are processes too
	php.Cancel = func() error { return syscall.Kill(-php.Process.Pid, syscall.SIGKILL) }
	return php.Run()
}
