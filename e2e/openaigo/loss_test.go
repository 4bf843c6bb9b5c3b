package openaigo

import (
	"net/http"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"

	"github.com/antiphon-proxy/antiphon/e2e/fakemodel"
)

// flawed are requests that no backend takes as they are, and what becomes of them.
var flawed = map[string]struct {
	params responses.ResponseNewParams
	loss   string
	param  string
}{
	"a result without a call": {
		send(user("Oslo?"), result("call_x", "snow")), "call.orphan_output", "input[1]",
	},
	"a call without a result": {
		send(user("Oslo?"), responses.ResponseInputItemParamOfFunctionCall(`{}`, "call_1", "get_weather")), "call.missing_output", "input[1]",
	},
	"a tool that is hosted elsewhere": {
		hosted(), "tool.", "tools[1]",
	},
}

func hosted() responses.ResponseNewParams {
	p := withTools(ask("Oslo?"))
	p.Tools = append(p.Tools, responses.ToolParamOfFileSearch([]string{"vs_1"}))
	return p
}

// TestLossesAreReported: what cannot be passed on is repaired or left out, and
// the answer says so.
func TestLossesAreReported(t *testing.T) {
	for name, test := range flawed {
		t.Run(name, func(t *testing.T) {
			_, c := play(t, fakemodel.Script{Replies: []fakemodel.Reply{{Text: "Well."}}})
			var reply *http.Response
			if _, err := c.Responses.New(within(t), test.params, option.WithResponseInto(&reply)); err != nil {
				t.Fatal(explain(err))
			}
			if got := reply.Header.Get("Antiphon-Loss"); !strings.Contains(got, test.loss) || !strings.Contains(got, `"`+test.param+`"`) {
				t.Errorf("the loss is reported as %q", got)
			}
			mustEnd(t, c.Responses.NewStreaming(within(t), test.params))
		})
	}
}

// TestLossesAreRefused under --loss strict, and the model hears nothing.
func TestLossesAreRefused(t *testing.T) {
	for name, test := range flawed {
		t.Run(name, func(t *testing.T) {
			s, c := play(t, fakemodel.Says("Well."), "--loss", "strict")
			_, err := c.Responses.New(within(t), test.params)
			wantError(t, err, http.StatusBadRequest, "unsupported_parameter", test.param)
			p := consume(t, c.Responses.NewStreaming(within(t), test.params))
			wantError(t, p.err, http.StatusBadRequest, "unsupported_parameter", test.param)
			if sent := s.Model.Requests(""); len(sent) > 0 {
				t.Errorf("the model was sent %s", sent[0].Body)
			}
		})
	}
}
