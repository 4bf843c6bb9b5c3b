package schema

import (
	"bytes"
	"errors"
	"regexp"
	"strconv"
	"strings"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// Bounds of one check: schemas come from clients, and may refer to themselves.
const (
	maxSteps = 1 << 20 // schemas that values are held against
	maxDepth = 256     // schemas within schemas
)

// Schema is a JSON Schema. It is for one goroutine at a time.
type Schema struct {
	doc      jsonx.Doc
	patterns map[string]*regexp.Regexp // nil for one that Go's syntax does not have
	moved    bool                      // it has an $id inside, so that references may mean something else
}

// limits are generous: what comes here has passed a client's or backend's own.
var limits = jsonx.Limits{Depth: 1 << 10, Values: 1 << 24}

// ErrNoSchema says that a text is not a JSON Schema.
var ErrNoSchema = errors.New("schema: neither an object nor true or false")

// Parse reads a schema. The text must not change while the schema is in use.
func Parse(text []byte) (*Schema, error) {
	s := &Schema{}
	if err := s.doc.Parse(text, limits); err != nil {
		return nil, err
	}
	switch s.doc.Kind(jsonx.Root) {
	case jsonx.Object, jsonx.True, jsonx.False:
		ids := bytes.Count(text, []byte(`"$id"`))
		s.moved = ids > 1 || ids == 1 && s.doc.Get(jsonx.Root, "$id") == 0
		return s, nil
	}
	return nil, ErrNoSchema
}

// Check says what is wrong with a value, in words that a model can act on, or "".
func (s *Schema) Check(value []byte) (problem string) {
	c := checker{s: s, d: &s.doc}
	if err := c.v.Parse(value, limits); err != nil {
		return "it is not JSON: " + err.Error()
	}
	if c.check(jsonx.Root, jsonx.Root, 0) {
		return ""
	}
	return c.problem
}

// checker is one run of Check: d is the schema, v the value.
type checker struct {
	s       *Schema
	d       *jsonx.Doc
	v       jsonx.Doc
	steps   int
	quiet   int // within what may fail, as a branch of anyOf
	spent   bool
	unsure  bool // a keyword was passed over, so that what is valid may not be
	path    []string
	problem string
}

// fail notes the first problem, and is false.
func (c *checker) fail(what string) bool {
	if c.quiet == 0 && c.problem == "" {
		c.problem = "at " + c.at() + ": " + what
	}
	return false
}

// at is the place in the value, such as $.items[2].name.
func (c *checker) at() string { return "$" + strings.Join(c.path, "") }

func (c *checker) enter(step string) { c.path = append(c.path, step) }
func (c *checker) leave()            { c.path = c.path[:len(c.path)-1] }

// check reports whether the value at n satisfies the schema at k.
func (c *checker) check(k, n uint32, depth int) bool {
	if c.steps++; c.steps > maxSteps || depth > maxDepth {
		c.spent = true
		c.quiet = 0 // no branch can make up for it
		return c.fail("the schema is too complex to be checked")
	}
	d := c.d
	switch d.Kind(k) {
	case jsonx.Object:
	case jsonx.False:
		return c.fail("no value is allowed here")
	default: // true, or no schema
		return true
	}
	for m, end := d.First(k), d.End(k); m < end; m = d.Next(m + 1) {
		if !c.keyword(k, m, n, depth) || c.spent {
			return false
		}
	}
	return true
}

// keyword holds the value at n against one member of the schema at k.
func (c *checker) keyword(k, m, n uint32, depth int) bool {
	d, arg := c.d, m+1
	switch string(d.Str(m)) {
	case "$ref":
		if to, ok := c.resolve(arg); ok {
			return c.check(to, n, depth+1)
		}
		c.unsure = true
	case "type":
		return c.hasType(arg, n)
	case "enum":
		if d.Kind(arg) != jsonx.Array {
			return true
		}
		for e, end := d.First(arg), d.End(arg); e < end; e = d.Next(e) {
			if equal(d, e, &c.v, n) {
				return true
			}
		}
		return c.fail("it must be one of " + clip(d.Raw(arg)))
	case "const":
		return equal(d, arg, &c.v, n) || c.fail("it must be "+clip(d.Raw(arg)))
	case "allOf", "anyOf", "oneOf":
		return c.branches(string(d.Str(m)), arg, n, depth)
	case "not":
		ok, sure := c.quietly(arg, n, depth)
		return !ok || !sure || c.fail("it must not be valid against "+clip(d.Raw(arg)))
	case "if":
		ok, sure := c.quietly(arg, n, depth)
		then := "else"
		switch {
		case !sure:
			return true
		case ok:
			then = "then"
		}
		if to := d.Get(k, then); to != 0 {
			return c.check(to, n, depth+1)
		}
	case "title", "description", "default", "examples", "format", "then", "else", "$schema", "$id", "$comment", "$defs", "definitions",
		"deprecated", "readOnly", "writeOnly":
	case "unevaluatedProperties", "unevaluatedItems", "$dynamicRef", "$recursiveRef", "dependentSchemas", "dependencies", "additionalItems":
		c.unsure = true
	default:
		switch c.v.Kind(n) {
		case jsonx.Number:
			return c.number(m, n)
		case jsonx.String:
			return c.text(m, n)
		case jsonx.Array:
			return c.array(k, m, n, depth)
		case jsonx.Object:
			return c.object(k, m, n, depth)
		}
	}
	return true
}

// quietly is check without a word about problems. A value that is not valid
// certainly is not; sure says that one that is valid certainly is.
func (c *checker) quietly(k, n uint32, depth int) (ok, sure bool) {
	unsure := c.unsure
	c.unsure = false
	c.quiet++
	was := c.quiet
	ok = c.check(k, n, depth+1)
	if !c.spent {
		c.quiet = was - 1
	}
	sure = (!ok || !c.unsure) && !c.spent
	c.unsure = c.unsure || unsure
	return ok, sure
}

func (c *checker) branches(word string, arg, n uint32, depth int) bool {
	d := c.d
	if d.Kind(arg) != jsonx.Array {
		return true
	}
	held, certain, count, only := 0, 0, 0, uint32(0)
	for b, end := d.First(arg), d.End(arg); b < end; b = d.Next(b) {
		count, only = count+1, b
		if word == "allOf" {
			if !c.check(b, n, depth+1) {
				return false
			}
			continue
		}
		if ok, sure := c.quietly(b, n, depth); ok {
			if held++; word == "anyOf" {
				return true
			}
			if sure {
				certain++
			}
		}
		if c.spent {
			return false
		}
	}
	switch {
	case word == "allOf" || count == 0 || held > 0 && certain < 2:
		return true
	case held > 0:
		return c.fail("it is valid against more than one of the schemas of oneOf")
	case count == 1: // say what is wrong with it
		return c.check(only, n, depth+1)
	}
	return c.fail("it is valid against none of the schemas of " + word)
}

// resolve finds the schema that a $ref names, if it is within this one.
func (c *checker) resolve(ref uint32) (uint32, bool) {
	d := c.d
	if d.Kind(ref) != jsonx.String {
		return 0, false
	}
	pointer, local := strings.CutPrefix(d.Text(ref), "#")
	if !local || c.s.moved || pointer != "" && pointer[0] != '/' {
		return 0, false
	}
	at := uint32(jsonx.Root)
	for part := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		if pointer == "" {
			break
		}
		part = strings.NewReplacer("~1", "/", "~0", "~").Replace(unpercent(part))
		if d.Kind(at) == jsonx.Array {
			i, err := strconv.Atoi(part)
			if err != nil {
				return 0, false
			}
			next := uint32(0)
			for e, end := d.First(at), d.End(at); e < end; e = d.Next(e) {
				if i == 0 {
					next = e
				}
				i--
			}
			if at = next; at == 0 {
				return 0, false
			}
			continue
		}
		if at = d.Get(at, part); at == 0 {
			return 0, false
		}
	}
	return at, true
}

