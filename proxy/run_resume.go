package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/metrics"
	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/translate"
	"github.com/antiphon-proxy/antiphon/translate/jsonx"
	"github.com/antiphon-proxy/antiphon/translate/sse"
)

// padding says whether the deltas of a stream that is read again are padded.
type padding uint8

const (
	asStored padding = iota
	padded
	unpadded
)

// resume answers GET /responses/{id}?stream=true for a background response.
func (s *Server) resume(x *exchange, id string, state *runState, q *retrieval) (streaming bool) {
	const format = "This response cannot be streamed because it was not created with stream=true."
	keep := s.cfg.Background.ResumeFor.Std()
	switch {
	case !state.Stream:
		x.respondError(x.ctx, clientError(400, "", "", format))
	case state.over() && time.Since(state.Ended) > keep:
		x.respondError(x.ctx, clientError(400, "", "", "Response can no longer be streamed, it is more than "+spellAge(keep)+" old."))
	default:
		return s.follow(x, id, q.next, q.padding)
	}
	return false
}

// spellAge is a time in words: 5 minutes.
func spellAge(d time.Duration) string {
	switch {
	case d > 0 && d%time.Minute == 0:
		return strconv.Itoa(int(d/time.Minute)) + " minutes"
	case d%time.Second == 0:
		return strconv.Itoa(int(d/time.Second)) + " seconds"
	}
	return d.String()
}

// follow makes the events of a background response, from a number on, the body of
// the client's reply: those that there are, and those that come.
func (s *Server) follow(x *exchange, id string, next uint64, pad padding) bool {
	x.beginStream(&follower{exchange: x, id: id, next: next, padding: pad})
	return true
}

// follower tells a client the events of a background response. It does not
// matter where that is made, whether it has ended, or that the client leaves.
type follower struct {
	*exchange
	id   string
	next uint64 // number of the next event
	padding
	told   bool // the terminal event
	looked bool // since the last event, whether there is anything to come
}

// tellFailure tells the end of a failed response to a client that knows more than
// is on record: events are shown before they are kept, and the process that made
// the response was lost in between.
func (f *follower) tellFailure() {
	if f.told {
		return
	}
	state, err := f.server.run(f.tenant, f.id)
	if err != nil || !state.Lost {
		return
	}
	if response, err := f.server.runResponse(f.exchange, f.id, state); err == nil {
		f.out = translate.AppendFailed(f.out, f.next, response)
	}
}

// WriteTo writes the stream.
func (f *follower) WriteTo(w io.Writer) (n int64, err error) {
	x := f.exchange
	defer func() {
		if p := recover(); p != nil {
			x.server.contain(x, p)
			err = errStop
		}
	}()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	x.client.onCancel(cancel)
	beat := x.server.cfg.Stream.Heartbeat.Std()
	x.lastOut = time.Now()
	x.http.streamSink = streamSink{x, w}
	x.sink = &x.http.streamSink
	for over := false; !over; {
		var entries []store.Entry
		entries, over = f.more(ctx, beat)
		for i := range entries {
			if entries[i].Key == endOfRun {
				over = true
				break
			}
			f.append(entries[i].Body)
			f.next++
		}
		switch cause := x.up.Cancelled(); {
		case errors.Is(cause, errClientGone):
			x.outcome, x.status = metrics.OutcomeClientGone, statusClientGone
			return x.bytesOut, errStop
		case cause != nil:
			over = true // the client can go on reading elsewhere
		case over:
			f.tellFailure()
			x.out = x.doneMarker(x.out)
		case len(x.out) == 0 && beat > 0 && time.Since(x.lastOut) >= beat:
			x.server.metrics.Heartbeats.Add(1)
			x.out = sse.AppendComment(x.out, "keep-alive")
		}
		if err := x.flush(); err != nil {
			x.outcome, x.status = metrics.OutcomeClientGone, statusClientGone
			return x.bytesOut, err
		}
	}
	return x.bytesOut, nil
}

func (f *follower) append(event []byte) {
	f.told = f.told || isTerminal(event)
	if f.padding == asStored {
		f.out = append(f.out, event...)
		return
	}
	f.out = translate.AppendObfuscated(f.out, event, f.padding == padded)
}

func isTerminal(event []byte) bool {
	for _, name := range [...]string{"completed", "incomplete", "failed"} {
		if bytes.HasPrefix(event, []byte("event: response."+name+"\n")) {
			return true
		}
	}
	return false
}

