package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"
)

func check(t testing.TB, schema, value string) string {
	t.Helper()
	s, err := Parse([]byte(schema))
	if err != nil {
		t.Fatalf("%s: %v", schema, err)
	}
	problem := s.Check([]byte(value))
	if again := s.Check([]byte(value)); again != problem {
		t.Errorf("%s of %s: %q, then %q", value, schema, problem, again)
	}
	return problem
}

const person = `{"type":"object","properties":{"name":{"type":"string","minLength":1},"age":{"type":["integer","null"],"minimum":0},` +
	`"tags":{"type":"array","items":{"enum":["a","b"]}},"next":{"$ref":"#"}},"required":["name","age"],"additionalProperties":false}`

func TestCheck(t *testing.T) {
	for _, c := range []struct{ schema, value, want string }{
		{person, `{"name":"x","age":1}`, ""},
		{person, `{"name":"x","age":1.0,"next":{"name":"y","age":null,"tags":["a"]}}`, ""},
		{person, `{"name":"x"}`, `at $: missing property 'age'`},
		{person, `{"name":"","age":1}`, `at $.name: minLength: got 0, want 1`},
		{person, `{"name":"x","age":1.5}`, `at $.age: got number, want null or integer`},
		{person, `{"name":"x","age":-1}`, `at $.age: minimum: got -1, want 0`},
		{person, `{"name":"x","age":1,"tags":["a","c"]}`, `at $.tags[1]: value must be one of 'a', 'b'`},
		{person, `{"name":"x","age":1,"next":{"name":"y"}}`, `at $.next: missing property 'age'`},
		{person, `{"name":"","age":-1,"more":2}`, `at $.age: minimum: got -1, want 0; at $.name: minLength: got 0, want 1; at $: additional properties 'more' not allowed`},
		{person, `[]`, `at $: got array, want object`},
		{person, `{"name":"x","age":1} and more`, `it is not JSON: `},
		{person, "```json\n{}\n```", `it is not JSON: `},
		{person, ``, `it is not JSON: `},
		{`{"anyOf":[{"type":"string"},{"type":"null"}]}`, `1`, `at $: got number, want null; at $: got number, want string`},
		{`{"oneOf":[{"type":"integer"},{"minimum":0}]}`, `1`, `at $: 'oneOf' failed, subschemas 0, 1 matched`},
		{`{"not":{"type":"string"}}`, `"x"`, `at $: 'not' failed`},
		{`{"if":{"type":"string"},"then":{"minLength":2},"else":{"const":1}}`, `"x"`, `at $: minLength: got 1, want 2`},
		{`{"type":"array","prefixItems":[{"type":"string"}],"items":{"type":"number"}}`, `["a",1,"b"]`, `at $[2]: got string, want number`},
		{`{"uniqueItems":true}`, `[1,{"a":[1.0]},{"a":[1]}]`, `at $: items at 1 and 2 are equal`},
		{`{"multipleOf":0.1}`, `0.3`, ""},
		{`{"multipleOf":0.1}`, `0.35`, `at $: multipleOf: got 0.35, want 0.1`},
		{`{"maxLength":2}`, `"😀😀"`, ""},
		{`{"pattern":"^a+$"}`, `"ab"`, `at $: 'ab' does not match pattern '^a+$'`},
		{`{"$defs":{"a/b~c":{"const":1}},"$ref":"#/$defs/a~1b~0c"}`, `2`, `at $: value must be 1`},
		{`false`, `1`, `at $: false schema`},
		{`true`, `1`, ""},
		// Keywords that only a complete implementation has.
		{`{"properties":{"a":true},"unevaluatedProperties":false}`, `{"a":1,"b":2}`, `at $`},
		{`{"$defs":{"a":{"$anchor":"x","const":1}},"$ref":"#x"}`, `2`, `at $: value must be 1`},
		{`{"$defs":{"a":{"$id":"x","$defs":{"b":{"const":1}},"$ref":"#/$defs/b"}},"$ref":"#/$defs/a"}`, `2`, `at $: value must be 1`},
		{`{"$schema":"http://json-schema.org/draft-07/schema#","items":[{"const":1}],"additionalItems":false}`, `[1,2]`, `at $`},
		// Patterns of JavaScript.
		{`{"pattern":"^(?!x)."}`, `"a"`, ""},
		{`{"pattern":"^(?!x)."}`, `"xa"`, `at $: 'xa' does not match pattern '^(?!x).'`},
		{`{"not":{"pattern":"(?=x)"}}`, `"a"`, ""},
		// Bounded.
		{`{"$ref":"#"}`, `1`, `the schema is too complex to be checked`},
		{`{"not":{"$ref":"#"}}`, `1`, `the schema is too complex to be checked`},
		{`{"anyOf":[{"allOf":[{"$ref":"#"},{"$ref":"#"}]},{"allOf":[{"$ref":"#"},{"$ref":"#"}]}]}`, `1`, `the schema is too complex to be checked`},
		{`{"minimum":0}`, `[1e999999999]`, `a number is out of range`},
		{`{"minimum":0}`, `1e300`, ``},
	} {
		got := check(t, c.schema, c.value)
		if got != c.want && (c.want == "" || !strings.HasPrefix(got, c.want)) {
			t.Errorf("%s of %s:\n got %q\nwant %q", c.value, c.schema, got, c.want)
		}
	}
}

