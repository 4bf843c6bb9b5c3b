package proxy

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"
	"go.uber.org/zap"

	"github.com/antiphon-proxy/antiphon/proxy/metrics"
	"github.com/antiphon-proxy/antiphon/proxy/upstream"
	"github.com/antiphon-proxy/antiphon/translate"
)

// respondError answers with an error of the API.
func (x *exchange) respondError(ctx *fasthttp.RequestCtx, e *translate.Error) {
	e = e.Redacted(x.server.redactText)
	x.noteRefusal(e)
	lingerIfUnread(ctx)
	x.out = e.AppendBody(x.out[:0])
	ctx.Response.Header.SetContentType("application/json")
	ctx.SetStatusCode(e.Status)
	unavailable := e.Status == fasthttp.StatusServiceUnavailable && e.Origin == translate.OriginProxy
	if (unavailable || e.Code == codeConversationLocked) && len(ctx.Response.Header.Peek("Retry-After")) == 0 {
		ctx.Response.Header.Set("Retry-After", "1")
	}
	ctx.SetBody(x.out)
	x.bytesOut += int64(len(x.out))
}

// noteRefusal notes that the client gets an error in place of a response.
func (x *exchange) noteRefusal(e *translate.Error) {
	x.noteError(e)
	if x.outcome == metrics.OutcomeOK {
		switch {
		case e.Origin == translate.OriginUpstream:
			x.outcome = metrics.OutcomeUpstream
		case e.Status >= 500:
			x.outcome = metrics.OutcomeError
		default:
			x.outcome = metrics.OutcomeRefused
		}
	}
}

// noteError keeps what the log says of an error. Messages of the upstream may
// quote the request, so they are left out unless the client asks for a trace;
// where it is the proxy that complains of the upstream, its words are there.
func (x *exchange) noteError(e *translate.Error) {
	x.errCode, x.errType, x.errParam = e.Code, e.Type, e.Param
	x.noteWords(e)
	if x.errText == "" && (e.Origin == translate.OriginProxy || e.Origin == translate.OriginUpstream && x.req.Trace) {
		x.errText = e.Message
	}
}

func clientError(status int, code, param, message string) *translate.Error {
	return &translate.Error{Status: status, Type: translate.TypeInvalidRequest, Code: code, Param: param, Message: message}
}

func proxyError(status int, message string) *translate.Error {
	return &translate.Error{
		Status: status, Type: translate.TypeServer, Code: "server_error", Message: message, Origin: translate.OriginProxy,
	}
}

// codeConnectionLost is the code of the error for a request that the upstream may
// have read and has not answered.
const codeConnectionLost = "upstream_connection_lost"

// upstreamFailure is the error for an exchange with the upstream that failed
// before there was a reply. It says what happened in the proxy's words only:
// addresses and texts of the system are for the log.
func upstreamFailure(err error) *translate.Error {
	e := &translate.Error{Status: 502, Type: translate.TypeServer, Code: "server_error", Origin: translate.OriginUpstream}
	var up *upstream.Error
	var encoding *upstream.EncodingError
	if !errors.As(err, &up) {
		e.Message = "The upstream could not be reached."
		return e
	}
	switch {
	case isShortage(err):
		return errOverloaded("This server has no more connections to the upstream to give. Try again in a moment.")
	case errors.Is(err, errDraining):
		e.Status, e.Origin = 503, translate.OriginProxy
		e.Message = "This server is shutting down. Send the request again."
	case errors.Is(err, upstream.ErrTimeout):
		e.Status = 504
		e.Message = "The upstream did not answer in time (" + up.Phase.String() + ")."
	case errors.Is(err, upstream.ErrBusy):
		e.Status, e.Origin = 503, translate.OriginProxy
		e.Message = "All connections to the upstream are in use. Send the request again later."
	case errors.Is(err, upstream.ErrTooLarge):
		e.Message = "The upstream's reply is larger than this server is configured to take."
	case errors.As(err, &encoding) && encoding.Err == nil:
		e.Message = "The upstream's reply has the content encoding '" + clip(encoding.Encoding) +
			"', which this server cannot decode and has not asked for. Configure the upstream to answer with identity, gzip, deflate or zstd."
	case encoding != nil:
		e.Message = "The upstream's reply could not be decoded: its content encoding '" + clip(encoding.Encoding) + "' is broken or cut off."
	case errors.Is(err, upstream.ErrMalformed):
		e.Message = "The upstream did not answer in proper HTTP."
	case up.Phase == upstream.PhaseConnect:
		e.Message = "The upstream could not be reached: no connection."
	case up.Phase == upstream.PhaseBody, errors.Is(err, upstream.ErrTruncated):
		e.Message = "The upstream's reply was cut off."
	default:
		e.Code = codeConnectionLost
		e.Message = "The upstream closed the connection without a reply. It may have begun with the request, so the request was not sent to it again."
	}
	return e
}

