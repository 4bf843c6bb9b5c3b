package ggufmake

import (
	"fmt"
	"math"
	"testing"
)

// reader reads a GGUF file. It shares no code with the writer.
type reader struct {
	t       *testing.T
	rest    []byte
	version uint32
	meta    map[string]any // an array's elements are name[i], its length is name#
	tensors []readTensor
	data    []byte
}

type readTensor struct {
	name  string
	shape []uint64
	typ   uint32
	place uint64
}

func read(t *testing.T, file []byte) *reader {
	t.Helper()
	r := &reader{t: t, rest: file, meta: map[string]any{}}
	if got := string(r.take(4)); got != "GGUF" {
		t.Fatalf("the file begins with %q", got)
	}
	r.version = r.u32()
	tensors, meta := r.u64(), r.u64()
	for range meta {
		key := r.str()
		r.value(key, r.u32())
	}
	for range tensors {
		x := readTensor{name: r.str()}
		for range r.u32() {
			x.shape = append(x.shape, r.u64())
		}
		x.typ, x.place = r.u32(), r.u64()
		r.tensors = append(r.tensors, x)
	}
	if over := (len(file) - len(r.rest)) % 32; over != 0 {
		r.take(32 - over)
	}
	r.data = r.rest
	return r
}

func (r *reader) take(n int) []byte {
	r.t.Helper()
	if n > len(r.rest) {
		r.t.Fatalf("the file ends %d bytes early", n-len(r.rest))
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) u32() (n uint32) {
	for i, b := range r.take(4) {
		n |= uint32(b) << (8 * i)
	}
	return n
}

func (r *reader) u64() uint64 {
	low := r.u32()
	return uint64(low) | uint64(r.u32())<<32
}

func (r *reader) str() string { return string(r.take(int(r.u64()))) }

func (r *reader) value(key string, typ uint32) {
	switch typ {
	case 4:
		r.meta[key] = r.u32()
	case 5:
		r.meta[key] = int32(r.u32())
	case 6:
		r.meta[key] = math.Float32frombits(r.u32())
	case 7:
		r.meta[key] = r.take(1)[0] != 0
	case 8:
		r.meta[key] = r.str()
	case 9:
		element, n := r.u32(), int(r.u64())
		r.meta[key+"#"] = n
		for i := range n {
			r.value(fmt.Sprintf("%s[%d]", key, i), element)
		}
	default:
		r.t.Fatalf("%s has the type %d", key, typ)
	}
}

func (r *reader) tensor(t *testing.T, name string) readTensor {
	t.Helper()
	for _, x := range r.tensors {
		if x.name == name {
			return x
		}
	}
	t.Fatalf("there is no tensor %s", name)
	return readTensor{}
}

func (r *reader) floats(t *testing.T, name string) []float32 {
	t.Helper()
	x := r.tensor(t, name)
	n := 1
	for _, side := range x.shape {
		n *= int(side)
	}
	at := &reader{t: t, rest: r.data[x.place:]}
	out := make([]float32, n)
	for i := range out {
		out[i] = math.Float32frombits(at.u32())
	}
	return out
}
