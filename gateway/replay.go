package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"

	"jetstream/internal/api"
	"jetstream/middleware"
)

const maxIdempotencyKey = 255

// Replays keeps the answers of commands that were called with an
// Idempotency-Key, for 24 hours.
type Replays interface {
	// Begin claims owner's key for a call of command with these parameters in
	// one form for all doors. It returns the first answer, if there is one;
	// else the command is to be carried out with the returned context, and the
	// call to be ended. Its errors are answered.
	Begin(ctx context.Context, owner, key, command string, body []byte) (_ context.Context, call Replay, earlier *api.Outcome, err error)
}

// Replay is a call that carries a key.
type Replay interface {
	// Finish keeps the answer.
	Finish(ctx context.Context, out api.Outcome) error
	// End lets go of the key, which is free again where nothing was made. A
	// second End does nothing.
	End(ctx context.Context) error
}

// idempotencyKey reads and checks the header; empty is none.
func idempotencyKey(r *http.Request, c *api.Command) (string, error) {
	values := r.Header.Values(api.IdempotencyHeader)
	if len(values) == 0 {
		return "", nil
	}
	if !c.Replayable() {
		return "", api.Errorf(api.CodeInvalid, "%s takes no %s: that is for commands that make something and whose answer holds no secret", c.Name, api.IdempotencyHeader)
	}
	key := values[0]
	valid := len(values) == 1 && key != "" && len(key) <= maxIdempotencyKey
	for i := range len(key) {
		valid = valid && key[i] > ' ' && key[i] < 0x7f
	}
	if !valid {
		return "", api.Errorf(api.CodeInvalid, "%s must be given once and have 1 to %d visible ASCII characters, such as a UUID", api.IdempotencyHeader, maxIdempotencyKey)
	}
	return key, nil
}

// begin claims the key that a call carries, if any. answered tells that the
// request was answered already: by the first answer or by a refusal.
func (g *Gateway) begin(w http.ResponseWriter, r *http.Request, c *api.Command, params map[string]json.RawMessage) (ctx context.Context, call Replay, answered bool) {
	ctx = r.Context()
	key, err := idempotencyKey(r, c)
	if err == nil && key != "" && g.o.Replays == nil {
		err = api.Errorf(api.CodeUnavailable, "this server keeps no answers for %s", api.IdempotencyHeader)
	}
	var earlier *api.Outcome
	if err == nil && key != "" {
		caller, _ := api.CallerOf(ctx)
		ctx, call, earlier, err = g.o.Replays.Begin(ctx, caller.User, key, c.Name, canonical(params))
	}
	switch {
	case err != nil:
		g.refuse(w, r, err)
		return ctx, nil, true
	case earlier != nil:
		w.Header().Set(api.ReplayedHeader, "true")
		if earlier.Location != "" {
			w.Header().Set("Location", api.Prefix+earlier.Location)
		}
		g.log.DebugContext(ctx, "an answer was repeated", "command", c.Name, "requestId", middleware.RequestID(w))
		middleware.Answer(w, earlier.Status, api.Reply{Status: api.CodeSuccess, Message: earlier.Message, Result: earlier.Result})
		return ctx, nil, true
	}
	return ctx, call, false
}

// canonical writes parameters in one form: names sorted, no blanks.
func canonical(params map[string]json.RawMessage) []byte {
	values := make(map[string]any, len(params))
	for name, raw := range params {
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber() // not rounded
		var v any
		if err := d.Decode(&v); err != nil {
			v = raw // it was parsed before: cannot happen
		}
		values[name] = v
	}
	b, err := api.Marshal(values)
	if err != nil { // what was decoded can be encoded
		return nil
	}
	return b
}

// keep keeps the answer of a call with a key, which was reported already. A
// failure does not take back what was made: the key then is a conflict for the
// next who uses it.
func (g *Gateway) keep(ctx context.Context, call Replay, c *api.Command, out api.Outcome) {
	if err := call.Finish(ctx, out); err != nil {
		g.log.WarnContext(ctx, "an answer could not be kept for its Idempotency-Key", "command", c.Name, "error", err)
	}
}

// release lets go of a call's key before the answer goes out: who has it may
// use the key again.
func (g *Gateway) release(ctx context.Context, call Replay) {
	if err := call.End(ctx); err != nil {
		g.log.WarnContext(ctx, "an Idempotency-Key could not be freed", "error", err)
	}
}
