package chaos

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	patience = 30 * time.Second // for what should happen at once
	clients  = 6
)

// load is clients at work, and what they were told.
type load struct {
	t     *testing.T
	fleet *fleet
	http  *http.Client

	mu sync.Mutex
	ledger

	over     atomic.Bool // the clients are to end
	number   atomic.Int64
	answers  atomic.Int64 // complete ones
	unstored atomic.Int64 // of these, those that say store:false
	verified atomic.Int64
	cut      atomic.Int64 // requests whose connection was cut
	down     atomic.Int64 // refused because the store was out of reach

	known string // a response that is stored; of probes
	roomy bool   // what clients delete makes room, also while there is none

	// noEvents is for a store that may have no room for the events of a stream in
	// the background when it has some for its end.
	noEvents bool
}

func newLoad(t *testing.T, f *fleet) *load {
	l := &load{t: t, fleet: f, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}, Timeout: patience}}
	t.Cleanup(l.http.CloseIdleConnections)
	l.ledger = ledger{
		responses: map[string]*promise{}, runs: map[string]*run{}, deleted: map[string]bool{}, uncertain: map[string]string{},
	}
	return l
}

// work lets the clients work until it is over.
func (l *load) work(during func()) {
	l.over.Store(false)
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for c := (client{load: l}); !l.over.Load(); {
				c.step()
			}
		})
	}
	during()
	l.over.Store(true)
	all.Wait()
	l.http.CloseIdleConnections()
}

// client is one of them.
type client struct {
	*load
	tip   string // the last response of its chain
	depth int    // of the chain
	talk  *talk
}

// step does one thing at some replica.
func (c *client) step() {
	addr := c.fleet.any()
	switch n := rand.IntN(20); {
	case n < 3:
		c.ask(addr, false)
	case n < 10:
		c.ask(addr, true)
	case n < 14:
		c.converse(addr, n%2 == 0)
	case n < 16:
		c.background(addr)
	case n < 17:
		if c.noEvents {
			c.background(addr)
			return
		}
		c.backgroundStreamed(addr)
	case n < 18:
		c.cancel(addr)
	case n < 19:
		c.read(addr)
	default:
		c.remove(addr)
	}
}

// next is a text that no one else has said.
func (c *client) next() string { return fmt.Sprintf("number %d of all", c.number.Add(1)) }

// refused judges an answer that is none. It returns true for one that is.
func (c *client) refused(what string, a answer, codes ...string) bool {
	switch {
	case a.err != nil && a.status == 0:
		c.cut.Add(1)
		time.Sleep(time.Millisecond) // the replica is being started
		return true
	case a.err != nil:
		c.cut.Add(1)
		return false // what has come is looked at
	case a.status == http.StatusOK:
		return false
	case a.status == http.StatusServiceUnavailable:
		c.down.Add(1)
		return true
	}
	for _, code := range codes {
		if a.code() == code {
			return true
		}
	}
	c.t.Errorf("%s: %d %s", what, a.status, a.body)
	return true
}

// ask creates a response, mostly one that continues the last.
func (c *client) ask(addr string, stream bool) {
	text := c.next()
	parent := ""
	if c.depth >= deepest || rand.IntN(5) == 0 {
		c.tip, c.depth = "", 0
	}
	if c.tip != "" {
		parent = `,"previous_response_id":"` + c.tip + `"`
	}
	a := c.call(addr, http.MethodPost, "/responses", fmt.Sprintf(`{"model":"%s","stream":%v,"input":"%s"%s}`, quick, stream, text, parent))
	if c.refused("ask", a) {
		return
	}
	body := a.body
	if stream {
		id, final := c.stream(a)
		if final == nil {
			c.doubt(id, text)
			if a.err == nil {
				c.t.Errorf("a stream without an end: %s", a.body)
			}
			return
		}
		body = final
	} else if a.err != nil {
		return
	}
	if o := c.keep(body, text, c.depth); o.Store {
		c.tip, c.depth = o.ID, c.depth+1
	}
}

