package proxy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/proxy/upstreamtest"
)

// TestTenantModel lets tenants do anything to everything, mostly to what is not
// theirs. What an id of another tenant is answered is what an id that never was
// is answered; nobody is told a word of another, nor is a backend told words of
// two; and at the end everyone has what is theirs, as it was.
func TestTenantModel(t *testing.T) {
	t.Parallel()
	for name, open := range everyStore {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := open(t)
			t.Cleanup(func() { _ = st.Close() })
			m := newTenantModel(t, st, int64(len(name)))
			m.begin()
			for range 400 {
				if m.rnd.Intn(4) == 0 {
					m.grow(m.rnd.Intn(len(m.tenants)))
				} else {
					m.intrude()
				}
			}
			m.end()
		})
	}
}

// What tenants have, by kind.
const (
	ofResponse     = "response"
	ofRun          = "run" // a background response that goes on to the end
	ofConversation = "conversation"
	ofItem         = "item"
	ofChat         = "chat"
	ofCompaction   = "compaction" // its envelope
	ofReasoning    = "reasoning"  // likewise
)

// thing is something that has an id and an owner.
type thing struct {
	kind, id string
	owner    int
	body     []byte // what its owner reads
	in       string // the conversation of an item
}

type tenantModel struct {
	*rig
	t       *testing.T
	up      *upstreamtest.Server
	rnd     *rand.Rand
	tenants []tenant
	things  []*thing
	serial  int
	turn    int            // of the accesses
	tries   map[string]int // by route
}

type tenant struct {
	key, mark    string // every text of the tenant holds the mark
	socket       *peer
	response     string // an id of its own
	conversation string // likewise
}

func newTenantModel(t *testing.T, st store.Store, seed int64) *tenantModel {
	up := upstreamtest.NewFunc(t, 0, func(req *upstreamtest.Request) string {
		var chat struct {
			Messages []struct{ Content any }
			Stream   bool
		}
		_ = json.Unmarshal(req.Body, &chat)
		last := fmt.Sprint(chat.Messages[len(chat.Messages)-1].Content)
		switch {
		case strings.Contains(string(req.Body), handOver): // the mark, from anything that was said
			return answers("summary of " + marks.FindString(string(req.Body)))
		case strings.Contains(last, "SLOW"):
			return sseHead + delta("a") + "gate go\n" + delta("b") + finishChunk("stop") + sseDone
		case chat.Stream:
			return sseHead + `chunk data: {"choices":[{"delta":{"reasoning_content":` + quoted("thought of "+last) + `}}]}` + "\n" +
				delta("echo of "+last) + finishChunk("stop") + sseDone
		}
		return `json 200 {"choices":[{"message":{"role":"assistant","content":` + quoted("echo of "+last) + `,"reasoning_content":` + quoted("thought of "+last) +
			`},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}` + "\n"
	})
	m := &tenantModel{t: t, up: up, rnd: rand.New(rand.NewSource(seed)), tries: map[string]int{}}
	m.rig = newRig(t, up.URL(), keepsChats, withDialect("deepseek"),
		withKeys(t, "alice sk-CANARY-alice\nbob sk-CANARY-bob\ncarol sk-CANARY-carol\n"), func(s *setup) { s.opt.Store = st })
	for _, key := range []string{alice, bob, carol} {
		name := key[strings.LastIndex(key, "-")+1:]
		m.tenants = append(m.tenants, tenant{key: key, mark: "CANARY_" + name, socket: m.socket(key)})
	}
	return m
}

var marks = regexp.MustCompile(`CANARY_[a-z]+`)

