package schema

import (
	"math"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// maxWork bounds one check, in pairs of a value and a schema that it is held
// against. A schema of a few lines can ask for 2^100 of them, as branches refer to
// branches, so the work is counted before it is done: how often each schema meets
// each value follows from the counts one level up.
const maxWork = 1 << 20

// counts say how often each schema is held against one value.
type counts map[*jsonschema.Schema]float64

// work adds up the pairs of one check.
type work struct {
	sum   float64
	steps int // of the count itself
}

// bounded reports whether a check of v stays within maxWork.
func (s *Schema) bounded(v any) bool {
	var w work
	return w.count(v, counts{s.compiled: 1})
}

// count adds what v and all within it cost, where the schemas of at meet v.
func (w *work) count(v any, at counts) bool {
	all, ok := w.inPlace(at)
	if !ok || len(all) == 0 {
		return ok
	}
	for _, n := range all {
		w.sum += n
	}
	if w.sum > maxWork {
		return false
	}
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			if !w.count(member, w.below(all, func(s *jsonschema.Schema, add func(*jsonschema.Schema)) { ofMember(s, name, add) })) {
				return false
			}
		}
	case []any:
		for i, item := range v {
			if !w.count(item, w.below(all, func(s *jsonschema.Schema, add func(*jsonschema.Schema)) { ofItem(s, i, add) })) {
				return false
			}
		}
	}
	return w.steps <= maxWork
}

// inPlace adds the schemas that those of at hold against the same value. A schema
// that refers back to itself there can never be checked; jsonschema says so, and
// here it ends at maxWork.
func (w *work) inPlace(at counts) (counts, bool) {
	all := counts{}
	for rounds := 0; len(at) > 0; rounds++ {
		next := counts{}
		for s, n := range at {
			all[s] += n
			w.steps++
			sameValue(s, func(sub *jsonschema.Schema) { next[sub] += n })
		}
		if w.steps > maxWork || rounds > 1<<10 {
			return nil, false
		}
		for _, n := range next {
			if math.IsInf(n, 1) || n > maxWork {
				return nil, false
			}
		}
		at = next
	}
	return all, true
}

// below are the schemas that a member or an item meets.
func (w *work) below(all counts, of func(*jsonschema.Schema, func(*jsonschema.Schema))) counts {
	next := counts{}
	for s, n := range all {
		w.steps++
		of(s, func(sub *jsonschema.Schema) { next[sub] += n })
	}
	return next
}

// sameValue calls add for each schema that s holds against the value itself.
func sameValue(s *jsonschema.Schema, add func(*jsonschema.Schema)) {
	for _, sub := range []*jsonschema.Schema{s.Ref, s.RecursiveRef, s.Not, s.If, s.Then, s.Else} {
		if sub != nil {
			add(sub)
		}
	}
	if s.DynamicRef != nil && s.DynamicRef.Ref != nil {
		add(s.DynamicRef.Ref)
	}
	for _, list := range [][]*jsonschema.Schema{s.AllOf, s.AnyOf, s.OneOf} {
		for _, sub := range list {
			add(sub)
		}
	}
	for _, sub := range s.DependentSchemas {
		add(sub)
	}
	for _, sub := range s.Dependencies {
		if sub, ok := sub.(*jsonschema.Schema); ok {
			add(sub)
		}
	}
}

// ofMember calls add for each schema that s holds against a member of an object.
func ofMember(s *jsonschema.Schema, name string, add func(*jsonschema.Schema)) {
	if sub := s.Properties[name]; sub != nil {
		add(sub)
	}
	for pattern, sub := range s.PatternProperties {
		if pattern.MatchString(name) {
			add(sub)
		}
	}
	if sub, ok := s.AdditionalProperties.(*jsonschema.Schema); ok {
		add(sub)
	}
	if s.UnevaluatedProperties != nil {
		add(s.UnevaluatedProperties)
	}
}

// ofItem calls add for each schema that s holds against an item of an array.
func ofItem(s *jsonschema.Schema, i int, add func(*jsonschema.Schema)) {
	if i < len(s.PrefixItems) {
		add(s.PrefixItems[i])
	}
	if list, ok := s.Items.([]*jsonschema.Schema); ok && i < len(list) {
		add(list[i])
	}
	for _, sub := range []any{s.Items, s.AdditionalItems, s.Items2020, s.UnevaluatedItems, s.Contains} {
		if sub, ok := sub.(*jsonschema.Schema); ok && sub != nil {
			add(sub)
		}
	}
}
