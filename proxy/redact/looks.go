package redact

import "strings"

// tokenPrefixes begin keys and tokens that are known by their form.
var tokenPrefixes = []string{"sk-", "sk_", "pk-", "rk-", "gsk_", "xai-", "hf_", "ghp_", "gho_", "github_pat_", "glpat-", "xoxb-", "xoxp-", "AIza", "AKIA", "nvapi-", "r8_", "pplx-", "eyJ"}

// minToken is the length from which on such a word is taken for a token.
const minToken = 12

// Tokens returns a text without what looks like a credential: what follows Bearer or
// Basic, words with the beginnings of known kinds of keys, and the users in URLs.
func Tokens(s string) string {
	var out strings.Builder
	last := 0
	hide := func(from, to int) {
		if from < last || to <= from {
			return
		}
		out.WriteString(s[last:from])
		out.WriteString(Hidden)
		last = to
	}
	for i := 0; i < len(s); {
		if !isTokenByte(s[i]) {
			i++
			continue
		}
		end := i
		for end < len(s) && isTokenByte(s[end]) {
			end++
		}
		word := s[i:end]
		switch {
		case strings.EqualFold(word, "bearer"), strings.EqualFold(word, "basic"):
			from := end
			for from < len(s) && (s[from] == ' ' || s[from] == ':') {
				from++
			}
			to := from
			for to < len(s) && isTokenByte(s[to]) {
				to++
			}
			if to-from >= minToken || to-from >= minLength && strings.ContainsAny(s[from:to], "0123456789-_.=") {
				hide(from, to)
				end = to
			}
		case isToken(word):
			hide(i, end)
		case strings.HasPrefix(s[end:], "://"):
			from := end + len("://")
			to := from
			for to < len(s) && !strings.ContainsRune("/?# \"'<>\n\t", rune(s[to])) {
				to++
			}
			if at := strings.LastIndexByte(s[from:to], '@'); at > 0 {
				hide(from, from+at)
			}
			end = max(from, last)
		}
		i = max(end, i+1)
	}
	if last == 0 {
		return s
	}
	out.WriteString(s[last:])
	return out.String()
}

func isToken(word string) bool {
	if len(word) < minToken {
		return false
	}
	for _, p := range tokenPrefixes {
		if strings.HasPrefix(word, p) {
			return true
		}
	}
	return false
}

func isTokenByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_.~+=*", c) >= 0
}
