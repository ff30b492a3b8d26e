package transfer

import (
	"cmp"
	"context"
	"encoding/base64"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"jetstream/internal/api"
	"jetstream/internal/localhost"
)

// DefaultPort is the receive port of a destination that names none.
const DefaultPort = 8887

// ParseAddress parses the parameters destinationAddress, which is a host name
// or IP, alone or with a port ([v6]:port), and destinationPort, nil if it was
// not given. It returns host names in lower case and IPs in their canonical
// form. Codes: invalid.
func ParseAddress(address string, port *int) (host string, number int, err error) {
	bad := func(format string, args ...any) error {
		return invalidField("destinationAddress", "address", "destinationAddress %s "+format,
			append([]any{api.Quote(address)}, args...)...)
	}
	if strings.Contains(address, "/") {
		return "", 0, bad("is no host: give it without scheme and path")
	}
	host, number = address, DefaultPort
	given := 0
	if ip, err := netip.ParseAddr(strings.Trim(address, "[]")); err == nil && strings.HasPrefix(address, "[") == strings.HasSuffix(address, "]") {
		host = ip.Unmap().String()
	} else if strings.ContainsAny(address, ":[]") {
		h, p, err := net.SplitHostPort(address)
		if err != nil {
			return "", 0, bad("is no address: give host, host:port or [IPv6]:port")
		}
		n, err := strconv.ParseUint(p, 10, 16) // takes no sign
		if err != nil || n == 0 {
			return "", 0, bad("has a port that is no number from 1 to 65535")
		}
		host, given = h, int(n)
	}
	switch {
	case port != nil && (*port < 1 || *port > 65535):
		return "", 0, invalidField("destinationPort", "range", "destinationPort %d is not from 1 to 65535", *port)
	case port != nil && given != 0 && given != *port:
		return "", 0, bad("names another port than destinationPort %d: give one of them", *port)
	case given != 0:
		number = given
	case port != nil:
		number = *port
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		ip = ip.Unmap()
		if ip.IsUnspecified() || ip.IsMulticast() {
			return "", 0, bad("cannot be connected to: give the address of one host")
		}
		return ip.String(), number, nil
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if why := badHost(host); why != "" {
		return "", 0, bad("%s", why)
	}
	return host, number, nil
}

// badHost returns what is wrong with a host name, or "".
func badHost(host string) string {
	switch {
	case host == "":
		return "names no host"
	case len(host) > 253:
		return "is longer than the 253 bytes of a host name"
	}
	numeric := true
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 {
			return "is no host name: each part between dots has 1 to 63 characters"
		}
		if label[0] == '-' || label[len(label)-1] == '-' {
			return "is no host name: no part of it begins or ends with -"
		}
		for i := range len(label) {
			c := label[i]
			digit := c >= '0' && c <= '9'
			if !digit && (c < 'a' || c > 'z') && c != '-' && c != '_' {
				return "is no host name: it is made of letters, digits, - and . (write other scripts in their xn-- form)"
			}
			numeric = numeric && digit
		}
	}
	if numeric {
		return "is neither an IP address nor a host name"
	}
	return ""
}

// checkPublicKey checks that key has the form of a server's public key: 32
// bytes in base64url without padding.
func checkPublicKey(key string) error {
	if raw, err := base64.RawURLEncoding.Strict().DecodeString(key); err != nil || len(raw) != 32 {
		return invalidField("destinationPublicKey", "publicKey",
			"destinationPublicKey %s is no public key: it is the publicKey of the receiver's getServerInfo, 43 characters of base64url", api.Quote(key))
	}
	return nil
}

// resolve returns the IP of a host, or the host itself if it cannot be resolved
// within Options.ResolveTimeout.
func (e *Engine) resolve(ctx context.Context, host string) string {
	if _, err := netip.ParseAddr(host); err == nil {
		return host
	}
	if localhost.Is(host) {
		return localhost.IPv4
	}
	ctx, cancel := context.WithTimeout(ctx, e.o.ResolveTimeout)
	defer cancel()
	ips, err := e.o.Resolver.LookupNetIP(ctx, "ip", host)
	if err != nil || len(ips) == 0 {
		return host
	}
	return ips[0].Unmap().String()
}

// senderAddress returns the address of this server for the destination ip: the
// local IP of the route to it, with the receive port. Without a route, and for
// an unresolved name, it is the external address or else the receive host.
func (e *Engine) senderAddress(ctx context.Context, ip string, port int) string {
	recvPort := strconv.Itoa(e.o.RecvPort)
	if _, err := netip.ParseAddr(ip); err == nil {
		// Connecting a UDP socket consults the routing table and sends nothing.
		c, err := (&net.Dialer{}).DialContext(ctx, "udp", net.JoinHostPort(ip, strconv.Itoa(port)))
		if err == nil {
			local, ok := c.LocalAddr().(*net.UDPAddr)
			_ = c.Close()
			if ok && !local.IP.IsUnspecified() {
				return net.JoinHostPort(local.AddrPort().Addr().Unmap().String(), recvPort)
			}
		}
	}
	external := e.o.ExternalAddress
	if _, _, err := net.SplitHostPort(external); err == nil {
		return external
	}
	host := cmp.Or(external, e.o.RecvHost, "0.0.0.0")
	return net.JoinHostPort(strings.Trim(host, "[]"), recvPort)
}
