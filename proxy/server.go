package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
	"go.uber.org/zap"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/fetch"
	"github.com/antiphon-proxy/antiphon/proxy/metrics"
	"github.com/antiphon-proxy/antiphon/proxy/redact"
	"github.com/antiphon-proxy/antiphon/proxy/seal"
	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/translate"
)

// Options are what a Server is made of.
type Options struct {
	Config  *config.Config
	Keys    *config.Keys // who may come in; nil: anybody
	Store   store.Store
	Log     *zap.Logger
	Version string

	// Memory bounds what requests in flight hold, in bytes, where limits.memory is 0.
	// 0 is no bound.
	Memory int64

	// Record, if not nil, is given every exchange that was translated, when it is
	// over. It must not keep the server waiting.
	Record func(*Recording)

	// Dial connects to the upstream in place of the network; for tests.
	Dial func(network, addr string, timeout time.Duration) (net.Conn, error)
}

// Server is the proxy. Make one with New, give it a listener with Serve, end it
// with Shutdown.
type Server struct {
	cfg     config.Config
	keys    atomic.Pointer[config.Keys] // nil: anybody may come in
	store   store.Store
	log     *zap.Logger
	metrics *metrics.Metrics
	record  func(*Recording)
	redact  *redact.Redactor // of the operator's secrets

	redactText func(string) string // redact.Text
	pages      pages               // that may reach the main listener
	passed     []passed            // what the configuration adds to defaultPassed

	router        *router
	histories     *histories
	kept          *keptReasoning
	requestLimits translate.RequestLimits
	tenants       tenantNames
	sealer        *seal.Sealer
	fetcher       *fetch.Client // nil: nothing is fetched for upstreams

	headRoom [headReserve]byte // zeros: the room before a request body

	descriptors int // that the process may have; 0 is no limit
	connections connectionBounds
	memory      memoryBudget

	http     fasthttp.Server
	clients  clients
	quotas   quotas
	sockets  sockets
	runs     runs
	ready    atomic.Bool
	inFlight atomic.Int64
}

// New makes a server. It connects nowhere yet.
func New(opt Options) (*Server, error) {
	cfg := *opt.Config
	s := &Server{cfg: cfg, store: statefulOnly{&storeDamage{Store: opt.Store, log: opt.Log}}, log: opt.Log, record: opt.Record}
	s.keys.Store(opt.Keys)
	s.redact = redact.New(cfg.Secrets()...)
	s.redactText = s.redact.Text
	s.passed = readPassed(cfg.Auth.Passthrough)
	s.pages = newPages(&cfg, cfg.Listen, opt.Keys != nil)
	var err error
	if s.router, err = newRouter(&s.cfg, opt.Version, opt.Dial); err != nil {
		return nil, err
	}
	if s.histories, err = newHistories(int64(cfg.Store.HistoryCacheBytes)); err != nil {
		return nil, fmt.Errorf("history cache: %w", err)
	}
	s.tenants.docs = opt.Store
	if s.sealer, err = newSealer(&cfg.Seal, opt.Store); err != nil {
		return nil, err
	}
	if s.kept, err = newKeptReasoning(); err != nil {
		return nil, fmt.Errorf("cache of kept reasoning: %w", err)
	}
	if cfg.Fetch.Enabled {
		s.fetcher = fetch.New(fetch.Options{MaxBytes: int64(cfg.Fetch.MaxBytes), Timeout: cfg.Fetch.Timeout.Std()})
	}
	s.requestLimits.Depth, s.requestLimits.Values = cfg.Limits.Depth, cfg.Limits.Values
	s.requestLimits.Items = cfg.Limits.Items
	s.runs.init(s)
	s.makeMetrics(opt.Version)
	s.clients.watcher = newWatcher()
	s.memory.most = int64(cfg.Limits.Memory)
	if s.memory.most == 0 {
		s.memory.most = opt.Memory
	}
	s.memory.metrics, s.memory.log = s.metrics, s.log
	s.metrics.Memory = func() (used, limit int64) { return s.memory.used.Load(), s.memory.most }
	s.descriptors = descriptorLimit()
	s.connections = connectionsFor(&s.cfg, s.descriptors)
	s.http = fasthttp.Server{
		Handler:                       s.serve,
		ErrorHandler:                  s.serverError,
		ConnState:                     s.clients.state,
		Logger:                        quietLogger{opt.Log},
		Concurrency:                   s.connections.all + 1024, // of connections, which the listener bounds; requests are counted in serve
		ReadBufferSize:                int(cfg.Limits.Header),
		WriteBufferSize:               8 << 10, // larger pieces go past it
		ReadTimeout:                   cfg.Limits.ReadTimeout.Std(),
		WriteTimeout:                  cfg.Limits.WriteTimeout.Std(),
		IdleTimeout:                   cfg.Limits.IdleTimeout.Std(),
		MaxRequestBodySize:            int(cfg.Limits.Upload),
		StreamRequestBody:             true,
		DisablePreParseMultipartForm:  true,
		NoDefaultServerHeader:         true,
		SecureErrorLogMessage:         true,
		LazyRequestTime:               true,
		CloseOnShutdown:               true,
		TCPKeepalive:                  true,
		DisableHeaderNamesNormalizing: false,
	}
	s.ready.Store(true)
	return s, nil
}

