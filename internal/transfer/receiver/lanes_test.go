//go:build unix

package receiver_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
)

// refused checks that a connection is closed with a reason.
func refused(t *testing.T, conn *wire.Conn, code string) {
	t.Helper()
	for {
		h, payload, err := conn.Read()
		if err != nil {
			t.Fatalf("it was closed without a reason: %v", err)
		}
		var f wire.Failure
		if h.Type == wire.TypeFailure && wire.Decode(payload, &f) == nil {
			if string(f.Code) != code {
				t.Errorf("it was refused with %q %q, want %q", f.Code, f.Message, code)
			}
			return
		}
	}
}

func TestOnlyLanesOfTheTransferMayJoin(t *testing.T) {
	s := newSite(t, t.TempDir())
	p, other := newSender(t, s), newSender(t, s)
	p.begin(wire.Entry{Name: "/f", Size: 3, Mode: 0o600})
	other.begin(wire.Entry{Name: "/g", Size: 3, Mode: 0o600})
	for name, join := range map[string]struct {
		by *sender
		wire.Join
	}{
		"without a secret":      {p, wire.Join{TransferID: p.xfer}},
		"with another secret":   {p, wire.Join{TransferID: p.xfer, Session: make([]byte, wire.SessionSize)}},
		"of another transfer":   {p, wire.Join{TransferID: other.xfer, Session: p.resume.Session}},
		"of another server":     {other, wire.Join{TransferID: p.xfer, Session: p.resume.Session}},
		"with a secret too big": {p, wire.Join{TransferID: p.xfer, Session: make([]byte, 1000)}},
	} {
		conn := join.by.connect()
		if err := conn.Send(wire.TypeJoin, join.Join); err != nil {
			t.Fatal(err)
		}
		t.Log(name)
		refused(t, conn, "unauthorized")
	}
	p.data(0, 0, []byte("abc"))
	p.send(wire.TypeEnd, struct{}{})
	p.wantAnswer("complete", "")
	if conn := p.join(); conn != nil { // it is over
		refused(t, conn, "unauthorized")
	}
}

func TestMoreLanesThanAgreedAreRefused(t *testing.T) {
	s := newSite(t, t.TempDir())
	p := newSender(t, s)
	p.open.Lanes = 2
	if r := p.begin(wire.Entry{Name: "/f", Size: 6, Mode: 0o600}); r.Lanes != 2 {
		t.Fatalf("%d lanes were agreed, want 2", r.Lanes)
	}
	p.data(0, 0, []byte("abc"))
	second := p.lane
	p.lane = nil
	p.data(0, 3, []byte("d"))
	refused(t, p.join(), "conflict")
	// A place is free as soon as a lane is closed.
	second.Abort()
	for {
		third := p.join()
		_ = third.WriteFrames(wire.AppendFrame(nil, wire.Header{Type: wire.TypeData, Offset: 4}, []byte("ef")), nil)
		if h, _, err := third.Read(); err == nil && h.Type == wire.TypeAck {
			break
		}
	}
	p.send(wire.TypeEnd, struct{}{})
	p.wantAnswer("complete", "")
}

// Chunks that come again are passed over, but not without end.
func TestRepeatedChunksAreBounded(t *testing.T) {
	s := newSite(t, t.TempDir())
	p := newSender(t, s)
	chunk := bytes.Repeat([]byte("x"), wire.MaxData)
	p.begin(wire.Entry{Name: "/f", Size: 2 * wire.MaxData, Mode: 0o600})
	lane := p.join()
	frame := wire.AppendFrame(nil, wire.Header{Type: wire.TypeData}, chunk)
	sent := 0
	for ; sent < 200 && lane.WriteFrames(frame, nil) == nil; sent++ {
	}
	p.wantAnswer("invalid", "again and again")
	if sent < 10 {
		t.Errorf("it was refused after %d chunks", sent)
	}
}

// Chunks in any order and cut in any way make the file.
func TestChunksMayComeInAnyOrder(t *testing.T) {
	s := newSite(t, t.TempDir())
	p := newSender(t, s)
	want := []byte("0123456789abcdefghij")
	p.begin(wire.Entry{Name: "/f", Size: int64(len(want)), Mode: 0o600}, wire.Entry{Name: "/g", Size: 2, Mode: 0o600})
	p.data(1, 1, []byte("!"))
	for _, part := range [][2]int{{15, 20}, {3, 7}, {5, 9}, {0, 4}, {3, 4}, {8, 16}, {1, 0}} {
		if part[1] > part[0] {
			p.data(0, int64(part[0]), want[part[0]:part[1]])
		} else {
			p.data(1, 0, []byte("?"))
		}
	}
	p.send(wire.TypeEnd, struct{}{})
	p.wantAnswer("complete", "")
	for name, want := range map[string]string{"f": string(want), "g": "?!"} {
		if got, err := os.ReadFile(filepath.Join(s.Sandbox, name)); string(got) != want {
			t.Errorf("%s holds %q (%v), want %q", name, got, err, want)
		}
	}
}

