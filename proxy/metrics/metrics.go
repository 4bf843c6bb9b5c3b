// Package metrics counts. Every metric of the program is in the table below;
// docs/OPERATIONS.md describes each, and a test holds the two against each other.
//
// The hot path adds to atomics that are found by index, never by name: what
// Prometheus wants to see is put together when it asks.
package metrics

import (
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"
)

// Route is a group of paths, as metrics and logs name it.
type Route uint8

// The routes.
const (
	RouteCreate Route = iota
	RouteRetrieve
	RouteDelete
	RouteInputItems
	RouteInputTokens
	RouteCompact
	RouteConversations
	RouteConversationItems
	RouteChat // chat completions that are translated
	RouteStoredChat
	RouteModels
	RoutePassthrough
	RouteCancel
	RouteBackground // a response that is made in the background
	RouteConnect    // the upgrade of a connection to WebSocket mode
	RouteSocket     // a response over a WebSocket
	RouteOther
	numRoutes
)

var routeNames = [numRoutes]string{
	"responses.create", "responses.retrieve", "responses.delete", "responses.input_items", "responses.input_tokens", "responses.compact",
	"conversations", "conversations.items",
	"chat.completions", "chat.completions.stored", "models", "passthrough",
	"responses.cancel", "responses.background", "responses.connect", "responses.websocket", "other",
}

func (r Route) String() string { return routeNames[r] }

// Outcome is how an exchange ended.
type Outcome uint8

// The outcomes.
const (
	OutcomeOK         Outcome = iota // answered; a response was completed
	OutcomeIncomplete                // the response was cut short by a limit or filter
	OutcomeFailed                    // the response failed after it had begun
	OutcomeRefused                   // 4xx of our own
	OutcomeUpstream                  // an error of the upstream was passed on
	OutcomeClientGone                // the client left
	OutcomeError                     // 5xx of our own
	OutcomeCancelled                 // a background response was cancelled
	numOutcomes
)

var outcomeNames = [numOutcomes]string{"ok", "incomplete", "failed", "refused", "upstream_error", "client_gone", "error", "cancelled"}

func (o Outcome) String() string { return outcomeNames[o] }

// Why a connection is refused: as many as may be are open, or as many of its address.
const (
	RefusedAll = iota
	RefusedAddress
	NumRefused
)

// What there was no memory for.
const (
	MemoryRequest = iota
	MemoryBody
	MemoryReply
	NumMemory
)

// MaxRules bounds the loss rules that are counted.
const MaxRules = 128

// Metrics holds all counts. Make one with New.
type Metrics struct {
	exchanges [numRoutes][numOutcomes]atomic.Int64
	durations [numRoutes]histogram
	firstByte histogram // of streams: from the request to the first event

	// Of streams: from the request to the first token, as it came from the upstream
	// and as it went to the client. They differ where an answer is held back.
	upstreamToken, firstToken histogram

	InFlight     atomic.Int64 // exchanges being served
	Streams      atomic.Int64 // of those, streams
	Sockets      atomic.Int64 // WebSocket connections
	Running      atomic.Int64 // background responses being made here
	Waiting      atomic.Int64 // background responses that wait, on all replicas
	Orphans      atomic.Int64 // background responses whose process was lost
	Reruns       atomic.Int64 // background responses that were begun again
	Rejected     atomic.Int64 // refused because too many were being served
	Connections  atomic.Int64 // open connections of clients
	AcceptErrors atomic.Int64 // connections that the system could not give

	ConnectionsRefused [NumRefused]atomic.Int64 // by reason
	MemoryRefused      [NumMemory]atomic.Int64  // by what there was no memory for

	OverQuota       atomic.Int64 // refused because the tenant was over its quota
	KeysReloaded    atomic.Int64
	KeysRefused     atomic.Int64 // files of keys that could not be read
	UpstreamRetries atomic.Int64 // requests sent again on a fresh connection
	Lessons         atomic.Int64 // facts learned about upstreams
	Fallbacks       atomic.Int64 // requests that another upstream was asked to answer
	Truncations     atomic.Int64 // requests shortened because the context was full
	Compactions     atomic.Int64 // contexts that were replaced by a summary
	InputTokens     atomic.Int64
	OutputTokens    atomic.Int64
	BytesIn         atomic.Int64
	BytesOut        atomic.Int64
	StoreErrors     atomic.Int64 // responses that could not be stored
	HistoryHits     atomic.Int64
	HistoryMisses   atomic.Int64
	Panics          atomic.Int64
	Heartbeats      atomic.Int64

	losses    [MaxRules]atomic.Int64
	lossNames []string

	// Gauges that are read when somebody asks.
	StoreStats       func() (records, bytes, evictions, expired int64)
	UpstreamStats    func() (active, idle int)
	Memory           func() (used, limit int64)
	UpstreamsWell    func(put func(name string, well bool))
	UpstreamDialects func(put func(name, dialect string)) // nil: not known
	Info             [3]string                            // version, dialect, store
}

