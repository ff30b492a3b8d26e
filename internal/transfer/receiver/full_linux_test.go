package receiver_test

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
)

func TestFullDiskFailsTheTransfer(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a small file system")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=16m"); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
	s := newSite(t, dir)
	p := newSender(t, s)
	p.begin(wire.Entry{Name: "/big", Size: 32 << 20, Mode: 0o600})
	chunk := make([]byte, 1<<20)
	for i := range int64(17) {
		p.data(0, i<<20, chunk)
	}
	p.wantAnswer("error", `the receiver's disk is full: "/big"`)
	row := s.Received(p.xfer)
	if row.Status != transfer.StatusError || !strings.Contains(row.ErrorMessage, "disk is full") {
		t.Errorf("the transfer is %s: %s", row.Status, row.ErrorMessage)
	}
	s.Stop() // sweeps are done then
	if names := s.names(); len(names) != 0 {
		t.Errorf("%q is left on the full disk", names)
	}
}
