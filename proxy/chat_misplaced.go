package proxy

import (
	"bytes"
	"io"
	"slices"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/translate"
	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// Some clients, Cursor among them, send the body of a Responses request to
// /chat/completions for models that they know from there, and read the answer as
// a chat completion. Such a body has input and no messages. It is translated, and
// then a chat request like any other.

// Paths of requests that make something.
const (
	chatPath      = "/chat/completions"
	responsesPath = "/responses"
)

// peekBytes is how much of a long chat body is looked at before the rest is there.
// Most clients write the model and then the messages.
const peekBytes = 4 << 10

// peekChat looks at the beginning of a body that would be passed on as it comes.
// It returns the body from its beginning; or nil if it had to be read: then it is
// in x.body, as a chat request.
func (x *exchange) peekChat(path string, length int) (body io.Reader, e *translate.Error) {
	r := x.ctx.RequestBodyStream()
	if path != chatPath || !isJSON(x.ctx) || length > int(x.server.cfg.Limits.Body) {
		return r, nil
	}
	key := ""
	x.peeked = slices.Grow(x.peeked[:0], peekBytes)
	for end := false; key == "" && !end && len(x.peeked) < peekBytes; key = jsonx.FirstKey(x.peeked, "messages", "input") {
		n, err := r.Read(x.peeked[len(x.peeked):peekBytes])
		x.peeked = x.peeked[:len(x.peeked)+n]
		if end = err == io.EOF; err != nil && !end {
			x.ctx.SetConnectionClose()
			return nil, errBodyCutOff(err)
		}
	}
	if key == "messages" || key == "" && length < 0 { // of unknown length: maybe more than is ever read
		return io.MultiReader(bytes.NewReader(x.peeked), r), nil
	}
	if err := x.readAll(int64(x.server.cfg.Limits.Body)); err != nil {
		return nil, err
	}
	return nil, x.mayBeResponses(path)
}

// mayBeResponses makes a chat request of what is in x.body, if that is a request
// for a response that came to the wrong place.
func (x *exchange) mayBeResponses(path string) *translate.Error {
	if path != chatPath || !isJSON(x.ctx) || jsonx.FirstKey(x.body, "messages", "input") != "input" || jsonx.Lookup(x.body, "messages").Exists() {
		return nil
	}
	if err := x.req.Parse(x.body, x.server.requestLimits); err != nil {
		return err
	}
	for name, has := range map[string]bool{"background": x.req.Background, "conversation": x.req.ConversationID() != ""} {
		if has {
			return clientError(400, "unsupported_parameter", name,
				"Unsupported parameter: '"+name+"' needs POST /v1/responses. This request came to /v1/chat/completions.")
		}
	}
	x.routeTo(x.req.Model(), x.req.PromptCacheKey())
	history, err := x.recall(false)
	if err != nil {
		return err
	}
	if err := x.req.EmptyInput(); err != nil {
		return err
	}
	dialect, answers := x.answersMisplaced(history)
	losses := &x.losses
	if answers { // they are those of the translation that is sent
		losses = new(translate.Losses)
	}
	body, err := x.req.AppendChat(make([]byte, 0, len(x.body)+len(x.body)/4), translate.ChatOptions{
		Dialect: dialect, History: history, Losses: losses, Sealer: x, Upstream: x.backend.name, Fetched: x.fetchRemote(), Misplaced: true,
	})
	if err != nil {
		return err
	}
	if !answers && x.server.cfg.Loss == config.LossStrict {
		if err := x.losses.Refusal(); err != nil {
			return err
		}
	}
	if !answers {
		x.reportLosses()
		x.earlier = slices.Clone(x.losses.Entries)
	}
	x.body = body
	return nil
}
