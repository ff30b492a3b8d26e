package receiver

import (
	"context"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
)

// Clients stores which servers may send.
type Clients interface {
	// AddClient saves a client. If there is one of its key, it is read into c
	// instead and made is false.
	AddClient(ctx context.Context, c *transfer.AuthorizedClient) (made bool, err error)
	// RemoveClient removes the client of a key; found reports whether there was
	// one.
	RemoveClient(ctx context.Context, publicKey string) (found bool, err error)
	// Clients lists the clients with a Seq below before (0: all), newest first.
	Clients(ctx context.Context, before int64, limit int) ([]transfer.AuthorizedClient, error)
	// OnlyClients reports whether only authorized clients may send.
	OnlyClients(ctx context.Context) (bool, error)
	SetOnlyClients(ctx context.Context, only bool) error
	// MaySend reports whether a server of that key may send now.
	MaySend(ctx context.Context, publicKey string) (bool, error)
	// Known reports whether a server of that key has sent before or is
	// authorized.
	Known(ctx context.Context, publicKey string) (bool, error)
	// Sources lists the sending servers of the transfers that username (empty:
	// any user) has authorized and that have a Seq below before (0: all), the
	// server of the newest transfer first. Unfinished transfers are counted as
	// inactive.
	Sources(ctx context.Context, username string, before int64, limit int) ([]transfer.Source, error)
}

// admit registers a connection until release, and returns an error if its key
// may not send. closeUnauthorized closes registered connections.
func (r *Receiver) admit(ctx context.Context, conn *wire.Conn) (release func(), err error) {
	r.mu.Lock()
	r.conns[conn] = struct{}{}
	r.mu.Unlock()
	release = func() {
		r.mu.Lock()
		delete(r.conns, conn)
		r.mu.Unlock()
	}
	// After the registration, so that closeUnauthorized finds the connection if
	// the setting changes meanwhile.
	ok, err := r.o.Clients.MaySend(ctx, conn.PeerKey())
	if err == nil && !ok {
		r.quiet.warn("a server that is not among the authorized clients wanted to send", "publicKey", conn.PeerKey(), "from", conn.RemoteAddr().String())
		err = api.Errorf(api.CodeForbidden, "this server takes transfers from authorized servers only; its operator must add the public key %s with recv.addAuthorizedClient", conn.PeerKey())
		refused := loginOf(conn, "", "")
		refused.Err = err
		r.o.Logins(ctx, refused)
	}
	return release, err
}

// closeUnauthorized closes the connections of servers that may no longer send.
func (r *Receiver) closeUnauthorized(ctx context.Context) error {
	r.mu.Lock()
	open := make([]*wire.Conn, 0, len(r.conns))
	for conn := range r.conns {
		open = append(open, conn)
	}
	r.mu.Unlock()
	for _, conn := range open {
		ok, err := r.o.Clients.MaySend(ctx, conn.PeerKey())
		if err != nil {
			return err
		}
		if !ok {
			r.quiet.warn("the connection of a server that may not send any more was ended", "publicKey", conn.PeerKey())
			conn.Abort()
		}
	}
	return nil
}

// AuthorizedClients lists the authorized servers, newest first; only reports
// whether no other server may send. next is the before of the next page, 0 at
// the end.
func (r *Receiver) AuthorizedClients(ctx context.Context, before int64, limit int) (list []transfer.AuthorizedClient, only bool, next int64, err error) {
	if only, err = r.o.Clients.OnlyClients(ctx); err != nil {
		return nil, false, 0, err
	}
	list, err = r.o.Clients.Clients(ctx, before, limit+1)
	list, next = api.CutPage(list, limit, func(c transfer.AuthorizedClient) int64 { return c.Seq })
	return list, only, next, err
}

// AddAuthorizedClient authorizes a server to send. If it is authorized already,
// made is false and its description does not change. Codes: invalid.
func (r *Receiver) AddAuthorizedClient(ctx context.Context, publicKey, description string) (c transfer.AuthorizedClient, made bool, err error) {
	if !wire.ValidKey(publicKey) {
		return c, false, api.InvalidField("publicKey", "publicKey",
			"publicKey is no public key: it is 43 letters, digits, - and _, as the sending server's getServerInfo shows it")
	}
	c = transfer.AuthorizedClient{PublicKey: publicKey, Description: description, CreateTime: api.Now()}
	api.Announce(ctx, api.Result[transfer.AuthorizedClient]{Value: c})
	made, err = r.o.Clients.AddClient(ctx, &c)
	return c, made, err
}

// RemoveAuthorizedClient withdraws the authorization of a server. If only
// authorized servers may send, its connections are closed. Codes: notFound.
func (r *Receiver) RemoveAuthorizedClient(ctx context.Context, publicKey string) error {
	found, err := r.o.Clients.RemoveClient(ctx, publicKey)
	if err != nil {
		return err
	}
	if !found {
		return api.Errorf(api.CodeNotFound, "there is no authorized client %s; recv.getAuthorizedClients lists them", api.Quote(publicKey))
	}
	return r.closeUnauthorized(context.WithoutCancel(ctx))
}

// AllowOnlyAuthorizedClients sets whether only authorized servers may send. If
// so, the connections of others are closed.
func (r *Receiver) AllowOnlyAuthorizedClients(ctx context.Context, only bool) error {
	if err := r.o.Clients.SetOnlyClients(ctx, only); err != nil {
		return err
	}
	return r.closeUnauthorized(context.WithoutCancel(ctx))
}

// Sources lists the sending servers of the transfers that username (empty: any
// user) has authorized, with live numbers; next is the before of the next page,
// 0 at the end.
func (r *Receiver) Sources(ctx context.Context, username string, before int64, limit int) (list []transfer.Source, next int64, err error) {
	if list, err = r.o.Clients.Sources(ctx, username, before, limit+1); err != nil {
		return nil, 0, err
	}
	list, next = api.CutPage(list, limit, func(s transfer.Source) int64 { return s.Seq })
	byKey := make(map[string]*transfer.Source, len(list))
	for i := range list {
		s := &list[i]
		if s.Micros > 0 {
			s.AveRecvRate = float64(s.Bytes) * 8000 / float64(s.Micros) // bits each ms
		}
		byKey[s.SourcePublicKey] = s
	}
	unfinished, err := r.o.Store.Receiving(ctx)
	if err != nil {
		return nil, 0, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for conn := range r.conns {
		if s := byKey[conn.PeerKey()]; s != nil {
			s.Connected = true
		}
	}
	for i := range unfinished {
		row := &unfinished[i]
		s, in := byKey[row.SourcePublicKey], r.live[transfer.RecvSubject(row.SourcePublicKey, row.TransferID)]
		if s == nil || in == nil || !row.Processing || username != "" && row.Username != username {
			continue
		}
		s.AveRecvRateWindow += in.meter.Rate()
		s.LastRecvTime = max(s.LastRecvTime, api.Time(in.lastRecv.Load()))
		if len(in.slot) > 0 && s.InactiveTransferCount > 0 {
			s.ActiveTransferCount++
			s.InactiveTransferCount--
		}
	}
	return list, next, nil
}
