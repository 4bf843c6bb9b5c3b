package streamcheck

// partList says which parts may stand where: in which member of which item.
var partList = map[string]map[string]bool{
	"message.content":   {"output_text": true, "refusal": true},
	"reasoning.content": {"reasoning_text": true},
	"reasoning.summary": {"summary_text": true},
}

// partMembers are the members of each part; the first is the one that deltas fill. The AI SDK refuses an output_text
// without annotations, Open Responses one without logprobs.
var partMembers = map[string][]member{
	"output_text":    {{"text", text}, {"annotations", array}, {"logprobs", array}},
	"refusal":        {{"refusal", text}},
	"reasoning_text": {{"text", text}},
	"summary_text":   {{"text", text}},
}

// parts checks the parts an item holds in one of its lists.
func (r *report) parts(item *value, list string) {
	place := item.string("type") + "." + list
	for _, part := range item.list(list) {
		if r.placed(part, place) {
			r.part(part, final)
		}
	}
}

// placed reports a part of a type that is unknown or belongs elsewhere.
func (r *report) placed(part *value, place string) bool {
	if !partList[place][part.string("type")] {
		r.fail(PartType, "%s may not hold a part of the type %s", place, clip(part.get("type")))
		return false
	}
	return true
}

// part checks one part of a known type on its own.
func (r *report) part(v *value, at stage) {
	typ := v.string("type")
	list := partMembers[typ]
	r.members(PartMember, typ, v, list)
	if at == opened {
		for _, m := range list {
			if got := v.get(m.name); got.is(text) && got.str != "" || got.is(array) && len(got.elems) > 0 {
				r.fail(PartNotEmpty, "%s.%s must be empty when the part is added, it is %s", typ, m.name, clip(got))
			}
		}
	}
	if typ == "output_text" {
		r.logprobs(v.list("logprobs"), true)
		for _, annotation := range v.list("annotations") {
			r.annotationShape(annotation)
		}
	}
}

// logprobs checks a list of tokens. In an event bytes may be absent; in a part every token and alternative has them.
func (r *report) logprobs(list []*value, inPart bool) {
	token := []member{{"token", text}, {"logprob", number}}
	if inPart {
		token = with(token, member{"bytes", array})
	}
	check := func(v *value, members []member) {
		r.members(LogprobMember, "a logprob", v, members)
		r.optional(LogprobMember, "a logprob", v, []member{{"bytes", array}})
		for _, b := range v.list("bytes") {
			if !b.is(integer) {
				r.fail(LogprobMember, "the bytes of a logprob must be integers, one is %s", clip(b))
			}
		}
	}
	for _, v := range list {
		check(v, with(token, member{"top_logprobs", array}))
		for _, alternative := range v.list("top_logprobs") {
			check(alternative, token)
		}
	}
}

var annotationMembers = map[string][]member{
	"url_citation":  {{"url", text}, {"title", text}, {"start_index", integer}, {"end_index", integer}},
	"file_citation": {{"file_id", text}, {"filename", text}, {"index", integer}},
	"container_file_citation": {{"container_id", text}, {"file_id", text}, {"filename", text}, {"start_index", integer},
		{"end_index", integer}},
	"file_path": {{"file_id", text}, {"index", integer}},
}

func (r *report) annotationShape(v *value) {
	list, known := annotationMembers[v.string("type")]
	if !known {
		r.fail(AnnotationMember, "clients do not know the annotation type %s", clip(v.get("type")))
		return
	}
	r.members(AnnotationMember, v.string("type"), v, list)
}

// sameLogprobs compares two lists of tokens; bytes count only where both sides have them.
func sameLogprobs(a, b []*value) string {
	if len(a) != len(b) {
		return "the number of tokens differs"
	}
	for i := range a {
		if d := sameToken(a[i], b[i]); d != "" {
			return d
		}
		x, y := a[i].list("top_logprobs"), b[i].list("top_logprobs")
		if len(x) != len(y) {
			return "the number of alternatives differs"
		}
		for j := range x {
			if d := sameToken(x[j], y[j]); d != "" {
				return d
			}
		}
	}
	return ""
}

func sameToken(a, b *value) string {
	for _, name := range []string{"token", "logprob", "bytes"} {
		x, y := a.get(name), b.get(name)
		if name == "bytes" && (x == nil || y == nil) {
			continue
		}
		if d := diff(name, x, y); d != "" {
			return d
		}
	}
	return ""
}
