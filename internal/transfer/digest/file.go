package digest

import (
	"errors"
	"fmt"
	"io"
	"sync"
)

// MaxSize is the length of the largest file that a File computes the digest of,
// in bytes. A longer one could only be made of holes, and its digest would be
// the work of hours.
const MaxSize = 64 << 40

// maxBegun bounds the blocks of a file that are partly written, each of which
// takes up to 20 KiB.
const maxBegun = 64

// pageBlocks is the number of blocks whose hashes are kept together.
const pageBlocks = 1024

// File computes the digest of a file of known size whose pieces arrive in any
// order. It keeps 16 bytes (blake3: 32) for each block that has arrived, and
// next to nothing for a hole. Safe for concurrent use; but no part of the file
// may be added twice at the same time, as it may not be written twice either.
type File struct {
	alg    Algorithm
	size   int64
	blocks int64

	mu    sync.Mutex
	pages map[int64]*page
	known int64 // blocks in pages
	begun map[int64]*begun
}

// page has the hashes of the blocks from pageBlocks * its number.
type page struct {
	known  [pageBlocks / 8]byte // a bit for each block, the lowest first
	hashes []byte               // nil while all known blocks are zeros, of XXH3
}

func (p *page) has(at int) bool { return p.known[at/8]>>(at%8)&1 == 1 }

// begun is a block of which the first bytes have arrived.
type begun struct {
	length int
	hash   blockHash
}

// New returns the File of a file of size bytes, 0 or more, of which nothing has
// arrived.
func New(a Algorithm, size int64) *File {
	f := &File{alg: a, size: size, blocks: max(1, (size+BlockSize-1)/BlockSize), pages: map[int64]*page{}, begun: map[int64]*begun{}}
	if size == 0 && !f.ignores() {
		f.set(0, a.block(0, nil, true))
	}
	return f
}

// Add adds bytes that are now in the file at offset, in place of what was there
// before. A block counts as soon as it was added in one piece, or in several in
// their order. Bytes outside the file are ignored.
func (f *File) Add(offset int64, data []byte) {
	if f.ignores() || offset < 0 || offset > f.size {
		return
	}
	data = data[:min(int64(len(data)), f.size-offset)]
	for len(data) > 0 {
		i, at := offset/BlockSize, int(offset%BlockSize)
		piece := data[:min(len(data), BlockSize-at)]
		if len(piece) == f.length(i) {
			f.set(i, f.alg.block(i, piece, f.blocks == 1))
		} else {
			f.extend(i, at, piece)
		}
		data, offset = data[len(piece):], offset+int64(len(piece))
	}
}

// ignores reports whether pieces of the file are of no use.
func (f *File) ignores() bool { return f.alg.InOrder() || f.size > MaxSize }

func (f *File) length(block int64) int { return int(min(BlockSize, f.size-block*BlockSize)) }

// Zeros adds a hole: length bytes from offset that read as zeros. For XXH3 it
// takes 50 ms for each TiB, for BLAKE3 as long as data do.
func (f *File) Zeros(offset, length int64) {
	if f.ignores() || offset < 0 || offset > f.size {
		return
	}
	end := offset + min(length, f.size-offset)
	var zeros []byte
	for offset < end {
		i, n := offset/BlockSize, min(BlockSize-offset%BlockSize, end-offset)
		if f.alg == XXH3 && n == BlockSize {
			f.set(i, zeroBlock())
		} else {
			if zeros == nil {
				zeros = make([]byte, min(BlockSize, end-offset))
			}
			f.Add(offset, zeros[:n])
		}
		offset += n
	}
}

