package openaigo

import (
	"context"
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/ssestream"
	"github.com/openai/openai-go/v3/responses"

	"github.com/antiphon-proxy/antiphon/e2e/fakemodel"
	"github.com/antiphon-proxy/antiphon/e2e/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// model is the name of the model in most tests.
const model = "parrot"

// play sets up a stage with a script for the model, and a client that does not
// retry.
func play(t *testing.T, script fakemodel.Script, flags ...string) (*harness.Stage, openai.Client) {
	t.Helper()
	s := harness.New(t, harness.Options{Flags: flags})
	s.Model.Play(model, script)
	return s, newClient(t, s.URL(), option.WithMaxRetries(0))
}

func newClient(t *testing.T, url string, opts ...option.RequestOption) openai.Client {
	t.Helper()
	return openai.NewClient(append([]option.RequestOption{
		option.WithBaseURL(url), option.WithAPIKey("sk-e2e"), option.WithHTTPClient(harness.HTTPClient(t)),
	}, opts...)...)
}

// within is a context that bounds a whole test.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// ask makes the parameters of a request with a text as input.
func ask(text string) responses.ResponseNewParams {
	return responses.ResponseNewParams{
		Model: model,
		Input: responses.ResponseNewParamsInputUnion{OfString: openai.String(text)},
	}
}

// send makes the parameters of a request with items as input.
func send(items ...responses.ResponseInputItemUnionParam) responses.ResponseNewParams {
	return responses.ResponseNewParams{
		Model: model,
		Input: responses.ResponseNewParamsInputUnion{OfInputItemList: items},
	}
}

func user(text string) responses.ResponseInputItemUnionParam {
	return responses.ResponseInputItemParamOfMessage(text, responses.EasyInputMessageRoleUser)
}

func result(callID, output string) responses.ResponseInputItemUnionParam {
	item := responses.ResponseInputItemParamOfFunctionCallOutput(output)
	item.OfFunctionCallOutput.CallID = openai.String(callID)
	return item
}

// replay turns what the model has put out into input, as an application that
// keeps the conversation itself does.
func replay(t *testing.T, output []responses.ResponseOutputItemUnion) (items []responses.ResponseInputItemUnionParam) {
	t.Helper()
	for _, o := range output {
		var item responses.ResponseInputItemUnionParam
		switch v := o.AsAny().(type) {
		case responses.ResponseOutputMessage:
			p := v.ToParam()
			item.OfOutputMessage = &p
		case responses.ResponseFunctionToolCall:
			p := v.ToParam()
			item.OfFunctionCall = &p
		case responses.ResponseReasoningItem:
			p := v.ToParam()
			item.OfReasoning = &p
		default:
			t.Fatalf("the SDK does not know the item %s", o.RawJSON())
		}
		items = append(items, item)
	}
	return items
}

func weatherTool() responses.ToolUnionParam {
	return function("get_weather", map[string]any{
		"type":                 "object",
		"properties":           map[string]any{"city": map[string]any{"type": "string"}},
		"required":             []string{"city"},
		"additionalProperties": false,
	})
}

func function(name string, schema map[string]any) responses.ToolUnionParam {
	return responses.ToolUnionParam{OfFunction: &responses.FunctionToolParam{
		Name: name, Parameters: schema, Strict: openai.Bool(true), Description: openai.String("A test's tool."),
	}}
}

// create makes a response that must be a success.
func create(t *testing.T, c openai.Client, params responses.ResponseNewParams) *responses.Response {
	t.Helper()
	r, err := c.Responses.New(within(t), params)
	if err != nil {
		t.Fatal("create:", explain(err))
	}
	return r
}

// played is a stream that was read to its end.
type played struct {
	events []responses.ResponseStreamEventUnion
	final  *responses.Response // as the SDK's accumulator has rebuilt it
	parts  responses.ResponseAccumulatorDetails
	err    error
}

// consume reads a stream to its end, and gives each event to the SDK's
// accumulator, which is strict about ids and indexes.
func consume(t *testing.T, stream *ssestream.Stream[responses.ResponseStreamEventUnion]) (p played) {
	t.Helper()
	defer stream.Close()
	var acc responses.ResponseAccumulator
	for stream.Next() {
		e := stream.Current()
		if e.AsAny() == nil {
			t.Errorf("the SDK does not know the event %s", e.RawJSON())
		}
		p.events = append(p.events, e)
		var event responses.ResponsesServerEventUnion
		if err := json.Unmarshal([]byte(e.RawJSON()), &event); err != nil {
			t.Fatal(err)
		}
		if err := acc.AddEvent(event); err != nil {
			t.Errorf("the SDK cannot accumulate %s: %v", e.RawJSON(), err)
		}
	}
	p.err = stream.Err()
	p.parts = acc.DetailedSnapshot()
	if final, err := acc.ReconstructedResponse(); err == nil {
		p.final = final
	}
	return p
}

// mustEnd is consume for a stream that must end with a final response.
func mustEnd(t *testing.T, stream *ssestream.Stream[responses.ResponseStreamEventUnion]) played {
	t.Helper()
	p := consume(t, stream)
	if p.err != nil {
		t.Fatal("stream:", explain(p.err))
	}
	if p.final == nil {
		t.Fatal("the stream has no final response")
	}
	return p
}

// types are the types of the events, without repeats that follow each other.
func (p *played) types() (list []string) {
	for _, e := range p.events {
		if len(list) == 0 || list[len(list)-1] != e.Type {
			list = append(list, e.Type)
		}
	}
	return list
}

// messages decodes the messages of the last request that the model got.
func messages(t *testing.T, s *harness.Stage) (list []struct {
	Role       string
	Content    any
	ToolCallID string `json:"tool_call_id"`
	ToolCalls  []struct {
		ID       string
		Function struct{ Name, Arguments string }
	} `json:"tool_calls"`
}) {
	t.Helper()
	requests := s.Model.Requests(model)
	if len(requests) == 0 {
		t.Fatal("the model was not asked")
	}
	body := struct{ Messages any }{&list}
	if err := json.Unmarshal(requests[len(requests)-1].Body, &body); err != nil {
		t.Fatal(err)
	}
	return list
}
