package gateway

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"time"

	"jetstream/internal/api"
)

const (
	// maxBody bounds a request's body, in bytes.
	maxBody = 16 << 20
	// bodyTimeout bounds how long a client may take to send it.
	bodyTimeout = 60 * time.Second

	ruleContentType = "contentType"
)

// readObject reads a request's body as one JSON object; no body is {}.
func readObject(w http.ResponseWriter, r *http.Request) (map[string]json.RawMessage, error) {
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
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		if _, over := errors.AsType[*http.MaxBytesError](err); over {
			return nil, api.Errorf(api.CodeTooLarge, "the body is larger than %d MiB", maxBody>>20)
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, api.Wrap(err, api.CodeInvalid, "the body did not come within %s; send it again, faster", bodyTimeout)
		}
		return nil, api.Wrap(err, api.CodeInvalid, "the body was cut off before its end; send it again whole")
	}
	_ = rc.SetReadDeadline(time.Time{}) // stays after an error: net/http reads the rest before the answer goes out
	members, err := parseObject(body)
	if err != nil {
		return nil, err
	}
	return members, nil
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
