package load

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
)

// many is twenty times the size of the plugin's cache, so that none of so many, sent in turn, is still in it when its
// turn comes again.
const many = 20_000

// Browser returns the headers of a browser's request, without cookies.
func Browser() http.Header {
	return http.Header{
		"User-Agent": {
			"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36",
		},
		"Accept": {
			"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
		},
		"Accept-Language":           {"en-US,en;q=0.9"},
		"Accept-Encoding":           {"gzip, deflate, br, zstd"},
		"Sec-Fetch-Dest":            {"document"},
		"Sec-Fetch-Mode":            {"navigate"},
		"Sec-Fetch-Site":            {"none"},
		"Upgrade-Insecure-Requests": {"1"},
	}
}

// Sessions returns Cookie headers with many sessions of the account, signed with the key.
func Sessions(account fakeorganizr.Account, hash string) []string {
	began := time.Now().Add(-time.Second)
	list := make([]string, many)
	for i := range list {
		claims := account.Claims(began, 24*time.Hour+time.Duration(i)*time.Millisecond)
		list[i] = fakeorganizr.Cookie(fakeorganizr.Sign(fakeorganizr.Header, claims, hash))
	}
	return list
}

// Database writes an Organizr database to the path, which lists the sessions in these Cookie headers as the account's.
func Database(path string, account fakeorganizr.Account, cookies []string) error {
	database, err := fakeorganizr.NewDatabase(path, fakeorganizr.Groups, fakeorganizr.Accounts)
	if err != nil {
		return err
	}
	tokens := make([]string, len(cookies))
	for i, cookie := range cookies {
		tokens[i] = strings.TrimPrefix(cookie, fakeorganizr.Cookie(""))
	}
	return database.Begin(account, tokens...)
}

// Changing returns many Cookie headers with this cookie between two others, which a Laravel service renews with each
// response.
func Changing(cookie string) []string {
	list := make([]string, many)
	for i := range list {
		list[i] = "XSRF-TOKEN=" + encrypted() + "; " + cookie + "; laravel_session=" + encrypted()
	}
	return list
}

// encrypted returns a value as Laravel's EncryptCookies writes it: base64 of JSON, whose members are base64 too.
func encrypted() string {
	random := func(size int) []byte {
		octets := make([]byte, size)
		for i := range octets {
			octets[i] = byte(rand.Uint32())
		}
		return octets
	}
	text := func(size int) string { return base64.StdEncoding.EncodeToString(random(size)) }
	value := fmt.Sprintf(`{"iv":%q,"value":%q,"mac":"%x","tag":""}`, text(16), text(96), random(32))
	return url.QueryEscape(base64.StdEncoding.EncodeToString([]byte(value)))
}

// Rules returns so many rules, none of them for a path that is measured.
func Rules(count int) []string {
	rules := make([]string, count)
	for i := range rules {
		rules[i] = fmt.Sprintf("/part-%d/=Admin", i)
	}
	return rules
}

// Fill repeats the text up to the size.
func Fill(text string, size int) string { return strings.Repeat(text, size/len(text)) }
