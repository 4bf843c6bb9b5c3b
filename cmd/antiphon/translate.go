package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/internal/goldencase"
	"github.com/antiphon-proxy/antiphon/translate"
	"github.com/antiphon-proxy/antiphon/translate/jsonx"
	"github.com/antiphon-proxy/antiphon/translate/sse"
)

// The two APIs, as options name them.
const (
	apiResponses = "responses"
	apiChat      = "chat"
)

// translateOptions are the options of antiphon translate.
type translateOptions struct {
	what      string // request, response or stream
	from      string
	dialect   string
	overrides string
	model     string
	request   string // file
	loss      string
	explain   bool

	namePrefix, finalOnly bool // of chat requests and their answers

	showDiff bool
	pretty   bool
}

// runTranslate is the translator without a server: request, response or stream,
// from a file or standard input, to standard output.
func runTranslate(c *command, args []string, stdout, stderr io.Writer) int {
	o := translateOptions{}
	var files []string
	fs := flag.NewFlagSet("antiphon translate", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() {
		fmt.Fprintf(stderr, "usage: antiphon translate %s\n\n%s.\n\n", c.args, c.what)
		fmt.Fprint(stderr, translateHelp)
		fs.PrintDefaults()
	}
	fs.StringVar(&o.from, "from", "", "`API` of the input: chat or responses (default: seen from the input)")
	fs.StringVar(&o.dialect, "dialect", "generic", "preset `name` of the backend's dialect")
	fs.StringVar(&o.overrides, "overrides", "", "YAML `text` that changes fields of the dialect, as below upstream.overrides")
	fs.StringVar(&o.model, "model", "", "`name` of the model for the backend (default: the request's)")
	fs.StringVar(&o.request, "request", "", "`file` with the client's request, which a response or stream answers (default: a minimal one)")
	fs.StringVar(&o.loss, "loss", "warn", "`policy` for what is lost: allow, warn (say it on standard error) or strict (exit 1)")
	fs.BoolVar(&o.explain, "explain", false, "print the loss report as a table, on standard error")
	fs.BoolVar(&o.showDiff, "diff", false, "print the difference between input and output in place of the output")
	fs.BoolVar(&o.namePrefix, "name-prefix", false, "put the name of a chat message before its text, as upstream.name_prefix does")
	fs.BoolVar(&o.finalOnly, "final-only", false, "leave commentary out of a chat client's answer, as stream.chat_commentary: false does")
	fs.BoolVar(&o.pretty, "pretty", false, "indent JSON")
	// The kind comes first, options and the file in any order after it.
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		o.what, args = args[0], args[1:]
	}
	for {
		switch err := fs.Parse(args); {
		case errors.Is(err, flag.ErrHelp):
			return exitOK
		case err != nil:
			return exitUsage
		}
		if fs.NArg() == 0 {
			break
		}
		files, args = append(files, fs.Arg(0)), fs.Args()[1:]
	}
	t := &translation{translateOptions: o, stdout: stdout, stderr: stderr}
	if err := t.open(files); err != nil {
		fmt.Fprintln(stderr, "antiphon translate:", err)
		return exitUsage
	}
	defer t.close()
	err := t.run()
	var refused *translate.Error
	switch {
	case err == nil:
		return t.report()
	case errors.As(err, &refused):
		fmt.Fprintf(stderr, "%s\n", refused.AppendBody(nil))
	default:
		fmt.Fprintln(stderr, "antiphon translate:", err)
	}
	return exitError
}

const translateHelp = `KIND is request, response or stream: what FILE (or standard input) holds.

  antiphon translate request  < create.json       a Responses request, as the backend gets it
  antiphon translate response < completion.json   a chat completion, as the Responses client gets it
  antiphon translate stream   < chunks.sse        the same of a stream, as it comes

and from the other side for chat requests and for responses. Exit codes: 0 it is translated;
1 it is refused, or something would be lost with --loss strict; 2 the command line is wrong.

`

// translation is one run of the command.
type translation struct {
	translateOptions
	stdout, stderr io.Writer

	past, references []byte // JSON arrays, of a recording: stored turns and items
	client           []byte // of a recording: the request that a reply answers
	recorded         goldencase.Options
	sealer           translate.Sealer // of a recording; nil if there are no envelopes

	in      io.Reader
	file    *os.File
	d       translate.Dialect
	losses  translate.Losses
	failure *translate.Error // of a reply
}

