package translate

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// FuzzRequest: whatever a client sends, it gets an error of the API, or its
// backend gets a request that it can take, in which everything arrives that the
// loss report does not name.
func FuzzRequest(f *testing.F) {
	for i, c := range goldenCases(f) {
		f.Add(bytes.TrimSpace(c.File("client.json")), byte(i))
	}
	for i := range testDialects() {
		f.Add([]byte(codexRequest), byte(i))
	}
	dialects := testDialects()
	var r Request
	var losses Losses
	f.Fuzz(func(t *testing.T, body []byte, dialect byte) {
		d := &dialects[int(dialect)%len(dialects)]
		p := requestCheck{t: t, d: d, r: &r, losses: &losses}
		p.run(body)
	})
}

// codexRequest has the shape of what Codex sends (CLIENTS).
const codexRequest = `{"model":"m","input":[{"type":"message","id":"msg_1","role":"developer","content":[{"type":"input_text","text":"Be Codex."}]},` +
	`{"type":"message","id":"msg_2","role":"user","content":[{"type":"input_text","text":"<image>"},{"type":"input_image","image_url":"data:image/png;base64,AAAA","detail":"original"},{"type":"input_text","text":"</image>"}]},` +
	`{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"Look."}],"content":null,"encrypted_content":"gAAA"},` +
	`{"type":"message","id":"msg_3","role":"assistant","content":[{"type":"output_text","text":"Looking."}],"phase":"commentary"},` +
	`{"type":"function_call","id":"fc_1","name":"exec_command","arguments":"{\"cmd\":\"ls\"}","call_id":"call_1"},` +
	`{"type":"function_call","id":"fc_2","name":"view_image","arguments":"{}","call_id":"call_2"},` +
	`{"type":"function_call_output","id":"fco_1","call_id":"call_1","output":"a\nb"},` +
	`{"type":"function_call_output","id":"fco_2","call_id":"call_2","output":[{"type":"input_text","text":"seen"},{"type":"input_image","image_url":"data:image/png;base64,BBBB"}]},` +
	`{"type":"message","role":"user","content":[{"type":"input_text","text":"Go on"}]}],` +
	`"tools":[{"type":"function","name":"exec_command","strict":false,"parameters":{"type":"object","properties":{"cmd":{"type":"string"}},"required":["cmd"],"additionalProperties":false}},` +
	`{"type":"namespace","name":"multi_agent_v1","tools":[{"type":"function","name":"spawn","parameters":{}}]},{"type":"web_search","external_web_access":true}],` +
	`"tool_choice":"auto","parallel_tool_calls":true,"reasoning":{"summary":"auto"},"store":false,"stream":true,` +
	`"include":["reasoning.encrypted_content"],"prompt_cache_key":"k","client_metadata":{"x":"y"}}`

func fuzzBuilder() *HistoryBuilder { return &HistoryBuilder{Opener: plainSealer{}} }

// requestCheck holds one request against all that is promised.
type requestCheck struct {
	t      interface{ Errorf(string, ...any) }
	d      *Dialect
	r      *Request
	losses *Losses

	chat   []byte
	body   chatBody
	failed bool
}

func (p *requestCheck) errorf(format string, args ...any) {
	p.failed = true
	p.t.Errorf(p.d.Name+": "+format, args...)
}

