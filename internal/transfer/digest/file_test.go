package digest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/iotest"
)

func of(t *testing.T, a Algorithm, data []byte) string {
	t.Helper()
	digest, _, err := Of(a, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

// TestAnyOrder adds files in random pieces, in random order, by several
// goroutines, with a state saved and restored in between; pieces may be lost or
// come again. What Sum or else Finish says is the digest of the file.
func TestAnyOrder(t *testing.T) {
	for seed := range uint64(12) {
		source := rand.NewChaCha8([32]byte{byte(seed)})
		r := rand.New(source)
		data := make([]byte, r.IntN(6*BlockSize))
		_, _ = source.Read(data)
		for _, a := range Algorithms() {
			t.Run(fmt.Sprintf("%s/%d", a, seed), func(t *testing.T) {
				var lists [][]int // pieces of one block each, as from, to, from, to
				for i := 0; i < len(data); i += BlockSize {
					end := min(i+BlockSize, len(data))
					cuts := []int{i}
					if r.IntN(2) == 0 {
						cuts = append(cuts, slices.Sorted(func(yield func(int) bool) {
							for range r.IntN(5) {
								if !yield(i + r.IntN(end-i)) {
									return
								}
							}
						})...)
					}
					cuts = slices.Compact(append(cuts, end))
					var pieces []int
					for k := range len(cuts) - 1 {
						pieces = append(pieces, cuts[k], cuts[k+1])
					}
					if r.IntN(4) == 0 { // a connection broke, and the last piece comes again
						pieces = append(pieces, pieces[len(pieces)-2:]...)
					}
					if r.IntN(6) == 0 {
						pieces = pieces[2:] // lost
					}
					lists = append(lists, pieces)
				}
				r.Shuffle(len(lists), func(i, k int) { lists[i], lists[k] = lists[k], lists[i] })
				f := New(a, int64(len(data)))
				half := len(lists) / 2
				addAll(f, data, lists[:half])
				state, err := f.MarshalBinary()
				if err != nil {
					t.Fatal(err)
				}
				f = New(a, int64(len(data)))
				if err := f.UnmarshalBinary(state); err != nil {
					t.Fatal(err)
				}
				addAll(f, data, lists[half:])
				want := of(t, a, data)
				if got, ok := f.Sum(); ok && got != want {
					t.Errorf("Sum says %s, want %s", got, want)
				}
				if got, err := f.Finish(bytes.NewReader(data)); got != want || err != nil {
					t.Errorf("Finish says %s, %v, want %s", got, err, want)
				}
			})
		}
	}
}

// addAll adds each list of pieces in order, and the lists side by side.
func addAll(f *File, data []byte, lists [][]int) {
	var wg sync.WaitGroup
	for _, pieces := range lists {
		wg.Go(func() {
			for k := 0; k < len(pieces); k += 2 {
				f.Add(int64(pieces[k]), data[pieces[k]:pieces[k+1]])
			}
		})
	}
	wg.Wait()
}

// TestWholeBlocksNeedNoReading holds that the digest is known by the last block,
// whatever their order, and by the last piece of blocks that come in pieces.
func TestWholeBlocksNeedNoReading(t *testing.T) {
	data := counting(5*BlockSize + 7)
	for _, a := range []Algorithm{XXH3, BLAKE3} {
		for _, piece := range []int{BlockSize, 100_000} {
			f := New(a, int64(len(data)))
			for i := 5; i >= 0; i-- {
				if sum, ok := f.Sum(); ok {
					t.Errorf("%s: known before block %d: %s", a, i, sum)
				}
				end := min(len(data), (i+1)*BlockSize)
				for from := i * BlockSize; from < end; from += piece {
					f.Add(int64(from), data[from:min(end, from+piece)])
				}
			}
			if got, ok := f.Sum(); !ok || got != of(t, a, data) {
				t.Errorf("%s in pieces of %d: %s, %t", a, piece, got, ok)
			}
		}
	}
}

// TestLaterBytesCount holds that a block that is written again counts as it then
// is, and not at all while it is half written.
func TestLaterBytesCount(t *testing.T) {
	old, data := counting(2*BlockSize), counting(2*BlockSize)
	data[10]++
	for _, a := range []Algorithm{XXH3, BLAKE3} {
		f := New(a, 2*BlockSize)
		f.Add(0, old)
		f.Add(0, data[:100])
		if sum, ok := f.Sum(); ok {
			t.Errorf("%s: half of a block counts: %s", a, sum)
		}
		f.Add(100, data[100:BlockSize])
		if got, ok := f.Sum(); !ok || got != of(t, a, data) {
			t.Errorf("%s: %s, %t", a, got, ok)
		}
		f.Add(50, data[50:60]) // in the middle of a block: to be read again
		if sum, ok := f.Sum(); ok {
			t.Errorf("%s: a block written over counts: %s", a, sum)
		}
		f.Add(0, old[:BlockSize])
		if got, _ := f.Sum(); got != of(t, a, old) {
			t.Errorf("%s: %s", a, got)
		}
	}
}

// TestPiecesThatAreNotNextDoNotCount holds that a block is read again rather than
// hashed in the wrong order, or together with bytes that were written over.
func TestPiecesThatAreNotNextDoNotCount(t *testing.T) {
	old, data := make([]byte, 2*BlockSize), counting(2*BlockSize)
	for _, a := range []Algorithm{XXH3, BLAKE3} {
		for name, add := range map[string]func(*File){
			"in another order": func(f *File) {
				f.Add(0, data[:100])
				f.Add(200, data[200:BlockSize])
				f.Add(100, data[100:200])
			},
			"begun before the whole": func(f *File) {
				f.Add(0, old[:100])
				f.Add(0, data[:BlockSize])
				f.Add(100, data[100:BlockSize])
			},
		} {
			f := New(a, int64(len(data)))
			add(f)
			f.Add(BlockSize, data[BlockSize:])
			if sum, ok := f.Sum(); ok {
				t.Errorf("%s, %s: known: %s", a, name, sum)
			}
			if got, err := f.Finish(bytes.NewReader(data)); got != of(t, a, data) || err != nil {
				t.Errorf("%s, %s: %s, %v", a, name, got, err)
			}
		}
	}
}

func TestHoles(t *testing.T) {
	data := make([]byte, 5*BlockSize+100)
	copy(data[BlockSize+1000:], "something")
	for _, a := range []Algorithm{XXH3, BLAKE3} {
		f := New(a, int64(len(data)))
		f.Zeros(0, BlockSize+1000)
		f.Add(BlockSize+1000, []byte("something"))
		f.Zeros(BlockSize+1009, int64(len(data)))
		if got, ok := f.Sum(); !ok || got != of(t, a, data) {
			t.Errorf("%s: %s, %t", a, got, ok)
		}
		restored := New(a, int64(len(data)))
		state, _ := f.MarshalBinary()
		if err := restored.UnmarshalBinary(state); err != nil {
			t.Fatal(err)
		}
		if got, ok := restored.Sum(); !ok || got != of(t, a, data) {
			t.Errorf("%s, restored: %s, %t", a, got, ok)
		}
	}
	hole := make([]byte, 3*BlockSize)
	f := New(XXH3, int64(len(hole)))
	f.Zeros(0, int64(len(hole)))
	if got, _ := f.Sum(); got != of(t, XXH3, hole) {
		t.Errorf("nothing but a hole: %s", got)
	}
	f.Add(BlockSize, counting(BlockSize))
	copy(hole[BlockSize:], counting(BlockSize))
	if got, _ := f.Sum(); got != of(t, XXH3, hole) {
		t.Errorf("data in a hole: %s", got)
	}
}

// TestHugeFiles holds that a size costs nothing, and a hole little.
func TestHugeFiles(t *testing.T) {
	f := New(XXH3, 1<<40)
	f.Zeros(0, 1<<62)
	f.Add(1<<39, counting(10))
	f.Zeros(1<<39, BlockSize)
	sum, ok := f.Sum()
	state, _ := f.MarshalBinary()
	if !ok || len(state) > 200<<10 {
		t.Errorf("a hole of 1 TiB: %q, %t, state of %d bytes", sum, ok, len(state))
	}
	for _, a := range Algorithms() {
		f := New(a, 1<<62)
		f.Add(1<<61, counting(10))
		f.Zeros(0, 1<<62)
		sum, err := f.Finish(bytes.NewReader(nil))
		if _, ok := f.Sum(); ok || sum != "" || err != nil {
			t.Errorf("%s above MaxSize: %q, %v", a, sum, err)
		}
	}
}

// TestBytesOutsideAreIgnored holds that a peer cannot do harm by an offset.
func TestBytesOutsideAreIgnored(t *testing.T) {
	other := counting(1000)
	for _, size := range []int{0, 5, BlockSize, BlockSize + 5, 2 * BlockSize} {
		data := counting(size)
		for _, a := range Algorithms() {
			f := New(a, int64(size))
			for _, at := range []int64{-1, -BlockSize, int64(size), int64(size) + 1, 1 << 62, -1 << 63} {
				f.Add(at, other)
				f.Add(at, nil)
				f.Zeros(at, 1<<62)
			}
			f.Zeros(0, -5)
			f.Add(0, append(bytes.Clone(data), "more"...))
			if got, ok := f.Sum(); ok == a.InOrder() || ok && got != of(t, a, data) {
				t.Errorf("%s of %d bytes: %s, %t", a, size, got, ok)
			}
		}
	}
}

// TestBegunBlocksAreBounded holds that a peer cannot fill the memory with blocks
// that it begins and does not end.
func TestBegunBlocksAreBounded(t *testing.T) {
	f := New(BLAKE3, 1<<40)
	for i := range int64(10 * maxBegun) {
		f.Add(i*BlockSize, []byte{1})
	}
	if n := len(f.begun); n > maxBegun {
		t.Errorf("%d blocks are kept that are not complete, want at most %d", n, maxBegun)
	}
}

func TestFinishReadsWhatIsMissing(t *testing.T) {
	data := counting(4*BlockSize + 9)
	for _, a := range Algorithms() {
		f := New(a, int64(len(data)))
		f.Add(BlockSize, data[BlockSize:3*BlockSize])
		r := &recorder{data: data}
		if got, err := f.Finish(r); got != of(t, a, data) || err != nil {
			t.Errorf("%s: %s, %v", a, got, err)
		}
		if want := []int64{0, 3, 4}; !a.InOrder() && !slices.Equal(r.blocks, want) {
			t.Errorf("%s read blocks %d, want %d", a, r.blocks, want)
		}
		f = New(a, int64(len(data))+1)
		if _, err := f.Finish(bytes.NewReader(data)); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s of a file cut short: %v", a, err)
		}
		fault := errors.New("medium error")
		if _, err := f.Finish(faulty{fault}); !errors.Is(err, fault) {
			t.Errorf("%s of a broken disk: %v", a, err)
		}
	}
}

// recorder remembers the blocks that were read.
type recorder struct {
	data   []byte
	blocks []int64
}

func (r *recorder) ReadAt(p []byte, off int64) (int, error) {
	r.blocks = append(r.blocks, off/BlockSize)
	return bytes.NewReader(r.data).ReadAt(p, off)
}

type faulty struct{ err error }

func (f faulty) ReadAt(p []byte, _ int64) (int, error) { return iotest.ErrReader(f.err).Read(p) }

func TestVerifyFindsFlippedBits(t *testing.T) {
	data := counting(3*BlockSize + 9)
	for _, a := range []Algorithm{XXH3, BLAKE3} {
		f := New(a, int64(len(data)))
		f.Add(0, data)
		if differ, err := f.Verify(bytes.NewReader(data)); len(differ) > 0 || err != nil {
			t.Errorf("%s: %d differ, %v", a, differ, err)
		}
		flipped := bytes.Clone(data)
		flipped[BlockSize+17] ^= 4
		flipped[3*BlockSize+8] ^= 1
		differ, err := f.Verify(bytes.NewReader(flipped))
		if want := []int64{BlockSize, 3 * BlockSize}; !slices.Equal(differ, want) || err != nil {
			t.Errorf("%s: %d differ, %v, want %d", a, differ, err, want)
		}
		if sum, ok := f.Sum(); ok {
			t.Errorf("%s: what differs counts: %s", a, sum)
		}
		f.Add(BlockSize, data[BlockSize:2*BlockSize])
		f.Add(3*BlockSize, data[3*BlockSize:])
		if got, ok := f.Sum(); !ok || got != of(t, a, data) {
			t.Errorf("%s, mended: %s, %t", a, got, ok)
		}
	}
}

// TestStates holds that a state is taken for the same file alone, and that one
// that is not taken changes nothing.
func TestStates(t *testing.T) {
	const size = 3*BlockSize + 1
	data := counting(size)
	f := New(XXH3, size)
	f.Add(0, data)
	state, _ := f.MarshalBinary()
	if len(state) != 10+9+1+4*16 {
		t.Errorf("the state of four blocks has %d bytes", len(state))
	}
	for name, other := range map[string]*File{"size": New(XXH3, size+1), "algorithm": New(BLAKE3, size), "sha256": New(SHA256, size)} {
		if err := other.UnmarshalBinary(state); !errors.Is(err, errState) {
			t.Errorf("the state of a file of another %s: %v", name, err)
		}
	}
	for n := range state {
		if n == 10 { // a file of which nothing has arrived
			continue
		}
		if err := f.UnmarshalBinary(state[:n]); err == nil {
			t.Errorf("%d of %d bytes of a state are taken", n, len(state))
		}
	}
	if err := f.UnmarshalBinary(append(state, 0)); err == nil {
		t.Error("a byte after the state is taken")
	}
	if got, ok := f.Sum(); !ok || got != of(t, XXH3, data) {
		t.Errorf("afterwards: %s, %t", got, ok)
	}
	page := func(number, kind, known byte, hashes int) []byte {
		return append([]byte{0, 0, 0, 0, 0, 0, 0, number, kind, known}, make([]byte, hashes)...)
	}
	for name, c := range map[string]struct {
		alg   Algorithm
		pages []byte
	}{
		"a page twice":                      {XXH3, append(page(0, stateZeros, 1, 0), page(0, stateZeros, 2, 0)...)},
		"a page behind the end":             {XXH3, page(1, stateZeros, 1, 0)},
		"a page of nothing":                 {XXH3, page(0, stateZeros, 0, 0)},
		"a block behind the end":            {XXH3, page(0, stateZeros, 16, 0)},
		"another kind":                      {XXH3, page(0, 2, 1, 16)},
		"zeros, which BLAKE3 does not know": {BLAKE3, page(0, stateZeros, 1, 0)},
		"blocks for sha256":                 {SHA256, page(0, stateHashes, 1, 32)},
	} {
		f := New(c.alg, size)
		if err := f.UnmarshalBinary(append(f.header(), c.pages...)); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
	if err := f.UnmarshalBinary(append(f.header(), page(0, stateHashes, 9, 32)...)); err != nil {
		t.Error(err)
	}
	empty := New(SHA256, size)
	if state, _ := empty.MarshalBinary(); empty.UnmarshalBinary(state) != nil {
		t.Error("the state for an algorithm that needs none is not taken")
	}
}

// FuzzUnmarshalBinary holds that a state that is taken is written again as it
// was, and that no other does harm.
func FuzzUnmarshalBinary(f *testing.F) {
	sizes := []int64{0, 1, BlockSize + 1, 9 * BlockSize, (2*pageBlocks + 3) * BlockSize, MaxSize, MaxSize + 1}
	for _, size := range sizes {
		for _, a := range Algorithms() {
			file := New(a, size)
			file.Add(size/2/BlockSize*BlockSize, counting(2*BlockSize))
			if size <= 9*BlockSize {
				file.Zeros(0, size/2)
			}
			state, _ := file.MarshalBinary()
			f.Add(string(a), size, state)
		}
	}
	f.Fuzz(func(t *testing.T, name string, size int64, state []byte) {
		a, err := Parse(name)
		if err != nil || size < 0 {
			return
		}
		file := New(a, size)
		if file.UnmarshalBinary(state) != nil {
			return
		}
		again, err := file.MarshalBinary()
		if err != nil || !bytes.Equal(again, state) && size > 0 {
			t.Errorf("%x became %x, %v", state, again, err)
		}
		if size <= 1<<40 {
			file.Sum()
		}
		file.Add(size/2, counting(10))
	})
}
