package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"jetstream/internal/stream"
	"jetstream/internal/transfer"
	"jetstream/triggers"
)

// applied is the checksum of the first schema files, which have been applied to
// databases in use: what is in them must not change.
const (
	applied    = 29
	appliedSum = "4b34da33f14becd610913c2fe365cec3386310ed1476e63f9c7854720966be46"
)

func TestAppliedSchemaFilesDoNotChange(t *testing.T) {
	files, err := schemaFiles()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	for _, name := range files[:applied] {
		text, err := schema.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = sum.Write(append([]byte(name+"\n"), text...)) // never fails
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != appliedSum {
		t.Errorf("the checksum of schema files 1 to %d is %s: databases have them as they were; put a change into a new file", applied, got)
	}
}

// fillTables puts two rows into each table and returns their names.
func fillTables(t *testing.T, db *sql.DB) (tables []string) {
	t.Helper()
	for _, table := range column(t, db, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name") {
		tables = append(tables, table)
		for i := range 2 {
			var names, values []string
			for _, c := range column(t, db, "SELECT name || ' ' || type FROM pragma_table_info('"+table+"')") {
				name, kind, _ := strings.Cut(c, " ")
				names, values = append(names, name), append(values, sample(table, name, kind, i))
			}
			query := fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", table, strings.Join(names, ", "), strings.Join(values, ", "))
			if _, err := db.Exec(query); err != nil {
				t.Fatalf("%s: %v", query, err)
			}
		}
	}
	return tables
}

// sample is a value of a column in row i, as SQL.
func sample(table, name, kind string, i int) string {
	switch name {
	case "parent":
		return "NULL"
	case "deleted":
		return "0"
	case "user_data", "file_mappings", "parameters", "data":
		return "'{}'"
	case "permissions", "include", "exclude":
		return "'[]'"
	case "mirror":
		if table == "recv_transfers" {
			return "''"
		}
	case "owner", "username", "user":
		return "'user0'"
	case "name":
		if table == "users" {
			return fmt.Sprintf("'user%d'", i)
		}
	case "status":
		return "'complete'"
	}
	switch {
	case kind == "BLOB":
		return fmt.Sprintf("x'0%d'", i)
	case kind == "TEXT":
		return fmt.Sprintf("'%s %d'", name, i)
	case strings.HasSuffix(name, "seq") || strings.HasSuffix(name, "id") || name == "idx" || name == "transfer":
		return strconv.Itoa(i + 1)
	}
	return "1"
}

func column(t *testing.T, db *sql.DB, query string) (values []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	for rows.Next() {
		var v string
		if err := rows.Scan(&v); err != nil {
			t.Fatal(err)
		}
		values = append(values, v)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		t.Fatal(err)
	}
	return values
}

// TestEveryFormerVersion opens a database with rows in all tables of each former
// version: all rows are there and can be read, and a copy of it as it was lies beside it.
func TestEveryFormerVersion(t *testing.T) {
	files, err := schemaFiles()
	if err != nil {
		t.Fatal(err)
	}
	for version := 1; version < len(files); version++ {
		t.Run(strconv.Itoa(version), func(t *testing.T) {
			t.Parallel()
			dir, old := olderDatabase(t, version)
			tables := fillTables(t, old)
			if err := old.Close(); err != nil {
				t.Fatal(err)
			}
			db := openDir(t, dir)
			want := Upgrade{version, len(files), filepath.Join(dir, "jetstream.db.schema-"+strconv.Itoa(version))}
			if got := db.Upgraded(); got == nil || *got != want {
				t.Fatalf("upgraded %v, want %v", got, want)
			}
			former, err := sql.Open("sqlite", databaseURI(filepath.ToSlash(want.Copy)))
			if err != nil {
				t.Fatal(err)
			}
			if got := column(t, former, "PRAGMA user_version"); got[0] != strconv.Itoa(version) {
				t.Errorf("the copy has schema %s", got[0])
			}
			for _, table := range tables {
				count := "SELECT count(*) FROM " + table
				if got := column(t, former, count); got[0] != "2" {
					t.Errorf("the copy has %s rows of 2 in %s", got[0], table)
				}
				if got := column(t, db.readers.pool, count); got[0] != "2" {
					t.Errorf("%s rows of 2 are in %s", got[0], table)
				}
			}
			if err := former.Close(); err != nil {
				t.Fatal(err)
			}
			wantLists(t, db, version)
		})
	}
}

// wantLists reads what the server reads.
func wantLists(t *testing.T, db *DB, version int) {
	t.Helper()
	ctx, page := t.Context(), transfer.Page{Limit: 10}
	want := func(what string, since, got int, err error) {
		t.Helper()
		n := 0
		if version >= since {
			n = 2
		}
		if err != nil || got != n {
			t.Errorf("%d %s of %d are listed (%v)", got, what, n, err)
		}
	}
	users, err := db.Accounts().Users(ctx, "", 10)
	want("users", 1, len(users), err)
	destinations, err := db.Transfers().Destinations(ctx, page)
	want("destinations", 2, len(destinations), err)
	manifests, err := db.Transfers().Manifests(ctx, page)
	want("manifests", 2, len(manifests), err)
	transfers, err := db.Transfers().Transfers(ctx, page)
	want("transfers", 2, len(transfers), err)
	runs, _, err := db.Runs().Runs(ctx, triggers.Filter{Limit: 10})
	want("runs", 3, len(runs), err)
	received, err := db.Received().RecvTransfers(ctx, page)
	want("received transfers", 4, len(received), err)
	entries, err := db.Entries().EntryPage(ctx, stream.PageQuery{All: true, Limit: 10}, 1, 1000)
	want("entries", 5, len(entries), err)
}

// TestFewCopiesAreKept, and whoever meets a database of a newer version is told of them.
func TestFewCopiesAreKept(t *testing.T) {
	dir, old := olderDatabase(t, 20)
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{7, 19} {
		if err := os.WriteFile(filepath.Join(dir, copyPrefix+strconv.Itoa(n)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	db, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.SetSoftware(t.Context(), "v9.1"); err != nil {
		t.Fatal(err)
	}
	if got := db.copies(); len(got) != 2 || got[0].schema != 19 || got[1].schema != 20 {
		t.Errorf("the copies %v are kept", got)
	}
	_, err = db.writer.conn.ExecContext(t.Context(), "PRAGMA user_version = 1000")
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), dir)
	if err == nil {
		t.Fatal("a database of a newer version was opened")
	}
	for _, want := range []string{"newer JetStream (v9.1)", "schema 1000", "start that version or a later one", "restore --replace " + filepath.Join(dir, copyPrefix+"20")} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
}

// TestACopyWithoutPasswords has them in none of its pages, not even where they were, and
// can be made while the database is written.
func TestACopyWithoutPasswords(t *testing.T) {
	db := openTest(t)
	for i := range 20 {
		x := transfer.Transfer{TransferID: fmt.Sprint(i), SealedPassword: []byte("hush-" + strings.Repeat("p", 300)), Ticket: []byte("ticket")}
		x.Status, x.Processing = transfer.StatusPending, true
		if err := db.Transfers().Update(t.Context(), func(tx transfer.Tx) error { return tx.SaveTransfer(&x) }); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Transfers().Update(t.Context(), func(tx transfer.Tx) error { return tx.DeleteTransfer("7") }); err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	path, version, err := Copy(context.Background(), db.dir, work)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "hush-") || strings.Contains(string(text), "ppp") {
		t.Error("the copy has a password")
	}
	if n := strings.Count(string(text), "ticket"); n < 19 {
		t.Errorf("the copy has %d transfers of 19", n)
	}
	if files, err := schemaFiles(); err != nil || version != len(files) {
		t.Errorf("the copy has schema %d (%v)", version, err)
	}
	if left, err := os.ReadDir(work); err != nil || len(left) != 1 {
		t.Errorf("beside it: %v (%v)", left, err)
	}
}

// TestRestoreOfAnotherVersion brings an older one up to date, without a copy of the copy,
// and refuses a newer one.
func TestRestoreOfAnotherVersion(t *testing.T) {
	dir, old := olderDatabase(t, 20)
	fillTables(t, old)
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := Restore(t.Context(), dir)
	if err != nil || r.Schema != 20 || r.FirstEntry < 1_700_000_000_000_000 {
		t.Errorf("restored %+v (%v)", r, err)
	}
	if list := (&DB{dir: dir}).copies(); len(list) != 0 {
		t.Errorf("copies: %v", list)
	}
	db, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := db.Entries().Entries(t.Context(), 0, 10)
	if err != nil || len(entries) != 2 || entries[1].ID != r.FirstEntry-1 || db.Upgraded() != nil {
		t.Errorf("%d entries, upgraded %v (%v)", len(entries), db.Upgraded(), err)
	}
	_, err = db.writer.conn.ExecContext(t.Context(), "PRAGMA user_version = 1000")
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "schema 1000") {
		t.Errorf("a newer one: %v", err)
	}
}
