package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// assign puts a setting into the field of v that s.path[depth:] leads to. It
// is the only decoder of this package: the yaml tags of the structs say what
// there is.
func assign(v reflect.Value, s *setting, depth int) *Error {
	if overrides, ok := reflect.TypeAssert[*Overrides](v.Addr()); ok {
		return overrides.add(s, depth)
	}
	if names := bitNames(v.Type()); names != nil {
		return assignBit(v, names, s, depth)
	}
	switch {
	case isSection(v.Type()):
		return assignSection(v, s, depth)
	case v.Kind() == reflect.Map:
		return assignEntry(v, s, depth)
	case depth < len(s.path) || s.kind == kindEmpty:
		return complaint(s.at, joinPath(s.path[:depth]), "must be %s, not keys", wanted(v.Type()))
	}
	if problem := assignLeaf(v, s); problem != "" {
		return s.complain("%s", problem)
	}
	return nil
}

// complain makes an Error about the setting.
func (s *setting) complain(format string, args ...any) *Error {
	return complaint(s.at, s.key(), format, args...)
}

// isSection reports whether values of t are written as a mapping with keys that
// are known.
func isSection(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != reflect.TypeFor[Secret]() && t != reflect.TypeFor[Overrides]()
}

func assignSection(v reflect.Value, s *setting, depth int) *Error {
	if depth == len(s.path) {
		if s.kind == kindNull || s.kind == kindEmpty {
			return nil // a section without keys, perhaps all commented out
		}
		return s.complain("must have keys below it: %s", strings.Join(keysOf(v.Type()), ", "))
	}
	for f := range fields(v.Type()) {
		if f.key == s.path[depth] {
			return assign(v.FieldByIndex(f.index), s, depth+1)
		}
	}
	return unknownKey(v.Type(), s, depth)
}

// assignEntry puts a setting into a map with free keys.
func assignEntry(v reflect.Value, s *setting, depth int) *Error {
	if depth == len(s.path) {
		if s.kind == kindNull || s.kind == kindEmpty {
			return nil
		}
		return s.complain("must be %s", wanted(v.Type()))
	}
	key := s.path[depth]
	if strings.Contains(key, hidden) || hasControl(key) {
		return s.complain("the key contains a control character, or the placeholder %s", hidden)
	}
	value := reflect.New(v.Type().Elem()).Elem()
	if have := v.MapIndex(reflect.ValueOf(key)); have.IsValid() {
		value.Set(have)
	} else if u, ok := reflect.TypeAssert[*Upstream](value.Addr()); ok {
		*u = defaultUpstream("")
	}
	if err := assign(value, s, depth+1); err != nil {
		return err
	}
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	v.SetMapIndex(reflect.ValueOf(key), value)
	return nil
}

// assignBit sets or clears one bit of a set.
func assignBit(v reflect.Value, names []string, s *setting, depth int) *Error {
	if depth == len(s.path) {
		if s.kind == kindNull || s.kind == kindEmpty {
			return nil
		}
		return s.complain("must be %s", wanted(v.Type()))
	}
	for bit, name := range names {
		if name != s.path[depth] {
			continue
		}
		var on bool
		if err := assign(reflect.ValueOf(&on).Elem(), s, depth+1); err != nil {
			return err
		}
		mask := uint64(1) << bit
		if on {
			v.SetUint(v.Uint() | mask)
		} else {
			v.SetUint(v.Uint() &^ mask)
		}
		return nil
	}
	return s.complain("unknown name%s; it can be %s", didYouMean(s.path[depth], names), strings.Join(names, ", "))
}

// assignLeaf sets a single value or a list. It returns what is wrong.
func assignLeaf(v reflect.Value, s *setting) string {
	t := v.Type()
	legal := legalValues(t)
	switch {
	case strings.Contains(s.text, hidden) || strings.Contains(strings.Join(s.list, " "), hidden):
		return "contains the placeholder " + hidden + " that stands for a secret in printed configurations; write the real value, or ${NAME}"
	case hasControl(s.text) || slices.ContainsFunc(s.list, hasControl):
		return "contains a line break or another control character, or is not UTF-8 (if it came from a file, write that without a newline at the end)"
	case t.Kind() == reflect.Slice:
		return assignList(v, s)
	case s.kind == kindList:
		return "must be " + wanted(t) + ", not a list"
	case s.kind == kindNull && !slices.Contains(legal, s.text):
		return "has no value; leave the key out for its default, or write " + wanted(t)
	case s.text == "" && s.referred() && t == reflect.TypeFor[Secret]():
		return "the environment variable is empty, so there is no secret; set it, or remove the key"
	}
	problem := parseLeaf(v, s.text, legal)
	if problem != "" && t != reflect.TypeFor[Secret]() {
		problem = shown(s.raw) + ": " + problem
	}
	return problem
}

