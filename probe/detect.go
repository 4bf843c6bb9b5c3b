package probe

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"antiphon/translate"
)

// signs are how families can be told: by a page that only they have, a header of
// their replies, who owns the models that they list, or the beginning of the model's
// name. Those before others count more.
var (
	pageSigns = []struct{ path, member, dialect string }{
		{"/api/version", "version", "ollama"},                  // ollama's API
		{"/props", "default_generation_settings", "llama.cpp"}, // tools/server/README.md
		{"/api/v0/models", "data", "lmstudio"},                 // LM Studio's REST API
		{"/get_model_info", "model_path", "sglang"},            // sglang's native API
		{"/version", "version", "vllm"},                        // vllm/entrypoints
	}
	headerSigns = []struct{ name, prefix, dialect string }{
		{"Server", "llama.cpp", "llama.cpp"}, // captures llama-*
		{"X-Groq-Region", "", "groq"},
		{"Apim-Request-Id", "", "azure"},
		{"Openai-Version", "", "openai"},
		{"Anthropic-Organization-Id", "", "anthropic"},
		{"Mistral-Correlation-Id", "", "mistral"},
		{"X-Ds-Trace-Id", "", "deepseek"},
		{"Msh-Request-Id", "", "kimi"},
		{"Minimax-Request-Id", "", "minimax"},
		{"Fireworks-Prompt-Tokens", "", "fireworks"},
		{"Nvcf-Reqid", "", "nvidia"},
	}
	ownerSigns = map[string]string{
		"vllm": "vllm", "sglang": "sglang", "llamacpp": "llama.cpp", "organization_owner": "lmstudio", "z-ai": "glm", "zhipuai": "glm", "xai": "xai",
		"google": "gemini", "together": "together", "deepinfra": "deepinfra", "cerebras": "cerebras", "openrouter": "openrouter", "moonshot": "kimi",
		"mistralai": "mistral", "minimax": "minimax", "groq": "groq", "8080": "8080",
	}
	modelSigns = []struct{ prefix, dialect string }{
		{"deepseek-", "deepseek"}, {"kimi-", "kimi"}, {"moonshot-", "kimi"}, {"glm-", "glm"}, {"minimax-", "minimax"}, {"qwen", "qwen"},
		{"mistral-", "mistral"}, {"magistral-", "mistral"}, {"codestral", "mistral"}, {"grok-", "xai"}, {"gemini-", "gemini"}, {"claude-", "anthropic"},
		{"gpt-", "openai"}, {"o1", "openai"}, {"o3", "openai"}, {"o4", "openai"}, {"8080/", "8080"}, {"accounts/fireworks/", "fireworks"},
	}
)

// detect chooses the preset to begin with.
func (p *prober) detect(addr string) error {
	name, how := p.opt.Upstream.Dialect, "it was given"
	if name == "" {
		name, how = p.family(addr)
	}
	d, ok := translate.LookupDialect(name)
	if !ok {
		return fmt.Errorf("there is no dialect %q", name)
	}
	p.preset, p.dialect = d, d
	p.report.Dialect, p.report.Detected = name, how
	p.note("family", "the host, /models and pages that only some servers have", name+": "+how, nil)
	return nil
}

func (p *prober) family(addr string) (dialect, how string) {
	if name := translate.DialectForHost(addr); name != "generic" {
		return name, "by the host"
	}
	owner := ""
	if r := p.peek(p.base + "/models"); r != nil {
		if name, sign := byHeader(r.header); name != "" {
			return name, sign
		}
		owner = ownerOf(r.body, p.opt.Model)
	}
	if p.ctx.Err() == nil {
		for _, s := range pageSigns {
			if r := p.peek(p.root + s.path); r != nil && r.status == http.StatusOK {
				var body map[string]json.RawMessage
				if json.Unmarshal(r.body, &body) == nil && body[s.member] != nil {
					return s.dialect, "by the page " + s.path
				}
			} else if r == nil {
				break // it does not answer
			}
		}
	}
	if name := ownerSigns[strings.ToLower(owner)]; name != "" {
		return name, "by who owns the model: " + owner
	}
	model := strings.ToLower(p.opt.Model)
	for _, s := range modelSigns {
		if strings.HasPrefix(model, s.prefix) {
			return s.dialect, "by the model's name"
		}
	}
	return "generic", "nothing tells what it is"
}

func byHeader(h http.Header) (dialect, how string) {
	for _, s := range headerSigns {
		if v := h.Get(s.name); v != "" && strings.HasPrefix(v, s.prefix) {
			return s.dialect, "by the header " + s.name
		}
	}
	return "", ""
}

// ownerOf finds owned_by in a list of models: that of the model, else of the first.
func ownerOf(body []byte, model string) (owner string) {
	var list struct {
		Data []struct {
			ID    string
			Owner string `json:"owned_by"`
		}
	}
	if json.Unmarshal(body, &list) != nil {
		return ""
	}
	for i, m := range list.Data {
		if i == 0 || m.ID == model {
			owner = m.Owner
		}
	}
	return owner
}
