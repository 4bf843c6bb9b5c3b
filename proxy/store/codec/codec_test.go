package codec

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func noise(n int) []byte {
	rnd := rand.New(rand.NewPCG(1, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return b
}

func TestRoundTrip(t *testing.T) {
	text := []byte(strings.Repeat(`{"type":"message","role":"user"},`, 4000))
	for _, c := range []struct {
		name  string
		value []byte
		tag   byte
	}{
		{"nothing", nil, plain},
		{"a byte", []byte{1}, plain},
		{"at the threshold", text[:threshold], plain},
		{"over the threshold", text[:threshold+1], compressed},
		{"text", text, compressed},
		{"what cannot be compressed", noise(100_000), plain},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := Append([]byte("before"), c.value)
			if !bytes.HasPrefix(b, []byte("before")) || b[6] != c.tag || len(b) > 7+len(c.value) {
				t.Fatalf("%d bytes, tag %d; want tag %d and no more than %d", len(b), b[6], c.tag, 7+len(c.value))
			}
			got, err := Decode(b[6:])
			if err != nil || !bytes.Equal(got, c.value) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
}

// TestDamageIsSeen: no byte of a compressed value can change unnoticed, and no
// end can be missing.
func TestDamageIsSeen(t *testing.T) {
	value := []byte(strings.Repeat("0123456789abcdef", 200))
	good := Append(nil, value)
	for i := range good {
		for _, bit := range []byte{1, 0x80} {
			bad := bytes.Clone(good)
			bad[i] ^= bit
			if got, err := Decode(bad); err == nil && !bytes.Equal(got, value) && bad[0] != plain {
				t.Errorf("byte %d changed: %d bytes, no error", i, len(got))
			} else if err != nil && !errors.Is(err, ErrCorrupt) {
				t.Errorf("byte %d changed: %v", i, err)
			}
		}
		if _, err := Decode(good[:i]); !errors.Is(err, ErrCorrupt) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(Append(nil, []byte("short")))
	f.Add(Append(nil, []byte(strings.Repeat("0123456789abcdef", 200))))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := Decode(b); err != nil && !errors.Is(err, ErrCorrupt) {
			t.Error(err)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	value := []byte(strings.Repeat(`{"type":"message","role":"user","content":[{"type":"input_text","text":"What is up?"}]},`, 24))
	var dst []byte
	b.SetBytes(int64(len(value)))
	for b.Loop() {
		dst = Append(dst[:0], value)
	}
}

func BenchmarkDecode(b *testing.B) {
	value := []byte(strings.Repeat(`{"type":"message","role":"user","content":[{"type":"input_text","text":"What is up?"}]},`, 24))
	enc := Append(nil, value)
	b.SetBytes(int64(len(value)))
	for b.Loop() {
		if _, err := Decode(enc); err != nil {
			b.Fatal(err)
		}
	}
}
