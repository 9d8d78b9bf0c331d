package e2e

import (
	"testing"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
)

// Unlike times, allocations under Yaegi are the same on every machine, so a test can limit them. Each limit includes
// the allocations of sending the request, as the one of the middleware that does nothing shows.
func TestInterpretedAllocations(t *testing.T) {
	bob, _ := fakeorganizr.Find("bob")
	cookie := []string{fakeorganizr.Cookie(bob.Token(hash))}
	oneRule := map[string]any{"Rules": []string{"/api/=Guest"}}
	visitor := interpretedRequest{name: "a returning visitor", cookies: cookie}
	visitorByRule := interpretedRequest{name: "a returning visitor, one rule", options: oneRule, cookies: cookie}
	program := interpretedRequest{name: "a program without a session", accept: "*/*", status: 401}
	measured := plugin(t)
	for _, test := range []struct {
		maker   maker
		options map[string]any
		request interpretedRequest
		limit   float64
	}{
		{floor(t), nil, interpretedRequest{name: "does nothing", cookies: cookie}, 23},
		{measured, inForce(visitor.options), visitor, 72},
		{measured, inForce(visitorByRule.options), visitorByRule, 72},
		{measured, inForce(program.options), program, 289},
	} {
		t.Run(test.request.name, func(t *testing.T) {
			send := test.request.sender(t, test.maker.handler(t, test.options))
			if got := testing.AllocsPerRun(1000, send); got > test.limit {
				t.Errorf("%s: got %v allocations, want at most %v", test.request.name, got, test.limit)
			}
		})
	}
}
