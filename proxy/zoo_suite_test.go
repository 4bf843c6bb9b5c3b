package proxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The client suite: what clients do with the Responses API, over real sockets, to
// be done in front of every member of the zoo.

// zooFeature is one thing that clients do.
type zooFeature struct {
	name string
	what string // for the matrix's legend
	run  func(c *zooClient) error

	tools bool // it is about function calls
}

var zooFeatures = []zooFeature{
	{"text", "a text, whole and as a stream, with usage", suiteText, false},
	{"system", "instructions, and system and developer messages in the middle of the conversation", suiteSystem, false},
	{"sampling", "temperature, top_p, penalties, stop and a bound of the output", suiteSampling, false},
	{"hints", "user, prompt_cache_key, verbosity, service_tier, metadata, logprobs", suiteHints, false},
	{"length", "a reply that is cut off says so", suiteLength, false},
	{"tools", "parallel calls and their results, the client keeping the history", suiteTools, true},
	{"chain", "the same with previous_response_id", suiteChain, true},
	{"reasoning", "efforts; thoughts as items of their own, sent back in a tool loop", suiteReasoning, true},
	{"JSON", "text.format json_schema and json_object", suiteFormat, false},
	{"images", "an image in a question", suiteImages, false},
	{"choice", "tool_choice none, required, by name and allowed_tools; strict tools", suiteChoices, true},
	{"names", "long names, namespaces and custom tools", suiteNames, true},
	{"repair", "histories with broken arguments, results without calls and calls without results", suiteRepair, true},
	{"errors", "a full context, and a stream that breaks off", suiteErrors, false},
}

// zooClient is a client of one rig.
type zooClient struct {
	r      *rig
	model  string
	thinks bool
	blind  bool     // nobody has told the proxy what the backend ignores in silence
	silent bool     // something was ignored, and nothing was reported
	partly bool     // something was dropped or emulated
	losses []string // rule ids that were reported
	sent   int      // requests
	stream bool
}

type fields map[string]any

// ignored is for what the backend has ignored without a word: it must have been
// reported, unless nobody could know.
func (c *zooClient) ignored(rule, format string, args ...any) error {
	switch {
	case c.lost(rule), c.lost("reply." + strings.TrimPrefix(rule, "text.")):
		return nil
	case c.blind:
		c.silent = true
		return nil
	}
	return fmt.Errorf(format+", and nothing was reported", args...)
}

func (c *zooClient) post(body fields) *reply {
	if c.stream {
		body["stream"] = true
	}
	if body["model"] == nil {
		body["model"] = c.model
	}
	c.sent++
	got := c.r.post(string(asJSON(body)))
	c.note(got)
	return got
}

func (c *zooClient) note(got *reply) {
	losses := got.header.Get("Antiphon-Loss")
	if _, late, found := strings.Cut(string(got.body), "\n: antiphon-loss: "); found {
		late, _, _ = strings.Cut(late, "\n")
		losses += ", " + late
	}
	for loss := range strings.SplitSeq(losses, ", ") {
		id, rest, _ := strings.Cut(loss, ";")
		c.partly = c.partly || strings.HasPrefix(rest, "action=dropped") || strings.HasPrefix(rest, "action=emulated")
		if id != "" && !slices.Contains(c.losses, id) {
			c.losses = append(c.losses, id)
		}
	}
}

func (c *zooClient) lost(id string) bool {
	return slices.ContainsFunc(c.losses, func(l string) bool { return strings.HasPrefix(l, id) })
}

func asJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// zooAnswer is a response as clients read it.
type zooAnswer struct {
	ID      string
	Status  string
	Details *struct{ Reason string } `json:"incomplete_details"`
	Output  []json.RawMessage
	Usage   struct {
		Input  int `json:"input_tokens"`
		Output int `json:"output_tokens"`
	}
	items []outputItem
}

