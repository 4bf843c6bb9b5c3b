package openaigo

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/e2e/fakemodel"
	"github.com/antiphon-proxy/antiphon/e2e/faultproxy"
)

// TestClientBreaksTheRequestAnywhere: what is not a whole request does not reach
// the model.
func TestClientBreaksTheRequestAnywhere(t *testing.T) {
	for _, how := range []faultproxy.Action{faultproxy.Cut, faultproxy.Reset} {
		t.Run(string(how), func(t *testing.T) {
			f := faultyClient(t, fakemodel.Says("Hello."))
			params := ask(strings.Repeat("Hello? ", 3000))
			create(t, f.client, params)
			length, _ := f.net.Passed()
			for _, at := range offsets(length) {
				f.net.Set(faultproxy.Plan{Request: faultproxy.Fault{Do: how, After: at}})
				if _, err := f.client.Responses.New(within(t), params); err == nil {
					t.Errorf("cut at %d of %d: there is no error", at, length)
				}
			}
			if n := len(f.Model.Requests(model)); n != 1 {
				t.Errorf("the model was asked %d times", n)
			}
		})
	}
}

// TestClientBreaksTheReplyAnywhere: the model is stopped, and the SDK notices
// that the stream has no end.
func TestClientBreaksTheReplyAnywhere(t *testing.T) {
	for _, how := range []faultproxy.Action{faultproxy.Cut, faultproxy.Reset} {
		t.Run(string(how), func(t *testing.T) {
			f := faultyClient(t, fakemodel.Says(rainy))
			mustEnd(t, f.client.Responses.NewStreaming(within(t), ask("Weather?")))
			_, length := f.net.Passed()
			// From here on the model does not come to its end by itself.
			f.Model.Play(model, fakemodel.Script{Replies: []fakemodel.Reply{{Text: rainy, Break: fakemodel.Break{How: fakemodel.ByStall, After: 100}}}})
			for _, at := range offsets(length * 3 / 4) {
				f.net.Set(faultproxy.Plan{Response: faultproxy.Fault{Do: how, After: at}})
				p := consume(t, f.client.Responses.NewStreaming(within(t), ask("Weather?")))
				if p.err == nil || p.final != nil {
					t.Errorf("cut at %d of %d: the stream has ended with %v", at, length, p.err)
				}
				wantLeft(t, f.Stage)
			}
		})
	}
}

// TestClientStallsInItsRequest: the time for a request is bounded.
func TestClientStallsInItsRequest(t *testing.T) {
	f := faultyClient(t, fakemodel.Says("Hello."), "--set", "limits.read_timeout=2s")
	params := ask(strings.Repeat("Hello? ", 3000))
	for _, at := range []int64{30, 1000} {
		f.net.Set(faultproxy.Plan{Request: faultproxy.Fault{Do: faultproxy.Stall, After: at}})
		if _, err := f.client.Responses.New(within(t), params); err == nil {
			t.Errorf("stalled at %d: there is no error", at)
		}
	}
	if n := len(f.Model.Requests(model)); n != 0 {
		t.Errorf("the model was asked %d times", n)
	}
}

// TestClientDoesNotRead: the time for a write is bounded, and the model is
// stopped then.
func TestClientDoesNotRead(t *testing.T) {
	long := strings.Repeat("This goes on and on. ", 2000)
	script := fakemodel.Script{Replies: []fakemodel.Reply{{Text: strings.Repeat(long, 500), Piece: len(long)}}}
	f := faultyClient(t, script, "--set", "limits.write_timeout=2s")
	f.net.Set(faultproxy.Plan{Response: faultproxy.Fault{Do: faultproxy.Stall, After: 1000}})
	ctx, leave := context.WithCancel(within(t))
	done := make(chan played)
	go func() { done <- consume(t, f.client.Responses.NewStreaming(ctx, ask("Go on."))) }()
	wantLeft(t, f.Stage)
	leave()
	if p := <-done; p.err == nil || p.final != nil {
		t.Errorf("the stream has ended with %v", p.err)
	}
}

// TestClientIsSlow: a slow reader gets everything.
func TestClientIsSlow(t *testing.T) {
	f := faultyClient(t, fakemodel.Says(strings.Repeat(rainy, 5)))
	f.net.Set(faultproxy.Plan{
		Request:  faultproxy.Fault{Delay: 200 * time.Millisecond, Rate: 5000},
		Response: faultproxy.Fault{Delay: 200 * time.Millisecond, Rate: 20000},
	})
	p := mustEnd(t, f.client.Responses.NewStreaming(within(t), ask("Weather?")))
	if got := p.final.OutputText(); got != strings.Repeat(rainy, 5) {
		t.Errorf("the text is %q", got)
	}
}
