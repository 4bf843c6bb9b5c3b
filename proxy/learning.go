package proxy

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/translate"
)

// learning is what an upstream's refusals have taught about its models. It is kept
// in the store, so that replicas share it and a restart does not lose it.
//
// A fact is tried on the request that was refused, and remembered only when the
// upstream takes that request with it: what a client got wrong teaches nothing.
type learning struct {
	models atomic.Pointer[map[string]*learnedModel] // never changed once it is there

	mu sync.Mutex // held while models is replaced
}

// learnedModel is what is known of one model. It never changes once it is made.
type learnedModel struct {
	facts   []learnedFact
	dialect *translate.Dialect // the upstream's, with the facts
	version uint64             // of the document in the store; 0 is none
	read    time.Time          // when the store was asked
}

type learnedFact struct {
	translate.Fact
	Learned time.Time `json:"learned"`
}

const (
	kindLearned = "learned" // documents of store.SystemTenant

	// learnedFresh is how long what is known is not looked up again: a replica
	// knows within that time what another one has learned.
	learnedFresh = time.Minute
	// maxLearnedModels bounds the models of an upstream that are remembered:
	// clients make up their names.
	maxLearnedModels = 2048
	// maxLessons bounds how often one request is changed.
	maxLessons = 3
	// maxParamLessons is that of a Responses backend: refusals name one parameter at a
	// time, and chat clients send several that models do not take.
	maxParamLessons = 6
)

// dialectFor is the upstream's dialect for a model, with what was learned.
func (s *Server) dialectFor(b *backend, model string, now time.Time) *translate.Dialect {
	if !b.detection.on && !b.cfg.Learn {
		return b.base()
	}
	if known := b.learning.models.Load(); known != nil {
		if m := (*known)[model]; m != nil && now.Sub(m.read) < learnedFresh {
			return m.dialect
		}
	}
	return s.readLearned(b, model, now).dialect
}

// readLearned asks the store what is known of a model.
func (s *Server) readLearned(b *backend, model string, now time.Time) *learnedModel {
	m := &learnedModel{read: now}
	if !b.cfg.Learn {
		return b.learning.put(b, model, m)
	}
	doc, err := s.store.Doc(storeContext(), store.SystemTenant, kindLearned, learnedKey(b, model))
	switch {
	case err == nil && json.Unmarshal(doc.Body, &m.facts) == nil:
		m.version = doc.Version
	case err != nil && !errors.Is(err, store.ErrNotFound):
		if known := b.learning.models.Load(); known != nil && (*known)[model] != nil {
			old := *(*known)[model]
			m = &old // better than nothing; ask again later
			m.read = now
		}
	}
	return b.learning.put(b, model, m)
}

func learnedKey(b *backend, model string) string { return b.name + "\x00" + model }

// put keeps what is known of a model. The dialect stays the same object when the
// facts are the same: what was translated for it is of use then.
func (l *learning) put(b *backend, model string, m *learnedModel) *learnedModel {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := map[string]*learnedModel{}
	if old := l.models.Load(); old != nil && len(*old) < maxLearnedModels {
		known = maps.Clone(*old)
	}
	if old := known[model]; old != nil && slices.EqualFunc(old.facts, m.facts, func(a, b learnedFact) bool { return a.Fact == b.Fact }) {
		m.dialect = old.dialect
	} else {
		m.dialect = b.dialectOf(model, m.facts)
	}
	known[model] = m
	l.models.Store(&known)
	return m
}

// dialectOf is the upstream's dialect for a model: what the model wants, where the
// server is to show what it is, and over it what was learned. What is configured stays.
func (b *backend) dialectOf(model string, learned []learnedFact) *translate.Dialect {
	d := b.base()
	take := func(f translate.Fact) {
		if changed, ok := d.With(f); ok && !b.cfg.Overrides.Sets(f.Key) {
			d = &changed
		}
	}
	if b.detection.on && b.cfg.API == config.APIChat { // all of them are about chat
		for _, f := range b.hints(model) {
			take(f)
		}
	}
	for _, f := range learned {
		take(f.Fact)
	}
	return d
}

