package watch

import (
	"io"
	"strings"

	"jetstream/internal/terminal"
)

// statusLine is a line of a terminal that is drawn again and again. It is overwritten
// by spaces and not by escape sequences, which not every Windows console knows.
type statusLine struct {
	out   io.Writer
	text  string
	shown bool
}

// draw replaces the line by a text that has at most columns-1 columns: the cursor stays
// in the line.
func (l *statusLine) draw(text string, columns int) {
	if l.shown && text == l.text {
		return
	}
	rest := min(terminal.Width(l.text), columns-1) - terminal.Width(text)
	_, _ = io.WriteString(l.out, "\r"+text+strings.Repeat(" ", max(rest, 0))) // a line that cannot be drawn harms nobody
	l.text, l.shown = text, true
}

// clear empties the line.
func (l *statusLine) clear(columns int) {
	if l.shown {
		_, _ = io.WriteString(l.out, "\r"+strings.Repeat(" ", max(min(terminal.Width(l.text), columns-1), 0))+"\r")
	}
	l.text, l.shown = "", false
}

// end leaves the line as it is and goes to the next.
func (l *statusLine) end() {
	if l.shown {
		_, _ = io.WriteString(l.out, "\n")
	}
	l.text, l.shown = "", false
}
