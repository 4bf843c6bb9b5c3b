package proxy

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/antiphon-proxy/antiphon/proxy/metrics"
	"github.com/antiphon-proxy/antiphon/proxy/upstream"
	"github.com/antiphon-proxy/antiphon/translate"
	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// passThrough sends a request to the upstream as it is, and its reply back as it
// is, both as they come. Only what is about the connection, and what carries the
// wrong credential, is changed.
func (s *Server) passThrough(x *exchange, path string) (streaming bool) {
	ctx := x.ctx
	if err := x.maybePassed(path); err != nil {
		x.respondError(ctx, err)
		return false
	}
	if err := x.admitPassing(); err != nil {
		x.respondError(ctx, err)
		return false
	}
	if !properNames(x.header) {
		ctx.SetConnectionClose()
		x.respondError(ctx, clientError(400, "", "", "The name of a header is not a token."))
		return false
	}
	limit := int64(s.cfg.Limits.Upload)
	length := ctx.Request.Header.ContentLength()
	if int64(length) > limit {
		x.refuseBody()
		x.respondError(ctx, errBodyTooLarge(limit))
		return false
	}
	var stream *upstream.StreamBody
	var body []byte
	switch {
	case (s.separates() && !passedByDefault(string(ctx.Method()), path) || s.router.needsModel() || x.grant.Bounded() || x.keepChats) && isJSON(ctx):
		if err := x.readAll(int64(s.cfg.Limits.Body)); err != nil {
			x.respondError(ctx, err)
			return false
		}
		if err := x.mayPass(x.body); err != nil {
			x.respondError(ctx, err)
			return false
		}
		if !passedByDefault(string(ctx.Method()), path) {
			if err := x.ownsBody(); err != nil {
				x.respondError(ctx, err)
				return false
			}
		}
		if err := x.mayBeResponses(path); err != nil {
			x.respondError(ctx, err)
			return false
		}
		if x.keepChats {
			if err := x.keepChat(); err != nil {
				x.respondError(ctx, err)
				return false
			}
		}
		x.passByBody()
		body = x.backend.renameModel(x.body)
		length = len(body)
	case length > 0 && length <= smallBuffer:
		// In one piece with its head it is one write, and can be sent again.
		if err := x.readAll(limit); err != nil {
			x.respondError(ctx, err)
			return false
		}
		if err := x.mayBeResponses(path); err != nil {
			x.respondError(ctx, err)
			return false
		}
		body, length = x.body, len(x.body)
	case length != 0 && ctx.RequestBodyStream() != nil:
		from, err := x.peekChat(path, length)
		if err != nil {
			x.respondError(ctx, err)
			return false
		}
		if from == nil { // it has been read
			body, length = x.body, len(x.body)
			break
		}
		r := &limitedBody{r: x.beginUpload(from, true), left: limit, x: x}
		stream = &upstream.StreamBody{Reader: r, Chunked: length < 0}
	default:
		length = 0
	}
	return x.passOn(path, body, length, stream)
}

// passBody passes the JSON body in x.body on.
func (x *exchange) passBody(path string) (streaming bool) {
	body := x.backend.renameModel(x.body)
	return x.passOn(path, body, len(body), nil)
}

