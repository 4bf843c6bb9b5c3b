package openaigo

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/shared"

	"github.com/antiphon-proxy/antiphon/e2e/fakemodel"
	"github.com/antiphon-proxy/antiphon/e2e/harness"
)

// bothWays runs a test of chat completions twice: with a chat backend, whose
// answers are passed through, and with two proxies in a chain, chat → Responses →
// chat.
func bothWays(t *testing.T, script fakemodel.Script, f func(*testing.T, *harness.Stage, openai.Client)) {
	t.Helper()
	eitherWay(t, script, func(t *testing.T, s *harness.Stage, c openai.Client, _ bool) { f(t, s, c) })
}

// eitherWay is bothWays for a test that has to know which way it is.
func eitherWay(t *testing.T, script fakemodel.Script, f func(t *testing.T, s *harness.Stage, c openai.Client, chained bool)) {
	t.Helper()
	for name, chained := range map[string]bool{"direct": false, "chained": true} {
		t.Run(name, func(t *testing.T) {
			s := harness.New(t, harness.Options{Chained: chained})
			s.Model.Play(model, script)
			asked := s.Model.Requests(model)
			f(t, s, newClient(t, s.URL(), option.WithMaxRetries(0)), chained)
			if !chained || len(s.Model.Requests(model)) == len(asked) {
				return
			}
			between := s.Between()
			if len(between) == 0 {
				t.Error("the second proxy was not asked")
			}
			for _, x := range between {
				models := x.Method == http.MethodGet && x.Path == "/v1/models" // to recognise it
				if x.Path != "/v1/responses" && !models {
					t.Errorf("the second proxy was asked for %s %s", x.Method, x.Path)
				}
			}
		})
	}
}

// chat makes the parameters of a request.
func chat(messages ...openai.ChatCompletionMessageParamUnion) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{Model: model, Messages: messages}
}

func complete(t *testing.T, c openai.Client, params openai.ChatCompletionNewParams) *openai.ChatCompletion {
	t.Helper()
	completion, err := c.Chat.Completions.New(within(t), params)
	if err != nil {
		t.Fatal("create:", explain(err))
	}
	return completion
}

// accumulate reads a stream into the SDK's accumulator, which refuses chunks
// that do not belong together.
func accumulate(t *testing.T, c openai.Client, params openai.ChatCompletionNewParams) (*openai.ChatCompletion, error) {
	t.Helper()
	stream := c.Chat.Completions.NewStreaming(within(t), params)
	defer stream.Close()
	var acc openai.ChatCompletionAccumulator
	for stream.Next() {
		if !acc.AddChunk(stream.Current()) {
			t.Errorf("the SDK cannot accumulate %s", stream.Current().RawJSON())
		}
	}
	return &acc.ChatCompletion, stream.Err()
}

func mustAccumulate(t *testing.T, c openai.Client, params openai.ChatCompletionNewParams) *openai.ChatCompletion {
	t.Helper()
	completion, err := accumulate(t, c, params)
	if err != nil {
		t.Fatal("stream:", explain(err))
	}
	return completion
}

func TestChatText(t *testing.T) {
	bothWays(t, fakemodel.Says("{{system}} {{user}}"), func(t *testing.T, s *harness.Stage, c openai.Client) {
		params := chat(openai.SystemMessage("Be brief."), openai.UserMessage("Łódź 🌧?"))
		params.Temperature = openai.Float(0.25)
		params.MaxCompletionTokens = openai.Int(77)
		whole := complete(t, c, params)
		params.StreamOptions.IncludeUsage = openai.Bool(true)
		for _, got := range []*openai.ChatCompletion{whole, mustAccumulate(t, c, params)} {
			if len(got.Choices) != 1 || got.Choices[0].Message.Content != "Be brief. Łódź 🌧?" || got.Choices[0].FinishReason != "stop" {
				t.Errorf("the answer is %s", got.RawJSON())
			}
			if u := got.Usage; u.PromptTokens == 0 || u.CompletionTokens == 0 || u.TotalTokens != u.PromptTokens+u.CompletionTokens {
				t.Errorf("the usage is %+v", got.Usage)
			}
		}
		var sent struct {
			Temperature  float64
			Max          int `json:"max_completion_tokens"`
			MaxOfOldName int `json:"max_tokens"`
		}
		if err := json.Unmarshal(s.Model.Requests(model)[0].Body, &sent); err != nil || sent.Temperature != 0.25 || sent.Max+sent.MaxOfOldName != 77 {
			t.Errorf("the model was sent %+v, %v", sent, err)
		}
	})
}

