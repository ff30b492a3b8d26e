package receiver_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"jetstream/internal/transfer/wire"
)

// caseless makes a sandbox on a file system that takes README and readme for
// one file and has no modes of its own: NTFS by FUSE.
func caseless(t *testing.T) string { return ntfs(t, "ignore_case,umask=077") }

// ntfs mounts a file system with those options.
func ntfs(t *testing.T, options string) string {
	t.Helper()
	dir, image := t.TempDir(), filepath.Join(t.TempDir(), "ntfs")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 16<<20); err != nil {
		t.Fatal(err)
	}
	run := func(name string, args ...string) {
		out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
		switch {
		case err == nil:
		case os.Getenv("CI") == "true":
			t.Fatalf("a file system that ignores case cannot be made: %s: %v\n%s", name, err, out)
		default:
			t.Skipf("skipped: a file system that ignores case cannot be made, install ntfs-3g and be root to see this one: %s: %v\n%s", name, err, out)
		}
	}
	run("mkntfs", "-q", "-F", "-f", image)
	run("lowntfs-3g", "-o", options, image, dir)
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v\n%s", err, out)
		}
	})
	return dir
}

// A file system that has no modes takes the data, and the transfer says what it
// could not keep. One that lets others write is refused, with what to do.
func TestFileSystemWithoutModes(t *testing.T) {
	for options, want := range map[string][3]string{
		"umask=077":          {"complete", "not all modes and times could be kept", `"/f" has mode 0700 instead of 0600`},
		"umask=022":          {"complete", "not all modes and times could be kept", `"/f" has mode 0755 instead of 0600`},
		"umask=000":          {"error", "mode 0777", "mount it with the options uid=0 and umask=077"},
		"umask=077,uid=4711": {"error", "belongs to user 4711", "uid=0 and umask=077"},
	} {
		t.Run(options, func(t *testing.T) {
			s := newSite(t, ntfs(t, options))
			p := newSender(t, s)
			if want[0] == "error" {
				p.open.Ticket = p.ticket
				p.send(wire.TypeOpen, p.open)
			} else {
				sendAll(p, "/f")
			}
			status, message := p.answer()
			if status != want[0] || !strings.Contains(message, want[1]) || !strings.Contains(message, want[2]) {
				t.Errorf("answered %q %q, want %q", status, message, want)
			}
			if row := s.Received(p.xfer); row.ErrorMessage != message {
				t.Errorf("the receiver says %q, the sender was told %q", row.ErrorMessage, message)
			}
			s.Stop()
		})
	}
}

// sendAll sends files whose contents are their names.
func sendAll(p *sender, names ...string) {
	var entries []wire.Entry
	for _, n := range names {
		entries = append(entries, wire.Entry{Name: wire.Name(n), Size: int64(len(n)), Mode: 0o600, ModTime: 1e18})
	}
	p.begin(entries...)
	for i, n := range names {
		p.data(int64(i), 0, []byte(n))
	}
	p.send(wire.TypeEnd, struct{}{})
}

// contents returns what the files of the sandbox hold, sorted.
func (s *site) contents() (out []string) {
	s.T.Helper()
	for _, n := range s.names() {
		if b, err := os.ReadFile(filepath.Join(s.Sandbox, n)); err == nil {
			out = append(out, string(b))
		}
	}
	slices.Sort(out)
	return out
}

// Where two names of a transfer are one file, none is lost silently.
func TestTwoNamesOfOneFile(t *testing.T) {
	for _, names := range [][]string{
		{"/d/README", "/d/readme"}, {"/D/a", "/d/A"}, {"/d/\u00c9t\u00e9", "/d/\u00e9t\u00c9"},
	} {
		for conflict, want := range map[string]string{"overwrite": "error", "skip": "error", "fail": "error", "rename": "complete"} {
			t.Run(conflict+names[0], func(t *testing.T) {
				s := newSite(t, caseless(t))
				p := newSender(t, s)
				p.open.Conflict = conflict
				sendAll(p, names...)
				status, message := p.answer()
				if status != want || want == "error" && (!strings.Contains(message, "for one file") ||
					!strings.Contains(message, names[0]) || !strings.Contains(message, names[1]) || !strings.Contains(message, "conflict rename")) {
					t.Errorf("answered %q %q, want %s", status, message, want)
				}
				kept := names[:1]
				if conflict == "rename" {
					kept = names
				}
				if got := s.contents(); !slices.Equal(got, slices.Sorted(slices.Values(kept))) {
					t.Errorf("the files hold %q, want %q", got, kept)
				}
				s.Stop() // nothing is open when it is unmounted
			})
		}
	}
	t.Run("a file that was there", func(t *testing.T) {
		s := newSite(t, caseless(t))
		if err := os.WriteFile(filepath.Join(s.Sandbox, "README"), []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		p := newSender(t, s)
		sendAll(p, "/readme", "/other")
		p.wantAnswer("complete", "")
		if got := s.contents(); !slices.Equal(got, []string{"/other", "/readme"}) {
			t.Errorf("the files hold %q", got)
		}
		s.Stop()
	})
	t.Run("directories", func(t *testing.T) {
		s := newSite(t, caseless(t))
		p := newSender(t, s)
		p.begin(wire.Entry{Name: "/D", Dir: true, Mode: 0o700}, wire.Entry{Name: "/D/a", Mode: 0o600},
			wire.Entry{Name: "/d", Dir: true, Mode: 0o700}, wire.Entry{Name: "/d/b", Mode: 0o600})
		p.send(wire.TypeEnd, struct{}{})
		p.wantAnswer("complete", "")
		if names := s.names(); len(names) != 3 {
			t.Errorf("there are %q", names)
		}
		s.Stop()
	})
}

// A mirror removes no file because it is called otherwise there.
func TestMirrorWhereCaseDoesNotCount(t *testing.T) {
	s := newSite(t, caseless(t))
	s.have("D/README", "D/sub/x", "D/stale", "d/.keep")
	s.Age()
	p := newSender(t, s)
	p.mirror("/d/readme", "/d/SUB/X", "/d/.KEEP")
	p.wantAnswer("complete", "")
	names := s.names() // in lower case, on this file system
	if want := []string{"d", "d/.keep", "d/readme", "d/sub", "d/sub/x"}; !slices.Equal(names, want) {
		t.Errorf("there are %q, want %q", names, want)
	}
	s.Stop()
}
