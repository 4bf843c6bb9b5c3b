package translate

import (
	"strings"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// Truncate makes a chat request shorter, for truncation "auto" after a backend
// has said that its context is full: it leaves out the oldest turns. A turn is
// what a user message begins, with the answers, calls and results after it, so
// calls and their results stay together. The system messages at the head and
// the last turn always stay.
//
// overflow is the backend's error: if it says how long the request was and how
// long it may be, that much is cut, else half of what can go. It appends the new
// request to dst and returns how many messages were left out; 0 means that
// nothing can go.
func Truncate(dst, chat []byte, overflow *Error) (shorter []byte, dropped int) {
	var d jsonx.Doc
	if d.Parse(chat, jsonx.Limits{Depth: 1 << 10, Values: 1 << 30}) != nil {
		return dst, 0
	}
	messages := d.Get(jsonx.Root, "messages")
	if d.Kind(messages) != jsonx.Array {
		return dst, 0
	}
	type turn struct {
		from, to int // bytes of chat
		messages int
	}
	var turns []turn
	head := -1 // where the first turn begins
	for v, end := d.First(messages), d.End(messages); v < end; v = d.Next(v) {
		from, to := d.Span(v)
		role := d.Get(v, "role")
		system := d.Is(role, "system") || d.Is(role, "developer")
		switch {
		case len(turns) == 0 && system:
			continue
		case len(turns) == 0, d.Is(role, "user") && !picturesOnly(&d, v):
			if head < 0 {
				head = from
			}
			turns = append(turns, turn{from: from})
		}
		last := &turns[len(turns)-1]
		last.to = to
		last.messages++
	}
	if len(turns) < 2 {
		return dst, 0
	}
	last := turns[len(turns)-1]
	spare := last.from - head // bytes that can go
	want := spare / 2
	if asked, limit, ok := overflowSizes(overflow); ok {
		// Leave a tenth of the context for the answer.
		keep := float64(limit) * 0.9 / float64(asked)
		want = min(max(int(float64(len(chat))*(1-keep)), 1), spare)
	}
	cut := head
	for _, t := range turns[:len(turns)-1] {
		if cut-head >= want && dropped > 0 {
			break
		}
		dropped += t.messages
		cut = t.to + 1 // and the comma
	}
	dst = append(dst, chat[:head]...)
	for cut < len(chat) && (chat[cut] <= ' ' || chat[cut] == ',') {
		cut++
	}
	return append(dst, chat[cut:]...), dropped
}

// picturesOnly reports whether a user message is the one that messages.illustrate
// writes after tool results, and nothing that the user said was merged into it:
// it belongs to the turn before.
func picturesOnly(d *jsonx.Doc, message uint32) bool {
	content := d.Get(message, "content")
	if d.Kind(content) != jsonx.Array || d.Len(content) == 0 {
		return false
	}
	for v, end := d.First(content), d.End(content); v < end; v = d.Next(v) {
		text := d.GetString(v, "text")
		if v == d.First(content) && text == 0 || text != 0 && !strings.HasPrefix(d.Text(text), outputOf) {
			return false
		}
	}
	return true
}

// overflowSizes finds out from an error how many tokens were asked for, and how
// many there may be.
func overflowSizes(e *Error) (asked, limit int64, ok bool) {
	if e == nil {
		return 0, 0, false
	}
	var sizes []int64
	for _, v := range numbersIn([]byte(e.Message)) {
		if v >= 64 {
			sizes = append(sizes, v)
		}
	}
	if len(sizes) < 2 {
		return 0, 0, false
	}
	// Messages name the two sizes first, in either order, and then what they are
	// made of.
	asked, limit = max(sizes[0], sizes[1]), min(sizes[0], sizes[1])
	return asked, limit, asked > limit
}

// NoteTruncation reports in the loss report that turns were left out.
func NoteTruncation(l *Losses, dropped int) {
	l.add(ruleTruncated, "input", string(appendInt(nil, dropped))+" messages")
}
