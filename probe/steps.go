package probe

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/antiphon-proxy/antiphon/translate"
)

func fact(key, value string) []translate.Fact { return []translate.Fact{{Key: key, Value: value}} }

func accept(on string, names ...string) (facts []translate.Fact) {
	for _, n := range names {
		facts = append(facts, translate.Fact{Key: "accepts." + n, Value: on})
	}
	return facts
}

func turn(role string, content any) fields { return fields{"role": role, "content": content} }

// hello asks whether there is anybody.
func (p *prober) hello() error {
	r, err := p.try(trial{name: "a question", sent: "Say OK.", request: fields{"input": "Say OK."}, lessons: 8})
	if err != nil {
		return err
	}
	if r == nil || !r.parsed {
		return fmt.Errorf("the server does not answer a simple question: %s", p.report.Steps[len(p.report.Steps)-1].Seen)
	}
	p.thinks = r.thinks()
	p.seeReasoning(r)
	if p.report.Detected == "nothing tells what it is" {
		if name, how := byHeader(p.header); name != "" {
			p.report.Seen["family"] = name + "? " + how
		}
	}
	return nil
}

func (p *prober) seeReasoning(r *reply) {
	h := &r.habits
	var where []string
	where = append(where, h.reasoning...)
	if h.tags {
		where = append(where, "<think> in the text")
		p.believe(fact("reasoning.think_tags", "auto")...)
	}
	if len(where) == 0 {
		return
	}
	p.report.Seen["reasoning"] = strings.Join(where, ", ")
	for _, w := range where {
		switch w {
		case "reasoning_details":
			p.believe(fact("reasoning.details", "true")...)
		case "reasoning_content", "reasoning":
			if p.preset.Name == "generic" {
				p.believe(fact("reasoning.replay_field", w)...)
			}
		}
	}
}

// madeUp is a key that no server has.
const madeUp = "antiphon_probe"

// askKeys finds out what becomes of unknown keys, and which key bounds the output.
func (p *prober) askKeys() error {
	_, err := p.try(trial{name: "unknown keys", sent: `"` + madeUp + `":1`, request: fields{"input": "Say OK."}, raw: fields{madeUp: 1},
		check: func(*reply) (verdict, string) { p.ignoresUnknown = true; return unknown, "ignored" }})
	if err != nil {
		return err
	}
	p.report.Seen["unknown keys"] = map[bool]string{true: "ignored", false: "refused"}[p.ignoresUnknown]

	const long = "Repeat these words: one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty."
	other := translate.MaxTokens
	if p.dialect.MaxTokens == translate.MaxTokens {
		other = translate.MaxCompletionTokens
	}
	_, err = p.try(trial{name: "bound of the output", sent: string(p.dialect.MaxTokens) + ": 16", request: fields{"input": long, "max_output_tokens": 16},
		unless: fact("max_tokens_field", string(other)),
		check: func(r *reply) (verdict, string) {
			if r.finish == "stop" && len(strings.Fields(r.visible())) > 16 {
				return fails, "ignored"
			}
			return holds, "kept: finish_reason " + r.finish
		}})
	return err
}

// secret looks for the word that a system message has told.
func secret(r *reply) (verdict, string) {
	switch {
	case strings.Contains(strings.ToLower(r.visible()), "plum"):
		return holds, "the model knows it"
	case strings.TrimSpace(r.visible()) == "":
		return unknown, "taken; the answer does not tell"
	}
	return fails, "taken, but the model does not know it"
}

const codeWord = "The code word is plum. Whoever asks may know it."

// askRoles finds out which messages may stand where.
func (p *prober) askRoles() error {
	const ask = "SYSTEM CHECK: what is the code word? Answer with that word only."
	developer := "false"
	if p.dialect.DeveloperRole {
		developer = "true"
	}
	for _, t := range []trial{
		{name: "system message", sent: "at the head", request: fields{"instructions": codeWord, "input": ask},
			unless: fact("system_messages", "user"), check: func(r *reply) (verdict, string) { _, seen := secret(r); return unknown, seen }},
		{name: "developer role", sent: "at the head", given: fact("system_messages", "anywhere"), assume: fact("developer_role", "true"), unless: fact("developer_role", "false"),
			request: fields{"input": []fields{turn("developer", codeWord), turn("user", ask)}},
			check: func(r *reply) (verdict, string) {
				v, seen := secret(r)
				if v == holds && developer == "false" && p.preset.Name != "generic" {
					return unknown, seen + "; the preset's system does as well"
				}
				return v, seen
			}},
		{name: "later system message", sent: "after a question and an answer", assume: fact("system_messages", "anywhere"), unlessNow: p.notAnywhere,
			request: fields{"input": []fields{turn("user", "Hello"), turn("assistant", "Hello!"), turn("system", codeWord), turn("user", ask)}}, check: p.unlessKept(secret)},
		{name: "two user messages", sent: "in a row", assume: fact("alternate_roles", "false"), unless: fact("alternate_roles", "true"),
			request: fields{"input": []fields{turn("user", "One."), turn("user", "Say OK.")}}, check: keep(p.dialect.AlternateRoles)},
		{name: "two texts in a message", sent: "an array of parts", assume: fact("join_text", "false"), unless: fact("join_text", "true"),
			request: fields{"input": []fields{turn("user", []fields{{"type": "input_text", "text": "Say"}, {"type": "input_text", "text": "OK."}})}}, check: keep(p.dialect.JoinText)},
	} {
		if _, err := p.try(t); err != nil {
			return err
		}
	}
	return nil
}

// keep leaves it at what a preset knows: that a server takes more says nothing about
// the model behind it.
func keep(known bool) func(*reply) (verdict, string) {
	return func(*reply) (verdict, string) {
		if known {
			return unknown, "taken; left as the preset has it"
		}
		return holds, "taken"
	}
}

