package e2e

import (
	"testing"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/load"
)

// Unlike times, allocations under Yaegi are the same on every machine, so a test can limit them. Each limit includes
// the allocations of sending the request, as the one of the middleware that does nothing shows.
func TestInterpretedAllocations(t *testing.T) {
	bob, _ := fakeorganizr.Find("bob")
	session := fakeorganizr.Cookie(bob.Token(hash))
	cookie := []string{session}
	oneRule := map[string]any{"Rules": []string{"/api/=Guest"}}
	tenRules := map[string]any{"Rules": load.Rules(10)}
	byTab := tabWith(t, bob, cookie)
	admin := map[string]any{"Group": "Admin"}
	keys := map[string]any{"Keys": []string{ofRadio}}
	withKey := map[string][]string{"Authorization": {"Bearer " + radioKey}}
	forged := load.Sessions(bob, "another-key-that-is-long-enough-for-HS256")
	measured := plugin(t)
	for _, test := range []struct {
		maker   maker
		request interpretedRequest
		limit   float64
	}{
		{floor(t), interpretedRequest{name: "does nothing", cookies: cookie}, 23},
		{measured, interpretedRequest{name: "a returning visitor", cookies: cookie}, 72},
		{measured, interpretedRequest{name: "a returning visitor, one rule", options: oneRule, cookies: cookie}, 72},
		{measured, interpretedRequest{name: "a returning visitor, ten rules", options: tenRules, cookies: cookie}, 132},
		{measured, interpretedRequest{name: "a returning visitor, by a tab", options: byTab, cookies: cookie}, 118},
		{measured, interpretedRequest{name: "whose other cookies change", cookies: load.Changing(session)}, 275},
		{measured, interpretedRequest{name: "at first sight", cookies: load.Sessions(bob, hash)}, 609},
		{measured, interpretedRequest{name: "a returning visitor, where there are keys", options: keys, cookies: cookie}, 95},
		{measured, interpretedRequest{name: "a program with a key", options: keys, header: withKey, accept: "*/*"}, 93},
		{measured, interpretedRequest{name: "a program without a session", accept: "*/*", status: 401}, 207},
		{measured, interpretedRequest{name: "a forged token", cookies: forged, accept: "*/*", status: 401}, 351},
		{measured, interpretedRequest{
			name: "a program of the wrong group", options: admin, cookies: cookie, accept: "*/*", status: 403,
		}, 330},
		{measured, interpretedRequest{name: "a page for the wrong group", options: admin, cookies: cookie, status: 403}, 455},
		{measured, interpretedRequest{name: "a browser that is sent to log in", status: 302}, 336},
	} {
		t.Run(test.request.name, func(t *testing.T) {
			var options map[string]any
			if test.maker == measured {
				options = inForce(test.request.options)
			}
			send := test.request.sender(t, test.maker.handler(t, options))
			if got := testing.AllocsPerRun(1000, send); got > test.limit {
				t.Errorf("%s: got %v allocations, want at most %v", test.request.name, got, test.limit)
			}
		})
	}
}
