package translate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// What golden cases cannot reach: bounds, helpers, and the reuse of memory.

func parsed(t *testing.T, body string) *Request {
	t.Helper()
	var r Request
	if err := r.Parse([]byte(body), RequestLimits{}); err != nil {
		t.Fatal(err)
	}
	return &r
}

func TestTruncate(t *testing.T) {
	d, _ := LookupDialect("generic")
	var items []string
	for i := range 6 {
		items = append(items, fmt.Sprintf(`{"role":"user","content":"question %d %s"}`, i, strings.Repeat("x", 100)),
			fmt.Sprintf(`{"type":"function_call","call_id":"c%d","name":"f","arguments":"{}"}`, i),
			fmt.Sprintf(`{"type":"function_call_output","call_id":"c%d","output":[{"type":"input_image","image_url":"data:,"}]}`, i),
			fmt.Sprintf(`{"role":"assistant","content":"answer %d"}`, i))
	}
	r := parsed(t, `{"model":"m","instructions":"I","tools":[{"type":"function","name":"f"}],"input":[`+strings.Join(items, ",")+`,{"role":"user","content":"last"}]}`)
	chat, err := r.AppendChat(nil, ChatOptions{Dialect: &d, Losses: new(Losses)})
	if err != nil {
		t.Fatal(err)
	}
	f := func(overflow *Error, wantTurns int) {
		t.Helper()
		shorter, dropped := Truncate([]byte("prefix"), chat, overflow)
		shorter, ok := bytes.CutPrefix(shorter, []byte("prefix"))
		if !ok {
			t.Fatal("dst is gone")
		}
		if faults := legal(shorter, &d); len(faults) > 0 {
			t.Error(faults)
		}
		body, _ := readChat(shorter, &d)
		if len(body.Messages) != 1+5*wantTurns+1 || dropped != 5*(6-wantTurns) {
			t.Errorf("%d messages left, %d dropped:\n%s", len(body.Messages), dropped, shorter)
		}
		if body.Messages[0].Role != "system" || body.Messages[len(body.Messages)-1].text != "last" || len(body.Tools) != 1 {
			t.Errorf("head, tail or tools are gone: %s", shorter)
		}
	}
	f(nil, 3)                                              // half of what can go
	f(&Error{Message: "no sizes"}, 3)                      // the same
	f(&Error{Message: "limit 1000, asked 1010"}, 5)        // a little
	f(&Error{Message: "you asked 64,000, limit 8,000"}, 0) // all that can go
	f(&Error{Message: "limit 5 tokens of 9"}, 3)           // numbers that are no sizes

	// What is left once more, until nothing can go.
	for rounds := 0; ; rounds++ {
		shorter, dropped := Truncate(nil, chat, nil)
		if dropped == 0 {
			if body, _ := readChat(chat, &d); len(body.Messages) != 2 {
				t.Errorf("stopped at %s", chat)
			}
			break
		}
		if len(shorter) >= len(chat) || rounds > 10 {
			t.Fatal("it does not get shorter")
		}
		chat = shorter
	}
	for _, bad := range []string{``, `{`, `{"messages":5}`, `{"messages":[]}`, `{"messages":[{"role":"user","content":"x"}]}`} {
		if out, dropped := Truncate([]byte("p"), []byte(bad), nil); dropped != 0 || string(out) != "p" {
			t.Errorf("%s: %s, %d", bad, out, dropped)
		}
	}
	var l Losses
	NoteTruncation(&l, 7)
	if got := string(lossLines(&l)); got != "truncation emulated (advisory) input \"7 messages\"\n" {
		t.Error(got)
	}
}

// TestTruncateMerged: pictures that the user's next words were merged into do
// not hide that a turn begins there.
func TestTruncateMerged(t *testing.T) {
	d, _ := LookupDialect("mistral")
	r := parsed(t, `{"model":"m","input":[{"role":"user","content":"one"},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},`+
		`{"type":"function_call_output","call_id":"c","output":[{"type":"input_image","image_url":"data:,"}]},{"role":"user","content":"two"}]}`)
	chat, err := r.AppendChat(nil, ChatOptions{Dialect: &d, Losses: new(Losses)})
	if err != nil {
		t.Fatal(err)
	}
	shorter, dropped := Truncate(nil, chat, nil)
	if dropped != 4 || len(legal(shorter, &d)) > 0 {
		t.Errorf("%d dropped of\n%s\n%s", dropped, chat, shorter)
	}
}

