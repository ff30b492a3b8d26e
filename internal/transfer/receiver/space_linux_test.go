package receiver_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"jetstream/internal/diskspace"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
)

// newFloorSite is newSite with a sandbox of 64 MiB, of which 8 MiB must stay free.
func newFloorSite(t *testing.T) *site {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64m"); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	s := newSite(t, dir)
	s.Stop()
	s.MinFree = diskspace.Floor{Bytes: 8 << 20}
	s.Start()
	return s
}

func (s *site) fill(bytes int) {
	s.T.Helper()
	if err := os.WriteFile(filepath.Join(s.Sandbox, "fill"), make([]byte, bytes), 0o600); err != nil {
		s.T.Fatal(err)
	}
}

func (s *site) unfill() {
	s.T.Helper()
	if err := os.Remove(filepath.Join(s.Sandbox, "fill")); err != nil {
		s.T.Fatal(err)
	}
}

// wantWaiting checks that a transfer is receiving and says why it waits, or, if that is
// empty, that it does not.
func (p *sender) wantWaiting(why string) {
	p.t.Helper()
	row := p.site.Received(p.xfer)
	if row.Status != transfer.StatusReceiving || !strings.HasPrefix(row.ErrorMessage, why) || why == "" && row.ErrorMessage != "" {
		p.t.Errorf("the transfer is %s and says %q, want %q", row.Status, row.ErrorMessage, why)
	}
	if n, _ := p.site.Receiver.Waiting(); (n == 1) != (why != "") {
		p.t.Errorf("%d transfers wait", n)
	}
}

func TestTransferWaitsForFreeSpace(t *testing.T) {
	s := newFloorSite(t)
	s.fill(60 << 20)
	p := newSender(t, s)
	p.open.TotalFiles, p.open.TotalBytes, p.open.DataBytes, p.open.Ticket = 1, 4, 4, p.ticket
	for _, again := range []bool{false, true} {
		const why = `the transfer waits: the receiver has less than 8.0 MiB free in "/"`
		p.send(wire.TypeOpen, p.open)
		p.wantAnswer("unavailable", why)
		p.wantWaiting(why)
		if !again {
			p.dial()
		}
	}
	if names := s.names(); len(names) != 1 {
		t.Errorf("a transfer that waits has left %q", names)
	}
	s.unfill()
	p.dial()
	p.reopen()
	p.announce(0, []wire.Entry{{Name: "/reel", Size: 4, Mode: 0o600}})
	p.data(0, 0, []byte("data"))
	p.send(wire.TypeEnd, struct{}{})
	p.wantAnswer("complete", "")

	// What fits, but not above what must stay free, waits; what never fits fails.
	s.fill(40 << 20)
	p = newSender(t, s)
	p.open.TotalFiles, p.open.TotalBytes, p.open.DataBytes, p.open.Ticket = 1, 20<<20, 20<<20, p.ticket
	p.send(wire.TypeOpen, p.open)
	p.wantAnswer("unavailable", `the transfer waits: it needs 20 MiB in "/", and the receiver has 24 MiB free, of which 8.0 MiB stay free`)
	p = newSender(t, s)
	p.open.TotalFiles, p.open.TotalBytes, p.open.DataBytes, p.open.Ticket = 1, 60<<20, 60<<20, p.ticket
	p.send(wire.TypeOpen, p.open)
	p.wantAnswer("error", "has no room for the transfer")

	// A transfer that may find its files there needs no room for all of them.
	p = newSender(t, s)
	p.open.TotalFiles, p.open.TotalBytes, p.open.DataBytes, p.open.Conflict = 1, 20<<20, 20<<20, transfer.ConflictChanged
	p.reopen()
	s.Stop() // before the disk is unmounted
}

// TestRunningTransferStopsAtTheFloor: others fill the disk meanwhile. What has arrived
// is kept, and the transfer gets below the floor by a bounded amount.
func TestRunningTransferStopsAtTheFloor(t *testing.T) {
	s := newFloorSite(t)
	p := newSender(t, s)
	const size = 40
	p.begin(wire.Entry{Name: "/reel", Size: size << 20, Mode: 0o600, ModTime: 1e18})
	chunk := bytes.Repeat([]byte("data"), 1<<18)
	for i := range int64(4) {
		p.data(0, i<<20, chunk)
	}
	s.fill(40 << 20) // 20 MiB are free, of which 12 may be used
	for i := int64(4); i < size; i++ {
		p.data(0, i<<20, chunk)
	}
	p.wantAnswer("unavailable", `less than 8.0 MiB free in "/"`)
	p.wantWaiting("the transfer waits:")
	var st syscall.Statfs_t
	if err := syscall.Statfs(s.Sandbox, &st); err != nil {
		t.Fatal(err)
	}
	if free := int64(st.Bavail) * st.Bsize; free >= 8<<20 {
		t.Errorf("%d bytes are free", free)
	}
	s.unfill()
	p.dial()
	r := p.reopen()
	p.wantWaiting("")
	if r.Offset < 15<<20 || r.Offset > 25<<20 { // 16 MiB had room, and 8 may come before that is seen
		t.Errorf("it goes on at %d", r.Offset)
	}
	p.announce(0, []wire.Entry{{Name: "/reel", Size: size << 20, Mode: 0o600, ModTime: 1e18}})
	for at := r.Offset; at < size<<20; at += 1 << 20 {
		p.data(0, at, chunk)
	}
	p.send(wire.TypeEnd, struct{}{})
	p.wantAnswer("complete", "")
	s.Stop()
}
