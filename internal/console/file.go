package console

import (
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// File is a log file. Safe for concurrent use.
type File struct {
	path string
	mu   sync.Mutex
	f    *os.File
}

// OpenFile opens or makes a log file, to which it appends. The caller must close it.
func OpenFile(path string) (*File, error) {
	l := &File{path: path}
	return l, l.reopen()
}

// reopen opens the file of that path, which may be a new one after a rotation.
// After an error the former file stays in use.
func (l *File) reopen() error {
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
func (l *File) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.f.Write(p)
}

// Close implements io.Closer.
func (l *File) Close() error { return l.f.Close() }

// ReopenOnHangup handles SIGHUP, which then does not end the server: it reopens
// f, the log file, which may be nil. The returned function ends that and closes
// f.
func ReopenOnHangup(log *slog.Logger, f *File) (stop func() error) {
	end := OnHangup(func() {
		if f == nil {
			return
		}
		if err := f.reopen(); err != nil {
			log.Error("the log file could not be reopened", "error", err)
		} else {
			log.Info("the log file was reopened", "log", f.path)
		}
	})
	return func() error {
		end()
		if f == nil {
			return nil
		}
		return f.Close()
	}
}

// OnHangup calls f at each SIGHUP, which then does not end the process, until
// stop.
func OnHangup(f func()) (stop func()) {
	hangup, done, ended := make(chan os.Signal, 1), make(chan struct{}), make(chan struct{})
	signal.Notify(hangup, syscall.SIGHUP)
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case <-hangup:
				f()
			}
		}
	}()
	return func() {
		signal.Stop(hangup)
		close(done)
		<-ended
	}
}
