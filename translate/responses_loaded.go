package translate

import (
	"bytes"
	"slices"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// Some input items say nothing to the model, but change what is asked of it from
// there on: additional_tools and tool_search_output bring tools,
// configuration_update sets another effort or format. They count for the whole
// rest of a conversation, so a History carries them.

// loadedTools are the tools that the items of a conversation have brought: a
// JSON array of them, in the order in which they came. It never changes once it
// is made.
type loadedTools struct {
	doc jsonx.Doc
}

func (l *loadedTools) size() int {
	if l == nil {
		return 0
	}
	const perByte = 2 // the index over the text
	return l.bytes() + len(l.doc.Bytes())*perByte
}

// bytes is how many bytes the tools take in a request, or somewhat more.
func (l *loadedTools) bytes() int {
	if l == nil {
		return 0
	}
	const builtin = 1 << 10 // the description and schema of a tool that brings none
	return len(l.doc.Bytes())*3/2 + builtin
}

// loadTools returns what was loaded before and what the items load.
func loadTools(before *loadedTools, items []item) *loadedTools {
	var all [][]byte
	for i := range items {
		n := items[i].loads()
		if n == 0 {
			continue
		}
		d := items[i].doc
		if all == nil && before != nil {
			b := &before.doc
			for v, end := b.First(jsonx.Root), b.End(jsonx.Root); v < end; v = b.Next(v) {
				all = append(all, b.Raw(v))
			}
		}
		for v, end := d.First(n), d.End(n); v < end; v = d.Next(v) {
			raw := d.Raw(v)
			again := func(old []byte) bool { return bytes.Equal(old, raw) }
			if len(all) < maxTools && !slices.ContainsFunc(all, again) {
				all = append(all, raw)
			}
		}
	}
	if len(all) == 0 || before != nil && len(all) == before.doc.Len(jsonx.Root) {
		return before
	}
	l := &loadedTools{}
	array := append([]byte{'['}, bytes.Join(all, []byte{','})...)
	if l.doc.Parse(append(array, ']'), storedLimits) != nil {
		return before // cannot be: it was parsed before
	}
	return l
}

// configuration is what configuration_update items have set.
type configuration struct {
	effort string // "" where none has
	format *jsonx.Doc
	node   uint32 // of text.format in format
}

// update takes in an item.
func (c *configuration) update(it *item) {
	if it.kind != kindConfig {
		return
	}
	d := it.doc
	if n := d.GetString(d.Get(it.node, "reasoning"), "effort"); n != 0 {
		c.effort = d.Text(n)
	}
	if n := d.Get(d.Get(it.node, "text"), "format"); d.Kind(n) == jsonx.Object {
		c.format, c.node = d, n
	}
}

// keep makes what the configuration points to its own.
func (c *configuration) keep(shared *jsonx.Doc) {
	if c.format == nil || c.format == shared {
		return
	}
	own := &jsonx.Doc{}
	if own.Parse(bytes.Clone(c.format.Raw(c.node)), storedLimits) != nil {
		*c = configuration{effort: c.effort}
		return
	}
	c.format, c.node = own, jsonx.Root
}

// configured is what the conversation up to its end has set: what was set last
// counts, and more than the request's own parameters.
func (r *Request) configured(h *History) configuration {
	c := h.config
	for i := range r.items {
		c.update(&r.items[i])
	}
	return c
}

// checkConfig checks a configuration_update.
func (it *item) checkConfig(i int) *Error {
	d, path := it.doc, itemPath(i)
	if n := d.Get(it.node, "reasoning"); d.Present(n) {
		if d.Kind(n) != jsonx.Object {
			return errType(path+".reasoning", "an object", got(d, n))
		}
		if e := d.Get(n, "effort"); d.Present(e) {
			if err := checkEnum(d, e, path+".reasoning.effort", effortValues); err != nil {
				return err
			}
		}
	}
	if n := d.Get(it.node, "text"); d.Present(n) {
		if d.Kind(n) != jsonx.Object {
			return errType(path+".text", "an object", got(d, n))
		}
		if f := d.Get(n, "format"); d.Present(f) {
			return checkTextFormat(d, f, path+".text.format")
		}
	}
	return nil
}
