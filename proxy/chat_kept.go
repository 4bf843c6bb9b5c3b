package proxy

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/antiphon-proxy/antiphon/proxy/metrics"
	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/translate"
	"github.com/antiphon-proxy/antiphon/translate/jsonx"
	"github.com/antiphon-proxy/antiphon/translate/sse"
)

// Chat completions with store:true are kept, if the configuration says so: what
// passes through is added up on its way. A completion gets an id of ours, because
// the backends' are not always unique, and because ours sort by their time.

// kindChat is the kind of documents that hold chat completions, by id.
const kindChat = "chat_completion"

// keptChat is a chat completion on its way to the client that is to be kept.
type keptChat struct {
	id      string
	request *translate.StoredChat
	fold    translate.ChatFold
	stored  bool
}

// chatCompletions answers POST /chat/completions.
func (s *Server) chatCompletions(x *exchange, _ string) (streaming bool) {
	x.route = metrics.RoutePassthrough
	x.keepChats = s.cfg.Store.ChatCompletions
	return s.passThrough(x, "/chat/completions")
}

// passOthers passes a request through that has a row in the table only for other
// methods.
func (s *Server) passOthers(x *exchange, _ string) (streaming bool) {
	path, _ := apiPath(pathOf(x.ctx))
	return s.passThrough(x, path)
}

// keepChat looks whether the chat request in x.body is to be kept, and takes out of
// it what only says that.
func (x *exchange) keepChat() *translate.Error {
	request, err := translate.ReadStoredChat(x.body, x.server.requestLimits)
	if request == nil || err != nil {
		return err
	}
	x.kept = &keptChat{id: x.newChatID(), request: request}
	x.body = translate.AppendUnstored(make([]byte, 0, len(x.body)), x.body)
	return nil
}

// newChatID makes an id that sorts by its time: milliseconds, and then randomness.
func (x *exchange) newChatID() string {
	var b [6 + 14]byte
	ms := uint64(x.start.UnixMilli()) // after 1970
	for i := range 6 {
		b[i] = byte(ms >> (40 - 8*i))
	}
	x.entropy(b[6:])
	return "chatcmpl-" + hex.EncodeToString(b[:])
}

// keepReply makes the upstream's reply that of the client, and keeps it.
func (x *exchange) keepReply() (streaming bool) {
	r := &storedReader{x: x}
	x.out = x.out[:0]
	x.in.begin(&x.up, r)
	if !isEventStream(&x.up.Header) { // it may be one all the same
		if x.pump(beginning{&x.in}) == nil && x.in.form != formEvents {
			_ = x.pump(&x.in)
			x.keepWhole(r)
			return false
		}
	}
	if errors.Is(x.up.Cancelled(), errClientGone) {
		x.gone()
		return false
	}
	x.passHead200()
	if !isEventStream(&x.up.Header) {
		x.ctx.Response.Header.SetContentType("text/event-stream; charset=utf-8")
	}
	r.streams = true
	x.streaming = true
	x.server.metrics.Streams.Add(1)
	_ = x.ctx.SetWriteDeadline(time.Now().Add(x.server.cfg.Limits.WriteTimeout.Std()))
	x.ctx.SetBodyStream(keptReply{x, r}, -1)
	return true
}

// keepWhole answers with a completion that came as one object.
func (x *exchange) keepWhole(r *storedReader) {
	switch {
	case errors.Is(x.up.Cancelled(), errClientGone):
		x.gone()
		return
	case r.failure != nil:
		x.respondError(x.ctx, r.failure)
		return
	}
	out, ok := translate.AppendWithID(x.out[:0], r.body, x.kept.id)
	if ok {
		x.storeChat(bytes.Clone(out))
	} else {
		out = append(out, r.body...)
	}
	x.passHead200()
	x.ctx.SetBody(out)
	x.out = out
	x.bytesOut += int64(len(out))
	x.up.Close(true)
}

// beginning is a reply until it is known what form it has.
type beginning struct{ *inbound }

func (b beginning) fed() bool { return b.form != formUnknown || b.reader.Fed() }

// passHead200 passes the head of a good reply on, but for what is about its body.
func (x *exchange) passHead200() {
	ctx, h := x.ctx, &x.up.Header
	ctx.SetStatusCode(fasthttp.StatusOK)
	connection := h.Peek("Connection")
	out := &ctx.Response.Header
	for k, v := range h.All() {
		switch {
		case hopByHop(k), namedInConnection(connection, k), string(k) == "Date", string(k) == "X-Request-Id",
			string(k) == "Content-Encoding", string(k) == "Etag":
		case string(k) == "Content-Type":
			out.SetContentTypeBytes(v)
		default:
			out.AddBytesKV(k, v)
		}
	}
}

