package translate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/antiphon-proxy/antiphon/internal/goldencase"
	"github.com/antiphon-proxy/antiphon/translate/sse"
	"github.com/antiphon-proxy/antiphon/translate/streamcheck"
)

// Golden cases of the other direction are in testdata/cases/chat_responses: a
// chat client in front of a Responses backend. The files of a case:
//
//	options             key: value lines; see internal/goldencase/options.go
//	kept.json           optional: reasoning that was kept, [{"key","name","payload","before_message","before_call"}]
//	client.json         the client's chat request
//	upstream.sse        what the backend streams (upstream-2.sse … for further choices); or
//	upstream.json       the response object that it answers with (upstream-2.json …); or
//	upstream.err        an HTTP error of it: the status on the first line, then the body
//
// and what comes out:
//
//	out/responses.json  the request to the backend
//	out/losses          the loss report
//	out/error.json      the error, with its status
//	out/chunks          the chunks of the stream
//	out/completion.json the final chat.completion
//	out/kept.json       the reasoning to keep, if options say "keep: true"
type frontCase struct {
	*goldencase.Case
	dialect Dialect
}

func frontCases(tb testing.TB) []*frontCase {
	tb.Helper()
	var cases []*frontCase
	for _, c := range casesIn(tb, goldencase.ChatResponses) {
		cases = append(cases, &frontCase{c, dialectOf(tb, c)})
	}
	return cases
}

// frontExchange is one run of a case.
type frontExchange struct {
	req     ChatRequest
	losses  Losses
	body    []byte
	err     *Error
	options ChatTurnOptions
}

func (c *frontCase) start(tb testing.TB) *frontExchange {
	tb.Helper()
	x := &frontExchange{}
	if x.err = x.req.Parse(bytes.TrimSpace(bytes.Clone(c.File("client.json"))), RequestLimits{}); x.err != nil {
		return x
	}
	opt := ResponsesOptions{
		Dialect: &c.dialect, Model: c.Options.Model, KeepReasoning: c.Options.Keep,
		NamePrefix: c.Options.NamePrefix, Losses: &x.losses,
	}
	if raw := c.File("kept.json"); raw != nil {
		opt.Kept = keptFrom(tb, raw)
	}
	x.body, x.err = x.req.AppendResponses(nil, opt)
	if x.err == nil && c.Options.Loss == "strict" {
		x.err = x.losses.Refusal()
	}
	x.options = ChatTurnOptions{
		Request: &x.req, Dialect: &c.dialect, Seed: testSeed, Created: testCreated, Events: x.req.Stream,
		Reasoning: c.Options.Reasoning, FinalOnly: c.Options.FinalOnly, Obfuscate: c.Options.Obfuscate, MaxBytes: c.Options.MaxBytes,
		Losses: &x.losses,
	}
	return x
}

// keptFrom reads kept reasoning as a case writes it.
func keptFrom(tb testing.TB, raw []byte) func([]byte) *KeptReasoning {
	var list []struct {
		Key, Text, Name, Payload string
		BeforeMessage            []json.RawMessage `json:"before_message"`
		BeforeCall               []json.RawMessage `json:"before_call"`
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		tb.Fatal(err)
	}
	all := map[string]*KeptReasoning{}
	for _, k := range list {
		kept := &KeptReasoning{Key: k.Key, Call: callSum([]byte(k.Name), []byte(strings.Trim(quote(k.Payload), `"`)))}
		if k.Text != "" {
			kept.Key, kept.Call = k.Text, 0
		}
		for _, it := range k.BeforeMessage {
			kept.BeforeMessage = append(kept.BeforeMessage, it)
		}
		for _, it := range k.BeforeCall {
			kept.BeforeCall = append(kept.BeforeCall, it)
		}
		all[kept.Key] = kept
	}
	return func(key []byte) *KeptReasoning { return all[string(key)] }
}

func (x *frontExchange) check() streamcheck.ChatOptions {
	return streamcheck.ChatOptions{Choices: x.req.N, Usage: x.req.IncludeUsage, Logprobs: x.req.Logprobs}
}

func TestFrontGolden(t *testing.T) {
	cases := frontCases(t)
	if len(cases) < 120 {
		t.Errorf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			compareGolden(t, c.Case, c.run(t))
		})
	}
}

