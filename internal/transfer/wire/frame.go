package wire

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/zeebo/xxh3"
)

// Type says what a frame carries.
type Type uint8

// The frame types. Numbers are never used again for something else.
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
)

// The sizes of frames in bytes.
const (
	HeaderSize = 32
	MaxData    = 1 << 20
	MaxControl = 64 << 10
)

const magic = 0x4a53 // "JS"

// Header is the fixed beginning of every frame. Index and Offset say where
// data belongs; control frames have 0 there unless their message says more.
//
// On the wire, big-endian: type (1 byte), 0 (1), "JS" (2), length (4), index
// (8), offset (8), xxh3-64 of the payload (8).
type Header struct {
	Type   Type
	Length int // of the payload, bytes
	Index  int64
	Offset int64
	Sum    uint64
}

// limit is the largest payload of the type; ok is false for types that this
// version does not know.
func (t Type) limit() (n int, ok bool) {
	switch {
	case t == TypeData:
		return MaxData, true
	case t == TypePing:
		return 0, true
	case t >= TypeHello && t <= TypeFileGone:
		return MaxControl, true
	}
	return 0, false
}

// PutHeader writes h into b, which holds HeaderSize bytes at least.
func PutHeader(b []byte, h Header) {
	b[0], b[1] = byte(h.Type), 0
	binary.BigEndian.PutUint16(b[2:], magic)
	binary.BigEndian.PutUint32(b[4:], uint32(h.Length))
	binary.BigEndian.PutUint64(b[8:], uint64(h.Index))
	binary.BigEndian.PutUint64(b[16:], uint64(h.Offset))
	binary.BigEndian.PutUint64(b[24:], h.Sum)
}

// parseHeader reads a header and checks every number in it.
func parseHeader(b []byte) (Header, error) {
	length := binary.BigEndian.Uint32(b[4:])
	h := Header{
		Type:   Type(b[0]),
		Index:  int64(binary.BigEndian.Uint64(b[8:])),
		Offset: int64(binary.BigEndian.Uint64(b[16:])),
		Sum:    binary.BigEndian.Uint64(b[24:]),
	}
	if b[1] != 0 || binary.BigEndian.Uint16(b[2:]) != magic {
		return Header{}, protocolErrorf("what came is no frame")
	}
	limit, known := h.Type.limit()
	if !known {
		return Header{}, protocolErrorf("frame type %d is unknown", h.Type)
	}
	if uint64(length) > uint64(limit) {
		return Header{}, protocolErrorf("a frame of type %d with %d bytes is over the limit of %d", h.Type, length, limit)
	}
	if h.Index < 0 || h.Offset < 0 {
		return Header{}, protocolErrorf("a frame has a negative index or offset")
	}
	h.Length = int(length)
	return h, nil
}

// ProtocolError says that the peer broke the rules of the protocol. Dialling
// again would not mend it.
type ProtocolError struct{ Reason string }

func (e *ProtocolError) Error() string { return e.Reason }

func protocolErrorf(format string, args ...any) error {
	return &ProtocolError{Reason: fmt.Sprintf(format, args...)}
}

// ErrCorrupt is a payload whose checksum is wrong. It wraps no cause: the
// network or the peer's memory garbled it, and sending it again may help.
type ErrCorrupt struct{ Header Header }

func (e *ErrCorrupt) Error() string {
	return fmt.Sprintf("the checksum of a chunk (file %d, offset %d, %d bytes) is wrong", e.Header.Index, e.Header.Offset, e.Header.Length)
}

// ReadFrame reads one frame. buf is used for the payload when it is large
// enough; nothing larger than the type's limit is ever allocated. The checksum
// is left to Check, so that another goroutine can do it.
func ReadFrame(r io.Reader, buf []byte) (Header, []byte, error) {
	var head [HeaderSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return Header{}, nil, err
	}
	h, err := parseHeader(head[:])
	if err != nil {
		return Header{}, nil, err
	}
	if cap(buf) < h.Length {
		buf = make([]byte, h.Length)
	}
	payload := buf[:h.Length]
	if _, err := io.ReadFull(r, payload); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return Header{}, nil, err
	}
	return h, payload, nil
}

// Check compares the payload with the header's checksum.
func (h Header) Check(payload []byte) error {
	if xxh3.Hash(payload) != h.Sum {
		return &ErrCorrupt{Header: h}
	}
	return nil
}

// Sum is the checksum that a frame carries of its payload.
func Sum(payload []byte) uint64 { return xxh3.Hash(payload) }

// AppendFrame appends a whole frame to b.
func AppendFrame(b []byte, h Header, payload []byte) []byte {
	h.Length, h.Sum = len(payload), Sum(payload)
	n := len(b)
	b = append(b, make([]byte, HeaderSize)...)
	PutHeader(b[n:], h)
	return append(b, payload...)
}