// New makes a Metrics. lossNames are the ids of the loss rules, by number.
func New(lossNames []string) *Metrics {
	return &Metrics{lossNames: lossNames}
}

// Exchange counts one exchange.
func (m *Metrics) Exchange(r Route, o Outcome, took time.Duration) {
	m.exchanges[r][o].Add(1)
	m.durations[r].observe(took)
}

// FirstByte counts the time to the first event of a stream.
func (m *Metrics) FirstByte(took time.Duration) { m.firstByte.observe(took) }

// UpstreamToken counts the time until the first token of a stream came from the upstream.
func (m *Metrics) UpstreamToken(took time.Duration) { m.upstreamToken.observe(took) }

// FirstToken counts the time until the first token of a stream went to the client.
func (m *Metrics) FirstToken(took time.Duration) { m.firstToken.observe(took) }

// Loss counts an entry of a loss report.
func (m *Metrics) Loss(rule int) {
	if rule < MaxRules {
		m.losses[rule].Add(1)
	}
}

// bounds are the histograms' buckets, in seconds: from a cached error to a long
// answer of a slow model.
var bounds = [...]float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600}

type histogram struct {
	buckets [len(bounds) + 1]atomic.Int64
	sum     atomic.Int64 // nanoseconds
}

func (h *histogram) observe(d time.Duration) {
	s := d.Seconds()
	i := 0
	for i < len(bounds) && s > bounds[i] {
		i++
	}
	h.buckets[i].Add(1)
	h.sum.Add(int64(d))
}

// kind is the type of a metric, as Prometheus knows it.
type kind uint8

const (
	gauge kind = iota
	counter
	histograms
)

func (k kind) String() string { return [...]string{"gauge", "counter", "histogram"}[k] }

// metric describes one metric for the table.
type metric struct {
	name   string
	help   string
	kind   kind
	labels []string
}

