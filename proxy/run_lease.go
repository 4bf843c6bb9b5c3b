package proxy

import (
	"context"
	"time"

	"github.com/valyala/fasthttp"
	"go.uber.org/zap"

	"github.com/antiphon-proxy/antiphon/proxy/metrics"
	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/translate"
)

// maxAttempts is how often a response is begun.
const maxAttempts = 3

// skew is by how much the clocks of two replicas may differ: a lease is over for
// others so much later than for the one that holds it.
func (rs *runs) skew() time.Duration { return rs.server.cfg.Background.Lease.Std() / 3 }

// watch renews the lease of a response, and notices when it was ended by somebody
// else, until stopped.
func (r *liveRun) watch(stopped <-chan struct{}) {
	s := r.server
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-stopped:
		case <-ctx.Done():
		}
		cancel()
	}()
	lease := s.cfg.Background.Lease.Std()
	// Whoever ends the response says so in a log that nothing else is in. Should
	// the word get lost, the state is looked at as well.
	look := min(lease/6, 500*time.Millisecond)
	renewed := time.Now()
	for ctx.Err() == nil && r.lost.Load() == nil {
		wait, end := context.WithTimeout(ctx, look)
		err := s.store.Wait(wait, r.tenant, runStop(r.id), 0)
		failed := err != nil && wait.Err() == nil
		end()
		if failed || err == nil {
			sleep(ctx, 50*time.Millisecond) // not to ask in a circle
		}
		if ctx.Err() != nil {
			return
		}
		state, err := s.run(r.tenant, r.id)
		if err == nil && state.version != r.state.version || isNotFound(err) {
			if r.over.Load() {
				return
			}
			if r.committing.Load() {
				continue // it may be we who have just ended it
			}
			r.lose(errRunTaken)
			return
		}
		if time.Since(renewed) >= lease/3 && r.renew(lease) {
			renewed = time.Now()
		}
		if time.Since(renewed) > lease {
			r.lose(errRunLease)
		}
	}
}

// renew makes the lease last longer.
func (r *liveRun) renew(lease time.Duration) bool {
	r.leasing.Lock()
	defer r.leasing.Unlock()
	if r.job.Owner == "" {
		return true // handed back
	}
	next := *r.job
	next.Until = time.Now().Add(lease)
	switch err := r.server.putJob(&next, r.job.version); {
	case err == nil:
		*r.job = next
		return true
	case isConflict(err):
		// Taken by somebody, or a renewal was made without our hearing of it.
		mine := false
		_ = r.server.jobs(func(j *job) {
			if j.key == r.job.key && j.Owner == r.job.Owner {
				*r.job, mine = *j, true
			}
		})
		return mine
	}
	return false
}

// handBack gives a response that has produced nothing back to the queue.
func (r *liveRun) handBack() bool {
	r.leasing.Lock()
	defer r.leasing.Unlock()
	if !r.server.requeue(r.tenant, r.id, r.state) {
		return false
	}
	free := *r.job
	free.Owner, free.Until = "", time.Time{}
	if r.server.putJob(&free, r.job.version) == nil {
		*r.job = free
	}
	handed := errDraining
	r.lost.CompareAndSwap(nil, &handed)
	return true
}

// requeue makes a response that was in progress one that waits.
func (s *Server) requeue(tenant, id string, state *runState) bool {
	again := *state
	again.Status, again.Owner = statusQueued, ""
	err := s.store.Commit(storeContext(), tenant, &store.Batch{
		Put: []store.DocWrite{again.write(id, state.version, time.Now().Add(s.runTTL()))},
	})
	if err != nil {
		return false
	}
	s.metrics.Reruns.Add(1)
	return true
}

// recover deals with a job whose worker has not given a sign of life for the time
// of a lease.
func (rs *runs) recover(j *job) {
	s := rs.server
	state, err := s.run(j.Tenant, j.ID)
	switch {
	case isNotFound(err), err == nil && state.over():
		s.dropJob(j.key)
		return
	case err != nil:
		return
	}
	j.Owner, j.Until = rs.owner, time.Now().Add(s.cfg.Background.Lease.Std())
	if s.putJob(j, j.version) != nil {
		return // another replica was first, or the worker lives
	}
	free := func() {
		j.Owner, j.Until = "", time.Time{}
		_ = s.putJob(j, j.version)
		rs.nudge()
	}
	if state.Status == statusQueued { // lost before it was begun
		free()
		return
	}
	s.metrics.Orphans.Add(1)
	s.log.Warn("a background response was lost with its process", zap.String("response_id", j.ID), zap.String("owner", state.Owner))
	if s.cfg.Background.Rerun && state.Attempt < maxAttempts && !s.produced(j.Tenant, j.ID, state) && s.requeue(j.Tenant, j.ID, state) {
		free()
		return
	}
	s.endRun(j.Tenant, j.ID, proxyError(500, "The server that was making this response was lost."))
}

// produced reports whether a response has any output on record.
func (s *Server) produced(tenant, id string, state *runState) bool {
	if !state.Stream {
		return false
	}
	entries, more, err := s.store.Entries(storeContext(), tenant, runLog(id), store.Page{Limit: 8})
	if err != nil || more {
		return true // what is not known is not risked
	}
	for i := range entries {
		if entries[i].Seq >= 2 && hasOutput(entries[i:i+1]) {
			return true
		}
	}
	return false
}

