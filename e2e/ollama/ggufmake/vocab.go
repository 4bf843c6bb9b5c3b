package ggufmake

import (
	"fmt"
	"strings"
)

// tokenType is llama.cpp's kind of a token.
type tokenType int32

const (
	normal      tokenType = 1
	unknown     tokenType = 2
	control     tokenType = 3 // never part of the text
	userDefined tokenType = 4 // recognised in the prompt as a whole, and part of the text
	unused      tokenType = 5
	byteToken   tokenType = 6 // one byte of a character that has no token
)

// vocab is the list of tokens. The tokenizer is that of the first llama: text is cut into characters, and neighbours are
// joined, highest score first, for as long as the joined piece is a token. A word is therefore never read as one token
// (its beginnings are none), only written as one; that makes prompts long, but leaves the state after a prompt, its last
// token, in our hands.
type vocab struct {
	text  []string
	score []float32
	types []tokenType
	index map[string]int

	unk, bos, eos          int
	think, thinkEnd        int
	toolCall, toolCallEnd  int
	turnStart, blankLine   int   // the last token of a prompt: see newVocab
	words, capitals        []int // of prose
	jsonWords, jsonPhrases []int // inside JSON strings: `alpha` and ` alpha`
	jsonOpen, jsonStrings  []int // `"alpha` and `"alpha"`
	weather, lookup        int   // the beginnings of the two calls,
	weatherArgs            []int // and their ends
	lookupArgs             []int
	spare                  []int // tokens that no prompt contains
}

const (
	proseWords = "the a of and to in is was it for on with as by at from that this which an old new small green quick " +
		"river mountain server proxy token stream letter answer question model garden window paper stone market harbor " +
		"signal engine bridge morning evening people children story music coffee bread winter summer light shadow " +
		"runs finds makes keeps opens holds carries follows returns writes reads moves begins ends brings leaves " +
		"slowly quickly often never always again today café naïve 東京 число"
	capitalWords = "The It She They When After Yes No Perhaps"
	valueWords   = "alpha beta gamma delta omega paris london blue red seven item value north south kilo lima"
)

// space is how the tokenizer spells the blank before a word.
const space = "▁"

func newVocab() *vocab {
	v := &vocab{index: map[string]int{}}
	v.unk = v.add("<unk>", unknown, 0)
	v.bos = v.add("<s>", control, 0)
	v.add("</s>", control, 0)
	for b := range 256 {
		v.add(byteName(byte(b)), byteToken, 0)
	}
	v.add("<|im_start|>", control, 0)
	v.eos = v.add("<|im_end|>", control, 0)
	v.think, v.thinkEnd = v.add("<think>", userDefined, 0), v.add("</think>", userDefined, 0)
	v.toolCall, v.toolCallEnd = v.add("<tool_call>", userDefined, 0), v.add("</tool_call>", userDefined, 0)

	// All of ASCII is there as single characters, with the lowest scores, so that any grammar can be followed.
	v.add(space, normal, -1000)
	v.add("\n", normal, -1000)
	for c := rune(33); c < 127; c++ {
		v.add(string(c), normal, -1000)
	}

	// A prompt ends with "<|im_start|>assistant\n". With "t\n" as one token of high score, that ending is a state of its
	// own, which no other end of a line has. A blank line is the other such state: a template that ends the prompt with
	// one (thinking switched off, a tool's result to answer) gets a sentence.
	v.blankLine = v.add("\n\n", normal, -5)
	v.turnStart = v.add("t\n", normal, -1)

	v.words = v.addAll(proseWords, -100, space+"%s")
	v.capitals = v.addAll(capitalWords, -300, "%s")
	v.jsonWords = v.addAll(valueWords, -400, "%s")
	first := strings.Join(strings.Fields(valueWords)[:10], " ")
	v.jsonPhrases = v.addAll(first, -450, space+"%s")
	v.jsonOpen = v.addAll(first, -500, `"%s`)
	v.jsonStrings = v.addAll(valueWords, -550, `"%s"`)

	// Whole pieces of the two calls: ollama lets a model call tools without a grammar, so it must get them right alone.
	// The arguments have what a reader of them may stumble over: characters beyond ASCII, escapes, a surrogate pair.
	v.weather = v.add(`{"name": "get_weather", "arguments": {"city": "`, normal, -600)
	v.lookup = v.add(`{"name": "lookup", "arguments": {"q": "`, normal, -601)
	v.weatherArgs = []int{
		v.add(`Paris", "unit": "c", "days": 3}}`, normal, -610),
		v.add(`San José", "unit": "f", "days": 10}}`, normal, -610),
		v.add(`東京", "unit": "c", "days": 1}}`, normal, -610),
	}
	v.lookupArgs = []int{
		v.add(`weather today"}}`, normal, -620),
		v.add(`a \"quoted\" word\n"}}`, normal, -620),
		v.add(`naïve café 😀"}}`, normal, -620),
	}

	// Matrices are fastest, and simplest to quantize, when their sides are multiples of 64.
	for len(v.text)%64 != 0 {
		v.spare = append(v.spare, v.add(fmt.Sprintf("<|reserved_%d|>", len(v.text)), unused, 0))
	}
	return v
}

// add returns the id of a token, which is new unless there is one with this text.
func (v *vocab) add(text string, t tokenType, score float32) int {
	if i, ok := v.index[text]; ok {
		return i
	}
	i := len(v.text)
	v.index[text] = i
	v.text, v.types, v.score = append(v.text, text), append(v.types, t), append(v.score, score)
	return i
}

// addAll adds a token for every word of a list, with falling scores.
func (v *vocab) addAll(words string, score float32, format string) []int {
	var ids []int
	for i, w := range strings.Fields(words) {
		ids = append(ids, v.add(fmt.Sprintf(format, w), normal, score-float32(i)))
	}
	return ids
}

// id is the token with that text, which must exist.
func (v *vocab) id(text string) int {
	i, ok := v.index[text]
	if !ok {
		panic("ggufmake: no token " + text)
	}
	return i
}

// ids are the tokens with those texts.
func (v *vocab) ids(texts ...string) []int {
	out := make([]int, len(texts))
	for i, t := range texts {
		out[i] = v.id(t)
	}
	return out
}

// chars are the tokens of single characters.
func (v *vocab) chars(s string) []int { return v.ids(strings.Split(s, "")...) }

func (v *vocab) size() int { return len(v.text) }

func byteName(b byte) string { return fmt.Sprintf("<0x%02X>", b) }
