package account_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"jetstream/internal/account"
	"jetstream/internal/api"
)

// place is a host with directories for files, triggers and state below one
// directory.
type place struct {
	dir       string
	protected []account.Protected
}

func newPlace(t *testing.T) place {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	p := place{dir: dir}
	for _, d := range []string{"data/triggers/sub", "var/state/sub", "opt/bin", "srv"} {
		mkdir(t, p.at(d))
	}
	write(t, p.at("opt/bin/jetstream"), "program")
	p.protected = []account.Protected{
		{What: "trigger directory", Path: p.at("data/triggers")},
		{What: "state directory", Path: p.at("var/state"), Secret: true},
		{What: "program file", Path: p.at("opt/bin/jetstream")},
	}
	return p
}

func (p place) at(rel string) string { return filepath.Join(p.dir, filepath.FromSlash(rel)) }

func mkdir(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Skip("this machine or user cannot make links: ", err)
	}
}

func TestOverlapIsForbiddenInEitherDirection(t *testing.T) {
	p := newPlace(t)
	link(t, p.at("data/triggers"), p.at("srv/to-triggers"))
	link(t, "../var", p.at("srv/to-var"))
	link(t, p.at("data"), p.at("srv/to-data"))
	link(t, p.at("nowhere"), p.at("srv/dangling"))
	link(t, "loop", p.at("srv/loop"))
	none := map[account.Use]string{}
	never := func(other string) map[account.Use]string {
		return map[account.Use]string{account.Read: other, account.Write: other}
	}
	readOnly := func(other string) map[account.Use]string { return map[account.Use]string{account.Write: other} }
	for dir, want := range map[string]map[account.Use]string{
		p.at("srv"):                    none,
		p.at("srv/not/there/yet"):      none,
		p.at("data/triggers-2"):        none, // a common beginning is no overlap
		p.at("data/triggers"):          never(p.at("data/triggers")),
		p.at("data/triggers/sub"):      never(p.at("data/triggers")),
		p.at("data/triggers/new/dir"):  never(p.at("data/triggers")),
		p.at("data/x/../triggers/sub"): never(p.at("data/triggers")),
		p.at("var/state"):              never(p.at("var/state")),
		p.at("var/state/sub"):          never(p.at("var/state")),
		p.at("srv/to-triggers"):        never(p.at("data/triggers")),
		p.at("srv/to-triggers/sub"):    never(p.at("data/triggers")),
		p.at("srv/to-triggers/new"):    never(p.at("data/triggers")),
		p.at("srv/to-var/state"):       never(p.at("var/state")),
		p.at("srv/dangling"):           never(p.at("srv/dangling")),
		p.at("srv/dangling/x"):         never(p.at("srv/dangling")),
		p.at("srv/loop/x"):             never(p.at("srv/loop")),
		p.at("data"):                   readOnly(p.at("data/triggers")),
		p.at("srv/to-data"):            readOnly(p.at("data/triggers")),
		p.at("var"):                    readOnly(p.at("var/state")),
		p.at("srv/to-var"):             readOnly(p.at("var/state")),
		p.at("opt"):                    readOnly(p.at("opt/bin/jetstream")),
		p.at("opt/bin"):                readOnly(p.at("opt/bin/jetstream")),
		p.dir:                          readOnly(p.at("data/triggers")),
		filepath.VolumeName(p.dir) + string(filepath.Separator): readOnly(p.at("data/triggers")),
	} {
		for _, use := range []account.Use{account.Read, account.Write} {
			err := account.CheckOverlap(dir, use, p.protected)
			other, refused := want[use]
			if !refused {
				if err != nil {
					t.Errorf("%s, use %d: %v", dir, use, err)
				}
				continue
			}
			if err == nil {
				t.Errorf("%s, use %d was allowed", dir, use)
				continue
			}
			if m := wantCode(t, err, api.CodeForbidden); !strings.Contains(m, dir) || !strings.Contains(m, other) && !strings.HasPrefix(dir, other) {
				t.Errorf("%s, use %d: message %q does not name both paths", dir, use, m)
			}
		}
	}
}

