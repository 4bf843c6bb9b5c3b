package probe

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/zoo"
	"github.com/antiphon-proxy/antiphon/translate"
)

func run(t *testing.T, url, dialect, model string, more ...func(*Options)) *Report {
	t.Helper()
	u := config.Default().Upstream
	u.URL, u.Dialect = url, dialect
	opt := Options{Upstream: &u, Model: model}
	for _, m := range more {
		m(&opt)
	}
	r, err := Run(context.Background(), opt)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// takes asks a member of the zoo what it would say to a request.
func takes(t *testing.T, f *zoo.Family, rest string) bool {
	t.Helper()
	r, err := zoo.Read([]byte(`{"model":"m",` + rest + `}`))
	if err != nil {
		t.Fatal(err)
	}
	return f.Check(r) == nil
}

// truth is what a dialect has to say about a member: the rules of the member are
// asked themselves, and its habits. Not all that a dialect says can be held against
// them.
func truth(t *testing.T, f *zoo.Family, d *translate.Dialect, generic bool) (wrong []string) {
	ask := func(rest string) bool { return takes(t, f, rest) }
	expect := func(what string, got, want bool) {
		if got != want {
			wrong = append(wrong, fmt.Sprintf("%s is %v", what, got))
		}
	}
	only := func(what string, got, may bool) { // a preset may be more careful
		if got && !may || generic && !got && may {
			wrong = append(wrong, fmt.Sprintf("%s is %v", what, got))
		}
	}
	const hello = `"messages":[{"role":"user","content":"Hi"}]`
	withRole := func(role string) bool {
		return ask(`"messages":[{"role":"` + role + `","content":"x"},{"role":"user","content":"Hi"}]`)
	}
	expect("developer_role without the role", d.DeveloperRole && !withRole("developer"), false)
	if !ask(`"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"x"},{"role":"system","content":"x"},{"role":"user","content":"x"}]`) {
		expect("system_messages anywhere", d.SystemMessages == translate.SystemAnywhere, false)
	}
	expect("alternate_roles", d.AlternateRoles, !ask(`"messages":[{"role":"user","content":"x"},{"role":"user","content":"x"}]`))
	call := func(id, extra, after string) bool {
		return ask(`"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"",` + extra + `"tool_calls":[{"id":"` + id +
			`","type":"function","extra_content":{"google":{"thought_signature":"x"}},"function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"` + id + `","content":"x"}` + after + `]`)
	}
	thought := ""
	if demands := !call("abcdefgh1", "", ""); demands {
		thought = `"reasoning_content":"x",`
		expect("reasoning.replay all", d.Reasoning.Replay == translate.ReplayAll, true)
		expect("reasoning.placeholder", d.Reasoning.Placeholder != "", true)
	}
	expect("tools.call_ids alnum9", d.Tools.CallIDs == translate.CallIDsAlnum9, !call("call_1", thought, ""))
	expect("assistant_after_tool", d.AssistantAfterTool, !call("abcdefgh1", thought, `,{"role":"user","content":"x"}`))
	expect("tools.call_placeholder", d.Tools.CallPlaceholder != "", !ask(`"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"","reasoning_content":"x","tool_calls":[{"id":"abcdefgh1","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"abcdefgh1","content":"x"}]`) && !slices.ContainsFunc(f.Rules, func(r zoo.Rule) bool { return r.Name == "unknown message key" }))
	for part, on := range map[string]bool{
		`{"type":"image_url","image_url":{"url":"data:"}}`: d.Images, `{"type":"file","file":{}}`: d.Files, `{"type":"input_audio","input_audio":{}}`: d.Audio,
	} {
		only("part "+part, on, ask(`"messages":[{"role":"user","content":[{"type":"text","text":"x"},`+part+`]}]`))
	}
	// Where unknown keys are ignored, that one is taken says nothing.
	refuses := !ask(hello + `,"antiphon_probe":1`)
	for bit, key := range map[translate.ParamSet]string{
		translate.ParamTemperature: `"temperature":0.5`, translate.ParamTopP: `"top_p":0.9`, translate.ParamPresencePenalty: `"presence_penalty":1`,
		translate.ParamFrequencyPenalty: `"frequency_penalty":1`, translate.ParamUser: `"user":"u"`, translate.ParamSafetyIdentifier: `"safety_identifier":"u"`,
		translate.ParamPromptCacheKey: `"prompt_cache_key":"u"`, translate.ParamVerbosity: `"verbosity":"low"`, translate.ParamStreamUsage: `"stream":true,"stream_options":{"include_usage":true}`,
	} {
		if may := ask(hello + "," + key); refuses || !may {
			only("accepts "+key, d.Accepts.Has(bit), may)
		}
	}
	only("accepts logprobs", d.Accepts.Has(translate.ParamLogprobs), ask(hello+`,"logprobs":true`) && !f.Habits.NoLogprobs)
	if d.MaxTokens == translate.MaxTokens {
		expect("max_tokens taken", ask(hello+`,"max_tokens":5`), true)
	} else {
		expect("max_completion_tokens taken", ask(hello+`,"max_completion_tokens":5`) && !f.Habits.IgnoresMaxCompletionTokens, true)
	}
	const tool = hello + `,"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":`
	h := &f.Habits
	only("tools.choices.none", d.Tools.Choices.Has(translate.ChoiceNone), ask(tool+`"none"`) && !h.IgnoresChoice)
	if d.Tools.Choices.Has(translate.ChoiceRequired) {
		expect("tools.required_word taken", ask(tool+`"`+d.Tools.RequiredWord+`"`) && !h.IgnoresChoice, true)
	} else if generic {
		expect("tools.choices.required", ask(tool+`"required"`) && !h.IgnoresChoice, false)
	}
	only("tools.choices.named", d.Tools.Choices.Has(translate.ChoiceNamed), ask(tool+`{"type":"function","function":{"name":"f"}}`) && !h.IgnoresChoice && !h.IgnoresNamed)
	only("json_schema", d.Structured == translate.StructuredSchema, ask(hello+`,"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{}}}`) && !h.IgnoresFormat && !h.IgnoresSchema)
	only("json_object", d.Structured != translate.StructuredNone, ask(hello+`,"response_format":{"type":"json_object"}`) && !h.IgnoresFormat)
	if d.Reasoning.EffortForm == translate.EffortField {
		for _, e := range []string{"none", "minimal", "low", "medium", "high", "xhigh"} {
			word := e
			if w, ok := d.Reasoning.Efforts[e]; ok {
				word = w
			}
			if word != "" {
				expect("effort "+e+" taken", ask(hello+`,"reasoning_effort":"`+word+`"`), true)
			}
		}
	}
	return wrong
}

// TestZoo: what is found out about a member of the zoo is true, whether its family was
// recognised or nothing was known of it. The configuration that comes out is one.
func TestZoo(t *testing.T) {
	t.Parallel()
	for i := range zoo.Families {
		f := &zoo.Families[i]
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			for _, dialect := range []string{"", "generic"} {
				s := zoo.New(t, f)
				r := run(t, s.Base(), dialect, f.Model())
				if dialect == "" && r.Dialect != f.Dialect() {
					t.Errorf("taken for %s: %s", r.Dialect, r.Detected)
				}
				if r.Stopped != "" || r.Tokens > r.Bound/4 {
					t.Errorf("%d requests, %d tokens: %s", r.Requests, r.Tokens, r.Stopped)
				}
				d, _ := translate.LookupDialect(r.Dialect)
				for _, fact := range r.Facts {
					changed, ok := d.With(fact)
					if !ok {
						t.Errorf("%s says nothing new", fact)
					}
					d = changed
				}
				for _, w := range truth(t, f, &d, dialect == "generic") {
					t.Errorf("%q: %s", r.Dialect, w)
				}
				u := config.Default().Upstream
				var err error
				u.URL, u.Dialect = s.Base(), r.Dialect
				if u.Overrides, err = config.ParseOverrides("probe", r.Overrides()); err != nil {
					t.Errorf("%v in\n%s", err, r.Config())
				}
				configured, err := u.EffectiveDialect()
				if err != nil || fmt.Sprint(configured) != fmt.Sprint(d) {
					t.Errorf("%v\n%s\nmakes %v\nnot   %v", err, r.Config(), configured, d)
				}
				if t.Failed() {
					for _, step := range r.Steps {
						t.Log(step)
					}
				}
			}
		})
	}
}
