package sender

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
)

// maxTicket is how many bytes a ticket may have.
const maxTicket = 1024

// connect is dial and secure.
func (a *attempt) connect(ctx context.Context) (*wire.Conn, error) {
	nc, pinned, err := a.dial(ctx)
	if err != nil {
		return nil, err
	}
	return a.secure(ctx, nc, pinned, nil)
}

// dial connects to the receiver. pinned is the public key that it must have, empty if
// none is known.
func (a *attempt) dial(ctx context.Context) (nc net.Conn, pinned string, err error) {
	d, err := a.s.o.Engine.LoadDestination(ctx, a.t.DestinationID)
	if err != nil && !errors.Is(err, &api.Error{Code: api.CodeNotFound}) {
		return nil, "", err
	}
	if err == nil {
		a.limit.SetRate(d.SendRateMax)
	}
	if nc, err = a.s.o.Dial(ctx, a.to); err != nil {
		a.unreached(ctx, fmt.Sprintf("%s cannot be reached: %s", a.to, reason(err)), err)
		return nil, "", err
	}
	a.link = a.s.choose(nc)
	return nc, cmp.Or(d.DestinationPublicKey, a.t.PublicKey), nil
}

// secure makes the connection of nc and sends messages on it. It checks the receiver's
// public key, or pins it if none is pinned yet: then the messages wait until the other
// end has shown that it is a receiver.
func (a *attempt) secure(ctx context.Context, nc net.Conn, pinned string, messages []wire.Message) (*wire.Conn, error) {
	var early []wire.Message
	if pinned != "" {
		early, messages = messages, nil
	}
	conn, err := wire.Client(ctx, nc, a.s.o.Identity, pinned, a.s.hello(), early...)
	if err == nil {
		a.connected = true
		err = a.s.o.Engine.PinKey(ctx, a.t.DestinationID, conn.PeerKey())
		if errors.Is(err, &api.Error{Code: api.CodeNotFound}) {
			err = nil
		}
		if err == nil && len(messages) > 0 {
			err = conn.SendAll(messages)
		}
		if err != nil {
			conn.Abort()
			return nil, err
		}
		return conn, nil
	}
	err = a.unusable(err)
	message := a.waitMessage(err)
	if e, ok := errors.AsType[*finalError](err); ok {
		message = e.message
	}
	a.unreached(ctx, message, err)
	return nil, err
}

// unreached shows in the destination why it cannot be used at present.
func (a *attempt) unreached(ctx context.Context, message string, err error) {
	if ctx.Err() == nil {
		a.s.o.Engine.Unreached(a.t.DestinationID, api.Wrap(err, api.CodeUnavailable, "%s", message))
	}
}

// requests returns what opens the transfer: Open, and before it Login as long as there
// is no ticket.
func (a *attempt) requests() ([]wire.Message, error) {
	open := wire.Message{Type: wire.TypeOpen, Body: openMessage{a}}
	if len(a.t.Ticket) > 0 {
		return []wire.Message{open}, nil
	}
	password, err := a.s.o.Engine.Password(&a.t)
	if err != nil {
		return nil, failf(err, false, "%s", api.ErrorOf(err).Message)
	}
	return []wire.Message{{
		Type: wire.TypeLogin, Body: wire.Login{TransferID: a.t.TransferID, Username: a.t.Username, Password: password},
	}, open}, nil
}

// login takes the ticket for which Login has traded the password, and saves both
// changes at once.
func (a *attempt) login(ctx context.Context, conn *wire.Conn) error {
	stop := context.AfterFunc(ctx, conn.Abort)
	defer stop()
	h, payload, err := conn.Read()
	if err != nil {
		return err
	}
	switch h.Type {
	case wire.TypeTicket:
	case wire.TypeFailure:
		var f wire.Failure
		if err := wire.Decode(payload, &f); err != nil {
			return err
		}
		if f.Code == api.CodeUnauthorized {
			return a.refusedLogin(f)
		}
		return a.failure(f)
	default:
		return a.unexpectedFrame(h)
	}
	var ticket wire.Ticket
	if err := wire.Decode(payload, &ticket); err != nil {
		return err
	}
	if len(ticket.Ticket) == 0 || len(ticket.Ticket) > maxTicket {
		return a.broken("its ticket has %d bytes", len(ticket.Ticket))
	}
	// Also if the transfer was cancelled meanwhile: its receiver is notified
	// with the ticket.
	_, err = a.s.o.Engine.Change(ctx, a.t.TransferID, func(t *transfer.Transfer) error {
		t.Ticket, t.SealedPassword, t.PublicKey = ticket.Ticket, nil, conn.PeerKey()
		if strings.EqualFold(t.Username, ticket.Username) {
			t.Username = ticket.Username
		}
		return nil
	})
	a.t.Ticket = ticket.Ticket
	return err
}
