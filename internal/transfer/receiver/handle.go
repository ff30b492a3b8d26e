package receiver

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
)

// loginTimeout is how long a connection may take for its login after the
// handshake.
const loginTimeout = 30 * time.Second

// Limits of a login, in bytes.
const (
	maxUsername = 64
	maxPassword = 1024
)

// maxTickets is how many tickets of a transfer are valid at a time: a login that
// was delayed on its way may be handled after the one that the sender made anew.
const maxTickets = 8

// handle serves one connection until it ends.
func (r *Receiver) handle(ctx context.Context, nc net.Conn) {
	from, accepted := nc.RemoteAddr().String(), time.Now()
	defer func() {
		if p := recover(); p != nil {
			_ = nc.Close()
			r.log.Error("panic while receiving", "from", from, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	if tcp, ok := nc.(*net.TCPConn); ok {
		_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 6})
	}
	conn, err := wire.Server(ctx, nc, r.o.Identity, r.hello())
	if err != nil {
		if _, ok := errors.AsType[*wire.VersionError](err); ok {
			r.quiet.warn("a server cannot send here", "from", from, "error", err)
		} else { // such as a port scanner
			r.log.Debug("a connection did not become a sender's", "from", from, "error", err)
		}
		return
	}
	r.limiter.Raise(nc, rankKey)
	if known, err := r.o.Clients.Known(ctx, conn.PeerKey()); err == nil && known {
		r.limiter.Raise(nc, rankKnown)
	}
	stop := context.AfterFunc(ctx, conn.Abort)
	defer stop()
	var helpers sync.WaitGroup // goroutines that end when conn is closed
	defer helpers.Wait()
	defer conn.Close()
	conn.Limit(time.Now().Add(loginTimeout))
	release, err := r.admit(ctx, conn)
	defer release()
	if err != nil {
		// Its request is read and ignored, since without that it would get a
		// broken connection instead of the answer.
		_, _, _ = conn.Read()
	} else {
		err = r.converse(ctx, conn, &helpers, accepted)
	}
	if err != nil && ctx.Err() == nil {
		f := failureOf(err)
		r.log.Debug("a sender's connection ended", "from", from, "code", string(f.Code), "error", err)
		_ = conn.Send(wire.TypeFailure, f)
	}
}

func (r *Receiver) hello() wire.Hello {
	return wire.Hello{
		MinVersion: wire.MinVersion, MaxVersion: wire.MaxVersion,
		ServerUID: r.o.ServerUID, Software: r.o.Software,
	}
}

// failureOf returns the message to the sender about an error, without its
// cause.
func failureOf(err error) wire.Failure {
	if p, ok := errors.AsType[*wire.ProtocolError](err); ok {
		return wire.Failure{Code: api.CodeInvalid, Message: p.Reason}
	}
	if c, ok := errors.AsType[*wire.ErrCorrupt](err); ok {
		return wire.Failure{Code: api.CodeUnavailable, Message: c.Error()}
	}
	if e, ok := errors.AsType[*noRoom](err); ok {
		return wire.Failure{Code: api.CodeUnavailable, Message: e.message}
	}
	if e, ok := errors.AsType[*api.Error](err); ok {
		return wire.Failure{Code: e.Code, Message: e.Message, RetryAfterSeconds: int((e.RetryAfter + time.Second - 1) / time.Second)}
	}
	return wire.Failure{Code: api.CodeUnavailable, Message: "the receiver could not go on; its log has the cause"}
}

// converse handles the requests of a sender: a login, if it has no ticket, then
// to send or to cancel one transfer; or to be a lane of one.
func (r *Receiver) converse(ctx context.Context, conn *wire.Conn, helpers *sync.WaitGroup, accepted time.Time) error {
	loggedIn := false
	var ticket []byte // of this connection's login
	for {
		h, payload, err := conn.Read()
		if err != nil {
			return err
		}
		r.limiter.Touch(conn.NetConn())
		switch h.Type {
		case wire.TypeLogin:
			if loggedIn {
				return &wire.ProtocolError{Reason: "a connection may log in once"}
			}
			loggedIn = true
			r.limiter.Raise(conn.NetConn(), rankLogin)
			if ticket, err = r.login(ctx, conn, payload); err != nil {
				return err
			}
		case wire.TypeDryRun:
			if loggedIn {
				return &wire.ProtocolError{Reason: "a connection may log in once"}
			}
			r.limiter.Raise(conn.NetConn(), rankLogin)
			return r.dryRun(ctx, conn, helpers, payload, accepted)
		case wire.TypeJoin:
			return r.join(ctx, conn, helpers, payload)
		case wire.TypeOpen:
			return r.open(ctx, conn, helpers, payload, ticket, accepted)
		case wire.TypeCancel:
			return r.cancel(ctx, conn, payload)
		default:
			return &wire.ProtocolError{Reason: "the sender did not open a transfer"}
		}
	}
}

// login verifies user and password and issues a ticket for one transfer.
// After another login for the same transfer and user both tickets are valid, since
// the sender may not have got the first one, or may have got it alone.
func (r *Receiver) login(ctx context.Context, conn *wire.Conn, payload []byte) (ticket []byte, err error) {
	var l wire.Login
	if err := wire.Decode(payload, &l); err != nil {
		return nil, err
	}
	if !api.IsID(l.TransferID) || len(l.Username) > maxUsername || len(l.Password) > maxPassword {
		return nil, &wire.ProtocolError{Reason: "the login is malformed"}
	}
	seen := loginOf(conn, l.Username, l.TransferID)
	defer func() {
		seen.Err = err
		r.o.Logins(context.WithoutCancel(ctx), seen)
	}()
	access, err := r.o.Accounts.LoginSender(ctx, l.Username, l.Password, conn.RemoteAddr().String())
	if err != nil {
		return nil, err
	}
	user := access.User
	seen.Username, seen.TokenID = user.Name, access.TokenID
	r.limiter.Pin(conn.NetConn())
	ticket = make([]byte, 32)
	_, _ = rand.Read(ticket) // never fails
	hash := sha256.Sum256(ticket)
	err = r.o.Store.Update(ctx, func(tx transfer.RecvTx) error {
		row, err := tx.RecvTransfer(conn.PeerKey(), l.TransferID)
		if err != nil {
			return err
		}
		if row == nil {
			row = &transfer.RecvTransfer{
				TransferID: l.TransferID, Username: user.Name, SourcePublicKey: conn.PeerKey(),
				DestinationPath: "/", TicketHash: hash[:], TokenID: access.TokenID, Confined: access.Path,
			}
			row.SourceIP, row.SourcePort = address(conn)
			return r.move(tx, row, transfer.StatusReceiving, "")
		}
		if row.Username != user.Name {
			return api.Errorf(api.CodeForbidden, "transfer %s belongs to another user of this server", l.TransferID)
		}
		if cmp.Or(row.Confined, "/") != access.Path {
			return api.Errorf(api.CodeForbidden, "transfer %s began with a login for %s, and this one is for %s; create the transfer again", l.TransferID, api.Quote(cmp.Or(row.Confined, "/")), api.Quote(access.Path))
		}
		row.TokenID = access.TokenID
		row.TicketHash = append(row.TicketHash, hash[:]...)
		row.TicketHash = row.TicketHash[max(0, len(row.TicketHash)-maxTickets*len(hash)):]
		return tx.SaveRecvTransfer(row)
	})
	if err != nil {
		return nil, err
	}
	return ticket, conn.Send(wire.TypeTicket, wire.Ticket{Ticket: ticket, Username: user.Name})
}

func address(conn *wire.Conn) (ip string, port int) {
	if a, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		return a.IP.String(), a.Port
	}
	return "", 0
}