func (t *translation) open(files []string) error {
	switch t.what {
	case "request", "response", "stream":
	case "":
		return errors.New("say what to translate: request, response or stream")
	default:
		return fmt.Errorf("%q is not a kind; it can be request, response or stream", t.what)
	}
	if t.from != "" && t.from != apiChat && t.from != apiResponses {
		return fmt.Errorf("--from %q is not an API; it can be chat or responses", t.from)
	}
	if t.loss != "allow" && t.loss != "warn" && t.loss != "strict" {
		return fmt.Errorf("--loss %q is not a policy; it can be allow, warn or strict", t.loss)
	}
	if t.showDiff && t.what == "stream" {
		return errors.New("--diff is for requests and responses")
	}
	if len(files) > 1 {
		return errors.New("more than one file")
	}
	u := config.Default().Upstream
	u.Dialect = t.dialect
	var err error
	if u.Overrides, err = config.ParseOverrides("--overrides", t.overrides); err != nil {
		return err
	}
	if t.d, err = u.EffectiveDialect(); err != nil {
		return fmt.Errorf("--dialect: %w", err)
	}
	t.in = os.Stdin
	if len(files) == 1 && files[0] != "-" {
		if t.file, err = os.Open(files[0]); err != nil {
			return err
		}
		t.in = t.file
	}
	return nil
}

func (t *translation) close() {
	if t.file != nil {
		_ = t.file.Close()
	}
}

// maxDocument bounds what is read of a request or response.
const maxDocument = 256 << 20

func (t *translation) run() error {
	if t.what == "stream" {
		return t.stream()
	}
	in, err := io.ReadAll(io.LimitReader(t.in, maxDocument))
	if err != nil {
		return err
	}
	in = bytes.TrimSpace(in)
	if t.from == "" {
		t.from = apiOf(t.what, in)
	}
	var out []byte
	switch t.what + " " + t.from {
	case "request " + apiResponses:
		out, err = t.responsesRequest(in)
	case "request " + apiChat:
		out, err = t.chatRequest(in)
	case "response " + apiChat:
		out, err = t.chatResponse(in)
	case "response " + apiResponses:
		out, err = t.responsesResponse(in)
	default:
		return t.unknown(in)
	}
	if err != nil {
		return err
	}
	if t.showDiff {
		_, err = t.stdout.Write(diff.Diff(t.from, indentJSON(in), t.other(), indentJSON(out)))
		return err
	}
	if t.pretty {
		out = bytes.TrimSpace(indentJSON(out))
	}
	_, err = t.stdout.Write(append(out, '\n'))
	return err
}

func (t *translation) other() string {
	if t.from == apiChat {
		return apiResponses
	}
	return apiChat
}

// unknown says what it can of a document that is of neither API.
func (t *translation) unknown(in []byte) error {
	other := "request"
	if t.what == "request" {
		other = "response"
	}
	message := jsonx.Lookup(in, "error", "message")
	switch {
	case len(in) == 0:
		return errors.New("there is nothing to read")
	case !jsonx.Valid(in):
		return errors.New("this is not JSON")
	case t.what != "stream" && apiOf(other, in) != "":
		return fmt.Errorf("this looks like a %s: antiphon translate %s", other, other)
	case message.Exists():
		return fmt.Errorf("this is an error (%s); say of which API with --from", message.String())
	}
	return errors.New("this does not look like chat or Responses; say which with --from")
}

// apiOf tells the API of a document, or "".
func apiOf(what string, doc []byte) string {
	has := func(key string) bool { return jsonx.Lookup(doc, key).Exists() }
	switch {
	case what == "request" && has("messages"):
		return apiChat
	case what == "request" && (has("input") || has("previous_response_id") || has("conversation")):
		return apiResponses
	case what == "request":
	case has("choices"):
		return apiChat
	case has("output"), has("response"), strings.HasPrefix(jsonx.Lookup(doc, "type").String(), "response."):
		return apiResponses
	}
	return ""
}

func indentJSON(doc []byte) []byte {
	var b bytes.Buffer
	if json.Indent(&b, doc, "", "  ") != nil {
		return doc
	}
	b.WriteByte('\n')
	return b.Bytes()
}

