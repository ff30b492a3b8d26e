package api

import "strings"

// Routes of the control API. The commands' own paths, and the others here, are
// below Prefix.
const (
	Prefix = "/api/v1"
	// EnvelopePath is the route that takes every command by its name.
	EnvelopePath = "/command"
	// EventsPath is the route of the event stream.
	EventsPath = "/events"
)

// Headers of requests and replies, spelled as net/http keeps them.
const (
	// RequestIDHeader names a request. It comes back in the reply and is in
	// logs, events and triggers.
	RequestIDHeader = "X-Request-Id"
	// IdempotencyHeader names a creation, so that repeating it makes nothing
	// twice.
	IdempotencyHeader = "Idempotency-Key"
	// ReplayedHeader marks a reply that was given before.
	ReplayedHeader = "Idempotency-Replayed"
	// DepthHeader carries JETSTREAM_DEPTH: how many trigger runs led to this
	// call. It can only raise the depth that a script's token carries.
	DepthHeader = "X-Jetstream-Depth"
	// UserHeader names the user that a launch script's token acts as.
	UserHeader = "X-Jetstream-User"
)

// SessionCookie is the name of the page's cookie on the default port; on
// another port, the port is appended.
const SessionCookie = "jetstream_session"

// HostText writes a host for people: an IPv6 address in brackets, so that
// whatever follows it, such as a port, is told from it.
func HostText(host string) string {
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		return "[" + host + "]"
	}
	return host
}
