package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"unicode/utf8"

	"github.com/alecthomas/kong"

	"jetstream/internal/api"
	"jetstream/internal/terminal"
)

// systemConfig is the configuration file of a server that is given none.
const systemConfig = "/etc/jetstream/server.conf"

// maxConfig is how many bytes a configuration file may have.
const maxConfig = 1 << 20

// notInConfig are the flags of jetstream server that are no settings.
func notInConfig(flag string) bool { return flag == "config" || flag == "check" || flag == "help" }

// config is what a configuration file says. Each line of the file is a name and a value:
// the flags of jetstream server without their dashes. The value is the rest of the line,
// as it is; lines that begin with # and empty ones are passed over. A list is a line for
// each element.
type config struct {
	path   string
	values map[string][]string
	lines  map[string]int // line of the first value
}

// where says where the value of a setting stands.
func (c *config) where(name string) string { return fmt.Sprintf("%s:%d", c.path, c.lines[name]) }

// readConfig reads a configuration file. Which names there are is not checked.
func readConfig(path string) (*config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var text bytes.Buffer
	if n, err := text.ReadFrom(io.LimitReader(f, maxConfig+1)); err != nil {
		return nil, err
	} else if n > maxConfig {
		return nil, fmt.Errorf("it has more than %d bytes", maxConfig)
	}
	if !utf8.Valid(text.Bytes()) {
		return nil, errors.New("it is not UTF-8")
	}
	c := &config{path: path, values: map[string][]string{}, lines: map[string]int{}}
	lines := bufio.NewScanner(bytes.NewReader(bytes.TrimPrefix(text.Bytes(), []byte("\ufeff"))))
	lines.Buffer(nil, maxConfig+1)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, value := line, ""
		if i := strings.IndexAny(line, " \t"); i >= 0 {
			name, value = line[:i], strings.TrimSpace(line[i:])
		}
		if c.lines[name] == 0 {
			c.lines[name] = n
		}
		c.values[name] = append(c.values[name], value)
	}
	return c, lines.Err()
}

// settings gives the flags of jetstream server the values of its configuration file.
type settings struct {
	getenv func(string) string
	tried  bool
	config *config         // nil: there is none, or it was not read yet
	used   map[string]bool // names of which the file's value counts
}

// Validate implements kong.Resolver.
func (*settings) Validate(*kong.Application) error { return nil }

// Resolve implements kong.Resolver. It reads the file when it is first called for a
// flag of the server.
func (s *settings) Resolve(parsed *kong.Context, parent *kong.Path, f *kong.Flag) (any, error) {
	node := parent.Node()
	if node == nil || node.Name != "server" || node.Parent == nil || notInConfig(f.Name) {
		return nil, nil
	}
	if !s.tried {
		s.tried = true
		if err := s.read(parsed, node); err != nil {
			return nil, err
		}
	}
	if s.config == nil || s.config.values[f.Name] == nil || s.fromEnvironment(f) {
		return nil, nil
	}
	s.used[f.Name] = true
	return s.value(f)
}

// locate adds to an error about a flag where in the configuration file its value
// stands, if it is from there.
func (s *settings) locate(e *usageError) *usageError {
	flag, _, _ := strings.Cut(e.message, " ")
	name := strings.TrimPrefix(strings.Trim(flag, ":"), "--")
	if name, _, _ = strings.Cut(name, "="); s.used[name] {
		e.message = s.config.where(name) + ": " + strings.TrimPrefix(e.message, "--")
	}
	return e
}

func (s *settings) fromEnvironment(f *kong.Flag) bool {
	for _, name := range f.Envs {
		if s.getenv(name) != "" {
			return true
		}
	}
	return false
}

