package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
)

// Transfers is the database as the transfer engine sees it: destinations,
// manifests and sent transfers. It implements transfer.Store.
type Transfers struct{ db *DB }

// Transfers returns the view of destinations, manifests and sent transfers.
func (db *DB) Transfers() *Transfers { return &Transfers{db} }

var _ transfer.Store = (*Transfers)(nil)

// Update implements transfer.Store.
func (s *Transfers) Update(ctx context.Context, fn func(transfer.Tx) error) error {
	return s.db.update(ctx, func(t *tx) error { return fn(t) })
}

// UpdateNoSync implements transfer.Store.
func (s *Transfers) UpdateNoSync(ctx context.Context, fn func(transfer.Tx) error) error {
	return s.db.updateNoSync(ctx, func(t *tx) error { return fn(t) })
}

// The columns of shownTransfer are what callers see of a transfer, the others
// what only the engine needs.
const (
	shownTransfer = `seq, transfer_id, manifest_id, destination_id, destination_address, destination_port,
	destination_path, username, status, processing, error_message, priority, checkpoint_seconds, conflict,
	on_error, total_files, total_bytes, files_sent, bytes_sent, request_time, start_time, end_time, owner, user_data,
	checksum, compression, bytes_saved, grown, mirror, max_delete, removed_files,
	delete_source, deleting_sources, sources_deleted, sources_kept, sources_message`
	transferColumns = shownTransfer + `, sealed_password, ticket, public_key, tell_peer, request_id, depth, deleted, data_bytes, sources_next`

	selectShown    = "SELECT " + shownTransfer + " FROM transfers"
	selectTransfer = "SELECT " + transferColumns + " FROM transfers"
)

const insertTransfer = "INSERT INTO transfers (" + transferColumns + ") VALUES (" +
	"NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, " +
	"?, ?, ?, ?, ?, ?)"

// updateTransfer changes what may change after a transfer was made.
const updateTransfer = `UPDATE transfers SET destination_path = ?, username = ?, status = ?, processing = ?,
	error_message = ?, priority = ?, checkpoint_seconds = ?, conflict = ?, on_error = ?, total_files = ?,
	total_bytes = ?, files_sent = ?, bytes_sent = ?, request_time = ?, start_time = ?, end_time = ?, owner = ?,
	user_data = ?, checksum = ?, compression = ?, bytes_saved = ?, grown = ?, mirror = ?, max_delete = ?, removed_files = ?,
	delete_source = ?, deleting_sources = ?, sources_deleted = ?, sources_kept = ?, sources_message = ?, sealed_password = ?, ticket = ?, public_key = ?, tell_peer = ?, request_id = ?, depth = ?, deleted = ?,
	data_bytes = ?, sources_next = ?
	WHERE seq = ?`

// SaveTransfer implements transfer.Tx.
func (t *tx) SaveTransfer(x *transfer.Transfer) error {
	data, err := json.Marshal(x.UserData)
	if err != nil {
		return err
	}
	identity := []any{x.TransferID, x.ManifestID, x.DestinationID, x.DestinationAddress, x.DestinationPort}
	rest := []any{
		x.DestinationPath, x.Username, string(x.Status), x.Processing, x.ErrorMessage, x.Priority,
		x.CheckpointFrequencySeconds, x.Conflict, x.OnError, x.TotalFiles, x.TotalBytes, x.FilesSent, x.BytesSent,
		int64(x.RequestTime), int64(x.StartTime), int64(x.EndTime), x.Owner, string(data),
		x.Checksum, x.Compression, x.BytesSaved, x.Grown, x.Mirror, x.MaxDelete, x.RemovedFiles,
		x.DeleteSource, x.DeletingSources, x.SourcesDeleted, x.SourcesKept, x.SourcesMessage, x.SealedPassword, x.Ticket,
		x.PublicKey, x.TellPeer, x.RequestID, x.Depth, x.Deleted, x.DataBytes, x.SourcesNext,
	}
	if x.Seq == 0 {
		x.Seq, err = t.insert(insertTransfer, append(identity, rest...)...)
		return err
	}
	_, err = t.exec(updateTransfer, append(rest, x.Seq)...)
	return err
}

// transferRow is what one row after the other is read into.
type transferRow struct {
	transfer.Transfer
	userData []byte
	shown    []any // where shownTransfer goes
	all      []any // where transferColumns goes
}

func newTransferRow() *transferRow {
	r := &transferRow{}
	x := &r.Transfer
	r.all = []any{
		&x.Seq, &x.TransferID, &x.ManifestID, &x.DestinationID, &x.DestinationAddress, &x.DestinationPort,
		&x.DestinationPath, &x.Username, (*string)(&x.Status), &x.Processing, &x.ErrorMessage, &x.Priority,
		&x.CheckpointFrequencySeconds, &x.Conflict, &x.OnError, &x.TotalFiles, &x.TotalBytes, &x.FilesSent, &x.BytesSent,
		(*int64)(&x.RequestTime), (*int64)(&x.StartTime), (*int64)(&x.EndTime), &x.Owner, &r.userData,
		&x.Checksum, &x.Compression, &x.BytesSaved, &x.Grown, &x.Mirror, &x.MaxDelete, &x.RemovedFiles,
		&x.DeleteSource, &x.DeletingSources, &x.SourcesDeleted, &x.SourcesKept, &x.SourcesMessage,
		&x.SealedPassword, &x.Ticket, &x.PublicKey, &x.TellPeer, &x.RequestID, &x.Depth, &x.Deleted, &x.DataBytes, &x.SourcesNext,
	}
	const hidden = 9 // those in the last line
	r.shown = r.all[:len(r.all)-hidden]
	return r
}

