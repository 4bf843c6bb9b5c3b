package proxy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/seal"
	"github.com/antiphon-proxy/antiphon/proxy/store"
)

// What is kept of a background response. The first three belong to its tenant;
// jobs belong to nobody, so that workers find them.
const (
	kindRun        = "run"         // runState
	kindRunRequest = "run_request" // runRequest, until the end
	kindJob        = "run_job"     // job, until the end
)

// runLog is the log of a streamed response's events: the entry with the number n
// is the event with that sequence_number. The end is an entry of its own.
func runLog(id string) string { return "run/" + id }

// endOfRun is the key of the entry after the last event.
const endOfRun = "end"

// runStop is the log that wakes the worker when somebody else has ended its
// response.
func runStop(id string) string { return "run_stop/" + id }

// The states of a background response.
const (
	statusQueued     = "queued"
	statusInProgress = "in_progress"
	statusCancelled  = "cancelled"
)

// unstoredFor is how long a response with "store":false can be fetched after its
// end. The API keeps it for about ten minutes.
const unstoredFor = 10 * time.Minute

// runState is the document that says how a background response stands.
type runState struct {
	Status  string    `json:"status"`
	Stream  bool      `json:"stream,omitempty"`
	Store   bool      `json:"store,omitempty"`
	Created time.Time `json:"created"`
	Ended   time.Time `json:"ended,omitzero"`
	Owner   string    `json:"owner,omitempty"` // the process that makes it
	Attempt int       `json:"attempt,omitempty"`
	Lost    bool      `json:"lost,omitempty"` // it was failed in the place of its worker
	// Response is the response object: as it was when it was queued, or after the
	// end if it is in no record.
	Response json.RawMessage `json:"response,omitempty"`

	version uint64
}

func (r *runState) over() bool { return r.Status != statusQueued && r.Status != statusInProgress }

// snapshot is the response object of a response that has not ended.
func (r *runState) snapshot() []byte {
	if r.Status != statusInProgress {
		return r.Response
	}
	// No text before it could hold this: it is ours up to there.
	return bytes.Replace(r.Response, []byte(`"status":"queued"`), []byte(`"status":"`+r.Status+`"`), 1)
}

// write is the write of the document, if it is in that version.
func (r *runState) write(id string, version uint64, expires time.Time) store.DocWrite {
	return store.DocWrite{
		Doc: &store.Doc{Kind: kindRun, Key: id, Expires: expires, Body: mustJSON(r)},
		If:  version, Log: runLog(id), Keep: !r.over(),
	}
}

// runTTL is how long the state of a response is kept: as long as its record.
func (s *Server) runTTL() time.Duration { return max(s.cfg.Store.TTL.Std(), unstoredFor) }

// run returns the state of a background response. ErrNotFound.
func (s *Server) run(tenant, id string) (*runState, error) {
	doc, err := s.store.Doc(storeContext(), tenant, kindRun, id)
	if err != nil {
		return nil, err
	}
	r := &runState{version: doc.Version}
	if err := json.Unmarshal(doc.Body, r); err != nil {
		return nil, fmt.Errorf("state of a background response: %w", err)
	}
	return r, nil
}

// runRequest is what a worker needs to make a response, beside the body of the
// request.
type runRequest struct {
	Seed      []byte   `json:"seed"`
	Principal string   `json:"principal,omitempty"`
	RequestID string   `json:"request_id"`
	Headers   []string `json:"headers,omitempty"` // names and values in turn
	Sealed    []byte   `json:"sealed,omitempty"`  // likewise, the client's credential

	SealedBody bool `json:"sealed_body,omitempty"` // the body is sealed, because its tools have credentials
}

func (r *runRequest) pack(body []byte) []byte {
	head := mustJSON(r)
	all := make([]byte, 0, len(head)+1+len(body))
	return append(append(append(all, head...), '\n'), body...)
}

