package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
)

// writes are the compiled statements of the writer connection. Queries are
// constants, so that there are no more than the program's text has. Only the
// leader of a group commit uses them.
type writes struct {
	// What writes goes to the driver itself: of a short insert, database/sql
	// would cost as much as SQLite.
	execs   map[string]driver.StmtExecContext
	queries map[string]*sql.Stmt
	args    []driver.NamedValue
	// runs and entries insert 1, 2, 4 and so on of them.
	runs, entries [insertSizes]string
}

func newWrites() writes {
	return writes{
		execs: map[string]driver.StmtExecContext{}, queries: map[string]*sql.Stmt{},
		runs: severalTimes(insertRun, runValues), entries: severalTimes(insertEntry, entryValues),
	}
}

// exec carries out a constant statement that returns no rows.
func (t *tx) exec(query string, args ...any) (driver.Result, error) {
	if err := t.begin(); err != nil {
		return nil, err
	}
	return t.db.exec(query, args)
}

// query carries out a constant query; the rows must be closed before the next
// statement.
func (t *tx) query(query string, args ...any) (rows, error) {
	s, err := t.prepare(query)
	if err != nil {
		return nil, err
	}
	return s.Query(args...) //nolint:rowserrcheck // who reads them asks for it
}

func (t *tx) queryRow(query string, args ...any) (*sql.Row, error) {
	s, err := t.prepare(query)
	if err != nil {
		return nil, err
	}
	return s.QueryRow(args...), nil
}

func (t *tx) prepare(query string) (*sql.Stmt, error) {
	if err := t.begin(); err != nil {
		return nil, err
	}
	return t.db.prepare(query)
}

func (db *DB) prepare(query string) (*sql.Stmt, error) {
	if s, ok := db.writes.queries[query]; ok {
		return s, nil
	}
	s, err := db.writer.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	db.writes.queries[query] = s
	return s, nil
}

// Rows are inserted several at a time, which costs half: insertSizes are the
// powers of two that there are.
const insertSizes = 6

// several is how many of n rows are inserted by one statement: 1, 2, 4 and so on
// to 32.
func several(n int) int { return 1 << min(bits.Len(uint(n))-1, insertSizes-1) }

// severalTimes are the statements that insert so many rows.
func severalTimes(insert, values string) (queries [insertSizes]string) {
	for i := range queries {
		queries[i] = insert + strings.Repeat(","+values, 1<<i-1)
	}
	return queries
}

// insert puts rows into a table, in their order, and returns the number of the
// last one. Those of one call are numbered by ones.
func (db *DB) insert(table byte, rows [][]any) (last int64, err error) {
	queries := &db.writes.runs
	if table == entriesTable {
		queries = &db.writes.entries
	}
	for len(rows) > 0 {
		n := several(len(rows))
		res, err := db.exec(queries[bits.Len(uint(n))-1], slices.Concat(rows[:n]...))
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

// do carries out a constant statement without arguments.
func (db *DB) do(query string) error {
	_, err := db.exec(query, nil)
	return err
}

func (db *DB) exec(query string, args []any) (res driver.Result, err error) {
	values := db.writes.args[:0]
	for i, arg := range args {
		v, err := valueOf(arg)
		if err != nil {
			return nil, fmt.Errorf("argument %d: %w", i+1, err)
		}
		values = append(values, driver.NamedValue{Ordinal: i + 1, Value: v})
	}
	db.writes.args = values
	err = db.writer.Raw(func(conn any) error {
		s, ok := db.writes.execs[query]
		if !ok {
			if s, err = compile(conn, query); err != nil {
				return err
			}
			db.writes.execs[query] = s
		}
		res, err = s.ExecContext(context.Background(), values)
		return err
	})
	clear(values) // what was written is not to be kept in memory
	return res, err
}

func compile(conn any, query string) (driver.StmtExecContext, error) {
	c, ok := conn.(driver.ConnPrepareContext)
	if !ok {
		return nil, errors.New("the database driver compiles no statements")
	}
	s, err := c.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	e, ok := s.(driver.StmtExecContext)
	if !ok {
		return nil, errors.Join(errors.New("the database driver carries out no compiled statements"), s.Close())
	}
	return e, nil
}

// valueOf is an argument as drivers take it.
func valueOf(arg any) (driver.Value, error) {
	switch v := arg.(type) {
	case string, int64, bool, nil:
		return v, nil
	case int:
		return int64(v), nil
	}
	return driver.DefaultParameterConverter.ConvertValue(arg)
}

// closeStatements ends all statements, before their connection.
func (db *DB) closeStatements() (err error) {
	for _, s := range db.writes.queries {
		err = errors.Join(err, s.Close())
	}
	return errors.Join(err, db.writer.Raw(func(any) (err error) {
		for _, s := range db.writes.execs {
			if c, ok := s.(driver.Stmt); ok {
				err = errors.Join(err, c.Close())
			}
		}
		return err
	}))
}
