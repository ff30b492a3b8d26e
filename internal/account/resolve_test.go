package account_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"jetstream/internal/account"
	"jetstream/internal/api"
)

// openBox opens dir as the sandbox of a user.
func openBox(t *testing.T, dir string) *account.Sandbox {
	t.Helper()
	s, _ := newService(t, account.Options{})
	mustCreate(t, s, account.NewUser{Name: "bob", Password: "p", Sandbox: dir})
	b, err := s.Sandbox(t.Context(), "bob", account.Write)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func TestPathsThatTraverseAreRefused(t *testing.T) {
	dir := t.TempDir()
	mkdir(t, filepath.Join(dir, "a", "b"))
	b := openBox(t, dir)
	for _, p := range []string{
		"", ".", "..", "a", "a/b", "../etc/passwd", `C:\x`, "~", // not from /
		"/..", "/../", "/../etc/passwd", "/a/../..", "/a/b/../../../x", "//../x", "/./../x", "/a/../../a", "/.././a",
		"/a\x00", "/a/\x00/b", "/a\x00/../../x", "/" + strings.Repeat("a/", 9000),
	} {
		for _, followLast := range []bool{false, true} {
			if rel, err := b.Resolve(p, followLast); err == nil {
				t.Errorf("Resolve(%q) = %q", p, rel)
			} else {
				wantCode(t, err, api.CodeInvalid)
			}
		}
	}
	for p, want := range map[string]string{
		"/": ".", "//": ".", "/.": ".", "/a/..": ".", "/a": "a", "/a/": "a", "//a//b/.": "a/b", "/a/b/../b": "a/b",
		"/...": "...", "/..a": "..a", "/a/new/deep": "a/new/deep", "/missing/../a": "a", "/-rf": "-rf", "/a\nb": "a\nb",
	} {
		if runtime.GOOS == "windows" && strings.ContainsAny(p, "\n") || runtime.GOOS == "windows" && p == "/..." {
			continue
		}
		if rel, err := b.Resolve(p, true); err != nil || rel != want {
			t.Errorf("Resolve(%q) = %q, %v, want %q", p, rel, err, want)
		}
	}
	write(t, filepath.Join(dir, "file"), "")
	_, err := b.Resolve("/file/x", true)
	wantCode(t, err, api.CodeInvalid)
	if rel, err := b.Resolve("/file", true); err != nil || rel != "file" {
		t.Errorf("%q, %v", rel, err)
	}
}

// tree makes a sandbox with all kinds of links, and a secret outside of it. The
// configured path of the sandbox is a link.
func tree(t *testing.T) (b *account.Sandbox, outside string) {
	t.Helper()
	base := t.TempDir()
	outside = filepath.Join(base, "outside")
	real := filepath.Join(base, "real")
	mkdir(t, outside)
	mkdir(t, filepath.Join(base, "real-2"))
	mkdir(t, filepath.Join(real, "dir", "sub"))
	write(t, filepath.Join(outside, "secret"), "secret")
	write(t, filepath.Join(real, "dir", "file"), "inside")
	configured := filepath.Join(base, "configured")
	link(t, "real", configured)
	link(t, "configured", filepath.Join(base, "alias"))
	for name, target := range map[string]string{
		"rel": "dir/sub", "dir/up": "../dir", "dir/sub/file": "../file", "dot": ".", "self": "dir/../dir/./sub//",
		"abs": filepath.Join(real, "dir"), "absroot": real, "absconf": filepath.Join(configured, "dir"), "absalias": filepath.Join(base, "alias", "dir", "file"),
		"absback": real + "/../real/dir", "abslink": filepath.Join(configured, "rel"), "absmissing": filepath.Join(real, "dir", "new"),
		"chain1": "chain2", "chain2": "chain3", "chain3": "dir", "dangling": "dir/nothing", "dangling2": "nothing/../dir",
		"out": "../outside", "outfile": "../outside/secret", "outabs": outside, "outroot": "/", "outdeep": "dir/sub/../../../outside",
		"outsibling": filepath.Join(base, "real-2"), "outback": filepath.Join(real, "..", "outside"), "outback2": real + "/../outside", "outmissing": "../missing",
		"viadot": "dot/dot/../outside", "viaabs": "absroot/../outside", "loop": "loop", "loopa": "loopb", "loopb": "dir/../loopa", "dir/deep": "deep/x",
		"throughfile": "dir/file/../file",
	} {
		link(t, target, filepath.Join(real, name))
	}
	return openBox(t, configured), outside
}

func TestLinksInsideAreFollowed(t *testing.T) {
	b, _ := tree(t)
	for p, want := range map[string]string{
		"/rel": "dir/sub", "/rel/file": "dir/file", "/dir/up/up/up/file": "dir/file", "/dot/dot/dir": "dir", "/self": "dir/sub",
		"/abs": "dir", "/abs/sub": "dir/sub", "/absroot": ".", "/absroot/abs/file": "dir/file", "/absconf/file": "dir/file",
		"/absalias": "dir/file", "/absback/file": "dir/file", "/abslink/file": "dir/file", "/chain1/file": "dir/file",
		"/dangling": "dir/nothing", "/dangling/x": "dir/nothing/x", "/absmissing": "dir/new",
	} {
		rel, err := b.Resolve(p, true)
		if err != nil || rel != want {
			t.Errorf("Resolve(%q) = %q, %v, want %q", p, rel, err, want)
		}
	}
	// The last name is not followed: the link itself is replaced or sent.
	for p, want := range map[string]string{"/rel": "rel", "/out": "out", "/loop": "loop", "/abs/up": "dir/up", "/dangling": "dangling", "/chain1": "chain1", "/abs/new": "dir/new"} {
		rel, err := b.Resolve(p, false)
		if err != nil || rel != want {
			t.Errorf("Resolve(%q) without the last link = %q, %v, want %q", p, rel, err, want)
		}
	}
}

func TestLinksOutAreRefused(t *testing.T) {
	b, outside := tree(t)
	for p, target := range map[string]string{
		"/out": "../outside", "/out/secret": "../outside", "/outfile": "../outside/secret", "/outabs/secret": "outside", "/outroot": "/", "/outroot/etc/passwd": "/",
		"/outdeep/secret": "../outside", "/outsibling": "real-2", "/outback/secret": "outside", "/outback2/secret": "outside", "/outmissing": "../missing",
		"/viadot": "dot/dot/../outside", "/viaabs": "absroot/../outside", "/rel/file/../../out": "../outside", "/chain1/sub/../../out/secret": "../outside",
	} {
		rel, err := b.Resolve(p, true)
		if err == nil {
			t.Errorf("Resolve(%q) = %q", p, rel)
			continue
		}
		m := wantCode(t, err, api.CodeForbidden)
		if !strings.Contains(m, "outside the sandbox") || !strings.Contains(m, path.Clean(p)) || !strings.Contains(m, "the link") {
			t.Errorf("Resolve(%q): %q does not say what and where", p, m)
		}
		// The user must not learn the target outside of the sandbox.
		if strings.Contains(m, filepath.Dir(outside)) || strings.Contains(m, `"`+target+`"`) {
			t.Errorf("Resolve(%q): %q shows what the link leads to", p, m)
		}
	}
	for _, p := range []string{"/out/secret", "/out/new"} { // on the way, also when the last name stays
		_, err := b.Resolve(p, false)
		wantCode(t, err, api.CodeForbidden)
	}
	for p, code := range map[string]api.Code{
		"/loop": api.CodeInvalid, "/loop/x": api.CodeInvalid, "/loopa": api.CodeInvalid, "/loopb/x": api.CodeInvalid, "/dir/deep": api.CodeInvalid,
		"/throughfile": api.CodeInvalid, "/dangling2": api.CodeNotFound,
	} {
		rel, err := b.Resolve(p, true)
		if err == nil {
			t.Errorf("Resolve(%q) = %q", p, rel)
			continue
		}
		wantCode(t, err, code)
	}
}

// The time of Resolve is proportional to the number of names.
func TestDeepPathsCostByTheirLength(t *testing.T) {
	b := openBox(t, t.TempDir())
	deep := func(names int) string { return strings.Repeat("/d", names) }
	const few, many = 200, 1600
	if err := b.Root.MkdirAll(strings.TrimPrefix(deep(many), "/"), 0o750); err != nil {
		t.Fatal(err)
	}
	least := map[int]time.Duration{few: time.Hour, many: time.Hour}
	linear := func() bool { return least[many] <= 4*many/few*least[few] }
	for round := 0; round < 5 || round < 50 && !linear(); round++ { // other processes delay some
		for names := range least {
			begin := time.Now()
			rel, err := b.Resolve(deep(names), true)
			if err != nil || "/"+rel != deep(names) {
				t.Fatalf("%d names: %v", names, err)
			}
			least[names] = min(least[names], time.Since(begin))
		}
	}
	if !linear() {
		t.Errorf("%d names take %s, %d take %s", few, least[few], many, least[many])
	}
}

// The directory of a resolved path may be replaced before the path is used.
func TestDirectoryReplacedByLinkIsNotFollowed(t *testing.T) {
	b, outside := tree(t)
	rel, err := b.Resolve("/dir/sub/new", false)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(b.Absolute("dir/sub"), b.Absolute("dir/was")); err != nil {
		t.Fatal(err)
	}
	link(t, outside, b.Absolute("dir/sub"))
	if err := b.Root.WriteFile(rel, []byte("x"), 0o600); err == nil {
		t.Error("Root followed a link out of the sandbox")
	}
	if _, err := os.Lstat(filepath.Join(outside, "new")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something was written outside (%v)", err)
	}
	if data, err := b.Root.ReadFile("dir/sub/secret"); err == nil {
		t.Errorf("Root read %q outside the sandbox", data)
	}
	if _, err := b.Resolve("/dir/sub/new", false); err == nil {
		t.Error("Resolve trusts what it saw before")
	}
}

// A directory is exchanged for a link to the outside again and again, while
// others read and write through Resolve.
func TestSwappingDirectoriesDoesNotLeaveTheSandbox(t *testing.T) {
	b, outside := tree(t)
	ctx, stop := context.WithCancel(t.Context())
	var swapper, workers sync.WaitGroup
	mkdir(t, b.Absolute("flip"))
	write(t, b.Absolute("flip/secret"), "inside")
	link(t, outside, b.Absolute("evil"))
	swapper.Go(func() {
		for ctx.Err() == nil {
			for _, step := range [][2]string{{"flip", "kept"}, {"evil", "flip"}, {"flip", "evil"}, {"kept", "flip"}} {
				if err := os.Rename(b.Absolute(step[0]), b.Absolute(step[1])); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	for w := range 4 {
		workers.Go(func() {
			for i := range 500 {
				if rel, err := b.Resolve("/flip/secret", true); err == nil {
					if data, err := b.Root.ReadFile(rel); err == nil && string(data) != "inside" {
						t.Errorf("read %q outside", data)
					}
				}
				if rel, err := b.Resolve(fmt.Sprintf("/flip/new%d-%d", w, i), false); err == nil {
					_ = b.Root.WriteFile(rel, nil, 0o600) // may fail; must not land outside
				}
			}
		})
	}
	workers.Wait()
	stop()
	swapper.Wait()
	entries, err := os.ReadDir(outside)
	if err != nil || len(entries) != 1 {
		t.Errorf("outside holds %v (%v), want the secret alone", entries, err)
	}
}

func TestNamesThatWindowsRefuses(t *testing.T) {
	for _, bad := range []string{`a\b`, `..\x`, "C:", "C:x", "a:stream", "NUL", "nul.txt", "con", "Aux .log", "COM1", "com9.x", "LPT¹", "CONIN$", "a.", "a ", "a?", "a*", "a\x01", `"`, "a|b", "<"} {
		if account.WindowsName(bad) {
			t.Errorf("%q was taken", bad)
		}
	}
	for _, good := range []string{"a", "a.b", ".profile", "nulls", "com", "COM10", "console", "ü", "a b", "x.nul"} {
		if !account.WindowsName(good) {
			t.Errorf("%q was refused", good)
		}
	}
}

func FuzzResolve(f *testing.F) {
	for _, seed := range [][2]string{
		{"/a/link/file", "dir"}, {"/link", "../outside"}, {"/link/..", "/"}, {"/../x", "."}, {"/link/link/link", "."}, {"/a\x00b", "x"},
		{"/link/../link/x", "sub/../.."}, {"/sub/../link", "link/link"}, {"//link//", "./././sub"}, {`/..\..\x`, `..\..`}, {"/link/secret", "sub/../../outside/"},
	} {
		f.Add(seed[0], seed[1])
	}
	base := f.TempDir()
	for _, d := range []string{"outside", "box/sub/sub"} {
		if err := os.MkdirAll(filepath.Join(base, d), 0o750); err != nil {
			f.Fatal(err)
		}
	}
	s := account.New(openStore(f, f.TempDir()), account.Options{})
	if _, err := s.Create(context.Background(), account.NewUser{Name: "bob", Password: "p", Sandbox: filepath.Join(base, "box")}); err != nil {
		f.Fatal(err)
	}
	b, err := s.Sandbox(context.Background(), "bob", account.Write)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = b.Close() })
	f.Fuzz(func(t *testing.T, apiPath, target string) {
		for _, at := range []string{"link", "sub/link"} {
			_ = os.Remove(b.Absolute(at))
			_ = os.Symlink(target, b.Absolute(at)) // not every target is one; then there is no link
		}
		for _, followLast := range []bool{false, true} {
			rel, err := b.Resolve(apiPath, followLast)
			if err != nil {
				if api.ErrorOf(err).Code == api.CodeInternal {
					t.Errorf("Resolve(%q): an error without a code: %v", apiPath, err)
				}
				continue
			}
			if path.Clean(rel) != rel || !filepath.IsLocal(rel) {
				t.Fatalf("Resolve(%q) = %q, which is no clean path below the root", apiPath, rel)
			}
			parts := strings.Split(rel, "/")
			for i := range parts {
				fi, err := os.Lstat(b.Absolute(strings.Join(parts[:i+1], "/")))
				if err != nil {
					break
				}
				if fi.Mode()&fs.ModeSymlink != 0 && (followLast || i < len(parts)-1) {
					t.Errorf("Resolve(%q) = %q goes through a link", apiPath, rel)
				}
			}
		}
	})
}