func (p *requestCheck) run(body []byte) {
	given := bytes.Clone(body)
	p.losses.Reset()
	if err := p.r.Parse(bytes.Clone(body), RequestLimits{}); err != nil {
		p.apiError(err)
		return
	}
	if refs := p.r.References(); len(refs) > 0 {
		items := make([][]byte, len(refs))
		for i, id := range refs {
			items[i] = append(jsonx.AppendString([]byte(`{"id":`), id), `,"type":"message","role":"user","content":[]}`...)
		}
		if err := p.r.Resolve(items); err != nil {
			p.errorf("resolve: %v", err)
			return
		}
	}
	p.echo()
	if err := p.r.EmptyInput(); err != nil {
		p.apiError(err)
		return
	}
	if err := p.r.OpenCompactions(plainSealer{}); err != nil {
		p.apiError(err)
		return
	}
	stored := p.stored()
	var err *Error
	p.chat, err = p.r.AppendChat(p.chat[:0], ChatOptions{Dialect: p.d, Losses: p.losses, Sealer: codeSealer{}})
	if err != nil {
		p.apiError(err)
		return
	}
	for _, fault := range legal(p.chat, p.d) {
		p.errorf("%s", fault)
	}
	p.body, _ = readChat(p.chat, p.d)
	p.arrived(given)
	p.followUp(stored)
	if p.failed {
		p.errorf("of %s\nbecame %s\nlosses %s", given, p.chat, lossLines(p.losses))
	}
}

func (p *requestCheck) apiError(e *Error) {
	var got struct {
		Error map[string]any
	}
	body := e.AppendBody(nil)
	if err := json.Unmarshal(body, &got); err != nil {
		p.errorf("%s: %v", body, err)
		return
	}
	if len(got.Error) != 4 || got.Error["message"] == "" || got.Error["type"] == "" {
		p.errorf("error body %s", body)
	}
	if e.Status != 400 && e.Status != 403 && (e.Status != 404 || !strings.HasPrefix(e.Message, "Prompt")) {
		p.errorf("status %d", e.Status)
	}
	if len(body) > 8<<10 {
		p.errorf("an error of %d bytes", len(body))
	}
}

// echo: the echo has no line ends, and no key twice.
func (p *requestCheck) echo() {
	echo := p.r.appendEcho(nil)
	if bytes.ContainsAny(echo, "\r\n") {
		p.errorf("line ends in the echo %q", echo)
	}
	object := append(append([]byte(`{"x":0`), echo...), '}')
	if !jsonx.Valid(object) && !json.Valid(object) {
		p.errorf("the echo is no JSON: %s", echo)
	}
}

// stored: what is stored of the input can be listed, and has ids then. It makes
// the same history as its list does.
func (p *requestCheck) stored() []byte {
	raw, _ := p.r.StorableInput()
	stored, err := AppendListedInput(nil, raw, testSeed.ResponseID())
	if err != nil {
		p.errorf("%v: %s", err, raw)
		return nil
	}
	if !p.r.Multiline() && !slices.ContainsFunc(p.r.items, func(it item) bool { // an id is what the backend knows those by
		return it.id == 0 && (it.kind == kindHosted || it.doc.Is(it.typ, "mcp_approval_request"))
	}) {
		a, errA := fuzzBuilder().Extend(&History{}, raw, []byte("[]"), p.d)
		b, errB := fuzzBuilder().Extend(&History{}, stored, []byte("[]"), p.d)
		if errA != nil || errB != nil || !bytes.Equal(a.messages, b.messages) || !bytes.Equal(a.system, b.system) || !slices.EqualFunc(a.open, b.open, func(a, b pastCall) bool { return a.id == b.id && a.sent == b.sent && a.name == b.name }) {
			p.errorf("stored %s, %v, listed %s, %v", raw, errA, stored, errB)
		}
	}
	if bytes.ContainsAny(stored, "\r\n") {
		p.errorf("line ends in the stored input %q", stored)
	}
	n := 0
	EachItem(stored, func(id string, item []byte) bool {
		n++
		if id == "" {
			p.errorf("stored without id: %s", item)
		}
		return true
	})
	if n != len(p.r.items) {
		p.errorf("%d items, %d stored: %s", len(p.r.items), n, stored)
	}
	return stored
}

