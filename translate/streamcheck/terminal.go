package streamcheck

// terminal follows completed, incomplete and failed: the response must list every item again, complete.
func (c *checker) terminal(resp *value) {
	if !resp.is(object) {
		return // reported as a missing member
	}
	c.final, c.finalTyp = resp, c.typ
	c.response(resp)
	if status, want := resp.string("status"), statusOf[c.typ]; status != want {
		c.fail(LifecycleStatus, "%s must carry the status %s, it is %s", c.typ, want, clipText(status))
	}
	c.sameResponse(resp, false)
	c.itemsAgree(resp)

	output := resp.list("output")
	n := int64(len(output))
	// A resumed stream in which nothing was added does not know how many items came before it.
	open := c.resumed() && !c.anyAdded
	if n != c.nextItem && !(open && n > c.nextItem) {
		c.fail(TerminalOutput, "the output lists %d items, the stream had %d", n, c.nextItem)
	}
	for _, st := range c.itemOrder {
		if st.done == nil && c.typ != typeFailed {
			c.fail(TerminalOpenItem, "the item at output_index %d has no output_item.done, which only a failed response excuses", st.index)
		}
	}
	for i, item := range output {
		c.terminalItem(c.items[int64(i)], item, int64(i))
	}
}

func (c *checker) terminalItem(st *itemState, item *value, index int64) {
	switch {
	case st == nil && c.resumed() && c.typ == typeFailed:
		c.item(item, unseen)
	case st == nil:
		c.item(item, final)
	case st.done != nil:
		if d := diff("item", st.done, item); d != "" {
			c.fail(TerminalItem, "output[%d] differs from the item of its output_item.done: %s", index, d)
		}
		if c.typ == typeFailed && st.done.string("status") == "incomplete" {
			// Codex keeps what is done and replays it in the retry; half an item must not look like that.
			c.fail(TerminalHalfDone, "a failed response must not close the item at output_index %d as incomplete, but leave it open", index)
		}
	case c.typ == typeFailed:
		c.cutItem(st, item, index)
	}
}

// cutItem checks an item that was open when the response failed. It must hold exactly what the deltas brought.
func (c *checker) cutItem(st *itemState, item *value, index int64) {
	st.learnID(item.string("id"))
	if item.string("type") != st.typ || item.string("id") != st.id {
		c.fail(TerminalItem, "output[%d] must be the %s %s, it is %s %s", index, st.typ, clipText(st.id),
			clip(item.get("type")), clip(item.get("id")))
		return
	}
	c.item(item, cut)
	c.itemUnchanged(st, item)
	for _, list := range st.lists() {
		c.cutParts(st, list, item.list(list.name))
	}
	field, ok := valueField[st.typ]
	if !ok {
		return
	}
	sofar := st.value
	if sofar == nil {
		if sofar = (&accumulated{met: st.met}); !field.due {
			return
		}
	}
	if whole := item.string(field.name); !sofar.matches(whole) {
		c.fail(ValueItem, "%s is %s, the deltas add up to %s", field.name, clipText(whole), clipText(sofar.buf.String()))
	}
}

// cutParts compares the parts of an unfinished item. An open part without a single character may be left out.
func (c *checker) cutParts(st *itemState, list namedParts, have []*value) {
	n := int64(len(have))
	if n > list.parts.next && !st.met {
		c.fail(ValueItem, "%s has %d parts, the events opened %d", list.name, n, list.parts.next)
	}
	for _, p := range list.parts.order {
		switch i := p.index; {
		case i >= n:
			if p.closed != nil || p.value.buf.Len() > 0 {
				c.fail(ValueItem, "%s has %d parts, part %d of the stream is missing", list.name, n, i)
			}
		case p.closed != nil:
			if d := diff("part", p.closed, have[i]); d != "" {
				c.fail(ValueItem, "%s[%d] differs from the part that was closed: %s", list.name, i, d)
			}
		case partMembers[p.typ] == nil: // reported when it was added
		case have[i].string("type") != p.typ:
			c.fail(ValueItem, "%s[%d] is %s, the stream opened %s", list.name, i, clip(have[i].get("type")), clipText(p.typ))
		default:
			if whole := have[i].string(partMembers[p.typ][0].name); !p.value.matches(whole) {
				c.fail(ValueItem, "%s[%d] is %s, the deltas add up to %s", list.name, i, clipText(whole), clipText(p.value.buf.String()))
			}
			if p.typ == "output_text" {
				c.logprobsAddUp("the part", p.met, p.logprobs, have[i].list("logprobs"))
				c.annotationsAddUp(p, have[i].list("annotations"))
			}
		}
	}
}
