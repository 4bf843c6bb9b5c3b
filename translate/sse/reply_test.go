package sse

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// runReply feeds the pieces and writes down what comes of them.
func runReply(r *Reply, pieces ...string) (out []string) {
	for _, p := range pieces {
		piece := []byte(p)
		r.Feed(piece)
		for e, ok := r.Next(); ok; e, ok = r.Next() {
			out = append(out, fmt.Sprintf("%s|%s", e.Name, e.Data))
		}
		for i := range piece {
			piece[i] = 'X' // the reader may keep nothing of it
		}
	}
	switch e, ok := r.Finish(); {
	case ok && e.Whole:
		out = append(out, "whole|"+string(e.Data))
	case ok:
		out = append(out, "unfinished|"+string(e.Data))
	}
	return out
}

func TestReply(t *testing.T) {
	f := func(body string, want ...string) {
		t.Helper()
		if got := runReply(new(Reply), body); !slices.Equal(got, want) {
			t.Errorf("%q:\n got %q\nwant %q", body, got, want)
		}
		var r Reply
		for i := range len(body) {
			if got := runReply(&r, body[:i], body[i:]); !slices.Equal(got, want) {
				t.Errorf("%q cut at %d:\n got %q\nwant %q", body, i, got, want)
			}
			r.Reset()
		}
		if got := runReply(&r, strings.Split(body, "")...); !slices.Equal(got, want) {
			t.Errorf("%q, byte by byte:\n got %q\nwant %q", body, got, want)
		}
	}
	f("")
	f(" \r\n")
	f("data: a\n\nevent: x\ndata: b\n\n", "|a", "x|b")
	f("data: {\"a\":1}\n\n{\"error\":1}\n", `|{"a":1}`, `|{"error":1}`)
	f("\ufeff\n data: a\n\n", "|a")
	f(": c\n\ndata: a\n\ndata: [DONE]\n\n", "|a", "|[DONE]")
	f("x-proxy: 1\ndata: a\n\n", "|a")

	f(`{"a":"}\"{"}`, `whole|{"a":"}\"{"}`)
	f("\ufeff\n {\"a\":[1,{}]}\n", `whole|{"a":[1,{}]}`)
	f("{\n \"a\": 1\n}\n", "whole|{\n \"a\": 1\n}")
	f(`[{"a":1}]`, `whole|[{"a":1}]`)
	f(`{"a":`, `whole|{"a":`)
	f("{\"a\":1}\n\ndata: [DONE]\n\n", `whole|{"a":1}`)
	f("{\"a\":1}\ndata: [DONE]", `whole|{"a":1}`)
	f("{\"a\":1}\n[DONE]\n", `whole|{"a":1}`)

	f("{\"a\":1}\n{\"a\":2}\r\n{\"a\":3}\n[DONE]\n", `|{"a":1}`, `|{"a":2}`, `|{"a":3}`, "|[DONE]")
	f("{\"a\":1}{\"a\":2}{\"a\"", `|{"a":1}`, `|{"a":2}`, `unfinished|{"a"`)
	f("{\"a\":1}\n{\"a\":2}\ndata: [DONE]\n\n", `|{"a":1}`, `|{"a":2}`, "|[DONE]")
	f("{\"a\":1}\ndata: {\"a\":2}\n\ndata: [DONE]\n\n", `|{"a":1}`, `|{"a":2}`, "|[DONE]")

	f("<html>\n<p>data: none</p></html>", "whole|<html>\n<p>data: none</p></html>")
	f("error: no room\n", "whole|error: no room\n")
	f("upstream connect error", "whole|upstream connect error")
	f("data", "unfinished|")
}

func TestReplyBounds(t *testing.T) {
	var r Reply
	got := runReply(&r, strings.Repeat("words ", 1000), strings.Repeat("words ", 1000))
	if len(got) != 1 || len(got[0]) != len("whole|")+maxPlain {
		t.Errorf("of text without end %d bytes are kept", len(got[0]))
	}
	runReply(&r, "{"+strings.Repeat(" ", 1<<20))
	if r.Reset(); cap(r.text) > 64<<10 {
		t.Error("a large buffer is kept")
	}
}

// FuzzReply: the pieces never show, and events alone are those of a Decoder.
func FuzzReply(f *testing.F) {
	f.Add("data: a\n\nevent: x\r\ndata: b\r\n\r\n", uint64(1))
	f.Add("{\"a\":1}\n{\"a\":2}\ndata: [DONE]\n\n", uint64(2))
	f.Add("\ufeff[1]\ndata: [DONE]\n\n", uint64(3))
	f.Fuzz(func(t *testing.T, body string, seed uint64) {
		want := runReply(new(Reply), body)
		if strings.HasPrefix(body, "data:") {
			events := run(new(Decoder), body)
			for i, e := range events {
				events[i] = strings.Replace(e, "unfinished:", "", 1)
			}
			if len(events) != len(want) {
				t.Fatalf("%q:\n got %q\nwant %q", body, want, events)
			}
		}
		r := rand.New(rand.NewPCG(seed, 0))
		var pieces []string
		for rest := body; rest != ""; {
			n := 1 + r.IntN(min(len(rest), 8))
			pieces = append(pieces, rest[:n])
			rest = rest[n:]
		}
		if got := runReply(new(Reply), pieces...); !slices.Equal(got, want) {
			t.Fatalf("%q in pieces %q:\n got %q\nwant %q", body, pieces, got, want)
		}
	})
}