type outputItem struct {
	Type, Name, Namespace, Arguments, Input string
	CallID                                  string `json:"call_id"`
	Content, Summary                        []struct{ Type, Text string }
}

// ask posts a request that must succeed.
func (c *zooClient) ask(body fields) (*zooAnswer, error) {
	got := c.post(body)
	if got.status != 200 {
		return nil, fmt.Errorf("status %d: %.300s", got.status, got.body)
	}
	a := &zooAnswer{}
	if err := json.Unmarshal(got.response(c.r.t).raw, a); err != nil {
		return nil, err
	}
	for _, raw := range a.Output {
		var it outputItem
		if err := json.Unmarshal(raw, &it); err != nil {
			return nil, err
		}
		a.items = append(a.items, it)
	}
	return a, nil
}

func (a *zooAnswer) text() string {
	var b strings.Builder
	for _, it := range a.items {
		if it.Type == "message" {
			for _, p := range it.Content {
				b.WriteString(p.Text)
			}
		}
	}
	return b.String()
}

func (a *zooAnswer) of(types ...string) (found []outputItem) {
	for _, it := range a.items {
		if slices.Contains(types, it.Type) {
			found = append(found, it)
		}
	}
	return found
}

// says checks that all of these are in the text of an answer.
func (c *zooClient) says(body fields, want ...string) (*zooAnswer, error) {
	a, err := c.ask(body)
	if err != nil {
		return nil, err
	}
	for _, w := range want {
		if !strings.Contains(a.text(), w) {
			return nil, fmt.Errorf("%q is not in %q", w, a.text())
		}
	}
	return a, nil
}

// both does the same whole and as a stream.
func (c *zooClient) both(do func() error) error {
	for _, c.stream = range []bool{false, true} {
		if err := do(); err != nil {
			return fmt.Errorf("stream %v: %w", c.stream, err)
		}
	}
	c.stream = false
	return nil
}

func asks(content any) fields { return fields{"role": "user", "content": content} }

func offered(name string, more ...fields) fields {
	f := fields{"type": "function", "name": name, "parameters": fields{
		"type": "object", "properties": fields{"q": fields{"type": "string"}}, "additionalProperties": false, "required": []string{"q"},
	}}
	for _, m := range more {
		maps.Copy(f, m)
	}
	return f
}

func resultOf(call outputItem, output any) fields {
	typ := "function_call_output"
	if call.Type == "custom_tool_call" {
		typ = "custom_tool_call_output"
	}
	return fields{"type": typ, "call_id": call.CallID, "output": output}
}

func suiteText(c *zooClient) error {
	return c.both(func() error {
		a, err := c.says(fields{"input": "Hello, world"}, "echo: Hello, world")
		switch {
		case err != nil:
			return err
		case a.Status != "completed" || strings.Contains(a.text(), "think"):
			return fmt.Errorf("%s %q", a.Status, a.text())
		case a.Usage.Input == 0 || a.Usage.Output == 0:
			return fmt.Errorf("usage %+v", a.Usage)
		case c.thinks != (len(a.of("reasoning")) > 0) && (c.stream || !c.thinks): // some only think in streams
			return fmt.Errorf("thoughts: %v", a.items)
		}
		return nil
	})
}

func suiteSystem(c *zooClient) error {
	_, err := c.says(fields{"instructions": "I-1", "input": []fields{
		{"role": "system", "content": "S-1"}, asks("one"), {"role": "assistant", "content": "two"},
		{"role": "developer", "content": "D-1"}, asks("three"), {"role": "system", "content": "S-2"}, asks("SYSTEM?"),
	}}, "I-1", "S-1", "D-1", "S-2", "SYSTEM?")
	return err
}

func suiteSampling(c *zooClient) error {
	return c.both(func() error {
		_, err := c.says(fields{"input": "Hello", "temperature": 0.5, "top_p": 0.9, "presence_penalty": 0.1, "frequency_penalty": 0.1,
			"stop": []string{"STOP"}, "max_output_tokens": 200}, "echo: Hello")
		return err
	})
}

