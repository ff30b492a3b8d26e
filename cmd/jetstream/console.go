package main

import (
	"bytes"
	"io"
	"sync"
	"time"
)

const (
	// consoleBuffer is how many bytes wait for the reader of the console.
	consoleBuffer = 1 << 20
	// consolePatience is how long the end of the program waits for that reader.
	consolePatience = time.Second
)

// consoleWriter writes to a file that perhaps nobody reads: Write never waits and
// never fails. A goroutine, for which nobody waits, writes to the file. What
// does not fit into the buffer, or cannot be written, is dropped and counted.
// Safe for concurrent use.
type consoleWriter struct {
	to io.Writer
	// notice writes to a buffer that so much was dropped.
	notice func(to io.Writer, lines, bytes int)

	mu     sync.Mutex
	buffer []byte
	said   gap           // the gap whose notice buffer begins with
	notes  int           // length of that notice
	gap    gap           // behind buffer
	idle   chan struct{} // closed when the goroutine ends; nil without one
}

// gap is what was dropped.
type gap struct{ lines, bytes int }

func (g *gap) add(p []byte) {
	g.lines += bytes.Count(p, []byte("\n"))
	g.bytes += len(p)
}

// Write adds p, which should be whole lines.
func (c *consoleWriter) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.idle == nil {
		c.addNotice()
	}
	// After a gap nothing is added until its notice is.
	if c.gap.bytes > 0 || len(c.buffer)+len(p) > consoleBuffer {
		c.gap.add(p)
	} else {
		c.buffer = append(c.buffer, p...)
	}
	if c.idle == nil {
		c.idle = make(chan struct{})
		go c.run()
	}
	return len(p), nil
}

// run writes until nothing is left, or until the file fails: the next Write
// tries again.
func (c *consoleWriter) run() {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer func() {
		close(c.idle)
		c.idle = nil
	}()
	var spare []byte
	for {
		if len(c.buffer) == 0 {
			c.addNotice()
		}
		next, said, notes := c.buffer, c.said, c.notes
		if len(next) == 0 {
			return
		}
		c.buffer, c.said, c.notes = spare[:0], gap{}, 0
		c.mu.Unlock()
		n, err := c.to.Write(next)
		c.mu.Lock()
		if err != nil {
			if n < notes { // the notice is written again
				c.gap.lines, c.gap.bytes = c.gap.lines+said.lines, c.gap.bytes+said.bytes
			}
			c.gap.add(next[max(n, notes):])
			c.gap.add(c.buffer)
			c.buffer = nil
			return
		}
		spare = next
	}
}

// addNotice adds the notice of a gap, if there is one, to the empty buffer. mu
// is held.
func (c *consoleWriter) addNotice() {
	if c.gap.bytes == 0 {
		return
	}
	var b bytes.Buffer
	c.notice(&b, c.gap.lines, c.gap.bytes)
	c.buffer, c.said, c.notes, c.gap = append(c.buffer, b.Bytes()...), c.gap, b.Len(), gap{}
}

// flush waits until everything is written, consolePatience at most.
func (c *consoleWriter) flush() {
	c.mu.Lock()
	idle := c.idle
	c.mu.Unlock()
	if idle == nil {
		return
	}
	timer := time.NewTimer(consolePatience)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
	}
}