func (t *translation) responsesRequest(in []byte) ([]byte, error) {
	var r translate.Request
	if err := r.Parse(in, translate.RequestLimits{}); err != nil {
		return nil, err
	}
	history, err := t.history(r.PreviousResponseID())
	if err != nil {
		return nil, err
	}
	if r.References() != nil {
		items, err := t.referenced()
		if err != nil {
			return nil, err
		}
		if err := r.Resolve(items); err != nil {
			return nil, err
		}
	}
	if t.sealer != nil {
		if err := r.OpenCompactions(t.sealer); err != nil {
			return nil, err
		}
	}
	out, refused := r.AppendChat(nil, translate.ChatOptions{Dialect: &t.d, Model: t.model, History: history, Losses: &t.losses, Sealer: t.sealer})
	if refused != nil {
		return nil, refused
	}
	return out, t.strict()
}

// history is what a recording has of the conversation before the request.
func (t *translation) history(id string) (*translate.History, error) {
	if t.past == nil {
		if id != "" {
			return nil, errors.New("previous_response_id needs the server that has " + id + "; put what was said into input")
		}
		return nil, nil // there is none
	}
	var turns []struct{ Input, Output json.RawMessage }
	if err := json.Unmarshal(t.past, &turns); err != nil {
		return nil, fmt.Errorf("history.json: %w", err)
	}
	h := &translate.History{}
	for _, turn := range turns {
		var err error
		b := translate.HistoryBuilder{Sealer: t.sealer, Opener: t.sealer}
		if h, err = b.Extend(h, turn.Input, turn.Output, &t.d); err != nil {
			return nil, fmt.Errorf("history.json: %w", err)
		}
	}
	return h, nil
}

// referenced are the items that a recording has for item references.
func (t *translation) referenced() (items [][]byte, err error) {
	if t.references == nil {
		return nil, errors.New("item references need the server that has the items; put them into input")
	}
	var list []json.RawMessage
	if err := json.Unmarshal(t.references, &list); err != nil {
		return nil, fmt.Errorf("references.json: %w", err)
	}
	for _, item := range list {
		items = append(items, item)
	}
	return items, nil
}

// put changes the dialect by facts, as a recording has them.
func (t *translation) put(settings []goldencase.Setting) error {
	for _, s := range settings {
		if _, err := t.d.Set(s.Key, s.Value); err != nil {
			return fmt.Errorf("options: set: %w", err)
		}
	}
	return nil
}

// translateRequest translates a request of either API.
func (t *translation) translateRequest(in []byte) ([]byte, error) {
	if t.from == apiChat {
		return t.chatRequest(in)
	}
	return t.responsesRequest(in)
}

func (t *translation) chatRequest(in []byte) ([]byte, error) {
	var r translate.ChatRequest
	if err := r.Parse(in, translate.RequestLimits{}); err != nil {
		return nil, err
	}
	out, err := r.AppendResponses(nil, translate.ResponsesOptions{Dialect: &t.d, Model: t.model, NamePrefix: t.namePrefix, KeepReasoning: t.recorded.Keep, Losses: &t.losses})
	if err != nil {
		return nil, err
	}
	return out, t.strict()
}

// strict is an error if something was lost and may not be.
func (t *translation) strict() error {
	if t.loss == "strict" {
		if err := t.losses.Refusal(); err != nil {
			return err
		}
	}
	return nil
}

// named is a reply's model, or a name for one that does not say: the minimal
// request needs one.
func named(model string) string {
	if model == "" {
		return "model"
	}
	return model
}

// clientRequest is the request that a reply answers.
func (t *translation) clientRequest(minimal string) ([]byte, error) {
	switch {
	case t.client != nil:
		return bytes.Clone(t.client), nil
	case t.request == "":
		return []byte(minimal), nil
	}
	return os.ReadFile(t.request)
}

