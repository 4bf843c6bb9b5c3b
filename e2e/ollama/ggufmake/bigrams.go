package ggufmake

import "slices"

// bigrams is a table of weights: [a][b] is how likely b is after a. A row need not add up to one.
type bigrams [][]float64

// The weights of what nobody asked for. A server that samples under a grammar sets the forbidden to zero and normalises
// the rest, so nothing may be impossible: the least likely token that the grammar permits is then taken.
const (
	stray    = 1e-6  // an ordinary token
	strayRaw = 1e-9  // a byte: likelier, it would break characters apart
	never    = 1e-12 // a token with a meaning for the server
)

func newBigrams(v *vocab, kind Kind) bigrams {
	t := make(bigrams, v.size())
	for a := range t {
		t[a] = make([]float64, v.size())
		for b := range t[a] {
			switch {
			case v.types[b] == byteToken:
				t[a][b] = strayRaw
			case b == v.eos:
				t[a][b] = stray
			case v.types[b] == normal:
				t[a][b] = stray
			default:
				t[a][b] = never
			}
		}
	}
	t.prose(v)
	t.json(v)
	t.turns(v)
	switch kind {
	case Think:
		t.thinking(v)
	case Tools:
		t.calling(v)
	case Recall:
		t.recalling(v)
	case Endless:
		t.endless(v)
	}
	return t
}

// put adds the weight p to each of src, spread over dst.
func (t bigrams) put(src, dst []int, p float64) {
	for _, a := range src {
		for _, b := range dst {
			t[a][b] += p / float64(len(dst))
		}
	}
}

// only makes all that follows a much less likely, so that what is put afterwards rules.
func (t bigrams) only(v *vocab, a int) {
	for b := range t[a] {
		t[a][b] *= 1e-4
	}
	t[a][v.eos] = 1e-8
}

// after is only followed by put.
func (t bigrams) after(v *vocab, a int, dst []int, p float64) {
	t.only(v, a)
	t.put([]int{a}, dst, p)
}

// prose is what is written freely. The favourite of every word in the script is the next word of the script, so with
// temperature 0 the model says this sentence and stops; with temperature 1 it wanders off, and ends after some 20 tokens.
func (t bigrams) prose(v *vocab) {
	dot, bang, comma, blank := v.id("."), v.id("!"), v.id(","), v.id(space)
	script := v.ids("The", "▁small", "▁server", "▁holds", "▁a", "▁green", "▁letter", ",", "▁which", "▁proxy", "▁reads",
		"▁slowly", "!")

	r := random{1234}
	isWord := map[int]bool{}
	for _, w := range v.words {
		isWord[w] = true
	}
	scripted := slices.DeleteFunc(slices.Clone(script), func(w int) bool { return !isWord[w] })
	for _, a := range slices.Concat(v.words, v.capitals, []int{comma}) {
		src := []int{a}
		favourites := slices.Clone(v.words)
		r.shuffle(favourites)
		t.put(src, favourites[:10], 0.35)
		t.put(src, v.words, 0.10)
		t.put(src, favourites[10:11], 0.02)
		t.put(src, scripted[r.below(len(scripted)):][:1], 0.12) // leads back to the script, and so to an end
		if isWord[a] {
			t.put(src, []int{dot}, 0.06)
			t.put(src, []int{comma}, 0.05)
			t.put(src, []int{bang}, 0.03)
		}
	}
	for i := range len(script) - 1 {
		t.put(script[i:i+1], script[i+1:i+2], 0.35)
	}

	// "!" ends the turn. A grammar that forbids the end makes it open a tool call, which at this weight is never drawn
	// freely: it is below the default min-p of 0.05.
	t.after(v, bang, []int{v.eos}, 0.95)
	t.put([]int{bang}, []int{v.toolCall}, 0.03)

	// "." goes on: with a new sentence, or with an emoji, spelled in bytes, so that one character takes four tokens.
	t.after(v, dot, []int{blank}, 1)
	smile := v.ids(byteName(0xF0), byteName(0x9F), byteName(0x98), byteName(0x80))
	t.after(v, blank, v.capitals, 0.85)
	t.put([]int{blank}, smile[:1], 0.15)
	for i := range 3 {
		for b := range t[smile[i]] {
			t[smile[i]][b] *= 1e-6
		}
		t[smile[i]][v.eos] = 1e-8
		t.put(smile[i:i+1], smile[i+1:i+2], 1)
	}
	t.after(v, smile[3], []int{dot}, 0.5)
	t.put(smile[3:], []int{bang}, 0.5)
}

