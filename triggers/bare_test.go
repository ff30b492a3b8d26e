//go:build unix

package triggers_test

import (
	"database/sql"
	"path/filepath"
	"strconv"
	"testing"

	"jetstream/internal/api"
)

func itoa(n int) string { return strconv.Itoa(n) }

// bareTable is a table of a SQLite database with the same durability as that of
// the server, and one index: the minimum for a queue.
type bareTable struct {
	b          *testing.B
	db         *sql.DB
	insert     *sql.Stmt
	parameters string
}

func newBareTable(b *testing.B, parameters string) *bareTable {
	db, err := sql.Open("sqlite", filepath.Join(b.TempDir(), "bare.db")+
		"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_txlock=immediate")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("CREATE TABLE queue (seq INTEGER PRIMARY KEY, id TEXT UNIQUE, event TEXT, parameters TEXT)"); err != nil {
		b.Fatal(err)
	}
	t := &bareTable{b: b, db: db, parameters: parameters}
	if t.insert, err = db.Prepare("INSERT INTO queue (id, event, parameters) VALUES (?, ?, ?)"); err != nil {
		b.Fatal(err)
	}
	return t
}

// commit inserts rows in one durable transaction.
func (t *bareTable) commit(rows int) {
	tx, err := t.db.Begin()
	if err != nil {
		t.b.Fatal(err)
	}
	insert := tx.Stmt(t.insert)
	for range rows {
		if _, err := insert.Exec(api.NewID(), "on.send.createManifest", t.parameters); err != nil {
			t.b.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		t.b.Fatal(err)
	}
}
