package store

import (
	"math/bits"
	"strings"
)

// insertSizes is how many sizes of INSERT there are: 1, 2, 4 and so on to 32
// rows. To insert many by one statement costs much less than one by one.
const insertSizes = 6

// inserts are the statements that insert so many rows into a table.
type inserts [insertSizes]string

func newInserts(into string, columns int) (s inserts) {
	row := "(?" + strings.Repeat(",?", columns-1) + ")"
	for i := range s {
		s[i] = "INSERT INTO " + into + " VALUES " + row + strings.Repeat(","+row, 1<<i-1)
	}
	return s
}

// insertMany inserts rows, whose values the function appends, and returns the
// number of the last one. They are numbered by ones.
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
