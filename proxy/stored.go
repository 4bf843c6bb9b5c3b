package proxy

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"antiphon/proxy/store"
	"antiphon/translate"
	"antiphon/translate/jsonx"
)

// storeTime is how long an exchange waits for the store. One that cannot answer
// in time has failed: the client should not wait for it in vain as well.
const storeTime = 250 * time.Millisecond

// storeDeadline is a context that ends at a time. Its timer only runs when
// somebody waits for it, which a store in memory never does.
type storeDeadline struct {
	context.Context
	end  time.Time
	once sync.Once
	done chan struct{}
}

func storeContext() context.Context {
	return &storeDeadline{Context: context.Background(), end: time.Now().Add(storeTime)}
}

func (c *storeDeadline) Deadline() (time.Time, bool) { return c.end, true }

func (c *storeDeadline) Done() <-chan struct{} {
	c.once.Do(func() {
		c.done = make(chan struct{})
		time.AfterFunc(time.Until(c.end), func() { close(c.done) })
	})
	return c.done
}

func (c *storeDeadline) Err() error {
	if time.Now().Before(c.end) {
		return nil
	}
	return context.DeadlineExceeded
}

// stored returns the tenant's response with that id. One of another tenant does
// not exist.
func (s *Server) stored(x *exchange, id string) (*store.Record, *translate.Error) {
	rec, err := s.store.Get(storeContext(), x.tenant, id)
	switch {
	case err == nil:
		return rec, nil
	case errors.Is(err, store.ErrNotFound):
		return nil, errNoResponse(id)
	}
	return nil, storeDown()
}

func errNoResponse(id string) *translate.Error {
	return clientError(404, "", "", "Response with id '"+clip(id)+"' not found.")
}

// retrieve answers GET /responses/{id} with the object that the client got when
// the response was complete, byte for byte.
func (s *Server) retrieve(x *exchange, id string) bool {
	rec, err := s.stored(x, id)
	if err != nil {
		x.respondError(x.ctx, err)
		return false
	}
	stream, err := x.queryBool("stream")
	switch {
	case err != nil:
		x.respondError(x.ctx, err)
	case stream:
		x.respondError(x.ctx, clientError(400, "", "",
			"This response cannot be streamed because it was not created with background=true."))
	default:
		x.respondJSON(rec.Response)
	}
	return false
}

// remove answers DELETE /responses/{id}.
func (s *Server) remove(x *exchange, id string) bool {
	err := s.store.Delete(storeContext(), x.tenant, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		x.respondError(x.ctx, errNoResponse(id))
	case err != nil:
		x.respondError(x.ctx, storeDown())
	default:
		body := append(x.out[:0], `{"id":`...)
		body = jsonx.AppendString(body, id)
		x.out = append(body, `,"object":"response","deleted":true}`...)
		x.respondJSON(x.out)
	}
	return false
}

// The bounds of a page of input items.
const (
	defaultPage = 20
	maxPage     = 100
)

