package middleware

import (
	"testing"

	"jetstream/internal/api"
)

func TestPermitAsksTheCommand(t *testing.T) {
	user, root := &api.Caller{User: "ann"}, &api.Caller{User: "root", Superuser: true}
	reader := &api.Caller{User: "ann", Scope: &api.Scope{Permissions: []api.Permission{api.PermissionRead}}}
	for _, tt := range []struct {
		name   string
		access api.Access
		method string
		caller *api.Caller
		status int
		code   api.Code
		words  string
	}{
		{"a user", api.AccessUser, "GET", user, 200, "", ""},
		{"nobody", api.AccessUser, "GET", nil, 401, api.CodeUnauthorized, "needs a login"},
		{"nobody, public", api.AccessPublic, "GET", nil, 200, "", ""},
		{"a superuser", api.AccessSuperuser, "POST", root, 200, "", ""},
		{"a user, for superusers", api.AccessSuperuser, "POST", user, 403, api.CodeForbidden, "for superusers"},
		{"a token that reads", api.AccessUser, "GET", reader, 200, "", ""},
		{"a token that writes", api.AccessUser, "POST", reader, 403, api.CodeForbidden, "permission"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var next reached
			c := command(api.Spec{Name: "do", Method: tt.method, Path: "/do", Access: tt.access})
			res := send(calling(c, tt.caller, Permit(silent)(&next)), tt.method, "/", "")
			if (next.n == 1) != (tt.status == 200) {
				t.Errorf("it reached the handler %d times", next.n)
			}
			if tt.status != 200 {
				wantReply(t, res, tt.status, tt.code, tt.words)
			}
		})
	}
}