func (r *transferRow) scan(row scanner, into []any) (_ transfer.Transfer, err error) {
	if err := row.Scan(into...); err != nil {
		return transfer.Transfer{}, err
	}
	r.DestinationPathBase64 = api.Base64Unless(r.DestinationPath)
	r.UserData = nil // of the row before
	err = json.Unmarshal(r.userData, &r.UserData)
	return r.Transfer, err
}

// scanTransfer reads transferColumns; without a row it fails with code notFound.
func scanTransfer(row scanner, transferID string) (transfer.Transfer, error) {
	r := newTransferRow()
	x, err := r.scan(row, r.all)
	return x, noRow(err, "transfer", transferID)
}

// noRow turns the error of a query without rows into that of an object that does
// not exist.
func noRow(err error, kind, id string) error {
	if errors.Is(err, sql.ErrNoRows) {
		return api.NotFound(kind, id)
	}
	return err
}

// Transfer implements transfer.Tx.
func (t *tx) Transfer(transferID string) (*transfer.Transfer, error) {
	x, err := scanTransfer(t.queryRow(selectTransfer+" WHERE transfer_id = ?", transferID), transferID)
	return &x, err
}

// DeleteTransfer implements transfer.Tx.
func (t *tx) DeleteTransfer(transferID string) error {
	_, err := t.exec("DELETE FROM transfers WHERE transfer_id = ?", transferID)
	return err
}

func scanID(row scanner) (id string, err error) { return id, row.Scan(&id) }

// OpenTransfers implements transfer.Tx.
func (t *tx) OpenTransfers(destinationID, manifestID string) ([]string, error) {
	query, id := "SELECT transfer_id FROM transfers WHERE processing = 1 AND destination_id = ? ORDER BY seq", destinationID
	if destinationID == "" {
		query, id = "SELECT transfer_id FROM transfers WHERE processing = 1 AND manifest_id = ? ORDER BY seq", manifestID
	}
	rows, err := t.query(query, id)
	if err != nil {
		return nil, err
	}
	return scanAll(rows, scanID)
}

// OpenTransfersOf implements transfer.Tx.
func (t *tx) OpenTransfersOf(owner string) ([]string, error) {
	rows, err := t.query("SELECT transfer_id FROM transfers WHERE processing = 1 AND owner = ? ORDER BY seq", owner)
	if err != nil {
		return nil, err
	}
	return scanAll(rows, scanID)
}

// Transfers implements transfer.Store.
func (s *Transfers) Transfers(ctx context.Context, p transfer.Page) ([]transfer.Transfer, error) {
	query, args := onePage(selectShown, "owner", "transfers.transfer_id", p, "deleted = 0")
	rows, err := s.db.readers.query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	r := newTransferRow()
	return scanAll(rows, func(row scanner) (transfer.Transfer, error) { return r.scan(row, r.shown) })
}

// Transfer implements transfer.Store.
func (s *Transfers) Transfer(ctx context.Context, transferID string) (transfer.Transfer, error) {
	return scanTransfer(s.db.readers.queryRow(ctx, selectTransfer+" WHERE transfer_id = ? AND deleted = 0", transferID), transferID)
}

// runnable repeats the condition of index transfers_runnable word for word, for
// only then is that used.
const runnable = ` WHERE (status IN ('pending', 'active') OR tell_peer = 1)
	AND transfer_id NOT IN (SELECT value FROM json_each(?)) ORDER BY priority, seq LIMIT ?`

// Runnable implements transfer.Store.
func (s *Transfers) Runnable(ctx context.Context, except []string, limit int) ([]transfer.Transfer, error) {
	left, err := idList(except)
	if err != nil {
		return nil, err
	}
	rows, err := s.db.readers.query(ctx, selectTransfer+runnable, left, limit)
	if err != nil {
		return nil, err
	}
	r := newTransferRow()
	return scanAll(rows, func(row scanner) (transfer.Transfer, error) { return r.scan(row, r.all) })
}

// idList writes ids for json_each.
func idList(ids []string) (string, error) {
	if len(ids) == 0 {
		return "[]", nil
	}
	b, err := json.Marshal(ids)
	return string(b), err
}

// SaveProgress implements transfer.Store.
func (s *Transfers) SaveProgress(ctx context.Context, x *transfer.Transfer) error {
	return s.db.updateNoSync(ctx, func(t *tx) error {
		_, err := t.exec(`UPDATE transfers SET files_sent = ?, bytes_sent = ?, bytes_saved = ?, total_bytes = total_bytes - grown + ?, grown = ?
			WHERE transfer_id = ? AND processing = 1`, x.FilesSent, x.BytesSent, x.BytesSaved, x.Grown, x.Grown, x.TransferID)
		return err
	})
}

// UnderWay counts the transfers that have not ended.
func (db *DB) UnderWay(ctx context.Context) (sending, receiving int, err error) {
	err = db.readers.queryRow(ctx, `SELECT (SELECT count(*) FROM transfers WHERE processing = 1 AND deleted = 0),
		(SELECT count(*) FROM recv_transfers WHERE status = 'receiving')`).Scan(&sending, &receiving)
	return sending, receiving, err
}
