package probe

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/antiphon-proxy/antiphon/translate"
)

func tool(name, what string) fields {
	return fields{"type": "function", "name": name, "description": what, "parameters": fields{
		"type": "object", "properties": fields{"city": fields{"type": "string"}}, "required": []string{"city"}, "additionalProperties": false}}
}

var tools = []fields{tool("get_time", "The time in a city."), tool("get_date", "The date in a city.")}

const callBoth = "What are the time and the date in Rome? Use both tools at once: CALL get_time get_date"

// askTools finds out about function calling.
func (p *prober) askTools() error {
	request := fields{"input": []any{turn("user", callBoth)}, "tools": tools, "include": []string{"reasoning.encrypted_content"}, "max_output_tokens": maxOutput}
	r, err := p.try(trial{name: "tools", sent: "two functions, and a question for both", request: request, check: func(r *reply) (verdict, string) {
		switch {
		case len(r.calls) == 0 && r.finish == "length":
			return unknown, "no call within the bound of the output"
		case len(r.calls) == 0:
			return unknown, "no call: " + r.finish
		}
		p.seeCalls(r)
		return unknown, fmt.Sprintf("%d calls, finish_reason %s", len(r.calls), r.finish)
	}})
	if err != nil {
		return err
	}
	if r != nil && len(r.calls) > 0 {
		if err := p.askResults(r, request); err != nil {
			return err
		}
	}
	if err := p.askForeign(); err != nil {
		return err
	}
	_, err = p.try(trial{name: "tools in a stream", sent: "the same", request: fields{"input": callBoth, "tools": tools, "stream": true}, check: func(r *reply) (verdict, string) {
		if len(r.calls) == 0 {
			return unknown, "no call"
		}
		p.report.Seen["index of calls"] = r.habits.index
		if r.habits.pieces == len(r.calls) {
			p.report.Seen["calls in streams"] = "whole, in one chunk"
		}
		p.seeReasoning(r)
		return unknown, fmt.Sprintf("%d calls in %d chunks", len(r.calls), r.habits.pieces)
	}})
	if err != nil {
		return err
	}
	return p.askChoices()
}

func (p *prober) seeCalls(r *reply) {
	seen := p.report.Seen
	seen["ids of calls"] = idForm(r.calls[0].id)
	if r.finish != "" && r.finish != "tool_calls" {
		seen["finish_reason of calls"] = r.finish
	}
	if r.habits.objects {
		seen["arguments"] = "an object"
	}
	for _, key := range r.habits.extras {
		if key == "extra_content" {
			seen["calls carry"] = key
		}
	}
}

var alnum9 = regexp.MustCompile(`^[a-zA-Z0-9]{9}$`)

func idForm(id string) string {
	switch {
	case id == "":
		return "none"
	case alnum9.MatchString(id):
		return "nine letters and digits"
	case strings.HasPrefix(id, "call_"):
		return "call_…"
	}
	return fmt.Sprintf("%d characters", len(id))
}

// askResults takes a call round: its result, and a question after that.
func (p *prober) askResults(r *reply, request fields) error {
	output, ok := r.output(request)
	if !ok {
		p.note("results of calls", "–", "the calls could not be read", nil)
		return nil
	}
	input := append([]any{turn("user", callBoth)}, output...)
	for _, item := range output {
		if m, _ := item.(map[string]any); m["type"] == "function_call" {
			input = append(input, fields{"type": "function_call_output", "call_id": m["call_id"], "output": "noon, 1 May"})
		}
	}
	results := trial{name: "results of calls", sent: "calls and results, as clients send them"}
	if len(r.habits.reasoning) > 0 && p.dialect.Reasoning.Replay == translate.ReplayAuto {
		results.assume = fact("reasoning.replay", string(translate.ReplayLoop)) // what it thinks beside a call it gets back
	}
	results.request = fields{"input": input, "tools": tools}
	if _, err := p.try(results); err != nil {
		return err
	}
	input = append(input, turn("assistant", "It is noon."), turn("user", "Thanks. Say OK."))
	_, err := p.try(trial{name: "a turn later", sent: "the same, and the next question", request: fields{"input": input, "tools": tools}})
	return err
}

