package receiver

import (
	"context"
	"errors"
	"fmt"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/triggers"
)

// endError is an error that ends the transfer, not only the connection. Its
// message is shown at both ends.
type endError struct {
	status  transfer.Status
	message string
	cause   error
}

func (e *endError) Error() string {
	if e.cause != nil {
		return e.message + ": " + e.cause.Error()
	}
	return e.message
}

func (e *endError) Unwrap() error { return e.cause }

// failf returns an endError with status error.
func failf(cause error, format string, args ...any) error {
	return &endError{status: transfer.StatusError, message: fmt.Sprintf(format, args...), cause: cause}
}

// move changes the state of a received transfer. No other function does. In the
// caller's transaction it saves the row, appends an entry to the event log and
// queues the event of the step.
func (r *Receiver) move(tx transfer.RecvTx, row *transfer.RecvTransfer, to transfer.Status, message string) error {
	now, from := api.Now(), row.Status
	switch {
	case row.Status == "" && to == transfer.StatusReceiving:
		row.StartTime = now
	case row.Status == transfer.StatusReceiving && !to.Processing():
		row.EndTime, row.Finishing = now, false
	default:
		return fmt.Errorf("received transfer %s is %s and cannot become %s", row.TransferID, row.Status, to)
	}
	row.Status, row.Processing, row.ErrorMessage = to, to.Processing(), message
	if err := tx.SaveRecvTransfer(row); err != nil {
		return err
	}
	if err := r.appendEntry(tx, row, from); err != nil {
		return err
	}
	e, err := event(row)
	if err != nil {
		return err
	}
	return r.o.Emitter.Queue(tx, e)
}

// event returns the event of the state that row has just entered.
func event(row *transfer.RecvTransfer) (triggers.Event, error) {
	params := triggers.TransferParams{TransferID: row.TransferID, Username: row.Username}
	// Ids of transfers are unique per sending server only.
	subject := transfer.RecvSubject(row.SourcePublicKey, row.TransferID)
	why := triggers.Cause{User: row.Username, TransferID: row.TransferID, Key: subject}
	switch row.Status {
	case transfer.StatusReceiving:
		return triggers.RecvTransferStarted.Event(params, why)
	case transfer.StatusComplete:
		why.Subject = subject
		return triggers.RecvTransferComplete.Event(params, why)
	default:
		return triggers.RecvTransferFailed.Event(
			transfer.FailureOf(row.TransferID, row.Username, row.Status, row.ErrorMessage), why)
	}
}

func (r *Receiver) appendEntry(tx transfer.RecvTx, row *transfer.RecvTransfer, from transfer.Status) error {
	return transfer.Changed.Append(r.o.Stream, tx, row.Username, transfer.ChangeEntry{
		Side: transfer.SideRecv, TransferID: row.TransferID, Status: row.Status, PreviousStatus: from, Processing: row.Processing,
		ErrorMessage: row.ErrorMessage, Username: row.Username, TotalFiles: row.TotalFiles, TotalBytes: row.TotalSize,
		Files: row.FilesReceived, Bytes: row.BytesReceived,
	})
}

// end ends a transfer, unless it has ended already, and removes its part files.
// It returns the row after that.
func (r *Receiver) end(ctx context.Context, in *incoming, to transfer.Status, message string) (transfer.RecvTransfer, error) {
	var row transfer.RecvTransfer
	moved := false
	err := r.o.Store.Update(ctx, func(tx transfer.RecvTx) error {
		have, err := tx.RecvTransfer(in.key, in.id)
		if err != nil {
			return err
		}
		if have == nil {
			return fmt.Errorf("received transfer %s is not in the database", in.id)
		}
		if have.Processing {
			if err := r.move(tx, have, to, message); err != nil {
				return err
			}
			moved = true
		}
		row = *have
		return nil
	})
	if err != nil {
		return row, err
	}
	if moved {
		r.log.Info("received transfer ended", "transferId", in.id, "status", string(row.Status), "message", row.ErrorMessage)
	}
	r.sweep(ctx, &row)
	r.forget(in)
	return row, nil
}

// sweep removes the part files of a transfer that has ended, and records that
// in its row. If it fails, the next start tries again.
func (r *Receiver) sweep(ctx context.Context, row *transfer.RecvTransfer) {
	if row.Staging == "" || row.Processing {
		return
	}
	r.observe("sweep", row.Staging)
	if err := removeStaging(row.Root, row.Staging); err != nil {
		r.log.Warn("part files of an ended transfer could not be removed; the next start tries again",
			"transferId", row.TransferID, "directory", row.Root, "error", err)
		return
	}
	err := r.o.Store.Update(ctx, func(tx transfer.RecvTx) error {
		have, err := tx.RecvTransfer(row.SourcePublicKey, row.TransferID)
		if err != nil || have == nil {
			return err
		}
		have.Staging = ""
		return tx.SaveRecvTransfer(have)
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		r.log.Warn("a received transfer could not be saved", "transferId", row.TransferID, "error", err)
	}
	row.Staging = ""
}
