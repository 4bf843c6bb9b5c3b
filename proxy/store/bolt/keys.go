package bolt

import (
	"bytes"
	"encoding/binary"
	"math"
	"time"

	"go.etcd.io/bbolt"

	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// Keys are names one after the other, each but the last with its length before
// it: no name can pass for two, and the last is in the order of its bytes.

func appendName(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// key2 is the key of a record or of a log.
func key2(tenant, name string) []byte {
	return append(appendName(make([]byte, 0, 4+len(tenant)+len(name)), tenant), name...)
}

// key3 is the key of a document, or of an item without its number.
func key3(tenant, kind string, rest []byte) []byte {
	k := make([]byte, 0, 16+len(tenant)+len(kind)+len(rest))
	return append(appendName(appendName(k, tenant), kind), rest...)
}

// firstName is the first name of a key.
func firstName(k []byte) (string, bool) {
	n, used := binary.Uvarint(k)
	if used <= 0 || n > uint64(len(k)-used) {
		return "", false
	}
	return string(k[used : used+int(n)]), true
}

// afterName is what follows the first name of a key.
func afterName(k []byte) ([]byte, bool) {
	n, used := binary.Uvarint(k)
	if used <= 0 || n > uint64(len(k)-used) {
		return nil, false
	}
	return k[used+int(n):], true
}

// numbered is a key of a log's part.
func numbered(log uint64, rest []byte) []byte {
	return append(binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(rest)), log), rest...)
}

func be64(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// newestFirst makes larger numbers come first.
func newestFirst(n uint64) uint64 { return math.MaxUint64 - n }

func hasPrefix(k, prefix []byte) bool { return bytes.HasPrefix(k, prefix) }

// maxKey is the longest name, or names, of which all keys can be made.
const maxKey = bbolt.MaxKeySize - 64

// fits is whether these names can be keys.
func fits(names ...string) error {
	n := 0
	for _, s := range names {
		n += len(s) + 4
	}
	if n > maxKey {
		return store.ErrTooLarge
	}
	return nil
}

// stampLen is the length of a time in a file: seconds, nanoseconds, in the order
// of time. Nanoseconds alone would end in the year 2262.
const stampLen = 12

type stamped [stampLen]byte

func stamp(t time.Time) (b stamped) {
	binary.BigEndian.PutUint64(b[:], uint64(t.Unix())^1<<63)
	binary.BigEndian.PutUint32(b[8:], uint32(t.Nanosecond()))
	return b
}

func (b stamped) time() time.Time {
	return time.Unix(int64(binary.BigEndian.Uint64(b[:])^1<<63), int64(binary.BigEndian.Uint32(b[8:]))).UTC()
}

// never is the end of what has none: the zero time. Records have no such end:
// one that is over at once is not written.
var never = stamp(time.Time{})

// ended is whether an end has come.
func (b stamped) ended(now stamped) bool { return b != never && bytes.Compare(b[:], now[:]) <= 0 }
