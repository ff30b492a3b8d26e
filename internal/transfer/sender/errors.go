package sender

import (
	"errors"
	"fmt"
	"time"

	"jetstream/internal/account"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
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

// unusable explains why a server that has answered is not the receiver.
func (a *attempt) unusable(err error) error {
	if k, ok := errors.AsType[*wire.KeyChangedError](err); ok {
		return failf(err, true, "the public key of %s has changed: %s was pinned and %s answered; if the server was really replaced, give the destination%s its new key with send.updateDestination",
			a.to, k.Pinned, k.Presented, spaced(a.t.DestinationID))
	}
	if v, ok := errors.AsType[*wire.VersionError](err); ok {
		return failf(err, true, "%s cannot be used: %s", a.to, v.Error())
	}
	return err
}

// refusedLogin is the error of a login that the receiver has refused. Of a wrong user,
// password or token it says no more than that; else its reason is passed on.
func (a *attempt) refusedLogin(f wire.Failure) error {
	if f.Message != account.WrongCredentials {
		return failf(nil, false, "%s refused the login of user %s: %s", a.to, a.t.Username, wire.Clean(f.Message))
	}
	return failf(nil, false, "user %s or its password was refused by %s; make that user there, or give its present password or a token of it", a.t.Username, a.to)
}

// spaced is an id with a space before it, empty for none.
func spaced(id string) string {
	if id == "" {
		return ""
	}
	return " " + id
}
