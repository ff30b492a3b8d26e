package middleware

import (
	"context"
	"encoding/json"

	"jetstream/internal/api"
)

// Call is the command that a request calls. It is in the request's context, where
// the middlewares and the handler share it: Authenticate puts it there, since it
// copies the request anyway, and Decode fills it in.
type Call struct {
	Command *api.Command
	// Params are the parameters as submitted, whichever way the command was
	// called; nil when there are none.
	Params map[string]json.RawMessage
	// Record is for the handler to fill in; nil without Capture.
	Record *Record
	// Outcome is set by the handler when the command has succeeded; until then
	// its status is 0.
	Outcome api.Outcome

	// Earlier is the outcome of an earlier call with the same Idempotency-Key, to
	// be recorded and answered in place of carrying out the command; nil: none.
	Earlier *api.Outcome

	handlerContext context.Context                       //nolint:containedctx // it lives as long as the request
	reporting      func(context.Context) context.Context // nil without a key
}

type callKey struct{}

// CallOf returns the call in a request's context; nil where there is none.
func CallOf(ctx context.Context) *Call {
	call, _ := ctx.Value(callKey{}).(*Call)
	return call
}

func withCall(ctx context.Context, call *Call) context.Context {
	return context.WithValue(ctx, callKey{}, call)
}

// HandlerContext is the context to carry the command out with; ctx is that of
// the request. They differ where what the command saves must be known to belong
// to an Idempotency-Key, and what its observers save must not.
func (c *Call) HandlerContext(ctx context.Context) context.Context {
	if c.handlerContext != nil {
		return c.handlerContext
	}
	return ctx
}
