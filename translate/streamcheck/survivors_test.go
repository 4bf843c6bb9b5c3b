//go:build !race

// A minute under the race detector, for code that starts no goroutine.

package streamcheck

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The mutants here are made by rule, tens of thousands of them: every event dropped, doubled and swapped, and in every
// event every member at every depth removed, nulled, retyped and changed. One that goes unnoticed must match a line of
// the lists below, each with the reason why it is legal.

// change is one way to damage a JSON value. It returns false when it does not apply.
type change struct {
	name string
	do   func(v any) (any, bool)
}

var changes = []change{
	{"removed", func(any) (any, bool) { return gone{}, true }},
	{"null", func(v any) (any, bool) { return nil, v != nil }},
	{"retyped", func(v any) (any, bool) {
		switch v.(type) {
		case bool, nil:
			return 1, true
		default:
			return true, true
		}
	}},
	{"changed", func(v any) (any, bool) {
		switch v := v.(type) {
		case string:
			return v + "x", true
		case bool:
			return !v, true
		case json.Number:
			return json.Number("1" + strings.TrimPrefix(v.String(), "-")), true
		default:
			return nil, false
		}
	}},
	{"emptied", func(v any) (any, bool) {
		switch v := v.(type) {
		case string:
			return "", v != ""
		case obj:
			return obj{}, len(v) > 0
		case list:
			return list{}, len(v) > 0
		default:
			return nil, false
		}
	}},
	{"extended", func(v any) (any, bool) {
		switch v := v.(type) {
		case list:
			return append(slices.Clone(v), obj{"type": "new"}), true
		case nil:
			return obj{"new": 1}, true
		default:
			return nil, false
		}
	}},
}

// mutants calls yield with every damaged form of v. The path names the place without list indexes.
func mutants(v any, path string, yield func(path string, damaged any)) {
	inner := func(key string, member any, put func(any) any) {
		for _, c := range changes {
			if damaged, ok := c.do(member); ok {
				yield(path+key+" "+c.name, put(damaged))
			}
		}
		mutants(member, path+key, func(p string, damaged any) { yield(p, put(damaged)) })
	}
	switch v := v.(type) {
	case obj:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			inner("."+key, v[key], func(damaged any) any {
				o := maps.Clone(v)
				if o[key] = damaged; damaged == (gone{}) {
					delete(o, key)
				}
				return o
			})
		}
	case list:
		for i := range v {
			inner("[]", v[i], func(damaged any) any {
				if damaged == (gone{}) {
					return append(slices.Clone(v[:i]), v[i+1:]...)
				}
				l := slices.Clone(v)
				l[i] = damaged
				return l
			})
		}
	}
}

// legalMutants match "type path change" of mutants that are no violation.
var legalMutants = compile(
	`\.delta \.obfuscation (removed|changed|emptied)$`, // optional, random

	// Only the terminal event knows these; another value is as good.
	`^response\.(completed|incomplete|failed) \.response\.(completed_at|service_tier|store) changed$`,
	`^response\.(completed|incomplete|failed) \.response\.moderation extended$`,
	`^response\.(completed|incomplete) \.response\.usage null$`,
	`^response\.(completed|incomplete) \.response\.usage\.\w+_details\.\w+ changed$`,
	`^response\.failed \.response\.error\.\w+ changed$`,
	`^error (\.error)?\.(type|code|message) changed$`,
	`^error \.error\.code null$`,
	`^response\.failed \.response\.output\[\]\.operation\.path (changed|emptied)$`, // of a patch that was never finished

	// What an item does not need before it is done, and may still change until then.
	`^response\.output_item\.added \.item\.(action|approve|arguments|code|content|encrypted_content|environment|error|`+
		`fingerprint|max_output_length|operation|output|outputs|phase|queries|result|results|status|tools) removed$`,
	`^response\.output_item\.added \.item\.(approval_request_id|approve|arguments|code|encrypted_content|fingerprint|`+
		`operation\.path|result) (changed|emptied)$`,
	`^response\.output_item\.added \.item\.(environment|error|output|queries|results|tools) extended$`,
	`^response\.output_item\.added \.item\.(code|outputs) null$`,
	`^response\.output_item\.added \.item\.(error|results|action\.(max_output_length|timeout_ms)|max_output_length) retyped$`,

	`^response\.output_text\.(delta|done) \.logprobs\[\](\.top_logprobs\[\])?\.bytes removed$`, // due only in a part
	`^response\.reasoning_summary_part\.done \.status removed$`,

	// Hosted tools whose payload the proxy would only pass on.
	`^response\.shell_call_output_content\.(delta|done) \.(delta|output|command_index)`,
	`^response\.image_generation_call\.partial_image \.partial_image_(b64|index) (changed|emptied)$`,
	`^response\.audio\.(transcript\.)?delta \.delta (changed|emptied)$`,
)

