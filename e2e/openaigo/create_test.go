package openaigo

import (
	"net/http"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/responses"

	"github.com/antiphon-proxy/antiphon/e2e/fakemodel"
)

func TestCreateAndReadBack(t *testing.T) {
	s, c := play(t, fakemodel.Says("You said: {{user}}"))
	params := ask("Polly?")
	params.Instructions = openai.String("Repeat.")
	params.Metadata = map[string]string{"pirate": "yes"}
	r := create(t, c, params)
	if got := r.OutputText(); got != "You said: Polly?" {
		t.Errorf("the text is %q", got)
	}
	if r.Status != responses.ResponseStatusCompleted || r.Model != model || r.Metadata["pirate"] != "yes" {
		t.Errorf("status %q, model %q, metadata %v", r.Status, r.Model, r.Metadata)
	}
	if r.Usage.InputTokens == 0 || r.Usage.OutputTokens == 0 || r.Usage.TotalTokens != r.Usage.InputTokens+r.Usage.OutputTokens ||
		r.Usage.InputTokensDetails.CachedTokens != 1 {
		t.Errorf("usage is %s", r.Usage.RawJSON())
	}
	again, err := c.Responses.Get(within(t), r.ID, responses.ResponseGetParams{})
	if err != nil {
		t.Fatal(explain(err))
	}
	if again.RawJSON() != r.RawJSON() {
		t.Errorf("read back:\n%s\ncreated:\n%s", again.RawJSON(), r.RawJSON())
	}
	if got := messages(t, s); len(got) != 2 || got[0].Content != "Repeat." || got[1].Content != "Polly?" {
		t.Errorf("the model was told %v", got)
	}
	if got := s.Model.Requests(model)[0].Header.Get("Authorization"); got != "Bearer sk-e2e" {
		t.Errorf("the model was given the credential %q", got)
	}
}

func TestDeletedResponsesAreGone(t *testing.T) {
	_, c := play(t, fakemodel.Says("Hello."))
	r := create(t, c, ask("Hello?"))
	if err := c.Responses.Delete(within(t), r.ID); err != nil {
		t.Fatal(explain(err))
	}
	_, err := c.Responses.Get(within(t), r.ID, responses.ResponseGetParams{})
	wantError(t, err, http.StatusNotFound, "", "")
	wantError(t, c.Responses.Delete(within(t), r.ID), http.StatusNotFound, "", "")
	params := ask("And now?")
	params.PreviousResponseID = openai.String(r.ID)
	_, err = c.Responses.New(within(t), params)
	wantError(t, err, http.StatusBadRequest, "previous_response_not_found", "previous_response_id")
}

func TestUnstoredResponsesAreGoneAtOnce(t *testing.T) {
	_, c := play(t, fakemodel.Says("Hello."))
	params := ask("Hello?")
	params.Store = openai.Bool(false)
	r := create(t, c, params)
	_, err := c.Responses.Get(within(t), r.ID, responses.ResponseGetParams{})
	wantError(t, err, http.StatusNotFound, "", "")
}

func TestWhatTheResponseEchoes(t *testing.T) {
	s, c := play(t, fakemodel.Says("Hello."))
	params := ask("Hello?")
	params.Temperature = openai.Float(0.3)
	params.TopP = openai.Float(0.9)
	params.MaxOutputTokens = openai.Int(100)
	params.Tools = []responses.ToolUnionParam{weatherTool()}
	params.ParallelToolCalls = openai.Bool(false)
	params.Reasoning.Effort = openai.ReasoningEffortLow
	params.User = openai.String("u-1")
	r := create(t, c, params)
	if r.Temperature != 0.3 || r.TopP != 0.9 || r.MaxOutputTokens != 100 || r.ParallelToolCalls ||
		r.Reasoning.Effort != openai.ReasoningEffortLow || r.User != "u-1" {
		t.Errorf("the response echoes %s", r.RawJSON())
	}
	if len(r.Tools) != 1 || r.Tools[0].Name != "get_weather" {
		t.Errorf("the response echoes the tools %v", r.Tools)
	}
	sent := string(s.Model.Requests(model)[0].Body)
	for _, want := range []string{`"temperature":0.3`, `"top_p":0.9`, `"parallel_tool_calls":false`, `"reasoning_effort":"low"`, `"get_weather"`} {
		if !strings.Contains(sent, want) {
			t.Errorf("the model was not sent %s: %s", want, sent)
		}
	}
}

// TestModelsArePassedThrough lists the models of the backend itself.
func TestModelsArePassedThrough(t *testing.T) {
	_, c := play(t, fakemodel.Says("Hello."))
	page, err := c.Models.List(within(t))
	if err != nil {
		t.Fatal(explain(err))
	}
	if len(page.Data) != 1 || page.Data[0].ID != model {
		t.Errorf("the models are %v", page.Data)
	}
}
