package proxy

import (
	"math"
	"strings"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
	"go.uber.org/zap"

	"github.com/antiphon-proxy/antiphon/proxy/upstream"
	"github.com/antiphon-proxy/antiphon/translate"
	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// An upstream about which the configuration says nothing, and whose host tells
// nothing, shows what it is: in its list of models, which is asked for once, in the
// background, when it has first answered, and in the heads and the fingerprints of its
// first replies. Only sure signs count (translate/dialect_signs.go). The preset
// takes the place of the generic dialect from the next request on; what was
// configured and what was learned stays on top of it.
//
// That holds for upstreams of both APIs. One that speaks Responses is taken to have
// the whole of it until it shows itself to be of a family that has not (llama.cpp,
// ollama): from then on its replies are completed, and state is kept here. Nothing is
// lost by that, for those families keep none.

// detection is what an upstream has shown. Its fields are used at the same time.
type detection struct {
	on    bool
	known atomic.Pointer[sighting] // nil until there was a sure sign
	look  atomic.Int64             // when to ask for its models, in Unix nanoseconds
	looks atomic.Int32             // how often that was done
	seen  atomic.Int32             // replies that were looked at
}

// sighting is what an upstream was recognised as. It never changes.
type sighting struct {
	dialect        translate.Dialect // with the configuration's overrides
	how            string
	tokenizerHeads [][]byte
}

const (
	// maxLooks bounds how often an upstream that does not answer is asked for its
	// models, and lookPause is the time between.
	maxLooks  = 5
	lookPause = time.Minute
	// maxSeen bounds the replies that are looked at.
	maxSeen = 32
	// maxModelList bounds what is read of a list of models.
	maxModelList = 1 << 20
)

// base is the upstream's dialect, before anything is known of a model.
func (b *backend) base() *translate.Dialect {
	if s := b.detection.known.Load(); s != nil {
		return &s.dialect
	}
	return &b.dialect
}

// tokenizer is how the upstream is asked for a number of tokens.
func (b *backend) tokenizer() (how translate.Tokenizer, heads [][]byte) {
	if s := b.detection.known.Load(); s != nil {
		return s.dialect.Tokenizer, s.tokenizerHeads
	}
	return b.dialect.Tokenizer, b.tokenizerHeads
}

// recognisedBy says how the upstream's dialect was chosen.
func (b *backend) recognisedBy() string {
	switch s := b.detection.known.Load(); {
	case s != nil:
		return s.how
	case b.cfg.Dialect != "":
		return "it is configured"
	case b.dialect.Name != "generic":
		return "by the host"
	}
	return "nothing tells what it is"
}

// lookAt asks an upstream for its models, if it is time to.
func (s *Server) lookAt(b *backend, now time.Time) {
	due := b.detection.look.Load()
	if now.UnixNano() < due || !b.detection.look.CompareAndSwap(due, now.Add(lookPause).UnixNano()) {
		return
	}
	if b.detection.looks.Add(1) >= maxLooks {
		b.detection.look.Store(math.MaxInt64)
	}
	go func() {
		defer func() {
			if r := recover(); r != nil {
				s.logPanic(r, nil)
			}
		}()
		up := upstream.Exchange{Decode: true}
		stop := time.AfterFunc(modelsTime, func() { up.Cancel(errTooSlow) })
		defer stop.Stop()
		if up.Do(b.client, b.modelsHead(), nil) != nil {
			return
		}
		defer func() { up.Close(true) }()
		status := up.Header.StatusCode()
		if status < 500 && status != fasthttp.StatusTooManyRequests { // it will not say anything else the next time
			defer b.detection.look.Store(math.MaxInt64)
		}
		if dialect, how, sure := translate.DialectByHeader(up.Header.Peek); sure {
			s.recognise(b, dialect, how)
			return
		}
		body, err := up.ReadAtMost(nil, maxModelList+1, time.Now().Add(modelsTime))
		if err != nil || status != fasthttp.StatusOK {
			return
		}
		if dialect, how, sure := translate.DialectByOwner(ownerIn(body)); sure {
			s.recognise(b, dialect, how)
		}
	}()
}

// modelsHead is a request for the list of models, with the upstream's own
// credential: a client's is not for what it has not asked for.
func (b *backend) modelsHead() []byte {
	return append(b.headOf("GET", b.target.BasePath+"/models", "Accept"), "\r\n"...)
}

// ownerIn is who owns the models of a list: "" if not all have the same owner.
func ownerIn(body []byte) (owner string) {
	var d jsonx.Doc
	if len(body) > maxModelList || d.Parse(body, jsonx.Limits{}) != nil {
		return ""
	}
	data := d.Get(jsonx.Root, "data")
	if d.Kind(data) != jsonx.Array {
		return ""
	}
	for v, end := d.First(data), d.End(data); v < end; v = d.Next(v) {
		n := d.GetString(v, "owned_by")
		if n == 0 {
			return ""
		}
		switch own := d.Text(n); {
		case owner == "":
			owner = own
		case !strings.EqualFold(own, owner):
			return "" // a gateway
		}
	}
	return owner
}

// see looks at the head of a reply, and sees to it that the list of models is.
func (x *exchange) see() {
	b := x.backend
	if !b.detection.on {
		return
	}
	x.server.lookAt(b, x.start)
	if b.detection.seen.Load() >= maxSeen {
		return
	}
	b.detection.seen.Add(1)
	if dialect, how, sure := translate.DialectByHeader(x.up.Header.Peek); sure {
		x.server.recognise(b, dialect, how)
	}
}

// seeFingerprint looks at what the reply says of the system that has made it.
func (x *exchange) seeFingerprint() {
	b := x.backend
	if !b.detection.on || b.detection.seen.Load() >= maxSeen || x.turn == nil {
		return
	}
	if dialect, how := translate.DialectByFingerprint(x.turn.Fingerprint()); dialect != "" {
		x.server.recognise(b, dialect, how)
	}
}

// recognise takes an upstream for one of a family. The first sure sign counts.
func (s *Server) recognise(b *backend, dialect, how string) {
	known := &sighting{how: how}
	cfg := *b.cfg
	cfg.Dialect = dialect
	var err error
	if known.dialect, err = cfg.EffectiveDialect(); err != nil {
		s.log.Warn("an upstream was recognised, but its overrides do not fit that dialect", zap.String("upstream", b.name), zap.String("dialect", dialect), zap.Error(err))
		b.detection.seen.Store(maxSeen)
		return
	}
	known.tokenizerHeads = b.composeTokenizer(known.dialect.Tokenizer)
	b.learning.mu.Lock()
	first := b.detection.known.CompareAndSwap(nil, known)
	if first {
		b.learning.models.Store(nil) // their dialects were made of another
	}
	b.learning.mu.Unlock()
	b.detection.look.Store(math.MaxInt64)
	b.detection.seen.Store(maxSeen)
	if first {
		s.log.Info("recognised an upstream", zap.String("upstream", b.name), zap.String("dialect", dialect), zap.String("how", how))
	}
}
