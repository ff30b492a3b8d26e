//go:build unix

package receiver_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"jetstream/internal/transfer/wire"
)

// compressed returns a frame whose payload is changed by spoil after compression.
func compressed(plain []byte, spoil func([]byte) []byte) []byte {
	var c wire.Compressor
	payload := bytes.Clone(plain)
	payload = spoil(payload[:c.Shrink(payload)])
	h := wire.Header{Type: wire.TypeData, Compressed: true, Length: len(payload), Sum: wire.Sum(plain)}
	frame := make([]byte, wire.HeaderSize, wire.HeaderSize+len(payload))
	wire.PutHeader(frame, h)
	return append(frame, payload...)
}

func TestSpoiltCompressedChunks(t *testing.T) {
	s := newSite(t, t.TempDir())
	plain := bytes.Repeat([]byte("some text "), 400)
	entry := wire.Entry{Name: "/f", Size: int64(len(plain)), Mode: 0o600}
	as := func(n int) func([]byte) []byte { // claims n bytes, 256 to 65791
		return func(b []byte) []byte { b[5], b[6] = byte(n-256), byte((n-256)>>8); return b }
	}
	t.Run("cannot be decompressed", func(t *testing.T) {
		p := newSender(t, s)
		p.begin(entry)
		for name, frame := range map[string][]byte{
			"truncated":        compressed(plain, func(b []byte) []byte { return b[:len(b)-5] }),
			"garbage behind":   compressed(plain, func(b []byte) []byte { return append(b, "garbage"...) }),
			"claims little":    compressed(plain, as(300)),
			"claims much":      compressed(plain, as(60_000)),
			"another checksum": wire.AppendFrame(nil, wire.Header{Type: wire.TypeData, Compressed: true}, compressed(plain, bytes.Clone)[wire.HeaderSize:]),
		} {
			p.frame(frame)
			if _, _, err := p.lane.Read(); err == nil {
				t.Errorf("%s: the lane was not closed", name)
			}
			p.lane = nil
		}
		p.frame(compressed(plain, bytes.Clone))
		p.send(wire.TypeEnd, struct{}{})
		p.wantAnswer("complete", "")
		if got, err := os.ReadFile(filepath.Join(s.Sandbox, "f")); !bytes.Equal(got, plain) {
			t.Errorf("the file holds %d bytes and is not what was sent (%v)", len(got), err)
		}
	})
	for name, frame := range map[string][]byte{
		"garbage":                  compressed(plain, func(b []byte) []byte { return bytes.Repeat([]byte("x"), len(b)) }),
		"more than a chunk may be": compressed(plain, func([]byte) []byte { return []byte{0x28, 0xb5, 0x2f, 0xfd, 0xa0, 1, 0, 16, 0, 3, 0, 0x80, 0} }),
		"more than the file":       compressed(bytes.Repeat(plain, 2), bytes.Clone),
	} {
		t.Run(name, func(t *testing.T) {
			p := newSender(t, s)
			p.begin(entry)
			p.frame(frame)
			p.wantAnswer("invalid", "chunk")
		})
	}
}
