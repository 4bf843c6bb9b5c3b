package openaigo

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/conversations"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"

	"github.com/antiphon-proxy/antiphon/e2e/fakemodel"
	"github.com/antiphon-proxy/antiphon/e2e/harness"
	"github.com/antiphon-proxy/antiphon/proxy/store/redistest"
	"github.com/antiphon-proxy/antiphon/translate/streamcheck"
)

// echo is a model that says which turn it is and what it was asked.
func echo(turns int) (script fakemodel.Script) {
	for i := range turns {
		script.Replies = append(script.Replies, fakemodel.Reply{Text: fmt.Sprintf("%d: {{user}}", i)})
	}
	return script
}

// redisServer is a server of the test's own, which loses nothing when it is
// killed.
func redisServer(t *testing.T) *redistest.Server {
	t.Helper()
	server, err := redistest.Start(redistest.Durable...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	return server
}

// another is one more replica beside a stage's, and a client of it. What goes
// over its wire is checked like the stage's.
func another(t *testing.T, s *harness.Stage, flags ...string) openai.Client {
	t.Helper()
	p, err := harness.StartProcess(s.Model.URL, nil, flags...)
	if err != nil {
		t.Fatal(err)
	}
	tap, err := harness.NewTap(p.Addr)
	if err != nil {
		p.Kill()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		faults := p.Stop()
		tap.Close()
		for _, fault := range append(faults, harness.Check(tap.Exchanges(), streamcheck.Options{}, false)...) {
			t.Error(fault)
		}
		if t.Failed() {
			t.Log("the end of the other replica's log:\n" + p.Log(15))
		}
	})
	return newClient(t, "http://"+tap.Addr()+"/v1", option.WithMaxRetries(0))
}

// TestReplicasShareConversations: a conversation goes on at whichever replica,
// in the very moment in which a turn is over, and what one has deleted is gone
// for the other, whatever it has cached.
func TestReplicasShareConversations(t *testing.T) {
	const turns = 16
	server := redisServer(t)
	s, first := play(t, echo(turns), "--store", server.URL())
	clients := []openai.Client{first, another(t, s, "--store", server.URL())}
	ids := []string{}
	for i := range turns {
		params := ask(fmt.Sprintf("turn %d", i))
		if i > 0 {
			params.PreviousResponseID = openai.String(ids[i-1])
		}
		p := mustEnd(t, clients[i%2].Responses.NewStreaming(within(t), params))
		if got, want := p.final.OutputText(), fmt.Sprintf("%d: turn %d", i, i); got != want {
			t.Fatalf("turn %d is %q, not %q", i, got, want)
		}
		ids = append(ids, p.final.ID)
	}
	if got := messages(t, s); len(got) != 2*turns-1 {
		t.Errorf("the model was told %d messages in the end", len(got))
	}
	for i, id := range ids {
		var said []string
		for _, c := range clients {
			r, err := c.Responses.Get(within(t), id, responses.ResponseGetParams{})
			if err != nil {
				t.Fatal(explain(err))
			}
			said = append(said, r.RawJSON())
		}
		if said[0] != said[1] {
			t.Errorf("turn %d is %s at one replica and %s at the other", i, said[0], said[1])
		}
	}
	if err := clients[0].Responses.Delete(within(t), ids[5]); err != nil {
		t.Fatal(explain(err))
	}
	for _, c := range clients {
		_, err := c.Responses.Get(within(t), ids[5], responses.ResponseGetParams{})
		wantError(t, err, 404, "", "")
		params := ask("and now?")
		params.PreviousResponseID = openai.String(ids[turns-1])
		_, err = c.Responses.New(within(t), params)
		wantError(t, err, 400, "previous_response_not_found", "previous_response_id")
	}
}

// TestReplicasShareWork: what one replica makes the other follows from any event
// on, and cancels; and the conversation that it is made in is locked for both.
func TestReplicasShareWork(t *testing.T) {
	server := redisServer(t)
	s, one := play(t, slowly(4), "--store", server.URL())
	other := another(t, s, "--store", server.URL())
	conv, err := one.Conversations.New(within(t), conversations.ConversationNewParams{})
	if err != nil {
		t.Fatal(explain(err))
	}
	params := inBackground("one")
	params.Conversation.OfString = openai.String(conv.ID)
	id, last := some(t, one.Responses.NewStreaming(within(t), params), 7)
	second := ask("two")
	second.Conversation.OfString = openai.String(conv.ID)
	_, err = other.Responses.New(within(t), second)
	wantError(t, err, 400, "conversation_locked", "conversation")
	const said = "one two three four five six seven"
	if text := mustEndFrom(t, other.Responses.GetStreaming(within(t), id, responses.ResponseGetParams{StartingAfter: openai.Int(last)}), last+1); text != said {
		t.Errorf("it ends with %q", text)
	}
	if r := create(t, other, second); r.OutputText() != said {
		t.Errorf("%s", r.RawJSON())
	}
	want := []string{"one", said, "two", said}
	for _, c := range []openai.Client{one, other} {
		if got := itemTexts(t, c, conv.ID, conversations.ItemListParams{Order: conversations.ItemListParamsOrderAsc}); !slices.Equal(got, want) {
			t.Errorf("the conversation holds %q", got)
		}
	}

	id, _ = some(t, one.Responses.NewStreaming(within(t), inBackground("cancel")), 7)
	began := time.Now()
	cancelled, err := other.Responses.Cancel(within(t), id)
	if err != nil || cancelled.Status != responses.ResponseStatusCancelled {
		t.Fatal(explain(err), cancelled.RawJSON())
	}
	if !s.Model.AwaitState(model, fakemodel.Left, 10*time.Second) {
		t.Error("the model goes on")
	}
	if took := time.Since(began); took > 2*time.Second { // a second is promised; the machine may be busy
		t.Errorf("it took %v", took)
	}
	if r := ended(t, one, id); r.RawJSON() != cancelled.RawJSON() {
		t.Errorf("it is\n%s\nand was\n%s", r.RawJSON(), cancelled.RawJSON())
	}
}

