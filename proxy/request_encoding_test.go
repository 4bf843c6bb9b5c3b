package proxy

import (
	"bytes"
	"compress/gzip"
	"github.com/antiphon-proxy/antiphon/translate"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

func gzipped(t testing.TB, body string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(body)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func zstded(t testing.TB, body string, options ...zstd.EOption) string {
	t.Helper()
	e, err := zstd.NewWriter(nil, append(options, zstd.WithEncoderConcurrency(1))...)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	return string(e.EncodeAll([]byte(body), nil))
}

// longBody is a request whose input is no easy prey for compression.
func longBody(n int) string {
	rnd := rand.New(rand.NewPCG(1, 2))
	text := make([]byte, n)
	for i := range text {
		text[i] = "abcdefghijklmnopqrstuvwxyz      "[rnd.IntN(32)]
	}
	return `{"model":"m","input":"` + string(text) + `"}`
}

func TestCompressedRequest(t *testing.T) {
	t.Parallel()
	up := upstreamtest.NewFunc(t, 0, answer("hello"))
	r := newRig(t, up.URL(), func(s *setup) { s.cfg.Limits.Body = 1 << 20 })
	for _, body := range []string{plain, streamed, longBody(100_000), longBody(300_000)} {
		for encoding, packed := range map[string]string{
			"gzip": gzipped(t, body), "x-gzip": gzipped(t, body), "GZip": gzipped(t, body), "zstd": zstded(t, body),
			"ZSTD": zstded(t, body, zstd.WithEncoderLevel(zstd.SpeedBestCompression)),
		} {
			r.post(packed, "Content-Encoding: "+encoding).want(t, 200, "")
			if !strings.HasPrefix(encoding, "x") {
				// The same in pieces without a length.
				r.send("POST", "/v1/responses", struct{ *strings.Reader }{strings.NewReader(packed)}, "Content-Encoding: "+encoding).want(t, 200, "")
			}
		}
	}
	long := up.Requests()[up.Count()-1].Body
	if !bytes.Contains(long, []byte(longBody(300_000)[30:2000])) {
		t.Error("what came is not what was sent")
	}
}

func TestCompressedRequestRefused(t *testing.T) {
	t.Parallel()
	up := upstreamtest.NewFunc(t, 0, answer("hello"))
	r := newRig(t, up.URL(), func(s *setup) { s.cfg.Limits.Body = 4 << 20 })
	whole := longBody(10_000)
	over := longBody(4<<20 + 1<<18)
	spaces := plain + strings.Repeat(" ", 3<<20)
	for name, c := range map[string]struct {
		encoding, body string
		status         int
	}{
		"no gzip":                {"gzip", plain, 400},
		"no zstd":                {"zstd", plain, 400},
		"gzip as zstd":           {"zstd", gzipped(t, plain), 400},
		"zstd as gzip":           {"gzip", zstded(t, plain), 400},
		"empty gzip":             {"gzip", "", 400},
		"gzip cut off":           {"gzip", gzipped(t, whole)[:5000], 400},
		"gzip without checksum":  {"gzip", gzipped(t, plain)[:len(gzipped(t, plain))-4], 400},
		"gzip with a wrong sum":  {"gzip", gzipped(t, plain)[:len(gzipped(t, plain))-8] + "12345678", 400},
		"gzip and more":          {"gzip", gzipped(t, plain) + "more", 400},
		"zstd cut off":           {"zstd", zstded(t, whole)[:5000], 400},
		"zstd and more":          {"zstd", zstded(t, plain) + "more", 400},
		"too large unpacked":     {"gzip", gzipped(t, over), 413},
		"too large unpacked too": {"zstd", zstded(t, over), 413},
		"out of proportion":      {"gzip", gzipped(t, spaces), 413},
		"out of proportion, too": {"zstd", zstded(t, spaces), 413},
		"a wide window":          {"zstd", "\x28\xb5\x2f\xfd\x00\x88\x09\x00\x00x", 413}, // 128 MiB, one raw block
		"not JSON":               {"gzip", gzipped(t, "{"), 400},
	} {
		got := r.post(c.body, "Content-Encoding: "+c.encoding)
		if got.status != c.status {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	if up.Count() != 0 {
		t.Errorf("%d requests reached the upstream", up.Count())
	}
}

// A bomb of some KB would be GBs. It is given up early.
func TestDecompressionBomb(t *testing.T) {
	up := upstreamtest.NewFunc(t, 0, answer("hello"))
	r := newRig(t, up.URL(), func(s *setup) { s.cfg.Limits.Body = 1 * config.GiB })
	zeros := strings.Repeat("\x00", 16<<20)
	bombs := map[string]string{"gzip": gzipped(t, zeros), "zstd": zstded(t, zeros)}
	// gzip in gzip is one encoding too many, and members in a row are one stream.
	bombs["x-gzip"] = strings.Repeat(bombs["gzip"], 16)
	for encoding, bomb := range bombs {
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got := r.post(bomb, "Content-Encoding: "+encoding)
		runtime.ReadMemStats(&after)
		if got.status != 413 {
			t.Errorf("%s: %d %s", encoding, got.status, got.body)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 64<<20+3*maxRatio*uint64(len(bomb)) {
			t.Errorf("%s: a bomb of %d KB took %d MB", encoding, len(bomb)>>10, used>>20)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add("gzip", []byte(gzipped(f, plain)))
	f.Add("zstd", []byte(zstded(f, plain)))
	f.Add("zstd", []byte(zstded(f, strings.Repeat(" ", 2<<20))))
	f.Fuzz(func(t *testing.T, encoding string, packed []byte) {
		pool := unpackers[encoding]
		if pool == nil {
			return
		}
		u := pool.Get().(unpacker)
		defer pool.Put(u)
		const limit = 4 << 20
		out, err := unpack(nil, u, packed, limit, func(int) *translate.Error { return nil })
		if err == nil && (len(out) > limit || len(out) > ratioCounts && len(out)/maxRatio > len(packed)) {
			t.Errorf("%d bytes became %d", len(packed), len(out))
		}
	})
}
