package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"jetstream/handlers"
	"jetstream/internal/api"
	"jetstream/internal/client"
	"jetstream/internal/transfer"
)

// sendCmd is jetstream send: destination, manifest and transfer through the
// local server, watched to the end.
type sendCmd struct {
	loginFlags         `group:"Login to the local server:"`
	RemotePasswordFile string   `name:"remote-password-file" placeholder:"FILE" help:"File with the password of USER at the receiver; else it comes from JETSTREAM_REMOTE_PASSWORD or is asked for."`
	Paths              []string `arg:"" name:"source" help:"Files and directories of this machine, inside your sandbox; last of all [USER@]HOST[:PORT]:/PATH. PORT is the receive port (8887)."`
}

const (
	// stepSeconds bounds one look at the progress, in seconds.
	stepSeconds = 1
	// frame is how often a bar on a terminal moves.
	frame = 150 * time.Millisecond
	// absence is how long the local server may be away (a restart) before we
	// stop watching; the transfer itself does not depend on us.
	absence = 30 * time.Second
	// farewell bounds what is still said to the server after an interrupt.
	farewell = 10 * time.Second
)

// Help describes the arguments beyond their one line each.
func (c *sendCmd) Help() string {
	return "`jetstream send ./reel bob@site-b:/incoming` puts the file or directory at /incoming/reel in bob's sandbox. " +
		"An interrupt (Ctrl-C) cancels the transfer. Exit status 0 means complete: every file verified and on disk there."
}

// Run sends and watches.
func (c *sendCmd) Run(ctx context.Context, p *program) error {
	if len(c.Paths) < 2 {
		return usagef("send needs a SOURCE and a destination: jetstream send SOURCE... [USER@]HOST[:PORT]:/PATH")
	}
	if slices.Contains(c.Paths, "") {
		return usagef("a SOURCE is empty")
	}
	last := len(c.Paths) - 1
	to, err := parseTarget(c.Paths[last])
	if err != nil {
		return usagef("%v", err)
	}
	conn, user, err := c.connect(ctx, p)
	if err != nil {
		return err
	}
	defer conn.Close()
	if to.User = cmp.Or(to.User, user); to.User == "" {
		return usagef("name the receiver's user: USER@%s", c.Paths[last])
	}
	info, err := client.As[handlers.ServerInfo](conn.Call(ctx, "getServerInfo", nil))
	if err != nil {
		return err
	}
	if info.Sandbox == "" {
		return api.Errorf(api.CodeUnauthorized, "the server at %s does not say where your files are: log in as a user with "+
			"--user NAME or JETSTREAM_API_TOKEN", conn.Address())
	}
	mappings, err := mapSources(c.Paths[:last], info.Sandbox)
	if err != nil {
		return err
	}
	password, err := c.remotePassword(ctx, p, to)
	if err != nil {
		return err
	}
	s := &sending{conn: conn, p: p, label: label(c.Paths[:last])}
	return s.run(ctx, mappings, to, password)
}

// label names what is sent; "." has a name too.
func label(sources []string) string {
	name := filepath.Base(sources[0])
	if abs, err := filepath.Abs(sources[0]); err == nil {
		name = filepath.Base(abs)
	}
	if len(sources) > 1 {
		name += fmt.Sprintf(" and %d more", len(sources)-1)
	}
	return name
}

func (c *sendCmd) remotePassword(ctx context.Context, p *program, to target) (string, error) {
	if c.RemotePasswordFile != "" {
		return readSecretFile("--remote-password-file", c.RemotePasswordFile)
	}
	if password := p.Getenv(remotePasswordVariable); password != "" {
		return password, nil
	}
	if _, ok := p.terminal(); !ok {
		return "", usagef("the password of %s at %s is missing and there is no terminal to ask on: set %s, or give --remote-password-file FILE",
			to.User, to.Host, remotePasswordVariable)
	}
	return p.ask(ctx, "Password of "+to.User+" at "+to.Host)
}

// sending is one transfer on its way through the local server.
type sending struct {
	conn  *client.Client
	p     *program
	label string
}