// hints are what a model wants by its name, which is the upstream's.
func (b *backend) hints(model string) []translate.Fact {
	if name := b.modelName(model); name != "" {
		model = name
	}
	return translate.ModelHints(model)
}

// learn changes the exchange's dialect by what a refusal teaches. The request has
// to be translated again then.
func (x *exchange) learn(status int, body []byte) bool {
	if x.dropKept(status, body) {
		return true
	}
	b := x.backend
	from := translate.Learn
	most := maxLessons
	if b.cfg.API == config.APIResponses {
		most = maxParamLessons
		if from = translate.LearnResponses; x.front == nil && b.wholeResponses() {
			return false // Responses clients get what they have asked for
		}
	}
	if !b.cfg.Learn || x.changes >= most || x.front != nil && x.front.misplaced != nil && b.cfg.API == config.APIResponses {
		return false // a misplaced request goes up as it is
	}
	fact, ok := from(x.dialect, status, body, x.wireBody())
	once := false // it is about this conversation, and nothing to remember of the upstream
	if !ok && b.cfg.API != config.APIResponses {
		fact, ok = translate.LearnOnce(x.dialect, status, body, x.wireBody())
		once = ok
	}
	if !ok || b.cfg.Overrides.Sets(fact.Key) || b.cfg.API == config.APIResponses && x.front == nil && !ownFact(fact) {
		return false
	}
	changed, ok := x.dialect.With(fact)
	if !ok {
		return false
	}
	x.dialect = &changed
	if !once {
		x.lessons = append(x.lessons, fact)
	}
	x.changes++
	return true
}

// ownFact reports whether a fact changes what a Responses client's request becomes for a
// half-built Responses backend, which gets the most of it as it is.
func ownFact(f translate.Fact) bool {
	refused, ok := strings.CutPrefix(f.Key, "responses.refuses.")
	return ok && !strings.Contains(refused, ".") || f.Key == "responses.stream_only"
}

// model is the model of the request, as the client calls it.
func (x *exchange) model() string {
	if x.front != nil {
		return x.front.req.Model()
	}
	return x.req.Model()
}

// notice takes what the reply has shown of the upstream for lessons: the turn has
// ended. What it has refused counts more.
func (x *exchange) notice() {
	b := x.backend
	x.seeFingerprint()
	facts := x.turn.Noticed()
	if facts == nil || !b.cfg.Learn {
		return
	}
	known := x.server.readLearned(b, x.req.Model(), x.start)
	for _, f := range facts {
		_, changes := x.dialect.With(f)
		if changes && !b.cfg.Overrides.Sets(f.Key) && !slices.ContainsFunc(known.facts, func(old learnedFact) bool { return old.Key == f.Key && old.Value == "false" }) {
			x.lessons = append(x.lessons, f)
		}
	}
	x.accepted()
}

// accepted is when the upstream has taken the request: it answers.
func (x *exchange) accepted() {
	if len(x.lessons) > 0 {
		x.remember()
		x.lessons = x.lessons[:0]
	}
}

// remember keeps the lessons of the exchange, whose request the upstream has taken.
func (x *exchange) remember() {
	b, s, model := x.backend, x.server, x.model()
	for _, f := range x.lessons {
		s.log.Info("learned about an upstream", zap.String("upstream", b.name), zap.String("model", model),
			zap.String("fact", f.String()), zap.ByteString("request_id", x.requestID))
		s.metrics.Lessons.Add(1)
	}
	for try := 0; ; try++ { // another replica may have learned at the same time
		m := s.readLearned(b, model, x.start)
		facts := slices.Clone(m.facts)
		for _, f := range x.lessons {
			facts = slices.DeleteFunc(facts, func(old learnedFact) bool { return old.Key == f.Key })
			facts = append(facts, learnedFact{f, x.start.UTC().Truncate(time.Second)})
		}
		body, err := json.Marshal(facts)
		if err != nil {
			return
		}
		err = s.store.Commit(storeContext(), store.SystemTenant, &store.Batch{Put: []store.DocWrite{{
			Doc: &store.Doc{Kind: kindLearned, Key: learnedKey(b, model), Body: body, Expires: x.start.Add(b.cfg.LearnTTL.Std())},
			If:  m.version,
		}}})
		if errors.Is(err, store.ErrConflict) && try < 3 {
			continue
		}
		// If the store is out of reach this process knows it all the same.
		b.learning.put(b, model, &learnedModel{facts: facts, version: m.version, read: x.start})
		if err == nil {
			s.readLearned(b, model, x.start)
		}
		return
	}
}

