package config

import (
	"iter"
	"maps"
	"slices"
	"time"
)

// Defaults of all keys that have one, in the order of the file.
const (
	DefaultListen = "127.0.0.1:8080"

	DefaultLogLevel  = LogInfo
	DefaultLogFormat = LogJSON

	DefaultLoss = LossWarn

	// DefaultUpstreamURL is where vLLM listens unless told otherwise.
	DefaultUpstreamURL = "http://127.0.0.1:8000"

	DefaultConnectTimeout = Duration(5 * time.Second)
	DefaultWriteTimeout   = Duration(30 * time.Second)
	// DefaultFirstByteTimeout is long because a server that queues requests is
	// silent until the first token: 49 s were seen on an idle machine.
	DefaultFirstByteTimeout = Duration(10 * time.Minute)
	DefaultStreamIdle       = Duration(5 * time.Minute)

	DefaultMaxConnections = 16384
	// DefaultConnectionIdle is below uvicorn's 5 s: whoever closes an idle
	// connection should be us, else a request is lost in the race.
	DefaultConnectionIdle     = Duration(4 * time.Second)
	DefaultMaxIdleConnections = 1024

	DefaultLearnTTL       = Duration(7 * 24 * time.Hour)
	DefaultHealthFailures = 3
	DefaultHealthPause    = Duration(10 * time.Second)

	DefaultMaxResponseBytes = 64 * MiB

	DefaultStoreKind         = "memory"
	DefaultStoreBytes        = 256 * MiB
	DefaultStoreDiskBytes    = 8 * GiB
	DefaultStorePrefix       = "antiphon:"
	DefaultStoreTTL          = Duration(30 * 24 * time.Hour)
	DefaultHistoryCacheBytes = 64 * MiB

	DefaultFetchBytes   = 20 * MiB
	DefaultFetchFiles   = 8
	DefaultFetchTimeout = Duration(10 * time.Second)

	DefaultBodyLimit          = 64 * MiB
	DefaultUploadLimit        = 1 * GiB
	DefaultHeaderLimit        = 16 * KiB
	DefaultDepth              = 128
	DefaultValues             = 1_000_000
	DefaultItems              = 20_000
	DefaultConcurrency        = 16384
	DefaultReadTimeout        = Duration(60 * time.Second)
	DefaultUploadRate         = 32 * KiB
	DefaultUploadTimeout      = Duration(time.Hour)
	DefaultIdleTimeout        = Duration(75 * time.Second)
	DefaultClientWriteTimeout = Duration(30 * time.Second)

	DefaultHeartbeat      = Duration(15 * time.Second)
	DefaultHeartbeatStyle = HeartbeatAuto
	DefaultObfuscation    = ObfuscationOnRequest
	DefaultUsageGrace     = Duration(2 * time.Second)

	DefaultBackgroundWorkers   = 64
	DefaultBackgroundQueue     = 1000
	DefaultBackgroundShare     = 90 // percent
	DefaultBackgroundLease     = Duration(30 * time.Second)
	DefaultBackgroundResumeFor = Duration(5 * time.Minute)

	DefaultSocketPing     = Duration(30 * time.Second)
	DefaultSocketLifetime = Duration(60 * time.Minute)
	DefaultSocketInFlight = 16
	DefaultSocketLanes    = 32
	DefaultSocketMemory   = 64 * MiB

	DefaultShutdownDelay = Duration(0)
	DefaultShutdownDrain = Duration(30 * time.Second)
)

