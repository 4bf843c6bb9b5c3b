package translate

import (
	"testing"

	"pgregory.net/rapid"
)

// TestSegmentsChangeNothing: a history that points to what was before it makes
// the same requests as one that holds it all in one piece.
func TestSegmentsChangeNothing(t *testing.T) {
	checks(t, 2000)
	dialects := testDialects()
	rapid.Check(t, func(t *rapid.T) {
		d := rapid.SampledFrom(dialects).Draw(t, "dialect")
		h := &history{t: t}
		chain, flat := &History{}, &History{}
		var b HistoryBuilder
		for range rapid.IntRange(1, 5).Draw(t, "turns") {
			input, output := []byte(h.list("stored", 0, 4, h.item)), []byte(h.answer())
			var err error
			if chain, err = b.Extend(chain, input, output, &d); err != nil {
				t.Fatal(err)
			}
			if flat, err = b.extend(flat, input, output, &d, true); err != nil {
				t.Fatal(err)
			}
			if chain.Size() < chain.Bytes() {
				t.Fatalf("%d bytes in a memory of %d", chain.Bytes(), chain.Size())
			}
		}
		body := []byte(`{"model":"m","input":` + h.list("items", 0, 3, h.item) + `,"instructions":` + h.pick("instructions", "null", `"I"`) + `}`)
		var r Request
		if err := r.Parse(body, RequestLimits{}); err != nil {
			t.Fatal(err)
		}
		want, errFlat := r.AppendChat(nil, ChatOptions{Dialect: &d, History: flat, Losses: new(Losses)})
		got, errChain := r.AppendChat(nil, ChatOptions{Dialect: &d, History: chain, Losses: new(Losses)})
		if (errFlat == nil) != (errChain == nil) || string(got) != string(want) {
			t.Fatalf("%s\n%s\nin one piece:\n%s", d.Name, got, want)
		}
		if n := chain.Bytes(); errChain == nil && len(got) > n+len(body)*3+4096 { // tools without a schema get one
			t.Fatalf("%d bytes were said to be %d", len(got), n)
		}
	})
}
