package translate

import (
	"bytes"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// splitCalls rewrites the messages that stand in dst from start on, an array, for
// backends that take one call in a message: the further calls of a turn follow in
// messages of their own, each with its results.
func splitCalls(dst []byte, start int, dialect *Dialect, losses *Losses) []byte {
	if !bytes.Contains(dst[start:], []byte(`"tool_calls":[`)) {
		return dst
	}
	messages := bytes.Clone(dst[start:])
	var d jsonx.Doc
	if d.Parse(messages, jsonx.Limits{Depth: 1 << 10, Values: 1 << 30}) != nil { // cannot be: it is our own
		return dst
	}
	dst = append(dst[:start], '[')
	write := func(parts ...[]byte) {
		if len(dst) > start+1 {
			dst = append(dst, ',')
		}
		for _, p := range parts {
			dst = append(dst, p...)
		}
	}
	split := false
	for v, end := d.First(jsonx.Root), d.End(jsonx.Root); v < end; {
		raw, calls := d.Raw(v), d.Get(v, "tool_calls")
		if d.Kind(calls) != jsonx.Array || d.Len(calls) < 2 {
			write(raw)
			v = d.Next(v)
			continue
		}
		split = true
		from, to := d.Span(calls)
		at, _ := d.Span(v)
		results := d.Next(v)
		after := results
		for after < end && d.Is(d.Get(after, "role"), "tool") {
			after = d.Next(after)
		}
		first := true
		for c, last := d.First(calls), d.End(calls); c < last; c = d.Next(c) {
			if first {
				write(messages[at:from], []byte{'['}, d.Raw(c), []byte{']'}, messages[to:at+len(raw)])
			} else {
				write([]byte(`{"role":"assistant",`+dialect.CallContent.member()+`"tool_calls":[`), d.Raw(c), []byte(`]}`))
			}
			first = false
			id := d.Get(c, "id")
			for r := results; r < after; r = d.Next(r) {
				if d.SameStr(d.Get(r, "tool_call_id"), &d, id) {
					write(d.Raw(r))
				}
			}
		}
		v = after
	}
	if split && losses != nil {
		losses.add(ruleSingleCalls, "input", "")
	}
	return append(dst, ']')
}

// member is the content of a message that only has calls, as a member before others.
func (c CallContent) member() string {
	switch c {
	case CallContentEmpty:
		return `"content":"",`
	case CallContentOmit:
		return ""
	}
	return `"content":null,`
}
