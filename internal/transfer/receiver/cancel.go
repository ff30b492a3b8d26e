package receiver

import (
	"context"
	"errors"
	"strings"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
)

// stopWait is how long Cancel waits until the connection that works on the
// transfer releases it.
const stopWait = 10 * time.Second

// cancelledHere is the message of a transfer that was cancelled at the
// receiver, followed by who did it.
const cancelledHere = "cancelled at the receiver by "

// byWhom names who cancels: the user of the transfer, a superuser, or a script
// that acts as no user.
func byWhom(row *transfer.RecvTransfer, by string) string {
	switch by {
	case row.Username:
		return "user " + by
	case "":
		return "a trigger script"
	}
	return "superuser " + by
}

// Cancel ends a received transfer as cancelled and removes its part files. The
// sender is notified on the open connection or when it connects again, and
// cannot continue. Once all entries have arrived the transfer cannot be
// cancelled any more: either all files get their final names or none. Codes:
// notFound, conflict when it has ended or cannot be cancelled any more.
func (r *Receiver) Cancel(ctx context.Context, caller api.Caller, transferID string) (transfer.RecvTransfer, error) {
	ctx = context.WithoutCancel(ctx)
	t, err := r.Transfer(ctx, caller, transferID)
	if err != nil {
		return transfer.RecvTransfer{}, err
	}
	if !t.Processing {
		return t, hasEnded(&t)
	}
	in := r.incoming(t.SourcePublicKey, t.TransferID)
	end := &endError{status: transfer.StatusCancelled, message: cancelledHere + byWhom(&t, caller.User)}
	err = r.o.Store.Update(ctx, func(tx transfer.RecvTx) error {
		row, err := tx.RecvTransfer(in.key, in.id)
		switch {
		case err != nil:
			return err
		case row == nil:
			return api.Errorf(api.CodeNotFound, "no received transfer has the id %q; list them with recv.getTransfers", in.id)
		}
		t = *row
		switch {
		case !row.Processing:
			return hasEnded(row)
		case row.Finishing:
			return api.Errorf(api.CodeConflict, "every file of transfer %s has arrived and gets its final name: it cannot be cancelled any more; wait until it has ended", in.id)
		}
		row.LastRecvTime = max(row.LastRecvTime, api.Time(in.lastRecv.Load()))
		if err := r.move(tx, row, end.status, end.message); err != nil {
			return err
		}
		t = *row
		return nil
	})
	if err != nil {
		if errors.Is(err, &api.Error{Code: api.CodeNotFound}) || !t.Processing {
			r.forget(in)
		}
		return t, err
	}
	r.log.Info("received transfer ended", "transferId", in.id, "status", string(t.Status), "message", t.ErrorMessage)
	wait, stop := context.WithTimeout(ctx, stopWait)
	defer stop()
	// If it cannot be acquired, the session that holds it sweeps at its end.
	if _, release, err := in.acquire(wait, end); err == nil {
		r.sweep(ctx, &t)
		r.forget(in)
		release()
	}
	return t, nil
}

func hasEnded(row *transfer.RecvTransfer) error {
	return api.Errorf(api.CodeConflict, "received transfer %s has already ended: it is %s", row.TransferID, row.Status)
}

// stillOpen reads the row of a transfer that is being worked on. If it has
// ended meanwhile it returns an *endError with its status.
func (in *incoming) stillOpen(tx transfer.RecvTx) (*transfer.RecvTransfer, error) {
	row, err := tx.RecvTransfer(in.key, in.id)
	switch {
	case err != nil:
		return nil, err
	case row == nil:
		return nil, errors.New("received transfer " + in.id + " is not in the database")
	case !row.Processing:
		return nil, &endError{status: row.Status, message: row.ErrorMessage}
	}
	return row, nil
}

// outcome returns the message to the sender about the end of a transfer.
func outcome(row *transfer.RecvTransfer) wire.Outcome {
	message := row.ErrorMessage
	if who, ok := strings.CutPrefix(message, cancelledHere); ok && who != byWhom(row, row.Username) {
		message = cancelledHere + "a superuser" // other servers do not learn the names of superusers
	}
	return wire.Outcome{
		Status: string(row.Status), Message: message, Files: row.FilesReceived, Bytes: row.BytesReceived,
		SkippedFiles: row.TotalFiles - row.FilesReceived, SkippedBytes: row.TotalSize - row.BytesReceived, Grown: row.Grown,
		Removed: row.RemovedFiles,
	}
}

// cancel handles the Cancel of a sender.
func (r *Receiver) cancel(ctx context.Context, conn *wire.Conn, payload []byte) error {
	var c wire.Cancel
	if err := wire.Decode(payload, &c); err != nil {
		return err
	}
	if _, err := r.authorize(ctx, conn, c.TransferID, c.Ticket); err != nil {
		return err
	}
	in := r.incoming(conn.PeerKey(), c.TransferID)
	e := cancelled(c)
	ctx, release, err := in.acquire(ctx, e)
	if err != nil {
		return err
	}
	defer release()
	row, err := r.end(context.WithoutCancel(ctx), in, e.status, e.message)
	if err != nil {
		return err
	}
	return conn.Send(wire.TypeOutcome, outcome(&row))
}

// cancelled returns the end of a transfer that its sender has cancelled.
func cancelled(c wire.Cancel) *endError {
	if c.Status == string(transfer.StatusCancelled) {
		return &endError{status: transfer.StatusCancelled, message: "cancelled by the sender"}
	}
	return &endError{status: transfer.StatusError, message: "the sender gave up: " + wire.Clean(c.Message)}
}
