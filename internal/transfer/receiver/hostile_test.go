//go:build unix

package receiver_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"jetstream/internal/transfer/wire"
)

// What is no frame, or one of a chunk outside its file, ends the transfer.
func TestMalformedFramesOnALane(t *testing.T) {
	s := newSite(t, t.TempDir())
	good := wire.AppendFrame(nil, wire.Header{Type: wire.TypeData}, make([]byte, 10))
	at := func(i int, n uint64) []byte {
		b := bytes.Clone(good)
		binary.BigEndian.PutUint64(b[i:], n)
		return b
	}
	tooLong := bytes.Clone(good)
	binary.BigEndian.PutUint32(tooLong[4:], wire.MaxData+1)
	for name, frame := range map[string][]byte{
		"no frame":                     bytes.Repeat([]byte("GET / HTTP/1.1\r\n"), 10),
		"a length over the limit":      tooLong,
		"the largest length":           append(good[:4:4], bytes.Repeat([]byte{0xff}, 28)...),
		"a negative index":             at(8, 1<<63),
		"a negative offset":            at(16, math.MaxUint64),
		"the largest offset":           at(16, math.MaxInt64),
		"an offset behind the file":    at(16, 11),
		"a chunk over the file's end":  at(16, 1),
		"an unknown type":              append([]byte{99}, good[1:]...),
		"an Ack":                       wire.AppendFrame(nil, wire.Header{Type: wire.TypeAck, Index: 1}, nil),
		"a message":                    wire.AppendFrame(nil, wire.Header{Type: wire.TypeEnd}, []byte("{}")),
		"an entry that is a directory": at(8, 1),
	} {
		t.Run(name, func(t *testing.T) {
			p := newSender(t, s)
			p.begin(wire.Entry{Name: "/f", Size: 10, Mode: 0o600}, wire.Entry{Name: "/d", Dir: true})
			p.frame(frame)
			p.wantAnswer("invalid", "")
		})
	}
	if names := s.names(); s.completed() != 0 {
		t.Errorf("a broken transfer was completed: %q", names)
	}
}

// A frame whose length covers a part of the next one costs its lane, not the
// transfer.
func TestWrongLengthIsFoundByTheChecksum(t *testing.T) {
	s := newSite(t, t.TempDir())
	p := newSender(t, s)
	p.begin(wire.Entry{Name: "/f", Size: 10, Mode: 0o600})
	frames := wire.AppendFrame(nil, wire.Header{Type: wire.TypeData}, []byte("01234"))
	frames = wire.AppendFrame(frames, wire.Header{Type: wire.TypeData, Offset: 5}, []byte("56789"))
	binary.BigEndian.PutUint32(frames[4:], 10)
	p.frame(frames)
	p.lane = nil
	p.data(0, 0, []byte("abcdefghij"))
	p.send(wire.TypeEnd, struct{}{})
	p.wantAnswer("complete", "")
	if got, err := os.ReadFile(filepath.Join(s.Sandbox, "f")); string(got) != "abcdefghij" {
		t.Errorf("the file holds %q (%v)", got, err)
	}
}

// Chunks of entries that are not announced yet wait in the network, not in
// memory.
func TestFloodBeforeTheAnnouncement(t *testing.T) {
	s := newSite(t, t.TempDir())
	p := newSender(t, s)
	const chunks = 64
	want := bytes.Repeat([]byte("0123456789abcdef"), chunks*wire.MaxData/16)
	entry := wire.Entry{Name: "/f", Size: int64(len(want)), Mode: 0o600}
	p.open.TotalFiles, p.open.TotalBytes = 1, entry.Size
	p.reopen()
	lane := p.join()
	var written atomic.Int64
	flooded := make(chan error, 1)
	go func() {
		for i := range int64(chunks) {
			offset := i * wire.MaxData
			if err := lane.WriteFrames(wire.AppendFrame(nil, wire.Header{Type: wire.TypeData, Offset: offset}, want[offset:offset+wire.MaxData]), nil); err != nil {
				flooded <- err
				return
			}
			written.Add(1)
		}
		flooded <- nil
	}()
	for range 2 { // half a second
		if h, _, err := p.conn.Read(); err != nil || h.Type != wire.TypeProgress {
			t.Fatalf("frame %d (%v), want progress", h.Type, err)
		}
	}
	if n := written.Load(); n == 0 || n > chunks/2 { // the rest is more than sockets hold
		t.Errorf("%d of %d chunks were taken of an entry that was not announced", n, chunks)
	}
	p.announce(0, []wire.Entry{entry})
	if err := <-flooded; err != nil {
		t.Fatal(err)
	}
	p.send(wire.TypeEnd, struct{}{})
	p.wantAnswer("complete", "")
	if got, err := os.ReadFile(filepath.Join(s.Sandbox, "f")); !bytes.Equal(got, want) {
		t.Errorf("the file has %d bytes and is not what was sent (%v)", len(got), err)
	}
}

// What must be remembered of chunks that lie apart is bounded for all files
// together.
func TestChunksScatteredOverManyFilesAreRefused(t *testing.T) {
	s := newSite(t, t.TempDir())
	p := newSender(t, s)
	const files, apart = 1000, 20
	entries := make([]wire.Entry, files)
	for i := range entries {
		entries[i] = wire.Entry{Name: wire.Name(fmt.Sprintf("/%d", i)), Size: 2 * apart, Mode: 0o600}
	}
	p.begin(entries...)
	var frames []byte
	for i := range int64(files) {
		for at := range int64(apart) {
			frames = wire.AppendFrame(frames, wire.Header{Type: wire.TypeData, Index: i, Offset: 2 * at}, []byte("x"))
		}
	}
	_ = p.join().WriteFrames(frames, nil) // it may be closed before the end
	p.wantAnswer("invalid", "too far apart")
}
