package schema

import (
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// number holds a number against one keyword.
func (c *checker) number(m, n uint32) bool {
	d, arg := c.d, m+1
	if d.Kind(arg) != jsonx.Number {
		return true
	}
	bound, value := rational(d.Raw(arg)), rational(c.v.Raw(n))
	if bound == nil || value == nil {
		c.unsure = true // too long or too large to be compared exactly
		return true
	}
	order := value.Cmp(bound)
	switch string(d.Str(m)) {
	case "minimum":
		return order >= 0 || c.fail("it must be at least "+clip(d.Raw(arg)))
	case "maximum":
		return order <= 0 || c.fail("it must be at most "+clip(d.Raw(arg)))
	case "exclusiveMinimum":
		return order > 0 || c.fail("it must be more than "+clip(d.Raw(arg)))
	case "exclusiveMaximum":
		return order < 0 || c.fail("it must be less than "+clip(d.Raw(arg)))
	case "multipleOf":
		return bound.Sign() <= 0 || new(big.Rat).Quo(value, bound).IsInt() || c.fail("it must be a multiple of "+clip(d.Raw(arg)))
	}
	return true
}

// rational is a number exactly, or nil if it is unreasonably long or large.
func rational(raw []byte) *big.Rat {
	const mostDigits, mostExponent = 400, 400
	if len(raw) > mostDigits {
		return nil
	}
	if i := strings.IndexAny(string(raw), "eE"); i >= 0 {
		if e, err := strconv.Atoi(string(raw[i+1:])); err != nil || e > mostExponent || e < -mostExponent {
			return nil
		}
	}
	r, ok := new(big.Rat).SetString(string(raw))
	if !ok {
		return nil
	}
	return r
}

// isInteger reports whether a number has no fraction: 1.0 and 1e2 have none.
func isInteger(raw []byte) bool {
	if !strings.ContainsAny(string(raw), ".eE") {
		return true
	}
	r := rational(raw)
	return r == nil || r.IsInt()
}

// text holds a string against one keyword.
func (c *checker) text(m, n uint32) bool {
	d, arg := c.d, m+1
	switch string(d.Str(m)) {
	case "minLength":
		return !c.less(utf8.RuneCountInString(c.v.Text(n)), arg) || c.fail("it must have at least "+clip(d.Raw(arg))+" characters")
	case "maxLength":
		return !c.more(utf8.RuneCountInString(c.v.Text(n)), arg) || c.fail("it must have at most "+clip(d.Raw(arg))+" characters")
	case "pattern":
		return c.matches(arg, c.v.Text(n)) || c.fail("it must match the pattern "+clip(d.Raw(arg)))
	}
	return true
}

// less and more compare a count with the number at arg. What is no number bounds
// nothing.
func (c *checker) less(count int, arg uint32) bool {
	b := c.bound(arg)
	return b != nil && big.NewRat(int64(count), 1).Cmp(b) < 0
}

func (c *checker) more(count int, arg uint32) bool {
	b := c.bound(arg)
	return b != nil && big.NewRat(int64(count), 1).Cmp(b) > 0
}

func (c *checker) bound(arg uint32) *big.Rat {
	if c.d.Kind(arg) != jsonx.Number {
		return nil
	}
	return rational(c.d.Raw(arg))
}

// matches reports whether a text matches the pattern at arg. One that is not of
// Go's syntax (look-ahead, back-references) matches everything.
func (c *checker) matches(arg uint32, text string) bool {
	if c.d.Kind(arg) != jsonx.String {
		return true
	}
	re := c.s.pattern(c.d.Text(arg))
	if re == nil {
		c.unsure = true
		return true
	}
	return re.MatchString(text)
}

func (s *Schema) pattern(expr string) *regexp.Regexp {
	if re, ok := s.patterns[expr]; ok {
		return re
	}
	const longest = 10_000
	var re *regexp.Regexp
	if len(expr) <= longest {
		re, _ = regexp.Compile(expr)
	}
	if s.patterns == nil {
		s.patterns = map[string]*regexp.Regexp{}
	}
	s.patterns[expr] = re
	return re
}

// array holds an array against one keyword of the schema at k.
func (c *checker) array(k, m, n uint32, depth int) bool {
	d, arg := c.d, m+1
	switch string(d.Str(m)) {
	case "minItems":
		return !c.less(c.v.Len(n), arg) || c.fail("it must have at least "+clip(d.Raw(arg))+" items")
	case "maxItems":
		return !c.more(c.v.Len(n), arg) || c.fail("it must have at most "+clip(d.Raw(arg))+" items")
	case "uniqueItems":
		return d.Kind(arg) != jsonx.True || c.unique(n) || c.fail("its items must differ from each other")
	case "prefixItems":
		return c.each(arg, n, 0, depth)
	case "items":
		if d.Kind(arg) == jsonx.Array { // of the drafts before 2020-12
			return c.each(arg, n, 0, depth)
		}
		from := 0
		if prefix := d.Get(k, "prefixItems"); d.Kind(prefix) == jsonx.Array {
			from = d.Len(prefix)
		}
		return c.each(arg, n, from, depth)
	case "contains":
		if d.Present(d.Get(k, "minContains")) || d.Present(d.Get(k, "maxContains")) {
			c.unsure = true
			return true
		}
		for e, end := c.v.First(n), c.v.End(n); e < end; e = c.v.Next(e) {
			if ok, _ := c.quietly(arg, e, depth); ok || c.spent {
				return ok
			}
		}
		return c.fail("it must contain an item that is valid against " + clip(d.Raw(arg)))
	}
	return true
}

// each holds the items of an array from one on against a schema, or each against
// its own if arg is an array of schemas.
func (c *checker) each(arg, n uint32, from, depth int) bool {
	d := c.d
	own, schema := d.Kind(arg) == jsonx.Array, arg
	if own {
		schema = d.First(arg)
	}
	i := -1
	for e, end := c.v.First(n), c.v.End(n); e < end; e = c.v.Next(e) {
		if i++; i < from {
			continue
		}
		if own && schema >= d.End(arg) {
			return true
		}
		c.enter("[" + strconv.Itoa(i) + "]")
		ok := c.check(schema, e, depth+1)
		c.leave()
		if !ok {
			return false
		}
		if own {
			schema = d.Next(schema)
		}
	}
	return true
}

func (c *checker) unique(n uint32) bool {
	v := &c.v
	for a, end := v.First(n), v.End(n); a < end; a = v.Next(a) {
		for b := v.Next(a); b < end; b = v.Next(b) {
			if c.steps++; c.steps > maxSteps {
				c.unsure = true
				return true
			}
			if equal(v, a, v, b) {
				return false
			}
		}
	}
	return true
}

// object holds an object against one keyword of the schema at k.
func (c *checker) object(k, m, n uint32, depth int) bool {
	d, v, arg := c.d, &c.v, m+1
	switch string(d.Str(m)) {
	case "minProperties":
		return !c.less(v.Len(n), arg) || c.fail("it must have at least "+clip(d.Raw(arg))+" members")
	case "maxProperties":
		return !c.more(v.Len(n), arg) || c.fail("it must have at most "+clip(d.Raw(arg))+" members")
	case "required":
		return c.requires(arg, n)
	case "dependentRequired":
		for p, end := d.First(arg), d.End(arg); d.Kind(arg) == jsonx.Object && p < end; p = d.Next(p + 1) {
			if v.Get(n, d.Text(p)) != 0 && !c.requires(p+1, n) {
				return false
			}
		}
	case "properties", "patternProperties", "additionalProperties", "propertyNames":
		if word := string(d.Str(m)); word == "properties" || word == "patternProperties" {
			if d.Kind(arg) != jsonx.Object {
				return true
			}
		}
		for p, end := v.First(n), v.End(n); p < end; p = v.Next(p + 1) {
			if !c.member(string(d.Str(m)), k, arg, p, depth) {
				return false
			}
		}
	}
	return true
}

func (c *checker) requires(names, n uint32) bool {
	d := c.d
	if d.Kind(names) != jsonx.Array {
		return true
	}
	for e, end := d.First(names), d.End(names); e < end; e = d.Next(e) {
		if d.Kind(e) == jsonx.String && c.v.Get(n, d.Text(e)) == 0 {
			return c.fail("the member " + clip(d.Raw(e)) + " is missing")
		}
	}
	return true
}

// member holds one member of an object, whose key is at p, against a keyword.
func (c *checker) member(word string, k, arg, p uint32, depth int) bool {
	d, name := c.d, c.v.Text(p)
	schemas := [2]uint32{}
	switch word {
	case "properties":
		schemas[0] = d.Get(arg, name)
	case "patternProperties":
		return c.patterned(arg, p, name, depth)
	case "additionalProperties":
		if c.named(k, name) {
			return true
		}
		if d.Kind(arg) == jsonx.False {
			return c.fail("there must be no member " + clip(c.v.Raw(p)))
		}
		schemas[0] = arg
	case "propertyNames":
		return c.check(arg, p, depth+1)
	}
	if schemas[0] == 0 {
		return true
	}
	c.enter("." + name)
	defer c.leave()
	return c.check(schemas[0], p+1, depth+1)
}

func (c *checker) patterned(arg, p uint32, name string, depth int) bool {
	d := c.d
	for q, end := d.First(arg), d.End(arg); q < end; q = d.Next(q + 1) {
		re := c.s.pattern(d.Text(q))
		if re == nil { // what cannot be told is not held against it
			c.unsure = true
			continue
		}
		if !re.MatchString(name) {
			continue
		}
		c.enter("." + name)
		ok := c.check(q+1, p+1, depth+1)
		c.leave()
		if !ok {
			return false
		}
	}
	return true
}

// named reports whether a member falls under properties or patternProperties.
func (c *checker) named(k uint32, name string) bool {
	d := c.d
	if d.Get(d.Get(k, "properties"), name) != 0 {
		return true
	}
	patterns := d.Get(k, "patternProperties")
	if d.Kind(patterns) != jsonx.Object {
		return false
	}
	for q, end := d.First(patterns), d.End(patterns); q < end; q = d.Next(q + 1) {
		re := c.s.pattern(d.Text(q))
		c.unsure = c.unsure || re == nil
		if re == nil || re.MatchString(name) {
			return true
		}
	}
	return false
}

// equal reports whether two JSON values are the same.
func equal(a *jsonx.Doc, n uint32, b *jsonx.Doc, m uint32) bool {
	if a.Kind(n) != b.Kind(m) {
		return false
	}
	switch a.Kind(n) {
	case jsonx.Number:
		if string(a.Raw(n)) == string(b.Raw(m)) {
			return true
		}
		x, y := rational(a.Raw(n)), rational(b.Raw(m))
		return x != nil && y != nil && x.Cmp(y) == 0
	case jsonx.String:
		return a.Text(n) == b.Text(m)
	case jsonx.Array:
		if a.Len(n) != b.Len(m) {
			return false
		}
		y := b.First(m)
		for x, end := a.First(n), a.End(n); x < end; x = a.Next(x) {
			if !equal(a, x, b, y) {
				return false
			}
			y = b.Next(y)
		}
	case jsonx.Object:
		if a.Len(n) != b.Len(m) {
			return false
		}
		for x, end := a.First(n), a.End(n); x < end; x = a.Next(x + 1) {
			y := b.Get(m, a.Text(x))
			if y == 0 || !equal(a, x+1, b, y) {
				return false
			}
		}
	}
	return true
}
