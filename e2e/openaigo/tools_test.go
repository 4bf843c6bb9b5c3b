package openaigo

import (
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/responses"

	"github.com/antiphon-proxy/antiphon/e2e/fakemodel"
)

// forecast is a tool loop: two calls at once, and an answer from their results.
var forecast = fakemodel.Script{Replies: []fakemodel.Reply{
	{
		Reasoning: "Two cities, two calls.", Text: "I will look.", Interleave: true,
		Calls: []fakemodel.Call{
			{ID: "call_oslo", Name: "get_weather", Arguments: `{"city":"Oslo"}`},
			{ID: "call_rome", Name: "get_weather", Arguments: `{"city":"Rome"}`},
		},
	},
	{Text: "The forecast: {{tools}}."},
	{Text: "You are welcome."},
}}

const forecastText = "The forecast: snow and sun."

var weatherIn = map[string]string{`{"city":"Oslo"}`: "snow", `{"city":"Rome"}`: "sun"}

// runTools answers the calls of a response.
func runTools(t *testing.T, r *responses.Response) (results []responses.ResponseInputItemUnionParam) {
	t.Helper()
	for _, item := range r.Output {
		if item.Type != "function_call" {
			continue
		}
		call := item.AsFunctionCall()
		weather, known := weatherIn[call.Arguments]
		if !known || call.Name != "get_weather" || call.ID == "" || call.Status != "completed" {
			t.Fatalf("a call that nobody made: %s", call.RawJSON())
		}
		results = append(results, result(call.CallID, weather))
	}
	if len(results) != 2 {
		t.Fatalf("%d calls instead of 2: %s", len(results), r.RawJSON())
	}
	return results
}

func withTools(p responses.ResponseNewParams) responses.ResponseNewParams {
	p.Tools = []responses.ToolUnionParam{weatherTool()}
	return p
}

// TestToolLoopThatReplaysEverything: the application keeps the conversation, and
// the server keeps nothing.
func TestToolLoopThatReplaysEverything(t *testing.T) {
	s, c := play(t, forecast)
	stateless := func(items []responses.ResponseInputItemUnionParam) responses.ResponseNewParams {
		p := withTools(send(items...))
		p.Store = openai.Bool(false)
		p.Include = []responses.ResponseIncludable{responses.ResponseIncludableReasoningEncryptedContent}
		return p
	}
	items := []responses.ResponseInputItemUnionParam{user("Oslo and Rome?")}
	first := create(t, c, stateless(items))
	items = append(append(items, replay(t, first.Output)...), runTools(t, first)...)
	second := create(t, c, stateless(items))
	if got := second.OutputText(); got != forecastText {
		t.Errorf("the answer is %q", got)
	}
	items = append(append(items, replay(t, second.Output)...), user("Thanks."))
	if got := create(t, c, stateless(items)).OutputText(); got != "You are welcome." {
		t.Errorf("the third answer is %q", got)
	}
	wantForecastMessages(t, s)
}

// TestToolLoopByPreviousResponse: the server keeps the conversation.
func TestToolLoopByPreviousResponse(t *testing.T) {
	s, c := play(t, forecast)
	follow := func(r *responses.Response, items ...responses.ResponseInputItemUnionParam) responses.ResponseNewParams {
		p := withTools(send(items...))
		p.PreviousResponseID = openai.String(r.ID)
		return p
	}
	first := create(t, c, withTools(send(user("Oslo and Rome?"))))
	second := create(t, c, follow(first, runTools(t, first)...))
	if got := second.OutputText(); got != forecastText {
		t.Errorf("the answer is %q", got)
	}
	if second.PreviousResponseID != first.ID {
		t.Errorf("the second response follows %q, not %q", second.PreviousResponseID, first.ID)
	}
	if got := create(t, c, follow(second, user("Thanks."))).OutputText(); got != "You are welcome." {
		t.Errorf("the third answer is %q", got)
	}
	wantForecastMessages(t, s)
	// The first response has room for another way to go on.
	if got := create(t, c, follow(first, runTools(t, first)...)).OutputText(); got != forecastText {
		t.Errorf("the answer on the other branch is %q", got)
	}
}