// dialects answers GET /dialects of the admin listener: what is believed of each
// upstream, and what was learned about its models.
func (s *Server) dialects(w http.ResponseWriter, _ *http.Request) {
	type fact struct {
		Model   string    `json:"model"`
		Key     string    `json:"key"`
		Value   string    `json:"value"`
		Learned time.Time `json:"learned"`
		Expires time.Time `json:"expires"`
		Pinned  bool      `json:"pinned,omitempty"` // an override of the configuration wins
	}
	type upstream struct {
		Upstream string `json:"upstream"`
		Dialect  string `json:"dialect"`
		How      string `json:"how"` // it was recognised
		Learns   bool   `json:"learns"`
		Learned  []fact `json:"learned"`
	}
	list := []upstream{}
	for _, b := range s.router.all {
		u := upstream{Upstream: b.name, Dialect: b.base().Name, How: b.recognisedBy(), Learns: b.cfg.Learn, Learned: []fact{}}
		page := store.Page{Limit: 200, After: learnedKey(b, "")}
		for {
			docs, more, err := s.store.Docs(storeContext(), store.SystemTenant, kindLearned, page)
			if err != nil {
				http.Error(w, "the store cannot be reached", http.StatusServiceUnavailable)
				return
			}
			for _, doc := range docs {
				page.After = doc.Key
				model, own := strings.CutPrefix(doc.Key, learnedKey(b, ""))
				if !own {
					more = false
					break
				}
				var facts []learnedFact
				if json.Unmarshal(doc.Body, &facts) != nil {
					continue
				}
				for _, f := range facts {
					u.Learned = append(u.Learned, fact{model, f.Key, f.Value, f.Learned, doc.Expires.UTC().Truncate(time.Second), b.cfg.Overrides.Sets(f.Key)})
				}
			}
			if !more {
				break
			}
		}
		list = append(list, u)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(list)
}

// forget answers DELETE /dialects?upstream=NAME&model=NAME of the admin listener:
// what was learned about a model, or without model about all of an upstream, is
// forgotten, here at once and in other replicas within a minute.
func (s *Server) forget(w http.ResponseWriter, r *http.Request) {
	i := slices.IndexFunc(s.router.all, func(b *backend) bool { return b.name == r.URL.Query().Get("upstream") })
	if i < 0 {
		http.Error(w, "there is no such upstream; name one with ?upstream=", http.StatusNotFound)
		return
	}
	b, prefix := s.router.all[i], learnedKey(s.router.all[i], "")
	page := store.Page{Limit: 200, After: prefix}
	for more := true; more; {
		var docs []*store.Doc
		var err error
		docs, more, err = s.store.Docs(storeContext(), store.SystemTenant, kindLearned, page)
		batch := &store.Batch{}
		for _, doc := range docs {
			page.After = doc.Key
			model, own := strings.CutPrefix(doc.Key, prefix)
			if want := r.URL.Query().Get("model"); own && (want == "" || want == model) {
				batch.Delete = append(batch.Delete, store.Condition{Kind: kindLearned, Key: doc.Key, Version: store.AnyVersion})
			}
			more = more && own
		}
		if err == nil && len(batch.Delete) > 0 {
			err = s.store.Commit(storeContext(), store.SystemTenant, batch)
		}
		if err != nil {
			http.Error(w, "the store cannot be reached", http.StatusServiceUnavailable)
			return
		}
	}
	b.learning.models.Store(nil)
	w.WriteHeader(http.StatusNoContent)
}
