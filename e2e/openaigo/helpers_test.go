package openaigo

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/packages/ssestream"

	"github.com/antiphon-proxy/antiphon/e2e/harness"
)

type harnessStage = harness.Stage

// explain says what an error of the SDK is about, which its text does not.
func explain(err error) string {
	var api *openai.Error
	if errors.As(err, &api) {
		return fmt.Sprintf("%v: %s", err, api.RawJSON())
	}
	return fmt.Sprint(err)
}

// wantError checks an error of the API.
func wantError(t *testing.T, err error, status int, code, param string) *openai.Error {
	t.Helper()
	var api *openai.Error
	if !errors.As(err, &api) {
		t.Fatalf("the error is %T %v, not one of the API", err, err)
	}
	if api.StatusCode != status || api.Code != code || api.Param != param {
		t.Errorf("the error is %d, code %q, param %q, not %d, %q, %q: %s",
			api.StatusCode, api.Code, api.Param, status, code, param, api.RawJSON())
	}
	if api.Message == "" || api.Type == "" {
		t.Errorf("the error has no message or type: %s", api.RawJSON())
	}
	return api
}

// wantStreamError checks the error that ended a stream.
func wantStreamError(t *testing.T, err error, code, text string) {
	t.Helper()
	var failed *ssestream.StreamError
	if !errors.As(err, &failed) {
		t.Fatalf("the stream has ended with %T %v, not with an error event", err, err)
	}
	var event struct {
		Error struct{ Code, Message, Type string }
	}
	if err := json.Unmarshal(failed.Event.Data, &event); err != nil {
		t.Fatal(err)
	}
	if event.Error.Code != code || !strings.Contains(event.Error.Message, text) || event.Error.Type == "" {
		t.Errorf("the error event is %s, not with code %q and %q", failed.Event.Data, code, text)
	}
}

type sentTools struct {
	Tools []struct {
		Function struct{ Name string }
	}
	ToolChoice struct {
		Function struct{ Name string }
	} `json:"tool_choice"`
}

// toolNames decodes the tools of the last request that the model got.
func toolNames(t *testing.T, s *harness.Stage) (sent sentTools) {
	t.Helper()
	requests := s.Model.Requests(model)
	if err := json.Unmarshal(requests[len(requests)-1].Body, &sent); err != nil {
		t.Fatal(err)
	}
	return sent
}

// status is the HTTP status of the error that ended a stream, or 0.
func (p *played) status() int {
	var api *openai.Error
	if errors.As(p.err, &api) {
		return api.StatusCode
	}
	return 0
}