func suiteHints(c *zooClient) error {
	_, err := c.says(fields{"input": "Hello", "user": "u", "prompt_cache_key": "k", "text": fields{"verbosity": "low"}, "service_tier": "flex",
		"metadata": fields{"a": "b"}, "store": true, "include": []string{"message.output_text.logprobs"}, "top_logprobs": 2,
		"safety_identifier": "s", "truncation": "auto", "max_tool_calls": 3}, "echo: Hello")
	return err
}

func suiteLength(c *zooClient) error {
	return c.both(func() error {
		a, err := c.ask(fields{"input": "one two three four five six seven", "max_output_tokens": 16, "instructions": strings.Repeat("x ", 20)})
		if err != nil {
			return err
		}
		b, err := c.ask(fields{"input": strings.Repeat("word ", 40), "max_output_tokens": 16})
		if err != nil {
			return err
		}
		if b.Status != "incomplete" || b.Details == nil || b.Details.Reason != "max_output_tokens" {
			return fmt.Errorf("%s then %s", a.Status, b.Status)
		}
		return nil
	})
}

// twoCalls asks for two calls and checks them.
func (c *zooClient) twoCalls(body fields) (*zooAnswer, []outputItem, error) {
	body["tools"] = []fields{offered("f"), offered("g")}
	body["include"] = []string{"reasoning.encrypted_content"}
	a, err := c.ask(body)
	if err != nil {
		return nil, nil, err
	}
	calls := a.of("function_call")
	if len(calls) != 2 || calls[0].Name != "f" || calls[1].Name != "g" || calls[0].CallID == calls[1].CallID || calls[0].CallID == "" {
		return nil, nil, fmt.Errorf("calls %+v", calls)
	}
	for _, call := range calls {
		var args struct{ Q string }
		if json.Unmarshal([]byte(call.Arguments), &args) != nil || args.Q != `a "b" é` {
			return nil, nil, fmt.Errorf("arguments %q", call.Arguments)
		}
	}
	return a, calls, nil
}

func suiteTools(c *zooClient) error {
	return c.both(func() error {
		input := []any{asks("CALL f g")}
		a, calls, err := c.twoCalls(fields{"input": input, "store": false})
		if err != nil {
			return err
		}
		for _, raw := range a.Output {
			input = append(input, raw)
		}
		input = append(input, resultOf(calls[1], "two"), resultOf(calls[0], "one"))
		tools := []fields{offered("f"), offered("g")}
		a, err = c.says(fields{"input": input, "store": false, "tools": tools}, "results: one, two")
		if err != nil {
			return fmt.Errorf("results: %w", err)
		}
		for _, raw := range a.Output {
			input = append(input, raw)
		}
		input = append(input, asks("Thanks"))
		_, err = c.says(fields{"input": input, "store": false, "tools": tools}, "echo: Thanks")
		return err
	})
}

func suiteChain(c *zooClient) error {
	return c.both(func() error {
		a, calls, err := c.twoCalls(fields{"input": "CALL f g"})
		if err != nil {
			return err
		}
		tools := []fields{offered("f"), offered("g")}
		a, err = c.says(fields{"previous_response_id": a.ID, "tools": tools, "input": []fields{resultOf(calls[0], "one"),
			resultOf(calls[1], []fields{{"type": "input_text", "text": "two"}})}}, "results: one, two")
		if err != nil {
			return fmt.Errorf("results: %w", err)
		}
		if a, err = c.says(fields{"previous_response_id": a.ID, "input": "Again", "tools": tools}, "echo: Again"); err != nil {
			return err
		}
		if a, calls, err = c.twoCalls(fields{"previous_response_id": a.ID, "input": "CALL f g"}); err != nil {
			return fmt.Errorf("second loop: %w", err)
		}
		_, err = c.says(fields{"previous_response_id": a.ID, "tools": tools, "input": []fields{resultOf(calls[1], "four"), resultOf(calls[0], "three"), asks("And?")}}, "echo: And?")
		return err
	})
}

