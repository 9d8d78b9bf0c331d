package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
	"github.com/traefik/traefik/v3/pkg/provider/kubernetes/crd/traefikio/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	kyaml "sigs.k8s.io/yaml"
)

func TestKubernetesFile(t *testing.T) {
	text, err := os.ReadFile(data("kubernetes.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var secret corev1.Secret
	var middleware v1alpha1.Middleware
	var route v1alpha1.IngressRoute
	for i, into := range []any{&secret, &middleware, &route} {
		if err := kyaml.UnmarshalStrict([]byte(strings.Split(string(text), "\n---\n")[i]), into); err != nil {
			t.Fatal(err)
		}
	}
	if reference := route.Spec.Routes[0].Middlewares[0]; reference.Name != middleware.Name ||
		route.Namespace != middleware.Namespace {
		t.Errorf("the route refers to %v", reference)
	}
	var options table
	if err := json.Unmarshal(middleware.Spec.Plugin["organizrjwt"].Raw, &options); err != nil {
		t.Fatal(err)
	}
	mount := t.TempDir()
	mountSecret(t, mount, secret.StringData)
	if options["secretFile"] != "/organizr/hash" {
		t.Errorf("the secret is at %v", options["secretFile"])
	}
	options["secretFile"], options["secret"] = filepath.Join(mount, "hash"), ""
	s := setUp(t, map[string]table{"sonarr": options})
	for _, test := range []struct {
		name, visitor, path string
		want                int
	}{
		{"whose group gets in", "bob", "/", 200},
		{"whose group doesn't", "fay", "/", 403},
		{"nobody, where a rule opens a path", "", "/api/x", 200},
		{"nobody elsewhere", "", "/", 401},
	} {
		t.Run(test.name, func(t *testing.T) {
			var headers []string
			if test.visitor != "" {
				headers = as(test.visitor)
			}
			if got := s.in(t).ask("GET", "sonarr.example.com", test.path, headers...).StatusCode; got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
	t.Run("another hash in the Secret", func(t *testing.T) {
		mountSecret(t, mount, map[string]string{"hash": "another-hash-of-thirty-letters"})
		bob, _ := fakeorganizr.Find("bob")
		s := s.in(t)
		s.becomes(200, nil, "sonarr.example.com", "Cookie",
			fakeorganizr.Cookie(bob.Token("another-hash-of-thirty-letters")))
		s.becomes(401, nil, "sonarr.example.com", as("bob")...)
	})
}

// mountSecret writes a Secret into its mount as the kubelet's AtomicWriter does: the names are links into the folder
// ..data, which is a link itself and points to a new folder after each change.
func mountSecret(t *testing.T, mount string, secret map[string]string) {
	t.Helper()
	folder, err := os.MkdirTemp(mount, "..")
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range secret {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(mount, name)); err != nil && !os.IsExist(err) {
			t.Fatal(err)
		}
	}
	before, _ := filepath.EvalSymlinks(filepath.Join(mount, "..data"))
	link := filepath.Join(mount, "..data_tmp")
	if err := os.Symlink(filepath.Base(folder), link); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link, filepath.Join(mount, "..data")); err != nil {
		t.Fatal(err)
	}
	if before != "" {
		_ = os.RemoveAll(before)
	}
}