// askForeign sends calls that the server has not made.
func (p *prober) askForeign() error {
	d := &p.dialect
	assume := fact("assistant_after_tool", "false")
	if d.AssistantAfterTool {
		assume = nil // a preset knows
	}
	ids := fact("tools.call_ids", "any")
	if d.Tools.CallIDs != translate.CallIDsAny {
		ids = nil
	}
	_, err := p.try(trial{name: "calls made elsewhere", sent: "a call with an id of ours, its result, and a question right after it",
		assume: append(assume, ids...), lessons: 6,
		request: fields{"tools": tools, "input": []fields{turn("user", "What is the time in Rome?"),
			{"type": "function_call", "call_id": "call_made_elsewhere_1", "name": "get_time", "arguments": `{"city":"Rome"}`},
			{"type": "function_call_output", "call_id": "call_made_elsewhere_1", "output": "noon"}, turn("user", "Say OK.")}}})
	if err != nil {
		return err
	}
	_, err = p.try(trial{name: "a loop made elsewhere", sent: "the same without the question", lessons: 6,
		request: fields{"tools": tools, "input": []fields{turn("user", "What is the time in Rome?"),
			{"type": "function_call", "call_id": "call_made_elsewhere_1", "name": "get_time", "arguments": `{"city":"Rome"}`},
			{"type": "function_call_output", "call_id": "call_made_elsewhere_1", "output": "noon"}}}})
	return err
}

// askChoices finds out which forms of tool_choice count.
func (p *prober) askChoices() error {
	called := func(want string) func(*reply) (verdict, string) {
		return func(r *reply) (verdict, string) {
			var names []string
			for _, c := range r.calls {
				names = append(names, c.name)
			}
			switch {
			case len(names) > 0 && (want == "" || names[0] == want):
				return holds, "called " + strings.Join(names, ", ")
			case len(names) > 0:
				return fails, "called " + strings.Join(names, ", ")
			case r.finish == "length":
				return unknown, "no call within the bound of the output"
			}
			return fails, "no call: ignored"
		}
	}
	choice := func(form string, on bool) []translate.Fact { return fact("tools.choices."+form, fmt.Sprint(on)) }
	named := fields{"type": "function", "name": "get_date"}
	list := []trial{
		{name: "tool_choice required", sent: "Say OK.", request: fields{"input": "Say OK.", "tool_choice": "required"},
			assume: choice("required", true), unless: choice("required", false), check: called("")},
		{name: "tool_choice by name", sent: "Say OK.", request: fields{"input": "Say OK.", "tool_choice": named},
			assume: choice("named", true), unless: choice("named", false), check: called("get_date")},
		{name: "tool_choice none", sent: "a question for both tools", request: fields{"input": callBoth, "tool_choice": "none"},
			assume: choice("none", true), unless: choice("none", false), check: func(r *reply) (verdict, string) {
				if len(r.calls) > 0 {
					return fails, "called all the same: ignored"
				}
				return holds, "no call"
			}},
	}
	if !p.ignoresUnknown {
		list = append(list, trial{name: "allowed_tools", sent: "one of two tools, required", assume: choice("allowed_tools", true), unless: choice("allowed_tools", false),
			request: fields{"input": "Say OK.", "tool_choice": fields{"type": "allowed_tools", "mode": "required", "tools": []fields{named}}}, check: called("get_date")})
	}
	for _, t := range list {
		t.request["tools"] = tools
		if _, err := p.try(t); err != nil {
			return err
		}
	}
	strict := tool("get_time", "The time in a city.")
	strict["strict"] = true
	if _, err := p.try(trial{name: "strict tools", sent: `"strict":true`, assume: accept("true", "tool_strict"), unless: accept("false", "tool_strict"),
		request: fields{"input": "Say OK.", "tools": []fields{strict}}, check: p.ifKnown}); err != nil {
		return err
	}
	_, err := p.try(trial{name: "parallel_tool_calls", sent: "false", assume: accept("true", "parallel_tool_calls"), unless: accept("false", "parallel_tool_calls"),
		request: fields{"input": callBoth, "tools": tools, "parallel_tool_calls": false}, check: p.ifKnown})
	return err
}

