package translate

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/antiphon-proxy/antiphon/translate/sse"
	"github.com/antiphon-proxy/antiphon/translate/streamcheck"
)

// frontStream is something that a Responses backend streamed, with the request
// that it answers.
type frontStream struct {
	name  string
	sse   []byte
	start func(tb testing.TB) *frontExchange
}

// frontStreams are all streams of the golden cases and the transcripts.
func frontStreams(tb testing.TB) (streams []frontStream) {
	for _, c := range frontCases(tb) {
		if raw := c.File("upstream.sse"); raw != nil && c.start(tb).err == nil {
			streams = append(streams, frontStream{c.Name, raw, c.start})
		}
	}
	for _, tr := range responsesTranscripts(tb) {
		if tr.stream {
			streams = append(streams, frontStream{tr.name, tr.body, func(tb testing.TB) *frontExchange { return tr.chat(tb, true) }})
		}
	}
	return streams
}

// one is the options of a turn that answers alone, in chunks.
func (x *frontExchange) one() ChatTurnOptions {
	opt := x.options
	opt.Events = true
	return opt
}

func (x *frontExchange) run(turn *ChatTurn, upstream []byte, cuts ...int) []byte {
	x.losses.Reset()
	turn.Reset(x.one())
	return turn.Terminal(chatPieces(nil, turn, upstream, cuts...))
}

// alone is how such a stream is checked.
func (x *frontExchange) alone() streamcheck.ChatOptions {
	opt := x.check()
	opt.Choices = 1
	return opt
}

// frontStep is how far apart the places are where a stream is cut: everywhere in
// a short one, at a prime distance in a long one, so that every place in a line
// gets its turn. Under the race detector, which is slow, there are fewer.
func frontStep(stream []byte) int {
	places := 2000
	if raceEnabled {
		places = 200
	}
	for _, prime := range []int{1, 3, 7, 13, 29, 61} {
		if len(stream)/prime < places {
			return prime
		}
	}
	return 127
}

// TestFrontSplits: how the upstream's bytes are cut does not show.
func TestFrontSplits(t *testing.T) {
	for _, s := range frontStreams(t) {
		t.Run(s.name, func(t *testing.T) {
			x := s.start(t)
			var turn ChatTurn
			want := string(x.run(&turn, s.sse))
			check := func(cuts ...int) bool {
				if got := string(x.run(&turn, s.sse, cuts...)); got != want {
					t.Errorf("cut at %v: %s", cuts[:min(len(cuts), 8)], diffLines(want, got))
					return false
				}
				return true
			}
			for i := 1; i < len(s.sse); i += frontStep(s.sse) {
				if !check(i) {
					return
				}
			}
			every := make([]int, 0, len(s.sse))
			for i := 1; i < len(s.sse); i++ {
				every = append(every, i)
			}
			check(every...)
			r := rand.New(rand.NewPCG(1, uint64(len(s.sse))))
			for range 20 {
				var cuts []int
				for at := 1 + r.IntN(200); at < len(s.sse); at += 1 + r.IntN(200) {
					cuts = append(cuts, at)
				}
				check(cuts...)
			}
		})
	}
}

// TestFrontCutAnywhere: wherever the upstream's bytes end, the stream has one
// end, and is grammatical.
func TestFrontCutAnywhere(t *testing.T) {
	for _, s := range frontStreams(t) {
		t.Run(s.name, func(t *testing.T) {
			x := s.start(t)
			var turn ChatTurn
			var last []byte
			for i := 0; i < len(s.sse); i += frontStep(s.sse) {
				chunks := x.run(&turn, s.sse[:i])
				if again := turn.Feed(nil, nil, []byte(`{"type":"response.output_text.delta","delta":"x"}`)); len(again) > 0 || len(turn.Terminal(nil)) > 0 {
					t.Error("there is life after the end")
				}
				if bytes.Equal(chunks, last) { // a cut in the middle of an event
					continue
				}
				last = bytes.Clone(chunks)
				for _, v := range streamcheck.ChatStream(chunks, x.alone()) {
					t.Error(v)
				}
				if t.Failed() {
					t.Fatalf("cut at %d of %d:\n%s", i, len(s.sse), chunks)
				}
			}
		})
	}
}

