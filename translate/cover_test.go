package translate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// What the golden corpus has to have: a case for every rule of the loss report,
// and for every value of a dialect one in which the value matters.

// TestEveryRuleHasACase: every rule id stands in some case's loss report. The
// exceptions are reported by the proxy (see TestTruncate and TestNoteEstimate), or
// of requests to Responses backends (see TestOwnResponses).
func TestEveryRuleHasACase(t *testing.T) {
	var all bytes.Buffer
	for _, c := range goldenCases(t) {
		all.Write(c.File("out/losses"))
		all.WriteByte('\n')
	}
	for _, c := range frontCases(t) {
		all.Write(c.File("out/losses"))
		all.WriteByte('\n')
	}
	for _, c := range mendCases(t) {
		all.Write(c.File("out/losses"))
		all.WriteByte('\n')
	}
	for _, r := range Rules() {
		id := r.Info().ID
		if r != ruleTruncated && r != ruleTokensEstimated && r != ruleFormatRepaired && r != ruleChatKeptRefused && r != ruleMendReasoning && !bytes.Contains(all.Bytes(), []byte("\n"+id+" ")) && !bytes.HasPrefix(all.Bytes(), []byte(id+" ")) {
			t.Errorf("no case has the rule %s", id)
		}
	}
}

// TestRulesAreDistinct: rule ids are part of the product.
func TestRulesAreDistinct(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range Rules() {
		info := r.Info()
		if info.ID == "" || seen[info.ID] || strings.Trim(info.ID, "abcdefghijklmnopqrstuvwxyz0123456789._") != "" {
			t.Errorf("rule %d has the id %q", r, info.ID)
		}
		if info.What == "" || !strings.HasSuffix(info.What, ".") {
			t.Errorf("%s says %q", info.ID, info.What)
		}
		seen[info.ID] = true
	}
}

// fact is one value of one field of a dialect.
type fact struct {
	name   string
	holds  func(d *Dialect, preset string) bool
	others []func(d *Dialect) // ways to make it another value
}

// TestEveryDialectValueHasACase: for every value that a preset has or the
// configuration can give there is a case whose outcome would be another with
// another value.
func TestEveryDialectValueHasACase(t *testing.T) {
	cases := goldenCases(t)
	want := make([]string, len(cases))
	for i, c := range cases {
		want[i] = c.outcome(t)
	}
	for _, f := range dialectFacts() {
		if !slices.ContainsFunc(cases, func(c *goldenCase) bool {
			if !f.holds(&c.dialect, c.Options.Dialect) {
				return false
			}
			was := want[slices.Index(cases, c)]
			return slices.ContainsFunc(f.others, func(other func(*Dialect)) bool {
				mutant := *c
				mutant.dialect.ExtraParams = slices.Clone(c.dialect.ExtraParams)
				mutant.dialect.Reasoning.Efforts = maps.Clone(c.dialect.Reasoning.Efforts)
				other(&mutant.dialect)
				return mutant.outcome(t) != was
			})
		}) {
			t.Errorf("no case shows what %s does", f.name)
		}
	}
}

// outcome is everything that a case makes, in one string.
func (c *goldenCase) outcome(t *testing.T) string {
	x := c.start(t)
	out := string(x.chat)
	if x.err != nil {
		return out + x.err.Error()
	}
	for _, l := range x.losses.Entries {
		out += fmt.Sprintln(l.Rule.Info().ID, l.Path, l.Detail)
	}
	var turn Turn
	turn.Reset(x.options)
	switch {
	case c.File("upstream.sse") != nil:
		out += string(streamThrough(&turn, c.upstreamSSE()))
	case c.File("upstream.json") != nil:
		out += string(turn.FeedMessage(nil, bytes.TrimSpace(c.File("upstream.json"))))
	}
	for _, f := range turn.Noticed() {
		out += f.String()
	}
	return out
}

