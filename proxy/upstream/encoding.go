package upstream

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Replies are asked for as they are (Accept-Encoding: identity). Some servers encode
// them all the same. Read decodes gzip, deflate and zstd as the bytes come, so that a
// stream stays one; other encodings are an EncodingError.

// EncodingError says that a body cannot be decoded.
type EncodingError struct {
	Encoding string // as the reply's head names it
	Err      error  // what is wrong with the data; nil if nobody here knows the encoding
}

func (e *EncodingError) Error() string {
	if e.Err == nil {
		return "the reply has the content encoding " + e.Encoding + ", which cannot be decoded"
	}
	return "decoding the reply (" + e.Encoding + "): " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *EncodingError) Unwrap() error { return e.Err }

// maxWindow bounds what decoding zstd keeps of what was before.
const maxWindow = 8 << 20

// decoder decodes a body in pieces. The standard decoders want a Reader that waits;
// here nobody may wait but Read, which has a deadline and can be called again. So they
// run in a coroutine, which gives back control whenever they need more than there is.
type decoder struct {
	next  func() (out []byte, ok bool)
	stop  func()
	input []byte // what is left of the last piece of the body
	eof   bool   // there is no more
	over  bool   // all has been handed out
	err   error
	total int64
}

// decode makes Read decode the body, if its head says that it is encoded.
func (x *Exchange) decode() {
	name := strings.ToLower(strings.TrimSpace(string(x.Header.ContentEncoding())))
	if x.Decode && name != "" && name != "identity" && x.body.framing != framedNone {
		x.decoder = newDecoder(name)
	}
}

func newDecoder(name string) *decoder {
	d := &decoder{}
	d.next, d.stop = iter.Pull(func(yield func([]byte) bool) {
		r, err := openDecoder(name, bufio.NewReader(&decoderInput{d, yield}))
		buf := make([]byte, 32<<10)
		for err == nil {
			var n int
			if n, err = r.Read(buf); n > 0 && !yield(buf[:n]) {
				break
			}
		}
		if c, ok := r.(interface{ Close() }); ok {
			c.Close()
		}
		var known *EncodingError
		switch {
		case err == nil, errors.Is(err, io.EOF):
		case errors.As(err, &known):
			d.err = err
		default:
			d.err = &EncodingError{name, err}
		}
	})
	return d
}

// decoderInput is the body for the decoder in the coroutine.
type decoderInput struct {
	d     *decoder
	yield func([]byte) bool
}

func (in *decoderInput) Read(p []byte) (int, error) {
	for len(in.d.input) == 0 {
		if in.d.eof {
			return 0, io.EOF
		}
		if !in.yield(nil) {
			return 0, io.ErrClosedPipe
		}
	}
	n := copy(p, in.d.input)
	in.d.input = in.d.input[n:]
	return n, nil
}

// openDecoder looks at the first bytes, too: a body that is text is not encoded, whatever
// its head says.
func openDecoder(name string, r *bufio.Reader) (io.Reader, error) {
	first, err := r.Peek(1)
	if err != nil {
		return r, err
	}
	if bytes.IndexByte([]byte("{[de:<\"\n "), first[0]) >= 0 {
		return r, nil
	}
	switch name {
	case "gzip", "x-gzip":
		return gzip.NewReader(r)
	case "deflate": // in zlib's format, and with some servers without
		two, err := r.Peek(2)
		if err == nil && two[0]&0x0f == 8 && (int(two[0])<<8|int(two[1]))%31 == 0 {
			return zlib.NewReader(r)
		}
		return flate.NewReader(r), nil
	case "zstd":
		return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	}
	return r, &EncodingError{Encoding: name}
}

// readDecoded is Read for a body that is being decoded.
func (x *Exchange) readDecoded(wait time.Duration) ([]byte, error) {
	d := x.decoder
	for {
		if d.over {
			if d.err != nil {
				return nil, x.fail(PhaseBody, d.err)
			}
			return nil, io.EOF
		}
		out, more := d.next()
		if len(out) > 0 {
			d.total += int64(len(out))
			if most := x.client.opt.MaxBody; most > 0 && d.total > most {
				return nil, x.fail(PhaseBody, ErrTooLarge)
			}
			return out, nil
		}
		if !more {
			d.over = true
			continue
		}
		p, err := x.readRaw(wait)
		switch {
		case err == nil:
			d.input = p
		case errors.Is(err, io.EOF):
			d.eof = true
		default:
			return nil, err
		}
	}
}

// closeDecoder ends the coroutine.
func (x *Exchange) closeDecoder() {
	if x.decoder != nil {
		x.decoder.stop()
		x.decoder = nil
	}
}
