package jsonx

import "testing"

func TestAppendCanonical(t *testing.T) {
	canonical := func(s string) string {
		var d Doc
		if err := d.Parse([]byte(s), Limits{}); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		return string(d.AppendCanonical(nil, Root))
	}
	for _, same := range [][]string{
		{`{"a":1,"b":[true,null]}`, `{ "b" : [ true , null ], "a" : 1.0 }`, `{"\u0061":10e-1,"b":[true,null]}`},
		{`"é/\n"`, `"\u00e9\/\u000a"`},
		{`0`, `-0`, `0.000`, `0e9`},
		{`1500`, `1.5e3`, `15E+2`, `1500.00`},
		{`-0.025`, `-25e-3`, `-2.5E-2`},
		{`{"z":{"d":1,"c":2},"a":{}}`, `{"a":{},"z":{"c":2,"d":1}}`},
	} {
		for _, s := range same[1:] {
			if a, b := canonical(same[0]), canonical(s); a != b {
				t.Errorf("%s and %s: %s and %s", same[0], s, a, b)
			}
		}
	}
	for _, other := range [][2]string{
		{`1`, `10`}, {`1`, `-1`}, {`1`, `"1"`}, {`[1,2]`, `[2,1]`}, {`{"a":null}`, `{}`}, {`1e3`, `1e-3`}, {`12345678901234567890`, `12345678901234567891`},
		{`1e99999999999`, `1e99999999998`},
	} {
		if a, b := canonical(other[0]), canonical(other[1]); a == b {
			t.Errorf("%s and %s are both %s", other[0], other[1], a)
		}
	}
}
