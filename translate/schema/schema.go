package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// Schema is a compiled JSON Schema. It may be used by several goroutines.
type Schema struct {
	compiled *jsonschema.Schema
}

// limits are generous: what comes here has passed a client's or backend's own.
var limits = jsonx.Limits{Depth: 256, Values: 1 << 24}

// ErrNoSchema says that a text is not a JSON Schema.
var ErrNoSchema = errors.New("neither an object nor true or false")

// location is the name of the schema that is compiled: references within it are
// relative to that.
const location = "schema:///root"

// Parse compiles a schema, of draft 2020-12 unless it says otherwise. The error is
// for the author of the schema: it is not JSON, not a schema, or refers to one
// outside itself.
func Parse(text []byte) (*Schema, error) {
	var d jsonx.Doc
	if err := d.Parse(text, limits); err != nil {
		return nil, err
	}
	switch d.Kind(jsonx.Root) {
	case jsonx.Object, jsonx.True, jsonx.False:
	default:
		return nil, ErrNoSchema
	}
	doc, err := decode(text)
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(noLoader{})
	c.UseRegexpEngine(compilePattern)
	if err := c.AddResource(location, doc); err != nil {
		return nil, explain(err)
	}
	compiled, err := c.Compile(location)
	if err != nil {
		return nil, explain(err)
	}
	return &Schema{compiled}, nil
}

// noLoader loads nothing: schemas come from clients, and a reference would reach
// into the network or the file system.
type noLoader struct{}

// Load is an error.
func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("%q refers to a schema outside of this one", url)
}

// explain says in one line what is wrong with a schema.
func explain(err error) error {
	var invalid *jsonschema.SchemaValidationError
	var loading *jsonschema.LoadURLError
	var words *jsonschema.ValidationError
	switch {
	case errors.As(err, &loading):
		return loading.Err
	case errors.As(err, &invalid) && errors.As(invalid.Err, &words):
		return errors.New(problem(words))
	}
	return errors.New(strings.ReplaceAll(err.Error(), location, ""))
}

// decode reads one JSON value, with numbers as they are written.
func decode(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("there is more after the value")
	}
	return v, inRange(v)
}

// maxExponent and maxDigits bound numbers, which are compared exactly: those of a
// double have an exponent of 308 and 17 digits.
const (
	maxExponent = 400
	maxDigits   = 800
)

// inRange is an error if v has a number that is too large to be compared exactly.
func inRange(v any) error {
	switch v := v.(type) {
	case json.Number:
		text := string(v)
		if at := strings.IndexAny(text, "eE"); at >= 0 {
			n, err := strconv.Atoi(text[at+1:])
			if err != nil || n > maxExponent || n < -maxExponent {
				return errOutOfRange
			}
		}
		if len(text) > maxDigits {
			return errOutOfRange
		}
	case map[string]any:
		for _, member := range v {
			if err := inRange(member); err != nil {
				return err
			}
		}
	case []any:
		for _, item := range v {
			if err := inRange(item); err != nil {
				return err
			}
		}
	}
	return nil
}

var errOutOfRange = errors.New("a number is out of range")

// Check says what is wrong with a value, in words that a model can act on, or "".
func (s *Schema) Check(value []byte) string {
	var d jsonx.Doc
	if err := d.Parse(value, limits); err != nil {
		return "it is not JSON: " + err.Error()
	}
	v, err := decode(value)
	if errors.Is(err, errOutOfRange) {
		return err.Error()
	}
	if err != nil {
		return "it is not JSON: " + err.Error()
	}
	if !s.bounded(v) {
		return "the schema is too complex to be checked"
	}
	err = s.compiled.Validate(v)
	if err == nil {
		return ""
	}
	if invalid, ok := errors.AsType[*jsonschema.ValidationError](err); ok {
		return problem(invalid)
	}
	return clip(err.Error())
}

// maxProblems is how many problems are told at once, maxLeaves how many are looked at.
const (
	maxProblems = 3
	maxLeaves   = 256
)

var english = message.NewPrinter(language.English)

// problem puts an error into words: the places in the value where it fails, and how.
// The same error always gives the same words.
func problem(e *jsonschema.ValidationError) string {
	all := leaves(nil, e)
	slices.Sort(all)
	all = slices.Compact(all)
	return strings.Join(all[:min(len(all), maxProblems)], "; ")
}

// leaves gathers what is wrong, without the keywords that only hold others together.
func leaves(all []string, e *jsonschema.ValidationError) []string {
	if len(e.Causes) == 0 && len(all) < maxLeaves {
		return append(all, "at "+place(e.InstanceLocation)+": "+clip(e.ErrorKind.LocalizedString(english)))
	}
	for _, cause := range e.Causes {
		all = leaves(all, cause)
	}
	return all
}

// place is a path into the value, such as $.items[2].name.
func place(path []string) string {
	var b strings.Builder
	b.WriteByte('$')
	for _, step := range path {
		if _, err := strconv.ParseUint(step, 10, 31); err == nil {
			b.WriteString("[" + step + "]")
			continue
		}
		b.WriteString("." + step)
	}
	return clip(b.String())
}

// clip bounds what is told of a value.
func clip(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
