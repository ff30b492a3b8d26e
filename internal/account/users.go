package account

import (
	"context"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"jetstream/internal/api"
)

// FirstUser is the name of the superuser whom a server without users makes.
const FirstUser = "admin"

// NewUser holds the parameters of a new user.
type NewUser struct {
	Name      string `json:"name" doc:"Name of the user: 1 to 64 letters, digits or ._@-, the first a letter, a digit or _" validate:"required,max=64"`
	Password  string `json:"password" doc:"Password of the user, 1 to 1024 bytes" validate:"required,max=1024" secret:"true"`
	Superuser bool   `json:"superuser" doc:"Whether the user may see and change everything" default:"false"`
	Sandbox   string `json:"sandbox" doc:"Absolute directory that / means in the user's paths; absent: the server's default" validate:"max=4096"`
	Disabled  bool   `json:"disabled" doc:"Whether the user may not log in" default:"false"`
	MayDelete *bool  `json:"mayDelete" doc:"Whether mirrors of others, which the user authorizes, may remove files in the sandbox" default:"true"`
}

// Check tells whether name and password may be a user's. Codes: invalid.
func (n NewUser) Check() error {
	if err := CheckName(n.Name); err != nil {
		return err
	}
	return CheckPassword(n.Password)
}

// Change is a change of a user. A nil field stays as it is. A new password ends
// the user's sessions, but no tokens.
type Change struct {
	Password  *string `json:"password" doc:"New password, 1 to 1024 bytes" validate:"omitempty,min=1,max=1024" secret:"true"`
	Superuser *bool   `json:"superuser" doc:"Whether the user may see and change everything"`
	Sandbox   *string `json:"sandbox" doc:"Absolute directory that / means in the user's paths; empty: the server's default" validate:"omitempty,max=4096"`
	Disabled  *bool   `json:"disabled" doc:"Whether the user may not log in"`
	MayDelete *bool   `json:"mayDelete" doc:"Whether mirrors of others, which the user authorizes, may remove files in the sandbox"`
}

const (
	maxNameBytes    = 64
	maxSandboxBytes = 4096
)

// ValidName reports whether name may be the name of a user:
// [A-Za-z0-9_][A-Za-z0-9._@-]{0,63}.
func ValidName(name string) bool {
	if name == "" || len(name) > maxNameBytes {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' {
			continue
		}
		if i == 0 || strings.IndexByte(".@-", c) < 0 {
			return false
		}
	}
	return true
}

// CheckName tells whether name may be that of a new user. Codes: invalid.
func CheckName(name string) error {
	if ValidName(name) {
		return nil
	}
	return api.InvalidField("name", "userName",
		"name must be 1 to 64 letters, digits or ._@- and begin with a letter, a digit or _")
}

// CheckPassword tells whether password may be a user's. Codes: invalid.
func CheckPassword(password string) error {
	if len(password) >= 1 && len(password) <= maxPasswordBytes {
		return nil
	}
	return api.InvalidField("password", "passwordLength", "password must be 1 to 1024 bytes long")
}

// checkSandbox checks the sandbox of an account. The directory need not exist.
func (s *Service) checkSandbox(dir string) error {
	switch {
	case dir == "":
		return nil
	case len(dir) > maxSandboxBytes || strings.ContainsRune(dir, 0):
		return api.InvalidField("sandbox", "path", "sandbox must be a path of at most 4096 bytes without NUL")
	case !filepath.IsAbs(dir):
		return api.InvalidField("sandbox", "absolute", "sandbox must be an absolute path, such as "+filepath.FromSlash("/srv/files"))
	}
	if fi, err := os.Stat(dir); err == nil && !fi.IsDir() {
		return api.InvalidField("sandbox", "directory", "sandbox "+api.Quote(dir)+" is no directory; choose another path")
	}
	if err := CheckOverlap(dir, Read, s.options.Protected); err != nil {
		e := api.InvalidField("sandbox", "overlap", api.ErrorOf(err).Message)
		e.Err = err
		return e
	}
	return nil
}