// Config is everything a user can set. Make one with Load, Parse or Default.
//
// Print it with Redacted: a URL may carry a secret in its query.
type Config struct {
	// Listen is the address of the API, host:port. An empty host is every
	// address of the machine, port 0 is one that the system chooses.
	Listen string `yaml:"listen"`

	// Admin is the address of /metrics, /healthz, /readyz and /debug/pprof.
	// Empty: there is no such listener. Never put it on a public address.
	Admin string `yaml:"admin"`

	// AllowedHosts are further names by which clients may call a listener on a
	// loopback address (Host, without the port): a web page can have any name lead
	// there. With names here, listeners on other addresses take these alone, and
	// addresses.
	AllowedHosts []string `yaml:"allowed_hosts"`

	// AllowedOrigins are the web pages that may send requests, as in the Origin header:
	// https://app.example.com, or with a * at the end for all that begin so.
	AllowedOrigins []string `yaml:"allowed_origins"`

	// Log says what is logged, and how.
	Log Log `yaml:"log"`

	// Loss says what to do about a part of a request that the upstream has no
	// place for.
	Loss LossPolicy `yaml:"loss"`

	// Upstream is the server behind. It gets what no other one serves.
	Upstream Upstream `yaml:"upstream"`

	// Upstreams are further servers, by their names, each for the models that it
	// serves. What one does not set has its default; nothing is taken from Upstream,
	// which is named "default" among them.
	Upstreams map[string]Upstream `yaml:"upstreams"`

	// Auth says who may come in.
	Auth Auth `yaml:"auth"`

	// Store is where responses and conversations are kept.
	Store Store `yaml:"store"`

	// Fetch says whether images and files are fetched from URLs for upstreams that
	// need their bytes.
	Fetch Fetch `yaml:"fetch"`

	// Seal says how what clients carry for us is protected.
	Seal Seal `yaml:"seal"`

	// Limits bound what one client, and all of them, may ask for.
	Limits Limits `yaml:"limits"`

	// Stream says how event streams to clients look.
	Stream Stream `yaml:"stream"`

	// Background says how responses are made that nobody waits for.
	Background Background `yaml:"background"`

	// WebSocket is the mode in which a client keeps a connection for many
	// responses.
	WebSocket WebSocket `yaml:"websocket"`

	// Shutdown says how the process ends.
	Shutdown Shutdown `yaml:"shutdown"`

	// places says where a value was set, by its dotted path, for complaints.
	places map[string]place

	// literal are the keys whose values stand on the command line as they are.
	literal map[string]bool
}

// Log says what is logged, and how.
type Log struct {
	Level  LogLevel  `yaml:"level"`
	Format LogFormat `yaml:"format"`
}

// DefaultUpstream is the name of Config.Upstream among the upstreams.
const DefaultUpstream = "default"

// All are the upstreams by their names: Upstream first, the others in the order of
// their names.
func (c *Config) All() iter.Seq2[string, *Upstream] {
	return func(yield func(string, *Upstream) bool) {
		if !yield(DefaultUpstream, &c.Upstream) {
			return
		}
		for _, name := range slices.Sorted(maps.Keys(c.Upstreams)) {
			u := c.Upstreams[name]
			if !yield(name, &u) {
				return
			}
		}
	}
}

