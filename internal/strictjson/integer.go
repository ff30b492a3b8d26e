package strictjson

import (
	"bytes"
	"encoding/json"
	"math/big"
	"strconv"
)

// Integer writes a number that is whole, such as 1000.0 or 1e3, with digits
// alone. Everything else is returned as it is.
func Integer(raw json.RawMessage) json.RawMessage {
	const longest = 64 // more digits than 64 bits have, and more than encoders write
	if len(raw) > longest || !bytes.ContainsAny(raw, ".eE") || !json.Valid(raw) {
		return raw
	}
	if _, exponent, scientific := bytes.Cut(bytes.ToLower(raw), []byte("e")); scientific {
		if n, err := strconv.Atoi(string(exponent)); err != nil || n > longest || n < -longest {
			return raw
		}
	}
	n, ok := new(big.Rat).SetString(string(raw))
	if !ok || !n.IsInt() {
		return raw
	}
	return json.RawMessage(n.Num().String())
}
