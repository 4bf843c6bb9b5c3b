package translate

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/antiphon-proxy/antiphon/translate/streamcheck"
)

// backgroundTurn is a turn of a streamed background response.
func backgroundTurn(t *testing.T, queued bool) *Turn {
	t.Helper()
	var r Request
	body := []byte(`{"model":"m","input":"Hi","background":true,"stream":true,"tools":[{"type":"function","name":"f","parameters":{}}]}`)
	if err := r.Parse(body, RequestLimits{}); err != nil {
		t.Fatal(err)
	}
	turn := &Turn{}
	d, _ := LookupDialect("generic")
	turn.Reset(TurnOptions{
		Request: &r, Dialect: &d, Seed: Seed{1, 2, 3}, Created: 1700000000, Events: true, Queued: queued, Losses: &Losses{},
	})
	return turn
}

// TestBackgroundTurns: what one turn has begun another goes on with; and wherever
// that is cut off, a third settles it, so that the whole is one legal stream whose
// items are those that its events add up to.
func TestBackgroundTurns(t *testing.T) {
	stream := backgroundTurn(t, false).Queue(nil)
	maker := backgroundTurn(t, true)
	stream = maker.Begin(stream)
	for _, chunk := range []string{
		`{"choices":[{"index":0,"delta":{"reasoning_content":"let \"me"}}]}`,
		`{"choices":[{"index":0,"delta":{"reasoning_content":" think"}}]}`,
		`{"choices":[{"index":0,"delta":{"content":"a\nb"}}]}`,
		`{"choices":[{"index":0,"delta":{"content":"\u00e9 \"content\":[] "}}]}`,
		`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\":"}}]}}]}`,
		`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]}}]}`,
		`{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}`,
	} {
		stream = maker.Feed(stream, []byte(chunk))
	}
	stream = maker.Terminal(maker.Done(stream), 1700000001, true, false)
	for _, v := range streamcheck.Stream(stream, streamcheck.Options{}) {
		t.Error(v)
	}
	events := bytes.SplitAfter(stream, []byte("\n\n"))
	events = events[:len(events)-1]
	for n := queuedEvents; n < len(events)-1; n++ {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			var sum Recovery
			for _, e := range events[:n] {
				sum.Feed(e)
			}
			if sum.Next() != n {
				t.Errorf("the next event is %d", sum.Next())
			}
			for _, cancel := range []bool{false, true} {
				turn := backgroundTurn(t, true)
				turn.Resume(sum.Next(), sum.Output())
				whole := bytes.Join(events[:n], nil)
				if cancel {
					turn.Cancel()
					if got := turn.Terminal(nil, 0, true, false); got != nil {
						t.Errorf("%s", got)
					}
					object := turn.Response(nil, 1, true)
					for _, v := range streamcheck.Response(object) {
						t.Error(v)
					}
					if !bytes.Contains(object, []byte(`"status":"cancelled"`)) {
						t.Errorf("%s", object)
					}
					continue
				}
				turn.Abort(nil, &Error{Status: 500, Type: TypeServer, Message: "lost"})
				whole = turn.Terminal(whole, 0, true, false)
				for _, v := range streamcheck.Stream(whole, streamcheck.Options{}) {
					t.Errorf("%s\n%s", v, whole)
				}
			}
		})
	}
	var sum Recovery
	for _, e := range events {
		sum.Feed(e)
	}
	if len(sum.Output()) == 0 || !strings.Contains(string(stream), `"output":[`+string(sum.Output())+`]`) {
		t.Errorf("%s", sum.Output())
	}
}

// FuzzRecovery: events that are none of ours do no harm.
func FuzzRecovery(f *testing.F) {
	f.Add([]byte("event: response.output_item.added\ndata: {\"type\":\"response.output_item.added\",\"output_index\":0,\"item\":{}}\n\n"))
	f.Fuzz(func(_ *testing.T, event []byte) {
		var sum Recovery
		sum.Feed(event)
		sum.Feed(event)
		_ = sum.Output()
	})
}
