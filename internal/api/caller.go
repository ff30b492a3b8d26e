package api

import "context"

// Login is how a caller is known.
type Login string

// The ways to be known.
const (
	LoginPassword Login = "password"
	LoginSession  Login = "session"  // the cookie of the page
	LoginToken    Login = "token"    // an API token
	LoginRunToken Login = "runToken" // the token of a trigger script that runs
	LoginSocket   Login = "socket"   // the kernel, at the control socket
)

// Caller is the user on whose behalf a command runs. The authenticate
// middleware puts it into the context.
type Caller struct {
	// User is the account's name; empty for a launch script's token or a call by
	// the control socket that named nobody (such a caller may look at everything
	// and own nothing).
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
	// Peer is the user id of the process that called by the control socket and
	// was known by that alone; empty for every other login.
	Peer string
	// Login is how the caller is known.
	Login Login
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
// invalid for a login without a user.
func (c Caller) Owner() (string, error) {
	if c.User == "" {
		return "", Errorf(CodeInvalid, "this login is no user's: name the user who shall own it with --user NAME, or the header %s", UserHeader)
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
