package translate

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/antiphon-proxy/antiphon/translate/streamcheck"
)

// responsesTranscript is an exchange with the own Responses API of a real server.
type responsesTranscript struct {
	transcript
	dialect Dialect
}

func responsesTranscripts(tb testing.TB) (all []*responsesTranscript) {
	tb.Helper()
	paths, _ := filepath.Glob("../testdata/transcripts/responses/*.res.txt")
	if len(paths) == 0 {
		tb.Fatal("no transcripts")
	}
	for _, p := range paths {
		raw, err := os.ReadFile(p)
		if err != nil {
			tb.Fatal(err)
		}
		tr := &responsesTranscript{transcript: readTranscript(strings.TrimSuffix(filepath.Base(p), ".res.txt"), raw)}
		tr.req, _ = os.ReadFile(strings.TrimSuffix(p, ".res.txt") + ".req.json")
		name := "llama.cpp"
		if strings.HasPrefix(tr.name, "ollama") {
			name = "ollama"
		}
		tr.dialect, _ = LookupDialect(name)
		all = append(all, tr)
	}
	return all
}

// chat makes up the chat request that a transcript answers.
func (tr *responsesTranscript) chat(tb testing.TB, stream bool) *frontExchange {
	tb.Helper()
	var asked struct {
		Tools           []struct{ Type, Name string }
		MaxOutputTokens int `json:"max_output_tokens"`
	}
	_ = json.Unmarshal(tr.req, &asked)
	type object = map[string]any
	body := object{"model": "tiny", "messages": []object{{"role": "user", "content": "Hello"}}, "stream": stream}
	var tools []object
	for _, t := range asked.Tools {
		if t.Type == "function" {
			tools = append(tools, object{"type": "function", "function": object{"name": t.Name}})
		}
	}
	if tools != nil {
		body["tools"] = tools
	}
	if asked.MaxOutputTokens > 0 {
		body["max_tokens"] = asked.MaxOutputTokens
	}
	if stream {
		body["stream_options"] = object{"include_usage": true}
	}
	raw, err := json.Marshal(body)
	if err != nil {
		tb.Fatal(err)
	}
	x := &frontExchange{}
	if err := x.req.Parse(raw, RequestLimits{}); err != nil {
		tb.Fatal(err)
	}
	x.options = ChatTurnOptions{
		Request: &x.req, Dialect: &tr.dialect, Seed: testSeed, Created: testCreated, Events: stream, Reasoning: true, Losses: &x.losses,
	}
	return x
}

// TestFrontTranscripts runs everything that real servers said as Responses
// backends through the turn.
func TestFrontTranscripts(t *testing.T) {
	var streams, messages, errors int
	for _, tr := range responsesTranscripts(t) {
		t.Run(tr.name, func(t *testing.T) {
			switch {
			case tr.status != 200:
				errors++
				e := ChatUpstreamError(tr.status, tr.body, nil)
				if e.Status < 400 || e.Message == "" || e.Type == "" {
					t.Errorf("%+v", e)
				}
			case tr.stream:
				streams++
				x := tr.chat(t, true)
				var turn ChatTurn
				chunks := x.run(&turn, tr.body)
				for _, v := range streamcheck.ChatStream(chunks, x.alone()) {
					t.Error(v)
				}
				cut := strings.Contains(tr.name, "killed") || bytes.Contains(tr.body, []byte(`data: {"error"`))
				if failed := turn.Failure() != nil; failed != cut {
					t.Errorf("failure: %v", turn.Failure())
				}
			case bytes.Contains(tr.body, []byte(`"output":`)):
				messages++
				x := tr.chat(t, false)
				var turn ChatTurn
				turn.Reset(x.options)
				turn.FeedMessage(nil, tr.body)
				if turn.Failure() != nil {
					t.Errorf("failed: %v", turn.Failure())
				}
				for _, v := range streamcheck.ChatCompletion(turn.Completion(nil), x.check()) {
					t.Error(v)
				}
			default:
				t.Logf("%d bytes: not a response", len(tr.body))
			}
		})
	}
	t.Logf("%d streams, %d messages, %d errors", streams, messages, errors)
	if streams < 15 || messages < 30 || errors < 20 {
		t.Error("transcripts are missing")
	}
}

// textsOf are the texts and calls in a response's output, joined.
func textsOf(t *testing.T, response []byte) string {
	t.Helper()
	var r struct {
		Output []struct {
			Name, Arguments string
			Summary         []struct{ Text string }
			Content         []struct{ Text, Refusal string }
		}
	}
	if err := json.Unmarshal(response, &r); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, o := range r.Output {
		b.WriteString(o.Name + o.Arguments + "|")
		for _, p := range o.Summary {
			b.WriteString(p.Text + "|")
		}
		for _, p := range o.Content {
			b.WriteString(p.Text + p.Refusal + "|")
		}
	}
	return b.String()
}