// TestFrontQuietEqualsStream: a turn without chunks ends up with the completion
// that the chunks of another add up to.
func TestFrontQuietEqualsStream(t *testing.T) {
	for _, s := range frontStreams(t) {
		t.Run(s.name, func(t *testing.T) {
			x := s.start(t)
			var loud, quiet ChatTurn
			chunks := x.run(&loud, s.sse)
			for _, v := range streamcheck.ChatStream(chunks, x.alone()) {
				t.Error(v)
			}
			opt := x.one()
			opt.Events, opt.Losses = false, nil
			quiet.Reset(opt)
			if out := quiet.Terminal(chatPieces(nil, &quiet, s.sse)); len(out) > 0 {
				t.Errorf("a quiet turn says %q", out)
			}
			a, b := loud.Completion(nil), quiet.Completion(nil)
			if !bytes.Equal(a, b) && !contradicted(&x.losses) {
				t.Errorf("%s", diffLines(string(a), string(b)))
			}
			if (loud.Failure() == nil) != (len(a) > 0) {
				t.Errorf("failure %v, completion %s", loud.Failure(), a)
			}
			if len(a) > 0 {
				folded(t, &frontExchange{req: *loudRequest(x)}, chunks, a)
			}
		})
	}
}

// loudRequest is the request with one choice, as folded looks at it.
func loudRequest(x *frontExchange) *ChatRequest {
	x.req.N = 1
	return &x.req
}

// TestFrontShapeChangesNothing: the fast path for repeated events says what the
// slow one says.
func TestFrontShapeChangesNothing(t *testing.T) {
	fast := 0
	for _, s := range frontStreams(t) {
		x := s.start(t)
		var turn, slow ChatTurn
		want := x.run(&turn, s.sse)
		slow.Reset(x.one())
		var out []byte
		var dec sse.Decoder
		dec.Feed(s.sse)
		for e, ok := dec.Next(); ok; e, ok = dec.Next() {
			if slow.in.shape.valid {
				fast++
			}
			slow.in.shape.clear()
			out = slow.Feed(out, e.Name, e.Data)
		}
		if e, ok := dec.Finish(); ok {
			slow.in.shape.clear()
			out = slow.FeedLast(out, e.Name, e.Data)
		}
		if out = slow.Terminal(slow.Finish(out)); !bytes.Equal(out, want) {
			t.Errorf("%s: %s", s.name, diffLines(string(out), string(want)))
		}
	}
	if fast < 400 {
		t.Errorf("only %d events could be recognised", fast)
	}
}

// TestFrontReuse: a pooled turn and request are as good as new.
func TestFrontReuse(t *testing.T) {
	var turn ChatTurn
	var req ChatRequest
	cases := frontCases(t)
	for range 2 {
		for _, c := range cases {
			body := bytes.TrimSpace(bytes.Clone(c.File("client.json")))
			var fresh ChatRequest
			a, b := req.Parse(bytes.Clone(body), RequestLimits{}), fresh.Parse(body, RequestLimits{})
			if fmt.Sprint(a) != fmt.Sprint(b) {
				t.Fatalf("%s: %v, %v", c.Name, a, b)
			}
			if a != nil {
				continue
			}
			opt := ResponsesOptions{Dialect: &c.dialect, Losses: new(Losses)}
			x, err := req.AppendResponses(nil, opt)
			y, err2 := fresh.AppendResponses(nil, opt)
			if !bytes.Equal(x, y) || fmt.Sprint(err) != fmt.Sprint(err2) {
				t.Fatalf("%s: %s %s", c.Name, x, y)
			}
			up := c.File("upstream.sse")
			if up == nil || err != nil {
				continue
			}
			to := ChatTurnOptions{Request: &fresh, Dialect: &c.dialect, Seed: testSeed, Created: testCreated, Events: true, Losses: new(Losses)}
			turn.Reset(to)
			var new1 ChatTurn
			new1.Reset(to)
			if p, q := turn.Terminal(chatPieces(nil, &turn, up)), new1.Terminal(chatPieces(nil, &new1, up)); !bytes.Equal(p, q) {
				t.Fatalf("%s: %s", c.Name, diffLines(string(q), string(p)))
			}
		}
	}
}

