package translate

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// UpstreamError makes the API's error out of what a chat backend answered with a
// status other than 200 (SPEC §5.6). Backends put the message in "error" as an
// object or a string, in "message", "detail" or "base_resp", or send plain text
// or HTML; the names of request keys in it are those of the chat API.
func UpstreamError(status int, body []byte) *Error {
	var d jsonx.Doc
	if err := d.Parse(body, upstreamLimits); err == nil {
		if root := d.Kind(jsonx.Root); root == jsonx.Object || root == jsonx.Array && d.Kind(d.First(jsonx.Root)) == jsonx.Object {
			return upstreamErrorAt(&d, errorRoot(&d), status)
		}
	}
	e := &Error{Status: status, Origin: OriginUpstream}
	text := strings.TrimSpace(strings.ToValidUTF8(string(body[:min(len(body), 4096)]), "\ufffd"))
	switch {
	case status < 400:
		if strings.HasPrefix(text, "<") {
			text = ""
		}
		e.Message = ellipsis(text, 500)
	case text == "" || strings.HasPrefix(text, "<"):
		e.Message = "The upstream answered with HTTP status " + strconv.Itoa(status) + " and no error message."
	default:
		e.Message = "The upstream answered with HTTP status " + strconv.Itoa(status) + ": " + ellipsis(text, 500)
	}
	return e.settle()
}

// IsRefusal reports whether what came with status 200 is an error all the same: a
// whole reply, or the data of an event.
func IsRefusal(body []byte) bool {
	var d jsonx.Doc
	if d.Parse(body, upstreamLimits) != nil {
		return false
	}
	root := errorRoot(&d)
	if d.Kind(root) != jsonx.Object {
		return false
	}
	if e := d.Get(root, "error"); d.Present(e) && d.Kind(e) != jsonx.False && !emptyString(&d, e) {
		return true
	}
	if code, ok := d.Int(d.Get(d.Get(root, "base_resp"), "status_code")); ok && code != 0 {
		return true
	}
	return !d.Present(d.Get(root, "choices")) && !d.Present(d.Get(root, "usage")) &&
		(d.Present(d.Get(root, "message")) || d.Present(d.Get(root, "detail")) || d.Present(d.Get(root, "code")))
}

// upstreamErrorIn reads the error in a chunk of a stream, which has no status.
func upstreamErrorIn(d *jsonx.Doc) *Error { return upstreamErrorAt(d, errorRoot(d), 0) }

// errorRoot is where the object is that has the error: Gemini puts it in a list.
func errorRoot(d *jsonx.Doc) uint32 {
	if d.Kind(jsonx.Root) == jsonx.Array && d.Len(jsonx.Root) > 0 {
		return d.First(jsonx.Root)
	}
	return jsonx.Root
}

// upstreamErrorAt reads the error in the object at root.
func upstreamErrorAt(d *jsonx.Doc, root uint32, status int) *Error {
	e := &Error{Status: status, Origin: OriginUpstream}
	n := d.Get(root, "error")
	switch d.Kind(n) {
	case jsonx.Object:
	case jsonx.String:
		e.Message = d.Text(n)
		n = root
	default:
		n = root
	}
	member := func(key string) string {
		switch v := d.Get(n, key); d.Kind(v) {
		case jsonx.String:
			return d.Text(v)
		case jsonx.Number:
			return string(d.Raw(v))
		}
		return ""
	}
	if e.Message == "" {
		e.Message = member("message")
	}
	detail := d.Get(n, "detail")
	if v := d.Get(n, "message"); d.Kind(v) == jsonx.Object { // Mistral's, of keys that it does not know
		detail = d.Get(v, "detail")
	}
	if e.Message == "" {
		switch d.Kind(detail) {
		case jsonx.String:
			e.Message = d.Text(detail)
		case jsonx.Array, jsonx.Object: // FastAPI's list of faults
			e.Message = ellipsis(string(jsonx.AppendCompact(nil, d.Raw(detail))), 500)
		}
	}
	if resp := d.Get(n, "base_resp"); e.Message == "" && resp != 0 {
		if msg := d.GetString(resp, "status_msg"); msg != 0 {
			e.Message = d.Text(msg)
		}
		if code, ok := d.Int(d.Get(resp, "status_code")); ok && e.Status < 400 {
			e.Status, e.Code = baseRespStatus(code)
		}
	}
	e.Type, e.Param = member("type"), member("param")
	if code := member("code"); code != "" {
		e.Code = code
	}
	if e.Code == "None" {
		e.Code = ""
	}
	if e.Type == "error" { // the name of the event that it stands in
		e.Type = ""
	}
	if code, err := strconv.Atoi(e.Code); err == nil { // a number says what the status says
		if e.Status == 0 && code >= 400 && code < 600 {
			e.Status = code
		}
		if e.Status == 0 {
			e.Status = numberedStatus(code)
		}
		e.Code = ""
	}
	if code, err := strconv.Atoi(member("http_code")); err == nil && e.Status == 0 && code >= 400 && code < 600 {
		e.Status = code // MiniMax
	}
	if e.Status == 0 {
		e.Status = wordStatus(member("status")) // Google
	}
	if e.Message == "" {
		e.Message = noMessage
	}
	e.Message = ellipsis(e.Message, 2000)
	return e.settle()
}

