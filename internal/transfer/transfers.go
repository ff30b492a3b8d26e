package transfer

import (
	"cmp"
	"context"
	"errors"
	"time"

	"jetstream/internal/api"
)

// NewTransfer is what CreateTransfer makes a transfer from.
type NewTransfer struct {
	ManifestID, DestinationID string
	// Username and Password are the receiver's.
	Username, Password string
	// DestinationPath is the directory in the receiving user's sandbox; empty
	// is /.
	DestinationPath            string
	Priority                   int    // lower goes first
	CheckpointFrequencySeconds int    // 0 is none
	Conflict                   string // overwrite, skip, rename or fail; empty is overwrite
	OnError                    string // stop or continue; empty is stop
	UserData                   map[string]string
	// RequestID and Depth are those of the API call.
	RequestID string
	Depth     int
}

// CreateTransfer makes a pending transfer, which belongs to the owner of its
// manifest: that is whose sandbox is read. Codes: invalid, notFound, conflict
// when the manifest is not complete.
func (e *Engine) CreateTransfer(ctx context.Context, n NewTransfer) (Transfer, error) {
	if err := errors.Join(checkUserData(n.UserData), checkUsername(n.Username)); err != nil {
		return Transfer{}, err
	}
	if n.Password == "" || len(n.Password) > maxPassword {
		return Transfer{}, invalidField("password", "length", "a password has 1 to %d bytes", maxPassword)
	}
	target, err := cleanTarget(n.DestinationPath)
	if err != nil {
		return Transfer{}, err
	}
	t := Transfer{
		TransferID: api.NewID(), ManifestID: n.ManifestID, DestinationID: n.DestinationID,
		DestinationPath: target, Username: n.Username, Priority: n.Priority,
		CheckpointFrequencySeconds: n.CheckpointFrequencySeconds,
		Conflict:                   cmp.Or(n.Conflict, "overwrite"), OnError: cmp.Or(n.OnError, "stop"),
		UserData: orEmpty(n.UserData), RequestID: n.RequestID, Depth: n.Depth,
	}
	if t.SealedPassword, err = seal(e.o.SealKey, t.TransferID, n.Password); err != nil {
		return Transfer{}, err
	}
	err = e.o.Store.Update(ctx, func(tx Tx) error {
		m, err := tx.Manifest(n.ManifestID)
		if err != nil {
			return err
		}
		d, err := tx.Destination(n.DestinationID)
		if err != nil {
			return err
		}
		switch m.Status {
		case StatusPending:
			return api.Errorf(api.CodeConflict, "manifest %s is still pending; wait for it with send.waitForManifest", m.ManifestID)
		case StatusError:
			return api.Errorf(api.CodeConflict, "manifest %s failed and cannot be sent; create a new one", m.ManifestID)
		}
		t.Owner, t.TotalFiles, t.TotalBytes = m.Owner, *m.TotalFiles, *m.TotalSize
		t.DestinationAddress, t.DestinationPort = d.DestinationAddress, d.DestinationPort
		tx.AfterCommit(func() { signal(e.wake) })
		return e.move(tx, &transferObject{Transfer: &t}, StatusPending, cause{n.RequestID, n.Depth})
	})
	if err != nil {
		return Transfer{}, err
	}
	e.overlay(&t)
	return t, nil
}

// Transfer returns a transfer with its live numbers. Codes: notFound.
func (e *Engine) Transfer(ctx context.Context, transferID string) (Transfer, error) {
	t, err := e.o.Store.Transfer(ctx, transferID)
	if err != nil {
		return Transfer{}, err
	}
	e.overlay(&t)
	return t, nil
}

// Transfers lists transfers, newest first, with their live numbers; more tells
// that the list goes on.
func (e *Engine) Transfers(ctx context.Context, p Page) (list []Transfer, more bool, err error) {
	list, more, err = page(ctx, p, e.o.Store.Transfers)
	e.overlayAll(list)
	return list, more, err
}

// WaitForTransfer returns the transfer once it has ended, or as it is after
// timeout. Codes: notFound.
func (e *Engine) WaitForTransfer(ctx context.Context, transferID string, timeout time.Duration) (Transfer, error) {
	return await(ctx, e, transferID, timeout, e.Transfer, func(t Transfer) bool { return t.Processing })
}

// CancelTransfer ends a transfer as cancelled; its receiver is told in the
// background. Codes: notFound, conflict when it has ended.
func (e *Engine) CancelTransfer(ctx context.Context, transferID string) (Transfer, error) {
	return e.Change(ctx, transferID, cancel)
}

