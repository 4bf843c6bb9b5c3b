package proxy

import (
	"io"
	"sync"
	"time"
)

// What is written to a client goes out in slices, each with a deadline of its own:
// a client that reads slowly is served for as long as it reads, however long the
// reply is, and one that reads nothing is given up when limits.write_timeout is
// over. This is below HTTP: the bytes on the wire are the same.
//
// Some systems take a few bytes more for a client that reads nothing, whenever they
// tidy up their buffers. So a slice does not begin with a fresh deadline: the time
// that was spent waiting counts until the client has taken a slice's worth for it.

// writeSlice is what a client must take within the deadline.
const writeSlice = 64 << 10

// writePace is how a client keeps up with what is written to it.
type writePace struct {
	mu     sync.Mutex
	waited time.Duration // that the client has not made up for
	armed  time.Time     // the deadline of the connection
	given  bool          // up: a deadline that has passed was set from outside
}

// Write writes all of p, or fails when the client takes nothing for too long.
func (c *clientConn) Write(p []byte) (n int, err error) {
	if c.from.slow <= 0 {
		return c.TCPConn.Write(p)
	}
	for {
		m, err := c.writeSlice(p[n:min(len(p), n+writeSlice)])
		n += m
		if err != nil || n == len(p) {
			return n, err
		}
	}
}

// ReadFrom writes what r gives, as Write does.
func (c *clientConn) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{c}, r)
}

func (c *clientConn) writeSlice(p []byte) (int, error) {
	began := time.Now()
	if err := c.arm(began); err != nil {
		return 0, err
	}
	n, err := c.TCPConn.Write(p)
	w := &c.pace
	if took := time.Since(began); took > time.Millisecond || w.waited > 0 {
		made := time.Duration(float64(c.from.slow) * float64(n) / writeSlice)
		w.waited = max(w.waited+took-made, 0)
	}
	return n, err
}

// arm sets the deadline for a slice. Deadlines cost; one that is a little early
// does no harm.
func (c *clientConn) arm(now time.Time) error {
	w := &c.pace
	w.mu.Lock()
	defer w.mu.Unlock()
	end := now.Add(c.from.slow - w.waited)
	if early := end.Sub(w.armed); w.given || early >= 0 && early < c.from.slow/32 {
		return nil
	}
	w.armed = end
	return c.TCPConn.SetWriteDeadline(end)
}

// SetWriteDeadline has an effect only for a time that has passed, which ends
// writing for good: other deadlines are set for each slice.
func (c *clientConn) SetWriteDeadline(t time.Time) error {
	if c.from.slow <= 0 {
		return c.TCPConn.SetWriteDeadline(t)
	}
	if t.IsZero() || t.After(time.Now()) {
		return nil
	}
	c.pace.mu.Lock()
	defer c.pace.mu.Unlock()
	c.pace.given = true
	return c.TCPConn.SetWriteDeadline(t)
}

// SetDeadline sets both deadlines.
func (c *clientConn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}
