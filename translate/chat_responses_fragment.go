package translate

import (
	"bytes"
	"strconv"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// fragment is a piece of a call as a backend sends it.
type fragment struct {
	position  int    // the backend's index, or -1
	id, name  []byte // insides of JSON strings
	arguments uint32 // node; 0 if there are none
	native    bool   // they are the input of a custom tool
	begins    bool   // the arguments begin with a brace
}

// readFragment finds the members of a fragment, wherever a server has put them: beside
// each other, or in an object "function" or "custom"; under the names of the API, or
// those that models' templates and other APIs have for them.
func (t *Turn) readFragment(d *jsonx.Doc, n uint32, legacy bool) fragment {
	f := fragment{position: -1}
	function := n
	var name uint32
	if !legacy {
		function = d.Get(n, "function")
		if custom := d.Get(n, "custom"); d.Kind(function) != jsonx.Object && d.Kind(custom) == jsonx.Object {
			function, f.native = custom, true
		}
		if d.Kind(function) == jsonx.String {
			name = function
		}
		if d.Kind(function) != jsonx.Object {
			function = n
			f.native = f.native || d.Is(d.Get(n, "type"), "custom")
		}
		f.position = callPosition(d, d.Get(n, "index"))
		for _, key := range [...]string{"id", "call_id", "tool_call_id"} {
			if f.id = fragmentID(d, d.Get(n, key)); len(f.id) > 0 {
				break
			}
		}
		if f.position >= 0 && t.choiceAt > 0 { // the choices of one answer count their calls apart
			f.position += t.choiceAt << 32
		}
	}
	for _, at := range [...]uint32{function, n} {
		if name == 0 {
			name = firstString(d, at, "name", "tool_name", "function_name")
		}
		if f.arguments == 0 {
			f.arguments = firstArguments(d, at, f.native)
		}
		if legacy || at == n {
			break
		}
	}
	if name != 0 {
		f.name = d.Str(name)
	}
	switch d.Kind(f.arguments) {
	case jsonx.Object:
		f.begins = true
	case jsonx.String:
		f.begins = bytes.HasPrefix(skipSpace(d.Str(f.arguments)), []byte("{"))
	}
	if t.opt.Request.tools.nobody(f.name) {
		f.name = nil
	}
	return f
}

func firstString(d *jsonx.Doc, n uint32, keys ...string) uint32 {
	for _, key := range keys {
		if v := d.GetString(n, key); v != 0 && len(d.Str(v)) > 0 {
			return v
		}
	}
	return 0
}

// firstArguments finds the arguments that stand in an object, or 0.
func firstArguments(d *jsonx.Doc, n uint32, native bool) uint32 {
	keys := [...]string{"arguments", "parameters", "input", "args"}
	if native {
		keys = [...]string{"input", "arguments", "parameters", "args"}
	}
	for _, key := range keys {
		if v := d.Get(n, key); d.Present(v) && !emptyString(d, v) {
			return v
		}
	}
	return 0
}

// callPosition reads an index, which may be written as a string or a fraction. What is
// no number from 0 is none.
func callPosition(d *jsonx.Doc, n uint32) int {
	const most = 1 << 31
	switch d.Kind(n) {
	case jsonx.Number:
		if v, ok := d.Int(n); ok {
			if v >= 0 && v < most {
				return int(v)
			}
			return -1
		}
		if v := d.Float(n); v >= 0 && v < most && v == float64(int(v)) {
			return int(v)
		}
	case jsonx.String:
		if v, err := strconv.ParseUint(string(bytes.TrimSpace(d.Str(n))), 10, 31); err == nil {
			return int(v)
		}
	}
	return -1
}

// fragmentID reads an id, which may be a number. The words that serializers write for
// nothing are none.
func fragmentID(d *jsonx.Doc, n uint32) []byte {
	switch d.Kind(n) {
	case jsonx.Number:
		return d.Raw(n)
	case jsonx.String:
		if id := d.Str(n); !nothingWord(id) {
			return id
		}
	}
	return nil
}

// nothingWord reports whether a word is what a serializer has written for no value.
func nothingWord(word []byte) bool {
	switch string(word) {
	case "", "null", "None", "undefined", "nil":
		return true
	}
	return false
}

// callFor finds the call that a fragment belongs to, or returns -1 for a new one. A
// name begins a call or repeats it; without one a fragment goes on with a call. Which
// one that is the id says, then the index, and above both what the calls hold: nothing
// goes on with a call that is whole while another is not.
func (t *Turn) callFor(f *fragment) int {
	same, here, open := -1, -1, -1 // the last call with that id; at that index; that is not whole
	for i := t.count - 1; i >= 0; i-- {
		it := &t.items[i]
		if it.kind != outCall {
			continue
		}
		at := f.position < 0 || it.position < 0 || it.position == f.position
		if len(f.id) > 0 && string(it.upstreamID) == string(f.id) && (same < 0 || at && t.items[same].position != f.position) {
			same = i
		}
		if here < 0 && at {
			here = i
		}
		if open < 0 && !t.isOver(it) {
			open = i
		}
	}
	switch {
	case same >= 0:
		return t.bySameID(f, same)
	case here < 0:
		if len(f.name) == 0 && open >= 0 && (len(f.id) == 0 || f.arguments != 0 && !f.begins) {
			return open // its index has moved on
		}
		return -1
	case len(f.name) == 0:
		return t.byPlace(f, here, open)
	}
	it := &t.items[here]
	if it.chunk == t.chunks && len(it.said) > 0 { // each element of a list is a call of its own
		return -1
	}
	whole := t.isOver(it)
	other := !t.repeatsName(it, f.name)
	switch {
	case it.state == itemIgnored:
		if len(f.id) > 0 && len(it.upstreamID) > 0 || other {
			return -1
		}
	case len(f.id) > 0 && len(it.upstreamID) == 0:
		if it.state != itemPending { // it has only waited for its id
			return -1
		}
	case len(f.id) > 0:
		// Another id and a name are another call, but for a server that makes up an id
		// for each piece of one.
		if whole || other || f.position < 0 || f.begins && !t.goesOn(it) || it.state == itemPending && len(it.text) == 0 && !t.needsArguments(it) {
			return -1
		}
	case whole && (f.arguments != 0 || string(it.said) != string(f.name)), other && t.opt.Request.tools.knows(f.name):
		return -1
	}
	return here
}

// bySameID is callFor where a call has the fragment's id.
func (t *Turn) bySameID(f *fragment, i int) int {
	it := &t.items[i]
	switch {
	case len(f.name) == 0 || it.state == itemPending && len(it.said) == 0:
	case it.chunk == t.chunks && len(it.said) > 0 && f.arguments != 0, f.position >= 0 && it.position >= 0 && it.position != f.position:
		return -1 // an id that is used twice
	case !t.repeatsName(it, f.name) && t.opt.Request.tools.knows(f.name):
		return -1
	}
	return i
}

// byPlace is callFor for a fragment without a name whose id, if it has one, no call has.
// here is the call at its index, open the last one that is not whole, or -1.
func (t *Turn) byPlace(f *fragment, here, open int) int {
	it := &t.items[here]
	switch {
	case !t.isOver(it), it.state == itemIgnored:
		return here // its id has changed
	case f.arguments != 0 && !f.begins && open >= 0:
		return open
	case len(f.id) > 0 && len(it.upstreamID) > 0:
		return -1 // the name will come
	}
	return here
}

// isOver reports whether a call is whole, so that nothing can go on with it.
func (t *Turn) isOver(it *outItem) bool {
	return it.state == itemDone || it.state == itemIgnored || t.wholeArguments(it) && !it.args.none()
}

// goesOn reports whether an opening brace can go on with the arguments of a call.
func (t *Turn) goesOn(it *outItem) bool {
	return it.state == itemPending && len(it.text) == 0 || it.args.none() || it.args.snapshots || it.args.scan.state == scanValue || it.args.scan.state == scanString
}

// repeatsName reports whether a name is that of the call, said again or in a further
// piece.
func (t *Turn) repeatsName(it *outItem, name []byte) bool {
	if string(it.said) == string(name) || string(it.name) == string(name) {
		return true
	}
	s := &t.opt.Request.tools
	if it.state == itemPending && (!s.knows(it.said) || s.begins(it.said) && s.isName(append(bytes.Clone(it.said), name...))) {
		return true
	}
	return false
}
