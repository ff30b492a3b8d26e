package store

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// mapOf reads a map as json.Marshal wrote it. Where no text has an escape, as
// is usual, the map's texts are pieces of data.
func mapOf(data string) (m map[string]string, err error) {
	if m, ok := plainMap(data); ok {
		return m, nil
	}
	err = json.Unmarshal([]byte(data), &m)
	return m, err
}

// plainMap reads an object of texts without escapes and without white space
// between them; ok is false for everything else, right or wrong.
func plainMap(data string) (m map[string]string, ok bool) {
	rest, ok := strings.CutPrefix(data, "{")
	if !ok {
		return nil, false
	}
	if rest == "}" {
		return map[string]string{}, true
	}
	m = make(map[string]string, min(strings.Count(rest, `":"`), 64))
	for {
		var key, value string
		if key, rest, ok = plainText(rest); !ok {
			return nil, false
		}
		if rest, ok = strings.CutPrefix(rest, ":"); !ok {
			return nil, false
		}
		if value, rest, ok = plainText(rest); !ok {
			return nil, false
		}
		m[key] = value
		if rest == "}" {
			return m, true
		}
		if rest, ok = strings.CutPrefix(rest, ","); !ok {
			return nil, false
		}
	}
}

// plainText reads a text in quotes from the beginning of s.
func plainText(s string) (text, rest string, ok bool) {
	if s == "" || s[0] != '"' {
		return "", "", false
	}
	end := strings.IndexByte(s[1:], '"')
	if end < 0 {
		return "", "", false
	}
	text, rest = s[1:1+end], s[2+end:]
	for i := range len(text) {
		if c := text[i]; c < ' ' || c == '\\' {
			return "", "", false
		}
	}
	return text, rest, utf8.ValidString(text)
}
