package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
)

// Purpose says what is in an envelope. One that was made for a purpose does not
// open for another.
type Purpose string

// The purposes.
const (
	Reasoning  Purpose = "reasoning"  // what a reasoning item says, and what goes with it
	Credential Purpose = "credential" // a client's, with a response that waits to be made
	Compaction Purpose = "compaction" // the summary in a compaction item
)

// MaxPlaintext is the most bytes that an envelope holds.
const MaxPlaintext = 8 << 20

// Errors of a Sealer.
var (
	// ErrRefused: the envelope is not one that this deployment has made for this
	// tenant and purpose, or it was changed. There is one error for all of these:
	// a client that tries things learns nothing about which it was.
	ErrRefused = errors.New("seal: not an envelope of this server for this client")
	// ErrTooLarge: the plaintext has more than MaxPlaintext bytes.
	ErrTooLarge = errors.New("seal: too large for an envelope")
)

const (
	prefix    = "antiphon1."
	keyIDSize = 8
	headSize  = len(prefix) + keyIDSize + 1
	overhead  = 12 + 16 // nonce and tag
)

// encoding is strict: one plaintext has one spelling under one nonce.
var encoding = base64.RawURLEncoding.Strict()

// IsOurs reports whether a blob says of itself that it is an envelope of some
// Antiphon. Whether that is true only Open can tell. Other makers' blobs do not
// begin like this.
func IsOurs(blob []byte) bool { return bytes.HasPrefix(blob, []byte(prefix)) }

// Size is how long the envelope of n bytes is.
func Size(n int) int { return headSize + encoding.EncodedLen(n+overhead) }

// Seal appends the envelope of plaintext to dst. The same plaintext has another
// envelope each time. ErrTooLarge, ErrNoKeys.
func (s *Sealer) Seal(dst []byte, tenant string, p Purpose, plaintext []byte) ([]byte, error) {
	if len(plaintext) > MaxPlaintext {
		return dst, ErrTooLarge
	}
	keys, err := s.keys()
	if err != nil {
		return dst, err
	}
	k := &keys[0]
	aead := k.derive(tenant, p)
	start := len(dst)
	dst = slices.Grow(dst, Size(len(plaintext)))
	dst = append(dst, prefix...)
	dst = append(dst, k.id[:]...)
	dst = append(dst, '.')
	sealed := aead.Seal(nil, nil, plaintext, associated(dst[start:], tenant, p))
	return encoding.AppendEncode(dst, sealed), nil
}

// Open appends to dst what is in an envelope. ErrRefused, ErrNoKeys.
func (s *Sealer) Open(dst []byte, tenant string, p Purpose, blob []byte) ([]byte, error) {
	if !IsOurs(blob) || len(blob) < Size(0) || len(blob) > Size(MaxPlaintext) || blob[headSize-1] != '.' {
		return dst, ErrRefused
	}
	keys, err := s.keys()
	if err != nil {
		return dst, err
	}
	i := slices.IndexFunc(keys, func(k key) bool { return string(k.id[:]) == string(blob[len(prefix):headSize-1]) })
	if i < 0 {
		return dst, ErrRefused
	}
	body := blob[headSize:]
	if bytes.ContainsAny(body, "\r\n") { // which the decoder would skip
		return dst, ErrRefused
	}
	sealed, err := encoding.AppendDecode(nil, body)
	if err != nil {
		return dst, ErrRefused
	}
	out, err := keys[i].derive(tenant, p).Open(dst, nil, sealed, associated(blob[:headSize], tenant, p))
	if err != nil {
		return dst, ErrRefused
	}
	return out, nil
}

// key is a master key.
type key struct {
	id  [keyIDSize]byte
	prk []byte // what HKDF extracted from the secret
}

func newKey(secret []byte) key {
	var k key
	k.prk = must(hkdf.Extract(sha256.New, secret, []byte("antiphon seal 1")))
	const digits = "0123456789abcdef"
	for i, b := range must(hkdf.Expand(sha256.New, k.prk, "key id", keyIDSize/2)) {
		k.id[2*i], k.id[2*i+1] = digits[b>>4], digits[b&15]
	}
	return k
}

// derive makes the cipher for a tenant and a purpose. It takes 1.5 µs,
// little next to what sealing is for, so that no cache of keys has to be kept
// in bounds.
func (k *key) derive(tenant string, p Purpose) cipher.AEAD {
	secret := must(hkdf.Expand(sha256.New, k.prk, "envelope\x00"+string(p)+"\x00"+tenant, 32))
	return must(cipher.NewGCMWithRandomNonce(must(aes.NewCipher(secret))))
}

// associated is what an envelope is bound to. No purpose has a NUL, so that two
// bindings that differ never read the same.
func associated(head []byte, tenant string, p Purpose) []byte {
	ad := make([]byte, 0, len(head)+len(p)+1+len(tenant))
	ad = append(ad, head...)
	ad = append(ad, p...)
	ad = append(ad, 0)
	return append(ad, tenant...)
}

// must is for what fails only with arguments that are never passed here.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
