package upstream

import (
	"bytes"
	"io"
)

// framing is how the body of a reply ends.
type framing uint8

const (
	framedNone   framing = iota // there is no body
	framedLength                // after so many bytes
	framedChunks                // with a chunk of size 0
	framedClose                 // with the connection
)

// body reads the body of one reply, straight out of the connection's reader.
type body struct {
	framing framing
	left    int64 // bytes left of the body or the chunk
	lineEnd bool  // the line end after a chunk's data comes next
	taken   int   // bytes of the reader that were handed out last
	full    int   // how often the reader was full: more came at once than it has room for
	total   int64 // bytes handed out
	ended   bool
}

// next returns the bytes of the body that are at hand, waiting for some. They
// are good until the next call. io.EOF is the end.
func (b *body) next(c *conn, most int64) ([]byte, error) {
	if b.taken > 0 {
		_, _ = c.br.Discard(b.taken)
		b.taken = 0
		// What is full once may be the beginning of a slow stream.
		if b.full > 1 || b.full == 1 && b.framing == framedLength {
			c.widen()
		}
	}
	if b.ended {
		return nil, io.EOF
	}
	if b.framing == framedChunks && b.left == 0 {
		if err := b.chunk(c); err != nil {
			return nil, err
		}
		if b.ended {
			return nil, io.EOF
		}
	}
	br := c.br
	if _, err := br.Peek(1); err != nil {
		if err == io.EOF && b.framing == framedClose {
			b.ended = true
			return nil, io.EOF
		}
		return nil, err
	}
	n := br.Buffered()
	if n > br.Size()-64 { // a chunk's size is off already
		b.full++
	}
	if b.framing != framedClose {
		n = int(min(int64(n), b.left))
		b.left -= int64(n)
	}
	p, _ := br.Peek(n)
	b.taken = n
	b.total += int64(n)
	if most > 0 && b.total > most {
		return nil, ErrTooLarge
	}
	if b.left == 0 {
		switch b.framing {
		case framedLength:
			b.ended = true
		case framedChunks:
			b.lineEnd = true
		}
	}
	return p, nil
}

// chunk reads the line end after the chunk before, and the size line of the next
// chunk; after the last, the trailer. It takes bytes off the reader only when a
// whole line is there, so that it can go on after a timeout.
func (b *body) chunk(c *conn) error {
	if b.lineEnd {
		line, err := readLine(c)
		if err != nil {
			return err
		}
		if len(line) > 0 {
			return ErrMalformed
		}
		b.lineEnd = false
	}
	line, err := readLine(c)
	if err != nil {
		return err
	}
	size, ok := chunkSize(line)
	if !ok {
		return ErrMalformed
	}
	if size > 0 {
		b.left = size
		return nil
	}
	for trailers := 0; ; trailers++ {
		switch line, err := readLine(c); {
		case err != nil: // half a trailer is no loss: the last chunk was seen
			b.ended, b.framing = true, framedClose
			return nil //nolint:nilerr // see above
		case len(line) == 0:
			b.ended = true
			return nil
		case trailers > 64:
			return ErrMalformed
		}
	}
}

// readLine reads a line off the connection, without its end.
func readLine(c *conn) ([]byte, error) {
	for n := 1; ; {
		_, err := c.br.Peek(n)
		p, _ := c.br.Peek(c.br.Buffered()) // all that is there
		if i := bytes.IndexByte(p, '\n'); i >= 0 {
			line := bytes.TrimSuffix(p[:i], []byte{'\r'})
			_, _ = c.br.Discard(i + 1) // line stays good until the reader is filled again
			return line, nil
		}
		if err != nil {
			return nil, err
		}
		if n = len(p) + 1; n > c.br.Size() && !c.widen() {
			return nil, ErrMalformed
		}
	}
}

// chunkSize reads the size of a chunk. Extensions are skipped.
func chunkSize(line []byte) (int64, bool) {
	if i := bytes.IndexByte(line, ';'); i >= 0 {
		line = line[:i]
	}
	line = bytes.TrimRight(line, " \t")
	if len(line) == 0 || len(line) > 8 {
		return 0, false
	}
	var n int64
	for _, c := range line {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		n = n<<4 | int64(c)
	}
	return n, true
}

// more reports whether next would return without waiting.
func (b *body) more(c *conn) bool {
	if b.ended {
		return false
	}
	rest := c.br.Buffered() - b.taken
	if rest <= 0 {
		return false
	}
	if b.framing != framedChunks || b.left > 0 {
		return true
	}
	p, _ := c.br.Peek(c.br.Buffered())
	p = p[b.taken:]
	if b.lineEnd {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			return false
		}
		p = p[i+1:]
	}
	i := bytes.IndexByte(p, '\n')
	if i < 0 {
		return false
	}
	size, ok := chunkSize(bytes.TrimSuffix(p[:i], []byte{'\r'}))
	switch {
	case !ok: // next finds the fault at once
		return true
	case size == 0:
		return bytes.Contains(p[i+1:], []byte("\r\n"))
	}
	return len(p) > i+1
}