// serverError answers what fasthttp could not read as a request.
func (s *Server) serverError(ctx *fasthttp.RequestCtx, err error) {
	var e *translate.Error
	var small *fasthttp.ErrSmallBuffer
	var netErr net.Error
	switch {
	case errors.As(err, &small):
		e = clientError(fasthttp.StatusRequestHeaderFieldsTooLarge, "", "",
			"The headers of the request are too large: this server takes "+strconv.Itoa(int(s.cfg.Limits.Header))+" bytes.")
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		e = errBodyTooLarge(int64(s.cfg.Limits.Upload))
	case errors.As(err, &netErr) && netErr.Timeout():
		e = errRequestTimeout()
	default:
		e = clientError(fasthttp.StatusBadRequest, "", "", "The request is not proper HTTP/1.1.")
	}
	ctx.Response.Reset()
	ctx.Response.Header.SetContentType("application/json")
	ctx.SetStatusCode(e.Status)
	ctx.SetBody(e.AppendBody(nil))
	ctx.SetConnectionClose()
	linger(ctx.Conn(), true)
	requestID := newRequestID()
	ctx.Response.Header.Set("X-Request-Id", requestID)
	s.metrics.Exchange(metrics.RouteOther, metrics.OutcomeRefused, 0)
	s.log.Info("exchange", zap.String("request_id", requestID), zap.Stringer("route", metrics.RouteOther),
		zap.Int("status", e.Status), zap.Stringer("outcome", metrics.OutcomeRefused), zap.String("error", e.Message))
}

// newRequestID is the id of a request that no exchange was made for.
func newRequestID() string {
	var id [12]byte
	_, _ = rand.Read(id[:]) // never fails
	return "req_" + hex.EncodeToString(id[:])
}

// refuseBody ends the connection after the answer, because the rest of the
// request's body is not wanted (see linger.go).
func (x *exchange) refuseBody() { x.ctx.SetConnectionClose() }

func errBodyTooLarge(limit int64) *translate.Error {
	return clientError(fasthttp.StatusRequestEntityTooLarge, "", "",
		"The request body is too large: this server takes "+strconv.FormatInt(limit, 10)+" bytes.")
}

// errBodyCutOff is the error for a request body that could not be read to its end.
func errBodyCutOff(err error) *translate.Error {
	var netErr net.Error
	if errors.As(err, &netErr) && netErr.Timeout() {
		return errRequestTimeout()
	}
	return clientError(fasthttp.StatusBadRequest, "", "", "The request body could not be read to its end.")
}

func errRequestTimeout() *translate.Error {
	return clientError(fasthttp.StatusRequestTimeout, "", "", "The request did not arrive in time.")
}

func errNoSuchURL(method, path string) *translate.Error {
	const most = 200
	if len(path) > most {
		path = path[:most] + "..."
	}
	path = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, path)
	return clientError(404, "", "", "Invalid URL ("+method+" "+path+")")
}

// errBusy is the answer to a request that is over the limit of concurrency.
func errBusy() *translate.Error {
	return &translate.Error{
		Status: 429, Type: translate.TypeRateLimit, Code: "rate_limit_exceeded", Origin: translate.OriginProxy,
		Message: "This server is serving as many requests as it is configured to. Try again in a moment.",
	}
}

// codeOverloaded is the code of errors that say that the server itself is short of
// something at the moment: connections, descriptors, memory.
const codeOverloaded = "server_overloaded"

// errOverloaded is the answer to a request that the server cannot take at the
// moment. It goes with Retry-After.
func errOverloaded(message string) *translate.Error {
	return &translate.Error{
		Status: fasthttp.StatusServiceUnavailable, Type: translate.TypeServer, Code: codeOverloaded, Origin: translate.OriginProxy,
		Message: message,
	}
}
