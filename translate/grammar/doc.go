// Package grammar checks text against the grammars that custom tools of the
// Responses API may bind their input to: a regular expression, or rules in the
// notation of Lark (https://lark-parser.readthedocs.io/en/stable/grammar.html).
//
// No chat backend is held to such a grammar, so an input can only be checked when
// it is whole. A check never refuses what the grammar allows: a grammar of which a
// part cannot be read exactly is one that is not checked.
//
// Where is …?
//
//	what is called from outside, and regular expressions   grammar.go
//	the notation of Lark, read into rules                  lark.go
//	the recogniser for those rules (Earley's)              earley.go
package grammar
