package sender

import (
	"fmt"
	"time"

	"jetstream/internal/transfer"
)

// finalError is an error that ends the transfer.
type finalError struct {
	status  transfer.Status
	message string
	notify  bool // whether the receiver must be notified
	cause   error
}

func (e *finalError) Error() string {
	if e.cause != nil {
		return e.message + ": " + e.cause.Error()
	}
	return e.message
}

func (e *finalError) Unwrap() error { return e.cause }

// failf returns a finalError with status error. notify is whether the receiver
// must be notified of it.
func failf(cause error, notify bool, format string, args ...any) error {
	return &finalError{status: transfer.StatusError, message: fmt.Sprintf(format, args...), notify: notify, cause: cause}
}

// retryLater is an error after which the next attempt must wait.
type retryLater struct {
	message string
	after   time.Duration
}

func (e *retryLater) Error() string { return e.message }