func TestItemKey(t *testing.T) {
	const shared = "a1b2c30000000077"
	for _, c := range [][2]string{
		{testSeed.ResponseID(), "." + shared},
		{string(testSeed.appendID(nil, "msg_", firstOutput+5)), "." + shared},
		{string(testSeed.appendID(nil, "ctco_", firstInput+7)), "." + shared},
		{"msg_1", "msg_1"},
		{"", ""},
		{"_", "_"},
		{"msg_" + strings.Repeat("a", 49), "msg_" + strings.Repeat("a", 49)},
		{"msg_" + strings.Repeat("A", 50), "msg_" + strings.Repeat("A", 50)},
		{"odd_msg_" + strings.Repeat("a", 50), "." + strings.Repeat("a", 16)},
	} {
		if got := ItemKey(c[0]); got != c[1] {
			t.Errorf("%q: %q, want %q", c[0], got, c[1])
		}
	}
	r := parsed(t, `{"model":"m","input":[{"id":"mine_1","role":"user","content":"x"},{"role":"user","content":"y"},{"type":"item_reference","id":"other"},`+
		`{"id":"`+string(testSeed.appendID(nil, "msg_", firstInput+9))+`","role":"user","content":"z"}]}`)
	if got := r.StoredKeys(&testSeed); !slices.Equal(got, []string{"." + shared, "mine_1"}) {
		t.Error(got)
	}
	if refs := r.References(); !slices.Equal(refs, []string{"other"}) || r.ReferencePath(0) != "input[2]" || r.ReferencePath(1) != "input" {
		t.Error(refs, r.ReferencePath(0), r.ReferencePath(1))
	}
}

func TestIDsAreDistinct(t *testing.T) {
	seen := map[string]bool{}
	for n := range 100_000 {
		id := string(testSeed.appendID(nil, "", n))
		if seen[id] || len(id) != idHex {
			t.Fatalf("%d: %s", n, id)
		}
		seen[id] = true
	}
	if testSeed.ResponseID() == (&Seed{22: 1}).ResponseID() {
		t.Error("the seed does not matter")
	}
}

func TestFindItem(t *testing.T) {
	items := []byte(`[{"id":"a","x":1},{"x":2},{"id":"b\u0063","x":[3]},{"id":"a","x":4}]`)
	for id, want := range map[string]string{"a": `{"id":"a","x":1}`, "bc": `{"id":"b\u0063","x":[3]}`, "none": ""} {
		if got := FindItem(items, id); string(got) != want {
			t.Errorf("%s: %s", id, got)
		}
	}
	for _, bad := range []string{``, `{}`, `[`, `5`} {
		if FindItem([]byte(bad), "a") != nil {
			t.Error(bad)
		}
	}
}

func TestLossesAreBounded(t *testing.T) {
	var l Losses
	for i := range 1000 {
		l.add(ruleUnknownParam, fmt.Sprintf("key \"%d\" é\n", i), strings.Repeat("é", 500))
	}
	if len(l.Entries) != maxLosses || l.More != 1000-maxLosses || len(l.Entries[0].Detail) > 120 {
		t.Error(len(l.Entries), l.More, len(l.Entries[0].Detail))
	}
	for _, most := range []int{0, 10, 60, 100, 500, 4096, 1 << 20} {
		h := l.AppendHeader([]byte("x"), most)[1:]
		if len(h) > max(most, len("more;count=1234567890")) {
			t.Errorf("%d bytes of %d", len(h), most)
		}
		if bytes.ContainsFunc(h, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%q", h)
		}
		named := bytes.Count(h, []byte("action="))
		if want := fmt.Sprintf("more;count=%d", 1000-named); !bytes.HasSuffix(h, []byte(want)) {
			t.Errorf("%s does not end in %s", h, want)
		}
	}
	if e := l.Refusal(); e == nil || e.Status != 400 || !json.Valid(e.AppendBody(nil)) || e.Param != l.Entries[0].Path {
		t.Error(e)
	}
	l.Reset()
	if !l.Empty() || l.More != 0 || l.Refusal() != nil || len(l.AppendHeader(nil, 100)) != 0 {
		t.Error("Reset leaves something")
	}
	l.add(ruleHint, "user", "")
	if got := string(l.AppendHeader(nil, 100)); got != `param.hint;action=dropped;path="user"` {
		t.Error(got)
	}
	if l.Refusal() != nil {
		t.Error("an advisory loss is refused")
	}
}

