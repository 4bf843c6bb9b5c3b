package config

import (
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
)

// Override is one value from outside the file, such as a flag. It wins over
// the file.
type Override struct {
	Key    string // dotted path, such as "upstream.models.gpt-4.1"
	Value  string // as in a file, ${NAME} included; a list is written as a,b
	Source string // for complaints, such as "--listen"
}

// Load reads the file at path, applies the overrides in order, and validates
// the result. An empty path is no file: overrides over defaults.
//
// The error consists of *Error values, each naming file and line or flag,
// unless the file cannot be read.
func Load(path string, overrides ...Override) (*Config, error) {
	if path == "" {
		return Parse("", nil, overrides...)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return Parse(path, data, overrides...)
}

// Parse is Load for a file that has been read already. The name is for
// complaints.
func Parse(name string, data []byte, overrides ...Override) (*Config, error) {
	return parse(name, data, overrides, os.LookupEnv)
}

func parse(name string, data []byte, overrides []Override, lookup func(string) (string, bool)) (*Config, error) {
	r := reader{file: name, lookup: lookup, places: map[string]place{}, literal: map[string]bool{}}
	r.read(data)
	for _, o := range overrides {
		r.override(o)
	}
	c := Default()
	c.places, c.literal = r.places, r.literal
	for _, s := range r.settings {
		if len(r.errs) > maxErrors {
			break
		}
		if err := assign(reflect.ValueOf(c).Elem(), s, 0); err != nil {
			r.errs = append(r.errs, err)
		}
	}
	// Rules across keys would complain of values that only failed to arrive.
	if len(r.errs) == 0 {
		r.errs = c.validate()
	}
	if len(r.errs) > 0 {
		return nil, joined(r.errs)
	}
	return c, nil
}

// override adds a setting from outside the file.
func (r *reader) override(o Override) {
	s := &setting{
		path: splitPath(reflect.TypeFor[Config](), o.Key),
		raw:  o.Value,
		at:   place{file: o.Source},
	}
	text, problem := expand(o.Value, r.lookup)
	if problem != "" {
		r.errs = append(r.errs, s.complain("%s", problem))
		return
	}
	s.text = text
	if typeAt(reflect.TypeFor[Config](), s.path).Kind() == reflect.Slice {
		s.kind, s.list = kindList, strings.FieldsFunc(text, func(c rune) bool { return c == ',' })
	}
	r.settings = append(r.settings, s)
	r.places[s.key()] = s.at
	r.literal[s.key()] = !s.referred() && o.Source != storeFile // whose value was read from there
}
