package api

import "context"

// Caller is the user on whose behalf a command runs. The authenticate
// middleware puts it into the context.
type Caller struct {
	// User is the name of the account. It is empty for the token of a launch
	// script that acts as no user: it may see everything and own nothing.
	User string
	// Superuser reports whether the caller may see and change the objects of
	// all users.
	Superuser bool
	// Sandbox is the account's directory for its files; empty for the server's
	// default or without an account.
	Sandbox string
	// Since is when the account was made, 0 without an account. Older entries
	// of the event log belong to a removed user of the same name.
	Since Time
	// Scope restricts what an API token may do; nil for every other login.
	// Superuser is already false if the scope does not include that right.
	Scope *Scope
	// RequestID is the X-Request-Id of the call.
	RequestID string
	// Depth is the number of trigger runs in the chain that led to this call: n
	// for a call by a script whose JETSTREAM_DEPTH is n, 0 for any other call.
	Depth int
}

// MayAct reports whether the caller may see and change the objects of owner.
func (c Caller) MayAct(owner string) bool {
	return c.Superuser || (c.User != "" && c.User == owner)
}

// CheckOwner returns an error if the caller may not see and change an object of
// owner: notFound, as for an object that does not exist. kind and id name the
// object.
func (c Caller) CheckOwner(owner, kind, id string) error {
	if c.MayAct(owner) {
		return nil
	}
	return NotFound(kind, id)
}

// Owner returns the name of the user who owns what this caller makes. Codes:
// invalid for a launch script that acts as no user.
func (c Caller) Owner() (string, error) {
	if c.User == "" {
		return "", Errorf(CodeInvalid, "this token belongs to no user: name the one who shall own it with --user NAME")
	}
	return c.User, nil
}

type callerKey struct{}

// WithCaller returns a context that carries c.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerOf returns the caller of the context; ok is false if nobody is logged
// in.
func CallerOf(ctx context.Context) (c Caller, ok bool) {
	c, ok = ctx.Value(callerKey{}).(Caller)
	return c, ok
}
