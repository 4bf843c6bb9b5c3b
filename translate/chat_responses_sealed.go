package translate

import (
	"bytes"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// A reasoning item carries, encrypted, what its backend wants back one day: the
// reasoning itself when the client asks for encrypted_content, and always what
// the API has no other place for, reasoning_details and members of the calls
// that follow (Gemini's thought signatures). What is in an envelope is JSON:
//
//	{"v":1,"from":"gemini","at":"default","text":"…","details":[…],"calls":[{"id":"call_1","extra_content":{…}}]}
//
// from is the dialect's name, and at that of the upstream, which may be recognised as
// one of another dialect later: what only one kind of server understands is not
// shown to another. responses_chat_reasoning.go reads it.

// Sealer makes envelopes that only this deployment can open, for one tenant.
type Sealer interface {
	// Seal appends the envelope of plain to dst: ASCII that needs no escape in a
	// JSON string. ok is false if there can be none.
	Seal(dst, plain []byte) (sealed []byte, ok bool)
	// Open appends what is in an envelope to dst. ok is false if it is not one
	// that Seal has made for this tenant.
	Open(dst, sealed []byte) (plain []byte, ok bool)
}

// sealVersion is the version of what is in an envelope.
const sealVersion = 1

// seal makes the encrypted_content of a reasoning item that is about to be done.
func (t *Turn) seal(it *outItem) {
	text := t.opt.Request.IncludeEncrypted && len(it.text) > 0
	var details []byte
	if len(it.details) > 0 {
		var plain bool
		if details, plain = appendMergedDetails(nil, it.details); plain && t.reasoningKey != detailsKey {
			details = nil
		}
		if !plain {
			t.noticed |= noticedDetails
		}
	}
	if !text && len(details) == 0 && len(it.extras) == 0 {
		return
	}
	path := "output[" + string(appendInt(nil, it.index)) + "].encrypted_content"
	if t.opt.Sealer == nil {
		t.lose(ruleReplyUnsealed, path, "")
		return
	}
	p := append(t.scratch[:0], `{"v":`...)
	p = appendInt(p, sealVersion)
	p = append(p, `,"from":`...)
	p = jsonx.AppendString(p, t.opt.Dialect.Name)
	if t.opt.Upstream != "" {
		p = append(p, `,"at":`...)
		p = jsonx.AppendString(p, t.opt.Upstream)
	}
	if text {
		p = append(p, `,"text":"`...)
		p = append(p, it.text...)
		p = append(p, '"')
	}
	if len(details) > 0 {
		p = append(p, `,"details":[`...)
		p = append(p, details...)
		p = append(p, ']')
	}
	if len(it.extras) > 0 {
		p = append(p, `,"calls":[`...)
		p = append(p, it.extras...)
		p = append(p, ']')
	}
	p = append(p, '}')
	t.scratch = p
	sealed, ok := t.opt.Sealer.Seal(it.sealed[:0], p)
	if !ok {
		t.lose(ruleReplyUnsealed, path, "")
		return
	}
	it.sealed = sealed
}

// keepDetails keeps the backend's reasoning_details for the envelope of the
// reasoning item. Whether the backend takes them back may only be known once this
// reply has shown that it gives them.
func (t *Turn) keepDetails(dst []byte, d *jsonx.Doc, details uint32) []byte {
	if d.Kind(details) != jsonx.Array || d.Len(details) == 0 || t.state >= stateEnded {
		return dst
	}
	if t.opt.Sealer == nil {
		t.noteReasoningData(d, details)
		return dst
	}
	raw := bytes.TrimSpace(d.Raw(details))
	raw = raw[1 : len(raw)-1]
	if !t.hold(len(raw)) {
		return t.tooLarge(dst)
	}
	to := &t.late
	if t.cur >= 0 && t.items[t.cur].kind == outReasoning {
		to = &t.items[t.cur].details
	} else if t.count == t.leading() && (t.opt.Dialect.Reasoning.Details || opaque(d, details)) { // nothing was said yet: they are what it begins with
		if dst = t.openReasoning(dst); t.cur < 0 {
			return dst
		}
		to = &t.items[t.cur].details
	}
	if len(*to) > 0 {
		*to = append(*to, ',')
	}
	*to = append(*to, raw...)
	return dst
}

// closeDetails gives details that came when their item was done an item of their
// own, at the end.
func (t *Turn) closeDetails(dst []byte) []byte {
	if len(t.late) == 0 {
		return dst
	}
	if dst = t.openReasoning(dst); t.cur < 0 {
		return dst
	}
	it := &t.items[t.cur]
	it.details = append(it.details, t.late...)
	t.late = t.late[:0]
	return t.close(dst, t.cur, "completed")
}

// noteReasoningData reports what a backend wants back one day and nobody keeps.
func (t *Turn) noteReasoningData(d *jsonx.Doc, details uint32) {
	if d.Kind(details) != jsonx.Array || t.opt.Losses == nil {
		return
	}
	if opaque(d, details) {
		t.noticed |= noticedDetails
		t.loseData()
	}
}

// opaque reports whether reasoning_details hold what only the backend can read.
func opaque(d *jsonx.Doc, details uint32) bool {
	for v, end := d.First(details), d.End(details); v < end; v = d.Next(v) {
		if d.Kind(d.Get(v, "data")) == jsonx.String || d.Kind(d.Get(v, "signature")) == jsonx.String {
			return true
		}
	}
	return false
}

func (t *Turn) loseData() {
	t.lose(ruleReplyReasoningData, "output["+string(appendInt(nil, len(t.order)))+"]", "")
}

// callExtras keeps the members of a call that the backend wants back with it, in
// a reasoning item before the call: the one that is open, or one of their own.
// They are found again by the call's id.
func (t *Turn) callExtras(dst []byte, d *jsonx.Doc, call uint32, id []byte) []byte {
	var entry []byte
	for _, key := range t.opt.Dialect.Tools.CallExtras {
		if v := d.Get(call, key); d.Present(v) {
			entry = append(entry, ',')
			entry = jsonx.AppendString(entry, key)
			entry = append(entry, ':')
			entry = append(entry, d.Raw(v)...)
		}
	}
	switch {
	case entry == nil:
		return dst
	case len(id) == 0 || t.opt.Sealer == nil:
		t.loseData()
		return dst
	case !t.hold(len(id) + len(entry)):
		return t.tooLarge(dst)
	}
	if dst = t.flushTags(dst); t.state >= stateEnded {
		return dst
	}
	if dst = t.openReasoning(dst); t.cur < 0 {
		return dst
	}
	it := &t.items[t.cur]
	if len(it.extras) > 0 {
		it.extras = append(it.extras, ',')
	}
	it.extras = append(it.extras, `{"id":"`...)
	from := len(it.extras)
	it.extras = append(it.extras, id...)
	jsonx.MendSurrogates(it.extras[from:])
	it.extras = append(it.extras, '"')
	it.extras = append(it.extras, entry...)
	it.extras = append(it.extras, '}')
	return dst
}

// detail is one entry of reasoning_details, put together from what a stream
// sends of it.
type detail struct {
	typ, index, id string // raw; "" where absent
	members        []detailMember
}

type detailMember struct {
	key  string
	text []byte // what stands in the quotes of a text that grows; nil for others
	raw  []byte // of others
}

// appendMergedDetails appends reasoning_details as a whole message has them: the
// fragments of a stream that have one type and index (and id) are one entry,
// whose text grows and whose other members are the last that came. plain says
// that they hold nothing but texts, which the reasoning's own text repeats.
func appendMergedDetails(dst, elements []byte) (merged []byte, plain bool) {
	array := append(append([]byte{'['}, elements...), ']')
	var d jsonx.Doc
	if d.Parse(array, upstreamLimits) != nil {
		return append(dst, elements...), false
	}
	plain = true
	var all []detail
	for v, end := d.First(jsonx.Root), d.End(jsonx.Root); v < end; v = d.Next(v) {
		if d.Kind(v) != jsonx.Object {
			continue
		}
		entry := detail{typ: rawMember(&d, v, "type"), index: rawMember(&d, v, "index"), id: rawMember(&d, v, "id")}
		to := mergesWith(all, &entry)
		if to == nil {
			all = append(all, entry)
			to = &all[len(all)-1]
		}
		to.merge(&d, v)
	}
	for i := range all {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '{')
		for n, m := range all[i].members {
			if n > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, m.key...)
			dst = append(dst, ':')
			if m.text != nil {
				jsonx.MendSurrogates(m.text)
				dst = append(dst, '"')
				dst = append(dst, m.text...)
				dst = append(dst, '"')
				continue
			}
			dst = append(dst, m.raw...)
			switch m.key {
			case `"type"`, `"index"`, `"format"`:
			default:
				plain = plain && string(m.raw) == "null"
			}
		}
		dst = append(dst, '}')
	}
	return dst, plain
}

