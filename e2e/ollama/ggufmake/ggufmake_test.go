package ggufmake

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"slices"
	"strings"
	"testing"
)

// golden are the hashes of the files. A change that is meant changes them here; the models of a running server are then
// others, which the tests behind them will tell.
var golden = map[Kind]string{
	Markov:  "ac1cb408d91b5c49bad5ae0d2cd3b48a5e3947654090ac02dd7054277ba55114",
	Think:   "279206138bf6286e9a6d92c52e3cfabf8c77032f829a9622989201695261f347",
	Tools:   "e6b8b4b7be596e2eeed187d882ad63f6ed673faec314488f51bde10b7a7fa9c9",
	Recall:  "dbd5d730ed0dd7d8bfee607d6a4505315e783445a3c56d81cc24469c922ff044",
	Endless: "925d5f721a2a4802ce418f3b63c89bb6cd0310bb12b9e3eff6c7430143badce3",
}

func TestGolden(t *testing.T) {
	for _, kind := range Kinds {
		sum := sha256.Sum256(mustMake(t, kind))
		if got := hex.EncodeToString(sum[:]); got != golden[kind] {
			t.Errorf("%s: the file's hash is %s, want %s", kind, got, golden[kind])
		}
	}
}

func TestUnknownKind(t *testing.T) {
	if _, err := Make("large"); err == nil {
		t.Error("there is no such kind, and no error")
	}
}

func TestSameTwice(t *testing.T) {
	if !bytes.Equal(mustMake(t, Markov), mustMake(t, Markov)) {
		t.Error("two files of one kind differ")
	}
}

// TestHeader reads the file as the specification of the format says, with a reader of its own.
func TestHeader(t *testing.T) {
	for _, kind := range Kinds {
		r := read(t, mustMake(t, kind))
		if r.version != 3 {
			t.Errorf("%s: version %d, want 3", kind, r.version)
		}
		for key, want := range map[string]any{
			"general.architecture":          "llama",
			"general.name":                  "tiny-" + string(kind),
			"llama.block_count":             uint32(2),
			"llama.context_length":          uint32(32768),
			"llama.embedding_length":        uint32(576),
			"llama.vocab_size":              uint32(576),
			"tokenizer.ggml.model":          "llama",
			"tokenizer.ggml.add_bos_token":  false,
			"tokenizer.ggml.bos_token_id":   uint32(1),
			"tokenizer.ggml.eos_token_id":   uint32(260),
			"tokenizer.ggml.tokens[0]":      "<unk>",
			"tokenizer.ggml.tokens[260]":    "<|im_end|>",
			"tokenizer.ggml.tokens[3]":      "<0x00>",
			"tokenizer.ggml.tokens#":        576,
			"tokenizer.ggml.scores#":        576,
			"tokenizer.ggml.token_type#":    576,
			"tokenizer.ggml.token_type[3]":  int32(6),
			"tokenizer.ggml.token_type[1]":  int32(3),
			"tokenizer.ggml.scores[264]":    float32(0),
			"tokenizer.ggml.scores[265]":    float32(-1000),
			"llama.attention.head_count":    uint32(4),
			"llama.attention.head_count_kv": uint32(4),
		} {
			if got := r.meta[key]; got != want {
				t.Errorf("%s: %s is %v, want %v", kind, key, got, want)
			}
		}
	}
}

func TestTensorLayout(t *testing.T) {
	for _, kind := range Kinds {
		r := read(t, mustMake(t, kind))
		var names []string
		var end uint64
		for _, x := range r.tensors {
			names = append(names, x.name)
			if x.typ != 0 {
				t.Errorf("%s: %s has type %d, want 0 (float32)", kind, x.name, x.typ)
			}
			if x.place != end {
				t.Errorf("%s: %s begins at %d, want %d: right after its neighbour", kind, x.name, x.place, end)
			}
			size := uint64(4)
			for _, n := range x.shape {
				size *= n
			}
			end = (x.place + size + 31) / 32 * 32
		}
		want := []string{"token_embd.weight", "output.weight", "output_norm.weight"}
		for _, l := range []string{"blk.0.", "blk.1."} {
			for _, part := range strings.Fields("attn_norm ffn_norm attn_q attn_k attn_v attn_output ffn_gate ffn_up ffn_down") {
				want = append(want, l+part+".weight")
			}
		}
		if !slices.Equal(names, want) {
			t.Errorf("%s: the tensors are %v, want %v", kind, names, want)
		}
		if got := uint64(len(r.data)); got != end {
			t.Errorf("%s: %d bytes of tensors, want %d", kind, got, end)
		}
		for _, x := range []struct {
			name  string
			shape []uint64
		}{
			{"token_embd.weight", []uint64{576, 576}},
			{"output_norm.weight", []uint64{576}},
			{"blk.0.attn_q.weight", []uint64{576, 64}},
			{"blk.1.attn_output.weight", []uint64{64, 576}},
			{"blk.1.ffn_gate.weight", []uint64{576, 128}},
			{"blk.1.ffn_down.weight", []uint64{128, 576}},
		} {
			if got := r.tensor(t, x.name).shape; !slices.Equal(got, x.shape) {
				t.Errorf("%s: %s has the shape %v, want %v", kind, x.name, got, x.shape)
			}
		}
	}
}

