package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

// conversation is a conversation object.
type conversation struct {
	ID, Object string
	Created    int64 `json:"created_at"`
	Metadata   map[string]string
	Deleted    bool
}

// list is a page of items.
type list struct {
	Object string
	Data   []listed
	First  *string `json:"first_id"`
	Last   *string `json:"last_id"`
	More   bool    `json:"has_more"`
}

type listed struct {
	ID, Type, Role, Status string
	Output                 string
	CallID                 string `json:"call_id"`
	Content                []struct{ Type, Text string }
}

func (l *listed) text() string {
	if len(l.Content) == 0 {
		return l.Output
	}
	return l.Content[0].Text
}

func into[T any](t testing.TB, p *reply) (v T) {
	t.Helper()
	if p.status != 200 {
		t.Errorf("status %d: %.300s", p.status, p.body)
	}
	if err := json.Unmarshal(p.body, &v); err != nil {
		t.Fatalf("%v: %.300s", err, p.body)
	}
	return v
}

func (r *rig) newConversation(body string, headers ...string) conversation {
	r.t.Helper()
	return into[conversation](r.t, r.do("POST", "/v1/conversations", body, headers...))
}

// items lists a whole conversation, oldest first, page by page.
func (r *rig) items(id string, headers ...string) (items []listed) {
	r.t.Helper()
	after := ""
	for {
		page := into[list](r.t, r.get("/v1/conversations/"+id+"/items?order=asc&limit=7"+after, headers...))
		items = append(items, page.Data...)
		if !page.More {
			return items
		}
		after = "&after=" + *page.Last
	}
}

func texts(items []listed) string {
	var b strings.Builder
	for _, it := range items {
		b.WriteString(it.Role + it.Type[:1] + ":" + it.text() + " ")
	}
	return strings.TrimSpace(b.String())
}

// sent is what the upstream's next request says: role:content, …
func sent(t testing.TB, req *upstreamtest.Request) string {
	t.Helper()
	var chat struct {
		Messages []struct {
			Role    string
			Content any
		}
	}
	if err := json.Unmarshal(req.Body, &chat); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, m := range chat.Messages {
		fmt.Fprintf(&b, "%s:%v ", m.Role, m.Content)
	}
	return strings.TrimSpace(b.String())
}

