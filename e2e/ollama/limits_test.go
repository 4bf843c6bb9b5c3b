package ollama

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestLength: max_output_tokens ends the answer.
func TestLength(t *testing.T) {
	both(t, func(t *testing.T, create func(*testing.T, proxy, body) *response) {
		r := create(t, byName, with(greedy(endless, "Hello"), body{"max_output_tokens": 20}))
		r.want(t, "incomplete", "message")
		if r.Incomplete == nil || r.Incomplete.Reason != "max_output_tokens" {
			t.Errorf("incomplete_details is %+v", r.Incomplete)
		}
		if r.Output[0].Status != "incomplete" {
			t.Errorf("the message is %s", r.Output[0].Status)
		}
		if r.Usage.Output != 20 || !strings.HasPrefix(r.text(), sentence+" The") {
			t.Errorf("%d tokens: %q", r.Usage.Output, r.text())
		}
		// An incomplete response can be gone on from.
		next := create(t, byName, with(greedy(markov, "Go on."), body{"previous_response_id": r.ID}))
		next.want(t, "completed", "message")
	})
}

// TestLengthInThought: nothing was said yet.
func TestLengthInThought(t *testing.T) {
	both(t, func(t *testing.T, create func(*testing.T, proxy, body) *response) {
		for seed := range 30 {
			r := create(t, byName, body{"model": think, "input": "Hello", "seed": seed, "max_output_tokens": 16})
			if r.Status == "incomplete" && len(r.Output) == 1 {
				r.want(t, "incomplete", "reasoning")
				return
			}
		}
		t.Error("no thought was longer than 16 tokens")
	})
}

// TestLengthInJSON: half an object is no success.
func TestLengthInJSON(t *testing.T) {
	both(t, func(t *testing.T, create func(*testing.T, proxy, body) *response) {
		r := create(t, byName, with(greedy(markov, "Hello"), body{"text": format, "max_output_tokens": 16}))
		r.want(t, "incomplete", "message")
	})
}

func TestLogprobs(t *testing.T) {
	both(t, func(t *testing.T, create func(*testing.T, proxy, body) *response) {
		r := create(t, byName, with(greedy(markov, "Hello"), body{
			"include": list{"message.output_text.logprobs"}, "top_logprobs": 2,
		}))
		r.want(t, "completed", "message")
		var said strings.Builder
		for _, p := range r.Output[0].Content[0].Logprobs {
			said.WriteString(p.Token)
			if len(p.Top) != 2 || p.Logprob > 0 || string(bytesOf(p.Bytes)) != p.Token {
				t.Errorf("a token: %+v", p)
			}
		}
		if said.String() != r.text() {
			t.Errorf("the tokens are %q, the text is %q", said.String(), r.text())
		}
		// Without include there are none, whatever top_logprobs says.
		r = create(t, byName, with(greedy(markov, "Hello"), body{"top_logprobs": 2}))
		if n := len(r.Output[0].Content[0].Logprobs); n != 0 {
			t.Errorf("%d logprobs that nobody asked for", n)
		}
	})
}

// TestLogprobsOfBytes: a character that is spread over four tokens has logprobs that are no text each. ollama has put the
// replacement character for them by then, in the bytes too, and so they stay; the text is right nevertheless.
func TestLogprobsOfBytes(t *testing.T) {
	both(t, func(t *testing.T, create func(*testing.T, proxy, body) *response) {
		for seed := range 40 {
			r := create(t, byName, body{"model": markov, "input": "Hello", "seed": seed,
				"include": list{"message.output_text.logprobs"}, "top_logprobs": 1})
			if !strings.ContainsRune(r.text(), '😀') {
				continue
			}
			var said []byte
			for _, p := range r.Output[0].Content[0].Logprobs {
				said = append(said, bytesOf(p.Bytes)...)
			}
			if want := strings.ReplaceAll(r.text(), "😀", "\ufffd\ufffd\ufffd\ufffd"); string(said) != want {
				t.Errorf("seed %d: the tokens' bytes are %q, want %q", seed, said, want)
			}
			return
		}
		t.Error("no text has an emoji, so nothing has been tested")
	})
}

func bytesOf(list []int) (out []byte) {
	for _, n := range list {
		out = append(out, byte(n))
	}
	return out
}

// TestOversize documents what ollama does with a prompt that exceeds the context of 2,048 tokens: it leaves out the oldest
// messages, and the beginning of the last if need be, and answers as if nothing had happened. The proxy cannot see it: the
// answer is completed, only the count of tokens tells.
func TestOversize(t *testing.T) {
	both(t, func(t *testing.T, create func(*testing.T, proxy, body) *response) {
		long := strings.Repeat("word ", 600) // a token for each letter
		for _, truncation := range []string{"disabled", "auto"} {
			r := create(t, byName, with(greedy(markov, long), body{"truncation": truncation}))
			r.want(t, "completed", "message")
			if r.Usage.Input > 2048 {
				t.Errorf("%s: %d tokens, want at most 2048", truncation, r.Usage.Input)
			}
			t.Logf("truncation %s: %d of about 3000 tokens", truncation, r.Usage.Input)
		}
		at := create(t, byName, greedy(recall, "My number is 9."))
		for range 5 {
			filler := strings.Repeat("word ", 100)
			at = create(t, byName, with(greedy(recall, filler), body{"previous_response_id": at.ID}))
			if at.Status != "completed" || at.Usage.Input > 2048 {
				t.Fatalf("%s with %d tokens", at.Status, at.Usage.Input)
			}
		}
		t.Logf("after 5 turns of 500 tokens the model says %q, with %d tokens", at.text(), at.Usage.Input)
	})
}

