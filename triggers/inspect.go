package triggers

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"jetstream/internal/api"
)

// Level is the severity of a finding.
type Level string

// The levels of findings.
const (
	LevelError   Level = "error"   // it will not work
	LevelWarning Level = "warning" // it works, but should be changed
	LevelNote    Level = "note"    // information
)

// Finding is a finding of the doctor about the trigger directory.
type Finding struct {
	Level Level `json:"level" doc:"error: will not work; warning: ought to be changed; note: worth knowing" validate:"oneof=error warning note"`
	// File is the name of the file in the directory, empty for the directory
	// itself.
	File string `json:"file" doc:"Name of the file in the trigger directory, empty for the directory itself"`
	// Message says what is wrong and what to do. It can be read without File.
	Message string `json:"message" doc:"The fault and the way out"`
}

// CheckDir examines a trigger directory when the server starts. It returns an
// error if the directory itself cannot be used. events are the names of all
// events, those of commands included. path is the PATH of scripts, in which
// programs in a first line with env are looked up unless it is empty.
func CheckDir(dir string, events []string, path string) ([]Finding, error) {
	findings := Inspect(dir, events, path)
	for i, f := range findings {
		if f.File == "" && f.Level == LevelError {
			return slices.Delete(findings, i, i+1), api.Errorf(api.CodeInvalid, "%s", f.Message)
		}
	}
	return findings, nil
}

// Inspect examines a trigger directory. Unlike CheckDir it returns all
// findings.
func Inspect(dir string, events []string, path string) []Finding {
	return InspectFor(os.Geteuid(), dir, events, path)
}

// InspectFor is Inspect for a server that runs as the user uid.
func InspectFor(uid int, dir string, events []string, path string) []Finding {
	return inspect(uid, dir, events, path).findings
}

func inspect(uid int, dir string, events []string, path string) *inspection {
	i := &inspection{dir: dir, uid: uid, events: events, path: path, scripts: map[string]string{}}
	fi, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		i.add(LevelError, "", "trigger directory "+dir+" does not exist; make it, or name another with --trigger-dir")
		return i
	case err != nil:
		i.add(LevelError, "", "trigger directory "+dir+" cannot be examined ("+err.Error()+"); let the server's user into it")
		return i
	case !fi.IsDir():
		i.add(LevelError, "", dir+" is no directory; --trigger-dir names the directory that holds the scripts")
		return i
	}
	if fault := ownership(fi, uid); fault != "" {
		i.add(LevelError, "", "trigger directory "+dir+" "+fault+": who may write there decides what this server runs")
		return i
	}
	i.shared = groupMayAdd(fi)
	entries, err := os.ReadDir(dir)
	if err != nil {
		i.add(LevelError, "", "trigger directory "+dir+" cannot be listed ("+err.Error()+"); let the server's user read it")
		return i
	}
	for _, entry := range entries {
		i.file(entry.Name())
	}
	return i
}

// inspection is the state of one InspectFor.
type inspection struct {
	dir, path string
	uid       int
	shared    bool // see scriptFile.check
	events    []string
	findings  []Finding
	scripts   map[string]string // names of files by event
}

func (i *inspection) add(level Level, file, message string) {
	i.findings = append(i.findings, Finding{Level: level, File: file, Message: message})
}

// eventOf returns the event of a file name; ok is false if there is none.
func (i *inspection) eventOf(file string) (event string, ok bool) {
	for _, ext := range extensions() {
		if len(file) > len(ext) && strings.EqualFold(file[len(file)-len(ext):], ext) {
			if event = file[:len(file)-len(ext)]; slices.Contains(i.events, event) {
				return event, true
			}
		}
	}
	return file, false
}

// file examines a file, unless it went away since the directory was listed.
func (i *inspection) file(name string) {
	full := filepath.Join(i.dir, name)
	s := lookAt(full)
	if s.gone {
		return
	}
	event, known := i.eventOf(name)
	if !known {
		i.unknownFile(name, s.err == nil && s.info.Mode().IsRegular() && !onWindows && executable(s.info))
		return
	}
	if _, other := i.scripts[event]; !other || name == fileNames(event)[0] {
		i.scripts[event] = name
	}
	if err := s.check(i.uid, i.shared); err != nil {
		i.add(LevelError, name, err.Error())
		return
	}
	if !onWindows {
		if mountedNoexec(full) {
			i.add(LevelError, name, full+" lies on a file system that is mounted with noexec; move the scripts, or mount it with exec")
		}
		i.firstLine(name, full)
	}
}