// The trigger directory may itself be reached through a link.
func TestOverlapSeesThroughLinksToTheProtectedPlace(t *testing.T) {
	p := newPlace(t)
	mkdir(t, p.at("srv/scripts"))
	link(t, p.at("srv/scripts"), p.at("etc-triggers"))
	protected := []account.Protected{{What: "trigger directory", Path: p.at("etc-triggers")}}
	wantCode(t, account.CheckOverlap(p.at("srv/scripts"), account.Read, protected), api.CodeForbidden)
	wantCode(t, account.CheckOverlap(p.at("srv"), account.Write, protected), api.CodeForbidden)
	if err := account.CheckOverlap(p.at("srv"), account.Read, protected); err != nil {
		t.Error(err)
	}
	// A protected path that does not exist yet counts as well.
	later := []account.Protected{{What: "state directory", Path: p.at("srv/later/state")}}
	wantCode(t, account.CheckOverlap(p.at("srv/later/state/x"), account.Read, later), api.CodeForbidden)
	wantCode(t, account.CheckOverlap(p.at("srv"), account.Write, later), api.CodeForbidden)
}

// A trigger directory that is missing for a time makes no sandbox unusable, and
// none may become the place of the scripts.
func TestDanglingTriggerDirectoryIsProtectedWhereItLeads(t *testing.T) {
	p := newPlace(t)
	mkdir(t, p.at("srv/files/bob"))
	mkdir(t, p.at("mnt"))
	check := func(what, dir string, use account.Use, trigger string, forbidden bool) {
		t.Helper()
		protected := []account.Protected{{What: "trigger directory", Path: p.at(trigger), Scripts: true}}
		err := account.CheckOverlap(p.at(dir), use, protected)
		if forbidden {
			wantCode(t, err, api.CodeForbidden)
		} else if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	link(t, p.at("mnt/gone/scripts"), p.at("dangling"))
	link(t, filepath.FromSlash("../mnt/gone"), p.at("opt/relative"))
	link(t, p.at("loop"), p.at("loop"))
	for _, trigger := range []string{"dangling", "dangling/sub", "opt/relative", "mnt/gone", "loop", "opt/bin/jetstream/x"} {
		check(trigger, "srv/files/bob", account.Read, trigger, false)
		check(trigger, "srv/files/bob", account.Write, trigger, false)
	}
	for _, trigger := range []string{"dangling", "opt/relative", "mnt/gone"} {
		check(trigger, "mnt/gone/scripts/x", account.Read, trigger, true)
		check(trigger, "mnt", account.Write, trigger, true)
		check(trigger, "mnt", account.Read, trigger, false)
	}
	// What leads to the scripts, or would, must not be changed either.
	link(t, p.at("srv/files/bob/hop"), p.at("by-hop"))
	check("a target not yet in the sandbox", "srv/files/bob", account.Write, "by-hop", true)
	link(t, p.at("mnt/gone"), p.at("srv/files/bob/hop"))
	check("a dangling link in the sandbox", "srv/files/bob", account.Write, "by-hop", true)
	mkdir(t, p.at("mnt/gone"))
	check("a link in the sandbox", "srv/files/bob", account.Write, "by-hop", true)
	check("a link in the sandbox", "srv/files/bob", account.Read, "by-hop", false)
	link(t, p.at("srv/files/bob/hop/none/run"), p.at("data/triggers/launch"))
	check("a script beyond a link in the sandbox", "srv/files/bob", account.Write, "data/triggers", true)
}

func TestSandboxOfTheAccountIsCheckedWhenSet(t *testing.T) {
	p := newPlace(t)
	s, _ := newService(t, account.Options{Protected: p.protected})
	for _, dir := range []string{p.at("data/triggers"), p.at("var/state/sub")} {
		_, err := s.Create(t.Context(), account.NewUser{Name: "bob", Password: "p", Sandbox: dir})
		wantCode(t, err, api.CodeInvalid)
	}
	mustCreate(t, s, account.NewUser{Name: "bob", Password: "p", Sandbox: p.at("data")})
	inside := p.at("data/triggers/sub")
	_, err := s.Update(t.Context(), "bob", account.Change{Sandbox: &inside})
	wantCode(t, err, api.CodeInvalid)
}

func TestDefaultSandboxIsMadeAtFirstUse(t *testing.T) {
	p := newPlace(t)
	s, _ := newService(t, account.Options{SandboxDir: p.at("files/%u"), Protected: p.protected})
	mustCreate(t, s, account.NewUser{Name: "Bob", Password: "p"})
	if _, err := os.Stat(p.at("files")); err == nil {
		t.Error("the directory was there before its first use")
	}
	b, err := s.Sandbox(t.Context(), "bob", account.Write)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if b.Dir != p.at("files/Bob") || b.Absolute("a/b") != p.at("files/Bob/a/b") || b.Absolute(".") != b.Dir {
		t.Errorf("Dir %s, Absolute(a/b) %s", b.Dir, b.Absolute("a/b"))
	}
	fi, err := os.Stat(b.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if want := 0o750 & umasked(t); runtime.GOOS != "windows" && fi.Mode().Perm() != want {
		t.Errorf("mode %v, want %v", fi.Mode(), want)
	}
}

// umasked returns mode 0777 without the bits of the umask.
func umasked(t *testing.T) os.FileMode {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "all")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	return fi.Mode().Perm()
}

func TestSandboxThatCannotBeOpenedIsRefused(t *testing.T) {
	p := newPlace(t)
	s, _ := newService(t, account.Options{SandboxDir: p.at("data/triggers/%u"), Protected: p.protected})
	noDefault, _ := newService(t, account.Options{})
	mustCreate(t, noDefault, account.NewUser{Name: "bob", Password: "p"})
	mustCreate(t, s, account.NewUser{Name: "default", Password: "p"})
	mustCreate(t, s, account.NewUser{Name: "missing", Password: "p", Sandbox: p.at("srv/missing")})
	mustCreate(t, s, account.NewUser{Name: "file", Password: "p", Sandbox: p.at("srv/file")})
	write(t, p.at("srv/file"), "") // a file since then
	for name, want := range map[string]api.Code{
		"nobody": api.CodeNotFound, "default": api.CodeForbidden, "missing": api.CodeConflict, "file": api.CodeConflict,
	} {
		_, err := s.Sandbox(t.Context(), name, account.Read)
		if m := wantCode(t, err, want); !strings.Contains(m, name) && want != api.CodeForbidden {
			t.Errorf("message %q does not name %s", m, name)
		}
	}
	_, err := noDefault.Sandbox(t.Context(), "bob", account.Read)
	wantCode(t, err, api.CodeForbidden)
	if _, err := os.Stat(p.at("data/triggers/default")); err == nil {
		t.Error("a directory was made inside the trigger directory")
	}
}

// Links may change after the account was made: they are checked at each use.
func TestOverlapIsCheckedAtEachUse(t *testing.T) {
	p := newPlace(t)
	mkdir(t, p.at("srv/bob"))
	link(t, p.at("srv/bob"), p.at("box"))
	s, _ := newService(t, account.Options{Protected: p.protected})
	mustCreate(t, s, account.NewUser{Name: "bob", Password: "p", Sandbox: p.at("box")})
	b, err := s.Sandbox(t.Context(), "bob", account.Write)
	if err != nil {
		t.Fatal(err)
	}
	if b.Dir != p.at("srv/bob") {
		t.Errorf("Dir = %s, want it without links", b.Dir)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	for target, use := range map[string]account.Use{"data/triggers/sub": account.Read, "data": account.Write} {
		if err := os.Remove(p.at("box")); err != nil {
			t.Fatal(err)
		}
		link(t, p.at(target), p.at("box"))
		_, err = s.Sandbox(t.Context(), "bob", use)
		wantCode(t, err, api.CodeForbidden)
	}
}

// A sandbox that contains the state directory may be read, but not the state
// directory: by its path, by a link or by a walk.
func TestStateDirectoryIsNeverRead(t *testing.T) {
	p := newPlace(t)
	write(t, p.at("var/state/jetstream.db"), "secret")
	link(t, "../var/state", p.at("srv/relative"))
	link(t, p.at("var/state/jetstream.db"), p.at("srv/absolute"))
	s, _ := newService(t, account.Options{Protected: p.protected})
	mustCreate(t, s, account.NewUser{Name: "bob", Password: "p", Sandbox: p.dir})
	b, err := s.Sandbox(t.Context(), "bob", account.Read)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, path := range []string{"/var/state", "/var/state/jetstream.db", "/var/state/missing", "/var/x/../state/sub", "/srv/relative/jetstream.db", "/srv/absolute"} {
		_, err := b.Resolve(path, true)
		if m := wantCode(t, err, api.CodeForbidden); !strings.Contains(m, path) && !strings.Contains(path, "..") {
			t.Errorf("message %q does not name %s", m, path)
		}
	}
	if rel, err := b.Resolve("/data/triggers", true); err != nil || rel != "data/triggers" {
		t.Errorf("the trigger directory may be read here: %q, %v", rel, err)
	}
	for rel, want := range map[string]bool{"var/state": true, "var": false, "var/state/sub": false, "srv": false} {
		fi, err := b.Root.Stat(rel)
		if err != nil {
			t.Fatal(err)
		}
		if b.Forbidden(fi) != want {
			t.Errorf("Forbidden(%s) = %v", rel, !want)
		}
	}
}

// A script that is a link into a sandbox could be replaced by a received file.
func TestTargetsOfScriptLinksAreProtected(t *testing.T) {
	base := t.TempDir()
	at := func(name string) string { return filepath.Join(base, name) }
	for _, dir := range []string{"triggers", "files/alice", "scripts"} {
		if err := os.MkdirAll(at(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	protected := []account.Protected{{What: "trigger directory", Path: at("triggers"), Scripts: true}}
	link := func(target, name string) {
		t.Helper()
		if err := os.Symlink(target, at(name)); err != nil {
			t.Fatal(err)
		}
	}
	link("../scripts/run.sh", "triggers/launch")
	if err := account.CheckOverlap(at("files/alice"), account.Write, protected); err != nil {
		t.Errorf("a link elsewhere: %v", err)
	}
	for name, target := range map[string]string{"straight": at("files/alice/run.sh"), "relative": "../files/alice/run.sh", "by a link on the way": at("scripts/hop")} {
		if target == at("scripts/hop") {
			link(at("files/alice/hop"), "scripts/hop") // and from there to a safe place
			link(at("scripts/run.sh"), "files/alice/hop")
		}
		link(target, "triggers/bad")
		wantCode(t, account.CheckOverlap(at("files/alice"), account.Write, protected), api.CodeForbidden)
		if err := account.CheckOverlap(at("files/alice"), account.Read, protected); err != nil {
			t.Errorf("%s: reading: %v", name, err)
		}
		if err := os.Remove(at("triggers/bad")); err != nil {
			t.Fatal(err)
		}
	}
}

// The message of the error refers to the log, which must contain the cause.
func TestSandboxThatCannotBeUsedIsLogged(t *testing.T) {
	base := t.TempDir()
	var log bytes.Buffer
	s, _ := newService(t, account.Options{SandboxDir: filepath.Join(base, "%u"), Log: slog.New(slog.NewTextHandler(&log, nil))})
	mustCreate(t, s, account.NewUser{Name: "ann", Password: "p"})
	mustCreate(t, s, account.NewUser{Name: "bob", Password: "p", Sandbox: filepath.Join(base, "ann")})
	write(t, filepath.Join(base, "ann"), "a file in the way")
	for _, user := range []string{"ann", "bob"} {
		log.Reset()
		_, err := s.Sandbox(t.Context(), user, account.Read)
		message := wantCode(t, err, api.CodeConflict)
		if !strings.Contains(message, "the server's log says why") || !strings.Contains(log.String(), "user="+user) ||
			!strings.Contains(log.String(), errors.Unwrap(err).Error()) {
			t.Errorf("%s: %q, and the log says %q", user, message, log.String())
		}
	}
}

// TestMissingProtectedPlaceIsStillProtected: a trigger directory that is gone, a
// file, or a dangling link hinders no sandbox elsewhere; where it was or leads
// to stays protected.
func TestMissingProtectedPlaceIsStillProtected(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, p place, triggers string) (leads string){
		"gone": func(_ *testing.T, p place, triggers string) string { return triggers },
		"a file": func(t *testing.T, p place, triggers string) string {
			write(t, triggers, "")
			return triggers
		},
		"a dangling link": func(t *testing.T, p place, triggers string) string {
			link(t, p.at("mnt/scripts"), triggers)
			return p.at("mnt/scripts")
		},
		"a relative link over a dangling one": func(t *testing.T, p place, triggers string) string {
			link(t, p.at("mnt/scripts"), p.at("data/other"))
			link(t, "other", triggers)
			return p.at("mnt/scripts")
		},
		"below a dangling link": func(t *testing.T, p place, triggers string) string {
			if err := os.Remove(p.at("data")); err != nil {
				t.Fatal(err)
			}
			link(t, p.at("mnt"), p.at("data"))
			return p.at("mnt/triggers")
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			triggers := p.at("data/triggers")
			if err := os.RemoveAll(triggers); err != nil {
				t.Fatal(err)
			}
			leads := spoil(t, p, triggers)
			protected := []account.Protected{{What: "trigger directory", Path: triggers, Scripts: true}}
			if err := account.CheckOverlap(p.at("srv"), account.Write, protected); err != nil {
				t.Errorf("a sandbox elsewhere: %v", err)
			}
			for _, dir := range []string{leads, filepath.Join(leads, "sub"), filepath.Dir(leads)} {
				if err := account.CheckOverlap(dir, account.Write, protected); !errors.Is(err, &api.Error{Code: api.CodeForbidden}) {
					t.Errorf("a sandbox at %s: %v", dir, err)
				}
			}
		})
	}
}
