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
	x.replyStart, x.replyErr = x.replyStart[:0], nil
	beginning, _ := x.peek()
	if isEventStream(&x.up.Header, beginning) {
		x.passHead200()
		x.streaming = true
		x.server.metrics.Streams.Add(1)
		_ = x.ctx.SetWriteDeadline(time.Now().Add(x.server.cfg.Limits.WriteTimeout.Std()))
		x.ctx.SetBodyStream(keptReply{x}, -1)
		return true
	}
	body, err := x.readReply()
	if len(x.replyStart) > 0 {
		body = append(x.replyStart, body...)
		x.replyStart = body[:0]
	}
	switch {
	case errors.Is(err, errClientGone):
		x.gone()
		return false
	case err != nil:
		x.errText = err.Error()
		x.respondError(x.ctx, upstreamFailure(err))
		return false
	}
	out, ok := translate.AppendWithID(x.out[:0], body, x.kept.id)
	if ok {
		x.storeChat(bytes.Clone(out))
	} else {
		out = append(out, body...)
	}
	x.passHead200()
	x.ctx.SetBody(out)
	x.out = out
	x.bytesOut += int64(len(out))
	x.up.Close(true)
	return false
}

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
type keptReply struct{ *exchange }

// WriteTo writes the events as they come. The completion is in the store before
// the client hears that the stream is over.
func (r keptReply) WriteTo(w io.Writer) (n int64, err error) {
	x := r.exchange
	defer func() {
		if p := recover(); p != nil {
			x.server.contain(x, p)
			err = errStop
		}
	}()
	x.out = x.out[:0]
	for {
		p, err := x.readPassing()
		if errors.Is(err, io.EOF) {
			if e, ok := x.events.Finish(); ok {
				x.keepEvent(e)
			}
			x.chatEnds()
			err := x.flush(w)
			if err == nil {
				x.up.Close(true)
			}
			return x.bytesOut, err
		}
		if err != nil {
			x.outcome = metrics.OutcomeFailed
			x.errText = err.Error()
			if errors.Is(err, errClientGone) {
				x.outcome, x.status = metrics.OutcomeClientGone, statusClientGone
			}
			return x.bytesOut, errStop
		}
		x.events.Feed(p)
		for e, ok := x.events.Next(); ok; e, ok = x.events.Next() {
			x.keepEvent(e)
		}
		if err := x.flush(w); err != nil {
			x.outcome, x.status = metrics.OutcomeClientGone, statusClientGone
			return x.bytesOut, err
		}
	}
}

// keepEvent takes in one event, and writes it to x.out.
func (x *exchange) keepEvent(e sse.Event) {
	if string(bytes.TrimSpace(e.Data)) == "[DONE]" {
		x.chatEnds()
	}
	if len(e.Name) > 0 {
		x.out = append(x.out, "event: "...)
		x.out = append(append(x.out, e.Name...), '\n')
	}
	mark := len(x.out) + len("data: ")
	x.out = append(x.out, "data: "...)
	x.out = x.kept.fold.Chunk(x.out, e.Data, x.kept.id)
	if bytes.IndexByte(x.out[mark:], '\n') >= 0 {
		lines := bytes.ReplaceAll(x.out[mark:], []byte{'\n'}, []byte("\ndata: "))
		x.out = append(x.out[:mark], lines...)
	}
	x.out = append(x.out, "\n\n"...)
}

// keepChunks takes in the whole events in x.out, if they are to be kept.
func (x *exchange) keepChunks() {
	if x.kept == nil || len(x.out) == 0 || x.out[0] == ':' { // a comment
		return
	}
	x.parts = append(x.parts[:0], x.out...)
	x.out = x.out[:0]
	x.events.Feed(x.parts)
	for e, ok := x.events.Next(); ok; e, ok = x.events.Next() {
		x.keepEvent(e)
	}
}

// chatEnds stores what the stream has added up to, if that is whole.
func (x *exchange) chatEnds() {
	f := &x.kept.fold
	if f.Whole() && int64(f.Bytes()) <= int64(x.backend.cfg.MaxResponseBytes) {
		x.storeChat(f.Append(nil, x.kept.id))
	}
}