func TestChatChoices(t *testing.T) {
	bothWays(t, fakemodel.Says("Three of a kind."), func(t *testing.T, _ *harness.Stage, c openai.Client) {
		params := chat(openai.UserMessage("Hello?"))
		params.N = openai.Int(3)
		for _, got := range []*openai.ChatCompletion{complete(t, c, params), mustAccumulate(t, c, params)} {
			if len(got.Choices) != 3 {
				t.Fatalf("there are %d choices", len(got.Choices))
			}
			for i, choice := range got.Choices {
				if int(choice.Index) != i || choice.Message.Content != "Three of a kind." || choice.FinishReason != "stop" {
					t.Errorf("choice %d is %+v", i, choice)
				}
			}
		}
	})
}

func TestChatTools(t *testing.T) {
	script := fakemodel.Script{Replies: []fakemodel.Reply{
		{Text: "I will look.", Calls: []fakemodel.Call{
			{ID: "call_oslo", Name: "get_weather", Arguments: `{"city":"Oslo"}`},
			{ID: "call_rome", Name: "get_weather", Arguments: `{"city":"Rome"}`},
		}},
		{Text: "The forecast: {{tools}}."},
	}}
	bothWays(t, script, func(t *testing.T, s *harness.Stage, c openai.Client) {
		for name, ask := range map[string]func(openai.ChatCompletionNewParams) *openai.ChatCompletion{
			"whole":    func(p openai.ChatCompletionNewParams) *openai.ChatCompletion { return complete(t, c, p) },
			"streamed": func(p openai.ChatCompletionNewParams) *openai.ChatCompletion { return mustAccumulate(t, c, p) },
		} {
			params := chat(openai.UserMessage("Oslo and Rome?"))
			params.Tools = []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{
				Name: "get_weather", Strict: openai.Bool(true), Description: openai.String("The weather in a city."),
				Parameters: shared.FunctionParameters{
					"type": "object", "properties": map[string]any{"city": map[string]any{"type": "string"}},
					"required": []string{"city"}, "additionalProperties": false,
				},
			})}
			first := ask(params).Choices[0]
			calls := first.Message.ToolCalls
			if first.FinishReason != "tool_calls" || first.Message.Content != "I will look." || len(calls) != 2 ||
				calls[0].ID != "call_oslo" || calls[1].ID != "call_rome" || calls[1].Function.Arguments != `{"city":"Rome"}` {
				t.Fatalf("%s: the calls are %+v", name, first)
			}
			params.Messages = append(params.Messages, first.Message.ToParam(),
				openai.ToolMessage("snow", calls[0].ID), openai.ToolMessage("sun", calls[1].ID))
			if text := ask(params).Choices[0].Message.Content; text != "The forecast: snow and sun." {
				t.Errorf("%s: the answer is %q", name, text)
			}
		}
		sent := messages(t, s)
		if len(sent) != 4 || len(sent[1].ToolCalls) != 2 || sent[2].ToolCallID != "call_oslo" || sent[3].ToolCallID != "call_rome" {
			t.Errorf("the model was sent %+v", sent)
		}
	})
}

func TestChatStructuredOutput(t *testing.T) {
	bothWays(t, fakemodel.Says(`{"city":"Oslo"}`), func(t *testing.T, s *harness.Stage, c openai.Client) {
		params := chat(openai.UserMessage("Where?"))
		params.ResponseFormat.OfJSONSchema = &shared.ResponseFormatJSONSchemaParam{JSONSchema: shared.ResponseFormatJSONSchemaJSONSchemaParam{
			Name: "place", Strict: openai.Bool(true),
			Schema: map[string]any{
				"type": "object", "properties": map[string]any{"city": map[string]any{"type": "string"}},
				"required": []string{"city"}, "additionalProperties": false,
			},
		}}
		for _, got := range []*openai.ChatCompletion{complete(t, c, params), mustAccumulate(t, c, params)} {
			if text := got.Choices[0].Message.Content; text != `{"city":"Oslo"}` {
				t.Errorf("the answer is %q", text)
			}
		}
		var sent struct {
			Format struct {
				Schema struct {
					Name   string
					Strict bool
					Schema map[string]any
				} `json:"json_schema"`
			} `json:"response_format"`
		}
		err := json.Unmarshal(s.Model.Requests(model)[0].Body, &sent)
		if f := sent.Format.Schema; err != nil || f.Name != "place" || !f.Strict || len(f.Schema) != 4 {
			t.Errorf("the model was sent the format %+v, %v", sent.Format, err)
		}
	})
}

