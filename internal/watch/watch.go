// Package watch follows what jetstream send and the demonstration have begun
// through a server until it has ended, and shows how it gets on.
package watch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/client"
	"jetstream/internal/terminal"
	"jetstream/internal/transfer"
)

const (
	// stepSeconds bounds one look at the progress, in seconds.
	stepSeconds = 1
	// redraw is how often the line on a terminal is drawn.
	redraw = 150 * time.Millisecond
	// absence is how long the local server may be away (a restart) before we
	// stop watching; the transfer itself does not depend on us.
	absence = 30 * time.Second
	// farewell bounds what is still said to the server after an interrupt.
	farewell = 10 * time.Second
)

// Watcher follows one transfer and what comes before it.
type Watcher struct {
	Conn *client.Client
	// Stdout gets the last line, Stderr the progress.
	Stdout, Stderr io.Writer
	// Label names what is sent.
	Label string
	// JSON writes one object a line to Stdout, and nothing to Stderr.
	JSON bool
	// OnInterrupt decides what becomes of the transfer when ctx has ended. With GoOn
	// it returns the context to go on with. nil: the transfer is cancelled.
	OnInterrupt func(ctx context.Context) (Choice, context.Context)
	// Get returns the present state of a transfer that this server does not send;
	// nil: it does.
	Get func(ctx context.Context) (transfer.Transfer, error)

	manifest transfer.Manifest // of the transfer, as far as it is known
}

// Choice is what becomes of a transfer whose watcher is interrupted.
type Choice int

// The choices.
const (
	Cancel Choice = iota // end it
	Leave                // leave it to the server
	GoOn                 // go on watching
)

// display shows how a transfer gets on.
type display interface {
	show(t transfer.Transfer)
	// end leaves what is shown as it is.
	end()
}

// Manifest waits until the server has listed the files of m. An error says why
// it could not.
func (w *Watcher) Manifest(ctx context.Context, m transfer.Manifest) (transfer.Manifest, error) {
	for m.Processing {
		next, err := client.As[transfer.Manifest](w.Conn.Call(ctx, "send.waitForManifest",
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
	w.manifest = m
	if w.JSON {
		_ = writeObject(w.Stdout, ManifestObject{objectOf("manifest"), m.ManifestID, m.TotalFiles, m.TotalSize, m.SkippedEntries})
	}
	return m, nil
}

// Detach prints the id of a transfer that is left to the server.
func (w *Watcher) Detach(t transfer.Transfer) error {
	if w.JSON {
		(&objects{out: w.Stdout}).show(t)
		return nil
	}
	_, err := fmt.Fprintln(w.Stdout, t.TransferID)
	return err
}

// Transfer shows the progress of t until it has ended or ctx
// does: see OnInterrupt. to says where to, for people.
func (w *Watcher) Transfer(ctx context.Context, t transfer.Transfer, to string) error {
	begin := time.Now()
	var shown display = &objects{out: w.Stdout}
	lively := false
	if !w.JSON {
		p := newProgress(w.Stderr, w.Label)
		shown, lively = p, p.tty
	}
	defer func() { shown.end() }()
	seen := time.Now()
	for t.Processing || t.DeletingSources {
		shown.show(t)
		next, err := w.next(ctx, t, lively)
		switch {
		case ctx.Err() != nil && !t.Processing:
			shown.end()
			return fmt.Errorf("interrupted: transfer %s is complete, and the server goes on removing its sources", t.TransferID)
		case ctx.Err() != nil:
			shown.end()
			if ctx, err = w.interrupt(ctx, t); err != nil {
				return err
			}
		case err == nil:
			t, seen = next, time.Now()
		case !away(err) || time.Since(seen) > absence:
			shown.end()
			return fmt.Errorf("transfer %s cannot be watched any more, but goes on: %w", t.TransferID, err)
		default:
			wait(ctx, time.Second) // an interrupt meanwhile is met by the next round
		}
	}
	shown.show(t)
	shown.end()
	if w.JSON {
		if err := (&objects{out: w.Stdout}).result(t, w.skippedEntries(ctx, &t)); err != nil {
			return err
		}
	}
	if t.Status != transfer.StatusComplete {
		return fmt.Errorf("the transfer ended with status %s: %s", t.Status, cmp.Or(t.ErrorMessage, "somebody ended it"))
	}
	if w.JSON {
		return nil
	}
	if t.ErrorMessage != "" {
		_, _ = fmt.Fprintln(w.Stderr, "note:", terminal.Printable(t.ErrorMessage))
	}
	if t.SourcesKept > 0 {
		_, _ = fmt.Fprintf(w.Stderr, "note: %s of %d left at the source: %s\n", files(t.SourcesKept), t.SourcesKept+t.SourcesDeleted, terminal.Printable(t.SourcesMessage))
	}
	took := time.Since(begin)
	if t.StartTime != 0 && t.EndTime != 0 {
		took = t.EndTime.Std().Sub(t.StartTime.Std())
	}
	_, err := io.WriteString(w.Stdout, w.summary(ctx, t, took, to))
	return err
}

// interrupt does what was chosen for t now that ctx has ended. It returns the context
// to go on with, or an error that ends the watching.
func (w *Watcher) interrupt(ctx context.Context, t transfer.Transfer) (context.Context, error) {
	choice, next := Cancel, ctx
	if w.OnInterrupt != nil {
		choice, next = w.OnInterrupt(ctx)
	}
	switch choice {
	case GoOn:
		return next, nil
	case Leave:
		return ctx, fmt.Errorf("interrupted: transfer %s goes on; `jetstream transfers watch %s` shows it again", t.TransferID, t.TransferID)
	}
	return ctx, w.Interrupted(ctx, "send.cancelTransfer", map[string]any{"transferId": t.TransferID}, "the transfer was cancelled")
}

// next returns the transfer when it has ended, or after one step: a short one
// while a bar moves.
func (w *Watcher) next(ctx context.Context, t transfer.Transfer, lively bool) (transfer.Transfer, error) {
	if w.Get != nil {
		step := stepSeconds * time.Second
		if lively {
			step = redraw
		}
		wait(ctx, step)
		return w.Get(ctx)
	}
	if lively {
		wait(ctx, redraw)
		return client.As[transfer.Transfer](w.Conn.Call(ctx, "send.getTransfer", map[string]any{"transferId": t.TransferID}))
	}
	return client.As[transfer.Transfer](w.Conn.Call(ctx, "send.waitForTransfer",
		map[string]any{"transferId": t.TransferID, "timeoutSeconds": stepSeconds}))
}

// Interrupted carries out the command that takes back what was begun and says
// how that went.
func (w *Watcher) Interrupted(ctx context.Context, command string, params map[string]any, done string) error {
	why := "interrupted"
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		why = context.Cause(ctx).Error()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	if _, err := w.Conn.Call(ctx, command, params); err != nil {
		return fmt.Errorf("%s, but %s failed: %s", why, strings.TrimPrefix(command, "send."), api.ErrorOf(err).Message)
	}
	return fmt.Errorf("%s: %s", why, done)
}

// away reports whether err may pass when the server has come back.
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
