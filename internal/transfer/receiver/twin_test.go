//go:build unix

package receiver_test

import (
	"os"
	"path/filepath"
	"testing"

	"jetstream/internal/transfer/wire"
)

// Two entries that are one file for another reason than the case of their
// names: a link among the directories, or a sender that lists a name twice.
func TestTwoEntriesOfOneFile(t *testing.T) {
	for name, names := range map[string][2]string{"link": {"/d/a", "/link/a"}, "twice": {"/d/a", "/d/a"}} {
		for conflict, want := range map[string]string{"overwrite": "error", "skip": "error", "fail": "error", "rename": "complete"} {
			t.Run(name+" "+conflict, func(t *testing.T) {
				s := newSite(t, t.TempDir())
				if err := os.Symlink("d", filepath.Join(s.Sandbox, "link")); err != nil {
					t.Fatal(err)
				}
				if err := os.Mkdir(filepath.Join(s.Sandbox, "d"), 0o755); err != nil {
					t.Fatal(err)
				}
				p := newSender(t, s)
				p.open.Conflict = conflict
				p.begin(wire.Entry{Name: wire.Name(names[0]), Size: 1, Mode: 0o600}, wire.Entry{Name: wire.Name(names[1]), Size: 1, Mode: 0o600})
				p.data(0, 0, []byte("1"))
				p.data(1, 0, []byte("2"))
				p.send(wire.TypeEnd, struct{}{})
				message := "conflict rename"
				if want == "complete" {
					message = ""
				}
				p.wantAnswer(want, message)
				if got, err := os.ReadFile(filepath.Join(s.Sandbox, "d/a")); want == "complete" && string(got) != "1" || len(got) > 0 && string(got) != "1" {
					t.Errorf("the file holds %q (%v), want 1", got, err)
				}
				if got, err := os.ReadFile(filepath.Join(s.Sandbox, "d/a (1)")); want == "complete" && string(got) != "2" {
					t.Errorf("the second file holds %q (%v), want 2", got, err)
				}
			})
		}
	}
}

// A directory that is listed twice has the rights that both have.
func TestTwoEntriesOfOneDirectory(t *testing.T) {
	s := newSite(t, t.TempDir())
	p := newSender(t, s)
	p.begin(wire.Entry{Name: "/d", Dir: true, Mode: 0o750}, wire.Entry{Name: "/d/f", Mode: 0o600}, wire.Entry{Name: "/d", Dir: true, Mode: 0o705})
	p.send(wire.TypeEnd, struct{}{})
	p.wantAnswer("complete", "")
	if info, err := os.Stat(filepath.Join(s.Sandbox, "d")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("it is %v (%v), want mode 700", info, err)
	}
}
