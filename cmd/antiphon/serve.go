package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy"
	"github.com/antiphon-proxy/antiphon/proxy/redact"
	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/proxy/store/bolt"
	"github.com/antiphon-proxy/antiphon/proxy/store/memory"
	"github.com/antiphon-proxy/antiphon/proxy/store/redis"
)

func runServe(c *command, args []string, stdout, stderr io.Writer) int {
	var flags config.Flags
	if code, ok := c.flags(args, stdout, stderr, flags.Bind); !ok {
		return code
	}
	cfg, err := flags.Load()
	if err != nil {
		fmt.Fprintln(stderr, "antiphon serve:", err)
		return exitUsage
	}
	stop := make(chan os.Signal, 2)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	defer signal.Stop(stop)
	if err := serve(cfg, stdout, stop, nil, nil); err != nil {
		fmt.Fprintln(stderr, "antiphon serve:", err)
		return exitError
	}
	return exitOK
}

// serve runs the proxy until a signal comes, and then lets it come to its end:
// readiness fails first, then after shutdown.delay the listener closes and what
// is being served has shutdown.drain to finish. A second signal ends it at once.
// started, if not nil, is told the address once requests are taken; record, if not
// nil, is given each translated exchange.
func serve(cfg *config.Config, logTo io.Writer, stop <-chan os.Signal, started func(net.Addr), record func(*proxy.Recording)) error {
	begin := time.Now()
	log, flush := newLogger(cfg, logTo)
	defer flush()
	memory := requestMemory(cfg, limitMemory(cfg, log, memlimit.FromCgroup))

	keys, err := loadKeys(cfg)
	if err != nil {
		return err
	}
	st, err := openStore(cfg, log)
	if err != nil {
		return err
	}
	defer st.Close() // nothing can be done about it at the end
	srv, err := proxy.New(proxy.Options{Config: cfg, Keys: keys, Store: st, Log: log, Version: fullVersion(), Record: record, Memory: memory})
	if err != nil {
		return err
	}
	ln, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", cfg.Listen)
	if err != nil {
		return err
	}
	admin, err := startAdmin(cfg, srv)
	if err != nil {
		_ = ln.Close()
		return err
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ln) }()

	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	defer signal.Stop(reload)
	ended := make(chan struct{})
	defer close(ended)
	if keys != nil {
		go watchKeys(cfg.Auth.APIKeysFile, srv, log, reload, ended)
	}

	for _, w := range append(cfg.Warnings(), srv.Warnings()...) {
		log.Warn(w)
	}
	for _, n := range cfg.Notes() {
		log.Info(n)
	}
	fields := []zap.Field{
		zap.String("version", fullVersion()), zap.Stringer("listen", ln.Addr()), zap.String("upstream", hostOf(&cfg.Upstream)),
		zap.String("dialect", srv.Dialect().Name), zap.String("store", cfg.Store.Redacted()),
		zap.String("config", cfg.Digest()), zap.Duration("took", time.Since(begin)),
	}
	if admin != nil {
		fields = append(fields, zap.String("admin", admin.Addr))
	}
	log.Info("started", fields...)
	flush()
	if started != nil {
		started(ln.Addr())
	}

	select {
	case err := <-failed:
		return err
	case sig := <-stop:
		log.Info("stopping", zap.Stringer("signal", sig), zap.Int64("in_flight", srv.InFlight()))
		flush()
	}
	begin = time.Now()
	err = shutdown(cfg, srv, stop)
	if admin != nil {
		_ = admin.Close()
	}
	log.Info("stopped", zap.Duration("took", time.Since(begin)), zap.Error(err))
	return nil
}

// shutdown stops the server in the order that loses nothing.
func shutdown(cfg *config.Config, srv *proxy.Server, again <-chan os.Signal) error {
	srv.Drain()
	select {
	case <-time.After(cfg.Shutdown.Delay.Std()):
	case <-again:
		return errors.New("stopped at once by a second signal")
	}
	ctx, cancel := context.WithTimeout(context.Background(), cfg.Shutdown.Drain.Std())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- srv.Shutdown(ctx) }()
	select {
	case err := <-done:
		return err
	case <-again:
		return errors.New("stopped at once by a second signal")
	}
}

