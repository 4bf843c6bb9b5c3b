package proxy

import (
	"strings"
	"testing"

	"antiphon/proxy/upstreamtest"
)

// What a client names is never fetched from inside, switched on or not: the part
// is left out and reported, and the request goes on.
func TestFetchedFromInside(t *testing.T) {
	t.Parallel()
	for _, on := range []bool{false, true} {
		inside := upstreamtest.NewFunc(t, 0, answer("secret"))
		up := upstreamtest.NewFunc(t, 0, answer("hello"))
		r := newRig(t, up.URL(), withDialect("ollama"), func(s *setup) { s.cfg.Fetch.Enabled = on })
		for _, url := range []string{inside.URL() + "/x.png", "https://" + inside.Addr + "/x.png", "https://169.254.169.254/latest", "https://[::1]/x"} {
			got := r.post(`{"model":"m","input":[{"role":"user","content":[{"type":"input_text","text":"What?"},{"type":"input_image","image_url":"` + url + `"}]}]}`)
			if got.status != 200 || !strings.Contains(got.header.Get("Antiphon-Loss"), "part.dropped") {
				t.Errorf("%s: %d %v", url, got.status, got.header)
			}
		}
		if inside.Count() != 0 {
			t.Errorf("the inside was asked %d times", inside.Count())
		}
		if sent := string(up.Requests()[0].Body); strings.Contains(sent, "x.png") {
			t.Errorf("the URL was passed on: %s", sent)
		}
	}
}
