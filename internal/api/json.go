package api

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
)

// Marshal encodes v as JSON. Unlike json.Marshal it does not escape <, > and &,
// which would make the arguments of scripts hard to read.
func Marshal(v any) (json.RawMessage, error) {
	m := marshalers.Get().(*marshaler)
	defer m.release()
	if err := m.encoder.Encode(v); err != nil {
		return nil, err
	}
	return bytes.Clone(bytes.TrimSuffix(m.text.Bytes(), []byte("\n"))), nil
}

// marshaler holds the reusable buffers of Marshal.
type marshaler struct {
	text    bytes.Buffer
	encoder *json.Encoder // writes to text
}

// maxMarshaler is the size of the largest buffer that is kept for reuse.
const maxMarshaler = 64 << 10

var marshalers = sync.Pool{New: func() any { //nolint:gochecknoglobals // a pool
	m := &marshaler{}
	m.encoder = json.NewEncoder(&m.text)
	m.encoder.SetEscapeHTML(false)
	return m
}}

func (m *marshaler) release() {
	if m.text.Cap() <= maxMarshaler {
		m.text.Reset()
		marshalers.Put(m)
	}
}

// AppendString appends the JSON encoding of s to b: like Marshal, but faster
// for texts that need no escapes.
func AppendString(b []byte, s string) []byte {
	if !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
		b = append(b, '"')
		b = append(b, s...)
		return append(b, '"')
	}
	text, err := Marshal(s)
	if err != nil { // a string always encodes
		text = json.RawMessage(`""`)
	}
	return append(b, text...)
}
