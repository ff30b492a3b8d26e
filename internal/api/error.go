package api

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// Code is the outcome of a command, the "status" of every reply. The set of
// codes is closed.
type Code string

// The codes of the API.
const (
	CodeSuccess         Code = "success"
	CodeInvalid         Code = "invalid"         // the request itself is wrong
	CodeUnauthorized    Code = "unauthorized"    // nobody is logged in, or the credentials are wrong
	CodeForbidden       Code = "forbidden"       // logged in, but this is not permitted
	CodeNotFound        Code = "notFound"        // no such object, command or route, or the object belongs to another user
	CodeConflict        Code = "conflict"        // the object's present state does not allow it
	CodeTooLarge        Code = "tooLarge"        // the body is over the limit
	CodeTooManyRequests Code = "tooManyRequests" // slow down; the answer carries Retry-After
	CodeInternal        Code = "internal"        // a fault of the server; the cause is only in the log
	CodeUnavailable     Code = "unavailable"     // temporarily: shutting down, or a needed part has failed
	CodeTimeout         Code = "timeout"         // it took too long
)

var httpStatuses = map[Code]int{ //nolint:gochecknoglobals // a table that is never written
	CodeSuccess:         200,
	CodeInvalid:         400,
	CodeUnauthorized:    401,
	CodeForbidden:       403,
	CodeNotFound:        404,
	CodeConflict:        409,
	CodeTooLarge:        413,
	CodeTooManyRequests: 429,
	CodeInternal:        500,
	CodeUnavailable:     503,
	CodeTimeout:         504,
}

// HTTPStatus returns the HTTP status of replies with this code; 500 for an
// unknown code.
func (c Code) HTTPStatus() int {
	if s, ok := httpStatuses[c]; ok {
		return s
	}
	return 500
}

// FieldError describes one parameter that was refused.
type FieldError struct {
	Field   string `json:"field" doc:"Name of the parameter"`
	Rule    string `json:"rule" doc:"The rule that it breaks, such as required, unknown, type, max=65535"`
	Message string `json:"message" doc:"The same as a sentence"`
}

// Error is an error with a code. Message is for the caller and says what is
// wrong and what to do; Err is the cause, which is logged and never sent.
type Error struct {
	Code       Code
	Message    string
	Fields     []FieldError
	RetryAfter time.Duration // with CodeTooManyRequests; rounded up to seconds
	Err        error
}

// InvalidField makes the Error of one parameter that breaks a rule.
func InvalidField(field, rule, message string) *Error {
	field = Shorten(field, 100) // callers may have made it up
	return &Error{Code: CodeInvalid, Message: message, Fields: []FieldError{{Field: field, Rule: rule, Message: message}}}
}

// Errorf returns an Error without a cause.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Wrap returns an Error with a cause.
func Wrap(cause error, code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Err: cause}
}

// NotFound returns the error for an object that does not exist.
func NotFound(kind, id string) *Error {
	return Errorf(CodeNotFound, "there is no %s %s", kind, Quote(id))
}

// Error returns the message and the cause. It is for logs: callers get Message.
func (e *Error) Error() string {
	if e.Err != nil {
		return e.Message + ": " + e.Err.Error()
	}
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is compares Errors by code, so that errors.Is(err, &api.Error{Code:
// api.CodeNotFound}) reports whether err is notFound.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Message == "" && t.Code == e.Code
}

// SystemReason returns the text of an error of the file system without the
// path, which callers may not be allowed to know; "" for any other error.
func SystemReason(err error) string {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err.Error()
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return e.Err.Error()
	}
	return ""
}

// ErrorOf returns the Error in err, nil for nil. Errors of contexts become
// timeout and unavailable; any other error becomes internal, with err as its
// cause.
func ErrorOf(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return Wrap(err, CodeTimeout, "the command took too long")
	case errors.Is(err, context.Canceled):
		return Wrap(err, CodeUnavailable, "the command was interrupted; the caller went away or the server is stopping")
	}
	return Wrap(err, CodeInternal, "internal error; the server's log has the cause under this request id")
}
