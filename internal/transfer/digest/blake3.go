package digest

import (
	"encoding/binary"

	"lukechampine.com/blake3/guts"
)

// chaining is the chaining value of a node of the BLAKE3 tree.
type chaining [8]uint32

// tree joins chaining values of subtrees of equal size, from left to right, in
// the order that BLAKE3 prescribes.
type tree struct {
	complete [48]chaining // the larger first: one for each bit that is set in count
	depth    int
	count    uint64
}

// push adds a subtree that is not the last of the file.
func (t *tree) push(cv chaining) {
	for n := t.count; n&1 == 1; n >>= 1 {
		t.depth--
		cv = guts.ChainingValue(guts.ParentNode(t.complete[t.depth], cv, &guts.IV, 0))
	}
	t.complete[t.depth] = cv
	t.depth++
	t.count++
}

// join returns the node above all subtrees that were pushed, one at least, and
// the last one, which may be smaller.
func (t *tree) join(last chaining) guts.Node {
	i := t.depth - 1
	node := guts.ParentNode(t.complete[i], last, &guts.IV, 0)
	for i--; i >= 0; i-- {
		node = guts.ParentNode(t.complete[i], guts.ChainingValue(node), &guts.IV, 0)
	}
	return node
}

// group is what guts hashes at once.
const group = guts.MaxSIMD * guts.ChunkSize

// subtree hashes a block that is written in order.
type subtree struct {
	tree  tree
	chunk uint64 // number of the first chunk in buf
	buf   [group]byte
	used  int
}

// newSubtree returns the empty subtree of a block.
func newSubtree(block int64) *subtree {
	return &subtree{chunk: uint64(block) * (BlockSize / guts.ChunkSize)}
}

// write copies what it hashes, whole groups too: guts reads the chunks of a group
// side by side, which takes up to twice as long out of memory that is in no cache.
func (s *subtree) write(data []byte) {
	for len(data) > 0 {
		if s.used == group { // not the last group
			s.tree.push(guts.ChainingValue(guts.CompressBuffer(&s.buf, group, &guts.IV, s.chunk, 0)))
			s.chunk += guts.MaxSIMD
			s.used = 0
		}
		n := copy(s.buf[s.used:], data)
		s.used += n
		data = data[n:]
	}
}

// sum returns the chaining value of the block, or the hash of the file if it has
// no other.
func (s *subtree) sum(only bool) hash {
	node := guts.CompressBuffer(&s.buf, s.used, &guts.IV, s.chunk, 0)
	if s.tree.count > 0 {
		node = s.tree.join(guts.ChainingValue(node))
	}
	if only {
		return root(node)
	}
	return bytesOf(guts.ChainingValue(node))
}

// root returns the hash of the file whose topmost node is given.
func root(node guts.Node) hash {
	node.Flags |= guts.FlagRoot
	return bytesOf(guts.ChainingValue(node))
}

func words(h hash) (cv chaining) {
	for i := range cv {
		cv[i] = binary.LittleEndian.Uint32(h[4*i:])
	}
	return cv
}

func bytesOf(cv chaining) (h hash) {
	for i, w := range cv {
		binary.LittleEndian.PutUint32(h[4*i:], w)
	}
	return h
}
