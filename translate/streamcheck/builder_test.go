package streamcheck

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
)

type (
	obj  = map[string]any
	list = []any
)

// clone makes a deep copy, and turns every Go number into what a decoder would give.
func clone[T any](v T) T {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	var c T
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&c); err != nil {
		panic(err)
	}
	return c
}

// ev is one event before it is written. sequence_number is filled in unless the body has one.
type ev struct {
	body  obj
	name  string // of the event: line, when it should differ from type
	noSeq bool
}

func (e ev) typ() string { s, _ := e.body["type"].(string); return s }

// story builds a stream by hand, one event after the other.
type story struct {
	events []ev
	resp   obj
	output list
	opt    Options
	suffix string // after the last event
}

const baseResponse = `{"id":"resp_01ab","object":"response","created_at":1795000000,"status":"in_progress","background":false,
"completed_at":null,"error":null,"frequency_penalty":0,"incomplete_details":null,"instructions":"Be kind.","max_output_tokens":null,
"max_tool_calls":null,"model":"m","output":[],"parallel_tool_calls":true,"presence_penalty":0.5,"previous_response_id":null,
"prompt_cache_key":null,"prompt_cache_retention":null,"reasoning":{"effort":null,"summary":null},"safety_identifier":null,
"service_tier":"auto","store":true,"temperature":1,"text":{"format":{"type":"text"},"verbosity":"medium"},"tool_choice":"auto",
"tools":[{"type":"function","name":"f","description":null,"parameters":{"type":"object","properties":{}},"strict":false},{"type":"custom","name":"g"}],
"top_logprobs":0,"top_p":0.98,"truncation":"disabled","usage":null,"user":null,"access_programs":null,"moderation":null,"metadata":{"k":"v"}}`

const someUsage = `{"input_tokens":7,"input_tokens_details":{"cached_tokens":3,"cache_write_tokens":0},"output_tokens":5,
"output_tokens_details":{"reasoning_tokens":2},"total_tokens":12}`

func decode(s string) obj {
	var o obj
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	if err := d.Decode(&o); err != nil {
		panic(err)
	}
	return o
}

// begin starts a foreground stream: created, in_progress.
func begin() *story {
	s := &story{resp: decode(baseResponse), output: list{}}
	s.lifecycle("response.created", "in_progress")
	s.lifecycle("response.in_progress", "in_progress")
	return s
}

// beginBackground starts created(queued), queued.
func beginBackground() *story {
	s := &story{resp: decode(baseResponse), output: list{}}
	s.resp["background"] = true
	s.lifecycle("response.created", "queued")
	s.lifecycle("response.queued", "queued")
	return s
}

func (s *story) emit(typ string, body obj) *story {
	body = clone(body)
	body["type"] = typ
	s.events = append(s.events, ev{body: body})
	return s
}

func (s *story) lifecycle(typ, status string) *story {
	s.resp["status"] = status
	return s.emit(typ, obj{"response": s.resp})
}

// at merges the coordinates of an item's event with more members.
func at(id any, oi int, more obj) obj {
	o := obj{"item_id": id, "output_index": oi}
	maps.Copy(o, more)
	return o
}

func (s *story) open(item obj) int {
	oi := len(s.output)
	s.output = append(s.output, item)
	s.emit("response.output_item.added", obj{"output_index": oi, "item": item})
	return oi
}

func (s *story) close(oi int, item obj) {
	item = clone(item)
	s.output[oi] = item
	s.emit("response.output_item.done", obj{"output_index": oi, "item": item})
}

func (s *story) item(oi int) obj { return s.output[oi].(obj) }

// message opens a message, runs body and closes it with what body put into its content.
func (s *story) message(status string, body func(m obj, oi int)) *story {
	oi := len(s.output)
	m := obj{"id": fmt.Sprintf("msg_%d", oi), "type": "message", "status": "in_progress", "role": "assistant", "content": list{}}
	s.open(m)
	m = clone(m)
	body(m, oi)
	m["status"] = status
	s.close(oi, m)
	return s
}

func (s *story) text(chunks ...string) *story {
	return s.message("completed", func(m obj, oi int) { s.textPart(m, oi, nil, nil, chunks...) })
}

// textPart streams one output_text part into m. logprobs holds the tokens of each chunk, with bytes.
func (s *story) textPart(m obj, oi int, logprobs []list, annotations list, chunks ...string) {
	ci := len(m["content"].(list))
	where := func(more obj) obj { more["content_index"] = ci; return at(m["id"], oi, more) }
	part := func(text string, lp, an list) obj {
		return obj{"type": "output_text", "text": text, "annotations": an, "logprobs": lp}
	}
	s.emit("response.content_part.added", where(obj{"part": part("", list{}, list{})}))
	all, tokens := "", list{}
	for i, chunk := range chunks {
		now := list{}
		if i < len(logprobs) {
			now = logprobs[i]
		}
		tokens = append(tokens, now...)
		all += chunk
		s.emit("response.output_text.delta", where(obj{"delta": chunk, "logprobs": now, "obfuscation": "xY9"}))
	}
	for i, a := range annotations {
		s.emit("response.output_text.annotation.added", where(obj{"annotation_index": i, "annotation": a}))
	}
	if annotations == nil {
		annotations = list{}
	}
	s.emit("response.output_text.done", where(obj{"text": all, "logprobs": tokens}))
	s.emit("response.content_part.done", where(obj{"part": part(all, tokens, annotations)}))
	m["content"] = append(m["content"].(list), part(all, tokens, annotations))
}

