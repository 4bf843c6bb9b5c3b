// Command loadgen puts load on a server of the OpenAI Responses API, or of Chat
// Completions, checks every reply, and reports throughput, latency, and what
// CPU time and memory the server took.
//
// It keeps a number of virtual users busy (closed loop), or starts requests at a
// set rate and measures each from when it was due (open loop, -rate). See the
// README for examples.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/antiphon-proxy/antiphon/bench/internal/hist"
	"github.com/antiphon-proxy/antiphon/bench/internal/procstat"
)

type options struct {
	url, path, api, model, key, store string
	headers                           list
	stream, items, tools, noKeepAlive bool
	bodyFile                          string
	inputBytes, history, historyBytes int
	turns, users                      int
	requests                          int64
	duration, warmup, ramp, timeout   time.Duration
	calm                              time.Duration
	rate                              float64
	llm, script                       string
	wantText, sample                  int
	name, scenario, jsonFile, pids    string
	round                             int
	quiet                             bool
}

type list []string

func (l *list) String() string     { return strings.Join(*l, ", ") }
func (l *list) Set(v string) error { *l = append(*l, v); return nil }

func main() {
	var o options
	flag.StringVar(&o.url, "url", "http://127.0.0.1:8080", "base `URL` of the server, without /v1")
	flag.StringVar(&o.api, "api", "responses", "responses or chat")
	flag.StringVar(&o.path, "path", "", "path to post to (default /v1/responses or /v1/chat/completions)")
	flag.StringVar(&o.model, "model", "fake", "model to ask for")
	flag.StringVar(&o.key, "key", "sk-bench", "API key; empty for none")
	flag.Var(&o.headers, "header", "further `Name: value` header; may be repeated")
	flag.BoolVar(&o.stream, "stream", false, "ask for streams")
	flag.StringVar(&o.store, "store", "", "value of the store member; empty leaves it out")
	flag.StringVar(&o.bodyFile, "body", "", "`file` with the request body, rather than a made-up one")
	flag.IntVar(&o.inputBytes, "input-bytes", 64, "bytes in the user's message")
	flag.BoolVar(&o.items, "items", false, "send the input as a list of items even when there is no history")
	flag.IntVar(&o.history, "history", 0, "messages before the user's, by turns user and assistant")
	flag.IntVar(&o.historyBytes, "history-bytes", 1024, "bytes in each of them")
	flag.BoolVar(&o.tools, "tools", false, "offer a function tool")
	flag.IntVar(&o.turns, "turns", 1, "requests in a conversation, each continuing the one before by previous_response_id")
	flag.IntVar(&o.users, "c", 16, "virtual users, one connection each")
	flag.Int64Var(&o.requests, "n", 0, "stop after this many requests (default: after -d)")
	flag.DurationVar(&o.duration, "d", 5*time.Second, "stop starting requests after this time")
	flag.DurationVar(&o.warmup, "warmup", 500*time.Millisecond, "load before the measurement")
	flag.DurationVar(&o.ramp, "ramp", 0, "spread the users' first requests over this time")
	flag.Float64Var(&o.rate, "rate", 0, "open loop: start this many requests a second, measured from when they were due")
	flag.DurationVar(&o.timeout, "timeout", 60*time.Second, "time limit of one request")
	flag.BoolVar(&o.noKeepAlive, "no-keepalive", false, "a connection for each request")
	flag.StringVar(&o.llm, "llm", "", "base URL of the fakellm behind the server, to set its script and to know what to expect")
	flag.StringVar(&o.script, "script", "", "script for it, such as chunks=200&delay=20ms")
	flag.IntVar(&o.wantText, "want-text", -1, "bytes of text in a good reply (default: what fakellm says; without one, any)")
	flag.IntVar(&o.sample, "sample", 50, "check every so many-th reply of a user for conformance; 0 for none")
	flag.StringVar(&o.pids, "pid", "", "process `ids` of the server, with commas, to account CPU and memory of (and of their descendants)")
	flag.StringVar(&o.name, "name", "", "name of the server in the report")
	flag.StringVar(&o.scenario, "scenario", "", "name of the scenario in the report")
	flag.IntVar(&o.round, "round", 0, "round number in the report")
	flag.StringVar(&o.jsonFile, "json", "", "append the report to this `file` as a line of JSON; - for standard output")
	flag.DurationVar(&o.calm, "calm", 0, "wait up to this time, before the load, for a second in which the machine does little else")
	flag.BoolVar(&o.quiet, "q", false, "print no table")
	flag.Parse()
	if o.api != "responses" && o.api != "chat" || flag.NArg() > 0 || o.users < 1 || o.turns < 1 {
		flag.Usage()
		os.Exit(2)
	}
	if o.path == "" {
		o.path = map[string]string{"responses": "/v1/responses", "chat": "/v1/chat/completions"}[o.api]
	}
	debug.SetGCPercent(400)
	rep, err := measure(&o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "loadgen:", err)
		os.Exit(1)
	}
	if o.jsonFile != "" {
		if err := rep.save(o.jsonFile); err != nil {
			fmt.Fprintln(os.Stderr, "loadgen:", err)
			os.Exit(1)
		}
	}
	if !o.quiet {
		rep.print(os.Stdout)
	}
}

