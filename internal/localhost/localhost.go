// Package localhost resolves the name "localhost" without a name server, as
// RFC 6761 section 6.3 wants it. A name server that is down or hostile then
// neither delays connections within the machine nor leads them out of it.
package localhost

import (
	"context"
	"errors"
	"net"
	"strings"
)

// IPv4 is the first address of localhost, and the one to listen on.
const IPv4 = "127.0.0.1"

// Is reports whether host is the name localhost.
func Is(host string) bool {
	return strings.EqualFold(strings.TrimSuffix(host, "."), "localhost")
}

// DialFunc connects to an address, as [net.Dialer.DialContext] does.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// Dial returns a function that connects by dial, and to localhost by its
// addresses: 127.0.0.1, and ::1 where nobody answers there.
func Dial(dial DialFunc) DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(address)
		if err != nil || !Is(host) {
			return dial(ctx, network, address)
		}
		conn, err := dial(ctx, network, net.JoinHostPort(IPv4, port))
		if err != nil {
			var err6 error
			if conn, err6 = dial(ctx, network, net.JoinHostPort("::1", port)); err6 != nil {
				return nil, errors.Join(err, err6)
			}
		}
		return conn, nil
	}
}
