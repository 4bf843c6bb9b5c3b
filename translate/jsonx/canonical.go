package jsonx

import (
	"bytes"
	"slices"
	"strconv"
)

// AppendCanonical appends the value n in a form that is the same for all texts with
// the same meaning: without spaces, members in the order of their names, strings with
// one way of escaping, and numbers by their value (1, 1.0 and 1e0 are one). It is for
// comparing and hashing; a reader of JSON would not know the numbers.
func (d *Doc) AppendCanonical(dst []byte, n uint32) []byte {
	switch d.Kind(n) {
	case String:
		return d.appendCanonicalString(dst, n)
	case Number:
		return appendCanonicalNumber(dst, d.Raw(n))
	case Array:
		dst = append(dst, '[')
		for v, end := d.First(n), d.End(n); v < end; v = d.Next(v) {
			dst = append(d.AppendCanonical(dst, v), ',')
		}
		return append(dst, ']')
	case Object:
		var keys []uint32
		for k, end := d.First(n), d.End(n); k < end; k = d.Next(k + 1) {
			keys = append(keys, k)
		}
		slices.SortFunc(keys, func(a, b uint32) int {
			if (d.StrKind(a)|d.StrKind(b))&HasEscape == 0 {
				return bytes.Compare(d.Str(a), d.Str(b))
			}
			return bytes.Compare(AppendUnescaped(nil, d.Str(a)), AppendUnescaped(nil, d.Str(b)))
		})
		dst = append(dst, '{')
		for _, k := range keys {
			dst = append(d.appendCanonicalString(dst, k), ':')
			dst = append(d.AppendCanonical(dst, k+1), ',')
		}
		return append(dst, '}')
	}
	return append(dst, d.Raw(n)...)
}

func (d *Doc) appendCanonicalString(dst []byte, n uint32) []byte {
	if d.StrKind(n)&HasEscape == 0 {
		return append(dst, d.Raw(n)...)
	}
	return AppendString(dst, AppendUnescaped(nil, d.Str(n)))
}

// appendCanonicalNumber appends a number as its significant digits and the power of ten
// of the last one.
func appendCanonicalNumber(dst, raw []byte) []byte {
	sign, rest := "", raw
	if raw[0] == '-' {
		sign, rest = "-", raw[1:]
	}
	mantissa, power := rest, int64(0)
	if i := bytes.IndexAny(rest, "eE"); i >= 0 {
		p, err := strconv.ParseInt(string(bytes.TrimPrefix(rest[i+1:], []byte{'+'})), 10, 32)
		if err != nil {
			return append(dst, raw...)
		}
		mantissa, power = rest[:i], p
	}
	whole, fraction, _ := bytes.Cut(mantissa, []byte{'.'})
	digits := append(bytes.Clone(whole), fraction...)
	power -= int64(len(fraction))
	short := bytes.TrimRight(digits, "0")
	power += int64(len(digits) - len(short))
	if short = bytes.TrimLeft(short, "0"); len(short) == 0 {
		return append(dst, '0')
	}
	dst = append(append(dst, sign...), short...)
	return strconv.AppendInt(append(dst, 'e'), power, 10)
}
