package config

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// Duration is a time span that is written with its unit: "30s", "1h30m".
type Duration time.Duration

// Std returns d as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String returns d in the form that a file has, such as "10m".
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err == nil {
		*d = Duration(v)
		return nil
	}
	if _, err := strconv.ParseFloat(string(text), 64); err == nil {
		return fmt.Errorf("a duration needs a unit, such as 30s")
	}
	if n, ok := strings.CutSuffix(string(text), "d"); ok {
		if days, err := strconv.Atoi(n); err == nil && days >= 0 && days < 10_000 {
			return fmt.Errorf("days are not a unit; write %dh", 24*days)
		}
	}
	return fmt.Errorf("not a duration; write one such as 500ms, 30s, 10m or 720h")
}

// ByteSize is a number of bytes: "64MiB", "1.5GB", or a bare number.
type ByteSize int64

// The binary units of ByteSize.
const (
	KiB ByteSize = 1 << 10
	MiB ByteSize = 1 << 20
	GiB ByteSize = 1 << 30
	TiB ByteSize = 1 << 40
)

// byteUnit is a unit of ByteSize. Those that divide a size best come first.
type byteUnit struct {
	name string
	size ByteSize
}

func byteUnits() []byteUnit {
	return []byteUnit{
		{"TiB", TiB}, {"GiB", GiB}, {"MiB", MiB}, {"KiB", KiB},
		{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1},
	}
}

// String returns b exactly, in the largest unit that divides it.
func (b ByteSize) String() string {
	for _, u := range byteUnits() {
		if b != 0 && b%u.size == 0 && u.size > 1 {
			return strconv.FormatInt(int64(b/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// MarshalText implements encoding.TextMarshaler.
func (b ByteSize) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// MarshalYAML implements yaml.Marshaler, so that a bare number has no quotes.
func (b ByteSize) MarshalYAML() (any, error) {
	if s := b.String(); strings.HasSuffix(s, "B") {
		return s, nil
	}
	return int64(b), nil
}

// UnmarshalText implements encoding.TextUnmarshaler. Units may be written in
// any case; a fraction of a byte is cut off.
func (b *ByteSize) UnmarshalText(text []byte) error {
	s := string(text)
	end := strings.LastIndexAny(s, "0123456789.") + 1
	number, unit := s[:end], strings.TrimSpace(s[end:])
	size := ByteSize(1)
	if unit != "" {
		size = 0
		for _, u := range byteUnits() {
			if strings.EqualFold(unit, u.name) {
				size = u.size
			}
		}
	}
	switch {
	case size == 0 && len(unit) == 1 && strings.ContainsAny(unit, "kKmMgGtT"):
		return fmt.Errorf("%s is ambiguous; write %sB for powers of 1000 or %siB for powers of 1024", unit, unit, unit)
	case size == 0 || !isDecimal(number):
		return fmt.Errorf("not a size; write one such as 65536, 64MiB or 1.5GB")
	}
	// Floats would be off by bytes above 2^53, and print differently next time.
	n, ok := new(big.Rat).SetString(number)
	if !ok {
		return fmt.Errorf("not a size; write one such as 65536, 64MiB or 1.5GB")
	}
	n.Mul(n, new(big.Rat).SetInt64(int64(size)))
	whole := new(big.Int).Quo(n.Num(), n.Denom())
	if !whole.IsInt64() || whole.Int64() == math.MaxInt64 {
		return fmt.Errorf("too large for a size; the most is 8388607TiB")
	}
	*b = ByteSize(whole.Int64())
	return nil
}

// isDecimal reports whether s is a short plain number such as 12 or 1.5. A
// long one could only be a mistake, and would cost time to read.
func isDecimal(s string) bool {
	digits, dots := 0, 0
	for _, c := range []byte(s) {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c == '.':
			dots++
		default:
			return false
		}
	}
	return digits > 0 && digits <= 40 && dots <= 1
}
