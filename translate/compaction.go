package translate

import (
	"bytes"
	"slices"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// A compaction item stands for what was said before it (docs/PROTOCOL.md §1.8, §1.9). Its
// encrypted_content is an envelope with
//
//	{"v":1,"keep":"last","model":"…","summary":"…"}
//
// The backend is shown the summary, in one system message, in place of all that
// stands before the item: messages of user and assistant, reasoning, calls and
// outputs. What stays are instructions (messages of system and developer), tools
// and settings that were brought, and of the user's messages of the same request
// those that keep says.

// Opener opens the envelopes of compaction items.
type Opener interface {
	// Open appends what is in an envelope to dst. ok is false if it is not one
	// that was made for this tenant.
	Open(dst, sealed []byte) (plain []byte, ok bool)
}

// Keep says which of the user's messages stay in front of a compaction item.
type Keep string

// The values of Keep.
const (
	// KeepLast: the last one, which is being answered. It is for a compaction in
	// the middle of a conversation.
	KeepLast Keep = "last"
	// KeepAll: all of them. It is for a client that puts the item after those
	// messages that it wants to keep.
	KeepAll Keep = "all"
)

// compactionVersion is the version of what is in an envelope.
const compactionVersion = 1

// AppendCompaction appends what goes into the envelope of a compaction item.
func AppendCompaction(dst []byte, keep Keep, model string, summary []byte) []byte {
	dst = append(dst, `{"v":`...)
	dst = appendInt(dst, compactionVersion)
	dst = append(dst, `,"keep":"`...)
	dst = append(dst, keep...)
	dst = append(dst, `","model":`...)
	dst = jsonx.AppendString(dst, model)
	dst = append(dst, `,"summary":`...)
	dst = jsonx.AppendString(dst, summary)
	return append(dst, '}')
}

// summarized is what a compaction item has in it.
type summarized struct {
	item item // the compaction item itself
	keep Keep
}

// openItem is the item that a compaction item stands for: a system message.
func openItem(it *item, plain []byte) (opened item, ok bool) {
	var d jsonx.Doc
	if d.Parse(plain, storedLimits) != nil {
		return opened, false
	}
	version, _ := d.Int(d.Get(jsonx.Root, "v"))
	summary := d.GetString(jsonx.Root, "summary")
	keep := d.GetString(jsonx.Root, "keep")
	if version != compactionVersion || summary == 0 || keep == 0 {
		return opened, false
	}
	text := jsonx.AppendEscaped([]byte{'"'}, summaryBefore)
	text = append(text, d.Str(summary)...)
	text = append(jsonx.AppendEscaped(text, summaryAfter), '"')
	message := new(jsonx.Doc)
	if message.Parse(text, storedLimits) != nil {
		return opened, false
	}
	return item{
		doc: message, node: jsonx.Root, content: jsonx.Root, at: it.at, kind: kindSystem, dev: true,
		opened: &summarized{item: *it, keep: Keep(d.Text(keep))},
	}, true
}

// ForeignOpener is an Opener that may be in front of a backend which makes compaction
// items of its own.
type ForeignOpener interface {
	Opener
	// PassesForeign reports whether items that do not open are left as they are: they
	// are the backend's.
	PassesForeign() bool
}

// openCompactions opens the compaction items among items, in their place. It
// returns the index of the first that does not open, or -1.
func openCompactions(items []item, o Opener) (failed int) {
	for i := range items {
		it := &items[i]
		if it.kind != kindCompaction {
			continue
		}
		if len(it.doc.Str(it.sealed)) == 0 { // of a response that failed meanwhile
			it.kind = kindGone
			continue
		}
		if o == nil {
			return i
		}
		plain, ok := o.Open(nil, []byte(it.doc.Text(it.sealed)))
		if f, may := o.(ForeignOpener); !ok && may && f.PassesForeign() {
			it.kind = kindUnsupported
			continue
		}
		if !ok {
			return i
		}
		opened, ok := openItem(it, plain)
		if !ok {
			return i
		}
		items[i] = opened
	}
	return -1
}

// OpenCompactions opens the compaction items of the input. It must be called
// before AppendChat if there are any; without it they are refused.
func (r *Request) OpenCompactions(o Opener) *Error {
	if !slices.ContainsFunc(r.items, func(it item) bool { return it.kind == kindCompaction }) {
		return nil
	}
	r.compacted = true
	if i := openCompactions(r.items, o); i >= 0 {
		return errCompaction(i)
	}
	return nil
}

func errCompaction(i int) *Error {
	return invalid("invalid_value", itemPath(i)+".encrypted_content", "The compaction item in '"+itemPath(i)+
		"' could not be decrypted: it was not made by this server.")
}

// Compacted puts a compaction after the input, for the translations that follow:
// plain is what AppendCompaction makes. It is no part of what is stored of the
// input.
func (r *Request) Compacted(plain []byte) *Error {
	it := item{doc: &r.doc, at: len(r.items), kind: kindCompaction}
	opened, ok := openItem(&it, plain)
	if !ok {
		return &Error{Status: 500, Type: TypeServer, Code: "server_error", Message: "A compaction could not be read.", Origin: OriginProxy}
	}
	r.items = append(r.items, opened)
	r.added++
	r.compacted = true
	return nil
}

// given are the items that the client gave: without those that Compacted added,
// and with compaction items as they came.
func (r *Request) given() []item {
	if !r.compacted {
		return r.items
	}
	items := slices.Clone(r.items[:len(r.items)-r.added])
	for i := range items {
		if o := items[i].opened; o != nil {
			items[i] = o.item
		}
	}
	return items
}

// Triggered reports whether the input asks for a compaction, and for nothing else.
func (r *Request) Triggered() bool {
	n := len(r.items) - r.added
	return n > 0 && r.items[n-1].kind == kindTrigger
}

// CompactThreshold is how many tokens the context may have before it must be
// compacted, or 0.
func (r *Request) CompactThreshold() (tokens int64) {
	d, n := &r.doc, r.params[pContextManagement]
	if n == 0 {
		return 0
	}
	for v, end := d.First(n), d.End(n); v < end; v = d.Next(v) {
		if t, ok := d.Int(d.Get(v, "compact_threshold")); ok && (tokens == 0 || t < tokens) {
			tokens = t
		}
	}
	return tokens
}

// Compactable reports whether a compaction would leave anything out: whether
// there is more than instructions, the user's last message, and an earlier
// compaction.
func (r *Request) Compactable(h *History) bool {
	if h != nil && h.spoken() {
		return true
	}
	users := 0
	for i := range r.items {
		switch r.items[i].kind {
		case kindUser:
			users++
		case kindAssistant, kindCall, kindHosted, kindOutput:
			return true
		}
	}
	return users > 1
}

// spoken reports whether there is anything but instructions and a summary.
func (h *History) spoken() bool {
	for ; h != nil; h = h.before {
		if bytes.Contains(h.messages, []byte(`{"role":"user"`)) || bytes.Contains(h.messages, []byte(`{"role":"assistant"`)) {
			return true
		}
	}
	return false
}

// UserMessages returns the user's messages of the input, in their full form; ids
// that they lack draw on the seed.
func (r *Request) UserMessages(seed *Seed) []ListedItem {
	var out []ListedItem
	for _, it := range r.given() {
		if it.kind == kindUser {
			out = append(out, listed(it.appendStored(nil, seed)))
		}
	}
	return out
}

// UserItems returns the user's messages among listed items, as far as a compaction
// among them or in output leaves them.
func UserItems(items, output []byte) (users []ListedItem) {
	var d jsonx.Doc
	if d.Parse(items, storedLimits) != nil || d.Kind(jsonx.Root) != jsonx.Array {
		return nil
	}
	for v, end := d.First(jsonx.Root), d.End(jsonx.Root); v < end; v = d.Next(v) {
		id := d.GetString(v, "id")
		if id != 0 && d.Is(d.Get(v, "type"), "message") && d.Is(d.Get(v, "role"), "user") {
			users = append(users, ListedItem{d.Text(id), d.Raw(v)})
		}
	}
	if HasCompaction(output) && len(users) > 1 {
		users = users[len(users)-1:]
	}
	return users
}

// HasCompaction reports whether there is a compaction item in a JSON array of
// items.
func HasCompaction(items []byte) bool {
	var d jsonx.Doc
	if !bytes.Contains(items, []byte("compaction")) || d.Parse(items, storedLimits) != nil || d.Kind(jsonx.Root) != jsonx.Array {
		return false
	}
	for v, end := d.First(jsonx.Root), d.End(jsonx.Root); v < end; v = d.Next(v) {
		if typ := d.Get(v, "type"); d.Is(typ, "compaction") || d.Is(typ, "context_compaction") {
			return true
		}
	}
	return false
}

// supersede settles what the last compaction among items leaves of those before
// it. It returns its index, or -1 without one.
func supersede(items []item) (at int) {
	at = -1
	for i := range items {
		if items[i].opened != nil {
			at = i
		}
	}
	if at < 0 {
		return at
	}
	last := -1
	for i := range items[:at] {
		if items[i].kind == kindUser {
			last = i
		}
	}
	all := items[at].opened.keep == KeepAll
	for i := range items[:at] {
		it := &items[i]
		switch it.kind {
		case kindSystem:
			if it.opened != nil {
				it.kind = kindGone
			}
		case kindUser:
			if !all && i != last {
				it.kind = kindGone
			}
		case kindOutput:
			if it.kind = kindGone; it.doc.Is(it.typ, "tool_search_output") {
				it.kind = kindTools // what it has brought stays
			}
		case kindAssistant, kindReasoning, kindCall, kindHosted, kindUnsupported:
			it.kind = kindGone
		}
	}
	return at
}

// silent reports whether there is nobody left to answer to.
func silent(items []item) bool {
	return !slices.ContainsFunc(items, func(it item) bool {
		return it.kind == kindUser || it.kind == kindAssistant || it.isCall() || it.kind == kindOutput
	})
}

// standing is what a compaction leaves of a history: its instructions.
func (h *History) standing(dialect *Dialect) *History {
	if h.count == 0 && len(h.summary) == 0 {
		return h
	}
	s := *h
	s.lost = ruleSet{} // what it was about is not sent any more
	if h.lost.has(ruleSystemMoved) {
		s.lost.add(ruleSystemMoved)
	}
	s.before, s.messages, s.thoughts, s.old, s.spoke = nil, nil, nil, 0, false
	s.summary, s.summaryAt, s.open, s.count, s.last, s.contentAt = nil, span{}, nil, 0, roleNone, 0
	if dialect.SystemMessages == SystemAnywhere { // elsewhere they are in s.system
		var segments []*History
		for ; h != nil; h = h.before {
			segments = append(segments, h)
		}
		slices.Reverse(segments)
		for _, h := range segments {
			s.keepInstructions(h)
		}
		if s.count > 0 {
			s.last = roleSystem
		}
	}
	s.measure()
	return &s
}

// keepInstructions takes over the system messages of a segment, but not a summary.
func (h *History) keepInstructions(from *History) {
	var d jsonx.Doc
	array := append(append([]byte{'['}, from.messages...), ']')
	if d.Parse(array, storedLimits) != nil {
		return // cannot be: it is our own
	}
	for v, end := d.First(jsonx.Root), d.End(jsonx.Root); v < end; v = d.Next(v) {
		start, _ := d.Span(v)
		role := d.Get(v, "role")
		if !d.Is(role, "system") && !d.Is(role, "developer") || from.summaryAt.to > 0 && start-1 == from.summaryAt.from {
			continue
		}
		if h.count > 0 {
			h.messages = append(h.messages, ',')
		}
		h.messages = append(h.messages, d.Raw(v)...)
		h.count++
	}
}

// say says something for the user: the prompt of a summary, or only that the
// conversation shall go on.
func (m *messages) say(summarize bool) {
	text := goOn
	if summarize {
		text = handOverPrompt
	}
	doc := new(jsonx.Doc)
	if doc.Parse(jsonx.AppendString(nil, text), storedLimits) != nil {
		return // cannot be
	}
	m.plain(&item{doc: doc, node: jsonx.Root, content: jsonx.Root, at: len(m.items), kind: kindUser}, "user")
}

// Text is what the response says, without refusals, reasoning and calls. It is for
// a turn that has ended.
func (t *Turn) Text() []byte {
	var text []byte
	var d jsonx.Doc
	for _, i := range t.order {
		it := &t.items[i]
		if it.kind != outMessage || d.Parse(it.json, storedLimits) != nil {
			continue
		}
		content := d.Get(jsonx.Root, "content")
		for v, end := d.First(content), d.End(content); v < end; v = d.Next(v) {
			if n := d.GetString(v, "text"); n != 0 {
				if len(text) > 0 {
					text = append(text, "\n\n"...)
				}
				text = append(text, d.Text(n)...)
			}
		}
	}
	return text
}

// AppendUsage appends the usage object, or null if the backend has told nothing.
func (t *Turn) AppendUsage(dst []byte) []byte {
	if !t.usage.known {
		return append(dst, "null"...)
	}
	return t.usage.append(dst)
}

// leading is how many items come before what the backend says.
func (t *Turn) leading() int {
	if t.opt.Compacts || len(t.opt.Compaction) > 0 {
		return 1
	}
	return 0
}

// lead announces the compaction item that comes before what the backend says.
func (t *Turn) lead(dst []byte) []byte {
	if t.leading() == 0 {
		return dst
	}
	i := t.newItem(outCompaction)
	dst = t.add(dst, i, prefixCompaction)
	if t.events {
		dst = t.event(dst, evCompacting)
		dst = itemPlace(dst, &t.items[i])
		dst = append(dst, eventEnd...)
	}
	if len(t.opt.Compaction) > 0 {
		return t.CloseCompaction(dst, t.opt.Compaction)
	}
	return dst
}

// CloseCompaction ends the compaction item: sealed is its encrypted_content, which
// must need no escape in a JSON string. It comes after Begin, and before anything
// is fed.
func (t *Turn) CloseCompaction(dst, sealed []byte) []byte {
	if t.state != stateOpen || t.leading() == 0 || t.items[0].state != itemOpen {
		return dst
	}
	t.items[0].sealed = append(t.items[0].sealed[:0], sealed...)
	return t.close(dst, 0, "completed")
}

// FinishWith ends a turn that has no reply of its own, because all that it was
// asked for is the compaction: that took what the turn by took.
func (t *Turn) FinishWith(dst []byte, by *Turn) []byte {
	if t.state >= stateEnded {
		return dst
	}
	if t.state == stateIdle {
		dst = t.Begin(dst)
	}
	t.usage, t.finished, t.finish, t.compacts = by.usage, true, finishStop, true
	t.tier, t.upModel = append(t.tier[:0], by.tier...), append(t.upModel[:0], by.upModel...)
	return t.end(dst)
}
