package fakemodel

import (
	"fmt"
	"maps"
	"slices"
)

// memberOf are the members that a message of each role may have. The fields of
// reasoning are not OpenAI's, but every server takes them.
var memberOf = map[string][]string{
	"system":    {"role", "content", "name"},
	"developer": {"role", "content", "name"},
	"user":      {"role", "content", "name"},
	"assistant": {"role", "content", "name", "refusal", "tool_calls", "function_call", "audio", "reasoning_content", "reasoning", "reasoning_details"},
	"tool":      {"role", "content", "tool_call_id"},
	"function":  {"role", "content", "name"},
}

// partOf are the types of parts that a message of each role may have.
var partOf = map[string][]string{
	"system":    {"text"},
	"developer": {"text"},
	"user":      {"text", "image_url", "input_audio", "file"},
	"assistant": {"text", "refusal"},
	"tool":      {"text"},
}

// illegalMessages checks the messages, and above all that the results of calls
// follow directly on the message that makes them: each call has one, and no
// other result stands there.
func illegalMessages(messages []any) string {
	called := map[string]bool{} // names of function_call
	open := map[string]bool{}   // calls that wait for their result
	for i, v := range messages {
		at := fmt.Sprintf("messages[%d]", i)
		m, _ := v.(object)
		role, _ := m["role"].(string)
		allowed, ok := memberOf[role]
		if !ok {
			return fmt.Sprintf("%s has the role %q", at, role)
		}
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if !slices.Contains(allowed, key) {
				return at + " has the unknown member " + key
			}
		}
		if fault := illegalContent(at, role, m); fault != "" {
			return fault
		}
		if name, _ := m["name"].(string); role == "function" && !called[name] {
			return fmt.Sprintf("%s is the result of %q, which no function_call has called", at, name)
		}
		if call, ok := m["function_call"].(object); ok {
			name, _ := call["name"].(string)
			if _, whole := call["arguments"].(string); !whole || !functionName.MatchString(name) {
				return at + ".function_call is not a whole call"
			}
			called[name] = true
		}
		if role == "tool" {
			id, _ := m["tool_call_id"].(string)
			if !open[id] {
				return fmt.Sprintf("%s is the result of %q, which no message just before it has called", at, id)
			}
			delete(open, id)
			continue
		}
		if len(open) > 0 {
			return at + " comes before the results of the calls " + fmt.Sprint(slices.Sorted(maps.Keys(open)))
		}
		if fault := openCalls(at, m, open); fault != "" {
			return fault
		}
	}
	if len(open) > 0 {
		return "calls without a result: " + fmt.Sprint(slices.Sorted(maps.Keys(open)))
	}
	return ""
}

func illegalContent(at, role string, m object) string {
	switch content := m["content"].(type) {
	case nil:
		if role != "assistant" && role != "function" {
			return at + " has no content"
		}
		if role == "assistant" && m["tool_calls"] == nil && m["function_call"] == nil && m["refusal"] == nil && m["audio"] == nil {
			return at + " says nothing: no content, calls or refusal"
		}
	case string:
	case []any:
		if len(content) == 0 {
			return at + ".content is empty"
		}
		for j, v := range content {
			part, _ := v.(object)
			if kind, _ := part["type"].(string); !slices.Contains(partOf[role], kind) {
				return fmt.Sprintf("%s.content[%d] is of type %q", at, j, kind)
			}
		}
	default:
		return at + ".content is neither a string nor an array"
	}
	return ""
}

// openCalls notes the calls of an assistant message.
func openCalls(at string, m object, open map[string]bool) string {
	v, given := m["tool_calls"]
	if !given {
		return ""
	}
	calls, _ := v.([]any)
	if len(calls) == 0 {
		return at + ".tool_calls is empty"
	}
	for j, v := range calls {
		call, _ := v.(object)
		fn, _ := call["function"].(object)
		id, _ := call["id"].(string)
		name, _ := fn["name"].(string)
		if _, ok := fn["arguments"].(string); !ok || id == "" || call["type"] != "function" || !functionName.MatchString(name) {
			return fmt.Sprintf("%s.tool_calls[%d] is not a whole call", at, j)
		}
		if open[id] {
			return fmt.Sprintf("%s.tool_calls[%d] repeats the id %q", at, j, id)
		}
		open[id] = true
	}
	return ""
}
