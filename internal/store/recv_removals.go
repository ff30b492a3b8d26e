package store

import (
	"context"
	"encoding/json"
	"slices"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
)

const (
	saveRemoval = `INSERT OR REPLACE INTO recv_removals
		(transfer, idx, name, final, real, dir, size, mod_time, change_time, links, state) VALUES ROWS`
	saveRemovalColumns = 11
)

// SaveRemovals implements transfer.RecvTx.
func (t *tx) SaveRemovals(sourcePublicKey, transferID string, list []transfer.Removal) error {
	seq, err := t.seqOf(sourcePublicKey, transferID)
	if err != nil {
		return err
	}
	_, err = insertMany(t.exec, &t.batch.w.removalInserts, list, func(row []any, r transfer.Removal) []any {
		return append(row, seq, r.Index, []byte(r.Name), []byte(r.Final), []byte(r.Real), r.Dir, r.Size, r.ModTime, r.ChangeTime, r.Links, r.State)
	})
	return err
}

// DropRemovals implements transfer.RecvTx.
func (t *tx) DropRemovals(sourcePublicKey, transferID string) error {
	seq, err := t.seqOf(sourcePublicKey, transferID)
	if err != nil {
		return err
	}
	_, err = t.exec(`DELETE FROM recv_removals WHERE transfer = ?`, seq)
	return err
}

// Removals implements transfer.RecvStore.
func (v *Received) Removals(ctx context.Context, sourcePublicKey, transferID string, from int64, limit int) ([]transfer.Removal, error) {
	seq, err := v.seqOf(ctx, sourcePublicKey, transferID)
	if err != nil {
		return nil, err
	}
	rows, err := v.db.readers.query(ctx, `SELECT idx, name, final, real, dir, size, mod_time, change_time, links, state
		FROM recv_removals WHERE transfer = ? AND idx >= ? ORDER BY idx LIMIT ?`, seq, from, limit)
	if err != nil {
		return nil, err
	}
	return scanAll(rows, func(row scanner) (r transfer.Removal, err error) {
		return r, row.Scan(&r.Index, &r.Name, &r.Final, &r.Real, &r.Dir, &r.Size, &r.ModTime, &r.ChangeTime, &r.Links, &r.State)
	})
}

// knownFiles has CROSS JOIN so that SQLite looks up one fold after the other.
const knownFiles = `SELECT idx, dir, real, fold FROM json_each(?) AS wanted CROSS JOIN recv_files INDEXED BY recv_files_fold
	ON transfer = ? AND fold = wanted.value WHERE fold <> 0 LIMIT ?`

// KnownFiles implements transfer.RecvStore.
func (v *Received) KnownFiles(ctx context.Context, sourcePublicKey, transferID string, folds []int64, limit int) ([]transfer.RecvFile, error) {
	seq, err := v.seqOf(ctx, sourcePublicKey, transferID)
	if err != nil {
		return nil, err
	}
	list, err := json.Marshal(slices.Compact(slices.Sorted(slices.Values(folds))))
	if err != nil {
		return nil, err
	}
	rows, err := v.db.readers.query(ctx, knownFiles, string(list), seq, limit)
	if err != nil {
		return nil, err
	}
	return scanAll(rows, func(row scanner) (f transfer.RecvFile, err error) {
		return f, row.Scan(&f.Index, &f.Dir, &f.Real, &f.Fold)
	})
}

// RecvSince implements transfer.RecvStore.
func (v *Received) RecvSince(ctx context.Context, since api.Time) ([]transfer.RecvTransfer, error) {
	return v.list(ctx, `SELECT `+recvColumns+` FROM recv_transfers WHERE seq IN (
		SELECT seq FROM recv_transfers WHERE status = 'receiving' OR staging <> x''
		UNION SELECT seq FROM recv_transfers WHERE end_time > 0 AND end_time >= ?)`, int64(since))
}
