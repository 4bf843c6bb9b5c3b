package sse

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// run feeds the pieces and writes the events down.
func run(d *Decoder, pieces ...string) (out []string) {
	note := func(e Event) {
		out = append(out, fmt.Sprintf("%s|%s", e.Name, e.Data))
	}
	for _, p := range pieces {
		piece := []byte(p)
		d.Feed(piece)
		for e, ok := d.Next(); ok; e, ok = d.Next() {
			note(e)
		}
		for i := range piece {
			piece[i] = 'X' // the decoder may keep nothing of it
		}
	}
	if e, ok := d.Finish(); ok {
		note(Event{Name: e.Name, Data: append([]byte("unfinished:"), e.Data...)})
	}
	return out
}

func TestDecoder(t *testing.T) {
	f := func(stream string, want ...string) {
		t.Helper()
		if got := run(new(Decoder), stream); !slices.Equal(got, want) {
			t.Errorf("%q:\n got %q\nwant %q", stream, got, want)
		}
		bytewise := strings.Split(stream, "")
		if got := run(new(Decoder), bytewise...); !slices.Equal(got, want) {
			t.Errorf("%q, byte by byte:\n got %q\nwant %q", stream, got, want)
		}
		for i := range len(stream) {
			if got := run(new(Decoder), stream[:i], stream[i:]); !slices.Equal(got, want) {
				t.Errorf("%q cut at %d:\n got %q\nwant %q", stream, i, got, want)
			}
		}
	}
	f("")
	f("data: a\n\ndata: b\n\n", "|a", "|b")
	f("data:a\n\ndata:  b\n\n", "|a", "| b")
	f("data: a\r\n\r\ndata: b\r\n\r\n", "|a", "|b")
	f("data: a\r\rdata: b\r\r", "|a", "|b")
	f("data: a\r\n\ndata: b\n\r\n", "|a", "|b")
	f("event: x\ndata: a\n\ndata: b\n\n", "x|a", "|b")
	f("data: a\ndata: b\nevent: y\n\n", "y|a\nb")
	f("data\n\n", "|")
	f("data:\ndata:\n\n", "|\n")
	f(": comment\n\n:\n\ndata: a\n: inside\n\n", "|a")
	f("event: x\n\ndata: a\n\n", "|a")
	f("id: 1\nretry: 10\nunknown: z\ndata: a\n\n", "|a")
	f("\ufeffdata: a\n\n", "|a")
	f("\ufeff\ufeffdata: a\n\n")
	f("\xef\xbb\n\ndata: a\n\n", "|a")
	f("data: a\n", "|unfinished:a")
	f("data: a", "|unfinished:a")
	f("data: a\ndat", "|unfinished:a")
	f("event: x\nda")
	f(`{"error":{"message":"a: b"}}`, `|unfinished:{"error":{"message":"a: b"}}`)
	f("{\"error\":1}\n{\"error\":2}\ndata: a\n\n", `|{"error":1}`, `|{"error":2}`, "|a")
	f("data: a\n{\"error\":1}\n\n", "|a")
	f("data: a\n\nerror: {\"code\":500}\n\n", "|a", `error|{"code":500}`)
	f("error:\ndata: a\n\n", "|a")
	f("\n\n\n\ndata: a\n\n\n\n", "|a")
}

func TestDecoderBounds(t *testing.T) {
	f := func(max int, wantErr bool, pieces ...string) {
		t.Helper()
		d := &Decoder{MaxEvent: max}
		run(d, pieces...)
		if (d.Err() != nil) != wantErr {
			t.Errorf("%q with %d: error %v", pieces, max, d.Err())
		}
	}
	long := strings.Repeat("x", 100)
	f(100, true, "data: ", long)
	f(200, false, "data: ", long, "\n\n", "data: ", long, "\n\n")
	f(150, true, "data: "+long+"\n", "data: "+long)
	f(150, true, "data: "+long+"\ndata: "+long+"\n\n")
	f(10, false, "data: "+long+"\n\n") // never kept
	f(64, true, ": ", long)
}

func TestDecoderReset(t *testing.T) {
	var d Decoder
	run(&d, "event: x\ndata: a\r")
	d.Reset()
	if got := run(&d, "\n\ndata: b\n\n"); !slices.Equal(got, []string{"|b"}) {
		t.Errorf("got %q", got)
	}
	run(&d, "data: "+strings.Repeat("x", 1<<20))
	d.Reset()
	if cap(d.line) > 64<<10 {
		t.Error("a large buffer is kept")
	}
}

