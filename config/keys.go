package config

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
)

// Bounds of a file of API keys.
const (
	maxKeysFile  = 64 << 20 // bytes: about half a million keys
	maxKey       = 1024     // bytes; a longer one would not fit a header
	maxPrincipal = 64       // bytes
)

// Keys are the API keys that clients come in with. Only SHA-256 hashes of them
// are kept. Keys are safe for concurrent use.
type Keys struct {
	principals map[[sha256.Size]byte]string
}

// LoadKeys reads a file of API keys. Each line has a principal, which is the
// tenant that a key stands for, and a key of it, or the key's hash:
//
//	# comments and blank lines are skipped
//	alice   sk-in-clear
//	alice   sha256:<64 hex digits>    # a second key, while the first is rotated out
//
// Hashes come from: printf %s "$KEY" | sha256sum. They suit random keys only:
// one that can be guessed can be found from its hash.
func LoadKeys(path string) (*Keys, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading API keys: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxKeysFile+1))
	defer clear(data)
	if err != nil {
		return nil, fmt.Errorf("reading API keys: %w", err)
	}
	return ParseKeys(path, data)
}

// ParseKeys is LoadKeys for a file that has been read already. The name is for
// complaints. Nothing of data is kept.
func ParseKeys(name string, data []byte) (*Keys, error) {
	if len(data) > maxKeysFile {
		return nil, complaint(place{name, 1}, "", "the file is larger than 64MiB; is it a file of API keys?")
	}
	k := &Keys{principals: map[[sha256.Size]byte]string{}}
	lines := map[[sha256.Size]byte]int{}
	var errs []*Error
	number := 0
	for line := range bytes.Lines(data) {
		number++
		if len(errs) > maxErrors {
			break
		}
		principal, sum, err := parseKeyLine(line)
		switch first := lines[sum]; {
		case err != nil:
			errs = append(errs, complaint(place{name, number}, "", "%v", err))
		case principal == "":
		case first != 0:
			errs = append(errs, complaint(place{name, number}, "", "this key is in line %d already; every key may stand once", first))
		default:
			k.principals[sum], lines[sum] = principal, number
		}
	}
	if len(errs) == 0 && len(lines) == 0 {
		errs = append(errs, complaint(place{name, max(1, number)}, "", "there is no key in the file, so that nobody could come in; write lines of <principal> <key>"))
	}
	if len(errs) > 0 {
		return nil, joined(errs)
	}
	return k, nil
}

// parseKeyLine reads one line; principal is empty when there is nothing in it.
// Errors do not repeat what may be a key.
func parseKeyLine(line []byte) (principal string, sum [sha256.Size]byte, err error) {
	words := bytes.Fields(line)
	for i, word := range words {
		if word[0] == '#' {
			words = words[:i]
			break
		}
	}
	switch {
	case len(words) == 0:
		return "", sum, nil
	case len(words) == 1:
		return "", sum, errors.New("write two words: <principal> <key>, or <principal> sha256:<64 hex digits>")
	case len(words) > 2:
		return "", sum, errors.New("more than two words; a key has no spaces, a comment begins with #")
	case len(words[0]) > maxPrincipal || !isPrincipal(words[0]):
		return "", sum, errors.New("a principal consists of 1 to 64 letters, digits, dots, hyphens and underscores")
	}
	key := words[1]
	if digits, ok := bytes.CutPrefix(key, []byte("sha256:")); ok {
		if len(digits) != hex.EncodedLen(len(sum)) {
			return "", sum, fmt.Errorf("after sha256: must stand 64 hex digits, not %d characters", len(digits))
		}
		if _, err := hex.Decode(sum[:], digits); err != nil {
			return "", sum, errors.New("after sha256: must stand 64 hex digits (0-9, a-f)")
		}
		return string(words[0]), sum, nil
	}
	if len(key) > maxKey {
		return "", sum, fmt.Errorf("the key is longer than %d bytes", maxKey)
	}
	for _, c := range key {
		if c <= ' ' || c >= 0x7f {
			return "", sum, errors.New("a key consists of printable ASCII characters")
		}
	}
	return string(words[0]), sha256.Sum256(key), nil
}

func isPrincipal(s []byte) bool {
	for _, c := range s {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// Lookup returns whose key it is. The time it takes depends on the key's length
// alone: what is compared are hashes, which a caller cannot steer towards those
// of real keys byte by byte.
func (k *Keys) Lookup(key []byte) (principal string, ok bool) {
	principal, ok = k.principals[sha256.Sum256(key)]
	return principal, ok
}

// Len returns the number of keys.
func (k *Keys) Len() int { return len(k.principals) }

// String implements fmt.Stringer without the hashes.
func (k *Keys) String() string { return fmt.Sprintf("%d API keys", k.Len()) }

// GoString implements fmt.GoStringer without the hashes.
func (k *Keys) GoString() string { return k.String() }
