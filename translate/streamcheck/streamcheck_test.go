package streamcheck

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func names(all map[string]*story) []string { return slices.Sorted(maps.Keys(all)) }

func TestGoodStreamsPass(t *testing.T) {
	all := goodStreams()
	for _, name := range names(all) {
		t.Run(name, func(t *testing.T) {
			for _, v := range Stream(all[name].bytes(), all[name].opt) {
				t.Error(v)
			}
		})
	}
}

// Every event type of the table occurs in a good stream, so that no row goes untested.
func TestGoodStreamsCoverEveryEventAndItemType(t *testing.T) {
	events, items := map[string]bool{}, map[string]bool{}
	for _, s := range goodStreams() {
		for _, e := range s.events {
			events[e.typ()] = true
			if item, ok := e.body["item"].(obj); ok {
				items[item["type"].(string)] = true
			}
		}
	}
	for typ := range eventTable {
		if !events[typ] {
			t.Errorf("no good stream has the event %s", typ)
		}
	}
	for typ := range openResponsesTable {
		if !events[typ] {
			t.Errorf("no good stream has the event %s", typ)
		}
	}
	for typ := range itemTable {
		if !items[typ] {
			t.Errorf("no good stream has the item %s", typ)
		}
	}
}

// A stream resumed after any of its events is as legal as the whole.
func TestResumedAnywhere(t *testing.T) {
	for name, s := range goodStreams() {
		parts := frames(s.events, 0)
		for n := 1; n < len(parts); n++ {
			tail := append(bytes.Join(parts[n:], nil), s.suffix...)
			opt := s.opt
			opt.First = int64(n)
			for _, v := range Stream(tail, opt) {
				t.Errorf("%s resumed after %d: %v", name, n-1, v)
			}
		}
	}
}

// A stream cut between two events is legal exactly when the options say so.
func TestUnfinished(t *testing.T) {
	for name, s := range goodStreams() {
		parts := frames(s.events, 0)
		for n := range parts {
			head := bytes.Join(parts[:n], nil)
			opt := s.opt
			opt.Unfinished = true
			for _, v := range Stream(head, opt) {
				t.Errorf("%s cut after %d events: %v", name, n, v)
			}
			if got := Stream(head, s.opt); len(got) != 1 || got[0].Rule != TerminalMissing || got[0].Event != -1 {
				t.Errorf("%s cut after %d events: %v, want only %s", name, n, got, TerminalMissing)
			}
		}
	}
}

func TestCommentsBetweenEvents(t *testing.T) {
	f := func(comment string) {
		t.Helper()
		s := good("text")
		raw := []byte(comment)
		for _, part := range frames(s.events, 0) {
			raw = append(append(raw, part...), comment...)
		}
		for _, v := range Stream(raw, Options{}) {
			t.Errorf("%q: %v", comment, v)
		}
	}
	f(": keep-alive\n\n")
	f(": keep-alive\n")
	f(":\n\n")
	f(": one\n: two\n\n")
	f(": one\n\n: two\n\n")
}

func TestOptionsNarrowAgain(t *testing.T) {
	f := func(name string, opt Options, want Rule) {
		t.Helper()
		if got := Stream(good(name).bytes(), opt); !has(got, want) {
			t.Errorf("%s with %+v: %v, want %s", name, opt, got, want)
		}
	}
	f("done marker", Options{}, SSEDone)
	f("text", Options{OpenResponses: true}, SSEDone)
	f("reasoning raw", Options{OpenResponses: true}, EventType)
	f("open responses", Options{AllowDone: true}, EventType)
	f("failed with flat error", Options{OpenResponses: true}, EventMember)
	f("text", Options{First: 1}, EventSequence)
	f("text", Options{First: 1}, LifecycleOrder)
}

