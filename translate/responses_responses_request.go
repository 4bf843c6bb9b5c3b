package translate

import (
	"bytes"

	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// OwnResponsesOptions are what AppendOwnResponses needs.
type OwnResponsesOptions struct {
	// Model is the backend's name for the model; "" keeps the client's.
	Model string
	// Past are the stored items before the request's own input: JSON arrays, or
	// strings, as they are stored.
	Past [][]byte
	// Opener opens compaction items: no backend can read ours.
	Opener Opener
	// Summarize asks for a summary instead of an answer: see ChatOptions.
	Summarize bool
	// Sealer is given for backends that check reasoning: what others have thought
	// is left out then, because it would be refused. That is all that is not
	// encrypted, and what Sealer opens.
	Sealer Sealer
	// Dialect of the backend: one that speaks Responses by halves is shown tools as it
	// knows them, and PrepareOwn has to be called before. nil changes nothing.
	Dialect *Dialect
	// Losses receives what is left out. It may be nil.
	Losses *Losses
}

// AppendOwnResponses appends the body of the POST /responses for a backend that
// speaks Responses but keeps no state: what the request continues stands in its
// input, and nothing is asked to be stored or run in the background. All else is
// the client's. ErrBadRecord, if a stored compaction does not open.
func (r *Request) AppendOwnResponses(dst []byte, opt OwnResponsesOptions) ([]byte, error) {
	d := &r.doc
	dst = append(dst, `{"model":`...)
	if opt.Model != "" {
		dst = jsonx.AppendString(dst, opt.Model)
	} else {
		dst = append(dst, d.Raw(r.params[pModel])...)
	}
	flat := false
	if opt.flattens() && !opt.Summarize {
		dst, flat = r.appendOwnTools(dst, &opt)
	}
	streams := opt.Dialect != nil && opt.Dialect.Responses.StreamOnly && !r.Stream
	if streams {
		dst = append(dst, `,"stream":true`...)
	}
	for k, end := d.First(jsonx.Root), d.End(jsonx.Root); k < end; k = d.Next(k + 1) {
		switch p := paramByName(keyOf(d, k)); {
		case flat && (p == pTools || p == pToolChoice), streams && p == pStream:
			continue
		case opt.flattens() && d.Present(k+1) && !opt.Dialect.Responses.Takes(string(keyOf(d, k))):
			if opt.Losses != nil {
				opt.Losses.add(ruleMendRefused, brief(d.Text(k)), "")
			}
			continue
		}
		switch paramByName(keyOf(d, k)) {
		case pModel, pInput, pPreviousResponseID, pConversation, pStore, pBackground, pContextManagement:
			continue
		}
		if d.Kind(k+1) == jsonx.Null || opt.Summarize && paramByName(keyOf(d, k)) != pInstructions {
			continue
		}
		dst = append(dst, ',')
		dst = append(dst, d.Raw(k)...)
		dst = append(dst, ':')
		dst = append(dst, d.Raw(k+1)...)
	}
	if opt.Summarize && r.Stream {
		dst = append(dst, `,"stream":true`...)
	}
	dst = append(dst, `,"store":false,"input":[`...)
	mark := len(dst)
	for _, items := range opt.Past {
		dst = appendItemsOf(dst, items, mark)
	}
	own, _ := r.wholeInput(false) // the backend runs the tools, and gets their credentials
	dst, err := r.compactItems(appendItemsOf(dst, own, mark), mark, opt)
	return append(dst, "]}"...), err
}

// compactItems puts messages in the place of the compaction items among those that
// stand in dst from mark on, and leaves out what they stand for, and reasoning that
// the backend would refuse.
func (r *Request) compactItems(dst []byte, mark int, opt OwnResponsesOptions) ([]byte, error) {
	thoughts := opt.Sealer != nil && bytes.Contains(dst[mark:], []byte(`"reasoning"`))
	dressed := opt.flattens() && hasDressed(dst[mark:])
	if r.added == 0 && !opt.Summarize && !thoughts && !dressed && !bytes.Contains(dst[mark:], []byte(`"compaction`)) {
		return dst, nil
	}
	var d jsonx.Doc
	if d.Parse(append(append([]byte{'['}, dst[mark:]...), ']'), storedLimits) != nil {
		return dst, ErrBadRecord
	}
	var items []item
	for v, end := d.First(jsonx.Root), d.End(jsonx.Root); v < end; v = d.Next(v) {
		it, err := readItem(&d, v, len(items))
		if err != nil { // of a kind that only the backend knows
			it = item{doc: &d, node: v, at: len(items), kind: kindUnsupported}
		}
		items = append(items, it)
	}
	items = append(items, r.items[len(r.items)-r.added:]...)
	if openCompactions(items, opt.Opener) >= 0 {
		return dst, ErrBadRecord
	}
	compacted := supersede(items) >= 0
	dst = dst[:mark]
	m := &r.messages
	if dressed {
		m.reset(opt.ownDialect(), opt.Losses, nil)
		m.tools = &r.tools
	}
	message := func(role string, text []byte) {
		if len(dst) > mark {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"type":"message","role":"`...)
		dst = append(dst, role...)
		dst = append(dst, `","content":[{"type":"input_text","text":`...)
		dst = append(append(dst, text...), "}]}"...)
	}
	for i := range items {
		it := &items[i]
		switch {
		case it.kind == kindGone, it.kind == kindTrigger:
		case thoughts && it.kind == kindReasoning && foreign(it, opt.Sealer):
			if opt.Losses != nil {
				opt.Losses.once(ruleMendReasoning, "input", "")
			}
		case it.opened != nil:
			message("developer", it.doc.Raw(it.node))
		default:
			from := len(dst)
			if from > mark {
				dst = append(dst, ',')
			}
			if !dressed {
				dst = append(dst, it.doc.Raw(it.node)...)
				continue
			}
			var ok bool
			if dst, ok = m.appendOwnItem(dst, it, &opt.Dialect.Responses); !ok {
				dst = dst[:from]
			}
		}
	}
	switch {
	case opt.Summarize:
		message("user", jsonx.AppendString(nil, handOverPrompt))
	case compacted && silent(items):
		message("user", jsonx.AppendString(nil, goOn))
	}
	return dst, nil
}

// foreign reports whether a reasoning item has not been made by a backend that
// encrypts what it thinks.
func foreign(it *item, sealer Sealer) bool {
	n := it.doc.GetString(it.node, "encrypted_content")
	if n == 0 || len(it.doc.Str(n)) == 0 {
		return true
	}
	_, ours := sealer.Open(nil, it.doc.Str(n))
	return ours
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
