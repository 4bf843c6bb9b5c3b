package translate

import (
	"bytes"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// Models write calls in the markup of their chat template, and it is for the server to
// read them. parseMarkup reads what servers leave in the text: it knows JSON objects
// with a name and arguments, the XML of Qwen, GLM, MiniMax and DeepSeek, the tokens of
// Kimi, DeepSeek and Mistral, the functions of Llama and gpt-oss' channels, whatever stands
// around them.

// markupCall is a call that was read out of text.
type markupCall struct {
	name      []byte
	arguments []byte // JSON
}

// maxMarkupCalls bounds the calls of one text.
const maxMarkupCalls = 128

// markupNoise are tokens that stand around and between calls and say nothing themselves.
var markupNoise = [...]string{
	"<tool_call>", "</tool_call>", "<tool_calls>", "</tool_calls>", "</function>", "<function_calls>", "</function_calls>",
	"<minimax:tool_call>", "</minimax:tool_call>", "<seed:tool_call>", "</seed:tool_call>", "<TOOLCALL>", "</TOOLCALL>",
	"</invoke>", "<functioncall>", "</functioncall>", "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>", "<｜tool▁call▁end｜>", "<｜end▁of▁sentence｜>",
	"<|tool_calls_section_begin|>", "<|tool_calls_section_end|>", "<|tool_call_end|>", "<|tool_call_start|>", "<|tool_call|>", "<|/tool_call|>",
	"[TOOL_CALLS]", "[/TOOL_CALLS]", "<|python_tag|>", "<|eom_id|>", "<|eot_id|>", "<|im_end|>", "</s>",
	"<|action_start|>", "<|plugin|>", "<|action_end|>", "<|START_ACTION|>", "<|END_ACTION|>", "<|call|>", "<|end|>", ",", ";",
}

// parseMarkup reads the calls of a text that has nothing but calls in it.
func parseMarkup(text []byte) (calls []markupCall, ok bool) {
	if bytes.Contains(text, []byte("｜DSML｜")) {
		text = bytes.ReplaceAll(text, []byte("｜DSML｜"), nil)
	}
	for {
		if text = trimNoise(text); len(text) == 0 {
			return calls, len(calls) > 0
		}
		if len(calls) >= maxMarkupCalls {
			return nil, false
		}
		var more []markupCall
		if more, text, ok = parseOneMarkup(text); !ok {
			return nil, false
		}
		calls = append(calls, more...)
	}
}

func trimNoise(text []byte) []byte {
	for again := true; again; {
		text, again = bytes.TrimSpace(text), false
		for _, token := range markupNoise {
			if rest, ok := bytes.CutPrefix(text, []byte(token)); ok {
				text, again = rest, true
			}
		}
	}
	return text
}

func parseOneMarkup(text []byte) (calls []markupCall, rest []byte, ok bool) {
	one := func(name, arguments, rest []byte, ok bool) ([]markupCall, []byte, bool) {
		return []markupCall{{bytes.Clone(bytes.TrimSpace(name)), arguments}}, rest, ok && len(bytes.TrimSpace(name)) > 0
	}
	cut := func(open string) bool {
		inner, found := bytes.CutPrefix(text, []byte(open))
		if found {
			text = inner
		}
		return found
	}
	switch {
	case text[0] == '{':
		return jsonCalls(text)
	case text[0] == '[':
		if calls, rest, ok = jsonCalls(text); ok {
			return calls, rest, true
		}
		return pythonCalls(text[1:], ']')
	case cut("<function="), cut("<function name="):
		name, body, found := bytes.Cut(text, []byte(">"))
		name = bytes.Trim(name, `"' `)
		if trimmed := bytes.TrimSpace(body); found && len(trimmed) > 0 && trimmed[0] == '{' {
			end := jsonEnd(trimmed)
			return one(name, trimmed[:end], trimmed[end:], end > 0 && jsonx.Valid(trimmed[:end]))
		}
		arguments, rest, whole := xmlParameters(body, "</function>")
		return one(name, arguments, rest, found && whole)
	case cut("<invoke name="):
		name, body, found := bytes.Cut(text, []byte(">"))
		arguments, rest, whole := xmlParameters(body, "</invoke>")
		return one(bytes.Trim(name, `"' `), arguments, rest, found && whole)
	case cut("<|tool_call_begin|>"):
		name, body, found := bytes.Cut(text, []byte("<|tool_call_argument_begin|>"))
		body = bytes.TrimSpace(body)
		end := jsonEnd(body)
		return one(name, body[:end], body[end:], found && end > 0 && jsonx.Valid(body[:end]))
	case cut("<｜tool▁call▁begin｜>"):
		name, body, found := bytes.Cut(text, []byte("<｜tool▁sep｜>"))
		if string(bytes.TrimSpace(name)) == "function" {
			name, body, found = bytes.Cut(body, []byte("\n"))
		}
		body = bytes.TrimPrefix(bytes.TrimPrefix(bytes.TrimSpace(body), []byte("```json")), []byte("```"))
		body = bytes.TrimSpace(body)
		end := jsonEnd(body)
		rest = bytes.TrimPrefix(bytes.TrimSpace(body[end:]), []byte("```"))
		return one(name, body[:end], rest, found && end > 0 && jsonx.Valid(body[:end]))
	case cut("<|start|>"), bytes.HasPrefix(text, []byte("<|channel|>")):
		head, body, found := bytes.Cut(text, []byte("<|message|>"))
		i := bytes.LastIndex(head, []byte("to="))
		if !found || i < 0 {
			return nil, text, false
		}
		name, _, _ := bytes.Cut(head[i+3:], []byte(" "))
		name, _, _ = bytes.Cut(name, []byte("<"))
		body = bytes.TrimSpace(body)
		end := jsonEnd(body)
		return one(name, body[:end], body[end:], end > 0 && jsonx.Valid(body[:end]))
	}
	return namedCall(text)
}

// namedCall reads a call that begins with its name: with GLM's keys and values behind it,
// Mistral's tokens, an object, or the brackets of a function.
func namedCall(text []byte) (calls []markupCall, rest []byte, ok bool) {
	n := 0
	for n < len(text) && (nameByte(text[n]) || text[n] == '.' || text[n] == ':') {
		n++
	}
	name, body := text[:n], bytes.TrimSpace(text[n:])
	if n == 0 {
		return nil, text, false
	}
	one := func(arguments, rest []byte, ok bool) ([]markupCall, []byte, bool) {
		return []markupCall{{bytes.Clone(name), arguments}}, rest, ok
	}
	if i := bytes.Index(body, []byte("[ARGS]")); i >= 0 && (i == 0 || bytes.HasPrefix(body, []byte("[CALL_ID]"))) {
		body = bytes.TrimSpace(body[i+len("[ARGS]"):])
	}
	switch {
	case bytes.HasPrefix(body, []byte("<arg_key>")):
		arguments, rest, whole := glmArguments(body)
		return one(arguments, rest, whole)
	case bytes.HasPrefix(body, []byte("</tool_call>")): // GLM's call without arguments
		return one([]byte("{}"), body, true)
	case bytes.HasPrefix(body, []byte("{")):
		end := jsonEnd(body)
		return one(body[:end], body[end:], end > 0 && jsonx.Valid(body[:end]))
	case bytes.HasPrefix(body, []byte("(")):
		return pythonCalls(text, 0)
	}
	return nil, text, false
}

// jsonEnd is where the JSON value ends that a text begins with, an object or an array; 0
// if it does not end.
func jsonEnd(text []byte) int {
	deep, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			deep++
		case c == '}' || c == ']':
			if deep--; deep == 0 {
				return i + 1
			}
		}
		if deep == 0 && !quoted {
			return 0
		}
	}
	return 0
}

