package translate

// ChatChoices puts the replies to a request with n > 1 together: each choice is a
// turn of its own, fed with a reply of its own, and all have one id, one usage
// and one end. The turns may be fed in any order; calls must not overlap.
type ChatChoices struct {
	turns []ChatTurn
	n     int
	ended bool
}

// Reset makes it ready for another completion, with the options that all turns
// share and a choice for each of opt.Request.N.
func (c *ChatChoices) Reset(opt ChatTurnOptions) {
	c.n, c.ended = opt.Request.N, false
	for len(c.turns) < c.n {
		c.turns = append(c.turns, ChatTurn{})
	}
	opt.Several = c.n > 1
	for i := range c.turns[:c.n] {
		opt.Choice = i
		c.turns[i].Reset(opt)
	}
}

// Turn is the turn of a choice. Its Terminal must be called when it has ended.
func (c *ChatChoices) Turn(i int) *ChatTurn { return &c.turns[i] }

// Failed is the failure of the first choice that failed, or nil. One failure
// fails the completion: a client that asked for n choices must not take fewer
// for all.
func (c *ChatChoices) Failed() *Error {
	for i := range c.turns[:c.n] {
		if e := c.turns[i].Failure(); e != nil {
			return e
		}
	}
	return nil
}

// Ended reports whether every choice has ended, or one has failed.
func (c *ChatChoices) Ended() bool {
	whole := true
	for i := range c.turns[:c.n] {
		t := &c.turns[i]
		if t.Ended() && t.in.failure != nil {
			return true
		}
		whole = whole && t.Ended()
	}
	return whole
}

// Terminal appends the end of the stream, once: what ends those choices that are
// whole and have not said so, the usage of all, and [DONE]; or the error, and
// [DONE].
func (c *ChatChoices) Terminal(dst []byte) []byte {
	if !c.Ended() || c.ended {
		return dst
	}
	c.ended = true
	first := &c.turns[0]
	if c.n == 1 {
		return first.Terminal(dst)
	}
	if !first.events {
		return dst
	}
	if e := c.Failed(); e != nil {
		for i := range c.turns[:c.n] {
			c.turns[i].advance(stateDone)
		}
		return appendChatFailure(dst, e)
	}
	for i := range c.turns[:c.n] {
		dst = c.turns[i].Terminal(dst)
	}
	dst = first.moderationChunk(dst, c.turns[1:c.n])
	if u := c.usage(); u.known && first.opt.Request.IncludeUsage {
		dst = first.usageChunk(dst, &u)
	}
	return appendDone(dst)
}

// Completion appends the final object with all choices, by index. After a
// failure there is none.
func (c *ChatChoices) Completion(dst []byte) []byte {
	if !c.Ended() || c.Failed() != nil {
		return dst
	}
	dst = c.turns[0].completionHead(dst)
	for i := range c.turns[:c.n] {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = c.turns[i].appendChoice(dst)
		c.turns[i].advance(stateDone)
	}
	u := c.usage()
	return c.turns[0].completionTail(dst, &u, c.turns[1:c.n])
}

// usage is that of all choices: the input once, as the live API counts it, and
// the output of each.
func (c *ChatChoices) usage() (u usage) {
	for i := range c.turns[:c.n] {
		v := &c.turns[i].in.usage
		if !v.known {
			continue
		}
		u.known = true
		u.input, u.cached, u.cacheWrites = max(u.input, v.input), max(u.cached, v.cached), max(u.cacheWrites, v.cacheWrites)
		u.output += v.output
		u.reasoning += v.reasoning
	}
	u.total = u.input + u.output
	return u
}