func TestConversationLife(t *testing.T) {
	t.Parallel()
	r := newRig(t, newEcho(t).URL())
	c := r.newConversation("")
	if !strings.HasPrefix(c.ID, "conv_") || c.Object != "conversation" || c.Metadata == nil || len(c.Metadata) != 0 || c.Created == 0 {
		t.Errorf("%+v", c)
	}
	full := r.newConversation(`{"metadata":{"a":"b"},"items":[{"role":"user","content":"CANARY one"},
		{"type":"message","role":"assistant","content":"two"},
		{"type":"function_call","call_id":"call_1","name":"f","arguments":"{}"},
		{"type":"function_call_output","call_id":"call_1","output":"three"}]}`)
	items := r.items(full.ID)
	if got := texts(items); got != "userm:CANARY one assistantm:two f: f:three" {
		t.Errorf("items: %s", got)
	}
	for i, prefix := range []string{"msg_", "msg_", "fc_", "fco_"} {
		if it := items[i]; !strings.HasPrefix(it.ID, prefix) || it.Status != "completed" {
			t.Errorf("item %d: %+v", i, it)
		}
		got := into[listed](t, r.get("/v1/conversations/"+full.ID+"/items/"+items[i].ID))
		if got.ID != items[i].ID || got.text() != items[i].text() {
			t.Errorf("item %d: %+v", i, got)
		}
	}

	got := into[conversation](t, r.get("/v1/conversations/"+full.ID))
	if got.ID != full.ID || got.Metadata["a"] != "b" || got.Created != full.Created {
		t.Errorf("%+v", got)
	}
	for body, want := range map[string]int{`{"metadata":{"c":"d"}}`: 1, `{"metadata":null}`: 0, `{"metadata":{}}`: 0} {
		up := into[conversation](t, r.do("POST", "/v1/conversations/"+full.ID, body))
		if len(up.Metadata) != want || up.Created != full.Created || into[conversation](t, r.get("/v1/conversations/"+full.ID)).Metadata["c"] != up.Metadata["c"] {
			t.Errorf("%s: %+v", body, up)
		}
	}

	// An item is taken out: the answer is the conversation.
	if c := into[conversation](t, r.do("DELETE", "/v1/conversations/"+full.ID+"/items/"+items[1].ID, "")); c.ID != full.ID || c.Object != "conversation" {
		t.Errorf("%+v", c)
	}
	gone := r.get("/v1/conversations/" + full.ID + "/items/" + items[1].ID)
	gone.want(t, 404, "")
	if gone.err().Message != "Item with id '"+items[1].ID+"' not found." {
		t.Error(gone.err().Message)
	}
	r.do("DELETE", "/v1/conversations/"+full.ID+"/items/"+items[1].ID, "").want(t, 404, "")
	if got := texts(r.items(full.ID)); got != "userm:CANARY one f: f:three" {
		t.Errorf("items: %s", got)
	}

	if d := into[conversation](t, r.do("DELETE", "/v1/conversations/"+full.ID, "")); d.ID != full.ID || d.Object != "conversation.deleted" || !d.Deleted {
		t.Errorf("%+v", d)
	}
	for _, path := range []string{"", "/items", "/items/" + items[0].ID} {
		p := r.get("/v1/conversations/" + full.ID + path)
		p.want(t, 404, "")
		if want := "Conversation with id '" + full.ID + "' not found."; p.err().Message != want || p.err().Type != "invalid_request_error" {
			t.Errorf("%s: %+v", path, p.err())
		}
	}
	r.do("DELETE", "/v1/conversations/"+full.ID, "").want(t, 404, "")
	r.do("POST", "/v1/conversations/"+full.ID, `{"metadata":{}}`).want(t, 404, "")
	r.do("POST", "/v1/conversations/"+full.ID+"/items", `{"items":[{"role":"user","content":"x"}]}`).want(t, 404, "")
}

