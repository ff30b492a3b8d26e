package wire

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/zeebo/xxh3"
)

// Type is the type of a frame.
type Type uint8

// The types of frames. Their numbers must not change.
const (
	TypeHello    Type = 1
	TypeLogin    Type = 2
	TypeTicket   Type = 3
	TypeOpen     Type = 4
	TypeResume   Type = 5
	TypeEntries  Type = 6
	TypeSkip     Type = 7
	TypeData     Type = 8
	TypeProgress Type = 9
	TypeEnd      Type = 10
	TypeOutcome  Type = 11
	TypeCancel   Type = 12
	TypeFailure  Type = 13
	TypePing     Type = 14
	TypeFileGone Type = 15
	TypeJoin     Type = 16
	TypeAck      Type = 17
	TypeCompare  Type = 18
	TypeDigests  Type = 19
	TypeDryRun   Type = 20
	TypeRefused  Type = 21

	TypeFileChanged  Type = 22
	TypeFileExpected Type = 23

	TypeRemoval Type = 24
)

// The sizes of frames in bytes.
const (
	HeaderSize = 32
	MaxData    = 1 << 20
	MaxControl = 64 << 10
)

// MaxChanges is how often a file may change while one session sends it.
const MaxChanges = 5

const magic = 0x4a53 // "JS"

// Header is the header of a frame. Index and Offset are the position of data, and
// Version is that of the file (see FileChanged); the Index of an Ack is how many
// frames of data of the lane have been handled. Control frames have 0 there.
//
// On the wire, big-endian: type (1 byte), 1 if compressed, else 0 (1), "JS" (2),
// length (4), version (2), index (6), offset (8), xxh3-64 of the payload before
// compression (8).
type Header struct {
	Type       Type
	Compressed bool // the payload of data is a zstd frame, see Decompressor
	Length     int  // of the payload, bytes
	Version    int  // 0 to 65535
	Index      int64
	Offset     int64
	Sum        uint64
}

// indexBits is how many bits of a header the index has.
const indexBits = 48

// limit returns the size of the largest payload of the type; ok is false for an
// unknown type.
func (t Type) limit() (n int, ok bool) {
	switch {
	case t == TypeData:
		return MaxData, true
	case t == TypePing || t == TypeAck:
		return 0, true
	case t >= TypeHello && t <= TypeRemoval:
		return MaxControl, true
	}
	return 0, false
}

// PutHeader writes h into b, which must have HeaderSize bytes at least.
func PutHeader(b []byte, h Header) {
	b[0], b[1] = byte(h.Type), 0
	if h.Compressed {
		b[1] = 1
	}
	binary.BigEndian.PutUint16(b[2:], magic)
	binary.BigEndian.PutUint32(b[4:], uint32(h.Length))
	binary.BigEndian.PutUint64(b[8:], uint64(h.Version)<<indexBits|uint64(h.Index))
	binary.BigEndian.PutUint64(b[16:], uint64(h.Offset))
	binary.BigEndian.PutUint64(b[24:], h.Sum)
}

// parseHeader decodes and checks a header.
func parseHeader(b []byte) (Header, error) {
	length := binary.BigEndian.Uint32(b[4:])
	position := binary.BigEndian.Uint64(b[8:])
	h := Header{
		Type:       Type(b[0]),
		Compressed: b[1] == 1,
		Version:    int(position >> indexBits),
		Index:      int64(position & (1<<indexBits - 1)),
		Offset:     int64(binary.BigEndian.Uint64(b[16:])),
		Sum:        binary.BigEndian.Uint64(b[24:]),
	}
	if b[1] > 1 || h.Compressed && h.Type != TypeData || binary.BigEndian.Uint16(b[2:]) != magic {
		return Header{}, protocolErrorf("what came is no frame")
	}
	limit, known := h.Type.limit()
	if !known {
		return Header{}, protocolErrorf("frame type %d is unknown", h.Type)
	}
	if uint64(length) > uint64(limit) {
		return Header{}, protocolErrorf("a frame of type %d with %d bytes is over the limit of %d", h.Type, length, limit)
	}
	if h.Offset < 0 {
		return Header{}, protocolErrorf("a frame has a negative offset")
	}
	h.Length = int(length)
	return h, nil
}

// ProtocolError reports that the peer has violated the protocol. A retry would
// not help.
type ProtocolError struct{ Reason string }

func (e *ProtocolError) Error() string { return e.Reason }

func protocolErrorf(format string, args ...any) error {
	return &ProtocolError{Reason: fmt.Sprintf(format, args...)}
}

// ErrCorrupt reports a payload with a wrong checksum. A retry may help.
type ErrCorrupt struct{ Header Header }

func (e *ErrCorrupt) Error() string {
	return fmt.Sprintf("the checksum of a chunk (file %d, offset %d, %d bytes) is wrong", e.Header.Index, e.Header.Offset, e.Header.Length)
}

// ReadFrame reads one frame. buffer returns the memory for a payload that has
// bytes, once the frame has begun to arrive; nil allocates it. No more than the
// largest payload of the type is asked for. It does not verify the checksum: see
// Header.Check.
func ReadFrame(r io.Reader, buffer func(n int) []byte) (Header, []byte, error) {
	var head [HeaderSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return Header{}, nil, err
	}
	h, err := parseHeader(head[:])
	if err != nil {
		return Header{}, nil, err
	}
	if h.Length == 0 {
		return h, nil, nil
	}
	if buffer == nil {
		buffer = func(n int) []byte { return make([]byte, n) }
	}
	payload := buffer(h.Length)
	if _, err := io.ReadFull(r, payload); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return Header{}, nil, err
	}
	return h, payload, nil
}

// Check verifies the checksum of the payload, which is not compressed.
func (h Header) Check(payload []byte) error {
	if xxh3.Hash(payload) != h.Sum {
		return &ErrCorrupt{Header: h}
	}
	return nil
}

// Sum returns the checksum of a payload.
func Sum(payload []byte) uint64 { return xxh3.Hash(payload) }

// AppendFrame appends a frame to b.
func AppendFrame(b []byte, h Header, payload []byte) []byte {
	h.Length, h.Sum = len(payload), Sum(payload)
	n := len(b)
	b = append(b, make([]byte, HeaderSize)...)
	PutHeader(b[n:], h)
	return append(b, payload...)
}
