package openaigo

import (
	"encoding/json"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/responses"

	"github.com/antiphon-proxy/antiphon/e2e/fakemodel"
)

func TestStructuredOutput(t *testing.T) {
	schema := map[string]any{
		"type":                 "object",
		"properties":           map[string]any{"city": map[string]any{"type": "string"}, "degrees": map[string]any{"type": "number"}},
		"required":             []string{"city", "degrees"},
		"additionalProperties": false,
	}
	s, c := play(t, fakemodel.Says(`{"city":"Oslo","degrees":-3.5}`))
	params := ask("Oslo?")
	params.Text.Format = responses.ResponseFormatTextConfigUnionParam{OfJSONSchema: &responses.ResponseFormatTextJSONSchemaConfigParam{
		Name: "weather", Schema: schema, Strict: openai.Bool(true), Description: openai.String("The weather."),
	}}
	for name, text := range map[string]func() *responses.Response{
		"whole":    func() *responses.Response { return create(t, c, params) },
		"streamed": func() *responses.Response { return mustEnd(t, c.Responses.NewStreaming(within(t), params)).final },
	} {
		t.Run(name, func(t *testing.T) {
			r := text()
			var weather struct {
				City    string
				Degrees float64
			}
			if err := json.Unmarshal([]byte(r.OutputText()), &weather); err != nil || weather.City != "Oslo" || weather.Degrees != -3.5 {
				t.Errorf("the text is %q: %v", r.OutputText(), err)
			}
			if echo := r.Text.Format.AsJSONSchema(); echo.Name != "weather" || !echo.Strict || echo.Schema["type"] != "object" {
				t.Errorf("the response echoes the format %s", r.Text.Format.RawJSON())
			}
		})
	}
	var sent struct {
		ResponseFormat struct {
			Type       string
			JSONSchema struct {
				Name   string
				Strict bool
				Schema map[string]any
			} `json:"json_schema"`
		} `json:"response_format"`
	}
	if err := json.Unmarshal(s.Model.Requests(model)[0].Body, &sent); err != nil {
		t.Fatal(err)
	}
	if f := sent.ResponseFormat; f.Type != "json_schema" || f.JSONSchema.Name != "weather" || !f.JSONSchema.Strict || len(f.JSONSchema.Schema) != 4 {
		t.Errorf("the model was sent the format %+v", f)
	}
}
