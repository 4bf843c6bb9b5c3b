package translate

import (
	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// openReasoning sees to it that a reasoning item is open: t.cur, or -1 when the
// response has failed.
func (t *Turn) openReasoning(dst []byte) []byte {
	if t.cur >= 0 && t.items[t.cur].kind != outReasoning {
		dst = t.close(dst, t.cur, "completed")
	}
	if t.cur >= 0 {
		return dst
	}
	dst = t.closeWholeCalls(dst)
	i := t.newItem(outReasoning)
	if i < 0 {
		return t.tooLarge(dst)
	}
	dst = t.add(dst, i, prefixReasoning)
	t.cur = i
	return dst
}

// thought takes in a fragment of the model's reasoning. It becomes reasoning
// text, or a summary when the client has asked for one: that is all that most
// clients show.
func (t *Turn) thought(dst, raw []byte, kind jsonx.StringKind) []byte {
	if t.markup.on && t.state < stateEnded && len(raw) > 0 {
		return t.markedText(dst, raw, kind, nil, true)
	}
	return t.sayThought(dst, raw, kind)
}

// sayThought says a fragment of reasoning.
func (t *Turn) sayThought(dst, raw []byte, kind jsonx.StringKind) []byte {
	if len(raw) == 0 || t.state >= stateEnded {
		return dst
	}
	if dst = t.openReasoning(dst); t.cur < 0 {
		return dst
	}
	it := &t.items[t.cur]
	if it.part == noPart {
		part := thoughtPart
		if t.opt.Request.SummaryWanted {
			part = summaryPart
		}
		dst = t.openPart(dst, it, part)
	}
	return t.delta(dst, it, t.whole(it, raw, kind), nil)
}

// reasoningKeys are the keys of a message in which backends give reasoning as text.
var reasoningKeys = [...]string{defaultReplayField, "reasoning", "thinking"}

// reasoning takes in the reasoning of a delta or message, wherever a backend
// puts it (docs/BACKENDS.md §1): reasoning_content, reasoning (a string or an object),
// thinking, or reasoning_details. Where it stands twice it is taken once.
func (t *Turn) reasoning(dst []byte, d *jsonx.Doc, f *choiceFields) []byte {
	for i, n := range [...]uint32{f.reasoningContent, f.reasoning, f.thinking} {
		if d.Kind(n) == jsonx.Object {
			if v := d.GetString(n, "content"); v != 0 {
				n = v
			} else {
				n = d.GetString(n, "text")
			}
		}
		if d.Kind(n) == jsonx.String && len(d.Str(n)) > 0 {
			key := reasoningKeys[i]
			if n == f.thinking && d.Is(n-1, "reasoning_text") { // Copilot
				key = "reasoning_text"
			}
			t.gaveReasoning(key)
			dst = t.thought(dst, d.Str(n), d.StrKind(n))
			return t.keepDetails(dst, d, f.reasoningDetails)
		}
	}
	if d.Kind(f.reasoningDetails) != jsonx.Array {
		return dst
	}
	for v, end := d.First(f.reasoningDetails), d.End(f.reasoningDetails); v < end; v = d.Next(v) {
		n := d.GetString(v, "text")
		if n == 0 {
			n = d.GetString(v, "summary")
		}
		if n != 0 {
			t.gaveReasoning(detailsKey)
			dst = t.thought(dst, d.Str(n), d.StrKind(n))
		}
	}
	return t.keepDetails(dst, d, f.reasoningDetails)
}

// lose reports a loss once for each rule and path.
func (t *Turn) lose(rule Rule, path, detail string) {
	if t.opt.Losses == nil {
		return
	}
	for _, e := range t.opt.Losses.Entries {
		if e.Rule == rule && e.Path == path {
			return
		}
	}
	t.opt.Losses.add(rule, path, detail)
}