func dialectFacts() (facts []fact) {
	flag := func(name string, at func(d *Dialect) *bool) {
		for _, v := range []bool{false, true} {
			facts = append(facts, fact{
				name:   fmt.Sprint(name, ": ", v),
				holds:  func(d *Dialect, _ string) bool { return *at(d) == v },
				others: []func(*Dialect){func(d *Dialect) { *at(d) = !v }},
			})
		}
	}
	flag("developer_role", func(d *Dialect) *bool { return &d.DeveloperRole })
	flag("alternate_roles", func(d *Dialect) *bool { return &d.AlternateRoles })
	flag("assistant_after_tool", func(d *Dialect) *bool { return &d.AssistantAfterTool })
	flag("join_text", func(d *Dialect) *bool { return &d.JoinText })
	flag("images", func(d *Dialect) *bool { return &d.Images })
	flag("files", func(d *Dialect) *bool { return &d.Files })
	flag("audio", func(d *Dialect) *bool { return &d.Audio })
	flag("reasoning.details", func(d *Dialect) *bool { return &d.Reasoning.Details })
	flag("reasoning.excludes_format", func(d *Dialect) *bool { return &d.Reasoning.ExcludesFormat })
	flag("tools.excludes_logprobs", func(d *Dialect) *bool { return &d.Tools.ExcludesLogprobs })
	flag("reasoning.stream_only", func(d *Dialect) *bool { return &d.Reasoning.StreamOnly })
	facts = append(facts, fact{
		name:   "tools.call_placeholder",
		holds:  func(d *Dialect, _ string) bool { return d.Tools.CallPlaceholder == signaturePlaceholder },
		others: []func(*Dialect){func(d *Dialect) { d.Tools.CallPlaceholder = "" }},
	})
	flag("file_ids", func(d *Dialect) *bool { return &d.FileIDs })
	flag("image_urls", func(d *Dialect) *bool { return &d.ImageURLs })
	flag("refusal_field", func(d *Dialect) *bool { return &d.RefusalField })

	facts = append(facts, enumFacts("system_messages", func(d *Dialect) *SystemPolicy { return &d.SystemMessages },
		SystemAnywhere, SystemHead, SystemUser)...)
	facts = append(facts, enumFacts("call_content", func(d *Dialect) *CallContent { return &d.CallContent },
		CallContentNull, CallContentEmpty, CallContentOmit)...)
	facts = append(facts, enumFacts("max_tokens_field", func(d *Dialect) *MaxTokensField { return &d.MaxTokens },
		MaxTokens, MaxCompletionTokens)...)
	facts = append(facts, enumFacts("structured_output", func(d *Dialect) *Structured { return &d.Structured },
		StructuredSchema, StructuredObject, StructuredNone)...)
	facts = append(facts, enumFacts("unknown_params", func(d *Dialect) *UnknownParams { return &d.UnknownParams },
		UnknownDrop, UnknownForward, UnknownRefuse)...)
	facts = append(facts, enumFacts("structured_fallback", func(d *Dialect) *Fallback { return &d.Fallback }, FallbackInstruct, FallbackNone)...)
	flag("verify_output", func(d *Dialect) *bool { return &d.VerifyOutput })
	facts = append(facts, enumFacts("tools.call_ids", func(d *Dialect) *CallIDForm { return &d.Tools.CallIDs },
		CallIDsAny, CallIDsAlnum9)...)
	facts = append(facts, enumFacts("tools.custom", func(d *Dialect) *CustomTools { return &d.Tools.Custom },
		CustomFunction, CustomNative)...)
	facts = append(facts, enumFacts("tools.call_markup", func(d *Dialect) *CallMarkup { return &d.Tools.CallMarkup },
		MarkupCalls, MarkupReport, MarkupOff)...)
	facts = append(facts, enumFacts("tools.name_max", func(d *Dialect) *int { return &d.Tools.NameMax }, 64, 24)...)
	facts = append(facts, enumFacts("reasoning.replay", func(d *Dialect) *Replay { return &d.Reasoning.Replay },
		ReplayAuto, ReplayNone, ReplayLoop, ReplayAll)...)
	facts = append(facts, enumFacts("reasoning.effort_form", func(d *Dialect) *EffortForm { return &d.Reasoning.EffortForm },
		EffortField, EffortObject, EffortEnabled, EffortThinking, EffortThinkingField, EffortEnable, EffortTemplate, EffortUnknown)...)
	facts = append(facts, enumFacts("reasoning.think_tags", func(d *Dialect) *ThinkTags { return &d.Reasoning.Tags },
		TagsOff, TagsAuto, TagsImplicit)...)
	var words, fields, placeholders []string
	for _, p := range presets {
		words, fields = append(words, p.Tools.RequiredWord), append(fields, p.Reasoning.ReplayField)
		placeholders = append(placeholders, p.Reasoning.Placeholder)
	}
	distinct := func(s []string) []string { slices.Sort(s); return slices.Compact(s) }
	facts = append(facts, enumFacts("tools.required_word", func(d *Dialect) *string { return &d.Tools.RequiredWord }, distinct(words)...)...)
	facts = append(facts, enumFacts("reasoning.replay_field", func(d *Dialect) *string { return &d.Reasoning.ReplayField }, distinct(fields)...)...)
	facts = append(facts, enumFacts("reasoning.placeholder", func(d *Dialect) *string { return &d.Reasoning.Placeholder }, distinct(placeholders)...)...)

	for i, name := range ParamNames {
		facts = append(facts, bitFacts("accepts."+name, func(d *Dialect) *ParamSet { return &d.Accepts }, 1<<i)...)
	}
	for i, name := range ChoiceNames {
		facts = append(facts, bitFacts("tools.choices."+name, func(d *Dialect) *ChoiceSet { return &d.Tools.Choices }, 1<<i)...)
	}
	for _, p := range presets {
		for _, name := range p.ExtraParams {
			facts = append(facts, fact{
				name:  p.Name + "'s extra_params " + name,
				holds: func(d *Dialect, preset string) bool { return preset == p.Name && slices.Contains(d.ExtraParams, name) },
				others: []func(*Dialect){func(d *Dialect) {
					d.ExtraParams = slices.DeleteFunc(d.ExtraParams, func(s string) bool { return s == name })
				}},
			})
		}
		for _, name := range p.Tools.CallExtras {
			facts = append(facts, fact{
				name: p.Name + "'s tools.call_extras " + name,
				holds: func(d *Dialect, preset string) bool {
					return preset == p.Name && slices.Contains(d.Tools.CallExtras, name)
				},
				others: []func(*Dialect){func(d *Dialect) { d.Tools.CallExtras = nil }},
			})
		}
		for from, to := range p.Reasoning.Efforts {
			facts = append(facts, fact{
				name:   p.Name + "'s reasoning.efforts " + from + " → " + to,
				holds:  func(d *Dialect, preset string) bool { return preset == p.Name && d.Reasoning.Efforts[from] == to },
				others: []func(*Dialect){func(d *Dialect) { delete(d.Reasoning.Efforts, from) }},
			})
		}
	}
	return facts
}

