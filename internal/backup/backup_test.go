package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/store"
	"jetstream/internal/stream"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
	"jetstream/triggers"
)

const hush = "hush-remote-password-of-a-transfer"

// newState makes a state directory with three transfers under way, of which one has not
// logged in and one has a password, a received one, a waiting and a running script, and
// three entries in the event log.
func newState(t *testing.T) (dir string, identity *wire.Identity) {
	t.Helper()
	dir = t.TempDir()
	ctx := t.Context()
	identity, err := wire.LoadIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	save := func(id string, ticket, password []byte) {
		x := transfer.Transfer{TransferID: id, Status: transfer.StatusPending, Processing: true, Ticket: ticket, SealedPassword: password}
		err = errors.Join(err, db.Transfers().Update(ctx, func(tx transfer.Tx) error { return tx.SaveTransfer(&x) }))
	}
	save("with ticket", []byte("a ticket"), nil)
	save("with password", nil, []byte(hush))
	err = errors.Join(err, db.Received().Update(ctx, func(tx transfer.RecvTx) error {
		return tx.SaveRecvTransfer(&transfer.RecvTransfer{TransferID: "r", SourcePublicKey: "k", Username: "bob", Status: transfer.StatusReceiving})
	}))
	for _, status := range []triggers.Status{triggers.StatusQueued, triggers.StatusRunning} {
		run := &triggers.Run{RunID: api.NewID(), Event: "launch", EventID: api.NewID(), Attempt: 1, Status: status, Parameters: []byte("{}")}
		err = errors.Join(err, db.Runs().Update(ctx, func(tx triggers.Tx) error { return tx.InsertRun(run) }))
	}
	for range 3 {
		err = errors.Join(err, db.Entries().Update(ctx, func(tx stream.Tx) error {
			return tx.AppendEntry(&stream.Entry{Type: "t", User: "u", Data: []byte("{}")})
		}))
	}
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return dir, identity
}