// Upstream is a server behind.
type Upstream struct {
	// URL of the server, with or without /v1; Target says how it is read. It
	// may have a path prefix and a query, which goes with every request.
	URL string `yaml:"url"`

	// Key replaces the client's credential. Empty: the client's Authorization
	// is forwarded.
	Key Secret `yaml:"key"`

	// KeyHeader is the header that carries Key as it is, such as "api-key" for
	// Azure. Empty: "Authorization: Bearer <Key>".
	KeyHeader string `yaml:"key_header"`

	// Headers are sent with every request to the upstream. Their values are
	// secrets: gateways take tokens this way.
	Headers map[string]Secret `yaml:"headers"`

	// Dialect is the name of a preset (translate.DialectNames). Empty: by the
	// host of URL, or, with Detect, by what the server shows of itself.
	Dialect string `yaml:"dialect"`

	// Detect says whether a server whose host tells nothing is looked at: at its
	// list of models, once, and at its first replies.
	Detect bool `yaml:"detect"`

	// Overrides change single fields of the dialect.
	Overrides Overrides `yaml:"overrides"`

	// API is what the server speaks.
	API UpstreamAPI `yaml:"api"`

	// NamePrefix puts the name of a chat message before its text ("Ada: Hello") for
	// an upstream that speaks Responses, whose messages have no names; otherwise the
	// name is left out, and reported. Models may take to answering in the same way.
	NamePrefix bool `yaml:"name_prefix"`

	// ReasoningSummary asks an upstream that speaks Responses for summaries of what
	// the model thinks, for chat clients, who cannot ask for them: they get them as
	// reasoning_content. A client's own reasoning.summary counts more.
	ReasoningSummary ReasoningSummary `yaml:"reasoning_summary"`

	// Learn says whether a refusal that names what the server does not take changes
	// its dialect for the model, for LearnTTL. What Overrides set is not changed.
	Learn    bool     `yaml:"learn"`
	LearnTTL Duration `yaml:"learn_ttl"`

	// Models maps the model name of a request to the upstream's name for it.
	// Other names are sent as they are. The upstream serves the names that stand
	// here, too.
	Models map[string]string `yaml:"models"`

	// Serves are the models that the upstream is for, by the names that clients
	// give; one that ends in * stands for all that begin so. The longest that fits
	// decides; several upstreams with the same share the load. Only for Upstreams.
	Serves []string `yaml:"serves"`

	// Fallback are the names of upstreams that are asked, in this order, when this
	// one cannot be reached or answers 429 or 5xx before anything of its reply has
	// gone to the client.
	Fallback []string `yaml:"fallback"`

	// Health says when the upstream is left alone for a while.
	Health Health `yaml:"health"`

	// Grammar says what is done about inputs of custom tools that do not match the
	// tool's grammar, which a server that only has functions does not know of.
	Grammar GrammarCheck `yaml:"grammar"`

	Timeouts    UpstreamTimeouts `yaml:"timeouts"`
	Connections Connections      `yaml:"connections"`
	TLS         TLS              `yaml:"tls"`

	// MaxResponseBytes bounds one reply of the upstream, streamed or not.
	MaxResponseBytes ByteSize `yaml:"max_response_bytes"`
}

// ReasoningSummary is the kind of summary that is asked for.
type ReasoningSummary string

// The values of ReasoningSummary: none, or those of the Responses API.
const (
	SummaryOff      ReasoningSummary = "off"
	SummaryAuto     ReasoningSummary = "auto"
	SummaryConcise  ReasoningSummary = "concise"
	SummaryDetailed ReasoningSummary = "detailed"
)

// Values are its values as texts.
func (ReasoningSummary) Values() []string {
	return texts(SummaryOff, SummaryAuto, SummaryConcise, SummaryDetailed)
}

// Asks is the summary that is asked for, or "".
func (s ReasoningSummary) Asks() string {
	if s == SummaryOff {
		return ""
	}
	return string(s)
}

// UpstreamAPI is the API that an upstream speaks.
type UpstreamAPI string

// The values of UpstreamAPI.
const (
	APIChat      UpstreamAPI = "chat"      // Chat Completions
	APIResponses UpstreamAPI = "responses" // the Responses API
)

// Values are its values as texts.
func (UpstreamAPI) Values() []string { return texts(APIChat, APIResponses) }

// GrammarCheck is what is done about inputs that do not match a grammar.
type GrammarCheck string

// The values of GrammarCheck.
const (
	GrammarOff    GrammarCheck = "off"    // nothing: the input comes while it is written
	GrammarReport GrammarCheck = "report" // it is in the loss report
	GrammarRepair GrammarCheck = "repair" // the input is held until it is whole; one that does not match is asked for once more
)

// Values are its values as texts.
func (GrammarCheck) Values() []string { return texts(GrammarOff, GrammarReport, GrammarRepair) }