func TestConversationRefusals(t *testing.T) {
	t.Parallel()
	r := newRig(t, newEcho(t).URL())
	c := r.newConversation("{}")
	many := strings.Repeat(`{"role":"user","content":"x"},`, 21)
	f := func(path, body, code, param, message string) {
		t.Helper()
		p := r.do("POST", "/v1/conversations"+path, body)
		p.want(t, 400, code)
		if e := p.err(); e.Param != param || message != "" && e.Message != message {
			t.Errorf("%s %.60s: %+v", path, body, e)
		}
	}
	f("", `[]`, "invalid_type", "", "")
	f("", `{`, "", "", "")
	f("", `{"item":[]}`, "unknown_parameter", "item", "Unknown parameter: 'item'.")
	f("", `{"metadata":[]}`, "invalid_type", "metadata", "")
	f("", `{"metadata":{"k":5}}`, "invalid_type", "metadata.k", "")
	f("", `{"items":{}}`, "invalid_type", "items", "")
	f("", `{"items":[`+many[:len(many)-1]+`]}`, "array_above_max_length", "items",
		"Invalid 'items': array too long. Expected an array with maximum length 20, but got an array with length 21 instead.")
	f("", `{"items":[{"role":"robot","content":"x"}]}`, "invalid_value", "items[0].role", "")
	f("", `{"items":[{"role":"user","content":"x","id":"msg_1"},{"role":"user","content":"x","id":"msg_1"}]}`, "", "items", "")
	f("/"+c.ID, `{}`, "missing_required_parameter", "metadata", "Missing required parameter: 'metadata'.")
	f("/"+c.ID+"/items", `{}`, "missing_required_parameter", "items", "")
	f("/"+c.ID+"/items", `{"items":[]}`, "empty_array", "items", "")
	f("/"+c.ID+"/items", `{"items":[`+many[:len(many)-1]+`]}`, "array_above_max_length", "items", "")
	f("/"+c.ID+"/items", `{"items":[{"role":"user"}]}`, "missing_required_parameter", "items[0].content", "Missing required parameter: 'items[0].content'.")
	if got := r.items(c.ID); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	into[list](t, r.do("POST", "/v1/conversations/"+c.ID+"/items", `{"items":[{"role":"user","content":"x","id":"msg_1"}]}`))
	f("/"+c.ID+"/items", `{"items":[{"role":"user","content":"y"},{"role":"user","content":"x","id":"msg_1"}]}`, "", "items", "")
	if got := texts(r.items(c.ID)); got != "userm:x" {
		t.Errorf("a refused request has added items: %s", got)
	}
	for query, code := range map[string]string{
		"limit=0": "integer_below_min_value", "limit=101": "integer_above_max_value", "limit=x": "invalid_type",
		"order=up": "invalid_value", "after=msg_2": "invalid_value",
	} {
		r.get("/v1/conversations/"+c.ID+"/items?"+query).want(t, 400, code)
	}
	// A reference to nothing is named where this body has it.
	lost := r.do("POST", "/v1/conversations", `{"items":[{"role":"user","content":"x"},{"type":"item_reference","id":"msg_none"}]}`)
	lost.want(t, 404, "")
	if e := lost.err(); e.Param != "items" || !strings.Contains(e.Message, "(items[1])") {
		t.Errorf("%+v", e)
	}
	r.post(`{"model":"m","input":"x","conversation":"conv_none"}`).want(t, 404, "")
	r.post(`{"model":"m","input":"x","conversation":{"id":"conv_none"}}`).want(t, 404, "")
	r.post(`{"model":"m","input":"x","conversation":{}}`).want(t, 400, "missing_required_parameter")
	r.post(`{"model":"m","input":"x","conversation":{"id":"a b"}}`).want(t, 400, "invalid_value")
	p := r.post(`{"model":"m","input":"x","conversation":"` + c.ID + `","previous_response_id":"resp_1"}`)
	p.want(t, 400, "mutually_exclusive_parameters")
	p = r.post(`{"model":"m","input":[{"role":"user","content":"x","id":"msg_1"}],"conversation":"` + c.ID + `"}`)
	p.want(t, 400, "")
	if p.err().Message != "Duplicate item found with id msg_1. Remove duplicate items from your input and try again." {
		t.Error(p.err().Message)
	}
}

