package streamcheck

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestParseRefuses(t *testing.T) {
	f := func(src string) {
		t.Helper()
		if doc, err := parse([]byte(src)); err == nil {
			t.Errorf("%q is no JSON, it parsed as %v", src, doc.root.kind)
		}
	}
	for _, src := range []string{"", " ", "{", "[", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "{,}", `{"a"}`, `{"a":}`, `{"a":1,}`, `{a:1}`,
		`{"a":1 "b":2}`, "nul", "nulll", "tru", "True", "+1", "01", "-", "-a", "1.", ".5", "1e", "1e+", "0x1", "NaN", "'a'",
		`"`, `"a`, `"\`, `"\q"`, `"\u12"`, `"\u12g4"`, `"\u 123"`, "\"\n\"", "\"\x00\"", "1 1", "{}{}", "\ufeff1", `"\U0041"`} {
		f(src)
	}
	f(strings.Repeat("[", maxDepth+2) + strings.Repeat("]", maxDepth+2))
}

func TestParseStrings(t *testing.T) {
	f := func(src, want string, lone bool) {
		t.Helper()
		doc, err := parse([]byte(src))
		if err != nil || doc.root.str != want || (len(doc.surrogates) > 0) != lone {
			t.Errorf("%s: %+v, %v, want %q", src, doc, err, want)
		}
	}
	f(`""`, "", false)
	f(`"a\"\\\/\b\f\n\r\tb"`, "a\"\\/\b\f\n\r\tb", false)
	f(`"\u0041\u00e9\u20AC"`, "Aé€", false)
	f(`"\ud83d\ude00"`, "😀", false)
	f(`"😀"`, "😀", false)
	f(`"\ufffd"`, "\ufffd", false)
	f(`"\ud83d"`, "\ufffd", true)
	f(`"\ude00"`, "\ufffd", true)
	f(`"\ud83d\u0041"`, "\ufffdA", true)
	f(`"\ud83d\n"`, "\ufffd\n", true)
	f(`"\ud83d\ud83d\ude00"`, "\ufffd😀", true)
	f(`"\ude00\ud83d"`, "\ufffd\ufffd", true)
}

func TestParseNotesPaths(t *testing.T) {
	doc, err := parse([]byte(`{"a":[{"b":1,"b":2},"\ud800"],"a":3,"\ud800":4,"c":{"d":{"e":"\udc00"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(doc.duplicates), "[a[0].b a]"; got != want {
		t.Errorf("duplicates %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(doc.surrogates), "[a[1] (key) c.d.e]"; got != want {
		t.Errorf("surrogates %s, want %s", got, want)
	}
	for _, n := range []int{1, 15, 16, 17, 40} {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"k%d":1,`, i)
		}
		if many, err := parse([]byte("{" + b.String() + `"k0":2}`)); err != nil || len(many.duplicates) != 1 {
			t.Errorf("%d keys and one again: %v, %v", n, many.duplicates, err)
		}
		if many, err := parse([]byte("{" + b.String() + `"k":2}`)); err != nil || len(many.duplicates) != 0 {
			t.Errorf("%d different keys: %v, %v", n+1, many.duplicates, err)
		}
	}
	if n, ok := doc.root.int("a"); !ok || n != 3 {
		t.Errorf("the last of two members must win, got %d", n)
	}
}

func TestDiff(t *testing.T) {
	f := func(a, b, want string) {
		t.Helper()
		x, errX := parse([]byte(a))
		y, errY := parse([]byte(b))
		if errX != nil || errY != nil {
			t.Fatal(errX, errY)
		}
		if got := diff("v", x.root, y.root); got != want {
			t.Errorf("%s and %s: %q, want %q", a, b, got, want)
		}
	}
	f(`{"a":1,"b":[true,null,"\u0041"]}`, ` { "b" : [ true , null , "A" ] , "a" : 1 } `, "")
	f(`1.50`, `1.5`, "")
	f(`1.0`, `1`, "")
	f(`1e2`, `100`, "")
	f(`-0.25`, `-2.5e-1`, "")
	f(`9007199254740993`, `9007199254740992`, "v is 9007199254740993 and 9007199254740992")
	f(`1`, `"1"`, `v is 1 and "1"`)
	f(`null`, `false`, "v is null and false")
	f(`true`, `false`, "v is true and false")
	f(`[1,2]`, `[1]`, "v has 2 and 1 elements")
	f(`[1,2]`, `[2,1]`, "v[0] is 1 and 2")
	f(`{"a":{"b":1}}`, `{"a":{}}`, "v.a.b is only in the first")
	f(`{"a":{}}`, `{"a":{"b":1}}`, "v.a.b is only in the second")
	f(`{"a":null}`, `{}`, "v.a is only in the first")
}

// The parser accepts what encoding/json accepts and decodes it to the same.
func FuzzParse(f *testing.F) {
	for _, src := range []string{`{"a":[1,-2.5e+3,true,false,null,"x\u00e9\n\ud83d\ude00\ud800"]}`, `"`, `[[]]`, ` {} `, `{"a":1,"a":2}`} {
		f.Add([]byte(src))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		doc, err := parse(src)
		if valid := json.Valid(src); valid != (err == nil) {
			t.Fatalf("valid %v, but %v", valid, err)
		}
		if err != nil || !utf8.Valid(src) {
			return
		}
		d := json.NewDecoder(bytes.NewReader(src))
		d.UseNumber()
		var want any
		if err := d.Decode(&want); err != nil {
			t.Fatal(err)
		}
		if got := plain(doc.root); !reflect.DeepEqual(got, want) {
			t.Errorf("got %#v, want %#v", got, want)
		}
	})
}

// plain is a value as encoding/json decodes it.
func plain(v *value) any {
	switch v.kind {
	case null:
		return nil
	case boolean:
		return string(v.raw) == "true"
	case text:
		return v.str
	case array:
		l := list{}
		for _, elem := range v.elems {
			l = append(l, plain(elem))
		}
		return l
	case object:
		o := obj{}
		for i, key := range v.keys {
			o[key] = plain(v.elems[i])
		}
		return o
	default:
		return json.Number(v.raw)
	}
}