// storeChat puts a completion into the store. If that fails the client has its
// answer all the same: the Chat API has no way to say that it was not kept.
func (x *exchange) storeChat(completion []byte) {
	s, k := x.server, x.kept
	if k.stored || errors.Is(x.up.Cancelled(), errClientGone) {
		return
	}
	k.stored = true
	err := s.store.Commit(storeContext(), x.tenant, &store.Batch{Put: []store.DocWrite{{
		Doc: &store.Doc{
			Kind: kindChat, Key: k.id, Body: k.request.Append(nil, completion),
			Expires: time.Now().Add(s.cfg.Store.TTL.Std()),
		},
		If: store.Absent,
	}}})
	if err != nil {
		x.storeFailed = true
		x.errText = err.Error()
		s.metrics.StoreErrors.Add(1)
	}
}

// keptReply is an upstream's stream on its way to the client and into the store.
type keptReply struct {
	*exchange
	reader *storedReader
}

// WriteTo writes the events as they come.
func (r keptReply) WriteTo(w io.Writer) (n int64, err error) {
	x := r.exchange
	defer func() {
		if p := recover(); p != nil {
			x.server.contain(x, p)
			err = errStop
		}
		n = x.bytesOut
	}()
	x.http.streamSink = streamSink{x, w}
	x.sink = &x.http.chatSink
	reader := r.reader
	if err = x.pump(&x.in); err == nil {
		err = x.flush()
	}
	switch {
	case err != nil:
		x.outcome, x.status = metrics.OutcomeClientGone, statusClientGone
	case reader.failure != nil:
		x.outcome = metrics.OutcomeFailed
		x.noteError(reader.failure)
	default:
		x.up.Close(true)
	}
	return 0, err
}

// appendStored takes in one event of the stream, and appends it.
func (x *exchange) appendStored(dst, name, data []byte) []byte {
	if string(bytes.TrimSpace(data)) == "[DONE]" {
		x.chatEnds()
	}
	if len(name) > 0 {
		dst = append(dst, "event: "...)
		dst = append(append(dst, name...), '\n')
	}
	dst = append(dst, "data: "...)
	mark := len(dst)
	dst = x.kept.fold.Chunk(dst, data, x.kept.id)
	if bytes.IndexByte(dst[mark:], '\n') >= 0 {
		lines := bytes.ReplaceAll(dst[mark:], []byte{'\n'}, []byte("\ndata: "))
		dst = append(dst[:mark], lines...)
	}
	return append(dst, "\n\n"...)
}

// storedReader takes in a chat completion that passes through and is stored.
type storedReader struct {
	x       *exchange
	streams bool   // the client gets a stream
	body    []byte // the whole reply, for one that does not
	failure *translate.Error
	over    bool
}

// Feed implements replyReader.
func (r *storedReader) Feed(dst, name, data []byte) []byte { return r.x.appendStored(dst, name, data) }

// FeedLast implements replyReader.
func (r *storedReader) FeedLast(dst, name, data []byte) []byte { return r.Feed(dst, name, data) }

// FeedMessage implements replyReader.
func (r *storedReader) FeedMessage(dst, body []byte) []byte {
	r.body, r.over = body, true
	return dst
}

// Finish implements replyReader. The completion is stored before the client hears that
// the stream is over.
func (r *storedReader) Finish(dst []byte) []byte {
	r.x.chatEnds()
	r.over = true
	return dst
}

// Abort implements replyReader. What was said so far is not stored.
func (r *storedReader) Abort(dst []byte, err *translate.Error) []byte {
	r.failure, r.over = err, true
	if !r.streams {
		return dst
	}
	dst = append(dst, "data: "...)
	dst = err.AppendBody(dst)
	return sse.AppendDone(append(dst, "\n\n"...))
}

// Fed implements replyReader.
func (r *storedReader) Fed() bool { return r.over }

// Finishing implements replyReader.
func (r *storedReader) Finishing() bool { return false }

// Silent implements replyReader: errors of the upstream pass through.
func (r *storedReader) Silent() bool { return false }

// Failure implements replyReader.
func (r *storedReader) Failure() *translate.Error { return r.failure }

// Swap implements replyReader.
func (r *storedReader) Swap(*jsonx.Memory) {}

// chatEnds stores what the stream has added up to, if that is whole.
func (x *exchange) chatEnds() {
	f := &x.kept.fold
	if f.Whole() && int64(f.Bytes()) <= int64(x.backend.cfg.MaxResponseBytes) {
		x.storeChat(f.Append(nil, x.kept.id))
	}
}
