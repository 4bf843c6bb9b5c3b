package store

import (
	"errors"
	"slices"
)

// WalkChain is the walk behind Store.Chain, for backends to share: it follows
// Parent from the record with that id, asking get for one record after the
// other, and returns them from the root on.
//
// It ends on every input: a parent that the walk has already passed counts as
// missing. Nothing keeps a caller from putting such a record, and a request
// must not hang on one.
func WalkChain(id string, get func(id string) (*Record, error)) ([]*Record, error) {
	// Most chains are shorter than this, and then one allocation is all.
	var buf [64]*Record
	up := buf[:0] // the walk: the record asked for first, the root last

	// Brent's algorithm: one passed record is remembered, at distances that
	// double. Inside a cycle the walk comes by it again before long. Unlike a
	// set of the ids passed this costs nothing where there is no cycle.
	mark, next := "", 1

	for at := id; ; {
		rec, err := get(at)
		if err != nil {
			if len(up) > 0 && errors.Is(err, ErrNotFound) {
				return nil, &BrokenChainError{Missing: at}
			}
			return nil, err
		}
		up = append(up, rec)
		if rec.Parent == "" {
			break
		}
		if len(up) == next {
			mark, next = at, 2*next
		}
		at = rec.Parent
		if at == mark {
			return nil, &BrokenChainError{Missing: firstRepeat(id, up)}
		}
	}

	chain := make([]*Record, len(up))
	copy(chain, up)
	slices.Reverse(chain)
	return chain, nil
}

// firstRepeat is the first parent on the walk up from id that the walk had
// passed before. WalkChain may notice a cycle only later, and the answer must
// not depend on how it notices.
func firstRepeat(id string, up []*Record) string {
	passed := map[string]bool{id: true}
	for _, rec := range up {
		if passed[rec.Parent] {
			return rec.Parent
		}
		passed[rec.Parent] = true
	}
	return "" // not reached: the caller has seen a repeat
}
