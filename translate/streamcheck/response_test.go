package streamcheck

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestExampleResponsePasses(t *testing.T) {
	raw, err := os.ReadFile("testdata/example-response.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range Response(raw) {
		t.Error(v)
	}
}

// finished is the terminal response of a good stream.
func finished(stream string) obj {
	s := good(stream)
	return s.events[len(s.events)-1].body["response"].(obj)
}

func TestResponsesThatPass(t *testing.T) {
	f := func(what string, resp obj) {
		t.Helper()
		raw, _ := json.Marshal(resp)
		for _, v := range Response(raw) {
			t.Errorf("%s: %v", what, v)
		}
	}
	cancelled := decode(baseResponse)
	cancelled["status"], cancelled["background"] = "cancelled", true
	f("cancelled without output", cancelled)
	cancelled["output"] = finished("failed in a text")["output"]
	f("cancelled with the output so far", cancelled)
	queued := decode(baseResponse)
	queued["status"], queued["background"] = "queued", true
	f("queued", queued)
	f("in progress", decode(baseResponse))
	noUsage := finished("text")
	noUsage["usage"] = nil
	f("without usage", noUsage)
	echo := finished("text")
	echo["instructions"] = list{obj{"type": "message", "role": "user", "content": "x"}}
	echo["tool_choice"] = obj{"type": "function", "name": "f"}
	echo["conversation"] = obj{"id": "conv_1"}
	echo["billing"] = obj{"payer": "developer"}
	f("more of an echo", echo)
	huge := finished("text")
	put(huge, "usage.input_tokens", json.Number("99999999999999999999999999"))
	put(huge, "usage.total_tokens", json.Number("100000000000000000000000004"))
	f("more tokens than an int64", huge)
}

func TestResponseViolations(t *testing.T) {
	f := func(rule Rule, stream, path string, v any) {
		t.Helper()
		resp := finished(stream)
		put(resp, path, v)
		raw, _ := json.Marshal(resp)
		got := Response(raw)
		if !has(got, rule) {
			t.Errorf("%s with %s: not reported as %s, but %v", stream, path, rule, got)
		}
		if i := slices.IndexFunc(got, func(v Violation) bool { return v.Event != -1 }); i >= 0 {
			t.Errorf("an object has no events: %+v", got[i])
		}
	}
	f(ItemIDRepeated, "parallel calls", "output.1.id", "fc_0")
	f(ItemCallIDReused, "parallel calls", "output.1.call_id", "call_0")
	f(ItemStatus, "text", "output.0.status", gone{})
	f(ItemStatus, "text", "output.0.status", "in_progress")
	f(ItemStatus, "function call", "output.0.status", gone{})
	f(ItemStatus, "custom call", "output.0.status", gone{})
	f(ItemNull, "text", "output.0.phase", nil)
	f(ItemMember, "function call", "output.0.arguments", obj{})
	f(ItemMember, "reasoning summary", "output.0.summary", gone{})
	f(ItemType, "text", "output.0.type", "text")
	f(ItemType, "text", "output.0", "Hello")
	f(ItemType, "text", "output.0", nil)
	f(PartType, "text", "output.0.content.0.type", "text")
	f(PartType, "text", "output.0.content.0", "Hello")
	f(PartMember, "text", "output.0.content.0.annotations", gone{})
	f(LogprobMember, "logprobs", "output.0.content.0.logprobs.0.bytes", gone{})
	f(AnnotationMember, "annotations", "output.0.content.0.annotations.0.url", gone{})
	f(ResponseItems, "text", "output.0.status", "incomplete")
	f(ResponseError, "text", "error", obj{"code": "a", "message": "b", "type": "c"})
	f(ResponseError, "text", "status", "failed")
	f(ResponseIncomplete, "text", "status", "incomplete")
	f(ResponseCompletedAt, "text", "status", "cancelled")
	f(ResponseUnfinished, "text", "status", "in_progress")
	f(ResponseStatus, "text", "status", "queued")
	f(ResponseStatus, "text", "status", "")
	f(ResponseUsage, "text", "usage.total_tokens", 1)
	f(ResponseForeign, "text", "include", list{})
	f(ResponseID, "text", "id", "rs_1")
	f(ResponseTools, "text", "tools.0.parameters", gone{})
	f(ResponseTools, "text", "tools.0", "f")
}

func TestResponseText(t *testing.T) {
	f := func(rule Rule, raw string) {
		t.Helper()
		got := Response([]byte(raw))
		if rule == "" && got != nil || rule != "" && !has(got, rule) {
			t.Errorf("%.60s: %v, want %q", raw, got, rule)
		}
	}
	whole, _ := json.Marshal(finished("text"))
	with := func(from, to string) string {
		t.Helper()
		if !strings.Contains(string(whole), from) {
			t.Fatalf("%q is not in %s", from, whole)
		}
		return strings.Replace(string(whole), from, to, 1)
	}
	f(JSONSyntax, "")
	f(JSONSyntax, "[]")
	f(JSONSyntax, "null")
	f(JSONSyntax, string(whole)+"x")
	f("", " "+string(whole)+"\n")
	f(JSONDuplicate, with(`"error":null`, `"error":null,"error":null`))
	f(JSONUTF8, with(`"Be kind."`, "\"\xff\""))
	// The client may have sent half a pair; the server may not make one.
	f("", with(`"Be kind."`, `"`+loneHigh+`"`))
	f(JSONSurrogate, with(`"text":"Hello`, `"text":"`+loneHigh+`Hello`))
}

func FuzzResponse(f *testing.F) {
	for _, name := range names(pristine()) {
		raw, _ := json.Marshal(finished(name))
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, v := range Response(raw) {
			if v.Event != -1 || v.Message == "" || v.Rule == "" {
				t.Errorf("%+v", v)
			}
		}
	})
}
