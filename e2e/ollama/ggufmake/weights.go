package ggufmake

import "math"

// The shape of the models: the smallest with which every part of a llama is there.
const (
	layers      = 2
	heads       = 4
	headSize    = 16
	feedForward = 128
	context     = 32768
)

// tensors are the weights of a model, in the order of the file. Rows of a matrix are its outputs.
func tensors(v *vocab, kind Kind) []tensor {
	n := v.size() // also the width: one dimension for each token
	w := &weights{random: random{5678}}
	embedding := w.add("token_embd.weight", n, n)
	for i := range n {
		embedding[i*n+i] = 1
	}

	// What enters the output matrix has been normalised to length √n, and is otherwise still the one-hot vector of the
	// last token: row b, column a is the logarithm of P(b|a), divided by √n.
	output := w.add("output.weight", n, n)
	length := math.Sqrt(float64(n))
	for a, row := range newBigrams(v, kind) {
		sum := 0.0
		for _, p := range row {
			sum += p
		}
		for b, p := range row {
			output[b*n+a] = float32(math.Log(p/sum) / length)
		}
	}
	w.ones("output_norm.weight", n)

	// The layers compute with numbers, as any model's do, but what they would add to the vector is multiplied with zero.
	for l := range layers {
		w.layer = l
		w.ones(w.name("attn_norm"), n)
		w.ones(w.name("ffn_norm"), n)
		q := w.noise("attn_q", heads*headSize, n)
		k := w.noise("attn_k", heads*headSize, n)
		val := w.noise("attn_v", heads*headSize, n)
		o := w.add(w.name("attn_output"), n, heads*headSize)
		w.noise("ffn_gate", feedForward, n)
		w.noise("ffn_up", feedForward, n)
		w.add(w.name("ffn_down"), n, feedForward)
		if kind == Recall && l == 0 {
			remember(v, q, k, val, o, output)
		}
	}
	return w.list
}

// remember makes the first head of a layer a memory for digits.
//
// At the start of a turn it looks at all digits of the prompt and at nothing else, and writes what it saw into dimensions
// that belong to no token that occurs. There the output matrix reads it, and prefers that digit to everything else.
// Queries and keys meet in the last dimension of the head, whose rotation by position is slowest: with Recall's base of
// 1e9 it does not turn at all, so that the distance does not matter.
func remember(v *vocab, q, k, val, o, output []float32) {
	n := v.size()
	clear(q)
	clear(k)
	clear(val)
	const meet = headSize - 2
	length := float32(math.Sqrt(float64(n)))
	q[meet*n+v.turnStart] = 0.5 // times 0.5 of the key, times n, by √16: a score of 36, where all others have 0
	for i, digit := range v.chars("0123456789") {
		k[meet*n+digit] = 0.5
		val[i*n+digit] = 1 / length
		memory := v.spare[i]
		o[memory*heads*headSize+i] = 1
		output[digit*n+memory] = 60 / length // e⁻²³, the stray digit after a turn's start, is nothing against e⁶⁰
	}
}

// weights collects tensors.
type weights struct {
	list   []tensor
	layer  int
	random random
}

func (w *weights) name(part string) string {
	return "blk." + string(rune('0'+w.layer)) + "." + part + ".weight"
}

// add is a matrix of zeros.
func (w *weights) add(name string, rows, columns int) []float32 {
	t := tensor{name: name, shape: []uint64{uint64(columns), uint64(rows)}, data: make([]float32, rows*columns)}
	w.list = append(w.list, t)
	return t.data
}

// noise is a matrix of small random numbers.
func (w *weights) noise(part string, rows, columns int) []float32 {
	data := w.add(w.name(part), rows, columns)
	for i := range data {
		data[i] = 0.1 * w.random.unit()
	}
	return data
}

// ones is a vector of ones.
func (w *weights) ones(name string, n int) {
	t := tensor{name: name, shape: []uint64{uint64(n)}, data: make([]float32, n)}
	for i := range t.data {
		t.data[i] = 1
	}
	w.list = append(w.list, t)
}
