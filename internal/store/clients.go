package store

import (
	"context"

	"jetstream/internal/transfer"
)

// AddClient implements receiver.Clients.
func (v *Received) AddClient(ctx context.Context, c *transfer.AuthorizedClient) (made bool, err error) {
	err = v.db.update(ctx, func(t *tx) error {
		n, err := t.execCount(`INSERT INTO authorized_clients (public_key, description, create_time) VALUES (?, ?, ?)
			ON CONFLICT (public_key) DO NOTHING`, c.PublicKey, c.Description, int64(c.CreateTime))
		if err != nil {
			return err
		}
		made = n == 1
		*c, err = scanClient(t.queryRow(selectClient+" WHERE public_key = ?", c.PublicKey))
		return err
	})
	return made, err
}

const selectClient = "SELECT seq, public_key, description, create_time FROM authorized_clients"

func scanClient(row scanner) (c transfer.AuthorizedClient, err error) {
	return c, row.Scan(&c.Seq, &c.PublicKey, &c.Description, &c.CreateTime)
}

// RemoveClient implements receiver.Clients.
func (v *Received) RemoveClient(ctx context.Context, publicKey string) (found bool, err error) {
	err = v.db.update(ctx, func(t *tx) error {
		n, err := t.execCount("DELETE FROM authorized_clients WHERE public_key = ?", publicKey)
		found = n == 1
		return err
	})
	return found, err
}

// Clients implements receiver.Clients.
func (v *Received) Clients(ctx context.Context, before int64, limit int) ([]transfer.AuthorizedClient, error) {
	rows, err := v.db.readers.query(ctx, selectClient+" WHERE ?1 = 0 OR seq < ?1 ORDER BY seq DESC LIMIT ?2", before, limit)
	if err != nil {
		return nil, err
	}
	return scanAll(rows, scanClient)
}

// onlyClientsFact is the name under which OnlyClients is kept.
const onlyClientsFact = "onlyAuthorizedClientsAllowed"

// OnlyClients implements receiver.Clients.
func (v *Received) OnlyClients(ctx context.Context) (bool, error) {
	text, err := v.db.Meta(ctx, onlyClientsFact)
	return text == "true", err
}

// SetOnlyClients implements receiver.Clients.
func (v *Received) SetOnlyClients(ctx context.Context, only bool) error {
	text := "false"
	if only {
		text = "true"
	}
	return v.db.SetMeta(ctx, onlyClientsFact, text)
}

// MaySend implements receiver.Clients.
func (v *Received) MaySend(ctx context.Context, publicKey string) (ok bool, err error) {
	err = v.db.readers.queryRow(ctx, `SELECT NOT EXISTS (SELECT 1 FROM meta WHERE name = ? AND value = 'true')
		OR EXISTS (SELECT 1 FROM authorized_clients WHERE public_key = ?)`, onlyClientsFact, publicKey).Scan(&ok)
	return ok, err
}

// Known implements receiver.Clients.
func (v *Received) Known(ctx context.Context, publicKey string) (known bool, err error) {
	err = v.db.readers.queryRow(ctx, `SELECT EXISTS (SELECT 1 FROM authorized_clients WHERE public_key = ?1)
		OR EXISTS (SELECT 1 FROM recv_transfers WHERE source_public_key = ?1)`, publicKey).Scan(&known)
	return known, err
}

// Sources implements receiver.Clients.
func (v *Received) Sources(ctx context.Context, username string, before int64, limit int) ([]transfer.Source, error) {
	rows, err := v.db.readers.query(ctx, `SELECT n.seq, n.source_public_key, n.source_ip, n.source_port,
		g.receiving, g.complete, g.failed, g.cancelled, g.bytes, g.micros, g.last_recv
		FROM (SELECT max(seq) AS newest, sum(status = 'receiving') AS receiving, sum(status = 'complete') AS complete,
			sum(status = 'error') AS failed, sum(status = 'cancelled') AS cancelled, sum(bytes_received) AS bytes,
			sum(max(max(end_time, last_recv_time) - start_time, 0)) AS micros, max(last_recv_time) AS last_recv
			FROM recv_transfers WHERE ?1 = '' OR username = ?1
			GROUP BY source_public_key HAVING ?2 = 0 OR max(seq) < ?2 ORDER BY max(seq) DESC LIMIT ?3) g
		JOIN recv_transfers n ON n.seq = g.newest ORDER BY n.seq DESC`, username, before, limit)
	if err != nil {
		return nil, err
	}
	return scanAll(rows, func(row scanner) (s transfer.Source, err error) {
		err = row.Scan(&s.Seq, &s.SourcePublicKey, &s.SourceIP, &s.SourcePort, &s.InactiveTransferCount, &s.CompleteTransferCount,
			&s.ErrorTransferCount, &s.CancelledTransferCount, &s.Bytes, &s.Micros, &s.LastRecvTime)
		return s, err
	})
}
