package translate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// The contract test holds what the turn says against OpenAI's own description of
// the API. The description is not part of the project; where it lies beside it,
// it is used. It is twelve weeks older than the wire and wrong in places:
// deviations lists those, with the reason.
const openapi = "../../shared/openapi.yaml"

// deviations are complaints of the description that are its own fault: parts of
// what the validator says, with the reason to disagree.
var deviations = []struct{ complaint, why string }{
	{"user': got null, want string", "the live API always sends user, null when there is none (docs/PROTOCOL.md §5.1)"},
	{"usage': got null, want object", "the live API sends null until the terminal event (docs/PROTOCOL.md §5.1)"},
	{"missing property 'name'", "function_call_arguments.done has no name on the wire (openai-openapi#545)"},
	{"missing properties 'code', 'message', 'param'", "the live error event nests them under error (docs/PROTOCOL.md §4.6.10)"},
	{"/error': got object, want null", "see the next"},
	{"/error/code': value must be one of", "the wire has more error codes: context_length_exceeded, insufficient_quota (docs/PROTOCOL.md §5.5)"},
}

type contract struct {
	compiler *jsonschema.Compiler
	byType   map[string]string // event type → schema
	compiled map[string]*jsonschema.Schema
}

// loadContract reads the description, or returns nil if it is not there.
func loadContract(t *testing.T) *contract {
	t.Helper()
	raw, err := os.ReadFile(openapi)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := yaml.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	schemas := doc["components"].(map[string]any)["schemas"].(map[string]any)
	c := &contract{compiler: jsonschema.NewCompiler(), byType: map[string]string{}, compiled: map[string]*jsonschema.Schema{}}
	c.compiler.DefaultDraft(jsonschema.Draft2020)
	c.compiler.UseLoader(noLoader{})
	for _, ref := range schemas["ResponseStreamEvent"].(map[string]any)["anyOf"].([]any) {
		name := strings.TrimPrefix(ref.(map[string]any)["$ref"].(string), "#/components/schemas/")
		typ := schemas[name].(map[string]any)["properties"].(map[string]any)["type"].(map[string]any)
		for _, v := range typ["enum"].([]any) {
			c.byType[v.(string)] = name
		}
	}
	root := map[string]any{"components": map[string]any{"schemas": plainSchema(schemas)}}
	// Through JSON, so that numbers are what the validator expects.
	again, err := json.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(again))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.compiler.AddResource("mem:///openapi.json", value); err != nil {
		t.Fatal(err)
	}
	return c
}

// noLoader refuses to read anything but what it was given.
type noLoader struct{}

func (noLoader) Load(url string) (any, error) { return nil, fmt.Errorf("%s is not loaded", url) }

// plainSchema turns what OpenAPI 3.0 writes into JSON Schema: nullable, boolean
// exclusive bounds, and keywords that nobody knows.
func plainSchema(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = plainSchema(v[i])
		}
		return v
	case map[string]any:
		out := map[string]any{}
		for k, sub := range v {
			switch {
			case k == "discriminator", k == "example", k == "examples", k == "default", k == "description",
				strings.HasPrefix(k, "x-"), k == "$recursiveRef", k == "$recursiveAnchor", k == "min_items", k == "max_items":
				continue
			case k == "exclusiveMinimum" || k == "exclusiveMaximum":
				if _, isBool := sub.(bool); isBool {
					continue
				}
			case k == "format": // uri and the like are not checked
				continue
			}
			out[k] = plainSchema(sub)
		}
		if v["nullable"] == true {
			delete(out, "nullable")
			return map[string]any{"anyOf": []any{out, map[string]any{"type": "null"}}}
		}
		return out
	}
	return v
}

func (c *contract) schema(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	if s := c.compiled[name]; s != nil {
		return s
	}
	s, err := c.compiler.Compile("mem:///openapi.json#/components/schemas/" + name)
	if err != nil {
		t.Fatal(err)
	}
	c.compiled[name] = s
	return s
}

func (c *contract) check(t *testing.T, name string, raw []byte) {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Error(err)
		return
	}
	err = c.schema(t, name).Validate(value)
	if err == nil {
		return
	}
	for _, line := range strings.Split(err.Error(), "\n")[1:] {
		line = strings.TrimSpace(line)
		if strings.HasSuffix(line, "failed") || strings.HasPrefix(line, "- at") && chatDeviates(line) {
			continue
		}
		t.Errorf("%s: %s\n%s", name, line, raw[:min(len(raw), 600)])
	}
}

func deviates(complaint string) bool {
	for _, d := range deviations {
		if strings.Contains(complaint, d.complaint) {
			return true
		}
	}
	return false
}

func TestContract(t *testing.T) {
	c := loadContract(t)
	if c == nil {
		t.Log("the description of the API does not lie beside the project: nothing to compare with")
		return
	}
	seen := map[string]bool{}
	for _, sc := range streamCases(t) {
		if sc.golden != nil && sc.golden.Options.OpenResponses {
			continue // the names of Open Responses are not in it
		}
		t.Run(sc.name, func(t *testing.T) {
			var turn Turn
			turn.Reset(sc.options(t))
			for line := range strings.SplitSeq(string(streamThrough(&turn, sc.sse)), "\n") {
				data, ok := strings.CutPrefix(line, "data: ")
				if !ok {
					continue
				}
				var e struct{ Type string }
				if err := json.Unmarshal([]byte(data), &e); err != nil {
					t.Fatal(err)
				}
				if e.Type == "response.compaction.compacting" {
					continue // newer than the document (docs/PROTOCOL.md §8.6)
				}
				name := c.byType[e.Type]
				if name == "" {
					t.Errorf("there is no event of type %q", e.Type)
					continue
				}
				seen[e.Type] = true
				c.check(t, name, []byte(data))
			}
			c.check(t, "Response", turn.Response(nil, testCreated+1, true))
		})
	}
	for _, typ := range []string{
		"response.created", "response.in_progress", "response.completed", "response.incomplete", "response.failed", "error",
		"response.output_item.added", "response.output_item.done", "response.content_part.added", "response.content_part.done",
		"response.output_text.delta", "response.output_text.done", "response.refusal.delta", "response.refusal.done",
		"response.function_call_arguments.delta", "response.function_call_arguments.done",
		"response.reasoning_text.delta", "response.reasoning_text.done", "response.reasoning_summary_text.delta",
		"response.reasoning_summary_text.done", "response.reasoning_summary_part.added", "response.reasoning_summary_part.done",
		"response.output_text.annotation.added",
	} {
		if !seen[typ] {
			t.Errorf("no case makes a %s event", typ)
		}
	}
}
