package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/transfer"
)

const tokenColumns = `t.seq, t.token_id, t.hash, t.owner, coalesce(t.parent, ''), t.description, t.permissions, t.path,
	t.create_time, t.expiry_time`

const selectToken = "SELECT " + tokenColumns + " FROM api_tokens t"

// scanToken reads tokenColumns and then into more; without a row it fails with code notFound.
func scanToken(row scanner, tokenID string, more ...any) (account.APIToken, error) {
	var t account.APIToken
	var hash, permissions []byte
	err := row.Scan(append([]any{&t.Seq, &t.TokenID, &hash, &t.Owner, &t.Parent, &t.Description, &permissions, &t.Path,
		&t.CreateTime, &t.ExpiryTime}, more...)...)
	if err != nil {
		return t, noRow(err, "token", tokenID)
	}
	if copy(t.Hash[:], hash) != len(t.Hash) {
		return t, fmt.Errorf("the hash of token %s is damaged", t.TokenID)
	}
	t.PathBase64 = api.Base64Unless(t.Path)
	return t, json.Unmarshal(permissions, &t.Permissions)
}

// InsertToken implements account.TokenStore.
func (a *Accounts) InsertToken(ctx context.Context, k *account.APIToken, most int) error {
	permissions, err := json.Marshal(k.Permissions)
	if err != nil {
		return err
	}
	return a.db.update(ctx, func(t *tx) error {
		row := t.queryRow(`SELECT (SELECT count(*) FROM api_tokens WHERE owner = ?1), EXISTS (SELECT 1 FROM users WHERE name = ?1),
			?2 = '' OR EXISTS (SELECT 1 FROM api_tokens WHERE token_id = ?2)`, k.Owner, k.Parent)
		var have int
		var owner, parent bool
		if err := row.Scan(&have, &owner, &parent); err != nil {
			return err
		}
		switch {
		case !owner:
			return noUser(k.Owner)
		case !parent:
			return noRow(sql.ErrNoRows, "token", k.Parent)
		case have >= most:
			return api.Errorf(api.CodeConflict, "user %s has %d tokens already, which is the most; delete some with deleteAPIToken", k.Owner, have)
		}
		k.Seq, err = t.insert(`INSERT INTO api_tokens (token_id, hash, owner, parent, description, permissions, path, create_time, expiry_time)
			VALUES (?, ?, ?, nullif(?, ''), ?, ?, ?, ?, ?)`,
			k.TokenID, k.Hash[:], k.Owner, k.Parent, k.Description, string(permissions), k.Path, int64(k.CreateTime), int64(k.ExpiryTime))
		return err
	})
}

// TokenByHash implements account.TokenStore.
func (a *Accounts) TokenByHash(ctx context.Context, hash [sha256.Size]byte) (account.APIToken, account.User, error) {
	k, err := cached(a.db.accounts, a.db.accounts.tokens, hash, func() (k tokenAndOwner, err error) {
		u := &k.owner
		k.token, err = scanToken(a.db.readers.queryRow(ctx, "SELECT "+tokenColumns+`, u.name, u.superuser, u.sandbox, u.disabled, u.hash, u.create_time
			FROM api_tokens t JOIN users u ON u.name = t.owner WHERE t.hash = ?`, hash[:]), "",
			&u.Name, &u.Superuser, &u.Sandbox, &u.Disabled, &u.Hash, &u.CreateTime)
		return k, err
	})
	k.token.Permissions = slices.Clone(k.token.Permissions)
	return k.token, k.owner, err
}

// Token implements account.TokenStore.
func (a *Accounts) Token(ctx context.Context, tokenID string) (account.APIToken, error) {
	return scanToken(a.db.readers.queryRow(ctx, selectToken+" WHERE t.token_id = ?", tokenID), tokenID)
}

// Tokens implements account.TokenStore.
func (a *Accounts) Tokens(ctx context.Context, owner string, before int64, limit int) ([]account.APIToken, error) {
	query, args := onePage(selectToken, "t.owner", "", transfer.Page{Owner: owner, Before: before, Limit: limit})
	rows, err := a.db.readers.query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return scanAll(rows, func(row scanner) (account.APIToken, error) { return scanToken(row, "") })
}

// DeleteToken implements account.TokenStore.
func (a *Accounts) DeleteToken(ctx context.Context, tokenID string) error {
	return a.db.updateAccounts(ctx, func(t *tx) error {
		n, err := t.execCount("DELETE FROM api_tokens WHERE token_id = ?", tokenID)
		if err != nil || n == 1 {
			return err
		}
		return noRow(sql.ErrNoRows, "token", tokenID)
	})
}

// DeleteExpiredTokens implements account.TokenStore.
func (a *Accounts) DeleteExpiredTokens(ctx context.Context, now api.Time, limit int) (more bool, err error) {
	// Read first: nothing is written when there is none.
	var one int
	err = a.db.readers.queryRow(ctx, "SELECT 1 FROM api_tokens WHERE expiry_time <> 0 AND expiry_time <= ? LIMIT 1", int64(now)).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	err = a.db.updateAccounts(ctx, func(t *tx) error {
		n, err := t.execCount(`DELETE FROM api_tokens WHERE seq IN
			(SELECT seq FROM api_tokens WHERE expiry_time <> 0 AND expiry_time <= ? LIMIT ?)`, int64(now), limit)
		more = n >= int64(limit)
		return err
	})
	return more && err == nil, err
}

// superusers counts those who may log in.
func (t *tx) superusers() (n int, err error) {
	return n, t.queryRow("SELECT count(*) FROM users WHERE superuser = 1 AND disabled = 0").Scan(&n)
}

// keepSuperuser carries change out unless it takes the last superuser away.
func (t *tx) keepSuperuser(name string, change func() error) error {
	before, err := t.superusers()
	if err != nil {
		return err
	}
	if err := change(); err != nil {
		return err
	}
	after, err := t.superusers()
	if err == nil && before > 0 && after == 0 {
		return api.Errorf(api.CodeConflict, "%s is the last superuser who may log in; make or enable another one first", name)
	}
	return err
}
