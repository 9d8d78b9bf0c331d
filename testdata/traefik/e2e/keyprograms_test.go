package e2e

import (
	"crypto/md5"
	"encoding/json"
	"fmt"
	"html"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/npm"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/service"
)

// Real programs come with a key, each as its own documentation says.

// behindKeys returns the address of a service behind a Traefik that lets the radio's key in. It has no name, for
// programs that look names up.
func behindKeys(t *testing.T, backend string, more table) string {
	t.Helper()
	options := table{"uuid": fakeorganizr.UUID, "secret": hash, "group": "User", "keys": ofRadio}
	for option, value := range more {
		options[option] = value
	}
	s := setUp(t, nil, func(given *proxy.Options) {
		given.Dynamic = table{"http": table{
			"routers": table{"all": table{
				"rule": "PathPrefix(`/`)", "service": "service", "middlewares": []string{"keys"},
			}},
			"middlewares": table{"keys": table{"plugin": table{"organizrjwt": options}}},
			"services":    table{"service": table{"loadBalancer": table{"servers": []table{{"url": backend}}}}},
		}}
	})
	return "http://" + s.traefik.Addr
}

// withKeyIn returns the address with the radio's name and a key in it.
func withKeyIn(address, key string) string {
	return strings.Replace(address, "http://", "http://radio:"+key+"@", 1)
}

// isolated returns a program that takes the folder for its user's, so it doesn't find the tester's own settings.
func isolated(t *testing.T, home, name string, arguments ...string) *exec.Cmd {
	t.Helper()
	program := exec.CommandContext(t.Context(), name, arguments...)
	program.Dir = home
	program.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_DATA_HOME="+home)
	return program
}

// write writes a file that only its owner may read, as files with a key should be.
func write(t *testing.T, folder, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestCurlAndWgetWithAKey(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(service.Handler))
	t.Cleanup(backend.Close)
	address := behindKeys(t, backend.URL, nil)
	host, _, _ := strings.Cut(strings.TrimPrefix(address, "http://"), ":")
	const wrong = radioKey + "0"
	for _, test := range []struct {
		name      string
		command   string
		arguments []string
		isLetIn   bool
	}{
		{"curl, the header", "curl", []string{"-H", "X-Organizr-Key: " + radioKey, address}, true},
		{"curl, Bearer as a header", "curl", []string{"-H", "Authorization: Bearer " + radioKey, address}, true},
		{"curl, Bearer", "curl", []string{"--oauth2-bearer", radioKey, address}, true},
		{"curl, Basic", "curl", []string{"-u", "radio:" + radioKey, address}, true},
		{"curl, Basic in the address", "curl", []string{withKeyIn(address, radioKey)}, true},
		{"curl, Basic once it is asked for", "curl", []string{"--anyauth", "-u", "radio:" + radioKey, address}, true},
		{"curl, Basic of a file", "curl", []string{"--netrc-file", ".netrc", address}, true},
		{"curl, over HTTP/2", "curl", []string{"--http2-prior-knowledge", "-u", "radio:" + radioKey, address}, true},
		{"curl, an upload", "curl", []string{"-u", "radio:" + radioKey, "-T", ".netrc", address + "/file"}, true},
		{"curl, a wrong key", "curl", []string{"-u", "radio:" + wrong, address}, false},
		{"curl, a wrong key once it is asked for", "curl", []string{"--anyauth", "-u", "radio:" + wrong, address}, false},
		{"curl, a wrong Bearer", "curl", []string{"--oauth2-bearer", wrong, address}, false},
		{"curl, another name", "curl", []string{"-u", "x:" + radioKey, address}, false},
		{"curl, nothing", "curl", []string{address}, false},

		{"wget, Basic once it is asked for", "wget", []string{"--user=radio", "--password=" + radioKey, address}, true},
		{
			"wget, Basic at once", "wget",
			[]string{"--auth-no-challenge", "--user=radio", "--password=" + radioKey, address},
			true,
		},
		{"wget, the header", "wget", []string{"--header=X-Organizr-Key: " + radioKey, address}, true},
		{"wget, Bearer", "wget", []string{"--header=Authorization: Bearer " + radioKey, address}, true},
		{"wget, Basic in the address", "wget", []string{withKeyIn(address, radioKey)}, true},
		{"wget, Basic of a file", "wget", []string{address}, true},
		{"wget, a wrong key", "wget", []string{"--user=radio", "--password=" + wrong, address}, false},
		{"wget, nothing", "wget", []string{"--no-netrc", address}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			needs(t, test.command)
			arguments := append([]string{"--silent", "--fail"}, test.arguments...)
			if test.command == "wget" {
				arguments = append([]string{"--quiet", "--output-document=-"}, test.arguments...)
			}
			home := t.TempDir()
			program := isolated(t, home, test.command, arguments...)
			write(t, home, ".netrc", "machine "+host+" login radio password "+radioKey+"\n")
			printed, err := program.Output()
			var seen service.Seen
			_ = json.Unmarshal(printed, &seen)
			user := seen.Header.Get("X-Organizr-User")
			if test.isLetIn != (err == nil) || test.isLetIn != (user == "radio") {
				t.Errorf("%v, and the service is told %q: %s", err, user, printed)
			}
			if part := keyPart(string(printed)); part != "" {
				t.Errorf("the service gets %s of the key: %s", part, printed)
			}
		})
	}
}

