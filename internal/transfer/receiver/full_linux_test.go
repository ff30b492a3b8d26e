package receiver_test

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
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
	chunk := bytes.Repeat([]byte("data"), 1<<18)
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

// Data that cannot fit are refused before anything is written; holes need no
// room, and stay holes, also across file systems.
func TestWhatCannotFitIsRefused(t *testing.T) {
	box := otherDevice(t) // d has 16 MiB
	s := newSite(t, box)
	p := newSender(t, s)
	p.open.DestinationPath, p.open.TotalFiles, p.open.TotalBytes, p.open.DataBytes, p.open.Ticket = "/d/deep/er", 1, 64<<20, 32<<20, p.ticket
	p.send(wire.TypeOpen, p.open)
	p.wantAnswer("error", `has no room for the transfer: it needs 33554432 bytes in "/d/deep/er", and`)
	s.Stop()
	if names := s.names(); !slices.Equal(names, []string{"d"}) {
		t.Errorf("a refused transfer left %q", names)
	}
	s.Start()

	const size = 256 << 20
	for target, dest := range map[string]wire.Name{"": "/d", "d": "/"} { // staged on the small disk, and copied to it
		p = newSender(t, s)
		p.open.DestinationPath, p.open.DataBytes = dest, 8192
		p.begin(wire.Entry{Name: wire.Name(path.Join("/", target, "sparse")), Size: size, Mode: 0o600, ModTime: 1e18})
		chunk := make([]byte, 1<<20)
		for at := int64(0); at < size; at += int64(len(chunk)) {
			copy(chunk[5000:], "x")
			p.data(0, at, chunk)
			clear(chunk)
		}
		p.send(wire.TypeEnd, struct{}{})
		p.wantAnswer("complete", "")
		info, err := os.Stat(filepath.Join(box, "d/sparse"))
		if err != nil || info.Size() != size {
			t.Fatalf("%v (%v), want %d bytes", info, err, size)
		}
		if used := info.Sys().(*syscall.Stat_t).Blocks * 512; used > 2<<20 { // a page of each MiB
			t.Errorf("%d bytes are taken up", used)
		}
		f, err := os.Open(filepath.Join(box, "d/sparse"))
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 1<<20)
		if _, err := f.ReadAt(got, 128<<20); err != nil || got[5000] != 'x' || bytes.Count(got, []byte{0}) != 1<<20-1 {
			t.Errorf("the file holds something else (%v)", err)
		}
		if err := errors.Join(f.Close(), os.Remove(f.Name())); err != nil {
			t.Error(err)
		}
	}
}

// A size that no file system has is the fault of who announces it, and trying
// again would not help.
func TestImpossibleSizesAreInvalid(t *testing.T) {
	s := newSite(t, t.TempDir())
	p := newSender(t, s)
	p.open.TotalFiles, p.open.TotalBytes, p.open.Ticket = 1, math.MaxInt64, p.ticket
	p.send(wire.TypeOpen, p.open)
	p.wantAnswer("invalid", "more than this server takes")
	p = newSender(t, s)
	p.open.TotalFiles, p.open.TotalBytes, p.open.DataBytes, p.open.Ticket = 1, 5, 6, p.ticket
	p.send(wire.TypeOpen, p.open)
	p.wantAnswer("invalid", "malformed")
}
