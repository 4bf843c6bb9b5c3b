package ollama

import (
	"encoding/json"
	"strings"
	"testing"
)

// functions are the two functions that the tools model calls.
var functions = list{
	body{"type": "function", "name": "get_weather", "description": "Weather", "strict": true, "parameters": body{
		"type": "object",
		"properties": body{
			"city": body{"type": "string"},
			"unit": body{"type": "string", "enum": list{"c", "f"}},
			"days": body{"type": "integer"},
		},
		"required": list{"city", "unit", "days"}, "additionalProperties": false,
	}},
	body{"type": "function", "name": "lookup", "parameters": body{
		"type": "object", "properties": body{"q": body{"type": "string"}}, "required": list{"q"},
	}},
}

// calling is a request that makes the model call.
func calling(input any) body { return with(greedy(tools, input), body{"tools": functions}) }

// arguments are those of a call.
func arguments(t *testing.T, i item) (a struct {
	City, Unit, Q string
	Days          int
}) {
	t.Helper()
	if err := json.Unmarshal([]byte(i.Arguments), &a); err != nil {
		t.Errorf("the arguments of %s: %v", i.raw, err)
	}
	return a
}

func TestTools(t *testing.T) {
	var said []*response
	both(t, func(t *testing.T, create func(*testing.T, proxy, body) *response) {
		r := create(t, byName, calling("Weather?"))
		r.want(t, "completed", "function_call")
		call := r.Output[0]
		a := arguments(t, call)
		if call.Name != "get_weather" || a.City != "Paris" || a.Unit != "c" || a.Days != 3 {
			t.Errorf("the call is %s", call.raw)
		}
		if !strings.HasPrefix(call.CallID, "call_") || call.Status != "completed" {
			t.Errorf("the call is %s", call.raw)
		}
		if r.events != nil && r.count("response.function_call_arguments.done") != 1 {
			t.Error("there is no response.function_call_arguments.done")
		}
		said = append(said, r)
	})
	if len(said) == 2 {
		a, b := said[0].Output[0], said[1].Output[0]
		if a.Name != b.Name || !same(t, []byte(a.Arguments), []byte(b.Arguments)) || a.Status != b.Status {
			t.Errorf("without a stream %s, with one %s", a.raw, b.raw)
		}
		if a.CallID == b.CallID {
			t.Errorf("two calls have the id %s", a.CallID)
		}
	}
}

// sampled asks until the model has made the calls that are looked for.
func sampled(t *testing.T, create func(*testing.T, proxy, body) *response, more body, enough func(calls []item) bool) *response {
	t.Helper()
	for seed := range 60 {
		request := with(calling("Weather?"), with(body{"temperature": 1, "seed": seed}, more))
		r := create(t, byName, request)
		if r.Status != "completed" {
			t.Fatalf("seed %d: %s", seed, r.raw)
		}
		if enough(r.items("function_call")) {
			return r
		}
	}
	t.Fatal("the model has not made these calls, in 60 replies")
	return nil
}

// TestArguments: the arguments have what is easily broken on the way.
func TestArguments(t *testing.T) {
	both(t, func(t *testing.T, create func(*testing.T, proxy, body) *response) {
		for _, want := range []string{"San José", "東京", "naïve café 😀", "a \"quoted\" word\n"} {
			sampled(t, create, nil, func(calls []item) bool {
				for _, c := range calls {
					if a := arguments(t, c); a.City == want || a.Q == want {
						return true
					}
				}
				return false
			})
		}
	})
}

// TestParallelCalls: several calls in one reply, answered together.
func TestParallelCalls(t *testing.T) {
	both(t, func(t *testing.T, create func(*testing.T, proxy, body) *response) {
		r := sampled(t, create, nil, func(calls []item) bool { return len(calls) >= 2 })
		var input list
		for _, c := range r.items("function_call") {
			arguments(t, c)
			input = append(input, body{"type": "function_call_output", "call_id": c.CallID, "output": "sunny"})
		}
		next := create(t, byName, with(calling(input), body{"previous_response_id": r.ID}))
		next.want(t, "completed", "message")
		if next.text() != sentence {
			t.Errorf("the answer is %q, want %q", next.text(), sentence)
		}
	})
}

// TestOneCallAtATime: ollama does not know parallel_tool_calls.
func TestOneCallAtATime(t *testing.T) {
	both(t, func(t *testing.T, create func(*testing.T, proxy, body) *response) {
		for seed := range 12 {
			r := create(t, byName, with(calling("Weather?"), body{"temperature": 1, "seed": seed, "parallel_tool_calls": false}))
			if n := len(r.items("function_call")); n > 1 {
				t.Errorf("seed %d: %d calls", seed, n)
			}
		}
	})
}

