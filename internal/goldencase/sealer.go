package goldencase

import (
	"bytes"
	"strings"
)

// Sealer makes envelopes that can be read (a translate.Sealer): JSON with other
// quotes. Golden cases have no keys, and say what is in an envelope.
type Sealer struct{ Tenant string }

var (
	seals   = strings.NewReplacer(`"`, `'`, `\`, `^`)
	unseals = strings.NewReplacer(`'`, `"`, `^`, `\`)
)

// Seal appends the envelope of plain to dst. ok is false for what has the
// characters that stand for others.
func (s Sealer) Seal(dst, plain []byte) (sealed []byte, ok bool) {
	if bytes.ContainsAny(plain, "'^\n") {
		return dst, false
	}
	dst = append(dst, "sealed:"+s.Tenant...)
	return append(dst, seals.Replace(string(plain))...), true
}

// Open appends what is in an envelope to dst.
func (s Sealer) Open(dst, sealed []byte) (plain []byte, ok bool) {
	text, ok := bytes.CutPrefix(sealed, []byte("sealed:"+s.Tenant))
	if !ok {
		return dst, false
	}
	return append(dst, unseals.Replace(string(text))...), true
}
