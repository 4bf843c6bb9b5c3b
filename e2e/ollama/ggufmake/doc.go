// Package ggufmake makes tiny chat models out of nothing, so that a real chat server can be tested without a download.
//
// A model here is a llama of two layers whose weights are written by hand. The embedding of a token is a one-hot vector,
// the layers add nothing to it, and the output matrix is therefore read with one row: the logarithms of a bigram table,
// "after this token comes that one, with this probability". Such a model writes pseudo sentences, closes its JSON strings
// when a grammar makes it open them, ends its turn by itself, and takes a few milliseconds for all of it.
//
//	Markov   writes sentences; with temperature 0 always the same one
//	Think    first emits <think> … </think>, then a sentence
//	Tools    begins its turn with a call of get_weather or lookup, and after a tool's result with a sentence
//	Recall   answers with the digit that was mentioned anywhere before, so that it shows which history it was given
//	Endless  never stops; for what happens while a stream is running
//
// # Where is …?
//
//	the tokens, and why they are these     vocab.go
//	what follows what                      bigrams.go
//	the tensors, and Recall's memory       weights.go
//	the bytes of a GGUF file               gguf.go
//	the chat template and the Modelfile    modelfile.go
//
// A file depends on nothing but its kind: the few random numbers come from a fixed seed and a generator of our own.
package ggufmake
