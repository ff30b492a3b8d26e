package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

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

// scanDestination reads what selectDestination selects; no row is notFound.
func scanDestination(row scanner, destinationID string) (transfer.Destination, error) {
	var d transfer.Destination
	var data []byte
	err := row.Scan(&d.Seq, &d.DestinationID, &d.Owner, &d.DestinationAddress, &d.DestinationPort, &d.DestinationIP,
		&d.DestinationPublicKey, &d.SendRateMax, &d.LastErrorMessage, &d.LastSendTime, &d.CreateTime, &data,
		&d.Destination, &d.Sender, &d.NumTransfersQueued)
	if err != nil {
		return d, noRow(err, "destination", destinationID)
	}
	return d, json.Unmarshal(data, &d.UserData)
}

// Destination implements transfer.Tx.
func (t *tx) Destination(destinationID string) (*transfer.Destination, error) {
	row, err := t.queryRow(selectDestination+" WHERE destination_id = ?", destinationID)
	if err != nil {
		return nil, err
	}
	d, err := scanDestination(row, destinationID)
	return &d, err
}

// DestinationAt implements transfer.Tx.
func (t *tx) DestinationAt(owner, address string, port int) (*transfer.Destination, error) {
	row, err := t.queryRow("SELECT destination_id FROM destinations WHERE owner = ? AND address = ? AND port = ?", owner, address, port)
	if err != nil {
		return nil, err
	}
	var id string
	if err := row.Scan(&id); errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return t.Destination(id)
}

// Destination implements transfer.Store.
func (s *Transfers) Destination(ctx context.Context, destinationID string) (transfer.Destination, error) {
	return scanDestination(s.db.readers.QueryRowContext(ctx, selectDestination+" WHERE destination_id = ?", destinationID), destinationID)
}

// Destinations implements transfer.Store; they have no status.
func (s *Transfers) Destinations(ctx context.Context, p transfer.Page) ([]transfer.Destination, error) {
	rows, err := s.db.readers.QueryContext(ctx,
		selectDestination+" WHERE (?1 = '' OR owner = ?1) AND (?2 = 0 OR seq < ?2) ORDER BY seq DESC LIMIT ?3",
		p.Owner, p.Before, p.Limit)
	if err != nil {
		return nil, err
	}
	return collect(rows, func(row scanner) (transfer.Destination, error) { return scanDestination(row, "") })
}