// parseLeaf sets a single value from its text. It returns what is wrong without
// repeating the text.
func parseLeaf(v reflect.Value, text string, legal []string) string {
	switch p := v.Addr().Interface().(type) {
	case *Secret:
		*p = NewSecret(text)
		return ""
	case encoding.TextUnmarshaler:
		if err := p.UnmarshalText([]byte(text)); err != nil {
			return err.Error()
		}
		return ""
	}
	switch v.Kind() {
	case reflect.String:
		if legal != nil && !slices.Contains(legal, text) {
			return "unknown value" + didYouMean(text, legal) + "; it can be " + orList(legal)
		}
		v.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return "must be true or false"
		}
		v.SetBool(text == "true")
	case reflect.Int:
		// A leading zero is octal for some readers of YAML and not for others.
		n, err := strconv.Atoi(text)
		if err != nil || len(text) > 1 && text[0] == '0' || text[0] == '+' {
			return "must be a whole number in plain digits, such as 1000"
		}
		v.SetInt(int64(n))
	default:
		return "cannot be set" // a test proves that no field gets here
	}
	return ""
}

// assignList sets a list of texts or of secrets.
func assignList(v reflect.Value, s *setting) string {
	if s.kind != kindList {
		return "must be " + wanted(v.Type())
	}
	if v.Type() != reflect.TypeFor[[]Secret]() {
		v.Set(reflect.ValueOf(s.list))
		return ""
	}
	secrets := make([]Secret, len(s.list))
	for i, text := range s.list {
		if text == "" {
			return "has an empty secret, perhaps from an environment variable that is empty; set it, or remove the entry"
		}
		secrets[i] = NewSecret(text)
	}
	v.Set(reflect.ValueOf(secrets))
	return ""
}

// hasControl reports whether s is not a printable line of UTF-8. Such a value
// would break out of a header, a log line or a printed configuration.
func hasControl(s string) bool {
	return !utf8.ValidString(s) || strings.ContainsFunc(s, func(c rune) bool {
		return unicode.IsControl(c) || c == '\u2028' || c == '\u2029' || c == '\ufeff'
	})
}

// wanted describes the values of a type.
func wanted(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[Duration]():
		return "a duration such as 30s"
	case t == reflect.TypeFor[ByteSize]():
		return "a size such as 64MiB"
	case t == reflect.TypeFor[Secret]():
		return "a text, best as ${NAME} from the environment"
	case legalValues(t) != nil:
		return orList(legalValues(t))
	case bitNames(t) != nil:
		return "a map of names to true or false, such as " + bitNames(t)[0] + ": true"
	case t.Kind() == reflect.Map:
		return "a map such as name: value"
	case t.Kind() == reflect.Slice:
		return "a list such as [a, b]"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Int:
		return "a whole number"
	}
	return `a text (an empty one is "")`
}

// legalValues lists the values of an enumeration, of this package or of a
// dialect; nil for other types.
func legalValues(t reflect.Type) []string {
	if words, ok := reflect.TypeAssert[interface{ Values() []string }](reflect.Zero(t)); ok {
		return words.Values()
	}
	return nil
}

// bitNames lists the names of the bits of a set type; nil for other types.
func bitNames(t reflect.Type) []string {
	if set, ok := reflect.TypeAssert[interface{ Names() []string }](reflect.Zero(t)); ok {
		return set.Names()
	}
	return nil
}

func texts[T ~string](values ...T) []string {
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = string(v)
	}
	return list
}

// shown is a written value in a complaint.
func shown(raw string) string {
	if len(raw) > 60 {
		raw = strings.ToValidUTF8(raw[:60], "") + "…"
	}
	return fmt.Sprintf("%q", raw)
}

// orList is "a, b or c".
func orList(list []string) string {
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	last := len(list) - 1
	return strings.Join(list[:last], ", ") + " or " + list[last]
}
