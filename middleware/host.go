package middleware

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"jetstream/internal/api"
)

// HealthPath is the route of the health check.
const HealthPath = "/healthz"

// Hosts lets only requests pass whose Host is an IP literal, localhost or one
// of names (without port, without case). It is checked on loopback too: a web
// page whose name is re-pointed at 127.0.0.1 (DNS rebinding) arrives with that
// page's name in Host. Load balancers that speak HTTP/1.0 without Host may ask
// for the health. No page reaches the control socket: there every Host
// passes.
func Hosts(log *slog.Logger, names ...string) func(http.Handler) http.Handler {
	allowed := map[string]bool{"localhost": true}
	for _, n := range names {
		if n != "" {
			allowed[canonicalHost(n)] = true
		}
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			host := canonicalHost(r.Host)
			_, bySocket := peerOf(r.Context())
			if r.Host == "" && !r.ProtoAtLeast(1, 1) && r.URL.Path == HealthPath { // no page sends that
				next.ServeHTTP(w, r)
				return
			}
			if _, err := netip.ParseAddr(host); err != nil && !allowed[host] && !bySocket {
				Fail(w, r, log, api.Errorf(api.CodeForbidden,
					"%.200q is not a name of this server; if it is, start the server with --api-allowed-host", host))
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

func canonicalHost(h string) string {
	if host, _, err := net.SplitHostPort(h); err == nil {
		h = host
	}
	h = strings.TrimSuffix(strings.TrimPrefix(h, "["), "]")
	h, _, _ = strings.Cut(h, "%")
	return strings.TrimSuffix(strings.ToLower(h), ".")
}
