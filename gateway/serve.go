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

// maxSocketConnections is how many connections the control socket may have,
// beside those of the port.
const maxSocketConnections = 64

// Serve answers requests from ln until ctx ends, lets those under way finish,
// and returns when all are done. It closes ln.
func (g *Gateway) Serve(ctx context.Context, ln net.Listener) error {
	return g.serve(ctx, ln, connlimit.New(g.o.MaxConnections, g.log.With("listener", "api")), g)
}

// ServeSocket is Serve for the control socket: whoever connects to ln needs no
// login. The remote addresses of its connections tell the users of their peers.
func (g *Gateway) ServeSocket(ctx context.Context, ln net.Listener) error {
	return g.serve(ctx, ln, connlimit.New(maxSocketConnections, g.log.With("listener", "control socket")),
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			g.ServeHTTP(w, r.WithContext(middleware.WithPeer(r.Context(), r.RemoteAddr)))
		}))
}

func (g *Gateway) serve(ctx context.Context, ln net.Listener, limiter *connlimit.Limiter, h http.Handler) error {
	base, interrupt := context.WithCancel(context.WithoutCancel(ctx))
	defer interrupt()
	srv := &http.Server{
		Handler:           withDeadlines(h),
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    64 << 10,
		BaseContext:       func(net.Listener) context.Context { return base },
		ErrorLog:          slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
	}
	limitConnections(srv, limiter)
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
