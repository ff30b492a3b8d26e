package receiver

import (
	"math/rand/v2"
	"slices"
	"testing"

	"jetstream/internal/transfer/wire"
)

// Spans agree with a map of bytes, whatever is added.
func TestSpansAgreeWithBytes(t *testing.T) {
	const size = 64
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var s spans
		var have [size]bool
		for range 30 {
			from := rnd.Int64N(size)
			to := from + 1 + rnd.Int64N(min(size-from, 12))
			added := int64(0)
			for i := from; i < to; i++ {
				if !have[i] {
					added++
				}
			}
			before := slices.Clone(s)
			if got := s.add(from, to); got != added {
				t.Fatalf("seed %d: %v and %d..%d: %d are new, want %d", seed, before, from, to, got, added)
			}
			for i := from; i < to; i++ {
				have[i] = true
			}
			prefix := int64(0)
			for prefix < size && have[prefix] {
				prefix++
			}
			if got := s.prefix(); got != prefix {
				t.Fatalf("seed %d: %v begins with %d bytes, want %d", seed, s, got, prefix)
			}
			for i := 1; i < len(s); i++ {
				if s[i].from <= s[i-1].to {
					t.Fatalf("seed %d: %v is out of order", seed, s)
				}
			}
		}
	}
}

// A flood of chunks of a byte that have arrived before ends the session, since their
// headers count too.
func TestMillionsOfTinyFramesAreRefused(t *testing.T) {
	w := newWindow(1, func(finished) {})
	w.join()
	h := wire.Header{Type: wire.TypeData, Index: 0, Length: 1}
	n, err := int64(0), error(nil)
	for ; err == nil; n++ {
		_, err = w.begin(t.Context(), h)
	}
	if most := int64(maxRepeated)/(wire.HeaderSize+1) + 1; n != most {
		t.Errorf("%d chunks came again before %v, want %d", n, err, most)
	}
}
