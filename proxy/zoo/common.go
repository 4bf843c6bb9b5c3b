package zoo

import (
	"regexp"
	"slices"
)

// Families are the members of the zoo.
var Families = slices.Concat(local, templates, hosted, clouds)

// The names that rules have, whatever the family.
const (
	ruleKeys       = "unknown key"
	ruleMembers    = "unknown message key"
	ruleDeveloper  = "developer role"
	ruleSystem     = "system not first"
	ruleAlternate  = "alternation"
	ruleAfterTool  = "user after tool"
	ruleCallIDs    = "call ids"
	ruleNames      = "tool names"
	ruleTypes      = "tool types"
	ruleChoice     = "tool_choice"
	ruleNoTools    = "tool_choice without tools"
	ruleSchema     = "json_schema"
	ruleMaxTokens  = "max_tokens"
	ruleEffort     = "reasoning_effort"
	ruleSampling   = "sampling"
	ruleImages     = "images"
	ruleFiles      = "files"
	ruleContent    = "content"
	ruleReplay     = "reasoning missing"
	ruleSignature  = "thought signature missing"
	ruleArguments  = "arguments that are no JSON"
	ruleUnanswered = "calls without results"
	ruleUncalled   = "results without calls"
	ruleThinking   = "thinking"
)

// RuleNoUser is a rule about which nothing can be done.
const RuleNoUser = "no user message"

var openaiName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

// paired are the reference's rules on calls and results, which hosted families have
// in its words.
func paired(evidence string) []Rule {
	return []Rule{
		refuse(ruleUnanswered, unanswered, invalid("An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: %s").with("", "", "messages"), evidence),
		refuse(ruleUncalled, uncalled, invalid("Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.").with("", "", "messages"), evidence),
	}
}

func join(rules ...[]Rule) []Rule { return slices.Concat(rules...) }

// The keys of a message in the reference API.
var messageKeys = []string{"role", "content", "name", "refusal", "audio", "tool_calls", "tool_call_id", "function_call"}
