package triggers

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// lookEvery is how often the trigger directory is listed.
const lookEvery = time.Second

// scriptDir is the trigger directory. A directory that cannot be read, as that
// of a mount that went away, is not one without scripts: what it held when it
// could last be read is remembered. Safe for concurrent use.
type scriptDir struct {
	path string // empty: there are no triggers
	log  *slog.Logger

	mu sync.Mutex
	// names are the files of the directory and device is its device, when it
	// could last be read.
	names  map[string]bool
	device uint64
	fault  error // why it cannot be read now; nil: it can
}

// find returns the name of the script of an event, empty if there is none. It
// looks at the directory as it is now, also where something was mounted on it
// since. An error is a *placeError.
func (d *scriptDir) find(event string) (name string, err error) {
	if d.path == "" || !isFileName(event) {
		return "", nil
	}
	name, device, err := findIn(d.path, fileNames(event))
	d.mu.Lock()
	changed := (err == nil) != (d.fault == nil) || name == "" && device != d.device
	if name != "" {
		d.names[name] = true
	}
	d.mu.Unlock()
	if changed { // also the fault of an empty directory is found by listing it
		if err = d.look(); err == nil && name == "" {
			name, _, err = findIn(d.path, fileNames(event))
		}
	}
	if err != nil {
		return "", d.unreadable(err)
	}
	return name, nil
}

// wanted reports whether a run is to be queued for an event: it has a script
// or, while the directory cannot be read, may have one.
func (d *scriptDir) wanted(event string) bool {
	name, err := d.find(event)
	if err == nil {
		return name != ""
	}
	if !strings.HasPrefix(event, commandPrefix) {
		return true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range fileNames(event) {
		if d.names[name] {
			return true
		}
	}
	return false
}

// look lists the directory, and logs when it can no longer be read or can be
// read again.
func (d *scriptDir) look() error {
	names, device, err := list(d.path)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil && len(names) == 0 && len(d.names) > 0 && device != d.device {
		err = errors.New("it is empty, and on another device than the scripts were; what was mounted there is gone")
	}
	former := d.fault
	d.fault = err
	switch {
	case err == nil:
		d.names, d.device = names, device
		if former != nil {
			d.log.Info("the trigger directory can be read again", "triggerDir", d.path)
		}
	case former == nil:
		d.log.Error("the trigger directory cannot be read; events wait until it can", "triggerDir", d.path, "error", err)
	}
	return err
}

// watch looks at the directory until ctx ends.
func (d *scriptDir) watch(ctx context.Context) {
	for d.path != "" && pause(ctx, lookEvery) {
		_ = d.look() // logs it
	}
}

// health returns the present fault as a sentence, or "".
func (d *scriptDir) health() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fault == nil {
		return ""
	}
	return d.unreadable(d.fault).Error()
}

func (d *scriptDir) unreadable(err error) *placeError {
	return &placeError{fmt.Errorf("the trigger directory %s cannot be read (%w)", d.path, bare(err)), true}
}

// checked returns the path of the script of an event, if the directory and the
// script may be used by the user uid. errNoScript: there is none. A *placeError
// is a fault of the directory.
func (d *scriptDir) checked(event string, uid int) (path string, err error) {
	name, err := d.find(event)
	if err != nil {
		return "", err
	}
	if name == "" {
		return "", errNoScript
	}
	dir, err := os.Stat(d.path)
	if err != nil {
		return "", d.unreadable(err)
	}
	if fault := ownership(dir, uid); fault != "" {
		return "", &placeError{err: fmt.Errorf("the trigger directory %s %s", d.path, fault)}
	}
	path = filepath.Join(d.path, name)
	return path, lookAt(path).check(uid, groupMayAdd(dir))
}

// errNoScript is the error of an event that has no script.
var errNoScript = errors.New("the event has no script (any more)")

// list returns the names of the files in a directory, and its device.
func list(dir string) (names map[string]bool, device uint64, err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	fi, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	all, err := f.Readdirnames(-1)
	if err != nil {
		return nil, 0, err
	}
	names = make(map[string]bool, len(all))
	for _, name := range all {
		names[name] = true
	}
	return names, deviceOf(fi), nil
}

// fileNames lists the names that the script of an event may have, in the order
// of preference.
func fileNames(event string) []string { return namesWith(event, extensions()) }

func namesWith(event string, extensions []string) []string {
	names := make([]string, len(extensions))
	for i, extension := range extensions {
		names[i] = event + extension
	}
	return names
}

// bare returns an error without the path that it names.
func bare(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
