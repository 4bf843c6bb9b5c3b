package translate

import (
	"slices"
	"strings"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// maxNewItems is how many items one request may put into a conversation.
const maxNewItems = 20

// ConversationBody is the body of a request to the Conversations API (docs/PROTOCOL.md §1.6),
// read and validated. Nothing in it outlives the bytes that it was parsed from.
type ConversationBody struct {
	doc      jsonx.Doc
	refDoc   jsonx.Doc
	metadata uint32
	items    []item
	refs     int
}

// ConversationForm says which of the endpoints a body is for.
type ConversationForm uint8

// The values of ConversationForm.
const (
	ConversationCreate ConversationForm = iota // {items?, metadata?}
	ConversationUpdate                         // {metadata}
	ConversationItems                          // {items}
)

// Parse reads and validates a body, and returns what is wrong with it as the API
// would say it, or nil. An empty body is that of a creation without anything.
func (b *ConversationBody) Parse(body []byte, form ConversationForm, lim RequestLimits) *Error {
	*b = ConversationBody{}
	if len(body) == 0 {
		body = []byte("{}")
	}
	lim.Mend = true
	d := &b.doc
	if err := d.Parse(body, lim.Limits); err != nil {
		return badJSON(err)
	}
	if d.Kind(jsonx.Root) != jsonx.Object {
		return invalid("invalid_type", "", "Invalid type for the request body: expected an object, but got "+got(d, jsonx.Root)+" instead.")
	}
	var items uint32
	for k, end := d.First(jsonx.Root), d.End(jsonx.Root); k < end; k = d.Next(k + 1) {
		switch {
		case d.Is(k, "metadata") && form != ConversationItems:
			b.metadata = k + 1
		case d.Is(k, "items") && form != ConversationUpdate:
			items = k + 1
		default:
			return errUnknown(brief(d.Text(k)))
		}
	}
	switch {
	case form == ConversationUpdate && b.metadata == 0:
		return errMissing("metadata")
	case form == ConversationItems && items == 0:
		return errMissing("items")
	}
	if d.Present(b.metadata) {
		if err := validateMetadata(d, b.metadata); err != nil {
			return err
		}
	}
	if !d.Present(items) && form != ConversationItems {
		return nil
	}
	return b.readItems(items, form)
}

func (b *ConversationBody) readItems(n uint32, form ConversationForm) *Error {
	d := &b.doc
	if d.Kind(n) != jsonx.Array {
		return errType("items", "an array of input items", got(d, n))
	}
	switch count := d.Len(n); {
	case count > maxNewItems:
		return errArrayTooLong("items", maxNewItems, count)
	case count == 0 && form == ConversationItems:
		return errEmptyArray("items")
	}
	for v, end := d.First(n), d.End(n); v < end; v = d.Next(v) {
		it, err := readItem(d, v, len(b.items))
		if err != nil {
			return ofItems(err)
		}
		if it.kind == kindReference {
			b.refs++
		}
		b.items = append(b.items, it)
	}
	return ofItems(duplicateID(b.items))
}

// ofItems makes a fault of an input item that of an item of "items".
func ofItems(err *Error) *Error {
	if err == nil {
		return nil
	}
	if err.Param == "input" {
		err.Param = "items"
	} else if rest, ok := strings.CutPrefix(err.Param, "input["); ok {
		err.Param = "items[" + rest
	}
	err.Message = strings.ReplaceAll(err.Message, "'input[", "'items[")
	return err
}

// Metadata is the metadata without white space, "{}" when there is none.
func (b *ConversationBody) Metadata() []byte {
	if !b.doc.Present(b.metadata) {
		return []byte("{}")
	}
	return jsonx.AppendCompact(nil, b.doc.Raw(b.metadata))
}

// References are the ids of the item references among the items, in their order.
func (b *ConversationBody) References() []string { return references(b.items, b.refs) }

// ReferencePath is the path of the n-th item reference, such as "items[2]".
func (b *ConversationBody) ReferencePath(n int) string {
	return "items" + strings.TrimPrefix(referencePath(b.items, n), "input")
}

// Resolve puts stored items in the place of item references, as Request.Resolve
// does.
func (b *ConversationBody) Resolve(items [][]byte) *Error {
	return ofItems(resolve(b.items, &b.refDoc, items))
}

// CheckCompactions refuses compaction items that do not open: what is put into a
// conversation must be of use there.
func (b *ConversationBody) CheckCompactions(o Opener) *Error {
	if i := openCompactions(slices.Clone(b.items), o); i >= 0 {
		return ofItems(errCompaction(i))
	}
	return nil
}

// Items returns the items in the form that the API lists them in, with ids that
// draw on the seed where the client gave none. The result is the caller's.
func (b *ConversationBody) Items(seed *Seed) []ListedItem {
	out := make([]ListedItem, 0, len(b.items))
	for i := range b.items {
		out = append(out, listed(b.items[i].appendStored(nil, seed)))
	}
	return out
}

// ListedItem is an item in its full form.
type ListedItem struct {
	ID   string // of the item
	JSON []byte // the whole item
}

func listed(item []byte) ListedItem {
	id := ""
	EachItem(append(append([]byte{'['}, item...), ']'), func(itemID string, _ []byte) bool {
		id = itemID
		return false
	})
	return ListedItem{id, item}
}

// ListItems returns the items of a JSON array of items in their full form, such
// as AppendListedInput makes, or a response's output.
func ListItems(items []byte) []ListedItem {
	var out []ListedItem
	EachItem(items, func(id string, item []byte) bool {
		out = append(out, ListedItem{id, item})
		return true
	})
	return out
}
