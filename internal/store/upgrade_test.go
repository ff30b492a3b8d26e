package store

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"jetstream/triggers"
)

// olderDatabase makes a database as the first so many schema files do.
func olderDatabase(t *testing.T, files int) (dir string, db *sql.DB) {
	t.Helper()
	dir = t.TempDir()
	db, err := sql.Open("sqlite", databaseURI(filepath.ToSlash(filepath.Join(dir, File)))+"?_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	entries, err := schema.ReadDir("schema")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries[:files] {
		text, err := schema.ReadFile("schema/" + entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(string(text)); err != nil {
			t.Fatalf("%s: %v", entry.Name(), err)
		}
	}
	if _, err := db.Exec(fmt.Sprintf("PRAGMA user_version = %d", files)); err != nil {
		t.Fatal(err)
	}
	return dir, db
}

// TestOlderDatabaseKeepsItsRuns opens one in which the process of a run still
// stood beside the run, in the midst of its work.
func TestOlderDatabaseKeepsItsRuns(t *testing.T) {
	dir, old := olderDatabase(t, 8)
	for i, status := range []string{"success", "running", "queued", "queued"} {
		ended := 0
		if status == "success" {
			ended = 3000
		}
		_, err := old.Exec(`INSERT INTO runs (run_id, status, urgent, event, event_id, attempt, event_time, queue_time, end_time, pid, pid_start,
			depth, request_id, user, transfer_id, subject, lane, process, parameters, stdout)
			VALUES (?, ?, 0, 'launch', ?, 1, 1000, 1000, ?, 4711, 99, 1, 'request', 'alice', '', 's', 'user:alice', 'p', '{"port":"1"}', 'said')`,
			"run"+fmt.Sprint(i), status, "event"+fmt.Sprint(i), ended)
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	s := db.Runs()
	running, err := s.Running(t.Context())
	if err != nil || len(running) != 1 || running[0].RunID != "run1" || running[0].PID != 0 {
		t.Errorf("running: %+v (%v)", running, err)
	}
	few, err := s.NextFew(t.Context(), 10)
	if err != nil || len(few) != 2 || few[0].RunID != "run2" || few[1].RunID != "run3" || few[0].Key != "user:alice" {
		t.Errorf("queued: %+v (%v)", few, err)
	}
	r, err := s.Run(t.Context(), "run0")
	if err != nil || r.Status != triggers.StatusSuccess || r.Stdout.Text != "said" || r.User != "alice" || string(r.Parameters) != `{"port":"1"}` {
		t.Errorf("ended: %+v (%v)", r, err)
	}
	outcomes, err := s.Outcomes(t.Context())
	if err != nil || len(outcomes) != 1 || outcomes[0].Count != 1 || outcomes[0].LastSeq != r.Seq {
		t.Errorf("outcomes: %+v (%v)", outcomes, err)
	}
}

// TestLanesHaveAnIndexWhileTheyAreUsed, also one after the other.
func TestLanesHaveAnIndexWhileTheyAreUsed(t *testing.T) {
	db := openTest(t)
	s := db.Runs()
	behind := queued(t, s, "launch", "p", func(r *triggers.Run) { r.Key = "b" })
	first := queued(t, s, "launch", "p", func(r *triggers.Run) { r.Key = "a" })
	queued(t, s, "launch", "p", func(r *triggers.Run) { r.Key = "a" })
	for _, use := range []bool{false, true, true, false, false, true} {
		if err := s.UseLanes(t.Context(), use); err != nil {
			t.Fatal(err)
		}
		var plan []string
		// One that is open already makes a plan with the indexes that it knows.
		conn, err := sql.Open("sqlite", databaseURI(filepath.ToSlash(filepath.Join(db.dir, File))))
		if err != nil {
			t.Fatal(err)
		}
		rows, err := conn.QueryContext(t.Context(), "EXPLAIN QUERY PLAN SELECT seq FROM runs WHERE end_time = 0 AND lane = 'a' ORDER BY urgent DESC, seq")
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var id, parent, unused int
			var detail string
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Fatal(err)
			}
			plan = append(plan, detail)
		}
		if err := errors.Join(rows.Err(), rows.Close(), conn.Close()); err != nil {
			t.Fatal(err)
		}
		if uses := strings.Contains(strings.Join(plan, "\n"), "INDEX runs_lane"); uses != use || slices.ContainsFunc(plan, func(d string) bool { return strings.Contains(d, "TEMP") }) {
			t.Errorf("with lanes %t the queue of one is found by %q", use, plan)
		}
		if r, err := s.NextOf(t.Context(), "a"); err != nil || r == nil || r.RunID != first.RunID {
			t.Errorf("with lanes %t the next of a is %+v (%v)", use, r, err)
		}
		if r, err := s.Next(t.Context()); err != nil || r == nil || r.RunID != behind.RunID {
			t.Errorf("with lanes %t the next is %+v (%v)", use, r, err)
		}
	}
}
