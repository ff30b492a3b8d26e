package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
)

// Received is the view of the database that keeps received transfers.
type Received struct{ db *DB }

// Received returns the view that implements transfer.RecvStore.
func (db *DB) Received() *Received { return &Received{db} }

const recvColumns = `seq, source_public_key, transfer_id, username, destination_path, status, error_message,
	total_files, total_size, files_received, bytes_received, source_ip, source_port, start_time,
	last_recv_time, last_error_time, end_time, ticket_hash, conflict, on_error, root, staging, finishing, partial_index, partial_offset,
	partial_digest, partial_size, partial_mod_time, grown, mirror, removed_files, token_id, confined`

func scanRecv(row scanner) (transfer.RecvTransfer, error) {
	var t transfer.RecvTransfer
	var mirror []byte
	err := row.Scan(&t.Seq, &t.SourcePublicKey, &t.TransferID, &t.Username, &t.DestinationPath, (*string)(&t.Status), &t.ErrorMessage,
		&t.TotalFiles, &t.TotalSize, &t.FilesReceived, &t.BytesReceived, &t.SourceIP, &t.SourcePort, (*int64)(&t.StartTime),
		(*int64)(&t.LastRecvTime), (*int64)(&t.LastErrorTime), (*int64)(&t.EndTime), &t.TicketHash, &t.Conflict, &t.OnError, &t.Root, &t.Staging, &t.Finishing,
		&t.Partial.Index, &t.Partial.Offset, &t.Partial.Rest, &t.Partial.Size, &t.Partial.ModTime, &t.Grown, &mirror, &t.RemovedFiles, &t.TokenID, &t.Confined)
	if err == nil && len(mirror) > 0 {
		err = json.Unmarshal(mirror, &t.Mirror)
	}
	t.DestinationPathBase64 = api.Base64Unless(t.DestinationPath)
	t.Processing = t.Status.Processing()
	return t, err
}

// SaveRecvTransfer implements transfer.RecvTx.
func (t *tx) SaveRecvTransfer(r *transfer.RecvTransfer) error {
	mirror := ""
	if r.Mirror != nil {
		b, err := json.Marshal(r.Mirror)
		if err != nil {
			return err
		}
		mirror = string(b)
	}
	const columns = `source_public_key, transfer_id, username, destination_path, status, error_message,
		total_files, total_size, files_received, bytes_received, source_ip, source_port, start_time,
		last_recv_time, last_error_time, end_time, ticket_hash, conflict, on_error, root, staging, finishing, grown, mirror, removed_files, token_id, confined`
	return t.queryRow(`INSERT INTO recv_transfers (`+columns+`)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (transfer_id, source_public_key) DO UPDATE SET
		username = excluded.username, destination_path = excluded.destination_path, status = excluded.status,
		error_message = excluded.error_message, total_files = excluded.total_files, total_size = excluded.total_size,
		files_received = excluded.files_received, bytes_received = excluded.bytes_received,
		source_ip = excluded.source_ip, source_port = excluded.source_port, start_time = excluded.start_time,
		last_recv_time = excluded.last_recv_time, last_error_time = excluded.last_error_time, end_time = excluded.end_time,
		ticket_hash = excluded.ticket_hash, conflict = excluded.conflict, on_error = excluded.on_error,
		root = excluded.root, staging = excluded.staging, finishing = excluded.finishing, grown = excluded.grown,
		mirror = excluded.mirror, removed_files = excluded.removed_files,
		token_id = excluded.token_id, confined = excluded.confined
		RETURNING seq`,
		r.SourcePublicKey, r.TransferID, r.Username, []byte(r.DestinationPath), r.Status, r.ErrorMessage,
		r.TotalFiles, r.TotalSize, r.FilesReceived, r.BytesReceived, r.SourceIP, r.SourcePort, r.StartTime,
		r.LastRecvTime, r.LastErrorTime, r.EndTime, orNoBytes(r.TicketHash), r.Conflict, r.OnError,
		[]byte(r.Root), []byte(r.Staging), r.Finishing, r.Grown, mirror, r.RemovedFiles, r.TokenID, []byte(r.Confined)).Scan(&r.Seq)
}

