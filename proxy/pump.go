package proxy

import (
	"errors"
	"io"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/upstream"
	"github.com/antiphon-proxy/antiphon/translate"
	"github.com/antiphon-proxy/antiphon/translate/jsonx"
	"github.com/antiphon-proxy/antiphon/translate/sse"
)

// Replies of upstreams are read in one loop, pump, whatever they are for: the answer to
// a client of either API, one of several choices, a completion that is stored on its
// way, a summary, a second try. What differs is who takes them in, a replyReader. So
// every mode has the same deadlines and keep-alives, and takes replies in any form.

// replyReader takes in a reply: translate.Turn (by way of chatReader),
// translate.ResponsesTurn, choiceReply, storedReader or gatherer. What it makes of it
// for the client is appended to dst.
type replyReader interface {
	// Feed takes in an event of a stream, and FeedLast what the end of the stream
	// has cut off before its blank line. name is that of the event line, if it has one.
	Feed(dst, name, data []byte) []byte
	FeedLast(dst, name, data []byte) []byte
	// FeedMessage takes in a reply that is one object, and ends.
	FeedMessage(dst, body []byte) []byte
	// Finish is the end of the reply, and Abort a failure in its place.
	Finish(dst []byte) []byte
	Abort(dst []byte, err *translate.Error) []byte
	// Fed reports whether nothing more is taken in, and Finishing whether all that may
	// still come is the count of tokens.
	Fed() bool
	Finishing() bool
	// Silent reports whether nothing of an answer has come, and Failure is why there
	// is none.
	Silent() bool
	Failure() *translate.Error
	// Swap exchanges the memory in which events are parsed.
	Swap(m *jsonx.Memory)
}

// inbound is a reply on its way in: where it comes from, and who takes it in.
type inbound struct {
	up     *upstream.Exchange
	reader replyReader
	events sse.Reply
	form   replyForm
	ended  bool   // its end has come with the last piece
	held   []byte // what has come of a reply that is no stream, or while that is not known

	inBand []byte // the error that the reply was, though its status is 200; empty for none
}

// begin makes it ready for another reply.
func (in *inbound) begin(up *upstream.Exchange, reader replyReader) {
	in.up, in.reader, in.form, in.ended = up, reader, formUnknown, false
	in.events.Reset()
	in.held, in.inBand = in.held[:0], in.inBand[:0]
}

// isWhole reports whether the reply is one object, as far as is known.
func (in *inbound) isWhole() bool {
	return in.form == formWhole || in.form == formUnknown && !isEventStream(&in.up.Header)
}

// recycle makes it ready for the pool.
func (in *inbound) recycle() {
	in.begin(nil, nil)
	in.held, in.inBand = release(in.held), release(in.inBand)
}

// source is where the pump reads: one reply, which is an inbound, or several.
type source interface {
	// read waits for a piece of a reply for so long. After upstream.ErrTimeout it may
	// be called again. in is nil if what is told is of no single reply.
	read(wait time.Duration) (in *inbound, p []byte, err error)
	// more reports whether read would return at once.
	more() bool
	// fed and finishing are those of the readers.
	fed() bool
	finishing() bool
	// abort fails what has not ended.
	abort(dst []byte, err *translate.Error) []byte
}

func (in *inbound) read(wait time.Duration) (*inbound, []byte, error) {
	p, err := in.up.Read(wait)
	in.ended = in.up.Ended()
	return in, p, err
}

func (in *inbound) more() bool      { return in.up.More() }
func (in *inbound) fed() bool       { return in.reader.Fed() }
func (in *inbound) finishing() bool { return in.reader.Finishing() }
func (in *inbound) abort(dst []byte, err *translate.Error) []byte {
	return in.reader.Abort(dst, err)
}

// errSilent is a reply that nothing has come of for the upstream's idle time.
var errSilent = errors.New("the upstream was silent for too long")

