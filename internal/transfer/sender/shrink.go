package sender

import (
	"time"

	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
)

const (
	// speedOver is over how many of the last bytes speeds are measured. It is more than
	// the send buffer of a socket usually takes in at once.
	speedOver = 4 << 20
	// usualSpeed is how many bytes a second a processor is taken to compress, and
	// farSpeed how many a lane to a receiver far away or at a limited rate is taken to
	// carry, until they are measured.
	usualSpeed = 100e6
	farSpeed   = 1e6
	// lookAgain is after how many chunks of a file of which one did not get smaller
	// the next one is tried.
	lookAgain = 7
	// mostLarger is how many times larger than at the rate of a limit chunks are made
	// since they are compressed.
	mostLarger = 8
)

// shrink decides which chunks of a lane are compressed. It is for the goroutine
// that sends.
type shrink struct {
	wire      speed // of writing to the lane, with all that it waits for
	processor speed // of compressing what gets smaller by it
	file      int64 // index of the file of the last chunk
	plain     int   // chunks of it that are not tried from here on
	ratio     int   // of the last chunk, rounded down; 0 is not known
}

// newShrink returns the shrink of a new lane. That the link is slow must not be
// measured first where it is likely, since a small transfer ends before that.
func (a *attempt) newShrink() shrink {
	s := shrink{wire: speed{bytes: speedOver}, processor: speed{speedOver, speedOver / usualSpeed}}
	if a.link.roundTrip >= near || a.piece(wire.MaxData) < wire.MaxData {
		s.wire.seconds = speedOver / farSpeed
	}
	return s
}

// wrote says that a batch of n bytes was written to the lane.
func (s *shrink) wrote(n int, took time.Duration) { s.wire.add(n, took.Seconds()) }

// slow reports whether that many lanes together write less than a processor
// compresses.
func (s *shrink) slow(lanes int) bool {
	return float64(lanes)*s.wire.rate() < s.processor.rate()
}

// compress compresses a chunk of a file in place, if the link is slow
// and it gets smaller. It returns the length, which is
// smaller than before if it has.
func (l *lane) compress(index int64, payload []byte) int {
	s, n := &l.shrink, len(payload)
	if s.file != index {
		s.file, s.plain = index, 0
	}
	switch {
	case l.s.a.t.Compression == transfer.CompressionNone:
		return n
	case !s.slow(min(l.s.working(), l.s.a.lanesAtRate())):
		s.processor.add(n/16, float64(n/16)/usualSpeed) // it may have been busy only for a while
		s.ratio = 1
		return n
	case s.plain > 0:
		s.plain--
		return n
	}
	began := time.Now()
	length := l.s.a.s.compressor.Shrink(payload)
	if length == n {
		s.plain, s.ratio = lookAgain, 1
		return n
	}
	s.processor.add(n, time.Since(began).Seconds())
	s.ratio = n / length
	l.s.a.saved.Add(int64(n - length))
	return length
}

// chunkSize returns how large the next chunk is at most: what the limits let pass
// at a time, once it is compressed like the one before.
func (l *lane) chunkSize() int {
	return min(wire.MaxData, l.s.a.piece(wire.MaxData)*min(max(l.shrink.ratio, 1), mostLarger))
}

// bytesSaved returns how many bytes compression has kept off the network since the
// transfer began.
func (a *attempt) bytesSaved() int64 { return a.t.BytesSaved + a.saved.Load() }

// speed measures bytes a second, over about the last speedOver bytes.
type speed struct{ bytes, seconds float64 }

func (s *speed) add(n int, seconds float64) {
	keep := max(0, 1-float64(n)/speedOver)
	s.bytes, s.seconds = s.bytes*keep+float64(n), s.seconds*keep+seconds
}

// rate returns the bytes a second; without a time they are infinite.
func (s *speed) rate() float64 { return s.bytes / s.seconds }
