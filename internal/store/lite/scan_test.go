package lite

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
)

type (
	word   string
	number int64
	small  int8
	yes    bool
	blob   []byte
)

func TestScan(t *testing.T) {
	p, _ := openTest(t, 1)
	for _, c := range []struct {
		value string // in SQL
		dest  any    // what to read it into, with something in it already
		want  any    // nil: an error
	}{
		{"'text'", new("other"), "text"},
		{"'text'", new("text"), "text"},
		{"''", new("other"), ""},
		{"x''", new("other"), ""},
		{"'a' || char(0) || 'b'", new(""), "a\x00b"},
		{"CAST(x'fffe' AS TEXT)", new(""), "\xff\xfe"},
		{"x'ff00fe'", new(""), "\xff\x00\xfe"},
		{"'äöü'", new(""), "äöü"},
		{"1", new(""), nil},
		{"1.5", new(""), nil},
		{"NULL", new(""), nil},

		{"9223372036854775807", new(int64(1)), int64(math.MaxInt64)},
		{"-9223372036854775807 - 1", new(int64(1)), int64(math.MinInt64)},
		{"9223372036854775808", new(int64(1)), nil}, // a real number
		{"0", new(int64(1)), int64(0)},
		{"'1'", new(int64(1)), nil},
		{"1.0", new(int64(1)), nil},
		{"NULL", new(int64(1)), nil},
		{"-5", new(1), -5},
		{"NULL", new(1), nil},
		{"2147483648", new(int32(1)), nil},
		{"2147483647", new(int32(1)), int32(math.MaxInt32)},
		{"4294967295", new(uint32(1)), uint32(math.MaxUint32)},
		{"4294967296", new(uint32(1)), nil},
		{"-1", new(uint32(1)), nil},
		{"-1", new(uint64(1)), nil},
		{"127", new(small(1)), small(127)},
		{"128", new(small(1)), nil},
		{"'1'", new(small(1)), nil},

		{"1", new(false), true},
		{"0", new(true), false},
		{"2", new(false), nil},
		{"'true'", new(false), nil},
		{"NULL", new(true), nil},
		{"1", new(yes(false)), yes(true)},
		{"3", new(yes(false)), nil},

		{"1.5", new(0.0), 1.5},
		{"1", new(0.0), nil},

		{"'text'", new([]byte("other")), []byte("text")},
		{"''", new([]byte("other")), []byte{}},
		{"x'00ff'", new([]byte("other")), []byte{0, 255}},
		{"x''", new([]byte("other")), []byte(nil)},
		{"NULL", new([]byte("other")), []byte(nil)},
		{"1", new([]byte("other")), nil},
		{"'{}'", new(json.RawMessage("other")), json.RawMessage("{}")},
		{"x'01'", new(blob("other")), blob{1}},
		{"NULL", new(blob("other")), blob(nil)},
		{"1", new(blob("other")), nil},

		{"'text'", new(word("other")), word("text")},
		{"x'41'", new(word("other")), word("A")},
		{"NULL", new(word("other")), nil},
		{"1", new(word("other")), nil},
		{"1234567890123", new(number(1)), number(1234567890123)},
		{"'1'", new(number(1)), nil},
		{"NULL", new(number(1)), nil},

		{"5", new((*int64)(nil)), new(int64(5))},
		{"NULL", new(new(int64(5))), (*int64)(nil)},
		{"'5'", new((*int64)(nil)), nil},
		{"'text'", new((*string)(nil)), new("text")},
		{"NULL", new(new("text")), (*string)(nil)},
		{"'text'", new((*word)(nil)), new(word("text"))},

		{"5", &sql.NullInt64{}, sql.NullInt64{Int64: 5, Valid: true}},
		{"NULL", &sql.NullInt64{Int64: 5, Valid: true}, sql.NullInt64{}},
		{"'text'", &sql.NullInt64{}, nil},
		{"'text'", &sql.NullString{}, sql.NullString{String: "text", Valid: true}},
		{"x'41'", &sql.NullString{}, sql.NullString{String: "A", Valid: true}},
		{"1.5", &sql.NullFloat64{}, sql.NullFloat64{Float64: 1.5, Valid: true}},

		{"1", new(any(nil)), nil},
		{"1", new(struct{}{}), nil},
		{"'a'", new([]string{}), nil},
		{"'a'", new(map[string]string{}), nil},
		{"1", 1, nil},
		{"1", nil, nil},
		{"1", (*number)(nil), nil},
	} {
		err := p.QueryRow(t.Context(), "SELECT "+c.value).Scan(c.dest)
		if c.want == nil {
			if err == nil || !strings.HasPrefix(err.Error(), "column 1: ") {
				t.Errorf("%s went into a %T: %+v, %v", c.value, c.dest, c.dest, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s into a %T: %v", c.value, c.dest, err)
		} else if got := reflect.ValueOf(c.dest).Elem().Interface(); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s into a %T: %#v, wanted %#v", c.value, c.dest, got, c.want)
		}
	}
}

func TestScanWantsAVariableForEachColumn(t *testing.T) {
	p, _ := openTest(t, 1)
	var a, b, c int
	rows, err := p.Query(t.Context(), "SELECT 1, 2")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	if err := rows.Scan(&a, &b); err == nil {
		t.Error("a row was read before the first")
	}
	if !rows.Next() {
		t.Fatal(rows.Err())
	}
	for _, dest := range [][]any{{}, {&a}, {&a, &b, &c}} {
		if err := rows.Scan(dest...); err == nil {
			t.Errorf("two columns went into %d variables", len(dest))
		}
	}
	for range 2 { // a row may be read again
		if err := rows.Scan(&a, &b); err != nil || a != 1 || b != 2 {
			t.Errorf("%d, %d, %v", a, b, err)
		}
	}
}

// What was read stays as it is when SQLite's memory is used for something else.
func TestWhatWasReadIsACopy(t *testing.T) {
	p, writer := openTest(t, 1)
	insert(t, writer, strings.Repeat("a", 100), strings.Repeat("b", 100))
	rows, err := p.Query(t.Context(), "SELECT name, CAST(name AS BLOB), name FROM things ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	var text string
	var blob []byte
	var null sql.NullString
	if !rows.Next() || rows.Scan(&text, &blob, &null) != nil {
		t.Fatal(rows.Err())
	}
	text1, blob1, null1 := text, blob, null
	if !rows.Next() || rows.Scan(&text, &blob, &null) != nil {
		t.Fatal(rows.Err())
	}
	_ = rows.Close()
	want := strings.Repeat("a", 100)
	if text1 != want || string(blob1) != want || null1.String != want {
		t.Errorf("%q, %q, %q", text1, blob1, null1.String)
	}
	if want = strings.Repeat("b", 100); text != want || string(blob) != want || null.String != want {
		t.Errorf("%q, %q, %q", text, blob, null.String)
	}
}

func TestArguments(t *testing.T) {
	p, _ := openTest(t, 1)
	for _, c := range []struct {
		arg          any
		kind, quoted string // as SQLite sees it
	}{
		{"text", "text", "'text'"},
		{"it's", "text", "'it''s'"},
		{"", "text", "''"},
		{"äöü", "text", "'äöü'"},
		{word("text"), "text", "'text'"},
		{[]byte{0, 255}, "blob", "X'00FF'"},
		{[]byte{}, "blob", "X''"},
		{[]byte(nil), "null", "NULL"},
		{blob{1}, "blob", "X'01'"},
		{nil, "null", "NULL"},
		{(*string)(nil), "null", "NULL"},
		{new("text"), "text", "'text'"},
		{5, "integer", "5"},
		{int64(math.MinInt64), "integer", "-9223372036854775808"},
		{int32(-5), "integer", "-5"},
		{uint32(math.MaxUint32), "integer", "4294967295"},
		{number(7), "integer", "7"},
		{true, "integer", "1"},
		{false, "integer", "0"},
		{yes(true), "integer", "1"},
		{1.5, "real", "1.5"},
		{sql.NullInt64{Int64: 5, Valid: true}, "integer", "5"},
		{sql.NullInt64{}, "null", "NULL"},
	} {
		var kind, quoted string
		err := p.QueryRow(t.Context(), "SELECT typeof(?1), quote(?1)", c.arg).Scan(&kind, &quoted)
		if err != nil || kind != c.kind || quoted != c.quoted {
			t.Errorf("%T %v is %s %s (%v)", c.arg, c.arg, kind, quoted, err)
		}
	}
	long := bytes.Repeat([]byte("a\x00b"), 100_000)
	var back []byte
	if err := p.QueryRow(t.Context(), "SELECT ?", string(long)).Scan(&back); err != nil || !bytes.Equal(back, long) {
		t.Errorf("%d bytes of text came back as %d (%v)", len(long), len(back), err)
	}
	if err := p.QueryRow(t.Context(), "SELECT ?", uint64(math.MaxUint64)).Scan(&back); err == nil {
		t.Error("a number went in that SQLite has not")
	}
}

func BenchmarkQueryRow(b *testing.B) {
	path := b.TempDir() + "/bench.db"
	writer, err := sql.Open("sqlite", "file://"+path+"?_pragma=journal_mode(WAL)")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = writer.Close() }()
	if _, err := writer.Exec("CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO things (name) VALUES ('a')"); err != nil {
		b.Fatal(err)
	}
	p := New(path, 8)
	defer p.Close()
	var name string
	for b.Loop() {
		if err := p.QueryRow(context.Background(), "SELECT name FROM things WHERE id = ?", 1).Scan(&name); err != nil {
			b.Fatal(err)
		}
	}
}
