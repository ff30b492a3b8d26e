//go:build unix

package files_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/files"
	"jetstream/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// receptions are the directories of part files that are in use.
type receptions struct{ dirs []string }

func (r *receptions) PartDirs(context.Context) ([]string, error) { return r.dirs, nil }
func (r *receptions) Reserved(name string) bool                  { return strings.HasPrefix(name, ".jetstream-") }

// rig is a Service for the files of alice. Beside the sandbox there is a
// directory that no call may reach.
type rig struct {
	*files.Service
	t                 *testing.T
	box, outside      string
	state, triggerDir string
	receptions        *receptions
	principal         files.Principal
}

func newRig(t *testing.T, change func(*files.Options)) *rig {
	t.Helper()
	base, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, box: base + "/box", outside: base + "/outside", state: base + "/state", triggerDir: base + "/triggers",
		receptions: &receptions{}, principal: files.Principal{User: "alice", Within: "/"}}
	for _, dir := range []string{r.box, r.outside, r.state, r.triggerDir} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r.write("../outside/secret", "secret")
	db, err := store.Open(t.Context(), r.state)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	accounts := account.New(db.Accounts(), account.Options{Protected: []account.Protected{
		{What: "state directory", Path: r.state, Secret: true}, {What: "trigger directory", Path: r.triggerDir, Scripts: true}}})
	for name, box := range map[string]string{"alice": r.box, "reader": base} {
		if err := db.Accounts().InsertUser(t.Context(), account.User{Name: name, Sandbox: box}); err != nil {
			t.Fatal(err)
		}
	}
	o := files.Options{Accounts: accounts, Receptions: r.receptions}
	if change != nil {
		change(&o)
	}
	if r.Service, err = files.New(o); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) write(name, text string) {
	r.t.Helper()
	path := filepath.Join(r.box, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) link(name, target string) {
	r.t.Helper()
	if err := os.Symlink(target, filepath.Join(r.box, name)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) text(name string) string {
	r.t.Helper()
	b, err := os.ReadFile(filepath.Join(r.box, name))
	if err != nil {
		r.t.Error(err)
	}
	return string(b)
}

func (r *rig) exists(name string) bool {
	_, err := os.Lstat(filepath.Join(r.box, name))
	return err == nil
}

// refused checks the code of an error, and that its message contains want and
// no path of the server.
func (r *rig) refused(err error, code api.Code, want string) {
	r.t.Helper()
	e := api.ErrorOf(err)
	if e == nil || e.Code != code || !strings.Contains(e.Message, want) {
		r.t.Errorf("answered %v, want %s ...%s...", err, code, want)
		return
	}
	if code != api.CodeForbidden && strings.Contains(e.Message, r.box) {
		r.t.Errorf("the message shows the server's own path: %s", e.Message)
	}
}

func (r *rig) ls(path string) map[string]files.Entry {
	r.t.Helper()
	_, list, next, err := r.List(r.t.Context(), r.principal, path, "", 1000)
	if err != nil || next != "" {
		r.t.Fatalf("ls %s: %v, next %q", path, err, next)
	}
	m := map[string]files.Entry{}
	for _, e := range list {
		m[e.Name] = e
	}
	return m
}

func TestListDescribesEntries(t *testing.T) {
	r := newRig(t, nil)
	r.write("a/plain", "12345")
	r.write("a/"+string([]byte{'b', 0xff}), "x")
	r.link("a/in", "../a/plain")
	r.link("a/absolute", r.box+"/a")
	r.link("a/out", r.outside)
	r.link("a/dangling", "../nowhere")
	r.link("a/loop", "loop")
	if err := syscall.Mkfifo(r.box+"/a/pipe", 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(r.box+"/a/plain", 0o640|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	got := r.ls("/a")
	if len(got) != 8 {
		t.Errorf("%d entries: %v", len(got), got)
	}
	if e := got["plain"]; e.Type != "file" || e.Size != 5 || e.Mode != "0640" || e.Path != "/a/plain" || e.MTime == 0 || e.LinkTarget != nil {
		t.Errorf("a file: %+v", e)
	}
	if e := got["b\uFFFD"]; e.NameBase64 != "" { // replaced by JSON only
		t.Errorf("%+v", e)
	}
	if e := got[string([]byte{'b', 0xff})]; e.NameBase64 != "Yv8=" {
		t.Errorf("a name that is no UTF-8: %+v", e)
	}
	targets := map[string]string{"in": "/a/plain", "absolute": "/a", "out": "", "dangling": "/nowhere", "loop": ""}
	for name, want := range targets {
		e := got[name]
		target := ""
		if e.LinkTarget != nil {
			target = *e.LinkTarget
		}
		if e.Type != "link" || target != want || e.Size != 0 {
			t.Errorf("link %s: %+v leads to %q, want %q", name, e, target, want)
		}
	}
	if got["pipe"].Type != "other" {
		t.Errorf("a pipe: %+v", got["pipe"])
	}
	if one := r.ls("/a/in"); len(one) != 1 || one["in"].Type != "file" || one["in"].Size != 5 {
		t.Errorf("ls of a link to a file: %v", one)
	}
	if inside := r.ls("/a/absolute/"); len(inside) != 8 || inside["plain"].Path != "/a/absolute/plain" {
		t.Errorf("ls through a link: %v", inside)
	}
}

func TestListGoesOnInPages(t *testing.T) {
	r := newRig(t, nil)
	var want []string
	for i := range 2500 {
		want = append(want, fmt.Sprintf("f%04d", i))
		r.write("many/"+want[i], "")
	}
	var got []string
	after, pages := "", 0
	for {
		_, list, next, err := r.List(t.Context(), r.principal, "/many", after, 300)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			got = append(got, e.Name)
		}
		if pages++; next == "" {
			break
		}
		after = next
	}
	if !slices.Equal(got, want) || pages != 9 {
		t.Errorf("%d names on %d pages", len(got), pages)
	}
}

func TestNothingLeavesTheSandbox(t *testing.T) {
	r := newRig(t, nil)
	r.write("d/f", "f")
	r.link("out", r.outside)
	r.link("up", "../outside")
	r.link("secret", r.outside+"/secret")
	ctx := t.Context()
	for _, path := range []string{"/../outside/secret", "/out/secret", "/up/secret", "/d/../../outside/secret", "/up", "/secret"} {
		code, want := api.CodeForbidden, "outside the sandbox"
		if strings.Contains(path, "..") {
			code = api.CodeInvalid
		}
		_, _, _, err := r.List(ctx, r.principal, path, "", 10)
		r.refused(err, code, want)
		_, err = r.Usage(ctx, r.principal, path)
		r.refused(err, code, want)
		_, _, err = r.MakeDir(ctx, r.principal, path+"/new")
		r.refused(err, code, want)
		_, err = r.Move(ctx, r.principal, "/d/f", path+"/f", true)
		r.refused(err, code, want)
		_, err = r.Move(ctx, r.principal, path+"/secret", "/d/g", true)
		r.refused(err, code, want)
		_, _, err = r.Remove(ctx, r.principal, path+"/secret", true)
		r.refused(err, code, want)
	}
	for _, path := range []string{"", "d", "/\x00", "/" + strings.Repeat("a/", 9000)} {
		_, _, _, err := r.List(ctx, r.principal, path, "", 10)
		r.refused(err, api.CodeInvalid, "path")
	}
	_, _, err := r.MakeDir(ctx, r.principal, "/"+strings.Repeat("n", 300))
	r.refused(err, api.CodeInvalid, "cannot be looked at")
	if r.text("../outside/secret") != "secret" || r.text("d/f") != "f" {
		t.Error("something was changed")
	}
}

func TestReadOnlySandboxRefusesChanges(t *testing.T) {
	r := newRig(t, nil)
	r.principal.User = "reader" // whose sandbox contains state and trigger directory
	ctx := t.Context()
	if got := r.ls("/"); len(got) != 3 || got["state"].Name != "" {
		t.Errorf("the root shows %v", got)
	}
	_, _, _, err := r.List(ctx, r.principal, "/state", "", 10)
	r.refused(err, api.CodeForbidden, "state directory")
	_, err = r.Usage(ctx, r.principal, "/state")
	r.refused(err, api.CodeForbidden, "state directory")
	if u, err := r.Usage(ctx, r.principal, "/"); err != nil || u.TotalFiles != 1 || u.TotalSize != 6 {
		t.Errorf("du counts %+v, %v: the state directory is not counted", u, err)
	}
	_, _, err = r.MakeDir(ctx, r.principal, "/x")
	for _, dir := range []string{filepath.Dir(r.box), r.state} {
		r.refused(err, api.CodeForbidden, dir)
	}
	_, err = r.Move(ctx, r.principal, "/outside/secret", "/triggers/launch", false)
	r.refused(err, api.CodeForbidden, "may only be read")
	_, _, err = r.Remove(ctx, r.principal, "/outside/secret", true)
	r.refused(err, api.CodeForbidden, "may only be read")
	roots, err := r.Roots(ctx, r.principal)
	if err != nil || len(roots) != 1 || roots[0].Writable || !strings.Contains(roots[0].Reason, "may only be read") {
		t.Errorf("roots: %+v, %v", roots, err)
	}
	r.principal.User = "alice"
	if roots, err = r.Roots(ctx, r.principal); err != nil || roots[0] != (files.Root{Path: "/", Writable: true}) {
		t.Errorf("roots: %+v, %v", roots, err)
	}
}

func TestMakeDirMakesParentsAndRefusesFiles(t *testing.T) {
	r := newRig(t, nil)
	r.write("file", "")
	r.link("in", "real")
	if clean, made, err := r.MakeDir(t.Context(), r.principal, "/a//b/./c/"); err != nil || !made || clean != "/a/b/c" || !r.exists("a/b/c") {
		t.Errorf("%q %t %v", clean, made, err)
	}
	if _, made, err := r.MakeDir(t.Context(), r.principal, "/a/b"); err != nil || made {
		t.Errorf("again: made %t, %v", made, err)
	}
	if _, made, err := r.MakeDir(t.Context(), r.principal, "/in/sub"); err != nil || !made || !r.exists("real/sub") {
		t.Errorf("through a link: made %t, %v", made, err)
	}
	_, _, err := r.MakeDir(t.Context(), r.principal, "/file")
	r.refused(err, api.CodeConflict, "no directory")
	_, _, err = r.MakeDir(t.Context(), r.principal, "/file/below")
	r.refused(err, api.CodeInvalid, "not a directory")
}

func TestFailedMoveLeavesNoSecondName(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("skipped: root may change every directory; run the tests as another user to see this one")
	}
	r := newRig(t, nil)
	r.write("kept/file", "text")
	kept := filepath.Join(r.box, "kept")
	if err := os.Chmod(kept, 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(kept, 0o755) })
	_, err := r.Move(t.Context(), r.principal, "/kept/file", "/moved", false)
	if !errors.Is(err, &api.Error{Code: api.CodeForbidden}) {
		t.Errorf("%v, want forbidden", err)
	}
	if _, err := os.Lstat(filepath.Join(r.box, "moved")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the new name is there (%v)", err)
	}
	if text, err := os.ReadFile(filepath.Join(kept, "file")); string(text) != "text" {
		t.Errorf("the file holds %q (%v)", text, err)
	}
}

func TestMoveReplacesOnlyWithOverwrite(t *testing.T) {
	r := newRig(t, nil)
	for _, name := range []string{"a", "b", "dir/x", "full/y"} {
		r.write(name, name)
	}
	r.link("link", "a")
	move := func(from, to string, overwrite bool) error {
		_, err := r.Move(t.Context(), r.principal, from, to, overwrite)
		return err
	}
	r.refused(move("/a", "/b", false), api.CodeConflict, "give overwrite")
	r.refused(move("/a", "/dir", true), api.CodeConflict, "the name that")
	r.refused(move("/dir", "/full", true), api.CodeConflict, "the name that")
	r.refused(move("/dir", "/a", true), api.CodeConflict, "the name that")
	r.refused(move("/dir", "/dir/x/y", false), api.CodeInvalid, "not a directory")
	r.refused(move("/dir", "/dir/z", false), api.CodeInvalid, "into itself")
	r.refused(move("/nothing", "/c", false), api.CodeNotFound, `"/nothing"`)
	r.refused(move("/a", "/no/such", false), api.CodeNotFound, "mkdir")
	r.refused(move("/", "/c", false), api.CodeInvalid, "root")
	r.refused(move("/a", "/", true), api.CodeInvalid, "root")
	r.refused(move("/a/..", "/c", true), api.CodeInvalid, "root")
	if r.text("a") != "a" || r.text("b") != "b" || r.text("dir/x") != "dir/x" || r.text("full/y") != "full/y" {
		t.Fatal("a refused move changed something")
	}
	for _, err := range []error{move("/a", "/a", false), move("/a", "/c", false), move("/c", "/b", true), move("/dir", "/dir2", false), move("/link", "/full/link", false)} {
		if err != nil {
			t.Error(err)
		}
	}
	if r.exists("a") || r.exists("c") || r.text("b") != "a" || r.text("dir2/x") != "dir/x" || r.exists("link") {
		t.Error("moves did not do what they said")
	}
	if target, err := os.Readlink(r.box + "/full/link"); err != nil || target != "a" {
		t.Errorf("the link became %q, %v", target, err)
	}
}

func TestRemoveNeedsRecursiveForFullDirectories(t *testing.T) {
	r := newRig(t, nil)
	for i := range 3000 {
		r.write(fmt.Sprintf("tree/%d/f%d", i%7, i), "x")
	}
	r.write("keep/f", "f")
	r.link("tree/out", r.outside)
	r.link("tree/keep", "../keep")
	r.link("link", "keep")
	r.write("empty/f", "")
	rm := func(path string, recursive bool) (int64, error) {
		_, n, err := r.Remove(t.Context(), r.principal, path, recursive)
		return n, err
	}
	for _, root := range []string{"/", "/.", "/keep/.."} {
		_, err := rm(root, true)
		r.refused(err, api.CodeInvalid, "root of your files")
	}
	_, err := rm("/tree", false)
	r.refused(err, api.CodeConflict, "give recursive")
	_, err = rm("/nothing", true)
	r.refused(err, api.CodeNotFound, `"/nothing"`)
	if n, err := rm("/link", true); n != 1 || err != nil {
		t.Errorf("a link: %d, %v", n, err)
	}
	if n, err := rm("/tree", true); n != 3000+7+2+1 || err != nil || r.exists("tree") {
		t.Errorf("a tree: %d, %v", n, err)
	}
	if r.text("keep/f") != "f" || r.text("../outside/secret") != "secret" {
		t.Error("links were followed")
	}
	if n, err := rm("/empty/f", false); n != 1 || err != nil {
		t.Errorf("a file: %d, %v", n, err)
	}
	if n, err := rm("/empty", false); n != 1 || err != nil {
		t.Errorf("an empty directory: %d, %v", n, err)
	}
}

func TestWalksAreBounded(t *testing.T) {
	r := newRig(t, func(o *files.Options) { o.MaxDepth, o.MaxEntries = 4, 10 })
	r.write("1/2/3/4/f", "")
	_, err := r.Usage(t.Context(), r.principal, "/")
	r.refused(err, api.CodeConflict, "4 directories deep")
	if u, err := r.Usage(t.Context(), r.principal, "/1"); err != nil || u.TotalFiles != 1 || u.TotalDirectories != 3 {
		t.Errorf("%+v, %v", u, err)
	}
	r.write("1/2/3/4/5/f", "")
	_, _, err = r.Remove(t.Context(), r.principal, "/1", true)
	r.refused(err, api.CodeConflict, `"/1/2/3/4/5"`)
	for i := range 11 {
		r.write(fmt.Sprintf("wide/%d", i), "")
	}
	_, err = r.Usage(t.Context(), r.principal, "/wide")
	r.refused(err, api.CodeConflict, "more than 10 entries")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Usage(ctx, r.principal, "/wide"); !errors.Is(err, context.Canceled) {
		t.Errorf("du of a caller who is gone: %v", err)
	}
	if _, _, err := r.Remove(ctx, r.principal, "/wide", true); !errors.Is(err, context.Canceled) || !r.exists("wide/10") {
		t.Errorf("rm of a caller who is gone: %v", err)
	}
}

// slow is an account service that opens the sandbox of one user only when told
// to.
type slow struct {
	files.Accounts
	user        string
	begun, goOn chan struct{}
}

func (s slow) Sandbox(ctx context.Context, user string, use account.Use) (*account.Sandbox, error) {
	if user == s.user {
		s.begun <- struct{}{}
		<-s.goOn
	}
	return s.Accounts.Sandbox(ctx, user, use)
}

func TestOneUserDoesNotOccupyAllWalks(t *testing.T) {
	const many = 20
	begun, goOn := make(chan struct{}, many), make(chan struct{})
	r := newRig(t, func(o *files.Options) { o.Accounts = slow{o.Accounts, "reader", begun, goOn} })
	r.write("f", "x")
	var all sync.WaitGroup
	for range many {
		all.Go(func() {
			if _, err := r.Usage(t.Context(), files.Principal{User: "reader", Within: "/"}, "/box"); err != nil {
				t.Error(err)
			}
		})
	}
	<-begun
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for range many {
		if _, err := r.Usage(ctx, r.principal, "/"); err != nil {
			t.Errorf("du beside another user's: %v", err)
			break
		}
	}
	if _, n, err := r.Remove(ctx, r.principal, "/f", false); n != 1 {
		t.Errorf("rm beside another user's du: %v", err)
	}
	close(goOn)
	all.Wait()
}

func TestPartFilesAreLeftAlone(t *testing.T) {
	r := newRig(t, nil)
	const name = ".jetstream-0123456789abcdef0123456789abcdef-01234567"
	r.write("in/deep/"+name+"/0.part", "part")
	r.write("in/deep/done", "done")
	r.receptions.dirs = []string{r.box + "/in/deep/" + name}
	ctx := t.Context()
	if got := r.ls("/in/deep"); len(got) != 1 || got["done"].Name != "done" {
		t.Errorf("ls shows %v", got)
	}
	for _, path := range []string{"/in", "/in/deep", "/in/deep/" + name, "/in/deep/" + name + "/0.part"} {
		_, _, err := r.Remove(ctx, r.principal, path, true)
		r.refused(err, api.CodeConflict, "being received")
		_, err = r.Move(ctx, r.principal, path, "/elsewhere", false)
		r.refused(err, api.CodeConflict, "being received")
	}
	_, err := r.Move(ctx, r.principal, "/in/deep/done", "/in/deep/"+name+"/1.part", false)
	r.refused(err, api.CodeConflict, "being received")
	_, _, err = r.MakeDir(ctx, r.principal, "/in/"+name)
	r.refused(err, api.CodeInvalid, "reserved")
	_, err = r.Move(ctx, r.principal, "/in/deep/done", "/in/"+name, false)
	r.refused(err, api.CodeInvalid, "reserved")
	if r.text("in/deep/"+name+"/0.part") != "part" {
		t.Error("the part file was changed")
	}
	// Part files that no transfer needs can be removed.
	r.receptions.dirs = nil
	if _, n, err := r.Remove(ctx, r.principal, "/in/deep/"+name, true); n != 2 || err != nil {
		t.Errorf("a left over directory: %d, %v", n, err)
	}
}

func TestConfinedPrincipalCannotLeaveItsDirectory(t *testing.T) {
	r := newRig(t, nil)
	r.write("mine/f", "f")
	r.write("other/g", "g")
	r.link("mine/leak", "../other")
	r.link("mine/near", "f")
	r.principal.Within = "/mine"
	ctx := api.WithCaller(t.Context(), api.Caller{User: "alice", Scope: &api.Scope{Path: "/mine"}})
	_, list, _, err := r.List(ctx, r.principal, "/mine", "", 10)
	if err != nil || len(list) != 3 || list[1].LinkTarget != nil || list[2].LinkTarget == nil || *list[2].LinkTarget != "/mine/f" {
		t.Errorf("%v, %v", list, err)
	}
	for _, path := range []string{"/", "/other/g", "/minex", "/mine/leak/g", "/mine/../other"} {
		_, _, _, err := r.List(ctx, r.principal, path, "", 10)
		r.refused(err, api.CodeForbidden, "confined to")
		_, _, err = r.MakeDir(ctx, r.principal, path)
		r.refused(err, api.CodeForbidden, "confined to")
		_, err = r.Move(ctx, r.principal, "/mine/f", path+"/new", false)
		r.refused(err, api.CodeForbidden, "confined to")
	}
	_, _, err = r.Remove(ctx, r.principal, "/mine/leak/g", true)
	r.refused(err, api.CodeForbidden, "confined to")
	_, _, err = r.Remove(ctx, r.principal, "/mine", true)
	r.refused(err, api.CodeInvalid, "root of your files")
	if roots, err := r.Roots(ctx, r.principal); err != nil || roots[0].Path != "/mine" {
		t.Errorf("%v, %v", roots, err)
	}
	if _, n, err := r.Remove(ctx, r.principal, "/mine/f", false); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

func TestTimesAreListedAsTheyAre(t *testing.T) {
	for at, want := range map[time.Time]int64{
		time.Unix(0, 0): 0, time.Unix(-1, 0): -1e6,
		time.Unix(4_000_000_000, 0): 4e15, // after 2038
	} {
		r := newRig(t, nil)
		name := filepath.Join(r.box, "f")
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, at, at); err != nil {
			t.Fatal(err)
		}
		_, list, _, err := r.List(t.Context(), r.principal, "/f", "", 1)
		if err != nil || len(list) != 1 || list[0].MTime != want {
			t.Errorf("%v is listed as %+v (%v), want %d", at, list, err, want)
		}
	}
}
