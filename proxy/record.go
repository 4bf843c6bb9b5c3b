package proxy

import (
	"bytes"
	"encoding/json"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/translate"
)

// Recording is one exchange as a bug report needs it: what went in on both sides.
// What came out is made again from that. Nothing of it is a header, and the
// credentials of tools are taken out of the bodies, which are otherwise as they were.
type Recording struct {
	RequestID string
	// Chat says that the client spoke Chat Completions, to a Responses backend.
	Chat bool
	// Dialect is the preset, and Facts are what was different from it.
	Dialect string
	Facts   []translate.Fact
	Model   string // the backend's name for the model, if it is another
	Strict  bool

	NamePrefix, FinalOnly bool // of a chat request for a Responses backend

	Client     []byte   // the client's request
	History    []byte   // stored turns before it: [{"input":…,"output":…}, …], or nil
	References [][]byte // the stored items that item references stand for

	Upstream []byte // the request to the backend
	Status   int    // of its reply; 0 if there was none
	Stream   bool   // the reply is an event stream
	Reply    []byte // its body as it came
}

// recordBytes bounds what is kept of one reply.
const recordBytes = 64 << 20

// tap collects what goes to the upstream and what comes back, if the exchange is
// recorded. It is called before each attempt.
func (x *exchange) tap() {
	if x.server.record == nil {
		return
	}
	if x.recording == nil {
		x.recording = &Recording{Client: bytes.Clone(x.body)} // the store may get the body later
	}
	r := x.recording
	r.Upstream, r.Reply = bytes.Clone(x.wireBody()), nil
	x.up.Tap = func(p []byte) {
		if len(r.Reply)+len(p) <= recordBytes {
			r.Reply = append(r.Reply, p...)
		}
	}
}

// recorded gives the exchange to whoever records.
func (x *exchange) recorded() {
	r := x.recording
	if r == nil {
		return
	}
	x.recording, x.up.Tap = nil, nil
	r.RequestID = string(x.requestID)
	r.Dialect = x.dialect.Name
	r.Strict = x.server.cfg.Loss == config.LossStrict
	r.Status = x.up.Header.StatusCode()
	r.Stream = isEventStream(&x.up.Header)
	var model string
	if x.front != nil {
		r.Chat, model = true, x.front.req.Model()
		r.NamePrefix, r.FinalOnly = x.backend.cfg.NamePrefix, !x.server.cfg.Stream.ChatCommentary
	} else {
		model = x.req.Model()
		r.History = x.recordedHistory()
		if ids := x.req.References(); ids != nil {
			r.References, _ = x.server.references(x, ids, x.req.ConversationID(), x.req.ReferencePath)
		}
	}
	r.Model, r.Facts = x.backend.modelName(model), x.backend.facts(model)
	r.hideCredentials(x)
	x.server.record(r)
}

// facts are what the dialect for a model differs in from the preset.
func (b *backend) facts(model string) []translate.Fact {
	facts := b.cfg.Overrides.Facts()
	if known := b.learning.models.Load(); known != nil && (*known)[model] != nil {
		for _, f := range (*known)[model].facts {
			facts = append(facts, f.Fact)
		}
	}
	return facts
}

// recordedHistory is what the request continues, turn by turn.
func (x *exchange) recordedHistory() []byte {
	past, err := x.pastItems()
	if err != nil || len(past) == 0 {
		return nil
	}
	type turn struct {
		Input  json.RawMessage `json:"input"`
		Output json.RawMessage `json:"output"`
	}
	var turns []turn
	if x.req.ConversationID() != "" {
		if len(past[0]) == 0 {
			return nil
		}
		turns = []turn{{past[0], noItems}}
	} else {
		for i := 0; i+1 < len(past); i += 2 {
			turns = append(turns, turn{past[i], past[i+1]})
		}
	}
	body, bad := json.Marshal(turns)
	if bad != nil {
		return nil
	}
	return body
}
