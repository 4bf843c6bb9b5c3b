package translate

import (
	"bytes"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/antiphon-proxy/antiphon/translate/streamcheck"
)

// TestRandomPartialReplies: whatever a half-built Responses backend streams, in whatever order,
// comes out as one grammatical stream with one end, the same for every cut, and adds up to
// the response that a client gets who does not stream.
func TestRandomPartialReplies(t *testing.T) {
	checks(t, 3000)
	d, _ := LookupDialect("ollama")
	var req Request
	if err := req.Parse([]byte(`{"model":"m","input":"Hi","stream":true,"tools":[{"type":"function","name":"f"},{"type":"function","name":"h"},`+
		`{"type":"custom","name":"g"},{"type":"namespace","name":"ns","tools":[{"type":"function","name":"f"}]}]}`), RequestLimits{}); err != nil {
		t.Fatal(err)
	}
	if err := req.PrepareOwn(nil, &d); err != nil {
		t.Fatal(err)
	}
	var loud, quiet ResponsesTurn
	rapid.Check(t, func(t *rapid.T) {
		g := replies{t}
		var upstream []byte
		last := ""
		for range rapid.IntRange(0, 14).Draw(t, "events") {
			if last == "" || g.pick("again", "no", "no", "yes") == "no" {
				last = g.event()
			}
			upstream = fmt.Appendf(upstream, "data: %s\n\n", last)
		}
		own := rapid.Bool().Draw(t, "own ids")
		opt := TurnOptions{Request: &req, Dialect: &d, Seed: testSeed, Created: testCreated, Events: true, Losses: new(Losses)}
		loud.Reset(opt, own)
		events := mendPieces(&loud, upstream)
		whole := bytes.Clone(loud.Response(nil, testCreated+1, false))
		cut := rapid.IntRange(0, len(upstream)).Draw(t, "cut")
		opt.Losses = new(Losses)
		loud.Reset(opt, own)
		if again := mendPieces(&loud, upstream, cut); !bytes.Equal(again, events) {
			t.Fatalf("cut at %d:\n%s\n%s", cut, upstream, diffLines(string(events), string(again)))
		}
		for _, v := range streamcheck.Stream(events, streamcheck.Options{}) {
			t.Errorf("%v", v)
		}
		if n := terminals(events); n != 1 {
			t.Errorf("%d terminal events", n)
		}
		opt.Events, opt.Losses = false, nil
		quiet.Reset(opt, own)
		mendPieces(&quiet, upstream)
		if b := quiet.Response(nil, testCreated+1, false); !bytes.Equal(b, whole) {
			t.Errorf("the quiet turn: %s", diffLines(string(whole), string(b)))
		}
		if t.Failed() {
			t.Fatalf("upstream:\n%s\nevents:\n%s", upstream, events)
		}
	})
}
