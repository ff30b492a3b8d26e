package store

import (
	"jetstream/internal/api"
)

// CollectTransfers implements transfer.Tx.
func (t *tx) CollectTransfers(before api.Time, limit int) (int, error) {
	n, err := t.execCount(`DELETE FROM transfers WHERE seq IN (SELECT seq FROM transfers
		WHERE processing = 0 AND end_time < ? AND tell_peer = 0 AND deleting_sources = 0 ORDER BY end_time LIMIT ?)`, int64(before), limit)
	return int(n), err
}

// CollectManifests implements transfer.Tx; the entries are left to
// PurgeManifestFiles.
func (t *tx) CollectManifests(before api.Time, limit int) (int, error) {
	rows, err := t.query(`SELECT manifest_id FROM manifests m WHERE create_time < ? AND status <> 'pending'
		AND NOT EXISTS (SELECT 1 FROM transfers x WHERE x.manifest_id = m.manifest_id) ORDER BY create_time LIMIT ?`, int64(before), limit)
	if err != nil {
		return 0, err
	}
	ids, err := scanAll(rows, scanID)
	if err != nil {
		return 0, err
	}
	for _, id := range ids {
		if err := t.DeleteManifest(id); err != nil {
			return 0, err
		}
	}
	return len(ids), nil
}

// endedRecv keeps what a run that waits or runs still lists the files of.
const endedRecv = `SELECT seq FROM recv_transfers WHERE end_time > 0 AND end_time < ? AND staging = x''
	AND source_public_key || '/' || transfer_id NOT IN (SELECT subject FROM runs WHERE end_time = 0)
	ORDER BY end_time LIMIT ?`

const emptyRecv = `SELECT seq FROM recv_transfers WHERE status = 'receiving' AND conflict = '' AND start_time < ?
	AND source_public_key || '/' || transfer_id NOT IN (SELECT value FROM json_each(?)) LIMIT ?`

// CollectRecv implements transfer.RecvTx; the entries are left to
// PurgeRecvFiles.
func (t *tx) CollectRecv(before api.Time, except []string, limit int) (int, error) {
	ended, err := t.recvSeqs(endedRecv, int64(before), limit)
	if err != nil {
		return 0, err
	}
	excepted, err := idList(except)
	if err != nil {
		return 0, err
	}
	empty, err := t.recvSeqs(emptyRecv, int64(before), excepted, limit)
	if err != nil {
		return 0, err
	}
	for _, seq := range append(ended, empty...) {
		if _, err := t.exec("INSERT INTO recv_removed (transfer) VALUES (?)", seq); err != nil {
			return 0, err
		}
		if _, err := t.exec("DELETE FROM recv_transfers WHERE seq = ?", seq); err != nil {
			return 0, err
		}
	}
	return len(ended) + len(empty), nil
}

func (t *tx) recvSeqs(query string, args ...any) ([]int64, error) {
	rows, err := t.query(query, args...)
	if err != nil {
		return nil, err
	}
	return scanAll(rows, func(row scanner) (seq int64, err error) { return seq, row.Scan(&seq) })
}

// PurgeRecvFiles implements transfer.RecvTx.
func (t *tx) PurgeRecvFiles(limit int) (more bool, err error) {
	seqs, err := t.recvSeqs("SELECT transfer FROM recv_removed LIMIT 1")
	if err != nil || len(seqs) == 0 {
		return false, err
	}
	n, err := t.execCount(`DELETE FROM recv_files WHERE transfer = ?1
		AND idx IN (SELECT idx FROM recv_files WHERE transfer = ?1 ORDER BY idx LIMIT ?2)`, seqs[0], limit)
	if err != nil {
		return false, err
	}
	if n == int64(limit) {
		return true, nil
	}
	n, err = t.execCount(`DELETE FROM recv_removals WHERE transfer = ?1
		AND idx IN (SELECT idx FROM recv_removals WHERE transfer = ?1 ORDER BY idx LIMIT ?2)`, seqs[0], limit)
	if err != nil || n == int64(limit) {
		return true, err
	}
	_, err = t.exec("DELETE FROM recv_removed WHERE transfer = ?", seqs[0])
	return true, err
}
