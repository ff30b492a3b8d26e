package triggers

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// inherited lists the environment variables of the server that all scripts get,
// besides LC_*.
var inherited = []string{ //nolint:gochecknoglobals // a table that is never written
	"PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR",
	"SystemRoot", "ComSpec", "PATHEXT", "TEMP", "TMP", // Windows
}

// ownPrefix is the prefix of the variables that the engine sets.
const ownPrefix = "JETSTREAM_"

// baseEnvironment returns the inherited and the further variables of environ.
// It leaves out those that the engine sets.
func baseEnvironment(environ, further []string) []string {
	var base []string
	for _, entry := range environ {
		name, _, ok := strings.Cut(entry, "=")
		if !ok || name == "" || slices.Contains(ownVariables, name) {
			continue
		}
		// On Windows names of variables are not case-sensitive.
		same := func(s string) bool { return s == name || onWindows && strings.EqualFold(s, name) }
		if slices.ContainsFunc(inherited, same) || strings.HasPrefix(name, "LC_") || slices.ContainsFunc(further, same) {
			base = append(base, entry)
		}
	}
	return base
}

// ownVariables lists the variables that the engine sets.
var ownVariables = []string{ //nolint:gochecknoglobals // a table that is never written
	ownPrefix + "EVENT", ownPrefix + "EVENT_ID", ownPrefix + "EVENT_TIME", ownPrefix + "EVENT_USER",
	ownPrefix + "EVENT_REQUEST_ID", ownPrefix + "EVENT_SERVER", ownPrefix + "ATTEMPT", ownPrefix + "DEPTH",
	ownPrefix + "PAYLOAD", ownPrefix + "FILE_LIST", ownPrefix + "API_HOST", ownPrefix + "API_PORT",
	ownPrefix + "API_TOKEN", ownPrefix + "API_CA", ownPrefix + "SAMPLE",
}

// environment returns the environment of the script of r.
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
	if r.Sample {
		set("SAMPLE", "1")
	}
	if access.CAFile != "" {
		set("API_CA", access.CAFile)
	}
	return env
}