// runRequest returns the request of a response that has not ended.
func (s *Server) runRequest(tenant, id string) (*runRequest, []byte, error) {
	doc, err := s.store.Doc(storeContext(), tenant, kindRunRequest, id)
	if err != nil {
		return nil, nil, err
	}
	head, body, _ := bytes.Cut(doc.Body, []byte{'\n'})
	r := &runRequest{}
	if err := json.Unmarshal(head, r); err != nil {
		return nil, nil, fmt.Errorf("request of a background response: %w", err)
	}
	if r.SealedBody {
		if body, err = s.openBody(tenant, body); err != nil {
			return nil, nil, fmt.Errorf("request of a background response: %w", err)
		}
	}
	return r, body, nil
}

// secrets are the client's headers that were sealed.
func (r *runRequest) secrets(s *Server, tenant string) (headers []string, err error) {
	if len(r.Sealed) == 0 {
		return nil, nil
	}
	plain, err := s.sealer.Open(nil, tenant, seal.Credential, r.Sealed)
	if err != nil {
		return nil, err
	}
	err = json.Unmarshal(plain, &headers)
	return headers, err
}

// job is a place in the queue. It stays there until the end of the response, and
// says who is at work on it until when.
type job struct {
	Tenant string    `json:"tenant"`
	ID     string    `json:"id"`
	Owner  string    `json:"owner,omitempty"` // none: it waits
	Until  time.Time `json:"until,omitzero"`

	key     string
	version uint64
}

// jobKey puts jobs in the order in which they came.
func jobKey(created time.Time, id string) string {
	return fmt.Sprintf("%013d/%s", created.UnixMilli(), id)
}

// putJob writes a job that is in that version, and notes the new one.
func (s *Server) putJob(j *job, version uint64) error {
	batch := &store.Batch{Put: []store.DocWrite{{
		Doc: &store.Doc{Kind: kindJob, Key: j.key, Body: mustJSON(j), Expires: time.Now().Add(s.runTTL())},
		If:  version, Keep: true,
	}}}
	err := s.store.Commit(storeContext(), store.SystemTenant, batch)
	if err == nil {
		j.version = batch.Put[0].Version
	}
	return err
}

// dropJob takes a job out of the queue: its response has ended.
func (s *Server) dropJob(key string) {
	_ = s.store.Commit(storeContext(), store.SystemTenant, &store.Batch{
		Delete: []store.Condition{{Kind: kindJob, Key: key, Version: store.AnyVersion}},
	})
}

// jobs lists the queue, oldest first.
func (s *Server) jobs(each func(*job)) error {
	page := store.Page{Limit: 200}
	for {
		docs, more, err := s.store.Docs(storeContext(), store.SystemTenant, kindJob, page)
		if err != nil {
			return err
		}
		for _, d := range docs {
			j := &job{key: d.Key, version: d.Version}
			if err := json.Unmarshal(d.Body, j); err != nil {
				continue // not of this version: another replica's to deal with
			}
			each(j)
		}
		if !more || len(docs) == 0 {
			return nil
		}
		page.After = docs[len(docs)-1].Key
	}
}

// settleBatch is the end of a response: its record if it is to be stored, its
// state, and for a stream its last events. It demands the state's version.
func (s *Server) settleBatch(id string, state *runState, rec *store.Record, response []byte, events []store.Entry) *store.Batch {
	now := time.Now()
	end := *state
	end.Ended, end.Response = now, nil
	var expires time.Time
	batch := &store.Batch{}
	if rec != nil {
		batch.Records = []*store.Record{rec}
		expires = rec.Expires
	} else {
		end.Response = response
		expires = now.Add(unstoredFor)
	}
	batch.Put = []store.DocWrite{end.write(id, state.version, expires)}
	batch.Delete = []store.Condition{{Kind: kindRunRequest, Key: id, Version: store.AnyVersion}}
	if end.Stream {
		const slack = time.Minute // until the answer is that it is too late
		batch.Append = []store.LogAppend{{
			Log: runLog(id), Entries: append(events, store.Entry{Key: endOfRun}), Expires: now.Add(s.cfg.Background.ResumeFor.Std() + slack),
		}}
	}
	return batch
}

func isConflict(err error) bool {
	return errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrNotFound)
}

// mustJSON is for what cannot fail.
func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
