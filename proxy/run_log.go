package proxy

import (
	"bytes"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/translate"
)

const (
	// logDelay is how long an event may be on its way into the store. Should the
	// process die, so much of a stream is lost.
	logDelay = 50 * time.Millisecond
	// logPiece is how much may gather before the stream waits for the store.
	logPiece = 256 << 10
	// logLost is how much of a stream may be held while the store is out of reach.
	logLost = 8 << 20
)

// runEvents are the events of a response that this process makes, between the
// turn and the store: they go to the store in batches, and to who follows them
// here at once.
type runEvents struct {
	run *liveRun
	x   *exchange // that makes the response

	mu      sync.Mutex
	first   uint64        // number of the first event that is not in the store
	pending []store.Entry // from there on
	bytes   int
	over    bool          // all that there will be is in the store
	changed chan struct{} // closed when there is more
	timer   *time.Timer
	skip    int // events that an earlier attempt has said

	flushing sync.Mutex
}

func (l *runEvents) live() bool { return true }

// keepAlive implements sink: whoever follows the response gets some from the one who
// tells it.
func (l *runEvents) keepAlive() keepAliveStyle { return noKeepAlive }

// commit implements sink. What is said before the end is no part of what is stored with
// it.
func (l *runEvents) commit(dst []byte) []byte {
	l.x.out = dst
	if l.x.flush() != nil {
		return dst[:0]
	}
	return l.run.commit(l.x, l.x.out[:0])
}

func (l *runEvents) panicked(failure *translate.Error) bool {
	l.run.fail(failure)
	return true
}

// write takes in events of the turn.
func (l *runEvents) write(piece []byte) error {
	if l.run.lost.Load() != nil {
		return errStop
	}
	entries := splitEvents(nil, piece)
	l.mu.Lock()
	for len(entries) > 0 && l.skip > 0 {
		entries = entries[1:]
		l.skip--
	}
	// Before it is shown that there is output, it must be on record: a response
	// that has any is not made again.
	show := !l.run.rerun || l.run.produced || !hasOutput(entries)
	for i := range entries {
		l.bytes += len(entries[i].Body)
	}
	l.pending = append(l.pending, entries...)
	if show {
		l.announce()
	}
	full := l.bytes > logPiece
	if l.timer == nil && len(l.pending) > 0 {
		l.timer = time.AfterFunc(logDelay, func() { _ = l.flush() })
	}
	l.mu.Unlock()
	switch {
	case !show:
		if err := l.flush(); err != nil {
			return errStop
		}
		l.run.produced = true
		l.mu.Lock()
		l.announce()
		l.mu.Unlock()
	case full:
		if err := l.flush(); err != nil && l.size() > logLost {
			return errStop
		}
	}
	if l.run.lost.Load() != nil {
		return errStop
	}
	return nil
}

// hasOutput reports whether events say more than that the response exists.
func hasOutput(entries []store.Entry) bool {
	for _, e := range entries {
		if !bytes.HasPrefix(e.Body, []byte("event: response.in_progress\n")) {
			return true
		}
	}
	return false
}

func (l *runEvents) size() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bytes
}

// announce wakes those who follow. The lock is held.
func (l *runEvents) announce() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// from returns the events from a number on, as far as they are not in the store.
// inStore says that the store has the next one, or will never have it; otherwise,
// without events, changed is closed when there is more.
func (l *runEvents) from(next uint64) (events []store.Entry, inStore bool, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	end := l.first + uint64(len(l.pending))
	switch {
	case next < l.first || l.over:
		return nil, true, nil
	case next < end:
		return l.pending[next-l.first:], false, nil
	}
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return nil, false, l.changed
}

// flush puts what there is into the store.
func (l *runEvents) flush() error {
	l.flushing.Lock()
	defer l.flushing.Unlock()
	l.mu.Lock()
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	entries := l.named(l.pending)
	over := l.over
	l.mu.Unlock()
	if len(entries) == 0 || over || l.run.lost.Load() != nil {
		return nil
	}
	r := l.run
	err := r.server.store.Commit(storeContext(), r.tenant, &store.Batch{
		Require: []store.Condition{{Kind: kindRun, Key: r.id, Version: r.state.version}},
		Append:  []store.LogAppend{{Log: runLog(r.id), Entries: entries, Expires: time.Now().Add(r.server.runTTL())}},
	})
	if isConflict(err) {
		if err = l.caughtUp(); err == nil {
			return nil
		}
		if isConflict(err) {
			r.lose(errRunTaken)
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		const again = 250 * time.Millisecond
		if l.timer == nil {
			l.timer = time.AfterFunc(again, func() { _ = l.flush() })
		}
		return err
	}
	l.stored(len(entries))
	return nil
}

// named gives what is to be appended a name of its place: an append whose answer
// was lost, and that is made again, cannot be made twice. The lock is held.
func (l *runEvents) named(entries []store.Entry) []store.Entry {
	if len(entries) == 0 {
		return nil
	}
	entries = slices.Clone(entries)
	if entries[0].Key == "" {
		entries[0].Key = "from " + strconv.FormatUint(l.first, 10)
	}
	return entries
}

// caughtUp finds out whether an append that was refused had been made before, and
// only its answer was lost. If not, somebody else has the response: a conflict.
func (l *runEvents) caughtUp() error {
	r := l.run
	now, err := r.server.run(r.tenant, r.id)
	if err == nil && now.version != r.state.version {
		err = store.ErrConflict
	}
	if err != nil {
		return err
	}
	last, _, err := r.server.store.Entries(storeContext(), r.tenant, runLog(r.id), store.Page{Descending: true, Limit: 1})
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(last) == 0 || last[0].Seq < l.first || last[0].Seq-l.first >= uint64(len(l.pending)) {
		return store.ErrConflict
	}
	l.stored(int(last[0].Seq - l.first + 1)) // at most as many as there are
	if len(l.pending) > 0 && l.timer == nil && !l.over {
		l.timer = time.AfterFunc(logDelay, func() { _ = l.flush() })
	}
	return nil
}

// stored notes that n events are in the store. The lock is held.
func (l *runEvents) stored(n int) {
	for i := range n {
		l.bytes -= len(l.pending[i].Body)
	}
	l.first += uint64(n) // a length
	l.pending = append([]store.Entry(nil), l.pending[n:]...)
}

// end says that nothing more comes from here: who follows goes on in the store.
func (l *runEvents) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	l.over = true
	l.announce()
}
