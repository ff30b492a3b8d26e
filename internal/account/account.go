// Package account keeps who may use the server: users, their password hashes
// and sandboxes, their tokens, and those that trigger scripts carry. It decides
// whether credentials are right and which directory a user's paths mean.
//
// Everything here is safe for concurrent use unless it says otherwise.
package account

import (
	"context"

	"jetstream/internal/api"
)

// User is one account as the API shows it.
type User struct {
	Name       string   `json:"name" doc:"Name of the user, unique without regard to case"`
	Superuser  bool     `json:"superuser" doc:"May see and change everything"`
	Sandbox    string   `json:"sandbox" doc:"Directory that / means in this user's paths; empty for the server's default"`
	Disabled   bool     `json:"disabled" doc:"May not log in, and transfers authorized by this user end"`
	CreateTime api.Time `json:"createTime" doc:"When the user was made, in microseconds since the Unix epoch"`
	// Hash is the argon2id hash in PHC string form.
	Hash string `json:"-"`
}

// Store is what accounts need of the database.
type Store interface {
	TokenStore

	// InsertUser fails with conflict when the name exists (without case). What a
	// removed user of the name has left is not the new one's.
	InsertUser(ctx context.Context, u User) error
	// User finds a user by name without regard to case; notFound otherwise.
	User(ctx context.Context, name string) (User, error)
	// Users lists users newest first, limit at most: those made before the
	// user named after, or from the newest when that is empty; notFound when
	// there is no such user (any more).
	Users(ctx context.Context, after string, limit int) ([]User, error)
	// UpdateUser changes a user within one transaction; notFound otherwise.
	// Where there was an enabled superuser, one must be left: else conflict.
	UpdateUser(ctx context.Context, name string, change func(*User) error) (User, error)
	// DeleteUser removes a user, with what may only be theirs (tokens, kept
	// answers); notFound otherwise, conflict as by UpdateUser.
	DeleteUser(ctx context.Context, name string) error
	// CountUsers counts them.
	CountUsers(ctx context.Context) (int, error)
}