func TestViolationString(t *testing.T) {
	v := Violation{Event: 3, Type: "response.output_text.delta", Rule: LadderPartNotAdded, Message: "m."}
	if got, want := v.String(), "event 3 (response.output_text.delta): ladder.part_not_added: m."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	v.Event = -1
	if got, want := v.String(), "ladder.part_not_added: m."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func has(list []Violation, rule Rule) bool {
	return slices.ContainsFunc(list, func(v Violation) bool { return v.Rule == rule })
}

func TestFoldEqualsTerminal(t *testing.T) {
	all := goodStreams()
	for _, name := range names(all) {
		t.Run(name, func(t *testing.T) {
			s := all[name]
			folded, err := Fold(s.bytes(), s.opt)
			if err != nil {
				t.Fatal(err)
			}
			last := s.events[len(s.events)-1]
			if folded.Type != last.typ() {
				t.Errorf("type %q, want %q", folded.Type, last.typ())
			}
			if got, want := decode(string(folded.Response)), decode(string(folded.Terminal)); !reflect.DeepEqual(got, want) {
				t.Errorf("the events add up to\n%s\nthe terminal event says\n%s", folded.Response, folded.Terminal)
			}
			if got, want := decode(string(folded.Terminal)), clone(last.body["response"].(obj)); !reflect.DeepEqual(got, want) {
				t.Errorf("terminal is %s", folded.Terminal)
			}
		})
	}
}

// Fold must not copy the answer from where it is compared with: a change in the deltas, or in any event before the
// terminal one, has to show.
func TestFoldSeesTheEvents(t *testing.T) {
	f := func(name, typ, member string) {
		t.Helper()
		s := good(name)
		nth(s.events, typ, 0).body[member] = "changed"
		folded, err := Fold(s.bytes(), s.opt)
		if err != nil {
			t.Fatal(err)
		}
		if reflect.DeepEqual(decode(string(folded.Response)), decode(string(folded.Terminal))) {
			t.Errorf("%s: a changed %s.%s is not in the folded response", name, typ, member)
		}
		if !strings.Contains(string(folded.Response), "changed") {
			t.Errorf("%s: %s", name, folded.Response)
		}
	}
	f("text", "output_text.delta", "delta")
	f("refusal", "refusal.delta", "delta")
	f("reasoning raw", "reasoning_text.delta", "delta")
	f("reasoning summary", "reasoning_summary_text.delta", "delta")
	f("function call", "function_call_arguments.delta", "delta")
	f("custom call", "custom_tool_call_input.delta", "delta")
	f("failed in a text", "output_text.delta", "delta")
	f("failed in a call", "function_call_arguments.delta", "delta")
	f("code interpreter", "code_interpreter_call_code.delta", "delta")

	s := good("text")
	s.events[0].body["response"].(obj)["model"] = "another"
	if folded, err := Fold(s.bytes(), s.opt); err != nil || !strings.Contains(string(folded.Response), `"another"`) {
		t.Errorf("the echo must come from the first event: %s, %v", folded.Response, err)
	}
}

func TestFoldUnfinished(t *testing.T) {
	s := good("text")
	s.events = s.events[:6]
	folded, err := Fold(s.bytes(), Options{})
	if err != nil || folded.Type != "" || folded.Terminal != nil {
		t.Fatalf("%+v, %v", folded, err)
	}
	got := decode(string(folded.Response))
	item := got["output"].(list)[0].(obj)
	if item["status"] != "incomplete" || item["content"].(list)[0].(obj)["text"] != "Hello" || got["status"] != "in_progress" {
		t.Errorf("got %s", folded.Response)
	}
}

func TestFoldRefuses(t *testing.T) {
	f := func(what string, raw []byte, opt Options) {
		t.Helper()
		if folded, err := Fold(raw, opt); err == nil {
			t.Errorf("%s: no error, but %s", what, folded.Response)
		}
	}
	good := good("text").bytes()
	f("nothing", nil, Options{})
	f("a resumed stream", good, Options{First: 1})
	f("half an event", good[:len(good)-1], Options{})
	f("no created", []byte("event: response.in_progress\n"+strings.SplitN(string(good), "event: response.in_progress\n", 2)[1]), Options{})
	f("not SSE", []byte("hello"), Options{})
	f("not JSON", []byte("event: response.created\ndata: {\n\n"), Options{})
}

// The checker is fed with whatever a broken proxy or upstream produces.
func FuzzStream(f *testing.F) {
	for _, s := range goodStreams() {
		f.Add(s.bytes(), false, int64(0))
		f.Add(s.bytes(), true, int64(3))
	}
	f.Fuzz(func(t *testing.T, raw []byte, open bool, first int64) {
		opt := Options{OpenResponses: open, First: first}
		if a, b := Stream(raw, opt), Stream(raw, opt); fmt.Sprint(a) != fmt.Sprint(b) {
			t.Errorf("two runs differ:\n%v\n%v", a, b)
		}
		folded, err := Fold(raw, opt)
		if err == nil {
			if _, err := parse(folded.Response); err != nil {
				t.Errorf("the folded response is not JSON: %v\n%s", err, folded.Response)
			}
		}
	})
}
