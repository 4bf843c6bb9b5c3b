package proxy

import (
	"strings"

	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/translate"
)

func errNoItem(id string) *translate.Error {
	return clientError(404, "", "", "Item with id '"+clip(id)+"' not found.")
}

// readItems reads the body of a request that brings items, and returns them in
// their full form. conversation is where they go, or "" for one to be made.
func (x *exchange) readItems(body *translate.ConversationBody, form translate.ConversationForm, conversation string) ([]translate.ListedItem, *translate.Error) {
	s := x.server
	if err := x.readBody(); err != nil {
		return nil, err
	}
	if err := body.Parse(x.body, form, s.requestLimits); err != nil {
		return nil, err
	}
	if ids := body.References(); ids != nil {
		items, err := s.references(x, ids, conversation, body.ReferencePath)
		if err != nil {
			return nil, err
		}
		if err := body.Resolve(items); err != nil {
			return nil, err
		}
	}
	if err := body.CheckCompactions(compactions{x}); err != nil {
		return nil, err
	}
	x.entropy(x.seed[:])
	return body.Items(&x.seed), nil
}

// listConversation answers GET /conversations/{id}/items, newest first unless
// asked otherwise.
func (s *Server) listConversation(x *exchange, id string) bool {
	page, err := x.page(true)
	if err == nil {
		_, err = s.conversation(x, id)
	}
	var items []translate.ListedItem
	more := false
	if err == nil {
		items, more, err = page.ofLog(s.store, x.tenant, conversationLog(id))
	}
	if err != nil {
		x.respondError(x.ctx, err)
		return false
	}
	x.respondList(items, more)
	return false
}

// addItems answers POST /conversations/{id}/items with a list of the new items,
// in their order.
func (s *Server) addItems(x *exchange, id string) bool {
	if _, err := s.conversation(x, id); err != nil {
		x.respondError(x.ctx, err)
		return false
	}
	var body translate.ConversationBody
	items, err := x.readItems(&body, translate.ConversationItems, id)
	if err == nil {
		err = s.changeConversation(x, id, true, func(doc *store.Doc) *store.Batch {
			return &store.Batch{
				Require: []store.Condition{{Kind: kindConversation, Key: id, Version: doc.Version}},
				Append:  []store.LogAppend{{Log: conversationLog(id), Entries: entriesOf(items), Expires: doc.Expires}},
			}
		})
	}
	if err != nil {
		x.respondError(x.ctx, err)
		return false
	}
	x.respondList(items, false)
	return false
}

// itemID is the last segment of a path …/items/{item}.
func (x *exchange) itemID() string {
	path := strings.TrimSuffix(pathOf(x.ctx), "/")
	return path[strings.LastIndexByte(path, '/')+1:]
}

// getItem answers GET /conversations/{id}/items/{item}.
func (s *Server) getItem(x *exchange, id string) bool {
	_, err := s.conversation(x, id)
	if err != nil {
		x.respondError(x.ctx, err)
		return false
	}
	item := x.itemID()
	switch e, err := s.store.Entry(storeContext(), x.tenant, conversationLog(id), item); {
	case err == nil:
		x.respondJSON(e.Body)
	case isNotFound(err):
		x.respondError(x.ctx, errNoItem(item))
	default:
		x.respondError(x.ctx, storeError(err))
	}
	return false
}

// deleteItem answers DELETE /conversations/{id}/items/{item} with the
// conversation. The document is written again, so that its version changes:
// what was derived from its items is not used any more.
func (s *Server) deleteItem(x *exchange, id string) bool {
	item := x.itemID()
	var object []byte
	err := s.changeConversation(x, id, true, func(doc *store.Doc) *store.Batch {
		object = doc.Body
		return &store.Batch{
			Put: []store.DocWrite{{
				Doc: &store.Doc{Kind: kindConversation, Key: id, Body: doc.Body, Expires: doc.Expires},
				If:  doc.Version, Log: conversationLog(id),
			}},
			Remove: []store.EntryRef{{Log: conversationLog(id), Key: item}},
		}
	})
	if err != nil {
		x.respondError(x.ctx, err)
		return false
	}
	x.respondJSON(object)
	return false
}
