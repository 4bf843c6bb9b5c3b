// Package schema checks answers against the JSON Schema that a request gave in
// text.format or response_format, for backends that cannot be held to one.
//
// The rules of JSON Schema are those of github.com/santhosh-tekuri/jsonschema. This
// package adds what a schema from a client needs: nothing is ever loaded, patterns
// in JavaScript's syntax are read, and neither a schema nor an answer makes a check
// take long.
//
// Where is …?
//
//	what is called from outside, and the words for a model   schema.go
//	patterns that Go's syntax does not have                  pattern.go
//	the bound on the work of one check                       work.go
package schema
