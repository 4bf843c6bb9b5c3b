package proxy

import (
	"errors"
	"net"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"

	"antiphon/proxy/metrics"
	"antiphon/proxy/upstream"
	"antiphon/translate"
)

// respondError answers with an error of the API.
func (x *exchange) respondError(ctx *fasthttp.RequestCtx, e *translate.Error) {
	x.errCode, x.errType = e.Code, e.Type
	if e.Origin != translate.OriginClient {
		x.errText = e.Message
	}
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
	x.out = e.AppendBody(x.out[:0])
	ctx.Response.Header.SetContentType("application/json")
	ctx.SetStatusCode(e.Status)
	ctx.SetBody(x.out)
	x.bytesOut += int64(len(x.out))
}

func clientError(status int, code, param, message string) *translate.Error {
	return &translate.Error{Status: status, Type: translate.TypeInvalidRequest, Code: code, Param: param, Message: message}
}

func proxyError(status int, message string) *translate.Error {
	return &translate.Error{
		Status: status, Type: translate.TypeServer, Code: "server_error", Message: message, Origin: translate.OriginProxy,
	}
}

// upstreamFailure is the error for an exchange with the upstream that failed
// before there was a reply. It says what happened in the proxy's words only:
// addresses and texts of the system are for the log.
func upstreamFailure(err error) *translate.Error {
	e := &translate.Error{Status: 502, Type: translate.TypeServer, Code: "server_error", Origin: translate.OriginUpstream}
	var up *upstream.Error
	if !errors.As(err, &up) {
		e.Message = "The upstream could not be reached."
		return e
	}
	switch {
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
	case errors.Is(err, upstream.ErrMalformed):
		e.Message = "The upstream did not answer in proper HTTP."
	case up.Phase == upstream.PhaseConnect:
		e.Message = "The upstream could not be reached: no connection."
	case up.Phase == upstream.PhaseBody, errors.Is(err, upstream.ErrTruncated):
		e.Message = "The upstream's reply was cut off."
	default:
		e.Message = "The upstream closed the connection without a reply."
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
		e = clientError(fasthttp.StatusRequestTimeout, "", "", "The request did not arrive in time.")
	default:
		e = clientError(fasthttp.StatusBadRequest, "", "", "The request is not proper HTTP/1.1.")
	}
	ctx.Response.Reset()
	ctx.Response.Header.SetContentType("application/json")
	ctx.SetStatusCode(e.Status)
	ctx.SetBody(e.AppendBody(nil))
	ctx.SetConnectionClose()
	s.metrics.Exchange(metrics.RouteOther, metrics.OutcomeRefused, 0)
}

func errBodyTooLarge(limit int64) *translate.Error {
	return clientError(fasthttp.StatusRequestEntityTooLarge, "", "",
		"The request body is too large: this server takes "+strconv.FormatInt(limit, 10)+" bytes.")
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