func quoted(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// text is something that nobody else has said.
func (m *tenantModel) text(who int) string {
	m.serial++
	return fmt.Sprintf("%s says %d", m.tenants[who].mark, m.serial)
}

// as makes a request of a tenant, who must not hear of the others.
func (m *tenantModel) as(who int, method, path, body string) *reply {
	m.t.Helper()
	p := m.do(method, path, body, m.tenants[who].key)
	m.overheard(who, method+" "+path, p.body)
	return p
}

func (m *tenantModel) overheard(who int, where string, said []byte) {
	m.t.Helper()
	for _, mark := range marks.FindAllString(string(said), -1) {
		if mark != m.tenants[who].mark {
			m.t.Errorf("%s: %s hears %s: %s", where, m.tenants[who].mark, mark, said)
		}
	}
}

func (m *tenantModel) add(kind string, who int, id string) *thing {
	th := &thing{kind: kind, id: id, owner: who}
	m.things = append(m.things, th)
	return th
}

// keep notes a response and what comes with it.
func (m *tenantModel) keep(who int, p *reply) {
	m.t.Helper()
	v := p.response(m.t)
	m.add(ofResponse, who, v.ID).body = v.raw
	m.tenants[who].response = v.ID
	for _, it := range v.Output {
		m.add(ofItem, who, it.ID)
	}
	var sealed struct {
		Output []struct {
			Type   string
			Sealed string `json:"encrypted_content"`
		}
	}
	_ = json.Unmarshal(v.raw, &sealed)
	for _, it := range sealed.Output {
		if it.Type == "reasoning" && it.Sealed != "" {
			m.add(ofReasoning, who, it.Sealed)
		}
	}
}

// begin gives everyone a conversation, a response, and work that goes on.
func (m *tenantModel) begin() {
	for who := range m.tenants {
		p := m.as(who, "POST", "/v1/conversations", `{"items":[{"role":"user","content":"`+m.text(who)+`"}]}`)
		m.tenants[who].conversation = into[conversation](m.t, p).ID
		m.keep(who, m.as(who, "POST", "/v1/responses", `{"model":"m","input":"`+m.text(who)+`"}`))
		p = m.as(who, "POST", "/v1/responses", `{"model":"m","background":true,"stream":false,"input":"SLOW `+m.text(who)+`"}`)
		m.add(ofRun, who, p.response(m.t).ID)
	}
	m.until("the work to begin", func() bool { return m.up.Count() == 2*len(m.tenants) })
}

// grow has a tenant make something.
func (m *tenantModel) grow(who int) {
	switch m.rnd.Intn(6) {
	case 0:
		m.keep(who, m.as(who, "POST", "/v1/responses", `{"model":"m","include":["reasoning.encrypted_content"],"input":"`+m.text(who)+`"}`))
	case 1:
		m.keep(who, m.as(who, "POST", "/v1/responses", `{"model":"m","stream":true,"input":"`+m.text(who)+`","previous_response_id":"`+m.tenants[who].response+`"}`))
	case 2:
		c := into[conversation](m.t, m.as(who, "POST", "/v1/conversations", `{"items":[{"role":"user","content":"`+m.text(who)+`"}]}`))
		m.keep(who, m.as(who, "POST", "/v1/responses", `{"model":"m","input":"`+m.text(who)+`","conversation":"`+c.ID+`"}`))
		p := m.as(who, "GET", "/v1/conversations/"+c.ID+"/items?order=asc", "")
		m.add(ofConversation, who, c.ID).body = p.body
		for _, it := range into[list](m.t, p).Data {
			m.add(ofItem, who, it.ID).in = c.ID
		}
	case 3:
		p := m.as(who, "POST", "/v1/chat/completions", `{"model":"m","store":true,"messages":[{"role":"user","content":"`+m.text(who)+`"}]}`)
		id := into[completionObject](m.t, p).ID
		m.add(ofChat, who, id).body = m.as(who, "GET", "/v1/chat/completions/"+id, "").body
	case 4:
		c := into[compacted](m.t, m.as(who, "POST", "/v1/responses/compact", `{"model":"m","input":"`+m.text(who)+`"}`))
		var item struct {
			Sealed string `json:"encrypted_content"`
		}
		_ = json.Unmarshal(c.Output[len(c.Output)-1], &item)
		m.add(ofCompaction, who, item.Sealed)
	case 5: // held by the connection alone
		v := m.tenants[who].socket.turn(`"store":false,"input":"` + m.text(who) + `"`)
		m.overheard(who, "socket", v.stream)
		m.add(ofResponse, who, v.ID)
	}
}

// access is a way to name something; %s is its id. The owner's own are made by
// grow, so each of them says 200 to somebody.
type access struct{ kind, method, path, body string }

// accesses are all routes that take an id, a cursor, a reference or an envelope.
// {c} and {r} are a conversation and a response of whoever asks.
var accesses = []access{
	{ofResponse, "GET", "/responses/%s", ""},
	{ofResponse, "GET", "/responses/%s?stream=true", ""},
	{ofResponse, "GET", "/responses/%s?stream=true&starting_after=1", ""},
	{ofResponse, "GET", "/responses/%s/input_items", ""},
	{ofResponse, "POST", "/responses/%s/cancel", ""},
	{ofResponse, "DELETE", "/responses/%s", ""},
	{ofResponse, "POST", "/responses", `"input":"{t}","previous_response_id":"%s"`},
	{ofResponse, "POST", "/responses", `"input":"{t}","stream":true,"previous_response_id":"%s"`},
	{ofResponse, "POST", "/responses", `"input":"{t}","background":true,"previous_response_id":"%s"`},
	{ofResponse, "POST", "/responses/compact", `"previous_response_id":"%s"`},
	{ofResponse, "POST", "/responses/input_tokens", `"input":"{t}","previous_response_id":"%s"`},
	{ofResponse, "WS", "", `"input":"{t}","previous_response_id":"%s"`},
	{ofResponse, "WS", "", `"input":"{t}","store":false,"previous_response_id":"%s"`},
	{ofItem, "POST", "/responses", `"input":[{"type":"item_reference","id":"%s"},{"role":"user","content":"{t}"}]`},
	{ofItem, "POST", "/responses/compact", `"input":[{"type":"item_reference","id":"%s"},{"role":"user","content":"{t}"}]`},
	{ofItem, "POST", "/responses/input_tokens", `"input":[{"type":"item_reference","id":"%s"},{"role":"user","content":"{t}"}]`},
	{ofItem, "POST", "/conversations", `"items":[{"type":"item_reference","id":"%s"}]`},
	{ofItem, "POST", "/conversations/{c}/items", `"items":[{"type":"item_reference","id":"%s"}]`},
	{ofItem, "GET", "/conversations/{c}/items/%s", ""},
	{ofItem, "DELETE", "/conversations/{c}/items/%s", ""},
	{ofItem, "GET", "/conversations/{c}/items?after=%s", ""},
	{ofItem, "GET", "/responses/{r}/input_items?after=%s", ""},
	{ofItem, "WS", "", `"input":[{"type":"item_reference","id":"%s"},{"role":"user","content":"{t}"}]`},
	{ofConversation, "GET", "/conversations/%s", ""},
	{ofConversation, "POST", "/conversations/%s", `"metadata":{"a":"b"}`},
	{ofConversation, "DELETE", "/conversations/%s", ""},
	{ofConversation, "GET", "/conversations/%s/items", ""},
	{ofConversation, "GET", "/conversations/%s/items/{i}", ""},
	{ofConversation, "DELETE", "/conversations/%s/items/{i}", ""},
	{ofConversation, "POST", "/conversations/%s/items", `"items":[{"role":"user","content":"{t}"}]`},
	{ofConversation, "POST", "/responses", `"input":"{t}","conversation":"%s"`},
	{ofConversation, "POST", "/responses", `"input":"{t}","background":true,"conversation":{"id":"%s"}`},
	{ofConversation, "POST", "/responses/compact", `"conversation":"%s"`},
	{ofConversation, "POST", "/responses/input_tokens", `"input":"{t}","conversation":"%s"`},
	{ofConversation, "WS", "", `"input":"{t}","conversation":"%s"`},
	{ofChat, "GET", "/chat/completions/%s", ""},
	{ofChat, "POST", "/chat/completions/%s", `"metadata":{"a":"b"}`},
	{ofChat, "DELETE", "/chat/completions/%s", ""},
	{ofChat, "GET", "/chat/completions/%s/messages", ""},
	{ofChat, "GET", "/chat/completions?after=%s", ""},
	{ofCompaction, "POST", "/responses", `"input":[{"type":"compaction","encrypted_content":"%s"},{"role":"user","content":"{t}"}]`},
	{ofCompaction, "POST", "/responses/compact", `"input":[{"type":"compaction","encrypted_content":"%s"},{"role":"user","content":"{t}"}]`},
	{ofCompaction, "POST", "/responses/input_tokens", `"input":[{"type":"compaction","encrypted_content":"%s"},{"role":"user","content":"{t}"}]`},
	{ofCompaction, "POST", "/conversations", `"items":[{"type":"compaction","encrypted_content":"%s"}]`},
	{ofCompaction, "WS", "", `"input":[{"type":"compaction","encrypted_content":"%s"},{"role":"user","content":"{t}"}]`},
	{ofReasoning, "POST", "/responses", `"store":false,"input":[{"role":"user","content":"x"},{"type":"reasoning","summary":[],"encrypted_content":"%s"},` +
		`{"role":"assistant","content":"y"},{"role":"user","content":"{t}"}]`},
}

// of reports whether an access is for a kind of thing.
func (a *access) of(kind string) bool { return a.kind == kind || a.kind == ofResponse && kind == ofRun }

// intrude has a tenant name something of somebody else, and then something that
// never was.
func (m *tenantModel) intrude() {
	m.t.Helper()
	a := &accesses[m.turn%len(accesses)]
	m.turn++
	var fit []*thing
	for _, th := range m.things {
		if a.of(th.kind) {
			fit = append(fit, th)
		}
	}
	if len(fit) == 0 {
		return
	}
	th := fit[m.rnd.Intn(len(fit))]
	who := (th.owner + 1 + m.rnd.Intn(len(m.tenants)-1)) % len(m.tenants)
	never := neverWas(th.id)
	text, item := m.text(who), "msg_none"
	for _, it := range m.things { // an item that is in that conversation
		if it.in == th.id {
			item = it.id
		}
	}
	asked := m.up.Count()
	status, got := m.name(a, who, th.id, text, item)
	sentFor := m.up.Requests()[asked:]
	status2, want := m.name(a, who, never, text, item)
	route := a.method + " " + a.path + " " + a.body
	m.tries[route]++
	if status != status2 || got != want {
		m.t.Errorf("%s, for an id of another: %d %s\nfor one that never was: %d %s", route, status, got, status2, want)
	}
	if a.kind == ofReasoning { // what cannot be opened is left out, and the loss report says so
		if len(sentFor) != 1 || strings.Contains(string(sentFor[0].Body), "thought of") {
			m.t.Errorf("%s: the backend was told %d requests", route, len(sentFor))
		}
		return
	}
	if a.path == "/chat/completions?after=%s" {
		return // a place in an order, which an id need not exist to have
	}
	if status < 400 || status >= 500 {
		m.t.Errorf("%s: %d %s", route, status, got)
	}
	if len(sentFor) > 0 {
		m.t.Errorf("%s: the backend was asked", route)
	}
}

// name names an id on a route, and returns the answer without what is different
// each time.
func (m *tenantModel) name(a *access, who int, id, text, item string) (status int, said string) {
	m.t.Helper()
	mine := &m.tenants[who]
	fill := strings.NewReplacer("%s", id, "{t}", text, "{c}", mine.conversation, "{r}", mine.response, "{i}", item)
	path, body := fill.Replace(a.path), fill.Replace(a.body)
	var raw []byte
	if a.method == "WS" {
		mine.socket.create(body)
		v := mine.socket.result("")
		status, raw = v.status, []byte(fmt.Sprintf("%+v %s", v.fault, v.stream))
		m.overheard(who, "socket", raw)
	} else {
		switch {
		case body == "":
		case strings.HasPrefix(path, "/responses"):
			body = `{"model":"m",` + body + `}`
		default:
			body = `{` + body + `}`
		}
		p := m.as(who, a.method, "/v1"+path, body)
		status, raw = p.status, p.body
	}
	for _, part := range []string{id, id[:min(len(id), 100)]} { // a long one is quoted in part
		raw = bytes.ReplaceAll(raw, []byte(part), []byte("ID"))
	}
	raw = regexp.MustCompile(`_[0-9a-f]{50}`).ReplaceAll(raw, []byte("_ID"))
	raw = regexp.MustCompile(`antiphon1\.[\w-]+`).ReplaceAll(raw, []byte("SEALED"))
	return status, string(regexp.MustCompile(`(created|completed)_at":\d+`).ReplaceAll(raw, []byte("at")))
}

// neverWas is an id of the same form that nothing has.
func neverWas(id string) string {
	b := []byte(id)
	for i := len(b) - 1; i > len(b)-12; i-- {
		switch {
		case b[i] >= '0' && b[i] <= '8', b[i] >= 'a' && b[i] <= 'e':
			b[i]++
		case b[i] == '9':
			b[i] = '0'
		case b[i] == 'f':
			b[i] = 'a'
		}
	}
	return string(b)
}

// end looks at what everyone has, which nobody else can have changed.
func (m *tenantModel) end() {
	m.up.Release("go")
	chats := make([][]string, len(m.tenants))
	for _, th := range m.things {
		switch th.kind {
		case ofResponse:
			if th.body == nil {
				continue
			}
			if p := m.as(th.owner, "GET", "/v1/responses/"+th.id, ""); p.status != 200 || !bytes.Equal(p.body, th.body) {
				m.t.Errorf("%d %s\nnot %s", p.status, p.body, th.body)
			}
		case ofRun:
			m.until("the work to end", func() bool {
				v := m.as(th.owner, "GET", "/v1/responses/"+th.id, "").response(m.t)
				if v.Status == statusCancelled {
					m.t.Errorf("somebody has cancelled it: %s", v.raw)
				}
				time.Sleep(5 * time.Millisecond)
				return v.Status == "completed"
			})
		case ofConversation:
			if p := m.as(th.owner, "GET", "/v1/conversations/"+th.id+"/items?order=asc", ""); p.status != 200 || !bytes.Equal(p.body, th.body) {
				m.t.Errorf("%d %s\nnot %s", p.status, p.body, th.body)
			}
			if c := into[conversation](m.t, m.as(th.owner, "GET", "/v1/conversations/"+th.id, "")); len(c.Metadata) > 0 {
				m.t.Errorf("%+v", c)
			}
		case ofChat:
			chats[th.owner] = append(chats[th.owner], th.id)
			if p := m.as(th.owner, "GET", "/v1/chat/completions/"+th.id, ""); p.status != 200 || !bytes.Equal(p.body, th.body) {
				m.t.Errorf("%d %s\nnot %s", p.status, p.body, th.body)
			}
		case ofCompaction:
			if p := m.as(th.owner, "POST", "/v1/responses/input_tokens", `{"model":"m","input":[{"type":"compaction","encrypted_content":"`+th.id+`"}]}`); p.status != 200 {
				m.t.Errorf("%d %s", p.status, p.body)
			}
		}
	}
	for who, ids := range chats { // the list has no id in its path: it must not need one
		var got []string
		for _, c := range into[completions](m.t, m.as(who, "GET", "/v1/chat/completions?limit=100", "")).Data {
			got = append(got, c.ID)
		}
		slices.Sort(got)
		slices.Sort(ids)
		if !slices.Equal(got, ids) {
			m.t.Errorf("%s lists %v, not %v", m.tenants[who].mark, got, ids)
		}
	}
	for _, req := range m.up.Requests() {
		said := marks.FindAllString(string(req.Body), -1)
		if slices.Sort(said); len(slices.Compact(said)) > 1 {
			m.t.Errorf("the backend was told of two tenants at once: %s", req.Body)
		}
	}
	for i := range accesses {
		a := &accesses[i]
		if route := a.method + " " + a.path + " " + a.body; m.tries[route] == 0 {
			m.t.Errorf("%s was never tried", route)
		}
	}
}
