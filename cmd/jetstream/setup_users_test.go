//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFirstPasswordsAreNotReadThroughALink: the state directory is the service's, and a
// link in it must not make root copy another file.
func TestFirstPasswordsAreNotReadThroughALink(t *testing.T) {
	base := t.TempDir()
	state, outside := filepath.Join(base, "state"), filepath.Join(base, "shadow")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(outside, []byte("root secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(state, "initial-passwords")
	if err := os.Symlink(outside, file); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := (&setup{}).keepPasswords(file, &text); err == nil || text.Len() > 0 {
		t.Errorf("error %v, and read was %q", err, text.String())
	}
}