// unpercent undoes the percent-encoding of a fragment.
func unpercent(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b []byte
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if v, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b = append(b, byte(v))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

// hasType holds the value against type: a name, or an array of names.
func (c *checker) hasType(arg, n uint32) bool {
	d := c.d
	switch d.Kind(arg) {
	case jsonx.String:
		if c.is(arg, n) {
			return true
		}
		return c.fail("it must be of type " + d.Text(arg))
	case jsonx.Array:
		for e, end := d.First(arg), d.End(arg); e < end; e = d.Next(e) {
			if d.Kind(e) != jsonx.String || c.is(e, n) {
				return true
			}
		}
		return d.Len(arg) == 0 || c.fail("it must be of one of the types "+clip(d.Raw(arg)))
	}
	return true
}

func (c *checker) is(name, n uint32) bool {
	kind := c.v.Kind(n)
	switch c.d.Text(name) {
	case "object":
		return kind == jsonx.Object
	case "array":
		return kind == jsonx.Array
	case "string":
		return kind == jsonx.String
	case "boolean":
		return kind == jsonx.True || kind == jsonx.False
	case "null":
		return kind == jsonx.Null
	case "number":
		return kind == jsonx.Number
	case "integer":
		return kind == jsonx.Number && isInteger(c.v.Raw(n))
	}
	return true // no type that there is
}

// clip shortens what a schema says for a message.
func clip(raw []byte) string {
	const most = 300
	if len(raw) > most {
		return strings.ToValidUTF8(string(raw[:most]), "") + "…"
	}
	return string(raw)
}
