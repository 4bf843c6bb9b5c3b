package proxy

import (
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/translate"
)

// quotas hold what each tenant has used up of what it may use, in this process.
// Requests and tokens refill evenly over a minute. How many tokens a request
// takes is known only when it is answered: it may begin while there are any left,
// and what it took is paid afterwards, so the balance can be below zero.
type quotas struct {
	mu    sync.Mutex
	of    map[string]*quota
	sweep int // at how many entries to look for those that say nothing any more
}

type quota struct {
	mu       sync.Mutex
	requests bucket
	tokens   bucket
	running  int
}

// bucket is an amount that refills.
type bucket struct {
	limit int // a minute; 0 is no bound
	left  float64
	at    time.Time
}

// settle brings the bucket up to date.
func (b *bucket) settle(limit int, now time.Time) {
	if b.at.IsZero() || b.limit == 0 {
		b.left = float64(limit)
	} else {
		b.left += now.Sub(b.at).Minutes() * float64(limit)
	}
	b.left = min(b.left, float64(limit))
	b.limit, b.at = limit, now
}

// until is how long it takes until there is so much.
func (b *bucket) until(amount float64) time.Duration {
	if b.left >= amount || b.limit == 0 {
		return 0
	}
	return time.Duration((amount - b.left) / float64(b.limit) * float64(time.Minute))
}

// take returns the tenant's quota.
func (qs *quotas) take(tenant string) *quota {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	if q := qs.of[tenant]; q != nil {
		return q
	}
	const few = 1024
	if len(qs.of) >= max(qs.sweep, few) {
		now := time.Now()
		for name, q := range qs.of {
			if q.idle(now) {
				delete(qs.of, name)
			}
		}
		qs.sweep = 2 * len(qs.of)
	}
	if qs.of == nil {
		qs.of = map[string]*quota{}
	}
	q := &quota{}
	qs.of[tenant] = q
	return q
}

// idle reports whether the quota is as good as new.
func (q *quota) idle(now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	full := func(b bucket) bool {
		b.settle(b.limit, now)
		return b.left >= float64(b.limit)
	}
	return q.running == 0 && full(q.requests) && full(q.tokens)
}

// admit lets a request that a model has to answer begin, within the tenant's
// quota, or says why not. finish gives back what it holds.
func (x *exchange) admit() *translate.Error {
	limits := x.server.cfg.Limits.Tenant
	if x.grant != nil {
		limits = x.grant.Or(limits)
	}
	if limits == (config.Quota{}) {
		return nil
	}
	q := x.server.quotas.take(x.tenant)
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	q.requests.settle(limits.RequestsPerMinute, now)
	q.tokens.settle(limits.TokensPerMinute, now)
	defer x.tellQuota(q)
	switch {
	case limits.Concurrency > 0 && q.running >= limits.Concurrency:
		return x.overQuota("requests", "Too many requests at a time: the limit of this API key is "+strconv.Itoa(limits.Concurrency)+
			". Wait until one of them is answered.", time.Second)
	case limits.RequestsPerMinute > 0 && q.requests.left < 1:
		wait := q.requests.until(1)
		return x.overQuota("requests", "Rate limit reached on requests per min (RPM): Limit "+strconv.Itoa(limits.RequestsPerMinute)+
			", Used "+strconv.Itoa(limits.RequestsPerMinute)+", Requested 1. Please try again in "+spell(wait)+".", wait)
	case limits.TokensPerMinute > 0 && q.tokens.left < 1:
		wait := q.tokens.until(1)
		return x.overQuota("tokens", "Rate limit reached on tokens per min (TPM): Limit "+strconv.Itoa(limits.TokensPerMinute)+
			", Used "+strconv.Itoa(limits.TokensPerMinute-int(math.Floor(q.tokens.left)))+". Please try again in "+spell(wait)+".", wait)
	}
	q.requests.left--
	q.running++
	x.quota = q
	return nil
}

// overQuota is the API's answer to a request over a limit (docs/PROTOCOL.md §5.6).
func (x *exchange) overQuota(kind, message string, wait time.Duration) *translate.Error {
	x.server.metrics.OverQuota.Add(1)
	x.reply.Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	x.reply.Set("Retry-After-Ms", strconv.FormatInt(wait.Milliseconds()+1, 10))
	return &translate.Error{Status: 429, Type: kind, Code: "rate_limit_exceeded", Message: message}
}

// tellQuota writes the headers that clients read their limits from. q is locked.
func (x *exchange) tellQuota(q *quota) {
	for _, b := range []struct {
		name   string
		bucket *bucket
	}{{"Requests", &q.requests}, {"Tokens", &q.tokens}} {
		if b.bucket.limit == 0 {
			continue
		}
		x.reply.Set("X-Ratelimit-Limit-"+b.name, strconv.Itoa(b.bucket.limit))
		x.reply.Set("X-Ratelimit-Remaining-"+b.name, strconv.Itoa(max(0, int(b.bucket.left))))
		x.reply.Set("X-Ratelimit-Reset-"+b.name, spell(b.bucket.until(float64(b.bucket.limit))))
	}
}

// spell writes a time as the API does: 1.5s, 6m0s, 20ms.
func spell(d time.Duration) string {
	if d > time.Second {
		return d.Round(10 * time.Millisecond).String()
	}
	return d.Round(time.Millisecond).String()
}

// release gives back what admit has taken. It may be called more than once.
func (x *exchange) releaseQuota() {
	if x.quota == nil {
		return
	}
	x.quota.mu.Lock()
	x.quota.running--
	x.quota.mu.Unlock()
	x.quota = nil
}

// holdQuota makes a response that was admitted before, and has waited since, count
// among those that run.
func (x *exchange) holdQuota() {
	x.quota = x.server.quotas.take(x.tenant)
	x.quota.mu.Lock()
	x.quota.running++
	x.quota.mu.Unlock()
}

// spend pays for tokens.
func (x *exchange) spend(tokens int64) {
	if x.quota == nil || tokens <= 0 {
		return
	}
	x.quota.mu.Lock()
	x.quota.tokens.left -= float64(tokens)
	x.quota.mu.Unlock()
}
