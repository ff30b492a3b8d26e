package triggers

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"unicode/utf8"

	"jetstream/internal/api"
)

// spooled are the files of one run in the spool directory.
type spooled struct {
	payload  string // path of the parameters object
	fileList string // path of the file list as JSON Lines, empty if there is none
	tsv      string // path of the file list for stdin
	// stdin is the stdin of the script: payload, file list or nothing.
	stdin *os.File
}

func (e *Engine) spoolDir() string { return filepath.Join(e.o.StateDir, "spool") }

// emptySpool makes an empty spool directory, which other users cannot read.
func (e *Engine) emptySpool() error {
	dir := e.spoolDir()
	if err := os.RemoveAll(dir); err != nil {
		return &placeError{err: fmt.Errorf("the trigger spool %s cannot be emptied (%w); remove it", dir, bare(err))}
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return &placeError{err: fmt.Errorf("the trigger spool %s cannot be made (%w); see the rights of the state directory and the space there", dir, bare(err))}
	}
	return nil
}

// spool writes the files of run r. s.remove must be called in any case.
func (e *Engine) spool(ctx context.Context, r *Run, s *spooled) error {
	s.payload = filepath.Join(e.spoolDir(), r.RunID+".json")
	if err := writePayload(s.payload, r.Parameters); err != nil {
		return err
	}
	stdin := os.DevNull
	switch {
	case strings.HasPrefix(r.Event, commandPrefix):
		stdin = s.payload
	case hasFileList(r.Event):
		s.fileList = filepath.Join(e.spoolDir(), r.RunID+".jsonl")
		s.tsv = filepath.Join(e.spoolDir(), r.RunID+".tsv")
		if err := e.spoolList(ctx, r.Subject, s.tsv, s.fileList); err != nil {
			return err
		}
		stdin = s.tsv
	}
	var err error
	s.stdin, err = os.Open(stdin)
	return err
}

// remove removes the files. A background child that has stdin open can still
// read it.
func (s *spooled) remove() error {
	var err error
	if s.stdin != nil {
		err = s.stdin.Close()
	}
	for _, path := range []string{s.payload, s.fileList, s.tsv} {
		if path == "" {
			continue
		}
		if e := os.Remove(path); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

func hasFileList(event string) bool {
	for _, d := range Definitions() {
		if d.Name == event {
			return d.FileList
		}
	}
	return false
}

func writePayload(path string, parameters []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(slices.Clip(parameters), '\n'))
	return errors.Join(err, f.Close())
}

// collectEvery is after how many entries of a file list the garbage is
// collected, to keep the heap small for lists of millions.
const collectEvery = 16 << 10

var errNoLists = errors.New("this server keeps no file lists")

// spoolList writes a file list in both formats.
func (e *Engine) spoolList(ctx context.Context, subject, tsv, jsonl string) (err error) {
	if e.o.Files == nil {
		return errNoLists
	}
	t, err := newListFile(tsv)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	j, err := newListFile(jsonl)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.close()) }()
	if subject == "" { // a sample event without a transfer
		return ctx.Err()
	}
	lines := 0
	for f, err := range e.o.Files.List(ctx, subject) {
		if err != nil {
			return err
		}
		if !f.Removed {
			if _, err := t.WriteString(escapeTSV.Replace(f.ManifestFile) + "\t" + escapeTSV.Replace(f.FilePath) + "\n"); err != nil {
				return err
			}
		}
		line, err := api.Marshal(listLine{
			ManifestFile: f.ManifestFile, FilePath: f.FilePath, Path: f.Path, Size: f.Size, Digest: f.Digest, Removed: f.Removed,
			ManifestFileBase64: base64Unless(f.ManifestFile), FilePathBase64: base64Unless(f.FilePath),
		})
		if err != nil {
			return err
		}
		if _, err := j.Write(append(line, '\n')); err != nil {
			return err
		}
		if lines++; lines%collectEvery == 0 {
			runtime.GC()
		}
	}
	return ctx.Err()
}

// escapeTSV escapes the separators of the TSV format.
var escapeTSV = strings.NewReplacer("\t", `\t`, "\r", `\r`, "\n", `\n`) //nolint:gochecknoglobals // never written

// listLine is one line of JETSTREAM_FILE_LIST. The base64 fields are only set
// for names that are not UTF-8. Removed is set for what the transfer has removed, which
// comes last.
type listLine struct {
	ManifestFile       string `json:"manifestFile"`
	FilePath           string `json:"filePath"`
	Path               string `json:"path"`
	Size               int64  `json:"size"`
	Digest             string `json:"digest"`
	Removed            bool   `json:"removed,omitempty"`
	ManifestFileBase64 string `json:"manifestFileBase64,omitempty"`
	FilePathBase64     string `json:"filePathBase64,omitempty"`
}

func base64Unless(name string) string {
	if utf8.ValidString(name) {
		return ""
	}
	return base64.StdEncoding.EncodeToString([]byte(name))
}

// listFile is a file with a buffer for writing.
type listFile struct {
	*bufio.Writer
	file *os.File
}

func newListFile(path string) (*listFile, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return &listFile{bufio.NewWriterSize(f, 64<<10), f}, nil
}

func (l *listFile) close() error { return errors.Join(l.Flush(), l.file.Close()) }
