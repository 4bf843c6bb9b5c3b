package proxy

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/probe"
	"github.com/antiphon-proxy/antiphon/proxy/zoo"
)

// zooMode is what is known of a backend before the first request.
type zooMode struct {
	name  string
	blind bool // it does not find out what a backend ignores in silence
	learn bool // it has nothing but refusals to go by
	setup func(t *testing.T, s *setup, m *zoo.Server)
}

var zooModes = []zooMode{
	{"preset", false, false, func(_ *testing.T, s *setup, m *zoo.Server) { s.cfg.Upstream.Dialect = m.Family.Dialect() }},
	{"probe", false, false, func(t *testing.T, s *setup, m *zoo.Server) {
		u := s.cfg.Upstream
		u.URL, u.Dialect = m.Base(), ""
		report, err := probe.Run(t.Context(), probe.Options{Upstream: &u, Model: m.Family.Model()})
		if err != nil {
			t.Fatal(err)
		}
		s.cfg.Upstream.Dialect = report.Dialect
		if s.cfg.Upstream.Overrides, err = config.ParseOverrides("probe", report.Overrides()); err != nil {
			t.Fatal(err)
		}
	}},
	{"unconfigured", true, false, func(_ *testing.T, s *setup, _ *zoo.Server) { s.cfg.Upstream.Detect = true }},
	{"learning", true, true, func(_ *testing.T, s *setup, _ *zoo.Server) { s.cfg.Upstream.Dialect = "generic" }},
}

// zooPatience is how often a feature is tried until everything is learned that
// there is to learn: each request may change itself three times.
const zooPatience = 6

// zooResult is how a feature fares.
type zooResult struct {
	err     error
	absent  bool // the model cannot do it
	partly  bool // something was left out, or said in another form, and reported
	silent  bool // the backend ignored something, and nobody could know
	tries   int
	refused []*zoo.Refused // all that were refused on the way
}

// tryFeature runs a feature until nothing is refused any more.
func tryFeature(t *testing.T, r *rig, m *zoo.Server, f *zooFeature, blind bool) (res zooResult) {
	for res.tries = 1; ; res.tries++ {
		m.Forget()
		lessons := r.metric("antiphon_lessons_total")
		c := &zooClient{r: r, model: m.Family.Model(), blind: blind, thinks: m.Family.Habits.Thinks != zoo.ThinksNot}
		res.err = f.run(c)
		asked, refused := m.Asked()
		res.refused = append(res.refused, refused...)
		res.partly, res.silent = c.partly, c.silent
		if res.err == nil && len(refused) == 0 && r.metric("antiphon_lessons_total") == lessons {
			// What is known is asked once: nothing but a reply that breaks its format is asked again.
			if len(asked) != c.sent && !c.lost("text.format") {
				t.Errorf("%d requests became %d", c.sent, len(asked))
			}
			return res
		}
		if res.tries == zooPatience {
			if res.err == nil && len(refused) > 0 {
				res.err = fmt.Errorf("still refused: %s", refused[0])
			}
			return res
		}
	}
}

// zooRun runs all features in front of a member of the family.
func zooRun(t *testing.T, family *zoo.Family, mode *zooMode) (results []zooResult, learned []string) {
	return zooRunOn(t, zoo.New(t, family), mode)
}

func zooRunOn(t *testing.T, m *zoo.Server, mode *zooMode) (results []zooResult, learned []string) {
	r := newRig(t, m.Base(), func(s *setup) {
		s.cfg.Loss = config.LossWarn
		mode.setup(t, s, m)
	})
	if b := r.srv.router.all[0]; b.detection.on {
		(&zooClient{r: r, model: m.Family.Model()}).post(fields{"input": "Hello"})
		r.until("the upstream to have been looked at", func() bool { return b.detection.look.Load() == math.MaxInt64 })
	}
	for i := range zooFeatures {
		f := &zooFeatures[i]
		if f.tools && m.Family.NoTools != "" {
			results = append(results, zooResult{absent: true})
			continue
		}
		res := tryFeature(t, r, m, f, mode.blind)
		if res.err != nil {
			t.Errorf("%s: %v", f.name, res.err)
		}
		if !mode.blind {
			for _, refused := range res.refused {
				if !refused.Rule.Model || mode.name == "probe" {
					t.Errorf("%s: %s does not know: %s", f.name, mode.name, refused)
				}
			}
		}
		results = append(results, res)
	}
	return results, learnedFacts(r)
}

// TestZoo: what clients do works in front of every family, in one of the modes. In
// all of them it is what TestDocsDialects tells.
func TestZoo(t *testing.T) {
	t.Parallel()
	for i := range zoo.Families {
		family, mode := &zoo.Families[i], &zooModes[i%len(zooModes)]
		t.Run(family.Name+"/"+mode.name, func(t *testing.T) {
			t.Parallel()
			results, _ := zooRun(t, family, mode)
			for k, res := range results {
				if len(res.refused) > 0 {
					var rules []string
					for _, refused := range res.refused {
						if !slices.Contains(rules, refused.Rule.Name) {
							rules = append(rules, refused.Rule.Name)
						}
					}
					t.Logf("%s: %d tries; refused: %s", zooFeatures[k].name, res.tries, strings.Join(rules, ", "))
				}
			}
		})
	}
}

// TestZooLate: it works as well where refusals come with status 200, as the whole
// reply or as the first event of a stream.
func TestZooLate(t *testing.T) {
	t.Parallel()
	learning := &zooModes[slices.IndexFunc(zooModes, func(m zooMode) bool { return m.name == "learning" })]
	for _, name := range []string{"openai", "mistral", "gemini", "deepseek", "kimi", "cerebras"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := zoo.New(t, zoo.Named(name))
			m.Late = true
			if _, learned := zooRunOn(t, m, learning); len(learned) == 0 {
				t.Error("nothing was learned")
			}
		})
	}
}
