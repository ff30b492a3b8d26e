package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"jetstream/internal/connlimit"
	"jetstream/middleware"
)

const (
	// readHeaderTimeout and idleTimeout bound what a silent client costs.
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	// finishTime is what requests get to finish by themselves when the server
	// stops, before their contexts end; stopTime what they get after that.
	finishTime = 2 * time.Second
	stopTime   = 5 * time.Second
)

// Serve answers requests from ln until ctx ends, lets those under way finish,
// and returns when all are done. It closes ln.
func (g *Gateway) Serve(ctx context.Context, ln net.Listener) error {
	srv := g.httpServer()
	limitConnections(srv, connlimit.New(g.o.MaxConnections, g.log.With("listener", "api")))
	return serve(ctx, srv, ln)
}

// ServeSocket is Serve for the control socket: whoever connects to ln needs no
// login. The remote addresses of its connections tell the users of their peers.
func (g *Gateway) ServeSocket(ctx context.Context, ln net.Listener) error {
	srv := g.httpServer()
	limitConnections(srv, connlimit.New(maxSocketConnections, g.log.With("listener", "control socket")))
	limited := srv.ConnContext
	srv.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		return middleware.WithPeer(limited(ctx, conn), conn.RemoteAddr().String())
	}
	return serve(ctx, srv, ln)
}

func (g *Gateway) httpServer() *http.Server {
	return &http.Server{
		Handler:           withDeadlines(g),
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
	}
}

func serve(ctx context.Context, srv *http.Server, ln net.Listener) error {
	base, interrupt := context.WithCancel(context.WithoutCancel(ctx))
	defer interrupt()
	srv.BaseContext = func(net.Listener) context.Context { return base }
	group, ending := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		<-ending.Done() // ctx ended, or srv.Serve failed
		short, cancel := context.WithTimeout(context.Background(), finishTime)
		defer cancel()
		if srv.Shutdown(short) == nil {
			return nil
		}
		interrupt() // wait commands and streams answer now
		long, cancel := context.WithTimeout(context.Background(), stopTime)
		defer cancel()
		if srv.Shutdown(long) == nil {
			return nil
		}
		return srv.Close()
	})
	return group.Wait()
}