func TestUnknownModel(t *testing.T) {
	for _, p := range []proxy{byName, byDefault} {
		for _, streaming := range []bool{false, true} {
			e := refuse(t, p, with(greedy("no-such-model", "Hello"), body{"stream": streaming}), http.StatusBadRequest)
			if e.code() != "model_not_found" || e.param() != "model" || e.Type != "invalid_request_error" {
				t.Errorf("stream %v: the error is %q, %s, param %q, code %q", streaming, e.Message, e.Type, e.param(), e.code())
			}
		}
	}
	// The chat API itself is passed through: there it is ollama's own 404.
	status, _, raw := fetch(t, "POST", byName.url+"/v1/chat/completions", body{"model": "no-such-model", "messages": list{user("Hello")}})
	if status != http.StatusNotFound {
		t.Errorf("chat: status %d: %s", status, raw)
	}
}

// TestImage: ollama takes an image for a model that has no eyes, and the model answers without having seen it.
func TestImage(t *testing.T) {
	const pixel = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
	both(t, func(t *testing.T, create func(*testing.T, proxy, body) *response) {
		r := create(t, byName, greedy(markov, list{body{"role": "user", "content": list{
			body{"type": "input_text", "text": "What is it?"},
			body{"type": "input_image", "image_url": pixel, "detail": "auto"},
		}}}))
		r.want(t, "completed", "message")
		if r.text() != sentence {
			t.Errorf("the answer is %q, want %q", r.text(), sentence)
		}
	})
	// A file is not taken, and that is said.
	r := ask(t, byName, greedy(markov, list{body{"role": "user", "content": list{
		body{"type": "input_text", "text": "What is it?"},
		body{"type": "input_file", "filename": "a.txt", "file_data": "data:text/plain;base64,aGVsbG8="},
	}}}))
	if !strings.Contains(r.loss(), "part.dropped") {
		t.Errorf("a file: the loss report is %q", r.loss())
	}
	// ollama fetches nothing, and without fetch.enabled antiphon does not either: an image by URL is left out, and that is
	// said.
	r = ask(t, byName, greedy(markov, list{body{"role": "user", "content": list{
		body{"type": "input_text", "text": "What is it?"},
		body{"type": "input_image", "image_url": "http://127.0.0.1:1/a.png"},
	}}}))
	if !strings.Contains(r.loss(), "part.dropped") {
		t.Errorf("an image by URL: the loss report is %q", r.loss())
	}
}

// TestDialects: what must work in each dialect that antiphon may take ollama for.
func TestDialects(t *testing.T) {
	auto, err := openProxy(relay(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		how     string
		p       proxy
		dialect string
	}{
		{"by its port", auto, "ollama"},
		{"by name", byName, "ollama"},
		{"not at all", byDefault, "generic"},
	} {
		if x.p.dialect != x.dialect {
			t.Errorf("known %s: the dialect is %s, want %s", x.how, x.p.dialect, x.dialect)
		}
		t.Run(strings.ReplaceAll(x.how, " ", "-"), func(t *testing.T) {
			showLogs(t, x.p.process)
			both(t, func(t *testing.T, create func(*testing.T, proxy, body) *response) {
				r := create(t, x.p, with(greedy(markov, "Hello"), body{"instructions": "Be brief."}))
				r.want(t, "completed", "message")
				if r.text() != sentence {
					t.Errorf("text: %q", r.text())
				}
				r = create(t, x.p, with(greedy(endless, "Hello"), body{"max_output_tokens": 16}))
				r.want(t, "incomplete", "message")

				r = create(t, x.p, greedy(recall, "It is 1."))
				r = create(t, x.p, with(greedy(recall, "Which is it?"), body{"previous_response_id": r.ID}))
				if r.text() != "1!" {
					t.Errorf("chained: %q", r.text())
				}
				r = create(t, x.p, greedy(think, "Hello"))
				r.want(t, "completed", "reasoning", "message")

				r = create(t, x.p, with(greedy(markov, "Hello"), body{"text": format}))
				checkPerson(t, r.text())

				r = create(t, x.p, calling("Weather?"))
				r.want(t, "completed", "function_call")
				r = create(t, x.p, with(calling(list{
					body{"type": "function_call_output", "call_id": r.Output[0].CallID, "output": "sunny"},
				}), body{"previous_response_id": r.ID}))
				r.want(t, "completed", "message")
			})
		})
	}
	fmt.Fprintln(t.Output(), "done")
}
