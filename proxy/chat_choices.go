package proxy

import (
	"errors"
	"sync"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/upstream"
	"github.com/antiphon-proxy/antiphon/translate"
)

// together is the source of a completion with several choices: their replies come at the
// same time, and each is read by a goroutine of its own.
type together struct {
	f       *chatFront
	pieces  chan choicePiece
	stop    chan struct{}
	readers sync.WaitGroup
	timer   *time.Timer
}

// choicePiece is what one of the replies has brought.
type choicePiece struct {
	from *choiceReply
	data []byte
	err  error
}

// watchEvery is how often it is looked whether the client has left, which shows in the
// first reply only.
const watchEvery = 250 * time.Millisecond

// together begins to read the replies. An upstream may be silent for the time idle.
func (f *chatFront) together(idle time.Duration) *together {
	t := &together{f: f, pieces: make(chan choicePiece), stop: make(chan struct{}), timer: time.NewTimer(time.Hour)}
	for _, r := range f.replies[:f.req.N] {
		t.readers.Go(func() { t.carry(r, idle) })
	}
	return t
}

// carry reads one of the replies.
func (t *together) carry(r *choiceReply, idle time.Duration) {
	for {
		p, err := r.up.Read(idle)
		if errors.Is(err, upstream.ErrTimeout) && r.up.Cancelled() == nil {
			err = errSilent
		}
		select {
		case t.pieces <- choicePiece{r, append([]byte(nil), p...), err}:
		case <-t.stop:
			return
		}
		if err != nil {
			return
		}
	}
}

func (t *together) read(wait time.Duration) (*inbound, []byte, error) {
	t.timer.Reset(min(wait, watchEvery))
	var p choicePiece
	select {
	case p = <-t.pieces:
	case <-t.timer.C:
		p.err = upstream.ErrTimeout
	}
	if err := t.f.x.up.Cancelled(); err != nil {
		t.f.cancel(err)
		return nil, nil, err
	}
	if p.from == nil {
		return nil, nil, p.err
	}
	return &p.from.inbound, p.data, p.err
}

func (t *together) more() bool      { return false }
func (t *together) fed() bool       { return t.f.choices.Ended() }
func (t *together) finishing() bool { return false }

func (t *together) abort(dst []byte, err *translate.Error) []byte {
	for _, r := range t.f.replies[:t.f.req.N] {
		dst = r.Abort(dst, err)
	}
	return dst
}

// end stops the reading.
func (t *together) end() {
	t.timer.Stop()
	t.f.cancel(errStop) // what is still being read is not wanted any more
	close(t.stop)
	t.readers.Wait()
}