// noMessage is the message of an error that has none.
const noMessage = "The upstream reported an error without a message."

func ellipsis(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return clip(s, most) + "…"
}

// settle fills in what the backend left out, and gives the cases that clients
// handle in their own way the names that they look for.
func (e *Error) settle() *Error {
	e.Param = responsesParam(e.Param)
	switch {
	case e.isContextOverflow():
		e.Code, e.Type, e.Param = "context_length_exceeded", TypeInvalidRequest, "input"
		if e.Status < 400 || e.Status >= 500 || e.Status == 413 {
			e.Status = 400
		}
		return e
	case e.isUnknownModel():
		e.Status, e.Type, e.Code, e.Param = 400, TypeInvalidRequest, "model_not_found", "model"
		return e
	}
	if e.Status == 0 {
		e.Status = statusOf(e)
	}
	switch {
	case e.Status < 400: // a redirect, or a success that is none
		e.Message = strings.TrimSpace("The upstream answered with HTTP status " + strconv.Itoa(e.Status) +
			", which is no reply to a chat request. " + e.Message)
		e.Status, e.Type = 502, TypeServer
	case e.Type != "" && e.Type != "None" && e.Type != "api_error": // which ollama says of every fault
	case e.Status == 401:
		e.Type = TypeAuthentication
	case e.Status == 403:
		e.Type = TypePermission
	case e.Status == 404:
		e.Type = TypeNotFound
	case e.Status == 429:
		e.Type = TypeRateLimit
	case e.Status >= 500:
		e.Type = TypeServer
	default:
		e.Type = TypeInvalidRequest
	}
	if e.Code == "" {
		switch {
		case e.Status == 429 && e.Type == "insufficient_quota":
			e.Code = "insufficient_quota"
		case e.Status == 429:
			e.Code = "rate_limit_exceeded"
		case e.Status >= 500:
			e.Code = "server_error"
		}
	}
	return e
}

// statusOf guesses the HTTP status of an error that came with status 200: in a
// stream, or as a whole reply.
func statusOf(e *Error) int {
	if status := wordStatus(e.Type); status != 0 {
		return status
	}
	if status := wordStatus(e.Code); status != 0 {
		return status
	}
	return 502
}

// statusWords are how names of errors begin, in lower case and without underscores,
// and the HTTP status that goes with them. OpenAI's and Anthropic's are types
// (platform.openai.com/docs/guides/error-codes, docs.anthropic.com/en/api/errors),
// DashScope's are codes (alibabacloud.com/help/model-studio/error-code), Google's stand
// in "status" (google.rpc.Code).
var statusWords = []struct {
	prefix string
	status int
}{
	{"invalidrequest", 400}, {"badrequest", 400}, {"invalidparameter", 400}, {"invalidargument", 400}, {"failedprecondition", 400},
	{"datainspectionfailed", 400}, {"invalidprompt", 400},
	{"authentication", 401}, {"invalidapikey", 401}, {"unauthenticated", 401},
	{"permission", 403}, {"accessdenied", 403},
	{"notfound", 404}, {"modelnotfound", 404},
	{"ratelimit", 429}, {"throttling", 429}, {"resourceexhausted", 429}, {"insufficientquota", 429}, {"requests", 429}, {"tokens", 429},
	{"overloaded", 503}, {"unavailable", 503}, {"serviceunavailable", 503},
}

func wordStatus(word string) int {
	if word == "" {
		return 0
	}
	word = strings.ReplaceAll(strings.ToLower(word), "_", "")
	for _, w := range statusWords {
		if strings.HasPrefix(word, w.prefix) {
			return w.status
		}
	}
	return 0
}

