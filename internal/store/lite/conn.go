package lite

import (
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// busyTimeout is how long SQLite waits, in milliseconds, where another
// connection keeps a reader out. That is so only while a database is
// recovered, or closed by the last who has it open.
const busyTimeout = 10_000

// conn is one connection. It belongs to one goroutine at a time; only interrupt
// may be called from another.
type conn struct {
	tls      *libc.TLS
	db       uintptr
	compiled map[string]*statement
	texts    []text // the arguments that are bound now
}

// statement is a compiled query.
type statement struct {
	handle     uintptr
	parameters int
	columns    int
}

// text is an argument in C memory, and its parameter.
type text struct {
	memory    uintptr
	parameter int32
}

// open opens the database at path, which is there.
func open(path string) (*conn, error) {
	name, err := libc.CString(path)
	if err != nil {
		return nil, err
	}
	c := &conn{tls: libc.NewTLS(), compiled: map[string]*statement{}}
	defer libc.Xfree(c.tls, name)
	out := c.tls.Alloc(pointerSize)
	rc := sqlite3.Xsqlite3_open_v2(c.tls, name, out, sqlite3.SQLITE_OPEN_READWRITE|sqlite3.SQLITE_OPEN_NOMUTEX, 0)
	c.db = pointerAt(out) // there may be one also when it could not be opened
	c.tls.Free(pointerSize)
	if rc == sqlite3.SQLITE_OK {
		rc = sqlite3.Xsqlite3_extended_result_codes(c.tls, c.db, 1)
	}
	if rc == sqlite3.SQLITE_OK {
		rc = sqlite3.Xsqlite3_busy_timeout(c.tls, c.db, busyTimeout)
	}
	if rc != sqlite3.SQLITE_OK {
		return nil, errors.Join(c.fault(rc), c.close())
	}
	// It is opened for writing because a reader, too, writes into the index of
	// the write-ahead log.
	only, err := c.compile("PRAGMA query_only = 1")
	if err == nil {
		if rc := sqlite3.Xsqlite3_step(c.tls, only.handle); rc != sqlite3.SQLITE_DONE {
			err = c.fault(rc)
		}
		sqlite3.Xsqlite3_reset(c.tls, only.handle)
	}
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// close ends the connection. Nothing may be going on.
func (c *conn) close() (err error) {
	for _, s := range c.compiled {
		sqlite3.Xsqlite3_finalize(c.tls, s.handle) // repeats the error of the last step
	}
	clear(c.compiled)
	if rc := sqlite3.Xsqlite3_close(c.tls, c.db); rc != sqlite3.SQLITE_OK {
		err = c.fault(rc)
	}
	c.tls.Close()
	return err
}

// compile makes a statement of a query, or finds it.
func (c *conn) compile(query string) (*statement, error) {
	if s, ok := c.compiled[query]; ok {
		return s, nil
	}
	text, err := libc.CString(query)
	if err != nil {
		return nil, err
	}
	defer libc.Xfree(c.tls, text)
	out := c.tls.Alloc(2 * pointerSize)
	defer c.tls.Free(2 * pointerSize)
	rc := sqlite3.Xsqlite3_prepare_v3(c.tls, c.db, text, -1, sqlite3.SQLITE_PREPARE_PERSISTENT, out, out+pointerSize)
	if rc != sqlite3.SQLITE_OK {
		return nil, c.fault(rc)
	}
	s := &statement{handle: pointerAt(out)}
	if rest := libc.GoString(pointerAt(out + pointerSize)); rest != "" || s.handle == 0 {
		sqlite3.Xsqlite3_finalize(c.tls, s.handle)
		return nil, fmt.Errorf("a query is one statement: %q", query)
	}
	s.parameters = int(sqlite3.Xsqlite3_bind_parameter_count(c.tls, s.handle))
	s.columns = int(sqlite3.Xsqlite3_column_count(c.tls, s.handle))
	c.compiled[query] = s
	return s, nil
}

// bind gives a statement its arguments. unbind must follow, also after an
// error.
func (c *conn) bind(s *statement, args []any) error {
	if len(args) != s.parameters {
		return fmt.Errorf("the query has %d parameters, and %d arguments were given", s.parameters, len(args))
	}
	for i, arg := range args {
		if err := c.bindOne(s, int32(i+1), arg); err != nil {
			return fmt.Errorf("argument %d: %w", i+1, err)
		}
	}
	return nil
}

func (c *conn) bindOne(s *statement, at int32, arg any) error {
	var rc int32
	switch v := arg.(type) {
	case int64:
		rc = sqlite3.Xsqlite3_bind_int64(c.tls, s.handle, at, v)
	case int:
		rc = sqlite3.Xsqlite3_bind_int64(c.tls, s.handle, at, int64(v))
	case bool:
		n := int64(0)
		if v {
			n = 1
		}
		rc = sqlite3.Xsqlite3_bind_int64(c.tls, s.handle, at, n)
	case float64:
		rc = sqlite3.Xsqlite3_bind_double(c.tls, s.handle, at, v)
	case nil:
		rc = sqlite3.Xsqlite3_bind_null(c.tls, s.handle, at)
	case string:
		p, err := c.copyOf(v, at)
		if err != nil {
			return err
		}
		rc = sqlite3.Xsqlite3_bind_text(c.tls, s.handle, at, p, int32(len(v)), 0)
	case []byte:
		if v == nil {
			return c.bindOne(s, at, nil)
		}
		p, err := c.copyOf(string(v), at)
		if err != nil {
			return err
		}
		rc = sqlite3.Xsqlite3_bind_blob(c.tls, s.handle, at, p, int32(len(v)), 0)
	default:
		plain, err := driver.DefaultParameterConverter.ConvertValue(arg)
		if err != nil {
			return err
		}
		switch plain.(type) {
		case int64, bool, float64, nil, string, []byte:
			return c.bindOne(s, at, plain)
		}
		return fmt.Errorf("a %T is no argument of a query", arg)
	}
	if rc != sqlite3.SQLITE_OK {
		return c.fault(rc)
	}
	return nil
}

// maxText bounds an argument in bytes, as SQLite itself does by default.
const maxText = 1_000_000_000

// copyOf copies an argument into C memory, which unbind frees.
func (c *conn) copyOf(v string, at int32) (uintptr, error) {
	if len(v) > maxText {
		return 0, errors.New("it is too long for SQLite")
	}
	p, err := libc.CString(v)
	if err == nil {
		c.texts = append(c.texts, text{p, at})
	}
	return p, err
}

// unbind lets go of the arguments that have memory. The others stay until the
// next are given: to clear a number would have SQLite plan the query anew.
func (c *conn) unbind(s *statement) {
	for _, t := range c.texts {
		sqlite3.Xsqlite3_bind_null(c.tls, s.handle, t.parameter)
		libc.Xfree(c.tls, t.memory)
	}
	c.texts = c.texts[:0]
}

// interrupt ends the query that runs, if one does.
func (c *conn) interrupt() {
	tls := libc.NewTLS() // the connection's own is in use
	defer tls.Close()
	sqlite3.Xsqlite3_interrupt(tls, c.db)
}

// Error is an error of SQLite.
type Error struct {
	Code int32 // SQLite's extended result code
	text string
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("%s (%d)", e.text, e.Code) }

// fault makes the error of a result code. It asks the connection for more,
// which knows of the last call only.
func (c *conn) fault(rc int32) error {
	e := &Error{Code: rc, text: libc.GoString(sqlite3.Xsqlite3_errstr(c.tls, rc))}
	if c.db != 0 {
		if more := libc.GoString(sqlite3.Xsqlite3_errmsg(c.tls, c.db)); more != e.text {
			e.text += ": " + more
		}
	}
	return e
}

const pointerSize = bits.UintSize / 8

// pointerAt reads a pointer from C memory.
func pointerAt(p uintptr) uintptr {
	b := libc.GoBytes(p, pointerSize)
	if pointerSize == 8 {
		return uintptr(binary.NativeEndian.Uint64(b))
	}
	return uintptr(binary.NativeEndian.Uint32(b))
}
