package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	sqlite3 "modernc.org/sqlite/lib"

	"jetstream/internal/diskspace"
)

const (
	// copyPrefix begins the names of the copies that are made before upgrades; the
	// schema follows.
	copyPrefix = File + ".schema-"
	// keptCopies is how many of them stay.
	keptCopies = 2
)

// softwareFact is the name under which the version of the server that used the
// database last is kept.
const softwareFact = "software"

// SetSoftware keeps the version of the server that uses the database.
func (db *DB) SetSoftware(ctx context.Context, version string) error {
	was, err := db.Meta(ctx, softwareFact)
	if err != nil || was == version {
		return err
	}
	return db.SetMeta(ctx, softwareFact, version)
}

// Upgrade is what Open did to a database of an earlier version.
type Upgrade struct {
	From, To int    // the schemas
	Copy     string // path of the copy of the database as it was
}

// Upgraded returns what Open did to the database, nil if it had the present schema or
// was made.
func (db *DB) Upgraded() *Upgrade { return db.upgraded }

// migrate applies the schema files that the database has not seen, in the
// order of their names, each in its own transaction. user_version counts them.
// With keep, a copy of a database that was in use is made before.
func (db *DB) migrate(ctx context.Context, keep bool) error {
	conn := db.writer.conn
	files, err := schemaFiles()
	if err != nil {
		return err
	}
	version, err := schemaOf(ctx, conn)
	if err != nil {
		return err
	}
	if version > len(files) {
		return db.newer(ctx, version, len(files))
	}
	if version > 0 && version < len(files) && keep {
		db.upgraded = &Upgrade{From: version, To: len(files)}
		if db.upgraded.Copy, err = db.keepCopy(ctx, version); err != nil {
			return err
		}
	}
	for i := version; i < len(files); i++ {
		text, err := schema.ReadFile(files[i])
		if err != nil {
			return err
		}
		script := fmt.Sprintf("BEGIN IMMEDIATE;\n%s\nPRAGMA user_version = %d;\nCOMMIT;", text, i+1)
		if _, err := conn.ExecContext(ctx, script); err != nil {
			_, _ = conn.ExecContext(ctx, "ROLLBACK")
			return fmt.Errorf("%s: %w", files[i], err)
		}
	}
	return nil
}

// newer is the error of a database with a schema that this program does not know.
func (db *DB) newer(ctx context.Context, version, known int) error {
	software := ""
	err := db.writer.conn.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = ?", softwareFact).Scan(&software)
	if err == nil && software != "" {
		software = " (" + software + ")"
	}
	back := ""
	for _, c := range db.copies() {
		if c.schema <= known {
			back = fmt.Sprintf("; or go back to the state before its upgrade, without all that happened since: jetstream restore --replace %s", c.path)
		}
	}
	return fmt.Errorf("it was made by a newer JetStream%s: it has schema %d and this version knows %d; start that version or a later one%s",
		software, version, known, back)
}

// keepCopy copies the database beside itself, and removes older copies.
func (db *DB) keepCopy(ctx context.Context, version int) (path string, err error) {
	conn := db.writer.conn
	path = filepath.Join(db.dir, copyPrefix+strconv.Itoa(version))
	var pages, size int64
	err = errors.Join(conn.QueryRowContext(ctx, "PRAGMA page_count").Scan(&pages), conn.QueryRowContext(ctx, "PRAGMA page_size").Scan(&size))
	if err != nil {
		return "", err
	}
	if disk, err := diskspace.Of(db.dir); err == nil && disk.Total > 0 && disk.Free < uint64(pages*size)+probeSize {
		return "", fmt.Errorf("it has to be upgraded, and there is no room for a copy of it as it is: %d MB more are needed at %s; make room and start again",
			(uint64(pages*size)+probeSize-disk.Free)>>20+1, db.dir)
	}
	part := path + ".new"
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err := vacuumInto(ctx, conn, part); err != nil {
		return "", fmt.Errorf("it has to be upgraded, and a copy of it as it is cannot be made: %w", err)
	}
	f, err := os.Open(part)
	if err == nil {
		err = errors.Join(GiveToOwner(f, db.dir), f.Close(), os.Rename(part, path))
	}
	if err == nil {
		err = syncNames(db.dir)
	}
	if err != nil {
		return "", err
	}
	all := db.copies()
	for _, c := range all[:max(0, len(all)-keptCopies)] {
		if err := os.Remove(c.path); err != nil {
			return "", err
		}
	}
	return path, nil
}

// syncNames puts the names in a directory on disk, where the system can do that.
func syncNames(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	_ = d.Sync() // Windows and some file systems cannot
	return d.Close()
}

// keptCopy is a copy that was made before an upgrade.
type keptCopy struct {
	path   string
	schema int
}

// copies lists the copies, that of the oldest schema first.
func (db *DB) copies() (list []keptCopy) {
	entries, err := os.ReadDir(db.dir)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		after, ok := strings.CutPrefix(e.Name(), copyPrefix)
		if n, err := strconv.Atoi(after); ok && err == nil && e.Type().IsRegular() {
			list = append(list, keptCopy{filepath.Join(db.dir, e.Name()), n})
		}
	}
	slices.SortFunc(list, func(a, b keptCopy) int { return a.schema - b.schema })
	return list
}

// checkDatabase has SQLite look through a whole database, and returns its schema, or an
// error if it is damaged or of a newer version.
func checkDatabase(ctx context.Context, path string) (version int, err error) {
	files, err := schemaFiles()
	if err != nil {
		return 0, err
	}
	err = withDatabase(ctx, path, "mode=rw", func(conn *sql.Conn) error {
		var verdict string
		err := conn.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&verdict)
		switch primaryCode(err) {
		case sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT:
			verdict = err.Error()
		case sqlite3.SQLITE_OK:
		default:
			return err
		}
		if verdict != "ok" {
			return fmt.Errorf("it is damaged: %s", verdict)
		}
		if version, err = schemaOf(ctx, conn); err != nil {
			return err
		}
		switch {
		case version == 0:
			return errors.New("it is not the database of a JetStream server")
		case version > len(files):
			return fmt.Errorf("it was made by a newer JetStream: it has schema %d and this version knows %d; restore it with that version or a later one", version, len(files))
		}
		return nil
	})
	return version, err
}
