package jsonx

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

func TestParseAccepts(t *testing.T) {
	f := func(src string) {
		t.Helper()
		var d Doc
		if err := d.Parse([]byte(src), Limits{}); err != nil {
			t.Errorf("%s: %v", src, err)
		}
	}
	f(`null`)
	f(` [ ] `)
	f("{\r\n\t}")
	f(`{"a":{"b":[1,2.5,-3e+7,0,-0,1E9]},"c":"\u00e9\n\"","d":[[],{},[{}]]}`)
	f(`"日本語 😀"`)
	f(`"\ud83d\ude00"`)
	f(`"\ud800"`) // mended or left to the caller
	f(`{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"j":1,"k":1,"l":1,"m":1,"n":1}`)
	f(strings.Repeat("[", DefaultDepth) + strings.Repeat("]", DefaultDepth))
	f(`{"":1}`)
}

func TestParseRefuses(t *testing.T) {
	f := func(src string, reason Reason, offset int) {
		t.Helper()
		var d Doc
		err := d.Parse([]byte(src), Limits{})
		switch {
		case err == nil:
			t.Errorf("%q was accepted", src)
		case err.Reason != reason || err.Offset != offset:
			t.Errorf("%q: reason %d at %d (%v), want %d at %d", src, err.Reason, err.Offset, err, reason, offset)
		case d.Kind(Root) != Missing:
			t.Errorf("%q: nodes are left after an error", src)
		}
	}
	f(``, Malformed, 0)
	f(`  `, Malformed, 2)
	f(`{"a":1`, Malformed, 6)
	f(`{"a":tru}`, Malformed, 5)
	f(`{"a":01}`, Malformed, 7)
	f(`{"a":NaN}`, Malformed, 5)
	f(`{"a":+1}`, Malformed, 5)
	f(`{"a":.5}`, Malformed, 5)
	f(`{"a":1.}`, Malformed, 7)
	f(`{"a":1e}`, Malformed, 7)
	f("\ufeff{}", Malformed, 0)
	f(`{} {}`, Malformed, 3)
	f(`{"a":1,}`, Malformed, 7)
	f(`[1,]`, Malformed, 3)
	f(`[1 2]`, Malformed, 3)
	f(`{"a" 1}`, Malformed, 5)
	f(`{a:1}`, Malformed, 1)
	f(`{'a':1}`, Malformed, 1)
	f(`[}`, Malformed, 1)
	f(`{]`, Malformed, 1)
	f(`["a\x"]`, Malformed, 3)
	f(`["\u12g4"]`, Malformed, 2)
	f("[\"a\nb\"]", Malformed, 3)
	f("[\"a\x00\"]", Malformed, 3)
	f(`["abc`, Malformed, 5)
	f("[1]\x00", Malformed, 3)
	f(`{"a":1,"a":2}`, DuplicateKey, 7)
	f(`{"a":1,"\u0061":2}`, DuplicateKey, 7)
	f(`[{"x":{"b":1,"c":2,"b":3}}]`, DuplicateKey, 19)
	f(`{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"j":1,"k":1,"l":1,"m":1,"a":1}`, DuplicateKey, 79)
	f(`{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"j":1,"k":1,"l":1,"m":1,"\u0061":1}`, DuplicateKey, 79)
	f(`{"a":1,"b":1,"\u0063":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"j":1,"k":1,"l":1,"m":1,"c":1}`, DuplicateKey, 84)
	f("[\"a\xff\"]", InvalidUTF8, 3)
	f("[\"\xc0\x80\"]", InvalidUTF8, 2)
	f("[\"\xed\xa0\x80\"]", InvalidUTF8, 2) // a surrogate in UTF-8
	f("{\"\xff\":1}", InvalidUTF8, 2)
	f(strings.Repeat("[", DefaultDepth+1), TooDeep, DefaultDepth)
	f("["+strings.Repeat("9", 1001)+"]", TooLong, 1)
}