// phase is one stretch of load: the warm-up or the measurement.
type phase struct {
	stop  time.Time
	left  atomic.Int64   // requests still to start; starts below zero for no limit
	limit bool           // whether left counts
	due   chan time.Time // open loop: when requests are due

	latency, firstDelta, gap, delivery hist.H
	turns                              []hist.H
	ok, failed, events, deltas         atomic.Int64

	mu       sync.Mutex
	errors   map[string]int64
	problems map[string]int64
}

// next returns when the next request is due, or false at the end of the phase.
func (p *phase) next() (time.Time, bool) {
	if p.due != nil {
		t, ok := <-p.due
		return t, ok
	}
	now := time.Now()
	if p.limit {
		return now, p.left.Add(-1) >= 0
	}
	return now, now.Before(p.stop)
}

func (p *phase) fail(err error) {
	p.failed.Add(1)
	p.mu.Lock()
	if s := brief(err); len(p.errors) < 20 || p.errors[s] > 0 {
		p.errors[s]++
	}
	p.mu.Unlock()
}

// user is one virtual user.
type user struct {
	*client
	o      *options
	req    *request
	want   want
	body   []byte
	reply  []byte
	split  splitter
	asked  int
	lastID string
}

func measure(o *options) (*report, error) {
	w := want{text: o.wantText, users: -1}
	var script struct {
		Error     string
		Pid       int
		TextBytes int `json:"text_bytes"`
		ToolBytes int `json:"tool_bytes"`
		Tools     int
		Users     bool
		Stamp     bool
		Reasoning int    `json:"reasoning_bytes"`
		Usage     [2]int `json:"usage"`
	}
	if o.llm != "" {
		if err := getJSON(o.llm+"/control?"+o.script, &script); err != nil {
			return nil, err
		}
		if script.Error != "" {
			return nil, errors.New("fakellm: " + script.Error)
		}
		w.text, w.tools, w.toolBytes = script.TextBytes, script.Tools, script.ToolBytes
		w.reasoning, w.usage = script.Reasoning > 0, script.Usage
	}
	req, err := newRequest(o)
	if err != nil {
		return nil, err
	}
	if script.Users {
		w.users = req.Users
	}
	if script.Stamp {
		o.sample = 0 // fakellm's own streams repeat the text with other times in it
	}
	pids, err := parsePids(o.pids)
	if err != nil {
		return nil, err
	}

	waitForCalm(o.calm)
	users := make([]*user, o.users)
	for i := range users {
		c, err := newClient(o.url, o.path, o.key, o.headers, o.timeout, !o.noKeepAlive)
		if err != nil {
			return nil, err
		}
		users[i] = &user{client: c, o: o, req: req, want: w, asked: i}
	}
	if o.warmup > 0 {
		runPhase(o, users, o.warmup, 0)
	}

	rep := &report{
		Name: o.name, Scenario: o.scenario, Round: o.round, URL: o.url, API: o.api, Stream: o.stream,
		Users: o.users, Rate: o.rate, Load: procstat.Load(),
	}
	pids = procstat.Tree(pids)
	procstat.ResetPeak(pids)
	before, err := procstat.Read(pids)
	if err != nil {
		return nil, err
	}
	llm := []int{}
	if script.Pid > 0 {
		llm = append(llm, script.Pid)
	}
	llmBefore, _ := procstat.Read(llm)
	asked := upstream(o.llm)
	own, busy, start := ownCPU(), procstat.Busy(), time.Now()

	p := runPhase(o, users, o.duration, o.requests)

	rep.Seconds = time.Since(start).Seconds()
	rep.LoadgenCPU = ownCPU() - own
	busy = procstat.Busy() - busy
	after, err := procstat.Read(pids)
	if err != nil {
		return nil, err
	}
	llmAfter, _ := procstat.Read(llm)
	rep.UpstreamRequests = upstream(o.llm) - asked

	rep.OK, rep.Failed = p.ok.Load(), p.failed.Load()
	rep.Events, rep.Deltas = p.events.Load(), p.deltas.Load()
	rep.PerSecond = float64(rep.OK) / rep.Seconds
	rep.EventsPerSecond = float64(rep.Events) / rep.Seconds
	rep.Latency, rep.FirstDelta = p.latency.Summary(), p.firstDelta.Summary()
	rep.Gap, rep.Delivery = p.gap.Summary(), p.delivery.Summary()
	for i := range p.turns {
		rep.TurnP50 = append(rep.TurnP50, p.turns[i].Summary().P50)
	}
	for _, u := range users {
		rep.Bytes += u.Bytes
		rep.Redials += u.Redials
		u.close()
	}
	rep.Errors, rep.Problems = p.errors, p.problems
	rep.LLMCPU = llmAfter.CPU - llmBefore.CPU
	rep.OtherCPU = busy - rep.LoadgenCPU - rep.LLMCPU
	if len(pids) > 0 {
		rep.CPU = after.CPU - before.CPU
		if rep.OK > 0 {
			rep.CPUPerK = rep.CPU / float64(rep.OK) * 1000
		}
		if rep.Deltas > 0 {
			rep.CPUPerDelta = rep.CPU / float64(rep.Deltas) * 1e6
		}
		rep.RSSBefore, rep.RSSAfter, rep.PeakRSS = before.RSS, after.RSS, after.PeakRSS
		if !slices.Equal(pids, llm) {
			rep.OtherCPU -= rep.CPU
		}
	}
	return rep, nil
}

