package openaigo

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"

	"github.com/antiphon-proxy/antiphon/e2e/fakemodel"
)

func TestErrorsOfTheBackend(t *testing.T) {
	for _, test := range []struct {
		name        string
		reply       fakemodel.Reply
		status      int
		code, param string
	}{
		{"bad request", fakemodel.Reply{
			Status: 400,
			Body:   json.RawMessage(`{"error":{"message":"max_tokens is too large.","type":"invalid_request_error","param":"max_tokens","code":"invalid_value"}}`),
		}, 400, "invalid_value", "max_output_tokens"},
		{"wrong key", fakemodel.Reply{Status: 401}, 401, "invalid_api_key", ""},
		{"forbidden", fakemodel.Reply{Status: 403, Body: json.RawMessage(`{"detail":"not you"}`)}, 403, "", ""},
		{"too many requests", fakemodel.Reply{Status: 429, Headers: map[string]string{"Retry-After": "7"}}, 429, "rate_limit_exceeded", ""},
		{"fallen over", fakemodel.Reply{Status: 500}, 500, "", ""},
		{"an error that is a string", fakemodel.Reply{Status: 503, Body: json.RawMessage(`{"error":"out of memory"}`)}, 503, "", ""},
		{"overfull", fakemodel.Reply{
			Status: 400,
			Body: json.RawMessage(`{"error":{"message":"This model's maximum context length is 8192 tokens.",` +
				`"type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}`),
		}, 400, "context_length_exceeded", "input"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, c := play(t, fakemodel.Script{Replies: []fakemodel.Reply{test.reply}})
			_, err := c.Responses.New(within(t), ask("Hello?"))
			whole := wantStatus(t, err, test.status)
			p := consume(t, c.Responses.NewStreaming(within(t), ask("Hello?")))
			streamed := wantStatus(t, p.err, test.status)
			for _, e := range []*openai.Error{whole, streamed} {
				if test.code != "" && e.Code != test.code || test.param != "" && e.Param != test.param {
					t.Errorf("code %q, param %q: %s", e.Code, e.Param, e.RawJSON())
				}
				if want := test.reply.Headers["Retry-After"]; e.Response.Header.Get("Retry-After") != want {
					t.Errorf("Retry-After is %q, not %q", e.Response.Header.Get("Retry-After"), want)
				}
			}
			if len(p.events) > 0 {
				t.Errorf("there were events before the error: %v", p.types())
			}
		})
	}
}

func wantStatus(t *testing.T, err error, status int) *openai.Error {
	t.Helper()
	var api *openai.Error
	if !errors.As(err, &api) || api.StatusCode != status || api.Message == "" {
		t.Fatalf("the error is %s, not a %d with a message", explain(err), status)
	}
	return api
}

func TestErrorsOfTheRequest(t *testing.T) {
	s, c := play(t, fakemodel.Says("Hello."))
	long := ask("Hello?")
	long.Metadata = map[string]string{strings.Repeat("k", 65): "x"}
	for _, test := range []struct {
		name        string
		params      responses.ResponseNewParams
		opts        []option.RequestOption
		status      int
		code, param string
	}{
		{"no model", responses.ResponseNewParams{Input: ask("Hello?").Input}, nil, 400, "missing_required_parameter", "model"},
		{"no input", responses.ResponseNewParams{Model: model}, nil, 400, "missing_required_parameter", "input"},
		{"a wrong type", ask("Hello?"), []option.RequestOption{option.WithJSONSet("temperature", "hot")}, 400, "invalid_type", "temperature"},
		{"too hot", ask("Hello?"), []option.RequestOption{option.WithJSONSet("temperature", 2.5)}, 400, "decimal_above_max_value", "temperature"},
		{"too few tokens", ask("Hello?"), []option.RequestOption{option.WithJSONSet("max_output_tokens", 5)}, 400, "integer_below_min_value", "max_output_tokens"},
		{"a long name", long, nil, 400, "property_name_above_max_length", "metadata"},
		{"an unknown reference", send(responses.ResponseInputItemParamOfItemReference("msg_none")), nil, 404, "", "input"},
		{"an unknown predecessor", ask("Hello?"), []option.RequestOption{option.WithJSONSet("previous_response_id", "resp_none")}, 400, "previous_response_not_found", "previous_response_id"},
		{"a chat request", ask("Hello?"), []option.RequestOption{option.WithJSONSet("messages", []any{})}, 400, "unsupported_parameter", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := c.Responses.New(within(t), test.params, test.opts...)
			wantError(t, err, test.status, test.code, test.param)
			p := consume(t, c.Responses.NewStreaming(within(t), test.params, test.opts...))
			wantError(t, p.err, test.status, test.code, test.param)
		})
	}
	if sent := s.Model.Requests(""); len(sent) > 0 {
		t.Errorf("the model was sent %s", sent[0].Body)
	}
}

func TestErrorInTheMiddleOfAStream(t *testing.T) {
	for name, test := range map[string]struct {
		how        fakemodel.How
		code, text string
	}{
		"told by the model": {fakemodel.WithError, "model_fell_over", "fallen over"},
		"a silent end":      {fakemodel.Silently, "server_error", ""},
		"a cut":             {fakemodel.ByCut, "server_error", ""},
		"a reset":           {fakemodel.ByReset, "server_error", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, c := play(t, fakemodel.Script{Replies: []fakemodel.Reply{{Text: "It will rain on", Break: fakemodel.Break{How: test.how, After: 3}}}})
			p := consume(t, c.Responses.NewStreaming(within(t), ask("Weather?")))
			wantStreamError(t, p.err, test.code, test.text)
			if got := len(s.Model.Requests(model)); got != 1 {
				t.Errorf("the model was asked %d times", got)
			}
			_, err := c.Responses.New(within(t), ask("Weather?"))
			if err == nil {
				return // a whole reply does not break here
			}
			wantStatus(t, err, http.StatusBadGateway)
		})
	}
}

// TestStoredResponsesCannotBeStreamed: only background responses can. The SDK
// asks with a JSON body in a GET.
func TestStoredResponsesCannotBeStreamed(t *testing.T) {
	_, c := play(t, fakemodel.Says("Hello."))
	r := create(t, c, ask("Hello?"))
	p := consume(t, c.Responses.GetStreaming(within(t), r.ID, responses.ResponseGetParams{}))
	wantError(t, p.err, http.StatusBadRequest, "", "")
	p = consume(t, c.Responses.GetStreaming(within(t), "resp_none", responses.ResponseGetParams{}))
	wantError(t, p.err, http.StatusNotFound, "", "")
	_, err := c.Responses.Cancel(within(t), r.ID)
	wantError(t, err, http.StatusBadRequest, "", "")
}
