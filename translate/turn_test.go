package translate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/antiphon-proxy/antiphon/translate/sse"
	"github.com/antiphon-proxy/antiphon/translate/streamcheck"
)

// pump is a turn behind an SSE decoder, as the proxy runs it.
type pump struct {
	turn *Turn
	dec  sse.Decoder
	out  []byte

	repair func(Rejected) []byte // the reply to a request for a call that is asked for again
}

func (p *pump) feed(piece []byte) {
	p.dec.Feed(piece)
	for e, ok := p.dec.Next(); ok; e, ok = p.dec.Next() {
		p.event(e)
	}
}

func (p *pump) event(e sse.Event) {
	if string(e.Data) == "[DONE]" {
		p.out = p.turn.Done(p.out)
		return
	}
	p.out = p.turn.Feed(p.out, e.Data)
}

// finish is the end of the upstream's bytes.
func (p *pump) finish() {
	if e, ok := p.dec.Finish(); ok {
		p.out = p.turn.FeedLast(p.out, e.Data)
	}
	p.out = p.turn.Finish(p.out)
	if r, waits := p.turn.Rejected(); waits {
		var again []byte
		if p.repair != nil {
			again = p.repair(r)
		}
		p.out = p.turn.Repaired(p.out, again)
	}
	p.out = p.turn.Terminal(p.out, testCreated+1, p.turn.opt.Request.Store, false)
}

// streamThrough runs a whole upstream stream through a turn.
func streamThrough(turn *Turn, upstream []byte) []byte {
	return inPieces(turn, upstream)
}

// inPieces is streamThrough with cuts at the given offsets.
func inPieces(turn *Turn, upstream []byte, cuts ...int) []byte {
	p := pump{turn: turn}
	return p.run(upstream, cuts...)
}

// run is the whole of a stream, with cuts at the given offsets.
func (p *pump) run(upstream []byte, cuts ...int) []byte {
	p.out = p.turn.Begin(nil)
	from := 0
	for _, c := range append(cuts, len(upstream)) {
		p.feed(bytes.Clone(upstream[from:c])) // a copy of its own: nothing may be kept
		from = c
	}
	p.finish()
	return p.out
}

func checkOptions(c *goldenCase) streamcheck.Options {
	return streamcheck.Options{OpenResponses: c != nil && c.Options.OpenResponses, AllowDone: true}
}

// checkStream holds a stream against the grammar, and its terminal object
// against what its events add up to.
func checkStream(t *testing.T, c *goldenCase, events []byte) {
	t.Helper()
	opt := checkOptions(c)
	if opt.OpenResponses {
		events = append(bytes.Clone(events), "data: [DONE]\n\n"...)
	}
	for _, v := range streamcheck.Stream(events, opt) {
		t.Error(v)
	}
	f, err := streamcheck.Fold(events, opt)
	if err != nil {
		t.Errorf("fold: %v", err)
		return
	}
	if !sameJSON(f.Response, f.Terminal) {
		t.Errorf("the events add up to another response:\n%s\n%s", f.Response, f.Terminal)
	}
}

func checkResponse(t *testing.T, response []byte) {
	t.Helper()
	for _, v := range streamcheck.Response(response) {
		t.Error(v)
	}
}

func sameJSON(a, b []byte) bool {
	var x, y any
	return bytes.Equal(a, b) || json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

// streamCase is something that a backend streamed, with the request it answers.
type streamCase struct {
	name    string
	golden  *goldenCase // nil for a transcript
	sse     []byte
	options func(t *testing.T) TurnOptions
}

// streamCases are all streams of the golden cases and the transcripts.
func streamCases(t *testing.T) (cases []streamCase) {
	for _, c := range goldenCases(t) {
		raw := c.File("upstream.sse")
		if raw == nil || c.start(t).err != nil {
			continue
		}
		cases = append(cases, streamCase{c.Name, c, raw, func(t *testing.T) TurnOptions { return c.start(t).options }})
	}
	for _, tr := range transcripts(t) {
		if !tr.stream {
			continue
		}
		cases = append(cases, streamCase{tr.name, nil, tr.body, tr.options})
	}
	return cases
}

// raceEnabled says that the race detector is on.
var raceEnabled bool

// step is how far apart the places are where a stream is cut: everywhere, but
// not under the race detector, which is slow and has little to find in code that
// starts no goroutine: there they are a prime distance apart, so that every place
// in a line gets its turn.
func step(stream []byte) int {
	switch {
	case !raceEnabled:
		return 1
	case len(stream) > 16<<10:
		return 61
	}
	return 13
}

// TestSplits: how the upstream's bytes are cut does not show.
func TestSplits(t *testing.T) {
	for _, c := range streamCases(t) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var turn Turn
			run := func(cuts ...int) string {
				turn.Reset(c.options(t))
				return string(inPieces(&turn, c.sse, cuts...))
			}
			want := run()
			check := func(cuts ...int) bool {
				if got := run(cuts...); got != want {
					t.Errorf("cut at %v: %s", cuts[:min(len(cuts), 8)], diffLines(want, got))
					return false
				}
				return true
			}
			for i := 1; i < len(c.sse); i += step(c.sse) {
				if !check(i) {
					return
				}
			}
			every := make([]int, 0, len(c.sse))
			for i := 1; i < len(c.sse); i++ {
				every = append(every, i)
			}
			check(every...)
			r := rand.New(rand.NewPCG(1, uint64(len(c.sse))))
			for range 50 {
				var cuts []int
				for at := 0; ; {
					at += 1 + r.IntN(200)
					if at >= len(c.sse) {
						break
					}
					cuts = append(cuts, at)
				}
				check(cuts...)
			}
		})
	}
}

