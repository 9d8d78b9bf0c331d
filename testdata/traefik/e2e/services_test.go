package e2e

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/services"
)

// attacks are requests that at least one framework takes for a protected resource of its service.
var attacks = []struct{ why, method, target, header, value string }{
	{"the settings themselves", "GET", "/settings/users", "", ""},
	{"without a slash", "GET", "/settings", "", ""},
	{"in capitals", "GET", "/SETTINGS/x", "", ""},
	{"a slash more", "GET", "//settings/x", "", ""},
	{"an encoded slash more", "GET", "/%2Fsettings/users", "", ""},
	{"an encoded letter", "GET", "/%73ettings/users", "", ""},
	{"an encoded slash", "GET", "/settings%2Fusers", "", ""},
	{"behind the front controller's name", "GET", "/index.php/settings/users", "", ""},
	{"behind the front controller's name, encoded", "GET", "/%69ndex.php/settings/users", "", ""},
	{"a format at the end", "GET", "/settings.json", "", ""},
	{"any format at the end", "GET", "/settings.anything", "", ""},
	{"a stream of NTFS, which is just a name elsewhere", "GET", "/settings/users::$DATA", "", ""},
	{"the secret itself", "GET", "/u/1/secret", "", ""},
	{"a slash as the name", "GET", "/u/%2F/secret", "", ""},
	{"a slash in lower case as the name", "GET", "/u/%2f/secret", "", ""},
	{"two slashes as the name", "GET", "/u/%2F%2F/secret", "", ""},
	{"a slash at the end of the name", "GET", "/u/a%2F/secret", "", ""},
	{"a slash at the beginning of the name", "GET", "/u/%2Fa/secret", "", ""},
	{"a slash in the name", "GET", "/u/a%2Fb/secret", "", ""},
	{"a dot and a slash as the name", "GET", "/u/.%2F/secret", "", ""},
	{"two dots and a slash as the name", "GET", "/u/..%2F/secret", "", ""},
	{"a slash and two dots as the name", "GET", "/u/%2F../secret", "", ""},
	{"a backslash as the name", "GET", "/u/%5C/secret", "", ""},
	{"a space as the name", "GET", "/u/%20/secret", "", ""},
	{"a semicolon as the name", "GET", "/u/;/secret", "", ""},
	{"an encoded semicolon as the name", "GET", "/u/%3B/secret", "", ""},
	{"a question mark as the name", "GET", "/u/%3F/secret", "", ""},
	{"a hash as the name", "GET", "/u/%23/secret", "", ""},
	{"a percent sign as the name", "GET", "/u/%25/secret", "", ""},
	{"a slash encoded twice as the name", "GET", "/u/%252F/secret", "", ""},
	{"a slash encoded three times as the name", "GET", "/u/%25252F/secret", "", ""},
	{"a colon as the name", "GET", "/u/:/secret", "", ""},
	{"a stream of NTFS as the name", "GET", "/u/::$DATA/secret", "", ""},
	{"three dots as the name", "GET", "/u/.../secret", "", ""},
	{"the wildcard's own text as the name", "GET", "/u/{id}/secret", "", ""},
	{"the mark of an end as the name", "GET", "/u/%7B%24%7D/secret", "", ""},
	{"bytes that aren't UTF-8 as the name", "GET", "/u/%ff/secret", "", ""},
	{"a NUL as the name", "GET", "/u/%00/secret", "", ""},
	{"a newline as the name", "GET", "/u/%0a/secret", "", ""},
	{"a script as the name", "GET", "/u/x.php/secret", "", ""},
	{"a long name", "GET", "/u/" + strings.Repeat("a", 3000) + "/secret", "", ""},
	{"a very long name", "GET", "/u/" + strings.Repeat("a", 6000) + "/secret", "", ""},
	{"a slash at the end", "GET", "/u/1/secret/", "", ""},
	{"a format at the end of the secret", "GET", "/u/1/secret.json", "", ""},
	{"a format at the end, and a slash as the name", "GET", "/u/%2F/secret.json", "", ""},
	{"the secret in capitals", "GET", "/u/1/SECRET", "", ""},
	{"the secret in capitals, and a slash as the name", "GET", "/U/%2F/SECRET", "", ""},
	{"an encoded slash before the secret", "GET", "/u/1%2Fsecret", "", ""},
	{"two dots as the name, before an encoded slash", "GET", "/u/..%2Fsecret", "", ""},
	{"a dot as the name, before an encoded slash", "GET", "/u/.%2Fsecret", "", ""},
	{"encoded dots as the name, before an encoded slash", "GET", "/u/%2e%2e%2fsecret", "", ""},
	{"a dot as the name, behind an encoded slash", "GET", "/u%2F./secret", "", ""},
	{"two dots as the name, between encoded slashes", "GET", "/u%2F..%2Fsecret", "", ""},
	{"an encoded letter of the secret", "GET", "/u/1/%73ecret", "", ""},
	{"the secret behind the front controller's name", "GET", "/index.php/u/1/secret", "", ""},
	{"HEAD", "HEAD", "/u/%2F/secret", "", ""},
	{"behind another name, which the service is told to leave out", "GET", "/opds/admin/view", "X-Script-Name", "/opds"},
	{"the same with underscores", "GET", "/opds/admin/view", "X_Script_Name", "/opds"},
	{"the same, in a path that is the user's", "GET", "/x/settings/users", "X-Script-Name", "/x"},
	{"a user who is deleted", "DELETE", "/u/1", "", ""},
	{"a user who is deleted, a slash as the name", "DELETE", "/u/%2F", "", ""},
	{"another method in a header", "POST", "/u/1", "X-HTTP-Method-Override", "DELETE"},
	{"another method in a header with underscores", "POST", "/u/1", "X_HTTP_Method_Override", "DELETE"},
}

