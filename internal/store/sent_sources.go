package store

import (
	"context"
	"errors"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
)

const (
	saveSentSource        = `INSERT OR REPLACE INTO sent_sources (transfer, idx, device, inode, size, mod_time, change_time) VALUES ROWS`
	saveSentSourceColumns = 7
)

// SaveSentSources implements transfer.Tx.
func (t *tx) SaveSentSources(seq int64, list []transfer.SentSource) error {
	_, err := insertMany(t.exec, &t.batch.w.sentSourceInserts, list, func(row []any, s transfer.SentSource) []any {
		return append(row, seq, s.Index, int64(s.Device), int64(s.Inode), s.Size, s.ModTime, s.ChangeTime)
	})
	return err
}

// SentSources implements transfer.Tx.
func (t *tx) SentSources(seq, from, to int64) ([]transfer.SentSource, error) {
	rows, err := t.query(`SELECT idx, device, inode, size, mod_time, change_time FROM sent_sources
		WHERE transfer = ? AND idx BETWEEN ? AND ? ORDER BY idx`, seq, from, to)
	if err != nil {
		return nil, err
	}
	return scanAll(rows, func(row scanner) (s transfer.SentSource, err error) {
		var device, inode int64
		err = row.Scan(&s.Index, &device, &inode, &s.Size, &s.ModTime, &s.ChangeTime)
		s.Device, s.Inode = uint64(device), uint64(inode)
		return s, err
	})
}

// DropSentSources implements transfer.Tx.
func (t *tx) DropSentSources(seq, from int64, limit int) (more bool, err error) {
	n, err := t.execCount(`DELETE FROM sent_sources WHERE transfer = ?1 AND idx IN
		(SELECT idx FROM sent_sources WHERE transfer = ?1 AND idx >= ?2 ORDER BY idx LIMIT ?3)`, seq, from, limit)
	return n == int64(limit), err
}

// DeletingSources implements transfer.Store.
func (s *Transfers) DeletingSources(ctx context.Context) (*transfer.Transfer, error) {
	t, err := scanTransfer(s.db.readers.queryRow(ctx, selectTransfer+" WHERE deleting_sources = 1 ORDER BY seq LIMIT 1"), "")
	if errors.Is(err, &api.Error{Code: api.CodeNotFound}) {
		return nil, nil //nolint:nilnil // there is none
	}
	if err != nil {
		return nil, err
	}
	return &t, nil
}