// TestCutAnywhere: wherever the upstream's bytes end, there is exactly one
// terminal event, and the stream is grammatical.
func TestCutAnywhere(t *testing.T) {
	for _, c := range streamCases(t) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var turn Turn
			var last []byte
			for i := 0; i < len(c.sse) && !t.Failed(); i += step(c.sse) {
				turn.Reset(c.options(t))
				events := inPieces(&turn, c.sse[:i])
				if again := turn.Feed(nil, []byte(`{"choices":[{"delta":{"content":"x"}}]}`)); len(again) > 0 {
					t.Error("there is life after the terminal event")
				}
				if bytes.Equal(events, last) { // a cut in the middle of an event
					continue
				}
				last = bytes.Clone(events)
				checkStream(t, c.golden, events)
				if n := terminals(events); n != 1 {
					t.Errorf("%d terminal events", n)
				}
				if t.Failed() {
					t.Logf("cut at %d of %d:\n%s", i, len(c.sse), events)
				}
			}
		})
	}
}

func terminals(events []byte) int {
	n := 0
	for _, name := range []string{"completed", "incomplete", "failed"} {
		n += bytes.Count(events, []byte("event: response."+name+"\n"))
	}
	return n
}

// TestQuietEqualsStream: a turn without events ends up with the same response as
// one with them, and a whole message as the stream of it.
func TestQuietEqualsStream(t *testing.T) {
	for _, c := range streamCases(t) {
		t.Run(c.name, func(t *testing.T) {
			var loud, quiet Turn
			loud.Reset(c.options(t))
			streamThrough(&loud, c.sse)
			opt := c.options(t)
			opt.Events = false
			quiet.Reset(opt)
			if out := streamThrough(&quiet, c.sse); len(out) > 0 {
				t.Errorf("a quiet turn says %q", out)
			}
			a, b := loud.Response(nil, testCreated, true), quiet.Response(nil, testCreated, true)
			if !bytes.Equal(a, b) {
				t.Errorf("%s", diffLines(string(a), string(b)))
			}
			checkResponse(t, b)
		})
	}
}

// TestShapeChangesNothing: the fast path for repeated chunks says what the slow
// one says.
func TestShapeChangesNothing(t *testing.T) {
	for _, c := range streamCases(t) {
		var fast, slow Turn
		fast.Reset(c.options(t))
		want := streamThrough(&fast, c.sse)
		slow.Reset(c.options(t))
		p := pump{turn: &slow, out: slow.Begin(nil)}
		p.dec.Feed(c.sse)
		for e, ok := p.dec.Next(); ok; e, ok = p.dec.Next() {
			slow.shape.clear()
			p.event(e)
		}
		p.finish()
		if !bytes.Equal(p.out, want) {
			t.Errorf("%s: %s", c.name, diffLines(string(p.out), string(want)))
		}
	}
}

// transcript is an exchange captured from a real server.
type transcript struct {
	name   string
	status int
	stream bool
	body   []byte
	req    []byte // the chat request
}

// options makes up the Responses request that a transcript answers.
func (tr *transcript) options(t *testing.T) TurnOptions {
	var r Request
	var chat struct {
		Logprobs bool `json:"logprobs"`
	}
	_ = json.Unmarshal(tr.req, &chat)
	body := `{"model":"tiny","input":"Hello"}`
	if chat.Logprobs {
		body = `{"model":"tiny","input":"Hello","include":["message.output_text.logprobs"]}`
	}
	if err := r.Parse([]byte(body), RequestLimits{}); err != nil {
		t.Fatal(err)
	}
	name := "llama.cpp"
	if strings.HasPrefix(tr.name, "ollama") {
		name = "ollama"
	}
	d, _ := LookupDialect(name)
	return TurnOptions{Request: &r, Dialect: &d, Seed: testSeed, Created: testCreated, Events: true, Losses: new(Losses)}
}

