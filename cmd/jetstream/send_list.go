package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/transfer"
)

// maxList is how many bytes the file of --files-from may have, which is the limit of a
// request.
const maxList = 16 << 20

// readList reads the file of --files-from. A name that does not exist is an error,
// unless mayMiss.
func (f *filterFlags) readList(p *program, sandbox string, mayMiss bool) (mappings map[string]string, shown string, err error) {
	text, err := f.read(p)
	if err != nil {
		return nil, "", err
	}
	end := "\n"
	if f.From0 {
		end = "\x00"
	}
	l := list{translate: translator{sandbox: sandbox, dirs: map[string]string{}}, sources: map[string]string{}, mayMiss: mayMiss}
	for name := range strings.SplitSeq(text, end) {
		if !f.From0 {
			name = strings.TrimSuffix(name, "\r")
		}
		if err := l.add(name); err != nil {
			return nil, "", fmt.Errorf("%s: %w", f.FilesFrom, err)
		}
	}
	if mappings, err = l.mappings(); err != nil {
		return nil, "", fmt.Errorf("%s: %w", f.FilesFrom, err)
	}
	if shown = f.FilesFrom; shown == "-" {
		shown = "the list"
	}
	return mappings, shown, nil
}

func (f *filterFlags) read(p *program) (string, error) {
	in := p.Stdin
	if f.FilesFrom != "-" {
		file, err := os.Open(f.FilesFrom)
		if err != nil {
			return "", usagef("--files-from: %v", err)
		}
		defer func() { _ = file.Close() }()
		in = file
	}
	text, err := io.ReadAll(io.LimitReader(in, maxList+1))
	if err != nil {
		return "", usagef("--files-from: %v", err)
	}
	if len(text) > maxList {
		return "", fmt.Errorf("%s: the list has more than %d MiB: name directories in place of files, or split it and send one part after the other", f.FilesFrom, maxList>>20)
	}
	return string(text), nil
}

// list collects the names of a list.
type list struct {
	translate translator
	sources   map[string]string // name at the receiver, without the leading / -> API path
	mayMiss   bool
}

// add adds a name of the list; none is passed over, as is one that it has already.
func (l *list) add(text string) error {
	if text == "" {
		return nil
	}
	abs, err := filepath.Abs(text)
	if err != nil {
		return err
	}
	name := filepath.ToSlash(text[len(filepath.VolumeName(text)):])
	if slices.Contains(strings.Split(name, "/"), "..") {
		return fmt.Errorf("the name %s has .. in it, so that it has no place at the receiver: change to the directory above and list names from there",
			api.Quote(text))
	}
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	if _, listed := l.sources[name]; listed {
		return nil
	}
	if !l.mayMiss {
		if _, err := os.Lstat(abs); errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("there is no %s: remove it from the list, or send with --on-error continue", api.Quote(abs))
		}
	}
	l.sources[name], err = l.translate.path(abs)
	return err
}

// mappings returns the fileMappings of the list. What is in a directory that is listed
// itself needs none.
func (l *list) mappings() (map[string]string, error) {
	if len(l.sources) == 0 {
		return nil, errors.New("the list is empty, so that there is nothing to send")
	}
	names := map[string]string{} // API path -> name
	total := 0
	for name, source := range l.sources {
		if l.inListed(name) {
			continue
		}
		if other, twice := names[source]; twice {
			first, second := min(name, other), max(name, other)
			return nil, fmt.Errorf("%s and %s are the same file, which has one name at the receiver: remove one of them from the list", api.Quote(first), api.Quote(second))
		}
		names[source] = "/" + name
		total += len(source) + len(name) + 1
	}
	if len(names) > transfer.MaxMappings || total > transfer.MaxMappingBytes {
		return nil, fmt.Errorf("the list has %d names and needs %d bytes: at most %d and %d are taken; name directories in place of files, or split it and send one part after the other",
			len(names), total, transfer.MaxMappings, transfer.MaxMappingBytes)
	}
	return names, nil
}

// inListed reports whether a directory above a name is in the list.
func (l *list) inListed(name string) bool {
	if name == "" {
		return false
	}
	for dir := path.Dir(name); ; dir = path.Dir(dir) {
		if dir == "." {
			_, listed := l.sources[""]
			return listed
		}
		if _, listed := l.sources[dir]; listed {
			return true
		}
	}
}

// translator turns paths of this machine into API paths. It looks at each directory
// once.
type translator struct {
	sandbox string
	dirs    map[string]string
}

func (t *translator) path(abs string) (string, error) {
	dir, name := filepath.Dir(abs), filepath.Base(abs)
	at, known := t.dirs[dir]
	if !known {
		inside, err := account.FromLocal(t.sandbox, filepath.Join(dir, "x"))
		if err != nil { // abs may be the sandbox itself
			inside, err = account.FromLocal(t.sandbox, abs)
			if err != nil {
				return "", errors.New(api.ErrorOf(err).Message)
			}
			return inside, nil
		}
		at = path.Dir(inside)
		t.dirs[dir] = at
	}
	return path.Join(at, name), nil
}