// followUp: the stored request is a legal beginning of the next one, whoever
// speaks next.
func (p *requestCheck) followUp(stored []byte) {
	const output = `[{"id":"rs_o","type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":"T"}]},` +
		`{"id":"msg_o","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"O","annotations":[],"logprobs":[]}]},` +
		`{"id":"fc_o","type":"function_call","status":"completed","call_id":"call_o","name":"f","arguments":"{}"}]`
	for _, next := range []string{
		`"next"`, `[{"type":"function_call_output","call_id":"call_o","output":"1"}]`, `[{"role":"assistant","content":"A"}]`,
	} {
		for _, out := range []string{output, "[]"} {
			h, err := fuzzBuilder().Extend(&History{}, stored, []byte(out), p.d)
			if err != nil {
				p.errorf("extend: %v\n%s", err, stored)
				return
			}
			var r Request
			if err := r.Parse([]byte(`{"model":"m","previous_response_id":"resp_1","instructions":"I","input":`+next+`}`), RequestLimits{}); err != nil {
				p.errorf("%v", err)
				return
			}
			if r.OpenCompactions(plainSealer{}) != nil {
				p.errorf("what opened once does not open again")
				return
			}
			chat, apiErr := r.AppendChat(nil, ChatOptions{Dialect: p.d, History: h, Losses: new(Losses), Sealer: codeSealer{}})
			if apiErr != nil {
				if out != "[]" || !strings.Contains(apiErr.Message, "No tool call found") {
					p.errorf("%v", apiErr)
				}
				continue
			}
			for _, fault := range legal(chat, p.d) {
				p.errorf("followed by %s: %s\n%s", next, fault, chat)
			}
		}
	}
}

// sentItem is an input item as an independent reader sees it.
type sentItem struct {
	Type, Role string
	Content    json.RawMessage
	Output     json.RawMessage
}

type sentPart struct{ Type, Text string }

// arrived: what the client sent stands in the chat request or in the loss report.
func (p *requestCheck) arrived(given []byte) {
	var keys map[string]json.RawMessage
	if json.Unmarshal(given, &keys) != nil || p.losses.More > 0 || p.r.refs > 0 {
		return
	}
	lost := func(rule Rule, path string) bool {
		return slices.ContainsFunc(p.losses.Entries, func(l Loss) bool { return l.Rule == rule && (path == "" || l.Path == path) })
	}
	count := func(rule Rule) (n int) {
		for _, l := range p.losses.Entries {
			if l.Rule == rule {
				n++
			}
		}
		return n
	}
	for k, v := range keys {
		if paramByName([]byte(k)) == pUnknown && !slices.Contains(p.d.ExtraParams, k) && string(v) != "null" &&
			!lost(ruleUnknownParam, brief(k)) && !lost(ruleClientMetadata, brief(k)) {
			p.errorf("key %q is gone", k)
		}
	}
	var tools []sentTool
	_ = json.Unmarshal(keys["tools"], &tools)
	for i, tool := range tools {
		if p.r.loads { // what items bring may take its place
			break
		}
		p.toolArrived(tool, "tools["+strconv.Itoa(i)+"]", string(keys["tool_choice"]), lost)
	}

	var items []sentItem
	if json.Unmarshal(keys["input"], &items) != nil {
		var text string
		_ = json.Unmarshal(keys["input"], &text)
		p.textArrived(text)
		return
	}
	others, calls, outputs, unsupported := 0, 0, 0, 0
	for i, it := range items {
		switch p.r.items[i].kind {
		case kindUser, kindSystem, kindAssistant:
			if p.r.items[i].agent {
				others += lostBelow(p.losses, rulePartDropped, itemPath(i)+".") // its parts are others
				continue
			}
			others += p.contentArrived(it.Content)
		case kindOutput:
			outputs++
			if p.r.items[i].hosted && bytes.Contains(it.Output, []byte("computer_screenshot")) {
				others += lostBelow(p.losses, rulePartDropped, itemPath(i)+".") + lostBelow(p.losses, ruleOutputParts, itemPath(i)+".")
			}
			if it.Type == "function_call_output" || it.Type == "custom_tool_call_output" {
				others += p.contentArrived(it.Output)
			}
		case kindCall:
			calls++
		case kindHosted:
			calls, outputs = calls+1, outputs+1
			others += lostBelow(p.losses, rulePartDropped, itemPath(i)+".")
		case kindUnsupported:
			unsupported++
		}
	}
	if n := count(ruleItemUnsupported); n != unsupported {
		p.errorf("%d items that cannot be sent, %d reported", unsupported, n)
	}
	for _, m := range p.body.Messages {
		for _, typ := range m.parts {
			if typ != "text" {
				others--
			}
		}
		calls -= len(m.ToolCalls)
		if m.Role == "tool" {
			outputs--
		}
	}
	if n := count(rulePartDropped); n != others {
		p.errorf("%d parts are gone, %d reported", others, n)
	}
	if n := count(ruleOrphanOutput); calls+n != 0 {
		p.errorf("%d calls too few, %d made up", calls, n)
	}
	if n := count(ruleMissingOutput) + count(ruleAsyncOutput); outputs+n != 0 {
		p.errorf("%d results too few, %d made up", outputs, n)
	}
}

