package translate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// docs/COMPATIBILITY.md is not written but found out: a sample of every parameter,
// item, part and tool is sent through the translation, for every dialect, and what
// becomes of it goes into the tables. TestDocs compares; with -update it writes.

const compatibilityFile = "../docs/COMPATIBILITY.md"

func TestDocs(t *testing.T) {
	got := compatibility(t)
	if *update {
		if err := os.WriteFile(compatibilityFile, got, 0o644); err != nil { // a page to read
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(compatibilityFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("docs/COMPATIBILITY.md is out of date (make docs): %s", diffLines(string(want), string(got)))
	}
}

// fate is what becomes of a request: the chat request, the loss report, or the
// error.
type fate struct {
	chat   map[string]json.RawMessage
	losses []string
	err    *Error
}

func fateOf(t *testing.T, body string, d *Dialect) fate {
	t.Helper()
	var r Request
	if err := r.Parse([]byte(body), RequestLimits{}); err != nil {
		return fate{err: err}
	}
	if len(r.References()) > 0 {
		if err := r.Resolve([][]byte{[]byte(`{"id":"msg_1","type":"message","role":"assistant","status":"completed","content":[]}`)}); err != nil {
			return fate{err: err}
		}
	}
	if err := r.OpenCompactions(plainSealer{}); err != nil {
		return fate{err: err}
	}
	var losses Losses
	raw, err := r.AppendChat(nil, ChatOptions{Dialect: d, History: &History{}, Losses: &losses})
	if err != nil {
		return fate{err: err}
	}
	f := fate{}
	if err := json.Unmarshal(raw, &f.chat); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	for _, e := range losses.Entries {
		if id := "`" + e.Rule.Info().ID + "`"; !slices.Contains(f.losses, id) {
			f.losses = append(f.losses, id)
		}
	}
	return f
}

// against says in words what f has that base has not.
func (f fate) against(base fate) string {
	if f.err != nil {
		code := f.err.Code
		if code == "" {
			return fmt.Sprintf("%d", f.err.Status)
		}
		return fmt.Sprintf("%d `%s`", f.err.Status, code)
	}
	var said []string
	for _, key := range slices.Sorted(maps.Keys(f.chat)) {
		if !bytes.Equal(f.chat[key], base.chat[key]) {
			said = append(said, "`"+key+"`")
		}
	}
	out := "–"
	if len(said) > 0 {
		out = "sent: " + strings.Join(said, ", ")
	}
	return out + f.lost(base)
}

func (f fate) lost(base fate) string {
	var said []string
	for _, id := range f.losses {
		if !slices.Contains(base.losses, id) {
			said = append(said, id)
		}
	}
	if len(said) == 0 {
		return ""
	}
	return "; reported: " + strings.Join(said, ", ")
}

// messages says which messages f has beyond those of base.
func (f fate) messages(t *testing.T, base fate) string {
	if f.err != nil {
		return f.against(base)
	}
	type message struct {
		Role      string
		Content   json.RawMessage
		ToolCalls []any `json:"tool_calls"`
	}
	var list, before []message
	if err := json.Unmarshal(f.chat["messages"], &list); err != nil {
		t.Fatal(err)
	}
	_ = json.Unmarshal(base.chat["messages"], &before)
	var said []string
	for i, m := range list {
		switch {
		case i >= len(before):
		case !bytes.Equal(m.Content, before[i].Content), m.Role != before[i].Role, len(m.ToolCalls) != len(before[i].ToolCalls):
		default:
			continue
		}
		what := "`" + m.Role + "`"
		var parts []struct{ Type string }
		if json.Unmarshal(m.Content, &parts) == nil && len(parts) > 0 {
			var kinds []string
			for _, p := range parts {
				if p.Type != "text" {
					kinds = append(kinds, "`"+p.Type+"`")
				}
			}
			if len(kinds) > 0 {
				what += " with " + strings.Join(kinds, ", ")
			}
		}
		if len(m.ToolCalls) > 0 {
			what += " with `tool_calls`"
		}
		said = append(said, what)
	}
	out := "–"
	if len(said) > 0 {
		out = "message " + strings.Join(said, ", ")
	}
	for _, key := range slices.Sorted(maps.Keys(f.chat)) {
		if key != "messages" && !bytes.Equal(f.chat[key], base.chat[key]) {
			out = strings.TrimPrefix(out+", `"+key+"`", "–, ")
		}
	}
	return out + f.lost(base)
}

// across says what becomes of something for the generic dialect, and for which
// others it is something else.
func across(of func(d *Dialect) string) string {
	var generic string
	others := map[string][]string{}
	var order []string
	for _, name := range DialectNames() {
		d, _ := LookupDialect(name)
		said := of(&d)
		switch {
		case name == "generic":
			generic = said
		case said != generic:
			if others[said] == nil {
				order = append(order, said)
			}
			others[said] = append(others[said], name)
		}
	}
	var b strings.Builder
	b.WriteString(generic + " | ")
	for i, said := range order {
		if i > 0 {
			b.WriteString("<br>")
		}
		fmt.Fprintf(&b, "%s: %s", strings.Join(others[said], ", "), said)
	}
	return b.String()
}

func compatibility(t *testing.T) []byte {
	var b bytes.Buffer
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	table := func(title, head string) {
		line("\n## %s\n", title)
		line("| %s | generic | where a dialect differs |\n|---|---|---|", head)
	}
	const base = `{"model":"m","input":"Hi"}`
	with := func(member, value string) string { return base[:len(base)-1] + `,"` + member + `":` + value + "}" }

	line("# Compatibility\n")
	line("What becomes of each part of a Responses request on its way to a Chat Completions backend, by dialect. This page is made by")
	line("`make docs`, which sends a sample of each through the translation; a test holds it to what the code does.\n")
	line("*sent* names the keys of the chat request. *reported* names rules of the loss report (the `antiphon-loss` header, the log and")
	line("the metrics), which are [below](#rules-of-the-loss-report). *–* means that the backend gets nothing of it, and nothing is lost:")
	line("it is done here, or is without effect. A number is the status of an error.")

	table("Parameters", "parameter")
	for p := range numParams {
		value, ok := paramSamples[p]
		if !ok {
			t.Errorf("there is no sample of %s", paramNames[p])
			continue
		}
		name := "`" + paramNames[p] + "`"
		if note := paramNotes[p]; note != "" {
			name += " (" + note + ")"
		}
		line("| %s | %s |", name, across(func(d *Dialect) string {
			plain := fateOf(t, base, d)
			switch p {
			case pModel:
				return "sent: `model`"
			case pInput:
				return "sent: `messages`"
			case pStreamOptions:
				return fateOf(t, with("stream", `true,"stream_options":`+value), d).against(fateOf(t, with("stream", "true"), d))
			case pTopLogprobs:
				return fateOf(t, with("include", paramSamples[pInclude]+`,"top_logprobs":2`), d).against(fateOf(t, with("include", paramSamples[pInclude]), d))
			case pParallelToolCalls:
				return fateOf(t, with("tools", paramSamples[pTools]+`,"parallel_tool_calls":false`), d).against(fateOf(t, with("tools", paramSamples[pTools]), d))
			}
			return fateOf(t, with(paramNames[p], value), d).against(plain)
		}))
	}
	for _, s := range []sample{{"top_k", "5"}, {"seed", "5"}, {"chat_template_kwargs", "{}"}, {"client_metadata", "{}"}, {"of_tomorrow", "1"}} {
		line("| `%s` (not in the Responses API) | %s |", s.name, across(func(d *Dialect) string {
			return fateOf(t, with(s.name, s.json), d).against(fateOf(t, base, d))
		}))
	}

	table("`reasoning.effort`", "effort")
	for _, e := range []string{"none", "minimal", "low", "medium", "high", "xhigh", "max"} {
		line("| `%s` | %s |", e, across(func(d *Dialect) string {
			return fateOf(t, with("reasoning", `{"effort":"`+e+`"}`), d).against(fateOf(t, base, d))
		}))
	}

	table("`text.format`", "format")
	for _, s := range docFormats {
		line("| %s | %s |", s.name, across(func(d *Dialect) string {
			const json = `{"model":"m","input":"Say it in json."}`
			return fateOf(t, json[:len(json)-1]+`,"text":{"format":`+s.json+"}}", d).against(fateOf(t, json, d))
		}))
	}

	table("Tools", "tool")
	for _, s := range docTools {
		line("| %s | %s |", s.name, across(func(d *Dialect) string {
			return fateOf(t, with("tools", "["+s.json+"]"), d).against(fateOf(t, base, d))
		}))
	}

	table("`tool_choice`", "choice, with one function")
	for _, s := range docChoices {
		line("| %s | %s |", s.name, across(func(d *Dialect) string {
			tools := `[{"type":"function","name":"f"},{"type":"function","name":"g"}]`
			return fateOf(t, with("tools", tools+`,"tool_choice":`+s.json), d).against(fateOf(t, with("tools", tools), d))
		}))
	}

	table("Input items", "item")
	for _, it := range itemTypes {
		name := "`" + it.name + "`"
		switch {
		case it.name == "reasoning":
			name += " (at the end; before a call or an answer it goes where `reasoning.replay` says)"
		case slices.Contains(slices.Collect(maps.Values(callOf)), it.name):
			name += ", with its output"
		}
		line("| %s | %s |", name, across(func(d *Dialect) string {
			before := `{"role":"user","content":"Hi"}`
			if call := callOf[it.name]; call != "" {
				before += `,{"type":"` + call + `",` + docItems[call] + "}"
			}
			body := `{"type":"` + it.name + `"`
			if more := docItems[it.name]; more != "" {
				body += "," + more
			}
			body += "}"
			for output, call := range callOf {
				if call == it.name { // a call without an output is another matter
					body += `,{"type":"` + output + `",` + docItems[output] + "}"
				}
			}
			all := func(items string) string { return `{"model":"m","input":[` + items + "]}" }
			return fateOf(t, all(before+","+body), d).messages(t, fateOf(t, all(before), d))
		}))
	}

	table("Parts of a user's message", "part")
	for _, s := range docParts {
		line("| %s | %s |", s.name, across(func(d *Dialect) string {
			all := func(part string) string {
				return `{"model":"m","input":[{"role":"user","content":[{"type":"input_text","text":"Look:"}` + part + "]}]}"
			}
			return fateOf(t, all(","+s.json), d).messages(t, fateOf(t, all(""), d))
		}))
	}

	line("\n## Rules of the loss report\n")
	line("With `--loss strict` a request is refused for a rule that is marked with *; the others cannot change what the model answers, or")
	line("what the client can do with it. Ids do not change.\n")
	line("| rule | action | direction | |\n|---|---|---|---|")
	for _, r := range Rules() {
		info := r.Info()
		star := "\\*"
		if info.Advisory {
			star = ""
		}
		line("| `%s`%s | %s | %s | %s |", info.ID, star, info.Action, r.Direction(), info.What)
	}

	line("\n## Dialects\n")
	line("The values of every preset, as the keys of `upstream.overrides`; an empty field is that of generic.\n")
	presetTable(t, &b)

	line("\n## Where the presets are known from\n")
	line("The evidence of every value above that is not generic's. Names of files are of the server's own repository, where no other is named;")
	line("PEERS, SPEC, UPSTREAMS and captures are this project's notes on servers, and what it has recorded of two of them. What each family")
	line("refuses is in [DIALECTS.md](DIALECTS.md).\n")
	evidenceTable(t, &b)
	return b.Bytes()
}

// presetTable has a row for each field of a dialect, and a column for each preset.
func presetTable(t *testing.T, b *bytes.Buffer) {
	t.Helper()
	names := DialectNames()
	fields := map[string]map[string]string{}
	var order []string
	for _, name := range names {
		d, _ := LookupDialect(name)
		for _, f := range presetFields(t, &d) {
			if fields[f.name] == nil {
				fields[f.name] = map[string]string{}
				order = append(order, f.name)
			}
			fields[f.name][name] = f.json
		}
	}
	fmt.Fprintf(b, "| field | %s |\n|---%s|\n", strings.Join(names, " | "), strings.Repeat("|---", len(names)))
	for _, field := range order {
		fmt.Fprintf(b, "| `%s`", field)
		for _, name := range names {
			v := fields[field][name]
			if name != "generic" && v == fields[field]["generic"] {
				v = ""
			}
			fmt.Fprintf(b, " | %s", v)
		}
		b.WriteString(" |\n")
	}
}

// presetFields flattens a dialect.
func presetFields(t *testing.T, d *Dialect) (out []sample) {
	t.Helper()
	raw, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var doc jsonx.Doc
	if err := doc.Parse(raw, jsonx.Limits{}); err != nil {
		t.Fatal(err)
	}
	var walk func(prefix string, n uint32)
	walk = func(prefix string, n uint32) {
		for k, end := doc.First(n), doc.End(n); k < end; k = doc.Next(k + 1) {
			key := doc.Text(k)
			switch {
			case key == "Name":
			case key == "Accepts":
				out = append(out, sample{prefix + "accepts", strings.Join(setNames(uint32(d.Accepts), ParamNames), ", ")})
			case key == "Choices":
				out = append(out, sample{prefix + "choices", strings.Join(setNames(uint32(d.Tools.Choices), ChoiceNames), ", ")})
			case key == "Efforts":
				var words []string
				for _, from := range slices.Sorted(maps.Keys(d.Reasoning.Efforts)) {
					words = append(words, from+"→"+cmpOr(d.Reasoning.Efforts[from], "(left out)"))
				}
				out = append(out, sample{prefix + "efforts", strings.Join(words, ", ")})
			case doc.Kind(k+1) == jsonx.Object:
				walk(prefix+snake(key)+".", k+1)
			case doc.Kind(k+1) == jsonx.Array:
				var words []string
				for v, end := doc.First(k+1), doc.End(k+1); v < end; v = doc.Next(v) {
					words = append(words, doc.Text(v))
				}
				out = append(out, sample{prefix + snake(key), strings.Join(words, ", ")})
			case doc.Kind(k+1) == jsonx.String:
				out = append(out, sample{prefix + snake(key), doc.Text(k + 1)})
			case doc.Kind(k+1) == jsonx.Null:
				out = append(out, sample{prefix + snake(key), ""})
			default:
				out = append(out, sample{prefix + snake(key), string(doc.Raw(k + 1))})
			}
		}
	}
	walk("", jsonx.Root)
	return out
}

func cmpOr(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func setNames(bits uint32, names []string) (on []string) {
	for i, name := range names {
		if bits&(1<<i) != 0 {
			on = append(on, name)
		}
	}
	return on
}

// yamlNames are the keys that are not their field's name in small letters.
var yamlNames = map[string]string{
	"MaxTokens": "max_tokens_field", "Structured": "structured_output", "Tags": "think_tags", "CallIDs": "call_ids",
}

func snake(name string) string {
	if s := yamlNames[name]; s != "" {
		return s
	}
	var b strings.Builder
	for i, c := range name {
		if c >= 'A' && c <= 'Z' {
			if i > 0 {
				b.WriteByte('_')
			}
			c += 'a' - 'A'
		}
		b.WriteRune(c)
	}
	return b.String()
}