func TestParseLimits(t *testing.T) {
	var d Doc
	if err := d.Parse([]byte(`[1,2,3]`), Limits{Values: 3}); err == nil || err.Reason != TooMany {
		t.Errorf("4 values passed a limit of 3: %v", err)
	}
	if err := d.Parse([]byte(`[[1]]`), Limits{Depth: 1}); err == nil || err.Reason != TooDeep {
		t.Errorf("2 levels passed a limit of 1: %v", err)
	}
	// What stack overflows are made of.
	deep := bytes.Repeat([]byte("["), 8<<20)
	if err := d.Parse(deep, Limits{}); err == nil || err.Reason != TooDeep {
		t.Errorf("8 M levels: %v", err)
	}
	// A million keys in one object are compared in linear time.
	var b strings.Builder
	b.WriteString("{")
	for i := range 200_000 {
		fmt.Fprintf(&b, `"k%d":0,`, i)
	}
	b.WriteString(`"z":0}`)
	if err := d.Parse([]byte(b.String()), Limits{}); err != nil {
		t.Error(err)
	}
	d.Reset()
	if cap(d.nodes) > maxKept || cap(d.table) > maxKept {
		t.Error("memory of an unusually large document is kept")
	}
}

// TestSwap: documents share memory by turns.
func TestSwap(t *testing.T) {
	var docs [3]Doc
	var m Memory
	wide := []byte(`{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"j":1,"k":1,"l":1,"m":[1,2,3]}`)
	for round := range 9 {
		d := &docs[round%3]
		d.Swap(&m)
		if had := cap(d.nodes) > 0; had != (round > 0) {
			t.Errorf("round %d: there is memory: %v", round, had)
		}
		src := bytes.ReplaceAll(wide, []byte{'1'}, strconv.AppendInt(nil, int64(round), 10))
		if err := d.Parse(src, Limits{}); err != nil {
			t.Fatal(err)
		}
		if n, ok := d.Int(d.Get(Root, "g")); !ok || n != int64(round) {
			t.Errorf("round %d: %d", round, n)
		}
		if d.Swap(&m); d.nodes != nil || d.src != nil || d.table != nil {
			t.Errorf("round %d: the document keeps something", round)
		}
	}
}

func TestMend(t *testing.T) {
	f := func(in, want string, mended int) {
		t.Helper()
		var d Doc
		src := []byte(in)
		if err := d.Parse(src, Limits{Mend: true}); err != nil {
			t.Fatal(err)
		}
		if string(src) != want || d.Mended != mended {
			t.Errorf("%s became %s (%d mended), want %s (%d)", in, src, d.Mended, want, mended)
		}
	}
	f(`"\ud83d\ude00"`, `"\ud83d\ude00"`, 0)
	f(`"\ud83d"`, `"\ufffd"`, 1)
	f(`"\ude00\ud83d"`, `"\ufffd\ufffd"`, 2)
	f(`"\ud83d\ud83d\ude00"`, `"\ufffd\ud83d\ude00"`, 1)
	f(`{"\ud83dx":"\\ud83d"}`, `{"\ufffdx":"\\ud83d"}`, 1)
}

func TestSplitsSurrogate(t *testing.T) {
	f := func(raw string, at int, want bool) {
		t.Helper()
		if got, ok := SplitsSurrogate([]byte(raw)); ok != want || ok && got != at {
			t.Errorf("%s: %d %v, want %d %v", raw, got, ok, at, want)
		}
	}
	f(`ab\ud83d`, 2, true)
	f(`\ud83d`, 0, true)
	f(`\\ud83d`, 0, false)
	f(`\\\ud83d`, 2, true)
	f(`\ude00`, 0, false)
	f(`\ud83d\ude00`, 0, false)
	f(`ud83d`, 0, false)
	f(``, 0, false)
}

