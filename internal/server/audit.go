package server

import (
	"context"
	"errors"
	"net"
	"net/http"

	"jetstream/internal/api"
	"jetstream/internal/audit"
	"jetstream/internal/transfer/receiver"
	"jetstream/middleware"
)

// openAudit opens the audit log.
func (s *Server) openAudit(context.Context) (err error) {
	if s.audit, err = audit.Open(audit.Options{Stream: s.stream, Path: s.o.AuditLog, Log: s.log}); err != nil {
		return optionErrorf("the audit log cannot be opened: %v; see %s", err, option("AuditLog"))
	}
	s.onClose(s.audit.Close)
	return nil
}

// ReopenAuditLog opens the file of Options.AuditLog anew, which may be another
// one after a rotation. After an error the former file stays in use.
func (s *Server) ReopenAuditLog() error { return s.audit.Reopen() }

// auditCommand records commands that are to change something; see
// middleware.Observer. Failures are counted, so that nobody fills the log with
// them.
func (s *Server) auditCommand(_ context.Context, c *middleware.Record) {
	if c.Command.Method == http.MethodGet && c.Status != api.CodeTooManyRequests {
		return
	}
	r := recordOf(c.Caller, c.Remote)
	r.Action, r.Status, r.Parameters = c.Command.Name, c.Status, audit.Parameters(c.Command, c.Params)
	if c.Status != api.CodeSuccess {
		s.audit.Count(c.Caller.User, r)
		return
	}
	r.Result = audit.Result(c.Command, c.Result)
	s.audit.Write(c.Caller.User, r)
}

// recordOf is a record of what a caller did.
func recordOf(c api.Caller, remote string) audit.Record {
	r := audit.Record{Login: c.Login, Address: remote, RequestID: c.RequestID}
	if c.Scope != nil {
		r.TokenID = c.Scope.TokenID
	}
	return r
}

// auditRefusal records a refused request.
func (s *Server) auditRefusal(ctx context.Context, f *middleware.Refusal) {
	if !f.LoggedIn {
		r := audit.Record{Action: audit.ActionLogin, Status: f.Err.Code, Login: f.Login, Address: f.Remote, RequestID: f.RequestID}
		if f.Err.Code == api.CodeForbidden { // before anybody looked for a login
			r.Action = audit.ActionRequest
		}
		s.audit.CountStranger(s.knownUser(ctx, f.Name), r)
		return
	}
	r := recordOf(f.Caller, f.Remote)
	r.Action, r.Status = f.Method+" "+f.Path, f.Err.Code
	if f.Command != nil {
		r.Action, r.Parameters = f.Command.Name, audit.Parameters(f.Command, f.Params)
	}
	s.audit.Count(f.Caller.User, r)
}

// auditSender records the login of a sending server, or its refusal.
func (s *Server) auditSender(ctx context.Context, l receiver.Login) {
	r := audit.Record{Action: audit.ActionRecvLogin, Status: api.CodeSuccess, Login: api.LoginPassword, TokenID: l.TokenID, Address: l.From}
	if host, _, err := net.SplitHostPort(l.From); err == nil {
		r.Address = host
	}
	if l.TokenID != "" {
		r.Login = api.LoginToken
	}
	if l.Err == nil {
		r.Parameters = audit.Texts("transferId", l.TransferID, "sourcePublicKey", l.PublicKey)
		s.audit.Write(l.Username, r)
		return
	}
	r.Status = api.ErrorOf(l.Err).Code
	if l.Username == "" { // its key alone was enough for a refusal
		r.Login, r.Parameters = "", audit.Texts("sourcePublicKey", l.PublicKey)
	}
	s.audit.CountStranger(s.knownUser(ctx, l.Username), r)
}

// knownUser returns the name of a user whom a client has named, and *** for a name
// that no user has: people type passwords there.
func (s *Server) knownUser(ctx context.Context, name string) string {
	if name == "" {
		return ""
	}
	u, err := s.accounts.User(ctx, name)
	if err != nil {
		return api.Masked
	}
	return u.Name
}

// auditFault returns why the file of the audit log cannot be written, or nil.
func (s *Server) auditFault() error {
	err := s.audit.Fault()
	if err == nil {
		return nil
	}
	reason := api.SystemReason(err)
	if reason == "" {
		reason = err.Error()
	}
	return errors.New("the audit log " + s.o.AuditLog + " cannot be written (" + reason + "); until it can, its records are in the event log")
}
