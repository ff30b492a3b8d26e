package account

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"

	"jetstream/internal/api"
)

const (
	// MaxTokensOfUser is how many tokens one user may have.
	MaxTokensOfUser = 1000
	// sweepEvery is how often expired tokens are removed.
	sweepEvery = time.Hour
	// sweepBatch is how many expired tokens one transaction removes.
	sweepBatch = 1000
)

// APIToken is an API token. A client that presents it acts as its owner, with
// the rights that the owner has at that moment, restricted by permissions and
// path.
type APIToken struct {
	Seq int64 `json:"-"`

	TokenID     string           `json:"tokenId" doc:"Id of the token"`
	Owner       string           `json:"owner" doc:"User that it acts as"`
	Description string           `json:"description" doc:"What it is for, in the owner's words"`
	Permissions []api.Permission `json:"permissions" doc:"What it is good for: read (commands that only look), write (those that change), admin (what superusers may do)"`
	Path        string           `json:"path" doc:"Directory of the owner's sandbox that its files must lie in; / is all of it"`
	PathBase64  string           `json:"pathBase64,omitempty" doc:"The exact path in base64, where it is not UTF-8"`
	CreateTime  api.Time         `json:"createTime" doc:"When it was made"`
	ExpiryTime  api.Time         `json:"expiryTime" doc:"When it ends, or null for never"`

	// Hash is the SHA-256 of the token's text.
	Hash [sha256.Size]byte `json:"-"`
	// Parent is the id of the token that it was made with; empty if it was made
	// with another login.
	Parent string `json:"-"`
}

// NewAPIToken holds the parameters of a new API token.
type NewAPIToken struct {
	Description string
	Permissions []api.Permission
	// Path is the directory that it is confined to, as a path of the API; empty
	// is /.
	Path string
	// Expiry is when it expires; 0 is never.
	Expiry api.Time
}

// TokenStore is what API tokens need of the database. Deleting a user or a
// token also deletes the tokens that belong to it.
type TokenStore interface {
	// InsertToken inserts a token and sets its Seq; conflict when the owner has
	// most tokens already, notFound when the owner or the parent does not
	// exist.
	InsertToken(ctx context.Context, t *APIToken, most int) error
	// TokenByHash returns the token of a hash and its owner; notFound if there
	// is none.
	TokenByHash(ctx context.Context, hash [sha256.Size]byte) (APIToken, User, error)
	// Token returns the token of an id; notFound if there is none.
	Token(ctx context.Context, tokenID string) (APIToken, error)
	// Tokens lists the tokens of owner (empty: of all users), newest first and
	// limit at most: those with a Seq below before, all if that is 0.
	Tokens(ctx context.Context, owner string, before int64, limit int) ([]APIToken, error)
	// DeleteToken deletes a token; notFound if there is none.
	DeleteToken(ctx context.Context, tokenID string) error
	// DeleteExpiredTokens deletes tokens that have expired before now, limit at
	// most; more reports whether some are left.
	DeleteExpiredTokens(ctx context.Context, now api.Time, limit int) (more bool, err error)
}

// CreateAPIToken makes a token of the caller's. Its text is only returned here.
// A token that is made with another token cannot have more permissions, another
// path or a later expiry than that, and is deleted with it. Codes: invalid,
// forbidden, conflict when there are too many.
func (s *Service) CreateAPIToken(ctx context.Context, caller api.Caller, n NewAPIToken) (t APIToken, token string, err error) {
	owner, err := caller.Owner()
	if err != nil {
		return APIToken{}, "", err
	}
	t = APIToken{TokenID: api.NewID(), Owner: owner, Description: n.Description, Path: "/", CreateTime: api.TimeOf(s.now()), ExpiryTime: n.Expiry}
	if n.Path != "" {
		if t.Path, err = CleanPath(n.Path); err != nil {
			return APIToken{}, "", api.InvalidField("path", "path", api.ErrorOf(err).Message)
		}
	}
	t.PathBase64 = api.Base64Unless(t.Path)
	// Sorted, without duplicates.
	for _, p := range []api.Permission{api.PermissionRead, api.PermissionWrite, api.PermissionAdmin} {
		if slices.Contains(n.Permissions, p) {
			t.Permissions = append(t.Permissions, p)
		}
	}
	switch {
	case len(t.Permissions) == 0:
		return APIToken{}, "", api.InvalidField("permissions", "min=1", "a token needs at least one of the permissions read, write, admin")
	case t.Path != "/" && slices.Contains(t.Permissions, api.PermissionAdmin):
		return APIToken{}, "", api.InvalidField("path", "admin", "a token with the permission admin reaches everywhere and cannot be confined to a path; leave one of them out")
	case t.ExpiryTime != 0 && t.ExpiryTime <= t.CreateTime:
		return APIToken{}, "", api.InvalidField("expiryTime", "future", "expiryTime has passed already; it is a time in microseconds since the Unix epoch")
	}
	if err := checkNotStronger(caller, t); err != nil {
		return APIToken{}, "", err
	}
	if caller.Scope != nil {
		t.Parent = caller.Scope.TokenID
	}
	token = newTokenText(owner)
	t.Hash = sha256.Sum256([]byte(token))
	if err := s.store.InsertToken(ctx, &t, MaxTokensOfUser); err != nil {
		return APIToken{}, "", err
	}
	return t, token, nil
}

