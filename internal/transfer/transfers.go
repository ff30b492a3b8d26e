package transfer

import (
	"cmp"
	"context"
	"errors"
	"time"

	"jetstream/internal/api"
)

// CreateTransfer makes a pending transfer. It belongs to the owner of its
// manifest, whose sandbox is read. password is that of the receiver's user.
// Codes: invalid, notFound, forbidden when the caller's token is confined to
// another directory than the manifest, conflict when the manifest is not
// complete.
func (e *Engine) CreateTransfer(ctx context.Context, caller api.Caller, p Params, password string) (Transfer, error) {
	if err := p.check(password); err != nil {
		return Transfer{}, err
	}
	err := e.checkDeletable(ctx, caller, &p)
	if err != nil {
		return Transfer{}, err
	}
	t := Transfer{TransferID: api.NewID(), Params: p, DestinationPathBase64: api.Base64Unless(p.DestinationPath), RequestID: caller.RequestID, Depth: caller.Depth}
	if t.SealedPassword, err = seal(e.o.SealKey, t.TransferID, password); err != nil {
		return Transfer{}, err
	}
	err = e.o.Store.Update(ctx, func(tx Tx) error {
		m, err := tx.Manifest(p.ManifestID)
		if m, err = visible(caller, m, err); err != nil {
			return err
		}
		d, err := tx.Destination(p.DestinationID)
		if d, err = visible(caller, d, err); err != nil {
			return err
		}
		if err := errors.Join(sendable(caller, m), p.checkMirrored(m)); err != nil {
			return err
		}
		describe(&t, m)
		t.DestinationAddress, t.DestinationPort = d.DestinationAddress, d.DestinationPort
		tx.AfterCommit(func() { signal(e.wake) })
		err = e.move(tx, &transferObject{Transfer: &t}, StatusPending, causeOf(caller))
		api.Announce(ctx, CreatedTransfer{Transfer: t})
		return err
	})
	if err != nil {
		return Transfer{}, err
	}
	e.overlay(&t)
	return t, nil
}

// check checks the parameters and fills in defaults.
func (p *Params) check(password string) (err error) {
	if err := errors.Join(checkUserData(p.UserData), checkUsername(p.Username)); err != nil {
		return err
	}
	if password == "" || len(password) > maxPassword {
		return invalidField("password", "length", "a password has 1 to %d bytes", maxPassword)
	}
	if p.DestinationPath, err = cleanTarget(p.DestinationPath); err != nil {
		return err
	}
	p.Conflict, p.OnError, p.UserData = cmp.Or(p.Conflict, ConflictOverwrite), cmp.Or(p.OnError, "stop"), orEmpty(p.UserData)
	p.Compression = cmp.Or(p.Compression, CompressionAuto)
	p.Checksum = p.Checksum || p.DeleteSource && p.Conflict == ConflictChanged
	if p.Checksum && p.Conflict != ConflictChanged {
		return invalidField("checksum", "conflict", "checksum is only for the conflict changed: give that too")
	}
	return p.checkMirror()
}

// describe says in t that the manifest m, which is complete, is what is sent.
func describe(t *Transfer, m *Manifest) {
	t.Owner, t.TotalFiles, t.TotalBytes, t.DataBytes = m.Owner, *m.TotalFiles, *m.TotalSize, m.DataSize
}

// sendable returns an error if the caller cannot send the manifest.
func sendable(caller api.Caller, m *Manifest) error {
	switch {
	case caller.Scope != nil && !caller.Scope.Covers(m.Confined):
		return api.Errorf(api.CodeForbidden,
			"this token is confined to %q and manifest %s is not; make the manifest with this token", caller.ConfinedTo(), m.ManifestID)
	case m.Status == StatusPending:
		return api.Errorf(api.CodeConflict, "manifest %s is still pending; wait for it with send.waitForManifest", m.ManifestID)
	case m.Status == StatusError:
		return api.Errorf(api.CodeConflict, "manifest %s failed and cannot be sent; create a new one", m.ManifestID)
	}
	return nil
}

// Transfer returns a transfer with its live numbers. Codes: notFound.
func (e *Engine) Transfer(ctx context.Context, caller api.Caller, transferID string) (Transfer, error) {
	t, err := e.LoadTransfer(ctx, transferID)
	return visible(caller, t, err)
}

// LoadTransfer returns a transfer of any owner with its live numbers, for the
// sender. Codes: notFound.
func (e *Engine) LoadTransfer(ctx context.Context, transferID string) (Transfer, error) {
	t, err := e.o.Store.Transfer(ctx, transferID)
	if err != nil {
		return Transfer{}, err
	}
	e.overlay(&t)
	return t, nil
}

