package proxy

import (
	"errors"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/upstream"
	"github.com/antiphon-proxy/antiphon/translate"
	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// modelsTime is how long the list of models waits for an upstream.
const modelsTime = 5 * time.Second

var errTooSlow = errors.New("the upstream took too long to list its models")

// models answers GET /models: what the upstream says, or with several upstreams
// or names of our own, all that a client may ask for.
func (s *Server) models(x *exchange, _ string) (streaming bool) {
	codex := x.ctx.QueryArgs().Has("client_version")
	if !x.ctx.IsGet() || !s.router.needsModel() && !x.grant.Bounded() && !codex {
		return s.passThrough(x, "/models")
	}
	list, err := x.gatherModels()
	if err != nil {
		x.respondError(x.ctx, err)
		return false
	}
	out := append(x.out[:0], `{"object":"list","data":[`...)
	for i, m := range list {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, m...)
	}
	out = append(out, ']')
	if codex {
		// Codex wants its own catalogue under this key, and complains of a list
		// without; an empty one leaves it with what it knows.
		out = append(out, `,"models":[]`...)
	}
	x.out = append(out, '}')
	x.respondJSON(x.out)
	return false
}

// gatherModels asks all upstreams for their models. One that does not answer is
// left out, unless none does.
func (x *exchange) gatherModels() ([][]byte, *translate.Error) {
	r := x.server.router
	type answer struct {
		body []byte
		err  *translate.Error
	}
	answers := make([]answer, len(r.all))
	var wg sync.WaitGroup
	for i, b := range r.all {
		x.use(b)
		head := x.passHead(nil, "/models", 0)
		wg.Go(func() { answers[i].body, answers[i].err = fetchModels(b, head) })
	}
	wg.Wait()
	x.use(r.all[0])

	var list [][]byte
	seen := map[string]bool{}
	add := func(id string, raw []byte) {
		if !seen[id] && x.grant.Allows(id) {
			seen[id] = true
			list = append(list, raw)
		}
	}
	failed := 0
	for i, b := range r.all {
		if answers[i].err != nil {
			failed++
			continue
		}
		for _, alias := range slices.Sorted(maps.Keys(b.cfg.Models)) {
			entry := jsonx.AppendString([]byte(`{"id":`), alias)
			add(alias, append(entry, `,"object":"model","created":0,"owned_by":"antiphon"}`...))
		}
		var d jsonx.Doc
		if d.Parse(answers[i].body, jsonx.Limits{}) != nil {
			continue
		}
		data := d.Get(jsonx.Root, "data")
		if d.Kind(data) != jsonx.Array {
			continue
		}
		for v, end := d.First(data), d.End(data); v < end; v = d.Next(v) {
			add(stringMember(&d, v, "id"), d.Raw(v))
		}
	}
	if failed == len(r.all) {
		return nil, answers[0].err
	}
	return list, nil
}

// fetchModels gets an upstream's list of models.
func fetchModels(b *backend, head []byte) ([]byte, *translate.Error) {
	up := upstream.Exchange{Decode: true}
	stop := time.AfterFunc(modelsTime, func() { up.Cancel(errTooSlow) })
	defer stop.Stop()
	if err := up.Do(b.client, head, nil); err != nil {
		return nil, upstreamFailure(err)
	}
	defer func() { up.Close(true) }()
	var body []byte
	for {
		p, err := up.Read(modelsTime)
		body = append(body, p...)
		switch {
		case errors.Is(err, io.EOF):
			if status := up.Header.StatusCode(); status != 200 {
				return nil, translate.UpstreamError(status, body) // respondError takes secrets out
			}
			return body, nil
		case err != nil:
			return nil, upstreamFailure(err)
		}
	}
}

// model answers GET /models/{id}: from the upstream that serves the model, by the
// name that the client knows.
func (s *Server) model(x *exchange, _ string) (streaming bool) {
	path, _ := apiPath(pathOf(x.ctx))
	name, err := url.PathUnescape(strings.TrimPrefix(path, "/models/"))
	if err != nil || !s.router.needsModel() {
		return s.passThrough(x, path)
	}
	x.passTo(name, nil)
	if theirs := x.backend.modelName(name); theirs != "" {
		return s.passThrough(x, "/models/"+url.PathEscape(theirs))
	}
	return s.passThrough(x, path)
}
