package proxy

import (
	"errors"
	"io"
	"slices"
	"time"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/metrics"
	"github.com/antiphon-proxy/antiphon/translate"
	"github.com/antiphon-proxy/antiphon/translate/sse"
)

// A stream is written by WriteTo, which fasthttp calls after the handler has
// returned, on the goroutine of the connection. Each Write is one chunk and goes
// out at once. There is one for each piece that the upstream sends, with all the
// events that it makes: an event is never split over two.

// stream makes the exchange the body of the client's reply.
func (x *exchange) stream() { x.beginStream(x) }

// beginStream makes the reply a stream of events, which body writes.
func (x *exchange) beginStream(body io.Reader) {
	ctx := x.ctx
	h := &ctx.Response.Header
	h.SetContentType("text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Accel-Buffering", "no")
	x.streaming = true
	x.server.metrics.Streams.Add(1)
	x.releaseRequest() // a stream may last long
	_ = ctx.SetWriteDeadline(time.Now().Add(x.server.cfg.Limits.WriteTimeout.Std()))
	ctx.SetBodyStream(body, -1)
}

// SupportsBodyWriteTo tells fasthttp to call WriteTo.
func (x *exchange) SupportsBodyWriteTo() bool { return true }

// Read is never called.
func (x *exchange) Read([]byte) (int, error) { return 0, errors.ErrUnsupported }

// Close is called by fasthttp when the body has been written, or cannot be.
func (x *exchange) Close() error {
	x.finish()
	return nil
}

// flushAt is how much may pile up for one Write while the upstream has more at
// hand.
const flushAt = 32 << 10

// beginRoom is what the events take that open a stream, unless the request is large.
const beginRoom = 4 << 10

// errStop ends a stream whose client is not there any more.
var errStop = errors.New("stream stopped")

// WriteTo writes the stream.
func (x *exchange) WriteTo(w io.Writer) (n int64, err error) {
	x.http.streamSink = streamSink{x, w}
	x.sink = &x.http.streamSink
	err = x.run()
	return x.bytesOut, err
}

// run carries the turn to its end. All events go to the sink. An error says that the
// client has left; every other trouble ends in a terminal event.
func (x *exchange) run() (err error) {
	defer func() {
		if r := recover(); r != nil {
			x.server.contain(x, r)
			err = x.afterPanic()
		}
	}()
	x.out = x.out[:0]
	x.in.begin(&x.up, x.reader)
	x.acquireScratch(&x.in, beginRoom)
	x.out = x.reader.Begin(x.out)
	if x.compacts != "" {
		err = x.compactInStream()
	}
	switch {
	case err != nil || x.turn.Ended():
	case x.check == nil || x.compactsOnly():
		err = x.take()
	default:
		err = x.takeChecked()
	}
	if err == nil {
		err = x.complete()
	}
	if err != nil {
		x.outcome = metrics.OutcomeClientGone
		x.status = statusClientGone
		return err
	}
	x.up.Close(true)
	return nil
}

// complete stores the response of a turn that has ended, and says the last of it.
func (x *exchange) complete() error {
	x.out = x.lossComment(x.out)
	if len(x.out) > flushAt {
		if err := x.flush(); err != nil {
			return err
		}
	}
	x.notice()
	x.out = x.doneMarker(x.sink.commit(x.out))
	x.countTurn()
	return x.flush()
}

// take takes in the upstream's reply.
func (x *exchange) take() error {
	if x.compactsOnly() {
		x.out = x.turn.FinishWith(x.out, x.summary.turn)
		return nil
	}
	if err := x.takeReply(&x.in, x.reader); err != nil {
		return err
	}
	return x.askCallAgain()
}

func (x *exchange) doneMarker(dst []byte) []byte {
	if x.server.cfg.Stream.DoneMarker {
		return sse.AppendDone(dst)
	}
	return dst
}

// lossComment says in a comment what the reply has lost: it comes too late for
// the header.
func (x *exchange) lossComment(dst []byte) []byte {
	late := translate.Losses{More: x.losses.More}
	for _, loss := range x.losses.Entries {
		if !slices.Contains(x.reported, loss) {
			late.Entries = append(late.Entries, loss)
		}
	}
	if late.Empty() || x.server.cfg.Loss == config.LossAllow {
		return dst
	}
	x.head = append(x.head[:0], "antiphon-loss: "...)
	x.head = late.AppendHeader(x.head, maxLossHeader)
	return sse.AppendComment(dst, string(x.head))
}

// afterPanic ends a stream in which the program has failed: the client is told,
// if the turn still can.
func (x *exchange) afterPanic() (err error) {
	failure := proxyError(500, "This server has made a mistake. It has been logged as request "+string(x.requestID)+".")
	if x.sink.panicked(failure) {
		return errStop
	}
	defer func() {
		if recover() != nil {
			err = errStop // the fault is in what would tell it
		}
	}()
	// What is held and in x.out are whole events, which must not be missed.
	x.letGo()
	x.out = x.reader.Abort(x.out, failure)
	x.out = x.doneMarker(x.turn.Terminal(x.out, time.Now().Unix(), false, false))
	return x.flush()
}
