package ollama

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// sentence is what the models say with temperature 0.
const sentence = "The small server holds a green letter, which proxy reads slowly!"

func TestText(t *testing.T) {
	both(t, func(t *testing.T, create func(*testing.T, proxy, body) *response) {
		r := create(t, byName, greedy(markov, "Hello"))
		r.want(t, "completed", "message")
		if got := r.text(); got != sentence {
			t.Errorf("the text is %q, want %q", got, sentence)
		}
		if r.Model != markov {
			t.Errorf("the model is %q, want %q", r.Model, markov)
		}
		_, prompt := chat(t, body{"model": markov, "messages": list{user("Hello")}})
		if r.Usage == nil || r.Usage.Input != prompt || r.Usage.Output != 14 || r.Usage.Total != prompt+14 {
			t.Errorf("the usage is %+v, want %d and 14", r.Usage, prompt)
		}
		if loss := r.loss(); loss != "" {
			t.Errorf("losses are reported: %s", loss)
		}
	})
}

// TestTextComesInPieces: what ollama sends token by token reaches the client token by token.
func TestTextComesInPieces(t *testing.T) {
	r := stream(t, byName, greedy(markov, "Hello"))
	if got := r.count("response.output_text.delta"); got != 13 { // 14 tokens with the end
		t.Errorf("%d deltas, want 13", got)
	}
}

// TestRandomText: sampled text has characters that are spread over tokens, and ends at any point.
func TestRandomText(t *testing.T) {
	emoji := 0
	for seed := range 20 {
		r := stream(t, byName, body{"model": markov, "input": "Hello", "seed": seed})
		r.want(t, "completed", "message")
		if !strings.HasSuffix(r.text(), "!") {
			t.Errorf("the text of seed %d is %q, which has no end", seed, r.text())
		}
		if strings.ContainsRune(r.text(), '😀') {
			emoji++
		}
	}
	if emoji == 0 {
		t.Error("no text has an emoji, so nothing has been tested")
	}
}

// TestInstructions: instructions reach the server as a system message, however many system messages there are.
func TestInstructions(t *testing.T) {
	r := ask(t, byName, with(greedy(markov, "Hello"), body{"instructions": "Be brief."}))
	_, want := chat(t, body{"model": markov, "messages": list{body{"role": "system", "content": "Be brief."}, user("Hello")}})
	if r.Usage.Input != want {
		t.Errorf("%d tokens, want %d as with a system message", r.Usage.Input, want)
	}
	items := list{body{"role": "developer", "content": "Be brief."}, user("Hello")}
	if r := ask(t, byName, greedy(markov, items)); r.Usage.Input != want {
		t.Errorf("a developer's message: %d tokens, want %d", r.Usage.Input, want)
	}
}

// TestParts: ollama takes each part of a content for a message of its own, with a turn around it; text in parts must
// arrive as one message nevertheless.
func TestParts(t *testing.T) {
	parts := list{
		body{"type": "input_text", "text": "one"},
		body{"type": "input_text", "text": "two"},
	}
	r := ask(t, byName, greedy(markov, list{body{"role": "user", "content": parts}}))
	_, want := chat(t, body{"model": markov, "messages": list{user("one\ntwo")}})
	if r.Usage.Input != want {
		t.Errorf("%d tokens, want %d as for one message", r.Usage.Input, want)
	}
}

// TestAtOnce: streams that run at the same time do not get into each other.
func TestAtOnce(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				model, want := markov, sentence
				if i%2 == 1 {
					model, want = recall, fmt.Sprint(i, "!")
				}
				r := stream(t, byName, greedy(model, fmt.Sprintf("It is %d.", i)))
				if r.Status != "completed" || r.text() != want {
					t.Errorf("%s: %q, want %q", r.Status, r.text(), want)
				}
			})
		})
	}
	wg.Wait()
}

// TestPassthrough: everything else below /v1 is ollama's own answer.
func TestPassthrough(t *testing.T) {
	status, _, raw := fetch(t, "GET", byName.url+"/v1/models", nil)
	var models struct{ Data []struct{ ID string } }
	if err := json.Unmarshal(raw, &models); err != nil || status != http.StatusOK || len(models.Data) != 5 {
		t.Errorf("models: status %d, %v: %s", status, err, raw)
	}
	status, header, raw := fetch(t, "POST", byName.url+"/v1/chat/completions",
		body{"model": markov, "messages": list{user("Hello")}, "temperature": 0, "stream": true})
	if status != http.StatusOK || !strings.HasPrefix(header.Get("Content-Type"), "text/event-stream") {
		t.Errorf("chat: status %d, %v", status, header)
	}
	if got := bytes.Count(raw, []byte(`"chat.completion.chunk"`)); got != 14 || !bytes.HasSuffix(raw, []byte("data: [DONE]\n\n")) {
		t.Errorf("chat: %d chunks, want 14:\n%s", got, tail(raw))
	}
}
