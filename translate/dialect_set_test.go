package translate

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestDialectSet sets every field of a dialect, found by its yaml tag, to each of
// its values, and finds nothing else changed.
func TestDialectSet(t *testing.T) {
	preset, _ := LookupDialect("openai")
	tried := 0
	try := func(key, value string) {
		t.Helper()
		tried++
		d := preset
		d.ExtraParams, d.Reasoning.Efforts = slices.Clip(preset.ExtraParams), preset.Reasoning.Efforts
		before := fmt.Sprint(preset)
		changed, err := d.Set(key, value)
		if err != nil {
			t.Errorf("%s=%s: %v", key, value, err)
		}
		if changed == reflect.DeepEqual(d, preset) {
			t.Errorf("%s=%s: changed is %v", key, value, changed)
		}
		if again, err := d.Set(key, value); again || err != nil {
			t.Errorf("%s=%s says something new twice (%v)", key, value, err)
		}
		if fmt.Sprint(preset) != before {
			t.Errorf("%s=%s has changed the preset", key, value)
		}
	}
	var walk func(t reflect.Type, prefix string)
	walk = func(typ reflect.Type, prefix string) {
		for f := range typ.Fields() {
			key := prefix + f.Tag.Get("yaml")
			switch zero := reflect.Zero(f.Type).Interface().(type) {
			case enum:
				for _, value := range zero.Values() {
					try(key, value)
				}
				continue
			case bitSet:
				for _, name := range zero.Names() {
					try(key+"."+name, "true")
					try(key+"."+name, "false")
				}
				try(key, "false")
				continue
			}
			switch {
			case f.Tag.Get("yaml") == "-":
			case f.Type.Kind() == reflect.Struct:
				walk(f.Type, key+".")
			case f.Type.Kind() == reflect.Bool:
				try(key, "true")
				try(key, "false")
			case f.Type.Kind() == reflect.Int:
				try(key, "17")
			case f.Type.Kind() == reflect.String:
				try(key, "something else")
				try(key, "")
			case f.Type.Kind() == reflect.Slice:
				try(key+".x", "true")
				try(key+".x", "false")
				try(key, "a,b")
			case f.Type.Kind() == reflect.Map:
				try(key+".minimal", "x")
				try(key+".minimal", "")
				try(key, "minimal:y")
			default:
				t.Errorf("%s has a type that Set does not know", key)
			}
		}
	}
	walk(reflect.TypeFor[Dialect](), "")
	if tried < 150 {
		t.Errorf("only %d values", tried)
	}
}

func TestDialectSetRefuses(t *testing.T) {
	for _, c := range []struct{ key, value, want string }{
		{"imagse", "true", "no such field"},
		{"", "true", "no such field"},
		{"-", "x", "no such field"},
		{"Images", "true", "no such field"},
		{"tools", "true", "no such field"},
		{"tools.", "true", "no such field"},
		{"images.png", "true", "no such field"},
		{"responses.imagse", "true", "no such field"},
		{"images", "yes", "not true or false"},
		{"images", "", "not true or false"},
		{"system_messages", "nowhere", "anywhere, head, user"},
		{"system_messages", "", "anywhere, head, user"},
		{"accepts.verbose", "true", "it can be temperature"},
		{"accepts", "verbose:true", "it can be temperature"},
		{"accepts.verbosity", "1", "not true or false"},
		{"accepts", "true", "is not a name"},
		{"tools.name_max", "many", "not a whole number"},
		{"tools.name_max", "-1", "out of range"},
		{"tools.name_max", "15", "out of range"},
		{"tools.name_max", "1025", "out of range"},
		{"extra_params.", "true", "no such field"},
		{"accepts.", "false", "no such field"},
		{"tools.name_max", "07", "not a whole number"},
		{"extra_params.x", "on", "not true or false"},
		{"reasoning.efforts", ":x", "no name"},
	} {
		d, _ := LookupDialect("openai")
		before := fmt.Sprint(d)
		changed, err := d.Set(c.key, c.value)
		if err == nil || !strings.Contains(err.Error(), c.want) || changed {
			t.Errorf("%s=%s: %v, %v; want %q", c.key, c.value, changed, err, c.want)
		}
		if fmt.Sprint(d) != before {
			t.Errorf("%s=%s: refused, and set", c.key, c.value)
		}
		if _, ok := d.With(Fact{c.key, c.value}); ok {
			t.Errorf("%s=%s is a fact", c.key, c.value)
		}
	}
}
