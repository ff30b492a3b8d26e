package store

import (
	"strings"

	"jetstream/internal/transfer"
)

// onePage adds to the query of a list the conditions of where and those that p
// asks for, and no others: SQLite chooses the index by the text, before it knows
// the values. owner is a column, id one with its table: transfers.transfer_id.
func onePage(query, owner, id string, p transfer.Page, where ...string) (string, []any) {
	var args []any
	if p.Owner != "" { // in whatever case; objects have the name as the account writes it
		where = append(where, owner+" = coalesce((SELECT name FROM users WHERE name = ?), ?)")
		args = append(args, p.Owner, p.Owner)
	}
	if p.Status != "" {
		where, args = append(where, "status = ?"), append(args, string(p.Status))
	}
	if p.IDPart != "" {
		where, args = append(where, idPart(id)), append(args, p.IDPart, p.IDPart, p.IDPart, p.IDPart)
	}
	if p.Before != 0 {
		where, args = append(where, "seq < ?"), append(args, p.Before)
	}
	if len(where) > 0 {
		query += " WHERE " + strings.Join(where, " AND ")
	}
	return query + " ORDER BY seq DESC LIMIT ?", append(args, p.Limit)
}

// idPart is the condition that an id, a column with its table, begins or ends with a
// text, which is given four times. Every id is looked at, but in its own index, which is
// much smaller than the rows.
func idPart(id string) string {
	table, column, _ := strings.Cut(id, ".")
	return "seq IN (SELECT seq FROM " + table + " WHERE substr(" + column + ", 1, length(?)) = ? OR substr(" + column + ", -length(?)) = ?)"
}
