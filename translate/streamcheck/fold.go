package streamcheck

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Folded is what a stream adds up to.
type Folded struct {
	// Type is the type of the terminal event, "" when there was none.
	Type string

	// Response is the response object a client arrives at that trusts the events and not the terminal output. Its items
	// are those of output_item.done, but every text, argument string, part list and annotation in them is rebuilt from
	// the deltas; an item that was never closed is its output_item.added, filled the same way and marked incomplete.
	// The echo of the request comes from the first event; only what no earlier event can know (status, usage, error, …)
	// is taken from the terminal one.
	Response []byte

	// Terminal is the response of the terminal event, byte for byte; it aliases the stream. The two must be equal as
	// JSON values: same members, any order.
	Terminal []byte
}

// Fold replays a whole stream. It fails when the events cannot be put together: on a broken frame, invalid JSON, or an
// event without its place on the ladder. Stream tells more about why.
func Fold(raw []byte, opt Options) (Folded, error) {
	if opt.First > 0 {
		return Folded{}, errors.New("a resumed stream has no beginning to fold")
	}
	c := run(raw, opt)
	for _, v := range c.violations {
		group, _, _ := strings.Cut(string(v.Rule), ".")
		switch {
		case group == "sse", group == "json", group == "event", group == "ladder", v.Rule == LifecycleCreatedFirst:
			return Folded{}, fmt.Errorf("fold: %v", v)
		}
	}
	if c.snapshot == nil {
		return Folded{}, errors.New("fold: the stream is empty")
	}
	folded := Folded{Type: c.finalTyp, Response: c.foldResponse()}
	if c.final != nil {
		folded.Terminal = c.final.raw
	}
	return folded, nil
}

func (c *checker) foldResponse() []byte {
	base := c.final
	if base == nil {
		base = c.snapshot
	}
	w := objectWriter{}
	for _, key := range base.keys {
		switch known := c.snapshot.get(key); {
		case key == "output":
			w.member(key, c.foldOutput())
		case results[key] && key != "id", key == "conversation" && base.get(key).is(null):
			w.member(key, base.get(key).raw)
		case known != nil:
			w.member(key, known.raw)
		}
	}
	for _, key := range c.snapshot.keys {
		if base.get(key) == nil {
			w.member(key, c.snapshot.get(key).raw)
		}
	}
	return w.end()
}

func (c *checker) foldOutput() []byte {
	items := make([][]byte, 0, len(c.itemOrder))
	for _, st := range c.itemOrder {
		items = append(items, st.fold())
	}
	return foldArray(items)
}

func (st *itemState) fold() []byte {
	base := st.done
	if base == nil {
		base = st.added
	}
	rebuilt := map[string][]byte{}
	for _, list := range st.lists() {
		if base.get(list.name) != nil || list.parts.next > 0 {
			rebuilt[list.name] = list.parts.fold()
		}
	}
	if st.value != nil {
		rebuilt[valueField[st.typ].name] = quote(st.value.buf.String())
	}
	if st.done == nil && contains(itemTable[st.typ].final, "incomplete") {
		rebuilt["status"] = quote("incomplete")
	}
	return overlay(base, rebuilt, "content", "summary", valueField[st.typ].name, "status")
}

func (p *partStates) fold() []byte {
	parts := make([][]byte, 0, len(p.order))
	for _, part := range p.order {
		parts = append(parts, part.fold())
	}
	return foldArray(parts)
}

func (p *partState) fold() []byte {
	list := partMembers[p.typ]
	if list == nil {
		return []byte("null") // of an unknown type, which no member is known of
	}
	rebuilt := map[string][]byte{"type": quote(p.typ), list[0].name: quote(p.value.buf.String())}
	base := &value{kind: object}
	if p.closed != nil {
		base = p.closed
	}
	if p.typ == "output_text" {
		rebuilt["annotations"] = foldValues(p.annotations)
		if base.get("logprobs") == nil {
			rebuilt["logprobs"] = foldValues(p.logprobs) // the done part has the same tokens with their bytes
		}
	}
	return overlay(base, rebuilt, "type", list[0].name, "annotations", "logprobs")
}

// overlay writes an object with some members replaced; those it lacks are appended in the order given.
func overlay(base *value, rebuilt map[string][]byte, order ...string) []byte {
	w := objectWriter{}
	for i, key := range base.keys {
		if raw, ok := rebuilt[key]; ok {
			w.member(key, raw)
			delete(rebuilt, key)
		} else {
			w.member(key, base.elems[i].raw)
		}
	}
	for _, key := range order {
		if raw, ok := rebuilt[key]; ok {
			w.member(key, raw)
			delete(rebuilt, key)
		}
	}
	return w.end()
}

func foldValues(list []*value) []byte {
	raw := make([][]byte, 0, len(list))
	for _, v := range list {
		raw = append(raw, v.raw)
	}
	return foldArray(raw)
}

func foldArray(elems [][]byte) []byte {
	return append(append([]byte("["), bytes.Join(elems, []byte(","))...), ']')
}

type objectWriter struct{ buf []byte }

func (w *objectWriter) member(key string, raw []byte) {
	if w.buf == nil {
		w.buf = append(w.buf, '{')
	} else {
		w.buf = append(w.buf, ',')
	}
	w.buf = append(append(w.buf, quote(key)...), ':')
	w.buf = append(w.buf, raw...)
}

func (w *objectWriter) end() []byte {
	if w.buf == nil {
		return []byte("{}")
	}
	return append(w.buf, '}')
}

func quote(s string) []byte {
	raw, _ := json.Marshal(s) // a string always encodes
	return raw
}