// authorize returns the transfer of a ticket. From then on the connection is not
// evicted.
func (r *Receiver) authorize(ctx context.Context, conn *wire.Conn, transferID string, ticket []byte) (*transfer.RecvTransfer, error) {
	refused := api.Errorf(api.CodeUnauthorized, "the ticket of the transfer is not valid here; create the transfer again")
	if !api.IsID(transferID) || len(ticket) != 32 {
		return nil, refused
	}
	row, err := r.row(ctx, conn.PeerKey(), transferID)
	if err != nil {
		return nil, err
	}
	if row == nil || !isTicket(row, ticket) {
		return nil, refused
	}
	r.limiter.Pin(conn.NetConn())
	return row, nil
}

// isTicket reports whether a ticket is one of the transfer's.
func isTicket(row *transfer.RecvTransfer, ticket []byte) bool {
	hash, equal := sha256.Sum256(ticket), 0
	for one := range slices.Chunk(row.TicketHash, len(hash)) {
		equal |= subtle.ConstantTimeCompare(hash[:], one)
	}
	return equal == 1
}

// row reads the present row of a transfer, nil if there is none.
func (r *Receiver) row(ctx context.Context, key, id string) (row *transfer.RecvTransfer, err error) {
	err = r.o.Store.Update(ctx, func(tx transfer.RecvTx) error {
		row, err = tx.RecvTransfer(key, id)
		return err
	})
	return row, err
}

