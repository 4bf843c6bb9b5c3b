package metrics

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestLint(t *testing.T) {
	m := New([]string{"param.unknown"})
	m.UpstreamStats = func() (int, int) { return 1, 2 }
	m.UpstreamsWell = func(put func(string, bool)) { put("default", true) }
	m.StoreStats = func() (a, b, c, d int64) { return 1, 2, 3, 4 }
	m.Exchange(RouteCreate, OutcomeOK, 3*time.Millisecond)
	m.FirstByte(time.Second)
	m.Loss(0)
	problems, err := testutil.GatherAndLint(m.Registry())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Error(p.Metric, p.Text)
	}
	families, err := m.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, f := range families {
		seen[f.GetName()] = true
	}
	for _, name := range Names() {
		if !seen[name] {
			t.Errorf("%s is in the table but is not collected", name)
		}
		delete(seen, name)
	}
	for name := range seen {
		if strings.HasPrefix(name, "antiphon_") {
			t.Errorf("%s is not in the table", name)
		}
	}
}

func TestHistogram(t *testing.T) {
	m := New(nil)
	for _, d := range []time.Duration{0, time.Millisecond, 3 * time.Second, time.Hour} {
		m.Exchange(RouteModels, OutcomeOK, d)
	}
	families, _ := m.Registry().Gather()
	for _, f := range families {
		if f.GetName() != "antiphon_exchange_duration_seconds" {
			continue
		}
		h := f.GetMetric()[0].GetHistogram()
		if h.GetSampleCount() != 4 || h.GetBucket()[0].GetCumulativeCount() != 2 || h.GetSampleSum() < 3603 {
			t.Error(h)
		}
		return
	}
	t.Error("no histogram")
}
