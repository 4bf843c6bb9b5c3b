package memory

import (
	"context"
	"fmt"
	"testing"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// TestDocumentSizeIsHonest is TestSizeIsHonest for documents and logs, in all
// the ways in which they can be spread.
func TestDocumentSizeIsHonest(t *testing.T) {
	skipUnderRace(t)
	for _, c := range []struct {
		what                         string
		tenants, docs, logs, entries int // entries for each log
		body                         int
	}{
		{"a document for each tenant", 30_000, 1, 0, 0, 0},
		{"documents of one tenant", 1, 30_000, 0, 0, 64},
		{"a conversation for each tenant", 10_000, 1, 1, 1, 64},
		{"conversations of a few tenants", 10, 1000, 1000, 10, 64},
		{"a long log", 1, 1, 1, 60_000, 0},
		{"long events", 1, 1, 1, 5000, 2048},
	} {
		base := heapInUse()
		s := New(Options{MaxBytes: 1 << 30})
		for tenant := range c.tenants {
			owner := fmt.Sprintf("%032x", tenant)
			for i := range max(c.docs, c.logs) {
				b := new(store.Batch)
				name := fmt.Sprintf("conv_%048x", i)
				if i < c.docs {
					b.Put = []store.DocWrite{{Doc: &store.Doc{Kind: "conversation", Key: name, Body: make([]byte, c.body)}, If: store.AnyVersion}}
				}
				if i < c.logs {
					log := "items " + name
					if b.Put != nil {
						b.Put[0].Log = log
					}
					a := store.LogAppend{Log: log}
					for n := range c.entries {
						a.Entries = append(a.Entries, store.Entry{Key: fmt.Sprintf("item_%048x", n), Body: make([]byte, c.body)})
						if len(a.Entries) == 10 || n == c.entries-1 {
							b.Append = []store.LogAppend{a}
							if err := s.Commit(context.Background(), owner, b); err != nil {
								t.Fatal(err)
							}
							b, a.Entries = new(store.Batch), nil
						}
					}
				}
				if err := s.Commit(context.Background(), owner, b); err != nil {
					t.Fatal(err)
				}
			}
		}
		heap, bytes := heapInUse()-base, s.Stats().Bytes
		t.Logf("%s: %d bytes of heap for %d of budget (%.2f)", c.what, heap, bytes, float64(heap)/float64(bytes))
		if ratio := float64(heap) / float64(bytes); ratio > 1 || ratio < 0.5 {
			t.Errorf("%s: %d bytes of heap for %d bytes of budget (%.2f)", c.what, heap, bytes, ratio)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
