package probe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/antiphon-proxy/antiphon/translate"
)

// fields is a JSON object.
type fields map[string]any

func toJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		return []byte("null")
	}
	return b
}

// trial is a question.
type trial struct {
	name, sent string
	request    fields                  // of the Responses API, without model
	raw        fields                  // members of the chat request, as they are
	given      []translate.Fact        // what is taken for granted while it is asked
	assume     []translate.Fact        // what is assumed of the server
	unless     []translate.Fact        // what holds if the assumption does not
	unlessNow  func() []translate.Fact // in place of unless, where that depends on what was found out before
	most       int                     // bytes that are read of the reply; 0 is maxBody
	lessons    int                     // how often a refusal may change the request; 0 is 4
	// check looks for the effect. nil: that it was taken is all there is to see.
	check func(r *reply) (verdict verdict, seen string)
}

// verdict is what an answer says about an assumption.
type verdict int

const (
	unknown verdict = iota
	holds
	fails
)

// try asks a question. The reply is nil unless the server has taken it.
func (p *prober) try(t trial) (*reply, error) {
	if t.unlessNow != nil {
		t.unless = t.unlessNow()
	}
	d := p.dialect
	for _, f := range append(append([]translate.Fact{}, t.given...), t.assume...) {
		if changed, ok := d.With(f); ok {
			d = changed
		}
	}
	var lessons []translate.Fact
	most := t.lessons
	if most == 0 {
		most = 4
	}
	for {
		chat, err := p.translate(t.request, t.raw, &d)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
		p.most = t.most
		r, err := p.post(chat)
		p.most = 0
		if err != nil {
			if errors.Is(err, errBudget) || errors.Is(err, errRequests) || p.ctx.Err() != nil || p.failed >= 3 {
				return nil, err
			}
			p.note(t.name, t.sent, "no answer: "+err.Error(), nil)
			return nil, nil // documented
		}
		r.dialect = d
		switch {
		case r.status == http.StatusOK:
			verdict, seen := holds, "taken"
			if t.check != nil {
				verdict, seen = t.check(r)
			}
			facts := lessons
			switch verdict {
			case holds:
				facts = append(append([]translate.Fact{}, t.assume...), lessons...)
			case fails:
				facts = append(append([]translate.Fact{}, lessons...), t.unless...)
			}
			p.note(t.name, t.sent, seen, p.believe(facts...))
			return r, nil
		case r.status == 401 || r.status == 403 || r.status == 429:
			return nil, fmt.Errorf("%s: status %d: %s", t.name, r.status, r.message())
		}
		if fact, ok := translate.Learn(&d, r.learnStatus(), r.body, chat); ok && len(lessons) < most {
			d, _ = d.With(fact)
			lessons = append(lessons, fact)
			continue
		}
		p.note(t.name, t.sent, fmt.Sprintf("refused, %d: %s", r.status, r.message()), p.believe(t.unless...))
		return nil, nil // documented
	}
}