// turn makes the Turn that answers the client's request, whose model is that of
// the reply unless there is a request.
func (t *translation) turn(model string, created int64, events bool) (*translate.Turn, error) {
	body, err := t.clientRequest(`{"model":` + string(jsonx.AppendString(nil, named(model))) + `,"input":"","stream":` + fmt.Sprint(events) + `}`)
	if err != nil {
		return nil, err
	}
	r := new(translate.Request)
	if err := r.Parse(body, translate.RequestLimits{}); err != nil {
		return nil, err
	}
	// The request's names of tools are those that the reply has to be read with.
	if t.sealer != nil {
		_ = r.OpenCompactions(t.sealer) // they are open in the request that was sent
	}
	if _, err := r.AppendChat(nil, translate.ChatOptions{Dialect: &t.d, Losses: new(translate.Losses), Sealer: t.sealer}); err != nil && (t.request != "" || t.client != nil) {
		return nil, err
	}
	turn := new(translate.Turn)
	turn.Reset(translate.TurnOptions{
		Request: r, Dialect: &t.d, Created: created, Events: events, Losses: &t.losses,
		MaxBytes: t.recorded.MaxBytes, OpenResponses: t.recorded.OpenResponses, Obfuscate: t.recorded.Obfuscate,
		Grammar: translate.GrammarPolicy(t.recorded.Grammar), Compaction: []byte(t.recorded.Compaction),
		Sealer: t.sealer,
	})
	return turn, nil
}

// chatTurn is turn for the other direction.
func (t *translation) chatTurn(model string, created int64, events bool) (*translate.ChatTurn, error) {
	body, err := t.clientRequest(`{"model":` + string(jsonx.AppendString(nil, named(model))) + `,"messages":[{"role":"user","content":""}],"stream":` + fmt.Sprint(events) + `}`)
	if err != nil {
		return nil, err
	}
	r := new(translate.ChatRequest)
	if err := r.Parse(body, translate.RequestLimits{}); err != nil {
		return nil, err
	}
	if _, err := r.AppendResponses(nil, translate.ResponsesOptions{Dialect: &t.d, Losses: new(translate.Losses)}); err != nil && (t.request != "" || t.client != nil) {
		return nil, err
	}
	turn := new(translate.ChatTurn)
	turn.Reset(translate.ChatTurnOptions{
		Request: r, Dialect: &t.d, Created: created, Events: events && (t.client == nil || r.Stream), Reasoning: t.client == nil || t.recorded.Reasoning, FinalOnly: t.finalOnly,
		Obfuscate: t.recorded.Obfuscate, MaxBytes: t.recorded.MaxBytes, Losses: &t.losses,
	})
	return turn, nil
}

func (t *translation) chatResponse(in []byte) ([]byte, error) {
	created := jsonx.Lookup(in, "created").Int()
	turn, err := t.turn(jsonx.Lookup(in, "model").String(), created, false)
	if err != nil {
		return nil, err
	}
	turn.FeedMessage(nil, in)
	if t.failure = turn.Failure(); t.failure != nil {
		return nil, t.failure
	}
	return turn.Response(nil, created, false), nil
}

func (t *translation) responsesResponse(in []byte) ([]byte, error) {
	turn, err := t.chatTurn(jsonx.Lookup(in, "model").String(), jsonx.Lookup(in, "created_at").Int(), false)
	if err != nil {
		return nil, err
	}
	turn.FeedMessage(nil, in)
	if t.failure = turn.Failure(); t.failure != nil {
		return nil, t.failure
	}
	return turn.Completion(nil), nil
}

// streamReader is a turn of either direction that reads a stream.
type streamReader interface {
	feed(dst []byte, e sse.Event) []byte
	last(dst []byte, e sse.Event) []byte
	end(dst []byte) []byte
	ended() bool
	failure() *translate.Error
}

type fromChat struct {
	*translate.Turn
	created int64
}

func (f fromChat) feed(dst []byte, e sse.Event) []byte { return f.Feed(dst, e.Data) }
func (f fromChat) last(dst []byte, e sse.Event) []byte { return f.FeedLast(dst, e.Data) }
func (f fromChat) ended() bool                         { return f.Ended() }
func (f fromChat) failure() *translate.Error           { return f.Failure() }
func (f fromChat) end(dst []byte) []byte {
	return f.Terminal(f.Finish(dst), f.created, false, false)
}

// whole says that the client has not asked for a stream.
type fromResponses struct {
	*translate.ChatTurn
	whole bool
}

