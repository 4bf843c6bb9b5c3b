package proxy

import (
	"bytes"
	"sync"
	"sync/atomic"

	"github.com/antiphon-proxy/antiphon/translate"
)

// wsState is what a connection can continue though it is stored nowhere: the most
// recent response of each lane. It is in memory only, and gone with the
// connection. A nil *wsState knows nothing.
type wsState struct {
	budget int64

	mu   sync.Mutex
	last map[string]*localResponse // by lane
	used int64
	tick uint64
}

// localResponse is a response that is kept on its connection. What it continues
// is kept with it, as it was said: it may have to be translated for another
// upstream.
type localResponse struct {
	id            string
	parent        *localResponse // that it continues, if that was kept here
	parentID      string         // that it continues, if it was not
	input, output []byte
	fetched       map[string]translate.FetchedFile
	size          int64  // with all that it continues
	tick          uint64 // when it was kept

	translated atomic.Pointer[translatedHistory]
}

// translatedHistory is what a response and all before it come to in one dialect.
type translatedHistory struct {
	dialect *translate.Dialect
	history *translate.History
}

// history returns what previous_response_id stands for, or nil if it is no
// response of this connection.
func (st *wsState) history(x *exchange, id string) (*translate.History, *translate.Error) {
	if st == nil {
		return nil, nil
	}
	r := st.find(id)
	if r == nil {
		return nil, nil
	}
	x.continued = r
	return r.history(x)
}

func (r *localResponse) history(x *exchange) (past *translate.History, err *translate.Error) {
	if t := r.translated.Load(); t != nil && t.dialect == x.dialect {
		return t.history, nil
	}
	switch {
	case r.parent != nil:
		past, err = r.parent.history(x)
	case r.parentID != "":
		past, err = x.server.storedHistory(x, r.parentID)
	default:
		past = &translate.History{}
	}
	if err != nil {
		return nil, err
	}
	x.history.Sealer, x.history.Opener, x.history.Upstream = x, compactions{x}, x.backend.name
	x.history.Fetched = r.fetched
	h, bad := x.history.Extend(past, r.input, r.output, x.dialect)
	if bad != nil {
		return nil, proxyError(500, "A response of this connection cannot be read.")
	}
	r.translated.Store(&translatedHistory{x.dialect, h})
	return h, nil
}

// find returns a response, or nil.
func (st *wsState) find(id string) *localResponse {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, r := range st.last {
		if r.id == id {
			return r
		}
	}
	return nil
}

// item returns an item of the responses that are kept, or nil.
func (st *wsState) item(id string) []byte {
	if st == nil {
		return nil
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, r := range st.last {
		if item := translate.FindItem(r.output, id); item != nil {
			return item
		}
		if listed, err := translate.AppendListedInput(nil, r.input, r.id); err == nil {
			if item := translate.FindItem(listed, id); item != nil {
				return item
			}
		}
	}
	return nil
}

// keep keeps the response that the turn has come to, in place of the one before
// on its lane. One that failed takes with it what it tried to continue.
func (st *wsState) keep(x *exchange, output []byte) {
	if x.turn.Failure() != nil {
		st.evict(x.req.PreviousResponseID())
		return
	}
	if x.place != nil {
		return // the conversation has it
	}
	previous := x.req.PreviousResponseID()
	r := &localResponse{id: x.turn.ID(), parent: x.continued, input: x.storableInput(), output: bytes.Clone(output), fetched: x.chat.Fetched}
	r.size = int64(cap(r.input)+2*len(r.output)+len(r.input)) + 512 // and what it is translated to
	for _, file := range r.fetched {
		r.size += int64(2 * len(file.Data))
	}
	if r.parent != nil {
		r.size += r.parent.size
	} else {
		r.parentID = previous
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.drop(x.lane)
	if r.size > st.budget {
		return
	}
	for st.used+r.size > st.budget {
		oldest := ""
		for name, other := range st.last {
			if o := st.last[oldest]; o == nil || other.tick < o.tick {
				oldest = name
			}
		}
		st.drop(oldest)
	}
	if st.last == nil {
		st.last = map[string]*localResponse{}
	}
	st.tick++
	r.tick = st.tick
	st.last[x.lane] = r
	st.used += r.size
}

// drop forgets the response of a lane. The lock is held.
func (st *wsState) drop(lane string) {
	if r := st.last[lane]; r != nil {
		st.used -= r.size
		delete(st.last, lane)
	}
}

// evict forgets a response.
func (st *wsState) evict(id string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for lane, r := range st.last {
		if r.id == id {
			st.drop(lane)
		}
	}
}