// marking is a store that tells when a checkpoint is saved.
type marking struct {
	transfer.RecvStore
	saved chan int64
}

func (m *marking) SaveRecvCheckpoint(ctx context.Context, key, id string, index, offset int64, rest string) error {
	err := m.RecvStore.SaveRecvCheckpoint(ctx, key, id, index, offset, rest)
	select {
	case m.saved <- offset:
	default:
	}
	return err
}

// After a restart a file goes on from the last checkpoint, and what the part
// file holds behind it does not count.
func TestRestartGoesOnFromTheCheckpoint(t *testing.T) {
	s := newSite(t, t.TempDir())
	s.Stop()
	store := &marking{saved: make(chan int64)}
	s.restart(func(st transfer.RecvStore) transfer.RecvStore { store.RecvStore = st; return store })
	p := newSender(t, s)
	p.open.CheckpointSeconds = 1
	const half, size = wire.MaxData, 3 * wire.MaxData
	// Zeros leave holes: they must not show what was written there before.
	want := append(bytes.Repeat([]byte("a"), half), make([]byte, size-half)...)
	entry := wire.Entry{Name: "/f", Size: size, Mode: 0o600}
	p.begin(entry)
	p.data(0, 0, want[:half])
	p.data(0, 2*half, bytes.Repeat([]byte("z"), 100)) // not in the first part
	if at := <-store.saved; at != half {
		t.Fatalf("the checkpoint is at %d, want %d", at, half)
	}
	s.Stop()
	s.restart(nil)
	p.dial()
	if r := p.reopen(); r.Index != 0 || r.Offset != half || r.Bytes != half {
		t.Fatalf("it goes on at entry %d, offset %d with %d bytes, want 0, %d", r.Index, r.Offset, r.Bytes, half)
	}
	p.announce(0, []wire.Entry{entry})
	p.data(0, 2*half, want[2*half:])
	p.data(0, half, want[half:2*half])
	p.send(wire.TypeEnd, struct{}{})
	p.wantAnswer("complete", "")
	if got, err := os.ReadFile(filepath.Join(s.Sandbox, "f")); !bytes.Equal(got, want) {
		t.Errorf("the file has %d bytes and is not what was sent (%v)", len(got), err)
	}
	if n := s.completed(); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
}

// What a lane repeats when everything has arrived harms nothing.
func TestRepeatedChunkWhileFinishing(t *testing.T) {
	s := newSite(t, t.TempDir())
	s.Stop()
	store := &pausing{named: make(chan struct{}), goOn: make(chan struct{})}
	s.restart(func(st transfer.RecvStore) transfer.RecvStore { store.RecvStore = st; return store })
	p := newSender(t, s)
	p.begin(wire.Entry{Name: "/f", Size: 3, Mode: 0o600})
	p.data(0, 0, []byte("abc"))
	p.send(wire.TypeEnd, struct{}{})
	<-store.named
	p.data(0, 0, []byte("abc"))
	close(store.goOn)
	p.wantAnswer("complete", "")
	if got, err := os.ReadFile(filepath.Join(s.Sandbox, "f")); string(got) != "abc" {
		t.Errorf("the file holds %q (%v)", got, err)
	}
}

// What must be remembered of chunks that lie apart is bounded.
func TestScatteredChunksAreRefused(t *testing.T) {
	s := newSite(t, t.TempDir())
	p := newSender(t, s)
	p.begin(wire.Entry{Name: "/f", Size: wire.MaxData, Mode: 0o600})
	lane := p.join()
	var frames []byte
	for at := int64(0); at < 10_000; at += 2 {
		frames = wire.AppendFrame(frames, wire.Header{Type: wire.TypeData, Offset: at}, []byte("x"))
	}
	_ = lane.WriteFrames(frames, nil) // it may be closed before the end
	p.wantAnswer("invalid", "too far apart")
}

// Chunks of a byte make a file as others do.
func TestTinyChunks(t *testing.T) {
	s := newSite(t, t.TempDir())
	p := newSender(t, s)
	const size = 20_000
	want := bytes.Repeat([]byte("0123456789"), size/10)
	p.begin(wire.Entry{Name: "/f", Size: size, Mode: 0o600})
	var frames []byte
	for at := range int64(size) {
		frames = wire.AppendFrame(frames, wire.Header{Type: wire.TypeData, Offset: at}, want[at:at+1])
	}
	lane := p.join()
	heard := make(chan error, 1)
	go func() { // what it says must be read
		for {
			if h, _, err := lane.Read(); err != nil || h.Index == size {
				heard <- err
				return
			}
		}
	}()
	if err := lane.WriteFrames(frames, nil); err != nil {
		t.Fatal(err)
	}
	if err := <-heard; err != nil {
		t.Fatal(err)
	}
	p.send(wire.TypeEnd, struct{}{})
	p.wantAnswer("complete", "")
	if got, err := os.ReadFile(filepath.Join(s.Sandbox, "f")); !bytes.Equal(got, want) {
		t.Errorf("the file holds %d bytes and is not what was sent (%v)", len(got), err)
	}
}
