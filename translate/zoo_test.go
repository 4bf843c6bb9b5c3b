package translate

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/antiphon-proxy/antiphon/proxy/zoo"
)

// TestRandomRequestsInTheZoo: whatever a valid request holds, alone or after stored
// responses, with its preset the family that the request is for takes it, or, if it is one
// model of a family, once it has refused what has to be learned. The zoo
// knows nothing of dialects: it is the families' own rules that are asked.
func TestRandomRequestsInTheZoo(t *testing.T) {
	checks(t, 3000)
	var r Request
	var losses Losses
	rapid.Check(t, func(t *rapid.T) {
		f := &zoo.Families[rapid.IntRange(0, len(zoo.Families)-1).Draw(t, "family")]
		d, ok := LookupDialect(f.Dialect())
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
		var stored [][2][]byte
		for range rapid.IntRange(0, 3).Draw(t, "turns") {
			stored = append(stored, [2][]byte{[]byte(h.list("stored", 0, 4, h.item)), []byte(h.answer())})
		}
		for lessons := 0; ; lessons++ {
			fact, learned := tryInZoo(t, f, &d, body, stored, &r, &losses)
			if !learned {
				return
			}
			if d, learned = d.With(fact); !learned || lessons == 8 {
				t.Fatalf("%s: %s is of no use", f.Name, fact)
			}
		}
	})
}

// tryInZoo translates a request after stored turns. The family must take it, but for
// what only some of its models refuse; where the member is such a model, that teaches
// a fact with which it is to be tried again.
func tryInZoo(t *rapid.T, f *zoo.Family, d *Dialect, body []byte, stored [][2][]byte, r *Request, losses *Losses) (fact Fact, learned bool) {
	past := &History{}
	for _, turn := range stored {
		var err error
		if past, err = past.Extend(turn[0], turn[1], d); err != nil {
			t.Fatal(err)
		}
	}
	losses.Reset()
	if err := r.Parse(body, RequestLimits{}); err != nil {
		return fact, false // such as tool_choice without tools
	}
	chat, err := r.AppendChat(nil, ChatOptions{Dialect: d, History: past, Losses: losses, Sealer: codeSealer{}})
	if err != nil {
		if !strings.HasPrefix(err.Message, "Nothing in") {
			t.Fatal(err)
		}
		return fact, false
	}
	asked, e := zoo.Read(chat)
	if e != nil {
		t.Fatalf("%v\n%s", e, chat)
	}
	refused := f.Check(asked)
	switch {
	case refused == nil:
		return fact, false
	case !refused.Rule.Model:
		t.Fatalf("%s refuses: %s\n%s", f.Name, refused, chat)
	case f.Preset == "" || refused.Rule.Name == zoo.RuleNoUser: // there is nothing to send in its place
		return fact, false
	}
	status, answer := f.Refuse(refused)
	if fact, learned = Learn(d, status, answer, chat); !learned {
		t.Fatalf("%s refuses, and it teaches nothing: %s\n%s", f.Name, refused, chat)
	}
	return fact, true
}
