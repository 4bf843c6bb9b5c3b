package translate

import (
	"strconv"
	"strings"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// The response object (docs/PROTOCOL.md §5.1) has two kinds of members: those that change
// while the response runs, and the echo of the request, which is written once
// and copied into every event that carries the object.

// finalFields are the members that change.
type finalFields struct {
	status      string // queued, in_progress, completed, incomplete, failed, cancelled
	completedAt int64  // Unix seconds; 0 for null
	stored      bool
}

// appendResponse appends the response object.
func (t *Turn) appendResponse(dst []byte, f finalFields) []byte {
	running := f.status == "in_progress" || f.status == "queued"
	t.responseAt = len(dst)
	dst = append(dst, `{"id":"`...)
	dst = append(dst, t.id...)
	dst = append(dst, `","object":"response","created_at":`...)
	dst = strconv.AppendInt(dst, t.opt.Created, 10)
	dst = append(dst, `,"status":"`...)
	dst = append(dst, f.status...)
	dst = append(dst, `","completed_at":`...)
	if f.completedAt != 0 {
		dst = strconv.AppendInt(dst, f.completedAt, 10)
	} else {
		dst = append(dst, "null"...)
	}
	dst = append(dst, `,"error":`...)
	if t.failure != nil {
		dst = t.appendFailure(dst)
	} else {
		dst = append(dst, "null"...)
	}
	dst = append(dst, `,"incomplete_details":`...)
	if f.status == "incomplete" {
		dst = append(dst, `{"reason":"`...)
		dst = append(dst, t.cutShort...)
		dst = append(dst, `"}`...)
	} else {
		dst = append(dst, "null"...)
	}
	dst = append(dst, `,"model":`...)
	dst = append(dst, t.opt.Request.modelRaw()...)
	dst = append(dst, `,"output":[`...)
	t.outputAt = len(dst) - 1
	if !running {
		dst = t.appendOutput(dst)
	}
	dst = append(dst, `],"usage":`...)
	t.outputEnd = len(dst) - len(`,"usage":`)
	if !running && t.usage.known {
		dst = t.usage.append(dst)
	} else {
		dst = append(dst, "null"...)
	}
	dst = append(dst, `,"service_tier":"`...)
	switch {
	case running:
		if n := t.opt.Request.params[pServiceTier]; tierKnown(&t.opt.Request.doc, n) { // as it was asked for
			dst = append(dst, t.opt.Request.doc.Str(n)...)
		} else {
			dst = append(dst, "auto"...)
		}
	case len(t.tier) > 0:
		dst = append(dst, t.tier...)
	default:
		dst = append(dst, "default"...)
	}
	dst = append(dst, `","store":`...)
	dst = strconv.AppendBool(dst, f.stored)
	if n := t.opt.Request.conversation; n != 0 {
		if t.apart {
			dst = append(dst, `,"conversation":null`...)
		} else {
			dst = append(dst, `,"conversation":{"id":`...)
			dst = append(dst, t.opt.Request.doc.Raw(n)...)
			dst = append(dst, '}')
		}
	}
	dst = append(dst, t.echo...)
	dst = append(dst, '}')
	t.responseEnd = len(dst)
	return dst
}

func (r *Request) modelRaw() []byte { return r.doc.Raw(r.params[pModel]) }

// appendFailure appends response.error, which has the code first and never null.
func (t *Turn) appendFailure(dst []byte) []byte {
	e := t.failure
	dst = append(dst, `{"code":`...)
	dst = jsonx.AppendString(dst, e.eventCode())
	dst = append(dst, `,"message":`...)
	dst = jsonx.AppendString(dst, e.Message)
	dst = append(dst, `,"type":`...)
	dst = jsonx.AppendString(dst, e.Type)
	dst = append(dst, `,"param":`...)
	dst = appendStringOrNull(dst, e.Param)
	return append(dst, '}')
}

// plainEcho is the echo of a request that sets nothing but model and input.
const plainEcho = `,"background":false,"frequency_penalty":0,"instructions":null,"max_output_tokens":null,` +
	`"max_tool_calls":null,"metadata":{},"parallel_tool_calls":true,"presence_penalty":0,` +
	`"previous_response_id":null,"prompt_cache_key":null,"prompt_cache_retention":null,` +
	`"reasoning":{"effort":null,"summary":null},"safety_identifier":null,"temperature":1,` +
	`"text":{"format":{"type":"text"},"verbosity":"medium"},"tool_choice":"auto","tools":[],` +
	`"top_logprobs":0,"top_p":1,"truncation":"disabled","user":null,` +
	`"access_programs":null,"moderation":null`

// echoed are the parameters that the response object repeats, in the order of
// plainEcho, with what stands there when they are absent.
var echoed = []struct {
	param  param
	absent string
}{
	{pFrequencyPenalty, "0"},
	{pInstructions, "null"},
	{pMaxOutputTokens, "null"},
	{pMaxToolCalls, "null"},
	{pMetadata, "{}"},
	{pParallelToolCalls, "true"},
	{pPresencePenalty, "0"},
	{pPreviousResponseID, "null"},
	{pPromptCacheKey, "null"},
	{pPromptCacheRetention, "null"},
	{pReasoning, `{"effort":null,"summary":null}`},
	{pSafetyIdentifier, "null"},
	{pTemperature, "1"},
	{pText, `{"format":{"type":"text"},"verbosity":"medium"}`},
	{pToolChoice, `"auto"`},
	{pTools, "[]"},
	{pTopLogprobs, "0"},
	{pTopP, "1"},
	{pTruncation, `"disabled"`},
	{pUser, "null"},
}

// appendEcho appends the echo of the request: ,"key":value for each member that
// does not change. It has no line ends.
func (r *Request) appendEcho(dst []byte) []byte {
	plain := !r.has(pPromptCacheOptions) && !r.Background
	for _, e := range echoed {
		if r.params[e.param] != 0 {
			plain = false
			break
		}
	}
	if plain {
		return append(dst, plainEcho...)
	}
	d := &r.doc
	dst = append(dst, `,"background":`...)
	dst = strconv.AppendBool(dst, r.Background)
	for _, e := range echoed {
		dst = append(dst, ',', '"')
		dst = append(dst, paramNames[e.param]...)
		dst = append(dst, '"', ':')
		n := r.params[e.param]
		switch {
		case n == 0:
			dst = append(dst, e.absent...)
		case e.param == pReasoning:
			dst = r.echoReasoning(dst, n)
		case e.param == pText:
			dst = r.echoText(dst, n)
		case e.param == pTools:
			dst = r.echoTools(dst, n)
		case e.param == pToolChoice:
			dst = appendShown(dst, d, n, scopeTool)
		default:
			dst = d.AppendMultiline(dst, n)
		}
	}
	if n := r.params[pPromptCacheOptions]; n != 0 {
		dst = append(dst, `,"prompt_cache_options":`...)
		dst = d.AppendMultiline(dst, n)
	}
	return append(dst, `,"access_programs":null,"moderation":null`...)
}

func (r *Request) echoMember(dst []byte, object uint32, key, absent string) []byte {
	if n := r.doc.Get(object, key); r.doc.Present(n) {
		return r.doc.AppendMultiline(dst, n)
	}
	return append(dst, absent...)
}

func (r *Request) echoReasoning(dst []byte, n uint32) []byte {
	d := &r.doc
	dst = append(dst, `{"effort":`...)
	dst = r.echoMember(dst, n, "effort", "null")
	dst = append(dst, `,"summary":`...)
	if s := d.Get(n, "generate_summary"); !d.Present(d.Get(n, "summary")) && d.Present(s) {
		dst = append(dst, d.Raw(s)...)
	} else {
		dst = r.echoMember(dst, n, "summary", "null")
	}
	for _, key := range []string{"context", "mode"} {
		if v := d.Get(n, key); d.Present(v) {
			dst = append(dst, ',', '"')
			dst = append(dst, key...)
			dst = append(dst, '"', ':')
			dst = append(dst, d.Raw(v)...)
		}
	}
	return append(dst, '}')
}

func (r *Request) echoText(dst []byte, n uint32) []byte {
	dst = append(dst, `{"format":`...)
	dst = r.echoMember(dst, n, "format", `{"type":"text"}`)
	dst = append(dst, `,"verbosity":`...)
	dst = r.echoMember(dst, n, "verbosity", `"medium"`)
	return append(dst, '}')
}

// echoTools repeats the tools, without their credentials. A function gets the members that readers require, a custom
// tool its default format,
// and "strict" says what was really asked of the backend.
func (r *Request) echoTools(dst []byte, n uint32) []byte {
	d := &r.doc
	dst = append(dst, '[')
	for v, end := d.First(n), d.End(n); v < end; v = d.Next(v) {
		if dst[len(dst)-1] != '[' {
			dst = append(dst, ',')
		}
		if !d.Is(d.Get(v, "type"), "function") {
			dst = appendShown(dst, d, v, scopeTool)
			if d.Is(d.Get(v, "type"), "custom") && d.Get(v, "format") == 0 {
				dst = append(dst[:len(dst)-1], `,"format":{"type":"text"}}`...)
			}
			continue
		}
		dst = append(dst, `{"type":"function","name":`...)
		dst = append(dst, d.Raw(d.Get(v, "name"))...)
		dst = append(dst, `,"description":`...)
		dst = r.echoMember(dst, v, "description", "null")
		dst = append(dst, `,"parameters":`...)
		dst = r.echoMember(dst, v, "parameters", "null")
		dst = append(dst, `,"strict":`...)
		dst = r.echoMember(dst, v, "strict", "false")
		for k, kend := d.First(v), d.End(v); k < kend; k = d.Next(k + 1) {
			switch string(keyOf(d, k)) {
			case "type", "name", "description", "parameters", "strict":
				continue
			}
			if d.Present(k+1) && scopeFunction.isShown(d, k) {
				dst = scopeFunction.appendMember(append(dst, ','), d, k)
			}
		}
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

// usage is what a backend reports of tokens.
type usage struct {
	known                      bool
	input, cached, cacheWrites int64
	output, reasoning, total   int64
}

// plus adds what else was used.
func (u *usage) plus(v *usage) {
	if !v.known {
		return
	}
	u.known = true
	u.input += v.input
	u.cached += v.cached
	u.cacheWrites += v.cacheWrites
	u.output += v.output
	u.reasoning += v.reasoning
	u.total += v.total
}

// append appends the usage object (docs/PROTOCOL.md §5.3), complete: some readers fail on
// half of one.
func (u *usage) append(dst []byte) []byte {
	dst = append(dst, `{"input_tokens":`...)
	dst = strconv.AppendInt(dst, u.input, 10)
	dst = append(dst, `,"input_tokens_details":{"cached_tokens":`...)
	dst = strconv.AppendInt(dst, u.cached, 10)
	dst = append(dst, `,"cache_write_tokens":`...)
	dst = strconv.AppendInt(dst, u.cacheWrites, 10)
	dst = append(dst, `},"output_tokens":`...)
	dst = strconv.AppendInt(dst, u.output, 10)
	dst = append(dst, `,"output_tokens_details":{"reasoning_tokens":`...)
	dst = strconv.AppendInt(dst, u.reasoning, 10)
	dst = append(dst, `},"total_tokens":`...)
	dst = strconv.AppendInt(dst, u.total, 10)
	return append(dst, '}')
}

// add adds another exchange that belongs to the same response.
func (u *usage) add(d *jsonx.Doc, n uint32) {
	var more usage
	if more.read(d, n); !more.known || !u.known {
		return
	}
	u.input, u.output, u.total = u.input+more.input, u.output+more.output, u.total+more.total
	u.cached, u.cacheWrites, u.reasoning = u.cached+more.cached, u.cacheWrites+more.cacheWrites, u.reasoning+more.reasoning
}

// The names that backends have for counts of tokens.
var (
	inputCounts  = []string{"prompt_tokens", "input_tokens", "prompt_eval_count", "promptTokenCount", "inputTokens", "promptTokens", "prompt_token_count", "input_token_count"}
	outputCounts = []string{"completion_tokens", "output_tokens", "eval_count", "candidatesTokenCount", "outputTokens", "completionTokens", "candidates_token_count", "output_token_count", "generated_tokens"}
	totalCounts  = []string{"total_tokens", "totalTokenCount", "totalTokens", "total_token_count"}
	cachedCounts = []string{"prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens", "cachedContentTokenCount", "cached_content_token_count"}
	thoughtCount = []string{"reasoning_tokens", "thoughtsTokenCount", "thoughts_token_count"}
)

// read reads a usage object of a backend, of either API and in any of the dialects. One
// without a count is none: it changes nothing, and counts is false.
func (u *usage) read(d *jsonx.Doc, n uint32) (counts bool) {
	if d.Kind(n) != jsonx.Object ||
		firstCount(d, n, inputCounts...) == 0 && firstCount(d, n, outputCounts...) == 0 && firstCount(d, n, totalCounts...) == 0 {
		return false
	}
	u.known = true
	u.input = firstCount(d, n, inputCounts...)
	u.output = firstCount(d, n, outputCounts...)
	in, out := d.Get(n, "prompt_tokens_details"), d.Get(n, "completion_tokens_details")
	if in == 0 && out == 0 { // in the words of the Responses API
		in, out = d.Get(n, "input_tokens_details"), d.Get(n, "output_tokens_details")
	}
	u.cached, u.cacheWrites = firstCount(d, in, "cached_tokens"), firstCount(d, in, "cache_write_tokens")
	if u.cached == 0 {
		u.cached = firstCount(d, n, cachedCounts...)
		if d.Get(n, "prompt_tokens") == 0 && d.Get(n, "cache_read_input_tokens") != 0 { // Anthropic counts them apart
			u.cacheWrites = firstCount(d, n, "cache_creation_input_tokens")
			u.input += u.cached + u.cacheWrites
		}
	}
	u.reasoning = firstCount(d, out, "reasoning_tokens")
	if u.reasoning == 0 {
		u.reasoning = firstCount(d, n, thoughtCount...)
	}
	// Some count thoughts in the total only. They are output.
	u.total = max(firstCount(d, n, totalCounts...), u.input+u.output)
	u.output = u.total - u.input
	return true
}

// firstCount is the first of the members that is there, as a count: what is no
// sensible number counts as 0. A number may stand in a string.
func firstCount(d *jsonx.Doc, n uint32, keys ...string) int64 {
	for _, key := range keys {
		var f float64
		switch v := d.Get(n, key); d.Kind(v) {
		case jsonx.Number:
			f = d.Float(v)
		case jsonx.String:
			var err error
			if f, err = strconv.ParseFloat(strings.TrimSpace(d.Text(v)), 64); err != nil {
				continue
			}
		default:
			continue
		}
		if f >= 0 && f <= 1e15 { // not so: NaN
			return int64(f)
		}
		return 0
	}
	return 0
}
