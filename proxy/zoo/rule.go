package zoo

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Rule is something that a family refuses.
type Rule struct {
	// Name says what it is about, the same in all families that have it.
	Name string
	// When finds it in a request: what stands for %s in the message.
	When When
	// Error is what the family answers. A Message with %s gets what When found.
	Error Error
	// Evidence is where the family's behaviour is documented or reported.
	Evidence string
	// Model says that it is for some models or versions of the family and not for
	// others, so that no preset can know it.
	Model bool
}

// When looks for something in a request.
type When func(r *Request) (detail string, found bool)

// Refused is a request that a rule refuses.
type Refused struct {
	Rule   *Rule
	Detail string
}

func (f *Refused) String() string {
	return fmt.Sprintf("%s: %s (%s)", f.Rule.Name, f.message(), f.Rule.Evidence)
}

func (f *Refused) message() string {
	if strings.Contains(f.Rule.Error.Message, "%s") {
		return strings.ReplaceAll(f.Rule.Error.Message, "%s", f.Detail)
	}
	return f.Rule.Error.Message
}

// refuse makes a rule.
func refuse(name string, when When, e Error, evidence string) Rule {
	return Rule{Name: name, When: when, Error: e, Evidence: evidence}
}

// ofModel makes a rule that some models have.
func ofModel(r Rule) Rule {
	r.Model = true
	return r
}

// keysBeside finds a key of the request that is not among the known ones.
func keysBeside(known ...string) When {
	return func(r *Request) (string, bool) {
		var keys []string
		for k := range r.Keys {
			if !slices.Contains(known, k) {
				keys = append(keys, k)
			}
		}
		slices.Sort(keys)
		if len(keys) == 0 {
			return "", false
		}
		return keys[0], true
	}
}

// key finds one of these keys.
func key(names ...string) When {
	return func(r *Request) (string, bool) {
		for _, n := range names {
			if r.has(n) {
				return n, true
			}
		}
		return "", false
	}
}

// keyIsNot finds a key whose value is not the one that is allowed.
func keyIsNot(name, allowed string) When {
	return func(r *Request) (string, bool) {
		return r.word(name), r.has(name) && r.word(name) != allowed
	}
}

// keyNotOf finds a key whose value is not one of these words.
func keyNotOf(name string, words ...string) When {
	return func(r *Request) (string, bool) {
		return r.word(name), r.has(name) && !slices.Contains(words, r.word(name))
	}
}

// both finds two things that do not go together.
func both(a, b When) When {
	return func(r *Request) (string, bool) {
		detail, found := a(r)
		if !found {
			return "", false
		}
		_, found = b(r)
		return detail, found
	}
}

// not finds that something is missing.
func not(w When) When {
	return func(r *Request) (string, bool) {
		_, found := w(r)
		return "", !found
	}
}

// memberBeside finds a key of a message that is not among the known ones.
func memberBeside(known ...string) When {
	return eachMessage(func(_ *Request, i int, m *Message) (string, bool) {
		for _, k := range slices.Sorted(keysOf(m.Keys)) {
			if !slices.Contains(known, k) {
				return fmt.Sprintf("messages.%d.%s", i, k), true
			}
		}
		return "", false
	})
}

func eachMessage(bad func(r *Request, i int, m *Message) (string, bool)) When {
	return func(r *Request) (string, bool) {
		for i := range r.Messages {
			if detail, found := bad(r, i, &r.Messages[i]); found {
				return detail, true
			}
		}
		return "", false
	}
}

// role finds a message with that role. The detail is its index.
func role(name string) When {
	return eachMessage(func(_ *Request, i int, m *Message) (string, bool) { return fmt.Sprint(i), m.Role == name })
}

// roleBeside finds a role that is not among the known ones.
func roleBeside(known ...string) When {
	return eachMessage(func(_ *Request, _ int, m *Message) (string, bool) { return m.Role, !slices.Contains(known, m.Role) })
}

// laterSystem finds a system message that is not the first message.
var laterSystem = eachMessage(func(_ *Request, i int, m *Message) (string, bool) { return fmt.Sprint(i), i > 0 && m.Role == "system" })

// twoInARow finds two neighbours of one role, which is the user's or the assistant's.
var twoInARow = eachMessage(func(r *Request, i int, m *Message) (string, bool) {
	return m.Role, i > 0 && m.Role == r.Messages[i-1].Role && (m.Role == "user" || m.Role == "assistant")
})

// userAfterTool finds a user message right after a tool message.
var userAfterTool = eachMessage(func(r *Request, i int, m *Message) (string, bool) {
	return "", i > 0 && m.Role == "user" && r.Messages[i-1].Role == "tool"
})

// callIDNot finds an id of a call, or of a result, that is not of that form.
func callIDNot(form *regexp.Regexp) When {
	return eachMessage(func(_ *Request, _ int, m *Message) (string, bool) {
		if m.Role == "tool" && !form.MatchString(m.ToolCallID) {
			return m.ToolCallID, true
		}
		for _, c := range m.ToolCalls {
			if !form.MatchString(c.ID) {
				return c.ID, true
			}
		}
		return "", false
	})
}

