package translate

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// UpstreamError makes the API's error out of what a chat backend answered with a
// status other than 200, or with 0 what came in place of a reply. The backend's words are
// found wherever they stand: see errorWords. The names of request keys in them are those
// of the chat API.
func UpstreamError(status int, body []byte) *Error {
	body = bytes.TrimPrefix(bytes.TrimSpace(body), []byte("\xef\xbb\xbf"))
	var d jsonx.Doc
	parsed := d.Parse(body, lenientLimits) == nil
	if !parsed && len(body) > 0 && (body[0] == '{' || body[0] == '[') && len(body) <= maxWords {
		parsed = d.Parse(jsonx.AppendStrict(nil, jsonx.AppendMended(nil, body)), lenientLimits) == nil
	}
	if parsed {
		switch d.Kind(jsonx.Root) {
		case jsonx.Object, jsonx.Array:
			return upstreamErrorAt(&d, errorRoot(&d), status)
		case jsonx.String:
			body = []byte(d.Text(jsonx.Root))
		}
	}
	e := &Error{Status: status, Origin: OriginUpstream}
	text := printable(body, 500)
	switch {
	case status == 0 && isMarkup(body):
		e.Message = "The upstream sent an HTML page rather than a reply."
		if text != "" {
			e.Message = "The upstream sent an HTML page rather than a reply: " + text
		}
	case status == 0 && text == "":
		e.Message = "The upstream sent a reply that is empty."
	case status == 0 && len(text) >= 5 && strings.EqualFold(text[:5], "error"):
		e.Message = text
	case status == 0:
		e.Message = "The upstream sent a reply that is not JSON: " + text
	case status < 400:
		e.Message = text
		if isMarkup(body) {
			e.Message = ""
		}
	case text == "":
		e.Message = "The upstream answered with HTTP status " + strconv.Itoa(status) + " and no error message."
	default:
		e.Message = "The upstream answered with HTTP status " + strconv.Itoa(status) + ": " + text
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
	if inner, packed := envelope(&d, root); inner != 0 || packed != nil {
		return false
	}
	if isFault(&d, d.Get(root, "error")) {
		return true
	}
	if code, ok := d.Int(d.Get(d.Get(root, "base_resp"), "status_code")); ok && code != 0 {
		return true
	}
	if choices := d.Get(root, "choices"); d.Present(choices) {
		c := d.First(choices)
		return d.Kind(choices) == jsonx.Array && d.Len(choices) == 1 && d.Kind(c) == jsonx.Object && isFault(&d, d.Get(c, "error"))
	}
	for k, end := d.First(root), d.End(root); k < end; k = d.Next(k + 1) {
		if oddMember(&d, k) {
			return !d.Present(d.Get(root, "usage"))
		}
	}
	return false
}

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
	e.Message = errorWords(d, root, 0)
	n := d.Get(root, "error")
	switch d.Kind(n) {
	case jsonx.Object:
		if inner := d.Get(n, "error"); d.Kind(inner) == jsonx.Object {
			n = inner
		}
	case jsonx.Array:
		if d.Len(n) > 0 && d.Kind(d.First(n)) == jsonx.Object {
			n = d.First(n)
		} else {
			n = root
		}
	default:
		n = root
		for _, key := range [...]string{"errors", "detail"} {
			if v := d.Get(root, key); d.Kind(v) == jsonx.Object {
				n = v
			} else if d.Kind(v) == jsonx.Array && d.Len(v) > 0 && d.Kind(d.First(v)) == jsonx.Object && key == "errors" {
				n = d.First(v)
			}
		}
	}
	member := func(keys ...string) string {
		for _, key := range keys {
			switch v := d.Get(n, key); d.Kind(v) {
			case jsonx.String:
				return d.Text(v)
			case jsonx.Number:
				return string(d.Raw(v))
			}
		}
		return ""
	}
	if resp := d.Get(n, "base_resp"); resp != 0 {
		if code, ok := d.Int(d.Get(resp, "status_code")); ok && e.Status < 400 {
			e.Status, e.Code = baseRespStatus(code)
		}
	}
	e.Type, e.Param = member("type", "error_type", "errorType", "__type"), member("param")
	if code := member("code", "error_code", "errorCode"); code != "" {
		e.Code = code
	}
	if e.Code == "None" {
		e.Code = ""
	}
	if e.Type == "error" || strings.Contains(e.Type, ":") { // the name of the event that it stands in, or an address (RFC 9457)
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
	if code, err := strconv.Atoi(member("http_code", "status_code", "statusCode", "http_status")); err == nil && e.Status == 0 && code >= 400 && code < 600 {
		e.Status = code // MiniMax
	}
	if e.Status == 0 {
		e.Status = wordStatus(member("status")) // Google
	}
	if e.Message == "" {
		e.Message = noMessage + ": " + printable(d.Raw(root), 500)
	}
	e.Message = ellipsis(e.Message, 2000)
	return e.settle()
}

// noMessage is how the message of an error begins that has none.
const noMessage = "The upstream reported an error without a message"

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