// inputItems answers GET /responses/{id}/input_items: the items of the request
// itself, newest first unless asked otherwise (SPEC §1.5).
func (s *Server) inputItems(x *exchange, id string) bool {
	rec, err := s.stored(x, id)
	if err != nil {
		x.respondError(x.ctx, err)
		return false
	}
	page, err := x.page()
	if err != nil {
		x.respondError(x.ctx, err)
		return false
	}
	var ids []string
	var items [][]byte
	listed, badRecord := translate.AppendListedInput(nil, rec.Input, rec.ID)
	if badRecord != nil {
		x.respondError(x.ctx, proxyError(500, "The stored input of this response cannot be read."))
		return false
	}
	translate.EachItem(listed, func(id string, item []byte) bool {
		ids, items = append(ids, id), append(items, item)
		return true
	})
	from, to, step := 0, len(items), 1
	if page.descending {
		from, to, step = len(items)-1, -1, -1
	}
	begin := page.after == ""
	out := append(x.out[:0], `{"object":"list","data":[`...)
	first, last, count, more := "", "", 0, false
	for i := from; i != to; i += step {
		switch {
		case !begin:
			begin = ids[i] == page.after
			continue
		case ids[i] == page.before && page.before != "":
			i = to - step
			continue
		case count == page.limit:
			more = true
			i = to - step
			continue
		}
		if count > 0 {
			out = append(out, ',')
		} else {
			first = ids[i]
		}
		out = append(out, items[i]...)
		last = ids[i]
		count++
	}
	if !begin {
		x.respondError(x.ctx, clientError(400, "invalid_value", "after",
			"Invalid 'after': there is no input item with id '"+clip(page.after)+"'."))
		return false
	}
	out = append(out, `],"first_id":`...)
	out = appendID(out, first)
	out = append(out, `,"last_id":`...)
	out = appendID(out, last)
	out = append(out, `,"has_more":`...)
	x.out = append(strconv.AppendBool(out, more), '}')
	x.respondJSON(x.out)
	return false
}

func appendID(dst []byte, id string) []byte {
	if id == "" {
		return append(dst, "null"...)
	}
	return jsonx.AppendString(dst, id)
}

// page is what a list is asked for.
type page struct {
	limit         int
	descending    bool
	after, before string
}

func (x *exchange) page() (p page, err *translate.Error) {
	args := x.ctx.QueryArgs()
	p = page{limit: defaultPage, descending: true, after: string(args.Peek("after")), before: string(args.Peek("before"))}
	if raw := args.Peek("limit"); len(raw) > 0 {
		n, convErr := strconv.Atoi(string(raw))
		switch {
		case convErr != nil:
			return p, clientError(400, "invalid_type", "limit", "Invalid type for 'limit': expected an integer, but got a string instead.")
		case n < 1:
			return p, clientError(400, "integer_below_min_value", "limit", "Invalid 'limit': integer below minimum value. "+
				"Expected a value >= 1, but got "+strconv.Itoa(n)+" instead.")
		case n > maxPage:
			return p, clientError(400, "integer_above_max_value", "limit", "Invalid 'limit': integer above maximum value. "+
				"Expected a value <= 100, but got "+strconv.Itoa(n)+" instead.")
		}
		p.limit = n
	}
	switch order := string(args.Peek("order")); order {
	case "", "desc":
	case "asc":
		p.descending = false
	default:
		return p, clientError(400, "invalid_value", "order", "Invalid value: '"+clip(order)+"'. Supported values are: 'asc' and 'desc'.")
	}
	return p, nil
}

// queryBool reads a query parameter. Some clients (openai-go) send the query of
// a GET as a JSON body.
func (x *exchange) queryBool(name string) (bool, *translate.Error) {
	value := string(x.ctx.QueryArgs().Peek(name))
	if value == "" {
		if err := x.readBody(); err != nil {
			return false, err
		}
		if len(x.body) == 0 {
			return false, nil
		}
		var d jsonx.Doc
		if err := d.Parse(x.body, jsonx.Limits{}); err != nil {
			return false, clientError(400, "", "", "We could not parse the JSON body of your request: "+err.Error()+".")
		}
		switch d.Kind(d.Get(jsonx.Root, name)) {
		case jsonx.True:
			return true, nil
		case jsonx.Missing, jsonx.Null, jsonx.False:
			return false, nil
		}
		value = "?"
	}
	switch value {
	case "true", "1", "True":
		return true, nil
	case "false", "0", "False":
		return false, nil
	}
	return false, clientError(400, "invalid_type", name, "Invalid type for '"+name+"': expected a boolean, but got a string instead.")
}

// respondJSON answers with a JSON body, which is copied.
func (x *exchange) respondJSON(body []byte) {
	x.ctx.Response.Header.SetContentType("application/json")
	x.ctx.SetStatusCode(fasthttp.StatusOK)
	x.ctx.SetBody(body)
	x.bytesOut += int64(len(body))
}
