package schema

import (
	"regexp"
	"time"

	"github.com/dlclark/regexp2/v2"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// maxMatch bounds one match of a pattern that backtracks. What takes longer counts
// as matching: an answer is not refused for the price of its check.
const maxMatch = 50 * time.Millisecond

// compilePattern reads a pattern. Go's own engine is linear in time; what it does
// not have (looking ahead and behind, references to groups) is matched by one that
// backtracks, within maxMatch.
func compilePattern(pattern string) (jsonschema.Regexp, error) {
	if re, err := regexp.Compile(pattern); err == nil {
		return re, nil
	}
	re, err := regexp2.Compile(pattern, regexp2.ECMAScript)
	if err != nil {
		return nil, err
	}
	re.MatchTimeout = maxMatch
	return &backtracking{re}, nil
}

// backtracking is a pattern of JavaScript that Go's syntax does not have.
type backtracking struct{ re *regexp2.Regexp }

// MatchString reports whether the pattern matches somewhere in s.
func (b *backtracking) MatchString(s string) bool {
	ok, err := b.re.MatchString(s)
	return ok || err != nil
}

// String is the pattern.
func (b *backtracking) String() string { return b.re.String() }
