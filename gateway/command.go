package gateway

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"

	"jetstream/internal/api"
	"jetstream/middleware"
)

// A result of at most freeResult bytes may always be answered. Larger ones take
// of a quota of maxResults KiB, of which one user gets half: the server holds
// them, a few times over, until they are read.
const (
	freeResult = 64 << 10
	maxResults = 256 << 10
)

func newResultQuota(kib int) *middleware.UserQuota {
	return middleware.NewUserQuota(kib,
		"answers of %d KiB are on their way, %d KiB of them to this user; read these to their end first, or give a lower limit")
}

// command carries out the call that the middlewares have let pass, fills in its
// record, and answers. The quota of results is asked before: a record never
// tells of a success that the caller does not get.
func (g *Gateway) command(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	call := middleware.CallOf(ctx)
	caller, loggedIn := api.CallerOf(ctx)
	out, err := g.do(call.HandlerContext(ctx), call)
	// What has changed something is answered whatever its size.
	if size := len(out.Result); size > freeResult && call.Command.Method == http.MethodGet {
		if err = g.results.Acquire(caller.User, size>>10); err == nil {
			defer g.results.Release(caller.User, size>>10)
		}
	}
	if err != nil {
		e := api.ErrorOf(err)
		if loggedIn && e.Code != api.CodeForbidden && e.Code != api.CodeUnauthorized {
			call.Record.Status, call.Record.Message, call.Record.Result, call.Record.Err = e.Code, e.Message, api.FailureReply(e).Result, e
		}
		middleware.Fail(w, r, g.log, e)
		return
	}
	if loggedIn {
		call.Record.Status, call.Record.Message, call.Record.Result = api.CodeSuccess, out.Message, out.Masked
	}
	call.Outcome = out
	middleware.Succeed(w, r, out)
}

// do binds the parameters and carries the command out. A panic becomes an
// internal error, which is recorded and answered like any other failure.
func (g *Gateway) do(ctx context.Context, call *middleware.Call) (out api.Outcome, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in %s: %v\n%s", call.Command.Name, p, debug.Stack())
		}
	}()
	if call.Earlier != nil {
		return *call.Earlier, nil
	}
	if call.Command.Method != http.MethodGet && g.o.Changeable != nil {
		if err := g.o.Changeable(); err != nil {
			return api.Outcome{}, err
		}
	}
	params, err := g.binders[call.Command].bind(call.Params)
	if err != nil {
		return api.Outcome{}, err
	}
	return call.Command.Do(ctx, params)
}
