package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
)

// collector shows a Metrics to Prometheus.
type collector struct{ m *Metrics }

var descs = func() map[string]*prometheus.Desc {
	all := map[string]*prometheus.Desc{}
	for _, m := range table {
		all[m.name] = prometheus.NewDesc(m.name, m.help, m.labels, nil)
	}
	return all
}()

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range table {
		ch <- descs[m.name]
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	m := c.m
	kinds := map[string]prometheus.ValueType{}
	for _, row := range table {
		kinds[row.name] = row.kind
	}
	put := func(name string, v int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(descs[name], kinds[name], float64(v), labels...)
	}
	put("antiphon_info", 1, m.Info[0], m.Info[1], m.Info[2])
	for r := range numRoutes {
		for o := range numOutcomes {
			if n := m.exchanges[r][o].Load(); n > 0 {
				put("antiphon_exchanges_total", n, routeNames[r], outcomeNames[o])
			}
		}
		m.durations[r].collect(ch, descs["antiphon_exchange_duration_seconds"], routeNames[r])
	}
	m.firstByte.collect(ch, descs["antiphon_first_event_seconds"])
	put("antiphon_exchanges_in_flight", m.InFlight.Load())
	put("antiphon_streams_in_flight", m.Streams.Load())
	put("antiphon_background_responses", m.Running.Load(), "running")
	put("antiphon_background_responses", m.Waiting.Load(), "waiting")
	put("antiphon_background_orphans_total", m.Orphans.Load())
	put("antiphon_background_reruns_total", m.Reruns.Load())
	put("antiphon_websocket_connections", m.Sockets.Load())
	put("antiphon_rejected_total", m.Rejected.Load())
	put("antiphon_over_quota_total", m.OverQuota.Load())
	put("antiphon_key_reloads_total", m.KeysReloaded.Load(), "ok")
	put("antiphon_key_reloads_total", m.KeysRefused.Load(), "refused")
	for i, name := range m.lossNames {
		if i < MaxRules {
			put("antiphon_losses_total", m.losses[i].Load(), name)
		}
	}
	put("antiphon_tokens_total", m.InputTokens.Load(), "input")
	put("antiphon_tokens_total", m.OutputTokens.Load(), "output")
	put("antiphon_client_bytes_total", m.BytesIn.Load(), "in")
	put("antiphon_client_bytes_total", m.BytesOut.Load(), "out")
	put("antiphon_heartbeats_total", m.Heartbeats.Load())
	if m.UpstreamStats != nil {
		active, idle := m.UpstreamStats()
		put("antiphon_upstream_connections", int64(active), "active")
		put("antiphon_upstream_connections", int64(idle), "idle")
	}
	put("antiphon_upstream_retries_total", m.UpstreamRetries.Load())
	put("antiphon_lessons_total", m.Lessons.Load())
	put("antiphon_fallbacks_total", m.Fallbacks.Load())
	if m.UpstreamsWell != nil {
		m.UpstreamsWell(func(name string, well bool) {
			n := int64(0)
			if well {
				n = 1
			}
			put("antiphon_upstream_well", n, name)
		})
	}
	put("antiphon_truncations_total", m.Truncations.Load())
	put("antiphon_compactions_total", m.Compactions.Load())
	if m.StoreStats != nil {
		records, bytes, evictions, expired := m.StoreStats()
		put("antiphon_store_records", records)
		put("antiphon_store_bytes", bytes)
		put("antiphon_store_evictions_total", evictions)
		put("antiphon_store_expired_total", expired)
	}
	put("antiphon_store_errors_total", m.StoreErrors.Load())
	put("antiphon_history_cache_total", m.HistoryHits.Load(), "hit")
	put("antiphon_history_cache_total", m.HistoryMisses.Load(), "miss")
	put("antiphon_panics_total", m.Panics.Load())
}

func (h *histogram) collect(ch chan<- prometheus.Metric, desc *prometheus.Desc, labels ...string) {
	buckets := make(map[float64]uint64, len(bounds))
	var total uint64
	for i := range h.buckets {
		total += uint64(h.buckets[i].Load()) //nolint:gosec // counts are not negative
		if i < len(bounds) {
			buckets[bounds[i]] = total
		}
	}
	if total == 0 {
		return
	}
	ch <- prometheus.MustNewConstHistogram(desc, total, float64(h.sum.Load())/1e9, buckets, labels...)
}
