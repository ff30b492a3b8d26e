package store

import (
	"encoding/binary"
	"errors"
)

// A frame of the journal holds its version and then rows: each its table, the
// number of its values, and these, each a kind and what belongs to it.
const (
	runsTable    = 'r'
	entriesTable = 'e'
	looseEntries = 'l' // which the tables have, unless the power was cut

	textValue   = 's' // length and bytes
	numberValue = 'i' // a varint
)

// fields takes the values of a row, in the order of its columns.
type fields interface {
	number(int64)
	text(string)
	bytes([]byte) // as a text
}

// valueList are the values of a row for a statement.
type valueList []any

func (l *valueList) number(n int64) { *l = append(*l, n) }
func (l *valueList) text(s string)  { *l = append(*l, s) }
func (l *valueList) bytes(b []byte) { *l = append(*l, string(b)) }

// frameBuffer is a frame that is being written.
type frameBuffer []byte

// row begins a row of so many values.
func (f *frameBuffer) row(table byte, values int) {
	*f = append(*f, table)
	*f = binary.AppendUvarint(*f, uint64(values))
}

func (f *frameBuffer) number(n int64) {
	*f = append(*f, numberValue)
	*f = binary.AppendVarint(*f, n)
}

func (f *frameBuffer) text(s string) {
	*f = append(*f, textValue)
	*f = binary.AppendUvarint(*f, uint64(len(s)))
	*f = append(*f, s...)
}

func (f *frameBuffer) bytes(b []byte) {
	*f = append(*f, textValue)
	*f = binary.AppendUvarint(*f, uint64(len(b)))
	*f = append(*f, b...)
}

var errBadRow = errors.New("this version of JetStream cannot read what is in the journal")

// readRows reads what a frame has for each table.
func readRows(b []byte) (runs, entries, loose [][]any, err error) {
	if len(b) == 0 || b[0] != frameVersion {
		return nil, nil, nil, errBadRow
	}
	for b = b[1:]; len(b) > 0; {
		table := b[0]
		n, size := binary.Uvarint(b[1:])
		if size <= 0 || n > uint64(len(b)) {
			return nil, nil, nil, errBadRow
		}
		b = b[1+size:]
		row := make([]any, n)
		for i := range row {
			if row[i], b, err = readValue(b); err != nil {
				return nil, nil, nil, err
			}
		}
		switch table {
		case runsTable:
			runs = append(runs, row)
		case entriesTable:
			entries = append(entries, row)
		case looseEntries:
			loose = append(loose, row)
		default:
			return nil, nil, nil, errBadRow
		}
	}
	return runs, entries, loose, nil
}

func readValue(b []byte) (v any, rest []byte, err error) {
	if len(b) == 0 {
		return nil, nil, errBadRow
	}
	switch kind := b[0]; kind {
	case textValue:
		n, size := binary.Uvarint(b[1:])
		if size > 0 && n <= uint64(len(b)-1-size) {
			b = b[1+size:]
			return string(b[:n]), b[n:], nil
		}
	case numberValue:
		if n, size := binary.Varint(b[1:]); size > 0 {
			return n, b[1+size:], nil
		}
	}
	return nil, nil, errBadRow
}
