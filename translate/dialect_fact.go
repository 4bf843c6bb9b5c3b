package translate

import (
	"maps"
	"slices"
	"strings"
)

// Fact is the value of one field of a dialect, as it was found out about a server:
// the key is the configuration's, with dots ("accepts.verbosity", "tools.call_ids",
// "extra_params.top_k", "reasoning.efforts.minimal"), and so is the value.
type Fact struct {
	Key   string `json:"key"`   // of the field
	Value string `json:"value"` // as text: "true", "false", a word or a number
}

// String is the fact as recordings have it: key=value.
func (f Fact) String() string { return f.Key + "=" + f.Value }

// With returns the dialect with a fact in it. ok is false, and the dialect the same,
// if there is no such field or the fact says nothing new.
func (d *Dialect) With(f Fact) (changed Dialect, ok bool) {
	changed = *d
	changed.ExtraParams = slices.Clone(d.ExtraParams)
	changed.Reasoning.Efforts = maps.Clone(d.Reasoning.Efforts)
	changed.Responses.Refuses = slices.Clone(d.Responses.Refuses)
	return changed, changed.set(f)
}

func (d *Dialect) set(f Fact) (changed bool) {
	yes := f.Value == "true"
	if !yes && f.Value != "false" {
		return d.setWord(f)
	}
	flags := map[string]*bool{
		"developer_role": &d.DeveloperRole, "alternate_roles": &d.AlternateRoles, "join_text": &d.JoinText,
		"assistant_after_tool": &d.AssistantAfterTool, "images": &d.Images, "files": &d.Files, "audio": &d.Audio,
		"refusal_field": &d.RefusalField, "reasoning.details": &d.Reasoning.Details, "reasoning.stream_only": &d.Reasoning.StreamOnly,
		"reasoning.excludes_format": &d.Reasoning.ExcludesFormat, "tools.excludes_logprobs": &d.Tools.ExcludesLogprobs,
		"tools.single_calls": &d.Tools.SingleCalls, "tools.repair_arguments": &d.Tools.RepairArguments,
		"tools.hold_arguments": &d.Tools.HoldArguments,
	}
	if flag := flags[f.Key]; flag != nil {
		changed, *flag = *flag != yes, yes
		return changed
	}
	section, name, _ := strings.Cut(f.Key, ".")
	if refused, ok := strings.CutPrefix(f.Key, "responses.refuses."); ok && refused != "" {
		return setMember(&d.Responses.Refuses, refused, yes)
	}
	if section == "responses" {
		flag := d.Responses.flags()[name]
		if flag == nil {
			return false
		}
		changed, *flag = *flag != yes, yes
		return changed
	}
	switch {
	case f.Key == "tools.choices" && !yes: // the server does not know tool_choice
		changed, d.Tools.Choices = d.Tools.Choices != 0, 0
		return changed
	case section == "accepts":
		return setBit(&d.Accepts, ParamNames, name, yes)
	case strings.HasPrefix(f.Key, "tools.choices."):
		return setBit(&d.Tools.Choices, ChoiceNames, strings.TrimPrefix(f.Key, "tools.choices."), yes)
	case section == "extra_params" && name != "":
		return setMember(&d.ExtraParams, name, yes)
	}
	return false
}

// setMember puts a name into a list, or takes it out.
func setMember(list *[]string, name string, in bool) (changed bool) {
	i := slices.Index(*list, name)
	switch {
	case in && i < 0:
		*list = append(*list, name)
	case !in && i >= 0:
		*list = slices.Delete(*list, i, i+1)
	default:
		return false
	}
	return true
}

func setBit[T ~uint32 | ~uint8](set *T, names []string, name string, on bool) (changed bool) {
	i := slices.Index(names, name)
	if i < 0 {
		return false
	}
	was := *set
	if on {
		*set |= 1 << i
	} else {
		*set &^= 1 << i
	}
	return *set != was
}

// setWord sets a field whose values are words.
func (d *Dialect) setWord(f Fact) (changed bool) {
	switch f.Key {
	case "system_messages":
		return setWord(&d.SystemMessages, f.Value, SystemAnywhere, SystemHead, SystemUser)
	case "call_content":
		return setWord(&d.CallContent, f.Value, CallContentNull, CallContentEmpty, CallContentOmit)
	case "max_tokens_field":
		return setWord(&d.MaxTokens, f.Value, MaxCompletionTokens, MaxTokens)
	case "unknown_params":
		return setWord(&d.UnknownParams, f.Value, UnknownDrop, UnknownForward, UnknownRefuse)
	case "structured_output":
		return setWord(&d.Structured, f.Value, StructuredSchema, StructuredObject, StructuredNone)
	case "tools.call_ids":
		return setWord(&d.Tools.CallIDs, f.Value, CallIDsAny, CallIDsAlnum9)
	case "reasoning.replay":
		return setWord(&d.Reasoning.Replay, f.Value, ReplayAuto, ReplayNone, ReplayLoop, ReplayAll)
	case "reasoning.effort_form":
		return setWord(&d.Reasoning.EffortForm, f.Value, EffortField, EffortObject, EffortEnabled, EffortThinking,
			EffortThinkingField, EffortEnable, EffortTemplate, EffortUnknown)
	case "reasoning.think_tags":
		return setWord(&d.Reasoning.Tags, f.Value, TagsOff, TagsAuto, TagsImplicit)
	case "tools.required_word":
		return setWord(&d.Tools.RequiredWord, f.Value, f.Value)
	case "tools.call_placeholder":
		return setWord(&d.Tools.CallPlaceholder, f.Value, f.Value)
	case "tools.custom":
		return setWord(&d.Tools.Custom, f.Value, CustomFunction, CustomNative)
	case "reasoning.replay_field":
		return setWord(&d.Reasoning.ReplayField, f.Value, f.Value)
	case "reasoning.placeholder":
		return setWord(&d.Reasoning.Placeholder, f.Value, f.Value)
	}
	effort, ok := strings.CutPrefix(f.Key, "reasoning.efforts.")
	if !ok || effort == "" {
		return false
	}
	if was, known := d.Reasoning.Efforts[effort]; known && was == f.Value || !known && effort == f.Value {
		return false
	}
	if d.Reasoning.Efforts == nil {
		d.Reasoning.Efforts = map[string]string{}
	}
	d.Reasoning.Efforts[effort] = f.Value
	return true
}

func setWord[T ~string](field *T, value string, legal ...T) (changed bool) {
	if !slices.Contains(legal, T(value)) || value == "" || *field == T(value) {
		return false
	}
	*field = T(value)
	return true
}
