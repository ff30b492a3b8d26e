package main

import (
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"jetstream/internal/terminal"
)

// consoleBuffer is how many bytes may wait for the console.
const consoleBuffer = 1 << 20

// consoleWait bounds the wait for the console at the end of the server.
const consoleWait = 2 * time.Second

// consoleWriter is the server's standard error. Nothing waits for it: one goroutine
// writes, and what comes while consoleBuffer bytes wait is dropped and counted.
// An error of the device costs what could not be written and nothing else. Safe
// for concurrent use.
type consoleWriter struct {
	to io.Writer

	mu      sync.Mutex
	waiting []byte
	dropped int64 // bytes since the last report of it
	report  func(dropped int64)
	closed  bool

	wake chan struct{} // holds a token when there is something to do
	done chan struct{} // closed when the goroutine has ended
}

// startConsole returns a console and starts its goroutine, which close ends.
func startConsole(to io.Writer) *consoleWriter {
	c := &consoleWriter{to: to, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go c.run()
	return c
}

// Write never fails and never waits for the device. After close it does
// nothing.
func (c *consoleWriter) Write(p []byte) (int, error) {
	c.mu.Lock()
	if !c.closed && len(c.waiting)+len(p) <= consoleBuffer {
		c.waiting = append(c.waiting, p...)
	} else {
		c.dropped += int64(len(p))
	}
	c.mu.Unlock()
	c.signal()
	return len(p), nil
}

func (c *consoleWriter) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// close waits until what has been written is out, consoleWait at most.
func (c *consoleWriter) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.signal()
	timer := time.NewTimer(consoleWait)
	defer timer.Stop()
	select {
	case <-c.done:
	case <-timer.C:
	}
}

func (c *consoleWriter) run() {
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

// reportDrops sets the log that gets the reports of dropped output. It must
// write to the device itself, since it is used by the goroutine of the console.
func (c *consoleWriter) reportDrops(log *slog.Logger) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report = func(dropped int64) {
		log.Warn("output was dropped because nobody read the console", "bytes", dropped)
	}
}

// linePrinter writes the output of scripts to the console. Each call of Write
// must be one whole line.
type linePrinter struct{ to io.Writer }

func (l linePrinter) Write(line []byte) (int, error) {
	_, err := io.WriteString(l.to, terminal.PrintableLines(string(line)))
	return len(line), err
}

// logFile is the file named by --log. Safe for concurrent use.
type logFile struct {
	path string
	mu   sync.Mutex
	f    *os.File
}

func openLogFile(path string) (*logFile, error) {
	l := &logFile{path: path}
	return l, l.reopen()
}

// reopen opens the file of that path, which may be a new one after a rotation.
// After an error the former file stays in use.
func (l *logFile) reopen() error {
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	l.mu.Lock()
	former := l.f
	l.f = f
	l.mu.Unlock()
	if former != nil {
		return former.Close()
	}
	return nil
}

// Write implements io.Writer.
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.f.Write(p)
}

// Close implements io.Closer.
func (l *logFile) Close() error { return l.f.Close() }
