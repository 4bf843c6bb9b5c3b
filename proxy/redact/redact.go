// Package redact takes known secrets out of texts: the operator's keys and passwords,
// and whatever else is found to be one, wherever somebody has repeated it.
//
// Where is …?
//
//	replacing secrets, in texts, JSON and bytes that may not change their length   redact.go
//	what looks like a credential though nobody has said that it is one             looks.go
package redact

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// Hidden stands in a text for a secret.
const Hidden = "<secret>"

// minLength is that of secrets that are looked for: shorter ones would be found in
// ordinary words.
const minLength = 4

// Redactor knows secrets. It never changes once it is made; nil knows none.
type Redactor struct {
	plain   []string // longest first
	escaped []string // as they stand in JSON, where that is different
}

// New makes a Redactor of secrets. Those of less than four bytes are left out.
func New(secrets ...string) *Redactor { return (*Redactor)(nil).With(secrets...) }

// With returns a Redactor that knows more secrets. It is r itself when there are none.
func (r *Redactor) With(secrets ...string) *Redactor {
	var plain, escaped []string
	if r != nil {
		plain, escaped = slices.Clone(r.plain), slices.Clone(r.escaped)
	}
	known := len(plain)
	for _, s := range secrets {
		if len(s) < minLength || slices.Contains(plain, s) {
			continue
		}
		plain = append(plain, s)
		for _, form := range jsonForms(s) {
			if form != s && !slices.Contains(escaped, form) {
				escaped = append(escaped, form)
			}
		}
	}
	if len(plain) == known {
		return r
	}
	longest := func(a, b string) int { return len(b) - len(a) }
	slices.SortStableFunc(plain, longest)
	slices.SortStableFunc(escaped, longest)
	return &Redactor{plain, escaped}
}

// jsonForms are the ways in which encoders write a text between quotes.
func jsonForms(s string) []string {
	var forms []string
	for _, html := range [...]bool{false, true} {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(html)
		if enc.Encode(s) == nil {
			form := strings.TrimSuffix(b.String(), "\n")
			form = form[1 : len(form)-1]
			forms = append(forms, form, strings.ReplaceAll(form, "/", `\/`))
		}
	}
	return forms
}

// Text returns a text without the secrets. It is s itself when there are none in it.
func (r *Redactor) Text(s string) string {
	if r == nil {
		return s
	}
	for _, list := range [...][]string{r.escaped, r.plain} {
		for _, secret := range list {
			if strings.Contains(s, secret) {
				s = strings.ReplaceAll(s, secret, Hidden)
			}
		}
	}
	return s
}

// JSON returns JSON, or lines of it, without the secrets. It is doc itself when there
// are none in it.
func (r *Redactor) JSON(doc []byte) []byte {
	if r == nil {
		return doc
	}
	for _, list := range [...][]string{r.escaped, r.plain} {
		for _, secret := range list {
			if bytes.Contains(doc, []byte(secret)) {
				doc = bytes.ReplaceAll(doc, []byte(secret), []byte(Hidden))
			}
		}
	}
	return doc
}

// Mask overwrites the secrets in b with asterisks: the length stays, as lengths that
// were announced demand. It reports whether there was any.
func (r *Redactor) Mask(b []byte) (found bool) {
	if r == nil {
		return false
	}
	for _, list := range [...][]string{r.escaped, r.plain} {
		for _, secret := range list {
			for rest := b; ; {
				i := bytes.Index(rest, []byte(secret))
				if i < 0 {
					break
				}
				found = true
				for j := range len(secret) {
					rest[i+j] = '*'
				}
				rest = rest[i+len(secret):]
			}
		}
	}
	return found
}

// String implements fmt.Stringer without the secrets.
func (r *Redactor) String() string { return "redact.Redactor" }

// GoString implements fmt.GoStringer without the secrets.
func (r *Redactor) GoString() string { return r.String() }
