package upstream

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"
)

// Options configure a Client. Durations of 0 mean no limit, unless said
// otherwise.
type Options struct {
	Addr string      // host:port to connect to
	TLS  *tls.Config // nil for plain TCP; ServerName must be set

	Connect   time.Duration // to connect, TLS handshake included
	Write     time.Duration // to send a request
	FirstByte time.Duration // from the end of the request to the head of the reply

	MaxConns   int           // connections at a time; 0 means no limit
	MaxIdle    int           // connections kept that are not in use
	IdleExpire time.Duration // how long such a connection is kept; 0 keeps none

	MaxHeader int   // bytes of a reply's head; 0 means 16 KiB
	MaxBody   int64 // bytes of a reply's body; 0 means no limit

	// Dial connects; nil means a net.Dialer. Tests and guards replace it.
	Dial func(network, addr string, timeout time.Duration) (net.Conn, error)
}

// Client sends requests to one backend. It may be used by any number of
// goroutines.
type Client struct {
	opt  Options
	pool pool
}

// New makes a client. It does not connect.
func New(opt Options) *Client {
	if opt.MaxHeader <= 0 {
		opt.MaxHeader = 16 << 10
	}
	c := &Client{opt: opt}
	c.pool.init(opt)
	return c
}

// Close closes the connections that are not in use, and every other one when its
// exchange is over.
func (c *Client) Close() { c.pool.close() }

// Stats counts connections: those in use, and those kept for the next request.
func (c *Client) Stats() (active, idle int) { return c.pool.stats() }

// Phase is how far an exchange had come.
type Phase uint8

// The phases of an exchange.
const (
	PhaseConnect Phase = iota
	PhaseWrite
	PhaseHead
	PhaseBody
)

func (p Phase) String() string {
	return [...]string{"connecting", "sending the request", "waiting for the reply", "reading the reply"}[p]
}

// Error is why an exchange failed.
type Error struct {
	Phase Phase
	Err   error
}

func (e *Error) Error() string { return fmt.Sprintf("upstream: %s: %v", e.Phase, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Causes of an Error.
var (
	// ErrTimeout: the phase took longer than it may. In Read it means only that
	// nothing came within the time given: Read can be called again.
	ErrTimeout = errors.New("timed out")
	// ErrTooLarge: the reply's body is over Options.MaxBody.
	ErrTooLarge = errors.New("reply too large")
	// ErrBusy: all Options.MaxConns connections are in use.
	ErrBusy = errors.New("too many connections")
	// ErrMalformed: the reply is not HTTP.
	ErrMalformed = errors.New("malformed reply")
	// ErrTruncated: the connection ended before the reply did.
	ErrTruncated = errors.New("reply cut off")
	// errClosed: the connection was closed before the reply began.
	errClosed = errors.New("connection closed without a reply")
)
