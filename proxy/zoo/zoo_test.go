package zoo

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/antiphon-proxy/antiphon/translate"
)

// ask sends a chat request.
func ask(t *testing.T, s *Server, body string) (status int, answer string) {
	t.Helper()
	resp, err := http.Post(s.Base()+"/chat/completions", "application/json", strings.NewReader(body)) // a test's own server
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// TestFamilies: each preset has a member, and each member a preset.
func TestFamilies(t *testing.T) {
	t.Parallel()
	known := map[string]bool{"generic": true}
	for i := range Families {
		f := &Families[i]
		if known[f.Name] {
			t.Errorf("%s is there twice", f.Name)
		}
		known[f.Name] = true
		if _, ok := translate.LookupDialect(f.Dialect()); !ok {
			t.Errorf("there is no preset %s", f.Name)
		}
		for _, r := range f.Rules {
			if r.Evidence == "" || r.Name == "" || r.Error.Message == "" {
				t.Errorf("%s: rule %q lacks something", f.Name, r.Name)
			}
		}
	}
	for _, name := range translate.DialectNames() {
		if !known[name] {
			t.Errorf("nothing in the zoo is %s", name)
		}
	}
}

// TestMembers: what is asked as each family wants it is answered, whole and as a
// stream, with JSON in every event.
func TestMembers(t *testing.T) {
	t.Parallel()
	for i := range Families {
		f := &Families[i]
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			s := New(t, f)
			for _, tail := range []string{`}`, `,"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}]}`} {
				ask := func(rest string) string {
					status, body := ask(t, s, `{"model":"m","messages":[{"role":"user","content":"Hello CALL f"}]`+rest+tail)
					if status != 200 {
						t.Fatalf("%d %s", status, body)
					}
					return body
				}
				if body := ask(""); !json.Valid([]byte(body)) || !strings.Contains(body, `"f"`) && !strings.Contains(body, "echo: Hello") {
					t.Errorf("%s", body)
				}
				stream := ask(`,"stream":true`)
				if strings.Contains(stream, "\r\n") != f.Habits.CRLF || strings.Contains(stream, "[DONE]") == f.Habits.NoDone {
					t.Errorf("%q", stream)
				}
				for line := range strings.Lines(stream) {
					data, ok := strings.CutPrefix(strings.TrimSpace(line), "data: ")
					if ok && data != "[DONE]" && !json.Valid([]byte(data)) {
						t.Errorf("%q", line)
					}
				}
			}
			if _, refused := s.Asked(); len(refused) > 0 {
				t.Error(refused)
			}
			status, body := ask(t, s, `{"model":`)
			if status != 400 || !json.Valid([]byte(body)) {
				t.Errorf("%d %s", status, body)
			}
		})
	}
}

// offences are requests that between them break every rule of every family. Each is
// the rest of a request after its model.
var offences = []string{
	`"messages":[{"role":"user","content":"x"}],"store":true,"top_k":1`,
	`"messages":[{"role":"developer","content":"x"},{"role":"user","content":"x"}]`,
	`"messages":[{"role":"wizard","content":"x"},{"role":"user","content":"x"}]`,
	`"messages":[{"role":"user","content":"x"},{"role":"system","content":"x"},{"role":"user","content":"x"}]`,
	`"messages":[{"role":"user","content":"x"},{"role":"user","content":"x"}]`,
	`"messages":[{"role":"user","content":"x"}],"tool_choice":"auto"`,
	`"messages":[{"role":"user","content":"x","logprobs":null}]`,
	`"messages":[{"role":"user","content":"x"}],"reasoning_effort":"xhigh"`,
	`"messages":[{"role":"user","content":"x"}],"max_tokens":5`,
	`"messages":[{"role":"user","content":"x"}],"temperature":0.5`,
	`"messages":[{"role":"user","content":"x"}],"stop":"x"`,
	`"messages":[{"role":"user","content":"x"}],"presence_penalty":1`,
	`"messages":[{"role":"user","content":"x"}],"frequency_penalty":1`,
	`"messages":[{"role":"user","content":"x"}],"thinking":{"type":"enabled"},"reasoning_effort":"low"`,
	`"messages":[{"role":"user","content":"x"}],"enable_thinking":true`,
	`"messages":[{"role":"user","content":"x"}],"enable_thinking":true,"stream":true,"response_format":{"type":"json_object"}`,
	`"messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_schema","json_schema":{"schema":{}}}`,
	`"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:"}}]}]`,
	`"messages":[{"role":"user","content":[{"type":"file","file":{}}]}]`,
	`"messages":[{"role":"user","content":null}]`,
	`"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"x","reasoning_content":"x"},{"role":"user","content":"x"}]`,
	`"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"","tool_calls":[{"id":"abcdefgh1","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"abcdefgh1","content":"x"}]`,
	`"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"","tool_calls":[{"id":"abcdefgh1","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"abcdefgh1","content":"x"},{"role":"user","content":"x"}]`,
	`"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"","reasoning_content":"x","tool_calls":[{"id":"abcdefgh1","type":"function","extra_content":{"google":{"thought_signature":"x"}},"function":{"name":"f","arguments":"{}"}}]}]`,
	`"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"","tool_calls":[{"id":"abcdefgh1","type":"function","extra_content":{"google":{"thought_signature":"x"}},"function":{"name":"f","arguments":"{}"}}]}]`,
	`"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"","tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{"}}]},{"role":"tool","tool_call_id":"call_1","content":"x"}]`,
	`"messages":[{"role":"user","content":"x"},{"role":"tool","tool_call_id":"abcdefgh1","content":"x"}]`,
	`"messages":[{"role":"system","content":"x"}]`,
	`"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"","tool_calls":[{"id":"abcdefgh1","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"abcdefgh2","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"abcdefgh1","content":"x"},{"role":"tool","tool_call_id":"abcdefgh2","content":"x"}]`,
	`"messages":[{"role":"user","content":"x"}],"tools":[{"type":"custom","custom":{"name":"x"}}]`,
	`"messages":[{"role":"user","content":"x"}],"tools":[{"type":"custom","custom":{"name":"x"},"function":{"name":"f"}}]`,
	`"messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"ä"}}]`,
	`"messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":""}}]`,
	`"messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f"}}],"logprobs":true,"stream":true`,
	`"messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"required"`,
	`"messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[]}}`,
	`"messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":{"type":"function","function":{"name":"f"}}`,
}

// TestRules: every rule is one that something breaks, and says so in a body that can
// be read.
func TestRules(t *testing.T) {
	t.Parallel()
	for i := range Families {
		f := &Families[i]
		broken := map[*Rule]bool{}
		for _, o := range offences {
			r, err := Read([]byte(`{"model":"m",` + o + `}`))
			if err != nil {
				t.Fatal(err)
			}
			refused := f.Check(r)
			if refused == nil {
				continue
			}
			broken[refused.Rule] = true
			status, body := f.Refuse(refused)
			if !json.Valid(body) || bytes.Contains(body, []byte("%")) || status != 200 && status < 400 {
				t.Errorf("%s: %d %s", f.Name, status, body)
			}
			if e := translate.UpstreamError(status, body); strings.Contains(e.Message, "without a message") {
				t.Errorf("%s: the proxy does not find the message of %s", f.Name, body)
			}
		}
		for j := range f.Rules {
			if !broken[&f.Rules[j]] {
				t.Errorf("%s: nothing breaks %q: %s", f.Name, f.Rules[j].Name, f.Rules[j].Error.Message)
			}
		}
	}
}