func TestAlnum9(t *testing.T) {
	seen := map[[9]byte]string{}
	for i := range 10_000 {
		id := fmt.Sprintf("call_%024x", i)
		short := alnum9([]byte(id))
		if other, again := seen[short]; again || !alnum(short[:]) {
			t.Fatalf("%s and %s are both %s", id, other, short)
		}
		seen[short] = id
		if alnum9(short[:]) != short {
			t.Fatalf("%s does not stay", short)
		}
	}
}

// TestShortNames: 10,000 long names, much alike, stay apart (R28).
func TestShortNames(t *testing.T) {
	for _, most := range []int{16, 24, 64} {
		seen := map[string]string{}
		for i := range 10_000 {
			for _, long := range []string{
				fmt.Sprintf("mcp__server_with_a_long_name_for_testing__%s_%d", strings.Repeat("tool", 12), i),
				fmt.Sprintf("wetter.für.%d", i),
			} {
				short := shortName(long, long, most)
				if !plainName([]byte(short), most) {
					t.Fatalf("%q is no name", short)
				}
				if other, again := seen[short]; again {
					t.Fatalf("%q and %q are both %q", long, other, short)
				}
				seen[short] = long
				if shortName(long, long, most) != short {
					t.Fatal("it changes")
				}
			}
		}
	}
}

// TestNamesOfASetStayApart: whatever 2,000 tools are called, the backend knows
// each by a name of its own that it can take, and every such name leads back.
func TestNamesOfASetStayApart(t *testing.T) {
	spaces := []string{"", "", "a", "a__b", "mcp__demo", "mcp__demo__", "mcp.demo", "mcp_demo", strings.Repeat("long", 20), "ü"}
	names := []string{"b__c", "c", "echo", "demo__echo", "apply_patch", "shell", "a__b__c", "mcp__demo__echo", strings.Repeat("name", 20), "é", "e.", "e_"}
	var tools []string
	want := map[string]bool{}
	for i, space := range spaces {
		for j := range 200 {
			kind, name := []string{"function", "custom"}[j%2], names[j%len(names)]
			if j >= 2*len(names) {
				name += fmt.Sprint(j)
			}
			tool := fmt.Sprintf(`{"type":%q,"name":%q}`, kind, name)
			if space != "" {
				tool = fmt.Sprintf(`{"type":"namespace","name":%q,"tools":[%s]}`, space, tool)
			}
			tools = append(tools, tool)
			want[kind+" "+space+"\x00"+name] = true
			if i == 0 && j == 0 {
				tools = append(tools, `{"type":"shell"}`, `{"type":"apply_patch"}`)
			}
		}
	}
	r := parsed(t, `{"model":"m","input":"Hi","tools":[`+strings.Join(tools, ",")+`]}`)
	for _, d := range testDialects() {
		start := time.Now()
		chat, err := r.AppendChat(nil, ChatOptions{Dialect: &d, Losses: new(Losses)})
		if err != nil {
			t.Fatal(err)
		}
		for _, fault := range legal(chat, &d) { // names are plain, short enough, and distinct
			t.Errorf("%s: %s", d.Name, fault)
		}
		body, _ := readChat(chat, &d)
		if len(body.Tools) != len(want)+2 {
			t.Errorf("%s: %d tools of %d", d.Name, len(body.Tools), len(want)+2)
		}
		back := map[string]bool{}
		for _, sent := range body.Tools {
			tool, exact := r.tools.called([]byte(sent.Function.Name + sent.Custom.Name))
			if tool == nil || !exact {
				t.Fatalf("%s: nobody is called %q", d.Name, sent.Function.Name)
			}
			if tool.name != 0 {
				space := ""
				if n := tool.spaceName(); n != 0 {
					space = tool.doc.Text(n)
				}
				back[tool.doc.Text(tool.doc.Get(tool.node, "type"))+" "+space+"\x00"+tool.title()] = true
			}
		}
		if !maps.Equal(back, want) {
			t.Errorf("%s: %d of %d names lead back", d.Name, len(back), len(want))
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("%s: %v", d.Name, took)
		}
	}
}