// jsonCalls reads an object with a name and arguments, or an array of them.
func jsonCalls(text []byte) (calls []markupCall, rest []byte, ok bool) {
	end := jsonEnd(text)
	var d jsonx.Doc
	if end == 0 || d.Parse(text[:end], upstreamLimits) != nil {
		return nil, text, false
	}
	root := uint32(jsonx.Root)
	if v := d.Get(root, "tool_calls"); d.Kind(v) == jsonx.Array {
		root = v
	}
	if d.Kind(root) == jsonx.Array {
		for v, last := d.First(root), d.End(root); v < last; v = d.Next(v) {
			if calls, ok = jsonCall(calls, &d, v); !ok || len(calls) > maxMarkupCalls {
				return nil, text, false
			}
		}
		return calls, text[end:], len(calls) > 0
	}
	calls, ok = jsonCall(nil, &d, root)
	return calls, text[end:], ok
}

func jsonCall(calls []markupCall, d *jsonx.Doc, n uint32) ([]markupCall, bool) {
	if v := d.Get(n, "function"); d.Kind(v) == jsonx.Object {
		n = v
	}
	name := firstString(d, n, "name", "tool_name", "function", "tool", "function_name")
	if name == 0 {
		return calls, false
	}
	for k, end := d.First(n), d.End(n); k < end; k = d.Next(k + 1) {
		switch d.Text(k) {
		case "name", "tool_name", "function", "tool", "function_name", "id", "call_id", "tool_call_id", "type", "index",
			"arguments", "parameters", "args", "input":
		default:
			return calls, false
		}
	}
	arguments := []byte("{}")
	switch v := firstArguments(d, n, false); d.Kind(v) {
	case jsonx.Object:
		arguments = bytes.Clone(d.Raw(v))
	case jsonx.String:
		if arguments = []byte(d.Text(v)); !isWholeObject(new(jsonx.Doc), arguments) {
			return calls, false
		}
	case jsonx.Missing:
	default:
		return calls, false
	}
	return append(calls, markupCall{[]byte(d.Text(name)), arguments}), true
}

