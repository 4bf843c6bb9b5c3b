package storetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// append adds entries with these keys and returns them as they must be read,
// when the next number is from.
func (e *env) append(tenant, log string, expires time.Time, from uint64, keys ...string) []store.Entry {
	e.t.Helper()
	var entries []store.Entry
	for i, key := range keys {
		entries = append(entries, store.Entry{Seq: from + uint64(i), Key: key, Body: fmt.Appendf(nil, "entry %d", e.serial.Add(1))})
	}
	given := make([]store.Entry, len(entries))
	for i := range entries {
		given[i] = entries[i]
		given[i].Seq = 12345 // is ignored
	}
	e.commit(tenant, &store.Batch{Append: []store.LogAppend{{Log: log, Expires: expires, Entries: given}}})
	return entries
}

// wantLog demands that a log has exactly these entries, and none of these keys.
func (e *env) wantLog(tenant, log string, want []store.Entry, absent ...string) {
	e.t.Helper()
	e.wantEntries(tenant, log, store.Page{Limit: len(want) + 1}, false, want...)
	for i := range want {
		if want[i].Key == "" {
			continue
		}
		got, err := e.store.Entry(e.ctx, tenant, log, want[i].Key)
		if err != nil {
			e.t.Errorf("Entry(%q, %q, %q): %v", tenant, log, want[i].Key, err)
		} else if d := diffEntry(got, &want[i]); d != "" {
			e.t.Errorf("Entry(%q, %q, %q): %s", tenant, log, want[i].Key, d)
		}
	}
	for _, key := range append(absent, "") {
		if got, err := e.store.Entry(e.ctx, tenant, log, key); got != nil || !errors.Is(err, store.ErrNotFound) {
			e.t.Errorf("Entry(%q, %q, %q) = %v, %v; want ErrNotFound", tenant, log, key, got, err)
		}
	}
}

func (e *env) wantEntries(tenant, log string, page store.Page, more bool, want ...store.Entry) {
	e.t.Helper()
	after := "start"
	if page.AfterSeq != nil {
		after = fmt.Sprint(*page.AfterSeq)
	}
	got, gotMore, err := e.store.Entries(e.ctx, tenant, log, page)
	if err != nil || len(got) != len(want) || gotMore != more {
		e.t.Errorf("Entries(%q, %q, %+v after %s): %d, more: %v, %v; want %d, %v", tenant, log, page, after, len(got), gotMore, err, len(want), more)
		return
	}
	for i := range want {
		if d := diffEntry(&got[i], &want[i]); d != "" {
			e.t.Errorf("Entries(%q, %q, %+v after %s)[%d]: %s", tenant, log, page, after, i, d)
		}
	}
}

func logs(e *env) {
	e.wantLog("t", "l", nil, "a")
	want := e.append("t", "l", time.Time{}, 0, "a")
	e.wantLog("t", "l", want, "b")
	want = append(want, e.append("t", "l", time.Time{}, 1, "", "b", "")...)
	want = append(want, e.append("t", "l", time.Time{}, 4, "\x00\xff", "A")...)
	other := e.append("t", "l\x00", time.Time{}, 0, "a", "c")
	e.wantLog("t", "l", want, "c")
	e.wantLog("t", "l\x00", other, "b")
	e.wantLog("t", "", nil)
	empty := e.append("t", "", time.Time{}, 0, "x") // a name like any other
	e.wantLog("t", "", empty)

	// Two logs in one batch; and the page is the caller's.
	e.commit("t", &store.Batch{Append: []store.LogAppend{
		{Log: "l", Entries: []store.Entry{{Key: "d", Body: []byte("d")}}},
		{Log: "m", Entries: []store.Entry{{Key: "d", Body: []byte("m")}}},
	}})
	want = append(want, store.Entry{Seq: 6, Key: "d", Body: []byte("d")})
	e.wantLog("t", "m", []store.Entry{{Seq: 0, Key: "d", Body: []byte("m")}})
	got, _, err := e.store.Entries(e.ctx, "t", "l", store.Page{Limit: 100})
	if err != nil {
		e.t.Fatal(err)
	}
	clear(got)
	e.wantLog("t", "l", want)
	e.append("t", "n", time.Time{}, 0) // no entry: the log does not come to be
	e.wantLog("t", "n", nil)
}

