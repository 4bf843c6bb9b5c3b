package config

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Bounds of a configuration file.
const (
	maxFileSize = 1 << 20
	maxNesting  = 16 // the deepest key is six levels down
)

// setting is one value of a file or a flag, on its way to a field.
type setting struct {
	path []string
	kind settingKind
	text string   // the value, with ${NAME} replaced
	raw  string   // the value as written, the only form that complaints quote
	list []string // for kindList, with ${NAME} replaced
	at   place
}

// key is the dotted path.
func (s *setting) key() string { return joinPath(s.path) }

// referred reports whether the environment took part.
func (s *setting) referred() bool { return s.raw != s.text }

type settingKind uint8

const (
	kindText settingKind = iota
	kindList
	kindNull  // nothing, ~ or null
	kindEmpty // {}
)

// reader turns a YAML document into settings.
type reader struct {
	file     string
	lookup   func(string) (string, bool)
	settings []*setting
	places   map[string]place // of sections and values, by dotted path
	literal  map[string]bool  // see Config.literal
	errs     []*Error
}

func (r *reader) fail(line int, path []string, format string, args ...any) {
	r.errs = append(r.errs, complaint(place{r.file, line}, joinPath(path), format, args...))
}

// read reads a whole file.
func (r *reader) read(data []byte) {
	if line, problem := checkText(data); problem != "" {
		r.fail(line, nil, "%s", problem)
		return
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return // nothing but comments: all defaults
	case err != nil:
		r.syntax(data, err)
		return
	}
	var second yaml.Node
	switch err := decoder.Decode(&second); {
	case err == nil:
		r.fail(second.Line, nil, "a second document begins here; a configuration is one document")
		return
	case !errors.Is(err, io.EOF):
		r.syntax(data, err)
		return
	}
	if len(document.Content) == 0 {
		return
	}
	root := document.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" && root.Value == "" {
		return
	}
	if root.Kind != yaml.MappingNode {
		r.fail(root.Line, nil, "the file must consist of keys, such as %q", "listen: "+DefaultListen)
		return
	}
	r.walk(root, nil)
}

// walk collects the settings at and below a node.
func (r *reader) walk(n *yaml.Node, path []string) {
	if len(r.errs) > maxErrors {
		return
	}
	if !r.plain(n, path) {
		return
	}
	switch n.Kind {
	case yaml.MappingNode:
		r.walkMapping(n, path)
	case yaml.SequenceNode:
		r.add(n, path, r.list(n, path))
	case yaml.ScalarNode:
		if n.Tag == "!!null" {
			r.add(n, path, &setting{kind: kindNull, text: n.Value, raw: n.Value})
			return
		}
		text, problem := expand(n.Value, r.lookup)
		if problem != "" {
			r.fail(n.Line, path, "%s", problem)
			return
		}
		r.add(n, path, &setting{text: text, raw: n.Value})
	}
}

// plain refuses the parts of YAML that a configuration does not need. What was
// written is not quoted: it may be a secret that should have been in quotes.
func (r *reader) plain(n *yaml.Node, path []string) bool {
	switch {
	case n.Kind == yaml.AliasNode:
		r.fail(n.Line, path, "YAML aliases are not supported; put a value that begins with * in quotes")
	case n.Anchor != "":
		r.fail(n.Line, path, "YAML anchors are not supported; put a value that begins with & in quotes")
	case n.Style&yaml.TaggedStyle != 0:
		r.fail(n.Line, path, "YAML tags are not supported; put a value that begins with ! in quotes")
	default:
		return true
	}
	return false
}

func (r *reader) walkMapping(n *yaml.Node, path []string) {
	if len(path) > 0 {
		r.places[joinPath(path)] = place{r.file, n.Line}
	}
	if len(n.Content) == 0 {
		r.add(n, path, &setting{kind: kindEmpty})
	}
	if len(path) == maxNesting {
		r.fail(n.Line, nil, "nested deeper than any key is")
		return
	}
	lines := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if !r.plain(key, path) {
			continue
		}
		switch {
		case key.Tag == "!!merge":
			r.fail(key.Line, path, "YAML merge keys are not supported; write the keys out")
			continue
		case key.Kind != yaml.ScalarNode || key.Tag == "!!null" || key.Value == "":
			r.fail(key.Line, path, "a key must be a text")
			continue
		}
		here := append(slices.Clip(path), key.Value)
		if line, twice := lines[key.Value]; twice {
			r.fail(key.Line, here, "given twice, first in line %d; remove one", line)
			continue
		}
		lines[key.Value] = key.Line
		r.walk(value, here)
	}
}