// TestSchemasThatAreRefused: what cannot be checked in full is an error for its
// author, and nothing is loaded.
func TestSchemasThatAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		``: "", `1`: "neither", `null`: "neither", `[]`: "neither", `{`: "",
		`{"$ref":"file:///etc/hostname"}`:   "outside of this one",
		`{"oneOf":[{"$ref":"http://x/y"}]}`: "outside of this one",
		`{"$ref":"#/$defs/none"}`:           "",
		`{"type":"nonsense"}`:               "value must be one of",
		`{"required":7}`:                    "got number, want array",
		`{"pattern":"("}`:                   "",
	} {
		_, err := Parse([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), location) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestCheckIsBounded: schemas that multiply themselves do not make a check take
// long, and those that only look so are checked.
func TestCheckIsBounded(t *testing.T) {
	doubled := `{"$ref":"#/$defs/d40","$defs":{"d0":{"type":"string"}`
	for i := range 40 {
		doubled += fmt.Sprintf(`,"d%d":{"allOf":[{"$ref":"#/$defs/d%d"},{"$ref":"#/$defs/d%d"}]}`, i+1, i, i)
	}
	doubled += "}}"
	if got := check(t, doubled, `"a"`); got != "the schema is too complex to be checked" {
		t.Error(got)
	}
	twice := `{"allOf":[{"properties":{"a":{"$ref":"#"}}},{"properties":{"a":{"$ref":"#"}}}]}`
	deep := strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100)
	if got := check(t, twice, deep); got != "the schema is too complex to be checked" {
		t.Error(got)
	}
	tree := `{"type":["object","null"],"properties":{"left":{"$ref":"#"},"right":{"$ref":"#"}},"additionalProperties":false}`
	value := strings.Repeat(`{"left":null,"right":`, 200) + "null" + strings.Repeat("}", 200)
	if got := check(t, tree, value); got != "" {
		t.Error(got)
	}
	if got := check(t, tree, "["+strings.Repeat("1,", 1<<16)+"1]"); !strings.Contains(got, "got array") {
		t.Error(got)
	}
	slow := `{"pattern":"^(?=(a+)+$)(a+)+b$"}`
	if got := check(t, slow, `"`+strings.Repeat("a", 64)+`"`); got != "" {
		t.Error(got)
	}
}

// oracle asks a complete implementation. ok is false for schemas it refuses.
func oracle(t testing.TB, schema, value string) (valid, ok bool) {
	c := jsonschema.NewCompiler()
	c.UseLoader(refuse{})
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(schema))
	if err != nil {
		return false, false
	}
	if c.AddResource("mem:///s", doc) != nil {
		return false, false
	}
	s, err := c.Compile("mem:///s")
	if err != nil {
		return false, false
	}
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(value))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(v) == nil, true
}

type refuse struct{}

func (refuse) Load(url string) (any, error) { return nil, errors.New("nothing is loaded: " + url) }

// TestAgainstOracle: with the keywords that it knows, Check says what a complete
// implementation says.
func TestAgainstOracle(t *testing.T) {
	seen := map[bool]int{}
	rapid.Check(t, func(t *rapid.T) {
		schema, value := draw(t, 3), drawValue(t, 3)
		want, ok := oracle(nil, schema, value)
		if !ok {
			return
		}
		s, err := Parse([]byte(schema))
		if err != nil {
			t.Fatal(err)
		}
		seen[want]++
		if problem := s.Check([]byte(value)); (problem == "") != want {
			t.Fatalf("schema %s\nvalue %s\nvalid %v, but: %q", schema, value, want, problem)
		}
	})
	if seen[true] == 0 || seen[false] == 0 {
		t.Errorf("seen %v", seen)
	}
}

