package openaigo

import (
	"net/http"
	"testing"
	"time"

	"github.com/openai/openai-go/v3/option"

	"github.com/antiphon-proxy/antiphon/e2e/fakemodel"
)

// TestRetriesAfterTheTimeTheBackendAsksFor: Retry-After comes through, and the
// SDK keeps to it.
func TestRetriesAfterTheTimeTheBackendAsksFor(t *testing.T) {
	busy := fakemodel.Reply{Status: 429, Headers: map[string]string{"Retry-After": "1", "X-Ratelimit-Remaining-Requests": "0"}}
	for _, streamed := range []bool{false, true} {
		s, _ := play(t, fakemodel.Script{First: []fakemodel.Reply{busy}, Replies: []fakemodel.Reply{{Text: "At last."}}})
		c := newClient(t, s.URL(), option.WithMaxRetries(2))
		begin := time.Now()
		text := ""
		if streamed {
			text = mustEnd(t, c.Responses.NewStreaming(within(t), ask("Now?"))).final.OutputText()
		} else {
			text = create(t, c, ask("Now?")).OutputText()
		}
		if text != "At last." {
			t.Errorf("the text is %q", text)
		}
		if took := time.Since(begin); took < time.Second {
			t.Errorf("it was tried again after %v", took)
		}
		if got := len(s.Model.Requests(model)); got != 2 {
			t.Errorf("the model was asked %d times, not twice", got)
		}
	}
}

// TestTheProxyItselfDoesNotRetry what the backend has begun to work on.
func TestTheProxyItselfDoesNotRetry(t *testing.T) {
	for name, reply := range map[string]fakemodel.Reply{
		"an error":              {Status: 500},
		"a cut before the head": {Text: "Hello.", Break: fakemodel.Break{How: fakemodel.ByCut}},
	} {
		t.Run(name, func(t *testing.T) {
			s, c := play(t, fakemodel.Script{Replies: []fakemodel.Reply{reply}})
			if _, err := c.Responses.New(within(t), ask("Now?")); err == nil {
				t.Error("there is no error")
			}
			if got := len(s.Model.Requests(model)); got != 1 {
				t.Errorf("the model was asked %d times", got)
			}
		})
	}
}

// TestOverload: what is over the limit of concurrency is told to come again.
func TestOverload(t *testing.T) {
	s, c := play(t, fakemodel.Script{Replies: []fakemodel.Reply{{
		Text: "Busy.", Break: fakemodel.Break{How: fakemodel.ByStall, After: 2},
	}}}, "--set", "limits.concurrency=1")
	stream := c.Responses.NewStreaming(within(t), ask("Hello?"))
	defer stream.Close()
	if !stream.Next() {
		t.Fatal(explain(stream.Err()))
	}
	_, err := c.Responses.New(within(t), ask("Me too?"))
	e := wantError(t, err, http.StatusTooManyRequests, "rate_limit_exceeded", "")
	if e.Response.Header.Get("Retry-After") == "" {
		t.Error("there is no Retry-After")
	}
	_ = stream.Close()
	wantLeft(t, s)
	// And then there is room again.
	s.Model.Play(model, fakemodel.Says("Welcome."))
	retrying := newClient(t, s.URL(), option.WithMaxRetries(8))
	if got := create(t, retrying, ask("Now?")).OutputText(); got != "Welcome." {
		t.Errorf("the text is %q", got)
	}
}