// The table of metrics. The order is that of docs/OPERATIONS.md.
var table = []metric{
	{"antiphon_info", "Always 1; the labels say what runs.", gauge, []string{"version", "dialect", "store"}},
	{"antiphon_exchanges_total", "Exchanges by route and how they ended.", counter, []string{"route", "outcome"}},
	{"antiphon_exchange_duration_seconds", "From the first byte of a request to the last of its reply.", histograms, []string{"route"}},
	{"antiphon_first_event_seconds", "From the first byte of a request to the first event of its stream.", histograms, nil},
	{"antiphon_upstream_first_token_seconds", "From the first byte of a request to the first text, reasoning or call of its stream, as the upstream sends it.", histograms, nil},
	{"antiphon_first_token_seconds", "From the first byte of a request to the first text, reasoning or call of its stream, as the client gets it.", histograms, nil},
	{"antiphon_exchanges_in_flight", "Exchanges being served.", gauge, nil},
	{"antiphon_streams_in_flight", "Streams being served.", gauge, nil},
	{"antiphon_background_responses", "Background responses: those running here, and those waiting anywhere.", gauge, []string{"state"}},
	{"antiphon_background_orphans_total", "Background responses whose process was lost, as found by this one.", counter, nil},
	{"antiphon_background_reruns_total", "Background responses that were begun again.", counter, nil},
	{"antiphon_websocket_connections", "WebSocket connections of clients.", gauge, nil},
	{"antiphon_rejected_total", "Requests refused because too many were being served.", counter, nil},
	{"antiphon_client_connections", "Open connections of clients.", gauge, nil},
	{"antiphon_connections_refused_total", "Connections refused because as many as may be were open, of all clients or of one address.", counter, []string{"bound"}},
	{"antiphon_accept_errors_total", "Connections that the system could not give, such as for want of file descriptors.", counter, nil},
	{"antiphon_request_memory_bytes", "What requests in flight hold, and limits.memory, which bounds it.", gauge, []string{"of"}},
	{"antiphon_memory_refused_total", "Requests refused or ended because limits.memory was spent, by what there was no room for.", counter, []string{"for"}},
	{"antiphon_over_quota_total", "Requests refused because their tenant was over its quota.", counter, nil},
	{"antiphon_key_reloads_total", "Times that the file of API keys was read again, by result.", counter, []string{"result"}},
	{"antiphon_losses_total", "Entries of loss reports, by rule (see COMPATIBILITY.md).", counter, []string{"rule"}},
	{"antiphon_tokens_total", "Tokens that upstreams reported.", counter, []string{"direction"}},
	{"antiphon_client_bytes_total", "Bytes of request bodies from and reply bodies to clients.", counter, []string{"direction"}},
	{"antiphon_heartbeats_total", "Signs of life sent into silent streams.", counter, nil},
	{"antiphon_upstream_connections", "Connections to the upstream, in use or kept.", gauge, []string{"state"}},
	{"antiphon_upstream_retries_total", "Requests sent again because a kept connection was gone.", counter, nil},
	{"antiphon_lessons_total", "Facts learned about upstreams, from what they refuse and what they do not keep to.", counter, nil},
	{"antiphon_fallbacks_total", "Requests that another upstream was asked to answer.", counter, nil},
	{"antiphon_upstream_well", "1 while an upstream is asked as usual, 0 while it is left alone.", gauge, []string{"upstream"}},
	{"antiphon_upstream_dialect", "1 for the dialect that an upstream is spoken to in.", gauge, []string{"upstream", "dialect"}},
	{"antiphon_truncations_total", "Requests shortened for truncation auto.", counter, nil},
	{"antiphon_compactions_total", "Contexts that were replaced by a summary.", counter, nil},
	{"antiphon_store_records", "Responses in the store.", gauge, nil},
	{"antiphon_store_bytes", "Bytes in the store, as its budget counts them.", gauge, nil},
	{"antiphon_store_evictions_total", "Responses pushed out by the budget before their time.", counter, nil},
	{"antiphon_store_expired_total", "Responses that reached their age limit.", counter, nil},
	{"antiphon_store_errors_total", "Responses that could not be stored; they said store false.", counter, nil},
	{"antiphon_history_cache_total", "Look-ups of translated histories.", counter, []string{"result"}},
	{"antiphon_panics_total", "Faults of the program that were contained.", counter, nil},
}

// Describe writes the table as it stands in docs/OPERATIONS.md.
func Describe(w io.Writer) {
	for _, m := range table {
		labels := strings.Join(m.labels, "`, `")
		if labels != "" {
			labels = "`" + labels + "`"
		}
		_, _ = fmt.Fprintf(w, "| `%s` | %s | %s |\n", m.name, labels, m.help)
	}
}

// Names lists the metrics in the order of the table.
func Names() []string {
	names := make([]string, len(table))
	for i, m := range table {
		names[i] = m.name
	}
	return names
}
