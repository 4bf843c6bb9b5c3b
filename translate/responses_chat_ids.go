package translate

import (
	"slices"
	"strconv"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// Ids of calls and items over a whole conversation. Backends tell calls apart by their
// ids, but models and frameworks count them anew in every turn ("call_1"): an id that
// comes again is sent with a number behind it, the same number in every later turn, so
// that what has been sent once stays as it was. Items that a client sends although the
// history has them are left out; outputs whose call the history does not have are an
// error of the client's, or, where it brings its own history, given a call.

// pastCall is a call in a history.
type pastCall struct {
	id   string // call_id
	item string // the item's own id; "" is none
	sent string // the id that the backend knows
	name string // the name that the backend knows, as a JSON string
	uses int    // which use of id this is: see claim
}

func (c *pastCall) size() int { return 64 + len(c.id) + len(c.item) + len(c.sent) + len(c.name) }

// is reports whether an id, which an output gives, is the call's: some give the
// item's.
func (c *pastCall) is(id []byte) bool {
	return c.id == string(id) || c.item != "" && c.item == string(id)
}

// call finds the last call of the history that an output with that id may be about.
func (h *History) call(id []byte) *pastCall {
	for ; h != nil; h = h.before {
		for i := range slices.Backward(h.calls) {
			if h.calls[i].is(id) {
				return &h.calls[i]
			}
		}
	}
	return nil
}

// sentCall reports whether the backend knows a call of the history under that id.
func (h *History) sentCall(id []byte) bool {
	for ; h != nil; h = h.before {
		for i := range h.calls {
			if h.calls[i].sent == string(id) {
				return true
			}
		}
	}
	return false
}

// hasItem reports whether an item of the history has that id.
func (h *History) hasItem(id string) bool {
	for ; h != nil; h = h.before {
		if slices.Contains(h.ids, id) {
			return true
		}
	}
	return false
}

// allCalls are the calls of all segments.
func (h *History) allCalls() []pastCall {
	var segments []*History
	for ; h != nil; h = h.before {
		segments = append(segments, h)
	}
	var all []pastCall
	for _, s := range slices.Backward(segments) {
		all = append(all, s.calls...)
	}
	return all
}

// allIDs are the ids of the items of all segments.
func (h *History) allIDs() (ids []string) {
	for ; h != nil; h = h.before {
		ids = append(ids, h.ids...)
	}
	return ids
}

// dropRepeated leaves out the items that the history has already: those with the id of
// one of its items, and calls that wait there for their output. ours is the document of
// items that the server has made itself, or nil.
func (m *messages) dropRepeated(items []item, ours *jsonx.Doc, h *History) {
	if h.count == 0 && len(h.calls) == 0 {
		return
	}
	for i := range items {
		it := &items[i]
		if it.opened != nil || it.doc == ours || it.kind == kindGone && !it.again {
			continue
		}
		again := it.again || it.id != 0 && h.hasItem(it.doc.Text(it.id))
		if !again && it.kind == kindCall {
			id := callID(it)
			again = slices.ContainsFunc(h.open, func(c pastCall) bool {
				return (it.id == 0 || it.doc.Is(it.id, c.item)) && c.id == string(id) && c.name == string(m.appendCallName(nil, it))
			})
		}
		if again {
			m.lose(ruleItemRepeated, itemPath(i), it.doc.Text(it.typ))
			it.kind, it.again = kindGone, true
		}
	}
}

// unanswered is the error for an output whose call neither the input has nor the
// history, where that is the server's own.
func unanswered(items []item, h *History) *Error {
	for i := range items {
		out := &items[i]
		if out.kind != kindOutput || out.hosted || out.callID == 0 || out.doc.Is(out.typ, "tool_search_output") {
			continue
		}
		id := callID(out)
		if h.call(id) != nil || slices.ContainsFunc(items, func(it item) bool {
			return it.isCall() && (answers(out, callID(&it)) || it.id != 0 && it.doc.Is(it.id, string(id)))
		}) {
			continue
		}
		return invalid("", "input", "No tool call found for "+outputNoun(out)+" with call_id "+brief(string(id))+".")
	}
	return nil
}

// outputNoun is what the API calls an output in its messages.
func outputNoun(out *item) string {
	switch out.doc.Text(out.typ) {
	case "custom_tool_call_output":
		return "custom tool call output"
	case "shell_call_output", "local_shell_call_output":
		return "shell call output"
	case "apply_patch_call_output":
		return "apply patch call output"
	}
	return "function call output"
}

const (
	// fewIDs is up to how many ids are looked through one by one.
	fewIDs = 24
	// maxUsed is how much memory for ids is kept from request to request.
	maxUsed = 4 << 10
)

// claim settles the id under which the backend gets to know a call, or the call that
// an output without one is given: its own, or that with a number if it was used before.
func (m *messages) claim(it *item) []byte {
	id := callID(it)
	own := len(id) > 0
	if !own {
		id = []byte("call_0")
	}
	sent := id
	if m.claimed(sent) {
		h := hashID(id)
		n := m.uses[h]
		if n == 0 {
			if n = 1; m.past != nil {
				if c := m.past.call(id); c != nil {
					n = max(c.uses, 1)
				}
			}
		}
		for m.claimed(sent) {
			n++
			sent = strconv.AppendInt(append(slices.Clip(id), '_'), int64(n), 10)
		}
		if m.uses == nil {
			m.uses = map[uint64]int{}
		}
		m.uses[h] = n
	}
	m.use(sent)
	if string(sent) != string(callID(it)) {
		if own && it.isCall() {
			m.lose(ruleCallIDAgain, itemPath(it.at)+".call_id", string(id))
		}
		if m.sent == nil {
			m.sent = map[int]string{}
		}
		m.sent[it.at] = string(sent)
	}
	return sent
}

// wireID is the id that claim has settled.
func (m *messages) wireID(it *item) []byte {
	if sent, changed := m.sent[it.at]; changed {
		return []byte(sent)
	}
	return callID(it)
}

func (m *messages) claimed(id []byte) bool {
	h := hashID(id)
	if len(m.used) <= fewIDs {
		if slices.Contains(m.used, h) {
			return true
		}
	} else if _, found := m.usedSet[h]; found {
		return true
	}
	return m.past.sentCall(id)
}

func (m *messages) use(id []byte) {
	h := hashID(id)
	m.used = append(m.used, h)
	if len(m.used) <= fewIDs {
		return
	}
	if m.usedSet == nil {
		m.usedSet = make(map[uint64]struct{}, 4*fewIDs)
	}
	if len(m.used) == fewIDs+1 {
		for _, h := range m.used {
			m.usedSet[h] = struct{}{}
		}
	}
	m.usedSet[h] = struct{}{}
}

// hashID is FNV-1a: the same in every process, because what is sent has to be.
func hashID(id []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range id {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}

// remember notes a call that was written for the turns after this one. name is what it
// is called, as a JSON string; nil is what the item says.
func (m *messages) remember(it *item, sent, name []byte) (c pastCall) {
	if m.losses != nil { // a request, which nothing comes after
		return c
	}
	if name == nil && !it.hosted {
		name = m.appendCallName(nil, it)
	}
	c = pastCall{id: string(callID(it)), sent: string(sent), name: string(name), uses: m.uses[hashID(callID(it))]}
	if c.sent == c.id {
		c.sent = c.id // one string
	}
	if it.id != 0 {
		c.item = it.doc.Text(it.id)
	}
	m.calls = append(m.calls, c)
	return c
}

// ownID is the id of an item, or "".
func (it *item) ownID() string {
	if it.id == 0 || it.doc.Kind(it.id) != jsonx.String {
		return ""
	}
	return it.doc.Text(it.id)
}

// calledBefore is the name, as a JSON string, of the call that an output is about
// though another output has answered it, or nil.
func (m *messages) calledBefore(out *item) []byte {
	id := callID(out)
	if len(id) == 0 {
		return nil
	}
	if m.named == nil { // once for all outputs without a call: there may be thousands of each
		m.named = map[string]int{}
		for i := range m.items {
			it := &m.items[i]
			if it.kind != kindCall || it.hosted {
				continue
			}
			for _, name := range []string{string(callID(it)), it.ownID()} {
				if _, known := m.named[name]; !known {
					m.named[name] = i
				}
			}
		}
	}
	if i, known := m.named[string(id)]; known {
		return m.appendCallName(nil, &m.items[i])
	}
	if c := m.past.call(id); c != nil && c.name != "" {
		return []byte(c.name)
	}
	return nil
}