// TestFrontAllocations: a delta of a stream that runs costs no memory.
func TestFrontAllocations(t *testing.T) {
	for name, s := range map[string]struct{ request, open, delta string }{
		"text": {`{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}]}`,
			`{"type":"response.output_item.added","sequence_number":2,"output_index":0,"item":{"id":"msg_1","type":"message","content":[]}}`,
			`{"type":"response.output_text.delta","sequence_number":%d,"item_id":"msg_1","output_index":0,"content_index":0,"delta":"a word","logprobs":[],"obfuscation":"%d"}`},
		"call": {`{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f"}}]}`,
			`{"type":"response.output_item.added","sequence_number":2,"output_index":0,"item":{"id":"fc_1","type":"function_call","call_id":"c","name":"f","arguments":""}}`,
			`{"type":"response.function_call_arguments.delta","sequence_number":%d,"item_id":"fc_1","output_index":0,"delta":"{\"a word\"","obfuscation":"%d"}`},
		"stop": {`{"model":"m","stream":true,"stop":["a wordy"],"messages":[{"role":"user","content":"x"}]}`,
			`{"type":"response.output_item.added","sequence_number":2,"output_index":0,"item":{"id":"msg_1","type":"message","content":[]}}`,
			`{"type":"response.output_text.delta","sequence_number":%d,"item_id":"msg_1","output_index":0,"content_index":0,"delta":"a word","logprobs":[],"obfuscation":"%d"}`},
	} {
		var req ChatRequest
		if err := req.Parse([]byte(s.request), RequestLimits{}); err != nil {
			t.Fatal(err)
		}
		d, _ := LookupDialect("openai")
		var turn ChatTurn
		turn.Reset(ChatTurnOptions{Request: &req, Dialect: &d, Seed: testSeed, Created: 1, Events: true})
		dst := turn.Feed(make([]byte, 0, 1<<20), nil, []byte(s.open))
		deltas := make([][]byte, 300)
		for i := range deltas {
			deltas[i] = fmt.Appendf(nil, s.delta, 3+i, i*7919)
		}
		// Buffers grow at first; what is kept of the text has room then.
		i := 0
		for ; i < 100; i++ {
			dst = turn.Feed(dst[:0], nil, deltas[i])
		}
		if n := testing.AllocsPerRun(100, func() {
			dst = turn.Feed(dst[:0], nil, deltas[i])
			i++
		}); n > 0.2 {
			t.Errorf("%s: %.2f allocations for a delta", name, n)
		}
		if turn.Ended() || len(dst) == 0 {
			t.Errorf("%s: nothing comes of it: %s", name, dst)
		}
	}
}

func BenchmarkFrontDelta(b *testing.B) {
	var req ChatRequest
	if err := req.Parse([]byte(`{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}]}`), RequestLimits{}); err != nil {
		b.Fatal(err)
	}
	d, _ := LookupDialect("openai")
	var turn ChatTurn
	delta := []byte(`{"type":"response.output_text.delta","sequence_number":12345,"item_id":"msg_0123456789abcdef00aabbccdd11223344556677889900aabc","output_index":0,"content_index":0,"delta":"the quick brown fox","logprobs":[],"obfuscation":"a1b2c3"}`)
	dst := make([]byte, 0, 1<<16)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if n%10_000 == 0 {
			turn.Reset(ChatTurnOptions{Request: &req, Dialect: &d, Seed: testSeed, Created: 1, Events: true})
		}
		n++
		dst = turn.Feed(dst[:0], nil, delta)
	}
}

func BenchmarkFrontRequest64KB(b *testing.B) {
	var body bytes.Buffer
	body.WriteString(`{"model":"m","messages":[`)
	for i := range 60 {
		if i > 0 {
			body.WriteByte(',')
		}
		fmt.Fprintf(&body, `{"role":"user","content":%q}`, bytes.Repeat([]byte("the quick brown fox jumps over "), 33)[:1000])
	}
	body.WriteString(`]}`)
	raw := body.Bytes()
	d, _ := LookupDialect("openai")
	var req ChatRequest
	var losses Losses
	dst := make([]byte, 0, 1<<18)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if err := req.Parse(raw, RequestLimits{}); err != nil {
			b.Fatal(err)
		}
		losses.Reset()
		dst, _ = req.AppendResponses(dst[:0], ResponsesOptions{Dialect: &d, Losses: &losses})
	}
}

// contradicted reports whether a reply has contradicted itself: what is not streamed is
// another one then, which has what was said at the end.
func contradicted(losses *Losses) bool {
	return losses != nil && slices.ContainsFunc(losses.Entries, func(l Loss) bool { return l.Rule == ruleChatReplyContradiction })
}
