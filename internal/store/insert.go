package store

import (
	"math/bits"
	"strings"
)

// insertSizes is how many INSERT statements a table has: for 1, 2, 4 and so on
// to 32 rows. Many rows in one statement cost less than one by one.
const insertSizes = 6

// inserts are the INSERT statements of a table by the logarithm of their rows.
type inserts [insertSizes]string

func newInserts(into string, columns int) (s inserts) {
	row := "(?" + strings.Repeat(",?", columns-1) + ")"
	for i := range s {
		s[i] = "INSERT INTO " + into + " VALUES " + row + strings.Repeat(","+row, 1<<i-1)
	}
	return s
}

// insertMany inserts rows, to whose arguments values appends those of one row,
// and returns the number of the last. They are numbered by ones.
func insertMany[T any](w *writer, s *inserts, rows []T, values func([]any, T) []any) (last int64, err error) {
	for len(rows) > 0 {
		size := min(bits.Len(uint(len(rows)))-1, insertSizes-1)
		n := 1 << size
		var args []any
		for _, r := range rows[:n] {
			args = values(args, r)
		}
		res, err := w.exec(s[size], args...)
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