// entitled returns an error if the user who has authorized the transfer was
// removed or disabled, or the token with which they did has ended. A later user of the
// same name does not count.
func (r *Receiver) entitled(ctx context.Context, row *transfer.RecvTransfer) error {
	u, err := r.o.Accounts.User(ctx, row.Username)
	gone := errors.Is(err, &api.Error{Code: api.CodeNotFound})
	switch {
	case gone || err == nil && u.CreateTime > row.StartTime:
		return failf(nil, "user %s, who authorized the transfer, was removed", row.Username)
	case err != nil:
		return err
	case u.Disabled:
		return failf(nil, "user %s, who authorized the transfer, was disabled", row.Username)
	case row.TokenID == "":
		return nil
	}
	err = r.o.Accounts.TokenLasts(ctx, row.TokenID)
	if e := api.ErrorOf(err); e != nil && e.Code == api.CodeUnauthorized {
		return failf(err, "%s", e.Message)
	}
	return err
}

// open receives a transfer until it ends or the connection breaks. ticket is what the
// login of the connection was answered with, for an Open that was sent without one.
func (r *Receiver) open(ctx context.Context, conn *wire.Conn, helpers *sync.WaitGroup, payload, ticket []byte, accepted time.Time) error {
	var o wire.Open
	if err := wire.Decode(payload, &o); err != nil {
		return err
	}
	if len(o.Ticket) == 0 {
		o.Ticket = ticket
	}
	if _, err := r.authorize(ctx, conn, o.TransferID, o.Ticket); err != nil {
		return err
	}
	conn.Limit(time.Time{})
	alive, stop := context.WithCancel(ctx)
	defer stop()
	helpers.Go(func() { _ = conn.KeepAlive(alive) })
	in, outer := r.incoming(conn.PeerKey(), o.TransferID), ctx
	ctx, release, err := in.acquire(ctx, nil)
	if err != nil {
		return err
	}
	defer release()
	// Again, since the transfer may have changed before it was acquired.
	row, err := r.authorize(ctx, conn, o.TransferID, o.Ticket)
	if err != nil {
		return err
	}
	if !row.Processing {
		r.sweep(context.WithoutCancel(ctx), row)
		r.forget(in)
		return conn.Send(wire.TypeOutcome, outcome(row))
	}
	row.SourceIP, row.SourcePort = address(conn)
	s := &session{r: r, conn: conn, in: in, row: row, helpers: helpers, outer: outer, accepted: accepted}
	end, err := s.receive(ctx, o)
	if e, ok := errors.AsType[*endError](context.Cause(ctx)); ok && err != nil {
		err = e // the reason of the failure
	}
	err = s.fullAs(err)
	if short, ok := errors.AsType[*noRoom](err); ok {
		in.wait(r.log, short.message)
	}
	if e, ok := errors.AsType[*endError](err); ok {
		if e.cause != nil {
			r.log.Warn("a transfer ends at the receiver", "transferId", in.id, "message", e.message, "error", e.cause)
		}
		// Also if the connection breaks meanwhile.
		end, err = r.end(context.WithoutCancel(ctx), in, e.status, e.message)
	}
	if err != nil {
		now := api.Now()
		row.LastErrorTime, row.LastRecvTime = now, api.Time(in.lastRecv.Load())
		if err := r.o.Store.SaveRecvProgress(context.WithoutCancel(ctx), row); err != nil {
			r.log.Warn("a received transfer could not be saved", "transferId", in.id, "error", err)
		}
		return err
	}
	return conn.Send(wire.TypeOutcome, outcome(&end))
}
