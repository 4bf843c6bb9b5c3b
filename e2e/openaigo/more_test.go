package openaigo

import (
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/responses"

	"github.com/antiphon-proxy/antiphon/e2e/fakemodel"
)

func TestCountTokens(t *testing.T) {
	s, c := play(t, fakemodel.Says("Hello."))
	count := func(text string) int64 {
		n, err := c.Responses.InputTokens.Count(within(t), responses.InputTokenCountParams{
			Model: openai.String(model), Input: responses.InputTokenCountParamsInputUnion{OfString: openai.String(text)},
		})
		if err != nil {
			t.Fatal(explain(err))
		}
		return n.InputTokens
	}
	if few, many := count("Hello?"), count("Hello? What is the weather like in Oslo today?"); few < 1 || many <= few {
		t.Errorf("%d tokens, and %d for more text", few, many)
	}
	if n := len(s.Model.Requests(model)); n != 0 {
		t.Errorf("the model was asked %d times", n)
	}
}

// TestCompact: what comes back is smaller, and a conversation goes on from it.
func TestCompact(t *testing.T) {
	_, c := play(t, fakemodel.Says("A summary of all that was said."))
	first := create(t, c, ask("My name is Ada."))
	compacted, err := c.Responses.Compact(within(t), responses.ResponseCompactParams{
		Model: model, PreviousResponseID: openai.String(first.ID),
	})
	if err != nil {
		t.Fatal(explain(err))
	}
	var items []responses.ResponseInputItemUnionParam
	for _, o := range compacted.Output {
		if o.Type == "compaction" {
			p := o.AsCompaction()
			items = append(items, responses.ResponseInputItemParamOfCompaction(p.EncryptedContent))
		}
	}
	if len(items) != 1 {
		t.Fatalf("%d compaction items in %s", len(items), compacted.RawJSON())
	}
	if r := create(t, c, send(append(items, user("What is my name?"))...)); r.Status != "completed" {
		t.Errorf("the response is %s", r.Status)
	}
}
