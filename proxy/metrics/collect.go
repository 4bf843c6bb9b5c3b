package metrics

import (
	"bytes"
	"io"
	"math"
	"slices"
	"strconv"
)

// The metrics are written in Prometheus' text format by hand
// (https://prometheus.io/docs/instrumenting/exposition_formats): its client would
// be a sixth of the program, for counters that are atomics here anyway. Tests read
// the result with Prometheus' own parser and linter.

// exposition collects samples by metric: those of one metric must stand together.
type exposition struct {
	samples map[string]*bytes.Buffer
}

// WriteTo writes all metrics in the text format.
func (m *Metrics) WriteTo(w io.Writer) (int64, error) {
	e := exposition{samples: map[string]*bytes.Buffer{}}
	m.collect(&e)
	e.runtime()
	var out bytes.Buffer
	for _, rows := range [][]metric{table, runtimeTable} {
		for _, row := range rows {
			b := e.samples[row.name]
			if b == nil {
				continue
			}
			out.WriteString("# HELP " + row.name + " " + row.help + "\n# TYPE " + row.name + " " + row.kind.String() + "\n")
			out.Write(b.Bytes())
		}
	}
	return out.WriteTo(w)
}

// ContentType is that of what WriteTo writes.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

func (e *exposition) put(name string, v int64, labels ...string) {
	e.sample(name, name, float64(v), labels...)
}

// sample adds one sample of a metric. name is the metric's, or that with the
// ending of a histogram's series; labels are the values of the metric's labels,
// and may be followed by pairs of a name and a value.
func (e *exposition) sample(metric, name string, v float64, labels ...string) {
	b := e.samples[metric]
	if b == nil {
		b = new(bytes.Buffer)
		e.samples[metric] = b
	}
	b.WriteString(name)
	names := labelNames(metric)
	own := min(len(names), len(labels))
	sep := byte('{')
	pair := func(name, value string) {
		b.WriteByte(sep)
		sep = ','
		b.WriteString(name)
		b.WriteString(`="`)
		for _, c := range []byte(value) {
			switch c {
			case '\\', '"':
				b.WriteByte('\\')
				b.WriteByte(c)
			case '\n':
				b.WriteString(`\n`)
			default:
				b.WriteByte(c)
			}
		}
		b.WriteByte('"')
	}
	for i := range own {
		pair(names[i], labels[i])
	}
	for i := own; i+1 < len(labels); i += 2 {
		pair(labels[i], labels[i+1])
	}
	if sep == ',' {
		b.WriteByte('}')
	}
	b.WriteByte(' ')
	switch {
	case math.IsInf(v, 1):
		b.WriteString("+Inf")
	case v == math.Trunc(v) && math.Abs(v) < 1e15:
		b.WriteString(strconv.FormatInt(int64(v), 10))
	default:
		b.WriteString(strconv.FormatFloat(v, 'g', -1, 64))
	}
	b.WriteByte('\n')
}

func labelNames(name string) []string {
	if i := slices.IndexFunc(table, func(m metric) bool { return m.name == name }); i >= 0 {
		return table[i].labels
	}
	return nil
}

// histogram adds the series of a histogram that has counted anything.
func (e *exposition) histogram(name string, h *histogram, labels ...string) {
	var counts [len(bounds) + 1]int64
	var total int64
	for i := range h.buckets {
		total += h.buckets[i].Load()
		counts[i] = total
	}
	if total == 0 {
		return
	}
	for i, bound := range bounds {
		e.sample(name, name+"_bucket", float64(counts[i]), append(slices.Clone(labels), "le", strconv.FormatFloat(bound, 'g', -1, 64))...)
	}
	e.sample(name, name+"_bucket", float64(total), append(slices.Clone(labels), "le", "+Inf")...)
	e.sample(name, name+"_sum", float64(h.sum.Load())/1e9, labels...)
	e.sample(name, name+"_count", float64(total), labels...)
}

