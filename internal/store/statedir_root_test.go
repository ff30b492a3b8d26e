//go:build unix

package store_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"jetstream/internal/store"
)

// TestOwnerCannotLeadRootElsewhere: root, who opens a state directory of another user,
// neither changes nor gives away a file that a link in it leads to.
func TestOwnerCannotLeadRootElsewhere(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("skipped: only root can give files away; run the tests as root to see this one")
	}
	const nobody = 65534
	for name, link := range map[string]func(from, to string) error{"symbolic": os.Symlink, "hard": os.Link} {
		for _, file := range []string{"lock", store.File} {
			t.Run(name+" "+file, func(t *testing.T) {
				base := t.TempDir()
				dir, target := filepath.Join(base, "state"), filepath.Join(base, "of-root")
				if err := os.WriteFile(target, []byte("secret"), 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.Mkdir(dir, 0o700); err != nil {
					t.Fatal(err)
				}
				if err := link(target, filepath.Join(dir, file)); err != nil {
					t.Fatal(err)
				}
				if err := os.Chown(dir, nobody, nobody); err != nil {
					t.Fatal(err)
				}
				db, err := store.Open(t.Context(), dir)
				if err == nil {
					_ = db.Close()
					t.Error("it was opened")
				}
				text, err := os.ReadFile(target)
				if err != nil {
					t.Fatal(err)
				}
				info, err := os.Stat(target)
				if err != nil {
					t.Fatal(err)
				}
				if st := info.Sys().(*syscall.Stat_t); st.Uid != 0 || string(text) != "secret" {
					t.Errorf("the file of root belongs to %d and holds %q", st.Uid, text)
				}
			})
		}
	}
}
