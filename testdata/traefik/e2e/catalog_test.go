package e2e

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/mitchellh/mapstructure"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/service"
	"github.com/traefik/yaegi/interp"
	"github.com/traefik/yaegi/stdlib"
	"gopkg.in/yaml.v3"
)

func TestCatalogAcceptsThePlugin(t *testing.T) {
	gopath := t.TempDir()
	folder := archive(t, gopath)
	text, err := os.ReadFile(filepath.Join(folder, ".traefik.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var m manifest
	if err := yaml.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	if m.DisplayName == "" || m.Summary == "" || m.Type != "middleware" || len(m.TestData) == 0 ||
		m.Import != proxy.PluginModule {
		t.Errorf("the manifest lacks something: %+v", m)
	}
	module, err := os.ReadFile(filepath.Join(folder, "go.mod"))
	if err != nil || !strings.HasPrefix(string(module), "module "+m.Import+"\n") ||
		strings.Contains(string(module), "require") {
		t.Errorf("go.mod: %v\n%s", err, module)
	}
	for _, file := range []string{"readme.md", "LICENSE", m.IconPath, m.BannerPath} {
		if _, err := os.Stat(filepath.Join(folder, file)); err != nil {
			t.Error(err)
		}
	}

	// The interpreter has nothing but the standard library.
	yaegi := interp.New(interp.Options{GoPath: gopath})
	if err := yaegi.Use(stdlib.Symbols); err != nil {
		t.Fatal(err)
	}
	if _, err := yaegi.Eval(`import "` + m.Import + `"`); err != nil {
		t.Fatal(err)
	}
	name := filepath.Base(m.Import)
	createConfig, err := yaegi.Eval(name + ".CreateConfig")
	if err != nil {
		t.Fatal(err)
	}
	created := createConfig.Call(nil)
	if len(created) != 1 || created[0].Kind() != reflect.Pointer {
		t.Fatalf("CreateConfig returned %v", created)
	}
	decoder, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		DecodeHook: mapstructure.StringToSliceHookFunc(","), WeaklyTypedInput: true, ErrorUnused: true,
		Result: created[0].Interface(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := decoder.Decode(m.TestData); err != nil {
		t.Fatal(err)
	}
	construct, err := yaegi.Eval(name + ".New")
	if err != nil {
		t.Fatal(err)
	}
	kind := construct.Type()
	if kind.NumIn() != 4 || kind.NumOut() != 2 || kind.In(0) != reflect.TypeFor[context.Context]() ||
		kind.In(1) != reflect.TypeFor[http.Handler]() ||
		kind.In(3).Kind() != reflect.String || kind.Out(0) != reflect.TypeFor[http.Handler]() ||
		kind.Out(1) != reflect.TypeFor[error]() {
		t.Fatalf("New is a %s", kind)
	}
	results := construct.Call([]reflect.Value{
		reflect.ValueOf(t.Context()), reflect.ValueOf(http.HandlerFunc(service.Handler)), created[0], reflect.ValueOf("test"),
	})
	if !results[1].IsNil() {
		t.Fatal(results[1].Interface())
	}
	handler, ok := results[0].Interface().(http.Handler)
	if !ok {
		t.Fatalf("New returned %v", results[0])
	}
	rec := httptest.NewRecorder()
	handler.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "http://sonarr.example.com/", http.NoBody))
	if rec.Code != http.StatusServiceUnavailable { // the files that it names aren't there
		t.Errorf("a request without a session gets %d", rec.Code)
	}
}

func TestDownloadRunsInTraefik(t *testing.T) {
	folder := archive(t, t.TempDir())
	s := setUp(t, map[string]table{"user": {"group": "User"}}, func(options *proxy.Options) { options.Plugin = folder })
	for who, want := range map[string]int{"bob": 200, "fay": 403} {
		t.Run(who, func(t *testing.T) {
			if got := s.in(t).ask("GET", "user.example.com", "/", as(who)...).StatusCode; got != want {
				t.Errorf("got %d, want %d", got, want)
			}
		})
	}
}

// A manifest is .traefik.yml, as the plugin catalog reads it.
type manifest struct {
	DisplayName string         `yaml:"displayName"`
	Type        string         `yaml:"type"`
	Import      string         `yaml:"import"`
	BasePkg     string         `yaml:"basePkg"`
	Summary     string         `yaml:"summary"`
	IconPath    string         `yaml:"iconPath"`
	BannerPath  string         `yaml:"bannerPath"`
	TestData    map[string]any `yaml:"testData"`
}

// archive unpacks the files of HEAD, which users download, and returns the folder.
func archive(t *testing.T, into string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "git", "-C", proxy.Checkout(), "archive", "HEAD")
	text, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(into, "src", filepath.FromSlash(proxy.PluginModule))
	for reader := tar.NewReader(bytes.NewReader(text)); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return folder
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(folder, filepath.FromSlash(header.Name))
		if header.Typeflag != tar.TypeReg {
			continue
		}
		content, err := io.ReadAll(reader)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(path), 0o755)
		}
		if err == nil {
			err = os.WriteFile(path, content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