func backedUp(t *testing.T, dir string) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := Write(t.Context(), Options{StateDir: dir, WorkDir: t.TempDir(), Version: "v1", Host: "h"}, &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestARestoredServer has all that it had but for the passwords, and does nothing by
// itself; no number of an event is given twice.
func TestARestoredServer(t *testing.T) {
	dir, identity := newState(t)
	text := backedUp(t, dir)
	if bytes.Contains(text, []byte("hush-")) {
		t.Error("a remote password is in the backup")
	}
	state := filepath.Join(t.TempDir(), "state")
	before := int64(api.Now())
	r, err := Restore(t.Context(), RestoreOptions{StateDir: state}, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if r.Events != 2 || r.Suspended != 1 || r.Failing != 1 || r.Receiving != 1 || r.FirstEntry <= before || r.PublicKey != identity.PublicKey() ||
		r.Manifest.Host != "h" || r.Manifest.Version != "v1" || r.Aside != "" {
		t.Errorf("restored %+v", r)
	}
	restored, err := wire.LoadIdentity(state)
	if err != nil || restored.PublicKey() != identity.PublicKey() {
		t.Errorf("the identity is another (%v)", err)
	}
	db, err := store.Open(t.Context(), state)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ctx := t.Context()
	if paused, err := db.Runs().Paused(ctx); err != nil || !paused {
		t.Errorf("paused is %v (%v)", paused, err)
	}
	want := map[string]transfer.Status{"with ticket": transfer.StatusSuspended, "with password": transfer.StatusPending}
	for id, status := range want {
		x, err := db.Transfers().Transfer(ctx, id)
		if err != nil || x.Status != status || !x.Processing || len(x.SealedPassword) != 0 || (id == "with ticket") != (string(x.Ticket) == "a ticket") {
			t.Errorf("%s is %+v (%v)", id, x, err)
		}
	}
	entries, err := db.Entries().Entries(ctx, 0, 10)
	if err != nil || len(entries) != 3 || entries[0].ID != r.FirstEntry-3 || entries[2].ID != r.FirstEntry-1 {
		t.Errorf("%d entries, the first %+v (%v)", len(entries), entries[0], err)
	}
	next := &stream.Entry{Type: "t", User: "u", Data: []byte("{}")}
	err = db.Entries().Update(ctx, func(tx stream.Tx) error { return tx.AppendEntry(next) })
	if err != nil || next.ID != r.FirstEntry {
		t.Errorf("the next entry is %d, want %d (%v)", next.ID, r.FirstEntry, err)
	}
}

// TestOnlyAWholeBackupIsRestored: what is damaged anywhere is refused, and the state
// directory is as it was.
func TestOnlyAWholeBackupIsRestored(t *testing.T) {
	dir, _ := newState(t)
	whole := backedUp(t, dir)
	state := t.TempDir()
	if err := os.WriteFile(filepath.Join(state, store.File), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused := func(what string, text []byte, reason string) {
		t.Helper()
		_, err := Restore(t.Context(), RestoreOptions{StateDir: state, Replace: true}, bytes.NewReader(text))
		if err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: %v, want %q", what, err, reason)
		}
		entries, err := os.ReadDir(state)
		if err != nil || len(entries) != 2 || entries[0].Name() != store.File || entries[1].Name() != "lock" {
			t.Errorf("%s leaves %v (%v)", what, entries, err)
		}
		if b, err := os.ReadFile(filepath.Join(state, store.File)); string(b) != "mine" {
			t.Errorf("%s changes the database (%v)", what, err)
		}
	}
	for _, n := range []int{0, 1, 600, 1024, 1700, 3000, len(whole) / 2, len(whole) - 2000} {
		refused(fmt.Sprintf("the first %d bytes", n), whole[:n], "it is ")
	}
	for _, at := range []int{600, 1024, 1600, 2600, 30_000, len(whole) - 3000} {
		altered := bytes.Clone(whole)
		altered[at] ^= 1
		refused(fmt.Sprintf("another byte %d", at), altered, "it is ")
	}
	refused("a text", []byte("hello"), "it is no backup of JetStream")
	refused("a database alone", contents(t, whole)[store.File], "it is a database alone")
	for what, change := range map[string]func(m *Manifest, files map[string][]byte){
		"has format 2":          func(m *Manifest, _ map[string][]byte) { m.Format = 2 },
		"is not that of":        func(m *Manifest, _ map[string][]byte) { m.PublicKey = strings.Repeat("A", 43) },
		"is no backup":          func(m *Manifest, _ map[string][]byte) { m.Files[1].Name = "../" + store.File },
		"another checksum":      func(_ *Manifest, f map[string][]byte) { f[store.File][70_000] ^= 1 },
		"more follows":          func(_ *Manifest, f map[string][]byte) { f["more"] = nil },
		"holds no PEM":          func(_ *Manifest, f map[string][]byte) { f[wire.IdentityFile] = []byte("key") },
		"not the database of a": func(_ *Manifest, f map[string][]byte) { f[store.File] = nil },
	} {
		refused(what, altered(t, whole, change), what)
	}
}

// contents returns the files of a backup.
func contents(t *testing.T, backup []byte) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for in := tar.NewReader(bytes.NewReader(backup)); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[h.Name], err = io.ReadAll(in); err != nil {
			t.Fatal(err)
		}
	}
}