func cancel(t *Transfer) error {
	if !t.Processing {
		return api.Errorf(api.CodeConflict, "transfer %s has already ended: it is %s", t.TransferID, t.Status)
	}
	t.Status, t.TellPeer, t.ErrorMessage = StatusCancelled, true, ""
	return nil
}

// DeleteTransfer removes a transfer that has ended. One that has not is a
// conflict, unless force, which cancels it. A receiver that does not know of
// the end yet is still told. Codes: notFound, conflict.
func (e *Engine) DeleteTransfer(ctx context.Context, transferID string, force bool) error {
	return e.o.Store.Update(ctx, func(tx Tx) error {
		t, err := tx.Transfer(transferID)
		switch {
		case err != nil:
			return err
		case t.Deleted:
			return api.Errorf(api.CodeNotFound, "there is no transfer %q", transferID)
		case t.Processing && !force:
			return api.Errorf(api.CodeConflict, "transfer %s has not ended: it is %s; wait for it, cancel it, or delete with force", transferID, t.Status)
		case t.Processing:
			if err := e.cancelAll(tx, []string{transferID}); err != nil {
				return err
			}
		}
		_, err = e.change(tx, transferID, func(t *Transfer) error {
			t.Deleted = true
			return nil
		})
		return err
	})
}

// Change loads a transfer, applies change and saves it, in one transaction. A
// state that change sets must be a permitted step (see transferSteps); the
// fields that follow from it (processing, times, the erased password) are set
// here. A deleted one whose receiver need not be told any more is removed. An
// error of change undoes everything and is returned. change may run only once
// but holds the database's only writer: it must not wait. Codes: notFound,
// conflict.
func (e *Engine) Change(ctx context.Context, transferID string, change func(*Transfer) error) (Transfer, error) {
	var t Transfer
	err := e.o.Store.Update(ctx, func(tx Tx) (err error) {
		t, err = e.change(tx, transferID, change)
		return err
	})
	if err != nil {
		return Transfer{}, err
	}
	e.overlay(&t)
	return t, nil
}

func (e *Engine) change(tx Tx, transferID string, change func(*Transfer) error) (Transfer, error) {
	t, err := tx.Transfer(transferID)
	if err != nil {
		return Transfer{}, err
	}
	e.overlay(t)
	from, told := t.Status, t.TellPeer
	if err := change(t); err != nil {
		return Transfer{}, err
	}
	to := t.Status
	t.Status, t.Rate, t.EtaSeconds = from, 0, nil
	switch {
	case to != from:
		err = e.move(tx, &transferObject{Transfer: t}, to, cause{t.RequestID, t.Depth})
	case t.Deleted && !t.TellPeer:
		err = tx.DeleteTransfer(transferID)
		tx.AfterCommit(func() { e.watchers.notify(transferID) })
	default:
		err = tx.SaveTransfer(t)
		tx.AfterCommit(func() { e.watchers.notify(transferID) })
	}
	if err != nil {
		return Transfer{}, err
	}
	wake := t.TellPeer && !told || to == StatusPending && from == StatusSuspended
	ended := !t.Processing
	tx.AfterCommit(func() {
		if ended {
			e.forget(transferID)
		}
		if wake {
			signal(e.wake)
		}
	})
	return *t, nil
}

// Runnable lists the transfers that want a sender: pending and active ones, and
// ended ones whose receiver must still be told, by priority, then age; at most
// limit, those whose ids are in except left out.
func (e *Engine) Runnable(ctx context.Context, except []string, limit int) ([]Transfer, error) {
	return e.o.Store.Runnable(ctx, except, limit)
}

// cancelAll cancels transfers within a transaction.
func (e *Engine) cancelAll(tx Tx, transferIDs []string) error {
	for _, id := range transferIDs {
		if _, err := e.change(tx, id, cancel); err != nil {
			return err
		}
	}
	return nil
}

// orEmpty makes JSON show {} where there is nothing.
func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// page asks a list for one entry more than it shows, to know whether it goes
// on.
func page[T any](ctx context.Context, p Page, list func(context.Context, Page) ([]T, error)) (entries []T, more bool, err error) {
	limit := p.Limit
	p.Limit++
	if entries, err = list(ctx, p); err != nil {
		return nil, false, err
	}
	if len(entries) > limit {
		return entries[:limit], true, nil
	}
	return entries, false, nil
}
