package proxy

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
	"go.uber.org/zap"

	"github.com/antiphon-proxy/antiphon/proxy/metrics"
	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/translate"
)

// runs is the part of a server that makes background responses.
type runs struct {
	server *Server
	owner  string // of the leases of this process

	mu       sync.Mutex
	active   map[string]*liveRun   // that are made here, by id
	waiting  map[string]waitingRun // jobs that wait, as far as known, by key
	reserved int                   // that are being accepted
	// reservedBy is how many of those are each tenant's.
	reservedBy map[string]int
	// begun is which turn was the last of a tenant, of turn many.
	begun    map[string]uint64
	turn     uint64
	started  bool
	draining bool

	wake   chan struct{}
	stop   chan struct{}
	looped sync.WaitGroup
	work   sync.WaitGroup
}

// liveRun is a response that this process makes.
type liveRun struct {
	server     *Server
	tenant, id string
	job        *job
	state      *runState // in the version that is the right to write
	rerun      bool      // it may be made again if there is no output
	produced   bool      // there is
	events     runEvents

	leasing    sync.Mutex            // of job, while it is worked on
	committing atomic.Bool           // the end is being written
	over       atomic.Bool           // the end is written
	lost       atomic.Pointer[error] // why it is not this process's any more

	mu  sync.Mutex
	cur *client // to cancel what runs
}

// Causes for which a response that is made is given up.
var (
	errRunTaken = errors.New("the response was ended by somebody else")
	errRunLease = errors.New("the lease of the response could not be renewed")
)

// lose gives the response up.
func (r *liveRun) lose(cause error) {
	if r.lost.CompareAndSwap(nil, &cause) {
		r.cancel(cause)
	}
}

func (r *liveRun) cancel(cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cur != nil {
		r.cur.cancel(cause)
	}
}

// start begins to look for work.
func (rs *runs) start(s *Server) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.started || rs.draining || s.cfg.Background.Workers == 0 {
		return
	}
	rs.started = true
	rs.looped.Go(rs.loop)
}

// init makes what the methods need.
func (rs *runs) init(s *Server) {
	var id [12]byte
	_, _ = rand.Read(id[:]) // never fails
	rs.server, rs.owner = s, hex.EncodeToString(id[:])
	rs.active, rs.waiting, rs.reservedBy = map[string]*liveRun{}, map[string]waitingRun{}, map[string]int{}
	rs.begun = map[string]uint64{}
	rs.wake, rs.stop = make(chan struct{}, 1), make(chan struct{})
}

// reserve takes a place in the queue for a response that is about to be written
// down. With several replicas the bound is kept by each as well as it knows the
// queue, which it reads once a scan.
func (rs *runs) reserve(tenant string) bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	cfg := &rs.server.cfg.Background
	free := max(0, cfg.Workers-len(rs.active))
	if len(rs.waiting)+rs.reserved >= cfg.Queue+free || !rs.mayWait(tenant, cfg.Queue+free) {
		return false
	}
	rs.reserved++
	rs.reservedBy[tenant]++
	return true
}

func (rs *runs) unreserve(tenant string) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.reserved--
	if rs.reservedBy[tenant]--; rs.reservedBy[tenant] == 0 {
		delete(rs.reservedBy, tenant)
	}
}

// offer says that there is a new job.
func (rs *runs) offer(j *job) {
	rs.mu.Lock()
	first := len(rs.waiting) == 0
	rs.waiting[j.key] = waitingRun{j.Tenant, time.Now()}
	rs.count()
	rs.mu.Unlock()
	if !first || !rs.claim(j) {
		rs.nudge()
	}
}

// count brings the metrics up to date. The lock is held.
func (rs *runs) count() {
	rs.server.metrics.Waiting.Store(int64(len(rs.waiting)))
	rs.server.metrics.Running.Store(int64(len(rs.active)))
}

func (rs *runs) nudge() {
	select {
	case rs.wake <- struct{}{}:
	default:
	}
}

// find returns a response that is made here, or nil.
func (rs *runs) find(tenant, id string) *liveRun {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if r := rs.active[id]; r != nil && r.tenant == tenant {
		return r
	}
	return nil
}