func suiteReasoning(c *zooClient) error {
	for _, effort := range []string{"none", "minimal", "low", "medium", "high", "xhigh"} {
		if _, err := c.says(fields{"input": "Hello", "reasoning": fields{"effort": effort}}, "echo: Hello"); err != nil {
			return fmt.Errorf("effort %s: %w", effort, err)
		}
	}
	return c.both(func() error {
		input := []any{asks("CALL f g")}
		effort := fields{"effort": "high"}
		a, calls, err := c.twoCalls(fields{"input": input, "reasoning": effort})
		if err != nil {
			return err
		}
		if c.thinks && c.stream { // some only think in streams
			thoughts := a.of("reasoning")
			if len(thoughts) == 0 || len(thoughts[0].Content) == 0 || thoughts[0].Content[0].Text != "I was asked: CALL f g" {
				return fmt.Errorf("thoughts %+v", thoughts)
			}
		}
		for _, raw := range a.Output {
			input = append(input, raw)
		}
		input = append(input, resultOf(calls[0], "1"), resultOf(calls[1], "2"))
		_, err = c.says(fields{"input": input, "reasoning": effort, "tools": []fields{offered("f"), offered("g")}}, "results: 1, 2")
		return err
	})
}

func suiteFormat(c *zooClient) error {
	schema := fields{"type": "object", "properties": fields{"answer": fields{"type": "string"}}, "required": []string{"answer"}, "additionalProperties": false}
	return c.both(func() error {
		a, err := c.ask(fields{"input": "Give JSON", "text": fields{"format": fields{"type": "json_schema", "name": "n", "strict": true, "schema": schema}}})
		if err != nil {
			return err
		}
		var got struct{ Answer *string }
		if json.Unmarshal([]byte(a.text()), &got) != nil || got.Answer == nil {
			if err := c.ignored("text.format", "json_schema gave %q", a.text()); err != nil {
				return err
			}
		}
		a, err = c.ask(fields{"input": "Give JSON", "text": fields{"format": fields{"type": "json_object"}}})
		if err != nil {
			return err
		}
		if !json.Valid([]byte(a.text())) {
			return c.ignored("text.format", "json_object gave %q", a.text())
		}
		return nil
	})
}

const tinyPNG = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

func suiteImages(c *zooClient) error {
	a, err := c.says(fields{"input": []fields{asks([]fields{{"type": "input_text", "text": "What is it?"}, {"type": "input_image", "image_url": tinyPNG}})}}, "What is it?")
	if err != nil {
		return err
	}
	if !strings.Contains(a.text(), "1 images") {
		return c.ignored("part.dropped", "the image got lost: %q", a.text())
	}
	return nil
}

func suiteChoices(c *zooClient) error {
	tools := []fields{offered("f", fields{"strict": true}), offered("g")}
	for _, choice := range []struct {
		form  any
		said  string
		names string // "" is no call
	}{
		{"auto", "CALL f", "f"},
		{"none", "CALL f", ""},
		{"required", "Hello", "f"},
		{fields{"type": "function", "name": "g"}, "Hello", "g"},
		{fields{"type": "allowed_tools", "mode": "auto", "tools": []fields{{"type": "function", "name": "g"}}}, "CALL g", "g"},
		{fields{"type": "allowed_tools", "mode": "required", "tools": []fields{{"type": "function", "name": "g"}}}, "Hello", "g"},
	} {
		a, err := c.ask(fields{"input": choice.said, "tools": tools, "tool_choice": choice.form, "parallel_tool_calls": false})
		if err != nil {
			return fmt.Errorf("tool_choice %v: %w", choice.form, err)
		}
		names := ""
		for _, call := range a.of("function_call") {
			names += call.Name
		}
		if names != choice.names {
			if err := c.ignored("tool_choice", "tool_choice %v called %q", choice.form, names); err != nil {
				return err
			}
		}
	}
	return nil
}

