package upstream

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// pieces feeds a decoder with a body cut into pieces of n bytes, and returns what came
// out, and how much had come out before the last piece went in.
func pieces(t *testing.T, name string, body []byte, n int) (out []byte, early int, err error) {
	t.Helper()
	d := newDecoder(name)
	defer d.stop()
	for {
		p, more := d.next()
		out = append(out, p...)
		switch {
		case !more:
			return out, early, d.err
		case len(p) > 0:
		case len(body) == 0:
			d.eof = true
		default:
			d.input = body[:min(n, len(body))]
			if body = body[len(d.input):]; len(body) == 0 {
				early = len(out)
			}
		}
	}
}

func TestDecoder(t *testing.T) {
	events := []string{"data: one\n\n", "data: two\n\n", "data: " + strings.Repeat("long ", 20_000) + "\n\n", "data: [DONE]\n\n"}
	want := strings.Join(events, "")
	type flusher interface {
		io.WriteCloser
		Flush() error
	}
	encoders := map[string]func(w io.Writer) flusher{
		"gzip":    func(w io.Writer) flusher { return gzip.NewWriter(w) },
		"x-gzip":  func(w io.Writer) flusher { return gzip.NewWriter(w) },
		"deflate": func(w io.Writer) flusher { return zlib.NewWriter(w) },
		"raw":     func(w io.Writer) flusher { f, _ := flate.NewWriter(w, 6); return f },
		"zstd":    func(w io.Writer) flusher { z, _ := zstd.NewWriter(w); return z },
	}
	for name, encoder := range encoders {
		var b bytes.Buffer
		w := encoder(&b)
		for _, e := range events {
			_, _ = io.WriteString(w, e)
			_ = w.Flush()
		}
		_ = w.Close()
		if name == "raw" {
			name = "deflate"
		}
		for _, n := range []int{1, 7, 4096, 1 << 20} {
			out, early, err := pieces(t, name, b.Bytes(), n)
			if string(out) != want || err != nil {
				t.Errorf("%s in pieces of %d: %d bytes of %d, %v", name, n, len(out), len(want), err)
			}
			if n == 1 && early < len(want)-64 {
				t.Errorf("%s: only %d bytes of a stream came before its end", name, early)
			}
		}
		if _, _, err := pieces(t, name, b.Bytes()[:b.Len()/2], 100); err == nil {
			t.Errorf("%s: half of it is no error", name)
		}
	}
}

func TestDecoderOfText(t *testing.T) {
	for _, body := range []string{`{"a":1}`, "data: a\n\n", "", "<html>", "event: a\n"} {
		for _, name := range []string{"gzip", "deflate", "zstd", "br"} {
			if out, _, err := pieces(t, name, []byte(body), 3); string(out) != body || err != nil {
				t.Errorf("%q called %s: %q, %v", body, name, out, err)
			}
		}
	}
	var e *EncodingError
	if _, _, err := pieces(t, "br", []byte{0x8b, 0x02, 0x80}, 3); !errors.As(err, &e) || e.Encoding != "br" || e.Err != nil {
		t.Errorf("br: %v", err)
	}
	if _, _, err := pieces(t, "gzip", []byte("\x1f\x8bnot at all"), 3); !errors.As(err, &e) || e.Err == nil {
		t.Errorf("broken gzip: %v", err)
	}
}

// TestDecoderStops: a decoder that nobody reads to its end leaves nothing behind.
func TestDecoderStops(t *testing.T) {
	for _, name := range []string{"gzip", "zstd"} {
		d := newDecoder(name)
		if p, more := d.next(); len(p) > 0 || !more {
			t.Errorf("%s: %q, %v", name, p, more)
		}
		d.stop()
		if _, more := d.next(); more {
			t.Errorf("%s goes on", name)
		}
	}
}
