package ollama

import (
	"fmt"
	"net/http"
	"testing"
)

// TestChain: the model answers with a digit of the history that it was given, so the history is what it should be.
func TestChain(t *testing.T) {
	both(t, func(t *testing.T, create func(*testing.T, proxy, body) *response) {
		first := create(t, byName, greedy(recall, "My number is 7. Which is it?"))
		if first.text() != "7!" {
			t.Fatalf("the first answer is %q, want 7!", first.text())
		}
		next := func(after *response) *response {
			t.Helper()
			r := create(t, byName, with(greedy(recall, "Which is it?"), body{"previous_response_id": after.ID}))
			r.want(t, "completed", "message")
			if r.PreviousResponseID == nil || *r.PreviousResponseID != after.ID {
				t.Errorf("previous_response_id is %v, want %s", r.PreviousResponseID, after.ID)
			}
			return r
		}
		messages := list{user("My number is 7. Which is it?")}
		at := first
		for depth := 2; depth <= 4; depth++ {
			r := next(at)
			if r.text() != "7!" {
				t.Errorf("answer %d is %q, want 7!", depth, r.text())
			}
			messages = append(messages, body{"role": "assistant", "content": at.text()}, user("Which is it?"))
			text, prompt := chat(t, body{"model": recall, "messages": messages, "temperature": 0})
			if r.Usage.Input != prompt || r.text() != text {
				t.Errorf("answer %d is %q after %d tokens; the same messages, sent to ollama, get %q after %d",
					depth, r.text(), r.Usage.Input, text, prompt)
			}
			if r.Usage.Input <= at.Usage.Input {
				t.Errorf("answer %d: the prompt has %d tokens, the one before had %d", depth, r.Usage.Input, at.Usage.Input)
			}
			at = r
		}
		if r := create(t, byName, greedy(recall, "Which is it?")); r.text() != "No!" {
			t.Errorf("without a history the answer is %q, want No!", r.text())
		}
		// A second answer to the first question knows nothing of the others.
		if again := next(first); again.Usage.Input >= at.Usage.Input || again.text() != "7!" {
			t.Errorf("the branch says %q after %d tokens", again.text(), again.Usage.Input)
		}
	})
}

// TestBranches: two chains from one root have the digit of the root, or their own.
func TestBranches(t *testing.T) {
	root := ask(t, byName, greedy(recall, "Hello"))
	if root.text() != "No!" {
		t.Fatalf("the root says %q", root.text())
	}
	for _, digit := range []string{"3", "8"} {
		in := stream(t, byName, with(greedy(recall, "Take "+digit+"."), body{"previous_response_id": root.ID}))
		r := ask(t, byName, with(greedy(recall, "Which is it?"), body{"previous_response_id": in.ID}))
		if r.text() != digit+"!" {
			t.Errorf("the branch with %s says %q", digit, r.text())
		}
	}
}

// TestInstructionsAreNotInherited: those of the response before are not part of the history.
func TestInstructionsAreNotInherited(t *testing.T) {
	first := ask(t, byName, with(greedy(recall, "Which is it?"), body{"instructions": "It is 4."}))
	if first.text() != "4!" {
		t.Fatalf("with instructions: %q, want 4!", first.text())
	}
	// The answer is part of it, and has the digit; so the tokens tell.
	next := ask(t, byName, with(greedy(recall, "Which is it?"), body{"previous_response_id": first.ID}))
	_, want := chat(t, body{"model": recall, "messages": list{
		user("Which is it?"), body{"role": "assistant", "content": "4!"}, user("Which is it?"),
	}})
	if next.Usage.Input != want {
		t.Errorf("%d tokens, want %d: the history without instructions", next.Usage.Input, want)
	}
}

// TestReference: an item of a stored response, by its id.
func TestReference(t *testing.T) {
	first := ask(t, byName, greedy(recall, "My number is 5."))
	r := ask(t, byName, greedy(recall, list{
		user("What was it?"), body{"type": "item_reference", "id": first.Output[0].ID}, user("Again?"),
	}))
	if r.text() != "5!" {
		t.Errorf("the answer is %q, want 5!", r.text())
	}
}

func TestNotStored(t *testing.T) {
	both(t, func(t *testing.T, create func(*testing.T, proxy, body) *response) {
		r := create(t, byName, with(greedy(recall, "My number is 6."), body{"store": false}))
		if r.Store || r.text() != "6!" {
			t.Errorf("store is %v, the answer %q", r.Store, r.text())
		}
		e := refuse(t, byName, with(greedy(recall, "Which is it?"), body{"previous_response_id": r.ID}), http.StatusBadRequest)
		if e.code() != "previous_response_not_found" || e.param() != "previous_response_id" {
			t.Errorf("the error is %+v", e)
		}
		// Its items, sent along, are as good.
		input := append(list{user("My number is 6.")}, r.replay()...)
		if again := create(t, byName, greedy(recall, append(input, user("Which is it?")))); again.text() != "6!" {
			t.Errorf("with the items: %q, want 6!", again.text())
		}
	})
}

// TestStored: what is stored is what was said.
func TestStored(t *testing.T) {
	both(t, func(t *testing.T, create func(*testing.T, proxy, body) *response) {
		first := create(t, byName, greedy(recall, "My number is 2."))
		r := create(t, byName, with(greedy(recall, list{user("one"), user("Which is it?")}),
			body{"previous_response_id": first.ID, "metadata": body{"a": "b"}}))
		url := byName.url + "/v1/responses/" + r.ID

		status, header, raw := fetch(t, "GET", url, nil)
		if status != http.StatusOK || !same(t, raw, r.raw) {
			t.Errorf("status %d: stored is\n%s\nsaid was\n%s", status, raw, r.raw)
		}
		object(t, raw, header)

		for _, x := range []struct {
			query string
			want  []string
			more  bool
		}{
			{"", []string{"Which is it?", "one"}, false},
			{"?order=asc", []string{"one", "Which is it?"}, false},
			{"?order=asc&limit=1", []string{"one"}, true},
		} {
			page := inputItems(t, url+"/input_items"+x.query)
			var got []string
			for _, i := range page.Data {
				got = append(got, join(i.Content))
			}
			if fmt.Sprint(got) != fmt.Sprint(x.want) || page.HasMore != x.more {
				t.Errorf("input_items%s: %q, more: %v; want %q, %v", x.query, got, page.HasMore, x.want, x.more)
			}
			if x.more {
				rest := inputItems(t, url+"/input_items"+x.query+"&after="+page.LastID)
				if len(rest.Data) != 1 || join(rest.Data[0].Content) != "Which is it?" || rest.HasMore {
					t.Errorf("the next page: %+v", rest)
				}
			}
		}

		status, _, raw = fetch(t, "DELETE", url, nil)
		if want := `{"id":"` + r.ID + `","object":"response","deleted":true}`; status != http.StatusOK || !same(t, raw, []byte(want)) {
			t.Errorf("delete: status %d: %s", status, raw)
		}
		for _, method := range []string{"GET", "DELETE"} {
			status, header, raw = fetch(t, method, url, nil)
			e := readError(t, status, header, raw, http.StatusNotFound)
			if want := "Response with id '" + r.ID + "' not found."; e.Message != want {
				t.Errorf("%s after delete: %q, want %q", method, e.Message, want)
			}
		}
		// What came before is still there, and can be gone on from.
		if again := create(t, byName, with(greedy(recall, "Which is it?"), body{"previous_response_id": first.ID})); again.text() != "2!" {
			t.Errorf("after the deletion: %q, want 2!", again.text())
		}
	})
}
