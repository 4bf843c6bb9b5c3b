package fakemodel

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
)

// object is a JSON object that is being checked.
type object = map[string]any

// known are the parameters of chat completions.
var known = map[string]bool{
	"messages": true, "model": true, "audio": true, "frequency_penalty": true, "function_call": true, "functions": true,
	"logit_bias": true, "logprobs": true, "max_completion_tokens": true, "max_tokens": true, "metadata": true,
	"modalities": true, "moderation": true, "n": true, "parallel_tool_calls": true, "prediction": true,
	"presence_penalty": true, "prompt_cache_key": true, "prompt_cache_options": true, "prompt_cache_retention": true,
	"reasoning_effort": true, "response_format": true, "safety_identifier": true, "seed": true, "service_tier": true,
	"stop": true, "store": true, "stream": true, "stream_options": true, "temperature": true, "tool_choice": true,
	"tools": true, "top_logprobs": true, "top_p": true, "user": true, "verbosity": true, "web_search_options": true,
}

// illegal says why OpenAI's API would refuse a chat request, or "".
func illegal(body []byte) string {
	var req object
	if err := json.Unmarshal(body, &req); err != nil {
		return err.Error()
	}
	for _, key := range slices.Sorted(maps.Keys(req)) {
		if !known[key] {
			return "unknown parameter " + key
		}
	}
	if model, _ := req["model"].(string); model == "" {
		return "no model"
	}
	messages, _ := req["messages"].([]any)
	if len(messages) == 0 {
		return "no messages"
	}
	if _, ok := req["stream_options"]; ok && req["stream"] != true {
		return "stream_options without stream"
	}
	if _, ok := req["top_logprobs"]; ok && req["logprobs"] != true {
		return "top_logprobs without logprobs"
	}
	for _, check := range []func(object) string{illegalTools, illegalChoice, illegalFunctions, illegalAudio, illegalFormat} {
		if fault := check(req); fault != "" {
			return fault
		}
	}
	return illegalMessages(messages)
}

var functionName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

func illegalTools(req object) string {
	v, given := req["tools"]
	if !given {
		return ""
	}
	tools, _ := v.([]any)
	if len(tools) == 0 {
		return "tools is empty"
	}
	for i, v := range tools {
		tool, _ := v.(object)
		fn, _ := tool["function"].(object)
		name, _ := fn["name"].(string)
		if tool["type"] != "function" || !functionName.MatchString(name) {
			return fmt.Sprintf("tools[%d] is not a function with a proper name", i)
		}
		for key, v := range fn {
			switch key {
			case "name":
			case "description":
				if _, ok := v.(string); !ok {
					return fmt.Sprintf("tools[%d].function.description is not a string", i)
				}
			case "parameters":
				if _, ok := v.(object); !ok {
					return fmt.Sprintf("tools[%d].function.parameters is not an object", i)
				}
			case "strict":
				if _, ok := v.(bool); !ok {
					return fmt.Sprintf("tools[%d].function.strict is not a boolean", i)
				}
			default:
				return fmt.Sprintf("tools[%d].function has the unknown member %s", i, key)
			}
		}
	}
	return ""
}

func illegalChoice(req object) string {
	choice, given := req["tool_choice"]
	_, tools := req["tools"]
	if !given {
		if _, ok := req["parallel_tool_calls"]; ok && !tools {
			return "parallel_tool_calls without tools"
		}
		return ""
	}
	if !tools {
		return "tool_choice without tools"
	}
	switch c := choice.(type) {
	case string:
		if c != "none" && c != "auto" && c != "required" {
			return "tool_choice " + c
		}
	case object:
		if c["type"] != "function" && c["type"] != "allowed_tools" {
			return fmt.Sprint("tool_choice of type ", c["type"])
		}
	default:
		return "tool_choice is neither a string nor an object"
	}
	return ""
}

// illegalFunctions checks the form that tools had before they were tools.
func illegalFunctions(req object) string {
	v, given := req["functions"]
	if !given {
		if _, ok := req["function_call"]; ok {
			return "function_call without functions"
		}
		return ""
	}
	if _, both := req["tools"]; both {
		return "functions and tools"
	}
	functions, _ := v.([]any)
	if len(functions) == 0 {
		return "functions is empty"
	}
	for i, v := range functions {
		fn, _ := v.(object)
		if name, _ := fn["name"].(string); !functionName.MatchString(name) {
			return fmt.Sprintf("functions[%d] has no proper name", i)
		}
	}
	return ""
}

func illegalAudio(req object) string {
	modalities, _ := req["modalities"].([]any)
	asks := slices.Contains(modalities, any("audio"))
	audio, given := req["audio"].(object)
	switch {
	case asks && !given:
		return "modalities has audio, and audio is missing"
	case asks && (audio["voice"] == nil || audio["format"] == nil):
		return "audio has no voice or no format"
	}
	return ""
}

func illegalFormat(req object) string {
	v, given := req["response_format"]
	if !given {
		return ""
	}
	format, _ := v.(object)
	switch format["type"] {
	case "text", "json_object":
		return ""
	case "json_schema":
		schema, _ := format["json_schema"].(object)
		name, _ := schema["name"].(string)
		if _, ok := schema["schema"].(object); !ok || !functionName.MatchString(name) {
			return "response_format.json_schema has no proper name and schema"
		}
		return ""
	}
	return fmt.Sprint("response_format of type ", format["type"])
}
