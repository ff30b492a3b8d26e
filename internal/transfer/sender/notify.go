package sender

import (
	"context"
	"errors"
	"time"

	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
)

// notifyReceiver notifies the receiver that the transfer has ended. It gives up
// after notifyFor, and if there is no ticket to do it with.
func (a *attempt) notifyReceiver(ctx context.Context) error {
	t := &a.t
	if len(t.Ticket) > 0 && time.Since(t.EndTime.Std()) < notifyFor {
		conn, err := a.connect(ctx)
		if _, ok := errors.AsType[*finalError](err); err != nil && !ok {
			return err
		}
		if err == nil {
			err = a.sendCancel(ctx, conn)
			conn.Close()
			if err != nil {
				return err
			}
		}
	}
	_, err := a.s.o.Engine.Change(ctx, t.TransferID, func(t *transfer.Transfer) error {
		t.TellPeer = false
		return nil
	})
	return err
}

// sendCancel sends a Cancel and waits for the answer.
func (a *attempt) sendCancel(ctx context.Context, conn *wire.Conn) error {
	stop := context.AfterFunc(ctx, conn.Abort)
	defer stop()
	if err := conn.Send(wire.TypeCancel, wire.Cancel{
		TransferID: a.t.TransferID, Ticket: a.t.Ticket, Status: string(a.t.Status), Message: a.t.ErrorMessage,
	}); err != nil {
		return err
	}
	h, payload, err := conn.Read()
	if err != nil {
		return err
	}
	if h.Type == wire.TypeFailure {
		var f wire.Failure
		if err := wire.Decode(payload, &f); err != nil {
			return err
		}
		// After a refusal there is nothing more to do: the receiver does not
		// know the transfer.
		if err := a.failure(f); errors.As(err, new(*retryLater)) {
			return err
		}
	}
	return nil
}