func parsePids(s string) (pids []int, err error) {
	for f := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == ',' || r == ' ' }) {
		pid, err := strconv.Atoi(f)
		if err != nil {
			return nil, fmt.Errorf("-pid: %w", err)
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// upstream returns how many replies the fakellm at base has been asked for.
func upstream(base string) int64 {
	var s struct{ Chat, Responses int64 }
	if base != "" {
		_ = getJSON(base+"/stats", &s)
	}
	return s.Chat + s.Responses
}

func getJSON(url string, v any) error {
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

func ownCPU() float64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// waitForCalm waits for a second in which the machine is nearly idle, but no
// longer than limit.
func waitForCalm(limit time.Duration) {
	const step = 250 * time.Millisecond
	for calm, waited := 0, time.Duration(0); calm < 4 && waited < limit; waited += step {
		busy := procstat.Busy()
		time.Sleep(step)
		if calm++; procstat.Busy()-busy > .2*step.Seconds() {
			calm = 0
		}
	}
}

// runPhase keeps the users busy for a time, or for a number of requests if that
// is not zero, and returns when the last reply is in.
func runPhase(o *options, users []*user, d time.Duration, requests int64) *phase {
	p := &phase{
		stop:     time.Now().Add(d),
		limit:    requests > 0,
		errors:   map[string]int64{},
		problems: map[string]int64{},
	}
	p.left.Store(requests)
	if o.turns > 1 {
		p.turns = make([]hist.H, o.turns)
	}
	if o.rate > 0 {
		p.due = make(chan time.Time, 1<<20)
		go p.schedule(o.rate, requests)
	}
	var wg sync.WaitGroup
	for i, u := range users {
		wg.Go(func() {
			if o.ramp > 0 {
				time.Sleep(o.ramp * time.Duration(i) / time.Duration(len(users)))
			}
			for u.converse(p) {
			}
		})
	}
	wg.Wait()
	return p
}

// schedule makes requests due at a steady rate.
func (p *phase) schedule(rate float64, requests int64) {
	defer close(p.due)
	start := time.Now()
	for i := int64(0); requests == 0 || i < requests; i++ {
		t := start.Add(time.Duration(float64(i) / rate * 1e9))
		if requests == 0 && t.After(p.stop) {
			return
		}
		time.Sleep(time.Until(t))
		p.due <- t
	}
}

// converse holds one conversation, and reports whether to go on with another.
func (u *user) converse(p *phase) bool {
	u.lastID = ""
	w := u.want
	for turn := range u.o.turns {
		due, ok := p.next()
		if !ok {
			return false
		}
		if turn > 0 && w.users >= 0 {
			w.users += u.want.users
		}
		err := u.ask(p, due, w)
		if err != nil {
			p.fail(err)
			u.close()
			if p.failed.Load()%100 == 0 {
				time.Sleep(time.Millisecond) // a server that fails at once should not be hammered
			}
			return true
		}
		took := time.Since(due)
		p.latency.Record(took)
		if p.turns != nil {
			p.turns[turn].Record(took)
		}
		p.ok.Add(1)
	}
	return true
}

// ask makes one request and judges the reply.
func (u *user) ask(p *phase, due time.Time, w want) error {
	u.body = u.req.append(u.body[:0], u.lastID)
	if err := u.post(u.body); err != nil {
		return err
	}
	u.asked++
	sample := u.o.sample > 0 && u.asked%u.o.sample == 0 && u.o.api == "responses"
	streamed := strings.HasPrefix(string(u.hdr.ContentType()), "text/event-stream")
	if u.status() != 200 || streamed != u.o.stream {
		b, _ := u.readAll()
		return fmt.Errorf("status %d, %s: %.120s", u.status(), u.hdr.ContentType(), b)
	}
	if u.o.stream {
		return u.readStream(p, due, w, sample)
	}

	b, err := u.readAll()
	if err != nil {
		return err
	}
	var g got
	if u.o.api == "chat" {
		g, err = readChat(b)
	} else {
		g, err = readResponse(b)
	}
	if err == nil {
		err = g.check(w)
	}
	if err == nil && u.o.turns > 1 && g.id == "" {
		err = errors.New("no response id")
	}
	u.lastID = g.id
	if sample {
		found := problems{}
		responseProblems(b, w, found)
		p.note(found)
	}
	return err
}

func (u *user) readAll() ([]byte, error) {
	u.reply = u.reply[:0]
	for {
		b, err := u.read()
		if err == io.EOF {
			return u.reply, nil
		}
		if err != nil {
			return u.reply, err
		}
		u.reply = append(u.reply, b...)
	}
}

func (u *user) readStream(p *phase, due time.Time, w want, sample bool) error {
	s := stream{chat: u.o.api == "chat", keep: sample}
	var now, last time.Time
	s.stamps = func(sent time.Time) { p.delivery.Record(now.Sub(sent)) }
	deltas := 0
	u.split.reset()
	for {
		b, err := u.read()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		now = time.Now()
		u.split.feed(b, func(e event) {
			if !s.event(e) {
				return
			}
			if deltas++; deltas == 1 {
				p.firstDelta.Record(now.Sub(due))
			} else {
				p.gap.Record(now.Sub(last))
			}
			last = now
		})
	}
	p.events.Add(int64(s.events))
	p.deltas.Add(int64(deltas))
	u.lastID = s.id
	err := s.end(w)
	if sample && err == nil {
		found := problems{}
		streamProblems(s.kept, w, found)
		p.note(found)
	}
	if err == nil && u.o.turns > 1 && s.id == "" {
		err = errors.New("no response id")
	}
	return err
}

func (p *phase) note(found problems) {
	p.mu.Lock()
	for f := range found {
		p.problems[f]++
	}
	p.mu.Unlock()
}

// report is what a run found. Times are in milliseconds unless named otherwise,
// memory in bytes.
type report struct {
	Name     string  `json:"name"`
	Scenario string  `json:"scenario"`
	Round    int     `json:"round"`
	URL      string  `json:"url"`
	API      string  `json:"api"`
	Stream   bool    `json:"stream"`
	Users    int     `json:"users"`
	Rate     float64 `json:"rate,omitempty"`

	Seconds          float64 `json:"seconds"`
	OK               int64   `json:"ok"`
	Failed           int64   `json:"failed"`
	UpstreamRequests int64   `json:"upstream_requests"`
	Events           int64   `json:"events"`
	Deltas           int64   `json:"deltas"`
	Bytes            int64   `json:"bytes"`
	Redials          int64   `json:"redials"`
	PerSecond        float64 `json:"requests_per_s"`
	EventsPerSecond  float64 `json:"events_per_s"`

	Latency    hist.Summary `json:"latency"`
	FirstDelta hist.Summary `json:"first_delta"`
	Gap        hist.Summary `json:"gap"`
	Delivery   hist.Summary `json:"delivery"`
	TurnP50    []float64    `json:"turn_p50,omitempty"`

	CPU         float64 `json:"cpu_s"`
	CPUPerK     float64 `json:"cpu_s_per_1k"`
	CPUPerDelta float64 `json:"cpu_us_per_delta"`
	RSSBefore   int64   `json:"rss_before"`
	RSSAfter    int64   `json:"rss_after"`
	PeakRSS     int64   `json:"rss_peak"`
	LoadgenCPU  float64 `json:"loadgen_cpu_s"`
	LLMCPU      float64 `json:"llm_cpu_s"`
	OtherCPU    float64 `json:"other_cpu_s"`
	Load        float64 `json:"load"`

	Errors   map[string]int64 `json:"errors,omitempty"`
	Problems map[string]int64 `json:"problems,omitempty"`
}

func (r *report) save(file string) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	b = append(b, '\n')
	if file == "-" {
		_, err = os.Stdout.Write(b)
		return err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.Write(b); err != nil {
		return err
	}
	return f.Close()
}

func (r *report) print(w io.Writer) {
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-14s "+format+"\n", append([]any{name}, args...)...)
	}
	times := func(name string, s hist.Summary) {
		if s.N > 0 {
			row(name, "p50 %.3f  p90 %.3f  p99 %.3f  p99.9 %.3f  max %.3f ms", s.P50, s.P90, s.P99, s.P999, s.Max)
		}
	}
	row("requests", "%d good, %d failed in %.2f s: %.0f/s", r.OK, r.Failed, r.Seconds, r.PerSecond)
	if r.Events > 0 {
		row("events", "%d (%d deltas): %.0f/s", r.Events, r.Deltas, r.EventsPerSecond)
	}
	row("received", "%.1f MB; %d redials; %d requests reached fakellm", float64(r.Bytes)/1e6, r.Redials, r.UpstreamRequests)
	times("latency", r.Latency)
	times("first delta", r.FirstDelta)
	times("gap", r.Gap)
	times("delivery", r.Delivery)
	if r.TurnP50 != nil {
		row("p50 by turn", "%.3f ms", r.TurnP50)
	}
	if r.RSSAfter > 0 {
		row("server CPU", "%.2f s: %.4f s/1k requests, %.2f us/delta", r.CPU, r.CPUPerK, r.CPUPerDelta)
		row("server RSS", "%.1f MB before, %.1f MB peak, %.1f MB after",
			float64(r.RSSBefore)/1e6, float64(r.PeakRSS)/1e6, float64(r.RSSAfter)/1e6)
	}
	row("other CPU", "loadgen %.2f s, fakellm %.2f s, rest of the machine %.2f s; load average %.2f",
		r.LoadgenCPU, r.LLMCPU, r.OtherCPU, r.Load)
	for _, e := range slices.Sorted(maps.Keys(r.Errors)) {
		row("ERROR", "%d x %s", r.Errors[e], e)
	}
	for _, e := range slices.Sorted(maps.Keys(r.Problems)) {
		row("nonconforming", "%d x %s", r.Problems[e], e)
	}
}