// run makes destination, manifest and transfer, and watches to the end. What
// an interrupt leaves behind half-made is taken back.
func (s *sending) run(ctx context.Context, mappings map[string]string, to target, password string) error {
	destination := map[string]any{"destinationAddress": to.Host}
	if to.Port != 0 {
		destination["destinationPort"] = to.Port
	}
	d, err := client.As[transfer.Destination](s.conn.Call(ctx, "send.createDestination", destination))
	if err != nil {
		return err
	}
	// Not to be interrupted: an answer that was not waited for would leave
	// behind something whose id nobody knows.
	m, err := client.As[transfer.Manifest](s.conn.Call(context.WithoutCancel(ctx), "send.createManifest",
		map[string]any{"fileMappings": mappings}))
	if err != nil {
		return err
	}
	if m, err = s.waitForManifest(ctx, m); err != nil {
		if ctx.Err() != nil {
			return s.interrupted(ctx, "send.deleteManifest", map[string]any{"manifestId": m.ManifestID}, "nothing was sent")
		}
		return err
	}
	t, err := client.As[transfer.Transfer](s.conn.Call(context.WithoutCancel(ctx), "send.createTransfer", map[string]any{
		"manifestId": m.ManifestID, "destinationId": d.DestinationID,
		"username": to.User, "password": password, "destinationPath": to.Path,
	}))
	if err != nil {
		return err
	}
	return s.watch(ctx, t, to)
}

func (s *sending) waitForManifest(ctx context.Context, m transfer.Manifest) (transfer.Manifest, error) {
	for m.Processing {
		next, err := client.As[transfer.Manifest](s.conn.Call(ctx, "send.waitForManifest",
			map[string]any{"manifestId": m.ManifestID, "timeoutSeconds": stepSeconds}))
		if err != nil {
			return m, err
		}
		m = next
	}
	if m.Status != transfer.StatusComplete {
		reason := "no reason given"
		if m.ErrorMessage != nil {
			reason = *m.ErrorMessage
		}
		return m, fmt.Errorf("the files could not be listed: %s", reason)
	}
	return m, nil
}

// watch shows the progress until the transfer has ended or ctx does.
func (s *sending) watch(ctx context.Context, t transfer.Transfer, to target) error {
	begin := time.Now()
	bar := newProgress(s.p.Stderr, s.label)
	defer bar.end()
	id := map[string]any{"transferId": t.TransferID}
	seen := time.Now()
	for t.Processing {
		bar.show(t)
		next, err := s.next(ctx, t, bar.tty)
		switch {
		case ctx.Err() != nil:
			bar.end()
			return s.interrupted(ctx, "send.cancelTransfer", id, "the transfer was cancelled")
		case err == nil:
			t, seen = next, time.Now()
		case !away(err) || time.Since(seen) > absence:
			bar.end()
			return fmt.Errorf("transfer %s cannot be watched any more, but goes on: %w", t.TransferID, err)
		default:
			wait(ctx, time.Second) // an interrupt meanwhile is met by the next round
		}
	}
	bar.show(t)
	bar.end()
	if t.Status != transfer.StatusComplete {
		return fmt.Errorf("the transfer ended with status %s: %s", t.Status, cmp.Or(t.ErrorMessage, "somebody ended it"))
	}
	_, err := fmt.Fprintf(s.p.Stdout, "complete: %s in %s to %s, transfer %s\n",
		amount(t), time.Since(begin).Round(10*time.Millisecond), printable(to.Host+":"+to.Path), t.TransferID)
	return err
}

// next returns the transfer when it has ended, or after one step: a short one
// while a bar moves.
func (s *sending) next(ctx context.Context, t transfer.Transfer, lively bool) (transfer.Transfer, error) {
	if lively {
		wait(ctx, frame)
		return client.As[transfer.Transfer](s.conn.Call(ctx, "send.getTransfer", map[string]any{"transferId": t.TransferID}))
	}
	return client.As[transfer.Transfer](s.conn.Call(ctx, "send.waitForTransfer",
		map[string]any{"transferId": t.TransferID, "timeoutSeconds": stepSeconds}))
}

func amount(t transfer.Transfer) string {
	files := fmt.Sprintf("%d files", t.TotalFiles)
	if t.TotalFiles == 1 {
		files = "1 file"
	}
	return files + ", " + humanize.IBytes(unsigned(t.TotalBytes))
}

// interrupted carries out the command that takes back what was begun and says
// how that went.
func (s *sending) interrupted(ctx context.Context, command string, params map[string]any, done string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	if _, err := s.conn.Call(ctx, command, params); err != nil {
		return fmt.Errorf("interrupted, but %s failed: %s", strings.TrimPrefix(command, "send."), api.ErrorOf(err).Message)
	}
	return errors.New("interrupted: " + done)
}

// away tells whether err may pass when the server has come back.
func away(err error) bool {
	e := api.ErrorOf(err)
	return e.Code == api.CodeUnavailable || e.Code == api.CodeTimeout || e.Code == api.CodeTooManyRequests
}

// wait waits for d or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
