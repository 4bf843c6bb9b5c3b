package translate

import (
	"bytes"

	"antiphon/translate/jsonx"
)

// OwnResponsesOptions are what AppendOwnResponses needs.
type OwnResponsesOptions struct {
	// Model is the backend's name for the model; "" keeps the client's.
	Model string
	// Past are the stored items before the request's own input: JSON arrays, or
	// strings, as they are stored.
	Past [][]byte
}

// AppendOwnResponses appends the body of the POST /responses for a backend that
// speaks Responses but keeps no state: what the request continues stands in its
// input, and nothing is asked to be stored or run in the background. All else is
// the client's.
func (r *Request) AppendOwnResponses(dst []byte, opt OwnResponsesOptions) []byte {
	d := &r.doc
	dst = append(dst, `{"model":`...)
	if opt.Model != "" {
		dst = jsonx.AppendString(dst, opt.Model)
	} else {
		dst = append(dst, d.Raw(r.params[pModel])...)
	}
	for k, end := d.First(jsonx.Root), d.End(jsonx.Root); k < end; k = d.Next(k + 1) {
		switch paramByName(keyOf(d, k)) {
		case pModel, pInput, pPreviousResponseID, pConversation, pStore, pBackground, pContextManagement:
			continue
		}
		if d.Kind(k+1) == jsonx.Null {
			continue
		}
		dst = append(dst, ',')
		dst = append(dst, d.Raw(k)...)
		dst = append(dst, ':')
		dst = append(dst, d.Raw(k+1)...)
	}
	dst = append(dst, `,"store":false,"input":[`...)
	mark := len(dst)
	for _, items := range opt.Past {
		dst = appendItemsOf(dst, items, mark)
	}
	own, _ := r.StorableInput()
	dst = appendItemsOf(dst, own, mark)
	return append(dst, "]}"...)
}

// appendItemsOf appends the items of a stored input or output to those that stand
// in dst from mark on.
func appendItemsOf(dst, items []byte, mark int) []byte {
	items = bytes.TrimSpace(items)
	if len(items) < 2 {
		return dst
	}
	inside := bytes.TrimSpace(items[1 : len(items)-1])
	if len(inside) == 0 {
		return dst
	}
	if len(dst) > mark {
		dst = append(dst, ',')
	}
	if items[0] == '"' {
		dst = append(dst, `{"type":"message","role":"user","content":[{"type":"input_text","text":`...)
		dst = append(dst, items...)
		return append(dst, "}]}"...)
	}
	return append(dst, inside...)
}
