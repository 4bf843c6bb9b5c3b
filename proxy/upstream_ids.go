package proxy

import (
	"bytes"
	"errors"
	"io"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/translate"
	"github.com/antiphon-proxy/antiphon/translate/jsonx"
	"github.com/antiphon-proxy/antiphon/translate/sse"
)

// With API keys of our own, all principals use the operator's account at the upstream,
// and what the upstream keeps, it keeps for all of them alike. So what it makes for one
// (responses, their items, conversations, files) is written down as that one's, under
// its id, before the client hears of it; for others it does not exist. What is not
// written down is nobody's: ids from before, or of another program with the same
// account.
//
// Without keys of our own the client's credential goes up, and the upstream decides.

// kindUpstreamID are the documents that say that an id of the upstream's is the tenant's.
const kindUpstreamID = "upstream_id"

// separates reports whether what upstreams keep has to be told apart here.
func (s *Server) separates() bool { return s.keys.Load() != nil }

// owns reports whether the upstream has made what has that id for the exchange's tenant.
func (s *Server) owns(x *exchange, id string) (bool, *translate.Error) {
	doc, err := s.store.Doc(storeContext(), x.tenant, kindUpstreamID, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return false, nil
	case err != nil:
		x.errText = err.Error()
		return false, storeError(err)
	}
	if ttl := s.cfg.Store.TTL.Std(); time.Until(doc.Expires) < ttl/2 { // it is in use
		_ = x.own([]string{id})
	}
	return true, nil
}

// own writes down that ids are the tenant's.
func (x *exchange) own(ids []string) error {
	s := x.server
	batch := &store.Batch{}
	seen := map[string]bool{}
	for _, id := range ids {
		if id != "" && len(id) <= maxUpstreamID && !seen[id] {
			seen[id] = true
			batch.Put = append(batch.Put, store.DocWrite{
				Doc: &store.Doc{Kind: kindUpstreamID, Key: id, Expires: time.Now().Add(s.cfg.Store.TTL.Std()), Body: []byte("1")},
				If:  store.AnyVersion,
			})
		}
	}
	if len(batch.Put) == 0 {
		return nil
	}
	err := s.store.Commit(storeContext(), x.tenant, batch)
	if err != nil {
		x.storeFailed, x.errText = true, err.Error()
		s.metrics.StoreErrors.Add(1)
	}
	return err
}

// maxUpstreamID bounds the length of an id that is looked up or written down.
const maxUpstreamID = 512

// ownsBody refuses a request in x.body that names what is not the tenant's: a response
// or a conversation to go on with, an item, a file, a container, a store of vectors.
func (x *exchange) ownsBody() *translate.Error {
	if !x.server.separates() {
		return nil
	}
	var d jsonx.Doc
	if err := d.Parse(x.body, x.server.requestLimits.Limits); err != nil { // readers disagree on what else there is in it
		return clientError(400, "", "", "We could not parse the JSON body of your request: "+err.Error()+".")
	}
	return x.ownsNamed(&d, jsonx.Root, "")
}

