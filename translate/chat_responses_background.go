package translate

import (
	"strconv"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// A background response is made in two places: where it is accepted it gets its
// id, its first two events and a place in the queue; where it runs, maybe in
// another process, a Turn with the same Seed and TurnOptions.Queued goes on. When
// that process is lost or somebody cancels the response, a third Turn takes up
// what was said until then, and settles the outcome.

// queuedEvents is how many events Queue makes.
const queuedEvents = 2

// Queue appends the events with which the stream of a background response begins
// when it is accepted: created and queued. The turn is of no use after that but
// for Snapshot.
func (t *Turn) Queue(dst []byte) []byte {
	if t.state != stateIdle {
		return dst
	}
	t.advance(stateOpen)
	if !t.events {
		return dst
	}
	f := finalFields{status: "queued", stored: t.opt.Request.Store}
	dst = t.lifecycle(dst, evCreated, f)
	return t.lifecycle(dst, evQueued, f)
}

// Snapshot appends the response object of a background response that has not
// ended: queued, or in progress. Its output is empty until the end.
func (t *Turn) Snapshot(dst []byte, queued bool) []byte {
	f := finalFields{status: "in_progress", stored: t.opt.Request.Store}
	if queued {
		f.status = "queued"
	}
	return t.appendResponse(dst, f)
}

// Resume takes up a response that another turn has begun: next is the
// sequence_number of the event to come, and output what the other had finished,
// items with commas between them. It is for Abort or Cancel to come.
func (t *Turn) Resume(next int, output []byte) {
	t.advance(stateOpen)
	t.sequence, t.earlier = next, output
}

// Cancel settles the outcome: somebody has cancelled the response. Its output is
// what there is, with open items marked incomplete, and there is no terminal
// event.
func (t *Turn) Cancel() {
	if t.state >= stateEnded {
		return
	}
	t.stopped = true
	t.advance(stateEnded)
	t.leaveOpen()
}

// Skip ends a turn that asks the backend for nothing: the response is completed,
// and its output is empty.
func (t *Turn) Skip(dst []byte) []byte {
	dst = t.Begin(dst)
	t.finished = true
	t.advance(stateEnded)
	return dst
}

// AppendFailed appends the two events that end the stream of a failed response,
// for a reader that was told events which nobody kept: next is the number that
// it expects.
func AppendFailed(dst []byte, next uint64, response []byte) []byte {
	fault := jsonx.Lookup(response, "error").Raw
	if fault == "" || fault == "null" {
		return dst
	}
	dst = append(dst, evError...)
	dst = strconv.AppendUint(dst, next, 10)
	for _, key := range [...]string{"code", "message", "param"} {
		dst = append(append(append(dst, `,"`...), key...), `":`...)
		if value := jsonx.Lookup(response, "error", key).Raw; value != "" {
			dst = append(dst, value...)
		} else {
			dst = append(dst, "null"...)
		}
	}
	dst = append(dst, `,"error":`...)
	dst = append(dst, fault...)
	dst = append(dst, eventEnd...)
	dst = append(dst, evFailed...)
	dst = strconv.AppendUint(dst, next+1, 10)
	dst = append(dst, `,"response":`...)
	dst = append(dst, response...)
	return append(dst, eventEnd...)
}