// loop looks for work: what waits, and what nobody works on any more.
func (rs *runs) loop() {
	every := min(max(rs.server.cfg.Background.Lease.Std()/6, 20*time.Millisecond), time.Second)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-rs.stop:
			return
		case <-rs.wake:
		case <-tick.C:
		}
		rs.scan()
	}
}

// scan goes through the queue once.
func (rs *runs) scan() {
	s := rs.server
	defer func() {
		if r := recover(); r != nil {
			s.logPanic(r, nil)
		}
	}()
	began := time.Now()
	seen := map[string]waitingRun{}
	var waiting, lost []*job
	err := s.jobs(func(j *job) {
		switch {
		case j.Owner == "":
			seen[j.key] = waitingRun{j.Tenant, began}
			waiting = append(waiting, j)
		case began.After(j.Until.Add(rs.skew())) && rs.find(j.Tenant, j.ID) == nil:
			lost = append(lost, j)
		}
	})
	if err != nil {
		return // the next scan may have more luck
	}
	rs.mu.Lock()
	for key, w := range rs.waiting {
		if w.since.After(began) { // it came while we read
			seen[key] = w
		}
	}
	rs.waiting = seen
	rs.count()
	rs.mu.Unlock()
	for _, j := range lost {
		rs.recover(j)
	}
	rs.fairly(waiting)
	for _, j := range waiting {
		if !rs.claim(j) {
			break
		}
	}
}

// claim takes a job and begins to work on it, if there is a worker for it. It
// returns false if there is none.
func (rs *runs) claim(j *job) bool {
	s := rs.server
	r := &liveRun{server: s, tenant: j.Tenant, id: j.ID, job: j}
	r.events.run, r.events.first = r, acceptedEvents
	rs.mu.Lock()
	if rs.draining || !rs.started || len(rs.active) >= s.cfg.Background.Workers {
		rs.mu.Unlock()
		return false
	}
	if rs.active[j.ID] != nil {
		rs.mu.Unlock()
		return true
	}
	rs.active[j.ID] = r
	rs.begins(j.Tenant)
	rs.work.Add(1)
	rs.count()
	rs.mu.Unlock()
	if !r.take(rs.owner) {
		rs.leave(r)
		return true
	}
	rs.mu.Lock()
	delete(rs.waiting, j.key)
	rs.count()
	rs.mu.Unlock()
	go func() {
		defer rs.leave(r)
		r.make()
	}()
	return true
}

// leave frees the worker of a response.
func (rs *runs) leave(r *liveRun) {
	r.events.end()
	rs.mu.Lock()
	if rs.active[r.id] == r {
		delete(rs.active, r.id)
	}
	more := len(rs.waiting) > 0
	rs.count()
	rs.mu.Unlock()
	if more {
		rs.nudge()
	}
	rs.work.Done()
}

// take makes the job this process's, and the response its to write.
func (r *liveRun) take(owner string) bool {
	s, j := r.server, r.job
	state, err := s.run(r.tenant, r.id)
	switch {
	case isNotFound(err):
		s.dropJob(j.key)
		return false
	case err != nil:
		return false
	case state.over():
		s.dropJob(j.key)
		return false
	case state.Status != statusQueued:
		return false // whoever took it has yet to say so in the job, or is lost
	}
	j.Owner, j.Until = owner, time.Now().Add(s.cfg.Background.Lease.Std())
	if s.putJob(j, j.version) != nil {
		return false
	}
	state.Status, state.Owner = statusInProgress, owner
	state.Attempt++
	w := []store.DocWrite{state.write(r.id, state.version, time.Now().Add(s.runTTL()))}
	if err := s.store.Commit(storeContext(), r.tenant, &store.Batch{Put: w}); err != nil {
		// Cancelled at this very moment, or the store is gone: the lease ends by itself.
		if isConflict(err) {
			s.dropEnded(j)
		}
		return false
	}
	state.version = w[0].Version
	r.state = state
	r.rerun = s.cfg.Background.Rerun
	return true
}

