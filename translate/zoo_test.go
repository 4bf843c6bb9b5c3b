package translate

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"antiphon/proxy/zoo"
)

// TestRandomRequestsInTheZoo: whatever a valid request holds, alone or after stored
// responses, with its preset the family that the request is for takes it. The zoo
// knows nothing of dialects: it is the families' own rules that are asked.
func TestRandomRequestsInTheZoo(t *testing.T) {
	checks(t, 3000)
	var r Request
	var losses Losses
	rapid.Check(t, func(t *rapid.T) {
		f := &zoo.Families[rapid.IntRange(0, len(zoo.Families)-1).Draw(t, "family")]
		d, ok := LookupDialect(f.Name)
		if !ok {
			t.Fatalf("no preset %s", f.Name)
		}
		h := &history{t: t}
		rest := h.pick("instructions", "", `,"instructions":"I"`, `,"instructions":""`) +
			h.pick("tools", "", `,"tools":[{"type":"function","name":"f","strict":true},{"type":"web_search"}]`, `,"tools":`+h.tools()) +
			h.pick("choice", "", "", `,"tool_choice":"auto"`, `,"tool_choice":"none"`, `,"tool_choice":"required"`) +
			h.pick("stream", "", `,"stream":true`) +
			h.pick("sampling", "", `,"temperature":1,"top_p":0.5,"max_output_tokens":50,"user":"u","prompt_cache_key":"k","safety_identifier":"s","service_tier":"flex"`) +
			h.pick("format", "", `,"text":{"format":{"type":"json_object"},"verbosity":"low"}`, `,"text":{"format":{"type":"json_schema","name":"n","schema":{"type":"object"}}}`) +
			h.pick("effort", "", `,"reasoning":{"effort":"none"}`, `,"reasoning":{"effort":"minimal"}`, `,"reasoning":{"effort":"high"}`, `,"reasoning":{"effort":"xhigh"}`) +
			h.pick("extra", "", `,"top_k":3,"store":true,"metadata":{"a":"b"}`, `,"include":["message.output_text.logprobs"]`)
		body := []byte(`{"model":"m","input":` + h.list("items", 1, 9, h.item) + rest + `}`)
		past := &History{}
		for range rapid.IntRange(0, 3).Draw(t, "turns") {
			var err error
			if past, err = past.Extend([]byte(h.list("stored", 0, 4, h.item)), []byte(h.answer()), &d); err != nil {
				t.Fatal(err)
			}
		}
		losses.Reset()
		if err := r.Parse(body, RequestLimits{}); err != nil {
			return // such as tool_choice without tools
		}
		chat, err := r.AppendChat(nil, ChatOptions{Dialect: &d, History: past, Losses: &losses, Sealer: codeSealer{}})
		if err != nil {
			if !strings.HasPrefix(err.Message, "Nothing in") {
				t.Fatal(err)
			}
			return
		}
		asked, e := zoo.Read(chat)
		if e != nil {
			t.Fatalf("%v\n%s", e, chat)
		}
		if refused := f.Check(asked); refused != nil && !refused.Rule.Model {
			t.Fatalf("%s refuses: %s\n%s", f.Name, refused, chat)
		}
	})
}
