package receiver

import (
	"context"
	"errors"
	"fmt"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/triggers"
)

// ended is an error that ends the transfer, not only its connection. Its
// message is for people at both ends.
type ended struct {
	status  transfer.Status
	message string
	cause   error
}

func (e *ended) Error() string {
	if e.cause != nil {
		return e.message + ": " + e.cause.Error()
	}
	return e.message
}

func (e *ended) Unwrap() error { return e.cause }

// failf makes an error that ends the transfer as failed.
func failf(cause error, format string, args ...any) error {
	return &ended{status: transfer.StatusError, message: fmt.Sprintf(format, args...), cause: cause}
}

// move is the one function that changes a received transfer's state. It saves
// the row, writes the change into the log and queues the event that belongs to
// the step, in the caller's transaction.
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
	if err := r.note(tx, row, from); err != nil {
		return err
	}
	e, err := event(row)
	if err != nil {
		return err
	}
	return r.o.Emitter.Queue(tx, e)
}

// event makes the event that belongs to the state that row has just got.
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

func (r *Receiver) note(tx transfer.RecvTx, row *transfer.RecvTransfer, from transfer.Status) error {
	return transfer.Changed.Append(r.o.Stream, tx, row.Username, transfer.ChangeEntry{
		Side: transfer.SideRecv, TransferID: row.TransferID, Status: row.Status, PreviousStatus: from, Processing: row.Processing,
		ErrorMessage: row.ErrorMessage, Username: row.Username, TotalFiles: row.TotalFiles, TotalBytes: row.TotalSize,
		Files: row.FilesReceived, Bytes: row.BytesReceived,
	})
}

// end moves a transfer to its end, unless it has ended already, and removes
// its part files. It returns the row as it then is.
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

// sweep removes what is left of an ended transfer's part files and notes that
// in its row. What it cannot do now is done at the next start.
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
