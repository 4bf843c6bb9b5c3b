package openaigo

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"

	"github.com/antiphon-proxy/antiphon/e2e/fakemodel"
)

// TestLongConversation follows a chain of turns, each with instructions of its
// own, which are not inherited.
func TestLongConversation(t *testing.T) {
	const turns = 12
	script := fakemodel.Script{}
	for i := range turns {
		script.Replies = append(script.Replies, fakemodel.Reply{Text: fmt.Sprintf("%d: {{user}} ({{system}})", i)})
	}
	s, c := play(t, script)
	var last string
	for i := range turns {
		params := ask(fmt.Sprintf("turn %d", i))
		params.Instructions = openai.String(fmt.Sprintf("rule %d", i))
		if last != "" {
			params.PreviousResponseID = openai.String(last)
		}
		p := mustEnd(t, c.Responses.NewStreaming(within(t), params))
		if got, want := p.final.OutputText(), fmt.Sprintf("%d: turn %d (rule %d)", i, i, i); got != want {
			t.Fatalf("turn %d is %q, not %q", i, got, want)
		}
		last = p.final.ID
	}
	if got := messages(t, s); len(got) != 2*turns {
		t.Errorf("the model was told %d messages in the end", len(got))
	}
}

func TestInputItemsInPages(t *testing.T) {
	_, c := play(t, fakemodel.Says("That is a lot."))
	const count = 25
	items := make([]responses.ResponseInputItemUnionParam, count)
	var forth []string
	for i := range items {
		text := fmt.Sprintf("item %02d", i)
		items[i] = user(text)
		forth = append(forth, text)
	}
	r := create(t, c, send(items...))
	back := slices.Clone(forth)
	slices.Reverse(back)
	for _, test := range []struct {
		order responses.InputItemListParamsOrder
		limit int64
		want  []string
	}{
		{"", 0, back},
		{responses.InputItemListParamsOrderDesc, 10, back},
		{responses.InputItemListParamsOrderAsc, 1, forth},
		{responses.InputItemListParamsOrderAsc, 5, forth},
		{responses.InputItemListParamsOrderAsc, 24, forth},
		{responses.InputItemListParamsOrderAsc, 25, forth},
		{responses.InputItemListParamsOrderAsc, 100, forth},
	} {
		t.Run(fmt.Sprintf("%s by %d", test.order, test.limit), func(t *testing.T) {
			query := responses.InputItemListParams{Order: test.order}
			if test.limit > 0 {
				query.Limit = openai.Int(test.limit)
			}
			var got []string
			ids := map[string]bool{}
			pages := c.Responses.InputItems.ListAutoPaging(within(t), r.ID, query)
			for pages.Next() {
				item := pages.Current()
				if item.ID == "" || ids[item.ID] {
					t.Errorf("the id %q is empty or comes twice", item.ID)
				}
				ids[item.ID] = true
				got = append(got, item.AsMessage().Content[0].Text)
			}
			if err := pages.Err(); err != nil {
				t.Fatal(explain(err))
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("the items are %v", got)
			}
		})
	}
	list := func(query responses.InputItemListParams) error {
		_, err := c.Responses.InputItems.List(within(t), r.ID, query)
		return err
	}
	wantError(t, list(responses.InputItemListParams{Limit: openai.Int(0)}), http.StatusBadRequest, "integer_below_min_value", "limit")
	wantError(t, list(responses.InputItemListParams{Limit: openai.Int(101)}), http.StatusBadRequest, "integer_above_max_value", "limit")
	wantError(t, list(responses.InputItemListParams{Order: "up"}), http.StatusBadRequest, "invalid_value", "order")
	wantError(t, list(responses.InputItemListParams{After: openai.String("msg_none")}), http.StatusBadRequest, "invalid_value", "after")
}

// TestTenantsCannotSeeEachOther: what one credential has stored does not exist
// for another.
func TestTenantsCannotSeeEachOther(t *testing.T) {
	s, mine := play(t, fakemodel.Says("A secret."))
	theirs := newClient(t, s.URL(), option.WithMaxRetries(0), option.WithAPIKey("sk-other"))
	r := create(t, mine, ask("Tell me a secret."))
	_, err := theirs.Responses.Get(within(t), r.ID, responses.ResponseGetParams{})
	wantError(t, err, http.StatusNotFound, "", "")
	wantError(t, theirs.Responses.Delete(within(t), r.ID), http.StatusNotFound, "", "")
	_, err = theirs.Responses.InputItems.List(within(t), r.ID, responses.InputItemListParams{})
	wantError(t, err, http.StatusNotFound, "", "")
	follow := ask("What was it?")
	follow.PreviousResponseID = openai.String(r.ID)
	_, err = theirs.Responses.New(within(t), follow)
	wantError(t, err, http.StatusBadRequest, "previous_response_not_found", "previous_response_id")
	_, err = theirs.Responses.New(within(t), send(responses.ResponseInputItemParamOfItemReference(r.Output[0].ID)))
	wantError(t, err, http.StatusNotFound, "", "input")
	if _, err = mine.Responses.Get(within(t), r.ID, responses.ResponseGetParams{}); err != nil {
		t.Error("it is gone for its owner too:", explain(err))
	}
}
