package triggers

import (
	"bytes"
	"io"
	"strings"
	"sync"
)

// kept is how much of an output's beginning, and of its end, is kept, in bytes.
const kept = 16 << 10

// capture keeps the first and the last of what is written to it, and counts
// the rest, in fixed memory. It is safe for concurrent use.
type capture struct {
	mu     sync.Mutex
	closed bool
	head   []byte
	tail   []byte // the last bytes after head; a ring once it is full
	next   int    // where the ring goes on
	total  int64

	lines *lineWriter // gets everything too; nil: nobody
	live  *liveOutput // shows it while the script runs; nil: to nobody
}

// Write never fails. What comes after the close is discarded.
func (c *capture) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(p)
	if c.closed {
		return n, nil
	}
	if c.lines != nil {
		c.lines.write(p)
	}
	if c.live != nil {
		c.live.write(p)
	}
	c.total += int64(n)
	if room := kept - len(c.head); room > 0 {
		part := p[:min(room, len(p))]
		c.head = append(c.head, part...)
		p = p[len(part):]
	}
	if len(p) > kept { // only its end can stay
		p = p[len(p)-kept:]
	}
	for len(p) > 0 {
		if len(c.tail) < kept {
			part := p[:min(kept-len(c.tail), len(p))]
			c.tail = append(c.tail, part...)
			p = p[len(part):]
			continue
		}
		m := copy(c.tail[c.next:], p)
		c.next = (c.next + m) % kept
		p = p[m:]
	}
	return n, nil
}

// close ends the capture and returns what it holds.
func (c *capture) close() Output {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lines != nil && !c.closed {
		c.lines.flush()
	}
	if c.live != nil && !c.closed {
		c.live.close()
	}
	c.closed = true
	text := bytes.Join([][]byte{c.head, c.tail[c.next:], c.tail[:c.next]}, nil)
	return Output{
		Text:         strings.ToValidUTF8(string(text), "\uFFFD"),
		DroppedBytes: c.total - int64(len(text)),
	}
}

// maxLine is where a line without an end is broken on the console, in bytes.
const maxLine = 16 << 10

// lineWriter prints whole lines, each with a prefix, so that outputs of several
// streams do not mix within a line. Its user locks.
type lineWriter struct {
	to     io.Writer
	lock   *sync.Mutex // of to, shared by all
	prefix string
	rest   []byte // a line that has no end yet
}

func (w *lineWriter) write(p []byte) {
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		part := p
		if i >= 0 {
			part = p[:i]
		}
		room := maxLine - len(w.rest)
		if len(part) > room {
			w.rest = append(w.rest, part[:room]...)
			p = p[room:]
			w.print()
			continue
		}
		w.rest = append(w.rest, part...)
		p = p[len(part):]
		if i >= 0 {
			p = p[1:]
			w.print()
		}
	}
}

func (w *lineWriter) flush() {
	if len(w.rest) > 0 {
		w.print()
	}
}

// print writes the line in one piece. An error of the console is nobody's
// trouble: the record has the output.
func (w *lineWriter) print() {
	line := append(append([]byte(w.prefix), w.rest...), '\n')
	w.rest = w.rest[:0]
	w.lock.Lock()
	defer w.lock.Unlock()
	_, _ = w.to.Write(line)
}
