package redis

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/proxy/store/codec"
)

//go:embed lua/commit.lua
var commitLua string

var commitScript = valkey.NewLuaScript(commitLua)

// write is what commit.lua is called with: see there for the operations.
type write struct {
	p, now string
	at     time.Time
	keys   []string
	args   []string
}

func (s *Store) newWrite(tenant string) *write {
	p, at := s.tenantPrefix(tenant), s.now()
	w := &write{p: p, at: at, now: formatTime(at)}
	name := newName()
	w.keys = append(w.keys, metaKey(p), appliedKey(p, name))
	w.args = append(w.args, p, w.now, name)
	return w
}

func (w *write) putRecord(rec *store.Record) error {
	tail := appendRecord(nil, rec)
	if len(tail) > maxValue {
		return tooLarge("a record", len(tail))
	}
	w.keys = append(w.keys, recordKey(w.p, rec.ID))
	for _, item := range rec.ItemIDs {
		w.keys = append(w.keys, itemKey(w.p, item))
	}
	w.args = append(w.args, "r", rec.ID, formatTime(rec.Expires), ttl(rec.Expires, w.at), valkey.BinaryString(tail))
	return nil
}

func (w *write) deleteRecord(id string) {
	w.keys = append(w.keys, recordKey(w.p, id))
	w.args = append(w.args, "k", id)
}

func (w *write) require(c store.Condition) {
	w.keys = append(w.keys, docKey(w.p, c.Kind, c.Key))
	w.args = append(w.args, "q", c.Kind, c.Key, formatVersion(c.Version))
}

func (w *write) putDoc(d *store.Doc, version uint64) error {
	if len(d.Body) > maxValue {
		return tooLarge("a document", len(d.Body))
	}
	w.keys = append(w.keys, docKey(w.p, d.Kind, d.Key), kindKey(w.p, d.Kind), endsKey(w.p, d.Kind))
	w.args = append(w.args, "w", d.Kind, d.Key, formatVersion(version), expiry(d.Expires), docTTL(d.Expires, w.at),
		valkey.BinaryString(codec.Append(nil, d.Body)))
	return nil
}

func (w *write) deleteDoc(c store.Condition) {
	w.keys = append(w.keys, docKey(w.p, c.Kind, c.Key), kindKey(w.p, c.Kind), endsKey(w.p, c.Kind))
	w.args = append(w.args, "d", c.Kind, c.Key, formatVersion(c.Version))
}

func (w *write) logKeys(log string) {
	head, entries := logKeys(w.p, log)
	w.keys = append(w.keys, head, entries)
}

func (w *write) drop(log string) {
	w.logKeys(log)
	w.args = append(w.args, "x", log)
}

func (w *write) remove(ref store.EntryRef) {
	w.logKeys(ref.Log)
	w.args = append(w.args, "m", ref.Log, ref.Key)
}

func (w *write) append(a *store.LogAppend) error {
	w.logKeys(a.Log)
	w.args = append(w.args, "a", a.Log, expiry(a.Expires), docTTL(a.Expires, w.at), strconv.Itoa(len(a.Entries)))
	for i := range a.Entries {
		e := &a.Entries[i]
		if len(e.Body) > maxValue {
			return tooLarge("an entry", len(e.Body))
		}
		w.args = append(w.args, e.Key, valkey.BinaryString(codec.Append(nil, e.Body)))
	}
	return nil
}

// write has the server carry out what was collected, all of it or nothing, and
// returns the versions of the documents that were written, each of numberSize
// digits.
func (s *Store) write(ctx context.Context, w *write) (versions string, err error) {
	bytes := 0
	for _, arg := range w.args {
		bytes += len(arg)
	}
	result := ""
	err = s.send(ctx, bytes, func(ctx context.Context, c valkey.Client) error {
		var err error
		result, err = commitScript.Exec(ctx, c, w.keys, w.args).ToString()
		return err
	})
	versions, ok := strings.CutPrefix(result, "ok")
	switch {
	case err != nil:
		return "", err
	case ok:
		return versions, nil
	case result == "conflict":
		return "", store.ErrConflict
	case result == "exists":
		return "", store.ErrExists
	case result == "missing":
		return "", store.ErrNotFound
	}
	return "", fmt.Errorf("%w: %q", errValue, result)
}

// Commit implements store.Documents.
func (s *Store) Commit(ctx context.Context, tenant string, b *store.Batch) error {
	if err := b.Check(tenant); err != nil {
		return err
	}
	w := s.newWrite(tenant)
	if err := w.batch(b); err != nil {
		return err
	}
	versions, err := s.write(ctx, w)
	if err != nil {
		return err
	}
	if len(versions) != len(b.Put)*numberSize {
		return errValue
	}
	for i := range b.Put {
		b.Put[i].Version, err = strconv.ParseUint(versions[i*numberSize:(i+1)*numberSize], 10, 64)
		if err != nil {
			return errValue
		}
	}
	for i := range b.Append {
		s.waits.wake(tenant, b.Append[i].Log)
	}
	return nil
}

// batch collects a batch, in the order in which the changes of logs happen.
func (w *write) batch(b *store.Batch) error {
	for _, c := range b.Require {
		w.require(c)
	}
	for i := range b.Put {
		if err := w.putDoc(b.Put[i].Doc, b.Put[i].If); err != nil {
			return err
		}
	}
	for _, c := range b.Delete {
		w.deleteDoc(c)
	}
	for _, rec := range b.Records {
		if err := w.putRecord(rec); err != nil {
			return err
		}
	}
	for _, log := range b.Drop {
		w.drop(log)
	}
	for _, ref := range b.Remove {
		w.remove(ref)
	}
	for i := range b.Append {
		if err := w.append(&b.Append[i]); err != nil {
			return err
		}
	}
	return nil
}