// lostBelow counts the losses by a rule below a path.
func lostBelow(l *Losses, rule Rule, path string) (n int) {
	for _, e := range l.Entries {
		if e.Rule == rule && strings.HasPrefix(e.Path, path) {
			n++
		}
	}
	return n
}

// sentTool is a tool as an independent reader sees it.
type sentTool struct {
	Type, Name, Execution string
	Environment           *struct{ Type string }
	Tools                 []sentTool
}

// toolArrived: a tool that cannot be offered, or not as it is, is reported; one
// that can is there, if tool_choice leaves it.
func (p *requestCheck) toolArrived(tool sentTool, path, choice string, lost func(Rule, string) bool) {
	if tool.Type == "namespace" {
		for i, inner := range tool.Tools {
			p.toolArrived(inner, path+".tools["+strconv.Itoa(i)+"]", choice, lost)
		}
		if len(tool.Tools) > 0 {
			return
		}
	}
	said := lost(ruleToolUnsupported, path) || lost(ruleToolRepeated, path)
	switch tool.Type {
	case "function":
		said = true // most are as they were; legal looks at those that are there
	case "custom":
		said = said || lost(ruleToolCustom, path) || p.d.Tools.Custom == CustomNative
	case "tool_search":
		said = said || lost(ruleToolEmulated, path) || lost(ruleToolSearch, path)
	case "shell", "local_shell", "apply_patch":
		said = said || lost(ruleToolEmulated, path)
	case "web_search", "web_search_2025_08_26", "web_search_preview", "web_search_preview_2025_03_11":
		said = lost(ruleToolWebSearch, path)
	}
	if !said && (choice == "" || choice == `"auto"`) && !lost(ruleToolDeferred, path) {
		p.errorf("tool %s is gone", path)
	}
	if n := len(p.body.Tools); choice == "" && n == 0 && len(p.r.tools.tools) > 0 && !p.r.tools.search {
		p.errorf("no tool has arrived")
	}
}

// contentArrived checks the texts of a content and counts its parts that are
// none.
func (p *requestCheck) contentArrived(content json.RawMessage) (others int) {
	var text string
	if json.Unmarshal(content, &text) == nil {
		p.textArrived(text)
		return 0
	}
	var parts []sentPart
	_ = json.Unmarshal(content, &parts)
	for _, part := range parts {
		switch partKindOf([]byte(part.Type)) {
		case partText:
			p.textArrived(part.Text)
		case partRefusal:
		default:
			others++
		}
	}
	return others
}

func (p *requestCheck) textArrived(text string) {
	if strings.TrimSpace(text) == "" { // an answer of nothing else is left out
		return
	}
	for i := range p.body.Messages {
		if strings.Contains(p.body.Messages[i].text, text) {
			return
		}
	}
	p.errorf("the text %q is gone", text)
}
