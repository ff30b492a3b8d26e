package store

import (
	"database/sql"
	"math/bits"
	"strings"
)

// insertSizes is how many statements inserts are: for 1, 2, 4 and so on to 32
// rows. Many rows in one statement cost less than one by one.
const insertSizes = 6

// inserts are the statements that insert rows into a table, by the logarithm of
// their number.
type inserts [insertSizes]string

// newInserts makes the statements from one with ROWS in the place of the rows.
func newInserts(statement string, columns int) (s inserts) {
	row := "(?" + strings.Repeat(",?", columns-1) + ")"
	for i := range s {
		s[i] = strings.Replace(statement, "ROWS", row+strings.Repeat(","+row, 1<<i-1), 1)
	}
	return s
}

// insertMany inserts rows by exec, to whose arguments values appends those of
// one row, and returns the number of the last. They are numbered by ones.
func insertMany[T any](exec func(string, ...any) (sql.Result, error), s *inserts, rows []T, values func([]any, T) []any) (last int64, err error) {
	var args []any
	for len(rows) > 0 {
		n, query := nextInsert(s, rows, &args, values)
		res, err := exec(query, args...)
		if err != nil {
			return 0, err
		}
		if last, err = res.LastInsertId(); err != nil {
			return 0, err
		}
		rows = rows[n:]
	}
	return last, nil
}

// nextInsert returns the statement for the first n of the rows, as many as one
// takes, and writes its arguments into args.
func nextInsert[T any](s *inserts, rows []T, args *[]any, values func([]any, T) []any) (n int, query string) {
	size := min(bits.Len(uint(len(rows)))-1, insertSizes-1)
	n = 1 << size
	*args = (*args)[:0]
	for _, r := range rows[:n] {
		*args = values(*args, r)
	}
	return n, s[size]
}
