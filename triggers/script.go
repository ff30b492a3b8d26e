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

// scriptFile is one look at a file of the trigger directory.
type scriptFile struct {
	path string
	gone bool        // nothing has this name
	info fs.FileInfo // of the file or, if it is a link, of what that leads to; nil with err
	err  error
	// links are the links on the way, path itself first; empty for a file.
	links []fs.FileInfo
}

// maxHops is how many links may lead to one file, as in the kernel.
const maxHops = 40

// lookAt looks at a file once, so that all that is said about it is about the
// same file, also while it is being replaced.
func lookAt(path string) scriptFile {
	s := scriptFile{path: path}
	for hop := path; len(s.links) <= maxHops; {
		fi, err := os.Lstat(hop)
		if err != nil {
			s.gone = len(s.links) == 0 && errors.Is(err, fs.ErrNotExist)
			s.err = err
			return s
		}
		if fi.Mode()&fs.ModeSymlink == 0 {
			s.info = fi
			return s
		}
		s.links = append(s.links, fi)
		next, err := os.Readlink(hop)
		if err != nil {
			s.err = err
			return s
		}
		if !filepath.IsAbs(next) { // not filepath.Join: the kernel goes through links before it goes up
			next = filepath.Dir(hop) + string(filepath.Separator) + next
		}
		hop = next
	}
	s.err = errors.New("too many links")
	return s
}

// check returns an error if the file cannot or must not be run by the user uid.
// shared is whether others than the owner of the directory may add files to it.
func (s scriptFile) check(uid int, shared bool) error {
	switch {
	case s.gone:
		return errNoScript
	case errors.Is(s.err, fs.ErrNotExist):
		return fmt.Errorf("%s is a link to a file that does not exist; mend the link", s.path)
	case s.err != nil:
		return fmt.Errorf("%s cannot be examined: %w", s.path, s.err)
	case s.info.IsDir():
		return fmt.Errorf("%s is a directory; a script is a file", s.path)
	case !s.info.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file", s.path)
	case !executable(s.info):
		return fmt.Errorf("%s %s", s.path, makeExecutable)
	}
	for _, link := range s.links {
		if fault := linkOwnership(link, uid); fault != "" {
			return fmt.Errorf("%s is not run: it is a link, or leads through one, that %s", s.path, fault)
		}
	}
	what := "it"
	if len(s.links) > 0 {
		what = "the file that it leads to"
	}
	if fault := ownership(s.info, uid); fault != "" {
		return fmt.Errorf("%s is not run: %s %s", s.path, what, fault)
	}
	if n := hardLinks(s.info); shared && n > 1 && len(s.links) == 0 {
		return fmt.Errorf("%s is not run: the file has %d names, and others may add files to its directory; put a copy in its place", s.path, n)
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
		return fmt.Errorf("%s is gone; it was removed while it was being started", path)
	case err != nil:
		return fmt.Errorf("%s cannot be read: %w", path, err)
	}
	return s.notFound(path)
}

// notFound returns the reason why the kernel did not find the script at path.
func (s shebang) notFound(path string) error {
	switch {
	case s.crlf:
		return fmt.Errorf("%s: its first line ends with CR LF, so that the interpreter %q is not found; save it with Unix line ends", path, s.interpreter+"\r")
	case s.refused != "":
		return fmt.Errorf("%s cannot be run: %s", path, s.refused)
	case s.present:
		return fmt.Errorf("%s: the interpreter %s of its first line is not there; install it or correct the line", path, s.interpreter)
	}
	return fmt.Errorf("%s: the loader that this program needs is not there", path)
}