// xmlParameters reads parameters in tags up to the end of a call, which may be missing.
func xmlParameters(body []byte, end string) (arguments, rest []byte, ok bool) {
	arguments = append(arguments, '{')
	for {
		body = bytes.TrimSpace(body)
		if rest, closed := bytes.CutPrefix(body, []byte(end)); closed || len(body) == 0 {
			return append(arguments, '}'), rest, true
		}
		if bytes.HasPrefix(body, []byte("</")) { // the end of what is around it
			return append(arguments, '}'), body, true
		}
		tag, more, found := bytes.Cut(body, []byte(">"))
		key, isParameter := bytes.CutPrefix(tag, []byte("<parameter="))
		if !isParameter {
			key, isParameter = bytes.CutPrefix(tag, []byte("<parameter name="))
		}
		if !found || !isParameter {
			return nil, body, false
		}
		isJSON := bytes.Contains(key, []byte(` string="false"`))
		if key, _, _ = bytes.Cut(bytes.TrimLeft(key, `"'`), []byte(`" `)); len(key) == 0 {
			return nil, body, false
		}
		key = bytes.Trim(key, `"' `)
		value, after, closed := bytes.Cut(more, []byte("</parameter>"))
		if !closed {
			return nil, body, false
		}
		arguments, body = appendParameter(arguments, key, value, isJSON), after
	}
}

// glmArguments reads GLM's keys and values.
func glmArguments(body []byte) (arguments, rest []byte, ok bool) {
	arguments = append(arguments, '{')
	for {
		body = bytes.TrimSpace(body)
		inner, found := bytes.CutPrefix(body, []byte("<arg_key>"))
		if !found {
			return append(arguments, '}'), body, true
		}
		key, more, closed := bytes.Cut(inner, []byte("</arg_key>"))
		value, has := bytes.CutPrefix(bytes.TrimSpace(more), []byte("<arg_value>"))
		value, after, end := bytes.Cut(value, []byte("</arg_value>"))
		if !closed || !has || !end {
			return nil, body, false
		}
		arguments, body = appendParameter(arguments, bytes.TrimSpace(key), value, false), after
	}
}

// appendParameter appends a member. Its value is text: what type it is to have the tool's
// schema says.
func appendParameter(arguments, key, value []byte, isJSON bool) []byte {
	if len(arguments) > 1 {
		arguments = append(arguments, ',')
	}
	arguments = append(jsonx.AppendString(arguments, key), ':')
	if isJSON && jsonx.Valid(bytes.TrimSpace(value)) {
		return append(arguments, bytes.TrimSpace(value)...)
	}
	value = bytes.TrimPrefix(bytes.TrimSuffix(value, []byte("\n")), []byte("\n"))
	return jsonx.AppendString(arguments, value)
}