func TestChatErrors(t *testing.T) {
	for _, test := range []struct {
		name  string
		reply fakemodel.Reply
		code  string
	}{
		{"wrong key", fakemodel.Reply{Status: 401}, "invalid_api_key"},
		{"too many requests", fakemodel.Reply{Status: 429, Headers: map[string]string{"Retry-After": "7"}}, "rate_limit_exceeded"},
		{"overfull", fakemodel.Reply{
			Status: 400,
			Body: json.RawMessage(`{"error":{"message":"This model's maximum context length is 8192 tokens.",` +
				`"type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}`),
		}, "context_length_exceeded"},
	} {
		t.Run(test.name, func(t *testing.T) {
			bothWays(t, fakemodel.Script{Replies: []fakemodel.Reply{test.reply}}, func(t *testing.T, _ *harness.Stage, c openai.Client) {
				_, whole := c.Chat.Completions.New(within(t), chat(openai.UserMessage("Hello?")))
				_, streamed := accumulate(t, c, chat(openai.UserMessage("Hello?")))
				for _, err := range []error{whole, streamed} {
					e := wantStatus(t, err, test.reply.Status)
					if e.Code != test.code || e.Response.Header.Get("Retry-After") != test.reply.Headers["Retry-After"] {
						t.Errorf("the error is %s, Retry-After %q", e.RawJSON(), e.Response.Header.Get("Retry-After"))
					}
					if test.code == "context_length_exceeded" && e.Param != "messages" {
						t.Errorf("param is %q", e.Param)
					}
				}
			})
		})
	}
}

func TestChatStreamFails(t *testing.T) {
	script := fakemodel.Script{Replies: []fakemodel.Reply{{Text: "It will rain on", Break: fakemodel.Break{How: fakemodel.WithError, After: 3}}}}
	bothWays(t, script, func(t *testing.T, _ *harness.Stage, c openai.Client) {
		if _, err := accumulate(t, c, chat(openai.UserMessage("Weather?"))); err == nil {
			t.Error("there was no error")
		}
	})
}

func TestChatCancel(t *testing.T) {
	script := fakemodel.Script{Replies: []fakemodel.Reply{{Text: "This takes forever.", Break: fakemodel.Break{How: fakemodel.ByStall, After: 3}}}}
	bothWays(t, script, func(t *testing.T, s *harness.Stage, c openai.Client) {
		ctx, cancel := context.WithCancel(within(t))
		stream := c.Chat.Completions.NewStreaming(ctx, chat(openai.UserMessage("Hello?")))
		defer stream.Close()
		if !stream.Next() {
			t.Fatal("there was no chunk:", stream.Err())
		}
		cancel()
		for stream.Next() {
			continue
		}
		if !errors.Is(stream.Err(), context.Canceled) {
			t.Error("the error is", stream.Err())
		}
		if !s.Model.AwaitState(model, fakemodel.Left, 20*time.Second) {
			t.Error("the model was not left")
		}
	})
}

// TestChatFunctions: the form that tools had before they were tools.
func TestChatFunctions(t *testing.T) {
	script := fakemodel.Script{Replies: []fakemodel.Reply{
		{Calls: []fakemodel.Call{{Name: "get_weather", Arguments: `{"city":"Oslo"}`}}},
		{Text: "In Oslo: {{tools}}."},
	}}
	eitherWay(t, script, func(t *testing.T, s *harness.Stage, c openai.Client, chained bool) {
		params := chat(openai.UserMessage("Oslo?"))
		params.Functions = []openai.ChatCompletionNewParamsFunction{{
			Name: "get_weather", Description: openai.String("The weather in a city."),
			Parameters: shared.FunctionParameters{"type": "object", "properties": map[string]any{"city": map[string]any{"type": "string"}}},
		}}
		params.FunctionCall = openai.ChatCompletionNewParamsFunctionCallUnion{
			OfFunctionCallOption: &openai.ChatCompletionFunctionCallOptionParam{Name: "get_weather"},
		}
		first := complete(t, c, params).Choices[0]
		call := first.Message.FunctionCall
		if first.FinishReason != "function_call" || call.Name != "get_weather" || call.Arguments != `{"city":"Oslo"}` || len(first.Message.ToolCalls) > 0 {
			t.Fatalf("the call is %s", first.RawJSON())
		}
		// The accumulator knows no functions: their deltas are put together by hand.
		stream := c.Chat.Completions.NewStreaming(within(t), params)
		var name, arguments, finish string
		for stream.Next() {
			for _, choice := range stream.Current().Choices {
				name += choice.Delta.FunctionCall.Name
				arguments += choice.Delta.FunctionCall.Arguments
				finish += choice.FinishReason
			}
		}
		if err := stream.Err(); err != nil || name != "get_weather" || arguments != `{"city":"Oslo"}` || finish != "function_call" {
			t.Errorf("streamed: %q %q %q, %v", name, arguments, finish, err)
		}
		stream.Close()
		params.FunctionCall = openai.ChatCompletionNewParamsFunctionCallUnion{OfFunctionCallMode: openai.String("auto")}
		params.Messages = append(params.Messages, first.Message.ToParam(), openai.ChatCompletionMessageParamUnion{
			OfFunction: &openai.ChatCompletionFunctionMessageParam{Name: "get_weather", Content: openai.String("snow")},
		})
		for _, got := range []*openai.ChatCompletion{complete(t, c, params), mustAccumulate(t, c, params)} {
			if got.Choices[0].Message.Content != "In Oslo: snow." {
				t.Errorf("the answer is %s", got.RawJSON())
			}
		}
		if !chained {
			return
		}
		sent := messages(t, s)
		if len(sent) != 3 || len(sent[1].ToolCalls) != 1 || sent[1].ToolCalls[0].ID == "" || sent[2].ToolCallID != sent[1].ToolCalls[0].ID {
			t.Errorf("the model was sent %+v", sent)
		}
	})
}

