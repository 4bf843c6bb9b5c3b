package chaos

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/antiphon-proxy/antiphon/translate/streamcheck"
)

// ledger is what clients were told. Methods hold mu.
type ledger struct {
	responses map[string]*promise // completed was received
	runs      map[string]*run     // background: queued was received
	deleted   map[string]bool     // the deletion was confirmed
	uncertain map[string]string   // begun, cut off: by id, what was asked
	talks     []*talk
	fresh     []string // ids of responses that were not looked at yet
}

// promise is a response whose end was received.
type promise struct {
	body  []byte
	asked string
	depth int
}

// run is a background response.
type run struct {
	asked    string
	streamed bool
	end      []byte // its terminal state, once somebody saw it
}

// talk is a conversation. It belongs to one client.
type talk struct {
	id      string
	turns   []string // what was asked, in order, and answered
	pending string   // what was asked, and cut off
}

// keep notes a response that is complete.
func (l *load) keep(body []byte, asked string, depth int) (o object) {
	o = l.decode(body)
	if want := fmt.Sprintf("%d: %s", depth, asked); o.Status != "completed" || o.text() != want {
		l.t.Errorf("the answer is not %q: %s", want, body)
	}
	l.answers.Add(1)
	if !o.Store {
		l.unstored.Add(1)
		return o
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.responses[o.ID] = &promise{body: bytes.Clone(body), asked: asked, depth: depth}
	l.fresh = append(l.fresh, o.ID)
	return o
}

// doubt notes a response that was cut off.
func (l *load) doubt(id, asked string) {
	if id == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.uncertain[id] = asked
}

// verify looks at all that the ledger holds, or at what is new in it and some of
// the rest. No client is at work.
func (l *load) verify(all bool) {
	l.t.Helper()
	ids := l.fresh
	l.fresh = nil
	if all {
		ids = nil
		for id := range l.responses {
			ids = append(ids, id)
		}
	} else {
		for id := range l.responses { // in random order
			if ids = append(ids, id); len(ids)%20 == 0 {
				break
			}
		}
	}
	for _, id := range ids {
		if p := l.responses[id]; p != nil {
			l.verifyResponse(id, p)
		}
	}
	for id, asked := range l.uncertain {
		a := l.eventually(http.MethodGet, "/responses/"+id, "")
		switch a.status {
		case http.StatusNotFound:
		case http.StatusOK: // it was stored, and the news of it was lost
			if o := l.decode(a.body); o.Status != "completed" {
				l.t.Errorf("half a response: %s", a.body)
			}
			l.verifyInput(id, asked)
		default:
			l.t.Errorf("%s, which was cut off: %d %s", id, a.status, a.body)
		}
	}
	clear(l.uncertain)
	for id := range l.deleted {
		if a := l.eventually(http.MethodGet, "/responses/"+id, ""); a.status != http.StatusNotFound {
			l.t.Errorf("%s was deleted: %d %s", id, a.status, a.body)
		}
	}
	if !all {
		clear(l.deleted)
	}
	for _, c := range l.talks {
		if all || c.pending != "" || rand.IntN(8) == 0 {
			l.verifyTalk(c)
		}
	}
	for id, r := range l.runs {
		if all || r.end == nil || rand.IntN(8) == 0 {
			l.verifyRun(id, r)
		}
	}
}

func (l *load) verifyResponse(id string, p *promise) {
	a := l.eventually(http.MethodGet, "/responses/"+id, "")
	if a.status != http.StatusOK || !bytes.Equal(a.body, p.body) {
		l.t.Errorf("acknowledged was\n%s\nand there is %d\n%s", p.body, a.status, a.body)
		return
	}
	l.decode(a.body)
	l.verifyInput(id, p.asked)
	l.verified.Add(1)
}

// list is a page of items.
type list struct {
	Data []struct {
		ID, Role, Type string
		Content        []struct{ Text string }
	}
	More bool `json:"has_more"`
}

func (p *list) texts() (texts []string) {
	for _, item := range p.Data {
		text := item.Role + " "
		if len(item.Content) > 0 {
			text += item.Content[0].Text
		}
		texts = append(texts, text)
	}
	return texts
}

func (l *load) verifyInput(id, asked string) {
	a := l.eventually(http.MethodGet, "/responses/"+id+"/input_items", "")
	var page list
	if err := json.Unmarshal(a.body, &page); err != nil || a.status != http.StatusOK || !slices.Equal(page.texts(), []string{"user " + asked}) {
		l.t.Errorf("the input of %s is not %q: %d %s", id, asked, a.status, a.body)
	}
}

// verifyTalk: a conversation holds the turns that were answered, each whole, and
// the one that was cut off whole or not at all.
func (l *load) verifyTalk(c *talk) {
	a := l.eventually(http.MethodGet, "/conversations/"+c.id+"/items?order=asc&limit=100", "")
	var page list
	if err := json.Unmarshal(a.body, &page); err != nil || a.status != http.StatusOK {
		l.t.Errorf("the conversation %s: %d %s", c.id, a.status, a.body)
		return
	}
	turns := c.turns
	if c.pending != "" && len(page.Data) > 2*len(turns) {
		turns = append(turns, c.pending)
	}
	var want []string
	for n, asked := range turns {
		want = append(want, "user "+asked, fmt.Sprintf("assistant %d: %s", n, asked))
	}
	if got := page.texts(); !slices.Equal(got, want) {
		l.t.Errorf("the conversation %s (cut off: %q) holds\n%q\nnot\n%q", c.id, c.pending, got, want)
	}
	c.turns, c.pending = turns, ""
}

// verifyRun: a background response is there, and when it has ended it stays as
// it is.
func (l *load) verifyRun(id string, r *run) (ended bool) {
	a := l.eventually(http.MethodGet, "/responses/"+id, "")
	if a.status != http.StatusOK {
		l.t.Errorf("%s, which was queued: %d %s", id, a.status, a.body)
		return true
	}
	o := l.decode(a.body)
	if !o.ended() {
		if r.end != nil {
			l.t.Errorf("it had ended as\n%s\nand is\n%s", r.end, a.body)
		}
		return false
	}
	if r.end != nil {
		if !bytes.Equal(a.body, r.end) {
			l.t.Errorf("it had ended as\n%s\nand as\n%s", r.end, a.body)
		}
		return true
	}
	r.end = bytes.Clone(a.body)
	switch o.Status {
	case "completed":
		if o.text() != "0: "+r.asked {
			l.t.Errorf("not what was asked, %q: %s", r.asked, a.body)
		}
	case "failed", "cancelled":
	default:
		l.t.Errorf("%s", a.body)
	}
	if r.streamed && o.Status != "cancelled" { // that stream just ends
		again := l.eventually(http.MethodGet, "/responses/"+id+"?stream=true", "")
		if _, final := l.stream(again); !sameEnd(final, r.end) {
			l.t.Errorf("the stream ends with\n%s\nand the response is\n%s\nin %s", final, r.end, again.body)
		}
		if fold, err := streamcheck.Fold(again.body, streamcheck.Options{}); err == nil && !sameEnd(fold.Terminal, r.end) {
			l.t.Errorf("the events add up to\n%s\nnot\n%s", fold.Terminal, r.end)
		}
	}
	return true
}

func sameEnd(a, b []byte) bool { return bytes.Equal(bytes.TrimSpace(a), bytes.TrimSpace(b)) }

// settle waits until all background responses have ended.
func (l *load) settle() {
	l.t.Helper()
	for start := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		open := 0
		for id, r := range l.runs {
			if r.end == nil && !l.verifyRun(id, r) {
				open++
			}
		}
		if open == 0 {
			return
		}
		if time.Since(start) > patience {
			l.t.Fatalf("%d background responses never end", open)
		}
	}
}
