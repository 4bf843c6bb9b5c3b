package translate

import (
	"bytes"
	"strconv"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// Calls of client-run tools become items that hold what the function's arguments
// say, in the API's own form. That can only be made of whole arguments, so such a
// call is held back until they are, and then announced and done at once: a client
// never sees half of a command or of a patch. What cannot be made into the item
// (arguments that were cut off, or say something else) is given as what it is: a
// function call.

// builtin reports whether a call is one of a client-run tool.
func (it *outItem) builtin() bool { return it.form != formFunction && it.form != formCustom }

// closeHeld announces and finishes a call that was held back. status is the
// one of the function call that it may turn out to be.
func (t *Turn) closeHeld(dst []byte, i int, status string) []byte {
	it := &t.items[i]
	switch it.form {
	case formCustom:
		return t.closeHeldInput(dst, i, status)
	case formFunction:
		return t.closeHeldArguments(dst, i, status)
	}
	t.holding--
	if len(it.half) > 0 {
		dst = t.endHalf(dst, it)
	}
	dst = t.settleArguments(dst, it, status)
	t.scratch = jsonx.AppendUnescaped(t.scratch[:0], it.text)
	mended, ok := it.settle(&t.args, t.scratch, status == "completed")
	if !ok || mended {
		t.lose(ruleReplyArguments, outputPath(len(t.order)), builtinNames[it.form])
	}
	if !ok {
		return t.giveAsFunction(dst, i, status)
	}
	dst = t.add(dst, i, formPrefixes[it.form])
	if it.form == formShell {
		dst = t.commands(dst, it)
	}
	return t.close(dst, i, "completed")
}

// endHeld finishes all calls that are held back, at the end of the reply.
func (t *Turn) endHeld(dst []byte) []byte {
	for i := range t.count {
		it := &t.items[i]
		if it.state != itemHeld || it.reason != "" {
			continue
		}
		status := "completed"
		if t.cutShort != "" && (t.torn(it) || it.args.none()) {
			status = "incomplete"
		}
		dst = t.closeHeld(dst, i, status)
	}
	return dst
}

// giveAsFunction announces a held call as a function call, with the arguments as
// they came.
func (t *Turn) giveAsFunction(dst []byte, i int, status string) []byte {
	it := &t.items[i]
	it.form = formFunction
	early := bytes.Clone(it.text)
	it.text = it.text[:0]
	dst = t.add(dst, i, prefixCall)
	it.head = itemPlace(it.head[:0], it)
	it.head = append(it.head, `,"delta":"`...)
	if len(early) > 0 {
		dst = t.emitArguments(dst, it, early)
	}
	return t.close(dst, i, status)
}

// settle makes the item's payload out of the arguments. mended says that it had
// to guess; ok is false if it can't.
func (it *outItem) settle(d *jsonx.Doc, args []byte, complete bool) (mended, ok bool) {
	isObject := isWholeObject(d, args)
	if !isObject && !complete {
		return false, false
	}
	it.payload = it.payload[:0]
	switch it.form {
	case formSearch:
		switch {
		case isObject:
			it.payload = jsonx.AppendCompact(it.payload, args)
		case len(bytes.TrimSpace(args)) == 0: // as a function without parameters
			it.payload = append(it.payload, "{}"...)
			return false, true
		default:
			it.payload = append(it.payload, `{"query":`...)
			it.payload = jsonx.AppendString(it.payload, args)
			it.payload = append(it.payload, '}')
		}
		return !isObject, true
	case formShell:
		return it.settleShell(d, args, isObject)
	case formLocalShell:
		return it.settleLocalShell(d, args, isObject)
	case formPatch:
		return false, isObject && it.settlePatch(d)
	}
	return false, false
}

// isWholeObject reports whether args are one JSON object, and leaves it parsed
// in d.
func isWholeObject(d *jsonx.Doc, args []byte) bool {
	return d.Parse(args, jsonx.Limits{Mend: true}) == nil && d.Kind(jsonx.Root) == jsonx.Object
}

// settleShell makes the action of a shell_call, with the commands at its end.
func (it *outItem) settleShell(d *jsonx.Doc, args []byte, isObject bool) (mended, ok bool) {
	it.payload = append(it.payload, `{"timeout_ms":`...)
	it.payload = appendLimit(it.payload, d, isObject, "timeout_ms")
	it.payload = append(it.payload, `,"max_output_length":`...)
	it.payload = appendLimit(it.payload, d, isObject, "max_output_length")
	it.payload = append(it.payload, `,"commands":[`...)
	it.commandsAt = len(it.payload)
	if !isObject {
		if len(bytes.TrimSpace(args)) == 0 {
			return false, false
		}
		it.payload = jsonx.AppendString(it.payload, args)
		return true, true
	}
	n := d.Get(jsonx.Root, "commands")
	if n == 0 {
		n, mended = d.Get(jsonx.Root, "command"), true
	}
	switch d.Kind(n) {
	case jsonx.String:
		it.payload = append(it.payload, d.Raw(n)...)
		return true, true
	case jsonx.Array:
		return mended, d.Len(n) > 0 && it.appendStrings(d, n)
	}
	return false, false
}

// appendStrings appends the elements of an array, if all are strings.
func (it *outItem) appendStrings(d *jsonx.Doc, n uint32) bool {
	first := true
	for v, end := d.First(n), d.End(n); v < end; v = d.Next(v) {
		if d.Kind(v) != jsonx.String {
			return false
		}
		if !first {
			it.payload = append(it.payload, ',')
		}
		first = false
		it.payload = append(it.payload, d.Raw(v)...)
	}
	return true
}

// appendLimit appends a member that is a whole number, or null.
func appendLimit(dst []byte, d *jsonx.Doc, isObject bool, key string) []byte {
	if isObject {
		if v, ok := d.Int(d.Get(jsonx.Root, key)); ok && v >= 0 {
			return strconv.AppendInt(dst, v, 10)
		}
	}
	return append(dst, "null"...)
}

// settleLocalShell makes the action of a local_shell_call.
func (it *outItem) settleLocalShell(d *jsonx.Doc, args []byte, isObject bool) (mended, ok bool) {
	it.payload = append(it.payload, `{"type":"exec","command":[`...)
	line := args // what a shell is to make of it, if it is no list
	n := uint32(0)
	if isObject {
		if n = d.Get(jsonx.Root, "command"); n == 0 {
			n, mended = d.Get(jsonx.Root, "commands"), true
		}
		line = nil
	}
	switch {
	case d.Kind(n) == jsonx.Array && isObject:
		if d.Len(n) == 0 || !it.appendStrings(d, n) {
			return false, false
		}
	case d.Kind(n) == jsonx.String && isObject:
		line = []byte(d.Text(n))
		fallthrough
	default:
		if len(bytes.TrimSpace(line)) == 0 {
			return false, false
		}
		mended = true
		it.payload = append(it.payload, `"bash","-lc",`...)
		it.payload = jsonx.AppendString(it.payload, line)
	}
	it.payload = append(it.payload, `],"env":{`...)
	if !isObject {
		it.payload = append(it.payload, "}}"...)
		return mended, true
	}
	if env := d.Get(jsonx.Root, "env"); d.Kind(env) == jsonx.Object {
		for k, end := d.First(env), d.End(env); k < end; k = d.Next(k + 1) {
			if d.Kind(k+1) != jsonx.String {
				mended = true
				continue
			}
			if it.payload[len(it.payload)-1] != '{' {
				it.payload = append(it.payload, ',')
			}
			it.payload = append(it.payload, d.Raw(k)...)
			it.payload = append(it.payload, ':')
			it.payload = append(it.payload, d.Raw(k+1)...)
		}
	}
	it.payload = append(it.payload, '}')
	for _, key := range [...]string{"working_directory", "user"} {
		if v := d.GetString(jsonx.Root, key); v != 0 {
			it.payload = append(it.payload, `,"`...)
			it.payload = append(it.payload, key...)
			it.payload = append(it.payload, `":`...)
			it.payload = append(it.payload, d.Raw(v)...)
		}
	}
	if v, ok := d.Int(d.Get(jsonx.Root, "timeout_ms")); ok && v >= 0 {
		it.payload = append(it.payload, `,"timeout_ms":`...)
		it.payload = strconv.AppendInt(it.payload, v, 10)
	}
	it.payload = append(it.payload, '}')
	return mended, true
}

// settlePatch makes the operation of an apply_patch_call. A patch that says
// something else than it can is not guessed at.
func (it *outItem) settlePatch(d *jsonx.Doc) bool {
	root := uint32(jsonx.Root)
	if op := d.Get(root, "operation"); d.Kind(op) == jsonx.Object { // one level too deep
		root = op
	}
	typ, path, diff := d.Get(root, "type"), d.GetString(root, "path"), d.GetString(root, "diff")
	if path == 0 || len(d.Str(path)) == 0 {
		return false
	}
	switch {
	case d.Is(typ, "delete_file"):
		it.payload = append(it.payload, `{"type":"delete_file","path":`...)
		it.payload = append(it.payload, d.Raw(path)...)
	case (d.Is(typ, "create_file") || d.Is(typ, "update_file")) && diff != 0:
		it.payload = append(it.payload, `{"type":`...)
		it.payload = append(it.payload, d.Raw(typ)...)
		it.payload = append(it.payload, `,"path":`...)
		it.payload = append(it.payload, d.Raw(path)...)
		it.payload = append(it.payload, `,"diff":`...)
		it.payload = append(it.payload, d.Raw(diff)...)
	default:
		return false
	}
	it.payload = append(it.payload, '}')
	return true
}

// commands says the commands of a shell_call, one after the other.
func (t *Turn) commands(dst []byte, it *outItem) []byte {
	if !t.events {
		return dst
	}
	list := it.payload[it.commandsAt:]
	for n := 0; len(list) > 0; n++ {
		end, _, _ := jsonx.ScanString(list, 1)
		command := list[1:end]
		place := func(head string) {
			dst = t.event(dst, head)
			dst = append(dst, `,"output_index":`...)
			dst = appendInt(dst, it.index)
			dst = append(dst, `,"command_index":`...)
			dst = appendInt(dst, n)
		}
		place(evCommandAdded)
		dst = append(dst, `,"command":""`...)
		dst = append(dst, eventEnd...)
		if len(command) > 0 {
			place(evCommandDelta)
			dst = append(dst, `,"delta":"`...)
			dst = append(dst, command...)
			dst = append(dst, '"')
			if t.opt.Obfuscate {
				dst = t.obfuscate(dst, len(command))
			}
			dst = append(dst, eventEnd...)
		}
		place(evCommandDone)
		dst = append(dst, `,"command":"`...)
		dst = append(dst, command...)
		dst = append(dst, '"')
		dst = append(dst, eventEnd...)
		list = bytes.TrimPrefix(list[end+1:], []byte{','})
	}
	return dst
}

// appendBuiltin appends what a client-run tool's item has besides id, status and
// call_id.
func (it *outItem) appendBuiltin(dst []byte, status string) []byte {
	switch it.form {
	case formSearch:
		dst = append(dst, `,"execution":"client","arguments":`...)
		if status == "in_progress" {
			return append(dst, "{}"...)
		}
		return append(dst, it.payload...)
	case formShell:
		dst = append(dst, `,"action":`...)
		if status == "in_progress" {
			dst = append(dst, it.payload[:it.commandsAt]...)
		} else {
			dst = append(dst, it.payload...)
		}
		return append(dst, `]},"environment":{"type":"local"}`...)
	case formPatch:
		dst = append(dst, `,"operation":`...)
	default:
		dst = append(dst, `,"action":`...)
	}
	return append(dst, it.payload...)
}
