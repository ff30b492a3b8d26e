package store

import (
	"context"
	"encoding/json"
	"errors"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
)

const destinationColumns = `seq, destination_id, owner, address, port, ip, public_key, send_rate_max, last_error,
	last_send_time, create_time, user_data, destination, sender`

const selectDestination = "SELECT " + destinationColumns + `,
	(SELECT count(*) FROM transfers t WHERE t.processing = 1 AND t.destination_id = destinations.destination_id)
	FROM destinations`

const insertDestination = "INSERT INTO destinations (" + destinationColumns + ") VALUES (" +
	"NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

const updateDestination = `UPDATE destinations SET ip = ?, public_key = ?, send_rate_max = ?, last_error = ?,
	last_send_time = ?, create_time = ?, user_data = ?, destination = ?, sender = ? WHERE seq = ?`

// SaveDestination implements transfer.Tx.
func (t *tx) SaveDestination(d *transfer.Destination) error {
	data, err := json.Marshal(d.UserData)
	if err != nil {
		return err
	}
	identity := []any{d.DestinationID, d.Owner, d.DestinationAddress, d.DestinationPort}
	rest := []any{
		d.DestinationIP, d.DestinationPublicKey, d.SendRateMax, d.LastErrorMessage, int64(d.LastSendTime),
		int64(d.CreateTime), string(data), d.Destination, d.Sender,
	}
	if d.Seq == 0 {
		d.Seq, err = t.insert(insertDestination, append(identity, rest...)...)
		return err
	}
	_, err = t.exec(updateDestination, append(rest, d.Seq)...)
	return err
}

// DeleteDestination implements transfer.Tx.
func (t *tx) DeleteDestination(destinationID string) error {
	_, err := t.exec("DELETE FROM destinations WHERE destination_id = ?", destinationID)
	return err
}

// scanDestination reads what selectDestination selects; without a row it fails with code notFound.
func scanDestination(row scanner, destinationID string) (transfer.Destination, error) {
	var d transfer.Destination
	var data []byte
	err := row.Scan(&d.Seq, &d.DestinationID, &d.Owner, &d.DestinationAddress, &d.DestinationPort, &d.DestinationIP,
		&d.DestinationPublicKey, &d.SendRateMax, &d.LastErrorMessage, (*int64)(&d.LastSendTime), (*int64)(&d.CreateTime), &data,
		&d.Destination, &d.Sender, &d.NumTransfersQueued)
	if err != nil {
		return d, noRow(err, "destination", destinationID)
	}
	return d, json.Unmarshal(data, &d.UserData)
}

// Destination implements transfer.Tx.
func (t *tx) Destination(destinationID string) (*transfer.Destination, error) {
	d, err := scanDestination(t.queryRow(selectDestination+" WHERE destination_id = ?", destinationID), destinationID)
	return &d, err
}

const destinationAt = selectDestination + " WHERE owner = ? AND address = ? AND port = ?"

// DestinationAt implements transfer.Tx.
func (t *tx) DestinationAt(owner, address string, port int) (*transfer.Destination, error) {
	return perhapsDestination(t.queryRow(destinationAt, owner, address, port))
}

// DestinationAt implements transfer.Store.
func (s *Transfers) DestinationAt(ctx context.Context, owner, address string, port int) (*transfer.Destination, error) {
	return perhapsDestination(s.db.readers.queryRow(ctx, destinationAt, owner, address, port))
}

// perhapsDestination is scanDestination, but no row is nil.
func perhapsDestination(row scanner) (*transfer.Destination, error) {
	d, err := scanDestination(row, "")
	if errors.Is(err, &api.Error{Code: api.CodeNotFound}) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &d, nil
}

// Destination implements transfer.Store.
func (s *Transfers) Destination(ctx context.Context, destinationID string) (transfer.Destination, error) {
	return scanDestination(s.db.readers.queryRow(ctx, selectDestination+" WHERE destination_id = ?", destinationID), destinationID)
}

// Destinations implements transfer.Store; they have no status.
func (s *Transfers) Destinations(ctx context.Context, p transfer.Page) ([]transfer.Destination, error) {
	query, args := onePage(selectDestination, "owner", "destinations.destination_id", transfer.Page{Owner: p.Owner, IDPart: p.IDPart, Before: p.Before, Limit: p.Limit})
	rows, err := s.db.readers.query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return scanAll(rows, func(row scanner) (transfer.Destination, error) { return scanDestination(row, "") })
}
