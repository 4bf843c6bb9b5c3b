package proxy

import (
	"bytes"
	"errors"
	"hash/fnv"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/upstream"
	"github.com/antiphon-proxy/antiphon/translate"
	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// router finds the upstreams for a model. It never changes once it is made.
type router struct {
	all    []*backend // the default first
	groups []*group   // names before patterns, longer patterns before shorter ones
	rest   *group     // what no other serves

	responses bool // some of them speak Responses
	keeps     bool // some of them keep no state, so that it is kept here
}

// group is one pattern of model names, and who serves it.
type group struct {
	pattern string
	prefix  bool
	members []*backend
	turn    atomic.Uint32
}

func (g *group) fits(model string) bool {
	if g.prefix {
		return strings.HasPrefix(model, g.pattern)
	}
	return model == g.pattern
}

func newRouter(cfg *config.Config, version string, dial dialer) (*router, error) {
	byName := map[string]*backend{}
	r := &router{}
	add := func(name string, u *config.Upstream) error {
		b, err := newBackend(name, u, &cfg.Limits, version, dial)
		if err != nil {
			return err
		}
		byName[name] = b
		r.all = append(r.all, b)
		return nil
	}
	for name, u := range cfg.All() {
		if err := add(name, u); err != nil {
			return nil, err
		}
	}
	r.responses = slices.ContainsFunc(r.all, func(b *backend) bool { return b.cfg.API == config.APIResponses })
	r.keeps = slices.ContainsFunc(r.all, func(b *backend) bool { return !b.wholeResponses() })
	r.rest = &group{prefix: true, members: r.all[:1]}
	for _, b := range r.all {
		for _, name := range b.cfg.Fallback {
			b.fallback = append(b.fallback, byName[name])
		}
		if b == r.all[0] {
			continue
		}
		for _, model := range b.cfg.Serves {
			r.serve(model, b)
		}
		for alias := range b.cfg.Models {
			r.serve(alias, b)
		}
	}
	slices.SortStableFunc(r.groups, func(a, b *group) int {
		switch {
		case a.prefix != b.prefix && a.prefix:
			return 1
		case a.prefix != b.prefix:
			return -1
		}
		return len(b.pattern) - len(a.pattern)
	})
	return r, nil
}

func (r *router) serve(model string, b *backend) {
	pattern, prefix := strings.CutSuffix(model, "*")
	for _, g := range r.groups {
		if g.pattern == pattern && g.prefix == prefix {
			if !slices.Contains(g.members, b) {
				g.members = append(g.members, b)
			}
			return
		}
	}
	r.groups = append(r.groups, &group{pattern: pattern, prefix: prefix, members: []*backend{b}})
}

// group returns who serves a model.
func (r *router) group(model string) *group {
	for _, g := range r.groups {
		if g.fits(model) {
			return g
		}
	}
	return r.rest
}

// candidates appends the upstreams for a model in the order in which they are to
// be asked: those that serve it, then their fallbacks, and in both those that
// are well before those that are not. Requests with the same sticky key begin
// with the same upstream, so that its prompt cache is of use; others take turns.
func (r *router) candidates(dst []*backend, model string, sticky []byte) []*backend {
	g := r.group(model)
	from := len(dst)
	first := 0
	switch {
	case len(g.members) == 1:
	case len(sticky) > 0:
		first = rendezvous(g.members, sticky)
	default:
		first = int(g.turn.Add(1)-1) % len(g.members) // a few members
	}
	dst = append(dst, g.members[first:]...)
	dst = append(dst, g.members[:first]...)
	for _, b := range dst[from:] {
		for _, f := range b.fallback {
			if !slices.Contains(dst[from:], f) {
				dst = append(dst, f)
			}
		}
	}
	if list := dst[from:]; len(list) > 1 {
		now := time.Now()
		if slices.ContainsFunc(list, func(b *backend) bool { return !b.health.well(now) }) {
			slices.SortStableFunc(list, func(a, b *backend) int {
				switch x, y := a.health.well(now), b.health.well(now); {
				case x == y:
					return 0
				case x:
					return -1
				}
				return 1
			})
		}
	}
	return dst
}

// rendezvous picks a member by key so that the loss of one moves only its own keys.
func rendezvous(members []*backend, key []byte) (best int) {
	var most uint64
	for i, b := range members {
		h := fnv.New64a()
		_, _ = h.Write([]byte(b.name))
		_, _ = h.Write([]byte{0})
		_, _ = h.Write(key)
		// FNV's high bits hardly depend on the last bytes: mix them.
		v := h.Sum64()
		v ^= v >> 33
		v *= 0xff51afd7ed558ccd
		v ^= v >> 33
		if i == 0 || v > most {
			best, most = i, v
		}
	}
	return best
}

// stats are the connections to all upstreams.
func (r *router) stats() (active, idle int) {
	for _, b := range r.all {
		a, i := b.client.Stats()
		active, idle = active+a, idle+i
	}
	return active, idle
}

// needsModel reports whether it matters which model a request is for.
func (r *router) needsModel() bool {
	return len(r.all) > 1 || len(r.all[0].cfg.Models) > 0 || r.all[0].cfg.API != config.APIChat
}

// close ends all connections.
func (r *router) close() {
	for _, b := range r.all {
		b.client.Close()
	}
}

// health is what is known of an upstream from how its last requests went.
type health struct {
	failures atomic.Int32
	until    atomic.Int64 // it is left alone until then, in Unix nanoseconds
}

func (h *health) well(now time.Time) bool { return h.until.Load() <= now.UnixNano() }

// failed counts a failure, and leaves the upstream alone after so many.
func (h *health) failed(rule config.Health) {
	if n := h.failures.Add(1); rule.Failures > 0 && int(n) >= rule.Failures {
		h.rest(rule.Pause.Std())
	}
}

// rest leaves the upstream alone for a while.
func (h *health) rest(d time.Duration) { h.until.Store(time.Now().Add(d).UnixNano()) }

// answered says that the upstream is well.
func (h *health) answered() {
	if h.failures.Load() != 0 {
		h.failures.Store(0)
		h.until.Store(0)
	}
}

// routeTo settles which upstream a request goes to, and in which dialect.
func (x *exchange) routeTo(model string, sticky []byte) {
	x.passTo(model, sticky)
	x.dialect = x.server.dialectFor(x.backend, model, x.start)
}

// passTo settles which upstream a request goes to that is not translated. It is
// settled once: upstreams that take turns would lose theirs.
func (x *exchange) passTo(model string, sticky []byte) {
	if r := x.server.router; len(r.all) > 1 && !x.routed {
		x.routed = true
		x.candidates = r.candidates(x.candidates[:0], model, sticky)
		x.use(x.candidates[0])
	}
}

// passByBody does so for a request that is not read otherwise, of either API: by
// what x.body says of the model, and of a prompt cache if it matters.
func (x *exchange) passByBody() {
	r := x.server.router
	if len(r.all) == 1 {
		return
	}
	model, sticky := jsonx.Lookup(x.body, "model").String(), ""
	if len(r.group(model).members) > 1 {
		sticky = jsonx.Lookup(x.body, "prompt_cache_key").String()
	}
	x.passTo(model, []byte(sticky))
}

func (x *exchange) use(b *backend) { x.backend, x.dialect = b, b.base() }

// keepCandidates leaves those upstreams that are like the present one.
func (x *exchange) keepCandidates(like func(b *backend) bool) {
	x.candidates = slices.DeleteFunc(x.candidates, func(b *backend) bool { return b != x.backend && !like(b) })
}

// nobody is for keepCandidates: the present upstream stays alone.
func nobody(*backend) bool { return false }

// takeFailure reads why an upstream has not answered, before another one is asked.
func (x *exchange) takeFailure(err error) *translate.Error {
	if err != nil {
		x.errText = err.Error()
		return upstreamFailure(err)
	}
	return x.readError()
}

func dropRateLimits(h *fasthttp.ResponseHeader) {
	var names []string
	for k := range h.All() {
		if bytes.HasPrefix(k, []byte("X-Ratelimit-")) {
			names = append(names, string(k))
		}
	}
	for _, name := range names {
		h.Del(name)
	}
}

// maxRest bounds how long an upstream that is busy is left alone.
const maxRest = time.Minute

// noteReply keeps how a request to the upstream went. elsewhere says that another
// upstream may be asked: this one has not begun to answer, and has certainly not
// done the work.
func (x *exchange) noteReply(err error, status int) (elsewhere bool) {
	b := x.backend
	x.noteFault(err, status)
	switch {
	case x.up.Cancelled() != nil:
		return false
	case err != nil:
		up, ok := errors.AsType[*upstream.Error](err)
		if !ok {
			return false
		}
		b.health.failed(b.cfg.Health)
		return up.Phase == upstream.PhaseConnect && !errors.Is(err, upstream.ErrBusy)
	case status == fasthttp.StatusTooManyRequests:
		if wait := retryAfter(x.up.Header.Peek("Retry-After")); wait > 0 {
			b.health.rest(min(wait, maxRest))
		}
		return true
	case status >= 500:
		b.health.failed(b.cfg.Health)
		return true
	}
	b.health.answered()
	return false
}

// retryAfter reads a Retry-After header in seconds; dates are not used by model
// servers.
func retryAfter(value []byte) time.Duration {
	n, err := fasthttp.ParseUint(value)
	if err != nil || n > 1<<20 {
		return 0
	}
	return time.Duration(n) * time.Second
}
