package translate

import (
	"fmt"
	"strings"
	"testing"

	"github.com/antiphon-proxy/antiphon/translate/streamcheck"
)

// TestWholeBackendsPassUnknown: what a backend with the whole Responses API says in
// items and events that nobody here knows reaches its clients, with ids and places of
// ours, and the rest of the stream stays whole. From half-built backends it does not.
func TestWholeBackendsPassUnknown(t *testing.T) {
	const upstream = `data: {"type":"response.created","response":{"id":"resp_up1","status":"in_progress"}}

data: {"type":"response.output_item.added","output_index":3,"item":{"id":"ys_1","type":"y_search_call","status":"in_progress"}}

data: {"type":"response.y_search_call.searching","output_index":3,"item_id":"ys_1","query":"tide","sequence_number":9}

data: {"type":"response.output_item.done","output_index":3,"item":{"id":"ys_1","type":"y_search_call","status":"completed","action":{"query":"tide"}}}

data: {"type":"response.rate_limits.updated","limits":[1, 2]}

data: {"type":"response.bad\u000aname","limits":[1, 2]}

data: {"type":"response.output_text.delta","output_index":4,"item_id":"msg_1","delta":"High."}

data: {"type":"response.completed","response":{"id":"resp_up1","status":"completed","output":[{"id":"ys_1","type":"y_search_call","status":"completed","action":{"query":"tide"}},{"id":"msg_1","type":"message","role":"assistant","content":[{"type":"output_text","text":"High."}]}]}}

`
	for _, dialect := range []string{"openai", "llama.cpp"} {
		var req Request
		if err := req.Parse([]byte(`{"model":"m","input":"Hi","stream":true}`), RequestLimits{}); err != nil {
			t.Fatal(err)
		}
		d, _ := LookupDialect(dialect)
		var turn ResponsesTurn
		var losses Losses
		turn.Reset(TurnOptions{Request: &req, Dialect: &d, Seed: testSeed, Created: testCreated, Events: true, Losses: &losses}, true)
		events := string(mendPieces(&turn, []byte(upstream)))
		response := string(turn.Response(nil, testCreated+1, false))
		for _, v := range streamcheck.Stream([]byte(events), streamcheck.Options{}) {
			if !strings.Contains(fmt.Sprint(v), "clients do not know") {
				t.Error(v)
			}
		}
		whole := dialect == "openai"
		id := ""
		if at := strings.Index(events, `"item":{"id":"item_`); at >= 0 {
			id = events[at+len(`"item":{"id":"`):]
			id = id[:strings.IndexByte(id, '"')]
		}
		for _, want := range []string{
			`event: response.y_search_call.searching` + "\n" + `data: {"type":"response.y_search_call.searching","sequence_number":3,"item_id":"` + id + `","output_index":0,"query":"tide"}`,
			`data: {"type":"response.rate_limits.updated","sequence_number":5,"limits":[1,2]}`,
			`"type":"y_search_call","action":{"query":"tide"},"status":"completed"}`,
		} {
			if strings.Contains(events, want) != whole {
				t.Errorf("%s: %s\n%s", dialect, want, events)
			}
		}
		if strings.Contains(events, "bad") {
			t.Errorf("a name that is none: %s", events)
		}
		if strings.Contains(response, "y_search_call") != whole || losses.Empty() != whole {
			t.Errorf("%s: %s %v", dialect, response, losses.Entries)
		}
	}
}
