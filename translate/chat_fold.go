package translate

import (
	"slices"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// ChatFold adds the chunks of a chat completion stream up to the chat.completion
// that the same answer would have been as a whole. It knows nothing of dialects:
// strings of a delta are joined, lists are joined, everything else counts as it
// came last, whatever it is called.
//
// The zero value is ready.
type ChatFold struct {
	doc     jsonx.Doc
	top     members
	choices []foldChoice
	bytes   int
}

// maxFoldChoices bounds the choices, and the calls of each, that are told apart.
const maxFoldChoices = 128

type foldChoice struct {
	index    int64
	finish   []byte // JSON
	delta    members
	logprobs members
	calls    []foldCall
}

type foldCall struct {
	index    int64
	call, fn members
}

// members are members of an object, in the order in which they came.
type members []member

type member struct {
	key   string
	kind  jsonx.Kind
	value []byte // of a string and of an array their inside, else JSON
}

func (m *members) at(key string) *member {
	for i := range *m {
		if (*m)[i].key == key {
			return &(*m)[i]
		}
	}
	*m = append(*m, member{key: key})
	return &(*m)[len(*m)-1]
}

// set takes a value in the place of what was there.
func (m *members) set(key string, d *jsonx.Doc, v uint32) {
	e := m.at(key)
	e.kind, e.value = jsonx.Missing, append(e.value[:0], d.Raw(v)...)
}

// join takes a value in behind what was there.
func (m *members) join(key string, d *jsonx.Doc, v uint32) {
	kind := d.Kind(v)
	e := m.at(key)
	switch {
	case kind == jsonx.Null:
		if e.value == nil {
			e.kind, e.value = kind, []byte("null")
		}
		return
	case kind != jsonx.String && kind != jsonx.Array:
		e.kind, e.value = jsonx.Missing, append(e.value[:0], d.Raw(v)...)
		return
	case e.kind != kind:
		e.kind, e.value = kind, e.value[:0]
	}
	raw := d.Raw(v)
	inside := raw[1 : len(raw)-1]
	if kind == jsonx.Array && d.Len(v) > 0 && len(e.value) > 0 {
		e.value = append(e.value, ',')
	}
	if kind != jsonx.Array || d.Len(v) > 0 {
		e.value = append(e.value, inside...)
	}
}

func (m members) append(dst []byte) []byte {
	for _, e := range m {
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
		dst = jsonx.AppendString(dst, e.key)
		dst = append(dst, ':')
		switch e.kind {
		case jsonx.String:
			start := len(dst)
			dst = append(append(append(dst, '"'), e.value...), '"')
			jsonx.MendSurrogates(dst[start+1 : len(dst)-1])
		case jsonx.Array:
			dst = append(append(append(dst, '['), e.value...), ']')
		default:
			dst = append(dst, e.value...)
		}
	}
	return dst
}

func (m members) has(key string) bool {
	return slices.ContainsFunc(m, func(e member) bool { return e.key == key })
}

// Chunk takes in the data of one event, and appends it to dst with another id in
// the place of its own. What is no chunk goes through as it is.
func (f *ChatFold) Chunk(dst, data []byte, id string) []byte {
	d := &f.doc
	if d.Parse(data, storedLimits) != nil || d.Kind(jsonx.Root) != jsonx.Object || d.Kind(d.Get(jsonx.Root, "choices")) != jsonx.Array {
		return append(dst, data...)
	}
	f.bytes += len(data)
	for k, end := d.First(jsonx.Root), d.End(jsonx.Root); k < end; k = d.Next(k + 1) {
		switch key := d.Text(k); {
		case key == "id", key == "object", key == "choices", key == "obfuscation", key == "metadata", !d.Present(k + 1):
		default:
			f.top.set(key, d, k+1)
		}
	}
	choices := d.Get(jsonx.Root, "choices")
	for v, end := d.First(choices), d.End(choices); v < end; v = d.Next(v) {
		f.choice(v)
	}
	return appendWithID(dst, d, id)
}

func (f *ChatFold) choice(n uint32) {
	d := &f.doc
	index, _ := d.Int(d.Get(n, "index"))
	i := slices.IndexFunc(f.choices, func(c foldChoice) bool { return c.index == index })
	if i < 0 {
		if len(f.choices) == maxFoldChoices {
			return
		}
		i = len(f.choices)
		f.choices = append(f.choices, foldChoice{index: index})
	}
	c := &f.choices[i]
	if v := d.Get(n, "finish_reason"); d.Present(v) {
		c.finish = append(c.finish[:0], d.Raw(v)...)
	}
	if v := d.Get(n, "logprobs"); d.Kind(v) == jsonx.Object {
		for k, end := d.First(v), d.End(v); k < end; k = d.Next(k + 1) {
			c.logprobs.join(d.Text(k), d, k+1)
		}
	}
	delta := d.Get(n, "delta")
	if d.Kind(delta) != jsonx.Object {
		return
	}
	for k, end := d.First(delta), d.End(delta); k < end; k = d.Next(k + 1) {
		switch key := d.Text(k); {
		case key == "tool_calls" && d.Kind(k+1) == jsonx.Array:
			at := int64(0)
			for v, end := d.First(k+1), d.End(k+1); v < end; v = d.Next(v) {
				c.toolCall(d, v, at)
				at++
			}
		case key == "role":
			if d.Kind(k+1) == jsonx.String && len(d.Str(k+1)) > 0 {
				c.delta.set(key, d, k+1)
			}
		default:
			c.delta.join(key, d, k+1)
		}
	}
}

func (c *foldChoice) toolCall(d *jsonx.Doc, n uint32, at int64) {
	if d.Kind(n) != jsonx.Object {
		return
	}
	index := int64(callPosition(d, d.Get(n, "index")))
	if index < 0 {
		index = at
	}
	i := slices.IndexFunc(c.calls, func(f foldCall) bool { return f.index == index })
	if i < 0 {
		if len(c.calls) == maxFoldChoices {
			return
		}
		i = len(c.calls)
		c.calls = append(c.calls, foldCall{index: index})
	}
	call := &c.calls[i]
	for k, end := d.First(n), d.End(n); k < end; k = d.Next(k + 1) {
		key, v := d.Text(k), k+1
		switch {
		case key == "index", !d.Present(v), emptyString(d, v):
		case key == "function" && d.Kind(v) == jsonx.Object:
			for k, end := d.First(v), d.End(v); k < end; k = d.Next(k + 1) {
				switch name := d.Text(k); {
				case !d.Present(k + 1):
				case name == "name" && call.fn.has(name): // said again with every fragment
				default:
					call.fn.join(name, d, k+1)
				}
			}
		default:
			call.call.set(key, d, v)
		}
	}
}

// Bytes is how many bytes of chunks have been taken in.
func (f *ChatFold) Bytes() int { return f.bytes }

// Whole reports whether the answer has come to its end: whether there is a choice,
// and each has said why it stopped.
func (f *ChatFold) Whole() bool {
	return len(f.choices) > 0 && !slices.ContainsFunc(f.choices, func(c foldChoice) bool { return c.finish == nil })
}

// Append appends the chat.completion.
func (f *ChatFold) Append(dst []byte, id string) []byte {
	slices.SortFunc(f.choices, func(a, b foldChoice) int { return int(a.index - b.index) })
	dst = append(dst, `{"id":`...)
	dst = jsonx.AppendString(dst, id)
	dst = append(dst, `,"object":"chat.completion"`...)
	dst = f.top.append(dst)
	dst = append(dst, `,"choices":[`...)
	for i := range f.choices {
		c := &f.choices[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"index":`...)
		dst = appendInt(dst, int(c.index))
		dst = append(dst, `,"message":{`...)
		dst = c.delta.append(dst)
		for _, missing := range [...][2]string{{"role", `"assistant"`}, {"content", "null"}, {"refusal", "null"}} {
			if !c.delta.has(missing[0]) {
				if dst[len(dst)-1] != '{' {
					dst = append(dst, ',')
				}
				dst = append(dst, '"')
				dst = append(dst, missing[0]...)
				dst = append(append(dst, '"', ':'), missing[1]...)
			}
		}
		if len(c.calls) > 0 {
			dst = append(dst, `,"tool_calls":[`...)
			for j := range c.calls {
				if j > 0 {
					dst = append(dst, ',')
				}
				dst = append(dst, '{')
				dst = c.calls[j].call.append(dst)
				if len(c.calls[j].fn) > 0 {
					if dst[len(dst)-1] != '{' {
						dst = append(dst, ',')
					}
					dst = append(dst, `"function":{`...)
					dst = append(c.calls[j].fn.append(dst), '}')
				}
				dst = append(dst, '}')
			}
			dst = append(dst, ']')
		}
		dst = append(dst, `},"logprobs":`...)
		if len(c.logprobs) > 0 {
			dst = append(c.logprobs.append(append(dst, '{')), '}')
		} else {
			dst = append(dst, "null"...)
		}
		dst = append(dst, `,"finish_reason":`...)
		if c.finish != nil {
			dst = append(dst, c.finish...)
		} else {
			dst = append(dst, "null"...)
		}
		dst = append(dst, '}')
	}
	return append(dst, "]}"...)
}