// converse makes a turn of a conversation, or a new one.
func (c *client) converse(addr string, stream bool) {
	if c.talk == nil || c.talk.pending != "" || len(c.talk.turns) >= deepest {
		a := c.call(addr, http.MethodPost, "/conversations", "{}")
		if c.refused("conversation", a) || a.err != nil {
			return
		}
		var made struct{ ID string }
		if err := json.Unmarshal(a.body, &made); err != nil {
			c.t.Errorf("%s", a.body)
			return
		}
		c.mu.Lock()
		c.talk = &talk{id: made.ID}
		c.talks = append(c.talks, c.talk)
		c.mu.Unlock()
	}
	text := c.next()
	c.talk.pending = text // until the end of it is known
	a := c.call(addr, http.MethodPost, "/responses", fmt.Sprintf(`{"model":"%s","stream":%v,"input":"%s","conversation":"%s"}`, quick, stream, text, c.talk.id))
	if c.refused("turn", a, "conversation_locked") {
		if a.code() == "conversation_locked" {
			c.talk.pending = ""
			c.talk = nil // whoever had it was killed
		}
		return
	}
	body := a.body
	if stream {
		id, final := c.stream(a)
		if final == nil {
			c.doubt(id, text)
			return
		}
		body = final
	} else if a.err != nil {
		return
	}
	if o := c.keep(body, text, len(c.talk.turns)); o.Store {
		c.talk.turns, c.talk.pending = append(c.talk.turns, text), ""
	}
}

func (c *client) background(addr string) {
	text := c.next()
	a := c.call(addr, http.MethodPost, "/responses", fmt.Sprintf(`{"model":"%s","background":true,"input":"%s"}`, slow, text))
	if c.refused("background", a) || a.err != nil {
		return
	}
	o := c.decode(a.body)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.runs[o.ID] = &run{asked: text}
}

func (c *client) backgroundStreamed(addr string) {
	text := c.next()
	a := c.call(addr, http.MethodPost, "/responses", fmt.Sprintf(`{"model":"%s","background":true,"stream":true,"input":"%s"}`, slow, text))
	if c.refused("background", a) {
		return
	}
	id, final := c.stream(a)
	if id == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.runs[id] == nil {
		c.runs[id] = &run{asked: text, streamed: true}
	}
	if final != nil {
		c.runs[id].end = final
	}
}

// cancel ends some background response.
func (c *client) cancel(addr string) {
	c.mu.Lock()
	id := ""
	for some, r := range c.runs {
		if r.end == nil {
			id = some
			break
		}
	}
	c.mu.Unlock()
	if id == "" {
		return
	}
	a := c.call(addr, http.MethodPost, "/responses/"+id+"/cancel", "")
	if a.err == nil && a.status == http.StatusBadRequest {
		return // too late
	}
	if c.refused("cancel", a) || a.err != nil {
		return
	}
	if o := c.decode(a.body); o.ended() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if r := c.runs[id]; r.end == nil {
			r.end = a.body
		}
	}
}

// read reads some response at some replica: it is there, or the store is not.
func (c *client) read(addr string) {
	c.mu.Lock()
	var id string
	var want *promise
	for id, want = range c.responses {
		break
	}
	c.mu.Unlock()
	if want == nil {
		return
	}
	a := c.call(addr, http.MethodGet, "/responses/"+id, "")
	c.mu.Lock()
	_, there := c.responses[id]
	c.mu.Unlock()
	if !there || c.refused("read", a) || a.err != nil {
		return // somebody has deleted it meanwhile
	}
	if string(a.body) != string(want.body) {
		c.t.Errorf("read\n%s\nnot\n%s", a.body, want.body)
	}
}

// remove deletes the last response of the client's chain, on which nothing rests.
func (c *client) remove(addr string) {
	id := c.tip
	if id == "" {
		return
	}
	c.tip, c.depth = "", 0
	c.mu.Lock()
	delete(c.responses, id)
	c.mu.Unlock()
	a := c.call(addr, http.MethodDelete, "/responses/"+id, "")
	if c.refused("delete", a) || a.err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deleted[id] = true
}
