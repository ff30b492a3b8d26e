package api

import (
	"context"
	"reflect"
)

// Key is the Idempotency-Key of a call, while its command is carried out.
type Key interface {
	// Announce tells the answer of the command before what it makes is saved, so
	// that both are saved in one transaction.
	Announce(out Outcome)
	// Intend saves that the command is about to make something outside the
	// database.
	Intend(ctx context.Context) error
	// Intended reports whether an earlier call with the key has called Intend and
	// was cut off.
	Intended() bool
}

type keyed struct {
	command *Command
	key     Key
}

type keyedKey struct{}

// WithKey is the context to carry out a command with that was called with a key.
func WithKey(ctx context.Context, c *Command, key Key) context.Context {
	return context.WithValue(ctx, keyedKey{}, keyed{c, key})
}

// Announce tells the key of the call, if it has one, what the command will
// return when the transaction that is going on is committed. It does nothing
// for a value that is no result of the command.
func Announce(ctx context.Context, result any) {
	k, ok := ctx.Value(keyedKey{}).(keyed)
	if !ok {
		return
	}
	t := reflect.TypeOf(result)
	if v, ok := result.(varying); ok {
		t = v.valueType()
	}
	if t != k.command.ResultType {
		return
	}
	if out, err := k.command.outcome(result); err == nil { // else the command fails by the same error
		k.key.Announce(out)
	}
}

// Intend saves, if the call has a key, that the command is about to make
// something outside the database: a repeated call that finds it there may take
// it for its own.
func Intend(ctx context.Context) error {
	if k, ok := ctx.Value(keyedKey{}).(keyed); ok {
		return k.key.Intend(ctx)
	}
	return nil
}

// Intended reports whether an earlier call with the same key was cut off after
// Intend.
func Intended(ctx context.Context) bool {
	k, ok := ctx.Value(keyedKey{}).(keyed)
	return ok && k.key.Intended()
}
