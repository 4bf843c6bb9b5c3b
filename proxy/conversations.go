package proxy

import (
	"errors"
	"strconv"
	"time"

	"github.com/antiphon-proxy/antiphon/proxy/store"
	"github.com/antiphon-proxy/antiphon/translate"
	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// A conversation (docs/PROTOCOL.md §1.6) is a document, whose body is the object as clients
// get it, and a log of its items in their full form, by item id. The document
// changes with the metadata and when an item is taken out: what was derived from
// the items under one version of it only has to be extended as long as the
// version stays. A response that is being made in a conversation holds a lock on
// it, which is a document too: see conversation_turn.go.

// Kinds of documents.
const (
	kindConversation     = "conversation"
	kindConversationLock = "conversation_lock"
)

// conversationLog names the log of a conversation's items.
func conversationLog(id string) string { return "conversation:" + id }

// maxConflicts bounds how often a change is tried again because somebody else
// was first.
const maxConflicts = 8

func isNotFound(err error) bool { return errors.Is(err, store.ErrNotFound) }

func errNoConversation(id string) *translate.Error {
	return clientError(404, "", "", "Conversation with id '"+clip(id)+"' not found.")
}

// codeConversationLocked is the code of errors that say that another response is being
// made in the conversation. It goes with Retry-After.
const codeConversationLocked = "conversation_locked"

func errConversationLocked() *translate.Error {
	return clientError(400, codeConversationLocked, "conversation",
		"Another process is currently operating on this conversation. Please retry in a few seconds.")
}

// conversation returns the tenant's conversation with that id.
func (s *Server) conversation(x *exchange, id string) (*store.Doc, *translate.Error) {
	doc, err := s.store.Doc(storeContext(), x.tenant, kindConversation, id)
	switch {
	case err == nil:
		return doc, nil
	case isNotFound(err):
		return nil, errNoConversation(id)
	}
	return nil, storeError(err)
}

// changeConversation makes changes that hold for one version of a conversation,
// and makes them anew when that has changed meanwhile. With unlocked they are
// only made while no response is being made in the conversation.
func (s *Server) changeConversation(x *exchange, id string, unlocked bool, changes func(doc *store.Doc) *store.Batch) *translate.Error {
	for range maxConflicts {
		doc, err := s.conversation(x, id)
		if err != nil {
			return err
		}
		batch := changes(doc)
		lock := store.Condition{Kind: kindConversationLock, Key: id, Version: store.Absent}
		if unlocked {
			batch.Require = append(batch.Require, lock)
		}
		switch err := s.store.Commit(storeContext(), x.tenant, batch); {
		case err == nil:
			return nil
		case errors.Is(err, store.ErrExists):
			return clientError(400, "", "items", "An item with one of these ids is in the conversation already. "+
				"Remove duplicate items and try again.")
		case isNotFound(err):
			return errNoItem(batch.Remove[0].Key) // nothing else in a batch has to be there
		case !errors.Is(err, store.ErrConflict):
			return storeRefused(err)
		}
		if unlocked {
			switch _, err := s.store.Doc(storeContext(), x.tenant, kindConversationLock, id); {
			case err == nil:
				return errConversationLocked()
			case !isNotFound(err):
				return storeError(err)
			}
		}
	}
	return errConversationLocked()
}

// storeRefused is the error for a change that the store did not make.
func storeRefused(err error) *translate.Error {
	switch {
	case errors.Is(err, store.ErrTooLarge):
		return clientError(413, "", "", "This is larger than what this server can store.")
	case errors.Is(err, store.ErrFull):
		return proxyError(503, "The store of this server is full.")
	}
	return storeError(err)
}

// createConversation answers POST /conversations.
func (s *Server) createConversation(x *exchange, _ string) bool {
	var body translate.ConversationBody
	items, err := x.readItems(&body, translate.ConversationCreate, "")
	if err != nil {
		x.respondError(x.ctx, err)
		return false
	}
	x.entropy(x.seed[:])
	id := x.seed.ID("conv_")
	object := appendConversation(nil, id, strconv.AppendInt(nil, x.start.Unix(), 10), body.Metadata())
	batch := &store.Batch{
		Put: []store.DocWrite{{
			Doc: &store.Doc{Kind: kindConversation, Key: id, Body: object},
			If:  store.Absent, Log: conversationLog(id),
		}},
	}
	if len(items) > 0 {
		batch.Append = []store.LogAppend{{Log: conversationLog(id), Entries: entriesOf(items)}}
	}
	if err := s.store.Commit(storeContext(), x.tenant, batch); err != nil {
		x.respondError(x.ctx, storeRefused(err))
		return false
	}
	x.respondJSON(object)
	return false
}

// appendConversation appends a conversation object. The parts are JSON.
func appendConversation(dst []byte, id string, created, metadata []byte) []byte {
	dst = append(dst, `{"id":"`...)
	dst = append(dst, id...)
	dst = append(dst, `","object":"conversation","created_at":`...)
	dst = append(dst, created...)
	dst = append(dst, `,"metadata":`...)
	dst = append(dst, metadata...)
	return append(dst, '}')
}

// getConversation answers GET /conversations/{id}.
func (s *Server) getConversation(x *exchange, id string) bool {
	doc, err := s.conversation(x, id)
	if err != nil {
		x.respondError(x.ctx, err)
		return false
	}
	x.respondJSON(doc.Body)
	return false
}

// updateConversation answers POST /conversations/{id}, which replaces the metadata.
func (s *Server) updateConversation(x *exchange, id string) bool {
	var body translate.ConversationBody
	err := x.readBody()
	if err == nil {
		err = body.Parse(x.body, translate.ConversationUpdate, s.requestLimits)
	}
	var object []byte
	if err == nil {
		err = s.changeConversation(x, id, false, func(doc *store.Doc) *store.Batch {
			created := jsonx.Lookup(doc.Body, "created_at").Raw
			object = appendConversation(nil, id, []byte(created), body.Metadata())
			return &store.Batch{Put: []store.DocWrite{{
				Doc: &store.Doc{Kind: kindConversation, Key: id, Body: object, Expires: doc.Expires},
				If:  doc.Version, Log: conversationLog(id),
			}}}
		})
	}
	if err != nil {
		x.respondError(x.ctx, err)
		return false
	}
	x.respondJSON(object)
	return false
}

// deleteConversation answers DELETE /conversations/{id}. The items go with the
// conversation, but not the responses that some of them came from. A response
// that is being made in it will not become part of anything.
func (s *Server) deleteConversation(x *exchange, id string) bool {
	err := s.changeConversation(x, id, false, func(doc *store.Doc) *store.Batch {
		return &store.Batch{
			Delete: []store.Condition{
				{Kind: kindConversation, Key: id, Version: doc.Version},
				{Kind: kindConversationLock, Key: id, Version: store.AnyVersion},
			},
			Drop: []string{conversationLog(id)},
		}
	})
	if err != nil {
		x.respondError(x.ctx, err)
		return false
	}
	x.respondDeleted(id, "conversation.deleted")
	return false
}

// respondDeleted answers that an object is gone.
func (x *exchange) respondDeleted(id, object string) {
	body := append(x.out[:0], `{"id":`...)
	body = jsonx.AppendString(body, id)
	body = append(body, `,"object":"`...)
	body = append(body, object...)
	x.out = append(body, `","deleted":true}`...)
	x.respondJSON(x.out)
}

// entriesOf makes entries of a log out of items.
func entriesOf(items []translate.ListedItem) []store.Entry {
	entries := make([]store.Entry, len(items))
	for i, it := range items {
		entries[i] = store.Entry{Key: it.ID, Body: it.JSON}
	}
	return entries
}

// forever is when what does not expire expires, for what must have such a time.
var forever = time.Unix(1<<40, 0)
