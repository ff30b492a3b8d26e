// Package strictjson reads the JSON of requests more strictly than
// encoding/json: it refuses names that stand twice in an object, and text that
// encoding/json would replace by other text; common values it reads faster.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"jetstream/internal/api"
)

// ParseObject splits a JSON object, the body of a request, into its members,
// whose values share data's memory. A member that is named twice is refused:
// readers differ in which one they believe.
func ParseObject(data []byte) (map[string]json.RawMessage, error) {
	valid := json.Valid(data)
	if !valid {
		if syntax, ok := errors.AsType[*json.SyntaxError](json.Unmarshal(data, new(json.RawMessage))); ok {
			return nil, api.Errorf(api.CodeInvalid, "the body is not JSON: %s at byte %d", syntax.Error(), syntax.Offset)
		}
	}
	inside, isObject := bytes.CutPrefix(bytes.TrimSpace(data), []byte("{"))
	if !valid || !isObject {
		return nil, api.Errorf(api.CodeInvalid, "the body must be a JSON object, {...}")
	}
	members := map[string]json.RawMessage{}
	for {
		key, value, rest := nextMember(inside)
		if key == nil {
			return members, nil
		}
		name, plain := plainText(key)
		if !plain {
			_ = json.Unmarshal(key, &name) // a valid string has no error
		}
		if _, twice := members[name]; twice {
			return nil, api.Errorf(api.CodeInvalid, "the body names a member twice")
		}
		members[name], inside = value, rest
	}
}

// HasDuplicateNames tells whether a value of valid JSON is or contains an object
// that names a member twice.
func HasDuplicateNames(value json.RawMessage) bool {
	d := json.NewDecoder(bytes.NewReader(value))
	d.UseNumber() // one may be out of all bounds
	return duplicateNamesIn(d)
}

func duplicateNamesIn(d *json.Decoder) bool {
	t, _ := d.Token() // valid JSON has no error, here and below
	names := map[string]bool{}
	for _, nested := t.(json.Delim); nested && d.More(); {
		if t == json.Delim('{') {
			name, _ := d.Token()
			text, _ := name.(string)
			if names[text] {
				return true
			}
			names[text] = true
		}
		if duplicateNamesIn(d) {
			return true
		}
	}
	if _, nested := t.(json.Delim); nested {
		_, _ = d.Token() // its end
	}
	return false
}

// nextMember takes a member off the inside of a JSON object, which begins
// behind its { or behind another member and is known to be valid. key is nil at
// the end.
func nextMember(inside []byte) (key, value, rest []byte) {
	inside = skipBetween(inside)
	if inside[0] == '}' {
		return nil, nil, nil
	}
	n := stringLen(inside)
	key, rest = inside[:n], skipBetween(inside[n:])
	n = valueLen(rest)
	return key, rest[:n:n], rest[n:]
}

// skipBetween skips what stands between the names and values of valid JSON.
func skipBetween(data []byte) []byte {
	for strings.IndexByte(" \t\r\n,:", data[0]) >= 0 {
		data = data[1:]
	}
	return data
}

// valueLen is how long the value is that data begins with, in valid JSON.
func valueLen(data []byte) int {
	switch data[0] {
	case '"':
		return stringLen(data)
	case '{', '[':
		depth := 0
		for i := 0; ; i++ {
			switch data[i] {
			case '"':
				i += stringLen(data[i:]) - 1
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
		}
	}
	return bytes.IndexAny(data, ",}] \t\r\n") // a number, true, false or null, in an object
}

// stringLen is how long the string is that data begins with, in valid JSON.
func stringLen(data []byte) int {
	for i := 1; ; i++ {
		switch data[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
}

// plainText is the text of a JSON string whose bytes stand for themselves.
func plainText(quoted []byte) (text string, plain bool) {
	inside := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inside, '\\') >= 0 || !utf8.Valid(inside) {
		return "", false
	}
	return string(inside), true
}

// DecodePlain decodes a value of valid JSON into to, a pointer, if that is of a
// common type and nothing in the value is escaped: with the result that
// encoding/json gives, at a fraction of its cost. After false the value is
// encoding/json's to decode or to refuse.
func DecodePlain(raw json.RawMessage, to any) (decoded bool) {
	switch to := to.(type) {
	case *string:
		if raw[0] == '"' {
			*to, decoded = plainText(raw)
		}
	case *bool:
		*to = raw[0] == 't'
		decoded = *to || raw[0] == 'f'
	case *int:
		n, err := strconv.Atoi(string(raw))
		*to, decoded = n, err == nil
	case *int64:
		n, err := strconv.ParseInt(string(raw), 10, 64)
		*to, decoded = n, err == nil
	case *map[string]string:
		if raw[0] == '{' {
			*to, decoded = plainTexts(raw[1:])
		}
	}
	return decoded
}

// plainTexts reads the inside of an object all of whose names and values are
// plain text, each name once.
func plainTexts(inside []byte) (texts map[string]string, plain bool) {
	texts = map[string]string{}
	for {
		key, value, rest := nextMember(inside)
		if key == nil {
			return texts, true
		}
		if value[0] != '"' {
			return nil, false
		}
		name, plainName := plainText(key)
		text, plainValue := plainText(value)
		if _, twice := texts[name]; twice || !plainName || !plainValue {
			return nil, false
		}
		texts[name], inside = text, rest
	}
}

// CheckText refuses valid JSON whose strings are not text: encoding/json would
// put other characters in their place, which may name another file.
func CheckText(data []byte) error {
	if !utf8.Valid(data) {
		return api.Errorf(api.CodeInvalid, "the body is not UTF-8")
	}
	if half := LoneSurrogate(data); half != "" {
		return api.Errorf(api.CodeInvalid, `the body holds %s, which is one half of a character`, half)
	}
	return nil
}

// LoneSurrogate finds an escaped surrogate without its other half in valid JSON.
func LoneSurrogate(data []byte) string {
	const escape = len(`\uXXXX`)
	at := func(i int) (code rune) {
		if i+escape > len(data) || data[i] != '\\' || data[i+1] != 'u' {
			return 0
		}
		n, err := strconv.ParseUint(string(data[i+2:i+escape]), 16, 16)
		if err != nil {
			return 0
		}
		return rune(n)
	}
	for i := bytes.IndexByte(data, '\\'); i >= 0 && i < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		code := at(i)
		switch {
		case !utf16.IsSurrogate(code):
			i++ // what is escaped may be a backslash
		case utf16.DecodeRune(code, at(i+escape)) == utf8.RuneError:
			return string(data[i : i+escape])
		default:
			i += 2*escape - 1
		}
	}
	return ""
}

// ContainsNull tells whether valid JSON is or contains null.
func ContainsNull(data []byte) bool {
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			i += stringLen(data[i:]) - 1
		case 'n':
			return true
		}
	}
	return false
}