func TestDialectForHost(t *testing.T) {
	for host, want := range map[string]string{
		"api.openai.com": "openai", "API.OpenAI.com:443": "openai", "x.openai.azure.com": "azure", "openai.azure.com": "generic",
		"localhost:11434": "ollama", "localhost:8000": "generic", "[::1]:11434": "ollama", "[::1]": "generic", "evil-api.openai.com": "generic",
		"api.openai.com.evil.com": "generic", "": "generic", "openrouter.ai": "openrouter", "eu.openrouter.ai": "openrouter",
		"eu.api.openai.com": "openai", "us-east-1.api.x.ai": "xai", "api.kimi.com": "kimi", "dashscope-us.aliyuncs.com": "qwen", "coding-intl.dashscope.aliyuncs.com": "qwen",
		"token-plan.cn-beijing.maas.aliyuncs.com": "qwen", "oss.aliyuncs.com": "generic", "api.minimax.chat": "minimax", "api.eu.mistral.ai": "mistral",
	} {
		if got := DialectForHost(host); got != want {
			t.Errorf("%s: %s, want %s", host, got, want)
		}
	}
	if _, ok := LookupDialect("no such"); ok {
		t.Error("a preset that is none")
	}
	if names := DialectNames(); names[0] != "generic" || len(names) != len(presets) {
		t.Error(names)
	}
	a, _ := LookupDialect("ollama")
	a.ExtraParams[0], a.Reasoning.Efforts["minimal"] = "changed", "changed"
	if b, _ := LookupDialect("ollama"); b.ExtraParams[0] == "changed" || b.Reasoning.Efforts["minimal"] == "changed" {
		t.Error("presets can be changed")
	}
}

func TestResolveRefusesWhatIsNoItem(t *testing.T) {
	r := parsed(t, `{"model":"m","input":[{"type":"item_reference","id":"a"}]}`)
	if err := r.Resolve([][]byte{[]byte(`{"type":`)}); err == nil || err.Status != 500 || err.Origin != OriginProxy {
		t.Error(err)
	}
	r = parsed(t, `{"model":"m","input":[{"type":"item_reference","id":"a"}]}`)
	if err := r.Resolve([][]byte{[]byte(`{"type":"made_up"}`)}); err == nil {
		t.Error("an item of no known type")
	}
}

func TestExtendRefusesBadRecords(t *testing.T) {
	d, _ := LookupDialect("generic")
	for _, c := range [][2]string{{`[`, `[]`}, {`[]`, `{}`}, {`["x"]`, `[]`}, {`[{"type":"item_reference","id":"a"}]`, `[]`}} {
		if _, err := (&History{}).Extend([]byte(c[0]), []byte(c[1]), &d); err == nil {
			t.Error(c)
		}
	}
	h, err := (&History{}).Extend([]byte(`[{"id":"m","role":"user","content":"x"}]`),
		[]byte(`[{"id":"f","type":"function_call","call_id":"c","name":"f","arguments":"{}"}]`), &d)
	if err != nil || h.Size() < len(h.messages) || h.Size() > 4096 {
		t.Error(err)
	}
}

