package translate

import (
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// validate goes through the stages of docs/PROTOCOL.md §2.1 as far as they need no state.
func (r *Request) validate(lim RequestLimits) *Error {
	d := &r.doc
	var model, input uint32
	for k, end := d.First(jsonx.Root), d.End(jsonx.Root); k < end; k = d.Next(k + 1) {
		p := paramByName(keyOf(d, k))
		switch p {
		case pUnknown:
			r.unknown = append(r.unknown, k)
			continue
		case pModel:
			model = k + 1
		case pInput:
			input = k + 1
		}
		if d.Kind(k+1) != jsonx.Null {
			r.params[p] = k + 1
		}
	}
	switch {
	case model == 0 && r.form == FormCount:
	case model == 0:
		return errMissing("model")
	case d.Kind(model) == jsonx.Null && r.form != FormCount:
		return errType("model", "a string", "an object")
	case d.Kind(model) == jsonx.Null:
	case d.Kind(model) != jsonx.String:
		return errType("model", "a string", got(d, model))
	case len(d.Str(model)) == 0:
		return errMissing("model")
	}
	switch {
	case input == 0 && r.form != FormCreate, d.Kind(input) == jsonx.Null && r.form != FormCreate:
	case input == 0:
		if k := r.unknownKey("messages"); k != 0 {
			return invalid("unsupported_parameter", "", "Unsupported parameter: 'messages'. In the Responses API, this "+
				"parameter has moved to 'input'. Send Chat Completions requests to /v1/chat/completions.")
		}
		return errMissing("input")
	case d.Kind(input) == jsonx.Null:
		return errType("input", "one of a string or array of input items", "an object")
	case r.unknownKey("messages") != 0:
		return invalid("unsupported_parameter", "", "Unsupported parameter: 'messages'. In the Responses API, this "+
			"parameter has moved to 'input'.")
	case r.has(pMultiAgent):
		return errUnknown("multi_agent")
	}
	for p := pInput; p < numParams; p++ {
		if p == pTools && (r.loads || r.has(pTools)) {
			if err := r.collectTools(nil); err != nil {
				return err
			}
		}
		if n := r.params[p]; n != 0 {
			if err := r.validateParam(p, n, lim); err != nil {
				return err
			}
		}
	}
	if r.has(pPreviousResponseID) && r.has(pConversation) {
		return invalid("mutually_exclusive_parameters", "", "Mutually exclusive parameters: ''. Ensure you are only "+
			"providing one of: 'pre..._id' or 'conversation'.") // the API's own shortening
	}
	return r.validateServed()
}

// validateServed refuses what this version cannot do at all: a clear error
// rather than a parameter that has no effect.
func (r *Request) validateServed() *Error {
	switch {
	case r.has(pPrompt):
		id := ""
		if n := r.doc.GetString(r.params[pPrompt], "id"); n != 0 {
			id = brief(r.doc.Text(n))
		}
		return &Error{Status: 404, Type: TypeInvalidRequest, Message: "Prompt with id '" + id + "' not found."}
	}
	return nil
}

// EmptyInput is the error for a request without any input. The API reports it
// after it has looked for the previous response, which makes up for it.
func (r *Request) EmptyInput() *Error {
	n := r.params[pInput]
	empty := n == 0 || r.doc.Kind(n) == jsonx.String && len(r.doc.Str(n)) == 0 ||
		r.doc.Kind(n) == jsonx.Array && len(r.items) == 0
	if !empty || r.has(pPreviousResponseID) || r.has(pConversation) {
		return nil
	}
	return invalid("missing_required_parameter", "",
		`One of "input" or "previous_response_id" or 'prompt' or 'conversation' must be provided.`)
}

func (r *Request) unknownKey(name string) uint32 {
	for _, k := range r.unknown {
		if r.doc.Is(k, name) {
			return k
		}
	}
	return 0
}

// Bounds of the API (docs/PROTOCOL.md §2.2, §5.6).
const (
	maxInputText       = 10_485_760 // characters of input as a string
	minOutputTokens    = 16
	maxTopLogprobs     = 20
	maxMetadataKeys    = 16
	maxMetadataKey     = 64
	maxMetadataValue   = 512
	maxHint            = 128 // characters of user, safety_identifier, …
	maxPromptCacheKey  = 1024
	maxFormatName      = 64
	minCompactTokens   = 1000
	maxResponseIDBytes = 128
)

// IncludeValues are the values of include (docs/PROTOCOL.md §2.4).
var includeValues = []string{
	"message.output_text.logprobs", "reasoning.encrypted_content", "message.input_image.image_url",
	"computer_call_output.output.image_url", "file_search_call.results", "web_search_call.results",
	"web_search_call.action.sources", "code_interpreter_call.outputs",
}

var (
	effortValues    = []string{"none", "minimal", "low", "medium", "high", "xhigh", "max"}
	summaryValues   = []string{"auto", "concise", "detailed"}
	contextValues   = []string{"auto", "current_turn", "all_turns"}
	verbosityValues = []string{"low", "medium", "high"}
	tierValues      = []string{"auto", "default", "fast", "flex", "priority", "scale", "ultrafast"}
)

func (r *Request) validateParam(p param, n uint32, lim RequestLimits) *Error {
	d, name := &r.doc, paramNames[p]
	switch p {
	case pInput:
		return r.validateInput(n, lim)
	case pPreviousResponseID:
		return r.validatePrevious(n)
	case pPrompt:
		if d.Kind(n) != jsonx.Object {
			return errType(name, "an object", got(d, n))
		}
		if id := d.Get(n, "id"); id == 0 {
			return errMissing("prompt.id")
		}
	case pModeration, pPromptCacheOptions, pAccessPrograms, pImage:
		if d.Kind(n) != jsonx.Object {
			return errType(name, "an object", got(d, n))
		}
	case pInclude:
		return r.validateInclude(n)
	case pToolChoice:
		return r.validateToolChoice(n)
	case pMetadata:
		return validateMetadata(d, n)
	case pText:
		return r.validateText(n)
	case pTemperature:
		return checkDecimal(d, n, name, 0, 2)
	case pTopP:
		return checkDecimal(d, n, name, 0, 1)
	case pPresencePenalty, pFrequencyPenalty:
		return checkDecimal(d, n, name, -2, 2)
	case pParallelToolCalls:
		return checkBool(d, n, name, &r.ParallelCalls)
	case pStream:
		return checkBool(d, n, name, &r.Stream)
	case pStreamOptions:
		return r.validateStreamOptions(n)
	case pBackground:
		return checkBool(d, n, name, &r.Background)
	case pStore:
		return checkBool(d, n, name, &r.Store)
	case pMaxOutputTokens:
		return checkInteger(d, n, name, minOutputTokens, 1<<53)
	case pMaxToolCalls:
		return checkInteger(d, n, name, 1, 1<<53)
	case pTopLogprobs:
		return checkInteger(d, n, name, 0, maxTopLogprobs)
	case pReasoning:
		return r.validateReasoning(n)
	case pUser, pSafetyIdentifier:
		return checkString(d, n, name, maxHint)
	case pPromptCacheKey:
		return checkString(d, n, name, maxPromptCacheKey)
	case pPromptCacheRetention:
		return checkEnum(d, n, name, []string{"in_memory", "in-memory", "24h"})
	case pTruncation:
		if err := checkEnum(d, n, name, []string{"auto", "disabled"}); err != nil {
			return err
		}
		r.TruncateAuto = d.Is(n, "auto")
	case pInstructions:
		if d.Kind(n) != jsonx.String {
			return errType(name, "a string", got(d, n))
		}
	case pServiceTier:
		return checkEnum(d, n, name, tierValues)
	case pContextManagement:
		return r.validateContextManagement(n)
	case pConversation:
		return r.validateConversation(n)
	case pLog:
		return checkBool(d, n, name, &r.Trace)
	}
	return nil
}

func checkBool(d *jsonx.Doc, n uint32, path string, to *bool) *Error {
	switch d.Kind(n) {
	case jsonx.True:
		*to = true
	case jsonx.False:
		*to = false
	default:
		return errType(path, "a boolean", got(d, n))
	}
	return nil
}

func checkString(d *jsonx.Doc, n uint32, path string, most int) *Error {
	if d.Kind(n) != jsonx.String {
		return errType(path, "a string", got(d, n))
	}
	if len(d.Str(n)) > most {
		if length := characters(d, n); length > most {
			return errTooLong(path, most, length)
		}
	}
	return nil
}

// characters counts the characters of a string.
func characters(d *jsonx.Doc, n uint32) int {
	if d.StrKind(n) == 0 {
		return len(d.Str(n))
	}
	return utf8.RuneCountInString(d.Text(n))
}

func checkEnum(d *jsonx.Doc, n uint32, path string, values []string) *Error {
	if d.Kind(n) != jsonx.String {
		return errType(path, "one of "+list(values, "or"), got(d, n))
	}
	for _, v := range values {
		if d.Is(n, v) {
			return nil
		}
	}
	return errValue(path, d.Text(n), values...)
}

func checkDecimal(d *jsonx.Doc, n uint32, path string, low, high float64) *Error {
	if d.Kind(n) != jsonx.Number {
		return errType(path, "a decimal", got(d, n))
	}
	f := d.Float(n)
	format := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
	switch {
	case f < low:
		return errRange(path, "decimal", "below", ">=", format(low), brief(string(d.Raw(n))))
	case f > high:
		return errRange(path, "decimal", "above", "<=", format(high), brief(string(d.Raw(n))))
	}
	return nil
}

func checkInteger(d *jsonx.Doc, n uint32, path string, low, high int64) *Error {
	if d.Kind(n) != jsonx.Number || !d.IsInteger(n) {
		return errType(path, "an integer", got(d, n))
	}
	v, ok := d.Int(n)
	switch {
	case ok && v < low, !ok && d.Raw(n)[0] == '-':
		return errRange(path, "integer", "below", ">=", strconv.FormatInt(low, 10), brief(string(d.Raw(n))))
	case !ok, v > high:
		return errRange(path, "integer", "above", "<=", strconv.FormatInt(high, 10), brief(string(d.Raw(n))))
	}
	return nil
}

func (r *Request) validatePrevious(n uint32) *Error {
	d := &r.doc
	if d.Kind(n) != jsonx.String {
		return errType("previous_response_id", "a string", got(d, n))
	}
	id := d.Str(n)
	if !ValidID(id) {
		return invalid("invalid_value", "previous_response_id", "Invalid 'previous_response_id': '"+brief(d.Text(n))+
			"'. Expected an ID that contains letters, numbers, underscores, or dashes, but this value contained additional characters.")
	}
	return nil
}

func (r *Request) validateConversation(n uint32) *Error {
	d, path := &r.doc, "conversation"
	switch d.Kind(n) {
	case jsonx.String:
	case jsonx.Object:
		path = "conversation.id"
		for k, end := d.First(n), d.End(n); k < end; k = d.Next(k + 1) {
			if !d.Is(k, "id") {
				return errUnknown("conversation." + brief(d.Text(k)))
			}
		}
		if n = d.Get(n, "id"); !d.Present(n) {
			return errMissing(path)
		}
		if d.Kind(n) != jsonx.String {
			return errType(path, "a string", got(d, n))
		}
	default:
		return errType(path, "one of a string or an object", got(d, n))
	}
	if !ValidID(d.Str(n)) {
		return invalid("invalid_value", path, "Invalid '"+path+"': '"+brief(d.Text(n))+
			"'. Expected an ID that contains letters, numbers, underscores, or dashes, but this value contained additional characters.")
	}
	r.conversation = n
	return nil
}

// ValidID reports whether an id has a form that ids may have: letters, digits,
// underscores and dashes, at most 128 of them.
func ValidID[T string | []byte](id T) bool {
	if len(id) == 0 || len(id) > maxResponseIDBytes {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if c|0x20 < 'a' || c|0x20 > 'z' {
			if (c < '0' || c > '9') && c != '_' && c != '-' {
				return false
			}
		}
	}
	return true
}

func (r *Request) validateInclude(n uint32) *Error {
	d := &r.doc
	if d.Kind(n) != jsonx.Array {
		return errType("include", "an array", got(d, n))
	}
	i := 0
	for v, end := d.First(n), d.End(n); v < end; v = d.Next(v) {
		if err := checkEnum(d, v, "include["+strconv.Itoa(i)+"]", includeValues); err != nil {
			return err
		}
		switch {
		case d.Is(v, "message.output_text.logprobs"):
			r.IncludeLogprobs = true
		case d.Is(v, "reasoning.encrypted_content"):
			r.IncludeEncrypted = true
		}
		i++
	}
	return nil
}

func validateMetadata(d *jsonx.Doc, n uint32) *Error {
	if d.Kind(n) != jsonx.Object {
		return errType("metadata", "a metadata object", got(d, n))
	}
	if count := d.Len(n); count > maxMetadataKeys {
		return invalid("object_above_max_properties", "metadata", fmt.Sprintf("Invalid 'metadata': too many properties. "+
			"Expected an object with at most %d properties, but got an object with %d properties instead.", maxMetadataKeys, count))
	}
	for k, end := d.First(n), d.End(n); k < end; k = d.Next(k + 1) {
		if length := characters(d, k); length > maxMetadataKey {
			key := []rune(d.Text(k))
			return invalid("property_name_above_max_length", "metadata", fmt.Sprintf("Invalid property name in 'metadata': "+
				"'%s...%s' is too long. Expected a string with maximum length %d, but got a string with length %d instead.",
				string(key[:3]), string(key[len(key)-3:]), maxMetadataKey, length))
		}
		if err := checkString(d, k+1, "metadata."+d.Text(k), maxMetadataValue); err != nil {
			return err
		}
	}
	return nil
}

func (r *Request) validateText(n uint32) *Error {
	d := &r.doc
	if d.Kind(n) != jsonx.Object {
		return errType("text", "an object", got(d, n))
	}
	if v := d.Get(n, "verbosity"); d.Present(v) {
		if err := checkEnum(d, v, "text.verbosity", verbosityValues); err != nil {
			return err
		}
	}
	if f := d.Get(n, "format"); d.Present(f) {
		return checkTextFormat(d, f, "text.format")
	}
	return nil
}

// checkTextFormat checks a text.format, which stands at that path.
func checkTextFormat(d *jsonx.Doc, f uint32, path string) *Error {
	if d.Kind(f) != jsonx.Object {
		return errType(path, "an object", got(d, f))
	}
	kind := d.Get(f, "type")
	switch {
	case !d.Present(kind):
		return errMissing(path + ".type")
	case d.Is(kind, "text"), d.Is(kind, "json_object"):
		return nil
	case !d.Is(kind, "json_schema"):
		return checkEnum(d, kind, path+".type", []string{"json_object", "json_schema", "text"})
	}
	name := d.Get(f, "name")
	if !d.Present(name) {
		return errMissing(path + ".name")
	}
	if err := checkString(d, name, path+".name", maxFormatName); err != nil {
		return err
	}
	if s := d.Text(name); !ValidID(s) {
		return errPattern(path + ".name")
	}
	schema := d.Get(f, "schema")
	if !d.Present(schema) {
		return errMissing(path + ".schema")
	}
	if d.Kind(schema) != jsonx.Object {
		return errType(path+".schema", "an object", got(d, schema))
	}
	if strict := d.Get(f, "strict"); d.Present(strict) {
		var b bool
		return checkBool(d, strict, path+".strict", &b)
	}
	return nil
}

func (r *Request) validateStreamOptions(n uint32) *Error {
	d := &r.doc
	if d.Kind(n) != jsonx.Object {
		return errType("stream_options", "an object", got(d, n))
	}
	for k, end := d.First(n), d.End(n); k < end; k = d.Next(k + 1) {
		if !d.Is(k, "include_obfuscation") {
			return errUnknown("stream_options." + brief(d.Text(k)))
		}
		if d.Present(k + 1) {
			if err := checkBool(d, k+1, "stream_options.include_obfuscation", &r.Obfuscation); err != nil {
				return err
			}
			r.HasObfuscation = true
		}
	}
	if !r.Stream {
		return invalid("invalid_value", "stream_options", "The 'stream_options' parameter is only allowed when 'stream' is enabled.")
	}
	return nil
}

func (r *Request) validateReasoning(n uint32) *Error {
	d := &r.doc
	if d.Kind(n) != jsonx.Object {
		return errType("reasoning", "an object", got(d, n))
	}
	for k, end := d.First(n), d.End(n); k < end; k = d.Next(k + 1) {
		v := k + 1
		if !d.Present(v) {
			continue
		}
		var err *Error
		switch {
		case d.Is(k, "effort"):
			err = checkEnum(d, v, "reasoning.effort", effortValues)
		case d.Is(k, "summary"):
			err = checkEnum(d, v, "reasoning.summary", summaryValues)
			r.SummaryWanted = true
		case d.Is(k, "generate_summary"):
			err = checkEnum(d, v, "reasoning.generate_summary", summaryValues)
			r.SummaryWanted = true
		case d.Is(k, "context"):
			err = checkEnum(d, v, "reasoning.context", contextValues)
		case d.Is(k, "mode"):
			err = checkString(d, v, "reasoning.mode", maxHint)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *Request) validateContextManagement(n uint32) *Error {
	d := &r.doc
	if d.Kind(n) != jsonx.Array {
		return errType("context_management", "an array of objects", got(d, n))
	}
	if d.Len(n) == 0 {
		return errEmptyArray("context_management")
	}
	i := 0
	for v, end := d.First(n), d.End(n); v < end; v = d.Next(v) {
		path := "context_management[" + strconv.Itoa(i) + "]"
		if d.Kind(v) != jsonx.Object {
			return errType(path, "an object", got(d, v))
		}
		kind := d.Get(v, "type")
		if !d.Present(kind) {
			return errMissing(path + ".type")
		}
		if err := checkEnum(d, kind, path+".type", []string{"compaction"}); err != nil {
			return err
		}
		if t := d.Get(v, "compact_threshold"); d.Present(t) {
			if err := checkInteger(d, t, path+".compact_threshold", minCompactTokens, 1<<53); err != nil {
				return err
			}
		}
		i++
	}
	return nil
}