// TestToolLoop: a call, its output, the answer; with the history in the request, and by previous_response_id.
func TestToolLoop(t *testing.T) {
	both(t, func(t *testing.T, create func(*testing.T, proxy, body) *response) {
		question := user("Weather?")
		first := create(t, byName, calling(list{question}))
		first.want(t, "completed", "function_call")
		call := first.Output[0]
		output := body{"type": "function_call_output", "call_id": call.CallID, "output": "It is sunny."}

		chained := create(t, byName, with(calling(list{output}), body{"previous_response_id": first.ID}))
		input := append(append(list{question}, first.replay()...), output)
		stateless := create(t, byName, with(calling(input), body{"store": false}))
		reference := create(t, byName, calling(list{question, body{"type": "item_reference", "id": call.ID}, output}))
		bare := create(t, byName, calling(list{question, body{
			"type": "function_call", "call_id": call.CallID, "name": call.Name, "arguments": call.Arguments,
		}, output}))
		for how, r := range map[string]*response{"chained": chained, "stateless": stateless, "by reference": reference, "bare": bare} {
			r.want(t, "completed", "message")
			if r.text() != sentence {
				t.Errorf("%s: the answer is %q, want %q", how, r.text(), sentence)
			}
		}
		_, want := chat(t, body{"model": tools, "tools": chatTools(), "messages": list{
			question,
			body{"role": "assistant", "content": nil, "tool_calls": list{body{"id": call.CallID, "type": "function",
				"function": body{"name": call.Name, "arguments": call.Arguments}}}},
			body{"role": "tool", "tool_call_id": call.CallID, "content": "It is sunny."},
		}})
		for how, r := range map[string]*response{"chained": chained, "stateless": stateless, "by reference": reference, "bare": bare} {
			if r.Usage.Input != want {
				t.Errorf("%s: %d tokens, want %d as for the same messages sent to ollama", how, r.Usage.Input, want)
			}
		}

		// The loop goes on: a new question gets a new call.
		again := create(t, byName, with(calling("And tomorrow?"), body{"previous_response_id": chained.ID}))
		again.want(t, "completed", "function_call")
		if again.Output[0].CallID == call.CallID {
			t.Errorf("the second call has the id of the first, %s", call.CallID)
		}
		if again.Usage.Input <= chained.Usage.Input {
			t.Errorf("%d tokens, after %d", again.Usage.Input, chained.Usage.Input)
		}
	})
}

// chatTools are the functions as the chat API has them.
func chatTools() (out list) {
	for _, f := range functions {
		function := body{}
		for k, v := range f.(body) {
			if k != "type" && k != "strict" {
				function[k] = v
			}
		}
		out = append(out, body{"type": "function", "function": function})
	}
	return out
}

// TestOutputParts: an output that is a list of parts, as agents send it.
func TestOutputParts(t *testing.T) {
	first := ask(t, byName, calling("Weather?"))
	var tokens []int
	for _, output := range []any{"It is sunny.", list{
		body{"type": "input_text", "text": "It is "}, body{"type": "input_text", "text": "sunny."},
	}} {
		r := ask(t, byName, with(calling(list{
			body{"type": "function_call_output", "call_id": first.Output[0].CallID, "output": output},
		}), body{"previous_response_id": first.ID}))
		r.want(t, "completed", "message")
		tokens = append(tokens, r.Usage.Input)
	}
	if tokens[1] < tokens[0] || tokens[1] > tokens[0]+1 { // a line feed may stand between parts
		t.Errorf("%d tokens with a string, %d with parts", tokens[0], tokens[1])
	}
}

// TestToolChoice: ollama ignores tool_choice; what can be had without its help must hold, the rest is reported.
func TestToolChoice(t *testing.T) {
	both(t, func(t *testing.T, create func(*testing.T, proxy, body) *response) {
		none := create(t, byName, with(calling("Weather?"), body{"tool_choice": "none"}))
		if n := len(none.items("function_call")); n != 0 {
			t.Errorf("none: %d calls", n)
		}
		if !strings.Contains(none.loss(), "tool_choice.none") {
			t.Errorf("none: the loss report is %q", none.loss())
		}
		named := create(t, byName, with(calling("Weather?"), body{"tool_choice": body{"type": "function", "name": "get_weather"}}))
		named.want(t, "completed", "function_call")
		if got := named.Output[0].Name; got != "get_weather" {
			t.Errorf("named: %s is called", got)
		}
		required := create(t, byName, with(calling("Weather?"), body{"tool_choice": "required"}))
		required.want(t, "completed", "function_call")
		if !strings.Contains(required.loss(), "tool_choice.required") {
			t.Errorf("required: the loss report is %q", required.loss())
		}
		allowed := body{"type": "allowed_tools", "mode": "auto", "tools": list{body{"type": "function", "name": "lookup"}}}
		for seed := range 5 {
			r := create(t, byName, with(calling("Weather?"), body{"tool_choice": allowed, "temperature": 1, "seed": seed}))
			for _, c := range r.items("function_call") {
				if c.Name != "lookup" {
					t.Errorf("allowed_tools: %s is called", c.Name)
				}
			}
		}
	})
}

// TestStrictLoss: with --loss strict, what ollama cannot do is refused.
func TestStrictLoss(t *testing.T) {
	lenient := with(calling("Weather?"), body{"tools": functions[1:]})
	if e := refuse(t, strict, with(lenient, body{"tool_choice": "required"}), 400); e.param() != "tool_choice" {
		t.Errorf("the error is %q, param %q", e.Message, e.param())
	}
	if e := refuse(t, strict, calling("Weather?"), 400); e.param() != "tools[0].strict" {
		t.Errorf("the error is %q, param %q", e.Message, e.param())
	}
	ask(t, strict, lenient)
}

// TestReasoningAndTools: a thinking model is offered tools.
func TestReasoningAndTools(t *testing.T) {
	both(t, func(t *testing.T, create func(*testing.T, proxy, body) *response) {
		r := create(t, byName, with(greedy(think, "Hello"), body{"tools": functions}))
		r.want(t, "completed", "reasoning", "message")
		if r.text() != sentence {
			t.Errorf("the text is %q, want %q", r.text(), sentence)
		}
	})
}
