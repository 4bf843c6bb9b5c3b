// Package jsonx reads and writes JSON for the rest of the program. It is the
// only package that uses gjson and sjson.
//
// Where is …?
//
//	the one validated pass at the door        check.go    Doc.Parse
//	walking what was parsed                   walk.go     Doc.Root, First, Next, Get …
//	what is a string, and how long is it      scan.go     ScanString
//	writing strings, compacting, unescaping   append.go
//	random access to small trusted documents  lookup.go   Get, Set (gjson, sjson)
//	one text for all that mean the same       canonical.go
//	JSON out of what lenient readers take     strict.go
//
// A Doc is an index over bytes that it does not own: for every value where it
// begins and ends, and which value comes after it. It is made in one iterative
// pass that also proves the bytes to be JSON within limits. From then on no code
// scans strings again: translation copies spans.
package jsonx