// pump carries a reply from the upstream to its reader, and what that makes of it to
// the sink, until the reader has all of it. An error says that the client is not there
// any more; every other trouble is the reader's.
func (x *exchange) pump(src source) error {
	idle, beat := x.backend.cfg.Timeouts.Idle.Std(), x.server.cfg.Stream.Heartbeat.Std()
	if x.sink.keepAlive() == noKeepAlive {
		beat = 0
	}
	var last time.Time     // when the upstream said something; zero while it is not known to be silent
	var graceEnd time.Time // until when to wait for the count of tokens
	for !src.fed() {
		if !src.more() {
			if err := x.flush(); err != nil {
				return err
			}
			x.releaseScratch()
		}
		wait := idle
		if !last.IsZero() { // some of it is over
			wait = max(idle-time.Since(last), time.Millisecond)
		}
		if beat > 0 && beat < wait {
			wait = beat
		}
		finishing := src.finishing()
		if finishing {
			if graceEnd.IsZero() {
				graceEnd = time.Now().Add(x.server.cfg.Stream.UsageGrace.Std())
			}
			wait = max(time.Until(graceEnd), time.Millisecond)
		}
		in, p, err := src.read(wait)
		switch {
		case err == nil:
			if x.feedPiece(in, p); !x.roomForReply(src, len(p)) {
				break
			}
			last = time.Time{}
			switch {
			case len(x.out) >= flushAt:
				if err := x.flush(); err != nil {
					return err
				}
			case len(x.out) > 0:
			case src.finishing() && wait == time.Millisecond:
				x.out = in.reader.Finish(x.out) // it says something, but not that
			case beat > 0 && time.Since(x.lastOut) >= beat && !src.fed():
				// What the upstream says means nothing to the client.
				if err := x.heartbeat(); err != nil {
					return err
				}
			}
		case errors.Is(err, io.EOF):
			x.endOfReply(in)
		case errors.Is(err, upstream.ErrTimeout) && in == nil:
			if beat > 0 && time.Since(x.lastOut) >= beat {
				if err := x.heartbeat(); err != nil {
					return err
				}
			}
		case errors.Is(err, upstream.ErrTimeout) && in.up.Cancelled() == nil:
			if last.IsZero() {
				last = time.Now().Add(-wait)
			}
			switch {
			case finishing:
				x.out = in.reader.Finish(x.out) // the count of tokens does not come any more
			case time.Since(last) < idle:
				if err := x.heartbeat(); err != nil {
					return err
				}
			default:
				x.broken(in, errSilent)
			}
		case errors.Is(err, errClientGone):
			return errStop
		case in == nil:
			x.broken(src, err)
		default:
			x.broken(in, err)
		}
	}
	return nil
}

// feedPiece takes in a piece of a reply. What the upstream has said so far may be
// enough to know what form the reply has.
func (x *exchange) feedPiece(in *inbound, p []byte) {
	if in.reader.Fed() {
		return
	}
	if in.form == formUnknown {
		if len(in.held) > 0 {
			in.held = append(in.held, p...)
			p = in.held
		}
		if in.form = formOf(&in.up.Header, p); in.form == formUnknown {
			if len(in.held) == 0 {
				in.held = append(in.held, p...)
			}
			return
		}
		if len(in.held) > 0 && in.form == formWhole {
			return // it is held already
		}
	}
	if in.form == formWhole {
		if len(in.held) == 0 && in.ended { // it came in one piece, which need not be copied
			x.feedWhole(in, p)
			return
		}
		in.held = append(room(in.held, len(p)), p...)
		return
	}
	x.feedEvents(in, p)
}

