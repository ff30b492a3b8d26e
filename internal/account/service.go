package account

import (
	"context"
	"log/slog"
	"os"
	"time"

	"jetstream/internal/api"
)

// Options say how accounts are kept.
type Options struct {
	// SandboxDir is the directory of users that have no sandbox of their own;
	// %u in it is the user's name. It must be absolute. It is made with mode
	// 0750 at a user's first use. The server's default is files/%u beside the
	// state directory; empty: such users have no files at all.
	SandboxDir string
	// Protected are the places that received data must never reach.
	Protected []Protected
	// Log gets what the operator should know; nil is silent.
	Log *slog.Logger
}

// Protected is a directory or file that must stay out of the users' reach.
type Protected struct {
	// What names it in messages: "trigger directory".
	What string
	// Path is absolute.
	Path string
	// Secret places are never even read by way of a sandbox.
	Secret bool
}

// Service answers who somebody is and what is theirs. Safe for concurrent use.
type Service struct{}

// New makes the service on top of store; it starts nothing.
func New(store Store, o Options) *Service { return &Service{} }

var errLater = api.Errorf(api.CodeUnavailable, "accounts are not there yet")

// NewUser is what Create makes a user from.
type NewUser struct {
	Name, Password string
	Superuser      bool
	Sandbox        string
	Disabled       bool
}

// Change holds what Update changes; nil leaves as is.
type Change struct {
	Superuser *bool
	Disabled  *bool
	Sandbox   *string
}

// Grant is what a token entitles to.
type Grant struct {
	User      string
	Superuser bool
	Depth     int
}

func (s *Service) Create(ctx context.Context, n NewUser) (User, error) { return User{}, errLater }
func (s *Service) User(ctx context.Context, name string) (User, error) { return User{}, errLater }
func (s *Service) Users(ctx context.Context, after string, limit int) ([]User, error) {
	return nil, errLater
}
func (s *Service) Update(ctx context.Context, name string, c Change) (User, error) {
	return User{}, errLater
}
func (s *Service) SetPassword(ctx context.Context, name, password string) error { return errLater }
func (s *Service) Delete(ctx context.Context, name string) error                { return errLater }
func (s *Service) EnsureAdmin(ctx context.Context) (password string, made bool, err error) {
	return "", false, errLater
}
func (s *Service) Login(ctx context.Context, name, password, remote string) (User, error) {
	return User{}, errLater
}
func (s *Service) IssueRunToken(user string, launch bool, depth int) string { return "" }
func (s *Service) RevokeRunToken(token string)                              {}
func (s *Service) ByToken(ctx context.Context, token, actAs string) (Grant, error) {
	return Grant{}, errLater
}
func (s *Service) OpenSession(u User) (id string, expires time.Time)      { return "", time.Time{} }
func (s *Service) BySession(ctx context.Context, id string) (User, error) { return User{}, errLater }
func (s *Service) CloseSession(id string)                                 {}

// Use says what a sandbox is opened for.
type Use int

// The uses.
const (
	Read  Use = iota // send, ls, du
	Write            // receive, mkdir, mv, rm
)

// Sandbox is a user's directory, opened.
type Sandbox struct {
	Root *os.Root
	Dir  string
}

func (s *Service) Sandbox(ctx context.Context, userName string, use Use) (*Sandbox, error) {
	return nil, errLater
}

// SandboxDir is the directory that / means for the user, as configured.
func (s *Service) SandboxDir(u User) string { return "" }

func (b *Sandbox) Close() error { return b.Root.Close() }
func (b *Sandbox) Resolve(apiPath string, followLast bool) (rel string, err error) {
	return "", errLater
}
func (b *Sandbox) Forbidden(fi os.FileInfo) bool { return true }
func (b *Sandbox) Absolute(rel string) string    { return "" }

// FromLocal translates an absolute path of this machine into an API path.
func FromLocal(sandboxDir, abs string) (apiPath string, err error) { return "", errLater }
