package store

import (
	"strings"

	"jetstream/internal/transfer"
)

// onePage adds to the query of a list the conditions of where and those that p
// asks for, and no others: SQLite chooses the index by the text, before it knows
// the values.
func onePage(query, owner string, p transfer.Page, where ...string) (string, []any) {
	var args []any
	if p.Owner != "" { // in whatever case; objects have the name as the account writes it
		where = append(where, owner+" = coalesce((SELECT name FROM users WHERE name = ?), ?)")
		args = append(args, p.Owner, p.Owner)
	}
	if p.Status != "" {
		where, args = append(where, "status = ?"), append(args, string(p.Status))
	}
	if p.IDPart != "" {
		where = append(where, "(substr(transfer_id, 1, length(?)) = ? OR substr(transfer_id, -length(?)) = ?)")
		args = append(args, p.IDPart, p.IDPart, p.IDPart, p.IDPart)
	}
	if p.Before != 0 {
		where, args = append(where, "seq < ?"), append(args, p.Before)
	}
	if len(where) > 0 {
		query += " WHERE " + strings.Join(where, " AND ")
	}
	return query + " ORDER BY seq DESC LIMIT ?", append(args, p.Limit)
}
