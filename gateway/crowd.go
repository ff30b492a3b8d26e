package gateway

import (
	"container/list"
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// DefaultMaxConnections is how many connections are open at a time.
const DefaultMaxConnections = 4096

// crowd bounds the open connections of a server. Where there are too many, one
// gives way on which no command of somebody who is logged in is carried out: it
// costs its client no more than to ask again. So nobody can keep others out by
// connections that say nothing, or only half of what they want, or that do not
// read what they asked for. Safe for concurrent use.
type crowd struct {
	max int
	log *slog.Logger

	mu      sync.Mutex
	open    map[net.Conn]*guest
	waiting map[string]*list.List // of *guest that may give way, by host, the one that has waited longest first
	said    time.Time             // when the log was last told
}

// guest is an open connection.
type guest struct {
	conn net.Conn
	host string
	at   *list.Element // where it waits; nil while it is served
}

type connKey struct{}

// enter is the server's ConnContext: it lets requests tell of their connection.
func (c *crowd) enter(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}

// serves keeps the connection of a request from giving way until it is idle
// again: to be called once it is known who asks, and what in full.
func (c *crowd) serves(ctx context.Context) {
	conn, ok := ctx.Value(connKey{}).(net.Conn)
	if !ok {
		return // not from Serve
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if g := c.open[conn]; g != nil {
		c.serve(g)
	}
}

func newCrowd(most int, log *slog.Logger) *crowd {
	if most == 0 {
		most = DefaultMaxConnections
	}
	return &crowd{max: most, log: log, open: map[net.Conn]*guest{}, waiting: map[string]*list.List{}}
}

// changed is the server's ConnState.
func (c *crowd) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.open[conn]
	switch state {
	case http.StateNew:
		host, _, err := net.SplitHostPort(conn.RemoteAddr().String())
		if err != nil {
			host = conn.RemoteAddr().String()
		}
		g = &guest{conn: conn, host: host}
		c.open[conn] = g
		if len(c.open) > c.max {
			c.makeRoom(g)
			return
		}
		c.await(g)
	case http.StateIdle:
		if g != nil {
			c.await(g)
		}
	case http.StateActive:
		if g != nil && g.at != nil {
			c.waiting[g.host].MoveToBack(g.at) // it has said something
		}
	case http.StateClosed, http.StateHijacked:
		c.leave(conn)
	}
}

func (c *crowd) await(g *guest) {
	if g.at != nil {
		return
	}
	of := c.waiting[g.host]
	if of == nil {
		of = list.New()
		c.waiting[g.host] = of
	}
	g.at = of.PushBack(g)
}

func (c *crowd) serve(g *guest) {
	if g.at == nil {
		return
	}
	of := c.waiting[g.host]
	of.Remove(g.at)
	g.at = nil
	if of.Len() == 0 {
		delete(c.waiting, g.host)
	}
}

func (c *crowd) leave(conn net.Conn) {
	if g := c.open[conn]; g != nil {
		c.serve(g)
		delete(c.open, conn)
	}
}

// makeRoom ends a connection for a new one: of the host that has most of them
// waiting, the one that has waited longest. While all are served it is the new
// one that goes.
func (c *crowd) makeRoom(newcomer *guest) {
	var most *list.List
	for _, of := range c.waiting {
		if most == nil || of.Len() > most.Len() {
			most = of
		}
	}
	victim := newcomer
	if most != nil {
		victim = most.Front().Value.(*guest)
		c.await(newcomer)
	}
	c.leave(victim.conn)
	abort(victim.conn)
	if time.Since(c.said) > time.Minute {
		c.said = time.Now()
		c.log.Warn("too many connections to the control API; those that wait longest are closed", "limit", c.max, "from", newcomer.host)
	}
}

// abort closes a connection without waiting for its client, as TLS would to
// say good-bye.
func abort(conn net.Conn) {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	_ = conn.Close()
}
