package proxy

import (
	"crypto/tls"
	"net"
	"strings"
	"time"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/upstream"
	"github.com/antiphon-proxy/antiphon/translate"
)

// backend is one upstream: where it is, how it is spoken to, and with what
// credential. But for its health, and what is found out about it, it never changes
// once it is made.
type backend struct {
	name    string
	version string // of this program
	cfg     *config.Upstream
	dialect translate.Dialect
	target  config.Target
	client  *upstream.Client

	chatHead       []byte          // the head of a chat request, up to what differs
	responsesHead  []byte          // the same of a request to its Responses API, if it speaks that
	tokenizerHeads [][]byte        // the heads of the dialect's Tokenizer.Paths
	ownHeaders     []byte          // headers that every request to the upstream gets
	ownKey         bool            // the upstream's credential is configured
	overridden     map[string]bool // client headers that ownHeaders replace

	fallback    []*backend
	health      health
	failures    failureLog
	learning    learning
	noTokenizer absences

	detection detection
}

// dialer connects in place of the network; nil is the network.
type dialer = func(network, addr string, timeout time.Duration) (net.Conn, error)

func newBackend(name string, cfg *config.Upstream, limits *config.Limits, version string, dial dialer) (*backend, error) {
	b := &backend{name: name, cfg: cfg, version: version}
	b.detection.on = cfg.Detects()
	var err error
	if b.dialect, err = cfg.EffectiveDialect(); err != nil {
		return nil, err
	}
	if b.target, err = cfg.Target(); err != nil {
		return nil, err
	}
	o := upstream.Options{
		Addr:       b.target.Addr,
		Connect:    cfg.Timeouts.Connect.Std(),
		Write:      cfg.Timeouts.Write.Std(),
		FirstByte:  cfg.Timeouts.FirstByte.Std(),
		MaxConns:   cfg.Connections.Max,
		MaxIdle:    cfg.Connections.MaxIdle,
		IdleExpire: cfg.Connections.Idle.Std(),
		MaxHeader:  int(limits.Header),
		MaxBody:    int64(cfg.MaxResponseBytes),
		Dial:       dial,
	}
	if b.target.TLS {
		roots, err := cfg.TLS.RootCAs()
		if err != nil {
			return nil, err
		}
		name := cfg.TLS.ServerName
		if name == "" {
			name = b.target.Hostname
		}
		o.TLS = &tls.Config{
			MinVersion: tls.VersionTLS12, ServerName: name, RootCAs: roots,
			InsecureSkipVerify: cfg.TLS.InsecureSkipVerify, // the operator's explicit wish, warned of at the start
		}
	}
	b.client = upstream.New(o)
	b.composeHeads()
	return b, nil
}

// composeHeads writes what all requests to the upstream have in common.
func (b *backend) composeHeads() {
	b.overridden = map[string]bool{}
	add := func(name, value string) {
		b.ownHeaders = append(b.ownHeaders, name+": "+value+"\r\n"...)
		b.overridden[strings.ToLower(name)] = true
	}
	if name, value, ok := b.cfg.AuthHeader(); ok {
		add(name, value.Reveal())
		b.ownKey = true
	}
	for name, value := range b.cfg.Headers {
		add(name, value.Reveal())
	}
	b.chatHead = b.composeHead(b.target.BasePath + "/chat/completions")
	b.responsesHead = b.composeHead(b.target.BasePath + "/responses")
	b.tokenizerHeads = b.composeTokenizer(b.dialect.Tokenizer)
}

// composeTokenizer writes the heads of the requests to a tokenizer.
func (b *backend) composeTokenizer(t translate.Tokenizer) (heads [][]byte) {
	root := strings.TrimSuffix(b.target.BasePath, "/v1")
	for _, path := range t.Paths() {
		heads = append(heads, b.composeHead(root+path))
	}
	return heads
}

// composeHead writes the head of a POST of JSON, up to what differs.
func (b *backend) composeHead(path string) []byte {
	return b.headOf("POST", path, "Content-Type")
}

// headOf writes the head of a request, up to what differs. kind is the header that
// says JSON.
func (b *backend) headOf(method, path, kind string) []byte {
	h := append([]byte(method+" "), path...)
	if b.target.Query != "" {
		h = append(h, '?')
		h = append(h, b.target.Query...)
	}
	h = append(h, " HTTP/1.1\r\nHost: "...)
	h = append(h, b.target.Host...)
	h = append(h, "\r\n"+kind+": application/json\r\n"...)
	if !b.overridden["accept-encoding"] {
		h = append(h, "Accept-Encoding: identity\r\n"...)
	}
	if !b.overridden["user-agent"] {
		h = append(h, "User-Agent: antiphon/"+b.version+"\r\n"...)
	}
	return append(h, b.ownHeaders...)
}

// modelName is the upstream's name for a model, or "" if that is the same.
func (b *backend) modelName(model string) string {
	if len(b.cfg.Models) == 0 {
		return ""
	}
	return b.cfg.Models[model]
}
