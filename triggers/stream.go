package triggers

import (
	"context"
	"os"
	"time"
)

// outputStream is one output of a script: a pipe, its goroutine, what is kept.
type outputStream struct {
	capture
	r, w *os.File
	done chan struct{} // closed when the pipe is
}

// openStream makes the stream of a run that is called output, stdout or stderr.
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

// begin starts to read what the script writes and gives up the other end.
func (s *outputStream) begin(e *Engine) {
	_ = s.w.Close()
	e.background.Go(func() {
		defer close(s.done)
		defer func() { _ = s.r.Close() }()
		buffer := e.buffers.Get().(*[]byte)
		defer e.buffers.Put(buffer)
		// Not io.Copy, which would splice or grow a buffer of its own. An error
		// is the end: nobody is left who writes, or the engine stops.
		for {
			n, err := s.r.Read(*buffer)
			_, _ = s.Write((*buffer)[:n])
			if err != nil {
				return
			}
		}
	})
}

// leave lets the goroutine go on discarding what a background child writes,
// until it closes the pipe or ctx ends.
func (s *outputStream) leave(ctx context.Context, e *Engine) {
	select {
	case <-s.done:
		return
	default:
	}
	stop := context.AfterFunc(ctx, func() {
		if s.r.SetReadDeadline(time.Unix(1, 0)) != nil {
			_ = s.r.Close() // no deadlines here: this ends the read too
		}
	})
	e.background.Go(func() {
		<-s.done
		stop()
	})
}

// discard closes a stream that was never begun; s may be nil.
func (s *outputStream) discard() {
	if s == nil {
		return
	}
	_ = s.r.Close()
	_ = s.w.Close()
}
