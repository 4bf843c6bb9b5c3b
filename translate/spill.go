package translate

// Spiller takes events that a turn has made before it makes more, so that the events
// in which a long text stands again do not pile up: its done events, each as long as
// the text, would be four times that. Spill takes all of dst and returns what is to be
// appended to, which may be dst itself if it cannot take any now.
type Spiller interface {
	Spill(dst []byte) []byte
}

// spillAt is how many bytes of events may pile up before the next large one.
const spillAt = 256 << 10

// spill lets go of the events in dst if they are many. It is called between events.
func (t *Turn) spill(dst []byte) []byte {
	if len(dst) < spillAt || t.opt.Spiller == nil {
		return dst
	}
	return t.opt.Spiller.Spill(dst)
}

// letGo returns b, emptied, to be used again, or nil if it is so large that its memory
// is wanted elsewhere.
func letGo(b []byte) []byte {
	if cap(b) > spillAt {
		return nil
	}
	return b[:0]
}

// Held is how many bytes of output the turn holds. What it takes in memory until the
// response is stored is up to four times that: the text, its item, the event or object
// that says it again, and what is stored.
func (t *Turn) Held() int { return t.held }

// Held is Turn.Held, with what has been read of the reply.
func (t *ResponsesTurn) Held() int { return t.Turn.held + t.in.held }

// Held is how many bytes the turns hold of the replies.
func (c *ChatChoices) Held() (n int) {
	for i := range c.turns[:c.n] {
		n += c.turns[i].in.held
	}
	return n
}