// stored says whether a response claims to be.
func stored(t *testing.T, r *responses.Response) bool {
	t.Helper()
	var said struct{ Store bool }
	if err := json.Unmarshal([]byte(r.RawJSON()), &said); err != nil {
		t.Fatal(err)
	}
	return said.Store
}

// TestStoreServerFails: whatever happens to the server of the store, answers
// come, and say whether they are stored; what was stored is never said not to
// be; and all is well soon after the server is back.
func TestStoreServerFails(t *testing.T) {
	server := redisServer(t)
	_, c := play(t, echo(2), "--store", server.URL())
	get := func(id string) error {
		_, err := c.Responses.Get(within(t), id, responses.ResponseGetParams{})
		return err
	}
	// again waits for a stored answer, and returns how long that took.
	again := func() time.Duration {
		start := time.Now()
		for !stored(t, create(t, c, ask("again?"))) {
			if time.Since(start) > 20*time.Second {
				t.Fatal("nothing is stored any more")
			}
		}
		return time.Since(start)
	}
	before := create(t, c, ask("before"))
	if !stored(t, before) || get(before.ID) != nil {
		t.Fatal("not stored to begin with")
	}
	for _, outage := range []struct {
		name       string
		begin, end func() error
		readable   bool
	}{
		{"frozen", func() error { server.Freeze(); return nil }, func() error { server.Thaw(); return nil }, false},
		{"dead", func() error { server.Kill(); return nil }, server.Restart, false},
		{"full", server.Fill, server.Drain, true},
		{"a replica", server.ReadOnly, server.Promote, true},
	} {
		if err := outage.begin(); err != nil {
			t.Fatal(err)
		}
		for n := range 5 {
			start := time.Now()
			p := mustEnd(t, c.Responses.NewStreaming(within(t), ask("during")))
			took := time.Since(start)
			if p.final.OutputText() != "0: during" || stored(t, p.final) {
				t.Errorf("%s: the answer is %q and says stored: %v", outage.name, p.final.OutputText(), stored(t, p.final))
			}
			if n == 4 && took > 2*time.Second { // the machine may be busy; the store's own test is exact
				t.Errorf("%s: the answer took %v", outage.name, took)
			}
		}
		err := get(before.ID)
		if outage.readable && err != nil {
			t.Errorf("%s: %s", outage.name, explain(err))
		} else if !outage.readable {
			if e := wantError(t, err, 503, "server_error", ""); !strings.Contains(e.Message, "store") {
				t.Errorf("%s: %s", outage.name, e.Message)
			}
			params := ask("and then?")
			params.PreviousResponseID = openai.String(before.ID)
			_, err := c.Responses.New(within(t), params)
			wantError(t, err, 503, "server_error", "")
		}
		if err := outage.end(); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: stored again after %v", outage.name, again())
		if err := get(before.ID); err != nil {
			t.Errorf("%s, and back: %s", outage.name, explain(err))
		}
		params := ask("and then?")
		params.PreviousResponseID = openai.String(before.ID)
		if r := create(t, c, params); r.OutputText() != "1: and then?" {
			t.Errorf("%s, and back: %q", outage.name, r.OutputText())
		}
	}
}

// TestStartsBeforeStore: a replica starts without the store's server, answers,
// and stores as soon as it is there.
func TestStartsBeforeStore(t *testing.T) {
	server := redisServer(t)
	server.Kill()
	_, c := play(t, echo(1), "--store", server.URL())
	if r := create(t, c, ask("early")); stored(t, r) || r.OutputText() != "0: early" {
		t.Errorf("%q, stored: %v", r.OutputText(), stored(t, r))
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); ; {
		r := create(t, c, ask("late"))
		if stored(t, r) {
			if _, err := c.Responses.Get(within(t), r.ID, responses.ResponseGetParams{}); err != nil {
				t.Error(explain(err))
			}
			return
		}
		if time.Since(start) > 20*time.Second {
			t.Fatal("nothing is stored although the server is there")
		}
	}
}
