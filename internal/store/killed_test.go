package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"jetstream/internal/stream"
)

// writerArg is the first argument of this test binary as a process that adds
// runs to the database of its working directory until it is killed. The second
// says what is against it: nothing, or, where the system has such a limit,
// a bound of its files (see limitFiles).
const writerArg = "add-runs-until-killed"

// writeUntilKilled adds runs by eight goroutines and says what became of each:
// "saved" or "failed", its number, its id, and the number of its entry.
func writeUntilKilled(against string) error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	db, err := Open(context.Background(), dir)
	if err != nil {
		return err
	}
	if against != "" {
		if err := limitFiles(against); err != nil {
			return err
		}
	}
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			for {
				r := newRun(`"` + strings.Repeat("x", 500) + `"`)
				e := &stream.Entry{Type: "a", Data: []byte("{}")}
				what := "saved"
				if db.update(context.Background(), func(tx *tx) error { return errors.Join(tx.InsertRun(r), tx.AppendEntry(e)) }) != nil {
					what = "failed"
				}
				// One write a line, so that the parent sees whole ones.
				if _, err := fmt.Fprintf(os.Stdout, "%s %d %s %d\n", what, r.Seq, r.RunID, e.ID); err != nil {
					return
				}
			}
		})
	}
	writers.Wait()
	return nil
}

// written is what such a process says of a run.
type written struct {
	what  string
	seq   int64
	id    string
	entry int64
}

// runWriter starts such a process, kills it when enough says so, and returns
// all that it said.
func runWriter(t *testing.T, dir, against string, enough func([]written) bool) (all []written) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, writerArg, against)
	cmd.Dir = dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	lines := bufio.NewReader(stdout)
	for {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		var w written
		if _, err := fmt.Sscan(line, &w.what, &w.seq, &w.id, &w.entry); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if all = append(all, w); !killed && enough(all) {
			killed = true
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); !killed {
		t.Fatalf("the process ended by itself: %v\n%s", err, stderr.String())
	}
	return all
}

// wantWritten checks that the database holds what was saved under its numbers,
// and nothing that failed. What was under way at the kill may be there.
func wantWritten(t *testing.T, db *DB, all []written) {
	t.Helper()
	there := queue(t, db)
	for _, w := range all {
		found := slices.Contains(there, w.id)
		if found != (w.what == "saved") {
			t.Errorf("run %d, which %s, is there: %v", w.seq, w.what, found)
		}
		if w.what != "saved" {
			continue
		}
		if r, err := db.Runs().Run(t.Context(), w.id); err != nil || r.Seq != w.seq {
			t.Errorf("run %d has number %d (%v)", w.seq, r.Seq, err)
		}
	}
	entries, err := db.Entries().Entries(t.Context(), 0, len(there)+1)
	if err != nil || len(entries) != len(there) {
		t.Errorf("there are %d entries and %d runs (%v)", len(entries), len(there), err)
	}
}

// TestAKilledProcessKeepsWhatItAnswered, time after time.
func TestAKilledProcessKeepsWhatItAnswered(t *testing.T) {
	dir := t.TempDir()
	var all []written
	for _, runs := range []int{1, 50, 2000} {
		all = append(all, runWriter(t, dir, "", func(w []written) bool { return len(w) >= runs })...)
		db, err := Open(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		wantWritten(t, db, all)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
