package gateway

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"net/http"

	"jetstream/internal/connlimit"
)

const (
	// DefaultMaxConnections is how many connections are open at a time.
	DefaultMaxConnections = 4096
	// maxSocketConnections is how many of them the control socket may have
	// beside these.
	maxSocketConnections = 64
)

// connLimiter applies a connection limit to an http.Server. A connection is
// pinned from when it is known who asks, and what in full, until it is idle
// again. Whoever is evicted before only has to ask again.
type connLimiter struct{ *connlimit.Limiter }

func newConnLimiter(limit int, listener string, log *slog.Logger) connLimiter {
	return connLimiter{connlimit.New(cmp.Or(limit, DefaultMaxConnections), log.With("listener", listener))}
}

type connKey struct{}

// connContext is the server's ConnContext: it lets requests pin their
// connection.
func (l connLimiter) connContext(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, func() { l.Pin(conn) })
}

// connState is the server's ConnState.
func (l connLimiter) connState(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		l.Track(conn)
	case http.StateActive:
		l.Touch(conn)
	case http.StateIdle:
		l.Unpin(conn)
	case http.StateClosed, http.StateHijacked:
		l.Untrack(conn)
	}
}

// pin keeps the connection of a request from being evicted until it is idle.
func (connLimiter) pin(ctx context.Context) {
	if pin, ok := ctx.Value(connKey{}).(func()); ok { // else the request is not from Serve
		pin()
	}
}
