package triggers

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

func itoa(n int) string { return strconv.Itoa(n) }

// isFileName reports whether the name of an event is safe as a file name.
func isFileName(event string) bool {
	return event != "" && event[0] != '.' && !strings.ContainsAny(event, "/\\:\x00")
}

// findScript returns the path of the first file in dir with the name of the
// event and one of the extensions. Anything counts as a file, also a dangling
// link. If there is none, path is where it would be.
func findScript(dir, event string, extensions []string) (path string, found bool) {
	path = filepath.Join(dir, event)
	if !isFileName(event) {
		return path, false
	}
	for _, ext := range extensions {
		if exists(path + ext) {
			return path + ext, true
		}
	}
	return path + extensions[0], false
}

// scriptExists reports whether dir contains a file for the event.
func scriptExists(dir, event string) bool {
	_, found := findScript(dir, event, extensions())
	return found
}

// scriptPath returns the path of the script of the event, which need not exist.
func scriptPath(dir, event string) string {
	path, _ := findScript(dir, event, extensions())
	return path
}

// checkScript returns an error if the file cannot or must not be run by the
// user uid.
func checkScript(path string, uid int) error {
	fi, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("%s is a link to a file that does not exist; mend the link", path)
		}
		return fmt.Errorf("%s is gone; it was removed after the event was queued", path)
	case err != nil:
		return fmt.Errorf("%s cannot be examined: %w", path, err)
	case fi.IsDir():
		return fmt.Errorf("%s is a directory; a script is a file", path)
	case !fi.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file", path)
	case !executable(fi):
		return fmt.Errorf("%s %s", path, makeExecutable)
	}
	if fault, warning := ownership(fi, uid); fault != "" && !warning {
		return fmt.Errorf("%s is not run: it %s", path, fault)
	}
	return nil
}

// maxShebang is how long a first line may be for the kernel, in bytes.
const maxShebang = 255

// shebang is the first line of a script.
type shebang struct {
	present     bool   // there is a #! line, whether the kernel takes it or not
	refused     string // why the kernel does not take the file, if its text says so
	crlf        bool   // the line ends with CR, which the kernel takes as part of the last word
	interpreter string // as the kernel reads it
	rest        string // the line after the interpreter
	binary      bool   // the file is not text
	empty       bool
}

// readShebang reads the first line of a file.
func readShebang(path string) (s shebang, err error) {
	f, err := os.Open(path)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	start, err := bufio.NewReaderSize(f, 4096).Peek(4096)
	if err != nil && !errors.Is(err, io.EOF) {
		return s, err
	}
	return parseShebang(start), nil
}

func parseShebang(start []byte) (s shebang) {
	s.empty = len(start) == 0
	line, _, _ := bytes.Cut(start, []byte("\n"))
	if !bytes.HasPrefix(line, []byte("#!")) {
		s.present, s.refused = beforeShebang(start)
		s.binary = s.refused == "" && bytes.IndexByte(start, 0) >= 0
		return s
	}
	s.present = true
	s.crlf = bytes.HasSuffix(line, []byte("\r"))
	s.interpreter, s.rest, _ = strings.Cut(strings.TrimSpace(strings.ReplaceAll(string(line[2:]), "\t", " ")), " ")
	s.rest = strings.TrimSpace(s.rest)
	switch {
	case len(line) > maxShebang:
		s.refused = "its #! line is longer than " + itoa(maxShebang) + " bytes; shorten it"
	case s.interpreter == "":
		s.refused = "its #! line names no interpreter; complete or remove it"
	}
	return s
}

// beforeShebang examines the start of a file that does not begin with #!: it
// returns what the kernel finds in its place.
func beforeShebang(start []byte) (present bool, refused string) {
	text := bytes.TrimPrefix(start, []byte("\uFEFF"))
	trimmed := bytes.TrimLeftFunc(text, func(r rune) bool { return r >= utf8.RuneSelf || unicode.IsSpace(r) })
	present = bytes.HasPrefix(trimmed, []byte("#!"))
	switch utf16 := bytes.TrimLeft(start, "\x00"); {
	case bytes.HasPrefix(start, []byte("\xff\xfe")), bytes.HasPrefix(start, []byte("\xfe\xff")),
		bytes.HasPrefix(utf16, []byte("#\x00")) && bytes.HasPrefix(bytes.TrimLeft(utf16[1:], "\x00"), []byte("!")):
		return true, "it is UTF-16; save it as UTF-8 without a byte order mark"
	case len(text) < len(start):
		return present, "it begins with a byte order mark; save it without one"
	case present:
		return true, "its #! line is not at the very beginning; remove what comes before"
	}
	return false, ""
}

// explainENOEXEC returns the reason why a file that the kernel takes for no
// program is not run by sh either, or nil: only a text without #! is.
func explainENOEXEC(path string) error {
	s, err := readShebang(path)
	switch {
	case err != nil:
		return fmt.Errorf("%s cannot be read: %w", path, err)
	case s.refused != "":
		return fmt.Errorf("%s cannot be run: %s", path, s.refused)
	case s.present:
		return fmt.Errorf("%s: the interpreter %s of its first line is no program that this machine can run", path, s.interpreter)
	case s.binary:
		return fmt.Errorf("%s is a program that this machine cannot run; build it for this system", path)
	}
	return nil
}

// explainENOENT returns the reason why the kernel did not find a script.
func explainENOENT(path string) error {
	s, err := readShebang(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s is gone; it was removed after the event was queued", path)
	case err != nil:
		return fmt.Errorf("%s cannot be read: %w", path, err)
	case s.crlf:
		return fmt.Errorf("%s: its first line ends with CR LF, so that the interpreter %q is not found; save it with Unix line ends", path, s.interpreter+"\r")
	case s.refused != "":
		return fmt.Errorf("%s cannot be run: %s", path, s.refused)
	case s.present:
		return fmt.Errorf("%s: the interpreter %s of its first line is not there; install it or correct the line", path, s.interpreter)
	}
	return fmt.Errorf("%s: the loader that this program needs is not there", path)
}