// collect adds all samples of the table.
func (m *Metrics) collect(e *exposition) {
	e.put("antiphon_info", 1, m.Info[0], m.Info[1], m.Info[2])
	for r := range numRoutes {
		for o := range numOutcomes {
			if n := m.exchanges[r][o].Load(); n > 0 {
				e.put("antiphon_exchanges_total", n, routeNames[r], outcomeNames[o])
			}
		}
		e.histogram("antiphon_exchange_duration_seconds", &m.durations[r], routeNames[r])
	}
	e.histogram("antiphon_first_event_seconds", &m.firstByte)
	e.histogram("antiphon_upstream_first_token_seconds", &m.upstreamToken)
	e.histogram("antiphon_first_token_seconds", &m.firstToken)
	e.put("antiphon_exchanges_in_flight", m.InFlight.Load())
	e.put("antiphon_streams_in_flight", m.Streams.Load())
	e.put("antiphon_background_responses", m.Running.Load(), "running")
	e.put("antiphon_background_responses", m.Waiting.Load(), "waiting")
	e.put("antiphon_background_orphans_total", m.Orphans.Load())
	e.put("antiphon_background_reruns_total", m.Reruns.Load())
	e.put("antiphon_websocket_connections", m.Sockets.Load())
	e.put("antiphon_rejected_total", m.Rejected.Load())
	e.put("antiphon_client_connections", m.Connections.Load())
	e.put("antiphon_connections_refused_total", m.ConnectionsRefused[RefusedAll].Load(), "all")
	e.put("antiphon_connections_refused_total", m.ConnectionsRefused[RefusedAddress].Load(), "address")
	e.put("antiphon_accept_errors_total", m.AcceptErrors.Load())
	if m.Memory != nil {
		used, limit := m.Memory()
		e.put("antiphon_request_memory_bytes", used, "used")
		e.put("antiphon_request_memory_bytes", limit, "limit")
	}
	e.put("antiphon_memory_refused_total", m.MemoryRefused[MemoryRequest].Load(), "request")
	e.put("antiphon_memory_refused_total", m.MemoryRefused[MemoryBody].Load(), "body")
	e.put("antiphon_memory_refused_total", m.MemoryRefused[MemoryReply].Load(), "reply")
	e.put("antiphon_over_quota_total", m.OverQuota.Load())
	e.put("antiphon_key_reloads_total", m.KeysReloaded.Load(), "ok")
	e.put("antiphon_key_reloads_total", m.KeysRefused.Load(), "refused")
	for i, name := range m.lossNames {
		if i < MaxRules {
			e.put("antiphon_losses_total", m.losses[i].Load(), name)
		}
	}
	e.put("antiphon_tokens_total", m.InputTokens.Load(), "input")
	e.put("antiphon_tokens_total", m.OutputTokens.Load(), "output")
	e.put("antiphon_client_bytes_total", m.BytesIn.Load(), "in")
	e.put("antiphon_client_bytes_total", m.BytesOut.Load(), "out")
	e.put("antiphon_heartbeats_total", m.Heartbeats.Load())
	if m.UpstreamStats != nil {
		active, idle := m.UpstreamStats()
		e.put("antiphon_upstream_connections", int64(active), "active")
		e.put("antiphon_upstream_connections", int64(idle), "idle")
	}
	e.put("antiphon_upstream_retries_total", m.UpstreamRetries.Load())
	e.put("antiphon_lessons_total", m.Lessons.Load())
	e.put("antiphon_fallbacks_total", m.Fallbacks.Load())
	if m.UpstreamsWell != nil {
		m.UpstreamsWell(func(name string, well bool) {
			n := int64(0)
			if well {
				n = 1
			}
			e.put("antiphon_upstream_well", n, name)
		})
	}
	if m.UpstreamDialects != nil {
		m.UpstreamDialects(func(name, dialect string) { e.put("antiphon_upstream_dialect", 1, name, dialect) })
	}
	e.put("antiphon_truncations_total", m.Truncations.Load())
	e.put("antiphon_compactions_total", m.Compactions.Load())
	if m.StoreStats != nil {
		records, bytes, evictions, expired := m.StoreStats()
		e.put("antiphon_store_records", records)
		e.put("antiphon_store_bytes", bytes)
		e.put("antiphon_store_evictions_total", evictions)
		e.put("antiphon_store_expired_total", expired)
	}
	e.put("antiphon_store_errors_total", m.StoreErrors.Load())
	e.put("antiphon_history_cache_total", m.HistoryHits.Load(), "hit")
	e.put("antiphon_history_cache_total", m.HistoryMisses.Load(), "miss")
	e.put("antiphon_panics_total", m.Panics.Load())
}