// Health is about an upstream that has another to stand in for it: after so many
// failures in a row it is asked only when there is no other, until the pause is
// over.
type Health struct {
	Failures int      `yaml:"failures"` // 0 is never
	Pause    Duration `yaml:"pause"`
}

// UpstreamTimeouts bound the phases of a request to the upstream. None bounds
// the whole: a stream may last as long as bytes arrive.
type UpstreamTimeouts struct {
	Connect   Duration `yaml:"connect"`    // name lookup, TCP and TLS
	Write     Duration `yaml:"write"`      // sending the request
	FirstByte Duration `yaml:"first_byte"` // from the request's end to the reply's first byte
	Idle      Duration `yaml:"idle"`       // between two reads of a reply
}

// Connections is the pool of connections to the upstream.
type Connections struct {
	Max     int      `yaml:"max"`      // open at a time; every stream holds one
	Idle    Duration `yaml:"idle"`     // how long an unused one is kept
	MaxIdle int      `yaml:"max_idle"` // how many unused ones are kept; 0 is none
}

// TLS is for an upstream with https, or a store with rediss.
type TLS struct {
	// CAFile is a PEM file of the authorities to trust instead of the system's.
	CAFile string `yaml:"ca_file"`

	// InsecureSkipVerify accepts any certificate. For tests.
	InsecureSkipVerify bool `yaml:"insecure_skip_verify"`

	// ServerName is the name that the certificate must have, and the SNI.
	// Empty: the host of the URL.
	ServerName string `yaml:"server_name"`
}

// Auth says who may come in.
type Auth struct {
	// APIKeysFile is a file for LoadKeys, relative to the working directory.
	// Empty: every client may come in, its Authorization is what separates
	// tenants, and it is forwarded.
	APIKeysFile string `yaml:"api_keys_file"`

	// Passthrough is what clients with keys of APIKeysFile may reach at the upstream
	// beside answers (models, embeddings, audio, images, moderations, completions):
	// a method, or *, and a path without /v1, which may end in /* for all below it.
	// What one principal makes there does not exist for others; what lists is not
	// separated, and shows all that the operator's account has.
	Passthrough []string `yaml:"passthrough"`
}

// Store is where responses and conversations are kept.
type Store struct {
	// Kind is "memory": kept until the process ends, the budget is spent or
	// the time is over, whichever comes first; "bolt:FILE", which survives; or the
	// URL of a Redis or Valkey server, for several replicas: see docs/STORES.md.
	Kind string `yaml:"kind"`

	MaxBytes     ByteSize `yaml:"max_bytes"`      // budget of memory; the oldest of the tenant that has most go first
	MaxDiskBytes ByteSize `yaml:"max_disk_bytes"` // budget of bolt:FILE; when it is spent nothing new is stored
	TTL          Duration `yaml:"ttl"`            // age at which a record is forgotten

	// Prefix begins the names of all keys in Redis, so that deployments can share
	// a server.
	Prefix string `yaml:"prefix"`
	// TLS is for rediss: and valkeys:.
	TLS TLS `yaml:"tls"`

	// ChatCompletions keeps chat completions with store:true, and serves the
	// endpoints that list, change and delete them. Otherwise the parameter, and
	// those endpoints, are passed through.
	ChatCompletions bool `yaml:"chat_completions"`

	// HistoryCacheBytes is the budget of the cache of translated histories;
	// 0 is no cache.
	HistoryCacheBytes ByteSize `yaml:"history_cache_bytes"`
}

// Fetch says whether images and files are fetched from the URLs that clients
// name. Only public hosts are asked, by https on port 443.
type Fetch struct {
	Enabled  bool     `yaml:"enabled"`
	MaxBytes ByteSize `yaml:"max_bytes"` // of one file
	MaxFiles int      `yaml:"max_files"` // in one request; others are left out
	Timeout  Duration `yaml:"timeout"`   // for one file

	// FileIDs gets files that clients name by their file_id from the upstream's own
	// files endpoint, with the credential of the request, where the upstream wants
	// the bytes. Enabled is not needed for that.
	FileIDs bool `yaml:"file_ids"`
}

