package harness

import (
	"encoding/json"
	"net/http"

	"github.com/antiphon-proxy/antiphon/translate/streamcheck"
)

// createsChat reports whether the exchange creates a chat completion.
func (x *Exchange) createsChat() bool {
	return x.Method == http.MethodPost && x.Path == "/v1/chat/completions"
}

// chat checks a chat completion, whole or as a stream.
func (f *checker) chat() {
	x := f.x
	if !x.Complete {
		return // somebody has left, or it was cut; that is not the stream's fault
	}
	var asked struct {
		N             int  `json:"n"`
		Logprobs      bool `json:"logprobs"`
		StreamOptions struct {
			Usage bool `json:"include_usage"`
		} `json:"stream_options"`
	}
	_ = json.Unmarshal(x.Body, &asked)
	options := streamcheck.ChatOptions{Choices: asked.N, Usage: asked.StreamOptions.Usage, Logprobs: asked.Logprobs}
	var violations []streamcheck.Violation
	switch {
	case x.EventStream():
		violations = streamcheck.ChatStream(x.Reply, options)
	case x.JSON() && objectOf(x.Reply) == "chat.completion":
		violations = streamcheck.ChatCompletion(x.Reply, options)
	default:
		f.fail("this is no chat completion")
	}
	for _, v := range violations {
		f.fail("%s", v)
	}
}
