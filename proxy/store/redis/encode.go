package redis

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/proxy/store/codec"
)

// Values. The scripts read their beginnings, which are therefore text of fixed
// length, and plain lengths:
//
//	document  "1" expires[21] version[16] codec(body)
//	record    "1" expires[21] number[16] head codec(content)
//	head      u32 length of what follows · u32 parent… · u32 how many items · (u32 item…)…
//	content   seconds and nanoseconds of Created, the span of Output, the length
//	          of Response, all as varints; Response; Input
//
// Numbers and versions are given by the script that writes.
const (
	format  = '1'
	headAt  = 1 + timeSize + numberSize
	parent0 = headAt + 8 // where the parent of a record begins, behind two lengths
)

// Times are written so that their order is that of their bytes: seconds since
// the year 1, nanoseconds.
const (
	timeSize   = 12 + 9
	numberSize = 16
	yearOne    = 62135596800 // seconds from the zero time to 1970
	maxSeconds = 999_999_999_998
	never      = "999999999999999999999"
)

func formatTime(t time.Time) string {
	sec := min(max(t.Unix()+yearOne, 0), maxSeconds)
	var b [timeSize]byte
	n, at := uint64(sec), 12
	for range 12 {
		at--
		b[at] = byte('0' + n%10)
		n /= 10
	}
	n, at = uint64(t.Nanosecond()), timeSize
	for range 9 {
		at--
		b[at] = byte('0' + n%10)
		n /= 10
	}
	return string(b[:])
}

func parseTime(s string) (time.Time, error) {
	if len(s) != timeSize {
		return time.Time{}, codec.ErrCorrupt
	}
	sec, err := strconv.ParseInt(s[:12], 10, 64)
	if err != nil {
		return time.Time{}, codec.ErrCorrupt
	}
	nsec, err := strconv.ParseInt(s[12:], 10, 64)
	if err != nil {
		return time.Time{}, codec.ErrCorrupt
	}
	return time.Unix(sec-yearOne, nsec).UTC(), nil
}

// expiry is the end of a document or a log as it is written.
func expiry(t time.Time) string {
	if t.IsZero() {
		return never
	}
	return formatTime(t)
}

// grace is how much longer than its owner's clock says the server keeps what has
// expired. It decides nothing: readers look at the time that is written in the
// value. It is there so that a server whose clock is ahead takes nothing away.
const grace = time.Minute

// ttl is how many milliseconds the server is to keep what ends at t; 0 is for
// ever.
func ttl(t, now time.Time) string {
	ms := (t.Unix()-now.Unix())*1000 + int64(t.Nanosecond()-now.Nanosecond())/1e6
	return strconv.FormatInt(max(ms, 0)+grace.Milliseconds(), 10)
}

func docTTL(t, now time.Time) string {
	if t.IsZero() {
		return "0"
	}
	return ttl(t, now)
}

// appendRecord appends what of a record's value is behind its number.
func appendRecord(dst []byte, rec *store.Record) []byte {
	n := 8 + len(rec.Parent)
	for _, item := range rec.ItemIDs {
		n += 4 + len(item)
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(n))
	dst = appendField(dst, rec.Parent)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(rec.ItemIDs)))
	for _, item := range rec.ItemIDs {
		dst = appendField(dst, item)
	}
	content := make([]byte, 0, 40+len(rec.Response)+len(rec.Input))
	content = binary.AppendVarint(content, rec.Created.Unix())
	content = binary.AppendVarint(content, int64(rec.Created.Nanosecond()))
	content = binary.AppendVarint(content, int64(rec.Output[0]))
	content = binary.AppendVarint(content, int64(rec.Output[1]))
	content = binary.AppendVarint(content, int64(len(rec.Response)))
	content = append(append(content, rec.Response...), rec.Input...)
	return codec.Append(dst, content)
}

func appendField(dst []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(s))), s...)
}

// parseRecord reads a record's value. What it returns aliases the value, or
// memory of its own.
func parseRecord(tenant, id string, value []byte) (*store.Record, error) {
	rec, err := tryParseRecord(tenant, id, value)
	if err != nil {
		return nil, fmt.Errorf("store: redis: record %q: %w", id, err)
	}
	return rec, nil
}

func tryParseRecord(tenant, id string, value []byte) (*store.Record, error) {
	if len(value) < headAt+4 || value[0] != format {
		return nil, codec.ErrCorrupt
	}
	rec := &store.Record{Tenant: tenant, ID: id}
	var err error
	if rec.Expires, err = parseTime(string(value[1 : 1+timeSize])); err != nil {
		return nil, err
	}
	head, body, ok := cutField(value[headAt:])
	if !ok {
		return nil, codec.ErrCorrupt
	}
	parent, head, ok := cutField(head)
	if !ok || len(head) < 4 {
		return nil, codec.ErrCorrupt
	}
	rec.Parent = string(parent)
	if n := binary.BigEndian.Uint32(head); n > 0 {
		head = head[4:]
		if uint64(n) > uint64(len(head)/4) {
			return nil, codec.ErrCorrupt
		}
		rec.ItemIDs = make([]string, n)
		for i := range rec.ItemIDs {
			var item []byte
			if item, head, ok = cutField(head); !ok {
				return nil, codec.ErrCorrupt
			}
			rec.ItemIDs[i] = string(item)
		}
	}
	content, err := codec.Decode(body)
	if err != nil {
		return nil, err
	}
	var ints [5]int64
	for i := range ints {
		n, used := binary.Varint(content)
		if used <= 0 {
			return nil, codec.ErrCorrupt
		}
		ints[i], content = n, content[used:]
	}
	length := ints[4]
	if length < 0 || length > int64(len(content)) || ints[2] < 0 || ints[3] < ints[2] || ints[3] > length {
		return nil, codec.ErrCorrupt
	}
	rec.Created = time.Unix(ints[0], ints[1]).UTC()
	rec.Output = [2]int{int(ints[2]), int(ints[3])}
	rec.Response, rec.Input = content[:length:length], content[length:len(content):len(content)]
	return rec, nil
}

// cutField takes a field of appendField from the beginning of b.
func cutField(b []byte) (field, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := uint64(binary.BigEndian.Uint32(b))
	if n > uint64(len(b)-4) {
		return nil, nil, false
	}
	return b[4 : 4+n], b[4+n:], true
}

// parseDoc reads a document's value.
func parseDoc(kind, key string, value []byte) (*store.Doc, error) {
	doc, err := tryParseDoc(kind, key, value)
	if err != nil {
		return nil, fmt.Errorf("store: redis: document %s %q: %w", kind, key, err)
	}
	return doc, nil
}

func tryParseDoc(kind, key string, value []byte) (*store.Doc, error) {
	if len(value) < headAt || value[0] != format {
		return nil, codec.ErrCorrupt
	}
	doc := &store.Doc{Kind: kind, Key: key}
	var err error
	if ends := string(value[1 : 1+timeSize]); ends != never {
		if doc.Expires, err = parseTime(ends); err != nil {
			return nil, err
		}
	}
	if doc.Version, err = strconv.ParseUint(string(value[1+timeSize:headAt]), 10, 64); err != nil {
		return nil, codec.ErrCorrupt
	}
	if doc.Body, err = codec.Decode(value[headAt:]); err != nil {
		return nil, err
	}
	return doc, nil
}

// formatVersion is a version as a condition of a script.
func formatVersion(v uint64) string {
	switch v {
	case store.Absent:
		return "0"
	case store.AnyVersion:
		return "*"
	}
	return fmt.Sprintf("%0*d", numberSize, v)
}