// make makes the response.
func (r *liveRun) make() {
	s := r.server
	began := time.Now()
	request, body, err := s.runRequest(r.tenant, r.id)
	var secrets []string
	if err == nil {
		secrets, err = request.secrets(s, r.tenant)
	}
	if err == nil && r.state.Stream {
		err = r.resumeLog()
	}
	if err != nil {
		s.log.Error("a background response cannot be begun", zap.String("response_id", r.id), zap.Error(err))
		s.endRun(r.tenant, r.id, proxyError(500, "What this response was to be made of cannot be read by the server that was to make it."))
		return
	}
	var header fasthttp.RequestHeader
	var reply fasthttp.ResponseHeader
	all := slices.Concat(request.Headers, secrets)
	for i := 0; i+1 < len(all); i += 2 {
		header.Set(all[i], all[i+1])
	}
	x := s.detached(&header, &reply, r.tenant, request.Principal, body)
	x.start = began
	x.requestID = append(x.requestID[:0], request.RequestID...)
	r.events.x = x
	x.route, x.status, x.sink, x.acceptedID = metrics.RouteBackground, fasthttp.StatusOK, &r.events, r.id
	x.seeded, x.created = true, r.state.Created
	copy(x.seed[:], request.Seed)
	x.holdQuota()
	r.mu.Lock()
	r.cur = x.client
	r.mu.Unlock()
	stopped := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() { r.watch(stopped) })
	defer func() {
		if p := recover(); p != nil {
			x.errText = s.logFault(x, p)
			x.outcome = metrics.OutcomeError
			r.fail(proxyError(500, "This server has made a mistake. It has been logged as request "+string(x.requestID)+"."))
		}
		r.mu.Lock()
		r.cur = nil
		r.mu.Unlock()
		close(stopped)
		watching.Wait()
		if lost := r.lost.Load(); lost != nil {
			x.errText, x.outcome = (*lost).Error(), metrics.OutcomeCancelled
			s.dropEnded(r.job)
		}
		x.finish()
	}()
	r.turn(x)
}

// turn runs the turn of the response.
func (r *liveRun) turn(x *exchange) {
	err := x.prepareAgain()
	if err == nil {
		x.compacts = x.mustCompact()
	}
	inStream := x.compacts != "" && x.req.Stream // run does it
	if inStream {
		x.keepTurn()
	}
	x.beginTurn()
	x.out = x.turn.Begin(x.out[:0])
	if x.flush() != nil {
		return
	}
	if err == nil && !inStream {
		err = x.askUpstream()
	}
	if err == nil && !inStream {
		// Another upstream may have stood in, or a compaction come first: the turn
		// begins once more, and what it begins with has been said.
		x.beginTurn()
		_ = x.turn.Begin(nil)
	}
	switch {
	case r.lost.Load() != nil:
	case err != nil:
		x.noteError(err)
		x.out = x.turn.Abort(x.out[:0], err)
		_ = x.complete()
	case x.req.Stream:
		x.streaming = true
		x.server.metrics.Streams.Add(1)
		if !inStream {
			x.releaseRequest()
		}
		_ = x.run()
	default:
		if x.compactsOnly() {
			x.turn.FinishWith(nil, x.summary.turn)
		} else if err := x.readWhole(); err != nil {
			x.errText = err.Error()
			x.out = x.turn.Abort(x.out[:0], upstreamFailure(err))
		}
		_ = x.complete()
	}
}

// prepareAgain prepares the request, which could be prepared when it was
// accepted. Only a conversation in which another response is being made is a
// reason to wait.
func (x *exchange) prepareAgain() *translate.Error {
	const pause = 250 * time.Millisecond
	for end := time.Now().Add(conversationWait); ; time.Sleep(pause) {
		err := x.prepare()
		if err == nil || err.Code != "conversation_locked" || x.up.Cancelled() != nil || time.Now().After(end) {
			return err
		}
	}
}