// endRun fails a response in the place of the turn that it was made by.
func (s *Server) endRun(tenant, id string, failure *translate.Error) {
	var header fasthttp.RequestHeader
	var reply fasthttp.ResponseHeader
	x := s.detached(&header, &reply, tenant, "", nil)
	x.route, x.status = metrics.RouteBackground, fasthttp.StatusOK
	defer x.finish()
	if _, err := s.endOnBehalf(x, id, failure); err != nil {
		x.outcome = metrics.OutcomeError
		if x.errText == "" {
			x.errText = err.Error()
		}
		return
	}
	x.outcome = metrics.OutcomeFailed
	x.noteError(failure)
}

// endOnBehalf ends a response that another turn has begun: it fails, or without
// a failure is cancelled. It returns the response. x is an exchange of the tenant
// that has not been used for another request. errRunOver: it has ended already.
func (s *Server) endOnBehalf(x *exchange, id string, failure *translate.Error) ([]byte, error) {
	const tries = 10
	var err error
	for range tries {
		var state *runState
		if state, err = s.run(x.tenant, id); err != nil {
			return nil, err
		}
		if state.over() {
			s.dropJob(jobKey(state.Created, id))
			return nil, errRunOver
		}
		var response []byte
		if response, err = s.endOnce(x, id, state, failure); err == nil {
			s.dropJob(jobKey(state.Created, id))
			if r := s.runs.find(x.tenant, id); r != nil {
				r.lose(errRunTaken)
			}
			return response, nil
		}
		if !isConflict(err) {
			return nil, err
		}
	}
	return nil, err
}

// endOnce tries it for a response in that state.
func (s *Server) endOnce(x *exchange, id string, state *runState, failure *translate.Error) ([]byte, error) {
	request, body, err := s.runRequest(x.tenant, id)
	if err != nil {
		return nil, err
	}
	x.body = append(grow(x.body, len(body)), body...)
	if err := x.req.Parse(x.body, s.requestLimits); err != nil {
		return nil, err
	}
	copy(x.seed[:], request.Seed)
	x.seeded, x.created = true, state.Created
	x.beginTurn()
	next, output, err := s.recovered(x.tenant, id, state)
	if err != nil {
		return nil, err
	}
	x.turn.Resume(next, output)
	if failure == nil {
		x.turn.Cancel()
	} else {
		x.turn.Abort(nil, failure)
	}
	now := time.Now()
	ended := *state
	ended.Status, ended.Lost = x.turn.Status(), failure != nil
	var events []store.Entry
	out := x.out[:0]
	if state.Stream && failure != nil {
		out = x.turn.Terminal(out, now.Unix(), state.Store, false)
		events = splitEvents(nil, out)
	} else {
		out = x.turn.Response(out, now.Unix(), state.Store)
	}
	x.out = out
	var rec *store.Record
	if refs := x.req.References(); state.Store {
		fault := (*translate.Error)(nil)
		if refs != nil {
			var items [][]byte
			if items, fault = s.references(x, refs, x.req.ConversationID(), x.req.ReferencePath); fault == nil {
				fault = x.req.Resolve(items)
			}
		}
		if fault == nil { // else it can be shown, but not continued
			rec = x.record(out, now)
		}
	}
	written, _ := x.turn.Written(out)
	response := append([]byte(nil), written...)
	ended.Owner = ""
	batch := s.settleBatch(id, &ended, rec, response, events)
	batch.Append = append(batch.Append, store.LogAppend{
		Log: runStop(id), Entries: []store.Entry{{}}, Expires: now.Add(unstoredFor),
	})
	return response, s.store.Commit(storeContext(), x.tenant, batch)
}

// recovered is what the events on record add up to: the number of the next one,
// and the output items, with commas between them.
func (s *Server) recovered(tenant, id string, state *runState) (next int, output []byte, err error) {
	if !state.Stream {
		return 0, nil, nil
	}
	var sum translate.Recovery
	page := store.Page{Limit: 500}
	for {
		entries, more, err := s.store.Entries(storeContext(), tenant, runLog(id), page)
		if err != nil {
			return 0, nil, err
		}
		for i := range entries {
			sum.Feed(entries[i].Body)
		}
		if !more || len(entries) == 0 {
			return sum.Next(), sum.Output(), nil
		}
		page.AfterSeq = &entries[len(entries)-1].Seq
	}
}

// dropEnded takes a job out of the queue if its response has ended.
func (s *Server) dropEnded(j *job) {
	state, err := s.run(j.Tenant, j.ID)
	if isNotFound(err) || err == nil && state.over() {
		s.dropJob(j.key)
	}
}

// cancelAll ends what is being made here.
func (rs *runs) cancelAll(cause error) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for _, r := range rs.active {
		r.cancel(cause)
	}
}

// drain takes no more work, and waits for what is being made. What waits stays in
// the queue, for another replica or another life.
func (rs *runs) drain() {
	rs.mu.Lock()
	started := rs.started && !rs.draining
	rs.draining = true
	rs.mu.Unlock()
	if !started {
		return
	}
	close(rs.stop)
	rs.looped.Wait()
	rs.work.Wait()
}

// sleep waits, but not longer than ctx lasts.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
