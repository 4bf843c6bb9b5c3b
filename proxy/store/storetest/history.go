package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

const (
	historyGoroutines = 8
	historyHotKeys    = 2   // all work on these …
	historyKeyLife    = 200 // … for that many operations, then on others
)

type historyKind byte

const (
	historyPut historyKind = iota
	historyDelete
	historyGet
	historyItem
	historyChain
)

func (k historyKind) String() string { return [...]string{"Put", "Delete", "Get", "Item", "Chain"}[k] }

// historyInput is an operation on one key. A record's value is a number that no
// other record has; 0 is no record.
type historyInput struct {
	kind  historyKind
	key   int
	value int64 // Put
}

// historyOutput is what a read found, or, for Put and Delete, 1 for done.
type historyOutput int64

// historyModel is what one key may do. That a read by Item or by Chain is the
// same as one by Get makes the suite demand that a record comes and goes for
// all methods at the same instant.
var historyModel = porcupine.Model{
	Partition: func(all []porcupine.Operation) [][]porcupine.Operation {
		var parts [][]porcupine.Operation
		for _, op := range all {
			key := op.Input.(historyInput).key
			for key >= len(parts) {
				parts = append(parts, nil)
			}
			parts[key] = append(parts[key], op)
		}
		return parts
	},
	Init: func() any { return int64(0) },
	Step: func(state, input, output any) (bool, any) {
		held, in, out := state.(int64), input.(historyInput), output.(historyOutput)
		switch in.kind {
		case historyPut:
			if out == 0 {
				return held != 0, held
			}
			return held == 0, in.value
		case historyDelete:
			if out == 0 {
				return held == 0, held
			}
			return held != 0, int64(0)
		default:
			return int64(out) == held, held
		}
	},
	DescribeOperation: func(input, output any) string {
		in := input.(historyInput)
		return fmt.Sprintf("%v(key %d, %d) → %d", in.kind, in.key, in.value, output)
	},
}

// history records what concurrent callers asked and got, with the order in
// which calls began and ended, and has porcupine look for an order of single
// steps that explains it.
func history(e *env) {
	ops := e.recordHistory()
	overlaps := 0
	var lastReturn int64
	for _, op := range ops { // in order of Call
		if op.Call < lastReturn {
			overlaps++
		}
		lastReturn = max(lastReturn, op.Return)
	}
	e.t.Logf("%d operations, %d of them began during another one", len(ops), overlaps)
	if overlaps < len(ops)/1000 && runtime.GOMAXPROCS(0) > 1 {
		e.t.Error("next to nothing ran at the same time: this proves nothing")
	}

	result, info := porcupine.CheckOperationsVerbose(historyModel, ops, 120*time.Second)
	switch result {
	case porcupine.Ok:
	case porcupine.Unknown:
		e.t.Error("porcupine could not decide in time")
	default:
		e.t.Errorf("the history is not linearizable: %s", firstIllegal(ops, info))
	}
}

func (e *env) recordHistory() []porcupine.Operation {
	var (
		all   sync.WaitGroup
		time  atomic.Int64 // only order counts, and two readings are never equal
		turn  atomic.Int64
		total = int64(e.caps.Operations)
		lists [historyGoroutines][]porcupine.Operation
	)
	for g := range historyGoroutines {
		all.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(g), 2))
			for {
				// The keys follow a turn that all share. If they followed a
				// count of each goroutine's own, then those that run at the
				// same time would hardly ever work on the same key.
				n := turn.Add(1)
				if n > total {
					return
				}
				key := int(n/historyKeyLife)*historyHotKeys + rnd.IntN(historyHotKeys)
				in := historyInput{kind: historyKind(rnd.IntN(5)), key: key, value: n}
				op := porcupine.Operation{ClientId: g, Input: in, Call: time.Add(1)}
				op.Output = e.apply(in)
				op.Return = time.Add(1)
				lists[g] = append(lists[g], op)
				if n%64 == 0 {
					runtime.Gosched()
				}
			}
		})
	}
	all.Wait()
	return mergeByCall(lists[:])
}

// apply carries out one operation.
func (e *env) apply(in historyInput) historyOutput {
	const tenant = "t"
	name := strconv.Itoa(in.key)
	id, items := "resp_"+name, historyItems(name)
	var (
		err   error
		rec   *store.Record
		chain []*store.Record
	)
	switch in.kind {
	case historyPut:
		now := e.clock.Now()
		err = e.store.Put(e.ctx, &store.Record{
			Tenant: tenant, ID: id, ItemIDs: items, Created: now, Expires: now.Add(ttl),
			Response: strconv.AppendInt(nil, in.value, 10),
		})
	case historyDelete:
		err = e.store.Delete(e.ctx, tenant, id)
	case historyGet:
		rec, err = e.store.Get(e.ctx, tenant, id)
	case historyItem:
		rec, err = e.store.Item(e.ctx, tenant, items[len(items)-1])
	case historyChain:
		if chain, err = e.store.Chain(e.ctx, tenant, id); err == nil {
			rec = chain[len(chain)-1]
		}
	}
	switch {
	case errors.Is(err, store.ErrNotFound), in.kind == historyPut && errors.Is(err, store.ErrExists):
		return 0
	case err != nil:
		e.t.Errorf("%v: %v", in.kind, err)
		return 0
	case rec == nil:
		return 1
	}
	n, err := strconv.ParseInt(string(rec.Response), 10, 64)
	if err != nil || rec.ID != id {
		e.t.Errorf("%v(%s) = record %q with %q", in.kind, id, rec.ID, rec.Response)
	}
	return historyOutput(n)
}

// historyItems are the items of a record, of which the last is the one that is
// asked for. With many of them a Put or a Delete that is not one step takes its
// time, and somebody sees it.
func historyItems(name string) []string {
	items := make([]string, 16)
	for i := range items {
		items[i] = "item_" + name + "_" + strconv.Itoa(i)
	}
	return items
}

// mergeByCall merges lists that are each in order of Call.
func mergeByCall(lists [][]porcupine.Operation) []porcupine.Operation {
	var merged []porcupine.Operation
	for {
		first := -1
		for i, l := range lists {
			if len(l) > 0 && (first < 0 || l[0].Call < lists[first][0].Call) {
				first = i
			}
		}
		if first < 0 {
			return merged
		}
		merged = append(merged, lists[first][0])
		lists[first] = lists[first][1:]
	}
}

// firstIllegal describes where the first key that cannot be explained stops to
// be: the longest explanation that was found, and the operations after it.
func firstIllegal(ops []porcupine.Operation, info porcupine.LinearizationInfo) string {
	parts := historyModel.Partition(ops)
	for i, partial := range info.PartialLinearizations() {
		longest := 0
		for _, p := range partial {
			longest = max(longest, len(p))
		}
		if i >= len(parts) || longest == len(parts[i]) {
			continue
		}
		text := fmt.Sprintf("%d of %d operations explained; around it:", longest, len(parts[i]))
		for _, op := range parts[i][max(longest-6, 0):min(longest+3, len(parts[i]))] {
			text += fmt.Sprintf("\n\t[%d, %d] %s", op.Call, op.Return, historyModel.DescribeOperation(op.Input, op.Output))
		}
		return text
	}
	return "no detail"
}
