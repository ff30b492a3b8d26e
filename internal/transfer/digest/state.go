package digest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"math/bits"
	"slices"
)

// stateVersion is the first byte of a saved state.
const stateVersion = 1

// How the hashes of a page follow in a saved state.
const (
	stateZeros  = 0 // not at all: the known blocks are zeros
	stateHashes = 1 // one after the other, of the known blocks alone
)

// MarshalBinary implements encoding.BinaryMarshaler. The state has the blocks
// that are known, which must be on disk before it is saved. One that is older than
// the file is of use too: Finish reads what is not in it. But it must not be older
// than the last bytes of a block that is in it.
func (f *File) MarshalBinary() ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := f.header()
	for _, number := range slices.Sorted(maps.Keys(f.pages)) {
		p, length := f.pages[number], f.pageLength(number)
		known := p.known[:(length+7)/8]
		if !slices.ContainsFunc(known, func(b byte) bool { return b != 0 }) {
			continue
		}
		out = binary.BigEndian.AppendUint64(out, uint64(number))
		if p.hashes == nil {
			out = append(append(out, stateZeros), known...)
			continue
		}
		out = append(append(out, stateHashes), known...)
		for at, width := 0, f.alg.width(); at < length; at++ {
			if p.has(at) {
				out = append(out, p.hashes[at*width:][:width]...)
			}
		}
	}
	return out, nil
}

// header is what a saved state begins with: of which file it is one.
func (f *File) header() []byte {
	out := []byte{stateVersion, byte(slices.Index(Algorithms(), f.alg))}
	return binary.BigEndian.AppendUint64(out, uint64(f.size))
}

var errState = errors.New("this is no state of a digest of this file")

// UnmarshalBinary implements encoding.BinaryUnmarshaler: it puts f, which New has
// made for the same algorithm and size, into the state that MarshalBinary saved.
// After an error f is as before.
func (f *File) UnmarshalBinary(data []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	data, ok := bytes.CutPrefix(data, f.header())
	if !ok || f.ignores() && len(data) > 0 {
		return errState
	}
	pages, known, last := map[int64]*page{}, int64(0), int64(-1)
	for len(data) > 0 {
		if len(data) < 9 {
			return errState
		}
		number, kind := int64(binary.BigEndian.Uint64(data)), data[8]
		data = data[9:]
		if number <= last || number > (f.blocks-1)/pageBlocks {
			return errState
		}
		p, n, rest, err := f.parsePage(f.pageLength(number), kind, data)
		if err != nil {
			return err
		}
		pages[number], known, last, data = p, known+n, number, rest
	}
	f.pages, f.known = pages, known
	clear(f.begun)
	return nil
}

// parsePage reads a page of length blocks, and returns how many of these are
// known, and what follows.
func (f *File) parsePage(length int, kind byte, data []byte) (p *page, known int64, rest []byte, err error) {
	p = &page{}
	size := (length + 7) / 8
	if len(data) < size || kind > stateHashes || kind == stateZeros && f.alg != XXH3 {
		return nil, 0, nil, errState
	}
	data = data[copy(p.known[:size], data):]
	n := 0
	for _, b := range p.known {
		n += bits.OnesCount8(b)
	}
	if n == 0 || length%8 != 0 && p.known[size-1]>>(length%8) != 0 {
		return nil, 0, nil, errState
	}
	if kind == stateZeros {
		return p, int64(n), data, nil
	}
	width := f.alg.width()
	if len(data) < n*width {
		return nil, 0, nil, errState
	}
	p.hashes = make([]byte, length*width)
	for at := range length {
		if p.has(at) {
			data = data[copy(p.hashes[at*width:][:width], data):]
		}
	}
	return p, int64(n), data, nil
}
