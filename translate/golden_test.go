package translate

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/antiphon-proxy/antiphon/internal/goldencase"
)

var update = flag.Bool("update", false, "write what the code does to the golden files")

// Golden cases are whole exchanges in testdata/cases/responses_chat, one file a
// behaviour. The comment at the head says what it shows. The files of a case:
//
//	options           key: value lines; see internal/goldencase/options.go
//	history.json      optional: stored turns before this one, [{"input":[…],"output":[…]}, …]
//	references.json   optional: the stored items that item references stand for, [item, …]
//	client.json       the client's request
//	upstream.sse      what the backend streams; or
//	upstream.json     what it answers with as a whole; or
//	again.json        what the backend answers when a call is asked for again
//	upstream.err      an HTTP error of it: the status on the first line, then the body
//
// and what comes out, written by go test ./translate -run Golden -update:
//
//	out/chat.json     the request to the backend
//	out/chat-again.json  the request that asks for a call again
//	out/losses        the loss report
//	out/error.json    the error, with its status, if the request is refused
//	out/events        the events of the stream
//	out/response.json the final response object
//	out/noticed       the facts that the reply shows about the backend
//	out/stored.json   the input items as they are stored, if options say so
//
// The echo of the request in response objects is left out of the last three
// unless options say "echo: show".
type goldenCase struct {
	*goldencase.Case
	dialect Dialect
}

// dialectOf is the dialect that the options of a case name, with what they set.
func dialectOf(tb testing.TB, c *goldencase.Case) Dialect {
	tb.Helper()
	d, ok := LookupDialect(c.Options.Dialect)
	if !ok {
		tb.Fatalf("%s: dialect %q", c.Name, c.Options.Dialect)
	}
	for _, s := range c.Options.Set {
		if _, err := d.Set(s.Key, s.Value); err != nil {
			tb.Fatalf("%s: set: %v", c.Name, err)
		}
	}
	return d
}

// casesIn are the cases of an arrow.
func casesIn(tb testing.TB, arrow string) []*goldencase.Case {
	tb.Helper()
	cases, err := goldencase.LoadAll("../testdata/cases/" + arrow)
	if err != nil {
		tb.Fatal(err)
	}
	return cases
}

// testSeed gives the same ids every time.
var testSeed = Seed{0: 0xa1, 1: 0xb2, 2: 0xc3, 7: 0x77, 21: 0x21}

const testCreated = 1_700_000_000

// exchange is one run of a case.
type exchange struct {
	req     Request
	losses  Losses
	chat    []byte
	err     *Error
	options TurnOptions
	history *History
	fetched map[string]FetchedFile
}

// start does what a proxy does before it talks to the backend.
func (c *goldenCase) start(t *testing.T) *exchange {
	t.Helper()
	x := &exchange{}
	body := bytes.TrimSpace(bytes.Clone(c.File("client.json")))
	if x.err = x.req.Parse(body, RequestLimits{}); x.err != nil {
		return x
	}
	var sealer Sealer = plainSealer{}
	var opener Opener = plainSealer{}
	if c.Options.Unsealed {
		sealer, opener = nil, nil
	}
	h := &History{}
	if turns := c.File("history.json"); turns != nil {
		var stored []struct{ Input, Output json.RawMessage }
		if err := json.Unmarshal(turns, &stored); err != nil {
			t.Fatal(err)
		}
		for _, s := range stored {
			var err error
			b := HistoryBuilder{Sealer: sealer, Opener: opener}
			if h, err = b.Extend(h, s.Input, s.Output, &c.dialect); err != nil {
				t.Fatal(err)
			}
		}
	}
	x.history = h
	if refs := c.File("references.json"); refs != nil {
		var items []json.RawMessage
		if err := json.Unmarshal(refs, &items); err != nil {
			t.Fatal(err)
		}
		raw := make([][]byte, len(items))
		for i := range items {
			raw[i] = items[i]
		}
		if x.err = x.req.Resolve(raw); x.err != nil {
			return x
		}
	}
	if x.err = x.req.EmptyInput(); x.err != nil {
		return x
	}
	if x.err = x.req.OpenCompactions(opener); x.err != nil {
		return x
	}
	x.fetched = map[string]FetchedFile{}
	urls, ids := x.req.Remote(&c.dialect)
	for _, url := range urls {
		if strings.Contains(url, "fetchable") {
			x.fetched[url] = FetchedFile{Data: []byte("data:image/png;base64,UE5H")}
		}
	}
	for _, id := range ids {
		if strings.Contains(id, "fetchable") {
			x.fetched[FileIDKey(id)] = FetchedFile{[]byte("data:application/pdf;base64,UERG"), id + ".pdf"}
		}
	}
	x.chat, x.err = x.req.AppendChat(nil, ChatOptions{Fetched: x.fetched, Dialect: &c.dialect, Model: c.Options.Model, History: h, Losses: &x.losses, Sealer: sealer})
	if x.err == nil && c.Options.Loss == "strict" {
		x.err = x.losses.Refusal()
	}
	x.options = TurnOptions{
		Request: &x.req, Dialect: &c.dialect, Seed: testSeed, Created: testCreated, Events: true,
		MaxBytes: c.Options.MaxBytes, OpenResponses: c.Options.OpenResponses, Obfuscate: c.Options.Obfuscate, Grammar: GrammarPolicy(c.Options.Grammar), Losses: &x.losses,
		Checked: x.req.CheckedFormat(&c.dialect) != nil,
		Sealer:  sealer, Compaction: []byte(c.Options.Compaction),
	}
	return x
}