// passOn sends a request to the upstream, and to another one if that may stand in
// for it, and gives its reply to the client. length is that of the body, negative
// for one that comes in chunks.
func (x *exchange) passOn(path string, body []byte, length int, stream *upstream.StreamBody) (streaming bool) {
	ctx := x.ctx
	if stream == nil && ctx.IsPost() && (!x.backend.passes(path) || x.front != nil) {
		return x.translated(path, x.readyFor(path))
	}
	x.ownsReply(path)
	var err error
	var failure *translate.Error // of the upstream before
	var refused *translate.Error // that came with status 200
	for {
		x.wire = append(x.passHead(x.wire[:0], path, length), body...)
		x.up.NoBody = ctx.IsHead()
		x.up.Decode = x.kept != nil
		err = x.up.Do(x.backend.client, x.wire, stream)
		x.attempts += x.up.Attempts
		status := 0
		refused = nil
		if err == nil {
			status = x.up.Header.StatusCode()
			if path == responsesPath && ctx.IsPost() {
				x.see()
				if status == fasthttp.StatusOK {
					refused = x.inBandInPassing()
				}
			}
		}
		if refused != nil {
			status = refused.Status
		}
		elsewhere := x.noteReply(err, status)
		if x.bound && failure != nil && (status == fasthttp.StatusBadRequest || status == fasthttp.StatusNotFound) {
			if refused == nil {
				refused = x.readError()
			}
			x.respondError(ctx, unreplaced(failure, refused))
			return false
		}
		if !elsewhere || stream != nil || x.next() == nil {
			break
		}
		if x.bound || !x.next().passes(path) { // it may turn out that it cannot be asked
			if failure = refused; failure == nil {
				failure = x.takeFailure(err)
			}
		}
		x.up.Close(false)
		ok, refused := x.failover(func() *translate.Error {
			if x.backend.passes(path) {
				return nil
			}
			return x.readyFor(path)
		})
		switch {
		case !ok:
			x.passHeaders()
			x.respondError(ctx, unreplaced(failure, refused))
			return false
		case !x.backend.passes(path):
			return x.translated(path, nil)
		}
		if len(body) > 0 && isJSON(ctx) {
			body = x.backend.renameModel(x.body)
			length = len(body)
		}
	}
	x.firstByte = time.Since(x.start)
	var clientErr *upstream.ClientError
	switch {
	case refused != nil:
		x.passHeaders()
		x.up.Close(true)
		x.respondError(ctx, refused)
		return false
	case err == nil:
		x.errText = ""
	case errors.Is(err, errClientGone):
		x.gone()
		return false
	case errors.Is(err, errUploadTooLarge):
		x.refuseBody()
		x.respondError(ctx, errBodyTooLarge(int64(x.server.cfg.Limits.Upload)))
		return false
	case errors.As(err, &clientErr):
		ctx.SetConnectionClose()
		x.respondError(ctx, errBodyCutOff(clientErr))
		return false
	default:
		x.errText = err.Error()
		if stream != nil { // part of the body may be unread
			ctx.SetConnectionClose()
		}
		x.respondError(ctx, upstreamFailure(err))
		return false
	}
	if x.kept != nil && x.up.Header.StatusCode() == fasthttp.StatusOK {
		return x.keepReply()
	}
	return x.passReply()
}

// readyFor makes the request in x.body ready for an upstream that does not answer
// that path itself.
func (x *exchange) readyFor(path string) *translate.Error {
	if path == chatPath {
		return x.prepareChat()
	}
	return x.prepare()
}

// translated answers the request that readyFor has made ready, or with err.
func (x *exchange) translated(path string, err *translate.Error) (streaming bool) {
	if path == chatPath {
		return x.server.answerChat(x, err)
	}
	return x.server.answerPrepared(x, err)
}

// pathOf is the request's path as it is on the wire. The target may be a whole
// URL, as for a forward proxy (RFC 9112 §3.2.2).
func pathOf(ctx *fasthttp.RequestCtx) string {
	path, _, _ := strings.Cut(string(ctx.Request.Header.RequestURI()), "?")
	if strings.HasPrefix(path, "/") {
		return path
	}
	_, rest, absolute := strings.Cut(path, "://")
	if !absolute {
		return path
	}
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		return rest[i:]
	}
	return "/"
}

func isJSON(ctx *fasthttp.RequestCtx) bool {
	return ctx.IsPost() && bytes.HasPrefix(ctx.Request.Header.ContentType(), []byte("application/json"))
}

// renameModel puts the upstream's name for a model into a body, if the model has
// one. What cannot be understood is left to the upstream to complain of.
func (b *backend) renameModel(body []byte) []byte {
	if len(b.cfg.Models) == 0 {
		return body
	}
	name := b.modelName(jsonx.Lookup(body, "model").String())
	if name == "" || !jsonx.Valid(body) {
		return body
	}
	if renamed, err := jsonx.SetString(body, "model", name); err == nil {
		return renamed
	}
	return body
}

// passHead writes the head of a request that is passed on. length is that of
// its body, negative for one that comes in chunks.
func (x *exchange) passHead(dst []byte, path string, length int) []byte {
	b, h := x.backend, x.header
	dst = append(dst, h.Method()...)
	dst = append(dst, ' ')
	dst = append(dst, b.target.BasePath...)
	dst = append(dst, path...)
	query := x.ctx.URI().QueryString()
	if len(query) > 0 || b.target.Query != "" {
		dst = append(dst, '?')
		dst = append(dst, b.target.Query...)
		if len(query) > 0 && b.target.Query != "" {
			dst = append(dst, '&')
		}
		dst = append(dst, query...)
	}
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	dst = append(dst, b.target.Host...)
	dst = append(dst, "\r\n"...)
	dst = append(dst, b.ownHeaders...)
	connection := h.Peek("Connection")
	for k, v := range h.All() {
		if hopByHop(k) || namedInConnection(connection, k) || x.withheld(k) {
			continue
		}
		dst = append(dst, k...)
		dst = append(dst, ": "...)
		dst = append(dst, v...)
		dst = append(dst, "\r\n"...)
	}
	if x.kept != nil && !x.backend.overridden["accept-encoding"] {
		dst = append(dst, "Accept-Encoding: identity\r\n"...)
	}
	dst = append(dst, "X-Request-Id: "...)
	dst = append(dst, x.requestID...)
	dst = append(dst, "\r\n"...)
	switch {
	case length > 0, length == 0 && (x.ctx.IsPost() || x.ctx.IsPut() || x.ctx.IsPatch()):
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, int64(length), 10)
		dst = append(dst, "\r\n"...)
	case length < 0:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	return append(dst, "\r\n"...)
}

