package seal

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

func secret(b byte) []byte { return bytes.Repeat([]byte{b}, MinSecret) }

func sealer(t testing.TB, secrets ...[]byte) *Sealer {
	t.Helper()
	s, err := New(secrets...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sealed(t testing.TB, s *Sealer, tenant string, p Purpose, plain string) []byte {
	t.Helper()
	blob, err := s.Seal(nil, tenant, p, []byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	return blob
}

func TestRoundTrip(t *testing.T) {
	s := sealer(t, secret(1))
	for _, plain := range []string{"", "x", "because", strings.Repeat("深い考え ", 40_000), "\x00\xff\n"} {
		for _, tenant := range []string{"", "p:alice", "c:\x00\xff"} {
			blob := sealed(t, s, tenant, Reasoning, plain)
			if !IsOurs(blob) || len(blob) != Size(len(plain)) {
				t.Fatalf("envelope of %d bytes has %d, want %d: %.40s", len(plain), len(blob), Size(len(plain)), blob)
			}
			got, err := s.Open([]byte("kept:"), tenant, Reasoning, blob)
			if err != nil || string(got) != "kept:"+plain {
				t.Fatalf("opened %d bytes: %v", len(got), err)
			}
		}
	}
}

// An envelope goes through JSON, URLs and log lines as it is.
func TestAlphabet(t *testing.T) {
	blob := sealed(t, sealer(t, secret(1)), "a", Reasoning, strings.Repeat("?", 999))
	for _, c := range blob {
		if !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.", rune(c)) {
			t.Fatalf("%q in an envelope", c)
		}
	}
}

func TestNeverTheSame(t *testing.T) {
	s := sealer(t, secret(1))
	if bytes.Equal(sealed(t, s, "a", Reasoning, "x"), sealed(t, s, "a", Reasoning, "x")) {
		t.Error("two envelopes of one text are equal")
	}
}

// refused fails unless the envelope is refused with the one error, and leaves
// nothing behind.
func refused(t *testing.T, s *Sealer, tenant string, p Purpose, blob []byte, what string) {
	t.Helper()
	got, err := s.Open([]byte("dst"), tenant, p, blob)
	if err != ErrRefused || string(got) != "dst" { //nolint:errorlint // exactly this one: nothing around it that tells more
		t.Errorf("%s: opened to %q, %v", what, got, err)
	}
}

func TestBoundToTenantAndPurpose(t *testing.T) {
	s := sealer(t, secret(1))
	blob := sealed(t, s, "alice", Reasoning, "plain")
	refused(t, s, "bob", Reasoning, blob, "another tenant")
	refused(t, s, "", Reasoning, blob, "no tenant")
	refused(t, s, "alice", Compaction, blob, "another purpose")
	refused(t, s, "ning\x00alice", "reaso", blob, "a binding that reads alike")
}

func TestRotation(t *testing.T) {
	older, newer := sealer(t, secret(1)), sealer(t, secret(2), secret(1))
	blob := sealed(t, older, "a", Reasoning, "plain")
	if got, err := newer.Open(nil, "a", Reasoning, blob); err != nil || string(got) != "plain" {
		t.Errorf("an old key does not open any more: %v", err)
	}
	refused(t, older, "a", Reasoning, sealed(t, newer, "a", Reasoning, "x"), "sealed by the key before ours")
	refused(t, sealer(t, secret(2)), "a", Reasoning, blob, "a key that was taken away")
}

// The key's id is authenticated: an envelope cannot be passed off as another
// key's.
func TestKeyID(t *testing.T) {
	s := sealer(t, secret(1), secret(2))
	blob := sealed(t, s, "a", Reasoning, "plain")
	other := sealed(t, sealer(t, secret(2)), "a", Reasoning, "plain")
	copy(blob[:headSize], other[:headSize])
	refused(t, s, "a", Reasoning, blob, "another key's id")
}

// Every bit of an envelope counts, and every byte.
func TestTampering(t *testing.T) {
	s := sealer(t, secret(1), secret(2))
	for n := range 8 { // all remainders of base64
		blob := sealed(t, s, "a", Reasoning, "plain text"[:n])
		for i := range blob {
			for bit := range 8 {
				bad := bytes.Clone(blob)
				bad[i] ^= 1 << bit
				refused(t, s, "a", Reasoning, bad, "a flipped bit")
			}
			refused(t, s, "a", Reasoning, blob[:i], "cut short")
			refused(t, s, "a", Reasoning, append(bytes.Clone(blob[:i]), blob[i+1:]...), "a byte less")
			for _, c := range []string{"\n", "\r", " ", "=", "A", "."} {
				refused(t, s, "a", Reasoning, []byte(string(blob[:i])+c+string(blob[i:])), "a byte more")
			}
		}
		for _, c := range []string{"\n", "\r\n", " ", "=", "==", "A", "AA", "AAAA"} {
			refused(t, s, "a", Reasoning, append(bytes.Clone(blob), c...), "something behind it")
		}
	}
	for _, foreign := range []string{"", "gAAAAABo", "antiphon1.", "antiphon2.00000000.AAAA", "antiphon1.00000000." + strings.Repeat("A", 99)} {
		refused(t, s, "a", Reasoning, []byte(foreign), "foreign")
	}
	if IsOurs([]byte("gAAAAABo")) || IsOurs(nil) {
		t.Error("a foreign blob passes for ours")
	}
}

func TestTooLarge(t *testing.T) {
	s := sealer(t, secret(1))
	if _, err := s.Seal(nil, "a", Reasoning, make([]byte, MaxPlaintext+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("over the bound: %v", err)
	}
	blob := sealed(t, s, "a", Reasoning, string(make([]byte, MaxPlaintext)))
	if _, err := s.Open(nil, "a", Reasoning, blob); err != nil {
		t.Errorf("at the bound: %v", err)
	}
	refused(t, s, "a", Reasoning, append(blob, "AAAA"...), "over the bound")
}

func TestSecrets(t *testing.T) {
	for name, secrets := range map[string][][]byte{
		"none": {}, "short": {make([]byte, MinSecret-1)}, "short behind": {secret(1), nil}, "twice": {secret(1), secret(2), secret(1)},
	} {
		if _, err := New(secrets...); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// documents is a store of one document.
type documents struct {
	store.Documents
	mu    sync.Mutex
	doc   *store.Doc
	fail  error
	asked int
}

func (d *documents) Doc(_ context.Context, tenant, kind, name string) (*store.Doc, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	switch {
	case d.fail != nil:
		return nil, d.fail
	case tenant != store.SystemTenant || d.doc == nil || d.doc.Kind != kind || d.doc.Key != name:
		return nil, store.ErrNotFound
	}
	return d.doc, nil
}

func (d *documents) Commit(_ context.Context, tenant string, b *store.Batch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.fail != nil:
		return d.fail
	case tenant != store.SystemTenant || len(b.Put) != 1 || b.Put[0].If != store.Absent:
		return errors.New("not what this is for")
	case d.doc != nil:
		return store.ErrConflict
	}
	d.doc = b.Put[0].Doc
	return nil
}

// Replicas that begin at the same time on an empty store agree on one key.
func TestReplicasAgree(t *testing.T) {
	var docs documents
	replicas := make([]*Sealer, 16)
	blobs := make([][]byte, len(replicas))
	var wg sync.WaitGroup
	for i := range replicas {
		replicas[i] = Stored(&docs)
		wg.Go(func() { blobs[i] = sealed(t, replicas[i], "a", Reasoning, "plain") })
	}
	wg.Wait()
	for i, blob := range blobs {
		if got, err := replicas[(i+1)%len(replicas)].Open(nil, "a", Reasoning, blob); err != nil || string(got) != "plain" {
			t.Errorf("replica %d: %v", i, err)
		}
	}
}

func TestStoreOutOfReach(t *testing.T) {
	docs := documents{fail: errors.New("no route")}
	s := Stored(&docs)
	for range 50 {
		if _, err := s.Seal(nil, "a", Reasoning, nil); !errors.Is(err, ErrNoKeys) || !errors.Is(err, docs.fail) {
			t.Fatal(err)
		}
	}
	if docs.asked > 1 {
		t.Errorf("a store that failed was asked %d times at once", docs.asked)
	}
	docs.fail, s.next = nil, s.next.Add(-2*askAgain)
	blob := sealed(t, s, "a", Reasoning, "plain")
	docs.fail = errors.New("gone again")
	if _, err := s.Open(nil, "a", Reasoning, blob); err != nil {
		t.Errorf("keys that were known are forgotten: %v", err)
	}
}

func TestStoredKeysUnreadable(t *testing.T) {
	for _, body := range []string{"", "{", `{"keys":[]}`, `{"keys":["AAAA"]}`, `{"keys":["?"]}`} {
		docs := documents{doc: &store.Doc{Kind: docKind, Key: docName, Body: []byte(body)}}
		if _, err := Stored(&docs).Seal(nil, "a", Reasoning, nil); !errors.Is(err, ErrNoKeys) {
			t.Errorf("%q: %v", body, err)
		}
	}
}

// genuine was sealed by the first version, under secret(1), for "a": clients hold
// such envelopes, and every later version has to open them.
const genuine = "antiphon1.0e8e4bc9.5LjOCFbqhBf8uViAkY24WCMWzxYHyrvWdyDsfb_bpuEK"

func TestOldEnvelope(t *testing.T) {
	if got, err := sealer(t, secret(1)).Open(nil, "a", Reasoning, []byte(genuine)); err != nil || string(got) != "plain" {
		t.Errorf("%q, %v", got, err)
	}
}

// Whatever comes in as an envelope opens only if it is one that was sealed.
func FuzzOpen(f *testing.F) {
	s := sealer(f, secret(1), secret(2))
	f.Add([]byte(nil))
	f.Add([]byte(genuine))
	f.Add([]byte(genuine + "A"))
	f.Add(bytes.ReplaceAll([]byte(genuine), []byte("0e8e4bc9"), []byte("00000000")))
	f.Add([]byte("gAAAAABoAbC-_"))
	f.Fuzz(func(t *testing.T, blob []byte) {
		got, err := s.Open(nil, "a", Reasoning, blob)
		if string(blob) == genuine {
			if err != nil {
				t.Fatal(err)
			}
			return
		}
		if err != ErrRefused || got != nil { //nolint:errorlint // exactly this one
			t.Fatalf("opened to %q, %v", got, err)
		}
	})
}

func FuzzSeal(f *testing.F) {
	s := sealer(f, secret(1))
	f.Add("tenant", []byte("plain"))
	f.Fuzz(func(t *testing.T, tenant string, plain []byte) {
		blob := sealed(t, s, tenant, Compaction, string(plain))
		if got, err := s.Open(nil, tenant, Compaction, blob); err != nil || !bytes.Equal(got, plain) {
			t.Fatal(err)
		}
		refused(t, s, tenant+"x", Compaction, blob, "another tenant")
		refused(t, s, tenant, Reasoning, blob, "another purpose")
	})
}

func BenchmarkSeal(b *testing.B) {
	s := sealer(b, secret(1))
	plain := bytes.Repeat([]byte("because "), 512)
	blob := sealed(b, s, "tenant", Reasoning, string(plain))
	var dst []byte
	b.Run("seal 4K", func(b *testing.B) {
		for b.Loop() {
			dst, _ = s.Seal(dst[:0], "tenant", Reasoning, plain)
		}
	})
	b.Run("open 4K", func(b *testing.B) {
		for b.Loop() {
			dst, _ = s.Open(dst[:0], "tenant", Reasoning, blob)
		}
	})
}
