package sse

import "bytes"

// Reply reads the body of a reply whose Content-Type is not to be trusted: its first
// bytes say what it is.
//
//	data: …, event: …, : …    server-sent events, as Decoder reads them
//	{ … } or [ … ]            one JSON text: the whole reply, also if data: [DONE] follows
//	{ … } { … }               JSON texts one after the other (NDJSON): each is an event
//	anything else             text, such as an HTML page: the beginning of it is the reply
//
// A byte order mark and white space before it say nothing. How the body was cut into
// pieces never shows. The zero value is ready; the rest is as with Decoder.
type Reply struct {
	Decoder
	form replyForm

	texts []byte // what is left of the piece, of JSON texts
	text  []byte // the JSON text at hand, or the beginning of what is not understood
	scan  jsonScan
	open  bool // text is not whole
	held  bool // text is whole, and maybe all of the reply
	many  bool // there was more than one JSON text
	given bool // text was handed out
	plain bool // text is the beginning of a reply without an event so far

	next    Event // waits for text to be handed out first
	hasNext bool
}

type replyForm uint8

const (
	formUnknown replyForm = iota
	formEvents
	formTexts
	formAfter // events, after a JSON text
)

// maxPlain bounds what is kept of a reply that is neither events nor JSON.
const maxPlain = 4 << 10

// Reset makes the reader ready for another reply.
func (r *Reply) Reset() {
	r.Decoder.Reset()
	*r = Reply{Decoder: r.Decoder, text: keep(r.text)}
}

// Feed gives the reader the next piece of the reply. See Decoder.Feed.
func (r *Reply) Feed(piece []byte) {
	if r.form == formUnknown {
		for len(piece) > 0 && insignificant(piece[0]) {
			piece = piece[1:]
		}
		if len(piece) == 0 {
			return
		}
		switch {
		case piece[0] == '{' || piece[0] == '[':
			r.form = formTexts
		default:
			r.form, r.plain = formEvents, !beginsEvents(piece)
		}
	}
	if r.form == formTexts {
		r.texts = piece
		return
	}
	if r.plain {
		r.text = append(r.text, piece[:min(len(piece), maxPlain-len(r.text))]...)
	}
	r.Decoder.Feed(piece)
}

// insignificant reports whether c says nothing at the beginning: white space, and the
// bytes of a byte order mark.
func insignificant(c byte) bool {
	switch c {
	case ' ', '\t', '\r', '\n', 0xef, 0xbb, 0xbf:
		return true
	}
	return false
}

// beginsEvents reports whether the first piece is clearly that of server-sent events.
func beginsEvents(piece []byte) bool {
	if piece[0] == ':' {
		return true
	}
	name, _, ok := bytes.Cut(piece[:min(len(piece), len("event:"))], []byte{':'})
	if !ok {
		return false
	}
	switch string(name) {
	case "data", "event", "id", "retry":
		return true
	}
	return false
}

// Next returns the next whole event. See Decoder.Next.
func (r *Reply) Next() (e Event, ok bool) {
	switch r.form {
	case formTexts:
		return r.nextText()
	case formAfter:
		return r.nextAfter()
	}
	if e, ok = r.Decoder.Next(); ok && r.plain {
		r.plain, r.text = false, keep(r.text)
	}
	return e, ok
}

// nextText cuts JSON texts off the piece. The first is kept back until it is clear
// that it is not the whole reply.
func (r *Reply) nextText() (e Event, ok bool) {
	for {
		if r.given {
			r.given, r.text = false, keep(r.text)
		}
		if r.open {
			n, whole := r.scan.take(r.texts)
			if !r.held {
				r.text = append(r.text, r.texts[:n]...)
			}
			if r.texts = r.texts[n:]; !whole {
				return Event{}, false
			}
			switch r.open = false; {
			case r.held: // [DONE], or nothing that anybody knows
			case r.many:
				r.given = true
				return Event{Data: r.text}, true
			case string(r.text) == "[DONE]": // of nothing
				r.text = r.text[:0]
			default:
				r.held = true
			}
		}
		for len(r.texts) > 0 && (insignificant(r.texts[0]) || r.texts[0] == ',') {
			r.texts = r.texts[1:]
		}
		if len(r.texts) == 0 {
			return Event{}, false
		}
		if c := r.texts[0]; c != '{' && c != '[' {
			r.form = formAfter
			r.Decoder.Feed(r.texts)
			r.texts = nil
			return r.nextAfter()
		}
		if r.held && r.texts[0] == '{' {
			return r.release(), true
		}
		r.open, r.scan = true, jsonScan{}
	}
}

// release hands the JSON text out that was kept back.
func (r *Reply) release() Event {
	r.held, r.many, r.given = false, true, true
	return Event{Data: r.text}
}

// nextAfter reads what comes after a JSON text: [DONE] belongs to it, anything else
// makes it an event among others.
func (r *Reply) nextAfter() (e Event, ok bool) {
	if r.hasNext {
		r.hasNext = false
		return r.next, true
	}
	for {
		e, ok = r.Decoder.Next()
		switch {
		case !ok || !r.held:
			return e, ok
		case string(bytes.TrimSpace(e.Data)) == "[DONE]":
		default:
			r.next, r.hasNext = e, true
			return r.release(), true
		}
	}
}

// Finish returns what the end of the body leaves: the whole reply, if it was one text
// (Event.Whole), or the event that was cut off. It may be half of one.
func (r *Reply) Finish() (e Event, ok bool) {
	switch {
	case r.form == formTexts && r.open && r.many:
		r.given, r.open = true, false
		return Event{Data: r.text}, true
	case r.held, r.form == formTexts && r.open:
		r.held, r.open, r.given = false, false, true
		return Event{Data: r.text, Whole: true}, true
	case r.form == formTexts:
		return Event{}, false
	}
	if e, ok = r.Decoder.Finish(); ok || !r.plain || r.Err() != nil {
		return e, ok
	}
	r.plain = false
	return Event{Data: r.text, Whole: true}, true
}

// jsonScan finds the end of a JSON object or array. It trusts that it is one.
type jsonScan struct {
	depth   int
	inside  bool // a string
	escaped bool // the byte after a backslash comes next
}

// take goes on with the next piece. n is how much of it belongs to the value.
func (s *jsonScan) take(p []byte) (n int, whole bool) {
	for i, c := range p {
		switch {
		case s.escaped:
			s.escaped = false
		case s.inside:
			switch c {
			case '"':
				s.inside = false
			case '\\':
				s.escaped = true
			}
		case c == '"':
			s.inside = true
		case c == '{' || c == '[':
			s.depth++
		case c == '}' || c == ']':
			if s.depth--; s.depth == 0 {
				return i + 1, true
			}
		}
	}
	return len(p), false
}
