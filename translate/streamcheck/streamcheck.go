package streamcheck

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Options widen what is legal. The zero value is a whole stream as OpenAI sends it.
type Options struct {
	// OpenResponses asks for the Open Responses dialect: raw reasoning arrives as response.reasoning.delta/.done
	// instead of response.reasoning_text.*, an error event must be nested, and the stream must end with data: [DONE].
	OpenResponses bool

	// AllowDone permits data: [DONE] after the terminal event.
	AllowDone bool

	// First is the sequence_number of the first event: 0 for a whole stream, N+1 for one resumed with starting_after=N.
	// What happened before a resumed stream is unknown, so items and parts may be met half way; their deltas must then
	// be the tail of the done value.
	First int64

	// Unfinished permits a stream that stops on an event boundary before its terminal event: a background response that
	// was cancelled, or a client that left.
	Unfinished bool
}

// Violation is one broken rule.
type Violation struct {
	Event   int    // index of the event in the stream, -1 when it is about the stream's end or a lone object
	Type    string // type of that event, as far as known
	Rule    Rule
	Message string // one sentence: what was expected and what was found
}

func (v Violation) String() string {
	if v.Event < 0 {
		return fmt.Sprintf("%s: %s", v.Rule, v.Message)
	}
	return fmt.Sprintf("event %d (%s): %s: %s", v.Event, v.Type, v.Rule, v.Message)
}

// Stream checks a whole SSE byte stream, as a client receives it, and returns every violation found; nil means fine.
func Stream(raw []byte, opt Options) []Violation {
	return run(raw, opt).violations
}

// Response checks a response object on its own: a non-stream answer, a stored response, the payload of a lifecycle event.
func Response(raw []byte) []Violation {
	r := &report{index: -1}
	root := r.parse(raw, func(path string) bool { return strings.HasPrefix(path, "output[") })
	if root == nil {
		return r.violations
	}
	r.response(root)
	r.outputItems(root)
	return r.violations
}

// report collects violations and knows which event they belong to.
type report struct {
	violations []Violation
	index      int
	typ        string
}

func (r *report) fail(rule Rule, format string, args ...any) {
	r.violations = append(r.violations, Violation{Event: r.index, Type: r.typ, Rule: rule, Message: fmt.Sprintf(format, args...)})
}

// parse decodes one JSON object and reports what is wrong with its text. generated says which paths hold text the server
// made: an echoed request value may contain what the client put there. The result is nil when nothing can be read.
func (r *report) parse(raw []byte, generated func(path string) bool) *value {
	if !utf8.Valid(raw) {
		r.fail(JSONUTF8, "the JSON text is not valid UTF-8")
	}
	doc, err := parse(raw)
	if err != nil {
		r.fail(JSONSyntax, "the text is not valid JSON: %v", err)
		return nil
	}
	if !doc.root.is(object) {
		r.fail(JSONSyntax, "the text must be one JSON object, it is %s", doc.root.kind)
		return nil
	}
	for _, path := range doc.duplicates {
		r.fail(JSONDuplicate, "the key %s occurs twice", path)
	}
	for _, path := range doc.surrogates {
		if generated(path) {
			r.fail(JSONSurrogate, "the string %s has half of a surrogate pair; every string must decode on its own", path)
		}
	}
	return doc.root
}

// member is one row of a table of required members. The zero kind means: any value, but present.
type member struct {
	name string
	kind kind
}

// members checks that v has every listed member with the right type.
func (r *report) members(rule Rule, where string, v *value, list []member) {
	for _, m := range list {
		switch got := v.get(m.name); {
		case got == nil:
			r.fail(rule, "%s must have the member %s", where, m.name)
		case m.kind != 0 && !got.is(m.kind):
			r.fail(rule, "%s.%s must be %s, it is %s", where, m.name, m.kind, clip(got))
		}
	}
}

// optional checks the type of those listed members that are there.
func (r *report) optional(rule Rule, where string, v *value, list []member) {
	for _, m := range list {
		if got := v.get(m.name); got != nil && !got.is(m.kind) {
			r.fail(rule, "%s.%s must be %s, it is %s", where, m.name, m.kind, clip(got))
		}
	}
}

// checker is the state of one pass over a stream. Bytes enter through frames (sse.go), each event through event
// (events.go), which hands it to lifecycle.go, ladder.go, parts.go or terminal.go.
type checker struct {
	report
	opt Options

	sequence int64 // the sequence_number the next event must have
	done     bool  // data: [DONE] was seen

	phase    phase
	snapshot *value // the response object of the first lifecycle event
	id       string // the response id
	final    *value // the response object of the terminal event
	finalTyp string

	items     map[int64]*itemState
	nextItem  int64 // the output_index the next added item must have
	anyAdded  bool  // an output_item.added was seen; before it a resumed stream does not know nextItem
	itemIDs   map[string]bool
	callIDs   map[string]bool
	itemOrder []*itemState // in order of appearance
}

func run(raw []byte, opt Options) *checker {
	c := &checker{opt: opt, sequence: opt.First, items: map[int64]*itemState{}, itemIDs: map[string]bool{}, callIDs: map[string]bool{}}
	if c.resumed() {
		c.phase = atResume
	}
	c.frames(raw)
	c.index, c.typ = -1, ""
	switch {
	case c.phase != ended:
		if !opt.Unfinished {
			c.fail(TerminalMissing, "the stream ends without response.completed, response.incomplete or response.failed")
		}
	case opt.OpenResponses && !c.done:
		c.fail(SSEDone, "an Open Responses stream must end with data: [DONE]")
	}
	return c
}

func (c *checker) resumed() bool { return c.opt.First > 0 }