func TestWalk(t *testing.T) {
	var d Doc
	src := `{"s":"a\tb","n":-12,"big":123456789012345678901,"o":{"k":[true,false,null]},"\u0065":0.5}`
	if err := d.Parse([]byte(src), Limits{}); err != nil {
		t.Fatal(err)
	}
	if d.Text(d.Get(Root, "s")) != "a\tb" || !d.Is(d.Get(Root, "s"), "a\tb") {
		t.Error("s")
	}
	if v, ok := d.Int(d.Get(Root, "n")); v != -12 || !ok {
		t.Error("n")
	}
	if _, ok := d.Int(d.Get(Root, "big")); ok || !d.IsInteger(d.Get(Root, "big")) {
		t.Error("big")
	}
	if d.Float(d.Get(Root, "e")) != 0.5 {
		t.Error("an escaped key is not found")
	}
	if d.Get(Root, "x") != 0 || d.Get(d.Get(Root, "n"), "x") != 0 || d.Len(Root) != 5 {
		t.Error("absent members")
	}
	k := d.Get(d.Get(Root, "o"), "k")
	var kinds []Kind
	for v, end := d.First(k), d.End(k); v < end; v = d.Next(v) {
		kinds = append(kinds, d.Kind(v))
	}
	if fmt.Sprint(kinds) != fmt.Sprint([]Kind{True, False, Null}) || d.Len(k) != 3 {
		t.Error(kinds)
	}
}

func TestAppendString(t *testing.T) {
	for _, s := range []string{"", "a", "<a>&\"\\/\b\f\n\r\t\x00\x1f\x7f", "日本\xff語", "😀", "\u2028"} {
		got := AppendString(nil, s)
		var back string
		if err := json.Unmarshal(got, &back); err != nil {
			t.Fatalf("%q: %v", got, err)
		}
		if want := strings.ToValidUTF8(s, "\ufffd"); back != want {
			t.Errorf("%q became %q", s, back)
		}
		if string(AppendUnescaped(nil, got[1:len(got)-1])) != back {
			t.Errorf("%q does not unescape", got)
		}
		if string(AppendString(nil, []byte(s))) != string(got) {
			t.Errorf("%q differs as bytes", s)
		}
	}
}

func TestSetString(t *testing.T) {
	got, err := SetString([]byte(`{"model":"a","x.y":1}`), "x.y", "b")
	if err != nil || string(got) != `{"model":"a","x.y":"b"}` {
		t.Errorf("%s %v", got, err)
	}
	if Lookup(got, "x.y").String() != "b" || Lookup(got, "x", "y").Exists() {
		t.Error("a key was taken for a path")
	}
}

// oracle is another reader's verdict: jsontext, which refuses duplicate keys
// and bad UTF-8 too.
func oracle(src []byte) bool {
	d := jsontext.NewDecoder(bytes.NewReader(src))
	if err := d.SkipValue(); err != nil {
		return false
	}
	_, err := d.ReadToken()
	return err != nil && err.Error() == "EOF"
}