// baseRespStatus is what MiniMax's code of an error means, which comes with status
// 200: https://platform.minimax.io/docs/api-reference/errorcode
func baseRespStatus(n int64) (status int, code string) {
	switch n {
	case 1001: // request timeout
		return 504, ""
	case 1002, 1039, 1041, 2045: // rates of requests, tokens, connections and growth
		return 429, ""
	case 1008, 2056: // the balance, the plan
		return 429, "insufficient_quota"
	case 1004, 2049:
		return 401, ""
	}
	if n == 1026 || n == 1027 || n == 1042 || n >= 2000 { // what is in the request, or in the answer
		return 400, ""
	}
	return 502, ""
}

// numberedStatus is what GLM's numbers mean where no status comes with them:
// https://docs.z.ai/api-reference/api-code
func numberedStatus(n int) int {
	switch {
	case n >= 1000 && n <= 1004:
		return 401
	case n == 1220:
		return 403
	case n >= 1210 && n <= 1215, n == 1261, n == 1301:
		return 400
	case n == 1113, n >= 1302 && n <= 1313:
		return 429
	}
	return 0
}

// contextWords are how backends say that the context is full: lower case.
var contextWords = []string{
	"maximum context length", "context length exceeded", "context_length_exceeded", "context window",
	"exceeds the available context size", "exceed_context_size", "prompt is too long", "input is too long",
	"longer than the model's context", "exceeds maximum context", "exceeds the model's maximum",
	"is longer than the maximum model length", "reduce the length of the messages",
	"maximum prompt length", "maximum number of tokens allowed", "`inputs` tokens + `max_new_tokens`",
	"exceeded model token limit", "range of input length should be", "prompt exceeds max length",
	"model is loaded with context length",
}

func (e *Error) isContextOverflow() bool {
	if e.Code == "context_length_exceeded" || e.Type == "exceed_context_size_error" {
		return true
	}
	if e.Status == 401 || e.Status == 403 || e.Status == 429 {
		return false
	}
	msg := strings.ToLower(e.Message)
	for _, w := range contextWords {
		if strings.Contains(msg, w) {
			return true
		}
	}
	return false
}

func (e *Error) isUnknownModel() bool {
	if e.Code == "model_not_found" {
		return true
	}
	if e.Status != 404 && e.Status != 400 {
		return false
	}
	msg := strings.ToLower(e.Message)
	return strings.Contains(msg, "model") &&
		(strings.Contains(msg, "not found") || strings.Contains(msg, "does not exist") || strings.Contains(msg, "unknown model"))
}

// ContextOverflow reports whether the error says that the context is full.
func (e *Error) ContextOverflow() bool { return e.Code == "context_length_exceeded" }

// responsesParam gives a key of the chat API the name that it has in the
// Responses API.
func responsesParam(p string) string {
	switch p {
	case "", "None", "null":
		return ""
	case "max_tokens", "max_completion_tokens":
		return "max_output_tokens"
	case "reasoning_effort":
		return "reasoning.effort"
	case "verbosity":
		return "text.verbosity"
	case "tool_choice.function.name":
		return "tool_choice.name"
	}
	switch {
	case p == "messages" || strings.HasPrefix(p, "messages.") || strings.HasPrefix(p, "messages["):
		return "input"
	case p == "response_format" || strings.HasPrefix(p, "response_format."):
		p = "text.format" + strings.TrimPrefix(p, "response_format")
		return strings.Replace(p, ".json_schema", "", 1)
	case strings.HasPrefix(p, "tools"):
		return strings.Replace(p, ".function", "", 1)
	}
	return p
}

// numbersIn finds the numbers of a message, such as "maximum context length is
// 8192 tokens, but you asked for 9000".
func numbersIn(msg []byte) (found []int64) {
	for len(msg) > 0 {
		i := bytes.IndexAny(msg, "0123456789")
		if i < 0 {
			break
		}
		msg = msg[i:]
		n := 0
		for n < len(msg) && (msg[n] >= '0' && msg[n] <= '9' || msg[n] == ',' && n+1 < len(msg) && msg[n+1] >= '0' && msg[n+1] <= '9') {
			n++
		}
		if v, err := strconv.ParseInt(strings.ReplaceAll(string(msg[:n]), ",", ""), 10, 64); err == nil {
			found = append(found, v)
		}
		msg = msg[n:]
	}
	return found
}