// TestToolLoopByReference: what the model said is named by id, in a request that
// follows no other.
func TestToolLoopByReference(t *testing.T) {
	s, c := play(t, forecast)
	first := create(t, c, withTools(send(user("Oslo and Rome?"))))
	items := []responses.ResponseInputItemUnionParam{user("Oslo and Rome?")}
	for _, o := range first.Output {
		items = append(items, responses.ResponseInputItemParamOfItemReference(o.ID))
	}
	items = append(items, runTools(t, first)...)
	second := create(t, c, withTools(send(items...)))
	if got := second.OutputText(); got != forecastText {
		t.Errorf("the answer is %q", got)
	}
	items = append(items, responses.ResponseInputItemParamOfItemReference(second.Output[0].ID), user("Thanks."))
	if got := create(t, c, withTools(send(items...))).OutputText(); got != "You are welcome." {
		t.Errorf("the third answer is %q", got)
	}
	wantForecastMessages(t, s)
}

// TestToolLoopStreamed is the loop with streams.
func TestToolLoopStreamed(t *testing.T) {
	s, c := play(t, forecast)
	first := mustEnd(t, c.Responses.NewStreaming(within(t), withTools(ask("Oslo and Rome?"))))
	arguments := map[string]string{}
	for _, e := range first.events {
		if e.Type == "response.function_call_arguments.delta" {
			arguments[e.ItemID] += e.Delta
		}
	}
	for _, item := range first.final.Output {
		if item.Type == "function_call" && arguments[item.ID] != item.AsFunctionCall().Arguments {
			t.Errorf("the deltas of %s are %q", item.RawJSON(), arguments[item.ID])
		}
	}
	p := withTools(send(runTools(t, first.final)...))
	p.PreviousResponseID = openai.String(first.final.ID)
	second := mustEnd(t, c.Responses.NewStreaming(within(t), p))
	if got := second.final.OutputText(); got != forecastText {
		t.Errorf("the answer is %q", got)
	}
	p = withTools(ask("Thanks."))
	p.PreviousResponseID = openai.String(second.final.ID)
	if got := mustEnd(t, c.Responses.NewStreaming(within(t), p)).final.OutputText(); got != "You are welcome." {
		t.Errorf("the third answer is %q", got)
	}
	wantForecastMessages(t, s)
}

// wantForecastMessages checks what the model was told last: it is the same
// conversation, however it was kept.
func wantForecastMessages(t *testing.T, s *harnessStage) {
	t.Helper()
	got := messages(t, s)
	if len(got) != 6 {
		t.Fatalf("the model was told %d messages: %+v", len(got), got)
	}
	roles := []string{"user", "assistant", "tool", "tool", "assistant", "user"}
	for i, m := range got {
		if m.Role != roles[i] {
			t.Errorf("message %d is of the %s, not the %s", i, m.Role, roles[i])
		}
	}
	if a := got[1]; a.Content != "I will look." || len(a.ToolCalls) != 2 || a.ToolCalls[0].ID != "call_oslo" ||
		a.ToolCalls[1].ID != "call_rome" || a.ToolCalls[1].Function.Arguments != `{"city":"Rome"}` {
		t.Errorf("the model was told to have said %+v", a)
	}
	if got[2].ToolCallID != "call_oslo" || got[2].Content != "snow" || got[3].ToolCallID != "call_rome" || got[3].Content != "sun" {
		t.Errorf("the model was told the results %+v", got[2:4])
	}
	if got[4].Content != forecastText || got[5].Content != "Thanks." {
		t.Errorf("the model was told the end %+v", got[4:])
	}
}

// TestForcedTool: the choice of the tool arrives, as does a name that chat
// completions do not take.
func TestForcedTool(t *testing.T) {
	long := "mcp__weather_service_of_the_northern_countries__get_the_current_temperature_of_a_city"
	s, c := play(t, fakemodel.Script{Replies: []fakemodel.Reply{{Text: "No calls, sorry."}}})
	p := ask("Oslo?")
	p.Tools = []responses.ToolUnionParam{weatherTool(), function(long, map[string]any{"type": "object", "properties": map[string]any{}})}
	p.ToolChoice = responses.ResponseNewParamsToolChoiceUnion{OfFunctionTool: &responses.ToolChoiceFunctionParam{Name: long}}
	create(t, c, p)
	sent := toolNames(t, s)
	if len(sent.Tools) != 2 || sent.Tools[1].Function.Name == long || sent.ToolChoice.Function.Name != sent.Tools[1].Function.Name {
		t.Fatalf("the model was sent %+v", sent)
	}
	// The model calls it by the name that it was given, the client sees its own.
	s.Model.Play(model, fakemodel.Script{Replies: []fakemodel.Reply{
		{Calls: []fakemodel.Call{{Name: sent.Tools[1].Function.Name, Arguments: `{}`}}},
		{Text: "Done."},
	}})
	r := create(t, c, p)
	if got := r.Output[0].AsFunctionCall().Name; got != long {
		t.Errorf("the call is to %q", got)
	}
}
