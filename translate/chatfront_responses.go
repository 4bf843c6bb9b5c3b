package translate

import (
	"strconv"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// ResponsesOptions are what AppendResponses needs besides the request.
type ResponsesOptions struct {
	// Dialect of the backend.
	Dialect *Dialect
	// Model is the backend's name for the model; "" keeps the client's.
	Model string
	// KeepReasoning asks for reasoning in a form that can be sent back, because
	// somebody will keep it: see ChatTurn.Kept.
	KeepReasoning bool
	// Kept gives what was kept of the reasoning that led to a call or an answer,
	// by its KeptReasoning.Key, which must not be held on to; nil where nothing was
	// kept.
	Kept func(key []byte) *KeptReasoning
	// NamePrefix says that a message's name shall be put before its text
	// ("name: text") rather than be lost; that of a message without text is lost
	// still. Where names matter, as in talks of several, models need them; others
	// imitate the form. The setting upstream.name_prefix.
	NamePrefix bool
	// Summary asks for summaries of the reasoning where the client does not say: auto,
	// concise or detailed. The setting upstream.reasoning_summary.
	Summary string
	// Losses receives what the translation loses.
	Losses *Losses
}

// AppendResponses appends the body of the POST /responses that stands for this
// request. It is always a request for one choice; see N. What has no counterpart
// is noted in opt.Losses; the result is whole and legal whatever was lost.
func (r *ChatRequest) AppendResponses(dst []byte, opt ResponsesOptions) ([]byte, *Error) {
	d := &r.doc
	dst = append(dst, `{"model":`...)
	if opt.Model != "" {
		dst = jsonx.AppendString(dst, opt.Model)
	} else {
		dst = append(dst, d.Raw(r.params[cModel])...)
	}
	dst, err := r.appendInput(dst, &opt)
	if err != nil {
		return dst, err
	}
	dst = r.appendTools(dst, &opt)
	dst = r.appendParams(dst, &opt)
	if !r.mixed {
		if err := movedError(d, r.unknown, movedToChat, "Chat Completions"); err != nil {
			return dst, err
		}
	}
	if dst, err = r.appendUnknown(dst, &opt); err != nil {
		return dst, err
	}
	if d.Mended > 0 {
		opt.Losses.add(ruleChatSurrogates, "", "")
	}
	return append(dst, '}'), nil
}

// chatSameParams have the same name and meaning in both APIs.
var chatSameParams = []chatParam{
	cTemperature, cTopP, cPresencePenalty, cFrequencyPenalty, cMetadata, cUser, cSafetyIdentifier, cPromptCacheKey,
	cPromptCacheOptions, cPromptCacheRetention, cModeration, cServiceTier,
}

// appendParams appends the parameters other than input and tools.
func (r *ChatRequest) appendParams(dst []byte, opt *ResponsesOptions) []byte {
	d, habits := &r.doc, &opt.Dialect.Responses
	for _, p := range chatSameParams {
		if n := r.params[p]; n != 0 {
			if !habits.Takes(chatParamNames[p]) {
				rule := ruleChatHint
				if p == cTemperature || p == cTopP || p == cPresencePenalty || p == cFrequencyPenalty || p == cModeration {
					rule = ruleChatRefused
				}
				opt.Losses.add(rule, chatParamNames[p], "")
				continue
			}
			if !habits.Penalties && (p == cPresencePenalty || p == cFrequencyPenalty) {
				opt.Losses.add(ruleChatPenalty, chatParamNames[p], "")
				continue
			}
			dst = append(dst, ',', '"')
			dst = append(dst, chatParamNames[p]...)
			dst = append(dst, '"', ':')
			dst = append(dst, d.Raw(n)...)
		}
	}
	if most, n := r.maxTokens(); n != 0 && !habits.Takes("max_output_tokens") {
		opt.Losses.add(ruleChatRefused, r.chatName("max_output_tokens"), "")
	} else if n != 0 {
		dst = append(dst, `,"max_output_tokens":`...)
		if most < minOutputTokens {
			p := cMaxCompletionTokens
			if !r.has(p) {
				p = cMaxTokens
			}
			opt.Losses.add(ruleChatMaxTokens, chatParamNames[p], strconv.FormatInt(most, 10)+" → "+strconv.Itoa(minOutputTokens))
			most = minOutputTokens
		}
		dst = strconv.AppendInt(dst, most, 10)
	}
	dst = r.appendText(dst, opt)
	dst = r.appendReasoning(dst, opt)
	store := r.Store && r.N == 1
	if r.Store && !store {
		opt.Losses.add(ruleChatStoreChoices, "store", "")
	}
	logprobs := r.Logprobs && habits.Logprobs && habits.Takes("include")
	encrypted := opt.KeepReasoning && !store && habits.EncryptedReasoning && habits.Takes("include")
	if r.Logprobs && !logprobs {
		opt.Losses.add(ruleChatLogprobs, "logprobs", "")
	}
	switch {
	case logprobs && encrypted:
		dst = append(dst, `,"include":["message.output_text.logprobs","reasoning.encrypted_content"]`...)
	case logprobs:
		dst = append(dst, `,"include":["message.output_text.logprobs"]`...)
	case encrypted:
		dst = append(dst, `,"include":["reasoning.encrypted_content"]`...)
	}
	if n := r.params[cTopLogprobs]; n != 0 && logprobs && habits.Takes("top_logprobs") {
		dst = append(dst, `,"top_logprobs":`...)
		dst = append(dst, d.Raw(n)...)
	}
	r.reportLost(opt.Losses)
	// The APIs' defaults for store differ, so it is always written (docs/PROTOCOL.md §0.2.12).
	if habits.Takes("store") {
		dst = append(dst, `,"store":`...)
		dst = strconv.AppendBool(dst, store)
	} else if store {
		opt.Losses.add(ruleChatRefused, "store", "")
	}
	if r.Stream || habits.StreamOnly {
		dst = append(dst, `,"stream":true`...)
		if r.HasObfuscation && r.Stream && habits.Takes("stream_options") {
			dst = append(dst, `,"stream_options":{"include_obfuscation":`...)
			dst = strconv.AppendBool(dst, r.Obfuscation)
			dst = append(dst, '}')
		}
	}
	return dst
}

// reportLost reports the parameters that the Responses API has no place for.
func (r *ChatRequest) reportLost(losses *Losses) {
	d := &r.doc
	if r.has(cSeed) {
		losses.add(ruleChatSeed, "seed", "")
	}
	if n := r.params[cLogitBias]; n != 0 && d.Len(n) > 0 {
		losses.add(ruleChatLogitBias, "logit_bias", "")
	}
	if r.has(cPrediction) {
		losses.add(ruleChatPrediction, "prediction", "")
	}
	if r.has(cAudio) {
		losses.add(ruleChatAudioParam, "audio", "")
	}
	if len(r.stops) > 0 {
		losses.add(ruleChatStop, "stop", "")
	}
	if r.N > 1 {
		losses.add(ruleChatChoices, "n", strconv.Itoa(r.N))
	}
}

// maxTokens is the bound of the output, and the node that gives it; 0 for none.
func (r *ChatRequest) maxTokens() (most int64, n uint32) {
	if n = r.params[cMaxCompletionTokens]; n == 0 {
		if n = r.params[cMaxTokens]; n == 0 {
			return 0, 0
		}
	}
	most, _ = r.doc.Int(n)
	return most, n
}

// appendText appends response_format as text.format, and verbosity.
func (r *ChatRequest) appendText(dst []byte, opt *ResponsesOptions) []byte {
	d := &r.doc
	format, verbosity := r.params[cResponseFormat], r.params[cVerbosity]
	if format != 0 && !opt.Dialect.Responses.TextFormat && !d.Is(d.Get(format, "type"), "text") {
		opt.Losses.add(ruleChatFormat, "response_format", d.Text(d.Get(format, "type")))
		format = 0
	}
	if verbosity != 0 && !opt.Dialect.Responses.Takes("text.verbosity") {
		opt.Losses.add(ruleChatHint, "verbosity", "")
		verbosity = 0
	}
	if format == 0 && verbosity == 0 {
		return dst
	}
	dst = append(dst, `,"text":{`...)
	if format != 0 {
		dst = append(dst, `"format":`...)
		dst = r.appendFormat(dst, format, opt)
	}
	if verbosity != 0 {
		if format != 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `"verbosity":`...)
		dst = append(dst, d.Raw(verbosity)...)
	}
	return append(dst, '}')
}