func TestConversationTurns(t *testing.T) {
	t.Parallel()
	up := newEcho(t)
	r := newRig(t, up.URL())
	c := r.newConversation(`{"items":[{"role":"developer","content":"be kind"},{"role":"user","content":"first"}]}`)
	turn := func(stream, store bool, conv, input string) response {
		t.Helper()
		p := r.post(fmt.Sprintf(`{"model":"m","stream":%v,"store":%v,"conversation":%s,"input":"%s"}`, stream, store, conv, input))
		if p.status != 200 {
			t.Fatalf("%d %s", p.status, p.body)
		}
		v := p.response(t)
		if want := `"conversation":{"id":"` + c.ID + `"}`; strings.Count(string(p.body), want) != strings.Count(string(p.body), `"object":"response"`) || v.Store != store {
			t.Errorf("no echo %s, or store is wrong, in %s", want, p.body)
		}
		return v
	}
	a := turn(false, true, `"`+c.ID+`"`, "CANARY two")
	if got := sent(t, up.Next()); got != "system:be kind user:first user:CANARY two" {
		t.Errorf("sent %s", got)
	}
	b := turn(true, false, `{"id":"`+c.ID+`"}`, "three")
	if got := sent(t, up.Next()); got != "system:be kind user:first user:CANARY two assistant:echo of CANARY two user:three" {
		t.Errorf("sent %s", got)
	}
	turn(true, true, `"`+c.ID+`"`, "four")
	if got := sent(t, up.Next()); !strings.HasSuffix(got, "user:three assistant:echo of three user:four") {
		t.Errorf("sent %s", got)
	}
	items := r.items(c.ID)
	if got := texts(items); got != "developerm:be kind userm:first userm:CANARY two assistantm:echo of CANARY two "+
		"userm:three assistantm:echo of three userm:four assistantm:echo of four" {
		t.Errorf("items: %s", got)
	}
	if items[3].ID != a.Output[0].ID || items[5].ID != b.Output[0].ID {
		t.Error("output items have other ids in the conversation")
	}
	own := into[list](t, r.get("/v1/responses/"+a.ID+"/input_items"))
	if own.Data[0].ID != items[2].ID {
		t.Error("input items have other ids in the conversation")
	}
	if got := r.get("/v1/responses/" + a.ID); string(got.body) != string(a.raw) {
		t.Error("the stored response is another one")
	}
	r.get("/v1/responses/"+b.ID).want(t, 404, "")

	// No new input is fine: the conversation makes up for it.
	r.post(`{"model":"m","input":[],"conversation":"`+c.ID+`"}`).want(t, 200, "")
	up.Next()

	// An item that is taken out is not sent again, and a reference finds what is
	// only in the conversation.
	r.do("DELETE", "/v1/conversations/"+c.ID+"/items/"+items[2].ID, "").want(t, 200, "")
	turn(false, true, `"`+c.ID+`"`, "five")
	if got := sent(t, up.Next()); strings.Contains(got, "user:CANARY two") || !strings.Contains(got, "user:first assistant:echo of CANARY two user:three") {
		t.Errorf("sent %s", got)
	}
	p := r.post(`{"model":"m","input":[{"type":"item_reference","id":"` + items[1].ID + `"}],"conversation":"` + c.ID + `"}`)
	p.want(t, 400, "") // it is found, and would be there twice
	if !strings.HasPrefix(p.err().Message, "Duplicate item") {
		t.Error(p.err().Message)
	}

	if n := r.metric(`antiphon_history_cache_total{result="hit"}`); n < 1 {
		t.Errorf("%v histories were found in the cache", n)
	}

	// A history that is made anew is the one that was cached bit by bit.
	cached := sentAfter(r, up, c.ID)
	r.srv.histories = nil
	if fresh := sentAfter(r, up, c.ID); strings.TrimSuffix(fresh, " user:echo? assistant:echo of echo? user:echo?") != strings.TrimSuffix(cached, " user:echo?") {
		t.Errorf("made anew: %s\ncached: %s", fresh, cached)
	}
}

func sentAfter(r *rig, up *upstreamtest.Server, conversation string) string {
	r.post(`{"model":"m","input":"echo?","conversation":"`+conversation+`"}`).want(r.t, 200, "")
	return sent(r.t, up.Next())
}

// While a response is being made in a conversation, the items stay as they are,
// and nobody else gets in.
func TestConversationLocked(t *testing.T) {
	t.Parallel()
	up := upstreamtest.New(t, sseHead+delta("a")+"gate go\n"+finishChunk("stop")+sseDone, answers("second"))
	r := newRig(t, up.URL())
	c := r.newConversation(`{"items":[{"role":"user","content":"zero"}]}`)
	l := r.open(`{"model":"m","stream":true,"input":"one","conversation":"` + c.ID + `"}`)
	l.until("response.output_text.delta")
	turn := `{"model":"m","input":"two","conversation":"` + c.ID + `"}`
	locked := func(p *reply) {
		t.Helper()
		p.want(t, 400, "conversation_locked")
		if e := p.err(); e.Param != "conversation" || e.Message != "Another process is currently operating on this conversation. Please retry in a few seconds." {
			t.Errorf("%+v", e)
		}
	}
	items := r.items(c.ID)
	locked(r.post(turn))
	locked(r.do("POST", "/v1/conversations/"+c.ID+"/items", `{"items":[{"role":"user","content":"x"}]}`))
	locked(r.do("DELETE", "/v1/conversations/"+c.ID+"/items/"+items[0].ID, ""))
	r.do("POST", "/v1/conversations/"+c.ID, `{"metadata":{"still":"possible"}}`).want(t, 200, "")
	if got := texts(r.items(c.ID)); got != "userm:zero" {
		t.Errorf("items: %s", got)
	}
	up.Release("go")
	l.rest().want(t, 200, "")
	r.post(turn).want(t, 200, "")
	if got := texts(r.items(c.ID)); got != "userm:zero userm:one assistantm:a userm:two assistantm:second" {
		t.Errorf("items: %s", got)
	}
}