// commit ends the response: what it came to is in the store, all of it, or
// nothing is. Nobody is told of the end before. dst is empty, and stays so: the
// last events go by way of the store.
func (r *liveRun) commit(x *exchange, dst []byte) []byte {
	s := r.server
	mark := len(dst)
	if errors.Is(x.up.Cancelled(), errDraining) && r.rerun && !r.produced && x.turn.Failure() != nil && r.handBack() {
		return dst
	}
	stored := x.req.Store
	for try := 0; ; try++ {
		now := time.Now()
		dst = dst[:mark]
		if x.req.Stream {
			dst = x.turn.Terminal(dst, now.Unix(), stored, try > 0)
		} else {
			dst = x.turn.Response(dst, now.Unix(), stored)
		}
		err := r.settle(x, dst[mark:], now)
		switch {
		case err == nil:
			s.dropJob(r.job.key)
			return dst[:mark]
		case r.lost.Load() != nil:
			return dst[:mark]
		case errors.Is(err, errEventsKept): // and now the rest
		case errors.Is(err, errLeftConversation):
			x.turn.LeaveConversation()
		case errors.Is(err, store.ErrTooLarge), errors.Is(err, store.ErrFull):
			x.storeFailed, x.errText = true, err.Error()
			s.metrics.StoreErrors.Add(1)
			r.fail(proxyError(500, "The response could not be stored."))
			return dst[:mark]
		default:
			// Until the lease ends it is ours to try.
			x.storeFailed, x.errText = true, err.Error()
			s.metrics.StoreErrors.Add(1)
			if errors.Is(x.up.Cancelled(), errDraining) && try > 3 {
				r.lose(errDraining)
			}
			time.Sleep(250 * time.Millisecond)
		}
	}
}

// fail ends the response, when it cannot be ended as it should.
func (r *liveRun) fail(failure *translate.Error) {
	_ = r.events.flush()
	r.over.Store(true)
	r.server.endRun(r.tenant, r.id, failure)
}

// acceptedEvents is how many events are said when a response is accepted: see
// translate.Turn.Queue.
const acceptedEvents = 2

// resumeLog finds out where the events of the response go on. Some were said when
// it was accepted, and maybe some by an earlier attempt.
func (r *liveRun) resumeLog() error {
	entries, _, err := r.server.store.Entries(storeContext(), r.tenant, runLog(r.id), store.Page{Descending: true, Limit: 1})
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		return errors.New("its events are gone")
	}
	next := entries[0].Seq + 1
	l := &r.events
	l.mu.Lock()
	defer l.mu.Unlock()
	l.first = next
	l.skip = int(next - acceptedEvents) // small: an attempt that produced something is not made again
	l.announce()
	return nil
}

// errEventsKept: some of the events were in the store already; the end can be
// written now.
var errEventsKept = errors.New("events of the response were stored before")

var errLeftConversation = errors.New("the conversation is gone, or locked by another")

// settle writes the end of the response, whose last words are tail.
func (r *liveRun) settle(x *exchange, tail []byte, now time.Time) error {
	s, l := r.server, &r.events
	l.flushing.Lock()
	defer l.flushing.Unlock()
	if lost := r.lost.Load(); lost != nil {
		return *lost
	}
	l.mu.Lock()
	events := slices.Clip(l.pending)
	l.mu.Unlock()
	rec := x.record(tail, now)
	state := *r.state
	state.Status = x.turn.Status()
	kept := rec
	if !x.req.Store {
		kept = nil
		s.dropFetched(r.tenant, r.id)
	} else {
		x.keepFetched(rec.ID, rec.Expires)
	}
	if x.req.Stream {
		events = splitEvents(events, tail)
	}
	l.mu.Lock()
	events = l.named(events)
	l.mu.Unlock()
	batch := s.settleBatch(r.id, &state, kept, rec.Response, events)
	joins := x.joins()
	var lock uint64
	if joins {
		joined, version, err := x.joinBatch(rec)
		if err != nil {
			return err
		}
		lock = version
		batch.Append = append(batch.Append, joined.Append...)
		batch.Delete = append(batch.Delete, joined.Delete...)
	}
	r.committing.Store(true)
	defer r.committing.Store(false)
	err := s.store.Commit(storeContext(), r.tenant, batch)
	if err == nil {
		r.over.Store(true)
		l.end()
		return nil
	}
	if joins {
		x.place.restore(lock)
	}
	if !isConflict(err) {
		return err
	}
	if now, loadErr := s.run(r.tenant, r.id); isNotFound(loadErr) || loadErr == nil && now.version != r.state.version {
		if loadErr == nil && now.over() && now.Owner == r.state.Owner {
			r.over.Store(true)
			l.end() // it was we: only the store's answer was lost
			return nil
		}
		r.lose(errRunTaken)
		return errRunTaken
	} else if loadErr != nil {
		return loadErr
	}
	if l.caughtUp() == nil {
		return errEventsKept
	}
	if joins {
		return errLeftConversation
	}
	return err
}