func transcripts(t *testing.T) (all []*transcript) {
	t.Helper()
	paths, _ := filepath.Glob("../testdata/transcripts/*.res.txt")
	if len(paths) == 0 {
		t.Fatal("no transcripts")
	}
	for _, p := range paths {
		raw, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		req, _ := os.ReadFile(strings.TrimSuffix(p, ".res.txt") + ".req.json")
		name := strings.TrimSuffix(filepath.Base(p), ".res.txt")
		tr := readTranscript(name, raw)
		tr.req = req
		all = append(all, &tr)
	}
	return all
}

// readTranscript reads a response as it was captured.
func readTranscript(name string, raw []byte) transcript {
	head, body, ok := bytes.Cut(raw, []byte("\r\n\r\n"))
	if !ok {
		head, body, _ = bytes.Cut(raw, []byte("\n\n"))
	}
	tr := transcript{name: name, body: body}
	if f := strings.Fields(string(head)); len(f) > 1 {
		tr.status, _ = strconv.Atoi(f[1])
	}
	tr.stream = tr.status == 200 && bytes.Contains(bytes.ToLower(head), []byte("text/event-stream"))
	if tr.stream && (strings.HasSuffix(name, "rawframes") || strings.Contains(name, "killed-midstream")) {
		tr.body = unchunk(body)
	}
	return tr
}

// unchunk removes chunked framing, also of a body that was cut off.
func unchunk(raw []byte) (body []byte) {
	for {
		line, rest, ok := bytes.Cut(raw, []byte("\r\n"))
		n, err := strconv.ParseUint(string(line), 16, 31)
		if !ok || err != nil || n == 0 {
			return body
		}
		body = append(body, rest[:min(int(n), len(rest))]...)
		if int(n)+2 > len(rest) {
			return body
		}
		raw = rest[n+2:]
	}
}

// TestTranscripts runs everything that real servers said through the turn.
func TestTranscripts(t *testing.T) {
	var streams, messages, errors int
	for _, tr := range transcripts(t) {
		t.Run(tr.name, func(t *testing.T) {
			switch {
			case tr.status == 0, !bytes.Contains(tr.req, []byte(`"messages"`)) && tr.status == 200 && !tr.stream:
				t.Logf("status %d, %d bytes: not a chat exchange", tr.status, len(tr.body))
			case tr.status != 200:
				errors++
				e := UpstreamError(tr.status, tr.body)
				if e.Status < 400 || e.Message == "" || e.Type == "" {
					t.Errorf("%+v", e)
				}
			case tr.stream:
				streams++
				var turn Turn
				turn.Reset(tr.options(t))
				events := streamThrough(&turn, tr.body)
				checkStream(t, nil, events)
				cut := strings.Contains(tr.name, "killed") || bytes.Contains(tr.body, []byte(`data: {"error"`))
				if failed := turn.Status() == "failed"; failed != cut {
					t.Errorf("status %s: %v", turn.Status(), turn.Failure())
				}
			default:
				messages++
				var quiet, loud Turn
				opt := tr.options(t)
				loud.Reset(opt)
				events := loud.FeedMessage(loud.Begin(nil), tr.body)
				checkStream(t, nil, loud.Terminal(events, testCreated, true, false))
				opt.Events = false
				quiet.Reset(opt)
				quiet.FeedMessage(nil, tr.body)
				if quiet.Status() == "failed" {
					t.Errorf("failed: %v", quiet.Failure())
				}
				response := quiet.Response(nil, testCreated, true)
				checkResponse(t, response)
				if said := loud.Response(nil, testCreated, true); !bytes.Equal(said, response) {
					t.Errorf("%s", diffLines(string(said), string(response)))
				}
			}
		})
	}
	t.Logf("%d streams, %d messages, %d errors", streams, messages, errors)
	if streams < 40 || messages < 60 || errors < 30 {
		t.Error("transcripts are missing")
	}
}

func ExampleTurn() {
	var req Request
	if err := req.Parse([]byte(`{"model":"m","input":"Hi","stream":true}`), RequestLimits{}); err != nil {
		panic(err)
	}
	dialect, _ := LookupDialect("generic")
	var turn Turn
	turn.Reset(TurnOptions{Request: &req, Dialect: &dialect, Seed: testSeed, Created: 1, Events: true})
	out := turn.Begin(nil)
	out = turn.Feed(out, []byte(`{"choices":[{"index":0,"delta":{"content":"Hello"}}]}`))
	out = turn.Feed(out, []byte(`{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`))
	out = turn.Done(out)
	out = turn.Terminal(out, 2, true, false)
	for line := range strings.SplitSeq(string(out), "\n") {
		if name, ok := strings.CutPrefix(line, "event: "); ok {
			fmt.Println(name)
		}
	}
	// Output:
	// response.created
	// response.in_progress
	// response.output_item.added
	// response.content_part.added
	// response.output_text.delta
	// response.output_text.done
	// response.content_part.done
	// response.output_item.done
	// response.completed
}
