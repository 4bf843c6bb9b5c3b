package redis

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// cutter is a network between a store and its server that can lose the reply to
// a write: the server carries it out, and the connection breaks.
type cutter struct {
	ln   net.Listener
	to   string
	next atomic.Bool // cut at the next write
	cuts atomic.Int64
	work sync.WaitGroup
}

func newCutter(t *testing.T, to string) *cutter {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	c := &cutter{ln: ln, to: to}
	c.work.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			c.work.Go(func() { c.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		c.work.Wait()
	})
	return c
}

func (c *cutter) serve(client net.Conn) {
	server, err := net.Dial("tcp", c.to)
	if err != nil {
		_ = client.Close()
		return
	}
	var cutting atomic.Bool
	c.work.Go(func() {
		defer server.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := client.Read(buf)
			if err != nil {
				return
			}
			if strings.Contains(string(buf[:n]), "EVALSHA") && c.next.CompareAndSwap(true, false) {
				cutting.Store(true)
				c.cuts.Add(1)
			}
			if _, err := server.Write(buf[:n]); err != nil {
				return
			}
		}
	})
	defer client.Close()
	defer server.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := server.Read(buf)
		if err != nil || cutting.Load() {
			return // the server has replied, so it is done
		}
		if _, err := client.Write(buf[:n]); err != nil && !errors.Is(err, io.EOF) {
			return
		}
	}
}

// TestReplyLost: a write whose reply is lost is made again and happens once; the
// caller learns what it would have learnt.
func TestReplyLost(t *testing.T) {
	c := newCutter(t, server.Addr)
	o := options(server)
	o.URL = "redis://" + c.ln.Addr().String()
	o.Timeout = testTimeout
	s := open(t, o)
	defer s.Close()
	prepare(t, s)
	losing := func(what string, f func() error) {
		t.Helper()
		before := c.cuts.Load()
		c.next.Store(true)
		if err := f(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if c.cuts.Load() != before+1 {
			t.Errorf("%s: no reply was lost: this proves nothing", what)
		}
	}
	ctx := t.Context()
	for range 3 {
		rec := record("rec_"+newName(), "", 0)
		losing("Put", func() error { return s.Put(ctx, rec) })
		if err := s.Put(ctx, rec); !errors.Is(err, store.ErrExists) {
			t.Errorf("Put by another: %v, want ErrExists", err)
		}
		losing("Delete", func() error { return s.Delete(ctx, tenant, rec.ID) })
		if err := s.Delete(ctx, tenant, rec.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Delete by another: %v, want ErrNotFound", err)
		}
	}
	version := store.Absent
	for n := range 3 {
		b := &store.Batch{
			Put:    []store.DocWrite{{Doc: &store.Doc{Kind: "kind", Key: "doc"}, If: version}},
			Append: []store.LogAppend{{Log: "lossy", Entries: []store.Entry{{Key: newName(), Body: []byte("x")}}}},
		}
		losing("Commit", func() error { return s.Commit(ctx, tenant, b) })
		doc, err := s.Doc(ctx, tenant, "kind", "doc")
		if err != nil || doc.Version != b.Put[0].Version {
			t.Errorf("%+v, %v; want version %d", doc, err, b.Put[0].Version)
		}
		version = b.Put[0].Version
		entries, _, err := s.Entries(ctx, tenant, "lossy", store.Page{Limit: 9})
		if err != nil || len(entries) != n+1 {
			t.Errorf("%d entries, %v; want %d", len(entries), err, n+1)
		}
	}
	losing("Chain", func() error { _, err := s.Chain(ctx, tenant, "there"); return err })
}
