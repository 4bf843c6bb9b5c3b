package grammar

import (
	"errors"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// larkRules is a grammar in the notation of Lark, as far as it is read here:
// rules and terminals with alternatives, groups, options, repetitions, strings,
// ranges, regular expressions, %import of common terminals and %ignore. What is
// not is refused: templates, priorities that matter only to the lexer are
// ignored, everything else with a % is not known.
type larkRules struct {
	symbols []larkSymbol
	start   int
	ignore  []int // terminals that may stand between others
}

// larkSymbol is a rule or something that matches characters.
type larkSymbol struct {
	name    string
	bodies  [][]int // of a rule: its alternatives, as indexes into symbols
	match   *program
	literal string // instead of match; "" if neither: a rule
	lexical bool   // nothing may be ignored within it
	defined bool
	empty   bool // it matches the empty text
}

func (s *larkSymbol) isRule() bool { return s.match == nil && s.literal == "" }

var errLark = errors.New("grammar: one that cannot be checked")

// larkCommon are the terminals of Lark's library, as regular expressions.
var larkCommon = map[string]string{
	"DIGIT": `[0-9]`, "HEXDIGIT": `[0-9a-fA-F]`, "INT": `[0-9]+`, "SIGNED_INT": `[+-]?[0-9]+`,
	"DECIMAL": `[0-9]+\.[0-9]*|\.[0-9]+`, "FLOAT": `[0-9]+[eE][+-]?[0-9]+|(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?`,
	"NUMBER":        `(?:[0-9]+|[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?`,
	"SIGNED_NUMBER": `[+-]?(?:[0-9]+|[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?`,
	"LETTER":        `[a-zA-Z]`, "LCASE_LETTER": `[a-z]`, "UCASE_LETTER": `[A-Z]`, "WORD": `[a-zA-Z]+`, "CNAME": `[_a-zA-Z][_a-zA-Z0-9]*`,
	"ESCAPED_STRING": `"(?:[^"\\\n]|\\[^\n])*"`,
	"LF":             `\n`, "CR": `\r`, "NEWLINE": `(?:\r?\n)+`, "WS": `[ \t\f\r\n]+`, "WS_INLINE": `[ \t]+`,
}

// larkReader reads a definition.
type larkReader struct {
	text   string
	at     int
	rules  larkRules
	byName map[string]int
	within bool // a terminal is being read
	deep   int
}

const (
	maxLarkSymbols = 10_000
	maxLarkDepth   = 50
)

// parseLark reads a grammar, or says that it cannot be checked.
func parseLark(definition string) (*larkRules, error) {
	r := larkReader{text: definition, byName: map[string]int{}}
	for {
		r.space(true)
		if r.at == len(r.text) {
			break
		}
		if err := r.statement(); err != nil {
			return nil, err
		}
	}
	g := &r.rules
	start, ok := r.byName["start"]
	if !ok {
		return nil, errLark
	}
	g.start = start
	for i := range g.symbols {
		if s := &g.symbols[i]; s.isRule() && !s.defined {
			return nil, errLark
		}
	}
	var ignored []int
	for _, i := range g.ignore {
		var err error
		if ignored, err = g.flatten(ignored, i, 0); err != nil {
			return nil, err
		}
	}
	g.ignore = ignored
	g.findEmpty()
	return g, nil
}

// flatten appends what a symbol that is ignored consists of: since all of it may
// come again and again, only the things that match characters count. What is more
// than a choice and a repetition is refused.
func (g *larkRules) flatten(to []int, symbol, deep int) ([]int, error) {
	s := &g.symbols[symbol]
	if !s.isRule() {
		return append(to, symbol), nil
	}
	if deep > 8 {
		return nil, errLark
	}
	for _, body := range s.bodies {
		var rest []int
		for _, part := range body {
			if part != symbol {
				rest = append(rest, part)
			}
		}
		if len(rest) > 1 {
			return nil, errLark
		}
		for _, part := range rest {
			var err error
			if to, err = g.flatten(to, part, deep+1); err != nil {
				return nil, err
			}
		}
	}
	return to, nil
}

// symbol is the index of a name's symbol.
func (r *larkReader) symbol(name string) int {
	if i, ok := r.byName[name]; ok {
		return i
	}
	i := r.add(larkSymbol{name: name})
	r.byName[name] = i
	return i
}

func (r *larkReader) add(s larkSymbol) int {
	r.rules.symbols = append(r.rules.symbols, s)
	return len(r.rules.symbols) - 1
}

// space skips white space and comments; with lines also line ends.
func (r *larkReader) space(lines bool) {
	for r.at < len(r.text) {
		switch c := r.text[r.at]; {
		case c == ' ' || c == '\t' || c == '\r' || c == '\f', lines && c == '\n':
			r.at++
		case strings.HasPrefix(r.text[r.at:], "//"), lines && c == '#':
			end := strings.IndexByte(r.text[r.at:], '\n')
			if end < 0 {
				end = len(r.text) - r.at
			}
			r.at += end
		default:
			return
		}
	}
}

// take takes a token, if it comes next.
func (r *larkReader) take(token string) bool {
	if strings.HasPrefix(r.text[r.at:], token) {
		r.at += len(token)
		return true
	}
	return false
}

// name takes a name, or returns "".
func (r *larkReader) name() string {
	from := r.at
	for r.at < len(r.text) {
		c := r.text[r.at]
		if c != '_' && !unicode.IsLetter(rune(c)) && (r.at == from || c < '0' || c > '9') || c >= utf8.RuneSelf {
			break
		}
		r.at++
	}
	return r.text[from:r.at]
}

// isTerminal reports whether a name is one of a terminal.
func isTerminal(name string) bool {
	name = strings.TrimLeft(name, "_")
	return name != "" && unicode.IsUpper(rune(name[0]))
}

// statement reads one rule, terminal or directive.
func (r *larkReader) statement() error {
	if r.take("%") {
		return r.directive()
	}
	for r.take("?") || r.take("!") {
	}
	name := r.name()
	if name == "" || isTerminal(name) && name != strings.ToUpper(name) {
		return errLark
	}
	r.space(false)
	if r.take(".") { // a priority
		r.take("-")
		for r.at < len(r.text) && r.text[r.at] >= '0' && r.text[r.at] <= '9' {
			r.at++
		}
		r.space(false)
	}
	if !r.take(":") {
		return errLark // a template, or something that is no rule
	}
	r.within = isTerminal(name)
	i := r.symbol(name)
	if r.rules.symbols[i].defined {
		return errLark
	}
	bodies, err := r.alternatives()
	if err != nil {
		return err
	}
	r.space(false)
	if r.at < len(r.text) && r.text[r.at] != '\n' {
		return errLark
	}
	s := &r.rules.symbols[i]
	s.bodies, s.defined, s.lexical = bodies, true, r.within
	return nil
}

// directive reads what stands behind a %.
func (r *larkReader) directive() error {
	word := r.name()
	r.space(false)
	switch word {
	case "import":
		if !r.take("common") {
			return errLark
		}
		r.space(false)
		if r.take(".") {
			name := r.name()
			as := name
			r.space(false)
			if r.take("->") {
				r.space(false)
				as = r.name()
			}
			return r.importCommon(name, as)
		}
		if !r.take("(") {
			return errLark
		}
		for {
			r.space(true)
			name := r.name()
			if err := r.importCommon(name, name); err != nil {
				return err
			}
			r.space(true)
			if r.take(")") {
				return nil
			}
			if !r.take(",") {
				return errLark
			}
		}
	case "ignore":
		r.within = true
		bodies, err := r.alternatives()
		if err != nil {
			return err
		}
		r.rules.ignore = append(r.rules.ignore, r.add(larkSymbol{name: "ignored", bodies: bodies, defined: true, lexical: true}))
		return nil
	}
	return errLark
}

func (r *larkReader) importCommon(name, as string) error {
	pattern, known := larkCommon[name]
	if !known || as == "" {
		return errLark
	}
	p, err := compileProgram(pattern)
	if err != nil {
		return err
	}
	s := &r.rules.symbols[r.symbol(as)]
	if s.defined {
		return errLark
	}
	s.match, s.defined, s.lexical = &p, true, true
	return nil
}

// alternatives reads expansions with | between them, which may go on in the next
// line.
func (r *larkReader) alternatives() (bodies [][]int, err error) {
	if r.deep++; r.deep > maxLarkDepth {
		return nil, errLark
	}
	defer func() { r.deep-- }()
	for {
		var body []int
		for {
			r.space(false)
			item, ok, err := r.item()
			if err != nil {
				return nil, err
			}
			if !ok {
				break
			}
			body = append(body, item)
		}
		if r.take("->") { // an alias
			r.space(false)
			if r.name() == "" {
				return nil, errLark
			}
		}
		bodies = append(bodies, body)
		if len(r.rules.symbols) > maxLarkSymbols {
			return nil, errLark
		}
		mark := r.at
		r.space(true)
		if !r.take("|") {
			if mark < len(r.text) && r.deep == 1 {
				r.at = mark
			}
			return bodies, nil
		}
	}
}

// item reads one thing of an expansion with what says how often it comes. ok is
// false at the end of the expansion.
func (r *larkReader) item() (symbol int, ok bool, err error) {
	if r.at == len(r.text) {
		return 0, false, nil
	}
	switch c := r.text[r.at]; {
	case c == '(' || c == '[':
		r.at++
		bodies, err := r.alternatives()
		if err != nil {
			return 0, false, err
		}
		r.space(true)
		if c == '[' && r.take("]") {
			bodies = append(bodies, nil)
		} else if c == '[' || !r.take(")") {
			return 0, false, errLark
		}
		symbol = r.group(bodies)
	case c == '"':
		if symbol, err = r.quoted(); err != nil {
			return 0, false, err
		}
	case c == '/':
		if symbol, err = r.pattern(); err != nil {
			return 0, false, err
		}
	case c == '_' || c < utf8.RuneSelf && unicode.IsLetter(rune(c)):
		name := r.name()
		if r.within && !isTerminal(name) || r.at < len(r.text) && r.text[r.at] == '{' {
			return 0, false, errLark
		}
		symbol = r.symbol(name)
	default:
		return 0, false, nil
	}
	return r.repeated(symbol)
}

// group makes a rule of its own out of alternatives.
func (r *larkReader) group(bodies [][]int) int {
	return r.add(larkSymbol{bodies: bodies, defined: true, lexical: r.within})
}

// repeated reads how often a thing comes.
func (r *larkReader) repeated(symbol int) (int, bool, error) {
	r.space(false)
	switch {
	case r.take("?"):
		return r.group([][]int{{symbol}, {}}), true, nil
	case r.take("*"):
		many := r.group(nil)
		r.rules.symbols[many].bodies = [][]int{{}, {many, symbol}}
		return many, true, nil
	case r.take("+"):
		many := r.group(nil)
		r.rules.symbols[many].bodies = [][]int{{symbol}, {many, symbol}}
		return many, true, nil
	case r.take("~"):
		r.space(false)
		low, ok := r.number()
		if !ok {
			return 0, false, errLark
		}
		high := low
		if r.take("..") {
			if high, ok = r.number(); !ok {
				return 0, false, errLark
			}
		}
		const most = 500
		if high < low || high > most {
			return 0, false, errLark
		}
		var body []int
		for range low {
			body = append(body, symbol)
		}
		maybe := r.group([][]int{{symbol}, {}})
		for range high - low {
			body = append(body, maybe)
		}
		return r.group([][]int{body}), true, nil
	}
	return symbol, true, nil
}

func (r *larkReader) number() (int, bool) {
	from := r.at
	for r.at < len(r.text) && r.text[r.at] >= '0' && r.text[r.at] <= '9' {
		r.at++
	}
	n, err := strconv.Atoi(r.text[from:r.at])
	return n, err == nil
}

// quoted reads a string, or a range of two.
func (r *larkReader) quoted() (int, error) {
	from, err := r.unquoted()
	if err != nil {
		return 0, err
	}
	if r.take("i") && !r.nameFollows() {
		return r.matching(`(?i:` + quotePattern(from) + `)`)
	}
	mark := r.at
	r.space(false)
	if r.take("..") {
		r.space(false)
		to, err := r.unquoted()
		if err != nil || utf8.RuneCountInString(from) != 1 || utf8.RuneCountInString(to) != 1 {
			return 0, errLark
		}
		return r.matching(`[` + quotePattern(from) + `-` + quotePattern(to) + `]`)
	}
	r.at = mark
	if from == "" {
		return r.group([][]int{{}}), nil
	}
	return r.add(larkSymbol{name: strconv.Quote(from), literal: from, defined: true, lexical: true}), nil
}

// nameFollows reports whether a letter that was taken for a flag goes on.
func (r *larkReader) nameFollows() bool {
	return r.at < len(r.text) && (r.text[r.at] == '_' || unicode.IsLetter(rune(r.text[r.at])))
}

// quotePattern writes a text so that it means itself, within brackets too.
func quotePattern(text string) string {
	var b strings.Builder
	for _, c := range text {
		b.WriteString(`\x{` + strconv.FormatInt(int64(c), 16) + `}`)
	}
	return b.String()
}

// unquoted reads a string in quotes.
func (r *larkReader) unquoted() (string, error) {
	if !r.take(`"`) {
		return "", errLark
	}
	from := r.at
	for r.at < len(r.text) && r.text[r.at] != '"' {
		switch r.text[r.at] {
		case '\n':
			return "", errLark
		case '\\':
			r.at++
		}
		r.at++
	}
	if r.at >= len(r.text) {
		return "", errLark
	}
	raw := r.text[from:r.at]
	r.at++
	text, err := strconv.Unquote(`"` + raw + `"`)
	if err != nil || !utf8.ValidString(text) {
		return "", errLark
	}
	return text, nil
}

// pattern reads a regular expression between slashes.
func (r *larkReader) pattern() (int, error) {
	r.at++
	from := r.at
	for r.at < len(r.text) && r.text[r.at] != '/' {
		switch r.text[r.at] {
		case '\n':
			return 0, errLark
		case '\\':
			r.at++
		}
		r.at++
	}
	if r.at >= len(r.text) {
		return 0, errLark
	}
	pattern, ok := portablePattern(r.text[from:r.at])
	if !ok {
		return 0, errLark
	}
	r.at++
	flags := ""
	for r.at < len(r.text) && strings.IndexByte("imslux", r.text[r.at]) >= 0 {
		switch c := r.text[r.at]; c {
		case 'i', 's':
			flags += string(c)
		case 'u':
		default: // what it changes is not known here
			return 0, errLark
		}
		r.at++
	}
	return r.matching(`(?` + flags + `:` + pattern + `)`)
}

// matching adds a symbol that matches a pattern.
func (r *larkReader) matching(pattern string) (int, error) {
	p, err := compileProgram(pattern)
	if err != nil {
		return 0, errLark
	}
	name := strings.TrimSuffix(strings.TrimPrefix(pattern, "(?:"), ")")
	return r.add(larkSymbol{name: "/" + clip(name, 40) + "/", match: &p, defined: true, lexical: true}), nil
}
