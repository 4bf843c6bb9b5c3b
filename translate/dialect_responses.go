package translate

import "slices"

// ResponsesHabits say what a server's own Responses API lacks, for those that are
// used as a Responses backend. The zero value is a server that lacks everything;
// wholeResponses is the reference.
type ResponsesHabits struct {
	// Complete says that its streams and objects are all that the API promises,
	// so that they pass through to Responses clients byte by byte. Otherwise they
	// are completed on the way (see ResponsesTurn).
	Complete bool `yaml:"complete"`

	// LengthReported says that a reply which max_output_tokens has cut off says
	// so. Otherwise a reply that has used up the allowance counts as cut off.
	LengthReported bool `yaml:"length_reported"`

	// Developer says that messages may have the role "developer".
	Developer bool `yaml:"developer_role"`

	// TextFormat says that text.format holds the model to JSON.
	TextFormat bool `yaml:"text_format"`

	// Logprobs says that include and top_logprobs give logprobs.
	Logprobs bool `yaml:"logprobs"`

	// Files, Audio and OutputParts say whether input_file and input_audio parts
	// are taken, and parts in the output of a call.
	Files       bool `yaml:"files"`
	Audio       bool `yaml:"audio"`
	OutputParts bool `yaml:"output_parts"`

	// CustomTools and HostedTools say whether there are such tools. Servers that
	// have none leave them out in silence.
	CustomTools bool `yaml:"custom_tools"`
	HostedTools bool `yaml:"hosted_tools"`

	// EncryptedReasoning says that reasoning comes with encrypted_content that
	// can be sent back, when include asks for it.
	EncryptedReasoning bool `yaml:"encrypted_reasoning"`

	// Penalties says that presence_penalty and frequency_penalty are taken. The
	// reference API takes them, though its description has neither.
	Penalties bool `yaml:"penalties"`

	// Instructions says that the system messages at the head have to be sent as
	// instructions, as backends for coding agents insist on. The reference API
	// takes them anywhere.
	Instructions bool `yaml:"instructions"`

	// StreamOnly says that only streams are given, as backends for coding agents have
	// it: what a client wants whole is asked for as a stream, and put together.
	StreamOnly bool `yaml:"stream_only"`

	// Refuses are parameters that are not taken, by their names in the Responses API,
	// such as temperature, max_output_tokens or reasoning.summary. They are left out and
	// reported.
	Refuses []string `yaml:"refuses"`
}

// Takes reports whether a parameter is taken.
func (h *ResponsesHabits) Takes(name string) bool { return !slices.Contains(h.Refuses, name) }

// wholeResponses is what the reference API can do, and what is assumed of a
// server that nothing is known of: a Responses backend is rarely anything else.
var wholeResponses = ResponsesHabits{
	Complete: true, LengthReported: true, Developer: true, TextFormat: true, Logprobs: true, Files: true, Audio: true,
	OutputParts: true, CustomTools: true, HostedTools: true, EncryptedReasoning: true, Penalties: true,
	Refuses: []string{}, // in the configuration's reference it is an empty list
}
