package proxy

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
	"go.uber.org/zap"

	"antiphon/config"
	"antiphon/proxy/metrics"
	"antiphon/proxy/store"
	"antiphon/proxy/upstream"
	"antiphon/translate"
)

// Options are what a Server is made of.
type Options struct {
	Config  *config.Config
	Keys    *config.Keys // who may come in; nil: anybody
	Store   store.Store
	Log     *zap.Logger
	Version string

	// Dial connects to the upstream in place of the network; for tests.
	Dial func(network, addr string, timeout time.Duration) (net.Conn, error)
}

// Server is the proxy. Make one with New, give it a listener with Serve, end it
// with Shutdown.
type Server struct {
	cfg     config.Config
	keys    *config.Keys
	store   store.Store
	log     *zap.Logger
	metrics *metrics.Metrics

	dialect       translate.Dialect
	target        config.Target
	upstream      *upstream.Client
	histories     *histories
	requestLimits translate.RequestLimits
	tenantMACs    sync.Pool // of hash.Hash: HMACs under one key

	headRoom   [headReserve]byte // zeros: the room before a request body
	chatHead   []byte            // the head of a chat request, up to what differs
	ownHeaders []byte            // headers that every request to the upstream gets
	ownKey     bool              // the upstream's credential is configured
	overridden map[string]bool   // client headers that ownHeaders replace

	http     fasthttp.Server
	clients  clients
	ready    atomic.Bool
	inFlight atomic.Int64
}

// New makes a server. It connects nowhere yet.
func New(opt Options) (*Server, error) {
	cfg := *opt.Config
	s := &Server{cfg: cfg, keys: opt.Keys, store: opt.Store, log: opt.Log}
	var err error
	if s.dialect, err = cfg.Upstream.EffectiveDialect(); err != nil {
		return nil, err
	}
	if s.target, err = cfg.Upstream.Target(); err != nil {
		return nil, err
	}
	if s.histories, err = newHistories(int64(cfg.Store.HistoryCacheBytes)); err != nil {
		return nil, fmt.Errorf("history cache: %w", err)
	}
	tenantKey := make([]byte, 32)
	_, _ = rand.Read(tenantKey) // never fails
	s.tenantMACs.New = func() any { return hmac.New(sha256.New, tenantKey) }
	s.requestLimits.Depth, s.requestLimits.Values = cfg.Limits.Depth, cfg.Limits.Values
	s.requestLimits.Items = cfg.Limits.Items
	if err := s.makeUpstream(opt); err != nil {
		return nil, err
	}
	s.composeHeads(opt.Version)
	s.makeMetrics(opt.Version)
	s.clients.watcher = newWatcher()
	s.http = fasthttp.Server{
		Handler:                       s.serve,
		ErrorHandler:                  s.serverError,
		ConnState:                     s.clients.state,
		Logger:                        quietLogger{opt.Log},
		Concurrency:                   4*cfg.Limits.Concurrency + 64, // connections; requests are counted in serve
		ReadBufferSize:                int(cfg.Limits.Header),
		WriteBufferSize:               16 << 10,
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

func (s *Server) makeUpstream(opt Options) error {
	cfg := &s.cfg.Upstream
	o := upstream.Options{
		Addr:       s.target.Addr,
		Connect:    cfg.Timeouts.Connect.Std(),
		Write:      cfg.Timeouts.Write.Std(),
		FirstByte:  cfg.Timeouts.FirstByte.Std(),
		MaxConns:   cfg.Connections.Max,
		MaxIdle:    cfg.Connections.MaxIdle,
		IdleExpire: cfg.Connections.Idle.Std(),
		MaxHeader:  int(s.cfg.Limits.Header),
		MaxBody:    int64(cfg.MaxResponseBytes),
		Dial:       opt.Dial,
	}
	if s.target.TLS {
		roots, err := cfg.TLS.RootCAs()
		if err != nil {
			return err
		}
		name := cfg.TLS.ServerName
		if name == "" {
			name = s.target.Hostname
		}
		o.TLS = &tls.Config{
			MinVersion: tls.VersionTLS12, ServerName: name, RootCAs: roots,
			InsecureSkipVerify: cfg.TLS.InsecureSkipVerify, //nolint:gosec // the operator's explicit wish, warned of at the start
		}
	}
	s.upstream = upstream.New(o)
	return nil
}

// composeHeads writes what all requests to the upstream have in common.
func (s *Server) composeHeads(version string) {
	s.overridden = map[string]bool{}
	add := func(name, value string) {
		s.ownHeaders = append(s.ownHeaders, name+": "+value+"\r\n"...)
		s.overridden[strings.ToLower(name)] = true
	}
	if name, value, ok := s.cfg.Upstream.AuthHeader(); ok {
		add(name, value.Reveal())
		s.ownKey = true
	}
	for name, value := range s.cfg.Upstream.Headers {
		add(name, value.Reveal())
	}
	h := append(s.chatHead, "POST "...)
	h = append(h, s.target.BasePath...)
	h = append(h, "/chat/completions"...)
	if s.target.Query != "" {
		h = append(h, '?')
		h = append(h, s.target.Query...)
	}
	h = append(h, " HTTP/1.1\r\nHost: "...)
	h = append(h, s.target.Host...)
	h = append(h, "\r\nContent-Type: application/json\r\n"...)
	if !s.overridden["user-agent"] {
		h = append(h, "User-Agent: antiphon/"+version+"\r\n"...)
	}
	s.chatHead = append(h, s.ownHeaders...)
}

func (s *Server) makeMetrics(version string) {
	rules := translate.Rules()
	names := make([]string, len(rules))
	for i, r := range rules {
		names[i] = r.Info().ID
	}
	s.metrics = metrics.New(names)
	s.metrics.Info = [3]string{version, s.dialect.Name, s.cfg.Store.Kind}
	s.metrics.UpstreamStats = s.upstream.Stats
	s.metrics.StoreStats = func() (records, bytes, evictions, expired int64) {
		st := s.store.Stats()
		return st.Records, st.Bytes, st.Evictions, st.Expired
	}
}

// Dialect is the dialect that the server speaks to its upstream.
func (s *Server) Dialect() translate.Dialect { return s.dialect }

// Serve serves the connections of a listener until Shutdown.
func (s *Server) Serve(ln net.Listener) error { return s.http.Serve(ln) }

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
	go func() { done <- s.http.Shutdown() }()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		s.clients.cancelAll(errDraining)
		const moment = 2 * time.Second
		select {
		case err = <-done:
		case <-time.After(moment):
			err = errors.New("connections are still open")
		}
	}
	s.upstream.Close()
	if s.clients.watcher != nil {
		s.clients.watcher.stop()
	}
	return err
}

// InFlight is how many requests are being served.
func (s *Server) InFlight() int64 { return s.inFlight.Load() }

// quietLogger takes what fasthttp has to say. Its texts may quote requests, so
// they are only shown when somebody debugs.
type quietLogger struct{ log *zap.Logger }

func (l quietLogger) Printf(format string, args ...any) {
	if e := l.log.Check(zap.DebugLevel, "http server"); e != nil {
		e.Write(zap.String("text", fmt.Sprintf(format, args...)))
	}
}
