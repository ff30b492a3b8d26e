package lite

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"reflect"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// Scan reads the row into the variables that dest points to, one for each
// column. A value goes only where it belongs: an integer into integers that
// hold it, and 0 and 1 into a bool, a real number into a float64, text or a
// blob into a string or bytes. NULL goes into bytes, as nil, into a pointer, as
// nil, and into what implements sql.Scanner. Everything else is an error.
func (r *Rows) Scan(dest ...any) error {
	if !r.at {
		return errNoRow
	}
	if len(dest) != r.of.columns {
		return fmt.Errorf("the query has %d columns, and %d variables were given", r.of.columns, len(dest))
	}
	for i, d := range dest {
		if err := r.column(int32(i), d); err != nil {
			return fmt.Errorf("column %d: %w", i+1, err)
		}
	}
	return nil
}

// column reads one column; the types that rows are made of come first.
func (r *Rows) column(i int32, dest any) error {
	kind := sqlite3.Xsqlite3_column_type(r.conn.tls, r.of.handle, i)
	switch d := dest.(type) {
	case *string:
		if kind == sqlite3.SQLITE_TEXT || kind == sqlite3.SQLITE_BLOB {
			// Where rows are read into the same variables, the next one often
			// has the same text.
			if b := r.bytes(i); string(b) != *d {
				*d = string(b)
			}
			return nil
		}
	case *int64:
		if kind == sqlite3.SQLITE_INTEGER {
			*d = r.integer(i)
			return nil
		}
	case *int:
		if kind == sqlite3.SQLITE_INTEGER {
			n := r.integer(i)
			if int64(int(n)) != n {
				return outOfRange(n, dest)
			}
			*d = int(n)
			return nil
		}
	case *bool:
		if kind == sqlite3.SQLITE_INTEGER {
			n := r.integer(i)
			if n != 0 && n != 1 {
				return outOfRange(n, dest)
			}
			*d = n == 1
			return nil
		}
	case *[]byte:
		*d = nil
		switch kind {
		case sqlite3.SQLITE_TEXT:
			*d = append([]byte{}, r.bytes(i)...)
			return nil
		case sqlite3.SQLITE_BLOB:
			*d = bytes.Clone(r.bytes(i))
			return nil
		case sqlite3.SQLITE_NULL:
			return nil
		}
	case sql.Scanner:
		return d.Scan(r.value(i, kind))
	default:
		return r.reflected(i, kind, reflect.ValueOf(dest))
	}
	return unfit(kind, dest)
}

// reflected reads a column into a pointer to any other type: one of our own
// that is a string, a number or bytes, or a pointer, which NULL makes nil.
func (r *Rows) reflected(i, kind int32, dest reflect.Value) error {
	if dest.Kind() != reflect.Pointer || dest.IsNil() {
		return errors.New("what it goes into is no pointer to a variable")
	}
	v := dest.Elem()
	switch {
	case v.Kind() == reflect.Pointer && kind == sqlite3.SQLITE_NULL:
		v.SetZero()
	case v.Kind() == reflect.Pointer:
		to := reflect.New(v.Type().Elem())
		if err := r.column(i, to.Interface()); err != nil {
			return err
		}
		v.Set(to)
	case v.Kind() == reflect.String && (kind == sqlite3.SQLITE_TEXT || kind == sqlite3.SQLITE_BLOB):
		v.SetString(string(r.bytes(i)))
	case v.CanInt() && kind == sqlite3.SQLITE_INTEGER:
		n := r.integer(i)
		if v.OverflowInt(n) {
			return outOfRange(n, dest.Interface())
		}
		v.SetInt(n)
	case v.CanUint() && kind == sqlite3.SQLITE_INTEGER:
		n := r.integer(i)
		if n < 0 || v.OverflowUint(uint64(n)) {
			return outOfRange(n, dest.Interface())
		}
		v.SetUint(uint64(n))
	case v.Kind() == reflect.Bool && kind == sqlite3.SQLITE_INTEGER:
		var b bool
		if err := r.column(i, &b); err != nil {
			return err
		}
		v.SetBool(b)
	case v.Kind() == reflect.Float64 && kind == sqlite3.SQLITE_FLOAT:
		v.SetFloat(sqlite3.Xsqlite3_column_double(r.conn.tls, r.of.handle, i))
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8:
		var b []byte
		if err := r.column(i, &b); err != nil {
			return err
		}
		v.SetBytes(b)
	default:
		return unfit(kind, dest.Interface())
	}
	return nil
}

// value is a column as database/sql has it, for a sql.Scanner.
func (r *Rows) value(i, kind int32) any {
	switch kind {
	case sqlite3.SQLITE_INTEGER:
		return r.integer(i)
	case sqlite3.SQLITE_FLOAT:
		return sqlite3.Xsqlite3_column_double(r.conn.tls, r.of.handle, i)
	case sqlite3.SQLITE_TEXT:
		return string(r.bytes(i))
	case sqlite3.SQLITE_BLOB:
		return bytes.Clone(r.bytes(i))
	}
	return nil
}

func (r *Rows) integer(i int32) int64 {
	return sqlite3.Xsqlite3_column_int64(r.conn.tls, r.of.handle, i)
}

// bytes are the text or the blob of a column where SQLite has them: until the
// next step. An empty one is nil.
func (r *Rows) bytes(i int32) []byte {
	p := sqlite3.Xsqlite3_column_blob(r.conn.tls, r.of.handle, i) // of a text, the same without a zero behind it
	n := sqlite3.Xsqlite3_column_bytes(r.conn.tls, r.of.handle, i)
	if p == 0 || n == 0 {
		return nil
	}
	return libc.GoBytes(p, int(n))
}

func outOfRange(n int64, dest any) error {
	return fmt.Errorf("%d is out of the range of a %T", n, dest)
}

func unfit(kind int32, dest any) error {
	name := "NULL"
	switch kind {
	case sqlite3.SQLITE_INTEGER:
		name = "an integer"
	case sqlite3.SQLITE_FLOAT:
		name = "a real number"
	case sqlite3.SQLITE_TEXT:
		name = "text"
	case sqlite3.SQLITE_BLOB:
		name = "a blob"
	}
	return fmt.Errorf("%s does not go into a %T", name, dest)
}