var attackedRules = []string{
	"/settings/=Admin", "/u/{id}/secret=Admin", "/opds/=Guest", "/admin/=Admin", "DELETE /u/{id}=Admin",
}

func TestAttacksOnRealServices(t *testing.T) {
	taken := map[string]bool{}
	started := 0
	for _, framework := range services.Frameworks {
		t.Run(framework.Name, func(t *testing.T) {
			for _, program := range framework.Programs {
				needs(t, program)
			}
			service, err := framework.Start(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(service.Stop)
			started++
			s := setUp(t, nil, func(options *proxy.Options) {
				options.Dynamic = routes(map[string]table{"service": {"group": "User", "rules": attackedRules}}, service.URL)
			})
			address, err := url.Parse(service.URL)
			if err != nil {
				t.Fatal(err)
			}
			for _, open := range []string{"/", "/u/1", "/opds/x"} {
				got := s.ask("GET", "service.example.com", open, as("bob")...)
				if got.StatusCode != 200 || got.Header.Get(services.Header) != "" {
					t.Errorf("bob gets %d for %s, which is open: %s", got.StatusCode, open, got.Body)
				}
			}
			got := s.ask("GET", "service.example.com", "/settings/users", as("alice")...)
			if got.Header.Get(services.Header) != "settings" {
				t.Errorf("alice gets %d for the settings: %s", got.StatusCode, got.Body)
			}
			for _, attack := range attacks {
				t.Run(attack.why+": "+attack.method+" "+attack.target[:min(len(attack.target), 40)], func(t *testing.T) {
					var headers []string
					if attack.header != "" {
						headers = []string{attack.header, attack.value}
					}
					direct := askRaw(t, address.Host, attack.method, "service.example.com", attack.target, headers...)
					if direct.Header.Get(services.Header) != "" {
						taken[attack.why] = true
					}
					for _, visitor := range []string{"", "bob"} {
						sent := headers
						if visitor != "" {
							sent = slices.Concat(headers, as(visitor))
						}
						got := s.in(t).ask(attack.method, "service.example.com", attack.target, sent...)
						if resource := got.Header.Get(services.Header); resource != "" {
							t.Errorf("%q was served %s, by %s: %s", visitor, resource, framework.Name, got.Body)
						}
					}
				})
			}
		})
	}
	if started < len(services.Frameworks) {
		return
	}
	for _, attack := range attacks {
		if !taken[attack.why] {
			t.Errorf("no service takes %s %s for a protected resource, so this is no attack", attack.method, attack.target)
		}
	}
}

// No service at hand reads these as the settings, but there are some that do: with a file system of Windows, or after
// leaving out what isn't UTF-8.
func TestPathsThatNobodyCanForesee(t *testing.T) {
	s := setUp(t, map[string]table{"files": {"group": "User", "rules": []string{"/settings/=Admin"}}})
	for _, target := range []string{
		"/settin%ffgs/x", "/%c0%afsettings/x", "/settings%c0%afx", "/%ffsettings/x", "/x/%ed%a0%80/y", "/x%c3/y",
		"/settings::$INDEX_ALLOCATION/x", "/settings:$I30:$INDEX_ALLOCATION/x", "/settings::$DATA", "/settings:$DATA/x",
		"/settings%3A%3A$INDEX_ALLOCATION/x", "/SETTIN~1/../settings::$index_allocation/x",
	} {
		t.Run(target, func(t *testing.T) {
			if got := s.in(t).ask("GET", "files.example.com", target, as("bob")...).StatusCode; got != 403 {
				t.Errorf("bob gets %d, want 403", got)
			}
			if got := s.in(t).ask("GET", "files.example.com", target, as("alice")...).StatusCode; got != 200 {
				t.Errorf("alice gets %d, want 200", got)
			}
		})
	}
	for _, target := range []string{"/a:b/x", "/x$y/z", "/songs/%e6%97%a5%e6%9c%ac", "/U+00A0/%c2%a0x"} {
		t.Run(target+" is foreseeable", func(t *testing.T) {
			if got := s.in(t).ask("GET", "files.example.com", target, as("bob")...).StatusCode; got != 200 {
				t.Errorf("bob gets %d, want 200", got)
			}
		})
	}
}
