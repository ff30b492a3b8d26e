package api

import (
	"slices"
	"strings"
)

// Permission allows an API token to call a group of commands.
type Permission string

// The permissions. A command needs exactly one of them: see Spec.Needs.
const (
	// PermissionRead is for commands that change nothing: those of method GET.
	PermissionRead Permission = "read"
	// PermissionWrite is for all other commands that are not for superusers.
	PermissionWrite Permission = "write"
	// PermissionAdmin gives the token of a superuser the rights of one: the
	// commands for superusers and the objects of other users.
	PermissionAdmin Permission = "admin"
)

// Scope restricts an API token to a part of what its user may do. Other logins
// have no scope.
type Scope struct {
	// TokenID is the id of the API token.
	TokenID string
	// Permissions are the permissions of the token.
	Permissions []Permission
	// Path is the directory, as a cleaned path in the user's API, that the
	// files must be in; / does not restrict them.
	Path string
	// Expiry is when the token ends; 0 is never.
	Expiry Time
}

// Has reports whether the token has the permission p.
func (s *Scope) Has(p Permission) bool { return slices.Contains(s.Permissions, p) }

// Covers reports whether everything that is confined to the directory dir is
// also confined to Path. A directory below Path is not covered, since by a link
// it may be anywhere in the sandbox.
func (s *Scope) Covers(dir string) bool { return s.Path == "/" || s.Path == dir }

// Needs returns the permission that a token must have to call the command.
func (s Spec) Needs() Permission {
	switch {
	case s.Access == AccessSuperuser:
		return PermissionAdmin
	case s.Method == "GET":
		return PermissionRead
	}
	return PermissionWrite
}

// Permit returns an error if c may not call the command. All access and scope
// checks are made here; what is not a command (such as the event stream) has a
// Spec of its own for it. Codes: unauthorized without login, forbidden.
func (s Spec) Permit(c Caller, loggedIn bool) error {
	if !loggedIn {
		if s.Access == AccessPublic {
			return nil
		}
		return Errorf(CodeUnauthorized, "%s needs a login", s.Name)
	}
	if need := s.Needs(); c.Scope != nil && !c.Scope.Has(need) {
		return Errorf(CodeForbidden, "%s needs the permission %q, which this token has not; make a token that has it, or log in with a password", s.Name, need)
	}
	if s.Access == AccessSuperuser && !c.Superuser {
		return Errorf(CodeForbidden, "%s is for superusers", s.Name)
	}
	return nil
}

// PathWithin reports whether the cleaned API path p is dir or is below it.
func PathWithin(dir, p string) bool {
	return dir == "/" || p == dir || strings.HasPrefix(p, dir+"/")
}

// ConfinedTo returns the directory that the caller's files must be in; / if the
// caller is not confined.
func (c Caller) ConfinedTo() string {
	if c.Scope == nil {
		return "/"
	}
	return c.Scope.Path
}
