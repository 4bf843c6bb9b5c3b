package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// maxErrors is how many complaints are shown at a time.
const maxErrors = 20

// Error is one complaint about a configuration. Errors of this package may be
// several of them, joined.
type Error struct {
	File    string // the file, or the flag; empty for a Config made by a program
	Line    int    // of the file, from 1; 0 for a flag
	Key     string // dotted path, such as "upstream.timeouts.idle"; may be empty
	Message string // what is wrong, and what would be right; without secrets
}

// Error implements error: "antiphon.yml:3: limits.body: …".
func (e *Error) Error() string {
	s := place{e.File, e.Line}.String()
	if s != "" {
		s += ": "
	}
	if e.Key != "" {
		s += e.Key + ": "
	}
	return s + e.Message
}

// place is where something was written.
type place struct {
	file string // or a flag, such as "--listen"
	line int
}

// String returns "file:line", or what there is of it.
func (p place) String() string {
	if p.line == 0 {
		return p.file
	}
	return p.file + ":" + strconv.Itoa(p.line)
}

// complaint makes an Error.
func complaint(at place, key, format string, args ...any) *Error {
	return &Error{File: at.file, Line: at.line, Key: key, Message: fmt.Sprintf(format, args...)}
}

// joined returns all complaints as one error, in the order of the file and
// without repetition, or nil.
func joined(list []*Error) error {
	slices.SortStableFunc(list, func(a, b *Error) int { return cmp.Compare(a.Line, b.Line) })
	list = slices.CompactFunc(list, func(a, b *Error) bool { return *a == *b })
	var errs []error
	for i, e := range list {
		if i == maxErrors {
			errs = append(errs, fmt.Errorf("… and %d more", len(list)-i))
			break
		}
		errs = append(errs, e)
	}
	return errors.Join(errs...)
}