// properNames reports whether all names are tokens (RFC 9110 §5.1), as only they
// may be passed on: what fasthttp lets through here, such as a blank, another
// server may take for the end of the name.
func properNames(h *fasthttp.RequestHeader) bool {
	for k := range h.All() {
		for _, c := range k {
			if !isTokenByte(c) {
				return false
			}
		}
	}
	return true
}

func isTokenByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// withheld reports whether a header of the client does not go to the upstream: a
// credential that is for this server, or that has been replaced, and what would
// make a server keep on for a client that has left.
func (x *exchange) withheld(name []byte) bool {
	switch string(bytes.ToLower(name)) {
	case "authorization", "api-key", "x-api-key", "cookie":
		return x.backend.ownKey || x.server.keys.Load() != nil
	case "x-request-id", "x-conversation-id":
		return true
	case "accept-encoding":
		return x.kept != nil || x.owning != nil // what is kept has to be read
	}
	return x.backend.overridden[string(bytes.ToLower(name))]
}

// passReply makes the upstream's reply that of the client.
func (x *exchange) passReply() (streaming bool) {
	ctx, h := x.ctx, &x.up.Header
	ctx.SetStatusCode(h.StatusCode())
	if h.StatusCode() >= 400 {
		x.outcome = metrics.OutcomeUpstream
	}
	connection := h.Peek("Connection")
	out := &ctx.Response.Header
	out.SetNoDefaultContentType(true)
	for k, v := range h.All() {
		if hopByHop(k) || namedInConnection(connection, k) || string(k) == "Date" || string(k) == "X-Request-Id" {
			continue
		}
		if string(k) == "Content-Type" {
			out.SetContentTypeBytes(v)
			continue
		}
		x.server.addPassed(out, k, v)
	}
	if ctx.IsHead() {
		ctx.Response.SkipBody = true
		if n := h.ContentLength(); n >= 0 {
			out.SetContentLength(n)
		}
		x.up.Close(true)
		return false
	}
	if x.up.Ended() && len(x.replyStart) == 0 {
		return false
	}
	x.streaming = true
	x.server.metrics.Streams.Add(1)
	_ = ctx.SetWriteDeadline(time.Now().Add(x.server.cfg.Limits.WriteTimeout.Std()))
	size := -1
	if n := h.ContentLength(); n > 0 {
		size = n
	}
	ctx.SetBodyStream(rawReply{x}, size)
	return true
}

// rawReply is an upstream's body on its way to the client.
type rawReply struct{ *exchange }

// WriteTo writes the body as it comes.
func (r rawReply) WriteTo(w io.Writer) (n int64, err error) {
	x := r.exchange
	defer func() {
		if p := recover(); p != nil {
			x.server.contain(x, p)
			err = errStop
		}
	}()
	for {
		p, err := x.hiddenPassing()
		if errors.Is(err, io.EOF) {
			x.up.Close(true)
			return n, nil
		}
		if err != nil {
			// The client sees that the body is cut off: there is no other way to
			// tell it.
			x.outcome = metrics.OutcomeFailed
			x.errText = err.Error()
			if errors.Is(err, errClientGone) {
				x.outcome, x.status = metrics.OutcomeClientGone, statusClientGone
			}
			return n, errStop
		}
		if x.firstOut == 0 {
			x.firstOut = time.Since(x.start)
		}
		_ = x.ctx.SetWriteDeadline(time.Now().Add(x.server.cfg.Limits.WriteTimeout.Std()))
		m, err := w.Write(p)
		n += int64(m)
		x.bytesOut += int64(m)
		if err != nil {
			x.outcome, x.status = metrics.OutcomeClientGone, statusClientGone
			return n, errStop
		}
	}
}

var errUploadTooLarge = errors.New("request body too large")

// limitedBody is a client's request body on its way to the upstream.
type limitedBody struct {
	r    upload
	left int64
	x    *exchange
}

func (l *limitedBody) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	l.x.bytesIn += int64(n)
	if l.left -= int64(n); l.left < 0 {
		return 0, errUploadTooLarge
	}
	return n, err
}
