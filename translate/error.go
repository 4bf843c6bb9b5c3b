package translate

import (
	"strconv"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// Origin says who is to blame for an Error. It decides how loudly the error is
// logged; a client sees no difference.
type Origin uint8

// The values of Origin.
const (
	OriginClient   Origin = iota // the request was bad
	OriginUpstream               // the backend said so, or failed
	OriginProxy                  // a limit or a fault of our own
)

// Error is an error of the API: what a client gets as
// {"error":{"message","type","param","code"}} with an HTTP status, as the error
// of a failed response, or as an "error" event (docs/PROTOCOL.md §5.6).
type Error struct {
	Status  int    // HTTP status
	Type    string // such as "invalid_request_error"
	Code    string // such as "missing_required_parameter"; "" is null on the wire
	Param   string // path of the bad part, such as "input[0].content"; "" is null
	Message string // for a human, with what to do about it
	Origin  Origin // whose fault it is
}

// Error implements error.
func (e *Error) Error() string {
	s := strconv.Itoa(e.Status) + " " + e.Type
	if e.Code != "" {
		s += " (" + e.Code + ")"
	}
	return s + ": " + e.Message
}

// Redacted returns the error without what redact takes out of texts. It is e itself
// where that is nothing, and where redact is nil.
func (e *Error) Redacted(redact func(string) string) *Error {
	if e == nil || redact == nil {
		return e
	}
	message, code, param := redact(e.Message), redact(e.Code), redact(e.Param)
	if message == e.Message && code == e.Code && param == e.Param {
		return e
	}
	clean := *e
	clean.Message, clean.Code, clean.Param = message, code, param
	return &clean
}

// The error types of the API.
const (
	TypeInvalidRequest = "invalid_request_error"
	TypeServer         = "server_error"
	TypeRateLimit      = "rate_limit_error"
	TypeAuthentication = "authentication_error"
	TypePermission     = "permission_error"
	TypeNotFound       = "not_found_error"
)

// AppendObject appends the error's four members as a JSON object, without the
// "error" envelope.
func (e *Error) AppendObject(dst []byte) []byte {
	dst = append(dst, `{"message":`...)
	dst = jsonx.AppendString(dst, e.Message)
	dst = append(dst, `,"type":`...)
	dst = jsonx.AppendString(dst, e.Type)
	dst = append(dst, `,"param":`...)
	dst = appendStringOrNull(dst, e.Param)
	dst = append(dst, `,"code":`...)
	dst = appendStringOrNull(dst, e.Code)
	return append(dst, '}')
}

// AppendBody appends the body of an HTTP error response.
func (e *Error) AppendBody(dst []byte) []byte {
	dst = append(dst, `{"error":`...)
	dst = e.AppendObject(dst)
	return append(dst, '}')
}

func appendStringOrNull(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, "null"...)
	}
	return jsonx.AppendString(dst, s)
}

// invalid is a 400 with the type invalid_request_error.
func invalid(code, param, message string) *Error {
	return &Error{Status: 400, Type: TypeInvalidRequest, Code: code, Param: param, Message: message}
}
