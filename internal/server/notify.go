package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"
)

// notifier tells the service manager, systemd, about the state of the server:
// datagrams to the socket that NOTIFY_SOCKET names, as sd_notify(3) describes.
// A nil *notifier tells nobody. Safe for concurrent use.
type notifier struct {
	address *net.UnixAddr
	log     *slog.Logger
	failed  sync.Once // a failure is logged once
}

// newNotifier returns the notifier for a socket: a path, or a name of the abstract
// namespace with a leading @. It returns nil for "".
func newNotifier(socket string, log *slog.Logger) *notifier {
	if socket == "" {
		return nil
	}
	return &notifier{address: &net.UnixAddr{Name: socket, Net: "unixgram"}, log: log}
}

// send sends assignments such as READY=1, in one datagram. A server whose service
// manager does not listen goes on.
func (n *notifier) send(assignments ...string) {
	if n == nil {
		return
	}
	conn, err := net.DialUnix(n.address.Net, nil, n.address)
	if err == nil {
		// The manager may be slow to read; its queue being full must not stop the server.
		_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
		_, err = conn.Write([]byte(strings.Join(assignments, "\n")))
		_ = conn.Close()
	}
	if err != nil {
		n.failed.Do(func() {
			n.log.Error("the service manager cannot be notified; it may end the server as not started", "notifySocket", n.address.Name, "error", err)
		})
	}
}

// ready announces that the server has started.
func (n *notifier) ready(status string) { n.send("READY=1", "STATUS="+status) }

// reloading announces a reload; the returned function announces its end.
func (n *notifier) reloading(status string) (done func()) {
	assignments := []string{"RELOADING=1"}
	if now := monotonic(); now > 0 {
		assignments = append(assignments, fmt.Sprintf("MONOTONIC_USEC=%d", now.Microseconds()))
	}
	n.send(assignments...)
	return func() { n.ready(status) }
}

// stopping announces that the server stops, which takes atMost.
func (n *notifier) stopping(atMost time.Duration) {
	n.send("STOPPING=1", "STATUS=Stopping; running scripts may finish", fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", atMost.Microseconds()))
}

// watch feeds the watchdog of the service manager at half its timeout until ctx
// ends, as long as check returns. What check returns does not count: a check that
// hangs for longer than patience ends the feeding, and nothing else does.
func (n *notifier) watch(ctx context.Context, timeout, patience time.Duration, check func(context.Context)) {
	if n == nil || timeout <= 0 {
		return
	}
	tick := time.NewTicker(timeout / 2)
	defer tick.Stop()
	ended := make(chan struct{})
	begin := func() time.Time {
		go func() {
			check(ctx)
			select {
			case ended <- struct{}{}:
			case <-ctx.Done():
			}
		}()
		return time.Now()
	}
	since, pending := begin(), true
	for {
		select {
		case <-ctx.Done():
			return
		case <-ended:
			pending = false
			continue
		case <-tick.C:
		}
		if pending && time.Since(since) > patience {
			n.log.Error("the server does not answer itself; the watchdog of the service manager is not fed", "for", time.Since(since).Round(time.Second))
			continue
		}
		n.send("WATCHDOG=1")
		if !pending {
			since, pending = begin(), true
		}
	}
}
