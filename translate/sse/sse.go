// Package sse reads server-sent events as they come off the wire, and writes the
// few bytes of them that are not JSON.
//
// The Decoder is fed any pieces of a stream and hands out whole events. How the
// stream was cut into pieces never shows. It accepts what servers really send:
// LF, CRLF and CR, "data:" with and without a space, comments, a byte order
// mark, several data lines in an event, and bare JSON lines without a field name
// (servers that fall out of the protocol in an error).
package sse

import (
	"bytes"
	"errors"
)

// Event is one server-sent event. Its slices are good until the next call of a
// Decoder method.
type Event struct {
	Name []byte // of the "event" field; empty if there was none
	Data []byte // the data lines, with \n between them
	// Whole says that it is no event, but a whole reply: see Reply.
	Whole bool
}

// ErrTooLarge says that an event was longer than Decoder.MaxEvent.
var ErrTooLarge = errors.New("sse: event too large")

// DefaultMaxEvent is used where Decoder.MaxEvent is 0.
const DefaultMaxEvent = 16 << 20

// Decoder cuts a byte stream into events:
//
//	d.Feed(piece)
//	for e, ok := d.Next(); ok; e, ok = d.Next() { … }
//
// The zero value is ready. Bytes of a piece are copied only when an event does
// not end in it.
type Decoder struct {
	// MaxEvent bounds what is kept of an unfinished event, in bytes.
	MaxEvent int

	scratch
	piece []byte // what is left of the piece
	name  []byte
	alias []byte // or its only data line so far, still in the piece or in data

	hasData bool // a data field was seen
	skipLF  bool // the last line ended with CR: an LF right after belongs to it
	begun   bool // past where a byte order mark may stand
	emitted bool // the event handed out last is to be forgotten
	given   bool // an event was handed out
	err     error
}

// Scratch is what a Decoder puts an event together in that comes in pieces. The zero
// value is none. Decoders that seldom wait in an event can share one: see
// Decoder.Swap.
type Scratch struct{ scratch }

type scratch struct {
	line []byte // the beginning of a line whose end has not come
	data []byte // copied data of the event
}

// Swap exchanges the scratch of the decoder for s, unless it holds a part of an
// event. What is unusually large is dropped. Events that were handed out before are not good any more.
func (d *Decoder) Swap(s *Scratch) {
	if d.emitted {
		d.forget()
	}
	if len(d.line) == 0 && !d.hasData {
		d.scratch, s.scratch = s.scratch, scratch{keep(d.line), keep(d.data)}
	}
}

// keep empties a buffer for later, unless it is unusually large.
func keep(b []byte) []byte {
	const most = 64 << 10
	if cap(b) > most {
		return nil
	}
	return b[:0]
}

// Reset makes the decoder ready for another stream. It keeps its memory, unless
// that was unusually large.
func (d *Decoder) Reset() {
	*d = Decoder{MaxEvent: d.MaxEvent, scratch: scratch{keep(d.line), keep(d.data)}, name: keep(d.name)}
}

// Feed gives the decoder the next piece of the stream. The piece must not change
// until Next has returned false. All events of the piece before must have been
// taken.
func (d *Decoder) Feed(piece []byte) {
	d.piece = piece
	if !d.begun && len(piece) > 0 {
		d.bom()
	}
}

// bom drops a byte order mark, which may come in pieces too.
func (d *Decoder) bom() {
	const mark = "\xef\xbb\xbf"
	head := d.piece
	if len(d.line) > 0 {
		head = append(d.line, d.piece...)
	}
	switch {
	case len(head) < len(mark) && mark[:len(head)] == string(head):
		d.line = append(d.line[:0], head...)
		d.piece = nil
	case bytes.HasPrefix(head, []byte(mark)):
		d.begun = true
		d.piece = d.piece[len(mark)-len(d.line):]
		d.line = d.line[:0]
	default:
		d.begun = true
	}
}

// Next returns the next whole event. ok is false when the piece has no more, or
// after an error: see Err.
func (d *Decoder) Next() (e Event, ok bool) {
	if d.emitted {
		d.forget()
	}
	for len(d.piece) > 0 && d.err == nil {
		line, whole := d.cut()
		if !whole {
			d.keepAlias()
			break
		}
		if d.field(line) {
			d.emitted, d.given = true, true
			return d.event(), true
		}
		d.line = d.line[:0]
	}
	if len(d.piece) == 0 {
		d.keepAlias()
	}
	return Event{}, false
}

