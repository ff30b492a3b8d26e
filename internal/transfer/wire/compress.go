package wire

import (
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Compressor compresses payloads of data. The zero value is ready to use. Safe
// for concurrent use; memory is only held while it is used.
type Compressor struct{ pool sync.Pool }

type encoder struct {
	zstd *zstd.Encoder
	out  []byte
}

// Shrink replaces the beginning of a payload of MaxData bytes at most by its zstd
// frame and returns the length of that. If it would not save a tenth, it leaves the
// payload as it is and returns its length.
func (c *Compressor) Shrink(payload []byte) int {
	e, _ := c.pool.Get().(*encoder)
	if e == nil {
		// Concurrency 1 and no stream: no goroutines that would have to be ended.
		z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true),
			zstd.WithWindowSize(MaxData), zstd.WithSingleSegment(true), zstd.WithEncoderCRC(false))
		if err != nil {
			panic(fmt.Sprintf("wire: the options of the encoder are wrong: %v", err))
		}
		e = &encoder{zstd: z}
	}
	defer c.pool.Put(e)
	e.out = e.zstd.EncodeAll(payload, e.out[:0])
	if len(e.out) > len(payload)-len(payload)/10 {
		return len(payload)
	}
	return copy(payload, e.out)
}

// Decompressor undoes what Compressor does. The zero value is ready to use. Safe
// for concurrent use; memory is only held while it is used.
type Decompressor struct{ pool sync.Pool }

// Plain returns a frame of data as it would be without compression. buffer
// returns memory for that many bytes, MaxData at most, and is not called for a frame
// that is not compressed. It does not verify the checksum: see Header.Check. The
// error is a *ProtocolError if the plain length is not stated or out of bounds, and
// *ErrCorrupt if the payload cannot be decompressed.
func (d *Decompressor) Plain(h Header, payload []byte, buffer func(n int) []byte) (Header, []byte, error) {
	if !h.Compressed {
		return h, payload, nil
	}
	var about zstd.Header
	if err := about.Decode(payload); err != nil || about.Skippable || about.DictionaryID != 0 {
		return h, nil, protocolErrorf("a compressed chunk does not begin with a zstd frame without dictionary")
	}
	if !about.HasFCS || about.FrameContentSize == 0 || about.FrameContentSize > MaxData || about.WindowSize > MaxData {
		return h, nil, protocolErrorf("a compressed chunk does not state its length, or one over the limit of %d, or has a larger window", MaxData)
	}
	z, _ := d.pool.Get().(*zstd.Decoder)
	if z == nil {
		var err error
		z, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(MaxData), zstd.WithDecoderMaxMemory(MaxData), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			panic(fmt.Sprintf("wire: the options of the decoder are wrong: %v", err))
		}
	}
	defer d.pool.Put(z)
	n := int(about.FrameContentSize)
	plain, err := z.DecodeAll(payload, buffer(n)[:0])
	if err != nil || len(plain) != n {
		return h, nil, &ErrCorrupt{Header: h}
	}
	h.Compressed, h.Length = false, n
	return h, plain, nil
}