// orNoBytes keeps a nil slice from becoming NULL.
func orNoBytes(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// RecvTransfer implements transfer.RecvTx.
func (t *tx) RecvTransfer(sourcePublicKey, transferID string) (*transfer.RecvTransfer, error) {
	r, err := scanRecv(t.queryRow(`SELECT `+recvColumns+` FROM recv_transfers WHERE transfer_id = ? AND source_public_key = ?`,
		transferID, sourcePublicKey))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &r, nil
}

// Update implements transfer.RecvStore.
func (v *Received) Update(ctx context.Context, fn func(transfer.RecvTx) error) error {
	return v.db.update(ctx, func(t *tx) error { return fn(t) })
}

// SaveRecvProgress implements transfer.RecvStore.
func (v *Received) SaveRecvProgress(ctx context.Context, r *transfer.RecvTransfer) error {
	return v.db.updateNoSync(ctx, func(t *tx) error {
		_, err := t.exec(`UPDATE recv_transfers SET source_ip = ?, source_port = ?, last_recv_time = max(last_recv_time, ?),
			last_error_time = max(last_error_time, ?) WHERE transfer_id = ? AND source_public_key = ?`,
			r.SourceIP, r.SourcePort, r.LastRecvTime, r.LastErrorTime, r.TransferID, r.SourcePublicKey)
		return err
	})
}

// SaveRecvCheckpoint implements transfer.RecvStore.
func (v *Received) SaveRecvCheckpoint(ctx context.Context, sourcePublicKey, transferID string, c transfer.Checkpoint) error {
	return v.db.updateNoSync(ctx, func(t *tx) error {
		_, err := t.exec(`UPDATE recv_transfers SET partial_index = ?, partial_offset = ?, partial_digest = ?, partial_size = ?, partial_mod_time = ?
			WHERE transfer_id = ? AND source_public_key = ?`,
			c.Index, c.Offset, c.Rest, c.Size, c.ModTime, transferID, sourcePublicKey)
		return err
	})
}

// RecvTransfers implements transfer.RecvStore.
func (v *Received) RecvTransfers(ctx context.Context, p transfer.Page) ([]transfer.RecvTransfer, error) {
	query, args := onePage(`SELECT `+recvColumns+` FROM recv_transfers`, "username", "recv_transfers.transfer_id", p)
	return v.list(ctx, query, args...)
}

// Receiving implements transfer.RecvStore.
func (v *Received) Receiving(ctx context.Context) ([]transfer.RecvTransfer, error) {
	return v.list(ctx, `SELECT `+recvColumns+` FROM recv_transfers WHERE status = 'receiving' OR staging <> x'' ORDER BY seq`)
}

func (v *Received) list(ctx context.Context, query string, args ...any) ([]transfer.RecvTransfer, error) {
	rows, err := v.db.readers.query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return scanAll(rows, scanRecv)
}

// RecvTransfer implements transfer.RecvStore.
func (v *Received) RecvTransfer(ctx context.Context, transferID, username string) (transfer.RecvTransfer, error) {
	query, args := `SELECT `+recvColumns+` FROM recv_transfers WHERE transfer_id = ?`, []any{transferID}
	if username != "" {
		query, args = query+` AND username = ?`, append(args, username)
	}
	r, err := scanRecv(v.db.readers.queryRow(ctx, query+` ORDER BY seq DESC LIMIT 1`, args...))
	if errors.Is(err, sql.ErrNoRows) {
		return r, api.Errorf(api.CodeNotFound, "no received transfer has the id %q; list them with recv.getTransfers", transferID)
	}
	return r, err
}

const selectRecvSeq = "SELECT seq FROM recv_transfers WHERE transfer_id = ? AND source_public_key = ?"

// seqOf finds the number under which a transfer's entries are kept.
func (v *Received) seqOf(ctx context.Context, sourcePublicKey, transferID string) (seq int64, err error) {
	err = v.db.readers.queryRow(ctx, selectRecvSeq, transferID, sourcePublicKey).Scan(&seq)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("received transfer %s of %s is not in the database", transferID, sourcePublicKey)
	}
	return seq, err
}
