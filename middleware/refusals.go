package middleware

import (
	"context"
	"encoding/json"
	"net/http"

	"jetstream/internal/api"
)

// Refusal is a request that was refused for its login, its caller's rights or
// its rate: unauthorized, forbidden or tooManyRequests.
type Refusal struct {
	// Command and Params are what was called; nil where the request was refused
	// before that was known, or called none.
	Command *api.Command
	Params  map[string]json.RawMessage
	// Caller is who is logged in; LoggedIn is false for nobody.
	Caller   api.Caller
	LoggedIn bool
	// Login and Name are the login that was tried, and the user that it named, in
	// the client's words. Empty: none.
	Login api.Login
	Name  string
	// Remote is the client's address, as RemoteIP gives it.
	Remote string
	// Method and Path are those of the request.
	Method, Path string
	RequestID    string
	Err          *api.Error
}

// RefusalObserver gets each refusal before its answer goes out. Its context
// outlives a caller who hangs up.
type RefusalObserver func(context.Context, *Refusal)

// Refusals hands what is refused behind it to an observer; nil: there is none. A
// call that was processed is not handed over, since its record has observers.
func Refusals(observe RefusalObserver) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		if observe == nil {
			return next
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), attemptKey{}, &attempt{observe: observe})))
		})
	}
}

type attemptKey struct{}

// attempt is the login that a request tries.
type attempt struct {
	observe RefusalObserver
	login   api.Login
	name    string
}

func noteLogin(ctx context.Context, login api.Login, name string) {
	if a, ok := ctx.Value(attemptKey{}).(*attempt); ok {
		a.login, a.name = login, name
	}
}

// NotePassword notes that a request tries to log in as the user name, for the
// observer of its refusal.
func NotePassword(ctx context.Context, name string) { noteLogin(ctx, api.LoginPassword, name) }

// reportRefusal hands the failure of a request to the observer if it is a
// refusal.
func reportRefusal(r *http.Request, requestID string, e *api.Error) {
	switch e.Code {
	case api.CodeUnauthorized, api.CodeForbidden, api.CodeTooManyRequests:
	default:
		return
	}
	ctx := r.Context()
	a, ok := ctx.Value(attemptKey{}).(*attempt)
	if !ok {
		return
	}
	f := Refusal{Login: a.login, Name: a.name, Remote: RemoteIP(r), Method: r.Method, Path: r.URL.Path, RequestID: requestID, Err: e}
	f.Caller, f.LoggedIn = api.CallerOf(ctx)
	if call := CallOf(ctx); call != nil {
		if call.Record != nil && call.Record.Status != "" {
			return
		}
		f.Command, f.Params = call.Command, call.Params
	}
	a.observe(context.WithoutCancel(ctx), &f)
}
