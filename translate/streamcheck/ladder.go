package streamcheck

import "strings"

// itemState is an item the stream has opened.
type itemState struct {
	index    int64
	id, typ  string
	added    *value // nil when the item was met half way
	done     *value
	met      bool // a resumed stream began after the item was added
	content  partStates
	summary  partStates
	value    *accumulated // arguments, input or code; nil before its first event
	commands []*command
	rank     int // of the last progress event
}

// accumulated is a string that arrives in deltas and is then repeated whole.
type accumulated struct {
	buf    strings.Builder
	closed bool
	final  string
	met    bool // a resumed stream began after the first delta
}

// matches compares a whole value with the deltas; of a value met half way only the tail is known.
func (a *accumulated) matches(whole string) bool {
	if a.met {
		return strings.HasSuffix(whole, a.buf.String())
	}
	return whole == a.buf.String()
}

// valueField names the member of an item that deltas fill, and whether its done event is due on every item.
var valueField = map[string]struct {
	name string
	due  bool
}{
	"function_call": {"arguments", true}, "custom_tool_call": {"input", true}, "mcp_call": {"arguments", false},
	"code_interpreter_call": {"code", false},
}

// find returns the open item an event belongs to, nil when the event cannot be followed.
func (c *checker) find(spec eventSpec, v *value) *itemState {
	index, ok := v.int("output_index")
	if !ok {
		return nil
	}
	st := c.items[index]
	if st == nil {
		if st = c.adopt(index, ownerOf(spec, v), v.string("item_id")); st == nil {
			c.fail(LadderItemNotAdded, "no item was added at output_index %d before this event", index)
			return nil
		}
	}
	st.learnID(v.string("item_id"))
	if id := v.get("item_id"); id.is(text) && id.str != st.id {
		c.fail(LadderItemID, "the item at output_index %d is %s, not %s", index, clipText(st.id), clipText(id.str))
	}
	if st.done != nil {
		c.fail(LadderItemClosed, "the item at output_index %d is already closed by output_item.done", index)
		return nil
	}
	if spec.item != "" && spec.item != st.typ {
		c.fail(LadderItemKind, "this event belongs to a %s, the item at output_index %d is a %s", spec.item, index, st.typ)
		return nil
	}
	return st
}

// learnID: a shell command's events, by which a resumed stream may meet its item, do not say the item's id.
func (st *itemState) learnID(id string) {
	if st.met && st.id == "" {
		st.id = id
	}
}

// ownerOf is the item type an event implies.
func ownerOf(spec eventSpec, v *value) string {
	if spec.item != "" {
		return spec.item
	}
	if v.get("part").string("type") == "reasoning_text" {
		return "reasoning"
	}
	return "message"
}

// adopt takes up an item that a resumed stream meets half way. In a whole stream there is none.
func (c *checker) adopt(index int64, typ, id string) *itemState {
	if !c.resumed() || index < 0 || c.anyAdded && index >= c.nextItem {
		return nil
	}
	st := &itemState{index: index, typ: typ, id: id, met: true}
	c.keep(st)
	return st
}

func (c *checker) keep(st *itemState) {
	c.items[st.index] = st
	c.itemOrder = append(c.itemOrder, st)
	c.nextItem = max(c.nextItem, st.index+1)
}

func (c *checker) itemAdded(v *value) {
	item := v.get("item")
	if !item.is(object) {
		return
	}
	c.item(item, opened)
	c.unique(item, c.itemIDs, c.callIDs)
	index, ok := v.int("output_index")
	if !ok {
		return
	}
	// A resumed stream learns the next index from the first item that is added.
	unknown := c.resumed() && !c.anyAdded && index > c.nextItem
	if index != c.nextItem && !unknown {
		c.fail(LadderOutputIndex, "output_index must be %d, the next position in the output, it is %d", c.nextItem, index)
	}
	c.anyAdded = true
	if c.items[index] == nil && index >= 0 {
		c.keep(&itemState{index: index, id: item.string("id"), typ: item.string("type"), added: item})
	}
}

func (c *checker) itemDone(v *value) {
	item := v.get("item")
	index, ok := v.int("output_index")
	if !ok || !item.is(object) {
		return
	}
	c.item(item, final)
	st := c.items[index]
	if st == nil {
		if st = c.adopt(index, item.string("type"), item.string("id")); st == nil {
			c.fail(LadderItemNotAdded, "the item at output_index %d is closed but was never added", index)
			return
		}
	}
	if st.done != nil {
		c.fail(LadderItemClosed, "the item at output_index %d is closed twice", index)
		return
	}
	if st.met {
		c.unique(item, c.itemIDs, c.callIDs)
	}
	st.done = item
	c.itemUnchanged(st, item)
	if st.typ == item.string("type") {
		c.itemCloses(st, item)
	}
}

// itemUnchanged compares the identity of an item when it opens and when it closes.
func (c *checker) itemUnchanged(st *itemState, item *value) {
	st.learnID(item.string("id"))
	if id := item.string("id"); id != st.id {
		c.fail(LadderItemChanged, "the item was opened with the id %s and closed with %s", clipText(st.id), clipText(id))
	}
	if typ := item.string("type"); typ != st.typ {
		c.fail(LadderItemChanged, "the item was opened as a %s and closed as a %s", st.typ, clipText(typ))
	}
	if st.added == nil {
		return
	}
	for _, name := range constantMembers {
		if d := diff(name, st.added.get(name), item.get(name)); d != "" {
			c.fail(LadderItemChanged, "the item changed between added and done: %s", d)
		}
	}
	// A phase may be known only at the end; one that was announced stays.
	if p := st.added.get("phase"); p != nil && diff("phase", p, item.get("phase")) != "" {
		c.fail(LadderItemChanged, "the phase was announced as %s and is %s", clip(p), clip(item.get("phase")))
	}
}

