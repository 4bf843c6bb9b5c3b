package proxy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"antiphon/config"
	"antiphon/proxy/zoo"
)

// zooMode is what is known of a backend before the first request.
type zooMode struct {
	name  string
	blind bool // it does not find out what a backend ignores in silence
	setup func(t *testing.T, s *setup, m *zoo.Server)
}

var zooModes = []zooMode{
	{"preset", false, func(_ *testing.T, s *setup, m *zoo.Server) { s.cfg.Upstream.Dialect = m.Family.Name }},
	{"learning", true, func(_ *testing.T, s *setup, _ *zoo.Server) { s.cfg.Upstream.Dialect = "generic" }},
}

// zooPatience is how often a feature is tried until everything is learned that
// there is to learn: each request may change itself three times.
const zooPatience = 6

// zooResult is how a feature fares.
type zooResult struct {
	err     error
	losses  []string
	silent  bool
	tries   int
	refused []*zoo.Refused // all that were refused on the way
}

// tryFeature runs a feature until nothing is refused any more.
func tryFeature(t *testing.T, r *rig, m *zoo.Server, f *zooFeature, blind bool) (res zooResult) {
	for res.tries = 1; ; res.tries++ {
		m.Forget()
		c := &zooClient{r: r, blind: blind, thinks: m.Family.Habits.Thinks != zoo.ThinksNot}
		res.err = f.run(c)
		asked, refused := m.Asked()
		res.refused = append(res.refused, refused...)
		res.losses, res.silent = c.losses, c.silent
		if res.err == nil && len(refused) == 0 {
			// What is known is asked once: nothing but a reply that breaks its format is asked again.
			if len(asked) != c.sent && !c.lost("text.format") {
				t.Errorf("%d requests became %d", c.sent, len(asked))
			}
			return res
		}
		if res.tries == zooPatience {
			if res.err == nil {
				res.err = fmt.Errorf("still refused: %s", refused[0])
			}
			return res
		}
	}
}

// zooRun runs all features in front of a member.
func zooRun(t *testing.T, family *zoo.Family, mode *zooMode) (results []zooResult) {
	m := zoo.New(t, family)
	r := newRig(t, m.Base(), func(s *setup) {
		s.cfg.Loss = config.LossWarn
		mode.setup(t, s, m)
	})
	for i := range zooFeatures {
		f := &zooFeatures[i]
		res := tryFeature(t, r, m, f, mode.blind)
		if res.err != nil {
			t.Errorf("%s: %v", f.name, res.err)
		}
		if mode.name == "preset" {
			for _, refused := range res.refused {
				if !refused.Rule.Model {
					t.Errorf("%s: the preset does not know: %s", f.name, refused)
				}
			}
		}
		results = append(results, res)
	}
	return results
}

// TestZoo: what clients do works in front of every family, with its preset, and from
// nothing but what refusals teach.
func TestZoo(t *testing.T) {
	t.Parallel()
	for i := range zoo.Families {
		family := &zoo.Families[i]
		for j := range zooModes {
			mode := &zooModes[j]
			t.Run(family.Name+"/"+mode.name, func(t *testing.T) {
				t.Parallel()
				for k, res := range zooRun(t, family, mode) {
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
}
