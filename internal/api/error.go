package api

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Code is the outcome of a command as clients see it: the "status" of every
// reply. The set is closed; spec: Control API, "Codes".
type Code string

// The codes of the API.
const (
	CodeSuccess         Code = "success"
	CodeInvalid         Code = "invalid"         // the request itself is wrong
	CodeUnauthorized    Code = "unauthorized"    // nobody is logged in, or the credentials are wrong
	CodeForbidden       Code = "forbidden"       // logged in, but this is not permitted
	CodeNotFound        Code = "notFound"        // no such object, command or route, or one of somebody else
	CodeConflict        Code = "conflict"        // the object's present state does not allow it
	CodeTooLarge        Code = "tooLarge"        // the body is over the limit
	CodeTooManyRequests Code = "tooManyRequests" // slow down; the answer carries Retry-After
	CodeInternal        Code = "internal"        // our fault; the cause is in the log only
	CodeUnavailable     Code = "unavailable"     // not now: shutting down, or a needed part is out of order
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

// HTTPStatus is the one table that turns codes into HTTP statuses; a code
// that is not in it is 500.
func (c Code) HTTPStatus() int {
	if s, ok := httpStatuses[c]; ok {
		return s
	}
	return 500
}

// FieldError names one parameter that was refused.
type FieldError struct {
	Field   string `json:"field" doc:"Name of the parameter"`
	Rule    string `json:"rule" doc:"The rule that it breaks, such as required, unknown, type, max=65535"`
	Message string `json:"message" doc:"The same as a sentence"`
}

// Error is a failure with a code, made where the fact is known. Message goes
// to the caller and names the fault and the way out; Err is the cause, which
// is logged and never sent.
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

// Errorf makes an Error without a cause.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Wrap makes an Error that keeps its cause for the log.
func Wrap(cause error, code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Err: cause}
}

// Error includes the cause; it is for logs. Callers get Message.
func (e *Error) Error() string {
	if e.Err != nil {
		return e.Message + ": " + e.Err.Error()
	}
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is compare Errors by code, so that tests and callers can ask
// errors.Is(err, &api.Error{Code: api.CodeNotFound}).
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Message == "" && t.Code == e.Code
}

// ErrorOf finds the Error in err. Context errors become timeout and
// unavailable; anything without a code is internal, its text kept as cause.
// It returns nil for nil.
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
