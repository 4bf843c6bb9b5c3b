package ggufmake

import "strings"

// Modelfile is what "ollama create" reads to import the model in the file at path.
func Modelfile(kind Kind, path string) string {
	thinking, begin := "", beginTurn
	switch kind {
	case Think:
		thinking, begin = thoughts, beginTurn+unlessThinking
	case Tools:
		begin = afterResult
	}
	r := strings.NewReplacer("«thoughts»", thinking, "«begin»", begin)
	return "FROM " + path + "\n" + parameters + "TEMPLATE \"\"\"" + r.Replace(chat) + "\"\"\"\n"
}

// The context is small, so that a test can exceed it; one thread is fastest for so small a model.
const parameters = `PARAMETER num_ctx 2048
PARAMETER num_thread 1
PARAMETER stop "<|im_end|>"
`

// chat is the usual ChatML, in the language of ollama's templates. ollama reads from the template's text what a model can
// do: .Tools makes it one that can call tools, which look as after .ToolCalls, and .Thinking one that thinks, between the
// tags that stand around it. A «word» is replaced by Modelfile.
const chat = `{{- if or .System .Tools }}<|im_start|>system
{{ if .System }}{{ .System }}
{{ end }}
{{- if .Tools }}# Tools
<tools>
{{- range .Tools }}
{"type": "function", "function": {{ .Function }}}
{{- end }}
</tools>
For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call>
{{ end }}<|im_end|>
{{ end }}
{{- range $i, $_ := .Messages }}
{{- $last := eq (len (slice $.Messages $i)) 1 -}}
{{- if eq .Role "user" }}<|im_start|>user
{{ .Content }}<|im_end|>
{{ else if eq .Role "assistant" }}<|im_start|>assistant
«thoughts»{{ if .Content }}{{ .Content }}{{ end }}
{{- if .ToolCalls }}
{{- range .ToolCalls }}
<tool_call>
{"name": "{{ .Function.Name }}", "arguments": {{ .Function.Arguments }}}
</tool_call>
{{- end }}
{{- end }}{{ if not $last }}<|im_end|>
{{ end }}
{{- else if eq .Role "tool" }}<|im_start|>user
<tool_response>
{{ .Content }}
</tool_response><|im_end|>
{{ end }}
{{- if and (ne .Role "assistant") $last }}«begin»{{ end }}
{{- end }}`

const (
	// beginTurn leaves the model in the state of vocab.turnStart.
	beginTurn = `<|im_start|>assistant
`

	// thoughts are earlier thoughts, and tell ollama the tags.
	thoughts = `{{ if and $.IsThinkSet .Thinking }}<think>{{ .Thinking }}</think>

{{ end }}`

	// unlessThinking ends the prompt in the state of vocab.blankLine when thinking is switched off.
	unlessThinking = `{{ if and $.IsThinkSet (not $.Think) }}<think>

</think>

{{ end }}`

	// afterResult does the same after a tool's result, which is to be answered and not to cause another call.
	afterResult = `{{ if eq .Role "tool" }}<|im_start|>assistant:

{{ else }}<|im_start|>assistant
{{ end }}`
)
