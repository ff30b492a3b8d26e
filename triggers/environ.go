package triggers

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// inherited are the variables of the server that every script gets; LC_* too.
var inherited = []string{ //nolint:gochecknoglobals // a table that is never written
	"PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR",
	"SystemRoot", "ComSpec", "PATHEXT", "TEMP", "TMP", // Windows
}

// ownPrefix begins the variables that the engine sets itself.
const ownPrefix = "JETSTREAM_"

// baseEnvironment picks from the server's environment what scripts may see:
// nothing that is not named. The engine's own variables cannot be overlaid.
func baseEnvironment(environ, further []string) []string {
	var base []string
	for _, entry := range environ {
		name, _, ok := strings.Cut(entry, "=")
		if !ok || name == "" || slices.Contains(ownVariables, name) {
			continue
		}
		// Windows does not tell PATH from Path.
		same := func(s string) bool { return s == name || onWindows && strings.EqualFold(s, name) }
		if slices.ContainsFunc(inherited, same) || strings.HasPrefix(name, "LC_") || slices.ContainsFunc(further, same) {
			base = append(base, entry)
		}
	}
	return base
}

// ownVariables are the names that the engine sets.
var ownVariables = []string{ //nolint:gochecknoglobals // a table that is never written
	ownPrefix + "EVENT", ownPrefix + "EVENT_ID", ownPrefix + "EVENT_TIME", ownPrefix + "EVENT_USER",
	ownPrefix + "EVENT_REQUEST_ID", ownPrefix + "EVENT_SERVER", ownPrefix + "ATTEMPT", ownPrefix + "DEPTH",
	ownPrefix + "PAYLOAD", ownPrefix + "FILE_LIST", ownPrefix + "API_HOST", ownPrefix + "API_PORT",
	ownPrefix + "API_TOKEN", ownPrefix + "API_CA",
}

// environment is what the script of r sees.
func (e *Engine) environment(r *Run, s *spooled, token string) []string {
	e.mu.Lock()
	access := e.access
	e.mu.Unlock()
	env := slices.Grow(slices.Clone(e.base), len(ownVariables))
	set := func(name, value string) { env = append(env, ownPrefix+name+"="+withoutNUL(value)) }
	set("EVENT", r.Event)
	set("EVENT_ID", r.EventID)
	set("EVENT_TIME", r.EventTime.Std().Format(time.RFC3339Nano))
	set("EVENT_USER", r.User)
	set("EVENT_REQUEST_ID", r.RequestID)
	set("EVENT_SERVER", e.o.ServerUID)
	set("ATTEMPT", strconv.Itoa(r.Attempt))
	set("DEPTH", strconv.Itoa(r.Depth))
	set("PAYLOAD", s.payload)
	set("FILE_LIST", s.fileList)
	set("API_HOST", access.Host)
	set("API_PORT", strconv.Itoa(access.Port))
	set("API_TOKEN", token)
	if access.CAFile != "" {
		set("API_CA", access.CAFile)
	}
	return env
}