func suiteNames(c *zooClient) error {
	long := "a_tool_with_a_name_that_is_longer_than_the_sixty_four_bytes_that_most_backends_take"
	return c.both(func() error {
		input := []any{asks("CALL " + long[:20] + " mcp__srv craft")}
		tools := []fields{offered(long), {"type": "namespace", "name": "mcp__srv", "description": "d", "tools": []fields{offered("look")}},
			{"type": "custom", "name": "craft", "description": "free text"}}
		a, err := c.ask(fields{"input": input, "tools": tools})
		if err != nil {
			return err
		}
		calls := a.of("function_call", "custom_tool_call")
		for _, call := range calls {
			if call.Name != long && (call.Name != "look" || call.Namespace != "mcp__srv") && (call.Name != "craft" || call.Type != "custom_tool_call") {
				return fmt.Errorf("call %+v", call)
			}
		}
		if len(calls) == 0 {
			return errors.New("no calls")
		}
		for _, raw := range a.Output {
			input = append(input, raw)
		}
		for _, call := range calls {
			input = append(input, resultOf(call, "ok"))
		}
		_, err = c.says(fields{"input": input, "tools": tools}, "results: ok")
		return err
	})
}

func suiteRepair(c *zooClient) error {
	call := func(id, arguments string) fields {
		return fields{"type": "function_call", "call_id": id, "name": "f", "arguments": arguments}
	}
	output := func(id string) fields { return fields{"type": "function_call_output", "call_id": id, "output": "o"} }
	for _, h := range []struct {
		name  string
		items []fields
	}{
		{"arguments that are no JSON", []fields{asks("a"), call("call_1", `{"q":`), output("call_1"), asks("Hello")}},
		{"a result without a call", []fields{asks("a"), output("call_1"), asks("Hello")}},
		{"a call without a result", []fields{asks("a"), call("call_1", "{}"), asks("Hello")}},
		{"a message between call and result", []fields{asks("a"), call("call_1", "{}"), asks("b"), output("call_1"), asks("Hello")}},
		{"the assistant begins", []fields{{"role": "assistant", "content": "a"}, asks("Hello")}},
		{"two of one role", []fields{asks("a"), asks("b"), {"role": "assistant", "content": "c"}, {"role": "assistant", "content": "d"}, asks("e"), asks("Hello")}},
		{"results in another order", []fields{asks("a"), call("call_1", "{}"), call("call_2", "{}"), output("call_2"), output("call_1"), asks("Hello")}},
		{"calls of somebody else's model", []fields{asks("Hello"), call("fc_1", "{}"), output("fc_1")}},
		{"an empty answer", []fields{asks("a"), {"role": "assistant", "content": ""}, asks("Hello")}},
		{"a sealed thought of somebody else's", []fields{asks("a"), {"type": "reasoning", "id": "rs_1", "summary": []any{}, "encrypted_content": "gAAAA"}, {"role": "assistant", "content": "b"}, asks("Hello")}},
	} {
		want := "Hello"
		if h.name == "calls of somebody else's model" {
			want = "results: o"
		}
		if _, err := c.says(fields{"input": h.items, "tools": []fields{offered("f")}}, want); err != nil {
			return fmt.Errorf("%s: %w", h.name, err)
		}
	}
	return nil
}

func suiteErrors(c *zooClient) error {
	if got := c.post(fields{"input": "OVERFLOW"}); got.err().Code != "context_length_exceeded" {
		return fmt.Errorf("a full context: %d %.300s", got.status, got.body)
	}
	c.stream = true
	defer func() { c.stream = false }()
	got := c.post(fields{"input": "FAIL"})
	if got.status != 200 || !strings.HasSuffix(names(eventsIn(got.body)), "failed") {
		return fmt.Errorf("a stream that breaks off: %d %.800s", got.status, got.body)
	}
	return nil
}
