package proxy

import (
	"bytes"
	"io"
	"time"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/translate"
	"github.com/antiphon-proxy/antiphon/translate/sse"
)

// sink is where an answer goes. There is a type for each way:
//
//	objectSink      one object, at the end
//	streamSink      the body of an HTTP reply
//	chatSink        the same, of a chat completion
//	storedChatSink  the same, of one that is stored on its way
//	frameSink       messages of a WebSocket (websocket_lane.go)
//	runEvents       the log of a background response (run_log.go)
type sink interface {
	// live reports whether events are given away as they are made.
	live() bool
	// write takes whole events, in the encoding of server-sent events. An error says
	// that nobody is there any more.
	write(events []byte) error
	// keepAlive is how a stream shows that it lives, if it has nothing to say.
	keepAlive() keepAliveStyle
	// commit stores a response that has ended, if that is wanted, and appends its final
	// form to dst, which may hold what was said right before.
	commit(dst []byte) []byte
	// panicked ends an answer whose turn cannot end it, and reports whether it has.
	panicked(failure *translate.Error) bool
}

// keepAliveStyle is what a keep-alive is.
type keepAliveStyle uint8

const (
	noKeepAlive keepAliveStyle = iota
	keepAliveComment
	keepAliveEvent
)

// objectSink is a reply that is one object.
type objectSink struct{ x *exchange }

func (s objectSink) live() bool                     { return false }
func (s objectSink) write([]byte) error             { return nil }
func (s objectSink) keepAlive() keepAliveStyle      { return noKeepAlive }
func (s objectSink) commit(dst []byte) []byte       { return s.x.commit(dst) }
func (s objectSink) panicked(*translate.Error) bool { return false }

// streamSink is the body of an HTTP reply that is a stream. Each write is one chunk.
type streamSink struct {
	x *exchange
	w io.Writer
}

func (s *streamSink) live() bool { return true }

func (s *streamSink) write(events []byte) error {
	_ = s.x.ctx.SetWriteDeadline(s.x.lastOut.Add(s.x.server.cfg.Limits.WriteTimeout.Std()))
	_, err := s.w.Write(events)
	return err
}

func (s *streamSink) keepAlive() keepAliveStyle      { return s.x.keepAliveStyle() }
func (s *streamSink) commit(dst []byte) []byte       { return s.x.commit(dst) }
func (s *streamSink) panicked(*translate.Error) bool { return false }

// keepAliveStyle is what keep-alives of Responses streams are. Codex counts time from
// event to event, so that comments do not keep it waiting, and skips events that it
// does not know. Other clients count bytes, and some refuse events of types that they
// do not know.
func (x *exchange) keepAliveStyle() keepAliveStyle {
	switch x.server.cfg.Stream.HeartbeatStyle {
	case config.HeartbeatEvent:
		return keepAliveEvent
	case config.HeartbeatAuto:
		if bytes.HasPrefix(x.header.UserAgent(), []byte("codex")) {
			return keepAliveEvent
		}
	case config.HeartbeatComment:
	}
	return keepAliveComment
}

// chatSink is the stream of a chat completion.
type chatSink struct{ streamSink }

func (s *chatSink) keepAlive() keepAliveStyle { return keepAliveComment } // there is no such event

// storedChatSink is the stream of a chat completion that is made here and stored.
type storedChatSink struct {
	chatSink
	events sse.Decoder
	out    []byte
}

func (s *storedChatSink) write(events []byte) error {
	if events[0] == ':' { // a comment
		return s.chatSink.write(events)
	}
	s.out = s.out[:0]
	s.events.Feed(events)
	for e, ok := s.events.Next(); ok; e, ok = s.events.Next() {
		s.out = s.x.appendStored(s.out, e.Name, e.Data)
	}
	return s.chatSink.write(s.out)
}

// flush gives away what there is to say.
func (x *exchange) flush() error {
	if x.holding {
		x.hold()
		return nil
	}
	if len(x.out) == 0 || !x.sink.live() {
		return nil
	}
	x.lastOut = time.Now()
	if x.firstOut == 0 {
		x.firstOut = x.lastOut.Sub(x.start)
		x.server.metrics.FirstByte(x.firstOut)
	}
	x.tokenGoes(x.lastOut)
	out := x.out
	x.out = x.out[:0] // nothing is written twice, whatever happens
	if x.sink.write(out) != nil {
		return errStop
	}
	x.bytesOut += int64(len(out))
	return nil
}

// heartbeat tells the client, and whatever is in between, that the stream lives.
func (x *exchange) heartbeat() error {
	style := x.sink.keepAlive()
	switch {
	case style == noKeepAlive:
		return nil
	case x.holding:
		x.server.metrics.Heartbeats.Add(1)
		return x.passHeld()
	case style == keepAliveEvent:
		x.out = x.turn.Heartbeat(x.out)
	default:
		x.out = sse.AppendComment(x.out, "keep-alive")
	}
	x.server.metrics.Heartbeats.Add(1)
	return x.flush()
}