// translate makes the chat request for a dialect.
func (p *prober) translate(request, raw fields, d *translate.Dialect) ([]byte, error) {
	request["model"] = p.opt.Model
	if request["max_output_tokens"] == nil {
		request["max_output_tokens"] = maxOutput
	}
	var r translate.Request
	if err := r.Parse(toJSON(request), translate.RequestLimits{}); err != nil {
		return nil, errors.New(err.Message)
	}
	var losses translate.Losses
	chat, err := r.AppendChat(nil, translate.ChatOptions{Dialect: d, Losses: &losses, Sealer: open{}})
	if err != nil {
		return nil, errors.New(err.Message)
	}
	if raw == nil {
		return chat, nil
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(chat, &keys); err != nil {
		return nil, err
	}
	for k, v := range raw {
		keys[k] = toJSON(v)
	}
	return toJSON(keys), nil
}

// open is a sealer that seals nothing: what a server gives for itself never leaves
// this process.
type open struct{}

func (open) Seal(dst, plain []byte) ([]byte, bool) { return fmt.Appendf(dst, "%x", plain), true }

func (open) Open(dst, sealed []byte) ([]byte, bool) {
	n, err := fmt.Sscanf(string(sealed), "%x", &dst)
	return dst, n == 1 && err == nil
}

// reply is what came back.
type reply struct {
	status  int
	header  http.Header
	body    []byte
	cut     bool // there was more than is read of a reply
	dialect translate.Dialect
	stream  bool
	said
}

// post sends a chat request, if the budget allows it.
func (p *prober) post(chat []byte) (*reply, error) {
	var asked struct {
		MaxTokens           int `json:"max_tokens"`
		MaxCompletionTokens int `json:"max_completion_tokens"`
		Stream              bool
	}
	_ = json.Unmarshal(chat, &asked)
	estimate := len(chat)/4 + min(max(asked.MaxTokens, asked.MaxCompletionTokens), maxOutput)
	switch {
	case p.report.Tokens+estimate > p.opt.MaxTokens:
		return nil, errBudget
	case p.report.Requests >= maxRequests:
		return nil, errRequests
	}
	p.report.Requests++
	r, err := p.do(http.MethodPost, p.base+"/chat/completions", chat)
	if err != nil {
		p.failed++
		return nil, err
	}
	p.failed = 0
	r.stream = asked.Stream
	r.read()
	if r.status == http.StatusOK && r.failure() {
		r.status = http.StatusBadRequest // MiniMax says it so
	}
	if r.status == http.StatusOK {
		if n := r.usage.Prompt + r.usage.Completion; n > 0 && n < 1<<20 {
			estimate = n
		} else if n := len(chat)/4 + r.habits.chunks; n > estimate { // a chunk is a token, as a rule
			estimate = n
		}
		p.report.Tokens += estimate
	}
	return r, nil
}

func (p *prober) do(method, url string, body []byte) (*reply, error) {
	if p.query != "" {
		url += "?" + p.query
	}
	var rd io.Reader
	if body != nil {
		rd = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(p.ctx, method, url, rd)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("User-Agent", "antiphon-probe")
	if name, value, ok := p.opt.Upstream.AuthHeader(); ok {
		req.Header.Set(name, value.Reveal())
	}
	for name, value := range p.opt.Upstream.Headers {
		req.Header.Set(name, value.Reveal())
	}
	resp, err := p.http.Do(req)
	if err != nil {
		var timeout interface{ Timeout() bool }
		if errors.As(err, &timeout) && timeout.Timeout() {
			return nil, fmt.Errorf("nothing came within %s", p.opt.Timeout)
		}
		return nil, err
	}
	defer resp.Body.Close()
	r := &reply{status: resp.StatusCode, header: resp.Header}
	p.header = resp.Header
	most := p.most
	if most == 0 {
		most = maxBody
	}
	r.body, err = io.ReadAll(io.LimitReader(resp.Body, int64(most)+1))
	if len(r.body) > most {
		r.body, r.cut = r.body[:most], true
	}
	if err != nil && len(r.body) == 0 {
		return nil, err
	}
	return r, nil
}

// peek asks for a page that only some families have.
func (p *prober) peek(url string) *reply {
	if p.report.Requests >= maxRequests {
		return nil
	}
	p.report.Requests++
	r, err := p.do(http.MethodGet, url, nil)
	if err != nil || r.cut {
		return nil
	}
	return r
}

// message is what an error says, on one line.
func (r *reply) message() string {
	msg := strings.Join(strings.Fields(translate.UpstreamError(max(r.status, 400), r.body).Message), " ")
	const most = 160
	if len(msg) > most {
		msg = strings.ToValidUTF8(msg[:most], "") + "…"
	}
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return -1
		}
		return c
	}, msg)
}

func (r *reply) learnStatus() int {
	if r.status == 404 || r.status == 405 {
		return 400
	}
	return r.status
}
