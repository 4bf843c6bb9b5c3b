package proxy

import (
	"net/http"
	"net/http/pprof"
	"os"
	"path/filepath"

	"github.com/valyala/fasthttp"

	"github.com/antiphon-proxy/antiphon/proxy/metrics"
)

// health answers the probes on the main listener.
func (s *Server) health(ctx *fasthttp.RequestCtx, ok bool) {
	ctx.SetContentType("application/json")
	if ok {
		ctx.SetBodyString(`{"status":"ok"}`)
		return
	}
	ctx.SetStatusCode(fasthttp.StatusServiceUnavailable)
	ctx.SetBodyString(`{"status":"stopping"}`)
}

// commandLine answers what pprof asks for with the name of the program alone: its
// arguments may hold secrets.
func commandLine(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte(filepath.Base(os.Args[0])))
}

// Admin is the handler for the admin listener: metrics, probes and profiles. It
// has no authentication, so it belongs on an address that only operators reach.
func (s *Server) Admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", metrics.ContentType)
		_, _ = s.metrics.WriteTo(w)
	})
	answer := func(ok func() bool) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if ok() {
				_, _ = w.Write([]byte(`{"status":"ok"}`))
				return
			}
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`{"status":"stopping"}`))
		}
	}
	mux.HandleFunc("GET /healthz", answer(func() bool { return true }))
	mux.HandleFunc("GET /readyz", answer(s.ready.Load))
	mux.HandleFunc("GET /dialects", s.dialects)
	mux.HandleFunc("DELETE /dialects", s.forget)
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", commandLine)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return s.guarded(mux)
}