// The demo's start page shows a command to copy.
func TestKeyOfTheDemo(t *testing.T) {
	needs(t, "curl")
	for _, isSecure := range []bool{false, true} {
		d := newDemo(t, proxy.Options{TLS: isSecure})
		page, err := isolated(t, t.TempDir(), "curl", "--silent", "--insecure", d.URL("organizr")).Output()
		command := regexp.MustCompile(`<code id="command">(.*)</code>`).FindSubmatch(page)
		if err != nil || command == nil {
			t.Fatalf("the start page shows no command: %v %s", err, page)
		}
		printed, err := isolated(t, t.TempDir(), "sh", "-c", html.UnescapeString(string(command[1]))).Output()
		var seen service.Seen
		_ = json.Unmarshal(printed, &seen)
		if user := seen.Header.Get("X-Organizr-User"); user != "radio" || len(seen.Header["Authorization"]) > 0 {
			t.Errorf("%s: %v, and the service is told %q: %s", command[1], err, user, printed)
		}
		without := isolated(t, t.TempDir(), "curl", "--silent", "--fail", "--insecure", d.URL("keys"))
		if printed, err := without.Output(); err == nil {
			t.Errorf("without the key: %s", printed)
		}
	}
}

func TestFeedReaderWithAKey(t *testing.T) {
	needs(t, "newsboat")
	backend := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		fmt.Fprintf(rw, `<?xml version="1.0"?><rss version="2.0"><channel><title>%s</title><link>/</link>`+
			`<description>x</description><item><title>One</title><guid>1</guid></item></channel></rss>`,
			req.Header.Get("X-Organizr-User"))
	}))
	t.Cleanup(backend.Close)
	address := behindKeys(t, backend.URL, nil) + "/feed.rss"
	for _, test := range []struct{ name, key, config, want string }{
		{"its key at once", radioKey, "", "1 unread articles"},
		{"its key once it is asked for", radioKey, "http-auth-method any\n", "1 unread articles"},
		{"a wrong key", radioKey + "0", "", "0 unread articles"},
	} {
		t.Run(test.name, func(t *testing.T) {
			home := t.TempDir()
			write(t, home, "urls", withKeyIn(address, test.key)+"\n")
			write(t, home, "config", test.config)
			newsboat := isolated(t, home, "newsboat",
				"-u", "urls", "-C", "config", "-c", "cache.db", "-x", "reload", "print-unread")
			printed, err := newsboat.CombinedOutput()
			if err != nil || !strings.Contains(string(printed), test.want) {
				t.Errorf("want %q, got %v %s", test.want, err, printed)
			}
		})
	}
}