// legalShuffles match "dropped|doubled|swapped type" of events whose number or order is free.
var legalShuffles = compile(
	`^(dropped|doubled|swapped) response\.audio\.`,
	`^(dropped|doubled|swapped) response\.shell_call_output_content\.`,
	`^dropped error$`, // response.failed says it all

	// A hosted tool may leave out its progress events and repeat all but the last; they stand beside the deltas.
	`^dropped response\.(\w+_call|mcp_list_tools|compaction)\.\w+$`,
	`^doubled response\.(\w+_call|mcp_list_tools|compaction)\.(in_progress|searching|interpreting|generating|partial_image|compacting)$`,
	`^swapped response\.web_search_call\.searching and response\.web_search_call\.searching$`,
	`^swapped response\.image_generation_call\.generating and response\.image_generation_call\.partial_image$`,
	`^swapped response\.(code_interpreter|mcp)_call\.in_progress and response\.\w+\.delta$`,
	`^swapped response\.\w+\.done and response\.(code_interpreter|mcp)_call\.(interpreting|failed)$`,

	// Two items may be open at a time, and so may a summary part and a content part of one reasoning item.
	`^swapped response\.function_call_arguments\.delta and response\.function_call_arguments\.delta$`,
	`^swapped response\.output_item\.added and response\.function_call_arguments\.delta$`,
	`^swapped response\.output_item\.done and response\.function_call_arguments\.done$`,
	`^swapped response\.output_item\.done and response\.output_item\.added$`,
	`^swapped response\.reasoning_summary_part\.done and response\.content_part\.added$`,

	// An annotation may come at any time while its part is open.
	`^swapped response\.output_text\.(annotation\.added and response\.output_text\.done|delta and response\.output_text\.annotation\.added)$`,
)

func compile(lines ...string) []*regexp.Regexp {
	var list []*regexp.Regexp
	for _, line := range lines {
		list = append(list, regexp.MustCompile(line))
	}
	return list
}

func legal(list []*regexp.Regexp, what string) bool {
	return slices.ContainsFunc(list, func(r *regexp.Regexp) bool { return r.MatchString(what) })
}

func TestEveryMemberCounts(t *testing.T) {
	if testing.Short() {
		t.Skip("twenty thousand streams")
	}
	all := goodStreams()
	total, survivors := 0, map[string]string{}
	// The echo is the same in every stream; once per kind of lifecycle is enough.
	withEcho := map[string]bool{"text": true, "background": true, "failed with nested error": true, "incomplete by length": true}
	for _, name := range names(all) {
		s := all[name]
		parts := frames(s.events, 0)
		for i, e := range s.events {
			body := clone(e.body)
			body["sequence_number"] = json.Number(fmt.Sprint(i))
			head, tail := bytes.Join(parts[:i], nil), append(bytes.Join(parts[i+1:], nil), s.suffix...)
			mutants(body, "", func(path string, damaged any) {
				if strings.HasPrefix(path, ".response.") && !strings.HasPrefix(path, ".response.output") && !withEcho[name] {
					return
				}
				total++
				raw := slices.Concat(head, frame(ev{body: damaged.(obj), name: e.typ(), noSeq: true}, 0), tail)
				if what := e.typ() + " " + path; Stream(raw, s.opt) == nil && !legal(legalMutants, what) {
					survivors[what] = name
				}
			})
		}
	}
	for _, what := range slices.Sorted(maps.Keys(survivors)) {
		t.Errorf("unnoticed in %q: %s", survivors[what], what)
	}
	t.Logf("%d mutants", total)
}

