package grammar

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"
)

// Grammar is a compiled grammar. The zero value is one that is not checked.
type Grammar struct {
	whole *regexp.Regexp
	rules *larkRules
}

// Compile reads a grammar in the notation "regex" or "lark". ok is false if it
// cannot be checked: another notation, a definition over 64 KiB, or one that cannot
// be read exactly.
func Compile(notation, definition string) (g Grammar, ok bool) {
	if len(definition) > maxDefinition {
		return g, false
	}
	switch notation {
	case "regex":
		pattern, ok := portablePattern(definition)
		if !ok {
			return g, false
		}
		re, err := regexp.Compile(`\A(?:` + pattern + `)\z`)
		if err != nil {
			return g, false
		}
		return Grammar{whole: re}, true
	case "lark":
		rules, err := parseLark(definition)
		if err != nil {
			return g, false
		}
		return Grammar{rules: rules}, true
	}
	return g, false
}

// maxDefinition bounds a definition that is checked, in bytes.
const maxDefinition = 64 << 10

// Check reports what is wrong with an input, in words for a model, or "". Whatever takes too much work
// to check counts as right.
func (g *Grammar) Check(input string) (reason string) {
	switch {
	case g.whole != nil:
		if !g.whole.MatchString(input) {
			return "it does not match the regular expression"
		}
	case g.rules != nil:
		at, expected, right := g.rules.recognise(input)
		if right {
			return ""
		}
		line := 1 + strings.Count(input[:at], "\n")
		column := 1 + utf8.RuneCountInString(input[strings.LastIndexByte(input[:at], '\n')+1:at])
		found := "the end"
		if at < len(input) {
			found = fmt.Sprintf("%q", clip(input[at:], 20))
		}
		reason = fmt.Sprintf("line %d, column %d: found %s", line, column, found)
		if len(expected) > 0 {
			reason += ", expected " + strings.Join(expected, " or ")
		}
	}
	return reason
}

// portablePattern turns a regular expression in the notation of Rust and Python,
// which is what the API takes, into one that means the same in Go's. ok is false
// for what Go reads in another way.
func portablePattern(pattern string) (out string, ok bool) {
	var b strings.Builder
	class := false // within brackets
	for i := 0; i < len(pattern); i++ {
		c := pattern[i]
		switch {
		case c == '\\' && i+1 < len(pattern):
			i++
			word, known := portableEscape(pattern[i], class)
			if !known {
				return "", false
			}
			b.WriteString(word)
			continue
		case !class && strings.HasPrefix(pattern[i:], "{,"): // from none, or itself
			return "", false
		case class && c == '[' && !strings.HasPrefix(pattern[i:], "[:"):
			return "", false // a set within a set
		case class && i+1 < len(pattern) && pattern[i+1] == c && (c == '&' || c == '-' || c == '~'):
			return "", false // an operation on sets
		case c == '[' && !class:
			class = true
			b.WriteByte(c)
			if rest := pattern[i+1:]; strings.HasPrefix(rest, "^") {
				b.WriteByte('^')
				i++
			}
			if i+1 < len(pattern) && pattern[i+1] == ']' { // it stands for itself there
				b.WriteString(`\]`)
				i++
			}
			continue
		case class && c == '[': // [:alpha:]
			end := strings.Index(pattern[i:], ":]")
			if end < 0 {
				return "", false
			}
			b.WriteString(pattern[i : i+end+2])
			i += end + 1
			continue
		case c == ']' && class:
			class = false
		case !class && c == '(' && strings.HasPrefix(pattern[i:], "(?"):
			if rest := pattern[i+2:]; strings.HasPrefix(rest, "x") || strings.HasPrefix(rest, "R") || strings.HasPrefix(rest, "u") {
				return "", false
			}
		}
		b.WriteByte(c)
	}
	return b.String(), !class
}

// portableEscape is what an escape is in Go's notation: digits, letters and
// spaces are those of Unicode in the others.
func portableEscape(c byte, class bool) (out string, ok bool) {
	const word, space = `\p{L}\p{M}\p{Nd}\p{Pc}`, `\t-\r \x{85}\p{Z}`
	set := func(members string, not string) (string, bool) {
		switch {
		case !class:
			return "[" + not + members + "]", true
		case not == "":
			return members, true
		}
		return complement(members), true
	}
	switch c {
	case 'd':
		return `\p{Nd}`, true
	case 'D':
		return `\P{Nd}`, true
	case 'w':
		return set(word, "")
	case 'W':
		return set(word, "^")
	case 's':
		return set(space, "")
	case 'S':
		return set(space, "^")
	case 'A', 'z', 'n', 'r', 't', 'f', 'v', 'a', 'x', 'p', 'P':
		return `\` + string(c), true
	}
	if c < utf8.RuneSelf && strings.IndexByte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", c) < 0 {
		return `\` + string(c), true // punctuation
	}
	return "", false // \b, \u, references back …
}

// complement is what is not in a set, as members of another: Go has no sets
// within sets.
func complement(members string) string {
	re, err := syntax.Parse("[^"+members+"]", syntax.Perl)
	if err != nil || re.Op != syntax.OpCharClass { // cannot be: the sets are ours
		return members
	}
	var b strings.Builder
	for i := 0; i+1 < len(re.Rune); i += 2 {
		fmt.Fprintf(&b, `\x{%x}-\x{%x}`, re.Rune[i], re.Rune[i+1])
	}
	return b.String()
}

// program is a regular expression that can be asked for every place where a
// match may end, which package regexp does not tell.
type program struct{ *syntax.Prog }

// compileProgram compiles a pattern in Go's notation. Patterns that look around
// themselves are refused.
func compileProgram(pattern string) (program, error) {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return program{}, err
	}
	p, err := syntax.Compile(re.Simplify())
	if err != nil {
		return program{}, err
	}
	for i := range p.Inst {
		if p.Inst[i].Op == syntax.InstEmptyWidth {
			return program{}, errLark
		}
	}
	return program{p}, nil
}

// ends appends the places in input where a match that begins at from may end.
func (p program) ends(ends []int, input string, from int, work *int) []int {
	now, next := p.follow(nil, uint32(p.Start)), []uint32(nil)
	for at := from; ; {
		for _, pc := range now {
			if p.Inst[pc].Op == syntax.InstMatch {
				ends = append(ends, at)
				break
			}
		}
		if at == len(input) || len(now) == 0 || *work <= 0 {
			return ends
		}
		*work -= 1 + len(now)*len(now)/16
		r, size := utf8.DecodeRuneInString(input[at:])
		next = next[:0]
		for _, pc := range now {
			i := &p.Inst[pc]
			switch i.Op {
			case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
				if i.MatchRune(r) {
					next = p.follow(next, i.Out)
				}
			}
		}
		now, next = next, now
		at += size
	}
}

// follow adds the instruction at pc, and what it leads to without taking a
// character, to the states.
func (p program) follow(states []uint32, pc uint32) []uint32 {
	if slices.Contains(states, pc) {
		return states
	}
	states = append(states, pc)
	switch i := &p.Inst[pc]; i.Op {
	case syntax.InstAlt, syntax.InstAltMatch:
		return p.follow(p.follow(states, i.Out), i.Arg)
	case syntax.InstCapture, syntax.InstNop:
		return p.follow(states, i.Out)
	}
	return states
}

// clip cuts a text to at most so many bytes, on the edge of a character.
func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}