// more returns the next events, after having waited for them until it is time for
// a heartbeat. over says that there will be no more.
func (f *follower) more(ctx context.Context, beat time.Duration) (entries []store.Entry, over bool) {
	const some = 500
	s := f.server
	if beat <= 0 {
		beat = 30 * time.Second
	}
	wait, end := context.WithTimeout(ctx, beat)
	defer end()
	if r := s.runs.find(f.tenant, f.id); r != nil {
		entries, inStore, changed := r.events.from(f.next)
		if len(entries) > 0 {
			return entries, false
		}
		if !inStore {
			select {
			case <-changed:
			case <-wait.Done():
			}
			return nil, false
		}
	}
	page := store.Page{Limit: some}
	if f.next > 0 {
		after := f.next - 1
		page.AfterSeq = &after
	}
	entries, _, err := s.store.Entries(storeContext(), f.tenant, runLog(f.id), page)
	switch {
	case err != nil:
		sleep(wait, 250*time.Millisecond) // it may come back, and the stream goes on
		return nil, false
	case len(entries) > 0:
		f.looked = false
		return entries, false
	}
	if f.looked && s.store.Wait(wait, f.tenant, runLog(f.id), f.next) == nil {
		return nil, false
	}
	// Nothing is there, or not for a while, or the store is out of reach: is there
	// anything to come?
	f.looked = true
	state, err := s.run(f.tenant, f.id)
	if err != nil && !isNotFound(err) {
		sleep(wait, 250*time.Millisecond)
		return nil, false
	}
	if err == nil && !state.over() {
		return nil, false
	}
	entries, _, err = s.store.Entries(storeContext(), f.tenant, runLog(f.id), page)
	return entries, err == nil && len(entries) == 0
}

// retrieval is what GET /responses/{id} is asked for.
type retrieval struct {
	stream  bool
	next    uint64 // number of the first event that is wanted
	padding padding
}

// retrieval reads the query. Some clients (openai-go) send part of it as a JSON
// body.
func (x *exchange) retrieval() (q retrieval, err *translate.Error) {
	args := x.ctx.QueryArgs()
	var d jsonx.Doc
	if x.ctx.Request.Header.ContentLength() != 0 {
		if err := x.readBody(); err != nil {
			return q, err
		}
		if len(x.body) > 0 {
			if err := d.Parse(x.body, jsonx.Limits{}); err != nil {
				return q, clientError(400, "", "", "We could not parse the JSON body of your request: "+err.Error()+".")
			}
		}
	}
	// get is a value as text, and whether it has the right type if it is in the body.
	get := func(name string, kinds ...jsonx.Kind) (string, bool) {
		if v := args.Peek(name); len(v) > 0 {
			return string(v), true
		}
		if len(x.body) == 0 {
			return "", true
		}
		n := d.Get(jsonx.Root, name)
		if !d.Present(n) {
			return "", true
		}
		for _, k := range kinds {
			if d.Kind(n) == k {
				return string(d.Raw(n)), true
			}
		}
		return "", false
	}
	readBool := func(name string) (value, given bool, err *translate.Error) {
		text, ok := get(name, jsonx.True, jsonx.False)
		switch {
		case ok && text == "":
			return false, false, nil
		case ok && (text == "true" || text == "1" || text == "True"):
			return true, true, nil
		case ok && (text == "false" || text == "0" || text == "False"):
			return false, true, nil
		}
		return false, false, clientError(400, "invalid_type", name,
			"Invalid type for '"+name+"': expected a boolean, but got a string instead.")
	}
	if q.stream, _, err = readBool("stream"); err != nil {
		return q, err
	}
	pad, given, err := readBool("include_obfuscation")
	switch {
	case err != nil:
		return q, err
	case given && pad:
		q.padding = padded
	case given:
		q.padding = unpadded
	}
	text, ok := get("starting_after", jsonx.Number)
	if text == "" && ok {
		return q, nil
	}
	after, bad := strconv.ParseInt(text, 10, 64)
	switch {
	case !ok || bad != nil:
		return q, clientError(400, "invalid_type", "starting_after",
			"Invalid type for 'starting_after': expected an integer, but got a string instead.")
	case after < 0:
		return q, clientError(400, "integer_below_min_value", "starting_after", "Invalid 'starting_after': integer below minimum value. "+
			"Expected a value >= 0, but got "+text+" instead.")
	}
	q.next = uint64(after) + 1
	return q, nil
}
