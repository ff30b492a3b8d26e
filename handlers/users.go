package handlers

import (
	"context"
	"encoding/base64"

	"jetstream/internal/account"
	"jetstream/internal/api"
)

type userHandlers struct{ accounts *account.Service }

func userCommands(d Deps) []*api.Command {
	h := userHandlers{d.Accounts}
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
	}
}

type createUserParams struct {
	Name      string `json:"name" doc:"Name of the user: 1 to 64 letters, digits or ._@-, the first a letter, a digit or _" validate:"required,max=64"`
	Password  string `json:"password" doc:"Password of the user, 1 to 1024 bytes" validate:"required,max=1024" secret:"true"`
	Superuser bool   `json:"superuser" doc:"Whether the user may see and change everything" default:"false"`
	Sandbox   string `json:"sandbox" doc:"Absolute directory that / means in the user's paths; absent: the server's default" validate:"max=4096"`
	Disabled  bool   `json:"disabled" doc:"Whether the user may not log in" default:"false"`
}

func (h userHandlers) create(ctx context.Context, p createUserParams) (account.User, error) {
	return h.accounts.Create(ctx, account.NewUser{
		Name: p.Name, Password: p.Password, Superuser: p.Superuser, Sandbox: p.Sandbox, Disabled: p.Disabled,
	})
}

type getUsersParams struct {
	api.ListParams
}

type userList struct {
	Users      []account.User `json:"users" doc:"The users, newest first"`
	NextCursor *string        `json:"nextCursor" doc:"Cursor of the next page; null on the last"`
}

// list uses as cursor the name of the last user on the page, base64url.
func (h userHandlers) list(ctx context.Context, p getUsersParams) (userList, error) {
	after, err := base64.RawURLEncoding.DecodeString(p.Cursor)
	if err != nil || len(after) > 0 && !account.ValidName(string(after)) {
		return userList{}, &api.Error{Code: api.CodeInvalid, Message: "cursor is not one that getUsers answered; start again from the first page", Err: err,
			Fields: []api.FieldError{{Field: "cursor", Rule: "cursor", Message: "cursor is not one that getUsers answered"}}}
	}
	users, err := h.accounts.Users(ctx, string(after), p.Limit+1) // one more tells whether there is a next page
	if err != nil {
		return userList{}, err
	}
	list := userList{Users: []account.User{}}
	list.Users = append(list.Users, users[:min(len(users), p.Limit)]...)
	if len(users) > p.Limit {
		next := base64.RawURLEncoding.EncodeToString([]byte(users[p.Limit-1].Name))
		list.NextCursor = &next
	}
	return list, nil
}