func (s *Server) makeMetrics(version string) {
	rules := translate.Rules()
	names := make([]string, len(rules))
	for i, r := range rules {
		names[i] = r.Info().ID
	}
	s.metrics = metrics.New(names)
	s.metrics.Info = [3]string{version, s.router.all[0].dialect.Name, s.cfg.Store.Redacted()}
	s.metrics.UpstreamStats = s.router.stats
	s.metrics.UpstreamsWell = func(put func(string, bool)) {
		now := time.Now()
		for _, b := range s.router.all {
			put(b.name, b.health.well(now))
		}
	}
	s.metrics.UpstreamDialects = func(put func(name, dialect string)) {
		for _, b := range s.router.all {
			put(b.name, b.base().Name)
		}
	}
	s.metrics.StoreStats = func() (records, bytes, evictions, expired int64) {
		st := s.store.Stats()
		return st.Records, st.Bytes, st.Evictions, st.Expired
	}
}

// Dialect is the dialect that the server speaks to its default upstream.
func (s *Server) Dialect() translate.Dialect { return s.router.all[0].dialect }

// ReloadedKeys puts other keys in the place of those that clients could come in
// with until now; requests that are being served go on. With an error, and on a
// server that was made without keys, nothing changes but a metric: who may come
// in is not to change by accident.
func (s *Server) ReloadedKeys(keys *config.Keys, err error) {
	if err != nil || keys == nil || s.keys.Load() == nil {
		s.metrics.KeysRefused.Add(1)
		return
	}
	s.keys.Store(keys)
	s.metrics.KeysReloaded.Add(1)
}

// Serve serves the connections of a listener until Shutdown.
func (s *Server) Serve(ln net.Listener) error {
	s.runs.start(s)
	return s.http.Serve(s.newListener(ln, s.connections, s.cfg.Limits.WriteTimeout.Std()))
}

// AdminListener is the listener for Admin: it is bounded too, and goes on when the
// system is short of descriptors.
func (s *Server) AdminListener(ln net.Listener) net.Listener {
	const most = 64
	return s.newListener(ln, connectionBounds{all: most, refusing: 4}, 0)
}

// Drain says that the server is about to stop: readiness fails from now on, and
// everything else goes on.
func (s *Server) Drain() { s.ready.Store(false) }

// Shutdown stops the server: it takes no more connections, lets what is being
// served come to its end, and when ctx is done ends the rest with an error that
// clients can act on. It returns when nothing is being served any more, at the
// latest a moment after that.
func (s *Server) Shutdown(ctx context.Context) error {
	s.Drain()
	done := make(chan error, 1)
	go func() {
		var others sync.WaitGroup
		others.Go(s.sockets.drain)
		others.Go(s.runs.drain)
		err := s.http.Shutdown()
		others.Wait()
		done <- err
	}()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		s.clients.cancelAll(errDraining)
		s.sockets.each(func(c *socket) { c.cancel(errDraining) })
		s.runs.cancelAll(errDraining)
		const moment = 2 * time.Second
		select {
		case err = <-done:
		case <-time.After(moment):
			err = errors.New("connections are still open")
		}
	}
	s.router.close()
	if s.clients.watcher != nil {
		s.clients.watcher.stop()
	}
	return err
}

// InFlight is how many requests are being served.
func (s *Server) InFlight() int64 { return s.inFlight.Load() }

// quietLogger takes what fasthttp has to say. Its texts quote requests, headers
// included, so only what it says of itself is shown, and when somebody debugs.
type quietLogger struct{ log *zap.Logger }

func (l quietLogger) Printf(format string, _ ...any) {
	if e := l.log.Check(zap.DebugLevel, "http server"); e != nil {
		e.Write(zap.String("text", format))
	}
}
