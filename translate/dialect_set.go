package translate

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Set sets one field of a dialect, as text. It is the only place that knows how a
// key leads to a field: configuration, facts, golden cases and the documentation
// all go through the yaml tags of Dialect. The keys have dots:
//
//	developer_role            a flag: true or false
//	system_messages           a word of an enumeration, which lists its own Values
//	tools.name_max            a number
//	reasoning.replay_field    a text
//	accepts.verbosity         a member of a set, by its Names: true or false
//	tools.choices             a whole set: false is the empty one
//	extra_params.top_k        an entry of a list: true or false
//	extra_params              a whole list: a,b,c
//	reasoning.efforts.minimal an entry of a map
//
// A member of a set and an entry of a map may also stand before the value
// ("accepts", "verbosity:false"). changed says whether the field was another one
// before. Lists and maps are replaced, not written to: the dialect may share them
// with a preset.
func (d *Dialect) Set(key, value string) (changed bool, err error) {
	changed, err = setField(reflect.ValueOf(d).Elem(), key, value)
	if err != nil {
		return false, fmt.Errorf("%s: %w", key, err)
	}
	return changed, nil
}

// enum is a type of words that lists its own.
type enum interface{ Values() []string }

// bitSet is a set whose members have names, the lowest bit first.
type bitSet interface{ Names() []string }

var errNoSuchField = errors.New("there is no such field")

// setField sets the field of a struct that a key with dots names.
func setField(v reflect.Value, key, value string) (changed bool, err error) {
	first, rest, dotted := strings.Cut(key, ".")
	if dotted && rest == "" {
		return false, errNoSuchField
	}
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("yaml") != first || first == "-" {
			continue
		}
		field := v.Field(i)
		if field.Kind() == reflect.Struct {
			return setField(field, rest, value)
		}
		if set, ok := reflect.TypeAssert[bitSet](field); ok {
			return setMember(field, set.Names(), rest, value)
		}
		switch field.Kind() {
		case reflect.Slice:
			return setList(field.Addr().Interface().(*[]string), rest, value)
		case reflect.Map:
			return setEntry(field.Addr().Interface().(*map[string]string), rest, value)
		}
		if rest != "" {
			return false, errNoSuchField
		}
		return setLeaf(field, value)
	}
	return false, errNoSuchField
}

// setLeaf sets a field that has one value.
func setLeaf(v reflect.Value, value string) (changed bool, err error) {
	was := v.Interface()
	switch v.Kind() {
	case reflect.Bool:
		on, err := parseFlag(value)
		if err != nil {
			return false, err
		}
		v.SetBool(on)
	case reflect.Int:
		n, err := strconv.Atoi(value)
		if err != nil || strconv.Itoa(n) != value {
			return false, fmt.Errorf("%q is not a whole number", value)
		}
		if n < MinToolName || n > MaxToolName { // there is one number only
			return false, fmt.Errorf("%d is out of range; it must be from %d to %d bytes", n, MinToolName, MaxToolName)
		}
		v.SetInt(int64(n))
	default:
		if words, ok := reflect.TypeAssert[enum](v); ok && !slices.Contains(words.Values(), value) {
			return false, fmt.Errorf("%q is not a value of it; it can be %s", value, strings.Join(words.Values(), ", "))
		}
		v.SetString(value)
	}
	return v.Interface() != was, nil
}

func setMember(v reflect.Value, names []string, name, value string) (changed bool, err error) {
	if name == "" {
		if value == "false" {
			was := v.Uint()
			v.SetUint(0)
			return was != 0, nil
		}
		if name, value, _ = strings.Cut(value, ":"); value == "" {
			value = "true"
		}
	}
	bit := slices.Index(names, name)
	if bit < 0 {
		return false, fmt.Errorf("%q is not a name in it; it can be %s", name, strings.Join(names, ", "))
	}
	on, err := parseFlag(value)
	if err != nil {
		return false, err
	}
	was, mask := v.Uint(), uint64(1)<<bit
	if on {
		v.SetUint(was | mask)
	} else {
		v.SetUint(was &^ mask)
	}
	return v.Uint() != was, nil
}

func setList(list *[]string, name, value string) (changed bool, err error) {
	was := *list
	if name == "" {
		*list = []string{}
		if value != "" {
			*list = strings.Split(value, ",")
		}
		return !slices.Equal(*list, was), nil
	}
	on, err := parseFlag(value)
	if err != nil {
		return false, err
	}
	switch i := slices.Index(was, name); {
	case on && i < 0:
		*list = append(slices.Clone(was), name)
	case !on && i >= 0:
		*list = slices.Delete(slices.Clone(was), i, i+1)
	default:
		return false, nil
	}
	return true, nil
}

// setEntry sets an entry of a map. To map a word to itself is nothing new where it
// is not in the map.
func setEntry(entries *map[string]string, name, value string) (changed bool, err error) {
	if name == "" {
		name, value, _ = strings.Cut(value, ":")
	}
	if name == "" {
		return false, errors.New("it has no name")
	}
	if was, known := (*entries)[name]; known && was == value || !known && name == value {
		return false, nil
	}
	changedMap := maps.Clone(*entries)
	if changedMap == nil {
		changedMap = map[string]string{}
	}
	changedMap[name] = value
	*entries = changedMap
	return true, nil
}

func parseFlag(value string) (on bool, err error) {
	if value != "true" && value != "false" {
		return false, fmt.Errorf("%q is not true or false", value)
	}
	return value == "true", nil
}

// words are the values of an enumeration as texts.
func words[T ~string](values ...T) []string {
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = string(v)
	}
	return list
}