func depth(src []byte) (most int) {
	d := jsontext.NewDecoder(bytes.NewReader(src))
	for {
		if _, err := d.ReadToken(); err != nil {
			return most
		}
		most = max(most, d.StackDepth())
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`{"a":[1,2,{"b":"c\n\u00e9"}],"d":null}`, `"\ud800\udc00"`, "[\"\xff\"]", `{"a":1,"a":1}`,
		`{"\u0061":1,"a":2}`, "[1,\n 2]", `-0.5e-7`, strings.Repeat("[", 130), `"` + strings.Repeat("x", 70) + `\`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		src = bytes.Clone(src)
		before := bytes.Clone(src)
		var d Doc
		err := d.Parse(src, Limits{Mend: true})
		if err != nil {
			if err.Reason == TooDeep || err.Reason == TooLong {
				return
			}
			if oracle(src) {
				t.Fatalf("%q refused: %v", before, err)
			}
			return
		}
		if !oracle(src) {
			t.Fatalf("%q accepted", before)
		}
		if len(src) != len(before) || d.Mended == 0 && !bytes.Equal(src, before) {
			t.Fatalf("%q was changed to %q", before, src)
		}
		if got := d.maxDepth(Root); got != depth(src) && !(got == 0) {
			t.Fatalf("%q: depth %d, want %d", src, got, depth(src))
		}
		// Compacting the root must equal what jsontext makes of it, and mean the same.
		compact := AppendCompact(nil, d.Raw(Root))
		want := jsontext.Value(bytes.Clone(src))
		if err := want.Compact(jsontext.PreserveRawStrings(true)); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(compact, want) {
			t.Fatalf("%q compacted is %q, want %q", src, compact, want)
		}
		d.check(t, Root, want)
	})
}

// maxDepth and check walk a document through the exported methods.
func (d *Doc) maxDepth(n uint32) int {
	most := 0
	switch d.Kind(n) {
	case Array:
		for v := d.First(n); v < d.End(n); v = d.Next(v) {
			most = max(most, d.maxDepth(v))
		}
	case Object:
		for k := d.First(n); k < d.End(n); k = d.Next(k + 1) {
			most = max(most, d.maxDepth(k+1))
		}
	default:
		return 0
	}
	return most + 1
}

func (d *Doc) check(t *testing.T, n uint32, raw []byte) {
	var want any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&want); err != nil {
		t.Fatal(err)
	}
	if got := d.value(n); fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", want) {
		t.Fatalf("%q: walked %#v, want %#v", raw, got, want)
	}
}

func (d *Doc) value(n uint32) any {
	switch d.Kind(n) {
	case True:
		return true
	case False:
		return false
	case Number:
		return json.Number(d.Raw(n))
	case String:
		return d.Text(n)
	case Array:
		out := []any{}
		for v := d.First(n); v < d.End(n); v = d.Next(v) {
			out = append(out, d.value(v))
		}
		return out
	case Object:
		out := map[string]any{}
		for k := d.First(n); k < d.End(n); k = d.Next(k + 1) {
			out[d.Text(k)] = d.value(k + 1)
		}
		return out
	}
	return nil
}

func FuzzAppendString(f *testing.F) {
	f.Add("a\"\\\n\x00\xff日😀")
	f.Fuzz(func(t *testing.T, s string) {
		got := AppendString(nil, s)
		var back string
		if err := json.Unmarshal(got, &back); err != nil || back != strings.ToValidUTF8(s, "\ufffd") && strings.ToValidUTF8(s, "") == s {
			t.Fatalf("%q → %q → %q (%v)", s, got, back, err)
		}
		end, kind, ok := ScanString(got, 1)
		if !ok || end != len(got)-1 || kind&BadUTF8 != 0 {
			t.Fatalf("%q is not scanned to its end", got)
		}
	})
}

func benchBody(n int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"model":"m","input":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"type":"message","role":"user","content":[{"type":"input_text","text":%q}]}`,
			strings.Repeat("the quick brown fox jumps over the lazy dog and runs on ", 18)[:1000])
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

func BenchmarkParse64KB(b *testing.B) {
	body := benchBody(60)
	var d Doc
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if err := d.Parse(body, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseChunk(b *testing.B) {
	body := []byte(`{"id":"chatcmpl-000000000000","object":"chat.completion.chunk","created":1700000000,"model":"fake","choices":[{"index":0,"delta":{"content":"the quick brown fox"},"logprobs":null,"finish_reason":null}],"usage":null}`)
	var d Doc
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if err := d.Parse(body, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseText(b *testing.B) {
	for name, text := range map[string]string{
		"ascii": "the quick brown fox ", "escapes": `say \"hi\"\n and `, "cyrillic": "съешь ещё этих мягких ", "cjk": "天地玄黃宇宙洪荒",
	} {
		b.Run(name, func(b *testing.B) {
			body := []byte(`"` + strings.Repeat(text, 64<<10/len(text)) + `"`)
			var d Doc
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				if err := d.Parse(body, Limits{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
