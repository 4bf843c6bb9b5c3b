package proxy

import (
	"runtime/debug"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/antiphon-proxy/antiphon/proxy/metrics"
)

// account logs and counts an exchange that is over: one line, with what it took
// and how it ended, and nothing of what was said in it.
func (x *exchange) account() {
	s := x.server
	took := time.Since(x.start)
	s.metrics.Exchange(x.route, x.outcome, took)
	s.metrics.BytesIn.Add(x.bytesIn)
	s.metrics.BytesOut.Add(x.bytesOut)
	for _, e := range x.losses.Entries {
		s.metrics.Loss(int(e.Rule))
	}
	level := zapcore.InfoLevel
	switch x.outcome {
	case metrics.OutcomeError, metrics.OutcomeFailed, metrics.OutcomeUpstream:
		level = x.failureLevel()
	case metrics.OutcomeClientGone:
		level = zapcore.DebugLevel
	}
	if x.storeFailed || x.req.Trace && x.route == metrics.RouteCreate {
		level = max(level, zapcore.InfoLevel)
	}
	entry := s.log.Check(level, "exchange")
	if entry == nil {
		return
	}
	entry.Write(zap.Inline(x))
}

// MarshalLogObject writes the members of the exchange's log line.
func (x *exchange) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddByteString("request_id", x.requestID)
	enc.AddString("route", x.route.String())
	enc.AddInt("status", x.status)
	enc.AddString("outcome", x.outcome.String())
	enc.AddDuration("duration", time.Since(x.start))
	enc.AddString("tenant", x.tenant)
	enc.AddInt64("bytes_in", x.bytesIn)
	enc.AddInt64("bytes_out", x.bytesOut)
	if x.attempts > 0 && x.backend != nil && len(x.server.router.all) > 1 {
		enc.AddString("upstream", x.backend.name)
	}
	if x.attempts > 0 {
		enc.AddInt("attempts", x.attempts)
		enc.AddDuration("upstream_first_byte", x.firstByte)
	}
	x.addFault(enc)
	x.addRefused(enc)
	if x.lane != "" {
		enc.AddString("lane", x.lane)
	}
	if x.streaming {
		enc.AddBool("stream", true)
		enc.AddDuration("first_event", x.firstOut)
		if x.tokenIn > 0 {
			enc.AddDuration("upstream_first_token", x.tokenIn)
			enc.AddDuration("first_token", x.tokenOut)
		}
	}
	if x.turnUsed {
		enc.AddByteString("response_id", x.turn.IDBytes())
		enc.AddString("response_status", x.turn.Status())
		enc.AddInt("items", x.turn.Items())
		if in, out, ok := x.turn.Tokens(); ok {
			enc.AddInt64("input_tokens", in)
			enc.AddInt64("output_tokens", out)
		}
		if model := x.turn.UpstreamModel(); len(model) > 0 {
			enc.AddByteString("upstream_model", model)
		}
	}
	if len(x.losses.Entries) > 0 {
		_ = enc.AddArray("losses", lossArray{x})
	}
	if x.storeFailed {
		enc.AddBool("store_failed", true)
	}
	if x.errType != "" {
		enc.AddString("error_type", x.errType)
		enc.AddString("error_code", x.forLog(x.errCode))
	}
	if x.errText != "" {
		enc.AddString("error", x.forLog(x.errText))
	}
	return nil
}

// lossArray writes a loss report to the log. Details are only said when the
// client has asked for a trace: they quote the request.
type lossArray struct{ x *exchange }

func (l lossArray) MarshalLogArray(enc zapcore.ArrayEncoder) error {
	for _, e := range l.x.losses.Entries {
		info := e.Rule.Info()
		line := info.ID + " " + info.Action.String() + " " + e.Path
		if l.x.req.Trace && e.Detail != "" {
			line += " " + e.Detail
		}
		enc.AppendString(line)
	}
	return nil
}

// contain deals with a fault of the program: the process goes on, the client
// gets an error, and the log has what is needed to find the fault. What a panic
// says may hold parts of a request, so only errors of the runtime are quoted.
func (s *Server) contain(x *exchange, fault any) {
	x.errText = s.logFault(x, fault)
	x.outcome = metrics.OutcomeError
	if !x.streaming && x.ctx != nil {
		x.ctx.Response.Reset()
		x.ctx.Response.Header.SetBytesV("X-Request-Id", x.requestID)
		x.respondError(x.ctx, proxyError(500, "This server has made a mistake. It has been logged as request "+string(x.requestID)+"."))
	}
}

func (s *Server) logFault(x *exchange, fault any) (what string) {
	return s.logPanic(fault, x.requestID)
}

// logPanic logs a fault of the program.
func (s *Server) logPanic(fault any, requestID []byte) (what string) {
	s.metrics.Panics.Add(1)
	what = "panic"
	if e, ok := fault.(interface {
		error
		RuntimeError()
	}); ok {
		what = e.Error()
	}
	s.log.Error("contained a fault of the program", zap.String("fault", what),
		zap.ByteString("request_id", requestID), zap.ByteString("stack", debug.Stack()))
	return what
}
