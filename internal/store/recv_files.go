package store

import (
	"context"
	"fmt"
	"iter"
	"path/filepath"
	"strings"

	"jetstream/internal/transfer"
	"jetstream/triggers"
)

// recvPage is how many entries are read at a time: a reader that pauses
// between them holds neither a connection nor an old state of the database.
const recvPage = 1000

const (
	saveRecvFile = `INSERT OR REPLACE INTO recv_files
		(transfer, idx, name, size, mode, mod_time, dir, skipped, error, final, real, placed, made, fold, digest, grown, root) VALUES ROWS`
	saveRecvFileColumns = 17
)

// SaveRecvFiles implements transfer.RecvTx.
func (t *tx) SaveRecvFiles(sourcePublicKey, transferID string, files []transfer.RecvFile) error {
	seq, err := t.seqOf(sourcePublicKey, transferID)
	if err != nil {
		return err
	}
	_, err = insertMany(t.exec, &t.batch.w.recvFileInserts, files, func(row []any, f transfer.RecvFile) []any {
		return append(row, seq, f.Index, []byte(f.Name), f.Size, int64(f.Mode), f.ModTime, f.Dir, f.Skipped, f.Error,
			[]byte(f.Final), []byte(f.Real), f.Placed, f.Made, f.Fold, f.Digest, f.Grown, f.Root)
	})
	return err
}

// PlaceRecvFiles implements transfer.RecvTx.
func (t *tx) PlaceRecvFiles(sourcePublicKey, transferID string, first, last int64) error {
	seq, err := t.seqOf(sourcePublicKey, transferID)
	if err != nil {
		return err
	}
	_, err = t.exec(`UPDATE recv_files SET placed = 1
		WHERE transfer = ? AND idx BETWEEN ? AND ? AND placed = 0 AND skipped = 0 AND real <> x''`, seq, first, last)
	return err
}

// DropRecvFiles implements transfer.RecvTx.
func (t *tx) DropRecvFiles(sourcePublicKey, transferID string, from int64) (files, bytes, grown int64, err error) {
	seq, err := t.seqOf(sourcePublicKey, transferID)
	if err != nil {
		return 0, 0, 0, err
	}
	if _, err := t.exec(`DELETE FROM recv_files WHERE transfer = ? AND idx >= ?`, seq, from); err != nil {
		return 0, 0, 0, err
	}
	err = t.queryRow(`SELECT coalesce(sum(NOT dir AND NOT skipped), 0), coalesce(sum(CASE WHEN dir OR skipped THEN 0 ELSE size END), 0),
		coalesce(sum(grown), 0) FROM recv_files WHERE transfer = ?`, seq).Scan(&files, &bytes, &grown)
	return files, bytes, grown, err
}

// seqOf finds the number under which a transfer's entries are kept.
func (t *tx) seqOf(sourcePublicKey, transferID string) (seq int64, err error) {
	err = t.queryRow(selectRecvSeq, transferID, sourcePublicKey).Scan(&seq)
	if err != nil {
		return 0, fmt.Errorf("save entries of received transfer %s: %w", transferID, err)
	}
	return seq, nil
}

// RecvFiles implements transfer.RecvStore.
func (v *Received) RecvFiles(ctx context.Context, sourcePublicKey, transferID string, from int64) iter.Seq2[transfer.RecvFile, error] {
	return func(yield func(transfer.RecvFile, error) bool) {
		seq, err := v.seqOf(ctx, sourcePublicKey, transferID)
		if err != nil {
			yield(transfer.RecvFile{}, err)
			return
		}
		for page := []transfer.RecvFile(nil); ; {
			page, err = v.files(ctx, page[:0], `WHERE transfer = ? AND idx >= ? ORDER BY idx LIMIT ?`, seq, from, recvPage)
			if err != nil {
				yield(transfer.RecvFile{}, err)
				return
			}
			for _, f := range page {
				if !yield(f, nil) {
					return
				}
			}
			if len(page) < recvPage {
				return
			}
			from = page[len(page)-1].Index + 1
		}
	}
}

// The mode and what is true or false are read as one column: each column costs
// the same, whatever it holds.
const selectRecvFiles = `SELECT idx, name, size, mode | (dir << 32) | (skipped << 33) | (placed << 34) | (made << 35) | (root << 36),
	mod_time, error, final, real, fold, digest, grown FROM recv_files `

