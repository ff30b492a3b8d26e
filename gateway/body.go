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
	"time"

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
		if err := g.large.take(caller.User, 1); err != nil {
			return err
		}
		context.AfterFunc(r.Context(), func() { g.large.leave(caller.User, 1) })
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
