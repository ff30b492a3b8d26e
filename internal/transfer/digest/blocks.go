package digest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
)

const (
	// HeaderSize is the length of a Header in bytes.
	HeaderSize = 10
	// headerVersion is its first byte.
	headerVersion = 1
)

var errHeader = errors.New("this is no header of the hashes of a file")

// Header returns the algorithm and the size of the file, which NewFrom needs to
// make sense of its Hashes.
func (f *File) Header() []byte {
	out := []byte{headerVersion, byte(slices.Index(Algorithms(), f.alg))}
	return binary.BigEndian.AppendUint64(out, uint64(f.size))
}

// NewFrom returns the File of a Header, of which nothing has arrived. It
// fails if that is damaged, or of a file whose blocks are not hashed.
func NewFrom(header []byte) (*File, error) {
	if len(header) != HeaderSize || int(header[1]) >= len(Algorithms()) {
		return nil, errHeader
	}
	f := New(Algorithms()[header[1]], int64(binary.BigEndian.Uint64(header[2:])&(1<<63-1)))
	if f.ignores() || !bytes.Equal(f.Header(), header) {
		return nil, errHeader
	}
	return f, nil
}

// Algorithm returns the algorithm of the digest.
func (f *File) Algorithm() Algorithm { return f.alg }

// Size returns the length of the file in bytes.
func (f *File) Size() int64 { return f.size }

// HashSize returns the length of the hash of a block in bytes.
func (f *File) HashSize() int { return f.alg.width() }

// Fill hashes the first n blocks, of which it reads those that are not known.
// They must have arrived.
func (f *File) Fill(r io.ReaderAt, n int64) error {
	if f.ignores() {
		return nil
	}
	var buf []byte
	for i := range min(n, f.blocks) {
		if f.knows(i) {
			continue
		}
		if buf == nil {
			buf = make([]byte, min(BlockSize, f.size))
		}
		if err := f.read(r, i, buf); err != nil {
			return err
		}
		f.set(i, f.alg.block(i, buf[:f.length(i)], f.blocks == 1))
	}
	return nil
}

// Hashes returns the hashes of blocks from first to before end, HashSize bytes
// each, up to the first one that is not known.
func (f *File) Hashes(first, end int64) (list []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := first; i < min(end, f.blocks); i++ {
		h, known := f.get(i)
		if !known {
			break
		}
		list = append(list, h[:f.alg.width()]...)
	}
	return list
}

// Recover reads the first n blocks of the file from r and compares them with the
// hashes that were saved of them. It adds those that agree up to the first that
// does not, or cannot be read, and returns how many these are.
func (f *File) Recover(r io.ReaderAt, hashes io.Reader, n int64) (agree int64) {
	if f.ignores() {
		return 0
	}
	buf := make([]byte, min(BlockSize, f.size))
	for i := range min(n, f.blocks) {
		var saved hash
		if _, err := io.ReadFull(hashes, saved[:f.alg.width()]); err != nil {
			return i
		}
		if err := f.read(r, i, buf); err != nil {
			return i
		}
		h := f.alg.block(i, buf[:f.length(i)], f.blocks == 1)
		if h != saved {
			return i
		}
		f.set(i, h)
	}
	return max(0, min(n, f.blocks))
}
