package proxy

import (
	"slices"
	"strconv"

	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/translate"
	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// The bounds of a page of a list.
const (
	defaultPage = 20
	maxPage     = 100
)

// page is what a list is asked for.
type page struct {
	limit         int
	descending    bool
	after, before string
}

// page reads the query of a list; descending is the order that it has unless
// asked otherwise.
func (x *exchange) page(descending bool) (p page, err *translate.Error) {
	args := x.ctx.QueryArgs()
	p = page{limit: defaultPage, descending: descending, after: string(args.Peek("after")), before: string(args.Peek("before"))}
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
	case "":
	case "desc":
		p.descending = true
	case "asc":
		p.descending = false
	default:
		return p, clientError(400, "invalid_value", "order", "Invalid value: '"+clip(order)+"'. Supported values are: 'asc' and 'desc'.")
	}
	return p, nil
}

// of cuts the page out of a list that is all there, oldest first, and puts it in
// the order that was asked for. ok is false when after names nothing in it.
func (p *page) of(all []translate.ListedItem) (items []translate.ListedItem, more, ok bool) {
	if p.descending {
		slices.Reverse(all)
	}
	if p.after != "" {
		i := slices.IndexFunc(all, func(it translate.ListedItem) bool { return it.ID == p.after })
		if i < 0 {
			return nil, false, false
		}
		all = all[i+1:]
	}
	all, _ = p.upTo(all)
	if len(all) > p.limit {
		return all[:p.limit], true, true
	}
	return all, false, true
}

// upTo cuts a list off where before says, and reports whether it did.
func (p *page) upTo(items []translate.ListedItem) ([]translate.ListedItem, bool) {
	if p.before != "" {
		if i := slices.IndexFunc(items, func(it translate.ListedItem) bool { return it.ID == p.before }); i >= 0 {
			return items[:i], true
		}
	}
	return items, false
}

// ofLog reads the page out of a log of the store.
func (p *page) ofLog(docs store.Documents, tenant, log string) (items []translate.ListedItem, more bool, err *translate.Error) {
	q := store.Page{Descending: p.descending, Limit: p.limit}
	if p.after != "" {
		e, err := docs.Entry(storeContext(), tenant, log, p.after)
		switch {
		case isNotFound(err):
			return nil, false, errNoCursor(p.after)
		case err != nil:
			return nil, false, storeError(err)
		}
		q.AfterSeq = &e.Seq
	}
	entries, more, storeErr := docs.Entries(storeContext(), tenant, log, q)
	if storeErr != nil {
		return nil, false, storeError(storeErr)
	}
	items = make([]translate.ListedItem, len(entries))
	for i, e := range entries {
		items[i] = translate.ListedItem{ID: e.Key, JSON: e.Body}
	}
	items, cut := p.upTo(items)
	return items, more && !cut, nil
}

func errNoCursor(id string) *translate.Error {
	return clientError(400, "invalid_value", "after", "Invalid 'after': there is no item with id '"+clip(id)+"' in this list.")
}

// respondList answers with a page of a list.
func (x *exchange) respondList(items []translate.ListedItem, more bool) {
	out := append(x.out[:0], `{"object":"list","data":[`...)
	first, last := "", ""
	for i, it := range items {
		if i > 0 {
			out = append(out, ',')
		} else {
			first = it.ID
		}
		out = append(out, it.JSON...)
		last = it.ID
	}
	out = append(out, `],"first_id":`...)
	out = appendIDOrNull(out, first)
	out = append(out, `,"last_id":`...)
	out = appendIDOrNull(out, last)
	out = append(out, `,"has_more":`...)
	x.out = append(strconv.AppendBool(out, more), '}')
	x.respondJSON(x.out)
}

func appendIDOrNull(dst []byte, id string) []byte {
	if id == "" {
		return append(dst, "null"...)
	}
	return jsonx.AppendString(dst, id)
}