// askFormats finds out what response_format does. The schema has a name that no
// model would think of, and the other question forbids JSON.
func (p *prober) askFormats() error {
	schema := fields{"type": "object", "properties": fields{"zeta_colour": fields{"type": "string"}}, "required": []string{"zeta_colour"}, "additionalProperties": false}
	begins := func(want string) func(*reply) (verdict, string) {
		return func(r *reply) (verdict, string) {
			text := strings.TrimSpace(r.visible())
			switch {
			case text == "":
				return unknown, "taken; the answer does not tell"
			case json.Valid([]byte(text)) && strings.Contains(text, want), r.finish != "stop" && strings.HasPrefix(text, "{"):
				return holds, "kept"
			}
			return fails, "ignored"
		}
	}
	plain := func(sent, question string, format fields, value, less translate.Structured, want string) (verdict, error) {
		v := unknown
		check := begins(want)
		_, err := p.try(trial{name: "response_format", sent: sent, request: fields{"input": question, "max_output_tokens": maxOutput}, raw: fields{"response_format": format},
			assume: fact("structured_output", string(value)), unless: fact("structured_output", string(less)),
			check: func(r *reply) (verdict, string) {
				var seen string
				v, seen = check(r)
				return v, seen
			}})
		if err == nil && p.dialect.Structured == less {
			v = fails
		}
		return v, err
	}
	v, err := plain("json_schema", "Name a colour.", fields{"type": "json_schema", "json_schema": fields{"name": "n", "strict": true, "schema": schema}},
		translate.StructuredSchema, translate.StructuredObject, "zeta_colour")
	if err != nil || v != fails {
		return err
	}
	_, err = plain("json_object", "Say hello in plain words, and not in JSON.", fields{"type": "json_object"}, translate.StructuredObject, translate.StructuredNone, "{")
	return err
}

// offForms are the ways to keep a model from thinking.
var offForms = []translate.EffortForm{
	translate.EffortField, translate.EffortThinking, translate.EffortEnable, translate.EffortTemplate, translate.EffortEnabled, translate.EffortObject,
}

// askEfforts finds out how thinking is asked for.
func (p *prober) askEfforts() error {
	effort := func(e string) fields {
		return fields{"input": "Say OK.", "stream": true, "reasoning": fields{"effort": e}}
	} // some only think in streams
	if p.thinks && p.preset.Name == "generic" {
		found := false
		for _, form := range offForms {
			_, err := p.try(trial{name: "thinking off", sent: string(form), request: effort("none"), lessons: 1,
				assume: append(fact("reasoning.effort_form", string(form)), fact("reasoning.efforts.none", offWord(form))...),
				check: func(r *reply) (verdict, string) {
					if r.thinks() {
						return unknown, "it thinks all the same"
					}
					found = true
					return holds, "it does not think"
				}})
			if err != nil {
				return err
			}
			if found {
				break
			}
		}
	}
	if p.dialect.Reasoning.EffortForm == translate.EffortUnknown {
		p.note("efforts", "–", "not asked: the preset has no way to", nil)
		return nil
	}
	if p.dialect.Reasoning.EffortForm == translate.EffortEnable {
		request := effort("high")
		delete(request, "stream")
		if _, err := p.try(trial{name: "thinking", sent: "in a whole reply", request: request, check: func(*reply) (verdict, string) { return unknown, "taken" }}); err != nil {
			return err
		}
	}
	for _, e := range []string{"low", "medium", "high", "none", "minimal", "xhigh"} {
		if _, err := p.try(trial{name: "effort " + e, sent: string(p.dialect.Reasoning.EffortForm), request: effort(e), check: func(*reply) (verdict, string) { return unknown, "taken" }}); err != nil {
			return err
		}
		if p.dialect.Reasoning.EffortForm == translate.EffortUnknown {
			return nil
		}
	}
	return nil
}

// offWord is what the form says for no effort.
func offWord(form translate.EffortForm) string {
	switch form {
	case translate.EffortField, translate.EffortObject:
		return "none"
	}
	return "disabled"
}

const tinyPNG = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

// askParts finds out which content parts are taken.
func (p *prober) askParts() error {
	for _, part := range []struct {
		key   string
		known bool
		value fields
	}{
		{"images", p.dialect.Images, fields{"type": "input_image", "image_url": tinyPNG}},
		{"files", p.dialect.Files, fields{"type": "input_file", "filename": "a.txt", "file_data": "data:text/plain;base64,T0s="}},
		{"audio", p.dialect.Audio, fields{"type": "input_audio", "input_audio": fields{"data": "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA=", "format": "wav"}}},
	} {
		if _, err := p.try(trial{name: part.key, sent: "a small one", assume: fact(part.key, "true"), unless: fact(part.key, "false"),
			request: fields{"input": []fields{turn("user", []fields{{"type": "input_text", "text": "Say OK."}, part.value})}},
			check: func(*reply) (verdict, string) {
				if part.known || part.key == "images" {
					return holds, "taken"
				}
				return unknown, "taken; left as the preset has it"
			}}); err != nil {
			return err
		}
	}
	return nil
}
