package translate

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestThreadGrows: what was sent in one turn stands at the beginning of what is sent in
// the next, byte for byte, whatever ids come again: backends cache by the beginning. A
// client that brings the whole history itself gets the same as one whose history is
// kept here.
func TestThreadGrows(t *testing.T) {
	checks(t, 400)
	d, _ := LookupDialect("openai")
	rapid.Check(t, func(t *rapid.T) {
		ids := []string{"c", "call_1", "c_2"}
		past, all := &History{}, []string{}
		var before string
		for turn := range rapid.IntRange(1, 5).Draw(t, "turns") {
			input := fmt.Sprintf(`{"role":"user","content":"turn %d"}`, turn)
			all = append(all, input)
			var r Request
			if err := r.Parse([]byte(`{"model":"m","previous_response_id":"resp_1","input":[`+input+`]}`), RequestLimits{}); err != nil {
				t.Fatal(err)
			}
			chat, err := r.AppendChat(nil, ChatOptions{Dialect: &d, History: past, Losses: new(Losses)})
			if err != nil {
				t.Fatal(err)
			}
			now := messagesIn(t, chat)
			if !strings.HasPrefix(now, before) {
				t.Fatalf("what was sent has changed:\n%s\n%s", before, now)
			}
			before = now
			var whole Request
			if err := whole.Parse([]byte(`{"model":"m","store":false,"input":[`+strings.Join(all, ",")+`]}`), RequestLimits{}); err != nil {
				t.Fatal(err)
			}
			if chat, err = whole.AppendChat(nil, ChatOptions{Dialect: &d, Losses: new(Losses)}); err != nil {
				t.Fatal(err)
			}
			if got := messagesIn(t, chat); got != now {
				t.Fatalf("kept\n%s\nbrought\n%s", now, got)
			}

			var output []string
			for range rapid.IntRange(0, 3).Draw(t, "calls") {
				id := rapid.SampledFrom(ids).Draw(t, "id")
				output = append(output,
					`{"type":"function_call","call_id":"`+id+`","name":"f","arguments":"{}"}`,
					`{"type":"function_call_output","call_id":"`+id+`","output":"o"}`)
			}
			if rapid.Bool().Draw(t, "search") {
				output = append(output, fmt.Sprintf(`{"type":"web_search_call","id":"ws_%d","status":"completed","action":{"type":"search","query":"q"}}`, turn))
			}
			output = append(output, `{"type":"message","role":"assistant","content":[{"type":"output_text","text":`+
				rapid.SampledFrom([]string{`""`, `" "`, `"A"`}).Draw(t, "answer")+`}]}`)
			all = append(all, output...)
			next, bad := past.Extend([]byte("["+input+"]"), []byte("["+strings.Join(output, ",")+"]"), &d)
			if bad != nil {
				t.Fatal(bad)
			}
			past = next
		}
	})
}

// messagesIn is what stands in the array of messages, without its end.
func messagesIn(t *rapid.T, chat []byte) string {
	var body struct{ Messages []json.RawMessage }
	if err := json.Unmarshal(chat, &body); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, m := range body.Messages {
		b.Write(m)
		b.WriteByte('\n')
	}
	return b.String()
}
