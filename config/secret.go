package config

import (
	"encoding/json"
	"fmt"
	"io"
)

// hidden is what a secret looks like wherever it is printed.
const hidden = "<secret>"

// Secret is a text that is not printed by accident: every verb of fmt and every
// encoder shows "<secret>", or nothing when it is empty. Reveal is the only way
// to the text, so that its uses can be found with grep.
//
// The text is behind a pointer because fmt prints unexported fields of other
// structs without asking their methods; there it shows an address.
type Secret struct {
	text *string
}

// NewSecret returns a Secret of text.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{&text}
}

// Reveal returns the text.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports whether the text is empty.
func (s Secret) IsZero() bool { return s.text == nil }

// String implements fmt.Stringer without the text.
func (s Secret) String() string {
	if s.text == nil {
		return ""
	}
	return hidden
}

// GoString implements fmt.GoStringer without the text.
func (s Secret) GoString() string { return s.String() }

// Format implements fmt.Formatter without the text, for every verb.
func (s Secret) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, s.String()) // fmt.State does not fail
}

// MarshalText implements encoding.TextMarshaler without the text.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalJSON implements json.Marshaler without the text.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// MarshalYAML implements yaml.Marshaler without the text.
func (s Secret) MarshalYAML() (any, error) { return s.String(), nil }
