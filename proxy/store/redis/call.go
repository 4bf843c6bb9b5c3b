package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// maxCalls is how many calls are on their way at once; others wait for one to
// end. It is more than a server can use, and less than the queue of a connection
// holds: a full queue would block calls beyond their deadline.
const maxCalls = 256

// call asks the server something, within the timeout and the deadline of ctx
// (whose later cancellation is not looked at: what is on its way is soon over).
//
// ask is called again when the connection broke before the reply, once, and when
// the server says that it cannot answer yet: it must be such that it does no
// harm when it was carried out already. What it returns is the reply's error;
// a nil reply is none.
func (s *Store) call(ctx context.Context, ask func(context.Context, valkey.Client) error) error {
	return s.send(ctx, 0, ask)
}

// send is call for what has so many bytes.
func (s *Store) send(ctx context.Context, bytes int, ask func(context.Context, valkey.Client) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	phase := s.guard.phase.Load()
	if phase.down != nil {
		return phase.down
	}
	begin := time.Now()
	deadline := begin.Add(s.timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	own, cancel := context.WithDeadline(phase.ctx, deadline)
	defer cancel()
	select {
	case s.calls <- struct{}{}:
		defer func() { <-s.calls }()
	case <-own.Done():
		return s.gaveUp(phase, begin, own.Err())
	}

	broken := false
	for pause := 2 * time.Millisecond; ; pause *= 2 {
		client := s.guard.pick(bytes)
		if client == nil {
			return errClosed
		}
		err := ask(own, client.Client)
		var reply *valkey.ValkeyError
		switch {
		case err == nil || valkey.IsValkeyNil(err):
			return nil
		case errors.Is(err, errChanging):
			return err
		case errors.As(err, &reply):
			if err = s.refused(reply); !errors.Is(err, errNotYet) {
				return err
			}
			// The server is starting, or keys are being moved.
			select {
			case <-time.After(pause):
				continue
			case <-own.Done():
				s.guard.suspect(reply)
				return fmt.Errorf("store: redis: %w", reply)
			}
		case own.Err() != nil:
			return s.gaveUp(phase, begin, own.Err())
		case errors.Is(err, valkey.ErrClosing) && s.guard.pick(bytes) != client:
			continue // it was replaced
		case !broken:
			broken = true // most likely since long before: the server was restarted
		default:
			s.guard.suspect(err)
			return fmt.Errorf("store: redis: %w", err)
		}
	}
}

// gaveUp is the error of a call whose time is over.
func (s *Store) gaveUp(phase *phase, begin time.Time, err error) error {
	if now := s.guard.phase.Load(); now != phase && now.down != nil {
		return now.down
	}
	waited := time.Since(begin)
	if waited >= s.timeout/2 { // else it is the caller who had no time
		s.guard.suspect(err)
	}
	return fmt.Errorf("store: redis: no answer in %v: %w", waited.Round(time.Millisecond), err)
}

// errNotYet says that the server may answer in a moment.
var errNotYet = errors.New("not yet")

// refused is the error for a server's error reply.
func (s *Store) refused(reply *valkey.ValkeyError) error {
	switch {
	case reply.IsTryAgain(), reply.IsLoading(), reply.IsClusterDown(), code(reply) == "MASTERDOWN", code(reply) == "BUSY":
		return errNotYet
	case code(reply) == "READONLY":
		s.guard.renew()
	case code(reply) == "OOM":
		return fmt.Errorf("%w: redis: %w", store.ErrFull, reply)
	}
	return fmt.Errorf("store: redis: %w", reply)
}

// code is the first word of an error reply.
func code(reply *valkey.ValkeyError) string {
	word, _, _ := strings.Cut(reply.Error(), " ")
	return word
}