func TestLimits(t *testing.T) {
	f := func(body string, lim RequestLimits, want string) {
		t.Helper()
		var r Request
		err := r.Parse([]byte(body), lim)
		if err == nil || err.Status != 400 || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %v", body, err)
		}
	}
	item := `{"role":"user","content":"x"}`
	f(`{"model":"m","input":[`+strings.Repeat(item+",", 3)+item+`]}`, RequestLimits{Items: 3}, "maximum length 3")
	f(`{"model":"m","input":"x","metadata":`+strings.Repeat("[", 200)+strings.Repeat("]", 200)+`}`, RequestLimits{}, "over a limit")
	tool := `{"type":"function","name":"f"}`
	f(`{"model":"m","input":"x","tools":[`+strings.Repeat(tool+",", maxTools)+tool+`]}`, RequestLimits{}, "array_above_max_length")
	f(`{"model":"m","input":"x","tools":[`+tool+`],"tool_choice":{"type":"allowed_tools","tools":[`+strings.Repeat(tool+",", maxTools)+tool+`]}}`,
		RequestLimits{}, "array_above_max_length")
	f(`{"model":"m","input":"`+strings.Repeat("x", maxInputText+1)+`"}`, RequestLimits{}, "string_above_max_length")
	f(`{"model":"m","input":"x","tools":[{"type":"function","name":"`+strings.Repeat("x", maxToolName+1)+`"}]}`, RequestLimits{}, "string_above_max_length")
	f("{\"model\":\"m\",\"input\":\"\xff\"}", RequestLimits{}, "UTF-8")
}

func TestSmallThings(t *testing.T) {
	d, _ := LookupDialect("generic")
	r := parsed(t, `{"model":"m\u0031","previous_response_id":"resp_1","input":"Hi","stream":true}`)
	if r.Model() != "m1" || r.PreviousResponseID() != "resp_1" || r.Multiline() || r.References() != nil {
		t.Error(r.Model(), r.PreviousResponseID())
	}
	if parsed(t, `{"model":"m","input":"Hi"}`).PreviousResponseID() != "" {
		t.Error("a previous response that is none")
	}
	var turn Turn
	turn.Reset(TurnOptions{Request: r, Dialect: &d, Seed: testSeed, Created: 1})
	if turn.ID() != testSeed.ResponseID() || turn.Status() != "in_progress" || turn.Ended() || turn.Response(nil, 1, true) != nil {
		t.Error(turn.ID(), turn.Status())
	}
	turn.Feed(nil, []byte(`{"model":"up","choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}`))
	if !turn.Finishing() || string(turn.UpstreamModel()) != "up" || turn.Items() != 1 {
		t.Error(turn.Finishing(), string(turn.UpstreamModel()), turn.Items())
	}
	turn.Feed(nil, []byte(`{"choices":[],"usage":{"prompt_tokens":2,"completion_tokens":1}}`))
	if in, out, ok := turn.Tokens(); in != 2 || out != 1 || !ok || !turn.Ended() || turn.Failure() != nil {
		t.Error(in, out, ok)
	}
	if r := parsed(t, `{"model":"m","input":"Hi","stream":true,"stream_options":{"include_obfuscation":false}}`); !r.HasObfuscation || r.Obfuscation {
		t.Error("include_obfuscation is not read")
	}
	if r := parsed(t, `{"model":"m","input":"Hi","stream":true,"stream_options":{}}`); r.HasObfuscation {
		t.Error("include_obfuscation is made up")
	}
	if r := parsed(t, `{"model":"m","input":"Hi","truncation":"auto","log":true,"store":false}`); !r.TruncateAuto || !r.Trace || r.Store || r.Stream {
		t.Error("truncation, log or store is not read")
	}
	long := UpstreamError(400, []byte(`{"error":"`+strings.Repeat("é", 5000)+`"}`))
	if len(long.Message) > 2010 || !strings.HasSuffix(long.Message, "é…") {
		t.Errorf("%d bytes of message", len(long.Message))
	}
	e := &Error{Status: 400, Type: TypeInvalidRequest, Code: "c", Message: "m"}
	if e.Error() != "400 invalid_request_error (c): m" {
		t.Error(e)
	}
	for a, want := range map[Action]string{Dropped: "dropped", Emulated: "emulated", Repaired: "repaired", Defaulted: "defaulted"} {
		if a.String() != want {
			t.Error(a)
		}
	}
}
