package middleware

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// forwardedHeader is where proxies append the address that they were called from.
const forwardedHeader = "X-Forwarded-For"

// ClientAddress puts the address of the client into the RemoteAddr of requests
// that come from a trusted proxy: the last address in X-Forwarded-For that is no
// trusted proxy's. What stands before it may be the client's invention, and so
// may the whole header from anybody else, which is passed over. The header
// Forwarded is not read: a proxy that writes the one passes the other on.
func ClientAddress(trusted ...netip.Prefix) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		if len(trusted) == 0 {
			return next
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, bySocket := peerOf(r.Context()); !bySocket {
				r.RemoteAddr = clientAddress(r, trusted)
			}
			next.ServeHTTP(w, r)
		})
	}
}

func clientAddress(r *http.Request, trusted []netip.Prefix) string {
	isTrusted := func(addr netip.Addr) bool {
		return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(addr) })
	}
	client := r.RemoteAddr
	last, ok := parseAddress(client)
	if !ok {
		return client
	}
	chain := strings.Split(strings.Join(r.Header[forwardedHeader], ","), ",")
	for _, hop := range slices.Backward(chain) {
		if !isTrusted(last) {
			break
		}
		if last, ok = parseAddress(strings.TrimSpace(hop)); !ok { // such as "unknown", or no header
			break
		}
		client = last.String()
	}
	return client
}

// parseAddress reads an IP address with or without a port.
func parseAddress(text string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	if err != nil {
		withPort, err := netip.ParseAddrPort(text)
		if err != nil {
			return netip.Addr{}, false
		}
		addr = withPort.Addr()
	}
	return addr.Unmap().WithZone(""), true
}