// files appends to list the entries that the rest of the query selects.
func (v *Received) files(ctx context.Context, list []transfer.RecvFile, query string, args ...any) ([]transfer.RecvFile, error) {
	rows, err := v.db.readers.query(ctx, selectRecvFiles+query, args...)
	if err != nil {
		return nil, err
	}
	var f transfer.RecvFile
	var bits int64
	into := []any{&f.Index, &f.Name, &f.Size, &bits, &f.ModTime, &f.Error, &f.Final, &f.Real, &f.Fold, &f.Digest, &f.Grown}
	return appendAll(list, rows, func(row scanner) (transfer.RecvFile, error) {
		err := row.Scan(into...)
		f.Mode, f.Dir, f.Skipped, f.Placed, f.Made = uint32(bits), bits&(1<<32) != 0, bits&(1<<33) != 0, bits&(1<<34) != 0, bits&(1<<35) != 0
		f.Root = bits&(1<<36) != 0
		return f, err
	})
}

// MadeDirs implements transfer.RecvStore.
func (v *Received) MadeDirs(ctx context.Context, sourcePublicKey, transferID string, before int64, limit int) ([]transfer.RecvFile, error) {
	seq, err := v.seqOf(ctx, sourcePublicKey, transferID)
	if err != nil {
		return nil, err
	}
	return v.files(ctx, nil, `WHERE transfer = ? AND made = 1 AND idx < ? ORDER BY idx DESC LIMIT ?`, seq, before, limit)
}

// Folded implements transfer.RecvStore. Left to itself SQLite would read the whole
// transfer, which is in the order that is asked for.
func (v *Received) Folded(ctx context.Context, sourcePublicKey, transferID string, fold int64, limit int) ([]transfer.RecvFile, error) {
	seq, err := v.seqOf(ctx, sourcePublicKey, transferID)
	if err != nil {
		return nil, err
	}
	return v.files(ctx, nil, `INDEXED BY recv_files_fold WHERE transfer = ? AND fold = ? AND fold <> 0 ORDER BY idx LIMIT ?`, seq, fold, limit)
}

// RecvCount implements transfer.RecvStore.
func (v *Received) RecvCount(ctx context.Context, sourcePublicKey, transferID string) (entries, files, bytes int64, err error) {
	seq, err := v.seqOf(ctx, sourcePublicKey, transferID)
	if err != nil {
		return 0, 0, 0, err
	}
	err = v.db.readers.queryRow(ctx, `SELECT coalesce(max(idx) + 1, 0), coalesce(sum(NOT dir), 0), coalesce(sum(size), 0)
		FROM recv_files WHERE transfer = ?`, seq).Scan(&entries, &files, &bytes)
	return entries, files, bytes, err
}

// List implements triggers.Lister: subject is what transfer.RecvSubject made.
func (v *Received) List(ctx context.Context, subject string) iter.Seq2[triggers.ListedFile, error] {
	return func(yield func(triggers.ListedFile, error) bool) {
		key, id, ok := strings.Cut(subject, "/")
		if !ok {
			yield(triggers.ListedFile{}, fmt.Errorf("%q names no received transfer", subject))
			return
		}
		seq, err := v.seqOf(ctx, key, id)
		if err != nil {
			yield(triggers.ListedFile{}, err)
			return
		}
		var root string
		if err := v.db.readers.queryRow(ctx, `SELECT root FROM recv_transfers WHERE seq = ?`, seq).Scan(&root); err != nil {
			yield(triggers.ListedFile{}, err)
			return
		}
		for f, err := range v.RecvFiles(ctx, key, id, 0) {
			if err != nil {
				yield(triggers.ListedFile{}, err)
				return
			}
			if f.Dir || f.Skipped || !f.Placed {
				continue
			}
			if !yield(triggers.ListedFile{
				ManifestFile: f.Name, FilePath: filepath.Join(root, filepath.FromSlash(f.Real)), Path: f.Final, Size: f.Size, Digest: f.Digest,
			}, nil) {
				return
			}
		}
		v.listRemoved(ctx, key, id, root, yield)
	}
}

// listRemoved lists the files and links that a transfer has removed.
func (v *Received) listRemoved(ctx context.Context, key, id, root string, yield func(triggers.ListedFile, error) bool) {
	for from := int64(0); ; {
		page, err := v.Removals(ctx, key, id, from, recvPage)
		if err != nil {
			yield(triggers.ListedFile{}, err)
			return
		}
		for _, r := range page {
			if from = r.Index + 1; r.Dir || r.State != transfer.RemovalDone {
				continue
			}
			if !yield(triggers.ListedFile{
				ManifestFile: r.Name, FilePath: filepath.Join(root, filepath.FromSlash(r.Real)), Path: r.Final, Size: r.Size, Removed: true,
			}, nil) {
				return
			}
		}
		if len(page) < recvPage {
			return
		}
	}
}
