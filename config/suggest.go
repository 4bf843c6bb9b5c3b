package config

import (
	"iter"
	"reflect"
	"slices"
	"strings"
)

// field is a key of a section.
type field struct {
	key   string
	index []int
	typ   reflect.Type
}

// fields lists the keys of a section in order, by the yaml tags of its struct.
func fields(t reflect.Type) iter.Seq[field] {
	return func(yield func(field) bool) {
		for f := range t.Fields() {
			key, option, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			switch {
			case option == "inline":
				for inner := range fields(f.Type) {
					inner.index = append(slices.Clone(f.Index), inner.index...)
					if !yield(inner) {
						return
					}
				}
			case key == "" || key == "-":
				continue
			case !yield(field{key, f.Index, f.Type}):
				return
			}
		}
	}
}

// keysOf lists the keys of a section.
func keysOf(t reflect.Type) []string {
	var keys []string
	for f := range fields(t) {
		keys = append(keys, f.key)
	}
	return keys
}

// allKeys lists the dotted paths of all keys below a section, sections
// included. The free keys of maps are not in it.
func allKeys(t reflect.Type, prefix string) []string {
	if t == reflect.TypeFor[Overrides]() {
		t = reflect.TypeFor[overridable]()
	}
	if !isSection(t) {
		return nil
	}
	var keys []string
	for f := range fields(t) {
		keys = append(keys, prefix+f.key)
		keys = append(keys, allKeys(f.typ, prefix+f.key+".")...)
	}
	return keys
}

// typeAt returns the type of the value at a path that assign has accepted.
func typeAt(t reflect.Type, path []string) reflect.Type {
	for _, key := range path {
		if t == reflect.TypeFor[Overrides]() {
			t = reflect.TypeFor[overridable]()
		}
		switch {
		case isSection(t):
			for f := range fields(t) {
				if f.key == key {
					t = f.typ
					break
				}
			}
		case t.Kind() == reflect.Map:
			t = t.Elem()
		case bitNames(t) != nil:
			t = reflect.TypeFor[bool]()
		}
	}
	return t
}

// splitPath splits a dotted path below type t. The keys of maps may have dots
// in them: "upstream.models.gpt-4.1".
func splitPath(t reflect.Type, dotted string) []string {
	var path []string
	for {
		key, rest, more := strings.Cut(dotted, ".")
		if !more || t.Kind() == reflect.Map {
			return append(path, dotted)
		}
		path, dotted, t = append(path, key), rest, typeAt(t, []string{key})
	}
}

// unknownKey complains about the key s.path[depth] in a section of type t.
func unknownKey(t reflect.Type, s *setting, depth int) *Error {
	keys, key := keysOf(t), s.path[depth]
	message := "unknown key"
	if hint := didYouMean(key, keys); hint != "" {
		message += hint
	} else if path := elsewhere(key); path != "" {
		message += " (did you mean " + path + "?)"
	}
	message += "; here can be " + strings.Join(keys, ", ")
	path := s.path[:depth+1]
	if !isWord(key) {
		path = s.path[:depth] // who knows what it is; a secret, perhaps
	}
	return complaint(s.at, joinPath(path), "%s", message)
}

// elsewhere returns the only path in the configuration that ends in key.
func elsewhere(key string) string {
	found := ""
	for _, path := range allKeys(reflect.TypeFor[Config](), "") {
		if path != key && !strings.HasSuffix(path, "."+key) {
			continue
		}
		if found != "" {
			return ""
		}
		found = path
	}
	return found
}

// didYouMean returns " (did you mean x?)" for the name in list that is close to
// what was written, or that one of them begins with, and "" when none is.
func didYouMean(written string, list []string) string {
	best, bound := "", 0
	if len(written) > 40 {
		return ""
	}
	for _, name := range list {
		a, b := folded(written), folded(name)
		d := distance(a, b)
		begins := min(len(a), len(b)) >= 3 && (strings.HasPrefix(a, b) || strings.HasPrefix(b, a))
		if (begins || d <= max(1, len(name)/3)) && (best == "" || d < bound) {
			best, bound = name, d
		}
	}
	if best == "" {
		return ""
	}
	return " (did you mean " + best + "?)"
}

// folded removes what people write differently: case, hyphens and underscores.
func folded(s string) string {
	return strings.NewReplacer("-", "", "_", "", " ", "").Replace(strings.ToLower(s))
}

// distance is the number of letters to insert, delete, replace or swap with
// their neighbour to get from a to b.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// isWord reports whether s looks like the name of a key.
func isWord(s string) bool {
	for _, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && c != '_' && c != '-' && c != '.' {
			return false
		}
	}
	return s != "" && len(s) <= 40
}