func checkNotStronger(caller api.Caller, t APIToken) error {
	if slices.Contains(t.Permissions, api.PermissionAdmin) && !caller.Superuser {
		return api.Errorf(api.CodeForbidden, "only a superuser can make a token with the permission admin")
	}
	own := caller.Scope
	if own == nil {
		return nil
	}
	for _, p := range t.Permissions {
		if !own.Has(p) {
			return api.Errorf(api.CodeForbidden, "this token has not the permission %q itself and cannot make one that has it", p)
		}
	}
	if !own.Covers(t.Path) {
		return api.Errorf(api.CodeForbidden, "this token is confined to %q and makes tokens for that directory only, not for %s; give that path", own.Path, api.Quote(t.Path))
	}
	if own.Expiry != 0 && (t.ExpiryTime == 0 || t.ExpiryTime > own.Expiry) {
		return api.Errorf(api.CodeForbidden, "this token ends at %d and cannot make one that outlives it; give an earlier expiryTime", own.Expiry)
	}
	return nil
}

// newTokenText makes the text of a token (see api.TokenPrefix) with 256 random
// bits.
func newTokenText(user string) string {
	e := base64.RawURLEncoding
	return api.TokenPrefix + e.EncodeToString([]byte(user)) + "." + e.EncodeToString(randomBytes(32))
}

// APITokens lists the tokens of owner (empty: of all users), newest first and
// limit at most: those with a Seq below before, all if that is 0. next is the
// before of the next page, 0 at the end.
func (s *Service) APITokens(ctx context.Context, owner string, before int64, limit int) (list []APIToken, next int64, err error) {
	list, err = s.store.Tokens(ctx, owner, before, limit+1)
	list, next = api.CutPage(list, limit, func(t APIToken) int64 { return t.Seq })
	return list, next, err
}

// DeleteAPIToken deletes a token and those that were made with it. Codes:
// notFound, also for a token that the caller may not see.
func (s *Service) DeleteAPIToken(ctx context.Context, caller api.Caller, tokenID string) error {
	t, err := s.store.Token(ctx, tokenID)
	if err != nil {
		return err
	}
	if err := caller.CheckOwner(t.Owner, "token", tokenID); err != nil {
		return err
	}
	return s.store.DeleteToken(ctx, tokenID)
}

// errNoToken reports that there is no API token of that text.
var errNoToken = errors.New("no such token")

func (s *Service) expired(t APIToken) bool {
	return t.ExpiryTime != 0 && t.ExpiryTime <= api.TimeOf(s.now())
}

// byAPIToken is ByToken for API tokens. They are looked up by their SHA-256, so
// that the duration of the lookup reveals nothing about existing tokens.
func (s *Service) byAPIToken(ctx context.Context, sum [sha256.Size]byte, actAs string) (Grant, error) {
	t, u, err := s.store.TokenByHash(ctx, sum)
	if errors.Is(err, &api.Error{Code: api.CodeNotFound}) || err == nil && subtle.ConstantTimeCompare(t.Hash[:], sum[:]) != 1 {
		return Grant{}, api.Wrap(errNoToken, api.CodeUnauthorized, "the token is not valid: it is mistyped, or was deleted, or the trigger run that it was made for has ended")
	}
	switch {
	case err != nil:
		return Grant{}, err
	case s.expired(t):
		return Grant{}, api.Errorf(api.CodeUnauthorized, "the token has expired; make a new one with createAPIToken")
	case actAs != "" && !strings.EqualFold(actAs, u.Name):
		return Grant{}, otherUser(u.Name, actAs)
	case u.Disabled:
		return Grant{}, errDisabled(u.Name)
	}
	scope := &api.Scope{TokenID: t.TokenID, Permissions: t.Permissions, Path: t.Path, Expiry: t.ExpiryTime}
	return Grant{User: u.Name, Superuser: u.Superuser && scope.Has(api.PermissionAdmin), Sandbox: u.Sandbox, Since: u.CreateTime, Scope: scope}, nil
}

// Serve deletes expired tokens now and every hour until ctx ends, then returns
// nil. Failures are logged and retried after an hour.
func (s *Service) Serve(ctx context.Context) error {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		for more := true; more && ctx.Err() == nil; {
			var err error
			if more, err = s.store.DeleteExpiredTokens(ctx, api.TimeOf(s.now()), sweepBatch); err != nil && ctx.Err() == nil {
				s.log.WarnContext(ctx, "expired tokens could not be removed; they are not valid all the same", "error", err)
				break
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}
