package watch

import (
	"fmt"
	"io"
	"strings"
	"time"

	"jetstream/internal/terminal"
	"jetstream/internal/transfer"
)

// progress shows people how a transfer gets on: by a line that is drawn again and again
// on a terminal, elsewhere by a line whenever another tenth is done. News have a line of
// their own.
type progress struct {
	out   io.Writer
	label string
	tty   bool

	line  statusLine
	tenth int64
	news  string
}

// newProgress shows progress on out; label says what moves, made printable.
func newProgress(out io.Writer, label string) *progress {
	return &progress{out: out, label: terminal.Printable(label), tty: terminal.IsTerminal(out), line: statusLine{out: out}, tenth: -1}
}

// show shows t's present numbers.
func (g *progress) show(t transfer.Transfer) {
	g.printNews(&t)
	if g.tty {
		columns := terminal.Columns(g.out)
		g.line.draw(frame(g.label, &t, time.Now(), columns-1), columns)
		return
	}
	tenth := percent(&t) / 10
	if t.StartTime == 0 || tenth <= g.tenth {
		return
	}
	g.tenth = tenth
	files, bytes := done(&t)
	text := fmt.Sprintf("%s: %3d %%  %s of %s, %d of %d files", g.label, percent(&t), Bytes(bytes), Bytes(t.TotalBytes), files, t.TotalFiles)
	if t.Processing && t.Rate > 0 {
		text += ", " + strings.TrimSpace(strings.ReplaceAll(stateText(&t, time.Now()), gap, ", "))
	}
	g.print(text)
}

// printNews prints what t waits for, and when that is over.
func (g *progress) printNews(t *transfer.Transfer) {
	news := ""
	switch {
	case t.Status == transfer.StatusSuspended:
		news = "suspended until jetstream transfers resume"
	case t.Status == transfer.StatusPending && t.ErrorMessage != "":
		news = "waiting: " + terminal.Printable(t.ErrorMessage)
	case t.Status == transfer.StatusPending && g.news != "":
		return // it connects
	}
	if news == g.news {
		return
	}
	if news == "" && t.Status == transfer.StatusActive {
		g.print("connected again")
	}
	if g.news = news; news != "" {
		g.print(news)
	}
}

// print prints a line, above the one that is drawn.
func (g *progress) print(text string) {
	g.line.clear(terminal.Columns(g.out))
	_, _ = fmt.Fprintln(g.out, text)
}

// end leaves the line as it is and goes to the next.
func (g *progress) end() { g.line.end() }