// Seal says how what clients carry for us, reasoning and summaries in
// encrypted_content, is protected.
type Seal struct {
	// Keys are secrets of at least 32 bytes. The first seals, all open. Empty: a
	// key is made once and kept in the store; with the memory store, what was
	// sealed cannot be opened after a restart.
	Keys []Secret `yaml:"keys"`
}

// Limits bound what one client, and all of them, may ask for.
type Limits struct {
	Body        ByteSize `yaml:"body"`        // of a request, as it came and unpacked
	Upload      ByteSize `yaml:"upload"`      // of a file upload
	Header      ByteSize `yaml:"header"`      // of all headers of a request, or of an upstream's reply
	Depth       int      `yaml:"depth"`       // levels of JSON objects and arrays
	Values      int      `yaml:"values"`      // JSON values in a request
	Items       int      `yaml:"items"`       // input items of a request together with its history
	Concurrency int      `yaml:"concurrency"` // requests at a time

	// Connections bounds the open connections of clients. 0: as many as the
	// process may have file descriptors for, with room for as many to upstreams.
	Connections int `yaml:"connections"`

	// ConnectionsPerAddress bounds those of one address (of one /64 for IPv6),
	// unless it is of this machine. 0: three quarters of all.
	ConnectionsPerAddress int `yaml:"connections_per_address"`

	// Memory bounds what all requests in flight hold together: bodies, replies,
	// texts, events that a client has not read. 0: a share of the memory that the
	// process may use.
	Memory ByteSize `yaml:"memory"`

	// Tenant bounds each tenant, in this process. A file of API keys can have
	// other bounds for single keys.
	Tenant Quota `yaml:"tenant"`

	// ReadTimeout is the time for the head of a request to arrive, and for the body
	// that of waiting for it, beyond what UploadRate gives.
	ReadTimeout Duration `yaml:"read_timeout"`
	// UploadRate is how many bytes of a body buy a second more. 0: none do.
	UploadRate ByteSize `yaml:"upload_rate"`
	// UploadTimeout bounds the whole wait for a body, whatever its rate.
	UploadTimeout Duration `yaml:"upload_timeout"`
	IdleTimeout   Duration `yaml:"idle_timeout"` // between two requests of a connection
	// WriteTimeout is how long a client may take nothing of what is written to it.
	// It does not bound a whole reply or stream.
	WriteTimeout Duration `yaml:"write_timeout"`
}

// Stream says how event streams to clients look.
type Stream struct {
	// Heartbeat is the silence after which something is sent to keep proxies
	// in between awake; 0 is never.
	Heartbeat      Duration       `yaml:"heartbeat"`
	HeartbeatStyle HeartbeatStyle `yaml:"heartbeat_style"`

	// DoneMarker ends streams with "data: [DONE]", which OpenAI's API does not.
	DoneMarker bool `yaml:"done_marker"`

	// OpenResponsesNames uses the event names of the Open Responses
	// specification where they differ from OpenAI's.
	OpenResponsesNames bool `yaml:"open_responses_names"`

	Obfuscation Obfuscation `yaml:"obfuscation"`

	// ChatReasoning gives chat clients of a Responses upstream the model's reasoning
	// as reasoning_content, which is not of the Chat API but known to many of them.
	ChatReasoning bool `yaml:"chat_reasoning"`

	// ChatCommentary gives chat clients of a Responses upstream also what the model
	// says on the way to its answer (messages of the phase "commentary"), which the
	// Chat API has no other place for than the answer's text. Without it they get
	// the answer alone.
	ChatCommentary bool `yaml:"chat_commentary"`

	// UsageGrace is how long to wait for token counts that come after the
	// finish; 0 is not at all.
	UsageGrace Duration `yaml:"usage_grace"`
}

