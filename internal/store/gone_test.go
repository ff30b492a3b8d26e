//go:build unix

package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"jetstream/internal/api"
)

// TestChangesNeedTheStateDirectory: what would be saved into a directory that is
// no longer there fails, says so, and turns health red; reads go on; with the
// directory back changes are saved again.
func TestChangesNeedTheStateDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	db := openDir(t, dir)
	save := func(value string) error { return db.SetMeta(t.Context(), "name", value) }
	if err := save("first"); err != nil {
		t.Fatal(err)
	}
	for name, replace := range map[string]func() error{
		"gone": func() error { return nil },
		"another in its place": func() error {
			return errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, File), nil, 0o600))
		},
		"a file in its place":       func() error { return os.WriteFile(dir, nil, 0o600) },
		"an empty one in its place": func() error { return os.Mkdir(dir, 0o700) },
	} {
		if err := errors.Join(os.Rename(dir, dir+".away"), replace()); err != nil {
			t.Fatal(err)
		}
		if err := save(name); !errors.Is(err, &api.Error{Code: api.CodeUnavailable}) || !strings.Contains(err.Error(), dir+" is gone or was replaced") {
			t.Errorf("%s: a change ends with %v", name, err)
		}
		if err := db.Present(); !errors.Is(err, &api.Error{Code: api.CodeUnavailable}) {
			t.Errorf("%s: a change of something else would end with %v", name, err)
		}
		if _, err := db.Writable(t.Context()); err == nil {
			t.Errorf("%s: health says nothing", name)
		}
		if value, err := db.Meta(t.Context(), "name"); err != nil || value != "first" {
			t.Errorf("%s: read %q (%v)", name, value, err)
		}
		if err := errors.Join(os.RemoveAll(dir), os.Rename(dir+".away", dir)); err != nil {
			t.Fatal(err)
		}
		if err := db.Present(); err != nil {
			t.Errorf("%s: with the directory back: %v", name, err)
		}
		if recovered, err := db.Writable(t.Context()); !recovered || err != nil {
			t.Errorf("%s: with the directory back: recovered %t, %v", name, recovered, err)
		}
		if err := save("first"); err != nil {
			t.Errorf("%s: with the directory back: %v", name, err)
		}
	}
	wal := filepath.Join(dir, File+"-wal")
	if err := os.Rename(wal, wal+".away"); err != nil {
		t.Fatal(err)
	}
	if err := save("without its log"); !errors.Is(err, &api.Error{Code: api.CodeUnavailable}) {
		t.Errorf("without the write-ahead log a change ends with %v", err)
	}
	if err := os.Rename(wal+".away", wal); err != nil {
		t.Fatal(err)
	}
	if err := save("second"); err != nil {
		t.Errorf("with the write-ahead log back: %v", err)
	}
}