// unknownFile examines a file without an event.
func (i *inspection) unknownFile(name string, runs bool) {
	base := name
	if onWindows {
		base = strings.TrimSuffix(name, filepath.Ext(name))
	}
	switch near := api.Nearest(base, i.events); {
	case near != "":
		if onWindows {
			near += extensions()[0]
		}
		i.add(LevelError, name, name+" is no event; did you mean "+near+"?")
	case runs && looksLikeEvent(name):
		i.add(LevelError, name, name+" is no event, so nothing runs it; `jetstream trigger list --all` names the events")
	case runs:
		i.add(LevelNote, name, name+" is executable but no event has its name; nothing runs it")
	}
}

// firstLine checks the first line of a script.
func (i *inspection) firstLine(name, full string) {
	s, err := readShebang(full)
	switch {
	case errors.Is(err, fs.ErrNotExist): // it has just been removed
	case err != nil:
		i.add(LevelWarning, name, full+" cannot be read, so its first line was not checked ("+err.Error()+")")
	case s.refused != "", s.crlf:
		i.add(LevelError, name, s.notFound(full).Error())
	case s.empty:
		i.add(LevelNote, name, full+" is empty; it will do nothing")
	case !s.present && !s.binary:
		i.add(LevelNote, name, full+" has no #! line; it is run by /bin/sh")
	case s.present:
		i.interpreter(name, full, s)
	}
}

func (i *inspection) interpreter(name, full string, s shebang) {
	interpreter := s.interpreter
	if !filepath.IsAbs(interpreter) {
		interpreter = filepath.Join(i.dir, interpreter)
	}
	if fi, err := os.Stat(interpreter); err != nil {
		i.add(LevelError, name, s.notFound(full).Error())
		return
	} else if fi.IsDir() || !executable(fi) {
		i.add(LevelError, name, full+": the interpreter "+s.interpreter+" of its first line cannot be executed; correct the line")
		return
	}
	if filepath.Base(interpreter) != "env" || i.path == "" {
		return
	}
	if problem := unsplit(s.rest); problem != "" {
		i.add(LevelError, name, full+": "+problem)
		return
	}
	for word := range strings.FieldsSeq(s.rest) {
		if strings.HasPrefix(word, "-") || strings.Contains(word, "=") {
			continue
		}
		if !inPath(word, i.path) {
			i.add(LevelError, name, full+": its first line looks for "+word+", which is nowhere on the server's PATH; install it or name its whole path")
		}
		return
	}
}

// unsplit returns what is wrong with a first line that calls env with this
// rest: Linux passes the whole of it as one argument, which env splits only with
// -S.
func unsplit(rest string) string {
	option, _, several := strings.Cut(rest, " ")
	short := strings.HasPrefix(option, "-") && !strings.HasPrefix(option, "--")
	if runtime.GOOS == "darwin" || !several || short && strings.Contains(option, "S") || strings.HasPrefix(option, "--split-string") {
		return ""
	}
	return fmt.Sprintf("its first line passes %q to env as one argument, so that env finds no such program; write `env -S %[1]s`, or name the interpreter's whole path", rest)
}

// inPath reports whether a program exists in path, which is a PATH.
func inPath(program, path string) bool {
	if strings.Contains(program, "/") {
		_, err := exec.LookPath(program)
		return err == nil
	}
	for _, dir := range filepath.SplitList(path) {
		if _, err := exec.LookPath(filepath.Join(dir, program)); err == nil && dir != "" {
			return true
		}
	}
	return false
}

// looksLikeEvent reports whether a file is probably meant for an event.
func looksLikeEvent(name string) bool {
	for _, prefix := range []string{commandPrefix, "send.", "recv."} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