// TestDecoderSwap: decoders share scratch by turns; one that waits in an event keeps
// its own.
func TestDecoderSwap(t *testing.T) {
	var one, other Decoder
	var shared Scratch
	one.Swap(&shared)
	if got := run(&one, "data: a", "b\n", "\n"); len(got) != 1 {
		t.Errorf("%q", got)
	}
	if one.Swap(&shared); cap(shared.line)+cap(shared.data) == 0 || one.line != nil || one.data != nil {
		t.Error("nothing came back")
	}
	if run(&one, "data: "+strings.Repeat("a", 100<<10), "b\n\n"); cap(one.line)+cap(one.data) < 100<<10 {
		t.Error("nothing large was put together")
	}
	if one.Swap(&shared); cap(shared.line)+cap(shared.data) > 100<<10 {
		t.Error("large scratch is passed on")
	}
	one.Swap(&shared)
	other.Swap(&shared)
	for _, piece := range []string{"data: c", "d\n"} {
		other.Feed([]byte(piece))
		if e, ok := other.Next(); ok {
			t.Errorf("%q", e.Data)
		}
	}
	if other.Swap(&shared); shared.line != nil || shared.data != nil {
		t.Error("it has given away what it holds")
	}
	if got := run(&other, "data: e\n\n"); len(got) != 1 || !strings.Contains(got[0], "cd\ne") {
		t.Errorf("%q", got)
	}
}

// reference is a slow decoder written from the specification of server-sent
// events, with the two liberties of ours.
func reference(stream string) (out []string) {
	stream = strings.TrimPrefix(stream, "\ufeff")
	stream = strings.ReplaceAll(stream, "\r\n", "\n")
	stream = strings.ReplaceAll(stream, "\r", "\n")
	lines := strings.Split(stream, "\n")
	name, data, has := "", "", false
	for i, l := range lines {
		last := i == len(lines)-1
		switch {
		case l == "" && !last:
			if has {
				out = append(out, name+"|"+data)
			}
			name, data, has = "", "", false
		case strings.HasPrefix(l, "{") && !has:
			mark := ""
			if last {
				mark = "unfinished:"
			}
			out = append(out, name+"|"+mark+l)
			name = ""
		case strings.HasPrefix(l, ":"):
		default:
			field, value, _ := strings.Cut(l, ":")
			value = strings.TrimPrefix(value, " ")
			switch field {
			case "event":
				name = value
			case "data":
				if has {
					data += "\n"
				}
				data, has = data+value, true
			}
		}
	}
	if has {
		out = append(out, name+"|unfinished:"+data)
	}
	return out
}

func FuzzDecoder(f *testing.F) {
	f.Add("data: a\n\nevent: x\r\ndata: b\r\n\r\n", uint64(1))
	f.Add("\ufeffdata\rdata:c\r\r{\"error\":1}\n: c\n\ndata: x", uint64(2))
	f.Fuzz(func(t *testing.T, stream string, seed uint64) {
		want := reference(stream)
		if got := run(new(Decoder), stream); !slices.Equal(got, want) {
			t.Fatalf("%q:\n got %q\nwant %q", stream, got, want)
		}
		r := rand.New(rand.NewPCG(seed, 0))
		var pieces []string
		for rest := stream; rest != ""; {
			n := 1 + r.IntN(min(len(rest), 8))
			pieces = append(pieces, rest[:n])
			rest = rest[n:]
		}
		if got := run(new(Decoder), pieces...); !slices.Equal(got, want) {
			t.Fatalf("%q in pieces %q:\n got %q\nwant %q", stream, pieces, got, want)
		}
	})
}

func BenchmarkDecoder(b *testing.B) {
	one := `data: {"id":"chatcmpl-000000000000","object":"chat.completion.chunk","created":1700000000,"model":"fake","choices":[{"index":0,"delta":{"content":"the quick brown fox"},"logprobs":null,"finish_reason":null}],"usage":null}` + "\n\n"
	piece := []byte(strings.Repeat(one, 10))
	var d Decoder
	b.ReportAllocs()
	for b.Loop() {
		d.Feed(piece)
		for _, ok := d.Next(); ok; _, ok = d.Next() {
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10, "ns/event")
}