// legalObjectMutants match "status path change" of mutants of a lone response object.
var legalObjectMutants = compile(
	` \.(instructions|reasoning|usage) null$`,
	` \.(max_output_tokens|max_tool_calls) retyped$`, // null became a number
	` \.\S*\[\] removed$`,                            // a shorter list
	` \.metadata\.k removed$`,
	` \.tools\[\]\.((parameters|strict) null|parameters\.\w+ \w+)$`, // the client's own schema

	// Optional members of items; where status is due, the table of mutations says so.
	` \.output\[\]\.(content|encrypted_content|error|namespace|phase|results|status) removed$`,
	` \.output\[\]\.(call_id|code|error|result) null$`,
	` \.output\[\]\.(error|results|(action\.)?(max_output_length|timeout_ms)) retyped$`,

	// The payload of hosted tools and tool outputs.
	` \.output\[\]\.(action\.(query|type)|arguments\.goal|output\.type|(output|queries|tools)\[\]\S*) \w+$`,
)

// TestEveryMemberOfAResponseCounts removes, nulls and retypes. With nothing to compare with, another value is as good.
func TestEveryMemberOfAResponseCounts(t *testing.T) {
	all := goodStreams()
	survivors := map[string]string{}
	for name, s := range all {
		for i, e := range s.events {
			resp, ok := e.body["response"].(obj)
			if !ok || i > 1 && i < len(s.events)-1 {
				continue
			}
			raw, _ := json.Marshal(resp)
			for _, v := range Response(raw) {
				t.Errorf("%s: %v", name, v)
			}
			mutants(clone(resp), "", func(path string, damaged any) {
				if strings.HasSuffix(path, " changed") || strings.HasSuffix(path, " emptied") || strings.HasSuffix(path, " extended") {
					return
				}
				raw, _ := json.Marshal(damaged)
				if what := fmt.Sprint(resp["status"], " ", path); Response(raw) == nil && !legal(legalObjectMutants, what) {
					survivors[what] = name
				}
			})
		}
	}
	for _, what := range slices.Sorted(maps.Keys(survivors)) {
		t.Errorf("unnoticed in %q: %s", survivors[what], what)
	}
}

// TestEveryEventCounts drops, doubles and swaps events and numbers the rest anew, so that the sequence gives no hint.
func TestEveryEventCounts(t *testing.T) {
	survivors := map[string]string{}
	try := func(name string, s *story, events []ev, what string) {
		raw := append(bytes.Join(frames(events, 0), nil), s.suffix...)
		if Stream(raw, s.opt) == nil && !legal(legalShuffles, what) {
			survivors[what] = name
		}
	}
	all := goodStreams()
	for name, s := range all {
		for i, e := range s.events {
			try(name, s, slices.Concat(s.events[:i], s.events[i+1:]), "dropped "+e.typ())
			try(name, s, slices.Concat(s.events[:i+1], s.events[i:]), "doubled "+e.typ())
			if i > 0 {
				swapped := slices.Clone(s.events)
				swapped[i-1], swapped[i] = swapped[i], swapped[i-1]
				try(name, s, swapped, "swapped "+s.events[i-1].typ()+" and "+e.typ())
			}
		}
	}
	for _, what := range slices.Sorted(maps.Keys(survivors)) {
		t.Errorf("unnoticed in %q: %s", survivors[what], what)
	}
}
