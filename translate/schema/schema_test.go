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
		{person, `{"name":"x"}`, `at $: the member "age" is missing`},
		{person, `{"name":"","age":1}`, `at $.name: it must have at least 1 characters`},
		{person, `{"name":"x","age":1.5}`, `at $.age: it must be of one of the types ["integer","null"]`},
		{person, `{"name":"x","age":-1}`, `at $.age: it must be at least 0`},
		{person, `{"name":"x","age":1,"tags":["a","c"]}`, `at $.tags[1]: it must be one of ["a","b"]`},
		{person, `{"name":"x","age":1,"next":{"name":"y"}}`, `at $.next: the member "age" is missing`},
		{person, `{"name":"x","age":1,"more":2}`, `at $: there must be no member "more"`},
		{person, `[]`, `at $: it must be of type object`},
		{person, `{"name":"x","age":1} and more`, `it is not JSON: `},
		{person, "```json\n{}\n```", `it is not JSON: `},
		{person, ``, `it is not JSON: `},
		{`{"anyOf":[{"type":"string"},{"type":"null"}]}`, `1`, `at $: it is valid against none of the schemas of anyOf`},
		{`{"anyOf":[{"required":["a"]}]}`, `{}`, `at $: the member "a" is missing`},
		{`{"oneOf":[{"type":"integer"},{"minimum":0}]}`, `1`, `at $: it is valid against more than one of the schemas of oneOf`},
		{`{"not":{"type":"string"}}`, `"x"`, `at $: it must not be valid against {"type":"string"}`},
		{`{"if":{"type":"string"},"then":{"minLength":2},"else":{"const":1}}`, `"x"`, `at $: it must have at least 2 characters`},
		{`{"if":{"type":"string"},"then":{"minLength":2},"else":{"const":1}}`, `2`, `at $: it must be 1`},
		{`{"type":"array","prefixItems":[{"type":"string"}],"items":{"type":"number"}}`, `["a",1,"b"]`, `at $[2]: it must be of type number`},
		{`{"uniqueItems":true}`, `[1,{"a":[1.0]},{"a":[1]}]`, `at $: its items must differ from each other`},
		{`{"multipleOf":0.1}`, `0.3`, ""},
		{`{"multipleOf":0.1}`, `0.35`, `at $: it must be a multiple of 0.1`},
		{`{"maxLength":2}`, `"😀😀"`, ""},
		{`{"pattern":"^a+$"}`, `"ab"`, `at $: it must match the pattern "^a+$"`},
		{`{"$defs":{"a/b~c":{"const":1}},"$ref":"#/$defs/a~1b~0c"}`, `2`, `at $: it must be 1`},
		{`false`, `1`, `at $: no value is allowed here`},
		{`true`, `1`, ""},
		// What is not known accepts, also where it is turned round.
		{`{"pattern":"(?=x)"}`, `"a"`, ""},
		{`{"not":{"pattern":"(?=x)"}}`, `"a"`, ""},
		{`{"not":{"unevaluatedProperties":false}}`, `{"a":1}`, ""},
		{`{"oneOf":[{"$ref":"http://x/y"},{"type":"integer"}]}`, `1`, ""},
		{`{"$ref":"file:///etc/hostname"}`, `1`, ""},
		{`{"type":"nonsense","required":7,"properties":[],"enum":{},"items":3,"minimum":"x"}`, `{"a":[1]}`, ""},
		{`{"minimum":1e999999}`, `1`, ""},
		{`{"$defs":{"a":{"$id":"x","$defs":{"b":{"const":1}},"$ref":"#/$defs/b"}},"$ref":"#/$defs/a"}`, `2`, ""},
		// Bounded.
		{`{"$ref":"#"}`, `1`, `at $: the schema is too complex to be checked`},
		{`{"not":{"$ref":"#"}}`, `1`, `at $: the schema is too complex to be checked`},
		{`{"anyOf":[{"allOf":[{"$ref":"#"},{"$ref":"#"}]},{"allOf":[{"$ref":"#"},{"$ref":"#"}]}]}`, `1`, `at $: the schema is too complex to be checked`},
	} {
		got := check(t, c.schema, c.value)
		if got != c.want && (c.want == "" || !strings.HasPrefix(got, c.want)) {
			t.Errorf("%s of %s:\n got %q\nwant %q", c.value, c.schema, got, c.want)
		}
	}
	for _, bad := range []string{``, `1`, `null`, `[]`, `{`} {
		if _, err := Parse([]byte(bad)); err == nil {
			t.Errorf("%q is a schema", bad)
		}
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
