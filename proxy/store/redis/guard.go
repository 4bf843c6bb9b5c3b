package redis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valkey-io/valkey-go"
)

// DownError is what every call returns while the server is out of reach.
type DownError struct {
	// Since is when that was found.
	Since time.Time
	// Cause is how.
	Cause error
}

func (e *DownError) Error() string {
	return fmt.Sprintf("store: redis: out of reach since %s: %v", e.Since.UTC().Format(time.RFC3339), e.Cause)
}

// Unwrap returns the cause.
func (e *DownError) Unwrap() error { return e.Cause }

var errClosed = errors.New("store: redis: closed")

const (
	// suspectPart is the part of a call's time that a server which has let a call
	// down may take to answer a PING.
	suspectPart = 5
	// probePause is the pause between two probes of a server that is down. A
	// probe that fails takes the timeout, at most.
	probePause = 100 * time.Millisecond
	// bulkBytes is from what length on a write is a long one.
	bulkBytes = 256 << 10
	// renewPause is the least time between two clients that are made because the
	// server is READONLY.
	renewPause = time.Second
)

// guard knows whether the server can be asked.
//
//	up      calls pass. One that times out or whose connection breaks makes the
//	        server suspect: it gets a PING, while calls go on to pass.
//	        Answered: nothing was wrong with the server. Not answered:
//	down    calls fail at once, those under way too. The server gets a PING
//	        every probePause. Answered: up.
//
// So a frozen server costs the calls that it freezes their deadline, and those
// that come a fifth of it later nothing; and one slow script does not turn a
// server down that answers others.
type guard struct {
	opt     valkey.ClientOption
	timeout time.Duration
	log     func(string, error)

	// A phase is a time of being up or down. Its context ends with it.
	phase  atomic.Pointer[phase]
	client atomic.Pointer[valkeyClient]
	// bulk is a client for what is long, with connections of its own: on a slow
	// network it would keep others waiting, and the PING that decides whether the
	// server is up. Nil: there is none yet.
	bulk atomic.Pointer[valkeyClient]

	mu      sync.Mutex // probing, renewed, closed
	probing bool
	renewed time.Time
	closed  bool
	closing chan struct{}
	work    sync.WaitGroup
}

type valkeyClient struct{ valkey.Client }

type phase struct {
	ctx  context.Context
	end  context.CancelFunc
	down *DownError // nil: up
}

func newPhase(down *DownError) *phase {
	ctx, end := context.WithCancel(context.Background())
	return &phase{ctx, end, down}
}

// start begins to connect, and waits for it as long as a call would.
func (g *guard) start() {
	g.closing = make(chan struct{})
	g.phase.Store(newPhase(&DownError{time.Now(), errors.New("not connected yet")}))
	g.probing = true
	first := make(chan struct{})
	g.work.Go(func() { g.recover(first) })
	select {
	case <-first:
	case <-time.After(g.timeout):
	}
}

// suspect is told of a call that failed for what may be the server's state.
func (g *guard) suspect(cause error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.probing || g.closed {
		return
	}
	g.probing = true
	g.work.Go(func() {
		if g.ping(g.timeout/suspectPart) == nil {
			g.probed()
			return
		}
		g.enter(&DownError{time.Now(), cause})
		g.log("the store is out of reach", cause)
		g.recover(nil)
	})
}

// recover probes until the server answers, or Close. It tells of its first
// attempt by closing first.
func (g *guard) recover(first chan<- struct{}) {
	logged := first == nil
	for {
		err := g.ping(g.timeout)
		if err == nil {
			g.enter(nil)
			g.probed()
			if logged {
				g.log("the store is back", nil)
			}
		} else if !logged {
			logged = true
			g.enter(&DownError{time.Now(), err})
			g.log("the store is out of reach", err)
		}
		if first != nil {
			close(first)
			first = nil
		}
		if err == nil {
			return
		}
		select {
		case <-time.After(probePause):
		case <-g.closing:
			return
		}
	}
}

func (g *guard) probed() {
	g.mu.Lock()
	g.probing = false
	g.mu.Unlock()
}

// enter begins a phase, and ends the one before: whoever waits in it is told.
func (g *guard) enter(down *DownError) { g.phase.Swap(newPhase(down)).end() }

// ping asks the server, making the client if there is none yet.
func (g *guard) ping(timeout time.Duration) error {
	c := g.client.Load()
	if c == nil {
		made, err := valkey.NewClient(g.opt)
		if err != nil {
			return err
		}
		c = &valkeyClient{made}
		g.mu.Lock()
		if g.closed {
			g.mu.Unlock()
			made.Close()
			return errClosed
		}
		g.client.Store(c)
		g.work.Go(g.makeBulk)
		g.mu.Unlock()
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return c.Do(ctx, c.B().Ping().Build()).Error()
}

// makeBulk makes the client for what is long. Until it is there the other one
// serves.
func (g *guard) makeBulk() {
	made, err := valkey.NewClient(g.opt)
	for err != nil {
		select {
		case <-time.After(renewPause):
			made, err = valkey.NewClient(g.opt)
		case <-g.closing:
			return
		}
	}
	g.mu.Lock()
	old := &valkeyClient{made}
	if !g.closed {
		old = g.bulk.Swap(old)
	}
	g.mu.Unlock()
	if old != nil {
		old.Close()
	}
}

// pick is the client for a call with so many bytes, or nil after Close.
func (g *guard) pick(bytes int) *valkeyClient {
	if bytes >= bulkBytes {
		if c := g.bulk.Load(); c != nil {
			return c
		}
	}
	return g.client.Load()
}

// renew makes a new client in place of the present one, whose server has become
// a replica: the name may by now lead to another.
func (g *guard) renew() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || time.Since(g.renewed) < renewPause {
		return
	}
	g.renewed = time.Now()
	g.work.Go(func() {
		made, err := valkey.NewClient(g.opt)
		if err != nil {
			return // the next READONLY does it again
		}
		g.mu.Lock()
		old := g.client.Load()
		if g.closed || old == nil {
			old = &valkeyClient{made}
		} else {
			g.client.Store(&valkeyClient{made})
			g.work.Go(g.makeBulk)
		}
		g.mu.Unlock()
		old.Close() // calls under way on it are made again
	})
}

// close ends all probing and the client. With a frozen server it takes a second
// for each connection.
func (g *guard) close() {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return
	}
	g.closed = true
	close(g.closing)
	clients := []*valkeyClient{g.client.Swap(nil), g.bulk.Swap(nil)}
	g.mu.Unlock()
	g.enter(&DownError{time.Now(), errClosed})
	for _, c := range clients {
		if c != nil {
			g.work.Go(c.Close)
		}
	}
	g.work.Wait()
}
