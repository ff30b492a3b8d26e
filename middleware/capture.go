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
	// Remote is the client's address, as RemoteIP gives it.
	Remote string
	// Params are the parameters as submitted; see Request.
	Params map[string]json.RawMessage

	// What follows, down to Err, is the handler's to fill in. A record without
	// status is empty: the command counts as refused.

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

// Observer gets the record of every processed command, before the first byte of
// the reply goes out: what it has saved when it returns, the caller may rely on.
// Its context outlives a caller who hangs up.
type Observer func(context.Context, *Record)

// Capture gives each call an empty record and hands it, filled in, to the
// observers, one after the other: once, when the handler begins to write its
// reply or returns without one. An empty record is handed to nobody.
func Capture(observers ...Observer) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			call := CallOf(r.Context())
			caller, _ := api.CallerOf(r.Context())
			c := &capture{
				ctx: r.Context(), observers: observers, start: time.Now(),
				record: Record{Command: call.Command, Caller: caller, Remote: RemoteIP(r), Params: call.Params},
			}
			c.reply = holdBack{ResponseWriter: w, hook: c}
			call.Record = &c.record
			next.ServeHTTP(&c.reply, r)
			c.reply.release()
		})
	}
}

// capture is the recording of one request's call.
type capture struct {
	ctx       context.Context //nolint:containedctx // it is the request's, for as long as the request
	observers []Observer
	start     time.Time
	record    Record
	reply     holdBack
}

func (c *capture) beforeReply() {
	if c.record.Status == "" {
		return
	}
	c.record.Duration = time.Since(c.start)
	ctx := context.WithoutCancel(c.ctx)
	if call := CallOf(ctx); call.reporting != nil {
		ctx = call.reporting(ctx)
	}
	for _, observe := range c.observers {
		observe(ctx, &c.record)
	}
}
