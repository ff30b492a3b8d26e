package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"jetstream/internal/account"
	"jetstream/internal/store"
	"jetstream/internal/transfer/wire"
)

// TestEmptyDatabaseBesideAKeyIsRefused: it is what a full disk or a restore that
// was cut off leaves, never a first start.
func TestEmptyDatabaseBesideAKeyIsRefused(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, store.File)
	use := func() error {
		return WithAccounts(t.Context(), dir, nil, func(*account.Service) error { return nil })
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := use(); err != nil { // a first start that was cut off
		t.Fatal(err)
	}
	if _, err := wire.LoadIdentity(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	if err := use(); err == nil || !strings.Contains(err.Error(), path+" is empty") || !strings.Contains(err.Error(), "put back a copy") {
		t.Errorf("it was taken for new: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() != 0 {
		t.Errorf("%v %v", info, err)
	}
}
