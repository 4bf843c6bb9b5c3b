package probe

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/antiphon-proxy/antiphon/translate"
)

// pageSigns are pages that only one family has. Other signs are translate's.
var pageSigns = []struct{ path, member, dialect string }{
	{"/api/version", "version", "ollama"},                  // ollama's API
	{"/props", "default_generation_settings", "llama.cpp"}, // tools/server/README.md
	{"/api/v0/models", "data", "lmstudio"},                 // LM Studio's REST API
	{"/get_model_info", "model_path", "sglang"},            // sglang's native API
	{"/version", "version", "vllm"},                        // vllm/entrypoints
}

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
	if name, how, _ := translate.DialectByOwner(owner); name != "" {
		return name, how
	}
	if name := translate.DialectByModel(p.opt.Model); name != "" {
		return name, "by the model's name"
	}
	return "generic", "nothing tells what it is"
}

func byHeader(h http.Header) (dialect, how string) {
	dialect, how, _ = translate.DialectByHeader(func(name string) []byte { return []byte(h.Get(name)) })
	return dialect, how
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