// run makes the output files of a case.
func (c *frontCase) run(t *testing.T) (out []goldencase.File) {
	add := func(name string, data []byte) { out = append(out, goldencase.File{Name: "out/" + name, Data: data}) }
	x := c.start(t)
	if x.err == nil {
		add("responses.json", indent(t, x.body))
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
	if status, body, _ := c.UpstreamError(); status != 0 {
		add("error.json", errorFile(t, ChatUpstreamError(status, body, &x.req)))
		return finish()
	}
	if c.File("upstream.sse") == nil && c.File("upstream.json") == nil {
		return finish()
	}
	var turns ChatChoices
	turns.Reset(x.options)
	chunks := c.feed(&turns, nil)
	if e := turns.Failed(); e != nil {
		add("error.json", errorFile(t, e))
	}
	if x.req.Stream {
		checkChunks(t, x, chunks)
		add("chunks", chunks)
	}
	if whole := turns.Completion(nil); whole != nil {
		for _, v := range streamcheck.ChatCompletion(whole, x.check()) {
			t.Error(v)
		}
		if x.req.Stream {
			folded(t, x, chunks, whole)
		}
		add("completion.json", indent(t, whole))
	}
	if c.Options.Keep {
		add("kept.json", indent(t, keptJSON(turns.Turn(0).Kept())))
	}
	return finish()
}

func keptJSON(kept []KeptReasoning) []byte {
	type entry struct {
		Key           string            `json:"key"`
		BeforeMessage []json.RawMessage `json:"before_message,omitempty"`
		BeforeCall    []json.RawMessage `json:"before_call,omitempty"`
	}
	all := []entry{}
	for _, k := range kept {
		e := entry{Key: k.Key}
		for _, it := range k.BeforeMessage {
			e.BeforeMessage = append(e.BeforeMessage, it)
		}
		for _, it := range k.BeforeCall {
			e.BeforeCall = append(e.BeforeCall, it)
		}
		all = append(all, e)
	}
	raw, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	return raw
}

// upstream is what the backend says for a choice, and whether it streams it.
func (c *frontCase) upstream(choice int) (raw []byte, streamed bool) {
	suffix := ""
	if choice > 0 {
		suffix = "-" + strconv.Itoa(choice+1)
	}
	if raw = c.File("upstream" + suffix + ".sse"); raw != nil {
		return raw, true
	}
	return c.File("upstream" + suffix + ".json"), false
}

// feed runs what the backend says through the turns, in pieces when cuts are
// given: those of the first choice.
func (c *frontCase) feed(turns *ChatChoices, cuts []int) []byte {
	var out []byte
	for i := range turns.n {
		raw, streamed := c.upstream(i)
		if !streamed {
			out = turns.Turn(i).FeedMessage(out, bytes.TrimSpace(raw))
		} else if i == 0 {
			out = chatPieces(out, turns.Turn(i), raw, cuts...)
		} else {
			out = chatPieces(out, turns.Turn(i), raw)
		}
		if turns.n > 1 {
			out = turns.Turn(i).Terminal(out)
		}
	}
	return turns.Terminal(out)
}

// chatPieces runs a stream through a turn, cut at the given offsets, as a proxy
// does.
func chatPieces(out []byte, turn *ChatTurn, upstream []byte, cuts ...int) []byte {
	var dec sse.Decoder
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
	return turn.Finish(out)
}

func checkChunks(t *testing.T, x *frontExchange, chunks []byte) {
	t.Helper()
	for _, v := range streamcheck.ChatStream(chunks, x.check()) {
		t.Error(v)
	}
}

// folded holds what the chunks add up to against the final object (I4). What a
// stream does not carry is left out of both.
func folded(t *testing.T, x *frontExchange, chunks, whole []byte) {
	t.Helper()
	f, err := streamcheck.FoldChat(chunks, x.check())
	if err != nil {
		t.Error(err)
		return
	}
	strip := func(raw []byte) map[string]any {
		var m map[string]any
		if err := json.Unmarshal(raw, &m); err != nil {
			t.Fatal(err)
		}
		delete(m, "metadata")
		if !x.req.IncludeUsage {
			delete(m, "usage")
		}
		return m
	}
	a, b := strip(f.Completion), strip(whole)
	if fmt.Sprint(a) != fmt.Sprint(b) {
		t.Errorf("the chunks add up to\n%s\nthe completion is\n%s", f.Completion, whole)
	}
}