// logKeys: a key is unique among what is there, in its log.
func logKeys(e *env) {
	want := e.append("t", "l", time.Time{}, 0, "a", "b")
	appending := func(keys ...string) *store.Batch {
		a := store.LogAppend{Log: "l"}
		for _, key := range keys {
			a.Entries = append(a.Entries, store.Entry{Key: key, Body: []byte("refused")})
		}
		return &store.Batch{Append: []store.LogAppend{a}}
	}
	e.refused("t", appending("a"), store.ErrExists)
	e.refused("t", appending("c", "", "b"), store.ErrExists)
	e.refused("t", appending("c", "c"), store.ErrExists)
	e.wantLog("t", "l", want, "c")
	want = append(want, e.append("t", "l", time.Time{}, 2, "", "", "c")...)
	e.wantLog("t", "l", want)
	e.append("t", "m", time.Time{}, 0, "a")
	e.append("u", "l", time.Time{}, 0, "a")

	// A removed key is free, also for the batch that removes it.
	e.commit("t", &store.Batch{Remove: []store.EntryRef{{Log: "l", Key: "a"}}})
	want = append(want[1:], e.append("t", "l", time.Time{}, 5, "a")...)
	e.wantLog("t", "l", want)
	replace := appending("b")
	replace.Append[0].Entries[0].Body = []byte("again")
	replace.Remove = []store.EntryRef{{Log: "l", Key: "b"}}
	e.commit("t", replace)
	want = append(want[1:], store.Entry{Seq: 6, Key: "b", Body: []byte("again")})
	e.wantLog("t", "l", want)
}

// logRemove: entries go one by one, their numbers do not come back.
func logRemove(e *env) {
	want := e.append("t", "l", time.Time{}, 0, "a", "b", "c", "d")
	remove := func(keys ...string) *store.Batch {
		b := new(store.Batch)
		for _, key := range keys {
			b.Remove = append(b.Remove, store.EntryRef{Log: "l", Key: key})
		}
		return b
	}
	for _, keys := range [][]string{{"x"}, {""}, {"a", "x"}} {
		e.refused("t", remove(keys...), store.ErrNotFound)
	}
	e.refused("t", &store.Batch{Remove: []store.EntryRef{{Log: "nothing", Key: "a"}}}, store.ErrNotFound)
	e.wantLog("t", "l", want)
	e.commit("t", remove("b", "d"))
	e.refused("t", remove("b"), store.ErrNotFound)
	want = []store.Entry{want[0], want[2]}
	e.wantLog("t", "l", want, "b", "d")
	want = append(want, e.append("t", "l", time.Time{}, 4, "d")...)
	e.wantLog("t", "l", want, "b")
	for _, seq := range []uint64{0, 1, 2} { // cursors that are there and not
		at := 1
		if seq == 2 {
			at = 2
		}
		e.wantEntries("t", "l", store.Page{AfterSeq: &seq, Limit: 9}, false, want[at:]...)
	}
	e.commit("t", remove("a", "c", "d"))
	e.wantLog("t", "l", nil, "a", "c", "d")
	e.wantLog("t", "l", e.append("t", "l", time.Time{}, 5, "a"))
}

// logDrop: a log goes as a whole, with its numbering.
func logDrop(e *env) {
	e.append("t", "l", time.Time{}, 0, "a", "b")
	other := e.append("t", "m", time.Time{}, 0, "a")
	e.commit("t", &store.Batch{Drop: []string{"l", "nothing"}})
	e.wantLog("t", "l", nil, "a", "b")
	e.wantLog("t", "m", other)
	e.wantLog("t", "l", e.append("t", "l", time.Time{}, 0, "b", "a"))

	// Dropped and begun anew in one batch.
	e.commit("t", &store.Batch{Drop: []string{"l"}, Append: []store.LogAppend{{Log: "l", Entries: []store.Entry{{Key: "b"}}}}})
	e.wantLog("t", "l", []store.Entry{{Key: "b"}}, "a")
	e.commit("u", &store.Batch{Drop: []string{"l", "m"}})
	e.wantLog("t", "l", []store.Entry{{Key: "b"}})

	// A long one goes whole, too.
	keys := make([]string, 3000)
	for i := range keys {
		keys[i] = fmt.Sprintf("key_%d", i)
	}
	e.append("t", "long", time.Time{}, 0, keys...)
	e.commit("t", &store.Batch{Drop: []string{"long"}})
	e.wantLog("t", "long", nil, keys...)
	if e.caps.ExactStats {
		if got := e.store.Stats(); got.Entries != 2 {
			e.t.Errorf("%+v, want 2 entries", got)
		}
	}
}