// Transfers lists transfers, newest first, with their live numbers; next is the
// Before of the next page, 0 at the end.
func (e *Engine) Transfers(ctx context.Context, p Page) (list []Transfer, next int64, err error) {
	list, next, err = readPage(ctx, p, e.o.Store.Transfers, func(t Transfer) int64 { return t.Seq })
	e.overlayAll(list)
	return list, next, err
}

// WaitForTransfer returns the transfer once it has ended and no more of its sources are
// to be removed, or as it is after
// timeout. Codes: notFound.
func (e *Engine) WaitForTransfer(ctx context.Context, caller api.Caller, transferID string, timeout time.Duration) (Transfer, error) {
	return await(ctx, e, transferID, timeout, func(ctx context.Context) (Transfer, bool, error) {
		t, err := e.Transfer(ctx, caller, transferID)
		return t, !t.Processing && !t.DeletingSources, err
	})
}

// CancelTransfer ends a transfer as cancelled; its receiver is notified in the
// background. Codes: notFound, conflict when it has ended.
func (e *Engine) CancelTransfer(ctx context.Context, caller api.Caller, transferID string) (Transfer, error) {
	return e.changeFor(ctx, caller, transferID, cancel)
}

func cancel(t *Transfer) error {
	if !t.Processing {
		return alreadyEnded(t)
	}
	t.Status, t.TellPeer, t.ErrorMessage = StatusCancelled, true, ""
	return nil
}

// SuspendTransfer stops sending a transfer until it is resumed; what has arrived
// stays at the receiver. One that is suspended stays so. Codes: notFound, conflict
// when it has ended.
func (e *Engine) SuspendTransfer(ctx context.Context, caller api.Caller, transferID string) (Transfer, error) {
	return e.changeFor(ctx, caller, transferID, func(t *Transfer) error {
		if !t.Processing {
			return alreadyEnded(t)
		}
		t.Status, t.ErrorMessage = StatusSuspended, ""
		return nil
	})
}

// ResumeTransfer goes on with a suspended transfer. One that is not suspended
// stays as it is. Codes: notFound, conflict when it has ended.
func (e *Engine) ResumeTransfer(ctx context.Context, caller api.Caller, transferID string) (Transfer, error) {
	return e.changeFor(ctx, caller, transferID, func(t *Transfer) error {
		if !t.Processing {
			return alreadyEnded(t)
		}
		if t.Status == StatusSuspended {
			t.Status = StatusPending
		}
		return nil
	})
}

// FailTransfer ends a transfer as failed for a reason; its receiver is notified
// in the background. Codes: notFound, conflict when it has ended.
func (e *Engine) FailTransfer(ctx context.Context, caller api.Caller, transferID, message string) (Transfer, error) {
	return e.changeFor(ctx, caller, transferID, func(t *Transfer) error {
		if !t.Processing {
			return alreadyEnded(t)
		}
		t.Status, t.TellPeer, t.ErrorMessage = StatusError, true, message
		return nil
	})
}

// TransferChange is a change of a transfer. A nil field stays as it is.
type TransferChange struct {
	Priority *int              `json:"priority" doc:"Lower goes first" validate:"omitempty,min=0,max=1000000"`
	UserData map[string]string `json:"userData" doc:"Data of the user's own, in place of what was kept; {} removes it" validate:"max=64"`
}

// UpdateTransfer changes a transfer. Codes: invalid, notFound; conflict when
// another priority is given to one that has ended.
func (e *Engine) UpdateTransfer(ctx context.Context, caller api.Caller, transferID string, c TransferChange) (Transfer, error) {
	if err := checkUserData(c.UserData); err != nil {
		return Transfer{}, err
	}
	return e.changeFor(ctx, caller, transferID, func(t *Transfer) error {
		if c.Priority != nil && *c.Priority != t.Priority {
			if !t.Processing {
				return alreadyEnded(t)
			}
			t.Priority = *c.Priority
		}
		if c.UserData != nil {
			t.UserData = c.UserData
		}
		return nil
	})
}

func alreadyEnded(t *Transfer) error {
	return api.Errorf(api.CodeConflict, "transfer %s has already ended: it is %s", t.TransferID, t.Status)
}

