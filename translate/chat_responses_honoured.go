package translate

import (
	"bytes"
	"slices"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// Some backends take a key and do as if it were not there. A reply shows it where
// the key is a promise: a call that had to be made is missing, an answer that had to
// be JSON is none. It is reported with the reply, and taken for a lesson (Noticed)
// where there is another way to come to the same.

// noticed are things that a reply has shown of the backend.
type noticed uint8

const (
	noticedNone    noticed = 1 << iota // it called a tool in spite of tool_choice "none"
	noticedNamed                       // it did not call the function that it was told to call
	noticedFormat                      // its answer is no JSON in spite of response_format
	noticedDetails                     // it gives reasoning_details, with what it wants to have back
	noticedTypes                       // arguments that came in pieces would have had to be mended
)

// checkHonoured holds a complete reply against what the backend was told.
func (t *Turn) checkHonoured() {
	r, d := t.opt.Request, t.opt.Dialect
	if t.given || t.compacts || t.cutShort != "" || t.failure != nil || t.stopped {
		return
	}
	s := &r.tools
	switch {
	case s.choice == choiceNamed && d.Tools.Choices.Has(ChoiceNamed):
		named := &s.tools[s.named]
		if !t.called(func(it *outItem) bool {
			if it.tool == nil { // nothing but functions, and no name is another one for the backend
				return named.name != 0 && bytes.Equal(it.name, named.doc.Str(named.name))
			}
			return it.tool.same(named)
		}) {
			t.noticed |= noticedNamed
			t.lose(ruleReplyChoice, "tool_choice", "")
		}
	case s.choice == choiceRequired, s.choice == choiceNamed: // of the other tools none was shown
		if !t.called(func(*outItem) bool { return true }) {
			t.lose(ruleReplyChoice, "tool_choice", "")
		}
	}
	if t.opt.Checked || d.Structured == StructuredNone || r.fallsBack(d) {
		return
	}
	doc, f := r.format()
	if kind := doc.Get(f, "type"); !doc.Is(kind, "json_schema") && !doc.Is(kind, "json_object") {
		return
	}
	var answer jsonx.Doc
	if text, ok := t.Answer(); ok && len(text) > 0 && answer.Parse(text, upstreamLimits) != nil {
		t.noticed |= noticedFormat
		t.lose(ruleReplyFormat, "text.format", "")
	}
}

func (t *Turn) called(fits func(it *outItem) bool) bool {
	for _, i := range t.order {
		if it := &t.items[i]; it.kind == outCall && fits(it) {
			return true
		}
	}
	return false
}

// Noticed are facts about the backend that the reply has shown without anybody
// saying so, where the dialect has another way. They are never about what the model
// may have meant: that required is not kept to makes no better way known.
func (t *Turn) Noticed() (facts []Fact) {
	d := t.opt.Dialect
	facts = t.noticedReasoning(facts)
	if t.noticed == 0 {
		return facts
	}
	if t.noticed&noticedNone != 0 && d.Tools.Choices.Has(ChoiceNone) {
		facts = append(facts, Fact{"tools.choices.none", "false"})
	}
	if t.noticed&noticedNamed != 0 {
		facts = append(facts, Fact{"tools.choices.named", "false"})
	}
	if t.noticed&noticedFormat != 0 && d.Fallback == FallbackInstruct {
		less := StructuredObject
		if doc, f := t.opt.Request.format(); d.Structured == StructuredObject || !doc.Is(doc.Get(f, "type"), "json_schema") {
			less = StructuredNone
		}
		facts = append(facts, Fact{"structured_output", string(less)})
	}
	if t.noticed&noticedDetails != 0 && !d.Reasoning.Details {
		for _, f := range [...]Fact{{"reasoning.details", "true"}, {"reasoning.replay", string(ReplayLoop)}} {
			if !slices.Contains(facts, f) && (f.Key != "reasoning.replay" || d.Reasoning.Replay == ReplayAuto) {
				facts = append(facts, f)
			}
		}
	}
	if t.noticed&noticedTypes != 0 {
		facts = append(facts, Fact{"tools.hold_arguments", "true"})
	}
	return facts
}
