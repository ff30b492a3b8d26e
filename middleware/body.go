package middleware

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/strictjson"
)

const (
	// smallBody is what every request may send, in bytes; larger bodies must be
	// granted.
	smallBody = 64 << 10
	// bodyTimeout bounds how long a client may take to send its body.
	bodyTimeout = 60 * time.Second

	ruleContentType = "contentType"
)

// ReadObject reads a request's body of at most limit bytes as one JSON object
// and returns its members; no body is nil. grant is asked before more than
// 64 KiB are read; its error is returned.
func ReadObject(w http.ResponseWriter, r *http.Request, limit int64, grant func() error) (map[string]json.RawMessage, error) {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return nil, nil
	}
	if r.Method == http.MethodGet || r.Method == http.MethodDelete || r.Method == http.MethodHead {
		return nil, api.Errorf(api.CodeInvalid, "%s takes its parameters in the path and the query, not in a body", r.Method)
	}
	if coding := r.Header.Get("Content-Encoding"); coding != "" {
		return nil, api.InvalidField("body", ruleContentType, fmt.Sprintf("the body has Content-Encoding %.40q; send it as it is, without that header", coding))
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, api.InvalidField("body", ruleContentType, "the body must be JSON, announced as Content-Type: application/json")
	}
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(bodyTimeout))
	limited := http.MaxBytesReader(w, r.Body, limit)
	body, err := io.ReadAll(io.LimitReader(limited, smallBody+1))
	if err == nil && len(body) > smallBody {
		if err := grant(); err != nil {
			return nil, err
		}
		whole := bytes.NewBuffer(body)
		_, err = whole.ReadFrom(limited)
		body = whole.Bytes()
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
	_ = rc.SetReadDeadline(time.Time{})                   // stays after an error: net/http reads the rest before the answer goes out
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")) // a byte order mark
	members, err := strictjson.ParseObject(body)
	if err == nil {
		err = strictjson.CheckText(body)
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
