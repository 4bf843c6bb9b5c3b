package translate

import (
	"bytes"
	"slices"
	"testing"

	"github.com/antiphon-proxy/antiphon/internal/goldencase"
	"github.com/antiphon-proxy/antiphon/translate/sse"
	"github.com/antiphon-proxy/antiphon/translate/streamcheck"
)

// Golden cases of responses that are completed on the way are in
// testdata/cases/responses_responses: client.json, upstream.sse or upstream.json,
// and what comes out: out/events, out/response.json, out/losses. The option
// "own_ids: true" gives the response ids of ours, and "request: show" shows what goes up
// in out/request.json.
func mendCases(tb testing.TB) []*goldenCase {
	tb.Helper()
	var cases []*goldenCase
	for _, c := range casesIn(tb, goldencase.ResponsesResponses) {
		cases = append(cases, &goldenCase{c, dialectOf(tb, c)})
	}
	return cases
}

// mendStream is something that a half-built backend streamed.
type mendStream struct {
	name  string
	sse   []byte
	start func(tb testing.TB) (TurnOptions, bool)
}

func (c *goldenCase) mend(tb testing.TB) (TurnOptions, bool) {
	var req Request
	if err := req.Parse(bytes.TrimSpace(bytes.Clone(c.File("client.json"))), RequestLimits{}); err != nil {
		tb.Fatal(err)
	}
	if err := req.PrepareOwn(nil, &c.dialect); err != nil {
		tb.Fatal(err)
	}
	return TurnOptions{
		Request: &req, Dialect: &c.dialect, Seed: testSeed, Created: testCreated, Events: true, Losses: new(Losses),
	}, c.Options.OwnIDs
}

func mendStreams(tb testing.TB) (streams []mendStream) {
	for _, c := range mendCases(tb) {
		if raw := c.File("upstream.sse"); raw != nil {
			streams = append(streams, mendStream{c.Name, raw, c.mend})
		}
	}
	for _, tr := range responsesTranscripts(tb) {
		if tr.stream {
			streams = append(streams, mendStream{tr.name, tr.body, tr.mend})
		}
	}
	return streams
}

// mend is the client's request of a transcript.
func (tr *responsesTranscript) mend(tb testing.TB) (TurnOptions, bool) {
	var req Request
	body := bytes.Clone(tr.req)
	if err := req.Parse(body, RequestLimits{}); err != nil {
		body = []byte(`{"model":"tiny","input":"Hello"}`)
		if err := req.Parse(body, RequestLimits{}); err != nil {
			tb.Fatal(err)
		}
	}
	return TurnOptions{
		Request: &req, Dialect: &tr.dialect, Seed: testSeed, Created: testCreated, Events: true, Losses: new(Losses),
	}, false
}

// mendPieces runs a stream through a turn, cut at the given offsets.
func mendPieces(turn *ResponsesTurn, upstream []byte, cuts ...int) []byte {
	var dec sse.Decoder
	out := turn.Begin(nil)
	from := 0
	for _, cut := range append(slices.Clone(cuts), len(upstream)) {
		dec.Feed(bytes.Clone(upstream[from:cut]))
		for e, ok := dec.Next(); ok; e, ok = dec.Next() {
			out = turn.Feed(out, e.Name, e.Data)
		}
		from = cut
	}
	if e, ok := dec.Finish(); ok {
		out = turn.FeedLast(out, e.Name, e.Data)
	}
	out = turn.Finish(out)
	return turn.Terminal(out, testCreated+1, false, false)
}

func TestMendGolden(t *testing.T) {
	for _, c := range mendCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			opt, own := c.mend(t)
			var sent []byte
			if c.Options.ShowRequest {
				var err error
				if sent, err = opt.Request.AppendOwnResponses(nil, OwnResponsesOptions{Dialect: &c.dialect, Losses: opt.Losses}); err != nil {
					t.Fatal(err)
				}
			}
			var turn ResponsesTurn
			turn.Reset(opt, own)
			var events []byte
			if raw := c.File("upstream.sse"); raw != nil {
				events = mendPieces(&turn, raw)
			} else {
				events = turn.FeedMessage(turn.Begin(nil), bytes.TrimSpace(c.File("upstream.json")))
				events = turn.Terminal(events, testCreated+1, false, false)
			}
			checkStream(t, nil, events)
			response := turn.Response(nil, testCreated+1, false)
			checkResponse(t, response)
			echo := turn.echo
			got := []goldencase.File{
				{Name: "out/events", Data: bytes.ReplaceAll(events, echo, []byte(`,"…":"echo"`))},
				{Name: "out/response.json", Data: indent(t, bytes.ReplaceAll(response, echo, []byte(`,"…":"echo"`)))},
			}
			if sent != nil {
				got = append(got, goldencase.File{Name: "out/request.json", Data: indent(t, sent)})
			}
			if !opt.Losses.Empty() {
				got = append(got, goldencase.File{Name: "out/losses", Data: lossLines(opt.Losses)})
			}
			compareGolden(t, c.Case, got)
		})
	}
}

