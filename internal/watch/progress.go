package watch

import (
	"fmt"
	"io"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/schollz/progressbar/v3"

	"jetstream/internal/terminal"
	"jetstream/internal/transfer"
)

// progress shows how a transfer gets on: a bar on a terminal, elsewhere a line
// whenever another tenth is done or the news change.
type progress struct {
	out   io.Writer
	label string
	tty   bool

	bar       *progressbar.ProgressBar
	tenth     int64
	lastState string
}

// newProgress shows progress on out; label says what moves, made printable.
func newProgress(out io.Writer, label string) *progress {
	return &progress{out: out, label: terminal.Printable(label), tty: terminal.IsTerminal(out), tenth: -1}
}

// show shows t's present numbers.
func (g *progress) show(t transfer.Transfer) {
	news := ""
	if t.Processing && t.ErrorMessage != "" {
		news = "waiting: " + terminal.Printable(t.ErrorMessage)
	}
	if news != g.lastState {
		g.lastState = news
		if news != "" {
			g.line(news)
		}
	}
	if t.StartTime == 0 || t.TotalBytes <= 0 {
		return
	}
	done, files := t.BytesSent, t.FilesSent
	if t.Status == transfer.StatusComplete { // what was there already counts
		done, files = t.TotalBytes, t.TotalFiles
	}
	if g.tty {
		g.draw(t, done)
		return
	}
	tenth := done * 10 / t.TotalBytes
	if tenth <= g.tenth {
		return
	}
	g.tenth = tenth
	g.line(fmt.Sprintf("%s: %3d %%  %s of %s, %d of %d files", g.label, done*100/t.TotalBytes,
		Bytes(done), Bytes(t.TotalBytes), files, t.TotalFiles))
}

// draw moves the bar to the number of bytes that are done.
func (g *progress) draw(t transfer.Transfer, done int64) {
	if g.bar == nil {
		g.bar = progressbar.NewOptions64(t.TotalBytes,
			progressbar.OptionSetWriter(g.out), progressbar.OptionSetDescription(g.label),
			progressbar.OptionShowBytes(true), progressbar.OptionShowCount(), progressbar.OptionUseIECUnits(true), progressbar.OptionShowTotalBytes(true),
			progressbar.OptionSetWidth(30), progressbar.OptionThrottle(50*time.Millisecond),
			progressbar.OptionOnCompletion(func() { _, _ = fmt.Fprintln(g.out) }))
		if _ = g.bar.RenderBlank(); t.Processing {
			return // the next frame knows a rate
		}
	}
	_ = g.bar.Set64(min(done, t.TotalBytes)) // a bar that cannot be drawn harms nobody
}

// line prints one line, below the bar if there is one.
func (g *progress) line(text string) {
	if g.bar != nil && !g.bar.IsFinished() {
		_ = g.bar.Clear()
	}
	_, _ = fmt.Fprintln(g.out, text)
}

// end leaves the bar as it is and moves to the next line.
func (g *progress) end() {
	if g.bar != nil && !g.bar.IsFinished() {
		_ = g.bar.Exit()
		_, _ = fmt.Fprintln(g.out)
	}
}

// Bytes writes a number of bytes for people.
func Bytes(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }
