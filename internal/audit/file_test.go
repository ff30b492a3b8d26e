package audit_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/audit"
)

var made = audit.Record{Action: "mkdir", Status: api.CodeSuccess}

func TestFilesThatCannotBeAnAuditLog(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{
		dir:                                    "is a directory; name a file in it",
		filepath.Join(dir, "absent", "log"):    "",
		filepath.Join(dir, "audit.log", "log"): "",
	} {
		if err := os.WriteFile(filepath.Join(dir, "audit.log"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := audit.Open(audit.Options{Path: path, Log: slog.New(slog.DiscardHandler)}); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}

// TestRightsOfTheFile: its owner's alone, unless the file was there.
func TestRightsOfTheFile(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("SKIPPED: Windows has no such rights")
	}
	dir := t.TempDir()
	given := filepath.Join(dir, "given")
	if err := os.WriteFile(given, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{filepath.Join(dir, "new"): 0o600, given: 0o640} {
		newBench(t, path).close()
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has %v, want %v: %v", path, info.Mode(), want, err)
		}
	}
}

// TestTornLineIsEnded: a line that a power cut has cut off does not take the next
// one with it.
func TestTornLineIsEnded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	if err := os.WriteFile(path, []byte("{\"time\":1}\n{\"ti"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := newBench(t, path)
	b.Write("alice", made)
	b.Write("alice", made)
	b.close()
	text, err := os.ReadFile(path)
	if list := strings.Split(string(text), "\n"); err != nil || len(list) != 5 || list[1] != `{"ti` || !strings.HasPrefix(list[2], `{"time":`) || list[4] != "" {
		t.Errorf("%q %v", list, err)
	}
}

// TestFaultOfTheFileEnds: what cannot be written is a fault until it can; the
// event log has every record, and the file how many it lacks.
func TestFaultOfTheFileEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "logs")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "audit.log")
		b := newBench(t, path)
		defer b.close()
		b.Write("alice", made)
		if err := b.Fault(); err != nil {
			t.Fatal(err)
		}
		b.BreakFile(t)
		for range 3 {
			b.Write("alice", made)
		}
		if err := b.Fault(); err == nil || !strings.Contains(b.said.String(), "takes no records") {
			t.Errorf("the fault is %v, the log says %s", err, b.said)
		}
		if err := os.Rename(dir, dir+".away"); err != nil { // nor can it be opened again
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second) //nolint:forbidigo // the bubble's clock
		b.Write("alice", made)
		if err := b.Fault(); err == nil {
			t.Error("there is no fault without the directory")
		}
		if err := os.Rename(dir+".away", dir); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second) //nolint:forbidigo // the bubble's clock
		if err := b.Fault(); err != nil {
			t.Errorf("with the directory back: %v", err)
		}
		b.Write("alice", made)
		if got := lines(t, path); len(got) != 3 || got[1].Action != "gap" || got[1].Count != 4 || got[1].Status != api.CodeUnavailable {
			t.Errorf("the file: %+v", got)
		}
		if got := b.stored(); len(got) != 6 {
			t.Errorf("%d records are in the event log", len(got))
		}
		if n := strings.Count(b.said.String(), "takes no records"); n != 1 || !strings.Contains(b.said.String(), "takes records again") {
			t.Errorf("the log says:\n%s", b.said)
		}
	})
}

// TestWithoutAFile all records are in the event log.
func TestWithoutAFile(t *testing.T) {
	b := newBench(t, "")
	b.Write("alice", made)
	b.Count("alice", audit.Record{Action: "mkdir", Status: api.CodeConflict})
	if got := b.stored(); len(got) != 2 || got[0].User != "alice" || b.Fault() != nil || b.Reopen() != nil {
		t.Errorf("%+v", got)
	}
	b.close()
}