// set makes h the hash of block i.
func (f *File) set(i int64, h hash) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.begun, i)
	p := f.pages[i/pageBlocks]
	if p == nil {
		p = &page{}
		f.pages[i/pageBlocks] = p
	}
	at, width := int(i%pageBlocks), f.alg.width()
	if p.hashes == nil && (f.alg != XXH3 || h != zeroBlock()) {
		p.hashes = make([]byte, f.pageLength(i/pageBlocks)*width)
		for k := range len(p.hashes) / width {
			zeros := zeroBlock()
			copy(p.hashes[k*width:], zeros[:width])
		}
	}
	if p.hashes != nil {
		copy(p.hashes[at*width:], h[:width])
	}
	if !p.has(at) {
		p.known[at/8] |= 1 << (at % 8)
		f.known++
	}
}

// pageLength returns the number of blocks in a page.
func (f *File) pageLength(page int64) int {
	return int(min(pageBlocks, f.blocks-page*pageBlocks))
}

// get returns the hash of block i.
func (f *File) get(i int64) (h hash, known bool) {
	p, at, width := f.pages[i/pageBlocks], int(i%pageBlocks), f.alg.width()
	switch {
	case p == nil || !p.has(at):
		return h, false
	case p.hashes == nil:
		return zeroBlock(), true
	}
	copy(h[:], p.hashes[at*width:][:width])
	return h, true
}

// forget makes block i one of which nothing is known.
func (f *File) forget(i int64) {
	delete(f.begun, i)
	if p, at := f.pages[i/pageBlocks], int(i%pageBlocks); p != nil && p.has(at) {
		p.known[at/8] &^= 1 << (at % 8)
		f.known--
	}
}

// extend adds a piece of block i that begins at a byte of it.
func (f *File) extend(i int64, at int, piece []byte) {
	b := f.take(i, at)
	if b == nil {
		return
	}
	b.length += len(piece)
	b.hash.write(piece)
	if b.length == f.length(i) {
		f.set(i, b.hash.sum(f.blocks == 1))
	} else {
		f.keep(i, b)
	}
}

// take returns what is to be extended by a piece of block i that begins at a byte
// of it, or nil if that is not the next one. What was known of the block no
// longer counts.
func (f *File) take(i int64, at int) *begun {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := f.begun[i]
	f.forget(i)
	switch {
	case at == 0:
		return &begun{hash: f.alg.newBlock(i)}
	case b != nil && b.length == at:
		return b
	}
	return nil
}

func (f *File) keep(i int64, b *begun) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for k := range f.begun {
		if len(f.begun) < maxBegun {
			break
		}
		delete(f.begun, k)
	}
	f.begun[i] = b
}

// Sum returns the digest in lower-case hexadecimal, and whether it is known: all
// of the file was added. That of SHA256 and that of a file above MaxSize never is.
func (f *File) Sum() (string, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.known < f.blocks {
		return "", false
	}
	if f.blocks == 1 {
		h, _ := f.get(0)
		return f.alg.text(h), true
	}
	var all joiner
	for i := range f.blocks {
		h, _ := f.get(i)
		all.add(f.alg, h)
	}
	return f.alg.text(all.sum(f.alg)), true
}

// Finish returns the digest of the complete file r, which is that of a File. It
// reads the blocks that are not known, and for SHA256 the whole; the digest of a
// file above MaxSize is "".
func (f *File) Finish(r io.ReaderAt) (string, error) {
	switch {
	case f.size > MaxSize:
		return "", nil
	case f.alg.InOrder():
		digest, n, err := Of(f.alg, io.NewSectionReader(r, 0, f.size))
		if err == nil && n != f.size {
			err = shorter(n, f.size)
		}
		return digest, err
	}
	if err := f.Fill(r, f.blocks); err != nil {
		return "", err
	}
	digest, _ := f.Sum()
	return digest, nil
}

func (f *File) knows(i int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, known := f.get(i)
	return known
}

// read reads block i.
func (f *File) read(r io.ReaderAt, i int64, buf []byte) error {
	n, err := r.ReadAt(buf[:f.length(i)], i*BlockSize)
	if n == f.length(i) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return shorter(i*BlockSize+int64(n), f.size)
	}
	return err
}

func shorter(n, size int64) error {
	return fmt.Errorf("the file has %d bytes instead of %d: %w", n, size, io.ErrUnexpectedEOF)
}
