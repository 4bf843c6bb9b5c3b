package streamcheck

// partStates are the parts of one list of an item.
type partStates struct {
	byIndex  map[int64]*partState
	order    []*partState // as they came
	next     int64        // the index the next added part must have
	anyAdded bool         // before it an item met half way does not know next
}

// partState is a part the stream has opened.
type partState struct {
	index        int64
	typ          string
	value        accumulated
	logprobs     []*value // of the deltas
	doneLogprobs []*value // of the done event
	annotations  []*value
	closed       *value // the part of its done event
	met          bool   // a resumed stream began after the part was added
}

// namedParts is one of the lists of an item that hold parts.
type namedParts struct {
	name  string
	parts *partStates
}

func (st *itemState) lists() []namedParts {
	switch st.typ {
	case "message":
		return []namedParts{{"content", &st.content}}
	case "reasoning":
		return []namedParts{{"content", &st.content}, {"summary", &st.summary}}
	}
	return nil
}

// partsOf returns the list an event speaks of and the index in it.
func (c *checker) partsOf(spec eventSpec, st *itemState, v *value) (list namedParts, index int64, ok bool) {
	if spec.summary {
		index, ok = v.int("summary_index")
		return namedParts{"summary", &st.summary}, index, ok
	}
	index, ok = v.int("content_index")
	return namedParts{"content", &st.content}, index, ok
}

func (p *partStates) keep(part *partState) {
	if p.byIndex == nil {
		p.byIndex = map[int64]*partState{}
	}
	p.byIndex[part.index] = part
	p.order = append(p.order, part)
	p.next = max(p.next, part.index+1)
}

func (c *checker) partAdded(spec eventSpec, v *value) {
	st, part := c.find(spec, v), v.get("part")
	if st == nil || !part.is(object) {
		return
	}
	list, index, ok := c.partsOf(spec, st, v)
	if !ok {
		return
	}
	if !itemTable[st.typ].container {
		c.fail(LadderItemKind, "a %s has no content parts", st.typ)
		return
	}
	if c.placed(part, st.typ+"."+list.name) {
		c.part(part, opened)
	}
	parts := list.parts
	for _, other := range parts.order {
		if other.closed == nil {
			c.fail(LadderPartOpen, "the next %s part is added while part %d is open", list.name, other.index)
		}
	}
	unknown := st.met && !parts.anyAdded && index > parts.next
	if index != parts.next && !unknown {
		c.fail(LadderPartIndex, "the index of the next %s part must be %d, it is %d", list.name, parts.next, index)
	}
	parts.anyAdded = true
	if parts.byIndex[index] == nil && index >= 0 {
		parts.keep(&partState{index: index, typ: part.string("type")})
	}
}

// findPart returns the open part an event belongs to, nil when the event cannot be followed.
func (c *checker) findPart(spec eventSpec, v *value) *partState {
	st := c.find(spec, v)
	if st == nil {
		return nil
	}
	list, index, ok := c.partsOf(spec, st, v)
	if !ok {
		return nil
	}
	p := list.parts.byIndex[index]
	if p == nil {
		if !st.met || index < 0 || list.parts.anyAdded && index >= list.parts.next {
			c.fail(LadderPartNotAdded, "no %s part was added at index %d of the item before this event", list.name, index)
			return nil
		}
		p = &partState{index: index, typ: spec.part, met: true, value: accumulated{met: true}}
		if p.typ == "" {
			p.typ = v.get("part").string("type")
		}
		list.parts.keep(p)
	}
	if p.closed != nil {
		c.fail(LadderPartClosed, "the %s part %d is already closed", list.name, index)
		return nil
	}
	if spec.part != "" && spec.part != p.typ {
		c.fail(LadderPartKind, "this event belongs to a part of the type %s, the part is %s", spec.part, clipText(p.typ))
		return nil
	}
	return p
}

func (c *checker) textDelta(spec eventSpec, v *value) {
	p := c.findPart(spec, v)
	if p == nil {
		return
	}
	c.grow(&p.value, v.string("delta"))
	c.logprobs(v.list("logprobs"), false)
	p.logprobs = append(p.logprobs, v.list("logprobs")...)
}

func (c *checker) textDone(spec eventSpec, v *value) {
	p := c.findPart(spec, v)
	if p == nil {
		return
	}
	again := p.value.closed
	c.closeValue(&p.value, spec.field, v.string(spec.field))
	if again || spec.part != "output_text" {
		return
	}
	p.doneLogprobs = v.list("logprobs")
	c.logprobs(p.doneLogprobs, false)
	c.logprobsAddUp("the done event", p.met, p.logprobs, p.doneLogprobs)
}

// logprobsAddUp compares tokens with their earlier form; of a part met half way only the last ones are known.
func (c *checker) logprobsAddUp(where string, met bool, earlier, later []*value) {
	if met && len(later) > len(earlier) {
		later = later[len(later)-len(earlier):]
	}
	if d := sameLogprobs(earlier, later); d != "" {
		c.fail(ValueLogprobs, "the logprobs of %s differ from those before: %s", where, d)
	}
}

func (c *checker) annotation(spec eventSpec, v *value) {
	p, a := c.findPart(spec, v), v.get("annotation")
	if p == nil || !a.is(object) {
		return
	}
	c.annotationShape(a)
	index, ok := v.int("annotation_index")
	if ok && index != int64(len(p.annotations)) && !p.met {
		c.fail(LadderAnnotation, "annotation_index must be %d, it is %d", len(p.annotations), index)
	}
	p.annotations = append(p.annotations, a)
}

func (c *checker) partDone(spec eventSpec, v *value) {
	p, part := c.findPart(spec, v), v.get("part")
	if p == nil || !part.is(object) {
		return
	}
	p.closed = part
	typ := part.string("type")
	if typ != p.typ {
		c.fail(LadderPartKind, "the part was opened as %s and closed as %s", clipText(p.typ), clip(part.get("type")))
		return
	}
	if partMembers[typ] == nil {
		return // reported when it was added
	}
	c.part(part, final)
	if s := v.get("status"); s != nil && (!s.is(text) || s.str != "incomplete") {
		c.fail(EventMember, "the status of a part that is done can only be incomplete, it is %s", clip(s))
	}
	whole := part.string(partMembers[typ][0].name)
	switch {
	case p.value.closed:
		if whole != p.value.final {
			c.fail(ValuePart, "the part holds %s, its done event said %s", clipText(whole), clipText(p.value.final))
		}
	case !p.met || p.value.buf.Len() > 0:
		c.fail(LadderValueOpen, "the part is closed before the done event of its text")
	}
	if typ != "output_text" {
		return
	}
	if p.value.closed {
		c.logprobsAddUp("the part", false, p.doneLogprobs, part.list("logprobs"))
	}
	c.annotationsAddUp(p, part.list("annotations"))
}

// annotationsAddUp compares the annotations of a part with those that were announced.
func (c *checker) annotationsAddUp(p *partState, have []*value) {
	if p.met && len(have) > len(p.annotations) {
		have = have[len(have)-len(p.annotations):]
	}
	if len(have) != len(p.annotations) {
		c.fail(ValueAnnotations, "the part has %d annotations, the events announced %d", len(have), len(p.annotations))
		return
	}
	for i := range have {
		if d := diff("annotation", p.annotations[i], have[i]); d != "" {
			c.fail(ValueAnnotations, "annotation %d of the part differs from its event: %s", i, d)
		}
	}
}
