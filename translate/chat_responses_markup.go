package translate

import (
	"bytes"
	"unicode/utf8"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// markupForm is one way in which calls begin in text.
type markupForm struct {
	open  string
	close string // what ends the calls; "" where the text does
	line  bool   // it counts at the beginning of a line only
}

// markupForms are the beginnings of calls. A request without tools is not looked at, so a
// text about these words can be written; with tools they have to be in code or prose.
var markupForms = [...]markupForm{
	{open: "<tool_call>", close: "</tool_call>", line: true},
	{open: "<tool_calls>", close: "</tool_calls>", line: true},
	{open: "<function_calls>", close: "</function_calls>", line: true},
	{open: "<function=", close: "</function>", line: true},
	{open: "<invoke name=", close: "</invoke>", line: true},
	{open: "<TOOLCALL>", close: "</TOOLCALL>", line: true},
	{open: "<minimax:tool_call>", close: "</minimax:tool_call>"},
	{open: "<seed:tool_call>", close: "</seed:tool_call>"},
	{open: "<｜DSML｜tool_calls>", close: "</｜DSML｜tool_calls>"},
	{open: "<｜DSML｜function_calls>", close: "</｜DSML｜function_calls>"},
	{open: "<｜DSML｜invoke ", close: "</｜DSML｜invoke>"},
	{open: "<｜tool▁calls▁begin｜>", close: "<｜tool▁calls▁end｜>"},
	{open: "<｜tool▁call▁begin｜>", close: "<｜tool▁call▁end｜>"},
	{open: "<|tool_calls_section_begin|>", close: "<|tool_calls_section_end|>"},
	{open: "<|tool_call_begin|>", close: "<|tool_call_end|>"},
	{open: "<|tool_call_start|>", close: "<|tool_call_end|>"},
	{open: "<|tool_call|>"},
	{open: "<|tool_call>", close: "<tool_call|>"},
	{open: "<functioncall>", close: "</functioncall>", line: true},
	{open: "<|python_tag|>"},
	{open: "<|action_start|>", close: "<|action_end|>"},
	{open: "<|START_ACTION|>", close: "<|END_ACTION|>"},
	{open: "<start_function_call>", close: "<end_function_call>"},
	{open: "<|start|>assistant<|channel|>commentary"},
	{open: "<|channel|>commentary to="},
	{open: "[TOOL_CALLS]"},
}

// markupReader finds calls in the text of a reply. Text that may be one is held back,
// from its beginning on, until it turns out to be none or the reply ends.
type markupReader struct {
	on      bool
	thought bool             // what is held is reasoning
	held    []byte           // the inside of a JSON string
	tokens  []byte           // and its logprobs
	kind    jsonx.StringKind // what it was made of
	form    int              // in markupForms; formProbe, formBare
	plain   []byte           // what held says, from the last beginning on that is looked at
	from    int              // how far plain has been searched for the end
	ended   bool             // the end has come: nothing but another beginning may follow
	tries   int              // beginnings that have been looked at
	out     []byte           // scratch
}

// maxMarkupTries bounds the beginnings that are looked at: a text with so many is about
// them.
const maxMarkupTries = 64

const (
	formProbe  = -1 // held may be a beginning, and is no more yet
	formBare   = -2 // held is the beginning of an object or a list that may be calls
	formCalled = -3 // and names a tool
)

// maxBare bounds how far into an object the name of a tool may come.
const maxBare = 2048

func (m *markupReader) reset(on bool) {
	*m = markupReader{on: on, held: m.held[:0], tokens: m.tokens[:0], plain: m.plain[:0], out: m.out[:0]}
}

// looksForMarkup reports whether calls can be expected in the text of a reply.
func (t *Turn) looksForMarkup() bool {
	s := &t.opt.Request.tools
	return t.opt.Dialect.Tools.CallMarkup != MarkupOff && len(s.tools) > 0 && s.choice != choiceNone && !t.given && !t.compacts
}

// suspicious reports whether a fragment of text has to be looked at. Most have not.
func (m *markupReader) suspicious(raw []byte) bool {
	return m.on && (len(m.held) > 0 || bytes.IndexByte(raw, '<') >= 0 || bytes.IndexByte(raw, '[') >= 0 || bytes.Contains(raw, []byte(`\u`)))
}

// markedText takes in text or reasoning that may have calls in it.
func (t *Turn) markedText(dst, raw []byte, kind jsonx.StringKind, logprobs []byte, thought bool) []byte {
	m := &t.markup
	if len(m.held) > 0 && m.thought != thought {
		if dst = t.releaseMarkup(dst); t.state >= stateEnded {
			return dst
		}
	}
	if len(m.held) == 0 {
		begins := !thought && t.saidNothing()
		if !m.suspicious(raw) && !begins {
			return t.plainText(dst, raw, kind, logprobs, thought)
		}
		m.form = formProbe
	}
	if !t.hold(len(raw)) {
		return t.tooLarge(dst)
	}
	m.kind |= kind
	m.thought = thought
	m.held = append(m.held, raw...)
	if len(logprobs) > 0 {
		if len(m.tokens) > 0 {
			m.tokens = append(m.tokens, ',')
		}
		m.tokens = append(m.tokens, logprobs...)
	}
	t.shape.clear()
	if m.form == formProbe {
		return t.probeMarkup(dst)
	}
	m.plain = jsonx.AppendUnescaped(m.plain, raw)
	return t.followMarkup(dst)
}

// saidNothing reports whether no text of the answer has gone out.
func (t *Turn) saidNothing() bool {
	return t.cur < 0 || t.items[t.cur].kind != outMessage || t.items[t.cur].part != textPart
}

// plainText takes in text or reasoning that is nothing else.
func (t *Turn) plainText(dst, raw []byte, kind jsonx.StringKind, logprobs []byte, thought bool) []byte {
	if thought {
		return t.sayThought(dst, raw, kind)
	}
	return t.sayText(dst, raw, kind, logprobs)
}

// probeMarkup looks for the beginning of calls in what is held.
func (t *Turn) probeMarkup(dst []byte) []byte {
	m := &t.markup
	b := m.held
	i := 0
	if !m.thought && t.saidNothing() {
		if i, _ = spaces(b); i == len(b) {
			if len(b) < maxHeldSpace {
				return dst
			}
		} else if (b[i] == '{' || b[i] == '[') && !t.asksJSON() {
			m.form, m.ended, m.from = formBare, false, 0
			m.plain = jsonx.AppendUnescaped(m.plain[:0], b[i:])
			if n, whole := markupPrefix(b[i:], "[TOOL_CALLS]"); !whole && n == 0 {
				return t.followMarkup(dst)
			}
			m.form = formProbe
		}
		i = 0
	}
	for i < len(b) {
		c := b[i]
		if c != '<' && c != '[' && c != '\\' {
			i++
			continue
		}
		form, n, part := anyMarkup(b[i:])
		switch {
		case n > 0 && t.mayBegin(b[:i], &markupForms[form]):
			dst = t.sayHeld(dst, i)
			m.form, m.ended, m.from = form, false, len(markupForms[form].open)
			m.plain = jsonx.AppendUnescaped(m.plain[:0], m.held)
			return t.followMarkup(dst)
		case part && n == 0:
			return t.sayHeld(dst, i)
		}
		_, size := character(b[i:])
		i += size
	}
	return t.sayHeld(dst, len(b))
}

// sayHeld says what is held up to there, and holds the rest.
func (t *Turn) sayHeld(dst []byte, to int) []byte {
	m := &t.markup
	if to == 0 {
		return dst
	}
	m.out = append(m.out[:0], m.held[:to]...)
	m.held = append(m.held[:0], m.held[to:]...)
	t.held -= to
	tokens := m.tokens
	if len(m.held) > 0 && len(tokens) > 0 {
		tokens = nil // they stay together
	} else {
		m.tokens = m.tokens[:0]
	}
	return t.plainText(dst, m.out, m.kind|jsonx.HasSurrogate, tokens, m.thought)
}

// anyMarkup finds the form whose beginning raw begins with: n is how much of raw that is,
// 0 if it is not whole, and then part says whether it may still become one.
func anyMarkup(raw []byte) (form, n int, part bool) {
	for i := range markupForms {
		switch k, whole := markupPrefix(raw, markupForms[i].open); {
		case whole:
			return i, k, false
		case k == len(raw):
			part = true
		}
	}
	return 0, 0, part
}

// markupPrefix is tagPrefix for words that are not all ASCII.
func markupPrefix(raw []byte, word string) (n int, whole bool) {
	for _, w := range word {
		if n == len(raw) {
			return n, false
		}
		r, size := utf8.DecodeRune(raw[n:])
		if r == '\\' && len(raw) > n+1 {
			r, size = jsonx.Escape(raw[n:])
		}
		if r != w {
			return 0, false
		}
		n += size
	}
	return n, true
}

// mayBegin reports whether calls may begin behind what has been said and before: not in
// code, and those that people write about only in a line of their own.
func (t *Turn) mayBegin(before []byte, form *markupForm) bool {
	if t.markup.tries++; t.markup.tries > maxMarkupTries {
		return false
	}
	var said []byte
	if t.cur >= 0 && t.items[t.cur].part != noPart {
		it := &t.items[t.cur]
		if m := &t.markup; m.thought == (it.kind == outReasoning) {
			said = jsonx.AppendUnescaped(nil, it.text)
		}
	}
	said = jsonx.AppendUnescaped(said, before)
	if bytes.Count(said, []byte("```"))%2 == 1 {
		return false
	}
	line := said[bytes.LastIndexByte(said, '\n')+1:]
	if bytes.Count(line, []byte("`"))%2 == 1 {
		return false
	}
	return !form.line || len(bytes.TrimSpace(line)) == 0
}

// followMarkup looks at what is held since calls seem to have begun, and gives it up when
// they have not.
func (t *Turn) followMarkup(dst []byte) []byte {
	m := &t.markup
	switch m.form {
	case formCalled:
		return dst
	case formBare:
		switch t.bareCalls(m.plain) {
		case 1:
			m.form = formCalled
		case -1:
			return t.giveUpMarkup(dst)
		}
		return dst
	}
	form := &markupForms[m.form]
	for {
		if m.ended {
			rest := trimNoise(m.plain[m.from:])
			if len(rest) == 0 || bytes.HasPrefix([]byte("</tool_call>"), rest) || bytes.HasPrefix([]byte("</｜DSML｜tool_calls>"), rest) {
				return dst
			}
			next, n, part := anyMarkup(jsonx.AppendEscaped(nil, rest))
			switch {
			case n > 0:
				m.form, m.ended = next, false
				form = &markupForms[next]
				m.from = len(m.plain) - len(rest) + len(form.open)
			case part:
				return dst
			default:
				if noise := bytes.Index(m.plain[m.from:], []byte("<tool_call>")); noise >= 0 { // another call of the same form
					m.ended, m.from = false, m.from+noise+len("<tool_call>")
					continue
				}
				return t.releaseMarkup(dst) // text goes on behind it: it was part of that
			}
			continue
		}
		if form.close == "" {
			return dst
		}
		i := bytes.Index(m.plain[m.from:], []byte(form.close))
		if i < 0 {
			// What is behind the beginning must look like a call.
			if body := bytes.TrimSpace(m.plain[min(m.from, len(form.open)):]); m.from == len(form.open) && len(body) > 0 && !nameByte(body[0]) && bytes.IndexByte([]byte("{[<\"'"), body[0]) < 0 {
				return t.giveUpMarkup(dst)
			}
			m.from = max(m.from, len(m.plain)-len(form.close))
			return dst
		}
		m.from, m.ended = m.from+i+len(form.close), true
	}
}

// bareCalls looks at an object, a list or Python's calls at the beginning of a text: 1 if
// they name a tool, -1 if they do not, 0 while nobody can say.
func (t *Turn) bareCalls(text []byte) int {
	s := &t.opt.Request.tools
	text = bytes.TrimSpace(text)
	for len(text) > 0 && text[0] == '[' {
		text = bytes.TrimLeft(text[1:], " \t\r\n")
	}
	switch {
	case len(text) == 0:
		return 0
	case text[0] != '{': // Python's
		name, _, called := bytes.Cut(text, []byte("("))
		switch {
		case called && s.knows(name):
			return 1
		case called || !s.isName(text):
			return -1
		}
		return 0
	}
	first := jsonx.FirstKey(text, "name", "function", "type", "tool_name", "tool", "id", "arguments", "parameters", "tool_calls")
	if first == "" {
		if key := bytes.TrimLeft(text[1:], " \t\r\n"); len(key) < len(`"parameters`) && (len(key) == 0 || key[0] == '"') && bytes.Count(key, []byte(`"`)) < 2 {
			return 0
		}
		return -1
	}
	for _, key := range [...]string{`"name"`, `"function"`, `"tool_name"`, `"tool"`} {
		_, value, found := bytes.Cut(text, []byte(key))
		value, colon := bytes.CutPrefix(bytes.TrimLeft(value, " \t\r\n"), []byte(":"))
		value = bytes.TrimLeft(value, " \t\r\n")
		if !found || !colon || len(value) == 0 || value[0] != '"' {
			continue
		}
		if name, _, whole := bytes.Cut(value[1:], []byte(`"`)); whole {
			if s.isMeant(name) {
				return 1
			}
			return -1
		}
	}
	if len(text) > maxBare {
		return -1
	}
	return 0
}

// giveUpMarkup says what was held: it only began like a call.
func (t *Turn) giveUpMarkup(dst []byte) []byte {
	m := &t.markup
	// Another beginning may stand behind the first character.
	m.form = formProbe
	_, size := character(m.held)
	rest := append([]byte(nil), m.held[size:]...)
	m.held = m.held[:size]
	t.held -= len(rest)
	kind, thought := m.kind, m.thought
	if dst = t.sayHeld(dst, size); len(rest) == 0 || t.state >= stateEnded {
		return dst
	}
	return t.markedText(dst, rest, kind, nil, thought)
}

// releaseMarkup says what is held as the text that it is, and reports what looks like
// calls.
func (t *Turn) releaseMarkup(dst []byte) []byte {
	m := &t.markup
	if len(m.held) == 0 {
		return dst
	}
	if m.form >= 0 || m.form == formCalled {
		path := outputPath(len(t.order))
		if t.cur >= 0 {
			path = outputPath(t.items[t.cur].index)
		}
		t.lose(ruleReplyCallMarkup, path, "")
	}
	m.form = formProbe
	return t.sayHeld(dst, len(m.held))
}

// markupBeforeCall settles what is held before a call that the backend has made: text
// that says the same call is left out.
func (t *Turn) markupBeforeCall(dst, name []byte) []byte {
	m := &t.markup
	if len(m.held) == 0 {
		return dst
	}
	if m.form >= 0 || m.form == formCalled {
		calls, ok := parseMarkup(m.plain)
		for i := range calls {
			s := &t.opt.Request.tools
			if a, _ := s.called(calls[i].name); ok && a != nil {
				if b, _ := s.called(name); a == b {
					t.lose(ruleReplyCallText, outputPath(len(t.order)), string(calls[i].name))
					t.dropHeld()
					return dst
				}
			}
		}
	}
	return t.releaseMarkup(dst)
}

func (t *Turn) dropHeld() {
	m := &t.markup
	t.held -= len(m.held)
	m.held, m.tokens, m.form = m.held[:0], m.tokens[:0], formProbe
}

// endMarkup settles what is held at the end of a reply: calls are made of it, if it is
// nothing but calls of tools that there are.
func (t *Turn) endMarkup(dst []byte) []byte {
	m := &t.markup
	if len(m.held) == 0 {
		return dst
	}
	if m.form != formBare && m.form != formProbe && t.finish == finishStop && t.opt.Dialect.Tools.CallMarkup != MarkupReport {
		calls, ok := parseMarkup(jsonx.AppendUnescaped(nil, m.held))
		for i := range calls {
			tool, _ := t.opt.Request.tools.called(jsonx.AppendEscaped(nil, calls[i].name))
			ok = ok && tool != nil && t.opt.Request.tools.permits(tool)
		}
		if ok {
			t.dropHeld()
			for i := range calls {
				t.lose(ruleReplyCallText, outputPath(len(t.order)), string(calls[i].name))
				if dst = t.madeCall(dst, calls[i].name, calls[i].arguments); t.state >= stateEnded {
					return dst
				}
			}
			return dst
		}
	}
	return t.releaseMarkup(dst)
}

// madeCall makes a call that was read out of text.
func (t *Turn) madeCall(dst, name, arguments []byte) []byte {
	dst, i := t.newCall(dst, -1, nil)
	if i < 0 || t.items[i].state == itemIgnored {
		return dst
	}
	it := &t.items[i]
	it.said = jsonx.AppendEscaped(it.said[:0], name)
	raw := jsonx.AppendEscaped(nil, arguments)
	if !t.hold(len(it.said)) {
		return t.tooLarge(dst)
	}
	if dst = t.announce(dst, i); it.state != itemOpen && it.state != itemHeld {
		return dst
	}
	return t.callDelta(dst, it, raw)
}