// Background says how responses are made that nobody waits for
// ("background":true). They are held in the store, and any replica on it makes
// them.
type Background struct {
	// Workers is how many this process makes at a time. 0: it makes none, and
	// refuses requests for one.
	Workers int `yaml:"workers"`

	// Queue is how many may wait for a worker; a request beyond it is refused
	// with 429.
	Queue int `yaml:"queue"`

	// TenantShare is how much of the places one tenant may fill, in percent.
	TenantShare int `yaml:"tenant_share"`

	// Lease is how long a response counts as being made without a sign of life
	// of its process. The clocks of the replicas may differ by a third of it.
	Lease Duration `yaml:"lease"`

	// ResumeFor is how long after the end of a response its stream can be read
	// again.
	ResumeFor Duration `yaml:"resume_for"`

	// Rerun makes a response again whose process was lost, if it had not
	// produced anything yet. The backend may be asked twice then, and paid twice.
	// Otherwise such a response has failed.
	Rerun bool `yaml:"rerun"`
}

// WebSocket is the mode in which a client keeps a connection for many responses.
type WebSocket struct {
	// Enabled lets clients change to it. Otherwise they are told to go on with
	// HTTP, which all of them understand.
	Enabled bool `yaml:"enabled"`

	Ping     Duration `yaml:"ping"`      // between two pings; a connection without a sign of life for two is closed
	Lifetime Duration `yaml:"lifetime"`  // of a connection
	InFlight int      `yaml:"in_flight"` // responses of one connection that wait or run
	Lanes    int      `yaml:"lanes"`     // named lanes of one connection
	Memory   ByteSize `yaml:"memory"`    // for what one connection can continue with store:false
}

// Shutdown says how the process ends.
type Shutdown struct {
	// Delay is the time between failing readiness and closing the listener, for
	// load balancers to notice.
	Delay Duration `yaml:"delay"`

	// Drain is the time that running requests have to finish.
	Drain Duration `yaml:"drain"`
}

// LogLevel is the least important thing that is logged.
type LogLevel string

// The values of LogLevel.
const (
	LogDebug LogLevel = "debug"
	LogInfo  LogLevel = "info"
	LogWarn  LogLevel = "warn"
	LogError LogLevel = "error"
)

// Values are its values as texts.
func (LogLevel) Values() []string { return texts(LogDebug, LogInfo, LogWarn, LogError) }

// LogFormat is the form of a line of the log.
type LogFormat string

// The values of LogFormat.
const (
	LogJSON    LogFormat = "json"
	LogConsole LogFormat = "console"
)

// Values are its values as texts.
func (LogFormat) Values() []string { return texts(LogJSON, LogConsole) }

// LossPolicy says what to do about a part of a request that the upstream has
// no place for.
type LossPolicy string

// The values of LossPolicy.
const (
	LossAllow  LossPolicy = "allow"  // go on; it is in the metrics
	LossWarn   LossPolicy = "warn"   // go on, and tell the client in a header
	LossStrict LossPolicy = "strict" // refuse with 400 and the part's path
)

// Values are its values as texts.
func (LossPolicy) Values() []string { return texts(LossAllow, LossWarn, LossStrict) }

// HeartbeatStyle is what a heartbeat consists of.
type HeartbeatStyle string

// The values of HeartbeatStyle.
const (
	HeartbeatAuto    HeartbeatStyle = "auto"    // what the client needs: event for Codex, comment for others
	HeartbeatComment HeartbeatStyle = "comment" // ": keep-alive", which parsers skip
	HeartbeatEvent   HeartbeatStyle = "event"   // an event, for clients that time out on comments
)

// Values are its values as texts.
func (HeartbeatStyle) Values() []string {
	return texts(HeartbeatAuto, HeartbeatComment, HeartbeatEvent)
}

