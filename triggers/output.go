package triggers

import (
	"bytes"
	"io"
	"strings"
	"sync"
)

// kept is how many bytes of the beginning and of the end of an output are kept.
const kept = 16 << 10

// capture keeps the first and the last bytes that are written to it, and counts
// the others. Safe for concurrent use.
type capture struct {
	mu     sync.Mutex
	closed bool
	head   []byte
	tail   []byte // the last bytes after head; a ring once it is full
	next   int    // start of the ring
	total  int64

	lines *lineWriter // also gets the output, unless nil
	live  *liveOutput // also gets the output, unless nil
}

// Write adds output. It never fails. After close it discards the output.
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
	if len(p) > kept { // only its end is kept
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

// close ends the capture and returns what it has kept.
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

// maxLine is the length at which lines are broken on the console, in bytes.
const maxLine = 16 << 10

// lineWriter prints whole lines with a prefix, so that the outputs of several
// scripts are not mixed within a line. Not safe for concurrent use.
type lineWriter struct {
	to     io.Writer
	lock   *sync.Mutex // of to, shared by all lineWriters
	prefix string
	rest   []byte // an incomplete line
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

// print writes the line. Errors are ignored, since the output is also in the
// record.
func (w *lineWriter) print() {
	line := append(append([]byte(w.prefix), w.rest...), '\n')
	w.rest = w.rest[:0]
	w.lock.Lock()
	defer w.lock.Unlock()
	_, _ = w.to.Write(line)
}