// pythonCalls reads calls as Python writes them, f(a=1, b="x"), up to an end, or one where
// end is 0.
func pythonCalls(text []byte, end byte) (calls []markupCall, rest []byte, ok bool) {
	p := pythonReader{text: text}
	for {
		p.space()
		name := p.word()
		if len(name) == 0 || !p.take('(') {
			return nil, text, false
		}
		arguments := []byte{'{'}
		for !p.take(')') {
			if len(arguments) > 1 {
				if !p.take(',') {
					return nil, text, false
				}
				if arguments = append(arguments, ','); p.take(')') {
					arguments = arguments[:len(arguments)-1]
					break
				}
			}
			p.space()
			key := p.word()
			if len(key) == 0 || !p.take('=') {
				return nil, text, false
			}
			arguments = append(jsonx.AppendString(arguments, key), ':')
			if arguments, ok = p.value(arguments, 0); !ok {
				return nil, text, false
			}
		}
		name = bytes.TrimSuffix(name, []byte(".call")) // Llama's built-in tools
		calls = append(calls, markupCall{bytes.Clone(name), append(arguments, '}')})
		switch {
		case end == 0, p.take(end):
			return calls, p.text[p.at:], true
		case len(calls) > maxMarkupCalls || !p.take(','):
			return nil, text, false
		}
	}
}

// pythonReader reads Python's literals.
type pythonReader struct {
	text []byte
	at   int
}

func (p *pythonReader) space() {
	for p.at < len(p.text) && isSpace(rune(p.text[p.at])) {
		p.at++
	}
}

func (p *pythonReader) take(c byte) bool {
	if p.space(); p.at < len(p.text) && p.text[p.at] == c {
		p.at++
		return true
	}
	return false
}

func (p *pythonReader) word() []byte {
	from := p.at
	for p.at < len(p.text) && (nameByte(p.text[p.at]) || p.text[p.at] == '.') {
		p.at++
	}
	return p.text[from:p.at]
}

// value appends a literal as JSON.
func (p *pythonReader) value(dst []byte, depth int) ([]byte, bool) {
	p.space()
	if p.at == len(p.text) || depth > maxPartDepth {
		return dst, false
	}
	switch c := p.text[p.at]; c {
	case '"', '\'':
		return p.str(dst, c)
	case '[', '{', '(':
		return p.list(dst, c, depth)
	}
	from := p.at
	for p.at < len(p.text) && (nameByte(p.text[p.at]) || p.text[p.at] == '.' || p.text[p.at] == '+') {
		p.at++
	}
	switch word := p.text[from:p.at]; string(word) {
	case "True", "true":
		return append(dst, "true"...), true
	case "False", "false":
		return append(dst, "false"...), true
	case "None", "null":
		return append(dst, "null"...), true
	default:
		return append(dst, word...), len(word) > 0 && word[0] < 'A' && jsonx.Valid(word)
	}
}

func (p *pythonReader) str(dst []byte, quote byte) ([]byte, bool) {
	var text []byte
	for p.at++; p.at < len(p.text); p.at++ {
		switch c := p.text[p.at]; {
		case c == quote:
			p.at++
			return jsonx.AppendString(dst, text), true
		case c == '\\' && p.at+1 < len(p.text):
			p.at++
			switch e := p.text[p.at]; e {
			case 'n':
				text = append(text, '\n')
			case 't':
				text = append(text, '\t')
			case 'r':
				text = append(text, '\r')
			case '\\', '\'', '"':
				text = append(text, e)
			default:
				text = append(text, '\\', e)
			}
		default:
			text = append(text, c)
		}
	}
	return dst, false
}

func (p *pythonReader) list(dst []byte, open byte, depth int) (out []byte, ok bool) {
	end, last := byte(']'), byte(']')
	if open == '{' {
		end, last = '}', '}'
	}
	if open == '(' {
		end = ')'
	}
	p.at++
	first := byte('[')
	if open == '{' {
		first = '{'
	}
	dst = append(dst, first)
	for n := 0; !p.take(end); n++ {
		if n > 0 {
			if !p.take(',') {
				return dst, false
			}
			if p.take(end) {
				break
			}
			dst = append(dst, ',')
		}
		if open == '{' {
			p.space()
			if p.at == len(p.text) || p.text[p.at] != '"' && p.text[p.at] != '\'' {
				return dst, false
			}
			if dst, ok = p.str(dst, p.text[p.at]); !ok || !p.take(':') {
				return dst, false
			}
			dst = append(dst, ':')
		}
		if dst, ok = p.value(dst, depth+1); !ok {
			return dst, false
		}
	}
	return append(dst, last), true
}
