package realorganizr

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
)

// Layout fills the root folder of an image with this machine's PHP and all that it loads, and with what Organizr needs
// beside its source.
func Layout(root string) error {
	output, err := exec.Command("php", "-r",
		`echo PHP_BINARY, "\n", ini_get("extension_dir"), "\n", dirname(dirname(php_ini_loaded_file()));`).Output()
	if err != nil {
		return err
	}
	var php, extensions, settings string
	if _, err := fmt.Sscan(string(output), &php, &extensions, &settings); err != nil {
		return err
	}
	programs, err := filepath.Glob(filepath.Join(extensions, "*.so"))
	if err != nil {
		return err
	}
	programs = append(programs, php)
	libraries, err := exec.Command("ldd", programs...).Output()
	if err != nil {
		return err
	}
	copied := append([]string{settings, "/usr/share/zoneinfo", "/etc/passwd"}, programs...)
	for _, library := range regexp.MustCompile(`(?m)\s(/[^\s:]+)\s\(`).FindAllStringSubmatch(string(libraries), -1) {
		copied = append(copied, library[1])
	}
	slices.Sort(copied)
	command := append([]string{"-RL", "--parents", "--target-directory", root}, slices.Compact(copied)...)
	if output, err := exec.Command("cp", command...).CombinedOutput(); err != nil {
		return fmt.Errorf("copying PHP: %w: %s", err, output)
	}
	if err := os.Mkdir(filepath.Join(root, "tmp"), 0o777); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(root, "router.php"), router, 0o644); err != nil {
		return err
	}
	if link := filepath.Join(root, "usr", "bin", "php"); filepath.Join(root, php) != link {
		return os.Symlink(php, link)
	}
	return nil
}
