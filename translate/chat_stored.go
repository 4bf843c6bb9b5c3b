package translate

import (
	"strconv"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// A stored chat completion (docs/PROTOCOL.md §6.7) is one JSON object:
//
//	{"model":"m","metadata":{…},"completion":{…},"messages":[…]}
//
// with the model that the client asked for, the completion as the client got it,
// and the messages of its request.

// StoredChat is a request for a completion that is to be kept.
type StoredChat struct {
	model, metadata, messages []byte // JSON
}

// ReadStoredChat reads a chat request. It returns nil if the completion is not to
// be kept: only store:true asks for that. The error is about metadata.
func ReadStoredChat(body []byte, lim RequestLimits) (*StoredChat, *Error) {
	var d jsonx.Doc
	if d.Parse(body, lim.Limits) != nil {
		return nil, nil //nolint:nilerr // for the upstream to complain of
	}
	if d.Kind(d.Get(jsonx.Root, "store")) != jsonx.True {
		return nil, nil
	}
	model, messages := d.GetString(jsonx.Root, "model"), d.Get(jsonx.Root, "messages")
	if model == 0 || d.Kind(messages) != jsonx.Array {
		return nil, nil // for the upstream to complain of
	}
	c := &StoredChat{
		model:    append([]byte(nil), d.Raw(model)...),
		messages: jsonx.AppendCompact(nil, d.Raw(messages)),
		metadata: []byte("{}"),
	}
	if n := d.Get(jsonx.Root, "metadata"); d.Present(n) {
		if err := validateMetadata(&d, n); err != nil {
			return nil, err
		}
		c.metadata = jsonx.AppendCompact(nil, d.Raw(n))
	}
	return c, nil
}

// AppendUnstored appends a chat request without what is about storing: that is
// done here, and not every backend knows the keys.
func AppendUnstored(dst, body []byte) []byte {
	var d jsonx.Doc
	if d.Parse(body, storedLimits) != nil || d.Kind(jsonx.Root) != jsonx.Object {
		return append(dst, body...)
	}
	dst = append(dst, '{')
	for k, end := d.First(jsonx.Root), d.End(jsonx.Root); k < end; k = d.Next(k + 1) {
		if d.Is(k, "store") || d.Is(k, "metadata") {
			continue
		}
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
		dst = append(dst, d.Raw(k)...)
		dst = append(dst, ':')
		dst = append(dst, d.Raw(k+1)...)
	}
	return append(dst, '}')
}

// AppendWithID appends a chat completion with another id. ok is false if it is
// none.
func AppendWithID(dst, completion []byte, id string) (out []byte, ok bool) {
	var d jsonx.Doc
	if d.Parse(completion, storedLimits) != nil || d.Kind(d.Get(jsonx.Root, "choices")) != jsonx.Array {
		return dst, false
	}
	return appendWithID(dst, &d, id), true
}

func appendWithID(dst []byte, d *jsonx.Doc, id string) []byte {
	dst = append(dst, `{"id":`...)
	dst = jsonx.AppendString(dst, id)
	for k, end := d.First(jsonx.Root), d.End(jsonx.Root); k < end; k = d.Next(k + 1) {
		if d.Is(k, "id") {
			continue
		}
		dst = append(dst, ',')
		dst = append(dst, d.Raw(k)...)
		dst = append(dst, ':')
		dst = d.AppendMultiline(dst, k+1)
	}
	return append(dst, '}')
}

// Append appends what is stored.
func (c *StoredChat) Append(dst, completion []byte) []byte {
	return appendStoredChat(dst, c.model, c.metadata, completion, c.messages)
}

func appendStoredChat(dst, model, metadata, completion, messages []byte) []byte {
	dst = append(append(dst, `{"model":`...), model...)
	dst = append(append(dst, `,"metadata":`...), metadata...)
	dst = append(append(dst, `,"completion":`...), completion...)
	dst = append(append(dst, `,"messages":`...), messages...)
	return append(dst, '}')
}

// ChatRecord is a stored chat completion, parsed.
type ChatRecord struct {
	doc                                   jsonx.Doc
	model, metadata, completion, messages uint32
}

// Parse reads what Append has made. ok is false if it is not that.
func (c *ChatRecord) Parse(stored []byte) (ok bool) {
	d := &c.doc
	if d.Parse(stored, storedLimits) != nil {
		return false
	}
	c.model, c.metadata = d.GetString(jsonx.Root, "model"), d.Get(jsonx.Root, "metadata")
	c.completion, c.messages = d.Get(jsonx.Root, "completion"), d.Get(jsonx.Root, "messages")
	return c.model != 0 && d.Kind(c.metadata) == jsonx.Object && d.Kind(c.completion) == jsonx.Object && d.Kind(c.messages) == jsonx.Array
}

// AppendCompletion appends the completion with its metadata.
func (c *ChatRecord) AppendCompletion(dst []byte) []byte {
	d := &c.doc
	dst = append(dst, '{')
	for k, end := d.First(c.completion), d.End(c.completion); k < end; k = d.Next(k + 1) {
		if d.Is(k, "metadata") {
			continue
		}
		dst = append(dst, d.Raw(k)...)
		dst = append(dst, ':')
		dst = append(dst, d.Raw(k+1)...)
		dst = append(dst, ',')
	}
	dst = append(dst, `"metadata":`...)
	dst = append(dst, d.Raw(c.metadata)...)
	return append(dst, '}')
}

// AppendWithMetadata appends what is stored, with other metadata.
func (c *ChatRecord) AppendWithMetadata(dst, metadata []byte) []byte {
	d := &c.doc
	return appendStoredChat(dst, d.Raw(c.model), metadata, d.Raw(c.completion), d.Raw(c.messages))
}

// Fits reports whether the completion is of that model, as the client or the
// backend calls it ("" is any), and has all these metadata.
func (c *ChatRecord) Fits(model string, metadata map[string]string) bool {
	d := &c.doc
	if model != "" && !d.Is(c.model, model) && !d.Is(d.Get(c.completion, "model"), model) {
		return false
	}
	for key, value := range metadata {
		if !d.Is(d.Get(c.metadata, key), value) {
			return false
		}
	}
	return true
}

// Messages returns the messages of the request as the API lists them: each with
// an id that is made of the completion's and its number, its content as a string
// or null, and its parts beside it.
func (c *ChatRecord) Messages(id string) (items []ListedItem) {
	d := &c.doc
	for v, end := d.First(c.messages), d.End(c.messages); v < end; v = d.Next(v) {
		it := ListedItem{ID: id + "-" + strconv.Itoa(len(items))}
		it.JSON = append(it.JSON, `{"id":"`...)
		it.JSON = append(it.JSON, it.ID...)
		it.JSON = append(it.JSON, '"')
		content := uint32(0)
		if d.Kind(v) == jsonx.Object {
			for k, end := d.First(v), d.End(v); k < end; k = d.Next(k + 1) {
				if d.Is(k, "content") {
					content = k + 1
				}
				if d.Is(k, "content") || d.Is(k, "id") || d.Is(k, "content_parts") {
					continue
				}
				it.JSON = append(it.JSON, ',')
				it.JSON = append(it.JSON, d.Raw(k)...)
				it.JSON = append(it.JSON, ':')
				it.JSON = append(it.JSON, d.Raw(k+1)...)
			}
		}
		text, parts := []byte("null"), []byte("null")
		switch d.Kind(content) {
		case jsonx.String:
			text = d.Raw(content)
		case jsonx.Array:
			parts = d.Raw(content)
		}
		it.JSON = append(append(it.JSON, `,"content":`...), text...)
		it.JSON = append(append(it.JSON, `,"content_parts":`...), parts...)
		it.JSON = append(it.JSON, '}')
		items = append(items, it)
	}
	return items
}