// itemCloses checks that everything inside the item is closed and that the item repeats it.
func (c *checker) itemCloses(st *itemState, item *value) {
	for _, list := range st.lists() {
		have := item.list(list.name)
		if n := int64(len(have)); n != list.parts.next && !(st.met && n > list.parts.next) {
			c.fail(ValueItem, "%s has %d parts, the events opened %d", list.name, n, list.parts.next)
		}
		for _, p := range list.parts.order {
			if p.closed == nil {
				c.fail(LadderPartOpen, "the item is closed while its %s part %d is open", list.name, p.index)
			} else if p.index < int64(len(have)) {
				if d := diff("part", p.closed, have[p.index]); d != "" {
					c.fail(ValueItem, "%s[%d] differs from the part that was closed: %s", list.name, p.index, d)
				}
			}
		}
	}
	field := valueField[st.typ]
	switch {
	case st.value == nil:
		if field.due && !st.met {
			c.fail(LadderValueOpen, "the item is closed without the done event of its %s", field.name)
		}
	case !st.value.closed:
		c.fail(LadderValueOpen, "the item is closed before the done event of its %s", field.name)
	case item.string(field.name) != st.value.final:
		c.fail(ValueItem, "%s is %s, its done event said %s", field.name, clipText(item.string(field.name)), clipText(st.value.final))
	}
	c.commandsClose(st, item)
}

func (c *checker) valueDelta(spec eventSpec, v *value) {
	if st := c.find(spec, v); st != nil {
		c.grow(st.itemValue(), v.string("delta"))
	}
}

func (c *checker) valueDone(spec eventSpec, v *value) {
	if st := c.find(spec, v); st != nil {
		c.closeValue(st.itemValue(), spec.field, v.string(spec.field))
	}
}

func (st *itemState) itemValue() *accumulated {
	if st.value == nil {
		st.value = &accumulated{met: st.met}
	}
	return st.value
}

// grow appends a delta.
func (c *checker) grow(a *accumulated, delta string) {
	if a.closed {
		c.fail(LadderValueClosed, "a delta follows the done event of its value")
		return
	}
	a.buf.WriteString(delta)
}

// closeValue takes the done event of a value.
func (c *checker) closeValue(a *accumulated, field, whole string) {
	if a.closed {
		c.fail(LadderValueClosed, "the value has two done events")
		return
	}
	if !a.matches(whole) {
		c.fail(ValueText, "%s is %s, the deltas add up to %s", field, clipText(whole), clipText(a.buf.String()))
	}
	a.closed, a.final = true, whole
}

// progress follows the status events of hosted tools. They may be left out or repeated (the live service announces an
// approved mcp_call twice), but neither run backwards nor end twice.
func (c *checker) progress(spec eventSpec, v *value) {
	st := c.find(spec, v)
	if st == nil || spec.rank == 0 {
		return
	}
	if spec.rank < st.rank || spec.rank == st.rank && spec.last {
		c.fail(LadderProgress, "this event cannot follow the last one of the item at output_index %d", st.index)
	}
	st.rank = spec.rank
}

// command is a shell command that arrives in deltas.
type command struct {
	accumulated
	index int64
}

func (st *itemState) command(index int64) *command {
	for _, cmd := range st.commands {
		if cmd.index == index {
			return cmd
		}
	}
	return nil
}

// findCommand finds the shell command an event belongs to.
func (c *checker) findCommand(spec eventSpec, v *value) *command {
	st := c.find(spec, v)
	index, ok := v.int("command_index")
	if st == nil || !ok {
		return nil
	}
	cmd := st.command(index)
	if cmd == nil {
		if !st.met || index < 0 {
			c.fail(LadderCommandIndex, "no command was added at command_index %d", index)
			return nil
		}
		cmd = &command{index: index, accumulated: accumulated{met: true}}
		st.commands = append(st.commands, cmd)
	}
	return cmd
}

func (c *checker) commandAdded(spec eventSpec, v *value) {
	st := c.find(spec, v)
	index, ok := v.int("command_index")
	if st == nil || !ok {
		return
	}
	if index != int64(len(st.commands)) && !st.met || st.command(index) != nil {
		c.fail(LadderCommandIndex, "command_index must be %d, it is %d", len(st.commands), index)
		return
	}
	for _, other := range st.commands {
		if !other.closed {
			c.fail(LadderCommandOpen, "the next command is added while command %d is open", other.index)
		}
	}
	cmd := &command{index: index}
	cmd.buf.WriteString(v.string(spec.field))
	st.commands = append(st.commands, cmd)
}

func (c *checker) commandDelta(spec eventSpec, v *value) {
	if cmd := c.findCommand(spec, v); cmd != nil {
		c.grow(&cmd.accumulated, v.string("delta"))
	}
}

func (c *checker) commandDone(spec eventSpec, v *value) {
	if cmd := c.findCommand(spec, v); cmd != nil {
		c.closeValue(&cmd.accumulated, spec.field, v.string(spec.field))
	}
}

func (c *checker) commandsClose(st *itemState, item *value) {
	if len(st.commands) == 0 {
		return
	}
	have := item.get("action").list("commands")
	if len(have) != len(st.commands) && !st.met {
		c.fail(ValueItem, "action.commands has %d entries, the events opened %d", len(have), len(st.commands))
	}
	for _, cmd := range st.commands {
		switch i := cmd.index; {
		case !cmd.closed:
			c.fail(LadderCommandOpen, "the item is closed while command %d is open", i)
		case i < int64(len(have)) && have[i].str != cmd.final:
			c.fail(ValueItem, "action.commands[%d] is %s, its done event said %s", i, clip(have[i]), clipText(cmd.final))
		}
	}
}
