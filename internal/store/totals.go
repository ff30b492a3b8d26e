package store

import "context"

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