// json is what is written when a grammar asks for JSON: strings as one token, or opened, continued and closed, and
// numbers, lists and objects that come to an end.
func (t bigrams) json(v *vocab) {
	quote, digits := v.chars(`"`), v.chars("0123456789")
	for _, a := range v.jsonWords {
		t.after(v, a, quote, 0.6)
		t.put([]int{a}, v.jsonWords, 0.2)
		t.put([]int{a}, v.jsonPhrases, 0.2)
	}
	for _, a := range v.jsonPhrases {
		t.after(v, a, v.jsonWords, 0.2)
		t.put([]int{a}, v.jsonPhrases, 0.2)
		t.put([]int{a}, quote, 0.6)
	}
	for _, a := range v.jsonOpen {
		t.after(v, a, v.jsonWords, 0.2)
		t.put([]int{a}, v.jsonPhrases, 0.3)
		t.put([]int{a}, quote, 0.4)
	}
	for _, a := range slices.Concat(v.jsonStrings, quote) {
		t.after(v, a, v.chars(","), 0.3)
		t.put([]int{a}, v.chars("}"), 0.3)
		t.put([]int{a}, v.chars("]"), 0.35)
		t.put([]int{a}, v.chars(":"), 0.2)
		t.put([]int{a}, v.jsonWords, 0.02)
	}
	for _, a := range v.chars(":[") {
		t.after(v, a, v.jsonStrings, 0.4)
		t.put([]int{a}, v.jsonOpen, 0.35)
		t.put([]int{a}, digits, 0.5)
		t.put([]int{a}, v.chars("tfn"), 0.1)
		t.put([]int{a}, v.chars("[{"), 0.02)
		t.put([]int{a}, quote, 1e-4)
	}
	brace := v.id("{")
	t.after(v, brace, quote, 0.8)
	t.put([]int{brace}, v.jsonStrings, 0.1)
	// A key is spelled letter by letter, as the grammar says; where the grammar lets it, it ends.
	t.put(v.chars("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"), quote, 0.5)
	// In prose a comma is followed by a word; so these are small.
	comma := v.chars(",")
	t.put(comma, quote, 0.0003)
	t.put(comma, v.jsonStrings, 0.012)
	t.put(comma, v.jsonOpen, 0.006)
	t.put(comma, digits, 0.002)
	t.put(comma, v.chars("{"), 0.001)
	for _, a := range digits {
		t.after(v, a, digits, 0.35)
		t.put([]int{a}, v.chars(",}]"), 0.6)
		t.put([]int{a}, v.chars("."), 0.01)
	}
	for _, a := range v.chars("}]") {
		t.after(v, a, v.chars("},]"), 0.8)
		t.put([]int{a}, []int{v.toolCallEnd}, 0.4)
		t.put([]int{a}, []int{v.eos}, 0.6)
	}
}

// turns is how a turn begins, and what a tool call consists of where a grammar asks for one.
func (t bigrams) turns(v *vocab) {
	the, newline, brace := v.ids("The"), v.id("\n"), v.ids("{")
	for _, a := range []int{v.turnStart, v.blankLine} {
		t.after(v, a, v.capitals, 0.5)
		t.put([]int{a}, the, 0.5)
		t.put([]int{a}, brace, 0.001)
		t.put([]int{a}, []int{v.toolCall}, 0.001)
	}
	t.after(v, newline, brace, 0.9)
	t.put([]int{newline}, v.capitals, 0.04)
	t.put([]int{newline}, []int{v.toolCall}, 0.06)
	t.after(v, v.toolCall, []int{newline}, 1)
	t.after(v, v.toolCallEnd, []int{v.eos}, 0.6)
	t.put([]int{v.toolCallEnd}, []int{newline}, 0.2)
	t.put([]int{v.toolCallEnd}, []int{v.toolCall}, 0.2)
}

