package streamcheck

import (
	"bytes"
	"strings"
)

// frames cuts the stream into events and hands each to event. The form is stricter than what SSE permits: one event:
// line, one data: line, one blank line. Clients in the field split on exactly that; and a server that keeps to one form
// has no reason to produce another. After a fault the reading goes on as a lenient client would, so that one fault is
// reported once.
func (c *checker) frames(raw []byte) {
	f := framer{checker: c}
	for len(raw) > 0 {
		line, rest, whole := bytes.Cut(raw, []byte("\n"))
		raw = rest
		if bytes.IndexByte(line, '\r') >= 0 {
			c.fail(SSECR, "lines must end with a single line feed, a carriage return was found")
			line = bytes.ReplaceAll(line, []byte("\r"), nil)
		}
		if !whole {
			c.fail(SSETruncated, "the stream ends in the middle of a line")
			f.truncated = true
		}
		f.line(line)
	}
	f.end()
}

// framer holds the event under construction.
type framer struct {
	*checker
	name          string
	data          []byte
	named, filled bool
	afterComment  bool // a comment may be closed by a blank line of its own
	truncated     bool
}

func (f *framer) line(line []byte) {
	switch {
	case len(line) == 0:
		f.blank()
	case line[0] == ':':
		if f.named || f.filled {
			f.fail(SSEComment, "a comment must stand between events, not inside one")
		} else {
			f.afterComment = true
		}
	case bytes.HasPrefix(line, []byte("event: ")):
		f.afterComment = false
		if f.filled {
			f.fail(SSEBlankLine, "the blank line that ends an event is missing")
			f.dispatch()
		} else if f.named {
			f.fail(SSEEventLine, "an event must have one event: line, it has two")
		}
		f.name, f.named = string(line[len("event: "):]), true
	case bytes.HasPrefix(line, []byte("data: ")):
		f.afterComment = false
		payload := line[len("data: "):]
		switch isDone := string(payload) == "[DONE]"; {
		case f.filled:
			f.fail(SSEDataLine, "an event must have one data: line, it has two")
			return
		case !f.named && !isDone:
			f.fail(SSEEventLine, "an event must begin with its event: line")
		case f.named && isDone:
			f.fail(SSEEventLine, "data: [DONE] must stand alone, without an event: line")
		}
		f.data, f.filled = payload, true
	default:
		shown := &value{raw: line}
		f.fail(SSELine, "a line must be %q, %q, a comment or blank, it is %s", "event: …", "data: …", clip(shown))
	}
}

func (f *framer) blank() {
	switch {
	case f.filled:
		f.dispatch()
	case f.named:
		f.fail(SSEDataLine, "the event %s has no data: line", clipText(f.name))
		f.named = false
	case f.afterComment:
		f.afterComment = false
	default:
		f.fail(SSEBlankLine, "a blank line that ends nothing")
	}
}

// end reports an event that lacks its blank line: SSE clients discard it.
func (f *framer) end() {
	if !f.named && !f.filled {
		return
	}
	if !f.truncated {
		f.fail(SSETruncated, "the stream ends inside an event: the last blank line is missing")
	}
	if f.filled {
		f.dispatch()
	}
}

func (f *framer) dispatch() {
	name, data := f.name, f.data
	f.name, f.data, f.named, f.filled = "", nil, false, false
	if string(data) == "[DONE]" {
		f.doneMarker()
		return
	}
	f.event(name, data)
}

func (c *checker) doneMarker() {
	c.typ = "[DONE]"
	switch {
	case !c.opt.AllowDone && !c.opt.OpenResponses:
		c.fail(SSEDone, "a Responses stream ends with its terminal event, without data: [DONE]")
	case c.done:
		c.fail(SSEDone, "data: [DONE] occurs twice")
	case c.phase != ended:
		c.fail(SSEDone, "data: [DONE] comes before the terminal event")
	}
	c.done = true
}

// checkName compares the event: line with the type member. A missing event: line was reported by the framer.
func (c *checker) checkName(name, typ string) {
	if name != "" && name != typ {
		c.fail(SSEName, "the event: line says %s, the type member %s", clipText(name), clipText(strings.TrimSpace(typ)))
	}
}