func rawMember(d *jsonx.Doc, n uint32, key string) string {
	if v := d.Get(n, key); d.Present(v) {
		return string(d.Raw(v))
	}
	return ""
}

// mergesWith finds the entry that a fragment goes on with, or nil. Without an
// index only text goes on, and only with what stands right before it.
func mergesWith(all []detail, e *detail) *detail {
	for i := len(all) - 1; i >= 0; i-- {
		have := &all[i]
		same := have.typ == e.typ && have.index == e.index && (have.id == e.id || have.id == "" || e.id == "")
		if same && (e.index != "" || e.typ != `"reasoning.encrypted"`) {
			return have
		}
		if e.index == "" {
			return nil
		}
	}
	return nil
}

func (e *detail) merge(d *jsonx.Doc, n uint32) {
	for k, end := d.First(n), d.End(n); k < end; k = d.Next(k + 1) {
		v, key := k+1, string(d.Raw(k))
		grows := (d.Is(k, "text") || d.Is(k, "summary")) && d.Kind(v) == jsonx.String
		var m *detailMember
		for i := range e.members {
			if e.members[i].key == key {
				m = &e.members[i]
			}
		}
		switch {
		case m == nil:
			e.members = append(e.members, detailMember{key: key})
			m = &e.members[len(e.members)-1]
		case !d.Present(v):
			continue
		}
		if grows {
			m.text, m.raw = append(m.text, d.Str(v)...), nil
			if m.text == nil {
				m.text = []byte{} // a text that is empty so far
			}
			continue
		}
		m.text, m.raw = nil, d.Raw(v)
	}
}
