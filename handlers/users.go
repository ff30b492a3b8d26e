package handlers

import (
	"context"
	"strings"

	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/transfer"
)

type userHandlers struct {
	accounts *account.Service
	engine   *transfer.Engine
}

func userCommands(d Deps) []*api.Command {
	h := userHandlers{d.Accounts, d.Engine}
	return []*api.Command{
		api.Define(api.Spec{
			Name: "createUser", Method: "POST", Path: "/users", Status: 201, Location: "/users/{name}",
			Summary: "Make a user",
			Description: "Names are unique without regard to case. A sandbox that is or lies in the trigger or " +
				"state directory is refused; one that contains such a directory may only be read.",
			Message: "User created.", Errors: []api.Code{api.CodeConflict}, Access: api.AccessSuperuser,
			Example: map[string]any{"name": "alice", "sandbox": "/srv/media"},
		}, h.create),
		api.Define(api.Spec{
			Name: "getUsers", Method: "GET", Path: "/users",
			Summary: "List the users, newest first",
			Message: "Users.", Access: api.AccessSuperuser,
		}, h.list),
		api.Define(api.Spec{
			Name: "getUser", Method: "GET", Path: "/users/{name}", Example: map[string]any{"name": "bob"},
			Summary: "Show a user", Description: "Oneself; a superuser sees everybody.",
			Message: "User.", Errors: []api.Code{api.CodeNotFound},
		}, h.get),
		api.Define(api.Spec{
			Name: "updateUser", Method: "PATCH", Path: "/users/{name}",
			Example: map[string]any{"name": "bob", "disabled": true},
			Summary: "Change a user's password, rights or sandbox",
			Description: "What is absent stays as it is. Everybody may give themselves a new password, by a password login or on " +
				"the page; all else is for superusers, and a token needs the permission `admin` for any of it. A new password ends the " +
				"sessions of the former one, but no tokens. Disabling ends at once what the user has: logins, sessions, tokens, and " +
				"the transfers that the user owns here or has authorized here. The last superuser who may log in can be neither " +
				"disabled nor demoted: `conflict`.",
			Message: "User updated.", Errors: []api.Code{api.CodeNotFound, api.CodeConflict},
		}, h.update),
		api.Define(api.Spec{
			Name: "deleteUser", Method: "DELETE", Path: "/users/{name}", Example: map[string]any{"name": "bob"},
			Summary: "Remove a user",
			Description: "The user's files stay. What the user made is left to superusers, and is nothing of a later user's of the name: " +
				"it then belongs to `NAME (removed)`. With transfers of the user's own that have not ended it is a `conflict`, unless " +
				"`force`, which cancels them; transfers that the user has authorized here end. The last superuser who may log in cannot be " +
				"removed: `conflict`.",
			Message: "User deleted.", Errors: []api.Code{api.CodeNotFound, api.CodeConflict}, Access: api.AccessSuperuser,
		}, h.delete),
	}
}

func (h userHandlers) create(ctx context.Context, n account.NewUser) (account.User, error) {
	return h.accounts.Create(ctx, n)
}

type getUsersParams struct {
	api.ListParams
}

type userList struct {
	Users []account.User `json:"users" doc:"The users, newest first"`
	nextPage
}

// list lists a page. Its cursor is the name of the last user of the page
// before.
func (h userHandlers) list(ctx context.Context, p getUsersParams) (userList, error) {
	after, err := parseNameCursor(p.Cursor)
	if err == nil && after != "" && !account.ValidName(after) {
		err = badCursor(nil)
	}
	if err != nil {
		return userList{}, err
	}
	users, err := h.accounts.Users(ctx, after, p.Limit+1) // one more, to know whether there is a next page
	list := userList{Users: listed(users)}
	if len(users) > p.Limit {
		list = userList{users[:p.Limit], pageAfter(users[p.Limit-1].Name)}
	}
	return list, err
}

type getUserParams struct {
	Name string `json:"name" doc:"Name of the user" validate:"required,max=64"`
}

func (h userHandlers) get(ctx context.Context, p getUserParams) (account.User, error) {
	if err := mayManage(ctx, p.Name); err != nil {
		return account.User{}, err
	}
	return h.accounts.User(ctx, p.Name)
}

// mayManage checks that the caller is the user of that name or a superuser. To
// others every user is notFound, whether it exists or not.
func mayManage(ctx context.Context, name string) error {
	caller, _ := api.CallerOf(ctx)
	if caller.Superuser || caller.User != "" && strings.EqualFold(caller.User, name) {
		return nil
	}
	return api.Errorf(api.CodeNotFound, "there is no user %q", name)
}

type updateUserParams struct {
	getUserParams
	account.Change
}

func (h userHandlers) update(ctx context.Context, p updateUserParams) (account.User, error) {
	caller, _ := api.CallerOf(ctx)
	if err := mayManage(ctx, p.Name); err != nil {
		return account.User{}, err
	}
	if caller.Scope != nil && !caller.Superuser {
		return account.User{}, api.Errorf(api.CodeForbidden, "a token needs the permission %q to change a user; log in with the password to change it", api.PermissionAdmin)
	}
	if !caller.Superuser && (p.Superuser != nil || p.Sandbox != nil || p.Disabled != nil || p.MayDelete != nil) {
		return account.User{}, api.Errorf(api.CodeForbidden, "only a superuser may change more than one's own password")
	}
	u, err := h.accounts.Update(ctx, p.Name, p.Change)
	if err == nil && u.Disabled { // also if the caller hangs up
		err = h.engine.DisableTransfersOf(context.WithoutCancel(ctx), u.Name)
	}
	if err != nil {
		return account.User{}, err
	}
	return u, nil
}

type deleteUserParams struct {
	getUserParams
	Force bool `json:"force" doc:"Whether to cancel the user's transfers that have not ended" default:"false"`
}

func (h userHandlers) delete(ctx context.Context, p deleteUserParams) (api.Empty, error) {
	u, err := h.accounts.User(ctx, p.Name)
	if err != nil {
		return api.Empty{}, err
	}
	open, err := h.engine.OpenTransfersOf(ctx, u.Name)
	if err != nil {
		return api.Empty{}, err
	}
	if len(open) > 0 && !p.Force {
		return api.Empty{}, api.Errorf(api.CodeConflict, "user %s has %d transfers that have not ended: wait for them, cancel them, or delete with force", u.Name, len(open))
	}
	if err := h.accounts.Delete(ctx, u.Name); err != nil {
		return api.Empty{}, err
	}
	// This includes transfers that were made since. The user can make no others
	// now, and this command cannot be called again.
	return api.Empty{}, h.engine.CancelTransfersOf(context.WithoutCancel(ctx), u.Name)
}
