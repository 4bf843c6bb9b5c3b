package proxy

import (
	"bytes"
	"sync"

	"antiphon/translate"
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

// localResponse is a response that is kept on its connection. It does not change.
type localResponse struct {
	id            string
	past          *translate.History // before it
	input, output []byte
	dialect       *translate.Dialect
	size          int64
	tick          uint64 // when it was kept
	seen          *translate.History
}

// history returns what previous_response_id stands for, or nil if it is no
// response of this connection.
func (st *wsState) history(x *exchange, id string) (*translate.History, *translate.Error) {
	if st == nil {
		return nil, nil
	}
	st.mu.Lock()
	r := st.find(id)
	if r == nil || r.dialect != x.dialect {
		st.mu.Unlock()
		return nil, nil
	}
	seen := r.seen
	st.mu.Unlock()
	if seen != nil {
		return seen, nil
	}
	past := r.past
	if past == nil {
		past = &translate.History{}
	}
	h, err := x.history.Extend(past, r.input, r.output, x.dialect)
	if err != nil {
		return nil, proxyError(500, "A response of this connection cannot be read.")
	}
	st.mu.Lock()
	r.seen = h
	st.mu.Unlock()
	return h, nil
}

// find returns a response. The lock is held.
func (st *wsState) find(id string) *localResponse {
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
	r := &localResponse{
		id: x.turn.ID(), past: x.past, input: x.storableInput(), output: bytes.Clone(output), dialect: x.dialect,
	}
	r.size = int64(cap(r.input)+2*len(r.output)+r.past.Size()+len(r.input)) + 512 // and what seen will take
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
