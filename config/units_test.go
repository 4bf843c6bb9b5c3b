package config

import (
	"testing"
	"time"
)

func TestDuration(t *testing.T) {
	f := func(text string, want time.Duration, printed string) {
		t.Helper()
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || d.Std() != want || d.String() != printed {
			t.Errorf("%s: got %v, %q (%v)", text, d.Std(), d.String(), err)
		}
		var back Duration
		if err := back.UnmarshalText([]byte(d.String())); err != nil || back != d {
			t.Errorf("%s: %v reads back as %v (%v)", text, d, back, err)
		}
	}
	f("0", 0, "0s")
	f("30s", 30*time.Second, "30s")
	f("600s", 10*time.Minute, "10m")
	f("60m", time.Hour, "1h")
	f("90m", 90*time.Minute, "1h30m")
	f("1h10s", time.Hour+10*time.Second, "1h0m10s")
	f("1.5s", 1500*time.Millisecond, "1.5s")
	f("-5s", -5*time.Second, "-5s")
	for _, text := range []string{"", "s", "30", "1.5", "1d", "xd", "-1d", "1 h", "99999999999h"} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken for %v", text, d)
		}
	}
}

func TestByteSize(t *testing.T) {
	f := func(text string, want ByteSize, printed string) {
		t.Helper()
		var b ByteSize
		if err := b.UnmarshalText([]byte(text)); err != nil || b != want || b.String() != printed {
			t.Errorf("%s: got %d, %q (%v)", text, int64(b), b.String(), err)
		}
		var back ByteSize
		if err := back.UnmarshalText([]byte(b.String())); err != nil || back != b {
			t.Errorf("%s: %v reads back as %v (%v)", text, b, back, err)
		}
	}
	f("0", 0, "0")
	f("1", 1, "1")
	f("1000", 1000, "1kB")
	f("1024", 1024, "1KiB")
	f("100B", 100, "100")
	f("64MiB", 64<<20, "64MiB")
	f("64 mib", 64<<20, "64MiB")
	f("1.5GB", 1_500_000_000, "1500MB")
	f("1.5GiB", 3<<29, "1536MiB")
	f("0.1KiB", 102, "102")
	f(".5KB", 500, "500")
	f("8388607TiB", 8388607<<40, "8388607TiB")
	f("9007199254740993", 9007199254740993, "9007199254740993")
	for _, text := range []string{"", "B", "MiB", "64M", "64k", "-1", "+1", "1e9", "0x10", "1_000", "1.2.3MB", ".", "1 2", "inf",
		"NaN", "8388608TiB", "9223372036854775808", "99999999999999999999999999999999999999999", "1MBB", "1,5MB"} {
		var b ByteSize
		if err := b.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken for %v", text, b)
		}
	}
}
