package chaos

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/antiphon-proxy/antiphon/e2e/fakemodel"
	"github.com/antiphon-proxy/antiphon/translate/streamcheck"
)

// The models: one answers at once, the other takes its time.
const (
	quick = "quick"
	slow  = "slow"
)

// deepest is how many turns a chain has at most.
const deepest = 24

// echo says which turn it is and what it was asked, so that a history that was
// lost on the way gives itself away.
func echo(gapMS int) (script fakemodel.Script) {
	for i := range deepest + 2 {
		script.Replies = append(script.Replies, fakemodel.Reply{Text: fmt.Sprintf("%d: {{user}}", i), GapMS: gapMS, Piece: 8})
	}
	return script
}

// answer is what came of a request.
type answer struct {
	status int
	header http.Header
	body   []byte
	err    error // the connection was cut, before or in the answer
}

// call makes a request. What was read until the connection was cut is kept.
func (l *load) call(addr, method, path, body string) (a answer) {
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, "http://"+addr+"/v1"+path, r)
	if err != nil {
		return answer{err: err}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer sk-chaos")
	resp, err := l.http.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	a.status, a.header = resp.StatusCode, resp.Header
	a.body, a.err = io.ReadAll(resp.Body)
	return a
}

// object is as much of a response as the ledger looks at.
type object struct {
	ID     string `json:"id"`
	Status string `json:"status"`
	Store  bool   `json:"store"`
	Output []struct {
		Content []struct{ Text string }
	} `json:"output"`
}

func (o *object) text() string {
	if len(o.Output) == 0 || len(o.Output[0].Content) == 0 {
		return ""
	}
	return o.Output[0].Content[0].Text
}

func (o *object) ended() bool { return o.Status != "queued" && o.Status != "in_progress" }

// decode reads a response, which must be one.
func (l *load) decode(raw []byte) (o object) {
	for _, v := range streamcheck.Response(raw) {
		l.t.Errorf("%s in %s", v, raw)
	}
	if err := json.Unmarshal(raw, &o); err != nil {
		l.t.Errorf("%v: %.300s", err, raw)
	}
	return o
}

// stream checks a stream, as far as it has come, and returns the id of its
// response and the object that ended it, or nil.
func (l *load) stream(a answer) (id string, final []byte) {
	raw := a.body
	if a.err != nil {
		raw = raw[:max(bytes.LastIndex(raw, []byte("\n\n"))+2, 0)]
		if len(raw) < 2 {
			return "", nil
		}
	}
	for _, v := range streamcheck.Stream(raw, streamcheck.Options{Unfinished: a.err != nil}) {
		if v.Rule == "terminal.output" && bytes.Contains(raw, []byte("that was making this response was lost.")) {
			continue // events are shown before they are kept: what was lost is not in the response
		}
		l.t.Errorf("%s in %s", v, raw)
	}
	for line := range bytes.Lines(raw) {
		data, ok := bytes.CutPrefix(line, []byte("data: "))
		if !ok {
			continue
		}
		var event struct {
			Type     string
			Response json.RawMessage
		}
		if err := json.Unmarshal(data, &event); err != nil {
			l.t.Errorf("%v: %s", err, data)
			continue
		}
		switch event.Type {
		case "response.created":
			var o object
			_ = json.Unmarshal(event.Response, &o)
			id = o.ID
		case "response.completed", "response.incomplete", "response.failed", "response.cancelled":
			if final != nil {
				l.t.Errorf("a stream has two ends: %s", raw)
			}
			final = event.Response
		}
	}
	return id, final
}

// code is the code of an error.
func (a *answer) code() string {
	var body struct{ Error struct{ Code string } }
	_ = json.Unmarshal(a.body, &body)
	return body.Error.Code
}

// eventually makes a request until it is answered by a store that can be reached.
func (l *load) eventually(method, path, body string) (a answer) {
	for start := time.Now(); time.Since(start) < patience; time.Sleep(20 * time.Millisecond) {
		if a = l.call(l.fleet.any(), method, path, body); a.err == nil && a.status != http.StatusServiceUnavailable {
			return a
		}
	}
	l.t.Errorf("%s %s: %d, %v after %v", method, path, a.status, a.err, patience)
	return a
}
