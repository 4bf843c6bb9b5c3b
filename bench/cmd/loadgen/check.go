package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/antiphon-proxy/antiphon/bench/internal/jscan"
)

// want is what a good reply carries.
type want struct {
	text, tools, toolBytes int // sizes; text -1: any
	users                  int // user messages the model saw; -1: do not check
	reasoning              bool
	usage                  [2]int // input and output tokens; zero: do not check
}

// got is what a reply carried.
type got struct {
	id                     string
	text, tools, toolBytes int
	head                   []byte // where the text begins
}

const headBytes = len("u=000000;")

func (g *got) addHead(raw []byte) {
	if n := headBytes - len(g.head); n > 0 {
		s := jscan.Raw(raw)
		g.head = append(g.head, s[:min(n, len(s))]...)
	}
}

func (g *got) check(w want) error {
	switch {
	case w.text >= 0 && g.text != w.text:
		return fmt.Errorf("text of %d bytes, want %d", g.text, w.text)
	case w.text >= 0 && g.tools != w.tools:
		return fmt.Errorf("%d tool calls, want %d", g.tools, w.tools)
	case w.text >= 0 && g.toolBytes != w.tools*w.toolBytes:
		return fmt.Errorf("tool arguments of %d bytes, want %d", g.toolBytes, w.tools*w.toolBytes)
	}
	if w.users >= 0 && w.text >= headBytes {
		if n, err := strconv.Atoi(string(bytes.TrimRight(bytes.TrimPrefix(g.head, []byte("u=")), ";"))); err != nil {
			return fmt.Errorf("the text does not begin as the model sent it")
		} else if n != w.users {
			return fmt.Errorf("the model saw %d user messages, want %d", n, w.users)
		}
	}
	return nil
}

// readResponse takes a Response object apart.
func readResponse(b []byte) (g got, err error) {
	status := ""
	jscan.Object(b, func(key, val []byte) bool {
		switch string(key) {
		case "id":
			g.id = string(jscan.Raw(val))
		case "status":
			status = string(jscan.Raw(val))
		case "output":
			jscan.Array(val, g.addItem)
		}
		return true
	})
	if status != "completed" {
		return g, fmt.Errorf("status %q", status)
	}
	return g, nil
}

func (g *got) addItem(item []byte) {
	var kind string
	var content, arguments []byte
	jscan.Object(item, func(key, val []byte) bool {
		switch string(key) {
		case "type":
			kind = string(jscan.Raw(val))
		case "content":
			content = val
		case "arguments":
			arguments = val
		}
		return true
	})
	switch kind {
	case "message":
		jscan.Array(content, func(part []byte) {
			if text := jscan.Get(part, "text"); text != nil {
				g.addHead(text)
				g.text += jscan.Len(text)
			}
		})
	case "function_call":
		g.tools++
		g.toolBytes += jscan.Len(arguments)
	}
}

// readChat takes a chat completion apart.
func readChat(b []byte) (g got, err error) {
	g.id = string(jscan.Raw(jscan.Get(b, "id")))
	message := jscan.Get(b, "choices", "message")
	if message == nil {
		return g, errors.New("no message")
	}
	if text := jscan.Get(message, "content"); jscan.IsString(text) {
		g.addHead(text)
		g.text = jscan.Len(text)
	}
	jscan.Array(jscan.Get(message, "tool_calls"), func(call []byte) {
		g.tools++
		g.toolBytes += jscan.Len(jscan.Get(call, "function", "arguments"))
	})
	return g, nil
}

// event is one server-sent event.
type event struct{ name, data []byte }

// stream reads one streamed reply, event by event.
type stream struct {
	got
	chat   bool
	events int
	final  got
	done   bool
	err    error
	stamps func(time.Time) // is told the times found in the text; may be nil
	keep   bool            // keep the events, for conformance
	kept   []keptEvent
}

type keptEvent struct{ name, data string }

