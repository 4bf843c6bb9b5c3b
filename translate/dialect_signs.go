package translate

import (
	"bytes"
	"strings"
)

// How a server can be told when its host says nothing: by a header of its replies,
// by who owns the models that it lists, or by system_fingerprint. A sign is sure if
// nobody but the family itself gives it: then the family's preset may take the
// place of what was assumed. Others are good enough to begin a probe with, which
// asks before it believes: gateways copy the headers of the reference (this proxy
// does, too), and list models as owned by those who made them.

// headerSigns are headers of replies. Those without a page are not documented, but are
// what clients of these servers read to name a request to their support.
var headerSigns = []struct {
	Name, Prefix string
	Dialect      string
	Sure         bool
}{
	{"Server", "llama.cpp", "llama.cpp", true}, // captures llama-*
	{"X-Groq-Region", "", "groq", true},
	{"Anthropic-Organization-Id", "", "anthropic", true}, // docs.anthropic.com/en/api/overview
	{"Mistral-Correlation-Id", "", "mistral", true},
	{"X-Ds-Trace-Id", "", "deepseek", true},
	{"Msh-Request-Id", "", "kimi", true},
	{"Minimax-Request-Id", "", "minimax", true},
	{"Fireworks-Prompt-Tokens", "", "fireworks", true}, // fw-ai-external/python-sdk, types/chat/completion_create_params.py, perf_metrics_in_response
	{"Nvcf-Reqid", "", "nvidia", true},                 // NVIDIA Cloud Functions
	{"Apim-Request-Id", "", "azure", false},            // of Azure's gateway, whatever is behind it
	{"Openai-Version", "", "openai", false},
}

// ownerSigns are values of owned_by in a list of models. Those of servers that
// people run are the servers' own: vllm/entrypoints/openai/engine/protocol.py,
// ModelCard.owned_by; python/sglang/srt/entrypoints/openai/protocol.py, ModelCard;
// captures llama-* and ollama-* (openai/openai.go: the namespace of a model, which is
// library for those of its own); LM Studio's list.
var ownerSigns = []struct {
	owner, dialect string
	sure           bool
}{
	{"vllm", "vllm", true}, {"sglang", "sglang", true}, {"llamacpp", "llama.cpp", true}, {"library", "ollama", true},
	{"organization_owner", "lmstudio", true},
	{"z-ai", "glm", false}, {"zhipuai", "glm", false}, {"xai", "xai", false}, {"google", "gemini", false}, {"together", "together", false},
	{"deepinfra", "deepinfra", false}, {"cerebras", "cerebras", false}, {"openrouter", "openrouter", false}, {"moonshot", "kimi", false},
	{"mistralai", "mistral", false}, {"minimax", "minimax", false}, {"groq", "groq", false}, {"8080", "8080", false},
}

// modelSigns are how names of models begin that are, as a rule, asked of those who
// made them.
var modelSigns = []struct{ prefix, dialect string }{
	{"deepseek-", "deepseek"}, {"kimi-", "kimi"}, {"moonshot-", "kimi"}, {"glm-", "glm"}, {"minimax-", "minimax"}, {"qwen", "qwen"},
	{"mistral-", "mistral"}, {"magistral-", "mistral"}, {"codestral", "mistral"}, {"grok-", "xai"}, {"gemini-", "gemini"}, {"claude-", "anthropic"},
	{"gpt-", "openai"}, {"o1", "openai"}, {"o3", "openai"}, {"o4", "openai"}, {"8080/", "8080"}, {"accounts/fireworks/", "fireworks"},
}

// DialectByHeader looks at the headers of a reply.
func DialectByHeader(header func(name string) []byte) (dialect, how string, sure bool) {
	for i := range headerSigns {
		s := &headerSigns[i]
		if v := header(s.Name); len(v) > 0 && bytes.HasPrefix(v, []byte(s.Prefix)) {
			return s.Dialect, "by the header " + s.Name, s.Sure
		}
	}
	return "", "", false
}

// DialectByOwner looks at owned_by of a model that a server lists.
func DialectByOwner(owner string) (dialect, how string, sure bool) {
	for _, s := range ownerSigns {
		if strings.EqualFold(s.owner, owner) {
			return s.dialect, "by who owns its models: " + s.owner, s.sure
		}
	}
	return "", "", false
}

// DialectByFingerprint looks at system_fingerprint of a reply.
func DialectByFingerprint(fingerprint []byte) (dialect, how string) {
	switch {
	case string(fingerprint) == "fp_ollama": // captures ollama-*
		return "ollama", "by its system_fingerprint"
	case isBuild(fingerprint): // captures llama-*: b6543-1a2b3c4d
		return "llama.cpp", "by its system_fingerprint"
	}
	return "", ""
}

// isBuild reports whether s is how llama.cpp writes its build: b, a number, a
// hyphen, and a commit.
func isBuild(s []byte) bool {
	number, commit, found := bytes.Cut(s, []byte("-"))
	if !found || len(number) < 2 || number[0] != 'b' || len(commit) < 7 {
		return false
	}
	for _, c := range number[1:] {
		if c < '0' || c > '9' {
			return false
		}
	}
	for _, c := range commit {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// DialectByModel guesses whose API a model is asked of.
func DialectByModel(model string) string {
	model = strings.ToLower(model)
	for _, s := range modelSigns {
		if strings.HasPrefix(model, s.prefix) {
			return s.dialect
		}
	}
	return ""
}

// modelHints are what a model wants wherever it is served. Nothing may stand here
// that keeps a server from being asked for what it can do, or that it could ignore
// to the client's loss: where a hint is wrong, it is refused, which teaches, or makes
// no difference. What a preset leaves out, how it asks for thinking, and the name of
// the bound of the output are the server's affair, and not here.
var modelHints = []struct {
	prefixes []string // of the name after the last slash, in lower case
	facts    []Fact
}{
	// Their thoughts in a tool loop have to come back, or should, for the model to go
	// on with them: api-docs.deepseek.com/guides/thinking_mode, docs.z.ai/guides/
	// capabilities/thinking-mode, mastra#12592 (Kimi), the chat template of gpt-oss
	// (cookbook.openai.com/articles/openai-harmony).
	{[]string{"deepseek-", "glm-4.5", "glm-4.6", "glm-4.7", "glm-5", "gpt-oss"}, []Fact{{"reasoning.replay", string(ReplayLoop)}}},
	// All of them: platform.minimax.io/docs/guides/text-m2-function-call, opencode#16318.
	{[]string{"minimax-m", "kimi-k2"}, []Fact{{"reasoning.replay", string(ReplayAll)}}},
	// The tokenizer holds ids of calls against a pattern, on any server: langchain#24668.
	{[]string{"mistral-", "ministral-", "mixtral-", "magistral-", "codestral", "devstral", "pixtral-", "voxtral-"},
		[]Fact{{"tools.call_ids", string(CallIDsAlnum9)}}},
}

// ModelHints are facts that hold for a model of that name wherever it is served.
func ModelHints(model string) []Fact {
	model = strings.ToLower(model[strings.LastIndexByte(model, '/')+1:])
	for _, h := range modelHints {
		for _, p := range h.prefixes {
			if strings.HasPrefix(model, p) {
				return h.facts
			}
		}
	}
	return nil
}
