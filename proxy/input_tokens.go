package proxy

import (
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/antiphon-proxy/antiphon/translate"
)

// inputTokens answers POST /responses/input_tokens: how many tokens the request
// would take, counted by the upstream if it can be asked, else estimated. An
// estimate says so in the loss report.
func (s *Server) inputTokens(x *exchange, _ string) (streaming bool) {
	err := x.readBody()
	if err == nil && s.passesResponses(x) {
		x.keepCandidates((*backend).wholeResponses)
		return s.passResponses(x, "/responses/input_tokens")
	}
	tokens := int64(0)
	if err == nil {
		tokens, err = x.countRequest()
	}
	switch {
	case errors.Is(x.up.Cancelled(), errClientGone):
		x.gone()
	case err != nil:
		x.respondError(x.ctx, err)
	default:
		x.reportLosses()
		out := append(x.out[:0], `{"object":"response.input_tokens","input_tokens":`...)
		out = strconv.AppendInt(out, tokens, 10)
		x.out = append(out, '}')
		x.respondJSON(x.out)
	}
	return false
}

func (x *exchange) countRequest() (int64, *translate.Error) {
	if err := x.req.ParseForm(x.body, translate.FormCount, x.server.requestLimits); err != nil {
		return 0, err
	}
	if err := x.allowed(); err != nil {
		return 0, err
	}
	x.routeTo(x.req.Model(), x.req.PromptCacheKey())
	x.req.Stream = false // it is never sent as it is
	history, err := x.recall(false)
	if err != nil {
		return 0, err
	}
	if err := x.req.EmptyInput(); err != nil {
		return 0, err
	}
	x.chat = translate.ChatOptions{Dialect: x.dialect, History: history}
	if err := x.caller().build(); err != nil {
		return 0, err
	}
	return x.countTokens(), nil
}

// countTokens counts the tokens of the request in x.wire, which stays as it is. It
// estimates them, and reports that, if the upstream cannot be asked, or does not
// answer.
func (x *exchange) countTokens() int64 {
	if x.hasTokenizer() {
		if n, ok := x.askTokenizer(); ok {
			return n
		}
	}
	translate.NoteEstimate(&x.losses)
	return translate.EstimateTokens(x.wireBody())
}

// hasTokenizer reports whether the upstream has a tokenizer for the model, as far
// as that is known.
func (x *exchange) hasTokenizer() bool {
	return x.backend.base().Tokenizer != translate.TokenizerNone && !x.backend.noTokenizer.holds(x.req.Model(), x.start)
}

// absences are the models for which an upstream has said that it has no tokenizer.
// It is not asked again for a while. A server of several models may have one for
// some of them only, and answers 404 for a model that it does not have at all: so
// they are remembered by model.
type absences struct {
	mu    sync.Mutex
	until map[string]time.Time
}

const (
	// absentFor is how long an absence is believed: the server may be replaced.
	absentFor = time.Minute
	// maxAbsences bounds them: clients make up the names of models.
	maxAbsences = 256
)

// note remembers an absence.
func (a *absences) note(model string, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.until == nil || len(a.until) >= maxAbsences {
		a.until = map[string]time.Time{}
	}
	a.until[model] = now.Add(absentFor)
}

// holds reports whether an absence is remembered.
func (a *absences) holds(model string, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return now.Before(a.until[model])
}

// noEndpoint reports whether a status says that there is nothing to ask.
func noEndpoint(status int) bool {
	switch status {
	case fasthttp.StatusNotFound, fasthttp.StatusMethodNotAllowed, fasthttp.StatusNotImplemented:
		return true
	}
	return false
}

// askTokenizer asks the upstream's tokenizer.
func (x *exchange) askTokenizer() (tokens int64, ok bool) {
	s := x.server
	chat := x.wire
	defer func() {
		x.wire, _ = chat, release(x.wire)
	}()
	x.wire = nil
	var reply []byte
	how, heads := x.backend.tokenizer()
	for step, head := range heads {
		x.wire = append(grow(x.wire, len(chat)+len(reply)), s.headRoom[:]...)
		if x.wire, ok = how.AppendQuestion(x.wire, step, chat[len(s.headRoom):], reply); !ok {
			return 0, false
		}
		err := x.up.Do(x.backend.client, x.composeTo(head, false), nil)
		x.attempts += x.up.Attempts
		if err != nil {
			return 0, false
		}
		body, failure := x.readReply()
		if status := x.up.Header.StatusCode(); failure != nil || status != fasthttp.StatusOK {
			if noEndpoint(status) {
				x.backend.noTokenizer.note(x.req.Model(), x.start)
			}
			x.up.Close(failure == nil)
			return 0, false
		}
		reply = append([]byte(nil), body...)
		x.up.Close(true)
	}
	return how.Answer(reply)
}
