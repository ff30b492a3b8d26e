// Package account implements users, passwords, sessions, tokens and sandboxes.
// It verifies credentials and opens the directory that a user's paths refer to.
//
// Everything in it is safe for concurrent use unless documented otherwise.
package account

import (
	"context"

	"jetstream/internal/api"
)

// User is one account. Its JSON is the result of getUser.
type User struct {
	Name       string   `json:"name" doc:"Name of the user, unique without regard to case"`
	Superuser  bool     `json:"superuser" doc:"May see and change everything"`
	Sandbox    string   `json:"sandbox" doc:"Directory that / means in this user's paths; empty for the server's default"`
	Disabled   bool     `json:"disabled" doc:"May not log in, and transfers authorized by this user end"`
	MayDelete  bool     `json:"mayDelete" doc:"Whether mirrors of others may remove files in the sandbox"`
	CreateTime api.Time `json:"createTime" doc:"When the user was made"`
	// Hash is the argon2id hash in PHC string form.
	Hash string `json:"-"`
}

// Store is what this package needs of the database.
type Store interface {
	TokenStore

	// InsertUser inserts a user; conflict when the name exists, compared
	// without case. The new user does not own the objects of a removed user of
	// that name.
	InsertUser(ctx context.Context, u User) error
	// User returns the user of a name, compared without case; notFound if there
	// is none.
	User(ctx context.Context, name string) (User, error)
	// Users lists users, newest first and limit at most: those made before the
	// user named after, all if that is empty; notFound if there is no user of
	// that name.
	Users(ctx context.Context, after string, limit int) ([]User, error)
	// UpdateUser changes a user in one transaction; notFound if there is none,
	// conflict if it would leave no enabled superuser.
	UpdateUser(ctx context.Context, name string, change func(*User) error) (User, error)
	// DeleteUser removes a user with the tokens and the stored replies;
	// notFound if there is none, conflict if it would leave no enabled
	// superuser.
	DeleteUser(ctx context.Context, name string) error
	// CountUsers returns the number of users.
	CountUsers(ctx context.Context) (int, error)
}
