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
// goroutines; pieces may be lost or come again. What Sum or else Finish says is the digest of the file.
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
				addAll(f, data, lists)
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
	hashes := 0
	for _, p := range f.pages {
		hashes += len(p.hashes)
	}
	if !ok || hashes > pageBlocks*16 {
		t.Errorf("a hole of 1 TiB: %q, %t, %d bytes of hashes", sum, ok, hashes)
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

// TestHeaders holds that a File is made from its header, and from no other bytes.
func TestHeaders(t *testing.T) {
	for _, a := range []Algorithm{XXH3, BLAKE3} {
		header := New(a, 3*BlockSize+1).Header()
		f, err := NewFrom(header)
		if err != nil || f.Algorithm() != a || f.Size() != 3*BlockSize+1 {
			t.Errorf("%s: %v", a, err)
		}
		for i, damaged := range [][]byte{nil, header[:HeaderSize-1], append(bytes.Clone(header), 0), flippedAt(header, 0), flippedAt(header, 1), flippedAt(header, 2)} {
			if _, err := NewFrom(damaged); err == nil {
				t.Errorf("%s: header %d, %x, is taken", a, i, damaged)
			}
		}
	}
	if _, err := NewFrom(New(SHA256, 5).Header()); err == nil {
		t.Error("the header of a file whose blocks are not hashed is taken")
	}
}

func flippedAt(b []byte, i int) []byte {
	b = bytes.Clone(b)
	b[i] ^= 0x80
	return b
}