// TestChatAudio: what is heard goes through. The Responses API has nothing to say
// it with, so an answer in audio is refused, and an earlier one reported as lost.
func TestChatAudio(t *testing.T) {
	eitherWay(t, fakemodel.Script{Replies: []fakemodel.Reply{{Text: "A bark.", Audio: "Woof."}}}, func(t *testing.T, s *harness.Stage, c openai.Client, chained bool) {
		heard := openai.UserMessage([]openai.ChatCompletionContentPartUnionParam{
			openai.TextContentPart("What is it?"),
			openai.InputAudioContentPart(openai.ChatCompletionContentPartInputAudioInputAudioParam{Data: "UklGRg==", Format: "wav"}),
		})
		if text := complete(t, c, chat(heard)).Choices[0].Message.Content; text != "A bark." {
			t.Errorf("the answer is %q", text)
		}
		var parts []struct {
			Audio struct{ Data, Format string } `json:"input_audio"`
		}
		sent, err := json.Marshal(messages(t, s)[0].Content)
		if err != nil || json.Unmarshal(sent, &parts) != nil || len(parts) != 2 || parts[1].Audio.Data != "UklGRg==" || parts[1].Audio.Format != "wav" {
			t.Errorf("the model was sent %s, %v", sent, err)
		}

		params := chat(openai.UserMessage("Bark."))
		params.Modalities = []string{"text", "audio"}
		params.Audio = openai.ChatCompletionAudioParam{Format: "wav", Voice: openai.ChatCompletionAudioParamVoiceUnion{OfString: openai.String("alloy")}}
		got, err := c.Chat.Completions.New(within(t), params)
		_, streamed := accumulate(t, c, params)
		if chained {
			for _, err := range []error{err, streamed} {
				if e := wantStatus(t, err, 400); e.Code != "unsupported_parameter" || e.Param != "modalities" {
					t.Errorf("the error is %s", e.RawJSON())
				}
			}
		} else if err != nil || streamed != nil || got.Choices[0].Message.Audio.Transcript != "Woof." || got.Choices[0].Message.Audio.Data != fakemodel.SoundOf("Woof.") {
			t.Errorf("the answer is %v, %v, %v", got, err, streamed)
		}

		params = chat(openai.UserMessage("Bark."), openai.ChatCompletionMessageParamUnion{OfAssistant: &openai.ChatCompletionAssistantMessageParam{
			Audio: openai.ChatCompletionAssistantMessageParamAudio{ID: "audio_fake"},
		}}, openai.UserMessage("And now?"))
		var reply *http.Response
		if _, err := c.Chat.Completions.New(within(t), params, option.WithResponseInto(&reply)); err != nil {
			t.Fatal(explain(err))
		}
		loss := reply.Header.Get("Antiphon-Loss")
		if want := map[bool]int{false: 3, true: 2}[chained]; len(messages(t, s)) != want || strings.HasPrefix(loss, "chat.message.audio;") != chained {
			t.Errorf("the model was sent %d messages, and the losses are %q", len(messages(t, s)), loss)
		}
	})
}

// TestChatBreaksOff: a stream that ends too early is an error, whatever ends it.
func TestChatBreaksOff(t *testing.T) {
	for _, how := range []fakemodel.How{fakemodel.Silently, fakemodel.ByCut, fakemodel.ByReset} {
		t.Run(string(how), func(t *testing.T) {
			s := harness.New(t, harness.Options{Chained: true})
			s.Model.Play(model, fakemodel.Script{Replies: []fakemodel.Reply{{Text: "It will rain on", Break: fakemodel.Break{How: how, After: 3}}}})
			if _, err := accumulate(t, newClient(t, s.URL(), option.WithMaxRetries(0)), chat(openai.UserMessage("Weather?"))); err == nil {
				t.Error("there was no error")
			}
		})
	}
}