// toolNameNot finds a tool's name that is not of that form.
func toolNameNot(form *regexp.Regexp) When {
	return func(r *Request) (string, bool) {
		for _, t := range r.Tools {
			if !form.MatchString(t.name()) {
				return t.name(), true
			}
		}
		for _, m := range r.Messages {
			for _, c := range m.ToolCalls {
				if name := c.Function.Name + c.Custom.Name; !form.MatchString(name) {
					return name, true
				}
			}
		}
		return "", false
	}
}

// otherTool finds a tool of another type than function.
func otherTool(r *Request) (string, bool) {
	for _, t := range r.Tools {
		if t.Type != "function" {
			return t.Type, true
		}
	}
	return "", false
}

// choiceOf finds a tool_choice in one of these forms.
func choiceOf(forms ...string) When {
	return func(r *Request) (string, bool) {
		form, _ := r.choice()
		form, _, _ = strings.Cut(form, " ")
		return form, form != "" && slices.Contains(forms, form)
	}
}

// choiceNotOf finds one in none of them.
func choiceNotOf(forms ...string) When {
	return func(r *Request) (string, bool) {
		form, _ := r.choice()
		return form, form != "" && !slices.Contains(forms, form)
	}
}

// noTools finds that there are none.
func noTools(r *Request) (string, bool) { return "", len(r.Tools) == 0 }

// format finds a response_format of one of these types.
func format(types ...string) When {
	return func(r *Request) (string, bool) { return r.Format.Type, slices.Contains(types, r.Format.Type) }
}

// part finds a content part of one of these types.
func part(types ...string) When {
	return eachMessage(func(_ *Request, i int, m *Message) (string, bool) {
		for _, p := range m.Parts {
			if slices.Contains(types, p) {
				return fmt.Sprint(i), true
			}
		}
		return "", false
	})
}

// emptyMessage finds a message without content that has no calls and no refusal either.
var emptyMessage = eachMessage(func(_ *Request, i int, m *Message) (string, bool) {
	return fmt.Sprint(i), len(m.ToolCalls) == 0 && !present(m.Content) && !present(m.Keys["refusal"])
})

// noJSONArguments finds arguments that are no JSON object.
var noJSONArguments = eachMessage(func(_ *Request, _ int, m *Message) (string, bool) {
	for i := range m.ToolCalls {
		text, isString := m.ToolCalls[i].arguments()
		var object map[string]json.RawMessage
		if !isString || json.Unmarshal([]byte(text), &object) != nil || object == nil {
			return m.ToolCalls[i].ID, true
		}
	}
	return "", false
})

// unanswered finds a call whose result is not among the tool messages that follow it
// directly.
var unanswered = eachMessage(func(r *Request, i int, m *Message) (string, bool) {
	for _, c := range m.ToolCalls {
		found := false
		for j := i + 1; j < len(r.Messages) && r.Messages[j].Role == "tool"; j++ {
			found = found || r.Messages[j].ToolCallID == c.ID
		}
		if !found {
			return c.ID, true
		}
	}
	return "", false
})

// uncalled finds a result of a call that is not in the message before the results.
var uncalled = eachMessage(func(r *Request, i int, m *Message) (string, bool) {
	if m.Role != "tool" {
		return "", false
	}
	j := i - 1
	for j >= 0 && r.Messages[j].Role == "tool" {
		j--
	}
	if j < 0 {
		return m.ToolCallID, true
	}
	return m.ToolCallID, !slices.ContainsFunc(r.Messages[j].ToolCalls, func(c Call) bool { return c.ID == m.ToolCallID })
})

// callsWithout finds an assistant message that has calls and nothing at that key.
// An empty text counts as nothing.
func callsWithout(names ...string) When {
	return eachMessage(func(_ *Request, i int, m *Message) (string, bool) {
		return fmt.Sprint(i), len(m.ToolCalls) > 0 && !slices.ContainsFunc(names, func(n string) bool {
			return present(m.Keys[n]) && string(m.Keys[n]) != `""` && string(m.Keys[n]) != "[]"
		})
	})
}

// unsigned finds a step of the turn that is going on whose first call has no thought
// signature.
func unsigned(r *Request) (string, bool) {
	for i := r.lastUser() + 1; i < len(r.Messages); i++ {
		if calls := r.Messages[i].ToolCalls; len(calls) > 0 && calls[0].Extra.Google.Signature == "" {
			return calls[0].Function.Name, true
		}
	}
	return "", false
}

// Check is what the family refuses of a request: the first rule that it breaks, or
// nil.
func (f *Family) Check(r *Request) *Refused {
	for i := range f.Rules {
		if detail, found := f.Rules[i].When(r); found {
			return &Refused{&f.Rules[i], detail}
		}
	}
	return nil
}

// keyIs finds a key, or a member of one, with that value.
func keyIs(path, value string) When {
	return func(r *Request) (string, bool) { return r.word(path), r.word(path) == value }
}

// memberIsNull finds a message that has a key with null in it.
func memberIsNull(name string) When {
	return eachMessage(func(_ *Request, i int, m *Message) (string, bool) {
		return fmt.Sprint(i), string(m.Keys[name]) == "null"
	})
}

// without is a list without some names.
func without(list []string, names ...string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(names, s) })
}
