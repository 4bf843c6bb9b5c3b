package redis

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/proxy/store/codec"
)

// TestTimes: what is written has the order of what is meant, and comes back.
func TestTimes(t *testing.T) {
	times := []time.Time{
		{}, time.Unix(-1<<33, 7), time.Unix(0, 0), time.Unix(0, 1), time.Unix(1, 0), time.Now(),
		time.Date(2262, 4, 11, 23, 47, 17, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC),
	}
	before := ""
	for _, at := range times {
		s := formatTime(at)
		if len(s) != timeSize || s <= before || s >= never {
			t.Errorf("%v is %q, after %q", at, s, before)
		}
		back, err := parseTime(s)
		if err != nil || !back.Equal(at) || back.Location() != time.UTC {
			t.Errorf("%v came back as %v, %v", at, back, err)
		}
		before = s
	}
	rapid.Check(t, func(rt *rapid.T) {
		a := time.Unix(rapid.Int64Range(-yearOne, 1<<38).Draw(rt, "a"), rapid.Int64Range(0, 1e9-1).Draw(rt, "na"))
		b := time.Unix(rapid.Int64Range(-yearOne, 1<<38).Draw(rt, "b"), rapid.Int64Range(0, 1e9-1).Draw(rt, "nb"))
		if strings.Compare(formatTime(a), formatTime(b)) != a.Compare(b) {
			rt.Errorf("%v and %v", a, b)
		}
	})
}

// value is a record's value as the script completes it.
func value(rec *store.Record) []byte {
	return appendRecord([]byte("1"+formatTime(rec.Expires)+strings.Repeat("0", numberSize)), rec)
}

func TestRecordValue(t *testing.T) {
	rec := record("id", "parent", 5000)
	rec.ItemIDs = []string{"", "one", "\x00\xff"}
	got, err := parseRecord(rec.Tenant, rec.ID, value(rec))
	if err != nil || !reflect.DeepEqual(got, rec) {
		t.Errorf("%+v, %v; want %+v", got, err, rec)
	}
	if n := len(value(rec)); n > 1000 {
		t.Errorf("%d bytes: not compressed", n)
	}
}

// TestDamagedValues: a value that is not what was written is an error, and never
// a record that is absent.
func TestDamagedValues(t *testing.T) {
	good := value(record("id", "parent", 3000))
	for i := range good {
		if _, err := parseRecord(tenant, "id", good[:i]); !errors.Is(err, codec.ErrCorrupt) {
			t.Errorf("cut at %d: %v", i, err)
		}
		bad := bytes.Clone(good)
		bad[i] ^= 0x40
		if _, err := parseRecord(tenant, "id", bad); err != nil && (!errors.Is(err, codec.ErrCorrupt) || errors.Is(err, store.ErrNotFound)) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add(value(record("id", "parent", 10)))
	f.Add(value(record("id", "", 3000)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if rec, err := parseRecord(tenant, "id", b); err == nil {
			rec.OutputItems()
		}
		_, _ = parseDoc("kind", "key", b)
	})
}
