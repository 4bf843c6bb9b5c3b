package memory

import (
	"iter"
	"slices"
	"sort"
)

// docList is a sorted list of documents, in blocks so that one more costs no
// more than moving the pointers of its block, and those to the blocks.
type docList struct {
	blocks [][]*document // by key, none of them empty
}

// blockSize is when a block is split. With a million documents an insertion
// moves 1 KB within the block, and seldom 128 KB to make room for another.
const blockSize = 128

// find is the place of a key: its block and index in it, or, if it is not
// there, where it would have to be inserted.
func (l *docList) find(name string) (block, at int, there bool) {
	// The last block that begins at or before the key.
	block = sort.Search(len(l.blocks), func(i int) bool { return l.blocks[i][0].doc.Key > name }) - 1
	if block < 0 {
		return 0, 0, false
	}
	b := l.blocks[block]
	at = sort.Search(len(b), func(i int) bool { return b[i].doc.Key >= name })
	return block, at, at < len(b) && b[at].doc.Key == name
}

func (l *docList) get(name string) *document {
	if block, at, there := l.find(name); there {
		return l.blocks[block][at]
	}
	return nil
}

// insert adds a document whose key is not there.
func (l *docList) insert(d *document) {
	if len(l.blocks) == 0 {
		l.blocks = [][]*document{{d}}
		return
	}
	block, at, _ := l.find(d.doc.Key)
	b := slices.Insert(l.blocks[block], at, d)
	l.blocks[block] = b
	if len(b) > blockSize {
		half := len(b) / 2
		l.blocks = slices.Insert(l.blocks, block+1, slices.Clone(b[half:]))
		clear(b[half:]) // or the array keeps them alive
		l.blocks[block] = b[:half]
	}
}

// remove takes out the document with that key, which is there.
func (l *docList) remove(name string) {
	block, at, _ := l.find(name)
	b := slices.Delete(l.blocks[block], at, at+1)
	if l.blocks[block] = b; len(b) == 0 {
		l.blocks = slices.Delete(l.blocks, block, block+1)
	}
}

// after is the documents behind a key, or all with the empty one.
func (l *docList) after(name string) iter.Seq[*document] {
	return func(yield func(*document) bool) {
		block, at, there := l.find(name)
		if there {
			at++
		}
		for ; block < len(l.blocks); block, at = block+1, 0 {
			for _, d := range l.blocks[block][at:] {
				if !yield(d) {
					return
				}
			}
		}
	}
}

// before is the documents before a key, the last first, or all with the empty
// one.
func (l *docList) before(name string) iter.Seq[*document] {
	return func(yield func(*document) bool) {
		block, end := len(l.blocks)-1, -1
		if name != "" {
			block, end, _ = l.find(name)
		}
		for ; block >= 0; block, end = block-1, -1 {
			b := l.blocks[block]
			if end >= 0 {
				b = b[:end]
			}
			for _, d := range slices.Backward(b) {
				if !yield(d) {
					return
				}
			}
		}
	}
}
