package grammar

import (
	"slices"
	"strings"
)

// Whether a text belongs to a grammar is found with Earley's algorithm, on
// characters rather than on tokens: a terminal may end wherever its pattern may.
// Lark's lexer takes the longest one, so that all it accepts is accepted here.

// findEmpty marks the symbols that match the empty text.
func (g *larkRules) findEmpty() {
	work := 1 << 20
	for i := range g.symbols {
		if s := &g.symbols[i]; s.match != nil {
			s.empty = len(s.match.ends(nil, "", 0, &work)) > 0
		}
	}
	for changed := true; changed; {
		changed = false
		for i := range g.symbols {
			s := &g.symbols[i]
			if s.empty || !s.isRule() {
				continue
			}
			s.empty = slices.ContainsFunc(s.bodies, func(body []int) bool {
				return !slices.ContainsFunc(body, func(n int) bool { return !g.symbols[n].empty })
			})
			changed = changed || s.empty
		}
	}
}

// earleyItem is a rule's alternative, how much of it has been found, and where it
// began.
type earleyItem struct {
	symbol, body, dot, origin int32
}

// earley is one run over a text.
type earley struct {
	g     *larkRules
	text  string
	sets  [][]earleyItem
	known []map[earleyItem]struct{}
	items int // that may still be made
	work  int // steps that may still be taken
}

// What a run may take, in items (16 bytes each) and in steps.
const (
	maxEarleyItems = 500_000
	maxEarleyWork  = 5_000_000
)

// recognise reports whether text belongs to the grammar; if not, how far it could
// be read, and what could have come there. What takes too long belongs to it.
func (g *larkRules) recognise(text string) (at int, expected []string, right bool) {
	const root = -1
	e := earley{g: g, text: text, items: maxEarleyItems, work: maxEarleyWork,
		sets: make([][]earleyItem, len(text)+1), known: make([]map[earleyItem]struct{}, len(text)+1)}
	for _, from := range e.beyond([]int{0}) {
		e.add(from, earleyItem{symbol: root, origin: 0})
	}
	for pos := 0; pos <= len(text); pos++ {
		for n := 0; n < len(e.sets[pos]); n++ {
			e.step(pos, e.sets[pos][n])
			if e.work <= 0 || e.items <= 0 {
				return 0, nil, true
			}
		}
		if len(e.sets[pos]) > 0 {
			at = pos
		}
		if pos < len(text) { // nothing will be asked of it any more but what began there
			e.known[pos] = nil
		}
	}
	for _, it := range e.sets[len(text)] {
		if it.symbol == root && it.dot == 1 {
			return 0, nil, true
		}
	}
	return at, e.expected(at), false
}

// body is what an item's alternative consists of. The root's is the start rule.
func (e *earley) body(it earleyItem) []int {
	if it.symbol < 0 {
		return []int{e.g.start}
	}
	return e.g.symbols[it.symbol].bodies[it.body]
}

func (e *earley) add(pos int, it earleyItem) {
	if e.known[pos] == nil {
		e.known[pos] = map[earleyItem]struct{}{}
	}
	if _, again := e.known[pos][it]; again {
		return
	}
	e.known[pos][it] = struct{}{}
	e.sets[pos] = append(e.sets[pos], it)
	e.items--
}

// step does what follows from one item at a place.
func (e *earley) step(pos int, it earleyItem) {
	body := e.body(it)
	if int(it.dot) == len(body) { // found: whoever waited for it goes on
		if it.symbol < 0 {
			return
		}
		for n := 0; n < len(e.sets[it.origin]); n++ {
			e.work--
			if o := e.sets[it.origin][n]; int(o.dot) < len(e.body(o)) && e.body(o)[o.dot] == int(it.symbol) {
				o.dot++
				e.forward(pos, o, int(it.symbol))
			}
		}
		return
	}
	next := body[it.dot]
	s := &e.g.symbols[next]
	if !s.isRule() {
		for _, end := range e.scan(next, pos) {
			o := it
			o.dot++
			e.forward(end, o, next)
		}
		return
	}
	for b := range s.bodies {
		e.add(pos, earleyItem{symbol: int32(next), body: int32(b), origin: int32(pos)})
	}
	if s.empty {
		it.dot++
		e.add(pos, it)
	}
}

// forward adds an item that has just got past a symbol. Behind a terminal, seen
// from outside of all terminals, comes what is ignored.
func (e *earley) forward(pos int, it earleyItem, past int) {
	outside := it.symbol < 0 || !e.g.symbols[it.symbol].lexical
	if len(e.g.ignore) == 0 || !outside || !e.g.symbols[past].lexical {
		e.add(pos, it)
		return
	}
	for _, end := range e.beyond([]int{pos}) {
		e.add(end, it)
	}
}

// scan returns where a symbol that matches characters may end.
func (e *earley) scan(symbol, pos int) []int {
	s := &e.g.symbols[symbol]
	if s.literal != "" {
		if strings.HasPrefix(e.text[pos:], s.literal) {
			return []int{pos + len(s.literal)}
		}
		return nil
	}
	return s.match.ends(nil, e.text, pos, &e.work)
}

// beyond returns the places that can be reached from those over ignored text.
func (e *earley) beyond(places []int) []int {
	for n := 0; n < len(places); n++ {
		for _, ignored := range e.g.ignore {
			for _, end := range e.scan(ignored, places[n]) {
				if e.work -= len(places); e.work <= 0 {
					return places
				}
				if !slices.Contains(places, end) {
					places = append(places, end)
				}
			}
		}
	}
	return places
}

// expected says which terminals could have come at a place.
func (e *earley) expected(pos int) (names []string) {
	const most = 5
	for _, it := range e.sets[pos] {
		body := e.body(it)
		if int(it.dot) == len(body) {
			continue
		}
		s := &e.g.symbols[body[it.dot]]
		inTerminal := it.symbol >= 0 && isTerminal(e.g.symbols[it.symbol].name)
		if s.name == "" || inTerminal || s.isRule() && !isTerminal(s.name) || slices.Contains(names, s.name) {
			continue
		}
		if names = append(names, s.name); len(names) == most {
			break
		}
	}
	return names
}