// Radicale believes the header that names the user. So a calendar belongs to the name of the key.
func TestCalendarClientsWithAKey(t *testing.T) {
	address := behindKeys(t, startRadicale(t), table{"headers": table{"X-Remote-User": "{username}"}})
	t.Run("vdirsyncer, which sends Basic at once", func(t *testing.T) {
		needs(t, "vdirsyncer")
		for _, test := range []struct {
			key     string
			isLetIn bool
		}{{radioKey + "0", false}, {radioKey, true}} {
			home := t.TempDir()
			write(t, home, "config", fmt.Sprintf(`
				[general]
				status_path = "status"
				[pair calendars]
				a = "here"
				b = "there"
				collections = ["holidays"]
				[storage here]
				type = "filesystem"
				path = "here"
				fileext = ".ics"
				[storage there]
				type = "caldav"
				url = "%s/radio/"
				username = "radio"
				password = "%s"
			`, address, test.key))
			if err := os.MkdirAll(filepath.Join(home, "here", "holidays"), 0o700); err != nil {
				t.Fatal(err)
			}
			write(t, home, "here/holidays/1.ics", "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:1\r\n"+
				"DTSTAMP:20261127T000000Z\r\nDTSTART:20261224T180000Z\r\nSUMMARY:At home\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n")
			var printed []byte
			var err error
			for _, step := range []string{"discover", "sync"} {
				program := isolated(t, home, "vdirsyncer", "-c", "config", step)
				program.Stdin = strings.NewReader("y\n") // it may make the calendar there
				if printed, err = program.CombinedOutput(); err != nil {
					break
				}
			}
			if test.isLetIn != (err == nil) {
				t.Errorf("%v: %s", err, printed)
			}
		}
		curl := isolated(t, t.TempDir(), "curl", "-su", "radio:"+radioKey, address+"/radio/holidays/")
		if calendar, err := curl.Output(); err != nil || !strings.Contains(string(calendar), "SUMMARY:At home") {
			t.Errorf("the calendar that vdirsyncer made: %v %s", err, calendar)
		}
	})
	t.Run("cadaver, which sends Basic once it is asked for", func(t *testing.T) {
		needs(t, "cadaver")
		host, _, _ := strings.Cut(strings.TrimPrefix(address, "http://"), ":")
		for key, want := range map[string]string{radioKey: "holidays", radioKey + "0": "Authentication"} {
			home := t.TempDir()
			write(t, home, ".netrc", "machine "+host+" login radio password "+key+"\n")
			cadaver := isolated(t, home, "cadaver", address+"/radio/")
			cadaver.Stdin = strings.NewReader("ls\nquit\n")
			if printed, _ := cadaver.CombinedOutput(); !strings.Contains(string(printed), want) {
				t.Errorf("want %q, got %s", want, printed)
			}
		}
	})
}

