package api

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
)

// Marshal encodes v as JSON without escaping <, > and &, which is for HTML
// and would only make scripts' arguments hard to read.
func Marshal(v any) (json.RawMessage, error) {
	m := marshalers.Get().(*marshaler)
	defer m.giveBack()
	if err := m.encoder.Encode(v); err != nil {
		return nil, err
	}
	return bytes.Clone(bytes.TrimSuffix(m.text.Bytes(), []byte("\n"))), nil
}

// marshaler is what Marshal needs besides its result.
type marshaler struct {
	text    bytes.Buffer
	encoder *json.Encoder // writes to text
}

// maxMarshaler is how much memory a marshaler keeps for the next.
const maxMarshaler = 64 << 10

var marshalers = sync.Pool{New: func() any { //nolint:gochecknoglobals // a pool
	m := &marshaler{}
	m.encoder = json.NewEncoder(&m.text)
	m.encoder.SetEscapeHTML(false)
	return m
}}

func (m *marshaler) giveBack() {
	if m.text.Cap() <= maxMarshaler {
		m.text.Reset()
		marshalers.Put(m)
	}
}

// AppendString appends s as Marshal encodes it, whose work most texts do not
// need.
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
