package store

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDamagedDatabaseIsNamed: a file that is no database, is cut, or has a
// broken beginning is refused with the way out.
func TestDamagedDatabaseIsNamed(t *testing.T) {
	dir := t.TempDir()
	db, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(dir, File))
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(whole)
	flipped[3] ^= 0x10
	page := bytes.Clone(whole)
	page[100] ^= 0xff // the kind of the first page
	for name, content := range map[string][]byte{
		"garbage": bytes.Repeat([]byte("x"), 8192), "cut within a page": whole[:len(whole)/3], "bit flipped": flipped, "first page": page,
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, File)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := Open(t.Context(), dir)
		if err == nil {
			_ = db.Close()
			t.Errorf("%s: it was opened", name)
			continue
		}
		if !strings.Contains(err.Error(), path+" is damaged: put back a copy") {
			t.Errorf("%s: %v", name, err)
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, content) {
			t.Errorf("%s: what may be mended was changed (%v)", name, err)
		}
	}
}
