package redis

import (
	"context"
	_ "embed"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/valkey-io/valkey-go"

	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/proxy/store/codec"
)

var (
	//go:embed lua/docs.lua
	docsLua string
	//go:embed lua/entry.lua
	entryLua string
	//go:embed lua/entries.lua
	entriesLua string

	docsScript    = valkey.NewLuaScript(docsLua)
	entryScript   = valkey.NewLuaScript(entryLua)
	entriesScript = valkey.NewLuaScript(entriesLua)
)

// Doc implements store.Documents.
func (s *Store) Doc(ctx context.Context, tenant, kind, key string) (*store.Doc, error) {
	value, err := s.get(ctx, docKey(s.tenantPrefix(tenant), kind, key))
	switch {
	case err != nil:
		return nil, err
	case value == nil:
		return nil, store.ErrNotFound
	}
	doc, err := parseDoc(kind, key, value)
	if err == nil && !doc.Expires.IsZero() && !doc.Expires.After(s.now()) {
		return nil, store.ErrNotFound
	}
	return doc, err
}

// Docs implements store.Documents.
func (s *Store) Docs(ctx context.Context, tenant, kind string, page store.Page) (docs []*store.Doc, more bool, err error) {
	p := s.tenantPrefix(tenant)
	list, err := s.run(ctx, docsScript, []string{kindKey(p, kind)},
		[]string{p, formatTime(s.now()), kind, page.After, sign(page.Descending), limit(page.Limit)})
	if err != nil {
		return nil, false, err
	}
	if len(list) < 2 || len(list)%2 != 0 {
		return nil, false, errValue
	}
	n, err := list[0].ToInt64()
	if err != nil {
		return nil, false, err
	}
	absent, err := list[1].AsStrSlice()
	if err != nil {
		return nil, false, err
	}
	for i, key := range absent {
		absent[i] = docKey(p, kind, key)
	}
	if err := s.missing(ctx, absent...); err != nil {
		return nil, false, err
	}
	for i := 2; i < len(list); i += 2 {
		key, err := list[i].ToString()
		if err != nil {
			return nil, false, err
		}
		value, err := list[i+1].AsBytes()
		if err != nil {
			return nil, false, err
		}
		doc, err := parseDoc(kind, key, value)
		if err != nil {
			return nil, false, err
		}
		docs = append(docs, doc)
	}
	return docs, n == 1, nil
}

// run runs a script that returns a list, or nothing.
func (s *Store) run(ctx context.Context, script *valkey.Lua, keys, args []string) (list []valkey.ValkeyMessage, err error) {
	err = s.call(ctx, func(ctx context.Context, c valkey.Client) error {
		var err error
		list, err = script.Exec(ctx, c, keys, args).ToArray()
		return err
	})
	return list, err
}

func sign(b bool) string {
	if b {
		return "1"
	}
	return ""
}

// maxPage is the most that is listed at once, whatever is asked for.
const maxPage = 1 << 20

func limit(n int) string { return strconv.Itoa(min(max(n, 1), maxPage)) }

// Entry implements store.Documents.
func (s *Store) Entry(ctx context.Context, tenant, log, key string) (*store.Entry, error) {
	if key == "" {
		return nil, store.ErrNotFound
	}
	head, entries := logKeys(s.tenantPrefix(tenant), log)
	list, err := s.run(ctx, entryScript, []string{head, entries}, []string{formatTime(s.now()), key})
	if err != nil {
		return nil, err
	}
	if len(list) != 1 {
		return nil, store.ErrNotFound
	}
	e, err := parseEntry(&list[0])
	if err != nil {
		return nil, fmt.Errorf("store: redis: log %q: %w", log, err)
	}
	return &e, nil
}

// Entries implements store.Documents.
func (s *Store) Entries(ctx context.Context, tenant, log string, page store.Page) (entries []store.Entry, more bool, err error) {
	from := ""
	if after := page.AfterSeq; after != nil {
		// The entry with number n has the id n+1-0.
		switch {
		case page.Descending && *after < math.MaxInt64:
			from = strconv.FormatUint(*after, 10) + "-0"
		case page.Descending: // all are before it
		case *after >= math.MaxInt64:
			return nil, false, nil
		default:
			from = strconv.FormatUint(*after+2, 10) + "-0"
		}
	}
	n := min(max(page.Limit, 1), maxPage)
	head, stream := logKeys(s.tenantPrefix(tenant), log)
	list, err := s.run(ctx, entriesScript, []string{head, stream},
		[]string{formatTime(s.now()), from, sign(page.Descending), strconv.Itoa(n + 1)})
	if err != nil {
		return nil, false, err
	}
	if len(list) > n {
		list, more = list[:n], true
	}
	entries = make([]store.Entry, len(list))
	for i := range list {
		if entries[i], err = parseEntry(&list[i]); err != nil {
			return nil, false, fmt.Errorf("store: redis: log %q: %w", log, err)
		}
	}
	return entries, more, nil
}

// parseEntry reads an entry of a stream: its id, and b with the body, k with the
// key.
func parseEntry(m *valkey.ValkeyMessage) (e store.Entry, err error) {
	parts, err := m.ToArray()
	if err != nil || len(parts) != 2 {
		return e, codec.ErrCorrupt
	}
	id, err := parts[0].ToString()
	if err != nil {
		return e, err
	}
	number, _, _ := strings.Cut(id, "-")
	if e.Seq, err = strconv.ParseUint(number, 10, 64); err != nil || e.Seq == 0 {
		return e, codec.ErrCorrupt
	}
	e.Seq--
	fields, err := parts[1].ToArray()
	if err != nil || len(fields) < 2 {
		return e, codec.ErrCorrupt
	}
	body, err := fields[1].AsBytes()
	if err != nil {
		return e, err
	}
	if e.Body, err = codec.Decode(body); err != nil {
		return e, err
	}
	if len(fields) == 4 {
		e.Key, err = fields[3].ToString()
	}
	return e, err
}
