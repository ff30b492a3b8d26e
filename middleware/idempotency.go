package middleware

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"

	"jetstream/internal/api"
)

const maxIdempotencyKey = 255

// Replays keeps the outcomes of commands that were called with an
// Idempotency-Key, for 24 hours.
type Replays interface {
	// Begin claims owner's key for a call of command with these parameters in
	// canonical form. It returns the earlier outcome, if there is one. With a
	// replay, which is to be ended, the observers have yet to hear of the earlier
	// outcome; without an earlier outcome the command is to be carried out with
	// the returned context. Its errors are answered.
	Begin(ctx context.Context, owner, key string, command *api.Command, params []byte) (_ context.Context, replay Replay, earlier *api.Outcome, err error)
}

// Replay is a call that has claimed a key.
type Replay interface {
	// Reporting is the context for the observers: what they save in it is saved
	// together with the mark that they have heard of the command.
	Reporting(ctx context.Context) context.Context
	// Finish keeps the outcome, of which the observers have heard.
	Finish(ctx context.Context, out api.Outcome) error
	// End releases the key, which is free again where nothing was made. A
	// second End does nothing.
	End(ctx context.Context) error
}

// Idempotency answers a repeated call that carries the key of an earlier one
// with the earlier outcome. If a crash came between that and its observers, they
// hear of it before it is repeated. A new key's reply is held back until the outcome is
// kept and the key released, so that whoever has the reply may use the key. A
// nil replays refuses keys.
func Idempotency(log *slog.Logger, replays Replays) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if len(r.Header[api.IdempotencyHeader]) == 0 {
				next.ServeHTTP(w, r)
				return
			}
			call, ctx := CallOf(r.Context()), r.Context()
			key, err := idempotencyKey(r, call.Command)
			if err == nil && replays == nil {
				err = api.Errorf(api.CodeUnavailable, "this server keeps no answers for %s", api.IdempotencyHeader)
			}
			if err != nil {
				Fail(w, r, log, err)
				return
			}
			caller, _ := api.CallerOf(ctx)
			handlerContext, replay, earlier, err := replays.Begin(ctx, caller.User, key, call.Command, canonical(call.Params))
			if err != nil {
				Fail(w, r, log, err)
				return
			}
			if earlier != nil {
				log.DebugContext(ctx, "an answer was repeated", "command", call.Command.Name, "requestId", RequestID(w))
				w.Header().Set(api.ReplayedHeader, "true")
			}
			if replay == nil {
				Succeed(w, r, *earlier)
				return
			}
			call.Earlier, call.handlerContext, call.reporting = earlier, handlerContext, replay.Reporting
			k := &keyedCall{call: call, replay: replay, log: log, ctx: context.WithoutCancel(ctx)}
			k.reply = holdBack{ResponseWriter: w, hook: k}
			defer k.end() // also after a panic
			next.ServeHTTP(&k.reply, r)
			k.reply.release()
		})
	}
}

// keyedCall is a call that has claimed an Idempotency-Key.
type keyedCall struct {
	call   *Call
	replay Replay
	log    *slog.Logger
	ctx    context.Context //nolint:containedctx // it is the request's, for as long as the request
	reply  holdBack
}

// beforeReply keeps the outcome of a success and releases the key. A failure to
// keep it does not take back what was made: the key then is a conflict for
// whoever uses it next.
func (k *keyedCall) beforeReply() {
	if k.call.Outcome.Status != 0 {
		if err := k.replay.Finish(k.ctx, k.call.Outcome); err != nil {
			k.log.WarnContext(k.ctx, "an answer could not be kept for its Idempotency-Key", "command", k.call.Command.Name, "error", err)
		}
	}
	k.end()
}

func (k *keyedCall) end() {
	if err := k.replay.End(k.ctx); err != nil {
		k.log.WarnContext(k.ctx, "an Idempotency-Key could not be freed", "error", err)
	}
}

// idempotencyKey reads and checks the header.
func idempotencyKey(r *http.Request, c *api.Command) (string, error) {
	if !c.Replayable() {
		return "", api.Errorf(api.CodeInvalid, "%s takes no %s: that is for commands that make something and whose answer holds no secret", c.Name, api.IdempotencyHeader)
	}
	values := r.Header[api.IdempotencyHeader]
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
