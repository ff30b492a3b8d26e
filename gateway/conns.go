package gateway

import (
	"context"
	"net"
	"net/http"

	"jetstream/internal/connlimit"
)

const (
	// defaultMaxConnections is how many connections of the API port are open at a
	// time, and maxSocketConnections how many of the control socket.
	defaultMaxConnections = 4096
	maxSocketConnections  = 64
)

// limitedConn is a connection of an http.Server and what limits their number. It
// is in the context of the connection's requests.
type limitedConn struct {
	conn    net.Conn
	limiter *connlimit.Limiter
}

type connKey struct{}

// limitConnections makes srv track its connections in limiter.
func limitConnections(srv *http.Server, limiter *connlimit.Limiter) {
	srv.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, limitedConn{conn, limiter})
	}
	srv.ConnState = func(conn net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			limiter.Track(conn)
		case http.StateActive:
			limiter.Touch(conn)
		case http.StateIdle:
			limiter.Unpin(conn)
		case http.StateClosed, http.StateHijacked:
			limiter.Untrack(conn)
		}
	}
}

// pinConnection keeps the connection of a request from being evicted until it is
// idle again. It is for requests of which it is known who asks, and what in full;
// whoever is evicted before only has to ask again.
func pinConnection(ctx context.Context) {
	if c, ok := ctx.Value(connKey{}).(limitedConn); ok { // else the request is not from Serve
		c.limiter.Pin(c.conn)
	}
}
