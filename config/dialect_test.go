package config

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/antiphon-proxy/antiphon/translate"
)

// Every field of a dialect can be overridden, and every legal value of it is
// taken. A new field in translate.Dialect needs nothing here, unless its type
// is new.
func TestOverrideOfEveryField(t *testing.T) {
	tried := 0
	var visit func(typ reflect.Type, index []int, path string)
	try := func(index []int, path, text string, want any) {
		t.Helper()
		tried++
		var lines strings.Builder
		parts := strings.Split(path, ".")
		for i, part := range parts {
			fmt.Fprintf(&lines, "%s%s:", strings.Repeat("  ", i), part)
			if i < len(parts)-1 {
				lines.WriteByte('\n')
			}
		}
		file := lines.String() + " " + text
		o, err := ParseOverrides("f", file)
		if err != nil {
			t.Errorf("%s\n%v", file, err)
			return
		}
		for _, name := range translate.DialectNames() {
			// Only this field may change.
			u := Upstream{Dialect: name}
			expected, _ := u.EffectiveDialect()
			field := reflect.ValueOf(&expected).Elem().FieldByIndex(index)
			switch want := want.(type) {
			case func(reflect.Value):
				want(field)
			default:
				field.Set(reflect.ValueOf(want).Convert(field.Type()))
			}
			u.Overrides = o
			got, errs := u.effectiveDialect()
			for _, err := range errs {
				if !strings.Contains(err.Message, "must be one word") && !strings.Contains(err.Message, "must be the name") {
					t.Errorf("%s\n%v", file, err)
				}
			}
			if !reflect.DeepEqual(got, expected) {
				t.Errorf("%s on %s:\n got %+v\nwant %+v", file, name, got, expected)
			}
		}
	}
	visit = func(typ reflect.Type, index []int, path string) {
		for i := range typ.NumField() {
			field := typ.Field(i)
			tag := field.Tag.Get("yaml")
			if tag == "-" {
				continue
			}
			here, key := append(slices.Clone(index), i), path+tag
			switch {
			case tag == "":
				t.Errorf("%s has no yaml tag, so that it cannot be overridden", field.Name)
			case field.Type.Kind() == reflect.Struct:
				visit(field.Type, here, key+".")
			case bitNames(field.Type) != nil:
				for bit, name := range bitNames(field.Type) {
					try(here, key+"."+name, "true", func(v reflect.Value) { v.SetUint(v.Uint() | 1<<bit) })
					try(here, key+"."+name, "false", func(v reflect.Value) { v.SetUint(v.Uint() &^ (1 << bit)) })
				}
			case legalValues(field.Type) != nil:
				for _, value := range legalValues(field.Type) {
					try(here, key, value, value)
					try(here, key, strconv.Quote(value), value)
				}
			case field.Type.Kind() == reflect.Bool:
				try(here, key, "true", true)
				try(here, key, "false", false)
			case field.Type.Kind() == reflect.Int:
				try(here, key, "77", 77)
			case field.Type == reflect.TypeFor[[]string]():
				try(here, key, "[one, two]", []string{"one", "two"})
				try(here, key, "[]", []string{})
			case field.Type == reflect.TypeFor[map[string]string]():
				try(here, key+".low", "word", func(v reflect.Value) {
					if v.IsNil() {
						v.Set(reflect.MakeMap(v.Type()))
					}
					v.SetMapIndex(reflect.ValueOf("low"), reflect.ValueOf("word"))
				})
			case field.Type == reflect.TypeFor[string]():
				try(here, key, "word", "word")
			default:
				t.Errorf("%s has type %v, which overrides cannot set: teach assign.go, and this test", key, field.Type)
			}
		}
	}
	visit(reflect.TypeFor[translate.Dialect](), nil, "")
	if tried < 70 {
		t.Errorf("only %d overrides were tried", tried)
	}
}

