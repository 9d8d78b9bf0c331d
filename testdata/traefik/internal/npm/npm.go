// Package npm brings what is written for Node onto this machine.
package npm

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Install returns a copy of the folder with what its package-lock.json names installed in it. The copy is in the user's
// cache, so only the first run on a machine asks npm's registry.
func Install(ctx context.Context, folder string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	installed := filepath.Join(cache, "organizrjwt", "npm", filepath.Base(folder))
	if err := os.MkdirAll(installed, 0o755); err != nil {
		return "", err
	}
	before, _ := os.ReadFile(filepath.Join(installed, "package-lock.json"))
	files, err := os.ReadDir(folder)
	if err != nil {
		return "", err
	}
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join(folder, file.Name()))
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(installed, file.Name()), text, 0o600); err != nil {
			return "", err
		}
	}
	after, err := os.ReadFile(filepath.Join(folder, "package-lock.json"))
	if err != nil {
		return "", err
	}
	last := filepath.Join(installed, "node_modules", ".package-lock.json") // npm writes this file last
	if _, err := os.Stat(last); err == nil && bytes.Equal(before, after) {
		return installed, nil
	}
	install := exec.CommandContext(ctx, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	install.Dir = installed
	if printed, err := install.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci in %s: %w: %s", installed, err, printed)
	}
	return installed, nil
}