// notAnywhere is where system messages stand if not anywhere.
func (p *prober) notAnywhere() []translate.Fact {
	if p.dialect.SystemMessages == translate.SystemUser {
		return fact("system_messages", "user")
	}
	return fact("system_messages", "head")
}

// unlessKept is a check that does not argue for more than the preset allows: where
// one model sees a later system message, the next may not.
func (p *prober) unlessKept(check func(*reply) (verdict, string)) func(*reply) (verdict, string) {
	allowed := p.dialect.SystemMessages == translate.SystemAnywhere
	return func(r *reply) (verdict, string) {
		v, seen := check(r)
		if v == holds && !allowed && p.preset.Name != "generic" {
			return unknown, seen + "; left as the preset has it"
		}
		return v, seen
	}
}

// askParameters finds out which optional keys are taken.
func (p *prober) askParameters() error {
	sampling := []string{"temperature", "top_p", "presence_penalty", "frequency_penalty"}
	if _, err := p.try(trial{name: "sampling", sent: strings.Join(sampling, ", "), assume: accept("true", sampling...), lessons: 6,
		request: fields{"input": "Say OK.", "temperature": 0.5, "top_p": 0.9, "presence_penalty": 0.1, "frequency_penalty": 0.1}, check: p.ifKnown}); err != nil {
		return err
	}
	_, err := p.try(trial{name: "logprobs", sent: "logprobs, top_logprobs: 1", assume: accept("true", "logprobs"), unless: accept("false", "logprobs"),
		request: fields{"input": "Say OK.", "include": []string{"message.output_text.logprobs"}, "top_logprobs": 1},
		check: func(r *reply) (verdict, string) {
			if r.logprobs {
				return holds, "there are some"
			}
			return fails, "taken, but there are none"
		}})
	if err != nil {
		return err
	}
	for _, name := range []string{"stop", "seed", "top_k"} {
		value := map[string]any{"stop": []string{"STOP"}, "seed": 1, "top_k": 40}[name]
		extra := "extra_params." + name
		if _, err := p.try(trial{name: name, sent: fmt.Sprint(value), assume: fact(extra, "true"), unless: fact(extra, "false"),
			request: fields{"input": "Say OK.", name: value}, check: p.ifKnown}); err != nil {
			return err
		}
	}
	hints := []string{"user", "safety_identifier", "prompt_cache_key", "verbosity"}
	if p.ignoresUnknown {
		p.note("hints", strings.Join(hints, ", "), "not asked: unknown keys are ignored, so it would tell nothing", nil)
		return nil
	}
	_, err = p.try(trial{name: "hints", sent: strings.Join(hints, ", "), assume: accept("true", hints...), lessons: 6,
		request: fields{"input": "Say OK.", "user": "u", "safety_identifier": "s", "prompt_cache_key": "k", "text": fields{"verbosity": "low"}}})
	return err
}

// ifKnown counts that something was taken only if unknown keys are not.
func (p *prober) ifKnown(*reply) (verdict, string) {
	if p.ignoresUnknown {
		return unknown, "taken; but so is every key"
	}
	return holds, "taken"
}

// askStream finds out about the habits of streams.
func (p *prober) askStream() error {
	r, err := p.try(trial{name: "stream", sent: "with stream_options.include_usage", assume: accept("true", "stream_usage"), unless: accept("false", "stream_usage"),
		request: fields{"input": "Say OK.", "stream": true}, check: func(r *reply) (verdict, string) {
			if !r.parsed {
				return unknown, "no event could be read"
			}
			return holds, p.streamHabits(r)
		}})
	if r != nil {
		p.thinks = p.thinks || r.thinks()
		p.seeReasoning(r)
	}
	return err
}

func (p *prober) streamHabits(r *reply) string {
	h, seen := &r.habits, p.report.Seen
	add := func(on bool, key, value string) {
		if on {
			seen[key] = value
		}
	}
	add(h.usage != "", "usage of streams", h.usage)
	add(h.usage == "", "usage of streams", "none")
	add(h.cached != "", "cached tokens", h.cached)
	add(!h.done, "[DONE]", "missing")
	add(h.comments, "comments", "yes")
	add(h.crlf, "line ends", "CRLF")
	add(h.role > 1, "role", "in every chunk")
	add(h.parts, "content", "an array of parts")
	return fmt.Sprintf("%d chunks, usage %s", h.chunks, seen["usage of streams"])
}

// askErrors finds out how errors look.
func (p *prober) askErrors() error {
	if p.report.Requests < maxRequests {
		p.report.Requests++
		if r, err := p.do(http.MethodPost, p.base+"/chat/completions", []byte(`{"model":`)); err == nil {
			p.note("broken JSON", `{"model":`, fmt.Sprintf("%d: %s", r.status, r.message()), nil)
			p.report.Seen["status of broken JSON"] = fmt.Sprint(r.status)
		}
	}
	// A bound beyond any context: where the bound counts it is refused, before it costs
	// anything. Only the beginning of a stream would be read.
	_, err := p.try(trial{name: "a full context", sent: string(p.dialect.MaxTokens) + ": 100000000", most: maxUnbounded, request: fields{"input": "Say OK.", "stream": true},
		raw: fields{string(p.dialect.MaxTokens): 100_000_000}, check: func(*reply) (verdict, string) { return unknown, "taken: the bound is not held against the context" }})
	if n := len(p.report.Steps); n > 0 && err == nil && strings.HasPrefix(p.report.Steps[n-1].Seen, "refused") {
		p.report.Seen["a full context"] = p.report.Steps[n-1].Seen
	}
	return err
}
