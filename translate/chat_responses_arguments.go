package translate

import (
	"bytes"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// Arguments are one JSON object, and clients can read no more than one. Servers send
// it in pieces, or whole; but some begin with an empty object, send all that they have
// so far with each piece, repeat the whole at the end, or send a fuller object each
// time. What streams is said as it comes. An object that is whole in its first piece,
// or empty, is kept until something else comes, so that a better one can take its
// place; once the beginning of an object has been said it stays, and what follows its
// end is left out.

// callArguments are the arguments of a call that is announced or held.
type callArguments struct {
	scan      argumentScan // of what comes now
	said      bool         // some have gone out
	over      bool         // nothing that comes counts any more
	snapshots bool         // each piece repeats all before it
	kept      []byte       // what has not gone out: a whole object, and what comes now
	best      int          // how long that whole object is; 0 if there is none
}

// whole reports whether the arguments are complete.
func (a *callArguments) whole() bool { return a.best > 0 || a.scan.whole() }

// torn reports whether the arguments have begun and are not complete.
func (a *callArguments) torn() bool { return a.best == 0 && a.scan.torn() }

// none reports whether nothing has come that says anything.
func (a *callArguments) none() bool { return !a.said && noArguments(a.kept) }

// noArguments reports whether raw, the inside of a JSON string, is one of the ways in
// which servers write that there are no arguments.
func noArguments(raw []byte) bool {
	switch string(bytes.TrimSpace(raw)) {
	case "", "{}", "[]", "null", "None", "undefined", `\"\"`, `""`, "{ }":
		return true
	}
	return false
}

// takeArguments takes in a piece of the arguments of a function, or of what is one for
// the backend. raw is the inside of a JSON string that stands on its own.
func (t *Turn) takeArguments(dst []byte, it *outItem, raw []byte) []byte {
	a := &it.args
	if len(raw) == 0 {
		return dst
	}
	if a.over || a.said && a.scan.state == scanWhole {
		t.lateArguments(it, raw)
		return dst
	}
	if a.said {
		if t.snapshot(it, it.text, raw) {
			raw = raw[len(it.text):]
		}
		n := a.scan.feed(raw)
		t.lateArguments(it, raw[n:])
		return t.argumentsDelta(dst, it, raw[:n])
	}
	if !t.hold(len(raw)) {
		return t.tooLarge(dst)
	}
	if now := a.kept[a.best:]; a.scan.state < scanWhole && t.snapshot(it, now, raw) {
		raw = raw[len(now):]
	}
	return t.keepArguments(dst, it, raw)
}

// keepArguments takes in a piece while nothing has gone out.
func (t *Turn) keepArguments(dst []byte, it *outItem, raw []byte) []byte {
	a := &it.args
	for {
		if a.best > 0 && len(a.kept) == a.best { // something whole is there
			if raw = skipSpace(raw); len(raw) == 0 {
				return dst
			}
			if noArguments(a.kept) { // it was only a beginning
				t.lose(ruleReplyArgumentsAgain, t.argumentsPath(it), string(it.said))
				a.kept, a.best = a.kept[:0], 0
			} else if raw[0] != '{' {
				t.lateArguments(it, raw)
				a.over = true
				return dst
			}
			a.scan = argumentScan{}
		}
		n := a.scan.feed(raw)
		a.kept = append(a.kept, raw[:n]...)
		raw = raw[n:]
		switch {
		case a.scan.state == scanWhole:
			if a.best > 0 {
				t.lose(ruleReplyArgumentsAgain, t.argumentsPath(it), string(it.said))
				a.kept = append(a.kept[:0], a.kept[a.best:]...)
			}
			a.best = len(a.kept)
			if len(raw) > 0 {
				continue
			}
		case a.best > 0:
			if a.scan.state == scanBroken {
				t.lateArguments(it, a.kept[a.best:])
				a.kept, a.over = a.kept[:a.best], true
			}
		case a.scan.state == scanBroken && bytes.HasPrefix([]byte("undefined"), a.kept), bytes.HasPrefix([]byte("None"), a.kept):
		case a.scan.state == scanBroken, a.scan.root == '{' && a.scan.some:
			a.said = true
			dst = t.giveArguments(dst, it, a.kept)
			a.kept = a.kept[:0]
		}
		return dst
	}
}

// giveArguments says a piece of the arguments, which is counted already, or adds it to
// those of a call that is held.
func (t *Turn) giveArguments(dst []byte, it *outItem, raw []byte) []byte {
	if it.state == itemHeld {
		it.text = append(it.text, raw...)
		return dst
	}
	return t.emitArguments(dst, it, raw)
}

// settleArguments says what is kept, when no more will come.
func (t *Turn) settleArguments(dst []byte, it *outItem, status string) []byte {
	a := &it.args
	if a.said || t.given {
		return dst
	}
	raw := a.kept
	if a.best > 0 {
		raw = raw[:a.best]
	}
	a.said = true
	if it.form == formFunction && status == "completed" {
		raw = t.readArguments(it, raw)
	}
	if len(raw) > 0 {
		dst = t.giveArguments(dst, it, raw)
	}
	a.kept = a.kept[:0]
	return dst
}

// endHalf gives up on the other half of a character in a call's arguments.
func (t *Turn) endHalf(dst []byte, it *outItem) []byte {
	it.half = it.half[:0]
	const half = `\ufffd`
	if a := &it.args; !a.said && !t.given {
		a.scan.feed([]byte(half))
		a.kept = append(a.kept, half...)
		return dst
	}
	return t.giveArguments(dst, it, []byte(half))
}

// readArguments makes the object that clients can read out of arguments that are whole,
// the inside of a JSON string.
func (t *Turn) readArguments(it *outItem, raw []byte) []byte {
	if noArguments(raw) {
		return []byte("{}")
	}
	if raw = skipSpace(raw); len(raw) == 0 || !t.opt.Dialect.Tools.RepairArguments {
		return raw
	}
	if raw = t.mendedArguments(it, raw); raw[0] != '[' && raw[0] != '\\' {
		return raw
	}
	var d jsonx.Doc
	text := jsonx.AppendUnescaped(nil, raw)
	if d.Parse(text, upstreamLimits) != nil {
		return raw
	}
	switch d.Kind(jsonx.Root) {
	case jsonx.String: // the whole of it once more in a string
		if text = []byte(d.Text(jsonx.Root)); !isWholeObject(&d, text) {
			return raw
		}
	case jsonx.Array: // a list of one object
		if d.Len(jsonx.Root) != 1 || d.Kind(d.First(jsonx.Root)) != jsonx.Object {
			return raw
		}
		text = d.Raw(d.First(jsonx.Root))
	}
	t.lose(ruleReplyArgumentsMended, t.argumentsPath(it), string(it.said))
	return t.mendedArguments(it, jsonx.AppendEscaped(nil, text))
}

// snapshot reports whether a piece repeats all of the arguments that came before it, as
// servers do that send what they have so far. What can go on with the arguments does,
// unless the tool's schema has no place for that.
func (t *Turn) snapshot(it *outItem, before, raw []byte) bool {
	a := &it.args
	if len(before) == 0 || a.scan.state >= scanWhole || !bytes.HasPrefix(raw, before) {
		return false
	}
	if a.snapshots {
		return true
	}
	on := a.scan
	on.feed(raw)
	if on.state != scanBroken {
		var alone argumentScan
		if alone.feed(raw); !alone.whole() || on.whole() || t.nests(it) {
			return false
		}
	}
	a.snapshots = true
	return true
}

// nests reports whether the tool of a call may have an object or a list among its
// arguments.
func (t *Turn) nests(it *outItem) bool {
	tool, schema := t.declared(it)
	if schema == 0 {
		return true
	}
	d := tool.doc
	properties := d.Get(schema, "properties")
	for k, end := d.First(properties), d.End(properties); k < end; k = d.Next(k + 1) {
		typ := d.Get(k+1, "type")
		if d.Kind(typ) != jsonx.String || d.Is(typ, "object") || d.Is(typ, "array") {
			return true
		}
	}
	return false
}

// needsArguments reports whether the tool of a call cannot be called with none.
func (t *Turn) needsArguments(it *outItem) bool {
	tool, schema := t.declared(it)
	if schema == 0 {
		return tool != nil && tool.form != formFunction && tool.form != formSearch
	}
	required := tool.doc.Get(schema, "required")
	return tool.doc.Kind(required) == jsonx.Array && tool.doc.Len(required) > 0
}

// lateArguments reports what comes after the end of the arguments, unless it is white
// space.
func (t *Turn) lateArguments(it *outItem, raw []byte) {
	if len(skipSpace(raw)) > 0 {
		t.lose(ruleReplyLateArguments, t.argumentsPath(it), "")
	}
}

func (t *Turn) argumentsPath(it *outItem) string {
	if it.state == itemOpen || it.state == itemDone {
		return outputPath(it.index) + ".arguments"
	}
	return outputPath(len(t.order)) + ".arguments"
}