// ownsNamed is ownsBody for a value; key is that of the member that it is.
func (x *exchange) ownsNamed(d *jsonx.Doc, n uint32, key string) *translate.Error {
	switch d.Kind(n) {
	case jsonx.String:
		if namesUpstreamID(key) {
			return x.ownsOne(d.Text(n), key)
		}
	case jsonx.Array:
		for v, end := d.First(n), d.End(n); v < end; v = d.Next(v) {
			if err := x.ownsNamed(d, v, key); err != nil {
				return err
			}
		}
	case jsonx.Object:
		named := key == "conversation" || d.Is(d.Get(n, "type"), "item_reference")
		if typ := d.Get(n, "type"); typ == 0 && d.Get(n, "id") != 0 && d.Get(n, "role") == 0 && d.Len(n) == 1 {
			named = true // {"id": …} is a reference too
		}
		for k, end := d.First(n), d.End(n); k < end; k = d.Next(k + 1) {
			name := d.Text(k)
			switch name {
			case "metadata", "arguments", "schema", "parameters", "user", "instructions", "text":
				continue
			case "id":
				if named && d.Kind(k+1) == jsonx.String {
					if err := x.ownsOne(d.Text(k+1), key); err != nil {
						return err
					}
				}
				continue
			}
			if err := x.ownsNamed(d, k+1, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// namesUpstreamID reports whether a member's text is the id of what an upstream keeps.
func namesUpstreamID(key string) bool {
	switch key {
	case "previous_response_id", "response_id", "conversation", "conversation_id", "file_id", "file_ids", "input_file_id", "training_file",
		"validation_file", "vector_store_id", "vector_store_ids", "container", "container_id", "assistant_id", "thread_id":
		return true
	}
	return false
}

func (x *exchange) ownsOne(id, key string) *translate.Error {
	if id == "" {
		return nil
	}
	mine, err := x.server.owns(x, id)
	switch {
	case err != nil:
		return err
	case mine:
		return nil
	case key == "previous_response_id":
		return previousError(id, store.ErrNotFound)
	}
	return clientError(fasthttp.StatusNotFound, "", "", "No object found with id '"+clip(id)+"'.")
}

// upstreamIDs takes the ids out of a reply that is passed on.
type upstreamIDs struct{ events sse.Decoder }

// ownsReply has the ids in the reply to a request for that path written down: what it
// makes, and what belongs to what it names.
func (x *exchange) ownsReply(path string) {
	if x.server.separates() && !passedByDefault(string(x.header.Method()), path) && (x.mine || string(x.header.Method()) == fasthttp.MethodPost) {
		x.owning = &upstreamIDs{}
	}
}

// ownReply takes in a piece of a reply that is passed on, and writes down the ids in it.
// A reply that is no stream has to be there as a whole.
func (x *exchange) ownReply(piece []byte) {
	if !isEventStream(&x.up.Header) {
		x.ownObject(piece)
		return
	}
	events := &x.owning.events
	events.Feed(piece)
	for e, ok := events.Next(); ok; e, ok = events.Next() {
		if bytes.Contains(e.Data, []byte(`"response"`)) || bytes.Contains(e.Data, []byte("output_item.")) {
			x.ownObject(e.Data)
		}
	}
}

// ownObject writes down the ids in a reply, or in an event: its own, those of the
// response or the item in it, and those of what a response consists of.
func (x *exchange) ownObject(data []byte) {
	var d jsonx.Doc
	if d.Parse(data, jsonx.Limits{}) != nil || d.Kind(jsonx.Root) != jsonx.Object {
		return
	}
	var ids []string
	add := func(n uint32) {
		if n != 0 && d.Kind(n) == jsonx.Object {
			for _, key := range [...]string{"id", "container_id"} {
				if v := d.GetString(n, key); v != 0 {
					ids = append(ids, d.Text(v))
				}
			}
		}
	}
	object := func(n uint32) {
		add(n)
		if n != 0 && d.Kind(n) == jsonx.Object {
			add(d.Get(n, "conversation"))
			for _, key := range [...]string{"output", "data"} {
				if key == "data" && !x.mine { // a list of what others have, too
					continue
				}
				if list := d.Get(n, key); list != 0 && d.Kind(list) == jsonx.Array {
					for v, end := d.First(list), d.End(list); v < end; v = d.Next(v) {
						add(v)
					}
				}
			}
		}
	}
	object(jsonx.Root)
	object(d.Get(jsonx.Root, "response"))
	add(d.Get(jsonx.Root, "item"))
	_ = x.own(ids) // it is counted, and what is not written down is nobody's
}

// readOwned reads on in a reply whose ids are to be written down.
func (x *exchange) readOwned() ([]byte, error) {
	if isEventStream(&x.up.Header) {
		p, err := x.readPassing()
		x.ownReply(p)
		return p, err
	}
	whole := x.parts[:0]
	for {
		p, err := x.readPassing()
		whole = append(whole, p...)
		if err == nil && len(whole) < int(x.backend.cfg.MaxResponseBytes) {
			continue
		}
		x.parts, x.replyErr = whole, err
		if errors.Is(err, io.EOF) && len(whole) > 0 {
			x.ownReply(whole)
			err = nil
		}
		if len(whole) > 0 {
			err = nil // comes with the next call
		}
		return whole, err
	}
}
