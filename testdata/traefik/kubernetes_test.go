package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/traefik/traefik/v3/pkg/provider/kubernetes/crd/traefikio/v1alpha1"
	kyaml "sigs.k8s.io/yaml"
)

func TestTheKubernetesFile(t *testing.T) {
	text, err := os.ReadFile(data("kubernetes.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var secret struct{ StringData map[string]string }
	var middleware v1alpha1.Middleware
	var route v1alpha1.IngressRoute
	for i, into := range []any{&secret, &middleware, &route} {
		if err := kyaml.UnmarshalStrict([]byte(strings.Split(string(text), "\n---\n")[i]), into); err != nil && i > 0 {
			t.Fatal(err)
		} else if i == 0 {
			_ = kyaml.Unmarshal([]byte(strings.Split(string(text), "\n---\n")[i]), into)
		}
	}
	if reference := route.Spec.Routes[0].Middlewares[0]; reference.Name != middleware.Name || route.Namespace != middleware.Namespace {
		t.Errorf("the route refers to %v", reference)
	}
	var options table
	if err := json.Unmarshal(middleware.Spec.Plugin["organizrjwt"].Raw, &options); err != nil {
		t.Fatal(err)
	}
	mounted := filepath.Join(t.TempDir(), "hash")
	if err := os.WriteFile(mounted, []byte(secret.StringData["hash"]), 0o600); err != nil {
		t.Fatal(err)
	}
	if options["secretFile"] != "/organizr/hash" {
		t.Errorf("the secret is at %v", options["secretFile"])
	}
	options["secretFile"], options["secret"] = mounted, ""
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
}
