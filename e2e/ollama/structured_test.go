package ollama

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// person is a schema, and what an object of it is read into.
var person = body{
	"type": "object",
	"properties": body{
		"name": body{"type": "string"},
		"age":  body{"type": "integer"},
		"tags": body{"type": "array", "items": body{"type": "string"}},
		"kind": body{"type": "string", "enum": list{"north", "south"}},
	},
	"required": list{"name", "age", "tags", "kind"}, "additionalProperties": false,
}

// format is a text member that asks for it.
var format = body{"format": body{"type": "json_schema", "name": "person", "strict": true, "schema": person}}

// checkPerson fails the test when a text is no person.
func checkPerson(t *testing.T, text string) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	var p struct {
		Name, Kind *string
		Age        *int
		Tags       *[]string
	}
	if err := d.Decode(&p); err != nil {
		t.Errorf("%v: %q", err, text)
		return
	}
	if d.More() || p.Name == nil || p.Age == nil || p.Tags == nil || p.Kind == nil || *p.Kind != "north" && *p.Kind != "south" {
		t.Errorf("this is not as the schema says: %q", text)
	}
}

func TestSchema(t *testing.T) {
	both(t, func(t *testing.T, create func(*testing.T, proxy, body) *response) {
		for seed := range 6 {
			r := create(t, byName, body{"model": markov, "input": "Hello", "seed": seed, "text": format})
			r.want(t, "completed", "message")
			checkPerson(t, r.text())
			if loss := r.loss(); loss != "" {
				t.Errorf("losses are reported: %s", loss)
			}
		}
	})
}

// TestSchemaAndReasoning: a thinking model is held to the schema after it has thought; ollama asks it twice for that.
func TestSchemaAndReasoning(t *testing.T) {
	both(t, func(t *testing.T, create func(*testing.T, proxy, body) *response) {
		for seed := range 4 {
			r := create(t, byName, body{"model": think, "input": "Hello", "seed": seed, "text": format})
			r.want(t, "completed", "reasoning", "message")
			checkPerson(t, r.text())
		}
	})
}

func TestAnyJSON(t *testing.T) {
	both(t, func(t *testing.T, create func(*testing.T, proxy, body) *response) {
		r := create(t, byName, body{"model": markov, "input": "Write json.", "seed": 1,
			"text": body{"format": body{"type": "json_object"}}, "max_output_tokens": 300})
		if r.Status == "completed" && !json.Valid([]byte(r.text())) {
			t.Errorf("this is not JSON: %q", r.text())
		}
	})
}

// TestSchemaInChain: the format belongs to one request, and is not inherited.
func TestSchemaInChain(t *testing.T) {
	first := ask(t, byName, with(greedy(markov, "Hello"), body{"text": format}))
	checkPerson(t, first.text())
	next := ask(t, byName, with(greedy(markov, "And?"), body{"previous_response_id": first.ID}))
	if next.text() != sentence {
		t.Errorf("the answer is %q, want %q", next.text(), sentence)
	}
}

// TestBadSchema: what ollama cannot make anything of is its error, before any event.
func TestBadSchema(t *testing.T) {
	bad := body{"format": body{"type": "json_schema", "name": "x", "schema": body{"type": "nonsense"}}}
	for _, streaming := range []bool{false, true} {
		status, header, raw := fetch(t, "POST", byName.url+"/v1/responses",
			with(greedy(markov, "Hello"), body{"text": bad, "stream": streaming}))
		e := readError(t, status, header, raw, http.StatusInternalServerError)
		if !strings.Contains(e.Message, "schema") {
			t.Errorf("stream %v: the error is %q", streaming, e.Message)
		}
	}
}
