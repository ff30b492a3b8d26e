//go:build unix

package sender_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"jetstream/internal/transfer"
)

func modeOf(t *testing.T, path string) os.FileMode {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

// Directories keep modes and times, also those that nobody may write to. Those
// that were there keep theirs, and those that the sender does not have get 0750.
func TestDirectoriesKeepModesAndTimes(t *testing.T) {
	a, b := newSite(t), newSite(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	when := time.Date(2002, 3, 4, 5, 6, 7, 800, time.UTC)
	for _, s := range []*site{a, b} { // so that they can be removed
		t.Cleanup(func() {
			_ = filepath.WalkDir(s.Sandbox, func(path string, d os.DirEntry, _ error) error {
				if d != nil && d.IsDir() {
					_ = os.Chmod(path, 0o700)
				}
				return nil
			})
		})
	}
	modes := map[string]os.FileMode{
		"src": 0o710, "src/secret": 0o700, "src/secret/below": 0o755, "src/readonly": 0o500, "src/readonly/too": 0o511,
		"src/open": 0o777 | os.ModeSticky | os.ModeSetgid, "src/empty": 0o705, "src/there": 0o700,
	}
	for dir := range modes {
		a.put(dir+"/file", []byte(dir))
	}
	must(os.Remove(filepath.Join(a.Sandbox, "src/empty/file")))
	for dir, mode := range modes {
		must(os.Chmod(filepath.Join(a.Sandbox, dir), mode))
	}
	must(filepath.WalkDir(a.Sandbox, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chtimes(path, when, when)
	}))
	there := filepath.Join(b.Sandbox, "new", "src", "there")
	must(os.MkdirAll(there, 0o755))
	must(os.Chmod(there, 0o751))
	must(os.Chmod(filepath.Dir(there), 0o701))
	complete(t, a, b, a.send(b, job{path: "/new"}))
	if got := modeOf(t, there); got != 0o751 {
		t.Errorf("a directory that was there has mode %o, want 751", got)
	}
	if got := modeOf(t, filepath.Dir(there)); got != 0o701 {
		t.Errorf("a directory that was there has mode %o, want 701", got)
	}

	// Without counterpart: /deep/er. The source itself is placed at /deep/er/src.
	complete(t, a, b, a.send(b, job{path: "/deep/er"}))
	must(os.Chmod(filepath.Join(a.Sandbox, "src/open"), 0o777)) // never setgid or sticky
	same(t, filepath.Join(a.Sandbox, "src"), filepath.Join(b.Sandbox, "deep/er/src"))
	for _, dir := range []string{"deep", "deep/er"} {
		if got := modeOf(t, filepath.Join(b.Sandbox, dir)); got&^0o750 != 0 || got&0o700 != 0o700 {
			t.Errorf("%s has mode %o, want 750", dir, got)
		}
	}
	if got := modeOf(t, filepath.Join(b.Sandbox, "deep/er/src")); got != 0o710 {
		t.Errorf("the source has mode %o, want 710", got)
	}

	// The source is what destinationPath names.
	complete(t, a, b, a.send(b, job{path: "/as", mappings: map[string]string{"/src/secret": "/"}}))
	if got := modeOf(t, filepath.Join(b.Sandbox, "as")); got != 0o700 {
		t.Errorf("the target has mode %o, want 700, that of the source", got)
	}
	// The root of the sandbox stays as it is.
	before := modeOf(t, b.Sandbox)
	complete(t, a, b, a.send(b, job{mappings: map[string]string{"/src/secret": "/"}}))
	if got := modeOf(t, b.Sandbox); got != before {
		t.Errorf("the root has mode %o, want %o", got, before)
	}
	// What is placed of a transfer that fails has its rights, too.
	must(os.Mkdir(filepath.Join(b.Sandbox, "half"), 0o755))
	must(os.MkdirAll(filepath.Join(b.Sandbox, "half/src/secret/file"), 0o755))
	if got := a.wait(a.send(b, job{path: "/half"})); got.Status != transfer.StatusError {
		t.Errorf("it ended as %s", got.Status)
	}
	if got := modeOf(t, filepath.Join(b.Sandbox, "half/src/readonly")); got != 0o500 {
		t.Errorf("a directory of a failed transfer has mode %o, want 500", got)
	}
}
