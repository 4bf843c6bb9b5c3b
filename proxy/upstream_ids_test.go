package proxy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

// TestTenantsOfAResponsesUpstream lets principals do anything to what an upstream with
// the whole API keeps for all of them in one account: what is not theirs is answered as
// what never was, and what is theirs stays theirs.
func TestTenantsOfAResponsesUpstream(t *testing.T) {
	t.Parallel()
	front, back := fronts(t, newEcho(t), withKeys(t, "alice sk-CANARY-alice\nbob sk-CANARY-bob\ncarol sk-CANARY-carol models=m\n"), func(s *setup) {
		s.cfg.Upstream.Key = config.NewSecret("sk-CANARY-operator")
	})
	rnd := rand.New(rand.NewSource(7))
	who := []string{alice, bob, carol}
	type thing struct {
		owner                        int
		response, item, conversation string
	}
	var things []thing
	grow := func(owner int) {
		key := who[owner]
		var made struct{ ID string }
		got := front.do("POST", "/v1/conversations", `{}`, key)
		got.want(t, 200, "")
		_ = json.Unmarshal(got.body, &made)
		stream := rnd.Intn(2) == 0
		got = front.post(fmt.Sprintf(`{"model":"m","stream":%v,"conversation":%q,"input":"CANARY of %d"}`, stream, made.ID, owner), key)
		got.want(t, 200, "")
		in := thing{owner: owner, conversation: made.ID}
		var v response
		if stream {
			for _, e := range eventsIn(got.body) {
				if e.name == "response.completed" {
					var end struct{ Response response }
					_ = json.Unmarshal([]byte(e.data), &end)
					v = end.Response
				}
			}
		} else {
			v = got.response(t)
		}
		in.response, in.item = v.ID, v.Output[0].ID
		things = append(things, in)
	}
	// ask sends one of all requests that name something.
	ask := func(kind int, key string, v thing) *reply {
		switch kind {
		case 0:
			return front.get("/v1/responses/"+v.response, key)
		case 1:
			return front.get("/v1/responses/"+v.response+"/input_items", key)
		case 2:
			return front.do("POST", "/v1/responses/"+v.response+"/cancel", "", key)
		case 3:
			return front.do("DELETE", "/v1/responses/"+v.response, "", key)
		case 4:
			return front.post(`{"model":"m","input":"x","previous_response_id":"`+v.response+`"}`, key)
		case 5:
			return front.post(`{"model":"m","stream":true,"input":"x","conversation":{"id":"`+v.conversation+`"}}`, key)
		case 6:
			return front.post(`{"model":"m","input":[{"type":"item_reference","id":"`+v.item+`"}]}`, key)
		case 7:
			return front.post(`{"model":"m","input":[{"id":"`+v.item+`"}]}`, key)
		case 8:
			return front.get("/v1/conversations/"+v.conversation+"/items", key)
		case 9:
			return front.do("DELETE", "/v1/conversations/"+v.conversation, "", key)
		case 10:
			return front.do("POST", "/v1/conversations/"+v.conversation, `{"metadata":{"a":"b"}}`, key)
		case 11:
			return front.do("POST", "/v1/conversations/"+v.conversation+"/items", `{"items":[{"role":"user","content":"x"}]}`, key)
		case 12:
			return front.get("/v1/conversations/"+v.conversation+"/items/"+v.item, key)
		case 13:
			return front.do("POST", "/v1/responses/input_tokens", `{"model":"m","input":"x","previous_response_id":"`+v.response+`"}`, key)
		}
		return front.do("POST", "/v1/responses/compact", `{"model":"m","previous_response_id":"`+v.response+`"}`, key)
	}
	const kinds = 15
	for owner := range who {
		grow(owner)
	}
	for i := range 120 {
		if i%8 == 0 {
			grow(rnd.Intn(len(who)))
			continue
		}
		v := things[rnd.Intn(len(things))]
		other := (v.owner + 1 + rnd.Intn(2)) % 3
		kind := i % kinds
		got := ask(kind, who[other], v)
		never := thing{response: neverWas(v.response), item: neverWas(v.item), conversation: neverWas(v.conversation)}
		want := ask(kind, who[other], never)
		clean := func(p *reply, v thing) string {
			s := strings.NewReplacer(v.response, "R", v.item, "I", v.conversation, "C").Replace(string(p.body))
			return fmt.Sprint(p.status, s)
		}
		if a, b := clean(got, v), clean(want, never); a != b || got.status < 400 {
			t.Errorf("kind %d: of another %s\nnever was %s", kind, a, b)
		}
	}
	for _, v := range things { // and it is all there
		for _, kind := range []int{0, 1, 4, 6, 8, 10, 12, 13, 3, 9} {
			if got := ask(kind, who[v.owner], v); got.status != 200 {
				t.Errorf("kind %d of its own: %d %s", kind, got.status, got.body)
			}
		}
	}
	id := back.post(`{"model":"m","input":"x"}`, "Authorization: Bearer sk-CANARY-operator").responseID(t)
	front.get("/v1/responses/"+id, alice).want(t, 404, "") // made by another program with the account
	front.do("GET", "/v1/responses", "", alice)
	front.get("/v1/chat/completions", alice)
}