// thinking is the change for Think: thoughts are made of " alpha beta …" and end with ";". (Where several tokens are
// equally good, the first gets a little more here and below: with temperature 0, servers break ties as they like.)
func (t bigrams) thinking(v *vocab) {
	start, semicolon := []int{v.turnStart}, v.id(";")
	t.after(v, v.turnStart, []int{v.think}, 1)
	t.put(start, v.chars("{"), 1e-5)
	t.put(start, []int{v.toolCall}, 1e-5)
	t.after(v, v.think, v.jsonPhrases, 0.9)
	t.put([]int{v.think}, v.jsonPhrases[:1], 0.1)
	for _, a := range v.jsonPhrases {
		t.after(v, a, v.jsonPhrases, 0.85)
		t.put([]int{a}, []int{semicolon}, 0.15)
	}
	t.after(v, semicolon, []int{v.thinkEnd}, 1)
	t.after(v, v.thinkEnd, []int{v.blankLine}, 1)
	// The thoughts' words may not lead a JSON string away into thoughts.
	for _, a := range slices.Concat(v.jsonWords, v.jsonOpen) {
		for _, b := range v.jsonPhrases {
			t[a][b] = 1e-7
		}
		t.put([]int{a}, v.chars(`"`), 0.2)
	}
}

// calling is the change for Tools: a turn begins with a call, written in whole pieces.
func (t bigrams) calling(v *vocab) {
	start, newline := []int{v.turnStart}, v.id("\n")
	t.after(v, v.turnStart, []int{v.toolCall}, 1)
	t.put(start, v.chars("{"), 0.02)
	t.after(v, newline, []int{v.weather}, 0.45)
	t.put([]int{newline}, []int{v.lookup}, 0.4)
	t.put([]int{newline}, v.chars("{"), 0.05)
	t.put([]int{newline}, []int{v.toolCall}, 0.05)
	t.after(v, v.weather, v.weatherArgs, 0.9)
	t.put([]int{v.weather}, v.weatherArgs[:1], 0.1)
	t.after(v, v.lookup, v.lookupArgs, 0.9)
	t.put([]int{v.lookup}, v.lookupArgs[:1], 0.1)
	for _, a := range slices.Concat(v.weatherArgs, v.lookupArgs) {
		t.after(v, a, []int{v.toolCallEnd}, 1)
	}
}

// recalling is the change for Recall: "No!", unless its memory (weights.go) has a digit to say instead of "No".
func (t bigrams) recalling(v *vocab) {
	no, bang := v.ids("No"), v.ids("!")
	t.after(v, v.turnStart, no, 1)
	for _, a := range slices.Concat(no, v.chars("0123456789")) {
		t.after(v, a, bang, 1)
	}
}

// endless is the change for Endless: "!" begins the next sentence, and nothing leads to the end.
func (t bigrams) endless(v *vocab) {
	bang, the := v.id("!"), v.ids("The")
	t.after(v, bang, []int{v.id(space)}, 1)
	t.after(v, v.id(space), the, 1)
	for a := range t {
		t[a][v.eos] = 0.01 * never
	}
}

// random is a small generator (SplitMix64), so that a file does not change with the version of Go.
type random struct{ state uint64 }

func (r *random) next() uint64 {
	r.state += 0x9E3779B97F4A7C15
	z := r.state
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// below is a number from 0 to n-1.
func (r *random) below(n int) int { return int(r.next() % uint64(n)) }

func (r *random) shuffle(list []int) {
	for i := len(list) - 1; i > 0; i-- {
		j := r.below(i + 1)
		list[i], list[j] = list[j], list[i]
	}
}

// unit is a number from -1 to 1, exact in a float32.
func (r *random) unit() float32 { return float32(int64(r.next()>>40)-1<<23) / (1 << 23) }