// TestEmbedding: a token is its one-hot vector.
func TestEmbedding(t *testing.T) {
	r := read(t, mustMake(t, Think))
	for i, x := range r.floats(t, "token_embd.weight") {
		want := float32(0)
		if i/576 == i%576 {
			want = 1
		}
		if x != want {
			t.Fatalf("row %d, column %d is %v, want %v", i/576, i%576, x, want)
		}
	}
}

// TestLayersAddNothing: what the layers write into the vector is zero, but for Recall's memory.
func TestLayersAddNothing(t *testing.T) {
	for _, kind := range Kinds {
		r := read(t, mustMake(t, kind))
		for _, name := range []string{"blk.0.attn_output.weight", "blk.0.ffn_down.weight", "blk.1.attn_output.weight", "blk.1.ffn_down.weight"} {
			n := 0
			for _, x := range r.floats(t, name) {
				if x != 0 {
					n++
				}
			}
			want := 0
			if kind == Recall && name == "blk.0.attn_output.weight" {
				want = 10
			}
			if n != want {
				t.Errorf("%s: %s has %d numbers that are not zero, want %d", kind, name, n, want)
			}
		}
	}
}

// TestProbabilities: the columns of the output matrix are distributions, and nothing is impossible.
func TestProbabilities(t *testing.T) {
	for _, kind := range []Kind{Markov, Think, Tools, Endless} {
		r := read(t, mustMake(t, kind))
		out := r.floats(t, "output.weight")
		for a := range 576 {
			sum := 0.0
			for b := range 576 {
				logit := float64(out[b*576+a]) * 24
				if math.IsInf(logit, 0) || math.IsNaN(logit) || logit < -60 {
					t.Fatalf("%s: the logit of %d after %d is %v", kind, b, a, logit)
				}
				sum += math.Exp(logit)
			}
			if math.Abs(sum-1) > 1e-4 {
				t.Fatalf("%s: the probabilities after token %d add up to %v", kind, a, sum)
			}
		}
	}
}

// TestGreedy walks the tables as a server with temperature 0 does.
func TestGreedy(t *testing.T) {
	const sentence = "The small server holds a green letter, which proxy reads slowly!"
	f := func(kind Kind, start, want string) {
		t.Helper()
		v, table := newVocab(), newBigrams(newVocab(), kind)
		var said strings.Builder
		for at, n := v.id(start), 0; n < 60; n++ {
			best, second := 0, 0.0
			for b, p := range table[at] {
				switch most := table[at][best]; {
				case p > most:
					best, second = b, most
				case b != best:
					second = max(second, p)
				}
			}
			if second > 0.95*table[at][best] {
				t.Errorf("%s: after %q it is not clear what comes next", kind, v.text[at])
			}
			if at = best; at == v.eos {
				said.WriteString("$")
				break
			}
			said.WriteString(strings.ReplaceAll(v.text[at], space, " "))
		}
		if got := said.String(); !strings.HasPrefix(got, want) {
			t.Errorf("%s after %q says %q, want %q", kind, start, got, want)
		}
	}
	f(Markov, "t\n", sentence+"$")
	f(Think, "t\n", "<think> alpha;</think>\n\n"+sentence+"$")
	f(Tools, "t\n", "<tool_call>\n"+`{"name": "get_weather", "arguments": {"city": "Paris", "unit": "c", "days": 3}}`+"</tool_call>$")
	f(Tools, "\n\n", sentence+"$")
	f(Recall, "t\n", "No!$")
	f(Recall, "7", "!$")
	f(Endless, "t\n", sentence+" "+sentence+" "+sentence)
}

// TestThoughtsEnd: a thought takes some seven words.
func TestThoughtsEnd(t *testing.T) {
	v := newVocab()
	table := newBigrams(v, Think)
	for _, a := range v.jsonPhrases {
		sum := 0.0
		for _, p := range table[a] {
			sum += p
		}
		if p := table[a][v.id(";")] / sum; p < 0.1 || p > 0.2 {
			t.Errorf("a thought ends after %q with probability %v, want about 0.15", v.text[a], p)
		}
	}
}

func TestModelfile(t *testing.T) {
	for _, kind := range Kinds {
		text := Modelfile(kind, "./x.gguf")
		if !strings.HasPrefix(text, "FROM ./x.gguf\nPARAMETER num_ctx 2048\n") {
			t.Errorf("%s: begins %.60q", kind, text)
		}
		if strings.ContainsAny(text, "«»") {
			t.Errorf("%s: something was not filled in", kind)
		}
		if got, want := strings.Contains(text, ".Thinking"), kind == Think; got != want {
			t.Errorf("%s: has thoughts: %v, want %v", kind, got, want)
		}
		if open, closed := strings.Count(text, "{{"), strings.Count(text, "}}"); open != closed {
			t.Errorf("%s: %d {{ and %d }}", kind, open, closed)
		}
	}
}

func mustMake(t *testing.T, kind Kind) []byte {
	t.Helper()
	b, err := Make(kind)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
