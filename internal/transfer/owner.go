package transfer

import (
	"context"
	"errors"

	"jetstream/internal/account"
	"jetstream/internal/api"
)

// OpenTransfersOf lists the ids of the unfinished transfers of owner, oldest
// first.
func (e *Engine) OpenTransfersOf(ctx context.Context, owner string) (ids []string, err error) {
	err = e.o.Store.Update(ctx, func(tx Tx) error {
		ids, err = tx.OpenTransfersOf(owner)
		return err
	})
	return ids, err
}

// CancelTransfersOf cancels the unfinished transfers of owner. Their receivers
// are notified in the background.
func (e *Engine) CancelTransfersOf(ctx context.Context, owner string) error {
	return e.endTransfersOf(ctx, owner, cancel)
}

// DisableTransfersOf ends the unfinished transfers of owner, who was disabled,
// with an error. Without it, as after a crash, they end at their next attempt.
func (e *Engine) DisableTransfersOf(ctx context.Context, owner string) error {
	return e.endTransfersOf(ctx, owner, func(t *Transfer) error {
		t.Status, t.TellPeer, t.ErrorMessage = StatusError, true, ownerDisabled(owner).Message
		return nil
	})
}

func (e *Engine) endTransfersOf(ctx context.Context, owner string, end func(*Transfer) error) error {
	return e.o.Store.Update(ctx, func(tx Tx) error {
		open, err := tx.OpenTransfersOf(owner)
		if err != nil {
			return err
		}
		for _, id := range open {
			if _, err := e.change(tx, id, end); err != nil {
				return err
			}
		}
		return nil
	})
}

// Entitled returns an error if the files of owner may no longer be read. Codes:
// notFound when the owner was removed, forbidden when disabled.
func (e *Engine) Entitled(ctx context.Context, owner string) error {
	_, err := e.entitled(ctx, owner)
	return err
}

// entitled is Entitled. It also returns the account.
func (e *Engine) entitled(ctx context.Context, owner string) (account.User, error) {
	u, err := e.o.Accounts.User(ctx, owner)
	switch {
	case errors.Is(err, &api.Error{Code: api.CodeNotFound}):
		return u, ownerRemoved(owner)
	case err == nil && u.Disabled:
		return u, ownerDisabled(owner)
	}
	return u, err
}

// stillEntitled is entitled for an account that entitled has returned before.
// It does not accept another account of the same name.
func (e *Engine) stillEntitled(ctx context.Context, owner account.User) error {
	u, err := e.entitled(ctx, owner.Name)
	if err == nil && u.CreateTime != owner.CreateTime {
		return ownerRemoved(owner.Name)
	}
	return err
}

func ownerRemoved(owner string) *api.Error {
	return api.Errorf(api.CodeNotFound, "user %s, whose files these are, was removed", owner)
}

func ownerDisabled(owner string) *api.Error {
	return api.Errorf(api.CodeForbidden, "user %s, whose files these are, was disabled", owner)
}
