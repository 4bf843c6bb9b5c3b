package translate

import (
	"strconv"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

var chatTierValues = []string{"auto", "default", "flex", "scale", "priority", "fast"}

func (r *ChatRequest) validateParam(p chatParam, n uint32, lim RequestLimits) *Error {
	d, name := &r.doc, chatParamNames[p]
	switch p {
	case cMessages:
		return r.validateMessages(n, lim)
	case cFunctions:
		return r.validateFunctions(n)
	case cFunctionCall:
		return r.validateFunctionCall(n)
	case cTools:
		return r.validateTools(n)
	case cToolChoice:
		return r.validateToolChoice(n)
	case cParallelToolCalls:
		return checkBool(d, n, name, &r.ParallelCalls)
	case cMaxCompletionTokens, cMaxTokens:
		return checkInteger(d, n, name, 1, 1<<53)
	case cN:
		if err := checkInteger(d, n, name, 1, maxChoices); err != nil {
			return err
		}
		v, _ := d.Int(n)
		r.N = int(v)
	case cTemperature:
		return checkDecimal(d, n, name, 0, 2)
	case cTopP:
		return checkDecimal(d, n, name, 0, 1)
	case cPresencePenalty, cFrequencyPenalty:
		return checkDecimal(d, n, name, -2, 2)
	case cLogprobs:
		return checkBool(d, n, name, &r.Logprobs)
	case cTopLogprobs:
		return checkInteger(d, n, name, 0, maxTopLogprobs)
	case cUser, cSafetyIdentifier:
		return checkString(d, n, name, maxHint)
	case cPromptCacheKey:
		return checkString(d, n, name, maxPromptCacheKey)
	case cPromptCacheRetention:
		return checkEnum(d, n, name, []string{"in_memory", "in-memory", "24h"})
	case cSeed:
		return checkInteger(d, n, name, -1<<63, 1<<63-1)
	case cModeration, cPromptCacheOptions, cLogitBias, cAudio:
		if d.Kind(n) != jsonx.Object {
			return errType(name, "an object", got(d, n))
		}
	case cPrediction:
		return r.validatePrediction(n)
	case cResponseFormat:
		return r.validateResponseFormat(n)
	case cServiceTier:
		return checkEnum(d, n, name, chatTierValues)
	case cReasoningEffort:
		return checkEnum(d, n, name, effortValues)
	case cStop:
		return r.validateStop(n)
	case cStream:
		return checkBool(d, n, name, &r.Stream)
	case cStreamOptions:
		return r.validateStreamOptions(n)
	case cStore:
		return checkBool(d, n, name, &r.Store)
	case cMetadata:
		return validateMetadata(d, n)
	case cVerbosity:
		return checkEnum(d, n, name, verbosityValues)
	case cModalities:
		return r.validateModalities(n)
	case cWebSearchOptions:
		return r.validateWebSearch(n)
	}
	return nil
}

// validateTogether checks what one parameter says about another.
func (r *ChatRequest) validateTogether() *Error {
	switch {
	case r.has(cStreamOptions) && !r.Stream:
		return invalid("", "stream_options", "The 'stream_options' parameter is only allowed when 'stream' is enabled.")
	case r.has(cTopLogprobs) && !r.Logprobs:
		return invalid("", "top_logprobs", "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.")
	}
	return r.tools.settle(r)
}

func (r *ChatRequest) validateStop(n uint32) *Error {
	d := &r.doc
	add := func(v uint32) {
		if len(d.Str(v)) > 0 {
			r.stops = append(r.stops, jsonx.AppendUnescaped(nil, d.Str(v)))
		}
	}
	switch d.Kind(n) {
	case jsonx.String:
		add(n)
		return nil
	case jsonx.Array:
	default:
		return errType("stop", "one of a string or array of strings", got(d, n))
	}
	if count := d.Len(n); count > maxStops {
		return errArrayTooLong("stop", maxStops, count)
	}
	i := 0
	for v, end := d.First(n), d.End(n); v < end; v = d.Next(v) {
		if d.Kind(v) != jsonx.String {
			return errType("stop["+strconv.Itoa(i)+"]", "a string", got(d, v))
		}
		add(v)
		i++
	}
	return nil
}

func (r *ChatRequest) validateStreamOptions(n uint32) *Error {
	d := &r.doc
	if d.Kind(n) != jsonx.Object {
		return errType("stream_options", "an object", got(d, n))
	}
	for k, end := d.First(n), d.End(n); k < end; k = d.Next(k + 1) {
		to := &r.IncludeUsage
		switch {
		case d.Is(k, "include_usage"):
		case d.Is(k, "include_obfuscation"):
			to = &r.Obfuscation
			r.HasObfuscation = d.Present(k + 1)
		default:
			return errUnknown("stream_options." + brief(d.Text(k)))
		}
		if d.Present(k + 1) {
			if err := checkBool(d, k+1, "stream_options."+d.Text(k), to); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *ChatRequest) validateModalities(n uint32) *Error {
	d := &r.doc
	if d.Kind(n) != jsonx.Array {
		return errType("modalities", "an array of strings", got(d, n))
	}
	i := 0
	for v, end := d.First(n), d.End(n); v < end; v = d.Next(v) {
		if err := checkEnum(d, v, "modalities["+strconv.Itoa(i)+"]", []string{"text", "audio"}); err != nil {
			return err
		}
		if d.Is(v, "audio") {
			return errUnsupported("modalities", "cannot be honoured: the backend speaks the Responses API, which gives no audio. Ask for [\"text\"].")
		}
		i++
	}
	return nil
}

func (r *ChatRequest) validatePrediction(n uint32) *Error {
	d := &r.doc
	if d.Kind(n) != jsonx.Object {
		return errType("prediction", "an object", got(d, n))
	}
	typ := d.Get(n, "type")
	if !d.Present(typ) {
		return errMissing("prediction.type")
	}
	return checkEnum(d, typ, "prediction.type", []string{"content"})
}

func (r *ChatRequest) validateResponseFormat(n uint32) *Error {
	d := &r.doc
	if d.Kind(n) != jsonx.Object {
		return errType("response_format", "an object", got(d, n))
	}
	typ := d.Get(n, "type")
	if !d.Present(typ) {
		return errMissing("response_format.type")
	}
	if err := checkEnum(d, typ, "response_format.type", []string{"json_object", "json_schema", "text"}); err != nil {
		return err
	}
	if !d.Is(typ, "json_schema") {
		return nil
	}
	const path = "response_format.json_schema"
	f := d.Get(n, "json_schema")
	switch {
	case !d.Present(f):
		return errMissing(path)
	case d.Kind(f) != jsonx.Object:
		return errType(path, "an object", got(d, f))
	}
	name := d.Get(f, "name")
	if !d.Present(name) {
		return errMissing(path + ".name")
	}
	if err := checkString(d, name, path+".name", maxFormatName); err != nil {
		return err
	}
	if !ValidID(d.Text(name)) {
		return errPattern(path + ".name")
	}
	if v := d.Get(f, "schema"); d.Present(v) && d.Kind(v) != jsonx.Object {
		return errType(path+".schema", "an object", got(d, v))
	}
	if v := d.Get(f, "description"); d.Present(v) && d.Kind(v) != jsonx.String {
		return errType(path+".description", "a string", got(d, v))
	}
	if v := d.Get(f, "strict"); d.Present(v) {
		var b bool
		return checkBool(d, v, path+".strict", &b)
	}
	return nil
}

// errPattern refuses a name with characters that names must not have.
func errPattern(path string) *Error {
	return invalid("invalid_value", path, "Invalid '"+path+"': string does not match pattern. "+
		"Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'.")
}

func (r *ChatRequest) validateWebSearch(n uint32) *Error {
	d := &r.doc
	const path = "web_search_options"
	if d.Kind(n) != jsonx.Object {
		return errType(path, "an object", got(d, n))
	}
	if v := d.Get(n, "search_context_size"); d.Present(v) {
		if err := checkEnum(d, v, path+".search_context_size", []string{"low", "medium", "high"}); err != nil {
			return err
		}
	}
	loc := d.Get(n, "user_location")
	switch {
	case !d.Present(loc):
		return nil
	case d.Kind(loc) != jsonx.Object:
		return errType(path+".user_location", "an object", got(d, loc))
	}
	typ := d.Get(loc, "type")
	if !d.Present(typ) {
		return errMissing(path + ".user_location.type")
	}
	if err := checkEnum(d, typ, path+".user_location.type", []string{"approximate"}); err != nil {
		return err
	}
	if a := d.Get(loc, "approximate"); d.Kind(a) != jsonx.Object {
		if !d.Present(a) {
			return errMissing(path + ".user_location.approximate")
		}
		return errType(path+".user_location.approximate", "an object", got(d, a))
	}
	return nil
}