// Finish returns the event that the end of the stream cut off before its blank
// line, if there is one. It may be half an event.
func (d *Decoder) Finish() (e Event, ok bool) {
	if d.emitted {
		d.forget()
	}
	if d.err == nil && len(d.line) > 0 && d.field(d.line) {
		d.emitted, d.given = true, true
		return d.event(), true
	}
	d.line = d.line[:0]
	if !d.hasData || d.err != nil {
		return Event{}, false
	}
	d.emitted, d.given = true, true
	return d.event(), true
}

// Err is why Next stopped for good, or nil.
func (d *Decoder) Err() error { return d.err }

func (d *Decoder) event() Event {
	if d.alias != nil {
		return Event{Name: d.name, Data: d.alias}
	}
	return Event{Name: d.name, Data: d.data}
}

func (d *Decoder) forget() {
	d.name, d.data, d.line = d.name[:0], d.data[:0], d.line[:0]
	d.alias, d.hasData, d.emitted = nil, false, false
}

// keepAlias copies what still lies in the piece before the piece goes.
func (d *Decoder) keepAlias() {
	if d.alias != nil {
		d.data = append(d.data[:0], d.alias...)
		d.alias = nil
	}
}

// cut takes one line off the piece, without its end.
func (d *Decoder) cut() (line []byte, whole bool) {
	if d.skipLF {
		d.skipLF = false
		if d.piece[0] == '\n' {
			if d.piece = d.piece[1:]; len(d.piece) == 0 {
				return nil, false
			}
		}
	}
	n, skip := bytes.IndexByte(d.piece, '\n'), 1
	upTo := d.piece
	if n >= 0 {
		upTo = d.piece[:n]
	}
	if cr := bytes.IndexByte(upTo, '\r'); cr >= 0 {
		switch {
		case cr+1 == n:
			skip = 2
		case cr+1 == len(d.piece):
			d.skipLF = true
		}
		n = cr
	}
	if n < 0 {
		d.grow(len(d.piece))
		d.line = append(d.line, d.piece...)
		d.piece = nil
		return nil, false
	}
	line = d.piece[:n]
	d.piece = d.piece[n+skip:]
	if len(d.line) > 0 {
		d.grow(len(line))
		d.line = append(d.line, line...)
		line = d.line
	}
	return line, true
}

// grow checks that n more bytes may be kept.
func (d *Decoder) grow(n int) {
	most := d.MaxEvent
	if most <= 0 {
		most = DefaultMaxEvent
	}
	held := len(d.data)
	if d.alias != nil {
		held = len(d.alias)
	}
	if len(d.line)+held+n > most {
		d.err = ErrTooLarge
	}
}

// field takes in one line and reports whether it completes an event.
func (d *Decoder) field(line []byte) (complete bool) {
	if len(line) == 0 {
		if !d.hasData {
			d.name = d.name[:0]
		}
		return d.hasData
	}
	if line[0] == '{' && !d.hasData {
		// Not of the protocol, where this would be an unknown field: a line of
		// JSON, in which a server that stumbles says why.
		d.addData(line)
		return true
	}
	name, value, _ := bytes.Cut(line, []byte{':'})
	if len(value) > 0 && value[0] == ' ' {
		value = value[1:]
	}
	switch string(name) {
	case "data":
		d.addData(value)
	case "event":
		d.name = append(d.name[:0], value...)
	case "error":
		// Not of the protocol either: older llama.cpp puts the error in a field of
		// that name. Words before any event are no stream at all.
		if len(value) > 0 && !d.hasData && (d.given || value[0] == '{') {
			d.name = append(d.name[:0], name...)
			d.addData(value)
		}
	}
	return false
}

func (d *Decoder) addData(value []byte) {
	if !d.hasData {
		d.hasData, d.alias = true, value
		if value == nil {
			d.alias = []byte{}
		}
		// A value in the line buffer keeps it, and lines go on in the other one.
		if len(d.line) > 0 {
			d.line, d.data = d.data[:0], d.line
		}
		return
	}
	d.keepAlias()
	d.grow(len(value) + 1)
	d.data = append(d.data, '\n')
	d.data = append(d.data, value...)
}

// AppendComment appends a comment, which clients ignore: a sign of life, or a
// remark for a human. The text must have no line ends.
func AppendComment(dst []byte, text string) []byte {
	dst = append(dst, ':', ' ')
	dst = append(dst, text...)
	return append(dst, '\n', '\n')
}

// AppendDone appends the marker that ends a stream of Chat Completions.
func AppendDone(dst []byte) []byte { return append(dst, "data: [DONE]\n\n"...) }
