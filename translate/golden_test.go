package translate

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write what the code does to the golden files")

// Golden cases are whole exchanges in testdata/cases/responses_chat, one file a
// behaviour. The comment at the head says what it shows. The files of a case:
//
//	options           key: value lines; see caseOptions
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
	name string
	ar   *txtar.Archive

	opt     caseOptions
	dialect Dialect
}

type caseOptions struct {
	dialect    string
	overrides  []string // "max_tokens_field=…" and the like, by setDialect
	loss       string   // "strict" refuses
	echo       bool
	stored     bool
	open       bool // Open Responses event names
	obfuscate  bool
	maxBytes   int
	model      string // upstream's name of the model
	compaction string // encrypted_content of a compaction item before the reply
	unsealed   bool   // "seal: off": there are no keys for envelopes
	grammar    GrammarPolicy
}

func (c *goldenCase) file(name string) []byte {
	for _, f := range c.ar.Files {
		if f.Name == name {
			return f.Data
		}
	}
	return nil
}

func (c *goldenCase) readOptions(t *testing.T) {
	c.opt = caseOptions{dialect: "generic"}
	for line := range strings.SplitSeq(strings.TrimSpace(string(c.file("options"))), "\n") {
		if line == "" {
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			t.Fatalf("option %q", line)
		}
		value = strings.TrimSpace(value)
		switch key {
		case "dialect":
			c.opt.dialect = value
		case "set":
			c.opt.overrides = append(c.opt.overrides, value)
		case "loss":
			c.opt.loss = value
		case "echo":
			c.opt.echo = value == "show"
		case "stored":
			c.opt.stored = value == "show"
		case "compaction":
			c.opt.compaction = value
		case "open_responses":
			c.opt.open = value == "true"
		case "obfuscate":
			c.opt.obfuscate = value == "true"
		case "max_bytes":
			c.opt.maxBytes, _ = strconv.Atoi(value)
		case "grammar":
			c.opt.grammar = GrammarPolicy(value)
		case "model":
			c.opt.model = value
		case "seal":
			c.opt.unsealed = value == "off"
		default:
			t.Fatalf("option %q", line)
		}
	}
	var ok bool
	if c.dialect, ok = LookupDialect(c.opt.dialect); !ok {
		t.Fatalf("dialect %q", c.opt.dialect)
	}
	for _, o := range c.opt.overrides {
		key, value, _ := strings.Cut(o, "=")
		if err := setDialect(&c.dialect, key, value); err != nil {
			t.Fatalf("set: %s: %v", o, err)
		}
	}
}