// TestWithKeysOnlySomePathsArePassedOn: what the operator's credential opens beside
// answers is not for clients.
func TestWithKeysOnlySomePathsArePassedOn(t *testing.T) {
	up := upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
		if strings.HasSuffix(req.URI, "/files") && req.Method == "POST" {
			return `json 200 {"id":"file-NEW1","object":"file"}`
		}
		return `json 200 {"object":"list","data":[]}`
	})
	keys := withKeys(t, "alice sk-CANARY-alice\nbob sk-CANARY-bob\ncarol sk-CANARY-carol models=m\n")
	r := newRig(t, up.URL(), keys)
	more := newRig(t, up.URL(), keys, func(s *setup) { s.cfg.Auth.Passthrough = []string{"POST /files", "* /v1/files/*", "PUT /things"} })
	open := newRig(t, up.URL())
	for _, test := range []struct {
		method, path string
		status, more int // with the defaults, and with what is configured
	}{
		{"GET", "/v1/models", 200, 200}, {"POST", "/v1/embeddings", 200, 200}, {"POST", "/v1/audio/speech", 200, 200},
		{"POST", "/v1/images/generations", 200, 200}, {"POST", "/v1/moderations", 200, 200}, {"POST", "/v1/completions", 200, 200},
		{"GET", "/v1/files", 404, 200}, {"GET", "/v1/files/file-OTHER1", 404, 404}, {"DELETE", "/files/file-OTHER1/content", 404, 404},
		{"GET", "/v1/batches", 404, 404}, {"GET", "/v1/organization/users", 404, 404}, {"POST", "/v1/organization/admin_api_keys", 404, 404},
		{"GET", "/v1/fine_tuning/jobs", 404, 404}, {"DELETE", "/v1/models/m", 404, 404}, {"GET", "/v1/embeddings", 404, 404},
		{"GET", "/v1/chat/completions", 404, 404}, {"POST", "/v1/embeddings/../files", 404, 404}, {"POST", "/v1/modelsx", 404, 404},
	} {
		body := ""
		if test.method == "POST" {
			body = `{"model":"m","input":"x"}`
		}
		if got := r.do(test.method, test.path, body, alice); got.status != test.status {
			t.Errorf("%s %s: %d %s", test.method, test.path, got.status, got.body)
		}
		if got := more.do(test.method, test.path, body, alice); got.status != test.more {
			t.Errorf("configured, %s %s: %d %s", test.method, test.path, got.status, got.body)
		}
		if got := open.do(test.method, test.path, body); got.status != 200 && !strings.Contains(test.path, "..") && test.path != "/v1/modelsx" {
			t.Errorf("without keys, %s %s: %d %s", test.method, test.path, got.status, got.body)
		}
	}
	more.do("POST", "/v1/files", `{"a":1}`, alice).want(t, 200, "")
	more.get("/v1/files/file-NEW1", alice).want(t, 200, "")
	more.get("/v1/files/file-NEW1", bob).want(t, 404, "")
	more.do("PUT", "/v1/things", `{"model":"other"}`, carol).want(t, 403, "model_not_readable")
	if got := more.do("PUT", "/v1/things", `{"model":"other"}`, alice); got.status != 200 {
		t.Errorf("%d %s", got.status, got.body)
	}
	for _, q := range up.Requests() {
		if bytes.Contains(q.Body, []byte("CANARY-alice")) {
			t.Error("a client's key went up")
		}
	}
}
