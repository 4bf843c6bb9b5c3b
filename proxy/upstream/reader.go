package upstream

import (
	"bufio"
	"io"
)

// firstReader is the buffer that a connection starts with, in bytes. Nearly all
// heads fit, and what a stream has at hand at once; a thousand streams need not
// have room each for the largest head there may be.
const firstReader = 4 << 10

// widen gives the connection a reader as large as it may be, which begins with
// what the one before holds. It reports whether there was any room to gain.
// What came out of the reader before stays as it is.
func (c *conn) widen() bool {
	if c.br.Size() >= c.most {
		return false
	}
	held, _ := c.br.Peek(c.br.Buffered())
	c.br = bufio.NewReaderSize(&resumed{held, c.Conn}, c.most)
	_, _ = c.br.Peek(len(held))
	return true
}

// resumed reads what was held, and then the rest.
type resumed struct {
	held []byte
	rest io.Reader
}

func (r *resumed) Read(p []byte) (int, error) {
	if len(r.held) == 0 {
		return r.rest.Read(p)
	}
	n := copy(p, r.held)
	if r.held = r.held[n:]; len(r.held) == 0 {
		r.held = nil
	}
	return n, nil
}
