package translate

// A backend that thinks in a field of its own before it calls a tool wants its
// thoughts back with the result, in that field: models that think between calls lose
// their thread without them. Nobody has to configure that. What a reply shows of it
// are facts about the backend (Turn.Noticed), and its later requests get what it has
// given: see ReplayAuto. A backend that refuses the field teaches that it does not
// want it (learnReasoningReplay).

// gaveReasoning notes in which key of a message the backend has given reasoning.
func (t *Turn) gaveReasoning(key string) {
	if t.reasoningKey == "" {
		t.reasoningKey = key
	}
}

// noticedReasoning appends the facts that follow from where the reasoning stood.
func (t *Turn) noticedReasoning(facts []Fact) []Fact {
	h := &t.opt.Dialect.Reasoning
	if t.reasoningKey == "" || !t.called(func(*outItem) bool { return true }) {
		return facts
	}
	if t.reasoningKey == detailsKey {
		if !h.Details {
			facts = append(facts, Fact{"reasoning.details", "true"})
		}
	} else if h.ReplayField == "" && t.reasoningKey != defaultReplayField {
		facts = append(facts, Fact{"reasoning.replay_field", t.reasoningKey})
	}
	if h.Replay == ReplayAuto {
		facts = append(facts, Fact{"reasoning.replay", string(ReplayLoop)})
	}
	return facts
}
