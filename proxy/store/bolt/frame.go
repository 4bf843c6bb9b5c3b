package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store/codec"
)

// A value of the file is a frame:
//
//	version  1 byte    of this layout
//	end     12 bytes   when it is gone; the zero time is never
//	number   8 bytes   a record's place in the order of Put, a document's version,
//	                   the number of a log
//	payload
//	check    4 bytes   CRC-32C of the key, the payload, and what is before it
//
// The first 21 bytes are read without the rest, in walks over many values. The
// number is known only when the value is written, so it comes last in the check.
const (
	frameVersion = 1
	frameHead    = 1 + stampLen + 8
	frameCheck   = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var (
	errShort   = errors.New("it is cut off")
	errCheck   = errors.New("its checksum is wrong")
	errPayload = errors.New("its content makes no sense")
	errMissing = errors.New("it is missing")
)

// frame makes values of one key. Make one with newFrame, before the transaction.
type frame struct {
	value []byte // head, payload, room for the check
	crc   uint32 // of key and payload
}

// newFrame makes a frame of a payload that fill appends.
func newFrame(key []byte, end stamped, size int, fill func([]byte) []byte) frame {
	v := make([]byte, frameHead, frameHead+size+frameCheck)
	v[0] = frameVersion
	copy(v[1:], end[:])
	v = fill(v)
	crc := crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, v[frameHead:])
	return frame{value: append(v, 0, 0, 0, 0), crc: crc}
}

// seal is the value with that number. It may be called again.
func (f *frame) seal(number uint64) []byte {
	binary.BigEndian.PutUint64(f.value[1+stampLen:], number)
	end := len(f.value) - frameCheck
	binary.BigEndian.PutUint32(f.value[end:], crc32.Update(f.crc, castagnoli, f.value[:frameHead]))
	return f.value
}

// payload checks a value and returns what it holds.
func payload(key, v []byte) ([]byte, error) {
	switch {
	case len(v) > 0 && v[0] > frameVersion:
		return nil, fmt.Errorf("it has version %d, and this program knows only version %d", v[0], frameVersion)
	case len(v) < frameHead+frameCheck:
		return nil, errShort
	}
	end := len(v) - frameCheck
	crc := crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, v[frameHead:end])
	if crc32.Update(crc, castagnoli, v[:frameHead]) != binary.BigEndian.Uint32(v[end:]) {
		return nil, errCheck
	}
	return v[frameHead:end], nil
}

// end is when a value is gone.
func end(v []byte) (b stamped) {
	if len(v) >= frameHead {
		copy(b[:], v[1:])
	} else {
		b = never // what is too short is found to be damaged, not to be absent
	}
	return b
}

func live(v []byte, now stamped) bool { return !end(v).ended(now) }

// number is the number of a value.
func number(v []byte) uint64 {
	if len(v) < frameHead {
		return 0
	}
	return binary.BigEndian.Uint64(v[1+stampLen:])
}

// reader takes a payload apart. After a fault all it gives is nothing.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uvarint() uint64 {
	n, used := binary.Uvarint(r.b)
	if used <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[used:]
	return n
}

func (r *reader) bytes() []byte {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.b, r.bad = nil, true
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) time() time.Time {
	if len(r.b) < stampLen {
		r.b, r.bad = nil, true
		return time.Time{}
	}
	t := stamped(r.b[:stampLen]).time()
	r.b = r.b[stampLen:]
	return t
}

// content is the rest, decompressed.
func (r *reader) content() ([]byte, error) {
	if r.bad {
		return nil, errPayload
	}
	return codec.Decode(r.b)
}