// The lists of legal values are those of package translate.
func TestLegalValuesAreComplete(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../translate/dialect.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	constants := map[string][]string{}
	for _, decl := range file.Decls {
		general, ok := decl.(*ast.GenDecl)
		if !ok || general.Tok != token.CONST {
			continue
		}
		for _, spec := range general.Specs {
			value := spec.(*ast.ValueSpec)
			name, ok := value.Type.(*ast.Ident)
			if !ok || len(value.Values) != 1 {
				continue
			}
			if literal, ok := value.Values[0].(*ast.BasicLit); ok && literal.Kind == token.STRING {
				text, _ := strconv.Unquote(literal.Value)
				constants[name.Name] = append(constants[name.Name], text)
			}
		}
	}
	checked := 0
	var visit func(typ reflect.Type)
	visit = func(typ reflect.Type) {
		for f := range typ.Fields() {
			if f.Type.Kind() == reflect.Struct {
				visit(f.Type)
			}
			if f.Type.Kind() != reflect.String || f.Type.PkgPath() == "" {
				continue
			}
			checked++
			if want := constants[f.Type.Name()]; len(want) == 0 || !slices.Equal(legalValues(f.Type), want) {
				t.Errorf("%v: legal values %v, constants %v", f.Type, legalValues(f.Type), want)
			}
		}
	}
	visit(reflect.TypeFor[translate.Dialect]())
	if checked < 8 {
		t.Errorf("only %d enumerations found", checked)
	}
}

func TestDialectByHost(t *testing.T) {
	f := func(url, dialect, want string) {
		t.Helper()
		d, err := (&Upstream{URL: url, Dialect: dialect}).EffectiveDialect()
		if err != nil || d.Name != want {
			t.Errorf("%s: got %s (%v), want %s", url, d.Name, err, want)
		}
	}
	f("https://api.openai.com/v1", "", "openai")
	f("https://API.OPENAI.COM:443", "", "openai")
	f("https://x.openai.azure.com/openai/v1", "", "azure")
	f("http://localhost:11434", "", "ollama")
	f("http://[::1]:11434/v1", "", "ollama")
	f("http://127.0.0.1:8000", "", "generic")
	f("https://api.openai.com/v1", "vllm", "vllm")
	f("not a url", "vllm", "vllm")
	if _, err := (&Upstream{URL: "x"}).EffectiveDialect(); err == nil {
		t.Error("a bad URL has a dialect")
	}
}

// Every preset passes the checks that overrides have to pass, and belongs to
// the caller.
func TestPresets(t *testing.T) {
	for _, name := range translate.DialectNames() {
		u := Upstream{Dialect: name}
		d, err := u.EffectiveDialect()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		u.Overrides, err = ParseOverrides("f", "{extra_params_add: [added, stop], reasoning: {efforts: {low: changed}}}")
		if err != nil {
			t.Fatal(err)
		}
		changed, err := u.EffectiveDialect()
		if err != nil || !slices.Contains(changed.ExtraParams, "added") || changed.Reasoning.Efforts["low"] != "changed" {
			t.Errorf("%s: got %+v (%v)", name, changed, err)
		}
		if n := strings.Count(" "+strings.Join(changed.ExtraParams, " ")+" ", " stop "); n != 1 {
			t.Errorf("%s: stop stands %d times", name, n)
		}
		changed.ExtraParams[0] = "mine"
		if again, _ := (&Upstream{Dialect: name}).EffectiveDialect(); !reflect.DeepEqual(again, d) {
			t.Errorf("%s: the table of presets was changed", name)
		}
	}
}

// Overrides of flags lie over those of the file, value by value, and a copy of
// a Config has its own.
func TestOverridesLayers(t *testing.T) {
	const file = "upstream: {dialect: generic, overrides: {accepts: {verbosity: true, user: true}, extra_params: [a], call_content: null}}"
	c := parseTest(t, "f", file,
		Override{"upstream.overrides.accepts.user", "false", "--set"},
		Override{"upstream.overrides.extra_params", "", "--set"},
		Override{"upstream.overrides.extra_params_add", "x,y", "--set"})
	d, err := c.Upstream.EffectiveDialect()
	if err != nil || !d.Accepts.Has(translate.ParamVerbosity) || d.Accepts.Has(translate.ParamUser) ||
		strings.Join(d.ExtraParams, " ") != "x y" || d.CallContent != translate.CallContentNull {
		t.Errorf("got %+v (%v)", d, err)
	}
	const want = `    accepts:
      user: false
      verbosity: true
    call_content: "null"
    extra_params: []
    extra_params_add: [x, y]
`
	if !strings.Contains(c.Redacted(), want) {
		t.Errorf("got %s, want %s", c.Redacted(), want)
	}
	if again := reload(t, c); again.Redacted() != c.Redacted() {
		t.Errorf("got %s", again.Redacted())
	}
}

func TestParseOverridesRefused(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if _, err := ParseOverrides("f", text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
	f("tols: {}", "f:1: tols: unknown key (did you mean tools?)")
	f("images: ${X}", "f:1: images: the environment variable X is not set")
	f("a: [", "f:1: not YAML")
}
