package proxy

import (
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/antiphon-proxy/antiphon/proxy/metrics"
)

// handler serves one exchange. id is the path's variable part, if it has one.
// A handler that returns true has handed the exchange to a stream, which will
// finish it; otherwise it is finished when the handler has returned.
type handler func(s *Server, x *exchange, id string) (streaming bool)

// route is one line of the table of paths. Paths are written without /v1, which
// clients may leave out, and {id} stands for one segment.
type route struct {
	method  string // "" is any
	path    string
	name    metrics.Route
	handler handler
}

// routes is what this server answers itself. What is not in it is passed on to
// the upstream, if it looks like a path of the API.
var routes = []route{
	{"POST", "/responses", metrics.RouteCreate, (*Server).create},
	{"GET", "/responses", metrics.RouteConnect, (*Server).connect},
	{"GET", "/responses/{id}", metrics.RouteRetrieve, (*Server).retrieve},
	{"DELETE", "/responses/{id}", metrics.RouteDelete, (*Server).remove},
	{"GET", "/responses/{id}/input_items", metrics.RouteInputItems, (*Server).inputItems},
	{"POST", "/responses/{id}/cancel", metrics.RouteCancel, (*Server).cancel},
	{"POST", "/responses/input_tokens", metrics.RouteInputTokens, (*Server).inputTokens},
	{"POST", "/responses/compact", metrics.RouteCompact, (*Server).compact},
	{"POST", "/conversations", metrics.RouteConversations, (*Server).createConversation},
	{"GET", "/conversations/{id}", metrics.RouteConversations, (*Server).getConversation},
	{"POST", "/conversations/{id}", metrics.RouteConversations, (*Server).updateConversation},
	{"DELETE", "/conversations/{id}", metrics.RouteConversations, (*Server).deleteConversation},
	{"GET", "/conversations/{id}/items", metrics.RouteConversationItems, (*Server).listConversation},
	{"POST", "/conversations/{id}/items", metrics.RouteConversationItems, (*Server).addItems},
	{"GET", "/conversations/{id}/items/{item}", metrics.RouteConversationItems, (*Server).getItem},
	{"DELETE", "/conversations/{id}/items/{item}", metrics.RouteConversationItems, (*Server).deleteItem},
	{"POST", "/chat/completions", metrics.RoutePassthrough, (*Server).chatCompletions},
	{"GET", "/chat/completions", metrics.RouteStoredChat, (*Server).listChats},
	{"GET", "/chat/completions/{id}", metrics.RouteStoredChat, (*Server).getChat},
	{"POST", "/chat/completions/{id}", metrics.RouteStoredChat, (*Server).updateChat},
	{"DELETE", "/chat/completions/{id}", metrics.RouteStoredChat, (*Server).deleteChat},
	{"GET", "/chat/completions/{id}/messages", metrics.RouteStoredChat, (*Server).listChatMessages},
	{"", "/chat/completions", metrics.RoutePassthrough, (*Server).passOthers},
	{"", "/chat/completions/{id}", metrics.RoutePassthrough, (*Server).passOthers},
	{"POST", "/alpha/search", metrics.RouteOther, (*Server).alphaSearch},
	{"", "/models", metrics.RouteModels, (*Server).models},
	{"", "/models/{id}", metrics.RouteModels, (*Server).model},
}

// apiRoots are the first segments of the API's paths, which are understood
// without /v1 too.
var apiRoots = map[string]bool{
	"alpha": true, "assistants": true, "audio": true, "batches": true, "chat": true, "completions": true,
	"containers": true, "conversations": true, "embeddings": true, "evals": true, "files": true,
	"fine_tuning": true, "images": true, "models": true, "moderations": true, "realtime": true,
	"rerank": true, "responses": true, "threads": true, "uploads": true, "vector_stores": true,
}

