// Package digest computes digests of files, also of such as arrive in pieces,
// out of order and by several connections at once.
//
// A file is cut into blocks of BlockSize; only the last may be shorter. What is
// kept of a block is its hash, so that the digest of the file is known as soon as
// the last block has arrived, without reading the file again:
//
//   - xxh3-128 of a file of at most one block is the plain XXH3 128-bit hash, as
//     xxhsum -H2 prints it. Of a larger file it is the XXH3 128-bit hash of the
//     concatenated hashes of its blocks, each in 16 bytes, the highest first. It
//     finds errors, not forgeries.
//   - blake3 is BLAKE3 with 256 bits, as b3sum prints it. The hash of a block is
//     the chaining value of its subtree.
//   - sha256 is SHA-256. It has no such structure: the file must be read in order.
package digest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/zeebo/xxh3"
)

// BlockSize is the length of a block in bytes.
const BlockSize = 1 << 20

// Algorithm is the name of a digest.
type Algorithm string

// The algorithms, and the one that is used where none is named.
const (
	XXH3    Algorithm = "xxh3-128"
	BLAKE3  Algorithm = "blake3"
	SHA256  Algorithm = "sha256"
	Default           = XXH3
)

// Algorithms returns all algorithms, the default first.
func Algorithms() []Algorithm { return []Algorithm{XXH3, BLAKE3, SHA256} }

// Parse returns the algorithm with that name.
func Parse(name string) (Algorithm, error) {
	var names []string
	for _, a := range Algorithms() {
		if name == string(a) {
			return a, nil
		}
		names = append(names, string(a))
	}
	return "", fmt.Errorf("there is no digest %q: choose one of %s", name, strings.Join(names, ", "))
}

// InOrder reports whether a file must be read in order, so that its pieces are
// of no use as they arrive.
func (a Algorithm) InOrder() bool { return a == SHA256 }

// Of returns the digest of all that r holds, in lower-case hexadecimal, and its
// length.
func Of(a Algorithm, r io.Reader) (digest string, size int64, err error) {
	if a == SHA256 {
		h := sha256.New()
		size, err = io.Copy(h, r)
		return hex.EncodeToString(h.Sum(nil)), size, err
	}
	buf := make([]byte, BlockSize+1) // the byte more tells whether the block is the last
	var all joiner
	kept := 0
	for i := int64(0); ; i++ {
		n, end, err := fill(r, buf[kept:])
		n += kept
		size += int64(n)
		if err != nil {
			return "", size, err
		}
		block := buf[:min(n, BlockSize)]
		if end && n <= BlockSize {
			h := a.block(i, block, i == 0)
			if i == 0 {
				return a.text(h), size, nil
			}
			all.add(a, h)
			return a.text(all.sum(a)), size, nil
		}
		all.add(a, a.block(i, block, false))
		buf[0], kept = buf[BlockSize], 1
		size--
	}
}

// fill reads until buf is full or r ends.
func fill(r io.Reader, buf []byte) (n int, end bool, err error) {
	for n < len(buf) {
		k, err := r.Read(buf[n:])
		n += k
		if errors.Is(err, io.EOF) {
			return n, true, nil
		}
		if err != nil {
			return n, false, err
		}
	}
	return n, false, nil
}

// hash is that of a block or file; the first width bytes count.
type hash [32]byte

// zeroBlock returns the hash of a whole block of zeros, of XXH3.
func zeroBlock() hash {
	return hash{0xb6, 0xef, 0x17, 0xa3, 0x44, 0x84, 0x92, 0xb6, 0x91, 0x87, 0x80, 0xb9, 0x05, 0x50, 0xbf, 0x34}
}

func (a Algorithm) width() int {
	if a == XXH3 {
		return 16
	}
	return 32
}

func (a Algorithm) text(h hash) string { return hex.EncodeToString(h[:a.width()]) }

// Bytes returns the digest of a whole file of BlockSize bytes at most.
func Bytes(a Algorithm, file []byte) string {
	if a == SHA256 {
		return a.text(sha256.Sum256(file))
	}
	return a.text(a.block(0, file, true))
}

// block returns the hash of block i; only says that it is the whole file.
func (a Algorithm) block(i int64, data []byte, only bool) (h hash) {
	if a == XXH3 {
		sum := xxh3.Hash128(data).Bytes()
		copy(h[:], sum[:])
		return h
	}
	s := newSubtree(i)
	s.write(data)
	return s.sum(only)
}

// blockHash computes the hash of a block whose bytes are written in order; only
// says that it is the whole file.
type blockHash interface {
	write(data []byte)
	sum(only bool) hash
}

func (a Algorithm) newBlock(i int64) blockHash {
	if a == XXH3 {
		return &plain{}
	}
	return newSubtree(i)
}

// plain is the blockHash of XXH3.
type plain struct{ xxh3.Hasher128 }

func (p *plain) write(data []byte) { _, _ = p.Write(data) }

func (p *plain) sum(bool) (h hash) {
	p.Sum(h[:0])
	return h
}

// joiner computes the hash of a file from those of its blocks, two at least.
type joiner struct {
	xxh3   xxh3.Hasher128
	blake3 tree
	last   hash // of BLAKE3: what is not yet in the tree
	any    bool
}

// add adds the hash of the next block.
func (j *joiner) add(a Algorithm, h hash) {
	if a == XXH3 {
		_, _ = j.xxh3.Write(h[:a.width()])
		return
	}
	if j.any {
		j.blake3.push(words(j.last))
	}
	j.last, j.any = h, true
}

func (j *joiner) sum(a Algorithm) (h hash) {
	if a == XXH3 {
		j.xxh3.Sum(h[:0])
		return h
	}
	return root(j.blake3.join(words(j.last)))
}