// A Subsonic app logs in to its server in the address, or with Basic authentication of the server's own. The key comes
// beside that.
func TestSubsonicWithAKey(t *testing.T) {
	const password = "a-password-of-the-server"
	t.Run("a real server", func(t *testing.T) {
		address := behindKeys(t, startSupysonic(t, "me", password), nil)
		const ok, failed, refused = `status="ok"`, `Wrong username or password`, `"status":401`
		inAddress := "?v=1.10.2&c=test&u=me&p=" + password
		for _, test := range []struct {
			name      string
			arguments []string
			want      string
		}{
			{"the key as Basic, the login in the address", []string{"-u", "radio:" + radioKey, inAddress}, ok},
			{"the key as a header, the login in the address", []string{"-H", "X-Organizr-Key: " + radioKey, inAddress}, ok},
			{
				"the key as a header, the login as Basic",
				[]string{"-H", "X-Organizr-Key: " + radioKey, "-u", "me:" + password, "?v=1.10.2&c=test"},
				ok,
			},
			{
				"the key as a header, a wrong login as Basic",
				[]string{"-H", "X-Organizr-Key: " + radioKey, "-u", "me:wrong", "?v=1.10.2&c=test"},
				failed,
			},
			{"no key", []string{inAddress}, refused},
			{"a wrong key", []string{"-u", "radio:" + radioKey + "0", inAddress}, refused},
		} {
			t.Run(test.name, func(t *testing.T) {
				arguments := append([]string{"-s"}, test.arguments...)
				arguments[len(arguments)-1] = address + "/rest/ping.view" + arguments[len(arguments)-1]
				printed, err := isolated(t, t.TempDir(), "curl", arguments...).Output()
				if err != nil || !strings.Contains(string(printed), test.want) {
					t.Errorf("want %s, got %v %s", test.want, err, printed)
				}
			})
		}
	})
	t.Run("a real client", func(t *testing.T) {
		for _, program := range []string{"node", "npm"} {
			needs(t, program)
		}
		folder, err := npm.Install(t.Context(), filepath.Join(proxy.Module(), "internal", "subsonic"))
		if err != nil {
			t.Fatal(err)
		}
		backend := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
			login := req.URL.Query()
			token := fmt.Sprintf("%x", md5.Sum([]byte(password+login.Get("s")))) // as Subsonic has it since 1.13
			status := "failed"
			if login.Get("u") == "me" && login.Get("t") == token && req.Header.Get("X-Organizr-User") == "radio" {
				status = "ok"
			}
			fmt.Fprintf(rw, `{"subsonic-response":{"status":"%s","version":"1.16.1","musicFolders":{}}}`, status)
		}))
		t.Cleanup(backend.Close)
		address := behindKeys(t, backend.URL, nil)
		for _, way := range keyWays {
			sent := way.headers("radio", radioKey)
			given, err := json.Marshal(map[string]any{
				"url": address, "username": "me", "password": password, "headers": table{sent[0]: sent[1]},
			})
			if err != nil {
				t.Fatal(err)
			}
			client := exec.CommandContext(t.Context(), "node", filepath.Join(folder, "client.js"), string(given))
			printed, err := client.CombinedOutput()
			if err != nil || strings.Count(string(printed), `"status":"ok"`) != 2 {
				t.Errorf("by %s: %v %s", way.name, err, printed)
			}
		}
	})
}

// startSupysonic starts a Subsonic server that has one user, and returns its address.
func startSupysonic(t *testing.T, user, password string) string {
	t.Helper()
	needs(t, "supysonic-server")
	address, err := proxy.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(address)
	home := t.TempDir()
	write(t, home, "supysonic.conf", strings.ReplaceAll(`
		[base]
		database_uri = sqlite:///HOME/supysonic.db
		[webapp]
		cache_dir = HOME/cache
		mount_webui = off
		[daemon]
		socket = HOME/socket
	`, "HOME", home))
	add := isolated(t, home, "supysonic-cli", "user", "add", user, "-p", password)
	if printed, err := add.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, printed)
	}
	start(t, isolated(t, home, "supysonic-server", "-S", "waitress", "-h", host, "-p", port), address)
	return "http://" + address
}

// startRadicale starts a Radicale that believes X-Remote-User, and returns its address.
func startRadicale(t *testing.T) string {
	t.Helper()
	needs(t, "radicale")
	address, err := proxy.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	settings := filepath.Join(t.TempDir(), "config")
	text := fmt.Sprintf("[server]\nhosts = %s\n[auth]\ntype = http_x_remote_user\n[storage]\nfilesystem_folder = %s\n",
		address, t.TempDir())
	if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, exec.CommandContext(t.Context(), "radicale", "--config", settings), address)
	return "http://" + address
}

// start starts a server until the test ends, and returns when something listens on its address.
func start(t *testing.T, server *exec.Cmd, address string) {
	t.Helper()
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s doesn't answer", server.Path)
		}
	}
}
