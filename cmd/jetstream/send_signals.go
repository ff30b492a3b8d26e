package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"jetstream/internal/terminal"
	"jetstream/internal/watch"
)

// interrupts decides what becomes of a transfer when the command that watches it gets a
// signal.
type interrupts struct {
	p     *program
	hung  context.Context //nolint:containedctx // ends when the terminal is closed; nil: nohup has said that this ends nothing
	stops []context.CancelFunc
}

// newInterrupts waits for signals until end. A closed terminal ends nothing from now
// on but what watching returns.
func newInterrupts(p *program) *interrupts {
	i := &interrupts{p: p}
	if !signal.Ignored(syscall.SIGHUP) {
		i.hung = i.notify(context.Background(), syscall.SIGHUP)
	}
	return i
}

func (i *interrupts) notify(ctx context.Context, signals ...os.Signal) context.Context {
	ctx, stop := signal.NotifyContext(ctx, signals...)
	i.stops = append(i.stops, stop)
	return ctx
}

func (i *interrupts) end() {
	for _, stop := range i.stops {
		stop()
	}
}

// watching returns a context that ends with ctx, and when the terminal is closed or was.
func (i *interrupts) watching(ctx context.Context) context.Context {
	if i.hung == nil {
		return ctx
	}
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(i.hung, func() { cancel(context.Cause(i.hung)) })
	i.stops = append(i.stops, func() { stop(); cancel(nil) })
	return ctx
}

// again is ctx, which has ended, from now on: it ends by the next signal, and when ctx
// would have ended by itself.
func (i *interrupts) again(ctx context.Context) context.Context {
	next := i.watching(i.notify(context.WithoutCancel(ctx), os.Interrupt, syscall.SIGTERM))
	if end, ok := ctx.Deadline(); ok {
		var stop context.CancelFunc
		next, stop = context.WithDeadlineCause(next, end, errTimeout)
		i.stops = append(i.stops, stop)
	}
	return next
}

// errTimeout ends a command that had a time limit and was interrupted in between.
var errTimeout = errors.New("not complete within --timeout")

// choose is for watch.Watcher.OnInterrupt: an interrupt asks where there is a terminal;
// a closed one leaves the transfer to the server, all else cancels it.
func (i *interrupts) choose(ctx context.Context) (watch.Choice, context.Context) {
	_, asks := i.p.terminal()
	asks = asks && terminal.IsTerminal(i.p.Stderr)
	switch {
	case endedBy(ctx, syscall.SIGHUP):
		return watch.Leave, nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded) || !endedBy(ctx, os.Interrupt) || !asks:
		return watch.Cancel, nil
	}
	next := i.again(ctx)
	for {
		answer, err := i.p.askLine(next, "Interrupted: (c)ancel the transfer, (l)eave it running, or (g)o on? [g]")
		if err != nil { // another signal: a second interrupt means what it says
			if endedBy(next, syscall.SIGHUP) {
				return watch.Leave, nil
			}
			return watch.Cancel, nil
		}
		switch strings.ToLower(answer) {
		case "c", "cancel":
			return watch.Cancel, nil
		case "l", "leave":
			return watch.Leave, nil
		case "", "g", "go on":
			return watch.GoOn, next
		}
	}
}

// leave is for watch.Watcher.OnInterrupt: the transfer goes on, whatever ends ctx.
func leave(ctx context.Context) (watch.Choice, context.Context) { return watch.Leave, ctx }

// endedBy reports whether ctx was ended by a signal; see signal.NotifyContext.
func endedBy(ctx context.Context, s os.Signal) bool {
	cause := context.Cause(ctx)
	return cause != nil && cause.Error() == s.String()+" signal received"
}
