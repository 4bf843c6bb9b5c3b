package openaigo

import (
	"context"
	"errors"
	"testing"

	"github.com/antiphon-proxy/antiphon/e2e/fakemodel"
	"github.com/antiphon-proxy/antiphon/e2e/harness"
)

// TestAClientThatLeavesStopsTheModel at any time.
func TestAClientThatLeavesStopsTheModel(t *testing.T) {
	stalled := func(after int) fakemodel.Script {
		return fakemodel.Script{Replies: []fakemodel.Reply{{
			Text: "This takes forever.", Break: fakemodel.Break{How: fakemodel.ByStall, After: after},
		}}}
	}
	t.Run("before the first byte of a whole answer", func(t *testing.T) {
		s, c := play(t, stalled(0))
		ctx, leave := context.WithCancel(within(t))
		go func() {
			s.Model.AwaitState(model, fakemodel.Open, harness.Patience)
			leave()
		}()
		if _, err := c.Responses.New(ctx, ask("Hello?")); !errors.Is(err, context.Canceled) {
			t.Errorf("the error is %v", err)
		}
		wantLeft(t, s)
	})
	t.Run("in the middle of a whole answer", func(t *testing.T) {
		s, c := play(t, stalled(1))
		ctx, leave := context.WithCancel(within(t))
		go func() {
			s.Model.AwaitState(model, fakemodel.Open, harness.Patience)
			leave()
		}()
		if _, err := c.Responses.New(ctx, ask("Hello?")); !errors.Is(err, context.Canceled) {
			t.Errorf("the error is %v", err)
		}
		wantLeft(t, s)
	})
	t.Run("before the first token of a stream", func(t *testing.T) {
		s, c := play(t, stalled(0))
		ctx, leave := context.WithCancel(within(t))
		go func() {
			s.Model.AwaitState(model, fakemodel.Open, harness.Patience)
			leave()
		}()
		p := consume(t, c.Responses.NewStreaming(ctx, ask("Hello?")))
		if !errors.Is(p.err, context.Canceled) {
			t.Errorf("the error is %v", p.err)
		}
		wantLeft(t, s)
	})
	t.Run("in the middle of a stream", func(t *testing.T) {
		s, c := play(t, stalled(3))
		ctx, leave := context.WithCancel(within(t))
		defer leave()
		stream := c.Responses.NewStreaming(ctx, ask("Hello?"))
		for stream.Next() {
			if stream.Current().Type == "response.output_text.delta" {
				leave()
			}
		}
		if !errors.Is(stream.Err(), context.Canceled) {
			t.Errorf("the error is %v", stream.Err())
		}
		wantLeft(t, s)
	})
	t.Run("by closing the stream", func(t *testing.T) {
		s, c := play(t, stalled(3))
		stream := c.Responses.NewStreaming(within(t), ask("Hello?"))
		if !stream.Next() {
			t.Fatal(explain(stream.Err()))
		}
		_ = stream.Close()
		wantLeft(t, s)
	})
}

func wantLeft(t *testing.T, s *harness.Stage) {
	t.Helper()
	if !s.Model.AwaitState(model, fakemodel.Left, harness.Patience) {
		t.Errorf("the model still talks to nobody: %+v", s.Model.Requests(model))
	}
}
