// Command forge writes testdata/tokens.json: every known way to impersonate someone with a JSON Web Token.
//
// They come from RFC 8725 (JWT best current practices), RFC 7515 section 10 (JWS security considerations), known CVEs
// of JWT libraries and the usual lists of penetration testers.
package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
)

// hash is the key of the Organizr that wrote testdata/organizr.
const hash = fakeorganizr.Hash

// claims are an administrator's, valid until the year 2100.
const claims = `{"iss":"Organizr","aud":"Organizr","jti":"4f1g23a12aa",` +
	`"iat":1795284470.792391,"nbf":1795284470.792391,"exp":4102444800.5,` +
	`"name":"mallory","group":"Admin","groupID":0,"email":"","image":"","userID":1}`

// A trick is a token, and why it must fail or pass.
type trick struct {
	Trick string `json:"trick"`
	Why   string `json:"why"`
	Token string `json:"token"`
}

func main() {
	if err := write(filepath.Join(proxy.Checkout(), "testdata", "tokens.json")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func write(file string) error {
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	err = encoder.Encode(map[string]any{
		"about": "Tokens for the Organizr of testdata/organizr. " +
			"Those under fail must be no session, though some are signed with its very key; " +
			"those under pass are sessions. Written by testdata/traefik/forge.",
		"fail": append(append(forgeries(), signedButWrong()...), misshapen()...),
		"pass": good(),
	})
	if err != nil {
		return err
	}
	return out.Close()
}

func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// unsigned returns a token with this signature, which wasn't made by any key.
func unsigned(header, claims, signature string) string {
	return encode(header) + "." + encode(claims) + "." + signature
}

// changed returns the administrator's claims with one text replaced.
func changed(from, to string) string {
	if !strings.Contains(claims, from) {
		panic("no " + from)
	}
	return strings.Replace(claims, from, to, 1)
}

// forgeries returns tokens that anyone can make without a key.
func forgeries() []trick {
	var list []trick
	const unsecured = "RFC 8725, 3.2: an unsecured token proves nothing"
	for _, alg := range []string{"none", "None", "NONE", "nOnE", "none ", "", "null"} {
		header := `{"typ":"JWT","alg":"` + alg + `"}`
		list = append(
			list,
			trick{"alg " + alg + ", no signature", unsecured, unsigned(header, claims, "")},
			trick{"alg " + alg + ", any signature", unsecured, unsigned(header, claims, "c2lnbmF0dXJl")},
		)
	}
	for _, alg := range []string{
		"HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "EdDSA", "HS1", "SHA256", "dir",
		"A128KW",
	} {
		token := fakeorganizr.Sign(`{"typ":"JWT","alg":"`+alg+`"}`, claims, "public")
		list = append(list, trick{"alg " + alg, "RFC 8725, 3.1: one algorithm only; its signature is by no known key", token})
	}
	embedded := map[string]string{
		"jwk: a key in the header":         `{"typ":"JWT","alg":"HS256","jwk":{"kty":"oct","k":"bWluZQ"}}`,
		"jku: an address of keys":          `{"typ":"JWT","alg":"HS256","jku":"http://127.0.0.1/keys.json"}`,
		"x5u: an address of a certificate": `{"typ":"JWT","alg":"HS256","x5u":"http://127.0.0.1/cert.pem"}`,
		"x5c: a certificate":               `{"typ":"JWT","alg":"HS256","x5c":["MIIB"]}`,
		"kid: a path":                      `{"typ":"JWT","alg":"HS256","kid":"../../../../dev/null"}`,
		"kid: SQL":                         `{"typ":"JWT","alg":"HS256","kid":"x' UNION SELECT 'mine"}`,
		"kid: a command":                   `{"typ":"JWT","alg":"HS256","kid":"|id"}`,
		"cty JWT":                          `{"typ":"JWT","alg":"HS256","cty":"JWT"}`,
		"jwk with an RSA key (CVE-2018-0114)": `{"typ":"JWT","alg":"RS256",` +
			`"jwk":{"kty":"RSA","n":"AQAB","e":"AQAB"}}`,
		"two alg, none first (duplicate member)":        `{"alg":"none","typ":"JWT","alg":"HS256"}`,
		"two alg, none last (duplicate member)":         `{"alg":"HS256","typ":"JWT","alg":"none"}`,
		"alg in a list":                                 `{"typ":"JWT","alg":["HS256","none"]}`,
		"b64 false without crit (RFC 7797, section 6)":  `{"typ":"JWT","alg":"HS256","b64":false}`,
		"zip: compressed claims (CVE-2023-33959 alike)": `{"typ":"JWT","alg":"HS256","zip":"DEF"}`,
	}
	const neverTheHeader = "RFC 7515, 10.2 and RFC 8725, 3.10: a header never says which key is right"
	for _, name := range slices.Sorted(maps.Keys(embedded)) {
		header := embedded[name]
		list = append(list, trick{name, neverTheHeader, fakeorganizr.Sign(header, claims, "mine")})
	}
	keys := map[string]string{
		"an empty key":                "",
		"a NUL as key":                "\x00",
		"secret":                      "secret",
		"the uuid":                    fakeorganizr.UUID,
		"the cookie's name":           fakeorganizr.CookieName,
		"the key, a newline after it": hash + "\n",
		"the key in lower case":       strings.ToLower(hash),
		"half of the key":             hash[:16],
		"the key in base64":           base64.StdEncoding.EncodeToString([]byte(hash)),
		"the header as key":           fakeorganizr.Header,
		"the word organizrHash":       "organizrHash",
	}
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		key := keys[name]
		token := fakeorganizr.Sign(fakeorganizr.Header, claims, key)
		list = append(list, trick{"signed with " + name, "not Organizr's secret", token})
	}
	if decoded, err := base64.StdEncoding.DecodeString(hash); err == nil {
		token := fakeorganizr.Sign(fakeorganizr.Header, claims, string(decoded))
		list = append(list, trick{"signed with the key decoded from base64", "the key is its text as it stands", token})
	}
	right := strings.Split(fakeorganizr.Sign(fakeorganizr.Header, claims, hash), ".")
	const overBoth = "RFC 7515, 5.2: the signature is over header and claims"
	return append(
		list,
		trick{
			"the signature of other claims", overBoth,
			unsigned(fakeorganizr.Header, changed(`"groupID":0`, `"groupID":0,"x":1`), right[2]),
		},
		trick{"the signature of another header", overBoth, unsigned(`{"alg":"HS256","typ":"JWT"}`, claims, right[2])},
		trick{
			"a signature of zeros (CVE-2022-21449 alike)", "no HMAC is all zeros",
			unsigned(fakeorganizr.Header, claims, strings.Repeat("A", 43)),
		},
		trick{"the claims as signature", "not an HMAC", unsigned(fakeorganizr.Header, claims, encode(claims))},
		trick{"header and claims changed about", "not an HMAC", right[1] + "." + right[0] + "." + right[2]},
	)
}

// signedButWrong returns tokens that are signed with Organizr's own key, but are no sessions.
func signedButWrong() []trick {
	signed := func(name, why, header, claims string) trick {
		return trick{name, why, fakeorganizr.Sign(header, claims, hash)}
	}
	withClaims := func(name, why, claims string) trick { return signed(name, why, fakeorganizr.Header, claims) }
	withHeader := func(name, why, header string) trick { return signed(name, why, header, claims) }
	deep := strings.Repeat("[", 3000) + strings.Repeat("]", 3000)
	return []trick{
		withHeader("the right key, alg none", "RFC 8725, 3.1", `{"typ":"JWT","alg":"none"}`),
		withHeader("the right key, alg HS512", "RFC 8725, 3.1", `{"typ":"JWT","alg":"HS512"}`),
		withHeader("the right key, alg hs256", "RFC 7515, 4.1.1: names of algorithms are case-sensitive",
			`{"typ":"JWT","alg":"hs256"}`),
		withHeader("the right key, ALG", "RFC 7515, 4: names of parameters are case-sensitive",
			`{"typ":"JWT","ALG":"HS256"}`),
		withHeader("the right key, no alg", "RFC 7515, 4.1.1: alg must be there", `{"typ":"JWT"}`),
		withHeader("the right key, alg null", "RFC 7515, 4.1.1", `{"typ":"JWT","alg":null}`),
		withHeader("the right key, alg in a list", "RFC 7515, 4.1.1", `{"typ":"JWT","alg":["HS256"]}`),
		withHeader("the right key, alg none after alg HS256", "the last of two members counts",
			`{"alg":"HS256","alg":"none"}`),
		withHeader("crit with an unknown extension", "RFC 7515, 4.1.11", `{"typ":"JWT","alg":"HS256","crit":["x"],"x":1}`),
		withHeader("crit with a known parameter", "RFC 7515, 4.1.11", `{"typ":"JWT","alg":"HS256","crit":["exp"],"exp":1}`),
		withHeader("crit that is empty", "RFC 7515, 4.1.11", `{"typ":"JWT","alg":"HS256","crit":[]}`),
		withHeader("crit that is null", "RFC 7515, 4.1.11", `{"typ":"JWT","alg":"HS256","crit":null}`),
		withHeader("b64 false with crit", "RFC 7797", `{"typ":"JWT","alg":"HS256","b64":false,"crit":["b64"]}`),
		{"b64 false, claims not encoded", "RFC 7797", encode(`{"alg":"HS256","b64":false}`) + "." + `{"groupID":0}` + ".x"},
		withHeader("typ at+jwt", "RFC 8725, 3.11: a token of another kind", `{"typ":"at+jwt","alg":"HS256"}`),
		withHeader("typ jwt in lower case", "Organizr writes JWT", `{"typ":"jwt","alg":"HS256"}`),
		withHeader("typ null", "Organizr writes JWT", `{"typ":null,"alg":"HS256"}`),
		withHeader("an empty header", "RFC 7515, 4", `{}`),
		withHeader("a header that is a list", "RFC 7515, 4", `["HS256"]`),
		withHeader("a header that is a text", "RFC 7515, 4", `"HS256"`),
		withHeader("a header and something after it", "RFC 8259", `{"alg":"HS256"}{"alg":"none"}`),
		withHeader("a header with a comment", "RFC 8259", `{"alg":"HS256"/**/}`),
		withHeader("a header with a byte order mark", "RFC 8259, 8.1", "\ufeff"+`{"alg":"HS256"}`),
		withClaims("no exp", "a session ends", changed(`"exp":4102444800.5,`, "")),
		withClaims("exp null", "a session ends", changed("4102444800.5", "null")),
		withClaims("exp as text", "RFC 7519, 2: a NumericDate is a number", changed("4102444800.5", `"4102444800"`)),
		withClaims("exp true", "RFC 7519, 2", changed("4102444800.5", "true")),
		withClaims("exp in a list", "RFC 7519, 2", changed("4102444800.5", "[4102444800]")),
		withClaims("exp 0", "the session has expired", changed("4102444800.5", "0")),
		withClaims("exp in the past", "the session has expired", changed("4102444800.5", "1500000000.999999")),
		withClaims("exp negative", "the session has expired", changed("4102444800.5", "-4102444800")),
		withClaims("exp beyond all numbers", "no JSON number for Go", changed("4102444800.5", "1e999")),
		withClaims("exp NaN", "RFC 8259, 6", changed("4102444800.5", "NaN")),
		withClaims("exp Infinity", "RFC 8259, 6", changed("4102444800.5", "Infinity")),
		withClaims("exp in hex", "RFC 8259, 6", changed("4102444800.5", "0xF48656F0")),
		withClaims("exp with a plus", "RFC 8259, 6", changed("4102444800.5", "+4102444800")),
		withClaims("EXP in capitals", "RFC 7519, 4: names of claims are case-sensitive", changed(`"exp"`, `"EXP"`)),
		withClaims("two exp, the last in the past", "RFC 7519, 4: the last counts",
			changed(`"exp":4102444800.5`, `"exp":4102444800,"exp":1`)),
		withClaims("nbf in the future", "the session isn't valid yet",
			changed(`"nbf":1795284470.792391`, `"nbf":4102444799`)),
		withClaims("nbf as text", "RFC 7519, 2", changed(`"nbf":1795284470.792391`, `"nbf":"1"`)),
		withClaims("nbf null", "RFC 7519, 2", changed(`"nbf":1795284470.792391`, `"nbf":null`)),
		withClaims("nbf beyond all numbers", "no JSON number for Go", changed(`"nbf":1795284470.792391`, `"nbf":-1e999`)),
		withClaims("another issuer", "RFC 8725, 3.8", changed(`"iss":"Organizr"`, `"iss":"Other"`)),
		withClaims("the issuer in lower case", "RFC 7519, 4.1.1: case-sensitive",
			changed(`"iss":"Organizr"`, `"iss":"organizr"`)),
		withClaims("issuers in a list", "RFC 7519, 4.1.1", changed(`"iss":"Organizr"`, `"iss":["Organizr"]`)),
		withClaims("no issuer", "RFC 8725, 3.8", changed(`"iss":"Organizr",`, "")),
		withClaims("another audience", "RFC 8725, 3.9", changed(`"aud":"Organizr"`, `"aud":"Other"`)),
		withClaims("other audiences", "RFC 8725, 3.9", changed(`"aud":"Organizr"`, `"aud":["Other","organizr"]`)),
		withClaims("no audiences", "RFC 8725, 3.9", changed(`"aud":"Organizr"`, `"aud":[]`)),
		withClaims("audiences in a list in a list", "RFC 7519, 4.1.3", changed(`"aud":"Organizr"`, `"aud":[["Organizr"]]`)),
		withClaims("an audience as a name", "RFC 7519, 4.1.3", changed(`"aud":"Organizr"`, `"aud":{"Organizr":1}`)),
		withClaims("no group", "nobody is an administrator by accident", changed(`"groupID":0,`, "")),
		withClaims("group null", "nobody is an administrator by accident", changed(`"groupID":0`, `"groupID":null`)),
		withClaims("group false", "nobody is an administrator by accident", changed(`"groupID":0`, `"groupID":false`)),
		withClaims("group empty", "nobody is an administrator by accident", changed(`"groupID":0`, `"groupID":""`)),
		withClaims("group by name", "nobody is an administrator by accident", changed(`"groupID":0`, `"groupID":"Admin"`)),
		withClaims("group in a list", "nobody is an administrator by accident", changed(`"groupID":0`, `"groupID":[0]`)),
		withClaims("group as an object", "nobody is an administrator by accident", changed(`"groupID":0`, `"groupID":{}`)),
		withClaims("group -0", "nobody is an administrator by accident", changed(`"groupID":0`, `"groupID":-0`)),
		withClaims("group -1", "a group is at least 0", changed(`"groupID":0`, `"groupID":-1`)),
		withClaims("group 0.5", "a group is a whole number", changed(`"groupID":0`, `"groupID":0.5`)),
		withClaims("group 1e-9", "a group is a whole number", changed(`"groupID":0`, `"groupID":1e-9`)),
		withClaims("group 1000", "a group is at most 999", changed(`"groupID":0`, `"groupID":1000`)),
		withClaims("group 2^64", "a group is at most 999", changed(`"groupID":0`, `"groupID":18446744073709551616`)),
		withClaims("group 2^32", "a group is at most 999", changed(`"groupID":0`, `"groupID":"4294967296"`)),
		withClaims("group 1e400", "no JSON number for Go", changed(`"groupID":0`, `"groupID":1e400`)),
		withClaims("group in digits with a space", "digits only", changed(`"groupID":0`, `"groupID":" 0"`)),
		withClaims("group in digits with a sign", "digits only", changed(`"groupID":0`, `"groupID":"+0"`)),
		withClaims("group in digits with a point", "digits only", changed(`"groupID":0`, `"groupID":"0.0"`)),
		withClaims("group in digits of another script", "digits only", changed(`"groupID":0`, `"groupID":"٠"`)),
		withClaims("group 00", "digits as Organizr writes them", changed(`"groupID":0`, `"groupID":"00"`)),
		withClaims("group with a NUL", "digits only", changed(`"groupID":0`, `"groupID":"0\u0000"`)),
		withClaims("GROUPID in capitals", "RFC 7519, 4: names of claims are case-sensitive",
			changed(`"groupID"`, `"GROUPID"`)),
		withClaims("groupid in lower case", "RFC 7519, 4: names of claims are case-sensitive",
			changed(`"groupID"`, `"groupid"`)),
		withClaims("groupID with a NUL", "another claim", changed(`"groupID"`, `"groupID\u0000"`)),
		withClaims("iss with a dotless i", "another claim, though it folds to the same", changed(`"iss"`, `"\u0131ss"`)),
		withClaims("two groupID, the last null", "RFC 7519, 4: the last counts",
			changed(`"groupID":0`, `"groupID":0,"groupID":null`)),
		withClaims("claims in a list", "RFC 7519, 7.2", "["+claims+"]"),
		withClaims("claims in a text", "RFC 7519, 7.2", `"`+strings.ReplaceAll(claims, `"`, `\"`)+`"`),
		withClaims("claims null", "RFC 7519, 7.2", "null"),
		withClaims("claims true", "RFC 7519, 7.2", "true"),
		withClaims("claims a number", "RFC 7519, 7.2", "1"),
		withClaims("no claims", "RFC 7519, 7.2", ""),
		withClaims("empty claims", "nothing in them", "{}"),
		withClaims("claims and something after them", "RFC 8259", claims+"{}"),
		withClaims("half of the claims", "RFC 8259", claims[:len(claims)/2]),
		withClaims("claims with single quotes", "RFC 8259", strings.ReplaceAll(claims, `"`, "'")),
		withClaims("claims with a comma at the end", "RFC 8259", strings.TrimSuffix(claims, "}")+",}"),
		withClaims("claims in UTF-16", "RFC 8259, 8.1", "\xff\xfe{\x00}\x00"),
		withClaims("claims with a byte order mark", "RFC 8259, 8.1", "\ufeff"+claims),
		withClaims("claims in XML", "RFC 7519, 7.2", "<iss>Organizr</iss>"),
		withClaims("a token in the token", "RFC 7519, 5.2: nested tokens aren't Organizr's",
			fakeorganizr.Sign(fakeorganizr.Header, claims, hash)),
		withClaims("deep nesting as group", "a group is a number",
			changed(`"groupID":0`, `"groupID":`+deep[:1000]+deep[len(deep)-1000:])),
	}
}

// misshapen returns texts that aren't three parts of base64url with a right signature.
func misshapen() []trick {
	whole := fakeorganizr.Sign(fakeorganizr.Header, claims, hash)
	parts := strings.Split(whole, ".")
	long := changed(`"email":""`, `"email":"`+strings.Repeat("x", 6200)+`"`)
	form := "RFC 7515, 3.1: three parts of base64url without padding"
	list := []trick{
		{"empty", form, ""},
		{"one dot", form, "."},
		{"two dots", form, ".."},
		{"three dots", form, "..."},
		{"header only", form, parts[0]},
		{"no signature and no dot", form, parts[0] + "." + parts[1]},
		{"no signature", form, parts[0] + "." + parts[1] + "."},
		{"no claims", form, parts[0] + ".." + parts[2]},
		{"no header", form, "." + parts[1] + "." + parts[2]},
		{"a part before", form, "x." + whole},
		{"a part after", form, whole + ".x"},
		{"a dot after", form, whole + "."},
		{"a dot before", form, "." + whole},
		{"twice", form, whole + whole},
		{"twice, with a dot", form, whole + "." + whole},
		{"five parts, as an encrypted token", "RFC 7516: not encrypted", parts[0] + "." + parts[1] + "." + parts[2] + ".x.y"},
		{
			"the JSON serialisation", "RFC 7515, 7.2: compact only",
			fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, parts[0], parts[1], parts[2]),
		},
		{"padding after the signature", form, whole + "="},
		{"padding after the header", form, parts[0] + "=." + parts[1] + "." + parts[2]},
		{"padding after the claims", form, parts[0] + "." + parts[1] + "=." + parts[2]},
		{"encoded padding", form, whole + "%3D"},
		{"a space after", form, whole + "%20"},
		{"a space in the signature", form, parts[0] + "." + parts[1] + ". " + parts[2]},
		{"half a signature", form, whole[:len(whole)-21]},
		{"all but one character", form, whole[:len(whole)-1]},
		{"one character more", form, whole + "A"},
		{"a signature in hex", form, parts[0] + "." + parts[1] + "." + fmt.Sprintf("%x", parts[2])},
		{"the case of the signature changed", form, parts[0] + "." + parts[1] + "." + strings.ToUpper(parts[2])},
		{"the scheme before it", form, "Bearer " + whole},
		{"one part more than 8 KiB long", "a token is at most 8 KiB", fakeorganizr.Sign(fakeorganizr.Header, long, hash)},
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	stray := alphabet[strings.IndexByte(alphabet, whole[len(whole)-1])^1]
	list = append(list, trick{
		"stray bits in the signature's last character", "RFC 4648, 3.5: one spelling only",
		whole[:len(whole)-1] + string(stray),
	})
	standard := fakeorganizr.Sign(fakeorganizr.Header, changed(`"email":""`, `"email":"???>>>~~~"`), hash)
	if replaced := strings.NewReplacer("-", "+", "_", "/").Replace(standard); replaced != standard {
		list = append(list, trick{"the standard alphabet", form, replaced})
	}
	spaces := strings.Repeat(" ", 3-(len(claims)+2)%3) // so that there is padding
	padded := encode(fakeorganizr.Header) + "." + base64.URLEncoding.EncodeToString([]byte(claims+spaces))
	lines := encode(fakeorganizr.Header) + "." + encode(claims)[:40] + "\n" + encode(claims)[40:]
	return append(
		list,
		trick{"padded claims, signed so", form, fakeorganizr.SignText(padded, hash)},
		trick{"claims on two lines, signed so", form, fakeorganizr.SignText(lines, hash)},
		trick{"four parts, signed so", form, fakeorganizr.SignText(parts[0]+"."+parts[1]+".x", hash)},
		trick{"two parts, signed so", form, fakeorganizr.SignText(parts[0], hash)},
	)
}

// good returns tokens that must pass.
func good() []trick {
	pass := func(name, header, claims string) trick {
		return trick{name, "a session", fakeorganizr.Sign(header, claims, hash)}
	}
	with := func(name, from, to string) trick { return pass(name, fakeorganizr.Header, changed(from, to)) }
	return []trick{
		pass("as Organizr makes it", fakeorganizr.Header, claims),
		pass("without typ", `{"alg":"HS256"}`, claims),
		pass("the header in another order", `{"alg":"HS256","typ":"JWT"}`, claims),
		pass("the header with spaces", ` { "alg" : "HS256" } `, claims),
		pass("a kid, which says nothing", `{"alg":"HS256","kid":"1"}`, claims),
		with("whole seconds", "4102444800.5", "4102444800"),
		with("six decimals", "4102444800.5", "4102444800.123456"),
		with("exponents", "4102444800.5", "4.1024448e9"),
		with("no nbf", `"nbf":1795284470.792391,`, ""),
		with("no iat", `"iat":1795284470.792391,`, ""),
		with("a list of audiences", `"aud":"Organizr"`, `"aud":["Other","Organizr"]`),
		with("a group in digits", `"groupID":0`, `"groupID":"0"`),
		with("a group with decimals of zero", `"groupID":0`, `"groupID":0.0`),
		with("an old name", `"name":"mallory"`, `"username":"mallory"`),
		with("no name", `"name":"mallory",`, ""),
		with("a name beyond ASCII", "mallory", "Zoë Müller 王"),
		with("a name with an escape", "mallory", `Zo\u00eb`),
		with("more claims", `"userID":1`, `"userID":1,"x":{"groupID":5},"y":[null]`),
		with("almost 8 KiB", `"email":""`, `"email":"`+strings.Repeat("x", 5500)+`"`),
	}
}
