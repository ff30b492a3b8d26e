package triggers

import (
	"context"
	"os"
	"time"
)

// outputStream reads one output of a script from a pipe.
type outputStream struct {
	capture
	r, w *os.File
	done chan struct{} // closed when the pipe is closed
}

// openStream returns the stream for an output of run r, which is stdout or
// stderr.
func (e *Engine) openStream(r *Run, output string) (*outputStream, error) {
	s := &outputStream{done: make(chan struct{})}
	s.live = newLiveOutput(e.o.Stream, r, output)
	var err error
	if s.r, s.w, err = os.Pipe(); err != nil {
		return nil, err
	}
	if e.o.LogRuns {
		s.lines = &lineWriter{to: e.o.Console, lock: &e.console, prefix: "[" + r.Event + "] "}
	}
	return s, nil
}

// begin starts to read the output. It closes the write end, which the script
// has.
func (s *outputStream) begin(e *Engine) {
	_ = s.w.Close()
	e.background.Go(func() {
		defer close(s.done)
		defer func() { _ = s.r.Close() }()
		buffer := e.buffers.Get().(*[]byte)
		defer e.buffers.Put(buffer)
		// Not io.Copy, which would splice or allocate a buffer. An error means
		// that all writers have closed the pipe or the engine stops.
		for {
			n, err := s.r.Read(*buffer)
			_, _ = s.Write((*buffer)[:n])
			if err != nil {
				return
			}
		}
	})
}

// detach lets the goroutine discard what a background child writes, until the
// child closes the pipe or ctx ends.
func (s *outputStream) detach(ctx context.Context, e *Engine) {
	select {
	case <-s.done:
		return
	default:
	}
	stop := context.AfterFunc(ctx, func() {
		if s.r.SetReadDeadline(time.Unix(1, 0)) != nil {
			_ = s.r.Close() // without deadlines this ends the read
		}
	})
	e.background.Go(func() {
		<-s.done
		stop()
	})
}

// discard closes a stream on which begin was not called; s may be nil.
func (s *outputStream) discard() {
	if s == nil {
		return
	}
	_ = s.r.Close()
	_ = s.w.Close()
}
