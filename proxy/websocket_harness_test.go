package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/antiphon-proxy/antiphon/translate/streamcheck"
)

// peer is a client in WebSocket mode, with a library that is not the server's.
// All streams that it gets are checked like those of HTTP.
type peer struct {
	t    testing.TB
	r    *rig
	conn *websocket.Conn
	held map[string][]frame // by lane: read while another lane was waited for
}

// frame is one message of the server.
type frame struct {
	Type     string
	StreamID string `json:"stream_id"`
	Status   int
	Error    *apiError
	Delta    string
	Response json.RawMessage
	raw      []byte
}

func (r *rig) upgrade(headers ...string) (*websocket.Conn, *http.Response, error) {
	h := http.Header{}
	if !r.noKey {
		h.Set("Authorization", canaryKey)
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		h.Set(name, value)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return websocket.Dial(ctx, "ws://"+r.addr+"/v1/responses", &websocket.DialOptions{HTTPHeader: h})
}

func (r *rig) socket(headers ...string) *peer {
	r.t.Helper()
	c, resp, err := r.upgrade(headers...)
	if err != nil {
		r.t.Fatalf("upgrade: %v, %v", err, resp)
	}
	c.SetReadLimit(-1)
	r.t.Cleanup(func() { _ = c.CloseNow() })
	return &peer{t: r.t, r: r, conn: c, held: map[string][]frame{}}
}

func (p *peer) send(message string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := p.conn.Write(ctx, websocket.MessageText, []byte(message)); err != nil {
		p.t.Errorf("sending: %v", err)
	}
}

// create sends a response.create with these members.
func (p *peer) create(members string) {
	p.t.Helper()
	p.send(`{"type":"response.create","model":"m",` + members + `}`)
}

// any reads the next message of any lane.
func (p *peer) any() (f frame, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	kind, raw, err := p.conn.Read(ctx)
	if err != nil {
		return f, err
	}
	if kind != websocket.MessageText {
		p.t.Errorf("a message of kind %v", kind)
	}
	if err := json.Unmarshal(raw, &f); err != nil || bytes.ContainsAny(raw, "\n\r") {
		p.t.Errorf("not one line of JSON: %v: %s", err, raw)
	}
	f.raw = raw
	return f, nil
}

// next reads the next message of a lane.
func (p *peer) next(lane string) frame {
	p.t.Helper()
	if q := p.held[lane]; len(q) > 0 {
		p.held[lane] = q[1:]
		return q[0]
	}
	for {
		f, err := p.any()
		if err != nil {
			p.t.Fatalf("waiting for a message of lane %q: %v", lane, err)
		}
		if f.StreamID == lane {
			return f
		}
		p.held[f.StreamID] = append(p.held[f.StreamID], f)
	}
}

// until reads up to a message of that type.
func (p *peer) until(lane, typ string) (f frame) {
	p.t.Helper()
	for f.Type != typ {
		f = p.next(lane)
	}
	return f
}

// result is what became of one response: its response object, or an error.
type result struct {
	response
	fault  *apiError
	status int
	stream []byte // the messages, as server-sent events
}

// result reads a lane up to the end of the response, and checks its events.
func (p *peer) result(lane string) (v result) {
	p.t.Helper()
	for {
		f := p.next(lane)
		if f.Type == "error" {
			v.fault, v.status = f.Error, f.Status
			if f.Status == 0 || f.Error == nil || f.Error.Code == "" || f.Error.Message == "" {
				p.t.Errorf("not an error of the API: %s", f.raw)
			}
			if v.stream == nil {
				return v
			}
		}
		v.stream = fmt.Appendf(v.stream, "event: %s\ndata: %s\n\n", f.Type, f.raw)
		switch f.Type {
		case "response.completed", "response.incomplete", "response.failed":
			checkStream(p.t, streamcheck.Options{OpenResponses: p.r.cfg.Stream.OpenResponsesNames}, v.stream)
			if err := json.Unmarshal(f.Response, &v.response); err != nil {
				p.t.Errorf("%v: %s", err, f.raw)
			}
			v.raw = f.Response
			return v
		}
	}
}

// turn makes a response on the default lane that must succeed.
func (p *peer) turn(members string) result {
	p.t.Helper()
	p.create(members)
	v := p.result("")
	if v.fault != nil {
		p.t.Errorf("%d %+v", v.status, v.fault)
	}
	return v
}

// closed waits for the connection to end, and returns the code.
func (p *peer) closed() websocket.StatusCode {
	p.t.Helper()
	for {
		if _, err := p.any(); err != nil {
			var e websocket.CloseError
			if !errors.As(err, &e) {
				return -1
			}
			return e.Code
		}
	}
}

func (v *result) wantFault(t testing.TB, status int, code string) {
	t.Helper()
	if v.fault == nil || v.status != status || v.fault.Code != code {
		t.Errorf("got %d %+v, want %d %s; %s", v.status, v.fault, status, code, v.raw)
	}
}
