package api

import (
	"slices"
	"strings"
)

// Permission is one thing that a token may be good for.
type Permission string

// The permissions. A command asks for exactly one: see Spec.Needs.
const (
	// PermissionRead is for commands that only look: those of method GET.
	PermissionRead Permission = "read"
	// PermissionWrite is for all others that are not for superusers.
	PermissionWrite Permission = "write"
	// PermissionAdmin is for what superusers may do, where the token's user is
	// one: their commands, and the objects of others.
	PermissionAdmin Permission = "admin"
)

// Scope narrows what a login may do below what its user may do. A caller
// without one has logged in with a password or is a trigger script.
type Scope struct {
	// TokenID is the id of the API token.
	TokenID string
	// Permissions are those that the token has.
	Permissions []Permission
	// Path is the directory of the user's sandbox that files may be used
	// below, cleaned and as the user's API sees it; / is all of it.
	Path string
	// Expiry is when the token ends; 0 is never.
	Expiry Time
}

// Has tells whether p is among the permissions.
func (s *Scope) Has(p Permission) bool { return slices.Contains(s.Permissions, p) }

// Covers tells whether what is confined to the directory dir is confined to
// Path as well. A directory below counts as another: by a link, now or later, it
// may lie anywhere.
func (s *Scope) Covers(dir string) bool { return s.Path == "/" || s.Path == dir }

// Needs is the permission that a login with a scope must have to call the
// command. This is the whole rule.
func (s Spec) Needs() Permission {
	switch {
	case s.Access == AccessSuperuser:
		return PermissionAdmin
	case s.Method == "GET":
		return PermissionRead
	}
	return PermissionWrite
}

// Permit tells whether c may call the command at all: the one place where
// access and scope are decided, for every door. What stands beside the
// commands asks by a Spec of its own. Codes: unauthorized without login,
// forbidden.
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

// PathWithin tells whether the cleaned API path p is dir or lies below it.
func PathWithin(dir, p string) bool {
	return dir == "/" || p == dir || strings.HasPrefix(p, dir+"/")
}

// ConfinedTo is the directory that the caller's files must lie in; / for a
// caller who is not confined.
func (c Caller) ConfinedTo() string {
	if c.Scope == nil {
		return "/"
	}
	return c.Scope.Path
}
