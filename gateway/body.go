package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strconv"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"jetstream/internal/api"
)

const (
	// maxBody bounds a request's body, in bytes; maxSessionBody that of a login,
	// which is read of strangers.
	maxBody        = 16 << 20
	maxSessionBody = 16 << 10
	// freeBody is what every request may send; larger ones must find room.
	freeBody = 64 << 10
	// bodyTimeout bounds how long a client may take to send it.
	bodyTimeout = 60 * time.Second

	ruleContentType = "contentType"
)

// readParams reads a command's body as one JSON object; no body is {}. The room
// that a large one takes is given back when the request has ended.
func (g *Gateway) readParams(w http.ResponseWriter, r *http.Request) (map[string]json.RawMessage, error) {
	return readObject(w, r, maxBody, func() error {
		caller, _ := api.CallerOf(r.Context())
		if err := g.large.take(caller.User); err != nil {
			return err
		}
		context.AfterFunc(r.Context(), func() { g.large.leave(caller.User) })
		return nil
	})
}

// readObject reads a request's body of at most limit bytes as one JSON object;
// no body is {}. room is asked before more than freeBody is taken in.
func readObject(w http.ResponseWriter, r *http.Request, limit int64, room func() error) (map[string]json.RawMessage, error) {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return map[string]json.RawMessage{}, nil
	}
	if r.Method == http.MethodGet || r.Method == http.MethodDelete || r.Method == http.MethodHead {
		return nil, api.Errorf(api.CodeInvalid, "%s takes its parameters in the path and the query, not in a body", r.Method)
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, invalidField("body", ruleContentType, "the body must be JSON, announced as Content-Type: application/json")
	}
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(bodyTimeout))
	bounded := http.MaxBytesReader(w, r.Body, limit)
	body, err := io.ReadAll(io.LimitReader(bounded, freeBody+1))
	if err == nil && len(body) > freeBody {
		if err := room(); err != nil {
			return nil, err
		}
		rest := bytes.NewBuffer(body)
		_, err = rest.ReadFrom(bounded)
		body = rest.Bytes()
	}
	if err != nil {
		if _, over := errors.AsType[*http.MaxBytesError](err); over {
			return nil, api.Errorf(api.CodeTooLarge, "the body is larger than %s", size(limit))
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, api.Wrap(err, api.CodeInvalid, "the body did not come within %s; send it again, faster", bodyTimeout)
		}
		return nil, api.Wrap(err, api.CodeInvalid, "the body was cut off before its end; send it again whole")
	}
	_ = rc.SetReadDeadline(time.Time{}) // stays after an error: net/http reads the rest before the answer goes out
	members, err := parseObject(body)
	if err == nil {
		err = checkText(body)
	}
	if err != nil {
		return nil, err
	}
	return members, nil
}

// size writes a limit, which is a whole number of KiB.
func size(limit int64) string {
	if limit >= 1<<20 {
		return fmt.Sprintf("%d MiB", limit>>20)
	}
	return fmt.Sprintf("%d KiB", limit>>10)
}

// checkText refuses what is valid JSON for encoding/json but no text: it would
// put other characters in their place, and so mean another file.
func checkText(data []byte) error {
	if !utf8.Valid(data) {
		return api.Errorf(api.CodeInvalid, "the body is not UTF-8")
	}
	if half := unpaired(data); half != "" {
		return api.Errorf(api.CodeInvalid, `the body holds %s, which is one half of a character`, half)
	}
	return nil
}

// unpaired finds an escaped surrogate without its other half in valid JSON.
func unpaired(data []byte) string {
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

// parseObject splits a JSON object into its members. A member that is named
// twice is refused: readers differ in which one they believe.
func parseObject(data []byte) (map[string]json.RawMessage, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil || members == nil {
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			return nil, api.Errorf(api.CodeInvalid, "the body is not JSON: %s at byte %d", syntax.Error(), syntax.Offset)
		}
		return nil, api.Errorf(api.CodeInvalid, "the body must be a JSON object, {...}")
	}
	if countMembers(data) != len(members) {
		return nil, api.Errorf(api.CodeInvalid, "the body names a member twice")
	}
	return members, nil
}

// countMembers counts the members of the outermost object of valid JSON.
func countMembers(data []byte) int {
	n, depth := 0, 0
	scan(data, func(c byte) {
		switch c {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case ':':
			if depth == 1 {
				n++
			}
		}
	})
	return n
}

// holdsNull tells whether valid JSON is or contains null.
func holdsNull(data []byte) bool {
	found := false
	scan(data, func(c byte) { found = found || c == 'n' })
	return found
}

// scan calls f with every byte of valid JSON that stands outside strings.
func scan(data []byte, f func(byte)) {
	for i := 0; i < len(data); i++ {
		if data[i] != '"' {
			f(data[i])
			continue
		}
		for i++; i < len(data) && data[i] != '"'; i++ {
			if data[i] == '\\' {
				i++
			}
		}
	}
}