// apiPath takes /v1 off a path. ok is false for a path that is not of the API,
// and for one with . or .. in it: such a path could mean another one to the
// upstream than it does here.
func apiPath(path string) (api string, ok bool) {
	api = strings.TrimSuffix(path, "/")
	versioned := strings.HasPrefix(path, "/v1/")
	if versioned {
		api = strings.TrimPrefix(api, "/v1")
	}
	if len(api) < 2 || api[0] != '/' {
		return "", false
	}
	root, _, _ := strings.Cut(api[1:], "/")
	if !versioned && !apiRoots[root] {
		return "", false
	}
	if !strings.ContainsAny(api, `.%#\`) { // nearly all
		return api, true
	}
	for seg := range strings.SplitSeq(api[1:], "/") {
		lower := strings.ReplaceAll(strings.ToLower(seg), "%2e", ".")
		if lower == "." || lower == ".." || strings.Contains(lower, "#") || strings.Contains(lower, "%2f") || strings.Contains(lower, "%5c") || strings.Contains(lower, `\`) {
			return "", false
		}
	}
	return api, true
}

// match compares a path with a route's, and returns what stands for {id}.
func (r *route) match(path string) (id string, ok bool) {
	pattern := r.path
	for {
		i := strings.IndexByte(pattern, '{')
		if i < 0 {
			return id, pattern == path
		}
		if len(path) < i || path[:i] != pattern[:i] {
			return "", false
		}
		path = path[i:]
		n := strings.IndexByte(path, '/')
		if n < 0 {
			n = len(path)
		}
		if n == 0 {
			return "", false
		}
		if id == "" {
			id = path[:n]
		}
		path = path[n:]
		pattern = pattern[strings.IndexByte(pattern, '}')+1:]
	}
}

// find returns the route of a request. known is false when the path is one of
// the server's own, but not with that method.
func find(method, path string) (r *route, id string, known bool) {
	known = true
	for i := range routes {
		r := &routes[i]
		id, ok := r.match(path)
		if !ok {
			continue
		}
		if r.method == method || r.method == "" {
			return r, id, true
		}
		known = false
	}
	return nil, "", known
}

// serve is fasthttp's handler.
func (s *Server) serve(ctx *fasthttp.RequestCtx) {
	path := pathOf(ctx)
	if !s.ready.Load() && !ctx.Request.Header.ConnectionUpgrade() {
		ctx.SetConnectionClose() // the client's next request is for another replica
	}
	if path == "/healthz" || path == "/readyz" {
		if err := s.refusedPage(ctx); err != nil {
			ctx.SetContentType("application/json")
			ctx.SetStatusCode(err.Status)
			ctx.SetBody(err.AppendBody(nil))
			return
		}
		s.health(ctx, path == "/healthz" || s.ready.Load())
		return
	}
	x := s.begin(ctx)
	streaming := false
	defer func() {
		if r := recover(); r != nil {
			s.contain(x, r)
			streaming = false
		}
		x.status = ctx.Response.StatusCode()
		x.sayTime()
		if streaming {
			x.client.streaming()
		} else {
			x.finish()
		}
	}()
	ctx.Response.Header.SetBytesV("X-Request-Id", x.requestID)
	if s.inFlight.Add(1) > int64(s.cfg.Limits.Concurrency) {
		s.metrics.Rejected.Add(1)
		x.route = metrics.RouteOther
		ctx.Response.Header.Set("Retry-After", "1")
		x.respondError(ctx, errBusy())
		return
	}
	if s.memory.full() && ctx.IsPost() && !strings.HasSuffix(path, "/cancel") {
		x.route = metrics.RouteOther
		x.respondError(ctx, s.memory.spent(memoryRequest))
		return
	}
	streaming = s.dispatch(x, path)
}

// dispatch finds out what a request is about, and by whom it is.
func (s *Server) dispatch(x *exchange, path string) (streaming bool) {
	ctx := x.ctx
	method := string(ctx.Method())
	x.route = metrics.RouteOther
	if err := s.refusedPage(ctx); err != nil {
		x.respondError(ctx, err)
		return false
	}
	api, ok := apiPath(path)
	if !ok {
		x.respondError(ctx, errNoSuchURL(method, path))
		return false
	}
	if err := s.authenticate(x); err != nil {
		x.respondError(ctx, err)
		return false
	}
	r, id, known := find(method, api)
	switch {
	case r != nil:
		x.route = r.name
		if r.method == "POST" {
			if err := notJSON(ctx); err != nil {
				x.respondError(ctx, err)
				return false
			}
		}
		if s.router.responses {
			if streaming, answered := s.elsewhere(x, api, id); answered {
				return streaming
			}
		}
		return r.handler(s, x, id)
	case !known:
		x.respondError(ctx, clientError(405, "method_not_supported", "", "Not allowed to "+method+" on "+path+"."))
		return false
	}
	x.route = metrics.RoutePassthrough
	return s.passThrough(x, api)
}
