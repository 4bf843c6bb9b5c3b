package metrics

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// scrape is what a Prometheus server reads.
func scrape(t *testing.T, m *Metrics) map[string]*dto.MetricFamily {
	t.Helper()
	var out strings.Builder
	if _, err := m.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.New(strings.NewReader(out.String())).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if !strings.HasPrefix(p.Metric, "go_") && !strings.HasPrefix(p.Metric, "process_") { // the names are not ours
			t.Error(p.Metric, p.Text)
		}
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(out.String()))
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	return families
}

func TestLint(t *testing.T) {
	m := New([]string{"param.unknown"})
	m.UpstreamStats = func() (int, int) { return 1, 2 }
	m.Memory = func() (int64, int64) { return 1, 2 }
	m.UpstreamsWell = func(put func(string, bool)) { put("default", true) }
	m.UpstreamDialects = func(put func(string, string)) { put("default", "generic") }
	m.StoreStats = func() (a, b, c, d int64) { return 1, 2, 3, 4 }
	m.Exchange(RouteCreate, OutcomeOK, 3*time.Millisecond)
	m.FirstByte(time.Second)
	m.UpstreamToken(time.Second)
	m.FirstToken(time.Second)
	m.Loss(0)
	seen := map[string]bool{}
	for name := range scrape(t, m) {
		seen[name] = true
	}
	for _, row := range runtimeTable {
		if !seen[row.name] {
			t.Errorf("%s is not collected", row.name)
		}
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
	for _, f := range scrape(t, m) {
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

// TestLabelsAreEscaped: a label can hold anything.
func TestLabelsAreEscaped(t *testing.T) {
	m := New(nil)
	odd := "a\"b\\c\nd{e}é"
	m.UpstreamsWell = func(put func(string, bool)) { put(odd, true) }
	m.UpstreamDialects = func(put func(string, string)) { put(odd, odd) }
	f := scrape(t, m)["antiphon_upstream_well"]
	if f == nil || f.GetMetric()[0].GetLabel()[0].GetValue() != odd || f.GetMetric()[0].GetGauge().GetValue() != 1 {
		t.Errorf("%v", f)
	}
}