// list reads a sequence of texts.
func (r *reader) list(n *yaml.Node, path []string) *setting {
	s := &setting{kind: kindList, list: []string{}}
	for _, item := range n.Content {
		if !r.plain(item, path) {
			continue
		}
		if item.Kind != yaml.ScalarNode || item.Tag == "!!null" {
			r.fail(item.Line, path, "the items of a list must be texts")
			continue
		}
		text, problem := expand(item.Value, r.lookup)
		if problem != "" {
			r.fail(item.Line, path, "%s", problem)
			continue
		}
		s.list = append(s.list, text)
	}
	return s
}

func (r *reader) add(n *yaml.Node, path []string, s *setting) {
	s.path, s.at = path, place{r.file, n.Line}
	r.settings = append(r.settings, s)
	r.places[joinPath(path)] = s.at
}

// checkText finds what the YAML library would refuse without saying where.
func checkText(data []byte) (line int, problem string) {
	if len(data) > maxFileSize {
		return 1, "the file is larger than 1MiB; is it a configuration?"
	}
	line = 1
	for i := 0; i < len(data); {
		c, size := utf8.DecodeRune(data[i:])
		switch {
		case c == utf8.RuneError && size == 1:
			return line, "not UTF-8 text; save the file as UTF-8"
		case c == '\n':
			line++
		case c < ' ' && c != '\t' && c != '\r' || c >= 0x7f && c < 0xa0 && c != 0x85:
			return line, "a control character; remove it"
		}
		i += size
	}
	return 0, ""
}

// syntax reports what is not YAML.
func (r *reader) syntax(data []byte, err error) {
	yamlLine := regexp.MustCompile(`^line (\d+): `)
	yamlAnchor := regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	lines := strings.Split(string(data), "\n")
	line := 1
	if m := yamlLine.FindStringSubmatch(message); m != nil {
		line, _ = strconv.Atoi(m[1]) // digits, and an absurd number is mended below
		message = message[len(m[0]):]
		if parserProblem(message) {
			line++ // the library counts these from 0
		}
	}
	if m := yamlAnchor.FindStringSubmatch(message); m != nil {
		// The name is not repeated: it may be an unquoted secret.
		message = "YAML aliases are not supported; put a value that begins with * in quotes"
		for i, text := range lines {
			if strings.Contains(text, "*"+m[1]) {
				line = i + 1
				break
			}
		}
	}
	for len(lines) > 1 && strings.TrimSpace(lines[len(lines)-1]) == "" {
		lines = lines[:len(lines)-1]
	}
	line = max(1, min(line, len(lines)))
	hint := ""
	switch text := lines[line-1]; {
	case strings.Contains(text, "\t"):
		hint = " (YAML wants spaces, not tabs)"
	case strings.Contains(text, "${"):
		hint = ` (inside { } or [ ], write "${NAME}" with quotes)`
	}
	r.fail(line, nil, "not YAML: %s%s", message, hint)
}

// parserProblem reports whether the library's parser complained, rather than
// its scanner.
func parserProblem(message string) bool {
	for _, s := range []string{"node content", "'-' indicator", "key", "',' or ']'", "',' or '}'", "<document start>"} {
		if message == "did not find expected "+s {
			return true
		}
	}
	return false
}

// expand replaces ${NAME} by environment variables, and $${ by ${. What is put
// in is not looked at again.
func expand(text string, lookup func(string) (string, bool)) (expanded, problem string) {
	if !strings.Contains(text, "${") {
		return text, ""
	}
	var b strings.Builder
	for {
		i := strings.Index(text, "${")
		if i < 0 {
			b.WriteString(text)
			return b.String(), ""
		}
		if i > 0 && text[i-1] == '$' {
			b.WriteString(text[:i-1])
			b.WriteString("${")
			text = text[i+2:]
			continue
		}
		b.WriteString(text[:i])
		name, rest, closed := strings.Cut(text[i+2:], "}")
		switch {
		case !closed:
			return "", "${ without }; write ${NAME}, or $${ for a literal ${"
		case !isEnvName(name):
			return "", "between ${ and } stands the name of an environment variable, of letters, digits and _; write $${ for a literal ${"
		}
		value, ok := lookup(name)
		if !ok {
			return "", "the environment variable " + name + " is not set; set it, or write $${ for a literal ${"
		}
		b.WriteString(value)
		text = rest
	}
}

// escapeReferences undoes expand for a text without references.
func escapeReferences(text string) string { return strings.ReplaceAll(text, "${", "$${") }

func isEnvName(s string) bool {
	for i, c := range []byte(s) {
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != "" && len(s) <= 256
}

// joinPath makes a dotted path for people and for the table of places.
func joinPath(path []string) string {
	var b strings.Builder
	for i, s := range path {
		if i > 0 {
			b.WriteByte('.')
		}
		if len(s) > 80 {
			s = strings.ToValidUTF8(s[:80], "") + "…"
		}
		if q := strconv.Quote(s); len(q) != len(s)+2 {
			s = q
		}
		b.WriteString(s)
	}
	return b.String()
}
