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
	// frame is how often a bar on a terminal moves.
	frame = 150 * time.Millisecond
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
	// Leave lets the transfer go on when ctx ends.
	Leave bool
	// Get returns the present state of a transfer that this server does not send;
	// nil: it does.
	Get func(ctx context.Context) (transfer.Transfer, error)
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
	return m, nil
}

// Transfer shows the progress of t until it has ended or ctx
// does, which cancels it unless Leave is set. to says where to, for people.
func (w *Watcher) Transfer(ctx context.Context, t transfer.Transfer, to string) error {
	begin := time.Now()
	bar := newProgress(w.Stderr, w.Label)
	defer bar.end()
	id := map[string]any{"transferId": t.TransferID}
	seen := time.Now()
	for t.Processing || t.DeletingSources {
		bar.show(t)
		next, err := w.next(ctx, t, bar.tty)
		switch {
		case ctx.Err() != nil && !t.Processing:
			bar.end()
			return fmt.Errorf("interrupted: transfer %s is complete, and the server goes on removing its sources", t.TransferID)
		case ctx.Err() != nil && w.Leave:
			bar.end()
			return fmt.Errorf("interrupted: transfer %s goes on", t.TransferID)
		case ctx.Err() != nil:
			bar.end()
			return w.Interrupted(ctx, "send.cancelTransfer", id, "the transfer was cancelled")
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
	if t.ErrorMessage != "" {
		_, _ = fmt.Fprintln(w.Stderr, "note:", terminal.Printable(t.ErrorMessage))
	}
	if t.SourcesKept > 0 {
		_, _ = fmt.Fprintf(w.Stderr, "note: %s of %d left at the source: %s\n", files(t.SourcesKept), t.SourcesKept+t.SourcesDeleted, terminal.Printable(t.SourcesMessage))
	}
	_, err := fmt.Fprintf(w.Stdout, "complete: %s in %s to %s, transfer %s\n",
		amount(t), time.Since(begin).Round(10*time.Millisecond), terminal.Printable(to), t.TransferID)
	return err
}

// next returns the transfer when it has ended, or after one step: a short one
// while a bar moves.
func (w *Watcher) next(ctx context.Context, t transfer.Transfer, lively bool) (transfer.Transfer, error) {
	if w.Get != nil {
		step := stepSeconds * time.Second
		if lively {
			step = frame
		}
		wait(ctx, step)
		return w.Get(ctx)
	}
	if lively {
		wait(ctx, frame)
		return client.As[transfer.Transfer](w.Conn.Call(ctx, "send.getTransfer", map[string]any{"transferId": t.TransferID}))
	}
	return client.As[transfer.Transfer](w.Conn.Call(ctx, "send.waitForTransfer",
		map[string]any{"transferId": t.TransferID, "timeoutSeconds": stepSeconds}))
}

// amount says what a complete transfer has sent, what was left as it was there, and what
// was removed.
func amount(t transfer.Transfer) string {
	text := sentAmount(t)
	if t.RemovedFiles > 0 {
		text += ", " + files(t.RemovedFiles) + " removed"
	}
	if t.DeleteSource {
		text += fmt.Sprintf(" (%s removed here)", files(t.SourcesDeleted))
	}
	return text
}

func sentAmount(t transfer.Transfer) string {
	if left := t.TotalFiles - t.FilesSent; left > 0 {
		return fmt.Sprintf("%s, %s (%s left as there)", files(t.FilesSent), Bytes(t.BytesSent), files(left))
	}
	return files(t.TotalFiles) + ", " + Bytes(t.TotalBytes)
}

func files(n int64) string {
	if n == 1 {
		return "1 file"
	}
	return fmt.Sprintf("%d files", n)
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