// read reads the file that the command line or the environment names, or that of the
// system if there is one.
func (s *settings) read(parsed *kong.Context, server *kong.Node) error {
	path := s.getenv(serverVariables + "CONFIG")
	flags := map[string]*kong.Flag{}
	for _, f := range server.Flags {
		flags[f.Name] = f
	}
	if given, ok := parsed.FlagValue(flags["config"]).(string); ok && given != "" {
		path = given
	}
	c, err := findConfig(path)
	if err != nil {
		return err
	}
	if s.config, s.used = c, map[string]bool{}; c == nil {
		return nil
	}
	for name, values := range c.values {
		f := flags[name]
		if f == nil || notInConfig(name) {
			return usagef("%s: there is no setting %q%s", c.where(name), name, nearestSetting(name, server))
		}
		if len(values) > 1 && !f.IsSlice() {
			return usagef("%s: %s has one value, and the file gives %d", c.where(name), name, len(values))
		}
	}
	return nil
}

func nearestSetting(name string, server *kong.Node) string {
	var names []string
	for _, f := range server.Flags {
		if !notInConfig(f.Name) {
			names = append(names, f.Name)
		}
	}
	if nearest := api.Nearest(strings.TrimLeft(name, "-"), names); nearest != "" {
		return "; did you mean " + nearest + "?"
	}
	return "; jetstream server --help shows them, without the dashes"
}

// value returns a setting as the parser takes it.
func (s *settings) value(f *kong.Flag) (any, error) {
	values, where := s.config.values[f.Name], s.config.where(f.Name)
	var list []any
	for _, value := range values {
		switch {
		case value == "":
			return nil, usagef("%s: %s has no value", where, f.Name)
		case f.IsBool() && value != "true" && value != "false":
			return nil, usagef("%s: %s is true or false, not %q", where, f.Name, value)
		case f.Tag.Type == "path" && !filepath.IsAbs(value):
			return nil, usagef("%s: %s %s must be an absolute path", where, f.Name, value)
		}
		list = append(list, value)
	}
	if f.IsSlice() {
		return list, nil
	}
	return list[0], nil
}

// findConfig reads the configuration file path or, where that is empty, that of the
// system; nil if there is none.
func findConfig(path string) (*config, error) {
	given := path != ""
	if !given {
		if runtime.GOOS == "windows" {
			return nil, nil
		}
		path = systemConfig
	}
	c, err := readConfig(path)
	switch {
	case err == nil:
		return c, nil
	case errors.Is(err, fs.ErrNotExist) && !given:
		return nil, nil
	case errors.Is(err, fs.ErrPermission) && !given:
		return nil, usagef("the configuration file %s cannot be read: %s; a server of your own takes its settings from --config FILE, and /dev/null has none", path, reasonOf(err))
	}
	return nil, usagef("the configuration file %s cannot be read: %s", path, reasonOf(err))
}

func reasonOf(err error) string {
	if reason := api.SystemReason(err); reason != "" {
		return reason
	}
	return err.Error()
}

// configuredStateDir is the state directory in the configuration file of the server on
// this machine, for the commands that look for it; "" if there is none that they can
// read.
func configuredStateDir(getenv func(string) string) string {
	c, err := findConfig(getenv(serverVariables + "CONFIG"))
	if err != nil || c == nil || len(c.values["persistent-state-dir"]) != 1 {
		return ""
	}
	dir := c.values["persistent-state-dir"][0]
	if !filepath.IsAbs(dir) {
		return ""
	}
	return dir
}

func settingText(value reflect.Value) string {
	if list, ok := reflect.TypeAssert[[]string](value); ok {
		return strings.Join(list, ", ")
	}
	return fmt.Sprint(value.Interface())
}

// show prints the settings that the server would have, and where each is from.
func (s *settings) show(p *program, parsed *kong.Context) error {
	flags := map[*kong.Flag]bool{}
	for _, step := range parsed.Path {
		if step.Flag != nil && !step.Resolved {
			flags[step.Flag] = true
		}
	}
	var t terminal.Table
	t.Row("SETTING", "VALUE", "FROM")
	for _, f := range parsed.Selected().Flags {
		if notInConfig(f.Name) {
			continue
		}
		from := "default"
		switch {
		case flags[f]:
			from = "--" + f.Name
		case s.fromEnvironment(f):
			from = strings.Join(f.Envs, ", ")
		case s.used[f.Name]:
			from = s.config.where(f.Name)
		}
		t.Row(f.Name, settingText(f.Target), from)
	}
	return p.print(&t)
}
