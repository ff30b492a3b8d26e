package middleware

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"jetstream/internal/api"
)

// Record is what became of one command, as its observers see it.
type Record struct {
	Command *api.Command
	Caller  api.Caller
	// Params are the parameters as submitted; see Request.
	Params map[string]json.RawMessage
	// Status is success or the error's code, Message what the caller gets.
	Status  api.Code
	Message string
	// Result is the result that the caller gets, secret fields masked.
	Result json.RawMessage
	// Err is the failure with its cause, nil on success.
	Err      *api.Error
	Duration time.Duration
}

// Request is the command structure with secret and unknown parameters masked.
func (r *Record) Request() json.RawMessage { return r.Command.Request(r.Params) }

// Observer is told of every command that was processed, before its reply goes
// out: what it has saved when it returns, the caller may rely on. Its context
// outlives a caller who hangs up.
type Observer func(context.Context, *Record)

type slot struct{ observers []Observer }

type slotKey struct{}

// Capture puts an empty slot into the request's context, which the gateway
// fills by Report when it has carried a command out. Nobody re-reads a body
// or parses what was just written.
func Capture(observers ...Observer) func(http.Handler) http.Handler {
	s := &slot{observers: observers}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), slotKey{}, s)))
		})
	}
}

// Report hands a record to the observers, one after the other.
func Report(ctx context.Context, rec *Record) {
	s, ok := ctx.Value(slotKey{}).(*slot)
	if !ok {
		return
	}
	ctx = context.WithoutCancel(ctx)
	for _, observe := range s.observers {
		observe(ctx, rec)
	}
}