func draw(t *rapid.T, depth int) string {
	if depth == 0 {
		return rapid.SampledFrom([]string{`true`, `false`, `{}`, `{"type":"integer"}`, `{"type":["string","null"]}`, `{"$ref":"#/$defs/d"}`}).Draw(t, "leaf")
	}
	sub := func() string { return draw(t, depth-1) }
	list := func() string {
		var all []string
		for range rapid.IntRange(1, 3).Draw(t, "branches") {
			all = append(all, sub())
		}
		return "[" + strings.Join(all, ",") + "]"
	}
	makers := []func() string{
		func() string {
			return `"type":"` + rapid.SampledFrom([]string{"object", "array", "string", "number", "integer", "boolean", "null"}).Draw(t, "type") + `"`
		},
		func() string { return `"enum":[1,"a",null,{"a":1.0},[]]` },
		func() string { return `"const":` + drawValue(t, 1) },
		func() string { return `"minimum":` + fmt.Sprint(rapid.IntRange(-2, 2).Draw(t, "minimum")) },
		func() string { return `"exclusiveMaximum":1.5` },
		func() string { return `"multipleOf":0.5` },
		func() string { return `"minLength":1,"maxLength":2` },
		func() string { return `"pattern":"^[ab]"` },
		func() string { return `"items":` + sub() },
		func() string { return `"prefixItems":` + list() },
		func() string { return `"contains":` + sub() },
		func() string { return `"minItems":1,"maxItems":2` },
		func() string { return `"uniqueItems":true` },
		func() string { return `"properties":{"a":` + sub() + `,"b":` + sub() + `}` },
		func() string { return `"patternProperties":{"^a":` + sub() + `}` },
		func() string { return `"additionalProperties":` + sub() },
		func() string { return `"propertyNames":{"maxLength":1}` },
		func() string { return `"required":["a"]` },
		func() string { return `"dependentRequired":{"a":["b"]}` },
		func() string { return `"minProperties":1,"maxProperties":2` },
		func() string { return `"anyOf":` + list() },
		func() string { return `"oneOf":` + list() },
		func() string { return `"allOf":` + list() },
		func() string { return `"not":` + sub() },
		func() string { return `"if":` + sub() + `,"then":` + sub() },
		func() string { return `"description":"words","default":3` },
	}
	var members []string
	used := map[int]bool{}
	for range rapid.IntRange(0, 3).Draw(t, "keywords") {
		i := rapid.IntRange(0, len(makers)-1).Draw(t, "keyword")
		if !used[i] {
			members = append(members, makers[i]())
		}
		used[i] = true
	}
	if depth == 3 {
		members = append(members, `"$defs":{"d":{"type":["string","number"]}}`)
	}
	return "{" + strings.Join(members, ",") + "}"
}

func drawValue(t *rapid.T, depth int) string {
	kinds := 4
	if depth > 0 {
		kinds = 6
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return rapid.SampledFrom([]string{"null", "true", "false"}).Draw(t, "word")
	case 1:
		return rapid.SampledFrom([]string{"0", "1", "-1", "1.0", "1.5", "2", "1e1", "-0.5"}).Draw(t, "number")
	case 2, 3:
		return rapid.SampledFrom([]string{`""`, `"a"`, `"b😀"`, `"\u0061"`, `"abc"`, `"x"`}).Draw(t, "text")
	case 4:
		var all []string
		for range rapid.IntRange(0, 3).Draw(t, "items") {
			all = append(all, drawValue(t, depth-1))
		}
		return "[" + strings.Join(all, ",") + "]"
	}
	var all []string
	for _, name := range []string{"a", "b", "ab", "c"} {
		if rapid.Bool().Draw(t, name) {
			all = append(all, `"`+name+`":`+drawValue(t, depth-1))
		}
	}
	return "{" + strings.Join(all, ",") + "}"
}

// FuzzCheck: no schema and no value does harm, and what is refused is refused by
// a complete implementation too.
func FuzzCheck(f *testing.F) {
	f.Add(person, `{"name":"x","age":1}`)
	f.Add(`{"$ref":"#"}`, `1`)
	f.Add(`{"oneOf":[{"pattern":"(?=x)"},true]}`, `"a"`)
	f.Fuzz(func(t *testing.T, schema, value string) {
		s, err := Parse([]byte(schema))
		if err != nil || !json.Valid([]byte(value)) {
			return
		}
		problem := s.Check([]byte(value))
		if problem == "" || strings.HasPrefix(problem, "it is not JSON") || strings.Contains(problem, "too complex") ||
			strings.Contains(schema, "$schema") || len(schema) > 2000 {
			return
		}
		if valid, ok := oracle(t, schema, value); ok && valid {
			t.Errorf("schema %s\nvalue %s\n%s", schema, value, problem)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	s, err := Parse([]byte(person))
	if err != nil {
		b.Fatal(err)
	}
	value := []byte(`{"name":"x","age":1,"tags":["a","b"],"next":{"name":"y","age":null}}`)
	for b.Loop() {
		if s.Check(value) != "" {
			b.Fatal("not valid")
		}
	}
}
