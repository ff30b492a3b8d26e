package server

import (
	"context"
	"time"

	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/audit"
	"jetstream/internal/store"
	"jetstream/middleware"
)

// authenticator implements the gateway's authentication with the account service.
// Sessions that begin and end are recorded in the audit log.
type authenticator struct {
	accounts *account.Service
	audit    *audit.Log
}

func (a authenticator) Password(ctx context.Context, name, password, remote string) (api.Caller, error) {
	u, err := a.accounts.Login(ctx, name, password, remote)
	return callerOf(u), err
}

func callerOf(u account.User) api.Caller {
	return api.Caller{User: u.Name, Superuser: u.Superuser, Sandbox: u.Sandbox, Since: u.CreateTime}
}

func (a authenticator) Token(ctx context.Context, token, actAs string) (api.Caller, error) {
	g, err := a.accounts.ByToken(ctx, token, actAs)
	return grantee(g), err
}

func (a authenticator) ActAs(ctx context.Context, name string) (api.Caller, error) {
	g, err := a.accounts.ActAs(ctx, name)
	return grantee(g), err
}

func grantee(g account.Grant) api.Caller {
	return api.Caller{User: g.User, Superuser: g.Superuser, Sandbox: g.Sandbox, Since: g.Since, Scope: g.Scope, Depth: g.Depth}
}

func (a authenticator) Session(ctx context.Context, id string) (api.Caller, error) {
	u, err := a.accounts.BySession(ctx, id)
	return callerOf(u), err
}

func (a authenticator) Open(ctx context.Context, name, password, remote string) (string, time.Time, error) {
	u, err := a.accounts.Login(ctx, name, password, remote)
	if err != nil {
		return "", time.Time{}, err
	}
	id, expires := a.accounts.OpenSession(u)
	a.audit.Write(u.Name, audit.Record{Action: audit.ActionLogin, Status: api.CodeSuccess, Login: api.LoginPassword, Address: remote})
	return id, expires, nil
}

func (a authenticator) Close(ctx context.Context, id, remote string) {
	u, err := a.accounts.BySession(ctx, id)
	a.accounts.CloseSession(id)
	if err == nil { // else nothing has ended
		a.audit.Write(u.Name, audit.Record{Action: audit.ActionLogout, Status: api.CodeSuccess, Login: api.LoginSession, Address: remote})
	}
}

// keptReplies adapts store.Replays to the interface of middleware.Idempotency.
type keptReplies struct{ *store.Replays }

func (k keptReplies) Begin(ctx context.Context, owner, key string, command *api.Command, body []byte) (context.Context, middleware.Replay, *api.Outcome, error) {
	ctx, call, earlier, err := k.Replays.Begin(ctx, owner, key, command, body)
	if call == nil { // a nil *store.Replay in the interface would not equal nil
		return ctx, nil, earlier, err
	}
	return ctx, call, earlier, err
}