// What does not come to a good end adds nothing, and gives the lock back.
func TestConversationFailedTurn(t *testing.T) {
	t.Parallel()
	up := upstreamtest.New(t,
		sseHead+delta("a")+"rst", // fails
		`json 500 {"error":{"message":"no"}}`,
		sseHead+delta("a")+"gate never\n", // the client leaves
		answers("good"))
	r := newRig(t, up.URL())
	c := r.newConversation("")
	body := func(stream bool) string {
		return fmt.Sprintf(`{"model":"m","stream":%v,"input":"one","conversation":"%s"}`, stream, c.ID)
	}
	if v := r.post(body(true)).response(t); v.Status != "failed" || !v.Store {
		t.Errorf("%+v", v)
	}
	r.post(body(false)).want(t, 500, "server_error")
	r.post(`{"model":"m","input":"x","conversation":"`+c.ID+`","tools":5}`).want(t, 400, "invalid_type")
	l := r.open(body(true))
	l.until("response.output_text.delta")
	l.partly()
	_ = l.conn.Close()
	r.until("the turn to end", func() bool { return r.srv.InFlight() == 0 })
	r.post(body(false)).want(t, 200, "")
	if got := texts(r.items(c.ID)); got != "userm:one assistantm:good" {
		t.Errorf("items: %s", got)
	}
}

// A conversation that is deleted under a response takes nothing in; the response
// itself is kept, and says that it is on its own.
func TestConversationDeletedMeanwhile(t *testing.T) {
	t.Parallel()
	up := upstreamtest.New(t, sseHead+delta("a")+"gate go\n"+finishChunk("stop")+sseDone)
	r := newRig(t, up.URL())
	c := r.newConversation("")
	l := r.open(`{"model":"m","stream":true,"input":"one","conversation":"` + c.ID + `"}`)
	l.until("response.output_text.delta")
	r.do("DELETE", "/v1/conversations/"+c.ID, "").want(t, 200, "")
	up.Release("go")
	v := l.rest().response(t)
	if v.Status != "completed" || !v.Store || !strings.Contains(string(v.raw), `"conversation":null`) {
		t.Errorf("%s", v.raw)
	}
	if got := r.get("/v1/responses/" + v.ID); string(got.body) != string(v.raw) {
		t.Errorf("stored: %s", got.body)
	}
	r.get("/v1/conversations/"+c.ID).want(t, 404, "")
}

