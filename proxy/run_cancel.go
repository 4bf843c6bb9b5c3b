package proxy

import (
	"errors"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/translate"
)

// errRunOver says that a response has ended already.
var errRunOver = errors.New("the response has ended")

// cancel answers POST /responses/{id}/cancel. The end is written here, whoever
// makes the response: it is stopped by that.
func (s *Server) cancel(x *exchange, id string) bool {
	response, err := s.cancelled(x, id)
	if err != nil {
		x.respondError(x.ctx, err)
		return false
	}
	x.turnUsed = false
	x.respondJSON(response)
	return false
}

func (s *Server) cancelled(x *exchange, id string) ([]byte, *translate.Error) {
	for {
		state, err := s.run(x.tenant, id)
		if isNotFound(err) {
			if _, err := s.stored(x, id); err != nil {
				return nil, err
			}
			return nil, clientError(400, "", "", "Cannot cancel a synchronous response.")
		}
		if err != nil {
			return nil, storeError(err)
		}
		switch {
		case !state.over():
			response, err := s.endOnBehalf(x, id, nil)
			switch {
			case err == nil:
				return response, nil
			case isNotFound(err), errors.Is(err, errRunOver):
				continue
			}
			x.errText = err.Error()
			return nil, storeError(err)
		case state.Stream && state.Status != statusCancelled:
			return nil, clientError(400, "", "", "Cannot cancel a completed response")
		}
		return s.runResponse(x, id, state)
	}
}

// runResponse is the response object of a background response as it stands.
func (s *Server) runResponse(x *exchange, id string, state *runState) ([]byte, *translate.Error) {
	if len(state.Response) > 0 {
		return state.snapshot(), nil
	}
	rec, err := s.stored(x, id)
	if err != nil {
		return nil, err
	}
	return rec.Response, nil
}

// removeRun deletes what is kept of a background response beside its record.
// there says that there was something that a client could have fetched.
func (s *Server) removeRun(x *exchange, id string) (there bool, err *translate.Error) {
	state, stateErr := s.run(x.tenant, id)
	switch {
	case isNotFound(stateErr):
		return false, nil
	case stateErr != nil:
		return false, storeError(stateErr)
	case !state.over():
		return false, clientError(400, "", "", "Cannot delete an in-flight response.")
	}
	commitErr := s.store.Commit(storeContext(), x.tenant, &store.Batch{
		Delete: []store.Condition{{Kind: kindRun, Key: id, Version: store.AnyVersion}},
		Drop:   []string{runLog(id)},
	})
	if commitErr != nil {
		return false, storeError(commitErr)
	}
	return len(state.Response) > 0 && time.Since(state.Ended) < unstoredFor, nil
}
