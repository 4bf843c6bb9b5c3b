package translate

import (
	"encoding/hex"
	"slices"
	"strings"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// StorableInput is the request's own input as it is stored: as the client sent
// it, but for credentials, with referenced items in place of references. Ids and the
// full form come when somebody asks for a list, which is rare: AppendListedInput. If
// own is true the result aliases the request's body.
func (r *Request) StorableInput() (input []byte, own bool) {
	given := r.given()
	secret := slices.ContainsFunc(given, func(it item) bool { return it.describesTools() && hasCredentials(it.doc, it.node, scopeItem) })
	return r.wholeInput(secret)
}

// wholeInput is the request's own input, with referenced items in place of references,
// and with or without the credentials of tools.
func (r *Request) wholeInput(hide bool) (input []byte, own bool) {
	if r.refs == 0 && !hide {
		return r.doc.Raw(r.params[pInput]), true
	}
	dst := make([]byte, 0, len(r.doc.Raw(r.params[pInput]))+len(r.refDoc.Bytes()))
	dst = append(dst, '[')
	for i, it := range r.given() {
		if i > 0 {
			dst = append(dst, ',')
		}
		if hide && it.describesTools() {
			dst = appendShown(dst, it.doc, it.node, scopeItem)
			continue
		}
		dst = append(dst, it.doc.Raw(it.node)...)
	}
	return append(dst, ']'), false
}

// AppendListedInput appends a stored input as the API lists it: as a JSON array
// without line ends, of items in their full form that all have ids. responseID
// is the id of the response that the input belongs to.
func AppendListedInput(dst, stored []byte, responseID string) ([]byte, error) {
	seed, ok := seedOf(responseID)
	if !ok {
		return dst, ErrBadRecord
	}
	var d jsonx.Doc
	items, err := readItems(nil, &d, stored)
	if err != nil {
		return dst, err
	}
	dst = append(dst, '[')
	for i := range items {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = items[i].appendStored(dst, &seed)
	}
	return append(dst, ']'), nil
}

// seedOf reads the seed back out of a response's id.
func seedOf(responseID string) (seed Seed, ok bool) {
	digits, found := strings.CutPrefix(responseID, "resp_")
	if !found || len(digits) != idHex || !isHex(digits) {
		return seed, false
	}
	_, err := hex.Decode(seed[:], []byte(digits[:2*len(seed)]))
	// The number of a response is 0, so the byte that disguises it shows.
	return seed, err == nil
}

func (it *item) appendStored(dst []byte, seed *Seed) []byte {
	d := it.doc
	if d.Kind(it.node) == jsonx.String {
		dst = append(dst, `{"id":"`...)
		dst = seed.appendID(dst, prefixMessage, firstInput+it.at)
		dst = append(dst, `","type":"message","status":"completed","role":"user","content":[{"type":"input_text","text":`...)
		dst = append(dst, d.Raw(it.node)...)
		return append(dst, "}]}"...)
	}
	message := it.kind == kindUser || it.kind == kindSystem || it.kind == kindAssistant
	dst = append(dst, `{"id":"`...)
	switch {
	case it.id != 0:
		dst = append(dst, d.Str(it.id)...)
	case message:
		dst = seed.appendID(dst, prefixMessage, firstInput+it.at)
	default:
		dst = seed.appendID(dst, itemPrefix(d.Text(it.typ)), firstInput+it.at)
	}
	dst = append(dst, '"')
	if it.kind == kindOutput && !it.hosted && it.callID != 0 && !d.Present(d.Get(it.node, "call_id")) { // it was the id
		dst = append(dst, `,"call_id":`...)
		dst = append(dst, d.Raw(it.callID)...)
	}
	if it.typ == 0 {
		dst = append(dst, `,"type":"message"`...)
	}
	if !d.Present(d.Get(it.node, "status")) && it.kind != kindReasoning && it.kind < kindReference {
		dst = append(dst, `,"status":"completed"`...)
	}
	if it.kind == kindReasoning && it.summary == 0 {
		dst = append(dst, `,"summary":[]`...)
	}
	describes := it.describesTools()
	for k, end := d.First(it.node), d.End(it.node); k < end; k = d.Next(k + 1) {
		v := k + 1
		if d.Kind(v) == jsonx.Null || string(keyOf(d, k)) == "id" {
			continue // readers refuse some members that are null
		}
		if describes {
			if scopeItem.isShown(d, k) {
				dst = scopeItem.appendMember(append(dst, ','), d, k)
			}
			continue
		}
		dst = append(dst, ',')
		dst = append(dst, d.Raw(k)...)
		dst = append(dst, ':')
		if v == it.content && message && d.Kind(v) == jsonx.String {
			dst = appendTextContent(dst, d, v, it.kind)
			continue
		}
		if d.Kind(v) == jsonx.Array && (v == it.content || d.Is(k, "output")) {
			dst = appendStoredParts(dst, d, v)
			continue
		}
		dst = d.AppendMultiline(dst, v)
	}
	return append(dst, '}')
}

// appendStoredParts appends a list of parts. An image has the members that the published
// types require.
func appendStoredParts(dst []byte, d *jsonx.Doc, parts uint32) []byte {
	dst = append(dst, '[')
	for v, end := d.First(parts), d.End(parts); v < end; v = d.Next(v) {
		if dst[len(dst)-1] != '[' {
			dst = append(dst, ',')
		}
		dst = d.AppendMultiline(dst, v)
		if !d.Is(d.Get(v, "type"), "input_image") {
			continue
		}
		dst = dst[:len(dst)-1]
		for _, missing := range [...][2]string{{"detail", `"auto"`}, {"file_id", "null"}, {"image_url", "null"}} {
			if d.Get(v, missing[0]) == 0 {
				dst = append(append(append(dst, `,"`...), missing[0]...), `":`...)
				dst = append(dst, missing[1]...)
			}
		}
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

// appendTextContent appends the content of an easy message as a list of parts.
func appendTextContent(dst []byte, d *jsonx.Doc, text uint32, kind itemKind) []byte {
	if kind == kindAssistant {
		dst = append(dst, `[{"type":"output_text","text":`...)
		dst = append(dst, d.Raw(text)...)
		return append(dst, `,"annotations":[],"logprobs":[]}]`...)
	}
	dst = append(dst, `[{"type":"input_text","text":`...)
	dst = append(dst, d.Raw(text)...)
	return append(dst, "}]"...)
}

// StoredKeys are the keys under which the response's items can be looked up: see
// ItemKey. They hold what the ids of this seed share, and the ids that the
// client gave itself.
func (r *Request) StoredKeys(seed *Seed) []string {
	keys := []string{seed.sharedKey()}
	for _, it := range r.given() {
		if it.id == 0 || it.kind == kindReference {
			continue
		}
		if key := ItemKey(it.doc.Text(it.id)); key != keys[0] {
			keys = append(keys, key)
		}
	}
	return keys
}

func (s *Seed) sharedKey() string {
	var buf [1 + respLen]byte
	id := s.appendID(buf[:0], ".", responseNumber)
	return string(id[:1+sharedHex])
}

// ItemKey is the key under which a store finds the record of an item: for ids of
// our own making, what all ids of one response share; for others, the id itself.
func ItemKey(id string) string {
	for i := range len(id) {
		if id[i] != '_' {
			continue
		}
		if rest := id[i+1:]; len(rest) == idHex && isHex(rest) {
			return "." + rest[:sharedHex]
		}
	}
	return id
}

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// FindItem returns the item with that id in a JSON array of items, or nil. The
// result aliases items.
func FindItem(items []byte, id string) []byte {
	var found []byte
	EachItem(items, func(itemID string, item []byte) bool {
		if itemID == id {
			found = item
		}
		return found == nil
	})
	return found
}

// EachItem calls f for each item of a JSON array, with its id, until f returns
// false. item aliases items.
func EachItem(items []byte, f func(id string, item []byte) bool) {
	var d jsonx.Doc
	if d.Parse(items, jsonx.Limits{Depth: 1 << 10, Values: 1 << 30}) != nil || d.Kind(jsonx.Root) != jsonx.Array {
		return
	}
	for v, end := d.First(jsonx.Root), d.End(jsonx.Root); v < end; v = d.Next(v) {
		id := ""
		if n := d.GetString(v, "id"); n != 0 {
			id = d.Text(n)
		}
		if !f(id, d.Raw(v)) {
			return
		}
	}
}
