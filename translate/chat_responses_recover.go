package translate

import (
	"bytes"
	"strings"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// Recovery adds up the events of a response whose turn is lost, as far as they
// were kept: what its output was then. The zero value is ready.
type Recovery struct {
	items []recovered
	next  int
	doc   jsonx.Doc
}

// recovered is an output item.
type recovered struct {
	json  []byte // as it was announced, or when done as it is
	done  bool
	text  []byte           // arguments or the like, escaped
	parts [2]recoveredList // content, summary
}

type recoveredList []recoveredPart

type recoveredPart struct{ json, text []byte }

// Feed takes in one event of a Turn, with its two lines.
func (r *Recovery) Feed(event []byte) {
	_, data, ok := bytes.Cut(event, []byte("\ndata: "))
	if !ok || r.doc.Parse(bytes.TrimSpace(data), storedLimits) != nil {
		return
	}
	d := &r.doc
	kind := d.GetString(jsonx.Root, "type")
	if d.Kind(jsonx.Root) != jsonx.Object || kind == 0 {
		return
	}
	if n, ok := d.Int(d.Get(jsonx.Root, "sequence_number")); ok {
		r.next = int(n) + 1
	}
	index, ok := d.Int(d.Get(jsonx.Root, "output_index"))
	if !ok || index < 0 || index > int64(len(r.items)) {
		return
	}
	typ, item, part := d.Text(kind), d.Get(jsonx.Root, "item"), d.Get(jsonx.Root, "part")
	if index == int64(len(r.items)) {
		if typ == "response.output_item.added" && d.Kind(item) == jsonx.Object {
			r.items = append(r.items, recovered{json: bytes.Clone(d.Raw(item))})
		}
		return
	}
	it := &r.items[index]
	switch {
	case typ == "response.output_item.done" && d.Kind(item) == jsonx.Object:
		it.json, it.done = bytes.Clone(d.Raw(item)), true
	case strings.HasSuffix(typ, "_part.added") && d.Kind(part) == jsonx.Object:
		if p := it.part(d, true); p != nil {
			p.json = bytes.Clone(d.Raw(part))
		}
	case strings.HasSuffix(typ, ".delta"):
		n := d.GetString(jsonx.Root, "delta")
		if n == 0 {
			return
		}
		if p := it.part(d, false); p != nil {
			p.text = append(p.text, d.Str(n)...)
		} else {
			it.text = append(it.text, d.Str(n)...)
		}
	}
}

// part returns the part that an event is about, or nil.
func (it *recovered) part(d *jsonx.Doc, add bool) *recoveredPart {
	list, n := &it.parts[0], d.Get(jsonx.Root, "content_index")
	if !d.Present(n) {
		list, n = &it.parts[1], d.Get(jsonx.Root, "summary_index")
	}
	i, ok := d.Int(n)
	switch {
	case !ok || i < 0 || i > int64(len(*list)):
		return nil
	case i == int64(len(*list)):
		if !add {
			return nil
		}
		*list = append(*list, recoveredPart{})
	}
	return &(*list)[i]
}

// Next is the sequence_number of the event after the last.
func (r *Recovery) Next() int { return r.next }

// Output is the items so far, with commas between them. Those that were not done
// are marked incomplete.
func (r *Recovery) Output() (output []byte) {
	for i := range r.items {
		if i > 0 {
			output = append(output, ',')
		}
		output = r.items[i].append(output)
	}
	return output
}

// append appends the item. What was announced has empty values in known places,
// which a Turn has written: in strings their quotes would be escaped.
func (it *recovered) append(dst []byte) []byte {
	if it.done {
		return append(dst, it.json...)
	}
	item := replaceOnce(it.json, `"status":"in_progress"`, `"status":"incomplete"`)
	if bytes.Contains(item, []byte(`"type":"reasoning"`)) && bytes.HasSuffix(item, []byte("}")) { // which has none while all is well
		item = append(item[:len(item)-1:len(item)-1], `,"status":"incomplete"}`...)
	}
	for i, key := range [...]string{`"content":[`, `"summary":[`} {
		var parts []byte
		for n, p := range it.parts[i] {
			if n > 0 {
				parts = append(parts, ',')
			}
			part := replaceOnce(p.json, `"text":""`, `"text":"`+string(p.text)+`"`)
			parts = append(parts, replaceOnce(part, `"refusal":""`, `"refusal":"`+string(p.text)+`"`)...)
		}
		item = replaceOnce(item, key+"]", key+string(parts)+"]")
	}
	for _, key := range [...]string{`"arguments":"`, `"input":"`} {
		item = replaceOnce(item, key+`"`, key+string(it.text)+`"`)
	}
	return append(dst, item...)
}

func replaceOnce(b []byte, old, with string) []byte {
	return bytes.Replace(b, []byte(old), []byte(with), 1)
}
