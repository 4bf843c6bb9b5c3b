package openaigo

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/conversations"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"
	"github.com/openai/openai-go/v3/shared"

	"github.com/antiphon-proxy/antiphon/e2e/fakemodel"
)

// itemTexts lists a whole conversation, page by page.
func itemTexts(t *testing.T, c openai.Client, id string, query conversations.ItemListParams) (texts []string) {
	t.Helper()
	pages := c.Conversations.Items.ListAutoPaging(within(t), id, query)
	for pages.Next() {
		item := pages.Current()
		if item.ID == "" || item.Status != "completed" {
			t.Errorf("item %s", item.RawJSON())
		}
		texts = append(texts, item.AsMessage().Content[0].Text)
	}
	if err := pages.Err(); err != nil {
		t.Fatal(explain(err))
	}
	return texts
}

func TestConversations(t *testing.T) {
	s, c := play(t, fakemodel.Script{Replies: []fakemodel.Reply{{Text: "one {{user}}"}, {Text: "two {{user}}"}}})
	ctx := within(t)
	conv, err := c.Conversations.New(ctx, conversations.ConversationNewParams{Metadata: shared.Metadata{"a": "b"}})
	if err != nil {
		t.Fatal(explain(err))
	}
	asked := ask("hello")
	asked.Conversation.OfString = openai.String(conv.ID)
	if p := mustEnd(t, c.Responses.NewStreaming(ctx, asked)); p.final.OutputText() != "one hello" || p.final.Conversation.ID != conv.ID {
		t.Errorf("the response is %s", p.final.RawJSON())
	}
	asked = ask("again")
	asked.Conversation.OfConversationObject = &responses.ResponseConversationParam{ID: conv.ID}
	if r := create(t, c, asked); r.OutputText() != "two again" {
		t.Errorf("the response is %s", r.RawJSON())
	}
	added, err := c.Conversations.Items.New(ctx, conv.ID, conversations.ItemNewParams{Items: []responses.ResponseInputItemUnionParam{user("more")}})
	if err != nil || len(added.Data) != 1 {
		t.Fatal(explain(err))
	}
	want := []string{"hello", "one hello", "again", "two again", "more"}
	for _, limit := range []int64{1, 2, 5, 100} {
		got := itemTexts(t, c, conv.ID, conversations.ItemListParams{Limit: openai.Int(limit), Order: conversations.ItemListParamsOrderAsc})
		if !slices.Equal(got, want) {
			t.Errorf("by %d: %v", limit, got)
		}
	}
	slices.Reverse(want)
	if got := itemTexts(t, c, conv.ID, conversations.ItemListParams{}); !slices.Equal(got, want) {
		t.Errorf("backwards: %v", got)
	}
	item, err := c.Conversations.Items.Get(ctx, conv.ID, added.Data[0].ID, conversations.ItemGetParams{})
	if err != nil || item.AsMessage().Content[0].Text != "more" {
		t.Error(explain(err))
	}
	if left, err := c.Conversations.Items.Delete(ctx, conv.ID, added.Data[0].ID); err != nil || left.ID != conv.ID {
		t.Error(explain(err))
	}
	_, err = c.Conversations.Items.Get(ctx, conv.ID, added.Data[0].ID, conversations.ItemGetParams{})
	wantError(t, err, http.StatusNotFound, "", "")
	changed, err := c.Conversations.Update(ctx, conv.ID, conversations.ConversationUpdateParams{Metadata: shared.Metadata{"c": "d"}})
	if err != nil || fmt.Sprint(changed.Metadata) != "map[c:d]" {
		t.Error(explain(err), changed)
	}

	other := newClient(t, s.URL(), option.WithMaxRetries(0), option.WithAPIKey("sk-other"))
	_, err = other.Conversations.Get(ctx, conv.ID)
	wantError(t, err, http.StatusNotFound, "", "")
	_, err = other.Responses.New(ctx, asked)
	wantError(t, err, http.StatusNotFound, "", "")

	if gone, err := c.Conversations.Delete(ctx, conv.ID); err != nil || !gone.Deleted {
		t.Error(explain(err))
	}
	_, err = c.Conversations.Get(ctx, conv.ID)
	wantError(t, err, http.StatusNotFound, "", "")
}

func TestCompactAndGoOn(t *testing.T) {
	s, c := play(t, fakemodel.Script{Replies: []fakemodel.Reply{{Text: "first"}, {Text: "A summary."}, {Text: "never"}}})
	ctx := within(t)
	r := create(t, c, ask("Polly?"))
	compacted, err := c.Responses.Compact(ctx, responses.ResponseCompactParams{
		Model: responses.ResponseCompactParamsModel(model), PreviousResponseID: openai.String(r.ID),
	})
	if err != nil {
		t.Fatal(explain(err))
	}
	if n := len(compacted.Output); n != 2 || compacted.Output[1].Type != "compaction" || compacted.Usage.TotalTokens == 0 {
		t.Fatalf("compacted to %s", compacted.RawJSON())
	}
	var input []responses.ResponseInputItemUnionParam
	for _, o := range compacted.Output {
		var item responses.ResponseInputItemUnionParam
		if err := json.Unmarshal([]byte(o.RawJSON()), &item); err != nil {
			t.Fatal(err)
		}
		input = append(input, item)
	}
	if r := create(t, c, send(append(input, user("And?"))...)); r.OutputText() != "first" { // the model has not seen what it said
		t.Errorf("the response is %s", r.RawJSON())
	}
	sent := messages(t, s)
	if len(sent) != 3 || sent[0].Role != "system" || !strings.Contains(fmt.Sprint(sent[0].Content), "A summary.") || sent[1].Content != "Polly?" || sent[2].Content != "And?" {
		t.Errorf("the model was told %v", sent)
	}
}

func TestInputTokens(t *testing.T) {
	s, c := play(t, fakemodel.Says("Never."))
	count, err := c.Responses.InputTokens.Count(within(t), responses.InputTokenCountParams{
		Model: openai.String(model), Input: responses.InputTokenCountParamsInputUnion{OfString: openai.String("The quick brown fox.")},
	})
	if err != nil {
		t.Fatal(explain(err))
	}
	if count.InputTokens < 5 || count.InputTokens > 20 {
		t.Errorf("%d tokens", count.InputTokens)
	}
	if n := len(s.Model.Requests(model)); n != 0 {
		t.Errorf("the model was asked %d times", n)
	}
}