func startAdmin(cfg *config.Config, srv *proxy.Server) (*http.Server, error) {
	if cfg.Admin == "" {
		return nil, nil // off is no error
	}
	ln, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", cfg.Admin)
	if err != nil {
		return nil, fmt.Errorf("admin listener: %w", err)
	}
	admin := &http.Server{Handler: srv.Admin(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, Addr: ln.Addr().String()}
	go func() { _ = admin.Serve(srv.AdminListener(ln)) }()
	return admin, nil
}

func loadKeys(cfg *config.Config) (*config.Keys, error) {
	if cfg.Auth.APIKeysFile == "" {
		return nil, nil // no file: anybody may come in
	}
	return config.LoadKeys(cfg.Auth.APIKeysFile)
}

// openStore opens the store that the configuration names. One that is on a
// server need not be there yet.
func openStore(cfg *config.Config, log *zap.Logger) (store.Store, error) {
	c := &cfg.Store
	switch c.Backend() {
	case config.StoreMemory:
		return memory.New(memory.Options{MaxBytes: int64(c.MaxBytes)}), nil
	case config.StoreBolt:
		return bolt.Open(bolt.Options{
			Path: c.File(), MaxBytes: int64(c.MaxDiskBytes),
			Warn: func(message string) { log.Warn(message) },
		})
	}
	options, err := redisOptions(c)
	if err != nil {
		return nil, err
	}
	options.Log = func(message string, err error) {
		if err != nil {
			log.Warn(message, zap.String("store", c.Redacted()), zap.Error(err))
		} else {
			log.Info(message, zap.String("store", c.Redacted()))
		}
	}
	return redis.Open(options)
}

func redisOptions(c *config.Store) (redis.Options, error) {
	tls, err := c.TLS.Client()
	if err != nil {
		return redis.Options{}, fmt.Errorf("store.%w", err)
	}
	o := redis.Options{URL: c.Kind, Prefix: c.Prefix, TLS: tls}
	return o, o.Check()
}

// checkStore says what is wrong with the store's options, without opening it.
func checkStore(c *config.Store) error {
	if c.Backend() == config.StoreRedis {
		_, err := redisOptions(c)
		return err
	}
	return nil
}

// hostOf is the upstream without what may be secret in its URL.
func hostOf(u *config.Upstream) string {
	t, err := u.Target()
	if err != nil {
		return ""
	}
	return t.Scheme + "://" + t.Host + t.BasePath
}

// newLogger makes the logger. Lines are collected and written together, so that
// logging costs no system call for each exchange; flush writes them now.
func newLogger(cfg *config.Config, to io.Writer) (log *zap.Logger, flush func()) {
	level := zapcore.InfoLevel
	_ = level.UnmarshalText([]byte(cfg.Log.Level))
	enc := zap.NewProductionEncoderConfig()
	enc.TimeKey, enc.EncodeTime = "time", zapcore.RFC3339NanoTimeEncoder
	enc.EncodeDuration = zapcore.SecondsDurationEncoder
	encoder := zapcore.NewJSONEncoder(enc)
	if cfg.Log.Format == config.LogConsole {
		encoder = zapcore.NewConsoleEncoder(enc)
	}
	sink := &zapcore.BufferedWriteSyncer{WS: zapcore.AddSync(&lockedWriter{w: redactedWriter{to, redact.New(cfg.Secrets()...)}}), Size: 64 << 10, FlushInterval: time.Second}
	core := zapcore.NewCore(encoder, sink, level)
	return zap.New(core), func() { _ = sink.Sync() }
}

// redactedWriter writes what has been logged, lines at a time, without the operator's
// secrets, whoever has put them there.
type redactedWriter struct {
	w      io.Writer
	redact *redact.Redactor
}

func (r redactedWriter) Write(p []byte) (int, error) {
	if _, err := r.w.Write(r.redact.JSON(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// lockedWriter writes one thing at a time.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
