package store

import (
	"os/signal"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// limitFiles lets no file of this process grow beyond so many bytes: writes
// fail, as on a disk that fails.
func limitFiles(bytes string) error {
	n, err := strconv.ParseUint(bytes, 10, 64)
	if err != nil {
		return err
	}
	signal.Ignore(syscall.SIGXFSZ)
	return unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: n, Max: n})
}

// TestFailedWritesFailTheirUpdates, and nothing that was answered is lost.
func TestFailedWritesFailTheirUpdates(t *testing.T) {
	dir := t.TempDir()
	failed := func(w written) bool { return w.what == "failed" }
	all := runWriter(t, dir, "1000000", func(w []written) bool { return failed(w[len(w)-1]) && len(w) > 200 })
	if !slices.ContainsFunc(all, failed) || failed(all[0]) {
		t.Fatalf("of %d updates the first failed: %v", len(all), failed(all[0]))
	}
	wantWritten(t, openDir(t, dir), all)
}