// altered makes another backup of one. Sizes and checksums are those of the altered
// files, unless the size is the same.
func altered(t *testing.T, backup []byte, change func(*Manifest, map[string][]byte)) []byte {
	t.Helper()
	files := contents(t, backup)
	var m Manifest
	if err := json.Unmarshal(files[manifestFile], &m); err != nil {
		t.Fatal(err)
	}
	change(&m, files)
	for i, f := range m.Files {
		if text, ok := files[f.Name]; ok && int64(len(text)) != f.Size {
			m.Files[i] = fileOf(f.Name, text)
		}
	}
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	files[manifestFile] = text
	var b bytes.Buffer
	out := tar.NewWriter(&b)
	names := []string{manifestFile, m.Files[0].Name, m.Files[1].Name}
	if _, ok := files["more"]; ok {
		names = append(names, "more")
	}
	for _, name := range names {
		err = errors.Join(err, out.WriteHeader(&tar.Header{Name: name, Size: int64(len(files[name])), Mode: 0o600, ModTime: time.Unix(0, 0)}))
		_, writeErr := out.Write(files[name])
		err = errors.Join(err, writeErr)
	}
	if err := errors.Join(err, out.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestRestoreMovesTheFormerStateAside, and only if that is wanted.
func TestRestoreMovesTheFormerStateAside(t *testing.T) {
	dir, identity := newState(t)
	text := backedUp(t, dir)
	other, former := newState(t)
	if _, err := Restore(t.Context(), RestoreOptions{StateDir: other}, bytes.NewReader(text)); err == nil || !strings.Contains(err.Error(), "give --replace") {
		t.Errorf("over a server: %v", err)
	}
	unlock, err := store.Lock(t.Context(), other)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), RestoreOptions{StateDir: other, Replace: true}, bytes.NewReader(text)); !errors.Is(err, store.ErrLocked) {
		t.Errorf("beside a server: %v", err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	r, err := Restore(t.Context(), RestoreOptions{StateDir: other, Replace: true}, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]*wire.Identity{other: identity, r.Aside: former} {
		if got, err := wire.LoadIdentity(at); err != nil || got.PublicKey() != want.PublicKey() {
			t.Errorf("%s has another identity (%v)", at, err)
		}
		db, err := store.Open(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Transfers().Transfer(t.Context(), "with password"); err != nil {
			t.Errorf("%s has no transfers: %v", at, err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestAnInterruptedRestoreIsCarriedOutAgain: no server starts between.
func TestAnInterruptedRestoreIsCarriedOutAgain(t *testing.T) {
	dir, identity := newState(t)
	text := backedUp(t, dir)
	for _, gone := range [][]string{{}, {store.File}, {store.File, wire.IdentityFile}} {
		other, _ := newState(t)
		if err := os.Mkdir(filepath.Join(other, store.RestoreDir), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range gone { // moved aside
			if err := os.Remove(filepath.Join(other, name)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := store.Open(t.Context(), other); err == nil || !strings.Contains(err.Error(), "carry it out again") {
			t.Errorf("without %v: a server starts (%v)", gone, err)
		}
		if _, err := Restore(t.Context(), RestoreOptions{StateDir: other, Replace: true}, bytes.NewReader(text)); err != nil {
			t.Errorf("without %v: %v", gone, err)
		}
		db, err := store.Open(t.Context(), other)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		if got, err := wire.LoadIdentity(other); err != nil || got.PublicKey() != identity.PublicKey() {
			t.Errorf("without %v: another identity (%v)", gone, err)
		}
	}
}

// TestADatabaseAloneKeepsTheKey that is in the directory.
func TestADatabaseAloneKeepsTheKey(t *testing.T) {
	dir, identity := newState(t)
	alone := contents(t, backedUp(t, dir))[store.File]
	r, err := Restore(t.Context(), RestoreOptions{StateDir: dir, Replace: true}, bytes.NewReader(alone))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := wire.LoadIdentity(dir); err != nil || got.PublicKey() != identity.PublicKey() || r.PublicKey != identity.PublicKey() {
		t.Errorf("another identity (%v)", err)
	}
	if r.Suspended != 1 || r.Failing != 1 { // the copy is one of a backup
		t.Errorf("restored %+v", r)
	}
}

// TestABackupEndsWithItsContext, in the midst of it.
func TestABackupEndsWithItsContext(t *testing.T) {
	dir, _ := newState(t)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Write(ctx, Options{StateDir: dir, WorkDir: t.TempDir()}, writerFunc(func(p []byte) (int, error) {
		cancel()
		return len(p), nil
	}))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestRekey gives a new key, keeps the former one, and refuses while transfers are under
// way.
func TestRekey(t *testing.T) {
	dir, identity := newState(t)
	if _, err := Rekey(t.Context(), dir, false); err == nil || !strings.Contains(err.Error(), "2 sent and 1 received") {
		t.Errorf("with transfers under way: %v", err)
	}
	if got, err := wire.LoadIdentity(dir); err != nil || got.PublicKey() != identity.PublicKey() {
		t.Errorf("the key is another (%v)", err)
	}
	r, err := Rekey(t.Context(), dir, true)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := wire.LoadIdentity(dir); err != nil || got.PublicKey() != r.Present || r.Present == identity.PublicKey() {
		t.Errorf("the key is not the new one (%v)", err)
	}
	text, err := os.ReadFile(r.Aside)
	if err != nil {
		t.Fatal(err)
	}
	if former, err := wire.ParseKey("", text); err != nil || former.PublicKey() != identity.PublicKey() || r.Former != identity.PublicKey() {
		t.Errorf("what is put aside is not the former key (%v)", err)
	}
	if _, err := Rekey(t.Context(), t.TempDir(), false); err == nil || !strings.Contains(err.Error(), "is no state directory of a server") {
		t.Errorf("where no server is: %v", err)
	}
}
