package receiver_test

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"jetstream/internal/transfer/wire"
)

// asNobody runs a test again as a user whom rights bind; rest is false in the
// process of root.
func asNobody(t *testing.T) (rest bool) {
	t.Helper()
	if os.Geteuid() != 0 {
		return true
	}
	const nobody = 65534
	dir, err := os.MkdirTemp("", "nobody") //nolint:usetesting // others may not enter that of the test
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	program := filepath.Join(dir, "test")
	from, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	to, err := os.OpenFile(program, os.O_WRONLY|os.O_CREATE, 0o755)
	if err == nil {
		_, err = io.Copy(to, from)
		err = errors.Join(err, to.Close())
	}
	if err = errors.Join(err, from.Close(), os.Chown(dir, nobody, nobody)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "TMPDIR="+dir, "HOME="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("as nobody: %v\n%s", err, out)
	}
	return false
}

// Directories that the server may pass through but not read, above the sandbox
// and in it, receive like others.
func TestDirectoriesOneMayOnlyPassThrough(t *testing.T) {
	if !asNobody(t) {
		return
	}
	above := filepath.Join(t.TempDir(), "above")
	box := filepath.Join(above, "box")
	modes := map[string]os.FileMode{above: 0o311, filepath.Join(box, "drop"): 0o333, filepath.Join(box, "pass"): 0o311}
	if err := os.MkdirAll(filepath.Join(box, "pass", "in"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(box, "drop"), 0o755); err != nil {
		t.Fatal(err)
	}
	for dir, mode := range modes {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(dir, 0o755) })
	}
	for _, conflict := range []string{"overwrite", "rename", "skip", "fail"} {
		for _, target := range []string{"/drop", "/drop/" + conflict, "/pass/in", "/"} {
			t.Run(conflict+target, func(t *testing.T) {
				s := newSite(t, box)
				p := newSender(t, s)
				p.open.DestinationPath, p.open.Conflict = wire.Name(target), conflict
				dir := "/"
				if target == "/" {
					dir = "/drop/"
				}
				entries := []wire.Entry{
					{Name: wire.Name(dir + conflict + "-d"), Dir: true, Mode: 0o500, ModTime: 1e18},
					{Name: wire.Name(dir + conflict + "-d/f"), Size: 1, Mode: 0o640, ModTime: 1e18},
					{Name: wire.Name(dir + conflict + "-f"), Size: 1, Mode: 0o640, ModTime: 1e18},
				}
				if target == "/" { // other names than those of /drop
					for i := range entries {
						entries[i].Name = wire.Name(dir + "root-" + string(entries[i].Name[len(dir):]))
					}
				}
				p.begin(entries...)
				p.data(1, 0, []byte("1"))
				p.data(2, 0, []byte("2"))
				p.send(wire.TypeEnd, struct{}{})
				p.wantAnswer("complete", "")
				for _, e := range entries {
					info, err := os.Stat(filepath.Join(box, target, string(e.Name)))
					if err != nil || info.Mode().Perm() != os.FileMode(e.Mode) || info.ModTime().UnixNano() != e.ModTime {
						t.Errorf("%s is %v (%v)", e.Name, info, err)
					}
					if e.Dir {
						t.Cleanup(func() { _ = os.Chmod(filepath.Join(box, target, string(e.Name)), 0o755) })
					}
				}
				s.Stop()
			})
		}
	}
	for dir := range modes {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if list, err := os.ReadDir(dir); err != nil || slices.ContainsFunc(list, func(e os.DirEntry) bool { return e.Name()[0] == '.' }) {
			t.Errorf("in %s is %v (%v)", dir, list, err)
		}
	}
}