func TestGolden(t *testing.T) {
	for _, c := range goldenCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			compareGolden(t, c.Case, c.run(t))
		})
	}
}

// compareGolden holds what came out against the case, or writes it there.
func compareGolden(t *testing.T, c *goldencase.Case, got []goldencase.File) {
	t.Helper()
	if *update {
		c.SetOutput(got)
		if err := c.Save(); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, fault := range c.Differences(got, diffLines) {
		t.Error(fault)
	}
}

func goldenCases(tb testing.TB) []*goldenCase {
	tb.Helper()
	var cases []*goldenCase
	for _, c := range casesIn(tb, goldencase.ResponsesChat) {
		cases = append(cases, &goldenCase{c, dialectOf(tb, c)})
	}
	return cases
}

// run makes the output files of a case.
func (c *goldenCase) run(t *testing.T) (out []goldencase.File) {
	add := func(name string, data []byte) { out = append(out, goldencase.File{Name: "out/" + name, Data: data}) }
	x := c.start(t)
	if x.err == nil {
		add("chat.json", indent(t, x.chat))
	}
	finish := func() []goldencase.File {
		if !x.losses.Empty() {
			add("losses", lossLines(&x.losses))
		}
		return out
	}
	if x.err != nil {
		add("error.json", errorFile(t, x.err))
		return finish()
	}
	if c.Options.ShowStored {
		stored := x.req.AppendStoredInput(nil, &testSeed)
		add("stored.json", indent(t, stored))
	}
	if status, body, _ := c.UpstreamError(); status != 0 {
		add("error.json", errorFile(t, UpstreamError(status, body)))
		return finish()
	}
	var turn Turn
	turn.Reset(x.options)
	var events []byte
	switch {
	case c.File("upstream.sse") != nil:
		p := pump{turn: &turn, repair: func(r Rejected) []byte {
			if again, ok := AppendRepair(nil, x.chat, &c.dialect, r); ok {
				add("chat-again.json", indent(t, again))
				for _, fault := range legal(again, &c.dialect) {
					t.Error(fault)
				}
			}
			return bytes.TrimSpace(c.File("again.json"))
		}}
		events = p.run(c.upstreamSSE())
	case c.File("upstream.json") != nil:
		events = turn.Begin(events)
		events = turn.FeedMessage(events, bytes.TrimSpace(c.File("upstream.json")))
		events = turn.Terminal(events, testCreated+1, x.req.Store, false)
	default:
		return finish()
	}
	checkStream(t, c, events)
	response := turn.Response(nil, testCreated+1, x.req.Store)
	checkResponse(t, response)
	echo := turn.echo
	if !c.Options.ShowEcho {
		events = bytes.ReplaceAll(events, echo, []byte(`,"…":"echo"`))
		response = bytes.ReplaceAll(response, echo, []byte(`,"…":"echo"`))
	}
	add("events", events)
	add("response.json", indent(t, response))
	var noticed []byte
	for _, f := range turn.Noticed() {
		noticed = append(append(noticed, f.String()...), '\n')
	}
	if noticed != nil {
		add("noticed", noticed)
	}
	return finish()
}

func (c *goldenCase) upstreamSSE() []byte { return c.File("upstream.sse") }

// write stores the output of a case in its file.

func indent(t *testing.T, raw []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		t.Errorf("not JSON: %v\n%s", err, raw)
		return raw
	}
	return append(b.Bytes(), '\n')
}

func errorFile(t *testing.T, e *Error) []byte {
	return append([]byte(fmt.Sprintf("%d\n", e.Status)), indent(t, e.AppendBody(nil))...)
}

func lossLines(l *Losses) []byte {
	var b bytes.Buffer
	for _, e := range l.Entries {
		info := e.Rule.Info()
		advisory := ""
		if info.Advisory {
			advisory = " (advisory)"
		}
		fmt.Fprintf(&b, "%s %s%s %s", info.ID, info.Action, advisory, e.Path)
		if e.Detail != "" {
			fmt.Fprintf(&b, " %q", e.Detail)
		}
		b.WriteByte('\n')
	}
	if l.More > 0 {
		fmt.Fprintf(&b, "and %d more\n", l.More)
	}
	return b.Bytes()
}

// diffLines shows where two texts part.
func diffLines(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(w), len(g)) {
		a, b := "(end)", "(end)"
		if i < len(w) {
			a = w[i]
		}
		if i < len(g) {
			b = g[i]
		}
		if a != b {
			return fmt.Sprintf("line %d\nwant %s\n got %s", i+1, a, b)
		}
	}
	return "the same lines"
}

// AppendStoredInput stores the request's input and lists it again.
func (r *Request) AppendStoredInput(dst []byte, seed *Seed) []byte {
	stored, _ := r.StorableInput()
	dst, err := AppendListedInput(dst, stored, seed.ResponseID())
	if err != nil {
		panic(err)
	}
	return dst
}
