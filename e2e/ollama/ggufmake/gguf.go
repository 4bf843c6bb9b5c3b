package ggufmake

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// Kind is one of the models that there are.
type Kind string

// The kinds.
const (
	Markov  Kind = "markov"
	Think   Kind = "think"
	Tools   Kind = "tools"
	Recall  Kind = "recall"
	Endless Kind = "endless"
)

// Kinds are all kinds.
var Kinds = []Kind{Markov, Think, Tools, Recall, Endless}

// Make returns the GGUF file of a model.
func Make(kind Kind) ([]byte, error) {
	if !slices.Contains(Kinds, kind) {
		return nil, fmt.Errorf("ggufmake: no kind %q, there are %v", kind, Kinds)
	}
	v := newVocab()
	f := &file{}
	describe(f, v, kind)
	return f.bytes(tensors(v, kind)), nil
}

// describe writes the metadata: the shape of the model, its tokens, its template.
func describe(f *file, v *vocab, kind Kind) {
	n := uint32(v.size())
	f.string("general.architecture", "llama")
	f.string("general.name", "tiny-"+string(kind))
	f.uint32("llama.context_length", context)
	f.uint32("llama.embedding_length", n)
	f.uint32("llama.block_count", layers)
	f.uint32("llama.feed_forward_length", feedForward)
	f.uint32("llama.attention.head_count", heads)
	f.uint32("llama.attention.head_count_kv", heads)
	f.uint32("llama.attention.key_length", headSize)
	f.uint32("llama.attention.value_length", headSize)
	f.uint32("llama.rope.dimension_count", headSize)
	f.float32("llama.attention.layer_norm_rms_epsilon", 1e-5)
	if kind == Recall {
		f.float32("llama.rope.freq_base", 1e9) // see remember
	} else {
		f.float32("llama.rope.freq_base", 10000)
	}
	f.uint32("llama.vocab_size", n)
	f.uint32("general.file_type", 0) // all numbers are float32
	f.string("tokenizer.ggml.model", "llama")
	f.string("tokenizer.ggml.pre", "default")
	f.strings("tokenizer.ggml.tokens", v.text)
	f.float32s("tokenizer.ggml.scores", v.score)
	f.int32s("tokenizer.ggml.token_type", v.types)
	f.uint32("tokenizer.ggml.bos_token_id", uint32(v.bos))
	f.uint32("tokenizer.ggml.eos_token_id", uint32(v.eos))
	f.uint32("tokenizer.ggml.unknown_token_id", uint32(v.unk))
	f.uint32("tokenizer.ggml.eot_token_id", uint32(v.eos))
	f.bool("tokenizer.ggml.add_bos_token", false)
	f.bool("tokenizer.ggml.add_eos_token", false)
	f.bool("tokenizer.ggml.add_space_prefix", false)
}

// A GGUF file (version 3, little endian) is a header with two counts, the metadata as key, type, value, the list of
// tensors with their places, and from the next multiple of 32 on the tensors, each beginning at such a multiple.
const (
	magic     = "GGUF"
	version   = 3
	alignment = 32
)

// The types of a value of the metadata.
const (
	typeInt32   uint32 = 5
	typeUint32  uint32 = 4
	typeFloat32 uint32 = 6
	typeBool    uint32 = 7
	typeString  uint32 = 8
	typeArray   uint32 = 9
)

// tensorFloat32 is the type of a tensor.
const tensorFloat32 uint32 = 0

// tensor is a matrix or vector. The first number of the shape is that of the neighbours in memory.
type tensor struct {
	name  string
	shape []uint64
	data  []float32
}

// file collects the metadata.
type file struct {
	meta  []byte
	count uint64
}

var le = binary.LittleEndian

func appendString(b []byte, s string) []byte {
	return append(le.AppendUint64(b, uint64(len(s))), s...)
}

func (f *file) key(name string, t uint32) {
	f.count++
	f.meta = le.AppendUint32(appendString(f.meta, name), t)
}

func (f *file) list(name string, t uint32, n int) {
	f.key(name, typeArray)
	f.meta = le.AppendUint64(le.AppendUint32(f.meta, t), uint64(n))
}

func (f *file) string(name, s string) {
	f.key(name, typeString)
	f.meta = appendString(f.meta, s)
}

func (f *file) uint32(name string, n uint32) {
	f.key(name, typeUint32)
	f.meta = le.AppendUint32(f.meta, n)
}

func (f *file) float32(name string, x float32) {
	f.key(name, typeFloat32)
	f.meta = le.AppendUint32(f.meta, math.Float32bits(x))
}

func (f *file) bool(name string, b bool) {
	f.key(name, typeBool)
	if b {
		f.meta = append(f.meta, 1)
	} else {
		f.meta = append(f.meta, 0)
	}
}

func (f *file) strings(name string, list []string) {
	f.list(name, typeString, len(list))
	for _, s := range list {
		f.meta = appendString(f.meta, s)
	}
}

func (f *file) float32s(name string, list []float32) {
	f.list(name, typeFloat32, len(list))
	for _, x := range list {
		f.meta = le.AppendUint32(f.meta, math.Float32bits(x))
	}
}

func (f *file) int32s(name string, list []tokenType) {
	f.list(name, typeInt32, len(list))
	for _, t := range list {
		f.meta = le.AppendUint32(f.meta, uint32(t))
	}
}

// bytes is the whole file.
func (f *file) bytes(tensors []tensor) []byte {
	b := append([]byte(magic), 0, 0, 0, 0)
	le.PutUint32(b[4:], version)
	b = le.AppendUint64(b, uint64(len(tensors)))
	b = le.AppendUint64(b, f.count)
	b = append(b, f.meta...)
	var place uint64
	for _, t := range tensors {
		b = appendString(b, t.name)
		b = le.AppendUint32(b, uint32(len(t.shape)))
		for _, n := range t.shape {
			b = le.AppendUint64(b, n)
		}
		b = le.AppendUint32(b, tensorFloat32)
		b = le.AppendUint64(b, place)
		place += uint64(padded(4 * len(t.data)))
	}
	b = pad(b)
	b = slices.Grow(b, int(place))
	for _, t := range tensors {
		for _, x := range t.data {
			b = le.AppendUint32(b, math.Float32bits(x))
		}
		b = pad(b)
	}
	return b
}

func padded(n int) int { return (n + alignment - 1) / alignment * alignment }

func pad(b []byte) []byte { return append(b, make([]byte, padded(len(b))-len(b))...) }