// Obfuscation says when deltas carry random padding against traffic analysis.
type Obfuscation string

// The values of Obfuscation.
const (
	// ObfuscationOnRequest pads when the request asks for it with
	// stream_options.include_obfuscation.
	ObfuscationOnRequest Obfuscation = "on_request"
	ObfuscationAlways    Obfuscation = "always"
	ObfuscationNever     Obfuscation = "never"
)

// Values are its values as texts.
func (Obfuscation) Values() []string {
	return texts(ObfuscationOnRequest, ObfuscationAlways, ObfuscationNever)
}

func defaultUpstream(url string) Upstream {
	return Upstream{
		URL:              url,
		API:              APIChat,
		ReasoningSummary: SummaryOff,

		Grammar: GrammarOff,
		Timeouts: UpstreamTimeouts{
			Connect:   DefaultConnectTimeout,
			Write:     DefaultWriteTimeout,
			FirstByte: DefaultFirstByteTimeout,
			Idle:      DefaultStreamIdle,
		},
		Connections: Connections{
			Max:     DefaultMaxConnections,
			Idle:    DefaultConnectionIdle,
			MaxIdle: DefaultMaxIdleConnections,
		},
		Detect: true, Learn: true, LearnTTL: DefaultLearnTTL,
		Health:           Health{Failures: DefaultHealthFailures, Pause: DefaultHealthPause},
		MaxResponseBytes: DefaultMaxResponseBytes,
	}
}

// Default is the configuration of a user who sets nothing. It is valid.
func Default() *Config {
	return &Config{
		Listen:   DefaultListen,
		Log:      Log{Level: DefaultLogLevel, Format: DefaultLogFormat},
		Loss:     DefaultLoss,
		Upstream: defaultUpstream(DefaultUpstreamURL),
		Store: Store{
			Kind:              DefaultStoreKind,
			MaxBytes:          DefaultStoreBytes,
			MaxDiskBytes:      DefaultStoreDiskBytes,
			Prefix:            DefaultStorePrefix,
			TTL:               DefaultStoreTTL,
			HistoryCacheBytes: DefaultHistoryCacheBytes,
		},
		Fetch: Fetch{MaxBytes: DefaultFetchBytes, MaxFiles: DefaultFetchFiles, Timeout: DefaultFetchTimeout},
		Limits: Limits{
			Body:        DefaultBodyLimit,
			Upload:      DefaultUploadLimit,
			Header:      DefaultHeaderLimit,
			Depth:       DefaultDepth,
			Values:      DefaultValues,
			Items:       DefaultItems,
			Concurrency: DefaultConcurrency,
			ReadTimeout: DefaultReadTimeout,
			UploadRate:  DefaultUploadRate, UploadTimeout: DefaultUploadTimeout,
			IdleTimeout:  DefaultIdleTimeout,
			WriteTimeout: DefaultClientWriteTimeout,
		},
		Stream: Stream{
			Heartbeat:      DefaultHeartbeat,
			HeartbeatStyle: DefaultHeartbeatStyle,
			Obfuscation:    DefaultObfuscation,
			ChatReasoning:  true,
			ChatCommentary: true,
			UsageGrace:     DefaultUsageGrace,
		},
		Background: Background{
			Workers: DefaultBackgroundWorkers,
			Queue:   DefaultBackgroundQueue,

			TenantShare: DefaultBackgroundShare,
			Lease:       DefaultBackgroundLease,
			ResumeFor:   DefaultBackgroundResumeFor,
		},
		WebSocket: WebSocket{
			Enabled:  true,
			Ping:     DefaultSocketPing,
			Lifetime: DefaultSocketLifetime,
			InFlight: DefaultSocketInFlight,
			Lanes:    DefaultSocketLanes,
			Memory:   DefaultSocketMemory,
		},
		Shutdown: Shutdown{Delay: DefaultShutdownDelay, Drain: DefaultShutdownDrain},
	}
}