// Create makes a user. Codes: invalid, conflict when the name exists.
func (s *Service) Create(ctx context.Context, n NewUser) (User, error) {
	if err := n.Check(); err != nil {
		return User{}, err
	}
	if err := s.checkSandbox(n.Sandbox); err != nil {
		return User{}, err
	}
	hash, err := s.hasher.hash(ctx, n.Password)
	if err != nil {
		return User{}, err
	}
	u := User{Name: n.Name, Superuser: n.Superuser, Sandbox: n.Sandbox, Disabled: n.Disabled, MayDelete: n.MayDelete == nil || *n.MayDelete, CreateTime: api.TimeOf(s.now()), Hash: hash}
	api.Announce(ctx, u)
	if err := s.store.InsertUser(ctx, u); err != nil {
		return User{}, err
	}
	return u, nil
}

// User returns the user of a name, compared without case. Codes: notFound.
func (s *Service) User(ctx context.Context, name string) (User, error) {
	if !ValidName(name) {
		return User{}, api.Errorf(api.CodeNotFound, "there is no user %q", name)
	}
	return s.store.User(ctx, name)
}

// Users lists users, newest first and limit at most: those made before the user
// named after, all if that is empty. Codes: invalid when there is no user of
// that name.
func (s *Service) Users(ctx context.Context, after string, limit int) ([]User, error) {
	users, err := s.store.Users(ctx, after, limit)
	if errors.Is(err, &api.Error{Code: api.CodeNotFound}) {
		return nil, api.Wrap(err, api.CodeInvalid, "the list cannot go on after user %q, who is there no more; start again from the first page", after)
	}
	return users, err
}

// Update changes a user in one transaction. Codes: invalid, notFound, conflict
// when no enabled superuser would be left.
func (s *Service) Update(ctx context.Context, name string, c Change) (User, error) {
	if c.Sandbox != nil {
		if err := s.checkSandbox(*c.Sandbox); err != nil {
			return User{}, err
		}
	}
	hash := ""
	if c.Password != nil {
		if err := CheckPassword(*c.Password); err != nil {
			return User{}, err
		}
		if _, err := s.User(ctx, name); err != nil { // before the hash, which is expensive
			return User{}, err
		}
		var err error
		if hash, err = s.hasher.hash(ctx, *c.Password); err != nil {
			return User{}, err
		}
	}
	return s.store.UpdateUser(ctx, name, func(u *User) error {
		if c.Password != nil {
			u.Hash = hash
		}
		if c.Superuser != nil {
			u.Superuser = *c.Superuser
		}
		if c.Disabled != nil {
			u.Disabled = *c.Disabled
		}
		if c.MayDelete != nil {
			u.MayDelete = *c.MayDelete
		}
		if c.Sandbox != nil {
			u.Sandbox = *c.Sandbox
		}
		return nil
	})
}

// SetPassword changes a user's password, which ends the user's sessions. Codes:
// invalid, notFound.
func (s *Service) SetPassword(ctx context.Context, name, password string) error {
	_, err := s.Update(ctx, name, Change{Password: &password})
	return err
}

// Delete removes a user, but not the files: a later user of the same name with
// the default sandbox gets the same directory. Codes: notFound, conflict when
// no enabled superuser would be left.
func (s *Service) Delete(ctx context.Context, name string) error {
	return s.store.DeleteUser(ctx, name)
}

// EnsureAdmin makes the superuser admin with a random password if there are no
// users; made reports whether it did.
func (s *Service) EnsureAdmin(ctx context.Context) (password string, made bool, err error) {
	n, err := s.store.CountUsers(ctx)
	if err != nil || n > 0 {
		return "", false, err
	}
	password = base64.RawURLEncoding.EncodeToString(randomBytes(18)) // 144 bits
	_, err = s.Create(ctx, NewUser{Name: FirstUser, Password: password, Superuser: true})
	if errors.Is(err, &api.Error{Code: api.CodeConflict}) {
		return "", false, nil // another process has made users meanwhile
	}
	if err != nil {
		return "", false, err
	}
	return password, true, nil
}
