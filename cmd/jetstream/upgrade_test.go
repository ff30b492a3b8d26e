//go:build unix

package main

import (
	"bytes"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"jetstream/internal/store"
	"jetstream/internal/transfer/wire"
)

// firstVersion makes the state directory of the first version.
func firstVersion(t *testing.T, dir string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "internal", "store", "schema", "0001_accounts.sql"))
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, store.File))
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Exec(string(text) + "PRAGMA user_version = 1; INSERT INTO users VALUES (1, 'ann', 1, '', 0, '', 1)")
	_, keyErr := wire.LoadIdentity(dir)
	if err := errors.Join(err, keyErr, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestUpgradesSayWhereTheCopyIs, whichever program makes them, and the copy can be
// restored.
func TestUpgradesSayWhereTheCopyIs(t *testing.T) {
	l := newBare(t)
	firstVersion(t, l.state)
	l.start()
	l.stop()
	saved := filepath.Join(l.state, "jetstream.db.schema-1")
	if want := `"msg":"the database was upgraded; a copy of it as it was lies beside it","copy":"` + saved + `","fromSchema":1`; !strings.Contains(l.console.String(), want) {
		t.Errorf("the server does not log %s:\n%s", want, l.console)
	}
	out := command(t, "restore", saved, "--replace", "--persistent-state-dir="+l.state)
	if !strings.Contains(out, "is restored: server ") {
		t.Errorf("restore says %q", out)
	}
	l.start()
	l.stop()

	beside := newBare(t)
	firstVersion(t, beside.state)
	var list, errs bytes.Buffer
	args := []string{"user", "list", "--persistent-state-dir=" + beside.state}
	if code := run(t.Context(), args, os.Getenv, strings.NewReader(""), &list, &errs); code != 0 || !strings.Contains(list.String(), "ann") {
		t.Errorf("%d %s", code, list.String())
	}
	if want := "a copy of it as it was is " + filepath.Join(beside.state, "jetstream.db.schema-1"); !strings.Contains(errs.String(), want) {
		t.Errorf("%q does not say %q", errs.String(), want)
	}
}
