package lite

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	_ "modernc.org/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// endless is a query that finds no row and never ends.
const endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n WHERE i < 0"

// openTest makes a database with a table, and a pool beside who writes there.
func openTest(t *testing.T, most int) (*Pool, *sql.DB) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a #? %41.db")
	writer, err := sql.Open("sqlite", "file://"+strings.NewReplacer("%", "%25", "#", "%23", "?", "%3F").Replace(path)+"?_pragma=journal_mode(WAL)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = writer.Close() })
	if _, err := writer.Exec("CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT)"); err != nil {
		t.Fatal(err)
	}
	p := New(path, most)
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p, writer
}

func insert(t *testing.T, writer *sql.DB, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := writer.Exec("INSERT INTO things (name) VALUES (?)", name); err != nil {
			t.Fatal(err)
		}
	}
}

func names(t *testing.T, p *Pool) (list []string) {
	t.Helper()
	rows, err := p.Query(t.Context(), "SELECT name FROM things ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		list = append(list, name)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}

func TestReadersSeeWhatWasCommittedBefore(t *testing.T) {
	p, writer := openTest(t, 2)
	var want []string
	for i := range 50 {
		insert(t, writer, strconv.Itoa(i))
		want = append(want, strconv.Itoa(i))
		if got := names(t, p); strings.Join(got, " ") != strings.Join(want, " ") {
			t.Fatalf("after %d commits: %q", i+1, got)
		}
	}
	rows, err := p.Query(t.Context(), "SELECT name FROM things ORDER BY id")
	if err != nil || !rows.Next() {
		t.Fatal(err)
	}
	insert(t, writer, "later")
	n := 1
	for rows.Next() {
		n++
	}
	if rows.Err() != nil || n != 50 {
		t.Errorf("rows that were begun before a commit: %d (%v)", n, rows.Err())
	}
	if got := names(t, p); len(got) != 51 {
		t.Errorf("rows that were begun after it: %d", len(got))
	}
}

func TestAQueryFollowsAChangeOfTheSchema(t *testing.T) {
	p, writer := openTest(t, 1)
	insert(t, writer, "a")
	for i := range 3 {
		if got := names(t, p); len(got) != 1 || got[0] != "a" {
			t.Fatalf("%q", got)
		}
		if _, err := writer.Exec("DROP INDEX IF EXISTS by_name; CREATE INDEX by_name ON things (name); ALTER TABLE things ADD COLUMN c" + strconv.Itoa(i)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNoRow(t *testing.T) {
	p, writer := openTest(t, 1)
	const byName = "SELECT id FROM things WHERE name = ?"
	var id int64
	if err := p.QueryRow(t.Context(), byName, "a").Scan(&id); !errors.Is(err, sql.ErrNoRows) {
		t.Errorf("no row: %v", err)
	}
	insert(t, writer, "a")
	if err := p.QueryRow(t.Context(), byName, "a").Scan(&id); err != nil || id != 1 {
		t.Errorf("a row: %d, %v", id, err)
	}
}

// TestCallersWaitForAConnection, as long as they want to.
func TestCallersWaitForAConnection(t *testing.T) {
	p, writer := openTest(t, 1)
	insert(t, writer, "a", "b")
	rows, err := p.Query(t.Context(), "SELECT name FROM things")
	if err != nil || !rows.Next() {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	impatient := make(chan error)
	go func() {
		var n int
		impatient <- p.QueryRow(ctx, "SELECT count(*) FROM things").Scan(&n)
	}()
	cancel()
	if err := <-impatient; !errors.Is(err, context.Canceled) {
		t.Errorf("who did not want to wait: %v", err)
	}
	patient := make(chan error)
	go func() {
		var n int
		patient <- p.QueryRow(t.Context(), "SELECT count(*) FROM things").Scan(&n)
	}()
	select {
	case err := <-patient:
		t.Errorf("two had the one connection (%v)", err)
	default:
	}
	if err := errors.Join(rows.Close(), rows.Close()); err != nil {
		t.Error(err)
	}
	if err := <-patient; err != nil {
		t.Error(err)
	}
	if len(p.idle) != 1 || len(p.busy) != 0 {
		t.Errorf("%d connections are idle, %d in use", len(p.idle), len(p.busy))
	}
}

func TestTheEndOfAContextInterrupts(t *testing.T) {
	p, _ := openTest(t, 1)
	for i := range 50 {
		ctx, cancel := context.WithCancel(t.Context())
		rows, err := p.Query(ctx, endless)
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 { // so that it may also be interrupted before it begins
			cancel()
		} else {
			go cancel()
		}
		if rows.Next() || !errors.Is(rows.Err(), context.Canceled) {
			t.Fatalf("an endless query ended with %v", rows.Err())
		}
		cancel()
		var one int
		if err := p.QueryRow(t.Context(), "SELECT 1").Scan(&one); err != nil || one != 1 {
			t.Fatalf("the query after one that was interrupted: %d, %v", one, err)
		}
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Query(over, "SELECT 1"); !errors.Is(err, context.Canceled) {
		t.Errorf("a query after the end of its context: %v", err)
	}
	if err := p.QueryRow(over, "SELECT 1").Scan(new(int)); !errors.Is(err, context.Canceled) {
		t.Errorf("a query of one row after the end of its context: %v", err)
	}
}

// TestAContextThatEndsLaterHarmsNobody: the connection is another's by then.
func TestAContextThatEndsLaterHarmsNobody(t *testing.T) {
	p, _ := openTest(t, 1)
	for range 30 {
		ctx, cancel := context.WithCancel(t.Context())
		rows, err := p.Query(ctx, "SELECT 1")
		if err != nil || !rows.Next() {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			cancel()
		}()
		_ = rows.Close()
		var n int
		const some = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300) SELECT count(*) FROM n"
		if err := p.QueryRow(t.Context(), some).Scan(&n); err != nil || n != 300 {
			t.Fatalf("%d, %v", n, err)
		}
		<-done
	}
}

func TestAConnectionComesBackWhateverHappens(t *testing.T) {
	p, writer := openTest(t, 1)
	insert(t, writer, "a", "b")
	fine := func(after string) {
		t.Helper()
		if len(p.busy) != 0 {
			t.Fatalf("after %s %d connections are in use", after, len(p.busy))
		}
		if got := names(t, p); len(got) != 2 {
			t.Fatalf("after %s: %q", after, got)
		}
	}
	func() {
		defer func() { _ = recover() }()
		rows, err := p.Query(t.Context(), "SELECT name FROM things")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			panic("in the middle")
		}
	}()
	fine("a panic")
	for query, args := range map[string][]any{
		"SELECT nothing FROM things":             nil,
		"SELECT":                                 nil,
		"":                                       nil,
		"SELECT 1; SELECT 2":                     nil,
		"SELECT ?":                               nil,
		"SELECT ?, ?":                            {1},
		"SELECT name FROM things WHERE name = ?": {struct{}{}},
		"SELECT 1 WHERE ? = ?":                   {"a", make(chan int)},
	} {
		if rows, err := p.Query(t.Context(), query, args...); err == nil {
			t.Errorf("%q with %v began", query, args)
			_ = rows.Close()
		}
		fine("a query that could not begin")
	}
	var id int
	if err := p.QueryRow(t.Context(), "SELECT name FROM things").Scan(&id); err == nil {
		t.Error("a name was read as a number")
	}
	fine("a value of another type")
	// The row that fails is not the first.
	rows, err := p.Query(t.Context(), "SELECT json_extract(value, '$') FROM json_each('[\"[]\", \"{\"]')")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for rows.Next() {
		n++
	}
	if e, ok := errors.AsType[*Error](rows.Err()); n != 1 || !ok || !strings.Contains(e.Error(), "malformed JSON") {
		t.Errorf("%d rows, then %v", n, rows.Err())
	}
	if err := rows.Scan(new(string)); err == nil {
		t.Error("there was a row behind the last")
	}
	fine("a row that failed")

	if rows, err = p.Query(t.Context(), "SELECT 1"); err != nil {
		t.Fatal(err)
	}
	broken := rows.conn
	rows.inside = true // as a panic of SQLite would leave it
	_ = rows.Close()
	if len(p.idle) != 0 {
		t.Error("a connection is used again that broke in SQLite's code")
	}
	fine("a panic in SQLite's code")
	if err := broken.close(); err != nil {
		t.Error(err)
	}
}

func TestNothingIsWritten(t *testing.T) {
	p, writer := openTest(t, 1)
	insert(t, writer, "a")
	err := p.QueryRow(t.Context(), "DELETE FROM things RETURNING id").Scan(new(int))
	if e, ok := errors.AsType[*Error](err); !ok || e.Code&0xff != 8 { // SQLITE_READONLY
		t.Errorf("a reader deleted: %v", err)
	}
	if got := names(t, p); len(got) != 1 {
		t.Errorf("%q", got)
	}
}

func TestClose(t *testing.T) {
	p, writer := openTest(t, 2)
	insert(t, writer, "a", "b")
	rows, err := p.Query(t.Context(), "SELECT name FROM things ORDER BY id")
	if err != nil || !rows.Next() {
		t.Fatal(err)
	}
	names(t, p) // has an idle connection closed as well
	if err := errors.Join(p.Close(), p.Close()); err != nil {
		t.Fatal(err)
	}
	var name string
	if err := rows.Scan(&name); err != nil || name != "a" || !rows.Next() {
		t.Errorf("rows that were open before: %q, %v", name, errors.Join(err, rows.Err()))
	}
	_ = rows.Close()
	if len(p.idle) != 0 || len(p.busy) != 0 {
		t.Errorf("%d connections are idle and %d in use after the end", len(p.idle), len(p.busy))
	}
	if _, err := p.Query(t.Context(), "SELECT 1"); !errors.Is(err, ErrClosed) {
		t.Errorf("a query after the end: %v", err)
	}
	if err := p.QueryRow(t.Context(), "SELECT 1").Scan(new(int)); !errors.Is(err, ErrClosed) {
		t.Errorf("a query of one row after the end: %v", err)
	}
}

func TestAFileThatIsNoDatabase(t *testing.T) {
	missing := New(filepath.Join(t.TempDir(), "missing"), 1)
	defer missing.Close()
	err := missing.QueryRow(t.Context(), "SELECT 1").Scan(new(int))
	if err == nil || !strings.Contains(err.Error(), "unable to open database file") {
		t.Errorf("a missing file: %v", err)
	}
	path := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(path, []byte(strings.Repeat("no database at all\n", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	text := New(path, 1)
	defer text.Close()
	err = text.QueryRow(t.Context(), "SELECT count(*) FROM sqlite_schema").Scan(new(int))
	if err == nil || !strings.Contains(err.Error(), "file is not a database") {
		t.Errorf("a text: %v", err)
	}
}

func TestManyReadAtATime(t *testing.T) {
	p, writer := openTest(t, 3)
	insert(t, writer, "a", "b", "c")
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for n := range 50 {
				var name string
				if err := p.QueryRow(t.Context(), "SELECT name FROM things WHERE id = ?", 1+(i+n)%3).Scan(&name); err != nil || name != string("abc"[(i+n)%3]) {
					t.Errorf("%q, %v", name, err)
				}
				if got := names(t, p); len(got) < 3 {
					t.Errorf("%q", got)
				}
			}
		})
	}
	insert(t, writer, "d", "e", "f")
	wg.Wait()
	if len(p.idle) > 3 || len(p.busy) != 0 {
		t.Errorf("%d connections are idle, %d in use", len(p.idle), len(p.busy))
	}
}
