package main

import (
	"cmp"
	"context"

	"jetstream/internal/api"
	"jetstream/internal/client"
	"jetstream/internal/terminal"
	"jetstream/internal/transfer"
	"jetstream/internal/watch"
)

// transferFlags are the arguments of commands about one transfer.
type transferFlags struct {
	callFlags `group:"Login:"`
	ID        string `arg:"" name:"transfer" complete:"transfers" help:"Id of the transfer, its beginning or end, or last."`
}

// find connects to the server and returns the transfer that is meant. The caller
// closes conn.
func (f *transferFlags) find(ctx context.Context, p *program) (conn *client.Client, t transferRow, err error) {
	if conn, _, err = f.connect(ctx, p); err != nil {
		return nil, t, err
	}
	if t, err = findTransfer(ctx, conn, f.ID); err != nil {
		conn.Close()
		return nil, t, err
	}
	return conn, t, nil
}

type transfersWatchCmd struct {
	transferFlags
	jsonFlag
}

// Help says what an interrupt does.
func (*transfersWatchCmd) Help() string {
	return "An interrupt (Ctrl-C) ends the watching; the transfer goes on. Exit status 0 means that it is complete."
}

// Run shows the progress.
func (c *transfersWatchCmd) Run(ctx context.Context, p *program) error {
	return c.report(p, c.watch(ctx, p))
}

func (c *transfersWatchCmd) watch(ctx context.Context, p *program) error {
	conn, t, err := c.find(ctx, p)
	if err != nil {
		return err
	}
	defer conn.Close()
	w := &watch.Watcher{Conn: conn, Stdout: p.Stdout, Stderr: p.Stderr, Label: shortID(t.id), JSON: c.JSON, OnInterrupt: leave}
	if t.sent {
		sent, err := client.As[transfer.Transfer](conn.Call(ctx, "send.getTransfer", map[string]any{"transferId": t.id}))
		if err != nil {
			return err
		}
		return w.Transfer(ctx, sent, api.HostText(sent.DestinationAddress)+":"+sent.DestinationPath)
	}
	w.Get = func(ctx context.Context) (transfer.Transfer, error) {
		r, err := client.As[transfer.RecvTransfer](conn.Call(ctx, "recv.getTransfer", map[string]any{"transferId": t.id}))
		x := transfer.Transfer{
			TransferID: r.TransferID, Status: r.Status, Processing: r.Processing, ErrorMessage: r.ErrorMessage, StartTime: r.StartTime,
			EndTime: r.EndTime, Rate: r.Rate, EtaSeconds: transfer.Eta(r.TotalSize-r.BytesReceived, r.Rate),
			TotalFiles: r.TotalFiles, TotalBytes: r.TotalSize, FilesSent: r.FilesReceived, BytesSent: r.BytesReceived,
			Params: transfer.Params{DestinationPath: r.DestinationPath},
		}
		if r.Status == transfer.StatusComplete {
			x.FilesUnchanged, x.BytesUnchanged = r.TotalFiles-r.FilesReceived, r.TotalSize-r.BytesReceived
		}
		return x, err
	}
	received, err := w.Get(ctx)
	if err != nil {
		return err
	}
	return w.Transfer(ctx, received, received.DestinationPath)
}

// steerFlags are the arguments of commands that change a transfer under way.
type steerFlags struct {
	callFlags `group:"Login:"`
	ID        string `arg:"" name:"transfer" complete:"transfers under way" help:"Id of the transfer, its beginning or end, or last."`
}

type transfersCancelCmd struct{ steerFlags }

// Run cancels a transfer of either direction.
func (c *transfersCancelCmd) Run(ctx context.Context, p *program) error {
	return c.steer(ctx, p, "send.cancelTransfer", "recv.cancelTransfer", "cancelled")
}

type transfersSuspendCmd struct{ steerFlags }

// Run suspends.
func (c *transfersSuspendCmd) Run(ctx context.Context, p *program) error {
	return c.steer(ctx, p, "send.suspendTransfer", "", "suspended until jetstream transfers resume")
}

type transfersResumeCmd struct{ steerFlags }

// Run resumes.
func (c *transfersResumeCmd) Run(ctx context.Context, p *program) error {
	return c.steer(ctx, p, "send.resumeTransfer", "", "resumed")
}

// steer calls the command for the transfer, and says what it is now.
func (f *steerFlags) steer(ctx context.Context, p *program, ofSent, ofReceived, now string) error {
	conn, t, err := (&transferFlags{f.callFlags, f.ID}).find(ctx, p)
	if err != nil {
		return err
	}
	defer conn.Close()
	command := ofSent
	if !t.sent {
		if command = ofReceived; command == "" {
			return api.Errorf(api.CodeConflict, "transfer %s is received here: only its sender can do that (%s)", t.id, cmp.Or(t.peer, "unknown"))
		}
	}
	if _, err := conn.Call(ctx, command, map[string]any{"transferId": t.id}); err != nil {
		return err
	}
	_, err = terminal.Fprintf(p.Stdout, "transfer %s %s is %s\n", t.id, t.peer, now)
	return err
}
