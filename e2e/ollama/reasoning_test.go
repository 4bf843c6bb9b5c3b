package ollama

import (
	"net/http"
	"strings"
	"testing"
)

// thought is what the thinking model thinks with temperature 0.
const thought = " alpha;"

// TestReasoning: thoughts are a reasoning item of their own, as they are, or as a summary where one is asked for.
func TestReasoning(t *testing.T) {
	both(t, func(t *testing.T, create func(*testing.T, proxy, body) *response) {
		raw := create(t, byName, greedy(think, "Hello"))
		raw.want(t, "completed", "reasoning", "message")
		if got := raw.Output[0]; strings.TrimSpace(join(got.Content)) != strings.TrimSpace(thought) || len(got.Summary) != 0 ||
			got.Content[0].Type != "reasoning_text" {
			t.Errorf("the reasoning is %s", got.raw)
		}
		if raw.text() != sentence {
			t.Errorf("the text is %q, want %q", raw.text(), sentence)
		}

		summary := create(t, byName, with(greedy(think, "Hello"), body{"reasoning": body{"summary": "auto"}}))
		summary.want(t, "completed", "reasoning", "message")
		if got := summary.Output[0]; strings.TrimSpace(join(got.Summary)) != strings.TrimSpace(thought) || len(got.Content) != 0 {
			t.Errorf("the reasoning is %s", got.raw)
		}
		if summary.text() != sentence {
			t.Errorf("the text is %q, want %q", summary.text(), sentence)
		}
		if raw.events == nil {
			return
		}
		for _, x := range []struct {
			r    *response
			typ  string
			want bool
		}{
			{raw, "response.reasoning_text.delta", true},
			{raw, "response.reasoning_summary_text.delta", false},
			{summary, "response.reasoning_text.delta", false},
			{summary, "response.reasoning_summary_text.delta", true},
			{summary, "response.reasoning_summary_part.added", true},
		} {
			if got := x.r.count(x.typ) > 0; got != x.want {
				t.Errorf("there are events %s: %v, want %v", x.typ, got, x.want)
			}
		}
	})
}

// TestRandomReasoning: thoughts of any length, and text after them.
func TestRandomReasoning(t *testing.T) {
	for seed := range 10 {
		request := body{"model": think, "input": "Hello", "seed": seed}
		a, b := ask(t, byName, request), stream(t, byName, request)
		for _, r := range []*response{a, b} {
			r.want(t, "completed", "reasoning", "message")
		}
		if join(a.Output[0].Content) != join(b.Output[0].Content) || a.text() != b.text() {
			t.Errorf("seed %d: without a stream\n%s\nwith one\n%s", seed, a.raw, b.raw)
		}
		if strings.Contains(a.text(), "think>") || strings.Contains(join(a.Output[0].Content), "think>") {
			t.Errorf("a tag is part of the text: %s", a.raw)
		}
	}
}

// TestNoEffort: ollama switches thinking off for effort "none".
func TestNoEffort(t *testing.T) {
	both(t, func(t *testing.T, create func(*testing.T, proxy, body) *response) {
		r := create(t, byName, with(greedy(think, "Hello"), body{"reasoning": body{"effort": "none"}}))
		r.want(t, "completed", "message")
		if r.text() != sentence {
			t.Errorf("the text is %q, want %q", r.text(), sentence)
		}
	})
}

// TestEffort: ollama refuses any other effort, except for one family of models. A client that asks for an effort, as
// agents do by default, must get an answer nevertheless.
func TestEffort(t *testing.T) {
	for _, model := range []string{markov, think} {
		for _, effort := range []string{"minimal", "low", "medium", "high", "xhigh"} {
			request := with(greedy(model, "Hello"), body{"reasoning": body{"effort": effort}})
			status, header, raw := fetch(t, "POST", byName.url+"/v1/responses", request)
			if status != http.StatusOK {
				t.Errorf("%s, effort %s: status %d: %s", model, effort, status, raw)
				continue
			}
			if r := object(t, raw, header); r.text() != sentence {
				t.Errorf("%s, effort %s: %q, want %q", model, effort, r.text(), sentence)
			}
		}
	}
}

// TestReasoningReplayed: reasoning that comes back with the history is taken, by id and inline, and does not become text.
func TestReasoningReplayed(t *testing.T) {
	both(t, func(t *testing.T, create func(*testing.T, proxy, body) *response) {
		first := create(t, byName, greedy(think, "Hello"))
		chained := create(t, byName, with(greedy(think, "And?"), body{"previous_response_id": first.ID}))
		input := append(list{user("Hello")}, first.replay()...)
		inline := create(t, byName, greedy(think, append(input, user("And?"))))
		for _, r := range []*response{chained, inline} {
			r.want(t, "completed", "reasoning", "message")
		}
		if chained.Usage.Input != inline.Usage.Input {
			t.Errorf("%d tokens chained, %d inline", chained.Usage.Input, inline.Usage.Input)
		}
		_, want := chat(t, body{"model": think, "messages": list{
			user("Hello"), body{"role": "assistant", "content": sentence}, user("And?"),
		}})
		if inline.Usage.Input != want {
			t.Errorf("%d tokens, want %d: after a new question, old thoughts are left out", inline.Usage.Input, want)
		}
	})
}