// A store that fails at the end costs the client no answer.
func TestConversationStoreDown(t *testing.T) {
	t.Parallel()
	st := newFaultyStore(t)
	r := newRig(t, newEcho(t).URL(), func(s *setup) { s.opt.Store = st })
	c := r.newConversation("")
	down := errors.New("down")
	commits := 0
	st.set(func(op string) error {
		if op == "commit" {
			if commits++; commits > 1 { // the first takes the lock
				return down
			}
		}
		return nil
	})
	p := r.post(`{"model":"m","input":"one","conversation":"` + c.ID + `"}`)
	v := p.response(t)
	if v.Store || v.text() != "echo of one" || !strings.Contains(string(p.body), `"conversation":null`) {
		t.Errorf("%s", p.body)
	}
	st.set(func(string) error { return down })
	for _, p := range []*reply{
		r.post(`{"model":"m","input":"one","conversation":"` + c.ID + `"}`), r.get("/v1/conversations/" + c.ID),
		r.get("/v1/conversations/" + c.ID + "/items"), r.get("/v1/conversations/" + c.ID + "/items/x"),
		r.do("POST", "/v1/conversations", ""), r.do("DELETE", "/v1/conversations/"+c.ID, ""),
		r.do("POST", "/v1/conversations/"+c.ID+"/items", `{"items":[{"role":"user","content":"x"}]}`),
	} {
		p.want(t, 503, "server_error")
	}
	st.set(nil)
	if got := r.items(c.ID); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

// The lock of a process that died ends by itself, and one that is held lives on.
func TestConversationLease(t *testing.T) {
	t.Parallel()
	r := newRig(t, newEcho(t).URL())
	c := r.newConversation("")
	tenant := r.tenant()
	lease := func(until time.Duration) {
		t.Helper()
		err := r.opt.Store.Commit(context.Background(), tenant, &store.Batch{Put: []store.DocWrite{{
			Doc: &store.Doc{Kind: kindConversationLock, Key: c.ID, Body: []byte("of the dead"), Expires: time.Now().Add(until)},
			If:  store.Absent,
		}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	lease(300 * time.Millisecond)
	body := `{"model":"m","input":"one","conversation":"` + c.ID + `"}`
	busy := r.post(body)
	if busy.want(t, 400, "conversation_locked"); busy.header.Get("Retry-After") == "" {
		t.Error("it does not say when to come again")
	}
	r.until("the lease to end", func() bool { return r.post(body).status == 200 })

	// Renewals keep the version that is needed to give the lock back.
	x := &exchange{server: r.srv, tenant: tenant}
	var p place
	if _, err := p.take(r.srv, x, c.ID); err != nil {
		t.Fatal(err)
	}
	lock, err := r.opt.Store.Doc(context.Background(), tenant, kindConversationLock, c.ID)
	if err != nil {
		t.Fatal(err)
	}
	before := p.version
	p.renew(lock.Body)
	if p.version <= before {
		t.Errorf("version %d after %d", p.version, before)
	}
	r.post(body).want(t, 400, "conversation_locked")
	p.leave()
	r.post(body).want(t, 200, "")
}

// tenant is the tenant of the rig's own requests.
func (r *rig) tenant() string { return r.srv.tenants.of(bearer([]byte(canaryKey))) }

type state struct {
	items []listed
	meta  string
}

// someItem is an item that somebody has, if there is one.
func someItem(model []map[string]*state, rnd *rand.Rand) string {
	for _, mine := range model {
		for _, s := range mine {
			if len(s.items) > 0 && rnd.Intn(3) > 0 {
				return s.items[rnd.Intn(len(s.items))].ID
			}
		}
	}
	return "msg_none"
}

// Random operations of several tenants against a model of what each should see.
func TestConversationModel(t *testing.T) {
	t.Parallel()
	r := newRig(t, newEcho(t).URL())
	keys := []string{"Authorization: Bearer CANARY-a", "Authorization: Bearer CANARY-b", "Authorization:"}
	model := make([]map[string]*state, len(keys))
	var all []string
	for i := range model {
		model[i] = map[string]*state{}
	}
	rnd := rand.New(rand.NewSource(7))
	serial := 0
	for range 400 {
		who := rnd.Intn(len(keys))
		key, mine := keys[who], model[who]
		id := "conv_none"
		if len(all) > 0 {
			id = all[rnd.Intn(len(all))]
		}
		s := mine[id]
		want := 200
		if s == nil {
			want = 404
		}
		url := "/v1/conversations/" + id
		var p *reply
		switch op := rnd.Intn(9); op {
		case 0:
			c := r.newConversation("", key)
			mine[c.ID] = &state{}
			all = append(all, c.ID)
			continue
		case 1:
			p = r.do("POST", url, `{"metadata":{"n":"x`+fmt.Sprint(serial)+`"}}`, key)
			if s != nil {
				s.meta = "x" + fmt.Sprint(serial)
			}
			serial++
		case 2:
			p = r.get(url, key)
			if s != nil {
				if got := into[conversation](t, p); got.ID != id || got.Metadata["n"] != s.meta {
					t.Errorf("%+v, want %+v", got, s)
				}
			}
		case 3, 4:
			n := 1 + rnd.Intn(4)
			body := ""
			for range n {
				serial++
				body += fmt.Sprintf(`,{"role":"user","content":"t%d of %d"}`, serial, who)
			}
			p = r.do("POST", url+"/items", `{"items":[`+body[1:]+`]}`, key)
			if s != nil {
				got := into[list](t, p)
				if len(got.Data) != n || got.More || *got.First != got.Data[0].ID {
					t.Errorf("%+v", got)
				}
				s.items = append(s.items, got.Data...)
			}
		case 5:
			p = r.post(`{"model":"m","input":"CANARY turn","store":false,"conversation":"`+id+`"}`, key)
			if s != nil {
				items := r.items(id, key)
				if len(items) != len(s.items)+2 {
					t.Errorf("%d items, want %d", len(items), len(s.items)+2)
				}
				s.items = items
			}
		case 6: // an item, also of somebody else's
			victim := someItem(model, rnd)
			p = r.do("DELETE", url+"/items/"+victim, "", key)
			if s != nil {
				i := slices.IndexFunc(s.items, func(it listed) bool { return it.ID == victim })
				if i < 0 {
					want = 404
				} else {
					s.items = slices.Delete(s.items, i, i+1)
				}
			}
		case 7:
			if rnd.Intn(4) > 0 {
				continue
			}
			p = r.do("DELETE", url, "", key)
			delete(mine, id)
		case 8: // pages of all kinds
			limit, desc := 1+rnd.Intn(5), rnd.Intn(2) == 0
			order := "asc"
			if desc {
				order = "desc"
			}
			var seen []string
			after := ""
			for {
				p = r.get(fmt.Sprintf("%s/items?limit=%d&order=%s%s", url, limit, order, after), key)
				if s == nil {
					break
				}
				page := into[list](t, p)
				for _, it := range page.Data {
					seen = append(seen, it.ID)
				}
				if !page.More {
					break
				}
				if len(page.Data) != limit || *page.Last != page.Data[limit-1].ID || *page.First != page.Data[0].ID {
					t.Fatalf("%+v", page)
				}
				after = "&after=" + *page.Last
			}
			if s != nil {
				var ids []string
				for _, it := range s.items {
					ids = append(ids, it.ID)
				}
				if desc {
					slices.Reverse(ids)
				}
				if !slices.Equal(ids, seen) {
					t.Errorf("%s in pages of %d: %v, want %v", order, limit, seen, ids)
				}
			}
		}
		if p.status != want {
			t.Errorf("status %d, want %d: %s", p.status, want, p.body)
		}
		if want == 404 && s == nil && !strings.Contains(p.err().Message, id) {
			t.Errorf("%s", p.body)
		}
	}
	for who, mine := range model {
		for id, s := range mine {
			if got := texts(r.items(id, keys[who])); got != texts(s.items) {
				t.Errorf("%s: %s, want %s", id, got, texts(s.items))
			}
		}
	}
}

// Two servers on one store are one: what one has added, taken out or locked is so
// for the other, whatever it has cached.
func TestConversationReplicas(t *testing.T) {
	t.Parallel()
	up := upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
		if strings.Contains(string(req.Body), "slowly") {
			return sseHead + delta("a") + "gate go\n" + finishChunk("stop") + sseDone
		}
		return echoes(req)
	})
	a := newRig(t, up.URL())
	b := newRig(t, up.URL(), func(s *setup) { s.opt.Store = a.opt.Store })
	c := a.newConversation(`{"items":[{"role":"user","content":"zero"}]}`)
	turn := func(r *rig, text string) string {
		t.Helper()
		r.post(`{"model":"m","input":"`+text+`","conversation":"`+c.ID+`"}`).want(t, 200, "")
		return sent(t, up.Next())
	}
	turn(a, "one")
	if got := turn(b, "two"); got != "user:zero user:one assistant:echo of one user:two" {
		t.Errorf("sent %s", got)
	}
	if got := turn(a, "three"); !strings.HasSuffix(got, "user:two assistant:echo of two user:three") {
		t.Errorf("sent %s", got)
	}
	first := a.items(c.ID)[0].ID
	b.do("DELETE", "/v1/conversations/"+c.ID+"/items/"+first, "").want(t, 200, "")
	if got := turn(a, "four"); !strings.HasPrefix(got, "user:one ") {
		t.Errorf("sent %s", got)
	}
	l := a.open(`{"model":"m","stream":true,"input":"slowly","conversation":"` + c.ID + `"}`)
	l.until("response.output_text.delta")
	b.post(`{"model":"m","input":"x","conversation":"`+c.ID+`"}`).want(t, 400, "conversation_locked")
	up.Release("go")
	l.rest().want(t, 200, "")
	up.Next()
	if got := turn(b, "last"); !strings.HasSuffix(got, "user:slowly assistant:a user:last") {
		t.Errorf("sent %s", got)
	}
}