// appendFormat appends text.format: what response_format nests is flat here.
func (r *ChatRequest) appendFormat(dst []byte, n uint32, opt *ResponsesOptions) []byte {
	d := &r.doc
	dst = append(dst, `{"type":`...)
	dst = append(dst, d.Raw(d.Get(n, "type"))...)
	if f := d.Get(n, "json_schema"); d.Is(d.Get(n, "type"), "json_schema") {
		for _, key := range formatMembers[1:] {
			v := d.Get(f, key)
			if !d.Present(v) {
				if key == "schema" {
					opt.Losses.add(ruleChatFormatSchema, "response_format.json_schema.schema", "")
					dst = append(dst, `,"schema":{"type":"object","properties":{},"additionalProperties":true}`...)
				}
				continue
			}
			dst = append(dst, ',', '"')
			dst = append(dst, key...)
			dst = append(dst, '"', ':')
			dst = append(dst, d.Raw(v)...)
		}
		for k, end := d.First(f), d.End(f); k < end; k = d.Next(k + 1) {
			if d.Present(k+1) && !isFormatMember(d, k) {
				opt.Losses.add(ruleChatUnknownParam, "response_format.json_schema."+brief(d.Text(k)), "")
			}
		}
	}
	return append(dst, '}')
}

func isFormatMember(d *jsonx.Doc, k uint32) bool {
	for _, m := range formatMembers {
		if d.Is(k, m) {
			return true
		}
	}
	return false
}
