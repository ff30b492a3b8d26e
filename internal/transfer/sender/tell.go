package sender

import (
	"context"
	"errors"
	"time"

	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
)

// tell lets the receiver of an ended transfer know.
func (a *attempt) tell(ctx context.Context) error {
	t := &a.t
	if len(t.Ticket) > 0 && time.Since(t.EndTime.Std()) < tellFor {
		conn, err := a.dial(ctx)
		if _, ok := errors.AsType[*final](err); err != nil && !ok {
			return err
		}
		if err == nil {
			err = a.tellOn(ctx, conn)
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

func (a *attempt) tellOn(ctx context.Context, conn *wire.Conn) error {
	stop := context.AfterFunc(ctx, conn.Abort)
	defer stop()
	if err := conn.Send(wire.TypeCancel, wire.Cancel{
		TransferID: a.t.TransferID, Ticket: a.t.Ticket, Status: string(a.t.Status), Message: a.t.ErrorMessage,
	}); err != nil {
		return err
	}
	h, payload, err := conn.Read(nil)
	if err != nil {
		return err
	}
	if h.Type == wire.TypeFailure {
		var f wire.Failure
		if err := wire.Decode(payload, &f); err != nil {
			return err
		}
		// A refusal is an answer too: the receiver does not know the transfer.
		if err := a.failure(f); errors.As(err, new(*later)) {
			return err
		}
	}
	return nil
}
