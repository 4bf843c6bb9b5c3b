package translate

import "strconv"

// Action is what became of a part of a request or a reply that has no exact
// counterpart on the other side.
type Action uint8

// The values of Action.
const (
	Dropped   Action = iota // left out
	Emulated                // done in another way, with another strength
	Repaired                // changed so that the backend accepts it
	Defaulted               // replaced by a default
	Forwarded               // sent as it is, though nobody knows what it means
)

// String is the action's word in reports: "dropped", "emulated", "repaired",
// "defaulted" or "forwarded".
func (a Action) String() string {
	return [...]string{"dropped", "emulated", "repaired", "defaulted", "forwarded"}[a]
}

// Rule is one way in which translation loses, emulates or repairs something.
// The tables lossRules and chatLossRules describe each; docs/COMPATIBILITY.md is
// made from them.
type Rule uint8

// RuleInfo describes a Rule.
type RuleInfo struct {
	// ID is the rule's name in reports, such as "tool.unsupported".
	ID string
	// Action is what the rule does.
	Action Action
	// Advisory says that the rule cannot change what the model answers or what
	// the client can do with it. Advisory losses are reported like all others,
	// but strict does not refuse a request for them.
	Advisory bool
	// What happens, in a sentence.
	What string
}

// Info describes the rule.
func (r Rule) Info() RuleInfo {
	if r >= numRules {
		return chatLossRules[r-numRules]
	}
	return lossRules[r]
}

// refuses reports whether a strict proxy refuses a request for such a loss.
func (r Rule) refuses() bool {
	info := r.Info()
	return !info.Advisory && info.Action != Defaulted
}

// ruleSet is a set of rules.
type ruleSet [3]uint64

const _ = uint(64*len(ruleSet{}) - int(numAllRules)) // there is room for all

func (s *ruleSet) add(r Rule)      { s[r/64] |= 1 << (r % 64) }
func (s *ruleSet) has(r Rule) bool { return s[r/64]>>(r%64)&1 != 0 }

func (s *ruleSet) addAll(o ruleSet) {
	for i := range s {
		s[i] |= o[i]
	}
}

// Rules returns every rule there is, in the order of the tables.
func Rules() []Rule {
	all := make([]Rule, numAllRules)
	for i := range all {
		all[i] = Rule(i)
	}
	return all
}

// Loss is one entry of a loss report.
type Loss struct {
	Rule   Rule   // which kind of loss
	Path   string // where, such as "input[3].content[0]"; of the reply: "output[1]"
	Detail string // more about it, such as a value or a name; may be empty
}

// Losses is the loss report of one exchange. The zero value is an empty report.
// Entries beyond a bound are counted, not kept.
type Losses struct {
	Entries []Loss // in the order in which they were met; 64 at most
	More    int    // entries that were not kept
}

// maxLosses bounds a report: a request with thousands of odd items should not
// make thousands of entries.
const maxLosses = 64

func (l *Losses) add(rule Rule, path, detail string) {
	const most = 120
	if len(l.Entries) >= maxLosses {
		l.More++
		if rule.refuses() { // to be seen, whatever else there is
			for i := len(l.Entries) - 1; i >= 0; i-- {
				if !l.Entries[i].Rule.refuses() {
					l.Entries[i] = Loss{rule, path, clip(detail, most)}
					break
				}
			}
		}
		return
	}
	l.Entries = append(l.Entries, Loss{rule, path, clip(detail, most)})
}

// once is add, once for each rule and path.
func (l *Losses) once(rule Rule, path, detail string) {
	for _, e := range l.Entries {
		if e.Rule == rule && e.Path == path {
			return
		}
	}
	l.add(rule, path, detail)
}

// Reset empties the report.
func (l *Losses) Reset() {
	clear(l.Entries)
	l.Entries, l.More = l.Entries[:0], 0
}

// Empty reports whether nothing was lost.
func (l *Losses) Empty() bool { return len(l.Entries) == 0 }

// Refusal is the error that a strict proxy answers with: it names the first
// loss that is not advisory. It is nil when there is none.
func (l *Losses) Refusal() *Error {
	for _, e := range l.Entries {
		if !e.Rule.refuses() {
			continue
		}
		info := e.Rule.Info()
		if e.Rule == ruleReasoningSealed {
			return invalid("invalid_encrypted_content", e.Path, "The encrypted content in '"+e.Path+
				"' could not be verified: it was not made by this server for this client, or it was changed.")
		}
		msg := "This request cannot be passed on without loss, and loss is set to strict: '" + e.Path +
			"' would be " + info.Action.String() + " (" + info.ID + "). " + info.What
		if e.Detail != "" {
			msg += " Detail: " + e.Detail + "."
		}
		return invalid("unsupported_parameter", e.Path, msg)
	}
	return nil
}

// AppendHeader appends the report in the form of the antiphon-loss header: a
// list of rule;path pairs such as
//
//	param.unknown;action=dropped;path="client_metadata", tool.unsupported;…
//
// of at most so many bytes, followed by ;more=N for what did not fit. Only printable
// ASCII comes out.
func (l *Losses) AppendHeader(dst []byte, most int) []byte {
	start, left := len(dst), l.More+len(l.Entries)
	for _, e := range l.Entries {
		before := len(dst)
		if before > start {
			dst = append(dst, ", "...)
		}
		info := e.Rule.Info()
		dst = append(dst, info.ID...)
		dst = append(dst, ";action="...)
		dst = append(dst, info.Action.String()...)
		dst = append(dst, `;path="`...)
		for i := range len(e.Path) {
			if c := e.Path[i]; c > ' ' && c < 0x7f && c != '"' && c != '\\' {
				dst = append(dst, c)
			} else {
				dst = append(dst, '?')
			}
		}
		dst = append(dst, '"')
		if len(dst)-start > most-len(", more;count=1234567890") {
			dst = dst[:before]
			break
		}
		left--
	}
	if left > 0 {
		if len(dst) > start {
			dst = append(dst, ", "...)
		}
		dst = append(dst, "more;count="...)
		dst = strconv.AppendInt(dst, int64(left), 10)
	}
	return dst
}
