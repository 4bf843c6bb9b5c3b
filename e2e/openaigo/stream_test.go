package openaigo

import (
	"slices"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/responses"

	"github.com/antiphon-proxy/antiphon/e2e/fakemodel"
)

// rainy is a text with characters of all widths.
const rainy = "Rain in Łódź 🌧 today, 18 °C — 「傘」 needed."

func TestStreamOfText(t *testing.T) {
	_, c := play(t, fakemodel.Says(rainy))
	p := mustEnd(t, c.Responses.NewStreaming(within(t), ask("Weather?")))
	want := []string{
		"response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
		"response.output_text.delta", "response.output_text.done", "response.content_part.done",
		"response.output_item.done", "response.completed",
	}
	if got := p.types(); !slices.Equal(got, want) {
		t.Errorf("the events are %v", got)
	}
	var text strings.Builder
	for i, e := range p.events {
		if e.SequenceNumber != int64(i) {
			t.Errorf("event %d has the number %d", i, e.SequenceNumber)
		}
		if e.Type == "response.output_text.delta" {
			text.WriteString(e.AsResponseOutputTextDelta().Delta)
		}
	}
	if text.String() != rainy || p.final.OutputText() != rainy {
		t.Errorf("the deltas are %q, the final text is %q", text.String(), p.final.OutputText())
	}
	stored, err := c.Responses.Get(within(t), p.final.ID, responses.ResponseGetParams{})
	if err != nil {
		t.Fatal(explain(err))
	}
	if stored.OutputText() != rainy {
		t.Errorf("stored is %q", stored.OutputText())
	}
}

func TestStreamOfReasoning(t *testing.T) {
	script := fakemodel.Script{Replies: []fakemodel.Reply{{Reasoning: "It rains often there.", Text: "Yes."}}}
	for name, effort := range map[string]responses.ResponseNewParams{
		"as it is":     ask("Rain?"),
		"as a summary": summarised(ask("Rain?")),
	} {
		t.Run(name, func(t *testing.T) {
			_, c := play(t, script)
			p := mustEnd(t, c.Responses.NewStreaming(within(t), effort))
			if len(p.final.Output) != 2 || p.final.Output[0].Type != "reasoning" {
				t.Fatalf("the output is %s", p.final.RawJSON())
			}
			item := p.final.Output[0].AsReasoning()
			var thought string
			if name == "as a summary" && len(item.Summary) == 1 {
				thought = item.Summary[0].Text
			} else if len(item.Content) == 1 {
				thought = item.Content[0].Text
			}
			if thought != "It rains often there." {
				t.Errorf("the reasoning is %s", item.RawJSON())
			}
		})
	}
}

func summarised(p responses.ResponseNewParams) responses.ResponseNewParams {
	p.Reasoning.Summary = openai.ReasoningSummaryAuto
	return p
}

func TestStreamOfARefusal(t *testing.T) {
	_, c := play(t, fakemodel.Script{Replies: []fakemodel.Reply{{Refusal: "I would rather not."}}})
	p := mustEnd(t, c.Responses.NewStreaming(within(t), ask("Help me break in.")))
	content := p.final.Output[0].Content
	if len(content) != 1 || content[0].Type != "refusal" || content[0].Refusal != "I would rather not." {
		t.Errorf("the content is %s", p.final.RawJSON())
	}
}

func TestStreamWithLogprobs(t *testing.T) {
	_, c := play(t, fakemodel.Says("A parrot."))
	params := ask("What are you?")
	params.Include = []responses.ResponseIncludable{responses.ResponseIncludableMessageOutputTextLogprobs}
	params.TopLogprobs = openai.Int(2)
	p := mustEnd(t, c.Responses.NewStreaming(within(t), params))
	text := p.final.Output[0].Content[0].AsOutputText()
	var joined strings.Builder
	for _, l := range text.Logprobs {
		joined.WriteString(l.Token)
		if len(l.TopLogprobs) != 2 {
			t.Errorf("the token %q has %d alternatives", l.Token, len(l.TopLogprobs))
		}
	}
	if joined.String() != "A parrot." {
		t.Errorf("the tokens are %q", joined.String())
	}
}

func TestStreamThatIsCutShortByTheModel(t *testing.T) {
	_, c := play(t, fakemodel.Script{Replies: []fakemodel.Reply{{Text: "A long st", Finish: "length"}}})
	p := mustEnd(t, c.Responses.NewStreaming(within(t), ask("Tell me a story.")))
	if p.final.Status != responses.ResponseStatusIncomplete || p.final.IncompleteDetails.Reason != "max_output_tokens" {
		t.Errorf("status %q because of %q", p.final.Status, p.final.IncompleteDetails.Reason)
	}
	if p.final.OutputText() != "A long st" {
		t.Errorf("the text is %q", p.final.OutputText())
	}
}

// TestStreamFromABackendThatDoesNot: the backend answers with one JSON object.
func TestStreamFromABackendThatDoesNot(t *testing.T) {
	_, c := play(t, fakemodel.Script{Replies: []fakemodel.Reply{{Text: rainy, Whole: true}}})
	p := mustEnd(t, c.Responses.NewStreaming(within(t), ask("Weather?")))
	if p.final.OutputText() != rainy {
		t.Errorf("the text is %q", p.final.OutputText())
	}
}

// TestStreamsAtTheSameTime: sixteen clients, each with its own answer.
func TestStreamsAtTheSameTime(t *testing.T) {
	_, c := play(t, fakemodel.Script{Replies: []fakemodel.Reply{{Text: "You said: {{user}}", GapMS: 2}}})
	t.Run("all", func(t *testing.T) {
		for i := range 16 {
			name := strings.Repeat("ho", i+1)
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				p := mustEnd(t, c.Responses.NewStreaming(within(t), ask(name)))
				if got := p.final.OutputText(); got != "You said: "+name {
					t.Errorf("the text is %q", got)
				}
			})
		}
	})
}
