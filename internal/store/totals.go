package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"jetstream/internal/api"
)

// TransferTotal counts the kept transfers of one direction and state.
type TransferTotal struct {
	Direction string // send or recv
	Status    string
	Count     int64
}

// TransferTotals counts the transfers that are kept.
func (db *DB) TransferTotals(ctx context.Context) ([]TransferTotal, error) {
	rows, err := db.readers.query(ctx, `SELECT 'send', status, count(*) FROM transfers WHERE deleted = 0 GROUP BY status
		UNION ALL SELECT 'recv', status, count(*) FROM recv_transfers GROUP BY status`)
	if err != nil {
		return nil, err
	}
	return scanAll(rows, func(row scanner) (t TransferTotal, err error) {
		return t, row.Scan(&t.Direction, &t.Status, &t.Count)
	})
}

// Failures counts what has failed.
type Failures struct {
	Sent, Received, Runs int64
}

// Failure is something that has failed.
type Failure struct {
	Kind    string // send, recv or run
	ID      string // of the transfer or the run
	Time    api.Time
	Message string
}

// FailuresSince counts what has failed since a time, and lists the newest, limit at
// most.
func (db *DB) FailuresSince(ctx context.Context, since api.Time, limit int) (n Failures, newest []Failure, err error) {
	rows, err := db.readers.query(ctx, `SELECT
		(SELECT count(*) FROM transfers WHERE status = 'error' AND deleted = 0 AND end_time >= ?1),
		(SELECT count(*) FROM recv_transfers WHERE status = 'error' AND end_time >= ?1),
		(SELECT count(*) FROM runs WHERE end_time > 0 AND end_time >= ?1 AND status IN ('failed', 'timeout'))`, int64(since))
	if err != nil {
		return n, nil, err
	}
	counts, err := scanAll(rows, func(row scanner) (f Failures, err error) { return f, row.Scan(&f.Sent, &f.Received, &f.Runs) })
	if err != nil {
		return n, nil, err
	}
	n = counts[0]
	rows, err = db.readers.query(ctx, `SELECT * FROM (SELECT 'send', transfer_id, end_time AS at, error_message FROM transfers
			WHERE status = 'error' AND deleted = 0 AND end_time >= ?1 ORDER BY end_time DESC LIMIT ?2)
		UNION ALL SELECT * FROM (SELECT 'recv', transfer_id, end_time, error_message FROM recv_transfers
			WHERE status = 'error' AND end_time >= ?1 ORDER BY end_time DESC LIMIT ?2)
		UNION ALL SELECT * FROM (SELECT 'run', run_id, end_time, event || ': ' || CASE WHEN message <> '' THEN message
			WHEN signal <> '' THEN 'ended by signal ' || signal ELSE 'exit status ' || coalesce(exit_code, '?') END FROM runs
			WHERE end_time > 0 AND end_time >= ?1 AND status IN ('failed', 'timeout') ORDER BY seq DESC LIMIT ?2)
		ORDER BY at DESC LIMIT ?2`, int64(since), limit)
	if err != nil {
		return n, nil, err
	}
	newest, err = scanAll(rows, func(row scanner) (f Failure, err error) {
		return f, row.Scan(&f.Kind, &f.ID, (*int64)(&f.Time), &f.Message)
	})
	return n, newest, err
}

// UsedBytes returns how many bytes of the database are in use. Its file may be larger:
// what was removed leaves room in it that is used again.
func (db *DB) UsedBytes(ctx context.Context) (bytes int64, err error) {
	rows, err := db.readers.query(ctx, "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size")
	if err != nil {
		return 0, err
	}
	sizes, err := scanAll(rows, func(row scanner) (n int64, err error) { return n, row.Scan(&n) })
	if err != nil || len(sizes) == 0 {
		return 0, err
	}
	return sizes[0], nil
}

// SchemaVersion returns the version of the schema.
func (db *DB) SchemaVersion(ctx context.Context) (version int, err error) {
	rows, err := db.readers.query(ctx, "PRAGMA user_version")
	if err != nil {
		return 0, err
	}
	versions, err := scanAll(rows, func(row scanner) (v int, err error) { return v, row.Scan(&v) })
	if err != nil || len(versions) == 0 {
		return 0, err
	}
	return versions[0], nil
}

// Schema returns the version of the schema of a database that no server has open, and
// that of this program.
func Schema(stateDir string) (have, program int, err error) {
	files, err := fs.Glob(schema, "schema/*.sql")
	if err != nil {
		return 0, 0, err
	}
	f, err := os.Open(filepath.Join(stateDir, File))
	if err != nil {
		return 0, len(files), err
	}
	defer f.Close()
	// The header of the file is read rather than the database, which only the process
	// that has locked the state directory opens.
	header := make([]byte, 100)
	if _, err := io.ReadFull(f, header); err != nil || !bytes.HasPrefix(header, []byte("SQLite format 3\x00")) {
		return 0, len(files), fmt.Errorf("%s is no database", f.Name())
	}
	return int(binary.BigEndian.Uint32(header[60:])), len(files), nil
}
