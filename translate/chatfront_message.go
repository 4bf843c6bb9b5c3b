package translate

import (
	"slices"
	"strconv"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// chatRole is the role of a chat message.
type chatRole uint8

const (
	bySystem chatRole = iota
	byDeveloper
	byUser
	byAssistant
	byTool
	byFunction
)

var chatRoleNames = []string{"system", "developer", "user", "assistant", "tool", "function"}

// frontMessage is where the members of one message stand in the document.
type frontMessage struct {
	node     uint32
	role     chatRole
	content  uint32 // 0 where absent or null
	name     uint32
	refusal  uint32
	audio    uint32
	callID   uint32 // tool_call_id of a tool message
	calls    int    // calls of an assistant message, in ChatRequest.calls
	callsAt  int    // the first of them
	answered int    // of a tool or function message: the call that it answers
}

// frontCall is one call of an assistant message.
type frontCall struct {
	id      uint32 // node of its id; 0 for a legacy function_call
	name    uint32
	payload uint32 // its arguments or input
	custom  bool
	number  int // of a legacy call: how many came before it
	repeats int // how many calls before it have its id

	answered bool
}

// maxCalls bounds the calls of one message: answers are looked up among them.
const maxCalls = 2048

func messagePath(i int) string { return "messages[" + strconv.Itoa(i) + "]" }

// validateMessages reads messages, and checks that calls and answers belong
// together, which the API insists on.
func (r *ChatRequest) validateMessages(n uint32, lim RequestLimits) *Error {
	d := &r.doc
	if d.Kind(n) != jsonx.Array {
		return errType("messages", "an array of objects", got(d, n))
	}
	if d.Len(n) == 0 {
		return errEmptyArray("messages")
	}
	legacy := 0
	open := -1 // the assistant message whose calls wait for answers
	for v, end := d.First(n), d.End(n); v < end; v = d.Next(v) {
		i := len(r.messages)
		if i >= lim.Items {
			return errArrayTooLong("messages", lim.Items, d.Len(n))
		}
		m, err := r.readMessage(v, i)
		if err != nil {
			return err
		}
		if open >= 0 && m.role != byTool {
			if err := r.unanswered(open); err != nil {
				return err
			}
			open = -1
		}
		switch m.role {
		case byAssistant:
			for j := range r.calls[m.callsAt:] {
				if c := &r.calls[m.callsAt+j]; c.id == 0 {
					c.number = legacy
					legacy++
				} else {
					open = i
				}
			}
		case byTool:
			if m.answered = r.callOf(open, i, m.callID); m.answered < 0 {
				return invalid("", "messages.["+strconv.Itoa(i)+"].role", "Invalid parameter: messages with role 'tool' "+
					"must be a response to a preceeding message with 'tool_calls'.") // spelling of the API
			}
		case byFunction:
			if m.answered = r.legacyCall(m.name); m.answered < 0 {
				return invalid("", "messages.["+strconv.Itoa(i)+"].role", "Invalid parameter: messages with role 'function' "+
					"must be a response to a preceding message with a 'function_call' of that name, and the only one.")
			}
		}
		if m.role == byTool || m.role == byFunction {
			r.calls[m.answered].answered = true
		}
		r.messages = append(r.messages, m)
	}
	if open >= 0 {
		if err := r.unanswered(open); err != nil {
			return err
		}
	}
	r.countRepeats()
	return nil
}

// countRepeats finds the calls that have the id of an earlier one. That is legal in
// chat, where a result belongs to the message before it, and some clients and servers
// count their calls anew in each turn; in the input of a response ids are unique.
func (r *ChatRequest) countRepeats() {
	if len(r.calls) < 2 {
		return
	}
	seen := make(map[string]int, len(r.calls))
	for j := range r.calls {
		if c := &r.calls[j]; c.id != 0 {
			id := r.decoded(c.id)
			c.repeats = seen[string(id)]
			seen[string(id)]++
		}
	}
}

// legacyCall finds the latest legacy call of that name that has not been answered.
func (r *ChatRequest) legacyCall(name uint32) int {
	for j := len(r.calls) - 1; j >= 0; j-- {
		if c := &r.calls[j]; c.id == 0 && !c.answered && r.doc.SameStr(r.calls[j].name, &r.doc, name) {
			return j
		}
	}
	return -1
}

// callOf finds the call of the assistant message at open that message i answers,
// or -1. Answers mostly come in the order of the calls, so that is tried first.
func (r *ChatRequest) callOf(open, i int, id uint32) int {
	if open < 0 {
		return -1
	}
	d, m := &r.doc, &r.messages[open]
	found := -1
	for j := range m.calls {
		c := m.callsAt + (i-open-1+j)%m.calls
		if r.calls[c].id != 0 && d.SameStr(r.calls[c].id, d, id) {
			if !r.calls[c].answered { // two calls of a message may have one id
				return c
			}
			found = c
		}
	}
	return found
}

// unanswered refuses an assistant message whose calls have not all been answered.
func (r *ChatRequest) unanswered(at int) *Error {
	m, missing := &r.messages[at], ""
	for _, c := range r.calls[m.callsAt : m.callsAt+m.calls] {
		if c.id == 0 || c.answered || len(missing) > 500 {
			continue
		}
		if missing != "" {
			missing += ", "
		}
		missing += brief(r.doc.Text(c.id))
	}
	if missing == "" {
		return nil
	}
	return invalid("", "messages.["+strconv.Itoa(at)+"].role", "An assistant message with 'tool_calls' must be followed by "+
		"tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: "+missing)
}

// readMessage reads one message and checks its members.
func (r *ChatRequest) readMessage(n uint32, i int) (m frontMessage, err *Error) {
	d := &r.doc
	at := func(member string) string { return messagePath(i) + member }
	if d.Kind(n) != jsonx.Object {
		return m, errType(at(""), "an object", got(d, n))
	}
	m = frontMessage{node: n, callsAt: len(r.calls)}
	var role, toolCalls, functionCall uint32
	for k, end := d.First(n), d.End(n); k < end; k = d.Next(k + 1) {
		v := k + 1
		if d.Kind(v) == jsonx.Null {
			continue
		}
		switch string(keyOf(d, k)) {
		case "role":
			role = v
		case "content":
			m.content = v
		case "name":
			m.name = v
		case "refusal":
			m.refusal = v
		case "audio":
			m.audio = v
		case "tool_call_id":
			m.callID = v
		case "tool_calls":
			toolCalls = v
		case "function_call":
			functionCall = v
		}
	}
	switch {
	case role == 0:
		return m, errMissing(at(".role"))
	case d.Kind(role) != jsonx.String:
		return m, errType(at(".role"), "one of "+list(chatRoleNames, "or"), got(d, role))
	}
	known := false
	for j, name := range chatRoleNames {
		if d.Is(role, name) {
			m.role, known = chatRole(j), true
		}
	}
	if !known {
		return m, errValue(at(".role"), d.Text(role), chatRoleNames...)
	}
	for _, s := range []struct {
		name string
		node uint32
	}{{".name", m.name}, {".refusal", m.refusal}, {".tool_call_id", m.callID}} {
		if s.node != 0 && d.Kind(s.node) != jsonx.String {
			return m, errType(at(s.name), "a string", got(d, s.node))
		}
	}
	switch m.role {
	case byAssistant:
		if toolCalls|functionCall != 0 {
			if err := r.readCalls(toolCalls, functionCall, at("")); err != nil {
				return m, err
			}
		}
		m.calls = len(r.calls) - m.callsAt
	case byTool:
		if m.callID == 0 {
			return m, errMissing(at(".tool_call_id"))
		}
	case byFunction:
		if m.name == 0 {
			return m, errMissing(at(".name"))
		}
	}
	return m, r.checkContent(&m, i)
}

// checkContent checks content: a string or parts, and who may do without.
func (r *ChatRequest) checkContent(m *frontMessage, i int) *Error {
	d := &r.doc
	if m.content != 0 && d.Kind(m.content) == jsonx.String {
		return nil
	}
	path := messagePath(i) + ".content"
	if m.content == 0 {
		switch {
		case m.role == byAssistant && (m.calls > 0 || m.refusal != 0 || m.audio != 0):
			return nil
		case m.role == byFunction: // a function without a result
			return nil
		case m.role == byDeveloper:
			return errMissing(path)
		}
		return invalid("", "messages.["+strconv.Itoa(i)+"].content", "Invalid value for 'content': expected a string, got null.")
	}
	if d.Kind(m.content) != jsonx.Array {
		return errType(path, "one of a string or array of objects", got(d, m.content))
	}
	if d.Len(m.content) == 0 && m.calls == 0 && m.refusal == 0 {
		return errEmptyArray(path)
	}
	j := 0
	for v, end := d.First(m.content), d.End(m.content); v < end; v = d.Next(v) {
		r.mixed = r.mixed || readChatPart(d, v).flat
		if err := checkChatPart(d, v, m.role, path+"["+strconv.Itoa(j)+"]"); err != nil {
			return err
		}
		j++
	}
	return nil
}

// chatPartTypes are the parts that a role may have. Images and files in a tool's
// answer are more than the Chat API takes; the Responses API has a place for them.
func chatPartTypes(role chatRole) []string {
	switch role {
	case byUser:
		return []string{"text", "image_url", "input_audio", "file"}
	case byAssistant:
		return []string{"text", "refusal"}
	case byTool:
		return []string{"text", "image_url", "file"}
	}
	return []string{"text"}
}

func checkChatPart(d *jsonx.Doc, v uint32, role chatRole, path string) *Error {
	if d.Kind(v) != jsonx.Object {
		return errType(path, "an object", got(d, v))
	}
	typ := d.Get(v, "type")
	if !d.Present(typ) {
		return errMissing(path + ".type")
	}
	part := readChatPart(d, v)
	if part.flat && slices.Contains(chatPartTypes(role), part.kind) {
		return checkFlatPart(d, &part, path)
	}
	if err := checkEnum(d, typ, path+".type", chatPartTypes(role)); err != nil {
		return err
	}
	member := d.Text(typ)
	n := d.Get(v, member)
	if !d.Present(n) {
		return errMissing(path + "." + member)
	}
	if member == "text" || member == "refusal" {
		if d.Kind(n) != jsonx.String {
			return errType(path+"."+member, "a string", got(d, n))
		}
		return nil
	}
	if d.Kind(n) != jsonx.Object {
		return errType(path+"."+member, "an object", got(d, n))
	}
	at := path + "." + member
	text := func(key string, required bool) *Error {
		switch s := d.Get(n, key); {
		case d.Present(s) && d.Kind(s) != jsonx.String:
			return errType(at+"."+key, "a string", got(d, s))
		case required && !d.Present(s):
			return errMissing(at + "." + key)
		}
		return nil
	}
	switch member {
	case "image_url":
		if detail := d.Get(n, "detail"); d.Present(detail) {
			if err := checkEnum(d, detail, at+".detail", []string{"auto", "low", "high", "original"}); err != nil {
				return err
			}
		}
		return text("url", true)
	case "input_audio":
		if err := text("data", true); err != nil {
			return err
		}
		return text("format", true)
	}
	for _, key := range []string{"file_data", "file_id", "filename"} {
		if err := text(key, false); err != nil {
			return err
		}
	}
	if !d.Present(d.Get(n, "file_data")) && !d.Present(d.Get(n, "file_id")) {
		return errMissing(at + ".file_id")
	}
	return nil
}

// readCalls reads the calls of an assistant message.
func (r *ChatRequest) readCalls(toolCalls, functionCall uint32, path string) *Error {
	d := &r.doc
	if toolCalls != 0 {
		if d.Kind(toolCalls) != jsonx.Array {
			return errType(path+".tool_calls", "an array of objects", got(d, toolCalls))
		}
		if d.Len(toolCalls) == 0 {
			return errEmptyArray(path + ".tool_calls")
		}
		j := 0
		for v, end := d.First(toolCalls), d.End(toolCalls); v < end; v = d.Next(v) {
			if j == maxCalls {
				return errArrayTooLong(path+".tool_calls", maxCalls, d.Len(toolCalls))
			}
			if err := r.readCall(v, path+".tool_calls["+strconv.Itoa(j)+"]"); err != nil {
				return err
			}
			j++
		}
	}
	if functionCall != 0 {
		if d.Kind(functionCall) != jsonx.Object {
			return errType(path+".function_call", "an object", got(d, functionCall))
		}
		c := frontCall{}
		return r.readFunction(c, functionCall, "arguments", path+".function_call")
	}
	return nil
}

func (r *ChatRequest) readCall(v uint32, path string) *Error {
	d := &r.doc
	if d.Kind(v) != jsonx.Object {
		return errType(path, "an object", got(d, v))
	}
	c := frontCall{id: d.Get(v, "id")}
	switch {
	case !d.Present(c.id):
		return errMissing(path + ".id")
	case d.Kind(c.id) != jsonx.String:
		return errType(path+".id", "a string", got(d, c.id))
	}
	// Some clients leave the type out of what they give back: the member tells.
	member, payload := "function", "arguments"
	if typ := d.Get(v, "type"); d.Present(typ) {
		if err := checkEnum(d, typ, path+".type", []string{"function", "custom"}); err != nil {
			return err
		}
		c.custom = d.Is(typ, "custom")
	} else {
		c.custom = d.Present(d.Get(v, "custom"))
	}
	if c.custom {
		member, payload = "custom", "input"
	}
	n := d.Get(v, member)
	if !d.Present(n) {
		return errMissing(path + "." + member)
	}
	if d.Kind(n) != jsonx.Object {
		return errType(path+"."+member, "an object", got(d, n))
	}
	return r.readFunction(c, n, payload, path+"."+member)
}

// readFunction reads what is called, and with what.
func (r *ChatRequest) readFunction(c frontCall, n uint32, payload, path string) *Error {
	d := &r.doc
	c.name, c.payload = d.Get(n, "name"), d.Get(n, payload)
	for _, s := range []struct {
		key  string
		node uint32
	}{{"name", c.name}, {payload, c.payload}} {
		switch {
		case !d.Present(s.node):
			return errMissing(path + "." + s.key)
		case d.Kind(s.node) != jsonx.String:
			return errType(path+"."+s.key, "a string", got(d, s.node))
		}
	}
	if len(d.Str(c.name)) == 0 {
		return errEmptyString(path + ".name")
	}
	r.calls = append(r.calls, c)
	return nil
}
