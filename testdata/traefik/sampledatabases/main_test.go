package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
)

func TestTheFolderIsWhatThisCommandWrites(t *testing.T) {
	folder := t.TempDir()
	if err := write(folder); err != nil {
		t.Fatal(err)
	}
	kept, err := os.ReadDir(filepath.Join(proxy.Checkout(), "testdata", "databases"))
	if err != nil {
		t.Fatal(err)
	}
	written, err := os.ReadDir(folder)
	if err != nil || len(written) != len(kept) {
		t.Fatalf("%d files, and testdata has %d: %v", len(written), len(kept), err)
	}
	for _, entry := range kept {
		t.Run(entry.Name(), func(t *testing.T) {
			old, err := os.ReadFile(filepath.Join(proxy.Checkout(), "testdata", "databases", entry.Name()))
			if err != nil {
				t.Fatal(err)
			}
			made, err := os.ReadFile(filepath.Join(folder, entry.Name()))
			if err != nil {
				t.Fatal(err)
			}
			// SQLite salts journals and logs with random numbers.
			random := strings.HasPrefix(entry.Name(), "busy-") || strings.HasPrefix(entry.Name(), "log")
			if len(old) != len(made) || !random && !bytes.Equal(old, made) {
				t.Error("the file isn't what the command writes")
			}
		})
	}
}