// DeleteTransfer removes a transfer that has ended. One that has not is a
// conflict, unless force, which cancels it. Its receiver is still notified of
// the end, if it does not know it yet. Codes: notFound, conflict.
func (e *Engine) DeleteTransfer(ctx context.Context, caller api.Caller, transferID string, force bool) error {
	_, err := e.changeFor(ctx, caller, transferID, func(t *Transfer) error {
		if t.Processing && !force {
			return api.Errorf(api.CodeConflict, "transfer %s has not ended: it is %s; wait for it, cancel it, or delete with force", transferID, t.Status)
		}
		t.Deleted = true
		if t.Processing {
			return cancel(t)
		}
		return nil
	})
	return err
}

// Change loads a transfer, applies change and saves it, in one transaction. A
// state that change sets must be a permitted step (see transferSteps); the
// fields that follow from it (processing, times, the erased password) are set
// here. A transfer that is Deleted, of which no source is to be removed any more and whose receiver need
// not be notified any more is removed. An error of change is returned and nothing is saved. change
// runs while the database's only writer is held: it must not wait. Codes:
// notFound, conflict.
func (e *Engine) Change(ctx context.Context, transferID string, change func(*Transfer) error) (Transfer, error) {
	return e.update(ctx, func(tx Tx) (Transfer, error) { return e.change(tx, transferID, change) })
}

// changeFor is Change for a caller of the API.
func (e *Engine) changeFor(ctx context.Context, caller api.Caller, transferID string, change func(*Transfer) error) (Transfer, error) {
	return e.update(ctx, func(tx Tx) (Transfer, error) {
		t, err := tx.Transfer(transferID)
		if err == nil && t.Deleted {
			err = api.NotFound("transfer", transferID)
		}
		if t, err = visible(caller, t, err); err != nil {
			return Transfer{}, err
		}
		return e.changeLoaded(tx, t, change)
	})
}

// update runs a change of a transfer in a transaction of its own.
func (e *Engine) update(ctx context.Context, change func(Tx) (Transfer, error)) (t Transfer, err error) {
	err = e.o.Store.Update(ctx, func(tx Tx) (err error) {
		t, err = change(tx)
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
	return e.changeLoaded(tx, t, change)
}

// changeLoaded is change for a transfer that tx has loaded.
func (e *Engine) changeLoaded(tx Tx, t *Transfer, change func(*Transfer) error) (_ Transfer, err error) {
	e.overlay(t)
	transferID := t.TransferID
	from, notified := t.Status, t.TellPeer
	if err := change(t); err != nil {
		return Transfer{}, err
	}
	to := t.Status
	t.Status, t.Rate, t.EtaSeconds = from, 0, nil
	switch {
	case to != from:
		err = e.move(tx, &transferObject{Transfer: t}, to, cause{t.RequestID, t.Depth})
	case t.Deleted && !t.TellPeer && !t.DeletingSources:
		err = tx.DeleteTransfer(transferID)
		tx.AfterCommit(func() { e.watchers.notify(transferID) })
	default:
		err = tx.SaveTransfer(t)
		tx.AfterCommit(func() { e.watchers.notify(transferID) })
	}
	if err != nil {
		return Transfer{}, err
	}
	wake := t.TellPeer && !notified || to == StatusPending && from == StatusSuspended
	ended, deleting := !t.Processing, t.DeletingSources
	tx.AfterCommit(func() {
		if ended {
			e.forget(transferID)
		}
		if deleting {
			signal(e.deleteWake)
		}
		if wake {
			signal(e.wake)
		}
	})
	return *t, nil
}

// Runnable lists the transfers that a sender must work on: pending and active
// ones, and ended ones whose receiver must still be notified. They are sorted
// by priority, then age, limit at most, without those whose ids are in except.
func (e *Engine) Runnable(ctx context.Context, except []string, limit int) ([]Transfer, error) {
	return e.o.Store.Runnable(ctx, except, limit)
}

// cancelAll cancels transfers in a transaction.
func (e *Engine) cancelAll(tx Tx, transferIDs []string) error {
	for _, id := range transferIDs {
		if _, err := e.change(tx, id, cancel); err != nil {
			return err
		}
	}
	return nil
}

// orEmpty replaces nil by an empty map, which is encoded as {}.
func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// readPage reads a page of a list; next is the Before of the next page, 0 at
// the end.
func readPage[T any](ctx context.Context, p Page, list func(context.Context, Page) ([]T, error), seq func(T) int64) (page []T, next int64, err error) {
	limit := p.Limit
	p.Limit++
	if page, err = list(ctx, p); err != nil {
		return nil, 0, err
	}
	page, next = api.CutPage(page, limit, seq)
	return page, next, nil
}