// plainPart streams a refusal, reasoning_text or summary_text part into the given list of an item.
func (s *story) plainPart(item obj, oi int, into, typ, field, prefix, partPrefix string, chunks ...string) {
	index := map[string]string{"content": "content_index", "summary": "summary_index"}[into]
	ci := len(item[into].(list))
	where := func(more obj) obj { more[index] = ci; return at(item["id"], oi, more) }
	all := strings.Join(chunks, "")
	s.emit(partPrefix+".added", where(obj{"part": obj{"type": typ, field: ""}}))
	for _, chunk := range chunks {
		s.emit(prefix+".delta", where(obj{"delta": chunk}))
	}
	s.emit(prefix+".done", where(obj{field: all}))
	s.emit(partPrefix+".done", where(obj{"part": obj{"type": typ, field: all}}))
	item[into] = append(item[into].(list), obj{"type": typ, field: all})
}

func (s *story) refusalPart(m obj, oi int, chunks ...string) {
	s.plainPart(m, oi, "content", "refusal", "refusal", "response.refusal", "response.content_part", chunks...)
}

func (s *story) reasoning(extra obj, body func(r obj, oi int)) *story {
	oi := len(s.output)
	r := obj{"id": fmt.Sprintf("rs_%d", oi), "type": "reasoning", "summary": list{}}
	maps.Copy(r, extra)
	s.open(r)
	r = clone(r)
	body(r, oi)
	s.close(oi, r)
	return s
}

func (s *story) rawPart(r obj, oi int, prefix string, chunks ...string) {
	s.plainPart(r, oi, "content", "reasoning_text", "text", prefix, "response.content_part", chunks...)
}

func (s *story) summaryPart(r obj, oi int, chunks ...string) {
	s.plainPart(r, oi, "summary", "summary_text", "text", "response.reasoning_summary_text", "response.reasoning_summary_part", chunks...)
}

// callItem is a function_call or custom_tool_call as it is added.
func callItem(oi int, typ string) obj {
	if typ == "custom_tool_call" {
		return obj{"id": fmt.Sprintf("ctc_%d", oi), "type": typ, "status": "in_progress", "call_id": fmt.Sprintf("call_%d", oi), "name": "g", "input": ""}
	}
	return obj{"id": fmt.Sprintf("fc_%d", oi), "type": typ, "status": "in_progress", "call_id": fmt.Sprintf("call_%d", oi), "name": "f", "arguments": ""}
}

var callEvents = map[string][2]string{
	"function_call":    {"response.function_call_arguments", "arguments"},
	"custom_tool_call": {"response.custom_tool_call_input", "input"},
}

// call streams a whole call.
func (s *story) call(typ, status string, chunks ...string) *story {
	oi := s.open(callItem(len(s.output), typ))
	s.callDeltas(oi, chunks...)
	return s.callDone(oi, status, strings.Join(chunks, ""))
}

func (s *story) callDeltas(oi int, chunks ...string) {
	item := s.item(oi)
	for _, chunk := range chunks {
		s.emit(callEvents[item["type"].(string)][0]+".delta", at(item["id"], oi, obj{"delta": chunk, "obfuscation": ""}))
	}
}

func (s *story) callDone(oi int, status, whole string) *story {
	item := clone(s.item(oi))
	names := callEvents[item["type"].(string)]
	s.emit(names[0]+".done", at(item["id"], oi, obj{names[1]: whole}))
	item["status"], item[names[1]] = status, whole
	s.close(oi, item)
	return s
}

// hosted streams an item that has only status events.
func (s *story) hosted(added, done obj, events ...string) *story {
	oi := s.open(added)
	for _, e := range events {
		s.emit(e, at(added["id"], oi, obj{}))
	}
	s.close(oi, done)
	return s
}

func (s *story) completed() *story {
	s.resp["completed_at"] = 1795000002
	s.resp["usage"] = decode(someUsage)
	return s.terminal("completed")
}

func (s *story) incomplete(reason string) *story {
	s.resp["incomplete_details"] = obj{"reason": reason}
	s.resp["usage"] = decode(someUsage)
	return s.terminal("incomplete")
}

// failed ends with response.failed; items that are still open become incomplete, with what they hold so far.
func (s *story) failed(open map[int]obj) *story {
	for oi, item := range open {
		s.output[oi] = item
	}
	s.resp["error"] = obj{"code": "server_error", "message": "upstream closed the stream", "type": "server_error"}
	return s.terminal("failed")
}

func (s *story) nestedError() *story {
	return s.emit("error", obj{"error": obj{"type": "server_error", "code": "server_error", "message": "upstream closed the stream", "param": nil}})
}

func (s *story) flatError() *story {
	return s.emit("error", obj{"code": nil, "message": "upstream closed the stream", "param": nil})
}

func (s *story) terminal(status string) *story {
	s.resp["output"] = s.output
	s.resp["service_tier"] = "default"
	return s.lifecycle("response."+status, status)
}

// frame writes one event.
func frame(e ev, number int64) []byte {
	body := e.body
	if _, has := body["sequence_number"]; !has && !e.noSeq {
		body = clone(body)
		body["sequence_number"] = number
	}
	name := e.name
	if name == "" {
		name = e.typ()
	}
	raw, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return fmt.Appendf(nil, "event: %s\ndata: %s\n\n", name, raw)
}

// frames writes the events one by one, numbered from the given one.
func frames(events []ev, first int64) [][]byte {
	var out [][]byte
	for i, e := range events {
		out = append(out, frame(e, first+int64(i)))
	}
	return out
}

func (s *story) bytes() []byte {
	return append(bytes.Join(frames(s.events, s.opt.First), nil), s.suffix...)
}