// feedEvents takes in a piece of a stream.
func (x *exchange) feedEvents(in *inbound, p []byte) {
	x.acquireScratch(in, eventRoom(p))
	in.events.Feed(p)
	for e, ok := in.events.Next(); ok; e, ok = in.events.Next() {
		x.out = in.reader.Feed(x.out, e.Name, e.Data)
		if in.reader.Fed() {
			x.noteInBand(in, e.Data)
			return
		}
	}
	if !in.reader.Silent() {
		if in == &x.in || x.front != nil { // not of a summary
			x.noteToken()
		}
		if len(x.lessons) > 0 {
			x.accepted()
		}
	}
	if err := in.events.Err(); err != nil {
		x.errText = err.Error()
		x.out = in.reader.Abort(x.out, &translate.Error{
			Status: 502, Type: translate.TypeServer, Code: "server_error", Origin: translate.OriginUpstream,
			Message: "The upstream sent an event that is larger than this server takes.",
		})
	}
}

func (x *exchange) feedMessage(in *inbound, body []byte) {
	x.out = in.reader.FeedMessage(x.out, body)
	x.noteInBand(in, body)
}

// endOfReply is the end of the upstream's body.
func (x *exchange) endOfReply(in *inbound) {
	if in.reader.Fed() {
		return
	}
	if in.isWhole() {
		x.feedWhole(in, in.held)
		return
	}
	x.endOfEvents(in)
}

// endOfEvents is the end of a stream, or of what turns out to be none.
func (x *exchange) endOfEvents(in *inbound) {
	_, asItIs := in.reader.(*storedReader)
	switch e, ok := in.events.Finish(); {
	case ok && e.Whole && asItIs: // the one event of what is a stream for the client
		x.out = in.reader.Feed(x.out, nil, e.Data)
	case ok && e.Whole:
		x.feedMessage(in, e.Data)
	case ok:
		x.out = in.reader.FeedLast(x.out, e.Name, e.Data)
		x.noteInBand(in, e.Data)
	}
	if in.reader.Fed() {
		return
	}
	x.out = in.reader.Finish(x.out)
	if in.reader.Failure() != nil && x.errText == "" {
		x.errText = "the upstream ended its stream before the reply was complete"
	}
}

// broken is when a reply cannot be read any more, or must not.
func (x *exchange) broken(src source, err error) {
	x.errText = err.Error()
	failure := upstreamFailure(err)
	if errors.Is(err, errSilent) {
		failure = &translate.Error{
			Status: 504, Type: translate.TypeServer, Code: "server_error", Origin: translate.OriginUpstream,
			Message: "The upstream stopped in the middle of its reply.",
		}
		if in, one := src.(*inbound); one && in.isWhole() {
			failure = upstreamFailure(&upstream.Error{Phase: upstream.PhaseBody, Err: upstream.ErrTimeout})
		}
	}
	x.out = src.abort(x.out, failure)
}

// gatherer keeps a whole reply for who asked for it. The body is good until the next
// reply is read.
type gatherer struct {
	body    []byte
	failure *translate.Error
	over    bool
}

func (g *gatherer) FeedMessage(dst, body []byte) []byte {
	g.body, g.over = body, true
	return dst
}

func (g *gatherer) Abort(dst []byte, err *translate.Error) []byte {
	g.failure, g.over = err, true
	return dst
}

func (g *gatherer) Feed(dst, _, _ []byte) []byte     { return dst }
func (g *gatherer) FeedLast(dst, _, _ []byte) []byte { return dst }
func (g *gatherer) Finish(dst []byte) []byte         { return dst }
func (g *gatherer) Fed() bool                        { return g.over }
func (g *gatherer) Finishing() bool                  { return false }
func (g *gatherer) Silent() bool                     { return false }
func (g *gatherer) Failure() *translate.Error        { return g.failure }
func (g *gatherer) Swap(*jsonx.Memory)               {}

// readReply reads the upstream's reply as it is. An upstream that was cancelled is a
// failure like any other.
func (x *exchange) readReply() ([]byte, *translate.Error) {
	var g gatherer
	x.in.begin(&x.up, &g)
	x.in.form = formWhole
	if x.pump(&x.in) != nil {
		return nil, upstreamFailure(errClientGone)
	}
	return g.body, g.failure
}
