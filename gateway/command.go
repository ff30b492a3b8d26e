package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"jetstream/internal/api"
	"jetstream/middleware"
)

// rest is the route of one command.
func (g *Gateway) rest(c *api.Command) http.HandlerFunc {
	b := g.binders[c.Name]
	return func(w http.ResponseWriter, r *http.Request) {
		if !g.permitted(w, r, c) {
			return
		}
		params, err := g.readParams(w, r)
		if err == nil {
			err = b.gather(r, params)
		}
		if err != nil {
			g.refuse(w, r, err)
			return
		}
		g.carryOut(w, r, b, params)
	}
}

// envelope is the other door to every command: {"request": name, "parameters": {...}}.
func (g *Gateway) envelope(w http.ResponseWriter, r *http.Request) {
	if len(r.URL.RawQuery) > 0 {
		g.refuse(w, r, api.Errorf(api.CodeInvalid, `the envelope takes no query; put parameters into "parameters"`))
		return
	}
	members, err := g.readParams(w, r)
	if err != nil {
		g.refuse(w, r, err)
		return
	}
	name, params, err := openEnvelope(members)
	if err != nil {
		g.refuse(w, r, err)
		return
	}
	c, ok := g.o.Registry.Find(name)
	if !ok {
		hint := "the commands are in /docs"
		if near := api.Nearest(name, g.o.Registry.Names()); near != "" {
			hint = "did you mean " + near + "?"
		}
		g.refuse(w, r, api.Errorf(api.CodeNotFound, "there is no command %.100q; %s", name, hint))
		return
	}
	if g.permitted(w, r, c) {
		g.carryOut(w, r, g.binders[name], params)
	}
}

func openEnvelope(members map[string]json.RawMessage) (name string, params map[string]json.RawMessage, err error) {
	for key := range members {
		if key != "request" && key != "parameters" {
			return "", nil, invalidField(key, "unknown", fmt.Sprintf(
				`the envelope has no %.100q; it is {"request": name, "parameters": {...}}`, key))
		}
	}
	if json.Unmarshal(members["request"], &name) != nil || name == "" {
		return "", nil, invalidField("request", "required", `"request" must be the full name of a command, such as "send.createManifest"`)
	}
	raw, given := members["parameters"]
	if !given {
		return name, map[string]json.RawMessage{}, nil
	}
	params, e := parseObject(raw)
	if e != nil {
		return "", nil, invalidField("parameters", "type", `"parameters" must be an object without repeated names`)
	}
	return name, params, nil
}

// permitted refuses callers who may not call c at all.
func (g *Gateway) permitted(w http.ResponseWriter, r *http.Request, c *api.Command) bool {
	caller, ok := api.CallerOf(r.Context())
	if err := c.Permit(caller, ok); err != nil {
		g.refuse(w, r, err)
		return false
	}
	return true
}

// refuse answers a request that never became a command: no observer hears of it.
func (g *Gateway) refuse(w http.ResponseWriter, r *http.Request, err error) {
	status := 0
	if e := api.ErrorOf(err); e.Code == api.CodeInvalid && len(e.Fields) == 1 && e.Fields[0].Rule == ruleContentType {
		status = http.StatusUnsupportedMediaType
	}
	middleware.FailStatus(w, r, g.log, status, err)
}

// carryOut binds, validates and does the command, reports it, and only then
// answers: a reply in the caller's hands means that its event is saved.
func (g *Gateway) carryOut(w http.ResponseWriter, r *http.Request, b *binder, params map[string]json.RawMessage) {
	start := time.Now()
	ctx := r.Context()
	caller, loggedIn := api.CallerOf(ctx)
	if loggedIn {
		g.conns.pin(ctx)
	}
	if b.command.Waits {
		if err := g.waits.take(caller.User, 1); err != nil {
			g.refuse(w, r, err)
			return
		}
		defer g.waits.leave(caller.User, 1)
	}
	work, call, answered := g.begin(w, r, b.command, params)
	if answered {
		return
	}
	if call != nil {
		defer g.release(ctx, call) // also when an observer panics
	}
	rec := &middleware.Record{Command: b.command, Caller: caller, Params: params, Status: api.CodeSuccess}
	reply := api.Reply{Status: api.CodeSuccess}
	var status int

	out, err := g.do(work, b, params) // what else is saved, such as its event, marks no key
	if weight := len(out.Result) >> 10; len(out.Result) > freeAnswer && b.command.Method == http.MethodGet {
		// What has changed something is answered whatever it weighs.
		if err = g.answers.take(caller.User, weight); err == nil {
			defer g.answers.leave(caller.User, weight)
		}
	}
	if err != nil {
		rec.Err = api.ErrorOf(err)
		middleware.LogFailure(ctx, w, g.log, rec.Err)
		reply, status = api.FailureReply(rec.Err), rec.Err.Code.HTTPStatus()
		rec.Result = reply.Result
	} else {
		reply.Message, reply.Result, status = out.Message, out.Result, out.Status
		rec.Result = out.Masked
		if out.Location != "" {
			w.Header().Set("Location", api.Prefix+out.Location)
		}
	}
	rec.Status, rec.Message, rec.Duration = reply.Status, reply.Message, time.Since(start)
	// A refused call is no processed command: a stranger can never start a script.
	if loggedIn && rec.Status != api.CodeForbidden && rec.Status != api.CodeUnauthorized {
		middleware.Report(ctx, rec)
	}
	if call != nil {
		if err == nil {
			g.keep(ctx, call, b.command, out)
		}
		g.release(ctx, call)
	}
	if rec.Err != nil && rec.Err.Code == api.CodeTooManyRequests {
		middleware.Fail(w, r, g.log, rec.Err) // with Retry-After
		return
	}
	middleware.Answer(w, status, reply)
}

// do binds and carries out; a panic in a handler becomes an internal error,
// so that the command is reported and answered like any other failure.
func (g *Gateway) do(ctx context.Context, b *binder, params map[string]json.RawMessage) (out api.Outcome, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in %s: %v\n%s", b.command.Name, p, debug.Stack())
		}
	}()
	bound, err := b.bind(params)
	if err != nil {
		return api.Outcome{}, err
	}
	return b.command.Do(ctx, bound)
}
