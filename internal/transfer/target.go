package transfer

import (
	"fmt"
	"strconv"
	"strings"

	"jetstream/internal/api"
)

// Target is where jetstream send sends to: [USER@]HOST[:PORT]:/PATH.
type Target struct {
	User string // the receiver's user; empty: the same name as here
	Host string // name or IP, without brackets
	Port int    // receive port; 0: the default
	Path string // directory in the user's sandbox there, beginning with /
}

// ParseTarget reads [USER@]HOST[:PORT]:/PATH. A user's name may hold an @, so
// the last one counts; an IPv6 address stands in brackets.
func ParseTarget(text string) (Target, error) {
	authority, path, ok := strings.Cut(text, ":/")
	if !ok {
		return Target{}, fmt.Errorf("%q is no destination: write [USER@]HOST[:PORT]:/PATH, such as bob@site-b:/incoming", text)
	}
	t := Target{Path: "/" + path}
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		t.User, authority = authority[:i], authority[i+1:]
		if t.User == "" {
			return Target{}, fmt.Errorf("%q names no user before the @", text)
		}
	}
	var port string
	if inner, bracket := strings.CutPrefix(authority, "["); bracket {
		host, rest, closed := strings.Cut(inner, "]")
		if !closed || rest != "" && !strings.HasPrefix(rest, ":") {
			return Target{}, fmt.Errorf("%q: an IPv6 address is written [ADDRESS] or [ADDRESS]:PORT", text)
		}
		t.Host, port = host, strings.TrimPrefix(rest, ":")
		if rest == ":" {
			return Target{}, fmt.Errorf("%q has a colon but no port", text)
		}
	} else {
		var hasPort bool
		t.Host, port, hasPort = strings.Cut(authority, ":")
		if strings.Contains(port, ":") {
			return Target{}, fmt.Errorf("%q: write an IPv6 address in brackets, as [ADDRESS]:/PATH", text)
		}
		if hasPort && port == "" {
			return Target{}, fmt.Errorf("%q has a colon but no port", text)
		}
	}
	if t.Host == "" || strings.ContainsAny(t.Host, "/\\ \t\r\n") {
		return Target{}, fmt.Errorf("%q names no host: write [USER@]HOST[:PORT]:/PATH", text)
	}
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return Target{}, fmt.Errorf("%q: %q is no port; ports are 1 to 65535", text, port)
		}
		t.Port = int(n)
	}
	return t, nil
}

// String is what ParseTarget reads. The default port is left out.
func (t Target) String() string {
	text := api.HostText(t.Host)
	if t.Port != 0 && t.Port != DefaultPort {
		text += ":" + strconv.Itoa(t.Port)
	}
	if t.User != "" {
		text = t.User + "@" + text
	}
	return text + ":" + t.Path
}