// TestMendStreams: what half-built backends stream comes out grammatical, with
// one end, whole and cut off anywhere, and depends on nothing but the data.
func TestMendStreams(t *testing.T) {
	for _, s := range mendStreams(t) {
		t.Run(s.name, func(t *testing.T) {
			var turn ResponsesTurn
			opt, own := s.start(t)
			run := func(upstream []byte, cuts ...int) []byte {
				opt.Losses.Reset()
				turn.Reset(opt, own)
				return mendPieces(&turn, upstream, cuts...)
			}
			want := run(s.sse)
			checkStream(t, nil, want)
			loud := turn.Response(nil, testCreated+1, false)
			checkResponse(t, loud)
			var quiet ResponsesTurn
			silent := opt
			silent.Events, silent.Losses = false, nil
			quiet.Reset(silent, own)
			if out := mendPieces(&quiet, s.sse); len(out) > 0 {
				t.Errorf("a quiet turn says %s", out)
			}
			if b := quiet.Response(nil, testCreated+1, false); !bytes.Equal(loud, b) {
				t.Errorf("%s", diffLines(string(loud), string(b)))
			}
			var last []byte
			for i := 0; i < len(s.sse) && !t.Failed(); i += frontStep(s.sse) {
				if i > 0 {
					if got := run(s.sse, i); !bytes.Equal(got, want) {
						t.Errorf("cut at %d: %s", i, diffLines(string(want), string(got)))
					}
				}
				events := run(s.sse[:i])
				if again := turn.Feed(nil, nil, []byte(`{"type":"response.output_text.delta","delta":"x"}`)); len(again) > 0 {
					t.Error("there is life after the end")
				}
				if bytes.Equal(events, last) {
					continue
				}
				last = bytes.Clone(events)
				checkStream(t, nil, events)
				if n := terminals(events); n != 1 {
					t.Errorf("%d terminal events", n)
				}
				if t.Failed() {
					t.Logf("cut at %d of %d:\n%s", i, len(s.sse), events)
				}
			}
		})
	}
}

// TestMendTranscripts: every answer of two real half-built servers comes out
// whole, with the texts and ids it came with.
func TestMendTranscripts(t *testing.T) {
	whole := 0
	for _, tr := range responsesTranscripts(t) {
		if tr.status != 200 || tr.stream || !bytes.Contains(tr.body, []byte(`"output":`)) {
			continue
		}
		whole++
		opt, own := tr.mend(t)
		opt.Events = false
		var turn ResponsesTurn
		turn.Reset(opt, own)
		turn.FeedMessage(nil, tr.body)
		got := turn.Response(nil, testCreated+1, false)
		for _, v := range streamcheck.Response(got) {
			t.Errorf("%s: %s", tr.name, v)
		}
		if !bytes.Contains(tr.body, []byte(`"id":"`+turn.ID()+`"`)) {
			t.Errorf("%s: the id became %s", tr.name, turn.ID())
		}
		if texts := textsOf(t, tr.body); texts != textsOf(t, got) {
			t.Errorf("%s: %s\n%s", tr.name, tr.body, got)
		}
	}
	if whole < 30 {
		t.Error("transcripts are missing")
	}
}

// TestMendAllocations: a delta of a stream that runs costs no memory.
func TestMendAllocations(t *testing.T) {
	var req Request
	if err := req.Parse([]byte(`{"model":"m","input":"x","stream":true}`), RequestLimits{}); err != nil {
		t.Fatal(err)
	}
	d, _ := LookupDialect("llama.cpp")
	var turn ResponsesTurn
	turn.Reset(TurnOptions{Request: &req, Dialect: &d, Seed: testSeed, Created: 1, Events: true}, false)
	delta := []byte(`{"type":"response.output_text.delta","item_id":"msg_1","delta":"a word"}`)
	dst := make([]byte, 0, 1<<16)
	for range 200 {
		dst = turn.Feed(dst[:0], nil, delta)
	}
	if n := testing.AllocsPerRun(100, func() { dst = turn.Feed(dst[:0], nil, delta) }); n > 0.2 {
		t.Errorf("%.2f allocations for a delta", n)
	}
}
