package proxy

import (
	"errors"
	"strings"

	"github.com/antiphon-proxy/antiphon/proxy/metrics"
	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/translate"
)

// The endpoints of stored chat completions (docs/PROTOCOL.md §1.1, §6.7). Where the
// configuration keeps none, they are the upstream's business.

func errNoChat(id string) *translate.Error {
	return clientError(404, "", "", "Completion with id '"+clip(id)+"' not found.")
}

// passesChats passes a request about stored completions through, if none are kept
// here. done reports that it was answered.
func (s *Server) passesChats(x *exchange) (done, streaming bool) {
	if s.cfg.Store.ChatCompletions {
		return false, false
	}
	x.route = metrics.RoutePassthrough
	path, _ := apiPath(pathOf(x.ctx))
	return true, s.passThrough(x, path)
}

// chat returns the tenant's stored completion with that id.
func (s *Server) chat(x *exchange, id string) (*store.Doc, *translate.ChatRecord, *translate.Error) {
	doc, err := s.store.Doc(storeContext(), x.tenant, kindChat, id)
	switch {
	case isNotFound(err):
		return nil, nil, errNoChat(id)
	case err != nil:
		return nil, nil, storeError(err)
	}
	rec := new(translate.ChatRecord)
	if !rec.Parse(doc.Body) {
		return nil, nil, proxyError(500, "The stored completion cannot be read.")
	}
	return doc, rec, nil
}

// getChat answers GET /chat/completions/{id}.
func (s *Server) getChat(x *exchange, id string) bool {
	if done, streaming := s.passesChats(x); done {
		return streaming
	}
	_, rec, err := s.chat(x, id)
	if err != nil {
		x.respondError(x.ctx, err)
		return false
	}
	x.out = rec.AppendCompletion(x.out[:0])
	x.respondJSON(x.out)
	return false
}

// listChats answers GET /chat/completions, oldest first unless asked otherwise.
func (s *Server) listChats(x *exchange, _ string) bool {
	if done, streaming := s.passesChats(x); done {
		return streaming
	}
	page, err := x.page(false)
	if err != nil {
		x.respondError(x.ctx, err)
		return false
	}
	model := string(x.ctx.QueryArgs().Peek("model"))
	metadata := x.metadataFilter()
	var items []translate.ListedItem
	more := false
	q := store.Page{After: page.after, Descending: page.descending, Limit: maxPage}
	for {
		docs, further, err := s.store.Docs(storeContext(), x.tenant, kindChat, q)
		if err != nil {
			x.respondError(x.ctx, storeError(err))
			return false
		}
		for _, doc := range docs {
			var rec translate.ChatRecord
			if !rec.Parse(doc.Body) || !rec.Fits(model, metadata) {
				continue
			}
			if len(items) == page.limit {
				more, further = true, false
				break
			}
			items = append(items, translate.ListedItem{ID: doc.Key, JSON: rec.AppendCompletion(nil)})
		}
		if !further || len(docs) == 0 {
			break
		}
		q.After = docs[len(docs)-1].Key
	}
	x.respondList(items, more)
	return false
}

// metadataFilter reads metadata[key]=value out of the query.
func (x *exchange) metadataFilter() (want map[string]string) {
	for k, v := range x.ctx.QueryArgs().All() {
		key, ok := strings.CutPrefix(string(k), "metadata[")
		if !ok || !strings.HasSuffix(key, "]") {
			continue
		}
		if want == nil {
			want = map[string]string{}
		}
		want[strings.TrimSuffix(key, "]")] = string(v)
	}
	return want
}

// updateChat answers POST /chat/completions/{id}, which replaces the metadata.
func (s *Server) updateChat(x *exchange, id string) bool {
	if done, streaming := s.passesChats(x); done {
		return streaming
	}
	var body translate.ConversationBody
	err := x.readBody()
	if err == nil {
		err = body.Parse(x.body, translate.ConversationUpdate, s.requestLimits)
	}
	for range maxConflicts {
		var doc *store.Doc
		var rec *translate.ChatRecord
		if err == nil {
			doc, rec, err = s.chat(x, id)
		}
		if err != nil {
			break
		}
		changed := rec.AppendWithMetadata(nil, body.Metadata())
		storeErr := s.store.Commit(storeContext(), x.tenant, &store.Batch{Put: []store.DocWrite{{
			Doc: &store.Doc{Kind: kindChat, Key: id, Body: changed, Expires: doc.Expires}, If: doc.Version,
		}}})
		switch {
		case storeErr == nil && rec.Parse(changed):
			x.out = rec.AppendCompletion(x.out[:0])
			x.respondJSON(x.out)
			return false
		case !errors.Is(storeErr, store.ErrConflict):
			err = storeRefused(storeErr)
		}
	}
	if err == nil {
		err = clientError(409, "conflict", "", "The completion is being changed by others. Try again.")
	}
	x.respondError(x.ctx, err)
	return false
}

// deleteChat answers DELETE /chat/completions/{id}.
func (s *Server) deleteChat(x *exchange, id string) bool {
	if done, streaming := s.passesChats(x); done {
		return streaming
	}
	for range maxConflicts {
		doc, _, err := s.chat(x, id)
		if err != nil {
			x.respondError(x.ctx, err)
			return false
		}
		storeErr := s.store.Commit(storeContext(), x.tenant, &store.Batch{
			Delete: []store.Condition{{Kind: kindChat, Key: id, Version: doc.Version}},
		})
		switch {
		case storeErr == nil:
			x.respondDeleted(id, "chat.completion.deleted")
			return false
		case !errors.Is(storeErr, store.ErrConflict):
			x.respondError(x.ctx, storeRefused(storeErr))
			return false
		}
	}
	x.respondError(x.ctx, clientError(409, "conflict", "", "The completion is being changed by others. Try again."))
	return false
}

// listChatMessages answers GET /chat/completions/{id}/messages, in their order
// unless asked otherwise.
func (s *Server) listChatMessages(x *exchange, id string) bool {
	if done, streaming := s.passesChats(x); done {
		return streaming
	}
	page, err := x.page(false)
	var rec *translate.ChatRecord
	if err == nil {
		_, rec, err = s.chat(x, id)
	}
	if err != nil {
		x.respondError(x.ctx, err)
		return false
	}
	items, more, ok := page.of(rec.Messages(id))
	if !ok {
		x.respondError(x.ctx, errNoCursor(page.after))
		return false
	}
	x.respondList(items, more)
	return false
}
