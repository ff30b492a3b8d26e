package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/terminal"
)

// retryEvery is how often a file that took no records is tried again.
const retryEvery = time.Second

// errRecovered reports that a file takes records again.
var errRecovered = errors.New("recovered")

// file is the file of the audit log. It takes whole lines. What it could not be
// given is counted and written down when it takes lines again. A nil file takes
// and says nothing. Safe for concurrent use.
type file struct {
	path string

	mu    sync.Mutex
	f     *os.File
	torn  bool // the last line has no end
	dirty bool // there are lines that may not be on disk
	err   error
	tried time.Time // when it was last found not to work
	lost  int64     // with err: lines that it could not be given
	// former is why path could not be opened again; f is then the file that was
	// there before.
	former error
}

// openFile opens or makes a file, to which it appends.
func openFile(path string) (*file, error) {
	l := &file{path: path}
	var err error
	l.f, l.torn, err = open(path)
	if err != nil {
		return nil, err
	}
	return l, nil
}

// open opens path, if it is a regular file or can be made one; torn reports that
// its last line has no end.
func open(path string) (f *os.File, torn bool, err error) {
	if info, err := os.Stat(path); err == nil { // before it is opened: that of a FIFO may wait
		if err := regular(path, info); err != nil {
			return nil, false, err
		}
	}
	if f, err = os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600); err != nil {
		return nil, false, err
	}
	info, err := f.Stat()
	if err == nil {
		err = regular(path, info)
	}
	if err == nil && info.Size() > 0 {
		var last [1]byte
		_, err = f.ReadAt(last[:], info.Size()-1)
		torn = last[0] != '\n'
	}
	if err != nil {
		return nil, false, errors.Join(err, f.Close())
	}
	return f, torn, nil
}

func regular(path string, info fs.FileInfo) error {
	switch {
	case info.Mode().IsRegular():
		return nil
	case info.IsDir():
		return fmt.Errorf("%s is a directory; name a file in it", path)
	}
	return fmt.Errorf("%s is no regular file; records could wait for its reader, or get lost", path)
}

// write appends a line. The error is a change: errRecovered, or that the file took
// lines until now.
func (l *file) write(line []byte) error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	recovered := false
	if l.err != nil {
		if recovered = l.recover(); !recovered {
			l.lost++
			return nil
		}
	}
	if err := l.append(line); err != nil {
		l.lost++
		return l.fail(err)
	}
	if recovered {
		return errRecovered
	}
	return nil
}

// append writes a line or, if it fails, nothing. mu is held.
func (l *file) append(line []byte) error {
	if l.torn {
		line = append([]byte{'\n'}, line...)
	}
	n, err := l.f.Write(line)
	l.dirty = true
	if err == nil {
		l.torn = false
		return nil
	}
	if n > 0 { // such as on a full disk
		info, statErr := l.f.Stat()
		l.torn = l.torn || statErr != nil || l.f.Truncate(info.Size()-int64(n)) != nil
	}
	return err
}

// fail notes that the file takes no lines. mu is held.
func (l *file) fail(err error) error {
	l.err, l.tried = err, time.Now()
	return err
}

// recover tries, now and then, to open the file anew and to write down in it how
// many records it was not given. mu is held.
func (l *file) recover() bool {
	if time.Since(l.tried) < retryEvery {
		return false
	}
	f, torn, err := open(l.path)
	if err != nil {
		_ = l.fail(err)
		return false
	}
	_ = l.f.Close()
	l.f, l.torn, l.former = f, torn, nil
	if err := l.writeGap(); err != nil {
		_ = l.fail(err)
		return false
	}
	l.err = nil
	return true
}

// writeGap writes how many records the file was not given. mu is held.
func (l *file) writeGap() error {
	if l.lost == 0 {
		return nil
	}
	r := Record{Action: actionGap, Status: api.CodeUnavailable, Count: l.lost}
	r.bound()
	e, err := Kind.Entry("", r)
	if err == nil {
		err = l.append(append(terminal.PrintableJSON(e.Data), '\n'))
	}
	if err == nil {
		l.lost = 0
	}
	return err
}

// retry tries again what did not work, now and then.
func (l *file) retry() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	err, former, due := l.err, l.former, time.Since(l.tried) >= retryEvery
	l.mu.Unlock()
	if err == nil && former == nil || !due || l.reopen() != nil {
		return nil
	}
	return errRecovered
}

// fault returns why the file of that path takes no lines, or nil.
func (l *file) fault() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	return l.former
}

// reopen opens the file of that path, which may be a new one after a rotation.
// After an error the former file stays in use, which is a fault.
func (l *file) reopen() error {
	if l == nil {
		return nil
	}
	f, torn, err := open(l.path)
	l.mu.Lock()
	if err != nil {
		l.former, l.tried = err, time.Now()
		l.mu.Unlock()
		return err
	}
	former := l.f
	l.f, l.torn, l.former = f, torn, nil
	if err = l.writeGap(); err == nil {
		l.err = nil
	} else {
		_ = l.fail(err)
	}
	l.mu.Unlock()
	// An error of the former file is none of the new one.
	_ = former.Sync()
	_ = former.Close()
	return err
}

// sync sees to it that what was written is on disk. The error is a change, as in
// write.
func (l *file) sync() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	f, dirty := l.f, l.dirty
	l.dirty = false
	l.mu.Unlock()
	if !dirty {
		return nil
	}
	err := f.Sync()
	if err == nil || errors.Is(err, os.ErrClosed) { // by reopen, which has synced it
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return nil
	}
	return l.fail(err)
}

func (l *file) close() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.f.Sync(), l.f.Close())
}
