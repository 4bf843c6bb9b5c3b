package proxy

import (
	"testing"

	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

// TestFirstToken: the time to the first token is that of the first text, whatever comes
// before it, and a reply that does not stream has none.
func TestFirstToken(t *testing.T) {
	t.Parallel()
	up := upstreamtest.New(t,
		sseHead+`chunk data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}`+"\nchunk : busy\nwait 200ms\n"+delta("a")+finishChunk("stop")+sseDone,
		"json 200 "+completion("a"), "json 200 "+completion("a"))
	r := newRig(t, up.URL())
	r.post(streamed).response(t)
	for _, name := range []string{"antiphon_first_token_seconds", "antiphon_upstream_first_token_seconds"} {
		if n, sum := r.metric(name+"_count"), r.metric(name+"_sum"); n != 1 || sum < 0.19 {
			t.Errorf("%s: %v times, %v s in all", name, n, sum)
		}
	}
	r.post(streamed).response(t) // answered with JSON
	r.post(plain).response(t)
	if n := r.metric("antiphon_first_token_seconds_count"); n != 1 {
		t.Errorf("%v first tokens, though only one reply streamed", n)
	}
}