func enumFacts[T comparable](name string, at func(d *Dialect) *T, values ...T) (facts []fact) {
	for _, v := range values {
		f := fact{name: fmt.Sprint(name, ": ", v), holds: func(d *Dialect, _ string) bool { return *at(d) == v }}
		for _, o := range values {
			if o != v {
				f.others = append(f.others, func(d *Dialect) { *at(d) = o })
			}
		}
		facts = append(facts, f)
	}
	return facts
}

func bitFacts[T ParamSet | ChoiceSet](name string, at func(d *Dialect) *T, bit T) (facts []fact) {
	for _, on := range []bool{true, false} {
		facts = append(facts, fact{
			name:   fmt.Sprint(name, ": ", on),
			holds:  func(d *Dialect, _ string) bool { return *at(d)&bit != 0 == on },
			others: []func(*Dialect){func(d *Dialect) { *at(d) ^= bit }},
		})
	}
	return facts
}

// TestTwins: where a case has an answer both streamed and whole, both come to one
// response object (I4). The first of the two is in the case's golden files.
func TestTwins(t *testing.T) {
	twins := 0
	for _, c := range goldenCases(t) {
		whole := c.File("upstream.json")
		if whole == nil || c.File("upstream.sse") == nil {
			continue
		}
		twins++
		t.Run(c.Name, func(t *testing.T) {
			var a, b Turn
			a.Reset(c.start(t).options)
			streamThrough(&a, c.upstreamSSE())
			opt := c.start(t).options
			opt.Events = false
			b.Reset(opt)
			b.FeedMessage(nil, bytes.TrimSpace(whole))
			streamed, message := a.Response(nil, testCreated, true), b.Response(nil, testCreated, true)
			if !sameJSON(streamed, message) {
				t.Errorf("streamed\n%s\nwhole\n%s", streamed, message)
			}
			var r struct{ Status string }
			if err := json.Unmarshal(message, &r); err != nil || r.Status == "failed" {
				t.Error(r.Status, err)
			}
		})
	}
	if twins < 4 {
		t.Error("twins are missing")
	}
}

// TestEveryResponsesHabitHasACase: for both values of every habit of a Responses
// backend there is a case whose outcome would be another with the other value.
// complete is for whoever decides between a turn and passing through.
func TestEveryResponsesHabitHasACase(t *testing.T) {
	cases := frontCases(t)
	outcome := func(c *frontCase) string {
		x := c.start(t)
		out := string(x.body) + fmt.Sprint(x.err)
		for _, l := range x.losses.Entries {
			out += fmt.Sprintln(l.Rule.Info().ID, l.Path, l.Detail)
		}
		if raw := c.File("upstream.sse"); raw != nil && x.err == nil {
			var turn ChatTurn
			out += string(x.run(&turn, raw))
		} else if raw := c.File("upstream.json"); raw != nil && x.err == nil {
			var turn ChatTurn
			turn.Reset(x.one())
			out += string(turn.Terminal(turn.FeedMessage(nil, bytes.TrimSpace(raw))))
		}
		return out
	}
	want := make([]string, len(cases))
	for i, c := range cases {
		want[i] = outcome(c)
	}
	for field := range reflect.TypeFor[ResponsesHabits]().Fields() {
		name := field.Tag.Get("yaml")
		if name == "complete" {
			continue
		}
		for _, value := range []bool{false, true} {
			shown := false
			for i, c := range cases {
				mutant := *c
				if changed, err := mutant.dialect.Set("responses."+name, strconv.FormatBool(!value)); err != nil || !changed {
					if err != nil {
						t.Fatal(err)
					}
					continue
				}
				if shown = outcome(&mutant) != want[i]; shown {
					break
				}
			}
			if !shown {
				t.Errorf("no case shows what responses.%s: %v does", name, value)
			}
		}
	}
}
