package translate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/antiphon-proxy/antiphon/translate/sse"
	"github.com/antiphon-proxy/antiphon/translate/streamcheck"
)

// Golden cases of the other direction are in testdata/cases/chat_responses: a
// chat client in front of a Responses backend. The files of a case:
//
//	options             key: value lines; see frontOptions
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
	name    string
	ar      *txtar.Archive
	opt     frontOptions
	dialect Dialect
}

type frontOptions struct {
	loss, model                       string
	keep, reasoning, final, nameFirst bool
	obfuscate                         bool
	maxBytes                          int
}

func (c *frontCase) file(name string) []byte {
	return (&goldenCase{ar: c.ar}).file(name)
}

func frontCases(tb testing.TB) []*frontCase {
	tb.Helper()
	paths, err := filepath.Glob("../testdata/cases/chat_responses/*.txtar")
	if err != nil || len(paths) == 0 {
		tb.Fatal("no golden cases", err)
	}
	var cases []*frontCase
	for _, p := range paths {
		ar, err := txtar.ParseFile(p)
		if err != nil {
			tb.Fatal(err)
		}
		c := &frontCase{name: strings.TrimSuffix(filepath.Base(p), ".txtar"), ar: ar}
		c.readOptions(tb)
		cases = append(cases, c)
	}
	return cases
}

func (c *frontCase) readOptions(tb testing.TB) {
	c.opt = frontOptions{reasoning: true}
	var ok bool
	c.dialect, _ = LookupDialect("openai")
	for line := range strings.SplitSeq(strings.TrimSpace(string(c.file("options"))), "\n") {
		if line == "" {
			continue
		}
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		yes := value == "true"
		switch key {
		case "dialect":
			if c.dialect, ok = LookupDialect(value); !ok {
				tb.Fatalf("%s: dialect %q", c.name, value)
			}
		case "set":
			k, v, _ := strings.Cut(value, "=")
			if err := setResponses(&c.dialect, k, v); err != nil {
				tb.Fatalf("%s: set %s: %v", c.name, value, err)
			}
		case "loss":
			c.opt.loss = value
		case "model":
			c.opt.model = value
		case "keep":
			c.opt.keep = yes
		case "reasoning":
			c.opt.reasoning = yes
		case "final_only":
			c.opt.final = yes
		case "name_prefix":
			c.opt.nameFirst = yes
		case "obfuscate":
			c.opt.obfuscate = yes
		case "max_bytes":
			c.opt.maxBytes, _ = strconv.Atoi(value)
		default:
			tb.Fatalf("%s: option %q", c.name, line)
		}
	}
}

func setResponses(d *Dialect, key, value string) error {
	if changed, ok := d.With(Fact{key, value}); ok {
		*d = changed
		return nil
	}
	if name, ok := strings.CutPrefix(key, "responses."); ok {
		at := d.Responses.flags()[name]
		if at == nil {
			return errors.New("no such field")
		}
		*at = value == "true"
		return nil
	}
	return setDialect(d, key, value)
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
	if x.err = x.req.Parse(bytes.TrimSpace(bytes.Clone(c.file("client.json"))), RequestLimits{}); x.err != nil {
		return x
	}
	opt := ResponsesOptions{
		Dialect: &c.dialect, Model: c.opt.model, KeepReasoning: c.opt.keep,
		NamePrefix: c.opt.nameFirst, Losses: &x.losses,
	}
	if raw := c.file("kept.json"); raw != nil {
		opt.Kept = keptFrom(tb, raw)
	}
	x.body, x.err = x.req.AppendResponses(nil, opt)
	if x.err == nil && c.opt.loss == "strict" {
		x.err = x.losses.Refusal()
	}
	x.options = ChatTurnOptions{
		Request: &x.req, Dialect: &c.dialect, Seed: testSeed, Created: testCreated, Events: x.req.Stream,
		Reasoning: c.opt.reasoning, FinalOnly: c.opt.final, Obfuscate: c.opt.obfuscate, MaxBytes: c.opt.maxBytes,
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
		t.Run(c.name, func(t *testing.T) {
			got := c.run(t)
			if *update {
				files := slices.DeleteFunc(slices.Clone(c.ar.Files), func(f txtar.File) bool { return strings.HasPrefix(f.Name, "out/") })
				ar := &txtar.Archive{Comment: c.ar.Comment, Files: append(files, got...)}
				path := filepath.Join("../testdata/cases/chat_responses", c.name+".txtar")
				if err := os.WriteFile(path, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			for _, f := range got {
				if want := c.file(f.Name); !bytes.Equal(f.Data, want) {
					t.Errorf("%s:\n%s", f.Name, diffLines(string(want), string(f.Data)))
				}
			}
			for _, f := range c.ar.Files {
				if strings.HasPrefix(f.Name, "out/") && !slices.ContainsFunc(got, func(g txtar.File) bool { return g.Name == f.Name }) {
					t.Errorf("%s is not made any more", f.Name)
				}
			}
		})
	}
}

// run makes the output files of a case.
func (c *frontCase) run(t *testing.T) (out []txtar.File) {
	add := func(name string, data []byte) { out = append(out, txtar.File{Name: "out/" + name, Data: data}) }
	x := c.start(t)
	if x.err == nil {
		add("responses.json", indent(t, x.body))
	}
	finish := func() []txtar.File {
		if !x.losses.Empty() {
			add("losses", lossLines(&x.losses))
		}
		return out
	}
	if x.err != nil {
		add("error.json", errorFile(t, x.err))
		return finish()
	}
	if raw := c.file("upstream.err"); raw != nil {
		line, body, _ := bytes.Cut(raw, []byte("\n"))
		status, err := strconv.Atoi(string(line))
		if err != nil {
			t.Fatal(err)
		}
		add("error.json", errorFile(t, ChatUpstreamError(status, bytes.TrimSpace(body), &x.req)))
		return finish()
	}
	if c.file("upstream.sse") == nil && c.file("upstream.json") == nil {
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
	if c.opt.keep {
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
	if raw = c.file("upstream" + suffix + ".sse"); raw != nil {
		return raw, true
	}
	return c.file("upstream" + suffix + ".json"), false
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