// logExpiry: a log ends whole, at the time that the last append has set.
func logExpiry(e *env) {
	end := e.clock.Now().Add(time.Second)
	want := e.append("t", "l", end, 0, "a")
	later := e.append("t", "later", end, 0, "a")
	later = append(later, e.append("t", "later", end.Add(time.Hour), 1, "b")...)
	never := append(e.append("t", "never", end, 0, "a"), e.append("t", "never", time.Time{}, 1, "b")...)
	renewed := e.append("t", "renewed", end, 0, "a")
	e.append("t", "renewed", end.Add(time.Hour), 0) // without an entry
	e.append("t", "sooner", time.Time{}, 0, "a")
	e.append("t", "sooner", end, 1, "b")

	e.clock.Advance(time.Second - 1)
	e.wantLog("t", "l", want)
	e.clock.Advance(1)
	check := func() {
		e.t.Helper()
		e.wantLog("t", "l", nil, "a")
		e.wantLog("t", "sooner", nil, "a", "b")
		e.wantLog("t", "later", later)
		e.wantLog("t", "never", never)
		e.wantLog("t", "renewed", renewed)
		e.refused("t", &store.Batch{Remove: []store.EntryRef{{Log: "l", Key: "a"}}}, store.ErrNotFound)
	}
	check()
	if e.caps.Sweep != nil {
		e.caps.Sweep(e.store)
		check()
	}
	e.wantLog("t", "l", e.append("t", "l", time.Time{}, 0, "a", "b")) // begins anew
	e.wantLog("t", "sooner", e.append("t", "sooner", time.Time{}, 0, "b"), "a")
	e.append("t", "l", e.clock.Now(), 2, "c") // and is ended by an append
	e.wantLog("t", "l", nil, "a", "b", "c")
	e.clock.Advance(200 * 365 * 24 * time.Hour)
	e.wantLog("t", "never", never)
	e.wantLog("t", "later", nil, "a")
}

func logTenants(e *env) {
	a := e.append("a", "l", time.Time{}, 0, "x", "y")
	b := e.append("b", "l", time.Time{}, 0, "x")
	e.wantLog("a", "l", a)
	e.wantLog("b", "l", b, "y")
	e.wantLog("c", "l", nil, "x")
	e.refused("b", &store.Batch{Remove: []store.EntryRef{{Log: "l", Key: "y"}}}, store.ErrNotFound)
	e.commit("b", &store.Batch{Drop: []string{"l"}})
	e.wantLog("b", "l", nil, "x")
	e.wantLog("a", "l", a)

	names := [][2]string{{"n", "o"}, {"n\x00o", ""}, {"n\x00", "o"}, {"n", "\x00o"}, {"no", ""}, {"", "no"}, {"n:o", "p"}, {"n", "o:p"}, {"{n}", "o"}, {"N", "o"}}
	var want [][]store.Entry
	for _, n := range names {
		want = append(want, e.append(n[0], n[1], time.Time{}, 0, "x"))
	}
	for i, n := range names {
		e.wantLog(n[0], n[1], want[i])
		e.commit(n[0], &store.Batch{Drop: []string{n[1]}})
		e.wantLog(n[0], n[1], nil, "x")
		for j := i + 1; j < len(names); j++ {
			e.wantLog(names[j][0], names[j][1], want[j])
		}
	}
}

// logList: pages, both ways.
func logList(e *env) {
	const n = 1000
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("key_%d", i*7919%n) // in another order than the numbers
	}
	var all []store.Entry
	for at := 0; at < n; at += 100 {
		all = append(all, e.append("t", "l", time.Time{}, uint64(at), keys[at:at+100]...)...)
	}
	reversed := make([]store.Entry, n)
	for i := range all {
		reversed[n-1-i] = all[i]
	}
	e.wantLog("t", "l", all)
	for _, limit := range []int{1, 7, 100, n - 1, n} {
		for _, page := range []store.Page{{Limit: limit}, {Limit: limit, Descending: true}} {
			list := all
			if page.Descending {
				list = reversed
			}
			if limit == 1 {
				list = list[:20]
			}
			for at := 0; at < len(list); at += limit {
				end := min(at+limit, len(list))
				e.wantEntries("t", "l", page, end < n, list[at:end]...)
				page.AfterSeq = &list[end-1].Seq
			}
		}
	}
	for _, c := range []struct {
		seq        uint64
		descending bool
		more       bool
		want       []store.Entry
	}{
		{n - 1, false, false, nil},
		{n, false, false, nil},
		{1 << 63, false, false, nil},
		{^uint64(0), false, false, nil},
		{0, true, false, nil},
		{n, true, true, reversed[:1]},
		{^uint64(0), true, true, reversed[:1]},
	} {
		e.wantEntries("t", "l", store.Page{AfterSeq: &c.seq, Descending: c.descending, Limit: 1}, c.more, c.want...)
	}
}
