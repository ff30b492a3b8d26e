package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"jetstream/internal/account"
	"jetstream/internal/api"
)

// target is where jetstream send sends to: [USER@]HOST[:PORT]:/PATH.
type target struct {
	User string // the receiver's user; empty: the same name as here
	Host string // name or IP, without brackets
	Port int    // receive port; 0: the default
	Path string // directory in the user's sandbox there, beginning with /
}

// parseTarget reads [USER@]HOST[:PORT]:/PATH. A user's name may hold an @, so
// the last one counts; an IPv6 address stands in brackets.
func parseTarget(text string) (target, error) {
	authority, path, ok := strings.Cut(text, ":/")
	if !ok {
		return target{}, fmt.Errorf("%q is no destination: write [USER@]HOST[:PORT]:/PATH, such as bob@site-b:/incoming", text)
	}
	t := target{Path: "/" + path}
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		t.User, authority = authority[:i], authority[i+1:]
		if t.User == "" {
			return target{}, fmt.Errorf("%q names no user before the @", text)
		}
	}
	var port string
	if inner, bracket := strings.CutPrefix(authority, "["); bracket {
		host, rest, closed := strings.Cut(inner, "]")
		if !closed || rest != "" && !strings.HasPrefix(rest, ":") {
			return target{}, fmt.Errorf("%q: an IPv6 address is written [ADDRESS] or [ADDRESS]:PORT", text)
		}
		t.Host, port = host, strings.TrimPrefix(rest, ":")
		if rest == ":" {
			return target{}, fmt.Errorf("%q has a colon but no port", text)
		}
	} else {
		var hasPort bool
		t.Host, port, hasPort = strings.Cut(authority, ":")
		if strings.Contains(port, ":") {
			return target{}, fmt.Errorf("%q: write an IPv6 address in brackets, as [ADDRESS]:/PATH", text)
		}
		if hasPort && port == "" {
			return target{}, fmt.Errorf("%q has a colon but no port", text)
		}
	}
	if t.Host == "" || strings.ContainsAny(t.Host, "/\\ \t\r\n") {
		return target{}, fmt.Errorf("%q names no host: write [USER@]HOST[:PORT]:/PATH", text)
	}
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return target{}, fmt.Errorf("%q: %q is no port; ports are 1 to 65535", text, port)
		}
		t.Port = int(n)
	}
	return t, nil
}

// mapSources translates paths of this machine into fileMappings: each source
// as the sandbox's owner sees it, and the name that it gets below the
// destination's path, its own last element. Errors name the sandbox.
func mapSources(sources []string, sandbox string) (map[string]string, error) {
	mappings := map[string]string{}
	names := map[string]string{} // name there -> source here
	for _, source := range sources {
		abs, err := filepath.Abs(source)
		if err != nil {
			return nil, err
		}
		if _, err := os.Lstat(abs); errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("there is no %s", abs)
		}
		inside, err := account.FromLocal(sandbox, abs)
		if err != nil {
			return nil, errors.New(api.ErrorOf(err).Message)
		}
		name := "/" + filepath.Base(abs)
		if abs == filepath.Dir(abs) {
			return nil, fmt.Errorf("%s has no name that it could have at the other side: send what is in it", abs)
		}
		if !utf8.ValidString(inside) || !utf8.ValidString(name) {
			return nil, fmt.Errorf("the name %q is not UTF-8 and cannot be a parameter: send the directory that it is in", abs)
		}
		if other, taken := names[name]; taken && other != abs {
			return nil, fmt.Errorf("%s and %s would both become %s: send them one after the other, to different paths", other, abs, name)
		}
		names[name], mappings[inside] = abs, name
	}
	return mappings, nil
}
