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

type docOp byte

const (
	docSwap   docOp = iota // write a and b and append, if a has the value that was read
	docDelete              // delete a and b, if a has the value that was read
	docReadA
	docReadB
	docReadLog // the last entry
	docDrop    // the log
)

func (k docOp) String() string {
	return [...]string{"Swap", "Delete", "ReadA", "ReadB", "ReadLog", "Drop"}[k]
}

type docInput struct {
	op    docOp
	key   int
	have  int64 // Swap, Delete: the value that a must have
	value int64 // Swap: the new one
}

type docOutput struct {
	value int64 // of a document or entry, 0 for none; 1 for a Swap or Delete that was made
	seq   uint64
}

// docState is what there is under one key: two documents and a log, written by
// batches. Every value is written once, and a version belongs to one value; so
// that a condition on the version of what was read is one on its value.
type docState struct {
	a, b, last int64
	next       uint64
}

var docModelOf = porcupine.Model{
	Partition: func(all []porcupine.Operation) [][]porcupine.Operation {
		var parts [][]porcupine.Operation
		for _, op := range all {
			key := op.Input.(docInput).key
			for key >= len(parts) {
				parts = append(parts, nil)
			}
			parts[key] = append(parts[key], op)
		}
		return parts
	},
	Init: func() any { return docState{} },
	Step: func(state, input, output any) (bool, any) {
		s, in, out := state.(docState), input.(docInput), output.(docOutput)
		switch in.op {
		case docSwap:
			if out.value == 0 {
				return s.a != in.have, s
			}
			return s.a == in.have, docState{a: in.value, b: in.value, last: in.value, next: s.next + 1}
		case docDelete:
			if out.value == 0 {
				return s.a != in.have, s
			}
			return s.a == in.have, docState{last: s.last, next: s.next}
		case docReadA:
			return out.value == s.a, s
		case docReadB:
			return out.value == s.b, s
		case docReadLog:
			return out.value == s.last && (s.next == 0 || out.seq == s.next-1), s
		default:
			return true, docState{a: s.a, b: s.b}
		}
	},
	DescribeOperation: func(input, output any) string {
		in, out := input.(docInput), output.(docOutput)
		return fmt.Sprintf("%v(key %d, %d→%d) → %d at %d", in.op, in.key, in.have, in.value, out.value, out.seq)
	},
}

// docHistory is history for documents, logs and batches.
func docHistory(e *env) {
	var (
		all   sync.WaitGroup
		clock atomic.Int64
		turn  atomic.Int64
		total = int64(e.caps.Operations) / 2
		lists [historyGoroutines][]porcupine.Operation
	)
	for g := range historyGoroutines {
		all.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(g), 3))
			last := make(map[int]*store.Doc) // what was read of a, by key
			for {
				n := turn.Add(1)
				if n > total {
					return
				}
				key := int(n / historyKeyLife)
				in := docInput{op: docOp(rnd.IntN(6)), key: key, value: n}
				if in.op == docDrop && rnd.IntN(8) > 0 {
					in.op = docSwap
				}
				version := store.Absent
				if d := last[key]; d != nil {
					in.have, _ = strconv.ParseInt(string(d.Body), 10, 64)
					version = d.Version
				}
				op := porcupine.Operation{ClientId: g, Call: clock.Add(1)}
				var read *store.Doc
				op.Output, read = e.applyDoc(in, version)
				op.Return = clock.Add(1)
				op.Input = in
				if in.op == docReadA {
					last[key] = read
				}
				lists[g] = append(lists[g], op)
				if n%64 == 0 {
					runtime.Gosched()
				}
			}
		})
	}
	all.Wait()
	ops := mergeByCall(lists[:])

	done := 0
	for _, op := range ops {
		if op.Input.(docInput).op == docSwap && op.Output.(docOutput).value == 1 {
			done++
		}
	}
	if e.t.Logf("%d operations, %d swaps", len(ops), done); done < len(ops)/100 {
		e.t.Error("next to nothing was written: this proves nothing")
	}
	switch result, _ := porcupine.CheckOperationsVerbose(docModelOf, ops, 120*time.Second); result {
	case porcupine.Ok:
	case porcupine.Unknown:
		e.t.Error("porcupine could not decide in time")
	default:
		e.t.Error("the history is not linearizable")
	}
}

// applyDoc carries out one operation, and returns the document that was read.
func (e *env) applyDoc(in docInput, version uint64) (out docOutput, read *store.Doc) {
	const tenant = "t"
	name := strconv.Itoa(in.key)
	value := strconv.AppendInt(nil, in.value, 10)
	write := func(key string, version uint64) store.DocWrite {
		return store.DocWrite{Doc: &store.Doc{Kind: "k", Key: key + name, Body: value}, If: version}
	}
	var b *store.Batch
	switch in.op {
	case docSwap:
		b = &store.Batch{
			Put:    []store.DocWrite{write("a", version), write("b", store.AnyVersion)},
			Append: []store.LogAppend{{Log: name, Entries: []store.Entry{{Body: value}}}},
		}
	case docDelete:
		b = &store.Batch{Delete: []store.Condition{
			{Kind: "k", Key: "a" + name, Version: version}, {Kind: "k", Key: "b" + name, Version: store.AnyVersion},
		}}
	case docDrop:
		b = &store.Batch{Drop: []string{name}}
	case docReadLog:
		entries, _, err := e.store.Entries(e.ctx, tenant, name, store.Page{Limit: 1, Descending: true})
		if err != nil {
			e.t.Errorf("%v: %v", in.op, err)
		}
		if len(entries) > 0 {
			out.seq = entries[0].Seq
			out.value, _ = strconv.ParseInt(string(entries[0].Body), 10, 64)
		}
		return out, nil
	default:
		key := "a"
		if in.op == docReadB {
			key = "b"
		}
		d, err := e.store.Doc(e.ctx, tenant, "k", key+name)
		if err != nil {
			if !errors.Is(err, store.ErrNotFound) {
				e.t.Errorf("%v: %v", in.op, err)
			}
			return out, nil
		}
		out.value, _ = strconv.ParseInt(string(d.Body), 10, 64)
		return out, d
	}
	switch err := e.store.Commit(e.ctx, tenant, b); {
	case err == nil:
		out.value = 1
	case !errors.Is(err, store.ErrConflict):
		e.t.Errorf("%v: %v", in.op, err)
	}
	return out, nil
}
