package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/programs"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
)

// A real fail2ban, with the recipe's filter and jail but without an action, reads the log that a real Traefik writes.
func TestFail2ban(t *testing.T) {
	for _, program := range []string{"fail2ban-regex", "fail2ban-server", "fail2ban-client"} {
		needs(t, program)
	}
	log := filepath.Join(t.TempDir(), "traefik.log")
	s := setUp(t, map[string]table{"admin": {"group": "Admin"}}, func(options *proxy.Options) {
		options.Flags = []string{"--log.filePath=" + log, "--entryPoints.web.forwardedHeaders.trustedIPs=127.0.0.1/32"}
	})
	_, session, _ := strings.Cut(as("alice")[1], "=")
	forged := []string{"Cookie", fakeorganizr.Cookie(session[1:])}
	const impostor = `/%22%20address=%22198.51.100.66%22%20reason=%22the%20token%20is`
	for _, test := range []struct {
		address, target string
		headers         []string
	}{
		{"198.51.100.1", "/", forged},
		{"2001:db8::1", "/", forged},
		{"198.51.100.2", "/", nil},                            // a program that isn't logged in
		{"198.51.100.3", "/", []string{"Accept", pageAccept}}, // a browser
		{"198.51.100.4", "/", as("bob")},                      // somebody of another group
		{"198.51.100.5", "/", as("alice")},                    // somebody who gets in
		{"198.51.100.6", impostor, nil},
		{"192.168.1.2", "/", forged}, // somebody at home
	} {
		for range 12 {
			headers := slices.Concat(test.headers, []string{"X-Forwarded-For", test.address})
			s.ask("GET", "admin.example.com", test.target, headers...)
		}
	}
	t.Run("fail2ban-regex finds the lines of forged tokens", func(t *testing.T) {
		var printed []byte
		for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
			var err error
			printed, err = exec.Command("fail2ban-regex", log, data("fail2ban", "filter.conf")).CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, printed)
			}
			if strings.Contains(string(printed), " 36 matched") {
				return
			}
		}
		t.Errorf("want 36 matched lines, got\n%s", printed)
	})
	t.Run("fail2ban bans who sent them", func(t *testing.T) {
		client := startFail2ban(t, log)
		var banned []string
		deadline := time.Now().Add(30 * time.Second)
		for ; len(banned) < 2 && time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
			status, _ := client("status", "organizrjwt").CombinedOutput()
			list := regexp.MustCompile(`Banned IP list:[ \t]*(.*)`).FindStringSubmatch(string(status))
			if list != nil {
				banned = strings.Fields(list[1])
			}
		}
		slices.Sort(banned)
		if want := []string{"198.51.100.1", "2001:db8::1"}; !slices.Equal(banned, want) {
			t.Errorf("banned are %q, want %q", banned, want)
		}
	})
}

// startFail2ban runs a fail2ban of the test's own with the recipe's filter and jail, but without an action against
// banned addresses, and returns its client.
func startFail2ban(t *testing.T, log string) func(arguments ...string) *exec.Cmd {
	t.Helper()
	folder := t.TempDir()
	if err := os.CopyFS(folder, os.DirFS("/etc/fail2ban")); err != nil {
		t.Fatal(err)
	}
	jail, err := os.ReadFile(data("fail2ban", "jail.conf"))
	if err != nil {
		t.Fatal(err)
	}
	filter, err := os.ReadFile(data("fail2ban", "filter.conf"))
	if err != nil {
		t.Fatal(err)
	}
	own := regexp.MustCompile(`(?m)^logpath = .*`).ReplaceAllString(string(jail), "logpath = "+log) + "action =\n"
	if err := os.RemoveAll(filepath.Join(folder, "jail.d")); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"jail.local":                own,
		"filter.d/organizrjwt.conf": string(filter),
		"fail2ban.local":            "[Definition]\ndbfile = None\nlogtarget = " + filepath.Join(folder, "log") + "\n",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	flags := []string{"-c", folder, "-s", filepath.Join(folder, "socket"), "-p", filepath.Join(folder, "pid")}
	client := func(arguments ...string) *exec.Cmd {
		return exec.Command(programs.Path("fail2ban-client"), slices.Concat(flags, arguments)...)
	}
	if printed, err := client("-t").CombinedOutput(); err != nil {
		t.Fatalf("fail2ban doesn't take the configuration: %v: %s", err, printed)
	}
	server := exec.Command(programs.Path("fail2ban-server"), slices.Concat(flags, []string{"-f", "start"})...)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = client("stop").Run()
		_ = server.Wait()
	})
	return client
}
