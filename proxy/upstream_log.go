package proxy

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"time"
	"unicode"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/antiphon-proxy/antiphon/proxy/metrics"
	"github.com/antiphon-proxy/antiphon/proxy/upstream"
	"github.com/antiphon-proxy/antiphon/translate"
)

// What operators look for is an upstream that fails: such an exchange is a warning that
// says which address, in what phase, with what status, and what it has said, without
// secrets and without what the request says. Of many alike only some are warnings, and
// those say how many others there were; all are lines of the level info.

// upstreamFault is how a request to an upstream has failed.
type upstreamFault struct {
	address string
	phase   string // of an exchange that has failed before there was a reply
	status  int    // of a reply
	words   string // for the log
}

// noteFault keeps how the last request to the upstream has gone.
func (x *exchange) noteFault(err error, status int) {
	x.fault = upstreamFault{}
	if err == nil && status < 400 {
		return
	}
	x.fault.address, x.fault.status = x.backend.target.Addr, status
	if up, ok := errors.AsType[*upstream.Error](err); ok {
		x.fault.phase = up.Phase.String()
	}
}

// noteWords keeps what the upstream has said of a failure.
func (x *exchange) noteWords(e *translate.Error) {
	if e.Origin == translate.OriginUpstream && x.fault.words == "" {
		x.fault.words = x.wordsForLog(e.Message)
	}
}

const (
	maxLoggedWords = 300     // of an upstream
	maxSearched    = 1 << 20 // of a request, for what an upstream repeats of it
)

// wordsForLog is what an upstream has said as the log may have it: bounded, without
// secrets, and without what it repeats of the request. Where the request is not there
// any more to be compared with, it is nothing.
func (x *exchange) wordsForLog(text string) string {
	request := x.wire
	if len(request) == 0 {
		request = x.body
	}
	if len(request) == 0 || len(request) > maxSearched {
		return ""
	}
	if len(text) > maxLoggedWords {
		text = strings.ToValidUTF8(text[:maxLoggedWords], "") + "…"
	}
	for _, secret := range translate.Credentials(x.body) {
		text = strings.ReplaceAll(text, secret, "…")
	}
	return x.forLog(withoutSaid(text, request))
}

// withoutSaid puts … in the place of words that stand in the request, too, and are
// not just any words: names, numbers, what is in quotes, and any two in a row. Keys of
// the request stay: they are what most complaints are about.
func withoutSaid(text string, request []byte) string {
	words := strings.Fields(text)
	plain := make([]string, len(words))
	for i, w := range words {
		plain[i] = strings.TrimFunc(w, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	}
	said := func(s string) bool { return len(s) > 0 && bytes.Contains(request, []byte(s)) }
	isKey := func(s string) bool {
		return bytes.Contains(request, []byte(`"`+s+`":`)) || bytes.Contains(request, []byte(`"model":"`+s+`"`))
	}
	hide := make([]bool, len(words))
	quoted, start := false, true
	for i, w := range words {
		quotes := strings.Count(w, "'") + strings.Count(w, `"`) + strings.Count(w, "`")
		p := plain[i]
		if len(p) > 2 && !isKey(p) && (quoted || quotes > 0 || isName(p, start)) && said(p) {
			hide[i] = true
		}
		if i > 0 && len(p) > 3 && len(plain[i-1]) > 3 && said(plain[i-1]+" "+p) {
			hide[i-1], hide[i] = true, true
		}
		if quotes%2 == 1 {
			quoted = !quoted
		}
		start = strings.HasSuffix(w, ".") || strings.HasSuffix(w, ":")
	}
	for i := range words {
		if hide[i] {
			words[i] = strings.Replace(words[i], plain[i], "…", 1)
		}
	}
	return strings.Join(words, " ")
}

// isName reports whether a word is more than one of a language in lower case.
func isName(word string, startsSentence bool) bool {
	for i, r := range word {
		switch {
		case r >= 'a' && r <= 'z', r == '\'', r == '-':
		case i == 0 && startsSentence && r >= 'A' && r <= 'Z':
		default:
			return true
		}
	}
	return false
}

// Of the failures of one upstream, so many are warnings in so long a time.
const (
	warnedFailures = 20
	warnedEvery    = 10 * time.Second
)

// failureLog bounds the warnings about an upstream.
type failureLog struct {
	mu       sync.Mutex
	since    time.Time
	warned   int
	repeated int // that were no warnings since the last one
}

// warns reports whether a failure is a warning, and how many before it were none.
func (f *failureLog) warns(now time.Time) (repeated int, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now.Sub(f.since) >= warnedEvery {
		f.since, f.warned = now, 0
	}
	if f.warned >= warnedFailures {
		f.repeated++
		return 0, false
	}
	f.warned++
	repeated, f.repeated = f.repeated, 0
	return repeated, true
}

// failureLevel is the level of the line about an exchange that has failed because of
// its upstream.
func (x *exchange) failureLevel() zapcore.Level {
	if x.outcome != metrics.OutcomeUpstream {
		return zapcore.WarnLevel
	}
	repeated, ok := x.backend.failures.warns(time.Now())
	if !ok {
		return zapcore.InfoLevel
	}
	x.repeated = repeated
	return zapcore.WarnLevel
}

// addFault writes what is known of the upstream's failure to the exchange's line.
func (x *exchange) addFault(enc zapcore.ObjectEncoder) {
	f := &x.fault
	if f.address == "" && f.words == "" || x.outcome == metrics.OutcomeOK {
		return
	}
	if f.address != "" {
		enc.AddString("upstream_address", f.address)
	}
	if f.phase != "" {
		enc.AddString("upstream_phase", f.phase)
	}
	if f.status != 0 {
		enc.AddInt("upstream_status", f.status)
	}
	if f.words != "" {
		enc.AddString("upstream_error", f.words)
	}
	if x.repeated > 0 {
		enc.AddInt("repeated", x.repeated)
	}
}

// addRefused writes what tells one refused request from another.
func (x *exchange) addRefused(enc zapcore.ObjectEncoder) {
	if x.ctx == nil || x.streaming {
		return
	}
	switch x.status {
	case 400:
		if x.errParam != "" {
			enc.AddString("param", clip(x.forLog(x.errParam)))
		}
	case 401:
		enc.AddString("peer", x.ctx.RemoteAddr().String())
	case 404:
		enc.AddByteString("method", x.header.Method())
		enc.AddString("path", clip(x.forLog(pathOf(x.ctx))))
	}
}

// warnFailover says that another upstream has been asked in the place of one that has
// failed: the exchange's own line may say that all is well.
func (x *exchange) warnFailover(was *backend, f upstreamFault) {
	repeated, ok := was.failures.warns(time.Now())
	if !ok {
		return
	}
	x.server.log.Warn("an upstream failed, and another one is asked", zap.String("upstream", was.name), zap.String("upstream_address", was.target.Addr),
		zap.String("upstream_phase", f.phase), zap.Int("upstream_status", f.status), zap.String("next", x.backend.name),
		zap.ByteString("request_id", x.requestID), zap.Int("repeated", repeated))
}
