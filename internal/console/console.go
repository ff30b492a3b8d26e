// Package console is what a server says to its operator: its standard error, for
// which nothing waits, and its log, of which text of others does nothing to a
// terminal.
package console

import (
	"io"
	"log/slog"
	"sync"
	"time"

	"jetstream/internal/terminal"
)

// buffer is how many bytes may wait for the console.
const buffer = 1 << 20

// closeWait bounds the wait for the console at the end of the server.
const closeWait = 2 * time.Second

// Writer is the standard error of a server. Nothing waits for it: one goroutine
// writes, and what comes while buffer bytes wait is dropped and counted.
// An error of the device costs what could not be written and nothing else. Safe
// for concurrent use.
type Writer struct {
	to io.Writer

	mu      sync.Mutex
	waiting []byte
	dropped int64 // bytes since the last report of it
	report  func(dropped int64)
	closed  bool

	wake chan struct{} // holds a token when there is something to do
	done chan struct{} // closed when the goroutine has ended
}

// Start returns a Writer to a device and starts its goroutine, which Close ends.
func Start(to io.Writer) *Writer {
	c := &Writer{to: to, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go c.run()
	return c
}

// Write never fails and never waits for the device. After Close it does
// nothing.
func (c *Writer) Write(p []byte) (int, error) {
	c.mu.Lock()
	if !c.closed && len(c.waiting)+len(p) <= buffer {
		c.waiting = append(c.waiting, p...)
	} else {
		c.dropped += int64(len(p))
	}
	c.mu.Unlock()
	c.signal()
	return len(p), nil
}

func (c *Writer) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Close waits until what has been written is out, closeWait at most.
func (c *Writer) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.signal()
	timer := time.NewTimer(closeWait)
	defer timer.Stop()
	select {
	case <-c.done:
	case <-timer.C:
	}
}

func (c *Writer) run() {
	defer close(c.done)
	var out []byte
	for range c.wake {
		c.mu.Lock()
		out, c.waiting = c.waiting, out[:0]
		dropped, report, closed := c.dropped, c.report, c.closed
		c.dropped = 0
		c.mu.Unlock()
		n, err := 0, error(nil)
		if len(out) > 0 {
			n, err = c.to.Write(out)
		}
		if err != nil {
			dropped += int64(len(out) - n)
		}
		switch {
		case dropped == 0:
		case err == nil && report != nil:
			report(dropped)
		default: // reported when the device takes something again
			c.mu.Lock()
			c.dropped += dropped
			c.mu.Unlock()
		}
		if closed {
			return
		}
	}
}

// ReportDrops sets the log that gets the reports of dropped output. It must
// write to the device itself, since it is used by the goroutine of the console.
func (c *Writer) ReportDrops(log *slog.Logger) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report = func(dropped int64) {
		log.Warn("output was dropped because nobody read the console", "bytes", dropped)
	}
}

// Lines writes the output of scripts to a console, escaped. Each call of Write
// must be one whole line.
type Lines struct{ To io.Writer }

// Write implements io.Writer.
func (l Lines) Write(line []byte) (int, error) {
	_, err := io.WriteString(l.To, terminal.PrintableLines(string(line)))
	return len(line), err
}
