package translate

import (
	"github.com/antiphon-proxy/antiphon/translate/jsonx"
)

// Moderation is asked for in the same way in both APIs. What it has found is one
// result for the input and one for the output in a response, and a list of results
// for each in a chat completion.

// appendModeration appends the moderation of a completion whose choices are t and
// others, if there is any.
func appendModeration(dst []byte, t *ChatTurn, others []ChatTurn) []byte {
	found := &t.in.moderation
	if len(found[0])+len(found[1]) == 0 {
		return dst
	}
	dst = append(dst, `,"moderation":{"input":`...)
	dst = appendVerdict(dst, t, nil, 0) // all choices have one input
	dst = append(dst, `,"output":`...)
	dst = appendVerdict(dst, t, others, 1)
	return append(dst, '}')
}

// appendVerdict appends what was found of one side: an error, which is the same in
// both APIs, or the results.
func appendVerdict(dst []byte, t *ChatTurn, others []ChatTurn, side int) []byte {
	raw := t.in.moderation[side]
	if jsonx.Lookup(raw, "type").Str == "error" {
		return append(dst, raw...)
	}
	dst = append(dst, `{"type":"moderation_results","model":`...)
	dst = jsonx.AppendString(dst, jsonx.Lookup(raw, "model").Str)
	dst = append(dst, `,"results":[`...)
	dst = append(dst, raw...)
	for i := range others {
		if more := others[i].in.moderation[side]; len(more) > 0 && jsonx.Lookup(more, "type").Str != "error" {
			dst = append(dst, ',')
			dst = append(dst, more...)
		}
	}
	return append(dst, "]}"...)
}

// moderationChunk appends the chunk that only has what moderation has found, if it
// has found anything.
func (t *ChatTurn) moderationChunk(dst []byte, others []ChatTurn) []byte {
	mark := len(dst)
	dst = t.emptyChunk(dst)
	head := len(dst)
	if dst = appendModeration(dst, t, others); len(dst) == head {
		return dst[:mark]
	}
	if t.opt.Request.IncludeUsage {
		dst = append(dst, `,"usage":null`...)
	}
	dst = t.pad(dst, 0)
	return append(dst, eventEnd...)
}
