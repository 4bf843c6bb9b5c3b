package openaigo

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"

	"github.com/antiphon-proxy/antiphon/e2e/harness"
	"github.com/antiphon-proxy/antiphon/proxy/zoo"
)

// TestZoo: the SDK gets along with every member of the zoo, by its preset, by what a
// probe has found out, and behind a proxy that is told nothing, where what they refuse
// is learned on the way.
func TestZoo(t *testing.T) {
	stage := harness.New(t, harness.Options{Zoo: true})
	c := newClient(t, stage.URL(), option.WithMaxRetries(0))
	for _, m := range stage.Zoo.Members {
		t.Run(m.Model, func(t *testing.T) {
			t.Parallel()
			visit(t, c, m.Model, m.Family)
			if m.Mode == "learning" { // what is known is asked once, and nothing of it is refused
				m.Forget()
				visit(t, c, m.Model, m.Family)
			}
			if refused := m.Surprises(); len(refused) > 0 {
				t.Errorf("it was not known, or has not been learned: %s", refused[0])
			}
		})
	}
}

// visit does what applications do.
func visit(t *testing.T, c openai.Client, name string, f *zoo.Family) {
	t.Helper()
	says := func(r *responses.Response, want string) {
		t.Helper()
		if r.Status != responses.ResponseStatusCompleted || !strings.Contains(r.OutputText(), want) || r.Usage.TotalTokens == 0 {
			t.Errorf("%q is not in %s", want, r.RawJSON())
		}
	}
	// both asks whole and as a stream.
	both := func(params responses.ResponseNewParams, check func(r *responses.Response)) {
		t.Helper()
		params.Model = name
		check(create(t, c, params))
		check(mustEnd(t, c.Responses.NewStreaming(within(t), params)).final)
	}

	hello := ask("Hello")
	hello.Instructions = openai.String("Be brief.")
	hello.Temperature, hello.MaxOutputTokens = openai.Float(0.5), openai.Int(200)
	both(hello, func(r *responses.Response) { says(r, "Hello") })

	parsed := ask("Give JSON")
	parsed.Text.Format = responses.ResponseFormatTextConfigUnionParam{OfJSONSchema: &responses.ResponseFormatTextJSONSchemaConfigParam{
		Name: "answer", Strict: openai.Bool(true), Schema: map[string]any{
			"type": "object", "properties": map[string]any{"answer": map[string]any{"type": "string"}}, "required": []string{"answer"}, "additionalProperties": false,
		},
	}}
	wrong := 0
	both(parsed, func(r *responses.Response) {
		var got struct{ Answer *string }
		if json.Unmarshal([]byte(r.OutputText()), &got) != nil || got.Answer == nil {
			wrong++
		}
	})
	if wrong > 1 { // the first of a backend that ignores response_format shows that it does
		t.Errorf("%d answers are not what the schema says", wrong)
	}

	if f.NoTools != "" {
		return
	}
	tools := []responses.ToolUnionParam{weatherTool(), function("get_time", map[string]any{
		"type": "object", "properties": map[string]any{"zone": map[string]any{"type": "string"}}, "required": []string{"zone"}, "additionalProperties": false,
	})}
	question := ask("CALL get_weather get_time")
	question.Tools = tools
	both(question, func(r *responses.Response) {
		results := answers(t, r)
		// The server keeps the conversation …
		next := send(results...)
		next.Tools, next.PreviousResponseID = tools, openai.String(r.ID)
		both(next, func(r *responses.Response) {
			says(r, "results: get_weather, get_time")
			thanks := ask("Thanks")
			thanks.Tools, thanks.PreviousResponseID, thanks.Model = tools, openai.String(r.ID), name
			says(create(t, c, thanks), "echo: Thanks")
		})
		// … or the application does.
		items := append(append([]responses.ResponseInputItemUnionParam{user("CALL get_weather get_time")}, replay(t, r.Output)...), results...)
		again := send(items...)
		again.Tools, again.Store = tools, openai.Bool(false)
		both(again, func(r *responses.Response) { says(r, "results: get_weather, get_time") })
	})
}

// answers are results for the calls of a response, which must be two.
func answers(t *testing.T, r *responses.Response) (results []responses.ResponseInputItemUnionParam) {
	t.Helper()
	for _, item := range r.Output {
		if item.Type == "function_call" {
			call := item.AsFunctionCall()
			results = append(results, result(call.CallID, call.Name))
		}
	}
	if len(results) != 2 {
		t.Fatalf("%d calls instead of 2: %s", len(results), r.RawJSON())
	}
	return results
}