// setDialect overrides one field of a dialect by its configuration key.
func setDialect(d *Dialect, key, value string) error {
	set := func(names []string, bits *uint32) error {
		name, on, _ := strings.Cut(value, ":")
		i := slices.Index(names, name)
		if i < 0 {
			return errors.New("no such name")
		}
		if on == "false" {
			*bits &^= 1 << i
		} else {
			*bits |= 1 << i
		}
		return nil
	}
	yes := value == "true"
	switch key {
	case "developer_role":
		d.DeveloperRole = yes
	case "system_messages":
		d.SystemMessages = SystemPolicy(value)
	case "alternate_roles":
		d.AlternateRoles = yes
	case "assistant_after_tool":
		d.AssistantAfterTool = yes
	case "join_text":
		d.JoinText = yes
	case "images":
		d.Images = yes
	case "files":
		d.Files = yes
	case "audio":
		d.Audio = yes
	case "file_ids":
		d.FileIDs = yes
	case "image_urls":
		d.ImageURLs = yes
	case "refusal_field":
		d.RefusalField = yes
	case "call_content":
		d.CallContent = CallContent(value)
	case "max_tokens_field":
		d.MaxTokens = MaxTokensField(value)
	case "accepts":
		bits := uint32(d.Accepts)
		defer func() { d.Accepts = ParamSet(bits) }()
		return set(ParamNames, &bits)
	case "extra_params":
		d.ExtraParams = strings.Split(value, ",")
	case "tools.choices":
		bits := uint32(d.Tools.Choices)
		defer func() { d.Tools.Choices = ChoiceSet(bits) }()
		return set(ChoiceNames, &bits)
	case "tools.required_word":
		d.Tools.RequiredWord = value
	case "tools.name_max":
		d.Tools.NameMax, _ = strconv.Atoi(value)
	case "tools.call_extras":
		d.Tools.CallExtras = strings.Split(value, ",")
	case "tools.custom":
		d.Tools.Custom = CustomTools(value)
	case "tools.call_ids":
		d.Tools.CallIDs = CallIDForm(value)
	case "structured_fallback":
		d.Fallback = Fallback(value)
	case "verify_output":
		d.VerifyOutput = yes
	case "structured_output":
		d.Structured = Structured(value)
	case "reasoning.replay":
		d.Reasoning.Replay = Replay(value)
	case "reasoning.replay_field":
		d.Reasoning.ReplayField = value
	case "reasoning.details":
		d.Reasoning.Details = yes
	case "reasoning.placeholder":
		d.Reasoning.Placeholder = value
	case "reasoning.effort_form":
		d.Reasoning.EffortForm = EffortForm(value)
	case "reasoning.efforts":
		from, to, _ := strings.Cut(value, ":")
		if d.Reasoning.Efforts == nil {
			d.Reasoning.Efforts = map[string]string{}
		}
		d.Reasoning.Efforts[from] = to
	case "reasoning.think_tags":
		d.Reasoning.Tags = ThinkTags(value)
	default: // as recordings say it: tools.choices.named=false
		changed, ok := d.With(Fact{key, value})
		if !ok {
			return errors.New("no such field, or nothing new")
		}
		*d = changed
	}
	return nil
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
	body := bytes.TrimSpace(bytes.Clone(c.file("client.json")))
	if x.err = x.req.Parse(body, RequestLimits{}); x.err != nil {
		return x
	}
	var sealer Sealer = plainSealer{}
	var opener Opener = plainSealer{}
	if c.opt.unsealed {
		sealer, opener = nil, nil
	}
	h := &History{}
	if turns := c.file("history.json"); turns != nil {
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
	if refs := c.file("references.json"); refs != nil {
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
	x.chat, x.err = x.req.AppendChat(nil, ChatOptions{Fetched: x.fetched, Dialect: &c.dialect, Model: c.opt.model, History: h, Losses: &x.losses, Sealer: sealer})
	if x.err == nil && c.opt.loss == "strict" {
		x.err = x.losses.Refusal()
	}
	x.options = TurnOptions{
		Request: &x.req, Dialect: &c.dialect, Seed: testSeed, Created: testCreated, Events: true,
		MaxBytes: c.opt.maxBytes, OpenResponses: c.opt.open, Obfuscate: c.opt.obfuscate, Grammar: c.opt.grammar, Losses: &x.losses,
		Checked: x.req.CheckedFormat(&c.dialect) != nil,
		Sealer:  sealer, Compaction: []byte(c.opt.compaction),
	}
	return x
}

func TestGolden(t *testing.T) {
	for _, c := range goldenCases(t) {
		t.Run(c.name, func(t *testing.T) {
			c.readOptions(t)
			got := c.run(t)
			if *update {
				c.write(t, got)
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

func goldenCases(tb testing.TB) []*goldenCase {
	tb.Helper()
	paths, err := filepath.Glob("../testdata/cases/responses_chat/*.txtar")
	if err != nil || len(paths) == 0 {
		tb.Fatal("no golden cases", err)
	}
	var cases []*goldenCase
	for _, p := range paths {
		ar, err := txtar.ParseFile(p)
		if err != nil {
			tb.Fatal(err)
		}
		cases = append(cases, &goldenCase{name: strings.TrimSuffix(filepath.Base(p), ".txtar"), ar: ar})
	}
	return cases
}

// run makes the output files of a case.
func (c *goldenCase) run(t *testing.T) (out []txtar.File) {
	add := func(name string, data []byte) { out = append(out, txtar.File{Name: "out/" + name, Data: data}) }
	x := c.start(t)
	if x.err == nil {
		add("chat.json", indent(t, x.chat))
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
	if c.opt.stored {
		stored := x.req.AppendStoredInput(nil, &testSeed)
		add("stored.json", indent(t, stored))
	}
	if raw := c.file("upstream.err"); raw != nil {
		line, body, _ := bytes.Cut(raw, []byte("\n"))
		status, err := strconv.Atoi(string(line))
		if err != nil {
			t.Fatal(err)
		}
		add("error.json", errorFile(t, UpstreamError(status, bytes.TrimSpace(body))))
		return finish()
	}
	var turn Turn
	turn.Reset(x.options)
	var events []byte
	switch {
	case c.file("upstream.sse") != nil:
		p := pump{turn: &turn, repair: func(r Rejected) []byte {
			if again, ok := AppendRepair(nil, x.chat, &c.dialect, r); ok {
				add("chat-again.json", indent(t, again))
				for _, fault := range legal(again, &c.dialect) {
					t.Error(fault)
				}
			}
			return bytes.TrimSpace(c.file("again.json"))
		}}
		events = p.run(c.upstreamSSE())
	case c.file("upstream.json") != nil:
		events = turn.Begin(events)
		events = turn.FeedMessage(events, bytes.TrimSpace(c.file("upstream.json")))
		events = turn.Terminal(events, testCreated+1, x.req.Store, false)
	default:
		return finish()
	}
	checkStream(t, c, events)
	response := turn.Response(nil, testCreated+1, x.req.Store)
	checkResponse(t, response)
	echo := turn.echo
	if !c.opt.echo {
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

func (c *goldenCase) upstreamSSE() []byte { return c.file("upstream.sse") }

// write stores the output of a case in its file.
func (c *goldenCase) write(t *testing.T, out []txtar.File) {
	files := slices.DeleteFunc(slices.Clone(c.ar.Files), func(f txtar.File) bool { return strings.HasPrefix(f.Name, "out/") })
	ar := &txtar.Archive{Comment: c.ar.Comment, Files: append(files, out...)}
	path := filepath.Join("../testdata/cases/responses_chat", c.name+".txtar")
	if err := os.WriteFile(path, txtar.Format(ar), 0o644); err != nil {
		t.Fatal(err)
	}
}

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