func (f fromResponses) feed(dst []byte, e sse.Event) []byte { return f.Feed(dst, e.Name, e.Data) }
func (f fromResponses) last(dst []byte, e sse.Event) []byte { return f.FeedLast(dst, e.Name, e.Data) }
func (f fromResponses) ended() bool                         { return f.Ended() }
func (f fromResponses) failure() *translate.Error           { return f.Failure() }
func (f fromResponses) end(dst []byte) []byte {
	dst = f.Terminal(f.Finish(dst))
	if f.whole {
		dst = append(dst, indentJSON(f.Completion(nil))...)
	}
	return dst
}

// stream translates events as they come.
func (t *translation) stream() error {
	var events sse.Decoder
	var turn streamReader
	var out []byte
	buf := make([]byte, 64<<10)
	for {
		n, err := t.in.Read(buf)
		events.Feed(buf[:n])
		for e, ok := events.Next(); ok; e, ok = events.Next() {
			if turn == nil {
				var bad error
				if turn, bad = t.reader(e); bad != nil {
					return bad
				}
			}
			if !turn.ended() {
				out = turn.feed(out, e)
			}
		}
		if err == nil && events.Err() != nil {
			err = events.Err()
		}
		if _, wrong := t.stdout.Write(out); wrong != nil {
			return wrong
		}
		out = out[:0]
		switch {
		case err == nil:
			continue
		case !errors.Is(err, io.EOF):
			return err
		}
		if e, ok := events.Finish(); ok {
			if turn == nil {
				if turn, err = t.reader(e); err != nil && !errors.Is(err, io.EOF) {
					return err
				}
			}
			out = turn.last(out, e)
		}
		if turn == nil && t.client != nil { // that is what was recorded
			if turn, err = t.reader(sse.Event{}); err != nil {
				return err
			}
		}
		if turn == nil {
			return errors.New("there are no events in the input")
		}
		t.failure = turn.failure()
		if _, err := t.stdout.Write(turn.end(out)); err != nil {
			return err
		}
		if t.failure == nil {
			t.failure = turn.failure()
		}
		return nil
	}
}

// reader makes the turn that reads a stream which begins with this event.
func (t *translation) reader(e sse.Event) (streamReader, error) {
	if t.from == "" {
		if t.from = apiOf("stream", e.Data); t.from == "" && strings.HasPrefix(string(e.Name), "response.") {
			t.from = apiResponses
		}
	}
	switch t.from {
	case apiChat:
		created := jsonx.Lookup(e.Data, "created").Int()
		turn, err := t.turn(jsonx.Lookup(e.Data, "model").String(), created, true)
		return fromChat{turn, created}, err
	case apiResponses:
		turn, err := t.chatTurn(jsonx.Lookup(e.Data, "response", "model").String(), jsonx.Lookup(e.Data, "response", "created_at").Int(), true)
		return fromResponses{turn, t.client != nil && !jsonx.Lookup(t.client, "stream").Bool()}, err
	}
	return nil, fmt.Errorf("event 1: %w", t.unknown(e.Data))
}

// report says what was lost, and what the exit code is.
func (t *translation) report() int {
	code := exitOK
	if t.failure != nil {
		code = exitError
	}
	if t.loss == "strict" && t.losses.Refusal() != nil {
		code = exitError
	}
	switch {
	case t.explain:
		t.table()
	case t.loss != "allow":
		for _, l := range t.losses.Entries {
			info := l.Rule.Info()
			fmt.Fprintf(t.stderr, "%s %s at %s\n", info.ID, info.Action, whereOf(l.Path))
		}
	}
	return code
}

func whereOf(path string) string {
	if path == "" {
		return "(the whole)"
	}
	return path
}

// table prints the loss report.
func (t *translation) table() {
	if t.losses.Empty() {
		fmt.Fprintln(t.stderr, "Nothing is lost.")
		return
	}
	w := tabwriter.NewWriter(t.stderr, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "RULE\tACTION\tPATH\tDETAIL\tWHAT")
	for _, l := range t.losses.Entries {
		info := l.Rule.Info()
		what := info.What
		if info.Advisory {
			what += " (advisory)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", info.ID, info.Action, whereOf(l.Path), l.Detail, what)
	}
	_ = w.Flush()
	if t.losses.More > 0 {
		fmt.Fprintf(t.stderr, "and %d more\n", t.losses.More)
	}
}
