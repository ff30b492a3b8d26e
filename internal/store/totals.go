package store

import (
	"context"
	"errors"
)

// TransferTotal counts the kept transfers of one direction and state.
type TransferTotal struct {
	Direction string // send or recv
	Status    string
	Count     int64
}

// TransferTotals counts the transfers that are kept.
func (db *DB) TransferTotals(ctx context.Context) (all []TransferTotal, err error) {
	rows, err := db.readers.QueryContext(ctx, `SELECT 'send', status, count(*) FROM transfers WHERE deleted = 0 GROUP BY status
		UNION ALL SELECT 'recv', status, count(*) FROM recv_transfers GROUP BY status`)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var t TransferTotal
		if err := rows.Scan(&t.Direction, &t.Status, &t.Count); err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, rows.Err()
}
