package middleware

import (
	"bytes"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"jetstream/internal/api"
)

// writeTimeout bounds how long a client may take to read an answer.
const writeTimeout = 60 * time.Second

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }} //nolint:gochecknoglobals // a pool

// Answer writes a reply: the one place where replies become bytes. Status is
// the HTTP status. Errors of writing mean that the client went away and are
// nobody's concern.
func Answer(w http.ResponseWriter, status int, reply api.Reply) {
	b := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(b)
	b.Reset()
	b.WriteString(`{"status":`)
	b.Write(api.AppendString(b.AvailableBuffer(), string(reply.Status)))
	b.WriteString(`,"message":`)
	b.Write(api.AppendString(b.AvailableBuffer(), reply.Message))
	b.WriteString(`,"result":`)
	b.Write(reply.Result)
	b.WriteString("}\n")

	h, values := w.Header(), []string{"application/json", strconv.Itoa(b.Len()), "no-store", "nosniff"} // one array for all
	h["Content-Type"], h["Content-Length"] = values[0:1:1], values[1:2:2]
	h["Cache-Control"], h["X-Content-Type-Options"] = values[2:3:3], values[3:4:4]
	w.WriteHeader(status) // may take long: a middleware may wait for a disk before it lets the reply pass
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
	_, _ = w.Write(b.Bytes())
}

// Succeed answers the outcome of a command.
func Succeed(w http.ResponseWriter, r *http.Request, out api.Outcome) {
	if out.Location != "" {
		w.Header().Set("Location", relativeTo(r.URL.EscapedPath(), api.Prefix+out.Location))
	}
	Answer(w, out.Status, api.Reply{Status: api.CodeSuccess, Message: out.Message, Result: out.Result})
}

// relativeTo writes target as a reference that leads there from the request's
// path: one that holds also where a proxy puts the server below a path of its
// own. Both are absolute and escaped; target may have a query.
func relativeTo(path, target string) string {
	from := strings.Split(path, "/")
	from = from[:len(from)-1] // references begin at the last slash
	route, query, _ := strings.Cut(target, "?")
	to := strings.Split(route, "/")
	common := 0
	for common < len(from) && common < len(to)-1 && from[common] == to[common] {
		common++
	}
	reference := strings.Repeat("../", len(from)-common) + strings.Join(to[common:], "/")
	if query != "" {
		reference += "?" + query
	}
	return reference
}

// Fail answers an error. What has no code is internal: the caller gets a
// general sentence, the log gets the cause.
func Fail(w http.ResponseWriter, r *http.Request, log *slog.Logger, err error) {
	e := api.ErrorOf(err)
	status := e.Code.HTTPStatus()
	if len(e.Fields) == 1 && e.Fields[0].Rule == ruleContentType {
		status = http.StatusUnsupportedMediaType
	}
	FailStatus(w, r, log, status, e)
}

// FailStatus is Fail with another HTTP status than the error's.
func FailStatus(w http.ResponseWriter, r *http.Request, log *slog.Logger, status int, err error) {
	e := api.ErrorOf(err)
	if e.Code == api.CodeInternal {
		log.ErrorContext(r.Context(), "request failed", "requestId", RequestID(w), "error", e.Error())
	}
	reportRefusal(r, RequestID(w), e)
	switch e.Code {
	case api.CodeTooManyRequests:
		w.Header().Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(e.RetryAfter.Seconds())))))
	case api.CodeUnauthorized:
		w.Header().Set("WWW-Authenticate", `Bearer realm="JetStream"`)
		if !byBrowser(r) { // which would show a dialog of its own over the page
			w.Header().Add("WWW-Authenticate", `Basic realm="JetStream", charset="UTF-8"`)
		}
	}
	Answer(w, status, api.FailureReply(e))
}

// byBrowser tells whether a browser has sent the request. Over plain HTTP from
// another machine it sends no Sec-Fetch headers.
func byBrowser(r *http.Request) bool {
	for name := range r.Header {
		if strings.HasPrefix(name, "Sec-Fetch-") {
			return true
		}
	}
	return strings.HasPrefix(r.UserAgent(), "Mozilla/")
}