// event takes one event in, and reports whether it carried generated output.
func (s *stream) event(e event) (delta bool) {
	s.events++
	if s.keep {
		s.kept = append(s.kept, keptEvent{string(e.name), string(e.data)})
	}
	if s.chat {
		return s.chatEvent(e.data)
	}
	kind := e.name
	var response, text []byte
	jscan.Object(e.data, func(key, val []byte) bool {
		switch string(key) {
		case "type":
			kind = jscan.Raw(val)
		case "delta":
			text = val
		case "response":
			response = val
		}
		return text == nil || len(kind) == 0
	})
	switch string(kind) {
	case "response.output_text.delta":
		s.addHead(text)
		s.text += jscan.Len(text)
		s.findStamps(text)
		return true
	case "response.function_call_arguments.delta":
		s.toolBytes += jscan.Len(text)
		return true
	case "response.reasoning_text.delta", "response.reasoning_summary_text.delta":
		return true
	case "response.output_item.added":
		if string(jscan.Raw(jscan.Get(e.data, "item", "type"))) == "function_call" {
			s.tools++
		}
	case "response.completed":
		s.final, s.err = readResponse(response)
		s.id, s.done = s.final.id, true
	case "response.failed", "response.incomplete", "error":
		s.err = fmt.Errorf("event %s", kind)
	}
	return false
}

func (s *stream) chatEvent(data []byte) (delta bool) {
	if string(data) == "[DONE]" {
		s.done = true
		return false
	}
	d := jscan.Get(data, "choices", "delta")
	jscan.Object(d, func(key, val []byte) bool {
		switch string(key) {
		case "content":
			if n := jscan.Len(val); n > 0 {
				s.addHead(val)
				s.text += n
				s.findStamps(val)
				delta = true
			}
		case "reasoning_content", "reasoning":
			delta = delta || jscan.Len(val) > 0
		case "tool_calls":
			jscan.Array(val, func(call []byte) {
				if jscan.Get(call, "id") != nil {
					s.tools++
				}
				s.toolBytes += jscan.Len(jscan.Get(call, "function", "arguments"))
			})
			delta = true
		}
		return true
	})
	if s.id == "" {
		s.id = string(jscan.Raw(jscan.Get(data, "id")))
	}
	if bytes.HasPrefix(data, []byte(`{"error"`)) {
		s.err = errors.New("event with an error")
	}
	return delta
}

func (s *stream) findStamps(text []byte) {
	const digits = 19
	for s.stamps != nil {
		i := bytes.IndexByte(text, '@')
		if i < 0 || len(text) <= i+digits {
			return
		}
		if ns, err := strconv.ParseInt(string(text[i+1:i+1+digits]), 10, 64); err == nil {
			s.stamps(time.Unix(0, ns))
		}
		text = text[i+1:]
	}
}

// end judges the reply as a whole.
func (s *stream) end(w want) error {
	switch {
	case s.err != nil:
		return s.err
	case !s.done && s.chat:
		return errors.New("the stream ended without [DONE]")
	case !s.done:
		return errors.New("the stream ended without response.completed")
	}
	return s.check(w)
}

// splitter cuts a byte stream into server-sent events.
type splitter struct {
	rest       []byte // a line not yet complete
	name, data []byte
	any        bool
}

func (p *splitter) reset() {
	p.rest, p.name, p.data, p.any = p.rest[:0], p.name[:0], p.data[:0], false
}

// feed calls f with each event that b completes.
func (p *splitter) feed(b []byte, f func(event)) {
	for len(b) > 0 {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			p.rest = append(p.rest, b...)
			return
		}
		line := b[:i]
		b = b[i+1:]
		if len(p.rest) > 0 {
			p.rest = append(p.rest, line...)
			line = p.rest
		}
		p.line(bytes.TrimSuffix(line, []byte("\r")), f)
		p.rest = p.rest[:0]
	}
}

func (p *splitter) line(line []byte, f func(event)) {
	if len(line) == 0 {
		if p.any {
			f(event{p.name, p.data})
		}
		p.name, p.data, p.any = p.name[:0], p.data[:0], false
		return
	}
	field, val, _ := bytes.Cut(line, []byte(":"))
	val = bytes.TrimPrefix(val, []byte(" "))
	switch string(field) {
	case "event":
		p.name = append(p.name[:0], val...)
	case "data":
		if p.any {
			p.data = append(p.data, '\n')
		}
		p.data = append(p.data, val...)
		p.any = true
	}
}

// brief makes an error short enough to count by.
func brief(err error) string {
	s := strings.Join(strings.Fields(err.Error()), " ")
	if i := strings.Index(s, "->"); i >= 0 { // drop the port numbers of a connection
		if j := strings.Index(s[i:], ": "); j >= 0 {
			s = "connection" + s[i+j:]
		}
	}
	return s[:min(len(s), 160)]
}
