package main

import (
	"context"
	"fmt"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/internal/watch"
)

// followFlags are those of commands that make a transfer and follow it.
type followFlags struct {
	Detach             bool          `help:"Do not watch: print the id of the transfer and leave it to the server."`
	Timeout            time.Duration `placeholder:"DURATION" help:"Cancel the transfer if it has not ended within this time, such as 2h."`
	RemotePasswordFile string        `name:"remote-password-file" placeholder:"FILE" help:"File with the password of USER at the receiver, or with an API token of theirs there that may write; else it comes from JETSTREAM_REMOTE_PASSWORD or is asked for."`

	*interrupts `kong:"-"`
}

func (c *followFlags) check() error {
	if c.Timeout < 0 {
		return usagef("--timeout: %s is negative", c.Timeout)
	}
	return nil
}

// begin starts the time limit and looks out for signals, until end.
func (c *followFlags) begin(ctx context.Context, p *program) context.Context {
	c.interrupts = newInterrupts(p)
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, c.Timeout, fmt.Errorf("not complete after %s", c.Timeout))
		c.stops = append(c.stops, cancel)
	}
	return ctx
}

// follow watches a transfer to its end, unless Detach is set.
func (c *followFlags) follow(ctx context.Context, w *watch.Watcher, t transfer.Transfer, to transfer.Target) error {
	if c.Detach {
		return w.Detach(t)
	}
	return w.Transfer(c.watching(ctx), t, api.HostText(to.Host)+":"+to.Path)
}

func (c *followFlags) remotePassword(ctx context.Context, p *program, to transfer.Target) (string, error) {
	if c.RemotePasswordFile != "" {
		return readSecretFile("--remote-password-file", c.RemotePasswordFile)
	}
	if password := p.Getenv(remotePasswordVariable); password != "" {
		return password, nil
	}
	if _, ok := p.terminal(); !ok {
		return "", usagef("the password of %s at %s is missing and there is no terminal to ask on: set %s, or give --remote-password-file FILE",
			to.User, api.HostText(to.Host), remotePasswordVariable)
	}
	return p.ask(ctx, "Password of "+to.User+" at "+api.HostText(to.Host))
}
