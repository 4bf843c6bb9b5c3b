// Package probe finds out how a chat server differs from the reference API, by a
// short series of real requests.
//
// It has no model of servers of its own. What it asks is made by package translate:
// a Responses request, translated for the dialect that is believed in so far with one
// assumption more. If the server takes that, and shows the effect where there is one,
// the assumption holds; if it refuses, translate.Learn says what the refusal teaches.
// What comes out are facts about a preset: what has to be overridden.
//
// A run is bounded in requests, time, bytes and tokens (Options), whatever the server
// does.
package probe

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/translate"
)

// The bounds of a run.
const (
	// DefaultMaxTokens bounds a run's tokens, those of the prompts included.
	DefaultMaxTokens = 20_000
	// maxOutput is the most that one request asks for.
	maxOutput = 32
	// maxRequests bounds the requests of a run.
	maxRequests = 120
	// maxBody bounds what is read of one reply.
	maxBody = 256 << 10
	// maxUnbounded is what is read of a reply whose bound may not count: the server is
	// hung up on then.
	maxUnbounded = 8 << 10
	// DefaultTimeout is for one request, DefaultDeadline for the whole run.
	DefaultTimeout  = 60 * time.Second
	DefaultDeadline = 10 * time.Minute
)

// Options are what a run needs.
type Options struct {
	// Upstream is the server: URL, Key and KeyHeader count, and Dialect if it names
	// the preset to begin with; otherwise that is found out.
	Upstream *config.Upstream
	// Model is the model to ask.
	Model string
	// MaxTokens bounds the tokens of all requests together; 0 is DefaultMaxTokens.
	MaxTokens int
	// Timeout bounds one request, Deadline all of them; 0 is the default.
	Timeout, Deadline time.Duration
	// Progress is told what is going on, a line at a time; nil: nobody.
	Progress func(line string)
}

// Report is what was found out.
type Report struct {
	URL      string            `json:"url"`
	Model    string            `json:"model"`
	Dialect  string            `json:"dialect"`
	Detected string            `json:"detected"` // how the preset was chosen
	Facts    []translate.Fact  `json:"facts"`    // what differs from the preset
	Seen     map[string]string `json:"seen"`     // habits that need no setting
	Steps    []Step            `json:"steps"`
	Requests int               `json:"requests"`
	Tokens   int               `json:"tokens"` // as far as the server has said, else estimated
	Bound    int               `json:"max_tokens"`
	Stopped  string            `json:"stopped,omitempty"` // why not everything was asked
}

// Step is a question and what came of it.
type Step struct {
	Name  string           `json:"name"`
	Sent  string           `json:"sent"`
	Seen  string           `json:"seen"`
	Facts []translate.Fact `json:"facts,omitempty"`
}

// prober is a run that is going on.
type prober struct {
	opt    Options
	ctx    context.Context // it lives as long as the run
	http   *http.Client
	base   string // URL before /chat/completions
	root   string // URL of the host
	query  string
	report *Report

	preset  translate.Dialect
	dialect translate.Dialect // what is believed so far
	facts   []translate.Fact  // by which it differs from the preset, or was thought to

	header         http.Header // of the last reply
	ignoresUnknown bool        // it takes keys that do not exist
	thinks         bool
	most           int // bytes that are read of a reply; 0 is maxBody
	failed         int // requests in a row that came to nothing
}

// errors that end a run.
var (
	errBudget   = errors.New("the bound of tokens is reached")
	errRequests = errors.New("the bound of requests is reached")
)

// Run asks the server. The report holds what was found out also where there is an
// error, which says why it could not go on at all.
func Run(ctx context.Context, opt Options) (*Report, error) {
	if opt.MaxTokens <= 0 {
		opt.MaxTokens = DefaultMaxTokens
	}
	if opt.Timeout <= 0 {
		opt.Timeout = DefaultTimeout
	}
	if opt.Deadline <= 0 {
		opt.Deadline = DefaultDeadline
	}
	ctx, cancel := context.WithTimeout(ctx, opt.Deadline)
	defer cancel()
	p := &prober{opt: opt, ctx: ctx, report: &Report{URL: opt.Upstream.URL, Model: opt.Model, Bound: opt.MaxTokens,
		Facts: []translate.Fact{}, Seen: map[string]string{}}}
	target, err := opt.Upstream.Target()
	if err != nil {
		return p.report, err
	}
	p.root = target.Scheme + "://" + target.Host
	p.base, p.query = p.root+target.BasePath, target.Query
	p.http = &http.Client{
		Timeout:       opt.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{MaxResponseHeaderBytes: 64 << 10, Proxy: http.ProxyFromEnvironment},
	}
	defer p.http.CloseIdleConnections()
	if err := p.detect(target.Addr); err != nil {
		return p.report, err
	}
	err = p.hello()
	if err == nil {
		err = p.all()
	}
	p.settle()
	switch {
	case errors.Is(err, errBudget), errors.Is(err, errRequests):
		p.report.Stopped, err = err.Error(), nil
	case err != nil && p.ctx.Err() != nil:
		p.report.Stopped, err = "the time is over", nil
	}
	return p.report, err
}

// all asks everything that there is to ask.
func (p *prober) all() error {
	for _, group := range []func() error{p.askKeys, p.askRoles, p.askParameters, p.askStream, p.askTools, p.askFormats, p.askEfforts, p.askParts, p.askErrors} {
		if err := group(); err != nil {
			return err
		}
	}
	return nil
}

// note adds a line to the table.
func (p *prober) note(name, sent, seen string, facts []translate.Fact) {
	p.report.Steps = append(p.report.Steps, Step{Name: name, Sent: sent, Seen: seen, Facts: facts})
	if p.opt.Progress != nil {
		line := fmt.Sprintf("%-22s %s", name, seen)
		for _, f := range facts {
			line += "  [" + f.String() + "]"
		}
		p.opt.Progress(line)
	}
}

// believe takes facts in, and returns those that are news.
func (p *prober) believe(facts ...translate.Fact) (news []translate.Fact) {
	for _, f := range facts {
		changed, ok := p.dialect.With(f)
		if ok {
			p.dialect = changed
			news = append(news, f)
		}
		for _, single := range expand(f) {
			p.facts = slices.DeleteFunc(p.facts, func(old translate.Fact) bool { return old.Key == single.Key })
			p.facts = append(p.facts, single)
		}
	}
	return news
}

// expand writes a fact as the configuration can say it.
func expand(f translate.Fact) []translate.Fact {
	if f.Key != "tools.choices" {
		return []translate.Fact{f}
	}
	var all []translate.Fact
	for _, name := range translate.ChoiceNames {
		all = append(all, translate.Fact{Key: "tools.choices." + name, Value: f.Value})
	}
	return all
}

// settle leaves in the report what differs from the preset.
func (p *prober) settle() {
	for _, f := range p.facts {
		if _, differs := p.preset.With(f); differs {
			p.report.Facts = append(p.report.Facts, f)
		}
	}
	slices.SortFunc(p.report.Facts, func(a, b translate.Fact) int {
		switch {
		case a.Key < b.Key:
			return -1
		case a.Key > b.Key:
			return 1
		}
		return 0
	})
}
