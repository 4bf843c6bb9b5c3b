package streamcheck

import (
	"fmt"
	"strconv"
)

// diff compares two values by meaning: key order, spacing, escapes and the spelling of numbers do not matter. It returns
// a phrase about the first difference, "" when there is none. A nil value is an absent member.
func diff(path string, a, b *value) string {
	switch {
	case a == nil && b == nil:
		return ""
	case a == nil:
		return path + " is only in the second"
	case b == nil:
		return path + " is only in the first"
	case a.is(number) && b.is(number):
		if !sameNumber(a, b) {
			return fmt.Sprintf("%s is %s and %s", path, clip(a), clip(b))
		}
		return ""
	case a.kind != b.kind, a.kind == boolean && string(a.raw) != string(b.raw), a.kind == text && a.str != b.str:
		return fmt.Sprintf("%s is %s and %s", path, clip(a), clip(b))
	case a.kind == array:
		if len(a.elems) != len(b.elems) {
			return fmt.Sprintf("%s has %d and %d elements", path, len(a.elems), len(b.elems))
		}
		for i := range a.elems {
			if d := diff(fmt.Sprintf("%s[%d]", path, i), a.elems[i], b.elems[i]); d != "" {
				return d
			}
		}
	case a.kind == object:
		for _, key := range a.keys {
			if d := diff(path+"."+key, a.get(key), b.get(key)); d != "" {
				return d
			}
		}
		for _, key := range b.keys {
			if a.get(key) == nil {
				return path + "." + key + " is only in the second"
			}
		}
	}
	return ""
}

// sameNumber: integers compare by their digits, so that large ones keep every digit; the rest as a client reads it.
func sameNumber(a, b *value) bool {
	if string(a.raw) == string(b.raw) {
		return true
	}
	if a.is(integer) && b.is(integer) {
		return false
	}
	x, errX := strconv.ParseFloat(string(a.raw), 64)
	y, errY := strconv.ParseFloat(string(b.raw), 64)
	return errX == nil && errY == nil && x == y
}

// clip is the raw text of a value, short enough for a message.
func clip(v *value) string {
	const limit = 60
	if v == nil {
		return "absent"
	}
	if len(v.raw) > limit {
		return string(v.raw[:limit]) + "…"
	}
	return string(v.raw)
}

func clipText(s string) string {
	const limit = 60
	if len(s) > limit {
		return strconv.Quote(s[:limit]) + "…"
	}
	return strconv.Quote(s)
}
