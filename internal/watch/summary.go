package watch

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"jetstream/internal/client"
	"jetstream/internal/terminal"
	"jetstream/internal/transfer"
)

const (
	// maxSkipped is how many skipped entries are looked at, and shownSkipped how many
	// of them are named.
	maxSkipped, shownSkipped = 1000, 3
)

// summary says what became of a complete transfer: the first line what was sent, the
// others what was not, each only if there is something to say.
func (w *Watcher) summary(ctx context.Context, t transfer.Transfer, took time.Duration, to string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "complete: %s, %s in %s", files(t.FilesSent), Bytes(t.BytesSent), took.Round(10*time.Millisecond))
	if rate := averageRate(t.BytesSent, took); rate > 0 {
		fmt.Fprintf(&b, " (%s)", Rate(rate))
	}
	fmt.Fprintf(&b, " to %s, transfer %s\n", terminal.Printable(to), t.TransferID)
	if t.FilesUnchanged > 0 {
		fmt.Fprintf(&b, "  unchanged: %s, %s\n", files(t.FilesUnchanged), Bytes(t.BytesUnchanged))
	}
	if t.BytesSaved > 0 && t.BytesSent > 0 {
		fmt.Fprintf(&b, "  compression saved %s of %s\n", Bytes(t.BytesSaved), Bytes(t.BytesSent))
	}
	if t.Mirror {
		fmt.Fprintf(&b, "  removed there: %s\n", files(t.RemovedFiles))
	}
	if t.DeleteSource {
		fmt.Fprintf(&b, "  removed here: %s\n", files(t.SourcesDeleted))
	}
	if n := w.skippedEntries(ctx, &t); n > 0 {
		fmt.Fprintf(&b, "  skipped: %d, which cannot be sent\n", n)
		b.WriteString(w.skipped(ctx, &t, n))
	}
	return b.String()
}

// averageRate is in kbit/s.
func averageRate(bytes int64, took time.Duration) float64 {
	if took <= 0 {
		return 0
	}
	return float64(bytes) * 8 / 1000 / took.Seconds()
}

// skippedEntries returns how many entries the manifest of t leaves out; 0 also if that
// is not known.
func (w *Watcher) skippedEntries(ctx context.Context, t *transfer.Transfer) int64 {
	if w.Get != nil {
		return 0
	}
	if w.manifest.ManifestID != t.ManifestID {
		m, err := client.As[transfer.Manifest](w.Conn.Call(ctx, "send.getManifest", map[string]any{"manifestId": t.ManifestID}))
		if err != nil {
			return 0
		}
		w.manifest = m
	}
	if w.manifest.SkippedEntries == nil {
		return 0
	}
	return *w.manifest.SkippedEntries
}

// skipped lists the reasons why n entries were left out, and some of each.
func (w *Watcher) skipped(ctx context.Context, t *transfer.Transfer, n int64) string {
	type entry struct {
		Source string `json:"srcPath"`
		Reason string `json:"reason"`
	}
	page, err := client.As[struct {
		Files []entry `json:"files"`
	}](w.Conn.Call(ctx, "send.getManifestFiles", map[string]any{"manifestId": t.ManifestID, "skipped": true, "limit": maxSkipped}))
	if err != nil {
		return ""
	}
	by := map[string][]string{}
	var reasons []string
	for _, f := range page.Files {
		if by[f.Reason] == nil {
			reasons = append(reasons, f.Reason)
		}
		by[f.Reason] = append(by[f.Reason], f.Source)
	}
	slices.SortStableFunc(reasons, func(a, b string) int { return len(by[b]) - len(by[a]) })
	var b strings.Builder
	for _, reason := range reasons {
		names := by[reason]
		fmt.Fprintf(&b, "    %d: %s: ", len(names), terminal.Printable(reason))
		for i, name := range names[:min(len(names), shownSkipped)] {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(terminal.Printable(name))
		}
		if len(names) > shownSkipped {
			b.WriteString(", ...")
		}
		b.WriteByte('\n')
	}
	if more := n - int64(len(page.Files)); more > 0 {
		fmt.Fprintf(&b, "    and %d more\n", more)
	}
	return b.String()
}

func files(n int64) string {
	if n == 1 {
		return "1 file"
	}
	return fmt.Sprintf("%d files", n)
}
