package api

import "context"

// Caller says on whose behalf a command runs. It is put into the context by
// the authenticate middleware and read by handlers.
type Caller struct {
	// User is the account's name; empty for a launch script's token that
	// named nobody (such a caller may look at everything and own nothing).
	User string
	// Superuser may see and change everybody's objects.
	Superuser bool
	// Sandbox is the account's own directory for its files when the call came
	// in; empty for the server's default, or without an account.
	Sandbox string
	// Since is when the account was made: what the log has from before, is of a
	// former user of the name. 0 without an account.
	Since Time
	// Scope narrows the login of an API token; nil for every other login.
	// Superuser is false already where it takes that right away.
	Scope *Scope
	// RequestID is the X-Request-Id of the call.
	RequestID string
	// Depth counts the trigger runs in the chain that led to this call: 0 for
	// a call from outside, n for a call made by a script whose
	// JETSTREAM_DEPTH is n.
	Depth int
}

// MayAct tells whether the caller may see and change an object of owner.
func (c Caller) MayAct(owner string) bool {
	return c.Superuser || (c.User != "" && c.User == owner)
}

// CheckOwner tells why the caller may not see and change an object of owner:
// notFound, as for an object that does not exist. kind and id name the object.
func (c Caller) CheckOwner(owner, kind, id string) error {
	if c.MayAct(owner) {
		return nil
	}
	return NotFound(kind, id)
}

// Owner returns the name that owns what this caller makes. A launch token
// that named nobody gets an invalid error.
func (c Caller) Owner() (string, error) {
	if c.User == "" {
		return "", Errorf(CodeInvalid, "this token belongs to no user: name the one who shall own it with --user NAME")
	}
	return c.User, nil
}

type callerKey struct{}

// WithCaller puts c into the context.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerOf returns the context's caller; ok is false when nobody is logged in.
func CallerOf(ctx context.Context) (c Caller, ok bool) {
	c, ok = ctx.Value(callerKey{}).(Caller)
	return c, ok
}
